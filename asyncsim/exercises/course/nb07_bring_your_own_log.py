"""Work times in a log, and what a log reveals about workers."""

from __future__ import annotations

from functools import cache

import asyncsim as sim
from asyncsim.exercises.checkers import ChoiceChecker, NumberChecker, Option
from asyncsim.exercises.gradebook import Exercise

BUSY = sim.Scenario(
    name="busy",
    process=sim.Process(
        "order", [sim.Step("check", work=sim.gamma("40s", "20s")), sim.AsyncStep("ask", "office")]
    ),
    systems={"office": sim.OnlineService(sim.exponential("1h"), lanes=None)},
    server=sim.WorkflowServer(workers=1),
    arrivals=sim.Poisson("80/h", between=("08:00", "18:00")),
)
SHOWN: dict[str, object] = {"busy": BUSY}


@cache
def run() -> sim.Run:
    """Return the simulated day whose log is read."""
    return sim.simulate(BUSY, sim.Callback(), seed=1)


def means() -> tuple[float, float]:
    """Return the mean work of the check, and its mean queueing."""
    checks = run().steps.query("step == 'check'")
    work = float((checks["ended"] - checks["started"]).mean())
    queued = float((checks["started"] - checks["queued"]).mean())
    return work, queued


WORK = Exercise(
    "07 work of a step",
    "From the event log of a busy day: how long is the work of the step 'check', on average?",
    NumberChecker(
        lambda: means()[0],
        "From start to complete. With schedule to complete the queue becomes part of the work, and "
        "the simulation adds the same queue again.",
        "s",
        mistakes={
            (lambda: sum(means())): "that is from *schedule* to *complete*, so it includes the "
            "wait for a worker",
            (lambda: means()[1]): "that is from *schedule* to *start*: only the wait for a worker",
        },
        within=0.005,
    ),
    (
        "Which of schedule, start and complete show that a worker is busy?",
        "Put start and complete of each case side by side: `log.pivot(index='case:concept:name', "
        "columns='lifecycle:transition', values='time:timestamp')` for the rows of 'check'.",
        "The mean of complete minus start, in seconds.",
    ),
)


def workers() -> tuple[str, str]:
    """Compare the logs of a server with idle workers and of a smaller one."""
    quiet = BUSY.replace(arrivals=sim.Poisson("6/h", between=("08:00", "18:00")))
    logs = [
        sim.simulate(
            quiet.replace(server=sim.WorkflowServer(n)), sim.Callback(), seed=1
        ).event_log()
        for n in (8, 80)
    ]
    same = logs[0].equals(logs[1])
    measured = (
        "Simulated: a quiet day with 8 workers and with 80 "
        f"{'writes the same log, to the last row' if same else 'writes two different logs'}."
    )
    return ("b" if same else "a"), measured


BOUND = Exercise(
    "07 workers in a log",
    "In the log of a quiet day at most three steps were in progress at once, and none waited for a "
    "worker. How many workers does the server have?",
    ChoiceChecker(
        {
            "a": Option(
                "three",
                "A fourth worker that was never needed leaves no trace. The log shows busy "
                "workers, not idle ones.",
            ),
            "b": Option(
                "three or more",
                "The log only gives a lower bound, until a step had to wait. Capacity depends on "
                "this number, so ask the operator of the server.",
            ),
            "c": Option(
                "three or fewer",
                "It is the other way round: three were busy at once, so there are not fewer.",
            ),
            "d": Option(
                "nothing can be said",
                "Something can: three steps in progress at once need three workers.",
            ),
        },
        workers,
    ),
    (
        "What would the log look like with one more worker?",
        "And with one fewer?",
        "The first changes nothing, the second makes a step wait.",
    ),
)

EXERCISES = (WORK, BOUND)
