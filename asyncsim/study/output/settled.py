"""What was found of a steady state, with all that speaks against it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.model.durations import Floats
from asyncsim.model.handing_out import with_own_tables
from asyncsim.model.quantities import text_of
from asyncsim.model.scenario import Scenario
from asyncsim.study.output.batch_means import BatchMeans
from asyncsim.study.output.warm_up import WarmUp, moving_average
from asyncsim.study.statistics import Interval
from asyncsim.study.summary_html import note_html, warnings_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDED = {"waits": "resumed"}
"""How what is observed ends well."""


@with_own_tables
@frozen
class SteadyState:
    """A figure in the steady state; made by `asyncsim.steady_state`.

    Attributes
    ----------
    scenario, strategy
        What was played, and the label of how its steps waited.
    replications, seed
        How often, and the key of the random numbers.
    figure, unit, meaning
        What was looked at.
    cycle
        Length of a cycle in seconds.
    series
        One row per replication and whole cycle: ``replication, cycle`` (from 1), ``start``
        (seconds), ``value`` (the mean of the cycle), ``weight`` (what it rests on, in `observed`),
        ``missing`` (waits or instances without a value, since they never ended), ``used``.
    observed
        What weights count: waits, instances or seconds.
    averaged
        The series averaged over replications, shape ``(cycles,)``.
    warm_up
        So many cycles at the beginning were cut off.
    mser
        How the cut was found.
    estimate
        Mean and interval of the rest.
    method
        ``"replication/deletion"`` or ``"batch means"``.
    batches
        The batch means, if it is those.
    doubts
        Why the figure is not to be relied on, in words.
    left_out
        What the estimate does not rest on, by kind: cycles of each replication, and observations
        over all replications.
    confidence
        Of the interval.
    """

    scenario: Scenario
    strategy: str
    replications: int
    seed: int
    figure: str
    unit: str
    meaning: str
    cycle: float
    series: pd.DataFrame
    observed: str
    averaged: Floats
    warm_up: int
    mser: WarmUp
    estimate: Interval
    method: str
    batches: BatchMeans | None
    doubts: tuple[str, ...]
    left_out: dict[str, int]
    confidence: float

    @property
    def strategies(self) -> list[str]:
        """The one label, in a list, for `asyncsim.report`."""
        return [self.strategy]

    @property
    def table(self) -> pd.DataFrame:
        """The series, for `asyncsim.report`."""
        return self.series

    @property
    def reliable(self) -> bool:
        """Whether nothing speaks against the estimate."""
        return not self.doubts

    def plot(self, window: int | None = None) -> Figure:
        """Draw the cycles with Welch's moving average, the warm-up and the estimate.

        Parameters
        ----------
        window
            The moving average is over 2·window + 1 cycles; by default a tenth of them.
        """
        figure, (ax,) = plots.figure(1, width=8.0)
        n = len(self.averaged)
        smooth = moving_average(self.averaged, n // 20 if window is None else window)
        found = (self.estimate.mean, self.estimate.low, self.estimate.high)
        plots.warm_up(
            self.averaged, smooth, self.warm_up,
            plots.heading(self.figure, self.unit, bool(self._unresumed)),
            f"cycle of {text_of(self.cycle)}", found, ax,
        )  # fmt: skip
        brief = "; ".join(doubt.partition(":")[0] for doubt in self.doubts)
        sure = "" if self.reliable else f"\nnot reliable: {brief}"
        never = f" ({self._unresumed})" if self._unresumed else ""
        ax.set_title(f"{self._head}{never}{sure}", loc="left", fontsize=11, wrap=True)
        return figure

    @property
    def text(self) -> str:
        """The answer in words."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        runs = f"{self.replications} replications" if self.replications > 1 else "one run"
        never = f"; {self._unresumed}" if self._unresumed else ""
        found = (
            f"{self._name} {self.estimate}{unit} "
            f"({self.confidence:.0%} interval, {self.method} over {runs}{never}), after "
            f"a warm-up of {self.warm_up} of {len(self.averaged)} cycles of {text_of(self.cycle)}"
        )
        return found if self.reliable else f"not reliable: {found}"

    @property
    def _unresumed(self) -> str:
        """The share of waits or instances that have no value, if there are any, in words."""
        missing = self.series["missing"].sum()
        if not missing:
            return ""
        share = plots.percent(missing / (missing + self.series["weight"].sum()))
        return f"{share} of {self.observed} never {ENDED.get(self.observed, 'ended')}"

    @property
    def _name(self) -> str:
        return plots.heading(self.figure, "1", bool(self._unresumed))

    @property
    def notes(self) -> list[str]:
        """What else there is to know: waits or instances that never ended."""
        never = self.left_out[f"{self.observed} that never ended"]
        told = f"{never} {self.observed} never ended under {self.strategy}; they are in no mean"
        return [told] if never else []

    @property
    def _left_out_text(self) -> str:
        return "left out: " + "; ".join(f"{what}: {n:,}" for what, n in self.left_out.items() if n)

    @property
    def _head(self) -> str:
        return f"{self.scenario.name}, {self.strategy}"

    def __repr__(self) -> str:
        head = f"{self._head}: {self.text}"
        doubts = [f"! {doubt}" for doubt in self.doubts]
        return "\n".join([head, *doubts, self._left_out_text, *self.notes])

    def _repr_html_(self) -> str:
        doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in self.doubts)
        told = f'<span title="{escape(self.meaning)}">{escape(self.text)}</span>'
        return (
            f"<div><b>{escape(self._head)}</b>: {told}{warnings_html(self.notes)}"
            f"{f'<ul>{doubts}</ul>' if doubts else ''}"
            f"{note_html(escape(self._left_out_text))}</div>"
        )
