"""A record is finished once, whoever tries, and is in memory only while somebody works on it."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

import asyncsim as sim
from asyncsim.engine.waits import Answer, Wait

pytestmark = pytest.mark.slow

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


def test_a_waiting_step_is_a_record_and_nothing_in_memory():
    """Two thousand wait; not one of them is an object."""
    session = workshop(instances=2000)
    assert session.waiting_count == 2000
    assert waits_in_memory(session) == 0
    session.finish("1234_1")
    assert session.waiting_count == 1999
    assert session.instance(1234)["outcome"] == "done"


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


def test_timeouts_need_no_object_per_wait_either():
    """Two thousand wait with a deadline; they time out all the same, each at its own moment."""
    session = workshop(instances=2000, timeout="1h", on_timeout="continue")
    assert waits_in_memory(session) == 0
    assert len(session._sides.main.clock._queue) < 10
    session.run_to_end()
    waits = session.so_far().waits
    assert set(waits["outcome"]) == {"timed out"}
    assert ((waits["closed"] - waits["armed"]) == 3600.0).all()
