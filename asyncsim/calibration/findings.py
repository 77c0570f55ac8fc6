"""The rows of an account (findings and gaps), and what every part of a fit needs to know."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.experiment.statistics import share_interval

LEVEL = 0.01  # of tests: a higher one reports more that is not there, a lower one needs long logs
SHOWN = 5  # dates, paths or places of a kind that are named; all are counted


@frozen(eq=False)
class Settings:
    """How a log is fitted."""

    rng: np.random.Generator  # for permutation tests and bootstraps
    confidence: float = 0.95  # of every interval
    resolution: float = 0.0  # of the log's clock in seconds; 0 if it is fine
    until: float = math.inf  # the log's last instant in seconds: what is open then is cut off


@frozen
class Finding:
    """One thing that was found: the columns of `Fit.account`."""

    part: str  # of the scenario, such as ``"arrivals"``
    what: str
    found: str  # its value in words
    rows: int  # of the log (or nights, hours …)
    interval: str = ""  # its uncertainty in words; empty if it has none
    how: str = ""  # by which method


@frozen
class Gap:
    """One thing that the scenario does not explain, or that a log cannot tell."""

    part: str
    what: str
    amount: str
    meaning: str


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
