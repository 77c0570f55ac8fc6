"""Checkers of answers: a choice, an order, a number, or an object with measured properties.

Each of them judges an answer by computing or simulating what is right, and explains what is wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from attrs import field, frozen

from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.exercises.feedback import Judgement, Mark, Remark, unreadable, verdict
from asyncsim.exercises.mistakes import general, how_far, kind
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import duration, nearest, number


@frozen
class Option:
    """A statement to choose, as in the notebook, and what to remember, or the misconception."""

    statement: str
    explanation: str


@frozen
class ChoiceChecker:
    """Checks the letter of a statement; `truth` returns the right one and a sentence."""

    options: Mapping[str, Option]
    truth: Callable[[], tuple[str, str]]

    def judge(self, answer: object) -> Judgement:
        """Judge the chosen letter."""
        letter = answer.strip(" ().'\"").lower() if isinstance(answer, str) else ""
        if letter not in self.options:
            letters = " or ".join(repr(each) for each in self.options)
            wanted = f"the letter of one of the statements, {letters}"
            return unreadable(wanted, answer, self._no_letter(letter) or kind(answer))
        explanation = self.options[letter].explanation
        right, measured = self.truth()
        if letter == right:
            return verdict([Remark(True, measured)], explanation)
        return verdict([Remark(False, f"Not ({letter}): {explanation}")])

    def _no_letter(self, text: str) -> str:
        """Return what a text is that is no letter of a statement, if that can be recognised."""
        if any(len(text) > 2 and text in each.statement.lower() for each in self.options.values()):
            return "That is the statement itself; its letter is enough."
        if len(text) > 1 and not set(text) - {*self.options, *" ,;+/&"}:
            return "Only one of the statements is right."
        return f"There is no statement ({text})." if len(text) == 1 and text.isalpha() else ""


@frozen
class OrderingChecker:
    """Checks the order of names in a list by their values; `swaps` explains pairs.

    >>> size = OrderingChecker(lambda: {"mouse": 0.1, "cat": 0.5, "cow": 2}, "By size.", unit="m")
    >>> size.judge(["cat", "mouse", "cow"]).findings[-1].text
    "'cat' comes before 'mouse', but is the larger of the two."
    """

    values: Callable[[], Mapping[str, float]]
    right: str
    swaps: Mapping[tuple[str, str], str] = field(factory=dict)
    unit: str = ""

    def judge(self, answer: object) -> Judgement:
        """Judge a list of names; explain one pair in the wrong order."""
        values = self.values()
        answer = answer.ravel().tolist() if isinstance(answer, np.ndarray) else answer
        lists = (list, tuple, dict, pd.Index, pd.Series)
        given = list(answer) if isinstance(answer, lists) else []
        if problem := self._no_order(given, list(values)):
            names = ", ".join(repr(name) for name in values)
            problem = problem if isinstance(answer, lists) else kind(answer)
            return unreadable(f"a list of these names, each once: {names}", answer, problem)
        ordered = sorted(given, key=values.__getitem__)
        if given == ordered:
            shown = ", ".join(f"{name} {values[name]:.3g} {self.unit}" for name in ordered)
            return verdict([Remark(True, f"{shown}.")], self.right)
        if given == ordered[::-1]:
            return verdict([Remark(False, "The order is right, but reversed.")])
        placed = sum(one == other for one, other in zip(given, ordered, strict=True))
        head = Remark(placed > 0, f"{placed} of {len(given)} are in the right place.")
        pairs = [pair for pair in combinations(given, 2) if values[pair[0]] > values[pair[1]]]
        larger = "{!r} comes before {!r}, but is the larger of the two.".format(*pairs[0])
        why = next((self.swaps[pair] for pair in pairs if pair in self.swaps), larger)
        return verdict([head, Remark(False, why)])

    @staticmethod
    def _no_order(given: list[Any], names: list[str]) -> str:
        """Return why a list is not an order of names, or an empty text."""
        for name in given:
            if not isinstance(name, str):
                return f"The list has more than names. {kind(name)}"
            if name not in names:
                return f"{name[:40]!r} is none of the names{nearest(name.lower(), names) or '.'}"
            if given.count(name) > 1:
                return f"{name!r} is in the list more than once."
        missing = [name for name in names if name not in given]
        return f"Missing: {', '.join(map(repr, missing))}." if missing else ""


EXPECTED_FORM = {
    "s": "a duration: seconds as a number, or a text such as '90s' or '1min 30s'",
    "share": "a share from 0 to 1, such as 0.25",
}


def closed_form(strategy: Strategy, external: Duration) -> Expected:
    """Return the closed form of a strategy that has one."""
    expected = strategy.expected(external)
    if expected is None:
        raise ValueError(f"no closed form for {strategy.label}")
    return expected


def share(answer: object) -> float:
    """Return a share, given as a number or as a text in per cent."""
    if isinstance(answer, str) and answer.rstrip().endswith("%"):
        return number(float(answer.rstrip().removesuffix("%"))) / 100
    return number(answer)


READERS: dict[str, Callable[[Any], float]] = {"s": duration, "share": share}


@frozen
class NumberChecker:
    """Checks a number, a share or, if the `unit` is ``"s"``, a duration in any form.

    `within` is a relative tolerance, 0 for a count. `mistakes` explains values of likely mistakes;
    those of units, factors and signs are built in.

    >>> leap = {61.0: "that is with a leap second"}
    >>> minute = NumberChecker(lambda: 60.0, "A minute.", "s", mistakes=leap)
    >>> [minute.judge(answer).findings[0].text for answer in ("1min", 1)]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['A minute.',
     'Not 1 s: that is the right value in minutes, but it is read as seconds.']
    """

    expected: Callable[[], float]
    right: str
    unit: str = ""
    within: float = 0.02
    mistakes: Mapping[float | Callable[[], float], str] = field(factory=dict)

    def judge(self, answer: object) -> Judgement:
        """Judge a number; look for a mistake that explains the difference."""
        if isinstance(answer, np.ndarray) and answer.ndim == 0:
            answer = answer.item()
        try:
            value = READERS.get(self.unit, number)(answer)
        except ValueError:
            return unreadable(EXPECTED_FORM.get(self.unit, "a number"), answer, kind(answer))
        expected = float(self.expected())
        if near(value, expected, self.within):
            return verdict([Remark(True, self.right)])
        unit = "" if self.unit == "share" or not self.unit else f" {self.unit}"
        explanation = self._explanation(value, expected)
        end = "" if explanation.endswith("?") else "."
        return verdict([Remark(False, f"Not {value:.6g}{unit}: {explanation}{end}")])

    def _explanation(self, value: float, expected: float) -> str:
        """Return the nearest mistake that explains a value, or how far it is off."""
        own = [(computed(wrong), why) for wrong, why in self.mistakes.items()]
        tolerance = max(min(self.within, 0.05), 0.002)
        for mistakes in (own, *general(own, value, expected, self.unit)):
            close = [pair for pair in mistakes if near(value, pair[0], tolerance)]
            if close:
                return min((abs(value - wrong), why) for wrong, why in close)[1]
        if not self.within and abs(value - expected) <= 3:  # perhaps a wrong first or last one
            if value % 1:
                return "that is close, but it must be a whole number: up or down, and why?"
            return "that is close: are the first and the last one counted, and should they be?"
        return how_far(value, expected)


def computed(value: float | Callable[[], float]) -> float:
    """Return a value that may have to be computed first."""
    return float(value()) if callable(value) else value


def near(value: float, other: float, relative: float) -> bool:
    """Return whether two values agree within a relative tolerance, and rounding."""
    return abs(value - other) <= relative * abs(other) + 1e-9


@frozen
class PropertyChecker:
    """Checks an answer that `fits` by what `measure` finds; `misfit` describes any other."""

    wanted: str
    fits: Callable[[Any], bool]
    measure: Callable[[Any], Iterable[Remark]]
    right: str
    misfit: Callable[[Any], str] = kind

    def judge(self, answer: object) -> Judgement:
        """Measure every condition; report errors of the simulation as feedback."""
        if not self.fits(answer):
            return unreadable(self.wanted, answer, self.misfit(answer))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CensoredWarning)  # the findings count open waits
            try:
                return verdict(self.measure(answer), self.right)
            except AsyncsimError as error:
                problem = Remark(False, f"It could not be simulated: {error}")
                return Judgement(Mark.UNREADABLE, (problem,))
