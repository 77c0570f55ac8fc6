"""Play a scenario: the one function that chooses an engine."""

from __future__ import annotations

import warnings

import numpy as np

from asyncsim.engine import laws
from asyncsim.engine.recording import record_of
from asyncsim.engine.run import Run
from asyncsim.engine.simpy_engine import Simulation
from asyncsim.errors import CensoredWarning, ScenarioError
from asyncsim.model.draws import Draws
from asyncsim.model.quantities import DurationLike, nearest
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy

ENGINES = ("auto", "simpy")


def simulate(
    scenario: Scenario,
    strategy: Strategy,
    *,
    seed: int = 0,
    replication: int = 0,
    draws: Draws | None = None,
    until: DurationLike | None = None,
    engine: str = "auto",
    resolution: DurationLike = 60.0,
) -> Run:
    """Play a scenario under a strategy and return what happened.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its waiting steps learn of completion.
    seed, replication
        Keys of the random numbers; the same keys give every strategy the same numbers.
    draws
        Random numbers of your own in place of `seed` and `replication`.
    until
        Stop then (a duration from the scenario's start); by default when all is over.
    engine
        ``"auto"`` or ``"simpy"``.
    resolution
        Width of the bins of ``run.server`` and ``run.open_waits``.

    Raises
    ------
    ScenarioError
        If an argument is wrong.
    EngineError
        If the run broke one of the laws of `asyncsim.engine.laws`.

    Warns
    -----
    CensoredWarning
        If waits were still open at the end: they have no latency and are not in the averages.
    """
    if engine not in ENGINES:
        words = ", ".join(repr(word) for word in ENGINES)
        raise ScenarioError(
            f"engine must be one of {words}, got {engine!r}{nearest(str(engine), ENGINES)}"
        )
    simulation = Simulation(
        scenario,
        strategy,
        draws,
        seed=seed,
        replication=replication,
        resolution=resolution,
    )
    simulation.run(until)
    record = record_of(simulation)
    laws.check(record, scenario)
    if record.open_count:
        warnings.warn(
            f"{record.open_count} of {len(record.waits.outcome)} waits were still open at "
            f"{scenario.calendar.timestamps(np.array([record.end]))[0]:%Y-%m-%d %H:%M:%S} "
            f"under {strategy.label}; they have no latency and are in no average",
            CensoredWarning,
            stacklevel=2,
        )
    return Run(scenario, strategy, simulation.draws, record)
