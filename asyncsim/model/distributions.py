"""Distributions of durations: of work and of external times.

Each has a mean, a standard deviation, a sampler and a survival function P(D > x); simulations and
closed forms need nothing else.
"""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import numpy as np
import scipy
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from asyncsim.model.units import (
    A_DURATION,
    DurationLike,
    InvalidValue,
    duration,
    number,
    optional_duration,
    positive_duration,
)
from asyncsim.model.validation import argument, name_errors, scenario_error

Floats = NDArray[np.float64]


class Duration(abc.ABC):
    """A distribution of durations; subclass it for your own.

    >>> float(sim.exponential("10min").survival(600.0))  # P(D > 10 min)
    0.36...
    """

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """Mean in seconds."""

    @property
    @abc.abstractmethod
    def sd(self) -> float:
        """Standard deviation in seconds."""

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` durations in seconds, shape ``(n,)``."""

    @abc.abstractmethod
    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x) for each x in seconds."""


@frozen(field_transformer=name_errors)
class Fixed(Duration):
    """Always the same time."""

    kind: ClassVar[str] = "fixed"
    value: float = field(converter=duration)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return self.value

    @property
    def sd(self) -> float:
        """Standard deviation in seconds: zero."""
        return 0.0

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Return `n` times the value; no random number is used."""
        return np.full(n, self.value)

    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x)."""
        return np.where(np.asarray(x, dtype=float) < self.value, 1.0, 0.0)


@frozen(field_transformer=name_errors)
class Exponential(Duration):
    """Exponential distribution: memoryless, the usual first guess for service times."""

    kind: ClassVar[str] = "exponential"
    _mean: float = field(converter=positive_duration)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return self._mean

    @property
    def sd(self) -> float:
        """Standard deviation in seconds, equal to the mean."""
        return self._mean

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` durations."""
        return rng.exponential(self._mean, n)

    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x) = exp(-x / mean)."""
        return np.asarray(np.exp(-np.maximum(np.asarray(x, dtype=float), 0.0) / self._mean))


@frozen(field_transformer=name_errors)
class Lognormal(Duration):
    """Lognormal distribution by its own mean and standard deviation, optionally clipped.

    With `low` or `high`, draws outside are set to the bound, as by a system with a minimum time or
    its own time-out. The arguments `mean` and `sd` are those before clipping, the properties those
    after it.
    """

    kind: ClassVar[str] = "lognormal"
    _mean: float = field(converter=positive_duration)
    _sd: float = field(converter=positive_duration)
    low: float = field(default=0.0, converter=duration)
    high: float | None = field(default=None, converter=optional_duration)

    def __attrs_post_init__(self) -> None:
        if self.high is not None and self.high <= self.low:
            raise scenario_error("Lognormal.high", f"must be above low ({self.low} s)", self.high)

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.sqrt(math.log1p((self._sd / self._mean) ** 2))

    @property
    def mu(self) -> float:
        """Mean of the logarithm."""
        return math.log(self._mean) - self.sigma**2 / 2

    @property
    def mean(self) -> float:
        """Mean in seconds, after clipping."""
        return self._clipped_moment(1)

    @property
    def sd(self) -> float:
        """Standard deviation in seconds, after clipping."""
        return math.sqrt(max(self._clipped_moment(2) - self._clipped_moment(1) ** 2, 0.0))

    def _clipped_moment(self, k: int) -> float:
        """Return E[min(max(D, low), high)^k] from the partial moments of the lognormal."""
        mu, sigma = self.mu, self.sigma
        below = (math.log(self.low) - mu) / sigma if self.low > 0 else -math.inf
        above = (math.log(self.high) - mu) / sigma if self.high is not None else math.inf
        inner = scipy.special.ndtr(above - k * sigma) - scipy.special.ndtr(below - k * sigma)
        total = math.exp(k * mu + (k * sigma) ** 2 / 2) * inner
        total += self.low**k * scipy.special.ndtr(below)
        if self.high is not None:
            total += self.high**k * scipy.special.ndtr(-above)
        return float(total)

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` durations."""
        return np.clip(rng.lognormal(self.mu, self.sigma, n), self.low, self.high)

    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x)."""
        at = np.asarray(x, dtype=float)
        with np.errstate(divide="ignore"):
            z = (np.log(np.maximum(at, 0.0)) - self.mu) / self.sigma
        tail = np.where(at < self.low, 1.0, scipy.special.ndtr(-z))
        return tail if self.high is None else np.where(at >= self.high, 0.0, tail)


@frozen(field_transformer=name_errors)
class Uniform(Duration):
    """Uniform distribution between two bounds."""

    kind: ClassVar[str] = "uniform"
    low: float = field(converter=duration)
    high: float = field(converter=positive_duration)

    def __attrs_post_init__(self) -> None:
        if self.high <= self.low:
            raise scenario_error("Uniform.high", f"must be above low ({self.low} s)", self.high)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return (self.low + self.high) / 2

    @property
    def sd(self) -> float:
        """Standard deviation in seconds."""
        return (self.high - self.low) / math.sqrt(12)

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` durations."""
        return rng.uniform(self.low, self.high, n)

    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x)."""
        at = np.asarray(x, dtype=float)
        return np.clip((self.high - at) / (self.high - self.low), 0.0, 1.0)


@frozen(field_transformer=name_errors)
class Gamma(Duration):
    """Gamma distribution by mean and standard deviation; Erlang where (mean/sd)² is whole."""

    kind: ClassVar[str] = "gamma"
    _mean: float = field(converter=positive_duration)
    _sd: float = field(converter=positive_duration)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return self._mean

    @property
    def sd(self) -> float:
        """Standard deviation in seconds."""
        return self._sd

    @property
    def shape(self) -> float:
        """Shape parameter, (mean/sd)²."""
        return (self._mean / self._sd) ** 2

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` durations."""
        return rng.gamma(self.shape, self._mean / self.shape, n)

    def survival(self, x: ArrayLike) -> Floats:
        """Return P(D > x)."""
        at = np.maximum(np.asarray(x, dtype=float), 0.0)
        return np.asarray(scipy.special.gammaincc(self.shape, at * self.shape / self._mean))


def finite_numbers(value: ArrayLike) -> tuple[float, ...]:
    """Return a list or an array of finite numbers as floats; dates and time spans are refused."""
    if isinstance(value, (list, tuple)):
        return tuple(number(each) for each in value)
    array = np.asarray(value)
    if array.dtype.kind not in "iufO":  # an array of timestamps would pass as nanoseconds
        raise InvalidValue("must hold finite numbers")
    return tuple(number(each) for each in array.ravel().tolist())


def _observed(values: ArrayLike) -> tuple[float, ...]:
    try:
        found = tuple(duration(value) for value in finite_numbers(values))
    except (InvalidValue, TypeError, ValueError):
        raise InvalidValue("must be a list of finite durations in seconds, none negative") from None
    if not found:
        raise InvalidValue("must hold at least one observed duration")
    return found


@frozen(field_transformer=name_errors)
class Empirical(Duration):
    """Observed durations in seconds, drawn again with replacement."""

    kind: ClassVar[str] = "empirical"
    values: tuple[float, ...] = field(converter=_observed)

    @property
    def mean(self) -> float:
        """Mean of the observations in seconds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation of the observations in seconds."""
        return float(np.std(self.values))

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw `n` of the observations with replacement."""
        return rng.choice(np.asarray(self.values), n)

    def survival(self, x: ArrayLike) -> Floats:
        """Return the share of observations above x."""
        ordered = np.sort(self.values)
        at = np.asarray(x, dtype=float)
        return 1.0 - np.searchsorted(ordered, at, side="right") / len(ordered)


DISTRIBUTIONS: dict[str, type[Duration]] = {
    cls.kind: cls for cls in (Fixed, Exponential, Lognormal, Uniform, Gamma, Empirical)
}

DistributionLike = Duration | DurationLike


def as_distribution(value: DistributionLike) -> Duration:
    """Return a distribution of durations; a plain duration means `Fixed`."""
    if isinstance(value, Duration):
        return value
    try:
        return Fixed(duration(value))
    except InvalidValue as problem:
        either = f"{A_DURATION}, or a distribution such as exponential('10min')"
        raise InvalidValue(str(problem).replace(A_DURATION, either)) from None


def external_distribution(value: DistributionLike) -> Duration:
    """Return the distribution of the external time that a closed form is given, checked."""
    return argument("external", value, as_distribution)


def fixed(value: DurationLike) -> Fixed:
    """Return the distribution that is always `value`.

    >>> sim.fixed("2s").mean
    2.0
    """
    return Fixed(value)


def exponential(mean: DurationLike) -> Exponential:
    """Return exponential durations by their mean.

    >>> sim.exponential("200ms").mean
    0.2
    """
    return Exponential(mean)


def lognormal(
    mean: DurationLike,
    sd: DurationLike,
    low: DurationLike = 0.0,
    high: DurationLike | None = None,
) -> Lognormal:
    """Return lognormal durations by their own mean and sd, optionally clipped to ``[low, high]``.

    >>> round(sim.lognormal("150ms", sd="100ms").sd, 9)
    0.1
    """
    return Lognormal(mean, sd, low, high)


def uniform(low: DurationLike, high: DurationLike) -> Uniform:
    """Return durations uniformly distributed between two bounds.

    >>> sim.uniform("1min", "3min").mean
    120.0
    """
    return Uniform(low, high)


def gamma(mean: DurationLike, sd: DurationLike) -> Gamma:
    """Return gamma durations by mean and standard deviation.

    >>> sim.gamma("10min", sd="5min").shape
    4.0
    """
    return Gamma(mean, sd)


def empirical(values: ArrayLike) -> Empirical:
    """Return observed durations in seconds, drawn again with replacement.

    >>> sim.empirical([3.0, 5.0, 10.0]).mean
    6.0
    """
    return Empirical(values)
