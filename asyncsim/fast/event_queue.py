"""Two queues in the kernels: that of the events, and that of jobs for the workers of the server.

Events have a lane for each kind, and one heap for what does not fit into its lane. Most events of
one kind are scheduled almost in the order in which they happen: checks of a fixed interval keep
their cyclic order, a FIFO server ends its jobs nearly in the order of booking. Such a lane is a
ring in which a new event moves forward by at most `NEAR` places. What would have to move further,
and every check with jitter, goes to a heap with four children to a node (Johnson 1975,
doi:10.1016/0020-0190(75)90001-0), which is half as deep as a binary one.

Jobs need no queue, as their service times are known when they are queued: a job gets the worker (or
the lane of a system) that is free first, and its start and end are known at once (the recursion of
Kiefer and Wolfowitz 1955, doi:10.2307/1992945).
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.fast import state
from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import ARRIVAL, CHECK_DUE, KIND_SHIFT, LANES, MOMENTS, RunState
from asyncsim.model import outages

NEAR = 16  # how many places an event may move forward in its lane


@inner_kernel
def group(s: RunState, w: int) -> int:
    """Return the group of a wait: the calls that have its strategy."""
    return int(s.group_of[s.call_of[w]]) if s.groups > 1 else 0


first_after = kernel(outages.first_after)
up_from = kernel(outages.up_from)
worked = kernel(outages.worked)


@kernel
def up_at(s: RunState, what: int, instant: float) -> float:
    """Return the first instant from a given one on at which a part, or a system, is up."""
    if not s.down_n[what]:
        return instant
    last = s.down_at[what] + s.down_n[what]
    k = first_after(s.down_to, s.down_at[what], s.down_n[what], instant)
    found = up_from(s.down_from, s.down_to, k, last, instant)
    if found >= s.down_known:
        s.status, s.where = state.MORE_HOURS, -1
    return float(found)


@kernel
def work_done(s: RunState, what: int, start: float, work: float) -> tuple[float, float]:
    """Return when work of the workers, or of a system, begins and ends that is ready at `start`."""
    last = s.down_at[what] + s.down_n[what]
    k = first_after(s.down_to, s.down_at[what], s.down_n[what], start)
    begin, end = worked(s.down_from, s.down_to, s.down_lost, k, last, start, work)
    if end >= s.down_known:
        s.status, s.where = state.MORE_HOURS, -1
    return begin, end


@kernel
def push(s: RunState, at: float, kind: int, key: int, payload: int) -> None:
    """Schedule an event at an instant, or now if that is past, ordered by `key`."""
    if not at < math.inf:
        s.status = state.NOT_FINITE
        return
    at = max(at, s.now)
    key |= kind << KIND_SHIFT
    first, after, mask = 0, 0, s.capacity - 1
    place = -1
    if kind < LANES and not (kind == CHECK_DUE and s.scatters):
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
        s.status = state.MORE_ROOM
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
def drop_from_heap(s: RunState) -> None:
    """Take the first event off the heap."""
    last = s.heap_n - 1
    s.heap_n = last
    s.lane_head[0] = math.inf
    if last:
        sink(s, s.heap_t[last], s.heap_key[last], s.heap_sequence[last], s.heap_payload[last])


@kernel
def sink(s: RunState, at: float, key: int, sequence: int, payload: int) -> None:
    """Put an event in the place of the first one of the heap, and let it sink to its own."""
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
    """Return the lane with the next event, 0 for the heap, or -1 if nothing is left.

    Lanes are compared in pairs: a processor does several of these comparisons at the same time.
    """
    t = s.lane_head
    a, at_a = sooner(1, t[1], 2, t[2])
    b, at_b = sooner(3, t[3], 4, t[4])
    c, at_c = sooner(5, t[5], 6, t[6])
    d, at_d = sooner(7, t[7], 8, t[8])
    a, at_a = sooner(a, at_a, b, at_b)
    c, at_c = sooner(c, at_c, d, at_d)
    a, at_a = sooner(a, at_a, c, at_c)
    best, at = sooner(a, at_a, LANES - 1, t[LANES - 1])
    if t[0] < at or (t[0] == at and at < math.inf and s.heap_key[0] < head_key(s, best)):
        return 0
    return best if at < math.inf else -1


@inner_kernel
def sooner(i: int, at_i: float, j: int, at_j: float) -> tuple[int, float]:
    """Return which lane has the earlier event, and its instant; the smaller of two equal ones."""
    return (j, at_j) if at_j < at_i else (i, at_i)


@inner_kernel
def head_key(s: RunState, lane: int) -> int:
    """Return the key of the first event of a lane."""
    if lane == ARRIVAL:
        return int((ARRIVAL << KIND_SHIFT) | (s.arrivals_n << state.ROW_SHIFT))
    place = lane * s.capacity + (s.lane_first[lane] & (s.capacity - 1))
    return int(key_at(s, lane, place))


@inner_kernel
def key_at(s: RunState, kind: int, place: int) -> int:
    """Return the key of an event in a lane; a ring of checks that turns stores none."""
    if kind == CHECK_DUE and s.turns_ring:
        return (CHECK_DUE << KIND_SHIFT) | int(s.key_of[s.lane_payload[place]])
    return int(s.lane_key[place])


@inner_kernel
def drop_head(s: RunState, lane: int) -> int:
    """Take the first event off a lane; return its payload."""
    first = s.lane_first[lane] + 1
    payload = s.lane_payload[lane * s.capacity + ((first - 1) & (s.capacity - 1))]
    if first < s.lane_after[lane]:
        s.lane_first[lane] = first
        s.lane_head[lane] = s.lane_t[lane * s.capacity + (first & (s.capacity - 1))]
    else:
        s.lane_first[lane] = s.lane_after[lane] = 0  # where memory is warm
        s.lane_head[lane] = math.inf
    return int(payload)


# --- jobs -----------------------------------------------------------------------------------------


@kernel
def book_lane(free_at: Any, base: int, size: int, end: float) -> None:
    """Book the lane that is free first, of a heap of instants, for a job that ends then."""
    k, down = 0, 1
    while down < size:
        if down + 1 < size and free_at[base + down + 1] < free_at[base + down]:
            down += 1
        if free_at[base + down] >= end:
            break
        free_at[base + k] = free_at[base + down]
        k, down = down, 2 * down + 1
    free_at[base + k] = end


@inner_kernel
def book_job(s: RunState, job: int, now: float, work: float) -> tuple[float, float]:
    """Queue a job; return when a worker picks it up and when it ends."""
    if s.contended:
        return book_shared(s, job, now, work)
    return book_worker(s, job, now, work)


@kernel
def book_shared(s: RunState, job: int, now: float, work: float) -> tuple[float, float]:
    """Queue a job that may need the store, or be slower under load."""
    if s.slows_down:
        while s.starts_head < s.starts_tail and s.starts[s.starts_head & (s.room - 1)] <= now:
            s.starts_head += 1
        present = s.starts_tail - s.starts_head
        for k in range(s.workers):
            present += s.free_at[k] > now
        work *= 1.0 + s.slows_down * present
    start = max(float(s.free_at[s.free_first]), now)
    if not s.down_n[state.WORKERS]:
        end = book_store(s, job, start) + work
    else:
        start = up_at(s, state.WORKERS, start)
        start, end = work_done(s, state.WORKERS, start, book_store(s, job, start) - start + work)
    occupy_worker(s, job, now, start, end)
    return start, end


@kernel
def book_store(s: RunState, job: int, now: float) -> float:
    """Ask for the store; return when the part of a job there ends."""
    work = s.store_check if job == state.J_CHECK else 0.0
    work = s.store_callback if job == state.J_CALLBACK else work
    if not work:
        return now
    if s.store_slows:
        mask, begins = s.store_room - 1, s.store_free[0]
        while s.store_head < s.store_tail and s.store_starts[s.store_head & mask] <= now:
            s.store_head += 1
        present = s.store_tail - s.store_head
        for k in range(s.writers):
            present += s.store_free[k] > now
        work *= 1.0 + s.store_slows * present
        if begins > now:
            s.store_starts[s.store_tail & mask] = begins
            s.store_tail += 1
    s.store_seconds += work
    ended = max(float(s.store_free[0]), now) + work
    book_lane(s.store_free, 0, s.writers, ended)
    return ended


@inner_kernel
def book_worker(s: RunState, job: int, now: float, work: float) -> tuple[float, float]:
    """Queue a job of a known time; return when a worker picks it up, and when it ends."""
    start = max(s.free_at[s.free_first], now)
    end = start + work
    if s.down_n[state.WORKERS]:
        start, end = work_done(s, state.WORKERS, start, work)
    occupy_worker(s, job, now, start, end)
    return float(start), float(end)


@inner_kernel
def occupy_worker(s: RunState, job: int, now: float, start: float, end: float) -> None:
    """Occupy the worker who is free first with a job, counted in bins."""
    if start > now:
        join_queue(s, now, start)
    s.free_first = take_first(s.free_at, s.free_first, s.workers - 1, end)
    if start > s.until:
        s.not_started[job] += 1
        start = s.until
    end = min(end, s.until)
    row, ends = job * MOMENTS, s.bin_ends
    ends_elsewhere = end >= ends[row + 2] or end < s.bin_begins[row + 2]
    if now >= ends[row] or start >= ends[row + 1] or ends_elsewhere:
        turn_bins(s, row, now, start, end)
    count_moments(s, job, 1, ends[row] - now, ends[row + 1] - start, ends[row + 2] - end)
    s.busy[job] += end - start
    s.queueing[job] += start - now


@inner_kernel
def take_first(free_at: Any, first: int, last: int, end: float) -> int:
    """Take the worker of the ring (0 to `last`) who is free first; return who is first then."""
    place, then = first, first + 1 if first < last else 0
    before = place - 1 if place else last
    while free_at[before] > end and place != then:
        free_at[place] = free_at[before]
        place = before
        before = place - 1 if place else last
    free_at[place] = end
    return then


@kernel
def join_queue(s: RunState, now: float, start: float) -> None:
    """Add a job to the queue for a worker, and update the longest queue."""
    mask = s.room - 1
    first, after = s.starts_head, s.starts_tail
    while first < after and s.starts[first & mask] <= now:
        first += 1
    if after - first > mask:
        s.status = state.MORE_ROOM
        return
    s.starts[after & mask] = start
    s.starts_head, s.starts_tail = first, after + 1
    s.longest = max(s.longest, after + 1 - first)


@inner_kernel
def count_moments(
    s: RunState, job: int, number: int, queued: float, started: float, ended: float
) -> None:
    """Add jobs to the present bins of their three moments, with what was left of the bins."""
    s.jobs[job] += number
    row = job * MOMENTS
    for moment, rest in enumerate((queued, started, ended)):
        place = s.bin_place[row + moment]
        s.bin_count[place] += number
        s.bin_rest[place] += rest


@kernel
def turn_bins(s: RunState, row: int, queued: float, start: float, end: float) -> None:
    """Turn to the bins of the three moments of a job, where they change."""
    for place, moment in enumerate((queued, start, end), row):
        if not s.bin_begins[place] <= moment < s.bin_ends[place]:
            k = int(moment // s.resolution)
            if k >= s.bins:
                s.status, s.where = state.MORE_BINS, k
                k = s.bins - 1
            s.bin_place[place] = place * s.bins + k
            s.bin_begins[place], s.bin_ends[place] = k * s.resolution, (k + 1) * s.resolution
