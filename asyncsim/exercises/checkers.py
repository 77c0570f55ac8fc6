"""A number is the answer: how far off it is, and which slip would explain that.

One of several statements, or names in an order: each wrong one has an answer of its own.

A strategy or a scenario is the answer: it must have a property, which is measured.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.exercises.feedback import Finding, Mark, Verdict, unreadable, verdict
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import duration, number


@frozen
class Option:
    """A statement to choose, as it stands in the notebook, and what is said to whoever does.

    For the right one `because` is what to take along; for the others, the misconception behind it.
    """

    says: str
    because: str


@frozen
class Choice:
    """Checks which of several statements was chosen.

    Parameters
    ----------
    options
        Statements by their letters.
    truth
        Finds out which is right: returns its letter, and a sentence with what was measured.
    """

    options: Mapping[str, Option]
    truth: Callable[[], tuple[str, str]]

    def judge(self, answer: object) -> Verdict:
        """Answer to the choice that was made."""
        letter = answer.strip(" ().'\"").lower() if isinstance(answer, str) else ""
        if letter not in self.options:
            letters = " or ".join(repr(each) for each in self.options)
            return unreadable(f"the letter of one of the statements, {letters}", answer)
        chosen = self.options[letter]
        right, measured = self.truth()
        if letter == right:
            return verdict([Finding(True, measured)], chosen.because)
        return verdict([Finding(False, f"Not ({letter}): {chosen.because}")])


@frozen
class Ordering:
    """Checks a list of names in an order.

    Parameters
    ----------
    figures
        Computes the figure by which the names are ordered, the smallest first.
    right
        What is said when the order is right.
    swaps
        What to say to whoever puts the first of two names before the second, which is smaller.
    unit
        Of the figures.

    Examples
    --------
    >>> size = Ordering(lambda: {"mouse": 0.1, "cat": 0.5, "cow": 2}, "As it is.", unit="m")
    >>> size.judge(["cat", "mouse", "cow"]).findings[-1].says
    "'cat' stands before 'mouse', but is the larger of the two."
    """

    figures: Callable[[], Mapping[str, float]]
    right: str
    swaps: Mapping[tuple[str, str], str] = field(factory=dict)
    unit: str = ""

    def judge(self, answer: object) -> Verdict:
        """Look for the first two neighbours that stand the wrong way round."""
        figures = self.figures()
        names = ", ".join(repr(name) for name in figures)
        given = list(answer) if isinstance(answer, (list, tuple)) else []
        if any(not isinstance(name, str) for name in given) or sorted(given) != sorted(figures):
            return unreadable(f"a list of these names, each once: {names}", answer)
        ordered = sorted(given, key=figures.__getitem__)
        if given == ordered:
            shown = ", ".join(f"{name} {figures[name]:.3g} {self.unit}" for name in ordered)
            return verdict([Finding(True, f"{shown}.")], self.right)
        if given == ordered[::-1]:
            return verdict([Finding(False, "The order is right, but the wrong way round.")])
        placed = sum(one == other for one, other in zip(given, ordered, strict=True))
        head = Finding(placed > 0, f"{placed} of {len(given)} stand in their places.")
        return verdict([head, Finding(False, self._first_swap(given, figures))])

    def _first_swap(self, given: list[str], figures: Mapping[str, float]) -> str:
        """Return what is known about a pair that is swapped, or which pair it is."""
        pairs = [
            (first, second)
            for place, first in enumerate(given)
            for second in given[place + 1 :]
            if figures[first] > figures[second]
        ]
        for pair in pairs:
            if pair in self.swaps:
                return self.swaps[pair]
        first, second = pairs[0]
        return f"{first!r} stands before {second!r}, but is the larger of the two."


WANTED = {
    "s": "a duration: seconds as a number, or a text such as '90s' or '1min 30s'",
    "share": "a share from 0 to 1, such as 0.25",
}
CLOSE, FAR = 1.25, 2.9
"""Factors: a slip explains an answer only if it is off by the first, a unit only if by the second;
the slips that an exercise names itself are looked for at any distance."""
A_FEW = 3
"""A count that is off by no more than this is told so, and not in per cent."""
TWICE = "that is twice as much: perhaps a whole interval was taken where half of it counts"
HALF = "that is half as much: perhaps something was halved that counts in full"
IN_OTHER_UNITS = {
    "s": (1 / 60, " (read as minutes, but plain numbers are seconds here)"),
    "share": (100.0, " (read as per cent, but a share from 0 to 1 is asked)"),
}
"""How likely mistakes are typed in once more: as what part of themselves, and what to say of it."""
UNITS = {
    "s": {
        1 / 60: "that is the right figure in minutes; plain numbers are seconds here",
        60.0: "that is sixty times as much: minutes were taken for seconds somewhere",
        1 / 3600: "that is the right figure in hours; plain numbers are seconds here",
        3600.0: "that is 3600 times as much: hours were taken for seconds somewhere",
        1000.0: "that is the right figure in milliseconds; plain numbers are seconds here",
        0.001: "that is a thousandth: seconds were taken for milliseconds somewhere",
    },
    "share": {
        100.0: "that is the right figure in per cent; a share from 0 to 1 is asked",
        0.01: "that is a hundredth: the share was divided by 100 once too often",
    },
}
"""Answer over expected value, by unit, and what that tells."""


def closed_form(strategy: Strategy, external: Duration) -> Expected:
    """Return what theory expects of a strategy that has a closed form."""
    expected = strategy.expected(external)
    if expected is None:
        raise ValueError(f"no closed form for {strategy.label}")
    return expected


def share(answer: object) -> float:
    """Read a share, which may be written in per cent, with its sign."""
    if isinstance(answer, str) and answer.rstrip().endswith("%"):
        return number(float(answer.rstrip().removesuffix("%"))) / 100
    return number(answer)


READERS: dict[str, Callable[[Any], float]] = {"s": duration, "share": share}


def known(value: float | Callable[[], float]) -> float:
    """Return a figure that may have to be computed first."""
    return float(value()) if callable(value) else value


@frozen
class CommonMistake:
    """A value somebody gets who made a certain mistake, and what to say about it."""

    value: float | Callable[[], float]
    why: str


@frozen
class NumberChecker:
    """Checks a number, or a duration, against one that is computed.

    Parameters
    ----------
    expected
        Computes the right value, in seconds for durations.
    right
        What is said when it is right.
    unit
        ``"s"`` for a duration (anything the library reads as one), ``"share"``, or any other word.
    within
        Relative tolerance; 0 for a count.
    slips
        Likely mistakes of this exercise; those of units, factors and signs are known already.

    Examples
    --------
    >>> leap = CommonMistake(61.0, "a leap second")
    >>> minute = NumberChecker(lambda: 60.0, "A minute.", "s", slips=(leap,))
    >>> [minute.judge(answer).findings[0].says for answer in ("1min", 1, "3min")]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['A minute.',
     'Not 1 s: that is the right figure in minutes; plain numbers are seconds here.',
     'Not 180 s: that is too large by a factor of about 3.']
    """

    expected: Callable[[], float]
    right: str
    unit: str = ""
    within: float = 0.02
    slips: tuple[CommonMistake, ...] = ()

    def judge(self, answer: object) -> Verdict:
        """Compare, and look for a slip that explains the difference."""
        wanted = WANTED.get(self.unit, "a number")
        try:
            value = READERS.get(self.unit, number)(answer)
        except ValueError:
            return unreadable(wanted, answer)
        expected = float(self.expected())
        if near(value, expected, self.within):
            return verdict([Finding(True, self.right)])
        unit = "" if self.unit == "share" or not self.unit else f" {self.unit}"
        reason = self.reason(value, expected)
        return verdict([Finding(False, f"Not {value:.6g}{unit}: {reason}.")])

    def reason(self, value: float, expected: float) -> str:
        """Return the slip nearest to a value, or how far it is off."""
        own = [(known(slip.value), slip.why) for slip in self.slips]
        tolerance = max(min(self.within, 0.05), 0.002)
        for slips in (own, *self._guesses(own, value, expected)):  # the first knows better
            found = [
                (abs(value - slip), why) for slip, why in slips if near(value, slip, tolerance)
            ]
            if found:
                return min(found)[1]
        if not self.within and 0 < (by := abs(value - expected)) <= A_FEW and by % 1 == 0:
            return f"that is {by:.0f} too {'many' if value > expected else 'few'}"
        return how_far(value, expected)

    def _guesses(
        self, own: list[tuple[float, str]], value: float, expected: float
    ) -> Iterator[list[tuple[float, str]]]:
        """Yield slips that the exercise does not name itself, if the value is far off."""
        factor = max(value / expected, expected / value) if value * expected > 0 else math.inf
        if factor >= CLOSE:
            yield list(self._general_slips(expected))
        part, aside = IN_OTHER_UNITS.get(self.unit, (0.0, ""))
        if factor >= FAR and part:
            yield [(slip * part, why + aside) for slip, why in own if slip]

    def _general_slips(self, expected: float) -> Iterator[tuple[float, str]]:
        """Give those of units, factors and signs."""
        if not expected:
            return
        for factor, why in UNITS.get(self.unit, {}).items():
            yield factor * expected, why
        if self.unit == "share":
            yield 1 - expected, "that is the share of all the others"
        yield from ((2 * expected, TWICE), (expected / 2, HALF))
        yield -expected, "the size is right, the sign is not"
        yield 1 / expected, "that is upside down: one divided by the other, the wrong way round"


def near(value: float, other: float, relative: float) -> bool:
    """Return whether a value is another one, give or take a share of it (and rounding)."""
    return abs(value - other) <= relative * abs(other) + 1e-9


def how_far(value: float, expected: float) -> str:
    """Say in which direction and by about what factor a value is off.

    >>> how_far(1.1, 1.0), how_far(30.0, 90.0), how_far(0.0, 90.0)  # doctest: +ELLIPSIS
    ('that is close, but about 10 % too large...', 'that is too small by a factor of about 3', ...)
    """
    direction = "large" if value > expected else "small"
    if value * expected <= 0:
        nothing = "nothing at all is too little" if value == 0 else "not even the sign is right"
        return nothing if expected > 0 else f"that is too {direction}"
    factor = max(value / expected, expected / value)
    if factor < CLOSE:
        percent = max(abs(value / expected - 1) * 100, 0.1)
        return (
            f"that is close, but about {percent:.2g} % too {direction}, more than is let pass here"
        )
    order = "the order of magnitude is right, but " if factor < FAR else ""
    return f"{order}that is too {direction} by a factor of about {factor:.2g}"


@frozen
class PropertyChecker:
    """Checks what somebody built, by closed form or by playing it.

    Parameters
    ----------
    wanted
        What has to be given, in words.
    fits
        Whether an answer is such a thing.
    measure
        Looks at each condition, and says what was measured and, if it fails, why that may be.
    right
        What is said when all conditions are met.
    """

    wanted: str
    fits: Callable[[Any], bool]
    measure: Callable[[Any], Iterable[Finding]]
    right: str

    def judge(self, answer: object) -> Verdict:
        """Measure every condition; what cannot be played is said."""
        if not self.fits(answer):
            return unreadable(self.wanted, answer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CensoredWarning)  # the findings say how many hang
            try:
                return verdict(self.measure(answer), self.right)
            except AsyncsimError as error:
                said = Finding(False, f"It could not be played: {error}")
                return Verdict(Mark.UNREADABLE, (said,))
