"""Play a scenario: the one function that chooses an engine."""

from __future__ import annotations

import logging

from asyncsim.engine.result import check_invariants
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import Simulation, check_played, record_of, seconds
from asyncsim.errors import CensoredWarning, warn
from asyncsim.fast.layout import unplayed
from asyncsim.model.mixed_strategies import StrategyLike
from asyncsim.model.profiles import Profile
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import DurationLike
from asyncsim.model.validation import choice

logger = logging.getLogger("asyncsim")

ENGINES = ("auto", "simpy", "compiled")
RESOLUTION = 60.0  # default width of the bins of the load, in seconds
_logged: set[tuple[str, ...]] = set()  # parts that only SimPy plays


def simulate(
    scenario: Scenario,
    strategy: StrategyLike,
    *,
    seed: int = 0,
    replication: int = 0,
    draws: Draws | None = None,
    until: DurationLike | None = None,
    engine: str = "auto",
    resolution: DurationLike = RESOLUTION,
    profile: str | Profile | None = None,
) -> Run:
    """Play a scenario under a strategy and return what happened.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its steps wait: a strategy, or one for each step, by the name of
        the step or of its system (`Strategies`), such as ``{"ledger": sim.Callback()}``.
    seed, replication
        Keys of the random numbers; the same keys give every strategy the same numbers.
    draws
        Your own random numbers in place of `seed` and `replication`.
    until
        When to stop (a duration from the scenario's start); by default once all has ended.
    engine
        ``"simpy"``, the reference; ``"compiled"``, the same answer much faster; or ``"auto"``:
        compiled if it plays every part of the scenario, otherwise SimPy (logged once).
    resolution
        Width of the bins of ``run.server`` and ``run.open_waits``.
    profile
        Workflow product whose answers to finishes and database operations are used, see
        `Scenario.with_profile`.

    Raises
    ------
    ScenarioError
        If an argument is invalid.
    EngineError
        If the run violates an invariant of `asyncsim.engine.invariants`.

    Warns
    -----
    CensoredWarning
        If waits were still open at the end: they have no latency and are in no average.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> run = sim.simulate(scenario, sim.Polling("15min"), seed=1)
    >>> bool(run.waits["latency"].max() < 15 * 60 + 1)
    True
    """
    check_engine(engine)
    strategy = check_played(scenario, strategy, draws)
    scenario = scenario.with_profile(profile)
    if draws is None:
        draws = scenario.draw(seed, replication)
    run = played(scenario, strategy, draws, until=until, engine=engine, resolution=resolution)
    for note in run.open_notes:
        warn(note, CensoredWarning)
    return run


def check_engine(engine: str) -> None:
    """Check the name of an engine."""
    choice("engine", engine, ENGINES)


def played(
    scenario: Scenario,
    strategy: Strategy,
    draws: Draws,
    *,
    until: DurationLike | None = None,
    engine: str = "auto",
    resolution: DurationLike = RESOLUTION,
) -> Run:
    """Play as `simulate` does, without the warning of open waits."""
    check_engine(engine)
    draws = draws.completed_for(scenario)
    if _chosen(engine, scenario, strategy) == "simpy":
        simulation = Simulation(scenario, strategy, draws, resolution=resolution)
        simulation.run(until)
        record = record_of(simulation)
    else:
        from asyncsim.fast.compiled import play_compiled  # many modules

        stop = None if until is None else seconds("until", until)
        record = play_compiled(scenario, strategy, draws, stop, seconds("resolution", resolution))
    check_invariants(record, scenario)
    return Run(scenario, strategy, draws, record)


def _chosen(engine: str, scenario: Scenario, strategy: Strategy) -> str:
    """Return the engine to use; log once per part if "auto" cannot take the compiled one."""
    if engine != "auto":
        return engine
    others = unplayed(scenario, strategy)
    if not others:
        return "compiled"
    if tuple(others) not in _logged:
        _logged.add(tuple(others))
        parts = " and ".join(others)
        logger.warning(
            "%s: unknown to the compiled engine, so SimPy plays it (slower, the same answer)", parts
        )
    return "simpy"
