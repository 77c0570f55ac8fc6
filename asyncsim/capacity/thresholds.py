"""How little is enough, and how much is too much: values at which a target is just met.

The value of a field at which something is least: the cheapest polling interval.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Unpack

from attrs import frozen

from asyncsim.capacity.answers import Capacity, is_monotone
from asyncsim.capacity.search import (
    LOSS,
    OF_WORKERS,
    WEEKLY_VOLUME,
    Axis,
    Effort,
    Options,
    Trials,
    boundary,
    check_field,
    halved,
    trials,
)
from asyncsim.capacity.target import Measure, Target
from asyncsim.engine.metrics import TOTALS
from asyncsim.engine.run_arguments import check_played, check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.experiment.parameters import scaled_value
from asyncsim.experiment.stability import goes_on
from asyncsim.experiment.statistics import paired_interval
from asyncsim.model.arrivals import Poisson, UniformArrivals, WeeklyPoisson
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Polling
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import number_text, text_of
from asyncsim.model.validation import scenario_error

MET, NOT_MET, UNDECIDED = "met", "not met", "undecided"
LOOKED_AT = 25
"""So many values of the whole range are tried before none meets a target that goes both ways."""
LARGEST = 1024
"""More is not looked for unless `between` says so: workers, or times the present volume."""


def fewest_workers(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    between: tuple[int, int] = (1, LARGEST),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the fewest workers with which a target is met.

    Every number of workers that is tried meets the same random numbers. For latencies, queues and
    cycle times more workers are never worse, so a few trials lead to the answer. A cost falls and
    then rises with workers who are paid for: the answer says that it does not go one way.

    Parameters
    ----------
    scenario, strategy
        What is played; its own number of workers is where the search begins.
    target
        Such as ``"p95_latency <= 60s"``: of the mean over replications. A wait that never resumes
        counts as infinitely late.
    between
        Fewest and most workers to think of.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is where the mean meets the target, ``high`` where its whole interval does. A rate
        of arrivals goes on after the scenario's length: workers who surely have no time to spare
        then are too few (*overloaded*), and a note says if twice the length undoes the answer. What
        follows a wait counts as far as it surely resumes, or must for the target to be met.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a herd",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
    ...     server=sim.WorkflowServer(workers=1, callback_work="1s"),
    ...     arrivals=sim.UniformArrivals(600, between=("08:00", "20:00")),
    ... )
    >>> answer = sim.fewest_workers(
    ...     scenario, sim.Callback(), "max_latency <= 1min", replications=3, progress=False
    ... )
    >>> answer.value  # 600 callbacks of a second on ten workers take a minute
    10
    """
    chosen = Effort.of(effort)
    axis = Axis.between(OF_WORKERS, between)
    check_played(scenario, strategy, None)
    wanted = Target.parse(target, scenario)
    start = float(scenario.server.workers)
    return _limit("fewest workers", scenario, strategy, wanted, axis, start, "high", chosen)


def largest_volume(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    field: str | None = None,
    between: tuple[Any, Any] | None = None,
    **effort: Unpack[Options],
) -> Capacity:
    """Find the largest volume at which a target is still met.

    Parameters
    ----------
    scenario, strategy, target
        As in `fewest_workers`; the search begins with the scenario's own volume.
    field
        The dotted name of what stands for volume; by default the rate of Poisson arrivals or the
        number of scattered ones.
    between
        The smallest and the largest volume to think of; by default from a 1024th to 1024 times the
        scenario's own.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is the last volume whose mean meets the target, ``low`` the last one whose whole
        interval does. A rate goes on after the scenario's length: where it asks an outside system
        for more in a week than that can do in one, or leaves the workers surely no time to spare,
        the volume does not do (*overloaded*), and a note says if twice the length undoes the
        answer. Of fixed numbers a note says what they ask for.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a herd",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "0s", results="at end")},
    ...     server=sim.WorkflowServer(workers=4, callback_work="1s"),
    ...     arrivals=sim.UniformArrivals(100, between=("08:00", "20:00")),
    ... )
    >>> answer = sim.largest_volume(
    ...     scenario, sim.Callback(), "max_latency <= 1min", replications=2, progress=False
    ... )
    >>> answer.value  # four workers handle 240 callbacks in a minute
    240
    """
    chosen = Effort.of(effort)
    check_played(scenario, strategy, None)
    wanted = Target.parse(target, scenario)
    arrivals = scenario.arrivals
    own: Any = None
    if isinstance(arrivals, Poisson):
        own = ("arrivals.rate", str(arrivals.rate))
    elif isinstance(arrivals, WeeklyPoisson):
        own = (WEEKLY_VOLUME, arrivals.volume)
    elif isinstance(arrivals, UniformArrivals):
        own = ("arrivals.count", arrivals.count)
    if field is None and own is None:
        raise ScenarioError(
            f"field must be given for arrivals of class {type(arrivals).__name__}: the dotted name "
            "of what stands for volume"
        )
    present = scaled_value(own[1]) if own and field in (None, own[0]) else None
    if between is None:
        if present is None:
            raise scenario_error("between", "must be given with a field of your own", between)
        least = max(present.number / LARGEST, 1.0 if present.scale == "whole number" else 0.0)
        between = present.back(least), present.back(present.number * LARGEST)
    axis = Axis.between(field or own[0], between)
    start = present.number if present and present.scale == axis.scale else axis.least
    return _limit("largest volume", scenario, strategy, wanted, axis, start, "low", chosen)


def longest_interval(
    scenario: Scenario,
    target: str,
    strategy: Strategy | None = None,
    *,
    field: str = "strategy.interval",
    between: tuple[Any, Any] = ("1s", "1d"),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the longest polling interval with which a target is met.

    Parameters
    ----------
    scenario, target
        As in `fewest_workers`.
    strategy
        The polling whose interval is changed; by default `Polling`, anchored at the arming.
    field
        What is changed: ``"strategy.cap"`` of a `Backoff`, ``"strategy.every"`` of a
        `CallbackWithSafetyPoll`.
    between
        The shortest and the longest interval to think of.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` in seconds. Where all instances wait for the same batch, a fixed interval can hit
        its end by luck; ``one_way`` is then false. Of a rate of arrivals that an outside system or
        the workers surely could not keep up with at any interval, none is offered (*overloaded*);
        checks so frequent that they fill all workers are late, but each wait only needs one.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="requests",
    ...     process=sim.Process("request", [sim.AsyncStep("ask", system="service")]),
    ...     systems={"service": sim.OnlineService("45s", lanes=None)},
    ...     arrivals=sim.UniformArrivals(20),
    ... )
    >>> answer = sim.longest_interval(
    ...     scenario, "mean_latency <= 1h", between=("1min", "1h"), replications=2, progress=False
    ... )
    >>> answer.value  # after an hour a step is 3,555 s late
    3600.0
    """
    chosen = Effort.of(effort)
    strategy = Polling(60.0) if strategy is None else strategy
    if isinstance(target, Strategy):
        raise ScenarioError(
            "longest_interval takes (scenario, target, strategy), got the strategy before the "
            f"target: {target!r}"
        )
    check_played(scenario, strategy, None)
    wanted = Target.parse(target, scenario)
    check_field(strategy, field)
    axis = Axis.between(field, between)
    start = axis.middle(axis.least, axis.most)
    return _limit("longest interval", scenario, strategy, wanted, axis, start, "low", chosen)


def _limit(
    what: str,
    scenario: Scenario,
    strategy: Strategy,
    wanted: Target,
    axis: Axis,
    start: float,
    good: str,
    effort: Effort,
) -> Capacity:
    """Find where a target is just met: by the mean, by the whole interval, by its lower end.

    Values at which systems or workers are surely asked for more than they can do do not meet it.
    """
    lost = wanted.measure.lost_at_most
    with trials(scenario, [strategy], axis, wanted.measure, effort, what, lost) as tried:
        search = _Search(tried, wanted.most)
        wide = 0 if axis.whole else 6  # 1.01^64 is about 2
        value, beyond = boundary(search.seems_met, axis, start, good, wide)
        best = axis.most if good == "high" else axis.least
        if value is None and (
            "cost" in wanted.measure.figure or tried.interval(best).mean == math.inf
        ):  # it may be met in the middle
            better = [x for x in axis.spread(LOOKED_AT) if search.seems_met(x)]
            if better:
                nearest_good = better[0] if good == "high" else better[-1]
                value, beyond = boundary(search.seems_met, axis, nearest_good, good)
        near = start if value is None else value
        boundary(search.surely_met, axis, near, good)
        boundary(search.may_be_met, axis, near, good)
        ends = search.ends(value, good)
        lost = tried.loses_any()
        longer = [] if lost or value is None else search.longer(value)
    none = f"; at {axis.shown(best)} it is {tried.interval(best)}" if value is None else ""
    notes, verdicts = tried.notes(), [search.verdict(x) for x in tried.values]
    if lost:
        free = axis.field == LOSS and axis.least == 0 and good == "low" and search.surely_met(0.0)
        value, ends, beyond = (0.0, (0.0, 0.0), None) if free else (None, (None, None), None)
        none = f": {wanted.measure.any_loss}"
        verdicts = [MET if free and x == 0 else NOT_MET for x in tried.values]
        notes += [wanted.measure.any_loss] if free else []
    if value is None and UNDECIDED in verdicts and not lost:
        notes.append("by so few runs it is undecided at some values: give more replications")
    notes += tried.infinite(beyond)
    if beyond is not None and tried.overload_at(beyond).seems:
        offered = "no more is" if good == "low" else "no fewer are"
        if value is None:
            offered = "none is"
        notes.append(f"{offered} offered: {'; '.join(tried.told_of_overload(beyond))}")
    elif value is not None:
        notes += tried.told_of_overload(value)
    notes += longer
    if value is not None and axis.field == WEEKLY_VOLUME:
        arrivals = tried.made(value)[0].arrivals
        assert isinstance(arrivals, WeeklyPoisson)
        notes.append(f"{axis.shown(value)} are {number_text(arrivals.per_week)} instances a week")
    last = ends[1] if good == "low" else ends[0]
    at_end = value is not None and beyond is None and last is None
    more = "or more" if good == "low" else "or fewer"
    if at_end:
        shown = axis.shown(axis.most if good == "low" else axis.least)
        notes.append(f"{shown} is where the range looked at ends: `between` widens it")
    return Capacity(
        f"{what} for {wanted} under {tried.labels[0]}",
        tried,
        (value, *ends),
        verdicts=verdicts,
        bound=wanted.most,
        none=none,
        exactly=more if at_end and value in ends else "",
        one_way=is_monotone(tried, rising=good == "low"),
        notes=notes,
    )


@frozen
class _Search:
    """Whether a target is met at a value: as it seems, surely, or perhaps."""

    tried: Trials
    most: float

    def longer(self, x: float) -> list[str]:
        """Return what is to be said of an answer that twice the length surely does not allow."""
        tried = self.tried
        if not goes_on(tried.made(x)[0]):
            return []
        found = tried.of_twice_the_length(x)
        total = tried.measure.figure in TOTALS  # twice as much is no more
        if found.low <= self.most * (2 if total else 1):
            return []
        unit = tried.measure.unit(tried.scenario)
        return [
            f"over {text_of(2 * tried.scenario.length)} {tried.measure.figure} is {found}"
            f"{'' if unit == '1' else ' ' + unit}{', more than twice as much,' * total} at "
            f"{tried.axis.shown(x)}: give a longer length"
        ]

    def seems_met(self, x: float) -> bool:
        """By the mean."""
        return self.tried.interval(x).mean <= self.most and not self.tried.overload_at(x).seems

    def surely_met(self, x: float) -> bool:
        """By the whole interval."""
        return self.verdict(x) == MET

    def may_be_met(self, x: float) -> bool:
        """By the lower end of the interval."""
        return self.verdict(x) in (MET, UNDECIDED)

    def verdict(self, x: float) -> str:
        """Say in a word how it stands with a value."""
        found = self.tried.interval(x)
        overload = self.tried.overload_at(x)
        if overload.surely:
            return "overloaded"
        if found.high <= self.most:
            return UNDECIDED if overload.perhaps else MET
        return NOT_MET if found.low > self.most or not found.n else UNDECIDED

    def ends(self, value: float | None, good: str) -> tuple[float | None, float | None]:
        """Return the ends between which all values lie that cannot be told from the answer.

        At all values tried before the first end the target is met, behind the last one it is not.
        """
        axis = self.tried.axis
        for change in (self._last_met, self._last_possible):  # what lies between may be halved
            inside, outside = change(good)
            if inside is not None and outside is not None:
                test = self.surely_met if change == self._last_met else self.may_be_met
                halved(test, axis, inside, outside)
        perhaps, too_far = self._last_possible(good)
        edge = axis.most if good == "low" else axis.least
        if too_far is None and perhaps is not None and perhaps != edge:  # chance had hidden it
            boundary(self.may_be_met, axis, perhaps, good)
            perhaps, too_far = self._last_possible(good)
        surely, _ = self._last_met(good)
        if not axis.whole and too_far is not None:
            perhaps = too_far  # beyond the last that may do, up to the first that will not
        if too_far is None and perhaps is not None:  # the range ends first; no worker is none
            perhaps = 1.0 if axis.whole and good == "high" and perhaps == 1 else None
        if value is not None and surely is not None:  # isolated values may meet it further on
            surely = min(surely, value) if good == "low" else max(surely, value)
        return (surely, perhaps) if good == "low" else (perhaps, surely)

    def _inwards(self, good: str) -> list[float]:
        return self.tried.values if good == "low" else self.tried.values[::-1]

    def _last_met(self, good: str) -> tuple[float | None, float | None]:
        """Return the last value up to which all meet it, and the next."""
        before = None
        for x in self._inwards(good):
            if not self.surely_met(x):
                return before, x
            before = x
        return before, None

    def _last_possible(self, good: str) -> tuple[float | None, float | None]:
        """Return the last value that may meet it, and the next, from which on none does."""
        after = None
        for x in reversed(self._inwards(good)):
            if self.may_be_met(x):
                return x, after
            after = x
        return None, after


TRIED_FIRST = 9
"""So many values over the whole range are tried before the search begins among the best."""
GOLDEN = (math.sqrt(5) - 1) / 2


def cheapest_interval(
    scenario: Scenario,
    strategy: Strategy | None = None,
    *,
    figure: str = "cost",
    field: str = "strategy.interval",
    between: tuple[Any, Any] = ("1s", "1d"),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the polling interval at which the cost is least.

    A few values over the whole range are tried first; between the neighbours of the best one a
    golden-section search follows, on the same random numbers throughout. For exponential external
    times and grids anchored at the arming, theory knows the answer:
    `asyncsim.experiment.theory.best_interval`.

    Parameters
    ----------
    scenario
        What is played; with prices in `Scenario.costs`, if `figure` is a cost.
    strategy
        The polling whose interval is changed; by default `Polling`, anchored at the arming.
    figure
        What is to be least.
    field, between
        As in `longest_interval`.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` in seconds. ``low`` to ``high`` are the values whose cost cannot be told from
        the least one: near a minimum the curve is flat, and the interval wide. A rate of arrivals
        goes on after the scenario's length: None where outside systems or workers surely could not
        keep up at any interval.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:person").replace(
    ...     costs=sim.CostModel(check=0.001, late_minute=0.02), length="1d"
    ... )
    >>> answer = sim.cheapest_interval(
    ...     scenario, between=("10s", "2h"), replications=2, progress=False
    ... )
    >>> 10 <= answer.low <= answer.value <= answer.high <= 7200
    True
    """
    chosen = Effort.of(effort)
    strategy = Polling(60.0) if strategy is None else strategy
    check_field(strategy, field)
    check_scenario(scenario)
    measure = Measure.of(figure, scenario)
    axis = Axis.between(field, between)
    with trials(scenario, [strategy], axis, measure, chosen, "cheapest interval") as tried:
        best = _least(
            lambda x: math.inf if tried.overload_at(x).surely else tried.interval(x).mean, axis
        )
        found: tuple[float | None, float | None, float | None] = (None, None, None)
        one_valley = True
        if not tried.overload_at(best).surely:
            ends = [_as_good(tried, best, end) for end in (axis.least, axis.most)]
            found = (best, ends[0], ends[1])
            one_valley = _one_valley(tried, best)
        notes = [*tried.notes(), *tried.told_of_overload(best)]
    return Capacity(
        f"interval of the least {figure} under {tried.labels[0]}",
        tried,
        found,
        one_way=one_valley,
        doubt="has more than one valley along",
        none="" if found[0] is not None else ": overloaded at all that were tried",
        notes=notes,
    )


def _least(figure: Callable[[float], float], axis: Axis) -> float:
    """Return the value at which a figure is least: a look around, then golden section."""
    looked = axis.spread(TRIED_FIRST)
    best = min(range(len(looked)), key=lambda k: (figure(looked[k]), k))
    if figure(looked[best]) == math.inf:
        return looked[best]
    a, d = looked[max(best - 1, 0)], looked[min(best + 1, len(looked) - 1)]
    found = [looked[best]]
    while not axis.close(a, d):
        b, c = _inside(axis, a, d, 1 - GOLDEN), _inside(axis, a, d, GOLDEN)
        if not a < b < c < d:
            break
        found += [b, c]
        if figure(b) <= figure(c):
            d = c
        else:
            a = b
    return min(found, key=lambda x: (figure(x), x))


def _inside(axis: Axis, a: float, d: float, part: float) -> float:
    if axis.by_ratio:
        return axis.neat(a * (d / a) ** part)
    return axis.neat(a + (d - a) * part)


def _as_good(tried: Trials, best: float, end: float) -> float | None:
    """Return the first value towards an end that is surely worse; None if the end is not."""

    def as_good(x: float) -> bool:
        return not tried.overload_at(x).surely and bool(_worse_by(tried, best, x) <= 0)

    if end == best or as_good(end):
        return None
    return halved(as_good, tried.axis, best, end)[1]  # the first that is surely worse


def _worse_by(tried: Trials, best: float, x: float) -> float:
    """Return by how much a value is surely worse than the best; not above zero if it may not be."""
    one, other = tried.at(best)[0], tried.at(x)[0]
    if math.inf in other and math.inf not in one:
        return math.inf
    return paired_interval(one, other, tried.effort.confidence).low


def _one_valley(tried: Trials, best: float) -> bool:
    """Tell whether the figure falls towards the best value and rises after it, but for chance."""
    confidence = tried.effort.confidence
    xs = tried.values
    for near, far in [*itertools.pairwise(xs), *itertools.pairwise(xs[::-1])]:
        outwards = best <= near < far or best >= near > far
        if not outwards or math.inf in tried.at(near)[0] + tried.at(far)[0]:
            continue
        if paired_interval(tried.at(near)[0], tried.at(far)[0], confidence).high < 0:
            return False
    return True
