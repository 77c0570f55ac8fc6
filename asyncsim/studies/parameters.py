"""The points of a sweep: all combinations of a grid, or a Latin hypercube over ranges.

A Latin hypercube (McKay, Beckman & Conover 1979, doi:10.2307/1268522) cuts every range into as many
strata as there are points, and puts one point into each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from asyncsim.errors import ScenarioError
from asyncsim.experiment.replications import distinct
from asyncsim.model.mixed_strategies import field_name, parts_by_name
from asyncsim.model.scenario import Scenario, changed
from asyncsim.model.scenario_files import KIND_OF, strategy_table
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import (
    InvalidValue,
    clock_time,
    count,
    duration,
    nearest,
    rate,
    seconds_of_day,
)
from asyncsim.model.validation import argument, scenario_error

Values = tuple[Any, ...]
Strategies = Sequence[Strategy]
Grid = Mapping[str, Any]  # values by dotted names of fields
OF_STRATEGY = "strategy."  # prefix of the names of fields of the strategies


@frozen
class Point:
    """A point of a sweep: its place, the values as written, and their scenario or error."""

    number: int
    values: Values
    scenario: Scenario | None
    strategies: tuple[Strategy, ...] = ()
    error: str = ""


def points_of(
    scenario: Scenario, strategies: Strategies, grid: Grid, sample: int | None, seed: int
) -> list[Point]:
    """Return the points of a grid, or `sample` points of a Latin hypercube, checked."""
    right = 'must map dotted names of fields to values, such as {"server.workers": [2, 4, 8]}'
    if not isinstance(grid, Mapping) or not grid:
        raise scenario_error("grid", right, grid)
    if wrong := [name for name in grid if not isinstance(name, str)]:
        raise scenario_error("grid", right, wrong[0])
    if sample is not None:
        rows = _sampled(scenario, strategies, grid, sample, seed)
    else:
        rows = list(itertools.product(*(_values(name, grid[name]) for name in grid)))
    points, invalid = [], {}
    for number, row in enumerate(rows):
        try:
            changes = dict(zip(grid, row, strict=True))
            points.append(Point(number, row, *made(scenario, strategies, changes)))
        except ScenarioError as problem:
            points.append(Point(number, row, None, error=format_error(problem)))
            invalid[number] = problem
    for k in range(len(grid) if sample is None else 0):
        valid = {repr(point.values[k]) for point in points if point.scenario}
        for number, error in invalid.items():
            if repr(rows[number][k]) not in valid:
                raise error
    return points


def made(
    scenario: Scenario, strategies: Sequence[Strategy], changes: dict[str, Any]
) -> tuple[Scenario, tuple[Strategy, ...]]:
    """Return scenario and strategies with other values, the latter where they have the field."""
    outer = {name: value for name, value in changes.items() if not name.startswith(OF_STRATEGY)}
    inner = {x.removeprefix(OF_STRATEGY): changes[x] for x in changes if x not in outer}
    known = sorted(set[str]().union(*map(fields_of, strategies)))
    for name in inner:
        if _first(name) not in known:
            raise ScenarioError(
                f"{OF_STRATEGY + name!r} names no field: the strategies have "
                f"{', '.join(map(repr, known)) or 'none'}, got {name!r}{nearest(name, known)}"
            )
    for name in outer:
        first, _, rest = name.partition(".")
        of_strategy = first in known or first.lower().startswith("strateg")
        if first not in fields_of(scenario) and known and of_strategy:
            words = [OF_STRATEGY + field for field in known]
            hint = nearest(OF_STRATEGY + (rest or first), words if rest or first in known else [])
            raise ScenarioError(
                f"{name!r} names no field of the scenario; the strategies have "
                f"{', '.join(map(repr, words))}{hint}"
            )
    new = []
    for strategy in strategies:
        fields = fields_of(strategy)
        mine = {
            field_name(strategy, name): value
            for name, value in inner.items()
            if _first(name) in fields
        }
        new.append(changed(strategy, mine) if mine else strategy)
    return changed(scenario, outer) if outer else scenario, tuple(new)


def takes_durations(scenario: Scenario, strategies: Sequence[Strategy], name: str) -> bool:
    """Return whether a field holds a time, so that a plain number in it is seconds."""
    try:
        made(scenario, strategies, {name: "1min"})
    except ScenarioError:
        return False
    return True


def _first(name: str) -> str:
    return name.partition(".")[0]


def fields_of(strategy: Strategy | Scenario) -> set[str]:
    """Return the names of the fields of a strategy or scenario that can be changed."""
    if isinstance(strategy, Strategy) and (parts := parts_by_name(strategy)):
        return set(parts)  # and their fields, as in "clerk.interval"
    cls: type[Any] = type(strategy)
    return {field.alias for field in attrs.fields(cls) if field.init} if attrs.has(cls) else set()


def swept_labels(strategies: Mapping[str, Strategy], names: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of strategies in a sweep: without the value of a field that is swept.

    >>> from asyncsim.model.strategies import Callback, Polling
    >>> pair = {"polling 1 min": Polling("1min"), "callback": Callback()}
    >>> swept_labels(pair, ["strategy.interval"])
    ('polling', 'callback')
    """
    fields = [x.removeprefix(OF_STRATEGY) for x in names if x.startswith(OF_STRATEGY)]
    inner, labels = set(map(_first, fields)), []
    for label, strategy in strategies.items():
        parts = parts_by_name(strategy)
        if inner & parts.keys():
            label = "; ".join(f"{name}: {_part_label(name, parts[name], fields)}" for name in parts)
        elif inner & fields_of(strategy):
            kind = KIND_OF.get(type(strategy))
            label = kind or type(strategy).__name__
            alike = [one for one in strategies.values() if type(one) is type(strategy)]
            if kind and len(alike) > 1:  # show what else differs
                tables = [strategy_table(one) for one in alike]
                for name, value in strategy_table(strategy).items():
                    if name not in inner and any(table.get(name) != value for table in tables):
                        label += f" {name}={value}"
        labels.append(label)
    return distinct(labels)


def _part_label(name: str, part: Strategy, fields: Iterable[str]) -> str:
    """Return the label of a strategy of some steps without the values that are swept."""
    own = [field.removeprefix(f"{name}.") for field in fields if field.startswith(f"{name}.")]
    return swept_labels({part.label: part}, [OF_STRATEGY + field for field in own])[0]


def format_error(problem: BaseException) -> str:
    """Return an error as the column ``error`` shows it."""
    return f"{type(problem).__name__}: {problem}"


def _values(name: str, values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, (list, tuple, range)) or not len(values):
        raise scenario_error(f"grid[{name!r}]", "must be a list of values", values)
    found: list[Any] = []
    for value in values:
        value = value.item() if isinstance(value, np.generic) else value
        if any(value == other and type(value) is type(other) for other in found):
            raise scenario_error(f"grid[{name!r}]", "must hold each value once", value)
        found.append(value)
    return found


@frozen
class ScaledValue:
    """A value that a user wrote, as a number on a scale."""

    scale: str
    number: float

    def back(self, number: float) -> Any:
        """Return another number of the same scale as a user would write it."""
        if self.scale == "whole number":
            return int(number)
        if self.scale == "clock time":
            seconds = int(number)
            return clock_time(f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")
        if self.scale.startswith("rate"):
            return f"{number!r}/{self.scale.partition('/')[2]}"
        return float(number)


def scaled_value(value: Any) -> ScaledValue | None:
    """Return a value as a number on its scale, or None if it has none.

    >>> scaled_value("15min")
    ScaledValue(scale='duration', number=900.0)
    """
    if isinstance(value, str):
        try:
            if "/" in value:
                found = rate(value)
                return ScaledValue(f"rate/{found.unit}", found.count)
            if ":" in value:
                return ScaledValue("clock time", float(seconds_of_day(clock_time(value))))
            return ScaledValue("duration", duration(value))
        except InvalidValue:
            return None
    if isinstance(value, timedelta):
        return ScaledValue("duration", value.total_seconds())
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return None
    return ScaledValue("whole number" if isinstance(value, Integral) else "number", float(value))


def _sampled(
    scenario: Scenario, strategies: Strategies, grid: Grid, sample: int, seed: int
) -> list[Values]:
    n = argument("sample", sample, count)
    ranges = [_range(name, grid[name]) for name in grid]
    for name, ends in grid.items():
        for end in ends:
            made(scenario, strategies, {name: end})
    from scipy.stats import qmc  # takes a second, and only samples need it

    places = qmc.LatinHypercube(len(ranges), rng=np.random.default_rng(seed)).random(n)
    columns = []
    for (low, high), places_of_one in zip(ranges, places.T, strict=True):
        whole = low.scale in ("whole number", "clock time")
        width = high.number - low.number + whole  # the last whole number is as likely as any
        numbers = low.number + places_of_one * width
        columns.append([low.back(number) for number in numbers.tolist()])
    return list(zip(*columns, strict=True))


def _range(name: str, ends: Sequence[Any]) -> tuple[ScaledValue, ScaledValue]:
    if isinstance(ends, (list, tuple)) and len(ends) == 2:
        low, high = scaled_ends(ends)
        if low and high and low.scale == high.scale and low.number < high.number:
            return low, high
    right = "must be a range (low, high) of numbers, durations, rates of one unit or clock times"
    raise scenario_error(f"grid[{name!r}]", f"{right} when sampled", ends)


def scaled_ends(ends: Sequence[Any]) -> tuple[ScaledValue | None, ScaledValue | None]:
    """Read both ends of a range on a common scale; 0 and 1 are the ends of a share."""
    low, high = scaled_value(ends[0]), scaled_value(ends[1])
    if low and high and {low.scale, high.scale} <= {"whole number", "number"}:
        shares = (low.number, high.number) == (0.0, 1.0)  # not counts
        if shares or low.scale != high.scale:
            return ScaledValue("number", low.number), ScaledValue("number", high.number)
    return low, high
