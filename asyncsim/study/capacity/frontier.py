"""The strategies between which there is only a choice, not a better one: latency against overhead.

A strategy is dominated if another is better in both (Pareto 1896). What is left is the frontier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.engine.arguments import check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.model.described import refuse
from asyncsim.model.handing_out import with_own_tables
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.target import Measure, never_resumed
from asyncsim.study.capacity.trials import Effort, Options
from asyncsim.study.replications import Outcome, Replications, labelled, playing
from asyncsim.study.statistics import Interval, interval_of, paired_interval
from asyncsim.study.summary_html import table_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL: tuple[Strategy, ...] = (
    Callback("50ms"),
    CallbackWithSafetyPoll("50ms", every="15min"),
    LongPolling("1min"),
    *(Polling(every) for every in ("10s", "1min", "5min", "15min", "1h")),
    Backoff("1s", 2.0, "5min"),
)
"""What is compared if no strategies are named."""
YES, PERHAPS, NO = "yes", "perhaps", "no"


@with_own_tables
@frozen
class Frontier:
    """Strategies by two figures, and which of them nothing beats; made by `asyncsim.frontier`.

    Attributes
    ----------
    scenario
        What was played.
    figures
        The figure across, and the one upwards; both are better when small.
    table
        One row per strategy: both figures with ``_low`` and ``_high``, ``unresumed_share`` (of all
        its armed waits, the share that never resumed), ``on_frontier`` (*yes*: no
        other is seen to be better in both; *no*: some other surely is; *perhaps*: one seems so) and
        ``beaten_by``.
    replications, seed, confidence
        What the intervals rest on.
    """

    scenario: Scenario
    figures: tuple[str, str]
    units: tuple[str, str]
    table: pd.DataFrame
    replications: int
    seed: int
    confidence: float

    @property
    def question(self) -> str:
        """What was asked."""
        return f"what nothing beats in {' and '.join(self.figures)}"

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, the promptest first."""
        return list(self.table["strategy"])

    @property
    def _named(self) -> dict[str, str]:
        """Each strategy with the share of its waits that never resumed."""
        shares = zip(self.table["strategy"], self.table["unresumed_share"], strict=True)
        return {label: plots.with_unresumed(label, share) for label, share in shares}

    def plot(self) -> Figure:
        """Draw the strategies as crosses of intervals, the frontier as a line of steps."""
        figure, (ax,) = plots.figure(1, width=9.0, height=5.0)
        plots.frontier(self.table, self.figures, self.units, ax)
        ax.set_title(f"{self.scenario.name}: what cannot be had together", loc="left", fontsize=11)
        plots.shared_legend(figure, self.strategies, self._named)
        return figure

    def __repr__(self) -> str:
        kept = self.table[self.table["on_frontier"] != NO]
        names = ", ".join(
            self._named[name] + (" (perhaps)" if on == PERHAPS else "")
            for name, on in zip(kept["strategy"], kept["on_frontier"], strict=True)
        )
        return f"{self.scenario.name}: nothing beats {names} in {' and '.join(self.figures)}"

    def _repr_html_(self) -> str:
        shown = self.table[["strategy"]].copy()
        for name, unit in zip(self.figures, self.units, strict=True):
            texts = [
                str(Interval(mean, high - mean, self.replications))
                for mean, high in zip(self.table[name], self.table[f"{name}_high"], strict=True)
            ]
            shown[plots.heading(name, unit)] = texts
        if (self.table["unresumed_share"] > 0).any():
            shown.insert(1, "never resumed", self.table["unresumed_share"].map(plots.percent))
        shown[["on_frontier", "beaten_by"]] = self.table[["on_frontier", "beaten_by"]]
        return f"<div>{escape(repr(self))}{table_html(shown)}</div>"


def frontier(
    scenario: Scenario,
    strategies: Sequence[Strategy] | None = None,
    figures: tuple[str, str] = ("mean_latency", "overhead_worker_time"),
    **effort: Unpack[Options],
) -> Frontier:
    """Find the strategies that no other beats in two figures at once.

    Parameters
    ----------
    scenario
        What is played.
    strategies
        By default a callback with and without a safety poll, long polling, polling from 10 s to an
        hour, and backoff.
    figures
        Two figures that are better when small, such as latency and overhead, requests or cost. A
        wait that never resumes counts as infinitely late.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> found = sim.frontier(
    ...     scenario, [sim.Callback("50ms"), sim.Polling("15min")], replications=2, progress=False
    ... )
    >>> found.table["on_frontier"].tolist()
    ['yes', 'no']
    """
    chosen = Effort.of(effort)
    check_scenario(scenario)
    by_label = labelled(list(USUAL if strategies is None else strategies))
    if not isinstance(figures, (tuple, list)) or len(figures) != 2:
        raise ScenarioError(
            f"figures must be two names such as ('mean_latency', 'requests'), got {figures!r}"
        )
    if figures[0] == figures[1]:
        raise refuse("figures", "must be two different ones", figures)
    across, upwards = (Measure.of(name, scenario) for name in figures)
    found, unresumed = _measured(scenario, by_label, (across, upwards), chosen)
    rows = []
    for label, columns in found.items():
        row: dict[str, object] = {"strategy": label}
        for measure, values in zip((across, upwards), columns, strict=True):
            interval = interval_of(values, chosen.confidence)
            row |= {
                measure.figure: interval.mean,
                f"{measure.figure}_low": interval.low,
                f"{measure.figure}_high": interval.high,
            }
        row["unresumed_share"] = unresumed[label]
        rows.append(row | _standing(label, found, chosen.confidence))
    table = pd.DataFrame(rows).sort_values(across.figure, ignore_index=True)
    return Frontier(
        scenario,
        (across.figure, upwards.figure),
        (across.unit(scenario), upwards.unit(scenario)),
        table,
        chosen.replications,
        chosen.seed,
        chosen.confidence,
    )


Columns = tuple[list[float], list[float]]


def _measured(
    scenario: Scenario,
    by_label: Mapping[str, Strategy],
    measures: tuple[Measure, Measure],
    effort: Effort,
) -> tuple[dict[str, Columns], dict[str, float]]:
    """Return both measures of every strategy, by replication; and the share never resumed."""
    plan = Replications(scenario, tuple(by_label.values()), effort.seed, effort.engine)
    found: dict[str, Columns] = {label: ([], []) for label in by_label}
    runs = effort.replications * len(by_label)
    never, armed = (dict.fromkeys(by_label, 0.0) for _ in range(2))
    with playing(effort.n_jobs, effort.progress, "frontier", runs) as play:
        for outcomes in play.kept(plan, Outcome.of, range(effort.replications)):
            for (label, columns), outcome in zip(found.items(), outcomes, strict=True):
                never[label] += never_resumed(outcome)
                armed[label] += outcome.figures["armed"]
                for values, measure in zip(columns, measures, strict=True):
                    values.append(measure.of_run(outcome))
    return found, {label: never[label] / max(armed[label], 1.0) for label in by_label}


def _standing(label: str, found: Mapping[str, Columns], confidence: float) -> dict[str, str]:
    """Tell whether another strategy beats one in both figures, by its mean or surely."""
    beaten, surely = [], []
    for other, columns in found.items():
        if other == label:
            continue
        gaps = [
            _gap(mine, his, confidence) for mine, his in zip(found[label], columns, strict=True)
        ]
        means, highs = zip(*gaps, strict=True)
        if max(means) <= 0 and min(means) < 0:
            beaten.append(other)
            if max(highs) <= 0 and min(highs) < 0:
                surely.append(other)
    standing = NO if surely else PERHAPS if beaten else YES
    return {"on_frontier": standing, "beaten_by": ", ".join(surely or beaten)}


def _gap(mine: list[float], his: list[float], confidence: float) -> tuple[float, float]:
    """Return mean and upper end of the paired difference, his less mine.

    Infinite is what is so in more of the runs; it is sure where it is so in all of them.
    """
    mine_infinite, his_infinite = mine.count(math.inf), his.count(math.inf)
    if mine_infinite or his_infinite:
        more = his_infinite - mine_infinite
        difference = math.copysign(math.inf, more) if more else 0.0
        sure = {mine_infinite, his_infinite} <= {0, len(mine)}
        return difference, difference if sure else math.inf
    found = paired_interval(mine, his, confidence)
    return found.mean, found.high
