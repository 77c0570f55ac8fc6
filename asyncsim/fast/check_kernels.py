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
    World,
)
from asyncsim.fast.wait_kernels import expire, finish, is_open, release
from asyncsim.fast.worker_kernels import book_worker


@kernel
def schedule_check(m: World, w: int) -> None:
    """Schedule the next check of a wait."""
    push(m, next_check(m, w), CHECK_DUE, m.key_of[w], w)


@kernel
def check_due(m: World, about: int) -> None:
    """Begin a check that is due, or let a line go that was held long enough."""
    if m.watch == HOLDS_LINE:
        w = about % m.waits
        if m.holds[w] == about // m.waits:
            release(m, w)
    elif is_open(m, about):
        if m.checks_are_free:
            m.checks[about] += 1
            m.seen[about] += 1
            finish(m, about)
        else:
            begin_check(m, about)


@kernel
def begin_check(m: World, w: int) -> None:
    """Have a worker pick the check up, or answer it at once if it takes no time."""
    if m.poll_work:
        serve_check(m, w)
    elif m.completed[w] > m.now and is_collected_now(m):
        push(m, m.now, LAST_LOOK, m.key_of[w], w)
    else:
        answered(m, w, m.completed[w] <= m.now)


@kernel
def serve_check(m: World, w: int) -> None:
    """Book a worker for a check; one whose line was held saw what there was when it was let go."""
    start = book_worker(m, J_CHECK, m.now, m.poll_work)
    m.picked_up[w] = m.now if m.watch == HOLDS_LINE else start
    push(m, start + m.poll_work, CHECK_ENDED, m.key_of[w], w)


@kernel
def is_collected_now(m: World) -> bool:
    """Tell whether a batch collects at this instant what has been submitted."""
    for desk in range(m.desks):
        if m.now == m.collects_at[desk] or m.now == m.collected_at[desk]:
            return True
    return False


@kernel
def check_ended(m: World, w: int) -> None:
    """Take the answer of a check whose worker is done."""
    answered(m, w, m.completed[w] <= m.picked_up[w])


@kernel
def last_look(m: World, w: int) -> None:
    """Look once more, after all that was collected at this instant."""
    if not m.checks_are_free:
        answered(m, w, is_open(m, w) and m.completed[w] <= m.now)
        return
    m.checks[w] += 1
    if is_open(m, w):  # else its first look was made before the wait was over
        m.seen[w] += 1
        finish(m, w)


@kernel
def answered(m: World, w: int, seen: bool) -> None:
    """Count a check that saw completion or not, and ask again if it did not."""
    m.last_check[w] = m.now
    m.checks[w] += 1
    if seen:
        m.seen[w] += 1
        if is_open(m, w):
            finish(m, w)
    if not is_open(m, w):
        return
    if m.watch == HOLDS_LINE:
        hold_next(m, w)
    elif m.checks[w] == m.limit:
        expire(m, w, GAVE_UP)
    else:
        schedule_check(m, w)


@kernel
def hold_next(m: World, w: int) -> None:
    """Have a wait hold a line at once, before anything else."""
    m.urgent[m.urgent_n] = w
    m.urgent_n += 1


@kernel
def hold_line(m: World, w: int) -> None:
    """Ask, and hold the line until there is something to be told."""
    if not is_open(m, w):
        return
    if m.completed[w] <= m.now:
        line_answers(m, w)
        return
    m.line[w] = HELD
    m.held_since[w] = m.now
    m.holds[w] += 1
    push(m, m.now + m.interval, CHECK_DUE, m.key_of[w], m.holds[w] * m.waits + w)


@kernel
def line_released(m: World, w: int) -> None:
    """Hang up a line that was let go, and take its answer."""
    m.line[w] = NO_LINE
    m.line_seconds += m.now - m.held_since[w]
    if is_open(m, w):
        line_answers(m, w)
    elif m.now - m.held_since[w] > NO_LENGTH:  # the line was cut
        answered(m, w, m.completed[w] <= m.now)


@kernel
def line_answers(m: World, w: int) -> None:
    """Have the answer of an open line handled."""
    if m.poll_work:
        serve_check(m, w)
    else:
        answered(m, w, m.completed[w] <= m.now)
