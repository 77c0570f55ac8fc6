"""What a question returns: a sentence, its notes, the table of what was played, and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from asyncsim import plots
from asyncsim.capacity.search import Evaluations
from asyncsim.experiment.output import table_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = tuple[float | None, float | None, float | None]
"""An answer and the ends of its interval; None where there is none."""
NOT_FOUND: Found = (None, None, None)


class PlannerAnswer:
    """Base of answers: shows a sentence, notes and a table in a notebook."""

    notes: Sequence[str] = ()
    _folded_under = ""
    """The heading of a folded table; without one the table is open."""

    def _sentence(self) -> str:
        """Return the question and its answer in words."""
        raise NotImplementedError

    def _sentence_html(self) -> str:
        return escape(self._sentence())

    def _shown_table(self) -> pd.DataFrame:
        """Return the table of the HTML."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join([self._sentence(), *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        table = table_html(self._shown_table())
        if self._folded_under:
            table = f"<details><summary>{self._folded_under}</summary>{table}</details>"
        return f"<div>{self._sentence_html()}{notes}{table}</div>"


class Capacity(PlannerAnswer):
    """The value of a field that answers a question, with its interval.

    Attributes
    ----------
    question
        The question in words.
    value
        The answer as a scenario takes it (seconds, if it is a duration); None if there is none in
        the range.
    low, high
        Ends of its confidence interval, None beyond the range. These replications do not
        distinguish the values between them from the answer. Where the measure is not monotone
        they have no confidence level: they span the answer and the values without a verdict.
    table
        One row per value and strategy: ``value``; ``verdict`` if there is a target; ``mean, low,
        high, unresumed_share, n, figure, unit, strategy``.
    one_way
        False if the measure was seen to go up and down along the field by more than chance (to have
        more than one valley, if the least is searched): the search may have missed a better value.
    notes
        Sentences on losses, overload and the range.
    scenario, strategies, replications, seed, confidence
        What was played, under which strategies (by label), and how often.
    """

    _folded_under = "what was tried"

    def __init__(
        self,
        question: str,
        tried: Evaluations,
        found: Found,
        *,
        verdicts: Sequence[str] | None = None,
        bound: float | None = None,
        why_none: str = "",
        instead_of_interval: str = "",
        one_way: bool = True,
        shape: str = "does not go one way along",
        notes: Sequence[str] = (),
    ) -> None:
        self.question = question
        self.scenario = tried.scenario
        self.strategies = list(tried.labels)
        self.field = tried.space.field
        self.replications, self.seed = tried.effort.replications, tried.effort.seed
        self.confidence = tried.effort.confidence
        self.one_way = one_way
        self.notes = list(notes)
        self._space = tried.space
        self._found = found
        self.value, self.low, self.high = (
            None if x is None else tried.space.written(x) for x in found
        )
        self._bound = bound
        self._why_none = why_none
        self._instead_of_interval = instead_of_interval
        self._metric = tried.measure.metric
        self._unit = tried.measure.unit(tried.scenario)
        self._tried = tried.table().assign(figure=self._metric, unit=self._unit)
        if verdicts is not None:
            self._tried["verdict"] = list(verdicts)
        if not one_way:
            self.notes.append(
                f"{self._metric} {shape} {self.field}: a search may have missed a better value; "
                "look at .plot()"
            )

    @property
    def table(self) -> pd.DataFrame:
        """What was played, in the order of the values."""
        verdict = ["verdict"] if "verdict" in self._tried else []
        rest = ["unresumed_share", "n", "figure", "unit", "strategy"]
        return self._tried[["value", *verdict, "mean", "low", "high", *rest]]

    def _shown_table(self) -> pd.DataFrame:
        return self.table

    def _sentence(self) -> str:
        return f"{self.question}: {self.text}"

    def _sentence_html(self) -> str:
        return f"{escape(self.question)}: <b>{escape(self.text)}</b>"

    @property
    def text(self) -> str:
        """The answer in words."""
        value, space = self._found[0], self._space
        if value is None:
            span = f"{space.text(space.low)} to {space.text(space.high)}"
            return f"none from {span}{self._why_none}{self._losses(self._tried)}"
        certainty = self._instead_of_interval or self._interval_text(value)
        losses = self._losses(self._tried[self._tried["x"] == value])
        return f"{space.text(value)} ({certainty}{losses})"

    def _losses(self, rows: pd.DataFrame) -> str:
        """Return the share of waits that never resumed, under each strategy that lost any."""
        shares = rows.groupby("strategy", sort=False)["unresumed_share"].agg(["min", "max"])
        texts = [
            "up to " * (low < high)
            + f"{plots.percent(high)} of waits"
            + f" under {label}" * (len(self.strategies) > 1)
            for label, low, high in shares.itertuples()
            if high > 0
        ]
        return f"; never resumed: {', '.join(texts)}" if texts else ""

    def _interval_text(self, value: float) -> str:
        low, high = (
            None if x is None else self._space.text(x, like=value) for x in self._found[1:]
        )
        if low is None and high is None:
            return f"no {self.confidence:.0%} interval: its ends are not in the range looked at"
        if low is None:
            span = f"up to {high}, its lower end is not in the range looked at"
        elif high is None:
            span = f"from {low}, its upper end is not in the range looked at"
        else:
            span = f"{low} to {high}"
        if not self.one_way:
            return f"no confidence interval; undecided: {span}"
        return f"{self.confidence:.0%} interval {span}"

    def plot(self) -> Figure:
        """Draw what was played near the answer, the bound, and the answer with its interval."""
        figure, (ax,) = plots.figure(1, width=7.0)
        strategies = list(dict.fromkeys(self._tried["strategy"]))
        finite = self._tried[self._tried["mean"].abs() < math.inf]
        limited = self._bound is not None  # the search may have begun far from the answer
        shown = plots.near(finite, self._found) if limited else finite
        lines = {label: shown[shown["strategy"] == label] for label in strategies}
        xlabel = self.field + (f" [{self._space.unit.strip()}]" if self._space.unit else "")
        plots.metric_over_field(lines, xlabel, plots.heading(self._metric, self._unit), ax)
        plots.mark_answer(ax, self._found, self._bound)
        plots.spread_out(ax, shown, self._space.scale)
        off, endless = len(finite) - len(shown), len(self._tried) - len(finite)
        missing = [f"{off} further off"] * bool(off) + [f"{endless} infinite"] * bool(endless)
        more = f"\n(tried but not shown: {', '.join(missing)})" if missing else ""
        ax.set_title(f"{self.question}\n{self.text}{more}", loc="left", fontsize=11, wrap=True)
        most = self._tried.groupby("strategy")["unresumed_share"].max()
        legend = {s: plots.with_unresumed(s, most[s], most=True) for s in strategies}
        plots.shared_legend(figure, strategies, legend)
        return figure
