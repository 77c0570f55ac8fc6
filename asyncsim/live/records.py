"""The records of waits in the store, behind the mapping that `Waits` works with.

A record is read when somebody asks for it and forgotten when nobody works on it any more: memory
holds the waits that something is happening to at this moment, not those that wait.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from weakref import WeakValueDictionary

from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.live.journal import Input, Journal
from asyncsim.live.store import Store, as_json
from asyncsim.model.scenario import Scenario

COLUMNS = (
    "serial_number, instance, step, system, state, called, armed, completed, closed, checks, "
    "wasted_checks, deliveries, data, kept_since, kept_data, node, number"
)
WRITE = f"insert or replace into waits ({COLUMNS}) values ({', '.join('?' * 17)})"
READ = f"select {COLUMNS} from waits"
MANY = 20_000
"""Changed records that are kept before they are written, so that memory stays flat."""


class Records(MutableMapping[str, Wait]):
    """The records of a store by serial number.

    Parameters
    ----------
    store
        Where they are.
    names
        Step and system of each node of the process, by index; they are written into the record.
    """

    def __init__(self, store: Store, names: Mapping[int, tuple[str, str]] | None = None) -> None:
        self._store = store
        self._names = names or {}
        self._alive: WeakValueDictionary[str, Wait] = WeakValueDictionary()
        self._changed: dict[str, Wait] = {}

    def __getitem__(self, serial_number: str) -> Wait:
        wait = self._alive.get(serial_number)
        if wait is None:
            found = self._store.one(f"{READ} where serial_number = ?", (serial_number,))
            if found is None:
                raise KeyError(serial_number)
            wait = self._alive[serial_number] = self._wait_from(found)
        return wait

    def __contains__(self, serial_number: object) -> bool:
        known = serial_number in self._alive
        query = "select 1 from waits where serial_number = ?"
        return known or self._store.one(query, (serial_number,)) is not None

    def __setitem__(self, serial_number: str, wait: Wait) -> None:
        self._alive[serial_number] = wait
        self.changed(wait)

    def __delitem__(self, serial_number: str) -> None:
        raise TypeError("records of waits are kept")

    def __iter__(self) -> Iterator[str]:
        self.write()
        return iter([n for (n,) in self._store.all("select serial_number from waits")])

    def __len__(self) -> int:
        self.write()
        return int(self._store.one("select count(*) from waits")[0])

    def values(self) -> Any:
        """Return all records, by instance and activation."""
        self.write()
        rows = self._store.all(f"{READ} order by instance, number")
        return [self._alive.get(row[0]) or self._wait_from(row) for row in rows]

    def as_before_finish(self, serial_number: str) -> None:
        """Take back what another process has written, so that the finish can be played here."""
        wait = self.get(serial_number)
        if wait is not None and wait.state is State.FINISHED:
            wait.state, wait.closed, wait.data = State.ARMED, math.nan, None
            self.changed(wait)  # and keeps it alive until it is written

    def changed(self, wait: Wait) -> None:
        """Note that a record will have to be written."""
        self._changed[wait.serial_number] = wait
        if len(self._changed) >= MANY:
            self.write()

    def write(self) -> None:
        """Write what has changed; it is durable when the transaction ends."""
        if self._changed:
            changed, self._changed = self._changed, {}
            self._store.do_many(WRITE, (self._row(wait) for wait in changed.values()))

    def _row(self, wait: Wait) -> tuple[Any, ...]:
        step, system = self._names[wait.step]
        kept_since, kept_data = wait.buffered or (None, None)
        return (
            wait.serial_number,
            wait.row + 1,
            step,
            system,
            wait.state.value,
            wait.called,
            wait.armed,
            None if wait.completed == math.inf else wait.completed,
            wait.closed,
            wait.checks,
            wait.wasted_checks,
            wait.deliveries,
            as_json(wait.data),
            kept_since,
            as_json(kept_data),
            wait.step,
            wait.number,
        )

    def _wait_from(self, found: tuple[Any, ...]) -> Wait:
        """Make a wait of its record."""
        serial_number, instance, _, _, state, called, armed, completed, closed, *rest = found
        checks, wasted_checks, deliveries, data, kept_since, kept_data, node, number = rest
        parsed = self._store.parsed
        try:
            wait = Wait(serial_number, instance - 1, node, number, called)
            wait.state = State(state)
        except (TypeError, ValueError):
            raise self._store.damaged(f"the record of {serial_number!r} cannot be read") from None
        wait.armed = math.nan if armed is None else armed  # NaN is NULL in the database
        wait.completed = math.inf if completed is None else completed
        wait.closed = math.nan if closed is None else closed
        wait.checks, wait.wasted_checks, wait.deliveries = checks, wasted_checks, deliveries
        wait.data = parsed(data)
        wait.buffered = None if kept_since is None else (kept_since, parsed(kept_data))
        return wait


class StoredWaits(Waits):
    """The rules of finishing, for records in a store."""

    def __init__(self, scenario: Scenario, store: Store) -> None:
        super().__init__(scenario.server.policy)
        calls = [node for node in Graph.of(scenario.process).nodes if isinstance(node, Call)]
        names = {node.index: (node.name, node.step.system) for node in calls}
        self.records: Records = Records(store, names)
        self._store = store

    def changed(self, wait: Wait) -> None:
        """Have the record written."""
        self.records.changed(wait)

    def like(self, serial_number: str) -> Iterable[str]:
        """Return the numbers of the instance it begins with: others are somebody else's."""
        instance = re.match(r"\s*([0-9]{1,9})(?![0-9])", serial_number)
        if instance is None:
            return []
        self.records.write()
        query = "select serial_number from waits where instance = ?"
        return [number for (number,) in self._store.all(query, (int(instance[1]),))]


def finish_record(
    store: Store,
    waits: StoredWaits,
    serial_number: str,
    data: Mapping[str, Any] | None,
    key: str | None = None,
) -> Answer:
    """Finish a record in a process that does not play the scenario.

    The record is finished when this returns; the owner of the store lets the process go on when
    it next looks, or when it is started again.
    """
    journal = Journal(store)
    given = Input("finish", serial_number, data, key=key)
    with store.lock, store.transaction():
        now = journal.load()
        before = journal.with_key(key)
        if before is None:
            answer = waits.finish(serial_number, now, data)
            waits.records.write()
            if serial_number in waits.records:
                journal.note(given._replace(answer=answer.name).with_final_key())
                journal.reach()
            return answer
    given.repeats(before)
    return Answer[str(before.answer)]
