"""A run as objects and events, in order."""

from plays import play, scenario_of, wait_for

import asyncsim as sim
from asyncsim.eventlog.ocel import (
    COLUMNS,
    EVENT_TYPES,
    OBJECT_TYPES,
    event_types,
    events,
    objects,
    serial_numbers,
)


def named_events(run):
    """Return seconds and name of every event, in order."""
    log = events(run)
    names = [EVENT_TYPES[kind].name for kind in log.kind]
    return list(zip(log.seconds.tolist(), names, strict=True))


def test_the_events_of_a_step_that_is_called_back_are_in_order():
    """Called for 2 s, armed, completed at 13 s, called back a second later, for half a second."""
    steps = [sim.AsyncStep("w", "out", call_work=2.0), sim.Step("z", 0.0)]
    run = play(
        sim.Callback("1s"), scenario_of(steps, arrivals=[1.0], callback_work=0.5),
        external={"w": 10.0},
    )  # fmt: skip
    assert named_events(run) == [
        (1.0, "instance arrived"),
        (1.0, "call queued"),
        (1.0, "call started"),
        (3.0, "wait armed"),
        (13.0, "completed outside"),
        (13.0, "callback sent"),
        (14.0, "callback arrived"),
        (14.5, "callback answered"),
        (14.5, "wait resumed"),
        (14.5, "step completed"),
        (14.5, "step queued"),
        (14.5, "step started"),
        (14.5, "step completed"),
        (14.5, "instance ended"),
    ]
    log = events(run).set_index("seconds")
    assert log.loc[13.0, "serial_number"].tolist() == ["1_1", "1_1"]
    assert log.loc[13.0, "system"].tolist() == ["out", "out"]
    assert log.latency.dropna().tolist() == [1.5]
    assert log.outcome.dropna().tolist() == ["finished", "resumed", "done", "done"]


def test_a_lost_callback_a_time_out_and_a_late_completion_are_events():
    """The wait times out at 5 s; the work is done at 10 s all the same, without any effect."""
    run = wait_for(sim.Callback(loss=1.0, retries=["3s"]), 10.0, timeout=5.0, on_timeout="fail")
    assert named_events(run)[3:] == [
        (0.0, "wait armed"),
        (5.0, "wait timed out"),
        (5.0, "step failed"),
        (5.0, "instance ended"),
        (10.0, "completed outside"),
        (10.0, "callback sent"),
        (10.0, "callback lost"),
        (13.0, "callback sent"),
        (13.0, "callback lost"),
        (13.0, "callback given up"),
    ]
    assert events(run).attempt.dropna().tolist() == [1, 1, 2, 2]


def test_a_number_that_never_waited_is_known_if_a_callback_came_for_it():
    """The instance fails while the wait of its other branch is yet to be armed."""
    ways = [
        [sim.AsyncStep("slow", "out", arm_delay="1h")],
        [sim.AsyncStep("no", "out", call_work=5.0, response=sim.Response(0.0, rejected=1.0))],
    ]
    scenario = scenario_of([sim.Parallel("both", ways)])
    run = play(sim.Callback("1s"), scenario, external={"slow": 2.0})
    assert run.waits.empty
    assert len(run.deliveries) > 0
    (number,) = serial_numbers(run).itertuples(index=False)
    assert number == ("1_1", 1, "slow", "out")
    (found,) = [table for kind, table in objects(run) if kind == "serial number"]
    assert found.serial_number.tolist() == ["1_1"]
    assert found[["outcome", "latency", "checks"]].isna().all(axis=None)


def test_values_hold_from_when_they_are_known():
    """An outcome from the closing of its wait; of one that is open, from the end of the run."""
    run = wait_for(sim.Polling(60.0), [10.0, 5000.0], arrivals=(0.0, 1.0), until=100.0)
    tables = dict(objects(run))
    numbers = tables["serial number"]
    assert numbers.known_at.tolist() == [60.0, 100.0]
    assert numbers.step_known_at.tolist() == [0.0, 1.0]
    assert numbers.deliveries_known_at.tolist() == [100.0, 100.0]
    assert numbers.outcome.tolist() == ["resumed", "waiting"]
    assert numbers.checks.tolist() == [1, 1]
    assert tables["instance"].known_at.tolist() == [60.0, 100.0]
    assert tables["instance"].arrived_known_at.tolist() == [0.0, 1.0]
    assert tables["external system"].kind.tolist() == ["OnlineService"]


def test_a_run_without_a_single_instance_has_no_events():
    """The system is still an object."""
    run = wait_for(sim.Callback(), arrivals=[10.0], until=5.0)
    assert events(run).empty
    assert {kind: len(table) for kind, table in objects(run)} == {
        "external system": 1, "step": 1, "instance": 0, "serial number": 0,
    }  # fmt: skip


def test_every_attribute_and_relation_is_declared():
    """Types of attributes are those of OCEL 2.0, relations are with types of objects."""
    known = {"string", "time", "integer", "float", "boolean"}
    for attributes in (*event_types().values(), *OBJECT_TYPES.values()):
        assert set(attributes.values()) <= known
    for kind in EVENT_TYPES:
        assert kind.objects.keys() <= OBJECT_TYPES.keys() == COLUMNS.keys()
