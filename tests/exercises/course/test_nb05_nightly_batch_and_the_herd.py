"""Herds by hand and as played."""

import pytest

import asyncsim as sim
from asyncsim.exercises.course import nb05_nightly_batch_and_the_herd as book
from asyncsim.exercises.feedback import Mark


def drained(server, strategy, herd):
    """Play a herd of exactly so many, and return when the last has resumed."""
    scenario = book.LEDGER.replace(
        process=sim.Process("order", [sim.AsyncStep("post to ledger", "ledger")]),
        server=server,
        arrivals=sim.UniformArrivals(herd, between=("08:00", "20:00")),
    )
    waits = sim.simulate(scenario, strategy, seed=2).waits
    return (waits["resumed"] - waits["completed"].max()).max()


def test_fewest_workers_as_played():
    """With so many the last of exactly 10,000 resumes in time, with one fewer it does not."""
    workers = int(book.fewest_workers())
    for count, in_time in ((workers, True), (workers - 1, False)):
        server = sim.WorkflowServer(count, callback_work=book.CALLBACK_WORK)
        late = drained(server, sim.Callback(), book.HERD)
        assert (late <= book.PROMISE + 1e-6) == in_time


def test_limit_as_played():
    """A thousand before a connector that takes a hundred a minute."""
    server = sim.WorkflowServer(40, finish_limit="100 per 60 s")
    late = drained(server, sim.Callback(retries=["1min"] * 20), book.SMALL_HERD)
    assert book.LIMIT.checker.expected() == pytest.approx(late)


@pytest.mark.parametrize("spread", ["10min", "12min"])
def test_a_spread_that_passes(spread):
    """A little wider than the work that the herd sets free."""
    assert book.SPREAD.judge(sim.Callback(sim.uniform(0, spread))).mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        (sim.Callback(), "does not spread it"),
        (sim.Callback("10min"), "does not spread it"),
        (sim.Callback(sim.uniform(0, "5min")), "the notification included"),
        (sim.Callback(sim.uniform(0, "1h")), "wider than it need be"),
        (sim.Callback(sim.uniform(0, "10min"), loss=0.1), "spreading is not losing"),
    ],
)
@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_spreads_that_fail_are_told_why(strategy, why):
    """Too narrow, too wide, not at all, or by losing some."""
    verdict = book.SPREAD.judge(strategy)
    assert verdict.mark is Mark.NOT_YET
    assert any(why in each.says for each in verdict.findings if not each.good)
