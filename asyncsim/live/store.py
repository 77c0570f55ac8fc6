"""The database of a live session: each waiting step is a record here, and nowhere else.

One SQLite file, in write-ahead mode where its place allows it, every commit on disk before the call
that made it returns. Any process may finish a record (`asyncsim.finish_in_store`); one at a time,
the *owner*, plays the scenario.

Beside the database ``s.db`` lie ``s.db.owner``, locked by the owner, and ``s.db.turn``, locked for
each transaction: the locks of SQLite alone do not survive a copy made in a notebook (see
`asyncsim.live.locks`).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from asyncsim.errors import AsyncsimError, EngineError, ScenarioError, StoreError
from asyncsim.live.locks import FileLock, HeldOpen
from asyncsim.platform import database_hint, in_browser

logger = logging.getLogger("asyncsim")

IN_MEMORY = ":memory:"
PATIENCE = 30.0  # seconds to wait for the transaction of another process to end
# What follows from the other tables: a session can be replayed without it
DERIVED = """
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
"""
DESCRIBED = """
create table about (key text primary key, value text not null) without rowid;
create table responses (
    serial_number text primary key, response text not null, data text, digest text not null
) without rowid;
create table inputs (
    seq integer primary key, kind text not null, serial_number text, data text,
    instant real, answer text, noted_at text not null, key text, effective integer not null,
    digest text not null
);
create index unplayed on inputs (seq) where instant is null;
create unique index keys on inputs (key) where key is not null;
"""
# An error is that of a statement that does not fit the tables
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
REASONS = {
    sqlite3.SQLITE_FULL: "disk full",
    sqlite3.SQLITE_IOERR: "the disk is full or fails (disk I/O error)",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_BUSY: f"another program has kept it locked for {PATIENCE:g} s",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
}
# A NUL in a path is a ValueError, a circle of links a RuntimeError
CANNOT_OPEN = (sqlite3.Error, OSError, ValueError, RuntimeError)
OWNER = "owner"  # key of the word that names the session that owns the store at present


class Store:
    """One database, which threads of a process share; ``":memory:"`` keeps everything in memory."""

    _db: sqlite3.Connection

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self.path = str(path)
        self.closed = False
        self.lock = threading.RLock()
        self._process = os.getpid()
        self._turn: FileLock | None = None
        self._owner: FileLock | None = None
        self._word: str | None = None
        self._held: HeldOpen | None = None
        made = None
        try:
            if self.path != IN_MEMORY:
                file = Path(path).resolve()
                self.path = str(file)
                file.parent.mkdir(parents=True, exist_ok=True)
                turn = Path(f"{file}.turn")
                made = None if turn.exists() else turn
                self._turn = FileLock(str(turn))
            self._db = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            # A session may be dropped without close()
            weakref.finalize(self, self._db.close).atexit = False
            with self._locked():
                self._open(self._db)
        except BaseException as error:
            self.close()
            if made is not None:  # beside a file of something else, nothing is left
                made.unlink(missing_ok=True)
            if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
                raise self.damaged(str(error)) from None
            if isinstance(error, CANNOT_OPEN) and not isinstance(error, AsyncsimError):
                raise self._error(f"cannot be used: {_reason(error)}{database_hint()}") from None
            raise

    def _open(self, db: sqlite3.Connection) -> None:
        self.journal = self._set_journal_mode(db)
        db.execute("pragma synchronous = full")
        db.execute("pragma temp_store = memory")  # a replay must not need the disk
        db.execute("begin immediate")
        try:
            tables = {name for (name,) in db.execute("select name from sqlite_master")}
            if not tables:
                for statement in (DERIVED + DESCRIBED).split(";"):
                    db.execute(statement)
            elif not {"waits", "inputs", "about"} <= tables:
                raise self._error("is a database of something else; take another file")
            db.execute("commit")
        finally:
            if db.in_transaction:
                db.execute("rollback")
        if self.path != IN_MEMORY:
            self._held = HeldOpen(self.path)
            self._check_log(self._held.commits_behind())
        self._version = db.execute("pragma data_version").fetchone()[0]

    def _set_journal_mode(self, db: sqlite3.Connection) -> str:
        """Set write-ahead mode, or the older journal on drives without shared memory."""
        try:
            mode = db.execute("pragma journal_mode = wal").fetchone()[0]
            db.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            taken = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if taken or in_browser():  # there the older journal does not fail, but garbles the file
                raise
            # Alone with the file, SQLite reads what was written ahead without any shared memory
            db.execute("pragma locking_mode = exclusive")
            mode = db.execute("pragma journal_mode = delete").fetchone()[0]
            db.execute("pragma locking_mode = normal")
            db.execute("select count(*) from sqlite_master").fetchone()  # lets others in again
        if mode not in ("wal", "memory"):
            place = f"store {self.path} lies where SQLite cannot write ahead"
            instead = f"it keeps a journal of the kind {mode!r} instead"
            logger.info("%s; %s: as safe, but readers wait for writers", place, instead)
        return str(mode)

    def _check_log(self, lost: int) -> None:
        # Of the log that a killed process has left, SQLite reads up to the first damaged place
        if lost > 1:
            log = f"{self.path}-wal"
            raise self.damaged(f"{lost} writes are behind a damaged place of {log!r}")
        if lost:  # a power failure in the middle of a write leaves the same
            why = "it was cut off before it was acknowledged, or the file is damaged"
            logger.warning(
                "the last write in %s-wal is not whole and was left out: %s", self.path, why
            )

    # --- transactions -----------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[None]:
        """Make the changes in this context durable together, or not at all; other threads wait."""
        with self.lock:
            self.begin(reading=reading)
            try:
                yield
                if not reading:
                    self.commit()
            finally:
                self.roll_back()  # after a commit there is nothing left to undo

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this process is open."""
        return not self.closed and self._db.in_transaction

    def begin(self, *, reading: bool = False) -> None:
        """Begin a transaction; only one that reads runs beside those of other processes."""
        try:
            self._enter(shared=reading)
            if reading:
                self._execute("begin")
                return
            self._check_place()
            self._execute("begin immediate")
            if self._word is not None and self.about(OWNER) != self._word:
                raise self._error("was taken over by another session; close this one")
        except BaseException:
            self.roll_back()
            raise

    def commit(self) -> None:
        """Make everything since `begin` durable."""
        self._execute("commit")
        self._leave()
        self._check_place()  # a commit into a file that is gone is lost

    def roll_back(self) -> None:
        """Undo everything since `begin`, if anything."""
        try:
            if self.in_transaction:
                self._execute("rollback")
        finally:
            self._leave()

    @contextmanager
    def _locked(self, *, shared: bool = False) -> Iterator[None]:
        try:
            self._enter(shared=shared)
            yield
        finally:
            self._leave()

    def _enter(self, *, shared: bool = False) -> None:
        """Keep the transactions of other processes out, and undo what an interrupt has left."""
        if self.closed:
            raise EngineError("this session is closed; live(store=…) opens it again")
        if self._turn is not None and os.getpid() != self._process:
            raise EngineError(
                "this session belongs to the process that opened it, and not to one forked from "
                "it; finish its steps with finish_in_store(), or over REST"
            )
        if self._db.in_transaction:
            self._db.execute("rollback")
        if self._turn is None:
            return
        try:
            locked = self._turn.acquire(shared=shared, patience=PATIENCE)
        except OSError as error:
            raise self._error(f"cannot be locked: {error}") from None
        if not locked:
            raise self._error(
                f"cannot be used: another process has kept it locked for {PATIENCE:g} s; "
                "nothing was done"
            )

    def _leave(self) -> None:
        if self._turn:
            self._turn.release()

    def _check_place(self) -> None:
        missing = self._held.missing() if self._held else ""
        if missing:
            raise self._error(
                f"cannot be written: {missing!r} was deleted, renamed, cut or replaced while the "
                "session was open; put it back, or save what the session still has with "
                "session.backup(path)"
            )

    def own(self) -> None:
        """Become the one process that plays the scenario, or raise a `StoreError`."""
        if self.path == IN_MEMORY:
            return
        try:
            owner = FileLock(self.path + ".owner")
        except OSError as error:
            raise self._error(
                f"cannot be owned: {error.strerror} ({error.filename!r}); "
                "the store needs this file for a lock: remove what is in its place"
            ) from None
        if not owner.acquire():
            owner.close()
            raise self._error(
                "is being played by another session; "
                "close that one first, or finish its steps through its REST endpoint"
            )
        self._owner = owner
        with self.transaction():
            word = secrets.token_hex(8)
            self.set_about(OWNER, word)
        self._word = word

    def close(self) -> None:
        """Close the file and release its locks."""
        with self.lock:
            first, self.closed = not self.closed, True
            try:
                if first and hasattr(self, "_db"):
                    self._close_database()
            finally:
                for one in (self._owner, self._turn):
                    if one is not None:
                        one.close()  # the file stays: the next process must find the same one

    def _close_database(self) -> None:
        try:
            if self._turn:  # the last to close leaves a database without a log beside it
                with suppress(OSError):  # closing works without the lock
                    self._turn.acquire(patience=PATIENCE)
        finally:
            if self._held is not None:
                self._held.close()
            self._db.close()

    # --- statements -------------------------------------------------------------------------------

    def do(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Execute one statement that writes, in a transaction."""
        self.do_many(statement, [values])

    def do_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute a statement in a transaction once for each row."""
        if not self.in_transaction:  # SQLite ends it by itself on a full disk
            raise self._error("cannot be written: its transaction has ended")
        try:
            self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def one(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        return next(iter(self.all(query, values)), None)

    def all(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self.lock:
            if self.in_transaction:
                return self._execute(query, values)
            with self._locked(shared=True):
                return self._execute(query, values)

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: sqlite3.Error) -> StoreError:
        if _code(error) in DAMAGED or "decode" in str(error):  # text that cannot be decoded
            return self.damaged(str(error))
        return self._error(f"cannot be written: {_reason(error)}; nothing was done")

    def damaged(self, what: str) -> StoreError:
        """Return the error that reports damage."""
        return self._error(
            f"is damaged or was changed by hand: {what}; put a copy made by "
            "session.backup(path) in its place, or start a session in a new file"
        )

    def _error(self, problem: str) -> StoreError:
        return StoreError(f"store {self.path!r} {problem}")

    def changed_outside(self) -> bool:
        """Return whether another process has committed something since the last call."""
        with self.lock:
            before, self._version = self._version, self.one("pragma data_version")[0]
            return bool(before != self._version)

    def backup(self, path: str | Path) -> None:
        """Copy the whole store into a new file, while it is in use; see `Session.backup`."""
        new = False
        try:
            new = str(path) not in ("", IN_MEMORY) and not Path(path).exists()
            if new:
                with self.lock, closing(sqlite3.connect(path)) as copy, self._locked(shared=True):
                    self._db.backup(copy)
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            if new:
                with suppress(OSError, ValueError):
                    Path(path).unlink(missing_ok=True)  # half a copy is useless
            raise ScenarioError(f"path {str(path)!r} cannot be written: {_reason(error)}") from None
        if not new:
            raise ScenarioError(f"path must be a new file, got {str(path)!r}")

    # --- the description of the session -----------------------------------------------------------

    def set_about(self, key: str, value: Any) -> None:
        """Record a property of the session."""
        self.do("insert or replace into about values (?, ?)", (key, json.dumps(value)))

    def about(self, key: str, default: Any = None) -> Any:
        """Return a property of the session."""
        row = self.one("select value from about where key = ?", (key,))
        return default if row is None else self.parsed(row[0])

    @property
    def empty(self) -> bool:
        """Whether the store holds no session yet."""
        query = (
            "select 1 from (select key from about where key != ? union all "
            "select kind from inputs union all select step from waits) limit 1"
        )
        return self.one(query, (OWNER,)) is None

    def parsed(self, text: str | None) -> Any:
        """Return the value of a JSON text of the store; None for no text."""
        try:
            return None if text is None else json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.damaged(f"{str(text)[:40]!r} cannot be read ({error})") from None

    def clear(self) -> None:
        """Delete everything that a session has written but its description."""
        for table in ("waits", "fields", "deadlines", "responses", "inputs"):
            self.do(f"delete from {table}")

    # --- replaying --------------------------------------------------------------------------------

    def begin_replay(self) -> None:
        """Put empty tables in memory, to replay a session into them, until `roll_back`."""
        with self._locked():  # no longer: memory is this connection's own
            self._execute("begin")
        for statement in DERIVED.split(";"):
            words = statement.replace("create table ", "create table temp.")
            self._execute(words.replace("create index ", "create index temp."))

    def first_difference(self, *, counted_late: bool) -> str:
        """Return a record that differs from the replay since `begin_replay`, or nothing."""
        if self._turn:
            self._turn.acquire(shared=True, patience=PATIENCE)
        apart = "serial_number not in (select serial_number from main.inputs where instant is null)"
        keys = {"waits": "serial_number", "fields": "instance", "deadlines": "serial_number"}
        for table, key in keys.items():
            where = apart if table == "waits" else "true"
            names = [row[1] for row in self.all(f"pragma main.table_info({table})")]
            if counted_late:
                waits = "iif(state = 'waiting', 0, {})"
                names = [waits.format(one) if "checks" in one else one for one in names]
            rows = f"select {', '.join(names)} from {{}}.{table} where {where}"
            kept, replayed = rows.format("main"), rows.format("temp")
            for one, other in ((kept, replayed), (replayed, kept)):
                found = self.one(f"select {key} from ({one} except {other})")
                if found is not None:
                    return f"the record of {found[0]!r} in {table!r}"
        return ""


def open_existing(path: object, *, read_only: bool = False) -> Store:
    """Open a store whose file must exist; one that may not be written, as a copy in memory."""
    try:
        exists = isinstance(path, (str, Path)) and Path(path).is_file()
    except (OSError, ValueError):  # a NUL or half a character in it
        exists = False
    if not exists:
        raise ScenarioError(f"store must be a session's file, got {str(path)!r}: no such file")
    file = Path(str(path)).resolve()
    if not read_only or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return Store(file)
    mode = "mode=ro" if Path(f"{file}-wal").exists() else "immutable=1"  # it would create a log
    copy = Store()
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True)) as source:
            source.backup(copy._db)
    except sqlite3.Error as error:
        raise StoreError(f"store {str(file)!r} cannot be read: {_reason(error)}") from None
    copy.path = str(file)  # for messages
    return copy


def as_text(value: object) -> str:
    """Return a value that stands for a serial number as text that a database can hold."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def as_json(data: Any) -> str | None:
    """Return data fields as text."""
    return None if data is None else json.dumps(data, allow_nan=False)


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _reason(error: Exception) -> str:
    return REASONS.get(_code(error), str(error))
