"""The life of a wait in the kernels: armed, finished, expired, cancelled; and what follows.

The rules are those of `asyncsim.engine.waits`. A wait that ends lays the node where its process
goes on onto the stack of walks (`asyncsim.fast.process_kernels`).
"""

from __future__ import annotations

import math

from asyncsim.fast.check_schedule import count_skipped
from asyncsim.fast.jit import kernel
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
    FINISHED,
    GAVE_UP,
    HELD,
    MORE_ROOM,
    REJECT,
    RELEASED,
    RESUMED,
    STEP_CANCELLED,
    STEP_GAVE_UP,
    STEP_TIMED_OUT,
    World,
)


@kernel
def is_open(m: World, w: int) -> bool:
    """Tell whether a wait is armed."""
    return bool(m.state[w] == ARMED)


@kernel
def count_open(m: World, change: int) -> None:
    """Note that a wait has opened or closed."""
    m.open_seconds += m.open_count * (m.now - m.last_change)
    m.last_change = m.now
    m.open_count += change


@kernel
def close(m: World, w: int, state: int) -> None:
    """Close an armed wait."""
    m.state[w] = state
    m.closed[w] = m.now
    m.attention[w] = -math.inf
    count_open(m, -1)


@kernel
def tidy_up(m: World, w: int) -> None:
    """Count the checks of a closed wait that were skipped, let go of its line."""
    if m.checks_are_free:
        count_skipped(m, w)
    release(m, w)


@kernel
def release(m: World, w: int) -> None:
    """Let the line of a wait go, if one is held."""
    if m.line[w] == HELD:
        m.line[w] = RELEASED
        act_soon(m, w)


@kernel
def act_soon(m: World, what: int) -> None:
    """Let a released line (or, after all waits, a desk) act at once, after the present event."""
    if m.soon_tail - m.soon_head >= m.room:
        m.status = MORE_ROOM
        return
    m.soon[m.soon_tail & (m.room - 1)] = what
    m.soon_tail += 1


@kernel
def leave(m: World, w: int, outcome: int) -> None:
    """Note how and when an asynchronous step ended."""
    m.left[w] = m.now
    m.outcome[w] = outcome


@kernel
def go_on(m: World, node: int) -> None:
    """Have the process go on at a node, in the present event."""
    m.stack[m.stack_n] = node
    m.stack_n += 1


@kernel
def resume(m: World, w: int) -> None:
    """Let the process move on from a finished wait."""
    leave(m, w, RESUMED)
    go_on(m, m.on_resumed[m.call_of[w]])


@kernel
def finish(m: World, w: int) -> int:
    """Finish a wait; the first finish resumes it. Return the answer."""
    state = m.state[w]
    if state == ARMED:
        close(m, w, FINISHED)
        tidy_up(m, w)
        resume(m, w)
        return A_FINISHED
    if state == CALLED:
        if m.early == BUFFER:
            if math.isnan(m.buffered[w]) or is_stale(m, m.buffered[w]):
                m.buffered[w] = m.now
            return A_BUFFERED
        return A_EARLY if m.early == REJECT else A_IGNORED_EARLY
    if state == FINISHED:
        return A_ACCEPTED_DUPLICATE if m.duplicate == ACCEPT else A_DUPLICATE
    return A_ACCEPTED_LATE if m.late == ACCEPT else A_LATE


@kernel
def is_stale(m: World, kept_since: float) -> bool:
    """Tell whether a buffered finish is too old to be applied."""
    return bool(m.now > kept_since + m.buffer_for)


@kernel
def expire(m: World, w: int, state: int) -> None:
    """Let a wait time out or give it up, if it is still open."""
    if is_open(m, w):
        close(m, w, state)
        tidy_up(m, w)
        leave(m, w, STEP_GAVE_UP if state == GAVE_UP else STEP_TIMED_OUT)
        go_on(m, m.on_timeout[m.call_of[w]])


@kernel
def cancel(m: World, w: int) -> bool:
    """Cancel a wait; false if it is over."""
    if m.state[w] == CALLED:
        m.state[w] = CANCELLED
    elif m.state[w] == ARMED:
        close(m, w, CANCELLED)
    else:
        return False
    tidy_up(m, w)
    return True


@kernel
def cancel_all(m: World, row: int) -> None:
    """Cancel all that a failed instance was waiting for."""
    for call in range(m.calls):
        w = call * m.n + row
        if cancel(m, w):
            leave(m, w, STEP_CANCELLED)
