"""Copies made in the kernel, and files that go away, lose no acknowledged finish."""

import errno
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from elsewhere import elsewhere
from thorough import times

import asyncsim as sim
from asyncsim.engine.waits import Answer
from asyncsim.live import locks as module

COPIER = Path(__file__).with_name("copier.py")
SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process("approve", [sim.AsyncStep("approve", "people")]),
    systems={"people": sim.People(2, "10min")},
    arrivals=sim.Regular("1s"),
    length="10min",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="Windows drops no locks"),
]


@pytest.fixture
def path(tmp_path):
    """A store in which six hundred steps wait; nobody plays it."""
    path = tmp_path / "lab" / "s.db"
    with sim.live(SCENARIO, store=path, hold=True) as session:
        session.run_until("00:10")
    return path


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", ".owner", ".turn"])
def test_a_copy_made_in_the_kernel_takes_nothing_away(path, ending, tmp_path):
    """After it, another process finishes and leaves; all is one store, with one owner."""
    session = sim.live(store=path)
    session.finish("1_1")
    shutil.copy(f"{path}{ending}", tmp_path / "copy")
    assert elsewhere(sim.finish_in_store, path, "5_1") is Answer.FINISHED
    assert session.finish("5_1", strict=False) is Answer.DUPLICATE
    assert session.finish("6_1") is Answer.FINISHED
    assert elsewhere(sim.finish_in_store, path, "6_1") is Answer.DUPLICATE
    with pytest.raises(sim.StoreError, match="being played by another session"):
        elsewhere(sim.live, store=path)
    session.close()


def test_a_folder_zipped_in_the_kernel_frees_no_lock(path, tmp_path):
    """A second session is refused after it, and the first one works on."""
    session = sim.live(store=path)
    shutil.make_archive(str(tmp_path / "lab"), "zip", path.parent)
    with pytest.raises(sim.StoreError, match="being played by another session"):
        sim.live(store=path)
    assert session.finish("5_1") is Answer.FINISHED
    session.close()


def test_whatever_is_done_to_its_files_a_kill_loses_no_acknowledged_finish(path, tmp_path):
    """The player copies, reads and zips its own files while it and two processes finish."""
    for round_ in range(times(2)):
        with subprocess.Popen(
            [sys.executable, COPIER, path, tmp_path / f"copies{round_}", str(round_)],
            stdout=subprocess.PIPE,
            text=True,
        ) as player:
            told = Counter()
            assert player.stdout.readline() == "ready\n"
            clients = [
                subprocess.Popen(
                    [sys.executable, COPIER, path, "finish", f"{round_}{k}"],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for k in range(2)
            ]
            lines = itertools.islice(iter(player.stdout.readline, ""), 60)
            told.update(line.split()[1] for line in lines)
            player.send_signal(signal.SIGKILL)
            told.update(line.split()[1] for line in player.stdout if line.endswith(".\n"))
            for client in clients:
                with client:
                    client.send_signal(signal.SIGKILL)
                    told.update(line.split()[1] for line in client.stdout if line.endswith(".\n"))
        assert player.returncode == -signal.SIGKILL  # not SIGBUS, nor an error
        assert set(told.values()) == {1}
        with sim.live(store=path) as session:
            for number in told:
                assert session.wait(number)["state"] == "finished"


@pytest.mark.parametrize("ending", ["", "-wal"])
@pytest.mark.parametrize("deed", ["delete", "rename", "replace"])
def test_files_that_are_not_in_their_place_are_reported(path, ending, deed, tmp_path):
    """Nothing is acknowledged any more; the message names the file, and a backup has it all."""
    session = sim.live(store=path)
    session.finish("5_1")
    file, aside = Path(f"{path}{ending}"), tmp_path / "aside"
    if deed == "delete":
        file.unlink()
    else:
        file.rename(aside)
    if deed == "replace":
        shutil.copy(aside, file)
    with pytest.raises(
        sim.StoreError, match=r"was deleted, renamed, cut or replaced.*backup\(path\)"
    ):
        session.finish("6_1")
    assert session.wait("6_1")["state"] == "waiting"
    session.backup(tmp_path / "rescue.db")
    if deed == "rename":  # and put back
        aside.rename(file)
        assert session.finish("6_1") is Answer.FINISHED
    session.close()
    with sim.live(store=tmp_path / "rescue.db") as rescued:
        assert rescued.wait("5_1")["state"] == "finished"
        assert rescued.finish("7_1") is Answer.FINISHED


def test_an_owner_whose_lock_file_was_removed_is_told_of_the_next_one(path):
    """The word in the store stops the first session at its next action."""
    first = sim.live(store=path)
    Path(f"{path}.owner").unlink()
    second = sim.live(store=path)
    second.finish("5_1")
    with pytest.raises(sim.StoreError, match="was taken over by another session"):
        first.finish("6_1")
    assert second.finish("6_1") is Answer.FINISHED
    first.close()
    second.close()


def test_what_is_in_the_place_of_the_lock_is_named(path):
    """Text in it does not matter; a folder does."""
    owner = Path(f"{path}.owner")
    owner.write_bytes(b"\x00garbage\xff" * 100)
    sim.live(store=path).close()
    owner.unlink()
    owner.mkdir()
    with pytest.raises(sim.StoreError, match=r"cannot be owned.*s\.db\.owner.*remove"):
        sim.live(store=path)
    owner.rmdir()
    sim.live(store=path).close()


def test_a_child_that_outlives_the_session_keeps_no_lock(path):
    """A worker forked while the session was open does not hold the store after it."""
    session = sim.live(store=path)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        session.close()
        sim.live(store=path).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_forked_process_is_told_that_the_session_is_not_its_own(path, tmp_path):
    """It may finish in the store as any other process."""
    session, found = sim.live(store=path), tmp_path / "found"
    child = os.fork()
    if child == 0:
        try:
            session.finish("5_1")
        except sim.EngineError as error:
            found.write_text(str(error))
        os._exit(0)
    os.waitpid(child, 0)
    assert "belongs to the process that opened it" in found.read_text()
    assert session.finish("5_1") is Answer.FINISHED
    session.close()


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_store_that_is_cut_under_its_session_is_reported(path, ending):
    """Before anything more is acknowledged."""
    session = sim.live(store=path)
    os.truncate(f"{path}{ending}", 4096)
    with pytest.raises(sim.StoreError, match="was deleted, renamed, cut or replaced"):
        session.finish("5_1")
    session.close()


def test_a_folder_that_goes_away_leaves_a_session_that_can_be_saved(path, tmp_path):
    """It is reported as any file that is missing; a backup has all of it."""
    session = sim.live(store=path)
    session.finish("5_1")
    shutil.rmtree(path.parent)
    for _ in range(2):
        with pytest.raises(sim.StoreError, match=r"was deleted.*backup\(path\)"):
            session.finish("6_1")
    session.backup(tmp_path / "rescue.db")
    session.close()
    with sim.live(store=tmp_path / "rescue.db") as rescued:
        assert rescued.wait("5_1")["state"] == "finished"


def test_an_interrupt_while_it_closes_leaves_no_lock(path, monkeypatch):
    """Ctrl-C in the midst of it: it is closed, or closed by the next call."""
    session = sim.live(store=path)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.HeldOpen, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    monkeypatch.undo()
    session.close()
    with sim.live(store=path) as again:
        assert again.finish("5_1") is Answer.FINISHED


def failing(number):
    """Return a `flock` that fails."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


def test_where_there_are_no_locks_the_word_in_the_store_must_do(path, monkeypatch):
    """A drive without locks: the first of two sessions is refused at its next action."""
    monkeypatch.setattr(module.fcntl, "flock", failing(errno.ENOLCK))
    first = sim.live(store=path)
    assert first.finish("5_1") is Answer.FINISHED
    second = sim.live(store=path)
    with pytest.raises(sim.StoreError, match="was taken over"):
        first.finish("6_1")
    assert second.finish("6_1") is Answer.FINISHED
    first.close()
    second.close()


def test_a_lock_that_fails_is_reported_as_the_stores_error(path, monkeypatch):
    """A file server that has gone away; the session can be closed all the same."""
    session = sim.live(store=path)
    monkeypatch.setattr(module.fcntl, "flock", failing(errno.EIO))
    with pytest.raises(sim.StoreError, match="cannot be locked"):
        session.finish("5_1")
    session.close()
    monkeypatch.undo()
    with sim.live(store=path) as again:
        assert again.finish("5_1") is Answer.FINISHED


def test_threads_that_read_the_files_disturb_nobody(path):
    """Reading store, log and index in a loop while others write: no SIGBUS, no lost finish."""
    session, over = sim.live(store=path), threading.Event()

    def read():
        while not over.is_set():
            for ending in ("", "-wal", "-shm"):
                Path(f"{path}{ending}").read_bytes()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        chance = random.Random(3)
        numbers = [f"{k}_1" for k in chance.sample(range(1, 500), 60)]
        told = {}
        for k, number in enumerate(numbers):
            if k % 10 == 0:
                told[number] = elsewhere(sim.finish_in_store, path, number)
            else:
                told[number] = session.finish(number)
    finally:
        over.set()
        reader.join()
    assert set(told.values()) == {Answer.FINISHED}
    session.close()
    with sim.live(store=path) as again:
        assert all(again.wait(number)["state"] == "finished" for number in numbers)
