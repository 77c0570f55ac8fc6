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

import numpy as np

from asyncsim.engine.environment import NO_LENGTH
from asyncsim.fast import state
from asyncsim.fast.event_queue import (
    book_job,
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
from asyncsim.fast.schedule_kernels import (
    begin_schedule,
    grid_index,
    next_check,
    next_instant,
    next_point,
)
from asyncsim.fast.state import ARMED, CHECK_DUE, CHECK_ENDED, J_CHECK, KIND_SHIFT, RunState


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
    if outcome != state.FINISHED:
        withdraw(s, w)


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
    """Close a wait that is finished, and resume the process, perhaps after a delay."""
    close(s, w, state.FINISHED)
    if s.delays_steps:
        delay = s.step_delay[w] if s.step_delays_vary else s.step_delay[0]
        if delay:
            s.closed[w] = math.nan
            count_open(s, 1)
            push(s, s.now + delay, state.WORK_ENDED, s.key_of[w], -1 - w)
            return
    s.left[w], s.outcome[w] = s.now, state.RESUMED
    go_on(s, s.on_resumed[s.call_of[w]])


@kernel
def resume_later(s: RunState, w: int) -> None:
    """Close a wait that was finished before, and resume the process."""
    s.closed[w] = s.left[w] = s.now
    count_open(s, -1)
    s.outcome[w] = state.RESUMED
    go_on(s, s.on_resumed[s.call_of[w]])


@kernel
def finish(s: RunState, w: int) -> int:
    """Finish a wait; the first finish resumes it. Return the outcome of the delivery."""
    found = s.state[w]
    if found == ARMED:
        resume(s, w)
        return state.A_FINISHED
    if found == state.CALLED:
        # None is buffered, or it is too old
        if s.early == state.A_BUFFERED and not s.now <= s.buffered[w] + s.buffer_for:
            s.buffered[w] = s.now
        return int(s.early)
    # Kept or not: no step is entered twice here, so none waits for a value of an earlier wait
    return int(s.duplicate if found == state.FINISHED else s.late)


@kernel
def expire(s: RunState, w: int, outcome: int) -> None:
    """Close a wait that times out or gives up, if it is still open."""
    if s.state[w] == ARMED:
        close(s, w, outcome)
    elif not (s.state[w] == state.CALLED and time_out(s, w, False)):
        return
    s.left[w] = s.now
    s.outcome[w] = state.STEP_GAVE_UP if outcome == state.GAVE_UP else state.STEP_TIMED_OUT
    go_on(s, s.on_timeout[s.call_of[w]])


@kernel
def time_out(s: RunState, w: int, between: bool) -> bool:
    """Time a wait out, also one between its acceptance and arming if asked; false if it is over."""
    if s.state[w] == ARMED:
        close(s, w, state.TIMED_OUT)
        return True
    if s.state[w] != state.CALLED or (s.between[w] and not between):
        return False
    s.state[w], s.closed[w] = state.TIMED_OUT, s.now
    withdraw(s, w)
    return True


@kernel
def cancel(s: RunState, w: int) -> bool:
    """Cancel a wait; return false if it is over."""
    if s.state[w] == state.CALLED:
        s.state[w] = state.CANCELLED
        withdraw(s, w)
        return True
    if s.state[w] == ARMED:
        close(s, w, state.CANCELLED)
        return True
    return False


@kernel
def withdraw(s: RunState, w: int) -> None:
    """Withdraw the outside work of a wait that is over, if its step does so."""
    if not s.withdrawals or not s.withdraw[s.call_of[w]] or s.desk[w] < 0:
        return
    system, taken = s.desk[w] >> 1, s.desk[w] & 1
    s.desk[w] = state.WITHDRAWN
    if taken:
        free_lane(s, system)
        return
    place = first = s.queue_at[system] + s.queue_head[system]
    while s.queue[place] != w:  # mostly it is among the oldest
        place += 1
    for k in range(place, first, -1):
        s.queue[k], s.submitted[k] = s.queue[k - 1], s.submitted[k - 1]
    s.queue_head[system] += 1


@kernel
def free_lane(s: RunState, system: int) -> None:
    """Free a lane of a system that serves item by item."""
    kind = s.system_kind[system]
    if s.withdraws[system] and (kind == state.SERVICE or kind == state.PEOPLE):
        s.at_work[system] -= 1
        act_soon(s, s.waits + system)


@kernel
def noticed(s: RunState, due: float) -> float:
    """Return when a deadline is noticed."""
    if s.sweep == 0.0:
        return due
    k = grid_index(0.0, s.sweep, due)
    return float((k - 1) * s.sweep if (k - 1) * s.sweep >= due else k * s.sweep)


@kernel
def step_deadline(s: RunState, w: int) -> float:
    """Return when the deadline of the step of a wait is noticed; infinite if it has none."""
    call, due = s.call_of[w], math.inf
    if s.step_timeout[call] >= 0.0:
        due = s.called[w] + s.step_timeout[call]
    if s.until_at[call] >= 0:
        base, n = s.until_at[call], s.until_n[call]
        due = min(due, next_instant(s, s.untils, base, n, s.called[w], -2))
    return noticed(s, due) if due < math.inf else due


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
        if not s.check_seconds and s.completed[w] > s.now and is_collected_now(s):
            push(s, s.now, state.LAST_LOOK, s.key_of[w], w)
        else:
            check(s, w)


@kernel
def check(s: RunState, w: int) -> None:
    """Book a worker for a check, or answer it at once if that takes no time."""
    if s.check_seconds:
        start, end = book_job(s, J_CHECK, s.now, s.poll_work)
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


# --- shared checks --------------------------------------------------------------------------------


@kernel
def add_opened(s: RunState, w: int) -> None:
    """Add an armed wait to those of its shared check, which is due if no other was open."""
    p = s.shared[s.call_of[w]]
    s.opened[s.shared_at[p] + s.opened_n[p]] = w
    s.opened_n[p] += 1
    if s.completed[w] <= s.now:
        add_complete(s, w)
    if not s.is_asking[p]:
        ask_next(s, p)


@kernel
def add_complete(s: RunState, w: int) -> None:
    """Add an open wait to the complete ones of its shared check, the oldest completion first."""
    p = s.shared[s.call_of[w]]
    base, k = s.shared_at[p], s.complete_n[p]
    s.complete_n[p] += 1
    while k > s.complete_head[p]:
        before = s.complete[base + k - 1]
        if (s.completed[before], s.key_of[before]) <= (s.completed[w], s.key_of[w]):
            break
        s.complete[base + k] = before
        k -= 1
    s.complete[base + k] = w


@kernel
def oldest_open(s: RunState, p: int) -> int:
    """Return the open wait of a shared check that was armed first, or -1."""
    k = s.opened_head[p]
    while k < s.opened_n[p] and s.state[s.opened[s.shared_at[p] + k]] != ARMED:
        k += 1
    s.opened_head[p] = k
    return int(s.opened[s.shared_at[p] + k]) if k < s.opened_n[p] else -1


@kernel
def ask_next(s: RunState, p: int) -> None:
    """Schedule the next check for all open waits, if there are any."""
    w = oldest_open(s, p)
    s.is_asking[p] = w >= 0
    if w >= 0:
        start, interval = s.shared_start[p], s.interval[group(s, w)]
        after = max(s.shared_last[p], float(np.nextafter(s.now, -math.inf)))
        at = start + grid_index(start, interval, after) * interval
        at = up_at(s, state.POLLER, at)
        push(s, at, state.SHARED_CHECK, p << state.ROW_SHIFT, 2 * p)


@kernel
def take_complete(s: RunState, p: int) -> int:
    """Return the next wait that a shared check sees, or -1."""
    while s.complete_head[p] < s.complete_n[p]:
        w = s.complete[s.shared_at[p] + s.complete_head[p]]
        if not is_seen(s, w, s.asked_at[p]):
            return -1
        s.complete_head[p] += 1
        if s.state[w] == ARMED:
            return int(w)
    return -1


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
