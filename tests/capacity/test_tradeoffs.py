"""Strategies that no other beats in two metrics."""

import numpy as np
import pytest

import asyncsim as sim

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", "office", timeout="1d")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(300),
    server=sim.WorkflowServer(1000, poll_work="10ms", callback_work="20ms"),
)
POLLINGS = [sim.Polling(f"{k}min") for k in (1, 5, 20)]


def found(strategies, metrics=("mean_latency", "requests"), **options):
    """The frontier of these tests."""
    return sim.frontier(
        SCENARIO, strategies, metrics, **({"replications": 5, "progress": False} | options)
    )


def test_intervals_of_polling_are_a_choice_and_nothing_beats_another():
    """Sooner costs more requests; all are on the frontier, in order."""
    table = found(POLLINGS).table
    assert table["on_frontier"].tolist() == ["yes"] * 3
    assert np.all(np.diff(table["mean_latency"]) > 0)
    assert np.all(np.diff(table["requests"]) < 0)


def test_a_callback_beats_all_of_them_and_is_named():
    """Later and dearer at once: polling every minute."""
    table = found([*POLLINGS, sim.Callback("50ms")]).table.set_index("strategy")
    assert table["on_frontier"].to_dict() == {
        "callback": "yes", "polling 1 min": "no", "polling 5 min": "no", "polling 20 min": "no"
    }  # fmt: skip
    assert "callback" in table.loc["polling 20 min", "beaten_by"]


def test_a_callback_that_is_lost_beats_no_other():
    """What never resumes is infinitely late, whatever the mean of the others."""
    table = found([*POLLINGS, sim.Callback("50ms", loss=0.1)]).table.set_index("strategy")
    assert table.loc["callback, 10 % lost", "mean_latency"] == np.inf
    assert table.loc["polling 20 min", "on_frontier"] == "yes"


def test_equals_do_not_beat_each_other():
    """Twice the same strategy: both stay."""
    table = found([sim.Polling("5min"), sim.Polling("5min")]).table
    assert table["on_frontier"].tolist() == ["yes", "yes"]


def test_the_usual_strategies_are_played_if_none_are_named():
    """And the picture has one mark for each."""
    result = found(None, replications=2)
    assert len(result.table) >= 8
    assert repr(result).startswith("No other strategy beats ")
    result.plot()
    assert "<table" in result._repr_html_()


def test_figures_are_two_that_exist():
    """Named in the message."""
    with pytest.raises(sim.ScenarioError, match="metrics must be two names"):
        found(POLLINGS, "mean_latency")
    with pytest.raises(sim.ScenarioError, match="metrics must be two different ones"):
        found(POLLINGS, ("requests", "requests"))
    with pytest.raises(sim.ScenarioError, match="did you mean 'requests'"):
        found(POLLINGS, ("mean_latency", "request"))


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_one_unlucky_run_does_not_decide_that_a_strategy_is_beaten():
    """Of 300 waits 4 % are lost: in some runs more than the 5 % that the 95th percentile spares."""
    scenario = SCENARIO.replace(process=sim.Process("p", [sim.AsyncStep("ask", "office")]))
    pair = [sim.Callback(loss=0.04), sim.Callback(loss=0.5)]
    result = sim.frontier(
        scenario, pair, ("p95_latency", "overhead_worker_time"), replications=20, progress=False
    )
    row = result.table.set_index("strategy").loc[pair[0].label]
    assert row["on_frontier"] != "no"
    all_lost = sim.frontier(
        scenario,
        [sim.Callback(loss=0.3), sim.Callback(loss=0.5)],
        ("p95_latency", "overhead_worker_time"),
        replications=5,
        progress=False,
    ).table  # both infinite in every run: the one with less to do beats the other
    assert sorted(all_lost["on_frontier"]) == ["no", "yes"]


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_the_share_never_resumed_stands_beside_a_strategy():
    """In the sentence, the table, its HTML and the picture, though no metric counts lost waits."""
    result = found(
        [sim.Callback(loss=0.3), sim.Polling("5min")], ("requests", "database_operations")
    )
    share = result.table.set_index("strategy")["unresumed_share"]
    assert 0.2 < share["callback, 30 % lost"] < 0.4
    assert share["polling 5 min"] == 0
    never = f"{100 * share.iloc[0]:.3g} % never resumed)"
    assert never in result.findings()[0]
    assert ">never resumed</th>" in result._repr_html_()
    texts = result.plot().axes[0].get_legend_handles_labels()[1]
    assert texts == [f"callback, 30 % lost ({never}", "polling 5 min"]
    sound = found([sim.Polling("5min")], ("requests", "database_operations"))
    assert "never" not in sound._repr_html_()
