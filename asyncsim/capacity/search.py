"""Values of one field, the runs made at them, and the search for a value where something changes.

A search uses that a measure is monotone along the field. It strides from a start until the answer
changes, doubling its steps, and bisects the rest. Every value meets the same random numbers, so
runs are monotone too where the expectation is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from attrs import Factory, define, evolve, fields, frozen

from asyncsim.capacity.target import Measure
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_played
from asyncsim.errors import ScenarioError
from asyncsim.experiment.parameters import ScaledValue, made, scaled_ends, swept_labels
from asyncsim.experiment.replications import (
    Replications,
    Runner,
    RunSummary,
    jobs,
    labelled,
    runner,
    unresumed_share,
)
from asyncsim.experiment.simulate import check_engine
from asyncsim.experiment.stability import (
    WORKERS,
    Asked,
    checks_never_end,
    goes_on,
    least_busy,
    outside_shares,
    shares,
    unbounded,
)
from asyncsim.experiment.statistics import (
    Interval,
    Uneven,
    check_confidence,
    check_replications,
    interval_of,
    paired_interval,
    share_interval,
)
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Deliveries, StrategySpecification
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.units import SECONDS_PER_UNIT, nearest, number_text, text_of
from asyncsim.model.validation import scenario_error

RIGHT = "must be two values (low, high), such as ('1min', '1h'), (1, 64) or ('50/h', '5000/h')"
SCALES = ("duration", "number", "whole number")
WORKERS_FIELD = "server.workers"
WEEKLY_VOLUME = "arrivals.volume"
"""A factor on the rates of a week."""
LOSS = "strategy.loss"
TOLERANCE = 0.01
"""Values closer than this share of themselves count as one."""
NEAR_ZERO = 0.01
"""In a space from zero, the tolerance of values below this share of its length is absolute."""
FEW = 5
"""Runs that are enough to see whether a backlog grows."""
NEARLY_FULL = 0.95
"""Notes name systems and workers with a load above this share."""
NEGLIGIBLE = 0.01
"""Steps in the wrong direction by less than this share of a measure leave it monotone."""


@frozen
class SearchSpace:
    """The range of a field that is searched, as numbers on the scale of its `ScaledValue`."""

    field: str
    scale: str
    low: float
    high: float

    @classmethod
    def between(cls, field: str, ends: Sequence[Any]) -> SearchSpace:
        """Return the space between two values as users write them."""
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise scenario_error("between", RIGHT, ends)
        low, high = scaled_ends(ends)
        known = low and (low.scale in SCALES or low.scale.startswith("rate"))
        if not (known and low and high) or low.scale != high.scale or low.number >= high.number:
            raise scenario_error("between", RIGHT, ends)
        return cls(field, low.scale, low.number, high.number)

    @property
    def whole(self) -> bool:
        """Whether it holds only whole numbers."""
        return self.scale == "whole number"

    @property
    def logarithmic(self) -> bool:
        """Whether distances are ratios, not differences."""
        return self.low > 0

    @property
    def unit(self) -> str:
        """The text after a number of the scale, such as ``"/day"``."""
        if self.field == WEEKLY_VOLUME:
            return " times the rates"
        return self.scale.removeprefix("rate") if self.scale.startswith("rate") else ""

    def written(self, x: float) -> Any:
        """Return a value as a scenario takes it."""
        return ScaledValue(self.scale, x).back(int(x) if self.whole else x)

    def text(self, x: float, like: float | None = None) -> str:
        """Return a value as text, a duration in the unit that another one is shown in."""
        if self.scale != "duration":
            return number_text(x) + self.unit
        if like is None:
            return text_of(x) if x else "0 s"
        unit = self.text(like).split()[1]
        return f"{x / SECONDS_PER_UNIT[unit]:.4g} {unit}"

    def rounded(self, x: float) -> float:
        """Return a value within the range, to four digits or as a whole number."""
        x = round(x) if self.whole else float(f"{x:.4g}")
        return min(max(x, self.low), self.high)

    def middle(self, a: float, b: float) -> float:
        """Return the value halfway between two."""
        if self.whole:
            return float(int(a + b) // 2)
        return self.rounded(math.sqrt(a * b) if self.logarithmic else (a + b) / 2)

    def interpolated(self, a: float, b: float, part: float) -> float:
        """Return the value at a part of the way from one value to another."""
        return self.rounded(a * (b / a) ** part if self.logarithmic else a + (b - a) * part)

    def close(self, a: float, b: float) -> bool:
        """Return whether no value between two is worth a trial."""
        if self.whole:
            return abs(a - b) <= 1
        size = max(abs(a), abs(b))
        if not self.logarithmic:  # near zero no two values are close by their ratio
            size = max(size, NEAR_ZERO * (self.high - self.low))
        return abs(a - b) <= TOLERANCE * size or self.middle(a, b) in (a, b)

    def step(self, x: float, up: bool, stride: int) -> float:
        """Return a value 2^stride tolerances away; a ratio at most doubles or halves it."""
        if self.logarithmic and not self.whole:
            grown = math.log1p(TOLERANCE) * 2 ** min(stride, 30)
            factor = math.exp(min(grown, math.log(2)))  # overloaded runs take long
            return self.rounded(x * factor if up else x / factor)
        size = 1 if self.whole else TOLERANCE * (self.high - self.low)
        return self.rounded(x + size * 2**stride if up else x - size * 2**stride)

    def grid(self, n: int) -> list[float]:
        """Return at most n values over the range, both ends among them."""
        by_ratio = self.logarithmic and (not self.whole or self.high > n * self.low)
        values = (np.geomspace if by_ratio else np.linspace)(self.low, self.high, n)
        return sorted({self.rounded(x) for x in values.tolist()})


def boundary(
    meets: Callable[[float], bool], space: SearchSpace, start: float, good: str, stride: int = 0
) -> tuple[float | None, float | None]:
    """Return the last value that meets a condition, from the good end of a space, and the next.

    The condition holds at the good end (``"low"`` or ``"high"``) and changes once; the search
    begins at `start` with a step of 2^stride tolerances or whole numbers. None where there is no
    such value. On a logarithmic scale both are about a tolerance apart.
    """
    here = space.rounded(start)
    met = meets(here)
    up = (good == "low") == met  # towards the other end if met, back to the good end otherwise
    while True:
        there = space.step(here, up, stride)
        if there == here:
            if here in (space.low, space.high):
                return (here, None) if met else (None, here)
        elif meets(there) != met:
            break
        here, stride = there, stride + 1
    return bisect(meets, space, *((here, there) if met else (there, here)))


def bisect(
    meets: Callable[[float], bool], space: SearchSpace, inside: float, outside: float
) -> tuple[float, float]:
    """Return the last value that meets a condition and the next, from one of either kind."""
    while not space.close(inside, outside):
        middle = space.middle(inside, outside)
        if meets(middle):
            inside = middle
        else:
            outside = middle
    return inside, outside


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
    """The options that all questions share, as in `asyncsim.compare`; runs are those of a value."""

    replications: int = 20
    seed: int = 0
    engine: str = "auto"
    n_jobs: int = 1
    confidence: float = 0.95
    progress: bool = True

    @classmethod
    def of(cls, options: Options) -> Effort:
        """Return the effort of keywords, their names checked."""
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
class Sample:
    """What is kept of one run: the measure, the numbers of waits, and the demand."""

    value: float
    armed: int
    still_waiting: int
    unresumed: int
    demand: Asked

    @classmethod
    def of(cls, run: Run, measure: Measure) -> Sample:
        """Return the sample of a run."""
        summary = RunSummary.of(run)
        armed, still = (int(summary.metrics[name]) for name in ("armed", "still_waiting"))
        return cls(measure.of_run(summary), armed, still, summary.unresumed, Asked.of(run))


@frozen
class Overload:
    """Whether demand exceeds capacity: by its whole interval, by its mean, by its upper end."""

    certain: bool
    likely: bool
    possible: bool


@define(eq=False)
class Evaluations:
    """The runs at the values of a field, played once when asked for, while `playing` is open.

    A target is met only if no larger share of the waits than `lost` is lost.
    """

    scenario: Scenario
    strategies: tuple[Strategy, ...]
    space: SearchSpace
    measure: Measure
    effort: Effort
    lost: float = 1.0
    _play: Runner | None = None
    _samples: dict[float, list[list[Sample]]] = Factory(dict)
    _overloads: dict[float, Overload] = Factory(dict)

    @contextmanager
    def playing(self, desc: str) -> Iterator[None]:
        """Open the processes and the progress bar of a search; strategies are checked."""
        for strategy in self.strategies:
            check_played(self.scenario, strategy, None)
        with runner(self.effort.n_jobs, self.effort.progress, desc) as self._play:
            yield
        self._play = None

    @property
    def values(self) -> list[float]:
        """The values played, in order."""
        return sorted(self._samples)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the strategies, without the field that is searched."""
        return swept_labels(labelled(self.strategies), [self.space.field])

    def setup(self, x: float) -> tuple[Scenario, tuple[Strategy, ...]]:
        """Return scenario and strategies with a value of the field."""
        return made(self.scenario, self.strategies, {self.space.field: self.space.written(x)})

    def at(self, x: float) -> list[list[float]]:
        """Return the measure at a value, by strategy and replication."""
        return [[run.value for run in runs] for runs in self._runs(x)]

    def _runs(self, x: float) -> list[list[Sample]]:
        if x not in self._samples:
            effort, shown = self.effort, self.space.text(x)
            plan = Replications(*self.setup(x), effort.seed, effort.engine)
            keep = partial(Sample.of, measure=self.measure)
            assert self._play is not None
            self._play.next_value(shown, effort.replications * len(self.strategies))
            played = self._play.collect(plan, keep, range(effort.replications))
            runs = [list(column) for column in zip(*played, strict=True)]
            self._samples[x] = runs
            if all(math.isnan(run.value) for column in runs for run in column):
                raise ScenarioError(
                    f"{self.measure.metric} was seen in no run at {self.space.field} = {shown}: "
                    "does any step wait there, or check?"
                )
        return self._samples[x]

    def interval(self, x: float, strategy: int = 0) -> Interval:
        """Return mean and interval at a value.

        A quantile is infinite if more waits are lost than it leaves out. Its upper end is finite,
        and its lower end infinite, only if the interval of the lost share allows no other.
        """
        runs, confidence = self._runs(x)[strategy], self.effort.confidence
        interval = interval_of([run.value for run in runs], confidence)
        spare = self.measure.spare
        if not spare or not any(run.unresumed for run in self._all) or not interval.n:
            return interval
        lost, armed = [run.unresumed for run in runs], [run.armed for run in runs]
        least, most = share_interval(lost, armed, confidence)
        low = -math.inf if interval.low == math.inf and least <= spare else interval.low
        high = math.inf if most >= spare else interval.high
        return Uneven(interval.mean, interval.half_width, interval.n, (low, high))

    def at_double_length(self, x: float) -> Interval:
        """Return mean and interval at a value, by a few runs of twice the length."""
        scenario = self.scenario.replace(length=2 * self.scenario.length)
        few = evolve(self.effort, replications=min(FEW, self.effort.replications))
        return evolve(self, scenario=scenario, effort=few, samples={}, overloads={}).interval(x)

    def overload(self, x: float) -> Overload:
        """Return whether demand exceeds capacity at a value, so that queues grow without bound.

        An overloaded system limits the steps after it, so workers count only where no system may be
        overloaded. More workers do not help such a system, but are necessary where they check ever
        more waits. Checks at short intervals do not overload: busy workers make fewer of them.
        """
        if x not in self._overloads:
            self._overloads[x] = self._overload(x)
        return self._overloads[x]

    def _overload(self, x: float) -> Overload:
        scenario, strategies = self.setup(x)
        if not goes_on(scenario):
            return Overload(False, False, False)
        over = [False, False, False]
        for strategy, runs in zip(strategies, self._runs(x), strict=True):
            demand = outside_shares(scenario, [run.demand for run in runs], self.effort.confidence)
            ends = {name: _ends(share) for name, share in demand.items()}
            systems = [[name for name in ends if ends[name][k] > 1 + 1e-9] for k in range(3)]
            busy = least_busy(scenario, strategy, self.lost) > 1 - 1e-9
            for k, names in enumerate(systems):
                harm = self.space.field != WORKERS_FIELD or checks_never_end(
                    scenario, strategy, names
                )
                over[k] |= (bool(names) and harm) or (busy and not systems[2 - k])
        return Overload(*over)

    def loses_callbacks(self, strategy: int = 0) -> bool:
        """Return whether callbacks are lost for good and the measure leaves no wait out.

        It is infinite then at any loss rate: runs without a loss are chance. One run must show it.
        """
        if self.measure.spare:
            return False
        for x, runs in self._samples.items():
            match specification_of(self.setup(x)[1][strategy]):
                case StrategySpecification(None, Deliveries(retries=()) as sent) if sent.loss:
                    if any(run.value == math.inf for run in runs[strategy]):
                        return True
        return False

    def is_monotone(self, rising: bool) -> bool:
        """Return whether the measure of the first strategy is monotone along the values played.

        It is not if the interval of a step between neighbours lies in the wrong direction, by more
        than `NEGLIGIBLE`. The confidence is that of all steps together (Bonferroni).
        """
        columns = [self.at(x)[0] for x in self.values]
        infinite = [set(column) == {math.inf} for column in columns if not math.isnan(sum(column))]
        if infinite != sorted(infinite, reverse=not rising):
            return False
        steps = [
            (one, other)
            for one, other in itertools.pairwise(columns)
            if math.inf not in one and math.inf not in other
        ]
        confidence = 1 - (1 - self.effort.confidence) / max(len(steps), 1)
        for one, other in steps:
            step = paired_interval(one, other, confidence)
            wrong = -step.high if rising else step.low
            if wrong > NEGLIGIBLE * max(float(np.mean(one)), float(np.mean(other)), 0.0):
                return False
        return True

    @property
    def _all(self) -> list[Sample]:
        return [run for columns in self._samples.values() for runs in columns for run in runs]

    def unresumed_share(self, x: float, strategy: int = 0) -> float:
        """Return the share of all armed waits at a value that never resumed."""
        runs = self._runs(x)[strategy]
        return unresumed_share(sum(run.unresumed for run in runs), sum(run.armed for run in runs))

    def unresumed_notes(self) -> list[str]:
        """Return how the measure counts waits that never resumed."""
        still_waiting = sum(run.still_waiting for run in self._all)
        ended = sum(run.unresumed for run in self._all) - still_waiting
        return self.measure.unresumed_notes(ended, still_waiting)

    def infinite_notes(self, x: float | None) -> list[str]:
        """Return a note if some runs at a value beyond the answer are infinite, but not all."""
        values = [] if x is None else self.at(x)[0]
        k, n = values.count(math.inf), len(values)
        if x is None or not 0 < k < n:
            return []
        return [
            f"at {self.space.text(x)} {self.measure.metric} is infinite in {k} of {n} runs and "
            "finite in the others: these are too few runs to decide whether it is met"
        ]

    def load_notes(self, x: float) -> list[str]:
        """Return a note for each system, and the workers, with little or no capacity to spare."""
        scenario, strategies = self.setup(x)
        most: dict[str, Interval] = {}
        for strategy, runs in zip(strategies, self._runs(x), strict=True):
            demand = [run.demand for run in runs]
            loads = outside_shares(scenario, demand, self.effort.confidence)
            busy = shares(scenario, demand).get(WORKERS, 0.0)
            least = least_busy(scenario, strategy, self.lost)  # runs may have seen less
            loads[WORKERS] = Interval(max(least, busy), 0.0, len(runs))
            for name, load in loads.items():
                most[name] = max(load, most.get(name, load), key=lambda one: one.mean)
        certain = self.overload(x).certain
        unknown = [reason for strategy in strategies for reason in unbounded(scenario, strategy)]
        return list(dict.fromkeys(unknown)) + [
            f"at {self.space.text(x)} {name} would need {_percent(load)} of the time there is, if "
            f"all days are alike{_backlog(certain or name != WORKERS) * (load.mean > 1)}"
            for name, load in most.items()
            if load.mean > NEARLY_FULL
        ]

    def table(self) -> pd.DataFrame:
        """Return one row per value and strategy; the values also as numbers, in column ``x``."""
        rows = []
        for x in self.values:
            for k, label in enumerate(self.labels):
                interval, lost = self.interval(x, k), self.unresumed_share(x, k)
                ends = interval.mean, interval.low, interval.high
                rows.append((self.space.written(x), x, label, *ends, lost, interval.n))
        columns = ["value", "x", "strategy", "mean", "low", "high", "unresumed_share", "n"]
        return pd.DataFrame(rows, columns=columns)


def _ends(share: Interval) -> tuple[float, float, float]:
    """Return low, mean and high of a share; one run has no interval."""
    if math.isnan(share.half_width):
        return -math.inf, share.mean, math.inf
    return share.low, share.mean, share.high


def _percent(share: Interval) -> str:
    return f"{share.mean:.1%}" + (f" ± {share.half_width:.1%}" if share.half_width > 5e-4 else "")


def _backlog(certain: bool) -> str:
    """Return the consequence of overload: there may be fewer checks, and less after a wait."""
    if certain:
        return ": a backlog grows, which a longer length shows"
    return ": checks may become fewer and waits time out, or else a backlog grows"
