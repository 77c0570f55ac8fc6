"""A check sees what is wrong with a scenario, and leaves the right one alone."""

import copy
import math

import attrs
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import asyncsim as sim
from asyncsim.calibration.check import PER_DAY, Shown, _next, checked, metrics_of, steps_of
from asyncsim.calibration.log_reader import read_log

pytestmark = pytest.mark.slow

QUIET = {"progress": False}
NO_MORE = (None, None, None)  # zone, system, requests
DAYTIME = sim.Poisson("150/day", between=("08:00", "20:00"))


def orders(system, **more):
    """Return a scenario of two steps and a wait between them."""
    process = sim.Process(
        "order",
        [
            sim.Step("enter", work=sim.gamma("40s", "15s")),
            sim.AsyncStep("post", "ledger", call_work="2s"),
            sim.Step("note", work=sim.lognormal("5s", "4s")),
        ],
    )
    described = {"length": "14 days", "start": "2026-01-05", "arrivals": DAYTIME} | more
    return sim.Scenario("orders", process, {"ledger": system}, **described)


BATCH = orders(sim.NightlyBatch("22:00", sim.exponential("3s")), server=sim.WorkflowServer(2))
SERVICE = orders(sim.OnlineService(sim.exponential("20min"), lanes=None))


@pytest.fixture(scope="module")
def batch_fit():
    """Fit the log of a scenario, and hold the scenario itself against it."""
    fit = sim.fit(sim.simulate(BATCH, sim.Callback(), seed=5).event_log(), workers=2)
    fit.scenario = BATCH
    return fit


@pytest.mark.parametrize("scenario", [BATCH, SERVICE], ids=["batch", "service"])
@pytest.mark.parametrize("strategy", [sim.Callback("2s"), sim.Polling("10min")], ids=str)
def test_a_log_and_the_run_that_wrote_it_have_the_same_figures(scenario, strategy):
    """Whichever way they come, through the reader of logs or from the tables of the run."""
    run = sim.simulate(scenario, strategy, seed=3)
    log = read_log(run.event_log(), *NO_MORE).steps
    shown = Shown.by(log, scenario)
    assert shown.until == math.inf  # every instance has ended
    read = metrics_of(shown.of(log, scenario.length), scenario)
    played = metrics_of(shown.of(steps_of(run), scenario.length), scenario)
    assert read.keys() == played.keys()
    for name, value in read.items():
        assert value == pytest.approx(played[name], abs=1e-5, rel=1e-9), name


def test_a_log_that_was_cut_off_is_compared_with_runs_cut_off_as_early():
    """Else the longest times would be in the runs only."""
    long = orders(sim.OnlineService(sim.exponential("5 days"), lanes=None))
    run = sim.simulate(long, sim.Callback(), seed=3)
    log = run.event_log()
    cut = log[log["time:timestamp"] <= log["time:timestamp"].min() + pd.Timedelta("12 days")]
    steps = read_log(cut, *NO_MORE).steps
    shown = Shown.by(steps, long)
    seen = metrics_of(shown.of(steps, long.length), long)
    played = metrics_of(shown.of(steps_of(run), long.length), long)
    whole = metrics_of(steps_of(run).assign(arrived=0.0), long)
    name = ("post: external time, 95 %", "s")
    assert seen[name] == pytest.approx(played[name], abs=1e-5)
    assert seen[name] < 0.8 * whole[name]


def test_a_table_of_requests_shows_no_work_and_no_queue():
    """It has one instant for the call, which does not prove that nothing came before."""
    run = sim.simulate(BATCH, sim.Callback(), seed=3)
    table = run.waits.rename(columns={"serial_number": "SN"})
    table = pd.DataFrame(
        {"SN": table["SN"], "submitted": table["armed_at"], "completed": table["completed_at"]}
    )
    found = set(sim.fit(table).check(replications=2, **QUIET).table["metric"])
    assert not any("work" in name for name in found)
    assert not any("cycle" in name for name in found)
    assert any("last completion" in name for name in found)


def with_step(scenario, name, **changes):
    """Return a scenario with one of its steps changed."""
    steps = [
        attrs.evolve(step, **changes) if step.name == name else step
        for step in scenario.process.steps
    ]
    return scenario.replace(process=attrs.evolve(scenario.process, steps=steps))


WRONG = {
    "work of a step": (with_step(BATCH, "note", work=sim.lognormal("50s", "40s")), "note: work"),
    "spread of work": (with_step(BATCH, "enter", work=sim.exponential("40s")), "enter: work, 95"),
    "one worker": (BATCH.replace(server=sim.WorkflowServer(1)), "waiting for a worker, mean"),
    "item time": (
        BATCH.replace(systems={"ledger": sim.NightlyBatch("22:00", sim.exponential("4.5s"))}),
        "to its last completion",
    ),
    "start": (
        BATCH.replace(systems={"ledger": sim.NightlyBatch("22:10", sim.exponential("3s"))}),
        "to its first completion",
    ),
    "limit of a night": (
        BATCH.replace(
            systems={"ledger": sim.NightlyBatch("22:00", sim.exponential("3s"), max_items=120)}
        ),
        "completions of a night, most",
    ),
    "volume": (
        BATCH.replace(arrivals=sim.Poisson("200/day", between=("08:00", "20:00"))),
        "completions of a night, median",
    ),
    "weekend": (
        BATCH.replace(arrivals=sim.Poisson("210/day", between=("08:00", "20:00"), days="Mon-Fri")),
        "arrivals on Sunday",
    ),
    "hours": (
        BATCH.replace(arrivals=sim.Poisson("150/day", between=("09:00", "21:00"))),
        "arrivals from 20 h",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_seen(batch_fit, what):
    """Each mistake shows in a metric that names it."""
    wrong, metric = WRONG[what]
    fit = copy.copy(batch_fit)
    fit.scenario = wrong
    outside = fit.check(replications=10, **QUIET).outside["metric"]
    assert outside.str.contains(metric, regex=False).any(), outside.tolist()


def test_the_scenario_itself_is_left_alone(batch_fit):
    """None of the figures that betray a wrong scenario is outside."""
    outside = batch_fit.check(replications=10, **QUIET).outside["metric"]
    for _, metric in WRONG.values():
        assert not outside.str.contains(metric, regex=False).any(), outside.tolist()


def test_intervals_hold_what_they_promise():
    """Of the figures of logs from the very scenario about five in a hundred are outside."""
    short = SERVICE.replace(length="4 days")
    shares = []
    for seed in range(10):
        log = read_log(sim.simulate(short, sim.Callback(), seed=100 + seed).event_log(), *NO_MORE)
        check = checked(
            short, log.steps, sim.Callback(), replications=12, seed=seed, confidence=0.95, **QUIET
        )
        shares.append(1 - check.table["within"].mean())
    half = stats.sem(shares) * stats.t.ppf(0.995, len(shares) - 1)
    assert abs(np.mean(shares) - 0.05) < half


def test_few_counts_have_room_even_if_no_run_had_any():
    """One count in the log is not evidence against a scenario of which ten runs had none."""
    assert _next(np.zeros(10), PER_DAY, 7.0, 0.95) == (0.0, 0.0, 1 / 7)
    # Of Poisson counts of mean 1 the next one lies within as often as was promised, or more
    counts = np.random.default_rng(1).poisson(1.0, (400, 21)) / 7.0
    limits = [_next(row[:20], PER_DAY, 7.0, 0.95)[1:] for row in counts]
    held = [low <= row[20] <= high for row, (low, high) in zip(counts, limits, strict=True)]
    assert sum(held) >= stats.binom.ppf(0.001, 400, 0.95)


def test_what_no_run_has_is_outside_and_not_an_error(batch_fit):
    """Where every callback is lost no step resumes: no time can be compared."""
    table = batch_fit.check(sim.Callback(loss=1.0), replications=2, **QUIET).table
    row = table.set_index("metric").loc["post: external time, median"]
    assert not row["within"]
    assert math.isnan(row["simulated"])
    assert row["log"] > 0


@pytest.mark.parametrize("rows", [1, 12])
def test_a_log_of_one_instant_can_be_checked(rows):
    """Though hardly any run has a request at all."""
    at = pd.Timestamp("2026-01-05 09:00")
    table = pd.DataFrame(
        {
            "SN": [f"{k}_1" for k in range(rows)],
            "submitted": at,
            "completed": [at + pd.Timedelta(f"{k + 10}min") for k in range(rows)],
        }
    )
    check = sim.fit(table).check(replications=5, **QUIET)
    assert len(check.table) > 0
