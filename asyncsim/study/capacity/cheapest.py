"""The value of a field at which something is least: the cheapest polling interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Unpack

from asyncsim.engine.arguments import check_scenario
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Polling
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.answers import Capacity
from asyncsim.study.capacity.axis import Axis, check_field, halved
from asyncsim.study.capacity.target import Measure
from asyncsim.study.capacity.trials import Effort, Options, Trials, trials
from asyncsim.study.statistics import paired_interval

LOOKED_AT = 9
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
    `asyncsim.study.theory.best_interval`.

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
    looked = axis.spread(LOOKED_AT)
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
