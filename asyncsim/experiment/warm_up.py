"""Where the warm-up ends: MSER-5, Welch's moving average, and a test for a trend.

K. P. White (1997), An effective truncation heuristic for bias reduction in simulation output,
Simulation 69, 323-334. K. P. White, M. J. Cobb, S. C. Spratt (2000), A comparison of five
steady-state truncation heuristics for simulation, Proceedings of the Winter Simulation Conference,
755-760. P. D. Welch (1983), in Computer Performance Modeling Handbook, 268-328.
"""

from __future__ import annotations

import math

import numpy as np
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim.experiment.statistics import ROUNDING
from asyncsim.model.distributions import Floats
from asyncsim.model.units import from_zero
from asyncsim.model.validation import argument, scenario_error, with_own_tables

BATCH = 5
"""Observations per batch: the five of MSER-5."""
FEWEST_BATCHES = 10
"""With fewer batches the minimum is doubted."""
KEPT = 5
"""Batches that are never cut off: the statistic of very few is small by chance."""
PARTS = 10
"""Number of parts of a series in the test for a trend."""
TREND_LEVEL = 0.01
"""Level of the test for a trend."""
CUT_LEVEL, CUT_LEVEL_OF_ONE = 0.01, 1e-4
"""Level of the test whether what a cut leaves out differs: over replications, and of one run."""


@with_own_tables
@frozen
class WarmUp:
    """The cut of a series by MSER-5."""

    truncated: int
    """Number of observations of warm-up at the beginning."""
    batches: int
    """Number of batches of five in the series."""
    statistic: Floats
    """MSER of each cut: entry d leaves out the first d batches."""
    doubts: tuple[str, ...]
    """Reasons not to trust the cut, in words."""


def mser5(values: ArrayLike) -> WarmUp:
    """Cut a series where the rest has the smallest standard error of its mean, taken as white.

    The observations are put into batches of five with means z. Of the m batches the first d are
    left out that make

        MSER(d) = Σ (z_i - mean of z_(d+1) … z_m)² / (m - d)²,   sum over i = d + 1 … m

    smallest (the first of equals); at least five are left (White 1997; White, Cobb and Spratt
    2000). A minimum in the second half of the series means that it is too short, or that it never
    settles. Observations behind the last full batch are ignored. In a short, strongly dependent
    series from a single run a chance peak near the beginning may look like a warm-up: average over
    replications first.

    Examples
    --------
    >>> import numpy as np
    >>> settled = np.random.default_rng(1).normal(10, 1, 90)
    >>> mser5(np.concatenate([np.linspace(0, 10, 10), settled])).truncated
    10
    """
    series = np.asarray(values, dtype=float)
    m = len(series) // BATCH
    if m <= KEPT:
        few = f"{len(series)} observations are too few: give at least {FEWEST_BATCHES * BATCH}"
        return WarmUp(0, m, np.empty(0), (few,))
    z = _batches(series)
    left = np.arange(m, KEPT - 1, -1)
    statistic = np.array([np.sum((z[m - k :] - z[m - k :].mean()) ** 2) / k**2 for k in left])
    d = int(np.argmin(statistic))
    doubts = []
    if m < FEWEST_BATCHES:
        doubts.append(
            f"{m} batches of {BATCH} observations are too few: give at least {FEWEST_BATCHES}"
        )
    if d > m / 2 or d == len(statistic) - 1:
        doubts.append(
            "the warm-up reaches into the second half of the series: it is too short, or there is "
            "no steady state"
        )
    return WarmUp(d * BATCH, m, statistic, tuple(doubts))


def _batches(series: Floats) -> Floats:
    """Return the means of the full batches from the beginning."""
    means: Floats = series[: len(series) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    return means


def differs(values: ArrayLike, cut: int, level: float = CUT_LEVEL) -> bool:
    """Return whether what a cut leaves out differs from the rest by more than chance.

    MSER-5 tends to cut chance peaks off the beginning of a short series that needs no cut, which
    biases the rest. The test compares the means of batches of five (t test, with the variance of
    the rest). The batches of one run are skewed and dependent, and MSER-5 has chosen the cut among
    many: at 1 % the test cuts 7 % of the runs of M/M/1 at utilisation 0.8 that need no cut (60
    days, jobs of 5 min), at 0.01 % it cuts 0.4 %.

    `cut` is the number of values at the beginning that would be left out, `level` that of the test.
    """
    z = _batches(np.asarray(values, dtype=float))
    first, rest = z[: cut // BATCH], z[cut // BATCH :]
    if not len(first) or len(rest) < 2:
        return False
    error = float(rest.std(ddof=1)) * math.sqrt(1 / len(first) + 1 / len(rest))
    gap = abs(float(first.mean() - rest.mean()))
    if error <= ROUNDING * abs(float(rest.mean())):
        return gap > ROUNDING * abs(float(rest.mean()))
    return bool(2 * scipy.stats.t.sf(gap / error, len(rest) - 1) < level)


def moving_average(values: ArrayLike, window: int) -> Floats:
    """Return Welch's moving average: of 2w + 1 values, of fewer at the beginning.

    Entry i (from 1) is the mean of values i - w … i + w, and for i ≤ w of values 1 … 2i - 1; the
    last w have none, so the shape is ``(n - w,)`` (Welch 1983). NaN is left out of the means.

    Examples
    --------
    >>> moving_average([0.0, 3.0, 6.0, 0.0], 1).tolist()
    [0.0, 3.0, 3.0]
    """
    series = np.asarray(values, dtype=float)
    if argument("window", window, from_zero) > max(len(series) - 1, 0):
        raise scenario_error(
            "window", f"must be less than the number of values, {len(series)}", window
        )
    known = ~np.isnan(series)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, series, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    i = np.arange(len(series) - window)
    reach = np.minimum(i, window)
    number = counts[i + reach + 1] - counts[i - reach]
    total = sums[i + reach + 1] - sums[i - reach]
    means: Floats = np.divide(total, number, out=np.full(len(i), np.nan), where=number > 0)
    return means


def trend(values: ArrayLike) -> tuple[float, float]:
    """Return the slope of a series per observation, and its p-value.

    A line is fitted through the means of ten parts of equal length, which are much less dependent
    than neighbouring observations; the p-value is that of the t test for its slope. Observations
    that fill no part are left out at the beginning. Fewer than ten observations: 0 and 1.
    """
    series = np.asarray(values, dtype=float)
    size = len(series) // PARTS
    if not size:
        return 0.0, 1.0
    means = series[len(series) - size * PARTS :].reshape(PARTS, size).mean(axis=1)
    if np.ptp(means) <= ROUNDING * np.abs(means).max():
        return 0.0, 1.0
    line = scipy.stats.linregress(np.arange(PARTS) * size, means)
    return float(line.slope), float(line.pvalue)
