"""The life of a wait in the kernels: armed, checked, finished, expired, cancelled.

The rules are those of `asyncsim.engine.waits`, the schedules of checks those of
`asyncsim.model.strategies`. A wait that ends pushes the node where its process goes on onto the
stack of `asyncsim.fast.event_loop.walk`.

* Checks that cost no work are counted, not played: on a grid,
  ``⌈(completed - anchor) / interval⌉`` of them, as in `asyncsim.engine.contexts`.
* Checks picked up before the work can be complete see nothing. When such a check is due its worker
  is booked, and the next check of the same wait takes its place in the queue, without an event for
  its end; nothing else of the run changes. Checks of a fixed interval keep their cyclic order, so
  their lane is a ring that turns at almost the speed of memory. A check with jitter, which the heap
  holds, is replaced by the next one in one pass.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from asyncsim.engine.environment import NO_LENGTH
from asyncsim.fast import state
from asyncsim.fast.event_queue import (
    book_worker,
    count_moments,
    drop_from_heap,
    drop_head,
    group,
    join_queue,
    push,
    sink,
    take_first,
    turn_bins,
    up_at,
)
from asyncsim.fast.jit import inner_kernel, kernel, unsigned
from asyncsim.fast.state import ARMED, CHECK_DUE, CHECK_ENDED, J_CHECK, KIND_SHIFT, RunState
from asyncsim.model import specifications

grid_index = kernel(specifications.grid_index)
MASK = (1 << 64) - 1
BY_ROW, BY_PLACE = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@inner_kernel
def count_open(s: RunState, change: int) -> None:
    """Count a wait that opens or closes."""
    s.open_seconds += s.open_count * (s.now - s.last_change)
    s.last_change = s.now
    s.open_count += change


@inner_kernel
def close(s: RunState, w: int, outcome: int) -> None:
    """Close an armed wait, count its skipped checks, and release its line."""
    s.state[w] = outcome
    s.closed[w] = s.now
    s.visible_from[w] = -math.inf
    count_open(s, -1)
    if s.checks_are_free[group(s, w)] and s.completed[w] == math.inf:
        skip_checks(s, w, is_over(s, w))
    release(s, w)


@inner_kernel
def release(s: RunState, w: int) -> None:
    """Release the line of a wait, if it holds one."""
    if s.line[w] == state.HELD:
        s.line[w] = state.RELEASED
        act_soon(s, w)


@kernel
def act_soon(s: RunState, what: int) -> None:
    """Schedule a released line, or a system (`s.waits` + its index), after the present event."""
    if s.soon_tail - s.soon_head >= s.room:
        s.status = state.MORE_ROOM
        return
    s.soon[s.soon_tail & (s.room - 1)] = what
    s.soon_tail += 1


@kernel
def go_on(s: RunState, node: int) -> None:
    """Continue the process at a node, within the present event."""
    s.stack[s.stack_n] = node
    s.stack_n += 1


@inner_kernel
def resume(s: RunState, w: int) -> None:
    """Close a wait that is finished, and resume the process."""
    close(s, w, state.FINISHED)
    s.left[w], s.outcome[w] = s.now, state.RESUMED
    go_on(s, s.on_resumed[s.call_of[w]])


@kernel
def finish(s: RunState, w: int) -> int:
    """Finish a wait; the first finish resumes it. Return the outcome of the delivery."""
    found = s.state[w]
    if found == ARMED:
        resume(s, w)
        return state.A_FINISHED
    if found == state.CALLED:
        if s.early == state.BUFFER:
            if not s.now <= s.buffered[w] + s.buffer_for:  # none is buffered, or it is too old
                s.buffered[w] = s.now
            return state.A_BUFFERED
        return state.A_EARLY if s.early == state.REJECT else state.A_IGNORED_EARLY
    if found == state.FINISHED:
        accepts = s.duplicate == state.ACCEPT
        return state.A_ACCEPTED_DUPLICATE if accepts else state.A_DUPLICATE
    return state.A_ACCEPTED_LATE if s.late == state.ACCEPT else state.A_LATE


@kernel
def expire(s: RunState, w: int, outcome: int) -> None:
    """Close a wait that times out or gives up, if it is still open."""
    if s.state[w] == ARMED:
        close(s, w, outcome)
        s.left[w] = s.now
        s.outcome[w] = state.STEP_GAVE_UP if outcome == state.GAVE_UP else state.STEP_TIMED_OUT
        go_on(s, s.on_timeout[s.call_of[w]])


@kernel
def cancel(s: RunState, w: int) -> bool:
    """Cancel a wait; return false if it is over."""
    if s.state[w] == state.CALLED:
        s.state[w] = state.CANCELLED
        return True
    if s.state[w] == ARMED:
        close(s, w, state.CANCELLED)
        return True
    return False


@kernel
def check_due(s: RunState, payload: int) -> None:
    """Begin a check that is due, or release a line held for its maximum."""
    w = payload
    if payload >= s.waits:  # of a held line
        w = payload % s.waits
        if s.holds[w] == payload // s.waits:
            if s.line[w] == state.PARKED:
                s.line[w] = state.NO_LINE
                hold_line(s, w)
            else:
                release(s, w)
    elif s.state[w] == ARMED:
        if not s.poll_work and s.completed[w] > s.now and is_collected_now(s):
            push(s, s.now, state.LAST_LOOK, s.key_of[w], w)
        else:
            check(s, w)


@kernel
def check(s: RunState, w: int) -> None:
    """Book a worker for a check, or answer it at once if that takes no time."""
    if s.poll_work:
        start, end = book_worker(s, J_CHECK, s.now, s.poll_work)
        s.picked_up[w] = s.now if s.watch[group(s, w)] == state.HOLDS_LINE else start
        push(s, end, CHECK_ENDED, s.key_of[w], w)
    else:
        answered(s, w, is_seen(s, w, s.now))


@kernel
def is_seen(s: RunState, w: int, instant: float) -> bool:
    """Return whether the external system answers at an instant that the work is complete."""
    if s.completed[w] > instant:
        return False
    return not s.systems_down or up_at(s, s.last_system[s.call_of[w]], instant) <= instant


@kernel
def is_collected_now(s: RunState) -> bool:
    """Return whether a batch collects at this instant what has been submitted."""
    for system in range(s.systems):
        if s.now == s.collects_at[system] or s.now == s.collected_at[system]:
            return True
    return False


@kernel
def answered(s: RunState, w: int, seen: bool) -> None:
    """Count a check; schedule the next one if it did not see completion."""
    s.last_check[w] = s.now
    s.checks[w] += 1
    if seen:
        s.seen[w] += 1
        if s.state[w] == ARMED:
            finish(s, w)
    if s.state[w] != ARMED:
        return
    g = group(s, w)
    if s.watch[g] == state.HOLDS_LINE:
        s.urgent[s.urgent_n] = w
        s.urgent_n += 1
    elif s.checks[w] == s.limit[g]:
        expire(s, w, state.GAVE_UP)
    else:
        push(s, next_check(s, w), CHECK_DUE, s.key_of[w], w)


# --- long polling ---------------------------------------------------------------------------------


@kernel
def hold_line(s: RunState, w: int) -> None:
    """Check, and hold the line until the work is complete."""
    if s.state[w] != ARMED:
        return
    up = up_at(s, state.POLLER, s.now)
    if up <= s.now and is_seen(s, w, s.now):
        check(s, w)
        return
    s.line[w] = state.HELD if up <= s.now else state.PARKED
    s.held_since[w] = s.now
    s.holds[w] += 1
    until = s.now + s.interval[group(s, w)] if up <= s.now else up
    push(s, until, CHECK_DUE, s.key_of[w], s.holds[w] * s.waits + w)


@kernel
def line_released(s: RunState, w: int) -> None:
    """Close a released line, and handle its answer."""
    s.line[w] = state.NO_LINE
    s.line_seconds += s.now - s.held_since[w]
    if s.state[w] == ARMED:
        check(s, w)
    elif s.now - s.held_since[w] > NO_LENGTH:  # the line was cut
        answered(s, w, is_seen(s, w, s.now))


# --- schedules ------------------------------------------------------------------------------------


@kernel
def begin_schedule(s: RunState, w: int) -> None:
    """Set where the schedule of a wait begins."""
    after = s.last_check[w] = s.grid_start[w] = s.armed[w]
    g = group(s, w)
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
def next_instant(s: RunState, g: int, last: float) -> float:
    """Return the first instant of a check by the clock later than the last check."""
    base, n = s.instants_at[g], s.instants_n[g]
    place = first_from(s.instants, base, n, last)
    while place < base + n and s.instants[place] <= last:
        place += 1
    if place == base + n:
        s.status, s.where = state.MORE_HOURS, -1
        return float(max(last, s.now) + 1.0)  # of no effect: the run begins again
    return float(s.instants[place])


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
        return next_instant(s, g, last)
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


# --- checks that cost no work ---------------------------------------------------------------------


@kernel
def skip_checks(s: RunState, w: int, inclusive: bool) -> None:
    """Count the checks due before now, or up to and including now, from the arming on."""
    now, g = s.now, group(s, w)
    s.checks[w] = 0
    begin_schedule(s, w)
    if s.watch[g] == state.POLLS and s.jitter[g] == 0.0 and not s.windows_n[g]:
        anchor, interval = s.grid_start[w], s.interval[g]
        first = s.passed[w] + 1
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
def is_over(s: RunState, w: int) -> bool:
    """Return whether a check due at this instant comes before the present event."""
    return bool(((CHECK_DUE << KIND_SHIFT) | s.key_of[w]) < s.reached)


@kernel
def see_completion(s: RunState, w: int) -> None:
    """Count the free checks before now, and schedule the one that sees completion."""
    skip_checks(s, w, False)
    at = next_check(s, w)
    again = at == s.now and is_over(s, w)
    push(s, at, state.LAST_LOOK if again else CHECK_DUE, s.key_of[w], w)


# --- checks that see nothing ----------------------------------------------------------------------


@kernel
def is_blind(s: RunState, w: int, start: float, others: float) -> bool:
    """Return whether a check picked up then cannot see completion, before `others` happen."""
    if s.visible_from[w] <= start or start + s.poll_work >= s.until:
        return False
    if s.checks[w] + 1 == s.limit[group(s, w)]:
        return False
    batch = s.in_batch[w]
    return bool(start < others or start < (s.not_before[w] if batch < 0 else s.collects_at[batch]))


@kernel
def next_other(s: RunState) -> float:
    """Return when the next event is due that neither begins nor ends a check.

    Beginnings and ends of checks complete no work. The heap counts as other events.
    """
    at = s.lane_head[0]
    for lane in range(1, state.LANES):
        if lane != CHECK_DUE and lane != CHECK_ENDED and s.lane_head[lane] < at:
            at = s.lane_head[lane]
    return float(at)


@kernel
def look_ahead(s: RunState, lane: int) -> bool:
    """Make the next check, or several, if they see nothing; return false if none was made."""
    if lane and s.turns_ring:
        full = s.lane_after[CHECK_DUE] - s.lane_first[CHECK_DUE] >= s.capacity
        if not full and turn_ring(s):
            return True
    due = others = s.lane_head[lane]
    if lane:
        w = s.lane_payload[lane * s.capacity + (s.lane_first[lane] & (s.capacity - 1))]
        others = next_other(s)
    elif s.heap_key[0] >> KIND_SHIFT == CHECK_DUE:
        w = s.heap_payload[0]
    else:
        return False
    if w >= s.waits:  # a line is released
        return False
    if not is_blind(s, w, max(due, s.free_at[s.free_first]), others):
        return False
    s.now = due
    _, s.last_check[w] = book_worker(s, J_CHECK, due, s.poll_work)
    s.checks[w] += 1
    again = next_check(s, w)
    if s.scatters:
        s.sequence += 1
        sink(s, again, (CHECK_DUE << KIND_SHIFT) | s.key_of[w], s.sequence, w)
        return True
    if lane:
        drop_head(s, lane)
    else:  # it may fit into its lane again
        drop_from_heap(s)
    push(s, again, CHECK_DUE, s.key_of[w], w)
    return True


@kernel
def turn_ring(s: RunState) -> bool:
    """Make checks on a grid as long as they see nothing; return false if none was made.

    All of them take the same time, so few numbers count them until a moment of one falls into
    another bin. Polling spends its time in this loop, so what it needs is kept in local variables,
    and indices are unsigned, which saves a test for negative ones.
    """
    t, payload, free_at, ends = s.lane_t, s.lane_payload, s.free_at, s.bin_ends
    visible_from, checks, grid_start, passed = s.visible_from, s.checks, s.grid_start, s.passed
    others, interval, work, limit = next_other(s), s.interval[0], s.poll_work, s.limit[0]
    due_before = min(others, s.lane_head[CHECK_ENDED])
    bound = min(due_before, s.until - 2 * work)
    lane, mask, row = CHECK_DUE * s.capacity, s.capacity - 1, J_CHECK * state.MOMENTS
    first, after = s.lane_first[CHECK_DUE], s.lane_after[CHECK_DUE]
    began, counted, latest = first, first, t[lane + ((after - 1) & mask)]
    worker, last_worker, waited, left = s.free_first, s.workers - 1, 0.0, 0.0
    all_free = free_at[worker - 1 if worker else last_worker]
    bin_queued, bin_started, bin_ended = ends[row], ends[row + 1], ends[row + 2]
    while first < after:
        place = unsigned(lane + (first & mask))
        due, w = t[place], unsigned(payload[place])
        start, k = max(due, free_at[unsigned(worker)]), checks[w] + 1
        end = start + work
        if (visible_from[w] <= start or k == limit) or (
            start >= bound and (due >= due_before or not is_blind(s, payload[place], start, others))
        ):
            break
        if start > due:
            join_queue(s, due, start)
            waited += start - due
        if end >= all_free:  # mostly: those who are at work on something longer are passed
            free_at[unsigned(worker)] = all_free = end
            worker = worker + 1 if worker < last_worker else 0
        else:
            worker = take_first(free_at, worker, last_worker, end)
        if end >= bin_queued and (due >= bin_queued or start >= bin_started or end >= bin_ended):
            count_checks(s, first - counted, waited - (start - due), left)
            counted, waited, left = first, start - due, 0.0
            turn_bins(s, row, due, start, end)
            bin_queued, bin_started, bin_ended = ends[row], ends[row + 1], ends[row + 2]
            if s.status != state.OK:
                break
        left += bin_queued - due
        s.now, checks[w] = due, k
        again = grid_start[w] + (k + 1 + passed[w]) * interval
        if again <= end:
            again = grid_start[w] + next_point(s, payload[place], end) * interval
        if again > latest:
            to = unsigned(lane + (after & mask))
            t[to], payload[to] = again, w
            latest, after = again, after + 1
        else:
            after = move_forward(s, first, after, again, payload[place])
            others, due_before, bound = (
                min(others, s.lane_head[0]),
                min(due_before, s.lane_head[0]),
                min(bound, s.lane_head[0]),
            )
        first += 1
    count_checks(s, first - counted, waited, left)
    s.free_first, s.lane_first[CHECK_DUE], s.lane_after[CHECK_DUE] = worker, first, after
    s.lane_head[CHECK_DUE] = t[lane + (first & mask)] if first < after else math.inf
    return bool(first > began)


@kernel
def move_forward(s: RunState, first: int, after: int, at: float, w: int) -> int:
    """Schedule a check that is due before the last one in the ring; return where the ring ends."""
    s.lane_first[CHECK_DUE], s.lane_after[CHECK_DUE] = first, after
    push(s, at, CHECK_DUE, s.key_of[w], w)
    return int(s.lane_after[CHECK_DUE])


@kernel
def count_checks(s: RunState, made: int, waited: float, left: float) -> None:
    """Count checks whose moments fell into the present bins.

    `waited` is how long they waited for a worker, `left` what was left of the bin when each was
    queued, both added up; what was left when they were started and ended follows from that.
    """
    s.busy[J_CHECK] += made * s.poll_work
    s.queueing[J_CHECK] += waited
    row = J_CHECK * state.MOMENTS
    started = left - waited + made * (s.bin_ends[row + 1] - s.bin_ends[row])
    ended = started + made * (s.bin_ends[row + 2] - s.bin_ends[row + 1] - s.poll_work)
    count_moments(s, J_CHECK, made, left, started, ended)
