"""Return whether there is a nightly batch behind completions, and cut them into its nights.

Two things tell a batch from a service that answers when it can. Its completions fall into a short
part of the day, shorter than if the same waits were dealt out to the requests anew (a permutation
test, which holds if waits do not depend on when a request came). And nothing that is submitted
while it runs is completed by the same run.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.findings import LEVEL
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, text_of

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]
MOST_SHUFFLED = 4000
SHUFFLES = 199
SHARE = 0.9  # share of all completions in the part of the day looked at: a few may stray
SHORTER = 0.7  # it must be this much shorter than by chance
CROSSED = 0.95  # least share of a run's completions that were submitted before the run began
FEWEST = 10  # fewer completions show no part of the day
# A run may begin this many seconds, or usual gaps between completions, before the others: with
# less, the first items of a good night would stray; with more, strays would be its first items
EARLY, EARLY_GAPS = 600.0, 10
# This many seconds and usual gaps without a completion divide strays from a run: with less, a run
# that stands still for a while would lose items; with more, strays would lengthen it
PAUSE, PAUSE_GAPS = 3600.0, 50
BELATED = 6  # a run begins at most this many times as much later, unless many complete then
FEW = 0.1  # a day with less than this share of the usual completions, all late, has no run


@frozen(eq=False)
class ObservedNight:
    """One run of a batch as a log shows it."""

    date: int
    """Days since the start of the calendar; a run after midnight belongs to the day it began on."""
    items: Positions
    """Positions of its requests, in order of completion."""
    first: float
    last: float

    def at(self, positions: Positions) -> ObservedNight:
        """Return the night with its requests at other positions."""
        return ObservedNight(self.date, positions[self.items], self.first, self.last)


@frozen(eq=False)
class BatchVerdict:
    """Whether completions come from a batch.

    Attributes
    ----------
    batch
        The answer.
    arc
        Hours of the day that hold nine in ten completions.
    expected_arc
        The same if the waits were dealt out anew, on average.
    p
        P-value of an arc as short as that.
    crossed
        Share of completions whose request came before the run that completed it; NaN if the first
        test has already said no.
    nights
        Its runs, if it is one.
    strays
        Completions outside the runs.
    """

    batch: bool
    arc: float
    expected_arc: float
    p: float
    crossed: float
    nights: tuple[ObservedNight, ...] = ()
    strays: int = 0

    @property
    def why(self) -> str:
        """A sentence on what speaks for or against a batch."""
        found = f"nine in ten completions fall into {text_of(3600 * self.arc, 3)} of the day"
        if math.isnan(self.p):
            return "too few completions to tell"
        chance = f"{found} ({text_of(3600 * self.expected_arc, 3)} by chance, p = {self.p:.3g})"
        if math.isnan(self.crossed):
            return chance
        return f"{chance}; {self.crossed:.1%} of them were submitted before their run began"


def clock_of(instants: Floats, calendar: Calendar) -> Floats:
    """Return what wall clocks show at instants, as seconds since the first midnight.

    Unlike instants these jump with the clocks, so that 22:00 is always 22 hours after a multiple of
    a day.
    """
    if calendar.zone is None:
        return np.asarray(instants, dtype=float)
    shown = calendar.timestamps(instants).tz_localize(None)
    return np.asarray((shown - pd.Timestamp(calendar.start)).total_seconds(), dtype=float)


def shortest_arc(clocks: Floats, share: float = SHARE) -> tuple[float, float]:
    """Return start and length of the shortest arc of a day that holds a share of clock times."""
    around = np.sort(clocks % DAY)
    n = len(around)
    k = max(math.ceil(share * n), 1)
    ends = np.concatenate([around, around + DAY])[k - 1 : k - 1 + n]
    lengths = ends - around
    best = int(np.argmin(lengths))
    return float(around[best]), float(lengths[best])


def find_batch(
    submitted: Floats, completed: Floats, calendar: Calendar, rng: np.random.Generator
) -> BatchVerdict:
    """Return whether completions come from a nightly batch; instants in seconds, by request."""
    n = len(submitted)
    clocks = clock_of(completed, calendar)
    start, length = shortest_arc(clocks) if n else (0.0, 0.0)
    if n < FEWEST:
        return BatchVerdict(False, length / 3600, math.nan, math.nan, math.nan)
    chosen = rng.permutation(n)[:MOST_SHUFFLED]
    came, waits = clock_of(submitted[chosen], calendar), (completed - submitted)[chosen]
    seen = shortest_arc(clocks[chosen])[1]
    shuffled = np.array([shortest_arc(came + rng.permutation(waits))[1] for _ in range(SHUFFLES)])
    p = float((1 + np.sum(shuffled <= seen)) / (1 + SHUFFLES))
    arcs = length / 3600, float(shuffled.mean()) / 3600
    if p >= LEVEL or length > SHORTER * shuffled.mean():
        return BatchVerdict(False, *arcs, p, math.nan)
    nights, strays = _nights(completed, clocks, start, length)
    before = sum(int(np.sum(submitted[night.items] <= night.first)) for night in nights)
    crossed = before / sum(len(night.items) for night in nights)
    if crossed < CROSSED:
        return BatchVerdict(False, *arcs, p, crossed)
    return BatchVerdict(True, *arcs, p, crossed, tuple(nights), strays)


def _nights(
    completed: Floats, clocks: Floats, start: float, length: float
) -> tuple[list[ObservedNight], int]:
    """Cut completions into nights, half-way between the arc that holds most of them and the next.

    What a long pause divides from most of its night strays, as does what comes before the others
    begin, and a few completions on a day when nothing began in time.
    """
    begin = start - (DAY - length) / 2
    day = np.floor((clocks - begin) / DAY).astype(int)
    offset = clocks - day * DAY
    groups = [np.flatnonzero(day == date) for date in np.unique(day)]
    groups = [items[np.argsort(completed[items], kind="stable")] for items in groups]
    gaps = np.concatenate([np.diff(completed[items]) for items in groups])
    pace = float(np.median(gaps)) if len(gaps) else 0.0
    early, pause = max(EARLY, EARLY_GAPS * pace), max(PAUSE, PAUSE_GAPS * pace)
    groups = [_longest_stretch(items, completed, pause) for items in groups]
    usual = float(np.median([offset[items[0]] for items in groups]))
    size = float(np.median([len(items) for items in groups]))
    nights = []
    for items in groups:
        kept = items[offset[items] >= usual - early]
        if len(kept) and (offset[kept[0]] <= usual + BELATED * early or len(kept) > FEW * size):
            at = completed[kept]
            nights.append(ObservedNight(int(day[kept[0]]), kept, float(at[0]), float(at[-1])))
    return nights, len(completed) - sum(len(night.items) for night in nights)


def _longest_stretch(items: Positions, completed: Floats, pause: float) -> Positions:
    """Return the longest part of a night, in items, without a pause."""
    parts = np.split(items, np.flatnonzero(np.diff(completed[items]) > pause) + 1)
    return max(parts, key=len)
