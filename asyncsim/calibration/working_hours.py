"""Working hours behind completions: when people are there, and time counted while they are."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.batch_detection import clock_of, shortest_arc
from asyncsim.calibration.periodicity import clock_text, days_text, roundest
from asyncsim.model.calendar import Calendar, Days, Hours
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, HOUR

SHARE = 0.99
"""Working hours hold this share of all completions, so that a few may be overtime."""
LONGEST = 16 * HOUR
"""A longer part of the day is no working hours."""
SHORTEST = 2 * HOUR
"""Nor is a shorter one."""
LATE = 60.0
"""The last task of a day may be booked so long after work has ended."""
EDGE, SOON = 1800.0, 120.0
"""The first task of a day may be done so long after work begins, the last before it ends."""
QUICK = 0.05
"""The quickest tasks, this share of those done on one day, tell how long a first one takes."""
FAR = 5
"""So many means away the first and the last task of a day may be: farther in 0.7 % of logs.

With less work would seem to begin later and end sooner than it does; with more a rounder time wins.
"""
FEWEST, RARE = 10, 0.02
"""So many requests must have waited over night, and this share, or nothing tells of a night."""
EXACT = 1e-3
"""Times that differ by less, in seconds, are one."""
WEEK = 7


@frozen(eq=False)
class Working:
    """Working hours as a log shows them.

    Attributes
    ----------
    between, days
        For `asyncsim.People`.
    idle
        Working days on which nothing was done though work waited.
    over_night
        Requests that waited while nobody was there.
    spans
        Begin and end of each working time, without the idle days, and the working seconds before
        it, shape ``(n, 3)``.
    """

    between: tuple[str, str]
    days: str
    idle: tuple[date, ...]
    over_night: int
    spans: Floats

    def seconds(self, instants: Floats) -> Floats:
        """Return how many seconds were worked until each instant."""
        opens, closes, before = self.spans.T
        k = np.searchsorted(opens, instants, side="right") - 1
        worked = before[k] + np.minimum(instants, closes[k]) - opens[k]
        return np.where(k >= 0, worked, 0.0)


def working_hours(armed: Floats, done: Floats, calendar: Calendar) -> Working | None:
    """Return the working hours that completions keep to, or None if they keep to none.

    Parameters
    ----------
    armed, done
        Instants in seconds, request by request, shape ``(n,)``.
    calendar
        Whose clock people go by.
    """
    clock = clock_of(done, calendar)
    start, length = shortest_arc(clock, SHARE)
    if length > LONGEST or start + length > DAY:  # beyond midnight is a night shift: not described
        return None
    came = clock_of(armed, calendar)
    first, last = _edges(came, clock, start, start + length)
    if last - first < SHORTEST:
        return None
    opens, closes = (clock_text(first), clock_text(last))
    # Waited over at least one night, or came while nobody was there
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
    """Tell whether the hours only mirror those in which requests come, each delayed by some time.

    The variance of the whole time is that of the worked and of the closed part, and twice their
    covariance. People do not mind how long they were closed: the whole varies more than the worked
    part. A delay does not mind whether it is night: the worked part is what closing has left of it,
    and varies more than the whole.
    """
    return bool(np.std(worked) >= np.std(whole) - EXACT)


def _edges(came: Floats, clock: Floats, start: float, end: float) -> tuple[float, float]:
    """Return the roundest clock times for begin and end of work, from when most of it was done.

    The first task of a day is done some time after work has begun; how far the latest of n days is
    from the end is, were they exponential, a mean of 1/n of how far the others are from that.
    """
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
