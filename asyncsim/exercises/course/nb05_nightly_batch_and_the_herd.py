"""Workers for a herd, a spread that is wide enough, and a herd before a rate limit."""

from __future__ import annotations

from collections.abc import Iterator

from asyncsim.exercises.checkers import CommonMistake, NumberChecker, PropertyChecker
from asyncsim.exercises.feedback import Finding
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment import theory
from asyncsim.experiment.simulate import simulate
from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import Fixed, exponential
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import Callback
from asyncsim.model.systems import NightlyBatch

HERD, CALLBACK_WORK, NOTIFY, WORKERS = 10_000, 0.02, 0.2, 4
PROMISE = 10.0
LEDGER = Scenario(
    name="end of day",
    process=Process(
        "order to cash",
        [
            Step("validate", work=exponential("200ms")),
            AsyncStep("post to ledger", system="ledger"),
            Step("notify", work=exponential(NOTIFY)),
        ],
        first_activation=30,
    ),
    systems={"ledger": NightlyBatch("22:00", "100ms", results="at end")},
    server=WorkflowServer(WORKERS, poll_work="10ms", callback_work=CALLBACK_WORK),
    arrivals=Poisson(f"{HERD}/day", between=("08:00", "20:00")),
)
SHOWN: dict[str, object] = {"ledger": LEDGER}


def fewest_workers() -> float:
    """Return the smallest c for which s⌈N/c⌉ keeps the promise."""
    workers = 1
    while theory.herd_drained(HERD, workers, CALLBACK_WORK) > PROMISE:
        workers += 1
    return float(workers)


HOW_MANY = Exercise(
    "05 how many workers",
    "A herd of exactly 10,000 callbacks of 20 ms: the last step must resume within 10 seconds. How "
    "many workers does that take?",
    NumberChecker(
        fewest_workers,
        "By hand it fits without a second to spare. A real night has some more orders or fewer, "
        "and the search over such nights asks for one worker more: plan with room.",
        within=0.0,
        slips=(
            CommonMistake(
                fewest_workers() + 1,
                "that is what the search says, whose nights often have more than 10,000 orders; by "
                "hand, with exactly 10,000, one fewer will do",
            ),
            CommonMistake(
                fewest_workers() - WORKERS,
                "these would come on top of the four that are there; all are asked",
            ),
            CommonMistake(
                40, "that is the number of section 4, which drains the herd in half the time"
            ),
            CommonMistake(
                HERD * CALLBACK_WORK, "that is the work of the herd in seconds; it has ten"
            ),
            CommonMistake(
                HERD * (NOTIFY + CALLBACK_WORK) / PROMISE,
                "that counts the notifications as well, which come after the steps resumed",
            ),
        ),
    ),
    (
        "How many seconds of work does the herd bring? The notifications come after resuming.",
        "How much of that does one worker get done within the promise?",
        "s⌈N/c⌉ ≤ 10 s with s = 0.02 s and N = 10,000: solve for c.",
    ),
)

MOST_QUEUED, MOST_LATE = 100.0, 390.0


def spread_out(strategy: Callback) -> Iterator[Finding]:
    """Play three nights: the queue has to stay short, and the steps must not be late for ever."""
    runs = [simulate(LEDGER, strategy, seed=5, replication=night) for night in range(3)]
    rows = [run.summary().iloc[0] for run in runs]
    queued = sum(float(row["longest_queue"]) for row in rows) / len(rows)
    late = sum(float(row["mean_latency"]) for row in rows) / len(rows)
    short = queued < MOST_QUEUED
    yield Finding(
        short,
        f"The longest queue has {queued:,.0f} jobs"
        + ("." if short else f", not under 100: {_why_queued(strategy)}."),
    )
    prompt = late <= MOST_LATE
    yield Finding(
        prompt,
        f"The steps are late by {late / 60:.1f} min on average"
        + ("." if prompt else ", more than 6.5: wider than it need be (or late for no use)."),
    )
    lost = sum(int((run.waits["outcome"] != "resumed").sum()) for run in runs)
    if lost:
        yield Finding(False, f"{lost} steps never resume; spreading is not losing.")


def _why_queued(strategy: Callback) -> str:
    if isinstance(strategy.delay, Fixed):
        return "the same delay for all moves the herd to another time and does not spread it"
    return (
        "the callbacks come faster than the workers can do what each of them sets free, the "
        "notification included"
    )


SPREAD = Exercise(
    "05 wide enough",
    "Find a delay of the callback at which the longest queue stays under a hundred, and the mean "
    "latency within 6.5 minutes.",
    PropertyChecker(
        "a callback with a delay, such as sim.Callback(delay=sim.uniform(0, '5min'))",
        lambda answer: isinstance(answer, Callback),
        spread_out,
        "The workers need 10,000 times 220 ms by four, a little more than nine minutes. A spread "
        "that is a little wider than this gets by without a queue; a narrower one never does.",
    ),
    (
        "How much work does one callback set free, all in all?",
        "How long are four workers busy with the whole herd *and* its notifications?",
        "Spread a little wider than 10,000 · (20 ms + 200 ms) / 4; `sim.uniform(0, t)` is late by "
        "half of t on average.",
    ),
)

CONNECTOR, MINUTE, SMALL_HERD = 100, 60.0, 1000
LIMIT = Exercise(
    "05 your limit",
    "100 calls in 60 seconds are let in, a herd of 1,000 comes at once, and each that is turned "
    "away tries again every minute. How long until the last one is in?",
    NumberChecker(
        lambda: theory.window_drained(SMALL_HERD, CONNECTOR, MINUTE),
        "A hundred are in at once, and a hundred more each minute. With ten thousand orders it "
        "would be more than an hour and a half: know your limit, and how large a herd can be.",
        "s",
        slips=(
            CommonMistake(
                SMALL_HERD / CONNECTOR * MINUTE,
                "that lets the first hundred wait for a minute too; they are in at once",
            ),
            CommonMistake(MINUTE, "only a hundred of them get in with every new minute"),
            CommonMistake(
                SMALL_HERD * MINUTE,
                "that lets in one a minute; the limit is a hundred",
            ),
            CommonMistake(
                SMALL_HERD * CALLBACK_WORK / WORKERS,
                "that is what the workers need; the limit keeps the callbacks away from them",
            ),
        ),
    ),
    (
        "How many are in at the first moment, and how many a minute later?",
        "Write a list: minute 0, minute 1, minute 2 … and how many are in by then.",
        "The last hundred comes in the tenth round, and the first round is at minute 0.",
    ),
)

EXERCISES = (HOW_MANY, SPREAD, LIMIT)
