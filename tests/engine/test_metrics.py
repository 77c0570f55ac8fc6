"""The metrics of a summary, recomputed from the tables."""

import math

import numpy as np
import pandas as pd
import pytest
from both_engines import play_both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plays import only, play, scenario_of, wait_for
from scenarios import scenarios, strategies
from thorough import times

import asyncsim as sim
from asyncsim.engine.metrics import METRICS, averaged, compute_metrics, latencies, metrics_of

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")


def from_tables(run):
    """Compute every metric from the tables of a run alone."""
    waits, late, spent = run.waits, run.waits.latency.dropna(), run.overhead
    server = run.scenario.server
    start = run.instances.arrived.min()
    end = run.record.end
    ends = pd.concat([run.instances.ended, waits.closed])
    last = end if run.record.stopped or ends.isna().any() else ends.max()
    width = run.server.time[1] if len(run.server) > 1 else run.record.resolution
    closed = waits.closed.fillna(end)
    checks = waits.checks.sum()

    def quantile(share):
        return float(np.quantile(late, share)) if len(late) else math.nan

    def ratio(part, whole):
        return part / whole if whole else math.nan

    return {
        "unresumed_share": ratio((waits.outcome != "resumed").sum(), len(waits)),
        "mean_latency": late.mean(),
        "median_latency": quantile(0.5),
        "p95_latency": quantile(0.95),
        "p99_latency": quantile(0.99),
        "max_latency": late.max(),
        "checks_per_wait": ratio(checks, len(waits)),
        "wasted_share": ratio(waits.wasted_checks.sum(), checks),
        "deliveries_per_wait": ratio(waits.deliveries.sum(), len(waits)),
        "overhead_worker_time": (run.server.busy_check + run.server.busy_callback).sum() * width,
        "requests": spent.requests.sum(),
        "database_operations": spent.database_operations.sum(),
        "connection_time": spent.connection_seconds.sum(),
        "utilisation": ratio(
            # The table has what is after the last end in its last bins, such as late copies
            run.server.busy.sum() * width if last == end else run.record.busy_seconds(server),
            server.workers * (last - start),
        ),
        "longest_queue": run.record.longest_queue,
        "mean_cycle_time": run.instances.cycle_time[run.instances.outcome == "done"].mean(),
        "mean_open_waits": ratio((closed - waits.armed).sum(), last - start),
        "armed": len(waits),
        "timed_out": waits.outcome.isin(["timed out", "gave up"]).sum(),
        "still_waiting": (waits.outcome == "waiting").sum(),
        "failed": (run.instances.outcome == "failed").sum(),
    }


@settings(max_examples=times(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), strategies(), st.sampled_from([None, 40000.0]))
def test_every_metric_follows_from_the_tables(scenario, strategy, until):
    """Random runs, also stopped ones: the summary agrees with what the tables hold."""
    run = sim.simulate(scenario, strategy, until=until)
    row = run.summary().iloc[0]
    for name, value in from_tables(run).items():
        assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True), name
    assert row.instances == len(run.instances)


def test_the_metrics_of_a_small_run_worked_out_by_hand():
    """Two waits of 100 s, polled every 30 s with checks of 3 s, two workers, from 0 to 132 s.

    Asked at 30, 60, 90, 120 s; each check ends 3 s later; the answer is yes at 120 s.
    """
    run = wait_for(
        sim.Polling(30), 100.0, arrivals=(0.0, 0.0), server={"poll_work": 3.0, "workers": 2}
    )
    row = only(run.summary())
    assert row.mean_latency == row.max_latency == row.median_latency == 23.0
    assert (row.checks_per_wait, row.wasted_share) == (4.0, 0.75)
    assert row.overhead_worker_time == 24.0
    assert (row.requests, row.database_operations) == (8, 16)
    assert row.utilisation == pytest.approx(24.0 / (2 * 123.0))
    assert row.mean_open_waits == pytest.approx(2.0)
    assert row.mean_cycle_time == 123.0
    assert (row.armed, row.timed_out, row.still_waiting, row.failed) == (2, 0, 0, 0)
    assert row.unresumed_share == 0


def test_no_worker_is_busier_than_busy_when_a_run_is_stopped_with_a_backlog():
    """A hundred jobs of 1 s on one worker, stopped at 10 s: utilisation 1, not 10."""
    scenario = scenario_of([sim.Step("s", 1.0)], arrivals=[0.0] * 100, workers=1)
    run = play(sim.Callback(), scenario, until=10.0)
    assert only(run.summary()).utilisation == pytest.approx(1.0)
    assert only(run.summary()).longest_queue == 99


@pytest.mark.parametrize(
    "strategy", [sim.Callback(), sim.Polling(60), sim.LongPolling(5000), sim.Backoff()]
)
def test_timers_of_waits_that_are_over_do_not_prolong_a_run(strategy):
    """A time-out of a year, a check due, a line held: none of it counts once the step resumed."""
    run = wait_for(strategy, 60.0, timeout="365d", server={"workers": 1, "callback_work": 1.0})
    end = only(run.waits).resumed
    assert run.record.end == end < 130.0
    assert only(run.summary()).mean_open_waits == pytest.approx(1.0)
    assert len(run.server) <= 3


def test_a_delivery_after_the_last_end_belongs_to_the_run():
    """A copy that comes 1,000 s later is handled: the run ends with it."""
    run = wait_for(sim.Callback(duplicates=1.0, duplicate_delay=1000.0), 10.0)
    assert run.record.end == 1010.0


def test_where_there_is_nothing_to_average_there_is_no_metric():
    """No wait resumed: latencies are NaN, counts are zero, nothing is invented."""
    run = wait_for(sim.Callback(), 100.0, timeout=50.0)
    row = only(run.summary())
    assert math.isnan(row.mean_latency)
    assert math.isnan(row.p99_latency)
    assert math.isnan(row.mean_cycle_time)
    assert (row.timed_out, row.failed, row.checks_per_wait) == (1, 1, 0)
    assert len(latencies(run.record)) == 0


def test_what_has_no_value_without_a_resumed_wait_is_marked_where_waits_were_lost():
    """One wait, checked and still open: what is absent averages resumed waits or done instances."""
    run = wait_for(sim.Polling(10.0), 100.0, until=50.0)
    found = compute_metrics(run.record, run.scenario)
    absent = {name for name in metrics_of(run.scenario) if math.isnan(found[name])}
    assert absent == {name for name in METRICS if averaged(name)}


def test_a_share_of_no_checks_is_absent():
    """A callback makes no checks, and wastes no share of them: not 0 %, as a poll that is right."""
    assert math.isnan(only(wait_for(sim.Callback(), 10.0).summary()).wasted_share)
    assert only(wait_for(sim.Polling(10.0), 10.0).summary()).wasted_share == 0.0


def test_quantiles_are_interpolated_between_the_two_nearest_waits():
    """Of 10, 20, …, 100 s the 95 % quantile is 95.5 s, though 90 % resumed sooner than that."""
    late = [10.0 * k for k in range(1, 11)]
    run = wait_for(
        sim.Polling(200.0), [200.0 - one for one in late], arrivals=tuple(0.0 for _ in late)
    )
    row = only(run.summary())
    assert sorted(run.waits.latency) == late
    assert row.p95_latency == pytest.approx(95.5)
    assert row.median_latency == 55.0


def test_every_metric_has_a_unit_and_a_meaning_and_nothing_else_is_listed():
    """The table of metrics and the metrics are the same names in the same order."""
    run = wait_for(sim.Callback(), 10.0)
    assert list(compute_metrics(run.record, run.scenario)) == list(METRICS)
    assert all(metric.unit and metric.meaning for metric in METRICS.values())
    head = ["scenario", "strategy", "engine", "seed", "replication", "instances"]
    priced = wait_for(sim.Callback(), 10.0, server={"costs": sim.CostModel()})
    assert list(run.summary().columns) == [*head, *metrics_of(run.scenario)]
    assert list(priced.summary().columns) == [*head, *METRICS]
    assert set(METRICS) - set(metrics_of(run.scenario)) == {n for n in METRICS if "cost" in n}


def test_whatever_did_not_resume_is_in_the_unresumed_share():
    """Of four waits one resumes; others time out, stay open, or end with their instance."""
    branches = [
        [sim.AsyncStep("quick", "out", timeout=50.0)],
        [sim.AsyncStep("slow", "out")],
    ]
    run = play(
        sim.Callback(),
        scenario_of([sim.Parallel("both", branches)], arrivals=[0.0, 1000.0]),
        until=5000.0,
        external={"quick": [100.0, 10.0], "slow": [200.0, 1e6]},
    )
    assert sorted(run.waits.outcome) == ["cancelled", "resumed", "timed out", "waiting"]
    assert only(run.summary()).unresumed_share == 0.75


@pytest.mark.parametrize(
    ("work", "utilisation"),
    [
        (2.0, 0.2),  # a callback of 2 s of the 10 s; its copy is handled later
        (10.0, 10 / 18),  # the copy is begun when the step resumes
    ],
)
def test_a_late_copy_of_a_callback_does_not_stretch_the_run(work, utilisation):
    """Waits and load are averaged from the arrival to the last end, of 8 s and the handling."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], workers=1, callback_work=work)
    draws = sim.Draws(arrivals=[0.0], external={"w": [8.0]})
    for delay in (1.0, 5.0, 100.0, 10_000.0):
        strategy = sim.Callback(duplicates=1.0, duplicate_delay=delay)
        for run in play_both(scenario, strategy, draws=draws):
            row = run.summary().iloc[0]
            assert row.mean_open_waits == pytest.approx(1.0)
            assert row.utilisation == pytest.approx(utilisation)
            assert row.overhead_worker_time == 2 * work
            assert run.record.end >= 8.0 + delay


def test_checks_in_the_queue_when_all_has_timed_out_are_no_load_of_the_run():
    """Three waits time out at 100 s with checks of 60 s still in the queue: always busy, not more.

    The load is kept per bin, so that the share is right to within one bin.
    """
    step = sim.AsyncStep("w", "out", timeout="100s", on_timeout="continue")
    scenario = scenario_of([step], arrivals=[0.0] * 3, workers=1, poll_work=60.0)
    draws = sim.Draws(arrivals=[0.0] * 3, external={"w": [1e4] * 3})
    for run in play_both(scenario, sim.Polling(10.0), draws=draws):
        row = run.summary().iloc[0]
        assert row.mean_open_waits == pytest.approx(3.0)
        assert 0.6 < row.utilisation <= 1.0


@pytest.mark.parametrize("until", [None, 500.0])
def test_a_run_that_is_stopped_or_leaves_waits_open_is_averaged_to_its_end(until):
    """A lost callback waits on: the run has no last end but its own."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], arrivals=[0.0, 5.0])
    draws = sim.Draws(arrivals=[0.0, 5.0], external={"w": [8.0, 8.0]})
    strategy = sim.Callback(duplicates=1.0, duplicate_delay=100.0, loss=0.0 if until else 1.0)
    for run in play_both(scenario, strategy, until, draws=draws):
        assert run.record.span == run.record.end == (until or 13.0)
