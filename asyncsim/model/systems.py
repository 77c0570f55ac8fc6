"""External systems: who does the outside work, and when.

Each carries its behaviour as a short SimPy process, `ExternalSystem.run`, that works through what
lies in its tray. What it can see and do is `SystemContext`. Subclass `ExternalSystem` to
model a system of your own; it runs on the SimPy engine.

Identical servers behind one FIFO queue, booked ahead.

When the service time of a job is known as it joins the queue, nobody has to stand in the queue:
the job gets the lane that is free first, and its start and end are known at once. This is the
recursion of Kiefer and Wolfowitz (1955, doi:10.2307/1992945) for FIFO queues with c servers.
Jobs must be booked in the order in which they join.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from heapq import heapreplace
from typing import Protocol

from attrs import field, frozen
from simpy import Event

from asyncsim.model.calendar import (
    Calendar,
    Days,
    Hours,
    clock_or_cron,
    holiday_calendar,
    is_cron,
)
from asyncsim.model.distributions import Duration, figures, law
from asyncsim.model.strategy_base import SimProcess
from asyncsim.model.units import (
    DAY,
    LONGEST_TIME,
    InvalidValue,
    chance_below_one,
    count_or_unlimited,
    days_of_week,
    one_of,
    optional_clock_time,
    optional_count,
    seconds_of_day,
    servers,
    texts,
    window,
)
from asyncsim.model.validation import name_errors, scenario_error


class LanePool:
    """`count` identical servers; `book` tells when a job starts and ends."""

    __slots__ = ("_free_at",)

    def __init__(self, count: int, free_at: float = 0.0) -> None:
        self._free_at = [free_at] * count  # equal entries are a valid heap

    @property
    def next_free(self) -> float:
        """The instant at which the first lane is (or was) free."""
        return self._free_at[0]

    def book(self, ready: float, duration: float) -> tuple[float, float]:
        """Book a job that joins at `ready`; return its start and its end."""
        free = self._free_at[0]
        start = free if free > ready else ready
        end = start + duration
        heapreplace(self._free_at, end)
        return start, end


class Item(Protocol):
    """A piece of work on its way through an external system."""

    serial_number: str
    submitted: float
    """When it came to this system."""
    time: float
    """How long this system works on it, in seconds."""
    number: int
    """Number of the instance it belongs to, from 1."""


class SystemContext(Protocol):
    """What an external system sees of the simulation, and what it can do."""

    calendar: Calendar

    @property
    def now(self) -> float:
        """The present instant in seconds."""

    @property
    def tray(self) -> Sequence[Item]:
        """What has been submitted and not been taken, the oldest first."""

    def until(self, instant: float) -> Event:
        """Wait until an instant (not at all if it is past)."""

    def until_after(self, instant: float) -> Event:
        """Wait until everything else of an instant has happened, all submissions included."""

    def wait_for_work(self) -> Event:
        """Wait until something lies in the tray."""

    def take(self, submitted_by: float = math.inf, at_most: int | None = None) -> list[Item]:
        """Take items from the tray, the oldest first."""

    def put_back(self, items: Sequence[Item]) -> None:
        """Put items back at the front of the tray."""

    def complete(self, item: Item, at: float | None = None) -> None:
        """Mark an item complete, now or at an instant.

        Items that are complete at one instant are shown, or passed on, in the order of instances
        and their steps.
        """

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""


class ExternalSystem(abc.ABC):
    """Does the outside work. `item_time` is the law of the time it works on one item.

    >>> sim.OnlineService("2s").links
    (OnlineService(item_time=Fixed(value=2.0), lanes=1),)
    """

    item_time: Duration

    @abc.abstractmethod
    def run(self, desk: SystemContext) -> SimProcess:
        """Work through the tray: a SimPy process that never ends."""

    @property
    def links(self) -> tuple[ExternalSystem, ...]:
        """The systems an item goes through, one after the other: usually just this one."""
        return (self,)


@frozen
class Night:
    """One scheduled run of a batch, in instants."""

    index: int
    start: float
    cut_off: float
    end: float


def visibility(value: str) -> str:
    """Return when results of a batch can be seen, checked."""
    return one_of(value, ("per item", "at end"))


@frozen(field_transformer=name_errors)
class NightlyBatch(ExternalSystem):
    """A batch that runs by the clock over whatever has been submitted by its cut-off.

    A batch still running when the next one is due lets that one start late. An item counts as
    submitted in time at the very instant of the cut-off.

    >>> sim.NightlyBatch("22:00", item_time="150ms", days="Mon-Fri", holidays="DE").lanes
    1

    Parameters
    ----------
    start
        Clock time (``"22:00"``) or five-field cron expression (``"0 22 * * 1-5"``).
    item_time
        Time on one item.
    days, holidays
        Days on which it runs, less the public holidays of a country ('DE') or part of it ('DE-BY').
    cut_off
        Clock time by which items must be submitted (the day before, if it is later than the
        start); by default the start itself. On a night that skips it, it is never after the start.
    lanes
        Items worked on at the same time.
    max_items
        Most items in one night; the rest is left for the next.
    end
        Clock time at which no new item is begun any more; the rest is left for the next night. If
        it came before the start on a night that changes the clocks, that night is as long as the
        clock times say.
    skip
        Probability that a night does not run at all.
    failure
        Probability that a night breaks down at an item anywhere in it: what was done before
        counts (nothing, with results at the end), the rest is left for the next night.
    results
        Seen ``"per item"`` or only ``"at end"`` of the batch.
    """

    start: str = field(converter=clock_or_cron)
    item_time: Duration = field(converter=law)
    days: str = field(default="every day", converter=days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)
    cut_off: str | None = field(default=None, converter=optional_clock_time, kw_only=True)
    lanes: int = field(default=1, converter=servers, kw_only=True)
    max_items: int | None = field(default=None, converter=optional_count, kw_only=True)
    end: str | None = field(default=None, converter=optional_clock_time, kw_only=True)
    skip: float = field(default=0.0, converter=chance_below_one, kw_only=True)
    failure: float = field(default=0.0, converter=chance_below_one, kw_only=True)
    results: str = field(default="per item", converter=visibility, kw_only=True)

    def __attrs_post_init__(self) -> None:
        no_time = (self.start, self.end) == ("24:00", "00:00")  # of the next day
        if self.end is not None and (no_time or self.end == self.start):
            raise scenario_error("NightlyBatch.end", "must differ from the start", self.end)

    def nights(self, calendar: Calendar) -> Iterator[Night]:
        """Yield the scheduled runs in order."""
        days = Days(self.days, self.holidays)
        if is_cron(self.start):
            starts = calendar.cron_times(self.start, days)
        else:
            starts = calendar.times_of(self.start, days)
        for index, (day, clock, start) in enumerate(starts):
            cut_off, end = start, math.inf
            if self.cut_off is not None:
                earlier = seconds_of_day(self.cut_off) > clock
                cut_off = min(calendar.instant(_shift(day, -earlier), self.cut_off), start)
            if self.end is not None:
                later = seconds_of_day(self.end) <= clock
                end = calendar.instant(_shift(day, later), self.end)
                if end <= start:  # the start is skipped, or is the second of its kind
                    end = start + seconds_of_day(self.end) + DAY * later - clock
            yield Night(index, start, cut_off, end)

    def run(self, desk: SystemContext) -> SimProcess:
        """Every night: take what is there, work through it, show the results."""
        nights = self.nights(desk.calendar)
        while True:
            yield desk.wait_for_work()
            oldest = desk.tray[0].submitted
            night = next((night for night in nights if night.cut_off >= oldest), None)
            if night is None:
                raise scenario_error(
                    "NightlyBatch.start", "must come round again on some day", self.start
                )
            yield desk.until_after(night.start)
            if self.skip and desk.chance("skip", night.index) < self.skip:
                continue
            items = desk.take(night.cut_off, self.max_items)
            done = self.work_through(items, night, desk)
            last = max((ended for ended, _ in done), default=desk.now)
            for ended, item in done:
                desk.complete(item, at=last if self.results == "at end" else ended)
            yield desk.until(last)

    def work_through(
        self, items: Sequence[Item], night: Night, desk: SystemContext
    ) -> list[tuple[float, Item]]:
        """Return what gets done and when; the rest goes back to the tray."""
        broken_at = len(items)
        if self.failure and desk.chance("failure", night.index) < self.failure:
            broken_at = int(desk.chance("breakdown", night.index) * len(items))
            if self.results == "at end":
                broken_at = 0
        lanes, done = LanePool(self.lanes, free_at=desk.now), []
        for k, item in enumerate(items):
            if k == broken_at or lanes.next_free >= night.end:
                desk.put_back(items[k:])
                break
            _, ended = lanes.book(desk.now, item.time)
            done.append((ended, item))
        return done


def _shift(day: date, by: int) -> date:
    return day + timedelta(days=int(by))


@frozen(field_transformer=name_errors)
class OnlineService(ExternalSystem):
    """Answers as soon as it can: `lanes` requests at a time, FIFO.

    >>> sim.OnlineService(sim.exponential("10min"), lanes=None).item_time.mean
    600.0

    Parameters
    ----------
    item_time
        Time on one request.
    lanes
        Requests worked on at the same time; None, in files ``"unlimited"``, for any number.
    """

    item_time: Duration = field(converter=law)
    lanes: int | None = field(default=1, converter=count_or_unlimited, kw_only=True)

    def run(self, desk: SystemContext) -> SimProcess:
        """Give each request the lane that is free first."""
        lanes = LanePool(self.lanes) if self.lanes else None
        while True:
            yield desk.wait_for_work()
            for item in desk.take():
                if lanes is None:
                    desk.complete(item, at=desk.now + item.time)
                else:
                    _, ended = lanes.book(desk.now, item.time)
                    desk.complete(item, at=ended)


@frozen(field_transformer=name_errors)
class People(ExternalSystem):
    """A team that takes tasks one by one in its working hours, and goes home in between.

    A task begun today and not done is gone on with on the next working day.

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
    """

    team: int = field(converter=servers)
    item_time: Duration = field(converter=law)
    between: tuple[str, str] = field(default=("08:00", "17:00"), converter=window, kw_only=True)
    days: str = field(default="Mon-Fri", converter=days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)

    def run(self, desk: SystemContext) -> SimProcess:
        """Give each task to the person who is free first; count working time only."""
        office = Hours(self.between, Days(self.days, self.holidays)).opened(desk.calendar)
        team = LanePool(self.team)
        while True:
            yield desk.wait_for_work()
            for item in desk.take():
                _, ended = team.book(office.open_seconds(desk.now), item.time)
                desk.complete(item, at=max(office.instant_of(ended), desk.now))


MOST_LINKS = 100


def chained(value: Sequence[ExternalSystem]) -> tuple[ExternalSystem, ...]:
    """Return two or more systems, checked."""
    several = isinstance(value, (list, tuple)) and len(value) >= 2
    if several and all(isinstance(system, ExternalSystem) for system in value):
        if sum(len(system.links) for system in value) > MOST_LINKS:
            raise InvalidValue(
                f"must have {MOST_LINKS} links at most, those of chains in it counted"
            )
        return tuple(value)
    raise InvalidValue("must be a list of two or more external systems")


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

    systems: tuple[ExternalSystem, ...] = field(converter=chained)

    @property
    def links(self) -> tuple[ExternalSystem, ...]:
        """The systems in order, chains within the chain laid out flat."""
        return tuple(link for system in self.systems for link in system.links)

    def run(self, desk: SystemContext) -> SimProcess:
        """Not used: each link runs at its own desk."""
        raise NotImplementedError("the links of a chain run, not the chain")


def instants(value: Sequence[float]) -> tuple[float, ...]:
    """Return instants in seconds, in the order given, no further away than a time is long."""
    try:
        found = figures(value)
    except (InvalidValue, TypeError, ValueError):
        raise InvalidValue("must be a list of finite instants in seconds") from None
    if not found:
        raise InvalidValue("must hold at least one instant")
    if max(found) > LONGEST_TIME or min(found) < -LONGEST_TIME:
        raise InvalidValue(f"must hold instants up to {LONGEST_TIME:g} s")
    return found


@frozen(field_transformer=name_errors)
class LoggedCompletions(ExternalSystem):
    """Completes each item at the instant a log says, or at once if that is past.

    >>> sim.LoggedCompletions([3600.0, 60.0], ["1_31", "2_31"]).serial_numbers
    ('1_31', '2_31')

    Parameters
    ----------
    completions
        Instant of completion of instance 1, 2, … in seconds from the scenario's start.
    serial_numbers
        The numbers the log has for them, used in place of the simulated ones.
    """

    completions: tuple[float, ...] = field(converter=instants, repr=False)
    serial_numbers: tuple[str, ...] = field(default=(), converter=texts, repr=False)

    def __attrs_post_init__(self) -> None:
        n = len(self.serial_numbers)
        if n and (n != len(self.completions) or len(set(self.serial_numbers)) != n):
            raise scenario_error(
                "LoggedCompletions.serial_numbers",
                "must be unique, and as many as the completions",
                n,
            )

    @property
    def item_time(self) -> Duration:  # type: ignore[override]
        """No time is drawn: the log tells the completion itself."""
        return law(0.0)

    def run(self, desk: SystemContext) -> SimProcess:
        """Look each item up in the log."""
        while True:
            yield desk.wait_for_work()
            for item in desk.take():
                desk.complete(item, at=max(self.completions[item.number - 1], desk.now))


SYSTEMS: dict[str, type[ExternalSystem]] = {
    "nightly batch": NightlyBatch,
    "online service": OnlineService,
    "people": People,
    "chain": Chain,
    "recorded": LoggedCompletions,
}
