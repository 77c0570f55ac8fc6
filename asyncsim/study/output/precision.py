"""How many replications are enough: the rule of Hoad, Robinson and Davies.

K. Hoad, S. Robinson, R. Davies (2010), Automated selection of the number of replications for a
discrete-event simulation, Journal of the Operational Research Society 61, 1632-1644.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from asyncsim.errors import ScenarioError
from asyncsim.model.described import argument, refuse
from asyncsim.model.quantities import Refused, count, number, positive_duration
from asyncsim.study.statistics import student_t

FEWEST = 5
"""A target is not believed on fewer replications than this (the paper begins with 3)."""
LOOK_AHEAD = 5
"""So many further replications must confirm it, as the paper recommends."""
TIMES = ("s", "worker s")
"""Units of figures whose target may be written as a duration."""


class PrecisionTarget(NamedTuple):
    """How narrow an interval is to be: its half-width as a share of the mean, or outright."""

    share: float | None = None
    within: float | None = None

    def text(self, unit: str) -> str:
        """Return it in words."""
        if self.share is not None:
            return f"precision of {self.share:g}"
        return f"precision of ± {self.within:g}{'' if unit == '1' else ' ' + unit}"


def target(precision: object, within: object, unit: str) -> PrecisionTarget:
    """Return the target that a person gave, checked.

    Parameters
    ----------
    precision
        A share of the mean between 0 and 1, or None.
    within
        A half-width in the unit of the figure (a duration where that is seconds), or None.
    unit
        Of the figure.

    Raises
    ------
    ScenarioError
        If one is wrong, or both or neither are given.
    """
    if (precision is None) == (within is None):
        raise ScenarioError(
            "give precision (a share of the mean, such as 0.05) or within (a half-width such as "
            f"'5s'), one of them; got precision={precision!r}, within={within!r}"
        )
    try:
        if within is not None:
            found = positive_duration(within) if unit in TIMES else number(within)  # type: ignore[arg-type]
            if found <= 0:
                raise Refused("must be positive")
            return PrecisionTarget(within=found)
        share = number(precision)
        if not 0 < share < 1:
            raise Refused("must be a share between 0 and 1")
        return PrecisionTarget(share=share)
    except Refused as problem:
        if within is not None:
            raise refuse("within", problem, within) from None
        hint = "; a half-width in the figure's own unit is within="
        raise refuse("precision", Refused(str(problem), hint), precision) from None


class Step(NamedTuple):
    """How things stood after a replication."""

    n: int
    """Replications so far."""
    value: float
    mean: float
    half_width: float
    share: float
    """Half-width as a share of the mean; NaN where there is none."""


class Precision:
    """Is fed the figure of one replication after the other and tells when there are enough.

    After n replications with mean m and standard deviation s the interval's half-width is
    h = t(n-1) s / √n and its share of the mean d = h / abs(m). The number of replications is the
    first n with d ≤ wanted that stays so for a further k·max(n, 100)/100 ones, k = 5: the
    interval may be narrow by chance while few values have been seen (Hoad, Robinson and Davies
    2010).

    Parameters
    ----------
    wanted
        The target.
    confidence
        Of the interval.
    first
        The rule does not begin before so many.
    look_ahead
        The k above.
    name
        What the figure is called in errors.

    Raises
    ------
    ScenarioError
        If a share of the mean is wanted, and the mean is zero while the values are not.

    Examples
    --------
    >>> rule = Precision(PrecisionTarget(share=0.1))
    >>> for value in [10.0, 10.2, 9.9, 10.1, 9.8, 10.0, 10.1, 9.9, 10.0, 10.2]:
    ...     rule.add(value)
    >>> rule.enough, rule.number
    (True, 5)
    """

    def __init__(
        self,
        wanted: PrecisionTarget,
        confidence: float = 0.95,
        *,
        first: int = FEWEST,
        look_ahead: int = LOOK_AHEAD,
        name: str = "the figure",
    ) -> None:
        self._first = max(argument("first", first, count), 2)
        self.wanted = wanted
        self.steps: list[Step] = []
        self.known = 0
        """Values that were numbers; a replication without the figure (NaN) confirms nothing."""
        self._confidence = confidence
        self._look_ahead = look_ahead
        self._name = name
        self._mean = self._squares = 0.0
        self._since: tuple[int, int] | None = None

    def add(self, value: float) -> None:
        """Take the figure of the next replication."""
        n = len(self.steps) + 1
        if math.isnan(value):
            last = self.steps[-1] if self.steps else Step(0, *[math.nan] * 4)
            self.steps.append(last._replace(n=n, value=value))
            return
        self.known += 1
        off = value - self._mean  # Welford (1962): no cancellation
        self._mean += off / self.known
        self._squares += off * (value - self._mean)
        half = math.nan
        if self.known > 1:
            deviation = math.sqrt(self._squares / (self.known - 1))
            half = student_t(self._confidence, self.known - 1) * deviation / math.sqrt(self.known)
        share = half / abs(self._mean) if self._mean else (math.nan if half else 0.0)
        self.steps.append(Step(n, value, self._mean, half, share))
        if self.known < self._first:
            return
        if not self._narrow(self.steps[-1]):
            self._since = None
        elif self._since is None:
            self._since = n, self.known

    def _narrow(self, step: Step) -> bool:
        if self.wanted.within is not None:
            return step.half_width <= self.wanted.within
        if math.isnan(step.share) and not math.isnan(step.half_width):
            raise ScenarioError(
                f"precision is a share of the mean, and the mean of {self._name} is zero after "
                f"{step.n} replications; give a half-width in its own unit, such as within='5s'"
            )
        assert self.wanted.share is not None
        return step.share <= self.wanted.share

    @property
    def number(self) -> int | None:
        """The first number of replications from which the interval has been narrow enough."""
        return None if self._since is None else self._since[0]

    @property
    def enough(self) -> bool:
        """Whether that was confirmed by the further replications."""
        return self._since is not None and self.known - self._since[1] >= self._ahead(
            self._since[1]
        )

    @property
    def still(self) -> int:
        """So many replications are needed at the very least before there can be enough."""
        if self._since is not None:
            return max(self._since[1] + self._ahead(self._since[1]) - self.known, 0)
        begin = max(self.known + 1, self._first)
        return begin - self.known + self._ahead(begin)

    def _ahead(self, n: int) -> int:
        return self._look_ahead * max(n, 100) // 100

    def shortfall(self, label: str) -> str:
        """Return how far the target was missed, in words."""
        if not self.known:
            return f"{label}: no replication had the figure"
        last = self.steps[-1]
        if self.number is not None:
            return f"{label}: reached after {self.number}, but not confirmed by enough further ones"
        if self.wanted.within is not None:
            return f"{label}: ± {last.half_width:.3g}"
        if not last.share < 1:
            return (
                f"{label}: the mean cannot be told from zero, so a share of it makes no sense; "
                "give within= instead"
            )
        return f"{label}: {last.share:.3g}"
