"""The compiled engine: the same answer as the reference engine, orders of magnitude faster.

See `asyncsim.engine.compiled.engine` for the method.
"""
