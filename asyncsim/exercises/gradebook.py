"""Where exercises are handed in: finds them by name, counts the hints, remembers what was given.

One exercise: its name, what it asks, who checks it, and a ladder of hints.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd
from attrs import frozen

from asyncsim.errors import ScenarioError
from asyncsim.exercises import course
from asyncsim.exercises.feedback import Feedback, Finding, Mark, Verdict
from asyncsim.model.units import InvalidValue, nearest
from asyncsim.model.validation import scenario_error


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


PREFIX = "nb"


def chapters() -> dict[str, tuple[Exercise, ...]]:
    """Return the exercises by notebook: every module of `asyncsim.exercises.course` is one."""
    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(course.__path__)):
        content = importlib.import_module(f"{course.__name__}.{module}")
        found[module.removeprefix(PREFIX)] = tuple(content.EXERCISES)
    return found


class Gradebook:
    """Takes answers to exercises.

    Parameters
    ----------
    chapters
        Exercises by the name of their notebook.
    """

    def __init__(self, chapters: Mapping[str, Iterable[Exercise]]) -> None:
        self._exercises = {each.name: each for group in chapters.values() for each in group}
        self._notebooks = {e.name: book for book, group in chapters.items() for e in group}
        self._hints = dict.fromkeys(self._exercises, 0)
        self._given: dict[str, Feedback] = {}

    def check(self, name: str, answer: object = ...) -> Feedback:
        """Return what is right about an answer, what is not, and why that might be.

        Every try that is not right gets one more hint. Before the first answer (``...``, None or
        nothing) there is the task, and no hint.

        Parameters
        ----------
        name
            Name of the exercise, as in `all`.
        answer
            A number, a letter, a list, a strategy …: whatever the exercise asks for.

        Raises
        ------
        ScenarioError
            If there is no such exercise; the nearest name is told.
        """
        exercise = self._find(name)
        found = exercise.judge(answer)
        if found.mark is Mark.NOT_YET:
            self._climb(exercise)
        feedback = self._feedback(exercise, found)
        self._given[exercise.name] = feedback
        return feedback

    def hint(self, name: str) -> Feedback:
        """Return one more hint for an exercise, and all those before it."""
        exercise = self._find(name)
        self._climb(exercise)
        last = self._given.get(exercise.name)
        return self._feedback(exercise, last.verdict if last else exercise.judge(...))

    def all(self) -> pd.DataFrame:
        """Return a table of the exercises: name, notebook, and what is asked."""
        rows = [(name, self._notebooks[name], e.asks) for name, e in self._exercises.items()]
        return pd.DataFrame(rows, columns=["name", "notebook", "asks"])

    def given(self) -> dict[str, Feedback]:
        """Return the last feedback for every exercise that was handed in, by name."""
        return dict(self._given)

    def _find(self, name: str) -> Exercise:
        wanted = name.strip().lower() if isinstance(name, str) else ""
        if wanted in self._exercises:
            return self._exercises[wanted]
        raise self._no_such_exercise(name, wanted)

    def _no_such_exercise(self, name: object, wanted: str) -> ScenarioError:
        problem = "must be the name of an exercise (exercises.all() lists them)"
        return scenario_error("name", InvalidValue(problem, nearest(wanted, self._exercises)), name)

    def _climb(self, exercise: Exercise) -> None:
        shown = self._hints[exercise.name]
        self._hints[exercise.name] = min(shown + 1, len(exercise.hints))

    def _feedback(self, exercise: Exercise, found: Verdict) -> Feedback:
        count = 0 if found.mark is Mark.RIGHT else self._hints[exercise.name]
        solution = f"notebooks/solutions/{self._notebooks[exercise.name]}.ipynb"
        left = len(exercise.hints) - count
        return Feedback(exercise.name, found, exercise.hints[:count], left, solution)
