"""Instances arrive within their hours, in the number described."""

import math
import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import MOST_INSTANCES, STARTS, arrivals
from scipy import stats

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import (
    ARRIVALS,
    ArrivalTimes,
    Poisson,
    Regular,
    UniformArrivals,
    WeeklyPoisson,
)
from asyncsim.model.calendar import Calendar, Days

HOUR, DAY = 3600.0, 86400.0
MONDAY = Calendar(date(2026, 1, 5))


def drawn(arrivals, length=DAY, seed=1, calendar=MONDAY):
    return arrivals.draw(np.random.default_rng(seed), calendar, length)


calendars = st.builds(Calendar, st.sampled_from(STARTS), st.sampled_from([None, "Europe/Berlin"]))


@given(arrivals(), calendars, st.integers(0, 99))
def test_arrivals_are_sorted_and_within_the_length(some, calendar, seed):
    """Every arrival lies in [0, length); there are about as many as the generator promises."""
    for length in (DAY, 2 * DAY):
        found = drawn(some, length, seed, calendar)
        assert found.dtype == float
        assert np.all((found >= 0) & (found < length))
        assert np.all(np.diff(found) >= 0)
        assert len(found) <= 2 * MOST_INSTANCES


@given(arrivals(), calendars, st.integers(0, 99))
def test_arrivals_are_within_their_hours(some, calendar, seed):
    """On the wall clock every arrival is in [open, close) of a day that counts."""
    if isinstance(some, ArrivalTimes):
        return
    for at in calendar.timestamps(drawn(some, 14 * DAY, seed, calendar)):
        if isinstance(some, WeeklyPoisson):
            assert some.rates[at.weekday()][at.hour] > 0
            assert at.date() in Days("every day", some.holidays)
            continue
        assert at.date() in Days(some.days, some.holidays)
        opens, closes = (calendar.instant(at.date(), clock) for clock in some.between)
        assert opens - 1e-6 <= calendar.seconds(at.to_pydatetime()) < closes + 1e-6


@given(arrivals(), calendars, st.integers(0, 99))
def test_a_longer_scenario_keeps_the_earlier_arrivals(some, calendar, seed):
    """Drawing two days gives the arrivals of one day, and then those of the next."""
    if isinstance(some, UniformArrivals):  # a given number is spread over the whole length
        return
    short, long = (drawn(some, length, seed, calendar) for length in (DAY, 2 * DAY))
    assert long[long < DAY].tolist() == short.tolist()


def test_a_rate_per_day_is_the_number_for_the_whole_day():
    """10,000 a day between 08:00 and 20:00 are 10,000 in these twelve hours."""
    poisson = Poisson("10000/day", between=("08:00", "20:00"))
    assert poisson.per_open_second == pytest.approx(10000 / (12 * HOUR))
    counts = [len(drawn(poisson, DAY, seed)) for seed in range(20)]
    assert abs(np.mean(counts) - 10000) < 5 * math.sqrt(10000 / 20)


def test_a_rate_per_week_is_the_number_for_the_days_that_count():
    """700 a week on five days of twelve hours are 140 on each of them."""
    poisson = Poisson("700/week", between=("08:00", "20:00"), days="Mon-Fri")
    assert poisson.per_open_second * 12 * HOUR == pytest.approx(140)
    counts = [len(drawn(poisson, 7 * DAY, seed)) for seed in range(50)]
    assert abs(np.mean(counts) - 700) < 5 * math.sqrt(700 / 50)


def test_a_rate_per_hour_holds_while_the_window_is_open():
    """300 an hour between 08:00 and 20:00 are 3,600 a day; a plain number is per second."""
    poisson = Poisson("300/h", between=("08:00", "20:00"))
    counts = [len(drawn(poisson, DAY, seed)) for seed in range(20)]
    assert abs(np.mean(counts) - 3600) < 5 * math.sqrt(3600 / 20)
    assert Poisson(0.5).per_open_second == 0.5
    assert Poisson("2 / ms").per_open_second == pytest.approx(2000)


def test_poisson_counts_and_gaps():
    """Counts per hour have variance equal to the mean, and gaps are exponential."""
    found = drawn(Poisson("360/h"), 400 * HOUR)
    counts = np.bincount((found // HOUR).astype(int), minlength=400)
    dispersion = counts.var(ddof=1) / counts.mean()
    assert abs(dispersion - 1) < 5 * math.sqrt(2 / 399)
    gaps = np.diff(found)
    assert abs(gaps.mean() - 10) < 5 * 10 / math.sqrt(len(gaps))
    for x in (5.0, 10.0, 30.0):
        p = math.exp(-x / 10)
        assert abs(np.mean(gaps > x) - p) < 5 * math.sqrt(p * (1 - p) / len(gaps))


def test_groups_arrive_together():
    """With size=3 every instant stands three times; the rate is that of the instants."""
    one, three = drawn(Poisson("100/h")), drawn(Poisson("100/h", size=3))
    assert three.tolist() == np.repeat(one, 3).tolist()


def test_more_arrivals_than_one_chunk():
    """Drawing goes on for as long as it must: 20,000 expected, and the last hour is not empty."""
    found = drawn(Poisson("20000/day"))
    assert abs(len(found) - 20000) < 5 * math.sqrt(20000)
    assert found[-1] > 23 * HOUR


def test_scattered_arrivals_are_uniform():
    """Exactly that number, each at any moment of the window."""
    found = drawn(UniformArrivals(10_000, between=("08:00", "20:00")))
    assert len(found) == 10_000
    share = np.histogram(found, bins=12, range=(8 * HOUR, 20 * HOUR))[0]
    assert share.sum() == 10_000
    chi_squared = np.sum((share - 10_000 / 12) ** 2 / (10_000 / 12))
    assert chi_squared < 11 + 5 * math.sqrt(22)


@pytest.mark.parametrize(
    ("some", "length", "sentence"),
    [
        (Poisson("1e12/day"), DAY, "Poisson.rate must bring 20,000,000 instances at most in 1 d"),
        (Poisson("1e9/s"), DAY, "(it would be about 8.64e+13), got '1000000000/s'"),
        (Poisson("1e6/day"), 100 * DAY, "in 100 d of open time (it would be about 1e+08)"),
        (Poisson("1e3/day", size=10**6), DAY, "Poisson.rate times size must bring 20,000,000"),
        (WeeklyPoisson([1e12] * 24), DAY, "WeeklyPoisson.rates must bring 20,000,000"),
        (Regular(1e-6), DAY, "Regular.every must bring 20,000,000 instances at most"),
    ],
)
def test_more_than_can_be_played_is_said_before_it_is_drawn(some, length, sentence):
    """Drawing that many would never end, or exhaust the memory."""
    with pytest.raises(ScenarioError, match=re.escape(sentence)):
        drawn(some, length)


def test_it_is_the_instances_that_are_limited_and_not_the_rate():
    """Of a millisecond there are not many."""
    assert len(drawn(Poisson("1e12/day"), 1e-3)) == pytest.approx(1e9 / DAY, rel=0.05)
    assert UniformArrivals(20_000_000).count == 20_000_000


def test_scattering_needs_open_time():
    """A number of instances cannot arrive where it is never open."""
    with pytest.raises(
        ScenarioError, match=r"UniformArrivals\.between must be open within the scenario"
    ):
        drawn(UniformArrivals(5, between=("08:00", "20:00")), 6 * HOUR)
    assert len(drawn(Poisson("100/h", between=("08:00", "20:00")), 6 * HOUR)) == 0


def test_regular_arrivals_by_hand():
    """Every 90 minutes of open time from 08:30; 20:00 is closed, so it goes on at 08:30."""
    found = drawn(Regular("90min", offset="30min", between=("08:00", "20:00")), 2 * DAY) / HOUR
    assert found.tolist()[:8] == [8.5, 10, 11.5, 13, 14.5, 16, 17.5, 19]
    assert found.tolist()[8] == 24 + 8.5


def test_closing_time_is_closed():
    """Every hour between 08:00 and 20:00 is twelve times a day, on each day alike."""
    found = drawn(Regular("1h", between=("08:00", "20:00")), 3 * DAY)
    assert (found % DAY / HOUR).tolist() == [float(h) for h in range(8, 20)] * 3


def test_regular_arrivals_use_no_random_numbers():
    """Any seed gives the same arrivals; nothing arrives after the end or if it begins too late."""
    regular = Regular("7min")
    assert drawn(regular, seed=1).tolist() == drawn(regular, seed=2).tolist()
    assert drawn(regular)[0] == 0.0
    assert len(drawn(regular)) == math.ceil(DAY / 420)
    assert len(drawn(Regular("1h", offset="2 days"))) == 0


def test_no_arrivals_on_holidays():
    """On the Friday and Monday of Easter there are no orders in Germany."""
    calendar = Calendar(date(2026, 4, 2))
    found = drawn(Regular("12h", days="Mon-Fri", holidays="DE"), 7 * DAY, calendar=calendar)
    assert (found // DAY).astype(int).tolist() == [0, 0, 5, 5, 6, 6]


def test_given_instants_are_sorted_and_cut():
    """Instants of a log are used as they are; those beyond the length are left out."""
    at = ArrivalTimes([50.0, 10.0, DAY, 10.0, DAY - 1])
    assert drawn(at).tolist() == [10.0, 10.0, 50.0, DAY - 1]
    assert drawn(at, 2 * DAY)[-1] == DAY
    assert ArrivalTimes(pd.Series([1, 2])).times == (1.0, 2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson("-3/h"), "Poisson.rate must be a positive rate, got '-3/h'"),
        (lambda: Poisson("300"), "Poisson.rate must be a rate such as"),
        (lambda: Poisson(1, size=0), "Poisson.size must be a whole number, 1 or more"),
        (lambda: Poisson(1, between=("20:00", "08:00")), "Poisson.between must be two clock times"),
        (lambda: Poisson(1, days="Workdays"), "Poisson.days must name days"),
        (lambda: Poisson(1, holidays="XX"), "Poisson.holidays must be a country"),
        (
            lambda: UniformArrivals(10**9),
            "UniformArrivals.count must be 20,000,000 at most, got 1000000000",
        ),
        (
            lambda: UniformArrivals(0),
            "UniformArrivals.count must be a whole number, 1 or more, got 0",
        ),
        (lambda: UniformArrivals(2.5), "UniformArrivals.count must be a whole number, 1 or more"),
        (lambda: Regular(0), "Regular.every must be positive, got 0"),
        (lambda: Regular(1, offset=-1), "Regular.offset must not be negative, got -1"),
        (lambda: ArrivalTimes([]), "ArrivalTimes.times must hold at least one instant"),
        (lambda: ArrivalTimes([1, None]), "ArrivalTimes.times must be a list of finite instants"),
        (
            lambda: ArrivalTimes(pd.to_datetime(["2026-01-05"])),
            "ArrivalTimes.times must be a list of finite instants",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_every_kind_has_its_word():
    """Scenario files call arrivals by these words."""
    assert list(ARRIVALS) == ["poisson", "weekly poisson", "scattered", "regular", "at"]
    assert list(ARRIVALS.values()) == [
        Poisson,
        WeeklyPoisson,
        UniformArrivals,
        Regular,
        ArrivalTimes,
    ]


def weekly(**hours):
    """Return a table of rates that is zero but for ``mon_8=60`` and the like."""
    table = np.zeros((7, 24))
    for name, rate in hours.items():
        day, hour = name.split("_")
        table[["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day), int(hour)] = rate
    return WeeklyPoisson(table)


def test_weekly_arrivals_have_the_rate_of_their_hour():
    """In each hour of the week the counts of 40 weeks are Poisson with the rate of the table."""
    rng = np.random.default_rng(1)
    rates = rng.uniform(0, 20, (7, 24)) * (rng.random((7, 24)) < 0.7)
    weeks = 40
    at = drawn(WeeklyPoisson(rates), weeks * 7 * DAY)
    counts = np.bincount((at % (7 * DAY) // HOUR).astype(int), minlength=168).reshape(7, 24)
    assert not counts[rates == 0].any()
    busy = rates > 0
    statistic = ((counts - weeks * rates) ** 2)[busy] / (weeks * rates[busy])
    assert stats.chi2.sf(statistic.sum(), busy.sum()) > 1e-4


def test_weekly_arrivals_follow_the_wall_clock_when_it_jumps():
    """The spring night has no hour from 02:00; the autumn night has it twice, at its rate."""
    rates = weekly(sun_2=600, sun_3=600)
    for start, hours in ((date(2026, 3, 28), 1), (date(2026, 10, 24), 3)):
        berlin = Calendar(start, "Europe/Berlin")
        at = berlin.timestamps(drawn(rates, 2 * DAY + HOUR, calendar=berlin))
        assert set(at.hour) == ({3} if hours == 1 else {2, 3})
        assert abs(len(at) - 600 * hours) < 5 * math.sqrt(600 * hours)


def test_one_row_of_rates_is_every_day_and_volume_scales_them():
    """24 rates stand for all days; volume multiplies, size groups, holidays stay empty."""
    one = WeeklyPoisson([1.0] * 24, volume=2.0)
    assert one == WeeklyPoisson([[1.0] * 24] * 7, volume=2.0)
    assert one.per_week == 336
    pairs = drawn(WeeklyPoisson([5.0] * 24, size=2), 7 * DAY)
    assert np.array_equal(pairs[::2], pairs[1::2])
    assert abs(len(pairs) - 1680) < 5 * math.sqrt(2 * 1680)
    new_year = Calendar(date(2026, 1, 1))
    found = drawn(WeeklyPoisson([1.0] * 24, holidays="DE"), 2 * DAY, calendar=new_year)
    assert found.min() >= DAY


@pytest.mark.parametrize(
    "rates", [[1] * 23, [[1] * 24] * 6, [0] * 24, [-1] + [1] * 23, [math.nan] * 24, "x", None]
)
def test_a_week_of_rates_is_checked(rates):
    """Wrong shapes, negative or unknown rates and none at all are refused with what is right."""
    with pytest.raises(ScenarioError, match=r"WeeklyPoisson.rates must be 24 rates per hour"):
        WeeklyPoisson(rates)


def test_volume_is_a_positive_number():
    """Zero times everything is nothing."""
    with pytest.raises(ScenarioError, match=r"WeeklyPoisson.volume must be positive, got 0"):
        WeeklyPoisson([1] * 24, volume=0)


@pytest.mark.parametrize(
    "rates", [[10**400] * 24, [1e300] * 24, [[1.0], 2], [["1"] * 24], [True] * 24]
)
def test_rates_that_are_no_numbers_of_arrivals_are_refused(rates):
    """Numbers too large for a float, texts and truth values among them."""
    with pytest.raises(ScenarioError, match=r"WeeklyPoisson.rates must be"):
        WeeklyPoisson(rates)
    with pytest.raises(ScenarioError, match=r"WeeklyPoisson.volume must be from 1e-09 to 1e"):
        WeeklyPoisson([1] * 24, volume=1e300)
