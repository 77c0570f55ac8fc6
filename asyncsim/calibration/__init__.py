"""From a log to a scenario, with an account of what the log does not explain.

Begin with `fit.fit`: it reads the log (`log_reader`, `cases`), fits arrivals, work and external
systems, and reports in `findings`; `check` compares the fitted scenario with the log.
"""
