"""Questions of a capacity planner: each answered with an interval, a table and a picture."""
