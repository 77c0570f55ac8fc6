"""Where one strategy stops being better than another."""

from __future__ import annotations

import math
from typing import Any, Unpack

import scipy
from attrs import frozen

from asyncsim.engine.arguments import check_played
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.answers import Capacity
from asyncsim.study.capacity.axis import Axis, halved
from asyncsim.study.capacity.target import Measure
from asyncsim.study.capacity.trials import LOSS, Effort, Options, Trials, trials
from asyncsim.study.statistics import paired_interval

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
        resumes counts as infinitely late; where that happens, the replications that each strategy
        wins are counted. If callbacks are lost for good, any loss at all makes a mean infinite: the
        break-even is then at no loss, however few runs show it.
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
    chosen = Effort.of(effort)
    check_played(scenario, first, None)
    check_played(scenario, other, None)
    measure = Measure.of(figure, scenario)
    axis = Axis.between(field, between)
    with trials(scenario, [first, other], axis, measure, chosen, "break-even") as tried:
        looked = axis.spread(LOOKED_AT)
        ahead = [lead(tried, x).sign for x in looked]
        changes = [k for k in range(1, len(looked)) if ahead[k] != ahead[k - 1]]
        found: Found = (None, None, None)
        if changes:
            found = _crossing(tried, looked, changes[0])
    sure = [lead(tried, x).surely for x in looked]
    labels = tried.labels
    exactly = ""
    losers = [k for k in range(2) if tried.loses_any(k)]
    if losers:
        found, exactly, notes = _without(tried, losers)
    elif changes:
        k = changes[0]
        notes = [
            f"{labels[0 if ahead[k - 1] < 0 else 1]} has the smaller {figure} below, "
            f"{labels[0 if ahead[k] < 0 else 1]} above"
        ]
        if found[0] is not None and not measure.spare:
            notes += _by_luck(tried, found[0], figure)
    else:
        notes = [_winner(sure, ahead, labels, figure)]
    return Capacity(
        f"break-even in {figure} of {labels[0]} and {labels[1]}",
        tried,
        found,
        exactly=exactly,
        one_way=bool(losers) or len(_turns(sure)) <= 1,
        notes=[*notes, *tried.notes(), *_overload(tried, found[0])],
    )


Found = tuple[float | None, float | None, float | None]


def _without(tried: Trials, losers: list[int]) -> tuple[Found, str, list[str]]:
    """Return the answer where a strategy loses callbacks for good and its figure shows it."""
    axis = tried.axis
    names = " and ".join(tried.labels[k] for k in losers)
    why = f"under {names} {tried.measure.any_loss}"
    if axis.field == LOSS and axis.least == 0 and len(losers) == 1:
        ahead = tried.labels[0 if lead(tried, 0.0).sign < 0 else 1]
        if ahead == names:
            return (0.0, 0.0, 0.0), "any loss at all", [why]
    if len(losers) == 2:
        return (None, None, None), "", [f"neither is better: {why}"]
    other = tried.labels[1 - losers[0]]
    return (None, None, None), "", [f"{other} is ahead wherever callbacks are lost: {why}"]


def _by_luck(tried: Trials, value: float, figure: str) -> list[str]:
    """Return what is to be said of a boundary that lies where most runs become infinite."""
    nearest = [value, *[x for x in tried.values if x > value][:1]]
    if not any(math.inf in column for x in nearest for column in tried.at(x)):
        return []
    return [
        f"{figure} is infinite there in some runs: half of these runs hold a wait that never "
        "resumes, and in longer ones the break-even may lie lower"
    ]


def _overload(tried: Trials, value: float | None) -> list[str]:
    return [] if value is None else tried.told_of_overload(value)


@frozen
class Lead:
    """Who is ahead at a value: -1 the first strategy, 1 the other; level counts as the first.

    Attributes
    ----------
    sign
        Who seems to be.
    surely
        Who surely is; 0 if nobody.
    """

    sign: int
    surely: int


def lead(tried: Trials, x: float) -> Lead:
    """Tell who is ahead: by the mean paired difference, first less other.

    Where a replication is infinite there is no mean. It goes by the number of replications that
    each one wins then, and is sure if a fair coin would hardly give so many (sign test).
    """
    first, other = tried.at(x)
    confidence = tried.effort.confidence
    if math.inf not in first and math.inf not in other:
        found = paired_interval(other, first, confidence)
        surely = 1 if found.low > 0 else -1 if found.high < 0 else 0
        return Lead(1 if found.mean > 0 else -1, surely)
    wins = sum(a < b for a, b in zip(first, other, strict=True))
    losses = sum(a > b for a, b in zip(first, other, strict=True))
    sign = 1 if losses > wins else -1
    sure = wins + losses and scipy.stats.binomtest(wins, wins + losses).pvalue < 1 - confidence
    return Lead(sign, sign if sure else 0)


def _turns(sure: list[int]) -> list[int]:
    """Return who is surely ahead, one after the other."""
    decided = [sign for sign in sure if sign]
    return [k for k in range(1, len(decided)) if decided[k] != decided[k - 1]]


def _crossing(
    tried: Trials, looked: list[float], k: int
) -> tuple[float, float | None, float | None]:
    """Return where the lead changes between two values, and where it is sure on either side."""
    axis, before = tried.axis, lead(tried, looked[k - 1]).sign
    value, beyond = halved(lambda x: lead(tried, x).sign == before, axis, looked[k - 1], looked[k])
    below = [x for x in tried.values if x <= value and lead(tried, x).surely == before]
    above = [x for x in tried.values if x > value and lead(tried, x).surely == -before]
    low = high = None
    if below:
        low, _ = halved(lambda x: lead(tried, x).surely == before, axis, max(below), beyond)
    if above:
        high, _ = halved(lambda x: lead(tried, x).surely == -before, axis, min(above), value)
    return value, low, high


def _winner(sure: list[int], ahead: list[int], labels: tuple[str, ...], figure: str) -> str:
    if ahead[0] == 1:
        who, other = labels[1], labels[0]
    else:
        who, other = labels[0], labels[1]
    if all(sign == 0 for sign in sure):
        return f"neither has surely the smaller {figure} anywhere in this range"
    return f"{who} has the smaller {figure} over the whole range, {other} never"
