"""Inputs of people and programs to a session, and their answers."""

import asyncio
import threading
import time

import numpy as np
import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.engine.waits import Answer


def approval(steps=None, system=None, *, instances=10, **server):
    """Return a scenario in which instance k arrives in second k - 1 and waits as ``k_31``."""
    return sim.Scenario(
        name="approval",
        process=sim.Process(
            "approve",
            steps or [sim.Step("read"), sim.AsyncStep("approve", system="people")],
            first_activation=30,
        ),
        systems={"people": system or sim.OnlineService("1h", lanes=None)},
        arrivals=sim.Regular("1s"),
        length=float(instances),
        server=sim.WorkflowServer(**server),
    )


def opened(scenario=None, *, hold=True, until=10.0, **more):
    """Return a session in which everybody has arrived."""
    session = sim.live(scenario or approval(), hold=hold, **more)
    session.run_until(until)
    return session


class TestFinishing:
    def test_a_finish_lets_the_process_move_on_at_once(self):
        """The record is gone from those that wait, and the instance has ended."""
        session = opened()
        assert "5_31" in set(session.waiting["serial_number"])
        assert session.finish("5_31", {"InvoiceNo": 42}) is Answer.FINISHED
        assert "5_31" not in set(session.waiting["serial_number"])
        found = session.instance(5)
        assert (found["outcome"], found["ended"]) == ("done", 10.0)
        assert found["fields"] == {"InvoiceNo": 42} == session.wait("5_31")["data"]

    def test_every_other_finish_raises_its_own_error(self):
        """A second, an unknown, a late and an early one each raise an error of their own."""
        steps = [sim.AsyncStep("approve", "people", timeout="1min", arm_delay="5s")]
        session = opened(approval(steps), until=5.0)
        with pytest.raises(sim.NotArmedYet, match="'5_30' is not waiting yet"):
            session.finish("5_30")
        session.run_until(30.0)
        session.finish("5_30")
        with pytest.raises(sim.AlreadyFinished, match="'5_30' was finished before"):
            session.finish("5_30")
        with pytest.raises(sim.UnknownSerialNumber, match="did you mean '5_30'"):
            session.finish("5_3O")
        session.run_until(100.0)
        with pytest.raises(sim.WaitExpired, match="'6_30' is not waiting any more"):
            session.finish("6_30")
        words = list(session.answers["answer"])
        assert words == [
            "early, rejected",
            "finished",
            "duplicate, rejected",
            "unknown, rejected",
            "late, rejected",
        ]

    def test_callbacks_that_are_simulated_meet_the_limit_of_the_server_and_people_do_not(self):
        """Of three callbacks at 10 s two are refused; what a person finishes counts for nothing."""
        scenario = approval(finish_limit="1 per 60 s")
        session = opened(scenario, strategy=sim.Callback(retries=["30s", "30s"]))
        session.finish("9_31")
        for number in ("1_31", "2_31", "3_31"):
            session.complete(number)
        session.finish("8_31")
        session.run_until(80.0)
        found = session.so_far().deliveries[["serial_number", "sent", "outcome"]].values.tolist()
        assert found == [
            ["9_31", 10.0, "finished"],
            ["1_31", 10.0, "finished"],
            ["2_31", 10.0, "rate limited"],
            ["3_31", 10.0, "rate limited"],
            ["8_31", 10.0, "finished"],
            ["2_31", 40.0, "rate limited"],
            ["3_31", 40.0, "rate limited"],
            ["2_31", 70.0, "finished"],
            ["3_31", 70.0, "rate limited"],
            ["3_31", 70.0, "dead letter"],
        ]
        assert session.wait("3_31")["state"] == "waiting"
        session.finish("3_31")

    def test_an_early_finish_may_be_kept(self):
        """With a buffering server the step resumes in the moment in which it is armed."""
        steps = [sim.AsyncStep("approve", "people", arm_delay="1min")]
        policy = sim.FinishPolicy(early="buffer")
        session = opened(approval(steps, policy=policy))
        assert session.finish("5_30", {"by": "Ann"}) is Answer.BUFFERED
        assert session.instance(5)["outcome"] == "running"
        session.run_until(80.0)
        assert session.wait("5_30")["closed"] == session.wait("5_30")["armed"] == 64.0
        assert session.instance(5)["fields"] == {"by": "Ann"}

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([1], "data must map names to values"),
            ({1: 2}, "data must map names to values"),
            ({"x": float("nan")}, "data must hold what JSON can"),
            ({"x": object()}, "data must hold what JSON can"),
            ({"x": "\ud800"}, "data must hold what JSON can"),
            ({"x": "y" * 70_000}, "data must not exceed 65536 bytes"),
        ],
    )
    def test_data_fields_are_checked(self, data, message):
        """What could not be written into the record is refused, and nothing is finished."""
        session = opened()
        with pytest.raises(sim.ScenarioError, match=message):
            session.finish("5_31", data)
        assert session.wait("5_31")["state"] == "waiting"

    def test_finishing_costs_the_server_the_handling(self):
        """It is a request like any callback: worker time and database operations are counted."""
        session = opened(approval(callback_work="2s"))
        session.finish("5_31")
        session.run_for(10)
        overhead = session.so_far().overhead.set_index("kind")
        assert overhead.loc["callback", "count"] == 1
        assert overhead.loc["callback", "worker_seconds"] == pytest.approx(2.0)

    def test_a_system_that_was_not_asked_calls_back_all_the_same(self):
        """After a finish by hand, the callback of the system is a duplicate."""
        session = opened(hold=False)
        session.finish("5_31")
        session.run_until(2 * 3600)
        deliveries = session.so_far().deliveries.set_index("serial_number")
        assert list(deliveries.loc["5_31", "outcome"]) == ["finished", "duplicate, rejected"]
        assert session.instance(5)["ended"] == 10.0

    def test_threads_may_finish_while_the_session_is_played(self):
        """Each of a hundred numbers is finished once, by three threads at a time."""
        session = sim.live(approval(instances=100), hold=True)
        answers = []

        def finish_all():
            for k in range(100):
                while (answer := session.finish(f"{k + 1}_31", strict=False)) is Answer.UNKNOWN:
                    time.sleep(0.002)
                answers.append(answer)

        threads = [threading.Thread(target=finish_all, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            session.run_for(1.0)
        for thread in threads:
            thread.join()
        assert (session.so_far().instances["outcome"] == "done").all()
        assert answers.count(Answer.FINISHED) == 100
        assert answers.count(Answer.DUPLICATE) == 200


class TestTwins:
    def test_the_twin_under_polling_waits_for_its_next_check(self):
        """The same instance resumes by callback at once, by polling at the next grid point."""
        session = opened(against=sim.Polling("15min"))
        session.finish("5_31")
        beside = session.beside("5_31").set_index("strategy")
        assert beside.loc["callback", "state"] == "resumed"
        assert beside.loc["polling 15 min", "state"] == "waiting"
        assert beside.loc["polling 15 min", "next_check"] == 4.0 + 900.0
        session.run_until("01:00")
        beside = session.beside("5_31").set_index("strategy")
        assert beside.loc["polling 15 min", "resumed"] == 904.0
        assert beside.loc["polling 15 min", "latency"] == 894.0

    def test_what_is_handed_back_reaches_the_twin_when_it_resumes(self):
        """Its choice then goes by the same data."""
        steps = [
            sim.AsyncStep("approve", "people"),
            sim.Choice("which", [sim.Branch(1.0, when={"ok": False}), YES]),
        ]
        session = opened(approval(steps), against=sim.Polling("1min"))
        session.finish("5_30", {"ok": True})
        session.run_until(200.0)
        for label in session.strategies:
            steps_done = session.so_far(label).steps
            assert list(steps_done[steps_done["step"] == "pay"]["instance"]) == [5]

    def test_an_unknown_strategy_is_named(self):
        """With the labels there are."""
        with pytest.raises(sim.ScenarioError, match="must be one of 'callback', got 'polling'"):
            opened().so_far("polling")


YES = sim.Branch(0.0, [sim.Step("pay")], when={"ok": [True, "yes"]})


class TestData:
    @pytest.mark.parametrize(("ok", "paid"), [(True, 1), ("yes", 1), (False, 0), (None, 0)])
    def test_a_choice_goes_by_the_data_handed_back(self, ok, paid):
        """Where data says nothing, chance decides: here never to pay."""
        choice = sim.Choice("which", [sim.Branch(1.0, when={"ok": False}), YES])
        session = opened(approval([sim.AsyncStep("approve", "people"), choice]))
        session.finish("5_30", None if ok is None else {"ok": ok})
        steps = session.so_far().steps
        assert (steps["step"] == "pay").sum() == paid

    def test_an_instance_may_be_started_with_data(self):
        """It comes after those that have arrived, and waits like them."""
        session = opened(until=4.0)
        assert session.start({"ok": True}) == 6
        assert session.instance(6)["fields"] == {"ok": True}
        assert session.wait("6_31")["state"] == "waiting"
        session.run_until(20.0)
        assert session.instances_count == 11
        assert session.instance(7)["arrived"] == 5.0
        run = session.so_far()
        assert list(run.instances["arrived"]) == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]

    def test_a_log_that_is_replayed_takes_no_more_instances(self):
        """There would be no completion for it."""
        log = sim.LoggedCompletions([3600.0] * 10)
        with pytest.raises(sim.ScenarioError, match="system 'people' replays"):
            opened(approval(system=log), hold=False).start()


class TestCompleting:
    def test_the_strategy_carries_the_news_of_completion(self):
        """A callback takes its delay; the twin learns of it by its next check."""
        session = opened(strategy=sim.Callback("30s"), against=sim.Polling("1min"))
        session.complete("5_31", {"ok": True})
        session.run_until(100.0)
        times = session.beside("5_31").set_index("strategy")["resumed"]
        assert times["callback"] == 40.0
        assert times["polling 1 min"] == 64.0
        assert session.instance(5)["fields"] == {"ok": True}

    def test_nothing_is_completed_twice(self):
        """The second time raises an error."""
        session = opened(strategy=sim.Callback("30s"))
        session.complete("5_31")
        with pytest.raises(sim.AlreadyFinished):
            session.complete("5_31")
        with pytest.raises(sim.UnknownSerialNumber):
            session.complete("nonsense")


class TestHeartbeats:
    def test_a_wait_without_a_sign_of_life_times_out(self):
        """With one it lives on, until its own time-out at the latest."""
        steps = [sim.AsyncStep("approve", "people", timeout="5min", on_timeout="continue")]
        session = opened(approval(steps), heartbeat="1min")
        for minute in range(1, 5):
            session.run_until(50.0 * minute)
            session.heartbeat("5_30")
        session.run_until(1000.0)
        assert session.wait("4_30")["closed"] == 3.0 + 60.0
        assert session.wait("5_30")["closed"] == 200.0 + 60.0
        with pytest.raises(sim.WaitExpired):
            session.heartbeat("5_30")

    def test_signs_of_life_do_not_move_the_timeout(self):
        """However often they come."""
        steps = [sim.AsyncStep("approve", "people", timeout="2min", on_timeout="continue")]
        session = opened(approval(steps), heartbeat={"approve": "1min"})
        for moment in range(20, 120, 20):
            session.run_until(float(moment))
            session.heartbeat("5_30")
        session.run_until(1000.0)
        assert session.wait("5_30")["closed"] == 4.0 + 120.0


class TestRetry:
    def test_an_operator_repeats_the_call_under_a_new_number(self):
        """The old number is stale, the external system is asked again."""
        session = opened(hold=False)
        session.run_until(1800.0)
        new = session.retry("5_31")
        assert new == "5_32"
        with pytest.raises(sim.WaitExpired):
            session.finish("5_31")
        session.run_until(6000.0)
        waits = session.so_far().waits.set_index("serial_number")
        assert waits.loc["5_31", "outcome"] == "cancelled"
        assert waits.loc["5_32", "completed"] == 1800.0 + 3600.0  # an hour from the second call
        assert session.instance(5)["outcome"] == "done"

    def test_the_answers_name_the_new_number_and_nothing_of_the_inside(self):
        """As the answer to a start is the number of the instance; the data are what was asked."""
        session = opened(hold=False)
        session.retry("5_31")
        session.retry("6_31", call=False)
        table = session.answers.set_index("serial_number")
        assert table["answer"].to_dict() == {"5_31": "5_32", "6_31": "6_32"}
        assert table["data"].to_dict() == {"5_31": None, "6_31": {"call": False}}

    def test_a_step_that_resumes_while_the_clock_catches_up_is_not_retried(self, monkeypatch):
        """No number is returned that no step waits under."""
        session = opened(hold=False, speed=1e6)
        catch_up = iter([lambda: None, lambda: session.run_for("2h")])
        monkeypatch.setattr(session, "_catch_up", lambda: next(catch_up)())
        with pytest.raises(sim.WaitExpired, match="gone on from there"):
            session.retry("5_31")
        assert session.lane().waits.records.get("5_32") is None

    def test_an_operator_only_waits_again(self):
        """No second call: the work goes on, but who knows the old number only comes too late."""
        session = opened(strategy=sim.Callback(), against=sim.Polling("1h"), hold=False)
        session.run_until(1800.0)
        assert session.retry("5_31", call=False) == "5_32"
        session.run_until(9000.0)
        waits = session.so_far().waits.set_index("serial_number")
        assert waits.loc["5_32", "completed"] == 4.0 + 3600.0
        assert waits.loc["5_32", "outcome"] == "waiting"  # the callback named the old number
        outcomes = session.so_far().deliveries.set_index("serial_number")["outcome"]
        assert outcomes["5_31"] == "late, rejected"
        assert session.finish("5_32") is Answer.FINISHED
        twin = session.so_far("polling 1 h").waits.set_index("serial_number")
        assert twin.loc["5_32", "resumed"] == 1800.0 + 3600.0  # asking needs no number

    def test_a_failed_instance_comes_back_to_life(self):
        """Timed out, failed, tried again, finished."""
        session = opened(approval([sim.AsyncStep("approve", "people", timeout="1min")]))
        session.run_until(100.0)
        assert session.instance(5)["outcome"] == "failed"
        new = session.retry("5_30")
        assert session.instance(5)["outcome"] == "running"
        session.finish(new)
        assert session.instance(5)["outcome"] == "done"

    def test_a_step_the_process_has_left_cannot_be_tried_again(self):
        """It would go two ways."""
        session = opened()
        session.finish("5_31")
        with pytest.raises(sim.WaitExpired, match="gone on from there"):
            session.retry("5_31")
        session.retry("6_31")
        with pytest.raises(sim.WaitExpired, match="tried again as '6_32'"):
            session.retry("6_31")

    def test_a_twin_that_has_not_come_so_far_calls_under_the_new_number(self):
        """And learns of its completion by it."""
        steps = [sim.AsyncStep("first", "people"), sim.AsyncStep("second", "people")]
        session = opened(approval(steps), against=sim.Polling("15min"))
        session.finish("1_30")
        assert session.retry("1_31") == "1_32"
        session.finish("1_32")
        session.run_until("01:00")
        beside = session.beside("1_32").set_index("strategy")
        assert list(beside["state"]) == ["resumed", "resumed"]

    def test_a_log_with_numbers_of_its_own_gets_one_more(self):
        """Its own number is stale, like any other."""
        log = sim.LoggedCompletions([3600.0] * 10, serial_numbers=[f"SN{k}" for k in range(10)])
        session = opened(approval(system=log))
        new = session.retry("SN4")
        assert new == "5_32"
        with pytest.raises(sim.WaitExpired, match="tried again, as '5_32'"):
            session.finish("SN4")
        session.finish(new)


class TestMisuse:
    def test_a_heartbeat_after_the_deadline_is_too_late(self):
        """Also if the clock has not been read since."""

        async def late():
            session = opened(heartbeat="1min", speed=600.0)
            session.play()
            time.sleep(0.3)  # the loop is busy for three minutes of the session's time
            with pytest.raises(sim.WaitExpired):
                session.heartbeat("5_31")
            session.pause()

        asyncio.run(late())

    def test_a_function_of_on_response_may_look_but_not_act(self, caplog):
        """It would be played at another instant when the session is opened again."""

        def act(call):
            if call.instance == 6:
                session.finish("5_31")

        session = sim.live(approval(), hold=True, on_response=act)
        session.run_until(10.0)
        assert "may look at the session, not act" in session.instance(6)["fields"]["error"]
        assert session.wait("5_31")["state"] == "waiting"

    def test_a_listener_that_fails_fails_nothing_else(self, caplog):
        """The action succeeds, and the other listeners are called."""
        session, heard = opened(), []
        session.listen(lambda: 1 / 0)
        session.listen(lambda: heard.append(1))
        assert session.finish("5_31") is Answer.FINISHED
        assert heard
        assert "ZeroDivisionError" in caplog.text

    def test_an_interrupt_leaves_the_session_as_it_was(self):
        """And nothing that was answered is listed twice."""
        session = opened()
        session.finish("5_31")

        class Interrupting(dict):
            def get(self, *_):
                raise KeyboardInterrupt

        session.lane()._activations = Interrupting()
        with pytest.raises(KeyboardInterrupt):
            session.start()
        assert len(session.answers) == 1
        assert session.instances_count == 10
        assert session.finish("6_31") is Answer.FINISHED

    def test_a_closed_session_refuses_actions(self):
        """Twice closed is closed."""
        session = opened()
        session.close()
        session.close()
        for act in (lambda: session.finish("5_31"), lambda: session.run_for(5)):
            with pytest.raises(sim.EngineError, match="this session is closed"):
                act()

    def test_polling_for_ever_is_not_played_for_ever(self):
        """Held systems complete nothing, and the checks never end."""
        session = opened(approval(poll_work="10ms"), strategy=sim.Polling("1h"))
        session.run_to_end(at_most="2 days")
        assert session.now == 10.0 + 2 * 86400.0

    @pytest.mark.parametrize("number", ["5_\ud800", None, 5, ["5_31"], "x" * 10_000])
    def test_what_is_no_serial_number_is_not_known(self, number):
        """Whatever it is."""
        with pytest.raises(sim.UnknownSerialNumber):
            opened().finish(number)


class TestLooking:
    def test_a_page_is_a_part_of_the_waiting_records(self):
        """By serial number, step or system; with their total number."""
        session = opened(approval(instances=200), until=200.0)
        total, page = session.page("1", first=10, most=5)
        assert total == 111  # 1, 10 to 19, 100 to 199
        assert list(page["serial_number"]) == ["19_31", "100_31", "101_31", "102_31", "103_31"]
        assert session.page("people")[0] == 200
        assert session.page("no such thing")[0] == 0
        assert session.page("%")[0] == 0  # a sign like any other

    def test_what_is_not_there_is_named(self):
        """With what there is."""
        session = opened(until=4.0)
        with pytest.raises(sim.UnknownSerialNumber, match="did you mean '5_31'"):
            session.wait("5_30")
        with pytest.raises(sim.ScenarioError, match=r"known one \(1 to 5\), got 6"):
            session.instance(6)

    def test_a_slip_in_a_number_leads_to_the_same_instance_or_to_none(self):
        """Finishing another step is worse than no hint."""
        session = opened(approval(instances=320), until=320.0)
        for slip in ("300-31", "300 31", "300.31", " 300_31", "300%31"):
            with pytest.raises(sim.UnknownSerialNumber, match=r"did you mean '300_31'\?"):
                session.finish(slip)
        for stranger in ("9999_31", "1300-31", "321_31", "_31", "31", "", f"{10**30}_31"):
            with pytest.raises(sim.UnknownSerialNumber) as caught:
                session.finish(stranger)
            assert "did you mean" not in str(caught.value), stranger

    def test_an_instance_is_asked_for_by_the_number_in_a_table(self):
        """There it is one of NumPy's."""
        session = opened()
        assert session.instance(session.waiting["instance"].iloc[0])["instance"] == 1
        for wrong in (True, 1.0, "1"):
            with pytest.raises(sim.ScenarioError, match="instance must be a known one"):
                session.instance(wrong)

    def test_arguments_of_a_wrong_kind_are_named(self):
        """None is taken for another."""
        session = opened()
        with pytest.raises(sim.ScenarioError, match=r"first must be a whole number, .* got 'a'"):
            session.page("", "a", 2)
        with pytest.raises(sim.ScenarioError, match=r"most must be a whole number, .* got 2\.5"):
            session.page("", 0, 2.5)
        with pytest.raises(sim.ScenarioError, match="strict must be True or False, got 'no'"):
            session.finish("5_31", strict="no")
        assert not session.knows("\ud800")

    def test_the_tables_of_a_session_are_those_of_a_run(self):
        """A user who knows one knows the other."""
        run = opened().so_far()
        assert isinstance(run, sim.Run)
        assert len(run.waits) == 10
        assert run.summary().loc[0, "still_waiting"] == 10


class TestClock:
    def test_it_is_moved_by_hand(self):
        """Step by step, to a clock time, for a while, to the next batch."""
        scenario = sim.Scenario.load("data/nightly_ledger.toml")
        session = sim.live(scenario, seed=1)
        assert session.step()
        assert session.now == scenario.draw(1).arrivals[0]
        session.run_until("09:30")
        assert str(session.at) == "2026-01-05 09:30:00"
        session.run_for("15min")
        assert str(session.at) == "2026-01-05 09:45:00"
        assert session.run_to_next_batch() == pd.Timestamp("2026-01-05 21:59:59")
        waiting = session.waiting_count
        session.run_until("22:01")
        assert 0 < session.waiting_count < waiting
        session.run_to_end()
        assert session.waiting_count == 0
        assert not session.step()

    def test_it_never_goes_back(self):
        """And says what time it is."""
        session = opened()
        with pytest.raises(sim.ScenarioError, match="must not be past"):
            session.run_until(5.0)
        with pytest.raises(sim.ScenarioError, match="must be a clock time such as"):
            session.run_until("tomorrow:ish")

    def test_it_needs_an_event_loop_to_run_by_itself(self):
        """In a script the error says what to do instead."""
        with pytest.raises(sim.EngineError, match="run_until"):
            opened().play()

    def test_it_runs_in_the_loop_that_is_there(self):
        """Time goes on, at its speed, while others work in the loop; pause stops it."""

        async def watch():
            session = sim.live(approval(), hold=True, speed=100.0)
            heard = []
            session.listen(lambda: heard.append(session.now))
            session.play()
            while session.now < 10.0:
                await asyncio.sleep(0.01)
            session.finish("5_31")
            session.pause()
            assert not session.playing
            await asyncio.sleep(0.05)
            stopped = session.now
            await asyncio.sleep(0.05)
            assert session.now == stopped
            return session, heard

        session, heard = asyncio.run(watch())
        assert session.instance(5)["outcome"] == "done"
        assert heard == sorted(heard)

    def test_it_stops_and_logs_the_reason_when_something_goes_wrong(self, caplog):
        """A strategy of the user's own fails; the session stays as it was before, and usable."""

        class Wrong(sim.Callback):
            def notify(self, step):
                raise RuntimeError("no such service")
                yield

        async def watch():
            session = sim.live(approval(), Wrong(), hold=False, speed=100_000.0)
            session.play()
            while session.playing:
                await asyncio.sleep(0.01)
            return session

        session = asyncio.run(watch())
        assert "the clock has stopped" in caplog.text
        assert "no such service" in caplog.text
        assert session.now < 3600.0
        assert session.waiting_count == 10
        session.run_until(3000.0)

    @pytest.mark.parametrize(
        "speed",
        [
            0,
            -1,
            float("inf"),
            float("nan"),
            "fast",
            True,
            np.True_,
            1e12,
            1e300,
            10**400,
            np.inf,
            1e6 + 1,
        ],
    )
    def test_a_speed_is_above_zero_and_bounded(self, speed):
        """Anything else is refused, and the clock keeps the speed it had."""
        right = (
            "speed must be simulated seconds per real second, above 0 and 1,000,000 at most, got"
        )
        with pytest.raises(sim.ScenarioError, match=right):
            sim.live(approval(), speed=speed)
        session = opened()
        with pytest.raises(sim.ScenarioError, match="speed must be"):
            session.speed = speed
        assert session.speed == 600.0

    @pytest.mark.parametrize("speed", [1e6, np.float32(3), np.int64(5)])
    def test_a_speed_may_be_a_number_of_numpy(self, speed):
        """It is kept as a float."""
        session = opened()
        session.speed = speed
        assert type(session.speed) is float
        assert session.speed == speed

    @pytest.mark.parametrize("start", ["2026-01-05", "2200-12-31"])
    @pytest.mark.parametrize(
        "beyond",
        [
            lambda session: session.run_for(1e11),
            lambda session: session.run_for("20000 days"),
            lambda session: session.run_until(1e11),
            lambda session: session.run_until("9999-12-31 23:59"),
            lambda session: session.run_until("2262-04-12 00:00"),
        ],
    )
    def test_no_session_goes_beyond_its_calendar(self, beyond, start, tmp_path):
        """An error names the day, and the session goes on, also from its store."""
        store, scenario = tmp_path / "s.db", approval().replace(start=start)
        with sim.live(scenario, hold=True, store=store) as session:
            session.run_for(5)
            with pytest.raises(
                sim.ScenarioError,
                match=r"(length|until) must not lead beyond 2\d{3}-\d\d-\d\d, wher",
            ):
                beyond(session)
            session.run_for(5)
            assert session.now == 10.0
        with sim.live(store=store) as again:
            assert f"{again.at:%H:%M:%S}" == "00:00:10"

    @pytest.mark.parametrize("start", ["2026-01-05", "2200-12-31"])
    def test_a_clock_that_comes_to_the_end_of_the_calendar_stops(self, start, caplog, tmp_path):
        """With one line; the moment can be shown, and the store be opened again."""

        async def watch(session):
            session.play()
            session._clock._since = session._clock._since[0] - 1e5, session.now  # of sleep
            while session.playing:
                await asyncio.sleep(0.001)

        scenario, store = approval().replace(start=start), tmp_path / "s.db"
        with sim.live(scenario, hold=True, store=store, speed=1e6) as session:
            session.run_for(10)
            heard = []
            session.listen(lambda: heard.append(session.playing))
            asyncio.run(watch(session))
            assert [r.message[:26] for r in caplog.records] == ["the clock has stopped at 2"]
            assert not heard[-1]
            for _ in range(2):
                session.run_to_end(at_most=1e11)
                assert not session.step()
            end = session.at
            with pytest.raises(sim.ScenarioError, match=r"until must (be|not lead)"):
                session.run_until("12:00")
            assert session.finish("5_31").accepted
            assert len(session.answers) == 1
            assert len(session.waiting) == session.waiting_count == 9
        with sim.live(store=store) as again:
            assert again.at == end

    def test_steps_that_lie_beyond_the_calendar_are_none(self):
        """A time-out of three thousand years."""
        session = opened(approval([sim.AsyncStep("approve", "people", timeout=1e11)]))
        assert not session.step()
        session.run_to_end(at_most=1e11)
        assert session.at.year == 2026


def test_the_clock_time_of_a_deadline_stands_beside_it():
    """In the table of what waits; a step without a time-out has none."""
    steps = [sim.AsyncStep("approve", "people", timeout="1h")]
    with opened(approval(steps)) as session:
        row = session.waiting.iloc[0]
        start = session.waiting["armed_at"] - pd.to_timedelta(session.waiting["armed"], unit="s")
        assert row["deadline"] == row["armed"] + 3600
        assert row["deadline_at"] == start.iloc[0] + pd.Timedelta(seconds=row["deadline"])
    with opened() as session:
        assert session.waiting["deadline_at"].isna().all()


class TestReset:
    def test_a_session_in_memory_starts_again_from_its_beginning(self, tmp_path):
        """With the same random numbers; what came from outside is forgotten, also by its keys."""
        session = opened(against=sim.Polling("1h"), hold=False, seed=3)
        fresh = opened(against=sim.Polling("1h"), hold=False, seed=3)
        heard = []
        session.listen(lambda: heard.append(session.now))
        session.finish("5_31", {"a": 1}, key="k")
        session.retry("6_31")
        session.start({"b": 2})
        session.run_until("05:00")
        session.backup(tmp_path / "before.db")
        session.reset()
        assert (session.now, heard[-1], len(session.answers)) == (0.0, 0.0, 0)
        assert session.instances_count == 1
        session.run_until(fresh.now)
        pd.testing.assert_frame_equal(session.waiting, fresh.waiting)
        for one in (session, fresh):
            assert one.finish("4_31", key="k") is Answer.FINISHED
            one.run_until("05:00")
        for label in session.strategies:
            found, expected = session.so_far(label), fresh.so_far(label)
            pd.testing.assert_frame_equal(found.waits, expected.waits)
        session.backup(tmp_path / "after.db")
        again = sim.replay(tmp_path / "after.db")
        again.run_to_end()
        pd.testing.assert_frame_equal(again.so_far().waits, session.so_far().waits)

    def test_the_journal_of_a_store_is_not_deleted(self, tmp_path):
        """The error names the file and what to do instead; nothing is changed."""
        with opened(store=tmp_path / "s.db") as session:
            session.finish("5_31")
            with pytest.raises(sim.EngineError, match=r"s\.db.*new file"):
                session.reset()
            assert session.why_no_reset
            assert session.wait("5_31")["state"] == "finished"
        assert opened().why_no_reset == ""

    def test_the_clock_stands_still_afterwards(self):
        """What was running is paused, and no slice of it moves the new beginning on."""

        async def played():
            session = opened(speed=36_000.0, hold=False)
            session.play()
            while session.now < 3600.0:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(session.reset)
            assert not session.playing
            await asyncio.sleep(0.2)
            assert session.now == 0.0
            session.play()
            while session.now < 3600.0:
                await asyncio.sleep(0.01)
            session.close()

        asyncio.run(asyncio.wait_for(played(), 30))

    def test_a_replay_is_played_again_from_its_beginning(self, tmp_path):
        """With all that came from outside, and the answers of functions."""
        handler = lambda call: call.fields.update(Score=7)  # noqa: E731
        with opened(store=tmp_path / "s.db", on_response=handler) as session:
            session.finish("5_31", {"a": 1})
            session.run_until("05:00")
            expected = session.so_far().waits
            fields = session.instance(4)["fields"]
        again = sim.replay(tmp_path / "s.db")
        for _ in range(2):
            again.run_to_end()
            pd.testing.assert_frame_equal(again.so_far().waits, expected)
            assert again.instance(4)["fields"] == fields
            again.reset()
            assert not again.over


class TestShowingItself:
    def test_it_shows_the_waiting_steps_and_how_to_finish_one(self, tmp_path):
        """In words, and what the store is called; escaped, since a file can be called anything."""
        store = tmp_path / "a <b> & c.db"
        with opened(store=store, against=sim.Polling("15min")) as session:
            html = session._repr_html_()
            for part in (
                "10 steps: 1_31, 2_31, 3_31, 4_31, 5_31, …",
                "10 instances",
                "callback; beside it polling 15 min",
                "Monday 2026-01-05 00:00:10, paused",
                "session.finish(&#x27;1_31&#x27;)",
                "a &lt;b&gt; &amp; c.db",
            ):
                assert part in html
        assert "closed" in session._repr_html_()

    def test_without_waiting_steps_it_names_none(self):
        """Nor does it show how to finish one."""
        session = opened(approval(instances=1))
        assert "1 step: 1_31<" in session._repr_html_()
        session.finish("1_31")
        assert "0 steps<" in session._repr_html_()
        assert "session.finish" not in session._repr_html_()


class TestKeptAndStarted:
    """An acknowledgement may hide that the value is kept, or starts another run."""

    def test_the_late_value_of_the_old_number_finishes_the_new_wait(self, tmp_path):
        """And a second one waits for the next try; a store leads to the same."""
        path = tmp_path / "kept.db"
        policy = sim.FinishPolicy(duplicate="keep", late="keep")
        session = opened(approval(policy=policy), store=path, against=sim.Polling("1min"))
        assert session.retry("5_31") == "5_32"
        session.run_until(12.0)
        assert session.finish("5_31", {"n": 1}) is Answer.KEPT_LATE
        assert (session.wait("5_32")["state"], session.wait("5_32")["data"]) == (
            "finished",
            {"n": 1},
        )
        assert session.finish("6_31", {"n": 2}) is Answer.FINISHED
        assert session.finish("6_31", {"n": 3}) is Answer.KEPT_DUPLICATE
        session.close()
        with sim.live(store=path) as again:
            assert again.finish("5_31", {"n": 4}) is Answer.KEPT_LATE
            assert again.instance(5)["outcome"] == "done"
            assert sim.replay(path).end == again.now

    def test_a_simulated_callback_of_the_old_call_finishes_the_new_wait(self):
        """Its outside work goes on: 1 h after the first call it answers, and 5_32 resumes."""
        session = opened(approval(policy=sim.FinishPolicy(late="keep")), hold=False)
        session.run_until("00:30")
        assert session.retry("5_31") == "5_32"
        session.run_until("03:00")
        waits = session.so_far().waits.set_index("serial_number")
        assert waits.loc["5_32", "resumed"] == pytest.approx(4.0 + 3600.0)
        outcomes = session.so_far().deliveries.set_index("serial_number")["outcome"]
        assert (outcomes["5_31"], outcomes["5_32"]) == ("late, kept", "duplicate, rejected")

    @pytest.mark.parametrize("number", ["5_31", "99_31"])
    def test_another_run_starts_with_the_value(self, number, tmp_path):
        """A second or an unknown finish starts instance 11; a reopened store has it, too."""
        path = tmp_path / "started.db"
        policy = sim.FinishPolicy(duplicate="start", unknown="start")
        session = opened(approval(policy=policy), store=path)
        session.finish("5_31", {"n": 1})
        assert session.finish(number, {"n": 2}).starts
        assert session.instance(11)["fields"] == {"n": 2}
        session.close()
        assert sim.finish_in_store(path, number, {"n": 3}).starts
        with sim.live(store=path) as again:
            assert again.instances_count == 12
            assert again.instance(12)["fields"] == {"n": 3}
