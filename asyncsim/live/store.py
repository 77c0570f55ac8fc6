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
import struct
import threading
import weakref
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from asyncsim.errors import AsyncsimError, EngineError, ScenarioError, StoreError
from asyncsim.live.locks import FileLock, HeldOpen
from asyncsim.platform import database_hint, in_browser

logger = logging.getLogger("asyncsim")

IN_MEMORY = ":memory:"
PATIENCE = 30.0
"""Seconds for which a process waits for another one's transaction to end."""
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
"""Tables that follow from the others: a session can be played again without them."""
SCHEMA = (
    DERIVED
    + """
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
)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Codes of a damaged file; also that of a statement that does not fit its tables."""
REASONS = {
    sqlite3.SQLITE_FULL: "disk full",
    sqlite3.SQLITE_IOERR: "the disk is full or fails (disk I/O error)",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_BUSY: f"another program has kept it locked for {PATIENCE:g} s",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
}
CANNOT_OPEN = (sqlite3.Error, OSError, ValueError, RuntimeError)
"""A NUL in a path is a ValueError, a circle of links a RuntimeError."""
OWNER = "owner"
"""Key of the word that says whose the session is at present."""


class Store:
    """One database, as one process sees it; threads may share it.

    Parameters
    ----------
    path
        The file; made if there is none, with its folder. ``":memory:"`` keeps everything in memory.

    Raises
    ------
    StoreError
        If the file cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self.path = str(path)
        self.closed = False
        self._process = os.getpid()
        self.lock = threading.RLock()
        self._between: FileLock | None = None
        self._owner: FileLock | None = None
        self._word: str | None = None
        self._held: HeldOpen | None = None
        self._db: sqlite3.Connection | None = None
        made = ""
        try:
            if self.path != IN_MEMORY:
                self.path = str(Path(path).resolve())
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
                turn = self.path + ".turn"
                made = "" if Path(turn).exists() else turn
                self._between = FileLock(turn)
            self._enter()
            try:
                self._open()
            finally:
                self._leave()
        except BaseException as error:
            self.close()
            if made:  # beside a file of something else, nothing is left
                Path(made).unlink(missing_ok=True)
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
                raise self.damaged(str(error)) from None
            if isinstance(error, CANNOT_OPEN) and not isinstance(error, AsyncsimError):
                raise StoreError(
                    f"store {self.path!r} cannot be used: {_reason(error)}{database_hint()}"
                ) from None
            raise

    def _open(self) -> None:
        self._db = db = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, db.close).atexit = False  # a session may be dropped without close()
        self.journal = self._journal(db)
        db.execute("pragma synchronous = full")
        db.execute("pragma temp_store = memory")  # what is played again must not need the disk
        self._set_up(db)
        if self.path != IN_MEMORY:
            self._held = HeldOpen(self.path)
            self._check_log()
        self._version = db.execute("pragma data_version").fetchone()[0]

    def _journal(self, db: sqlite3.Connection) -> str:
        """Set write-ahead mode, or the older journal where that does not work; return which.

        Writing ahead needs memory that processes share, which many a network drive does not have.
        Some drives report it at once, some only when it is first used.
        """
        try:
            mode = db.execute("pragma journal_mode = wal").fetchone()[0]
            db.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            taken = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if taken or in_browser():  # where the older journal does not fail: it garbles the file
                raise
            mode = _older_journal(db)
        if mode not in ("wal", "memory"):
            logger.info(
                "store %s lies where SQLite cannot write ahead; it keeps a journal of the kind "
                "%r instead: as safe, but readers wait for writers",
                self.path,
                mode,
            )
        return str(mode)

    def _set_up(self, db: sqlite3.Connection) -> None:
        db.execute("begin immediate")
        try:
            tables = {name for (name,) in db.execute("select name from sqlite_master")}
            if not tables:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
            elif not {"waits", "inputs", "about"} <= tables:
                raise StoreError(
                    f"store {self.path!r} is a database of something else; take another file"
                )
            db.execute("commit")
        finally:
            if db.in_transaction:
                db.execute("rollback")

    # --- one at a time ----------------------------------------------------------------------------

    def _enter(self, *, shared: bool = False) -> None:
        """Keep the transactions of other processes out, and undo what an interrupt has left."""
        self._check_open()
        if self._db is not None and self._db.in_transaction:
            self._db.execute("rollback")
        if self._between is None:
            return
        try:
            locked = self._between.acquire(shared=shared, patience=PATIENCE)
        except OSError as error:
            raise StoreError(f"store {self.path!r} cannot be locked: {error}") from None
        if not locked:
            raise StoreError(
                f"store {self.path!r} cannot be used: another process has kept it locked for "
                f"{PATIENCE:g} s; nothing was done"
            )

    def _leave(self) -> None:
        if self._between:
            self._between.release()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this process is open."""
        return not self.closed and self._db is not None and self._db.in_transaction

    def transaction(self) -> Transaction:
        """Return a context in which all that is done becomes durable together, or not at all."""
        return Transaction(self)

    def snapshot(self) -> Transaction:
        """Return a context in which all that is read is of one moment."""
        return Transaction(self, reading=True)

    def begin_reading(self) -> None:
        """Begin a transaction that reads only; `roll_back` ends it."""
        try:
            self._enter(shared=True)
            self._execute("begin")
        except BaseException:
            self.roll_back()
            raise

    def begin(self) -> None:
        """Begin a transaction, with everybody else kept out.

        Raises
        ------
        StoreError
            If the file cannot be written, or is not this session's any more.
        """
        try:
            self._enter()
            self._check_place()
            self._execute("begin immediate")
            self._check_owner()
        except BaseException:
            self.roll_back()
            raise

    def commit(self) -> None:
        """Make what was done since `begin` durable."""
        self._execute("commit")
        self._leave()
        self._check_place()  # a commit into a file that is gone is none

    def roll_back(self) -> None:
        """Undo what was done since `begin`, if anything."""
        try:
            if self.in_transaction:
                self._execute("rollback")
        finally:
            self._leave()

    def _check_open(self) -> None:
        if self.closed:
            raise EngineError("this session is closed; live(store=…) opens it again")
        if self._between is not None and os.getpid() != self._process:
            raise EngineError(
                "this session belongs to the process that opened it, and not to one forked from "
                "it; finish its steps with finish_in_store(), or over REST"
            )

    def _check_place(self) -> None:
        missing = self._held.missing() if self._held else ""
        if missing:
            raise StoreError(
                f"store {self.path!r} cannot be written: {missing!r} was deleted, renamed, cut or "
                "replaced while the session was open; put it back, or save what the session "
                "still has with session.backup(path)"
            )

    def _check_owner(self) -> None:
        if self._word is not None and self.about(OWNER) != self._word:
            raise StoreError(
                f"store {self.path!r} was taken over by another session; close this one"
            )

    def own(self) -> None:
        """Become the one process that plays the scenario; the operating system ends it with us.

        Raises
        ------
        StoreError
            If another session is playing it.
        """
        if self.path == IN_MEMORY:
            return
        try:
            owner = FileLock(self.path + ".owner")
        except OSError as error:
            raise StoreError(
                f"store {self.path!r} cannot be owned: {error.strerror} ({error.filename!r}); "
                "the store needs this file for a lock: remove what is in its place"
            ) from None
        if not owner.acquire():
            owner.close()
            raise StoreError(
                f"store {self.path!r} is being played by another session; "
                "close that one first, or finish its steps through its REST endpoint"
            )
        self._owner = owner
        with self.lock, self.transaction():
            word = secrets.token_hex(8)
            self.tell(OWNER, word)
        self._word = word

    def _check_log(self) -> None:
        """Check that SQLite has read the whole log that a killed process has left.

        It reads up to the first place that is damaged, and takes what follows for old.
        """
        assert self._held is not None
        lost = commits_behind(self._held)
        if lost > 1:
            raise self.damaged(
                f"{lost} writes are behind a damaged place of {self.path + '-wal'!r}"
            )
        if lost:  # a power failure in the middle of a write leaves the same
            logger.warning(
                "the last write in %s-wal is not whole and was left out: it was cut off before it "
                "was acknowledged, or the file is damaged",
                self.path,
            )

    def close(self) -> None:
        """Close the file and give its locks back."""
        with self.lock:
            first, self.closed = not self.closed, True
            try:
                if first and self._db is not None:
                    self._close_database(self._db)
            finally:
                for one in (self._owner, self._between):
                    if one is not None:
                        one.close()  # the file stays: the next process must find the same one

    def _close_database(self, db: sqlite3.Connection) -> None:
        """Close the connection; the last one leaves a database without a log beside it."""
        try:
            if self._between:
                self._between.acquire(patience=PATIENCE)
        except OSError:
            pass  # a lock that cannot be had is no reason to stay open
        finally:
            if self._held is not None:
                self._held.close()
            db.close()

    # --- talking to the database ------------------------------------------------------------------

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        assert self._db is not None
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in DAMAGED or "decode" in str(error):  # text that is no text
            return self.damaged(str(error))
        return StoreError(
            f"store {self.path!r} cannot be written: {_reason(error)}; nothing was done"
        )

    def damaged(self, what: str) -> StoreError:
        """Return the error that reports damage."""
        return StoreError(
            f"store {self.path!r} is damaged or was changed by hand: {what}; put a copy made by "
            "session.backup(path) in its place, or start a session in a new file"
        )

    def do(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Execute one statement in a transaction."""
        self._check_inside()
        self._execute(statement, values)

    def do_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute a statement in a transaction once for each row."""
        self._check_inside()
        assert self._db is not None
        try:
            self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _check_inside(self) -> None:
        if not self.in_transaction:  # SQLite ends it by itself on a full disk
            raise StoreError(f"store {self.path!r} cannot be written: its transaction has ended")

    def one(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        rows = self.all(query, values)
        return rows[0] if rows else None

    def all(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self.lock:
            if self.in_transaction:
                return self._rows(query, values)
            try:
                self._enter(shared=True)
                return self._rows(query, values)
            finally:
                if self._between:
                    self._between.release()

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._execute(query, values).fetchall()
        except sqlite3.Error as error:  # a row may fail that comes after the first
            raise self._failure(error) from None

    def changed_outside(self) -> bool:
        """Return whether another process has committed something since the last call."""
        with self.lock:
            before, self._version = self._version, self.one("pragma data_version")[0]
            return bool(before != self._version)

    def backup(self, path: str | Path) -> None:
        """Copy the whole store into a new file, while it is in use (SQLite's backup API).

        Raises
        ------
        ScenarioError
            If there is such a file already, or it cannot be written.
        """
        made = False
        try:
            if str(path) in ("", IN_MEMORY) or Path(path).exists():
                raise ScenarioError(f"path must be a new file, got {str(path)!r}")
            made = True
            with self.lock, closing(sqlite3.connect(path)) as copy:
                try:
                    self._enter(shared=True)
                    assert self._db is not None
                    self._db.backup(copy)
                finally:
                    self._leave()
        except ScenarioError:
            raise
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            if made:
                with suppress(OSError, ValueError):
                    Path(path).unlink(missing_ok=True)  # half a copy is none
            raise ScenarioError(f"path {str(path)!r} cannot be written: {_reason(error)}") from None

    # --- what a session is ------------------------------------------------------------------------

    def tell(self, key: str, value: Any) -> None:
        """Record something about the session."""
        self.do("insert or replace into about values (?, ?)", (key, json.dumps(value)))

    def about(self, key: str, default: Any = None) -> Any:
        """Return what was recorded about the session."""
        row = self.one("select value from about where key = ?", (key,))
        return default if row is None else self.parsed(row[0])

    @property
    def empty(self) -> bool:
        """Whether no session has begun here."""
        return (
            self.one(
                "select 1 from (select key from about where key != ? union all "
                "select kind from inputs union all select step from waits) limit 1",
                (OWNER,),
            )
            is None
        )

    def parsed(self, text: str | None) -> Any:
        """Return what a text of the store holds (JSON); None for no text.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        try:
            return None if text is None else json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.damaged(f"{str(text)[:40]!r} cannot be read ({error})") from None

    def clear(self) -> None:
        """Delete all that a session has written; what was recorded about it stays."""
        for table in ("waits", "fields", "deadlines", "responses", "inputs"):
            self.do(f"delete from {table}")

    # --- playing again ----------------------------------------------------------------------------

    def rehearse(self) -> None:
        """Put empty tables in memory before those that follow from the others, until `roll_back`.

        A session is played again into them, so that nothing has to be written.
        """
        try:
            self._enter()
        finally:
            if self._between:
                self._between.release()  # memory is this connection's own
        self._execute("begin")
        for statement in DERIVED.split(";"):
            words = statement.replace("create table ", "create table temp.")
            self._execute(words.replace("create index ", "create index temp."))

    def different(self, *, counted_late: bool) -> str:
        """Return a record that differs from what was played again since `rehearse`, or nothing.

        Records with a finish that waits to be played are passed over. The checks of a record that
        waits are as well if they are `counted_late`: only when the session is looked at.
        """
        if self._between:
            self._between.acquire(shared=True, patience=PATIENCE)
        apart = "serial_number not in (select serial_number from main.inputs where instant is null)"
        for table, key, where in (
            ("waits", "serial_number", apart),
            ("fields", "instance", "true"),
            ("deadlines", "serial_number", "true"),
        ):
            names = [row[1] for row in self.all(f"pragma main.table_info({table})")]
            if counted_late:
                names = [
                    f"iif(state = 'waiting', 0, {name})" if "checks" in name else name
                    for name in names
                ]
            rows = f"select {', '.join(names)} from {{}}.{table} where {where}"
            kept, played = rows.format("main"), rows.format("temp")
            for one, other in ((kept, played), (played, kept)):
                found = self.one(f"select {key} from ({one} except {other})")
                if found is not None:
                    return f"the record of {found[0]!r} in {table!r}"
        return ""


class Transaction:
    """A transaction of a store as a context; threads exclude each other by `Store.lock`.

    It has no code of its own around the body that an interrupt could split from it: what an
    interrupt leaves half done, the next `Store.begin` undoes.
    """

    def __init__(self, store: Store, *, reading: bool = False) -> None:
        self._store = store
        self._reading = reading

    def __enter__(self) -> None:
        if self._reading:
            self._store.begin_reading()
        else:
            self._store.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        done = False
        try:
            if kind is None and not self._reading:
                self._store.commit()
                done = True
        finally:
            if not done:
                self._store.roll_back()


def commits_behind(files: HeldOpen) -> int:
    """Return how many commits a write-ahead log holds behind the frames that SQLite has read.

    Frames of the present generation carry the salts of the header, older ones do not; the one that
    ends a commit names the size of the database. The index has the number of frames read. See
    https://www.sqlite.org/fileformat2.html#walformat and https://www.sqlite.org/walformat.html.

    A process that is killed between writing a commit and its entry in the index leaves one as
    well, and several of them may leave the ends of theirs, one after the other. They differ from
    commits behind a damaged place in the checksums, each of which goes on from that of the frame
    before: only commits that go on from each other are counted together.
    """
    header = files.read("-wal", 0, 32)
    if len(header) < 32:
        return 0
    size = 24 + int.from_bytes(header[8:12], "big")
    salts = header[16:24] if _intact(header) else files.read("-wal", 40, 8)
    ends, place = [], 32 + files.frames * size
    while len(frame := files.read("-wal", place, 24)) == 24:
        if frame[8:16] == salts and frame[4:8] != bytes(4):
            ends.append(place)
        place += size
    most = together = 1
    for k in range(1, len(ends)):
        frames = range(ends[k - 1] + size, ends[k] + size, size)
        together = together + 1 if all(_continues(files, at, size) for at in frames) else 1
        most = max(most, together)
    return most if ends else 0


def _continues(files: HeldOpen, place: int, size: int) -> bool:
    """Return whether the checksum of a frame goes on from that of the frame before."""
    before, frame = files.read("-wal", place - size + 16, 8), files.read("-wal", place, size)
    kind = files.read("-wal", 3, 1)[0]
    return frame[16:24] == _checksum(frame[:8] + frame[24:], before, kind)


def _checksum(data: bytes, before: bytes, kind: int) -> bytes:
    """Return the checksum of data after a checksum; `kind` is the last byte of the magic number."""
    order = ">" if kind & 1 else "<"
    one, two = struct.unpack(">2I", before)
    for first, second in struct.iter_unpack(f"{order}2I", data):
        one = (one + first + two) % 2**32
        two = (two + second + one) % 2**32
    return struct.pack(">2I", one, two)


def _intact(header: bytes) -> bool:
    """Return whether the header of a write-ahead log fits its own checksum."""
    return header[24:] == _checksum(header[:24], bytes(8), header[3])


def _older_journal(db: sqlite3.Connection) -> str:
    """Leave write-ahead mode, as for a store that was made elsewhere; return the new mode."""
    # Alone with the file, SQLite reads what was written ahead without any shared memory
    db.execute("pragma locking_mode = exclusive")
    mode = db.execute("pragma journal_mode = delete").fetchone()[0]
    db.execute("pragma locking_mode = normal")
    db.execute("select count(*) from sqlite_master").fetchone()  # lets others in again
    return str(mode)


def _reason(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return REASONS.get(code, str(error))


def existing(store: object) -> Store:
    """Open a store that must be there already.

    Raises
    ------
    ScenarioError
        If there is no such file; none is made.
    """
    try:
        there = isinstance(store, (str, Path)) and Path(store).is_file()
    except (OSError, ValueError):  # a NUL or half a character in it
        there = False
    if not there:
        raise ScenarioError(f"store must be a session's file, got {str(store)!r}: no such file")
    assert isinstance(store, (str, Path))
    return Store(store)


def written(value: object) -> str:
    """Return what stands for a serial number as text that a database can hold."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def as_json(data: Any) -> str | None:
    """Return data fields as text."""
    return None if data is None else json.dumps(data, allow_nan=False)
