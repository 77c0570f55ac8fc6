"""Where a warm-up ends, against definitions written out and theory."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import asyncsim as sim
from asyncsim.experiment import theory
from asyncsim.studies.steady_state import (
    CUT_LEVEL_OF_ONE,
    TREND_LEVEL,
    differs,
    moving_average,
    mser5,
    trend,
)


@given(arrays(float, st.integers(30, 130), elements=st.floats(-100, 100, width=16)))
def test_the_cut_has_the_smallest_statistic_by_its_definition(values):
    """No cut that leaves five batches has a smaller MSER, nor an earlier one the same."""
    found = mser5(values)
    m = len(values) // 5
    z = [float(np.mean(values[5 * i : 5 * i + 5])) for i in range(m)]
    brute = []
    for d in range(m - 4):
        rest = z[d:]
        mean = sum(rest) / len(rest)
        brute.append(sum((x - mean) ** 2 for x in rest) / len(rest) ** 2)
    np.testing.assert_allclose(found.statistic, brute, rtol=1e-9, atol=1e-9)
    d = found.truncated // 5
    assert brute[d] <= min(brute) + 1e-9
    assert found.truncated % 5 == 0
    assert bool(found.doubts) == (m < 10 or d > m / 2 or d == m - 5)


def test_a_plain_warm_up_is_found():
    """Where a ramp of 20 values goes over into noise, the cut is at its end, or a batch away."""
    noise = np.random.default_rng(3).normal(0, 0.5, (50, 200))
    ramp = np.minimum(np.arange(200) / 20, 1) * 10
    assert abs(mser5((noise + ramp).mean(axis=0)).truncated - 20) <= 5


def test_an_empty_queue_fills_and_the_cut_brings_the_mean_nearer_to_theory():
    """M/M/1, ρ = 0.8, started empty: 400 jobs are too few to forget it; after the cut they do."""
    rng = np.random.default_rng(7)
    runs, jobs = 2000, 400
    step = np.zeros((runs, jobs))  # Lindley: W(k+1) = max(W(k) + S(k) - A(k+1), 0)
    step[:, 1:] = rng.exponential(1, (runs, jobs - 1)) - rng.exponential(1 / 0.8, (runs, jobs - 1))
    walk = np.cumsum(step, axis=1)
    waits = (walk - np.minimum.accumulate(walk, axis=1)).mean(axis=0)
    found, truth = mser5(waits), theory.mg1_wait(0.8, 1.0)
    assert not found.doubts
    assert found.truncated > 0
    cut, whole = waits[found.truncated :].mean(), waits.mean()
    assert abs(cut - truth) < abs(whole - truth) / 2


def test_a_series_that_never_settles_is_doubted():
    """A straight line has no steady state: the best cut is as late as may be."""
    found = mser5(np.arange(200.0))
    assert found.truncated == 175
    assert "no steady state" in found.doubts[0]


@pytest.mark.parametrize(("n", "doubt"), [(0, "0 observations"), (29, "29"), (45, "9 batches")])
def test_too_few_observations_are_doubted(n, doubt):
    """Below ten batches the minimum is doubted, below six none is looked for."""
    found = mser5(np.random.default_rng(0).normal(0, 1, n))
    assert doubt in found.doubts[0]
    assert "at least" in found.doubts[0]
    assert found.truncated == 0 or n == 45


@given(arrays(float, st.integers(1, 30), elements=st.floats(-100, 100, width=16)), st.data())
def test_the_moving_average_is_welch_s_definition(values, data):
    """Of the values around each, as many on either side; fewer at the beginning."""
    w = data.draw(st.integers(0, len(values) - 1))
    expected = [np.mean(values[i - min(i, w) : i + min(i, w) + 1]) for i in range(len(values) - w)]
    np.testing.assert_allclose(moving_average(values, w), expected, atol=1e-9)


def test_cycles_without_a_value_are_left_out_of_the_moving_average():
    """NaN neither spreads nor counts."""
    found = moving_average([1.0, math.nan, 3.0, math.nan, math.nan], 1)
    np.testing.assert_allclose(found, [1.0, 2.0, 3.0, 3.0])
    assert math.isnan(moving_average([1.0, math.nan], 0)[1])


@pytest.mark.parametrize("window", [-1, 3, 1.5, True])
def test_a_wrong_window_is_named(window):
    """It is a whole number below the number of values."""
    with pytest.raises(sim.ScenarioError, match=re.escape("window must be")):
        moving_average([1.0, 2.0, 3.0], window)


def test_a_trend_is_found_and_none_where_there_is_none():
    """Of independent series about 1 % seem to have one; a rise by one deviation is seen."""
    rng = np.random.default_rng(5)
    alarms = sum(trend(rng.normal(10, 1, 60))[1] < TREND_LEVEL for _ in range(2000))
    assert abs(alarms / 2000 - TREND_LEVEL) < 4 * math.sqrt(TREND_LEVEL / 2000)
    slope, chance = trend(rng.normal(0, 1, 100) + np.arange(100) / 10)
    assert chance < TREND_LEVEL
    assert slope == pytest.approx(0.1, rel=0.3)


def test_constants_have_no_trend_and_short_series_none_that_is_known():
    """Rounding has no slope."""
    assert trend(7.0 + 1e-9 * np.arange(60)) == (0.0, 1.0)
    assert trend(np.arange(9.0)) == (0.0, 1.0)


def test_a_peak_of_chance_is_no_warm_up_at_the_level_of_one_run_but_a_real_one_is():
    """Skewed noise, cut where MSER-5 says: at 1 % more often than at 0.01 %; a long ramp always."""
    rng = np.random.default_rng(4)
    noise = rng.exponential(1.0, (400, 60)) + np.repeat(rng.exponential(1.5, (400, 12)), 5, axis=1)
    cuts = [mser5(series).truncated for series in noise]
    usual, strict = (
        np.mean([differs(one, cut, level) for one, cut in zip(noise, cuts, strict=True)])
        for level in (0.01, CUT_LEVEL_OF_ONE)
    )
    assert strict < 0.02 < usual
    ramp = np.minimum(np.arange(60) / 10, 1) * 100
    assert all(differs(one + ramp, 10, CUT_LEVEL_OF_ONE) for one in noise)
