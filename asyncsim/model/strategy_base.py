"""What every strategy has, and what it sees of a waiting step and can do with it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from simpy import Event

from asyncsim.errors import ScenarioError
from asyncsim.model import closed_forms
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import DistributionLike, Duration, external_distribution
from asyncsim.model.specifications import (
    Schedule,
    ScheduledWait,
    StrategySpecification,
    own_specification,
)

SimProcess = Generator[Event, Any, None]
Answered = Generator[Event, Any, bool]


class WaitingStep(ScheduledWait, Protocol):
    """What a strategy sees of a step that waits, and what it can do with it."""

    @property
    def serial_number(self) -> str:
        """The serial number of the wait."""

    @property
    def now(self) -> float:
        """The present instant in seconds."""

    def until(self, instant: float) -> Event:
        """Wait until an instant."""

    def after(self, seconds: float) -> Event:
        """Wait for a number of seconds."""

    def duration(self, what: str, law: Duration, k: int = 0) -> float:
        """Return the k-th duration of this wait drawn from a distribution, for one purpose."""

    def check(self) -> Answered:
        """Check once: costs a worker; true once the work is complete, and the step has resumed."""

    def hold(self, seconds: float) -> Answered:
        """Hold one request open until the work is complete, for at most `seconds`."""

    def give_up(self) -> None:
        """Stop waiting; the step takes the path of a time-out."""

    def deliver(self, delay: float, attempt: int = 0) -> Answered:
        """Send the callback; true once the server gave an answer that settles it."""

    def deliver_copy(self, delay: float, attempt: int = 0) -> None:
        """Send a second copy of the callback, whose answer is ignored."""

    def lose(self, attempt: int = 0) -> None:
        """Record a delivery that got lost on the way."""

    def dead_letter(self) -> None:
        """Record that the sender has given up."""


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
        """Notify the server; a SimPy process of the external system, or None.

        It starts at the instant of completion.
        """
        return None

    @property
    def specification(self) -> StrategySpecification | None:
        """What `wait` and `notify` do, in values that need no SimPy to be read.

        It stands for this very class: a subclass may behave in another way and defines its own.
        """
        return None

    @property
    def polls(self) -> bool:
        """Whether the server does anything while the step waits."""
        return type(self).wait is not Strategy.wait

    @property
    def notifies(self) -> bool:
        """Whether the external system does anything at completion."""
        return type(self).notify is not Strategy.notify

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return the closed form for an idle server, or None where there is none.

        A grid by the wall clock is taken to have a random phase, which is right where armings are
        spread evenly over the interval. There is no closed form with jitter, with a limit of
        checks, for retries beside a safety poll, or for a strategy without a specification.

        Parameters
        ----------
        external
            The distribution of the time from arming to completion.
        """
        specification, law = specification_of(self), external_distribution(external)
        return None if specification is None else closed_forms.expected(specification, law)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return type(self).__name__

    def __str__(self) -> str:
        return self.label


def specification_of(strategy: Strategy) -> StrategySpecification | None:
    """Return the specification of a strategy; None if its very class does not define one.

    >>> class Patient(sim.Polling):
    ...     def next_check(self, step):
    ...         return super().next_check(step) + 60
    >>> specification_of(sim.Polling("1min")).schedule.interval
    60.0
    >>> specification_of(Patient("1min")) is None
    True

    Raises
    ------
    ScenarioError
        If a class defines its checks twice: by a schedule, and by a `next_check` of its own.
    """
    found = own_specification(strategy, StrategySpecification, "a StrategySpecification")
    if found is not None and found.schedule is not None and "next_check" in vars(type(strategy)):
        name = type(strategy).__name__
        raise ScenarioError(f"{name} must define either a specification or next_check, got both")
    return found


def schedule_of(strategy: Strategy) -> Schedule | None:
    """Return the schedule by which a strategy checks, if its specification has one."""
    found = specification_of(strategy)
    return None if found is None else found.schedule
