"""Data fields: what a finish hands back, and what an instance knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from asyncsim.errors import ScenarioError
from asyncsim.live.store import Store, as_json
from asyncsim.model.described import shown

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
