"""The SimPy engine, the rules of finishing, and the tables and metrics of a run.

Begin with `simulation.Simulation`, then read `waits`, the life of a wait, and `contexts`, what
strategies and systems can see and do.
"""
