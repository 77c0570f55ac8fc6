"""Half the interval, the best interval, a poller in step with a batch, and retries on a bad day."""

from __future__ import annotations

import math
from collections.abc import Iterator

import asyncsim as sim
from asyncsim.exercises.checkers import NumberChecker, PropertyChecker, closed_form
from asyncsim.exercises.feedback import Remark, condition
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment import theory
from asyncsim.experiment.statistics import mean_interval

SERVICE = sim.exponential("10min")
SHOWN: dict[str, object] = {"service_time": SERVICE}


def from_arming(interval: str) -> sim.Expected:
    """Return the closed form for polling the service from arming."""
    return closed_form(sim.Polling(interval), SERVICE)


HALF = Exercise(
    "02 half the interval",
    "Polling every 20 minutes from arming, a service of 10 minutes on average: how late on "
    "average?",
    NumberChecker(
        lambda: from_arming("20min").latency,
        "Nearly two thirds of the interval. Half of it is exact for a random phase, and nearly "
        "right from arming if the interval is short compared with the outside work.",
        "s",
        within=0.05,
        mistakes={
            600: "T/2 is the rule for a random phase; from arming, the first check comes after a "
            "whole interval, and most answers come long before",
            from_arming("10min").latency: "that is the value for an interval of 10 minutes, from "
            "section 1",
            1200: "only an answer that came at once would be a whole interval late; the others "
            "came later, and waited less",
            20 * 60 * from_arming("20min").checks: "that is the time from arming to the check "
            "that sees completion; the latency begins at completion",
        },
    ),
    (
        "How many of the answers come before the first check at 20 minutes?",
        "Nearly nine in ten waits end with the first check, after 20 minutes. Their answers came "
        "after 7 minutes on average, not 10, because the slow ones are not among them.",
        "See the closed form, `sim.Polling('20min').expected(service_time).latency`, and find out "
        "when it would be T/2.",
    ),
)

CHECK, WAITING, MEAN = 0.1, 60 / 3600, SERVICE.mean  # cents, cents per second, seconds


def rule(check: float = CHECK, waiting: float = WAITING, mean: float = MEAN) -> float:
    """Return √(2 c_p m / c_w), the rule of thumb for the best interval."""
    return math.sqrt(2 * check * mean / waiting)


BEST = Exercise(
    "02 best interval",
    "A check costs 0.1 cent and an hour of lateness 60 cents; the service takes 10 minutes on "
    "average. Which polling interval is cheapest?",
    NumberChecker(
        lambda: theory.best_interval(CHECK, WAITING, MEAN),
        "The rule of thumb is 2 % above the exact value, and the costs hardly differ: the minimum "
        "is flat. A fifth more or less costs 2 % more, half the interval 23 %, twice the interval "
        "27 %.",
        "s",
        within=0.03,  # the rule of thumb passes as well
        mistakes={
            rule(waiting=60): "that is the right value in minutes, or the price of lateness was "
            "left per hour while the times are in seconds",
            rule(CHECK / 2): "the 2 under the root is missing",
            rule() ** 2: "the square root is missing",
            rule(mean=10): "the mean is in minutes there, and the price of lateness per second",
            rule(waiting=WAITING / 100): "one price is in cents, the other in euros",
            rule(CHECK / 100): "one price is in euros, the other in cents",
            rule(WAITING, CHECK): "the two prices are swapped",
            MEAN: "that is the mean of the outside work, not an interval",
        },
    ),
    (
        "Two costs oppose each other. Which of them grows with the interval?",
        "Convert everything to cents and seconds: 60 cents an hour are 1/60 cent a second.",
        "√(2 c_p m / c_w) with c_p = 0.1, m = 600 and c_w = 1/60; the result is in seconds.",
    ),
)

MOST_LATE, MOST_CHECKS = 40 * 60.0, 10.0
STARTS = ("22:00", "22:15", "22:30")


def ledger(start: str) -> sim.Scenario:
    """Return a ledger whose batch starts at a time of day and takes a minute and a half."""
    return sim.Scenario(
        name="ledger",
        process=sim.Process("order", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.NightlyBatch(start, item_time="150ms")},
        arrivals=sim.Poisson("600/day", between=("08:00", "20:00")),
    )


def out_of_step(strategy: sim.Strategy) -> Iterator[Remark]:
    """Simulate three nights for each start of the batch; a good poller is equally late in all."""
    if isinstance(strategy, sim.Callback | sim.LongPolling):
        which = "An open connection" if isinstance(strategy, sim.LongPolling) else "A callback"
        yield Remark(
            False,
            f"{which} would work, but this ledger sends no callbacks and holds no connections: it "
            "answers every request at once. The answer must be a poller (and a safety poll on the "
            "hour meets the batch no better).",
        )
        return
    late: dict[str, float] = {}
    asked, hang = [], 0
    for start in STARTS:
        runs = [sim.simulate(ledger(start), strategy, seed=5, replication=k) for k in range(3)]
        rows = [run.summary().iloc[0] for run in runs]
        late[start] = mean_interval([row["mean_latency"] for row in rows]).mean
        asked.append(mean_interval([row["checks_per_wait"] for row in rows]).mean)
        hang += sum(int((run.waits["outcome"] != "resumed").sum()) for run in runs)
    if hang:
        yield Remark(False, f"{hang} waits do not resume: the poller gives up before the batch.")
        return
    more = ": more than 10, so it is prompt by more checks, not by their phase."
    yield condition(max(asked) <= MOST_CHECKS, f"It makes {max(asked):.1f} checks per wait", more)
    means = ", ".join(f"{late[start] / 60:.0f} min (batch at {start})" for start in STARTS)
    why = "it does not check often enough."
    if isinstance(strategy, sim.Polling) and strategy.anchor == "clock":
        why = (
            "all waits are checked at the same times of day, and the batch also starts at a fixed "
            "time. Where it falls in the interval is a matter of luck (aliasing)."
        )
        if strategy.jitter:
            why = "the jitter is too small to spread the checks over the whole interval."
    yield condition(max(late.values()) <= MOST_LATE, f"It is late by {means}", f": {why}")


IN_STEP = Exercise(
    "02 out of step",
    "A poller checks every hour on the hour. Find one that checks no more often (at most 10 checks "
    "per wait) and is at most 40 minutes late on average, whenever the batch starts.",
    PropertyChecker(
        "a strategy, such as sim.Polling('1h', 'clock')",
        lambda answer: isinstance(answer, sim.Strategy),
        out_of_step,
        "Checks that are spread over the interval are about half an hour late every night, "
        "without more checks. (Jitter is up to 37.5 minutes late, because its gaps are uneven.)",
    ),
    (
        "More checks are not allowed. What else can be changed about a check on the hour?",
        "Checks counted from arming are not in step with the batch, because orders arrive at any "
        "minute. What has the same effect for a poller that follows the clock?",
        "Polling has an argument that delays each check at random, by up to a whole interval; and "
        "an anchor with a random phase.",
    ),
)

MOST_OPEN, BAD_LOSS = 1e-4, 0.2
ATTEMPTS = math.ceil(math.log(MOST_OPEN) / math.log(BAD_LOSS))  # the fewest n with p^n below it


def bad_day(strategy: sim.Callback) -> Iterator[Remark]:
    """Compare with the closed form: after n attempts a share of p^n is undelivered."""
    lost = f"{strategy.loss:.0%} of the deliveries are lost"
    yield condition(strategy.loss == BAD_LOSS, lost, ": a bad day has 20 %, loss=0.2.")
    attempts = 1 + len(strategy.retries)
    open_share = BAD_LOSS**attempts
    few, spare = open_share < MOST_OPEN, attempts - ATTEMPTS
    more = "Each further attempt leaves a fifth of that."
    if spare == -1:
        more = "Was the first attempt counted as a retry, or 'fewer than' read as 'about'?"
    left = f"Attempt {attempts} leaves {open_share:.2g} of the waits open"
    yield condition(few, left, f", which is more than 0.0001. {more}")
    if few and spare == 0:
        yield Remark(True, "Fewer attempts would not be enough.")
    elif few:
        needed = "That is more than needed: each attempt divides the rest by five."
        yield Remark(False, needed)


BAD_DAY = Exercise(
    "02 bad day",
    "With 20 % loss, which retries leave fewer than one wait in ten thousand open, with as few "
    "attempts as possible?",
    PropertyChecker(
        "sim.Callback('2s', loss=0.2, retries=[…]) with your pauses",
        lambda answer: type(answer) is sim.Callback,
        bad_day,
        "Independent losses become rare quickly. On a really bad day they are not independent: the "
        "network is down for an hour, and all quick retries fail. Hence the growing pauses in "
        "schedules.",
    ),
    (
        "After one attempt 20 % are open, after two 20 % of those.",
        "Which power of 0.2 is the first below 0.0001? The first attempt does not count as a "
        "retry.",
        "Try `sim.Callback('2s', loss=0.2, retries=['1min'] * "
        "n).expected(service_time).unresolved` for n = 1, 2, 3 …, and take the first that is small "
        "enough.",
    ),
)

EXERCISES = (HALF, BEST, IN_STEP, BAD_DAY)
