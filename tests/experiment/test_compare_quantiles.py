"""Quantiles of a comparison: what is in them, and what is not."""

import math

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.experiment.statistics import replicated_quantile

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(50),
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
    never = int(comparison.table.query("metric == 'still_waiting'")["mean"].iloc[1] * 8)
    assert (found["never"] == never).all()
    by_kind = found.set_index(["of", "q"])
    assert by_kind.loc[("resumed waits", 0.95), "estimate"] == pytest.approx(1.0)
    assert by_kind.loc[("all armed waits", 0.5), "estimate"] == pytest.approx(1.0)
    assert by_kind.loc[("all armed waits", 0.95), "estimate"] == math.inf
    assert by_kind.loc[("all armed waits", 0.95), "low"] == math.inf  # certainly infinite
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


def test_the_share_never_resumed_stands_first_beside_latencies(comparison):
    """In text and HTML, whose latency it is, and the warning in words; nothing where none is."""
    share = comparison.table.query("metric == 'unresumed_share'")["mean"].tolist()
    assert share[0] == 0
    assert 0.2 < share[1] < 0.4
    summary = comparison.summary
    assert summary.index[0] == "unresumed share"
    assert summary.iloc[0, 0] == "0 %"
    assert summary.iloc[0, 1].startswith(f"{100 * share[1]:.0f}")
    assert summary.iloc[0, 1].endswith(" %")
    for name in ("mean latency", "95th percentile of the latency", "longest latency"):
        assert f"{name} of resumed waits" in summary.index
    assert "mean cycle time of instances that are done" in summary.index
    (note,) = comparison.notes
    assert "under callback, 30 % lost; they have no latency" in note
    for shown in (repr(comparison), comparison._repr_html_()):
        assert note in shown
        assert "mean latency of resumed waits" in shown
    sound = sim.compare(SCENARIO, STRATEGIES[:1], replications=2, progress=False)
    assert sound.summary.index[0] == "mean latency"
    assert "unresumed" not in repr(sound) + sound._repr_html_()
    assert not sound.notes


def test_the_picture_shows_the_share_never_resumed(comparison):
    """In the labels; the curve ends below one, and the axis has whose latency it is."""
    figure = comparison.plot()
    texts = figure.axes[0].get_legend_handles_labels()[1]
    assert texts[0] == "polling 5 min"
    assert texts[1].startswith("callback, 30 % lost (")
    assert texts[1].endswith(" % never resumed)")
    curve = next(line for line in figure.axes[0].lines if line.get_label() == texts[1])
    armed = comparison.table.query("metric == 'armed'")["mean"].iloc[1] * 8
    resumed = len(comparison.latencies("callback, 30 % lost"))
    assert curve.get_ydata()[-1] == pytest.approx(resumed / armed)
    assert figure.axes[1].get_xlabel() == "mean latency of resumed waits"
