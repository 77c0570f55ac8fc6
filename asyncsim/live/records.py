"""The records in the store: waits, data fields of instances, and responses to calls.

`Records` stands behind the mapping that `asyncsim.engine.waits.Waits` works with. A record is read
on demand and forgotten when nothing refers to it any more: memory holds the waits that something
happens to at this moment, not all those that are open.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from weakref import WeakValueDictionary

import pandas as pd
from attrs import define, field

from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.result import with_timestamps
from asyncsim.engine.waits import State, Wait, Waits
from asyncsim.errors import ScenarioError
from asyncsim.live.journal import chain_digest, data_fields
from asyncsim.live.store import Store, as_json
from asyncsim.model.scenario import Scenario
from asyncsim.model.validation import scenario_error

logger = logging.getLogger("asyncsim")

COLUMNS = (
    "serial_number, instance, step, system, state, called, armed, completed, closed, checks, "
    "wasted_checks, deliveries, data, kept_since, kept_data, node, number"
)
WRITE = f"insert or replace into waits ({COLUMNS}) values ({', '.join('?' * 17)})"
READ = f"select {COLUMNS} from waits"
MANY = 20_000  # changed records that are kept before they are written, so that memory stays flat
SHOWN = "serial_number instance step system state called armed completed closed checks deliveries"
LONGEST_LIKE = 1000  # characters; SQLite takes no pattern that is much longer
LIKE = " or ".join(f"w.{name} like ? escape '!'" for name in ("serial_number", "step", "system"))


class Records(MutableMapping[str, Wait]):
    """The waits of a store by serial number; `names` has step and system of each node."""

    def __init__(self, store: Store, names: Mapping[int, tuple[str, str]]) -> None:
        self._store = store
        self._names = names
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
        return (wait.serial_number for wait in self.values())

    def __len__(self) -> int:
        return len(self.values())

    def values(self) -> Any:
        """Return all waits, by instance and activation."""
        self.write()
        rows = self._store.all(f"{READ} order by instance, number")
        return [self._alive.get(row[0]) or self._wait_from(row) for row in rows]

    def reopen(self, serial_number: str) -> None:
        """Undo a finish that another process has written, so that it can be played here."""
        wait = self.get(serial_number)
        if wait is not None and wait.state is State.FINISHED:
            wait.state, wait.closed, wait.data = State.ARMED, math.nan, None
            self.changed(wait)  # and keeps it alive until it is written

    def changed(self, wait: Wait) -> None:
        """Mark a wait to be written."""
        self._changed[wait.serial_number] = wait
        if len(self._changed) >= MANY:
            self.write()

    def write(self) -> None:
        """Write what has changed; it is durable when the transaction ends."""
        if self._changed:
            changed, self._changed = self._changed, {}
            self._store.do_many(WRITE, (self._row(wait) for wait in changed.values()))

    def _row(self, wait: Wait) -> tuple[Any, ...]:
        completed = None if wait.completed == math.inf else wait.completed
        kept_since, kept_data = wait.buffered or (None, None)
        place = wait.serial_number, wait.row + 1, *self._names[wait.step]
        times = wait.called, wait.armed, completed, wait.closed
        counts = wait.checks, wait.wasted_checks, wait.deliveries
        data = as_json(wait.data), kept_since, as_json(kept_data)
        return (*place, wait.state.value, *times, *counts, *data, wait.step, wait.number)

    def _wait_from(self, found: tuple[Any, ...]) -> Wait:
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

    records: Records

    def __init__(self, scenario: Scenario, store: Store) -> None:
        super().__init__(scenario.server.policy)
        calls = [node for node in Graph.of(scenario.process).nodes if isinstance(node, Call)]
        names = {node.index: (node.name, node.step.system) for node in calls}
        self.records = Records(store, names)
        self._store = store

    def changed(self, wait: Wait) -> None:
        """Mark a wait to be written."""
        self.records.changed(wait)

    def like(self, serial_number: str) -> Iterable[str]:
        """Return the numbers of the same instance: never propose the step of another one."""
        instance = re.match(r"\s*([0-9]{1,9})(?![0-9])", serial_number)
        if instance is None:
            return []
        self.records.write()
        query = "select serial_number from waits where instance = ?"
        return [number for (number,) in self._store.all(query, (int(instance[1]),))]


def waiting_page(
    store: Store, scenario: Scenario, now: float, like: str, first: int, most: int
) -> tuple[int, pd.DataFrame]:
    """Return how many waiting records match a text, and `most` of them from `first` on."""
    if len(like) > LONGEST_LIKE:
        raise scenario_error("like", f"must have {LONGEST_LIKE} characters at most", like)
    plain = re.sub("([%_!])", r"!\1", like)
    matches = (f"{plain}%", f"%{plain}%", f"%{plain}%") if like else ()
    where = f" and ({LIKE})" if like else ""
    names = ["serial_number", "instance", "process", "step", "system"]
    seconds = ["armed", "waiting_for", "deadline"]
    with store.lock:
        count = f"select count(*) from waits w where w.state = 'waiting'{where}"
        total = int(store.one(count, matches)[0])
        query = (
            "select w.serial_number, w.instance, ?, w.step, w.system, w.armed, ? - w.armed, d.due "
            "from waits w left join deadlines d on d.serial_number = w.serial_number "
            f"where w.state = 'waiting'{where} order by w.instance, w.number limit ? offset ?"
        )
        rows = store.all(query, (scenario.process.name, now, *matches, most, first))
    table = pd.DataFrame(rows, columns=[*names, *seconds]).astype(dict.fromkeys(seconds, float))
    return total, with_timestamps(table, scenario.calendar, ("armed", "deadline"))


def wait_records(store: Store, column: str, value: object) -> list[dict[str, Any]]:
    """Return the waits with a value in a column as mappings; times are seconds or None."""
    names = [*SHOWN.split(), "data"]
    query = (
        f"select {', '.join(f'w.{name}' for name in names)}, d.due from waits w "
        "left join deadlines d on d.serial_number = w.serial_number "
        f"where w.{column} = ? order by w.number"
    )
    rows = store.all(query, (value,))
    records = [dict(zip((*names, "deadline"), row, strict=True)) for row in rows]
    return [one | {"data": store.parsed(one["data"])} for one in records]


class StoredFields:
    """Data fields of instances, by row, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, row: int, default: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of an instance, or the default if it has none."""
        found = self._store.one("select data from fields where instance = ?", (row + 1,))
        return default if found is None else self._store.parsed(found[0]) or {}

    def __setitem__(self, row: int, data: Mapping[str, Any]) -> None:
        self._store.do("insert or replace into fields values (?, ?)", (row + 1, as_json(data)))


@define
class OutgoingCall:
    """A call that has just been answered; its step does not wait yet.

    A function given as ``on_response`` receives one of these. It may set data fields
    (``call.fields["Score"] = 7``) and return ``"accepted"`` (wait), ``"done"`` (do not wait),
    ``"rejected"`` (the step fails) or nothing, which leaves the response as it is. It may call a
    real system: this is the place. The session stands still meanwhile, so such a call needs a short
    time-out, and a request to the session that arrives before it is over is answered after it. The
    function may look at the session, not act in it.

    >>> def look(call):
    ...     call.fields["Score"] = 7
    ...     return "done" if call.response == "accepted" else None
    >>> call = sim.OutgoingCall("5_31", 5, "score", system="bureau", response="accepted")
    >>> look(call), call.fields
    ('done', {'Score': 7})
    """

    serial_number: str
    instance: int
    step: str
    system: str
    response: str
    """What the system has answered: accepted, done or rejected."""
    fields: dict[str, Any] = field(factory=dict)
    """Data fields of the instance."""


Handler = Callable[[OutgoingCall], str | None]
# The answers of functions, with the data fields as text, by serial number
ResponseRecords = Mapping[str, tuple[str, str | None]]


class Responses:
    """Calls the functions of the user by step, and stores their answers for a replay."""

    def __init__(
        self, handlers: Mapping[str, Handler], store: Store, replayed: ResponseRecords | None = None
    ) -> None:
        self._handlers = handlers
        self._store = store
        self.replayed = replayed

    def to_call(
        self, wait: Wait, node: Call, drawn: str, fields: Mapping[str, Any], ask: bool
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Return the response to a call, and data fields; a twin uses `drawn`."""
        handler = self._handlers.get(node.name) if ask and self.replayed is None else None
        if self.replayed is not None:
            known = self.replayed.get(wait.serial_number)
        else:
            query = "select response, data from responses where serial_number = ?"
            known = self._store.one(query, (wait.serial_number,))
        if known is not None:
            return known[0], self._store.parsed(known[1])
        if handler is None:
            return drawn, None
        place = wait.serial_number, wait.row + 1, node.name, node.step.system
        call = OutgoingCall(*place, drawn, dict(fields))
        try:
            response = handler(call) or drawn
            if response not in ("accepted", "done", "rejected"):
                words = "'accepted', 'done', 'rejected'"
                raise ScenarioError(f"must return one of {words} or nothing, got {response!r}")
            data = data_fields(call.fields)
        except Exception as problem:  # a user's code may raise anything
            logger.exception("on_response of %r failed for %s", node.name, wait.serial_number)
            response, data = "rejected", {"error": f"{type(problem).__name__}: {problem}"}
        store_response(self._store, wait.serial_number, response, as_json(data))
        return response, data


def store_response(store: Store, serial_number: str, response: str, data: str | None) -> None:
    """Record the answer of a function, with the data fields as text."""
    cells = serial_number, response, data
    store.do("insert into responses values (?, ?, ?, ?)", (*cells, chain_digest("", cells)))


def stored_responses(store: Store) -> dict[str, tuple[str, str | None]]:
    """Return the answers of functions by serial number, checked."""
    found = {}
    for *cells, digest in store.all("select * from responses"):
        if chain_digest("", tuple(cells)) != digest:
            what = f"the response to the call of {cells[0]!r}"
            raise store.damaged(f"{what} is not as it was written")
        found[cells[0]] = (cells[1], cells[2])
    return found
