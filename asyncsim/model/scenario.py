"""The scenario: everything described, in one frozen object, and changes of its fields by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import scenario_files
from asyncsim.model.arrivals import Arrivals
from asyncsim.model.calendar import Calendar, zone_name
from asyncsim.model.process import AsyncStep, Element, Process
from asyncsim.model.profiles import Profile, profile_named
from asyncsim.model.random_streams import Draws, draw_for, key_part
from asyncsim.model.request_log import RequestLog
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.model.systems import ExternalSystem
from asyncsim.model.units import DAY, InvalidValue, any_text, calendar_date, nearest, text
from asyncsim.model.units import length as a_length
from asyncsim.model.validation import choice, instance_of, name_errors, shown

T = TypeVar("T")


def systems_by_name(value: Mapping[str, ExternalSystem]) -> Mapping[str, ExternalSystem]:
    """Return a read-only mapping of names to external systems, checked."""
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(system, ExternalSystem)
        for name, system in value.items()
    ):
        raise InvalidValue(
            'must map names to external systems, such as {"ledger": NightlyBatch(…)}'
        )
    return MappingProxyType({text(name): system for name, system in value.items()})


@frozen(field_transformer=name_errors, unsafe_hash=False)
class Scenario:
    """What is simulated: a process, the systems it calls, a server, arrivals, and a calendar.

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

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a day of orders",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
    ...     arrivals=sim.Poisson("100/day", between=("08:00", "20:00")),
    ... )
    >>> run = sim.simulate(scenario, sim.Callback(), seed=1)
    """

    name: str = field(converter=text)
    process: Process = field(validator=instance_of(Process, "a Process(name, [steps])"))
    systems: Mapping[str, ExternalSystem] = field(converter=systems_by_name)
    arrivals: Arrivals = field(validator=instance_of(Arrivals, "arrivals such as Poisson('300/h')"))
    server: WorkflowServer = field(
        factory=WorkflowServer, validator=instance_of(WorkflowServer, "a WorkflowServer(workers=…)")
    )
    start: date = field(default=date(2026, 1, 5), converter=calendar_date)
    length: float = field(default=DAY, converter=a_length)
    zone: str | None = field(default=None, converter=zone_name)
    description: str = field(default="", converter=any_text)
    costs: CostModel | None = field(
        default=None,
        validator=instance_of(CostModel, "a CostModel(check=…, late_minute=…)", optional=True),
    )

    def __attrs_post_init__(self) -> None:
        for step in self.process.of_type(AsyncStep):
            if step.system not in self.systems:
                known = ", ".join(repr(name) for name in self.systems) or "none"
                raise ScenarioError(
                    f"AsyncStep.system must name one of the scenario's systems ({known}), "
                    f"got {step.system!r}{nearest(step.system, self.systems)}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the values: a read-only mapping cannot be pickled."""
        values = {part.name: getattr(self, part.name) for part in attrs.fields(type(self))}
        return _unpickled, (type(self), values | {"systems": dict(self.systems)})

    @property
    def calendar(self) -> Calendar:
        """The clock that instants refer to."""
        return Calendar(self.start, self.zone)

    def draw(self, seed: int = 0, replication: int = 0) -> Draws:
        """Draw all random numbers of one replication ahead.

        Parameters
        ----------
        seed, replication
            Whole numbers from 0; every stream is keyed by them and by its own name.
        """
        return draw_for(self, key_part("seed", seed), key_part("replication", replication))

    def replace(self, **changes: Any) -> Scenario:
        """Return a copy with some fields changed."""
        return attrs.evolve(self, **changes)

    def with_profile(self, profile: str | Profile | None) -> Scenario:
        """Return the scenario with finishes answered as by another engine.

        Database operations are also those of that engine, where they were measured.

        Parameters
        ----------
        profile
            Such as ``"camunda 8"``; `asyncsim.profiles` shows all of them and what is verified.
            None changes nothing.
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
        step = choice("step", step, calls)
        log = path
        if not isinstance(log, RequestLog):
            log = RequestLog.read(log, zone=self.zone)
        self._refuse_shared_system(calls[step])
        replay = log.replayed(self.zone)
        return self.replace(
            start=replay.start,
            length=replay.length,
            arrivals=replay.arrivals,
            systems=dict(self.systems) | {calls[step].system: replay.system},
        )

    def _refuse_shared_system(self, step: AsyncStep) -> None:
        for other in self.process.of_type(AsyncStep):
            if other.system == step.system and other is not step:
                raise ScenarioError(
                    f"a log of step {step.name!r} cannot stand for system {step.system!r}, which "
                    f"step {other.name!r} calls as well; give each step a system of its own"
                )

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario from a TOML file, of 50 million characters at most.

        Parameters
        ----------
        path
            The file; ``"example:nightly_ledger"`` comes with the package.

        Raises
        ------
        ScenarioError
            Naming the file, and the line or the key that is wrong.
        """
        return scenario_files.load(path, cls)

    def save(self, path: str | Path) -> None:
        """Write the scenario to a TOML file; `load` returns an equal scenario."""
        scenario_files.save(self, path)


def _unpickled(cls: type[Scenario], values: dict[str, Any]) -> Scenario:
    return cls(**values)


# --- changes by dotted names --------------------------------------------------------------------


def changed(described: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a scenario, or of any other description, with some fields changed.

    All changes of one object are made at once, so that fields which must agree, such as the shares
    of a response, can be changed together.

    Parameters
    ----------
    described
        A frozen description such as a `Scenario`.
    changes
        New values by dotted names: fields of fields (``"server.policy.early"``), systems and steps
        by name, steps at any depth (``"systems.ledger.start"``, ``"process.steps.post.timeout"``),
        links of a chain and branches of a choice by number from 1
        (``"systems.saga.systems.2.item_time"``).

    Raises
    ------
    ScenarioError
        If a name has no field, with the nearest one that has; or if a value is wrong.

    Examples
    --------
    >>> from asyncsim.model.server import WorkflowServer
    >>> changed(WorkflowServer(), {"workers": 8}).workers
    8
    """
    if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
        raise ScenarioError(
            f'changes must map dotted names to values, such as {{"server.workers": 8}}, '
            f"got {shown(changes)}"
        )
    result: T = _change_fields(described, dict(changes), "")
    return result


def _change_fields(owner: Any, changes: dict[str, Any], where: str) -> Any:
    """Change the fields of one object."""
    if not attrs.has(type(owner)):
        raise ScenarioError(
            f"{where!r} holds {shown(owner)}, which has no fields to change; name {where!r} "
            f"itself, got {shown(where + '.' + next(iter(changes)))}"
        )
    fields = {field.alias: field.name for field in attrs.fields(type(owner)) if field.init}
    values = {}
    for name, inner in _by_first_part(changes, fields, where, type(owner).__name__).items():
        values[name] = _change_value(getattr(owner, fields[name]), inner, _dotted(where, name))
    return attrs.evolve(owner, **values)


def _change_value(old: Any, changes: dict[str, Any], where: str) -> Any:
    """Return the new value; a change of the value itself has the name ``""``."""
    if "" in changes:
        if len(changes) > 1:
            other = next(name for name in changes if name)
            raise ScenarioError(
                f"{where!r} cannot be changed together with {_dotted(where, other)!r}, which is "
                "a part of it; name one of them"
            )
        return changes[""]
    if isinstance(old, Mapping):
        firsts = _by_first_part(changes, old, where, where)
        return dict(old) | {
            name: _change_value(old[name], inner, _dotted(where, name))
            for name, inner in firsts.items()
        }
    if isinstance(old, tuple) and old and all(isinstance(part, Element) for part in old):
        return _change_steps(old, changes, where)
    if isinstance(old, tuple) and old and all(attrs.has(type(part)) for part in old):
        numbers = {str(k): part for k, part in enumerate(old, 1)}
        firsts = _by_first_part(changes, numbers, where, where)
        new = {
            k: _change_value(numbers[k], inner, _dotted(where, k)) for k, inner in firsts.items()
        }
        return [new.get(k, part) for k, part in numbers.items()]
    return _change_fields(old, changes, where)


def _change_steps(elements: tuple[Element, ...], changes: dict[str, Any], where: str) -> Any:
    """Change steps by their names, at any depth."""
    inside = {part.name: part for element in elements for part in element.parts()}
    by_name = _by_first_part(changes, inside, where, where)

    def change(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(change(each) for each in part)
        if not attrs.has(type(part)):
            return part
        nested = {
            field.alias: value
            for field in attrs.fields(type(part))
            if isinstance(value := getattr(part, field.name), tuple)
        }
        deeper = {name: new for name, old in nested.items() if (new := change(old)) != old}
        part = attrs.evolve(part, **deeper) if deeper else part
        if isinstance(part, Element) and part.name in by_name:
            return _change_value(part, by_name[part.name], _dotted(where, part.name))
        return part

    return change(elements)


def _by_first_part(
    changes: dict[str, Any], known: Iterable[str], where: str, owner: str
) -> dict[str, dict[str, Any]]:
    """Group changes by the first part of their names; each keeps the rest of its name.

    A part may contain dots itself (a system called "sap.fi"), so the longest match is taken.
    """
    found: dict[str, dict[str, Any]] = {}
    longest_first = sorted(known, key=len, reverse=True)
    for name, value in changes.items():
        first = next((each for each in longest_first if _begins_with(name, each)), None)
        if first is None:
            word = name.partition(".")[0]
            words = ", ".join(shown(each) for each in known)
            raise ScenarioError(
                f"{shown(_dotted(where, name))} names no field: {owner} has {words}, "
                f"got {shown(word)}{nearest(word, known)}"
            )
        found.setdefault(first, {})[name[len(first) + 1 :]] = value
    return found


def _begins_with(name: str, first: str) -> bool:
    return name == first or (name.startswith(f"{first}.") and len(name) > len(first) + 1)


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
