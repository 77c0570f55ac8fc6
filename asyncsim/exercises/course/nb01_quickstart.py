"""Overhead of callbacks, the queue that a batch leaves, and the grid of each poller."""

from __future__ import annotations

from functools import cache

import numpy as np

import asyncsim as sim
from asyncsim.exercises.checkers import ChoiceChecker, NumberChecker, Option, closed_form
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment.statistics import mean_interval

ORDERS = 600
ITEM, CALLBACK_WORK, POLL_WORK, SLOW = 0.15, 0.02, 0.01, 1.0
WORKERS = 4
LEDGER = sim.Scenario.load("example:nightly_ledger").replace(
    description="", arrivals=sim.Poisson(f"{ORDERS}/day", between=("08:00", "20:00"))
)
SHOWN: dict[str, object] = {"scenario": LEDGER}


def callback_overhead() -> float:
    """Return the worker time of a day for callbacks: orders x deliveries x handling."""
    deliveries = closed_form(sim.Callback("50ms"), sim.lognormal(mean=ITEM, sd="100ms")).deliveries
    return ORDERS * deliveries * CALLBACK_WORK


OVERHEAD = Exercise(
    "01 callback overhead",
    "How many seconds a day do the workers of the first scenario spend on callbacks?",
    NumberChecker(
        callback_overhead,
        "Little, but not nothing: each callback is received, its record found, its step resumed. "
        "Polling every 15 minutes takes about 16 times as much, which is still only minutes a day.",
        "s",
        within=0.1,  # the value of one simulated day passes as well
        mistakes={
            0: "'callbacks have no overhead' is only a claim: a worker handles each of them",
            CALLBACK_WORK: "that is one callback, but every order of the day has one",
            ORDERS * POLL_WORK: "a callback is not a poll: handling one takes 20 ms, not 10",
            ORDERS * CALLBACK_WORK * WORKERS: "each callback is handled by one of the four "
            "workers, not by all of them",
            ORDERS * 0.05: "the 50 ms are network time, which keeps no worker busy",
            ORDERS * (0.05 + CALLBACK_WORK): "that is the latency of all orders; the 50 ms on the "
            "network keep no worker busy",
            ORDERS * 0.4: "that is the work of the steps themselves, not overhead",
        },
    ),
    (
        "What happens when a callback arrives, and how long does it take?",
        "Every order has one callback. Time on the network keeps no worker busy.",
        "Orders per day times `callback_work`; compare with 'worker time for noticing' in the "
        "table.",
    ),
)


@cache
def last_latency() -> float:
    """Return the mean of the largest latency of a day, over ten replications."""
    slow = LEDGER.replace(server=sim.WorkflowServer(WORKERS, POLL_WORK, SLOW))
    runs = (sim.simulate(slow, sim.Callback("50ms"), seed=11, replication=k) for k in range(10))
    return mean_interval([run.summary()["max_latency"].iloc[0] for run in runs]).mean


LAST = Exercise(
    "01 last callback",
    "With callback_work='1s', how late is the last callback handled? (within 15 %)",
    NumberChecker(
        last_latency,
        "The batch completes six or seven orders a second and the workers handle fewer than four, "
        "so the queue grows while the batch runs. The last callback waits for the whole queue.",
        "s",
        within=0.15,
        mistakes={
            ORDERS * (SLOW / WORKERS - ITEM): "that is the time for the callbacks alone; the same "
            "workers also notify the customer of every resumed order",
            ORDERS * SLOW / WORKERS: "that is the time the workers need for all callbacks; but "
            "the last order is booked when the batch ends, and its latency begins then",
            ORDERS * SLOW: "that is one worker alone, counted from the start of the batch",
            ORDERS * (SLOW - ITEM): "that is one worker alone, but there are four",
            SLOW: "that is a callback that finds a worker free; the others wait in a queue",
        },
    ),
    (
        "How many callbacks arrive per second while the batch runs, and how many are handled?",
        "About 600 orders, one every 150 ms: the batch runs for a minute and a half. How much work "
        "is left when it ends? Each resumed order also needs 200 ms for 'notify'.",
        "Simulate it: replace the server by one with callback_work='1s', simulate under "
        "Callback('50ms'), and read `max_latency` in `run.summary()`.",
    ),
)


def own_grid() -> tuple[str, str]:
    """Simulate a day; compare each latency with the grid from the arming of its own wait."""
    poll = sim.Polling("15min")
    waits = sim.simulate(LEDGER, poll, seed=1).waits
    waited = waits["completed"] - waits["armed"]
    by_grid = np.ceil(waited / poll.interval) * poll.interval - waited
    off = float((waits["latency"] - by_grid).abs().max())
    measured = (
        f"Simulated: each of {len(waits)} waits was late by the time left to the next quarter of "
        f"an hour after its own arming, plus {off * 1000:.0f} ms for the check."
    )
    return ("b" if off < 1.0 else "c"), measured


NUMBERS = Exercise(
    "01 another number",
    "1_31 and 100_31 were both checked every 15 minutes; why did one resume later after its "
    "booking?",
    ChoiceChecker(
        {
            "a": Option(
                "the batch took it later",
                "It did, but latency is counted from each order's own booking, so this has no "
                "effect.",
            ),
            "b": Option(
                "each counts its quarters of an hour from its own beginning",
                "So the latency of one step says nothing about another's; only their mean is "
                "stable.",
            ),
            "c": Option(
                "the workers were busy with others",
                "They have little to do: a check takes 10 ms, and hardly any of them had to queue. "
                "See 'longest queue'.",
            ),
            "d": Option(
                "polling every 15 minutes is late by 7.5 minutes, give or take chance",
                "7.5 minutes is a mean over many waits. For one step nothing is random: the times "
                "of arming and booking determine exactly how late it is.",
            ),
        },
        own_grid,
    ),
    (
        "Compare minutes and seconds of `armed_at` for both.",
        "When is the first check after 22:00 of a step that was armed at 08:02? And at 10:11?",
        "Add quarters of an hour to `armed_at` until you are past `completed_at`, for both.",
    ),
)

EXERCISES = (OVERHEAD, LAST, NUMBERS)
