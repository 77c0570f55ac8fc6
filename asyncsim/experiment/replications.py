"""Replications, played here or on several processes.

What travels to another process is a description and a number; what comes back is figures, not
tables. Results come in the order of the replications, so they are the same on any number of
processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from attrs import define, frozen

from asyncsim.engine.metrics import compute_metrics, latencies
from asyncsim.engine.result import without_warm_up
from asyncsim.engine.run import Run
from asyncsim.errors import CensoredWarning, ScenarioError, warn
from asyncsim.experiment.parallel import processes, progress_bar
from asyncsim.experiment.simulate import RESOLUTION, played
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DurationLike, InvalidValue, count
from asyncsim.model.validation import scenario_error

STILL_OPEN = (
    "waits still open when runs stopped: {}; they have no latency and are in no average (give the "
    "step a timeout, or the strategy a safety poll)"
)
T = TypeVar("T")
R = TypeVar("R")


@frozen
class Outcome:
    """What is kept of one run."""

    figures: dict[str, float]
    latencies: Floats
    censored: int
    """Waits still open when it stopped."""
    left_out: int = 0
    """Waits of the warm-up."""

    @classmethod
    def of(cls, run: Run, warm_up: float = 0.0) -> Outcome:
        """Return the outcome of a run, without so many seconds of warm-up."""
        record = without_warm_up(run.record, warm_up)
        left_out = len(run.record.waits.row) - len(record.waits.row)
        return cls(
            compute_metrics(record, run.scenario), latencies(record), record.open_count, left_out
        )


@frozen
class Replications:
    """Strategies to be played on the same random numbers, again and again."""

    scenario: Scenario
    strategies: tuple[Strategy, ...]
    seed: int
    engine: str
    resolution: DurationLike = RESOLUTION

    def runs(self, replication: int) -> Iterator[Run]:
        """Yield a run of each strategy, on the numbers of one replication."""
        draws = self.scenario.draw(self.seed, replication)
        for strategy in self.strategies:
            yield played(
                self.scenario, strategy, draws, engine=self.engine, resolution=self.resolution
            )

    def kept(self, keep: Callable[[Run], T], replication: int) -> list[T]:
        """Play all strategies on the numbers of one replication, and keep something of each run."""
        return [keep(run) for run in self.runs(replication)]


Each = Callable[[Callable[[T], R], Iterable[T]], Iterator[R]]
"""A function like `map`."""


@define
class Playing:
    """Plays replications, here or on other processes, and tells a progress bar of every run.

    Of a search nobody knows how many values it will try: then the bar is of one after the other.
    """

    each: Each[Any, Any]
    bar: Any
    desc: str
    values: int = 0

    def next_value(self, shown: str, runs: int) -> None:
        """Begin with the next value of a search, which needs so many runs."""
        self.values += 1
        self.bar.reset(total=runs)
        self.bar.set_description(f"{self.desc}: value no. {self.values}, {shown}")

    def kept(
        self, plan: Replications, keep: Callable[[Run], T], numbers: Iterable[int]
    ) -> Iterator[list[T]]:
        """Yield what is kept of the runs of each replication, one per strategy, in their order."""
        for found in self.each(partial(plan.kept, keep), numbers):
            self.bar.update(len(found))
            yield found


@contextmanager
def playing(n_jobs: int, progress: bool, desc: str, runs: int | None = None) -> Iterator[Playing]:
    """Give what plays on so many processes under a progress bar, of so many runs if known."""
    bar = progress_bar(progress, total=runs, unit="run", desc=desc)
    with bar, mapping(jobs(n_jobs)) as each:
        yield Playing(each, bar, desc)


def labelled(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    """Return strategies by label, checked; a label that comes again gets a number.

    Raises
    ------
    ScenarioError
        If they are no list of strategies, or an empty one.
    """
    if not isinstance(strategies, (list, tuple)) or not strategies:
        raise scenario_error(
            "strategies", "must be a list such as [Callback(), Polling('15min')]", strategies
        )
    for strategy in strategies:
        if not isinstance(strategy, Strategy):
            raise ScenarioError(f"strategies must hold strategies only, got {strategy!r}")
    return dict(zip(distinct(told_apart(strategies)), strategies, strict=True))


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels of which those that come again have a number.

    Examples
    --------
    >>> distinct(["polling", "callback", "polling"])
    ('polling', 'callback', 'polling (2)')
    """
    found: list[str] = []
    for label in labels:
        one, k = label, 2
        while one in found:
            one, k = f"{label} ({k})", k + 1
        found.append(one)
    return tuple(found)


def jobs(n_jobs: int) -> int:
    """Return a number of processes, checked; -1 stands for one per processor.

    Raises
    ------
    ScenarioError
        If it is neither -1 nor a whole number from 1.
    """
    if not isinstance(n_jobs, bool) and n_jobs == -1:
        return os.cpu_count() or 1
    try:
        return count(n_jobs)
    except InvalidValue as problem:
        raise scenario_error("n_jobs", f"{problem} (or -1 for all processors)", n_jobs) from None


@contextmanager
def mapping(n_jobs: int) -> Iterator[Each[Any, Any]]:
    """Give a function like `map` that works on so many processes; on one, it works right here."""
    with processes(n_jobs) as executor:
        yield map if executor is None else executor.map


def censored(open_waits: Mapping[str, int]) -> list[str]:
    """Return the sentence on waits still open, given by strategy; empty if there are none."""
    told = ", ".join(f"{n} under {label}" for label, n in open_waits.items() if n)
    return [STILL_OPEN.format(told)] if told else []


def warn_censored(sentences: Iterable[str]) -> None:
    """Warn of waits still open, at the line of the caller's own code."""
    for sentence in sentences:
        warn(sentence, CensoredWarning)
