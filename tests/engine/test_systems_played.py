"""Every external system, played with completions worked out by hand. Day 0 is a Monday."""

import math
from datetime import date

import numpy as np
import pytest
from both_engines import play_both
from hypothesis import given, settings
from hypothesis import strategies as st
from plays import FREE, play, scenario_of, wait_for
from thorough import times

import asyncsim as sim
from asyncsim.model.field_paths import changed

H, DAY = 3600.0, 86400.0
TEN = 22 * H
"""Ten in the evening of the first day, when the batches of these tests start."""


def completions(system, arrivals, external, **more):
    """Return when the work of each instance was complete."""
    arrivals = list(arrivals)
    scenario = scenario_of([sim.AsyncStep("w", "out")], system, arrivals, **more)
    run = play(sim.Callback(), scenario, external={"w": external})
    assert run.waits.latency.abs().max() == 0.0
    return run.waits.completed.tolist()


def batch(**more):
    return sim.NightlyBatch("22:00", 1.0, **more)


# --- the nightly batch --------------------------------------------------------------------------


def test_a_batch_works_from_its_start_through_the_items_one_after_the_other():
    """Items of 60, 30, 10 s submitted during the day: done at 22:01:00, 22:01:30, 22:01:40."""
    done = completions(batch(), [9 * H, 8 * H + 1, 21 * H], [30.0, 60.0, 10.0])
    # numbers belong to instances in order of arrival
    assert done == [TEN + 30, TEN + 90, TEN + 100]


def test_results_at_the_end_are_seen_when_the_last_item_is_done():
    """Three items of 60, 30, 10 s: all seen 100 s after the start."""
    done = completions(batch(results="at end"), [8 * H, 9 * H, 10 * H], [60.0, 30.0, 10.0])
    assert done == [TEN + 100] * 3


def submitted_backwards(strategy, system, times):
    """Have three instances submit in the order 3, 2, 1; return how both engines play it."""
    steps = [sim.AsyncStep("first", "one by one"), sim.AsyncStep("w", "out")]
    scenario = scenario_of(
        steps,
        {"one by one": FREE, "out": system},
        [0.0] * 3,
        workers=1,
        poll_work=2.0,
        callback_work=3.0,
    )
    external = {"first": [3 * H, 2 * H, 1 * H], "w": times}
    runs = play_both(scenario, strategy, draws=sim.Draws(arrivals=[0.0] * 3, external=external))
    waits = [run.waits[run.waits.step == "w"].set_index("instance") for run in runs]
    assert all(table.called.is_monotonic_decreasing for table in waits)
    return waits


@pytest.mark.parametrize(
    "strategy",
    [
        sim.Callback(),
        sim.Callback("1s", duplicates=1.0, duplicate_delay=0.0),
        sim.CallbackWithSafetyPoll("2h", every="1h", anchor="clock"),
        sim.Polling("1h", "clock"),
        sim.LongPolling("1h"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("system", "times"),
    [
        (batch(results="at end"), [60.0] * 3),
        (batch(lanes=3, results="at end"), [30.0, 60.0, 10.0]),
        (batch(lanes=3), [60.0] * 3),
        (batch(), [0.0] * 3),
        (batch(results="at end"), [0.0] * 3),
        (sim.LoggedCompletions([TEN] * 3), [0.0] * 3),
    ],
    ids=["at end", "at end, side by side", "per item", "no time", "no time, at end", "log"],
)
def test_what_is_complete_at_one_instant_goes_on_by_instance(strategy, system, times):
    """Submitted in the order 3, 2, 1, with one worker: they resume in the order 1, 2, 3."""
    for waits in submitted_backwards(strategy, system, times):
        assert waits.completed.nunique() == 1
        assert waits.resumed.is_monotonic_increasing
        assert waits.resumed.is_unique


def test_what_a_log_has_as_complete_before_it_is_called_for_goes_on_by_instance():
    """Complete at the call: 1's answer is handled after the call of 3, which ends its work then.

    Both are queued at 2 s. The completion is an event of that instant, after the end of any work.
    """
    steps = [sim.Step("first", 1.0), sim.AsyncStep("wait", "out", call_work=1.0)]
    scenario = scenario_of(
        steps, sim.LoggedCompletions([0.0] * 3), arrivals=[0.0] * 3, poll_work=5.0
    )
    scenario = changed(scenario, {"server.workers": 2})
    for run in play_both(scenario, sim.LongPolling("10s")):
        assert run.waits.armed.tolist() == [2.0, 3.0, 3.0]
        assert run.waits.resumed.tolist() == [8.0, 8.0, 13.0]


def test_what_is_complete_at_one_instant_is_passed_on_by_instance():
    """The second link of a chain takes what a batch hands on together in the order 1, 2, 3."""
    for first in (batch(results="at end"), batch(lanes=3)):
        chain = sim.Chain([first, sim.OnlineService(1.0)])
        times = np.array([[60.0, 10.0]] * 3)
        for waits in submitted_backwards(sim.Callback(), chain, times):
            end = TEN + (60.0 if first.lanes == 3 else 180.0)
            assert waits.completed.tolist() == [end + 10.0, end + 20.0, end + 30.0]


@pytest.mark.parametrize("strategy", [sim.Callback(), sim.LongPolling("1h")], ids=str)
def test_what_is_complete_at_one_instant_goes_on_by_step_within_an_instance(strategy):
    """Two steps of one instance, submitted second one first: the first one resumes first."""
    ways = [[sim.Step("late", 60.0), sim.AsyncStep("a", "out")], [sim.AsyncStep("b", "out")]]
    scenario = scenario_of(
        [sim.Parallel("both", ways)], batch(results="at end"), poll_work=1.0, callback_work=1.0
    )
    scenario = changed(scenario, {"server.workers": 1})
    draws = sim.Draws(arrivals=[0.0], work={"late": [60.0]}, external={"a": [5.0], "b": [5.0]})
    for run in play_both(scenario, strategy, draws=draws):
        waits = run.waits.set_index("step")
        assert waits.called["b"] < waits.called["a"]
        assert waits.resumed.to_dict() == {"a": TEN + 11.0, "b": TEN + 12.0}


def test_lanes_work_side_by_side():
    """Two lanes: 60 and 30 s at once, then 10 s on the lane free at 30 s, then 25 s from 40 s."""
    done = completions(batch(lanes=2), [1 * H, 2 * H, 3 * H, 4 * H], [60.0, 30.0, 10.0, 25.0])
    assert done == [TEN + 60, TEN + 30, TEN + 40, TEN + 65]


def test_no_more_than_max_items_are_done_in_a_night():
    """Five items, two a night: the nights of the first three days."""
    done = completions(batch(max_items=2), [1 * H] * 5, 10.0)
    nights = [TEN + 10, TEN + 20]
    assert done == [*nights, *(DAY + t for t in nights), 2 * DAY + TEN + 10]


def test_no_item_is_begun_after_the_end():
    """From 22:00 to 23:00 with items of 25 min: the third is begun at 22:50 and overruns."""
    done = completions(batch(end="23:00"), [1 * H] * 5, 1500.0)
    assert done == [
        TEN + 1500,
        TEN + 3000,
        TEN + 4500,
        DAY + TEN + 1500,
        DAY + TEN + 3000,
    ]


def test_an_item_that_could_begin_at_the_very_end_is_left_for_the_next_night():
    """From 22:00 to 23:00 with items of 30 min: two, and not the one due to begin at 23:00."""
    done = completions(batch(end="23:00"), [1 * H] * 3, 1800.0)
    assert done == [TEN + 1800, TEN + 3600, DAY + TEN + 1800]


def test_an_end_before_the_start_is_on_the_next_morning():
    """From 22:00 to 02:00: items of 150 min begin at 22:00 and at 00:30, the third a day later."""
    done = completions(batch(end="02:00"), [1 * H] * 3, 9000.0)
    assert done == [TEN + 9000, TEN + 18000, DAY + TEN + 9000]


def test_what_is_submitted_after_the_cut_off_waits_for_the_next_night():
    """Cut-off 20:00: 19:59:59 and 20:00:00 are in time, a second later is not."""
    done = completions(batch(cut_off="20:00"), [20 * H - 1, 20 * H, 20 * H + 1], 10.0)
    assert done == [TEN + 10, TEN + 20, DAY + TEN + 10]


def test_a_cut_off_later_than_the_start_is_on_the_day_before():
    """A batch at 02:00 with cut-off 23:00: submitted at 22:00 tonight, at 23:30 tomorrow."""
    early = sim.NightlyBatch("02:00", 1.0, cut_off="23:00")
    done = completions(early, [TEN, 23.5 * H], 10.0)
    assert done == [DAY + 2 * H + 10, 2 * DAY + 2 * H + 10]


@pytest.mark.parametrize("strategy", [sim.Callback(), sim.Polling("1min")], ids=str)
@pytest.mark.parametrize(
    ("night", "expected"),
    [
        # By 02:30 for 03:00, both of them two hours after midnight
        (sim.NightlyBatch("03:00", 1.0, cut_off="02:30"), [2 * H + 60, 2 * H + 120, 26 * H + 60]),
        # From 02:30, which is taken at 03:30, for half an hour, not till 03:00, which is over
        (sim.NightlyBatch("02:30", 1.0, end="03:00"), [9060.0, 9120.0, 9180.0]),
    ],
    ids=["cut-off", "end"],
)
def test_a_night_that_skips_the_cut_off_or_the_start_works_nevertheless(night, expected, strategy):
    """Berlin, 29 March 2026: what is there at the start is worked on, what comes later is not."""
    scenario = scenario_of(
        [sim.AsyncStep("w", "out")],
        night,
        [1 * H, 2 * H, 2 * H + 1],
        start="2026-03-29",
        zone="Europe/Berlin",
    )
    draws = sim.Draws(arrivals=[1 * H, 2 * H, 2 * H + 1], external={"w": [60.0] * 3})
    for run in play_both(scenario, strategy, draws=draws):
        assert run.waits.completed.tolist() == expected


@pytest.mark.parametrize("earlier", [[], [1 * H]])
def test_an_item_submitted_at_the_very_start_is_in_time(earlier):
    """Arriving at 22:00:00 sharp an item is in time, be the batch idle or have work already."""
    done = completions(batch(), [*earlier, TEN], 10.0)
    assert done[-1] == TEN + 10 * (len(earlier) + 1)


@pytest.mark.parametrize("strategy", [sim.Polling("1h", "clock"), sim.Callback()])
@pytest.mark.parametrize("timeout", [None, 21 * H])
def test_an_item_called_for_by_a_step_that_ends_at_the_very_start_is_in_time(strategy, timeout):
    """Resumed or timed out at 22:00:00 sharp, an instance submits to the batch of that night."""
    first = sim.AsyncStep("first", "out", timeout=timeout, on_timeout="continue")
    steps = [first, sim.AsyncStep("second", "batch")]
    scenario = scenario_of(steps, {"out": FREE, "batch": batch()}, arrivals=(0.0, 1 * H))
    # Instance 1 lies in the tray of the batch already when instance 2 comes
    external = {"first": [1 * H, 22 * H if timeout else 21 * H], "second": 10.0}
    run = play(strategy, scenario, external=external)
    second = run.waits[run.waits.step == "second"].set_index("instance")
    assert second.called[2] == TEN
    assert second.completed.to_dict() == {1: TEN + 10, 2: TEN + 20}


def test_a_batch_that_overruns_into_the_next_night_lets_that_one_start_late():
    """One item of 30 h: the item of the next day is begun at 04:00 of the third day."""
    done = completions(batch(), [1 * H, DAY + 1 * H], [30 * H, 10.0])
    assert done == [TEN + 30 * H, TEN + 30 * H + 10]


def test_what_came_after_the_cut_off_of_a_late_night_is_left_for_the_one_after():
    """The second night starts late; what came after its own 22:00 is not in time for it."""
    done = completions(batch(), [1 * H, DAY + 23 * H], [30 * H, 10.0])
    assert done == [TEN + 30 * H, 2 * DAY + TEN + 10]


def test_a_batch_runs_on_its_days_only():
    """Monday to Friday: submitted on Friday after ten, done on Monday."""
    friday = 4 * DAY
    done = completions(batch(days="Mon-Fri"), [friday + TEN + 1], 10.0)
    assert done == [7 * DAY + TEN + 10]


def test_a_batch_by_cron_runs_when_the_expression_says():
    """'30 6,18 * * *' runs at 06:30 and 18:30."""
    done = completions(sim.NightlyBatch("30 6,18 * * *", 1.0), [0.0, 7 * H, 19 * H], 10.0)
    assert done == [6.5 * H + 10, 18.5 * H + 10, DAY + 6.5 * H + 10]


def test_public_holidays_are_left_out():
    """2026-01-06 is Epiphany in Bavaria: the item of that morning waits until the 7th."""
    done = completions(batch(holidays="DE-BY"), [DAY + 1 * H], 10.0)
    assert done == [2 * DAY + TEN + 10]
    assert completions(batch(holidays="DE"), [DAY + 1 * H], 10.0) == [DAY + TEN + 10]


def test_skipped_nights_come_as_often_as_they_should_and_lose_nothing():
    """Skipped with probability 0.4: nights until done are geometric, and every item is done."""
    n = 400
    # One item each fifth day, so that runs of skipped nights rarely touch
    arrivals = [k * 40 * DAY + 1 * H for k in range(n // 4)]
    done = np.array(completions(batch(skip=0.4), arrivals, 10.0))
    nights = np.round((done - np.array(arrivals)) // DAY)
    mean, sd = 0.4 / 0.6, math.sqrt(0.4) / 0.6
    assert nights.mean() == pytest.approx(mean, abs=4 * sd / math.sqrt(len(nights)))
    assert ((done - TEN - 10) % DAY == 0).all()


def test_a_failed_night_shows_what_was_done_before_and_leaves_the_rest():
    """Failing with 99 %: items are done in their order, some each night, none twice."""
    done = np.array(completions(batch(failure=0.99), [1 * H] * 40, 10.0))
    assert (np.diff(done) > 0).all()
    nights = (done - TEN) // DAY
    place = ((done - TEN) % DAY) / 10
    for night in np.unique(nights):
        assert place[nights == night].tolist() == list(range(1, sum(nights == night) + 1))
    assert len(np.unique(nights)) > 3


def test_a_failed_night_with_results_at_the_end_shows_nothing():
    """Nothing is seen of a failed night; the night that works shows everything at its end."""
    done = completions(batch(failure=0.7, results="at end"), [1 * H] * 40, 10.0)
    assert len(set(done)) == 1
    assert (done[0] - TEN - 400) % DAY == 0


def test_two_steps_can_call_the_same_batch():
    """Items of both steps lie in one tray, the oldest first."""
    steps = [sim.Parallel("both", [[sim.AsyncStep("a", "out")], [sim.AsyncStep("b", "out")]])]
    scenario = scenario_of(steps, batch(), arrivals=(1 * H, 2 * H))
    run = play(sim.Callback(), scenario, external={"a": 10.0, "b": 5.0})
    assert run.waits.sort_values("completed").serial_number.tolist() == [
        "1_1",
        "1_2",
        "2_1",
        "2_2",
    ]
    assert run.waits.completed.max() == TEN + 30


# --- nights on which the clocks jump ------------------------------------------------------------


def test_a_batch_at_ten_follows_the_wall_clock_across_the_spring_night():
    """Berlin, 2026-03-28: the night of 23 hours lies between the batches of 28 and 29 March."""
    zone = {"start": date(2026, 3, 28), "zone": "Europe/Berlin"}
    assert completions(batch(), [1 * H, DAY + 1 * H], 10.0, **zone) == [
        TEN + 10,
        DAY + TEN - H + 10,
    ]


def test_a_batch_at_ten_follows_the_wall_clock_across_the_autumn_night():
    """Berlin, 2026-10-24: the night of 25 hours lies between the batches of 24 and 25 October."""
    zone = {"start": date(2026, 10, 24), "zone": "Europe/Berlin"}
    assert completions(batch(), [1 * H, DAY + 1 * H], 10.0, **zone) == [
        TEN + 10,
        DAY + TEN + H + 10,
    ]


def test_an_end_in_the_morning_after_the_spring_night_comes_an_hour_sooner():
    """From 22:00 to 05:00 there are six hours that night: items of 2 h begin at 22, 0 and 3 h."""
    zone = {"start": date(2026, 3, 28), "zone": "Europe/Berlin"}
    done = completions(batch(end="05:00"), [1 * H] * 4, 2 * H, **zone)
    next_night = DAY + TEN - H
    assert done == [TEN + 2 * H, TEN + 4 * H, TEN + 6 * H, next_night + 2 * H]


def test_people_work_their_hours_of_the_wall_clock_on_the_short_day():
    """Working from 01:00 to 04:00 on the day of 23 hours: two hours, so a task of 3 h lasts."""
    team = sim.People(1, 1.0, between=("01:00", "04:00"), days="every day")
    zone = {"start": date(2026, 3, 29), "zone": "Europe/Berlin"}
    # 01:00 is 1 h, 04:00 summer time is 3 h after midnight; the next day begins at 23 h
    assert completions(team, [0.0], 3 * H, **zone) == [23 * H + 2 * H]


# --- online services ----------------------------------------------------------------------------


def test_an_online_service_of_one_lane_is_fifo():
    """Called at 0, 1, 100 s for 10 s each: done at 10, 20, 110 s."""
    service = sim.OnlineService(1.0)
    assert completions(service, [0.0, 1.0, 100.0], 10.0) == [10.0, 20.0, 110.0]


def test_lanes_of_an_online_service_may_overtake():
    """Two lanes, 10, 2, 2 s at once: the third begins at 2 s and is done at 4 s."""
    assert completions(sim.OnlineService(1.0, lanes=2), [0.0] * 3, [10.0, 2.0, 2.0]) == [
        10.0,
        2.0,
        4.0,
    ]


def test_any_number_of_lanes_keeps_nobody_waiting():
    """A thousand at once for 7 s each are all done at 7 s."""
    assert set(completions(FREE, [0.0] * 1000, 7.0)) == {7.0}


# --- people -------------------------------------------------------------------------------------


def test_people_take_tasks_one_by_one_within_their_hours():
    """Two people from 08:00: three tasks of 60 min laid down at night: 09:00, 09:00, 10:00."""
    team = sim.People(2, 1.0)
    assert completions(team, [0.0] * 3, 1 * H) == [9 * H, 9 * H, 10 * H]


def test_a_task_begun_in_the_evening_is_gone_on_with_on_the_next_day():
    """Given at 16:30, 60 min of work, closing at 17:00: done at 08:30."""
    assert completions(sim.People(1, 1.0), [16.5 * H], 1 * H) == [DAY + 8.5 * H]


def test_a_task_that_is_done_at_closing_time_is_done_today():
    """Given at 16:00, 60 min of work, closing at 17:00: done at 17:00, not tomorrow."""
    assert completions(sim.People(1, 1.0), [16 * H], 1 * H) == [17 * H]


def test_people_are_away_at_the_weekend_and_on_holidays():
    """Friday 16:30 goes on Monday; Monday 2026-01-05, 16:30 goes on past Epiphany, on the 7th."""
    assert completions(sim.People(1, 1.0), [4 * DAY + 16.5 * H], 1 * H) == [7 * DAY + 8.5 * H]
    bavarians = sim.People(1, 1.0, holidays="DE-BY")
    assert completions(bavarians, [16.5 * H], 1 * H) == [2 * DAY + 8.5 * H]


def test_a_task_of_more_than_a_day_takes_as_many_days_as_it_needs():
    """Nine hours a day, 20 h of work from Monday 08:00: done on Wednesday at 10:00."""
    assert completions(sim.People(1, 1.0), [8 * H], 20 * H) == [2 * DAY + 10 * H]


def test_a_free_colleague_takes_the_next_task():
    """One has 3 h to do from 08:00, the other takes the tasks of 1 h at 08:00 and 09:00."""
    team = sim.People(2, 1.0)
    assert completions(team, [1 * H] * 3, [3 * H, 1 * H, 1 * H]) == [11 * H, 9 * H, 10 * H]


# --- chains and logs ----------------------------------------------------------------------------


def chain_run(times, **more):
    chain = sim.Chain([sim.OnlineService(1.0), sim.People(1, 1.0), batch()])
    scenario = scenario_of([sim.AsyncStep("w", "out")], chain, **more)
    n = len(times)
    draws = sim.Draws(scenario.draw().arrivals[:n], external={"w": times})
    return play(sim.Callback(), scenario, draws=draws)


def test_a_chain_passes_items_on_from_link_to_link():
    """At 09:00: a minute online, an hour of somebody, then the batch: the whole is done at 22:00.

    The second comes at 09:00 too: online a minute later, with the person an hour later.
    """
    run = chain_run([[60.0, H, 10.0], [60.0, 13 * H, 10.0]], arrivals=(9 * H, 9 * H))
    # The first is in the evening batch; the second is with the person until Tuesday 14:01
    assert run.waits.completed.tolist() == [TEN + 10, DAY + TEN + 10]


def test_the_last_link_of_a_chain_completes_the_work_and_nobody_else():
    """Only one completion is told for each item: one callback each."""
    run = chain_run([[60.0, H, 10.0]] * 3, arrivals=(9 * H,) * 3)
    assert len(run.deliveries) == 3
    assert run.waits.deliveries.tolist() == [1, 1, 1]


def test_a_log_tells_the_completions():
    """Completions at 50 s and, for a call at 100 s, at 40 s: that one is done at once."""
    log = sim.LoggedCompletions((50.0, 40.0))
    assert completions(log, [0.0, 100.0], 0.0) == [50.0, 100.0]


def test_the_numbers_of_a_log_are_used():
    """The serial numbers of the log take the place of the simulated ones."""
    log = sim.LoggedCompletions((50.0, 60.0), ("5_31", "7_31"))
    run = wait_for(sim.Callback(), 0.0, arrivals=(0.0, 1.0), system=log)
    assert run.waits.serial_number.tolist() == ["5_31", "7_31"]


def test_a_log_with_fewer_completions_than_instances_is_refused_by_name():
    """The third instance has no completion in a log of two: the message says so."""
    log = sim.LoggedCompletions((50.0, 60.0))
    with pytest.raises(sim.ScenarioError, match=r"LoggedCompletions\.completions .* 3"):
        wait_for(sim.Callback(), 0.0, arrivals=(0.0, 1.0, 2.0), system=log)


@settings(max_examples=times(20), deadline=None)
@given(
    st.lists(st.integers(0, 47), min_size=1, max_size=12),
    st.integers(1, 3),
    st.sampled_from([None, 2, 5]),
    st.sampled_from([600.0, 3 * H, 7 * H]),
    st.sampled_from([None, "23:00", "02:00"]),
)
def test_a_batch_does_every_item_once_in_order_and_never_too_many_at_a_time(
    hours, lanes, most, each, end
):
    """Whatever the load: FIFO starts, no more than `lanes` at once, nothing before its cut-off."""
    arrivals = sorted(hour * H for hour in hours)
    system = batch(lanes=lanes, max_items=most, end=end)
    done = np.array(completions(system, arrivals, each))
    begun = done - each
    assert (np.diff(begun) >= 0).all()
    assert (begun >= np.array(arrivals)).all()
    for instant in begun:
        assert ((begun <= instant) & (instant < done)).sum() <= lanes
    hour_of_day = begun % DAY / H
    if end is None and each * len(hours) < 12 * H:
        assert ((hour_of_day >= 22) | (hour_of_day < 10)).all()
