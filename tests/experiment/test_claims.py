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
from asyncsim.engine.metrics import METRIC_ORDER, METRICS
from asyncsim.experiment.claims import MOST, claims, sweep_claims
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


# --- sweeps ---------------------------------------------------------------------------------------

PAIR = ("a", "b")
POINTS = ("workers = 1", "workers = 2", "workers = 4")


def metrics_of(late, shares, replications, rng):
    """Metrics of a point, replications × strategies × metrics, around given means."""
    found = np.zeros((replications, 2, len(METRICS)))
    noise = rng.normal(0.0, 1.0, (replications, 1))  # common to both strategies
    own = rng.normal(0.0, 0.3, (replications, 2))
    found[:, :, METRIC_ORDER["mean_latency"]] = np.asarray(late) + noise + own
    lost = np.clip(np.asarray(shares) + rng.normal(0.0, 0.01, (replications, 2)), 0.0, 1.0)
    found[:, :, METRIC_ORDER["unresumed_share"]] = np.where(np.asarray(shares) > 0, lost, 0.0)
    found[:, :, METRIC_ORDER["cost"]] = 5.0
    return found


def student(values, level):
    """The ends of Student's interval of a mean."""
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1)
    half *= values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


latencies = st.tuples(*[st.sampled_from([20.0, 20.2, 22.0, 60.0])] * 2)
some_shares = st.tuples(*[st.sampled_from([0.0, 0.0, 0.2])] * 2)


@settings(max_examples=thorough.times(100))
@given(
    st.tuples(*[st.tuples(latencies, some_shares)] * len(POINTS)),
    st.integers(2, 8),
    st.integers(0, 1000),
)
def test_claims_of_a_sweep_are_those_of_its_replications(described, replications, seed):
    """Losses are complete; extremes and differences are significant among all that were chosen."""
    rng = np.random.default_rng(seed)
    points = {
        name: metrics_of(late, shares, replications, rng)
        for name, (late, shares) in zip(POINTS, described, strict=True)
    }
    found = sweep_claims(points, PAIR, "EUR", 0.95)
    late, lost = (
        {(name, k): one[:, k, METRIC_ORDER[metric]] for name, one in points.items() for k in (0, 1)}
        for metric in ("mean_latency", "unresumed_share")
    )
    lossy = {PAIR[k] for (_, k), shares in lost.items() if shares.any()}
    losses = [one for one in found if one.kind == "never resumed"]
    assert found[: len(losses)] == losses
    assert {one.strategy for one in losses} == lossy
    assert len(found) - len(losses) <= MOST
    for one in losses:
        shares = lost[one.other, PAIR.index(one.strategy)]
        assert shares.mean() == max(
            x.mean() for (_, k), x in lost.items() if PAIR[k] == one.strategy
        )
        assert f"{100 * shares.mean():.3g} % (" in one.text
    for one in found[len(losses) :]:
        assert re.search(r"\(.*\)", one.text), one.text
        names = [name for name in POINTS if name in one.text]
        if one.metric == "cost":
            assert "does not differ beyond chance" in one.text
            continue
        k = PAIR.index(one.strategy)
        sound = [name for name in POINTS if not lost[name, k].any()]
        assert set(names) <= set(sound)
        if one.other.startswith(("a; ", "b; ")):
            both = [name for name in sound if not lost[name, 1 - k].any()]
            gaps = {name: late[name, 1 - k] - late[name, k] for name in both}
            level = 1 - 0.05 / len(both)
            sure = [name for name in both if student(gaps[name], level)[0] > 0]
            if one.kind == "less":
                assert f"at {len(sure)} of {len(both)} points" in one.text
                assert names[0] in sure
            else:
                assert not sure
            continue
        low, high = (name for name in one.other.split("; "))
        pairs = math.comb(len(sound), 2)
        ends = student(late[high, k] - late[low, k], 1 - 0.05 / pairs)
        assert (one.kind == "less") == (ends[0] > 0)
        means = [late[name, k].mean() for name in sound]
        assert (late[low, k].mean(), late[high, k].mean()) == (min(means), max(means))


def test_the_sentences_of_a_sweep():
    """Least and largest, who is earlier at how many points; no sentence of one replication."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    grid = {"strategy.interval": ["1min", "1h"]}
    pair = [sim.Callback("50ms"), sim.Polling("1min")]
    found = sim.sweep(scenario, grid, pair, 3, 1, progress=False)
    equal, polling, earlier = found.findings()
    assert equal.startswith("Under 'callback' the mean latency does not differ beyond chance")
    least = r"Under 'polling' the mean latency is least with interval of the strategy = 1 min: \d+"
    assert re.match(least, polling)
    assert "; with interval of the strategy = 1 h it is largest, " in polling
    assert earlier.startswith(
        "'callback' resumes earlier than 'polling' at 2 of 2 points; the least"
    )
    assert repr(found).startswith(equal)
    assert sim.sweep(scenario, grid, pair, 1, progress=False).findings() == []
