"""What strategies and external systems declare about themselves: small frozen values.

Both engines, the closed forms, the capacity bounds and the pages of a session read these values and
never ask for a class. A reader that meets a kind it does not know refuses it by name, or answers
that it cannot tell; no kind is ever taken for another, so none has subclasses.

* `StrategySpecification`: when the server *checks* (`Grid`, `Intervals`, `Pauses`, `ClockTimes`,
  `Hold`, `Directed` or `Shared`), and how the external system *delivers* its callback
  (`Deliveries`).
* The specification of a system is a tuple with one value for each link: `Batch`, `Service`, `Staff`
  or `Completions`; None stands for a link that has none.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, Self, TypeVar

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from asyncsim.model import senders, units
from asyncsim.model.calendar import (
    NO_MORE_DEADLINES,
    Calendar,
    Days,
    Hours,
    Instants,
    OpenTime,
    clock_or_cron,
    holiday_calendar,
    is_cron,
)
from asyncsim.model.distributions import Duration, Fixed, as_distribution
from asyncsim.model.outages import Downtime, Outage, system_outages
from asyncsim.model.units import DAY, HOUR, DurationLike, InvalidValue, seconds_of_day
from asyncsim.model.validation import name_errors, scenario_error, word_of

MOST_FACTOR, MOST_PAUSES, MOST_ERROR = 1_000_000, 10_000, 5
ANCHORS = word_of("arming", "clock", "random")
T = TypeVar("T")


class Described:
    """Base of strategies and systems. A built-in one inherits its fields from its kind."""


class Kind:
    """Base of all kinds. Nothing but a strategy or system inherits from a kind."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        if cls.__bases__ != (Kind,) and not issubclass(cls, Described):
            raise TypeError(f"{cls.__name__}: a kind of specification has no subclasses")

    @classmethod
    def of(cls, described: object) -> Self:
        """Return the values of a strategy or system that has the same fields."""
        return cls(**{one.name: getattr(described, one.name) for one in attrs.fields(cls)})  # type: ignore[arg-type]


def own_specification(described: Any, kind: type[T], right: str) -> T | None:
    """Return the specification of a strategy or system; None if its very class has none."""
    cls = type(described)
    if "specification" not in vars(cls) and not any(Kind in one.__bases__ for one in cls.__bases__):
        return None
    found: Any = described.specification
    values = attrs.astuple(found, recurse=False) if attrs.has(type(found)) else found or ()
    if isinstance(found, kind | None) and not any(isinstance(one, Described) for one in values):
        return found
    raise scenario_error(f"{cls.__name__}.specification", f"must be {right}, or None", found)


# --- strategies -----------------------------------------------------------------------------------


class ScheduledWait(Protocol):
    """What a schedule of checks needs of a wait; see `asyncsim.model.strategies.WaitingStep`."""

    armed: float
    checks: int
    last_check: float  # when the last check ended; before the first, when the wait was armed
    notes: dict[str, Any]  # for what a strategy wants to remember of this wait

    @property
    def foreseen(self) -> float:
        """When the external system will be done by its plan; infinite while it has none."""

    @property
    def calendar(self) -> Calendar:
        """The clock of the scenario."""

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this wait, for one purpose."""


def grid_index(anchor: float, interval: float, after: float) -> int:
    """Return the smallest k >= 1 whose grid point ``anchor + k * interval`` is later than `after`.

    The division only gives a first guess; comparing grid points decides, so that a clock at a grid
    point never finds that point again. Both engines use this very function.
    """
    k = max(int((after - anchor) / interval), 1)
    while anchor + k * interval <= after:
        k += 1
    while k > 1 and anchor + (k - 1) * interval > after:
        k -= 1
    return k


def noticed_at(due: float, sweep: float | None) -> float:
    """Return when a deadline is noticed: at once, or by the first sweep that is not before it."""
    if not sweep or due == math.inf:
        return due
    k = grid_index(0.0, sweep, due)
    return (k - 1) * sweep if (k - 1) * sweep >= due else k * sweep


def _skip_one_by_one(schedule: Schedule, step: ScheduledWait, before: float) -> None:
    """Count the checks due before an instant."""
    while (due := schedule.next_check(step)) < before:
        step.checks += 1
        step.last_check = due


@frozen(field_transformer=name_errors)
class Grid(Kind):
    """Checks at fixed intervals; the parameters are those of `asyncsim.Polling`."""

    interval: float = field(converter=units.poll_interval)
    anchor: str = field(default="arming", validator=ANCHORS)
    jitter: float = field(default=0.0, converter=units.duration, kw_only=True)
    limit: int | None = field(default=None, converter=units.optional_count, kw_only=True)
    first: float | None = field(default=None, converter=units.optional_interval, kw_only=True)
    window: tuple[str, str] | None = field(
        default=None, converter=attrs.converters.optional(units.window), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        name = type(self).__name__
        if self.jitter > self.interval:
            problem = f"must not exceed the interval ({self.interval} s)"
            raise scenario_error(f"{name}.jitter", problem, self.jitter)
        if self.window is not None:
            opens, closes = map(seconds_of_day, self.window)
            if closes - opens < self.interval:
                problem = f"must be at least as long as the interval ({self.interval} s)"
                raise scenario_error(f"{name}.window", problem, self.window)

    @property
    def is_plain(self) -> bool:
        """Whether it has neither a first wait nor a window of its own."""
        return self.first is None and self.window is None

    def _start(self, step: ScheduledWait) -> float:
        """Return the instant of grid point 0 for a wait."""
        if self.anchor == "arming":
            return step.armed if self.first is None else step.armed + self.first - self.interval
        return 0.0 if self.anchor == "clock" else step.armed - step.chance("phase") * self.interval

    def _after(self, step: ScheduledWait) -> float:
        """Return the instant later than which the next check is due."""
        if self.first is None or self.anchor == "arming" or step.checks:
            return step.last_check
        return step.armed + self.first

    def _index(self, step: ScheduledWait, start: float) -> int:
        """Return the index of the grid point of the next check."""
        k = grid_index(start, self.interval, self._after(step))
        if self.window is not None:
            spans = opening_hours(self.window, step.calendar)
            while (opens := spans.opening(start + k * self.interval)) is not None:
                k = grid_index(start, self.interval, math.nextafter(opens, -math.inf))
        return k

    def next_check(self, step: ScheduledWait) -> float:
        """Return the first grid point later than the end of the last check, plus its jitter."""
        start = self._start(step)
        k = self._index(step, start)
        late = step.chance("jitter", k) * self.jitter if self.jitter else 0.0
        return start + k * self.interval + late

    def skip(self, step: ScheduledWait, before: float) -> None:
        """Count the checks due before an instant, by arithmetic where that is possible."""
        if self.jitter or self.window is not None:
            _skip_one_by_one(self, step, before)
            return
        start = self._start(step)
        first = grid_index(start, self.interval, self._after(step))
        last = grid_index(start, self.interval, before)
        while last > 0 and start + last * self.interval >= before:
            last -= 1
        if last >= first:
            step.checks += last - first + 1
            step.last_check = start + last * self.interval


def _growth_factor(value: float) -> float:
    factor = units.number(value)
    if factor < 1:
        raise InvalidValue("must be 1 or more")
    if factor > MOST_FACTOR:
        raise InvalidValue(f"must be {MOST_FACTOR:,} at most")
    return factor


@frozen(field_transformer=name_errors)
class Intervals(Kind):
    """Checks at growing intervals; the parameters are those of `asyncsim.Backoff`."""

    first: float = field(default=1.0, converter=units.poll_interval)
    factor: float = field(default=2.0, converter=_growth_factor)
    cap: float | None = field(default=HOUR, converter=units.optional_duration)
    jitter: str = field(default="none", validator=word_of("none", "full", "equal", "decorrelated"))
    limit: int | None = field(default=None, converter=units.optional_count, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.longest < self.first:
            name, problem = f"{type(self).__name__}.cap", f"must be at least first ({self.first} s)"
            raise scenario_error(name, problem, self.cap)

    @property
    def longest(self) -> float:
        """The cap in seconds, infinite if there is none."""
        return math.inf if self.cap is None else self.cap

    def interval(self, k: int) -> float:
        """Return the k-th interval (k = 0, 1, …) in seconds, before jitter."""
        try:
            return min(self.first * self.factor**k, self.longest)
        except OverflowError:
            return self.longest

    def intervals(self, first: int, number: int) -> NDArray[np.float64]:
        """Return some intervals in seconds, before jitter."""
        with np.errstate(over="ignore"):
            grown = self.first * self.factor ** np.arange(first, first + number, dtype=float)
        return np.minimum(grown, self.longest)

    def next_check(self, step: ScheduledWait) -> float:
        """Return the end of the last check plus the next interval."""
        k = step.checks
        if self.jitter == "decorrelated":
            return step.last_check + self._decorrelated(step, k)
        share = 1.0 if self.jitter == "none" else step.chance("jitter", k)
        if self.jitter == "equal":
            share = (1 + share) / 2
        return step.last_check + share * self.interval(k)

    def _decorrelated(self, step: ScheduledWait, k: int) -> float:
        done, slept = step.notes.get("slept", (-1, self.first))
        for j in range(done + 1, k + 1):
            reach = self.first + step.chance("jitter", j) * (3 * slept - self.first)
            slept = min(self.longest, reach)
        step.notes["slept"] = k, slept
        return float(slept)

    skip = _skip_one_by_one


def _pauses(value: Sequence[DurationLike]) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidValue("must be a list of pauses such as ['8h', '10min', '1min']")
    if len(value) > MOST_PAUSES:
        raise InvalidValue(f"must be {MOST_PAUSES:,} pauses at most")
    return tuple(map(units.poll_interval, value))


@frozen(field_transformer=name_errors)
class Pauses(Kind):
    """Checks after given pauses; the parameters are those of `asyncsim.PollingAfter`."""

    pauses: tuple[float, ...] = field(converter=_pauses)
    loop: float = field(default=0.0, converter=units.duration, kw_only=True)
    limit: int | None = field(default=None, converter=units.optional_count, kw_only=True)

    def interval(self, k: int) -> float:
        """Return the k-th pause (k = 0, 1, …) in seconds, with the scheduler's part."""
        return self.pauses[min(k, len(self.pauses) - 1)] + self.loop

    def intervals(self, first: int, number: int) -> NDArray[np.float64]:
        """Return some pauses in seconds."""
        places = np.minimum(np.arange(first, first + number), len(self.pauses) - 1)
        return np.asarray(np.array(self.pauses)[places] + self.loop)

    def next_check(self, step: ScheduledWait) -> float:
        """Return the end of the last check plus the next pause."""
        return step.last_check + self.interval(step.checks)

    skip = _skip_one_by_one


def _clock_times(value: str | Sequence[units.ClockTimeLike]) -> tuple[str, ...]:
    times = [value] if isinstance(value, str) else value
    if isinstance(times, (list, tuple)) and len(times) == 1:
        return (clock_or_cron(times[0]),)
    if isinstance(times, (list, tuple)) and times:
        return tuple(sorted({units.clock_time(one) for one in times}, key=seconds_of_day))
    raise InvalidValue(
        "must be a list of clock times such as ['22:15', '23:00'], or a cron expression such as "
        "'*/15 22-23 * * *'"
    )


@frozen(field_transformer=name_errors)
class ClockTimes(Kind):
    """Checks by the clock; the parameters are those of `asyncsim.PollingAt`."""

    at: tuple[str, ...] = field(converter=_clock_times)
    days: str = field(default="every day", converter=units.days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)
    limit: int | None = field(default=None, converter=units.optional_count, kw_only=True)

    def instants(self, calendar: Calendar) -> Iterator[float]:
        """Yield the instants of all checks in order."""
        days = Days(self.days, self.holidays)
        moments = (
            (calendar.cron_times if is_cron(clock) else calendar.times_of)(clock, days)
            for clock in self.at
        )
        return (moment.instant for moment in heapq.merge(*moments, key=attrgetter("instant")))

    def next_check(self, step: ScheduledWait) -> float:
        """Return the first instant later than the end of the last check."""
        return check_times(self, step.calendar).later_than(step.last_check)

    skip = _skip_one_by_one


Schedule = Grid | Intervals | Pauses | ClockTimes
SCHEDULES = (Grid, Intervals, Pauses, ClockTimes)


@lru_cache(maxsize=64)
def opening_hours(window: tuple[str, str], calendar: Calendar) -> OpenTime:
    """Return the hours of a daily window."""
    return Hours(window).opened(calendar)


@lru_cache(maxsize=64)
def check_times(kind: ClockTimes, calendar: Calendar) -> Instants:
    """Return the instants of checks by the clock."""
    return Instants(kind.instants(calendar))


@lru_cache(maxsize=64)
def clock_deadlines(until: str, calendar: Calendar) -> Instants:
    """Return the instants of the deadlines of an `asyncsim.AsyncStep.until`."""
    return Instants(ClockTimes(until).instants(calendar), NO_MORE_DEADLINES)


@frozen(field_transformer=name_errors)
class Hold(Kind):
    """Requests held open one after the other; the parameter is that of `asyncsim.LongPolling`."""

    hold: float = field(default=30.0, converter=units.poll_interval)


def _error(value: float) -> float:
    found = units.number(value)
    if not 0 <= found <= MOST_ERROR:
        raise InvalidValue(f"must be from 0 to {MOST_ERROR}")
    return found


def answered_pause_ends(
    now: float, foreseen: float, factor: float, default: float, least: float, most: float
) -> float:
    """Return when to check again after the answer of an external system; both engines use it."""
    if foreseen == math.inf:
        return now + default
    due = foreseen if factor == 1.0 else now + (foreseen - now) * factor
    return min(max(due, now + least), now + most)


def error_factor(sigma: float, u: float, v: float) -> float:
    """Return a lognormal factor with median 1, from two uniform numbers (Box & Muller 1958)."""
    normal = math.sqrt(-2.0 * math.log(1.0 - u)) * math.cos(2.0 * math.pi * v)
    return math.exp(sigma * normal)


@frozen(field_transformer=name_errors)
class Directed(Kind):
    """Checks after the pauses in answers; the parameters are those of `asyncsim.ServerDirected`."""

    default: float = field(default=20.0, converter=units.poll_interval)
    at_least: float = field(default=1.0, converter=units.poll_interval, kw_only=True)
    at_most: float = field(default=HOUR, converter=units.poll_interval, kw_only=True)
    error: float = field(default=0.0, converter=_error, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.at_least <= self.default <= self.at_most:
            problem = f"must be from at_least ({self.at_least} s) to at_most ({self.at_most} s)"
            raise scenario_error(f"{type(self).__name__}.default", problem, self.default)

    def next_check(self, step: ScheduledWait) -> float:
        """Return the end of the last check plus the pause in its answer; the default at first."""
        k, factor = step.checks, 1.0
        if self.error:
            chances = step.chance("error", 2 * k), step.chance("error", 2 * k + 1)
            factor = error_factor(self.error, *chances)
        foreseen = step.foreseen if k else math.inf
        bounds = self.default, self.at_least, self.at_most
        return answered_pause_ends(step.last_check, foreseen, factor, *bounds)


class SharedWaits(Protocol):
    """What shared checks need of the open waits of one external system."""

    last_check: float  # when the last check for them ended; at first minus infinity

    @property
    def now(self) -> float:
        """The present instant in seconds."""

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""


@frozen(field_transformer=name_errors)
class Shared(Kind):
    """One check for all waits of a system; the parameters are those of `asyncsim.SharedPoll`."""

    interval: float = field(converter=units.poll_interval)
    most: int | None = field(default=None, converter=units.optional_count, kw_only=True)
    anchor: str = field(default="clock", validator=word_of("clock", "random"), kw_only=True)

    def start(self, phase: float) -> float:
        """Return the instant of grid point 0, for a phase in [0, 1)."""
        return 0.0 if self.anchor == "clock" else -phase * self.interval

    def next_check(self, waits: SharedWaits) -> float:
        """Return the first grid point from now on, later than the end of the last check."""
        start = self.start(waits.chance("phase"))
        after = max(waits.last_check, math.nextafter(waits.now, -math.inf))
        return start + grid_index(start, self.interval, after) * self.interval


@frozen(field_transformer=name_errors)
class Deliveries(Kind):
    """A callback sent at completion; the parameters are those of `asyncsim.Callback`."""

    delay: Duration = field(default=Fixed(0.0), converter=as_distribution)
    loss: float = field(default=0.0, converter=units.probability, kw_only=True)
    retries: tuple[float, ...] = field(default=(), converter=senders.retry_schedule, kw_only=True)
    retry_jitter: str = field(default="none", validator=word_of("none", "full"), kw_only=True)
    duplicates: float = field(default=0.0, converter=units.probability, kw_only=True)
    duplicate_delay: float = field(default=1.0, converter=units.duration, kw_only=True)
    queue: str = field(default="independent", validator=senders.QUEUES, kw_only=True)
    answer_within: float | None = field(
        default=None, converter=units.optional_duration, kw_only=True
    )
    retry_after: bool = field(default=False, converter=units.yes_or_no, kw_only=True)
    switched_off_after: int | None = field(
        default=None, converter=units.optional_count, kw_only=True
    )
    switched_off_by_410: bool = field(default=False, converter=units.yes_or_no, kw_only=True)

    @classmethod
    def of(cls, described: object) -> Self:
        """Return the values of a strategy, with those of its sender that it does not set."""
        found, sender = super().of(described), getattr(described, "sender", None)
        return found if sender is None else senders.completed(found, sender)

    @property
    def is_plain(self) -> bool:
        """Whether what becomes of an event depends on no other event."""
        off = self.switched_off_after is not None or self.switched_off_by_410
        return self.queue == "independent" and not off

    @property
    def mean_pauses(self) -> tuple[float, ...]:
        """The pauses before retries, on average."""
        share = 0.5 if self.retry_jitter == "full" else 1.0
        return tuple(share * pause for pause in self.retries)


@frozen
class StrategySpecification(Kind):
    """How the server checks and how the system delivers; None stands for not at all."""

    checks: Schedule | Hold | Directed | Shared | None = None
    deliveries: Deliveries | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of checks, if they follow one."""
        return self.checks if isinstance(self.checks, SCHEDULES) else None

    @property
    def only_certain_callbacks(self) -> bool:
        """Whether there are no checks, and each callback arrives once, after the same time."""
        match self:
            case StrategySpecification(None, Deliveries(Fixed(), loss=0.0, duplicates=0.0) as sent):
                return sent.is_plain and sent.answer_within is None
        return False

    @property
    def sends_plainly(self) -> bool:
        """Whether callbacks, if there are any, do not depend on each other or on slow answers."""
        sent = self.deliveries
        return sent is None or (sent.is_plain and sent.answer_within is None)


# --- external systems -----------------------------------------------------------------------------


def _starts(value: Any) -> str | tuple[str, ...]:
    """Return a start, or several of a day, which are in order."""
    if not isinstance(value, (list, tuple)):
        return clock_or_cron(value)
    found = tuple(map(units.clock_time, value))
    if not found or list(found) != sorted(set(found), key=seconds_of_day):
        raise InvalidValue("must list clock times in order, such as ['10:30', '14:45']")
    return found if len(found) > 1 else found[0]


def _cut_offs(value: Any) -> str | tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)):
        return units.optional_clock_time(value)
    found = tuple(map(units.clock_time, value))
    return found if len(found) != 1 else found[0]


@frozen
class Night:
    """One scheduled run of a batch, in instants."""

    index: int
    start: float
    cut_off: float
    end: float


@frozen(field_transformer=name_errors)
class Batch(Kind):
    """Runs by the clock; the parameters are those of `asyncsim.NightlyBatch`."""

    start: str | tuple[str, ...] = field(converter=_starts)
    item_time: Duration = field(converter=as_distribution)
    days: str = field(default="every day", converter=units.days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)
    cut_off: str | tuple[str, ...] | None = field(default=None, converter=_cut_offs, kw_only=True)
    lanes: int = field(default=1, converter=units.servers, kw_only=True)
    max_items: int | None = field(default=None, converter=units.optional_count, kw_only=True)
    end: str | None = field(default=None, converter=units.optional_clock_time, kw_only=True)
    skip: float = field(default=0.0, converter=units.chance_below_one, kw_only=True)
    failure: float = field(default=0.0, converter=units.chance_below_one, kw_only=True)
    results: str = field(default="per item", validator=word_of("per item", "at end"), kw_only=True)
    outages: tuple[Outage, ...] = field(default=(), converter=system_outages, kw_only=True)

    def __attrs_post_init__(self) -> None:
        name, several = type(self).__name__, len(self.starts) > 1
        no_time = self.end == "00:00" and "24:00" in self.starts  # of the next day
        if self.end is not None and (no_time or self.end in self.starts):
            raise scenario_error(f"{name}.end", "must differ from the start", self.end)
        by, number = self.cut_off, len(self.starts)
        fits = len(by) == number if isinstance(by, tuple) else not several
        if by is not None and not (fits and isinstance(by, tuple) is several):
            right = f"a list of {number}, one for each start" if several else "a clock time"
            raise scenario_error(f"{name}.cut_off", f"must be {right}", by)

    @property
    def starts(self) -> tuple[str, ...]:
        """The start, or all starts of a day in order."""
        return (self.start,) if isinstance(self.start, str) else self.start

    @property
    def cut_offs(self) -> tuple[str | None, ...]:
        """The cut-off of each start."""
        return (
            self.cut_off if isinstance(self.cut_off, tuple) else (self.cut_off,) * len(self.starts)
        )

    def nights(self, calendar: Calendar) -> Iterator[Night]:
        """Yield the scheduled runs in order."""
        times = calendar.cron_times if is_cron(self.starts[0]) else calendar.times_of
        one_day, days = timedelta(days=1), Days(self.days, self.holidays)
        runs = (
            zip(times(start, days), itertools.repeat(by))
            for start, by in zip(self.starts, self.cut_offs, strict=True)
        )
        in_order = heapq.merge(*runs, key=lambda run: run[0].instant)
        for index, ((day, clock, start), by) in enumerate(in_order):
            cut_off, end = start, math.inf
            if by is not None:
                earlier = seconds_of_day(by) > clock
                cut_off = min(calendar.instant(day - one_day * earlier, by), start)
            if self.end is not None:
                later = seconds_of_day(self.end) <= clock
                end = calendar.instant(day + one_day * later, self.end)
                if end <= start:  # the start is skipped, or is the second of its kind
                    end = start + seconds_of_day(self.end) + DAY * later - clock
            yield Night(index, start, cut_off, end)


@frozen(field_transformer=name_errors)
class Service(Kind):
    """Serves at once, `lanes` items at a time (None: any number), FIFO."""

    item_time: Duration = field(converter=as_distribution)
    lanes: int | None = field(default=1, converter=units.count_or_unlimited, kw_only=True)
    outages: tuple[Outage, ...] = field(default=(), converter=system_outages, kw_only=True)


@frozen(field_transformer=name_errors)
class Staff(Kind):
    """A team with working hours; the parameters are those of `asyncsim.People`."""

    team: int = field(converter=units.servers)
    item_time: Duration = field(converter=as_distribution)
    between: tuple[str, str] = field(
        default=("08:00", "17:00"), converter=units.window, kw_only=True
    )
    days: str = field(default="Mon-Fri", converter=units.days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)
    outages: tuple[Outage, ...] = field(default=(), converter=system_outages, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if lost := [outage for outage in self.outages if outage.work == "is lost"]:
            name, problem = f"{type(self).__name__}.outages", "must let work pause: people keep it"
            raise scenario_error(name, problem, lost[0])

    def hours(self, calendar: Calendar, down: Downtime | None = None) -> OpenTime:
        """Return the working hours in instants, without the time in which the system is down."""
        spans = Hours(self.between, Days(self.days, self.holidays)).spans(calendar)
        return OpenTime(down.without(spans) if down else spans)


@frozen
class Completions(Kind):
    """Completes the item of instance 1, 2, … at given instants, or at once if that is past."""

    outages: ClassVar[tuple[Outage, ...]] = ()  # a log has what they did
    completions: tuple[float, ...]


Link = Batch | Service | Staff | Completions
SystemSpecification = tuple[Link | None, ...]
