"""Kernels of schedules: when the next check of a wait is due, and the random numbers of waits.

They change nothing but what a wait remembers of its schedule; `wait_kernels` makes the checks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from asyncsim.fast import state
from asyncsim.fast.event_queue import group, up_at
from asyncsim.fast.jit import kernel, unsigned
from asyncsim.fast.state import RunState
from asyncsim.model import specifications

grid_index = kernel(specifications.grid_index)
answered_pause_ends = kernel(specifications.answered_pause_ends)
error_factor = kernel(specifications.error_factor)
MASK = (1 << 64) - 1
BY_ROW, BY_PLACE = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@kernel
def begin_schedule(s: RunState, w: int) -> None:
    """Set where the schedule of a wait begins."""
    after = s.last_check[w] = s.grid_start[w] = s.armed[w]
    g = group(s, w)
    if s.watch[g] == state.DIRECTED:
        s.visible_from[w] = -math.inf  # no check is made ahead of what the system may plan
        return
    if s.watch[g] != state.POLLS:
        s.slept[w], s.slept_k[w] = s.intervals[s.intervals_at[g]], -1
        return
    anchor, interval, first_wait = s.anchor[g], s.interval[g], s.first_wait[g]
    if anchor == state.FROM_ARMING:
        if first_wait >= 0:
            s.grid_start[w] = s.armed[w] + first_wait - interval
    elif first_wait >= 0:
        after += first_wait
    if anchor == state.FROM_CLOCK:
        s.grid_start[w] = 0.0
    elif anchor == state.FROM_RANDOM:
        s.grid_start[w] = s.armed[w] - chance(s, state.K_PHASE, w, 0) * interval
    s.passed[w] = grid_index(s.grid_start[w], interval, after) - 1 - s.checks[w]


@kernel
def next_point(s: RunState, w: int, after: float) -> int:
    """Return the index of the first grid point of a wait later than the end of its last check."""
    k, interval = s.checks[w] + 1 + s.passed[w], s.interval[group(s, w)]
    if s.grid_start[w] + k * interval <= after:
        k = grid_index(s.grid_start[w], interval, after)
        s.passed[w] = k - 1 - s.checks[w]
    return int(k)


@kernel
def in_window(s: RunState, w: int, k: int) -> int:
    """Return the index of the first grid point from the k-th on that lies within the hours."""
    g = group(s, w)
    start, interval, base, n = s.grid_start[w], s.interval[g], s.windows_at[g], s.windows_n[g]
    while True:
        at = start + k * interval
        if at > s.window_closes[base + n - 1]:
            s.status, s.where = state.MORE_HOURS, -1
            return int(k)
        place = first_from(s.window_closes, base, n, at)
        opens = s.window_opens[place]
        if opens <= at:
            return int(k)
        k = grid_index(start, interval, float(np.nextafter(opens, -math.inf)))


@kernel
def first_from(values: Any, base: int, n: int, value: float) -> int:
    """Return the index of the first of `n` ordered values from `base` on not below a value."""
    low, high = base, base + n
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def next_instant(s: RunState, instants: Any, base: int, n: int, last: float, where: int) -> float:
    """Return the first of `n` instants by the clock, from `base` on, later than the last one."""
    place = first_from(instants, base, n, last)
    while place < base + n and instants[place] <= last:
        place += 1
    if place == base + n:
        s.status, s.where = state.MORE_HOURS, where
        return float(max(last, s.now) + 1.0)  # of no effect: the run begins again
    return float(instants[place])


@kernel
def next_check(s: RunState, w: int) -> float:
    """Return when the next check of a wait is begun: when it is due, or the poller is up again."""
    due = next_due(s, w)
    return up_at(s, state.POLLER, due) if s.down_n[state.POLLER] else due


@kernel
def next_due(s: RunState, w: int) -> float:
    """Return when the next check of a wait is due."""
    last, g = s.last_check[w], group(s, w)
    if s.watch[g] == state.POLLS:
        k, jitter = next_point(s, w, last), s.jitter[g]
        if s.windows_n[g]:
            k = in_window(s, w, k)
            s.passed[w] = k - 1 - s.checks[w]
        due = s.grid_start[w] + k * s.interval[g]
        return float(due if jitter == 0.0 else due + chance(s, state.K_JITTER, w, k) * jitter)
    if s.watch[g] == state.BY_CLOCK:
        return next_instant(s, s.instants, s.instants_at[g], s.instants_n[g], last, -1)
    if s.watch[g] == state.DIRECTED:
        return after_answer(s, w)
    k, kind = s.checks[w], s.backoff_kind[g]
    if kind == state.NO_JITTER:
        due = last + backoff(s, g, k)
    elif kind == state.FULL:
        due = last + chance(s, state.K_JITTER, w, k) * backoff(s, g, k)
    elif kind == state.DECORRELATED:
        due = last + decorrelated(s, w, k)
    else:
        due = last + (1 + chance(s, state.K_JITTER, w, k)) / 2 * backoff(s, g, k)
    if not due < math.inf:
        s.status = state.NOT_FINITE
    return float(due)


@kernel
def after_answer(s: RunState, w: int) -> float:
    """Return the end of the pause that the system answers with; before the first check none has."""
    g, k, foreseen, factor = group(s, w), s.checks[w], s.foreseen[w], 1.0
    if k and s.in_batch[w] >= 0:
        starts = s.collects_at[s.in_batch[w]]
        foreseen = starts if starts > s.now else math.inf
    if s.jitter[g]:
        u, v = chance(s, state.K_ERROR, w, 2 * k), chance(s, state.K_ERROR, w, 2 * k + 1)
        factor = error_factor(s.jitter[g], u, v)
    foreseen = foreseen if k else math.inf
    default, least, most = s.interval[g], s.first_wait[g], s.cap[g]
    return float(answered_pause_ends(s.last_check[w], foreseen, factor, default, least, most))


@kernel
def backoff(s: RunState, g: int, k: int) -> float:
    """Return the k-th interval of a group before jitter."""
    last = s.intervals_n[g] - 1
    if k > last and s.intervals_go_on[g]:
        s.status = state.MORE_INTERVALS
    return float(s.intervals[s.intervals_at[g] + min(k, last)])


@kernel
def decorrelated(s: RunState, w: int, k: int) -> float:
    """Return the k-th interval of decorrelated jitter, which grows out of the ones before."""
    g, slept = group(s, w), s.slept[w]
    first, cap = s.intervals[s.intervals_at[g]], s.cap[g]
    for j in range(s.slept_k[w] + 1, k + 1):
        slept = min(cap, first + chance(s, state.K_JITTER, w, j) * (3 * slept - first))
    s.slept_k[w] = k
    s.slept[w] = slept
    return float(slept)


@kernel
def mixed(z: Any) -> Any:
    """Return 64 bits scrambled (the finaliser of SplitMix64; Steele, Lea & Flood 2014)."""
    z = ((z ^ (z >> unsigned(30))) * FIRST) & MASK
    z = ((z ^ (z >> unsigned(27))) * SECOND) & MASK
    return z ^ (z >> unsigned(31))


@kernel
def chance(s: RunState, purpose: int, w: int, k: int) -> float:
    """Return the k-th uniform number in [0, 1) of a wait, for one purpose."""
    key = unsigned(s.chance_key[purpose * s.calls + s.call_of[w]]) & MASK
    place = mixed((key + unsigned(s.row_of[w] + 1) * BY_ROW) & MASK)
    return float((mixed((place + unsigned(k + 1) * BY_PLACE) & MASK) >> unsigned(11)) * 2.0**-53)
