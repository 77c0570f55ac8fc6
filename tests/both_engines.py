"""Both engines play one scenario on the same numbers."""

import warnings

import asyncsim as sim


def play_both(scenario, strategy, until=None, draws=None):
    """Return the runs of the SimPy engine and of the compiled one."""
    draws = scenario.draw(seed=1) if draws is None else draws
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return [
            sim.simulate(scenario, strategy, draws=draws, until=until, engine=engine)
            for engine in ("simpy", "compiled")
        ]
