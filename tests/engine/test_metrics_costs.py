"""What a run came to, worked out by hand."""

import math

import pytest
from plays import only, play, scenario_of, wait_for

import asyncsim as sim

PRICES = sim.CostModel(
    check=2.0,
    request=0.1,
    transition=0.01,
    worker_hour=3600.0,
    late_minute=60.0,
    service_level=10.0,
)


def priced(strategy, external, *, costs=PRICES, until=None, **step):
    """Return the one row of metrics of one wait, with prices."""
    server = {"workers": 2, "poll_work": 3.0, "callback_work": 5.0, "costs": costs}
    run = wait_for(strategy, external, server=server, until=until, **step)
    return run, only(run.summary())


def test_polling_pays_for_checks_requests_transitions_workers_and_lateness():
    """Complete at 130 s; checks at 60, 120 and 180 s, which ends at 183 s: 53 s late, 10 free."""
    _, cost = priced(sim.Polling(60.0), 130.0)
    assert cost.cost_of_checks == pytest.approx(3 * 2.0)
    assert cost.cost_of_requests == pytest.approx(3 * 0.1)
    assert cost.cost_of_transitions == pytest.approx((1 + 3 * 3) * 0.01)
    assert cost.cost_of_workers == pytest.approx(3 * 3.0)
    assert cost.cost_of_lateness == pytest.approx(53.0 - 10.0)
    parts = [name for name in cost.index if name.startswith("cost_of")]
    assert cost.cost == cost.cost_per_wait == pytest.approx(cost[parts].sum())


def test_a_callback_is_one_transition_one_request_and_five_seconds_of_a_worker():
    """No checks to pay for; five seconds late are within the service level."""
    _, cost = priced(sim.Callback(), 130.0)
    assert (cost.cost_of_checks, cost.cost_of_lateness) == (0, 0)
    assert cost.cost_of_requests == pytest.approx(0.1)
    assert cost.cost_of_transitions == pytest.approx(0.01)
    assert cost.cost_of_workers == pytest.approx(5.0)


def test_a_lost_callback_is_late_until_its_time_out():
    """Complete at 10 s, given up at 100 s: 90 s late, 10 of them free."""
    _, cost = priced(sim.Callback(loss=1.0), 10.0, timeout=100.0)
    assert math.isnan(cost.mean_latency)
    assert cost.cost_of_lateness == pytest.approx(80.0)


def test_a_wait_that_is_still_open_is_late_until_the_run_stops():
    """Nothing is censored silently: the loss is paid for, as far as it was seen."""
    run, cost = priced(sim.Callback(loss=1.0), 10.0, until=500.0)
    assert run.record.end == 500.0
    assert cost.cost_of_lateness == pytest.approx(480.0)


def test_work_not_complete_when_the_run_stops_is_not_late():
    """Neither NaN nor a negative number."""
    _, cost = priced(sim.Callback(), 1000.0, until=500.0)
    assert cost.cost_of_lateness == 0


@pytest.mark.parametrize(
    ("worker_time", "seconds"),
    [("overhead", 3 * 3.0), ("busy", 3 * 3.0 + 7.0), ("provided", 2 * 1.0)],
)
def test_worker_hours_are_those_that_are_paid_for(worker_time, seconds):
    """Seven seconds of other work; two workers for the length of one second."""
    scenario = scenario_of(
        [sim.Step("first", 7.0), sim.AsyncStep("w", "out")],
        workers=2,
        poll_work=3.0,
        costs=sim.CostModel(worker_hour=3600.0, worker_time=worker_time),
    )
    run = play(sim.Polling(60.0), scenario, work={"first": 7.0}, external={"w": 130.0})
    assert only(run.summary()).cost_of_workers == pytest.approx(seconds)


def test_without_prices_nothing_is_said_of_money():
    """No column of zeros that looks like a result."""
    run = wait_for(sim.Callback(), 10.0)
    assert not [name for name in run.summary().columns if "cost" in name]
