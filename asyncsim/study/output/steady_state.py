"""The steady state of a scenario that goes on day after day."""

from __future__ import annotations

import warnings
from html import escape

import numpy as np
import pandas as pd
from attrs import frozen
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from asyncsim import plots
from asyncsim.engine.arguments import check_played, seconds
from asyncsim.engine.simulate import check_engine, played
from asyncsim.errors import CensoredWarning, ScenarioError, SteadyStateWarning
from asyncsim.model.arrivals import At, Scattered
from asyncsim.model.described import refuse
from asyncsim.model.draws import key_part
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import DurationLike, Refused, count, nearest, text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.study.output import cycles
from asyncsim.study.output.batch_means import BatchMeans, batch_means
from asyncsim.study.output.cycles import SERIES, Cycles
from asyncsim.study.output.warm_up import TREND_LEVEL, WarmUp, moving_average, mser5, trend
from asyncsim.study.replications import jobs, mapping
from asyncsim.study.statistics import Interval, mean_interval
from asyncsim.study.summary_html import interval_text


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
        unit = "" if self.unit == "1" else f" [{self.unit}]"
        found = (self.estimate.mean, self.estimate.low, self.estimate.high)
        plots.warm_up(
            self.averaged, smooth, self.warm_up, self.figure.replace("_", " ") + unit,
            f"cycle of {text_of(self.cycle)}", found, ax,
        )  # fmt: skip
        brief = "; ".join(doubt.partition(":")[0] for doubt in self.doubts)
        sure = "" if self.reliable else f"\nnot reliable: {brief}"
        ax.set_title(f"{self._head}{sure}", loc="left", fontsize=11, wrap=True)
        return figure

    @property
    def text(self) -> str:
        """The answer in words."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        runs = f"{self.replications} replications" if self.replications > 1 else "one run"
        found = (
            f"{self.figure.replace('_', ' ')} {interval_text(self.estimate)}{unit} "
            f"({self.confidence:.0%} interval, {self.method} over {runs}), after a warm-up of "
            f"{self.warm_up} of {len(self.averaged)} cycles of {text_of(self.cycle)}"
        )
        return found if self.reliable else f"not reliable: {found}"

    @property
    def _left_out_text(self) -> str:
        return "left out: " + "; ".join(f"{what}: {n:,}" for what, n in self.left_out.items() if n)

    @property
    def _head(self) -> str:
        return f"{self.scenario.name}, {self.strategy}"

    def __repr__(self) -> str:
        head = f"{self._head}: {self.text}"
        return "\n".join([head, *(f"! {doubt}" for doubt in self.doubts), self._left_out_text])

    def _repr_html_(self) -> str:
        doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in self.doubts)
        told = f'<span title="{escape(self.meaning)}">{escape(self.text)}</span>'
        return (
            f"<div><b>{escape(self._head)}</b>: {told}{f'<ul>{doubts}</ul>' if doubts else ''}"
            f'<div style="opacity:.7;font-size:90%">{escape(self._left_out_text)}</div></div>'
        )


def steady_state(
    scenario: Scenario,
    strategy: Strategy,
    figure: str = "latency",
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
    """Estimate a figure in the steady state, without the warm-up of a run that begins empty.

    With a nightly batch or office hours everything goes up and down with the day, so single waits
    have no steady state; means of whole cycles have. One observation is therefore the mean of one
    cycle, of the waits armed or the instances arrived in it, or over its time. The last cycle only
    keeps arrivals coming, or those before it would end in unusual peace.

    The warm-up is found by MSER-5 (`asyncsim.study.output.warm_up.mser5`) on the cycles averaged
    over replications. With several replications the means of what is left of each are independent,
    and Student's t applies (replication/deletion; Law, Simulation Modeling and Analysis, chapter
    9). With one it is non-overlapping batch means (`asyncsim.study.output.batch_means`). A cycle
    counts in a mean as much as waits, instances or seconds are in it.

    MSER-5 errs on the safe side: of systems that are steady one in eight or so is doubted without
    cause at 60 to 120 cycles, fewer with more. In a single run it may take a chance peak at the
    beginning for a warm-up; several replications are the surer way.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its steps wait.
    figure
        ``latency``, ``checks_per_wait``, ``cycle_time``, ``open_waits``, ``queue_length`` or
        ``busy_workers``.
    length
        How long instances arrive, in place of the scenario's length; None keeps that.
    cycle
        What repeats: a day, or a week if week-ends differ.
    replications
        Of that length, each with its own random numbers.
    seed, confidence, engine, n_jobs, progress
        As in `asyncsim.compare`.

    Raises
    ------
    ScenarioError
        If an argument is wrong, or a number of arrivals is fixed and the length is changed.

    Warns
    -----
    SteadyStateWarning
        If there are doubts: too few cycles, a warm-up up to the second half, correlated batch
        means, or a trend (at the level of 1 %), which an overloaded system has: it has no steady
        state.
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
    mean_interval([], confidence)
    if figure not in SERIES:
        words = ", ".join(map(repr, SERIES))
        raise refuse(
            "figure", Refused(f"must be one of {words}", nearest(str(figure), SERIES)), figure
        )
    try:
        replications = count(replications)
    except Refused as problem:
        raise refuse("replications", problem, replications) from None
    scenario = _lasting(scenario, length)
    span = seconds("cycle", cycle)
    edges = cycles.edges(span, scenario.length, scenario.calendar)[:-1]
    if len(edges) < 3:
        raise ScenarioError(
            f"length must be at least three cycles, got {text_of(scenario.length)} and cycles of "
            f"{text_of(span)}"
        )
    plan = _Plan(scenario, strategy, figure, edges, span, key_part("seed", seed), engine)
    bar = tqdm(
        total=replications, disable=not progress, unit="run", desc="steady state", leave=False
    )
    runs: list[tuple[Cycles, Floats]] = []
    with bar, mapping(jobs(n_jobs)) as each:
        for run in each(plan.cycles, range(replications)):
            runs.append(run)
            bar.update()
    found = _estimated(plan, runs, confidence)
    _tell(found)
    return found


def _lasting(scenario: Scenario, length: DurationLike | None) -> Scenario:
    """Return the scenario with another length, if its arrivals go on for as long as wanted."""
    if length is None:
        return scenario
    wanted = seconds("length", length)
    if isinstance(scenario.arrivals, (Scattered, At)) and wanted != scenario.length:
        kind = type(scenario.arrivals).__name__
        hint = f"; {kind} arrivals are a fixed number over the scenario's length, take Poisson"
        problem = "must be None (the scenario's own length)"
        raise refuse("length", Refused(problem, hint), length)
    return scenario.replace(length=wanted)


@frozen
class _Plan:
    """Runs that are to be cut into cycles."""

    scenario: Scenario
    strategy: Strategy
    figure: str
    edges: Floats
    cycle: float
    seed: int
    engine: str

    def cycles(self, replication: int) -> tuple[Cycles, Floats]:
        """Return one replication's cycles, and the instances under way in each."""
        draws = self.scenario.draw(self.seed, replication)
        run = played(
            self.scenario, self.strategy, draws,
            engine=self.engine, resolution=cycles.resolution(self.cycle),
        )  # fmt: skip
        found = SERIES[self.figure].of(run.record, self.edges)
        return found, cycles.unended(run.record, self.edges).values


def _estimated(plan: _Plan, runs: list[tuple[Cycles, Floats]], confidence: float) -> SteadyState:
    values, weights, missing = (np.array([run[k] for run, _ in runs]) for k in range(3))
    averaged = _weighted(values, weights, axis=0)
    known = np.flatnonzero(~np.isnan(averaged))
    mser = mser5(averaged[known])
    cut = int(known[mser.truncated]) if mser.truncated else 0
    doubts = [*mser.doubts, *_trends(averaged[known], np.mean([n for _, n in runs], axis=0), mser)]
    rest = (values[:, cut:], weights[:, cut:])
    batches, first = None, cut
    if len(runs) > 1:
        estimate = mean_interval(_weighted(*rest, axis=1), confidence)
    else:
        batches = batch_means(rest[0][0], rest[1][0], confidence=confidence)
        estimate, first = batches.interval, cut + batches.left_out
        doubts += batches.doubts
    number = values.shape[1]
    cycle = np.tile(np.arange(number), len(runs))
    series = pd.DataFrame(
        {
            "replication": np.repeat(np.arange(len(runs)), number),
            "cycle": cycle + 1,
            "start": np.tile(plan.edges[:-1], len(runs)),
            "value": values.ravel(),
            "weight": weights.ravel(),
            "missing": missing.ravel(),
            "used": (cycle >= first) & (weights.ravel() > 0),
        }
    )
    what = SERIES[plan.figure]
    left_out = {
        "cycles of warm-up": cut,
        "cycles that fill no batch": first - cut,
        "cycles at the end": 1,
        "cycles with nothing to average": int(np.sum(weights[:, first:] == 0)),
        f"{what.observed} in cycles left out": round(float(weights[:, :first].sum())),
        f"{what.observed} that never ended": int(missing.sum()),
    }
    return SteadyState(
        plan.scenario, plan.strategy.label, len(runs), plan.seed, plan.figure, what.figure.unit,
        what.figure.meaning, plan.cycle, series, what.observed, averaged, cut, mser, estimate,
        "replication/deletion" if batches is None else "batch means", batches, tuple(doubts),
        left_out, confidence,
    )  # fmt: skip


def _weighted(values: Floats, weights: Floats, axis: int) -> Floats:
    """Return weighted means; NaN where there is no weight."""
    total = weights.sum(axis=axis)
    sums = np.where(weights > 0, values * weights, 0.0).sum(axis=axis)
    means: Floats = np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)
    return means


def _trends(averaged: Floats, unended: Floats, mser: WarmUp) -> list[str]:
    """Return what trends say against a steady state: of the figure, and of all that is under way.

    Looked at is what MSER-5 leaves, but at least the second half.
    """
    rising: list[str] = []
    falling: list[str] = []
    for what, series in (("the figure", averaged), ("the number of running instances", unended)):
        slope, chance = trend(series[min(mser.truncated, len(series) // 2) :])
        if chance < TREND_LEVEL:
            (rising if slope > 0 else falling).append(f"{what} ({abs(slope):.3g} per cycle)")
    found = []
    if rising:
        found.append(
            f"still rising is {' and '.join(rising)}: if more comes in than can be done, by the "
            "workers or outside, there is no steady state; else give a longer run"
        )
    if falling:
        found.append(f"still falling is {' and '.join(falling)}: give a longer run")
    return found


def _tell(found: SteadyState) -> None:
    never = found.left_out[f"{found.observed} that never ended"]
    if never:
        warnings.warn(
            f"{never} {found.observed} never ended under {found.strategy}; they are in no mean",
            CensoredWarning,
            stacklevel=3,
        )
    if found.doubts:
        warnings.warn(
            f"{found.figure} under {found.strategy}: {'; '.join(found.doubts)}",
            SteadyStateWarning,
            stacklevel=3,
        )
