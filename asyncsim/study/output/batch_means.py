"""An interval from one long run: non-overlapping batch means, with a check on the batch size."""

from __future__ import annotations

import math

import numpy as np
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim.errors import ScenarioError
from asyncsim.model.described import argument
from asyncsim.model.durations import Floats
from asyncsim.model.handing_out import with_own_tables
from asyncsim.model.quantities import count
from asyncsim.study.statistics import Interval, mean_interval, ratio_values

FEWEST, MOST = 10, 30
"""Batches: with fewer the interval is wide and hard to check, and more gain little (Schmeiser
1982, Batch size effects in the analysis of simulation output, Operations Research 30, 556-568)."""
ROUNDING = 1e-6
"""Variation below this share of the mean is rounding, or of no interest."""
LEVEL = 0.1
"""Level of the test for correlation: it ought to err on the side of longer batches."""


@with_own_tables
@frozen
class BatchMeans:
    """What the batch means of a series say.

    Attributes
    ----------
    interval
        Mean over all batches and t-interval, the batches taken as independent.
    size
        Observations per batch.
    means
        The batch means.
    left_out
        Observations at the beginning that fill no batch.
    lag_1
        Correlation of neighbouring batch means.
    chance
        How likely independent batch means look correlated as much as these (von Neumann).
    doubts
        Why the interval is not to be believed, in words; empty if it is.
    """

    interval: Interval
    size: int
    means: Floats
    left_out: int
    lag_1: float
    chance: float
    doubts: tuple[str, ...]


def batch_means(
    values: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    size: int | None = None,
    confidence: float = 0.95,
) -> BatchMeans:
    """Return mean and interval of a dependent, steady series from one run.

    Neighbouring observations are put into batches. If these are long, their means hardly depend on
    each other, and Student's t applies to them (`asyncsim.study.statistics.ratio_values`, since
    batches may differ in weight). The shortest batches are taken (30 batches to begin with, at
    least 10) whose means pass von Neumann's test for correlation at 10 %.

    Parameters
    ----------
    values
        The series after its warm-up, shape ``(n,)``.
    weights
        Weight of each value in the mean of its batch, shape ``(n,)``; a value of weight 0 may be
        NaN. By default all alike.
    size
        Observations per batch; by default found as above.
    confidence
        Of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> found = batch_means(np.random.default_rng(2).normal(10, 1, 600))
    >>> found.size, len(found.means), 10 in found.interval
    (20, 30, True)
    """
    series = np.asarray(values, dtype=float)
    weight = np.ones(len(series)) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != series.shape or series.ndim != 1:
        raise ScenarioError(
            f"values and weights must be of one shape (n,), got {series.shape} and {weight.shape}"
        )
    n = len(series)
    if size is None:
        sizes = range(max(math.ceil(n / MOST), 1), max(n // FEWEST, 1) + 1)
    else:
        sizes = range(argument("size", size, count), size + 1)
    for chosen in sizes:
        sums, weights_of = _sums(series, weight, chosen)
        around = ratio_values(sums, weights_of)
        lag_1, chance = correlation(around)
        if chance >= LEVEL:
            break
    means = np.divide(sums, weights_of, out=np.full(len(sums), np.nan), where=weights_of > 0)
    doubts = []
    if len(means) < FEWEST:
        doubts.append(f"{len(means)} batches are too few: give a longer run, or replications")
    elif chance < LEVEL:
        doubts.append(
            f"the batch means are still correlated ({lag_1:.2f} from one to the next), so the "
            "interval is too narrow: give a longer run, or replications"
        )
    interval = mean_interval(around, confidence)
    return BatchMeans(
        interval, chosen, means, n - len(means) * chosen, lag_1, chance, tuple(doubts)
    )


def _sums(series: Floats, weights: Floats, size: int) -> tuple[Floats, Floats]:
    """Return weighted sums and weights of full batches, the last one at the end of the series."""
    number = len(series) // size
    first = len(series) - number * size
    weight = weights[first:].reshape(number, size)
    value = np.where(weight > 0, series[first:].reshape(number, size), 0.0)
    return (weight * value).sum(axis=1), weight.sum(axis=1)


def correlation(means: ArrayLike) -> tuple[float, float]:
    """Return the lag-1 correlation of a series, and how likely independence gives as much.

    With von Neumann's ratio Q = Σ (x_(i+1) - x_i)² / Σ (x_i - mean)², C = 1 - Q/2 is the lag-1
    correlation but for an end effect; for independent normal values it has mean 0 and variance
    (n - 2)/(n² - 1) and is near normal from n = 8 (von Neumann 1941, Annals of Mathematical
    Statistics 12, 367-395; Fishman 1978, Management Science 24, 510-521). One-sided: only positive
    correlation makes an interval too narrow.

    Examples
    --------
    >>> lag_1, chance = correlation([1, 2, 3, 4, 5, 6, 7, 8])
    >>> round(lag_1, 3), chance < 0.01
    (0.917, True)
    """
    x = np.asarray(means, dtype=float)
    x = x[~np.isnan(x)]
    n = len(x)
    squares = float(np.sum((x - x.mean()) ** 2)) if n else 0.0
    if n < 3 or squares <= (ROUNDING * x.mean()) ** 2 * n:
        return 0.0, 1.0
    c = 1.0 - float(np.sum(np.diff(x) ** 2)) / (2.0 * squares)
    return c, float(scipy.special.ndtr(-c * math.sqrt((n * n - 1) / (n - 2))))
