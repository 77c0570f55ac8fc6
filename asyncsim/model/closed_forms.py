"""Closed forms for the strategies: mean latency, checks and wasted share on an idle server.

Here D is the time from arming to completion, S(x) = P(D > x) its survival function and m its mean;
T is an interval. Each formula stands with its derivation in a line or two; `asyncsim verify`
compares all of them with the simulation.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import numpy as np
from attrs import frozen

from asyncsim.model.distributions import Duration, Empirical, Fixed
from asyncsim.model.html import result_html
from asyncsim.model.specifications import (
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Pauses,
    StrategySpecification,
)
from asyncsim.model.units import number_text, percent, text_of

TAIL = 1e-12
MOST_TERMS = 4_000_000  # of a sum, about a second
PIECES = 2000  # of each part of an integral
LONGEST_GAP = 1e100  # of checks without a cap


@frozen
class Expected:
    """What theory expects of one wait.

    Attributes
    ----------
    latency
        Mean resume latency in seconds, of the waits that resume.
    checks
        Mean number of checks per wait.
    wasted_share
        Share of the checks that found the work not complete.
    deliveries
        Mean number of delivery attempts per wait.
    unresolved
        Probability that the wait is never finished.
    """

    latency: float
    checks: float = 0.0
    wasted_share: float = 0.0
    deliveries: float = 0.0
    unresolved: float = 0.0

    @property
    def in_words(self) -> str:
        """Latency and loss in one sentence.

        >>> Expected(450.0, unresolved=0.1).in_words
        '90 % of the waits resume, 7.5 min after completion on average; 10 % never resume.'
        """
        if self.unresolved >= 1 or not math.isfinite(self.latency):
            return f"{percent(self.unresolved)} of the waits never resume."
        late = "at completion"
        if self.latency:
            late = f"{text_of(self.latency, 3)} after completion on average"
        if not self.unresolved:
            return f"Every wait resumes, {late}."
        lost = percent(self.unresolved)
        return f"{percent(1 - self.unresolved)} of the waits resume, {late}; {lost} never resume."

    def _repr_html_(self) -> str:
        note = "By closed form, on an idle server"
        if self.checks:
            wasted = percent(self.wasted_share)
            note += f"; checks per wait: {number_text(self.checks, 3)}, {wasted} of them wasted"
        if self.deliveries:
            note += f"; deliveries per wait: {number_text(self.deliveries, 3)}"
        return result_html(self.in_words, "", f"{note}.")


def expected(specification: StrategySpecification, external: Duration) -> Expected | None:
    """Return the closed form of a strategy, `external` being D; None where there is none."""
    checks, deliveries = specification.checks, specification.deliveries
    match deliveries:
        case Deliveries(is_plain=False, loss=loss, queue=queue) if loss or queue == "blocking":
            return None  # what becomes of one event depends on the others
    match checks, deliveries:
        case ((Grid() | Intervals() | Pauses()), _) if checks.limit is not None:
            return None
        case Grid(jitter=0.0, anchor="arming", window=None), None:
            return polling_from_arming(external, checks.interval, checks.first)
        case Grid(jitter=0.0, first=None, window=None), None:
            return polling_at_random_phase(external, checks.interval)
        case ((Intervals(jitter="none") | Pauses()), None):
            return checks_at_given_times(external, checks)
        case Hold(), None:
            return long_polling(external, checks.hold)
        case None, Deliveries() as sent:
            return callback(sent.delay.mean, sent.loss, sent.mean_pauses, sent.duplicates)
        case (
            Grid(every, "clock" | "random", jitter=0.0, first=None, window=None),
            Deliveries(delay, loss=loss, retries=()),
        ):
            return callback_with_safety_poll(external, delay, loss, every)
    return None


def sum_of_survival(
    external: Duration, interval: float, first: float, most: int = MOST_TERMS
) -> float | None:
    """Return S(a) + S(a + T) + …, or None if the tail is so long that the sum would be cut off."""
    total, begin, block = 0.0, 0, 4096
    while begin < most:
        terms = external.survival(first + np.arange(begin, begin + block) * interval)
        total += float(terms.sum())
        if terms[-1] < TAIL:
            return total
        begin, block = begin + block, block * 2
    return None


def _by_checks(latency: float, wasted: float) -> Expected:
    return Expected(latency, 1.0 + wasted, wasted / (1.0 + wasted))


def polling_from_arming(
    external: Duration, interval: float, first: float | None = None, most: int = MOST_TERMS
) -> Expected | None:
    """Grid anchored at arming: the check that sees D is number ceil(D/T), at least 1.

    Checks are 1 + S(T) + S(2T) + …; the latency is T times that, less m. For an exponential D it
    is T/(1 - exp(-T/m)) - m; for a fixed D it is T ceil(D/T) - D. If the first check is at F, they
    are 1 + w with w = S(F) + S(F+T) + S(F+2T) + …, and the latency is F + T w - m.
    """
    first = interval if first is None else first
    wasted = sum_of_survival(external, interval, first, most)
    return None if wasted is None else _by_checks(first + interval * wasted - external.mean, wasted)


def polling_at_random_phase(external: Duration, interval: float) -> Expected:
    """Grid at a random phase: latency T/2 and 1 + m/T checks, for any distribution of D."""
    return _by_checks(interval / 2, external.mean / interval)


def checks_at_given_times(
    external: Duration,
    gaps: Intervals | Pauses,
    handled: float = 0.0,
    most: int = MOST_TERMS,
    scale: float = 1.0,
) -> Expected | None:
    """Check at t_1 < t_2 < …: sums over the survival function.

    Checks are 1 + S(t_1) + S(t_2) + …; the check that sees completion is at
    t_1 + sum of (t_(k+1) - t_k) S(t_k), so the latency is that less m (summation by parts). Each
    gap but the first counts from the end of the check before, which takes `handled` seconds; all
    are multiplied by `scale`.
    """
    reached, wasted, due, first, block = 0.0, 0.0, 0.0, 0, 256
    alive = 1.0
    while first < most:
        gap = np.minimum(gaps.intervals(first, block), LONGEST_GAP) * scale + handled
        gap[0] -= 0.0 if first else handled
        at = due + np.cumsum(gap)
        left = external.survival(at)
        reached += float(gap @ np.concatenate([[alive], left[:-1]]))
        wasted += float(left.sum())
        alive, due = float(left[-1]), float(at[-1])
        if alive < TAIL:
            return _by_checks(reached - external.mean, wasted)
        first, block = first + block, block * 2
    return None


def long_polling(external: Duration, hold: float) -> Expected | None:
    """Hold requests of length H one after the other: 1 + S(H) + S(2H) + … of them, no latency."""
    wasted = sum_of_survival(external, hold, hold)
    return None if wasted is None else _by_checks(0.0, wasted)


def callback(
    delay: float, loss: float, retries: tuple[float, ...], duplicates: float = 0.0
) -> Expected:
    """Deliver at offsets a_0 = 0, a_1, …, each attempt arriving with probability s = 1 - loss.

    E[offset | delivered] = sum of a_k s (1-s)^k / (1 - (1-s)^n); dead letters (1-s)^n.
    """
    offsets = list(accumulate((0.0, *retries)))
    n, arrives = len(offsets), 1.0 - loss
    dead = loss**n
    if dead == 1.0:
        return Expected(float("nan"), deliveries=float(n), unresolved=1.0)
    mean_offset = sum(a * arrives * loss**k for k, a in enumerate(offsets)) / (1.0 - dead)
    deliveries = sum(loss**k for k in range(n)) * (1 + arrives * duplicates)
    return Expected(delay + mean_offset, deliveries=deliveries, unresolved=dead)


def callback_with_safety_poll(
    external: Duration, delay: Duration, loss: float, every: float
) -> Expected:
    """Expect a callback (delay d, loss p) beside a poll every R at a random phase.

    The distance V from completion to the next check is uniform on (0, R). Latency is
    p R/2 + (1-p) E[min(d, V)], close to (1-p) d + p R/2 while d is small against R; m/R checks
    come before completion, and one more, with probability E[min(d, R)]/R, before the callback.
    """
    if isinstance(delay, Fixed | Empirical):
        values = delay.value if isinstance(delay, Fixed) else delay.values
        least = np.minimum(values, every)
        below, sooner = float(np.mean(least)), float(np.mean(least - least**2 / (2 * every)))
    else:
        below, sooner = _integrals(delay, every)
    wasted = external.mean / every
    checks = wasted + (loss + (1 - loss) * min(below / every, 1.0))
    share = wasted / checks if checks else 0.0
    return Expected(loss * every / 2 + (1 - loss) * sooner, checks, share, deliveries=1.0)


def _integrals(delay: Duration, bound: float) -> tuple[float, float]:
    """Return the integrals of P(d > x) and of P(d > x) (1 - x/R) from 0 to R."""
    sizes = delay.mean * 10.0 ** np.arange(-3, 4)  # most of it may lie near 0
    ends = pairwise([0.0, *sizes[sizes < bound].tolist(), bound])
    starts = np.concatenate([np.linspace(*each, PIECES, endpoint=False) for each in ends])
    half = np.diff(starts, append=bound) / 2
    nodes, weights = np.polynomial.legendre.leggauss(4)
    x = (starts + half)[:, np.newaxis] + np.outer(half, nodes)
    each = delay.survival(x) * np.outer(half, weights)
    return float(each.sum()), float((each * (1 - x / bound)).sum())
