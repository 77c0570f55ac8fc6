"""The explorer without a browser."""

import numpy as np
import pytest
from plays import DISTRIBUTIONS

import asyncsim as sim
from asyncsim.widgets.explorer import INTERVAL, Exploration, scaled

LEDGER = sim.Scenario.load("data/nightly_ledger.toml")


def result(exploration, k):
    """Return the metrics of callback (0) or polling (1)."""
    return exploration.picture()["strategies"][k]


def test_the_metrics_are_those_of_simulate():
    """For the scenario of the sliders, on the random numbers drawn for it."""
    exploration = Exploration(LEDGER)
    scenario = exploration.scenario
    for k, strategy in enumerate((sim.Callback("50ms"), sim.Polling("15min"))):
        run = sim.simulate(scenario, strategy, seed=1)
        summary = run.summary().iloc[0]
        found = result(exploration, k)
        assert found["mean"] == pytest.approx(summary["mean_latency"])
        assert found["p95"] == pytest.approx(summary["p95_latency"])
        assert found["requests"] * len(run.waits) == pytest.approx(summary["requests"])
        assert found["worker_seconds"] == pytest.approx(summary["overhead_worker_time"])


def test_every_slider_changes_its_own_setting():
    """One part of the scenario and nothing else."""
    exploration = Exploration(LEDGER)
    changed = {
        "workers": lambda s: s.server.workers,
        "volume": lambda s: len(s.draw(1)),
        "start": lambda s: s.systems["ledger"].start,
        "item_time": lambda s: s.systems["ledger"].item_time.mean,
        "poll_work": lambda s: s.server.poll_work,
        "callback_work": lambda s: s.server.callback_work,
    }
    for name, part in changed.items():
        before = {other: look(exploration.scenario) for other, look in changed.items()}
        exploration.set(name, exploration.places[name] + 1)
        value = exploration.settings[name]
        after = {other: look(exploration.scenario) for other, look in changed.items()}
        now = after.pop(name)
        assert now == value if name == "start" else now == pytest.approx(value)
        before.pop(name)
        assert after == before
        assert part(exploration.scenario) is not None


def test_moving_a_slider_there_and_back_gives_the_same_picture():
    """Cached results are never used for another setting."""
    exploration = Exploration(LEDGER)
    first = exploration.picture()
    for control in exploration.controls:
        place = exploration.places[control.name]
        other = place + 1 if place + 1 < len(control.values) else place - 1
        exploration.set(control.name, other)
        moved = exploration.picture()
        fresh = Exploration(LEDGER)
        fresh.set(control.name, other)
        assert moved == fresh.picture(), control.name
        assert moved != first, control.name
        exploration.set(control.name, place)
        assert exploration.picture() == first, control.name


def test_theory_is_beside_the_simulation():
    """Half the interval, for orders spread over the day; delay and handling for the callback."""
    exploration = Exploration(LEDGER)
    for place in range(INTERVAL.values.index(3600)):
        exploration.set("interval", place)
        polling = result(exploration, 1)
        assert polling["theory"] == INTERVAL.values[place] / 2
        assert polling["mean"] == pytest.approx(polling["theory"], rel=0.1)
    assert result(exploration, 0)["theory"] == pytest.approx(0.07)


def test_lost_callbacks_are_counted():
    """They have no latency; the page shows the unresumed share, and that of the closed form."""
    exploration = Exploration(LEDGER)
    exploration.set("loss", 5)
    found, polling = exploration.picture()["strategies"]
    assert found["unresumed"] == pytest.approx(0.1 * found["armed"], rel=0.3)
    assert found["theory_unresumed"] == 0.1
    assert (polling["unresumed"], polling["theory_unresumed"]) == (0, 0)


def test_95_percent_are_of_all_armed_waits():
    """There is none if 5 % or more are lost; below that, it is later than among resumed waits."""
    exploration = Exploration(LEDGER)
    exploration.set("loss", 6)
    assert result(exploration, 0)["p95"] is None
    exploration.set("loss", 3)
    found, scenario = result(exploration, 0), exploration.scenario
    late = sim.simulate(scenario, sim.Callback("50ms"), seed=1).waits["latency"]
    assert 0 < found["unresumed"] < 0.05 * found["armed"]
    assert found["p95"] >= np.quantile(late, 0.95) * 0.99


def test_a_wait_that_timed_out_never_resumed():
    """No wait is open at the end, and the page still shows the loss."""
    step = sim.AsyncStep("post to ledger", system="ledger", timeout="1h")
    exploration = Exploration(LEDGER.replace(process=sim.Process("p", [step])))
    found = result(exploration, 1)
    assert found["unresumed"] > 0.5 * found["armed"]
    assert found["p95"] is None


def test_parts_that_a_scenario_lacks_have_no_slider():
    """People instead of a batch, given arrivals instead of a volume."""
    person = Exploration(sim.Scenario.load("data/person.toml"))
    assert {"start", "item_time"}.isdisjoint(person.places)
    log = Exploration(LEDGER.replace(arrivals=sim.ArrivalTimes([1.0, 2.0])))
    assert "volume" not in log.places
    assert log.picture()["instances"] == 2


def test_the_widget_sends_the_picture_that_was_requested():
    """With the stamp of the request."""
    widget = sim.explore(LEDGER)
    places = dict(widget.state["places"])
    widget.on_message({"moves": {"interval": 0, "workers": 99}, "stamp": 12.5})
    assert widget.state["stamp"] == 12.5
    assert widget.state["places"] == places | {"interval": 0, "workers": 9}
    assert widget.state["strategies"][1]["name"] == "polling 1 min"


def test_only_a_scenario_can_be_explored():
    """The message names any other object."""
    with pytest.raises(sim.ScenarioError, match="scenario must be a Scenario, got 'x'"):
        sim.explore("x")


def test_before_any_move_the_scenario_is_unchanged():
    """No value is rounded to one of the slider, and no distribution is replaced."""
    own = LEDGER.replace(
        server=sim.WorkflowServer(workers=5, poll_work=0.0, callback_work="70ms"),
        systems={"ledger": sim.NightlyBatch("22:00", item_time=sim.exponential("130ms"))},
    )
    assert Exploration(own).scenario == own


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda one: type(one).__name__)
def test_another_mean_keeps_the_shape_of_a_distribution(distribution):
    """Every value that it draws is longer by the same factor."""
    slower = scaled(distribution, distribution.mean * 2.5)
    assert type(slower) is type(distribution)
    found = slower.sample(np.random.default_rng(1), 100)
    expected = distribution.sample(np.random.default_rng(1), 100) * 2.5
    np.testing.assert_allclose(found, expected, rtol=1e-9)
