"""A record is finished once, and is in memory only while something happens to it.

A user's function sees the response to a call before the step waits, and its answer is a record.
"""

import gc
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

import asyncsim as sim
from asyncsim.engine.waits import Answer, Wait

FINISHER = Path(__file__).with_name("finisher.py")


def workshop(path=None, instances=40, **more):
    """Return a session in which everybody waits for people."""
    scenario = sim.Scenario(
        name="approval",
        process=sim.Process("approve", [sim.AsyncStep("wait", system="people", **more)]),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.Regular("1s"),
        length=float(instances),
    )
    session = sim.live(scenario, store=path, hold=True)
    session.run_until(instances)
    return session


def waits_in_memory(session):
    """Return how many records of a session are objects now; other tests may have some as well."""
    gc.collect()
    numbers = set(session.waiting["serial_number"])
    waits = [thing for thing in gc.get_objects() if isinstance(thing, Wait) and thing.row > 500]
    return sum(wait.serial_number in numbers for wait in waits)


@pytest.mark.slow
def test_a_thousand_finishes_of_one_number_are_one_success(tmp_path):
    """500 from three other processes, 500 from threads of the session, all at the same time."""
    path = tmp_path / "workshop.db"
    session = workshop(path)
    command = [sys.executable, FINISHER, path, "5_1"]
    counts = ("167", "167", "166")
    with ExitStack() as stack:
        others = [
            stack.enter_context(Popen([*command, count], stdout=PIPE, text=True))
            for count in counts
        ]
        for other in others:
            assert other.stdout.readline() == "ready\n"
        Path(f"{path}.go").touch()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: session.finish("5_1", strict=False), range(500)))
        successes = answers.count(Answer.FINISHED)
        assert set(answers) <= {Answer.FINISHED, Answer.DUPLICATE}
        assert successes + sum(int(other.stdout.read()) for other in others) == 1
    session.run_for(1)
    journal = session.store.all("select answer from inputs where serial_number = '5_1'")
    assert [answer for (answer,) in journal].count("FINISHED") == 1
    assert len(journal) == 1000
    assert session.instance(5)["outcome"] == "done"
    session.close()


@pytest.mark.slow
def test_a_waiting_step_is_a_record_and_nothing_in_memory():
    """Two thousand wait; not one of them is an object."""
    session = workshop(instances=2000)
    assert session.waiting_count == 2000
    assert waits_in_memory(session) == 0
    session.finish("1234_1")
    assert session.waiting_count == 1999
    assert session.instance(1234)["outcome"] == "done"


@pytest.mark.slow
def test_two_sessions_never_play_one_store(tmp_path):
    """The second is refused, and may come when the first has gone."""
    path = tmp_path / "workshop.db"
    session = workshop(path)
    with pytest.raises(sim.StoreError, match="another session"):
        sim.live(store=path)
    session.close()
    again = sim.live(store=path)
    assert again.waiting_count == 40
    again.close()


@pytest.mark.slow
def test_timeouts_need_no_object_per_wait_either():
    """Two thousand wait with a deadline; they time out all the same, each at its own moment."""
    session = workshop(instances=2000, timeout="1h", on_timeout="continue")
    assert waits_in_memory(session) == 0
    assert len(session._main.clock._queue) < 10
    session.run_to_end()
    waits = session.so_far().waits
    assert set(waits["outcome"]) == {"timed out"}
    assert ((waits["closed"] - waits["armed"]) == 3600.0).all()


# --- responses to calls ---------------------------------------------------------------------------


CREDIT = sim.Scenario(
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


def played(on_response, scenario=CREDIT, **more):
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

    session = sim.live(CREDIT, on_response=look)
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
        sim.live(CREDIT, on_response=given)
