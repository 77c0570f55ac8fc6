"""Bounds by hand: the least work of an instance, and the load of a batch."""

import pytest

import asyncsim as sim
from asyncsim.engine.loads import Asked, shares
from asyncsim.experiment.stability import least_loads, least_work


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


ASK, FILE = sim.AsyncStep("ask", "office"), sim.AsyncStep("file", "office", timeout="1min")


@pytest.mark.parametrize(
    ("steps", "exact"),
    [
        ([ASK, FILE], True),
        ([sim.Choice("which", [sim.Branch(0.3, [ASK]), sim.Branch(0.7, [])])], True),
        ([sim.Parallel("both", [[ASK], [FILE]])], False),
        ([FILE, ASK], False),  # what follows a time-out may not come
        ([sim.AsyncStep("ask", "office", response=sim.Response(done=0.5, accepted=0.5))], True),
    ],
)
@pytest.mark.parametrize("strategy", [sim.Callback("30s"), sim.Polling("50s")])
@pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")
def test_no_run_asks_for_less_than_the_least_loads(steps, exact, strategy):
    """Of 4,000 instances, whose mean is off by 5 % of itself or less; an exact bound is met."""
    asked = scenario(sim.OnlineService(sim.exponential("1min"), lanes=1), *steps, arrivals="40/h")
    run = sim.simulate(asked.replace(length="100h"), strategy, seed=1)
    least, found = least_loads(asked, strategy), run.loads
    assert least["office"] <= 1.05 * found["office"]
    assert least["the workers"] <= 1.05 * found["the workers"]
    if exact:
        assert least["office"] == pytest.approx(found["office"], rel=0.05)
