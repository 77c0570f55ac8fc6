"""Batch means of one long run, against theory and coverage."""

import math

import numpy as np
import pytest

from asyncsim.experiment.statistics import (
    FEWEST,
    LEVEL,
    MOST,
    adjusted_ends,
    batch_means,
    correlation,
    mean_interval,
)


def ar1(rng, phi, n, runs=1):
    """Return stationary AR(1) series with mean 0."""
    noise = rng.normal(0, 1, (runs, n))
    x = np.empty((runs, n))
    x[:, 0] = noise[:, 0] / math.sqrt(1 - phi**2)
    for k in range(1, n):
        x[:, k] = phi * x[:, k - 1] + noise[:, k]
    return x


def covered(series, confidence=0.9):
    return np.mean([0 in batch_means(x, confidence=confidence).interval for x in series])


def test_intervals_of_an_independent_series_cover_at_least_as_often_as_they_say():
    """Nine in ten or more, and not nearly always: adjustments that it does not need cost little."""
    share = covered(np.random.default_rng(1).normal(0, 1, (1000, 600)))
    assert 0.9 - 4 * math.sqrt(0.9 * 0.1 / 1000) < share < 0.97


def daily_means(rng, runs, days, load=0.8, work=300.0):
    """Return the mean time in M/M/1 of each day's jobs, and how many they are, (runs, days)."""
    sums, jobs = np.zeros((2, runs, days))
    clock, left, row = np.zeros(runs), np.zeros(runs), np.arange(runs)
    for _ in range(int(days * 86_400 * load / work * 1.1)):  # Lindley's recursion, all runs at once
        gap = rng.exponential(work / load, runs)
        clock += gap
        left = np.maximum(left - gap, 0) + rng.exponential(work, runs)
        day = (clock // 86_400).astype(int)
        inside = day < days
        np.add.at(sums, (row[inside], day[inside]), left[inside])
        np.add.at(jobs, (row[inside], day[inside]), 1)
    return sums / jobs, jobs


def test_intervals_of_a_skewed_series_cover_the_truth():
    """M/M/1 at 0.8, 300 runs of 59 days: 95 % intervals hold the mean in at least 93 %.

    Rare busy days carry much of it: a plain t-interval of the same batches misses it on one side.
    """
    values, weights = daily_means(np.random.default_rng(9), 300, 59)
    found = [batch_means(v, w) for v, w in zip(values, weights, strict=True)]
    assert np.mean([1500.0 in one.interval for one in found]) >= 0.93
    plain = [mean_interval(one.means) for one in found]
    assert np.mean([one.high < 1500.0 for one in plain]) > 0.06
    assert np.mean([one.interval.high < 1500.0 for one in found]) < 0.045


def test_adjusted_ends_are_those_of_student_without_skewness():
    """Of values that lie evenly around their mean and are not positively correlated."""
    values = [1.0, 3.0, 2.0, 1.0, 3.0]
    plain = mean_interval(values)
    assert adjusted_ends(values, 0.95) == pytest.approx((plain.low, plain.high))


def test_adjusted_ends_reach_further_where_the_tail_is_and_where_values_are_correlated():
    """On the side of the few large values; to both sides if neighbours are alike."""
    skewed, plain = [1.0, 5.0, 1.0, 2.0, 1.0], mean_interval([1.0, 5.0, 1.0, 2.0, 1.0])
    low, high = adjusted_ends(skewed, 0.95)
    assert low > plain.low
    assert high - plain.mean > 1.5 * plain.half_width
    mirrored = adjusted_ends([-one for one in skewed], 0.95)
    assert mirrored == pytest.approx((-high, -low))
    alike = adjusted_ends([1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 0.95)
    apart = adjusted_ends([1.0, 3.0, 2.0, 1.0, 3.0, 2.0], 0.95)
    assert alike[0] < apart[0] < apart[1] < alike[1]


def test_intervals_of_a_dependent_series_cover_nearly_as_often():
    """AR(1) with φ = 0.8: intervals as if it were independent would cover half as often."""
    series = ar1(np.random.default_rng(2), 0.8, 2000, 400)
    share, error = covered(series), math.sqrt(0.9 * 0.1 / 400)
    assert share > 0.9 - 0.05 - 3 * error
    naive = np.mean([0 in mean_interval(x, 0.9) for x in series])
    assert naive < 0.55


def test_batches_grow_until_their_means_are_independent():
    """A strongly dependent series gets longer batches, and remaining correlation is a doubt."""
    rng = np.random.default_rng(3)
    sizes = [batch_means(x).size for x in ar1(rng, 0.95, 1200, 60)]
    plain = [batch_means(x).size for x in rng.normal(0, 1, (60, 1200))]
    assert np.mean(sizes) > np.mean(plain)
    drift = batch_means(rng.normal(0, 1, 1200) + np.arange(1200) / 100)
    assert len(drift.means) == FEWEST
    assert drift.chance < LEVEL
    assert "still correlated" in drift.doubts[0]


def test_what_fills_no_batch_is_left_out_at_the_beginning_and_counted():
    """The end is furthest from the warm-up; mean and size can be checked by hand."""
    found = batch_means([100.0, *[1.0, 3.0, 5.0, 7.0] * 9])
    assert (found.size, found.left_out) == (2, 1)
    assert found.means.tolist() == [2.0, 6.0] * 9
    assert found.interval.mean == 4.0
    assert "too few" in batch_means([1.0, 3.0, 5.0]).doubts[0]


def test_weights_count_waits_and_not_days():
    """A day with nine waits weighs nine times as much; a day with none may be NaN."""
    days, waits = [10.0, 20.0, math.nan, 5.0] * 10, [9, 1, 0, 4] * 10
    assert batch_means(days, waits).means.tolist() == [11.0, 5.0] * 10
    nothing = batch_means([math.nan] * 20 + [1.0, 2.0] * 10, [0] * 20 + [1] * 20)
    assert nothing.interval.n == 10


def test_the_correlation_is_that_of_theory():
    """For AR(1) it estimates φ; for independent values the chance is uniform."""
    rng = np.random.default_rng(4)
    lags = [correlation(x)[0] for x in ar1(rng, 0.6, 4000, 20)]
    assert abs(mean_interval(lags, 0.999).mean - 0.6) < 0.02
    chances = [correlation(rng.normal(5, 1, 20))[1] for _ in range(2000)]
    share = np.mean(np.array(chances) < LEVEL)
    assert abs(share - LEVEL) < 4 * math.sqrt(LEVEL * (1 - LEVEL) / 2000)
    assert correlation([3.0] * 20) == (0.0, 1.0)
    lag_1, chance = correlation(range(1, 9))  # Q = 7/42
    assert lag_1 == pytest.approx(1 - 7 / 84)
    assert chance < 0.01


def test_very_short_series_have_no_interval_and_say_so():
    """One value or none: NaN, and a doubt."""
    for values in ([], [4.0]):
        found = batch_means(values)
        assert math.isnan(found.interval.half_width)
        assert "too few" in found.doubts[0]
    assert len(batch_means(np.arange(1000.0) % 7).means) <= MOST
