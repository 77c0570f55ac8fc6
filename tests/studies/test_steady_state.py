"""Metrics in the steady state, with queueing theory as the oracle."""

import re

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.experiment import theory


def queue(load, **changes) -> sim.Scenario:
    """Return M/M/1 with a mean service time of 1 s."""
    scenario = sim.Scenario(
        name="M/M/1",
        process=sim.Process("work", [sim.Step("work", work=sim.exponential("1s"))]),
        systems={},
        arrivals=sim.Poisson(load),
        server=sim.WorkflowServer(workers=1),
    )
    return scenario.replace(**changes)


def nights(**changes) -> sim.Scenario:
    """Return waits for a nightly batch."""
    scenario = sim.Scenario(
        name="nights",
        process=sim.Process("p", [sim.AsyncStep("post", system="ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "1s")},
        arrivals=sim.Poisson("60/day", between=("08:00", "20:00")),
    )
    return scenario.replace(**changes)


def found_of(scenario, metric="latency", strategy=None, **options):
    options = {"progress": False, "seed": 1} | options
    return sim.steady_state(scenario, strategy or sim.Callback("2s"), metric, **options)


@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")  # MSER-5 errs at times
@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("cycle_time", theory.mg1_wait(0.8, 1.0) + 1),
        ("queue_length", 0.8 * theory.mg1_wait(0.8, 1.0)),
        ("busy_workers", 0.8),
    ],
)
def test_replications_give_what_theory_says(metric, expected):
    """M/M/1 at 0.8, ten replications less their warm-up: the 99.9 % interval holds the truth."""
    found = found_of(
        queue(0.8), metric, length="24000s", cycle="300s", replications=10, confidence=0.999
    )
    assert found.method == "replication/deletion"
    assert expected in found.estimate
    assert found.estimate.n == 10
    assert found.estimate.half_width < 0.25 * expected


@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")  # MSER-5 errs at times
def test_one_long_run_gives_what_theory_says():
    """By batch means; open waits are M/G/∞: rate times mean, from a warm-up of one mean time."""
    scenario = nights(
        systems={"ledger": sim.OnlineService(sim.exponential("6h"), lanes=None)},
        arrivals=sim.Poisson("20/h"),
    )
    found = found_of(scenario, "open_waits", confidence=0.999, length="200 days")
    assert found.method == "batch means"
    assert 120 in found.estimate
    assert found.batches.interval == found.estimate


@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")  # MSER-5 errs at times
def test_intervals_cover_the_truth_as_often_as_they_say():
    """Nine of ten intervals by batch means hold the utilisation 0.5, less what MSER costs."""
    hits = [
        0.5 in found_of(queue(0.5), "busy_workers", length="12000s", cycle="100s",
                        seed=k, confidence=0.9).estimate
        for k in range(60)
    ]  # fmt: skip
    assert np.mean(hits) > 0.9 - 0.05 - 4 * np.sqrt(0.09 / 60)


@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")
def test_a_warm_up_is_cut_and_brings_the_mean_nearer():
    """Waits of ten days at 200 a day: from empty, the first days are not like the others."""
    scenario = nights(
        systems={"ledger": sim.OnlineService(sim.fixed("10 days"), lanes=None)},
        arrivals=sim.Poisson("200/day"),
    )
    found = found_of(scenario, "open_waits", replications=3, length="90 days")
    whole = found.series["value"].mean()
    assert found.warm_up >= 5
    assert abs(found.estimate.mean - 2000) < abs(whole - 2000) / 3


@pytest.mark.parametrize("metric", ["cycle_time", "latency", "open_waits"])
def test_an_overloaded_system_has_no_steady_state(metric):
    """More comes in than the batch can do: also where the metric itself does not show it."""
    scenario = nights(
        systems={"ledger": sim.NightlyBatch("22:00", "20min")},
        arrivals=sim.Poisson("100/day"),
    )
    with pytest.warns(sim.SteadyStateWarning, match="no steady state"):
        found = found_of(scenario, metric)
    assert not found.reliable
    assert any("number of running instances" in doubt for doubt in found.doubts)
    assert repr(found).startswith("Not reliable: in the long run ")
    assert "Not reliable" in found._repr_html_()


def test_too_short_a_run_is_flagged():
    """Twenty days are four batches of five."""
    with pytest.warns(sim.SteadyStateWarning, match="too few"):
        found = found_of(nights(), length="20 days")
    assert not found.reliable


def test_nothing_is_left_out_silently():
    """Cycles used and left out add up, waits as well, and the mean is that of those used."""
    found = found_of(nights(), length="63 days", seed=3)
    table = found.series
    counts = found.left_out
    unused = counts["cycles of warm-up"] + counts["cycles that fill no batch"]
    assert len(table) == 62  # one keeps arrivals coming
    assert table["used"].sum() == 62 - unused - counts["cycles with nothing to average"]
    used = table[table["used"]]
    assert counts["waits in cycles left out"] == table.loc[~table["used"], "weight"].sum()
    assert found.estimate.mean == pytest.approx(np.average(used["value"], weights=used["weight"]))
    shown = repr(found)
    for what, n in counts.items():
        assert (f"{what}: {n:,}" in shown) == (n > 0)


def test_what_never_ended_is_counted_and_warned_of():
    """Lost callbacks have no latency, so they are in no mean."""
    with pytest.warns() as caught:
        found = found_of(nights(), strategy=sim.Callback(loss=0.2), length="60 days")
    (message,) = [str(one.message) for one in caught if one.category is sim.CensoredWarning]
    lost = found.left_out["waits that never ended"]
    assert f"{lost} waits never ended under callback, 20 % lost" in message
    assert lost == found.series["missing"].sum() > 0
    share = lost / (lost + found.series["weight"].sum())
    for shown in (repr(found), found._repr_html_()):
        assert "latency of resumed waits" in shown
        assert f"{100 * share:.3g} % of waits never resumed" in shown
        assert message in shown
    assert "% of waits never resumed" in found.plot().get_suptitle()


@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")
def test_days_without_waits_are_left_out_and_counted():
    """With working days only, two of seven have nothing to average."""
    arrivals = sim.Poisson("60/day", between=("08:00", "20:00"), days="Mon-Fri")
    found = found_of(nights(arrivals=arrivals), length="71 days", replications=2)
    empty = found.series.query("weight == 0")
    assert len(empty) == 2 * 20
    assert found.left_out["cycles with nothing to average"] == np.sum(
        empty["cycle"] > found.warm_up
    )
    assert found.estimate.mean == pytest.approx(2.0)


@pytest.mark.slow
def test_the_result_is_the_same_on_any_number_of_processes_and_engine():
    """To the last bit on processes, to rounding on engines."""
    one, two = (found_of(nights(), replications=3, n_jobs=n, length="55 days") for n in (1, 2))
    assert one.estimate == two.estimate
    other = found_of(nights(), replications=3, engine="simpy", length="55 days")
    assert other.estimate.mean == pytest.approx(one.estimate.mean)


def test_the_scenario_s_own_length_is_kept_where_arrivals_are_counted():
    """A fixed number of arrivals over a longer time would be thinner; a log ends where it ends."""
    scenario = nights(arrivals=sim.UniformArrivals(1000), length="61 days")
    assert len(found_of(scenario, length=None).series) == 60
    with pytest.raises(sim.ScenarioError, match=r"length must be None .* take Poisson"):
        found_of(scenario, length="90 days")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "latenzy"}, "did you mean 'latency'?"),
        ({"length": "2 days"}, "length must be at least three cycles, got 2 d and cycles of 1 d"),
        ({"length": "soon"}, "length must be a duration"),
        ({"cycle": 0}, "cycle must be positive, got 0"),
        ({"replications": 0}, "replications must be a whole number, 1 or more, got 0"),
        ({"strategy": "callback"}, "strategy must be a strategy"),
        ({"confidence": 95}, "confidence must be between 0 and 1, got 95"),
        ({"confidence": "x"}, "confidence must be between 0 and 1, got 'x'"),
        ({"engine": "fast"}, "engine must be one of"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    """With the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        found_of(nights(), **options)


@pytest.mark.parametrize("load", [0.9, 0.98, 1.02])
def test_a_load_too_near_to_full_is_reported_in_any_case(load):
    """60 days are 11 relaxation times at 0.95 and jobs of 10 min: no interval can be trusted."""
    jobs = sim.Process("work", [sim.Step("work", work=sim.exponential("10min"))])
    near = queue("1/h", process=jobs).replace(arrivals=sim.Poisson(f"{6 * load}/h"))
    with pytest.warns(sim.SteadyStateWarning, match="the workers"):
        found = sim.steady_state(near, sim.Callback(), "cycle_time", progress=False)
    assert not found.reliable
    service = near.replace(
        process=sim.Process("ask", [sim.AsyncStep("ask", "office")]),
        systems={"office": sim.OnlineService("10min")},
    )
    with pytest.warns(sim.SteadyStateWarning, match="office"):
        sim.steady_state(service, sim.Callback(), "cycle_time", progress=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asyncsim.SteadyStateWarning")
def test_one_run_is_not_biased_by_quiet_days_or_chance_peaks():
    """The mean of days' means is too low, and so is what a cut of chance peaks leaves.

    M/M/2 at utilisation 0.8, 60 days: at least 93 % of the 95 % intervals hold the truth.
    """
    jobs = sim.Process("work", [sim.Step("work", work=sim.exponential("10min"))])
    busy = queue("1/h", process=jobs).replace(
        arrivals=sim.Poisson("9.6/h"), server=sim.WorkflowServer(2)
    )
    truth = 600.0 * (1 + theory.mmc_wait(2, 1.6))
    found = [
        sim.steady_state(busy, sim.Callback(), "cycle_time", seed=seed, progress=False).estimate
        for seed in range(100)
    ]
    means = np.array([one.mean for one in found]) / truth
    assert abs(means.mean() - 1) < 3 * means.std(ddof=1) / np.sqrt(len(means))
    assert np.mean([truth in one for one in found]) >= 0.93


def test_it_prints_shows_and_draws():
    """Figure, method, warm-up; the plot shades what is cut."""
    found = found_of(nights(), "cycle_time", sim.Polling("1h"), replications=4)
    for shown in (repr(found), found._repr_html_()):
        for part in (
            "nights, polling 1 h",
            "cycle time",
            "replication/deletion over 4 replications",
            "95 %",
        ):
            assert part in shown
    ax = found.plot(window=3).axes[0]
    labels = ax.get_legend_handles_labels()[1]
    assert {"mean per cycle", "moving average"} <= set(labels)
    assert any(label.startswith("estimate: ") for label in labels)
    assert ("warm-up" in labels) == (found.warm_up > 0)


def test_it_can_stand_in_a_report(tmp_path):
    """A steady state and a number of replications are studies like the others."""
    needed = sim.replications_for(nights(), [sim.Polling("1h")], precision=0.2, progress=False)
    path = sim.report(
        [found_of(nights(), strategy=sim.Polling("1h")), needed], tmp_path / "study.html"
    )
    text = path.read_text(encoding="utf-8")
    assert "batch means" in text
    assert "precision of ± 20 %" in text
