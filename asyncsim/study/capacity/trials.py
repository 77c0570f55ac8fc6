"""Runs at values of one field, all on the same random numbers, played once when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypedDict

import pandas as pd
from attrs import evolve, fields, frozen

from asyncsim.engine.arguments import check_played
from asyncsim.engine.run import Run
from asyncsim.engine.simulate import check_engine
from asyncsim.errors import ScenarioError
from asyncsim.model.draws import key_part
from asyncsim.model.quantities import nearest
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.axis import Axis
from asyncsim.study.capacity.supply import (
    WORKERS,
    Asked,
    checks_never_end,
    goes_on,
    least_busy,
    outside_shares,
    shares,
)
from asyncsim.study.capacity.target import Measure, never_resumed
from asyncsim.study.points import made, swept_labels
from asyncsim.study.replications import (
    Outcome,
    Playing,
    Replications,
    jobs,
    labelled,
    playing,
)
from asyncsim.study.statistics import (
    Interval,
    Uneven,
    check_confidence,
    check_replications,
    interval_of,
    share_interval,
)

LOSS = "strategy.loss"
OF_WORKERS = "server.workers"
FEW = 5
"""Runs that are enough to see whether a backlog grows."""
NEARLY = 0.95
"""Whoever needs more than this share of the time there is, is named."""


class Options(TypedDict, total=False):
    """The keywords of `Effort`."""

    replications: int
    seed: int
    engine: str
    n_jobs: int
    confidence: float
    progress: bool


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

    @classmethod
    def of(cls, options: Options) -> Effort:
        """Return the effort that keywords ask for, their names checked."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ScenarioError(
                    f"keywords must be some of {', '.join(map(repr, known))}, got {name!r}"
                    f"{nearest(name, known)}"
                )
        return cls(**options)

    def __attrs_post_init__(self) -> None:
        check_replications(self.replications)
        key_part("seed", self.seed)
        check_engine(self.engine)
        jobs(self.n_jobs)
        check_confidence(self.confidence)


@frozen
class Trial:
    """What is kept of one run."""

    value: float
    """Of the measure."""
    waits: int
    """Those that resumed, and those that never did."""
    still_waiting: int
    """Waits still open at the end."""
    never: int
    """These, and waits that timed out, were given up or cancelled."""
    asked: Asked

    @classmethod
    def of(cls, run: Run, measure: Measure) -> Trial:
        """Return what is needed of a run."""
        outcome = Outcome.of(run)
        waits, still = (int(outcome.figures[name]) for name in ("armed", "still_waiting"))
        return cls(measure.of_run(outcome), waits, still, never_resumed(outcome), Asked.of(run))


@frozen
class Overload:
    """Whether there is too much to do: surely, by the mean of what runs asked for, or perhaps."""

    surely: bool
    seems: bool
    perhaps: bool


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
    play
        What plays them.
    lost
        The largest share of waits that may never resume.
    """

    def __init__(
        self,
        scenario: Scenario,
        strategies: Sequence[Strategy],
        axis: Axis,
        measure: Measure,
        effort: Effort,
        play: Playing,
        lost: float = 1.0,
    ) -> None:
        self.scenario = scenario
        self.strategies = tuple(strategies)
        self.axis = axis
        self.measure = measure
        self.effort = effort
        self._play = play
        self._lost = lost
        self._found: dict[float, list[list[Trial]]] = {}
        self._over: dict[float, Overload] = {}

    def at(self, x: float) -> list[list[float]]:
        """Return the measure at a value, by strategy and replication."""
        return [[one.value for one in runs] for runs in self._runs(x)]

    def _runs(self, x: float) -> list[list[Trial]]:
        if x not in self._found:
            plan = Replications(*self.made(x), self.effort.seed, self.effort.engine)
            keep = partial(Trial.of, measure=self.measure)
            found: list[list[Trial]] = [[] for _ in self.strategies]
            number = self.effort.replications * len(self.strategies)
            self._play.next_value(self.axis.shown(x), number)
            for played in self._play.kept(plan, keep, range(self.effort.replications)):
                for runs, one in zip(found, played, strict=True):
                    runs.append(one)
            self._found[x] = found
            if all(math.isnan(one.value) for runs in found for one in runs):
                raise ScenarioError(
                    f"{self.measure.figure} was seen in no run at {self.axis.field} = "
                    f"{self.axis.shown(x)}: does any step wait there, or check?"
                )
        return self._found[x]

    def made(self, x: float) -> tuple[Scenario, tuple[Strategy, ...]]:
        """Return scenario and strategies with a value of the field."""
        return made(self.scenario, self.strategies, {self.axis.field: self.axis.written(x)})

    def interval(self, x: float, strategy: int = 0) -> Interval:
        """Return mean and interval at a value.

        A quantile is infinite if more waits never resume than it leaves out. Where any did not, its
        interval is finite, or infinite, only if that share surely is small enough, or too large.
        """
        runs, confidence = self._runs(x)[strategy], self.effort.confidence
        found = interval_of([one.value for one in runs], confidence)
        spare = self.measure.spare
        if not spare or not self.never or not found.n:
            return found
        share = share_interval([one.never for one in runs], [one.waits for one in runs], confidence)
        low = -math.inf if found.low == math.inf and share[0] <= spare else found.low
        high = math.inf if share[1] >= spare else found.high
        return Uneven(found.mean, found.half_width, found.n, (low, high))

    def overload_at(self, x: float) -> Overload:
        """Tell whether a value has no steady state in which a target could be met.

        An outside system is asked for more than it can do, or the workers have no time to spare:
        queues of random arrivals grow for ever then. What follows a system that cannot keep up does
        not come to workers that often; and more of them are of no help to it, but must be had where
        they check ever more waits. Checks at short intervals only delay each other: a worker who
        has no time for them makes fewer.
        """
        if x not in self._over:
            self._over[x] = self._overload_of(x)
        return self._over[x]

    def _overload_of(self, x: float) -> Overload:
        scenario, strategies = self.made(x)
        found = [False, False, False]
        for strategy, runs in zip(strategies, self._runs(x), strict=True):
            if not goes_on(scenario):
                break
            asked = [one.asked for one in runs]
            outside = outside_shares(scenario, asked, self.effort.confidence)
            too_much = [
                [name for name, share in outside.items() if end(share) > 1 + 1e-9]
                for end in (_low, _mean, _high)
            ]
            busy = self._least_busy(scenario, strategy) > 1 - 1e-9
            for k, names in enumerate(too_much):
                harm = self.axis.field != OF_WORKERS or checks_never_end(scenario, strategy, names)
                found[k] |= (bool(names) and harm) or (busy and not too_much[2 - k])
        return Overload(*found)

    def _least_busy(self, scenario: Scenario, strategy: Strategy) -> float:
        return least_busy(scenario, strategy, self._lost)

    def of_twice_the_length(self, x: float) -> Interval:
        """Return mean and interval at a value, by a few runs of a scenario twice as long."""
        scenario = self.scenario.replace(length=2 * self.scenario.length)
        effort = evolve(self.effort, replications=min(FEW, self.effort.replications))
        one = (scenario, self.strategies, self.axis, self.measure, effort, self._play)
        return Trials(*one).interval(x)

    @property
    def never(self) -> int:
        """Waits that never resumed, over all runs."""
        return sum(one.never for one in self._all)

    def unresumed(self, x: float, strategy: int = 0) -> float:
        """Return the share of all armed waits at a value that never resumed."""
        runs = self._runs(x)[strategy]
        waits = sum(one.waits for one in runs)
        return sum(one.never for one in runs) / waits if waits else math.nan

    @property
    def _all(self) -> list[Trial]:
        return [one for found in self._found.values() for runs in found for one in runs]

    def loses_any(self, strategy: int = 0) -> bool:
        """Tell whether a figure is infinite with any loss, however small: so some run was.

        So it is where callbacks are lost for good, if the figure leaves out no waits: a run with
        none lost is luck, and with more waits there would be one.
        """
        if self.measure.spare:
            return False
        for x, found in self._found.items():
            one = self.made(x)[1][strategy]
            plain = type(one) is Callback and one.loss > 0 and not one.retries
            if plain and any(trial.value == math.inf for trial in found[strategy]):
                return True
        return False

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
        still_waiting = sum(one.still_waiting for one in self._all)
        return self.measure.told(self.never - still_waiting, still_waiting)

    def infinite(self, x: float | None, strategy: int = 0) -> list[str]:
        """Return what is to be said of a value beyond the answer where some runs are infinite."""
        values = [] if x is None else self.at(x)[strategy]
        k, n = values.count(math.inf), len(values)
        if x is None or not 0 < k < n:
            return []
        return [
            f"at {self.axis.shown(x)} {self.measure.figure} is infinite in {k} of {n} runs and "
            "finite in the others: by so few runs it cannot be told whether it is met"
        ]

    def told_of_overload(self, x: float) -> list[str]:
        """Return what is to be said of systems or workers asked for nearly all they can do."""
        scenario, strategies = self.made(x)
        most: dict[str, Interval] = {}
        for strategy, runs in zip(strategies, self._runs(x), strict=True):
            asked = [one.asked for one in runs]
            found = outside_shares(scenario, asked, self.effort.confidence)
            busy = shares(scenario, asked).get(WORKERS, 0.0)
            least = self._least_busy(scenario, strategy)  # runs may have seen less
            found[WORKERS] = Interval(max(least, busy), 0.0, len(runs))
            for name, share in found.items():
                most[name] = max(share, most.get(name, share), key=_mean)
        sure = self.overload_at(x).surely
        return [
            f"at {self.axis.shown(x)} {name} would need {_percent(share)} of the time there is, if "
            f"days go on like that{_backlog(sure or name != WORKERS) * (share.mean > 1)}"
            for name, share in most.items()
            if share.mean > NEARLY
        ]

    def table(self) -> pd.DataFrame:
        """One row per value and strategy.

        ``value, x, strategy, mean, low, high, unresumed_share, n``.
        """
        rows = []
        for x in self.values:
            for k, label in enumerate(self.labels):
                found = self.interval(x, k)
                ends = found.mean, found.low, found.high
                row = (self.axis.written(x), x, label, *ends, self.unresumed(x, k), found.n)
                rows.append(row)
        columns = ["value", "x", "strategy", "mean", "low", "high", "unresumed_share", "n"]
        return pd.DataFrame(rows, columns=columns)


def _mean(share: Interval) -> float:
    return share.mean


def _low(share: Interval) -> float:
    return -math.inf if math.isnan(share.low) else share.low  # one run has no interval


def _high(share: Interval) -> float:
    return math.inf if math.isnan(share.high) else share.high


def _percent(share: Interval) -> str:
    return f"{share.mean:.1%}" + (f" ± {share.half_width:.1%}" if share.half_width > 5e-4 else "")


def _backlog(sure: bool) -> str:
    """Say what becomes of too much work: checks and what follows a wait may become less."""
    if sure:
        return ": a backlog grows, which a longer length shows"
    return ": checks may become fewer and waits time out, or else a backlog grows"


@contextmanager
def trials(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    axis: Axis,
    measure: Measure,
    effort: Effort,
    desc: str,
    lost: float = 1.0,
) -> Iterator[Trials]:
    """Give trials that play on as many processes as wanted, under a progress bar."""
    for strategy in strategies:
        check_played(scenario, strategy, None)
    with playing(effort.n_jobs, effort.progress, desc) as play:
        yield Trials(scenario, strategies, axis, measure, effort, play, lost)
