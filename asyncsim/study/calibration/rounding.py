"""Clock times and days of the week as people set them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from asyncsim.model.quantities import DAY_NAMES

DAY = 86400
WEEK = 7
ROUND = (3600, 1800, 900, 300, 60)


def clock_text(seconds: float) -> str:
    """Return seconds of a day, also before or after it, as a clock time.

    Examples
    --------
    >>> clock_text(-60), clock_text(79_200.9)
    ('23:59', '22:00')
    """
    whole = math.floor(seconds) % DAY
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
