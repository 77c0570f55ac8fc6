"""Experiments: simulate, compare, replicate, sweep, and analyse the output.

Begin with `asyncsim.experiment.simulate`, then read `replications` and `compare`.
"""
