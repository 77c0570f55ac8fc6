"""What a session plays: described once, kept in the store, and read again from there.

A setup also has the HTTP status of each answer to a finish, since a profile may name its own; with
it stand the words that both the REST endpoint and the console use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from attrs import evolve, frozen

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError, StoreError
from asyncsim.live.journal import Journal
from asyncsim.live.records import Handler
from asyncsim.live.store import Store
from asyncsim.model import scenario_files
from asyncsim.model.mixed_strategies import StrategyLike, as_strategy
from asyncsim.model.process import AsyncStep
from asyncsim.model.profiles import Profile, profile_named
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import Callback, Strategy
from asyncsim.model.units import DurationLike, nearest, positive_duration
from asyncsim.model.validation import argument, scenario_error

FORMAT = 2  # version of the store's format; a store of another one is refused
VERSION = version("asyncsim")
PATH = "/api/workflow/v1"  # where the REST endpoint has its resources
# Only the 204 of a finished step is documented by the vendor of K2; the others are ours
STATUS: dict[Answer, int] = {
    Answer.FINISHED: 204,
    Answer.BUFFERED: 202,
    Answer.IGNORED_EARLY: 204,
    Answer.ACCEPTED_DUPLICATE: 204,
    Answer.ACCEPTED_LATE: 204,
    Answer.IGNORED_UNKNOWN: 204,
    Answer.EARLY: 409,
    Answer.DUPLICATE: 409,
    Answer.LATE: 410,
    Answer.UNKNOWN: 404,
    Answer.KEPT_DUPLICATE: 202,
    Answer.KEPT_LATE: 202,
    Answer.STARTED_EARLY: 201,
    Answer.STARTED_DUPLICATE: 201,
    Answer.STARTED_LATE: 201,
    Answer.STARTED_UNKNOWN: 201,
}
# What the sender should do about an answer that rejects a finish
ADVICE: dict[Answer, str] = {
    Answer.EARLY: "The step has made its call and does not wait yet: try again in a moment.",
    Answer.DUPLICATE: "Nothing to do: the step was finished before, and has resumed once.",
    Answer.LATE: "Do not try again: the wait is over. Look at its instance to see how it went on.",
    Answer.UNKNOWN: "Check the number: it is the instance, an underscore, the step's activation.",
}


def advice(answer: Answer, serial_number: str, started: int) -> str:
    """Return what to do about an answer, if `started` instances have started."""
    found = re.fullmatch(r"([1-9]\d{0,8})_\d{1,9}", serial_number, re.ASCII)
    if answer is Answer.UNKNOWN and found and int(found[1]) > started:
        return f"Instance {found[1]} has not started yet: try again later."
    return ADVICE[answer]


@frozen
class Setup:
    """Everything that decides what happens in a session, except its inputs."""

    scenario: Scenario
    strategies: tuple[Strategy, ...]  # the main one first, then those of the twins
    seed: int
    hold: frozenset[str]
    heartbeat: Mapping[str, float]
    profile: str | None  # the engine that is imitated; the scenario has its policy already
    statuses: Mapping[str, str]  # its HTTP statuses by kind of finish, where a source has them
    handlers: Mapping[str, Handler]  # not kept in a store: given again when it is opened

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        strategy: StrategyLike | None,
        against: StrategyLike | Sequence[StrategyLike],
        seed: int,
        hold: bool | str | Iterable[str],
        heartbeat: DurationLike | Mapping[str, DurationLike] | None,
        profile: str | Profile | None,
        on_response: Any,
    ) -> Setup:
        """Return the setup of the arguments of `asyncsim.live`, checked."""
        if not isinstance(scenario, Scenario):
            raise scenario_error("scenario", "must be a Scenario", scenario)
        known = None if profile is None else profile_named(profile)
        scenario = scenario.with_profile(known)
        heartbeats = {
            name: argument(f"heartbeat[{name!r}]", value, positive_duration)
            for name, value in _by_step("heartbeat", heartbeat, scenario).items()
        }
        if not callable(on_response) and not isinstance(on_response, Mapping | None):
            right = "must be a function, or map steps to them"
            raise scenario_error("on_response", right, on_response)
        handlers = _by_step("on_response", on_response, scenario)
        for name, handler in handlers.items():
            if not callable(handler):
                raise scenario_error(f"on_response[{name!r}]", "must be a function", handler)
        return cls(
            scenario,
            checked_strategies(Callback() if strategy is None else strategy, against, scenario),
            seed,
            _held_systems(hold, scenario),
            heartbeats,
            known.name if known else None,
            dict(known.statuses) if known else {},
            handlers,
        )

    def keep(self, store: Store) -> None:
        """Write the setup into a new store, and begin its journal."""
        tables = [scenario_files.strategy_table(one) for one in self.strategies]
        for key, value in {
            "format": FORMAT,
            "asyncsim": VERSION,
            "scenario": scenario_files.dumps(self.scenario),
            "strategies": tables,
            "seed": self.seed,
            "hold": sorted(self.hold),
            "heartbeat": dict(self.heartbeat),
            "profile": self.profile,
            "statuses": dict(self.statuses),
        }.items():
            store.set_about(key, value)
        Journal(store).begin()

    @classmethod
    def kept_in(cls, store: Store, on_response: Any = None) -> Setup:
        """Return the setup that a store was made for."""
        if store.empty:
            start = "start a session with live(scenario, store=…)"
            raise ScenarioError(f"store {store.path!r} is empty; {start}")
        if store.about("format") != FORMAT:
            made = store.about("asyncsim", "an early version")
            raise StoreError(
                f"store {store.path!r} was made by asyncsim {made} in another format; open it with "
                f"that version (this is {VERSION}), or start a session in a new file"
            )
        Journal(store).verify_description()
        scenario = scenario_files.loads(store.about("scenario"), Scenario, store.path)
        tables = store.about("strategies")
        main, *others = (scenario_files.strategy_from(table, store.path) for table in tables)
        seed, hold, heartbeat = (store.about(name) for name in ("seed", "hold", "heartbeat"))
        made = cls.of(scenario, main, others, seed, hold, heartbeat or None, None, on_response)
        return evolve(made, profile=store.about("profile"), statuses=store.about("statuses"))

    def status_of(self, answer: Answer) -> int:
        """Return the HTTP status of an answer, the profile's own where a source names one."""
        return int(str(self.statuses.get(answer.kind, STATUS[answer]))[:3])

    def title_of(self, answer: Answer) -> str:
        """Return the word of the profile's engine for an answer, such as NOT_FOUND; or nothing."""
        return str(self.statuses.get(answer.kind, ""))[4:]

    def difference(self, other: Setup) -> str:
        """Return the argument in which this differs from another, or nothing."""
        for name in ("scenario", "strategies", "seed", "hold", "heartbeat", "profile"):
            if getattr(self, name) != getattr(other, name):
                return "strategy, or others against it" if name == "strategies" else name
        return ""


def checked_strategies(
    main: StrategyLike, against: StrategyLike | Sequence[StrategyLike], scenario: Scenario
) -> tuple[Strategy, ...]:
    """Return the main strategy and those beside it, checked."""
    others = tuple(against) if isinstance(against, (list, tuple)) else (against,)
    found = (
        as_strategy("strategy", main, scenario),
        *(as_strategy("against", other, scenario) for other in others),
    )
    labels = told_apart(found)
    if len(set(labels)) < len(labels):
        raise ScenarioError(f"against must differ from the strategy, got {list(labels)} in all")
    return found


def _held_systems(hold: bool | str | Iterable[str], scenario: Scenario) -> frozenset[str]:
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


def _by_step(argument: str, value: Any, scenario: Scenario) -> dict[str, Any]:
    """Return values by asynchronous step, checked; a single value is for every step."""
    names = [step.name for step in scenario.process.of_type(AsyncStep)]
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            hint = nearest(str(name), names)
            raise ScenarioError(f"{argument} must name asynchronous steps, got {name!r}{hint}")
    return dict(value)
