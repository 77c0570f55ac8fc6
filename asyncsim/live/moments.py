"""Moments a person names: a clock time, a date, the start of the next batch."""

from __future__ import annotations

import re
from datetime import datetime

import pandas as pd

from asyncsim.model.calendar import LAST_DAY, Days
from asyncsim.model.described import refuse
from asyncsim.model.quantities import DAY, DurationLike, Refused, clock_time, duration
from asyncsim.model.scenario import Scenario
from asyncsim.model.systems import NightlyBatch

LAST_INSTANT = LAST_DAY * DAY
"""Where the calendar ends, and with it every session: some 40 years after the start."""
DATED = re.compile(r"\d{4}-\d\d-\d\d")


def instant_of(moment: DurationLike | datetime, scenario: Scenario, now: float) -> float:
    """Return the instant of a moment, in seconds from the scenario's start.

    Parameters
    ----------
    moment
        A clock time (``"22:00"``: the next one), a date and time (``"2026-01-06 07:00"``), or, as
        everywhere, a duration from the start: a number of seconds, ``"2 days"``, a timedelta.
    scenario
        Whose calendar is meant.
    now
        The present instant.
    """
    try:
        if isinstance(moment, str) and ":" in moment:
            if not DATED.match(moment.strip()):
                return _next(clock_time(moment.strip()), scenario, now)
            moment = pd.Timestamp(moment).to_pydatetime()
        if isinstance(moment, datetime):
            return _of_date(moment, scenario)
        return float(duration(moment))
    except (Refused, ValueError, OverflowError):  # of dates before year 1, say
        raise refuse(
            "until",
            "must be a clock time such as '22:00', a moment such as '2026-01-06 07:00', or a "
            "duration from the scenario's start",
            moment,
        ) from None


def _of_date(moment: datetime, scenario: Scenario) -> float:
    if pd.isna(moment) or (moment.tzinfo is not None and scenario.zone is None):
        raise Refused("")  # a zone that the scenario does not have cannot be gone by
    return float(scenario.calendar.seconds(moment))


def _next(clock: str, scenario: Scenario, now: float) -> float:
    times = scenario.calendar.times_of(clock, Days())
    found = next((moment.instant for moment in times if moment.instant > now), None)
    if found is None:
        raise Refused("")  # the calendar has no more days
    return found


def next_batch(scenario: Scenario, now: float) -> tuple[float, str] | None:
    """Return when the next batch starts, and the name of its system; None if there is none."""
    starts = []
    for name, batch in batches(scenario):
        nights = batch.nights(scenario.calendar)
        start = next((night.start for night in nights if night.start > now), None)
        if start is not None:
            starts.append((start, name))
    return min(starts, default=None)


def batches(scenario: Scenario) -> list[tuple[str, NightlyBatch]]:
    """Return all nightly batches, links of chains among them, with the names of their systems."""
    return [
        (name, link)
        for name, system in scenario.systems.items()
        for link in system.links
        if isinstance(link, NightlyBatch)
    ]
