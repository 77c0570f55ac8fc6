"""How many an external system works on at one time, told from when requests came and were done.

In a queue that is first come, first served by c lanes the i-th request (from 0) begins when it
comes, or when i - c + 1 of those before it are done: with the completions in ascending order d,
begun = max(came, d[i - c]). So each c says what every request took. Too small a c says that
something was done the moment it began; and whoever had to wait in the queue must not take longer or
shorter than who had not. The smallest c that both hold for is taken.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from scipy import stats

from asyncsim.model.durations import Floats

MOST = 64
"""With more lanes than this there is next to no queue that would tell their number."""
NOTHING = 0.002
"""Not more than this share may have taken no time at all."""
FEWEST, RARE = 20, 0.03
"""So many must have waited in the queue, and this share, or there might be any number of lanes."""
LEVEL, CLOSE = 0.01, 0.01


@frozen(eq=False)
class Queue:
    """A queue before lanes.

    Attributes
    ----------
    lanes
        Their number; None if nothing tells it.
    begun
        When work on each request began: when it came, where lanes are not known.
    queued
        How many had to wait before it.
    peak
        Requests that were open at one time, at the most.
    """

    lanes: int | None
    begun: Floats
    queued: int
    peak: int


def queue_of(came: Floats, done: Floats, *, alike: bool = True) -> Queue:
    """Find out how many lanes a queue had.

    Parameters
    ----------
    came
        When requests came, sorted, in seconds, shape ``(n,)``.
    done
        When they were done; infinite for those that were open at the end.
    alike
        Whether those that did not have to wait must take as long as the others. In a batch they are
        the first of a night, with whatever it needs to get going.
    """
    leaving = np.sort(done)
    # Open at one time, just after each has come: those that came less those that were done before
    peak = int((np.arange(1, len(came) + 1) - np.searchsorted(leaving, came, "right")).max())
    ended = np.where(np.isfinite(done), done, np.nan)
    for lanes in range(1, min(peak - 1, MOST) + 1):
        begun = came.copy()
        begun[lanes:] = np.maximum(came[lanes:], leaving[:-lanes])
        took = np.round(ended - begun, 5)  # a log's clock is no finer
        over = ~np.isnan(took)
        if np.mean(took[over] <= 0) > NOTHING:
            continue
        waited = begun > came
        if waited[over].sum() < max(FEWEST, RARE * over.sum()):
            break
        others = took[over & ~waited]
        if not (alike and len(others)) or _alike(took[over & waited], others):
            return Queue(lanes, begun, int(waited.sum()), peak)
    return Queue(None, came, 0, peak)


def _alike(times: Floats, others: Floats) -> bool:
    """Tell whether times are the same as others, by chance or for all practical purposes."""
    middle = float(np.median(others))
    close = abs(float(np.median(times)) - middle) <= CLOSE * middle
    return bool(close or stats.mannwhitneyu(times, others).pvalue >= LEVEL)
