"""One long run, and the average of averages."""

from __future__ import annotations

from functools import cache

import numpy as np

from asyncsim.exercises.checkers import Choice, CommonMistake, NumberChecker, Option
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment.simulate import simulate
from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import Floats, exponential
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import Callback
from asyncsim.model.systems import OnlineService

ORDERS = Scenario(
    name="orders",
    description="Orders wait for a service that answers after ten minutes on average.",
    process=Process("order", [AsyncStep("ask", "service"), Step("book", "1s")]),
    systems={"service": OnlineService(exponential("10min"), lanes=None)},
    server=WorkflowServer(workers=2, poll_work="50ms", callback_work="50ms"),
    arrivals=Poisson("6000/h", between=("08:00", "20:00")),
)
QUIET = ORDERS.replace(arrivals=Poisson("600/h", between=("08:00", "20:00")))
SHOWN: dict[str, object] = {"orders": ORDERS, "quiet_day": QUIET}
DAYS, FAR_TOO_NARROW, ABOUT_RIGHT = 12, 5.0, 1.5


def latencies(scenario: Scenario, replication: int = 0) -> Floats:
    """Return the latencies of one day."""
    run = simulate(scenario, Callback(), seed=1, replication=replication)
    return run.waits["latency"].dropna().to_numpy()


@cache
def spread_ratio() -> tuple[float, float, float]:
    """Return the spread of daily means, what one day promises as s/√n, and their ratio."""
    days = [latencies(ORDERS, k) for k in range(DAYS)]
    seen = float(np.std([day.mean() for day in days], ddof=1))
    promised = float(np.mean([day.std(ddof=1) / np.sqrt(len(day)) for day in days]))
    return seen, promised, seen / promised


def long_run() -> tuple[str, str]:
    """Hold the standard error of a single day against the spread of many days."""
    seen, promised, ratio = spread_ratio()
    measured = (
        f"Played: the means of {DAYS} days spread by {seen:.3f} s; one day alone promises "
        f"{promised:.4f} s. That is too little by a factor of {ratio:.0f}."
    )
    if ratio > FAR_TOO_NARROW:
        return "c", measured
    return ("a" if ratio < ABOUT_RIGHT else "b"), measured


LONG_RUN = Exercise(
    "06 one long run",
    "One day has 72,000 latencies. Is their standard error, s/√n, what the daily mean may be off "
    "by?",
    Choice(
        {
            "a": Option(
                "yes, about; with 72,000 values one long run is enough",
                "s/√n is for values that know nothing of each other. Who resumes in a long queue "
                "has neighbours in the same queue: 72,000 latencies hold far fewer pieces of news.",
            ),
            "b": Option(
                "nearly; it is too small by a fifth or a half",
                "The direction is right. But think how long a queue at 87 % utilisation lasts, and "
                "how many orders stand in the same one.",
            ),
            "c": Option(
                "no; it is too small by a factor of five or more",
                "Latencies of one day hang together, days do not: so an interval is computed from "
                "days. A longer run helps too, but says nothing of how much.",
            ),
            "d": Option(
                "no; it is too large, since so many values cancel out",
                "Dividing by √n has done that already. Values that resemble their neighbours "
                "cancel out less than this, not more.",
            ),
        },
        long_run,
    ),
    (
        "Look at section 1: by how much did the days differ, though each had 72,000 orders?",
        "Is the latency of an order news, once you know that of the order before it?",
        "Compute both: `latency.std() / len(latency) ** 0.5` of one day, and the spread of the "
        "means of ten days (`replication=0 … 9`).",
    ),
)


@cache
def two_days() -> tuple[Floats, Floats]:
    """Return the latencies of a quiet and of a busy day."""
    return latencies(QUIET), latencies(ORDERS)


def overall() -> float:
    """Return the mean over all waits of both days."""
    return float(np.concatenate(two_days()).mean())


def of_averages() -> float:
    """Return the mean of the two daily means."""
    return float(np.mean([day.mean() for day in two_days()]))


AVERAGES = Exercise(
    "06 average of averages",
    "A quiet and a busy day: how late is a step on average, over the steps of both days?",
    NumberChecker(
        overall,
        "Most steps belong to the busy day, and that is the slow one. The average of the two daily "
        "averages describes a day drawn by lot, which no customer ever sees.",
        "s",
        slips=(
            CommonMistake(
                of_averages,
                "that is the average of two averages: it gives a step of the quiet day ten times "
                "the weight of one of the busy day",
            ),
            CommonMistake(
                lambda: two_days()[1].mean() + two_days()[0].mean(),
                "the two means were added; a mean lies between them",
            ),
            CommonMistake(lambda: two_days()[0].mean(), "that is the quiet day alone"),
            CommonMistake(lambda: two_days()[1].mean(), "that is the busy day alone"),
        ),
        within=0.01,
    ),
    (
        "On which of the two days does a customer, drawn by lot, order?",
        "Weigh each day's mean by the number of its waits.",
        "(n₁·m₁ + n₂·m₂) / (n₁ + n₂), with counts and means as printed; or put both days' "
        "latencies into one list.",
    ),
)

EXERCISES = (LONG_RUN, AVERAGES)
