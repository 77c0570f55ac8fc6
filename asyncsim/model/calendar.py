"""From clock times to instants: days, zones, holidays, cron expressions and opening hours.

An instant is a float number of seconds since the scenario's start, a local midnight. Wall clocks
jump twice a year where there is daylight saving; instants never do. A clock time that a spring
night skips (02:30) is read at the moment the clocks would have shown it (03:30 summer time), and
by a cron expression when the clocks have jumped (03:00); one that an autumn night shows twice is
read the first time.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import itertools
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
from attrs import field, frozen
from cronsim import CronSim, CronSimError
from numpy.typing import NDArray

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.units import DAY, LONGEST_WORDS, InvalidValue, require
from asyncsim.model.validation import name_errors

A_PLACE = "must be a country such as 'DE', a part of it such as 'DE-BY', or banks such as 'FED'"
LAST_SHOWN = datetime(9999, 12, 30)
YEARS_ALIKE = 28 * 365 + 7  # days until dates fall on the same weekdays again, in this century
LAST_DAY = 366 * 40  # of a calendar; one with no open day ends here
NO_MORE_CHECKS = "PollingAt.at: the calendar ran out of checks; check at, days and holidays"
NO_MORE_DEADLINES = "AsyncStep.until: the calendar ran out of such clock times"

_zones = functools.cache(available_timezones)  # which reads hundreds of files


def zone_name(value: str | None) -> str | None:
    """Return the name of a time zone the machine knows, or None for a clock that never jumps."""
    if value is None:
        return None
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        hint = _nearest_zone(value) if isinstance(value, str) else ""
        raise InvalidValue(
            "must be a time zone such as 'Europe/Berlin', or left out", hint
        ) from None
    return value


def _nearest_zone(written: str) -> str:
    """Return the hint for a misspelt zone, a city such as ``"berlin"``, or a country."""
    words = written.strip().title()
    found = _zones_of_countries().get(words)
    return (
        f"; did you mean {found!r}?" if found else units.nearest(words.replace(" ", "_"), _zones())
    )


def _zones_of_countries() -> dict[str, str]:
    """Return the first zone of each country, by its English name."""

    def rows(table: str) -> list[list[str]]:
        lines = (files("tzdata") / "zoneinfo" / table).read_text(encoding="utf-8").splitlines()
        return [line.split("\t") for line in lines if not line.startswith("#")]

    first = {row[0]: row[2] for row in reversed(rows("zone.tab"))}
    return {name: first[code] for code, name in rows("iso3166.tab") if code in first}


def holiday_calendar(value: str | None) -> str | None:
    """Return a country, a part of it ('DE-BY') or banks ('FED') whose holidays are known."""
    if value is not None:
        require(isinstance(value, str), A_PLACE)
        holidays_of(value)
    return value


@functools.lru_cache
def holidays_of(place: str) -> Any:
    """Return the holidays of ``"DE"``, ``"DE-BY"`` or ``"FED"`` as a container of dates."""
    import holidays  # a large package, needed only where a country is named

    country, _, part = place.partition("-")
    found = None
    with contextlib.suppress(NotImplementedError, TypeError):  # TypeError: another of its names
        found = holidays.country_holidays(country, subdiv=part or None)
    if found is None:
        with contextlib.suppress(NotImplementedError, TypeError, AttributeError):  # of banks
            found = holidays.financial_holidays(place)
    if getattr(found, "country", None) is None and getattr(found, "market", None) is None:
        raise InvalidValue(A_PLACE, units.suggested(holidays_of, place, place.upper()))
    return found


@frozen(field_transformer=name_errors)
class Days:
    """The dates that count: days of the week, less the public holidays of a place."""

    of_week: str = field(default="every day", converter=units.days_of_week)
    holidays: str | None = field(default=None, converter=holiday_calendar)

    def __contains__(self, day: date) -> bool:
        counts = day.weekday() in units.day_numbers(self.of_week)
        return counts and (self.holidays is None or day not in holidays_of(self.holidays))


class Moment(NamedTuple):
    """The date and the seconds of the day that were asked for, and the instant they fall on."""

    day: date
    clock: int
    instant: float


@frozen
class Calendar:
    """The scenario's clock: converts between instants and wall-clock times."""

    start: date  # first day of the scenario; instant 0 is its local midnight
    zone: str | None = None  # IANA name; None for a clock without daylight saving

    @property
    def tz(self) -> ZoneInfo | None:
        """The zone as an object, or None."""
        return ZoneInfo(self.zone) if self.zone else None

    @property
    def midnight(self) -> pd.Timestamp:
        """Instant 0 as a timestamp."""
        return pd.Timestamp(self._local(self.start, 0))

    def day(self, index: int) -> date:
        """Return the date `index` days after the start."""
        return self.start + timedelta(days=index)

    def instant(self, day: date, clock: str) -> float:
        """Return the instant of a clock time (``"24:00"`` allowed) on a date."""
        return self.seconds(self._local(day, units.seconds_of_day(clock)))

    def _local(self, day: date, seconds: int) -> datetime:
        return datetime.combine(day, time(), tzinfo=self.tz) + timedelta(seconds=seconds)

    def seconds(self, moment: datetime) -> float:
        """Return the instant of a datetime (in its own zone, or the scenario's if naive)."""
        origin = self._local(self.start, 0)
        if self.tz is None or moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.tz)
        if self.tz is not None:  # in UTC elapsed seconds are counted, within a zone clock hands
            moment, origin = moment.astimezone(UTC), origin.astimezone(UTC)
        return (moment - origin).total_seconds()

    def timestamps(self, seconds: NDArray[np.floating[Any]]) -> pd.DatetimeIndex:
        """Return instants as timestamps in the zone; NaN and years after 9999 become NaT."""
        at = np.asarray(seconds, dtype=float)
        last = (LAST_SHOWN - datetime.combine(self.start, time())).total_seconds()
        shown = np.abs(at) <= last
        at = np.where(shown, at, 0.0)
        whole = np.floor(at)
        micros = whole.astype(np.int64) * 1_000_000 + np.rint((at - whole) * 1e6).astype(np.int64)
        offsets = np.where(shown, micros.astype("timedelta64[us]"), np.timedelta64("NaT", "us"))
        return pd.DatetimeIndex(self.midnight + pd.TimedeltaIndex(offsets))

    def hours(self, length: float) -> pd.DataFrame:
        """Return the hours of the wall clock in the whole days that cover ``[0, length)``.

        One row per hour: ``start`` and ``end`` (instants), ``day`` (days since the start),
        ``weekday`` (Monday = 0) and ``hour`` (0 to 23). A spring night lacks an hour, an autumn
        night has one twice.
        """
        days = next(k for k in itertools.count() if self.instant(self.day(k), "00:00") >= length)
        clocks = [self._local(self.start, 3600 * k) for k in range(24 * days + 1)]
        second = [at.replace(fold=1) for at in clocks[:-1]]  # where a night has the hour twice
        edges = np.unique([self.seconds(at) for at in clocks + second])
        shown = self.timestamps(edges[:-1])
        first = self.start.toordinal()
        return pd.DataFrame(
            {
                "start": edges[:-1],
                "end": edges[1:],
                "day": [at.toordinal() - first for at in shown],
                "weekday": shown.day_of_week,
                "hour": shown.hour,
            }
        )

    def times_of(self, clock: str, days: Days) -> Iterator[Moment]:
        """Yield the moments of a daily clock time on the days that count."""
        for day in map(self.day, range(LAST_DAY)):
            if day in days:
                yield Moment(day, units.seconds_of_day(clock), self.instant(day, clock))

    def cron_times(self, expression: str, days: Days) -> Iterator[Moment]:
        """Yield the moments of a cron expression on the days that count."""
        last = self.day(LAST_DAY)
        moments = CronSim(expression, self._local(self.start, -1))
        while (at := next(moments, None)) is not None and at.date() <= last:
            if at.date() in days:
                asked = _unskipped(expression, at)
                clock = asked.hour * 3600 + asked.minute * 60
                yield Moment(asked.date(), clock, self.seconds(at))
            else:  # skip its other moments on this day, up to 1,440 of them
                moments = CronSim(expression, self._local(at.date(), 86_399))


def _unskipped(expression: str, at: datetime) -> datetime:
    """Return the clock time that a cron expression asked for, had the clock not jumped over it."""
    shown = at.replace(tzinfo=None, fold=0)
    by_elapsed_time = any(part.startswith("*") for part in expression.split()[:2])
    if at.tzinfo is None or by_elapsed_time:
        return shown
    a_second = timedelta(seconds=1)
    before = (at.astimezone(UTC) - a_second).astimezone(at.tzinfo).replace(tzinfo=None)
    return next(CronSim(expression, before)) if shown - before > a_second else shown


def clock_or_cron(value: units.ClockTimeLike) -> str:
    """Return a clock time ('22:00') or a five-field cron expression ('0 22 * * 1-5')."""
    if isinstance(value, str) and len(value.split()) == 5:
        words = " ".join(value.split())
        require(len(words) <= LONGEST_WORDS, f"must have {LONGEST_WORDS:,} characters at most")
        try:
            CronSim(words, datetime(2026, 1, 1))
        except (CronSimError, ValueError, AssertionError) as error:  # '0 0 * * 5L/2' asserts
            raise InvalidValue(f"is not a valid cron expression ({error})") from None
        return words
    try:
        return units.clock_time(value)
    except InvalidValue as wrong:
        problem = "must be a clock time such as '22:00' or a cron expression such as '0 22 * * 1-5'"
        raise InvalidValue(problem, wrong.hint) from None


def is_cron(value: str) -> bool:
    """Return whether a checked `clock_or_cron` value is a cron expression."""
    return " " in value


class Pattern(NamedTuple):
    """When something starts, on average over years: its days of a period, and clock times of each.

    Days and times are sorted; days count from the period's first, clock times are in seconds.
    """

    days: list[int]
    period: int
    clocks: list[int]

    @property
    def per_week(self) -> float:
        """Number of starts in an average week."""
        return 7 * len(self.days) / self.period * len(self.clocks)

    @property
    def longest_gap(self) -> float:
        """Longest time between two starts in seconds; infinite if there are none."""
        if not self.days:
            return math.inf
        nights = [b - a for a, b in itertools.pairwise([*self.days, self.days[0] + self.period])]
        over_night = max(nights) * units.DAY - self.clocks[-1] + self.clocks[0]
        return max(over_night, *np.diff(self.clocks).tolist(), 0.0)


@functools.lru_cache
def starting_pattern(starts: tuple[str, ...], of_week: str) -> Pattern:
    """Return the pattern of clock times, or a cron expression, without holidays or a zone."""
    weekdays = units.day_numbers(of_week)
    if not is_cron(starts[0]):
        return Pattern(sorted(weekdays), 7, sorted(map(units.seconds_of_day, starts)))
    cron = CronSim(starts[0], datetime(2001, 1, 1))  # a Monday
    *_, days, months, on = cron.parts
    period = 7 if days == months == "*" and not set("#L") & set(on) else YEARS_ALIKE
    dates = enumerate(map(cron.dt.date().__add__, map(timedelta, range(period))))
    found = [
        k
        for k, day in dates
        if day.month in cron.months and day.weekday() in weekdays and cron.match_day(day)
    ]
    clocks = [3600 * hour + 60 * minute for hour in cron.hours for minute in cron.minutes]
    return Pattern(found, period, sorted(clocks))


@frozen(field_transformer=name_errors)
class Hours:
    """Opening hours: a window of the day on the days that count."""

    between: tuple[str, str] = field(default=("00:00", "24:00"), converter=units.window)
    days: Days = Days()

    def opened(self, calendar: Calendar) -> OpenTime:
        """Compile the hours for one calendar."""
        return OpenTime(self.spans(calendar))

    def spans(self, calendar: Calendar) -> Iterator[tuple[float, float]]:
        """Yield the instants of opening and closing."""
        both = zip(*(calendar.times_of(clock, self.days) for clock in self.between), strict=True)
        spans = ((opens.instant, closes.instant) for opens, closes in both)
        # 02:30 to 03:00 is empty where a night skips 02:30
        return ((opens, closes) for opens, closes in spans if opens < closes)


class Instants:
    """Instants in order, found as far as they are needed."""

    def __init__(self, instants: Iterator[float], no_more: str = NO_MORE_CHECKS) -> None:
        self._more, self._no_more = instants, no_more
        self._known: list[float] = []

    def first(self, days: int) -> NDArray[np.float64]:
        """Return those of about so many days from the start, and one more if there is one."""
        with contextlib.suppress(ScenarioError):
            self.later_than(days * DAY)
        return np.array(self._known)

    def later_than(self, instant: float) -> float:
        """Return the first one later than an instant."""
        while not self._known or self._known[-1] <= instant:
            following = next(self._more, None)
            if following is None:
                raise ScenarioError(self._no_more)
            self._known.append(following)
        return self._known[bisect.bisect_right(self._known, instant)]


class OpenTime:
    """Opening hours as intervals of instants, extended as needed; converts to open seconds."""

    def __init__(self, spans: Iterator[tuple[float, float]]) -> None:
        self._spans = spans
        self._opens: list[float] = []
        self._closes: list[float] = []
        self._before: list[float] = []  # open seconds before each interval

    def _extend(self) -> None:
        span = next(self._spans, None)
        if span is None:
            raise ScenarioError(
                "Hours.days: the calendar ran out of open days; check days and holidays"
            )
        total = self._before[-1] + self._closes[-1] - self._opens[-1] if self._before else 0.0
        self._opens.append(span[0])
        self._closes.append(span[1])
        self._before.append(total)

    def first(self, number: int) -> NDArray[np.float64]:
        """Return up to `number` intervals: opening, closing, open seconds before; ``(n, 3)``."""
        with contextlib.suppress(ScenarioError):  # raised where more are needed
            while len(self._opens) < number:
                self._extend()
        return np.array([self._opens, self._closes, self._before], dtype=float).T

    def opening(self, instant: float) -> float | None:
        """Return the next opening if an instant is not within the hours, whose ends count."""
        while not self._closes or self._closes[-1] < instant:
            self._extend()
        k = bisect.bisect_left(self._closes, instant)
        return None if self._opens[k] <= instant else self._opens[k]

    def open_seconds(self, instant: float) -> float:
        """Return the open seconds from the start until an instant."""
        while not self._closes or self._closes[-1] < instant:
            self._extend()
        k = bisect.bisect_right(self._opens, instant) - 1
        if k < 0:
            return 0.0
        return self._before[k] + min(instant, self._closes[k]) - self._opens[k]

    def openings_of(self, open_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the instants, in ``[open, close)``, by which it has been open that long."""
        if not len(open_seconds):
            return np.empty(0)
        while not self._before or self._before[-1] <= open_seconds.max():
            self._extend()
        opens, closes, before = map(np.array, (self._opens, self._closes, self._before))
        k = np.searchsorted(before, open_seconds, side="right") - 1
        at = opens[k] + (open_seconds - before[k])
        return np.asarray(np.where(at < closes[k], at, opens[k + 1]))  # closed by rounding

    def instant_of(self, open_seconds: float) -> float:
        """Return the first instant by which it has been open for that many seconds."""
        while not self._before or (
            self._before[-1] + self._closes[-1] - self._opens[-1] < open_seconds
        ):
            self._extend()
        k = max(bisect.bisect_left(self._before, open_seconds) - 1, 0)
        return self._opens[k] + (open_seconds - self._before[k])
