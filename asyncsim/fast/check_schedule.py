"""When a check is due; and free checks, which are counted, not played.

The schedules are those of `asyncsim.model.strategies`; what is counted is what
`asyncsim.engine.check_counting` counts: ``⌈(completed − anchor) / interval⌉`` checks on a grid,
found by
comparing grid points.
"""

from __future__ import annotations

import math

from asyncsim.fast.counter_rng import chance
from asyncsim.fast.event_queue import KIND_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    CHECK_DUE,
    DECORRELATED,
    FROM_CLOCK,
    FROM_RANDOM,
    FULL,
    K_JITTER,
    K_PHASE,
    LAST_LOOK,
    MORE_INTERVALS,
    NO_JITTER,
    NOT_FINITE,
    POLLS,
    State,
)
from asyncsim.model import strategy_base

grid_index = kernel(strategy_base.grid_index)


@kernel
def begin_schedule(s: State, w: int) -> None:
    """Note where the schedule of a wait begins."""
    s.last_check[w] = s.grid_start[w] = s.armed[w]
    if s.watch != POLLS:
        s.slept[w], s.slept_k[w] = s.intervals[0], -1
        return
    if s.anchor == FROM_CLOCK:
        s.grid_start[w] = 0.0
    elif s.anchor == FROM_RANDOM:
        phase = chance(s, K_PHASE, s.call_of[w], s.row_of[w], 0)
        s.grid_start[w] = s.armed[w] - phase * s.interval
    s.passed[w] = grid_index(s.grid_start[w], s.interval, s.armed[w]) - 1 - s.checks[w]


@kernel
def next_point(s: State, w: int, after: float) -> int:
    """Return the index of the first grid point of a wait later than the end of its last check.

    It is the next one, unless that check took too long.
    """
    k = s.checks[w] + 1 + s.passed[w]
    if s.grid_start[w] + k * s.interval <= after:
        k = grid_index(s.grid_start[w], s.interval, after)
        s.passed[w] = k - 1 - s.checks[w]
    return int(k)


@kernel
def next_check(s: State, w: int) -> float:
    """Return when the next check of a wait is due."""
    last = s.last_check[w]
    if s.watch == POLLS:
        k = next_point(s, w, last)
        due = s.grid_start[w] + k * s.interval
        return float(due if s.jitter == 0.0 else due + jitter(s, w, k) * s.jitter)
    k = s.checks[w]
    if s.backoff_kind == NO_JITTER:
        due = last + backoff(s, k)
    elif s.backoff_kind == FULL:
        due = last + jitter(s, w, k) * backoff(s, k)
    elif s.backoff_kind == DECORRELATED:
        due = last + decorrelated(s, w, k)
    else:
        due = last + (1 + jitter(s, w, k)) / 2 * backoff(s, k)
    if not due < math.inf:
        s.status = NOT_FINITE
    return float(due)


@kernel
def jitter(s: State, w: int, k: int) -> float:
    """Return the uniform number of the k-th check."""
    return chance(s, K_JITTER, s.call_of[w], s.row_of[w], k)


@kernel
def backoff(s: State, k: int) -> float:
    """Return the k-th interval before jitter."""
    last = s.intervals_n - 1
    if k > last and s.intervals_go_on:
        s.status = MORE_INTERVALS
    return float(s.intervals[min(k, last)])


@kernel
def decorrelated(s: State, w: int, k: int) -> float:
    """Return the k-th interval of decorrelated jitter, which grows out of the ones before."""
    first, slept = s.intervals[0], s.slept[w]
    for j in range(s.slept_k[w] + 1, k + 1):
        slept = min(s.cap, first + jitter(s, w, j) * (3 * slept - first))
    s.slept_k[w] = k
    s.slept[w] = slept
    return float(slept)


@kernel
def skip_checks(s: State, w: int, inclusive: bool) -> None:
    """Count the checks due before now, or up to and including now, from the arming on."""
    now = s.now
    s.checks[w] = 0
    begin_schedule(s, w)
    if s.watch == POLLS and s.jitter == 0.0:
        anchor, interval = s.grid_start[w], s.interval
        first = grid_index(anchor, interval, s.last_check[w])
        last = grid_index(anchor, interval, now)
        while last > 0 and (
            anchor + last * interval > now or (anchor + last * interval == now and not inclusive)
        ):
            last -= 1
        if last >= first:
            s.checks[w] = last - first + 1
            s.last_check[w] = anchor + last * interval
    else:
        due = next_check(s, w)
        while due < now or (due == now and inclusive):
            s.checks[w] += 1
            s.last_check[w] = due
            due = next_check(s, w)


@kernel
def is_over(s: State, w: int) -> bool:
    """Tell whether a check that was due at this very instant has come before this moment."""
    return bool(((CHECK_DUE << KIND_SHIFT) | s.key_of[w]) < s.reached)


@kernel
def count_skipped(s: State, w: int) -> None:
    """Count the checks a wait has had by now, if its work is not complete."""
    if s.completed[w] == math.inf and not math.isnan(s.armed[w]):
        skip_checks(s, w, is_over(s, w))


@kernel
def see_completion(s: State, w: int) -> None:
    """Count the free checks before now, and schedule the one that sees completion."""
    skip_checks(s, w, False)
    at = next_check(s, w)
    again = at == s.now and is_over(s, w)
    push(s, at, LAST_LOOK if again else CHECK_DUE, s.key_of[w], w)
