"""What a session plays: described once, kept in the store, and made again from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from attrs import evolve, frozen

from asyncsim.engine.simulation import check_strategy
from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError, StoreError
from asyncsim.live.journal import Journal
from asyncsim.live.problem_documents import KIND_OF, STATUS
from asyncsim.live.responses import Handler
from asyncsim.live.store import Store
from asyncsim.model import scenario_files
from asyncsim.model.process import AsyncStep
from asyncsim.model.profiles import Profile, profile_named
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import Callback
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DurationLike, nearest, positive_duration
from asyncsim.model.validation import argument, scenario_error

FORMAT = 2
"""Of what is kept in the store; a store of another format is refused."""
VERSION = version("asyncsim")


@frozen
class Setup:
    """All that decides what happens in a session, but for what comes from outside."""

    scenario: Scenario
    strategies: tuple[Strategy, ...]
    """The main one first, then those of the twins."""
    seed: int
    held: frozenset[str]
    heartbeats: Mapping[str, float]
    profile: str | None
    """The name of the engine that is stood in for; the scenario has its policy already."""
    statuses: Mapping[str, int]
    """Its HTTP status codes by kind of finish, where a source names them."""
    handlers: Mapping[str, Handler]
    """Not kept in a store: functions are given again when it is opened."""

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        strategy: Strategy | None,
        against: Strategy | Sequence[Strategy],
        seed: int,
        hold: bool | str | Iterable[str],
        heartbeat: DurationLike | Mapping[str, DurationLike] | None,
        profile: str | Profile | None,
        on_response: Handler | Mapping[str, Handler] | None,
    ) -> Setup:
        """Check everything a person gives, and put it together."""
        if not isinstance(scenario, Scenario):
            raise scenario_error("scenario", "must be a Scenario", scenario)
        known = None if profile is None else profile_named(profile)
        scenario = scenario.with_profile(known)
        return cls(
            scenario,
            strategies_of(Callback() if strategy is None else strategy, against),
            seed,
            held_systems(hold, scenario),
            heartbeats_of(heartbeat, scenario),
            known.name if known else None,
            dict(known.statuses) if known else {},
            handlers_of(on_response, scenario),
        )

    def keep(self, store: Store) -> None:
        """Write everything down in a new store."""
        store.tell("format", FORMAT)
        store.tell("asyncsim", VERSION)
        store.tell("scenario", scenario_files.dumps(self.scenario))
        store.tell("strategies", [scenario_files.strategy_table(one) for one in self.strategies])
        store.tell("seed", self.seed)
        store.tell("hold", sorted(self.held))
        store.tell("heartbeat", dict(self.heartbeats))
        store.tell("profile", self.profile)
        store.tell("statuses", dict(self.statuses))
        Journal(store).begin()

    @classmethod
    def kept_in(cls, store: Store, on_response: Any = None) -> Setup:
        """Return what a store was made for."""
        if store.empty:
            raise ScenarioError(
                f"store {store.path!r} is empty; start a session with live(scenario, store=…)"
            )
        if store.about("format") != FORMAT:
            made = store.about("asyncsim", "an early version")
            raise StoreError(
                f"store {store.path!r} was made by asyncsim {made} in another format; open it with "
                f"that version (this is {VERSION}), or start a session in a new file"
            )
        Journal(store).verify_description()
        scenario = scenario_files.loads(store.about("scenario"), Scenario, store.path)
        strategies = [
            scenario_files.strategy_from(table, store.path) for table in store.about("strategies")
        ]
        main, *others = strategies
        seed, hold, heartbeat = (store.about(name) for name in ("seed", "hold", "heartbeat"))
        made = cls.of(scenario, main, others, seed, hold, heartbeat or None, None, on_response)
        return evolve(made, profile=store.about("profile"), statuses=store.about("statuses"))

    def status_of(self, answer: Answer) -> int:
        """Return the HTTP status of an answer, the profile's own where a source names one."""
        own = None if answer.accepted else self.statuses.get(KIND_OF[answer])
        return STATUS[answer] if own is None else own

    def differs_from(self, other: Setup) -> str:
        """Return the argument in which this differs from another, or nothing."""
        arguments = {
            "scenario": "scenario",
            "strategies": "strategy, or others against it",
            "seed": "seed",
            "held": "hold",
            "heartbeats": "heartbeat",
            "profile": "profile",
        }
        for name, called in arguments.items():
            if getattr(self, name) != getattr(other, name):
                return called
        return ""


def strategies_of(main: Strategy, against: Strategy | Sequence[Strategy]) -> tuple[Strategy, ...]:
    """Return the main strategy and those beside it, checked."""
    others = tuple(against) if isinstance(against, (list, tuple)) else (against,)
    given: list[tuple[str, Any]] = [("strategy", main), *(("against", other) for other in others)]
    for name, value in given:
        check_strategy(name, value)
    strategies: tuple[Strategy, ...] = (main, *others)
    labels = told_apart(strategies)
    if len(set(labels)) < len(labels):
        raise ScenarioError(f"against must differ from the strategy, got {list(labels)} in all")
    return strategies


def held_systems(hold: bool | str | Iterable[str], scenario: Scenario) -> frozenset[str]:
    """Return names of systems: all of them, none, or those given."""
    if isinstance(hold, bool):
        return frozenset(scenario.systems if hold else ())
    if not isinstance(hold, Iterable):
        raise scenario_error("hold", "must be True, or names of systems", hold)
    names = [hold] if isinstance(hold, str) else list(hold)
    for name in names:
        if name not in scenario.systems:
            known = ", ".join(repr(one) for one in scenario.systems)
            raise ScenarioError(
                f"hold must name systems of the scenario ({known}), or be True for all of them "
                f"('all' on the command line), got {name!r}{nearest(str(name), scenario.systems)}"
            )
    return frozenset(names)


def by_step(argument: str, value: Any, scenario: Scenario) -> dict[str, Any]:
    """Return values by asynchronous step, checked; a single value is for every step."""
    names = [step.name for step in scenario.process.of_type(AsyncStep)]
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            raise ScenarioError(
                f"{argument} must name asynchronous steps, got {name!r}{nearest(str(name), names)}"
            )
    return dict(value)


def heartbeats_of(
    heartbeat: DurationLike | Mapping[str, DurationLike] | None, scenario: Scenario
) -> dict[str, float]:
    """Return the longest time without a sign of life in seconds, by step."""
    found = {}
    for name, value in by_step("heartbeat", heartbeat, scenario).items():
        found[name] = argument(f"heartbeat[{name!r}]", value, positive_duration)
    return found


def handlers_of(
    on_response: Handler | Mapping[str, Handler] | None, scenario: Scenario
) -> dict[str, Handler]:
    """Return functions by the name of their step."""
    if not callable(on_response) and not isinstance(on_response, Mapping | None):
        raise scenario_error("on_response", "must be a function, or map steps to them", on_response)
    found = by_step("on_response", on_response, scenario)
    for name, handler in found.items():
        if not callable(handler):
            raise scenario_error(f"on_response[{name!r}]", "must be a function", handler)
    return found
