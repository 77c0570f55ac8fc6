"""Replications of a scenario, played in this process or in several.

A description and a number travel to another process; metrics come back, no tables. The order of the
results does not depend on the number of processes. Where no process can be started (a browser, some
containers), everything is played in this one, with a warning.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from functools import partial
from html import escape
from multiprocessing import active_children
from typing import Any, TypeVar

import pandas as pd
from attrs import define, frozen
from tqdm import tqdm

from asyncsim.engine.metrics import compute_metrics, latencies, metrics_by_step
from asyncsim.engine.result import without_warm_up
from asyncsim.engine.run import Run
from asyncsim.errors import CensoredWarning, warn
from asyncsim.experiment.simulate import RESOLUTION, played
from asyncsim.fast import background_compilation
from asyncsim.model.distributions import Floats
from asyncsim.model.mixed_strategies import StrategyLike, as_strategy
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import DurationLike, InvalidValue, count
from asyncsim.model.validation import scenario_error

STILL_OPEN = (
    "waits still open when runs stopped: {}; they have no latency and are in no average (give the "
    "step a timeout, or the strategy a safety poll)"
)
NO_THREAD = "can't start new thread"  # CPython's message; another `RuntimeError` has another cause
T = TypeVar("T")


# --- what is played, and what is kept -------------------------------------------------------------


@frozen
class RunSummary:
    """What is kept of one run: metrics, latencies, open waits, and waits of the warm-up.

    `loads` are those of `asyncsim.engine.loads`; `by_step` holds the metrics of each step that
    waits, where there are several.
    """

    metrics: dict[str, float]
    latencies: Floats
    censored: int
    left_out: int = 0
    loads: Mapping[str, float] = {}
    by_step: pd.DataFrame | None = None

    @classmethod
    def of(cls, run: Run, warm_up: float = 0.0) -> RunSummary:
        """Summarise a run without its first `warm_up` seconds."""
        record = without_warm_up(run.record, warm_up)
        left_out = len(run.record.waits.row) - len(record.waits.row)
        metrics = compute_metrics(record, run.scenario)
        several = len(run.scenario.process.of_type(AsyncStep)) > 1
        by_step = metrics_by_step(record, run.scenario) if several else None
        late = latencies(record)
        return cls(metrics, late, record.open_count, left_out, run.loads, by_step)

    @property
    def unresumed(self) -> int:
        """Number of armed waits that never resumed."""
        return int(self.metrics["armed"]) - len(self.latencies)


@define
class WaitCounts:
    """How many waits the runs of a strategy had, and how many of them never resumed."""

    armed: int = 0
    unresumed: int = 0
    censored: int = 0

    def add(self, summary: RunSummary) -> None:
        """Add the waits of a run."""
        self.armed += int(summary.metrics["armed"])
        self.unresumed += summary.unresumed
        self.censored += summary.censored

    @property
    def unresumed_share(self) -> float:
        """The share that never resumed; NaN without waits."""
        return unresumed_share(self.unresumed, self.armed)


def unresumed_share(unresumed: float, armed: float) -> float:
    """Return the share of the armed waits that never resumed; NaN without waits."""
    return unresumed / armed if armed else math.nan


@frozen
class Replications:
    """Strategies to be played on the same random numbers, replication by replication."""

    scenario: Scenario
    strategies: tuple[Strategy, ...]
    seed: int
    engine: str
    resolution: DurationLike = RESOLUTION

    def runs(self, replication: int) -> Iterator[Run]:
        """Yield a run of each strategy on the numbers of one replication."""
        draws = self.scenario.draw(self.seed, replication)
        for one in self.strategies:
            yield played(self.scenario, one, draws, engine=self.engine, resolution=self.resolution)

    def collect(self, keep: Callable[[Run], T], replication: int) -> list[T]:
        """Play one replication of all strategies and return `keep(run)` of each."""
        return [keep(run) for run in self.runs(replication)]


def labelled(strategies: Sequence[StrategyLike], scenario: Scenario) -> dict[str, Strategy]:
    """Return strategies by label, checked; equal labels show what differs, or a number."""
    if not isinstance(strategies, (list, tuple)) or not strategies:
        right = "must be a list such as [Callback(), Polling('15min')]"
        if isinstance(strategies, Mapping):
            right += "; put the mapping into a list"
        raise scenario_error("strategies", right, strategies)
    checked = [as_strategy(f"strategies[{k}]", x, scenario) for k, x in enumerate(strategies)]
    found = {one.label: one for one in checked}
    if len(found) < len(checked):
        found = dict(zip(distinct(told_apart(checked)), checked, strict=True))
    return found


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels with a number at those that repeat.

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


def censored(open_waits: Mapping[str, int]) -> list[str]:
    """Return the sentence on open waits by strategy, in a list; an empty list without any."""
    counts = ", ".join(f"{n} under {label}" for label, n in open_waits.items() if n)
    return [STILL_OPEN.format(counts)] if counts else []


def warn_censored(sentences: Iterable[str]) -> None:
    """Warn of open waits, at the line of the caller's own code."""
    for sentence in sentences:
        warn(sentence, CensoredWarning)


# --- where it is played ---------------------------------------------------------------------------


@define
class Runner:
    """Plays replications through a function like `map`, under a progress bar."""

    each: Callable[..., Iterator[Any]]
    bar: Any
    desc: str
    values: int = 0

    def next_value(self, shown: str, runs: int) -> None:
        """Restart the bar for the next value of a search, which needs this many runs."""
        self.values += 1
        self.bar.reset(total=runs)
        self.bar.set_description(f"{self.desc}: value no. {self.values}, {shown}")

    def collect(
        self, plan: Replications, keep: Callable[[Run], T], numbers: Iterable[int]
    ) -> Iterator[list[T]]:
        """Yield, replication by replication, what `keep` returns for each strategy."""
        for found in self.each(partial(plan.collect, keep), numbers):
            self.bar.update(len(found))
            yield found


@contextmanager
def runner(n_jobs: int, progress: bool, desc: str, runs: int | None = None) -> Iterator[Runner]:
    """Yield a `Runner` on `n_jobs` processes, with a bar of `runs` runs if that is known."""
    bar = progress_bar(progress, total=runs, unit="run", desc=desc)
    with bar, mapping(jobs(n_jobs)) as each:
        yield Runner(each, bar, desc)


def jobs(n_jobs: int) -> int:
    """Return a number of processes, checked; -1 stands for one per processor."""
    if not isinstance(n_jobs, bool) and n_jobs == -1:
        return os.cpu_count() or 1
    try:
        return count(n_jobs)
    except InvalidValue as problem:
        raise scenario_error("n_jobs", f"{problem} (or -1 for all processors)", n_jobs) from None


@contextmanager
def mapping(n_jobs: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a parallel `map` (in this process if `n_jobs` is 1)."""
    with processes(n_jobs) as executor:
        yield executor.map if executor else map


@contextmanager
def processes(n_jobs: int) -> Iterator[Executor | None]:
    """Yield an executor on `n_jobs` processes; None for one, or if none starts (with a warning)."""
    pool, before = None, active_children()
    if n_jobs > 1:
        try:
            if not threads_start():  # a pool keeps one to manage its processes
                raise OSError(NO_THREAD)
            from concurrent.futures import ProcessPoolExecutor  # some Pythons have none

            pool = ProcessPoolExecutor(n_jobs)
            pool.submit(int)  # a pool starts nothing before its first task
        except (ImportError, NotImplementedError, OSError) as error:  # no semaphores, no fork …
            pool = None
            for child in set(active_children()) - set(before):
                child.terminate()  # otherwise this process would wait for them at its end
            warn(
                f"n_jobs={n_jobs} needs processes, and none can be started here ({error}), as in a "
                "browser: everything is played in this one. The result is the same; n_jobs=1 "
                "avoids this warning"
            )
    with pool or nullcontext():
        yield pool


def threads_start() -> bool:
    """Return whether a thread can be started here."""
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        return False
    thread.join()
    return True


# --- progress bars --------------------------------------------------------------------------------


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that shows that kernels are compiled, and leaves nothing in a notebook."""

    def __init__(self, **options: Any) -> None:
        self._place = None if options.get("disable") else _place_on_page()
        super().__init__(gui=self._place is not None, **options)
        if not self.disable:
            background_compilation.shown.add(self)
            self.refresh()

    def update(self, n: float | None = 1) -> bool | None:
        """Advance, and renew the note on compilation."""
        if not self.disable:
            self.set_postfix_str(background_compilation.note(), refresh=False)
        return super().update(n)

    def display(  # type: ignore[override]
        self, msg: str | None = None, pos: int | None = None
    ) -> bool:
        """Show how far it is."""
        if self._place is None:
            return bool(super().display(msg, pos))
        share = f" value={min(self.n / self.total, 1):.4f}" if self.total else ""
        text = escape(self.format_meter(**{**self.format_dict, "ncols": 0}))
        html = f"<progress{share}></progress> {text}"
        self._place.update({"text/html": html}, raw=True)
        return True

    def close(self) -> None:
        """Remove the bar even if unfinished; otherwise a saved notebook would keep it."""
        is_open = not self.disable
        super().close()
        if is_open and self._place is not None:
            self._place.update({}, raw=True)


def _place_on_page() -> Any:
    """Return a place for HTML below the running cell of a notebook; None in a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return None
    from IPython.core.displaypub import DisplayPublisher
    from IPython.display import display

    if type(shell.display_pub) is DisplayPublisher:  # which prints
        return None
    return display({}, raw=True, display_id=True)  # type: ignore[no-untyped-call]


def progress_bar(shown: bool, **options: Any) -> Any:
    """Return tqdm's bar for a notebook or a terminal; it disappears when closed."""
    if shown and not threads_start():
        tqdm.monitor_interval = 0  # tqdm would warn that it cannot monitor slow bars in a thread
    return _Bar(disable=not shown, leave=False, **options)
