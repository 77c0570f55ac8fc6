"""The compiled engine: the same answer as the reference engine, orders of magnitude faster.

See `asyncsim.fast.compiled` for the method.
"""
