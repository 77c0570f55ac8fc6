"""Clock times become the right instants, on the nights when the clocks jump as on any other."""

import contextlib
import itertools
import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thorough import times

from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import (
    Calendar,
    Days,
    Hours,
    clock_or_cron,
    holiday_calendar,
    is_cron,
    zone_name,
)
from asyncsim.model.units import InvalidValue

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)  # 02:00 → 03:00, and 03:00 → 02:00
HOUR = 3600.0
EVERY_DAY = Days()


def take(moments, n):
    return list(itertools.islice(moments, n))


def instants(moments, n):
    return [moment.instant for moment in take(moments, n)]


@pytest.mark.parametrize(
    ("change", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2026, 6, 1), 24)], ids=str
)
def test_the_days_of_the_change_are_shorter_and_longer(change, hours):
    """From 22:00 to 22:00 across a spring night are 23 hours, across an autumn night 25."""
    calendar = Calendar(change - timedelta(days=2), BERLIN)
    found = np.diff(instants(calendar.times_of("22:00", EVERY_DAY), 5)) / HOUR
    assert found.tolist() == [24, hours, 24, 24]


def test_a_clock_time_that_is_skipped_is_an_hour_late():
    """02:30 on the spring night is the moment that shows 03:30: 2.5 hours after midnight."""
    calendar = Calendar(SPRING, BERLIN)
    assert calendar.instant(SPRING, "02:30") == 2.5 * HOUR
    assert calendar.instant(SPRING, "03:30") == 2.5 * HOUR
    assert calendar.instant(SPRING, "03:00") == 2.0 * HOUR
    assert calendar.timestamps(np.array([2.5 * HOUR]))[0] == pd.Timestamp(
        "2026-03-29 03:30", tz=BERLIN
    )


def test_a_clock_time_that_comes_twice_is_taken_the_first_time():
    """02:30 on the autumn night is 2.5 hours after midnight, 03:00 is 4 hours after it."""
    calendar = Calendar(AUTUMN, BERLIN)
    assert calendar.instant(AUTUMN, "02:30") == 2.5 * HOUR
    assert calendar.instant(AUTUMN, "03:00") == 4.0 * HOUR
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(BERLIN), fold=1)
    assert calendar.seconds(second) == 3.5 * HOUR


@pytest.mark.parametrize("zone", [None, BERLIN, "America/New_York", "Asia/Kolkata"])
@given(day=st.integers(0, 800), minute=st.integers(0, 1440))
def test_instants_count_elapsed_seconds(zone, day, minute):
    """An instant is the time elapsed since local midnight of the start, counted in UTC."""
    calendar = Calendar(date(2025, 12, 31), zone)
    at = calendar.day(day)
    found = calendar.instant(at, f"{minute // 60:02d}:{minute % 60:02d}")
    wall = datetime(at.year, at.month, at.day) + timedelta(minutes=minute)
    origin = datetime(2025, 12, 31)
    if zone:
        wall, origin = (
            moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in (wall, origin)
        )
    assert found == (wall - origin).total_seconds()


def test_24_00_is_midnight_of_the_next_day():
    """The end of one day is the beginning of the next, also across a change of clocks."""
    for day in (SPRING, AUTUMN, date(2026, 12, 31)):
        for zone in (None, BERLIN):
            calendar = Calendar(date(2026, 1, 5), zone)
            assert calendar.instant(day, "24:00") == calendar.instant(
                day + timedelta(days=1), "00:00"
            )


def test_timestamps_show_the_wall_clock():
    """Instants become timestamps in the scenario's zone; what has no time has no timestamp."""
    calendar = Calendar(AUTUMN, BERLIN)
    found = calendar.timestamps(np.array([0.0, 2.5 * HOUR, 3.5 * HOUR, math.nan]))
    assert [str(at)[11:22] for at in found[:3]] == ["00:00:00+02", "02:30:00+02", "02:30:00+01"]
    assert found[3] is pd.NaT
    plain = Calendar(AUTUMN).timestamps(np.array([3.5 * HOUR]))
    assert plain[0] == pd.Timestamp("2026-10-25 03:30")
    assert plain.tz is None


@given(st.floats(0, 3e8))
def test_timestamps_lead_back_to_the_instant(instant):
    """A timestamp read as a moment is the instant it came from, to the microsecond."""
    calendar = Calendar(date(2026, 1, 5), BERLIN)
    at = calendar.timestamps(np.array([instant]))[0]
    assert calendar.seconds(at.to_pydatetime()) == pytest.approx(instant, abs=1e-6)


def test_a_calendar_without_a_zone_never_jumps():
    """Without a zone every day has 24 hours."""
    calendar = Calendar(date(2026, 3, 28))
    assert set(np.diff(instants(calendar.times_of("22:00", EVERY_DAY), 300))) == {86400.0}


def test_only_the_days_that_count_have_times():
    """'Fri-Mon' leaves out Tuesday to Thursday; New Year's Day is a holiday in Germany."""
    calendar = Calendar(date(2026, 1, 1))  # a Thursday
    days = [moment.day.day for moment in take(calendar.times_of("08:00", Days("Fri-Mon")), 6)]
    assert days == [2, 3, 4, 5, 9, 10]
    working = Days("Mon-Fri", "DE")
    assert [m.day.day for m in take(calendar.times_of("08:00", working), 3)] == [2, 5, 6]


def test_holidays_of_a_country_and_of_a_part_of_it():
    """Epiphany is a holiday in Bavaria, not in all of Germany; Good Friday is one everywhere."""
    assert date(2026, 1, 6) in Days("every day", "DE")
    assert date(2026, 1, 6) not in Days("every day", "DE-BY")
    for place in ("DE", "DE-BY"):
        assert date(2026, 4, 3) not in Days("every day", place)
        assert date(2026, 12, 25) not in Days("every day", place)


@pytest.mark.parametrize(
    "value",
    ["XX", "DE-XX", "", "de", 5, ["DE"], {"DE": 1}, "HolidayBase", "utils", "XNYS0", "__name__"],
    ids=repr,
)
def test_unknown_places_are_refused(value):
    """Only a country or a part of one has public holidays."""
    with pytest.raises(InvalidValue, match="must be a country such as 'DE'"):
        holiday_calendar(value)
    with pytest.raises(ScenarioError, match=r"Days\.holidays must be a country such as 'DE'"):
        Days(holidays=value)


def test_places_may_be_left_out():
    """Without a place there are no holidays."""
    assert holiday_calendar(None) is None
    assert holiday_calendar("DE-BY") == "DE-BY"
    assert date(2026, 12, 25) in Days()


@pytest.mark.parametrize("value", ["", "Europe", "Berlin", 5, ["x"], {}, "../etc", "a\x00b"])
def test_unknown_zones_are_refused(value):
    """Only a zone the machine knows is a zone."""
    with pytest.raises(InvalidValue, match="must be a time zone such as 'Europe/Berlin'"):
        zone_name(value)


def test_a_misspelt_zone_gets_a_hint():
    """The nearest zone is named."""
    assert zone_name(None) is None
    assert zone_name(BERLIN) == BERLIN
    with pytest.raises(InvalidValue) as refused:
        zone_name("Europe/Berln")
    assert refused.value.hint == "; did you mean 'Europe/Berlin'?"


def test_clock_times_and_cron_expressions():
    """Five fields are a cron expression, anything else must be a clock time."""
    assert clock_or_cron("22:00") == "22:00"
    assert not is_cron("22:00")
    assert clock_or_cron("0 22 * * 1-5") == "0 22 * * 1-5"
    assert is_cron("0 22 * * 1-5")
    with pytest.raises(InvalidValue, match=r"is not a valid cron expression \(Bad minute\)"):
        clock_or_cron("99 22 * * *")
    for wrong in ("22", "0 22 * *", 22, None):
        with pytest.raises(InvalidValue, match="must be a clock time such as '22:00' or a cron"):
            clock_or_cron(wrong)


@given(st.lists(st.text("0123456789*/,-L#²", max_size=4), min_size=5, max_size=5).map(" ".join))
def test_no_cron_expression_breaks_the_reader(expression):
    """Any five words are a cron expression, or are refused."""
    with contextlib.suppress(InvalidValue):
        assert clock_or_cron(expression) == expression


def test_cron_at_midnight_of_the_start_is_not_missed():
    """The first run may be at instant 0."""
    assert instants(Calendar(date(2026, 1, 5)).cron_times("0 0 * * *", EVERY_DAY), 2) == [0, 86400]


def test_cron_keeps_to_days_and_holidays():
    """An expression for working days leaves out the weekend, and holidays where asked to."""
    calendar = Calendar(date(2026, 1, 1))
    found = take(calendar.cron_times("30 21 * * 1-5", Days(holidays="DE")), 3)
    assert [(m.day.day, m.clock) for m in found] == [(2, 77400), (5, 77400), (6, 77400)]
    assert found[0].instant == 86400 + 77400


@pytest.mark.parametrize(("change", "runs"), [(SPRING, 46), (AUTUMN, 50)], ids=str)
def test_an_interval_in_cron_keeps_its_pace(change, runs):
    """Every half hour is 46 times on the spring day and 50 times on the autumn day."""
    calendar = Calendar(change, BERLIN)
    found = instants(calendar.cron_times("*/30 * * * *", EVERY_DAY), runs + 1)
    assert found == [k * 1800.0 for k in range(runs + 1)]
    assert found[-1] == calendar.instant(change, "24:00")


def test_a_nightly_cron_runs_once_on_both_nights():
    """02:30 runs once a day: at 03:00 summer time in spring, the first of the two in autumn."""
    for change, at in ((SPRING, 2.0 * HOUR), (AUTUMN, 2.5 * HOUR)):
        calendar = Calendar(change, BERLIN)
        found = take(calendar.cron_times("30 2 * * *", EVERY_DAY), 2)
        assert [moment.day for moment in found] == [change, change + timedelta(days=1)]
        assert found[0].instant == at


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=str)
def test_cron_and_clock_agree_away_from_the_gap(change):
    """'0 22 * * *' and '22:00' are the same moments."""
    calendar = Calendar(change - timedelta(days=2), BERLIN)
    clock = take(calendar.times_of("22:00", EVERY_DAY), 5)
    assert take(calendar.cron_times("0 22 * * *", EVERY_DAY), 5) == clock


def test_a_cron_expression_without_runs_ends():
    """A run on holidays only is found never, and the search ends; one on 29 February is found."""
    calendar = Calendar(date(2026, 1, 5))
    assert list(calendar.cron_times("0 0 25 12 *", Days(holidays="DE"))) == []
    assert take(calendar.cron_times("0 0 29 2 *", EVERY_DAY), 1)[0].day == date(2028, 2, 29)


# --- opening hours ------------------------------------------------------------------------------

windows = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(
    lambda w: w[0] + 10 < w[1]
)  # ten minutes at least, or the calendar runs out
open_hours = st.builds(
    lambda w, days, place: Hours(
        tuple(f"{m // 60:02d}:{m % 60:02d}" for m in w), Days(days, place)
    ),
    windows,
    st.sampled_from(["every day", "Mon-Fri", "Sun", "Fri-Mon"]),
    st.sampled_from([None, "DE"]),
)
calendars = st.builds(
    Calendar,
    st.sampled_from([SPRING, AUTUMN, date(2026, 1, 5), date(2026, 12, 24)]),
    st.sampled_from([None, BERLIN]),
)


def openings(opened, *amounts):
    return opened.openings_of(np.array(amounts, dtype=float)).tolist()


def brute_open_seconds(hours, calendar, instant):
    """Add up, day by day, what of each window lies before the instant."""
    total = 0.0
    for day in map(calendar.day, range(60)):
        if day in hours.days:
            opens, closes = (calendar.instant(day, clock) for clock in hours.between)
            total += max(min(instant, closes) - opens, 0.0)
    return total


@settings(max_examples=times(40))
@example(Hours(("02:30", "03:15")), Calendar(SPRING, BERLIN), [10_000.0, 90_000.0])
@example(Hours(("02:15", "02:45")), Calendar(AUTUMN, BERLIN), [8_000.0, 9_000.0, 12_000.0])
@given(open_hours, calendars, st.lists(st.floats(0, 20 * 86400), max_size=8))
def test_open_time_is_the_time_inside_the_window(hours, calendar, at):
    """Open seconds are what of the windows has passed: counted by brute force, in any order."""
    office = hours.opened(calendar)
    for instant in at:
        expected = brute_open_seconds(hours, calendar, instant)
        assert office.open_seconds(instant) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=times(40))
@example(Hours(("02:30", "03:15")), Calendar(SPRING, BERLIN), [0, 1800])
@given(open_hours, calendars, st.lists(st.integers(0, 86400), max_size=8))
def test_open_time_and_instants_are_inverse(hours, calendar, amounts):
    """Going to the instant of an amount of open time and counting back gives that amount."""
    office = hours.opened(calendar)
    for amount in amounts:
        first, (at_work,) = office.instant_of(amount), openings(office, amount)
        assert office.open_seconds(first) == amount
        assert office.open_seconds(at_work) == amount
        assert first <= at_work
        if amount:  # instant_of is the first of them: a moment earlier it was less
            assert office.open_seconds(first - 0.5) < amount
        assert office.open_seconds(at_work + 0.5) > amount  # openings_of the last of them


@settings(max_examples=times(40))
@given(open_hours, calendars, st.lists(st.floats(0, 9 * 86400) | st.integers(0, 9 * 86400)))
def test_many_openings_at_once_are_those_one_by_one(hours, calendar, amounts):
    """To the last bit, at closing times as well."""
    one_by_one = [openings(hours.opened(calendar), amount) for amount in amounts]
    assert openings(hours.opened(calendar), *amounts) == list(itertools.chain(*one_by_one))


def test_an_office_over_the_weekend():
    """Nine hours of work begun on Friday at 16:00 end on Monday at 16:00 (office 08:00-17:00)."""
    office = Hours(("08:00", "17:00"), Days("Mon-Fri")).opened(Calendar(date(2026, 1, 9)))
    begun = office.open_seconds(16 * HOUR)
    assert office.instant_of(begun + 9 * HOUR) == 3 * 86400 + 16 * HOUR


def test_closing_time_belongs_to_the_evening_or_to_the_morning():
    """Twelve open hours have passed at closing time; it is open again at the next opening."""
    shop = Hours(("08:00", "20:00")).opened(Calendar(date(2026, 1, 5)))
    assert shop.instant_of(12 * HOUR) == 20 * HOUR
    assert openings(shop, 0.0, 12 * HOUR) == [8 * HOUR, 32 * HOUR]


def test_a_window_that_a_night_skips_is_closed():
    """02:30 to 03:15 does not run backwards on the spring night: it is closed then."""
    office = Hours(("02:30", "03:15")).opened(Calendar(SPRING, BERLIN))
    assert office.open_seconds(86400.0 * 0.9) == 0.0
    next_night = Calendar(SPRING, BERLIN).instant(SPRING + timedelta(days=1), "02:30")
    assert openings(office, 0.0) == [next_night]


def test_running_out_of_open_days_is_said():
    """A calendar in which no day counts says so instead of searching for ever."""

    class Never(Days):
        def __contains__(self, day):
            return False

    with pytest.raises(ScenarioError, match="ran out of open days"):
        Hours(days=Never()).opened(Calendar(date(2026, 1, 5))).open_seconds(1.0)


def test_an_instant_that_no_date_shows_has_no_timestamp():
    """It is NaT, as what never happened; the seconds in the table stay."""
    for zone in (None, BERLIN):
        shown = Calendar(date(2200, 12, 31), zone).timestamps(np.array([0.0, 1e11, 1e12, math.inf]))
        assert shown.isna().tolist() == [False, False, True, True]
        assert shown[1].year == 5369


def test_a_cron_expression_on_days_that_never_count_ends_soon():
    """A day that does not count is passed over whole, not minute by minute."""
    days = Days("Sat")
    found = Calendar(date(2026, 1, 5)).cron_times("* * * * *", days)
    assert next(found).day == date(2026, 1, 10)
    assert not list(Calendar(date(2026, 1, 5)).cron_times("* * * * 1-5", days))


@pytest.mark.parametrize("words", ["0 0 * * 5L/2", "* " * 4 + "1" * 5000, "² * * * *"])
def test_a_cron_expression_that_breaks_its_reader_is_refused(words):
    """Such as one that it asserts cannot be."""
    with pytest.raises(
        InvalidValue, match=r"is not a valid cron|characters at most|must be a clock time"
    ):
        clock_or_cron(words)


def test_a_cron_expression_may_have_any_blanks():
    """They are one space each; a clock time has none."""
    assert clock_or_cron("0\t22  *\n* *") == "0 22 * * *"
