"""The journal of a live session: everything that came from outside, in order.

A scenario is a deterministic function of its random numbers and of these inputs, so description,
seed and journal are all that is needed to resume after a crash, or to play a session again.

Each row has a digest of itself and of the row before it; the first one follows from the
description of the session. The last digest, the number of rows and the instant reached stand in one
record, the *head*, with a digest of their own. So no row can be changed, taken out or put in
between without notice. It finds accidents; it is not a signature, which no program could compute
anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError
from asyncsim.live.store import OWNER, Store, as_json

HEAD = "head"
COLUMNS = "seq, kind, serial_number, data, instant, answer, noted_at, key, effective, digest"
INSERT = f"insert into inputs ({COLUMNS}) values ({', '.join('?' * 10)})"
LONGEST_KEY = 255
KEY = rf"[!-~]{{1,{LONGEST_KEY}}}"
NOT_BEGUN = -1.0
"""The instant reached when nothing has been played, not even what happens at the start."""
WITHOUT_ANSWER = "done"
"""The answer to what only happens; in older journals also to a retry."""
LATEST = 1000
"""Answers that a session shows."""


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
    key: str | None = None
    """The client's idempotency key, if the answer to it is final."""
    effective: bool = True
    """Whether it has changed anything; other inputs are kept, and not played again."""

    def with_final_key(self) -> Input:
        """Return this without its key if the answer to it may change when it is tried again."""
        if self.key is None or Answer[str(self.answer)].settled:
            return self
        return self._replace(key=None)

    @property
    def _asked(self) -> tuple[str, str | None, str]:
        return self.kind, self.serial_number, json.dumps(self.data or {}, sort_keys=True)

    def repeats(self, other: Input) -> bool:
        """Return whether this asks for the same as another input.

        Raises
        ------
        ScenarioError
            If it asks for something else with the same key.
        """
        if self._asked != other._asked:
            raise ScenarioError(
                f"key {self.key!r} was used to {other.kind} {other.serial_number!r} with "
                "other data or another number; take a new key for each finish"
            )
        return True


class Journal:
    """The journal in a store, and its head.

    Parameters
    ----------
    store
        Where it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now, self._size, self._digest = NOT_BEGUN, 0, ""

    # --- writing, in a transaction: `load`, changes, `reach` --------------------------------------

    def begin(self) -> None:
        """Chain all rows there are, and the head, to the description that the store holds now."""
        self._digest = self._first_digest()
        for row in self._store.all(f"select {COLUMNS} from inputs order by seq"):
            self._digest, self._size = chained(self._digest, row[:-1]), row[0]
            self._store.do("update inputs set digest = ? where seq = ?", (self._digest, row[0]))
        self.reach()

    def load(self) -> float:
        """Read the head, which another process may have moved; return the instant reached."""
        try:
            now, size, digest, check = self._store.about(HEAD)
            if check != chained(digest, (now, size)):
                raise ValueError
            self._now, self._size, self._digest = float(now), int(size), str(digest)
        except (TypeError, ValueError):
            raise self._store.damaged("the head of its journal is not intact") from None
        return self._now

    def note(self, given: Input) -> None:
        """Record an input at the end."""
        self._size += 1
        cells = (
            self._size,
            given.kind,
            given.serial_number,
            as_json(given.data),
            given.instant,
            given.answer,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            given.key,
            int(given.effective),
        )
        self._digest = chained(self._digest, cells)
        self._store.do(INSERT, (*cells, self._digest))

    def waiting(self) -> list[Input]:
        """Return the inputs of other processes that have not been played yet, in order.

        They are the last ones: each of them is to be played, and recorded by `played`.
        """
        found = self._inputs("instant is null")
        if found:
            before = "select digest from inputs where seq = ?"
            row = self._store.one(before, (found[0].seq - 1,))
            self._digest = self._first_digest() if row is None else row[0]
        return found

    def played(self, given: Input) -> None:
        """Record the instant at which an input of another process was played, and its effect."""
        row = self._store.one(f"select {COLUMNS} from inputs where seq = ?", (given.seq,))
        cells = (*row[:4], given.instant, *row[5:8], int(given.effective))
        self._digest = chained(self._digest, cells)
        self._store.do(
            "update inputs set instant = ?, effective = ?, digest = ? where seq = ?",
            (given.instant, int(given.effective), self._digest, given.seq),
        )

    def reach(self, now: float | None = None) -> None:
        """Write the head: the instant reached (left out, as before) and the last digest."""
        self._now = self._now if now is None else now
        check = chained(self._digest, (self._now, self._size))
        self._store.tell(HEAD, [self._now, self._size, self._digest, check])

    # --- reading ----------------------------------------------------------------------------------

    def _first_digest(self) -> str:
        """Return the digest of the description of the session."""
        rows = self._store.all(
            "select key, value from about where key not in (?, ?) order by key", (HEAD, OWNER)
        )
        return chained("", tuple(rows))

    def with_key(self, key: str | None) -> Input | None:
        """Return the input that came with an idempotency key, if there was one."""
        if key is None:
            return None
        row = self._store.one(f"select {COLUMNS} from inputs where key = ?", (key,))
        return None if row is None else self._input(row)

    def inputs(self) -> list[Input]:
        """Return all inputs that were played, in order, those without effect among them."""
        return self._inputs("instant is not null")

    def latest(self) -> list[Input]:
        """Return the last inputs that were played, in order."""
        last = (
            f"(select seq from inputs where instant is not null order by seq desc limit {LATEST})"
        )
        return self._inputs(f"seq in {last}")

    def _inputs(self, where: str) -> list[Input]:
        query = f"select {COLUMNS} from inputs where {where} order by seq"
        return [self._input(row) for row in self._store.all(query)]

    def turned_away(self) -> list[tuple[str, int, int, float, str]]:
        """Return number, instance, node, instant and answer of each finish without effect."""
        return self._store.all(
            "select i.serial_number, w.instance, w.node, i.instant, i.answer from inputs i "
            "join waits w on w.serial_number = i.serial_number "
            "where i.kind = 'finish' and not i.effective and i.instant is not null order by i.seq"
        )

    def verify_description(self) -> None:
        """Check that the description of the session is the one that the journal begins with.

        Raises
        ------
        StoreError
            If it has been changed.
        """
        with self._store.lock, self._store.snapshot():
            self.load()
            row = self._store.one(f"select {COLUMNS} from inputs where seq = 1")
            digest = self._first_digest()
        found, kept = digest, self._digest
        if row is not None:
            found, kept = chained(digest, row[:-1]), row[-1]
        if found != kept:
            raise self._store.damaged(
                "the description of its session, or row 1 of its journal, is not as it was written"
            )

    def verified(self) -> tuple[float, list[Input]]:
        """Return the instant reached and the inputs to be played again, after a check of all rows.

        Raises
        ------
        StoreError
            If anything has been changed.
        """
        store = self._store
        with store.lock, store.snapshot():
            found = store.one("pragma integrity_check(1)")
            if found is None or found[0] != "ok":
                raise store.damaged(str(found[0] if found else "its pages are not intact"))
            now = self.load()
            rows = store.all(f"select {COLUMNS} from inputs order by seq")
            digest = self._first_digest()
        for k, row in enumerate(rows):
            digest = chained(digest, row[:-1])
            if row[0] != k + 1 or digest != row[-1]:
                raise store.damaged(f"row {k + 1} of its journal is not as it was written")
        if (len(rows), digest) != (self._size, self._digest):
            raise store.damaged(f"its journal has {len(rows)} rows, {self._size} were written")
        return now, list(self._to_play(rows))

    def _to_play(self, rows: list[Any]) -> Iterator[Input]:
        for row in rows:
            if row[4] is not None and row[8]:
                yield self._input(row)

    def _input(self, row: tuple[Any, ...]) -> Input:
        seq, kind, number, data, instant, answer, noted_at, key, effective, _ = row
        fields = self._store.parsed(data)
        return Input(kind, number, fields, seq, instant, answer, noted_at, key, bool(effective))


def chained(before: str, cells: tuple[Any, ...]) -> str:
    """Return the digest of a row that follows another one."""
    return hashlib.sha256(ascii((before, *cells)).encode()).hexdigest()[:32]


def idempotency_key(key: object) -> str | None:
    """Return an idempotency key, checked; None for none.

    Raises
    ------
    ScenarioError
        If it is not 1 to 255 visible ASCII characters.
    """
    if key is None:
        return None
    if isinstance(key, str) and re.fullmatch(KEY, key):
        return key
    raise ScenarioError(f"key must be 1 to {LONGEST_KEY} visible ASCII characters, got {key!r:.60}")
