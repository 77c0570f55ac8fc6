"""Rates: so many per unit of time."""

from __future__ import annotations

import math
import re

import attrs

from asyncsim.model.quantities import (
    LONGEST_WORDS,
    SECONDS_PER_UNIT,
    Refused,
    number,
)

HIGHEST, LOWEST = 1e9, 1e-11
"""Per second: one in the shortest time there is, and in the longest."""
_RATE = re.compile(r"\s*([0-9.eE+_-]+)\s*/\s*([a-zA-Z]+)\s*")


@attrs.frozen
class Rate:
    """So many per unit of time, keeping the unit: '10000/day' is a number for the whole day."""

    count: float
    unit: str

    @property
    def per_second(self) -> float:
        """The rate per second, spread over the whole unit."""
        return self.count / SECONDS_PER_UNIT[self.unit]

    def __str__(self) -> str:
        return f"{self.count!r}/{self.unit}".replace(".0/", "/")


def rate(value: float | str | Rate) -> Rate:
    """Return a positive rate, read from ``"300/h"``, ``"10000/day"`` or a number per second."""
    problem = "must be a rate such as '300/h', '10000/day' or 0.5 (per second)"
    unit: object = "s"
    figure: object = value
    if isinstance(value, Rate):
        unit, figure = value.unit, value.count
    elif isinstance(value, str):
        match = _RATE.fullmatch(value) if len(value) <= LONGEST_WORDS else None
        unit = match.group(2) if match else ""
        try:
            figure = float(match.group(1)) if match else math.nan
        except ValueError:
            raise Refused(problem) from None
    if not isinstance(unit, str) or unit not in SECONDS_PER_UNIT:
        raise Refused(problem)
    try:
        per_unit = number(figure)
    except Refused:
        raise Refused(problem) from None
    if per_unit <= 0:
        raise Refused("must be a positive rate")
    found = Rate(per_unit, unit)
    if not LOWEST <= found.per_second <= HIGHEST:
        raise Refused(f"must be from {LOWEST:g} to {HIGHEST:g} per second")
    return found
