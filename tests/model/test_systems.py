"""External systems are checked where they are described; nights fall when the calendar says.

How the systems work through their trays is tested with the engine.
"""

import itertools
import math
from collections import deque
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Fixed, exponential
from asyncsim.model.systems import (
    Chain,
    LanePool,
    LoggedCompletions,
    NightlyBatch,
    OnlineService,
    People,
)

HOUR, DAY = 3600.0, 86400.0
MONDAY = Calendar(date(2026, 1, 5))


def nights(batch, n, calendar=MONDAY):
    return list(itertools.islice(batch.nights(calendar), n))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NightlyBatch("25:00", 1), "NightlyBatch.start must be a clock time such as"),
        (lambda: NightlyBatch("0 99 * * *", 1), "NightlyBatch.start is not a valid cron"),
        (lambda: NightlyBatch("22:00", "1"), "NightlyBatch.item_time must be a duration such as"),
        (lambda: NightlyBatch("22:00", 1, days="Mo"), "NightlyBatch.days must name days"),
        (lambda: NightlyBatch("22:00", 1, holidays="XX"), "NightlyBatch.holidays must be a"),
        (
            lambda: NightlyBatch("24:00", 1, end="00:00"),
            "NightlyBatch.end must differ from the start, got '00:00'",
        ),
        (lambda: NightlyBatch("22:00", 1, cut_off=20), "NightlyBatch.cut_off must be a clock"),
        (lambda: NightlyBatch("22:00", 1, lanes=0), "NightlyBatch.lanes must be a whole"),
        (lambda: NightlyBatch("22:00", 1, max_items=0), "NightlyBatch.max_items must be a"),
        (
            lambda: NightlyBatch("22:00", 1, end="22:00"),
            "NightlyBatch.end must differ from the start, got '22:00'",
        ),
        (lambda: NightlyBatch("22:00", 1, skip=1), "NightlyBatch.skip must be below 1"),
        (lambda: NightlyBatch("22:00", 1, failure=1.0), "NightlyBatch.failure must be below 1"),
        (lambda: NightlyBatch("22:00", 1, results="end"), "NightlyBatch.results must be one of"),
        (lambda: OnlineService(-1), "OnlineService.item_time must not be negative, got -1"),
        (lambda: OnlineService(1, lanes=0), "OnlineService.lanes must be a whole number"),
        (lambda: People(10**30, 1), "People.team must be 1,000,000 at most"),
        (lambda: People(0, 1), "People.team must be a whole number, 1 or more, got 0"),
        (lambda: People(1, 1, between=("17:00", "08:00")), "People.between must be two clock"),
        (lambda: Chain([OnlineService(1)]), "Chain.systems must be a list of two or more"),
        (lambda: Chain([OnlineService(1), 5]), "Chain.systems must be a list of two or more"),
        (lambda: Chain(OnlineService(1)), "Chain.systems must be a list of two or more"),
        (
            lambda: LoggedCompletions([]),
            "LoggedCompletions.completions must hold at least one instant",
        ),
        (
            lambda: LoggedCompletions([1, math.nan]),
            "LoggedCompletions.completions must be a list of finite",
        ),
        (
            lambda: LoggedCompletions([True]),
            "LoggedCompletions.completions must be a list of finite",
        ),
        (
            lambda: LoggedCompletions([[1], [2, 3]]),
            "LoggedCompletions.completions must be a list of finite",
        ),
        (
            lambda: LoggedCompletions(pd.to_datetime(["2026-01-05"])),
            "LoggedCompletions.completions must be a list of finite",
        ),
        (
            lambda: LoggedCompletions([1, 2], ["a"]),
            "LoggedCompletions.serial_numbers must be unique, and as many",
        ),
        (
            lambda: LoggedCompletions([1, 2], ["a", "a"]),
            "LoggedCompletions.serial_numbers must be unique",
        ),
        (
            lambda: LoggedCompletions([1], [5]),
            "LoggedCompletions.serial_numbers must be a list of non-empty",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_every_night_at_ten():
    """A batch runs at its clock time, takes all that is there by then, and has no end."""
    found = nights(NightlyBatch("22:00", "150ms"), 3)
    assert [night.index for night in found] == [0, 1, 2]
    assert [night.start for night in found] == [22 * HOUR + k * DAY for k in range(3)]
    assert all(night.cut_off == night.start and night.end == math.inf for night in found)


def test_a_cut_off_before_the_start_is_on_the_same_day():
    """Submitted by 20:00 for the batch at 22:00."""
    (night,) = nights(NightlyBatch("22:00", 1, cut_off="20:00"), 1)
    assert (night.cut_off, night.start) == (20 * HOUR, 22 * HOUR)


def test_a_cut_off_at_the_start_is_the_start():
    """22:00 is not later than 22:00: the cut-off is on the same day."""
    (night,) = nights(NightlyBatch("22:00", 1, cut_off="22:00"), 1)
    assert night.cut_off == night.start


def test_a_cut_off_later_than_the_start_is_on_the_day_before():
    """Submitted by 23:00 for the batch at 01:00: on the evening before, even before the start."""
    first, second = nights(NightlyBatch("01:00", 1, cut_off="23:00"), 2)
    assert (first.cut_off, first.start) == (-1 * HOUR, 1 * HOUR)
    assert (second.cut_off, second.start) == (23 * HOUR, 25 * HOUR)


def test_an_end_after_midnight_is_on_the_next_day():
    """From 22:00 to 05:00 are seven hours; from 01:00 to 05:00 four."""
    (late,) = nights(NightlyBatch("22:00", 1, end="05:00"), 1)
    assert late.end - late.start == 7 * HOUR
    (early,) = nights(NightlyBatch("01:00", 1, end="05:00"), 1)
    assert early.end - early.start == 4 * HOUR


def test_a_batch_at_midnight():
    """24:00 of Monday and 00:00 of Tuesday are the same moment; their cut-offs are on Monday."""
    for start, k in (("24:00", 0), ("00:00", 1)):
        night = nights(NightlyBatch(start, 1, cut_off="20:00"), 2)[k]
        assert (night.start, night.cut_off) == (DAY, 20 * HOUR)


def test_cron_nights_have_cut_off_and_end_too():
    """A cron expression gives the starts; cut-off and end stay clock times around them."""
    batch = NightlyBatch("30 1 * * 2-6", 1, cut_off="23:00", end="05:00")
    first, second = nights(batch, 2)
    assert first.start == DAY + 1.5 * HOUR  # Tuesday
    assert (first.cut_off, first.end) == (23 * HOUR, DAY + 5 * HOUR)
    assert second.start == first.start + DAY


def test_days_and_holidays_have_no_night():
    """No batch at the weekend, nor on Good Friday and Easter Monday in Germany."""
    week = nights(NightlyBatch("22:00", 1, days="Mon-Fri"), 6)
    assert [int(night.start // DAY) for night in week] == [0, 1, 2, 3, 4, 7]
    easter = Calendar(date(2026, 4, 2))
    found = nights(NightlyBatch("22:00", 1, days="Mon-Fri", holidays="DE"), 3, easter)
    assert [int(night.start // DAY) for night in found] == [0, 5, 6]


@pytest.mark.parametrize(
    ("start", "hours"), [(date(2026, 3, 28), 23), (date(2026, 10, 24), 25)], ids=str
)
@pytest.mark.parametrize("written", ["22:00", "0 22 * * *"])
def test_nights_across_a_change_of_clocks(start, hours, written):
    """The nights stay at 22:00 on the clock, 23 and 25 hours apart; so do cut-off and end."""
    batch = NightlyBatch(written, 1, cut_off="20:00", end="05:00")
    first, second = nights(batch, 2, Calendar(start, "Europe/Berlin"))
    assert second.start - first.start == hours * HOUR
    assert second.cut_off - first.cut_off == hours * HOUR
    assert first.end - first.start == (7 + hours - 24) * HOUR
    assert second.end - second.start == 7 * HOUR


CHANGES = {
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 10, 4), date(2026, 4, 5)),  # by half an hour
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),  # at midnight
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
}
QUARTERS = [f"{h:02d}:{m:02d}" for h in (22, 23, 0, 1, 2, 3) for m in (0, 15, 30, 45)] + ["24:00"]


def zoneinfo_seconds(midnight, day, clock):
    """Return the seconds from a midnight to a clock time on a date, by zoneinfo alone."""
    hour, minute = int(clock[:2]), int(clock[3:])
    there = datetime.combine(day + timedelta(days=hour // 24), time(hour % 24, minute))
    return there.replace(tzinfo=midnight.tzinfo).timestamp() - midnight.timestamp()


def minutes_of(clock):
    return 60 * int(clock[:2]) + int(clock[3:])


@pytest.mark.parametrize(("zone", "change"), [(z, c) for z in CHANGES for c in CHANGES[z]], ids=str)
def test_no_cut_off_is_after_its_start_and_no_end_before_it(zone, change):
    """Every quarter of an hour around both changes of clocks, held against zoneinfo.

    A cut-off that would come after the start is the start; a night whose end would come before it
    is as long as the clock times say.
    """
    first = change - timedelta(days=1)
    midnight = datetime.combine(first, time(), ZoneInfo(zone))
    calendar = Calendar(first, zone)
    unlike = 0
    for start, other in itertools.product(QUARTERS, QUARTERS):
        ends = {} if start in (other, "24:00") and other in (start, "00:00") else {"end": other}
        for k, night in enumerate(
            nights(NightlyBatch(start, 1, cut_off=other, **ends), 3, calendar)
        ):
            day, apart = first + timedelta(days=k), minutes_of(other) - minutes_of(start)
            cut = zoneinfo_seconds(midnight, day - timedelta(days=apart > 0), other)
            end = zoneinfo_seconds(midnight, day + timedelta(days=apart <= 0), other)
            assert night.start == zoneinfo_seconds(midnight, day, start)
            assert night.cut_off == min(cut, night.start)
            if ends:
                written = 60.0 * (apart % (24 * 60))
                assert night.end == (end if end > night.start else night.start + written)
                assert night.end > night.start
                unlike += night.cut_off != cut or night.end != end
    assert bool(unlike) == (change == CHANGES[zone][0])  # only where clock times are skipped


@pytest.mark.parametrize(
    ("words", "cut_off", "end", "expected"),
    [
        # 02:30 on the night that skips it: cron runs at 03:00, two hours after midnight
        ("30 2 * * *", "02:15", "02:45", (2.0, 2.0, 2.75)),
        ("30 2 * * *", "02:45", "03:30", (2.0, -21.25, 2.5)),
        # A start in the hour that comes twice, the second time, and an end that does so too
        ("30 * * * *", "02:30", "02:45", (3.5, 2.5, 3.75)),
    ],
)
def test_cut_off_and_end_of_cron_nights_on_changes_of_clocks(words, cut_off, end, expected):
    """They belong to the clock time that the expression names, also where a night skips it."""
    spring = words.startswith("30 2")
    day = CHANGES["Europe/Berlin"][0 if spring else 1]
    batch = NightlyBatch(words, 1, cut_off=cut_off, end=end)
    night = nights(batch, 1 if spring else 4, Calendar(day, "Europe/Berlin"))[-1]
    assert (night.start, night.cut_off, night.end) == tuple(h * HOUR for h in expected)


def test_distributions_and_defaults():
    """A plain duration is a fixed distribution; a batch by default has one lane and no limit."""
    batch = NightlyBatch(start="22:00", item_time="150ms")
    assert batch.item_time == Fixed(0.15)
    assert (batch.lanes, batch.max_items, batch.results) == (1, None, "per item")
    people = People(3, exponential("10min"))
    assert (people.between, people.days) == (("08:00", "17:00"), "Mon-Fri")
    assert OnlineService(1, lanes=None).lanes is None


def test_a_chain_is_laid_out_flat():
    """A chain within a chain adds its links; anything else is one link."""
    a, b, c = OnlineService(1), OnlineService(2), People(1, 3)
    assert Chain([a, Chain([b, c])]).links == (a, b, c)
    assert a.links == (a,)


def test_a_log_may_come_as_an_array():
    """Completions come as a list, an array or a column."""
    for values in ([1, 2.5], np.array([1.0, 2.5]), pd.Series([1.0, 2.5])):
        assert LoggedCompletions(values).completions == (1.0, 2.5)
    assert LoggedCompletions([1.0], ["5_31"]).item_time == Fixed(0.0)


def test_a_chain_has_links_that_can_be_counted():
    """Chains in chains are flattened; a hundred links are the limit."""
    chain = Chain([OnlineService(1), OnlineService(1)])
    for _ in range(98):
        chain = Chain([OnlineService(1), chain])
    assert len(chain.links) == 100
    with pytest.raises(ScenarioError, match=r"Chain.systems must have 100 links at most"):
        Chain([OnlineService(1), chain])


def test_instants_of_a_log_are_bounded():
    """As all times are."""
    with pytest.raises(
        ScenarioError, match=r"LoggedCompletions.completions must hold instants up to 1e\+11"
    ):
        LoggedCompletions([1e12])


# --- lanes ----------------------------------------------------------------------------------------


def stand_in_line(jobs, servers):
    """Play a FIFO queue event by event: jobs join, wait, are served, leave."""
    events = deque(enumerate(jobs))
    queue, busy, times = deque(), [], {}
    now = 0
    while events or queue:
        while queue and len(busy) < servers:
            k, work = queue.popleft()
            times[k] = (now, now + work)
            busy.append(now + work)
        if not events and not queue:
            break
        joins = events[0][1][0] if events else math.inf
        leaves = min(busy, default=math.inf)
        now = min(joins, leaves)
        if leaves <= joins:
            busy.remove(leaves)
        else:
            k, (_, work) = events.popleft()
            queue.append((k, work))
    return [times[k] for k in range(len(jobs))]


round_jobs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=40).map(sorted)


@given(round_jobs, st.integers(1, 4))
def test_booking_gives_the_times_of_a_fifo_queue(jobs, servers):
    """Starts and ends are those of c servers that serve the longest waiting first."""
    jobs = sorted(jobs, key=lambda job: job[0])
    lanes = LanePool(servers)
    assert [lanes.book(*job) for job in jobs] == stand_in_line(jobs, servers)


@given(round_jobs, st.integers(1, 4))
def test_no_more_jobs_than_lanes_are_served_at_once(jobs, servers):
    """At every instant at most c jobs are in service, and none starts before it joins."""
    lanes = LanePool(servers)
    spans = [lanes.book(*job) for job in jobs]
    for (joined, work), (start, end) in zip(jobs, spans, strict=True):
        assert start >= joined
        assert end == start + work
    for instant in {start for start, _ in spans}:
        assert sum(start <= instant < end for start, end in spans) <= servers


def test_next_free_is_the_first_lane_that_is_free():
    """Two lanes taken until 5 and 3: the next one is free at 3."""
    lanes = LanePool(2, free_at=1.0)
    assert lanes.next_free == 1.0
    lanes.book(0.0, 4.0)
    lanes.book(0.0, 2.0)
    assert lanes.next_free == 3.0
    assert lanes.book(2.0, 10.0) == (3.0, 13.0)


@pytest.mark.parametrize(("jobs", "lanes"), [(1000, 20), (1001, 20), (7, 3)])
def test_a_herd_of_equal_jobs_leaves_in_rounds(jobs, lanes):
    """N equal jobs at once on c lanes: the last leaves after s times N/c, rounded up."""
    found = LanePool(lanes)
    ends = [found.book(0.0, 2.0)[1] for _ in range(jobs)]
    assert ends[-1] == 2.0 * math.ceil(jobs / lanes)
