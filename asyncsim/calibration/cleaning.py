"""Instants of a log that cannot be what they say: default dates, and clocks without minutes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from asyncsim.calibration.cases import KEPT, Problems
from asyncsim.calibration.log_reader import CENTURIES, TIMES
from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, HOUR, MINUTE

GRIDS = (DAY, HOUR, MINUTE, 1.0)
FEWEST = 8
"""This many different instants on full hours, for example, are not a coincidence."""
FAR = 90 * DAY
"""Dates that nothing comes near for so long are far from all others, …"""
BEGINNINGS, USUAL = ("queued", "started", "armed"), 0.9
"""A step usually has a beginning in the log if at least this share of it has one of these."""
RARE = 0.01
"""… if no more than this share of all instants is among them."""


def resolution_of(steps: pd.DataFrame) -> float:
    """Return how coarse a log's clock is: an hour, a minute, a second; 0 if finer.

    Of the column whose clock is coarsest.

    Raises
    ------
    ScenarioError
        If it has dates only.
    """
    coarsest = 0.0
    for column in TIMES:
        known = steps[column].dropna().unique()
        if len(known) < FEWEST:
            continue
        coarse = next((grid for grid in GRIDS if not np.any(known % grid)), 0.0)
        if coarse == DAY:
            what = "submitted" if column in ("queued", "started", "armed") else column
            raise ScenarioError(
                f"the log has dates without a time of day ({what}), which say nothing of waits: "
                "it needs timestamps such as 2026-03-02 09:13:22"
            )
        coarsest = max(coarsest, coarse)
    return coarsest


def without_strays(steps: pd.DataFrame, calendar: Calendar, problems: Problems) -> pd.DataFrame:
    """Return a log without what is years away from it, such as 1970-01-01 and 9999-12-31.

    A row whose first instant is one of those is left out, of others only the instant.

    Parameters
    ----------
    steps
        Of `asyncsim.calibration.log_reader.Log`.
    calendar
        That its instants count from.
    problems
        Where they are noted.
    """
    known = np.sort(_instants(steps))
    parts = np.split(known, np.flatnonzero(np.diff(known) > FAR) + 1)
    strays = [part for part in parts if len(part) <= RARE * len(known)]
    if not strays:
        return steps
    far = steps[[*TIMES]].isin(np.concatenate(strays))
    first = steps[[*TIMES]].min(axis=1)
    begins = far[[*TIMES]].where(steps[[*TIMES]].eq(first, axis=0), other=False).any(axis=1)
    later = far.any(axis=1) & ~begins
    for rows, what, used in (
        (begins, "dated far from all others", "no"),
        (later, "goes on far from all other dates (taken as open)", KEPT),
    ):
        if rows.any():
            day = day_of(_instants(steps[rows].where(far[rows]))[0], calendar)
            problems.add(f"{what}, such as {day}", steps.loc[rows, "place"], used)
    kept = steps[~begins].copy()
    kept[[*TIMES]] = kept[[*TIMES]].where(~far[~begins])
    return kept.reset_index(drop=True)


def day_of(instant: float, calendar: Calendar) -> date:
    """Return the day of an instant, also where a calendar has no timestamps any more."""
    if abs(instant) < CENTURIES.total_seconds():
        shown: date = calendar.timestamps(np.array([instant]))[0].date()
        return shown
    day = calendar.start.toordinal() + int(instant // DAY)
    return date.fromordinal(min(max(day, date.min.toordinal()), date.max.toordinal()))


def begun_before(steps: pd.DataFrame, problems: Problems) -> set[str]:
    """Return the cases that began before the log does, and note them.

    The first that is seen of them is an end or a resumption, of a step that otherwise begins before
    it ends. Such a case does not count as an arrival.

    Parameters
    ----------
    steps
        Of `asyncsim.calibration.log_reader.Log`.
    problems
        Where they are noted.
    """
    begun = steps[[*BEGINNINGS]].notna().any(axis=1)
    usual = begun.groupby(steps["step"]).transform("mean") >= USUAL
    first = steps[[*TIMES]].min(axis=1)
    is_first = first.eq(first.groupby(steps["case"]).transform("min"))
    cut = is_first & ~begun & usual
    if cut.any():
        what = "begun before the log: goes on without a beginning (no arrival)"
        problems.add(what, steps.loc[cut, "place"], KEPT)
    return set(steps.loc[cut, "case"])


def _instants(steps: pd.DataFrame) -> Floats:
    values: Floats = steps[[*TIMES]].to_numpy(dtype=float).ravel()
    return values[~np.isnan(values)]
