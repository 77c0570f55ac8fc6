"""OCEL files hold every time and metric of a run, and conform to OCEL 2.0."""

import json
import re
import tempfile
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from mining import in_utc, ocel_file, pm4py_ocel, relations, runs, slow_input, values, written
from plays import FREE, play, scenario_of, wait_for

import asyncsim as sim

pytestmark = pytest.mark.slow

TYPES = {"string": str, "time": str, "integer": int, "float": float}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
END_OF_STEP = {
    "resumed": "step completed",
    "done": "step completed",
    "rejected": "step failed",
    "timed out": "step failed",
    "gave up": "step failed",
    "cancelled": "step cancelled",
}


@slow_input
@given(runs())
def test_the_file_holds_the_tables_of_the_run(run):
    """Times of steps, waits and callbacks to the microsecond; all metrics of waits."""
    with tempfile.TemporaryDirectory() as folder:
        found = ocel_file(written(run, folder, "log.json"))
    assert sorted(_events_of(found)) == sorted(_expected(run))
    numbers = [thing for thing in found["objects"] if thing["type"] == "serial number"]
    waits = run.waits.set_index("serial_number")
    names = [thing["id"].removeprefix("serial number ") for thing in numbers]
    assert set(names) == set(waits.index) | set(run.deliveries.serial_number)
    for name, thing in zip(names, numbers, strict=True):
        if name not in waits.index:
            assert values(thing).keys() == {"step"}
            continue
        row = waits.loc[name]
        expected = {"step": row.step, "outcome": row.outcome, "checks": row.checks}
        expected |= {"wasted_checks": row.wasted_checks, "deliveries": row.deliveries}
        if pd.notna(row.latency):
            expected["latency"] = row.latency  # the same float, to the last bit
        assert values(thing) == expected
        assert relations(thing) == {
            "waits for": f"instance {row.instance}",
            "in": f"step {row.step}",
            "handed to": f"external system {row.system}",
        }


def _events_of(found):
    """Yield each event as type, instance, step, serial number, outcome, attempt and time."""
    for event in found["events"]:
        has, to = values(event), relations(event)
        assert to.get("in") == (f"step {has['step']}" if "step" in has else None)
        yield tuple(
            map(
                str,
                (
                    event["type"],
                    to["of"].removeprefix("instance "),
                    has.get("step"),
                    to.get("under", "").removeprefix("serial number "),
                    has.get("outcome"),
                    has.get("attempt"),
                    pd.Timestamp(event["time"]),
                ),
            )
        )


def _expected(run):
    """Yield the same from the tables of the run, written down once more and row by row."""
    steps = run.steps
    for row in run.instances.itertuples():
        yield from _event("instance arrived", row.instance, row.arrived_at)
        yield from _event("instance ended", row.instance, row.ended_at, outcome=row.outcome)
    numbers = {}
    for row in run.waits.itertuples():
        numbers[row.serial_number] = (row.instance, row.step, getattr(row, "visit", 1))
        here = {"step": row.step, "number": row.serial_number}
        yield from _event("wait armed", row.instance, row.armed_at, **here)
        yield from _event("completed outside", row.instance, row.completed_at, **here)
        yield from _event("wait resumed", row.instance, row.resumed_at, **here)
        ends = {"timed out": "timed out", "gave up": "given up", "cancelled": "cancelled"}
        if row.outcome in ends:
            at = run.scenario.calendar.timestamps([row.closed])[0]
            yield from _event(f"wait {ends[row.outcome]}", row.instance, at, **here)
    late = run.record.deliveries
    for row, place, node in zip(run.deliveries.itertuples(), late.row, late.node, strict=True):
        named = run._graph.nodes[node].name, run._graph.visits[node]
        number = numbers.setdefault(row.serial_number, (place + 1, *named))
        here = {"step": number[1], "number": row.serial_number}
        if row.outcome == "dead letter":
            yield from _event("callback given up", number[0], row.sent_at, **here)
            continue
        here["attempt"] = row.attempt
        yield from _event("callback sent", number[0], row.sent_at, **here)
        if row.outcome == "lost":
            yield from _event("callback lost", number[0], row.sent_at, **here)
        yield from _event("callback arrived", number[0], row.arrived_at, **here)
        yield from _event(
            "callback answered", number[0], row.handled_at, outcome=row.outcome, **here
        )
    of = {copy: number for number, copy in numbers.items()}
    for row in steps.itertuples():
        call = row.kind == "async step"
        what = "call" if call else "step"
        here = {
            "step": row.step,
            "number": of.get((row.instance, row.step, getattr(row, "visit", 1)), ""),
        }
        yield from _event(f"{what} queued", row.instance, row.queued_at, **here)
        yield from _event(f"{what} started", row.instance, row.started_at, **here)
        end = END_OF_STEP.get(row.outcome, "")
        yield from _event(end, row.instance, row.ended_at, step=row.step, outcome=row.outcome)


def _event(kind, instance, at, *, step=None, number="", outcome=None, attempt=None):
    if pd.notna(at):
        at = at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
        yield tuple(map(str, (kind, instance, step, number, outcome, attempt, at)))


@slow_input
@given(runs())
def test_the_file_conforms_to_ocel(run):
    """Ids are unique; types, attributes and objects are declared; times are in UTC, in order."""
    with tempfile.TemporaryDirectory() as folder:
        found = ocel_file(written(run, folder, "log.jsonocel"))
    for things, types in (("events", "eventTypes"), ("objects", "objectTypes")):
        ids = [thing["id"] for thing in found[things]]
        assert len(ids) == len(set(ids))
        declared = {
            type_["name"]: {each["name"]: each["type"] for each in type_["attributes"]}
            for type_ in found[types]
        }
        assert len(declared) == len(found[types])
        for thing in found[things]:
            for each in thing["attributes"]:
                kind = declared[thing["type"]][each["name"]]
                assert type(each["value"]) is TYPES[kind]
                times = [each["value"]] if kind == "time" else []
                times += [each["time"]] if things == "objects" else []
                assert all(STAMP.fullmatch(at) for at in times)
    objects = {thing["id"] for thing in found["objects"]}
    for thing in [*found["events"], *found["objects"]]:
        assert set(relations(thing).values()) <= objects
        assert len(relations(thing)) == len(thing["relationships"])
    times = [event["time"] for event in found["events"]]
    assert all(STAMP.fullmatch(at) for at in times)
    assert times == sorted(times)
    process = run.scenario.process
    assert {"external system " + name for name in run.scenario.systems} <= objects
    assert {
        f"step {one.name}" for one in process.parts() if isinstance(one, sim.Step | sim.AsyncStep)
    } <= objects
    assert sum(thing["type"] == "instance" for thing in found["objects"]) == len(run.instances)


@pytest.mark.slow
@slow_input
@given(runs())
def test_pm4py_reads_the_same_log(run):
    """Events, activities, times, objects and relations; it leaves out objects without events."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(run, folder, "log.json")
        plain = ocel_file(path)
        if not plain["events"]:
            return
        log = pm4py_ocel(path)
    events = log.events.set_index("ocel:eid")
    assert Counter(events["ocel:activity"]) == Counter(e["type"] for e in plain["events"])
    times = in_utc(pd.Series([e["time"] for e in plain["events"]]))
    assert in_utc(events["ocel:timestamp"].loc[[e["id"] for e in plain["events"]]]).tolist() == (
        times.tolist()
    )
    related = {
        (e["id"], r["objectId"], r["qualifier"])
        for e in plain["events"]
        for r in e["relationships"]
    }
    columns = ["ocel:eid", "ocel:oid", "ocel:qualifier"]
    assert set(log.relations[columns].itertuples(index=False, name=None)) == related
    seen = {name for _, name, _ in related}
    assert set(log.objects["ocel:oid"]) == seen
    # Only steps that no instance reached, and their systems, have no events
    unseen = {thing["id"] for thing in plain["objects"]} - seen
    assert all(name.startswith(("step", "external system")) for name in unseen)
    columns = ["ocel:oid", "ocel:oid_2", "ocel:qualifier"]
    between = {each for each in triples(plain["objects"]) if {each[0], each[1]} <= seen}
    assert set(log.o2o[columns].itertuples(index=False, name=None)) == between


def triples(things):
    """Return the relations of events or objects as id, related object, qualifier."""
    return {
        (thing["id"], r["objectId"], r["qualifier"])
        for thing in things
        for r in thing["relationships"]
    }


def test_names_come_back_as_they_were(tmp_path):
    """Also with quotes, line ends, nulls and letters of other scripts."""
    name = '"a"\\ \n\x00 ж 😀'
    scenario = scenario_of([sim.AsyncStep(name, name)], {name: FREE})
    found = ocel_file(written(play(sim.Callback(), scenario), tmp_path, "log.json"))
    assert f"external system {name}" in {thing["id"] for thing in found["objects"]}
    assert name in {values(event).get("step") for event in found["events"]}


def test_the_file_describes_the_run_and_its_clock(tmp_path):
    """Under a key of its own, which readers of OCEL ignore."""
    found = ocel_file(written(wait_for(sim.Polling("5min"), 10.0), tmp_path, "log.json"))
    assert found["asyncsim"]["strategy"] == "polling 5 min"
    assert "written as UTC" in found["asyncsim"]["clock"]


def test_values_of_objects_hold_from_when_they_are_known(tmp_path):
    """The step from the arming at 2 s, the outcome from the closing, deliveries from the end."""
    scenario = scenario_of([sim.AsyncStep("w", "out", call_work=2.0)], arrivals=[1.0])
    strategy = sim.Callback("1s", duplicates=1.0, duplicate_delay="5s")
    run = play(strategy, scenario, external={"w": 10.0})
    found = ocel_file(written(run, tmp_path, "log.json"))["objects"]
    since = {
        thing["type"]: {each["name"]: pd.Timestamp(each["time"]) for each in thing["attributes"]}
        for thing in found
    }
    seconds = {
        kind: {name: (at - pd.Timestamp("2026-01-05T00:00Z")).seconds for name, at in each.items()}
        for kind, each in since.items()
    }
    assert seconds == {
        "external system": {"kind": 0},
        "step": {"kind": 0},
        "instance": {"arrived": 1, "outcome": 14, "cycle_time": 14},
        "serial number": {
            "step": 3,
            "outcome": 14,
            "latency": 14,
            "checks": 14,
            "wasted_checks": 14,
            "deliveries": int(run.record.end),
        },
    }
    assert run.record.end > 14


def test_many_events_are_written_in_pieces_without_a_difference(tmp_path, monkeypatch):
    """The file does not depend on how many events are text at a time."""
    run = wait_for(sim.Callback(), 10.0, arrivals=range(20))
    whole = written(run, tmp_path, "whole.json").read_text()
    for size in (1, 7):
        monkeypatch.setattr("asyncsim.eventlog.ocel.CHUNK", size)
        pieces = written(run, tmp_path, "pieces.json").read_text()
        assert json.loads(pieces) == json.loads(whole)
