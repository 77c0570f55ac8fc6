"""What a system can do in a week, against what it does with more in its tray than that."""

import pytest

import asyncsim as sim
from asyncsim.study.capacity.supply import Asked, shares

QUIET = {"progress": False}
WEEKS, WEEK = 150, 7 * 86400


def crowded(system, items=200):
    """So many items come on the first morning."""
    return sim.Scenario(
        name="crowded",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": system},
        arrivals=sim.Scattered(items, between=("00:00", "06:00")),
    )


def a_week_of(system):
    """Return the most items of a week, from what one a day asks for."""
    regular = crowded(system).replace(arrivals=sim.Poisson("1/day"))
    return 7 / shares(regular, [Asked(1, {"ledger": 1}, 0.0)])["ledger"]


BATCHES = {
    "skip": {"end": "04:00", "skip": 0.3},
    "failure": {"end": "04:00", "failure": 0.5},
    "failure, at end": {"end": "04:00", "failure": 0.5, "results": "at end"},
    "few, failure": {"max_items": 4, "failure": 0.5, "skip": 0.2},
    "few, failure, at end": {"max_items": 5, "failure": 0.4, "results": "at end"},
    "one, failure": {"max_items": 1, "failure": 0.3},
    "all day": {"skip": 0.3, "failure": 0.3},
    "all day, at end": {"skip": 0.3, "failure": 0.3, "results": "at end"},
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_batch_with_enough_in_its_tray_does_what_a_week_allows(batch):
    """Of 1,050 nights the share that is skipped or breaks down is off by 3 % of itself or less."""
    system = sim.NightlyBatch("22:00", "5min", **batch)
    most = a_week_of(system)
    items = round(WEEKS * most * 1.3)
    run = sim.simulate(crowded(system, items), sim.Callback(), seed=1)
    last = run.waits["completed"].max() / WEEK
    if "at end" in batch.values() and "end" not in batch and "max_items" not in batch:
        done = items / last  # all of them are seen at once
    else:
        done = (run.waits["completed"] <= WEEKS * WEEK).sum() / WEEKS
    assert done == pytest.approx(most, rel=0.12)


def test_no_volume_is_offered_that_a_batch_with_skipped_nights_cannot_do():
    """361 items fit into a night of six hours, and seven nights of ten run: 253 a day."""
    scenario = crowded(sim.NightlyBatch("22:00", "60s", skip=0.3, end="04:00"))
    answer = sim.largest_volume(
        scenario.replace(arrivals=sim.Poisson("200/day")),
        sim.Callback(),
        "p95_latency <= 10min",
        replications=2,
        **QUIET,
    )
    assert float(answer.value.removesuffix("/day")) == pytest.approx(0.7 * 361, rel=0.02)
