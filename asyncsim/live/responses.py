"""What a user's function makes of the immediate response to a call, before the step waits.

Data fields: what a finish hands back, and what an instance knows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from attrs import define, field

from asyncsim.engine.graph import Call
from asyncsim.engine.waits import Wait
from asyncsim.errors import ScenarioError
from asyncsim.live.journal import chained
from asyncsim.live.store import Store, as_json
from asyncsim.model.validation import shown

MOST_BYTES = 65_536


def data_fields(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return data fields as JSON would give them back, checked.

    Raises
    ------
    ScenarioError
        If they are no mapping of names to JSON values, or larger than 64 kB.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ScenarioError(
            f"data must map names to values, such as {{'InvoiceNo': 42}}, got {shown(value)}"
        )
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())  # half a character, as "\ud800", has no bytes
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"data must hold what JSON can: {problem}") from None
    if size > MOST_BYTES:
        raise ScenarioError(f"data must not exceed {MOST_BYTES} bytes, got {size}")
    fields: dict[str, Any] = json.loads(text)
    return fields


class StoredFields(MutableMapping[int, Mapping[str, Any]]):
    """Data fields of instances, by row, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        found = self._store.one("select data from fields where instance = ?", (row + 1,))
        if found is None:
            raise KeyError(row)
        return self._store.parsed(found[0]) or {}

    def __setitem__(self, row: int, data: Mapping[str, Any]) -> None:
        self._store.do("insert or replace into fields values (?, ?)", (row + 1, as_json(data)))

    def __delitem__(self, row: int) -> None:
        self._store.do("delete from fields where instance = ?", (row + 1,))

    def __iter__(self) -> Iterator[int]:
        return iter([n - 1 for (n,) in self._store.all("select instance from fields")])

    def __len__(self) -> int:
        return int(self._store.one("select count(*) from fields")[0])


logger = logging.getLogger("asyncsim")
RESPONSES = ("accepted", "done", "rejected")


@define
class OutgoingCall:
    """A call that has just been answered; its step has not begun to wait.

    A function given as ``on_response`` sees one of these. It may set data fields
    (``call.fields["Score"] = 7``) and return ``"accepted"`` (wait), ``"done"`` (do not wait),
    ``"rejected"`` (the step fails) or nothing, which leaves the response as it is. It may talk to a
    real system: this is the place. The session stands still meanwhile, so such a talk needs a short
    time-out, and who calls back into the session before it is over is answered after it. The
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
Replayed = Mapping[str, tuple[str, str | None]]
"""What functions have answered, with the data fields as text, by serial number."""


class Responses:
    """Asks a user's functions, and keeps what they said: playing again does not ask again.

    A call is asked about once, or again if the process was killed before the answer was durable.

    Parameters
    ----------
    handlers
        Functions by the name of the step.
    store
        Where their answers are kept, so that playing again does not call them again.
    replayed
        Answers to go by while a session is played again: no function is called meanwhile.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], store: Store, replayed: Replayed | None = None
    ) -> None:
        self._handlers = handlers
        self._store = store
        self.replayed = replayed

    def to_call(
        self, wait: Wait, node: Call, drawn: str, fields: Mapping[str, Any], ask: bool
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Return the response to a call, and data fields to set.

        A twin does not `ask`: if it makes the call before the main lane does, it goes by `drawn`.
        """
        if self.replayed is not None:
            known = self.replayed.get(wait.serial_number)
        else:
            query = "select response, data from responses where serial_number = ?"
            known = self._store.one(query, (wait.serial_number,))
        if known is not None:
            return known[0], self._store.parsed(known[1])
        handler = self._handlers.get(node.name)
        if handler is None or not ask or self.replayed is not None:
            return drawn, None
        place = wait.serial_number, wait.row + 1, node.name, node.step.system
        call = OutgoingCall(*place, drawn, dict(fields))
        try:
            response = handler(call) or drawn
            if response not in RESPONSES:
                words = ", ".join(repr(word) for word in RESPONSES)
                raise ScenarioError(f"must return one of {words} or nothing, got {response!r}")
            data = data_fields(call.fields)
        except Exception as problem:  # a user's code may raise anything
            logger.exception("on_response of %r failed for %s", node.name, wait.serial_number)
            response, data = "rejected", {"error": f"{type(problem).__name__}: {problem}"}
        keep_response(self._store, wait.serial_number, response, as_json(data))
        return response, data


def keep_response(store: Store, serial_number: str, response: str, data: str | None) -> None:
    """Record what a function has answered, with the data fields as text."""
    cells = serial_number, response, data
    store.do("insert into responses values (?, ?, ?, ?)", (*cells, chained("", cells)))


def kept_responses(store: Store) -> dict[str, tuple[str, str | None]]:
    """Return what functions have answered, by serial number, checked.

    Raises
    ------
    StoreError
        If an answer is not as it was written.
    """
    found = {}
    for *cells, digest in store.all("select * from responses"):
        if chained("", tuple(cells)) != digest:
            raise store.damaged(
                f"the response to the call of {cells[0]!r} is not as it was written"
            )
        found[cells[0]] = (cells[1], cells[2])
    return found
