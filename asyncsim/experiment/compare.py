"""Compare waiting strategies on the same random numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from attrs import define

from asyncsim import plots
from asyncsim.engine import metrics
from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.loads import length_matters
from asyncsim.engine.result import WHOLE_RUN, warm_up_of
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_scenario
from asyncsim.experiment import statistics
from asyncsim.experiment.claims import Claim, Facts, claims, overload, overloads
from asyncsim.experiment.output import metrics_html
from asyncsim.experiment.precision import FEWEST, Precision, target, warn_missed
from asyncsim.experiment.replications import (
    Replications,
    RunSummary,
    WaitCounts,
    censored,
    labelled,
    runner,
    warn_censored,
)
from asyncsim.experiment.simulate import RESOLUTION
from asyncsim.model.closed_forms import expected
from asyncsim.model.distributions import Floats
from asyncsim.model.html import cells_html, findings_html, result_html
from asyncsim.model.process import AsyncStep
from asyncsim.model.profiles import Profile
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Grid, Service, StrategySpecification
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.systems import single_link
from asyncsim.model.units import DAY, DurationLike, count, percent, text_of
from asyncsim.model.validation import argument, cached_table, choice, scenario_error
from asyncsim.model.words import length_in_words

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

METRIC = "mean_latency"  # whose precision is asked for by default
SHOWN = (
    *("unresumed_share", "mean_latency", "p95_latency", "max_latency"),
    *("checks_per_wait", "wasted_share", "overhead_worker_time", "requests", "database_operations"),
    *("mean_cycle_time", "longest_queue", "cost", "cost_of_lateness"),
    *("timed_out", "failed", "still_waiting"),
)  # the metrics of the short table; all of them are in `Comparison.table`
IF_ANY = ("unresumed_share", "timed_out", "failed")  # shown only where some strategy has any
THEORY_POINTS = 60  # intervals of a line of closed forms
PAIRED = ("mean_latency", "overhead_worker_time", "mean_cycle_time", "cost")  # with differences
MeanAndGap = tuple[statistics.Interval, statistics.Interval | None]


@define(slots=False, eq=False)
class Comparison:
    """Strategies side by side; made by `asyncsim.compare`.

    `warm_up` is the number of seconds of each run that are in no metric.
    """

    scenario: Scenario
    seed: int
    confidence: float
    warm_up: float
    _summaries: Mapping[str, Sequence[RunSummary]]
    _first: Mapping[str, Run]
    parts: ClassVar = ("latency", "overhead", "open waits")
    """Parts of the picture, in their order."""

    @property
    def replications(self) -> int:
        """Number of replications played."""
        return len(next(iter(self._summaries.values())))

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies; the others are compared with the first."""
        return list(self._first)

    @cached_property
    def _waits(self) -> dict[str, WaitCounts]:
        found = {label: WaitCounts() for label in self._summaries}
        for label, runs in self._summaries.items():
            for one in runs:
                found[label].add(one)
        return found

    @property
    def notes(self) -> list[str]:
        """Warnings: waits still open when runs stopped, overload, systems that are not used."""
        limits = [
            length_matters(part, self.scenario.length)
            for part, loads in self._loads.items()
            if any(overload(one) == "certain" for one in loads.values())
        ]
        return [*self.open_notes, *limits, *self.scenario.notes]

    @property
    def open_notes(self) -> list[str]:
        """A note on the waits that were still open when runs stopped, if any."""
        return censored({label: one.censored for label, one in self._waits.items()})

    @cached_property
    def _loads(self) -> dict[str, dict[str, statistics.Interval]]:
        """The loads that are known, by part and strategy."""
        found: dict[str, dict[str, statistics.Interval]] = {}
        for label, runs in self._summaries.items():
            for part in runs[0].loads:
                values = [one.loads.get(part, math.nan) for one in runs]
                load = statistics.mean_interval(values, self.confidence)
                if not math.isnan(load.mean):
                    found.setdefault(part, {})[label] = load
        return found

    @property
    def loses_none(self) -> list[str]:
        """Strategies that send callbacks of which none is lost."""
        found = {label: specification_of(run.strategy) for label, run in self._first.items()}
        sent = {label: one.deliveries for label, one in found.items() if one}
        return [label for label, one in sent.items() if one and one.loss == 0.0]

    @property
    def strategies_in_words(self) -> dict[str, str]:
        """What each strategy does, by its label."""
        return {label: run.strategy.in_words for label, run in self._first.items()}

    @property
    def loads(self) -> pd.DataFrame:
        """Load of each system and of the workers: ``part, strategy, mean, low, high, n``.

        What a week of arrivals asks for, as a share of what they can do: above 1 a backlog grows
        from week to week. Empty where arrivals have no rate.
        """
        rows = [
            (part, label, one.mean, one.low, one.high, one.n)
            for part, loads in self._loads.items()
            for label, one in loads.items()
        ]
        return pd.DataFrame(rows, columns=["part", "strategy", "mean", "low", "high", "n"])

    @cached_table
    def by_step(self) -> pd.DataFrame:
        """Metrics of each step that waits: one row per step, strategy and metric; seconds.

        ``step, system, strategy, metric, unit, mean, low, high, n, meaning`` as in `table`. The
        metrics are those of `asyncsim.engine.metrics.BY_STEP`: number of waits, time outside and
        latency. Empty where only one step waits.
        """
        rows = [
            (*head, name, unit, one.mean, one.low, one.high, one.n, meaning)
            for head, intervals in self._steps.items()
            for name, one in intervals.items()
            for unit, meaning in [metrics.BY_STEP[name]]
        ]
        columns = ["step", "system", "strategy", "metric", "unit", "mean", "low", "high", "n"]
        return pd.DataFrame(rows, columns=[*columns, "meaning"])

    @cached_property
    def _steps(self) -> dict[tuple[str, str, str], dict[str, statistics.Interval]]:
        """Intervals by metric, of each step, its system, and strategy; empty for a single step."""
        calls = self.scenario.process.of_type(AsyncStep)
        return {
            (call.name, call.system, label): {
                name: statistics.mean_interval(
                    self._of_step(call.name, name, label), self.confidence
                )
                for name in metrics.BY_STEP
            }
            for call in (calls if len(calls) > 1 else ())
            for label in self.strategies
        }

    def _of_step(self, step: str, metric: str, label: str) -> list[float]:
        found = [one.by_step for one in self._summaries[label]]
        return [float(one[metric][step]) for one in found if one is not None]

    @property
    def _steps_in_words(self) -> pd.DataFrame:
        """The metrics by step as texts, one row per step and strategy."""
        some = any(one["unresumed_share"].mean > 0 for one in self._steps.values())
        rows = [
            {"step": step, "waits for": system, "strategy": label}
            | {
                metrics.metric_in_words(name, some): one.of_metric(name, metrics.BY_STEP[name].unit)
                for name, one in intervals.items()
                if some or name != "unresumed_share"
            }
            for (step, system, label), intervals in self._steps.items()
        ]
        return pd.DataFrame(rows)

    def run(self, strategy: str) -> Run:
        """Return the first replication of a strategy, by its label."""
        return self._first[choice("strategy", strategy, self._first)]

    def latencies(self, strategy: str) -> Floats:
        """Return the resume latencies of all replications of a strategy, in seconds."""
        label = choice("strategy", strategy, self._summaries)
        return np.concatenate([one.latencies for one in self._summaries[label]])

    def _values(self, label: str, metric: str) -> list[float]:
        return [one.metrics[metric] for one in self._summaries[label]]

    def __getitem__(self, metric: str) -> pd.DataFrame:
        """Return one metric: ``mean, low, high, unit``, one row per strategy.

        >>> comparison["mean_latency"].loc["callback", "mean"]  # doctest: +SKIP
        """
        metrics.check_metric(metric, self.scenario)
        rows = self.table[self.table["metric"] == metric].set_index("strategy")
        return rows[["mean", "low", "high", "unit"]]

    def findings(self) -> list[str]:
        """Return what matters most, in a few sentences with numbers and intervals.

        What is overloaded, which waits never resume, who resumes earlier, by how much and at which
        step, what it costs, and what does not differ. One replication has no interval, and so
        shows overloads only.
        """
        return [f"{one.text[0].upper()}{one.text[1:]}." for one in self._claims]

    @cached_property
    def _claims(self) -> list[Claim]:
        def paired(metric: str, one: str, other: str) -> statistics.Interval:
            values = self._values(other, metric), self._values(one, metric)
            return statistics.paired_interval(*values, self.confidence)

        def at(step: str, one: str, other: str) -> statistics.Interval:
            late = [self._of_step(step, "mean_latency", label) for label in (other, one)]
            return statistics.paired_interval(late[0], late[1], self.confidence)

        days = (self.scenario.length - self.warm_up) / DAY
        facts = Facts(
            self.strategies,
            list(self._metrics),
            lambda metric, label: self._intervals[metric, label][0],
            paired,
            self._metrics["cost"].unit if "cost" in self._metrics else "",
            days if days >= 1 else 0.0,
            self._loads,
            {step: partial(at, step) for step, _, _ in self._steps},
            self.loses_none,
        )
        return claims(facts) if self.replications > 1 else list(overloads(facts))

    def quantiles(self, qs: Sequence[float] = (0.5, 0.95, 0.99)) -> pd.DataFrame:
        """Return quantiles of the resume latency, of resumed waits and of all armed waits.

        A quantile over resumed waits alone looks better the more waits are lost; among all armed
        waits those that never resumed count as infinitely late.

        One row per strategy, quantile and kind of waits: ``strategy, q, of, waits`` (their number),
        ``never`` (resumed), ``estimate`` (seconds, all replications together), ``low`` (0 where no
        lower end is known), ``high, interval`` (how it was found, see
        `asyncsim.experiment.statistics.replicated_quantile`), ``note``.
        """
        if not isinstance(qs, (list, tuple, np.ndarray)):
            raise scenario_error("qs", "must be a list such as [0.5, 0.95]", qs)
        rows = []
        for label, runs in self._summaries.items():
            resumed = [one.latencies for one in runs]
            armed = [np.append(one.latencies, np.full(one.unresumed, np.inf)) for one in runs]
            for q in qs:
                for kind, samples in (("resumed waits", resumed), ("all armed waits", armed)):
                    found = statistics.replicated_quantile(samples, q, self.confidence)
                    head = label, q, kind, sum(map(len, samples)), self._waits[label].unresumed
                    low = 0.0 if found.low == -math.inf else found.low
                    rows.append((*head, found.value, low, found.high, found.method, found.note))
        columns = ["strategy", "q", "of", "waits", "never", "estimate", "low", "high"]
        return pd.DataFrame(rows, columns=[*columns, "interval", "note"])

    @cached_table
    def table(self) -> pd.DataFrame:
        """One row per metric and strategy.

        ``metric``, ``unit, strategy, mean, low, high`` over replications;
        ``difference, difference_low, difference_high`` to the first strategy, paired by
        replication; ``n`` replications that had the metric; ``meaning``.
        """
        rows = []
        for (name, label), (mean, gap) in self._intervals.items():
            unit, meaning = self._metrics[name]
            gaps = (gap.mean, gap.low, gap.high) if gap else (math.nan,) * 3
            rows.append((name, unit, label, mean.mean, mean.low, mean.high, *gaps, mean.n, meaning))
        columns = ["metric", "unit", "strategy", "mean", "low", "high"]
        gap_columns = ["difference", "difference_low", "difference_high"]
        return pd.DataFrame(rows, columns=[*columns, *gap_columns, "n", "meaning"])

    @cached_property
    def _intervals(self) -> dict[tuple[str, str], MeanAndGap]:
        """Interval of every metric and strategy, and of its paired difference to the first."""
        found: dict[tuple[str, str], MeanAndGap] = {}
        for name in self._metrics:
            first = self._values(self.strategies[0], name)
            for k, label in enumerate(self.strategies):
                values = self._values(label, name)
                gap = statistics.paired_interval(first, values, self.confidence) if k else None
                found[name, label] = statistics.mean_interval(values, self.confidence), gap
        return found

    @cached_table
    def summary(self) -> pd.DataFrame:
        """The main metrics as texts ``mean ± half-width``: one row each, strategies across.

        The last rows are paired differences to the first strategy.
        """
        rows = {self._heading(name) + suffix: texts for name, suffix, texts in self._rows}
        return pd.DataFrame.from_dict(rows, orient="index", columns=self.strategies)

    @cached_property
    def _rows(self) -> list[tuple[str, str, list[str]]]:
        """Rows of the summary: metric, suffix of its heading, and a text per strategy."""
        rows, units = [], {name: one.unit for name, one in self._metrics.items()}
        for name in filter(units.__contains__, SHOWN):
            means = [self._intervals[name, s][0] for s in self.strategies]
            if name not in IF_ANY or any(one.mean > 0 for one in means):
                rows.append((name, "", [one.of_metric(name, units[name]) for one in means]))
        for name in filter(units.__contains__, PAIRED if len(self.strategies) > 1 else ()):
            gaps = [self._intervals[name, s][1] for s in self.strategies]
            texts = [gap.of_metric(name, units[name]) if gap else "(first)" for gap in gaps]
            rows.append((name, ", difference", texts))
        return rows

    @property
    def _metrics(self) -> dict[str, metrics.MetricInfo]:
        return metrics.metrics_of(self.scenario)

    def _heading(self, name: str) -> str:
        lossy = any(one.unresumed for one in self._waits.values())
        unit = self._metrics[name].unit  # those of durations stand with the numbers
        return metrics.metric_in_words(name, lossy) + (
            "" if unit in ("1", *metrics.SECONDS) else f" [{unit}]"
        )

    def plot(self, *parts: str, size: str = "page") -> Picture:
        """Draw the comparison, or parts of it.

        Parameters
        ----------
        parts
            By default all, in this order: ``"latency"`` (its distribution), ``"overhead"`` (against
            latency) and ``"open waits"`` (while those of a night drain).
        size
            ``"page"`` (850 pixels wide) or ``"slide"`` (16:9, with larger type).
        """
        asked = {choice("parts", one, self.parts) for one in parts} or self.parts
        found = plots.Compared(
            {label: self.latencies(label) for label in self.strategies},
            {label: waits.armed for label, waits in self._waits.items()},
            self._points,
            self._theory,
            {label: run.open_waits for label, run in self._first.items()},
        )
        title = f"{self.scenario.name}, {self._times}"
        return plots.comparison(size, title, found, [part for part in self.parts if part in asked])

    @property
    def _theory(self) -> dict[str, pd.DataFrame]:
        """Closed forms of polling between the shortest and the longest interval, by anchor.

        They hold for one asynchronous step at a service with unlimited lanes.
        """
        calls = [node for node in Graph.of(self.scenario.process).nodes if isinstance(node, Call)]
        link = single_link(self.scenario.systems[calls[0].step.system]) if len(calls) == 1 else None
        if not isinstance(link, Service) or link.lanes is not None or calls[0].step.timeout:
            return {}
        intervals: dict[str, list[float]] = {}
        for run in self._first.values():
            known = specification_of(run.strategy)
            grid = known.checks if known and known.deliveries is None else None
            if isinstance(grid, Grid) and grid == Grid(grid.interval, grid.anchor):
                intervals.setdefault(grid.anchor, []).append(grid.interval)
        lines = {}
        for anchor, ends in intervals.items():
            between = np.geomspace(min(ends), max(ends), THEORY_POINTS).tolist()
            forms = [
                expected(StrategySpecification(Grid(t, anchor)), link.item_time) for t in between
            ]
            rows = [(one.latency, one.checks) for one in forms if one]
            if rows and len(ends) > 1:
                name = f"closed form of polling{' (' + anchor + ')' if len(intervals) > 1 else ''}"
                lines[name] = pd.DataFrame(rows, columns=["latency", "requests"])
        return lines

    @property
    def _points(self) -> pd.DataFrame:
        """Mean latency and requests per wait of each strategy, with the ends of their intervals."""
        points = {}
        for label, waits in self._waits.items():
            armed = np.array(self._values(label, "armed"))
            per_wait = self._values(label, "requests") / np.where(armed > 0, armed, np.nan)
            requests = statistics.mean_interval(per_wait, self.confidence)
            late = self._intervals["mean_latency", label][0]
            points[label] = {
                "latency": late.mean,
                "latency_low": late.low,
                "latency_high": late.high,
                "requests": requests.mean,
                "requests_low": requests.low,
                "requests_high": requests.high,
                "unresumed_share": waits.unresumed_share,
            }
        return pd.DataFrame.from_dict(points, orient="index")

    @property
    def _times(self) -> str:
        n = self.replications
        return f"{n} replication{'s' if n > 1 else ''}"

    @property
    def _note(self) -> tuple[str, str]:
        """What was played, and what is shown of it."""
        without = ""
        if self.warm_up:
            waits = max(sum(one.left_out for one in runs) for runs in self._summaries.values())
            without = f"; without a warm-up of {text_of(self.warm_up)} each ({waits:,} waits)"
        played = f"{self._times} of {length_in_words(self.scenario.length)}, seed {self.seed}"
        interval = f"mean ± half-width of the {percent(self.confidence)} interval"
        return f"{played}{without}", interval

    def __repr__(self) -> str:
        head = f"{self.scenario.name}: {', '.join(self._note)}"
        steps = self._steps_in_words
        more = ["", steps.to_string(index=False), ""] if len(steps) else []
        return "\n".join([*self.findings(), head, self.summary.to_string(), *more, *self.notes])

    def _repr_html_(self) -> str:
        return self.report_html(self.findings(), " Hover over a row for its meaning.")

    def report_html(self, findings: Sequence[str] = (), hint: str = "") -> str:
        """Return the table of means as HTML for a report, which has the findings elsewhere."""
        note = f"{'; '.join(self._note)}.{hint}"
        rows = [
            (self._heading(name) + suffix, self._metrics[name].meaning, texts)
            for name, suffix, texts in self._rows
        ]
        steps = self._steps_in_words
        body = findings_html(findings) + metrics_html(self.strategies, rows)
        if len(steps):
            body += "<p><b>By step</b></p>"
            body += cells_html(list(steps.columns), steps.to_numpy().tolist())
        return result_html(self.scenario.name, body, note, self.notes)


def compare(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    replications: int | None = None,
    precision: float | None = None,
    within: DurationLike | None = None,
    metric: str = METRIC,
    most_replications: int = 200,
    warm_up: DurationLike | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    engine: str = "auto",
    n_jobs: int = 1,
    profile: str | Profile | None = None,
    progress: bool = True,
) -> Comparison:
    """Play a scenario under several strategies on the same random numbers.

    Parameters
    ----------
    scenario, strategies
        What is played, and how its steps wait; strategies are compared with the first.
    replications
        By default 10, or as many as `precision` needs (it is then the least number).
    precision
        Continue until the half-width of the interval of `metric` is at most this share of its mean
        under every strategy, by the rule of `asyncsim.experiment.precision`.
    within
        In place of it, for means near zero: the half-width in the metric's unit (``"5s"``).
    metric
        The metric that `precision` or `within` is about, a name of
        `asyncsim.engine.metrics.METRICS`.
    most_replications
        Upper limit with `precision` or `within`.
    warm_up
        Leave this much of each run out of every metric (``"2 days"``), if a scenario of many days
        begins empty; `asyncsim.steady_state` finds how long. Instances that arrived in it are not
        counted, and metrics of whole runs (`longest_queue`, `connection_time`) are NaN. Pictures
        of a single run show all of it.
    seed, confidence
        Key of the random numbers, and level of every interval.
    engine, profile
        As in `asyncsim.simulate`.
    n_jobs
        Number of processes, -1 for one per processor; the result does not depend on it. Define your
        own classes at the level of a module, and on Windows or macOS begin a script with
        ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Warns
    -----
    CensoredWarning
        If waits were still open when runs stopped, with their number per strategy.
    PrecisionWarning
        If `precision` was not reached within `most_replications`.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> found = sim.compare(scenario, [sim.Callback("50ms")], replications=2, progress=False)
    >>> found.strategies
    ['callback']
    """
    check_scenario(scenario)
    scenario = scenario.with_profile(profile)
    statistics.check_confidence(confidence)
    by_label = labelled(strategies)
    rules: list[Precision] = []
    unit = metrics.metrics_of(scenario)[metrics.check_metric(metric, scenario)].unit
    wanted = argument("replications", 10 if replications is None else replications, count)
    most = argument("most_replications", most_replications, count)
    if precision is not None or within is not None:
        goal = target(precision, within, unit)
        least = FEWEST if replications is None else max(FEWEST, wanted)
        rules = [
            Precision(goal, confidence, first=least, name=f"`{metric}` under {label}")
            for label in by_label
        ]
        most = max(most, least)
        wanted = min(max(rule.still for rule in rules), most)
    elif metric != METRIC:
        raise scenario_error("metric", "goes with precision or within, which it is for", metric)
    begin = 0.0
    if warm_up is not None:
        begin = warm_up_of("warm_up", warm_up, scenario, RESOLUTION)
        if rules and metric in WHOLE_RUN:
            raise scenario_error("metric", "must be known without the warm-up as well", metric)
    plan = Replications(scenario, tuple(by_label.values()), key_part("seed", seed), engine)
    keep = partial(RunSummary.of, warm_up=begin)
    first: dict[str, Run] = {}
    kept: list[list[RunSummary]] = []

    def add(summaries: list[RunSummary]) -> None:
        kept.append(summaries)
        for rule, one in zip(rules, summaries, strict=False):  # there may be no rules
            rule.add(one.metrics[metric])

    with runner(n_jobs, progress, "comparing", wanted * len(by_label)) as play:
        for label, run in zip(by_label, plan.runs(0), strict=True):
            first[label] = run  # kept whole, so this replication is played in this process
            play.bar.update()
        add([keep(run) for run in first.values()])
        while len(kept) < wanted:
            for summaries in play.collect(plan, keep, range(len(kept), wanted)):
                add(summaries)
            if rules:
                wanted = min(len(kept) + max(rule.still for rule in rules), most)
                play.bar.total = wanted * len(by_label)
    by_strategy = dict(zip(by_label, zip(*kept, strict=True), strict=True))
    comparison = Comparison(scenario, seed, confidence, begin, by_strategy, first)
    warn_censored(comparison.open_notes)
    if rules:
        hint = "; raise most_replications, or accept the intervals"
        warn_missed(dict(zip(by_label, rules, strict=True)), metric, unit, hint)
    return comparison
