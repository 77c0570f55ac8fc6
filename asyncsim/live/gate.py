"""The rate limit of an endpoint: requests of the real world, on the real clock."""

from __future__ import annotations

import threading
import time

from asyncsim.engine.admission import admission
from asyncsim.live.problems import Problem
from asyncsim.model.limits import RateLimit


class Gate:
    """Lets as many requests in as a limit allows, from whatever thread; all if there is none."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._admission = admission(limit)
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Refuse a request that is one too many, and say when to come again."""
        if self._admission is None:
            return
        with self._lock:
            pause = self._admission.admit(time.monotonic())
        if pause > 0:
            raise Problem(
                429,
                f"Too many requests: try again in {pause:.1f} s.",
                headers={"Retry-After": str(int(pause) + 1)},
            )
