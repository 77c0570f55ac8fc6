"""The rate limit of an endpoint, on the real clock."""

import threading

import pytest

from asyncsim.live.http_server import Problem
from asyncsim.live.rest import RateLimiter
from asyncsim.model.server import rate_limit


def test_a_request_above_the_limit_gets_the_time_to_wait():
    """As 429, with whole seconds in Retry-After."""
    gate = RateLimiter(rate_limit("2 per 60 s"))
    gate()
    gate()
    with pytest.raises(Problem, match=r"try again in (60\.0|59\.\d) s") as caught:
        gate()
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] in ("60", "61")


def test_without_a_limit_everybody_is_let_in():
    """However many."""
    gate = RateLimiter(None)
    for _ in range(1000):
        gate()


def test_requests_on_many_threads_are_counted_together():
    """Of 8 x 200 at once 100 are let in, and not one more."""
    gate, admitted = RateLimiter(rate_limit("100 per 1h")), []

    def knock():
        for _ in range(200):
            try:
                gate()
                admitted.append(1)
            except Problem:
                pass

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 100
