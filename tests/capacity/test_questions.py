"""Fewest workers, largest volume, longest interval: against closed forms."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

import asyncsim as sim

QUIET = {"progress": False}


def herd(jobs=602, workers=4, **changes):
    """Callbacks of a second, all at once: the last leaves after ceil(N / c) seconds."""
    scenario = sim.Scenario(
        name="herd",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
        server=sim.WorkflowServer(workers, callback_work="1s"),
        arrivals=sim.UniformArrivals(jobs, between=("08:00", "20:00")),
    )
    return scenario.replace(**changes)


def outside(mean=600.0, waits=400, **changes):
    """Nothing but waits, exponential."""
    scenario = sim.Scenario(
        name="outside",
        process=sim.Process("p", [sim.AsyncStep("ask", "office")]),
        systems={"office": sim.OnlineService(sim.exponential(mean), lanes=None)},
        arrivals=sim.UniformArrivals(waits),
    )
    return scenario.replace(**changes)


@pytest.mark.parametrize("start", [1, 4, 11, 200])
def test_the_fewest_workers_are_those_of_the_closed_form(start):
    """ceil(602 / c) <= 60 first holds at c = 11; wherever the search begins."""
    expected = min(c for c in range(1, 1000) if math.ceil(602 / c) <= 60)
    answer = sim.fewest_workers(
        herd(workers=start), sim.Callback(), "max_latency <= 1min", replications=3, **QUIET
    )
    assert (answer.value, answer.low, answer.high) == (expected,) * 3
    assert answer.one_way
    assert len(answer.table) <= 20
    verdicts = answer.table.set_index("value")["verdict"]
    assert verdicts[expected] == "met"
    assert verdicts[expected - 1] == "not met"


def test_the_largest_volume_is_that_of_the_closed_form():
    """4 workers take 240 callbacks of a second within a minute."""
    answer = sim.largest_volume(
        herd(jobs=30), sim.Callback(), "max_latency under 1 min", replications=3, **QUIET
    )
    assert (answer.value, answer.low, answer.high) == (240, 240, 240)
    assert answer.field == "arrivals.count"


@pytest.mark.slow
def test_a_poisson_volume_has_an_interval_that_holds_the_closed_form():
    """Mean of ceil(N / 4) over Poisson N is about N / 4 + 3/8: 60 s are met up to 238.5 a day."""
    scenario = herd(arrivals=sim.Poisson("100/day", between=("08:00", "20:00")))
    answer = sim.largest_volume(scenario, sim.Callback(), "max_latency <= 60s", **QUIET)
    low, high = (float(end.removesuffix("/day")) for end in (answer.low, answer.high))
    mean = [
        sum(stats.poisson.pmf(n, r) * math.ceil(n / 4) for n in range(600)) for r in (low, high)
    ]
    assert mean[0] <= 60 <= mean[1]
    assert answer.value.endswith("/day")


@pytest.mark.slow
def test_the_longest_interval_is_that_of_the_closed_form_as_often_as_it_claims():
    """T/(1 - e^(-T/m)) - m = 4 min; the 80 % interval holds T in at least a fair share of seeds."""
    mean, target = 600.0, 240.0
    exact = brentq(lambda t: t / -math.expm1(-t / mean) - mean - target, 1, 3600)
    held = 0
    for seed in range(20):
        answer = sim.longest_interval(
            outside(mean),
            "mean_latency <= 4min",
            seed=seed,
            confidence=0.8,
            replications=8,
            **QUIET,
        )
        assert answer.value == pytest.approx(exact, rel=0.15)
        held += answer.low <= exact <= answer.high
    assert held >= stats.binom.ppf(0.001, 20, 0.8)


def test_a_target_that_cannot_be_met_is_reported_with_the_best_value():
    """Not even at a thousand workers: the value is None."""
    answer = sim.fewest_workers(
        herd(), sim.Callback("5s"), "max_latency <= 2s", replications=2, **QUIET
    )
    assert (answer.value, answer.high) == (None, None)
    assert answer.text.startswith("No number of workers from 1 to 1,024 is found with which")
    assert ": with 1,024 it is 6" in answer.text
    assert set(answer.table["verdict"]) == {"not met"}


def test_losing_callbacks_does_not_meet_a_target():
    """A fifth never resumes: no number of workers helps, and the answer explains it."""
    scenario = herd(process=sim.Process("p", [sim.AsyncStep("post", "ledger", timeout="1d")]))
    answer = sim.fewest_workers(
        scenario,
        sim.Callback(loss=0.2),
        "p95_latency <= 1h",
        between=(1, 8),
        replications=2,
        **QUIET,
    )
    assert answer.value is None
    assert "infinitely late" in repr(answer)
    answer.plot()


def test_callbacks_lost_while_a_queue_stays_short_are_reported():
    """The metric does not show them; the answer counts the waits that never resumed."""
    scenario = herd(process=sim.Process("p", [sim.AsyncStep("post", "ledger", timeout="1d")]))
    lossy = sim.Callback(loss=0.9)
    answer = sim.largest_volume(
        scenario, lossy, "longest_queue <= 20", between=(10, 1000), replications=3, **QUIET
    )
    assert "waits never resumed in these replications; the longest queue shows none" in repr(answer)
    share = answer.table.set_index("value").loc[answer.value, "unresumed_share"]
    assert 0.8 < share < 1
    shown = f"; {100 * share:.3g} % ("
    assert shown in answer.text
    assert answer.text.endswith(" of the waits never resume.")
    figure = answer.plot()
    assert shown in figure.alt
    assert any(
        " % never resumed)" in text for text in figure.axes[0].get_legend_handles_labels()[1]
    )


@pytest.mark.parametrize("target", ["mean_cycle_time <= 1d", "cost <= 1e9"])
def test_an_endless_wait_has_infinite_cycle_time_and_cost(target):
    """A tenth of the callbacks are lost without a safety poll: no such target is met."""
    prices = sim.CostModel(check=0.01, late_minute=0.01)
    answer = sim.fewest_workers(
        herd(costs=prices), sim.Callback(loss=0.1), target, between=(1, 4), replications=2, **QUIET
    )
    assert answer.value is None
    assert "count as infinitely late" in repr(answer)


def test_a_field_that_a_strategy_lacks_raises_with_its_own():
    """A callback does not poll; a backoff has a cap."""
    with pytest.raises(sim.ScenarioError, match=r"is none of 'callback'; it does not poll"):
        sim.longest_interval(outside(), "mean_latency <= 60s", sim.Callback(), **QUIET)
    with pytest.raises(sim.ScenarioError, match=r"name field='strategy.cap'"):
        sim.longest_interval(outside(), "mean_latency <= 60s", sim.Backoff("1s"), **QUIET)
    with pytest.raises(sim.ScenarioError, match=r"name field='strategy.interval'"):
        sim.longest_interval(outside(), "mean_latency <= 60s", field="interval", **QUIET)


def test_a_metric_that_no_run_has_raises_at_once():
    """Without a search over a thousand workers."""
    scenario = herd(process=sim.Process("p", [sim.Step("work", "1s")]))
    with pytest.raises(
        sim.ScenarioError, match=r"metric 'p95_latency' was seen in no run.*any step wait"
    ):
        sim.fewest_workers(scenario, sim.Callback(), "p95_latency <= 1s", replications=2, **QUIET)


def test_a_metric_that_is_not_monotone_is_reported():
    """Everything takes ten minutes: the interval that divides them is best, by luck."""
    scenario = outside(systems={"office": sim.OnlineService("10min", lanes=None)}, waits=5)
    answer = sim.longest_interval(
        scenario, "mean_latency <= 1s", between=("1min", "20min"), replications=2, **QUIET
    )
    assert not answer.one_way
    assert "does not go one way" in repr(answer)


def test_the_number_of_processes_changes_nothing():
    """The same table on one process and on two."""
    one, two = (
        sim.fewest_workers(herd(), sim.Callback(), "max_latency <= 60s", n_jobs=n, replications=4,
                           between=(1, 64), **QUIET)
        for n in (1, 2)
    )  # fmt: skip
    assert one.table.equals(two.table)


def test_any_field_may_stand_for_volume_or_interval():
    """Seconds between regular arrivals; the cap of a backoff."""
    scenario = herd(arrivals=sim.Regular("1min", between=("08:00", "20:00")))
    with pytest.raises(
        sim.ScenarioError, match="field must be given for arrivals of class Regular"
    ):
        sim.largest_volume(scenario, sim.Callback(), "max_latency <= 60s", **QUIET)
    capped = sim.longest_interval(
        outside(), "mean_latency <= 60s", sim.Backoff("1s", 2.0, "1min"), field="strategy.cap",
        between=("2s", "1h"), replications=4, **QUIET
    )  # fmt: skip
    assert 60 < capped.value < 600
    assert "backoff" in repr(capped)


def test_an_answer_shows_itself():
    """Words, HTML with the table, and a picture with the bound in it."""
    answer = sim.fewest_workers(
        herd(), sim.Callback(), "max_latency <= 60s", replications=2, **QUIET
    )
    assert repr(answer).startswith(
        "11 workers (95 % interval: 11 alone): the longest latency is 55 s (in every replication); "
        "with 10 it is 1.017 min (in every replication).\n"
    )
    assert "<table" in answer._repr_html_()
    (ax,) = answer.plot().axes
    assert any(np.allclose(line.get_ydata(), 60.0) for line in ax.lines)


def test_effort_is_checked():
    """One replication has no interval."""
    with pytest.raises(sim.ScenarioError, match=r"replications must be 2 or more.*got 1"):
        sim.fewest_workers(herd(), sim.Callback(), "max_latency <= 60s", replications=1)
    with pytest.raises(sim.ScenarioError, match="strategy must be a strategy"):
        sim.fewest_workers(herd(), sim.Callback, "max_latency <= 60s")


def test_the_volume_of_weekly_arrivals_is_their_factor():
    """A herd of n takes n / 8 s on average: 1,320 v of them at 22:00, 120 v a night later."""
    scenario = herd(arrivals=sim.WeeklyPoisson([60.0] * 24))
    target, ends = "mean_latency <= 4min", (0.5, 4.0)
    answer = sim.largest_volume(
        scenario, sim.Callback(), target, between=ends, replications=3, **QUIET
    )
    assert answer.field == "arrivals.volume"
    expected = 240 / ((1320**2 + 120**2) / (1440 * 8))
    assert answer.value == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_an_answer_in_the_middle_of_the_range_is_found():
    """Five checks at short intervals give up too soon, at long ones they come too late.

    P95 of the exponential time is 90 min, which five checks reach from 18 min on.
    """
    scenario = sim.Scenario(
        name="asked",
        process=sim.Process("p", [sim.AsyncStep("ask", "office")]),
        systems={"office": sim.OnlineService(sim.exponential("30min"), lanes=None)},
        arrivals=sim.UniformArrivals(500),
    )
    polling = sim.Polling("5min", limit=5)
    answer = sim.longest_interval(
        scenario, "p95_latency <= 30min", polling, replications=5, **QUIET
    )
    assert 25 * 60 < answer.value < 35 * 60
    assert "one way" in repr(answer)


def test_a_cost_that_falls_and_rises_with_workers_has_a_fewest_number():
    """Each worker costs 24 a day; with one, lateness costs more than the second does."""
    scenario = herd().replace(
        costs=sim.CostModel(worker_hour=1.0, worker_time="provided", late_minute=0.05)
    )
    table = sim.sweep(
        scenario, {"server.workers": [1, 2, 3, 4]}, [sim.Callback()], replications=3, **QUIET
    ).of("cost")
    costs = dict(zip(table["server.workers"], table["mean"], strict=True))
    least = min(costs, key=costs.__getitem__)
    target = f"cost <= {costs[least] + 1:.2f}"
    answer = sim.fewest_workers(scenario, sim.Callback(), target, replications=3, **QUIET)
    assert answer.value == min(n for n, cost in costs.items() if cost <= costs[least] + 1)


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
@pytest.mark.parametrize("metric", ["timed_out", "failed"])
def test_metrics_that_count_unresumed_waits_have_no_note_that_they_ignore_them(metric):
    """They are these waits, or the instances of them."""
    scenario = sim.Scenario(
        name="asked",
        process=sim.Process("p", [sim.AsyncStep("ask", "office", timeout="1h")]),
        systems={"office": sim.OnlineService(sim.exponential("30min"), lanes=None)},
        arrivals=sim.UniformArrivals(100),
    )
    polling = sim.Polling("5min")
    answer = sim.fewest_workers(
        scenario, polling, f"{metric} <= 90", between=(1, 4), replications=2, **QUIET
    )
    assert "none of them" not in repr(answer)
