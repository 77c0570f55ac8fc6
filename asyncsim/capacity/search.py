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
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from attrs import Factory, define, evolve, fields_dict, frozen

from asyncsim.capacity.target import Measure, Target
from asyncsim.engine.loads import NEARLY_FULL, WORKERS, Asked, goes_on, shares
from asyncsim.engine.metrics import metric_text
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_played
from asyncsim.errors import ScenarioError
from asyncsim.experiment import replications, stability, statistics
from asyncsim.experiment.replications import RunSummary
from asyncsim.experiment.simulate import check_engine
from asyncsim.experiment.statistics import Interval
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Deliveries, StrategySpecification
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.units import SECONDS_PER_UNIT, nearest, number_text, percent, text_of
from asyncsim.model.validation import scenario_error
from asyncsim.model.words import counted, field_in_words, is_probability
from asyncsim.studies import parameters

Found = tuple[float | None, float | None, float | None]  # an answer and the ends of its interval
RANGE = "must be two values (low, high), such as ('1min', '1h'), (1, 64) or ('50/h', '5000/h')"
NUMBERS = ("number", "whole number")
SCALES = ("duration", *NUMBERS)
WORKERS_FIELD, LOSS = "server.workers", "strategy.loss"
WEEKLY_VOLUME = "arrivals.volume"  # a factor on the rates of a week
TOLERANCE = 0.01  # values closer than this share of themselves count as one
NEAR_ZERO = 0.01  # in a space from zero, tolerance is absolute below this share of its length
FEW = 5  # runs that are enough to see whether a backlog grows
NEGLIGIBLE = 0.01  # a smaller step in the wrong direction leaves a measure monotone


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
            raise scenario_error("between", RANGE, ends)
        low, high = parameters.scaled_ends(ends)
        known = low and low.scale.startswith((*SCALES, "rate"))
        if not (known and low and high) or low.scale != high.scale or low.number >= high.number:
            raise scenario_error("between", RANGE, ends)
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
        rate = self.scale.removeprefix("rate") if self.scale.startswith("rate") else ""
        return " times the rates" if self.field == WEEKLY_VOLUME else rate

    def written(self, x: float) -> Any:
        """Return a value as a scenario takes it."""
        return parameters.ScaledValue(self.scale, x).back(int(x) if self.whole else x)

    def text(self, x: float, like: float | None = None) -> str:
        """Return a value as text, a duration in the unit that another one is shown in."""
        if is_probability(self.field):
            return percent(x)
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
        between = math.sqrt(a * b) if self.logarithmic else (a + b) / 2
        return float(int(a + b) // 2) if self.whole else self.rounded(between)

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
        size = (1 if self.whole else TOLERANCE * (self.high - self.low)) * 2**stride
        return self.rounded(x + size if up else x - size)

    def grid(self, n: int) -> list[float]:
        """Return at most n values over the range, both ends among them."""
        by_ratio = self.logarithmic and (not self.whole or self.high > n * self.low)
        values = (np.geomspace if by_ratio else np.linspace)(self.low, self.high, n)
        return sorted({self.rounded(x) for x in values.tolist()})


def boundary(
    meets: Callable[[float], bool], space: SearchSpace, start: float, good: str, stride: int = 0
) -> tuple[float | None, float | None]:
    """Return the last value from the good end that meets a condition, and the next one."""
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
        inside, outside = (middle, outside) if meets(middle) else (inside, middle)
    return inside, outside


class Options(TypedDict, total=False):
    """The keywords of `Effort`, for type checkers."""

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
        known = fields_dict(cls)
        if wrong := [name for name in options if name not in known]:
            raise ScenarioError(
                f"keywords must be some of {', '.join(map(repr, known))}, got {wrong[0]!r}"
                f"{nearest(wrong[0], known)}"
            )
        return cls(**options)

    def __attrs_post_init__(self) -> None:
        statistics.check_replications(self.replications)
        key_part("seed", self.seed)
        check_engine(self.engine)
        replications.jobs(self.n_jobs)
        statistics.check_confidence(self.confidence)


class Sample(NamedTuple):
    """What is kept of the runs of a strategy at a value, run by run."""

    measure: list[float]
    armed: list[int]
    still_waiting: list[int]
    unresumed: list[int]
    demand: list[Asked]


def _of_run(run: Run, measure: Measure) -> tuple[float, int, int, int, Asked]:
    """Return what a `Sample` holds of one run."""
    summary = RunSummary.of(run)
    armed, still_waiting = (int(summary.metrics[name]) for name in ("armed", "still_waiting"))
    value, demand = measure.of_run(summary), Asked.of(run.record, run.scenario)
    return value, armed, still_waiting, summary.unresumed, demand


class Overload(NamedTuple):
    """Whether demand exceeds capacity: by its whole interval, by its mean, by its upper end."""

    certain: bool
    likely: bool
    possible: bool


@define(eq=False)
class Evaluations:
    """The runs at the values of a field, played once when asked for, while `playing` is open."""

    scenario: Scenario
    strategies: tuple[Strategy, ...]
    space: SearchSpace
    target: Target
    effort: Effort
    _play: replications.Runner | None = None
    _samples: dict[float, list[Sample]] = Factory(dict)
    _overloads: dict[float, Overload] = Factory(dict)

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        strategies: tuple[Strategy, ...],
        field: str,
        between: Sequence[Any],
        options: Options,
        *,
        target: str = "",
        metric: str | None = None,
    ) -> Evaluations:
        """Return the evaluations of a target, or of a metric without a bound; all are checked."""
        effort = Effort.of(options)
        for strategy in strategies:
            check_played(scenario, strategy, None)
        if metric is None:
            wanted = Target.parse(target, scenario)
        else:
            wanted = Target(Measure.of(metric, scenario), math.inf)
        space = SearchSpace.between(field, between)
        if space.scale in NUMBERS and parameters.takes_durations(scenario, strategies, field):
            space = evolve(space, scale="duration")  # plain numbers are seconds there
        return cls(scenario, strategies, space, wanted, effort)

    @property
    def measure(self) -> Measure:
        """What is measured of each run."""
        return self.target.measure

    @contextmanager
    def playing(self, desc: str) -> Iterator[None]:
        """Open the processes and the progress bar of a search."""
        with replications.runner(self.effort.n_jobs, self.effort.progress, desc) as self._play:
            yield
        self._play = None

    @property
    def values(self) -> list[float]:
        """The values played, in order."""
        return sorted(self._samples)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the strategies, without the field that is searched."""
        return parameters.swept_labels(replications.labelled(self.strategies), [self.space.field])

    def setup(self, x: float) -> tuple[Scenario, tuple[Strategy, ...]]:
        """Return scenario and strategies with a value of the field."""
        return parameters.made(
            self.scenario, self.strategies, {self.space.field: self.space.written(x)}
        )

    def at(self, x: float) -> list[list[float]]:
        """Return the measure at a value, by strategy and replication."""
        return [runs.measure for runs in self.runs(x)]

    def runs(self, x: float) -> list[Sample]:
        """Return what is kept of the runs at a value, by strategy."""
        if x not in self._samples:
            effort, shown = self.effort, self.space.text(x)
            plan = replications.Replications(*self.setup(x), effort.seed, effort.engine)
            keep = partial(_of_run, measure=self.measure)
            assert self._play is not None
            self._play.next_value(shown, effort.replications * len(self.strategies))
            played = zip(*self._play.collect(plan, keep, range(effort.replications)), strict=True)
            self._samples[x] = [Sample(*map(list, zip(*runs, strict=True))) for runs in played]
            if all(math.isnan(value) for measure in self.at(x) for value in measure):
                name, field = self.measure.metric, field_in_words(self.space.field)
                raise ScenarioError(
                    f"metric {name!r} was seen in no run, with {field} = {shown}: does any step "
                    "wait there, or check?"
                )
        return self._samples[x]

    def number(self, value: float) -> str:
        """Return a value of the measure in human units."""
        return metric_text(self.measure.metric, value, self.measure.unit(self.scenario))

    def interval(self, x: float, strategy: int = 0) -> Interval:
        """Return mean and interval at a value; that of a quantile includes the chance of losses."""
        runs, confidence = self.runs(x)[strategy], self.effort.confidence
        interval, spare = statistics.interval_of(runs.measure, confidence), self.measure.spare
        if not spare or not any(any(one.unresumed) for one in self._all) or not interval.n:
            return interval
        # A quantile is infinite if more waits are lost than it leaves out
        least, most = statistics.share_interval(runs.unresumed, runs.armed, confidence)
        low = -math.inf if interval.low == math.inf and least <= spare else interval.low
        high = math.inf if most >= spare else interval.high
        return statistics.Uneven(interval.mean, interval.half_width, interval.n, (low, high))

    def at_double_length(self, x: float) -> Interval:
        """Return mean and interval at a value, by a few runs of twice the length."""
        scenario = self.scenario.replace(length=2 * self.scenario.length)
        few = evolve(self.effort, replications=min(FEW, self.effort.replications))
        return evolve(self, scenario=scenario, effort=few, samples={}, overloads={}).interval(x)

    def overload(self, x: float) -> Overload:
        """Return whether demand exceeds capacity at a value, so that queues grow without bound."""
        if x in self._overloads:
            return self._overloads[x]
        scenario, strategies = self.setup(x)
        if not goes_on(scenario):
            return Overload(False, False, False)
        over = [False, False, False]
        for strategy, runs in zip(strategies, self.runs(x), strict=True):
            demand = stability.outside_shares(scenario, runs.demand, self.effort.confidence)
            ends = {name: _ends(share) for name, share in demand.items()}
            systems = [[name for name in ends if ends[name][k] > 1 + 1e-9] for k in range(3)]
            busy = stability.least_busy(scenario, strategy, self.target.lost) > 1 - 1e-9
            outside = self.space.field != WORKERS_FIELD
            for k, names in enumerate(systems):
                never_end = stability.checks_never_end(scenario, strategy, names)
                harm = bool(names) and (outside or never_end)
                over[k] |= harm or (busy and not systems[2 - k])
        self._overloads[x] = Overload(*over)
        return self._overloads[x]

    def loses_callbacks(self, strategy: int = 0) -> bool:
        """Return whether callbacks are lost for good and the measure leaves no wait out."""
        if self.measure.spare:
            return False
        for x, runs in self._samples.items():
            match specification_of(self.setup(x)[1][strategy]):
                case StrategySpecification(None, Deliveries(retries=()) as sent) if sent.loss:
                    if math.inf in runs[strategy].measure:  # a run without is chance
                        return True
        return False

    def is_monotone(self, rising: bool) -> bool:
        """Return whether the measure of the first strategy is monotone along the values played."""
        columns = [self.at(x)[0] for x in self.values]
        infinite = [set(column) == {math.inf} for column in columns if not math.isnan(sum(column))]
        if infinite != sorted(infinite, reverse=not rising):
            return False
        steps = [pair for pair in itertools.pairwise(columns) if math.inf not in pair[0] + pair[1]]
        confidence = 1 - (1 - self.effort.confidence) / max(len(steps), 1)  # Bonferroni
        for one, other in steps:
            step = statistics.paired_interval(one, other, confidence)
            wrong = -step.high if rising else step.low
            if wrong > NEGLIGIBLE * max(float(np.mean(one)), float(np.mean(other)), 0.0):
                return False
        return True

    @property
    def _all(self) -> list[Sample]:
        return list(itertools.chain(*self._samples.values()))

    def unresumed_notes(self) -> list[str]:
        """Return how the measure counts waits that never resumed."""
        still_waiting = sum(sum(runs.still_waiting) for runs in self._all)
        ended = sum(sum(runs.unresumed) for runs in self._all) - still_waiting
        return self.measure.unresumed_notes(ended, still_waiting)

    def load_notes(self, x: float) -> list[str]:
        """Return a note for each system, and the workers, with little or no capacity to spare."""
        scenario, strategies = self.setup(x)
        most: dict[str, Interval] = {}
        for strategy, runs in zip(strategies, self.runs(x), strict=True):
            loads = stability.outside_shares(scenario, runs.demand, self.effort.confidence)
            busy = shares(scenario, runs.demand).get(WORKERS, 0.0)
            least = stability.least_busy(scenario, strategy, self.target.lost)
            busy = max(least, busy)  # runs may have seen less
            loads[WORKERS] = Interval(busy, 0.0, len(runs.demand))
            for name, load in loads.items():
                most[name] = max(load, most.get(name, load), key=lambda one: one.mean)
        where = f"at {self.space.text(x)}"
        if self.space.field == WORKERS_FIELD:
            where = f"with {counted(int(x), 'worker', 'workers')},"
        notes = [why for strategy in strategies for why in stability.unbounded(scenario, strategy)]
        for name, load in most.items():
            if load.mean <= NEARLY_FULL:
                continue
            half = f" ± {percent(load.half_width)}" if load.half_width > 5e-4 else ""
            backlog = ": checks may become fewer and waits time out, or else a backlog grows"
            if self.overload(x).certain or name != WORKERS:
                backlog = ": a backlog grows, which a longer length shows"
            notes.append(
                f"{where} {name if name == WORKERS else repr(name)} would need "
                f"{number_text(100 * load.mean)} %{half} of the time there is, if all days are "
                f"alike{backlog * (load.mean > 1)}"
            )
        return list(dict.fromkeys(notes))

    def table(self) -> pd.DataFrame:
        """Return one row per value and strategy; the values also as numbers, in column ``x``."""
        rows = []
        for x in self.values:
            for k, (label, runs) in enumerate(zip(self.labels, self.runs(x), strict=True)):
                one, value = self.interval(x, k), self.space.written(x)
                lost = replications.unresumed_share(sum(runs.unresumed), sum(runs.armed))
                rows.append((value, x, label, one.mean, one.low, one.high, lost, one.n))
        columns = ["value", "x", "strategy", "mean", "low", "high", "unresumed_share", "n"]
        return pd.DataFrame(rows, columns=columns)


def _ends(share: Interval) -> tuple[float, float, float]:
    """Return low, mean and high of a share; one run has no interval."""
    if math.isnan(share.half_width):
        return -math.inf, share.mean, math.inf
    return share.low, share.mean, share.high
