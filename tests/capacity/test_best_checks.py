"""The best moments to check, against published optima, other strategies and simulations."""

import math

import numpy as np
import pandas as pd
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from thorough import times

import asyncsim as sim
from asyncsim.capacity.best_checks import KINDS, _Problem

BEST, FIXED, FIRST, BACKOFF = KINDS
MINUTE = 60.0  # with this price of a minute a check of price c costs c seconds of lateness


@frozen
class Mixture(sim.Duration):
    """One of several distributions, with given probabilities."""

    parts: tuple
    kind = "mixture"

    @property
    def mean(self):
        return sum(share * one.mean for share, one in self.parts)

    @property
    def sd(self):
        square = sum(share * (one.mean**2 + one.sd**2) for share, one in self.parts)
        return math.sqrt(square - self.mean**2)

    def sample(self, rng, n):
        which = rng.choice(len(self.parts), n, p=[share for share, _ in self.parts])
        return np.choose(which, [one.sample(rng, n) for _, one in self.parts])

    def survival(self, x):
        return sum(share * one.survival(x) for share, one in self.parts)


@frozen
class Normal(sim.Duration):
    """A normal distribution far from zero."""

    mean: float
    sd: float
    kind = "normal"

    def sample(self, rng, n):
        return rng.normal(self.mean, self.sd, n)

    def survival(self, x):
        return ndtr((self.mean - np.asarray(x, float)) / self.sd)


def lognormal(median, sigma):
    """Return a lognormal distribution by its median and the sd of its logarithm."""
    mean = median * math.exp(sigma**2 / 2)
    return sim.lognormal(mean, mean * math.sqrt(math.expm1(sigma**2)))


LLM_BATCH = Mixture(
    ((0.7, lognormal(1500.0, 0.6)), (0.2, sim.uniform("1h", "4h")), (0.1, sim.uniform("8h", "24h")))
)


@pytest.mark.parametrize(
    ("external", "price", "low", "high"),
    [
        (sim.exponential(600), 10, -0.005, 0.005),
        (sim.exponential(600), 60, -0.005, 0.005),
        (sim.exponential(600), 600, -0.005, 0.005),
        (sim.lognormal(600, sd=300), 10, 0.17, 0.19),
        (sim.lognormal(600, sd=300), 60, 0.17, 0.19),
        (sim.lognormal(600, sd=1200), 10, 0.03, 0.045),
        (sim.lognormal(600, sd=1200), 60, 0.03, 0.045),
        (Normal(28800.0, 1200.0), 10, 0.70, 0.73),
        (Normal(28800.0, 1200.0), 60, 0.70, 0.73),
        (LLM_BATCH, 30, 0.17, 0.205),
        (LLM_BATCH, 300, 0.17, 0.205),
    ],
)
def test_what_the_best_moments_save(external, price, low, high):
    """Of an exponential nothing: a fixed interval is optimal. Of a nightly batch most."""
    found = sim.best_checks(external, price, MINUTE)
    assert low <= found.table.saving[BEST] <= high
    assert (found.table.saving[BEST] < 0.005) == ("as good as any" in found.sentence)


durations = st.floats(1.0, 1e5)
singles = st.one_of(
    st.builds(lambda mean, cv: sim.lognormal(mean, sd=cv * mean), durations, st.floats(0.05, 3)),
    st.builds(lambda mean, cv: sim.gamma(mean, sd=cv * mean), durations, st.floats(0.05, 2)),
    st.builds(lambda low, more: sim.uniform(low, low + more), durations, durations),
    st.builds(sim.fixed, durations),
    st.builds(sim.empirical, st.lists(durations, min_size=1, max_size=40)),
)
mixtures = st.builds(
    lambda share, one, other: Mixture(((share, one), (1 - share, other))),
    st.floats(0.1, 0.9), singles, singles,
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=times(8))
@given(singles | mixtures, st.floats(0.01, 1.0))
def test_no_other_kind_of_strategy_is_better(external, share):
    """The best moments cost no more than the best of each other kind, but for their grid."""
    table = sim.best_checks(external, share * external.mean, MINUTE).table
    assert table.cost[BEST] <= table.cost.min() * 1.002
    assert table.saving[FIXED] == 0


def test_work_of_a_fixed_time_is_checked_once_when_it_is_done():
    """After eight hours, for the price of one check."""
    found = sim.best_checks("8h", 30, MINUTE)
    assert found.strategy.pauses[0] == pytest.approx(8 * 3600)
    assert found.table.cost[BEST] == pytest.approx(30.0)
    assert found.table.checks[BEST] == 1.0
    assert found.table.latency[BEST] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_what_a_simulation_gives(kind):
    """Checks and latency of each strategy, played on an idle server, and by its closed form."""
    external = sim.gamma("30min", sd="10min")
    row = sim.best_checks(external, 60, MINUTE).table.loc[kind]
    scenario = sim.Scenario(
        name="service",
        process=sim.Process("p", [sim.AsyncStep("ask", system="service")]),
        systems={"service": sim.OnlineService(external, lanes=None)},
        arrivals=sim.Poisson("2000/day"),
    )
    played = sim.compare(scenario, [row.strategy], replications=10, seed=1, confidence=0.999)
    for metric, value in (("checks_per_wait", row.checks), ("mean_latency", row.latency)):
        interval = played[metric].iloc[0]
        assert interval.low <= value <= interval.high
    expected = row.strategy.expected(external)
    assert expected.checks == pytest.approx(row.checks, rel=1e-3)
    assert expected.latency == pytest.approx(row.latency, rel=1e-3)


def log_of(seconds):
    """Return a request log with these outside times."""
    submitted = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.arange(len(seconds)), "h")
    rows = pd.DataFrame({
        "SN": [f"{k}_1" for k in range(len(seconds))],
        "submitted": submitted,
        "completed": submitted + pd.to_timedelta(seconds, "s"),
    })  # fmt: skip
    return sim.RequestLog("made", rows, rows[:0], rows[:0])


def test_moments_from_a_log_are_measured_on_times_not_used_to_find_them():
    """On few times they fit too well: what they save is not what they would save again."""
    few = np.random.default_rng(1).exponential(600.0, 40)
    found = sim.best_checks(log_of(few), 60, MINUTE)
    on_itself = sim.best_checks(sim.empirical(few), 60, MINUTE)
    assert on_itself.table.saving[BEST] > 0.1
    assert found.table.saving[BEST] < 0.01  # of an exponential nothing can be saved
    assert found.times == 40
    assert "at times not used to find them (of 40)" in found.sentence
    assert found.strategy.pauses == pytest.approx(on_itself.strategy.pauses)


def test_a_first_wait_and_the_area_below_the_survival_function():
    """Simpson's rule agrees with the exact mean of min(D, t)."""
    problem = _Problem(sim.exponential(600), 60.0)
    at = np.linspace(0, 6000, 400)
    assert problem._area(at) == pytest.approx(600 * (1 - np.exp(-at / 600)), rel=1e-6)
    observed = _Problem(sim.empirical([60.0, 300.0]), 1.0)
    assert observed._area(np.array([0.0, 60.0, 180.0, 400.0])).tolist() == [0, 60, 120, 180]


def test_it_shows_itself_in_words():
    """A sentence with its numbers, and a table without seconds."""
    found = sim.best_checks(sim.lognormal("10min", sd="5min"), 0.001, 0.01)
    html = found._repr_html_()
    assert found.sentence in html
    assert found.sentence in repr(found)
    assert "checks after" in repr(found)
    for kind in KINDS:
        assert kind in html


@pytest.mark.parametrize("price", [0, -1, math.nan, True, "1 EUR"])
@pytest.mark.parametrize("name", ["check_cost", "lateness_cost"])
def test_a_price_must_be_positive(name, price):
    """Its name is in the message."""
    prices = {"check_cost": 1.0, "lateness_cost": 1.0} | {name: price}
    with pytest.raises(sim.ScenarioError, match=rf"{name} must be a (positive price|finite)"):
        sim.best_checks("1h", **prices)
