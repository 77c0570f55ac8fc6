"""Completions distinguish a nightly batch from services and people."""

from datetime import date

import numpy as np
import pytest
from known_logs import requests

import asyncsim as sim
from asyncsim.calibration.batch_detection import clock_of, find_batch, shortest_arc
from asyncsim.calibration.log_reader import read_log
from asyncsim.model.calendar import Calendar

pytestmark = pytest.mark.slow


def verdict(table, seed=1):
    log = read_log(table)
    done = log.steps.dropna(subset="completed")
    rng = np.random.default_rng(seed)
    return find_batch(done["armed"].to_numpy(), done["completed"].to_numpy(), log.calendar, rng)


SERVICES = [
    sim.OnlineService(sim.exponential("10min"), lanes=None),
    sim.OnlineService(sim.exponential("1min")),
    sim.OnlineService(sim.exponential("170s")),  # hardly keeps up
    sim.OnlineService(sim.exponential("8h"), lanes=None),
    sim.OnlineService(sim.lognormal("2 days", "1 day"), lanes=None),
    sim.People(3, sim.exponential("4min")),
    sim.People(5, sim.exponential("4min"), between=("09:00", "15:00"), days="every day"),
]


@pytest.mark.parametrize("arrivals", ["day", "round the clock"])
@pytest.mark.parametrize("system", SERVICES, ids=repr)
def test_what_is_no_batch_is_not_called_one(system, arrivals):
    """Services of all speeds and people with working hours, on two logs each."""
    when = sim.Poisson(
        "250/day", between=("08:00", "20:00") if arrivals == "day" else ("00:00", "24:00")
    )
    for seed in range(2):
        assert not verdict(requests(system, seed, days=5, arrivals=when)).batch, seed


@pytest.mark.parametrize(
    "batch",
    [
        sim.NightlyBatch("22:00", sim.exponential("1s")),
        sim.NightlyBatch("02:30", sim.gamma("20s", "5s"), cut_off="18:30"),
        sim.NightlyBatch("00:00", sim.exponential("2min"), end="05:00"),
        sim.NightlyBatch("23:45", "2s", results="at end", skip=0.2),
    ],
    ids=repr,
)
def test_a_batch_is_called_one(batch):
    """Across midnight, with a cut-off, an end, results at the end, and nights that fail."""
    found = verdict(requests(batch))
    assert found.batch
    assert found.strays == 0
    assert found.p < 0.01
    assert found.arc < found.expected_arc


def test_one_night_is_enough_to_see_a_batch():
    """250 requests over a day, all done within minutes."""
    found = verdict(requests(sim.NightlyBatch("22:00", sim.exponential("1s")), days=1))
    assert found.batch
    assert len(found.nights) == 1


def test_a_few_that_stray_do_not_hide_a_batch():
    """Twenty completed by hand at any hour of the afternoon are outside the batch, and counted."""
    table = requests(sim.NightlyBatch("22:00", sim.exponential("1s"))).reset_index(drop=True)
    by_hand = np.linspace(50, len(table) - 100, 20).astype(int)
    noon = table["submitted"].dt.normalize() + np.timedelta64(20 * 3600 + 600, "s")
    table.loc[by_hand, "completed"] = noon[by_hand]
    found = verdict(table.drop(columns="resumed"))
    assert found.batch
    assert found.strays == 20
    assert len(found.nights) == 14


def test_too_few_completions_tell_nothing():
    """Nine of them."""
    found = verdict(requests(sim.NightlyBatch("22:00", 1), days=1).head(9))
    assert not found.batch
    assert found.why == "too few completions to tell"


def test_the_shortest_arc_goes_across_midnight():
    """Nine of ten clock times within two hours around midnight, one at noon."""
    clocks = np.array([*np.linspace(23 * 3600, 25 * 3600, 9) % 86400, 12 * 3600])
    assert shortest_arc(clocks) == pytest.approx((23 * 3600, 2 * 3600))


def test_clocks_show_the_same_time_before_and_after_they_change():
    """22:00 is 22 h after a midnight on the clock, and an hour less in time elapsed."""
    berlin = Calendar(date(2026, 3, 28), "Europe/Berlin")
    instants = np.array([berlin.instant(berlin.day(k), "22:00") for k in range(3)])
    assert (clock_of(instants, berlin) / 3600).tolist() == [22, 46, 70]
    assert instants[1] / 3600 == 45
