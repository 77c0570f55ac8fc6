"""What every waiting strategy has: what it sees of a waiting step, and what it is asked to do.

Points of a grid, found by comparing them; both engines use this very function.
"""

from __future__ import annotations

import abc
from collections.abc import Generator
from typing import Any, Protocol

from simpy import Event

from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import DistributionLike, Duration


def grid_index(anchor: float, interval: float, after: float) -> int:
    """Return the smallest k >= 1 whose grid point ``anchor + k * interval`` is later than `after`.

    The division only gives a first guess; comparing grid points decides, so that a clock standing
    exactly on a grid point never sees that point again.
    """
    k = max(int((after - anchor) / interval), 1)
    while anchor + k * interval <= after:
        k += 1
    while k > 1 and anchor + (k - 1) * interval > after:
        k -= 1
    return k


SimProcess = Generator[Event, Any, None]
Answered = Generator[Event, Any, bool]


class WaitingStep(Protocol):
    """What a strategy sees of a step that waits, and what it can do with it."""

    armed: float
    checks: int
    last_check: float
    """When the last check ended; before the first, when the wait was armed."""
    notes: dict[str, Any]
    """A place for what a strategy wants to remember of this wait."""

    @property
    def serial_number(self) -> str:
        """The serial number of the wait."""

    @property
    def now(self) -> float:
        """The present instant in seconds."""

    def until(self, instant: float) -> Event:
        """Wait until an instant."""

    def after(self, seconds: float) -> Event:
        """Wait for so many seconds."""

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this wait, for one purpose."""

    def duration(self, what: str, law: Duration, k: int = 0) -> float:
        """Return the k-th duration of this wait drawn from a law, for one purpose."""

    def check(self) -> Answered:
        """Ask once: costs a worker; true once the work is complete, and the step has resumed."""

    def hold(self, seconds: float) -> Answered:
        """Ask once and hold the line until the work is complete, `seconds` at the longest."""

    def give_up(self) -> None:
        """Stop waiting; the step goes the way of a time-out."""

    def deliver(self, delay: float, attempt: int = 0) -> Answered:
        """Send the callback; true once the server gave an answer that settles it."""

    def deliver_copy(self, delay: float, attempt: int = 0) -> None:
        """Send a second copy of the callback, about whose answer nobody cares."""

    def lose(self, attempt: int = 0) -> None:
        """Note a delivery that got lost on the way."""

    def dead_letter(self) -> None:
        """Note that the sender has given up."""


class Strategy:
    """How completion is noticed. Override `wait`, `notify` or both.

    >>> class Hourly(sim.Strategy):
    ...     def wait(self, step):
    ...         yield step.after(3600.0)
    ...         while not (yield from step.check()):
    ...             yield step.after(3600.0)
    >>> Hourly().label
    'Hourly'
    """

    def wait(self, step: WaitingStep) -> SimProcess | None:
        """Wait on the server's side; a SimPy process started when the wait is armed, or None."""
        return None

    def notify(self, step: WaitingStep) -> SimProcess | None:
        """Tell the server; a SimPy process started by the external system at completion, or None.

        It begins at the instant of completion.
        """
        return None

    @property
    def schedule(self) -> CheckingStrategy | None:
        """The schedule of checks, if waiting is nothing but checking by a schedule."""
        return None

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return the closed form for an idle server, or None where there is none.

        Parameters
        ----------
        external
            The law of the time from arming to completion.
        """
        return None

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return type(self).__name__

    def __str__(self) -> str:
        return self.label


class CheckingStrategy(Strategy, abc.ABC):
    """Asks, and asks again; subclasses say when the next check is due.

    >>> class Hourly(sim.CheckingStrategy):
    ...     def next_check(self, step):
    ...         return step.last_check + 3600.0
    >>> Hourly().label
    'Hourly'
    """

    limit: int | None = None

    @abc.abstractmethod
    def next_check(self, step: WaitingStep) -> float:
        """Return when the next check is due: later than ``step.last_check``."""

    def wait(self, step: WaitingStep) -> SimProcess:
        """Check when it is due until the work is complete, or the limit of checks is reached."""
        while step.checks != self.limit:
            yield step.until(self.next_check(step))
            if (yield from step.check()):
                return
        step.give_up()

    @property
    def schedule(self) -> CheckingStrategy | None:
        """The strategy itself, unless a subclass waits in a way of its own."""
        return self if type(self).wait is CheckingStrategy.wait else None

    def skip_checks(self, step: WaitingStep, before: float) -> None:
        """Count the checks due before an instant without playing them (checks free of charge)."""
        while (due := self.next_check(step)) < before:
            step.checks += 1
            step.last_check = due
