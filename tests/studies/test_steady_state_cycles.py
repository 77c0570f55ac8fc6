"""Runs cut into cycles: what falls where, and that nothing is lost on the way."""

from datetime import date

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.model.calendar import Calendar
from asyncsim.studies.steady_state import SERIES, cycle_edges, resolution, unended

SCENARIO = sim.Scenario(
    name="nights",
    process=sim.Process("p", [sim.Step("work", work="1min"), sim.AsyncStep("ask", system="s")]),
    systems={"s": sim.NightlyBatch("22:00", "1s")},
    server=sim.WorkflowServer(workers=1, callback_work="5s", poll_work="2s"),
    arrivals=sim.Poisson("100/day", between=("08:00", "20:00")),
    length="5 days",
)
EDGES = np.arange(6) * 86400.0


@pytest.fixture(scope="module")
def run():
    return sim.simulate(SCENARIO, sim.Polling("1h"), seed=2)


def test_days_begin_at_local_midnight_also_when_the_clock_changes():
    """In Berlin the 29th of March 2026 has 23 hours."""
    calendar = Calendar(date(2026, 3, 27), "Europe/Berlin")
    hours = np.diff(cycle_edges(86400.0, 5 * 86400.0, calendar)) / 3600
    assert hours.tolist() == [24, 24, 23, 24, 24]
    assert len(cycle_edges(86400.0, 5 * 86400.0 - 3601, calendar)) == 5
    assert cycle_edges(5400.0, 86400.0, calendar).tolist() == [5400.0 * k for k in range(17)]


@pytest.mark.parametrize("cycle", [86400.0, 3600.0, 100.0, 60.0, 7.5, 1e6])
def test_bins_of_the_load_divide_the_cycle(cycle):
    """So that a mean over a cycle is exact."""
    ratio = cycle / resolution(cycle)
    assert ratio == pytest.approx(round(ratio))
    assert resolution(cycle) <= 60


@pytest.mark.parametrize(
    ("name", "table", "at", "column"),
    [
        ("latency", "waits", "armed", "latency"),
        ("checks_per_wait", "waits", "armed", "checks"),
        ("cycle_time", "instances", "arrived", "cycle_time"),
    ],
)
def test_means_per_cycle_are_those_of_the_tables(run, name, table, at, column):
    """Grouped by the day on which each began; weights are how many."""
    found = SERIES[name].of(run.record, EDGES)
    rows = getattr(run, table)
    groups = rows.groupby((rows[at] // 86400).astype(int))[column]
    np.testing.assert_allclose(found.values, groups.mean())
    np.testing.assert_allclose(found.weights, groups.count())
    assert not found.missing.any()


def test_averages_over_time_are_those_of_the_tables(run):
    """Open waits, queue and busy workers, day by day."""

    def by_day(column):  # the run is over before the last day is
        padded = np.zeros(5 * 1440)
        padded[: len(column)] = column[: len(padded)]
        return padded.reshape(5, 1440).mean(axis=1)

    waits = by_day(run.open_waits["mean_open"].to_numpy())
    np.testing.assert_allclose(SERIES["open_waits"].of(run.record, EDGES).values, waits)
    for name, column in (("queue_length", "queue"), ("busy_workers", "busy")):
        load = by_day(run.server[column].to_numpy())
        np.testing.assert_allclose(SERIES[name].of(run.record, EDGES).values, load)


def test_running_instances_are_counted_by_little_s_law(run):
    """Their time integral is the sum of cycle times, as far as they lie in the cycles."""
    rows = run.instances
    inside = np.clip(rows["ended"], None, EDGES[-1]) - rows["arrived"]
    assert unended(run.record, EDGES).values.sum() * 86400 == pytest.approx(inside.sum())


def test_what_never_ends_is_missing_and_days_without_anything_have_no_mean():
    """Lost callbacks are counted in their cycle; a day without a wait is NaN with weight 0."""
    scenario = SCENARIO.replace(
        arrivals=sim.ArrivalTimes([100.0, 200.0, 86400 * 2 + 50.0]), length="3 days"
    )
    with pytest.warns(sim.CensoredWarning):
        lost = sim.simulate(scenario, sim.Callback(loss=1.0))
    found = SERIES["latency"].of(lost.record, EDGES[:4])
    assert found.missing.tolist() == [2, 0, 1]
    assert np.isnan(found.values).all()
    assert not found.weights.any()
    assert not unended(lost.record, EDGES[:4]).values.any()
