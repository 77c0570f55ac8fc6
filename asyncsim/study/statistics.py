"""Intervals over replications."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike
from scipy import special

from asyncsim.model.described import argument
from asyncsim.model.quantities import Refused, count, inner_share, number_text


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


def student_t(confidence: float, df: int) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(special.stdtrit(df, (1 + confidence) / 2))


def check_confidence(confidence: float) -> float:
    """Return the confidence of an interval, checked: a share, and no percentage."""
    return argument("confidence", confidence, inner_share)


def check_replications(replications: int) -> int:
    """Return a number of replications, checked: two or more."""
    return argument("replications", replications, _several)


def _several(value: int) -> int:
    found = count(value)
    if found < 2:
        raise Refused("must be 2 or more: one run has no interval")
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


def paired_interval(
    first: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> Interval:
    """Return mean and t-interval of the differences ``other - first``, replication by replication.

    With common random numbers most of the noise is in both and drops out of the difference.
    """
    return mean_interval(np.asarray(other, float) - np.asarray(first, float), confidence)
