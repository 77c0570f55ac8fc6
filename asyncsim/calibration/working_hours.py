"""Working hours inferred from completions, breaks, and other rhythms of the day.

`working_hours` returns when people work, and time counted in working hours only. Breaks, days that
end early and work in step with the clock are reported, since a scenario does not model them and
the waiting they cause must not be taken for work. Clock times are rounded as people set them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.batch_detection import clock_of, shortest_arc
from asyncsim.calibration.findings import Gap
from asyncsim.model.calendar import Calendar, Days, Hours
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, DAY_NAMES, HOUR, MINUTE, seconds_of_day, text_of

PERIODS = (8 * HOUR, 6 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR, HOUR / 2, HOUR / 4)
CYCLES = 3  # a rhythm is looked for where completions last this many of its periods a day
IN_STEP = 0.25  # least mean resultant length of a rhythm: as if spread over 4/5 of a period
SURE = 15.0  # minus the logarithm of the probability left to chance
SHORTEST_BREAK = 15 * MINUTE  # a shorter time without completions is not a break
MOST = 0.99  # share of completions in the part of the day in which there are any
A_BREAK = (
    "a break, or a day that ends early; the scenario's people have none, and its times of work "
    "hold the waiting"
)


def rhythm_gaps(name: str, armed: Floats, done: Floats, calendar: Calendar) -> list[Gap]:
    """Report completions in step with a period of the day, as batches all day cause them.

    The mean resultant length of phases is tested by Rayleigh's test, for which the chance is about
    exp(-n R²) (Mardia and Jupp 2000, Directional Statistics, 6.3). Requests that come in step
    themselves explain it.
    """
    came, clock = clock_of(armed, calendar), clock_of(done, calendar)
    _, length = shortest_arc(clock, MOST)
    for period in PERIODS:
        step = _resultant(clock, period)
        if length < CYCLES * period or step < IN_STEP or len(done) * step**2 < SURE:
            continue
        if _resultant(came, period) > step / 2:
            return []
        meaning = (
            "as of a batch that runs so often, which is in no scenario: what is found of hours, "
            "lanes and times holds the waiting for it"
        )
        amount = f"in step with every {text_of(period)}"
        return [Gap(name, "completions by the clock", amount, meaning)]
    return []


def _resultant(clock: Floats, period: float) -> float:
    return float(np.abs(np.mean(np.exp(2j * math.pi * clock / period))))


def break_gaps(name: str, done: Floats, between: tuple[str, str], calendar: Calendar) -> list[Gap]:
    """Report whether people have a break every day, or end early on some days of the week."""
    first, last = (seconds_of_day(one) for one in between)
    clock = clock_of(done, calendar)
    time, day = clock % DAY, np.floor(clock / DAY).astype(int)
    inside = (time >= first) & (time <= last)
    time, weekday = time[inside], (calendar.start.weekday() + day[inside]) % 7
    found = []
    ordered = np.sort(time)
    if len(ordered) > 1:
        k = int(np.argmax(np.diff(ordered)))
        idle, rate = float(ordered[k + 1] - ordered[k]), len(ordered) / (last - first)
        if idle >= SHORTEST_BREAK and rate * idle > SURE + math.log(len(ordered)):
            amount = f"none from {clock_text(ordered[k])} to {clock_text(ordered[k + 1])}"
            found.append(Gap(name, "completions in working hours", amount, A_BREAK))
    for k in np.unique(weekday).tolist():
        mine, others = time[weekday == k], time[weekday != k]
        latest = float(mine.max())
        if len(others) and len(mine) * float(np.mean(others > latest)) > SURE:
            amount = f"none after {clock_text(latest)} on {DAY_NAMES[k]}s"
            found.append(Gap(name, "completions in working hours", amount, A_BREAK))
    return found


WEEK = 7
ROUND = (3600, 1800, 900, 300, 60)


def clock_text(seconds: float) -> str:
    """Return seconds of a day, also before or after it, as a clock time.

    >>> clock_text(-60), clock_text(79_200.9)
    ('23:59', '22:00')
    """
    whole = math.floor(seconds) % int(DAY)
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}"
    return text + (f":{whole % 60:02d}" if whole % 60 else "")


def roundest(low: float, high: float, near: float) -> float:
    """Return the roundest clock time from `low` to `high`; of several, the nearest to a guess.

    >>> roundest(78_000.0, 79_215.0, 79_210.0) / 3600
    22.0
    """
    for step in ROUND:
        found = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
        if len(found):
            return float(found[np.argmin(np.abs(found - near))])
    return float(math.floor(min(max(near, low), high)))


def days_text(weekdays: Iterable[int]) -> str:
    """Return days of the week, 0 for Monday, as a scenario has them.

    >>> days_text([0, 1, 2, 3, 4]), days_text(range(7)), days_text({2, 4, 5})
    ('Mon-Fri', 'every day', 'Wed, Fri, Sat')
    """
    found = sorted(weekdays)
    names = [DAY_NAMES[k][:3] for k in found]
    if len(found) == WEEK:
        return "every day"
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{names[0]}-{names[-1]}"
    return ", ".join(names)


SHARE = 0.99  # share of completions in working hours: a few may be overtime
LONGEST = 16 * HOUR  # a longer part of the day does not count as working hours, …
SHORTEST = 2 * HOUR  # … nor does a shorter one
LATE = 60.0  # how long after work has ended the last task of a day may be booked, in seconds
# Most and least seconds from the start of work to the first task, and from the last to the end
EDGE, SOON = 1800.0, 120.0
QUICK = 0.05  # quantile of same-day tasks that shows how long the first one takes
# The first and the last task of a day may be this many means away (farther in 0.7 % of logs): with
# less, work would seem to begin later and end sooner than it does; with more, a rounder time wins
FAR = 5
FEWEST, RARE = 10, 0.02  # least number and share waiting over night for nights to be visible
EXACT = 1e-3  # times that differ by less, in seconds, are one


@frozen(eq=False)
class Working:
    """Working hours as a log shows them."""

    between: tuple[str, str]  # for `asyncsim.People`
    days: str  # likewise
    idle: tuple[date, ...]  # working days on which nothing was done though work waited
    over_night: int  # requests that waited outside of working hours
    # begin, end and working seconds before each working time, without idle days, (n, 3)
    spans: Floats

    def seconds(self, instants: Floats) -> Floats:
        """Return how many seconds were worked until each instant."""
        opens, closes, before = self.spans.T
        k = np.searchsorted(opens, instants, side="right") - 1
        worked = before[k] + np.minimum(instants, closes[k]) - opens[k]
        return np.where(k >= 0, worked, 0.0)


def working_hours(armed: Floats, done: Floats, calendar: Calendar) -> Working | None:
    """Return the working hours that completions keep to, or None; instants by request."""
    clock = clock_of(done, calendar)
    start, length = shortest_arc(clock, SHARE)
    if length > LONGEST or start + length > DAY:  # beyond midnight is a night shift: not described
        return None
    came = clock_of(armed, calendar)
    first, last = _edges(came, clock, start, start + length)
    if last - first < SHORTEST:
        return None
    opens, closes = (clock_text(first), clock_text(last))
    # Waited over at least one night, or came outside of working hours
    over_night = int(np.sum(np.floor((came - first) / DAY) < np.floor((clock - first) / DAY)))
    if over_night < max(FEWEST, RARE * len(done)):
        return None
    worked = np.unique(np.floor(clock / DAY).astype(int))
    dates = np.arange(worked[0], worked[-1] + 1)
    idle = [
        int(k)
        for k in np.setdiff1d(dates, worked)
        if np.any((came <= k * DAY + first) & (clock > k * DAY + last))
    ]
    weekday = (calendar.start.weekday() + np.array([*worked, *idle])) % WEEK
    on = set(weekday[: len(worked)].tolist())
    # Few completions on a day of rest are overtime, and no working day
    counts = np.bincount((calendar.start.weekday() + np.floor(clock / DAY).astype(int)) % WEEK)
    on -= {k for k in on if counts[k] < (1 - SHARE) * counts.max()}
    unseen = set(range(WEEK)) - on - set(weekday[len(worked) :].tolist())
    # Nothing speaks against days that the log does not have; if some are free, the weekend may be
    kept = on | (unseen if len(on | unseen) == WEEK else unseen & {0, 1, 2, 3, 4})
    days = days_text(kept)
    off = tuple(calendar.day(k) for k in idle if calendar.day(k).weekday() in kept)
    spans = Hours((opens, closes), Days(days)).opened(calendar).first(int(dates[-1]) + 2 * WEEK)
    there = ~np.isin(np.floor(clock_of(spans[:, 0], calendar) / DAY), idle)
    begun, ended = spans[there, 0], spans[there, 1]
    before = np.append(0.0, np.cumsum(ended - begun)[:-1])
    worked_in = np.column_stack([begun, ended, before])
    found = Working((opens, closes), days, off, over_night, worked_in)
    return None if _is_delay(done - armed, found.seconds(done) - found.seconds(armed)) else found


def _is_delay(whole: Floats, worked: Floats) -> bool:
    """Return whether the hours only mirror those in which requests come, each delayed by some time.

    People do not mind how long they were closed: the whole time varies more than its worked part. A
    delay does not mind whether it is night: what closing has left of it varies more than the whole.
    """
    return bool(np.std(worked) >= np.std(whole) - EXACT)


def _edges(came: Floats, clock: Floats, start: float, end: float) -> tuple[float, float]:
    """Return the roundest clock times for begin and end of work, from when most of it was done."""
    date, time = np.floor(clock / DAY), clock % DAY
    near = (time >= start - EDGE) & (time <= end + EDGE)
    by_day = pd.Series(time[near]).groupby(date[near])
    earliest, latest = by_day.min(), by_day.max()
    start, end, n = float(earliest.min()), float(latest.max()), len(earliest)
    same_day = (clock - came)[np.floor(came / DAY) == date]
    quick = float(np.quantile(same_day, QUICK, method="lower")) if len(same_day) else 0.0
    before = max(FAR * float((earliest - start).mean()) / n, quick)
    after = FAR * float((end - latest).mean()) / n
    before, after = (min(max(slack, SOON), EDGE) for slack in (before, after))
    first = roundest(max(start - before, 0.0), start, start)
    return first, roundest(end - LATE, min(end + after, DAY - 1), end)
