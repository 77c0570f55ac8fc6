"""The number of lanes is told from who was done when, exactly, or not at all."""

import numpy as np
import pytest
from known_logs import scenario

import asyncsim as sim
from asyncsim.study.calibration.lanes import queue_of

LAWS = {
    "exponential": sim.exponential,
    "even": lambda mean: sim.gamma(mean, mean / 4),
    "uneven": lambda mean: sim.lognormal(mean, 2 * mean),
    "fixed": sim.fixed,
}


def waits_of(system, seed=1, **more):
    run = sim.simulate(scenario(system, **more), sim.Callback(), seed=seed)
    waits = run.waits.sort_values("armed", kind="stable")
    return waits["armed"].to_numpy(), waits["completed"].to_numpy()


@pytest.mark.parametrize("lanes", [1, 2, 5, 12])
@pytest.mark.parametrize("law", LAWS)
def test_lanes_and_times_are_found_again(law, lanes):
    """At nine tenths of what the lanes can do; the times are those that were drawn."""
    mean = 0.9 * lanes * 12 * 3600 / 250
    known = scenario(sim.OnlineService(LAWS[law](mean), lanes=lanes))
    run = sim.simulate(known, sim.Callback(), seed=lanes)
    waits = run.waits.sort_values("armed", kind="stable")
    came, done = waits["armed"].to_numpy(), waits["completed"].to_numpy()
    queue = queue_of(came, done)
    assert queue.lanes == lanes
    drawn = run.draws.external["post"][waits["instance"].to_numpy() - 1]
    assert done - queue.begun == pytest.approx(drawn, abs=1e-6)
    assert queue.queued == (queue.begun > came).sum() > 20


@pytest.mark.parametrize(
    "law", [sim.exponential("20min"), sim.fixed("20min"), sim.lognormal("5h", "2h")], ids=str
)
def test_where_nobody_waits_no_number_is_told(law):
    """Any number of lanes: the times are those from coming to being done."""
    for seed in range(5):
        came, done = waits_of(sim.OnlineService(law, lanes=None), seed)
        queue = queue_of(came, done)
        assert queue.lanes is None
        assert (queue.begun == came).all()


def test_a_queue_in_another_order_tells_no_number():
    """Three lanes, last come, first served: no number of lanes explains that."""
    came, done = waits_of(sim.OnlineService(sim.exponential("8min"), lanes=3))
    order = np.random.default_rng(1).permutation(len(done))
    assert queue_of(came, np.maximum(done[order], came + 1.0)).lanes is None


def test_requests_that_are_open_take_lanes_until_the_end():
    """The last ones of a log were begun, or wait behind those that were."""
    came, done = waits_of(sim.OnlineService(sim.exponential("8min"), lanes=3))
    until = float(np.quantile(came, 0.7))
    seen = came <= until
    queue = queue_of(came[seen], np.where(done[seen] <= until, done[seen], np.inf))
    assert queue.lanes == 3


def test_most_that_are_open_at_one_time_are_counted():
    """By hand: three between 2 and 3; who leaves at 4 is gone when another comes at 4."""
    queue = queue_of(np.array([0.0, 1.0, 2.0, 4.0]), np.array([4.0, 3.0, 5.0, 6.0]))
    assert queue.peak == 3
