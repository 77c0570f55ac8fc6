"""Confidence intervals: of means over replications, of quantiles, and of one long run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import scipy
from attrs import frozen
from numpy.typing import ArrayLike

from asyncsim.engine.metrics import SECONDS, is_share, measured, metric_text
from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Floats
from asyncsim.model.units import count, inner_share, number_text, scale_of
from asyncsim.model.validation import argument, scenario_error, with_own_tables

# Batches: with fewer the interval is wide and hard to check, and more gain little (Schmeiser 1982,
# Batch size effects in the analysis of simulation output, Operations Research 30, 556-568)
FEWEST, MOST = 10, 30
MOST_CORRELATED = 0.8  # cap on the correlation of batch means; a larger one is among the doubts
ROUNDING = 1e-6  # variation below this share of the mean is rounding, or of no interest
DIGITS = 4  # of a mean that is shown
LEVEL = 0.1  # of the test for correlation: it should err on the side of longer batches


# --- means over replications ----------------------------------------------------------------------


@frozen
class Interval:
    """A mean over replications and its confidence interval."""

    mean: float
    half_width: float  # NaN with fewer than two replications
    n: int  # replications it rests on; those without the metric (NaN) are left out

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
        """Return mean ± half-width, in as many digits as the half-width justifies."""
        if math.isnan(self.mean):
            return "–"
        if math.isinf(self.mean):
            return "never"
        half = self.half_width
        if math.isnan(half) or half <= ROUNDING * abs(self.mean):  # none, or rounding
            return number_text(self.mean, 3)
        decimals = max(1 - math.floor(math.log10(half)), 0)
        largest = max(abs(self.mean), half)
        decimals = min(decimals, max(DIGITS - 1 - math.floor(math.log10(largest)), 0))
        if not float(f"{half:.{decimals}f}"):
            return number_text(self.mean, DIGITS)
        return f"{self.mean:,.{decimals}f} ± {half:,.{decimals}f}"

    def of_metric(self, name: str, unit: str) -> str:
        """Return mean ± half-width of a metric in human units.

        >>> Interval(450.0, 6.0, 5).of_metric("mean_latency", "s")
        '7.50 ± 0.10 min'
        """
        if unit in SECONDS and math.isfinite(self.mean):
            unit, size = scale_of(self.mean) if self.mean else ("s", 1.0)
            return f"{Interval(self.mean / size, self.half_width / size, self.n)} {unit}"
        if is_share(name) and not math.isnan(self.mean):
            return f"{Interval(100 * self.mean, 100 * self.half_width, self.n)} %"
        return str(self)

    def measured(self, name: str, unit: str) -> str:
        """Return a clause with a metric: ``"the mean latency is 60 s (58 to 62 s)"``."""
        return measured(name, self.in_words(partial(metric_text, name, unit=unit)))

    def in_words(self, text: Callable[[float], str]) -> str:
        """Return the mean with its ends, each as `text` shows a number.

        >>> Interval(60.0, 2.0, 5).in_words("{:g} s".format)
        '60 s (58 to 62 s)'
        """
        if not self.n:
            return "–"
        if math.isnan(self.half_width):
            ends = "in one replication alone, so without an interval"
        elif self.low == self.high:
            ends = "in every replication"
        elif math.isfinite(self.low) and math.isfinite(self.high):
            low, high = text(self.low), text(self.high)
            ends = span_text(low, high) if low != high else "± 0.1 % at most"
        elif math.isfinite(self.low):
            ends = f"{text(self.low)} or more"
        else:
            ends = f"{text(self.high)} or less" if self.high < math.inf else "without an interval"
        mean = "infinite" if math.isinf(self.mean) else text(self.mean)
        return f"{mean} ({ends})"


def span_text(low: str, high: str) -> str:
    """Return two ends with their unit, once if it is the same.

    >>> span_text("58 s", "62 s"), span_text("58 s", "1.1 min")
    ('58 to 62 s', '58 s to 1.1 min')
    """
    number, _, unit = low.partition(" ")
    return f"{number if unit == high.partition(' ')[2] else low} to {high}"


@frozen
class Uneven(Interval):
    """An interval whose ends are not equally far from the mean."""

    ends: tuple[float, float] = (-math.inf, math.inf)

    @classmethod
    def between(cls, mean: float, low: float, high: float, n: int) -> Uneven:
        """Return the interval of a row of a table."""
        half = 0.0 if low == high else (high - low) / 2
        return cls(mean, half, n, (low, high))

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


def student_t(confidence: float, df: int) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(scipy.special.stdtrit(df, (1 + confidence) / 2))


def check_confidence(confidence: float) -> float:
    """Return a confidence level, checked: a share, not a percentage."""
    return argument("confidence", confidence, inner_share)


def check_replications(replications: int) -> int:
    """Return a number of replications, checked: two or more."""
    if (found := argument("replications", replications, count)) < 2:
        problem = "must be 2 or more: one run has no interval"
        raise scenario_error("replications", problem, replications)
    return found


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return mean and t-interval of one value per replication, shape ``(n,)``, without NaN."""
    check_confidence(confidence)
    found = np.asarray(values, dtype=float)
    found = found[~np.isnan(found)]
    n, half = len(found), math.nan
    if n > 1:
        half = student_t(confidence, n - 1) * float(found.std(ddof=1)) / math.sqrt(n)
    return Interval(float(found.mean()) if n else math.nan, half, n)


def paired_interval(first: ArrayLike, other: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return mean and t-interval of ``other - first``, in which common noise cancels.

    Pairs of which both are infinite are left out.
    """
    with np.errstate(invalid="ignore"):
        gaps = np.asarray(other, float) - np.asarray(first, float)
    return mean_interval(gaps, confidence)


def interval_of(values: list[float], confidence: float) -> Interval:
    """Return mean and interval; with infinite values the lower end is that of the finite ones."""
    known = [value for value in values if not math.isnan(value)]
    finite = [value for value in known if value < math.inf]
    if len(finite) == len(known):
        return mean_interval(known, confidence)
    if not finite:
        return Uneven(math.inf, 0.0, len(known), (math.inf, math.inf))
    low = mean_interval(finite, confidence).low
    return Uneven(math.inf, math.inf, len(known), (-math.inf if math.isnan(low) else low, math.inf))


def ratio_values(sums: ArrayLike, weights: ArrayLike) -> Floats:
    """Return values whose mean is the ratio Σ sums / Σ weights, and whose spread is its error.

    `mean_interval` of them is the ratio estimator with its t-interval (Cochran 1977, Sampling
    Techniques, chapter 6): with r = Σ s_i / Σ w_i its variance is that of the mean of s_i - r w_i,
    divided by the mean weight. The mean of the ratios of unequal parts would be biased. Parts of
    weight 0 are left out.
    """
    total, weight = np.asarray(sums, dtype=float), np.asarray(weights, dtype=float)
    total, weight = total[weight > 0], weight[weight > 0]
    if not len(weight):
        return total
    ratio = total.sum() / weight.sum()
    found: Floats = ratio + (total - ratio * weight) / weight.mean()
    return found


def share_interval(
    lost: Sequence[int], of: Sequence[int], confidence: float
) -> tuple[float, float]:
    """Return the interval of a share counted in each replication.

    It is the wider of two: the exact one of all counts (Clopper and Pearson 1934,
    doi:10.2307/2331986), since few counts prove little, and the t-interval over replications, since
    counts of one run may depend on each other.
    """
    some, number = sum(lost), sum(of)
    if not number:
        return 0.0, 1.0
    exact = scipy.stats.binomtest(some, number).proportion_ci(confidence)
    runs = mean_interval([k / n for k, n in zip(lost, of, strict=True) if n], confidence)
    return float(np.nanmin([exact.low, runs.low])), float(np.nanmax([exact.high, runs.high]))


# --- quantiles ------------------------------------------------------------------------------------


@frozen
class QuantileInterval:
    """The `q` quantile of a sample and its confidence interval; an end may be infinite."""

    value: float
    low: float
    high: float
    q: float
    coverage: float  # least probability of covering the true quantile; exact without ties
    n: int  # values, or replications, it rests on
    method: str = "order statistics"
    note: str = ""  # what is missing, in words; otherwise empty

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        text = f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"
        return f"{text}; {self.note}" if self.note else text


def quantile(values: ArrayLike, q: float) -> float:
    """Return a quantile by linear interpolation, as `numpy.quantile` cannot towards infinity."""
    ordered = np.sort(np.asarray(values, dtype=float))
    if not len(ordered):
        return math.nan
    place = q * (len(ordered) - 1)
    if abs(place - round(place)) < 1e-9:  # 0.95 of 20 steps is 19, but for rounding
        place = round(place)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return float(low if low == high else low + (high - low) * (place - math.floor(place)))


def quantile_interval(values: ArrayLike, q: float, confidence: float = 0.95) -> QuantileInterval:
    """Return a quantile of independent values with a distribution-free interval.

    The number of values up to the true quantile is binomial, B(n, q). So the order statistics x(r)
    and x(s) enclose it with probability P(r ≤ B < s); r is the largest and s the smallest with at
    most half of 1 - `confidence` outside on either side (W. J. Conover, Practical Nonparametric
    Statistics, section on the quantile test). Waits within a run are *not* independent, a herd
    resumes together: give one value per replication, or use `Comparison.quantiles`.

    Parameters
    ----------
    values
        Independent values, shape ``(n,)``; infinite ones are allowed, NaN is not.
    q, confidence
        The quantile, such as 0.95, and the least probability of covering it; between 0 and 1.

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
    covered = float(below[s - 1] - (below[r - 1] if r else 0.0))
    needed = [  # values until the largest, or smallest, exceeds the quantile but for the tail
        math.ceil(math.log(tail) / math.log(p) * (1 - 1e-12))
        for p, lacks in ((1 - q, r == 0), (q, s > n))
        if lacks
    ]
    why = f"{n} values are too few, {max([1, *needed])} would do"
    low, high, note = _ends(ordered, r - 1, s - 1, why)
    return QuantileInterval(quantile(ordered, q), low, high, q, covered, n, note=note)


def _ends(ordered: Floats, low: int, high: int, why: str) -> tuple[float, float, str]:
    """Return the order statistics at two places from 0, and why those outside are infinite."""
    has_low, has_high = low >= 0, high < len(ordered)
    missing = ["no lower"] * (not has_low) + ["no upper"] * (not has_high)
    return (
        float(ordered[low]) if has_low else -math.inf,
        float(ordered[high]) if has_high else math.inf,
        f"{' and '.join(missing)} end: {why}" if missing else "",
    )


def replicated_quantile(
    samples: Sequence[ArrayLike], q: float, confidence: float = 0.95
) -> QuantileInterval:
    """Return a quantile of simulated values with an interval over independent replications.

    Values within a replication depend on each other; replications do not. The share of values up to
    the pooled quantile, a ratio over replications, has a t-interval q ± h; the pooled quantiles at
    q - h and q + h are the ends (Woodruff 1952, Confidence intervals for medians and other position
    measures, Journal of the American Statistical Association 47, 635-646). The mean of the
    quantiles of short replications would be biased to the middle.

    `samples` holds the values of each replication, which may be infinite; empty ones are left out.
    """
    q = argument("q", q, inner_share)
    full = [np.asarray(values, dtype=float) for values in samples if len(np.asarray(values))]
    ordered = np.sort(np.concatenate(full)) if full else np.empty(0)
    value, n = quantile(ordered, q), len(ordered)
    if len(full) < 2:
        note = "one replication has no interval" if full else "there are no values"
        low = high = math.nan
    else:
        below = [np.sum(values <= value) for values in full]
        shares = ratio_values(below, [len(values) for values in full])
        half = mean_interval(shares, confidence).half_width
        first = math.floor((q - half) * (n - 1) + 1e-9)
        last = math.ceil((q + half) * (n - 1) - 1e-9)
        low, high, note = _ends(ordered, first, last, "give more replications, or longer ones")
    method = "Student's t of the share below, over replications"
    return QuantileInterval(value, low, high, q, confidence, len(full), method, note)


# --- one long run: batch means --------------------------------------------------------------------


@with_own_tables
@frozen
class BatchMeans:
    """The means of batches of `size` observations; made by `batch_means`."""

    interval: Interval  # of the mean over all batches, adjusted for skewness and correlation
    size: int
    means: Floats
    left_out: int  # observations at the beginning that fill no batch
    lag_1: float  # correlation of neighbouring batch means
    chance: float  # that independent batch means look as correlated as these (von Neumann)
    doubts: tuple[str, ...]  # reasons not to trust the interval, in words


def batch_means(
    values: ArrayLike, weights: ArrayLike | None = None, confidence: float = 0.95
) -> BatchMeans:
    """Return mean and interval of a dependent, steady series from one run, after its warm-up.

    The means of long batches of neighbouring observations hardly depend on each other, and
    Student's t applies to them (by `ratio_values`, since batches may differ in weight). The
    shortest batches are taken (30 batches to begin with, at least 10) whose means pass von
    Neumann's test for correlation at 10 %.

    The batch means of a busy queue are skewed: rare high peaks carry much of the mean, and a series
    without them has a low mean and a small variance at once, so that a plain t-interval lies below
    the truth too often. The interval is therefore adjusted for skewness and remaining correlation,
    as in Skart (Tafazzoli, Wilson, Lada and Steiger 2011, Performance of Skart, INFORMS Journal on
    Computing 23, 297-314), and includes that of ten batches. For an independent series it covers
    more than it promises: some 97 % at 95 %.

    `values` and `weights` have shape ``(n,)``; a value of weight 0 may be NaN.
    """
    series = np.asarray(values, dtype=float)
    weight = np.ones(len(series)) if weights is None else np.asarray(weights, dtype=float)
    n = len(series)
    for size in range(max(math.ceil(n / MOST), 1), max(n // FEWEST, 1) + 1):
        sums, weights_of = _sums(series, weight, size)
        around = ratio_values(sums, weights_of)
        lag_1, chance = correlation(around)
        if chance >= LEVEL:
            break
    means = np.divide(sums, weights_of, out=np.full(len(sums), np.nan), where=weights_of > 0)
    doubts: tuple[str, ...] = ()
    if len(means) < FEWEST:
        doubts = (f"{len(means)} batches are too few: give a longer run, or replications",)
    elif chance < LEVEL:
        doubts = (
            f"the batch means are still correlated ({lag_1:.2f} from one to the next), so the "
            "interval is too narrow: give a longer run, or replications",
        )
    interval = mean_interval(around, confidence)
    if interval.half_width > ROUNDING * abs(interval.mean):  # neither NaN nor rounding
        parts = [around]
        if n >= FEWEST:
            parts.append(ratio_values(*_sums(series, weight, n // FEWEST)))
        lows, highs = zip(*(adjusted_ends(part, confidence) for part in parts), strict=True)
        low, high = min(lows), max(highs)
        interval = Uneven(interval.mean, (high - low) / 2, interval.n, (low, high))
    return BatchMeans(interval, size, means, n - len(means) * size, lag_1, chance, doubts)


def _sums(series: Floats, weights: Floats, size: int) -> tuple[Floats, Floats]:
    """Return weighted sums and weights of full batches, the last one at the end of the series."""
    number = len(series) // size
    first = len(series) - number * size
    weight = weights[first:].reshape(number, size)
    value = np.where(weight > 0, series[first:].reshape(number, size), 0.0)
    return (weight * value).sum(axis=1), weight.sum(axis=1)


def adjusted_ends(values: ArrayLike, confidence: float) -> tuple[float, float]:
    """Return the ends of an interval of the mean of values that may be skewed and correlated.

    With a = μ3 / (6 √n s³), where μ3 is the third central moment, the quantiles ±t of Student's t
    are replaced by G(±t), G(r) = ((1 + 6 a (r - a))^(1/3) - 1) / (2 a) (Willink 2005, A confidence
    interval and test for the mean of an asymmetric distribution, Communications in Statistics 34,
    753-766). A positive lag-1 correlation φ widens both sides by √((1 + φ)/(1 - φ)), as if the
    values were an autoregressive series.
    """
    x = np.asarray(values, dtype=float)
    n = len(x)
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(n)
    third = n * float(np.sum((x - mean) ** 3)) / ((n - 1) * max(n - 2, 1))
    phi = min(max(correlation(x)[0], 0.0), MOST_CORRELATED)
    wider = math.sqrt((1 + phi) / (1 - phi))
    t = student_t(confidence, n - 1)
    a = third / (6 * n**2 * error**3) if error else 0.0
    if abs(a) < 1e-6:
        return mean - t * error * wider, mean + t * error * wider
    upper, lower = ((float(np.cbrt(1 + 6 * a * (r - a))) - 1) / (2 * a) for r in (t, -t))
    return mean - upper * error * wider, mean - lower * error * wider


def correlation(means: ArrayLike) -> tuple[float, float]:
    """Return the lag-1 correlation of a series, and how likely independence gives as much.

    With von Neumann's ratio Q = Σ (x_(i+1) - x_i)² / Σ (x_i - mean)², C = 1 - Q/2 is the lag-1
    correlation but for an end effect; for independent normal values it has mean 0 and variance
    (n - 2)/(n² - 1) and is nearly normal from n = 8 (von Neumann 1941, Annals of Mathematical
    Statistics 12, 367-395; Fishman 1978, Management Science 24, 510-521). One-sided: only positive
    correlation makes an interval too narrow.
    """
    x = np.asarray(means, dtype=float)
    x = x[~np.isnan(x)]
    n = len(x)
    squares = float(np.sum((x - x.mean()) ** 2)) if n else 0.0
    if n < 3 or squares <= (ROUNDING * x.mean()) ** 2 * n:
        return 0.0, 1.0
    c = 1.0 - float(np.sum(np.diff(x) ** 2)) / (2.0 * squares)
    return c, float(scipy.special.ndtr(-c * math.sqrt((n * n - 1) / (n - 2))))
