"""A run without its warm-up: metrics are those of the tables, cut by hand."""

import math

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.engine.metrics import compute_metrics
from asyncsim.engine.result import is_bin_edge, without_warm_up

BEGIN = 2 * 86400.0
SCENARIO = sim.Scenario(
    name="nights",
    process=sim.Process(
        "p", [sim.Step("work", work="1min"), sim.AsyncStep("ask", system="s", call_work="30s")]
    ),
    systems={"s": sim.NightlyBatch("23:00", "2min")},
    server=sim.WorkflowServer(workers=2, callback_work="50s", poll_work="20s"),
    arrivals=sim.Poisson("100/day", between=("08:00", "24:00")),
    length="4 days",
    costs=sim.CostModel(check=1.0, request=2.0, transition=3.0, worker_hour=5.0, late_minute=0.5),
)
STRATEGIES = [sim.Polling("1h"), sim.Callback("1s", loss=0.2, duplicates=0.1, retries=("1h",))]

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")


@pytest.fixture(scope="module", params=STRATEGIES, ids=["polling", "callback"])
def run(request):
    return sim.simulate(SCENARIO, request.param, seed=4)


def test_waits_and_instances_are_those_that_came_later(run):
    """Counts, latencies and cycle times of the tables' rows."""
    found = compute_metrics(without_warm_up(run.record, BEGIN), SCENARIO)
    instances = run.instances[run.instances["arrived"] >= BEGIN]
    waits = run.waits[run.waits["instance"].isin(instances["instance"])]
    assert 0 < len(waits) < len(run.waits)
    late = waits["latency"].dropna()
    assert found["armed"] == len(waits)
    assert found["mean_latency"] == pytest.approx(late.mean())
    assert found["p95_latency"] == pytest.approx(late.quantile(0.95))
    assert found["still_waiting"] == (waits["outcome"] == "waiting").sum()
    assert found["checks_per_wait"] == pytest.approx(waits["checks"].mean())
    done = instances["outcome"] == "done"
    assert found["mean_cycle_time"] == pytest.approx(instances["cycle_time"][done].mean())
    numbers = set(waits["serial_number"])
    sent = run.deliveries[run.deliveries["serial_number"].isin(numbers)]
    assert found["requests"] == waits["checks"].sum() + (sent["outcome"] != "dead letter").sum()


def test_load_is_that_of_the_time_after_it(run):
    """Workers and open waits, whichever instance caused them."""
    found = compute_metrics(without_warm_up(run.record, BEGIN), SCENARIO)
    later = run.server[run.server["time"] >= BEGIN]
    span = run.record.end - BEGIN
    assert found["utilisation"] == pytest.approx(later["busy"].sum() * 60 / (2 * span))
    overhead = later["busy_check"].sum() + later["busy_callback"].sum()
    assert found["overhead_worker_time"] == pytest.approx(overhead * 60)
    waits = run.open_waits[run.open_waits["time"] >= BEGIN]
    assert found["mean_open_waits"] == pytest.approx(waits["mean_open"].sum() * 60 / span)


def test_what_is_known_of_whole_runs_only_has_no_value(run):
    """NaN, never the metric of the whole run."""
    whole, later = (
        compute_metrics(one, SCENARIO) for one in (run.record, without_warm_up(run.record, BEGIN))
    )
    absent = {name for name, value in later.items() if math.isnan(value)}
    assert {name for name in absent if not math.isnan(whole[name])} == {
        "longest_queue",
        "connection_time",
    }


def test_what_is_left_is_a_record_with_rows_from_0(run):
    """Instances of waits and deliveries point to those that are left."""
    left = without_warm_up(run.record, BEGIN)
    n = len(left.arrived)
    assert left.arrived[0] >= BEGIN
    assert (left.waits.armed >= left.arrived[left.waits.row]).all()
    assert left.deliveries.row.max(initial=0) < n
    assert all(len(columns.queued) == n for columns in left.steps)


def test_nothing_to_cut_is_the_run_itself(run):
    """A warm-up of no length changes no metric; one with nothing after it leaves no waits."""
    assert without_warm_up(run.record, 0.0) is run.record
    nothing = compute_metrics(without_warm_up(run.record, 86400.0 * 50), SCENARIO)
    assert nothing["armed"] == 0
    assert math.isnan(nothing["mean_latency"])


def test_both_engines_are_cut_alike():
    """The same metrics from SimPy and the compiled engine."""
    found = [
        compute_metrics(
            without_warm_up(sim.simulate(SCENARIO, STRATEGIES[1], engine=engine).record, BEGIN),
            SCENARIO,
        )
        for engine in ("simpy", "compiled")
    ]
    assert found[0] == pytest.approx(found[1], nan_ok=True)


def test_a_log_s_own_serial_numbers_stay_with_their_waits():
    """Numbers are lists, not arrays, and are cut as well."""
    base = sim.Scenario.load("data/nightly_ledger.toml")
    with pytest.warns(sim.LogWarning):
        scenario = base.with_log("data/request_log.csv")
    run = sim.simulate(scenario, sim.Polling("15min"))
    half = float(np.floor(np.median(run.record.arrived) / 60) * 60)
    left = without_warm_up(run.record, half)
    kept = run.waits[run.record.arrived[run.record.waits.row] >= half]
    assert left.waits.serial_numbers in (None, kept["serial_number"].tolist())
    assert len(left.waits.row) == len(kept) > 0


def test_a_summary_can_leave_a_warm_up_out(run):
    """Instances are counted without it too."""
    whole, later = run.summary(), run.summary(after="2 days")
    assert later["instances"].iloc[0] < whole["instances"].iloc[0]
    assert (
        later["armed"].iloc[0]
        == compute_metrics(without_warm_up(run.record, BEGIN), SCENARIO)["armed"]
    )


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("4 days", "after must be shorter than the scenario"),
        ("90s", "after must be a multiple of 60 s, the bins of the load, got '90s'"),
        (-1, "after must be positive, got -1"),
    ],
)
def test_a_wrong_warm_up_is_named(run, after, message):
    """With the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        run.summary(after=after)


def test_bins_are_told_from_what_lies_between():
    """Up to rounding."""
    assert is_bin_edge(0.1 * 3, 0.1)
    assert not is_bin_edge(0.35, 0.1)
