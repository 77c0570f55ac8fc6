"""Working hours are found in when work is done."""

import numpy as np
import pytest
from known_logs import DAYTIME, scenario

import asyncsim as sim
from asyncsim.calibration.working_hours import working_hours

ROUND_THE_CLOCK = sim.Poisson("15/h")


def hours_of(system, seed=1, **more):
    """Return a scenario's waits, and the hours they show."""
    known = scenario(system, **more)
    waits = sim.simulate(known, sim.Callback(), seed=seed).waits.sort_values("armed")
    armed, done = waits["armed"].to_numpy(), waits["completed"].to_numpy()
    return working_hours(armed, done, known.calendar), armed, done


@pytest.mark.parametrize(
    ("people", "more"),
    [
        (sim.People(9, sim.exponential("10min"), between=("09:00", "17:00")), {}),
        (sim.People(12, "15min", between=("08:30", "16:30"), days="Mon-Sat"), {}),
        (sim.People(40, sim.exponential("1h"), between=("07:00", "19:00"), days="every day"), {}),
        (
            sim.People(9, sim.gamma("10min", "5min"), between=("06:15", "14:15")),
            {"arrivals": ROUND_THE_CLOCK, "zone": "Europe/Berlin", "start": "2026-03-16"},
        ),
    ],
    ids=["office", "Saturdays", "every day", "early shift, clocks change"],
)
def test_hours_and_days_are_found_again(people, more):
    """Also where the clocks change in between, and seconds are counted as they were worked."""
    found, armed, done = hours_of(people, days=21, **more)
    assert (found.between, found.days) == (people.between, people.days)
    assert found.idle == ()
    assert (np.diff(found.seconds(np.sort(done))) >= 0).all()
    worked = found.seconds(done) - found.seconds(armed)
    assert worked.min() > 0


def test_seconds_stand_still_while_nobody_is_there():
    """By hand: eight hours a day, two days of rest a week."""
    found, *_ = hours_of(sim.People(9, sim.exponential("10min"), between=("09:00", "17:00")))
    clock = np.array([8, 9, 10.5, 17, 20, 24 + 9, 5 * 24 + 12, 7 * 24 + 9.25]) * 3600
    expected = np.array([0, 0, 1.5, 8, 8, 8, 40, 40.25]) * 3600
    assert found.seconds(clock) == pytest.approx(expected)


def test_a_holiday_is_told():
    """Work waited on a Wednesday without staff."""
    people = sim.People(9, sim.exponential("10min"), between=("09:00", "17:00"), holidays="DE")
    found, *_ = hours_of(people, days=21, start="2026-04-20")  # 1 May is a Friday
    assert [str(day) for day in found.idle] == ["2026-05-01"]
    assert found.days == "Mon-Fri"
    friday = 11 * 24 * 3600.0
    assert np.diff(found.seconds(friday + np.array([0.0, 86400.0]))) == [0.0]


def test_a_service_that_nobody_needs_at_night_has_no_hours():
    """Nothing waited while nothing was done."""
    assert hours_of(sim.OnlineService(sim.exponential("1min"), lanes=None))[0] is None
    assert hours_of(sim.OnlineService(sim.exponential("9h"), lanes=None))[0] is None
    night = sim.OnlineService(sim.exponential("1h"), lanes=None)
    assert hours_of(night, arrivals=sim.Poisson("10/h"))[0] is None


@pytest.mark.parametrize(
    "time",
    ["30min", "3h", "24h", sim.uniform("2h", "3h"), sim.lognormal("1h", "10min")],
    ids=["half an hour", "three hours", "a day", "two to three hours", "about an hour"],
)
def test_a_delay_has_no_hours_though_answers_keep_to_a_part_of_the_day(time):
    """Requests come by day, so answers do; no request waited for staff."""
    for seed in range(4):
        assert hours_of(sim.OnlineService(time, lanes=None), seed, arrivals=DAYTIME)[0] is None


def test_busy_people_are_people_whatever_the_load():
    """Requests of the night are worked off in the morning, the first ones first."""
    for seed in range(4):
        for team in (5, 6, 9):
            people = sim.People(team, "8min", between=("09:00", "17:00"), days="every day")
            found, *_ = hours_of(people, seed, arrivals=sim.Poisson("12/h"), days=21)
            assert found is not None, team


def test_days_of_the_log_without_anybody_are_taken_for_what_the_others_are():
    """A log of three days from Tuesday shows no other weekday to be free."""
    people = sim.People(9, sim.exponential("10min"), between=("09:00", "17:00"), days="every day")
    found, *_ = hours_of(people, days=3, start="2026-01-06", arrivals=DAYTIME)
    assert found.days == "every day"
    people = sim.People(9, sim.exponential("10min"), between=("09:00", "17:00"))
    found, *_ = hours_of(people, days=6, start="2026-01-07", arrivals=DAYTIME)  # no Tuesday
    assert found.days == "Mon-Fri"
