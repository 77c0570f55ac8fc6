"""What a nightly batch is like: when it starts, how long an item takes, and the rest of it."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import scipy
from attrs import frozen

from asyncsim.calibration.batch_detection import BatchVerdict, ObservedNight, clock_of
from asyncsim.calibration.carry_over import (
    Schedule,
    cut_off_of,
    days_of,
    limits_of,
    lost_gaps,
)
from asyncsim.calibration.distribution_fit import LawFit, fit_law, six_digits
from asyncsim.calibration.findings import (
    Finding,
    FittedSystem,
    Gap,
    lanes_finding,
    law_finding,
    law_gaps,
)
from asyncsim.calibration.lane_count import lanes_of_nights
from asyncsim.calibration.log_reader import NO_ZONE
from asyncsim.calibration.settings import Settings
from asyncsim.calibration.working_hours import clock_text, roundest
from asyncsim.experiment.statistics import student_t
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Fixed, Floats
from asyncsim.model.systems import NightlyBatch
from asyncsim.model.units import DAY, HOUR

SLACK = 60.0
"""A scheduler may be so late, in seconds."""
SOON = 1.0
"""A batch that is at its first item so soon, in seconds, is not late."""
FINE = 3.0
"""A clock is coarse if it shows fewer than this many steps between completions."""
MANY = 0.1
"""More completions than this share outside the batch are hardly single strays."""
BEFORE, AROUND = 3, 2
"""A start is searched for this many standard errors before, or around, the estimated one.

With fewer a round clock time that is right is missed; with more a rounder one is taken instead.
"""
UNKNOWN = 900.0
"""… and this many seconds before the earliest end where the error is unknown."""
LATE_ERRORS = 4
"""A batch counts as late from this many standard errors; fewer would question good logs."""
AT_END = 0.9
"""Results come at the end if this share of the gaps within nights is nothing at all."""
AT_ONCE = 1e-6
"""Completions within a microsecond, the last digit of a timestamp, are at one time."""


@frozen(eq=False)
class _Pace:
    """When nights start, how long an item takes, and whether results come together."""

    start: float
    guess: float
    error: float
    item: LawFit
    how: str
    at_end: bool = False
    coarse: bool = False
    together: str = ""
    lanes: int | None = None


def _pace_of(
    first: Floats,
    last: Floats,
    came: Floats,
    done: Floats,
    nights: tuple[ObservedNight, ...],
    settings: Settings,
) -> _Pace:
    """Return the pace of nights.

    Parameters
    ----------
    first, last
        Clock of the first and the last completion of each.
    came, done
        Instants of submission and completion.
    nights
        The runs.
    """
    gaps = np.concatenate([np.diff(done[night.items]) for night in nights])
    counts = np.array([len(night.items) for night in nights])
    coarse = bool(len(gaps)) and gaps.mean() < FINE * settings.resolution
    # By a clock without seconds completions look simultaneous: whole nights must, not just pairs
    together = (last - first)[counts > 1] <= AT_ONCE if coarse else gaps <= AT_ONCE
    zero = float(np.mean(together)) if len(together) else 0.0
    at_end = zero >= AT_END
    lanes, times = None, gaps
    if not (at_end or coarse):
        lanes, times = _lanes_of(came, done, nights, gaps, settings.resolution)
    pace = (
        _from_ends(last, counts, settings)
        if at_end
        else _from_gaps(first, times, lanes or 1, coarse, settings)
    )
    shown = f"{zero:.0%} of {'nights show one instant' if coarse else 'the gaps are zero'}"
    return attrs.evolve(pace, at_end=at_end, coarse=coarse, together=shown, lanes=lanes)


def _lanes_of(
    came: Floats, done: Floats, nights: tuple[ObservedNight, ...], gaps: Floats, resolution: float
) -> tuple[int | None, Floats]:
    """Return how many items are worked on at a time, and the times they took.

    If nothing tells their number, the gaps between completions are what one lane took.
    """
    lanes, times = lanes_of_nights(
        [came[night.items] for night in nights], [done[night.items] for night in nights], resolution
    )
    return (lanes, times) if lanes else (None, gaps)


def fit_batch(
    name: str,
    submitted: Floats,
    completed: Floats,
    verdict: BatchVerdict,
    calendar: Calendar,
    settings: Settings,
) -> FittedSystem:
    """Fit a nightly batch to requests that come from one.

    Parameters
    ----------
    name
        Of the system, for the account.
    submitted, completed
        In seconds, shape ``(n,)``; NaN for those that are open.
    verdict
        Of `asyncsim.calibration.batch_detection.find_batch` about those that are not.
    calendar
        Whose clock it goes by.
    settings
        Of the fit.
    """
    closed = np.flatnonzero(np.isfinite(completed))
    nights = tuple(night.at(closed) for night in verdict.nights)
    clocks = clock_of(np.where(np.isfinite(completed), completed, 0.0), calendar)
    first = np.array([clocks[night.items[0]] - night.date * DAY for night in nights])
    last = np.array([clocks[night.items[-1]] - night.date * DAY for night in nights])
    pace = _pace_of(first, last, submitted, completed, nights, settings)
    schedule = Schedule.of(submitted, completed, nights, pace.start, calendar)
    cut_off, cut_finding = cut_off_of(name, schedule)
    lead = 0.0 if cut_off is None else (pace.start - cut_off) % DAY
    days, skip, day_findings = days_of(name, schedule, lead, calendar, settings.confidence)
    limits, limit_findings, gaps_left = limits_of(
        name, schedule, lead, last, pace.item.mean / (pace.lanes or 1), settings.confidence
    )
    described: dict[str, Any] = {"days": days, "skip": skip, "lanes": pace.lanes or 1, **limits}
    system = NightlyBatch(
        clock_text(pace.start), pace.item.law, results="at end" if pace.at_end else "per item",
        cut_off=None if cut_off is None else clock_text(cut_off), **described,
    )  # fmt: skip
    items = sum(len(night.items) for night in nights)
    spread = f"first completions {clock_text(first.min())} to {clock_text(first.max())}, start near"
    wide = student_t(settings.confidence, max(len(nights) - 1, 1))
    error = f" ± {wide * pace.error:.1f} s" if math.isfinite(pace.error) else ""
    findings = (
        Finding(name, "nightly batch", "yes", items, "", verdict.why),
        Finding(
            name, "start", system.start, len(nights), f"{spread} {clock_text(pace.guess)}{error}",
            f"{pace.how}; the roundest clock time that agrees",
        ),
        *day_findings,
        law_finding(name, "item time", pace.item),
        Finding(name, "results", system.results, items, "", pace.together),
        *lanes_finding(name, pace.lanes, items),
        cut_finding,
        *limit_findings,
    )  # fmt: skip
    jumps = _jump(name, first, nights, calendar)
    left = (*lost_gaps(name, schedule), *gaps_left, *law_gaps(name, "item time", pace.item))
    unexplained = (
        *_unknown(name, verdict, pace),
        *_late(name, pace, settings.resolution),
        *jumps,
        *left,
    )
    waiting = int(schedule.waiting.sum() - schedule.lost.sum())
    return FittedSystem(system, pace.item, findings, unexplained, waiting)


def _from_gaps(first: Floats, times: Floats, lanes: int, coarse: bool, settings: Settings) -> _Pace:
    """Where results come one by one: the first is there an item time after the start.

    Of several lanes it is the shortest of as many item times. A coarse clock shows the mean of
    the item time only, by how long the nights last.
    """
    item = fit_law(times if len(times) else np.zeros(1), settings.rng, settings.confidence)
    if coarse:
        item = _only_mean(item, float(times.mean()), (item.low, item.high))
    shortest = float(np.quantile(item.times, 1 - 0.5 ** (1 / lanes)))  # its median
    guess = float(np.median(first)) - shortest
    spread = float(np.std(first, ddof=1)) if len(first) > 1 else float(np.std(item.times))
    error = 1.25 * spread / math.sqrt(len(first))  # of a median, were they normal
    start = roundest(guess - max(SLACK, BEFORE * error), float(first.min()), guess)
    return _Pace(start, guess, error, item, "first completion less an item time, in the median")


def _from_ends(last: Floats, counts: np.ndarray[Any, Any], settings: Settings) -> _Pace:
    """Where results come at the end: a line through the ends of nights over their items.

    Its intercept is the start and its slope the item time (ordinary least squares).
    """
    n, how = len(last), "the earliest end of a night; too few nights for more"
    guess, error, slope, slope_error = float(last.min()), math.nan, 0.0, math.nan
    if n >= 3 and len(np.unique(counts)) > 1:
        line = scipy.stats.linregress(counts, last)
        if line.slope > 0:
            guess, error = float(line.intercept), float(line.intercept_stderr)
            slope, slope_error = float(line.slope), float(line.stderr)
            how = "ends of nights over their items, a line"
    wide = max(SLACK, AROUND * error) if slope else UNKNOWN
    start = roundest(guess - wide, min(guess + (wide if slope else 0), float(last.min())), guess)
    mean = max(float(np.mean((last - start) / counts)), 0.0)
    half = student_t(settings.confidence, max(n - 2, 1)) * slope_error
    ends = (mean - half, mean + half)
    item = fit_law(np.maximum((last - start) / counts, 0.0), settings.rng, settings.confidence)
    return _Pace(start, guess, error, _only_mean(item, mean, ends), how)


def _only_mean(item: LawFit, mean: float, ends: tuple[float, float]) -> LawFit:
    """Return an item time of which only the mean is known."""
    low, high = ends
    return attrs.evolve(
        item, law=Fixed(six_digits(mean)), rejected=False, candidates=item.candidates[:0],
        best=None, mean=mean, low=low, high=high, rounded=False,
    )  # fmt: skip


def _late(name: str, pace: _Pace, resolution: float) -> list[Gap]:
    """Report whether nights begin later than a round clock time explains."""
    late = pace.guess - pace.start
    if not late > max(
        LATE_ERRORS * pace.error, SOON, resolution
    ):  # also where the error is not known
        return []
    meaning = "the scenario's batch is at its first item on the stroke of its start"
    return [Gap(name, "seconds from its start to its first item", f"{late:.3g}", meaning)]


def _jump(
    name: str, first: Floats, nights: tuple[ObservedNight, ...], calendar: Calendar
) -> list[Gap]:
    """Report whether nights begin an hour earlier or later from one of them on.

    That is what a log in UTC shows of a batch that goes by a local clock.
    """
    for k in range(2, len(first) - 1 if calendar.zone in NO_ZONE else 0):
        before, after = float(np.median(first[:k])), float(np.median(first[k:]))
        step = abs(after - before)
        steady = max(np.ptp(first[:k]), np.ptp(first[k:])) < HOUR / 4
        if steady and abs(step - HOUR) < 2 * SLACK:
            amount = f"{'+' if after > before else '-'}1 h from {calendar.day(nights[k].date)} on"
            meaning = (
                "as if clocks were changed: a log in UTC of a batch that goes by a local clock "
                "looks so; give timestamps with their offset, or +00:00, and zone="
            )
            return [Gap(name, "jump of the start", amount, meaning)]
    return []


def _unknown(name: str, verdict: BatchVerdict, pace: _Pace) -> list[Gap]:
    """Report what completions cannot tell of a batch."""
    found = []
    if pace.lanes is None:
        meaning = "one is assumed; several lanes with longer items complete at the same pace"
        found.append(Gap(name, "lanes of the batch", "cannot be determined", meaning))
    if pace.at_end or pace.coarse:
        why = "results come at the end" if pace.at_end else "the log's clock is too coarse"
        meaning = f"{why}, so that only the mean can be determined"
        found.append(Gap(name, "law of the item time", "cannot be determined", meaning))
    if verdict.strays:
        share = verdict.strays / (
            verdict.strays + sum(len(night.items) for night in verdict.nights)
        )
        meaning = "completed far from the hours of the batch; nothing in the scenario does that"
        if share > MANY:
            meaning += ": is there a second batch a day, or another way to be done?"
        amount = f"{verdict.strays} ({share:.2%})"
        found.append(Gap(name, "completions outside the batch", amount, meaning))
    if len(verdict.nights) < 3:
        meaning = "its days, failed nights and cut-off need more of them"
        found.append(Gap(name, "nights of the batch", str(len(verdict.nights)), meaning))
    return found
