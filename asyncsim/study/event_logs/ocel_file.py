"""A run as OCEL 2.0 in JSON, written piece by piece so that a large run needs no large tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.study.event_logs import ocel
from asyncsim.study.event_logs.stamps import in_utc
from asyncsim.study.event_logs.streams import text_file
from asyncsim.study.event_logs.tabular import facts

CHUNK = 50_000
"""So many events are text in memory at a time."""
RELATED = {
    "step": {"external system": "calls"},
    "serial number": {"instance": "waits for", "step": "in", "external system": "handed to"},
}
"""Qualifiers of the relations of objects to others."""


def write_ocel(run: Run, path: Path) -> None:
    """Write OCEL 2.0 in JSON; see `asyncsim.study.event_logs.ocel` for what is in it.

    Beside the four parts of the standard the file has a key ``asyncsim``, which says what was
    played and what its clock is.
    """
    with text_file(path) as file:
        file.write("{\n")
        file.write(f'"objectTypes": {_types(ocel.OBJECT_TYPES)},\n')
        file.write(f'"eventTypes": {_types(ocel.event_types())},\n')
        file.write(f'"asyncsim": {json.dumps(facts(run))},\n"objects": [\n')
        file.writelines(_separated(_objects(run)))
        file.write('],\n"events": [\n')
        file.writelines(_separated(_events(run)))
        file.write("]\n}\n")


def _types(types: dict[str, dict[str, str]]) -> str:
    return json.dumps(
        [
            {
                "name": name,
                "attributes": [{"name": key, "type": kind} for key, kind in attributes.items()],
            }
            for name, attributes in types.items()
        ]
    )


def _separated(chunks: Iterable[list[str]]) -> Iterator[str]:
    """Put a comma between all texts of all chunks."""
    between = ""
    for chunk in chunks:
        if chunk:
            yield between + ",\n".join(chunk)
            between = ",\n"
    yield "\n"


def _objects(run: Run) -> Iterator[list[str]]:
    for kind, table in ocel.objects(run):
        for start in range(0, len(table), CHUNK):
            yield _object_texts(run, kind, table[start : start + CHUNK])


def _object_texts(run: Run, kind: str, rows: pd.DataFrame) -> list[str]:
    columns = []
    for name, type_ in ocel.OBJECT_TYPES[kind].items():
        values = _times(run, rows[name]) if type_ == "time" else rows[name]
        own = f"{name}_known_at"
        known_at = _times(run, rows[own if own in rows else "known_at"])
        columns.append(
            [
                f',{{"name":"{name}","time":"{at}","value":{text}}}' if text else ""
                for text, at in zip(_encoded(values, type_), known_at, strict=True)
            ]
        )
    attributes = _joined(columns, len(rows))
    relations = _relations(rows, RELATED.get(kind, {}))
    names = [f"{kind} {name}" for name in rows["name"].tolist()]
    return [
        f'{{"id":{json.dumps(name)},"type":"{kind}","attributes":[{has[1:]}],'
        f'"relationships":[{to[1:]}]}}'
        for name, has, to in zip(names, attributes, relations, strict=True)
    ]


def _events(run: Run) -> Iterator[list[str]]:
    log = ocel.events(run)
    for start in range(0, len(log), CHUNK):
        chunk = log[start : start + CHUNK]
        texts = np.empty(len(chunk), dtype=object)
        times = np.array(_times(run, chunk["seconds"]), dtype=object)
        kinds = chunk["kind"].to_numpy()
        for k in np.unique(kinds).tolist():
            rows = np.flatnonzero(kinds == k)
            texts[rows] = _event_texts(
                ocel.EVENT_TYPES[k], chunk.iloc[rows], times[rows], rows + start
            )
        yield texts.tolist()


def _event_texts(kind: ocel.EventType, rows: pd.DataFrame, times: Any, places: Any) -> list[str]:
    attributes = [
        [
            f',{{"name":"{name}","value":{text}}}' if text else ""
            for text in _encoded(rows[name], of)
        ]
        for name, of in kind.attributes.items()
    ]
    each = zip(
        (places + 1).tolist(),
        times,
        _joined(attributes, len(rows)),
        _relations(rows, kind.objects),
        strict=True,
    )
    return [
        f'{{"id":"e{place}","type":"{kind.name}","time":"{at}","attributes":[{has[1:]}],'
        f'"relationships":[{to[1:]}]}}'
        for place, at, has, to in each
    ]


def _relations(rows: pd.DataFrame, qualifiers: dict[str, str]) -> list[str]:
    """Return relations to objects as JSON, each with a comma before it."""
    columns = []
    for kind, qualifier in qualifiers.items():
        values = rows[ocel.COLUMNS[kind]]
        there = values.notna().tolist()
        columns.append(
            [
                f',{{"objectId":{json.dumps(f"{kind} {name}")},"qualifier":"{qualifier}"}}'
                if known
                else ""
                for name, known in zip(values.tolist(), there, strict=True)
            ]
        )
    return _joined(columns, len(rows))


def _joined(columns: list[list[str]], length: int) -> list[str]:
    return ["".join(parts) for parts in zip(*columns, strict=True)] or [""] * length


def _times(run: Run, seconds: pd.Series[float]) -> list[str]:
    return in_utc(run.scenario.calendar.timestamps(seconds.to_numpy()))


def _encoded(values: pd.Series[Any] | list[str], type_: str) -> list[str]:
    """Return values as JSON, and an empty text for one that is not there."""
    column = pd.Series(values)
    if type_ in ("string", "time"):
        codes, distinct = pd.factorize(column)
        texts = [*(json.dumps(str(text)) for text in distinct), ""]
        return [texts[code] for code in codes.tolist()]
    there = column.notna().tolist()
    convert = int if type_ == "integer" else float
    return [
        repr(convert(value)) if known else ""
        for value, known in zip(column.tolist(), there, strict=True)
    ]
