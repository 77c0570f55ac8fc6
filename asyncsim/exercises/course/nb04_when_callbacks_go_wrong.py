"""Early callbacks, how long to buffer them, a late callback, and an order of remedies."""

from __future__ import annotations

import asyncsim as sim
from asyncsim.exercises.checkers import (
    ChoiceChecker,
    NumberChecker,
    Option,
    OrderingChecker,
    closed_form,
)
from asyncsim.exercises.gradebook import Exercise

ARMING, KEPT = 0.1, 0.05
ANSWER = sim.exponential("200ms")
QUICK = sim.Scenario(
    name="quick service",
    process=sim.Process("request", [sim.AsyncStep("ask", "service", arm_delay=ARMING)]),
    systems={"service": sim.OnlineService(ANSWER, lanes=None)},
    arrivals=sim.Poisson("20000/day"),
)


def approvals(clerk: str) -> sim.Scenario:
    """Return an approval with a time-out of two hours, and a clerk with a given work time."""
    ask = sim.AsyncStep(
        "approve", "clerk", timeout="2h", on_timeout=[sim.AsyncStep("approve by deputy", "deputy")]
    )
    return sim.Scenario(
        name="approval",
        process=sim.Process("approve invoice", [ask, sim.Step("pay")], first_activation=31),
        systems={"clerk": sim.People(1, clerk), "deputy": sim.People(1, "5min")},
        arrivals=sim.Regular("30min", offset="9h"),
        length="12h",
    )


SHOWN: dict[str, object] = {"quick": QUICK, "approval": approvals("10min")}


def early_share(arming: float) -> float:
    """Return the share of answers within a fixed arming time: 1 - S(A)."""
    return 1.0 - float(ANSWER.survival(arming))


HOW_EARLY = Exercise(
    "04 how early",
    "The arming time is now exponential with the same mean of 100 ms (callback: 200 ms). What "
    "share of the callbacks is early?",
    NumberChecker(
        lambda: ARMING / (ARMING + ANSWER.mean),  # how often the answer ends first
        "Fewer than with a fixed time of the same mean: short arming times save more callbacks "
        "than long ones lose. A mean alone does not determine how often something happens.",
        "share",
        mistakes={
            early_share(ARMING): "that is the share for the fixed arming time of section 1; now "
            "it varies, and is mostly shorter than its mean",
            ARMING / ANSWER.mean: "that is one mean divided by the other; a share is a part of "
            "their sum",
            0: "arming is sooner on average, but not every time",
        },
    ),
    (
        "Two exponential times compete. How often does the one with the longer mean end first?",
        "Arming ends at rate 1/A, the callback arrives at rate 1/C. The callback is first with the "
        "share of its rate in the sum of both.",
        "(1/C) / (1/A + 1/C) with A = 0.1 s and C = 0.2 s; simplify the fraction.",
    ),
)

KEEP = Exercise(
    "04 keep it",
    "The arming time is 100 ms (fixed), and early callbacks are buffered for 50 ms. What share of "
    "the steps hangs?",
    NumberChecker(
        lambda: early_share(ARMING - KEPT),
        "Only steps whose callback came in the first half of the arming time hang; later ones are "
        "buffered long enough. A buffer must be as long as the longest arming time.",
        "share",
        within=0.03,  # the value of one simulated day passes as well
        mistakes={
            early_share(ARMING): "that is without a buffer, as in section 1",
            early_share(ARMING) - early_share(ARMING - KEPT): "these are the steps that the "
            "buffer saves; the others hang",
            0: "that would be a buffer without a limit; this one drops callbacks after 50 ms",
            early_share(ARMING) / 2: "half the arming time does not save half of them: short "
            "answers are more frequent",
        },
    ),
    (
        "A callback after 20 ms is buffered until 70 ms. Is that long enough?",
        "Which callbacks are still in the buffer when the wait is armed at 100 ms?",
        "The share of exponential times (mean 200 ms) below 100 ms - 50 ms; the notebook has the "
        "formula for those below 100 ms.",
    ),
)


def late_callback() -> tuple[str, str]:
    """Simulate a clerk who is slower than the time-out; count approvals and payments."""
    run = sim.simulate(approvals("150min").replace(length="9h 10min"), sim.Callback(), seed=1)
    delivered = run.deliveries.set_index("serial_number")["outcome"]
    timed_out = run.waits.query("outcome == 'timed out'")
    deputy = run.waits.query("step == 'approve by deputy' and outcome == 'resumed'")
    refused = delivered.loc[timed_out["serial_number"]].tolist()
    paid = run.steps.query("step == 'pay'")
    measured = (
        f"Simulated: the clerk's callback was answered '{', '.join(refused)}'; the deputy approved "
        f"too, and the process paid {'once' if len(paid) == 1 else f'{len(paid)} times'}."
    )
    twice = set(timed_out["instance"]) == set(deputy["instance"]) and len(paid) == len(deputy)
    return ("b" if twice and all("late" in each for each in refused) else "a"), measured


LATE = Exercise(
    "04 late callback",
    "The clerk takes two and a half hours, but the time-out is two hours. What has happened once "
    "the clerk's callback has arrived?",
    ChoiceChecker(
        {
            "a": Option(
                "nothing; a late callback does nothing",
                "It does nothing to the process. But a clerk has worked for two and a half hours, "
                "and the deputy was asked to do the same work.",
            ),
            "b": Option(
                "the process has not moved, but the invoice was approved twice",
                "A time-out ends the step, not the outside work. Had the clerk booked something "
                "instead of approving it, it would now be booked twice.",
            ),
            "c": Option(
                "the process has gone back to the clerk's step and dropped the deputy's",
                "A process does not go back. The old serial number has expired, and its callback "
                "is rejected as late.",
            ),
            "d": Option(
                "the approval counts for the deputy's step, since it is the same instance",
                "The callback is addressed by serial number, not by instance. The deputy's step "
                "has its own, which the clerk does not know.",
            ),
        },
        late_callback,
    ),
    (
        "What has the deputy done since 11:00?",
        "Count the people who worked on the invoice, not the records of the process.",
        "Simulate it with People(1, '150min') as the clerk; see `run.deliveries` and `run.waits`.",
    ),
)

LOSS, TEN_MINUTES = 0.05, sim.exponential("10min")
REMEDIES = {
    "retries": sim.Callback("2s", loss=LOSS, retries=["5s", "5min", "30min"]),
    "safety poll": sim.CallbackWithSafetyPoll("2s", loss=LOSS, every="30min", anchor="random"),
    "polling 1min": sim.Polling("1min", "random"),
    "polling 2min": sim.Polling("2min", "random"),
}


def mean_latencies() -> dict[str, float]:
    """Return the mean latency of each remedy in closed form."""
    return {name: closed_form(remedy, TEN_MINUTES).latency for name, remedy in REMEDIES.items()}


IN_ORDER = Exercise(
    "04 in order",
    "Five per cent of the callbacks are lost. Sort 'retries', 'safety poll', 'polling 1min' and "
    "'polling 2min' by mean latency, the smallest first.",
    OrderingChecker(
        mean_latencies,
        "A mean hides the differences: with the safety poll 95 of 100 steps resume after two "
        "seconds, and five after a quarter of an hour on average. Under polling all wait a little.",
        {
            ("safety poll", "polling 1min"): "'safety poll' before 'polling 1min': most callbacks "
            "arrive after 2 s, but the lost 5 % wait half of 30 minutes on average, which adds 45 "
            "s to the mean.",
            ("safety poll", "retries"): "'safety poll' before 'retries': a sender that notices "
            "the loss retries after 5 s; the safety poll only runs every 30 minutes.",
            ("polling 1min", "retries"): "'polling 1min' before 'retries': 95 % of the callbacks "
            "need 2 s, and nearly all others about 5 s more; polling is late by half a minute on "
            "average.",
            ("polling 2min", "safety poll"): "'polling 2min' before 'safety poll': compare half "
            "of two minutes with 5 % of half of thirty.",
            ("polling 2min", "polling 1min"): "'polling 2min' before 'polling 1min': with a "
            "random phase polling is late by half its interval, so the longer one is later.",
        },
        unit="s",
    ),
    (
        "For each of them, which share of the waits is late, and by how much?",
        "The safety poll has a closed form, (1-p) d + p R/2; polling with a random phase has T/2.",
        "Compute 0.95·2 s + 0.05·15 min and compare it with half a minute and a minute. Retries "
        "take a few seconds for nearly all steps.",
    ),
)

EXERCISES = (HOW_EARLY, KEEP, LATE, IN_ORDER)
