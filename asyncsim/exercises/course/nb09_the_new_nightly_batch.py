"""How rare a safety poll may be, a schedule for a promise, and what a quantile does not see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

import asyncsim as sim
from asyncsim.exercises.checkers import ChoiceChecker, NumberChecker, Option, PropertyChecker
from asyncsim.exercises.feedback import Remark, condition
from asyncsim.exercises.gradebook import Exercise

MINUTE, HOUR = 60.0, 3600.0
QUICK = [25 * MINUTE * math.exp(0.6 * NormalDist().inv_cdf((k + 0.5) / 700)) for k in range(700)]
SLOW = [HOUR * (1 + 3 * (k + 0.5) / 200) for k in range(200)]
SLOWEST = [HOUR * (8 + 16 * (k + 0.5) / 100) for k in range(100)]
TOOK = np.array(QUICK + SLOW + SLOWEST)
BATCHES = sim.Scenario(
    name="language model batches",
    process=sim.Process(
        "texts",
        [sim.AsyncStep("generate", "batch api", timeout="25h", on_timeout="continue")],
    ),
    systems={"batch api": sim.OnlineService(sim.empirical(TOOK.tolist()), lanes=None)},
    arrivals=sim.UniformArrivals(2000),
    costs=sim.CostModel(request=0.002, currency="EUR"),
)
SHOWN: dict[str, object] = {"batches": BATCHES}
LOSS, DELAY, MEAN = 0.03, 1.0, MINUTE


def rarest() -> float:
    """Return R for which (1 - p) d + p R / 2 is the mean latency asked for."""
    return 2 * (MEAN - (1 - LOSS) * DELAY) / LOSS


RARE = Exercise(
    "09 how rare",
    "Of the webhooks 3 % are lost, the others take a second. How long may the interval of the "
    "safety poll be, if steps may be a minute late on average?",
    NumberChecker(
        rarest,
        "The safety poll works for few: the rarer the loss, the rarer it may ask. But the lost "
        "ones are late by up to the whole interval.",
        "s",
        mistakes={
            2 * MEAN: "that is polling alone, which is late by half its interval for every batch; "
            "only 3 of 100 batches need the safety poll",
            MEAN / LOSS: "a lost webhook is noticed after half an interval on average, not after "
            "a whole one",
            MEAN: "then no lost webhook is later than a minute; the *mean of all* may be that late",
        },
    ),
    (
        "How late is a batch whose webhook is lost, on average, if the poll asks every R?",
        "The mean of all: 97 of 100 are late by a second, the others by R/2.",
        "Solve (1 - p) d + p R / 2 = 60 s for R, with p = 0.03 and d = 1 s.",
    ),
)

LATE, KEPT, MOST_CHECKS, LATEST = 5 * MINUTE, 0.95, 20.0, HOUR


def scheduled(strategy: sim.PollingAfter) -> Iterator[Remark]:
    """Check each of the thousand batches by the schedule; no server is busy here."""
    pauses = np.cumsum([strategy.interval(k) for k in range(len(strategy.pauses))])
    last = strategy.interval(len(strategy.pauses))
    more = math.ceil(max(TOOK.max() - pauses[-1], 0.0) / last)
    moments = np.append(pauses, pauses[-1] + last * np.arange(1, more + 1))
    seen = np.searchsorted(moments, TOOK - 1e-6)
    late = moments[seen] - TOOK
    share, checks = float((late <= LATE + 1e-6).mean()), float((seen + 1).mean())
    prompt = f"{100 * share:.1f} % of the batches are noticed within 5 min"
    yield condition(share >= KEPT, prompt, ", fewer than 95 of 100.")
    asked = f"A batch takes {checks:.1f} checks"
    why = ", more than 20: look where many checks find few batches."
    yield condition(checks <= MOST_CHECKS, asked, why)
    longest = f"The latest is {late.max() / MINUTE:.0f} min late"
    why = ", more than an hour: the five left out still matter to somebody."
    yield condition(late.max() <= LATEST + 1e-6, longest, why)


SCHEDULE = Exercise(
    "09 a better schedule",
    "Find pauses for sim.PollingAfter that notice 95 of 100 batches within 5 minutes and all "
    "within an hour, with at most 20 checks a batch.",
    PropertyChecker(
        "a schedule such as sim.PollingAfter(['10min', '5min'])",
        lambda answer: isinstance(answer, sim.PollingAfter) and answer.limit is None,
        scheduled,
        "A schedule that knows the work asks often where batches end and rarely where they do not. "
        "Twenty checks still are twenty times as many as a webhook needs.",
    ),
    (
        "No batch ends between 4 and 8 hours. What are checks there good for?",
        "Between 8 and 16 hours 5 of 100 batches end. What does an hourly check cost there?",
        "Ten minutes, then 5 min up to 4 hours, a long pause, hourly up to 15 hours, 5 min again.",
    ),
)

OTHER_LOSS = 0.06


def the_others() -> tuple[str, str]:
    """Play a webhook that loses 6 of 100, and read both quantiles."""
    played = sim.compare(
        BATCHES, [sim.Callback(DELAY, loss=OTHER_LOSS)], replications=2, seed=5, progress=False
    )
    found = played.quantiles([KEPT]).set_index("of")["estimate"]
    resumed, armed = found["resumed waits"], found["all armed waits"]
    right = "b" if resumed <= LATE < armed else "a"
    never = float(played["unresumed_share"]["mean"].iloc[0])
    return right, (
        f"Of those that resume, 95 of 100 are at most {resumed:.0f} s late; of all, "
        f"{100 * never:.1f} % never resume, and so the 95th percentile of all is infinite."
    )


OTHERS = Exercise(
    "09 the others",
    "A webhook loses 6 of 100 and has no safety poll. Is the promise kept, 95 of 100 at most five "
    "minutes late?",
    ChoiceChecker(
        {
            "a": Option(
                "Yes: the 95th percentile of the latency is one second.",
                "that percentile is of the batches that resumed. Those that never do have no "
                "latency, and are in no average.",
            ),
            "b": Option(
                "No: too many never resume, although every latency is a second.",
                "A promise counts all batches. Ask for the share that never resumed first.",
            ),
            "c": Option(
                "No: six of 100 are noticed too late, by the next webhook.",
                "a webhook is about one batch; the next one belongs to another.",
            ),
        },
        the_others,
    ),
    (
        "Whose latency is in the percentile?",
        "`comparison.quantiles([0.95])` has a row for resumed waits and one for all.",
    ),
)

EXERCISES = (RARE, SCHEDULE, OTHERS)
