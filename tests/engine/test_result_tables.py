"""Tidy tables: their columns, and every metric in them against a count by hand or brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plays import only, play, scenario_of, wait_for
from scenarios import scenarios, strategies
from thorough import times

import asyncsim as sim
from asyncsim.engine.environment import Job
from asyncsim.model.scenario import changed

slow_input = settings(
    max_examples=times(15), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")


def busy_day(strategy=None, **more):
    """Return a run with queues, checks, callbacks and two waits per instance."""
    scenario = scenario_of(
        [
            sim.Step("check", sim.exponential(20)),
            sim.Parallel(
                "both",
                [
                    [sim.AsyncStep("a", "out", call_work=3.0, timeout="1h", on_timeout="continue")],
                    [sim.AsyncStep("b", "out", call_work=5.0)],
                ],
            ),
            sim.Step("last", sim.exponential(10)),
        ],
        sim.OnlineService(sim.lognormal("20min", "10min"), lanes=None),
        arrivals=np.linspace(0, 1800, 60),
        workers=2,
        poll_work=1.0,
        callback_work=2.0,
    )
    strategy = strategy or sim.CallbackWithSafetyPoll("5s", loss=0.3, every=200)
    return sim.simulate(scenario, strategy, seed=2, **more)


# --- columns ------------------------------------------------------------------------------------


def test_the_columns_of_every_table():
    """The names that notebooks, studies and a second engine rely on."""
    run = wait_for(sim.Callback(), 10.0)
    assert list(run.waits.columns) == [
        "serial_number",
        "instance",
        "step",
        "system",
        "strategy",
        "called",
        "armed",
        "completed",
        "resumed",
        "closed",
        "latency",
        "checks",
        "wasted_checks",
        "deliveries",
        "outcome",
        "armed_at",
        "completed_at",
        "resumed_at",
    ]
    assert list(run.instances.columns) == [
        "instance",
        "arrived",
        "ended",
        "cycle_time",
        "outcome",
        "arrived_at",
        "ended_at",
    ]
    assert list(run.steps.columns) == [
        "instance",
        "activation",
        "step",
        "kind",
        "queued",
        "started",
        "ended",
        "outcome",
        "queued_at",
        "started_at",
        "ended_at",
    ]
    assert list(run.deliveries.columns) == [
        "serial_number",
        "attempt",
        "sent",
        "arrived",
        "handled",
        "outcome",
        "sent_at",
        "arrived_at",
        "handled_at",
    ]
    jobs = ["work", "call", "check", "callback"]
    loads = [w + k for w in ("busy", "queue", "started") for k in ("", *(f"_{j}" for j in jobs))]
    assert list(run.server.columns) == ["time", *loads, "time_at"]
    assert list(run.open_waits.columns) == ["time", "open", "mean_open", "oldest_age", "time_at"]
    assert list(run.overhead.columns) == [
        "kind",
        "count",
        "wasted",
        "worker_seconds",
        "requests",
        "database_operations",
        "connection_seconds",
    ]
    assert list(run.event_log().columns) == [
        "case:concept:name",
        "concept:name",
        "lifecycle:transition",
        "org:resource",
        "serial_number",
        "outcome",
        "time:timestamp",
    ]


def test_times_are_float_seconds_and_have_a_timestamp_beside_them():
    """10 s after midnight of the start is 00:00:10; what did not happen is NaN and NaT."""
    run = wait_for(sim.Callback(), 10.0, timeout=5.0)
    wait = only(run.waits)
    assert run.waits.armed.dtype == run.waits.latency.dtype == np.float64
    assert wait.completed_at == pd.Timestamp("2026-01-05 00:00:10")
    assert np.isnan(wait.resumed)
    assert np.isnan(wait.latency)
    assert wait.resumed_at is pd.NaT


def test_timestamps_carry_the_zone_of_the_scenario():
    """Across the spring night in Berlin 26 h after midnight is 03:00 summer time, the day after."""
    run = wait_for(
        sim.Callback(), 26 * 3600.0, server={"start": "2026-03-28", "zone": "Europe/Berlin"}
    )
    resumed = only(run.waits).resumed_at
    assert resumed.isoformat() == "2026-03-29T03:00:00+02:00"
    assert str(run.server.time_at.dt.tz) == "Europe/Berlin"
    assert str(run.event_log()["time:timestamp"].dt.tz) == "Europe/Berlin"


def test_tables_of_a_run_in_which_nothing_happens_are_empty():
    """No arrivals: all tables are there, with all columns and no rows."""
    scenario = scenario_of([sim.AsyncStep("w", "out")])
    run = play(sim.Polling(60), scenario, draws=sim.Draws([]))
    full = wait_for(sim.Callback(), 10.0)
    for table in ("waits", "instances", "steps", "deliveries"):
        assert getattr(run, table).empty
        assert list(getattr(run, table)) == list(getattr(full, table))
    assert run.event_log().empty
    assert run.open_waits.open.sum() == 0
    assert run.overhead.requests.sum() == 0
    assert only(run.summary()).instances == 0


def test_a_process_without_any_step_is_played_as_well():
    """An instance that chooses between two empty branches has ended as it came."""
    scenario = scenario_of([sim.Choice("which", [(0.5, []), (0.5, [])])], arrivals=(7.0,))
    run = play(sim.Callback(), scenario)
    assert only(run.instances).ended == 7.0
    assert run.steps.empty
    assert run.event_log().empty


# --- load, open waits, overhead -----------------------------------------------------------------


def overlap(starts, ends, low, high):
    """Return how long spans lie within a bin, added up."""
    return np.clip(np.minimum(ends, high) - np.maximum(starts, low), 0, None).sum()


@pytest.mark.parametrize("until", [None, 700.0])
def test_the_load_by_steps_is_the_time_integral_of_the_steps_table(until):
    """Busy workers and queue per bin equal the overlap of all executed steps with the bin."""
    run = busy_day(until=until, resolution=45.0)
    end = run.record.end
    work = run.steps[run.steps.kind == "step"]
    started = work.started.fillna(np.inf).to_numpy()
    ended = np.minimum(work.ended.fillna(np.inf).to_numpy(), end)
    queued = work.queued.to_numpy()
    # No step is picked up and still not over except at a stop
    assert (work.ended.notna() | (until is not None)).all()
    for row in run.server.itertuples():
        low, high = row.time, min(row.time + 45.0, end)
        busy = overlap(np.minimum(started, end), ended, low, high) / 45.0
        queue = overlap(queued, np.minimum(started, end), low, high) / 45.0
        assert row.busy_work == pytest.approx(busy, abs=1e-9)
        assert row.queue_work == pytest.approx(queue, abs=1e-9)
    assert run.server.started_work.sum() == np.isfinite(started).sum()
    assert run.server.time.iloc[-1] <= end < run.server.time.iloc[-1] + 45.0


def test_the_load_adds_up_over_the_kinds_of_jobs():
    """Busy, queue and started are the sums over work, calls, checks and callbacks."""
    server = busy_day().server
    for what in ("busy", "queue", "started"):
        parts = [f"{what}_{job.name.lower()}" for job in Job]
        assert np.allclose(server[what], server[parts].sum(axis=1))
    assert server.busy.max() <= 2 + 1e-9
    assert server.busy_check.sum() > 0
    assert server.busy_callback.sum() > 0


def test_checks_and_callbacks_cost_the_server_their_time():
    """Checks of 1 s and callbacks of 2 s add up to the busy seconds."""
    run = busy_day()
    seconds = run.server.filter(like="busy_").sum() * 60.0
    handled = run.deliveries.handled.notna().sum()
    assert seconds.busy_check == pytest.approx(run.waits.checks.sum() * 1.0)
    assert seconds.busy_callback == pytest.approx(handled * 2.0)
    assert seconds.busy_call == pytest.approx(60 * (3.0 + 5.0))


def open_at(waits, t):
    """Return the waits open at an instant: armed by then and not closed by then."""
    return waits[(waits.armed <= t) & ~(waits.closed <= t)]


@slow_input
@given(scenarios(), strategies(), st.sampled_from([None, 36000.0]), st.sampled_from([600.0, 977.0]))
def test_open_waits_are_those_armed_and_not_closed(scenario, strategy, until, resolution):
    """Number, mean over the bin, and age of the oldest, each by going through all waits."""
    run = sim.simulate(scenario, strategy, until=until, resolution=resolution)
    waits, table = run.waits, run.open_waits
    some = table.iloc[:: max(len(table) // 40, 1)]
    closed = waits.closed.fillna(np.inf)
    for row in some.itertuples():
        here = open_at(waits, row.time)
        assert row.open == len(here)
        assert row.oldest_age == (row.time - here.armed.min() if len(here) else 0.0)
        stop = min(row.time + resolution, run.record.end)  # nothing was played after the end
        mean = overlap(waits.armed, closed, row.time, max(stop, row.time)) / resolution
        assert row.mean_open == pytest.approx(mean, abs=1e-6)
    assert table.time.iloc[-1] >= run.record.end


def test_overhead_counts_checks_and_deliveries():
    """Two checks of 1 s (one wasted), two callbacks of 2 s, one of them a copy; one was lost.

    A check and a delivery that arrives are one request and two database operations each, a lost
    delivery is a request.
    """
    both = play(
        sim.CallbackWithSafetyPoll("30s", duplicates=1.0, every=60),
        scenario_of([sim.AsyncStep("w", "out")], poll_work=1.0, callback_work=2.0),
        external={"w": 100.0},
    )
    table = both.overhead.set_index("kind")
    assert table.loc["check", ["count", "wasted", "worker_seconds"]].tolist() == [2, 1, 2.0]
    assert table.loc["check", ["requests", "database_operations"]].tolist() == [2, 4]
    assert table.loc["callback", ["count", "worker_seconds"]].tolist() == [2, 4.0]
    assert table.loc["callback", ["requests", "database_operations"]].tolist() == [2, 4]
    lost = wait_for(sim.Callback(loss=1.0, retries=["5s"]), 10.0).overhead.set_index("kind")
    assert lost.loc["lost callback", ["count", "wasted", "requests"]].tolist() == [2, 2, 2]
    assert lost.loc["callback", "count"] == 0


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_check_and_a_callback_cost_the_database_what_the_server_says(engine):
    """Two checks at 1 and two callbacks at 12 operations; a lost callback costs none."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], poll_work=1.0, callback_work=2.0)
    fields = {"server.check_operations": 1, "server.callback_operations": 12}
    strategy = sim.CallbackWithSafetyPoll("30s", duplicates=1.0, every=60)
    draws = sim.Draws(arrivals=[0.0], external={"w": [100.0]})
    run = sim.simulate(changed(scenario, fields), strategy, draws=draws, engine=engine)
    table = run.overhead.set_index("kind")
    assert table.loc["check", ["count", "database_operations"]].tolist() == [2, 2]
    assert table.loc["callback", ["count", "database_operations"]].tolist() == [2, 24]
    assert run.summary()["database_operations"].tolist() == [26]
    lost = sim.simulate(
        changed(scenario, fields),
        sim.CallbackWithSafetyPoll("30s", loss=1.0, every=60),
        draws=draws,
        engine=engine,
    )
    assert lost.summary()["database_operations"].tolist() == [2]


# --- steps and the event log --------------------------------------------------------------------


def test_a_step_under_way_when_the_run_stops_is_open():
    """Stopped at 5 s: one step is being worked on, one waits in the queue, neither has ended."""
    scenario = scenario_of([sim.Step("s", 10.0)], arrivals=(0.0, 1.0), workers=1)
    run = play(sim.Callback(), scenario, until=5.0)
    assert run.steps.outcome.tolist() == ["open", "open"]
    assert run.steps.started.tolist()[0] == 0.0
    assert np.isnan(run.steps.started[1])
    assert run.steps.ended.isna().all()
    assert run.server.busy[0] * 60.0 == 5.0
    assert run.server.queue[0] * 60.0 == 4.0
    assert run.server.started.sum() == 1


def test_the_event_log_tells_the_life_of_an_instance_in_order():
    """Scheduled, started, suspended while it waits, resumed, complete; then the next step."""
    steps = [sim.Step("s", 1.0), sim.AsyncStep("w", "out", call_work=2.0), sim.Step("z", 0.0)]
    run = play(sim.Callback("1s"), scenario_of(steps), external={"w": 10.0})
    log = run.event_log()
    seconds = (log["time:timestamp"] - pd.Timestamp("2026-01-05")).dt.total_seconds()
    found = list(zip(seconds, log["concept:name"], log["lifecycle:transition"], strict=True))
    assert found == [
        (0.0, "s", "schedule"),
        (0.0, "s", "start"),
        (1.0, "s", "complete"),
        (1.0, "w", "schedule"),
        (1.0, "w", "start"),
        (3.0, "w", "suspend"),
        (14.0, "w", "resume"),
        (14.0, "w", "complete"),
        (14.0, "z", "schedule"),
        (14.0, "z", "start"),
        (14.0, "z", "complete"),
    ]
    assert (log["case:concept:name"] == "1").all()
    system = log[log["lifecycle:transition"].isin(["suspend", "resume"])]
    assert system["org:resource"].tolist() == ["out", "out"]
    assert system["serial_number"].tolist() == ["1_2", "1_2"]
    assert (log["org:resource"][:3] == "workflow server").all()


def ends(run):
    """Return transition and outcome of the last event of each step, by its name."""
    last = run.event_log().dropna(subset="outcome").set_index("concept:name")
    return dict(last[["lifecycle:transition", "outcome"]].apply(tuple, axis=1))


@pytest.mark.parametrize("on_timeout", ["fail", "continue"])
def test_a_step_that_times_out_is_aborted_not_complete(on_timeout):
    """Whether its instance fails or goes on; it has been suspended and is never resumed."""
    run = wait_for(sim.Callback(), 10.0, timeout=5.0, on_timeout=on_timeout)
    assert ends(run) == {"w": ("ate_abort", "timed out")}
    found = run.event_log()["lifecycle:transition"].tolist()
    assert found == ["schedule", "start", "suspend", "ate_abort"]


def test_a_rejected_call_and_a_strategy_that_gives_up_abort_their_step():
    """An immediate response that says done completes it."""
    rejected = sim.Response(accepted=0.0, rejected=1.0)
    assert ends(wait_for(sim.Callback(), response=rejected)) == {"w": ("ate_abort", "rejected")}
    done = sim.Response(accepted=0.0, done=1.0)
    assert ends(wait_for(sim.Callback(), response=done)) == {"w": ("complete", "done")}
    gave_up = wait_for(sim.Polling("1s", limit=2), 10.0)
    assert ends(gave_up) == {"w": ("ate_abort", "gave up")}


def test_a_step_cancelled_with_its_instance_is_aborted_by_it():
    """One branch fails; what waits in the other is cancelled at that instant."""
    ways = [
        [sim.AsyncStep("waits", "out")],
        [sim.AsyncStep("fails", "out", timeout="5s", on_timeout="fail")],
    ]
    run = play(
        sim.Callback(),
        scenario_of([sim.Parallel("both", ways)]),
        external={"waits": 100.0, "fails": 100.0},
    )
    assert ends(run) == {
        "waits": ("pi_abort", "cancelled"),
        "fails": ("ate_abort", "timed out"),
    }


def test_instances_of_one_instant_are_ordered_by_their_number():
    """Case 2 comes before case 10, though the text '10' is smaller."""
    run = play(sim.Callback(), scenario_of([sim.Step("s", 1.0)], arrivals=[0.0] * 11))
    log = run.event_log()
    scheduled = log[log["lifecycle:transition"] == "schedule"]
    assert scheduled["case:concept:name"].tolist() == [str(k) for k in range(1, 12)]


@slow_input
@given(scenarios(), strategies())
def test_the_event_log_holds_every_event_of_the_tables_in_time(scenario, strategy):
    """As many events as there are times in the tables, never going back in time."""
    run = sim.simulate(scenario, strategy)
    log = run.event_log()
    assert log["time:timestamp"].is_monotonic_increasing
    steps, waits = run.steps, run.waits
    times = steps[["queued", "started", "ended"]].notna().sum().sum()
    assert len(log) == times + len(waits) + waits.resumed.notna().sum()
    assert log.outcome.value_counts().to_dict() == (
        steps.outcome[steps.ended.notna()].value_counts().to_dict()
    )
