"""Strategies compared on the same random numbers."""

import re

import numpy as np
import pandas as pd
import pytest
from handed_out import assert_handed_out

import asyncsim as sim
from asyncsim.engine.metrics import metrics_of
from asyncsim.engine.run import Run
from asyncsim.experiment.precision import Precision, PrecisionTarget
from asyncsim.experiment.replications import Replications, RunSummary
from asyncsim.experiment.statistics import mean_interval, paired_interval


def outside(law="10min", arrivals=None, **changes) -> sim.Scenario:
    """Return a scenario of nothing but waits."""
    scenario = sim.Scenario(
        name="outside",
        process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
        systems={"office": sim.OnlineService(law, lanes=None)},
        arrivals=arrivals or sim.UniformArrivals(50),
    )
    return scenario.replace(**changes)


PAIR = [sim.Callback("1s"), sim.Polling("5min")]


def compared(**options) -> sim.Comparison:
    options = {"replications": 4, "progress": False} | options
    return sim.compare(outside(sim.exponential("10min")), PAIR, **options)


def test_intervals_are_those_of_the_single_runs():
    """Mean, interval and paired difference equal a calculation from separate runs."""
    comparison = compared(seed=5)
    scenario = outside(sim.exponential("10min"))
    found = {
        strategy.label: [
            sim.simulate(scenario, strategy, seed=5, replication=k).waits["latency"].mean()
            for k in range(4)
        ]
        for strategy in PAIR
    }
    table = comparison.table.query("metric == 'mean_latency'").set_index("strategy")
    for label, values in found.items():
        interval = mean_interval(values)
        assert table.loc[label, "mean"] == pytest.approx(interval.mean)
        assert table.loc[label, "high"] == pytest.approx(interval.high)
    gap = paired_interval(*found.values())
    polling = table.loc["polling 5 min"]
    assert polling["difference"] == pytest.approx(gap.mean)
    assert polling["difference_low"] == pytest.approx(gap.low)


def test_all_strategies_meet_the_same_random_numbers():
    """Completions of the first replication are the same instants under each strategy."""
    comparison = compared()
    completions = [comparison.run(label).waits["completed"] for label in comparison.strategies]
    np.testing.assert_array_equal(*completions)


def test_pairing_narrows_the_interval_of_a_difference():
    """The interval of the difference in cycle time is narrower than that of either strategy."""
    table = compared(replications=10).table.query("metric == 'mean_cycle_time'")
    polling = table[table["strategy"] == "polling 5 min"].iloc[0]
    width = polling["difference_high"] - polling["difference_low"]
    assert width < (table["high"] - table["low"]).min() / 2


def test_the_table_says_what_each_figure_is():
    """Every metric is there for every strategy, with its unit and meaning."""
    table = compared().table
    assert len(table) == len(metrics_of(outside())) * 2
    assert table["unit"].map(len).all()
    assert table["meaning"].map(len).all()
    assert list(table.columns[:6]) == ["metric", "unit", "strategy", "mean", "low", "high"]


def test_a_precision_target_is_met_by_more_replications():
    """Half-widths of the mean latency are at most the wanted share of it."""
    coarse, fine = (compared(replications=None, precision=p) for p in (0.2, 0.03))
    table = fine.table.query("metric == 'mean_latency'")
    assert ((table["high"] - table["mean"]) <= 0.03 * table["mean"]).all()
    assert fine.replications > coarse.replications >= 5


def test_the_number_of_replications_is_that_of_the_rule():
    """It is where every strategy has been known well enough, and confirmed, for the first time."""
    comparison = compared(replications=None, precision=0.02, metric="p95_latency")
    plan = Replications(outside(sim.exponential("10min")), tuple(PAIR), 0, "auto")
    rules = [Precision(PrecisionTarget(share=0.02)) for _ in PAIR]
    played = 0
    while not all(rule.enough for rule in rules):
        for rule, summary in zip(rules, plan.collect(RunSummary.of, played), strict=True):
            rule.add(summary.metrics["p95_latency"])
        played += 1
    assert comparison.replications == played > 10


def test_a_target_can_be_a_half_width_outright():
    """Seconds for a time; the shares may then be what they are."""
    table = compared(replications=None, within="8s").table.query("metric == 'mean_latency'")
    assert ((table["high"] - table["mean"]) <= 8).all()


def test_a_target_missed_is_reported_with_shortfall_and_alternative():
    """A mean that cannot be distinguished from zero has no meaningful share."""
    rare = [sim.Callback(), sim.Callback(loss=0.01)]
    with pytest.warns() as caught:
        sim.compare(
            outside(), rare, precision=0.01, metric="still_waiting", most_replications=12,
            progress=False,
        )  # fmt: skip
    (message,) = [str(one.message) for one in caught if one.category is sim.PrecisionWarning]
    assert (
        "precision of ± 1 % of the waits still open was not reached in 12 replications" in message
    )
    assert "callback, 1 % lost: " in message


def test_replications_for_a_precision_target_are_bounded():
    """It stops at most_replications, however far the target."""
    with pytest.warns(sim.PrecisionWarning, match="not reached in 7 replications"):
        assert compared(replications=None, precision=1e-4, most_replications=7).replications == 7


def test_waits_without_end_are_counted_in_a_warning():
    """Lost callbacks without a retry stay open: a warning gives their number by strategy."""
    strategies = [sim.Callback(), sim.Callback(loss=0.5)]
    with pytest.warns(sim.CensoredWarning, match=r"\d+ under callback, 50 % lost") as caught:
        comparison = sim.compare(outside(), strategies, replications=2, progress=False)
    lost = int(re.search(r"(\d+) under", str(caught[0].message))[1])
    row = comparison.table.query("metric == 'still_waiting'").set_index("strategy")
    assert row.loc["callback, 50 % lost", "mean"] * 2 == lost
    assert row.loc["callback", "mean"] == 0


def test_two_strategies_of_one_label_stay_apart():
    """Labels are made unique, so that no strategy overwrites another."""
    comparison = sim.compare(
        outside(),
        [sim.Callback("1s"), sim.Callback("2s")],
        replications=2,
        progress=False,
    )
    assert comparison.strategies == ["callback, delay 1 s", "callback, delay 2 s"]
    means = comparison.table.query("metric == 'mean_latency'")["mean"]
    assert means.tolist() == pytest.approx([1.0, 2.0])


def test_an_infinite_or_missing_latency_is_shown_as_a_dash():
    """With every callback lost nothing resumed: no number, not a zero."""
    with pytest.warns(sim.CensoredWarning):
        comparison = sim.compare(
            outside(), [sim.Callback(loss=1.0)], replications=2, progress=False
        )
    assert comparison.summary.loc["mean latency of resumed waits"].iloc[0] == "–"
    assert comparison.summary.loc["unresumed share"].iloc[0] == "100 %"


def test_it_prints_and_shows_in_a_notebook():
    """Both forms name the scenario, the strategies, the interval and the figures."""
    comparison = compared()
    for shown in (repr(comparison), comparison._repr_html_()):
        for part in ("outside", "polling 5 min", "95 %", "mean latency"):
            assert part in shown
    assert "difference" in repr(comparison)


def test_the_plot_has_three_parts_and_every_strategy():
    """Latency distribution, overhead against latency, load around the batch."""
    figure = compared().plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [
        "How late are steps resumed?",
        "Overhead and latency",
        "Open waits when there are most",
    ]
    for ax in figure.axes:
        assert {text.get_text() for text in ax.texts} == {"callback", "polling 5 min"}


def test_parts_of_the_plot_are_drawn_in_its_order():
    """Any number of them; what is no part, and what is no size, is refused by name."""
    comparison = compared()
    one, two = comparison.plot("overhead"), comparison.plot("open waits", "latency")
    assert [len(one.axes), len(two.axes)] == [1, 2]
    assert two.axes[0].get_xlabel() != two.axes[1].get_xlabel()
    assert two.axes[0].get_xlabel() == comparison.plot("latency").axes[0].get_xlabel()
    with pytest.raises(
        sim.ScenarioError, match=r"parts must be one of 'latency', .* got 'latencies'"
    ):
        comparison.plot("latencies")
    with pytest.raises(sim.ScenarioError, match=r"size must be one of 'page', 'slide', got 'A4'"):
        comparison.plot(size="A4")


@pytest.mark.parametrize(
    ("strategies", "options", "message"),
    [
        ([], {}, "strategies must be a list such as"),
        (sim.Callback(), {}, "strategies must be a list such as"),
        ("callback", {}, "strategies must be a list such as"),
        (None, {}, "strategies must be a list such as"),
        (PAIR, {"precision": "0.1"}, "precision must be a finite number, got '0.1'"),
        ([sim.Callback], {}, "strategies must hold strategies only"),
        (PAIR, {"replications": 0}, "replications must be a whole number, 1 or more, got 0"),
        (PAIR, {"replications": True}, "replications must be a whole number, 1 or more, got True"),
        (PAIR, {"precision": 5}, "precision must be a share between 0 and 1, got 5"),
        (PAIR, {"precision": 0.1, "within": "5s"}, "give precision (a share of the mean"),
        (PAIR, {"within": "soon"}, "within must be a duration such as"),
        (PAIR, {"within": "5s", "metric": "longest_queue"}, "within must be a finite number"),
        (PAIR, {"metric": "mean_latenzy"}, "did you mean 'mean_latency'?"),
        (
            PAIR,
            {"precision": 0.1, "metric": "longest_queue", "warm_up": "1h"},
            "metric must be known without the warm-up as well, got 'longest_queue'",
        ),
        (PAIR, {"metric": "cost"}, "metric 'cost' needs prices"),
        (PAIR, {"metric": "p95_latency"}, "metric goes with precision or within, which it is for"),
        (PAIR, {"confidence": None}, "confidence must be between 0 and 1, got None"),
        (PAIR, {"seed": -1}, "seed must be a whole number, 0 or more, got -1"),
        (PAIR, {"engine": "simpi"}, "did you mean 'simpy'"),
        (
            PAIR,
            {"n_jobs": 0},
            "n_jobs must be a whole number, 1 or more (or -1",
        ),
        (PAIR, {"n_jobs": "many"}, "n_jobs must be a whole number, 1 or more (or -1 for all"),
    ],
)
def test_wrong_arguments_are_named(strategies, options, message):
    """The message has the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        sim.compare(outside(), strategies, **({"progress": False} | options))


def test_an_unknown_strategy_label_is_named():
    """Asking for the run of a strategy that was not compared lists those that were."""
    with pytest.raises(sim.ScenarioError, match=r"'callback', 'polling 5 min', got 'poll'"):
        compared().run("poll")
    with pytest.raises(sim.ScenarioError, match="did you mean 'polling 5 min'"):
        compared().latencies("polling 5min")


def test_the_result_is_the_same_on_any_number_of_processes():
    """Two processes give the same figures to the last bit, and the same first runs."""
    one, two = (compared(n_jobs=n, seed=3, replications=6) for n in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)
    for label in one.strategies:
        np.testing.assert_array_equal(one.latencies(label), two.latencies(label))
        pd.testing.assert_frame_equal(one.run(label).waits, two.run(label).waits)


def test_a_precision_target_is_met_in_the_same_way_on_several_processes():
    """How many replications are needed does not depend on where they are played."""
    one, two = (compared(n_jobs=n, replications=None, precision=0.08) for n in (1, 2))
    assert one.replications == two.replications > 5
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)


def test_a_comparison_builds_no_tables_that_nobody_asked_for(monkeypatch):
    """Figures come from arrays; tables of instances and waits are for those who look at them."""
    for name in ("waits", "instances", "steps", "deliveries", "server", "open_waits"):
        monkeypatch.delattr(Run, name)
    assert len(compared(replications=2).table) == 2 * len(metrics_of(outside()))


def test_both_engines_compare_alike():
    """The engine changes the speed, not the table."""
    one, two = (compared(engine=engine, replications=3) for engine in ("simpy", "compiled"))
    pd.testing.assert_frame_equal(one.table, two.table, rtol=1e-9)


def test_costs_are_compared_in_their_currency():
    """With prices, cost and its paired difference stand in the table; without, they do not."""
    prices = sim.CostModel(check=0.5, request=0.25, currency="EUR")
    scenario = outside(sim.exponential("10min"), costs=prices)
    found = sim.compare(scenario, PAIR, replications=3, progress=False)
    assert {"cost [EUR]", "cost [EUR], difference"} <= set(found.summary.index)
    means = found.table.pivot(index="metric", columns="strategy", values="mean")
    checks = 50 * means.loc["checks_per_wait", "polling 5 min"]
    assert means.loc["cost", "polling 5 min"] == pytest.approx(0.75 * checks)
    assert means.loc["cost", "callback"] == pytest.approx(0.25 * 50)
    assert not [row for row in compared(replications=2).summary.index if "cost" in row]


def test_a_warm_up_is_in_no_metric_and_is_reported():
    """Of a system that begins empty the open waits of later days are nearer to the steady state."""
    scenario = outside("12h", sim.Poisson("100/day"), length="6 days")
    options = {"replications": 4, "progress": False}
    whole, later = (sim.compare(scenario, PAIR, warm_up=w, **options) for w in (None, "2 days"))
    runs = [
        sim.simulate(scenario, PAIR[0], replication=k).summary(after="2 days") for k in range(4)
    ]
    means = later.table.set_index(["metric", "strategy"])["mean"]
    for metric in ("mean_latency", "armed", "mean_open_waits", "utilisation"):
        expected = np.mean([run[metric].iloc[0] for run in runs])
        assert means[metric, "callback"] == pytest.approx(expected)
    assert np.isnan(means["longest_queue", "callback"])
    assert "without a warm-up of 2 d each" in repr(later)
    assert "warm-up" in later._repr_html_()
    assert "warm-up" not in repr(whole)
    armed = whole.table.query("metric == 'armed'")["mean"].iloc[0]
    left = round((armed - means["armed", "callback"]) * 4)
    assert f"{left:,} waits" in repr(later)
    assert len(later.latencies("callback")) == means["armed", "callback"] * 4


def test_a_share_of_no_checks_is_a_dash_beside_the_share_of_a_poll(tmp_path):
    """Absent, not 0 %: in the short table, in HTML, in a report; other intervals are untouched."""
    found = compared(replications=3)
    dash, share = found.summary.loc["wasted share"]
    assert dash == "–"
    assert "±" in share
    rows = found.table.query("metric == 'wasted_share'").set_index("strategy")
    assert rows["n"].tolist() == [0, 3]
    assert rows["mean"].isna().tolist() == [True, False]
    page = sim.report(found, tmp_path / "page.html").read_text(encoding="utf-8")
    for html in (found._repr_html_(), found.run("callback")._repr_html_(), page):
        assert "–</td>" in html
        assert "NaN" not in re.sub(r"base64,[^\"]*", "", html)
        assert ">nan<" not in html


@pytest.mark.parametrize("warm_up", ["1 day", "10s", 0, "soon"])
def test_a_wrong_warm_up_is_named(warm_up):
    """It is shorter than the scenario, and falls between two bins of the load."""
    with pytest.raises(sim.ScenarioError, match="warm_up must be"):
        compared(warm_up=warm_up)


def test_tables_are_the_callers_own():
    """Changing a table of a comparison, or its latencies, changes nothing in it."""
    comparison = sim.compare(outside(), [sim.Callback("1s")], replications=2, progress=False)
    for name in ("table", "summary"):
        assert_handed_out(comparison, name)
    comparison.latencies("callback")[:] = 0.0
    assert comparison.latencies("callback").mean() == pytest.approx(1.0)


def test_one_strategy_counts_for_all_waits():
    """A strategy for each step is a natural wish: the message states the rule."""
    each = {"post": sim.Callback()}
    with pytest.raises(sim.ScenarioError, match="the same for all waits of a run"):
        sim.simulate(outside(), each)
    with pytest.raises(sim.ScenarioError, match="all waits of a run have the same"):
        sim.compare(outside(), [each])
