"""A user's function sees the response to a call before the step waits."""

import logging

import pytest

import asyncsim as sim

SCENARIO = sim.Scenario(
    name="credit",
    process=sim.Process(
        "credit",
        [
            sim.AsyncStep("score", "bureau", call_work="1s", on_done="continue"),
            sim.Choice(
                "good", [sim.Branch(1.0), sim.Branch(0.0, [sim.Step("pay")], when={"Score": 7})]
            ),
        ],
    ),
    systems={"bureau": sim.OnlineService("1h", lanes=None)},
    arrivals=sim.Regular("10s"),
    length=30.0,
)


def played(on_response, scenario=SCENARIO, **more):
    """Return a session in which three calls have been made."""
    session = sim.live(scenario, on_response=on_response, **more)
    session.run_until(60.0)
    return session


def test_it_is_called_before_the_wait_is_armed():
    """Once for each call, with all there is to know; whatever it returns, nothing waits yet."""
    seen, armed = [], []

    def look(call):
        seen.append(call)
        armed.append(session.wait(call.serial_number)["armed"])

    session = sim.live(SCENARIO, on_response=look)
    session.run_until(5.0)
    session.start({"customer": "Ann"})
    session.run_until(60.0)
    assert [call.serial_number for call in seen] == ["1_1", "2_1", "3_1", "4_1"]
    assert armed == [None] * 4
    first = seen[0]
    assert (first.instance, first.step, first.system) == (1, "score", "bureau")
    assert (first.response, first.fields) == ("accepted", {})
    assert seen[1].fields == {"customer": "Ann"}
    assert session.waiting_count == 4


def test_it_can_skip_the_wait_and_set_data_fields():
    """The answer was there at once: the process goes on, by what it says."""

    def handle(call):
        call.fields["Score"] = 7
        return "done"

    session = played(handle)
    assert session.waiting_count == 0
    assert session.instance(2)["fields"] == {"Score": 7}
    assert (session.so_far().steps["step"] == "pay").sum() == 3


def test_it_can_fail_the_step():
    """The instance fails as with a rejected call."""
    session = played({"score": lambda call: "rejected" if call.instance == 2 else None})
    assert [session.instance(k)["outcome"] for k in (1, 2, 3)] == ["running", "failed", "running"]


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        (lambda call: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda call: "yes", "must return one of 'accepted', 'done', 'rejected' or nothing"),
        (lambda call: call.fields.update(x=object()), "data must hold what JSON can"),
    ],
)
def test_what_goes_wrong_in_it_fails_the_step_and_is_logged(handle, message, caplog):
    """A session does not break over a user's function."""
    with caplog.at_level(logging.CRITICAL):
        session = played(handle)
    found = session.instance(1)
    assert found["outcome"] == "failed"
    assert message in found["fields"]["error"]


def test_it_is_not_asked_again_when_the_session_is_opened_again(tmp_path):
    """What it said is in the store, for the session and for a replay."""
    calls = []

    def handle(call):
        calls.append(call.serial_number)
        call.fields["Score"] = len(calls)

    path = tmp_path / "credit.db"
    played(handle, store=path).close()
    session = sim.live(store=path, on_response=handle)
    assert calls == ["1_1", "2_1", "3_1"]
    assert session.instance(3)["fields"] == {"Score": 3}
    again = sim.replay(path)
    again.run_to_end()
    assert again.instance(3)["fields"] == {"Score": 3}
    assert len(calls) == 3
    session.close()


def test_twins_hear_the_same_answer_and_the_function_is_asked_once():
    """Under every strategy the call was the same one."""
    calls = []

    def handle(call):
        calls.append(call.serial_number)
        return "done" if call.instance == 2 else None

    session = played(handle, against=[sim.Polling("1min"), sim.Backoff("1min")])
    assert len(calls) == 3
    for label in session.strategies:
        outcomes = session.so_far(label).instances["outcome"]
        assert list(outcomes) == ["running", "done", "running"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scroe": print}, "on_response must name asynchronous steps, got 'scroe'; did you mean"),
        ({"score": 1}, r"on_response\['score'\] must be a function, got 1"),
    ],
)
def test_wrong_handlers_are_named(given, message):
    """Before anything is played."""
    with pytest.raises(sim.ScenarioError, match=message):
        sim.live(SCENARIO, on_response=given)
