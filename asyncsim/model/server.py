"""The workflow server: its workers, what noticing costs them, and how finishes are answered.

Rate limits: how many requests a server takes before it answers 429, as a person describes them.

Who is let in at an instant is worked out in `asyncsim.engine.rate_limiter`.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from asyncsim.model.units import (
    InvalidValue,
    Rate,
    count,
    duration,
    format_duration,
    one_of,
    operations,
    optional_duration,
    positive_duration,
    rate,
    servers,
)
from asyncsim.model.validation import name_errors

WORDS = "must be words such as '100 per 60 s' or '3000 refilled 500/s'"
_WINDOW = re.compile(r"(\d{1,12})\s*(?:per|/)\s*(\S.*)")
_BUCKET = re.compile(r"(\d{1,12})\s+refilled\s+(\S.*)")


@frozen(field_transformer=name_errors)
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


@frozen(field_transformer=name_errors)
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
        except InvalidValue:
            pass
    raise InvalidValue(WORDS)


EARLY = ("reject", "buffer", "ignore")
LATE_OR_DUPLICATE = ("reject", "accept")
UNKNOWN = ("reject", "ignore")


def early_policy(value: str) -> str:
    """Return what an early finish gets, checked."""
    return one_of(value, EARLY)


def late_policy(value: str) -> str:
    """Return what a late or second finish gets, checked."""
    return one_of(value, LATE_OR_DUPLICATE)


def unknown_policy(value: str) -> str:
    """Return what a finish of an unknown number gets, checked."""
    return one_of(value, UNKNOWN)


@frozen(field_transformer=name_errors)
class FinishPolicy:
    """How the server answers a finish that is not the first one in time.

    None of these ever resumes a step twice or loses a record: the policy only decides what the
    sender is told, and whether an early finish is kept.

    >>> sim.FinishPolicy(early="buffer", buffer_for="1min").buffer_for
    60.0

    Parameters
    ----------
    early
        Before the wait is armed: ``"reject"`` (an error, so the sender may try again),
        ``"buffer"`` (kept, and applied when the wait is armed) or ``"ignore"`` (accepted with
        thanks, and lost).
    buffer_for
        How long an early finish is kept; None keeps it until the wait is armed.
    duplicate
        A second finish of a number: ``"reject"`` or ``"accept"`` (the sender is told all is well).
    late
        After a time-out or a cancellation: ``"reject"`` or ``"accept"``.
    unknown
        A number no wait ever had: ``"reject"`` or ``"ignore"``.
    """

    early: str = field(default="reject", converter=early_policy)
    buffer_for: float | None = field(default=None, converter=optional_duration)
    duplicate: str = field(default="reject", converter=late_policy)
    late: str = field(default="reject", converter=late_policy)
    unknown: str = field(default="reject", converter=unknown_policy)


def a_policy(value: FinishPolicy) -> FinishPolicy:
    """Return a `FinishPolicy`, checked."""
    if not isinstance(value, FinishPolicy):
        raise InvalidValue("must be a FinishPolicy(early=…, duplicate=…)")
    return value


@frozen(field_transformer=name_errors)
class WorkflowServer:
    """Identical workers over one FIFO queue. A job of no duration needs no worker.

    >>> sim.WorkflowServer(workers=4, poll_work="10ms", callback_work="20ms").poll_work
    0.01

    Parameters
    ----------
    workers
        Number of worker threads.
    poll_work, callback_work
        Worker time of one check and of handling one callback.
    policy
        How finishes are answered; see `FinishPolicy`.
    finish_limit
        How many callbacks are let in: ``"100 per 60 s"`` or ``"3000 refilled 500/s"``; None for
        all. One too many is refused as it arrives (HTTP 429), before a worker is needed: it is a
        request, and costs nothing else. Its sender tries again by the strategy's `retries`.
    check_operations, callback_operations
        Database operations of one check, and of one callback that arrives; 0 or more. The default
        is a convention of this model, not a measurement: the record of the wait is read, and
        the next check or the answer is written. `asyncsim.profiles` shows what was measured in
        other engines.

    Examples
    --------
    >>> WorkflowServer(finish_limit="3000 refilled 500/s").finish_limit.size
    3000
    >>> WorkflowServer(check_operations=1, callback_operations=12).callback_operations
    12
    """

    workers: int = field(default=4, converter=servers)
    poll_work: float = field(default=0.0, converter=duration)
    callback_work: float = field(default=0.0, converter=duration)
    policy: FinishPolicy = field(default=FinishPolicy(), converter=a_policy)
    finish_limit: RateLimit | None = field(default=None, converter=rate_limit)
    check_operations: float = field(default=2, converter=operations)
    callback_operations: float = field(default=2, converter=operations)
