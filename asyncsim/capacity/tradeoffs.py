"""Choices between strategies: where one stops being better, and which of many nothing beats.

A strategy is dominated if another is better in two metrics at once (Pareto 1896). The others are
the frontier: between them there is a choice, not a better one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import pandas as pd
import scipy
from attrs import frozen

from asyncsim import plots
from asyncsim.capacity import sentences
from asyncsim.capacity.questions import NOT_FOUND, Capacity, PlannerAnswer
from asyncsim.capacity.search import LOSS, Effort, Evaluations, Found, Options, bisect
from asyncsim.capacity.target import Measure
from asyncsim.engine.metrics import metric_in_words, metric_scale, metric_text
from asyncsim.engine.simulation import check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.experiment.replications import Replications, RunSummary, WaitCounts, labelled, runner
from asyncsim.experiment.statistics import Uneven, interval_of, paired_interval
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
    Strategy,
)
from asyncsim.model.units import percent
from asyncsim.model.validation import scenario_error, with_own_tables
from asyncsim.model.words import field_in_words

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

GRID = 7  # values of the whole range that are tried for changes of the better strategy
USUAL: tuple[Strategy, ...] = (
    Callback("50ms"),
    CallbackWithSafetyPoll("50ms", every="15min"),
    LongPolling("1min"),
    *(Polling(every) for every in ("10s", "1min", "5min", "15min", "1h")),
    Backoff("1s", 2.0, "5min"),
)  # the default strategies of a frontier
YES, PERHAPS, NO = "yes", "perhaps", "no"


def break_even(
    scenario: Scenario,
    first: Strategy,
    other: Strategy,
    field: str,
    between: tuple[Any, Any],
    *,
    metric: str = "mean_latency",
    **effort: Unpack[Options],
) -> Capacity:
    """Find the value of a field at which two strategies are equally good.

    Paired differences are compared: both strategies meet the same random numbers, so most of the
    noise cancels.

    Parameters
    ----------
    scenario, first, other
        What is played, and the strategies.
    field
        A field of the scenario (``"arrivals.rate"``), or of the strategies that have it
        (``"strategy.loss"``, ``"strategy.interval"``).
    between
        The range of the search.
    metric
        What is to be small: any metric, or a quantile such as ``"p99_latency"``. A wait that never
        resumes counts as infinitely late: any loss for good makes a mean infinite, and the
        break-even is at no loss.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is None if one strategy is better over the whole range; the notes name it. From
        ``low`` to ``high`` the interval of the difference includes zero.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:nightly_ledger").replace(
    ...     systems={"ledger": sim.OnlineService(sim.exponential("2h"), lanes=None)},
    ...     arrivals=sim.UniformArrivals(500),
    ... )
    >>> callback = sim.Callback(loss=0.5, retries=["10min"] * 30)
    >>> answer = sim.break_even(
    ...     scenario, callback, sim.Polling("10min"), "strategy.interval", ("1min", "1h"),
    ...     replications=5, progress=False
    ... )
    >>> 15 * 60 < answer.value < 25 * 60  # callback: 10 min late on average; polling: T/2
    True
    """
    tried = Evaluations.of(scenario, (first, other), field, between, effort, metric=metric)
    with tried.playing("break-even"):
        grid = tried.space.grid(GRID)
        leads = [_lead(tried, x) for x in grid]
        changes = [k for k, two in enumerate(pairwise(leads)) if two[0].seems != two[1].seems]
        found = NOT_FOUND
        if changes:
            found = _crossing(tried, grid[changes[0]], grid[changes[0] + 1])
        decided = [lead.certain for lead in leads if lead.certain]
        turns = sum(one != next_one for one, next_one in pairwise(decided))
        losers = [k for k in range(2) if tried.loses_callbacks(k)]
        if losers:
            found, text = _break_even_of_loss(tried, losers)
        elif found[0] is not None:
            labels = tried.labels if leads[0].seems < 0 else tried.labels[::-1]
            text = sentences.break_even(tried, found, (labels[0], labels[1]), turns <= 1)
        else:
            better = tried.labels[leads[0].seems > 0] if decided else None
            text = sentences.no_break_even(tried, better, decided.count(leads[0].seems), grid)
    load_notes = [] if found[0] is None else tried.load_notes(found[0])
    name = field_in_words(field)
    return Capacity(
        f"{name} at which {' and '.join(tried.labels)} have the same {metric_in_words(metric)}",
        tried,
        found,
        text,
        one_way=bool(losers) or turns <= 1,
        notes=[*_infinite_notes(tried, found[0]), *tried.unresumed_notes(), *load_notes],
    )


class _Lead(NamedTuple):
    """The better strategy at a value: -1 the first (or neither), 1 the other."""

    seems: int
    certain: int  # 0 if the difference is not significant


def _lead(tried: Evaluations, x: float) -> _Lead:
    """Return the better strategy: by paired differences, or the sign test if any is infinite."""
    first, other = tried.at(x)
    confidence = tried.effort.confidence
    if math.inf not in first + other:
        gain = paired_interval(other, first, confidence)
        return _Lead(1 if gain.mean > 0 else -1, int(gain.low > 0) - int(gain.high < 0))
    wins = sum(a < b for a, b in zip(first, other, strict=True))
    losses = sum(a > b for a, b in zip(first, other, strict=True))
    seems = 1 if losses > wins else -1
    chance = scipy.stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return _Lead(seems, seems if chance < 1 - confidence else 0)


def _crossing(tried: Evaluations, below: float, above: float) -> Found:
    """Return where the lead changes between two values, and where it is certain on either side."""
    space, before = tried.space, _lead(tried, below).seems

    def ahead(side: int, x: float) -> bool:
        return _lead(tried, x).certain == side

    first, other = partial(ahead, before), partial(ahead, -before)
    value, beyond = bisect(lambda x: _lead(tried, x).seems == before, space, below, above)
    lower = [x for x in tried.values if x <= value and first(x)]
    upper = [x for x in tried.values if x > value and other(x)]
    low = bisect(first, space, lower[-1], beyond)[0] if lower else None
    high = bisect(other, space, upper[0], value)[0] if upper else None
    return value, low, high


def _break_even_of_loss(tried: Evaluations, losers: list[int]) -> tuple[Found, str]:
    """Return the answer and its sentence where strategies lose callbacks for good."""
    space, labels = tried.space, tried.labels
    names = " and ".join(f"'{labels[k]}'" for k in losers)
    why = f"under {names} {tried.measure.any_loss_note}"
    lost = sentences.losses(tried, tried.values)
    from_zero = space.field == LOSS and space.low == 0
    if from_zero and len(losers) == 1 and losers[0] == (_lead(tried, 0.0).seems > 0):
        zero = sentences.measured_at(tried, 0.0, strategy=losers[0])
        return (0.0, 0.0, 0.0), f"A loss of 0 % is the break-even: there {zero}; {why}{lost}."
    if len(losers) == 2:
        return NOT_FOUND, f"Neither is better: {why}{lost}."
    k = 1 - losers[0]
    level = sentences.measured_at(tried, space.low, strategy=k)
    text = f"'{labels[k]}' is ahead wherever callbacks are lost: {sentences.at(space, space.low)} "
    return NOT_FOUND, f"{text}{level}; {why}{lost}."


def _infinite_notes(tried: Evaluations, value: float | None) -> list[str]:
    """Return whether chance decides the break-even, since the metric is infinite in some runs."""
    if value is None or tried.measure.spare:
        return []
    nearest = [value, *[x for x in tried.values if x > value][:1]]
    if not any(math.inf in column for x in nearest for column in tried.at(x)):
        return []
    return [
        f"the {metric_in_words(tried.measure.metric)} is infinite there in some replications: half "
        "of these hold a wait that never resumes, and in longer ones the break-even may lie lower"
    ]


@with_own_tables
@frozen(repr=False)
class Frontier(PlannerAnswer):
    """Strategies by two metrics, and which of them nothing beats; made by `asyncsim.frontier`.

    Attributes
    ----------
    scenario
        What was played.
    metrics, units
        The metric across and the one upwards, both better when small, and their units.
    table
        One row per strategy: both metrics with ``_low`` and ``_high``; ``unresumed_share`` of its
        armed waits; ``on_frontier`` (*yes*: no other has better means in both; *no*: another is
        better in both by its whole interval; *perhaps*: by its means) and ``beaten_by``.
    replications, seed, confidence
        What the intervals rest on.
    """

    scenario: Scenario
    metrics: tuple[str, str]
    units: tuple[str, str]
    table: pd.DataFrame
    replications: int
    seed: int
    confidence: float
    _beaten: Mapping[str, Sequence[str]]  # by which others, by label

    @property
    def question(self) -> str:
        """The question in words."""
        return (
            f"strategies that no other beats in {' and '.join(map(metric_in_words, self.metrics))}"
        )

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, in the order of the first metric."""
        return list(self.table["strategy"])

    def plot(self, size: str = "page") -> Picture:
        """Draw the strategies as crosses of intervals, the frontier as a line of steps.

        `size` is ``"page"`` or ``"slide"``.
        """
        across, upwards = map(metric_scale, self.metrics, self.units)
        title = f"{self.scenario.name}: what cannot be had together"
        return plots.frontier(size, title, self.table, self.metrics, (across, upwards))

    def findings(self) -> list[str]:
        """Return what nothing beats, and each other strategy with what beats it."""
        found, best = [], []
        for row in self.table.to_dict("records"):
            name = f"'{row['strategy']}' ({self._in_words(row)})"
            better = " or ".join(f"'{one}'" for one in self._beaten[row["strategy"]])
            if row["on_frontier"] == YES:
                best.append(name)
            elif row["on_frontier"] == NO:
                found.append(f"{name} is beaten in both by {better}.")
            else:
                found.append(f"{name} is beaten by the means of {better}, not beyond chance.")
        head = [f"No other strategy beats {' or '.join(best)} in both."] * bool(best)
        over = sentences.overloads(self.scenario, Callback())
        return [*over, *head, *found]

    def _in_words(self, row: Mapping[Any, Any]) -> str:
        """Return both metrics of a strategy, and the share of its waits that never resumed."""
        pairs = zip(self.metrics, self.units, strict=True)
        parts = [f"{metric_in_words(one)} {self._interval(row, one, unit)}" for one, unit in pairs]
        never = row["unresumed_share"]
        return ", ".join([*parts, *[f"{percent(never)} never resumed"] * (never > 0)])

    def _interval(self, row: Mapping[Any, Any], name: str, unit: str) -> str:
        ends = row[name], row[f"{name}_low"], row[f"{name}_high"]
        found = Uneven.between(*ends, self.replications)
        return found.in_words(partial(metric_text, name, unit=unit))

    def _shown_table(self) -> pd.DataFrame:
        table = self.table
        shown, rows = table[["strategy"]].copy(), table.to_dict("records")
        if (table["unresumed_share"] > 0).any():
            shown["never resumed"] = table["unresumed_share"].map(percent)
        for name, unit in zip(self.metrics, self.units, strict=True):
            shown[metric_in_words(name)] = [self._interval(row, name, unit) for row in rows]
        return shown.assign(**{"on the frontier": table["on_frontier"],
                               "beaten by": table["beaten_by"]})  # fmt: skip


def frontier(
    scenario: Scenario,
    strategies: Sequence[Strategy] | None = None,
    metrics: tuple[str, str] = ("mean_latency", "overhead_worker_time"),
    **effort: Unpack[Options],
) -> Frontier:
    """Find the strategies that no other beats in two metrics at once.

    Parameters
    ----------
    scenario
        What is played.
    strategies
        By default a callback with and without a safety poll, long polling, polling from 10 s to an
        hour, and backoff.
    metrics
        Two metrics that are better when small, such as latency and overhead, requests or cost. A
        wait that never resumes counts as infinitely late.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> two = [sim.Callback("50ms"), sim.Polling("15min")]
    >>> answer = sim.frontier(scenario, two, replications=2, progress=False)
    >>> answer.table["on_frontier"].tolist()
    ['yes', 'no']
    """
    chosen = Effort.of(effort)
    check_scenario(scenario)
    by_label = labelled(list(USUAL if strategies is None else strategies))
    if not isinstance(metrics, (tuple, list)) or len(metrics) != 2:
        raise ScenarioError(
            f"metrics must be two names such as ('mean_latency', 'requests'), got {metrics!r}"
        )
    if metrics[0] == metrics[1]:
        raise scenario_error("metrics", "must be two different ones", metrics)
    across, upwards = (Measure.of(name, scenario) for name in metrics)
    plan = Replications(scenario, tuple(by_label.values()), chosen.seed, chosen.engine)
    measured: dict[str, Columns] = {label: ([], []) for label in by_label}
    counts = {label: WaitCounts() for label in by_label}
    runs = chosen.replications * len(by_label)
    with runner(chosen.n_jobs, chosen.progress, "frontier", runs) as play:
        for summaries in play.collect(plan, RunSummary.of, range(chosen.replications)):
            for label, summary in zip(by_label, summaries, strict=True):
                counts[label].add(summary)
                measured[label][0].append(across.of_run(summary))
                measured[label][1].append(upwards.of_run(summary))
    rows, beaten = [], {}
    for label, columns in measured.items():
        standing, beaten[label] = _standing(label, measured, chosen.confidence)
        row: dict[str, object] = {"strategy": label}
        for measure, values in zip((across, upwards), columns, strict=True):
            mean, name = interval_of(values, chosen.confidence), measure.metric
            row |= {name: mean.mean, f"{name}_low": mean.low, f"{name}_high": mean.high}
        row["unresumed_share"] = counts[label].unresumed_share
        rows.append(row | {"on_frontier": standing, "beaten_by": ", ".join(beaten[label])})
    names, units = (across.metric, upwards.metric), (across.unit(scenario), upwards.unit(scenario))
    table = pd.DataFrame(rows).sort_values(across.metric, ignore_index=True)
    rests_on = chosen.replications, chosen.seed, chosen.confidence
    return Frontier(scenario, names, units, table, *rests_on, beaten)


Columns = tuple[list[float], list[float]]  # two measures by replication


def _standing(
    label: str, measured: Mapping[str, Columns], confidence: float
) -> tuple[str, list[str]]:
    """Return whether a strategy is on the frontier, and which others beat it in both measures."""
    by_mean, certain = [], []
    for other, columns in measured.items():
        if other == label:
            continue
        pairs = zip(measured[label], columns, strict=True)
        means, highs = zip(*(_gap(own, one, confidence) for own, one in pairs), strict=True)
        if max(means) <= 0 and min(means) < 0:
            by_mean.append(other)
            if max(highs) <= 0 and min(highs) < 0:
                certain.append(other)
    return NO if certain else PERHAPS if by_mean else YES, certain or by_mean


def _gap(own: list[float], others: list[float], confidence: float) -> tuple[float, float]:
    """Return mean and upper end of the paired difference of another strategy from one."""
    infinite = own.count(math.inf), others.count(math.inf)
    if not any(infinite):
        gap = paired_interval(own, others, confidence)
        return gap.mean, gap.high
    more = infinite[1] - infinite[0]  # worse is the strategy with more infinite runs
    difference = math.copysign(math.inf, more) if more else 0.0
    certain = {*infinite} <= {0, len(own)}  # all runs of each or none
    return difference, difference if certain else math.inf
