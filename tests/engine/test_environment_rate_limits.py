"""Who is let in by a rate limit, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.engine.environment import admission
from asyncsim.model.server import SlidingWindow, rate_limit

WORDS = ["3 per 10 s", "1 per 60 s", "2 refilled 1/s", "5 refilled 0.3/s", "1 refilled 7/min"]


def admitting(words):
    """Return what admits by a limit in words."""
    return admission(rate_limit(words))


def drained(words, requests, now=0.0):
    """Return when the last of many simultaneous requests is admitted, each after its pause."""
    limit, began = admitting(words), now
    for _ in range(requests):
        while (pause := limit.admit(now)) > 0:
            now += pause
    return now - began


@pytest.mark.parametrize("began", [0.0, 79_200.3, 1e6])
@pytest.mark.parametrize(
    ("words", "requests", "seconds"),
    [
        ("3000 refilled 500/s", 10_000, 14.0),  # published for Step Functions
        ("1500 refilled 300/s", 10_000, 85 / 3),
        ("100 per 60 s", 100, 0.0),
        ("100 per 60 s", 101, 60.0),
        ("100/60s", 350, 180.0),
        ("5 per 1min", 6, 60.0),
    ],
)
def test_so_many_at_once_drain_in_so_long(words, requests, seconds, began):
    """A bucket of size B refilled at r takes (N - B) / r; a window starts over as it slides."""
    assert drained(words, requests, began) == pytest.approx(seconds, abs=1e-5)


@given(
    st.sampled_from(WORDS),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.3, 20.0]) | st.floats(0, 100), max_size=60),
)
def test_no_stretch_of_time_sees_more_than_the_limit(words, gaps):
    """In any window n at most; of a bucket, in any time t, B + r t at most; however they come."""
    rule, limit = rate_limit(words), admitting(words)
    now, came, admitted = 0.0, [], []
    for gap in gaps:
        now += gap
        came.append(now)
        if limit.admit(now) == 0.0:
            admitted.append(now)
    for i, first in enumerate(admitted):
        for count, last in enumerate(admitted[i:], 1):
            if isinstance(rule, SlidingWindow):
                assert count <= rule.most or last - first >= rule.seconds - 1e-8
            else:
                assert count <= rule.size + rule.rate.per_second * (last - first) + 1e-6
    assert admitted[:1] == came[:1]


@given(st.sampled_from(WORDS), st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_who_comes_when_told_is_let_in_and_who_comes_sooner_is_not(words, gaps):
    """The pause of a refused request is the right one."""
    limit, now = admitting(words), 0.0
    for gap in gaps:
        now += gap
        pause = limit.admit(now)
        if pause > 0:
            assert limit.admit(now + 0.9 * pause) > 0
            now += pause
            assert limit.admit(now) == 0.0


def test_a_bucket_holds_no_more_than_its_size():
    """A long pause does not save up."""
    limit = admitting("2 refilled 1/s")
    assert [limit.admit(0.0) > 0 for _ in range(3)] == [False, False, True]
    assert [limit.admit(1000.0) > 0 for _ in range(3)] == [False, False, True]


def test_without_a_limit_nobody_asks():
    """None admits by None."""
    assert admission(None) is None
