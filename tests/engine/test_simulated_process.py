"""Calls, responses, paths, branches and time-outs, played with instants worked out by hand."""

import math

import pytest
from plays import FREE, only, play, scenario_of, wait_for

import asyncsim as sim

EVERY_SECOND = sim.Polling(1)


def early(policy, external, retries=(), arm_delay=10.0):
    """Play a callback that comes `external` seconds after the call, 10 s before the arming."""
    callback = sim.Callback(retries=list(retries))
    return wait_for(callback, external, arm_delay=arm_delay, policy=policy)


# --- arming, and finishes that come too early ---------------------------------------------------


def test_the_call_is_served_and_the_wait_is_armed_when_it_ends():
    """Called at 5 s, 2 s of a worker, armed at 7 s and no later; done 3 s after that."""
    run = wait_for(sim.Callback(), 3.0, arrivals=(5.0,), call_work="2s")
    wait = only(run.waits)
    assert (wait.called, wait.armed, wait.completed) == (5.0, 7.0, 10.0)
    step = only(run.steps)
    assert (step.queued, step.started, step.ended) == (5.0, 5.0, 10.0)


def test_calls_stand_in_the_one_queue():
    """One worker, three calls of 2 s: armed at 2, 4, 6 s."""
    run = wait_for(sim.Callback(), 1.0, arrivals=[0.0] * 3, call_work=2.0, server={"workers": 1})
    assert run.waits.armed.tolist() == [2.0, 4.0, 6.0]
    assert run.steps.started.tolist() == [0.0, 2.0, 4.0]


def test_an_arm_delay_counts_from_the_end_of_the_call():
    """Call of 2 s and a delay of 10 s: armed at 12 s, the outside work running since 2 s."""
    wait = only(wait_for(sim.Callback(), 30.0, call_work=2.0, arm_delay=10.0).waits)
    assert (wait.armed, wait.completed) == (12.0, 32.0)


def test_arming_before_the_call_lets_the_wait_begin_at_once():
    """Armed at 0 s though the call takes until 2 s; polls count from 0 s."""
    run = wait_for(sim.Polling(10), 3.0, call_work=2.0, arm="before call")
    wait = only(run.waits)
    assert (wait.armed, wait.completed, wait.resumed) == (0.0, 5.0, 10.0)


def test_an_early_callback_turned_away_without_retry_is_lost_for_ever():
    """Done at 4 s, armed at 10 s: rejected, dead letter, still waiting."""
    run = early(sim.FinishPolicy("reject"), 4.0)
    assert run.deliveries.outcome.tolist() == ["early, rejected", "dead letter"]
    assert only(run.waits).outcome == "waiting"


def test_an_early_callback_turned_away_is_sent_again_by_the_schedule():
    """Done at 4 s, armed at 10 s, pauses 3 and 5 s: refused at 4 and 7 s, heard at 12 s."""
    run = early(sim.FinishPolicy("reject"), 4.0, retries=(3.0, 5.0, 60.0))
    assert run.deliveries.arrived.tolist() == [4.0, 7.0, 12.0]
    assert run.deliveries.outcome.tolist() == ["early, rejected"] * 2 + ["finished"]
    assert (only(run.waits).resumed, only(run.waits).latency) == (12.0, 8.0)


def test_an_early_callback_that_is_buffered_finishes_the_wait_as_it_is_armed():
    """Done at 4 s, armed at 10 s: resumed at 10 s, having waited no time at all."""
    run = early(sim.FinishPolicy("buffer"), 4.0)
    wait = only(run.waits)
    assert (wait.armed, wait.resumed, wait.latency) == (10.0, 10.0, 6.0)
    assert only(run.deliveries).outcome == "early, buffered"
    assert only(run.instances).outcome == "done"


@pytest.mark.parametrize(("keep", "outcome"), [(5.0, "waiting"), (6.0, "resumed")])
def test_a_buffered_callback_is_dropped_when_its_time_is_over(keep, outcome):
    """Kept from 4 s on and needed at 10 s: 6 s are enough, 5 s are not."""
    run = early(sim.FinishPolicy("buffer", keep), 4.0)
    assert only(run.waits).outcome == outcome


def test_an_early_callback_that_is_ignored_is_lost_though_the_sender_was_thanked():
    """Ignored: no retry although there is a schedule, and the step waits for ever."""
    run = early(sim.FinishPolicy("ignore"), 4.0, retries=(60.0,))
    assert run.deliveries.outcome.tolist() == ["early, ignored"]
    assert only(run.waits).outcome == "waiting"


def test_an_arming_and_a_callback_at_one_instant_are_in_time():
    """Done at 10 s, armed at 10 s: arming comes first, so the callback is not early."""
    run = early(sim.FinishPolicy("reject"), 10.0)
    assert only(run.deliveries).outcome == "finished"
    assert only(run.waits).latency == 0.0


@pytest.mark.parametrize("poll_work", [0.0, 1e-9])
def test_polling_does_not_mind_work_done_before_the_arming(poll_work):
    """Done at 4 s, armed at 10 s, asked from 10 s on every 7 s: seen at 17 s."""
    run = wait_for(sim.Polling(7), 4.0, arm_delay=10.0, server={"poll_work": poll_work})
    wait = only(run.waits)
    assert (wait.resumed, wait.checks) == (pytest.approx(17.0, abs=1e-8), 1)


# --- time-outs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "poll_work"),
    [
        (sim.Callback(), 0.0),
        (sim.Polling(50), 0.0),
        (sim.Polling(49), 1.0),
        (sim.LongPolling(9), 0),
    ],
)
@pytest.mark.parametrize(("external", "outcome"), [(50.0, "resumed"), (50.001, "timed out")])
def test_a_finish_and_a_time_out_at_one_instant_resume_the_step(
    strategy, poll_work, external, outcome
):
    """The time-out at 50 s comes last: a finish at 50 s is in time, one a moment later is not."""
    if poll_work:
        external -= 1.0  # this check is picked up at 49 s and ends at 50 s
    run = wait_for(strategy, external, timeout=50.0, server={"poll_work": poll_work})
    assert (only(run.waits).outcome, only(run.waits).closed) == (outcome, 50.0)


def test_a_time_out_counts_from_the_arming():
    """Call of 2 s, arm delay of 10 s, time-out of 50 s: over at 62 s."""
    run = wait_for(sim.Callback(), 1e4, call_work=2.0, arm_delay=10.0, timeout=50.0)
    assert only(run.waits).closed == 62.0


@pytest.mark.parametrize(
    ("policy", "text"), [("reject", "late, rejected"), ("accept", "late, accepted")]
)
def test_a_callback_after_the_time_out_is_late(policy, text):
    """Timed out at 50 s, done at 80 s: the callback is answered, and resumes nothing."""
    run = wait_for(
        sim.Callback(retries=["5s"]), 80.0, timeout=50.0, policy=sim.FinishPolicy(late=policy)
    )
    wait = only(run.waits)
    assert (wait.outcome, wait.closed, wait.completed) == ("timed out", 50.0, 80.0)
    assert math.isnan(wait.resumed)
    assert run.deliveries.outcome.tolist() == [text], "a late answer settles it: no retry"
    assert (only(run.instances).ended, only(run.instances).outcome) == (50.0, "failed")


@pytest.mark.parametrize(
    ("way", "ended", "outcome"),
    [("fail", 50.0, "failed"), ("continue", 51.0, "done"), ([sim.Step("undo", 4)], 55.0, "done")],
)
def test_the_path_after_a_time_out(way, ended, outcome):
    """Failing ends at 50 s; going on takes 1 s more; undoing first takes 4 s before that."""
    steps = [sim.AsyncStep("w", "out", timeout=50.0, on_timeout=way), sim.Step("after", 1)]
    run = play(sim.Callback(), scenario_of(steps), external={"w": 80.0})
    assert (only(run.instances).ended, only(run.instances).outcome) == (ended, outcome)


@pytest.mark.parametrize("poll_work", [0.0, 1e-9])
def test_a_check_due_at_the_time_out_comes_before_it(poll_work):
    """Asked every 10 s, timed out at 50 s: the fifth check is made and finds nothing."""
    run = wait_for(sim.Polling(10), 80.0, timeout=50.0, server={"poll_work": poll_work})
    wait = only(run.waits)
    # A check that takes time is under way when the time-out comes: it is counted when it ends
    assert (wait.outcome, wait.checks, wait.wasted_checks) == ("timed out", 5, 5)


def test_a_time_out_before_the_call_has_ended_lets_the_call_go_on():
    """Armed before a call of 100 s, timed out at 50 s: the system still gets the item at 100 s."""
    run = wait_for(sim.Callback(), 20.0, call_work=100.0, arm="before call", timeout=50.0)
    wait = only(run.waits)
    assert (wait.outcome, wait.closed, wait.completed) == ("timed out", 50.0, 120.0)
    assert only(run.deliveries).outcome == "late, rejected"


# --- the immediate response ---------------------------------------------------------------------

THREE = sim.Response(accepted=0.5, done=0.3, rejected=0.2)


@pytest.mark.parametrize(
    ("uniform", "response"),
    [(0.0, "resumed"), (0.499, "resumed"), (0.5, "done"), (0.799, "done"), (0.8, "rejected")],
)
def test_the_response_decides_whether_the_step_waits(uniform, response):
    """Shares 0.5, 0.3, 0.2: the number below 0.5 waits, below 0.8 is done, else is rejected."""
    steps = [sim.AsyncStep("w", "out", response=THREE, call_work=2.0), sim.Step("after", 1)]
    run = play(sim.Callback(), scenario_of(steps), external={"w": 10.0}, responses={"w": uniform})
    assert run.steps.outcome[0] == response
    instance = only(run.instances)
    ended = {"resumed": (13.0, "done"), "done": (3.0, "done"), "rejected": (2.0, "failed")}
    assert (instance.ended, instance.outcome) == ended[response]
    assert len(run.waits) == (response == "resumed")


def test_the_paths_after_done_and_rejected_are_gone_through():
    """After done a step of 4 s, after rejected one of 5 s, then the last one of 1 s."""
    step = sim.AsyncStep(
        "w",
        "out",
        response=THREE,
        on_done=[sim.Step("celebrate", 4)],
        on_rejected=[sim.Step("mourn", 5)],
    )
    scenario = scenario_of([step, sim.Step("after", 1)], arrivals=(0.0, 100.0))
    run = play(sim.Callback(), scenario, external={"w": 10.0}, responses={"w": [0.6, 0.9]})
    assert run.instances.ended.tolist() == [5.0, 106.0]


def test_the_process_reacts_to_the_response_before_it_waits():
    """Accepted at 2 s, steps of 3 s and 4 s, a delay of 1 s: armed at 10 s; done at 2 s + 20 s."""
    before = [sim.Step("note", 3), sim.Step("tell", 4)]
    step = sim.AsyncStep("w", "out", call_work=2.0, on_accepted=before, arm_delay=1.0)
    run = play(sim.Polling(7), scenario_of([step, sim.Step("after", 1)]), external={"w": 20.0})
    wait = only(run.waits)
    assert (wait.armed, wait.completed, wait.resumed) == (10.0, 22.0, 24.0)
    assert run.steps.set_index("step").ended.to_dict() == {
        "w": 24.0,
        "note": 5.0,
        "tell": 9.0,
        "after": 25.0,
    }


def test_a_callback_during_the_reaction_to_the_response_is_early():
    """Accepted at 0 s, reacting until 10 s, done at 4 s: refused; tried again at 12 s."""
    run = wait_for(sim.Callback(retries=["8s"]), 4.0, on_accepted=[sim.Step("note", 10)])
    assert run.deliveries.outcome.tolist() == ["early, rejected", "finished"]
    assert only(run.waits).resumed == 12.0


def test_a_reaction_that_fails_cancels_the_wait_before_it_is_armed():
    """Failing in the reaction ends the instance; the wait is never armed, the callback is late."""
    refused = sim.AsyncStep("confirm", "out", response={"rejected": 1.0}, call_work=1.0)
    run = wait_for(sim.Callback(), 4.0, on_accepted=[refused])
    assert only(run.instances).outcome == "failed"
    assert run.waits.empty
    assert run.steps.set_index("step").outcome.to_dict() == {
        "w": "cancelled",
        "confirm": "rejected",
    }
    assert run.deliveries.outcome.tolist() == ["late, rejected"]


def test_a_reaction_may_wait_itself():
    """A step within the reaction waits until 5 s, then the outer wait is armed; both resume."""
    inner = sim.AsyncStep("inner", "out")
    scenario = scenario_of([sim.AsyncStep("w", "out", on_accepted=[inner])])
    run = play(sim.Callback(), scenario, external={"w": 9.0, "inner": 5.0})
    waits = run.waits.set_index("step")
    assert (waits.armed["w"], waits.resumed["inner"], waits.resumed["w"]) == (5.0, 5.0, 9.0)


def test_done_after_arming_before_the_call_cancels_the_wait():
    """A wait armed early is cancelled when the response says that all is done."""
    run = wait_for(sim.Polling(10), 5.0, arm="before call", call_work=25.0, response={"done": 1.0})
    wait = only(run.waits)
    assert (wait.outcome, wait.closed, wait.checks) == ("cancelled", 25.0, 2)
    assert only(run.steps).outcome == "done"
    assert only(run.instances).outcome == "done"


# --- choices and branches -----------------------------------------------------------------------


def test_a_choice_goes_one_way_and_a_parallel_all_ways():
    """The chosen branch costs 3 s; the parallel takes as long as its longest branch, 7 s."""
    steps = [
        sim.Choice("which", [(0.5, [sim.Step("a", 2)]), (0.5, [sim.Step("b", 3)])]),
        sim.Parallel("both", [[sim.Step("c", 4)], [sim.Step("d", 1), sim.Step("e", 6)]]),
        sim.Step("last", 1),
    ]
    run = play(sim.Callback(), scenario_of(steps), choices={"which": 0.5})
    assert run.steps.set_index("step").ended.to_dict() == {
        "b": 3.0,
        "c": 7.0,
        "d": 4.0,
        "e": 10.0,
        "last": 11.0,
    }


def test_branches_that_end_at_one_instant_go_on_only_once():
    """Two branches of 4 s each: the step after the join is done once."""
    steps = [sim.Parallel("both", [[sim.Step("c", 4)], [sim.Step("d", 4)]]), sim.Step("last", 1)]
    run = play(sim.Callback(), scenario_of(steps))
    assert run.steps.step.tolist() == ["c", "d", "last"]
    assert only(run.instances).ended == 5.0


def test_waits_in_parallel_branches_have_serial_numbers_of_their_own():
    """Two waits of instance 1 at the same time are 1_30 and 1_31; the later one decides."""
    steps = [sim.Parallel("both", [[sim.AsyncStep("a", "out")], [sim.AsyncStep("b", "out")]])]
    run = play(
        sim.Callback(), scenario_of(steps, first_activation=30), external={"a": 5.0, "b": 9.0}
    )
    assert run.waits.serial_number.tolist() == ["1_30", "1_31"]
    assert only(run.instances).ended == 9.0


def failing(first_fails_at, other, strategy, **more):
    """Two branches: one times out at some instant and fails the instance, one waits for 100 s."""
    failing_step = sim.AsyncStep("bad", "out", timeout=first_fails_at)
    waiting_step = sim.AsyncStep("good", "out")
    branches = (
        [[failing_step], [waiting_step]] if other == "good" else [[waiting_step], [failing_step]]
    )
    scenario = scenario_of([sim.Parallel("both", branches)], **more)
    run = play(strategy, scenario, external={"bad": 1000.0, "good": 100.0})
    return run, run.waits.set_index("step")


@pytest.mark.parametrize("later", ["good", "bad"])
def test_a_failing_branch_cancels_the_wait_of_the_other(later):
    """Failed at 50 s: the other wait is cancelled then, and its callback at 100 s is late."""
    run, waits = failing(50.0, later, sim.Callback())
    assert waits.outcome.to_dict() == {"bad": "timed out", "good": "cancelled"}
    assert waits.closed.to_dict() == {"bad": 50.0, "good": 50.0}
    assert (only(run.instances).outcome, only(run.instances).ended) == ("failed", 50.0)
    assert run.deliveries.outcome.tolist() == ["late, rejected"] * 2


@pytest.mark.parametrize("later", ["good", "bad"])
@pytest.mark.parametrize("poll_work", [0.0, 1e-9])
def test_checks_due_at_the_time_out_of_another_branch_are_made_before_it(later, poll_work):
    """Both branches ask every 10 s until one times out at 50 s: five checks each."""
    _, waits = failing(50.0, later, sim.Polling(10), poll_work=poll_work)
    assert waits.checks.to_dict() == {"bad": 5, "good": 5}


@pytest.mark.parametrize("order", [1, -1])
def test_a_branch_that_fails_at_once_keeps_the_others_from_starting(order):
    """Rejected at 0 s by a call of no duration: no other branch has made a step or a call.

    The branches start in written order, so one written before the failing one has begun.
    """
    rejected = sim.AsyncStep("bad", "out", response={"rejected": 1.0})
    branches = [[rejected], [sim.AsyncStep("good", "out"), sim.Step("more", 1)]][::order]
    scenario = scenario_of([sim.Parallel("both", branches)])
    run = play(sim.Callback(), scenario, external={"good": 100.0})
    instance = only(run.instances)
    assert (instance.outcome, instance.ended) == ("failed", 0.0)
    if order == 1:
        assert run.steps.step.tolist() == ["bad"]
    else:
        assert run.waits.outcome.tolist() == ["cancelled"]
        assert run.steps.outcome.tolist() == ["cancelled", "rejected"]


def test_work_under_way_in_another_branch_is_finished_but_nothing_follows_it():
    """Failed at 50 s during work of 80 s: that work ends, the step after it never starts."""
    bad = sim.AsyncStep("bad", "out", timeout=50.0)
    branches = [[bad], [sim.Step("long", 80), sim.Step("never", 1)]]
    scenario = scenario_of([sim.Parallel("both", branches)])
    run = play(sim.Callback(), scenario, external={"bad": 1000.0})
    assert run.steps.set_index("step").ended.to_dict() == {"bad": 50.0, "long": 80.0}
    assert only(run.instances).ended == 50.0


def test_a_call_under_way_when_the_instance_fails_still_reaches_the_system():
    """Failed at 50 s during a call of 80 s: the outside work is done, its callback is late."""
    bad = sim.AsyncStep("bad", "out", timeout=50.0)
    calling = sim.AsyncStep("calling", "out", call_work=80.0)
    scenario = scenario_of([sim.Parallel("both", [[bad], [calling]])])
    run = play(sim.Callback(), scenario, external={"bad": 1000.0, "calling": 10.0})
    late = run.deliveries[run.deliveries.sent == 90.0]
    assert only(late).outcome == "late, rejected"
    assert run.waits.step.tolist() == ["bad"], "it was never armed"
    assert run.steps.set_index("step").outcome["calling"] == "cancelled"


# --- steps one after the other, and the queue ---------------------------------------------------


def test_steps_queue_for_workers_in_the_order_in_which_they_became_ready():
    """One worker: instance 2 queues at 1 s for its first step, before 1 queues for its second."""
    steps = [sim.Step("a", 2), sim.Step("b", 2)]
    run = play(sim.Callback(), scenario_of(steps, arrivals=(0.0, 1.0), workers=1))
    spans = run.steps.set_index(["instance", "step"])[["queued", "started", "ended"]]
    assert spans.loc[(1, "a")].tolist() == [0.0, 0.0, 2.0]
    assert spans.loc[(2, "a")].tolist() == [1.0, 2.0, 4.0]
    assert spans.loc[(1, "b")].tolist() == [2.0, 4.0, 6.0]
    assert spans.loc[(2, "b")].tolist() == [4.0, 6.0, 8.0]


def test_a_job_of_no_duration_needs_no_worker_even_if_all_are_busy():
    """The only worker is busy until 100 s; a step without work passes at 5 s."""
    steps = [sim.Choice("which", [(0.5, [sim.Step("long", 100)]), (0.5, [sim.Step("none", 0)])])]
    scenario = scenario_of(steps, arrivals=(0.0, 5.0), workers=1)
    run = play(sim.Callback(), scenario, choices={"which": [0.0, 0.9]})
    assert run.instances.ended.tolist() == [100.0, 5.0]


def test_an_instance_can_wait_several_times():
    """Two waits one after the other, done 10 s and 20 s after their calls, polled every 7 s."""
    steps = [sim.AsyncStep("a", "out"), sim.AsyncStep("b", "more")]
    scenario = scenario_of(steps, {"out": FREE, "more": FREE})
    run = play(sim.Polling(7), scenario, external={"a": 10.0, "b": 20.0})
    assert run.waits.resumed.tolist() == [14.0, 35.0]
    assert run.waits.serial_number.tolist() == ["1_1", "1_2"]
    assert run.waits.system.tolist() == ["out", "more"]
