"""The queue of events: a lane for each kind, and heaps for what does not fit in.

Most events of one kind are scheduled almost in the order in which they happen: checks of a fixed
interval keep their cyclic order, a FIFO server ends its jobs nearly in the order of booking. Such a
lane is a ring in which a new event moves forward by a few places at the most. What would have to
move further goes to a binary heap (Williams 1964, doi:10.1145/512274.512284, algorithm 232). Checks
that jitter or a long queue scatters over time have a heap to themselves (`scattered`) in place of
their lane.
"""

from __future__ import annotations

import math

from asyncsim.engine.environment import INSTANCE_BITS, STEP_BITS
from asyncsim.fast.check_heap import drop_scattered, first_scattered, push_scattered
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    ARRIVAL,
    CHECK_DUE,
    CHECK_ENDED,
    COLLECTION,
    HOLDS_LINE,
    MORE_ROOM,
    NOT_FINITE,
    World,
)

LANE_KINDS = COLLECTION
"""Kinds below have a lane of their own."""
NEAR = 16
"""How many places an event may move forward in its lane."""
ROW_SHIFT, KIND_SHIFT = STEP_BITS, STEP_BITS + INSTANCE_BITS


@kernel
def push(m: World, at: float, kind: int, key: int, about: int) -> None:
    """Schedule an event at an instant, or now if that is past.

    `key` orders events of one kind at one instant: row and number, as in ``m.key_of``.
    """
    if not at < math.inf:
        m.status = NOT_FINITE
        return
    if at < m.now:
        at = m.now
    if kind == CHECK_DUE and m.scatters:
        push_scattered(m, at, about)
        return
    key |= kind << KIND_SHIFT
    if kind >= LANE_KINDS:
        push_far(m, at, key, about)
        return
    first, after, mask = m.lane_first[kind], m.lane_after[kind], m.capacity - 1
    if after - first > mask:
        push_far(m, at, key, about)
        return
    lane = kind * m.capacity
    place = after
    if after > first:
        last = lane + ((after - 1) & mask)
        if m.lane_t[last] > at or (m.lane_t[last] == at and key_at(m, kind, last) > key):
            place = make_room(m, kind, at, key)
            if place < 0:
                m.misfits += kind == CHECK_DUE
                push_far(m, at, key, about)
                return
    to = lane + (place & mask)
    m.lane_t[to], m.lane_key[to], m.lane_about[to] = at, key, about
    m.lane_after[kind] = after + 1
    if place == first:
        m.lane_head[kind] = at


@kernel
def make_room(m: World, kind: int, at: float, key: int) -> int:
    """Make room for an event in a lane, a few places from its end; -1 if it belongs further."""
    first, after, mask = m.lane_first[kind], m.lane_after[kind], m.capacity - 1
    lane = kind * m.capacity
    place, least = after, max(first, after - NEAR)
    while place > first:
        before = lane + ((place - 1) & mask)
        if m.lane_t[before] < at or (m.lane_t[before] == at and key_at(m, kind, before) <= key):
            break
        if place == least:
            return -1
        place -= 1
    for k in range(after, place, -1):
        to, source = lane + (k & mask), lane + ((k - 1) & mask)
        m.lane_t[to], m.lane_key[to] = m.lane_t[source], m.lane_key[source]
        m.lane_about[to] = m.lane_about[source]
    return int(place)


@kernel
def push_far(m: World, at: float, key: int, about: int) -> None:
    """Put an event on the heap."""
    k = m.heap_n
    if k >= m.room:
        m.status = MORE_ROOM
        return
    m.heap_n = k + 1
    m.sequence += 1
    while k > 0:
        up = (k - 1) >> 1
        if m.heap_t[up] < at or (m.heap_t[up] == at and m.heap_key[up] <= key):
            break  # what was scheduled first stays in front of its equals
        move(m, up, k)
        k = up
    m.heap_t[k], m.heap_key[k], m.heap_sequence[k], m.heap_about[k] = at, key, m.sequence, about
    m.lane_head[0] = m.heap_t[0]


@kernel
def move(m: World, source: int, to: int) -> None:
    """Move an event to another place on the heap."""
    m.heap_t[to], m.heap_key[to] = m.heap_t[source], m.heap_key[source]
    m.heap_sequence[to], m.heap_about[to] = m.heap_sequence[source], m.heap_about[source]


@kernel
def drop_first(m: World) -> None:
    """Take the first event off the heap."""
    size = m.heap_n - 1
    m.heap_n = size
    k = 0
    while True:
        down = 2 * k + 1
        if down >= size:
            break
        if down + 1 < size and comes_before(m, down + 1, down):
            down += 1
        if comes_before(m, size, down):  # the last event, which looks for a new place
            break
        move(m, down, k)
        k = down
    move(m, size, k)
    m.lane_head[0] = m.heap_t[0] if size else math.inf


@kernel
def comes_before(m: World, i: int, j: int) -> bool:
    """Tell whether an event on the heap comes before another one."""
    if m.heap_t[i] != m.heap_t[j]:
        return bool(m.heap_t[i] < m.heap_t[j])
    if m.heap_key[i] != m.heap_key[j]:
        return bool(m.heap_key[i] < m.heap_key[j])
    return bool(m.heap_sequence[i] < m.heap_sequence[j])


@kernel
def scatter_checks(m: World) -> None:
    """Let checks move from their lane to the rounds and the heap that hold them in any order."""
    while m.lane_first[CHECK_DUE] < m.lane_after[CHECK_DUE]:
        place = CHECK_DUE * m.capacity + (m.lane_first[CHECK_DUE] & (m.capacity - 1))
        push_scattered(m, m.lane_t[place], m.lane_about[place])
        m.lane_first[CHECK_DUE] += 1
    m.scatters = 1


@kernel
def next_lane(m: World) -> int:
    """Return the lane with the next event, 0 for the heap, or -1 if nothing is left."""
    best, at = -1, math.inf
    for lane in range(1, LANE_KINDS):
        if m.lane_head[lane] < at:  # at one instant the smaller kind comes first
            at = m.lane_head[lane]
            best = lane
    if m.lane_head[0] < at:
        return 0
    if m.lane_head[0] == at and best > 0 and m.heap_key[0] < head_key(m, best):
        return 0
    return best


@kernel
def next_other(m: World) -> float:
    """Return when the next event is due that is not the beginning or the end of a check.

    Beginnings and ends of checks complete no work.
    """
    at = m.lane_head[0]
    for lane in range(1, LANE_KINDS):
        if lane != CHECK_DUE and lane != CHECK_ENDED and m.lane_head[lane] < at:
            at = m.lane_head[lane]
    return float(at)


@kernel
def head_key(m: World, lane: int) -> int:
    """Return the key of the first event of a lane."""
    if lane == ARRIVAL:
        return (ARRIVAL << KIND_SHIFT) | (m.arrivals_n << ROW_SHIFT)
    if lane == CHECK_DUE and m.scatters:
        return (CHECK_DUE << KIND_SHIFT) | int(m.key_of[first_scattered(m)])
    return key_at(m, lane, lane * m.capacity + (m.lane_first[lane] & (m.capacity - 1)))


@kernel
def key_at(m: World, kind: int, place: int) -> int:
    """Return the key of an event in a lane; the checks of a schedule keep none (see `blind`)."""
    if kind == CHECK_DUE and m.watch != HOLDS_LINE:
        return (CHECK_DUE << KIND_SHIFT) | int(m.key_of[m.lane_about[place]])
    return int(m.lane_key[place])


@kernel
def head_about(m: World, lane: int) -> int:
    """Return what the first event of a lane is about."""
    if lane == CHECK_DUE and m.scatters:
        return first_scattered(m)
    return int(m.lane_about[lane * m.capacity + (m.lane_first[lane] & (m.capacity - 1))])


@kernel
def drop_head(m: World, lane: int) -> None:
    """Take the first event off a lane."""
    if lane == CHECK_DUE and m.scatters:
        drop_scattered(m)
        return
    first = m.lane_first[lane] + 1
    if first < m.lane_after[lane]:
        m.lane_first[lane] = first
        m.lane_head[lane] = m.lane_t[lane * m.capacity + (first & (m.capacity - 1))]
    else:
        m.lane_first[lane] = m.lane_after[lane] = 0  # where memory is warm
        m.lane_head[lane] = math.inf
