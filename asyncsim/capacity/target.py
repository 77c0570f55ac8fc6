"""What a set-up must achieve, such as ``"p95_latency <= 60s"``."""

from __future__ import annotations

import math
import re

import numpy as np
from attrs import frozen

from asyncsim.engine.metrics import METRICS, check_figure, metrics_of
from asyncsim.errors import ScenarioError
from asyncsim.experiment.replications import RunSummary
from asyncsim.experiment.statistics import quantile
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import InvalidValue, duration, number, text_of
from asyncsim.model.validation import scenario_error

RIGHT = (
    "must be words such as 'p95_latency <= 60s' or 'overhead_worker_time <= 3600' (a figure is to "
    "be at most so much, never at least)"
)
QUANTILES = {"median_latency": 0.5, "max_latency": 1.0}
ENDLESS = ("mean_cycle_time",)
COUNTS = ("timed_out", "still_waiting", "failed")
"""Figures that count such waits themselves, or what becomes of them."""
LATE_COSTS = ("cost", "cost_per_wait", "cost_of_lateness")
"""Without end where a wait is still open when the run stops: these last if lateness has a price."""
_WORDS = re.compile(r"\s*(.+?)\s*(?:<=|<|\bunder\b|\bat most\b)\s*(.+?)\s*")
_QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)_latency")


@frozen
class Measure:
    """A figure of a run in which a wait that never resumed is infinitely late.

    The figures of a run leave such waits out; a target that did so would be met best by losing
    callbacks.

    Its cycle time is infinite too, and so is its cost, if lateness has a price. Figures of load and
    overhead cannot tell a lost callback from one that was never needed: `never` counts them.

    Attributes
    ----------
    figure
        One of `METRICS`, or any quantile of the latency: ``"p90_latency"``, ``"p99.9_latency"``.
    lateness_costs
        Whether a minute of lateness has a price.
    """

    figure: str
    lateness_costs: bool = False

    @classmethod
    def of(cls, figure: str, scenario: Scenario) -> Measure:
        """Return a measure by its name, checked."""
        match = _QUANTILE.fullmatch(figure) if isinstance(figure, str) else None
        if not (match and 0 < float(match[1]) < 100):
            check_figure(figure, scenario)
        prices = scenario.costs
        return cls(figure, prices is not None and prices.late_minute > 0)

    @property
    def quantile(self) -> float | None:
        """Which quantile of the latency it is, if it is one."""
        match = _QUANTILE.fullmatch(self.figure)
        return float(match[1]) / 100 if match else QUANTILES.get(self.figure)

    def unit(self, scenario: Scenario) -> str:
        """Return its unit in a scenario."""
        return metrics_of(scenario)[self.figure].unit if self.figure in METRICS else "s"

    @property
    def is_time(self) -> bool:
        """Whether it is in seconds."""
        return self.figure not in METRICS or METRICS[self.figure].unit in ("s", "worker s")

    @property
    def spare(self) -> float:
        """The share of waits that may never resume while the figure is finite: of means, none."""
        return 0.0 if self.quantile is None else 1.0 - self.quantile

    @property
    def lost_at_most(self) -> float:
        """The share of waits that may never resume where a target of it is met."""
        of_latency = self.quantile is not None or self.figure == "mean_latency"
        return self.spare if of_latency else 1.0

    def told(self, ended: int, still_waiting: int) -> list[str]:
        """Return whether and how the figure counts so many waits that never resumed.

        Parameters
        ----------
        ended
            Those that timed out, were given up or cancelled.
        still_waiting
            Those that were still open at the end of their run.
        """
        never, name = ended + still_waiting, self.figure
        if not never or name in COUNTS:
            return []
        if self.quantile is not None or name == "mean_latency":
            when = f"more than {self.spare:.3g} of a run's waits are" if self.spare else "one is"
            return [
                f"{never:,} waits never resumed (timed out, or lost without a safety poll); they "
                f"count as infinitely late, and {name} is infinite where {when}"
            ]
        if not self._endless:
            return [f"{never:,} waits never resumed in these runs, of which {name} says nothing"]
        late = "they cost their lateness up to then"
        gone = "their instances went on and count, or failed and do not"
        found = []
        if ended:
            how = gone if name in ENDLESS else late
            found.append(f"{ended:,} waits timed out, were given up or cancelled; {how}")
        if still_waiting:
            found.append(
                f"{still_waiting:,} waits were still open at the end of their runs and count as "
                f"infinitely late: one makes {name} infinite"
            )
        return found

    @property
    def any_loss(self) -> str:
        """What is to be said where callbacks are lost for good and it leaves no wait out."""
        mend = "give the strategy a safety poll, or ask for a quantile such as p95_latency"
        if self.figure not in QUANTILES and self.figure != "mean_latency":
            mend = "give the step a time-out or the strategy a safety poll"
        return (
            f"any loss at all makes {self.figure} infinite, since a callback that is lost for good "
            f"is infinitely late; {mend}"
        )

    @property
    def _endless(self) -> bool:
        return self.figure in ENDLESS or (self.lateness_costs and self.figure in LATE_COSTS)

    def of_run(self, summary: RunSummary) -> float:
        """Return the figure of a run; NaN if there was nothing to measure."""
        figures, never = summary.metrics, summary.unresumed
        still = int(figures["still_waiting"])
        if self.quantile is not None:
            return quantile_of_all(summary.latencies, never, self.quantile)
        if self.figure == "mean_latency" and never:
            return math.inf
        return math.inf if still and self._endless else figures[self.figure]


def quantile_of_all(latencies: Floats, never: int, q: float) -> float:
    """Return a quantile over resumed waits and others, which are infinitely late.

    Parameters
    ----------
    latencies
        Of the resumed waits.
    never
        How many waits did not resume.
    q
        From 0 to 1; between two waits it is interpolated, as `numpy.quantile` does.

    Examples
    --------
    >>> quantile_of_all(np.array([1.0, 2.0, 3.0]), 1, 0.5), quantile_of_all(np.array([1.0]), 1, 0.9)
    (2.5, inf)
    """
    if not len(latencies) + never:
        return math.nan
    return quantile(np.concatenate([latencies, np.full(never, np.inf)]), q)


@frozen
class Target:
    """A figure that must not be above a bound.

    Attributes
    ----------
    measure
        What is measured.
    most
        The bound, in the figure's unit.
    """

    measure: Measure
    most: float

    @classmethod
    def parse(cls, words: str, scenario: Scenario) -> Target:
        """Read a target.

        Parameters
        ----------
        words
            A figure, ``<=`` (or ``under``, ``at most``), and a bound: ``"p95_latency <= 60s"``,
            ``"p95 latency under 60 s"``, ``"cost <= 100"``.
        scenario
            What it is about: a cost needs prices.

        Raises
        ------
        ScenarioError
            If the words are none, or there is no such figure.
        """
        if isinstance(words, Target):
            return words
        match = _WORDS.fullmatch(words) if isinstance(words, str) else None
        if match is None:
            raise scenario_error("target", RIGHT, words)
        figure = match[1].lower().replace("resume latency", "latency").replace(" ", "_")
        try:
            measure = Measure.of(figure, scenario)
        except ScenarioError as problem:
            raise ScenarioError(f"target {words!r}: {problem}") from None
        try:
            bound = float(match[2]) if _is_number(match[2]) else None
            most = duration(match[2] if bound is None else bound) if measure.is_time else bound
            if most is None:
                unit = measure.unit(scenario)
                raise InvalidValue(f"must be a number alone, such as 0.8; its unit is {unit}")
            return cls(measure, number(most))
        except InvalidValue as problem:
            raise scenario_error(f"target {words!r}: the bound", problem, match[2]) from None

    def __str__(self) -> str:
        bound = text_of(self.most) if self.measure.is_time else f"{self.most:g}"
        return f"{self.measure.figure} <= {bound}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
