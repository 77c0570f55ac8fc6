"""The law of times is found again, and none is taken that the times reject."""

import math

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.calibration.distribution_fit import MOST_VALUES, fit_distribution

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "law",
    [sim.exponential(60), sim.gamma(60, 20), sim.lognormal(60, 60), sim.uniform(10, 20)],
    ids=lambda law: law.kind,
)
def test_law_and_parameters_are_found_again(law):
    """In most of 20 samples of 400 the family is right, and mean and sd are near the true ones."""
    kinds, means, sds = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fit = fit_distribution(law.sample(rng, 400), rng)
        kinds.append(fit.best.kind)
        means.append(fit.best.mean)
        sds.append(fit.best.sd)
    assert kinds.count(law.kind) >= 15
    error = law.sd / math.sqrt(20 * 400)
    assert abs(np.mean(means) - law.mean) < 5 * error
    assert np.mean(sds) == pytest.approx(law.sd, rel=0.1)


def test_the_test_keeps_its_level_although_parameters_are_estimated():
    """Of 100 exponential samples about five have p < 0.05."""
    below = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        below += fit_distribution(rng.exponential(60.0, 60), rng).p < 0.05
    assert below <= 14  # binomial, beyond 4 sigma


def test_two_humps_reject_every_law_and_the_times_are_taken():
    """A mixture far apart is empirical, with the quantiles of the times."""
    rng = np.random.default_rng(1)
    times = np.concatenate([rng.normal(10, 1, 1000), rng.normal(100, 1, 1000)])
    fit = fit_distribution(times, rng)
    assert fit.rejected
    assert fit.law.kind == "empirical"
    assert len(fit.law.values) == MOST_VALUES
    assert fit.law.mean == pytest.approx(times.mean(), rel=1e-3)
    assert fit.p < 0.01


def test_times_that_are_always_the_same_are_fixed():
    """Also one alone, and zero; rounding of a file does not matter."""
    rng = np.random.default_rng(1)
    assert fit_distribution(np.array([2.0, 2.0000001, 2.0]), rng).law == sim.fixed(2)
    assert fit_distribution(np.zeros(9), rng).law == sim.fixed(0)
    assert fit_distribution(np.array([3.5]), rng).law == sim.fixed(3.5)


def test_few_times_are_taken_as_they_are():
    """Five times tell no law; nothing is ranked."""
    fit = fit_distribution(np.array([1.0, 2, 4, 8, 16]), np.random.default_rng(1))
    assert fit.law == sim.empirical([1.0, 2, 4, 8, 16])
    assert not fit.rejected
    assert fit.candidates.empty
    assert math.isnan(fit.p)


def test_a_time_of_zero_rules_out_laws_that_have_none():
    """Gamma and lognormal have no place for it."""
    rng = np.random.default_rng(1)
    fit = fit_distribution(np.append(rng.exponential(1.0, 100), 0.0), rng)
    assert set(fit.candidates["law"]) == {"exponential", "uniform"}


def test_the_interval_of_the_mean_covers_it():
    """Over 200 samples, in about 95% of them."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        # Too few for the bootstrap, which takes time
        fit = fit_distribution(rng.uniform(0, 1, 6), rng)
        held += fit.low <= 0.5 <= fit.high
    assert 0.88 <= held / 200 <= 0.99


def test_rounded_times_are_noticed():
    """Whole seconds of a law of a few seconds repeat."""
    rng = np.random.default_rng(1)
    assert fit_distribution(np.round(rng.exponential(3.0, 300)), rng).rounded
    assert not fit_distribution(rng.exponential(3.0, 300), rng).rounded


@pytest.mark.parametrize("seed", range(5))
def test_constant_work_is_constant_to_the_microseconds_of_a_log(seed):
    """0.1 s, written as the difference of two timestamps, is 0.1 or 0.100001."""
    rng = np.random.default_rng(seed)
    found = fit_distribution(np.round(rng.choice([0.1, 0.100001, 0.099999], 500), 6), rng)
    assert found.law.kind == "fixed"
    assert found.law.mean == pytest.approx(0.1, abs=1e-6)


def test_a_law_that_cannot_be_tested_is_not_taken(monkeypatch):
    """The times themselves are, instead."""

    def fails(*_, **__):
        raise ValueError("f(a) and f(b) must have different signs")

    monkeypatch.setattr("scipy.stats.goodness_of_fit", fails)
    rng = np.random.default_rng(1)
    assert fit_distribution(rng.exponential(60.0, 200), rng).law.kind == "empirical"


@pytest.mark.parametrize(
    "law", [sim.exponential(60), sim.gamma(60, 20), sim.lognormal(60, 60)], ids=lambda law: law.kind
)
def test_times_that_were_cut_off_count_as_longer(law):
    """The law is found again although a third is cut off; the mean of the rest is far too small."""
    kinds, means, naive = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        times, limit = law.sample(rng, 400), rng.uniform(20.0, 160.0, 400)
        seen = times <= limit
        fit = fit_distribution(times[seen], rng, cut=limit[~seen])
        kinds.append(fit.best.kind)
        means.append(fit.best.mean)
        naive.append(times[seen].mean())
        assert fit.low <= fit.mean <= fit.high
    assert kinds.count(law.kind) >= 9
    error = np.std(means, ddof=1) / math.sqrt(len(means))
    assert abs(np.mean(means) - law.mean) < 4 * error
    assert np.mean(naive) < law.mean - 4 * error


def test_the_test_of_a_law_keeps_its_level_although_times_are_cut_off():
    """Drawing them to their ends favours the law; it must not reject it more often."""
    below = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        times = rng.exponential(60.0, 60)
        cut = np.full((times > 80.0).sum(), 80.0)
        below += fit_distribution(times[times <= 80.0], rng, cut=cut).p < 0.05
    assert below <= 7  # of 40 at a level of 0.05, more are less likely than 0.001


def test_where_every_law_is_rejected_the_times_are_kaplan_and_meiers():
    """Two humps, the later one half cut off: shares below a time are the true ones."""
    rng = np.random.default_rng(1)
    times = np.concatenate([rng.normal(10, 1, 1000), rng.normal(100, 1, 1000)])
    limit = np.where(rng.random(2000) < 0.5, 50.0, 200.0)
    seen = times <= limit
    fit = fit_distribution(times[seen], rng, cut=limit[~seen])
    assert fit.rejected
    late = np.mean(np.array(fit.law.values) > 50.0)
    assert late == pytest.approx(0.5, abs=0.03)
    assert np.mean(times[seen] > 50.0) < 0.4  # without those that were cut off
