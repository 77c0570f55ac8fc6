"""Herds by hand and by simulation."""

import pytest

import asyncsim as sim
from asyncsim.exercises.course import nb05_nightly_batch_and_the_herd as book
from asyncsim.exercises.feedback import Mark


def drained(server, strategy, herd):
    """Simulate a herd of a given size; return how late the last step resumes."""
    scenario = book.LEDGER.replace(
        process=sim.Process("order", [sim.AsyncStep("post to ledger", "ledger")]),
        server=server,
        arrivals=sim.UniformArrivals(herd, between=("08:00", "20:00")),
    )
    waits = sim.simulate(scenario, strategy, seed=2).waits
    return (waits["resumed"] - waits["completed"].max()).max()


def test_fewest_workers_by_simulation():
    """The last of exactly 10,000 resumes in time, but not with one worker fewer."""
    workers = int(book.fewest_workers())
    for count, in_time in ((workers, True), (workers - 1, False)):
        server = sim.WorkflowServer(count, callback_work=book.CALLBACK_WORK)
        late = drained(server, sim.Callback(), book.HERD)
        assert (late <= book.LIMIT_SECONDS + 1e-6) == in_time


def test_limit_by_simulation():
    """A thousand at a connector that admits a hundred a minute."""
    server = sim.WorkflowServer(40, finish_limit="100 per 60 s")
    late = drained(server, sim.Callback(retries=["1min"] * 20), book.SMALL_HERD)
    assert book.LIMIT.checker.expected() == pytest.approx(late)


@pytest.mark.parametrize("spread", ["10min", "12min"])
def test_a_spread_that_passes(spread):
    """Slightly wider than the work that the herd starts."""
    assert book.SPREAD.judge(sim.Callback(sim.uniform(0, spread))).mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        (sim.Callback(), "does not spread it"),
        (sim.Callback("10min"), "does not spread it"),
        (sim.Callback(sim.uniform(0, "5min")), "the notification included"),
        (sim.Callback(sim.uniform(0, "1h")), "wider than necessary"),
        (sim.Callback(sim.uniform(0, "10min"), loss=0.1), "must be spread, not lost"),
    ],
)
@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_spreads_that_fail_are_explained(strategy, why):
    """Too narrow, too wide, not at all, or by losing some."""
    verdict = book.SPREAD.judge(strategy)
    assert verdict.mark is Mark.NOT_YET
    assert any(why in each.text for each in verdict.findings if not each.good)
