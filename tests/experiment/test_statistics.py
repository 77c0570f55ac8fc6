"""Intervals over replications."""

import math

import numpy as np
import pytest
from scipy import stats

from asyncsim.errors import ScenarioError
from asyncsim.experiment.statistics import (
    mean_interval,
    paired_interval,
    ratio_values,
    share_interval,
    student_t,
)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("df", [1, 4, 30])
def test_the_quantile_is_student_s(confidence, df):
    """The two-sided quantile equals the one of scipy.stats."""
    assert student_t(confidence, df) == pytest.approx(stats.t.ppf((1 + confidence) / 2, df))


def test_interval_covers_the_true_mean_as_often_as_it_says():
    """Of 2000 intervals from 8 normal values, 90 % cover the mean, within 5 standard errors."""
    rng = np.random.default_rng(3)
    covered = sum(10.0 in mean_interval(rng.normal(10, 3, 8), 0.9) for _ in range(2000))
    assert abs(covered / 2000 - 0.9) < 5 * math.sqrt(0.9 * 0.1 / 2000)


def test_common_noise_drops_out_of_paired_differences():
    """A constant difference under shared noise has an interval of no width."""
    noise = np.random.default_rng(1).normal(0, 100, 10)
    interval = paired_interval(noise, noise + 5)
    assert interval.mean == pytest.approx(5)
    assert interval.half_width == pytest.approx(0, abs=1e-10)


def test_replications_without_a_figure_are_left_out_and_not_counted():
    """NaN is left out: mean and n are those of the rest."""
    interval = mean_interval([1.0, math.nan, 3.0])
    assert (interval.mean, interval.n) == (2.0, 2)


def test_one_replication_has_no_interval():
    """The width of an interval from one value is unknown, not zero."""
    interval = mean_interval([4.0])
    assert interval.mean == 4.0
    assert math.isnan(interval.half_width)
    assert math.isnan(mean_interval([]).mean)


@pytest.mark.parametrize("confidence", [0, 1, 95, "x", None, True, math.nan])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    """Confidence is a probability, not a percentage."""
    for values in ([1.0, 2.0], []):
        with pytest.raises(
            ScenarioError, match=f"confidence must be between 0 and 1, got {confidence!r}"
        ):
            mean_interval(values, confidence)


def test_a_ratio_of_sums_is_the_mean_of_its_values():
    """Ten of one and ninety of three are 25 on average, not 20; parts of weight 0 drop out."""
    assert ratio_values([10.0, 90.0, 0.0], [1.0, 3.0, 0.0]).tolist() == [17.5, 32.5]
    assert not len(ratio_values([0.0], [0.0]))


def test_none_of_thirty_proves_less_than_no_spread_suggests():
    """The exact interval reaches 1 - 0.025^(1/30); without counts anything may be."""
    assert share_interval([0, 0, 0], [10, 10, 10], 0.95) == (
        0.0,
        pytest.approx(1 - 0.025 ** (1 / 30)),
    )
    assert share_interval([0], [0], 0.95) == (0.0, 1.0)
