"""The view without a browser."""

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.widgets.view_state import DONE, FAILED, WAITS, LaneView, layout

FILES = ["nightly_ledger", "person", "lines_of_business"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("strategy", [sim.Callback(), sim.Polling("15min")], ids=lambda s: s.label)
def test_the_picture_agrees_with_the_tables(name, strategy):
    """At any moment: so many wait, are done, have failed, and each is where its steps say."""
    session = sim.live(sim.Scenario.load(f"data/{name}.toml"), strategy, seed=2)
    for moment in ("08:30", "12:00", "22:01", "23:30", "2026-04-02 11:00"):
        session.run_until(moment)
        run, lane = session.so_far(), session.lane()
        picture = LaneView(lane, layout(session.scenario.process)).picture(session.now)
        waiting = int((run.waits["outcome"] == "waiting").sum())
        assert picture["waiting"] == waiting == sum(w for _, w in picture["counts"].values())
        assert picture["done"] == int((run.instances["outcome"] == "done").sum())
        assert picture["failed"] == int((run.instances["outcome"] == "failed").sum())
        tokens = np.array(picture["tokens"]).reshape(-1, 2)
        assert len(tokens) == min(len(run.instances), 1000)
        assert 0 <= picture["busy"] <= picture["workers"]
        at_work = sum(w for w, _ in picture["counts"].values())
        running = int((run.instances["outcome"] == "running").sum())
        assert at_work + waiting == running


def test_a_process_is_laid_out_from_left_to_right():
    """One column further for each step; ways side by side lie in rows of their own."""
    process = sim.Process(
        "p",
        [
            sim.Step("a"),
            sim.Choice("c", [(0.5, [sim.Step("b1")]), (0.5, [sim.Step("b2"), sim.Step("b3")])]),
            sim.Parallel("d", [[sim.Step("e")], [sim.AsyncStep("f", "out")]]),
            sim.Step("g"),
        ],
    )
    places = {place.name: place for place in layout(process)}
    columns = {name: place.column for name, place in places.items()}
    assert columns == {"a": 0, "b1": 1, "b2": 1, "b3": 2, "e": 3, "f": 3, "g": 4}
    assert places["b1"].row != places["b2"].row
    assert places["e"].row != places["f"].row
    assert places["f"].kind == "wait"


def test_a_step_that_works_is_told_from_one_that_waits():
    """While its call is being made an asynchronous step is at work."""
    scenario = sim.Scenario(
        name="x",
        process=sim.Process("p", [sim.AsyncStep("w", "out", call_work="1min", timeout="1h")]),
        systems={"out": sim.OnlineService("1 day")},
        arrivals=sim.At([0.0]),
    )
    session = sim.live(scenario)
    states = []
    for moment in (30, 90, 4000):
        session.run_until(moment)
        states.append(session.view().state["lanes"][0]["tokens"][1])
    assert states == [0, WAITS, FAILED]
    assert DONE not in states


def test_both_sides_are_shown_and_the_clock_obeys():
    """The strategy and the first of its twins."""
    session = sim.live(
        sim.Scenario.load("data/nightly_ledger.toml"),
        against=[sim.Polling("1h"), sim.Backoff("1min")],
    )
    view = session.view()
    assert [lane["name"] for lane in view.state["lanes"]] == ["callback", "polling 1 h"]
    view._hear(view, {"do": "next batch"}, [])
    assert view.state["now"] == "Mon 2026-01-05 21:59:59"
    assert view.state["lanes"][0]["waiting"] > 1000
    session.run_until("23:30")
    assert view.state["lanes"][0]["waiting"] == 0
