"""Callbacks: sent, lost, refused, doubled, handled (`asyncsim.model.strategies.Callback`).

The rate limit on finishes in the kernels: the arithmetic of `asyncsim.engine.rate_limiter`.
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine import rate_limiter
from asyncsim.engine.rate_limiter import ROUNDING
from asyncsim.fast.buffer_pool import Memory
from asyncsim.fast.counter_rng import chance
from asyncsim.fast.event_queue import ROW_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    A_DEAD,
    A_EARLY,
    A_LIMITED,
    A_LOST,
    BUCKET_LIMIT,
    CALLBACK_HANDLED,
    DELIVERY,
    J_CALLBACK,
    K_DUPLICATE,
    K_LOSS,
    SYSTEM,
    WINDOW_LIMIT,
    World,
)
from asyncsim.fast.wait_kernels import finish
from asyncsim.fast.worker_kernels import book_worker
from asyncsim.model.server import RateLimit, SlidingWindow

until_out = kernel(rate_limiter.until_out)
refilled = kernel(rate_limiter.refilled)
until_token = kernel(rate_limiter.until_token)


def limit_fields(limit: RateLimit | None, deliveries: int, memory: Memory) -> dict[str, Any]:
    """Return the fields of the world for a limit, none if so few deliveries never meet it."""
    if limit is None:
        return {}
    if isinstance(limit, SlidingWindow):
        if limit.most >= deliveries:
            return {}
        return {
            "finish_limit": WINDOW_LIMIT,
            "window_most": limit.most,
            "window_length": limit.seconds,
            "admitted": memory.floats(limit.most, -math.inf),
        }
    return {
        "finish_limit": BUCKET_LIMIT,
        "bucket_size": float(limit.size),
        "bucket_rate": limit.rate.per_second,
        "tokens": float(limit.size),
        "tokens_since": -math.inf,
    }


@kernel
def is_admitted(m: World) -> bool:
    """Admit a delivery that arrives now, or refuse it."""
    if m.finish_limit == WINDOW_LIMIT:
        oldest = m.admitted[m.admitted_at]  # of a ring
        if until_out(oldest, m.window_length, m.now) >= ROUNDING:
            return False
        m.admitted[m.admitted_at] = m.now
        m.admitted_at = m.admitted_at + 1 if m.admitted_at + 1 < m.window_most else 0
        return True
    m.tokens = refilled(m.tokens, m.tokens_since, m.now, m.bucket_rate, m.bucket_size)
    m.tokens_since = m.now
    if until_token(m.tokens, m.bucket_rate) >= ROUNDING:
        return False
    m.tokens -= 1.0
    return True


@kernel
def send(m: World, w: int, attempt: int) -> None:
    """Send the callback, from an attempt on, until one gets on its way or all are lost."""
    call, row = m.call_of[w], m.row_of[w]
    while m.loss and chance(m, K_LOSS, call, row, attempt) < m.loss:
        m.deliveries[w] += 1
        tell(m, note(m, w, attempt, math.nan, 0), A_LOST)
        attempt += 1
        if pauses_before(m, w, attempt):
            return
    delay = m.delay[attempt * m.waits + w] if m.delays_vary else m.delay[0]
    dispatch(m, w, attempt, delay, 0)
    if m.duplicates and chance(m, K_DUPLICATE, call, row, attempt) < m.duplicates:
        dispatch(m, w, attempt, delay + m.duplicate_delay, 1)


@kernel
def pauses_before(m: World, w: int, attempt: int) -> bool:
    """Pause before an attempt, or give up after the last; false if it comes at once."""
    if attempt == m.attempts:
        tell(m, note(m, w, -1, math.nan, 0), A_DEAD)
        return True
    pause = m.pause[attempt]
    if not pause:
        return False
    key = m.key_of[w] + (1 << ROW_SHIFT)
    push(m, m.now + pause, SYSTEM, key, -1 - (attempt * m.waits + w))
    return True


@kernel
def dispatch(m: World, w: int, attempt: int, delay: float, copy: int) -> None:
    """Put a delivery on its way."""
    m.deliveries[w] += 1
    push(m, m.now + delay, DELIVERY, m.key_of[w], note(m, w, attempt, m.now + delay, copy))


@kernel
def note(m: World, w: int, attempt: int, arrives: float, copy: int) -> int:
    """Write a delivery down; return its index."""
    d = m.deliveries_n
    m.deliveries_n = d + 1
    m.delivered[d], m.attempt[d], m.is_copy[d] = w, attempt, copy
    m.sent[d], m.arrived[d], m.handled[d] = m.now, arrives, math.nan
    return int(d)


@kernel
def tell(m: World, d: int, answer: int) -> None:
    """Note what a delivery came to."""
    m.answer[d] = answer
    m.told[m.told_n] = d
    m.told_n += 1


@kernel
def delivery_arrives(m: World, d: int) -> None:
    """Have a worker handle a callback that has arrived, if the rate limit lets it in."""
    if m.finish_limit and not is_admitted(m):
        tell(m, d, A_LIMITED)
        try_again(m, d)
        return
    if not m.callback_work:
        delivery_handled(m, d)
        return
    handled = book_worker(m, J_CALLBACK, m.now, m.callback_work) + m.callback_work
    push(m, handled, CALLBACK_HANDLED, m.key_of[m.delivered[d]], d)


@kernel
def delivery_handled(m: World, d: int) -> None:
    """Finish the wait by its callback; try again if it came too early."""
    m.handled[d] = m.now
    answer = finish(m, m.delivered[d])
    tell(m, d, answer)
    if answer == A_EARLY:
        try_again(m, d)


@kernel
def try_again(m: World, d: int) -> None:
    """Have a callback sent once more; nobody cares about the answer to a copy."""
    w, attempt = m.delivered[d], m.attempt[d] + 1
    if not m.is_copy[d] and not pauses_before(m, w, attempt):
        send(m, w, attempt)
