"""Outages: when a part of the server or an external system is down, and what that does to work.

An outage is described by date, by a schedule or at random; `Downtime` compiles all outages of one
part to spans of instants, from which they are read. A span includes its beginning, not its end.
Both engines use `up_from` and `worked`, since they must agree to the last bit.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.calendar import (
    LAST_DAY,
    Calendar,
    Days,
    clock_or_cron,
    holiday_calendar,
    is_cron,
)
from asyncsim.model.distributions import (
    DistributionLike,
    Duration,
    Exponential,
    Fixed,
    as_distribution,
)
from asyncsim.model.units import DAY, MINUTE, DurationLike, InvalidValue, require
from asyncsim.model.validation import name_errors, scenario_error, word_of

PARTS = ("endpoint", "workers", "poller")
MOST_JOINED = 10_000  # outages that overlap
MOST_OUTAGES = 100  # of a server or an external system
Span = tuple[float, float, float]  # from, to, and 1 if work under way is lost
A_START = (
    "must be a date and time such as '2026-01-06 01:00', a time from the scenario's start such as "
    "'25h', a clock time such as '01:00' or a cron expression"
)


def outage_start(value: str | float | datetime | None) -> str | float | None:
    """Return a date and time, seconds from the start, a clock time or a cron expression."""
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.isoformat(" ")
    if isinstance(value, (int, float, timedelta)):
        return units.duration(value)
    if not isinstance(value, str):
        raise InvalidValue(A_START)
    for read in (clock_or_cron, _moment, units.duration):
        try:
            return read(value)
        except InvalidValue:
            continue
    raise InvalidValue(A_START)


def _moment(words: str) -> str:
    """Return a date and time as a file spells it."""
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        raise InvalidValue(A_START) from None
    units.calendar_date(moment.date())
    return moment.isoformat(" ", "auto" if moment.second or moment.microsecond else "minutes")


def _apart(value: DurationLike | None) -> float | None:
    found = units.optional_duration(value)
    require(found is None or found >= MINUTE, "must be 1 min or more")
    return found


def outage_length(value: DistributionLike) -> Duration:
    """Return the distribution of the length of outages."""
    found = as_distribution(value)
    require(found.mean > 0, "must be longer than 0 s on average")
    return found


def _parts(value: str | Sequence[str]) -> tuple[str, ...]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, (list, tuple)) or not several:
        raise InvalidValue(f"must list some of {', '.join(map(repr, PARTS))}")
    found = {units.one_of(part, PARTS) for part in several}
    return tuple(part for part in PARTS if part in found)


@frozen(field_transformer=name_errors)
class Outage:
    """When a part of the workflow server, or an external system, is down, and what becomes of work.

    >>> sim.Outage("2026-01-06 01:00", "2h", parts="endpoint").parts
    ('endpoint',)
    >>> sim.Outage(every="30d", length=sim.exponential("1h")).every
    2592000.0

    Parameters
    ----------
    start
        A date and time (``"2026-01-06 01:00"``) or a time from the scenario's start (``"25h"``):
        once; a clock time (``"01:00"``) or a cron expression: again and again.
    length
        How long it lasts: a duration or a distribution.
    every
        At random, in place of `start`: mean time from the end of one outage to the beginning of
        the next (exponential), 1 min or more.
    days, holidays
        The days of the week of a clock time or cron expression, and a place without whose public
        holidays; see `NightlyBatch`.
    parts
        Of a server: some of ``"endpoint"`` (deliveries that arrive are refused), ``"workers"``
        (no job is begun) and ``"poller"`` (no check is begun); by default all of them.
    work
        What becomes of work under way: it ``"pauses"`` and continues afterwards, or it
        ``"is lost"`` and begins anew.
    name
        Outages with the same name, of a server and of systems, have the same random numbers: with
        the same `every` and `length` they are down together.
    """

    start: str | float | None = field(default=None, converter=outage_start)
    length: Duration = field(default=Fixed(3600.0), converter=outage_length)
    every: float | None = field(default=None, converter=_apart, kw_only=True)
    days: str = field(default="every day", converter=units.days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)
    parts: tuple[str, ...] = field(default=PARTS, converter=_parts, kw_only=True)
    work: str = field(default="pauses", validator=word_of("pauses", "is lost"), kw_only=True)
    name: str = field(default="", converter=units.any_text, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (self.start is None) == (self.every is None):
            problem = "must be given, or every= for outages at random, and not both"
            raise scenario_error("Outage.start", problem, self.start)

    @property
    def is_once(self) -> bool:
        """Whether it comes once, at a date or a time from the scenario's start."""
        return self.every is None and (not isinstance(self.start, str) or self.start[4:5] == "-")

    def spans(
        self, calendar: Calendar, rng: Callable[[str], np.random.Generator], owner: str
    ) -> Iterator[Span]:
        """Yield its spans in order, for one calendar and the named streams of a run."""
        stream, lost, end = f"outage/{self.name or owner}", float(self.work == "is lost"), 0.0
        lengths, gaps = (rng(f"{stream}/{what}") for what in ("length", "gap"))
        for begin in self._begins(calendar) if self.every is None else itertools.repeat(0.0):
            if self.every is not None:
                begin = end + float(Exponential(self.every).sample(gaps, 1)[0])
            if begin > LAST_DAY * DAY:
                return
            end = begin + float(self.length.sample(lengths, 1)[0])
            yield begin, end, lost

    def _begins(self, calendar: Calendar) -> Iterator[float]:
        """Yield the instants at which it begins by date, or by its schedule."""
        start = self.start
        if not isinstance(start, str):
            yield start or 0.0
        elif self.is_once:
            yield calendar.seconds(datetime.fromisoformat(start))
        else:
            times = calendar.cron_times if is_cron(start) else calendar.times_of
            yield from (moment.instant for moment in times(start, Days(self.days, self.holidays)))


def outage_list(value: Outage | Sequence[Outage]) -> tuple[Outage, ...]:
    """Return outages of a server as a tuple."""
    several = (value,) if isinstance(value, Outage) else value
    if not isinstance(several, (list, tuple)) or not all(isinstance(o, Outage) for o in several):
        raise InvalidValue("must be a list of outages")
    require(len(several) <= MOST_OUTAGES, f"must be {MOST_OUTAGES} outages at most")
    return tuple(several)


def system_outages(value: Outage | Sequence[Outage]) -> tuple[Outage, ...]:
    """Return outages of an external system as a tuple."""
    found = outage_list(value)
    require(all(one.parts == PARTS for one in found), "must have no parts: a server has them")
    return found


# --- compiled to instants -------------------------------------------------------------------------


def first_after(ends: Any, base: int, number: int, instant: float) -> int:
    """Return the place of the first of some spans, from `base` on, that ends after an instant."""
    low, high = base, base + number
    while low < high:
        middle = (low + high) >> 1
        if ends[middle] <= instant:
            low = middle + 1
        else:
            high = middle
    return low


def up_from(begins: Any, ends: Any, k: int, last: int, instant: float) -> float:
    """Return the first instant from a given one on that lies in no span; `k` is `first_after`."""
    return float(ends[k]) if k < last and begins[k] <= instant else instant


def worked(
    begins: Any, ends: Any, lost: Any, k: int, last: int, start: float, work: float
) -> tuple[float, float]:
    """Return when work begins that is ready at `start`, and when it ends; `k` is `first_after`.

    Work that pauses ends as much later as the spans in it are long. Work that is lost has the
    beginning of its last, complete, run.
    """
    if k < last and begins[k] <= start:
        start, k = float(ends[k]), k + 1
    end = start + work
    while k < last and begins[k] < end:
        if lost[k]:
            start = float(ends[k])
            end = start + work
        else:
            end += ends[k] - begins[k]
        k += 1
    return start, end


def retry_after(pause: float) -> float:
    """Return the pause that a refusal names (HTTP Retry-After): whole seconds."""
    return float(math.ceil(pause))


class Downtime:
    """The spans in which one part is down, found as far as they are needed."""

    def __init__(self, spans: Iterator[Span]) -> None:
        self._more = _joined(spans)
        self.begins, self.ends, self.lost = list[float](), list[float](), list[float]()

    def _reach(self, instant: float) -> None:
        """Find all spans up to the first one that begins after an instant."""
        while not self.begins or self.begins[-1] <= instant:
            span = next(self._more, None)
            if span is None:
                return
            for values, value in zip((self.begins, self.ends, self.lost), span, strict=True):
                values.append(value)

    def first(self, days: int) -> tuple[NDArray[np.float64], float]:
        """Return the spans of about so many days, ``(n, 3)``, and until when they are all."""
        self._reach(days * DAY)
        known = self.begins[-1] if self.begins and self.begins[-1] > days * DAY else math.inf
        return np.array([self.begins, self.ends, self.lost]).T, known

    def up_from(self, instant: float) -> float:
        """Return the first instant from a given one on at which the part is up."""
        self._reach(instant)
        last = len(self.begins)
        return up_from(
            self.begins, self.ends, first_after(self.ends, 0, last, instant), last, instant
        )

    def is_down(self, instant: float) -> bool:
        """Return whether the part is down."""
        return self.up_from(instant) > instant

    def without(self, spans: Iterator[tuple[float, float]]) -> Iterator[tuple[float, float]]:
        """Yield spans of time without the parts in which it is down."""
        for opens, closes in spans:
            begin = self.up_from(opens)
            while begin < closes:
                self._reach(begin)
                k = first_after(self.ends, 0, len(self.ends), begin)
                down = self.begins[k] if k < len(self.begins) else math.inf
                yield begin, min(down, closes)
                begin = self.up_from(down) if down < closes else closes

    def worked(self, start: float, work: float) -> tuple[float, float]:
        """Return when work begins that is ready at `start`, and when it ends."""
        reached, end = start, start + work
        while True:
            self._reach(max(reached, end))
            last = len(self.begins)
            k = first_after(self.ends, 0, last, start)
            begin, reached = worked(self.begins, self.ends, self.lost, k, last, start, work)
            if reached <= end:
                return begin, reached
            end = reached


def _joined(spans: Iterator[Span]) -> Iterator[Span]:
    """Yield spans as one where they overlap or touch; work is lost if it is in one of them."""
    last: Span | None = None
    joined = 0
    for begin, end, lost in spans:
        joined = joined + 1 if last is not None and begin <= last[1] else 0
        if joined > MOST_JOINED:
            problem = "must end before the next one begins: so many overlap that none ends"
            raise ScenarioError(f"Outage.length: outages {problem}")
        if last is not None and joined:
            last = last[0], max(end, last[1]), max(lost, last[2])
        elif end > begin:
            if last is not None:
                yield last
            last = begin, end, lost
    if last is not None:
        yield last


def downtime(
    outages: Sequence[Outage],
    calendar: Calendar,
    rng: Callable[[str], np.random.Generator],
    owner: str,
    part: str = PARTS[0],
) -> Downtime | None:
    """Return when a part of a server, or a system, is down in one run; None if it never is."""
    found = [
        outage.spans(calendar, rng, f"{owner}/{k}")
        for k, outage in enumerate(outages)
        if part in outage.parts
    ]
    return Downtime(heapq.merge(*found)) if found else None
