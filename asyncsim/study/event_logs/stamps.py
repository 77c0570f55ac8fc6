"""Instants as ISO 8601 text with an offset from UTC, to the microsecond, many at a time.

A scenario without a zone has a clock that belongs to no place. Files of event logs need an offset,
so its times are written as if they were UTC, and the file says so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from asyncsim.model.calendar import Calendar


def clock_of(calendar: Calendar) -> str:
    """Return what a file says about its clock.

    >>> from datetime import date
    >>> clock_of(Calendar(date(2026, 1, 5)))
    'no time zone in the scenario; its local times are written as UTC'
    """
    if calendar.zone is None:
        return "no time zone in the scenario; its local times are written as UTC"
    return f"time zone of the scenario: {calendar.zone}"


def in_zone(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps as the clock shows them, with its offset; none may be NaT.

    >>> noon = pd.DatetimeIndex(["2026-07-01 12:00:00.5"])
    >>> in_zone(noon), in_zone(noon.tz_localize("Europe/Berlin"))
    (['2026-07-01T12:00:00.500000+00:00'], ['2026-07-01T12:00:00.500000+02:00'])
    """
    local = stamps.tz_localize(None)
    minutes = ((local - _utc(stamps)) // pd.Timedelta("1min")).tolist()
    offsets = {
        m: f"{'-' if m < 0 else '+'}{abs(m) // 60:02}:{abs(m) % 60:02}" for m in set(minutes)
    }
    return [text + offsets[m] for text, m in zip(_texts(local), minutes, strict=True)]


def in_utc(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps in UTC, with a Z at the end; none may be NaT.

    >>> in_utc(pd.DatetimeIndex(["2026-07-01 12:00"]).tz_localize("Europe/Berlin"))
    ['2026-07-01T10:00:00.000000Z']
    """
    return [text + "Z" for text in _texts(_utc(stamps))]


def _utc(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return stamps if stamps.tz is None else stamps.tz_convert(None)


def _texts(naive: pd.DatetimeIndex) -> list[str]:
    texts: list[str] = np.datetime_as_string(naive.to_numpy(), unit="us").tolist()
    return texts
