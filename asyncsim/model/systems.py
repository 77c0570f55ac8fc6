"""External systems: who does the outside work, and when.

Each carries its behaviour as a short SimPy process, `ExternalSystem.run`, that works through its
queue with what `SystemContext` offers. Its `specification` says the same in plain values, for the
compiled engine and the capacity bounds. Subclass `ExternalSystem` for a system of your own; SimPy
plays it.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from heapq import heapreplace
from typing import Protocol

from attrs import field, frozen
from simpy import Event

from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Duration, Fixed, finite_numbers
from asyncsim.model.outages import Downtime, Outage
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Described,
    Link,
    Night,
    Service,
    Staff,
    SystemSpecification,
    own_specification,
)
from asyncsim.model.strategies import SimProcess
from asyncsim.model.units import LONGEST_TIME, InvalidValue, texts
from asyncsim.model.validation import name_errors, scenario_error
from asyncsim.model.words import links_in_words


class LanePool:
    """`count` identical servers behind one FIFO queue, booked ahead; all may be down at a time.

    A job gets the lane that is free first, and its start and end are known when it joins: the
    recursion of Kiefer and Wolfowitz (1955, doi:10.2307/1992945). Book jobs in order of joining.
    """

    __slots__ = ("_down", "_free_at")

    def __init__(self, count: int, free_at: float = 0.0, down: Downtime | None = None) -> None:
        self._free_at = [free_at] * count  # equal entries are a valid heap
        self._down = down

    @property
    def next_free(self) -> float:
        """The instant at which the first lane is (or was) free."""
        return self._free_at[0]

    def book(self, ready: float, duration: float) -> tuple[float, float]:
        """Book a job that joins at `ready`; return its start and its end."""
        free = self._free_at[0]
        start = free if free > ready else ready
        start, end = self._down.worked(start, duration) if self._down else (start, start + duration)
        heapreplace(self._free_at, end)
        return start, end


class Item(Protocol):
    """A piece of work on its way through an external system."""

    serial_number: str
    submitted: float  # when it came to this system
    time: float  # seconds that this system works on it
    number: int  # of the instance it belongs to, from 1


class SystemContext(Protocol):
    """What an external system sees of the simulation, and what it can do."""

    calendar: Calendar
    taken: int  # items taken and neither complete nor withdrawn
    withdraws: bool  # whether waits that time out withdraw their items
    down: Downtime | None
    """When the system is down, by its outages; None if it never is."""

    @property
    def now(self) -> float:
        """The present instant in seconds."""

    @property
    def queue(self) -> Sequence[Item]:
        """What has been submitted and not been taken, the oldest first."""

    def until(self, instant: float) -> Event:
        """Wait until an instant (not at all if it is past)."""

    def until_after(self, instant: float) -> Event:
        """Wait until everything else of an instant has happened, all submissions included."""

    def wait_for_work(self) -> Event:
        """Wait until something lies in the queue."""

    def wait_for_lane(self) -> Event:
        """Wait until an item that was taken is complete or withdrawn."""

    def take(self, submitted_by: float = math.inf, at_most: int | None = None) -> list[Item]:
        """Take items from the queue, the oldest first."""

    def put_back(self, items: Sequence[Item]) -> None:
        """Put items back at the front of the queue."""

    def complete(self, item: Item, at: float | None = None) -> None:
        """Mark an item complete, now or at an instant; ties by instance, then step."""

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""


class ExternalSystem(Described, abc.ABC):
    """Does the outside work. `item_time` is the distribution of the time it works on one item.

    >>> [link.lanes for link in sim.OnlineService("2s").links]
    [1]
    """

    item_time: Duration
    serial_numbers: Sequence[str] = ()  # in a log, for instance 1, 2, …, in place of simulated ones
    instances: int | None = None  # that a log has completions for; None for any number
    outages: tuple[Outage, ...] = ()

    @abc.abstractmethod
    def run(self, context: SystemContext) -> SimProcess:
        """Work through the queue: a SimPy process that never ends."""

    @property
    def specification(self) -> SystemSpecification | None:
        """What `run` does, in values that need no SimPy to be read: one for each of `links`.

        Built-in systems have that of the kind whose fields they inherit. It stands for this very
        class: a subclass may behave in another way and defines its own.
        """
        kinds = [kind for kind in (Batch, Service, Staff, Completions) if isinstance(self, kind)]
        return tuple(kind.of(self) for kind in kinds) or None

    @property
    def links(self) -> tuple[ExternalSystem, ...]:
        """The systems an item goes through, one after the other: usually just this one."""
        return (self,)

    @property
    def in_words(self) -> str:
        """Who does the outside work, and how long it takes; a custom system is named."""
        return links_in_words(zip(links_of(self), self.links, strict=True))


def one_by_one(
    context: SystemContext, lanes: int | None, end: Callable[[Item], float]
) -> SimProcess:
    """Start an item only when a lane is free: one that is withdrawn makes room for the next.

    Without withdrawals this is what booking lanes ahead (`LanePool`) gives with fewer events.
    """
    while True:
        yield context.wait_for_work()
        while context.queue and (lanes is None or context.taken < lanes):
            for item in context.take(at_most=1):
                context.complete(item, at=max(end(item), context.now))
        if context.queue:
            yield context.wait_for_lane()


def _ended(context: SystemContext, item: Item) -> float:
    """Return when work that begins now ends."""
    if context.down:
        return context.down.worked(context.now, item.time)[1]
    return context.now + item.time


def links_of(system: ExternalSystem) -> SystemSpecification:
    """Return the specification of each link of a system; None for a link that has none."""
    found = own_specification(system, tuple, "a tuple with a specification or None for each link")
    if found is None:
        return (None,) * len(system.links)
    if len(found) != len(system.links):
        name = f"{type(system).__name__}.specification"
        raise scenario_error(name, f"must have {len(system.links)} values", found)
    return found


def single_link(system: ExternalSystem) -> Link | None:
    """Return the specification of a system; None if it has none, or is a chain."""
    links = links_of(system)
    return links[0] if len(links) == 1 else None


@frozen(field_transformer=name_errors)
class NightlyBatch(Batch, ExternalSystem):
    """A batch that runs by the clock over whatever has been submitted by its cut-off.

    A batch still running when the next one is due lets that one start late. An item counts as
    submitted in time at the very instant of the cut-off.

    >>> sim.NightlyBatch("22:00", item_time="150ms", days="Mon-Fri", holidays="DE").lanes
    1

    Parameters
    ----------
    start
        Clock time (``"22:00"``), five-field cron expression (``"0 22 * * 1-5"``) or the clock times
        of several runs a day in order (``["10:30", "14:45", "16:45"]``).
    item_time
        Time on one item.
    days, holidays
        Days on which it runs, less the public holidays of a country ('DE'), a part of it ('DE-BY')
        or banks ('FED', 'ECB', 'NYSE').
    cut_off
        Clock time by which items must be submitted (the day before, if it is later than the
        start); by default the start itself. On a night that skips it, it is never after the start.
        With several starts a list, one for each; what misses the last waits for the next day.
    lanes
        Items worked on at the same time.
    max_items
        Most items in one night; the rest is left for the next.
    end
        Clock time from which no new item is started; the rest is left for the next night. If
        it came before the start on a night that changes the clocks, that night is as long as the
        clock times say.
    skip
        Probability that a night does not run at all.
    failure
        Probability that a night breaks down at an item anywhere in it: what was done before
        counts (nothing, with results at the end), the rest is left for the next night.
    results
        Seen ``"per item"`` or only ``"at end"`` of the batch.
    outages
        When it is down; see `Outage`. A run due meanwhile begins when it is up again. It takes
        calls all the same. Checks see nothing, and callbacks are sent, when it is up again. In a
        chain the last system answers checks and calls back.
    """

    def run(self, context: SystemContext) -> SimProcess:
        """Every night: take what is there, work through it, publish the results."""
        nights = self.nights(context.calendar)
        while True:
            yield context.wait_for_work()
            oldest = context.queue[0].submitted
            night = next((night for night in nights if night.cut_off >= oldest), None)
            if night is None:
                problem = "must come round again on some day"
                raise scenario_error("NightlyBatch.start", problem, self.start)
            start = max(night.start, context.now)
            yield context.until_after(context.down.up_from(start) if context.down else start)
            if self.skip and context.chance("skip", night.index) < self.skip:
                continue
            items = context.take(night.cut_off, self.max_items)
            done = self.work_through(items, night, context)
            last = max((ended for ended, _ in done), default=context.now)
            for ended, item in done:
                context.complete(item, at=last if self.results == "at end" else ended)
            yield context.until(last)

    def work_through(
        self, items: Sequence[Item], night: Night, context: SystemContext
    ) -> list[tuple[float, Item]]:
        """Return what gets done and when; the rest goes back to the queue."""
        broken_at = len(items)
        if self.failure and context.chance("failure", night.index) < self.failure:
            share = context.chance("breakdown", night.index)
            broken_at = 0 if self.results == "at end" else int(share * len(items))
        lanes, done = LanePool(self.lanes, context.now, context.down), []
        for k, item in enumerate(items):
            if k == broken_at or lanes.next_free >= night.end:
                context.put_back(items[k:])
                break
            _, ended = lanes.book(context.now, item.time)
            done.append((ended, item))
        return done


@frozen(field_transformer=name_errors)
class OnlineService(Service, ExternalSystem):
    """Answers as soon as it can: `lanes` requests at a time, FIFO.

    >>> sim.OnlineService(sim.exponential("10min"), lanes=None).item_time.mean
    600.0

    Parameters
    ----------
    item_time
        Time on one request.
    lanes
        Requests worked on at the same time; None, in files ``"unlimited"``, for any number.
    outages
        When it is down; see `Outage`. It takes calls all the same, and works them off afterwards.
        Checks see nothing, and callbacks are sent, when it is up again. In a chain the last system
        answers checks and calls back.
    """

    def run(self, context: SystemContext) -> SimProcess:
        """Give each request the lane that is free first."""
        if context.withdraws:
            yield from one_by_one(context, self.lanes, partial(_ended, context))
        lanes = LanePool(self.lanes, down=context.down) if self.lanes else None
        while True:
            yield context.wait_for_work()
            for item in context.take():
                lane = lanes or LanePool(1, down=context.down)
                context.complete(item, at=lane.book(context.now, item.time)[1])


@frozen(field_transformer=name_errors)
class People(Staff, ExternalSystem):
    """A team that takes tasks one by one, in its working hours.

    Unfinished tasks continue on the next working day.

    >>> sim.People(3, "12min", between=("09:00", "17:00"), holidays="DE-BY").team
    3

    Parameters
    ----------
    team
        Number of people.
    item_time
        Working time on one task.
    between, days, holidays
        Working hours, days of the week, and the place whose public holidays are free.
    outages
        When it is down; see `Outage`. Work pauses. It takes calls all the same. Checks see nothing,
        and callbacks are sent, when it is up again. In a chain the last system answers checks and
        calls back.
    """

    def run(self, context: SystemContext) -> SimProcess:
        """Give each task to the first free member of the team; count working time only."""
        office = self.hours(context.calendar, context.down)

        def end(item: Item) -> float:
            return office.instant_of(office.open_seconds(context.now) + item.time)

        if context.withdraws:
            yield from one_by_one(context, self.team, end)
        team = LanePool(self.team)
        while True:
            yield context.wait_for_work()
            for item in context.take():
                _, ended = team.book(office.open_seconds(context.now), item.time)
                context.complete(item, at=max(office.instant_of(ended), context.now))


MOST_LINKS = 100


def _chained(value: Sequence[ExternalSystem]) -> tuple[ExternalSystem, ...]:
    several = isinstance(value, (list, tuple)) and len(value) >= 2
    if not several or not all(isinstance(system, ExternalSystem) for system in value):
        raise InvalidValue("must be a list of two or more external systems")
    if sum(len(system.links) for system in value) > MOST_LINKS:
        raise InvalidValue(f"must have {MOST_LINKS} links at most, those of chains in it counted")
    return tuple(value)


@frozen(field_transformer=name_errors)
class Chain(ExternalSystem):
    """A long transaction: each system passes the item on to the next, the last one completes it.

    >>> len(sim.Chain([sim.OnlineService("2s"), sim.NightlyBatch("22:00", "1s")]).links)
    2

    Parameters
    ----------
    systems
        Two or more systems, in order; 100 at most, those of chains within it counted.
    """

    systems: tuple[ExternalSystem, ...] = field(converter=_chained)

    @property
    def links(self) -> tuple[ExternalSystem, ...]:
        """The systems in order, chains within the chain laid out flat."""
        return tuple(link for system in self.systems for link in system.links)

    @cached_property
    def specification(self) -> SystemSpecification:
        """Those of the links."""
        return tuple(spec for system in self.systems for spec in links_of(system))

    def run(self, context: SystemContext) -> SimProcess:
        """Not used: each link runs on its own."""
        raise NotImplementedError("the links of a chain run, not the chain")


def instants(value: Sequence[float]) -> tuple[float, ...]:
    """Return instants in seconds, in the order given, no further away than a time is long."""
    found = finite_numbers(value, "must be a list of finite instants in seconds")
    if not found:
        raise InvalidValue("must hold at least one instant")
    if max(found) > LONGEST_TIME or min(found) < -LONGEST_TIME:
        raise InvalidValue(f"must hold instants up to {LONGEST_TIME:g} s")
    return found


@frozen(field_transformer=name_errors)
class LoggedCompletions(Completions, ExternalSystem):
    """Completes each item at the instant in a log, or at once if that is past.

    >>> sim.LoggedCompletions([3600.0, 60.0], ["1_31", "2_31"]).serial_numbers
    ('1_31', '2_31')

    Parameters
    ----------
    completions
        Instant of completion of instance 1, 2, … in seconds from the scenario's start.
    serial_numbers
        Their serial numbers in the log, used in place of the simulated ones.
    """

    item_time = Fixed(0.0)  # nothing is drawn: the log has the completion itself
    completions: tuple[float, ...] = field(converter=instants, repr=False)
    serial_numbers: tuple[str, ...] = field(default=(), converter=texts, repr=False)

    def __attrs_post_init__(self) -> None:
        n = len(self.serial_numbers)
        if n and (n != len(self.completions) or len(set(self.serial_numbers)) != n):
            problem = "must be unique, and as many as the completions"
            raise scenario_error("LoggedCompletions.serial_numbers", problem, n)

    @property
    def instances(self) -> int:  # type: ignore[override]
        """The number of completions."""
        return len(self.completions)

    def run(self, context: SystemContext) -> SimProcess:
        """Look each item up in the log."""
        while True:
            yield context.wait_for_work()
            for item in context.take():
                context.complete(item, at=max(self.completions[item.number - 1], context.now))


SYSTEMS: dict[str, type[ExternalSystem]] = {
    "nightly batch": NightlyBatch,
    "online service": OnlineService,
    "people": People,
    "chain": Chain,
    "recorded": LoggedCompletions,
}
