"""The scenario: everything described, in one frozen object, and changes of its fields by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path
from textwrap import shorten
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import scenario_files, units
from asyncsim.model.arrivals import Arrivals
from asyncsim.model.calendar import Calendar, zone_name
from asyncsim.model.html import facts_html, process_html, result_html
from asyncsim.model.process import AsyncStep, Element, Process
from asyncsim.model.profiles import Profile, profile_named
from asyncsim.model.random_streams import Draws, draw_for, key_part
from asyncsim.model.request_log import RequestLog
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.model.systems import ExternalSystem
from asyncsim.model.units import DAY, InvalidValue, nearest, text_of
from asyncsim.model.validation import choice, instance_of, name_errors, shown
from asyncsim.model.words import counted, period_in_words, policy_in_words, server_in_words

T = TypeVar("T")
MOST_SYSTEMS = 20  # that a notebook shows


def _systems(value: Mapping[str, ExternalSystem]) -> Mapping[str, ExternalSystem]:
    """Return a read-only mapping of names to external systems, checked."""
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(system, ExternalSystem)
        for name, system in value.items()
    ):
        raise InvalidValue(
            'must map names to external systems, such as {"ledger": NightlyBatch(…)}'
        )
    return MappingProxyType({units.text(name): system for name, system in value.items()})


@frozen(field_transformer=name_errors, unsafe_hash=False)
class Scenario:
    """What is simulated: a process, the systems it calls, a server, arrivals, and a calendar.

    >>> scenario = sim.Scenario(
    ...     name="a day of orders",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
    ...     arrivals=sim.Poisson("100/day", between=("08:00", "20:00")),
    ... )
    >>> run = sim.simulate(scenario, sim.Callback(), seed=1)

    Parameters
    ----------
    name
        Name of the scenario.
    process
        The elements of an instance.
    systems
        External systems by the names that the asynchronous steps use.
    arrivals
        When instances start.
    server
        The workflow server.
    start
        First day, from 1700 to 2200; instant 0 is its local midnight.
    length
        How long instances arrive, 40 years at most; the run continues until all have ended.
    zone
        Time zone such as ``"Europe/Berlin"``; without it the clock has no daylight saving.
    description
        A sentence or two for the reader.
    costs
        Prices, for metrics of cost; see `CostModel`.
    """

    name: str = field(converter=units.text)
    process: Process = field(validator=instance_of(Process, "a Process(name, [steps])"))
    systems: Mapping[str, ExternalSystem] = field(converter=_systems)
    arrivals: Arrivals = field(validator=instance_of(Arrivals, "arrivals such as Poisson('300/h')"))
    server: WorkflowServer = field(
        factory=WorkflowServer, validator=instance_of(WorkflowServer, "a WorkflowServer(workers=…)")
    )
    start: date = field(default=date(2026, 1, 5), converter=units.calendar_date)
    length: float = field(default=DAY, converter=units.length)
    zone: str | None = field(default=None, converter=zone_name)
    description: str = field(default="", converter=units.any_text)
    costs: CostModel | None = field(
        default=None,
        validator=instance_of(CostModel, "a CostModel(check=…, late_minute=…)", optional=True),
    )

    def __attrs_post_init__(self) -> None:
        for step in self.process.of_type(AsyncStep):
            if step.system not in self.systems:
                known = ", ".join(repr(name) for name in self.systems) or "none"
                raise ScenarioError(
                    f"AsyncStep.system of {step.name!r} must name one of the scenario's systems "
                    f"({known}), got {step.system!r}{nearest(step.system, self.systems)}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the values: a read-only mapping cannot be pickled."""
        values = {part.name: getattr(self, part.name) for part in attrs.fields(type(self))}
        return partial(type(self), **values | {"systems": dict(self.systems)}), ()

    @property
    def calendar(self) -> Calendar:
        """The clock that instants refer to."""
        return Calendar(self.start, self.zone)

    @property
    def has_outages(self) -> bool:
        """Whether the server or a system has outages: closed forms do not hold."""
        return bool(self.server.outages) or self._systems_are_down

    @property
    def hides_completions(self) -> bool:
        """Whether checks may be late, or see nothing, by an outage."""
        poller = any("poller" in outage.parts for outage in self.server.outages)
        return poller or self._systems_are_down

    @property
    def _systems_are_down(self) -> bool:
        links = (link for system in self.systems.values() for link in system.links)
        return any(link.outages for link in links)

    @property
    def notes(self) -> list[str]:
        """Notes on the description: systems for which no step waits."""
        asked = {call.system for call in self.process.of_type(AsyncStep)}
        unused = [name for name in self.systems if name not in asked]
        return [f"no step waits for {', '.join(map(repr, unused))}"] if unused else []

    def draw(self, seed: int = 0, replication: int = 0) -> Draws:
        """Draw all random numbers of one replication ahead.

        `seed` and `replication` are whole numbers from 0; they key every stream, with its name.
        """
        return draw_for(self, key_part("seed", seed), key_part("replication", replication))

    def replace(self, **changes: Any) -> Scenario:
        """Return a copy with some fields changed, also by dotted names.

        >>> scenario = sim.Scenario.load("example:nightly_ledger")
        >>> scenario.replace(length="2 days", **{"server.workers": 8}).server.workers
        8
        """
        return changed(self, changes)

    def with_profile(self, profile: str | Profile | None) -> Scenario:
        """Return the scenario with finishes answered as by another engine, or unchanged for None.

        Database operations are also those of that engine, where they were measured.
        `asyncsim.profiles` shows all of them and what is verified, such as ``"camunda 8"``.
        """
        if profile is None:
            return self
        return self.replace(server=profile_named(profile).applied_to(self.server))

    def with_log(self, path: str | Path | RequestLog, step: str | None = None) -> Scenario:
        """Return the scenario with arrivals and external times taken from a request log.

        Instances arrive when the log's requests were submitted. The outside work is complete at
        the logged time, or at once if the call comes later than that (earlier steps take their
        time in the simulation too). A warning reports rows that cannot be used; they are in
        ``RequestLog.rejected``.

        Parameters
        ----------
        path
            A CSV file with the columns SN, submitted, completed; or a `RequestLog`.
        step
            The asynchronous step whose requests the log holds; optional if there is only one.
        """
        calls = {call.name: call for call in self.process.of_type(AsyncStep)}
        if step is None and len(calls) == 1:
            step = next(iter(calls))
        if step is None and calls:
            words = ", ".join(map(repr, calls))
            raise ScenarioError(f"step must be named, since several steps wait: one of {words}")
        step = choice("step", step, calls)
        system = calls[step].system
        log = path if isinstance(path, RequestLog) else RequestLog.read(path, zone=self.zone)
        for other in calls.values():
            if other.system == system and other.name != step:
                raise ScenarioError(
                    f"a log of step {step!r} cannot stand for system {system!r}, which "
                    f"step {other.name!r} calls as well; give each step a system of its own"
                )
        replay = log.replayed(self.zone)
        return self.replace(
            start=replay.start,
            length=replay.length,
            arrivals=replay.arrivals,
            systems=dict(self.systems) | {system: replay.system},
        )

    def _repr_html_(self) -> str:
        about = f"<div>{escape(shorten(self.description, 500))}</div>" if self.description else ""
        body = f"{about}{process_html(self.process)}{facts_html(self._facts())}"
        return result_html(self.name, body)

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield what there is besides the process, by name and in words."""
        yield "arrivals", self.arrivals.in_words
        yield "calendar", period_in_words(self.start, self.length, self.zone)
        for name, system in islice(self.systems.items(), MOST_SYSTEMS):
            yield name, system.in_words
        if (more := len(self.systems) - MOST_SYSTEMS) > 0:
            yield "…", f"{counted(more, 'more system', 'more systems')}"
        if self.process.timeout is not None:
            yield "instances", f"time out {text_of(self.process.timeout)} after their arrival"
        yield "server", server_in_words(self.server)
        yield "finishes", policy_in_words(self.server.policy)
        if self.costs:
            yield "prices", self.costs.in_words

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario from a TOML file, of 50 million characters at most.

        The file ``"example:nightly_ledger"``, for one, comes with the package.

        Raises
        ------
        ScenarioError
            Naming the file, and the line or the key that is wrong.
        """
        return scenario_files.load(path, cls)

    def save(self, path: str | Path) -> None:
        """Write the scenario to a TOML file; `load` returns an equal scenario."""
        scenario_files.save(self, path)


# --- changes by dotted names --------------------------------------------------------------------


def changed(described: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a frozen description, such as a scenario, with some fields changed at once.

    Dotted names lead to fields of fields (``"server.policy.early"``), to systems and, at any depth,
    steps by name (``"process.steps.post.timeout"``), and to links of a chain and branches of a
    choice by number from 1 (``"systems.saga.systems.2.item_time"``).

    A name without a field is an error that shows the nearest one.
    """
    if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
        raise ScenarioError(
            f'changes must map dotted names to values, such as {{"server.workers": 8}}, '
            f"got {shown(changes)}"
        )
    result: T = _change_parts(described, dict(changes), "")
    return result


def _change_value(old: Any, changes: dict[str, Any], where: str) -> Any:
    """Return the new value; a change of the value itself has the name ``""``."""
    if "" not in changes:
        return _change_parts(old, changes, where)
    if len(changes) > 1:
        other = next(name for name in changes if name)
        raise ScenarioError(
            f"{where!r} cannot be changed together with {_dotted(where, other)!r}, which is "
            "a part of it; name one of them"
        )
    return changes[""]


def _change_parts(old: Any, changes: dict[str, Any], where: str) -> Any:
    """Change fields of an object, values of a mapping, steps, or other parts by their numbers."""
    if _are_steps(old):
        return _change_steps(old, changes, where)
    parts = _parts_of(old)
    if parts is None:
        raise ScenarioError(
            f"{where!r} holds {shown(old)}, which has no fields to change; name {where!r} "
            f"itself, got {shown(where + '.' + next(iter(changes)))}"
        )
    owner = type(old).__name__ if attrs.has(type(old)) else where
    new = {
        name: _change_value(parts[name], inner, _dotted(where, name))
        for name, inner in _by_first_part(changes, parts, where, owner).items()
    }
    if attrs.has(type(old)):
        return attrs.evolve(old, **new)
    return list((parts | new).values()) if isinstance(old, tuple) else parts | new


def _are_steps(old: Any) -> bool:
    return isinstance(old, tuple) and bool(old) and all(isinstance(one, Element) for one in old)


def _parts_of(old: Any) -> dict[str, Any] | None:
    """Return what dotted names lead to, by the next part of the name; None if nothing."""
    if _are_steps(old):
        return {part.name: part for element in old for part in element.parts()}
    if isinstance(old, tuple) and old and all(attrs.has(type(part)) for part in old):
        return {str(k): part for k, part in enumerate(old, 1)}
    if isinstance(old, Mapping):
        return dict(old)
    if not attrs.has(type(old)):
        return None
    fields = attrs.fields(type(old))
    return {field.alias: getattr(old, field.name) for field in fields if field.init}


def _change_steps(elements: tuple[Element, ...], changes: dict[str, Any], where: str) -> Any:
    """Change steps by their names, at any depth."""
    inside = _parts_of(elements) or {}
    by_name = _by_first_part(changes, inside, where, where)

    def change(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(map(change, part))
        if not attrs.has(type(part)):
            return part
        fields = ((field.alias, getattr(part, field.name)) for field in attrs.fields(type(part)))
        nested = {name: change(old) for name, old in fields if isinstance(old, tuple | Element)}
        part = attrs.evolve(part, **nested) if nested else part
        if isinstance(part, Element) and part.name in by_name:
            return _change_value(part, by_name[part.name], _dotted(where, part.name))
        return part

    return change(elements)


def _by_first_part(
    changes: dict[str, Any], known: Mapping[str, Any], where: str, owner: str
) -> dict[str, dict[str, Any]]:
    """Group changes by the longest first part that is known ("sap.fi" may be a name)."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        begins = [one for one in known if name == one or f"{one}." == name[: len(one) + 1] != name]
        first = max(begins, key=len, default=None)
        if first is None:
            word = name.partition(".")[0]
            words = ", ".join(shown(each) for each in known)
            inner = {one: _parts_of(part) or {} for one, part in known.items()}
            deeper = next((f"{one}.{word}" for one, parts in inner.items() if word in parts), "")
            whole = _dotted(where, deeper + name.removeprefix(word))
            hint = f"; did you mean {whole!r}?" if deeper else nearest(word, known)
            raise ScenarioError(
                f"{shown(_dotted(where, name))} names no field: {owner} has {words}, "
                f"got {shown(word)}{hint}"
            )
        found.setdefault(first, {})[name[len(first) + 1 :]] = value
    return found


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
