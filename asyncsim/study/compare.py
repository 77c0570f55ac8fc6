"""Compare waiting strategies on the same random numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from attrs import define, field
from matplotlib.figure import Figure

from asyncsim import plots
from asyncsim.engine.arguments import check_played
from asyncsim.engine.figures import Figure as FigureMeaning
from asyncsim.engine.figures import figures_of
from asyncsim.engine.run import Run
from asyncsim.errors import CensoredWarning, PrecisionWarning, ScenarioError
from asyncsim.model.described import refuse
from asyncsim.model.draws import key_part
from asyncsim.model.durations import Floats
from asyncsim.model.profiles import Profile
from asyncsim.model.quantities import Refused, count, number
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback, Strategy
from asyncsim.study.progress import progress_bar
from asyncsim.study.replications import Outcome, Replications, jobs, labelled, mapping
from asyncsim.study.statistics import Interval, mean_interval, paired_interval
from asyncsim.study.summary_html import interval_text, summary_html

FEWEST = 5
"""A precision target is not believed on fewer replications than this."""
SHOWN = (
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
IF_ANY = ("timed_out", "failed")
"""Shown only where they are not zero under every strategy."""
PAIRED = ("mean_latency", "overhead_worker_time", "mean_cycle_time", "cost")
"""The figures whose differences to the first strategy stand in the short table."""


@define
class _Played:
    """What is kept of one strategy: figures of all replications, details of the first."""

    strategy: Strategy
    figures: list[dict[str, float]] = field(factory=list)
    latencies: list[Floats] = field(factory=list)
    first: Run | None = None
    censored: int = 0

    def add(self, outcome: Outcome) -> None:
        self.figures.append(outcome.figures)
        self.latencies.append(outcome.latencies)
        self.censored += outcome.censored

    def column(self, name: str) -> list[float]:
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
    """

    def __init__(
        self, scenario: Scenario, played: dict[str, _Played], seed: int, confidence: float
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.confidence = confidence
        self._played = played

    @property
    def replications(self) -> int:
        """How many replications were played."""
        return len(next(iter(self._played.values())).figures)

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, the one that the others are compared with first."""
        return list(self._played)

    def run(self, strategy: str) -> Run:
        """Return the first replication of a strategy, by its label."""
        if strategy not in self._played:
            words = ", ".join(repr(label) for label in self._played)
            raise ScenarioError(f"strategy must be one of {words}, got {strategy!r}")
        run = self._played[strategy].first
        assert run is not None
        return run

    def latencies(self, strategy: str) -> Floats:
        """Return the resume latencies of all replications of a strategy, in seconds."""
        self.run(strategy)  # names an unknown label
        return np.concatenate(self._played[strategy].latencies)

    @cached_property
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

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The main figures as texts ``mean ± half-width``: strategies across, figures down.

        The last rows are paired differences to the first strategy.
        """
        rows: dict[str, list[str]] = {}
        for name in (name for name in SHOWN if name in self._figures):
            if name in IF_ANY and not any(
                self._intervals[name, s][0].mean for s in self.strategies
            ):
                continue
            rows[self._heading(name)] = [
                interval_text(self._intervals[name, s][0]) for s in self.strategies
            ]
        paired = PAIRED if len(self.strategies) > 1 else ()
        for name in (name for name in paired if name in self._figures):
            gaps = [self._intervals[name, s][1] for s in self.strategies]
            rows[f"{self._heading(name)}, difference"] = [
                interval_text(g) if g else "(first)" for g in gaps
            ]
        return pd.DataFrame.from_dict(rows, orient="index", columns=pd.Index(self.strategies))

    @cached_property
    def _figures(self) -> dict[str, FigureMeaning]:
        return figures_of(self.scenario)

    def _heading(self, name: str) -> str:
        unit = self._figures[name].unit
        words = name.replace("_", " ")
        return words if unit == "1" else f"{words} [{unit}]"

    def plot(self) -> Figure:
        """Draw latency distribution, overhead against latency, and the load around the batch."""
        figure, axes = plots.figure(3)
        latencies = {label: self.latencies(label) for label in self.strategies}
        open_waits = {label: self.run(label).open_waits for label in self.strategies}
        armed = {label: int(sum(p.column("armed"))) for label, p in self._played.items()}
        plots.latency_distribution(latencies, axes[0], out_of=armed, legend=False)
        plots.overhead_against_latency(self._overhead_points(), axes[1], legend=False)
        plots.load_around_batch(open_waits, ax=axes[2], legend=False)
        plots.shared_legend(figure, self.strategies)
        figure.suptitle(f"{self.scenario.name}, {self._times}", x=0.01, ha="left")
        return figure

    @property
    def _times(self) -> str:
        n = self.replications
        return f"{n} replication{'s' if n > 1 else ''}"

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
                "requests": cost.mean,
                "requests_half_width": np.nan_to_num(cost.half_width),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        head = f"{self.scenario.name}: {self._times}, seed {self.seed}"
        return f"{head}, mean ± half-width of the {self.confidence:.0%} interval\n" + (
            self.summary.to_string()
        )

    def _repr_html_(self) -> str:
        note = (
            f"Replications: {self.replications}, seed {self.seed}; mean ± half-width of the "
            f"{self.confidence:.0%} interval. Hover over a row for its meaning."
        )
        return summary_html(self.scenario.name, self.summary, note)


def compare(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    replications: int | None = None,
    precision: float | None = None,
    most_replications: int = 200,
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
        How often; by default 10, or as many as `precision` needs.
    precision
        Go on until the half-width of the mean latency's interval is at most this share of it, for
        every strategy (but at least 5 replications, at most `most_replications`).
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
    """
    check_played(scenario, Callback(), None)
    scenario = scenario.with_profile(profile)
    mean_interval([], confidence)
    played = {label: _Played(one) for label, one in labelled(strategies).items()}
    wanted, most = _how_many(replications, precision, most_replications)
    n_jobs = jobs(n_jobs)
    strategies = tuple(player.strategy for player in played.values())
    plan = Replications(scenario, strategies, key_part("seed", seed), engine)
    bar = progress_bar(progress, total=wanted * len(played), unit="run", desc="comparing")
    with bar, mapping(n_jobs) as each:
        # The first replication is played here: its runs are kept, and kernels are compiled once
        _add(played, [Outcome.of(run) for run in _first_runs(plan, played)], bar)
        so_far = 1
        while so_far < wanted:
            for outcomes in each(plan.outcomes, range(so_far, wanted)):
                _add(played, outcomes, bar)
            so_far = wanted
            if precision is not None and wanted < most:
                wanted = min(_still_needed(played, precision, confidence, so_far), most)
                bar.total = wanted * len(played)
    _tell_censored(played)
    if precision is not None and _still_needed(played, precision, confidence, wanted) > wanted:
        warnings.warn(
            f"the precision of {precision:g} was not reached in {wanted} replications; "
            "raise most_replications, or be content with the intervals as they are",
            PrecisionWarning,
            stacklevel=2,
        )
    return Comparison(scenario, played, seed, confidence)


def _first_runs(plan: Replications, played: dict[str, _Played]) -> list[Run]:
    runs = plan.runs(0)
    for player, run in zip(played.values(), runs, strict=True):
        player.first = run
    return runs


def _add(played: dict[str, _Played], outcomes: list[Outcome], bar: Any) -> None:
    for player, outcome in zip(played.values(), outcomes, strict=True):
        player.add(outcome)
    bar.update(len(outcomes))


def _how_many(
    replications: int | None, precision: float | None, most_replications: int
) -> tuple[int, int]:
    try:
        most = count(most_replications)
    except Refused as problem:
        raise refuse("most_replications", problem, most_replications) from None
    try:
        if precision is None:
            return count(10 if replications is None else replications), most
        if not 0 < _share(precision) < 1:
            raise refuse("precision", "must be a share between 0 and 1", precision)
        return max(FEWEST, count(FEWEST if replications is None else replications)), most
    except Refused as problem:
        raise refuse("replications", problem, replications) from None


def _share(precision: float) -> float:
    try:
        return number(precision)
    except Refused as problem:
        raise refuse("precision", problem, precision) from None


def _still_needed(
    played: dict[str, _Played], precision: float, confidence: float, so_far: int
) -> int:
    """Return how many replications the widest interval calls for, from the variance so far."""
    needed = so_far
    for player in played.values():
        late = mean_interval(player.column("mean_latency"), confidence)
        target = precision * abs(late.mean)
        if late.half_width > target > 0:
            # The half-width shrinks with the root of n; take one step more than estimated
            needed = max(needed, math.ceil(so_far * (late.half_width / target) ** 2) + 1)
    return needed


def _tell_censored(played: dict[str, _Played]) -> None:
    open_waits = {label: player.censored for label, player in played.items() if player.censored}
    if open_waits:
        told = ", ".join(f"{n} under {label}" for label, n in open_waits.items())
        warnings.warn(
            f"waits still open when runs stopped: {told}; they have no latency and are in no "
            "average (give the step a timeout, or the strategy a safety poll)",
            CensoredWarning,
            stacklevel=3,
        )
