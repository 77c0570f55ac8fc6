"""Values as people write them: durations, rates, clock times, days, probabilities, counts, texts.

Every reader takes one value and returns it in the unit the engines use (seconds, per second), or
raises `InvalidValue` with half a sentence that states what would be right. The name of the argument
and the value are added where the value enters (`asyncsim.model.validation`).
"""

from __future__ import annotations

import contextlib
import difflib
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import numpy as np

R = TypeVar("R")
DurationLike = float | str | timedelta | np.timedelta64
ClockTimeLike = str | time

MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86400.0, 604800.0
SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "min": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
SECONDS_PER_UNIT |= {"sec": 1.0, "second": 1.0, "m": MINUTE, "minute": MINUTE}
SECONDS_PER_UNIT |= {"hour": HOUR, "day": DAY, "week": WEEK}
OTHER_UNITS = {"millisecond": "ms", "msec": "ms", "hr": "h", "mn": "min"}  # which are refused
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OTHER_DAYS = dict.fromkeys(("weekdays", "workdays", "working days", "business days"), "Mon-Fri")
OTHER_DAYS |= {"weekend": "Sat, Sun", "weekends": "Sat, Sun"}
OTHER_DAYS |= dict.fromkeys(("daily", "everyday", "all", "all days", "always"), "every day")
UNLIMITED = "unlimited"
NOTHING = ("none", "null", "unlimited", "infinite", "inf", "never", "no", "off", "")
LEAVE_OUT = "; leave it out instead"
UNITS = "; the units are ms, s, min, h, d and w"

MOST = 1_000_000_000
MOST_SERVERS = 1_000_000  # each of them is kept in memory
MOST_INSTANCES = 20_000_000  # of one run: each of them takes about 600 bytes
LONGEST = 40 * 365.25 * DAY
LONGEST_TIME = 1e11  # about 3,169 years: every instant has a date, and a float resolves 20 µs
SHORTEST_TIME = 1e-9  # nothing that measures time shows less
# Timestamps with nanoseconds end in 1677 and 2262: room for 40 years and what is then left
FIRST_DATE, LAST_DATE = date(1700, 1, 1), date(2200, 12, 31)
LONGEST_WORDS = 1000  # characters of a duration, clock time, rate, cron expression or name
HIGHEST, LOWEST = 1e9, 1e-11  # rates per second: one in the shortest time, and in the longest

A_DURATION = "must be a duration such as '15min' or '1h 30min'"
A_PROBABILITY = "must be a probability from 0 to 1"
A_RATE = "must be a rate such as '300/h' or '10000/day'"
DAYS = "must name days such as 'Mon-Fri', 'Mon, Wed, Sat' or 'every day'"

_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*([a-zA-Z]+)\s*")
_RATE = re.compile(r"\s*([0-9.eE+_-]+)\s*/\s*([a-zA-Z]+)\s*")
_LIKE_A_RATE = re.compile(r"\s*(\d[\d.]*)\s*(?:/|per\b|an?\b|each\b|every\b)\s*([a-zA-Z]+)\s*")
_SHARE = re.compile(r"\s*(\d{1,9}(?:[.,]\d{0,9})?)\s*%\s*")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_LIKE_A_CLOCK = re.compile(
    r"\s*(\d{1,2})(?:[:.h](\d\d))?\s*(?:([ap])\.?m\.?|h|uhr)?\s*", re.IGNORECASE
)
_LIKE_A_DATE = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})")
_PLAIN = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")


class InvalidValue(ValueError):
    """A value was refused: what would be right ('must be positive'), and a hint."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


def require(fulfilled: bool, problem: str) -> None:
    """Raise `InvalidValue` unless a condition is fulfilled."""
    if not fulfilled:
        raise InvalidValue(problem)


# --- words --------------------------------------------------------------------------------------


def meant(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word that is nearest to one, begins with it or holds it, if any does.

    >>> meant("p95_latncy", ["p95_latency"]), meant("overhead", ["overhead_worker_time"])
    ('p95_latency', 'overhead_worker_time')
    """
    if len(word) > LONGEST_WORDS // 10:  # to compare long words takes seconds
        return None
    known = list(valid)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    begun = [one for one in known if len(word) > 2 and one.lower().startswith(word.lower())]
    held = [one for one in known if " " in one and word.lower() in one.split()]
    return next(iter([*close, *begun, *held]), None)


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest valid word, or an empty string."""
    found = meant(word, valid)
    return "" if found is None else f"; did you mean {found!r}?"


def suggested(read: Callable[[str], object], written: str, *candidates: str) -> str:
    """Return ``"; did you mean 'x'?"`` for the first other candidate that a reader accepts."""
    for candidate in candidates:
        if candidate != written:
            with contextlib.suppress(InvalidValue):
                read(candidate)
                return f"; did you mean {candidate!r}?"
    return ""


def with_point(written: str) -> str:
    """Return a text whose numbers have a decimal point and no commas.

    >>> with_point("0,4s"), with_point("1,5h"), with_point("10,000/day")
    ('0.4s', '1.5h', '10000/day')
    """
    plain = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), written)
    return re.sub(r"(?<=\d),(?=\d)", ".", plain)


def one_of(value: str, valid: Iterable[str]) -> str:
    """Return the value if it is one of the valid words."""
    known = tuple(valid)
    if isinstance(value, str) and value in known:
        return value
    words = ", ".join(repr(word) for word in known)
    hint = nearest(value, known) if isinstance(value, str) else ""
    raise InvalidValue(f"must be one of {words}", hint)


def text(value: str) -> str:
    """Return a non-empty text of at most `LONGEST_WORDS` characters."""
    require(isinstance(value, str) and value.strip() != "", "must be a non-empty text")
    require(len(value) <= LONGEST_WORDS, f"must have {LONGEST_WORDS:,} characters at most")
    return any_text(value)


def any_text(value: str) -> str:
    """Return a text, which may be empty."""
    require(isinstance(value, str), "must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, as "\ud800", which no file can hold
        raise InvalidValue("must be a text that UTF-8 can hold") from None
    return value


def texts(value: Iterable[str]) -> tuple[str, ...]:
    """Return a sequence of non-empty texts as a tuple."""
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) and part for part in value):
        return tuple(any_text(part) for part in value)
    raise InvalidValue("must be a list of non-empty texts")


def file_name(value: str | Path) -> Path:
    """Return the path of a file."""
    if isinstance(value, (str, Path)) and "\0" not in str(value) and len(str(value)) <= 4096:
        with contextlib.suppress(UnicodeEncodeError):  # half a character, as "\ud800"
            os.fsencode(value)
            return Path(value)
    raise InvalidValue("must be the name of a file")


# --- numbers ------------------------------------------------------------------------------------


def number(value: object) -> float:
    """Return a finite number as float; booleans, NaN, infinity and texts are refused."""
    if not isinstance(value, (bool, np.timedelta64)) and isinstance(value, numbers.Real):
        with contextlib.suppress(OverflowError):  # 10**400
            if math.isfinite(result := float(value)):
                return result
    raise InvalidValue("must be a finite number", _unquoted(value))


def _unquoted(value: object) -> str:
    """Return the hint for a number in quotes, or with a decimal comma."""
    if not isinstance(value, str) or not _PLAIN.fullmatch(plain := with_point(value.strip())):
        return ""
    return f"; write {plain} without quotes" if plain in value else f"; did you mean {plain}?"


def not_negative(value: object, most: float = MOST) -> float:
    """Return a number from 0 to `most`."""
    result = number(value)
    require(result >= 0, "must not be negative")
    require(result <= most, f"must be {most:,g} at most")
    return result


def operations(value: float) -> float:
    """Return a number of database operations, possibly a mean; a whole number stays an int."""
    result = not_negative(value)
    return int(result) if result.is_integer() else result


def per_cent(written: str) -> float | None:
    """Return the share that words such as ``"80 %"`` mean, or None."""
    share = _SHARE.fullmatch(written)
    return float(with_point(share[1])) / 100 if share else None


def share_hint(value: object) -> str:
    """Return the hint for per cent where a number is due, such as ``"; write 0.02"``."""
    if isinstance(value, str):
        return "" if (share := per_cent(value)) is None else f"; write {share:g}"
    plain = isinstance(value, int | float) and 1 < value <= 100
    return f"; write {value / 100:g} for {value:g} %" if plain else ""  # type: ignore[operator]


def probability(value: float | str) -> float:
    """Return a probability from 0 to 1."""
    with contextlib.suppress(InvalidValue):
        if 0.0 <= (result := number(value)) <= 1.0:
            return result
    raise InvalidValue(A_PROBABILITY, share_hint(value) or _unquoted(value))


def chance_below_one(value: float) -> float:
    """Return a probability below 1, for what must succeed some time."""
    result = probability(value)
    require(result < 1.0, "must be below 1, or the work would never be done")
    return result


def inner_share(value: float) -> float:
    """Return a number above 0 and below 1."""
    with contextlib.suppress(InvalidValue):
        if 0 < (result := number(value)) < 1:
            return result
    raise InvalidValue("must be between 0 and 1")


def _whole(value: object, least: int, most: float) -> int:
    if not isinstance(value, (bool, np.timedelta64)) and isinstance(value, numbers.Integral):
        result = int(value)
        require(result <= most, f"must be {most:,} at most")
        if result >= least:
            return result
    raise InvalidValue(f"must be a whole number, {least} or more", _unquoted(value))


def count(value: int) -> int:
    """Return a whole number from 1 to `MOST`."""
    return _whole(value, 1, MOST)


def instances(value: int) -> int:
    """Return a number of instances, from 1 to `MOST_INSTANCES`."""
    return _whole(value, 1, MOST_INSTANCES)


def servers(value: int) -> int:
    """Return a number of workers, lanes or people, from 1 to `MOST_SERVERS`."""
    return _whole(value, 1, MOST_SERVERS)


def from_zero(value: int) -> int:
    """Return a whole number of at least 0."""
    return _whole(value, 0, math.inf)


def optional_count(value: int | None) -> int | None:
    """Return a whole number of at least 1, or None for "no limit"."""
    return _optional(value, count)


def _optional(value: Any, read: Callable[[Any], R]) -> R | None:
    """Return None, or a value as a reader converts it."""
    try:
        return None if value is None else read(value)
    except InvalidValue as problem:
        nothing = isinstance(value, str) and value.lower() in NOTHING
        raise InvalidValue(str(problem), LEAVE_OUT if nothing else problem.hint) from None


def count_or_unlimited(value: int | str | None) -> int | None:
    """Return a whole number of at least 1, or None for None and, in files, ``"unlimited"``."""
    if value is None or (isinstance(value, str) and value == UNLIMITED):
        return None
    try:
        return servers(value)  # type: ignore[arg-type]
    except InvalidValue as problem:
        raise InvalidValue(f"{problem}, or {UNLIMITED!r}") from None


def number_text(value: float, digits: int = 4) -> str:
    """Return a number for display: its whole part, or `digits` significant digits; NaN is "–".

    >>> number_text(35219.4), number_text(0.98765432), number_text(12.0), number_text(math.nan)
    ('35,219', '0.9877', '12', '–')
    """
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.{digits}g}"


# --- durations and rates ------------------------------------------------------------------------


def _seconds(value: DurationLike) -> float:
    if isinstance(value, str):
        return _seconds_from_text(value)
    if isinstance(value, timedelta):  # pandas.Timedelta is one, and pandas.NaT is not
        return number(value.total_seconds())
    try:
        if isinstance(value, np.timedelta64):  # NaT becomes NaN, which is refused
            return number(value / np.timedelta64(1, "s"))
        return number(value)
    except (InvalidValue, TypeError):  # TypeError: months, which have no length
        raise InvalidValue(A_DURATION) from None


def _short(words: str, problem: str) -> str:
    """Return words to be parsed, which takes longer than their length."""
    require(len(words) <= LONGEST_WORDS, f"{problem}, in {LONGEST_WORDS:,} characters at most")
    return words


def _seconds_from_text(text: str) -> float:
    rest = _short(text, A_DURATION).strip()
    sign = -1.0 if rest.startswith("-") else 1.0
    rest = rest.removeprefix("-" if sign < 0 else "+")
    total, position = 0.0, 0
    while part := _DURATION_PART.match(rest, position):
        amount, unit = float(part[1]), part[2]
        singular = unit.removesuffix("s") if len(unit) > 3 else unit  # '5 mss' are not minutes
        seconds = SECONDS_PER_UNIT.get(singular)
        if seconds is None:
            problem = f"{A_DURATION} (unknown unit {unit!r})"
            raise InvalidValue(problem, _nearest_unit(unit) or UNITS)
        # 9 ms are 0.009 s: divide, since 9 * 0.001 is not the float nearest to 0.009
        total += amount / 1000.0 if seconds == 0.001 else amount * seconds
        position = part.end()
    if not 0 < position == len(rest) or not math.isfinite(total):
        raise InvalidValue(A_DURATION, _like_a_duration(text))
    return sign * total


def _like_a_duration(text: str) -> str:
    """Return the hint for a number without a unit, with a comma, or a time such as ``"1:30"``."""
    if _PLAIN.fullmatch(plain := with_point(text.strip())):
        return f"; did you mean '{plain}ms', '{plain}s' or '{plain}min'?"
    hours = re.sub(r"^(\d{1,2}):(\d\d)(?::(\d\d))?$", r"\1h \2min \3s", plain)
    return suggested(duration, text, plain, hours.removesuffix(" s"))


def _nearest_unit(unit: str) -> str:
    """Return the hint for an unknown unit, such as ``"; did you mean 'minute'?"``."""
    found = meant(unit.lower(), [*SECONDS_PER_UNIT, *OTHER_UNITS])
    return f"; did you mean {OTHER_UNITS.get(found, found)!r}?" if found else ""


def duration(value: DurationLike) -> float:
    """Return a duration in seconds, from 0 to `LONGEST_TIME`, read from a text or a time span."""
    seconds = _seconds(value)
    require(seconds >= 0, "must not be negative")
    require(seconds <= LONGEST_TIME, f"must be {LONGEST_TIME:g} s at most, some 3,000 years")
    return seconds


def positive_duration(value: DurationLike) -> float:
    """Return a duration in seconds, at least `SHORTEST_TIME`."""
    require(_seconds(value) > 0, "must be positive")
    seconds = duration(value)
    require(seconds >= SHORTEST_TIME, "must be at least 1 ns")
    return seconds


def length(value: DurationLike) -> float:
    """Return how long instances arrive, in seconds; a calendar has at most 40 years."""
    require(_seconds(value) <= LONGEST, "must be 40 years at most")
    return positive_duration(value)


def poll_interval(value: DurationLike) -> float:
    """Return an interval of checks in seconds, at least 1 ms."""
    seconds = positive_duration(value)
    require(seconds >= 0.001, "must be at least 1 ms")
    return seconds


def yes_or_no(value: bool) -> bool:
    """Return whether something is so."""
    require(isinstance(value, bool), "must be true or false")
    return value


def optional_interval(value: DurationLike | None) -> float | None:
    """Return an interval of checks in seconds, or None."""
    return None if value is None else poll_interval(value)


def switch(value: bool) -> bool:
    """Return a truth value."""
    require(isinstance(value, bool), "must be true or false")
    return value


def optional_duration(value: DurationLike | None) -> float | None:
    """Return a positive duration in seconds, or None."""
    return _optional(value, positive_duration)


def format_duration(seconds: float) -> str | float:
    """Return seconds as a text such as ``"15min"`` if reading it back is exact; else the number."""
    for unit in ("d", "h", "min", "s", "ms"):
        amount = seconds * 1000 if unit == "ms" else seconds / SECONDS_PER_UNIT[unit]
        text = f"{amount:.0f}{unit}"
        whole = 1 <= amount < 1e9 and abs(amount - round(amount)) < 1e-9
        if whole and _seconds(text) == seconds:
            return text
    return seconds


def text_of(seconds: float, digits: int = 4) -> str:
    """Return a duration for a label, in four significant digits or fewer: ``"7.5 min"``."""
    unit, size = scale_of(seconds)
    return f"{seconds * 1000 if unit == 'ms' else seconds / size:.{digits}g} {unit}"


def scale_of(seconds: float) -> tuple[str, float]:
    """Return the unit in which a duration is written, and its seconds."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", 1.0)):
        if abs(seconds) >= size:
            return unit, size
    return "ms", 0.001


def percent(share: float) -> str:
    """Return a share in per cent: ``"19.4 %"``."""
    return f"{100 * share:.3g} %"


@attrs.frozen
class Rate:
    """A number per unit of time; it keeps the unit: '10000/day' is a number for the whole day."""

    count: float
    unit: str

    @property
    def per_second(self) -> float:
        """The rate per second, spread over the whole unit."""
        return self.count / SECONDS_PER_UNIT[self.unit]

    def __str__(self) -> str:
        return f"{self.count!r}/{self.unit}".replace(".0/", "/")


def _nearest_rate(value: object) -> str:
    """Return the hint for words that are almost a rate, such as ``"300 per hour"``."""
    written = with_point(value).strip() if isinstance(value, str) else ""
    if _PLAIN.fullmatch(written):
        return f"; did you mean '{written}/day', '{written}/h' or '{written}/s'?"
    if not (like := _LIKE_A_RATE.fullmatch(written)):
        return ""
    unit = meant(like[2].lower(), [*SECONDS_PER_UNIT, *OTHER_UNITS])
    return f"; did you mean '{like[1]}/{OTHER_UNITS.get(unit, unit)}'?" if unit else UNITS


def rate(value: float | str | Rate) -> Rate:
    """Return a positive rate, read from ``"300/h"``, ``"10000/day"`` or a number per second."""
    amount: Any = value
    unit = "s"
    try:
        if isinstance(value, Rate):
            amount, unit = value.count, value.unit
        elif isinstance(value, str):
            match = _RATE.fullmatch(_short(value, A_RATE))
            amount, unit = (float(match[1]), match[2]) if match else (value, unit)
        found = Rate(number(amount), unit)
        per_second = found.per_second
    except (ValueError, TypeError, KeyError):
        raise InvalidValue(A_RATE, _nearest_rate(value)) from None
    require(found.count > 0, "must be a positive rate")
    bounds = f"must be from {LOWEST:g} to {HIGHEST:g} per second"
    require(LOWEST <= per_second <= HIGHEST, bounds)
    return found


# --- clock times, days and dates ----------------------------------------------------------------


def clock_time(value: ClockTimeLike) -> str:
    """Return a clock time as ``"HH:MM"`` or ``"HH:MM:SS"``; ``"24:00"`` is the end of the day."""
    if isinstance(value, time) and not value.microsecond and value.tzinfo is None:
        value = value.strftime("%H:%M:%S") if value.second else value.strftime("%H:%M")
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match:
        hour, minute, second = (int(group or 0) for group in match.groups())
        if (hour < 24 and minute < 60 and second < 60) or (hour, minute, second) == (24, 0, 0):
            return f"{hour:02d}:{minute:02d}" + (f":{second:02d}" if second else "")
    found = _meant_clock(value)
    hint = f"; did you mean {found!r}?" if found else ""
    raise InvalidValue("must be a clock time such as '22:00'", hint)


def _meant_clock(value: object) -> str | None:
    """Return what ``"9:30 pm"``, ``"21.30"`` or ``"7"`` means, or None."""
    is_hour = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24
    like = _LIKE_A_CLOCK.fullmatch(str(value)) if is_hour or isinstance(value, str) else None
    if like is None:
        return None
    hour, minute = int(like[1]), like[2] or "00"
    if half := (like[3] or "").lower():
        hour = hour % 12 + 12 * (half == "p")
    return f"{hour:02d}:{minute}" if hour < 24 and minute < "60" else None


def optional_clock_time(value: ClockTimeLike | None) -> str | None:
    """Return a clock time, or None."""
    return _optional(value, clock_time)


def seconds_of_day(clock: str) -> int:
    """Return the seconds from midnight of a clock time that was read by `clock_time`."""
    parts = [int(part) for part in clock.split(":")] + [0]
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def window(value: tuple[ClockTimeLike, ClockTimeLike] | list[str]) -> tuple[str, str]:
    """Return opening hours as two clock times, the first before the second."""
    problem = "must be two clock times, the earlier first, such as ['08:00', '20:00']"
    if isinstance(value, (tuple, list)) and len(value) == 2:
        with contextlib.suppress(InvalidValue):
            opens, closes = clock_time(value[0]), clock_time(value[1])
            if seconds_of_day(opens) < seconds_of_day(closes):
                return opens, closes
    raise InvalidValue(problem, _nearest_window(value))


def _nearest_window(value: object) -> str:
    """Return the hint for what is almost a window, such as ``["7", "18"]`` or ``"7:00-18:00"``."""
    parts = re.split(r"-|\u2013|\bto\b", value) if isinstance(value, str) else value
    if isinstance(parts, (tuple, list)) and len(parts) == 2:
        opens, closes = map(_meant_clock, parts)
        if opens and closes and opens < closes:
            return f"; did you mean {[opens, closes]!r}?"
    return ""


def days_of_week(value: str) -> str:
    """Return days as ``"Mon-Fri"``, ``"Sat, Sun"`` or ``"every day"``, checked."""
    day_numbers(value)
    return value


def day_numbers(value: str) -> frozenset[int]:
    """Return the days named by `days_of_week` as numbers, Monday = 0."""
    if not isinstance(written := cast(Any, value), str):
        several = isinstance(written, list | tuple) and all(isinstance(one, str) for one in written)
        raise InvalidValue(DAYS, suggested(day_numbers, "", ", ".join(written)) if several else "")
    if _short(value, DAYS).strip().lower() == "every day":
        return frozenset(range(7))
    found: set[int] = set()
    for part in value.split(","):
        ends = [_day_number(name) for name in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2:
            raise InvalidValue(DAYS, _nearest_days(value))
        found.update((first + k) % 7 for k in range((last - first) % 7 + 1))
    return frozenset(found)


def _day_number(name: str) -> int | None:
    written = name.strip().title()
    known = (k for k, day in enumerate(DAY_NAMES) if len(written) > 2 and day.startswith(written))
    return next(known, None)


def _nearest_days(written: str) -> str:
    """Return the hint for words that are almost days, such as ``"Mo-Fr"``."""

    def corrected(name: re.Match[str]) -> str:
        known = _day_number(name[0]) is not None
        names = [day[:3] for day in DAY_NAMES] if len(name[0]) < 4 else DAY_NAMES
        return name[0] if known else meant(name[0].title(), names) or name[0]

    words = re.sub(r"\s(?:to|until|till)\s|[\u2013\u2014]", "-", written.strip())
    found = OTHER_DAYS.get(words.lower()) or re.sub(r"[^\W\d_]+", corrected, words)
    with contextlib.suppress(InvalidValue):
        if found != written and day_numbers(found):
            return f"; did you mean {found!r}?"
    return ""


def _nearest_date(written: object) -> str:
    """Return the hint for a date in another order: ``"5.1.2026"``; ``"1/5/2026"`` may be two."""
    if isinstance(written, datetime) and written == written:  # not pandas.NaT
        return f"; did you mean '{written.date()}'?"
    like = _LIKE_A_DATE.fullmatch(written) if isinstance(written, str) else None
    if not like:
        return ""
    first, second, year = int(like[1]), int(like[3]), int(like[4])
    found = []
    for month, day in ((second, first), (first, second))[: 2 if like[2] == "/" else 1]:
        with contextlib.suppress(ValueError):
            found.append(repr(date(year, month, day).isoformat()))
    return f"; did you mean {' or '.join(dict.fromkeys(found))}?" if found else ""


def calendar_date(value: str | date) -> date:
    """Return a date from 1700 to 2200, read from ``"2026-01-05"`` or a `datetime.date`."""
    written: Any = value
    try:
        a_date = isinstance(value, date) and not isinstance(value, datetime)
        found: date = written if a_date else date.fromisoformat(written)
    except (ValueError, TypeError):
        raise InvalidValue("must be a date such as '2026-01-05'", _nearest_date(written)) from None
    require(FIRST_DATE <= found <= LAST_DATE, f"must be a date from {FIRST_DATE} to {LAST_DATE}")
    return found
