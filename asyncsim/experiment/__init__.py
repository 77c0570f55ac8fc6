"""Experiments: simulate, replicate, compare, and put intervals around the answer.

Begin with `asyncsim.experiment.simulate`, then read `replications` and `compare`.
"""
