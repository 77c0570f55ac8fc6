"""What the compiled engine plays: the one table."""

from __future__ import annotations

from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import LoggedCompletions, NightlyBatch, OnlineService, People

PLAYED: dict[str, tuple[type, ...]] = {
    "strategies": (Callback, Polling, Backoff, LongPolling, CallbackWithSafetyPoll),
    "external systems": (
        NightlyBatch,
        OnlineService,
        People,
        LoggedCompletions,
    ),  # and chains of them
    "process elements": (Step, AsyncStep, Choice, Parallel),
}
"""Exactly these classes: a subclass has a behaviour of its own, which only Python can play."""


def unplayed(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return the names of the parts that the compiled engine does not play, each once."""
    links = [link for system in scenario.systems.values() for link in system.links]
    parts: list[tuple[str, object]] = [("strategies", strategy)]
    parts += [("external systems", link) for link in links]
    parts += [("process elements", element) for element in scenario.process.parts()]
    names = [type(part).__name__ for kind, part in parts if type(part) not in PLAYED[kind]]
    return list(dict.fromkeys(names))
