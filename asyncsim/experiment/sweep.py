"""Play a scenario with many values of its fields, all on the same random numbers.

The points of a sweep are played in tasks large enough to be worth sending to another process: a
handful of replications of one point, or several small points. The tasks depend on the sweep alone,
so the result is the same on any executor.
"""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from attrs import evolve, frozen

from asyncsim import plots
from asyncsim.engine.metrics import (
    METRIC_ORDER,
    METRICS,
    MetricInfo,
    check_metric,
    compute_metrics,
    metrics_of,
)
from asyncsim.engine.simulation import check_scenario
from asyncsim.experiment.checkpoint import Checkpoint, identity
from asyncsim.experiment.output import result_html, table_html
from asyncsim.experiment.parameters import (
    Point,
    format_error,
    points_of,
    scaled_value,
    swept_labels,
)
from asyncsim.experiment.replications import (
    STILL_OPEN,
    Replications,
    jobs,
    labelled,
    processes,
    progress_bar,
    warn_censored,
)
from asyncsim.experiment.simulate import check_engine
from asyncsim.experiment.statistics import Interval, check_confidence, mean_interval
from asyncsim.model.distributions import Floats
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import count
from asyncsim.model.validation import argument, cached_table, scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = 32
"""Runs per task: even short ones take longer than handing a task to Dask (2 ms)."""
ROWS_SHOWN = 40
"""Largest number of points in the table of a notebook."""


class Sweep:
    """Metrics at every point of a sweep; made by `asyncsim.sweep`.

    `names` are the dotted names of the swept fields, `strategies` the labels; `resumed` is the
    number of points taken from the file of an earlier sweep.
    """

    def __init__(
        self,
        scenario: Scenario,
        names: tuple[str, ...],
        points: Sequence[Point],
        strategies: tuple[str, ...],
        metrics: Mapping[int, Floats],
        *,
        replications: int,
        seed: int,
        confidence: float,
        sampled: bool,
        resumed: int,
    ) -> None:
        self.scenario = scenario
        self.names = names
        self.strategies = strategies
        self.replications = replications
        self.seed = seed
        self.confidence = confidence
        self.resumed = resumed
        self._points = points
        self._metrics = metrics
        self._sampled = sampled

    @cached_property
    def _priced(self) -> Scenario:
        """A scenario of the sweep with prices, if only some points have them."""
        every = (self.scenario, *(p.scenario for p in self._points if p.scenario))
        return next((one for one in every if one.costs), self.scenario)

    @cached_property
    def _meanings(self) -> dict[str, MetricInfo]:
        return metrics_of(self._priced)

    @cached_table
    def table(self) -> pd.DataFrame:
        """One row per point, strategy and metric.

        ``point`` (its number), a column per swept field, ``strategy, figure`` (the metric),
        ``unit``; ``mean, low, high`` over replications, as in `asyncsim.Comparison.table`; ``n``
        replications that had the metric; ``error``, empty where the point could be played.
        """
        rows = []
        for point in self._points:
            found = self._metrics.get(point.number)
            units = metrics_of(point.scenario) if point.scenario else {}
            for s, label in enumerate(self.strategies):
                for name, metric in self._meanings.items():
                    values = np.empty(0) if found is None else found[:, s, METRIC_ORDER[name]]
                    mean = mean_interval(values, self.confidence)
                    unit = units.get(name, metric).unit  # currencies may be swept, too
                    head = (point.number, *point.values, label, name, unit)
                    rows.append((*head, mean.mean, mean.low, mean.high, mean.n, point.error))
        last = ["strategy", "figure", "unit", "mean", "low", "high", "n", "error"]
        return pd.DataFrame(rows, columns=["point", *self.names, *last])

    @cached_table
    def runs(self) -> pd.DataFrame:
        """One row per run: ``point``, the swept fields, ``strategy, replication``, all metrics.

        Points with an error have no runs.
        """
        shown = [METRIC_ORDER[name] for name in self._meanings]
        rows = [
            (
                *(point.number, *point.values, label, k),
                *self._metrics[point.number][k, s, shown].tolist(),
            )
            for point in self._points
            if point.number in self._metrics
            for s, label in enumerate(self.strategies)
            for k in range(self.replications)
        ]
        head = ["point", *self.names, "strategy", "replication"]
        return pd.DataFrame(rows, columns=[*head, *self._meanings])

    @property
    def notes(self) -> list[str]:
        """Warnings: points where waits were still open when runs stopped."""
        found = self._metrics.values()
        some = sum(bool(one[:, :, METRIC_ORDER["still_waiting"]].any()) for one in found)
        where = f"at {some} of {len(found)} points (see the figure still_waiting)"
        return [STILL_OPEN.format(where)] if some else []

    @property
    def errors(self) -> pd.DataFrame:
        """The points that could not be played: ``point``, the swept fields, ``error``."""
        rows = [(p.number, *p.values, p.error) for p in self._points if p.error]
        return pd.DataFrame(rows, columns=["point", *self.names, "error"])

    def of(self, figure: str = "mean_latency") -> pd.DataFrame:
        """Return the rows of one metric, such as ``"mean_latency"``."""
        check_metric(figure, self._priced)
        return self.table[self.table["figure"] == figure].reset_index(drop=True)

    def plot(self, figure: str = "mean_latency") -> Figure:
        """Draw a metric: lines over one swept field, a heat map per strategy over two.

        A sample, or a grid of more fields, is drawn as points, side by side over each field.
        """
        title = f"{self.scenario.name}, {self._note}"
        shown = self.of(figure).assign(unresumed=self.of("unresumed_share")["mean"])
        return drawn(shown, self.names, self.strategies, title, self._sampled)

    @property
    def _note(self) -> str:
        n, k = len(self._points), self.replications
        failed = len(self.errors)
        return (
            f"{n} point{'s' if n != 1 else ''}, {k} replication{'s' if k != 1 else ''}, "
            f"seed {self.seed}" + (f", {failed} with an error" if failed else "")
        )

    def _short(self) -> pd.DataFrame:
        """Return mean latency ± half-width and share never resumed, by point and strategy."""
        table = self.of("mean_latency").assign(unresumed=self.of("unresumed_share")["mean"])
        rows = []
        for number, part in list(table.groupby("point", sort=False))[:ROWS_SHOWN]:
            point = self._points[int(str(number))]
            columns = [part[name] for name in ("mean", "high", "n", "unresumed")]
            texts = [
                point.error or plots.with_unresumed(str(Interval(mean, high - mean, n)), never)
                for mean, high, n, never in zip(*columns, strict=True)
            ]
            rows.append([*(_shown(value) for value in point.values), *texts])
        return pd.DataFrame(rows, columns=[*self.names, *self.strategies])

    def __repr__(self) -> str:
        head = f"{self.scenario.name}: {self._note}; {self._shown}"
        return "\n".join([head, self._short().to_string(index=False), *self.notes])

    @property
    def _shown(self) -> str:
        lossy = bool((self.of("unresumed_share")["mean"] > 0).any())
        return plots.heading("mean_latency", "s", lossy)

    def _repr_html_(self) -> str:
        hidden = len(self._points) - ROWS_SHOWN
        more = f" The first {ROWS_SHOWN} points are shown;" if hidden > 0 else ""
        note = (
            f"{self._note}; {self._shown} ± half-width of the {self.confidence:.0%} "
            f"interval.{more} All figures are in <code>.table</code>, all runs in "
            "<code>.runs</code>."
        )
        return result_html(self.scenario.name, table_html(self._short()), note, self.notes)


def sweep(
    scenario: Scenario,
    grid: Mapping[str, Any],
    strategies: Sequence[Strategy],
    replications: int = 10,
    seed: int = 0,
    *,
    sample: int | None = None,
    executor: Executor | None = None,
    n_jobs: int = 1,
    resume: str | Path | None = None,
    engine: str = "auto",
    confidence: float = 0.95,
    progress: bool = True,
) -> Sweep:
    """Play a scenario under several strategies with many values of its fields.

    Every point and every strategy has the same random numbers: streams are keyed by seed,
    replication and name, as in `asyncsim.compare`, whose metrics each point has to the last bit.

    Parameters
    ----------
    scenario, strategies
        What is played at every point, and how its steps wait.
    grid
        Values by dotted names of fields of the scenario, as you would write them:
        ``{"server.workers": [2, 4, 8], "systems.ledger.start": ["20:00", "22:00"]}``; steps and
        systems go by their names (``"process.steps.post.timeout"``). ``"strategy.interval"`` is a
        field of the strategies, changed in those that have it. All combinations are played.
    replications, seed
        Number of replications of each point, and the key of the random numbers.
    sample
        Play this many points of a Latin hypercube instead, chosen by `seed`; `grid` then maps names
        to ranges ``(low, high)``, such as ``{"server.workers": (2, 16), "arrivals.rate": ("50/h",
        "300/h")}``.
    executor
        Any `concurrent.futures.Executor`, such as a process pool or ``Client().get_executor()`` of
        Dask; it stays open. The result is the same to the last bit on any of them.
    n_jobs
        Number of processes without an executor, as in `asyncsim.compare`.
    resume
        File of finished points (SQLite; created if there is none). Points found there are not
        played again, except those with an error or a damaged row; values may be added to the grid.
        A file of another version of asyncsim is refused.
    engine, confidence, progress
        As in `asyncsim.compare`.

    Returns
    -------
    Sweep
        A point that cannot be played has its error in the table, and does not end the sweep.

    Raises
    ------
    ScenarioError
        If an argument is invalid: an unknown name, a value that is valid at no point, or a file of
        another sweep, of another version of asyncsim, or one that cannot be used.

    Warns
    -----
    CensoredWarning
        If waits were still open when runs stopped, with the number of points.
    UserWarning
        If rows of the file to resume from are damaged, with their number.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a day of orders",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
    ...     arrivals=sim.Poisson("100/day", between=("08:00", "20:00")),
    ... )
    >>> grid = {"systems.ledger.start": ["21:00", "22:00"], "server.workers": [1, 4]}
    >>> found = sim.sweep(scenario, grid, [sim.Callback()], replications=2, progress=False)
    >>> len(found.of("mean_latency"))
    4
    """
    check_scenario(scenario)
    check_engine(engine)
    check_confidence(confidence)
    by_label = labelled(strategies)
    replications = argument("replications", replications, count)
    seed = key_part("seed", seed)
    n_jobs = jobs(n_jobs)
    _check_executor(executor)
    points = points_of(scenario, tuple(by_label.values()), grid, sample, seed)
    labels = swept_labels(by_label, grid)
    with ExitStack() as stack:
        checkpoint = None
        if resume is not None:
            identifiers = identity(scenario, grid, sample, by_label, replications, seed, engine)
            checkpoint = stack.enter_context(
                closing(Checkpoint(resume, identifiers, (replications, len(labels))))
            )
        metrics = checkpoint.of(points) if checkpoint else {}
        resumed = len(metrics)
        left = [point for point in points if point.number not in metrics]
        todo = tasks(left, replications, seed, engine)
        results = stack.enter_context(closing(results_of(todo, executor, n_jobs)))
        unplayed = sum(point.scenario is not None for point in left)
        bar = stack.enter_context(
            progress_bar(
                progress,
                total=len(points),
                initial=len(points) - unplayed,
                unit="point",
                desc="sweeping",
            )
        )
        for number, result in finished(results, replications):
            if isinstance(result, str):
                points[number] = evolve(points[number], error=result)
            else:
                metrics[number] = result
                if checkpoint:
                    checkpoint.put(points[number].values, result)
            bar.update()
    found = Sweep(
        scenario,
        tuple(grid),
        points,
        labels,
        metrics,
        replications=replications,
        seed=seed,
        confidence=confidence,
        sampled=sample is not None,
        resumed=resumed,
    )
    warn_censored(found.notes)
    return found


def _check_executor(executor: object) -> None:
    if executor is not None and not isinstance(executor, Executor):
        right = "must be a concurrent.futures.Executor, such as Client().get_executor() of Dask"
        raise scenario_error("executor", right, executor)


# --- tasks ----------------------------------------------------------------------------------------


@frozen
class Piece:
    """Some replications of one point: all that travels to another process."""

    point: int
    plan: Replications
    first: int
    stop: int


Task = tuple[Piece, ...]


@frozen
class PointResult:
    """Metrics of a piece, replications × strategies × `METRICS`; or its error."""

    point: int
    first: int
    stop: int
    metrics: Floats | None
    error: str = ""


def tasks(points: Sequence[Point], replications: int, seed: int, engine: str) -> list[Task]:
    """Return the tasks of the points that can be played."""
    plans = {
        point.number: Replications(point.scenario, point.strategies, seed, engine)
        for point in points
        if point.scenario is not None
    }
    at_once = max([1, *(RUNS // len(plan.strategies) for plan in plans.values())])
    pieces = [
        Piece(number, plan, first, min(first + at_once, replications))
        for number, plan in plans.items()
        for first in range(0, replications, at_once)
    ]
    together = max(at_once // replications, 1)
    return [tuple(pieces[k : k + together]) for k in range(0, len(pieces), together)]


def play(task: Task) -> list[PointResult]:
    """Play a task; the error of a piece takes the place of its metrics."""
    return [_play(piece) for piece in task]


def _play(piece: Piece) -> PointResult:
    which = piece.point, piece.first, piece.stop
    found = np.empty((piece.stop - piece.first, len(piece.plan.strategies), len(METRICS)))
    try:
        for replication in range(piece.first, piece.stop):
            for k, run in enumerate(piece.plan.runs(replication)):
                row = compute_metrics(run.record, run.scenario)
                found[replication - piece.first, k] = [row[name] for name in METRICS]
    except Exception as problem:  # a custom system may raise anything: it is data of its point
        return PointResult(*which, None, format_error(problem))
    return PointResult(*which, found)


def results_of(
    todo: Sequence[Task], executor: Executor | None, n_jobs: int
) -> Generator[list[PointResult], None, None]:
    """Yield results on an executor, on `n_jobs` processes, or in this process.

    Closing the generator cancels the tasks that have not begun.
    """
    if executor is not None:
        yield from _on(executor, todo)
        return
    with processes(n_jobs) as own:
        yield from (play(task) for task in todo) if own is None else _on(own, todo)


def _on(executor: Executor, todo: Sequence[Task]) -> Generator[list[PointResult], None, None]:
    """Yield results as they come; an error or an interruption cancels what has not begun."""
    futures: list[Future[list[PointResult]]] = [executor.submit(play, task) for task in todo]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def finished(
    results: Iterable[list[PointResult]], replications: int
) -> Iterator[tuple[int, Floats | str]]:
    """Yield points as they are finished: number, and metrics or the first error."""
    waiting: dict[int, list[PointResult]] = {}
    for result in (one for some in results for one in some):
        parts = waiting.setdefault(result.point, [])
        parts.append(result)
        if sum(part.stop - part.first for part in parts) < replications:
            continue
        parts = sorted(waiting.pop(result.point), key=lambda part: part.first)
        errors = [part.error for part in parts if part.metrics is None]
        metrics = [part.metrics for part in parts if part.metrics is not None]
        yield result.point, errors[0] if errors else np.concatenate(metrics)


# --- pictures -------------------------------------------------------------------------------------


def drawn(
    table: pd.DataFrame, names: Sequence[str], strategies: Sequence[str], title: str, sampled: bool
) -> Figure:
    """Draw one metric of a sweep: lines, heat maps, or points over each field.

    `table` is as `Sweep.table`, of one metric, with ``unresumed``, the share of waits that never
    resumed.
    """
    if len(names) == 2 and not sampled:
        figure = _maps(table, names, strategies)
    else:
        joined = len(names) == 1
        figure, axes = plots.figure(len(names))
        for ax, name in zip(axes, names, strict=True):
            places = _places(table[name].tolist())
            shown = table.assign(x=[places[repr(value)][0] for value in table[name]])
            lines = {label: shown[shown["strategy"] == label] for label in strategies}
            ticks = _ticks(places, sampled)
            plots.figure_over_field(lines, name, _ylabel(table), ax, ticks, joined)
        most = table.groupby("strategy")["unresumed"].max()
        varies = table.groupby("strategy")["unresumed"].nunique() > 1
        texts = {s: plots.with_unresumed(s, most[s], bool(varies[s])) for s in strategies}
        plots.shared_legend(figure, strategies, texts)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _maps(table: pd.DataFrame, names: Sequence[str], strategies: Sequence[str]) -> Figure:
    across, upwards = names
    figure, axes = plots.figure(len(strategies))
    means = table["mean"].to_numpy()
    known = means[np.isfinite(means)]
    span = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    places = [_places(table[name].tolist()) for name in names]
    order = [sorted(found, key=found.__getitem__) for found in places]
    for ax, label in zip(axes, strategies, strict=True):
        values = np.full((len(order[1]), len(order[0])), np.nan)
        unresumed = values.copy()
        part = table[table["strategy"] == label]
        columns = [part[name] for name in (across, upwards, "mean", "unresumed")]
        for x, y, mean, share in zip(*columns, strict=True):
            place = order[1].index(repr(y)), order[0].index(repr(x))
            values[place], unresumed[place] = mean, share
        texts = [
            [found[value][1] for value in row] for found, row in zip(places, order, strict=True)
        ]
        image = plots.figure_over_two_fields(
            values, texts[0], texts[1], (label, across, upwards), span, ax, unresumed
        )
    figure.colorbar(image, ax=axes, label=_ylabel(table))
    return figure


def _places(values: Sequence[Any]) -> dict[str, tuple[float, str]]:
    """Return axis position and text of every value: numbers to scale, others equidistant."""
    different = {repr(value): value for value in values}
    readings = [scaled_value(value) for value in different.values()]
    scales = {found.scale if found else "" for found in readings}
    to_scale = "" not in scales and (len(scales) == 1 or scales <= {"number", "whole number"})
    return {
        key: (found.number if found and to_scale else float(k), _brief(str(value)))
        for k, ((key, value), found) in enumerate(zip(different.items(), readings, strict=True))
    }


def _brief(text: str) -> str:
    """Return a value shortened for an axis: whole objects may be swept, too."""
    return textwrap.fill(textwrap.shorten(text, 60, placeholder=" …"), 22) if " " in text else text


def _ticks(places: dict[str, tuple[float, str]], sampled: bool) -> dict[float, str] | None:
    """Return labels of the x axis: the values of a grid, some clock times of a sample."""
    written = dict(places.values())
    if not sampled:
        return written
    first = scaled_value(next(iter(written.values())))
    if first is None or first.scale != "clock time":
        return None
    return {x: first.back(x)[:5] for x in np.linspace(min(written), max(written), 4).tolist()}


def _ylabel(table: pd.DataFrame) -> str:
    lossy = bool((table["unresumed"] > 0).any())
    return plots.heading(str(table["figure"].iloc[0]), str(table["unit"].iloc[0]), lossy)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    found = scaled_value(value)
    if found and found.scale.startswith("rate"):  # of a sample: with all the digits of a float
        return min(f"{found.number:.6g}/{found.scale.partition('/')[2]}", str(value), key=len)
    return str(value)
