"""The number of lanes of an external system, inferred from arrival and completion times.

In a queue that is first come, first served by c lanes the i-th request (from 0) begins when it
comes, or when i - c + 1 of those before it are done: with the completions in ascending order d,
begun = max(came, d[i - c]). So each c says what every request took. Too small a c says that many
were done at the moment they began. And what a request took has nothing to do with how many were
there when it came: too large a c counts a part of the queue to it, and so does any number where the
queue is not first come, first served. Nor has it anything to do with how long before it the lane
before became free: one lane too few takes just that time off, one too many adds it. The smallest c
that all this holds for is taken; none where the whole time from coming to being done has nothing to
do with the others either.
"""

from __future__ import annotations

import numpy as np
import scipy
from attrs import frozen

from asyncsim.calibration.findings import LEVEL, Finding
from asyncsim.model.distributions import Floats

MOST = 64  # with more lanes there is next to no queue that would show their number
NOTHING = 0.002  # most share that took no time at all, beside what a coarse clock makes so
COARSE = 0.1  # a clock whose step is a larger share of a time does not show so few lanes
FEWEST, RARE = 20, 0.03  # least number and share of requests that must have waited
WEAK = 0.02  # a rank correlation this near to zero is none, for all practical purposes
UNEVEN = 0.3  # gaps with a smaller coefficient of variation may be those of several even lanes
EVEN = 0.02  # times that nearly all lie within this share of their median are the same


Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


@frozen(eq=False)
class Queue:
    """A queue before lanes."""

    lanes: int | None  # None if nothing shows their number
    begun: Floats  # when work on each request began: when it came, where lanes are not known
    queued: int  # requests that had to wait before it
    peak: int  # most requests open at one time


def queue_of(came: Floats, done: Floats, resolution: float = 0.0) -> Queue:
    """Infer the lanes of a service or a team; `came` is sorted, `done` infinite if open."""
    leaving = np.sort(done)
    # Those that came less those that were done, just after each has come
    there: Ints = np.arange(1, len(came) + 1) - np.searchsorted(leaving, came, "right")
    over = np.isfinite(done)
    whole = np.where(over, done, np.nan) - came
    unknown = Queue(None, came, 0, int(there.max()))
    if _unrelated(whole[over], there[over]):
        return unknown
    for lanes in range(1, min(unknown.peak - 1, MOST) + 1):
        begun = came.copy()
        begun[lanes:] = np.maximum(came[lanes:], leaving[:-lanes])
        took = (whole + came - begun)[over]
        waited = begun > came
        if waited[over].sum() < max(FEWEST, RARE * over.sum()):
            break
        if _open_question(took, resolution):
            break
        free = np.where(waited, _gaps(leaving, lanes, len(came)), np.nan)[over]
        if _explains(took, free, resolution) and _unrelated(took, there[over]):
            return Queue(lanes, begun, int(waited.sum()), unknown.peak)
    return unknown


def lanes_of_nights(
    came: list[Floats], done: list[Floats], resolution: float = 0.0
) -> tuple[int | None, Floats]:
    """Infer the lanes of a batch (None if nothing shows them), and its item times."""
    nights = [over[np.argsort(at, kind="stable")] for at, over in zip(came, done, strict=True)]
    for lanes in range(1, MOST + 1):
        parts = [(over, np.sort(over)) for over in nights if len(over) > lanes]
        if not parts:
            break
        took = np.concatenate([over[lanes:] - leaving[:-lanes] for over, leaving in parts])
        if len(took) < FEWEST or _open_question(took, resolution):
            break
        free = np.concatenate([_gaps(leaving, lanes, len(over))[lanes:] for over, leaving in parts])
        if not _explains(took, free, resolution):
            continue
        if lanes == 1 and took.std() > UNEVEN * took.mean():
            return 1, took[took > 0]
        # What begins a night is done a time of its own after the start, which is not known: the
        # spread among them is that of the others
        first = np.concatenate([np.diff(np.sort(over[:lanes])) for over, _ in parts])
        apart = np.concatenate(
            [_apart(over[lanes:] - lead[:-lanes], lanes) for over, lead in parts]
        )
        if lanes > 1 and _alike(first, apart, float(took.mean())):
            return lanes, took[took > 0]
        break
    return None, took[:0]


def _gaps(leaving: Floats, lanes: int, number: int) -> Floats:
    """Return how long before its lane another one was free, request by request; NaN at first."""
    found = np.full(number, np.nan)
    with np.errstate(invalid="ignore"):  # those that were never done
        found[lanes + 1 :] = np.diff(leaving)[: max(number - lanes - 1, 0)]
    return found


def _apart(times: Floats, lanes: int) -> Floats:
    whole = times[: len(times) // lanes * lanes].reshape(-1, lanes)
    return np.diff(np.sort(whole, axis=1), axis=1).ravel()


def _alike(gaps: Floats, others: Floats, time: float) -> bool:
    """Return whether gaps are the same as others: by chance, or all of them next to nothing."""
    if not (len(gaps) and len(others)):
        return False
    nothing = max(gaps.max(), others.max()) <= EVEN * time
    return bool(nothing or scipy.stats.mannwhitneyu(gaps, others).pvalue >= LEVEL)


def _open_question(took: Floats, resolution: float) -> bool:
    """Return whether timestamps are too coarse to identify the number of lanes."""
    early = float(np.mean(took <= -max(resolution, 1e-9)))
    return early <= NOTHING and resolution > COARSE * max(float(took.mean()), 0.0)


def _explains(took: Floats, free: Floats, resolution: float) -> bool:
    """Return whether times are possible, and have nothing to do with how long a lane was free."""
    known = np.isfinite(free)
    step = resolution / max(float(took.mean()), 1e-9)
    at_once = np.mean(np.round(took, 5) <= 0)  # the resolution of a log is not finer
    possible = step <= COARSE and at_once <= NOTHING + step
    return bool(possible) and _unrelated(took[known], free[known])


def _unrelated(times: Floats, there: Ints | Floats) -> bool:
    """Return whether times have nothing to do with something else, such as how many were there."""
    if len(times) < FEWEST:
        return True
    low, middle, high = np.quantile(times, [0.05, 0.5, 0.95])
    if high - low <= EVEN * middle or np.ptp(there) == 0:
        return True
    found = scipy.stats.spearmanr(times, there)
    return abs(float(found.statistic)) <= WEAK or float(found.pvalue) >= LEVEL


def lanes_finding(part: str, lanes: int | None, rows: int) -> list[Finding]:
    """Return how many requests are worked on at one time, if it is known."""
    how = "first come, first served: the fewest that explain who was done when"
    return [] if lanes is None else [Finding(part, "lanes", str(lanes), rows, "", how)]
