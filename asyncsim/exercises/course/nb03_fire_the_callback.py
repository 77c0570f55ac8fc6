"""Latency of one twin, and a batch that finishes second."""

from __future__ import annotations

import asyncsim as sim
from asyncsim.exercises.checkers import ChoiceChecker, NumberChecker, Option, closed_form
from asyncsim.exercises.gradebook import Exercise

SHOWN: dict[str, object] = {}

TWIN = sim.Polling("15min")
WAITED = sim.fixed("4h 12min 30s")  # from 08:07:30 to 12:20:00

LATE_TWIN = Exercise(
    "03 late twin",
    "A step is armed at 08:07:30, and you finish it at 12:20:00. How late is its twin, polled "
    "every 15 minutes from arming?",
    NumberChecker(
        lambda: closed_form(TWIN, WAITED).latency,  # T⌈D/T⌉ - D
        "The times of arming and completion determine the latency to the second. Half the interval "
        "is a mean over many waits, and the latency of hardly any of them.",
        "s",
        mistakes={
            450: "half the interval is a mean over many waits; for this one you know all times",
            600: "these checks are not on the quarters of the hour: they count from 08:07:30",
            750: "that is the time since the previous check; the latency runs from 12:20:00 to "
            "the next one",
            900: "only a step that completes just after a check is a whole interval late",
            0: "that is the latency of the callback; the twin notices at its next check",
        },
    ),
    (
        "At which minutes of the hour is this twin checked?",
        "From 08:07:30 in steps of a quarter of an hour: which checks are next to 12:20?",
        "Take the first check after 12:20:00, and subtract 12:20:00.",
    ),
)


def second_finisher() -> tuple[str, str]:
    """Run a live session: finish by hand just before the batch, and see its delivery."""
    small = sim.Scenario(
        name="ledger",
        process=sim.Process("order", [sim.AsyncStep("post", "ledger")], first_activation=31),
        systems={"ledger": sim.NightlyBatch("22:00", item_time="150ms")},
        arrivals=sim.Regular("1h", offset="8h"),
        length="20h",
    )
    with sim.live(small) as session:
        session.run_until("21:59")
        session.finish("9_31")
        session.run_until("22:05")
        run = session.so_far()
    outcomes = run.deliveries.query("serial_number == '9_31'")["outcome"].tolist()
    resumed = run.steps.query("instance == 9 and step == 'post'")["ended"].notna().sum()
    measured = (
        f"Simulated: the deliveries of 9_31 are {' and '.join(map(repr, outcomes))}, and its "
        f"step ended {'once' if resumed == 1 else f'{resumed} times'}."
    )
    if len(outcomes) == 1:
        return "a", measured
    return ("b" if outcomes[1].startswith("duplicate") and resumed == 1 else "c"), measured


SECOND = Exercise(
    "03 second finisher",
    "You finish 9_31 by hand at 21:59; the batch starts at 22:00. What do the deliveries show?",
    ChoiceChecker(
        {
            "a": Option(
                "one row, yours; the batch leaves out what is finished",
                "The batch cannot know: it processes its own list, and does not learn that you "
                "were faster.",
            ),
            "b": Option(
                "two rows; the batch calls as well, and is answered as a duplicate",
                "The batch need not know beforehand: the first finish wins, and the second is "
                "answered as a duplicate. (The batch has still booked the order, whatever you did "
                "by hand.)",
            ),
            "c": Option(
                "two rows; the step resumes a second time, and the process goes on twice",
                "Serial numbers prevent exactly this bug: a second finish changes nothing in the "
                "process.",
            ),
        },
        second_finisher,
    ),
    (
        "Which systems know at 22:00 that 9_31 is finished? Does the batch?",
        "What was the answer in section 2 when you finished 5_31 a second time?",
        "Try it: a session without `hold`, `run_until('21:59')`, `finish('9_31')`, "
        "`run_until('22:05')`; then see `session.so_far().deliveries`.",
    ),
)

EXERCISES = (LATE_TWIN, SECOND)
