"""Workers for a herd, a spread that is wide enough, and a herd at a rate limit."""

from __future__ import annotations

from collections.abc import Iterator

import asyncsim as sim
from asyncsim.exercises.checkers import NumberChecker, PropertyChecker
from asyncsim.exercises.feedback import Remark, condition
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment import theory
from asyncsim.model.distributions import Fixed

HERD, CALLBACK_WORK, NOTIFY, WORKERS = 10_000, 0.02, 0.2, 4
LIMIT_SECONDS = 10.0
LEDGER = sim.Scenario.load("example:nightly_ledger").replace(
    name="end of day",
    description="",
    systems={"ledger": sim.NightlyBatch("22:00", "100ms", results="at end")},
    arrivals=sim.Poisson(f"{HERD}/day", between=("08:00", "20:00")),
)
SHOWN: dict[str, object] = {"ledger": LEDGER}


def fewest_workers() -> float:
    """Return the smallest c for which s⌈N/c⌉ keeps the limit."""
    drained = (theory.herd_drained(HERD, c, CALLBACK_WORK) for c in range(1, HERD))
    return 1.0 + next(c for c, late in enumerate(drained) if late <= LIMIT_SECONDS)


HOW_MANY = Exercise(
    "05 how many workers",
    "A herd has exactly 10,000 callbacks of 20 ms, and the last step must resume within 10 "
    "seconds. How many workers are needed?",
    NumberChecker(
        fewest_workers,
        "By hand it fits exactly. Real nights have a few more orders or fewer, and the search over "
        "such nights asks for one more worker: plan with a reserve.",
        within=0.0,
        mistakes={
            fewest_workers() + 1: "that is the answer of the search, whose nights often have more "
            "than 10,000 orders; here a night has exactly 10,000",
            fewest_workers() - WORKERS: "these would be added to the present four; the question "
            "is how many in all",
            40: "that is the number in section 4, which drains the herd in less time",
            HERD * CALLBACK_WORK: "that is the work of the herd in seconds, and there are ten "
            "seconds",
            HERD * (NOTIFY + CALLBACK_WORK) / LIMIT_SECONDS: "that includes the notifications, "
            "which come after the steps have resumed",
        },
    ),
    (
        "How many seconds of work is the herd? The notifications come after resuming.",
        "How much of that does one worker finish within 10 seconds?",
        "s⌈N/c⌉ ≤ 10 s with s = 0.02 s and N = 10,000: solve for c.",
    ),
)

MOST_QUEUED, MOST_LATE = 100.0, 390.0


def spread_out(strategy: sim.Callback) -> Iterator[Remark]:
    """Simulate three nights: the queue must stay short, and the latency within its limit."""
    runs = [sim.simulate(LEDGER, strategy, seed=5, replication=night) for night in range(3)]
    rows = [run.summary().iloc[0] for run in runs]
    queued = sum(float(row["longest_queue"]) for row in rows) / len(rows)
    late = sum(float(row["mean_latency"]) for row in rows) / len(rows)
    why = (
        "the callbacks arrive faster than the workers finish the work that each of them starts, "
        "the notification included"
    )
    if isinstance(strategy.delay, Fixed):
        why = "the same delay for all moves the herd to another time but does not spread it"
    longest = f"The longest queue has {queued:,.0f} jobs"
    yield condition(queued < MOST_QUEUED, longest, f", not under 100: {why}.")
    mean = f"The steps are late by {late / 60:.1f} min on average"
    why = ", more than 6.5: the spread is wider than necessary (or a constant delay)."
    yield condition(late <= MOST_LATE, mean, why)
    lost = sum(int((run.waits["outcome"] != "resumed").sum()) for run in runs)
    if lost:
        yield Remark(False, f"{lost} steps never resume: callbacks must be spread, not lost.")


SPREAD = Exercise(
    "05 wide enough",
    "Find a delay of the callback that keeps the longest queue under a hundred and the mean "
    "latency within 6.5 minutes.",
    PropertyChecker(
        "a callback with a delay, such as sim.Callback(delay=sim.uniform(0, '5min'))",
        lambda answer: isinstance(answer, sim.Callback),
        spread_out,
        "Four workers need 10,000 times 220 ms, divided by four: a little more than nine minutes. "
        "A spread slightly wider than this has no long queue; a narrower one always does.",
    ),
    (
        "How much work does one callback start in all?",
        "How long are four workers busy with the whole herd *and* its notifications?",
        "Spread a little wider than 10,000 · (20 ms + 200 ms) / 4; `sim.uniform(0, t)` is late by "
        "t/2 on average.",
    ),
)

CONNECTOR, MINUTE, SMALL_HERD = 100, 60.0, 1000
LIMIT = Exercise(
    "05 your limit",
    "A limit admits 100 calls in 60 seconds, a herd of 1,000 arrives at once, and every rejected "
    "call is retried each minute. How long until the last one is admitted?",
    NumberChecker(
        lambda: theory.window_drained(SMALL_HERD, CONNECTOR, MINUTE),
        "A hundred are admitted at once, and a hundred more each minute. With ten thousand orders "
        "it would take more than an hour and a half: know your limit and your largest herd.",
        "s",
        mistakes={
            SMALL_HERD / CONNECTOR * MINUTE: "there the first hundred wait for a minute too, but "
            "they are admitted at once",
            MINUTE: "only a hundred of them are admitted each minute",
            SMALL_HERD * MINUTE: "that admits one a minute; the limit is a hundred",
            SMALL_HERD * CALLBACK_WORK / WORKERS: "that is the time the workers need; the limit "
            "delays the callbacks before they reach them",
        },
    ),
    (
        "How many are admitted at once, and how many a minute later?",
        "List minute 0, minute 1, minute 2 … and how many have been admitted by then.",
        "The last hundred is admitted in the tenth round, and the first round is at minute 0.",
    ),
)

EXERCISES = (HOW_MANY, SPREAD, LIMIT)
