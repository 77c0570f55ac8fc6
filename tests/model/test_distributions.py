"""Samples of every distribution have its mean, its standard deviation and its survival function."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from asyncsim.errors import ScenarioError
from asyncsim.model import distributions as durations
from asyncsim.model.distributions import (
    DISTRIBUTIONS,
    Duration,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    Lognormal,
    as_distribution,
)
from asyncsim.model.process import Step
from asyncsim.model.units import InvalidValue

N = 200_000
CONTINUOUS = {
    "exponential": durations.exponential("10min"),
    "lognormal": durations.lognormal(mean="150ms", sd="100ms"),
    "lognormal, low": durations.lognormal(10, 5, low=8),
    "lognormal, high": durations.lognormal(10, 5, high=15),
    "lognormal, both": durations.lognormal(10, 20, low=2, high=30),
    "uniform": durations.uniform("1min", "5min"),
    "gamma": durations.gamma(60, 20),
    "gamma, spread": durations.gamma(60, 80),
}
ALL = CONTINUOUS | {
    "fixed": durations.fixed("2s"),
    "empirical": durations.empirical([1.0, 2.0, 2.0, 7.5]),
}
distributions = pytest.mark.parametrize("distribution", ALL.values(), ids=ALL.keys())


@distributions
def test_the_sample_has_the_mean_and_sd_of_the_distribution(distribution):
    """Mean and sd of a sample lie within five standard errors of the distribution's own."""
    sample = distribution.sample(np.random.default_rng(1), N)
    assert sample.shape == (N,)
    assert np.all(sample >= 0)
    centred = sample - sample.mean()
    error = centred.std() / math.sqrt(N)
    assert abs(sample.mean() - distribution.mean) <= 5 * error + 1e-12
    variance_error = math.sqrt(max(np.mean(centred**4) - np.mean(centred**2) ** 2, 0) / N)
    assert abs(sample.var() - distribution.sd**2) <= 5 * variance_error + 1e-12


@distributions
def test_the_sample_follows_the_survival_function(distribution):
    """The share of a sample above x is the survival function at x, also at jumps."""
    sample = distribution.sample(np.random.default_rng(2), N)
    at = np.unique(np.quantile(sample, [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]))
    expected = distribution.survival(at)
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-6) / N)
    found = np.array([np.mean(sample > x) for x in at])
    assert np.all(np.abs(found - expected) <= 5 * error)


@distributions
def test_survival_falls_from_one_to_zero(distribution):
    """Before zero everything survives, far out nothing does, and in between it never rises."""
    at = np.linspace(-1, 4 * distribution.mean + 20 * distribution.sd, 1001)
    survival = distribution.survival(at)
    assert np.all(survival[at < 0] == 1)
    assert np.all(np.diff(survival) <= 0)
    assert survival[-1] < 0.01
    assert float(distribution.survival(at[500])) == survival[500]


@pytest.mark.parametrize("distribution", CONTINUOUS.values(), ids=CONTINUOUS.keys())
def test_moments_are_integrals_of_survival(distribution):
    """E[D] is the integral of S(x), E[D²] that of 2x S(x): clipped lognormals included."""

    def integral(function):
        ends = [0.0, getattr(distribution, "low", 0.0) or 0.0, getattr(distribution, "high", None)]
        far = ends[2] or distribution.mean * 2000
        inner = sorted(
            {*ends[:2], distribution.mean / 2, distribution.mean * 2, distribution.mean * 20, far}
        )
        inner = [x for x in inner if x <= far]
        return sum(quad(function, a, b, limit=200)[0] for a, b in itertools.pairwise(inner))

    mean = integral(lambda x: float(distribution.survival(x)))
    second = integral(lambda x: 2 * x * float(distribution.survival(x)))
    assert distribution.mean == pytest.approx(mean, rel=1e-6)
    assert distribution.sd == pytest.approx(math.sqrt(second - mean**2), rel=1e-5)


def test_a_lognormal_is_given_by_its_own_moments():
    """Mean and sd are those of the distribution itself, not of its logarithm."""
    found = durations.lognormal(mean=150, sd=100)
    assert found.mean == pytest.approx(150)
    assert found.sd == pytest.approx(100)
    assert math.exp(found.mu) == pytest.approx(150 / math.sqrt(1 + (100 / 150) ** 2))


def test_clipping_moves_draws_to_the_bounds():
    """No draw lies outside the bounds; the share at a bound is the probability beyond it."""
    plain, clipped = durations.lognormal(10, 5), durations.lognormal(10, 5, low=8, high=12)
    sample = clipped.sample(np.random.default_rng(3), N)
    assert sample.min() == 8
    assert sample.max() == 12
    error = 5 * 0.5 / math.sqrt(N)
    assert np.mean(sample == 8) == pytest.approx(1 - float(plain.survival(8)), abs=error)
    assert np.mean(sample == 12) == pytest.approx(float(plain.survival(12)), abs=error)


def test_a_gamma_distribution_with_a_whole_shape_is_erlang():
    """(mean/sd)² = k makes the sum of k exponential stages: S(x) = e^-y (1 + y + y²/2), k = 3."""
    found = durations.gamma(mean=30, sd=30 / math.sqrt(3))
    assert found.shape == pytest.approx(3)
    y = np.array([0.1, 1.0, 3.0, 8.0])
    assert found.survival(y * 10) == pytest.approx(np.exp(-y) * (1 + y + y**2 / 2))


def test_observed_durations_are_drawn_again():
    """An empirical distribution draws its own values only, each with its share."""
    found = durations.empirical(np.array([1.0, 2.0, 2.0, 7.5]))
    assert found.mean == pytest.approx(12.5 / 4)
    assert found.survival([0.5, 1.0, 2.0, 7.4, 7.5]) == pytest.approx([1, 0.75, 0.25, 0.25, 0])
    assert set(found.sample(np.random.default_rng(4), 1000)) == {1.0, 2.0, 7.5}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: durations.fixed("-1s"), "Fixed.value must not be negative, got '-1s'"),
        (lambda: durations.exponential(0), "Exponential.mean must be positive, got 0"),
        (lambda: durations.lognormal(1, 0), "Lognormal.sd must be positive, got 0"),
        (
            lambda: durations.lognormal(1, 1, low=2, high=1),
            "Lognormal.high must be above low (2.0 s), got 1.0",
        ),
        (lambda: durations.uniform(5, 5), "Uniform.high must be above low (5.0 s), got 5.0"),
        (lambda: durations.gamma(True, 1), "Gamma.mean must be a duration such as"),
        (lambda: durations.empirical([]), "Empirical.values must hold at least one"),
        (lambda: durations.empirical([1, -1]), "Empirical.values must be a list of finite"),
        (lambda: durations.empirical([1, math.nan]), "Empirical.values must be a list of finite"),
        (lambda: durations.empirical([[1], [2, 3]]), "Empirical.values must be a list of finite"),
        (lambda: durations.empirical("abc"), "Empirical.values must be a list of finite"),
    ],
)
def test_impossible_distributions_are_refused(make, message):
    """An impossible distribution is refused with the name of its argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_plain_duration_is_a_fixed_distribution():
    """A duration is accepted wherever a distribution is."""
    assert as_distribution("2s") == Fixed(2.0)
    assert as_distribution(2) == Fixed(2.0)
    assert as_distribution(durations.exponential(2)) == durations.exponential(2)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-1, "must not be negative"),
        ("negative", "must be a duration such as .*, or a distribution such as exponential"),
        (math.nan, "or a distribution such as exponential"),
        (
            "5 parsec",
            r"or a distribution such as exponential with mean '10min' \(unknown unit 'parsec'\)",
        ),
        (None, "or a distribution such as exponential"),
    ],
)
def test_other_values_are_refused(value, problem):
    """The message mentions distributions, which are allowed here."""
    with pytest.raises(InvalidValue, match=problem):
        as_distribution(value)
    with pytest.raises(ScenarioError, match=f"Step.work .*{problem}"):
        Step("a", work=value)


def test_an_external_distribution_is_named():
    """A closed form asked about nonsense says which argument was wrong."""
    assert durations.external_distribution("2s") == Fixed(2.0)
    with pytest.raises(ScenarioError, match=r"^external must not be negative, got -1"):
        durations.external_distribution(-1)


def test_every_distribution_has_its_kind():
    """Scenario files name a distribution by its kind."""
    assert {kind: cls.kind for kind, cls in DISTRIBUTIONS.items()} == {
        kind: kind for kind in DISTRIBUTIONS
    }
    assert set(Duration.__subclasses__()) >= set(DISTRIBUTIONS.values())


@given(st.integers(0, 50), st.integers(0, 2**32))
def test_samples_have_the_length_asked_for(n, seed):
    """Asking for n durations gives n, also none."""
    for distribution in ALL.values():
        assert distribution.sample(np.random.default_rng(seed), n).shape == (n,)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Lognormal("1s", sd="1e200s"), r"Lognormal.sd must be 1e\+11 s at most"),
        (lambda: Lognormal(5e-324, sd=1), "Lognormal.mean must be at least 1 ns"),
        (lambda: Gamma(1, sd=5e-324), "Gamma.sd must be at least 1 ns"),
        (lambda: Exponential(1e300), r"Exponential.mean must be 1e\+11 s at most"),
        (lambda: Empirical([1, 1e300]), "Empirical.values must be a list of finite durations"),
    ],
)
def test_times_that_no_float_can_square_are_refused(make, problem):
    """The message names the bound."""
    with pytest.raises(ScenarioError, match=problem):
        make()


@pytest.mark.parametrize("kind", [Lognormal, Gamma])
@pytest.mark.parametrize("mean", [1e-9, 1e-3, 1.0, 1e6, 1e11])
@pytest.mark.parametrize("sd", [1e-9, 1e-3, 1.0, 1e6, 1e11])
def test_distributions_at_their_bounds_have_finite_times(kind, mean, sd):
    """Moments, draws and survival are numbers, whatever mean and deviation are taken together."""
    made = kind(mean, sd)
    drawn = made.sample(np.random.default_rng(1), 100)
    assert np.isfinite(drawn).all()
    assert drawn.min() >= 0
    assert math.isfinite(made.mean)
    assert math.isfinite(made.sd)
    tail = made.survival([0.0, mean / 2, mean, 2 * mean, 1e12])
    assert ((tail >= 0) & (tail <= 1)).all()
    assert (np.diff(tail) <= 1e-12).all()
