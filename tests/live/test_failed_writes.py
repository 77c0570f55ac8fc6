"""A write that fails, or an interrupt, changes nothing that was not acknowledged."""

import contextlib
import json
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from thorough import times

import asyncsim as sim
from asyncsim.engine.waits import Answer

pytestmark = pytest.mark.slow

RUNS = times(40)
INTERRUPTS = times(200)
INTERRUPTED = Path(__file__).with_name("interrupted.py")
SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process(
        "approve",
        [
            sim.Step("read", work=sim.exponential("1s")),
            sim.AsyncStep("approve", "people"),
            sim.AsyncStep("post", "ledger", timeout="10min", on_timeout="continue"),
        ],
    ),
    systems={"people": sim.People(2, "10min"), "ledger": sim.OnlineService("1min")},
    arrivals=sim.Regular("1s"),
    length="2min",
    server=sim.WorkflowServer(callback_work="50ms"),
)


@contextlib.contextmanager
def room_for(size):
    """Let no file of this process grow beyond a size in bytes: what a full disk does to SQLite."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def act(session, chance, acknowledged):
    """Make a random move; keep what was acknowledged."""
    move = chance.choice(["finish", "finish", "start", "run"])
    if move == "run":
        session.run_for(chance.uniform(0.1, 5.0))
        acknowledged["now"] = session.now
    elif move == "start":
        data = {"by": chance.random()}
        acknowledged["started"][session.start(data)] = data
    else:
        number = f"{chance.randrange(1, 40)}_2"
        data = {"InvoiceNo": chance.random(), "text": "x" * chance.randrange(2000)}
        if session.finish(number, data, strict=False) is Answer.FINISHED:
            assert number not in acknowledged["finished"]
            acknowledged["finished"][number] = data


def hold_against(session, acknowledged):
    """What was acknowledged is there, and nothing else."""
    waits = session.so_far().waits
    by_hand = waits[(waits["step"] == "approve") & (waits["outcome"] == "resumed")]
    assert set(by_hand["serial_number"]) == set(acknowledged["finished"])
    for number, data in acknowledged["finished"].items():
        assert session.wait(number)["data"] == data
    started = [given for given in session._sides.journal.inputs() if given.kind == "start"]
    assert {int(given.answer): given.data for given in started} == acknowledged["started"]
    assert session.now >= acknowledged["now"]


def test_a_full_disk_loses_nothing_and_invents_nothing(tmp_path):
    """40 sessions run into a full disk at a random write, go on when there is room, and reopen."""
    errors = []
    for run in range(RUNS):
        chance = random.Random(run)
        path = tmp_path / f"{run}.db"
        session = sim.live(SCENARIO, store=path, hold="people", seed=run)
        session.run_for(chance.uniform(5.0, 30.0))
        acknowledged = {"finished": {}, "started": {}, "now": session.now}
        used = max(f.stat().st_size for f in tmp_path.glob(f"{run}.db*"))
        with room_for(used + chance.randrange(12_000)):
            for _ in range(12):
                try:
                    act(session, chance, acknowledged)
                except sim.StoreError as error:
                    errors.append(str(error))
            if run % 3 == 0:  # what is looked at in the meantime is what is in the store
                hold_against(session, acknowledged)
            if run % 4 == 0:
                session.close()
        if run % 4:
            act(session, chance, acknowledged)
            hold_against(session, acknowledged)
            session.close()
        session = sim.live(store=path)
        hold_against(session, acknowledged)
        act(session, chance, acknowledged)
        session.close()
        for file in tmp_path.glob(f"{run}.db*"):
            file.unlink()
    assert len(errors) > RUNS
    assert not [e for e in errors if "cannot be written: " not in e or "nothing was" not in e]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    try:
        subprocess.run(mounted, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_really_full_is_named(small_disk):
    """The message says that the disk is full; with room again, the same session works on."""
    session = sim.live(SCENARIO, store=small_disk / "s.db", hold="people")
    session.run_for(30.0)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(sim.StoreError, match=r"s\.db' cannot be written: disk full; nothing was"):
        session.finish("6_2", {"text": "x" * 60_000})
    ballast.unlink()
    assert session.finish("20_2") is Answer.FINISHED
    session.close()
    session = sim.live(store=small_disk / "s.db")
    assert session.wait("20_2")["state"] == "finished"
    session.close()


def test_a_session_that_cannot_write_any_more_can_be_closed(tmp_path, caplog):
    """What was acknowledged is in the store; the log reports that the last instant is not."""
    session = sim.live(SCENARIO, store=tmp_path / "s.db", hold="people")
    session.run_for(30.0)
    session.finish("5_2")
    with room_for(1000):
        with contextlib.suppress(sim.StoreError):
            session.run_for(5.0)
        session.close()
    assert "the last simulated instants were not saved: store" in caplog.text
    again = sim.live(store=tmp_path / "s.db")
    assert again.wait("5_2")["state"] == "finished"
    again.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no pthread_kill on this system")
def test_interrupts_at_any_moment_leave_a_session_that_works(tmp_path):
    """200 times Ctrl-C in a process that plays and finishes; nothing is stuck, nothing invented."""
    path = tmp_path / "s.db"
    with sim.live(SCENARIO, store=path, hold="people") as session:
        session.run_for(20.0)
    done = subprocess.run(
        [sys.executable, INTERRUPTED, path, str(INTERRUPTS)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    known = json.loads(done.stdout)
    with sim.live(store=path) as session:
        waits = session.so_far().waits.query("step == 'approve'")
    resumed = set(waits.loc[waits["outcome"] == "resumed", "serial_number"])
    assert set(known["finished"]) <= resumed
    assert resumed <= set(known["finished"]) | set(known["perhaps"])
