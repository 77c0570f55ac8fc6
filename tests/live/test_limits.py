"""Rate limits, on a clock of the test's own."""

import pytest

import asyncsim as sim
from asyncsim.live.limits import SlidingWindow, TokenBucket, rate_limit


def drained(limit, requests):
    """Return when the last of many simultaneous requests is let in, each coming when told to."""
    now = 0.0
    for _ in range(requests):
        while (pause := limit.admit(now)) > 0:
            now += pause
    return now


@pytest.mark.parametrize(
    ("words", "requests", "seconds"),
    [
        ("3000 refilled 500/s", 10_000, 14.0),  # the figures of Step Functions in FACTS
        ("1500 refilled 300/s", 10_000, 85 / 3),
        ("100 per 60 s", 100, 0.0),
        ("100 per 60 s", 101, 60.0),
        ("100/60s", 350, 180.0),
        ("5 per 1min", 6, 60.0),
    ],
)
def test_so_many_at_once_drain_in_so_long(words, requests, seconds):
    """A bucket of size B refilled at r takes (N - B) / r; a window starts over as it slides."""
    assert drained(rate_limit(words), requests) == pytest.approx(seconds, abs=1e-6)


def test_a_window_never_holds_more_than_it_may():
    """In no 60 seconds more than three are let in, however they come."""
    limit, admitted = SlidingWindow(3, 60.0), []
    for k in range(2000):
        now = k * 7.3 % 911 + (k // 125) * 911
        if limit.admit(now) == 0:
            admitted.append(now)
    admitted.sort()
    assert all(b - a >= 60.0 for a, b in zip(admitted, admitted[3:], strict=False))


def test_a_bucket_holds_no_more_than_its_size():
    """A long pause does not save up."""
    limit = TokenBucket(2, 1.0)
    assert [limit.admit(0.0) > 0 for _ in range(3)] == [False, False, True]
    assert [limit.admit(1000.0) > 0 for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    "words",
    ["", "fast", "0 per 60 s", "100", "100 per", "-1/60s", "100 per 0s", "0 refilled 5/s", 7],
)
def test_other_words_are_refused(words):
    """With examples of what would be right."""
    with pytest.raises(sim.ScenarioError, match="rate_limit must be words such as '100 per 60 s'"):
        rate_limit(words)
