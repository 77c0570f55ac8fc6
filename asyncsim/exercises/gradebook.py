"""Exercises and their gradebook: it finds them by name, and counts hints and answers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import pandas as pd
from attrs import evolve, frozen

from asyncsim.exercises import course
from asyncsim.exercises.feedback import Feedback, Judgement, Mark, Remark
from asyncsim.model.units import InvalidValue, nearest
from asyncsim.model.validation import scenario_error


class Checker(Protocol):
    """An object that judges answers; see `asyncsim.exercises.checkers`."""

    def judge(self, answer: object) -> Judgement:
        """Return what is right about an answer, what is not, and a likely reason."""


@frozen
class Exercise:
    """An exercise of the course; hints go from a first idea to the method."""

    name: str
    asks: str
    checker: Checker
    hints: tuple[str, ...]

    def judge(self, answer: object) -> Judgement:
        """Judge an answer, or return the question if there is none yet."""
        if unanswered(answer):
            what = "Replace the dots with your answer."
            if answer is None:
                what = "The answer is None: does the last line return a value, or only print it?"
            task = Remark(None, f"{what} {self.asks}")
            return Judgement(Mark.OPEN, (task,))
        return self.checker.judge(answer)


def unanswered(answer: object) -> bool:
    """Return whether an answer is still ``...`` or None, or contains one of them."""
    if isinstance(answer, (list, tuple)):
        return any(unanswered(each) for each in answer)
    return answer is ... or answer is None


def chapters() -> dict[str, tuple[Exercise, ...]]:
    """Return the exercises by notebook, one for each module of `asyncsim.exercises.course`."""
    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(course.__path__)):
        content = importlib.import_module(f"{course.__name__}.{module}")
        found[module.removeprefix("nb")] = tuple(content.EXERCISES)
    return found


class Gradebook:
    """Checks answers, and keeps the number of hints and the latest feedback of each exercise."""

    def __init__(self, chapters: Mapping[str, Iterable[Exercise]]) -> None:
        self._exercises = {each.name: each for group in chapters.values() for each in group}
        self._notebooks = {e.name: book for book, group in chapters.items() for e in group}
        self._hints = dict.fromkeys(self._exercises, 0)
        self._given: dict[str, Feedback] = {}
        self._right: dict[str, str] = {}

    def check(self, name: str, answer: object = ...) -> Feedback:
        """Return what is right about an answer, what is not, and a likely reason.

        Every wrong answer earns one more hint. Without an answer (``...``, None or nothing) the
        feedback is the question, and no hint. The right answer to another exercise is recognised.

        Parameters
        ----------
        name
            Name of the exercise, as in `all`.
        answer
            A number, a letter, a list, a strategy or a design, as the exercise requires.

        Raises
        ------
        ScenarioError
            If the name is unknown; the message suggests the nearest one.
        """
        exercise = self._find(name)
        found = exercise.judge(answer)
        if found.mark is Mark.RIGHT:
            self._right[exercise.name] = str(answer)
        elif found.mark is not Mark.OPEN:
            found = evolve(found, findings=(*found.findings, *self._answers_another(answer)))
        if found.mark is Mark.NOT_YET:
            self._reveal_hint(exercise)
        feedback = self._feedback(exercise, found)
        self._given[exercise.name] = feedback
        return feedback

    def hint(self, name: str) -> Feedback:
        """Return one more hint for an exercise, and all those before it."""
        exercise = self._find(name)
        self._reveal_hint(exercise)
        last = self._given.get(exercise.name)
        return self._feedback(exercise, last.verdict if last else exercise.judge(...))

    def all(self) -> pd.DataFrame:
        """Return a table of the exercises: name, notebook, and question."""
        rows = [(name, self._notebooks[name], e.asks) for name, e in self._exercises.items()]
        return pd.DataFrame(rows, columns=["name", "notebook", "asks"])

    def given(self) -> dict[str, Feedback]:
        """Return the latest feedback for every exercise that was checked, by name."""
        return dict(self._given)

    def _find(self, name: str) -> Exercise:
        wanted = name.strip().lower() if isinstance(name, str) else ""
        if wanted in self._exercises:
            return self._exercises[wanted]
        problem = "must be the name of an exercise (exercises.all() lists them)"
        raise scenario_error("name", InvalidValue(problem, nearest(wanted, self._exercises)), name)

    def _answers_another(self, answer: object) -> Iterator[Remark]:
        """Yield the name of an exercise for which this answer, not only a letter, was right."""
        same = [name for name, right in self._right.items() if right == str(answer) != right[:1]]
        if same:
            yield Remark(False, f"That is your answer to '{same[-1]}': is a variable left over?")

    def _reveal_hint(self, exercise: Exercise) -> None:
        shown = self._hints[exercise.name]
        self._hints[exercise.name] = min(shown + 1, len(exercise.hints))

    def _feedback(self, exercise: Exercise, found: Judgement) -> Feedback:
        count = 0 if found.mark is Mark.RIGHT else self._hints[exercise.name]
        solution = f"notebooks/solutions/{self._notebooks[exercise.name]}.ipynb"
        left = len(exercise.hints) - count
        return Feedback(exercise.name, found, exercise.hints[:count], left, solution)
