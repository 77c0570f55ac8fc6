"""The scenario: everything described, in one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import scenario_files
from asyncsim.model.arrivals import Arrivals
from asyncsim.model.calendar import Calendar, zone_name
from asyncsim.model.costs import CostModel
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.profiles import Profile, profile_named
from asyncsim.model.random_streams import Draws, draw_for, key_part
from asyncsim.model.request_log import RequestLog
from asyncsim.model.server import WorkflowServer
from asyncsim.model.systems import ExternalSystem
from asyncsim.model.units import DAY, InvalidValue, any_text, calendar_date, nearest, text
from asyncsim.model.units import length as a_length
from asyncsim.model.validation import choice, name_errors


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


def a_process(value: Process) -> Process:
    """Return a `Process`, checked."""
    if not isinstance(value, Process):
        raise InvalidValue("must be a Process(name, [steps])")
    return value


def some_arrivals(value: Arrivals) -> Arrivals:
    """Return `Arrivals`, checked."""
    if not isinstance(value, Arrivals):
        raise InvalidValue("must be arrivals such as Poisson('300/h')")
    return value


def a_server(value: WorkflowServer) -> WorkflowServer:
    """Return a `WorkflowServer`, checked."""
    if not isinstance(value, WorkflowServer):
        raise InvalidValue("must be a WorkflowServer(workers=…)")
    return value


def some_prices(value: CostModel | None) -> CostModel | None:
    """Return a `CostModel`, checked, or None."""
    if value is not None and not isinstance(value, CostModel):
        raise InvalidValue("must be a CostModel(check=…, late_minute=…)")
    return value


@frozen(field_transformer=name_errors, unsafe_hash=False)
class Scenario:
    """What is simulated: a process, the systems it calls, a server, arrivals, and a calendar.

    Parameters
    ----------
    name
        Name of the scenario.
    process
        What an instance goes through.
    systems
        External systems by the names that the asynchronous steps use.
    arrivals
        When instances start.
    server
        The workflow server.
    start
        First day, from 1700 to 2200; instant 0 is its local midnight.
    length
        How long instances arrive, 40 years at most; the run goes on until the last of them has
        ended.
    zone
        Time zone such as ``"Europe/Berlin"``; left out, the clock has no daylight saving.
    description
        A sentence or two for the reader.
    costs
        Prices; without them nothing is said of money. See `CostModel`.

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
    process: Process = field(converter=a_process)
    systems: Mapping[str, ExternalSystem] = field(converter=systems_by_name)
    arrivals: Arrivals = field(converter=some_arrivals)
    server: WorkflowServer = field(factory=WorkflowServer, converter=a_server)
    start: date = field(default=date(2026, 1, 5), converter=calendar_date)
    length: float = field(default=DAY, converter=a_length)
    zone: str | None = field(default=None, converter=zone_name)
    description: str = field(default="", converter=any_text)
    costs: CostModel | None = field(default=None, converter=some_prices)

    def __attrs_post_init__(self) -> None:
        for step in self.process.of_type(AsyncStep):
            if step.system not in self.systems:
                known = ", ".join(repr(name) for name in self.systems) or "none"
                raise ScenarioError(
                    f"AsyncStep.system must name one of the scenario's systems ({known}), "
                    f"got {step.system!r}{nearest(step.system, self.systems)}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the values: a read-only mapping cannot travel to another process."""
        values = {part.name: getattr(self, part.name) for part in attrs.fields(type(self))}
        return _again, (type(self), values | {"systems": dict(self.systems)})

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
        """Return the scenario with finishes answered as another engine does.

        Database operations are those of that engine too, where they were measured.

        Parameters
        ----------
        profile
            Such as ``"camunda 8"``; `asyncsim.profiles` shows all of them, with what is verified
            and what is not. None changes nothing.
        """
        if profile is None:
            return self
        return self.replace(server=profile_named(profile).applied_to(self.server))

    def with_log(self, path: str | Path | RequestLog, step: str | None = None) -> Scenario:
        """Return the scenario with arrivals and external times taken from a request log.

        Instances arrive when the log's requests were submitted, and the outside work is complete
        when the log says so, or at once if the call comes later than that (steps before it take
        their time in the simulation too). Rows that cannot be used are in
        ``RequestLog.rejected``, and warned of; see `asyncsim.model.request_log.RequestLog.read`.

        Parameters
        ----------
        path
            A CSV file with the columns SN, submitted, completed; or a log read before.
        step
            The asynchronous step whose requests the log holds; may be left out if there is one.
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
            The file; ``"example:nightly_ledger"`` is one that comes with the package.

        Raises
        ------
        ScenarioError
            Naming the file, and the line or the key that is wrong.
        """
        return scenario_files.load(path, cls)

    def save(self, path: str | Path) -> None:
        """Write the scenario to a TOML file; `load` gives an equal scenario back."""
        scenario_files.save(self, path)


def _again(cls: type[Scenario], values: dict[str, Any]) -> Scenario:
    return cls(**values)
