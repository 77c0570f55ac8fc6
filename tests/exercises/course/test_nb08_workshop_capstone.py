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


@pytest.mark.parametrize("every", ["20min", "30min"])
def test_a_design_that_passes(every):
    """A callback for most steps, and a safety poll for the lost ones."""
    verdict = judged(2, sim.CallbackWithSafetyPoll(**LOSSY, every=every))
    assert verdict.mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("workers", "strategy", "why"),
    [
        (2, sim.Polling("15min"), "a poller is late by up to its interval"),
        (2, sim.Polling("15min"), "is for lateness"),
        (2, sim.Polling("1min"), "is for requests"),
        (2, sim.Callback(**LOSSY), "no check finds lost callbacks"),
        (1, sim.CallbackWithSafetyPoll(**LOSSY, every="15min"), "queue for too few workers"),
        (8, sim.CallbackWithSafetyPoll(**LOSSY, every="15min"), "is for workers"),
        (2, sim.CallbackWithSafetyPoll("1s", every="15min"), "in this company it is 2 %"),
        (2, sim.CallbackWithSafetyPoll(**LOSSY, every="1h"), "is for lateness"),
        (2, sim.LongPolling("1h"), "hold no connections open"),
        (2, sim.Polling("15min", limit=2), "a poller that stops checking"),
        (2, sim.Callback(**LOSSY, retries=["1min"]), "a sender that notices"),
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
