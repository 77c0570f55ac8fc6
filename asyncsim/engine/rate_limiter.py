"""Rate limiting: a request is admitted or refused at the instant it arrives.

Both engines use the functions, since they must agree to the last bit.
"""

from __future__ import annotations

import abc
import math
from collections import deque

from asyncsim.model.server import RateLimit, SlidingWindow

ROUNDING = 1e-9
"""Seconds: a request that comes after the returned pause is admitted, whatever the rounding."""


def until_out(admitted: float, length: float, now: float) -> float:
    """Return the seconds until a request admitted at an instant leaves a sliding window."""
    return admitted + length - now


def refilled(tokens: float, since: float, now: float, rate: float, size: float) -> float:
    """Return the tokens in a bucket now, from those at an earlier instant."""
    return min(tokens + max(now - since, 0.0) * rate, size)


def until_token(tokens: float, rate: float) -> float:
    """Return the seconds until a bucket holds a whole token; zero or less if it does."""
    return (1.0 - tokens) / rate


class Admission(abc.ABC):
    """Admits requests under a rate limit."""

    @abc.abstractmethod
    def admit(self, now: float) -> float:
        """Admit a request and return 0, or return the seconds until one can be admitted."""


class WindowAdmission(Admission):
    """Admits at most `most` requests in any interval of `length` seconds."""

    def __init__(self, most: int, length: float) -> None:
        self._length = length
        self._admitted: deque[float] = deque(maxlen=most)  # the last ones

    def admit(self, now: float) -> float:
        """Admit a request and return 0, or return the seconds until one can be admitted."""
        admitted = self._admitted
        if len(admitted) == admitted.maxlen:
            pause = until_out(admitted[0], self._length, now)
            if pause >= ROUNDING:
                return pause
        admitted.append(now)
        return 0.0


class BucketAdmission(Admission):
    """Admits a request for every token in a bucket; `rate` is per second."""

    def __init__(self, size: int, rate: float) -> None:
        self._size = float(size)
        self._rate = rate
        self._tokens = self._size
        self._since = -math.inf

    def admit(self, now: float) -> float:
        """Admit a request and return 0, or return the seconds until one can be admitted."""
        self._tokens = refilled(self._tokens, self._since, now, self._rate, self._size)
        self._since = now
        pause = until_token(self._tokens, self._rate)
        if pause >= ROUNDING:
            return pause
        self._tokens -= 1.0
        return 0.0


def admission(limit: RateLimit | None) -> Admission | None:
    """Return the admission of a limit before its first request; None for no limit.

    Examples
    --------
    >>> from asyncsim.model.server import TokenBucket
    >>> bucket = admission(TokenBucket(2, "0.5/s"))
    >>> [bucket.admit(now) for now in (0.0, 0.0, 0.0, 2.0)]
    [0.0, 0.0, 2.0, 0.0]
    """
    if limit is None:
        return None
    if isinstance(limit, SlidingWindow):
        return WindowAdmission(limit.most, limit.seconds)
    return BucketAdmission(limit.size, limit.rate.per_second)
