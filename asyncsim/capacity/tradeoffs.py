"""The strategies between which there is only a choice, not a better one: latency against overhead.

A strategy is dominated if another is better in both (Pareto 1896). What is left is the frontier.

Where one strategy stops being better than another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd
import scipy
from attrs import frozen

from asyncsim import plots
from asyncsim.capacity.answers import Capacity
from asyncsim.capacity.search import LOSS, Axis, Effort, Options, Trials, halved, trials
from asyncsim.capacity.target import Measure
from asyncsim.engine.run_arguments import check_played, check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.experiment.output import table_html
from asyncsim.experiment.replications import (
    Replications,
    RunSummary,
    WaitCounts,
    labelled,
    runner,
)
from asyncsim.experiment.statistics import Interval, interval_of, paired_interval
from asyncsim.model.cached_tables import with_own_tables
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.validation import scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKED_AT = 7
"""So many values over the range are tried to see who is ahead where."""


def break_even(
    scenario: Scenario,
    first: Strategy,
    other: Strategy,
    field: str,
    between: tuple[Any, Any],
    *,
    figure: str = "mean_latency",
    **effort: Unpack[Options],
) -> Capacity:
    """Find the value of a field at which two strategies are equally good.

    The figure's paired difference is followed along the field: both strategies meet the same random
    numbers at every value, so little of the noise is left in it.

    Parameters
    ----------
    scenario, first, other
        What is played, and the strategies.
    field
        What changes, of the scenario (``"arrivals.rate"``) or of the strategies that have it
        (``"strategy.loss"``, ``"strategy.interval"``).
    between
        The smallest and the largest value to think of.
    figure
        What is to be small: any figure, or a quantile such as ``"p99_latency"``. A wait that never
        resumes counts as infinitely late; where that happens, the replications that each strategy
        wins are counted. If callbacks are lost for good, any loss at all makes a mean infinite: the
        break-even is then at no loss, however few runs show it.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is None if one of them is ahead over the whole range, which ``text`` then says.
        From ``low`` to ``high`` neither is surely ahead.

    Examples
    --------
    Half of the callbacks arrive in the second attempt, ten minutes later: five minutes late on
    average, as polling every ten minutes is.

    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="outside",
    ...     process=sim.Process("order", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService(sim.exponential("2h"), lanes=None)},
    ...     arrivals=sim.UniformArrivals(500),
    ... )
    >>> answer = sim.break_even(
    ...     scenario, sim.Callback(loss=0.5, retries=["10min"] * 30), sim.Polling("10min"),
    ...     "strategy.interval", ("1min", "1h"), replications=5, progress=False
    ... )
    >>> 15 * 60 < answer.value < 25 * 60  # callback: 10 min late on average; polling: T/2
    True
    """
    chosen = Effort.of(effort)
    check_played(scenario, first, None)
    check_played(scenario, other, None)
    measure = Measure.of(figure, scenario)
    axis = Axis.between(field, between)
    with trials(scenario, [first, other], axis, measure, chosen, "break-even") as tried:
        looked = axis.spread(LOOKED_AT)
        ahead = [lead(tried, x).sign for x in looked]
        changes = [k for k in range(1, len(looked)) if ahead[k] != ahead[k - 1]]
        found: Found = (None, None, None)
        if changes:
            found = _crossing(tried, looked, changes[0])
    sure = [lead(tried, x).surely for x in looked]
    labels = tried.labels
    exactly = ""
    losers = [k for k in range(2) if tried.loses_any(k)]
    if losers:
        found, exactly, notes = _without(tried, losers)
    elif changes:
        k = changes[0]
        notes = [
            f"{labels[0 if ahead[k - 1] < 0 else 1]} has the smaller {figure} below, "
            f"{labels[0 if ahead[k] < 0 else 1]} above"
        ]
        if found[0] is not None and not measure.spare:
            notes += _by_luck(tried, found[0], figure)
    else:
        notes = [_winner(sure, ahead, labels, figure)]
    return Capacity(
        f"break-even in {figure} of {labels[0]} and {labels[1]}",
        tried,
        found,
        exactly=exactly,
        one_way=bool(losers) or len(_turns(sure)) <= 1,
        notes=[*notes, *tried.notes(), *_overload(tried, found[0])],
    )


Found = tuple[float | None, float | None, float | None]


def _without(tried: Trials, losers: list[int]) -> tuple[Found, str, list[str]]:
    """Return the answer where a strategy loses callbacks for good and its figure shows it."""
    axis = tried.axis
    names = " and ".join(tried.labels[k] for k in losers)
    why = f"under {names} {tried.measure.any_loss}"
    if axis.field == LOSS and axis.least == 0 and len(losers) == 1:
        ahead = tried.labels[0 if lead(tried, 0.0).sign < 0 else 1]
        if ahead == names:
            return (0.0, 0.0, 0.0), "any loss at all", [why]
    if len(losers) == 2:
        return (None, None, None), "", [f"neither is better: {why}"]
    other = tried.labels[1 - losers[0]]
    return (None, None, None), "", [f"{other} is ahead wherever callbacks are lost: {why}"]


def _by_luck(tried: Trials, value: float, figure: str) -> list[str]:
    """Return what is to be said of a boundary that lies where most runs become infinite."""
    nearest = [value, *[x for x in tried.values if x > value][:1]]
    if not any(math.inf in column for x in nearest for column in tried.at(x)):
        return []
    return [
        f"{figure} is infinite there in some runs: half of these runs hold a wait that never "
        "resumes, and in longer ones the break-even may lie lower"
    ]


def _overload(tried: Trials, value: float | None) -> list[str]:
    return [] if value is None else tried.told_of_overload(value)


@frozen
class Lead:
    """Who is ahead at a value: -1 the first strategy, 1 the other; level counts as the first.

    Attributes
    ----------
    sign
        Who seems to be.
    surely
        Who surely is; 0 if nobody.
    """

    sign: int
    surely: int


def lead(tried: Trials, x: float) -> Lead:
    """Tell who is ahead: by the mean paired difference, first less other.

    Where a replication is infinite there is no mean. It goes by the number of replications that
    each one wins then, and is sure if a fair coin would hardly give so many (sign test).
    """
    first, other = tried.at(x)
    confidence = tried.effort.confidence
    if math.inf not in first and math.inf not in other:
        found = paired_interval(other, first, confidence)
        surely = 1 if found.low > 0 else -1 if found.high < 0 else 0
        return Lead(1 if found.mean > 0 else -1, surely)
    wins = sum(a < b for a, b in zip(first, other, strict=True))
    losses = sum(a > b for a, b in zip(first, other, strict=True))
    sign = 1 if losses > wins else -1
    sure = wins + losses and scipy.stats.binomtest(wins, wins + losses).pvalue < 1 - confidence
    return Lead(sign, sign if sure else 0)


def _turns(sure: list[int]) -> list[int]:
    """Return who is surely ahead, one after the other."""
    decided = [sign for sign in sure if sign]
    return [k for k in range(1, len(decided)) if decided[k] != decided[k - 1]]


def _crossing(
    tried: Trials, looked: list[float], k: int
) -> tuple[float, float | None, float | None]:
    """Return where the lead changes between two values, and where it is sure on either side."""
    axis, before = tried.axis, lead(tried, looked[k - 1]).sign
    value, beyond = halved(lambda x: lead(tried, x).sign == before, axis, looked[k - 1], looked[k])
    below = [x for x in tried.values if x <= value and lead(tried, x).surely == before]
    above = [x for x in tried.values if x > value and lead(tried, x).surely == -before]
    low = high = None
    if below:
        low, _ = halved(lambda x: lead(tried, x).surely == before, axis, max(below), beyond)
    if above:
        high, _ = halved(lambda x: lead(tried, x).surely == -before, axis, min(above), value)
    return value, low, high


def _winner(sure: list[int], ahead: list[int], labels: tuple[str, ...], figure: str) -> str:
    if ahead[0] == 1:
        who, other = labels[1], labels[0]
    else:
        who, other = labels[0], labels[1]
    if all(sign == 0 for sign in sure):
        return f"neither has surely the smaller {figure} anywhere in this range"
    return f"{who} has the smaller {figure} over the whole range, {other} never"


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
        raise scenario_error("figures", "must be two different ones", figures)
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
    waits = {label: WaitCounts() for label in by_label}
    with runner(effort.n_jobs, effort.progress, "frontier", runs) as play:
        for summaries in play.collect(plan, RunSummary.of, range(effort.replications)):
            for (label, columns), summary in zip(found.items(), summaries, strict=True):
                waits[label].add(summary)
                for values, measure in zip(columns, measures, strict=True):
                    values.append(measure.of_run(summary))
    return found, {label: one.unresumed_share for label, one in waits.items()}


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
