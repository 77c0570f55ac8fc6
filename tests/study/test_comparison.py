"""Quantiles of a comparison: what is in them, and what is not."""

import math

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.study.output.quantiles import replicated_quantile

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.Scattered(50),
)
STRATEGIES = [sim.Polling("5min"), sim.Callback("1s", loss=0.3)]


@pytest.fixture(scope="module")
def comparison():
    with pytest.warns(sim.CensoredWarning):
        return sim.compare(SCENARIO, STRATEGIES, replications=8, progress=False)


def test_quantiles_are_those_of_the_runs(comparison):
    """Pooled estimate and interval over replications agree with a calculation from the runs."""
    found = comparison.quantiles([0.5, 0.95]).set_index(["strategy", "q", "of"])
    runs = [
        sim.simulate(SCENARIO, STRATEGIES[0], replication=k).waits["latency"].to_numpy()
        for k in range(8)
    ]
    for q in (0.5, 0.95):
        row = found.loc["polling 5 min", q, "resumed waits"]
        expected = replicated_quantile(runs, q)
        assert row["estimate"] == pytest.approx(np.quantile(np.concatenate(runs), q))
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
        assert (row["waits"], row["never"]) == (400, 0)
        assert row["low"] < row["high"]


def test_waits_that_never_resumed_are_counted_and_infinitely_late(comparison):
    """With three in ten lost, 95 % of all armed waits have no finite latency; half of them do."""
    found = comparison.quantiles([0.5, 0.95]).query("strategy != 'polling 5 min'")
    never = int(comparison.table.query("figure == 'still_waiting'")["mean"].iloc[1] * 8)
    assert (found["never"] == never).all()
    by_kind = found.set_index(["of", "q"])
    assert by_kind.loc[("resumed waits", 0.95), "estimate"] == pytest.approx(1.0)
    assert by_kind.loc[("all armed waits", 0.5), "estimate"] == pytest.approx(1.0)
    assert by_kind.loc[("all armed waits", 0.95), "estimate"] == math.inf
    assert by_kind.loc[("all armed waits", 0.95), "low"] == math.inf  # surely infinite
    assert (found["low"] >= 0).all()
    assert by_kind.loc[("all armed waits", 0.5), "waits"] == 400
    assert by_kind.loc[("resumed waits", 0.5), "waits"] == 400 - never


def test_a_wrong_quantile_is_named(comparison):
    """It is a probability, not a percentage."""
    with pytest.raises(sim.ScenarioError, match="q must be between 0 and 1, got 95"):
        comparison.quantiles([95])


def test_a_latency_is_not_below_zero_where_no_lower_end_is_known():
    """Three replications may be too few for one."""
    with pytest.warns(sim.CensoredWarning):
        few = sim.compare(SCENARIO, STRATEGIES, replications=3, progress=False)
    assert (few.quantiles([0.95])["low"] >= 0).all()
