"""One exercise to try the checker on."""

from __future__ import annotations

from asyncsim.exercises.checkers import CommonMistake, NumberChecker, closed_form
from asyncsim.exercises.gradebook import Exercise
from asyncsim.model.distributions import fixed
from asyncsim.model.strategies import Polling

SHOWN: dict[str, object] = {}

HALF_HOUR = Polling("30min")
WAIT = fixed("10h 10s")  # from noon to ten seconds past 22:00


def checks() -> float:
    """Return the checks of one wait: closed form for a fixed time, anchored at arming."""
    return closed_form(HALF_HOUR, WAIT).checks


HOW_OFTEN = Exercise(
    "00 how often",
    "How many times does a poller ask that begins to wait at 12:00:00, asks every half hour, and "
    "whose order is booked at 22:00:10?",
    NumberChecker(
        checks,
        "All but the last are wasted, and the last comes nearly half an hour late, because the one "
        "at 22:00:00 came ten seconds early.",
        within=0.0,
        slips=(
            CommonMistake(20, "the check at 22:00:00 is the 20th, and comes ten seconds too early"),
            CommonMistake(
                22, "the grid begins with the first check at 12:30, not with one at 12:00"
            ),
            CommonMistake(
                WAIT.mean / HALF_HOUR.interval, "checks are counted, and there is no part of one"
            ),
            CommonMistake(
                40,
                "that is how often a poller has asked by 22:00:00 that asks every quarter of an "
                "hour, and at 22:00:00 it is ten seconds too early",
            ),
            CommonMistake(41, "that is how often a poller asks every quarter of an hour"),
            CommonMistake(
                1, "that is how often a callback is sent; a poller cannot know when to ask"
            ),
        ),
    ),
    (
        "Write down the times of the first three checks. The first is not at 12:00.",
        "Which check is at 22:00:00, and is the order booked by then?",
        "Divide the whole wait by the interval, and round up: the check that sees it counts.",
    ),
)

EXERCISES = (HOW_OFTEN,)
