"""A run as objects and events, in the terms of OCEL 2.0 (https://www.ocel-standard.org).

===================== ==========================================================================
type of object        what it is
===================== ==========================================================================
``instance``          an instance of the process
``step``              a step of the process
``serial number``     the wait of an asynchronous step, or what a callback came for before it waited
``external system``   who does the outside work
===================== ==========================================================================

A serial number belongs to its instance and its step, and is handed to an external system
(relations between objects). Every event names the objects it happened to, and the step as an
attribute, too, for readers that flatten; checks are too many to be events, and are counted in the
serial number.

A value of an object holds from the instant at which it is known: the step of a serial number from
the arming of the wait, outcome and figures from its closing, the number of deliveries, which late
ones add to, from the end of the run. One that never came, such as the latency of an open wait, is
left out.

A run as OCEL 2.0 in JSON, written piece by piece so that a large run needs no large tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from attrs import Factory, frozen

from asyncsim.engine.graph import Graph
from asyncsim.engine.run import Run
from asyncsim.eventlog.tabular import facts, in_utc, text_file
from asyncsim.model.process import AsyncStep

LAST = 2**31
"""In place of an activation number: after all steps of an instance."""


@frozen
class EventType:
    """A type of events, and where to find them.

    Attributes
    ----------
    name
        What it is called.
    table, at
        The table of the run that has them as rows, and its column of their seconds.
    attributes
        Types of its attributes, by their column.
    objects
        Qualifiers of its relations, by the type of object.
    outcomes
        Only rows with one of these outcomes are such events; by default all.
    """

    name: str
    table: str
    at: str
    attributes: dict[str, str] = Factory(dict)
    objects: dict[str, str] = Factory(dict)
    outcomes: tuple[str, ...] = ()


INSTANCE = {"instance": "of"}
WORK = INSTANCE | {"step": "in"}
WAIT = WORK | {"serial number": "under"}
OUTCOME = {"outcome": "string"}
ATTEMPT = {"attempt": "integer"}
STEP = {"step": "string"}

EVENT_TYPES = (
    EventType("instance arrived", "instances", "arrived", {}, INSTANCE),
    EventType("step queued", "work", "queued", STEP, WORK),
    EventType("step started", "work", "started", STEP, WORK),
    EventType("step completed", "work", "ended", STEP | OUTCOME, WORK),
    EventType("call queued", "calls", "queued", STEP, WAIT),
    EventType("call started", "calls", "started", STEP, WAIT | {"external system": "to"}),
    EventType("wait armed", "waits", "armed", STEP, WAIT),
    EventType(
        "completed outside", "waits", "completed", STEP, WAIT | {"external system": "by"}
    ),
    EventType(
        "callback sent", "callbacks", "sent", STEP | ATTEMPT, WAIT | {"external system": "by"}
    ),
    EventType(
        "callback lost", "deliveries", "sent", STEP | ATTEMPT, WAIT, outcomes=("lost",)
    ),
    EventType(
        "callback given up", "deliveries", "sent", STEP, WAIT, outcomes=("dead letter",)
    ),
    EventType("callback arrived", "callbacks", "arrived", STEP | ATTEMPT, WAIT),
    EventType("callback answered", "callbacks", "handled", STEP | ATTEMPT | OUTCOME, WAIT),
    EventType("wait resumed", "waits", "resumed", STEP | {"latency": "float"}, WAIT),
    EventType("wait timed out", "waits", "closed", STEP, WAIT, outcomes=("timed out",)),
    EventType("wait given up", "waits", "closed", STEP, WAIT, outcomes=("gave up",)),
    EventType("wait cancelled", "waits", "closed", STEP, WAIT, outcomes=("cancelled",)),
    EventType(
        "step completed", "calls", "ended", STEP | OUTCOME, WORK, outcomes=("resumed", "done")
    ),
    EventType(
        "step failed", "calls", "ended", STEP | OUTCOME, WORK,
        outcomes=("rejected", "timed out", "gave up"),
    ),
    EventType(
        "step cancelled", "calls", "ended", STEP | OUTCOME, WORK, outcomes=("cancelled",)
    ),
    EventType("instance ended", "instances", "ended", OUTCOME, INSTANCE),
)  # fmt: skip
"""In the order in which they happen at one instant to one step."""

COLUMNS = {
    "instance": "instance",
    "step": "step",
    "serial number": "serial_number",
    "external system": "system",
}
"""Where tables have the objects of each type."""
OBJECT_TYPES = {
    "instance": {"arrived": "time", "outcome": "string", "cycle_time": "float"},
    "step": {"kind": "string"},
    "serial number": {
        "step": "string",
        "outcome": "string",
        "latency": "float",
        "checks": "integer",
        "wasted_checks": "integer",
        "deliveries": "integer",
    },
    "external system": {"kind": "string"},
}
"""Attributes of objects, and their types; latency and cycle time are seconds."""


def event_types() -> dict[str, dict[str, str]]:
    """Return the attributes of every type of events, and their types."""
    found: dict[str, dict[str, str]] = {}
    for kind in EVENT_TYPES:
        found[kind.name] = found.get(kind.name, {}) | kind.attributes
    return found


def events(run: Run) -> pd.DataFrame:
    """Return all events of a run in time: seconds, kind (place in `EVENT_TYPES`), and their values.

    The columns are ``seconds, kind, instance, step, system, serial_number, outcome, attempt,
    latency``; empty where an event has no such thing.
    """
    tables = _tables(run)
    activations = run.scenario.process.activations
    parts = []
    for rank, kind in enumerate(EVENT_TYPES):
        table = tables[kind.table]
        found = table[kind.at].notna()
        if kind.outcomes:
            found &= table["outcome"].isin(kind.outcomes)
        rows = table[found]
        wanted = {"instance", *kind.attributes}
        wanted |= {COLUMNS[of] for of in kind.objects}
        part = rows[sorted(wanted)].assign(seconds=rows[kind.at], kind=rank)
        edge = LAST if kind.at == "ended" else 0
        part["order"] = rows["step"].map(activations) if "step" in wanted else edge
        parts.append(part)
    log = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    log = log.sort_values(["seconds", "instance", "order", "kind"], ignore_index=True)
    every = ["seconds", "kind", "instance", "step", "system", "serial_number"]
    return log.reindex(columns=[*every, "outcome", "attempt", "latency"])


def _tables(run: Run) -> dict[str, pd.DataFrame]:
    """Return the tables of a run by the names that `EventType.table` has."""
    numbers, steps = serial_numbers(run), run.steps
    calls = steps[steps["kind"] == "async step"]
    # An operator's retry gives a step another number, and its times are those of the last try
    last = numbers.drop_duplicates(["instance", "step"], keep="last")
    known = numbers.set_index("serial_number")[["instance", "step", "system"]]
    deliveries = run.deliveries.join(known, on="serial_number")
    return {
        "instances": run.instances,
        "work": steps[steps["kind"] == "step"],
        "calls": calls.merge(last, "left", ["instance", "step"]).assign(
            system=calls["step"].map(_systems(run)).to_numpy()
        ),
        "waits": run.waits,
        "deliveries": deliveries,
        "callbacks": deliveries[deliveries["outcome"] != "dead letter"],
    }


def serial_numbers(run: Run) -> pd.DataFrame:
    """Return every serial number that waited or was called back for, in order of its instance.

    The columns are ``serial_number, instance, step, system``.
    """
    waits = run.waits[["serial_number", "instance", "step", "system"]]
    late = run.record.deliveries
    names = np.array([node.name for node in Graph.of(run.scenario.process).nodes], dtype=object)
    called = run.deliveries[["serial_number"]].assign(instance=late.row + 1, step=names[late.node])
    called["system"] = called["step"].map(_systems(run))
    called = called[~called["serial_number"].isin(waits["serial_number"])]
    found = pd.concat([waits, called.drop_duplicates("serial_number")], ignore_index=True)
    found = found.astype({"serial_number": "str", "step": "str"})  # also if there are none
    return found.sort_values("instance", kind="stable", ignore_index=True)


def objects(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each type of object with a table of its objects.

    ``name`` and the type make the id of an object. ``known_at`` is the instant in seconds from
    which its values hold, but for those that have an instant of their own, ``<value>_known_at``.
    """
    end, systems, process = run.record.end, run.scenario.systems, run.scenario.process
    kinds = [type(system).__name__ for system in systems.values()]
    yield "external system", pd.DataFrame({"name": list(systems), "kind": kinds, "known_at": 0.0})
    called = _systems(run)
    steps = list(process.activations)
    kinds = ["async step" if name in called else "step" for name in steps]
    found = pd.DataFrame({"name": steps, "kind": kinds, "known_at": 0.0})
    yield "step", found.assign(system=found["name"].map(called))
    found = run.instances
    yield (
        "instance",
        found.assign(
            name=found["instance"],
            known_at=found["ended"].fillna(end),
            arrived_known_at=found["arrived"],
        ),
    )
    waits = run.waits.drop(columns=["instance", "step", "system"])
    found = serial_numbers(run).merge(waits, "left", "serial_number")
    yield (
        "serial number",
        found.assign(
            name=found["serial_number"],
            known_at=found["closed"].fillna(end),
            step_known_at=found["armed"].fillna(end),
            deliveries_known_at=end,
        ),
    )


def _systems(run: Run) -> dict[str, str]:
    return {step.name: step.system for step in run.scenario.process.of_type(AsyncStep)}


CHUNK = 50_000
"""So many events are text in memory at a time."""
RELATED = {
    "step": {"external system": "calls"},
    "serial number": {"instance": "waits for", "step": "in", "external system": "handed to"},
}
"""Qualifiers of the relations of objects to others."""


def write_ocel(run: Run, path: Path) -> None:
    """Write OCEL 2.0 in JSON; see `asyncsim.eventlog.ocel` for what is in it.

    Beside the four parts of the standard the file has a key ``asyncsim``, which says what was
    played and what its clock is.
    """
    with text_file(path) as file:
        file.write("{\n")
        file.write(f'"objectTypes": {_types(OBJECT_TYPES)},\n')
        file.write(f'"eventTypes": {_types(event_types())},\n')
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
    for kind, table in objects(run):
        for start in range(0, len(table), CHUNK):
            yield _object_texts(run, kind, table[start : start + CHUNK])


def _object_texts(run: Run, kind: str, rows: pd.DataFrame) -> list[str]:
    columns = []
    for name, type_ in OBJECT_TYPES[kind].items():
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
    log = events(run)
    for start in range(0, len(log), CHUNK):
        chunk = log[start : start + CHUNK]
        texts = np.empty(len(chunk), dtype=object)
        times = np.array(_times(run, chunk["seconds"]), dtype=object)
        kinds = chunk["kind"].to_numpy()
        for k in np.unique(kinds).tolist():
            rows = np.flatnonzero(kinds == k)
            texts[rows] = _event_texts(EVENT_TYPES[k], chunk.iloc[rows], times[rows], rows + start)
        yield texts.tolist()


def _event_texts(kind: EventType, rows: pd.DataFrame, times: Any, places: Any) -> list[str]:
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
        values = rows[COLUMNS[kind]]
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
