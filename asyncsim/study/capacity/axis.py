"""The values of a field on a scale, and the search for the one at which something changes.

Searches use that a figure goes one way along the field: they gallop from a value until the answer
changes, and halve what is between. Common random numbers make the figure go one way from run to run
as well, where the true one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from asyncsim.errors import ScenarioError
from asyncsim.model.described import refuse
from asyncsim.model.quantities import SECONDS_PER_UNIT, number_text, text_of
from asyncsim.model.waiting import Strategy
from asyncsim.study.points import OF_STRATEGY, Reading, fields_of, read_ends

RIGHT = "must be two values (low, high), such as ('1min', '1h'), (1, 64) or ('50/h', '5000/h')"
SMALLEST = 0.01
"""Values on an axis from zero are told apart down to the tolerance of this share of its length."""
WEEKLY_VOLUME = "arrivals.volume"
"""A factor to the rates of a week, as a log has them."""
SCALES = ("duration", "number", "whole number")


@frozen
class Axis:
    """The values of a field, as numbers on a scale.

    Attributes
    ----------
    field
        Its dotted name.
    scale
        As `Reading` has it.
    least, most
        No value is outside.
    tolerance
        Values closer than this share of themselves are taken as one.
    """

    field: str
    scale: str
    least: float
    most: float
    tolerance: float = 0.01

    @classmethod
    def between(cls, field: str, ends: Sequence[Any], tolerance: float = 0.01) -> Axis:
        """Return the axis between two values as a person writes them."""
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise refuse("between", RIGHT, ends)
        low, high = read_ends(ends)
        known = low and (low.scale in SCALES or low.scale.startswith("rate"))
        if not (known and low and high) or low.scale != high.scale or low.figure >= high.figure:
            raise refuse("between", RIGHT, ends)
        return cls(field, low.scale, low.figure, high.figure, tolerance)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are on it."""
        return self.scale == "whole number"

    @property
    def by_ratio(self) -> bool:
        """Whether distances are ratios rather than differences."""
        return self.least > 0

    def written(self, x: float) -> Any:
        """Return a value as it is put into a scenario."""
        return Reading(self.scale, x).back(int(x) if self.whole else x)

    def shown(self, x: float) -> str:
        """Return a value as a person says it."""
        if self.scale == "duration":
            return text_of(x) if x else "0 s"
        return number_text(x) + self.unit

    def shown_like(self, x: float, other: float) -> str:
        """Return a value in the unit that another one has when it is said."""
        if self.scale != "duration":
            return self.shown(x)
        unit = self.shown(other).split()[1]
        return f"{x / SECONDS_PER_UNIT[unit]:.4g} {unit}"

    @property
    def unit(self) -> str:
        """What comes after a number of the scale, such as ``"/day"``."""
        if self.field == WEEKLY_VOLUME:
            return " times the rates"
        return self.scale.removeprefix("rate") if self.scale.startswith("rate") else ""

    def neat(self, x: float) -> float:
        """Return a value with as many digits as the tolerance needs, within the axis."""
        if self.whole:
            x = round(x)
        elif x:
            digits = 2 - math.floor(math.log10(self.tolerance)) - 1
            x = round(x, digits - math.floor(math.log10(abs(x))))
        return min(max(x, self.least), self.most)

    def middle(self, a: float, b: float) -> float:
        """Return a value between two."""
        if self.whole:
            return float(int(a + b) // 2)
        return self.neat(math.sqrt(a * b) if self.by_ratio else (a + b) / 2)

    def close(self, a: float, b: float) -> bool:
        """Tell whether nothing between two values is worth trying."""
        if self.whole:
            return abs(a - b) <= 1
        size = max(abs(a), abs(b))
        if not self.by_ratio:  # near zero nothing is close by its ratio
            size = max(size, SMALLEST * (self.most - self.least))
        return abs(a - b) <= self.tolerance * size or self.middle(a, b) in (a, b)

    def onward(self, x: float, up: bool, stride: int) -> float:
        """Return a value further on: strides double from the tolerance, or from one."""
        if self.whole:
            return self.neat(x + 2**stride if up else x - 2**stride)
        if self.by_ratio:
            grown = math.log1p(self.tolerance) * 2 ** min(stride, 30)
            factor = math.exp(min(grown, math.log(2)))  # at most twice: overload is dear
            return self.neat(x * factor if up else x / factor)
        step = self.tolerance * (self.most - self.least) * 2**stride
        return self.neat(x + step if up else x - step)

    def spread(self, n: int) -> list[float]:
        """Return so many values over the axis, its ends among them."""
        if self.by_ratio and (not self.whole or self.most > n * self.least):
            ratio = self.most / self.least
            found = [self.least * ratio ** (k / (n - 1)) for k in range(n)]
        else:
            found = [self.least + (self.most - self.least) * k / (n - 1) for k in range(n)]
        return sorted({self.neat(x) for x in found})


def check_field(strategy: Strategy, field: str) -> None:
    """Check that a strategy has a field of its own to be changed, and say what could be meant.

    Raises
    ------
    ScenarioError
        If it has none of that name.
    """
    name, known = field.removeprefix(OF_STRATEGY), fields_of(strategy)
    if field.startswith(OF_STRATEGY) and name.partition(".")[0] in known:
        return
    if not field.startswith(OF_STRATEGY) and name not in known:
        return  # of the scenario, which will say what it has
    own = [one for one in ("interval", "every", "cap", "hold") if one in known]
    hint = f"; name field={OF_STRATEGY + own[0]!r}" if own else "; it does not poll"
    raise ScenarioError(f"field {field!r} is none of {strategy.label!r}{hint}")


def boundary(
    meets: Callable[[float], bool], axis: Axis, start: float, good: str, stride: int = 0
) -> tuple[float | None, float | None]:
    """Return the last value that meets, counted from the good end of the axis, and the next.

    Parameters
    ----------
    meets
        True at the good end and false at the bad one, changing once.
    start
        Where the search begins; near the answer is good.
    good
        ``"low"`` or ``"high"``: at which end of the axis it is met.
    stride
        The first step is 2^stride tolerances (or whole numbers) long.

    Returns
    -------
    tuple of float or None
        The last value that meets, None if there is none; and the first that does not, None if there
        is none. On a scale of ratios they are about a tolerance apart, and the true one is between.
    """
    here = axis.neat(start)
    met = meets(here)
    up = (good == "low") == met  # met: on towards the bad end; not met: back to the good one
    while True:
        there = axis.onward(here, up, stride)
        if there == here:
            if here in (axis.least, axis.most):
                return (here, None) if met else (None, here)
        elif meets(there) != met:
            break
        here, stride = there, stride + 1
    inside, outside = (here, there) if met else (there, here)
    return halved(meets, axis, inside, outside)


def halved(
    meets: Callable[[float], bool], axis: Axis, inside: float, outside: float
) -> tuple[float, float]:
    """Return the last value that meets and the next, from one that does and one that does not."""
    while not axis.close(inside, outside):
        middle = axis.middle(inside, outside)
        if meets(middle):
            inside = middle
        else:
            outside = middle
    return inside, outside
