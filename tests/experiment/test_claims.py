"""The findings of a comparison: true, complete where waits are lost, and no more than is shown."""

import math
import re

import numpy as np
import pytest
import scenarios
import scipy
import thorough
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.experiment.claims import claims
from asyncsim.experiment.replications import labelled
from asyncsim.experiment.statistics import Interval

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")


def values(comparison, metric, strategy):
    """Return a metric of each replication."""
    return np.array([one.metrics[metric] for one in comparison._summaries[strategy]])


def interval(found):
    """Return mean and Student's interval of some values."""
    found = found[~np.isnan(found)]
    if len(found) < 2:
        return float(found.mean()), math.nan, math.nan
    half = scipy.stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found))
    return found.mean(), found.mean() - half, found.mean() + half


def check(comparison):
    """Hold every claim of a comparison against the values of its replications."""
    labels = comparison.strategies
    shares = {label: values(comparison, "unresumed_share", label) for label in labels}
    lossy = {label for label, found in shares.items() if np.any(found > 0)}
    claims = comparison._claims
    assert {one.strategy for one in claims if one.kind == "never resumed"} == lossy
    assert len(claims) - len(lossy) <= 4
    for one in claims:
        found = values(comparison, one.metric, one.strategy)
        if one.kind != "never resumed":
            found = values(comparison, one.metric, one.other) - found
        if np.count_nonzero(~np.isnan(found)) == 1:
            assert "in one replication" in one.text
            continue
        mean, low, high = interval(found)
        assert (one.interval.mean, one.interval.low) == pytest.approx((mean, low), nan_ok=True)
        assert len(re.findall(r"\d", one.text)) >= 3, one.text  # a number and an interval
        assert f"'{one.strategy}'" in one.text
        if one.kind == "less":
            assert low > 0
            assert f"'{one.other}'" in one.text
        elif one.kind == "no difference":
            assert low <= 1e-9 * abs(mean), one
            assert high >= -1e-9 * abs(mean), one
        if one.metric == "mean_latency":
            assert not {one.strategy, one.other} & lossy, one.text
    assert len(comparison.findings()) == len(claims)


@settings(max_examples=thorough.times(50))
@given(
    scenarios.scenarios(),
    st.lists(scenarios.strategies(), min_size=2, max_size=4),
    st.integers(2, 6),
)
def test_claims_are_those_of_the_replications(scenario, strategies, replications):
    """On random comparisons."""
    distinct = list(labelled(strategies).values())
    found = sim.compare(scenario, distinct, replications=replications, seed=1, progress=False)
    check(found)


def test_a_difference_in_the_other_direction_is_claimed():
    """Who resumes earlier may take longer in all: an interval below zero is a difference, too."""
    means = {"mean_latency": {"a": 1.0, "b": 60.0}, "mean_cycle_time": {"a": 90.0, "b": 30.0}}

    def of(metric, label):
        return Interval(means.get(metric, {}).get(label, 0.0), 0.1, 5)

    def paired(metric, one, other):
        return Interval(means[metric][one] - means[metric][other], 0.1, 5)

    earlier, longer = claims(["a", "b"], list(means), of, paired, "")
    assert (earlier.strategy, earlier.other) == ("a", "b")
    assert (longer.kind, longer.strategy, longer.other) == ("less", "b", "a")
    assert longer.text.startswith("instances take 1 min less under 'b' than under 'a'")


def test_one_replication_claims_nothing():
    """It has no interval."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    found = sim.compare(scenario, [sim.Callback(), sim.Polling("1h")], replications=1)
    assert found.findings() == []


def test_the_sentences_of_the_example():
    """Who is earlier, by how much, at what cost; a loss comes first."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    strategies = [sim.Callback("50ms"), sim.Callback("50ms", loss=0.1), sim.Polling("15min")]
    found = sim.compare(scenario, strategies, replications=4, seed=1, progress=False)
    first, second, *_ = found.findings()
    assert re.match(r"1\d(\.\d)? % \([\d.]+ to [\d.]+ %\) of the waits under 'callback, 10", first)
    assert re.match(r"'callback' resumes 7\.\d+ min earlier than 'polling 15 min'", second)
    table = found["mean_latency"]
    assert list(table.index) == found.strategies
    long = found.table[found.table["figure"] == "mean_latency"]
    assert table["mean"].tolist() == long["mean"].tolist()
    with pytest.raises(sim.ScenarioError, match="did you mean 'mean_latency'"):
        found["latency"]
