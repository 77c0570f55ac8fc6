"""Rate limits: how many requests a server takes before it answers 429, as a person describes them.

Who is let in at an instant is worked out in `asyncsim.engine.admission`.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from asyncsim.model.described import named
from asyncsim.model.quantities import Refused, count, format_duration, positive_duration
from asyncsim.model.rates import Rate, rate

WORDS = "must be words such as '100 per 60 s' or '3000 refilled 500/s'"
_WINDOW = re.compile(r"(\d{1,12})\s*(?:per|/)\s*(\S.*)")
_BUCKET = re.compile(r"(\d{1,12})\s+refilled\s+(\S.*)")


@frozen(field_transformer=named)
class SlidingWindow:
    """At most so many requests in any time of a given length (a connector of K2: 100 in 60 s).

    Parameters
    ----------
    most
        How many requests.
    seconds
        In how long.

    Examples
    --------
    >>> str(SlidingWindow(100, "1min"))
    '100 per 1min'
    """

    most: int = field(converter=count)
    seconds: float = field(converter=positive_duration)

    def __str__(self) -> str:
        length = format_duration(self.seconds)
        return f"{self.most} per {length if isinstance(length, str) else f'{length!r} s'}"


@frozen(field_transformer=named)
class TokenBucket:
    """So many requests at once, and after that at a rate (Step Functions: 3,000, and 500/s).

    Parameters
    ----------
    size
        Tokens that the bucket holds; it is full at first, and a request takes one.
    rate
        Tokens it is refilled with, such as ``"500/s"``.

    Examples
    --------
    >>> str(TokenBucket(3000, "500/s"))
    '3000 refilled 500/s'
    """

    size: int = field(converter=count)
    rate: Rate = field(converter=rate)

    def __str__(self) -> str:
        return f"{self.size} refilled {self.rate}"


RateLimit = SlidingWindow | TokenBucket


def rate_limit(value: str | RateLimit | None) -> RateLimit | None:
    """Return a rate limit, read from words.

    Parameters
    ----------
    value
        ``"100 per 60 s"`` (also ``"100/60s"``) or ``"3000 refilled 500/s"``; None for no limit.

    Raises
    ------
    Refused
        If the words say neither.

    Examples
    --------
    >>> rate_limit("100 per 60 s")
    SlidingWindow(most=100, seconds=60.0)
    """
    if value is None or isinstance(value, RateLimit):
        return value
    if isinstance(value, str):
        try:
            if bucket := _BUCKET.fullmatch(value.strip()):
                return TokenBucket(count(int(bucket[1])), rate(bucket[2]))
            if window := _WINDOW.fullmatch(value.strip()):
                return SlidingWindow(count(int(window[1])), positive_duration(window[2]))
        except Refused:
            pass
    raise Refused(WORDS)
