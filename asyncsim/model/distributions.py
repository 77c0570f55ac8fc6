"""Distributions of durations: of work and of external times.

Each has a mean, a standard deviation, a sampler and a survival function P(D > x); simulations and
closed forms need nothing else. `Duration` documents these four for all classes.
"""

from __future__ import annotations

import abc
import math
import re
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy
from attrs import field, fields, frozen
from numpy.typing import ArrayLike, NDArray

from asyncsim.model import units
from asyncsim.model.units import DurationLike, InvalidValue, require
from asyncsim.model.validation import argument, name_errors, scenario_error

__all__ = ["Duration", "empirical", "exponential", "fixed", "gamma", "lognormal", "uniform"]

Floats = NDArray[np.float64]
Numbers = tuple[float, ...]


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
    """The distribution that is always `value`.

    >>> sim.fixed("2s").mean
    2.0
    """

    kind: ClassVar[str] = "fixed"
    value: float = field(converter=units.duration)
    sd: ClassVar[float] = 0.0

    @property
    def mean(self) -> float:
        return self.value

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        return np.full(n, self.value)  # no random number is used

    def survival(self, x: ArrayLike) -> Floats:
        return np.where(np.asarray(x, dtype=float) < self.value, 1.0, 0.0)


@frozen(field_transformer=name_errors)
class Exponential(Duration):
    """Exponential durations by their mean.

    They are memoryless, the usual first guess for service times.

    >>> sim.exponential("200ms").mean
    0.2
    """

    kind: ClassVar[str] = "exponential"
    mean: float = field(converter=units.positive_duration)

    @property
    def sd(self) -> float:
        return self.mean

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.exponential(self.mean, n)

    def survival(self, x: ArrayLike) -> Floats:
        return np.asarray(np.exp(-np.maximum(np.asarray(x, dtype=float), 0.0) / self.mean))


@frozen(field_transformer=name_errors)
class Lognormal(Duration):
    """Lognormal durations by their own mean and sd, optionally clipped to ``[low, high]``.

    With `low` or `high`, draws outside are set to the bound, as by a system with a minimum time or
    its own time-out. The arguments `mean` and `sd` are those before clipping, the properties those
    after it; `mu` and `sigma` are mean and standard deviation of the logarithm before clipping.

    >>> round(sim.lognormal("150ms", sd="100ms").sd, 9)
    0.1
    """

    kind: ClassVar[str] = "lognormal"
    _mean: float = field(converter=units.positive_duration)
    _sd: float = field(converter=units.positive_duration)
    low: float = field(default=0.0, converter=units.duration)
    high: float | None = field(default=None, converter=units.optional_duration)

    def __attrs_post_init__(self) -> None:
        if self.high is not None and self.high <= self.low:
            raise scenario_error("Lognormal.high", f"must be above low ({self.low} s)", self.high)

    @property
    def sigma(self) -> float:
        return math.sqrt(math.log1p((self._sd / self._mean) ** 2))

    @property
    def mu(self) -> float:
        return math.log(self._mean) - self.sigma**2 / 2

    @property
    def mean(self) -> float:
        return self._clipped_moment(1)

    @property
    def sd(self) -> float:
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
        return np.clip(rng.lognormal(self.mu, self.sigma, n), self.low, self.high)

    def survival(self, x: ArrayLike) -> Floats:
        at = np.asarray(x, dtype=float)
        with np.errstate(divide="ignore"):
            z = (np.log(np.maximum(at, 0.0)) - self.mu) / self.sigma
        tail = np.where(at < self.low, 1.0, scipy.special.ndtr(-z))
        return tail if self.high is None else np.where(at >= self.high, 0.0, tail)


@frozen(field_transformer=name_errors)
class Uniform(Duration):
    """Durations uniformly distributed between two bounds.

    >>> sim.uniform("1min", "3min").mean
    120.0
    """

    kind: ClassVar[str] = "uniform"
    low: float = field(converter=units.duration)
    high: float = field(converter=units.positive_duration)

    def __attrs_post_init__(self) -> None:
        if self.high <= self.low:
            raise scenario_error("Uniform.high", f"must be above low ({self.low} s)", self.high)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def sd(self) -> float:
        return (self.high - self.low) / math.sqrt(12)

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.uniform(self.low, self.high, n)

    def survival(self, x: ArrayLike) -> Floats:
        at = np.asarray(x, dtype=float)
        return np.clip((self.high - at) / (self.high - self.low), 0.0, 1.0)


@frozen(field_transformer=name_errors)
class Gamma(Duration):
    """Gamma durations by mean and standard deviation.

    An Erlang distribution where `shape`, (mean/sd)², is whole.

    >>> sim.gamma("10min", sd="5min").shape
    4.0
    """

    kind: ClassVar[str] = "gamma"
    mean: float = field(converter=units.positive_duration)
    sd: float = field(converter=units.positive_duration)

    @property
    def shape(self) -> float:
        return (self.mean / self.sd) ** 2

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.gamma(self.shape, self.mean / self.shape, n)

    def survival(self, x: ArrayLike) -> Floats:
        at = np.maximum(np.asarray(x, dtype=float), 0.0)
        return np.asarray(scipy.special.gammaincc(self.shape, at * self.shape / self.mean))


def finite_numbers(value: ArrayLike, problem: str = "must hold finite numbers") -> Numbers:
    """Return a list or an array of finite numbers as floats; dates and time spans are refused."""
    try:
        if not isinstance(value, (list, tuple)):
            array = np.asarray(value)  # an array of timestamps would pass as nanoseconds
            require(array.dtype.kind in "iufO", problem)
            value = array.ravel().tolist()
        return tuple(units.number(each) for each in value)
    except (TypeError, ValueError):
        raise InvalidValue(problem) from None


def _observed(value: ArrayLike) -> Numbers:
    problem = "must be a list of finite durations in seconds, none negative"
    found = finite_numbers(value, problem)
    require(all(0 <= seconds <= units.LONGEST_TIME for seconds in found), problem)
    require(len(found) > 0, "must hold at least one observed duration")
    return found


@frozen(field_transformer=name_errors)
class Empirical(Duration):
    """Observed durations in seconds, drawn again with replacement.

    >>> sim.empirical([3.0, 5.0, 10.0]).mean
    6.0
    """

    kind: ClassVar[str] = "empirical"
    values: Numbers = field(converter=_observed)

    @cached_property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @cached_property
    def sd(self) -> float:
        return float(np.std(self.values))

    @cached_property
    def _ordered(self) -> Floats:
        return np.sort(self.values)

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.choice(np.asarray(self.values), n)

    def survival(self, x: ArrayLike) -> Floats:
        at = np.asarray(x, dtype=float)
        return 1.0 - np.searchsorted(self._ordered, at, side="right") / len(self.values)


fixed, exponential, lognormal = Fixed, Exponential, Lognormal
uniform, gamma, empirical = Uniform, Gamma, Empirical
DISTRIBUTIONS: dict[str, type[Duration]] = {
    cls.kind: cls for cls in (Fixed, Exponential, Lognormal, Uniform, Gamma, Empirical)
}
DistributionLike = Duration | DurationLike


def as_distribution(value: DistributionLike) -> Duration:
    """Return a distribution of durations; a plain duration means `Fixed`."""
    if isinstance(value, Duration):
        return value
    try:
        return Fixed(units.duration(value))
    except InvalidValue as problem:
        either = f"{units.A_DURATION}, or a distribution such as exponential with mean '10min'"
        text = str(problem).replace(units.A_DURATION, either)
        raise InvalidValue(text, problem.hint or _nearest_distribution(value)) from None


def _nearest_distribution(value: object) -> str:
    """Return the hint for a distribution in words, such as ``"exponential(10min)"``: its table."""
    words = re.findall(r"[^\s(),='\"]+", value) if isinstance(value, str) else []
    cls = DISTRIBUTIONS.get(words[0].lower()) if words else None
    if cls is None or cls is Empirical:
        return ""
    names = [str(field.alias) for field in fields(cls)]  # type: ignore[arg-type]
    values = [word for word in words[1:] if word not in names]
    pairs = "".join(f', {name} = "{one}"' for name, one in zip(names, values, strict=False))
    return f'; in a file write {{ law = "{cls.kind}"{pairs} }}'


def external_distribution(value: DistributionLike) -> Duration:
    """Return the distribution of the external time that a closed form is given, checked."""
    return argument("external", value, as_distribution)
