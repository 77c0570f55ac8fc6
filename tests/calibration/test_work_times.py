"""Workers are counted by what is worked on at one time; waiting is not work."""

import numpy as np
import pandas as pd
import pytest

from asyncsim.calibration.findings import Settings
from asyncsim.calibration.work_times import busiest, fit_server


def test_the_busiest_moment_counts_who_ends_as_gone():
    """Two overlap; one that begins as another ends takes its place; zero time is not work."""
    start = pd.Series([0.0, 5.0, 10.0, 20.0, np.nan])
    assert busiest(start, pd.Series([10.0, 15.0, 12.0, 20.0, 3.0])) == 2
    assert busiest(start[:0], start[:0]) == 0


@pytest.mark.parametrize(
    ("queued", "started", "given", "workers", "word"),
    [
        ([0, 0, 0], [0, 0, 10], None, 2, "steps waited"),
        ([0, 0, 10], [0, 0, 10], None, 4, "no step ever waited"),
        ([np.nan] * 3, [0, 0, 10], None, 4, "does not say how long"),
        ([np.nan] * 3, [np.nan] * 3, None, 4, "cannot tell"),
        ([0, 0, 0], [0, 0, 10], 7, 7, None),
    ],
)
def test_workers_are_a_lower_bound_unless_steps_waited(queued, started, given, workers, word):
    """Three steps of ten seconds on two workers; each guess says why."""
    steps = pd.DataFrame({"queued": queued, "started": started}, dtype=float)
    ended = [10.0, 10.0, 20.0]
    steps = steps.assign(case=["1", "2", "3"], step="a", ended=ended, first=0.0, system=None)
    steps = steps.assign(armed=np.nan, resumed=np.nan, completed=np.nan)
    fit = fit_server(steps, ["a"], given, Settings(np.random.default_rng(1)))
    assert fit.server.workers == workers
    meanings = [gap.meaning for gap in fit.gaps if gap.what == "workers"]
    assert len(meanings) == (word is not None)
    assert all(word in meaning for meaning in meanings)
