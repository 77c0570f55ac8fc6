"""What a checker finds, and how a participant gets to see it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from html import escape

from attrs import frozen


class Mark(Enum):
    """How an answer stands."""

    RIGHT = "right"
    NOT_YET = "not yet"
    UNREADABLE = "cannot be read"
    OPEN = "not answered yet"


COLOURS = {
    Mark.RIGHT: "#009E73",
    Mark.NOT_YET: "#E69F00",
    Mark.UNREADABLE: "#E69F00",
    Mark.OPEN: "rgba(127,127,127,.6)",
}


@frozen
class Finding:
    """One thing that was looked at, and a sentence that says why.

    `good` is whether it is as it should be, or None if there was nothing to look at.
    """

    good: bool | None
    says: str

    def __str__(self) -> str:
        mark = "…" if self.good is None else "✓" if self.good else "✗"
        return f"{mark} {self.says}"


@frozen
class Verdict:
    """What a checker found out about one answer."""

    mark: Mark
    findings: tuple[Finding, ...]


def verdict(findings: Iterable[Finding], right: str = "") -> Verdict:
    """Return RIGHT if every finding is good, followed by what is to be taken along.

    >>> verdict([Finding(True, "asks twice"), Finding(False, "is late by an hour")]).mark.value
    'not yet'
    """
    found = tuple(findings)
    if not all(each.good for each in found):
        return Verdict(Mark.NOT_YET, found)
    return Verdict(Mark.RIGHT, (*found, Finding(True, right)) if right else found)


def unreadable(wanted: str, answer: object) -> Verdict:
    """Return that an answer has not the form that was asked for."""
    shown = repr(answer)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return Verdict(Mark.UNREADABLE, (Finding(False, f"The answer must be {wanted}; got {shown}."),))


@frozen
class Feedback:
    """What a participant is told; shows itself in a notebook and as text.

    Attributes
    ----------
    name
        Name of the exercise.
    verdict
        What the checker found.
    hints
        The hints given so far, the newest last.
    more
        How many hints are left.
    solution
        Where the solution stands, under ``notebooks/``.
    """

    name: str
    verdict: Verdict
    hints: tuple[str, ...] = ()
    more: int = 0
    solution: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.verdict.mark is Mark.RIGHT

    @property
    def _afterwards(self) -> str:
        """What comes after the hints: how many are left, or where the solution is."""
        if self.passed or not self.hints:
            return ""
        if self.more:
            return f"{self.more} more hint{'s' if self.more > 1 else ''}: try again."
        return f"That was the last hint. A solution stands in {self.solution}."

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.verdict.mark.value}"]
        lines += [f"  {finding}" for finding in self.verdict.findings]
        lines += [f"  Hint {k}: {hint}" for k, hint in enumerate(self.hints, 1)]
        return "\n".join([*lines, f"  {self._afterwards}"] if self._afterwards else lines)

    def _repr_html_(self) -> str:
        colour = COLOURS[self.verdict.mark]
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
    """Return a text as HTML, what stands in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
