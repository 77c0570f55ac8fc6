"""Schedules for batches of a language model, by their pauses and by simulation."""

import pytest

import asyncsim as sim
from asyncsim.exercises.course import nb09_the_new_nightly_batch as book
from asyncsim.exercises.feedback import Mark

FIVE = "5min"
UP_TO_FOUR = ["10min"] + [FIVE] * 47
GOOD = sim.PollingAfter([*UP_TO_FOUR, "4h"] + ["1h"] * 7 + [FIVE])


def test_how_rare_by_simulation():
    """With this interval the steps are a minute late on average."""
    scenario = book.BATCHES.replace(
        systems={"batch api": sim.OnlineService(sim.uniform("20h", "23h"), lanes=None)},
        arrivals=sim.UniformArrivals(20_000),
        **{"process.steps.generate.timeout": "3d"},
    )
    strategy = sim.CallbackWithSafetyPoll(
        book.DELAY, loss=book.LOSS, every=book.rarest(), anchor="random"
    )
    late = sim.compare(scenario, [strategy], replications=5, seed=3, progress=False)
    low, high = late["mean_latency"][["low", "high"]].iloc[0]
    assert low < book.MEAN < high


def test_a_schedule_that_passes_also_does_in_a_simulation():
    """The checker plays no run; a run gives the same."""
    verdict = book.SCHEDULE.judge(GOOD)
    assert verdict.mark is Mark.RIGHT, verdict.findings
    took = book.TOOK.tolist()
    scenario = book.BATCHES.replace(
        systems={"batch api": sim.OnlineService(sim.empirical(took), lanes=None)},
        arrivals=sim.UniformArrivals(5000),
    )
    waits = sim.simulate(scenario, GOOD, seed=4).waits
    assert (waits["latency"] <= book.LATE).mean() > book.KEPT - 0.01
    assert waits["latency"].max() <= book.LATEST + 1e-6
    assert waits["checks"].mean() < book.MOST_CHECKS


@pytest.mark.parametrize(
    ("pauses", "why"),
    [
        ([FIVE], "more than 20"),
        (["15min"], "fewer than 95 of 100"),
        ([*UP_TO_FOUR, "11h", FIVE], "more than an hour"),
        (["1d"], "fewer than 95 of 100"),
    ],
)
def test_schedules_that_fail_are_explained(pauses, why):
    """Too many checks, too late, or not at all for some."""
    verdict = book.SCHEDULE.judge(sim.PollingAfter(pauses))
    assert verdict.mark is Mark.NOT_YET
    assert any(why in each.text for each in verdict.findings if not each.good)


def test_a_schedule_that_gives_up_is_not_read():
    """It would leave batches without an end."""
    assert book.SCHEDULE.judge(sim.PollingAfter([FIVE], limit=3)).mark is Mark.UNREADABLE
