"""The steady state of a scenario that goes on day after day.

A run is cut into cycles, such as days, with one mean per cycle. MSER-5 cuts off the warm-up; the
rest gives the estimate, with every reason not to trust it.

MSER-5: K. P. White (1997), An effective truncation heuristic for bias reduction in simulation
output, Simulation 69, 323-334; K. P. White, M. J. Cobb, S. C. Spratt (2000), A comparison of five
steady-state truncation heuristics for simulation, Proceedings of the Winter Simulation Conference,
755-760. Moving average: P. D. Welch (1983), in Computer Performance Modeling Handbook, 268-328.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim import plots
from asyncsim.engine.loads import Asked
from asyncsim.engine.metrics import MetricInfo, averaged, is_number, metric_in_words, metric_scale
from asyncsim.engine.result import Outcome, Record, time_since
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_played, seconds
from asyncsim.errors import ScenarioError, SteadyStateWarning, warn
from asyncsim.experiment.replications import Replications, runner, unresumed_share, warn_censored
from asyncsim.experiment.simulate import check_engine
from asyncsim.experiment.stability import near_full_load
from asyncsim.experiment.statistics import (
    ROUNDING,
    BatchMeans,
    Interval,
    batch_means,
    check_confidence,
    mean_interval,
)
from asyncsim.model.arrivals import ArrivalTimes, UniformArrivals
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.html import findings_html, result_html
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import DAY, DurationLike, InvalidValue, count, from_zero, percent, text_of
from asyncsim.model.validation import argument, choice, scenario_error, with_own_tables

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

WIDEST_BIN = 60.0
BATCH = 5  # observations per batch: the five of MSER-5
FEWEST_BATCHES = 10  # with fewer the minimum of MSER-5 is doubted
KEPT = 5  # batches that are never cut off: the statistic of very few is small by chance
PARTS = 10  # parts of a series in the test for a trend
TREND_LEVEL = 0.01  # of that test
# Level of the test whether what a cut leaves out differs: over replications, and of one run
CUT_LEVEL, CUT_LEVEL_OF_ONE = 0.01, 1e-4


@with_own_tables
@frozen
class SteadyState:
    """A metric in the steady state; made by `asyncsim.steady_state`.

    `series` has one row per replication and whole cycle: ``replication, cycle`` (from 1), ``start``
    (seconds), ``value`` (the mean of the cycle), ``weight`` (what it rests on, in `observed`),
    ``missing`` (waits or instances without a value, since they never ended), ``used``.
    """

    scenario: Scenario
    strategy: str  # its label
    replications: int
    seed: int
    metric: str
    unit: str
    meaning: str
    cycle: float  # its length in seconds
    series: pd.DataFrame
    observed: str  # what weights count: waits, instances or seconds
    averaged: Floats  # the series averaged over replications, shape ``(cycles,)``
    warm_up: int  # number of cycles cut off at the beginning
    mser: WarmUp
    estimate: Interval  # mean and interval of the rest
    method: str  # "replication/deletion" or "batch means"
    batches: BatchMeans | None
    doubts: tuple[str, ...]  # reasons not to trust the estimate, in words
    left_out: dict[str, int]  # not in the estimate: cycles per replication, observations in all
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
        """Whether there are no doubts."""
        return not self.doubts

    def plot(self, window: int | None = None, size: str = "page") -> Picture:
        """Draw the cycles, Welch's moving average of 2·window + 1, the warm-up and the estimate.

        `size` is ``"page"`` or ``"slide"``.
        """
        n = len(self.averaged)
        smooth = moving_average(self.averaged, n // 20 if window is None else window)
        found = (self.estimate.mean, self.estimate.low, self.estimate.high)
        cycles = plots.Scale(f"cycles of {text_of(self.cycle)}", "whole number")
        scales = cycles, metric_scale(self.metric, self.unit, bool(self._unresumed))
        brief = "; ".join(doubt.partition(":")[0] for doubt in self.doubts)
        doubted = "" if self.reliable else f"\nnot reliable: {brief}"
        never = f" ({self._unresumed})" if self._unresumed else ""
        title = f"{self._head}{never}{doubted}"
        return plots.warm_up(size, title, self.averaged, smooth, self.warm_up, scales, found)

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        runs = f"{self.replications} replications" if self.replications > 1 else "one run"
        never = f"; {self._unresumed}" if self._unresumed else ""
        unit = "1" if is_number(self.metric) else self.unit
        of = f" of {averaged(self.metric)}" if self._unresumed and self.unit == "s" else ""
        words = self.estimate.measured(self.metric, unit).replace(" is ", f"{of} is ", 1)
        found = (
            f"In the long run {words}{never}; {percent(self.confidence)} interval by {self.method} "
            f"over {runs}, after a warm-up of {self.warm_up} of {len(self.averaged)} cycles of "
            f"{text_of(self.cycle)}."
        )
        return found if self.reliable else f"Not reliable: {found[0].lower()}{found[1:]}"

    @property
    def _unresumed(self) -> str:
        """The share of waits or instances without a value, in words; empty if there are none."""
        missing = self.series["missing"].sum()
        if not missing:
            return ""
        share = percent(unresumed_share(missing, missing + self.series["weight"].sum()))
        ended = "resumed" if self.observed == "waits" else "ended"
        return f"{share} of {self.observed} never {ended}"

    @property
    def notes(self) -> list[str]:
        """Warnings: waits or instances that never ended."""
        never = self.left_out[f"{self.observed} that never ended"]
        note = f"{never} {self.observed} never ended under {self.strategy}; they are in no mean"
        return [note] if never else []

    @property
    def _head(self) -> str:
        return f"{self.scenario.name}, {self.strategy}"

    def findings(self) -> list[str]:
        """Return the estimate, or why it is not reliable, in one sentence."""
        return [self.text]

    @property
    def _left_out_note(self) -> str:
        without = "; ".join(f"{what}: {n:,}" for what, n in self.left_out.items() if n)
        return f"{self._head}: {self.meaning}; left out: {without}"

    def __repr__(self) -> str:
        doubts = [f"! {doubt}" for doubt in self.doubts]
        return "\n".join([self.text, *doubts, self._left_out_note, *self.notes])

    def _repr_html_(self) -> str:
        doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in self.doubts)
        body = findings_html(self.findings()) + (f"<ul>{doubts}</ul>" if doubts else "")
        return result_html(self._head, body, escape(self._left_out_note), self.notes)


def steady_state(
    scenario: Scenario,
    strategy: Strategy,
    metric: str = "latency",
    *,
    length: DurationLike | None = "60 days",
    cycle: DurationLike = "1 day",
    replications: int = 1,
    seed: int = 0,
    confidence: float = 0.95,
    engine: str = "auto",
    n_jobs: int = 1,
    progress: bool = True,
) -> SteadyState:
    """Estimate a metric in the steady state, without the warm-up of a run that begins empty.

    With a nightly batch or office hours everything goes up and down with the day, so single waits
    have no steady state; means of whole cycles have. One observation is the mean of one cycle, of
    the waits armed or the instances arrived in it, or over its time, weighted by their number or
    its seconds. The last cycle is left out: no further arrivals compete with those at its end.

    MSER-5 (`asyncsim.studies.steady_state.mser5`) finds the warm-up in the cycles averaged over
    replications. Its cut is made if what it leaves out differs from the rest by more than chance;
    in a single run, whose chance peaks look like a warm-up, by far more. Student's t applies to the
    means of what is left of several replications (replication/deletion; Law, Simulation Modeling
    and Analysis, chapter 9); the interval of a single one is that of
    `asyncsim.experiment.statistics.batch_means`.

    Doubts err on the safe side: of systems that are steady one in eight or so is doubted without
    cause at 60 to 120 cycles, fewer with more. For M/M/1 at utilisation 0.8 (60 days, jobs of 5
    min) 96 % of the intervals of single runs at 95 % cover the truth. Several replications are more
    robust, and give narrower intervals.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its steps wait.
    metric
        The metric: ``latency``, ``checks_per_wait``, ``cycle_time``, ``open_waits``,
        ``queue_length`` or ``busy_workers``.
    length
        How long instances arrive; None keeps the scenario's length.
    cycle
        What repeats: a day, or a week if week-ends differ.
    replications
        Of that length, each with its own random numbers.
    seed, confidence, engine, n_jobs, progress
        As in `asyncsim.compare`.

    Raises
    ------
    ScenarioError
        If an argument is invalid, or a number of arrivals is fixed and the length is changed.

    Warns
    -----
    SteadyStateWarning
        If there are doubts: too few cycles, a warm-up up to the second half, correlated batch
        means, a trend (at the level of 1 %), or overloaded workers or systems, which have no steady
        state, or nearly overloaded ones, which take longer to settle.
    CensoredWarning
        If waits or instances never ended: they are in no mean.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="outside",
    ...     process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService("2h", lanes=None)},
    ...     arrivals=sim.Poisson("20/h"),
    ... )
    >>> found = sim.steady_state(scenario, sim.Callback(), "open_waits", progress=False)
    >>> 40 in found.estimate  # 20 an hour for 2 hours
    True
    """
    check_played(scenario, strategy, None)
    check_engine(engine)
    check_confidence(confidence)
    choice("metric", metric, SERIES)
    replications = argument("replications", replications, count)
    scenario = _of_length(scenario, length)
    span = seconds("cycle", cycle)
    edges = cycle_edges(span, scenario.length, scenario.calendar)[:-1]
    if len(edges) < 3:
        raise ScenarioError(
            f"length must be at least three cycles, got {text_of(scenario.length)} and cycles of "
            f"{text_of(span)}"
        )
    seed, bins = key_part("seed", seed), resolution(span)
    plan = Replications(scenario, (strategy,), seed, engine, resolution=bins)
    keep = partial(_kept, metric=metric, edges=edges)
    with runner(n_jobs, progress, "steady state", replications) as play:
        kept = [run for (run,) in play.collect(plan, keep, range(replications))]
    found = _estimated(plan, metric, (edges, span), kept, confidence)
    warn_censored(found.notes)
    if found.doubts:
        words = metric_in_words(metric)
        warn(f"{words} under {found.strategy}: {'; '.join(found.doubts)}", SteadyStateWarning)
    return found


def _of_length(scenario: Scenario, length: DurationLike | None) -> Scenario:
    """Return the scenario with another length, if its arrivals have a rate."""
    if length is None:
        return scenario
    wanted = seconds("length", length)
    if isinstance(scenario.arrivals, (UniformArrivals, ArrivalTimes)) and wanted != scenario.length:
        kind = type(scenario.arrivals).__name__
        hint = f"; {kind} arrivals are a fixed number over the scenario's length, take Poisson"
        problem = InvalidValue("must be None (the scenario's own length)", hint)
        raise scenario_error("length", problem, length)
    return scenario.replace(length=wanted)


def _kept(run: Run, metric: str, edges: Floats) -> tuple[Cycles, Floats, Asked]:
    """Return the cycles of a run, the unended instances of each, and the offered load."""
    record = run.record
    asked = Asked.of(record, run.scenario)
    return SERIES[metric].of(record, edges), unended(record, edges).values, asked


def _estimated(
    plan: Replications,
    metric: str,
    cut_at: tuple[Floats, float],
    runs: list[tuple[Cycles, Floats, Asked]],
    confidence: float,
) -> SteadyState:
    (edges, span), (strategy,) = cut_at, plan.strategies
    cycles, unended_of, asked = zip(*runs, strict=True)
    values, weights, missing = (np.array([run[k] for run in cycles]) for k in range(3))
    averaged = _weighted(values, weights, axis=0)
    known = np.flatnonzero(~np.isnan(averaged))
    mser = mser5(averaged[known])
    level = CUT_LEVEL if len(runs) > 1 else CUT_LEVEL_OF_ONE
    needed = mser.truncated and differs(averaged[known], mser.truncated, level)
    cut = int(known[mser.truncated]) if needed else 0
    doubts = [*near_full_load(plan.scenario, strategy, asked), *mser.doubts]
    doubts += _trends(averaged[known], np.mean(unended_of, axis=0), mser)
    batches, first, method = None, cut, "replication/deletion"
    if len(runs) > 1:
        means = _weighted(values[:, cut:], weights[:, cut:], axis=1)
        estimate = mean_interval(means, confidence)
    else:
        batches, method = batch_means(values[0, cut:], weights[0, cut:], confidence), "batch means"
        estimate, first = batches.interval, cut + batches.left_out
        doubts += batches.doubts
    replication, cycle = (index.ravel() for index in np.indices(values.shape))
    series = pd.DataFrame(
        {
            "replication": replication,
            "cycle": cycle + 1,
            "start": edges[cycle],
            "value": values.ravel(),
            "weight": weights.ravel(),
            "missing": missing.ravel(),
            "used": (cycle >= first) & (weights.ravel() > 0),
        }
    )
    what = SERIES[metric]
    left_out = {
        "cycles of warm-up": cut,
        "cycles that fill no batch": first - cut,
        "cycles at the end": 1,
        "cycles with nothing to average": int(np.sum(weights[:, first:] == 0)),
        f"{what.observed} in cycles left out": round(float(weights[:, :first].sum())),
        f"{what.observed} that never ended": int(missing.sum()),
    }
    return SteadyState(
        plan.scenario, strategy.label, len(runs), plan.seed, metric, what.metric.unit,
        what.metric.meaning, span, series, what.observed, averaged, cut, mser, estimate,
        method, batches, tuple(doubts), left_out, confidence,
    )  # fmt: skip


def _weighted(values: Floats, weights: Floats, axis: int) -> Floats:
    """Return weighted means; NaN where weights are zero."""
    total = weights.sum(axis=axis)
    sums = np.where(weights > 0, values * weights, 0.0).sum(axis=axis)
    means: Floats = np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)
    return means


def _trends(averaged: Floats, unended: Floats, mser: WarmUp) -> list[str]:
    """Return doubts from trends in what MSER-5 leaves, but at least the second half."""
    found: dict[str, list[str]] = {"rising": [], "falling": []}
    for what, series in (("the metric", averaged), ("the number of running instances", unended)):
        slope, chance = trend(series[min(mser.truncated, len(series) // 2) :])
        if chance < TREND_LEVEL:
            way = "rising" if slope > 0 else "falling"
            found[way].append(f"{what} ({abs(slope):.3g} per cycle)")
    advice = {
        "rising": "if more comes in than can be done, by the workers or outside, there is no "
        "steady state; otherwise give a longer run",
        "falling": "give a longer run",
    }
    return [
        f"still {way} is {' and '.join(names)}: {advice[way]}"
        for way, names in found.items()
        if names
    ]


# --- where the warm-up ends -----------------------------------------------------------------------


@with_own_tables
@frozen
class WarmUp:
    """The cut of a series by MSER-5."""

    truncated: int  # observations of warm-up at the beginning
    batches: int  # batches of five in the series
    statistic: Floats  # MSER of each cut: entry d leaves out the first d batches
    doubts: tuple[str, ...]  # reasons not to trust the cut, in words


def mser5(values: ArrayLike) -> WarmUp:
    """Cut a series where the rest has the smallest standard error of its mean, taken as white.

    Of m batches of five observations with means z the first d are left out that make

        MSER(d) = Σ (z_i - mean of z_(d+1) … z_m)² / (m - d)²,   sum over i = d + 1 … m

    smallest (the first of equals); at least five are left. A minimum in the second half of the
    series means that it is too short, or that it never settles. In a short, strongly dependent
    series from a single run a chance peak near the beginning may look like a warm-up: average over
    replications first.
    """
    series = np.asarray(values, dtype=float)
    m = len(series) // BATCH
    if m <= KEPT:
        few = f"{len(series)} observations are too few: give at least {FEWEST_BATCHES * BATCH}"
        return WarmUp(0, m, np.empty(0), (few,))
    z = _batches(series)
    left = np.arange(m, KEPT - 1, -1)
    statistic = np.array([np.sum((z[m - k :] - z[m - k :].mean()) ** 2) / k**2 for k in left])
    d = int(np.argmin(statistic))
    doubts = []
    if m < FEWEST_BATCHES:
        doubts.append(
            f"{m} batches of {BATCH} observations are too few: give at least {FEWEST_BATCHES}"
        )
    if d > m / 2 or d == len(statistic) - 1:
        doubts.append(
            "the warm-up reaches into the second half of the series: it is too short, or there is "
            "no steady state"
        )
    return WarmUp(d * BATCH, m, statistic, tuple(doubts))


def _batches(series: Floats) -> Floats:
    """Return the means of the full batches from the beginning."""
    means: Floats = series[: len(series) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    return means


def differs(values: ArrayLike, cut: int, level: float = CUT_LEVEL) -> bool:
    """Return whether the first `cut` values differ from the rest by more than chance.

    MSER-5 tends to cut chance peaks off the beginning of a short series that needs no cut, which
    biases the rest. The test compares the means of batches of five (t test, with the variance of
    the rest). The batches of one run are skewed and dependent, and MSER-5 has chosen the cut among
    many: at 1 % the test cuts 7 % of the runs of M/M/1 at utilisation 0.8 that need no cut (60
    days, jobs of 5 min), at 0.01 % it cuts 0.4 %.
    """
    z = _batches(np.asarray(values, dtype=float))
    first, rest = z[: cut // BATCH], z[cut // BATCH :]
    if not len(first) or len(rest) < 2:
        return False
    error = float(rest.std(ddof=1)) * math.sqrt(1 / len(first) + 1 / len(rest))
    gap, rounding = abs(float(first.mean() - rest.mean())), ROUNDING * abs(float(rest.mean()))
    if error <= rounding:
        return gap > rounding
    return bool(2 * scipy.stats.t.sf(gap / error, len(rest) - 1) < level)


def moving_average(values: ArrayLike, window: int) -> Floats:
    """Return Welch's moving average: of 2w + 1 values, of fewer at the beginning.

    Entry i (from 1) is the mean of values i - w … i + w, and for i ≤ w of values 1 … 2i - 1; the
    last w have none, so the shape is ``(n - w,)``. NaN is left out of the means.
    """
    series = np.asarray(values, dtype=float)
    if argument("window", window, from_zero) > max(len(series) - 1, 0):
        right = f"must be less than the number of values, {len(series)}"
        raise scenario_error("window", right, window)
    reach = [min(i, window) for i in range(len(series) - window)]
    around = [pd.Series(series[i - k : i + k + 1]) for i, k in enumerate(reach)]
    return np.array([float(values.mean()) for values in around])


def trend(values: ArrayLike) -> tuple[float, float]:
    """Return the slope of a series per observation, and its p-value.

    A line is fitted through the means of ten parts of equal length, which are much less dependent
    than neighbouring observations; the p-value is that of the t test for its slope. Observations
    that fill no part are left out at the beginning. Fewer than ten observations: 0 and 1.
    """
    series = np.asarray(values, dtype=float)
    size = len(series) // PARTS
    if not size:
        return 0.0, 1.0
    means = series[len(series) - size * PARTS :].reshape(PARTS, size).mean(axis=1)
    if np.ptp(means) <= ROUNDING * np.abs(means).max():
        return 0.0, 1.0
    line = scipy.stats.linregress(np.arange(PARTS) * size, means)
    return float(line.slope), float(line.pvalue)


# --- means of cycles ------------------------------------------------------------------------------


class Cycles(NamedTuple):
    """Cycle means of one run; all of shape ``(cycles,)``."""

    values: Floats  # the mean of each; NaN where there is nothing to average
    weights: Floats  # what it rests on: a number of waits or instances, or seconds
    missing: Floats  # waits or instances of the cycle without a value: they never ended


class Series(NamedTuple):
    """A metric that has a mean per cycle."""

    metric: MetricInfo
    observed: str  # what is counted in weights
    of: Callable[[Record, Floats], Cycles]


def cycle_edges(cycle: float, length: float, calendar: Calendar) -> Floats:
    """Return where cycles begin and the last ends; days begin at midnight of the local clock."""
    number = int(length / cycle * (1 + 1e-12))
    if cycle % DAY or calendar.zone is None:
        return np.arange(number + 1, dtype=float) * cycle
    days = round(cycle / DAY)
    found = [calendar.instant(calendar.day(k * days), "00:00") for k in range(number + 2)]
    return np.array([at for at in found if at <= length + 1e-6])


def resolution(cycle: float) -> float:
    """Return a bin width for the load of a run that divides the cycle."""
    return cycle / math.ceil(cycle / WIDEST_BIN)


def _per_item(at: Floats, values: Floats, edges: Floats) -> Cycles:
    """Return means over items by the cycle in which they began; NaN is a missing value."""
    cycle = np.digitize(at, edges) - 1
    found = pd.Series(values).groupby(cycle).agg(["mean", "count", "size"])
    found = found.reindex(range(len(edges) - 1))  # what comes later is cut off
    count, size = (found[name].fillna(0.0).to_numpy(float) for name in ("count", "size"))
    return Cycles(found["mean"].to_numpy(), count, size - count)


def _over_time(integral: Floats, edges: Floats) -> Cycles:
    """Return means over time from a time integral at the edges."""
    seconds = np.diff(edges)
    return Cycles(np.diff(integral) / seconds, seconds, np.zeros(len(seconds)))


def _present(began: Floats, ended: Floats, edges: Floats) -> Cycles:
    """Return the mean number of items between their beginning and their end."""
    known = np.sort(ended[~np.isnan(ended)])
    integral = time_since(np.sort(began), edges) - time_since(known, edges)
    return _over_time(integral, edges)


def _latency(record: Record, edges: Floats) -> Cycles:
    waits = record.waits
    late = np.where(waits.resumed, waits.closed - waits.completed, np.nan)
    return _per_item(waits.armed, late, edges)


def _cycle_time(record: Record, edges: Floats) -> Cycles:
    done = record.outcomes == Outcome.DONE
    return _per_item(record.arrived, np.where(done, record.ended - record.arrived, np.nan), edges)


def _load(record: Record, edges: Floats, what: str) -> Cycles:
    bins = np.sum([getattr(load, what) for load in record.loads.values()], axis=0)
    sums = np.concatenate([[0.0], np.cumsum(bins)]) * record.resolution
    at = np.arange(len(sums)) * record.resolution
    return _over_time(np.interp(edges, at, sums), edges)  # exact: edges fall on bins


def unended(record: Record, edges: Floats) -> Cycles:
    """Return the running instances less those that never end; they rise under any overload."""
    ends = ~np.isnan(record.ended)
    return _present(record.arrived[ends], record.ended[ends], edges)


SERIES: dict[str, Series] = {
    name: Series(MetricInfo(unit, meaning), observed, of)
    for name, unit, meaning, observed, of in (
        ("latency", "s", "time from completion to resumption, of waits armed in the cycle",
         "waits", _latency),
        ("checks_per_wait", "1", "checks made for waits armed in the cycle", "waits",
         lambda record, edges: _per_item(
             record.waits.armed, record.waits.checks.astype(float), edges)),
        ("cycle_time", "s", "time from arrival to end, of instances that arrived in the cycle",
         "instances", _cycle_time),
        ("open_waits", "1", "open waits, averaged over time", "seconds",
         lambda record, edges: _present(record.waits.armed, record.waits.closed, edges)),
        ("queue_length", "jobs", "jobs waiting for a worker, averaged over time", "seconds",
         partial(_load, what="queue")),
        ("busy_workers", "workers", "busy workers, averaged over time", "seconds",
         partial(_load, what="busy")),
    )
}  # fmt: skip
