"""Answers to a finish as HTTP says them, and what to do next, for people and programs."""

from __future__ import annotations

import re

from asyncsim.engine.waits import Answer

STATUS: dict[Answer, int] = {
    Answer.FINISHED: 204,
    Answer.BUFFERED: 202,
    Answer.IGNORED_EARLY: 204,
    Answer.ACCEPTED_DUPLICATE: 204,
    Answer.ACCEPTED_LATE: 204,
    Answer.IGNORED_UNKNOWN: 204,
    Answer.EARLY: 409,
    Answer.DUPLICATE: 409,
    Answer.LATE: 410,
    Answer.UNKNOWN: 404,
}
"""Only the 204 of a finished step is documented by the vendor of K2; the others are ours."""

KIND_OF = {
    Answer.EARLY: "early",
    Answer.DUPLICATE: "duplicate",
    Answer.LATE: "late",
    Answer.UNKNOWN: "unknown",
}
"""The kind of finish that is turned away with an answer; see `asyncsim.model.profiles`."""

ADVICE: dict[Answer, str] = {
    Answer.EARLY: "The step has made its call and does not wait yet: try again in a moment.",
    Answer.DUPLICATE: "Nothing to do: the step was finished before, and has resumed once.",
    Answer.LATE: "Do not try again: the wait is over. Look at its instance to see how it went on.",
    Answer.UNKNOWN: "Check the number: it is the instance, an underscore, the step's activation.",
}
"""What the sender should do about an answer that turns it away."""


def advice(answer: Answer, serial_number: str, started: int) -> str:
    """Return what to do about an answer, if so many instances have started."""
    found = re.fullmatch(r"([1-9]\d{0,8})_\d{1,9}", serial_number, re.ASCII)
    if answer is Answer.UNKNOWN and found and int(found[1]) > started:
        return f"Instance {found[1]} has not started yet: try again later."
    return ADVICE[answer]
