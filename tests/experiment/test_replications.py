"""Replications are played anywhere, and come back in order."""

import os
import time

import pytest

import asyncsim as sim
from asyncsim.experiment.replications import Replications, RunSummary, jobs, mapping

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(20),
)


def slow_at_first(k):
    """Take longer for smaller numbers."""
    time.sleep(0.02 * (3 - k))
    return k, os.getpid()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_the_order_of_the_replications(n_jobs):
    """Whoever is ready first has to wait; on one process nothing leaves this one."""
    with mapping(n_jobs) as each:
        found = list(each(slow_at_first, range(4)))
    assert [k for k, _ in found] == [0, 1, 2, 3]
    assert (os.getpid() in {pid for _, pid in found}) == (n_jobs == 1)


def test_an_outcome_is_what_the_run_says():
    """Figures, latencies and open waits are those of the runs themselves."""
    plan = Replications(SCENARIO, (sim.Callback("1s"), sim.Callback(loss=1.0)), 3, "auto")
    for outcome, run in zip(plan.kept(RunSummary.of, 2), plan.runs(2), strict=True):
        assert run.draws.replication == 2
        assert outcome.metrics == pytest.approx(RunSummary.of(run).metrics, rel=0, nan_ok=True)
        assert outcome.latencies.tolist() == run.waits.latency.dropna().tolist()
        assert outcome.censored == (run.waits.outcome == "waiting").sum()


def test_minus_one_is_a_process_for_each_processor():
    """As other tools have it."""
    assert jobs(-1) == os.cpu_count()
    assert jobs(3) == 3


@pytest.mark.parametrize("wrong", [0, -2, 1.5, True, "2", None])
def test_a_wrong_number_of_processes_is_named(wrong):
    """It is a whole number from 1, or -1."""
    with pytest.raises(sim.ScenarioError, match=r"n_jobs must .* \(or -1 for all"):
        jobs(wrong)
