"""Quantiles and their intervals, against enumeration and coverage."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import asyncsim as sim
from asyncsim.experiment.statistics import quantile, quantile_interval, replicated_quantile


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.floats(0.01, 0.99),
)
def test_a_quantile_is_that_of_numpy(values, q):
    """Linear interpolation between neighbours."""
    assert quantile(values, q) == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-6)


def test_a_quantile_may_be_infinite_but_is_never_nan():
    """Where waits never resume the upper quantiles are infinite, the lower ones are not."""
    values = [1.0, 2.0, 3.0, math.inf]
    assert quantile(values, 0.5) == 2.5
    assert quantile(values, 1 / 3) == 2.0
    assert quantile(values, 0.9) == math.inf
    assert quantile([math.inf, math.inf], 0.5) == math.inf
    assert math.isnan(quantile([], 0.5))


@given(st.integers(1, 200), st.floats(0.02, 0.98), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_ends_are_order_statistics_that_cover_enough_and_no_further_ones_do(n, q, confidence):
    """Its coverage is the binomial probability of its ranks; each tail is as heavy as allowed."""
    found = quantile_interval(np.arange(1, n + 1), q, confidence)
    law, tail = stats.binom(n, q), (1 - confidence) / 2 + 1e-9
    r = 0 if found.low == -math.inf else int(found.low)
    s = n + 1 if found.high == math.inf else int(found.high)
    assert found.coverage == pytest.approx(law.cdf(s - 1) - law.cdf(r - 1), abs=1e-9)
    assert found.coverage >= confidence - 1e-9
    assert law.cdf(r - 1) <= tail
    assert law.sf(s - 1) <= tail
    assert law.cdf(r) > tail - 2e-9
    assert s == 1 or law.sf(s - 2) > tail - 2e-9


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_intervals_cover_the_true_quantile_as_often_as_they_say(q):
    """Of 2000 intervals from 90 exponential values, within four standard errors."""
    rng = np.random.default_rng(8)
    truth = -math.log(1 - q)
    found = [quantile_interval(rng.exponential(1, 90), q) for _ in range(2000)]
    expected = found[0].coverage
    share = np.mean([truth in one for one in found])
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000)


@pytest.mark.parametrize(("q", "n"), [(0.95, 72), (0.99, 368), (0.05, 72), (0.5, 6)])
def test_too_few_values_have_an_end_at_infinity_and_say_how_many_would_do(q, n):
    """The number named is the first that has both ends."""
    short = quantile_interval(np.arange(n - 1), q)
    assert f"{n - 1} values are too few, {n} would do" in short.note
    assert math.inf in (short.high, -short.low)
    assert short.note in str(short)
    enough = quantile_interval(np.arange(n), q)
    assert enough.note == ""
    assert math.isfinite(enough.low)
    assert math.isfinite(enough.high)


def test_replications_give_an_interval_that_a_herd_does_not_fool():
    """Equal values within a run are one observation, not a hundred: steps of shares are wide."""
    rng = np.random.default_rng(6)
    covered = pooled = 0
    for _ in range(300):
        runs = [np.full(100, rng.normal(50, 5)) for _ in range(10)]
        covered += 50 in replicated_quantile(runs, 0.5, 0.9)
        pooled += 50 in quantile_interval(np.concatenate(runs), 0.5, 0.9)
    assert covered / 300 > 0.9 - 4 * math.sqrt(0.09 / 300)
    assert pooled / 300 < 0.6


@pytest.mark.parametrize("seed", range(20))
def test_the_ends_of_woodruff_s_interval_are_rounded_outwards(seed):
    """The values next to q ± h on the outside: rounded inwards it would be a value too narrow."""
    rng, q = np.random.default_rng(seed), 0.7
    runs = rng.permutation(120).reshape(6, 20).astype(float)  # a value is its own rank, from 0
    found = replicated_quantile(list(runs), q)
    shares = np.mean(runs <= found.value, axis=1)
    half = stats.t.ppf(0.975, 5) * shares.std(ddof=1) / math.sqrt(6)
    low, high = (q - half) * 119, (q + half) * 119
    assert high < 119
    assert low - 1 < found.low < low  # neither is a whole number by chance
    assert high < found.high < high + 1


def test_infinite_values_are_values():
    """Where more are infinite than the quantile leaves out, it is; empty replications are none."""
    runs = [[1.0, 2.0], [], [1.0, math.inf], *[[3.0, 4.0]] * 6]
    found = replicated_quantile(runs, 0.9)
    assert found.high == math.inf
    assert found.n == 8
    assert replicated_quantile([[1.0, math.inf]] * 5, 0.9).value == math.inf
    assert replicated_quantile([[1.0, 2.0, math.inf]] * 5, 0.4).high == 2.0
    assert math.isnan(replicated_quantile([[], []], 0.9).value)
    assert "no interval" in replicated_quantile([[1.0, 2.0]], 0.9).note


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 1), "q must be between 0 and 1, got 1"),
        (([1.0], "0.5"), "q must be between 0 and 1, got '0.5'"),
        (([1.0], 0.5, 95), "confidence must be between 0 and 1, got 95"),
        (([1.0], 0.5, "95 %"), "confidence must be between 0 and 1, got '95 %'"),
        (([1.0, math.nan], 0.5), "values must not hold NaN"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    """The message has the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        quantile_interval(*arguments)


@pytest.mark.parametrize(("runs", "size", "q"), [(10, 20, 0.95), (30, 12, 0.9), (10, 200, 0.99)])
def test_intervals_cover_where_replications_have_few_values(runs, size, q):
    """The mean of their quantiles would lean to the middle, and cover half as often."""
    rng = np.random.default_rng(3)
    truth = -math.log1p(-q)
    found = [replicated_quantile(list(rng.exponential(1.0, (runs, size))), q) for _ in range(400)]
    assert all(one.low <= one.value <= one.high for one in found)
    covered = np.mean([truth in one for one in found])
    assert covered > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 400)
    assert np.mean([one.high < math.inf for one in found]) > 0.8


def test_a_quantile_beyond_the_values_has_no_upper_end():
    """Two hundred values are too few for the 99 % quantile, and the note says so."""
    rng = np.random.default_rng(3)
    found = replicated_quantile(list(rng.exponential(1.0, (10, 20))), 0.995)
    assert found.high == math.inf
    assert "no upper end: give more replications, or longer ones" in found.note
