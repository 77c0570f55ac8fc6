"""Designs that meet the conditions, and designs that do not."""

from pathlib import Path

import pytest

import asyncsim as sim
from asyncsim.exercises.course import nb08_workshop_capstone as book
from asyncsim.exercises.feedback import Mark
from asyncsim.model.scenario import changed

ORDERS = sim.Scenario.load(Path(__file__).parents[3] / "data" / "capstone.toml")
WORK = {"poll_work": "20ms", "callback_work": "30ms"}
LOSSY = {"delay": "1s", "loss": 0.02}


def judged(workers, strategy, **work):
    return book.DESIGN.judge(
        (ORDERS.replace(server=sim.WorkflowServer(workers, **(work or WORK))), strategy)
    )


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"arrivals.rate": "100/day"}, "arrivals"),
        ({"systems.ledger.results": "per item"}, "systems"),
        ({"costs.worker_hour": 0.1}, "costs"),
        ({"costs": None}, "costs"),
        ({"length": "2 days"}, "length"),
        ({"process.steps.notify.work": "0s"}, "process"),
    ],
)
def test_another_company_is_not_judged(changes, part):
    """Even if the design would be good there."""
    strategy = sim.CallbackWithSafetyPoll(**LOSSY, every="30min")
    verdict = book.DESIGN.judge((changed(ORDERS, changes), strategy))
    assert verdict.mark is Mark.NOT_YET
    assert [each.text for each in verdict.findings] == [
        f"That is another company: its {part} differ. Load data/capstone.toml again, and change "
        "only the server."
    ]


def safe(every, **other):
    return sim.CallbackWithSafetyPoll(**{**LOSSY, **other}, every=every)


RETRIES = sim.Callback(**LOSSY, retries=["1min"] * 6)
GRID = [
    *((n, safe(every)) for n in (2, 4, 5, 6, 8) for every in ("5min", "10min", "15min", "30min")),
    *((n, safe("1h")) for n in (2, 4)),
    *((n, sim.Callback(**LOSSY)) for n in (2, 5, 12)),
    *((n, sim.Polling(every)) for n in (2, 5, 12) for every in ("1min", "2min", "15min")),
    (5, sim.LongPolling("1h")),
    (5, RETRIES),
    (5, safe("15min", loss=0.0)),
]
CONDITIONS = {
    "retries": "Retries need a sender",
    "lossless": "of the callbacks are lost",
    "connections": "hold no connections open",
    "prompt": "of a busy day resume within",
    "never forgotten": "after its work is done",
    "affordable": "An ordinary day costs",
}


@pytest.fixture(scope="module")
def broken():
    """The conditions that each design of the grid breaks."""

    def one(workers, strategy):
        texts = [each.text for each in judged(workers, strategy).findings if not each.good]
        named = {name for text in texts for name, words in CONDITIONS.items() if words in text}
        forgotten = any("never resume" in text for text in texts)
        return named | ({"never forgotten"} if forgotten else set())

    return {(workers, strategy.label): one(workers, strategy) for workers, strategy in GRID}


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_binds(broken, name):
    """A design breaks it and no other."""
    assert {name} in broken.values()


def test_several_designs_pass(broken):
    """With more than one number of workers, and more than one interval."""
    passed = {design for design, names in broken.items() if not names}
    assert len({workers for workers, _ in passed}) > 1
    assert len({label for _, label in passed}) > 1


def test_no_first_idea_passes(broken):
    """Callback alone, polling, the hourly safety poll: with any number of workers of the grid."""
    first = ("callback, 2 % lost", "polling", "callback, 2 % lost, safety poll 1 h")
    ideas = [names for (_, label), names in broken.items() if label in first or "polling" in label]
    assert len(ideas) > 12
    assert all(ideas)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_cheapest_interval_does_not_pass(workers):
    """With the company's number of workers, and with that of an ordinary day."""
    effort = {"replications": 3, "seed": 1, "progress": False}
    cheapest = sim.cheapest_interval(
        ORDERS, safe("1h"), field="strategy.every", between=("1min", "6h"), **effort
    )
    days = sim.fewest_workers(ORDERS, sim.Callback("1s"), "p95_latency <= 60s", **effort)
    assert (ORDERS.server.workers, days.value) == (2, 4)
    assert judged(workers, safe(cheapest.value)).mark is Mark.NOT_YET


@pytest.mark.parametrize(("workers", "every"), [(5, "15min"), (6, "15min"), (5, "10min")])
def test_a_design_that_passes(workers, every):
    """A callback for most steps, and a safety poll for the lost ones."""
    assert judged(workers, safe(every)).mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("workers", "strategy", "why"),
    [
        (2, sim.Polling("15min"), "a poller is late by up to its interval"),
        (5, sim.Polling("15min"), "is for lateness"),
        (5, sim.Polling("30min"), "a completion is found by the next check"),
        (5, sim.Polling("1min"), "is for requests"),
        (5, sim.Callback(**LOSSY), "no check finds lost callbacks"),
        (4, safe("15min"), "queue for too few workers"),
        (8, safe("15min"), "is for workers"),
        (5, safe("15min", loss=0.0), "in this company it is 2 %"),
        (5, safe("1h"), "a lost callback is found by the next check"),
        (5, sim.LongPolling("1h"), "hold no connections open"),
        (5, sim.Polling("15min", limit=2), "a poller that stops checking"),
        (5, RETRIES, "a sender that notices"),
    ],
)
def test_designs_that_fail_are_explained(workers, strategy, why):
    """Each failed condition has its reason."""
    verdict = judged(workers, strategy)
    assert verdict.mark is Mark.NOT_YET
    assert any(why in each.text for each in verdict.findings if not each.good)


def test_a_server_that_works_for_nothing():
    """Leaving out the times of the house is a slip of its own."""
    verdict = judged(2, sim.Polling("15min"), poll_work=0)
    assert "poll_work='20ms'" in verdict.findings[0].text


@pytest.mark.parametrize("answer", [(ORDERS,), [ORDERS, sim.Callback()], (sim.Callback(), ORDERS)])
def test_a_pair_is_wanted(answer):
    """Scenario first, then strategy."""
    assert book.DESIGN.judge(answer).mark is Mark.UNREADABLE
