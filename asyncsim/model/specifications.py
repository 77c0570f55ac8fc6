"""What strategies and external systems declare about themselves: small frozen values.

Both engines, the closed forms, the capacity bounds and the pages of a session read these values and
never ask for a class. A reader that meets a kind it does not know refuses it by name, or answers
that it cannot tell; no kind is ever taken for another, so none has subclasses.

* `StrategySpecification`: when the server *checks* (`Grid`, `Intervals` or `Hold`), and how the
  external system *delivers* its callback (`Deliveries`).
* The specification of a system is a tuple with one value for each link: `Batch`, `Service`, `Staff`
  or `Completions`; None stands for a link that has none.

A specification counts only if the very class of a strategy or system defines it: a subclass may
behave in another way (`own_specification`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Protocol, Self, TypeVar

import attrs
from attrs import field, frozen

from asyncsim.model.calendar import (
    Calendar,
    Days,
    Hours,
    OpenTime,
    clock_or_cron,
    holiday_calendar,
    is_cron,
)
from asyncsim.model.distributions import Duration, Fixed, as_distribution
from asyncsim.model.units import (
    DAY,
    HOUR,
    DurationLike,
    InvalidValue,
    chance_below_one,
    count_or_unlimited,
    days_of_week,
    duration,
    number,
    one_of,
    optional_clock_time,
    optional_count,
    optional_duration,
    poll_interval,
    probability,
    seconds_of_day,
    servers,
    window,
)
from asyncsim.model.validation import name_errors, scenario_error

MOST_FACTOR = 1_000_000
MOST_RETRIES = 1000


def anchor_kind(value: str) -> str:
    """Return where a grid of checks starts, checked."""
    return one_of(value, ("arming", "clock", "random"))


def jitter_kind(value: str) -> str:
    """Return a kind of jitter of growing intervals, checked."""
    return one_of(value, ("none", "full", "equal", "decorrelated"))


def visibility(value: str) -> str:
    """Return when the results of a batch can be seen, checked."""
    return one_of(value, ("per item", "at end"))


def growth_factor(value: float) -> float:
    """Return a factor of at least 1."""
    factor = number(value)
    if factor < 1:
        raise InvalidValue("must be 1 or more")
    if factor > MOST_FACTOR:
        raise InvalidValue(f"must be {MOST_FACTOR:,} at most")
    return factor


def retry_schedule(value: Sequence[DurationLike]) -> tuple[float, ...]:
    """Return the pauses before the second, third, … attempt, in seconds."""
    if isinstance(value, (list, tuple)):
        if len(value) > MOST_RETRIES:
            raise InvalidValue(f"must be {MOST_RETRIES:,} pauses at most")
        return tuple(duration(pause) for pause in value)
    raise InvalidValue("must be a list of pauses such as ['5s', '5min', '30min']")


def within_interval(owner: Any, field: attrs.Attribute[Any], jitter: float) -> None:
    """Check that no check is later than the next grid point (an attrs validator)."""
    if jitter > owner.interval:
        problem = f"must not exceed the interval ({owner.interval} s)"
        raise scenario_error(f"{type(owner).__name__}.{field.alias}", problem, jitter)


def not_below_first(owner: Any, field: attrs.Attribute[Any], cap: float | None) -> None:
    """Check that the first interval is below the cap (an attrs validator)."""
    if cap is not None and cap < owner.first:
        problem = f"must be at least first ({owner.first} s)"
        raise scenario_error(f"{type(owner).__name__}.{field.alias}", problem, cap)


class Kind:
    """Base of all kinds. A kind has no subclasses, which would be taken for it."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        if cls.__bases__ != (Kind,):
            raise TypeError(f"{cls.__name__}: a kind of specification has no subclasses")

    @classmethod
    def of(cls, described: object) -> Self:
        """Return the values of a strategy or system that has the same fields."""
        return cls(**{one.name: getattr(described, one.name) for one in attrs.fields(cls)})  # type: ignore[arg-type]


# --- strategies -----------------------------------------------------------------------------------


class ScheduledWait(Protocol):
    """What a schedule of checks needs of a wait; see `asyncsim.model.strategies.WaitingStep`."""

    armed: float
    checks: int
    last_check: float
    """When the last check ended; before the first, when the wait was armed."""
    notes: dict[str, Any]
    """A place for what a strategy wants to remember of this wait."""

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


@frozen(field_transformer=name_errors)
class Grid(Kind):
    """Checks at fixed intervals; the parameters are those of `asyncsim.Polling`."""

    interval: float = field(converter=poll_interval)
    anchor: str = field(default="arming", converter=anchor_kind)
    jitter: float = field(default=0.0, converter=duration, validator=within_interval)
    limit: int | None = field(default=None, converter=optional_count)

    def start(self, step: ScheduledWait) -> float:
        """Return the instant of grid point 0 for a wait."""
        if self.anchor == "arming":
            return step.armed
        if self.anchor == "clock":
            return 0.0
        return step.armed - step.chance("phase") * self.interval

    def next_check(self, step: ScheduledWait) -> float:
        """Return the first grid point later than the end of the last check, plus its jitter."""
        start = self.start(step)
        k = grid_index(start, self.interval, step.last_check)
        if self.jitter:
            return start + k * self.interval + step.chance("jitter", k) * self.jitter
        return start + k * self.interval

    def skip(self, step: ScheduledWait, before: float) -> None:
        """Count the checks due before an instant, by arithmetic where there is no jitter."""
        if self.jitter:
            _skip_one_by_one(self, step, before)
            return
        start = self.start(step)
        first = grid_index(start, self.interval, step.last_check)
        last = grid_index(start, self.interval, before)
        while last > 0 and start + last * self.interval >= before:
            last -= 1
        if last >= first:
            step.checks += last - first + 1
            step.last_check = start + last * self.interval


@frozen(field_transformer=name_errors)
class Intervals(Kind):
    """Checks at growing intervals; the parameters are those of `asyncsim.Backoff`."""

    first: float = field(converter=poll_interval)
    factor: float = field(default=2.0, converter=growth_factor)
    cap: float | None = field(default=HOUR, converter=optional_duration, validator=not_below_first)
    jitter: str = field(default="none", converter=jitter_kind)
    limit: int | None = field(default=None, converter=optional_count)

    def interval(self, k: int) -> float:
        """Return the k-th interval (k = 0, 1, …) before jitter."""
        try:
            return min(self.first * self.factor**k, self.longest)
        except OverflowError:
            return self.longest

    @property
    def longest(self) -> float:
        """The cap in seconds, infinite if there is none."""
        return math.inf if self.cap is None else self.cap

    def next_check(self, step: ScheduledWait) -> float:
        """Return the end of the last check plus the next interval."""
        k = step.checks
        if self.jitter == "none":
            return step.last_check + self.interval(k)
        if self.jitter == "full":
            return step.last_check + step.chance("jitter", k) * self.interval(k)
        if self.jitter == "equal":
            return step.last_check + (1 + step.chance("jitter", k)) / 2 * self.interval(k)
        return step.last_check + self._decorrelated(step, k)

    def _decorrelated(self, step: ScheduledWait, k: int) -> float:
        done, slept = step.notes.get("slept", (-1, self.first))
        for j in range(done + 1, k + 1):
            reach = self.first + step.chance("jitter", j) * (3 * slept - self.first)
            slept = min(self.longest, reach)
        step.notes["slept"] = k, slept
        return float(slept)

    def skip(self, step: ScheduledWait, before: float) -> None:
        """Count the checks due before an instant."""
        _skip_one_by_one(self, step, before)


Schedule = Grid | Intervals


def _skip_one_by_one(schedule: Schedule, step: ScheduledWait, before: float) -> None:
    while (due := schedule.next_check(step)) < before:
        step.checks += 1
        step.last_check = due


@frozen(field_transformer=name_errors)
class Hold(Kind):
    """Requests held open one after the other, each for at most `seconds`."""

    seconds: float = field(converter=poll_interval)


@frozen(field_transformer=name_errors)
class Deliveries(Kind):
    """A callback sent at completion; the parameters are those of `asyncsim.Callback`."""

    delay: Duration = field(default=Fixed(0.0), converter=as_distribution)
    loss: float = field(default=0.0, converter=probability)
    retries: tuple[float, ...] = field(default=(), converter=retry_schedule)
    duplicates: float = field(default=0.0, converter=probability)
    duplicate_delay: float = field(default=1.0, converter=duration)


@frozen
class StrategySpecification(Kind):
    """How the server checks and how the system delivers; None stands for not at all."""

    checks: Grid | Intervals | Hold | None = None
    deliveries: Deliveries | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of checks, if they follow one."""
        return self.checks if isinstance(self.checks, Grid | Intervals) else None

    @property
    def only_certain_callbacks(self) -> bool:
        """Whether there are no checks, and each callback arrives once, after the same time."""
        match self:
            case StrategySpecification(None, Deliveries(Fixed(), loss=0.0, duplicates=0.0)):
                return True
        return False


# --- external systems -----------------------------------------------------------------------------


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

    start: str = field(converter=clock_or_cron)
    item_time: Duration = field(converter=as_distribution)
    days: str = field(default="every day", converter=days_of_week)
    holidays: str | None = field(default=None, converter=holiday_calendar)
    cut_off: str | None = field(default=None, converter=optional_clock_time)
    lanes: int = field(default=1, converter=servers)
    max_items: int | None = field(default=None, converter=optional_count)
    end: str | None = field(default=None, converter=optional_clock_time)
    skip: float = field(default=0.0, converter=chance_below_one)
    failure: float = field(default=0.0, converter=chance_below_one)
    results: str = field(default="per item", converter=visibility)

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


def _shift(day: date, by: int) -> date:
    return day + timedelta(days=int(by))


@frozen(field_transformer=name_errors)
class Service(Kind):
    """Serves at once, `lanes` items at a time (None: any number), FIFO."""

    item_time: Duration = field(converter=as_distribution)
    lanes: int | None = field(default=1, converter=count_or_unlimited)


@frozen(field_transformer=name_errors)
class Staff(Kind):
    """A team with working hours; the parameters are those of `asyncsim.People`."""

    team: int = field(converter=servers)
    item_time: Duration = field(converter=as_distribution)
    between: tuple[str, str] = field(default=("08:00", "17:00"), converter=window)
    days: str = field(default="Mon-Fri", converter=days_of_week)
    holidays: str | None = field(default=None, converter=holiday_calendar)

    def hours(self, calendar: Calendar) -> OpenTime:
        """Return the working hours in instants."""
        return Hours(self.between, Days(self.days, self.holidays)).opened(calendar)


@frozen
class Completions(Kind):
    """Completes the item of instance 1, 2, … at given instants, or at once if that is past."""

    completions: tuple[float, ...]


Link = Batch | Service | Staff | Completions
SystemSpecification = tuple[Link | None, ...]


T = TypeVar("T")


def own_specification(described: Any, kind: type[T], right: str) -> T | None:
    """Return the specification of a strategy or system; None if its very class defines none.

    A subclass inherits the property but may override what it stands for, so it has to define one
    of its own.

    Parameters
    ----------
    described, kind, right
        A strategy or system, the type of its specification, and words for what is right.
    """
    if "specification" not in vars(type(described)):
        return None
    found = described.specification
    if not isinstance(found, kind | None):
        name = f"{type(described).__name__}.specification"
        raise scenario_error(name, f"must be {right}, or None", found)
    return found
