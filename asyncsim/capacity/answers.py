"""An answer: a value, how sure it is, and all that was tried on the way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from asyncsim import plots
from asyncsim.capacity.search import Axis, Trials
from asyncsim.experiment.output import table_html
from asyncsim.experiment.statistics import paired_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORTH_TELLING = 0.01
"""A figure that goes up and down by less than this share of itself goes one way."""


class Capacity:
    """The answer to a question about capacity.

    Attributes
    ----------
    question
        What was asked, in words.
    value
        The answer as it is put into a scenario (seconds, if it is a duration); None if there is
        none within the range.
    low, high
        Ends of its confidence interval: the values between them cannot be told from the answer by
        these replications. None where the range ends first. Where the figure does not go one way,
        it is no confidence interval: they span the answer and what was tried without a verdict.
    table
        One row per value and strategy that was tried: ``value``; ``verdict`` where there is one;
        ``mean, low, high, unresumed_share, n, figure, unit, strategy``.
    one_way
        False if the figure was seen to go up and down along the field, more than chance allows (if
        the least one is looked for: to have more than one valley): a search may then have missed a
        better answer, and the picture is worth a look.
    notes
        What else is to be said.
    scenario, strategies, replications, seed, confidence
        What was played, under which strategies (by label), and how often.
    """

    def __init__(
        self,
        question: str,
        trials: Trials,
        found: tuple[float | None, float | None, float | None],
        *,
        verdicts: Sequence[str] | None = None,
        bound: float | None = None,
        none: str = "",
        exactly: str = "",
        one_way: bool = True,
        doubt: str = "does not go one way along",
        notes: Sequence[str] = (),
    ) -> None:
        self.question = question
        self.scenario = trials.scenario
        self.strategies = list(trials.labels)
        self.field = trials.axis.field
        self.replications = trials.effort.replications
        self.seed = trials.effort.seed
        self.confidence = trials.effort.confidence
        self.one_way = one_way
        self.notes = list(notes)
        self._axis: Axis = trials.axis
        self._found = found
        self._bound = bound
        self._none = none
        self._exactly = exactly
        self._figure = trials.measure.figure
        self._unit = trials.measure.unit(trials.scenario)
        shown = trials.table().assign(figure=self._figure, unit=self._unit)
        if verdicts is not None:
            shown["verdict"] = list(verdicts)
        self._tried = shown
        if not one_way:
            self.notes.append(
                f"{self._figure} {doubt} {self.field}: a search may have missed a better value; "
                "look at .plot()"
            )

    @property
    def value(self) -> Any:
        """The answer, or None."""
        return self._written(self._found[0])

    @property
    def low(self) -> Any:
        """Lower end of the interval, or None."""
        return self._written(self._found[1])

    @property
    def high(self) -> Any:
        """Upper end of the interval, or None."""
        return self._written(self._found[2])

    @property
    def table(self) -> pd.DataFrame:
        """What was tried, in the order of the values."""
        verdict = ["verdict"] if "verdict" in self._tried else []
        rest = ["unresumed_share", "n", "figure", "unit", "strategy"]
        return self._tried[["value", *verdict, "mean", "low", "high", *rest]]

    @property
    def text(self) -> str:
        """The answer in words."""
        value, low, high = self._found
        if value is None:
            span = f"{self._axis.shown(self._axis.least)} to {self._axis.shown(self._axis.most)}"
            return f"none from {span}{self._none}{self._lost_text(self._tried)}"
        words = self._exactly or self._ends_text(low, high, value)
        lost = self._lost_text(self._tried[self._tried["x"] == value])
        return f"{self._axis.shown(value)} ({words}{lost})"

    def _lost_text(self, rows: pd.DataFrame) -> str:
        """Return the share of waits that never resumed, under each strategy that lost any."""
        found = rows.groupby("strategy", sort=False)["unresumed_share"].agg(["min", "max"])
        shares = [
            "up to " * (low < high)
            + f"{plots.percent(high)} of waits"
            + f" under {label}" * (len(self.strategies) > 1)
            for label, low, high in found.itertuples()
            if high > 0
        ]
        return f"; never resumed: {', '.join(shares)}" if shares else ""

    def _ends_text(self, low: float | None, high: float | None, value: float) -> str:
        ends = [None if x is None else self._axis.shown_like(x, value) for x in (low, high)]
        if ends == [None, None]:
            return f"no {self.confidence:.0%} interval: its ends are not in the range looked at"
        if low is None:
            span = f"up to {ends[1]}, its lower end is not in the range looked at"
        elif high is None:
            span = f"from {ends[0]}, its upper end is not in the range looked at"
        else:
            span = f"{ends[0]} to {ends[1]}"
        if not self.one_way:
            return f"no sure interval; undecided: {span}"
        return f"{self.confidence:.0%} interval {span}"

    def plot(self) -> Figure:
        """Draw what was tried, with intervals, the bound, and the answer with its interval."""
        figure, (ax,) = plots.figure(1, width=7.0)
        strategies = list(dict.fromkeys(self._tried["strategy"]))
        finite = self._tried[self._tried["mean"].abs() < math.inf]
        limit = self._bound is not None  # a search from far away: the picture is of where it ends
        shown = plots.near(finite, self._found) if limit else finite
        lines = {label: shown[shown["strategy"] == label] for label in strategies}
        ylabel = plots.heading(self._figure, self._unit)
        most = self._tried.groupby("strategy")["unresumed_share"].max()
        texts = {s: plots.with_unresumed(s, most[s], most=True) for s in strategies}
        xlabel = self.field + (f" [{self._axis.unit.strip()}]" if self._axis.unit else "")
        plots.figure_over_field(lines, xlabel, ylabel, ax)
        plots.mark_answer(ax, self._found, self._bound)
        plots.spread_out(ax, shown, self._axis.scale)
        off, endless = len(finite) - len(shown), len(self._tried) - len(finite)
        missing = [f"{off} further off"] * bool(off) + [f"{endless} infinite"] * bool(endless)
        more = f"\n(tried but not shown: {', '.join(missing)})" if missing else ""
        ax.set_title(f"{self.question}\n{self.text}{more}", loc="left", fontsize=11, wrap=True)
        plots.shared_legend(figure, strategies, texts)
        return figure

    def _written(self, x: float | None) -> Any:
        return None if x is None else self._axis.written(x)

    def __repr__(self) -> str:
        return "\n".join([f"{self.question}: {self.text}", *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        table = table_html(self.table)
        return (
            f"<div>{escape(self.question)}: <b>{escape(self.text)}</b>{notes}"
            f"<details><summary>what was tried</summary>{table}</details></div>"
        )


def is_monotone(trials: Trials, rising: bool, strategy: int = 0) -> bool:
    """Tell whether a measure goes one way along the values tried, as far as chance lets one see.

    It does not if a step between neighbours is surely in the wrong direction, by more than
    `WORTH_TELLING` of the figure; the confidence is that of all steps together (Bonferroni).
    """
    columns = [trials.at(x)[strategy] for x in trials.values]
    infinite = [set(column) == {math.inf} for column in columns if not math.isnan(sum(column))]
    if infinite != sorted(infinite, reverse=not rising):
        return False
    steps = [
        (one, other)
        for one, other in itertools.pairwise(columns)
        if math.inf not in one and math.inf not in other
    ]
    confidence = 1 - (1 - trials.effort.confidence) / max(len(steps), 1)
    for one, other in steps:
        step = paired_interval(one, other, confidence)
        wrong = -step.high if rising else step.low
        if wrong > WORTH_TELLING * max(float(np.mean(one)), float(np.mean(other)), 0.0):
            return False
    return True
