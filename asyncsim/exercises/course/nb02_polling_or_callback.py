"""Half the interval, the best interval, a poller in step with a batch, and retries on a bad day."""

from __future__ import annotations

import math
from collections.abc import Iterator

from asyncsim.exercises.checkers import CommonMistake, NumberChecker, PropertyChecker, closed_form
from asyncsim.exercises.feedback import Finding
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment import theory
from asyncsim.experiment.simulate import simulate
from asyncsim.experiment.statistics import mean_interval
from asyncsim.model.arrivals import Poisson
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import exponential
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback, LongPolling, Polling
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import NightlyBatch

SERVICE = exponential("10min")
SHOWN: dict[str, object] = {"service_time": SERVICE}


def from_arming(interval: str) -> Expected:
    """Return the closed form for polling the service, counted from arming."""
    return closed_form(Polling(interval), SERVICE)


HALF = Exercise(
    "02 half the interval",
    "Polling every 20 minutes from arming, a service of 10 minutes on average: how late on "
    "average?",
    NumberChecker(
        lambda: from_arming("20min").latency,
        "Nearly two thirds of the interval. Half of it is right for a poller on a clock of its "
        "own, and nearly right from arming while the interval is short against the outside work.",
        "s",
        within=0.05,
        slips=(
            CommonMistake(
                600,
                "T/2 is the rule for a random phase; who counts from arming never looks before one "
                "whole interval has passed, and most answers came long before",
            ),
            CommonMistake(
                from_arming("10min").latency,
                "that is the figure for an interval of 10 minutes, from section 1",
            ),
            CommonMistake(
                1200,
                "a whole interval late would be who was answered at once; the others came later, "
                "and waited less",
            ),
            CommonMistake(
                20 * 60 * from_arming("20min").checks,
                "that is the time from arming to the check that sees it; the latency begins at "
                "completion",
            ),
        ),
    ),
    (
        "How many of the answers are there before the first check at 20 minutes?",
        "Nearly nine in ten waits end with the first check, after 20 minutes. Their answers came "
        "after 7 minutes on average, not 10: the slow ones are not among them.",
        "Ask theory: `sim.Polling('20min').expected(service_time).latency`, and find out in which "
        "case it would be T/2.",
    ),
)

CHECK, WAITING, MEAN = 0.1, 60 / 3600, SERVICE.mean  # cents, cents per second, seconds


def rule(check: float = CHECK, waiting: float = WAITING, mean: float = MEAN) -> float:
    """Return √(2 c_p m / c_w), the guess for the best interval."""
    return math.sqrt(2 * check * mean / waiting)


BEST = Exercise(
    "02 best interval",
    "A check costs 0.1 cent and an hour of lateness 60 cents; the service takes 10 minutes on "
    "average. Which polling interval is the cheapest?",
    NumberChecker(
        lambda: theory.best_interval(CHECK, WAITING, MEAN),
        "The rule with the root is 2 % above the exact value, and the costs hardly differ: the "
        "minimum is flat.",
        "s",
        within=0.03,  # the rule of thumb passes as well
        slips=(
            CommonMistake(
                rule(waiting=60),
                "that is the right figure in minutes, or the price of lateness was left per hour "
                "while the times are in seconds",
            ),
            CommonMistake(rule(CHECK / 2), "the 2 under the root was left out"),
            CommonMistake(rule() ** 2, "the root has not been taken yet"),
            CommonMistake(
                rule(mean=10), "the mean is in minutes there, and the price of lateness per second"
            ),
            CommonMistake(rule(waiting=WAITING / 100), "one price is in cents, the other in euros"),
            CommonMistake(rule(CHECK / 100), "one price is in euros, the other in cents"),
            CommonMistake(rule(WAITING, CHECK), "the two prices have changed places"),
            CommonMistake(MEAN, "that is the mean of the outside work, not an interval"),
        ),
    ),
    (
        "Two costs work against each other. Which of them grows with the interval?",
        "Bring all to cents and seconds: 60 cents an hour are 1/60 cent a second.",
        "√(2 c_p m / c_w) with c_p = 0.1, m = 600 and c_w = 1/60; the result is in seconds.",
    ),
)

MOST_LATE, MOST_CHECKS = 40 * 60.0, 10.0
STARTS = ("22:00", "22:15", "22:30")


def ledger(start: str) -> Scenario:
    """Return a ledger whose batch starts at a clock time, and takes a minute and a half."""
    return Scenario(
        name="ledger",
        process=Process("order", [AsyncStep("post", "ledger")]),
        systems={"ledger": NightlyBatch(start, item_time="150ms")},
        arrivals=Poisson("600/day", between=("08:00", "20:00")),
    )


def out_of_step(strategy: Strategy) -> Iterator[Finding]:
    """Play three nights for each start of the batch: a good poller is late by the same in all."""
    if isinstance(strategy, Callback | LongPolling):
        which = "An open line" if isinstance(strategy, LongPolling) else "A callback"
        yield Finding(
            False,
            f"{which} would do it, but this ledger calls nobody and keeps nobody on the line: it "
            "answers at once when asked. What is wanted is a poller (and a safety poll on the hour "
            "meets the batch no better).",
        )
        return
    late: dict[str, float] = {}
    asked, hang = [], 0
    for start in STARTS:
        runs = [simulate(ledger(start), strategy, seed=5, replication=k) for k in range(3)]
        rows = [run.summary().iloc[0] for run in runs]
        late[start] = mean_interval([row["mean_latency"] for row in rows]).mean
        asked.append(mean_interval([row["checks_per_wait"] for row in rows]).mean)
        hang += sum(int((run.waits["outcome"] != "resumed").sum()) for run in runs)
    if hang:
        yield Finding(False, f"{hang} waits do not resume: it gives up before the batch.")
    checks = max(asked)
    spare = checks <= MOST_CHECKS
    yield Finding(
        spare,
        f"It asks {checks:.1f} times per wait"
        + ("." if spare else ": more than 10, so it buys promptness with checks, not with phase."),
    )
    worst = max(late, key=late.__getitem__)
    told = ", ".join(
        f"{seconds / 60:.0f} min (batch at {start})" for start, seconds in late.items()
    )
    if late[worst] <= MOST_LATE:
        yield Finding(True, f"It is late by {told}.")
    else:
        yield Finding(False, f"It is late by {told}: {_why_late(strategy)}")


def _why_late(strategy: Strategy) -> str:
    if isinstance(strategy, Polling) and strategy.anchor == "clock":
        if strategy.jitter:
            return "the jitter is too small to spread the checks over the whole interval."
        return (
            "all waits ask at the same moments of the clock, and so does the batch. It is a matter "
            "of luck where in the interval it falls (aliasing)."
        )
    return "it does not ask often enough."


IN_STEP = Exercise(
    "02 out of step",
    "A poller asks every hour on the hour. Find one that asks no more often (10 checks per wait at "
    "most) and is late by 40 minutes at most on average, whenever the batch starts.",
    PropertyChecker(
        "a strategy, such as sim.Polling('1h', 'clock')",
        lambda answer: isinstance(answer, Strategy),
        out_of_step,
        "Checks that are spread over the interval meet the batch anywhere in it: about half an "
        "hour late, every night, with no more checks. (Jitter is up to 37.5 minutes late, because "
        "its gaps are uneven.)",
    ),
    (
        "Asking more often is not allowed. What else can be changed about a check on the hour?",
        "Polls counted from arming escape the batch, since orders come at any minute. What would "
        "do the same for a poller that has to go by the clock?",
        "Polling has an argument that makes each check late by chance, up to a whole interval; and "
        "an anchor that begins anywhere.",
    ),
)

MOST_OPEN, BAD_LOSS = 1e-4, 0.2
ATTEMPTS = math.ceil(math.log(MOST_OPEN) / math.log(BAD_LOSS))
"""The fewest n with p^n below one in ten thousand."""


def bad_day(strategy: Callback) -> Iterator[Finding]:
    """Look at the closed form: with n attempts p^n are never delivered."""
    yield Finding(
        strategy.loss == BAD_LOSS,
        f"{strategy.loss:.0%} of the deliveries are lost"
        + ("." if strategy.loss == BAD_LOSS else ": a bad day has 20 %, loss=0.2."),
    )
    attempts = 1 + len(strategy.retries)
    open_share = BAD_LOSS**attempts
    few = open_share < MOST_OPEN
    reason = "." if few else _too_few(attempts)
    yield Finding(few, f"{attempts} attempts leave {open_share:.2g} of the waits open{reason}")
    if few:
        spare = attempts - ATTEMPTS
        yield Finding(
            spare == 0,
            "No fewer attempts would do."
            if spare == 0
            else f"That is {spare} more than needed: one attempt divides what is left by five.",
        )


def _too_few(attempts: int) -> str:
    if attempts == ATTEMPTS - 1:
        return (
            ", which is more than 0.0001. One is missing; is that the first attempt, which is no "
            "retry, or was 'fewer than' read as 'about'?"
        )
    return ", which is more than 0.0001. Each further attempt leaves a fifth of that."


BAD_DAY = Exercise(
    "02 bad day",
    "With 20 % loss, which retries leave fewer than one wait in ten thousand open, with as few "
    "attempts as possible?",
    PropertyChecker(
        "sim.Callback('2s', loss=0.2, retries=[…]) with your pauses",
        lambda answer: type(answer) is Callback,
        bad_day,
        "Losses that are independent go down quickly. On a really bad day they are not: the "
        "network is away for an hour, and all quick retries fall into it. Hence schedules that "
        "grow.",
    ),
    (
        "After one attempt 20 % are open, after two 20 % of those.",
        "How often must 0.2 be multiplied by itself to get below 0.0001? The first attempt is no "
        "retry.",
        "Try `sim.Callback('2s', loss=0.2, retries=['1min'] * "
        "n).expected(service_time).unresolved` for growing n, and take the first that is small "
        "enough.",
    ),
)

EXERCISES = (HALF, BEST, IN_STEP, BAD_DAY)
