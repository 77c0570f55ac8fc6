"""The loop over the events of a run."""

from __future__ import annotations

import math
from typing import Any

from asyncsim.fast.callback_kernels import delivery_arrives, delivery_handled
from asyncsim.fast.check_fast_forward import can_look_ahead, look_ahead
from asyncsim.fast.check_kernels import check_due, check_ended, last_look, line_released
from asyncsim.fast.check_schedule import count_skipped
from asyncsim.fast.event_queue import (
    KIND_SHIFT,
    ROW_SHIFT,
    drop_first,
    drop_head,
    head_key,
    head_payload,
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
    LAST_LOOK,
    OK,
    SYSTEM,
    TIMED_OUT,
    TIMEOUT,
    WORK_ENDED,
    State,
    state_of,
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
        The fields of a `State`, as `structure.laid_out` returns them. Its arrays hold the answer
        afterwards.

    Returns
    -------
    How it went, and where there was too little room; instances that have arrived, deliveries
    told of, open waits, the longest queue; the time integral of open waits and up to when it is
    summed up, and the time that lines were held.
    """
    s = state_of(numbers)
    run(s)
    whole = (s.status, s.where, s.arrivals_n, s.settled_n, s.open_count, s.longest)
    return whole, (s.open_seconds, s.last_change, s.line_seconds)


@kernel
def run(s: State) -> None:
    """Run through all events, and count what was left uncounted at the end."""
    s.lane_head[ARRIVAL] = s.arrival[0] if s.n else math.inf
    looks_ahead = can_look_ahead(s)
    while s.status == OK:
        lane = next_lane(s)
        if lane < 0 or s.lane_head[lane] >= s.until:
            break
        may_be_check = lane == CHECK_DUE or lane == 0
        if not (looks_ahead and may_be_check and look_ahead(s, lane)):
            step(s, lane)
    if s.status == OK:
        if s.until < math.inf:
            s.now, s.reached = s.until, 0
        if s.checks_are_free:
            count_open_waits(s)


@kernel
def count_open_waits(s: State) -> None:
    """Count the free checks of the waits that are still open."""
    for w in range(s.waits):
        if s.state[w] == ARMED:
            count_skipped(s, w)


@kernel
def step(s: State, lane: int) -> None:
    """Let the next event happen, and all that follows from it at once."""
    at, key, payload = s.lane_head[lane], 0, 0
    if lane == 0:
        key, payload = s.heap_key[0], s.heap_payload[0]
        drop_first(s)
    elif lane == ARRIVAL:
        key = head_key(s, lane)
        s.arrivals_n += 1
        s.lane_head[ARRIVAL] = s.arrival[s.arrivals_n] if s.arrivals_n < s.n else math.inf
    else:
        key, payload = head_key(s, lane), head_payload(s, lane)
        drop_head(s, lane)
    s.reached = max(key, s.reached) if at == s.now else key
    s.now = at
    row = (key >> ROW_SHIFT) & ROW_MASK
    dispatch(s, key >> KIND_SHIFT, row, payload)
    walk(s, row)
    while s.urgent_n or s.soon_head < s.soon_tail:
        if s.urgent_n:
            hold_lines(s)
        else:
            happen_soon(s)


@kernel
def happen_soon(s: State) -> None:
    """Let a line or a desk act that was told to act at once."""
    what = s.soon[s.soon_head & (s.room - 1)]
    s.soon_head += 1
    if what >= s.waits:
        wake_up(s, what - s.waits)
    else:
        line_released(s, what)
        walk(s, s.row_of[what])


@kernel
def dispatch(s: State, kind: int, row: int, payload: int) -> None:
    """Let one event happen."""
    if kind == WORK_ENDED:
        work_ended(s, row, payload)
    elif kind == ARRIVAL:
        go_on(s, s.start_node)
    elif kind == SYSTEM:
        system_event(s, payload)
    elif kind == DELIVERY:
        delivery_arrives(s, payload)
    elif kind == CALLBACK_HANDLED:
        delivery_handled(s, payload)
    elif kind == CHECK_DUE:
        check_due(s, payload)
    elif kind == CHECK_ENDED:
        check_ended(s, payload)
    elif kind == ARMING:
        arm(s, payload)
    elif kind == TIMEOUT:
        expire(s, payload, TIMED_OUT)
    elif kind == COLLECTION:
        collect(s, payload)
    elif kind == LAST_LOOK:
        last_look(s, payload)
