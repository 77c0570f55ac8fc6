"""Play a scenario with many values of its fields, all on the same random numbers.

The replications of all points are played in tasks that are worth sending to another process. The
result is the same on any executor.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import closing, nullcontext
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from attrs import define, evolve

from asyncsim import plots
from asyncsim.engine.loads import ROUNDING, overload_in_words
from asyncsim.engine.metrics import (
    METRIC_ORDER,
    METRICS,
    check_metric,
    compute_metrics,
    metric_in_words,
    metric_scale,
    metric_text,
    metrics_of,
)
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_scenario
from asyncsim.experiment.claims import sweep_claims
from asyncsim.experiment.output import table_html
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
from asyncsim.experiment.stability import least_loads
from asyncsim.experiment.statistics import Interval, check_confidence, mean_interval
from asyncsim.model.distributions import Floats
from asyncsim.model.html import findings_html, result_html
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import count, percent
from asyncsim.model.validation import argument, cached_table, scenario_error
from asyncsim.model.words import field_in_words, is_probability, length_in_words, with_unresumed
from asyncsim.studies.checkpoint import Checkpoint, identity
from asyncsim.studies.parameters import (
    Point,
    format_error,
    points_of,
    scaled_value,
    swept_labels,
    takes_durations,
)

if TYPE_CHECKING:
    from asyncsim.plots.scales import Scale
    from asyncsim.plots.style import Picture

RUNS = 32  # of a task: even short ones take longer than handing a task to Dask (2 ms)
ROWS_SHOWN = 40  # points in the table of a notebook
AN_EXECUTOR = "must be a concurrent.futures.Executor, such as Client().get_executor() of Dask"


@define(slots=False, eq=False)
class Sweep:
    """Metrics at every point of a sweep; made by `asyncsim.sweep`.

    `names` are the dotted names of the swept fields, `strategies` the labels; `resumed` is the
    number of points taken from the file of an earlier sweep.
    """

    scenario: Scenario
    names: tuple[str, ...]
    strategies: tuple[str, ...]
    replications: int
    seed: int
    confidence: float
    resumed: int
    _points: Sequence[Point]
    _metrics: Mapping[int, Floats]
    _sampled: bool

    @property
    def strategies_in_words(self) -> dict[str, str]:
        """What each strategy does, by its label, unless a field of it is swept."""
        known = [one for point in self._points[:1] for one in point.strategies]
        return {one.label: one.in_words for one in known if one.label in self.strategies}

    @cached_property
    def _priced(self) -> Scenario:
        """A scenario of the sweep with prices, if only some points have them."""
        every = (self.scenario, *(p.scenario for p in self._points if p.scenario))
        return next((one for one in every if one.costs), self.scenario)

    @cached_table
    def table(self) -> pd.DataFrame:
        """One row per point, strategy and metric.

        ``point`` (its number), a column per swept field, ``strategy, metric``,
        ``unit``; ``mean, low, high`` over replications, as in `asyncsim.Comparison.table`; ``n``
        replications that had the metric; ``error``, empty where the point could be played.
        """
        rows, metrics = [], metrics_of(self._priced)
        unplayed = np.empty((0, len(self.strategies), len(METRICS)))
        for point in self._points:
            found = self._metrics.get(point.number, unplayed)
            units = metrics_of(point.scenario) if point.scenario else {}
            for s, label in enumerate(self.strategies):
                for name, metric in metrics.items():
                    mean = mean_interval(found[:, s, METRIC_ORDER[name]], self.confidence)
                    unit = units.get(name, metric).unit  # currencies may be swept, too
                    head = (point.number, *point.values, label, name, unit)
                    rows.append((*head, mean.mean, mean.low, mean.high, mean.n, point.error))
        last = ["strategy", "metric", "unit", "mean", "low", "high", "n", "error"]
        return pd.DataFrame(rows, columns=["point", *self.names, *last])

    @cached_table
    def runs(self) -> pd.DataFrame:
        """One row per run: ``point``, the swept fields, ``strategy, replication``, all metrics.

        Points with an error have no runs.
        """
        metrics = metrics_of(self._priced)
        shown = [METRIC_ORDER[name] for name in metrics]
        rows = [
            (point, *self._points[point].values, label, k, *found[k, s, shown])
            for point, found in self._metrics.items()
            for s, label in enumerate(self.strategies)
            for k in range(self.replications)
        ]
        head = ["point", *self.names, "strategy", "replication"]
        return pd.DataFrame(rows, columns=[*head, *metrics])

    @property
    def notes(self) -> list[str]:
        """Warnings: points with overload, or where waits were still open when runs stopped."""
        limits = [
            f"times at points with an overload hold for {length_in_words(self.scenario.length)} of "
            "arrivals only: a longer run has longer ones"
        ] * bool(self._overloads)
        return [*self.open_notes, *limits]

    @property
    def open_notes(self) -> list[str]:
        """A note on points where waits were still open when runs stopped, if any."""
        found = self._metrics.values()
        some = sum(bool(one[:, :, METRIC_ORDER["still_waiting"]].any()) for one in found)
        where = f"at {some} of {len(found)} points"
        return [STILL_OPEN.format(where)] if some else []

    @property
    def errors(self) -> pd.DataFrame:
        """The points that could not be played: ``point``, the swept fields, ``error``."""
        rows = [(p.number, *p.values, p.error) for p in self._points if p.error]
        return pd.DataFrame(rows, columns=["point", *self.names, "error"])

    def of(self, metric: str = "mean_latency") -> pd.DataFrame:
        """Return the rows of one metric, such as ``"mean_latency"``."""
        check_metric(metric, self._priced)
        return self.table[self.table["metric"] == metric].reset_index(drop=True)

    def _with_shares(self, metric: str) -> tuple[pd.DataFrame, bool]:
        """Return the rows of a metric with the share ``unresumed``, and whether there is any."""
        table = self.of(metric).assign(unresumed=self.of("unresumed_share")["mean"])
        return table, bool((table["unresumed"] > 0).any())

    def plot(self, metric: str = "mean_latency", size: str = "page") -> Picture:
        """Draw a metric: lines over one swept field, a heat map per strategy over two.

        A sample, or a grid of more fields, is drawn as points, side by side over each field. `size`
        is ``"page"`` or ``"slide"``.
        """
        table, lossy = self._with_shares(metric)
        scale = metric_scale(metric, str(table["unit"].iloc[0]), lossy)
        places, across = {}, {}
        for name in self.names:
            kind = {"time": name in self._times, "share": is_probability(name)}
            places[name] = _places(table[name].tolist(), partial(_shown, **kind))
            across[name] = _scale(field_in_words(name), table[name].iloc[0], **kind)
        title = f"{self.scenario.name}, {self._note}"
        if len(self.names) == 2 and not self._sampled:
            return self._maps(size, title, table, scale, places)
        shares = table.groupby("strategy")["unresumed"].agg(["max", "nunique"])
        texts = {
            label: with_unresumed(label, most, different > 1)
            for label, most, different in shares.itertuples()
        }
        panels = []
        for name, place in places.items():
            placed = table.assign(x=[place[repr(value)][0] for value in table[name]])
            lines = {texts[s]: placed[placed["strategy"] == s] for s in self.strategies}
            ticks = {} if self._sampled else dict(place.values())
            panels.append(plots.Panel(across[name], lines, ticks))
        return plots.metric_over_fields(size, title, panels, scale, len(self.names) == 1)

    def _maps(
        self, size: str, title: str, table: pd.DataFrame, scale: Scale, places: dict[str, Places]
    ) -> Picture:
        texts: dict[str, list[str]] = {}
        for axis, (name, place) in zip("xy", places.items(), strict=True):
            order = sorted(place.values())
            table[axis] = [order.index(place[repr(value)]) for value in table[name]]
            texts[axis] = [text for _, text in order]
        maps = {}
        for label in self.strategies:
            rows = table[table["strategy"] == label]
            values, lost = (
                rows.pivot(index="y", columns="x", values=c)
                .set_axis(texts["y"])
                .set_axis(texts["x"], axis="columns")
                for c in ("mean", "unresumed")
            )
            maps[label] = values, lost
        words = field_in_words(self.names[0]), field_in_words(self.names[1])
        return plots.metric_over_two_fields(size, title, maps, words, scale)

    @property
    def _note(self) -> str:
        n, k, failed = len(self._points), self.replications, len(self.errors)
        return (
            f"{n} point{'s' if n != 1 else ''}, {k} replication{'s' if k != 1 else ''}, "
            f"seed {self.seed}" + (f", {failed} with an error" if failed else "")
        )

    def findings(self) -> list[str]:
        """Return what matters most, in sentences with numbers and intervals.

        What is overloaded; which waits never resume; at which points the mean latency is least and
        largest, or that they do not differ beyond chance; which strategy is earlier, and where it
        is not; costs.
        """
        played = {self._named(self._points[k]): found for k, found in self._metrics.items()}
        costs = {
            metrics_of(point.scenario)["cost"].unit
            for point in self._points
            if point.scenario and point.scenario.costs
        }
        unit = costs.pop() if len(costs) == 1 else ""
        texts = self._overload_texts
        if self.replications > 1:
            found = sweep_claims(played, self.strategies, unit, self.confidence)
            texts += [one.text for one in found]
        return [f"{text[0].upper()}{text[1:]}." for text in texts]

    @cached_property
    def _overloads(self) -> dict[int, tuple[str, float]]:
        """The part with the largest load, and this load, of each point where it is 1 or more."""
        found = {}
        for point in self._points:
            if point.scenario is None:
                continue
            loads = [
                (load, part)
                for strategy in point.strategies
                for part, load in least_loads(point.scenario, strategy).items()
            ]
            load, part = max(loads, default=(0.0, ""))
            if load > 1 - ROUNDING:
                found[point.number] = part, load
        return found

    @property
    def _overload_texts(self) -> list[str]:
        """A sentence on the points with an overload, if any."""
        if not self._overloads:
            return []
        worst = max(self._overloads, key=lambda number: self._overloads[number][1])
        part, load = self._overloads[worst]
        text = overload_in_words(part, f"at least {percent(load)}", load > 1 + ROUNDING)
        some = f"at {len(self._overloads)} of {len(self._points)} points a part is overloaded"
        return [
            f"{some} or without reserve; the most with {self._named(self._points[worst])}: {text}"
        ]

    def _named(self, point: Point) -> str:
        """Return the fields and values of a point in words."""
        pairs = zip(map(field_in_words, self.names), self._values(point), strict=True)
        return ", ".join(map(" = ".join, pairs))

    def _values(self, point: Point) -> list[str]:
        """Return the values of the fields at a point in human units."""
        return [
            _shown(value, name in self._times, is_probability(name))
            for name, value in zip(self.names, point.values, strict=True)
        ]

    @cached_property
    def _times(self) -> set[str]:
        """The swept fields in which a plain number is seconds."""
        for point in self._points:
            if point.scenario:
                known = point.scenario, point.strategies
                return {name for name in self.names if takes_durations(*known, name)}
        return set()

    def _short(self, metric: str = "mean_latency") -> tuple[pd.DataFrame, str]:
        """Return a metric and the share never resumed by point and strategy, and what this is."""
        table, lossy = self._with_shares(metric)
        unit = str(table["unit"].iloc[0])
        rows = []
        for point in self._points[:ROWS_SHOWN]:
            part = table.loc[table["point"] == point.number, ["mean", "high", "n", "unresumed"]]
            texts = [
                point.error
                or with_unresumed(Interval(mean, high - mean, n).of_metric(metric, unit), never)
                for mean, high, n, never in part.itertuples(index=False)
            ]
            name, load = self._overloads.get(point.number, ("", 0.0))
            marks = [f"{name} {percent(load)}" if name else ""] * bool(self._overloads)
            rows.append([*self._values(point), *texts, *marks])
        columns = [*map(field_in_words, self.names), *self.strategies]
        columns += ["overload"] * bool(self._overloads)
        words = f"{metric_in_words(metric, lossy)} ± half-width of the {percent(self.confidence)}"
        return pd.DataFrame(rows, columns=columns), f"{self._note}; {words} interval"

    def text(self, metric: str = "mean_latency") -> str:
        """Return findings, and a metric at each point with its interval, in human units."""
        table, note = self._short(metric)
        head = f"{self.scenario.name}: {note}"
        return "\n".join([*self.findings(), head, table.to_string(index=False), *self.notes])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        hint = " All metrics are in <code>.table</code>, all runs in <code>.runs</code>."
        return self.report_html(self.findings(), hint)

    def report_html(self, findings: Sequence[str] = (), hint: str = "") -> str:
        """Return the table as HTML for a report, which has the findings elsewhere."""
        table, note = self._short()
        more = f" The first {ROWS_SHOWN} points are shown;" * (len(self._points) > ROWS_SHOWN)
        body = findings_html(findings) + table_html(table)
        return result_html(self.scenario.name, body, f"{note}.{more}{hint}", self.notes)


Places = dict[str, tuple[float, str]]  # of values, by their repr: axis position and text


def _places(values: Sequence[Any], text_of: Callable[[Any], str]) -> Places:
    """Place values on an axis: numbers to scale, others equidistant."""
    different = {repr(value): value for value in values}
    readings = [scaled_value(value) for value in different.values()]
    scales = {found.scale if found else "" for found in readings}
    to_scale = "" not in scales and (len(scales) == 1 or scales <= {"number", "whole number"})
    places = {}
    for k, ((key, value), found) in enumerate(zip(different.items(), readings, strict=True)):
        text = text_of(value)
        if found is None and " " in text:  # whole objects may be swept, too
            text = textwrap.fill(textwrap.shorten(text, 60, placeholder=" …"), 22)
        places[key] = found.number if found and to_scale else float(k), text
    return places


def _scale(words: str, value: Any, time: bool, share: bool) -> Scale:
    """Return the scale of the axis of a field."""
    found = scaled_value(value)
    if found is None or time or share:
        return plots.Scale(words, "duration" if time else "share" if share else "number")
    kind, _, unit = found.scale.partition("/")
    kind = {"clock time": "clock", "rate": f"/{unit}"}.get(kind, kind)
    return plots.Scale(words, kind)


def _shown(value: object, time: bool, share: bool) -> str:
    found = scaled_value(value)
    if found and (time or found.scale == "duration"):
        return metric_text("", found.number, "s")
    if found and share:
        return percent(found.number)
    if found and found.scale.startswith("rate"):  # of a sample: with all the digits of a float
        return min(f"{found.number:.6g}/{found.scale.partition('/')[2]}", str(value), key=len)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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

    Every point has the same random numbers, and the metrics of `asyncsim.compare` to the last bit.

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
        Play this many points of a Latin hypercube instead, chosen by `seed`; `grid` then has
        ranges ``(low, high)``, such as ``{"arrivals.rate": ("50/h", "300/h")}``.
    executor
        Any `concurrent.futures.Executor`, such as ``Client().get_executor()`` of Dask; it stays
        open, and the result is the same to the last bit.
    resume
        File of finished points (SQLite; created if there is none). They are not played again,
        unless they have an error or a damaged row; values may be added to the grid.
    engine, confidence, n_jobs, progress
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
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
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
    if executor is not None and not isinstance(executor, Executor):
        raise scenario_error("executor", AN_EXECUTOR, executor)
    points = points_of(scenario, tuple(by_label.values()), grid, sample, seed)
    labels = swept_labels(by_label, grid)
    checkpoint = None
    if resume is not None:
        identifiers = identity(scenario, grid, sample, by_label, replications, seed, engine)
        checkpoint = Checkpoint(resume, identifiers, (replications, len(labels)))
    with closing(checkpoint) if checkpoint else nullcontext():
        metrics = checkpoint.of(points) if checkpoint else {}
        resumed = len(metrics)
        left = {
            point.number: Replications(point.scenario, point.strategies, seed, engine)
            for point in points
            if point.scenario and point.number not in metrics
        }
        begun = {"total": len(points), "initial": len(points) - len(left)}
        bar = progress_bar(progress, unit="point", desc="sweeping", **begun)
        with bar, closing(_played(left, replications, executor, n_jobs)) as results:
            for number, result in results:
                if isinstance(result, str):
                    points[number] = evolve(points[number], error=result)
                else:
                    metrics[number] = result
                    if checkpoint:
                        checkpoint.put(points[number].values, result)
                bar.update()
    fields = tuple(grid), labels, replications, seed, confidence, resumed
    metrics = dict(sorted(metrics.items()))
    found = Sweep(scenario, *fields, points, metrics, sampled=sample is not None)
    warn_censored(found.open_notes)
    return found


# --- tasks ----------------------------------------------------------------------------------------


Task = Sequence[tuple[int, Replications, int]]  # replications to play: point, its plan, number


def play(task: Task) -> list[Floats | str]:
    """Return the metrics of each replication, strategies × `METRICS`, or its error as text."""
    found: list[Floats | str] = []
    failed: dict[int, str] = {}  # points, which are not played further
    for point, plan, replication in task:
        try:
            found.append(failed.get(point) or np.array(plan.collect(_metrics, replication)))
        except Exception as problem:  # a custom system may raise anything: it is data of its point
            failed[point] = format_error(problem)
            found.append(failed[point])
    return found


def _metrics(run: Run) -> list[float]:
    found = compute_metrics(run.record, run.scenario)
    return [found[name] for name in METRICS]


def _played(
    plans: Mapping[int, Replications], replications: int, executor: Executor | None, n_jobs: int
) -> Generator[tuple[int, Floats | str], None, None]:
    """Yield points as they are finished: number, and metrics or the first error."""
    every = [(point, plan, k) for point, plan in plans.items() for k in range(replications)]
    waiting: dict[int, dict[int, Any]] = defaultdict(dict)
    with processes(n_jobs) if executor is None else nullcontext(executor) as pool:
        size = max([1, *(RUNS // len(plan.strategies) for plan in plans.values())])
        size = size if pool else replications  # one point
        todo = [every[k : k + size] for k in range(0, len(every), size)]
        futures = {pool.submit(play, task): task for task in todo} if pool else {}
        if pool:
            played = ((futures[done], done.result()) for done in as_completed(futures))
        else:
            played = ((task, play(task)) for task in todo)
        try:
            for (point, _, k), found in chain.from_iterable(zip(*p, strict=True) for p in played):
                waiting[point][k] = found
                if len(waiting[point]) == replications:
                    in_order = [found for _, found in sorted(waiting.pop(point).items())]
                    error = next((one for one in in_order if isinstance(one, str)), None)
                    yield point, error or np.stack(in_order)
        finally:  # also if the generator is closed: cancel the tasks that have not begun
            for future in futures:
                future.cancel()
