"""When checks are due: after a first wait, within a window, after pauses, at clock times."""

import math
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from fake_step import FakeStep
from hypothesis import given
from hypothesis import strategies as st
from scenarios import check_windows, long_times, pollings

from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import exponential, fixed, lognormal
from asyncsim.model.specifications import Grid, Pauses
from asyncsim.model.strategies import Callback, Polling, PollingAfter, PollingAt
from asyncsim.model.units import seconds_of_day

HOUR, DAY = 3600.0, 86400.0
# The clocks go forward on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00
CALENDARS = [Calendar(date(2026, 1, 5))] + [
    Calendar(day, "Europe/Berlin") for day in (date(2026, 3, 28), date(2026, 10, 24))
]


def due(strategy, armed=0.0, number=5, busy=0.0, calendar=CALENDARS[0]):
    """Return when the first checks are due, each of which takes `busy` seconds."""
    step, found = FakeStep(armed), []
    step.calendar = calendar
    for _ in range(number):
        found.append(strategy.schedule.next_check(step))
        step.checks += 1
        step.last_check = found[-1] + busy
    return found


# --- first wait -----------------------------------------------------------------------------------


def test_the_grid_goes_on_from_the_first_check():
    """Armed at 100, first after 75 s, then every 30 s; by the clock at the next grid points."""
    assert due(Polling(30, first=75), armed=100, number=3) == [175.0, 205.0, 235.0]
    assert due(Polling(30, "clock", first=75), armed=100, number=3) == [180.0, 210.0, 240.0]
    assert due(Polling(30, first=10), armed=100, number=2) == [110.0, 140.0]


@pytest.mark.parametrize("first", [5.0, 60.0, 300.0, 1200.0])
def test_the_closed_form_of_a_first_wait(first):
    """Exponential with mean m: w = exp(-F/m) / (1 - exp(-T/m)) wasted checks."""
    mean, interval = 600.0, 60.0
    wasted = math.exp(-first / mean) / (1 - math.exp(-interval / mean))
    found = Polling(interval, first=first).expected(exponential(mean))
    assert found.checks == pytest.approx(1 + wasted)
    assert found.latency == pytest.approx(first + interval * wasted - mean)


def test_waiting_first_saves_most_checks_of_a_time_that_varies_little():
    """Work of 8 h to the second: one check after 8 h, at once."""
    found = Polling("10min", first="8h").expected(fixed("8h"))
    assert (found.latency, found.checks) == (0.0, 1.0)


# --- window ---------------------------------------------------------------------------------------


@given(
    pollings(first=st.none() | long_times, window=check_windows),
    st.sampled_from(CALENDARS),
    st.floats(0, 3 * DAY),
    st.sampled_from([0.0, 0.5, 700.0]),
)
def test_checks_are_the_grid_points_of_the_window(polling, calendar, armed, busy):
    """None lies outside, and between two checks no point of the grid lies within the window."""
    polling = Polling(polling.interval, polling.anchor, first=polling.first, window=polling.window)
    step = FakeStep(armed)
    step.calendar = calendar
    start = Grid.of(polling)._start(step)
    free_from = armed if polling.first is None else np.nextafter(armed + polling.first, 0)
    if polling.first is not None and polling.anchor != "arming":
        free_from = armed + polling.first
    for at in due(polling, armed, busy=busy, calendar=calendar):
        k = round((at - start) / polling.interval)
        assert at == start + k * polling.interval
        assert is_within(at, polling.window, calendar)
        points = start + polling.interval * np.arange(max(k - 200, 1), k)
        assert not any(
            is_within(point, polling.window, calendar) for point in points if point > free_from
        )
        free_from = at + busy


def is_within(instant, window, calendar):
    """Return whether the clock shows a time of the window."""
    if window is None:
        return True
    shown = calendar.timestamps(np.array([instant]))[0]
    clock = (shown.hour * 60 + shown.minute) * 60 + shown.second + shown.microsecond / 1e6
    opens, closes = map(seconds_of_day, window)
    return opens <= clock <= closes or (closes == DAY and clock == 0.0)


def test_a_window_shorter_than_the_interval_is_refused():
    """A grid could miss it for ever."""
    message = r"Polling.window must be at least as long as the interval \(7200.0 s\)"
    with pytest.raises(ScenarioError, match=message):
        Polling("2h", window=("22:00", "23:30"))


# --- pauses, and from end to end ------------------------------------------------------------------


def test_pauses_count_from_the_end_of_the_check_before_and_the_last_is_repeated():
    """Each check takes 3 s."""
    found = due(PollingAfter(["10s", "1s", "5s"]), armed=100, busy=3.0)
    assert found == [110.0, 114.0, 122.0, 130.0, 138.0]


def test_a_loop_is_added_to_each_pause():
    """Every 5 s and a loop of 1.5 s: 6.5 s after the end of each check of 2 s."""
    assert due(PollingAfter(["5s"], loop=1.5), number=3, busy=2.0) == [6.5, 15.0, 23.5]
    assert due(PollingAfter([1, 5], loop="1.5s"), number=2) == [2.5, 9.0]


@pytest.mark.parametrize("external", [exponential("10min"), lognormal(mean="10min", sd="5min")])
def test_equal_pauses_are_a_grid_on_an_idle_server(external):
    """And pauses have the closed form of checks at given times."""
    grid = Polling("2min", first="7min").expected(external)
    pauses = PollingAfter(["7min", "2min"]).expected(external)
    assert pauses.latency == pytest.approx(grid.latency)
    assert pauses.checks == pytest.approx(grid.checks)


# --- clock times ----------------------------------------------------------------------------------


def test_clock_times_are_the_same_for_all_waits():
    """In the order of the day, each once, whatever order they are given in."""
    polling = PollingAt(["23:00", "22:15", "23:00"])
    assert due(polling, armed=22.25 * HOUR, number=3) == [23 * HOUR, 46.25 * HOUR, 47 * HOUR]
    assert due(polling, armed=0.0, number=2) == [22.25 * HOUR, 23 * HOUR]
    assert polling.label == "polling at 22:15, 23:00"


def test_a_cron_expression_is_the_list_of_its_times():
    """Every quarter of an hour from 22:00 to 23:45."""
    times = [f"{hour}:{minute:02}" for hour in (22, 23) for minute in (0, 15, 30, 45)]
    by_cron, by_list = PollingAt("*/15 22-23 * * *"), PollingAt(times)
    assert due(by_cron, number=20) == due(by_list, number=20)


def test_days_without_checks_are_left_out():
    """Friday evening, then Monday."""
    friday = 4 * DAY
    assert due(PollingAt(["20:00"], days="Mon-Fri"), armed=friday, number=2) == [
        friday + 20 * HOUR,
        friday + 3 * DAY + 20 * HOUR,
    ]


@pytest.mark.parametrize("calendar", CALENDARS[1:], ids=["spring", "autumn"])
def test_clock_times_stay_on_the_clock_when_the_clocks_change(calendar):
    """Seven in the morning is 23 or 25 hours after the seven before."""
    found = due(PollingAt(["07:00"]), calendar=calendar, number=3)
    hours = calendar.timestamps(np.array(found))
    assert {(at.hour, at.minute) for at in hours} == {(7, 0)}
    assert {round((b - a) / HOUR) for a, b in pairwise(found)} & {23, 25}


@pytest.mark.parametrize("at", [[], 22, ["22:00", "noon"], "0 22 * *", ["*/5 * * * *", "22:00"]])
def test_what_is_no_clock_time_is_refused(at):
    """By the name of the argument."""
    with pytest.raises(ScenarioError, match=r"PollingAt.at must be a"):
        PollingAt(at)


# --- jitter of retries ----------------------------------------------------------------------------


def test_full_jitter_halves_the_pauses_on_average():
    """The closed form has the means."""
    pauses = ["10s", "20s", "60s"]
    full = Callback("1s", loss=0.5, retries=pauses, retry_jitter="full").expected(fixed(1))
    half = Callback("1s", loss=0.5, retries=["5s", "10s", "30s"]).expected(fixed(1))
    assert full == half


def test_pauses_are_read_as_other_durations():
    """And an empty list, or one too long, is refused."""
    assert Pauses(["1min", 5]).pauses == (60.0, 5.0)
    for wrong in ([], "1min", [0.0], ["1min"] * 10_001):
        with pytest.raises(ScenarioError, match=r"PollingAfter.pauses must be"):
            PollingAfter(wrong)
