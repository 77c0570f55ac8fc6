"""How late one twin is, and what a batch does that comes second."""

from __future__ import annotations

from asyncsim.exercises.checkers import Choice, CommonMistake, NumberChecker, Option, closed_form
from asyncsim.exercises.gradebook import Exercise
from asyncsim.live.open import live
from asyncsim.model.arrivals import Regular
from asyncsim.model.distributions import fixed
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Polling
from asyncsim.model.systems import NightlyBatch

SHOWN: dict[str, object] = {}

TWIN = Polling("15min")
WAITED = fixed("4h 12min 30s")  # from 08:07:30 to 12:20:00


def twin_latency() -> float:
    """Return T⌈D/T⌉ - D for the wait of the exercise."""
    return closed_form(TWIN, WAITED).latency


LATE_TWIN = Exercise(
    "03 late twin",
    "Armed at 08:07:30, finished by you at 12:20:00: how late is its twin, polled every 15 minutes "
    "from arming?",
    NumberChecker(
        twin_latency,
        "Who knows when a wait was armed and when it was done knows its lateness to the second. "
        "Half the interval is a mean over many waits, and the lateness of hardly one of them.",
        "s",
        slips=(
            CommonMistake(
                450, "half the interval is a mean over many waits; of this one you know all times"
            ),
            CommonMistake(
                600, "these checks are not on the clock's quarters: they count from 08:07:30"
            ),
            CommonMistake(
                750,
                "that is the time since the last check, which found nothing; the latency runs from "
                "12:20:00 to the next one",
            ),
            CommonMistake(900, "a whole interval late is only who is done just after a check"),
            CommonMistake(0, "that is the callback's; a twin knows nothing until its next check"),
        ),
    ),
    (
        "At which minutes of the hour does this twin ask?",
        "From 08:07:30 in steps of a quarter of an hour: which checks are around 12:20?",
        "Take the first check after 12:20:00, and subtract 12:20:00.",
    ),
)


def second_finisher() -> tuple[str, str]:
    """Play a live session: finish by hand just before the batch, and see what the batch gets."""
    small = Scenario(
        name="ledger",
        process=Process("order", [AsyncStep("post", "ledger")], first_activation=31),
        systems={"ledger": NightlyBatch("22:00", item_time="150ms")},
        arrivals=Regular("1h", offset="8h"),
        length="20h",
    )
    session = live(small)
    try:
        session.run_until("21:59")
        session.finish("9_31")
        session.run_until("22:05")
        far = session.so_far()
    finally:
        session.close()
    outcomes = far.deliveries.query("serial_number == '9_31'")["outcome"].tolist()
    resumed = far.steps.query("instance == 9 and step == 'post'")["ended"].notna().sum()
    measured = (
        f"Played: the deliveries of 9_31 are {' and '.join(map(repr, outcomes))}, and its "
        f"step ended {'once' if resumed == 1 else f'{resumed} times'}."
    )
    if len(outcomes) == 1:
        return "a", measured
    return ("b" if outcomes[1].startswith("duplicate") and resumed == 1 else "c"), measured


SECOND = Exercise(
    "03 second finisher",
    "You finish 9_31 by hand at 21:59; the batch starts at 22:00. What do the deliveries show?",
    Choice(
        {
            "a": Option(
                "one row, yours; the batch leaves out what is finished",
                "How should the batch know? It works through its own list, and nobody told it that "
                "you had been quicker.",
            ),
            "b": Option(
                "two rows; the batch calls as well, and is told that it is a duplicate",
                "Nobody told the batch beforehand, and nobody need: a finish is answered once, and "
                "whoever comes second is told so. (The order has still been booked by the batch, "
                "whatever you did by hand.)",
            ),
            "c": Option(
                "two rows; the step resumes a second time, and the process goes on twice",
                "That would be the bug that serial numbers are there to prevent: whoever comes "
                "second changes nothing in the process.",
            ),
        },
        second_finisher,
    ),
    (
        "Who knows at 22:00 that 9_31 is finished? Does the batch?",
        "What were you told in section 2 when you finished 5_31 a second time?",
        "Play it: a session without `hold`, `run_until('21:59')`, `finish('9_31')`, "
        "`run_until('22:05')`, and look at `session.so_far().deliveries`.",
    ),
)

EXERCISES = (LATE_TWIN, SECOND)
