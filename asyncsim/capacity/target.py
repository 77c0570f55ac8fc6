"""What is measured of a run, and the bound it must keep, such as ``"p95_latency <= 60s"``.

A wait that never resumes counts as infinitely late. The metrics of a run leave such waits out; a
target that did the same would be met best by losing callbacks.
"""

from __future__ import annotations

import math
import re

import numpy as np
from attrs import frozen

from asyncsim.engine.metrics import (
    METRICS,
    check_metric,
    is_number,
    is_share,
    measured,
    metric_in_words,
    metric_text,
    metrics_of,
)
from asyncsim.errors import ScenarioError
from asyncsim.experiment.replications import RunSummary
from asyncsim.experiment.statistics import quantile
from asyncsim.model import units
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.validation import scenario_error

RIGHT = (
    "must be words such as 'p95_latency <= 60s' or 'overhead_worker_time <= 3600' (a metric is at "
    "most its bound, never at least)"
)
QUANTILES = {"median_latency": 0.5, "max_latency": 1.0}
ENDLESS = ("mean_cycle_time",)  # infinite if a wait is still open when the run stops
LATE_COSTS = ("cost", "cost_per_wait", "cost_of_lateness")  # the same, if lateness has a price
COUNTS = ("timed_out", "still_waiting", "failed")  # of unresumed waits, or of their instances
_TARGET = re.compile(r"\s*([^\W\d].*?)\s*(?:<=|=<|≤|<|\bunder\b|\bat most\b)\s*(.+?)\s*")
_LIKE_A_TARGET = re.compile(r"\s*(\S+?)\s*(>=|=>|≥|>|==?|\s)\s*(\S.*?)\s*")
_QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)_latency")


@frozen
class Measure:
    """A metric, or a quantile of the latency, in which an unresumed wait is infinitely late."""

    metric: str
    lateness_costs: bool = False

    @classmethod
    def of(cls, metric: str, scenario: Scenario) -> Measure:
        """Return the measure of a name, checked."""
        match = _QUANTILE.fullmatch(metric) if isinstance(metric, str) else None
        if not (match and 0 < float(match[1]) < 100):
            check_metric(metric, scenario)
        return cls(metric, scenario.costs is not None and scenario.costs.late_minute > 0)

    @property
    def quantile(self) -> float | None:
        """Which quantile of the latency it is, if it is one."""
        match = _QUANTILE.fullmatch(self.metric)
        return float(match[1]) / 100 if match else QUANTILES.get(self.metric)

    def unit(self, scenario: Scenario) -> str:
        """Return its unit in a scenario."""
        return metrics_of(scenario)[self.metric].unit if self.metric in METRICS else "s"

    @property
    def is_time(self) -> bool:
        """Whether it is in seconds."""
        return self.metric not in METRICS or METRICS[self.metric].unit in ("s", "worker s")

    @property
    def spare(self) -> float:
        """The share of waits that may be lost while the metric is finite: 0 for means."""
        return 0.0 if self.quantile is None else 1.0 - self.quantile

    @property
    def of_latency(self) -> bool:
        """Whether it is a mean or a quantile of the latency."""
        return self.quantile is not None or self.metric == "mean_latency"

    def measured(self, shown: str) -> str:
        """Return a clause with its value: ``"95 of 100 waits resume within 18 s"``."""
        q = self.quantile
        if q is None or q == 1.0:
            return measured(self.metric, shown)
        whole = f"{100 * q:.6g}"
        some = f"{whole} % of the waits" if "." in whole else f"{whole} of 100 waits"
        return f"{some} resume within {shown}"

    def again(self, shown: str) -> str:
        """Return a clause with another value of it: ``"within 57 s"``, ``"it is 57 s"``."""
        if self.quantile not in (None, 1.0):
            return f"within {shown}"
        return f"there are {shown}" if is_number(self.metric) else f"it is {shown}"

    @property
    def _endless(self) -> bool:
        return self.metric in ENDLESS or (self.lateness_costs and self.metric in LATE_COSTS)

    def of_run(self, summary: RunSummary) -> float:
        """Return its value in a run; NaN if there was nothing to measure."""
        metrics, never = summary.metrics, summary.unresumed
        if self.quantile is not None:
            return quantile_of_all(summary.latencies, never, self.quantile)
        if self.metric == "mean_latency" and never:
            return math.inf
        return math.inf if metrics["still_waiting"] and self._endless else metrics[self.metric]

    def unresumed_notes(self, ended: int, still_waiting: int) -> list[str]:
        """Return how the metric counts waits that ended without resuming or are still open."""
        never, name = ended + still_waiting, f"the {metric_in_words(self.metric)}"
        if not never or self.metric in COUNTS:
            return []
        if self.of_latency:
            many = f"more than {units.percent(self.spare)} of the waits of a replication are"
            when = many if self.spare else "one is"
            return [
                f"{never:,} waits never resumed (timed out, or lost without a safety poll); they "
                f"count as infinitely late, and {name} is infinite where {when}"
            ]
        if not self._endless:
            verb = "show" if is_number(self.metric) else "shows"
            return [
                f"{never:,} waits never resumed in these replications; {name} {verb} none of them"
            ]
        how = "they cost their lateness up to then"
        if self.metric in ENDLESS:
            how = "their instances went on and count, or failed and do not"
        notes = {
            f"{ended:,} waits timed out, were given up or cancelled; {how}": ended,
            f"{still_waiting:,} waits were still open at the end of their replications and count "
            f"as infinitely late: one makes {name} infinite": still_waiting,
        }
        return [note for note, count in notes.items() if count]

    @property
    def any_loss_note(self) -> str:
        """The note where callbacks are lost for good and the metric leaves no wait out."""
        remedy = "give the step a time-out or the strategy a safety poll"
        if self.metric in QUANTILES or self.metric == "mean_latency":
            remedy = "give the strategy a safety poll, or ask for a quantile such as `p95_latency`"
        return (
            f"any loss at all makes the {metric_in_words(self.metric)} infinite, since a callback "
            f"that is lost for good is infinitely late; {remedy}"
        )


def quantile_of_all(latencies: Floats, never: int, q: float) -> float:
    """Return a quantile over resumed waits and others that are infinitely late."""
    return quantile(np.append(latencies, np.full(never, np.inf)), q)


@frozen
class Target:
    """A measure that must not exceed a bound, which is in its unit."""

    measure: Measure
    bound: float

    @property
    def lost(self) -> float:
        """The share of waits that may be lost where it is met."""
        bounded = self.measure.of_latency and self.bound < math.inf
        return self.measure.spare if bounded else 1.0

    @classmethod
    def parse(cls, words: str, scenario: Scenario) -> Target:
        """Parse a metric, ``<=`` (or ``under``, ``at most``), and a bound in words."""
        match = _TARGET.fullmatch(words) if isinstance(words, str) else None
        if match is None:
            hint = _nearest_target(words, scenario) if isinstance(words, str) else ""
            raise scenario_error("target", units.InvalidValue(RIGHT, hint), words)
        metric = match[1].lower().replace("resume latency", "latency").replace(" ", "_")
        try:
            measure = Measure.of(metric, scenario)
        except ScenarioError as problem:
            raise ScenarioError(f"target {words!r}: {problem}") from None
        try:
            return cls(measure, _bound(match[2], measure, measure.unit(scenario)))
        except units.InvalidValue as problem:
            raise scenario_error(f"target {words!r}: the bound", problem, match[2]) from None

    def __str__(self) -> str:
        bound = units.text_of(self.bound) if self.measure.is_time else f"{self.bound:g}"
        return f"{self.measure.metric} <= {bound}"

    def in_words(self, unit: str) -> str:
        """Return it as a clause: ``"the mean latency is at most 1 min"``."""
        bound = metric_text(self.measure.metric, self.bound, unit)
        of_waits = self.measure.quantile not in (None, 1.0)
        return self.measure.measured(bound if of_waits else f"at most {bound}")


def _nearest_target(words: str, scenario: Scenario) -> str:
    """Return the hint for words that are almost a target, such as ``"60s >= p95_latency"``."""
    like = _LIKE_A_TARGET.fullmatch(words)
    if like is None:
        return ""
    metric, bound = (like[3], like[1]) if set(like[2]) & {">", "≥"} else (like[1], like[3])
    if not _QUANTILE.fullmatch(metric):
        metric = units.meant(metric, metrics_of(scenario)) or metric
    found = f"{metric} <= {bound}"
    try:
        if _TARGET.fullmatch(found) and Target.parse(found, scenario):
            return f"; did you mean {found!r}?"
    except ScenarioError:
        pass
    return ""


def _bound(text: str, measure: Measure, unit: str) -> float:
    """Return a bound in the unit of its measure; a time without a unit is in seconds."""
    try:
        plain: float | str = float(text)
    except ValueError:
        plain = text
    if measure.is_time:
        return units.number(units.duration(plain))
    if is_share(measure.metric):
        share = plain if isinstance(plain, float) else units.per_cent(plain)
        if share is None or not 0 <= share <= 1:
            hint = units.share_hint(plain) if isinstance(plain, float) else ""
            raise units.InvalidValue("must be a share such as 0.8 or 80%", hint)
        return share
    if isinstance(plain, str):
        raise units.InvalidValue(f"must be a number alone, such as 0.8; its unit is {unit}")
    return units.number(plain)
