"""Checks that are bound to see nothing: booked and over at once, without an event for their end.

A check picked up before the work can possibly be complete sees nothing. So when it is due its
worker is booked, and the next check of the same wait takes its place in the queue; nothing else of
the run is touched. Polled waits keep their cyclic order, so their lane is a ring that turns at
almost the speed of memory; checks that jitter scatters replace the first of their heap.
"""

from __future__ import annotations

import math

from asyncsim.fast.check_heap import drop_scattered, first_scattered, replace_scattered
from asyncsim.fast.check_kernels import serve_check
from asyncsim.fast.check_schedule import next_check, next_point
from asyncsim.fast.event_queue import (
    KIND_SHIFT,
    drop_first,
    drop_head,
    head_about,
    next_other,
    push,
    scatter_checks,
)
from asyncsim.fast.jit import kernel, unsigned
from asyncsim.fast.state import (
    ARMED,
    CHECK_DUE,
    CHECK_ENDED,
    FINE,
    HOLDS_LINE,
    J_CHECK,
    POLLS,
    World,
)
from asyncsim.fast.worker_kernels import (
    MOMENTS,
    book_worker,
    count_moments,
    join_queue,
    take_first,
    turn_bins,
)


@kernel
def can_look_ahead(m: World) -> bool:
    """Tell whether the checks of a run are made by workers, by a schedule."""
    return bool(m.poll_work > 0.0 and m.watch and m.watch != HOLDS_LINE)


@kernel
def is_blind(m: World, w: int, start: float, others: float) -> bool:
    """Tell whether a check picked up then cannot see completion.

    `others` is when the next event is due that is no check.
    """
    if m.attention[w] <= start or start + m.poll_work >= m.until or m.checks[w] + 1 == m.limit:
        return False
    return bool(start < others or start < earliest(m, w))


@kernel
def earliest(m: World, w: int) -> float:
    """Return an instant before which the work of a wait cannot be complete."""
    desk = m.at_desk[w]
    return float(m.not_before[w] if desk < 0 else m.collects_at[desk])


@kernel
def look_ahead(m: World, lane: int) -> bool:
    """Make the checks that come next as long as they see nothing; false if there was none."""
    if lane == 0:
        return make_stray(m)
    if m.misfits > m.misfits_borne and not m.scatters:
        scatter_checks(m)
    made = False
    if m.scatters:
        made = make_scattered(m)
    elif m.watch == POLLS and m.lane_after[CHECK_DUE] - m.lane_first[CHECK_DUE] < m.capacity:
        made = turn_ring(m)
    return made or make_one_by_one(m)


@kernel
def turn_ring(m: World) -> bool:
    """Make the checks on a grid.

    All of them take the same time, so few numbers count them until a moment of one falls into
    another bin. Polling spends its time in this loop, so what it needs is kept at hand, and indices
    have no sign, which would have to be looked at.
    """
    t, about, free_at = m.lane_t, m.lane_about, m.free_at
    attention, checks, grid_start, passed = m.attention, m.checks, m.grid_start, m.passed
    others, interval, work, limit = next_other(m), m.interval, m.poll_work, m.limit
    due_before = min(others, m.lane_head[CHECK_ENDED])
    bound = min(due_before, m.until - 2 * work)
    lane, mask, row = CHECK_DUE * m.capacity, m.capacity - 1, J_CHECK * MOMENTS
    first, after = m.lane_first[CHECK_DUE], m.lane_after[CHECK_DUE]
    began, counted, latest = first, first, t[lane + ((after - 1) & mask)]
    worker, last_worker, waited, left = m.free_first, m.workers - 1, 0.0, 0.0
    all_free = free_at[worker - 1 if worker else last_worker]
    bin_queued, bin_started, bin_ended = m.bin_ends[row], m.bin_ends[row + 1], m.bin_ends[row + 2]
    while first < after:
        place = unsigned(lane + (first & mask))
        due, w = t[place], unsigned(about[place])
        start, k = max(due, free_at[unsigned(worker)]), checks[w] + 1
        end = start + work
        if (attention[w] <= start or k == limit) or (
            start >= bound and (due >= due_before or not is_blind(m, about[place], start, others))
        ):
            break
        if start > due:
            join_queue(m, due, start)
            waited += start - due
        if end >= all_free:  # mostly: those who are at work on something longer are passed
            free_at[unsigned(worker)] = all_free = end
            worker = worker + 1 if worker < last_worker else 0
        else:
            worker = take_first(free_at, worker, last_worker, end)
        if end >= bin_queued and (due >= bin_queued or start >= bin_started or end >= bin_ended):
            count_checks(m, first - counted, waited - (start - due), left)
            counted, waited, left = first, start - due, 0.0
            turn_bins(m, row, due, start, end)
            bin_queued, bin_started, bin_ended = (
                m.bin_ends[row],
                m.bin_ends[row + 1],
                m.bin_ends[row + 2],
            )
            if m.status != FINE:
                break
        left += bin_queued - due
        m.now, checks[w] = due, k
        again = grid_start[w] + (k + 1 + passed[w]) * interval
        if again <= end:
            again = grid_start[w] + next_point(m, about[place], end) * interval
        if again > latest:
            to = unsigned(lane + (after & mask))
            t[to], about[to] = again, w
            latest, after = again, after + 1
        else:
            after = move_forward(m, first, after, again, about[place])
            others, due_before, bound = (
                min(others, m.lane_head[0]),
                min(due_before, m.lane_head[0]),
                min(bound, m.lane_head[0]),
            )
        first += 1
    count_checks(m, first - counted, waited, left)
    m.free_first, m.lane_first[CHECK_DUE], m.lane_after[CHECK_DUE] = worker, first, after
    m.lane_head[CHECK_DUE] = t[lane + (first & mask)] if first < after else math.inf
    return bool(first > began)


@kernel
def move_forward(m: World, first: int, after: int, at: float, w: int) -> int:
    """Schedule a check that is due before the last one in the ring; return where the ring ends."""
    m.lane_first[CHECK_DUE], m.lane_after[CHECK_DUE] = first, after
    push(m, at, CHECK_DUE, m.key_of[w], w)
    return int(m.lane_after[CHECK_DUE])


@kernel
def make_one_by_one(m: World) -> bool:
    """Make checks that fit no faster loop, or have to queue so long that one cannot tell ahead.

    Such a check is booked when it is due, and answered when it ends. This goes on until a faster
    loop can take over, or one has something else to do; false if that is the first.
    """
    others, made = next_other(m), False
    has_faster = m.scatters or m.watch == POLLS
    while m.status == FINE:
        ending, due = m.lane_head[CHECK_ENDED], m.lane_head[CHECK_DUE]
        if min(ending, due) >= min(others, m.until):
            break
        if made and has_faster and ending == math.inf:
            break
        kind = CHECK_ENDED if ending <= due else CHECK_DUE
        w = head_about(m, kind)
        if kind == CHECK_DUE and m.attention[w] > due:
            drop_head(m, CHECK_DUE)
            make(m, w, due, others)
        elif kind == CHECK_ENDED and m.attention[w] > m.picked_up[w] and m.checks[w] + 1 != m.limit:
            m.now = m.last_check[w] = ending
            m.checks[w] += 1
            drop_head(m, CHECK_ENDED)
            push(m, next_check(m, w), CHECK_DUE, m.key_of[w], w)
        else:
            break
        others = min(others, m.lane_head[0])
        made = True
    return made


@kernel
def make_stray(m: World) -> bool:
    """Make the check at the head of the heap of all events: the next one finds its lane again."""
    w, due = m.heap_about[0], m.heap_t[0]
    if m.heap_key[0] >> KIND_SHIFT != CHECK_DUE or not m.attention[w] > due:
        return False
    drop_first(m)
    make(m, w, due, next_other(m))
    return True


@kernel
def make(m: World, w: int, due: float, others: float) -> None:
    """Make a check at once if it sees nothing, or else begin it."""
    if make_blindly(m, w, due, others):
        push(m, next_check(m, w), CHECK_DUE, m.key_of[w], w)
    else:
        m.now = due
        serve_check(m, w)


@kernel
def count_checks(m: World, made: int, waited: float, left: float) -> None:
    """Count checks whose moments fell into the present bins.

    `waited` is how long they waited for a worker, `left` what was left of the bin when each was
    queued, both added up; what was left when they were started and ended follows from that.
    """
    m.busy[J_CHECK] += made * m.poll_work
    m.queueing[J_CHECK] += waited
    row = J_CHECK * MOMENTS
    started = left - waited + made * (m.bin_ends[row + 1] - m.bin_ends[row])
    ended = started + made * (m.bin_ends[row + 2] - m.bin_ends[row + 1] - m.poll_work)
    count_moments(m, J_CHECK, made, left, started, ended)


@kernel
def make_scattered(m: World) -> bool:
    """Make the checks that jitter has scattered."""
    others, made = next_other(m), False
    before = min(others, m.until, m.lane_head[CHECK_ENDED])
    while m.lane_head[CHECK_DUE] < before and m.status == FINE:
        w = first_scattered(m)
        if m.state[w] != ARMED:
            drop_scattered(m)
        elif make_blindly(m, w, m.lane_head[CHECK_DUE], others):
            replace_scattered(m, next_check(m, w), w)
        else:
            break
        made = True
    return made


@kernel
def make_blindly(m: World, w: int, due: float, others: float) -> bool:
    """Make a check that sees nothing; false if it may see something."""
    if not is_blind(m, w, max(due, m.free_at[m.free_first]), others):
        return False
    m.now = due
    m.last_check[w] = book_worker(m, J_CHECK, due, m.poll_work) + m.poll_work
    m.checks[w] += 1
    return True
