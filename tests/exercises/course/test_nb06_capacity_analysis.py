"""Days, not waits, are the independent observations."""

import numpy as np

from asyncsim.exercises.course import nb06_capacity_analysis as book


def test_one_long_run_is_not_enough():
    """The spread of daily means is many times the standard error of one day."""
    observed, estimated, ratio = book.spread_ratio()
    assert ratio == observed / estimated
    assert ratio > book.FAR_TOO_NARROW
    assert book.long_run()[0] == "c"


def test_the_average_of_averages_is_another_number():
    """The mean weighted by waits is that of all; the average of averages is far from it."""
    quiet, busy = book.two_days()
    weighed = np.average([quiet.mean(), busy.mean()], weights=[len(quiet), len(busy)])
    assert np.isclose(book.AVERAGES.checker.expected(), weighed)
    assert quiet.mean() < book.both() < 0.7 * book.AVERAGES.checker.expected()
