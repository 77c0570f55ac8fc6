"""A session that crashes anywhere goes on as if it had not."""

import contextlib
import shutil

import pandas as pd
import pytest
import scenarios
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thorough import times

import asyncsim as sim
from asyncsim.live.records import StoredWaits, finish_record
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store

pytestmark = pytest.mark.slow

TABLES = ("waits", "steps", "instances", "deliveries")
moves = st.one_of(
    st.tuples(st.just("pass"), st.floats(1.0, 20_000.0)),
    st.tuples(st.just("finish"), st.integers(0, 500)),
    st.tuples(st.just("complete"), st.integers(0, 500)),
    st.tuples(st.just("retry"), st.integers(0, 500)),
    st.tuples(st.just("start"), st.integers(0, 500)),
    st.tuples(st.just("finish elsewhere"), st.integers(0, 500)),
)


def act(session, move, value):
    """Make a move; which number it concerns depends on nothing but what there is."""
    known = sorted(session.so_far().waits["serial_number"]) if move != "pass" else []
    number = known[value % len(known)] if known else "1_1"
    if move == "pass":
        session.run_for(value)
    elif move == "start":
        session.start({"value": value})
    elif move == "finish elsewhere":
        finish_elsewhere(session.store.path, number, {"value": value})
        session.run_for(1.0)
    else:
        with contextlib.suppress(sim.SerialNumberError):
            getattr(session, move)(number, *[{"value": value}] * (move != "retry"))


def finish_elsewhere(path, number, data):
    """Finish as another process would."""
    other = Store(path)
    scenario = Setup.kept_in(other).scenario
    waits = StoredWaits(scenario, other)
    try:
        return finish_record(other, waits, number, data)
    finally:
        other.close()


def crashed_copy(path, to):
    """Copy the files of a store as they lie on the disk, as a crash leaves them."""
    for ending in ("", "-wal"):
        if path.with_name(path.name + ending).exists():
            shutil.copy(path.with_name(path.name + ending), to.with_name(to.name + ending))


@pytest.mark.parametrize("words", ["2 refilled 0.5/s", "3 per 10 s"])
def test_a_crash_in_the_midst_of_a_herd_does_not_fill_the_bucket_again(words, tmp_path):
    """Who is let in after it is who would have been: the limit is part of what is played again."""
    scenario = sim.Scenario(
        name="herd",
        process=sim.Process("p", [sim.AsyncStep("w", "out")]),
        systems={"out": sim.OnlineService("1min", lanes=None)},
        arrivals=sim.ArrivalTimes([0.0] * 20),
        server=sim.WorkflowServer(finish_limit=words),
    )
    strategy = sim.Callback(retries=["1s"] * 40)
    calm = sim.live(scenario, strategy, hold=False)
    shaken = sim.live(scenario, strategy, hold=False, store=tmp_path / "0.db")
    for k, instant in enumerate([60.5, 61.0, 67.5, 75.0, 200.0]):
        calm.run_until(instant)
        shaken.run_until(instant)
        crashed_copy(tmp_path / f"{k}.db", tmp_path / f"{k + 1}.db")
        shaken.store.close()
        shaken = sim.live(store=tmp_path / f"{k + 1}.db")
    expected, found = calm.so_far().deliveries, shaken.so_far().deliveries
    pd.testing.assert_frame_equal(found, expected)
    assert {"rate limited", "finished"} <= set(found["outcome"])
    assert found["arrived"].max() > 75.0
    calm.close()
    shaken.close()


@pytest.mark.parametrize("arm", ["after call", "before call"])
def test_a_callback_on_its_way_is_in_the_record(arm, tmp_path):
    """The number of deliveries is stored when one is sent, not only when it has arrived."""
    scenario = sim.Scenario(
        name="on its way",
        process=sim.Process("p", [sim.AsyncStep("w", "out", call_work="1s", arm=arm)]),
        systems={"out": sim.OnlineService(0, lanes=None)},
        arrivals=sim.ArrivalTimes([0.0, 0.0]),
        server=sim.WorkflowServer(workers=1, finish_limit="1 per 10 s", callback_work=0),
    )
    strategy = sim.Callback("1s", retries=["1s", "1s", "9s"])
    session = sim.live(scenario, strategy, hold=False, store=tmp_path / "0.db")
    if arm == "before call":  # finished by hand before the call has ended
        finish_elsewhere(session.store.path, "1_1", {})
    for k in range(20):
        session.run_for(0.5)
        crashed_copy(tmp_path / f"{k}.db", tmp_path / f"{k + 1}.db")
        counted = session.so_far().waits["deliveries"].sum()
        session.store.close()
        session = sim.live(store=tmp_path / f"{k + 1}.db")
        assert session.so_far().waits["deliveries"].sum() == counted
    assert counted > 3
    session.close()


@pytest.mark.parametrize("against", [(), sim.Polling("10min")], ids=["alone", "with a twin"])
@settings(max_examples=times(12), suppress_health_check=list(HealthCheck))
@given(scenario=scenarios.scenarios(), script=st.lists(moves, max_size=12), data=st.data())
def test_crashes_change_nothing(tmp_path_factory, against, scenario, script, data):
    """Crashed after any of the moves, all tables are those of a session that was left alone."""
    if any(hasattr(link, "completions") for s in scenario.systems.values() for link in s.links):
        script = [(move, value) for move, value in script if move != "start"]
    folder = tmp_path_factory.mktemp("stores")
    strategy = data.draw(scenarios.strategies())
    others = [s for s in [against] if s and s.label != strategy.label]
    calm = sim.live(scenario, strategy, against=others, store=folder / "calm.db", hold=False)
    path = folder / "0.db"
    shaken = sim.live(scenario, strategy, against=others, store=path)
    for k, (move, value) in enumerate(script):
        act(calm, move, value)
        act(shaken, move, value)
        if data.draw(st.booleans()):
            crashed_copy(path, folder / f"{k + 1}.db")
            shaken.store.close()
            path = folder / f"{k + 1}.db"
            shaken = sim.live(store=path)
            assert shaken.now == calm.now
    for label in calm.strategies:
        expected, found = calm.so_far(label), shaken.so_far(label)
        for name in TABLES:
            pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), obj=name)
    assert shaken.store.all("select * from waits order by serial_number") == calm.store.all(
        "select * from waits order by serial_number"
    )
    calm.close()
    shaken.close()
