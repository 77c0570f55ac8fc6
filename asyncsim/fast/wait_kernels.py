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
    State,
)


@kernel
def is_open(s: State, w: int) -> bool:
    """Tell whether a wait is armed."""
    return bool(s.state[w] == ARMED)


@kernel
def count_open(s: State, change: int) -> None:
    """Note that a wait has opened or closed."""
    s.open_seconds += s.open_count * (s.now - s.last_change)
    s.last_change = s.now
    s.open_count += change


@kernel
def close(s: State, w: int, state: int) -> None:
    """Close an armed wait."""
    s.state[w] = state
    s.closed[w] = s.now
    s.visible_from[w] = -math.inf
    count_open(s, -1)


@kernel
def tidy_up(s: State, w: int) -> None:
    """Count the checks of a closed wait that were skipped, let go of its line."""
    if s.checks_are_free:
        count_skipped(s, w)
    release(s, w)


@kernel
def release(s: State, w: int) -> None:
    """Let the line of a wait go, if one is held."""
    if s.line[w] == HELD:
        s.line[w] = RELEASED
        act_soon(s, w)


@kernel
def act_soon(s: State, what: int) -> None:
    """Let a released line (or, after all waits, a desk) act at once, after the present event."""
    if s.soon_tail - s.soon_head >= s.room:
        s.status = MORE_ROOM
        return
    s.soon[s.soon_tail & (s.room - 1)] = what
    s.soon_tail += 1


@kernel
def leave(s: State, w: int, outcome: int) -> None:
    """Note how and when an asynchronous step ended."""
    s.left[w] = s.now
    s.outcome[w] = outcome


@kernel
def go_on(s: State, node: int) -> None:
    """Have the process go on at a node, in the present event."""
    s.stack[s.stack_n] = node
    s.stack_n += 1


@kernel
def resume(s: State, w: int) -> None:
    """Let the process move on from a finished wait."""
    leave(s, w, RESUMED)
    go_on(s, s.on_resumed[s.call_of[w]])


@kernel
def finish(s: State, w: int) -> int:
    """Finish a wait; the first finish resumes it. Return the answer."""
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
def is_stale(s: State, kept_since: float) -> bool:
    """Tell whether a buffered finish is too old to be applied."""
    return bool(s.now > kept_since + s.buffer_for)


@kernel
def expire(s: State, w: int, state: int) -> None:
    """Let a wait time out or give it up, if it is still open."""
    if is_open(s, w):
        close(s, w, state)
        tidy_up(s, w)
        leave(s, w, STEP_GAVE_UP if state == GAVE_UP else STEP_TIMED_OUT)
        go_on(s, s.on_timeout[s.call_of[w]])


@kernel
def cancel(s: State, w: int) -> bool:
    """Cancel a wait; false if it is over."""
    if s.state[w] == CALLED:
        s.state[w] = CANCELLED
    elif s.state[w] == ARMED:
        close(s, w, CANCELLED)
    else:
        return False
    tidy_up(s, w)
    return True


@kernel
def cancel_all(s: State, row: int) -> None:
    """Cancel all that a failed instance was waiting for."""
    for call in range(s.calls):
        w = call * s.n + row
        if cancel(s, w):
            leave(s, w, STEP_CANCELLED)
