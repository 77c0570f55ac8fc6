"""Holds a fitted scenario against the log it was fitted to: the same figures of both."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import scipy
from attrs import frozen

from asyncsim import plots
from asyncsim.engine.arguments import check_played
from asyncsim.engine.run import Run
from asyncsim.model.draws import key_part
from asyncsim.model.durations import Floats
from asyncsim.model.handing_out import with_own_tables
from asyncsim.model.quantities import DAY
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.calibration.figures import PER_DAY, Shown, figures_of, steps_of
from asyncsim.study.replications import Replications, playing
from asyncsim.study.statistics import check_confidence, check_replications, student_t
from asyncsim.study.summary_html import table_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 5.0
"""Fewer counts in a run, on average, are not nearly normal."""


@with_own_tables
@frozen(eq=False)
class Check:
    """Figures of a log beside those of the scenario fitted to it; made by `Fit.check`.

    Attributes
    ----------
    scenario, strategies
        What was played: the scenario, and the label of its only strategy.
    table
        ``figure, unit, log, simulated`` (mean), ``low, high`` (where the next replication would
        lie) and ``within``.
    replications, seed, confidence
        What the intervals rest on.
    """

    question: ClassVar[str] = "does the fitted scenario explain its log?"
    scenario: Scenario
    strategies: tuple[str]
    table: pd.DataFrame
    replications: int
    seed: int
    confidence: float

    @property
    def outside(self) -> pd.DataFrame:
        """The rows whose figure of the log is outside its interval."""
        return self.table[~self.table["within"]]

    def plot(self) -> Figure:
        """Draw where each figure of the log lies in its interval."""
        figure, (ax,) = plots.figure(1, width=9.0, height=1.2 + 0.2 * len(self.table))
        plots.figures_checked(self.table, ax)
        return figure

    def __repr__(self) -> str:
        n, within = len(self.table), int(self.table["within"].sum())
        return (
            f"{self.scenario.name} under {self.strategies[0]}: {within} of {n} figures of the log "
            f"lie within the {self.confidence:.0%} intervals of {self.replications} runs; of a "
            f"perfect scenario about {n * (1 - self.confidence):.0f} would not"
        )

    def _repr_html_(self) -> str:
        table = table_html(self.table)
        return f"<div>{escape(repr(self))}{table}</div>"


def checked(
    scenario: Scenario,
    steps: pd.DataFrame,
    strategy: Strategy,
    *,
    replications: int,
    seed: int,
    confidence: float,
    progress: bool,
) -> Check:
    """Play a scenario and compare it with its log; see `Fit.check`."""
    check_played(scenario, strategy, None)
    check_replications(replications)
    check_confidence(confidence)
    shown = Shown.by(steps, scenario)
    log = figures_of(shown.of(steps, scenario.length), scenario)
    plan = Replications(scenario, (strategy,), key_part("seed", seed), "auto")

    def keep(run: Run) -> dict[tuple[str, str], float]:
        return figures_of(shown.of(steps_of(run), scenario.length), scenario)

    with playing(1, progress, "check", replications) as play:
        found = [figures for (figures,) in play.kept(plan, keep, range(replications))]
    rows = []
    for name, unit in dict.fromkeys(key for figures in (log, *found) for key in figures):
        own = log.get((name, unit), math.nan)
        values = np.array([figures.get((name, unit), math.nan) for figures in found])
        if unit == PER_DAY and not own and not values.any():
            continue  # an hour at which nothing ever happens
        mean, low, high = _next(values, unit, scenario.length / DAY, confidence)
        rows.append((name, unit, own, mean, low, high))
    columns = ["figure", "unit", "log", "simulated", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    room = 1e-9 * table["simulated"].abs()  # what is always the same has no width
    table["within"] = table["log"].between(table["low"] - room, table["high"] + room)
    return Check(scenario, (strategy.label,), table, replications, seed, confidence)


def _next(values: Floats, unit: str, days: float, confidence: float) -> tuple[float, float, float]:
    """Return the mean of a figure over replications, and where the next one would lie.

    Normal, by Student's t; few counts by their predictive law, if they are Poisson counts of an
    unknown mean with Jeffreys' prior: a negative binomial one.
    """
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if unit == PER_DAY and mean * days < FEW:
        total = float(values.sum()) * days
        law = scipy.stats.nbinom(total + 0.5, n / (n + 1))
        low, high = law.ppf([(1 - confidence) / 2, (1 + confidence) / 2]) / days
        return mean, float(low), float(high)
    if n < 2:
        return mean, math.nan, math.nan
    half = student_t(confidence, n - 1) * float(values.std(ddof=1)) * math.sqrt(1 + 1 / n)
    return mean, mean - half, mean + half
