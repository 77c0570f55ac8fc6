"""How many replications a figure needs to be known so well, strategy by strategy."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd
from attrs import define

from asyncsim import plots
from asyncsim.engine.arguments import check_scenario
from asyncsim.engine.figures import check_figure, figures_of
from asyncsim.engine.simulate import check_engine
from asyncsim.errors import PrecisionWarning, warn
from asyncsim.model.described import argument, refuse
from asyncsim.model.draws import key_part
from asyncsim.model.quantities import DurationLike, count
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.output.precision import FEWEST, Precision, target
from asyncsim.study.replications import (
    Outcome,
    Replications,
    censored,
    labelled,
    playing,
    warn_censored,
)
from asyncsim.study.statistics import check_confidence
from asyncsim.study.summary_html import warnings_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@define
class _Waits:
    """How many waits all runs of a strategy had, and what became of them."""

    armed: float = 0.0
    resumed: int = 0
    still_open: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count those of a run."""
        self.armed += outcome.figures["armed"]
        self.resumed += len(outcome.latencies)
        self.still_open += outcome.censored

    @property
    def unresumed(self) -> float:
        """The share that never resumed."""
        return 1 - self.resumed / self.armed if self.armed else 0.0


class NeededReplications:
    """How many replications each strategy needs; made by `asyncsim.replications_for`.

    Attributes
    ----------
    scenario, seed
        What was played, and the key of the random numbers.
    figure, unit
        What was measured.
    confidence
        Of the intervals.
    """

    def __init__(
        self,
        scenario: Scenario,
        figure: str,
        rules: dict[str, Precision],
        waits: dict[str, _Waits],
        seed: int,
        confidence: float,
    ) -> None:
        self.scenario = scenario
        self.figure = figure
        self.unit = figures_of(scenario)[figure].unit
        self.seed = seed
        self.confidence = confidence
        self._rules = rules
        self._waits = waits
        self._wanted = next(iter(rules.values())).wanted

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies."""
        return list(self._rules)

    @property
    def replications(self) -> int:
        """How many were played, of the strategy that was played most."""
        return max(len(rule.steps) for rule in self._rules.values())

    @property
    def notes(self) -> list[str]:
        """What else there is to know: waits that were still open when runs stopped."""
        return censored({label: waits.still_open for label, waits in self._waits.items()})

    @property
    def _lossy(self) -> bool:
        return any(waits.unresumed > 0 for waits in self._waits.values())

    @property
    def numbers(self) -> dict[str, int | None]:
        """The number of replications by strategy; None where it was not reached."""
        return {label: rule.number if rule.enough else None for label, rule in self._rules.items()}

    @property
    def number(self) -> int | None:
        """Enough for every strategy; None if one of them was not reached."""
        found = list(self.numbers.values())
        known = [n for n in found if n is not None]
        return max(known) if len(known) == len(found) else None

    @property
    def table(self) -> pd.DataFrame:
        """One row per strategy and replication, the confirming ones included.

        ``strategy, n, value, mean, low, high, share``: of the first n replications the mean, the
        ends of its interval and its half-width as a share of it.
        """
        rows = [
            (label, s.n, s.value, s.mean, s.mean - s.half_width, s.mean + s.half_width, s.share)
            for label, rule in self._rules.items()
            for s in rule.steps
        ]
        columns = ["strategy", "n", "value", "mean", "low", "high", "share"]
        return pd.DataFrame(rows, columns=columns)

    def plot(self) -> Figure:
        """Draw mean and interval over the number of replications, and where it was reached."""
        figure, axes = plots.figure(len(self._rules))
        ylabel = plots.heading(self.figure, self.unit, self._lossy)
        for ax, (label, table) in zip(
            axes, self.table.groupby("strategy", sort=False), strict=True
        ):
            n = self.numbers[str(label)]
            plots.cumulative_mean(table, ylabel, n, ax, legend=False)
            told = "not reached" if n is None else f"{n} replications"
            name = plots.with_unresumed(str(label), self._waits[str(label)].unresumed)
            ax.set_title(f"{name}: {told}", loc="left", fontsize=11)
        title = f"{self.scenario.name}, {self._wanted.text(self.unit)}"
        figure.suptitle(title, x=0.01, ha="left")
        handles: dict[str, Any] = {}
        for ax in axes:  # the mark is only in those where it was reached
            handles |= {text: h for h, text in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(
            handles.values(), handles, loc="outside lower center", frameon=False,
            ncols=3 if len(axes) > 1 else 1,  # one is too narrow for three columns
        )  # fmt: skip
        return figure

    def _summary(self) -> pd.DataFrame:
        rows = {}
        for label, rule in self._rules.items():
            n = self.numbers[label]
            at = rule.steps[(n or len(rule.steps)) - 1]
            rows[label] = {
                "replications": "not reached" if n is None else str(n),
                "played": str(len(rule.steps)),
                "mean": f"{at.mean:.4g}",
                "half-width": f"{at.half_width:.2g}",
                "share": f"{at.share:.1%}",
            }
        table = pd.DataFrame.from_dict(rows, orient="index")
        if self._lossy:  # they are in no mean, so their share stands beside it
            unresumed = [self._waits[label].unresumed for label in self._rules]
            table.insert(0, "never resumed", [plots.percent(share) for share in unresumed])
        return table

    @property
    def _note(self) -> str:
        return (
            f"{plots.heading(self.figure, self.unit, self._lossy)}: replications for a "
            f"{self._wanted.text(self.unit)}, {self.confidence:.0%} interval"
        )

    @property
    def _constant(self) -> str:
        same = [one for one, rule in self._rules.items() if rule.steps[-1].half_width == 0]
        told = "all values were equal, so nothing is known of what is rarer than that"
        return f"{' and '.join(same)}: {told}" if same else ""

    def __repr__(self) -> str:
        head = f"{self.scenario.name}, {self._note}\n{self._summary().to_string()}"
        return "\n".join([head, *filter(None, [self._constant]), *self.notes])

    def _repr_html_(self) -> str:
        table = self._summary().to_html(border=0)
        notes = "<br>".join(escape(note) for note in (self._note, self._constant) if note)
        head = f"<b>{escape(self.scenario.name)}</b>{warnings_html(self.notes)}"
        return f"<div>{head}{table}{notes}</div>"


def replications_for(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    precision: float | None = None,
    within: DurationLike | None = None,
    figure: str = "mean_latency",
    most_replications: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    engine: str = "auto",
    n_jobs: int = 1,
    progress: bool = True,
) -> NeededReplications:
    """Find how many replications it takes to know a figure well enough under each strategy.

    The rule is that of Hoad, Robinson and Davies (2010), see `asyncsim.study.output.precision`. A
    strategy is no longer played once it has enough, so its number does not depend on the others.

    Parameters
    ----------
    scenario, strategies
        What is played, and how its steps wait.
    precision
        Half-width of the interval as a share of the mean; 0.05 if `within` is not given either.
    within
        In place of it: the half-width itself, in the unit of the figure (``"5s"``).
    figure
        A name of `asyncsim.engine.figures.FIGURES`.
    most_replications
        Give up after so many.
    seed, confidence, engine, n_jobs, progress
        As in `asyncsim.compare`.

    Raises
    ------
    ScenarioError
        If an argument is wrong, or a share is wanted of a mean that is zero.

    Warns
    -----
    PrecisionWarning
        If the target was not reached.
    CensoredWarning
        If waits were still open when runs stopped.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="outside",
    ...     process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    ...     arrivals=sim.Scattered(50),
    ... )
    >>> needed = sim.replications_for(
    ...     scenario, [sim.Polling("5min")], precision=0.2, figure="p95_latency", progress=False
    ... )
    >>> needed.numbers
    {'polling 5 min': 5}
    """
    check_scenario(scenario)
    check_engine(engine)
    check_confidence(confidence)
    unit = figures_of(scenario)[check_figure(figure, scenario)].unit
    goal = target(0.05 if precision is None and within is None else precision, within, unit)
    most = argument("most_replications", most_replications, count)
    if most < FEWEST:
        raise refuse("most_replications", f"must be {FEWEST} or more", most)
    by_label, seed = labelled(strategies), key_part("seed", seed)
    rules = {
        label: Precision(goal, confidence, name=f"{figure} under {label}") for label in by_label
    }
    todo, waits = dict(by_label), {label: _Waits() for label in by_label}
    so_far = 0
    with playing(n_jobs, progress, "replications") as play:
        while todo and so_far < most:
            plan = Replications(scenario, tuple(todo.values()), seed, engine)
            # No strategy can have enough before these are played, so none is played in vain
            stop = min(so_far + min(rules[label].still for label in todo), most)
            for outcomes in play.kept(plan, Outcome.of, range(so_far, stop)):
                for label, outcome in zip(todo, outcomes, strict=True):
                    rules[label].add(outcome.figures[figure])
                    waits[label].add(outcome)
            so_far = stop
            todo = {label: one for label, one in todo.items() if not rules[label].enough}
    found = NeededReplications(scenario, figure, rules, waits, seed, confidence)
    warn_censored(found.notes)
    if todo:
        told = "; ".join(rules[label].shortfall(label) for label in todo)
        warn(
            f"the {goal.text(unit)} of {figure} was not reached in {most} replications ({told})",
            PrecisionWarning,
        )
    return found
