"""The loop over the events of a run."""

from __future__ import annotations

import math
from typing import Any

from asyncsim.fast.batch_recursion import run_straight
from asyncsim.fast.callback_kernels import delivery_arrives, delivery_handled
from asyncsim.fast.check_fast_forward import can_look_ahead, look_ahead
from asyncsim.fast.check_kernels import check_due, check_ended, last_look, line_released
from asyncsim.fast.check_schedule import count_skipped
from asyncsim.fast.event_queue import (
    KIND_SHIFT,
    ROW_SHIFT,
    drop_first,
    drop_head,
    head_about,
    head_key,
    next_lane,
)
from asyncsim.fast.jit import cached_kernel, kernel
from asyncsim.fast.process_kernels import arm, hold_lines, walk, work_ended
from asyncsim.fast.state import (
    ARMED,
    ARMING,
    ARRIVAL,
    CALLBACK_HANDLED,
    CHECK_DUE,
    CHECK_ENDED,
    COLLECTION,
    DELIVERY,
    FINE,
    LAST_LOOK,
    SYSTEM,
    TIMED_OUT,
    TIMEOUT,
    WORK_ENDED,
    World,
    world_of,
)
from asyncsim.fast.system_kernels import collect, system_event, wake_up
from asyncsim.fast.wait_kernels import expire, go_on

ROW_MASK = (1 << (KIND_SHIFT - ROW_SHIFT)) - 1


@cached_kernel
def play(numbers: Any) -> Any:
    """Let one event happen after the other until nothing is left.

    Parameters
    ----------
    numbers
        The fields of a `World`, as `structure.laid_out` returns them. Its arrays hold the answer
        afterwards.

    Returns
    -------
    How it went, and where there was too little room; instances that have arrived, deliveries
    told of, open waits, the longest queue; the time integral of open waits and up to when it is
    summed up, and the time that lines were held.
    """
    m = world_of(numbers)
    if m.stages:
        run_straight(m)
    else:
        run(m)
    whole = (m.status, m.where, m.arrivals_n, m.told_n, m.open_count, m.longest)
    return whole, (m.open_seconds, m.last_change, m.line_seconds)


@kernel
def run(m: World) -> None:
    """Run through all events, and count what was left uncounted at the end."""
    m.lane_head[ARRIVAL] = m.arrival[0] if m.n else math.inf
    looks_ahead = can_look_ahead(m)
    while m.status == FINE:
        lane = next_lane(m)
        if lane < 0 or m.lane_head[lane] >= m.until:
            break
        may_be_check = lane == CHECK_DUE or lane == 0
        if not (looks_ahead and may_be_check and look_ahead(m, lane)):
            step(m, lane)
    if m.status == FINE:
        if m.until < math.inf:
            m.now, m.reached = m.until, 0
        if m.checks_are_free:
            count_open_waits(m)


@kernel
def count_open_waits(m: World) -> None:
    """Count the free checks of the waits that are still open."""
    for w in range(m.waits):
        if m.state[w] == ARMED:
            count_skipped(m, w)


@kernel
def step(m: World, lane: int) -> None:
    """Let the next event happen, and all that follows from it at once."""
    at, key, about = m.lane_head[lane], 0, 0
    if lane == 0:
        key, about = m.heap_key[0], m.heap_about[0]
        drop_first(m)
    elif lane == ARRIVAL:
        key = head_key(m, lane)
        m.arrivals_n += 1
        m.lane_head[ARRIVAL] = m.arrival[m.arrivals_n] if m.arrivals_n < m.n else math.inf
    else:
        key, about = head_key(m, lane), head_about(m, lane)
        drop_head(m, lane)
    m.reached = max(key, m.reached) if at == m.now else key
    m.now = at
    row = (key >> ROW_SHIFT) & ROW_MASK
    happen(m, key >> KIND_SHIFT, row, about)
    walk(m, row)
    while m.urgent_n or m.soon_head < m.soon_tail:
        if m.urgent_n:
            hold_lines(m)
        else:
            happen_soon(m)


@kernel
def happen_soon(m: World) -> None:
    """Let a line or a desk act that was told to act at once."""
    what = m.soon[m.soon_head & (m.room - 1)]
    m.soon_head += 1
    if what >= m.waits:
        wake_up(m, what - m.waits)
    else:
        line_released(m, what)
        walk(m, m.row_of[what])


@kernel
def happen(m: World, kind: int, row: int, about: int) -> None:
    """Let one event happen."""
    if kind == WORK_ENDED:
        work_ended(m, row, about)
    elif kind == ARRIVAL:
        go_on(m, m.start_node)
    elif kind == SYSTEM:
        system_event(m, about)
    elif kind == DELIVERY:
        delivery_arrives(m, about)
    elif kind == CALLBACK_HANDLED:
        delivery_handled(m, about)
    elif kind == CHECK_DUE:
        check_due(m, about)
    elif kind == CHECK_ENDED:
        check_ended(m, about)
    elif kind == ARMING:
        arm(m, about)
    elif kind == TIMEOUT:
        expire(m, about, TIMED_OUT)
    elif kind == COLLECTION:
        collect(m, about)
    elif kind == LAST_LOOK:
        last_look(m, about)
