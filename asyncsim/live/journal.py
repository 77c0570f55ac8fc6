"""The inputs of a live session, and the journal that records them in order.

A scenario is a deterministic function of its random numbers and of these inputs, so description,
seed and journal are all that is needed to resume after a crash, or to replay a session.

Each row of the journal has a digest of itself and of the row before it; the first one follows from
the description of the session. The last digest, the number of rows and the instant reached are one
record, the *head*, with its own digest. So no row can be changed, removed or inserted without
notice. The digests find accidents; they are not a signature, which no program could compute anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError
from asyncsim.live.store import OWNER, Store, as_json, as_text
from asyncsim.model.validation import scenario_error

HEAD = "head"
COLUMNS = "seq, kind, serial_number, data, instant, answer, noted_at, key, effective, digest"
INSERT = f"insert into inputs ({COLUMNS}) values ({', '.join('?' * 10)})"
MOST_BYTES = 65_536  # of the data fields of one input, as JSON
LONGEST_KEY = 255
KEY = rf"[!-~]{{1,{LONGEST_KEY}}}"
NOT_BEGUN = -1.0  # the instant reached when not even the start has been played
WITHOUT_ANSWER = "done"  # the answer to an input without another; in older journals also to a retry


@frozen
class Input:
    """Something that a person or a program asks of a session; see the subclasses."""

    serial_number: str | None = None
    data: Mapping[str, Any] | None = None
    key: str | None = None  # the client's idempotency key

    @property
    def kind(self) -> str:
        """The name in the journal, such as ``finish``."""
        return type(self).__name__.removesuffix("Input").lower()

    def check_repeats(self, earlier: Input) -> None:
        """Raise a `ScenarioError` if this is not the same as an earlier input with its key."""
        same = (self.kind, self.serial_number) == (earlier.kind, earlier.serial_number)
        mine, other = (json.dumps(one.data or {}, sort_keys=True) for one in (self, earlier))
        if not same or mine != other:
            raise ScenarioError(
                f"key {self.key!r} was used to {earlier.kind} {earlier.serial_number!r} with "
                "other data or another number; take a new key for each finish"
            )


class Finish(Input):
    """Finish the wait with a serial number; `data` are the fields handed back."""

    @classmethod
    def of(cls, serial_number: object, data: Mapping[str, Any] | None, key: object) -> Finish:
        """Return a finish of what a user gives, checked."""
        fields = None if data is None else data_fields(data)
        if key is not None and not (isinstance(key, str) and re.fullmatch(KEY, key)):
            right = f"1 to {LONGEST_KEY} visible ASCII characters"
            raise ScenarioError(f"key must be {right}, got {key!r:.60}")
        return cls(as_text(serial_number), fields, key)


class Complete(Input):
    """Complete the external work of a wait; the strategy notices."""


class Heartbeat(Input):
    """Postpone the time-out of a wait."""


class RetryInput(Input):
    """Enter a step again under a new serial number; data ``{"call": False}`` only waits again."""

    @property
    def call(self) -> bool:
        """Whether the external system is called again."""
        return bool((self.data or {}).get("call", True))


class Start(Input):
    """Start an instance; `data` are its first fields."""


KINDS = {kind().kind: kind for kind in (Finish, Complete, Heartbeat, RetryInput, Start)}


@frozen
class JournalEntry:
    """An input, and what came of it."""

    input: Input
    seq: int = 0
    instant: float | None = None  # None if it has not been played yet
    answer: str = WITHOUT_ANSWER  # a name of Answer, the number of a new instance or wait, "done"
    effective: bool = True  # whether it has changed anything; only these are replayed

    @property
    def text(self) -> str:
        """The answer in words."""
        return Answer[self.answer].text if self.answer in Answer.__members__ else self.answer


class Journal:
    """The journal in a store; write in a transaction: `load_head`, changes, `write_head`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now, self._size, self._digest = NOT_BEGUN, 0, ""

    def begin(self) -> None:
        """Chain all rows, and the head, to the description that the store holds now."""
        self._digest = self._first_digest()
        for row in self._rows():
            self._digest, self._size = chain_digest(self._digest, row[:-1]), row[0]
            self._store.do("update inputs set digest = ? where seq = ?", (self._digest, row[0]))
        self.write_head()

    def load_head(self) -> float:
        """Read the head, which another process may have moved; return the instant reached."""
        try:
            now, size, digest, check = self._store.about(HEAD)
            if check != chain_digest(digest, (now, size)):
                raise ValueError
            self._now, self._size, self._digest = float(now), int(size), str(digest)
        except (TypeError, ValueError):
            raise self._store.damaged("the head of its journal is not intact") from None
        return self._now

    def write_head(self, now: float | None = None) -> None:
        """Write the head: the instant reached (left out, as before) and the last digest."""
        self._now = self._now if now is None else now
        check = chain_digest(self._digest, (self._now, self._size))
        self._store.set_about(HEAD, [self._now, self._size, self._digest, check])

    def append(self, entry: JournalEntry) -> None:
        """Record an input, with its key only if the answer to it is final."""
        given, answer = entry.input, Answer.__members__.get(entry.answer)
        self._size += 1
        key = None if answer is not None and not answer.settled else given.key
        noted_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        asked = self._size, given.kind, given.serial_number, as_json(given.data)
        cells = (*asked, entry.instant, entry.answer, noted_at, key, int(entry.effective))
        self._digest = chain_digest(self._digest, cells)
        self._store.do(INSERT, (*cells, self._digest))

    def unplayed(self) -> list[JournalEntry]:
        """Return the inputs of other processes to play and record by `set_played`, in order."""
        found = self._entries("instant is null")
        if found:
            before = self._rows("seq = ?", found[0].seq - 1)
            self._digest = before[0][-1] if before else self._first_digest()
        return found

    def set_played(self, seq: int, instant: float, effective: bool) -> None:
        """Record when an input of another process was played, and whether it changed anything."""
        (row,) = self._rows("seq = ?", seq)
        cells = (*row[:4], instant, *row[5:8], int(effective))
        self._digest = chain_digest(self._digest, cells)
        update = "update inputs set instant = ?, effective = ?, digest = ? where seq = ?"
        self._store.do(update, (instant, int(effective), self._digest, seq))

    def with_key(self, key: str | None) -> JournalEntry | None:
        """Return the entry with an idempotency key, if there is one."""
        found = [] if key is None else self._entries("key = ?", key)
        return found[0] if found else None

    def played(self) -> list[JournalEntry]:
        """Return all inputs that were played, in order, those without effect among them."""
        return self._entries("instant is not null")

    def finishes_without_effect(self) -> list[tuple[str, int, int, float, str]]:
        """Return number, instance, node, instant and answer of each."""
        return self._store.all(
            "select i.serial_number, w.instance, w.node, i.instant, i.answer from inputs i "
            "join waits w on w.serial_number = i.serial_number "
            "where i.kind = 'finish' and not i.effective and i.instant is not null order by i.seq"
        )

    def verify_description(self) -> None:
        """Check that the description of the session is the one that the journal begins with."""
        with self._store.transaction(reading=True):
            self.load_head()
            rows = self._rows("seq = 1")
            found, kept = self._first_digest(), self._digest
        if rows:
            found, kept = chain_digest(found, rows[0][:-1]), rows[0][-1]
        if found != kept:
            what = "the description of its session, or row 1 of its journal,"
            raise self._store.damaged(f"{what} is not as it was written")

    def verified(self) -> tuple[float, list[JournalEntry]]:
        """Check all rows; return the instant reached, and the inputs to replay."""
        store = self._store
        with store.transaction(reading=True):
            found = store.one("pragma integrity_check(1)")
            if found is None or found[0] != "ok":
                raise store.damaged(str(found[0] if found else "its pages are not intact"))
            now = self.load_head()
            rows = self._rows()
            digest = self._first_digest()
        for k, row in enumerate(rows):
            digest = chain_digest(digest, row[:-1])
            if row[0] != k + 1 or digest != row[-1]:
                raise store.damaged(f"row {k + 1} of its journal is not as it was written")
        if (len(rows), digest) != (self._size, self._digest):
            raise store.damaged(f"its journal has {len(rows)} rows, {self._size} were written")
        entries = [self._entry(row) for row in rows]
        return now, [one for one in entries if one.instant is not None and one.effective]

    def _first_digest(self) -> str:
        query = "select key, value from about where key not in (?, ?) order by key"
        return chain_digest("", tuple(self._store.all(query, (HEAD, OWNER))))

    def _rows(self, where: str = "true", *values: object) -> list[Any]:
        query = f"select {COLUMNS} from inputs where {where} order by seq"
        return self._store.all(query, values)

    def _entries(self, where: str, *values: object) -> list[JournalEntry]:
        return [self._entry(row) for row in self._rows(where, *values)]

    def _entry(self, row: tuple[Any, ...]) -> JournalEntry:
        seq, kind, number, data, instant, answer, _, key, effective, _ = row
        if kind not in KINDS:
            raise self._store.damaged(f"row {seq} of its journal has the unknown kind {kind!r}")
        given = KINDS[kind](number, self._store.parsed(data), key)
        return JournalEntry(given, seq, instant, str(answer), bool(effective))


def chain_digest(before: str, cells: tuple[Any, ...]) -> str:
    """Return the digest of a row that follows another one."""
    return hashlib.sha256(ascii((before, *cells)).encode()).hexdigest()[:32]


def data_fields(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return data fields as JSON would give them back, checked."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        right = "must map names to values, such as {'InvoiceNo': 42}"
        raise scenario_error("data", right, value)
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())  # half a character, as "\ud800", has no bytes
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"data must hold what JSON can: {problem}") from None
    if size > MOST_BYTES:
        raise ScenarioError(f"data must not exceed {MOST_BYTES} bytes, got {size}")
    fields: dict[str, Any] = json.loads(text)
    return fields
