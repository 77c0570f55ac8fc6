"""Checks that are played: due, picked up by a worker, ended; and lines held open."""

from __future__ import annotations

from asyncsim.engine.environment import NO_LENGTH
from asyncsim.fast.check_schedule import next_check
from asyncsim.fast.event_queue import push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    CHECK_DUE,
    CHECK_ENDED,
    GAVE_UP,
    HELD,
    HOLDS_LINE,
    J_CHECK,
    LAST_LOOK,
    NO_LINE,
    State,
)
from asyncsim.fast.wait_kernels import expire, finish, is_open, release
from asyncsim.fast.worker_kernels import book_worker


@kernel
def schedule_check(s: State, w: int) -> None:
    """Schedule the next check of a wait."""
    push(s, next_check(s, w), CHECK_DUE, s.key_of[w], w)


@kernel
def check_due(s: State, payload: int) -> None:
    """Begin a check that is due, or let a line go that was held long enough."""
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
def begin_check(s: State, w: int) -> None:
    """Have a worker pick the check up, or answer it at once if it takes no time."""
    if s.poll_work:
        serve_check(s, w)
    elif s.completed[w] > s.now and is_collected_now(s):
        push(s, s.now, LAST_LOOK, s.key_of[w], w)
    else:
        answered(s, w, s.completed[w] <= s.now)


@kernel
def serve_check(s: State, w: int) -> None:
    """Book a worker for a check; one whose line was held saw what there was when it was let go."""
    start = book_worker(s, J_CHECK, s.now, s.poll_work)
    s.picked_up[w] = s.now if s.watch == HOLDS_LINE else start
    push(s, start + s.poll_work, CHECK_ENDED, s.key_of[w], w)


@kernel
def is_collected_now(s: State) -> bool:
    """Tell whether a batch collects at this instant what has been submitted."""
    for desk in range(s.desks):
        if s.now == s.collects_at[desk] or s.now == s.collected_at[desk]:
            return True
    return False


@kernel
def check_ended(s: State, w: int) -> None:
    """Take the answer of a check whose worker is done."""
    answered(s, w, s.completed[w] <= s.picked_up[w])


@kernel
def last_look(s: State, w: int) -> None:
    """Look once more, after all that was collected at this instant."""
    if not s.checks_are_free:
        answered(s, w, is_open(s, w) and s.completed[w] <= s.now)
        return
    s.checks[w] += 1
    if is_open(s, w):  # else its first look was made before the wait was over
        s.seen[w] += 1
        finish(s, w)


@kernel
def answered(s: State, w: int, seen: bool) -> None:
    """Count a check that saw completion or not, and ask again if it did not."""
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
def hold_next(s: State, w: int) -> None:
    """Have a wait hold a line at once, before anything else."""
    s.urgent[s.urgent_n] = w
    s.urgent_n += 1


@kernel
def hold_line(s: State, w: int) -> None:
    """Ask, and hold the line until there is something to be told."""
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
def line_released(s: State, w: int) -> None:
    """Hang up a line that was let go, and take its answer."""
    s.line[w] = NO_LINE
    s.line_seconds += s.now - s.held_since[w]
    if is_open(s, w):
        line_answers(s, w)
    elif s.now - s.held_since[w] > NO_LENGTH:  # the line was cut
        answered(s, w, s.completed[w] <= s.now)


@kernel
def line_answers(s: State, w: int) -> None:
    """Have the answer of an open line handled."""
    if s.poll_work:
        serve_check(s, w)
    else:
        answered(s, w, s.completed[w] <= s.now)
