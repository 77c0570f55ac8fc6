"""The best moments to check outside work whose time is known as a distribution or from a log.

A check costs money and so does lateness. Between two checks the server learns nothing, so the
moments can be fixed in advance: a classic problem of inspection (Barlow, Hunter & Proschan 1963,
doi:10.1137/0111078). Dynamic programming finds them. Begin with `best_checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from asyncsim.model.distributions import (
    DistributionLike,
    Duration,
    Empirical,
    Fixed,
    external_distribution,
)
from asyncsim.model.html import cells_html, result_html
from asyncsim.model.request_log import RequestLog
from asyncsim.model.specifications import Grid, Intervals, Pauses
from asyncsim.model.strategies import Backoff, Polling, PollingAfter, Strategy, schedule_of
from asyncsim.model.units import number, number_text, percent, require, text_of
from asyncsim.model.validation import argument, with_own_tables

Floats = NDArray[np.float64]
TAIL = 1e-7  # of the outside times, beyond which checks go on at the last pause
POINTS = 3000  # uniform ones, and as many quantiles, at which checks may be made
MOST_CHECKS = 100_000
TRIED = 32  # values on a grid before a minimum is refined
FEWEST = 20  # observed times whose halves are compared
FACTORS, CAPS = (1.1, 1.3, 2.0, 3.0), (2.0, 4.0, 16.0, 64.0)  # of backoffs, in first intervals
KINDS = ("best moments", "fixed interval", "first wait, then fixed", "backoff")
NUMBERS = ["cost", "checks", "latency"]
WORTH = 0.005  # a smaller saving is none


@frozen
class _Problem:
    """An outside time D, and the price of a check in seconds of lateness."""

    external: Duration
    price: float

    @cached_property
    def observed(self) -> Floats | None:
        """The times of an empirical distribution in order; None for another one."""
        return np.sort(self.external.values) if isinstance(self.external, Empirical) else None

    @cached_property
    def horizon(self) -> float:
        """Nearly all outside times are shorter."""
        low, high = 0.0, self.external.mean or 1e-3
        while self.alive(high) > TAIL:
            low, high = high, 2 * high
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.alive(middle) > TAIL else (low, middle)
        return high

    def alive(self, at: ArrayLike) -> Floats:
        """Return S(t) = P(D > t)."""
        if self.observed is None:  # otherwise it would sort them each time
            return np.asarray(self.external.survival(at))
        return np.asarray(
            1.0 - np.searchsorted(self.observed, at, side="right") / len(self.observed)
        )

    def cost(self, moments: Floats) -> tuple[float, float, float]:
        """Return cost, checks and latency of a wait that is checked at given moments.

        Checks are 1 + S(t_1) + S(t_2) + …; the latency is t_1 + sum of (t_(k+1) - t_k) S(t_k),
        less the mean (`asyncsim.model.closed_forms.checks_at_given_times`).
        """
        alive = self.alive(moments)
        checks = 1.0 + float(alive[:-1].sum())
        seen = float(moments[0] + np.sum(np.diff(moments) * alive[:-1]))
        latency = max(seen - self.external.mean, 0.0)
        return self.price * checks + latency, checks, latency

    def repeated(self, first: float, interval: float) -> Floats:
        """Return the moments of checks at fixed intervals after the first one."""
        number = max(math.ceil((self.horizon - first) / interval), 0) + 1
        return first + interval * np.arange(float(min(number, MOST_CHECKS)))

    def growing(self, first: float, factor: float, cap: float) -> Floats:
        """Return the moments of a backoff."""
        grown = np.minimum(first * factor ** np.arange(200.0), cap)
        moments = np.cumsum(grown)
        return np.append(moments, self.repeated(moments[-1] + cap, cap)[:-1])

    def _backoff(self, first: float, factor: float, times: float) -> Floats:
        return self.growing(first, factor, times * first)

    def best_moments(self) -> Floats:
        """Return the moments of the least cost, by dynamic programming.

        With S(t) = P(D > t) and W(t) the cost from a check at t on, for those not complete then:
        W(t) = min over u > t of c S(t) + (u - t) S(t) - (integral of S from t to u) + W(u).
        """
        at = np.linspace(0.0, self.horizon, POINTS)
        quantiles = np.interp(np.linspace(0, 1, POINTS), 1 - self.alive(at), at)
        exact: ArrayLike = [self.external.value] if isinstance(self.external, Fixed) else []
        if self.observed is not None:
            exact = np.quantile(self.observed, np.linspace(0, 1, POINTS), method="higher")
        at = np.unique(np.concatenate([at, quantiles, exact]))
        alive, area = self.alive(at), self._area(at)
        cost, following = np.zeros(len(at)), np.zeros(len(at), dtype=np.int64)
        for k in range(len(at) - 2, -1, -1):
            late = (at[k + 1 :] - at[k]) * alive[k] - (area[k + 1 :] - area[k])
            best = int(np.argmin(late + cost[k + 1 :]))
            following[k] = k + 1 + best
            cost[k] = self.price * alive[k] + late[best] + cost[k + 1 + best]
        found, k = [], 0
        while following[k]:
            k = int(following[k])
            found.append(at[k])
        return np.array(found)

    def _area(self, at: Floats) -> Floats:
        """Return the integral of S from 0 to each moment: the mean of min(D, t)."""
        if isinstance(self.external, Fixed):
            return np.asarray(np.minimum(at, self.external.value), dtype=float)
        if (ordered := self.observed) is not None:
            below = np.searchsorted(ordered, at)
            sums = np.append(0.0, np.cumsum(ordered))
            return np.asarray((sums[below] + at * (len(ordered) - below)) / len(ordered))
        ends, middle = (self.alive(x) for x in (at, (at[1:] + at[:-1]) / 2))
        parts = (ends[1:] + 4 * middle + ends[:-1]) / 6 * np.diff(at)  # Simpson's rule
        return np.append(0.0, np.cumsum(parts))

    def best_fixed(self) -> float:
        """Return the best fixed interval from arming."""
        return self._least(lambda interval: self.repeated(interval, interval))[1]

    def best_first(self) -> tuple[float, float]:
        """Return the best first wait and the interval after it."""
        firsts = self.best_moments()[0] * np.array([0.8, 0.9, 1.0, 1.1, 1.25])
        grid = np.unique(np.append(firsts, np.linspace(0, self.horizon, TRIED)[1:]))
        tried = [(*self._least(partial(self.repeated, first)), first) for first in grid]
        _, interval, first = min(tried)
        return float(first), interval

    def best_backoff(self) -> tuple[float, float, float]:
        """Return first interval, factor and cap of the best capped backoff."""
        found = []
        for factor in FACTORS:
            for times in CAPS:
                moments = partial(self._backoff, factor=factor, times=times)
                cost, first = self._least(moments)
                found.append((cost, first, factor, times * first))
        return min(found)[1:]

    def _least(self, moments: Callable[[float], Floats]) -> tuple[float, float]:
        """Return the least cost over one interval, and the interval."""
        from scipy.optimize import minimize_scalar  # slow to import

        def cost(logarithm: float) -> float:
            return self.cost(moments(math.exp(logarithm)))[0]

        longest = math.log(max(self.horizon, 0.01)) + 1e-9  # the horizon included
        grid = np.linspace(longest, math.log(max(2 * self.horizon / MOST_CHECKS, 0.001)), TRIED)
        costs = [cost(x) for x in grid]
        k = int(np.argmin(costs))  # of several the longest interval
        ends = grid[min(k + 1, TRIED - 1)], grid[max(k - 1, 0)]
        near = minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-4})
        best = min((costs[k], -grid[k]), (float(near.fun), -float(near.x)))
        return best[0], math.exp(-best[1])


def _found(problem: _Problem) -> dict[str, Strategy]:
    """Return the best strategy of each kind."""
    pauses = np.diff(problem.best_moments(), prepend=0.0) * (1 + 1e-12)  # their sum is no less
    pauses = np.maximum(pauses, 0.001).tolist()
    first, interval = problem.best_first()
    fixed = problem.best_fixed()
    strategies = (
        PollingAfter([*pauses, fixed]),  # for times longer than any that is known
        Polling(fixed),
        Polling(interval, first=first),
        Backoff(*problem.best_backoff()),
    )
    return dict(zip(KINDS, strategies, strict=True))


def _moments_of(strategy: Strategy, problem: _Problem) -> Floats:
    """Return when a strategy checks on an idle server."""
    match schedule_of(strategy):
        case Pauses(pauses):
            given = np.cumsum(pauses)
            return np.append(given, problem.repeated(given[-1] + pauses[-1], pauses[-1]))
        case Grid(interval, first=first):
            return problem.repeated(first or interval, interval)
        case Intervals(first, factor) as growing:
            return problem.growing(first, factor, growing.longest)
    raise TypeError(strategy)


def _table(fitted: _Problem, measured: _Problem) -> pd.DataFrame:
    """Return what the best strategies for one problem cost in another."""
    rows = {}
    for name, strategy in _found(fitted).items():
        numbers = measured.cost(_moments_of(strategy, measured))
        rows[name] = (strategy, *numbers)
    return pd.DataFrame.from_dict(rows, "index", columns=["strategy", *NUMBERS])


@with_own_tables
@frozen(eq=False)
class BestChecks:
    """The best moments to check, and what they gain; made by `best_checks`.

    >>> found = sim.best_checks("8h", check_cost=0.01, lateness_cost=0.02)
    >>> found.table.checks["best moments"].item()  # work of a fixed time needs one check
    1.0

    Attributes
    ----------
    external
        The distribution of the outside time.
    strategy
        Checks at the best moments: play it, or read its ``pauses``.
    table
        One row for each kind of strategy at its best: ``strategy``, ``cost`` of a wait (in the
        currency of the prices), ``checks`` per wait, ``latency`` in seconds, and ``saving``, the
        share of the cost of the best fixed interval that it saves. From a log, cost, checks,
        latency and saving are those at times that were not used to find the moments.
    times
        Number of observed times; None if a distribution was given.
    """

    external: Duration
    strategy: PollingAfter
    table: pd.DataFrame
    times: int | None

    @property
    def sentence(self) -> str:
        """The answer in one or two sentences."""
        table: Any = self.table
        best, fixed, first = (table.loc[name] for name in KINDS[:3])
        saved = best.saving
        interval, wait = text_of(fixed.strategy.interval, 3), text_of(first.strategy.first, 3)
        then = text_of(first.strategy.interval, 3)
        many = f"{number_text(best.checks, 3)} checks a wait, {text_of(best.latency, 3)} late"
        on = "" if self.times is None else f", at times not used to find them (of {self.times:,})"
        if saved < WORTH:
            return (
                f"A fixed interval of {interval} is as good as any other moments: they save "
                f"{percent(max(saved, 0.0))} of its cost{on}."
            )
        found = (
            f"The best moments to check cost {percent(saved)} less than the best fixed interval "
            f"({interval}): {many} on average{on}."
        )
        if first.saving < WORTH:
            return f"{found} A first wait with a fixed interval after it does not."
        return (
            f"{found} To wait {wait} first and then check every {then} saves "
            f"{percent(first.saving)}."
        )

    def __repr__(self) -> str:
        return f"{self.sentence}\nIt {self.strategy.in_words}."

    def _repr_html_(self) -> str:
        table: Any = self.table
        rows = [
            [str(name), row.strategy.label, number_text(row.cost, 3), number_text(row.checks, 3),
             text_of(row.latency, 3), percent(row.saving)]
            for name, row in table.iterrows()
        ]  # fmt: skip
        heads = ["kind", "at its best", "cost of a wait", "checks", "mean latency", "saving"]
        return result_html("Best checks", cells_html(heads, rows), of_title=f": {self.sentence}")


def _price(value: float) -> float:
    price = number(value)
    require(price > 0, "must be a positive price")
    return price


def best_checks(
    external: DistributionLike | RequestLog, check_cost: float, lateness_cost: float
) -> BestChecks:
    """Find the best moments to check outside work, on an idle server.

    Parameters
    ----------
    external
        Distribution of the time from arming to completion; or a request log, whose times are taken
        as they are. With a log of 20 requests or more, what the moments cost is measured on the
        half of the times that was not used to find them, and the other way round.
    check_cost
        Price of one check.
    lateness_cost
        Price of each minute from completion to the check that sees it.

    Returns
    -------
    BestChecks
        Its ``strategy`` is never worse than the best fixed interval, the best first wait with a
        fixed interval after it, and the best capped backoff, at the times it is found for.

    Raises
    ------
    ScenarioError
        If a price is not positive, or checks are so cheap that there would be more than 100,000.

    Examples
    --------
    >>> exponential = sim.best_checks(sim.exponential("10min"), 0.001, 0.01)
    >>> exponential.sentence
    'A fixed interval of 1.38 min is as good as any other moments: they save 0 % of its cost.'
    >>> narrow = sim.best_checks(sim.lognormal("10min", sd="5min"), 0.001, 0.01)
    >>> float(round(narrow.table.saving["best moments"], 2))
    0.18
    """
    price, minute = (
        argument(name, value, _price)
        for name, value in (("check_cost", check_cost), ("lateness_cost", lateness_cost))
    )
    times = None
    if isinstance(external, RequestLog):
        seconds = (external.rows["completed"] - external.rows["submitted"]).dt.total_seconds()
        external, times = Empirical(seconds.tolist()), len(seconds)
    whole = _Problem(external_distribution(external), 60 * price / minute)
    table: Any = _table(whole, whole)
    strategy = table.loc[KINDS[0], "strategy"]
    if times is not None and times >= FEWEST:
        halves = [_Problem(Empirical(seconds[k::2].tolist()), whole.price) for k in (0, 1)]
        measured = [_table(*pair)[NUMBERS] for pair in (halves, halves[::-1])]
        table[NUMBERS] = (measured[0] + measured[1]) / 2
    table["cost"] *= minute / 60
    table["saving"] = 1 - table["cost"] / table.loc[KINDS[1], "cost"]
    return BestChecks(whole.external, strategy, table, times)
