"""Clock times as people set them."""

from __future__ import annotations

import math

import numpy as np

DAY = 86400
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
