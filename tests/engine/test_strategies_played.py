"""Every built-in strategy, played on waits whose instants are worked out by hand."""

import math

import numpy as np
import pytest
from both_engines import play_both
from hypothesis import given, settings
from hypothesis import strategies as st
from plays import only, play, scenario_of, wait_for
from thorough import times

import asyncsim as sim

# --- polling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("poll_work", [0.0, 1e-9])
@pytest.mark.parametrize(
    ("external", "resumed", "checks"),
    [(1.0, 60.0, 1), (59.0, 60.0, 1), (60.0, 60.0, 1), (61.0, 120.0, 2), (150.0, 180.0, 3)],
)
def test_polling_from_arming_sees_completion_at_the_next_grid_point(
    external, resumed, checks, poll_work
):
    """Armed at 0, asked every 60 s: done at 61 s is seen at 120 s, by the second check."""
    run = wait_for(sim.Polling(60), external, server={"poll_work": poll_work})
    wait = only(run.waits)
    assert wait.resumed == pytest.approx(resumed, abs=1e-8)
    assert wait.latency == pytest.approx(resumed - external, abs=1e-8)
    assert (wait.checks, wait.wasted_checks) == (checks, checks - 1)


@pytest.mark.parametrize("poll_work", [0.0, 2.0])
def test_a_check_at_the_very_instant_of_completion_sees_it(poll_work):
    """Done at 120 s, asked at 120 s: latency is the time of the check alone."""
    wait = only(wait_for(sim.Polling(120), 120.0, server={"poll_work": poll_work}).waits)
    assert (wait.checks, wait.wasted_checks, wait.latency) == (1, 0, poll_work)


@pytest.mark.parametrize("poll_work", [0.0, 2.0])
def test_a_check_one_second_before_completion_is_a_full_cycle_late(poll_work):
    """Done at 121 s, asked at 120 s: noticed at 240 s, and the time of the check."""
    wait = only(wait_for(sim.Polling(120), 121.0, server={"poll_work": poll_work}).waits)
    assert (wait.checks, wait.wasted_checks, wait.latency) == (2, 1, 119.0 + poll_work)


def test_polling_by_the_clock_asks_everybody_at_the_same_time():
    """Called at 10 s and 130 s, done 20 s later, asked at full minutes: 60 s and 180 s."""
    run = wait_for(sim.Polling(60, "clock"), 20.0, arrivals=(10.0, 130.0))
    assert run.waits.resumed.tolist() == [60.0, 180.0]
    assert run.waits.checks.tolist() == [1, 1]


def test_polling_by_the_clock_armed_on_a_grid_point_asks_at_the_next():
    """Armed at 60 s sharp and done at once, the first question is at 120 s."""
    run = wait_for(sim.Polling(60, "clock"), 0.0, arrivals=(60.0,))
    assert only(run.waits).resumed == 120.0


def test_polling_at_a_random_phase_asks_at_evenly_spread_moments():
    """First checks lie in (armed, armed + T], mean T/2, later ones exactly T apart."""
    n, interval = 2000, 100.0
    arrivals = [1000.0 * k for k in range(n)]
    first = wait_for(sim.Polling(interval, "random"), 0.0, arrivals=arrivals).waits
    assert first.latency.between(0, interval).all()
    error = interval / math.sqrt(12 * n)
    assert first.latency.mean() == pytest.approx(interval / 2, abs=4 * error)
    later = wait_for(sim.Polling(interval, "random"), 250.0, arrivals=arrivals).waits
    phase_of_check = (later.resumed - first.resumed) / interval
    assert np.allclose(phase_of_check, phase_of_check.round(), atol=1e-6)
    assert set(later.checks) == {3, 4} or set(later.checks) == {3}


@given(st.floats(1, 5000), st.integers(0, 3))
@settings(max_examples=times(20), deadline=None)
def test_jitter_makes_a_check_late_by_no_more_than_its_bound(external, seed):
    """The check that sees completion is on [grid, grid + jitter]; a missed one costs a cycle."""
    scenario = scenario_of([sim.AsyncStep("w", "out")])
    run = play(sim.Polling(60, jitter=20), scenario, external={"w": external}, seed=seed)
    wait = only(run.waits)
    late_on_grid = (wait.resumed - wait.armed) % 60
    assert 0 <= late_on_grid < 20
    assert 0 <= wait.latency < 80
    grid_point = math.floor((wait.resumed - wait.armed) / 60)
    assert wait.checks == grid_point


def test_jitter_is_uniform():
    """Over many first checks the lateness on the grid has mean 10 s and sd 20/sqrt(12) s."""
    n = 2000
    arrivals = [100.0 * k for k in range(n)]
    late = wait_for(sim.Polling(60, jitter=20), 0.0, arrivals=arrivals).waits.latency - 60
    sd = 20 / math.sqrt(12)
    assert late.mean() == pytest.approx(10, abs=4 * sd / math.sqrt(n))
    assert late.std() == pytest.approx(sd, rel=4 / math.sqrt(n))


def test_checks_of_one_wait_never_overlap_however_long_the_queue():
    """One worker, checks of 25 s for four waits, asked every 10 s.

    A check ends when the worker has served the whole round, so each is picked up in turn: the
    next question is due at the first grid point after that end, not ten seconds after the last.
    """
    scenario = scenario_of(
        [sim.AsyncStep("w", "out")], arrivals=[0.0] * 4, workers=1, poll_work=25.0
    )
    run = play(sim.Polling(10), scenario, external={"w": 400.0})
    # Due at 10: served 10-35, 35-60, 60-85, 85-110; due again at 40, 70, 90, 120 and so on.
    ends = {k: [] for k in range(4)}
    due, free = [(10.0, k) for k in range(4)], 0.0
    while due:
        due.sort()
        asked, k = due.pop(0)
        picked_up = max(asked, free)
        free = picked_up + 25.0
        ends[k].append((picked_up, free))
        if picked_up < 400.0:
            due.append(((free // 10 + 1) * 10, k))
    assert run.waits.resumed.tolist() == [ends[k][-1][1] for k in range(4)]
    assert run.waits.checks.tolist() == [len(ends[k]) for k in range(4)]
    assert run.record.longest_queue == 3


def test_a_check_that_ends_on_a_grid_point_is_followed_by_the_next_one():
    """A check of 60 s begun at 60 s ends at 120 s: the next is due at 180 s, later than that."""
    run = wait_for(sim.Polling(60), 100.0, server={"poll_work": 60.0})
    wait = only(run.waits)
    assert (wait.checks, wait.resumed) == (2, 240.0)


@pytest.mark.parametrize("poll_work", [0.0, 1.0])
@pytest.mark.parametrize(("way", "outcome"), [("fail", "failed"), ("continue", "done")])
def test_polling_gives_up_after_its_limit_and_goes_the_way_of_a_time_out(way, outcome, poll_work):
    """Three checks at 10, 20, 30 s find nothing: given up at the end of the third."""
    run = wait_for(sim.Polling(10, limit=3), 35.0, on_timeout=way, server={"poll_work": poll_work})
    wait = only(run.waits)
    assert (wait.outcome, wait.closed, wait.checks) == ("gave up", 30.0 + poll_work, 3)
    assert math.isnan(wait.latency)
    assert only(run.instances).outcome == outcome
    assert only(run.instances).ended == 30.0 + poll_work


# --- backoff ------------------------------------------------------------------------------------


def test_backoff_asks_at_growing_intervals_up_to_its_cap():
    """Intervals 1, 2, 4, 5, 5 s: asked at 1, 3, 7, 12, 17 s; done at 13 s is seen at 17 s."""
    wait = only(wait_for(sim.Backoff(1, 2, 5), 13.0).waits)
    assert (wait.resumed, wait.checks) == (17.0, 5)


def test_backoff_counts_from_the_end_of_the_check_before():
    """With checks of 1 s the same intervals give 1, 4, 9, 15 s; done at 13 s ends at 16 s."""
    wait = only(wait_for(sim.Backoff(1, 2, 5), 13.0, server={"poll_work": 1.0}).waits)
    assert (wait.resumed, wait.checks) == (16.0, 4)


class Noting(sim.Backoff):
    """A backoff whose checks can be seen: it writes down when each is due."""

    def wait(self, step):
        while True:
            before = step.now
            yield step.until(self.next_check(step))
            NOTES.setdefault(step.serial_number, []).append(step.now - before)
            if (yield from step.check()):
                return


NOTES = {}


def gaps_of(jitter, n=300):
    """Return the gaps between checks, one row per wait, of a backoff 10 s x 2 up to 60 s."""
    NOTES.clear()
    arrivals = [1e5 * k for k in range(n)]
    wait_for(Noting(10, 2, 60, jitter), 400.0, arrivals=arrivals)
    return [np.array(gaps) for gaps in NOTES.values()]


def bounds(k):
    return min(10 * 2**k, 60)


def test_full_jitter_is_uniform_from_zero_to_the_interval():
    """Each gap lies in [0, interval), with its mean in the middle."""
    rows = gaps_of("full")
    assert all(0 <= gap < bounds(k) for gaps in rows for k, gap in enumerate(gaps))
    for k in range(5):
        share = np.array([gaps[k] for gaps in rows]) / bounds(k)
        assert share.mean() == pytest.approx(0.5, abs=4 * share.std() / math.sqrt(len(share)))


def test_equal_jitter_is_uniform_over_the_second_half_of_the_interval():
    """Each gap lies in [interval/2, interval), with its mean at three quarters."""
    rows = gaps_of("equal")
    for gaps in rows:
        for k, gap in enumerate(gaps):
            assert bounds(k) / 2 - 1e-6 <= gap < bounds(k)
    for k in range(5):
        share = np.array([gaps[k] for gaps in rows]) / bounds(k)
        assert share.mean() == pytest.approx(0.75, abs=4 * share.std() / math.sqrt(len(share)))


def test_decorrelated_jitter_stays_between_first_and_three_times_the_last():
    """Each gap lies in [first, 3 x last gap], never above the cap; the first within 3 x first."""
    rows = gaps_of("decorrelated")
    for gaps in rows:
        last = 10.0
        for gap in gaps:
            assert 10 - 1e-6 <= gap <= min(3 * last, 60) + 1e-6
            last = gap
    first = np.array([gaps[0] for gaps in rows])
    assert first.mean() == pytest.approx(20, abs=4 * first.std() / math.sqrt(len(first)))


def test_backoff_gives_up_after_its_limit():
    """Two checks at 1 s and 3 s, then given up."""
    wait = only(wait_for(sim.Backoff(1, 2, limit=2), 10.0).waits)
    assert (wait.outcome, wait.closed, wait.checks) == ("gave up", 3.0, 2)


# --- long polling -------------------------------------------------------------------------------


@pytest.mark.parametrize("poll_work", [0.0, 0.5])
def test_a_held_line_tells_completion_at_once(poll_work):
    """Held up to 30 s, done at 70 s: two held in vain, the third answers in the same instant.

    The worker is busy after each answer, so lines are held 30 s, 30 s, and the rest of the time.
    """
    run = wait_for(sim.LongPolling(30), 70.0, server={"poll_work": poll_work})
    wait = only(run.waits)
    assert (wait.checks, wait.wasted_checks, wait.resumed) == (3, 2, 70.0 + poll_work)
    assert run.record.connection_seconds == 70.0 - 2 * poll_work
    assert run.overhead.connection_seconds.sum() == run.record.connection_seconds


def test_work_done_while_the_server_handles_an_empty_answer_is_seen_by_the_next_request():
    """Hold over at 30 s, handled until 32 s, done at 31 s: the next request is answered at once."""
    run = wait_for(sim.LongPolling(30), 31.0, server={"poll_work": 2.0})
    wait = only(run.waits)
    assert (wait.checks, wait.resumed) == (2, 34.0)
    assert run.record.connection_seconds == 30.0


def test_completion_at_the_end_of_the_hold_is_seen():
    """Done at 30 s, held until 30 s: the answer is yes."""
    wait = only(wait_for(sim.LongPolling(30), 30.0).waits)
    assert (wait.checks, wait.resumed) == (1, 30.0)


def test_a_time_out_cuts_the_line():
    """Timed out at 40 s: one line of 30 s, one cut after 10 s: two requests, both in vain."""
    run = wait_for(sim.LongPolling(30), 100.0, timeout=40.0)
    wait = only(run.waits)
    assert (wait.outcome, wait.closed) == ("timed out", 40.0)
    assert (wait.checks, wait.wasted_checks) == (2, 2)
    assert run.record.connection_seconds == 40.0


@pytest.mark.parametrize("poll_work", [0.0, 5.0])
def test_no_request_begins_when_the_wait_times_out(poll_work):
    """Held 60 s, timed out at 120 s, when the second request ends or its answer is handled."""
    scenario = scenario_of(
        [sim.AsyncStep("w", "out", timeout="2min", on_timeout="continue")], poll_work=poll_work
    )
    hold = 60.0 - poll_work
    draws = sim.Draws(arrivals=[0.0], external={"w": [1000.0]})
    for run in play_both(scenario, sim.LongPolling(hold), draws=draws):
        wait = only(run.waits)
        assert (wait.outcome, wait.closed) == ("timed out", 120.0)
        assert (wait.checks, wait.wasted_checks) == (2, 2)
        check = run.overhead.set_index("kind").loc["check"]
        assert check[["count", "requests", "database_operations"]].tolist() == [2, 2, 4]
        assert check.connection_seconds == 2 * hold


@pytest.mark.parametrize(("hold", "timeout", "requests"), [(0.7, 2.1, 3), (0.1, 3.0, 30)])
def test_no_request_is_as_short_as_a_rounding_error(hold, timeout, requests):
    """Three times 0.7 s, added one by one, end a little before the time-out of 2.1 s."""
    arrivals = [0.0, 1.1, 1234.567, 28_800.3, 70_000.9]
    scenario = scenario_of(
        [sim.AsyncStep("w", "out", timeout=timeout, on_timeout="continue")], arrivals=arrivals
    )
    draws = sim.Draws(arrivals=arrivals, external={"w": [1000.0] * 5})
    for run in play_both(scenario, sim.LongPolling(hold), draws=draws):
        assert run.waits.checks.tolist() == [requests] * 5
        assert run.waits.wasted_checks.tolist() == [requests] * 5


def test_no_request_begins_when_another_branch_fails():
    """The other branch times out at 60 s, when the first request of this wait has run out."""
    ways = [
        [sim.AsyncStep("slow", "out")],
        [sim.Step("late", 0.0), sim.AsyncStep("x", "out", timeout="1min", on_timeout="fail")],
    ]
    draws = sim.Draws(
        arrivals=[0.0], work={"late": [0.0]}, external={"slow": [1000.0], "x": [1000.0]}
    )
    for run in play_both(
        scenario_of([sim.Parallel("both", ways)]), sim.LongPolling("1min"), draws=draws
    ):
        waits = run.waits.set_index("step")
        assert waits.outcome.to_dict() == {"slow": "cancelled", "x": "timed out"}
        assert waits.checks.to_dict() == {"slow": 1, "x": 1}
        assert run.record.connection_seconds == 120.0


def test_a_long_poll_is_answered_when_its_connection_is_released():
    """The outside system answers at 60 s, not yet complete; a worker handles that only at 115 s.

    One worker, 10 s a check, held 60 s, done at 70 s, the worker busy from 55 s to 115 s: the
    first answer is handled until 125 s, the second request is answered at once, until 135 s.
    """
    scenario = scenario_of(
        [sim.Step("first", sim.exponential(1.0)), sim.AsyncStep("w", "out")],
        arrivals=[0.0, 55.0],
        workers=1,
        poll_work=10.0,
    )
    draws = sim.Draws(
        arrivals=[0.0, 55.0], work={"first": [0.0, 60.0]}, external={"w": [70.0, 10_000.0]}
    )
    for run in play_both(scenario, sim.LongPolling("1min"), draws=draws):
        wait = run.waits.set_index("instance").loc[1]
        assert (wait.armed, wait.completed, wait.resumed) == (0.0, 70.0, 135.0)
        assert (wait.latency, wait.checks, wait.wasted_checks) == (65.0, 2, 1)


# --- callback -----------------------------------------------------------------------------------


def test_a_callback_resumes_after_its_delay_and_its_handling():
    """Done at 100 s, 2 s on the network, 3 s of a worker: resumed at 105 s, nobody asked."""
    run = wait_for(sim.Callback("2s"), 100.0, server={"callback_work": 3.0})
    wait = only(run.waits)
    assert (wait.resumed, wait.latency, wait.checks, wait.deliveries) == (105.0, 5.0, 0, 1)
    delivery = only(run.deliveries)
    assert (delivery.sent, delivery.arrived, delivery.handled) == (100.0, 102.0, 105.0)
    assert (delivery.attempt, delivery.outcome) == (1, "finished")


def test_callbacks_queue_for_workers_like_any_other_job():
    """Five arrive together, two workers, 3 s each: handled at 3, 3, 6, 6, 9 s after completion."""
    run = wait_for(
        sim.Callback(), 10.0, arrivals=[0.0] * 5, server={"callback_work": 3.0, "workers": 2}
    )
    assert run.waits.latency.tolist() == [3.0, 3.0, 6.0, 6.0, 9.0]
    assert run.record.longest_queue == 3


class Lossy(sim.Callback):
    """Loses the first attempts, as many as its loss says in tenths."""

    def notify(self, step):
        return super().notify(_LosesFirst(step, round(self.loss * 10)))


class _LosesFirst:
    def __init__(self, step, lost):
        self._step, self._lost = step, lost

    def __getattr__(self, name):
        return getattr(self._step, name)

    def chance(self, what, k=0):
        return 0.0 if what == "loss" and k < self._lost else 0.999999


@pytest.mark.parametrize(("lost", "sent"), [(1, 105.0), (2, 135.0), (3, 195.0)])
def test_a_lost_callback_is_sent_again_by_the_schedule(lost, sent):
    """Pauses 5, 30, 60 s: attempts at 100, 105, 135, 195 s; each counts as a delivery."""
    run = wait_for(Lossy("1s", loss=lost / 10, retries=["5s", "30s", "60s"]), 100.0)
    wait = only(run.waits)
    assert (wait.resumed, wait.deliveries) == (sent + 1.0, lost + 1)
    assert run.deliveries.outcome.tolist() == ["lost"] * lost + ["finished"]
    assert run.deliveries.attempt.tolist() == list(range(1, lost + 2))
    assert run.deliveries.sent.tolist() == [100.0, 105.0, 135.0, 195.0][: lost + 1]


def test_a_callback_lost_every_time_becomes_a_dead_letter_and_the_step_waits_for_ever():
    """Attempts at 10 and 15 s are lost; then nothing happens any more."""
    scenario = scenario_of([sim.AsyncStep("w", "out")])
    draws = sim.Draws([0.0], external={"w": [10.0]})
    with pytest.warns(
        sim.CensoredWarning, match="1 of 1 waits were still open at 2026-01-05 00:00:15"
    ):
        run = sim.simulate(scenario, sim.Callback(loss=1.0, retries=["5s"]), draws=draws)
    wait = only(run.waits)
    assert (wait.outcome, wait.deliveries) == ("waiting", 2)
    assert run.deliveries.outcome.tolist() == ["lost", "lost", "dead letter"]
    assert run.deliveries.sent.tolist() == [10.0, 15.0, 15.0]
    assert only(run.instances).outcome == "running"


def test_losses_happen_as_often_as_they_should():
    """A loss of 0.3 without retries leaves 30 % of the waits open, within 4 standard errors."""
    n = 3000
    run = wait_for(sim.Callback(loss=0.3), 1.0, arrivals=[float(k) for k in range(n)])
    share = (run.waits.outcome == "waiting").mean()
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / n))


@pytest.mark.parametrize(
    ("answer", "text"), [("reject", "duplicate, rejected"), ("accept", "duplicate, accepted")]
)
def test_a_second_copy_gets_the_answer_for_duplicates_and_resumes_nothing(answer, text):
    """Delivered twice, 1 s apart: the first resumes, the second is a duplicate."""
    run = wait_for(sim.Callback(duplicates=1.0), 10.0, policy=sim.FinishPolicy(duplicate=answer))
    assert run.deliveries.outcome.tolist() == ["finished", text]
    assert run.deliveries.arrived.tolist() == [10.0, 11.0]
    assert (only(run.waits).resumed, only(run.waits).deliveries) == (10.0, 2)
    assert only(run.steps).ended == 10.0


def test_a_second_copy_at_the_same_instant_resumes_nothing_either():
    """Both copies arrive in one instant: one finishes, the other is a duplicate."""
    run = wait_for(sim.Callback(duplicates=1.0, duplicate_delay=0.0), 10.0)
    assert sorted(run.deliveries.outcome) == ["duplicate, rejected", "finished"]


# --- callback with a safety poll ----------------------------------------------------------------


def test_a_safety_poll_rescues_a_lost_callback():
    """Lost at 100 s, asked every 60 s: resumed at 120 s by the second check."""
    run = wait_for(sim.CallbackWithSafetyPoll(loss=1.0, every=60), 100.0)
    wait = only(run.waits)
    assert (wait.resumed, wait.checks, wait.deliveries) == (120.0, 2, 1)
    assert run.deliveries.outcome.tolist() == ["lost", "dead letter"]


def test_a_callback_overtakes_the_safety_poll_and_the_other_way_round():
    """Done at 100 s: a callback after 5 s wins against the check at 120 s, one after 30 s loses."""
    soon = only(wait_for(sim.CallbackWithSafetyPoll("5s", every=60), 100.0).waits)
    assert (soon.resumed, soon.checks) == (105.0, 1)
    run = wait_for(sim.CallbackWithSafetyPoll("30s", every=60), 100.0)
    assert (only(run.waits).resumed, only(run.waits).checks) == (120.0, 2)
    assert only(run.deliveries).outcome == "duplicate, rejected"


@pytest.mark.parametrize("poll_work", [0.0, 1e-6])
def test_a_callback_and_a_check_at_one_instant_are_ordered_by_the_written_rule(poll_work):
    """A delivery comes before a check that is due in the same instant: no check is spent."""
    run = wait_for(
        sim.CallbackWithSafetyPoll("20s", every=60), 100.0, server={"poll_work": poll_work}
    )
    assert (only(run.waits).resumed, only(run.waits).checks) == (120.0, 1)
