"""Findings of a checker, and the feedback that shows them as text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from html import escape

from attrs import frozen


class Mark(Enum):
    """Result for an answer."""

    RIGHT = "right"
    NOT_YET = "not yet"
    UNREADABLE = "cannot be read"
    OPEN = "not answered yet"


COLOURS = {Mark.RIGHT: "#009E73", Mark.OPEN: "rgba(127,127,127,.6)"}  # all others are orange


@frozen
class Remark:
    """A condition, whether it is met (None if nothing was to check), and a sentence about it."""

    good: bool | None
    text: str

    def __str__(self) -> str:
        mark = "…" if self.good is None else "✓" if self.good else "✗"
        return f"{mark} {self.text}"


def condition(good: bool, fact: str, reason: str) -> Remark:
    """Return whether a condition is met: the fact, and the reason if it is not."""
    return Remark(good, f"{fact}{'.' if good else reason}")


@frozen
class Judgement:
    """What a checker found in one answer."""

    mark: Mark
    findings: tuple[Remark, ...]


def verdict(findings: Iterable[Remark], right: str = "") -> Judgement:
    """Return RIGHT, with a concluding sentence, if every finding is good."""
    found = tuple(findings)
    if not all(each.good for each in found):
        return Judgement(Mark.NOT_YET, found)
    return Judgement(Mark.RIGHT, (*found, Remark(True, right)) if right else found)


def unreadable(wanted: str, answer: object, why: str = "") -> Judgement:
    """Return the verdict for an answer that does not have the required form, and why not."""
    shown = repr(answer)
    shown = f"a {type(answer).__name__}" if "\n" in shown or " at 0x" in shown else shown
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    problem = Remark(False, f"The answer must be {wanted}; got {shown}. {why}".rstrip())
    return Judgement(Mark.UNREADABLE, (problem,))


@frozen
class Feedback:
    """Feedback for an answer, with a representation for notebooks and one as text.

    Attributes
    ----------
    name, verdict
        Name of the exercise, and what the checker found.
    hints, more
        The hints given until now, the newest last, and how many are left.
    solution
        Path of the solution, under ``notebooks/``.
    """

    name: str
    verdict: Judgement
    hints: tuple[str, ...] = ()
    more: int = 0
    solution: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.verdict.mark is Mark.RIGHT

    @property
    def _afterwards(self) -> str:
        """Number of hints left, or the place of the solution."""
        if self.passed or not self.hints:
            return ""
        if self.more:
            return f"{self.more} more hint{'s' if self.more > 1 else ''}: try again."
        return f"That was the last hint. The solution is in {self.solution}."

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.verdict.mark.value}"]
        lines += [f"  {finding}" for finding in self.verdict.findings]
        lines += [f"  Hint {k}: {hint}" for k, hint in enumerate(self.hints, 1)]
        return "\n".join([*lines, f"  {self._afterwards}"] if self._afterwards else lines)

    def _repr_html_(self) -> str:
        colour = COLOURS.get(self.verdict.mark, "#E69F00")
        findings = "".join(f"<div>{_html(str(each))}</div>" for each in self.verdict.findings)
        hints = "".join(
            f"<div><i>Hint {k}.</i> {_html(hint)}</div>" for k, hint in enumerate(self.hints, 1)
        )
        return (
            f'<div style="border-left:5px solid {colour};padding:4px 14px;max-width:52rem;'
            f'line-height:1.5"><b>{escape(self.name)}</b>: {self.verdict.mark.value}{findings}'
            f'<div style="opacity:.8;margin-top:4px">{hints}</div>'
            f'<div style="opacity:.65;font-size:90%">{escape(self._afterwards)}</div></div>'
        )


def _html(text: str) -> str:
    """Return a text as HTML, with code where it has backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
