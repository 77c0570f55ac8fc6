"""Strategies side by side: what a comparison found, as tables, pictures and HTML.

Compare waiting strategies on the same random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from attrs import define, field

from asyncsim import plots
from asyncsim.engine.metrics import MetricInfo, metrics_of
from asyncsim.engine.run import Run
from asyncsim.experiment.notebook_html import summary_html
from asyncsim.experiment.replications import Outcome, censored
from asyncsim.experiment.statistics import (
    Interval,
    mean_interval,
    paired_interval,
    replicated_quantile,
)
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import text_of
from asyncsim.model.validation import cached_table, choice, scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from functools import partial

from asyncsim.engine.metrics import check_metric
from asyncsim.engine.result import WHOLE_RUN, warm_up_of
from asyncsim.engine.simulation import check_scenario
from asyncsim.errors import PrecisionWarning, warn
from asyncsim.experiment.precision import FEWEST, Precision, target
from asyncsim.experiment.replications import (
    Replications,
    jobs,
    labelled,
    playing,
    warn_censored,
)
from asyncsim.experiment.simulate import RESOLUTION
from asyncsim.experiment.statistics import check_confidence
from asyncsim.model.profiles import Profile
from asyncsim.model.random_streams import key_part
from asyncsim.model.units import DurationLike, count
from asyncsim.model.validation import argument

SHOWN = (
    "unresumed_share",
    "mean_latency",
    "p95_latency",
    "max_latency",
    "checks_per_wait",
    "wasted_share",
    "overhead_worker_time",
    "requests",
    "database_operations",
    "mean_cycle_time",
    "longest_queue",
    "cost",
    "cost_of_lateness",
    "timed_out",
    "failed",
    "still_waiting",
)
"""The figures of the short table; all of them are in `Comparison.table`."""
IF_ANY = ("unresumed_share", "timed_out", "failed")
"""Shown only where they are not zero under every strategy."""
PAIRED = ("mean_latency", "overhead_worker_time", "mean_cycle_time", "cost")
"""The figures whose differences to the first strategy stand in the short table."""


@define
class Played:
    """What is kept of one strategy: figures of all replications, details of the first."""

    strategy: Strategy
    figures: list[dict[str, float]] = field(factory=list)
    latencies: list[Floats] = field(factory=list)
    first: Run | None = None
    censored: int = 0
    left_out: int = 0

    def add(self, outcome: Outcome) -> None:
        """Keep the outcome of the next replication."""
        self.figures.append(outcome.figures)
        self.latencies.append(outcome.latencies)
        self.censored += outcome.censored
        self.left_out += outcome.left_out

    @property
    def unresumed(self) -> float:
        """The share of all armed waits that never resumed; NaN where none was armed."""
        armed = sum(self.column("armed"))
        return 1 - sum(map(len, self.latencies)) / armed if armed else math.nan

    def column(self, name: str) -> list[float]:
        """Return a figure of all replications."""
        return [row[name] for row in self.figures]


class Comparison:
    """Strategies side by side; made by `asyncsim.compare`.

    Attributes
    ----------
    scenario
        What was played.
    replications
        How many times.
    confidence
        Of every interval.
    warm_up
        Seconds of each run that are in no figure.
    """

    def __init__(
        self,
        scenario: Scenario,
        played: dict[str, Played],
        seed: int,
        confidence: float,
        warm_up: float = 0.0,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.confidence = confidence
        self.warm_up = warm_up
        self._played = played

    @property
    def replications(self) -> int:
        """How many replications were played."""
        return len(next(iter(self._played.values())).figures)

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, the one that the others are compared with first."""
        return list(self._played)

    @property
    def notes(self) -> list[str]:
        """What else there is to know: waits that were still open when runs stopped."""
        return censored({label: player.censored for label, player in self._played.items()})

    def run(self, strategy: str) -> Run:
        """Return the first replication of a strategy, by its label."""
        run = self._played[choice("strategy", strategy, self._played)].first
        assert run is not None
        return run

    def latencies(self, strategy: str) -> Floats:
        """Return the resume latencies of all replications of a strategy, in seconds."""
        self.run(strategy)  # names an unknown label
        return np.concatenate(self._played[strategy].latencies)

    def quantiles(self, qs: Sequence[float] = (0.5, 0.95, 0.99)) -> pd.DataFrame:
        """Return quantiles of the resume latency, of resumed waits and of all armed waits.

        A quantile over resumed waits alone looks better the more waits are lost; out of all armed
        waits those that never resumed count as infinitely late.

        Parameters
        ----------
        qs
            Which quantiles, each between 0 and 1.

        Returns
        -------
        DataFrame
            One row per strategy, quantile and kind of waits: ``strategy, q, of, waits`` (how many
            it rests on), ``never`` (how many armed waits never resumed: left out of the one, in the
            other), ``estimate`` (seconds, all replications together), ``low`` (0 where
            there is no other: no latency is negative), ``high, interval`` (how it was found, see
            `asyncsim.experiment.statistics.replicated_quantile`), ``note``.
        """
        if not isinstance(qs, (list, tuple, np.ndarray)):
            raise scenario_error("qs", "must be a list such as [0.5, 0.95]", qs)
        rows = []
        for label, played in self._played.items():
            never = [
                int(armed) - len(late)
                for armed, late in zip(played.column("armed"), played.latencies, strict=True)
            ]
            everything = [
                np.append(late, np.full(n, np.inf))
                for late, n in zip(played.latencies, never, strict=True)
            ]
            kinds = {"resumed waits": played.latencies, "all armed waits": everything}
            for q in qs:
                for kind, samples in kinds.items():
                    found = replicated_quantile(samples, q, self.confidence)
                    waits = sum(map(len, samples))
                    low = 0.0 if found.low == -math.inf else found.low
                    rows.append(
                        (label, q, kind, waits, sum(never), found.value, low, found.high,
                         found.method, found.note)
                    )  # fmt: skip
        columns = ["strategy", "q", "of", "waits", "never", "estimate", "low", "high"]
        return pd.DataFrame(rows, columns=[*columns, "interval", "note"])

    @cached_table
    def table(self) -> pd.DataFrame:
        """One row per figure and strategy.

        ``figure, unit, strategy, mean, low, high`` over replications; ``difference,
        difference_low, difference_high`` to the first strategy, paired by replication; ``n``
        replications that had the figure; ``meaning``.
        """
        rows = []
        for (name, label), (mean, gap) in self._intervals.items():
            row = {
                "figure": name,
                "unit": self._figures[name].unit,
                "strategy": label,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
                "difference": gap.mean if gap else math.nan,
                "difference_low": gap.low if gap else math.nan,
                "difference_high": gap.high if gap else math.nan,
                "n": mean.n,
                "meaning": self._figures[name].meaning,
            }
            rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def _intervals(self) -> dict[tuple[str, str], tuple[Interval, Interval | None]]:
        """Interval of every figure and strategy, and of its paired difference to the first."""
        found: dict[tuple[str, str], tuple[Interval, Interval | None]] = {}
        first = next(iter(self._played.values()))
        for name in self._figures:
            for label, played in self._played.items():
                values = played.column(name)
                gap = None
                if played is not first:
                    gap = paired_interval(first.column(name), values, self.confidence)
                found[name, label] = mean_interval(values, self.confidence), gap
        return found

    @cached_table
    def summary(self) -> pd.DataFrame:
        """The main figures as texts ``mean ± half-width``: strategies across, figures down.

        The last rows are paired differences to the first strategy.
        """
        return pd.DataFrame(
            [texts for _, _, texts in self._rows],
            index=[
                plots.heading(name, self._figures[name].unit, self._lossy) + what
                for name, what, _ in self._rows
            ],
            columns=pd.Index(self.strategies),
        )

    @cached_property
    def _rows(self) -> list[tuple[str, str, list[str]]]:
        """Rows of the summary: a figure, what of it (if not its mean), and a text per strategy."""
        rows = []
        for name in (name for name in SHOWN if name in self._figures):
            means = [self._intervals[name, s][0] for s in self.strategies]
            if name not in IF_ANY or any(one.mean > 0 for one in means):
                share = name.endswith("_share")
                rows.append((name, "", [one.percent if share else str(one) for one in means]))
        paired = PAIRED if len(self.strategies) > 1 else ()
        for name in (name for name in paired if name in self._figures):
            gaps = [self._intervals[name, s][1] for s in self.strategies]
            rows.append((name, ", difference", [str(g) if g else "(first)" for g in gaps]))
        return rows

    @property
    def _lossy(self) -> bool:
        return any(player.unresumed > 0 for player in self._played.values())

    @cached_property
    def _figures(self) -> dict[str, MetricInfo]:
        return metrics_of(self.scenario)

    def plot(self) -> Figure:
        """Draw latency distribution, overhead against latency, and the load around the batch."""
        figure, axes = plots.figure(3)
        latencies = {label: self.latencies(label) for label in self.strategies}
        open_waits = {label: self.run(label).open_waits for label in self.strategies}
        armed = {label: int(sum(p.column("armed"))) for label, p in self._played.items()}
        plots.latency_distribution(latencies, axes[0], out_of=armed, legend=False)
        plots.overhead_against_latency(self._overhead_points(), axes[1], legend=False)
        plots.load_around_batch(open_waits, ax=axes[2], legend=False)
        texts = {s: plots.with_unresumed(s, one.unresumed) for s, one in self._played.items()}
        plots.shared_legend(figure, self.strategies, texts)
        figure.suptitle(f"{self.scenario.name}, {self._times}", x=0.01, ha="left")
        return figure

    @property
    def _times(self) -> str:
        n = self.replications
        return f"{n} replication{'s' if n > 1 else ''}"

    @property
    def _warm_up_text(self) -> str:
        if not self.warm_up:
            return ""
        waits = max(player.left_out for player in self._played.values())
        return f"; without a warm-up of {text_of(self.warm_up)} each ({waits:,} waits)"

    def _overhead_points(self) -> pd.DataFrame:
        rows = {}
        for label, played in self._played.items():
            late = mean_interval(played.column("mean_latency"), self.confidence)
            armed = np.array(played.column("armed"))
            per_wait = np.array(played.column("requests")) / np.where(armed > 0, armed, np.nan)
            cost = mean_interval(per_wait, self.confidence)
            rows[label] = {
                "latency": late.mean,
                "latency_half_width": np.nan_to_num(late.half_width),
                "unresumed": played.unresumed,
                "requests": cost.mean,
                "requests_half_width": np.nan_to_num(cost.half_width),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        head = f"{self.scenario.name}: {self._times}, seed {self.seed}{self._warm_up_text}"
        head += f", mean ± half-width of the {self.confidence:.0%} interval"
        return "\n".join([head, self.summary.to_string(), *self.notes])

    def _repr_html_(self) -> str:
        note = (
            f"Replications: {self.replications}, seed {self.seed}{self._warm_up_text}; mean ± "
            f"half-width of the {self.confidence:.0%} interval. Hover over a row for its meaning."
        )
        rows = [
            (plots.heading(name, "1", self._lossy) + what, self._figures[name], texts)
            for name, what, texts in self._rows
        ]
        return summary_html(self.scenario.name, self.strategies, rows, note, self.notes)


FIGURE = "mean_latency"
"""What is to be known so well, where nobody says otherwise."""


def compare(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    replications: int | None = None,
    precision: float | None = None,
    within: DurationLike | None = None,
    figure: str = FIGURE,
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
    scenario
        What is played.
    strategies
        The strategies; the first is the one the others are compared with.
    replications
        How often; by default 10, or as many as `precision` needs (it is then the least number).
    precision
        Go on until the half-width of the interval of `figure` is at most this share of its mean
        under every strategy at once, and stays so for some replications more: the rule of
        `asyncsim.experiment.precision`, with at least 5 replications and at most
        `most_replications`.
    within
        In place of `precision`: the half-width itself, in the unit of the figure (``"5s"``), for
        means near zero, of which a share makes no sense.
    figure
        The figure that is to be known so well, a name of `asyncsim.engine.metrics.METRICS`.
    warm_up
        Leave out of every figure so much of each run (``"2 days"``), for a scenario of many days
        that begins empty and is meant to go on; `asyncsim.steady_state` finds how long it is.
        Instances that arrived in it count nowhere, load is that of the time after it, and what is
        known of whole runs only (`longest_queue`, `connection_time`) is NaN. Pictures of a single
        run show all of it.
    seed
        Key of the random numbers.
    confidence
        Of the intervals.
    engine, profile
        As in `asyncsim.simulate`.
    n_jobs
        On how many processes, -1 for one per processor; the result is the same on any number.
        Strategies and systems of your own must then be defined at the level of a module, and a
        script on Windows or macOS must stand behind ``if __name__ == "__main__":``.
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
    check_confidence(confidence)
    played = {label: Played(one) for label, one in labelled(strategies).items()}
    rules: dict[str, Precision] = {}
    check_metric(figure, scenario)
    wanted = argument("replications", 10 if replications is None else replications, count)
    most = argument("most_replications", most_replications, count)
    if precision is not None or within is not None:
        goal = target(precision, within, metrics_of(scenario)[figure].unit)
        least = FEWEST if replications is None else max(FEWEST, wanted)
        rules = {
            label: Precision(goal, confidence, first=least, name=f"{figure} under {label}")
            for label in played
        }
        most = max(most, least)
        wanted = min(_still(rules), most)
    elif figure != FIGURE:
        raise scenario_error("figure", "goes with precision or within, which it is for", figure)
    n_jobs = jobs(n_jobs)
    strategies = tuple(player.strategy for player in played.values())
    begin = 0.0
    if warm_up is not None:
        begin = warm_up_of("warm_up", warm_up, scenario, RESOLUTION)
        if rules and figure in WHOLE_RUN:
            raise scenario_error("figure", "must be known without the warm-up as well", figure)
    plan = Replications(scenario, strategies, key_part("seed", seed), engine)
    keep = partial(Outcome.of, warm_up=begin)
    with playing(n_jobs, progress, "comparing", wanted * len(played)) as play:
        first = []
        for player, run in zip(played.values(), plan.runs(0), strict=True):
            player.first = run  # which is why this replication is played in this process
            first.append(keep(run))
            play.bar.update()
        _add(played, rules, first, figure)
        so_far = 1
        while so_far < wanted:
            for outcomes in play.kept(plan, keep, range(so_far, wanted)):
                _add(played, rules, outcomes, figure)
            so_far = wanted
            if rules:
                wanted = min(so_far + _still(rules), most)
                play.bar.total = wanted * len(played)
    found = Comparison(scenario, played, seed, confidence, begin)
    warn_censored(found.notes)
    _tell_missed(rules, figure, metrics_of(scenario)[figure].unit)
    return found


def _add(
    played: dict[str, Played],
    rules: dict[str, Precision],
    outcomes: list[Outcome],
    figure: str,
) -> None:
    for (label, player), outcome in zip(played.items(), outcomes, strict=True):
        player.add(outcome)
        if rules:
            rules[label].add(outcome.figures[figure])


def _still(rules: dict[str, Precision]) -> int:
    """Return how many replications are surely needed before all strategies have enough at once."""
    return max(rule.still for rule in rules.values())


def _tell_missed(rules: dict[str, Precision], figure: str, unit: str) -> None:
    missed = {label: rule for label, rule in rules.items() if not rule.enough}
    if missed:
        rule = next(iter(missed.values()))
        told = "; ".join(one.shortfall(label) for label, one in missed.items())
        warn(
            f"the {rule.wanted.text(unit)} of {figure} was not reached in {len(rule.steps)} "
            f"replications ({told}); raise most_replications, or be content with the intervals as "
            "they are",
            PrecisionWarning,
        )
