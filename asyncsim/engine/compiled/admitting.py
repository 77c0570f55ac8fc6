"""The rate limit on finishes in the kernels: the arithmetic of `asyncsim.engine.admission`."""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine import admission
from asyncsim.engine.admission import ROUNDING
from asyncsim.engine.compiled.jitting import kernel
from asyncsim.engine.compiled.memory import Memory
from asyncsim.engine.compiled.world import BUCKET_LIMIT, WINDOW_LIMIT, World
from asyncsim.model.limits import RateLimit, SlidingWindow

until_out = kernel(admission.until_out)
refilled = kernel(admission.refilled)
until_token = kernel(admission.until_token)


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
