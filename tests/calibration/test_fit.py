"""From a simulated log back to its scenario, with an account of what a log cannot tell."""

import re

import numpy as np
import pandas as pd
import pytest
from known_logs import DAYTIME, requests, scenario, table_of

import asyncsim as sim

pytestmark = pytest.mark.slow

PHASE = "lifecycle:transition"
QUIET = {"progress": False}
STEPS = [
    sim.Step("check", work=sim.gamma("40s", "15s")),
    sim.AsyncStep("post", "ledger", call_work="2s"),
    sim.Step("note", work=sim.lognormal("60s", "40s")),
]


def gaps_of(fit):
    return set(fit.unexplained["part"] + ": " + fit.unexplained["what"])


@pytest.fixture(scope="module")
def service_run():
    """Return a week of steps that wait for two workers and for a service, polled every minute."""
    system = sim.OnlineService(sim.exponential("10min"), lanes=None)
    known = scenario(
        system, days=7, steps=STEPS, server=sim.WorkflowServer(2), zone="Europe/Berlin"
    )
    return sim.simulate(known, sim.Polling("1min"), seed=3)


@pytest.fixture(scope="module")
def service_fit(service_run):
    """Return the fit to its event log and its table of requests."""
    return sim.fit(service_run.event_log(), requests=table_of(service_run))


def test_a_process_with_a_service_is_found_again(service_fit):
    """Order of steps, work laws, external law, workers, zone, days and arrivals."""
    found = service_fit.scenario
    names = [step.name for step in found.process.steps]
    assert names == ["check", "post", "note"]
    check, post, note = found.process.steps
    assert (check.work.kind, note.work.kind) == ("gamma", "lognormal")
    assert check.work.mean == pytest.approx(40, rel=0.05)
    assert check.work.sd == pytest.approx(15, rel=0.1)
    assert note.work.mean == pytest.approx(60, rel=0.1)
    assert post.call_work.mean == pytest.approx(2)
    service = found.systems["ledger"]
    assert isinstance(service, sim.OnlineService)
    assert service.item_time.kind == "exponential"
    assert service.item_time.mean == pytest.approx(600, rel=0.12)
    assert (found.server.workers, found.zone, found.length) == (2, "Europe/Berlin", 7 * 86400)
    assert service_fit.arrivals.chosen == "by hour"
    assert found.arrivals.per_week == pytest.approx(1750, rel=0.1)


def test_waiting_for_a_worker_is_not_taken_as_work(service_run, service_fit):
    """Steps were queued for seconds; the law has the work alone."""
    queued = (service_run.steps["started"] - service_run.steps["queued"]).mean()
    assert queued > 1
    assert service_fit.work["check"].mean == pytest.approx(40, rel=0.05)
    row = service_fit.account.set_index("what").loc["waiting for a worker"]
    assert "not taken as work" in row["how"]


def test_without_completions_the_delay_of_noticing_is_in_the_times_and_said(service_run):
    """An event log knows resumption only: polling adds half a minute and more."""
    fit = sim.fit(service_run.event_log())
    assert fit.systems["ledger"].what == "resumed"
    assert fit.systems["ledger"].law.mean > 620
    assert "ledger: completions" in gaps_of(fit)


def test_a_log_of_ends_only_says_what_it_cannot_tell(service_run):
    """No starts: work holds waiting, the first step's work is unknown, workers are a guess."""
    log = service_run.event_log()
    ends = log[log[PHASE] == "complete"].drop(columns=[PHASE, "serial_number", "org:resource"])
    fit = sim.fit(ends, system={"post": "ledger"})
    assert fit.scenario.process.steps[0].work == sim.fixed(0)
    assert {"check: work", "note: work", "server: workers"} <= gaps_of(fit)
    assert fit.scenario.process.steps[2].work.mean > 60


def test_a_batch_is_found_in_an_event_log_and_in_a_table():
    """Start, law of item times and numbers of steps; every metric of the log is played again."""
    batch = sim.NightlyBatch("22:00", sim.lognormal("2s", "1s"), cut_off="19:00")
    run = sim.simulate(scenario(batch, days=7, steps=STEPS), sim.Callback("50ms"), seed=4)
    for fit in (sim.fit(run.event_log()), sim.fit(table_of(run), system="ledger")):
        found = fit.scenario.systems["ledger"]
        assert (found.start, found.cut_off, found.days) == ("22:00", "19:00", "every day")
        assert found.item_time.kind == "lognormal"
        assert found.item_time.mean == pytest.approx(2, rel=0.05)
        check = fit.check(replications=10, **QUIET)
        assert check.table["within"].mean() >= 0.8
    assert fit.scenario.process.first_activation == 2  # serial numbers end in _2


def test_a_fitted_scenario_is_saved_and_loaded(service_fit, tmp_path):
    """The file holds all of it."""
    service_fit.scenario.save(tmp_path / "fitted.toml")
    assert sim.Scenario.load(tmp_path / "fitted.toml") == service_fit.scenario


def test_cases_on_other_paths_are_reported():
    """A choice is not a linear process: its share is reported, and the main path is simulated."""
    steps = [
        sim.Step("check", "1s"),
        sim.Choice("big?", [sim.Branch(0.2, [sim.Step("audit", "5s")]), sim.Branch(0.8, [])]),
        sim.AsyncStep("post", "ledger"),
    ]
    system = sim.OnlineService("1min", lanes=None)
    run = sim.simulate(scenario(system, days=7, steps=steps), sim.Callback(), seed=1)
    fit = sim.fit(run.event_log())
    assert [step.name for step in fit.scenario.process.steps] == ["check", "post"]
    amount = fit.unexplained.set_index("what").loc["cases on other paths", "amount"]
    other, cases = (int(n) for n in re.findall(r"(\d+)", amount)[:2])
    audited = (run.steps["step"] == "audit").sum()
    assert (other, cases) == (audited, len(run.instances))


def test_bunches_and_cut_off_days_are_unexplained():
    """Sizes that vary make dispersion within hours; a log that begins at noon has a short day."""
    rng = np.random.default_rng(1)
    table = requests(sim.OnlineService("1min", lanes=None), days=7, arrivals=sim.Poisson("30/h"))
    table = table.loc[table.index.repeat(rng.integers(1, 6, len(table)))].reset_index(drop=True)
    table["SN"] = [f"{k}_1" for k in range(len(table))]
    fit = sim.fit(table)
    assert "arrivals: dispersion within hours" in gaps_of(fit)
    assert fit.arrivals.law.size == 1
    steady = requests(sim.OnlineService("1min", lanes=None), arrivals=sim.Poisson("30/h"))
    late = steady[steady["submitted"] >= "2026-01-05 18:00"]
    assert "arrivals: unusual days" in gaps_of(sim.fit(late))


def test_a_period_takes_quiet_days_in_and_others_out():
    """Two more days without arrivals lower the rate; a shorter period leaves arrivals out."""
    table = requests(sim.OnlineService("1min", lanes=None), days=5, arrivals=sim.Poisson("20/h"))
    longer = sim.fit(table, period=("2026-01-05", "2026-01-11"))
    assert longer.scenario.length == 7 * 86400
    assert longer.arrivals.unseen == ()
    shorter = sim.fit(table, period=("2026-01-06", "2026-01-07"))
    assert str(shorter.scenario.start) == "2026-01-06"
    assert "arrivals: arrivals outside the period" in gaps_of(shorter)
    assert shorter.arrivals.n == table["submitted"].dt.day.isin([6, 7]).sum()


def test_the_sample_log_is_fitted_as_it_was_made():
    """A dozen dirty rows by line, a batch at 22:00 with a broken night, twelve rates a day."""
    with pytest.warns(sim.LogWarning, match=r"completed before it was submitted: 2 \(lines 1206"):
        fit = sim.fit("data/request_log.csv")
    assert fit.problems["rows"].sum() == 12
    assert fit.problems.loc[fit.problems["used"] == "no", "rows"].sum() == 9
    batch = fit.scenario.systems["outside system"]
    assert (batch.start, batch.failure) == ("22:00", 0.2)
    assert batch.item_time.mean == pytest.approx(np.exp(0.6**2 / 2), rel=0.05)
    true = [40, 75, 95, 90, 45, 60, 85, 90, 80, 60, 40, 20]
    table = fit.arrivals.table.set_index("hour")
    held = [table.loc[h, "low"] <= r <= table.loc[h, "high"] for h, r in enumerate(true, start=8)]
    assert sum(held) >= 10
    assert fit.check(replications=5, **QUIET).table["within"].mean() >= 0.8


def test_a_wrong_scenario_fails_the_check():
    """Half the external time and twice the arrivals are outside the intervals."""
    fit = sim.fit(requests(sim.OnlineService(sim.exponential("10min"), lanes=None), days=7))
    assert fit.check(replications=10, **QUIET).table["within"].mean() >= 0.8
    fit.scenario = fit.scenario.replace(
        systems={"outside system": sim.OnlineService(sim.exponential("5min"), lanes=None)},
        arrivals=sim.Poisson("500/day", between=("08:00", "20:00")),
    )
    outside = set(fit.check(replications=10, **QUIET).outside["metric"])
    step = "wait for outside system"
    assert {"arrivals", f"{step}: external time, median", "arrivals from 12 h"} <= outside


def test_latencies_are_checked_where_they_are_known():
    """Polling every ten minutes shows in the log, and is missed by a callback."""
    system = sim.OnlineService(sim.exponential("1h"), lanes=None)
    fit = sim.fit(requests(system, days=5, strategy=sim.Polling("10min")))
    named = "wait for outside system: latency, median"
    right = fit.check(sim.Polling("10min"), replications=10, **QUIET).table.set_index("metric")
    wrong = fit.check(sim.Callback(), replications=10, **QUIET).table.set_index("metric")
    assert right.loc[named, "within"]
    assert not wrong.loc[named, "within"]


def test_an_account_can_be_read(service_fit):
    """In a notebook, in a terminal, and as tables; every row is from some rows of the log."""
    html, text = service_fit._repr_html_(), str(service_fit)
    for word in ("what was found", "what is not explained"):
        assert word in html.lower()
        assert word in text.lower()
    assert (service_fit.account["rows"] > 0).all()
    assert list(service_fit.unexplained.columns) == ["part", "what", "amount", "meaning"]
    assert set(service_fit.laws["of"]) == {"ledger", "check", "note"}


def test_a_fit_is_drawn(service_fit):
    """Four pictures for each system, with or without a law and a batch; one if nothing waits."""
    assert len(service_fit.plot().axes) == 4
    with pytest.raises(sim.ScenarioError, match="system must be one of 'ledger', got 'ledgr'"):
        service_fit.plot("ledgr")
    alone = sim.Process("p", [sim.Step("check", "5s")])
    run = sim.simulate(
        sim.Scenario("s", alone, {}, DAYTIME, length="2 days"), sim.Callback(), seed=1
    )
    fit = sim.fit(run.event_log())
    assert "process: waiting steps" in gaps_of(fit)
    assert len(fit.plot().axes) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"workers": 0}, "workers must be a whole number, 1 or more, got 0"),
        ({"confidence": 1}, "confidence must be between 0 and 1, got 1"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, got -1"),
        ({"period": "May"}, "period must be two days such as"),
        ({"period": ("2026-01-06", "2026-01-05")}, "period must have the earlier day first"),
        ({"period": ("0001-01-01", "9999-12-30")}, "period must be two days such as"),
        ({"period": ("9999-12-31", "9999-12-31")}, "period must be two days such as"),
        ({"period": ("2027-01-06", "2027-01-07")}, "period must hold arrivals of the log"),
    ],
)
def test_wrong_arguments_are_refused(more, message):
    """Named, with what would be right."""
    table = pd.DataFrame(
        {"SN": ["1_1"], "submitted": ["2026-01-05 09:00"], "completed": ["2026-01-05 10:00"]}
    )
    with pytest.raises(sim.ScenarioError, match=message):
        sim.fit(table, **more)


def test_one_request_is_enough_for_a_scenario():
    """It is not much, and the account says so; but it runs."""
    table = pd.DataFrame(
        {"SN": ["1_1"], "submitted": ["2026-01-05 09:00"], "completed": ["2026-01-05 10:00"]}
    )
    fit = sim.fit(table)
    run = sim.simulate(fit.scenario, sim.Callback(), seed=1)
    assert (run.waits["completed"] - run.waits["armed"]).tolist() == pytest.approx(
        [3600.0] * len(run.waits)
    )
