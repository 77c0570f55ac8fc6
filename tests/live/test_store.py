"""The store works where SQLite cannot write ahead, and says where it cannot work at all.

SQLite's file system ``unix-dotfile`` has no memory that processes share, as many a network drive.
"""

import gc
import logging
import shutil
import sqlite3
import sys

import pytest

import asyncsim as sim
from asyncsim.live import store as module
from asyncsim.live.store import Store

SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process("approve", [sim.AsyncStep("approve", "people")]),
    systems={"people": sim.People(2, "10min")},
    arrivals=sim.Regular("1s"),
    length="1min",
)
connect = sqlite3.connect


@pytest.fixture
def no_shared_memory(monkeypatch):
    """Every database lies where SQLite cannot write ahead."""

    def connected(path, **options):
        return connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(module.sqlite3, "connect", connected)


def test_it_writes_ahead_where_it_can(tmp_path):
    """The usual case, and a store in memory, which has no journal on disk."""
    for path, journal in ((tmp_path / "a.db", "wal"), (":memory:", "memory")):
        store = Store(path)
        assert store.journal == journal
        store.close()


def test_a_session_works_without_writing_ahead(no_shared_memory, tmp_path, caplog):
    """Finished steps are kept, one session plays, and the log says what is different."""
    path = tmp_path / "workshop.db"
    with caplog.at_level(logging.INFO, logger="asyncsim"):
        session = sim.live(SCENARIO, hold=True, store=path)
    assert "cannot write ahead" in caplog.text
    session.run_until("00:00:10")
    session.finish("5_1", {"InvoiceNo": 42})
    with pytest.raises(sim.StoreError, match="played by another session"):
        sim.live(store=path)
    sim.finish_in_store(path, "6_1")
    session.close()
    session = sim.live(store=path)
    assert {"5_1", "6_1"}.isdisjoint(session.waiting["serial_number"])
    assert "7_1" in set(session.waiting["serial_number"])
    assert session.instance(5)["outcome"] == "done"
    session.close()


def test_a_store_that_was_written_ahead_elsewhere_can_be_opened(tmp_path, request):
    """Copied while it was in use, it is in write-ahead mode, and a part lies in a second file."""
    before = Store(tmp_path / "a.db")
    with before.transaction():
        before.set_about("seed", 7)
    for name in ("a.db", "a.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("a", "b", 1))
    before.close()
    request.getfixturevalue("no_shared_memory")
    after = Store(tmp_path / "b.db")
    assert (after.journal, after.about("seed")) == ("delete", 7)
    other = Store(tmp_path / "b.db")
    with other.transaction():
        other.set_about("seed", 8)
    assert after.changed_outside()
    assert after.about("seed") == 8
    other.close()
    after.close()


def test_a_drive_that_garbles_databases_is_refused_in_a_browser(no_shared_memory, tmp_path):
    """JupyterLite's drive fails when the journal is first used; the message says where to go."""
    Store(tmp_path / "a.db").close()
    database = connect(tmp_path / "a.db")
    database.execute("pragma journal_mode = wal")  # so that opening it without shared memory fails
    database.execute("create table more (x)")
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    database.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "platform", "emscripten")
        with pytest.raises(sim.StoreError, match=r"b\.db' cannot be used.*'/tmp/kept\.db'"):
            Store(tmp_path / "b.db")


def test_a_store_that_is_taken_is_not_given_another_journal(tmp_path):
    """Another process that has it for itself is a reason to wait, not to change the file."""
    path = tmp_path / "a.db"
    Store(path).close()
    other = connect(path, isolation_level=None)
    other.execute("pragma locking_mode = exclusive")
    other.execute("begin exclusive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PATIENCE", 0.0)
        with pytest.raises(sim.StoreError, match="locked"):
            Store(path)
    other.close()
    assert Store(path).journal == "wal"


@pytest.mark.parametrize("path", ["a.db", ":memory:"])
def test_a_store_that_is_dropped_closes_its_database(path, tmp_path, monkeypatch):
    """As it gives back its locks; Python 3.13 warns of a connection that is left to itself."""
    monkeypatch.chdir(tmp_path)
    store = Store(path)
    database = store._db
    database.execute("select 1")
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("select 1")
