"""What the compiled engine plays."""

from __future__ import annotations

from asyncsim.errors import EngineError
from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Service,
    Staff,
    StrategySpecification,
)
from asyncsim.model.strategy_base import Strategy, specification_of
from asyncsim.model.systems import ExternalSystem, links_of

PLAYED: dict[str, tuple[type, ...]] = {
    "checks": (type(None), Grid, Intervals, Hold),
    "deliveries": (type(None), Deliveries),
    "links": (Batch, Service, Staff, Completions),
    "process elements": (Step, AsyncStep, Choice, Parallel),
}
"""The kinds of specifications, and of process elements, that have kernels."""


def played_specification(scenario: Scenario, strategy: Strategy) -> StrategySpecification:
    """Return the specification of a strategy.

    Raises
    ------
    EngineError
        If the compiled engine does not play the strategy, or a part of the scenario.
    """
    found, others = specification_of(strategy), unplayed(scenario, strategy)
    if found is None or others:
        names = " and ".join(others)
        raise EngineError(
            f"engine 'compiled' plays parts with a specification that it knows, got {names}; "
            "take 'simpy' or 'auto'"
        )
    return found


def unplayed(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return the names of the parts that the compiled engine does not play, each once."""
    names = _of_strategy(strategy)
    for system in scenario.systems.values():
        names += _of_system(system)
    for element in scenario.process.parts():
        if type(element) not in PLAYED["process elements"]:
            names.append(type(element).__name__)
    return list(dict.fromkeys(names))


def _of_strategy(strategy: Strategy) -> list[str]:
    found = specification_of(strategy)
    if found is None:
        return [type(strategy).__name__]
    pairs = {"checks": found.checks, "deliveries": found.deliveries}
    return [
        f"{type(strategy).__name__} ({type(kind).__name__})"
        for what, kind in pairs.items()
        if type(kind) not in PLAYED[what]
    ]


def _of_system(system: ExternalSystem) -> list[str]:
    links = links_of(system)
    unknown = {type(kind) for kind in links if kind is not None} - {*PLAYED["links"]}
    names = [f"{type(system).__name__} ({kind.__name__})" for kind in unknown]
    if None in links:
        own = [type(link).__name__ for link in system.links if None in links_of(link)]
        names += own or [type(system).__name__]
    return names
