"""Bounds by hand: the least work of an instance, and the load of a batch."""

import pytest

import asyncsim as sim
from asyncsim.engine.loads import Asked, shares
from asyncsim.experiment.stability import least_work


def scenario(system, *steps, arrivals):
    return sim.Scenario(
        name="by hand",
        process=sim.Process("p", steps),
        systems={"office": system},
        server=sim.WorkflowServer(8, callback_work="1s"),
        arrivals=sim.Poisson(arrivals),
    )


def test_what_follows_a_lost_callback_counts_only_if_none_is_lost():
    """A call of an hour, a callback of a second, ten minutes after it."""
    ask, file = sim.AsyncStep("ask", "office", call_work="1h"), sim.Step("file", "10min")
    calls = scenario(sim.OnlineService("1min", lanes=None), ask, file, arrivals="9/h")
    assert least_work(calls, sim.Callback()) == 4201
    assert least_work(calls, sim.Callback(loss=0.1)) == 3600
    assert least_work(calls, sim.Callback(loss=0.1), lost=0.0) == 4201


def test_a_batch_without_an_end_has_the_whole_day():
    """86,400 seconds, and each of the 9,600 items takes fifteen."""
    batch = sim.NightlyBatch("22:00", "15s")
    posted = scenario(batch, sim.AsyncStep("post", "office"), arrivals="9600/day")
    found = shares(posted, [Asked(90, {"office": 90}, 0.0)])
    assert found["office"] == pytest.approx(9600 * 15 / 86_400)
