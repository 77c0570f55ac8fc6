"""One exercise to try the checker on."""

from __future__ import annotations

import asyncsim as sim
from asyncsim.exercises.checkers import NumberChecker, closed_form
from asyncsim.exercises.gradebook import Exercise

SHOWN: dict[str, object] = {}

HALF_HOUR = sim.Polling("30min")
WAIT = sim.fixed("10h 10s")  # from noon to ten seconds past 22:00
HOW_OFTEN = Exercise(
    "00 how often",
    "A wait begins at 12:00:00, its order is booked at 22:00:10, and a poller checks every half "
    "hour. How many checks does it make?",
    NumberChecker(
        lambda: closed_form(HALF_HOUR, WAIT).checks,
        "All but the last are wasted, and the last is nearly half an hour late, because the one at "
        "22:00:00 came ten seconds early.",
        within=0.0,
        mistakes={
            20: "the last of these is at 22:00:00, and is ten seconds too early",
            22: "the grid begins with the first check at 12:30, not with one at 12:00",
            WAIT.mean / HALF_HOUR.interval: "the number of checks is a whole number",
            40: "that is the number of checks by 22:00:00 at one every quarter of an hour, and "
            "the one at 22:00:00 is ten seconds too early",
            41: "that is the number of checks at one every quarter of an hour",
            1: "that is the number of callbacks; a poller cannot know when to check",
        },
    ),
    (
        "Write down the times of the first three checks. The first is not at 12:00.",
        "Which check is at 22:00:00, and is the order booked by then?",
        "Divide the whole wait by the interval and round up: the check that sees completion "
        "counts.",
    ),
)

EXERCISES = (HOW_OFTEN,)
