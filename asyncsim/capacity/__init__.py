"""Questions of a capacity planner, each answered with an interval, a table and a picture.

Begin with `questions`: the public functions that search for a value of one field, and their
answers. `target` measures runs; `search` chooses the values and plays them. `tradeoffs` compares
strategies, and `herd` measures the burst of callbacks at the end of a batch.
"""
