"""Overhead of a callback, the queue that a batch leaves, and whose clock a poller goes by."""

from __future__ import annotations

from functools import cache

import numpy as np

from asyncsim.exercises.checkers import Choice, CommonMistake, NumberChecker, Option, closed_form
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment.simulate import simulate
from asyncsim.experiment.statistics import mean_interval
from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import exponential, lognormal
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import Callback, Polling
from asyncsim.model.systems import NightlyBatch

ORDERS = 600
ITEM, CALLBACK_WORK, POLL_WORK, SLOW = 0.15, 0.02, 0.01, 1.0
WORKERS = 4
LEDGER = Scenario(
    name="nightly ledger",
    process=Process(
        "order to cash",
        [
            Step("validate", work=exponential("200ms")),
            AsyncStep("post to ledger", system="ledger"),
            Step("notify", work=exponential("200ms")),
        ],
        first_activation=30,
    ),
    systems={"ledger": NightlyBatch("22:00", item_time=lognormal(mean=ITEM, sd="100ms"))},
    server=WorkflowServer(WORKERS, poll_work=POLL_WORK, callback_work=CALLBACK_WORK),
    arrivals=Poisson(f"{ORDERS}/day", between=("08:00", "20:00")),
)
SHOWN: dict[str, object] = {"scenario": LEDGER}


def callback_overhead() -> float:
    """Return the worker time of a day spent on callbacks: orders x deliveries x handling."""
    deliveries = closed_form(Callback("50ms"), lognormal(mean=ITEM, sd="100ms")).deliveries
    return ORDERS * deliveries * CALLBACK_WORK


OVERHEAD = Exercise(
    "01 callback overhead",
    "How many seconds a day do the workers of the first scenario spend on noticing, under "
    "callback?",
    NumberChecker(
        callback_overhead,
        "Little, and not nothing: each callback is received, its record looked up, the step woken. "
        "Polling every 15 minutes takes about 16 times as long, and still no more than minutes a "
        "day.",
        "s",
        within=0.1,  # what a day of the simulation shows is as good as the mean
        slips=(
            CommonMistake(
                0, "'callbacks have no overhead' is the claim; but somebody has to handle each"
            ),
            CommonMistake(
                CALLBACK_WORK, "that is one callback, and there is one for every order of the day"
            ),
            CommonMistake(
                ORDERS * POLL_WORK, "a callback is not a poll: handling one takes 20 ms, not 10"
            ),
            CommonMistake(
                ORDERS * CALLBACK_WORK * WORKERS,
                "each callback is handled by one of the four workers, not by all of them",
            ),
            CommonMistake(ORDERS * 0.05, "the 50 ms are on the network, and keep no worker busy"),
            CommonMistake(
                ORDERS * (0.05 + CALLBACK_WORK),
                "that is the latency of all of them; the 50 ms on the network keep no worker busy",
            ),
            CommonMistake(
                ORDERS * 0.4, "that is the work of the steps themselves, which is no overhead"
            ),
        ),
    ),
    (
        "Who does something when a callback arrives, and for how long?",
        "Every order brings one callback. Time on the network is nobody's work.",
        "Orders per day times `callback_work`; hold it against 'overhead worker time' of the "
        "table.",
    ),
)


@cache
def last_latency() -> float:
    """Return the mean of the largest latency of a day, over ten replications."""
    slow = LEDGER.replace(
        server=WorkflowServer(WORKERS, poll_work=POLL_WORK, callback_work=SLOW),
    )
    runs = (simulate(slow, Callback("50ms"), seed=11, replication=k) for k in range(10))
    return mean_interval([run.summary()["max_latency"].iloc[0] for run in runs]).mean


LAST = Exercise(
    "01 last callback",
    "With callback_work='1s': how late is the last callback handled? (to within 15 %)",
    NumberChecker(
        last_latency,
        "The batch hands over six or seven orders a second and the workers take fewer than four, "
        "so the queue grows as long as the batch runs. Who comes last waits for all of it.",
        "s",
        within=0.15,
        slips=(
            CommonMistake(
                ORDERS * (SLOW / WORKERS - ITEM),
                "that is what the callbacks alone would take; the same workers also notify the "
                "customer of every order that was resumed",
            ),
            CommonMistake(
                ORDERS * SLOW / WORKERS,
                "that is how long the workers need for all; but the last order is only booked when "
                "the batch ends, and its latency begins there",
            ),
            CommonMistake(
                ORDERS * SLOW, "that is one worker alone, and counted from the batch's start"
            ),
            CommonMistake(ORDERS * (SLOW - ITEM), "that is one worker alone, and there are four"),
            CommonMistake(
                SLOW, "that is a callback that finds a worker free; the others stand in a queue"
            ),
        ),
    ),
    (
        "How many callbacks come per second while the batch runs, and how many can be handled?",
        "About 600 orders, one every 150 ms: the batch runs for a minute and a half. How much work "
        "is left at its end? A resumed step also brings 200 ms of 'notify'.",
        "Play it: replace the server by one with callback_work='1s', simulate under "
        "Callback('50ms'), and read `max_latency` in `run.summary()`.",
    ),
)


def own_grid() -> tuple[str, str]:
    """Play a day, and hold each latency against the grid from the arming of its own wait."""
    poll = Polling("15min")
    waits = simulate(LEDGER, poll, seed=1).waits
    waited = waits["completed"] - waits["armed"]
    by_grid = np.ceil(waited / poll.interval) * poll.interval - waited
    off = float((waits["latency"] - by_grid).abs().max())
    measured = (
        f"Played: of {len(waits)} waits, each was late by what was left to the next quarter of an "
        f"hour after its own arming, plus {off * 1000:.0f} ms for the check."
    )
    return ("b" if off < 1.0 else "c"), measured


NUMBERS = Exercise(
    "01 another number",
    "1_31 and 100_31 both asked every 15 minutes; why is one resumed later after its booking?",
    Choice(
        {
            "a": Option(
                "the batch took it later",
                "It did, but latency is counted from each order's own booking, so that falls out.",
            ),
            "b": Option(
                "each counts its quarters of an hour from its own beginning",
                "So the lateness of one step says nothing of another's; only their mean is steady.",
            ),
            "c": Option(
                "the workers were busy with others",
                "They have little to do: a check takes 10 ms, and hardly one of them had to queue. "
                "Look at 'longest queue'.",
            ),
            "d": Option(
                "polling every 15 minutes is late by 7.5 minutes, give or take chance",
                "7.5 minutes is a mean over many. For one step nothing is left to chance: when it "
                "began to wait and when it was booked say exactly how late it is.",
            ),
        },
        own_grid,
    ),
    (
        "Look at `armed_at` of both, minutes and seconds only.",
        "When is the first check after 22:00 of a step that was armed at 08:02? And at 10:11?",
        "Add quarters of an hour to `armed_at` until you are past `completed_at`, for both.",
    ),
)

EXERCISES = (OVERHEAD, LAST, NUMBERS)
