"""Runs at values of one field, all on the same random numbers, played once when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import pandas as pd
from attrs import frozen

from asyncsim.engine.arguments import check_played
from asyncsim.engine.simulate import check_engine
from asyncsim.errors import ScenarioError
from asyncsim.model.described import refuse
from asyncsim.model.draws import key_part
from asyncsim.model.quantities import Refused, count
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.study.capacity.axis import Axis
from asyncsim.study.capacity.target import Measure, interval_of, never_resumed
from asyncsim.study.points import made, swept_labels
from asyncsim.study.progress import progress_bar
from asyncsim.study.replications import Outcome, Replications, jobs, labelled, mapping
from asyncsim.study.statistics import Interval, mean_interval

Map = Callable[[Callable[[int], list[Outcome]], Iterable[int]], Iterator[list[Outcome]]]


@frozen
class Effort:
    """How much is played, and how: what every question lets one choose.

    Parameters
    ----------
    replications
        Runs of each value that is tried.
    seed, engine, n_jobs
        As in `asyncsim.compare`.
    confidence
        Of all intervals.
    progress
        Show a progress bar.
    """

    replications: int = 20
    seed: int = 0
    engine: str = "auto"
    n_jobs: int = 1
    confidence: float = 0.95
    progress: bool = True

    def __attrs_post_init__(self) -> None:
        try:
            if count(self.replications) < 2:
                raise Refused("must be 2 or more: one run has no interval")
        except Refused as problem:
            raise refuse("replications", problem, self.replications) from None
        key_part("seed", self.seed)
        check_engine(self.engine)
        jobs(self.n_jobs)
        mean_interval([], self.confidence)


class Options(TypedDict, total=False):
    """The keywords of `Effort`."""

    replications: int
    seed: int
    engine: str
    n_jobs: int
    confidence: float
    progress: bool


class Trials:
    """What was measured at the values of a field that were tried.

    Parameters
    ----------
    scenario, strategies
        What is played, and how its steps wait.
    axis
        The field.
    measure
        What is measured of each run.
    effort
        How much is played.
    each
        A function like `map`.
    bar
        A progress bar, which is told of every run.
    """

    def __init__(
        self,
        scenario: Scenario,
        strategies: Sequence[Strategy],
        axis: Axis,
        measure: Measure,
        effort: Effort,
        each: Map,
        bar: Any,
    ) -> None:
        self.scenario = scenario
        self.strategies = tuple(strategies)
        self.axis = axis
        self.measure = measure
        self.effort = effort
        self._each = each
        self._bar = bar
        self._found: dict[float, list[list[float]]] = {}
        self.never = 0
        """Waits that never resumed, over all runs."""

    def at(self, x: float) -> list[list[float]]:
        """Return the measure at a value, by strategy and replication."""
        if x not in self._found:
            changes = {self.axis.field: self.axis.written(x)}
            scenario, strategies = made(self.scenario, self.strategies, changes)
            effort = self.effort
            plan = Replications(scenario, strategies, effort.seed, effort.engine)
            found: list[list[float]] = [[] for _ in strategies]
            for outcomes in self._each(plan.outcomes, range(effort.replications)):
                for values, outcome in zip(found, outcomes, strict=True):
                    values.append(self.measure.of_run(outcome))
                    self.never += never_resumed(outcome)
                self._bar.update(len(outcomes))
            self._found[x] = found
            if all(math.isnan(value) for values in found for value in values):
                raise ScenarioError(
                    f"{self.measure.figure} was seen in no run at {self.axis.field} = "
                    f"{self.axis.shown(x)}: does any step wait there?"
                )
        return self._found[x]

    def interval(self, x: float, strategy: int = 0) -> Interval:
        """Return mean and interval at a value."""
        return interval_of(self.at(x)[strategy], self.effort.confidence)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the strategies, without what is changed in them."""
        return swept_labels(labelled(self.strategies), [self.axis.field])

    @property
    def values(self) -> list[float]:
        """The values that were tried, in order."""
        return sorted(self._found)

    def notes(self) -> list[str]:
        """Return what is to be said of waits that never resumed."""
        if not self.never:
            return []
        if any(math.inf in values for found in self._found.values() for values in found):
            return [
                f"{self.never:,} waits never resumed (timed out, or lost without a safety poll); "
                "they count as infinitely late, and one of them makes a mean infinite"
            ]
        figure = self.measure.figure
        said = (
            f"; {figure} counts their lateness until they timed out or were given up"
            if self.measure.charges_lateness
            else f", of which {figure} says nothing"
        )
        return [f"{self.never:,} waits never resumed in these runs{said}"]

    def table(self) -> pd.DataFrame:
        """One row per value and strategy: ``value, x, strategy, mean, low, high, n``."""
        rows = []
        for x in self.values:
            for k, label in enumerate(self.labels):
                found = self.interval(x, k)
                row = (self.axis.written(x), x, label, found.mean, found.low, found.high, found.n)
                rows.append(row)
        columns = ["value", "x", "strategy", "mean", "low", "high", "n"]
        return pd.DataFrame(rows, columns=columns)


@contextmanager
def trials(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    axis: Axis,
    measure: Measure,
    effort: Effort,
    desc: str,
) -> Iterator[Trials]:
    """Give trials that play on as many processes as wanted, under a progress bar."""
    for strategy in strategies:
        check_played(scenario, strategy, None)
    bar = progress_bar(effort.progress, unit="run", desc=desc)
    with bar, mapping(jobs(effort.n_jobs)) as each:
        yield Trials(scenario, strategies, axis, measure, effort, each, bar)
