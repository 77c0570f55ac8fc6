"""Rhythms that a scenario does not model are reported, and only where they exist."""

import numpy as np
import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.model.units import DAY, HOUR

pytestmark = pytest.mark.slow

MONDAY = pd.Timestamp("2026-03-02")


def fit_of(came, done):
    """Return the fit of a log of requests, by a clock of milliseconds."""
    submitted, completed = (MONDAY + pd.to_timedelta(at, unit="s") for at in (came, done))
    return sim.fit(
        pd.DataFrame(
            {
                "SN": [f"{k + 1}_31" for k in range(len(came))],
                "submitted": submitted.floor("ms"),
                "completed": completed.floor("ms"),
            }
        )
    )


def reported(fit, what):
    """Return the amounts of one kind of gap."""
    return [row.amount for row in fit.unexplained.itertuples() if row.what == what]


def worked_off(came, work, is_open, team=4):
    """Return when a team is done that begins work in opening hours only, and then finishes it."""
    free, done = np.zeros(team), np.empty(len(came))
    for k, (at, takes) in enumerate(zip(came, work, strict=True)):
        one = int(np.argmin(free))
        begin = max(at, free[one])
        while not is_open(begin):
            begin = np.floor(begin / 60.0) * 60.0 + 60.0
        free[one] = done[k] = begin + takes
    return done


def office(at, closed=()):
    """Return whether an office is open: Monday to Friday, 9 to 17, but for hours of some days."""
    day, hour = divmod(at / HOUR, 24)
    shut = any(day % 7 in days and low <= hour < high for days, low, high in closed)
    return day % 7 < 5 and 9 <= hour < 17 and not shut


@pytest.mark.parametrize(
    ("closed", "amounts"),
    [
        ((), []),
        ([(range(5), 12, 13)], ["none from 12:"]),
        ([((2,), 12, 24)], ["none after 12:", "on Wednesdays"]),
    ],
    ids=["open all day", "lunch", "free Wednesday afternoons"],
)
def test_breaks_and_early_ends_are_told(closed, amounts):
    """And nothing of a day without any."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        days = np.repeat(np.arange(28), 50)
        came = np.sort(days * DAY + rng.uniform(8 * HOUR, 17 * HOUR, len(days)))
        work = rng.gamma(4.0, 150.0, len(came))
        fit = fit_of(came, worked_off(came, work, lambda at: office(at, closed)))
        assert isinstance(fit.scenario.systems["outside system"], sim.People)
        found = reported(fit, "completions in working hours")
        assert len(found) == bool(amounts)
        assert all(part in found[0] for part in amounts)


@pytest.mark.parametrize(
    ("hours", "text", "come"),
    [(1, "1 h", (8, 18)), (2, "2 h", (8, 18)), (2, "2 h", (0, 24)), (6, "6 h", (0, 24))],
)
def test_batches_all_day_are_told_by_their_step(hours, text, come):
    """They are in no scenario; what is found holds the waiting for them, and no lanes are."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        days = np.repeat(np.arange(28), 200)
        came = np.sort(days * DAY + rng.uniform(*np.multiply(come, HOUR), len(days)))
        period = hours * HOUR
        run = np.ceil(came / period) * period
        place = np.arange(len(came)) - np.searchsorted(run, run)
        fit = fit_of(came, run + 5.0 * (place + 1))
        assert reported(fit, "completions by the clock") == [f"in step with every {text}"]
        assert reported(fit, "lanes") == ["cannot be determined"]


def test_a_service_is_in_step_with_nothing():
    """Nor are answers to requests that come by the clock themselves, which explains it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        days = np.repeat(np.arange(28), 200)
        came = np.sort(days * DAY + rng.uniform(8 * HOUR, 18 * HOUR, len(days)))
        fit = fit_of(came, came + rng.exponential(300.0, len(came)))
        assert reported(fit, "completions by the clock") == []
        came = np.sort(np.floor(came / HOUR) * HOUR + rng.exponential(60.0, len(came)))
        fit = fit_of(came, came + rng.exponential(300.0, len(came)))
        assert reported(fit, "completions by the clock") == []


def test_a_batch_with_some_second_tries_is_no_team_of_the_night():
    """A tenth of the requests is answered a while after the batch."""
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(28), 200)
    came = np.sort(days * DAY + rng.uniform(8 * HOUR, 18 * HOUR, len(days)))
    place = np.arange(len(came)) - np.searchsorted(days, days)
    done = days * DAY + 22 * HOUR + 5.0 * (place + 1)
    again = rng.random(len(came)) < 0.1
    fit = fit_of(came, done + np.where(again, 600.0 + rng.exponential(900.0, len(came)), 0.0))
    assert not isinstance(fit.scenario.systems["outside system"], sim.People)
