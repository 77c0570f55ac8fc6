"""Intervals over replications.

Quantiles, and how sure they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Floats
from asyncsim.model.units import InvalidValue, count, inner_share, number_text
from asyncsim.model.validation import argument


@frozen
class Interval:
    """A mean over replications and its confidence interval.

    Attributes
    ----------
    mean
        Mean of the replications.
    half_width
        Half the width of the interval; NaN with fewer than two replications.
    n
        Replications it rests on (those without a figure, NaN, are left out and thus counted).
    """

    mean: float
    half_width: float
    n: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """Return the mean with its half-width, in the digits that its half-width leaves it."""
        if math.isnan(self.mean):
            return "–"
        if math.isinf(self.mean):
            return "never"
        half = self.half_width
        if math.isnan(half) or half <= 1e-6 * abs(self.mean):  # none, or rounding
            return number_text(self.mean, 3)
        decimals = max(1 - math.floor(math.log10(half)), 0)
        return f"{self.mean:,.{decimals}f} ± {half:,.{decimals}f}"

    @property
    def percent(self) -> str:
        """The same of a share, in per cent."""
        if math.isnan(self.mean):
            return str(self)
        return f"{Interval(100 * self.mean, 100 * self.half_width, self.n)} %"


def student_t(confidence: float, df: int) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(scipy.special.stdtrit(df, (1 + confidence) / 2))


def check_confidence(confidence: float) -> float:
    """Return the confidence of an interval, checked: a share, and no percentage."""
    return argument("confidence", confidence, inner_share)


def check_replications(replications: int) -> int:
    """Return a number of replications, checked: two or more."""
    return argument("replications", replications, _several)


def _several(value: int) -> int:
    found = count(value)
    if found < 2:
        raise InvalidValue("must be 2 or more: one run has no interval")
    return found


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return mean and t-interval of independent replications.

    Parameters
    ----------
    values
        One figure per replication, shape ``(n,)``.
    confidence
        Probability with which the interval covers the true mean, if the means are near normal.
    """
    check_confidence(confidence)
    found = np.asarray(values, dtype=float)
    found = found[~np.isnan(found)]
    n = len(found)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    if n == 1:
        return Interval(float(found[0]), math.nan, 1)
    half = student_t(confidence, n - 1) * float(found.std(ddof=1)) / math.sqrt(n)
    return Interval(float(found.mean()), half, n)


def ratio_values(sums: ArrayLike, weights: ArrayLike) -> Floats:
    """Return the ratio of all that was observed, and how far each part is from it, added up.

    `mean_interval` of these values is the ratio, with its t-interval if parts are independent.
    The mean of parts of unequal weight is not the mean of their means: the more there is to wait
    for, the longer everybody waits. The ratio r = Σ s_i / Σ w_i has no such bias to speak of, and
    its variance is that of the mean of s_i - r w_i, by the mean weight (the ratio estimator of
    Cochran 1977, Sampling Techniques, chapter 6).

    Parameters
    ----------
    sums
        What was observed in each part, added up, shape ``(n,)``.
    weights
        How much was observed in each, shape ``(n,)``; parts without any are left out.

    Examples
    --------
    >>> ratio_values([10.0, 90.0], [1.0, 3.0]).tolist()
    [17.5, 32.5]
    """
    total, weight = np.asarray(sums, dtype=float), np.asarray(weights, dtype=float)
    total, weight = total[weight > 0], weight[weight > 0]
    if not len(weight):
        return total
    ratio = total.sum() / weight.sum()
    found: Floats = ratio + (total - ratio * weight) / weight.mean()
    return found


def paired_interval(
    first: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> Interval:
    """Return mean and t-interval of the differences ``other - first``, replication by replication.

    With common random numbers most of the noise is in both and drops out of the difference.
    """
    return mean_interval(np.asarray(other, float) - np.asarray(first, float), confidence)


@frozen
class Uneven(Interval):
    """An interval whose ends are not equally far from the mean."""

    ends: tuple[float, float] = (-math.inf, math.inf)

    @property
    def low(self) -> float:
        """Lower end."""
        return self.ends[0]

    @property
    def high(self) -> float:
        """Upper end."""
        return self.ends[1]

    def __str__(self) -> str:
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g})"


def interval_of(values: list[float], confidence: float) -> Interval:
    """Return mean and interval over replications.

    If some of them are infinite the mean is, and so is the upper end; the lower end is that of the
    others, since the figure might be finite elsewhere. If all of them are, nothing speaks for that.
    """
    known = [value for value in values if not math.isnan(value)]
    finite = [value for value in known if value < math.inf]
    if len(finite) == len(known):
        return mean_interval(known, confidence)
    if not finite:
        return Uneven(math.inf, 0.0, len(known), (math.inf, math.inf))
    low = mean_interval(finite, confidence).low
    return Uneven(math.inf, math.inf, len(known), (-math.inf if math.isnan(low) else low, math.inf))


def share_interval(
    lost: Sequence[int], of: Sequence[int], confidence: float
) -> tuple[float, float]:
    """Return the interval of a share that each replication counts, from no fewer than all of them.

    Few counts speak for little, and counts of one run may depend on each other: it is the wider of
    the interval by Clopper and Pearson (1934, doi:10.2307/2331986) over all counts, and of the
    t-interval over the replications.

    Examples
    --------
    >>> low, high = share_interval([0, 0, 0], [10, 10, 10], 0.95)
    >>> low, round(high, 2)  # none of thirty
    (0.0, 0.12)
    """
    some, number = sum(lost), sum(of)
    if not number:
        return 0.0, 1.0
    exact = scipy.stats.binomtest(some, number).proportion_ci(confidence)
    runs = mean_interval([k / n for k, n in zip(lost, of, strict=True) if n], confidence)
    return float(np.nanmin([exact.low, runs.low])), float(np.nanmax([exact.high, runs.high]))


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
