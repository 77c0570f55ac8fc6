"""Workers for a herd, and a herd before a rate limit."""

from __future__ import annotations

from asyncsim.exercises.exercise import Exercise
from asyncsim.exercises.numbers import Number, Slip
from asyncsim.model.arrivals import Poisson
from asyncsim.model.durations import exponential
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.systems import NightlyBatch
from asyncsim.study import theory

LEDGER = Scenario(
    name="end of day",
    process=Process(
        "order to cash",
        [
            Step("validate", work=exponential("200ms")),
            AsyncStep("post to ledger", system="ledger"),
            Step("notify", work=exponential("200ms")),
        ],
        first_activation=30,
    ),
    systems={"ledger": NightlyBatch("22:00", "100ms", results="at end")},
    server=WorkflowServer(workers=4, poll_work="10ms", callback_work="20ms"),
    arrivals=Poisson("10000/day", between=("08:00", "20:00")),
)
SHOWN: dict[str, object] = {"ledger": LEDGER}
HERD, WITHIN = 10_000, 10.0
CALLS, MOST, LENGTH = 1000, 100, 60.0


def enough_workers() -> float:
    """Return the fewest workers that drain the herd in time, by the closed form."""
    service = LEDGER.server.callback_work
    return float(next(c for c in range(1, HERD) if theory.herd_drained(HERD, c, service) <= WITHIN))


WORKERS = Exercise(
    "05 workers for a herd",
    "10,000 callbacks of 20 ms each come at once. How many workers does it take until the last of "
    "them resumes its step within 10 seconds?",
    Number(
        enough_workers,
        "200 seconds of work in 10 seconds. A real day has a few orders more or less than 10,000, "
        "so a planner adds one: ask `fewest_workers`, and look at its interval.",
        "workers",
        within=0.0,
        slips=(
            Slip(
                lambda: HERD * LEDGER.server.callback_work,
                "that is the work in seconds, as if all of it had to be done in one",
            ),
            Slip(
                lambda: enough_workers() / 2,
                "with so few the *mean* of them resumes within 10 seconds, and the last after 20",
            ),
        ),
    ),
    (
        "How many seconds of work is the whole herd?",
        "c workers do c seconds of work in a second.",
        "Solve s⌈N/c⌉ ≤ 10 for c, with N = 10,000 and s = 0.02.",
    ),
)


def drained() -> float:
    """Return when the last call of the herd is let in by a sliding window."""
    return theory.window_drained(CALLS, MOST, LENGTH)


LIMIT = Exercise(
    "05 a limited connector",
    "A connector takes 100 calls in 60 seconds. A thousand come at once; those turned away are "
    "tried again every minute. After how long is the last one in?",
    Number(
        drained,
        "The first hundred are in at once, and nine hundred take nine minutes: for a thousand. "
        "The same connector needs more than an hour and a half for the herd of this notebook.",
        "s",
        within=0.001,
        slips=(
            Slip(
                lambda: CALLS / MOST * LENGTH,
                "ten times a hundred is right, but the first hundred need not wait",
            ),
            Slip(lambda: CALLS / MOST, "that is how often a hundred go in, not how long it takes"),
        ),
    ),
    (
        "How many are let in at the very first moment, and how many a minute later?",
        "Write down the minutes: 0, 1, 2 … In which of them does the thousandth get in?",
        "A hundred at minute 0, two hundred by minute 1, and so on.",
    ),
)

EXERCISES = (WORKERS, LIMIT)
