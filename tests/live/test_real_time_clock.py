"""Moments a person names."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.live.real_time_clock import instant_of, next_batch

SCENARIO = sim.Scenario.load("data/lines_of_business.toml")  # Berlin, clocks go forward on day 7
DAY = 86400.0


@pytest.mark.parametrize(
    ("moment", "now", "instant"),
    [
        ("22:00", 0.0, 22 * 3600.0),
        ("22:00", 22 * 3600.0, DAY + 22 * 3600.0),  # the next one, not this one
        ("22:00:15", 0.0, 22 * 3600.0 + 15.0),
        ("06:00", 6 * DAY, 6 * DAY + 5 * 3600.0),  # the night lacks an hour
        ("2026-03-24 07:30", 0.0, DAY + 7.5 * 3600.0),
        ("2026-03-24T07:30:15", 0.0, DAY + 7.5 * 3600.0 + 15.0),
        (datetime(2026, 3, 24), 0.0, DAY),
        (90, 0.0, 90.0),
        ("2 days", 0.0, 2 * DAY),
        (timedelta(hours=3), 0.0, 3 * 3600.0),
    ],
)
def test_clock_times_dates_and_durations_are_moments(moment, now, instant):
    """Each is the instant that the scenario's own clock shows."""
    assert instant_of(moment, SCENARIO, now) == instant


WRONG = [
    "25:00",
    "soon",
    "2026-13-01 10:00",
    None,
    [],
    float("nan"),
    -5,
    pd.NaT,
    "10:00:00.5",
    "12:00:00 PM",
]


@pytest.mark.parametrize("moment", WRONG)
def test_anything_else_is_refused(moment):
    """With what would be right."""
    with pytest.raises(sim.ScenarioError, match="until must be a clock time such as '22:00'"):
        instant_of(moment, SCENARIO, 0.0)


def test_the_next_batch_is_found_inside_a_chain():
    """The core banking batch of the chain starts at half past one."""
    assert next_batch(SCENARIO, 0.0) == (1.5 * 3600.0, "lines of business")
    assert next_batch(SCENARIO, 1.5 * 3600.0) == (DAY + 1.5 * 3600.0, "lines of business")
    assert next_batch(sim.Scenario.load("data/person.toml"), 0.0) is None


def test_a_zone_the_scenario_does_not_have_is_refused():
    """Dropping it would be hours wrong."""
    ledger = sim.Scenario.load("data/nightly_ledger.toml")
    with pytest.raises(sim.ScenarioError, match="until must be"):
        instant_of("2026-01-06T07:00Z", ledger, 0.0)
    assert instant_of("2026-03-24T07:00Z", SCENARIO, 0.0) == DAY + 8 * 3600.0
    assert instant_of("08:00:00 ", ledger, 0.0) == 8 * 3600.0
