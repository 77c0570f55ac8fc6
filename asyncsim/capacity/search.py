"""Runs at values of one field, all on the same random numbers, played once when asked for.

The values of a field on a scale, and the search for the one at which something changes.

Searches use that a figure goes one way along the field: they gallop from a value until the answer
changes, and halve what is between. Common random numbers make the figure go one way from run to run
as well, where the true one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypedDict

import pandas as pd
from attrs import evolve, fields, frozen

from asyncsim.capacity.target import Measure
from asyncsim.engine.run import Run
from asyncsim.engine.run_arguments import check_played
from asyncsim.errors import ScenarioError
from asyncsim.experiment.parameters import (
    OF_STRATEGY,
    ScaledValue,
    fields_of,
    made,
    scaled_ends,
    swept_labels,
)
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
)
from asyncsim.experiment.statistics import (
    Interval,
    Uneven,
    check_confidence,
    check_replications,
    interval_of,
    share_interval,
)
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import SECONDS_PER_UNIT, nearest, number_text, text_of
from asyncsim.model.validation import scenario_error

RIGHT = "must be two values (low, high), such as ('1min', '1h'), (1, 64) or ('50/h', '5000/h')"
SMALLEST = 0.01
"""Values on an axis from zero are told apart down to the tolerance of this share of its length."""
WEEKLY_VOLUME = "arrivals.volume"
"""A factor to the rates of a week, as a log has them."""
SCALES = ("duration", "number", "whole number")


@frozen
class Axis:
    """The values of a field, as numbers on a scale.

    Attributes
    ----------
    field
        Its dotted name.
    scale
        As `ScaledValue` has it.
    least, most
        No value is outside.
    tolerance
        Values closer than this share of themselves are taken as one.
    """

    field: str
    scale: str
    least: float
    most: float
    tolerance: float = 0.01

    @classmethod
    def between(cls, field: str, ends: Sequence[Any], tolerance: float = 0.01) -> Axis:
        """Return the axis between two values as a person writes them."""
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise scenario_error("between", RIGHT, ends)
        low, high = scaled_ends(ends)
        known = low and (low.scale in SCALES or low.scale.startswith("rate"))
        if not (known and low and high) or low.scale != high.scale or low.number >= high.number:
            raise scenario_error("between", RIGHT, ends)
        return cls(field, low.scale, low.number, high.number, tolerance)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are on it."""
        return self.scale == "whole number"

    @property
    def by_ratio(self) -> bool:
        """Whether distances are ratios rather than differences."""
        return self.least > 0

    def written(self, x: float) -> Any:
        """Return a value as it is put into a scenario."""
        return ScaledValue(self.scale, x).back(int(x) if self.whole else x)

    def shown(self, x: float) -> str:
        """Return a value as a person says it."""
        if self.scale == "duration":
            return text_of(x) if x else "0 s"
        return number_text(x) + self.unit

    def shown_like(self, x: float, other: float) -> str:
        """Return a value in the unit that another one has when it is said."""
        if self.scale != "duration":
            return self.shown(x)
        unit = self.shown(other).split()[1]
        return f"{x / SECONDS_PER_UNIT[unit]:.4g} {unit}"

    @property
    def unit(self) -> str:
        """What comes after a number of the scale, such as ``"/day"``."""
        if self.field == WEEKLY_VOLUME:
            return " times the rates"
        return self.scale.removeprefix("rate") if self.scale.startswith("rate") else ""

    def neat(self, x: float) -> float:
        """Return a value with as many digits as the tolerance needs, within the axis."""
        if self.whole:
            x = round(x)
        elif x:
            digits = 2 - math.floor(math.log10(self.tolerance)) - 1
            x = round(x, digits - math.floor(math.log10(abs(x))))
        return min(max(x, self.least), self.most)

    def middle(self, a: float, b: float) -> float:
        """Return a value between two."""
        if self.whole:
            return float(int(a + b) // 2)
        return self.neat(math.sqrt(a * b) if self.by_ratio else (a + b) / 2)

    def close(self, a: float, b: float) -> bool:
        """Tell whether nothing between two values is worth trying."""
        if self.whole:
            return abs(a - b) <= 1
        size = max(abs(a), abs(b))
        if not self.by_ratio:  # near zero nothing is close by its ratio
            size = max(size, SMALLEST * (self.most - self.least))
        return abs(a - b) <= self.tolerance * size or self.middle(a, b) in (a, b)

    def onward(self, x: float, up: bool, stride: int) -> float:
        """Return a value further on: strides double from the tolerance, or from one."""
        if self.whole:
            return self.neat(x + 2**stride if up else x - 2**stride)
        if self.by_ratio:
            grown = math.log1p(self.tolerance) * 2 ** min(stride, 30)
            factor = math.exp(min(grown, math.log(2)))  # at most twice: overload is dear
            return self.neat(x * factor if up else x / factor)
        step = self.tolerance * (self.most - self.least) * 2**stride
        return self.neat(x + step if up else x - step)

    def spread(self, n: int) -> list[float]:
        """Return so many values over the axis, its ends among them."""
        if self.by_ratio and (not self.whole or self.most > n * self.least):
            ratio = self.most / self.least
            found = [self.least * ratio ** (k / (n - 1)) for k in range(n)]
        else:
            found = [self.least + (self.most - self.least) * k / (n - 1) for k in range(n)]
        return sorted({self.neat(x) for x in found})


def check_field(strategy: Strategy, field: str) -> None:
    """Check that a strategy has a field of its own to be changed, and say what could be meant.

    Raises
    ------
    ScenarioError
        If it has none of that name.
    """
    name, known = field.removeprefix(OF_STRATEGY), fields_of(strategy)
    if field.startswith(OF_STRATEGY) and name.partition(".")[0] in known:
        return
    if not field.startswith(OF_STRATEGY) and name not in known:
        return  # of the scenario, which will say what it has
    own = [one for one in ("interval", "every", "cap", "hold") if one in known]
    hint = f"; name field={OF_STRATEGY + own[0]!r}" if own else "; it does not poll"
    raise ScenarioError(f"field {field!r} is none of {strategy.label!r}{hint}")


def boundary(
    meets: Callable[[float], bool], axis: Axis, start: float, good: str, stride: int = 0
) -> tuple[float | None, float | None]:
    """Return the last value that meets, counted from the good end of the axis, and the next.

    Parameters
    ----------
    meets
        True at the good end and false at the bad one, changing once.
    start
        Where the search begins; near the answer is good.
    good
        ``"low"`` or ``"high"``: at which end of the axis it is met.
    stride
        The first step is 2^stride tolerances (or whole numbers) long.

    Returns
    -------
    tuple of float or None
        The last value that meets, None if there is none; and the first that does not, None if there
        is none. On a scale of ratios they are about a tolerance apart, and the true one is between.
    """
    here = axis.neat(start)
    met = meets(here)
    up = (good == "low") == met  # met: on towards the bad end; not met: back to the good one
    while True:
        there = axis.onward(here, up, stride)
        if there == here:
            if here in (axis.least, axis.most):
                return (here, None) if met else (None, here)
        elif meets(there) != met:
            break
        here, stride = there, stride + 1
    inside, outside = (here, there) if met else (there, here)
    return halved(meets, axis, inside, outside)


def halved(
    meets: Callable[[float], bool], axis: Axis, inside: float, outside: float
) -> tuple[float, float]:
    """Return the last value that meets and the next, from one that does and one that does not."""
    while not axis.close(inside, outside):
        middle = axis.middle(inside, outside)
        if meets(middle):
            inside = middle
        else:
            outside = middle
    return inside, outside


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
        summary = RunSummary.of(run)
        waits, still = (int(summary.metrics[name]) for name in ("armed", "still_waiting"))
        return cls(measure.of_run(summary), waits, still, summary.unresumed, Asked.of(run))


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
        play: Runner,
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
            for played in self._play.collect(plan, keep, range(self.effort.replications)):
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
        return unresumed_share(sum(one.never for one in runs), sum(one.waits for one in runs))

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
    with runner(effort.n_jobs, effort.progress, desc) as play:
        yield Trials(scenario, strategies, axis, measure, effort, play, lost)
