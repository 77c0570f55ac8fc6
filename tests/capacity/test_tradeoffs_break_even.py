"""Where two strategies are equally good, and where a callback is worse than polling."""

import re

import pytest
from scipy import stats
from thorough import times

import asyncsim as sim

pytestmark = pytest.mark.slow

QUIET = {"progress": False}


def outside(waits=1000, **step):
    """Exponential waits with a mean of ten minutes."""
    return sim.Scenario(
        name="outside",
        process=sim.Process("p", [sim.AsyncStep("ask", "office", **step)]),
        systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
        arrivals=sim.UniformArrivals(waits),
    )


def test_a_safety_poll_and_polling_break_even_where_the_closed_forms_cross():
    """(1 - p) d + p R/2 = T/2 with d = 2 s, R = 1 h, T = 10 min: p = 0.1657."""
    safety = sim.CallbackWithSafetyPoll("2s", every="1h", anchor="random")
    exact = (300 - 2) / (1800 - 2)
    held = 0
    for seed in range(10):
        answer = sim.break_even(
            outside(400), safety, sim.Polling("10min", anchor="random"), "strategy.loss",
            (0.0, 1.0), replications=8, confidence=0.8, seed=seed, **QUIET
        )  # fmt: skip
        assert answer.value == pytest.approx(exact, rel=0.3)
        held += answer.low <= exact <= answer.high
    assert held >= stats.binom.ppf(0.001, 10, 0.8)
    low, high = answer.low, answer.high
    assert f"below {100 * low:.3g} % 'callback with safety poll', above" in answer.text
    assert f"above {100 * high:.3g} % 'polling 10 min" in answer.text
    answer.plot()


def test_without_a_safety_poll_callback_loses_as_soon_as_one_in_a_hundred_is_lost():
    """p99 over all armed waits: with more than 1 % lost it is infinite, polling's is not."""
    answer = sim.break_even(
        outside(4000, timeout="1d"), sim.Callback("2s"), sim.Polling("10min"), "strategy.loss",
        (0.0, 0.1), metric="p99_latency", replications=5, **QUIET
    )  # fmt: skip
    assert 0.004 < answer.value < 0.02
    assert f"below {100 * answer.low:.3g} % 'callback'" in answer.text
    assert "has the smaller 99th percentile of the latency; there" in answer.text


def test_a_herd_that_runs_into_a_rate_limit_makes_callback_lose():
    """100 come in at once, the others are turned away for good: p95 is lost beyond 105 of them."""
    scenario = sim.Scenario(
        name="herd",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger", timeout="1d")]),
        systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
        arrivals=sim.UniformArrivals(50, between=("08:00", "20:00")),
        server=sim.WorkflowServer(10, finish_limit="100 refilled 5/s"),
    )
    answer = sim.break_even(
        scenario, sim.Callback(), sim.Polling("5min"), "arrivals.count", (10, 1000),
        metric="p95_latency", replications=3, **QUIET
    )  # fmt: skip
    last = max(n for n in range(1, 1000) if 0.95 * (n - 1) <= 99)
    assert answer.value == answer.low == last
    patient = sim.break_even(
        scenario, sim.Callback(retries=["10s"] * 50), sim.Polling("5min"), "arrivals.count",
        (10, 1000), metric="p95_latency", replications=3, **QUIET
    )  # fmt: skip
    assert patient.value is None
    assert "'callback, 50 retries' has the smaller 95th percentile of the latency" in patient.text


def test_the_interval_at_which_polling_is_as_late_as_a_retried_callback():
    """Half lost, tried again after ten minutes: 10 min late on average, as T/2 at 20 minutes."""
    callback = sim.Callback(loss=0.5, retries=["10min"] * 40)
    answer = sim.break_even(
        outside(), callback, sim.Polling("1min", anchor="random"), "strategy.interval",
        ("1min", "2h"), **QUIET
    )  # fmt: skip
    assert answer.low <= 1200 * 1.02
    assert answer.high >= 1200 * 0.98
    assert re.search(
        "below [\\d.]+ min 'polling', above [\\d.]+ min 'callback, 50 % lost", answer.text
    )


def test_lost_callbacks_cost_without_bound():
    """Without time-outs the runs stop while waits are open: any loss makes polling cheaper."""
    prices = sim.CostModel(check=0.001, late_minute=0.02)
    answer = sim.break_even(
        outside(500).replace(costs=prices), sim.Callback(), sim.Polling("5min"), "strategy.loss",
        (0.0, 1.0), metric="cost", replications=6, **QUIET
    )  # fmt: skip
    assert answer.value == 0
    assert "one makes the cost infinite" in repr(answer)


def test_waits_that_timed_out_are_part_of_the_cost():
    """The lost are late for a day, so few may be lost; the answer reports that they are counted."""
    prices = sim.CostModel(check=0.001, late_minute=0.02)
    answer = sim.break_even(
        outside(500, timeout="1d").replace(costs=prices), sim.Callback(), sim.Polling("5min"),
        "strategy.loss", (0.0, 1.0), metric="cost", replications=6, **QUIET
    )  # fmt: skip
    assert 0 < answer.value < 0.05
    assert "they cost their lateness up to then" in repr(answer)


def test_rare_losses_are_losses_at_any_volume():
    """0.1 % lost: where runs begin to lose one is a matter of their size, not of the strategies."""
    answer = sim.break_even(
        outside(timeout="1d"), sim.Callback("1s", loss=0.001), sim.Polling("1h"),
        "arrivals.count", (20, 4000), replications=10, **QUIET
    )  # fmt: skip
    assert answer.value is None
    assert answer.text.startswith("'polling 1 h' is ahead wherever callbacks are lost")


def test_retried_callbacks_are_judged_by_most_replications():
    """0.1 % lost in all attempts: half of the runs lose one at 693, and a note explains it."""
    for seed in range(times(1)):
        answer = sim.break_even(
            outside(timeout="1d"), sim.Callback("1s", loss=0.1, retries=["1s", "1s"]),
            sim.Polling("1h"), "arrivals.count", (20, 4000), replications=10, seed=seed, **QUIET
        )  # fmt: skip
        assert 200 < answer.value < 2500
        assert "in longer ones the break-even may lie lower" in repr(answer)


def test_where_one_strategy_is_always_better_there_is_no_value():
    """A callback that is never lost is ahead at any volume."""
    answer = sim.break_even(
        outside(), sim.Callback("2s"), sim.Polling("10min"), "arrivals.count", (10, 500),
        replications=3, **QUIET
    )  # fmt: skip
    assert answer.value is None
    assert "'callback' has the smaller mean latency, significantly at each of " in answer.text


def test_two_equal_strategies_have_no_break_even():
    """The interval of the difference includes zero."""
    answer = sim.break_even(
        outside(50), sim.Polling("5min"), sim.Polling("5min"), "arrivals.count", (10, 100),
        replications=3, **QUIET
    )  # fmt: skip
    assert answer.value is None
    assert "neither has significantly the smaller mean latency at any of " in answer.text


def test_an_unknown_field_raises_with_the_nearest():
    """The message has both."""
    with pytest.raises(sim.ScenarioError, match=r"'arrivals.cuont' names no field.*'count'"):
        sim.break_even(
            outside(), sim.Callback(), sim.Polling(60), "arrivals.cuont", (1, 2), **QUIET
        )


def test_a_break_even_shows_what_each_strategy_loses():
    """For a metric that does not count lost callbacks, too."""
    answer = sim.break_even(
        outside(50, timeout="1d"), sim.Callback(loss=0.3), sim.Polling("5min"),
        "strategy.interval", ("1min", "1h"), metric="requests", replications=2, progress=False,
    )  # fmt: skip
    assert "of the waits under 'callback, 30 % lost' never resume" in answer.text
    assert "of the waits under 'polling" not in answer.text
    assert set(answer.table.groupby("strategy")["unresumed_share"].max() > 0) == {True, False}
