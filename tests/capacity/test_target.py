"""Targets: parsed from words, and measured so that lost callbacks do not meet them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plays import play, scenario_of, wait_for

import asyncsim as sim
from asyncsim.capacity.target import Measure, Target, quantile_of_all
from asyncsim.experiment.replications import RunSummary

SCENARIO = wait_for(sim.Callback()).scenario
PRICED = SCENARIO.replace(costs=sim.CostModel(check=1.0))


@pytest.mark.parametrize(
    ("words", "metric", "bound"),
    [
        ("p95_latency <= 60s", "p95_latency", 60.0),
        ("p95 resume latency under 1 min", "p95_latency", 60.0),
        ("p99.9_latency < 90", "p99.9_latency", 90.0),
        ("mean latency at most 1h 30min", "mean_latency", 5400.0),
        ("wasted_share <= 0.5", "wasted_share", 0.5),
        ("cost<=1e3", "cost", 1000.0),
    ],
)
def test_a_target_is_parsed_from_words(words, metric, bound):
    """A time bound is a duration, any other a number."""
    assert Target.parse(words, PRICED) == Target(Measure(metric), bound)
    assert Target.parse(str(Target.parse(words, PRICED)), PRICED).bound == bound


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("p95_latency", "target must be words such as"),
        (60, "target must be words .* got 60"),
        ("p95_latancy <= 60s", "target 'p95_latancy <= 60s': metric .* did you mean 'p95_latency'"),
        ("p0_latency <= 60s", "metric must be a known name, got .p0_latency."),
        ("cost <= 5", "metric 'cost' needs prices"),
        ("p95_latency <= sixty", "the bound must be a duration .* got 'sixty'"),
        ("p95_latency <= -1s", "the bound must not be negative, got '-1s'"),
        ("requests <= nan", "the bound must be a finite number, got 'nan'"),
        ("requests <= 5min", "the bound must be a number alone, such as 0.8; its unit is 1"),
        ("utilisation <= 80", "the bound must be a share such as 0.8 or 80%, got '80'; write 0.8"),
        ("p95_latency >= 60s", "never at least"),
    ],
)
def test_an_invalid_target_raises(words, match):
    """The message has the words, what is wrong with them, and what would be right."""
    with pytest.raises(sim.ScenarioError, match=match):
        Target.parse(words, SCENARIO)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_where_all_resumed_a_quantile_is_numpys(values, q):
    """Linear between two waits."""
    found = quantile_of_all(np.array(values), 0, q)
    assert found == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(0, 1e6), max_size=40), st.integers(1, 20), st.floats(0.01, 1.0))
def test_waits_that_never_resumed_count_as_later_than_any_other(values, never, q):
    """As if each had resumed after an age beyond all others."""
    age = 1e30
    found = quantile_of_all(np.array(values), never, q)
    full = np.quantile([*values, *[age] * never], q)
    assert found == (math.inf if full > 1e10 else pytest.approx(full, rel=1e-9, abs=1e-9))


def test_a_strategy_that_loses_callbacks_has_no_finite_latency():
    """Three of four are lost: the metric of the run leaves them out, the measure does not."""
    arrivals = tuple(10.0 * k for k in range(40))
    run = wait_for(sim.Callback(loss=0.5), 5.0, arrivals=arrivals, timeout="1h")
    summary = RunSummary.of(run)
    assert 0 < summary.metrics["timed_out"] < 40
    assert summary.metrics["p95_latency"] == 0
    assert Measure("p95_latency").of_run(summary) == math.inf
    assert Measure("mean_latency").of_run(summary) == math.inf
    assert Measure("p10_latency").of_run(summary) == 0
    assert Measure("requests").of_run(summary) == summary.metrics["requests"]


def test_a_wait_cancelled_with_its_instance_never_resumed():
    """The other branch timed out; the target counts the wait as the share of a run does."""
    branches = [[sim.AsyncStep("quick", "out", timeout=5.0)], [sim.AsyncStep("slow", "out")]]
    run = play(
        sim.Callback(),
        scenario_of([sim.Parallel("both", branches)], arrivals=[0.0, 100.0]),
        external={"quick": [9.0, 1.0], "slow": [9.0, 1.0]},
    )
    assert sorted(run.waits["outcome"]) == ["cancelled", "resumed", "resumed", "timed out"]
    summary = RunSummary.of(run)
    assert summary.unresumed == 2
    assert summary.metrics["unresumed_share"] == 0.5
    assert Measure("p60_latency").of_run(summary) == math.inf
