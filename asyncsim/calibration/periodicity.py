"""What clocks show beyond working hours: breaks, days that end early, work in step with the hour.

No scenario has these. They are told, so that nobody takes the waiting they cause for work.

Clock times and days of the week as people set them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from asyncsim.calibration.batch_detection import clock_of, shortest_arc
from asyncsim.calibration.findings import Gap
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, DAY_NAMES, HOUR, MINUTE, seconds_of_day, text_of

PERIODS = (8 * HOUR, 6 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR, HOUR / 2, HOUR / 4)
CYCLES = 3
"""A rhythm is looked for where completions last so many of its periods a day."""
IN_STEP = 0.25
"""Mean resultant length from which completions are in step: as if spread over 4/5 of a period."""
SURE = 15.0
"""Minus the logarithm of the chance that is left to accident."""
SHORTEST = 15 * MINUTE
"""A shorter time without completions is no break."""
MOST = 0.99
"""So many completions make up the part of the day in which there are any."""
A_BREAK = (
    "a break, or a day that ends early; the scenario's people have none, and its times of work "
    "hold the waiting"
)


def rhythm_gaps(name: str, armed: Floats, done: Floats, calendar: Calendar) -> list[Gap]:
    """Say whether completions are in step with a period of the day, as batches all day make them.

    The mean resultant length of phases is tested by Rayleigh's test, for which the chance is about
    exp(-n R²) (Mardia and Jupp 2000, Directional Statistics, 6.3). Requests that come in step
    themselves explain it.

    Parameters
    ----------
    name
        Of the system.
    armed, done
        Instants in seconds, request by request, shape ``(n,)``.
    calendar
        Whose clock is looked at.
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
    """Say whether people have a break every day, or end early on some days of the week.

    Were completions as likely at any time of work, there would be some in a time that is too long.

    Parameters
    ----------
    name
        Of the system.
    done
        Instants of completion in seconds, shape ``(n,)``.
    between
        Their working hours.
    calendar
        Whose clock they go by.
    """
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
        if idle >= SHORTEST and rate * idle > SURE + math.log(len(ordered)):
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

    Examples
    --------
    >>> clock_text(-60), clock_text(79_200.9)
    ('23:59', '22:00')
    """
    whole = math.floor(seconds) % int(DAY)
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}"
    return text + (f":{whole % 60:02d}" if whole % 60 else "")


def roundest(low: float, high: float, near: float) -> float:
    """Return the roundest clock time from `low` to `high`; of several, the nearest to a guess.

    Schedules are set to round times: full hours, halves, quarters, five minutes, minutes. If none
    of them lies between, a whole second.

    Examples
    --------
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

    Examples
    --------
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
