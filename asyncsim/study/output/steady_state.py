"""The steady state of a scenario that goes on day after day."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from asyncsim.engine.arguments import check_played, seconds
from asyncsim.engine.run import Run
from asyncsim.engine.simulate import check_engine
from asyncsim.errors import CensoredWarning, ScenarioError, SteadyStateWarning, warn
from asyncsim.model.arrivals import At, Scattered
from asyncsim.model.described import argument, choice, refuse
from asyncsim.model.draws import key_part
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import DurationLike, Refused, count, text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.supply import Asked, near_full_load
from asyncsim.study.output import cycles
from asyncsim.study.output.batch_means import batch_means
from asyncsim.study.output.cycles import SERIES, Cycles
from asyncsim.study.output.settled import SteadyState
from asyncsim.study.output.warm_up import (
    CUT_LEVEL,
    CUT_LEVEL_OF_ONE,
    TREND_LEVEL,
    WarmUp,
    differs,
    mser5,
    trend,
)
from asyncsim.study.replications import Replications, playing
from asyncsim.study.statistics import check_confidence, mean_interval


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

    What MSER-5 would cut is left out if it differs from the rest by more than chance; in a single
    run, whose chance peaks look like a warm-up, by far more. Doubts err on the safe side: of
    systems that are steady one in eight or so is doubted without cause at 60 to 120 cycles, fewer
    with more. For M/M/1 at utilisation 0.8 (60 days, jobs of 5 min) 96 % of the intervals of single
    runs at 95 % cover the truth. Several replications are the surer way, and give narrower ones.

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
        means, a trend (at the level of 1 %), or workers or an outside system that have too much to
        do, so that there is no steady state, or so nearly too much that it takes longer to settle.
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
    choice("figure", figure, SERIES)
    replications = argument("replications", replications, count)
    scenario = _lasting(scenario, length)
    span = seconds("cycle", cycle)
    edges = cycles.edges(span, scenario.length, scenario.calendar)[:-1]
    if len(edges) < 3:
        raise ScenarioError(
            f"length must be at least three cycles, got {text_of(scenario.length)} and cycles of "
            f"{text_of(span)}"
        )
    seed, bins = key_part("seed", seed), cycles.resolution(span)
    plan = Replications(scenario, (strategy,), seed, engine, resolution=bins)
    keep = partial(_kept, figure=figure, edges=edges)
    with playing(n_jobs, progress, "steady state", replications) as play:
        kept = [run for (run,) in play.kept(plan, keep, range(replications))]
    runs, asked = [run for run, _ in kept], [one for _, one in kept]
    load = near_full_load(scenario, strategy, asked)
    found = _estimated(plan, figure, (edges, span), runs, load, confidence)
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


def _kept(run: Run, figure: str, edges: Floats) -> tuple[tuple[Cycles, Floats], Asked]:
    """Return the cycles of a run with the instances under way in each, and what it asked for."""
    found = SERIES[figure].of(run.record, edges), cycles.unended(run.record, edges).values
    return found, Asked.of(run)


def _estimated(
    plan: Replications,
    figure: str,
    cut_at: tuple[Floats, float],
    runs: list[tuple[Cycles, Floats]],
    load: list[str],
    confidence: float,
) -> SteadyState:
    edges, span = cut_at
    values, weights, missing = (np.array([run[k] for run, _ in runs]) for k in range(3))
    averaged = _weighted(values, weights, axis=0)
    known = np.flatnonzero(~np.isnan(averaged))
    mser = mser5(averaged[known])
    level = CUT_LEVEL if len(runs) > 1 else CUT_LEVEL_OF_ONE
    needed = mser.truncated and differs(averaged[known], mser.truncated, level)
    cut = int(known[mser.truncated]) if needed else 0
    trends = _trends(averaged[known], np.mean([n for _, n in runs], axis=0), mser)
    doubts = [*load, *mser.doubts, *trends]
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
            "start": np.tile(edges[:-1], len(runs)),
            "value": values.ravel(),
            "weight": weights.ravel(),
            "missing": missing.ravel(),
            "used": (cycle >= first) & (weights.ravel() > 0),
        }
    )
    what = SERIES[figure]
    left_out = {
        "cycles of warm-up": cut,
        "cycles that fill no batch": first - cut,
        "cycles at the end": 1,
        "cycles with nothing to average": int(np.sum(weights[:, first:] == 0)),
        f"{what.observed} in cycles left out": round(float(weights[:, :first].sum())),
        f"{what.observed} that never ended": int(missing.sum()),
    }
    return SteadyState(
        plan.scenario, plan.strategies[0].label, len(runs), plan.seed, figure, what.figure.unit,
        what.figure.meaning, span, series, what.observed, averaged, cut, mser, estimate,
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
    for note in found.notes:
        warn(note, CensoredWarning)
    if found.doubts:
        warn(
            f"{found.figure} under {found.strategy}: {'; '.join(found.doubts)}",
            SteadyStateWarning,
        )
