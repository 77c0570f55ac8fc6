"""Where one strategy stops being better than another."""

from __future__ import annotations

import math
from typing import Any, Unpack

from asyncsim.engine.arguments import check_played
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.study.capacity.answers import Capacity
from asyncsim.study.capacity.axis import Axis, halved
from asyncsim.study.capacity.target import Measure
from asyncsim.study.capacity.trials import Effort, Options, Trials, trials
from asyncsim.study.statistics import Interval, paired_interval

LOOKED_AT = 7
"""So many values over the range are tried to see who is ahead where."""


def break_even(
    scenario: Scenario,
    first: Strategy,
    other: Strategy,
    field: str,
    between: tuple[Any, Any],
    *,
    figure: str = "mean_latency",
    **effort: Unpack[Options],
) -> Capacity:
    """Find the value of a field at which two strategies are equally good.

    The figure's paired difference is followed along the field: both strategies meet the same random
    numbers at every value, so little of the noise is left in it.

    Parameters
    ----------
    scenario, first, other
        What is played, and the strategies.
    field
        What changes, of the scenario (``"arrivals.rate"``) or of the strategies that have it
        (``"strategy.loss"``, ``"strategy.interval"``).
    between
        The smallest and the largest value to think of.
    figure
        What is to be small: any figure, or a quantile such as ``"p99_latency"``. A wait that never
        resumes counts as infinitely late.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is None if one of them is ahead over the whole range, which ``text`` then says.
        From ``low`` to ``high`` neither is surely ahead.

    Examples
    --------
    Half of the callbacks arrive in the second attempt, ten minutes later: five minutes late on
    average, as polling every ten minutes is.

    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="outside",
    ...     process=sim.Process("order", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService(sim.exponential("2h"), lanes=None)},
    ...     arrivals=sim.Scattered(500),
    ... )
    >>> answer = sim.break_even(
    ...     scenario, sim.Callback(loss=0.5, retries=["10min"] * 30), sim.Polling("10min"),
    ...     "strategy.interval", ("1min", "1h"), replications=5, progress=False
    ... )
    >>> 15 * 60 < answer.value < 25 * 60  # callback: 10 min late on average; polling: T/2
    True
    """
    check_played(scenario, first, None)
    check_played(scenario, other, None)
    measure = Measure.of(figure, scenario)
    axis = Axis.between(field, between)
    with trials(scenario, [first, other], axis, measure, Effort(**effort), "break-even") as tried:
        looked = axis.spread(LOOKED_AT)
        ahead = [_sign(gap(tried, x).mean) for x in looked]
        changes = [k for k in range(1, len(looked)) if ahead[k] != ahead[k - 1]]
        found: tuple[float | None, float | None, float | None] = (None, None, None)
        if changes:
            found = _crossing(tried, looked, changes[0])
    sure = [_surely(gap(tried, x)) for x in looked]
    labels = tried.labels
    notes = [] if changes else [_winner(sure, ahead, labels, figure)]
    if changes:
        k = changes[0]
        notes.append(
            f"{labels[0 if ahead[k - 1] < 0 else 1]} has the smaller {figure} below, "
            f"{labels[0 if ahead[k] < 0 else 1]} above"
        )
    return Capacity(
        f"break-even in {figure} of {labels[0]} and {labels[1]}",
        tried,
        found,
        one_way=len(_turns(sure)) <= 1,
        notes=notes,
    )


def gap(tried: Trials, x: float) -> Interval:
    """Return the paired difference, first less other; infinite where one side never resumes."""
    first, other = tried.at(x)
    pairs = list(zip(first, other, strict=True))
    if any(math.isinf(a) or math.isinf(b) for a, b in pairs):
        lost = sum(math.isinf(a) for a in first) - sum(math.isinf(b) for b in other)
        return Interval(math.copysign(math.inf, lost) if lost else math.nan, 0.0, len(pairs))
    return paired_interval(other, first, tried.effort.confidence)


def _sign(difference: float) -> int:
    """Return -1 where the first is ahead, 1 where the other is; level counts as the first."""
    return 1 if difference > 0 else -1


def _surely(found: Interval) -> int:
    """Return -1 or 1 for who is surely ahead, 0 if nobody is."""
    if found.low > 0:
        return 1
    return -1 if found.high < 0 else 0


def _turns(sure: list[int]) -> list[int]:
    """Return who is surely ahead, one after the other."""
    decided = [sign for sign in sure if sign]
    return [k for k in range(1, len(decided)) if decided[k] != decided[k - 1]]


def _crossing(
    tried: Trials, looked: list[float], k: int
) -> tuple[float, float | None, float | None]:
    """Return where the lead changes between two values, and where it is sure on either side."""
    axis, before = tried.axis, _sign(gap(tried, looked[k - 1]).mean)

    def halve(until: Any) -> float:
        return halved(until, axis, looked[k - 1], looked[k])

    value = halve(lambda x: _sign(gap(tried, x).mean) == before)
    below = [x for x in tried.values if x <= value and _surely(gap(tried, x)) == before]
    above = [x for x in tried.values if x > value and _surely(gap(tried, x)) == -before]
    low = high = None
    if below:
        low = halved(lambda x: _surely(gap(tried, x)) == before, axis, max(below), value)
    if above:
        high = halved(lambda x: _surely(gap(tried, x)) == -before, axis, min(above), value)
    return value, low, high


def _winner(sure: list[int], ahead: list[int], labels: tuple[str, ...], figure: str) -> str:
    if ahead[0] == 1:
        who, other = labels[1], labels[0]
    else:
        who, other = labels[0], labels[1]
    if all(sign == 0 for sign in sure):
        return f"neither has surely the smaller {figure} anywhere in this range"
    return f"{who} has the smaller {figure} over the whole range, {other} never"
