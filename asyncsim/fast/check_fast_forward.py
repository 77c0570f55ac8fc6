"""Checks that cannot see completion: booked when they are due, without an event for their end.

A check picked up before the work can be complete sees nothing. So when it is due its worker is
booked, and the next check of the same wait takes its place in the queue; nothing else of the run
changes. Checks of a fixed interval keep their cyclic order, so their lane is a ring that turns at
almost the speed of memory. A check with jitter, which the heap holds, is replaced by the next one
in one pass.
"""

from __future__ import annotations

import math

from asyncsim.fast.event_queue import (
    KIND_SHIFT,
    LANE_KINDS,
    drop_first,
    drop_head,
    head_payload,
    next_other,
    push,
    replace_first,
)
from asyncsim.fast.jit import kernel, unsigned
from asyncsim.fast.state import (
    CHECK_DUE,
    CHECK_ENDED,
    HOLDS_LINE,
    J_CHECK,
    OK,
    POLLS,
    RunState,
)
from asyncsim.fast.wait_kernels import next_check, next_point
from asyncsim.fast.worker_kernels import (
    MOMENTS,
    book_worker,
    count_moments,
    join_queue,
    take_first,
    turn_bins,
)


@kernel
def can_look_ahead(s: RunState) -> bool:
    """Return whether workers make the checks of a run, by a schedule."""
    return bool(s.poll_work > 0.0 and s.watch and s.watch != HOLDS_LINE)


@kernel
def is_blind(s: RunState, w: int, start: float, others: float) -> bool:
    """Return whether a check picked up then cannot see completion.

    `others` is the instant of the next event other than a check.
    """
    if s.visible_from[w] <= start or start + s.poll_work >= s.until or s.checks[w] + 1 == s.limit:
        return False
    return bool(start < others or start < earliest(s, w))


@kernel
def earliest(s: RunState, w: int) -> float:
    """Return an instant before which the work of a wait cannot be complete."""
    desk = s.at_desk[w]
    return float(s.not_before[w] if desk < 0 else s.collects_at[desk])


@kernel
def look_ahead(s: RunState, lane: int) -> bool:
    """Make the checks that come next as long as they see nothing; return false if none was made."""
    if lane == 0:
        return make_on_heap(s)
    full = s.lane_after[CHECK_DUE] - s.lane_first[CHECK_DUE] >= s.capacity
    return (s.watch == POLLS and not full and turn_ring(s)) or make_in_lane(s)


@kernel
def turn_ring(s: RunState) -> bool:
    """Make the checks on a grid.

    All of them take the same time, so few numbers count them until a moment of one falls into
    another bin. Polling spends its time in this loop, so what it needs is kept at hand, and indices
    have no sign, which would have to be looked at.
    """
    t, payload, free_at = s.lane_t, s.lane_payload, s.free_at
    visible_from, checks, grid_start, passed = s.visible_from, s.checks, s.grid_start, s.passed
    others, interval, work, limit = next_other(s), s.interval, s.poll_work, s.limit
    due_before = min(others, s.lane_head[CHECK_ENDED])
    bound = min(due_before, s.until - 2 * work)
    lane, mask, row = CHECK_DUE * s.capacity, s.capacity - 1, J_CHECK * MOMENTS
    first, after = s.lane_first[CHECK_DUE], s.lane_after[CHECK_DUE]
    began, counted, latest = first, first, t[lane + ((after - 1) & mask)]
    worker, last_worker, waited, left = s.free_first, s.workers - 1, 0.0, 0.0
    all_free = free_at[worker - 1 if worker else last_worker]
    bin_queued, bin_started, bin_ended = s.bin_ends[row], s.bin_ends[row + 1], s.bin_ends[row + 2]
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
            bin_queued, bin_started, bin_ended = (
                s.bin_ends[row],
                s.bin_ends[row + 1],
                s.bin_ends[row + 2],
            )
            if s.status != OK:
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
def make_in_lane(s: RunState) -> bool:
    """Make the first checks of the lane, as far as they keep no cyclic order."""
    others, made = next_other(s), False
    before = min(others, s.until, s.lane_head[CHECK_ENDED])
    while s.lane_head[CHECK_DUE] < before and s.status == OK:
        w = head_payload(s, CHECK_DUE)
        if not make_blindly(s, w, s.lane_head[CHECK_DUE], others):
            break
        drop_head(s, CHECK_DUE)
        push(s, next_check(s, w), CHECK_DUE, s.key_of[w], w)
        before, made = min(before, s.lane_head[0]), True
    return made


@kernel
def make_on_heap(s: RunState) -> bool:
    """Make the checks at the top of the heap; return false if none was made."""
    before, made = s.until, False
    for lane in range(1, LANE_KINDS):
        before = min(before, s.lane_head[lane])
    while s.lane_head[0] < before and s.heap_key[0] >> KIND_SHIFT == CHECK_DUE and s.status == OK:
        w, due = s.heap_payload[0], s.heap_t[0]
        if not make_blindly(s, w, due, due):
            break
        again = next_check(s, w)
        if s.scatters:
            replace_first(s, again, (CHECK_DUE << KIND_SHIFT) | s.key_of[w], w)
        else:  # it may fit into its lane again
            drop_first(s)
            push(s, again, CHECK_DUE, s.key_of[w], w)
            before = min(before, s.lane_head[CHECK_DUE])
        made = True
    return made


@kernel
def make_blindly(s: RunState, w: int, due: float, others: float) -> bool:
    """Make a check that sees nothing; return false if it may see something."""
    if not is_blind(s, w, max(due, s.free_at[s.free_first]), others):
        return False
    s.now = due
    s.last_check[w] = book_worker(s, J_CHECK, due, s.poll_work) + s.poll_work
    s.checks[w] += 1
    return True


@kernel
def count_checks(s: RunState, made: int, waited: float, left: float) -> None:
    """Count checks whose moments fell into the present bins.

    `waited` is how long they waited for a worker, `left` what was left of the bin when each was
    queued, both added up; what was left when they were started and ended follows from that.
    """
    s.busy[J_CHECK] += made * s.poll_work
    s.queueing[J_CHECK] += waited
    row = J_CHECK * MOMENTS
    started = left - waited + made * (s.bin_ends[row + 1] - s.bin_ends[row])
    ended = started + made * (s.bin_ends[row + 2] - s.bin_ends[row + 1] - s.poll_work)
    count_moments(s, J_CHECK, made, left, started, ended)
