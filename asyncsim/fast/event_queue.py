"""The queue of events: a lane for each kind, and one heap for what does not fit into its lane.

Most events of one kind are scheduled almost in the order in which they happen: checks of a fixed
interval keep their cyclic order, a FIFO server ends its jobs nearly in the order of booking. Such a
lane is a ring in which a new event moves forward by at most `NEAR` places. What would have to move
further, and every check with jitter, goes to a heap with four children to a node (Johnson 1975,
doi:10.1016/0020-0190(75)90001-0), which is half as deep as a binary one.
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine.environment import INSTANCE_BITS, STEP_BITS
from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import (
    ARRIVAL,
    CHECK_DUE,
    CHECK_ENDED,
    COLLECTION,
    HOLDS_LINE,
    MORE_ROOM,
    NOT_FINITE,
    RunState,
)

LANE_KINDS = COLLECTION
"""Kinds below have a lane of their own; lane 0 stands for the heap."""
NEAR = 16
"""How many places an event may move forward in its lane."""
ROW_SHIFT, KIND_SHIFT = STEP_BITS, STEP_BITS + INSTANCE_BITS


@kernel
def push(s: RunState, at: float, kind: int, key: int, payload: int) -> None:
    """Schedule an event at an instant, or now if that is past.

    `key` orders events of one kind at one instant: row and number, as in ``s.key_of``.
    """
    if not at < math.inf:
        s.status = NOT_FINITE
        return
    at = max(at, s.now)
    key |= kind << KIND_SHIFT
    first, after, mask = 0, 0, s.capacity - 1
    place = -1
    if kind < LANE_KINDS and not (kind == CHECK_DUE and s.scatters):
        first, after = s.lane_first[kind], s.lane_after[kind]
        if after == first or s.lane_t[kind * s.capacity + ((after - 1) & mask)] < at:
            place = after if after - first <= mask else -1
        elif after - first <= mask:
            place = place_in_lane(s, kind, at, key)
    if place < 0:
        push_on_heap(s, at, key, payload)
        return
    to = kind * s.capacity + (place & mask)
    s.lane_t[to], s.lane_key[to], s.lane_payload[to] = at, key, payload
    s.lane_after[kind] = after + 1
    if place == first:
        s.lane_head[kind] = at


@kernel
def place_in_lane(s: RunState, kind: int, at: float, key: int) -> int:
    """Make room for an event in a lane, near its end; return -1 if it belongs further forward."""
    first, after, mask = s.lane_first[kind], s.lane_after[kind], s.capacity - 1
    lane = kind * s.capacity
    place, least = after, max(first, after - NEAR)
    while place > first:
        before = lane + ((place - 1) & mask)
        if s.lane_t[before] < at or (s.lane_t[before] == at and key_at(s, kind, before) <= key):
            break
        if place == least:
            return -1
        place -= 1
    for k in range(after, place, -1):
        to, source = lane + (k & mask), lane + ((k - 1) & mask)
        s.lane_t[to], s.lane_key[to] = s.lane_t[source], s.lane_key[source]
        s.lane_payload[to] = s.lane_payload[source]
    return int(place)


@kernel
def push_on_heap(s: RunState, at: float, key: int, payload: int) -> None:
    """Put an event on the heap."""
    k = s.heap_n
    if k >= s.room:
        s.status = MORE_ROOM
        return
    s.heap_n = k + 1
    s.sequence += 1
    while k > 0:
        up = (k - 1) >> 2
        if s.heap_t[up] < at or (s.heap_t[up] == at and s.heap_key[up] <= key):
            break  # of equal events, the one scheduled first stays in front
        move(s, up, k)
        k = up
    s.heap_t[k], s.heap_key[k], s.heap_sequence[k], s.heap_payload[k] = at, key, s.sequence, payload
    s.lane_head[0] = s.heap_t[0]


@kernel
def move(s: RunState, source: int, to: int) -> None:
    """Move an event to another place on the heap."""
    s.heap_t[to], s.heap_key[to] = s.heap_t[source], s.heap_key[source]
    s.heap_sequence[to], s.heap_payload[to] = s.heap_sequence[source], s.heap_payload[source]


@kernel
def drop_first(s: RunState) -> None:
    """Take the first event off the heap."""
    last = s.heap_n - 1
    s.heap_n = last
    s.lane_head[0] = math.inf
    if last:
        sink(s, s.heap_t[last], s.heap_key[last], s.heap_sequence[last], s.heap_payload[last])


@kernel
def replace_first(s: RunState, at: float, key: int, payload: int) -> None:
    """Replace the first event on the heap by a later one."""
    s.sequence += 1
    sink(s, at, key, s.sequence, payload)


@kernel
def sink(s: RunState, at: float, key: int, sequence: int, payload: int) -> None:
    """Put an event at the top of the heap, and let it sink to its place."""
    k, size, t = 0, s.heap_n, s.heap_t
    while 4 * k + 1 < size:
        child = 4 * k + 1
        if child + 3 < size:
            left, right = earlier(s, t, child, child + 1), earlier(s, t, child + 2, child + 3)
            least = earlier(s, t, left, right)
        else:
            least = child
            for other in range(child + 1, size):
                least = earlier(s, t, least, other)
        if at < t[least] or (
            at == t[least] and (key, sequence) < (s.heap_key[least], s.heap_sequence[least])
        ):
            break
        move(s, least, k)
        k = least
    t[k], s.heap_key[k], s.heap_sequence[k], s.heap_payload[k] = at, key, sequence, payload
    s.lane_head[0] = t[0]


@kernel
def earlier(s: RunState, t: Any, i: int, j: int) -> int:
    """Return which place has the earlier event, mostly without a branch that is hard to predict."""
    if t[i] == t[j]:
        if s.heap_key[i] == s.heap_key[j]:
            return i if s.heap_sequence[i] < s.heap_sequence[j] else j
        return i if s.heap_key[i] < s.heap_key[j] else j
    return int(i + (t[j] < t[i]) * (j - i))


@inner_kernel
def next_lane(s: RunState) -> int:
    """Return the lane with the next event, 0 for the heap, or -1 if nothing is left."""
    best, at = -1, math.inf
    for lane in range(1, LANE_KINDS):
        if s.lane_head[lane] < at:  # at one instant the smaller kind comes first
            at = s.lane_head[lane]
            best = lane
    if s.lane_head[0] < at:
        return 0
    if s.lane_head[0] == at and best > 0 and s.heap_key[0] < head_key(s, best):
        return 0
    return best


@kernel
def next_other(s: RunState) -> float:
    """Return when the next event is due that neither begins nor ends a check.

    Beginnings and ends of checks complete no work. The heap counts as other events.
    """
    at = s.lane_head[0]
    for lane in range(1, LANE_KINDS):
        if lane != CHECK_DUE and lane != CHECK_ENDED and s.lane_head[lane] < at:
            at = s.lane_head[lane]
    return float(at)


@inner_kernel
def head_key(s: RunState, lane: int) -> int:
    """Return the key of the first event of a lane."""
    if lane == ARRIVAL:
        return (ARRIVAL << KIND_SHIFT) | (s.arrivals_n << ROW_SHIFT)
    return key_at(s, lane, lane * s.capacity + (s.lane_first[lane] & (s.capacity - 1)))


@inner_kernel
def key_at(s: RunState, kind: int, place: int) -> int:
    """Return the key of an event in a lane; the ring of checks stores none."""
    if kind == CHECK_DUE and s.watch != HOLDS_LINE:
        return (CHECK_DUE << KIND_SHIFT) | int(s.key_of[s.lane_payload[place]])
    return int(s.lane_key[place])


@inner_kernel
def head_payload(s: RunState, lane: int) -> int:
    """Return the payload of the first event of a lane."""
    return int(s.lane_payload[lane * s.capacity + (s.lane_first[lane] & (s.capacity - 1))])


@inner_kernel
def drop_head(s: RunState, lane: int) -> None:
    """Take the first event off a lane."""
    first = s.lane_first[lane] + 1
    if first < s.lane_after[lane]:
        s.lane_first[lane] = first
        s.lane_head[lane] = s.lane_t[lane * s.capacity + (first & (s.capacity - 1))]
    else:
        s.lane_first[lane] = s.lane_after[lane] = 0  # where memory is warm
        s.lane_head[lane] = math.inf
