"""One exercise: its name, what it asks, who checks it, and a ladder of hints."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from asyncsim.exercises.feedback import Finding, Mark, Verdict


class Checker(Protocol):
    """Anything that can judge an answer."""

    def judge(self, answer: object) -> Verdict:
        """Say what is right about an answer, what is not, and why that might be."""


@frozen
class Exercise:
    """An exercise of the course.

    Attributes
    ----------
    name
        Number of the notebook and a few words, such as ``"02 best interval"``.
    asks
        What is asked, in a line.
    checker
        Judges answers.
    hints
        From a nudge to the way; the last one leaves only the computing.
    """

    name: str
    asks: str
    checker: Checker
    hints: tuple[str, ...]

    def judge(self, answer: object) -> Verdict:
        """Judge an answer, or say that there is none yet."""
        if unanswered(answer):
            said = Finding(None, f"Put your answer in place of the dots. {self.asks}")
            return Verdict(Mark.OPEN, (said,))
        return self.checker.judge(answer)


def unanswered(answer: object) -> bool:
    """Return whether an answer is still ``...`` or None, or has one of them in it.

    >>> unanswered(...), unanswered(["callback", ...]), unanswered(None), unanswered(0)
    (True, True, True, False)
    """
    if isinstance(answer, (list, tuple)):
        return any(unanswered(each) for each in answer)
    return answer is ... or answer is None
