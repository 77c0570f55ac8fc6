"""One of several statements, or names in an order: each wrong one has an answer of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from asyncsim.exercises.feedback import Finding, Verdict, unreadable, verdict


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
