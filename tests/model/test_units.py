"""What people write is read exactly, or refused with words that help."""

import contextlib
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.model import units as q
from asyncsim.model.distributions import finite_numbers
from asyncsim.model.units import InvalidValue, Rate, any_text, rate, text, texts

ALWAYS_REFUSED = [
    None,
    True,
    False,
    np.bool_(True),
    math.nan,
    math.inf,
    -math.inf,
    np.float64("nan"),
    np.float32("inf"),
    pd.NaT,
    pd.NA,
    np.timedelta64("NaT", "s"),
    1j,
    Decimal("1"),
    [],
    {},
    object(),
    date(2026, 1, 5),
]


@pytest.mark.parametrize("value", ALWAYS_REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "read",
    [
        q.number,
        q.duration,
        q.positive_duration,
        q.probability,
        q.chance_below_one,
        q.count,
        q.from_zero,
        text,
        any_text,
        q.clock_time,
        q.window,
        q.days_of_week,
        rate,
    ],
)
def test_what_is_nothing_to_anyone_is_refused(read, value):
    """Booleans, NaN, infinity, None and strange types are refused by every reader."""
    with pytest.raises(q.InvalidValue):
        read(value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("15min", 900.0),
        ("1h 30min", 5400.0),
        ("1h30min", 5400.0),
        (" 2 hours ", 7200.0),
        ("1 hour", 3600.0),
        ("2 days", 172800.0),
        ("1w", 604800.0),
        ("1 week 1 day", 691200.0),
        ("200ms", 0.2),
        ("9ms", 0.009),
        ("0.5s", 0.5),
        (".5s", 0.5),
        ("1e3s", 1000.0),
        ("1.5e-1 s", 0.15),
        ("+5min", 300.0),
        ("90 sec", 90.0),
        ("2 mins", 120.0),
        ("0s", 0.0),
        (90, 90.0),
        (0, 0.0),
        (0.25, 0.25),
        (Fraction(1, 4), 0.25),
        (np.int64(90), 90.0),
        (np.uint8(9), 9.0),
        (np.float32(0.5), 0.5),
        (np.float64(90), 90.0),
        (timedelta(minutes=15), 900.0),
        (pd.Timedelta("15min"), 900.0),
        (np.timedelta64(5, "m"), 300.0),
        (np.timedelta64(5_000_000, "ns"), 0.005),
    ],
)
def test_durations_are_read_in_seconds(written, seconds):
    """A duration is a text with units, a number of seconds, or a time span of any library."""
    found = q.duration(written)
    assert found == seconds
    assert type(found) is float


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "5",
        "min",
        "5 parsec",
        "1h 30",
        "five min",
        "5 min!",
        "1h,30min",
        "--5min",
        "+-5min",
        "-+5min",
        "5 mss",
        "5 hs",
        "1e999s",
        "nan s",
        "inf",
        "0x10s",
        "5m in",
        "M5",
    ],
)
def test_texts_that_are_no_durations_are_refused(written):
    """A text that is not wholly understood is refused, never read in part."""
    with pytest.raises(q.InvalidValue, match="must be a duration such as '15min'"):
        q.duration(written)


@pytest.mark.parametrize("written", ["-5min", -1, -0.1, timedelta(seconds=-1), np.int64(-3)])
def test_negative_durations_are_refused(written):
    """No duration is negative, however it is written."""
    with pytest.raises(q.InvalidValue, match="must not be negative"):
        q.duration(written)
    with pytest.raises(q.InvalidValue, match="must be positive"):
        q.positive_duration(written)


@pytest.mark.parametrize("written", [0, 0.0, -0.0, "0s", timedelta(0)])
def test_a_positive_duration_is_not_zero(written):
    """Zero is a duration, but not a positive one."""
    assert q.duration(written) == 0
    with pytest.raises(q.InvalidValue, match="must be positive"):
        q.positive_duration(written)


def test_optional_quantities_may_be_left_out():
    """None means no limit, and only where it is allowed."""
    assert q.optional_duration(None) is None
    assert q.optional_count(None) is None
    assert q.optional_clock_time(None) is None
    assert q.optional_duration("1min") == 60.0
    assert q.optional_count(3) == 3
    assert q.optional_clock_time("9:00") == "09:00"
    with pytest.raises(q.InvalidValue):
        q.optional_duration(0)


round_figures = st.builds(
    lambda number, unit: number * q.SECONDS_PER_UNIT[unit],
    st.integers(0, 10_000),
    st.sampled_from(["ms", "s", "min", "h", "d"]),
)


@given(st.floats(0, q.LONGEST_TIME) | round_figures)
def test_a_duration_survives_being_written(seconds):
    """Reading what format_duration wrote gives exactly the same number."""
    assert q.duration(q.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (900, "15min"),
        (7200, "2h"),
        (86400, "1d"),
        (0.2, "200ms"),
        (90, "90s"),
        (0, 0),
        (0.1234567, 0.1234567),
    ],
)
def test_a_duration_is_written_as_a_person_would(seconds, written):
    """The largest unit that gives a whole number is used; a crooked number stays a number."""
    assert q.format_duration(seconds) == written


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float64(0.25), np.int64(1), Fraction(1, 3)])
def test_probabilities_lie_between_zero_and_one(value):
    """Both ends are probabilities."""
    assert q.probability(value) == pytest.approx(float(value))


@pytest.mark.parametrize("value", [-0.001, 1.001, "0.5", "50%", 50])
def test_other_numbers_are_no_probabilities(value):
    """Percentages and texts are refused."""
    with pytest.raises(q.InvalidValue, match="must be a probability from 0 to 1"):
        q.probability(value)


def test_a_chance_below_one_leaves_hope():
    """What must succeed some time cannot fail with certainty."""
    assert q.chance_below_one(0.999) == 0.999
    with pytest.raises(q.InvalidValue, match="must be below 1"):
        q.chance_below_one(1)


@pytest.mark.parametrize("value", [1, 4, np.int64(4), np.uint8(7)])
def test_counts_are_whole(value):
    """Python's and NumPy's whole numbers are counts."""
    assert q.count(value) == value
    assert type(q.count(value)) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, np.float64(4.0), "4", np.timedelta64(4, "ns")])
def test_other_numbers_are_no_counts(value):
    """Zero, fractions, floats and texts are not counts."""
    with pytest.raises(q.InvalidValue, match="must be a whole number, 1 or more"):
        q.count(value)


def test_numbers_too_large_for_any_machine_are_refused():
    """With the largest that is taken; an array of workers is held in memory."""
    assert q.count(10**9) == 10**9
    assert q.servers(10**6) == q.count_or_unlimited(10**6) == 10**6
    with pytest.raises(q.InvalidValue, match="must be 1,000,000,000 at most"):
        q.count(10**30)
    with pytest.raises(q.InvalidValue, match="must be 1,000,000 at most"):
        q.servers(10**6 + 1)
    with pytest.raises(q.InvalidValue, match="must be 1,000,000 at most, or 'unlimited'"):
        q.count_or_unlimited(10**30)
    assert q.length(40 * 365 * 86400) == 40 * 365 * 86400.0
    with pytest.raises(q.InvalidValue, match="must be 40 years at most"):
        q.length(10**30)
    with pytest.raises(q.InvalidValue, match="must be positive"):
        q.length(0)


def test_a_number_from_zero():
    """Seeds and replications start at zero."""
    assert q.from_zero(0) == 0
    assert q.from_zero(np.int64(12)) == 12
    for wrong in (-1, 0.5, "0"):
        with pytest.raises(q.InvalidValue, match="must be a whole number, 0 or more"):
            q.from_zero(wrong)


def test_a_count_may_be_unlimited():
    """None, or the word for it in a file, sets no limit."""
    assert q.count_or_unlimited(None) is None
    assert q.count_or_unlimited("unlimited") is None
    assert q.count_or_unlimited(3) == 3
    for wrong in (0, "none", 1.5, True):
        with pytest.raises(
            q.InvalidValue, match="must be a whole number, 1 or more, or 'unlimited'"
        ):
            q.count_or_unlimited(wrong)


def test_a_choice_of_words_names_the_nearest():
    """A typo in a word gets the valid words and the nearest of them."""
    assert q.one_of("clock", ("arming", "clock")) == "clock"
    with pytest.raises(q.InvalidValue) as refused:
        q.one_of("clok", ("arming", "clock"))
    assert refused.value.hint == "; did you mean 'clock'?"
    with pytest.raises(q.InvalidValue, match=r"must be one of 'arming', 'clock'$"):
        q.one_of(5, ("arming", "clock"))


@pytest.mark.parametrize(
    ("written", "clock", "seconds"),
    [
        ("22:00", "22:00", 79200),
        ("9:05", "09:05", 32700),
        ("00:00", "00:00", 0),
        ("24:00", "24:00", 86400),
        ("23:59:59", "23:59:59", 86399),
        ("12:00:00", "12:00", 43200),
        (time(7, 30), "07:30", 27000),
        (time(7, 30, 15), "07:30:15", 27015),
    ],
)
def test_clock_times(written, clock, seconds):
    """A clock time is written in one way, and counts seconds from midnight."""
    assert q.clock_time(written) == clock
    assert q.seconds_of_day(clock) == seconds
    assert q.clock_time(clock) == clock


@pytest.mark.parametrize(
    "written", ["24:01", "25:00", "12:60", "12:00:60", "12", "noon", "12.30", 12, ""]
)
def test_times_no_clock_shows_are_refused(written):
    """Only 24:00 lies beyond 23:59:59."""
    with pytest.raises(q.InvalidValue, match="must be a clock time such as '22:00'"):
        q.clock_time(written)


def test_a_window_is_two_times_in_order():
    """Opening hours start before they end; overnight hours are refused."""
    assert q.window(["8:00", "24:00"]) == ("08:00", "24:00")
    assert q.window((time(8), time(20))) == ("08:00", "20:00")
    for wrong in (("20:00", "08:00"), ("08:00", "08:00"), ("08:00",), "08:00"):
        with pytest.raises(q.InvalidValue, match="must be two clock times, the earlier first"):
            q.window(wrong)


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("every day", {0, 1, 2, 3, 4, 5, 6}),
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("Fri-Mon", {4, 5, 6, 0}),
        ("Sat, Sun", {5, 6}),
        ("monday", {0}),
        ("Tues, THU-Sat", {1, 3, 4, 5}),
        ("Wed-Wed", {2}),
    ],
)
def test_days_of_the_week(written, numbers):
    """Days are listed and spanned by name, also across the weekend; Monday is 0."""
    assert q.day_numbers(written) == numbers
    assert q.days_of_week(written) == written


@pytest.mark.parametrize("written", ["", "Mon-", "-", "Mo", "Mon-Wed-Fri", "Mon;Tue", "Monkey", 5])
def test_other_words_are_no_days(written):
    """What only begins like a day is not a day."""
    with pytest.raises(q.InvalidValue, match="must name days such as 'Mon-Fri'"):
        q.days_of_week(written)


def test_a_misspelt_day_gets_a_hint():
    """The nearest day is named."""
    with pytest.raises(q.InvalidValue) as refused:
        q.days_of_week("Wedensday")
    assert refused.value.hint == "; did you mean 'Wednesday'?"


def test_dates():
    """A date is a date or its ISO text; a moment is not a date."""
    assert q.calendar_date("2026-01-05") == date(2026, 1, 5)
    assert q.calendar_date(date(2026, 1, 5)) == date(2026, 1, 5)
    for wrong in ("2026-02-30", "5.1.2026", datetime(2026, 1, 5), pd.Timestamp("2026"), None, 5):
        with pytest.raises(q.InvalidValue, match="must be a date such as '2026-01-05'"):
            q.calendar_date(wrong)


@pytest.mark.parametrize(
    ("written", "count", "unit", "per_second"),
    [
        ("300/h", 300, "h", 300 / 3600),
        ("10000/day", 10000, "day", 10000 / 86400),
        ("0.5 / min", 0.5, "min", 0.5 / 60),
        (2, 2, "s", 2),
        (np.float64(0.5), 0.5, "s", 0.5),
    ],
)
def test_rates_keep_their_unit(written, count, unit, per_second):
    """A rate remembers whether it was written per hour or per day."""
    found = rate(written)
    assert (found.count, found.unit) == (count, unit)
    assert found.per_second == pytest.approx(per_second, rel=1e-15)
    assert rate(str(found)) == found
    assert rate(found) == found


@pytest.mark.parametrize(
    "written",
    [
        *["300", "/h", "x/h", "300/parsec", "300//h", "nan/h", "1e999/h", ".../h"],
        Rate(3.0, "parsec"),
        Rate("3", "h"),
    ],
)
def test_other_texts_are_no_rates(written):
    """A rate needs a number and a known unit, also where it comes as a Rate."""
    with pytest.raises(q.InvalidValue, match="must be a rate such as '300/h'"):
        rate(written)


@pytest.mark.parametrize("written", ["0/h", "-3/h", 0, -1, Rate(-3.0, "h")])
def test_rates_are_positive(written):
    """Nothing arrives at a rate of zero."""
    with pytest.raises(q.InvalidValue, match="must be a positive rate"):
        rate(written)


@given(st.floats(1e-5, 1e6), st.sampled_from(sorted(q.SECONDS_PER_UNIT)))
def test_a_rate_survives_being_written(count, unit):
    """Reading the text of a rate gives exactly the same rate."""
    assert rate(str(Rate(count, unit))) == Rate(count, unit)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5],
        (1, 2.5),
        np.array([1.0, 2.5]),
        pd.Series([1.0, 2.5]),
        [np.int64(1), np.float32(2.5)],
    ],
    ids=repr,
)
def test_lists_and_arrays_of_numbers(values):
    """Numbers come in lists, arrays and columns."""
    assert finite_numbers(values) == (1.0, 2.5)


@pytest.mark.parametrize(
    "values",
    [
        [True, 2.0],
        [1.0, math.nan],
        ["1"],
        [[1], [2, 3]],
        np.array([True]),
        np.array(["2026-01-01"], dtype="datetime64[ns]"),
        np.array([5], dtype="timedelta64[ns]"),
        pd.Series(pd.to_datetime(["2026-01-01"])),
        "12",
        {1: 2},
        None,
    ],
    ids=repr,
)
def test_other_lists_are_refused(values):
    """A column of timestamps does not pass as nanoseconds, nor a truth value as a number."""
    with pytest.raises(q.InvalidValue):
        finite_numbers(values)


def test_nearest_word():
    """The nearest word is offered, and nothing where none is near."""
    assert q.nearest("ledgr", ["ledger", "audit"]) == "; did you mean 'ledger'?"
    assert q.nearest("xyz", ["ledger", "audit"]) == ""


@given(st.text(max_size=12))
def test_no_text_breaks_a_reader(text):
    """Whatever is written, a reader returns a value or refuses it."""
    for read in (q.duration, rate, q.clock_time, q.days_of_week, q.calendar_date):
        with contextlib.suppress(q.InvalidValue):
            read(text)


@pytest.mark.parametrize("read", [q.number, q.duration, q.probability, rate])
def test_a_number_beyond_every_float_is_refused(read):
    """A whole number with 400 digits is refused, and crashes nothing."""
    with pytest.raises(q.InvalidValue):
        read(10**400)


@pytest.mark.parametrize(
    "path", ["a\0b", "\0", "a\ud800b.toml", Path("a\0b"), Path("\ud83d"), "a" * 4097]
)
def test_a_name_that_no_file_can_have_is_refused(path):
    """No system has files with NUL or half a character in their names."""
    with pytest.raises(q.InvalidValue, match="must be the name of a file"):
        q.file_name(path)
    assert q.file_name("Überlänge \udce4.toml") == Path("Überlänge \udce4.toml")  # not UTF-8


def test_times_have_bounds_within_which_clocks_and_floats_can_tell_them():
    """From a nanosecond to 3,000 years; zero is a duration, too."""
    assert q.duration(1e11) == 1e11
    assert q.positive_duration(1e-9) == 1e-9
    assert q.duration(0) == 0
    for reader, wrong, problem in (
        (q.duration, 1.1e11, "must be 1e+11 s at most"),
        (q.positive_duration, "1e200s", "must be 1e+11 s at most"),
        (q.positive_duration, 5e-324, "must be at least 1 ns"),
        (rate, "1e300/s", "must be from 1e-11 to 1e+09 per second"),
        (rate, 1e-300, "must be from 1e-11 to 1e+09 per second"),
    ):
        with pytest.raises(q.InvalidValue, match=re.escape(problem)):
            reader(wrong)


@pytest.mark.parametrize("day", ["1699-12-31", "2201-01-01", "9999-12-31", date(1, 1, 1)])
def test_dates_that_timestamps_do_not_reach_are_refused(day):
    """With the first and the last that are taken."""
    with pytest.raises(q.InvalidValue, match="must be a date from 1700-01-01 to 2200-12-31"):
        q.calendar_date(day)
    assert q.calendar_date("1700-01-01") == date(1700, 1, 1)
    assert q.calendar_date(date(2200, 12, 31)) == date(2200, 12, 31)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (q.duration, "1" * 100_000),
        (q.duration, " " * 100_000 + "x"),
        (rate, "1" * 100_000 + "/h"),
        (q.days_of_week, "Mon," * 100_000),
        (q.probability, "1.2.3 %"),
        (q.probability, "." * 100_000 + "%"),
        (q.duration, np.timedelta64(3, "M")),
        (q.clock_time, time(22, 0, 0, 500)),
    ],
)
def test_words_without_end_and_strange_ones_are_refused_at_once(read, words):
    """What is parsed is short; nothing but `InvalidValue` comes out, and nothing is left out."""
    with pytest.raises(q.InvalidValue):
        read(words)


def test_long_words_have_no_nearest_one():
    """To compare two words of 30,000 characters takes a minute."""
    assert q.meant("a" * 30_000, ["a" * 29_999]) is None


def test_texts():
    """A name is not blank; a description may be; a list of texts is one."""
    assert text("a") == "a"
    assert any_text("") == ""
    assert texts(["a", "b"]) == ("a", "b")
    for wrong in ("", "  ", 5):
        with pytest.raises(InvalidValue, match="must be a non-empty text"):
            text(wrong)
    for wrong in ("ab", [""], [1], None):
        with pytest.raises(InvalidValue, match="must be a list of non-empty texts"):
            texts(wrong)


def test_half_a_character_is_no_text():
    """It could be neither saved nor sent."""
    for read, value in ((text, "a\ud800"), (any_text, "\udfff"), (texts, ["a", "\ud800"])):
        with pytest.raises(InvalidValue, match="must be a text that UTF-8 can hold"):
            read(value)


def test_a_name_is_no_book():
    """It stands in tables and messages."""
    assert text("a" * 1000) == "a" * 1000
    with pytest.raises(InvalidValue, match="must have 1,000 characters at most"):
        text("a" * 1001)
