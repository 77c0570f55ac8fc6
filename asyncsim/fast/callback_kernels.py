"""Callbacks: sent, lost, refused, doubled, handled (`asyncsim.model.strategies.Callback`).

The rate limit on finishes in the kernels: the arithmetic of `asyncsim.engine.rate_limiter`.
"""

from __future__ import annotations

import math

from asyncsim.engine import rate_limiter
from asyncsim.engine.rate_limiter import ROUNDING
from asyncsim.fast.counter_rng import chance
from asyncsim.fast.event_queue import ROW_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    A_DEAD,
    A_EARLY,
    A_LIMITED,
    A_LOST,
    CALLBACK_HANDLED,
    DELIVERY,
    J_CALLBACK,
    K_DUPLICATE,
    K_LOSS,
    SYSTEM,
    WINDOW_LIMIT,
    State,
)
from asyncsim.fast.wait_kernels import finish
from asyncsim.fast.worker_kernels import book_worker

until_out = kernel(rate_limiter.until_out)
refilled = kernel(rate_limiter.refilled)
until_token = kernel(rate_limiter.until_token)


@kernel
def is_admitted(s: State) -> bool:
    """Admit a delivery that arrives now, or refuse it."""
    if s.finish_limit == WINDOW_LIMIT:
        oldest = s.admitted[s.admitted_at]  # of a ring
        if until_out(oldest, s.window_length, s.now) >= ROUNDING:
            return False
        s.admitted[s.admitted_at] = s.now
        s.admitted_at = s.admitted_at + 1 if s.admitted_at + 1 < s.window_most else 0
        return True
    s.tokens = refilled(s.tokens, s.tokens_since, s.now, s.bucket_rate, s.bucket_size)
    s.tokens_since = s.now
    if until_token(s.tokens, s.bucket_rate) >= ROUNDING:
        return False
    s.tokens -= 1.0
    return True


@kernel
def send(s: State, w: int, attempt: int) -> None:
    """Send the callback, from an attempt on, until one gets on its way or all are lost."""
    call, row = s.call_of[w], s.row_of[w]
    while s.loss and chance(s, K_LOSS, call, row, attempt) < s.loss:
        s.deliveries[w] += 1
        record_outcome(s, note(s, w, attempt, math.nan, 0), A_LOST)
        attempt += 1
        if pauses_before(s, w, attempt):
            return
    delay = s.delay[attempt * s.waits + w] if s.delays_vary else s.delay[0]
    dispatch(s, w, attempt, delay, 0)
    if s.duplicates and chance(s, K_DUPLICATE, call, row, attempt) < s.duplicates:
        dispatch(s, w, attempt, delay + s.duplicate_delay, 1)


@kernel
def pauses_before(s: State, w: int, attempt: int) -> bool:
    """Pause before an attempt, or give up after the last; false if it comes at once."""
    if attempt == s.attempts:
        record_outcome(s, note(s, w, -1, math.nan, 0), A_DEAD)
        return True
    pause = s.pause[attempt]
    if not pause:
        return False
    key = s.key_of[w] + (1 << ROW_SHIFT)
    push(s, s.now + pause, SYSTEM, key, -1 - (attempt * s.waits + w))
    return True


@kernel
def dispatch(s: State, w: int, attempt: int, delay: float, copy: int) -> None:
    """Put a delivery on its way."""
    s.deliveries[w] += 1
    push(s, s.now + delay, DELIVERY, s.key_of[w], note(s, w, attempt, s.now + delay, copy))


@kernel
def note(s: State, w: int, attempt: int, arrives: float, copy: int) -> int:
    """Write a delivery down; return its index."""
    d = s.deliveries_n
    s.deliveries_n = d + 1
    s.delivered[d], s.attempt[d], s.is_copy[d] = w, attempt, copy
    s.sent[d], s.arrived[d], s.handled[d] = s.now, arrives, math.nan
    return int(d)


@kernel
def record_outcome(s: State, d: int, answer: int) -> None:
    """Note what a delivery came to."""
    s.answer[d] = answer
    s.settled[s.settled_n] = d
    s.settled_n += 1


@kernel
def delivery_arrives(s: State, d: int) -> None:
    """Have a worker handle a callback that has arrived, if the rate limit lets it in."""
    if s.finish_limit and not is_admitted(s):
        record_outcome(s, d, A_LIMITED)
        try_again(s, d)
        return
    if not s.callback_work:
        delivery_handled(s, d)
        return
    handled = book_worker(s, J_CALLBACK, s.now, s.callback_work) + s.callback_work
    push(s, handled, CALLBACK_HANDLED, s.key_of[s.delivered[d]], d)


@kernel
def delivery_handled(s: State, d: int) -> None:
    """Finish the wait by its callback; try again if it came too early."""
    s.handled[d] = s.now
    answer = finish(s, s.delivered[d])
    record_outcome(s, d, answer)
    if answer == A_EARLY:
        try_again(s, d)


@kernel
def try_again(s: State, d: int) -> None:
    """Have a callback sent once more; nobody cares about the answer to a copy."""
    w, attempt = s.delivered[d], s.attempt[d] + 1
    if not s.is_copy[d] and not pauses_before(s, w, attempt):
        send(s, w, attempt)
