"""How many replications are enough: the rule of Hoad, Robinson and Davies.

K. Hoad, S. Robinson, R. Davies (2010), Automated selection of the number of replications for a
discrete-event simulation, Journal of the Operational Research Society 61, 1632-1644.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from attrs import define, field, frozen

from asyncsim import plots
from asyncsim.engine.metrics import (
    check_metric,
    metric_in_words,
    metric_scale,
    metric_text,
    metrics_of,
)
from asyncsim.engine.simulation import check_scenario
from asyncsim.errors import PrecisionWarning, ScenarioError, warn
from asyncsim.experiment import replications
from asyncsim.experiment.simulate import check_engine
from asyncsim.experiment.statistics import Interval, check_confidence, student_t
from asyncsim.model import units
from asyncsim.model.html import findings_html, result_html
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.validation import argument, scenario_error
from asyncsim.model.words import with_unresumed

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

FEWEST = 5  # replications that a target needs at least (the paper begins with 3)
LOOK_AHEAD = 5  # further replications that must confirm it, as the paper recommends
TIMES = ("s", "worker s")  # units of metrics whose target may be written as a duration


class PrecisionTarget(NamedTuple):
    """Largest half-width of an interval: as a share of the mean, or in the metric's unit."""

    share: float | None = None
    within: float = math.nan

    def text(self, metric: str, unit: str) -> str:
        """Return it in words."""
        if self.share is not None:
            return f"precision of ± {units.percent(self.share)}"
        return f"precision of ± {metric_text(metric, self.within, unit)}"


def target(precision: object, within: object, unit: str) -> PrecisionTarget:
    """Return the target that a user gave, checked: a share, or a half-width in a metric's unit."""
    if (precision is None) == (within is None):
        raise ScenarioError(
            "give precision (a share of the mean, such as 0.05) or within (a half-width such as "
            f"'5s'), one of them; got precision={precision!r}, within={within!r}"
        )
    try:
        if within is not None:
            found = units.positive_duration(within) if unit in TIMES else units.number(within)  # type: ignore[arg-type]
            if found <= 0:
                raise units.InvalidValue("must be positive")
            return PrecisionTarget(within=found)
        share = units.number(precision)
        if not 0 < share < 1:
            raise units.InvalidValue("must be a share between 0 and 1")
        return PrecisionTarget(share=share)
    except units.InvalidValue as problem:
        if within is not None:
            raise scenario_error("within", problem, within) from None
        in_words = units.share_hint(precision) if isinstance(precision, str) else ""
        hint = in_words or "; a half-width in the metric's own unit is within="
        raise scenario_error(
            "precision", units.InvalidValue(str(problem), hint), precision
        ) from None


class PrecisionStep(NamedTuple):
    """State of the rule after n replications."""

    n: int
    value: float
    mean: float
    half_width: float
    share: float  # half-width as a share of the mean; NaN where there is none


@define
class Precision:
    """Takes the metric of one replication after the other and decides when there are enough.

    After n replications with mean m and standard deviation s the interval's half-width is
    h = t(n-1) s / √n and its share of the mean d = h / abs(m). The number of replications is the
    first n with d ≤ wanted that stays so for a further k·max(n, 100)/100 ones, k = 5: with few
    values the interval may be narrow by chance (Hoad, Robinson and Davies 2010).
    `first` is the least number of replications, `look_ahead` the k above, `name` that of the metric
    in errors. A share of a mean that is zero while the values are not raises a `ScenarioError`.
    """

    wanted: PrecisionTarget
    confidence: float = 0.95
    first: int = field(default=FEWEST, kw_only=True)
    look_ahead: int = field(default=LOOK_AHEAD, kw_only=True)
    name: str = field(default="the metric", kw_only=True)
    steps: list[PrecisionStep] = field(init=False, factory=list)
    known: int = field(init=False, default=0)  # replications that had the metric
    _mean: float = field(init=False, default=0.0)
    _squares: float = field(init=False, default=0.0)
    _since: tuple[int, int] | None = field(init=False, default=None)

    def add(self, value: float) -> None:
        """Take the metric of the next replication."""
        n = len(self.steps) + 1
        if math.isnan(value):
            last = self.steps[-1] if self.steps else PrecisionStep(0, *[math.nan] * 4)
            self.steps.append(last._replace(n=n, value=value))
            return
        self.known += 1
        off = value - self._mean  # Welford (1962): no cancellation
        self._mean += off / self.known
        self._squares += off * (value - self._mean)
        half = math.nan
        if self.known > 1:
            deviation = math.sqrt(self._squares / (self.known - 1))
            half = student_t(self.confidence, self.known - 1) * deviation / math.sqrt(self.known)
        share = half / abs(self._mean) if self._mean else (math.nan if half else 0.0)
        self.steps.append(PrecisionStep(n, value, self._mean, half, share))
        if self.known < self.first:
            return
        if not self._narrow(self.steps[-1]):
            self._since = None
        elif self._since is None:
            self._since = n, self.known

    def _narrow(self, step: PrecisionStep) -> bool:
        if self.wanted.share is None:
            return step.half_width <= self.wanted.within
        if math.isnan(step.share) and not math.isnan(step.half_width):
            raise ScenarioError(
                f"precision is a share of the mean, and the mean of {self.name} is zero after "
                f"{step.n} replications; give a half-width in its own unit, such as within='5s'"
            )
        return step.share <= self.wanted.share

    @property
    def number(self) -> int | None:
        """The first number of replications from which the interval has been narrow enough."""
        return None if self._since is None else self._since[0]

    @property
    def enough(self) -> bool:
        """Whether that was confirmed by the further replications."""
        return self._since is not None and not self.still

    @property
    def still(self) -> int:
        """Least number of further replications before there can be enough."""
        begin = self._since[1] if self._since else max(self.known + 1, self.first)
        return max(begin + self.look_ahead * max(begin, 100) // 100 - self.known, 0)

    def shortfall(self, label: str, metric: str, unit: str) -> str:
        """Return how far the target was missed, in words."""
        if not self.known:
            return f"{label}: no replication had it"
        if self.number is not None:
            return f"{label}: reached after {self.number}, but not confirmed by enough further ones"
        *_, half_width, share = self.steps[-1]
        if self.wanted.share is None:
            return f"{label}: ± {metric_text(metric, half_width, unit)}"
        if share < 1:
            return f"{label}: ± {units.percent(share)}"
        return (
            f"{label}: the mean cannot be distinguished from zero, so a share of it makes no "
            "sense; give within= instead"
        )


def warn_missed(rules: dict[str, Precision], metric: str, unit: str, hint: str = "") -> None:
    """Warn if a target was missed, with the reasons by strategy."""
    missed = {label: rule for label, rule in rules.items() if not rule.enough}
    if missed:
        rule = next(iter(missed.values()))
        reasons = "; ".join(one.shortfall(label, metric, unit) for label, one in missed.items())
        wanted = f"{rule.wanted.text(metric, unit)} of the {metric_in_words(metric)}"
        text = f"the {wanted} was not reached in {len(rule.steps)} replications ({reasons}){hint}"
        warn(text, PrecisionWarning)


@frozen(eq=False)
class NeededReplications:
    """How many replications each strategy needs; made by `asyncsim.replications_for`."""

    scenario: Scenario
    metric: str
    seed: int
    confidence: float
    _rules: dict[str, Precision]
    _waits: dict[str, replications.WaitCounts]

    @property
    def unit(self) -> str:
        """Of the metric."""
        return metrics_of(self.scenario)[self.metric].unit

    @property
    def _target(self) -> str:
        return next(iter(self._rules.values())).wanted.text(self.metric, self.unit)

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies."""
        return list(self._rules)

    @property
    def replications(self) -> int:
        """Number of replications played, of the strategy that was played most."""
        return max(len(rule.steps) for rule in self._rules.values())

    @property
    def notes(self) -> list[str]:
        """Warnings: waits that were still open when runs stopped."""
        return replications.censored(
            {label: waits.censored for label, waits in self._waits.items()}
        )

    @property
    def _shares(self) -> dict[str, float]:
        return {label: waits.unresumed_share for label, waits in self._waits.items()}

    @property
    def _lossy(self) -> bool:
        return any(share > 0 for share in self._shares.values())

    @property
    def numbers(self) -> dict[str, int | None]:
        """The number of replications by strategy; None where it was not reached."""
        return {label: rule.number if rule.enough else None for label, rule in self._rules.items()}

    @property
    def number(self) -> int | None:
        """Enough for every strategy; None if one of them was not reached."""
        known = [n for n in self.numbers.values() if n is not None]
        return max(known) if len(known) == len(self._rules) else None

    @property
    def table(self) -> pd.DataFrame:
        """One row per strategy and replication, the confirming ones included.

        ``strategy, n, value, mean, low, high, share``: of the first n replications the mean, the
        ends of its interval and its half-width as a share of it.
        """
        rows = pd.DataFrame(
            [(label, *step) for label, rule in self._rules.items() for step in rule.steps],
            columns=["strategy", *PrecisionStep._fields],
        )
        rows["low"] = rows["mean"] - rows["half_width"]
        rows["high"] = rows["mean"] + rows["half_width"]
        return rows[["strategy", "n", "value", "mean", "low", "high", "share"]]

    def plot(self, size: str = "page") -> Picture:
        """Draw mean and interval over the number of replications, and where it was reached.

        `size` is ``"page"`` or ``"slide"``.
        """
        tables = {
            with_unresumed(str(label), self._shares[str(label)]): (
                table, self.numbers[str(label)]
            )
            for label, table in self.table.groupby("strategy", sort=False)
        }  # fmt: skip
        title = f"{self.scenario.name}, {self._target}"
        scale = metric_scale(self.metric, self.unit, self._lossy)
        return plots.cumulative_means(size, title, tables, scale)

    def findings(self) -> list[str]:
        """Return how many replications each strategy needs, and the metric after them."""
        found = []
        for label, rule in self._rules.items():
            n = self.numbers[label]
            at = rule.steps[(n or len(rule.steps)) - 1]
            clause = Interval(at.mean, at.half_width, at.n).measured(self.metric, self.unit)
            never = self._shares[label]
            lost = f"; {units.percent(never)} of its waits never resume" if never > 0 else ""
            needs = f"needs {n} replications for a {self._target}"
            if n is None:
                needs = f"does not reach the {self._target} in {len(rule.steps)} replications"
            found.append(f"'{label}' {needs}: {clause}{lost}.")
        return found

    @property
    def _head(self) -> list[str]:
        """What is in the sentences, and which metrics were constant."""
        played = ", ".join(f"{len(rule.steps)} under {one}" for one, rule in self._rules.items())
        note = (
            f"{self.scenario.name}: {metric_in_words(self.metric, self._lossy)}; "
            f"{units.percent(self.confidence)} intervals, replications played: {played}"
        )
        same = [label for label, rule in self._rules.items() if rule.steps[-1].half_width == 0]
        constant = "all values were equal, so nothing is known of what is rarer than that"
        return [note, f"{' and '.join(same)}: {constant}"] if same else [note]

    def __repr__(self) -> str:
        return "\n".join([*self.findings(), *self._head, *self.notes])

    def _repr_html_(self) -> str:
        note = "<br>".join(map(escape, self._head))
        return result_html(self.scenario.name, findings_html(self.findings()), note, self.notes)


def replications_for(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    precision: float | None = None,
    within: units.DurationLike | None = None,
    metric: str = "mean_latency",
    most_replications: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    engine: str = "auto",
    n_jobs: int = 1,
    progress: bool = True,
) -> NeededReplications:
    """Find how many replications a metric needs for a given precision under each strategy.

    The rule is that of Hoad, Robinson and Davies (2010), see `asyncsim.experiment.precision`. A
    strategy is not played further once it has enough, so its number does not depend on the others.

    Parameters
    ----------
    scenario, strategies
        What is played, and how its steps wait.
    precision
        Half-width of the interval as a share of the mean; 0.05 if `within` is not given either.
    within
        The half-width itself, in the unit of the metric (``"5s"``).
    metric
        The metric, a name of `asyncsim.engine.metrics.METRICS`.
    most_replications
        Upper limit.
    seed, confidence, engine, n_jobs, progress
        As in `asyncsim.compare`.

    Raises
    ------
    ScenarioError
        If an argument is invalid, or a share is wanted of a mean that is zero.

    Warns
    -----
    PrecisionWarning
        If the target was not reached.
    CensoredWarning
        If waits were still open when runs stopped.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="outside",
    ...     process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    ...     arrivals=sim.UniformArrivals(50),
    ... )
    >>> needed = sim.replications_for(
    ...     scenario, [sim.Polling("5min")], precision=0.2, metric="p95_latency", progress=False
    ... )
    >>> needed.numbers
    {'polling 5 min': 5}
    """
    check_scenario(scenario)
    check_engine(engine)
    check_confidence(confidence)
    unit = metrics_of(scenario)[check_metric(metric, scenario)].unit
    goal = target(0.05 if precision is None and within is None else precision, within, unit)
    most = argument("most_replications", most_replications, units.count)
    if most < FEWEST:
        raise scenario_error("most_replications", f"must be {FEWEST} or more", most)
    todo, seed = replications.labelled(strategies), key_part("seed", seed)
    rules = {label: Precision(goal, confidence, name=f"{metric} under {label}") for label in todo}
    waits, so_far = {label: replications.WaitCounts() for label in todo}, 0
    with replications.runner(n_jobs, progress, "replications") as play:
        while todo and so_far < most:
            plan = replications.Replications(scenario, tuple(todo.values()), seed, engine)
            # No strategy can have enough before these, so none is played more than it needs
            stop = min(so_far + min(rules[label].still for label in todo), most)
            for summaries in play.collect(plan, replications.RunSummary.of, range(so_far, stop)):
                for label, summary in zip(todo, summaries, strict=True):
                    rules[label].add(summary.metrics[metric])
                    waits[label].add(summary)
            so_far = stop
            todo = {label: one for label, one in todo.items() if not rules[label].enough}
    found = NeededReplications(scenario, metric, seed, confidence, rules, waits)
    replications.warn_censored(found.notes)
    warn_missed(rules, metric, unit)
    return found
