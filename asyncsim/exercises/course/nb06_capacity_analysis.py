"""Standard error of one long run, and the average of averages."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

import asyncsim as sim
from asyncsim.exercises.checkers import ChoiceChecker, NumberChecker, Option
from asyncsim.exercises.gradebook import Exercise
from asyncsim.model.distributions import Floats

ORDERS = sim.Scenario(
    name="orders",
    description="Orders wait for a service that answers after ten minutes on average.",
    process=sim.Process("order", [sim.AsyncStep("ask", "service"), sim.Step("book", "1s")]),
    systems={"service": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    server=sim.WorkflowServer(workers=2, poll_work="50ms", callback_work="50ms"),
    arrivals=sim.Poisson("6000/h", between=("08:00", "20:00")),
)
QUIET = ORDERS.replace(arrivals=sim.Poisson("600/h", between=("08:00", "20:00")))
SHOWN: dict[str, object] = {"orders": ORDERS, "quiet_day": QUIET}
DAYS, FAR_TOO_NARROW, ABOUT_RIGHT = 12, 5.0, 1.5


def latencies(scenario: sim.Scenario, replication: int = 0) -> Floats:
    """Return the latencies of one day."""
    run = sim.simulate(scenario, sim.Callback(), seed=1, replication=replication)
    return run.waits["latency"].dropna().to_numpy()


@cache
def spread_ratio() -> tuple[float, float, float]:
    """Return the spread of daily means, the standard error s/√n of one day, and their ratio."""
    days = [latencies(ORDERS, k) for k in range(DAYS)]
    observed = float(np.std([day.mean() for day in days], ddof=1))
    estimated = float(np.mean([day.std(ddof=1) / np.sqrt(len(day)) for day in days]))
    return observed, estimated, observed / estimated


def long_run() -> tuple[str, str]:
    """Compare the standard error of a single day with the spread of many days."""
    observed, estimated, ratio = spread_ratio()
    measured = (
        f"Simulated: the means of {DAYS} days have a standard deviation of {observed:.3f} s; one "
        f"day alone estimates {estimated:.4f} s. That is too small by a factor of {ratio:.0f}."
    )
    if ratio > FAR_TOO_NARROW:
        return "c", measured
    return ("a" if ratio < ABOUT_RIGHT else "b"), measured


LONG_RUN = Exercise(
    "06 one long run",
    "One day has 72,000 latencies. Is their standard error, s/√n, a measure of how far the daily "
    "mean may be off?",
    ChoiceChecker(
        {
            "a": Option(
                "yes, about; with 72,000 values one long run is enough",
                "s/√n is for independent values. Steps that resume in a long queue share that "
                "queue with their neighbours: 72,000 latencies contain far less information.",
            ),
            "b": Option(
                "nearly; it is too small by a fifth or a half",
                "The direction is right. But consider how long a queue at 87 % utilisation lasts, "
                "and how many orders wait in it.",
            ),
            "c": Option(
                "no; it is too small by a factor of five or more",
                "Latencies of one day are correlated, days are independent: so compute an interval "
                "from days. A longer run helps too, but does not show how much.",
            ),
            "d": Option(
                "no; it is too large, since most deviations cancel out",
                "Dividing by √n includes that already. Values that resemble their neighbours "
                "cancel out less, not more.",
            ),
        },
        long_run,
    ),
    (
        "See section 1: by how much did the days differ, although each had 72,000 orders?",
        "How much new information is in the latency of an order, once you know that of the order "
        "before it?",
        "Compute both: `latency.std() / len(latency) ** 0.5` of one day, and the spread of the "
        "means of ten days (`replication=0 … 9`).",
    ),
)


@cache
def two_days() -> tuple[Floats, Floats]:
    """Return the latencies of a quiet and of a busy day."""
    return latencies(QUIET), latencies(ORDERS)


def both(weight: float = 0.5, of_other: float = 0.5) -> float:
    """Return a weighted sum of the mean latencies of the quiet and of the busy day."""
    return float(weight * two_days()[0].mean() + of_other * two_days()[1].mean())


AVERAGES = Exercise(
    "06 average of averages",
    "For a quiet and a busy day: how late is a step on average, over the steps of both days?",
    NumberChecker(
        lambda: float(np.concatenate(two_days()).mean()),
        "Most steps belong to the busy day, and that is the slow one. The average of the two daily "
        "averages describes a day chosen at random, not the experience of a customer.",
        "s",
        mistakes={
            both: "that is the average of two averages: it gives a step of the quiet day "
            "ten times the weight of one of the busy day",
            partial(both, 1, 1): "the two means were added; the mean lies between them",
            partial(both, 1, 0): "that is the quiet day alone",
            partial(both, 0, 1): "that is the busy day alone",
        },
        within=0.01,
    ),
    (
        "On which of the two days does a randomly chosen customer order?",
        "Weigh each day's mean by the number of its waits.",
        "(n₁·m₁ + n₂·m₂) / (n₁ + n₂), with counts and means as printed; or put the "
        "latencies of both days into one list.",
    ),
)

EXERCISES = (LONG_RUN, AVERAGES)
