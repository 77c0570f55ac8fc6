"""Quantiles, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim.errors import ScenarioError
from asyncsim.model.described import argument
from asyncsim.model.quantities import inner_share
from asyncsim.study.statistics import check_confidence, mean_interval, ratio_values

WOODRUFF = "Student's t of the share below, over replications"


@frozen
class QuantileInterval:
    """A quantile and an interval of it.

    Attributes
    ----------
    value
        The sample's quantile.
    low, high
        Ends of the interval; infinite where n is too small for an end to exist.
    q
        Which quantile.
    coverage
        Probability with which the interval covers the true quantile: at least, for values of a law
        without ties exactly, as much as the ends that exist can give.
    n
        How many values, or replications, it rests on.
    method
        How the interval was found.
    note
        What is missing, in words; empty if nothing is.
    """

    value: float
    low: float
    high: float
    q: float
    coverage: float
    n: int
    method: str = "order statistics"
    note: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        text = f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"
        return f"{text}; {self.note}" if self.note else text


def quantile(values: ArrayLike, q: float) -> float:
    """Return a quantile by linear interpolation; infinite if it lies beyond a finite value.

    As `numpy.quantile`, which cannot interpolate towards infinity. NaN without values.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if not len(ordered):
        return math.nan
    place = q * (len(ordered) - 1)
    if abs(place - round(place)) < 1e-9:  # 0.95 of 20 steps is 19, but for rounding
        place = round(place)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    if low == high or place == math.floor(place):
        return float(low)
    return float(low + (high - low) * (place - math.floor(place)))


def quantile_interval(values: ArrayLike, q: float, confidence: float = 0.95) -> QuantileInterval:
    """Return a quantile of independent values with an interval that assumes nothing of their law.

    The number of values up to the true quantile is binomial, B(n, q). So the order statistics x(r)
    and x(s) enclose it with probability P(r ≤ B < s); r is the largest and s the smallest with at
    most half of 1 - `confidence` outside on either side (W. J. Conover, Practical Nonparametric
    Statistics, section on the quantile test). Waits within a run are *not* independent, a herd
    resumes together: give one value per replication, or use `Comparison.quantiles`.

    Parameters
    ----------
    values
        Independent values, shape ``(n,)``; infinite ones are allowed, NaN is not.
    q
        Between 0 and 1: 0.95 for the value that 95 % stay below.
    confidence
        Least probability of covering the true quantile.

    Examples
    --------
    >>> found = quantile_interval(range(1, 101), 0.5)
    >>> found.low, found.high, round(found.coverage, 4)
    (40.0, 61.0, 0.9648)
    >>> quantile_interval(range(20), 0.95).note
    'no upper end: 20 values are too few, 72 would do'
    """
    q, confidence = argument("q", q, inner_share), check_confidence(confidence)
    ordered = np.sort(np.asarray(values, dtype=float).ravel())
    if np.isnan(ordered).any():
        raise ScenarioError("values must not hold NaN: leave out or count what has no value")
    n, tail = len(ordered), (1 - confidence) / 2
    if not n:
        return QuantileInterval(math.nan, -math.inf, math.inf, q, 1.0, 0, note="no values")
    below = scipy.stats.binom.cdf(np.arange(n + 1), n, q)  # P(B ≤ k)
    r = int(np.searchsorted(below, tail * (1 + 1e-12), side="right"))
    s = int(np.searchsorted(below, (1 - tail) * (1 - 1e-12), side="left")) + 1
    low = float(ordered[r - 1]) if r else -math.inf
    high = float(ordered[s - 1]) if s <= n else math.inf
    covered = float((below[s - 1] if s <= n else 1.0) - (below[r - 1] if r else 0.0))
    missing = [word for word, lacks in (("lower", r == 0), ("upper", s > n)) if lacks]
    needed = max([1, *(_needed(q if word == "upper" else 1 - q, tail) for word in missing)])
    note = f"no {' and no '.join(missing)} end: {n} values are too few, {needed} would do"
    found = quantile(ordered, q)
    return QuantileInterval(found, low, high, q, covered, n, note=note if missing else "")


def _needed(q: float, tail: float) -> int:
    """Return the number of values from which the largest lies beyond the quantile surely enough."""
    return math.ceil(math.log(tail) / math.log(q) * (1 - 1e-12))


def replicated_quantile(
    samples: Sequence[ArrayLike], q: float, confidence: float = 0.95
) -> QuantileInterval:
    """Return a quantile of simulated values with an interval over independent replications.

    Values within a replication depend on each other; replications do not. The share of values up to
    the quantile of all of them, a ratio over replications, has a t-interval q ± h; the quantiles of
    all values at q - h and q + h are the ends (Woodruff 1952, Confidence intervals for medians and
    other position measures, Journal of the American Statistical Association 47, 635-646). Means of
    the quantiles of replications would lean to the middle where these have few values.

    Parameters
    ----------
    samples
        The values of each replication; infinite ones are allowed. Empty ones are left out.
    q
        Between 0 and 1.
    confidence
        Of the interval.
    """
    q = argument("q", q, inner_share)
    full = [np.asarray(values, dtype=float) for values in samples if len(np.asarray(values))]
    if len(full) < 2:
        value = quantile(full[0], q) if full else math.nan
        note = "one replication has no interval" if full else "there are no values"
        none = (math.nan, math.nan, q, confidence, len(full), WOODRUFF, note)
        return QuantileInterval(value, *none)
    ordered = np.sort(np.concatenate(full))
    value, n = quantile(ordered, q), len(ordered)
    below = [np.sum(values <= value) for values in full]
    shares = ratio_values(below, [len(values) for values in full])
    half = mean_interval(shares, confidence).half_width
    low, high = math.floor((q - half) * (n - 1) + 1e-9), math.ceil((q + half) * (n - 1) - 1e-9)
    missing = [word for word, lacks in (("lower", low < 0), ("upper", high >= n)) if lacks]
    note = f"no {' and no '.join(missing)} end: give more replications, or longer ones"
    return QuantileInterval(
        value,
        float(ordered[low]) if low >= 0 else -math.inf,
        float(ordered[high]) if high < n else math.inf,
        q,
        confidence,
        len(full),
        WOODRUFF,
        note if missing else "",
    )
