"""Checkers of answers: a choice, an order, a number, or an object with measured properties.

Each of them judges an answer by computing or simulating what is right, and explains what is wrong.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any

from attrs import field, frozen

from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.exercises.feedback import Judgement, Mark, Remark, unreadable, verdict
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import duration, number


@frozen
class Option:
    """A statement to choose, as in the notebook, and what to remember, or the misconception."""

    statement: str
    explanation: str


@frozen
class ChoiceChecker:
    """Checks which of several statements was chosen, by its letter.

    `truth` determines the right one: its letter, and a sentence with what was measured.
    """

    options: Mapping[str, Option]
    truth: Callable[[], tuple[str, str]]

    def judge(self, answer: object) -> Judgement:
        """Judge the chosen letter."""
        letter = answer.strip(" ().'\"").lower() if isinstance(answer, str) else ""
        if letter not in self.options:
            letters = " or ".join(repr(each) for each in self.options)
            return unreadable(f"the letter of one of the statements, {letters}", answer)
        explanation = self.options[letter].explanation
        right, measured = self.truth()
        if letter == right:
            return verdict([Remark(True, measured)], explanation)
        return verdict([Remark(False, f"Not ({letter}): {explanation}")])


@frozen
class OrderingChecker:
    """Checks the order of names in a list: the one of the smallest value is first.

    `right` is the feedback for the right order, `swaps` that for a pair in the wrong one.

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
        given = list(answer) if isinstance(answer, (list, tuple)) else []
        if any(not isinstance(name, str) for name in given) or sorted(given) != sorted(values):
            names = ", ".join(repr(name) for name in values)
            return unreadable(f"a list of these names, each once: {names}", answer)
        ordered = sorted(given, key=values.__getitem__)
        if given == ordered:
            shown = ", ".join(f"{name} {values[name]:.3g} {self.unit}" for name in ordered)
            return verdict([Remark(True, f"{shown}.")], self.right)
        if given == ordered[::-1]:
            return verdict([Remark(False, "The order is right, but reversed.")])
        placed = sum(one == other for one, other in zip(given, ordered, strict=True))
        head = Remark(placed > 0, f"{placed} of {len(given)} are in the right place.")
        pairs = [pair for pair in combinations(given, 2) if values[pair[0]] > values[pair[1]]]
        general = "{!r} comes before {!r}, but is the larger of the two.".format(*pairs[0])
        why = next((self.swaps[pair] for pair in pairs if pair in self.swaps), general)
        return verdict([head, Remark(False, why)])


EXPECTED_FORM = {
    "s": "a duration: seconds as a number, or a text such as '90s' or '1min 30s'",
    "share": "a share from 0 to 1, such as 0.25",
}
CLOSE = 1.25  # factor from the right value; below it only the exercise's own mistakes are tried
FAR = 2.9  # the same for mistakes in the unit
A_FEW = 3  # counts that differ by no more than this are reported as a difference, not in per cent
TWICE = "that is twice as much: perhaps you took a whole interval where half of it counts"
HALF = "that is half as much: perhaps you halved something that counts in full"
OTHER_UNIT = {
    "s": (1 / 60, " (read as minutes, but plain numbers are seconds here)"),
    "share": (100.0, " (read as per cent, but the answer is a share from 0 to 1)"),
}  # the unit in which a mistake may have been entered: its factor, and a remark
UNIT_MISTAKES = {
    "s": {
        1 / 60: "that is the right value in minutes; plain numbers are seconds here",
        60.0: "that is sixty times as much: minutes were taken for seconds somewhere",
        1 / 3600: "that is the right value in hours; plain numbers are seconds here",
        3600.0: "that is 3600 times as much: hours were taken for seconds somewhere",
        1000.0: "that is the right value in milliseconds; plain numbers are seconds here",
        0.001: "that is a thousandth: seconds were taken for milliseconds somewhere",
    },
    "share": {
        100.0: "that is the right value in per cent; the answer is a share from 0 to 1",
        0.01: "that is a hundredth: the share was divided by 100 once too often",
    },
}  # by the ratio of answer to expected value


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
    """Checks a number or a duration.

    Parameters
    ----------
    expected, right
        Computes the right value, in seconds for durations; the feedback for it.
    unit
        ``"s"`` for a duration in any form that the library reads, ``"share"``, or any other word.
    within
        Relative tolerance; 0 for a count.
    mistakes
        Values of likely mistakes, or functions that compute them, with the explanation of each;
        mistakes of units, factors and signs are built in.

    >>> leap = {61.0: "that is with a leap second"}
    >>> minute = NumberChecker(lambda: 60.0, "A minute.", "s", mistakes=leap)
    >>> [minute.judge(answer).findings[0].text for answer in ("1min", 1, "3min")]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['A minute.',
     'Not 1 s: that is the right value in minutes; plain numbers are seconds here.',
     'Not 180 s: that is too large by a factor of about 3.']
    """

    expected: Callable[[], float]
    right: str
    unit: str = ""
    within: float = 0.02
    mistakes: Mapping[float | Callable[[], float], str] = field(factory=dict)

    def judge(self, answer: object) -> Judgement:
        """Judge a number; look for a mistake that explains the difference."""
        try:
            value = READERS.get(self.unit, number)(answer)
        except ValueError:
            return unreadable(EXPECTED_FORM.get(self.unit, "a number"), answer)
        expected = float(self.expected())
        if near(value, expected, self.within):
            return verdict([Remark(True, self.right)])
        unit = "" if self.unit == "share" or not self.unit else f" {self.unit}"
        explanation = self._explanation(value, expected)
        return verdict([Remark(False, f"Not {value:.6g}{unit}: {explanation}.")])

    def _explanation(self, value: float, expected: float) -> str:
        """Return the nearest mistake that explains a value, or how far it is off."""
        own = [(computed(wrong), why) for wrong, why in self.mistakes.items()]
        tolerance = max(min(self.within, 0.05), 0.002)
        for mistakes in (own, *self._general(own, value, expected)):  # the exercise's own first
            close = [pair for pair in mistakes if near(value, pair[0], tolerance)]
            if close:
                return min((abs(value - wrong), why) for wrong, why in close)[1]
        if not self.within and 0 < (by := abs(value - expected)) <= A_FEW and by % 1 == 0:
            return f"that is {by:.0f} too {'many' if value > expected else 'few'}"
        return how_far(value, expected)

    def _general(
        self, own: list[tuple[float, str]], value: float, expected: float
    ) -> Iterator[list[tuple[float, str]]]:
        """Yield mistakes that the exercise does not list, if the value is far off."""
        factor = max(value / expected, expected / value) if value * expected > 0 else math.inf
        if factor >= CLOSE and expected:
            ratios = {**UNIT_MISTAKES.get(self.unit, {}), 2.0: TWICE, 0.5: HALF}
            others = (1 - expected, "that is the share of all the others")
            yield [
                *((ratio * expected, why) for ratio, why in ratios.items()),
                *([others] if self.unit == "share" else []),
                (-expected, "the size is right, the sign is not"),
                (1 / expected, "that is the reciprocal: the division is the wrong way round"),
            ]
        scale, remark = OTHER_UNIT.get(self.unit, (0.0, ""))
        if factor >= FAR and scale:
            yield [(wrong * scale, why + remark) for wrong, why in own if wrong]


def computed(value: float | Callable[[], float]) -> float:
    """Return a value that may have to be computed first."""
    return float(value()) if callable(value) else value


def near(value: float, other: float, relative: float) -> bool:
    """Return whether two values agree within a relative tolerance, and rounding."""
    return abs(value - other) <= relative * abs(other) + 1e-9


def how_far(value: float, expected: float) -> str:
    """Return in which direction and by about what factor a value is off.

    >>> how_far(1.1, 1.0), how_far(30.0, 90.0), how_far(0.0, 90.0)  # doctest: +ELLIPSIS
    ('that is close, but about 10 % too large...', 'that is too small by a factor of about 3', ...)
    """
    direction = "large" if value > expected else "small"
    if value * expected <= 0 and expected > 0:
        return "not even the sign is right" if value else "zero is too small: the value is positive"
    if value * expected <= 0:
        return f"that is too {direction}"
    factor = max(value / expected, expected / value)
    if factor < CLOSE:
        percent = max(abs(value / expected - 1) * 100, 0.1)
        return f"that is close, but about {percent:.2g} % too {direction}, beyond the tolerance"
    order = "the order of magnitude is right, but " if factor < FAR else ""
    return f"{order}that is too {direction} by a factor of about {factor:.2g}"


@frozen
class PropertyChecker:
    """Checks the properties of a strategy or a design, by closed form or by simulation.

    An answer must be what `wanted` describes, which `fits` decides. `measure` yields a finding for
    each condition: what was measured and, if it fails, why. `right` is the feedback if all are met.
    """

    wanted: str
    fits: Callable[[Any], bool]
    measure: Callable[[Any], Iterable[Remark]]
    right: str

    def judge(self, answer: object) -> Judgement:
        """Measure every condition; report errors of the simulation as feedback."""
        if not self.fits(answer):
            return unreadable(self.wanted, answer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CensoredWarning)  # the findings count open waits
            try:
                return verdict(self.measure(answer), self.right)
            except AsyncsimError as error:
                problem = Remark(False, f"It could not be simulated: {error}")
                return Judgement(Mark.UNREADABLE, (problem,))
