"""The life of a wait in the kernels: armed, checked, finished, expired, cancelled.

The rules are those of `asyncsim.engine.waits`, the schedules of checks those of
`asyncsim.model.strategies`. A wait that ends pushes the node where its process goes on onto the
stack of `asyncsim.fast.event_loop.walk`. Checks that cost no work are counted, not played: on a
grid, ``⌈(completed - anchor) / interval⌉`` of them, as in `asyncsim.engine.contexts`.
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine.environment import NO_LENGTH
from asyncsim.fast.event_queue import KIND_SHIFT, push
from asyncsim.fast.jit import kernel, unsigned
from asyncsim.fast.state import (
    A_ACCEPTED_DUPLICATE,
    A_ACCEPTED_LATE,
    A_BUFFERED,
    A_DUPLICATE,
    A_EARLY,
    A_FINISHED,
    A_IGNORED_EARLY,
    A_LATE,
    ACCEPT,
    ARMED,
    BUFFER,
    CALLED,
    CANCELLED,
    CHECK_DUE,
    CHECK_ENDED,
    DECORRELATED,
    FINISHED,
    FROM_CLOCK,
    FROM_RANDOM,
    FULL,
    GAVE_UP,
    HELD,
    HOLDS_LINE,
    J_CHECK,
    K_JITTER,
    K_PHASE,
    LAST_LOOK,
    MORE_INTERVALS,
    MORE_ROOM,
    NO_JITTER,
    NO_LINE,
    NOT_FINITE,
    POLLS,
    REJECT,
    RELEASED,
    RESUMED,
    STEP_CANCELLED,
    STEP_GAVE_UP,
    STEP_TIMED_OUT,
    RunState,
)
from asyncsim.fast.worker_kernels import book_worker
from asyncsim.model import specifications

grid_index = kernel(specifications.grid_index)
MASK = (1 << 64) - 1
BY_ROW, BY_PLACE = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@kernel
def is_open(s: RunState, w: int) -> bool:
    """Return whether a wait is armed."""
    return bool(s.state[w] == ARMED)


@kernel
def count_open(s: RunState, change: int) -> None:
    """Count a wait that opens or closes."""
    s.open_seconds += s.open_count * (s.now - s.last_change)
    s.last_change = s.now
    s.open_count += change


@kernel
def close(s: RunState, w: int, state: int) -> None:
    """Close an armed wait."""
    s.state[w] = state
    s.closed[w] = s.now
    s.visible_from[w] = -math.inf
    count_open(s, -1)


@kernel
def tidy_up(s: RunState, w: int) -> None:
    """Count the skipped checks of a closed wait, and release its line."""
    if s.checks_are_free:
        count_skipped(s, w)
    release(s, w)


@kernel
def release(s: RunState, w: int) -> None:
    """Release the line of a wait, if it holds one."""
    if s.line[w] == HELD:
        s.line[w] = RELEASED
        act_soon(s, w)


@kernel
def act_soon(s: RunState, what: int) -> None:
    """Schedule a released line, or a system (`s.waits` + its index), after the present event."""
    if s.soon_tail - s.soon_head >= s.room:
        s.status = MORE_ROOM
        return
    s.soon[s.soon_tail & (s.room - 1)] = what
    s.soon_tail += 1


@kernel
def leave(s: RunState, w: int, outcome: int) -> None:
    """Record how and when an asynchronous step ended."""
    s.left[w] = s.now
    s.outcome[w] = outcome


@kernel
def go_on(s: RunState, node: int) -> None:
    """Continue the process at a node, within the present event."""
    s.stack[s.stack_n] = node
    s.stack_n += 1


@kernel
def resume(s: RunState, w: int) -> None:
    """Resume the process after a finished wait."""
    leave(s, w, RESUMED)
    go_on(s, s.on_resumed[s.call_of[w]])


@kernel
def finish(s: RunState, w: int) -> int:
    """Finish a wait; the first finish resumes it. Return the outcome of the delivery."""
    state = s.state[w]
    if state == ARMED:
        close(s, w, FINISHED)
        tidy_up(s, w)
        resume(s, w)
        return A_FINISHED
    if state == CALLED:
        if s.early == BUFFER:
            if math.isnan(s.buffered[w]) or is_stale(s, s.buffered[w]):
                s.buffered[w] = s.now
            return A_BUFFERED
        return A_EARLY if s.early == REJECT else A_IGNORED_EARLY
    if state == FINISHED:
        return A_ACCEPTED_DUPLICATE if s.duplicate == ACCEPT else A_DUPLICATE
    return A_ACCEPTED_LATE if s.late == ACCEPT else A_LATE


@kernel
def is_stale(s: RunState, kept_since: float) -> bool:
    """Return whether a buffered finish is too old to be applied."""
    return bool(s.now > kept_since + s.buffer_for)


@kernel
def expire(s: RunState, w: int, state: int) -> None:
    """Close a wait that times out or gives up, if it is still open."""
    if is_open(s, w):
        close(s, w, state)
        tidy_up(s, w)
        leave(s, w, STEP_GAVE_UP if state == GAVE_UP else STEP_TIMED_OUT)
        go_on(s, s.on_timeout[s.call_of[w]])


@kernel
def cancel(s: RunState, w: int) -> bool:
    """Cancel a wait; return false if it is over."""
    if s.state[w] == CALLED:
        s.state[w] = CANCELLED
    elif s.state[w] == ARMED:
        close(s, w, CANCELLED)
    else:
        return False
    tidy_up(s, w)
    return True


@kernel
def cancel_all(s: RunState, row: int) -> None:
    """Cancel all waits of a failed instance."""
    for call in range(s.calls):
        w = call * s.n + row
        if cancel(s, w):
            leave(s, w, STEP_CANCELLED)


@kernel
def schedule_check(s: RunState, w: int) -> None:
    """Schedule the next check of a wait."""
    push(s, next_check(s, w), CHECK_DUE, s.key_of[w], w)


@kernel
def check_due(s: RunState, payload: int) -> None:
    """Begin a check that is due, or release a line held for its maximum."""
    if s.watch == HOLDS_LINE:
        w = payload % s.waits
        if s.holds[w] == payload // s.waits:
            release(s, w)
    elif is_open(s, payload):
        if s.checks_are_free:
            s.checks[payload] += 1
            s.seen[payload] += 1
            finish(s, payload)
        else:
            begin_check(s, payload)


@kernel
def begin_check(s: RunState, w: int) -> None:
    """Book a worker for a check, or answer it at once if it takes no time."""
    if s.poll_work:
        serve_check(s, w)
    elif s.completed[w] > s.now and is_collected_now(s):
        push(s, s.now, LAST_LOOK, s.key_of[w], w)
    else:
        answered(s, w, s.completed[w] <= s.now)


@kernel
def serve_check(s: RunState, w: int) -> None:
    """Book a worker for a check; a released line answers with what it saw when released."""
    start = book_worker(s, J_CHECK, s.now, s.poll_work)
    s.picked_up[w] = s.now if s.watch == HOLDS_LINE else start
    push(s, start + s.poll_work, CHECK_ENDED, s.key_of[w], w)


@kernel
def is_collected_now(s: RunState) -> bool:
    """Return whether a batch collects at this instant what has been submitted."""
    for desk in range(s.desks):
        if s.now == s.collects_at[desk] or s.now == s.collected_at[desk]:
            return True
    return False


@kernel
def check_ended(s: RunState, w: int) -> None:
    """Handle the answer of a check when its worker is done."""
    answered(s, w, s.completed[w] <= s.picked_up[w])


@kernel
def last_look(s: RunState, w: int) -> None:
    """Check once more, after everything collected at this instant."""
    if not s.checks_are_free:
        answered(s, w, is_open(s, w) and s.completed[w] <= s.now)
        return
    s.checks[w] += 1
    if is_open(s, w):  # else its first look was made before the wait was over
        s.seen[w] += 1
        finish(s, w)


@kernel
def answered(s: RunState, w: int, seen: bool) -> None:
    """Count a check; schedule the next one if it did not see completion."""
    s.last_check[w] = s.now
    s.checks[w] += 1
    if seen:
        s.seen[w] += 1
        if is_open(s, w):
            finish(s, w)
    if not is_open(s, w):
        return
    if s.watch == HOLDS_LINE:
        hold_next(s, w)
    elif s.checks[w] == s.limit:
        expire(s, w, GAVE_UP)
    else:
        schedule_check(s, w)


@kernel
def hold_next(s: RunState, w: int) -> None:
    """Open a connection for a wait before anything else happens."""
    s.urgent[s.urgent_n] = w
    s.urgent_n += 1


@kernel
def hold_line(s: RunState, w: int) -> None:
    """Check, and hold the line until the work is complete."""
    if not is_open(s, w):
        return
    if s.completed[w] <= s.now:
        line_answers(s, w)
        return
    s.line[w] = HELD
    s.held_since[w] = s.now
    s.holds[w] += 1
    push(s, s.now + s.interval, CHECK_DUE, s.key_of[w], s.holds[w] * s.waits + w)


@kernel
def line_released(s: RunState, w: int) -> None:
    """Close a released line, and handle its answer."""
    s.line[w] = NO_LINE
    s.line_seconds += s.now - s.held_since[w]
    if is_open(s, w):
        line_answers(s, w)
    elif s.now - s.held_since[w] > NO_LENGTH:  # the line was cut
        answered(s, w, s.completed[w] <= s.now)


@kernel
def line_answers(s: RunState, w: int) -> None:
    """Handle the answer of an open line."""
    if s.poll_work:
        serve_check(s, w)
    else:
        answered(s, w, s.completed[w] <= s.now)


@kernel
def begin_schedule(s: RunState, w: int) -> None:
    """Set where the schedule of a wait begins."""
    s.last_check[w] = s.grid_start[w] = s.armed[w]
    if s.watch != POLLS:
        s.slept[w], s.slept_k[w] = s.intervals[0], -1
        return
    if s.anchor == FROM_CLOCK:
        s.grid_start[w] = 0.0
    elif s.anchor == FROM_RANDOM:
        phase = chance(s, K_PHASE, s.call_of[w], s.row_of[w], 0)
        s.grid_start[w] = s.armed[w] - phase * s.interval
    s.passed[w] = grid_index(s.grid_start[w], s.interval, s.armed[w]) - 1 - s.checks[w]


@kernel
def next_point(s: RunState, w: int, after: float) -> int:
    """Return the index of the first grid point of a wait later than the end of its last check.

    It is the next one, unless that check took too long.
    """
    k = s.checks[w] + 1 + s.passed[w]
    if s.grid_start[w] + k * s.interval <= after:
        k = grid_index(s.grid_start[w], s.interval, after)
        s.passed[w] = k - 1 - s.checks[w]
    return int(k)


@kernel
def next_check(s: RunState, w: int) -> float:
    """Return when the next check of a wait is due."""
    last = s.last_check[w]
    if s.watch == POLLS:
        k = next_point(s, w, last)
        due = s.grid_start[w] + k * s.interval
        return float(due if s.jitter == 0.0 else due + jitter(s, w, k) * s.jitter)
    k = s.checks[w]
    if s.backoff_kind == NO_JITTER:
        due = last + backoff(s, k)
    elif s.backoff_kind == FULL:
        due = last + jitter(s, w, k) * backoff(s, k)
    elif s.backoff_kind == DECORRELATED:
        due = last + decorrelated(s, w, k)
    else:
        due = last + (1 + jitter(s, w, k)) / 2 * backoff(s, k)
    if not due < math.inf:
        s.status = NOT_FINITE
    return float(due)


@kernel
def jitter(s: RunState, w: int, k: int) -> float:
    """Return the uniform number of the k-th check."""
    return chance(s, K_JITTER, s.call_of[w], s.row_of[w], k)


@kernel
def backoff(s: RunState, k: int) -> float:
    """Return the k-th interval before jitter."""
    last = s.intervals_n - 1
    if k > last and s.intervals_go_on:
        s.status = MORE_INTERVALS
    return float(s.intervals[min(k, last)])


@kernel
def decorrelated(s: RunState, w: int, k: int) -> float:
    """Return the k-th interval of decorrelated jitter, which grows out of the ones before."""
    first, slept = s.intervals[0], s.slept[w]
    for j in range(s.slept_k[w] + 1, k + 1):
        slept = min(s.cap, first + jitter(s, w, j) * (3 * slept - first))
    s.slept_k[w] = k
    s.slept[w] = slept
    return float(slept)


@kernel
def skip_checks(s: RunState, w: int, inclusive: bool) -> None:
    """Count the checks due before now, or up to and including now, from the arming on."""
    now = s.now
    s.checks[w] = 0
    begin_schedule(s, w)
    if s.watch == POLLS and s.jitter == 0.0:
        anchor, interval = s.grid_start[w], s.interval
        first = grid_index(anchor, interval, s.last_check[w])
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
def count_skipped(s: RunState, w: int) -> None:
    """Count the checks of a wait until now, if its work is not complete."""
    if s.completed[w] == math.inf and not math.isnan(s.armed[w]):
        skip_checks(s, w, is_over(s, w))


@kernel
def see_completion(s: RunState, w: int) -> None:
    """Count the free checks before now, and schedule the one that sees completion."""
    skip_checks(s, w, False)
    at = next_check(s, w)
    again = at == s.now and is_over(s, w)
    push(s, at, LAST_LOOK if again else CHECK_DUE, s.key_of[w], w)


@kernel
def mixed(z: Any) -> Any:
    """Return 64 bits scrambled (the finaliser of SplitMix64; Steele, Lea & Flood 2014)."""
    z = ((z ^ (z >> unsigned(30))) * FIRST) & MASK
    z = ((z ^ (z >> unsigned(27))) * SECOND) & MASK
    return z ^ (z >> unsigned(31))


@kernel
def chance(s: RunState, purpose: int, call: int, row: int, k: int) -> float:
    """Return the k-th uniform number in [0, 1) of a wait, for one purpose."""
    key = unsigned(s.chance_key[purpose * s.calls + call]) & MASK
    place = mixed((key + unsigned(row + 1) * BY_ROW) & MASK)
    return float((mixed((place + unsigned(k + 1) * BY_PLACE) & MASK) >> unsigned(11)) * 2.0**-53)
