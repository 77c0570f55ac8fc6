"""A run as objects and events, in OCEL 2.0 (https://www.ocel-standard.org), written as JSON.

===================== ==========================================================================
type of object        what it is
===================== ==========================================================================
``instance``          an instance of the process
``step``              a step of the process
``serial number``     the wait of an asynchronous step, or of a callback that came before it waited
``external system``   where the outside work is done
===================== ==========================================================================

A serial number is related to its instance, its step and its external system, an event to the
objects that take part. The step is also an attribute of events, for readers that flatten the log.
Checks are not events, since there are too many; serial numbers count them.

A value of an object holds from the instant at which it is known: the step of a serial number from
the arming of the wait, outcome and metrics from its closing, the number of deliveries from the end
of the run, since late ones add to it. A value that never came, such as the latency of an open wait,
is left out.
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
from asyncsim.eventlog.text_output import in_utc, run_description, text_file
from asyncsim.model.process import AsyncStep

LAST = 2**31  # in place of an activation number: after all steps of an instance
CHUNK = 50_000  # events or objects that are text in memory at a time


@frozen
class EventType:
    """A type of events, and the rows of a run that have them."""

    name: str  # in the log
    table: str  # of the run, see `_tables`
    at: str  # its column of instants in seconds
    attributes: dict[str, str] = Factory(dict)  # types, by column
    objects: dict[str, str] = Factory(dict)  # qualifiers of its relations, by type of object
    outcomes: tuple[str, ...] = ()  # of the rows that are such events; by default all


INSTANCE = {"instance": "of"}
WORK = INSTANCE | {"step": "in"}
WAIT = WORK | {"serial number": "under"}
OUTCOME = {"outcome": "string"}
ATTEMPT = {"attempt": "integer"}
STEP = {"step": "string"}

# In the order of the events of one step at one instant
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

# The column of tables that names the objects of each type
COLUMNS = {
    "instance": "instance", "step": "step",
    "serial number": "serial_number", "external system": "system",
}  # fmt: skip
# Attributes of objects, and their types; latency and cycle time are seconds
OBJECT_TYPES = {
    "instance": {"arrived": "time", "outcome": "string", "cycle_time": "float"},
    "step": {"kind": "string"},
    "serial number": {
        "step": "string", "outcome": "string", "latency": "float",
        "checks": "integer", "wasted_checks": "integer", "deliveries": "integer",
    },
    "external system": {"kind": "string"},
}  # fmt: skip
# Qualifiers of the relations of objects to others
RELATED = {
    "step": {"external system": "calls"},
    "serial number": {"instance": "waits for", "step": "in", "external system": "handed to"},
}


def event_types() -> dict[str, dict[str, str]]:
    """Return the attributes of every type of events, and their types."""
    found: dict[str, dict[str, str]] = {}
    for kind in EVENT_TYPES:
        found[kind.name] = found.get(kind.name, {}) | kind.attributes
    return found


def events(run: Run) -> pd.DataFrame:
    """Return all events of a run in order of time.

    The columns are ``seconds, kind`` (the place in `EVENT_TYPES`), ``instance, step, system,
    serial_number, outcome, attempt, latency``; missing where the type of event has no such value.
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
    numbers, steps = serial_numbers(run), run.steps
    calls = steps[steps["kind"] == "async step"]
    calls = calls if "visit" in calls else calls.assign(visit=1)
    numbers = numbers.assign(visit=numbers["serial_number"].map(_visits(run)).astype(int))
    # After an operator's retry a step has another number, and the times of the last attempt
    last = numbers.drop_duplicates(["instance", "step", "visit"], keep="last")
    known = numbers.set_index("serial_number")[["instance", "step", "system"]]
    deliveries = run.deliveries.join(known, on="serial_number")
    return {
        "instances": run.instances,
        "work": steps[steps["kind"] != "async step"],
        "calls": calls.merge(last, "left", ["instance", "step", "visit"]).assign(
            system=calls["step"].map(_systems(run)).to_numpy()
        ),
        "waits": run.waits,
        "deliveries": deliveries,
        "callbacks": deliveries[deliveries["outcome"] != "dead letter"],
    }


def _visits(run: Run) -> pd.Series[int]:
    """Return which copy of its step each serial number is of."""
    visits = np.array(Graph.of(run.scenario.process).visits)
    nodes = run.record.waits.node, run.record.deliveries.node
    numbers = run.waits["serial_number"], run.deliveries["serial_number"]
    found = pd.Series(visits[np.concatenate(nodes)], pd.concat(numbers))
    return found[~found.index.duplicated()]


def serial_numbers(run: Run) -> pd.DataFrame:
    """Return ``serial_number, instance, step, system`` of every wait or callback, by instance."""
    waits = run.waits[["serial_number", "instance", "step", "system"]]
    late = run.record.deliveries
    names = np.array([node.name for node in Graph.of(run.scenario.process).nodes], dtype=object)
    called = run.deliveries[["serial_number"]].assign(instance=late.row + 1, step=names[late.node])
    called["system"] = called["step"].map(_systems(run))
    called = called[~called["serial_number"].isin(waits["serial_number"])]
    found = pd.concat([waits, called.drop_duplicates("serial_number")], ignore_index=True)
    found = found.astype({"serial_number": "str", "step": "str"})  # for an empty table too
    return found.sort_values("instance", kind="stable", ignore_index=True)


def objects(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each type of object with a table of its objects.

    The id of an object is its type and ``name``. A value holds from ``<value>_known_at`` if there
    is such a column, and from ``known_at`` otherwise (seconds).
    """
    end, systems, process = run.record.end, run.scenario.systems, run.scenario.process
    kinds = [type(system).__name__ for system in systems.values()]
    yield "external system", pd.DataFrame({"name": list(systems), "kind": kinds, "known_at": 0.0})
    called = _systems(run)
    steps = [element.name for element in process.parts() if element.numbered]
    kinds = ["async step" if name in called else "step" for name in steps]
    found = pd.DataFrame({"name": steps, "kind": kinds, "known_at": 0.0})
    yield "step", found.assign(system=found["name"].map(called))
    found = run.instances
    found = found.assign(name=found["instance"], known_at=found["ended"].fillna(end))
    yield "instance", found.assign(arrived_known_at=found["arrived"])
    waits = run.waits.drop(columns=["instance", "step", "system", "visit"], errors="ignore")
    found = serial_numbers(run).merge(waits, "left", "serial_number")
    known = {"known_at": found["closed"].fillna(end), "step_known_at": found["armed"].fillna(end)}
    found = found.assign(name=found["serial_number"], **known, deliveries_known_at=end)
    yield "serial number", found


def _systems(run: Run) -> dict[str, str]:
    return {step.name: step.system for step in run.scenario.process.of_type(AsyncStep)}


def write_ocel(run: Run, path: Path) -> None:
    """Write OCEL 2.0 in JSON, piece by piece; the key ``asyncsim`` describes the run."""
    with text_file(path) as file:
        file.write("{\n")
        file.write(f'"objectTypes": {_types(OBJECT_TYPES)},\n')
        file.write(f'"eventTypes": {_types(event_types())},\n')
        file.write(f'"asyncsim": {json.dumps(run_description(run))},\n"objects": [\n')
        chunks = (
            _object_texts(run, kind, table[start : start + CHUNK])
            for kind, table in objects(run)
            for start in range(0, len(table), CHUNK)
        )
        file.writelines(_separated(chunks))
        file.write('],\n"events": [\n')
        file.writelines(_separated(_events(run)))
        file.write("]\n}\n")


def _types(types: dict[str, dict[str, str]]) -> str:
    listed = {
        name: [{"name": key, "type": kind} for key, kind in attributes.items()]
        for name, attributes in types.items()
    }
    return json.dumps([{"name": name, "attributes": has} for name, has in listed.items()])


def _separated(chunks: Iterable[list[str]]) -> Iterator[str]:
    between = ""
    for chunk in chunks:
        if chunk:
            yield between + ",\n".join(chunk)
            between = ",\n"
    yield "\n"


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
    has, to = _joined(attributes, len(rows)), _relations(rows, kind.objects)
    each = zip((places + 1).tolist(), times, has, to, strict=True)
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
        text = f',{{"objectId":%s,"qualifier":"{qualifier}"}}'
        known = zip(values.tolist(), values.notna().tolist(), strict=True)
        columns.append([text % json.dumps(f"{kind} {one}") if it else "" for one, it in known])
    return _joined(columns, len(rows))


def _joined(columns: list[list[str]], length: int) -> list[str]:
    return ["".join(parts) for parts in zip(*columns, strict=True)] or [""] * length


def _times(run: Run, seconds: pd.Series[float]) -> list[str]:
    return in_utc(run.scenario.calendar.timestamps(seconds.to_numpy()))


def _encoded(values: pd.Series[Any] | list[str], type_: str) -> list[str]:
    """Missing values are empty texts."""
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
