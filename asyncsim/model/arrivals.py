"""When instances start: arrival processes, drawn as instants."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike

from asyncsim.model import units
from asyncsim.model.calendar import Calendar, Days, Hours, holiday_calendar
from asyncsim.model.distributions import Floats, finite_numbers
from asyncsim.model.systems import instants
from asyncsim.model.units import DAY, HOUR, WEEK, InvalidValue, Rate, require
from asyncsim.model.validation import name_errors, scenario_error
from asyncsim.model.words import days_in_words

CHUNK = 4096


class Arrivals(abc.ABC):
    """When instances arrive.

    >>> issubclass(sim.Poisson, sim.Arrivals), issubclass(sim.ArrivalTimes, sim.Arrivals)
    (True, True)
    """

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, calendar: Calendar, length: float) -> Floats:
        """Return the instants of arrival in ``[0, length)``, sorted, in seconds."""

    @property
    def in_words(self) -> str:
        """When instances arrive, in words; by default the name of the class.

        >>> sim.Poisson("10000/day", between=("08:00", "20:00")).in_words
        '10,000 per day at random (Poisson), 08:00 to 20:00, every day'
        """
        return type(self).__name__


def check_number(where: str, value: object, expected: float, seconds: float) -> None:
    """Raise a ScenarioError if more instances are expected in that time than a run can have."""
    if expected > units.MOST_INSTANCES:
        most = f"must bring {units.MOST_INSTANCES:,} instances at most in {units.text_of(seconds)}"
        problem = f"{most} of open time (it would be about {expected:.3g})"
        raise scenario_error(where, problem, value)


def _groups(size: int) -> str:
    return f", {size:,} at a time" if size > 1 else ""


def exponential_sums(rng: np.random.Generator, total: float, mean: float) -> Floats:
    """Return a Poisson process of rate ``1 / mean`` on ``[0, total)``: sums of exponential gaps."""
    chunks, last = [], 0.0
    while last < total:
        chunks.append(last + np.cumsum(rng.exponential(mean, CHUNK)))
        last = float(chunks[-1][-1])
    sums = np.concatenate(chunks) if chunks else np.empty(0)
    return sums[sums < total]


@frozen(field_transformer=name_errors)
class _InHours(Arrivals):
    """Arrivals within a daily window on the days that count.

    Parameters
    ----------
    between
        Daily window in which instances arrive.
    days
        Days of the week on which they arrive.
    holidays
        Place whose public holidays have no arrivals.
    """

    between: tuple[str, str] = field(
        default=("00:00", "24:00"), converter=units.window, kw_only=True
    )
    days: str = field(default="every day", converter=units.days_of_week, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)

    def draw(self, rng: np.random.Generator, calendar: Calendar, length: float) -> Floats:
        """Return the instants of arrival in ``[0, length)``, sorted, in seconds."""
        hours = Hours(self.between, Days(self.days, self.holidays)).opened(calendar)
        return hours.openings_of(self.draw_open_seconds(rng, hours.open_seconds(length)))

    @abc.abstractmethod
    def draw_open_seconds(self, rng: np.random.Generator, total: float) -> Floats:
        """Return sorted arrivals on the axis of open time, within ``[0, total)``."""

    @property
    def _open_in_words(self) -> str:
        opens, closes = self.between
        return f"{opens} to {closes}, {days_in_words(self.days, self.holidays)}"

    @property
    def window_seconds(self) -> float:
        """Length of the daily window."""
        opens, closes = map(units.seconds_of_day, self.between)
        return float(closes - opens)


@frozen(field_transformer=name_errors)
class Poisson(_InHours):
    """A Poisson process within a daily window.

    >>> sim.Poisson("500/day", between=("08:00", "20:00")).per_open_second * 3600  # per hour
    41.66...

    Parameters
    ----------
    rate
        ``"300/h"``, while the window is open; in Python also a number per second. A rate per day or
        week is the number for the whole day or week, all of it inside the window.
    size
        Number of instances that arrive at each instant.
    between
        Daily window in which instances arrive.
    days
        Days of the week on which they arrive.
    holidays
        Place whose public holidays have no arrivals.
    """

    rate: Rate = field(converter=units.rate)
    size: int = field(default=1, converter=units.count, kw_only=True)

    @property
    def per_open_second(self) -> float:
        """Arrival instants per second while the window is open."""
        days_of = {WEEK: len(units.day_numbers(self.days)), DAY: 1}
        days = days_of.get(units.SECONDS_PER_UNIT[self.rate.unit])
        if days is None:
            return self.rate.per_second
        return self.rate.count / (days * self.window_seconds)

    @property
    def in_words(self) -> str:
        """When instances arrive, in words."""
        rate = f"{units.number_text(self.rate.count)} per {self.rate.unit}"
        return f"{rate} at random (Poisson){_groups(self.size)}, {self._open_in_words}"

    def draw_open_seconds(self, rng: np.random.Generator, total: float) -> Floats:
        """Return a Poisson process of rate `per_open_second`, `size` at each instant."""
        expected = self.per_open_second * total * self.size
        where = "Poisson.rate" if self.size == 1 else "Poisson.rate times size"
        check_number(where, str(self.rate), expected, total)
        return np.repeat(exponential_sums(rng, total, 1 / self.per_open_second), self.size)


@frozen(field_transformer=name_errors)
class UniformArrivals(_InHours):
    """A given number of instances, uniformly distributed over the open time.

    >>> sim.UniformArrivals(10_000, between=("08:00", "20:00")).window_seconds
    43200.0

    Parameters
    ----------
    count
        Number of instances in the whole scenario.
    """

    count: int = field(converter=units.instances)

    @property
    def in_words(self) -> str:
        """When instances arrive, in words."""
        return f"{self.count:,} in all, spread at random, {self._open_in_words}"

    def draw_open_seconds(self, rng: np.random.Generator, total: float) -> Floats:
        """Return that many sorted uniform numbers."""
        if total <= 0:
            raise scenario_error(
                "UniformArrivals.between", "must be open within the scenario's length", self.between
            )
        return np.sort(rng.uniform(0.0, total, self.count))


@frozen(field_transformer=name_errors)
class Regular(_InHours):
    """One instance per interval while the window is open, the first after `offset`.

    >>> sim.Regular("30min", offset="9h").draw_open_seconds(None, 36_000.0).tolist()
    [32400.0, 34200.0]

    Parameters
    ----------
    every
        Time between two arrivals.
    offset
        Time before the first arrival, counted while the window is open.
    """

    every: float = field(converter=units.positive_duration)
    offset: float = field(default=0.0, converter=units.duration, kw_only=True)

    @property
    def in_words(self) -> str:
        """When instances arrive, in words."""
        first = f", the first after {units.text_of(self.offset)}" if self.offset else ""
        return f"one every {units.text_of(self.every)}{first}, {self._open_in_words}"

    def draw_open_seconds(self, rng: np.random.Generator, total: float) -> Floats:
        """Return the multiples of the interval; no random number is used."""
        check_number("Regular.every", units.text_of(self.every), total / self.every, total)
        n = max(math.ceil((total - self.offset) / self.every), 0)
        offsets = self.offset + np.arange(n) * self.every
        return np.asarray(offsets[offsets < total], dtype=float)


def weekly_rates(value: ArrayLike) -> tuple[tuple[float, ...], ...]:
    """Return rates per hour as seven rows of 24, Monday first; 24 rates count for every day."""
    problem = "must be 24 rates per hour, or seven rows of 24 from Monday on, not all of them zero"
    try:
        rows: Any = value.tolist() if isinstance(value, np.ndarray) else value
        nested = isinstance(rows, (list, tuple)) and isinstance(rows[0], (list, tuple))
        table = np.array([finite_numbers(row) for row in (rows if nested else [rows])])
    except (TypeError, ValueError, IndexError):
        raise InvalidValue(problem) from None
    if table.shape == (1, 24):
        table = np.tile(table, (7, 1))
    require(table.shape == (7, 24) and bool(table.min() >= 0 and table.any()), problem)
    most = units.HIGHEST * HOUR
    require(bool(table.max() <= most), f"must be {most:g} per hour at most")
    return tuple(tuple(row) for row in table.tolist())


def positive_factor(value: float) -> float:
    """Return a positive number within nine orders of magnitude of 1."""
    found = units.number(value)
    require(found > 0, "must be positive")
    most = units.MOST
    require(1 / most <= found <= most, f"must be from {1 / most:g} to {most:g}")
    return found


@frozen(field_transformer=name_errors)
class WeeklyPoisson(Arrivals):
    """A Poisson process whose rate depends on the weekday and the hour of the wall clock.

    >>> sim.WeeklyPoisson([0] * 8 + [60, 30] + [10] * 8 + [0] * 6).per_week  # busy mornings
    1190.0

    It is drawn by inversion (Çinlar 1975): the k-th arrival is where the expected number of
    arrivals reaches the sum of k exponential gaps of mean 1.

    Parameters
    ----------
    rates
        Instants of arrival per hour, shape ``(7, 24)``: rows are weekdays from Monday, columns the
        hours from midnight; or ``(24,)``, the same every day.
    volume
        Factor of all rates: 1.2 for a fifth more of everything.
    size
        Instances that arrive at each instant.
    holidays
        Place whose public holidays have no arrivals.
    """

    rates: tuple[tuple[float, ...], ...] = field(converter=weekly_rates, repr=False)
    volume: float = field(default=1.0, converter=positive_factor, kw_only=True)
    size: int = field(default=1, converter=units.count, kw_only=True)
    holidays: str | None = field(default=None, converter=holiday_calendar, kw_only=True)

    @property
    def per_week(self) -> float:
        """Expected instances in a week without holidays or a change of the clocks."""
        return self.volume * self.size * float(np.sum(self.rates))

    @property
    def in_words(self) -> str:
        """When instances arrive, in words."""
        days = days_in_words("by weekday and hour", self.holidays)
        week = units.number_text(self.per_week)
        return f"{week} a week at random (Poisson){_groups(self.size)}, {days}"

    def draw(self, rng: np.random.Generator, calendar: Calendar, length: float) -> Floats:
        """Return the instants of arrival in ``[0, length)``, sorted, in seconds."""
        hours = calendar.hours(length)
        rates = np.asarray(self.rates)[hours["weekday"], hours["hour"]] * self.volume
        days = Days("every day", self.holidays)
        free = [k for k in range(int(hours["day"].max()) + 1) if calendar.day(k) not in days]
        rates = np.where(hours["day"].isin(free), 0.0, rates) / HOUR
        starts = hours["start"].to_numpy()
        before = np.concatenate([[0.0], np.cumsum(rates * (hours["end"].to_numpy() - starts))])
        expected = float(before[-1])
        week = f"{self.per_week:.6g} in a week"
        check_number("WeeklyPoisson.rates", week, expected * self.size, length)
        sums = exponential_sums(rng, expected, 1.0)
        k = np.searchsorted(before, sums, side="right") - 1  # the last of hours without arrivals
        at = starts[k] + (sums - before[k]) / rates[k]
        return np.repeat(at[at < length], self.size)


def arrival_instants(value: Sequence[float]) -> tuple[float, ...]:
    """Return instants, none before the scenario's start."""
    found = instants(value)
    require(min(found) >= 0, "must not begin before the scenario's start, instant 0")
    return found


@frozen(field_transformer=name_errors)
class ArrivalTimes(Arrivals):
    """Arrivals at given instants, in seconds from the scenario's start, such as those of a log.

    >>> sim.ArrivalTimes([60.0, 0.0]).times
    (60.0, 0.0)

    Parameters
    ----------
    times
        Instants of arrival in seconds from the scenario's start.
    """

    times: tuple[float, ...] = field(converter=arrival_instants, repr=False)

    @property
    def in_words(self) -> str:
        """When instances arrive, in words."""
        return f"{len(self.times):,} at given instants"

    def draw(self, rng: np.random.Generator, calendar: Calendar, length: float) -> Floats:
        """Return the instants within the scenario's length, sorted; nothing is drawn."""
        times = np.sort(np.array(self.times))
        return times[times < length]


ARRIVALS: dict[str, type[Arrivals]] = {
    "poisson": Poisson,
    "weekly poisson": WeeklyPoisson,
    "scattered": UniformArrivals,
    "regular": Regular,
    "at": ArrivalTimes,
}
