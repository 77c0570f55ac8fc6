"""The two lists a fit keeps: what was found, and what is not explained."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from attrs import frozen

from asyncsim.calibration.distribution_fit import LawFit
from asyncsim.experiment.statistics import share_interval
from asyncsim.model.systems import ExternalSystem


@frozen
class Finding:
    """One thing that was found.

    Attributes
    ----------
    part
        Which part of the scenario, such as ``"arrivals"``.
    what, found
        What it is, and its value in words.
    rows
        From how many rows of the log (or nights, hours …).
    interval
        Its uncertainty in words; empty if it has none.
    how
        By which method.
    """

    part: str
    what: str
    found: str
    rows: int
    interval: str = ""
    how: str = ""


@frozen
class Gap:
    """One thing that the scenario does not explain, or that a log cannot tell."""

    part: str
    what: str
    amount: str
    meaning: str


@frozen(eq=False)
class FittedSystem:
    """An external system as it was found: what is played, the law of its item time, the account.

    Attributes
    ----------
    system, law
        What a scenario plays, and the fit of its item time.
    findings, gaps
        For the account.
    never
        Waits that did not end and are in no law, beside those that `gaps` tells of.
    """

    system: ExternalSystem
    law: LawFit
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    never: int


class Rows(pd.DataFrame):
    """A table of sentences, which a notebook shows whole."""

    @property
    def _constructor(self) -> type[Rows]:
        return Rows

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            html: str = self.to_html(index=False, border=0, justify="left")
        return html


def table_of(rows: Sequence[Finding] | Sequence[Gap], kind: type[Finding] | type[Gap]) -> Rows:
    """Return a list as a table, one column per attribute."""
    names = list(kind.__annotations__)
    return Rows([[getattr(row, n) for n in names] for row in rows], columns=names)


def share_text(k: int, n: int, confidence: float) -> str:
    """Return the interval of a share in words."""
    low, high = share_interval([k], [n], confidence)
    return f"{low:.2g} to {high:.2g}"


def p_text(p: float) -> str:
    """Return a p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
