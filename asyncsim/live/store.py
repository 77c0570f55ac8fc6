"""The database of a live session: what waits is a record here, and nowhere else.

One SQLite file, in write-ahead mode where its place allows it, every commit on disk before anybody
is told of it. Any process may finish a record (`asyncsim.finish_in_store`); one at a time, the
*owner*, plays the scenario.

The table ``inputs`` is the journal: everything that came from outside, in order, each with the
instant at which it was played (none yet, if the owner has not heard of it). A scenario is a
deterministic function of its random numbers and of these inputs, so scenario, seed and journal are
all that is needed to go on after a crash, or to play a session again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from asyncsim.engine.host import database_hint, in_browser
from asyncsim.errors import EngineError, ScenarioError, StoreError

logger = logging.getLogger("asyncsim")

IN_MEMORY = ":memory:"
PATIENCE = 30.0
"""Seconds for which a process waits for another one's transaction to end."""
SCHEMA = """
create table about (key text primary key, value text not null) without rowid;
create table waits (
    serial_number text primary key, instance integer not null, step text not null,
    system text not null, state text not null, called real, armed real, completed real,
    closed real, checks integer not null, wasted_checks integer not null,
    deliveries integer not null, data text, kept_since real, kept_data text,
    node integer not null, number integer not null
) without rowid;
create index waiting on waits (instance, number) where state = 'waiting';
create index in_order on waits (instance, number);
create table fields (instance integer primary key, data text not null);
create table deadlines (
    serial_number text primary key, due real not null, timeout real,
    instance integer not null, number integer not null
) without rowid;
create index next_due on deadlines (due, instance, number);
create table responses (serial_number text primary key, response text not null, data text)
    without rowid;
create table inputs (
    seq integer primary key, kind text not null, serial_number text, data text,
    instant real, answer text, noted_at text not null
);
create index unplayed on inputs (seq) where instant is null;
"""
REBUILT = ("waits", "fields", "deadlines")
"""Tables that follow from the others."""


class Input(NamedTuple):
    """Something that came from outside."""

    kind: str
    serial_number: str | None
    data: Mapping[str, Any] | None
    seq: int = 0
    instant: float | None = None
    """When it was played, in seconds; None if it has not been yet."""
    answer: str | None = None
    noted_at: str = ""


class Store:
    """One database, as one process sees it; threads may share it.

    Parameters
    ----------
    path
        The file; made if there is none, with its folder. ``":memory:"`` keeps everything in memory.

    Raises
    ------
    ScenarioError
        If the file cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self.path = IN_MEMORY if str(path) == IN_MEMORY else str(Path(path).resolve())
        self.closed = False
        self.lock = threading.RLock()
        self._inside = False
        self._owner: sqlite3.Connection | None = None
        try:
            if self.path != IN_MEMORY:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self.journal = self._journal()
            self._db.execute("pragma synchronous = full")
            self._set_up()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"store {self.path!r} cannot be used: {error}{database_hint()}"
            ) from None
        self._version = self._data_version()

    def _journal(self) -> str:
        """Have SQLite write ahead, or keep its older journal where it cannot; return which.

        Writing ahead needs memory that processes share, which many a network drive does not have.
        Some say so at once, some only when it is first used.
        """
        try:
            mode = self._db.execute("pragma journal_mode = wal").fetchone()[0]
            self._db.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            taken = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if taken or in_browser():  # where the older journal does not fail: it garbles the file
                raise
            mode = self._older_journal()
        if mode not in ("wal", "memory"):
            logger.info(
                "store %s lies where SQLite cannot write ahead; it keeps a journal of the kind "
                "%r instead: as safe, but who reads waits for who writes",
                self.path,
                mode,
            )
        return str(mode)

    def _older_journal(self) -> str:
        """Leave write-ahead mode, as for a store that was made elsewhere; return the new mode."""
        # Alone with the file, SQLite reads what was written ahead without any shared memory
        self._db.execute("pragma locking_mode = exclusive")
        mode = self._db.execute("pragma journal_mode = delete").fetchone()[0]
        self._db.execute("pragma locking_mode = normal")
        self._db.execute("select count(*) from sqlite_master").fetchone()  # lets others in again
        return str(mode)

    def _set_up(self) -> None:
        with self.transaction():
            tables = {name for (name,) in self.all("select name from sqlite_master")}
            if not tables:
                for statement in SCHEMA.split(";"):
                    self.do(statement)
            elif not {"waits", "inputs", "about"} <= tables:
                raise StoreError(
                    f"store {self.path!r} is a database of something else; take another file"
                )

    # --- talking to the database ------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everybody else out; all that is done becomes durable together, or not at all."""
        with self.lock:
            if self._inside:
                yield
                return
            self._check_open()
            self._db.execute("begin immediate")
            self._inside = True
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
            finally:
                self._inside = False

    def _check_open(self) -> None:
        if self.closed:
            raise EngineError("this session is closed; live(store=…) opens it again")

    def do(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._db.execute(statement, values)

    def do_many(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Execute a statement once for each row."""
        self._db.executemany(statement, rows)

    def one(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        with self.lock:
            self._check_open()
            return self._db.execute(query, values).fetchone()

    def all(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self.lock:
            self._check_open()
            return self._db.execute(query, values).fetchall()

    def changed_outside(self) -> bool:
        """Tell whether another process has committed something since this was last asked."""
        with self.lock:
            self._check_open()
            before, self._version = self._version, self._data_version()
            return before != self._version

    def _data_version(self) -> int:
        return int(self._db.execute("pragma data_version").fetchone()[0])

    def own(self) -> None:
        """Become the one process that plays the scenario; the operating system ends it with us.

        Raises
        ------
        StoreError
            If another session is playing it.
        """
        if self.path == IN_MEMORY:
            return
        owner = sqlite3.connect(self.path + ".owner", timeout=0.0, check_same_thread=False)
        try:
            owner.execute("begin exclusive")
        except sqlite3.OperationalError:
            owner.close()
            raise StoreError(
                f"store {self.path!r} is being played by another session; "
                "close that one first, or finish its steps through its REST endpoint"
            ) from None
        self._owner = owner

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            if self._owner is not None:
                self._owner.close()  # the file stays: whoever comes next must find the same one
                self._owner = None
            self.closed = True
            self._db.close()

    def save_as(self, path: str | Path) -> None:
        """Copy the whole store into a new file."""
        if Path(path).exists():
            raise ScenarioError(f"path must be a new file, got {str(path)!r}, which exists")
        try:
            with self.lock, closing(sqlite3.connect(path)) as copy:
                self._db.backup(copy)
        except sqlite3.Error as error:
            raise ScenarioError(f"path {str(path)!r} cannot be written: {error}") from None

    # --- what a session is ------------------------------------------------------------------------

    def tell(self, key: str, value: Any) -> None:
        """Write down something about the session."""
        self.do("insert or replace into about values (?, ?)", (key, json.dumps(value)))

    def about(self, key: str, default: Any = None) -> Any:
        """Return something that was written down about the session."""
        row = self.one("select value from about where key = ?", (key,))
        return default if row is None else json.loads(row[0])

    def forget_waits(self) -> None:
        """Empty the tables that can be made again from the journal."""
        for table in REBUILT:
            self.do(f"delete from {table}")

    # --- the journal ------------------------------------------------------------------------------

    def note(self, given: Input) -> None:
        """Write an input into the journal."""
        self.do(
            "insert into inputs (kind, serial_number, data, instant, answer, noted_at) "
            "values (?, ?, ?, ?, ?, ?)",
            (
                given.kind,
                given.serial_number,
                as_json(given.data),
                given.instant,
                given.answer,
                datetime.now(UTC).isoformat(timespec="milliseconds"),
            ),
        )

    def played(self, given: Input, instant: float) -> None:
        """Note the instant at which an input from outside was played."""
        self.do("update inputs set instant = ? where seq = ?", (instant, given.seq))

    def inputs(self, where: str = "true") -> list[Input]:
        """Return inputs in order: all of them, or ``instant is null``, those not played yet."""
        rows = self.all(
            "select kind, serial_number, data, seq, instant, answer, noted_at from inputs "
            f"where {where} order by seq"
        )
        return [
            Input(kind, number, from_json(data), seq, instant, answer, noted_at)
            for kind, number, data, seq, instant, answer, noted_at in rows
        ]


def existing(store: object) -> Store:
    """Open a store that must be there already.

    Raises
    ------
    ScenarioError
        If there is no such file; none is made.
    """
    if not isinstance(store, (str, Path)) or not Path(store).is_file():
        raise ScenarioError(f"store must be a session's file, got {str(store)!r}: no such file")
    return Store(store)


def written(value: object) -> str:
    """Return what stands for a serial number as text that a database can hold."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def as_json(data: Mapping[str, Any] | None) -> str | None:
    """Return data fields as text."""
    return None if data is None else json.dumps(data, allow_nan=False)


def from_json(text: str | None) -> dict[str, Any] | None:
    """Return data fields from text."""
    return None if text is None else json.loads(text)
