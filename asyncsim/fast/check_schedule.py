"""When a check is due; and free checks, which are counted, not played.

The schedules are those of `asyncsim.model.strategies`; what is counted is what
`asyncsim.engine.contexts` counts: ``⌈(completed − anchor) / interval⌉`` checks on a grid,
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
    World,
)
from asyncsim.model import specifications

grid_index = kernel(specifications.grid_index)


@kernel
def begin_schedule(m: World, w: int) -> None:
    """Note where the schedule of a wait begins."""
    m.last_check[w] = m.grid_start[w] = m.armed[w]
    if m.watch != POLLS:
        m.slept[w], m.slept_k[w] = m.intervals[0], -1
        return
    if m.anchor == FROM_CLOCK:
        m.grid_start[w] = 0.0
    elif m.anchor == FROM_RANDOM:
        phase = chance(m, K_PHASE, m.call_of[w], m.row_of[w], 0)
        m.grid_start[w] = m.armed[w] - phase * m.interval
    m.passed[w] = grid_index(m.grid_start[w], m.interval, m.armed[w]) - 1 - m.checks[w]


@kernel
def next_point(m: World, w: int, after: float) -> int:
    """Return the index of the first grid point of a wait later than the end of its last check.

    It is the next one, unless that check took too long.
    """
    k = m.checks[w] + 1 + m.passed[w]
    if m.grid_start[w] + k * m.interval <= after:
        k = grid_index(m.grid_start[w], m.interval, after)
        m.passed[w] = k - 1 - m.checks[w]
    return int(k)


@kernel
def next_check(m: World, w: int) -> float:
    """Return when the next check of a wait is due."""
    last = m.last_check[w]
    if m.watch == POLLS:
        k = next_point(m, w, last)
        due = m.grid_start[w] + k * m.interval
        return float(due if m.jitter == 0.0 else due + jitter(m, w, k) * m.jitter)
    k = m.checks[w]
    if m.backoff_kind == NO_JITTER:
        due = last + backoff(m, k)
    elif m.backoff_kind == FULL:
        due = last + jitter(m, w, k) * backoff(m, k)
    elif m.backoff_kind == DECORRELATED:
        due = last + decorrelated(m, w, k)
    else:
        due = last + (1 + jitter(m, w, k)) / 2 * backoff(m, k)
    if not due < math.inf:
        m.status = NOT_FINITE
    return float(due)


@kernel
def jitter(m: World, w: int, k: int) -> float:
    """Return the uniform number of the k-th check."""
    return chance(m, K_JITTER, m.call_of[w], m.row_of[w], k)


@kernel
def backoff(m: World, k: int) -> float:
    """Return the k-th interval before jitter."""
    last = m.intervals_n - 1
    if k > last and m.intervals_go_on:
        m.status = MORE_INTERVALS
    return float(m.intervals[min(k, last)])


@kernel
def decorrelated(m: World, w: int, k: int) -> float:
    """Return the k-th interval of decorrelated jitter, which grows out of the ones before."""
    first, slept = m.intervals[0], m.slept[w]
    for j in range(m.slept_k[w] + 1, k + 1):
        slept = min(m.cap, first + jitter(m, w, j) * (3 * slept - first))
    m.slept_k[w] = k
    m.slept[w] = slept
    return float(slept)


@kernel
def skip_checks(m: World, w: int, inclusive: bool) -> None:
    """Count the checks due before now, or up to and including now, from the arming on."""
    now = m.now
    m.checks[w] = 0
    begin_schedule(m, w)
    if m.watch == POLLS and m.jitter == 0.0:
        anchor, interval = m.grid_start[w], m.interval
        first = grid_index(anchor, interval, m.last_check[w])
        last = grid_index(anchor, interval, now)
        while last > 0 and (
            anchor + last * interval > now or (anchor + last * interval == now and not inclusive)
        ):
            last -= 1
        if last >= first:
            m.checks[w] = last - first + 1
            m.last_check[w] = anchor + last * interval
    else:
        due = next_check(m, w)
        while due < now or (due == now and inclusive):
            m.checks[w] += 1
            m.last_check[w] = due
            due = next_check(m, w)


@kernel
def is_over(m: World, w: int) -> bool:
    """Tell whether a check that was due at this very instant has come before this moment."""
    return bool(((CHECK_DUE << KIND_SHIFT) | m.key_of[w]) < m.reached)


@kernel
def count_skipped(m: World, w: int) -> None:
    """Count the checks a wait has had by now, if its work is not complete."""
    if m.completed[w] == math.inf and not math.isnan(m.armed[w]):
        skip_checks(m, w, is_over(m, w))


@kernel
def see_completion(m: World, w: int) -> None:
    """Count the free checks before now, and schedule the one that sees completion."""
    skip_checks(m, w, False)
    at = next_check(m, w)
    again = at == m.now and is_over(m, w)
    push(m, at, LAST_LOOK if again else CHECK_DUE, m.key_of[w], w)
