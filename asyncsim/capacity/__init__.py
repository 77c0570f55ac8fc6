"""Questions of a capacity planner, each answered with an interval, a table and a picture.

Begin with `questions`, the public functions that search for a value of one field, and with
`answers`, what they return. `target` measures runs; `search` chooses the values and plays them.
`frontier` and `herd` compare and measure set-ups without a search.
"""
