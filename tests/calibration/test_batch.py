"""Start, days, item time, cut-off and what nights leave are found again."""

import numpy as np
import pandas as pd
import pytest
from known_logs import requests, scenario, table_of
from thorough import times

import asyncsim as sim
from asyncsim.calibration.batch import fit_batch
from asyncsim.calibration.batch_detection import find_batch
from asyncsim.calibration.findings import Settings
from asyncsim.calibration.log_reader import read_log

pytestmark = pytest.mark.slow

LATE = "time from its start to its first item"
ROUND_THE_CLOCK = sim.Poisson("20/h")


def fitted(table):
    log = read_log(table)
    armed, done = log.steps["armed"].to_numpy(), log.steps["completed"].to_numpy()
    closed = np.isfinite(done)
    settings = Settings(np.random.default_rng(1))
    verdict = find_batch(armed[closed], done[closed], log.calendar, settings.rng)
    assert verdict.batch
    return fit_batch("ledger", armed, done, verdict, log.calendar, settings)


@pytest.mark.parametrize(
    ("true", "more"),
    [
        (sim.NightlyBatch("22:00", sim.exponential("1s")), {"seed": 2}),
        (sim.NightlyBatch("02:30", sim.gamma("20s", "5s"), cut_off="18:30", days="Mon-Fri"), {}),
        (sim.NightlyBatch("21:17", "10s"), {"arrivals": ROUND_THE_CLOCK}),
        (sim.NightlyBatch("00:00", sim.lognormal("5s", "3s")), {"arrivals": ROUND_THE_CLOCK}),
        (sim.NightlyBatch("06:15", "1s", cut_off="06:00"), {"arrivals": ROUND_THE_CLOCK}),
        (sim.NightlyBatch("22:00", "2s", results="at end"), {}),
        (sim.NightlyBatch("22:00", sim.exponential("2min"), max_items=240), {"seed": 2}),
        (sim.NightlyBatch("22:00", sim.exponential("2min"), end="05:00"), {"seed": 2}),
        (sim.NightlyBatch("22:00", sim.lognormal("8s", "4s"), lanes=4), {}),
        (sim.NightlyBatch("23:30", sim.exponential("40s"), lanes=7, cut_off="19:00"), {"seed": 3}),
    ],
    ids=lambda value: getattr(value, "start", None),
)
def test_a_batch_is_found_again(true, more):
    """All that its description says, and the mean item time within its interval."""
    fit = fitted(requests(true, **more))
    found = fit.system
    fields = ("start", "days", "cut_off", "max_items", "end", "skip", "failure", "results")
    for field in fields if true.results == "at end" else (*fields, "lanes"):
        assert getattr(found, field) == getattr(true, field), field
    assert found.item_time.mean == pytest.approx(true.item_time.mean, rel=0.05)
    assert found.item_time.kind == true.item_time.kind
    assert LATE not in {gap.what for gap in fit.gaps}


def test_a_batch_that_needs_a_while_to_get_going_is_told():
    """It starts at 22:00 as the crontab says; the scenario's batch has no such seconds."""
    table = requests(sim.NightlyBatch("22:00", sim.exponential("1s")))
    fit = fitted(table.assign(completed=table["completed"] + pd.Timedelta("20s")))
    assert fit.system.start == "22:00"
    (late,) = [gap for gap in fit.gaps if gap.what == LATE]
    assert float(late.amount.removesuffix(" s")) == pytest.approx(20.0, abs=2.0)


def test_a_batch_keeps_its_start_on_the_clock_when_the_clocks_change():
    """22:00 in Berlin before and after the spring night of 2026."""
    table = requests(
        sim.NightlyBatch("22:00", sim.exponential("1s")), zone="Europe/Berlin", start="2026-03-25"
    )
    assert fitted(table).system.start == "22:00"


def test_the_share_of_failed_nights_is_within_its_interval():
    """Nights without a run are counted where work waited; their days are days all the same."""
    held = 0
    for seed in range(5):
        table = requests(sim.NightlyBatch("22:00", "1s", skip=0.25), seed=seed, days=28)
        fit = fitted(table)
        assert fit.system.days == "every day"
        words = next(f for f in fit.findings if f.what == "nights without a run").interval
        low, high = (float(word) for word in words.split(" to "))
        assert low <= fit.system.skip <= high
        held += low <= 0.25 <= high
    assert held >= 3


def test_nights_that_break_down_are_counted():
    """Their rest is done a night later; it makes no cut-off."""
    fit = fitted(requests(sim.NightlyBatch("22:00", "2s", failure=0.3), days=42))
    assert fit.system.cut_off is None
    assert fit.system.failure == pytest.approx(0.3, abs=0.25)
    assert fit.system.failure > 0


def test_a_weekend_off_is_told_from_failed_nights():
    """Two weekends without a run while work waited are days off, not failures."""
    fit = fitted(requests(sim.NightlyBatch("22:00", "1s", days="Mon-Fri"), days=14))
    assert (fit.system.days, fit.system.skip) == ("Mon-Fri", 0.0)


def test_a_late_scheduler_does_not_move_the_start():
    """Every night begins up to 20 s late: the round time before is the start."""
    table = requests(sim.NightlyBatch("22:00", sim.exponential("1s")), days=14)
    night = table["completed"].dt.normalize()
    days = night.unique()
    late = night.map(dict(zip(days, np.linspace(4, 20, len(days)), strict=True)))
    table["completed"] += pd.to_timedelta(late, unit="s")
    fit = fitted(table.drop(columns="resumed"))
    assert fit.system.start == "22:00"


def test_what_completions_cannot_tell_is_said():
    """Lanes where gaps are even or results come at the end; days after one night."""
    assert not fitted(requests(sim.NightlyBatch("22:00", sim.exponential("1s")))).gaps
    said = [gap.what for gap in fitted(requests(sim.NightlyBatch("22:00", "1s"))).gaps]
    assert said == ["lanes of the batch"]  # ten that take ten seconds, begun one after the other?
    at_end = sim.NightlyBatch("22:00", "2s", results="at end")
    said = {gap.what for gap in fitted(requests(at_end)).gaps}
    assert {"lanes of the batch", "law of the item time"} <= said
    one = fitted(requests(sim.NightlyBatch("22:00", "1s"), days=1))
    assert "nights of the batch" in [gap.what for gap in one.gaps]


def what_is_said(fit):
    """The gaps of a fit by what they are about."""
    return {gap.what: gap for gap in fit.gaps}


def test_requests_that_no_night_completes_are_lost_and_not_left_by_every_night():
    """Two in a hundred without a completion: no night broke down, and the number is reported."""
    table = requests(sim.NightlyBatch("22:00", "2s")).drop(columns="resumed")
    chosen = np.random.default_rng(4).random(len(table)) < 0.02
    table.loc[chosen, "completed"] = pd.NaT
    fit = fitted(table)
    assert (fit.system.failure, fit.system.skip, fit.system.end) == (0, 0, None)
    night = table["submitted"].dt.normalize()  # those of the last may be done by the next
    lost = int((chosen & (night < night.max())).sum())
    assert what_is_said(fit)["lost or rejected"].amount.startswith(f"{lost} of {len(table)} ")


def test_lost_callbacks_are_no_work_that_waits():
    """A batch of every day with work on workdays only has no days off, whatever is lost."""
    on_workdays = sim.Poisson("250/day", between=("08:00", "20:00"), days="Mon-Fri")
    known = scenario(
        sim.NightlyBatch("22:00", sim.exponential("3s")), days=21, start="2026-03-02",
        arrivals=on_workdays,
    )  # fmt: skip
    with pytest.warns(sim.CensoredWarning, match="10 % lost"):
        run = sim.simulate(known, sim.Callback("50ms", loss=0.1), seed=1)
    table = table_of(run)
    lost = table["resumed"].isna()
    assert 0.05 < lost.mean() < 0.15
    table["completed"] = table.pop("resumed")
    fit = fitted(table)
    assert (fit.system.days, fit.system.failure, fit.system.skip) == ("every day", 0, 0)
    assert "lost or rejected" in what_is_said(fit)


def test_a_backlog_behind_a_limit_is_not_lost():
    """It is open for several nights, but nothing that came later is done."""
    fit = fitted(requests(sim.NightlyBatch("22:00", "2s", max_items=150)))
    assert fit.system.max_items == 150
    assert "lost or rejected" not in what_is_said(fit)


def test_a_few_requests_left_by_every_night_are_no_breakdown_and_no_end():
    """A service before the batch keeps one or two in a hundred beyond its start."""
    before = sim.OnlineService(sim.exponential("1h"), lanes=None)
    said = 0
    for seed in range(times(5)):
        fit = fitted(requests(sim.Chain([before, sim.NightlyBatch("22:00", "2s")]), seed=seed))
        assert (fit.system.failure, fit.system.end, fit.system.max_items) == (0, None, None), seed
        said += "requests shortly before the start are left" in what_is_said(fit)
    assert said >= 0.8 * times(5)


def test_breakdowns_are_told_from_the_few_that_every_night_leaves():
    """Nights that stand out are counted, and the others are reported."""
    before = sim.OnlineService(sim.exponential("1h"), lanes=None)
    batch = sim.NightlyBatch("22:00", "2s", failure=0.3)
    fit = fitted(requests(sim.Chain([before, batch]), days=42))
    assert fit.system.failure == pytest.approx(0.3, abs=0.25)
    assert fit.system.failure > 0
    assert "requests shortly before the start are left" in what_is_said(fit)


def test_an_end_that_only_some_nights_reach_is_found():
    """The others end earlier with nothing left; some of those that reach it leave only a few."""
    batch = sim.NightlyBatch("22:00", sim.exponential("1min"), end="02:10")
    for seed in range(3):
        found = fitted(requests(batch, seed=seed)).system
        assert (found.end, found.failure) == ("02:10", 0), seed


@pytest.mark.parametrize(
    ("start", "zone_start"),
    [("02:30", "2026-10-12"), ("06:15", "2026-10-12"), ("02:30", "2026-03-16")],
)
def test_no_night_breaks_down_because_the_clocks_change(start, zone_start):
    """An autumn night has 02:30 twice and a spring night not at all; requests come all the time."""
    for seed in range(times(2)):
        table = requests(
            sim.NightlyBatch(start, "2s"), seed=seed, days=21, zone="Europe/Berlin",
            start=zone_start, arrivals=ROUND_THE_CLOCK,
        )  # fmt: skip
        fit = fitted(table)
        found = fit.system
        assert (found.start, found.days, found.cut_off) == (start, "every day", None)
        assert (found.failure, found.skip, found.end) == (0, 0, None), seed
        assert "requests shortly before the start are left" not in what_is_said(fit)
