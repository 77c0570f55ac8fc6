"""Latency of one twin, and a second finish."""

from asyncsim.exercises.course import nb03_fire_the_callback as book


def test_twin_latency_by_counting():
    """The first check after 12:20:00 of a grid that starts at 08:07:30."""
    at, done = (8 * 60 + 7) * 60 + 30, (12 * 60 + 20) * 60
    while at < done:
        at += 15 * 60
    assert at - done == book.LATE_TWIN.checker.expected()


def test_the_batch_comes_second():
    """In a live session: two deliveries, one resumption."""
    letter, measured = book.second_finisher()
    assert letter == "b"
    assert "duplicate" in measured
