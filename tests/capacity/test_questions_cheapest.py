"""The cheapest interval, against theory."""

import pytest
from scipy import stats

import asyncsim as sim
from asyncsim.experiment import theory

pytestmark = pytest.mark.slow

QUIET = {"progress": False}


def priced(check=1.0, late_minute=1.0, waits=400):
    """Exponential waits with a mean of ten minutes, and prices."""
    return sim.Scenario(
        name="priced",
        process=sim.Process("p", [sim.AsyncStep("ask", "office")]),
        systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
        arrivals=sim.UniformArrivals(waits),
        costs=sim.CostModel(check=check, late_minute=late_minute),
    )


@pytest.mark.parametrize("check", [0.1, 10.0])
def test_the_cheapest_interval_costs_what_the_best_one_of_theory_does(check):
    """Within 2 %; and theory's is within the interval, or next to it."""
    answer = sim.cheapest_interval(priced(check), replications=10, **QUIET)
    best = theory.best_interval(check, 1 / 60, 600.0)
    assert answer.value == pytest.approx(best, rel=0.25)  # flat near the least

    def cost(x):
        expected = sim.Polling(x).expected(sim.exponential("10min"))
        return expected.checks * check + expected.latency / 60

    assert cost(answer.value) == pytest.approx(cost(best), rel=0.02)
    assert answer.low < answer.high


def test_the_interval_of_theory_is_between_the_ends():
    """In most of some seeds: the choice of the best value makes the interval a little narrow."""
    best = theory.best_interval(1.0, 1 / 60, 600.0)
    held = 0
    for seed in range(12):
        answer = sim.cheapest_interval(
            priced(waits=200), between=("1min", "20min"), replications=8, seed=seed, **QUIET
        )
        held += answer.low * 0.97 <= best <= answer.high * 1.03
    assert held >= stats.binom.ppf(0.001, 12, 0.8)


def test_any_metric_can_be_least():
    """The fewest requests: an interval so long that one check is enough, or any longer one."""
    answer = sim.cheapest_interval(
        priced(), metric="requests", between=("1min", "2h"), replications=3, **QUIET
    )
    least = answer.table.set_index("value").loc[answer.value, "mean"]
    assert 400 <= least < 405
    assert answer.high is None


def test_a_cost_needs_prices():
    """Zeros have no minimum."""
    with pytest.raises(sim.ScenarioError, match="metric 'cost' needs prices"):
        sim.cheapest_interval(priced().replace(costs=None), **QUIET)


def test_words_are_no_strategy():
    """The error names the argument, as for the other questions."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    with pytest.raises(sim.ScenarioError, match="strategy must be a strategy such as Callback"):
        sim.cheapest_interval(scenario, "polling 15min", metric="requests", progress=False)
