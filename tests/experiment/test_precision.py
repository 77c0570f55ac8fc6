"""The number of replications for a target, against the rule of the paper written out."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.experiment.precision import Precision, PrecisionTarget, target
from asyncsim.experiment.statistics import mean_interval


def by_the_book(values, wanted, first, k):
    """Return the number of replications, and how many were looked at; None if there is none.

    The rule as Hoad, Robinson and Davies (2010) give it: at each n the interval of the first n
    values; if it is narrow enough at n and at all of the next k·max(n, 100)/100, n it is.
    """
    for n in range(first, len(values) + 1):
        ahead = k * max(n, 100) // 100
        shares = []
        for m in range(n, n + ahead + 1):
            if m > len(values):
                return None
            found = mean_interval(values[:m], 0.95)
            shares.append(found.half_width / abs(found.mean))
        if all(share <= wanted for share in shares):
            return n, n + ahead
    return None


def fed(values, rule):
    """Return number and values looked at, or None."""
    for k, value in enumerate(values, start=1):
        rule.add(value)
        if rule.enough:
            return rule.number, k
    return None


@given(
    st.lists(st.floats(1, 20), min_size=3, max_size=60),
    st.sampled_from([0.02, 0.1, 0.3]),
    st.integers(3, 6),
    st.integers(0, 6),
)
def test_the_number_is_that_of_the_rule_written_out(values, wanted, first, k):
    """Fed value by value it stops where the whole search over prefixes does."""
    rule = Precision(PrecisionTarget(share=wanted), first=first, look_ahead=k)
    assert fed(values, rule) == by_the_book(values, wanted, first, k)


def test_beyond_a_hundred_more_are_looked_at():
    """With 2k values of spread the look-ahead is 5 per cent of the number."""
    values = np.random.default_rng(4).normal(10, 5, 2000)
    number, looked_at = fed(values, Precision(PrecisionTarget(share=0.03)))
    assert number > 200
    assert looked_at == number + 5 * number // 100
    assert (number, looked_at) == by_the_book(values, 0.03, 5, 5)


def test_the_number_is_what_theory_says():
    """For normal values with coefficient of variation v it is near (1.96 v / wanted)²."""
    rng = np.random.default_rng(9)
    found = [
        fed(rng.normal(10, 3, 400), Precision(PrecisionTarget(share=0.05)))[0] for _ in range(40)
    ]
    interval = mean_interval(found, 0.999)
    expected = (1.96 * 0.3 / 0.05) ** 2  # 138; stopping early by chance makes it a little less
    assert 0.8 * expected < interval.high
    assert interval.low < 1.1 * expected


@pytest.mark.parametrize(("wanted", "k"), [(0.1, 0), (0.1, 5)])
def test_looking_ahead_guards_coverage(wanted, k):
    """Of the intervals at the stop 90 % at least cover the mean with look-ahead (binomial)."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        values = rng.exponential(10, 900)
        _, looked_at = fed(values, Precision(PrecisionTarget(share=wanted), look_ahead=k))
        covered += 10 in mean_interval(values[:looked_at])
    if k:  # stopping costs a little of the 95 %; three standard errors are 4.5 %
        assert covered / 400 > 0.9 - 3 * math.sqrt(0.9 * 0.1 / 400)
    else:
        assert covered / 400 < 0.95


def test_so_many_more_are_surely_needed():
    """`still` never promises too much, and at the last moment it is exact."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        rule, promised = Precision(PrecisionTarget(share=0.1)), []
        for value in rng.normal(10, 3, 500):
            promised.append(len(rule.steps) + rule.still)
            rule.add(value)
            if rule.enough:
                break
        assert max(promised) <= len(rule.steps)
        assert promised[-1] == len(rule.steps)
        assert rule.still == 0


def test_an_absolute_target_goes_by_the_half_width():
    """Values around zero have no share, but an interval."""
    values = np.random.default_rng(1).normal(0, 1, 3000)
    number, _ = fed(values, Precision(PrecisionTarget(within=0.1)))
    assert mean_interval(values[:number]).half_width <= 0.1
    assert mean_interval(values[: number - 1]).half_width > 0.1


def test_a_replication_without_the_figure_confirms_nothing():
    """NaN is a replication, but no value: statistics stand still."""
    rule = Precision(PrecisionTarget(share=0.5))
    for value in [10.0, math.nan, 10.0, 10.0, 10.0, 10.0]:
        rule.add(value)
    assert (rule.known, rule.number) == (5, 6)
    for _ in range(20):
        rule.add(math.nan)
    assert not rule.enough
    for _ in range(5):
        rule.add(10.0)
    assert rule.enough


def test_a_share_of_nothing_is_refused_and_the_way_out_named():
    """A mean of zero has no share; values that are all zero are known."""
    rule = Precision(PrecisionTarget(share=0.1), name="gap")
    with pytest.raises(sim.ScenarioError, match=r"mean of gap is zero .* within='5s'"):
        fed([1.0, -1.0, 0.0, 1.0, -1.0, 0.0], rule)
    assert fed([0.0] * 10, Precision(PrecisionTarget(share=0.1))) == (5, 10)


@pytest.mark.parametrize(
    ("values", "shortfall"),
    [
        ([math.nan] * 3, "no replication had it"),
        ([10.0] * 6, "reached after 5, but not confirmed"),
        ([1.0, 9.0, 4.0, 5.0, 2.0, 8.0], "polling: ± 69"),
        ([0.0, 1.0, 0.0, 0.0, 0.0, 0.0], "give within= instead"),
    ],
)
def test_the_shortfall_is_reported(values, shortfall):
    """In words, with the way out where a share makes no sense."""
    rule = Precision(PrecisionTarget(share=0.01))
    for value in values:
        rule.add(value)
    assert shortfall in rule.shortfall("polling", "mean_latency", "s")


@pytest.mark.parametrize(
    ("precision", "within", "unit", "message"),
    [
        (None, None, "s", "give precision (a share of the mean, such as 0.05) or within"),
        (0.1, "5s", "s", "one of them; got precision=0.1, within='5s'"),
        (1.5, None, "s", "precision must be a share between 0 and 1, got 1.5; a half-width"),
        (None, "5", "s", "within must be a duration"),
        (None, "5s", "1", "within must be a finite number, got '5s'"),
        (None, -1, "jobs", "within must be positive, got -1"),
        (None, True, "s", "within must be a duration"),
    ],
)
def test_a_wrong_target_is_named(precision, within, unit, message):
    """With the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        target(precision, within, unit)


def test_a_target_is_read_in_the_unit_of_the_figure():
    """Durations where the metric is a time, numbers elsewhere."""
    assert target(None, "5min", "s") == PrecisionTarget(within=300.0)
    assert target(None, 5, "jobs") == PrecisionTarget(within=5.0)
    assert target(0.05, None, "s") == PrecisionTarget(share=0.05)
