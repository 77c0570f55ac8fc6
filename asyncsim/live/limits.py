"""Rate limits: how many requests a server takes before it answers 429."""

from __future__ import annotations

import abc
import re
from collections import deque

from asyncsim.errors import ScenarioError
from asyncsim.model.quantities import Refused, positive_duration

EXAMPLES = "'100 per 60 s' or '3000 refilled 500/s'"
ROUNDING = 1e-9
"""Who comes when told to is let in, whatever rounding has made of the moment."""
WINDOW = re.compile(r"(\d+)\s*(?:per|/)\s*(\S.*)")
BUCKET = re.compile(r"(\d+)\s+refilled\s+(\d+(?:\.\d+)?)\s*/\s*s")


class RateLimit(abc.ABC):
    """Lets so many requests in."""

    @abc.abstractmethod
    def admit(self, now: float) -> float:
        """Let a request in at an instant and return 0, or return the seconds until one may come."""


class SlidingWindow(RateLimit):
    """At most `most` requests in any `seconds` (a connector of K2 takes 100 in 60 s).

    Parameters
    ----------
    most, seconds
        How many, in how long.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> float:
        """Let a request in at an instant and return 0, or return the seconds until one may come."""
        admitted = self._admitted
        while admitted and admitted[0] + self.seconds - now < ROUNDING:
            admitted.popleft()
        if len(admitted) < self.most:
            admitted.append(now)
            return 0.0
        return admitted[0] + self.seconds - now


class TokenBucket(RateLimit):
    """`size` requests at once, and `rate` per second after that (3,000 and 500 in Step Functions).

    Parameters
    ----------
    size, rate
        What the bucket holds, and how many tokens per second it is refilled with.
    """

    def __init__(self, size: int, rate: float) -> None:
        self.size = size
        self.rate = rate
        self._tokens = float(size)
        self._since: float | None = None

    def admit(self, now: float) -> float:
        """Let a request in at an instant and return 0, or return the seconds until one may come."""
        passed = 0.0 if self._since is None else max(now - self._since, 0.0)
        self._since = now
        self._tokens = min(self._tokens + passed * self.rate, float(self.size))
        if self._tokens > 1.0 - ROUNDING:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate


def rate_limit(value: str | RateLimit | None) -> RateLimit | None:
    """Return a rate limit, also from words.

    Parameters
    ----------
    value
        ``"100 per 60 s"`` (also ``"100/60s"``) or ``"3000 refilled 500/s"``; None for no limit.
    """
    if value is None or isinstance(value, RateLimit):
        return value
    bucket = BUCKET.fullmatch(str(value).strip())
    if bucket and int(bucket[1]) and float(bucket[2]):
        return TokenBucket(int(bucket[1]), float(bucket[2]))
    window = WINDOW.fullmatch(str(value).strip())
    if window and int(window[1]):
        try:
            return SlidingWindow(int(window[1]), positive_duration(window[2]))
        except Refused:
            pass
    raise ScenarioError(f"rate_limit must be words such as {EXAMPLES}, got {value!r}")
