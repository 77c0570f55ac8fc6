"""A batch with several runs a day: bank windows, with their cut-offs and bank holidays."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from both_engines import play_both

import asyncsim as sim
from asyncsim.engine.loads import items_of_a_week
from asyncsim.model.calendar import Calendar, holidays_of, starting_pattern
from asyncsim.model.words import links_in_words

STARTS, CUT_OFFS = ["13:00", "17:00", "18:00"], ["10:30", "14:45", "16:45"]
ACH = {"start": STARTS, "item_time": 0, "cut_off": CUT_OFFS, "days": "Mon-Fri", "holidays": "FED"}
FIRST = date(2026, 7, 1)  # a Wednesday; Independence Day, the 4th, is a Saturday


def scenario(arrivals, **batch):
    """Return a scenario in which payments wait for a bank."""
    return sim.Scenario(
        name="payments",
        process=sim.Process("pay", [sim.AsyncStep("settle", "bank")]),
        systems={"bank": sim.NightlyBatch(**(ACH | batch))},
        arrivals=sim.ArrivalTimes(list(arrivals)),
        start=FIRST,
        length="14 days",
        zone="America/New_York",
    )


def settled(submitted):
    """Return when a payment settles: the first cut-off that it meets on a banking day."""
    day = submitted.date()
    while True:
        if day.weekday() < 5 and day not in holidays_of("FED"):
            for start, by in zip(STARTS, CUT_OFFS, strict=True):
                if submitted <= datetime.fromisoformat(f"{day} {by}"):
                    return datetime.fromisoformat(f"{day} {start}")
        day += timedelta(days=1)


def test_payments_settle_in_the_window_of_the_first_cut_off_they_meet():
    """On both engines, over a weekend; worked out payment by payment."""
    arrivals = np.sort(np.random.default_rng(5).uniform(0, 13 * 86400, 300).round())
    origin = datetime(2026, 7, 1)
    expected = [settled(origin + timedelta(seconds=float(t))) for t in arrivals]
    for run in play_both(scenario(arrivals), sim.Callback()):
        found = [origin + timedelta(seconds=float(t)) for t in run.waits["completed"]]
        assert found == expected


@pytest.mark.parametrize(
    ("submitted", "when"),
    [
        ("2026-07-01 10:30:00", "2026-07-01 13:00"),
        ("2026-07-01 10:30:01", "2026-07-01 17:00"),
        ("2026-07-01 16:45:01", "2026-07-02 13:00"),  # the next banking day
        ("2026-07-03 17:00:00", "2026-07-06 13:00"),  # after a weekend; the 3rd is a banking day
        ("2026-07-05 12:00:00", "2026-07-06 13:00"),
    ],
)
def test_the_last_second_of_a_window_counts(submitted, when):
    """At the very cut-off a payment is in time, a second later it is not."""
    at = (datetime.fromisoformat(submitted) - datetime(2026, 7, 1)).total_seconds()
    run = sim.simulate(scenario([at]), sim.Callback())
    assert str(run.waits["completed_at"].iloc[0])[:16] == when


def test_a_holiday_of_the_reserve_banks_is_no_banking_day():
    """A Saturday's holiday moves no Friday there; a Sunday's closes the Monday."""
    federal = holidays_of("FED")
    assert date(2026, 7, 3) not in federal
    assert date(2026, 7, 3) in holidays_of("US")
    assert date(2027, 7, 5) in federal
    assert sim.NightlyBatch(**ACH).holidays == "FED"


def test_runs_come_in_the_order_of_time_on_the_nights_that_change_the_clocks():
    """The spring night reads 02:30 as 03:30, so the run of 03:00 comes before it."""
    batch = sim.NightlyBatch(["02:30", "03:00"], 0, cut_off=["02:00", "01:00"])
    for first in (date(2026, 3, 29), date(2026, 10, 25)):
        nights = batch.nights(Calendar(first, "Europe/Berlin"))
        found = [next(nights) for _ in range(4)]
        starts = [night.start for night in found]
        assert starts == sorted(starts)
        assert [night.index for night in found] == [0, 1, 2, 3]
        assert all(night.cut_off <= night.start for night in found)


def test_a_list_of_one_is_the_start_itself():
    """So nothing of a scenario with one start changes."""
    one = sim.NightlyBatch(["22:00"], "1s", cut_off=["20:00"])
    assert one == sim.NightlyBatch("22:00", "1s", cut_off="20:00")
    assert (one.start, one.cut_off, one.starts) == ("22:00", "20:00", ("22:00",))


def test_readers_of_a_batch_know_all_runs():
    """Words, runs of a week, longest gap, capacity, and a file."""
    batch = sim.NightlyBatch(**(ACH | {"max_items": 10, "item_time": "1s"}))
    words = links_in_words([(batch, batch)])
    assert "batch at 13:00, 17:00, 18:00, Mon-Fri" in words
    assert "of items submitted by 10:30, 14:45, 16:45" in words
    pattern = starting_pattern(batch.starts, batch.days)
    assert (pattern.per_week, pattern.longest_gap) == (15, (3 * 24 - 5) * 3600)
    assert items_of_a_week(batch) == 150
    described = scenario([1.0], max_items=10)
    explained = str(sim.explain(described, sim.Callback()))
    assert "settle" in explained


def test_a_file_holds_the_lists(tmp_path):
    """Written and read again they are equal."""
    described = scenario([1.0])
    described.save(tmp_path / "bank.toml")
    assert "cut_off = [" in (tmp_path / "bank.toml").read_text(encoding="utf-8")
    assert sim.Scenario.load(tmp_path / "bank.toml") == described


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": []}, "NightlyBatch.start must list clock times in order"),
        ({"start": ["14:45", "10:30"]}, "NightlyBatch.start must list clock times in order"),
        ({"start": ["10:30", "10:30"]}, "NightlyBatch.start must list clock times in order"),
        ({"start": ["10:30", "0 22 * * *"]}, "NightlyBatch.start must be a clock time"),
        ({"start": ["10:30", "25:00"]}, "NightlyBatch.start must be a clock time"),
        ({"cut_off": ["10:30", "14:45"]}, "cut_off must be a list of 3, one for each start"),
        ({"cut_off": "10:30"}, "cut_off must be a list of 3, one for each start"),
        ({"start": "13:00"}, "NightlyBatch.cut_off must be a clock time"),
        ({"start": "13:00", "cut_off": []}, "NightlyBatch.cut_off must be a clock time"),
        ({"end": "17:00"}, "NightlyBatch.end must differ from the start"),
        ({"holidays": "FEDS"}, "NightlyBatch.holidays must be a country such as 'DE', .*'FED'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given, message):
    """With what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        sim.NightlyBatch(**(ACH | given))
