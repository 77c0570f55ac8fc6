"""How a waiting step learns that the outside work is done.

A strategy has two sides, each a short SimPy process in the words of the domain:

* `Strategy.wait`: what the *workflow server* does while the step waits (check, again and again);
  or `Strategy.watch`: what it does for all waits of an external system together;
* `Strategy.notify`: what the *external system* does when the work is complete (call back).

Leaving one out means that nothing happens there: under `Callback` the waiting step is a record. The
`specification` of a strategy says the same in plain values, for the compiled engine and the closed
forms. Subclass `Strategy` for a strategy of your own; SimPy plays it.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from html import escape
from typing import Any, Protocol

from attrs import field, frozen
from simpy import Event

from asyncsim.errors import EngineError, ScenarioError
from asyncsim.model import closed_forms
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import DistributionLike, Duration, external_distribution
from asyncsim.model.html import result_html
from asyncsim.model.process import AsyncStep
from asyncsim.model.senders import Sender, sender_named
from asyncsim.model.specifications import (
    ANCHORS,
    SCHEDULES,
    ClockTimes,
    Deliveries,
    Described,
    Directed,
    Grid,
    Hold,
    Intervals,
    Pauses,
    Schedule,
    ScheduledWait,
    Shared,
    SharedWaits,
    StrategySpecification,
    own_specification,
)
from asyncsim.model.units import poll_interval, text_of
from asyncsim.model.validation import name_errors
from asyncsim.model.words import strategy_in_words

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

    @property
    def is_down(self) -> bool:
        """Whether the external system is down: its pauses (`after`) end when it is up again."""

    @property
    def is_switched_off(self) -> bool:
        """Whether the external system sends nothing any more."""

    @property
    def asked_to_wait(self) -> float:
        """The pause that the refusal of the last delivery named, or 0."""

    def turn(self) -> Event:
        """Wait until all callbacks of the external system before this one are settled."""

    def settled(self, off_by_410: bool = False) -> None:
        """End the deliveries after an answer, which may switch the endpoint off."""

    def deliver(self, delay: float, attempt: int = 0, within: float | None = None) -> Answered:
        """Send the callback; true once the server gave an answer that settles it, in time."""

    def deliver_copy(self, delay: float, attempt: int = 0) -> None:
        """Send a second copy of the callback, whose answer is ignored."""

    def lose(self, attempt: int = 0) -> None:
        """Record a delivery that got lost on the way."""

    def dead_letter(self, off_after: int | None = None) -> None:
        """Record that the sender has given up; after several in a row it is switched off."""

    def not_sent(self) -> None:
        """Record that the sender is switched off."""


class OpenWaits(SharedWaits, Protocol):
    """What a strategy sees of the open waits of one external system, and can do for them."""

    def any(self) -> Event:
        """Wait until one is open (not at all if one is)."""

    def until(self, instant: float) -> Event:
        """Wait until everything else of an instant has happened."""

    def check(self, most: int | None = None) -> SimProcess:
        """Check once for all: costs a worker; resume those complete, the oldest completion first.

        Nothing is checked if none is open.
        """


class Strategy(Described):
    """How completion is noticed, by all waits of a run. Override `wait` or `watch`, `notify`.

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

    def watch(self, waits: OpenWaits) -> SimProcess | None:
        """Watch all waits of one external system; a SimPy process that never ends, or None."""
        return None

    def notify(self, step: WaitingStep) -> SimProcess | None:
        """Notify the server; a SimPy process of the external system from completion, or None."""
        return None

    def for_step(self, step: AsyncStep) -> Strategy:
        """Return the strategy of one step: this one, the same for all."""
        return self

    @property
    def specification(self) -> StrategySpecification | None:
        """What `wait` and `notify` do, in values that need no SimPy to be read.

        Built-in strategies have that of the kind whose fields they inherit. It stands for this very
        class: a subclass may behave in another way and defines its own.
        """
        kinds = (*SCHEDULES, Hold, Directed, Shared)
        checks = next((kind.of(self) for kind in kinds if isinstance(self, kind)), None)
        deliveries = Deliveries.of(self) if isinstance(self, Deliveries) else None
        return StrategySpecification(checks, deliveries) if checks or deliveries else None

    @property
    def polls(self) -> bool:
        """Whether the server does anything while the step waits."""
        return type(self).wait is not Strategy.wait or self.watches

    @property
    def watches(self) -> bool:
        """Whether the server watches the waits of an external system together."""
        return type(self).watch is not Strategy.watch

    @property
    def notifies(self) -> bool:
        """Whether the external system does anything at completion."""
        return type(self).notify is not Strategy.notify

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return the closed form for an idle server, or None where there is none.

        A grid by the wall clock counts as one with a random phase, which is right for armings that
        are spread evenly over the interval. Jitter, a limit of checks, retries beside a safety
        poll, and strategies without a specification have no closed form.

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

    @property
    def in_words(self) -> str:
        """What it does, in one sentence without its full stop.

        >>> sim.Polling("15min").in_words
        'checks every 15 min, counted from the arming of the wait'
        """
        if found := specification_of(self):
            return strategy_in_words(found)
        if own := str(vars(type(self)).get("__doc__") or "").strip():
            return own.splitlines()[0].rstrip(".")
        sides = ["the server acts while the step waits"] * self.polls
        sides += ["the external system acts at completion"] * self.notifies
        return ", and ".join(sides) or "never notices completion"

    def __str__(self) -> str:
        return self.label

    def _repr_html_(self) -> str:
        return result_html(self.label, "", of_title=f": {escape(self.in_words)}.")


def specification_of(strategy: Strategy) -> StrategySpecification | None:
    """Return the specification of a strategy; None if its very class does not have one."""
    found = own_specification(strategy, StrategySpecification, "a StrategySpecification")
    if found and found.schedule and "next_check" in vars(type(strategy)):
        name = type(strategy).__name__
        raise ScenarioError(f"{name} must define either a specification or next_check, got both")
    return found


def schedule_of(strategy: Strategy) -> Schedule | None:
    """Return the schedule by which a strategy checks, if its specification has one."""
    found = specification_of(strategy)
    return None if found is None else found.schedule


class CheckingStrategy(Strategy):
    """Checks by a schedule: that of its specification, or its own `next_check`.

    >>> class Hourly(sim.CheckingStrategy):
    ...     def next_check(self, step):
    ...         return step.last_check + 3600.0
    >>> Hourly().label
    'Hourly'

    With a specification of known kinds it has a closed form and plays on the compiled engine, too:

    >>> from asyncsim.model.specifications import Grid, StrategySpecification
    >>> class TwiceAnHour(sim.CheckingStrategy):
    ...     specification = StrategySpecification(Grid("30min", "clock"))
    """

    def wait(self, step: WaitingStep) -> SimProcess:
        """Check when it is due until the work is complete, or the limit of checks is reached."""
        while step.checks != self.limit:
            yield step.until(self.next_check(step))
            if (yield from step.check()):
                return
        step.give_up()

    def next_check(self, step: WaitingStep) -> float:
        """Return when the next check is due: later than ``step.last_check``."""
        return self.schedule.next_check(step)

    @property
    def limit(self) -> int | None:
        """The number of checks after which it gives up; None never gives up."""
        found = self.specification
        return found.schedule.limit if found and found.schedule else None

    @property
    def schedule(self) -> Schedule:
        """The schedule of its specification."""
        if (found := self.specification) and found.schedule:
            return found.schedule
        name = type(self).__name__
        raise EngineError(f"{name} must define next_check, or a specification with a schedule")


@frozen(field_transformer=name_errors)
class Polling(Grid, CheckingStrategy):
    """Checks at fixed intervals, on a grid.

    >>> sim.Polling("10min").expected(sim.exponential("10min")).latency  # 0.582 of the interval
    349.18...

    Parameters
    ----------
    interval
        Distance of the grid points.
    anchor
        Where the grid starts: the ``"arming"`` of the wait, the wall ``"clock"`` (midnight of the
        scenario's start, counted on in elapsed time: an interval that does not divide an hour
        moves on the wall when the clocks change), or a ``"random"`` phase of each wait.
    jitter
        Each check is late on its grid point by a uniform time up to this.
    limit
        Gives up after this many checks; None never gives up.
    first
        The first check comes this long after the arming, and the grid goes on from there; with
        another anchor at the first grid point later than that. None: after one interval.
    window
        Checks only between two clock times of each day, both included: grid points outside of it
        are left out. Not shorter than the interval. Jitter may carry a check past its end.
    """

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        parts = [f"polling {text_of(self.interval)}"]
        parts += [self.anchor] * (self.anchor != "arming")
        parts += [f"first after {text_of(self.first)}"] if self.first else []
        parts += [f"{self.window[0]}-{self.window[1]}"] if self.window else []
        parts += [f"jitter {text_of(self.jitter)}"] if self.jitter else []
        parts += [f"{self.limit} at most"] if self.limit else []
        return ", ".join(parts)


@frozen(field_transformer=name_errors)
class PollingAfter(Pauses, CheckingStrategy):
    """Checks after given pauses, such as first long and then short.

    >>> sim.PollingAfter(["8h", "30min", "5min"]).label
    'polling after 8 h, 30 min, 5 min'

    Parameters
    ----------
    pauses
        The pauses before the first, second, … check, each counted from the end of the check
        before; the last one is repeated. One alone is a fixed interval from end to end, as where a
        scheduler puts a waiting task back into its queue.
    loop
        What the scheduler adds to each pause.
    limit
        Gives up after this many checks; None never gives up.
    """

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        shown = [text_of(pause, 3) for pause in self.pauses[:3]]
        more = ", …" if len(self.pauses) > 3 else ""
        loop = f" + {text_of(self.loop)}" if self.loop else ""
        limit = f", {self.limit} at most" if self.limit else ""
        return f"polling after {', '.join(shown)}{more}{loop}{limit}"


@frozen(field_transformer=name_errors)
class PollingAt(ClockTimes, CheckingStrategy):
    """Checks all waits at clock times, as a scheduled job does.

    >>> sim.PollingAt(["22:15", "23:00"]).label
    'polling at 22:15, 23:00'

    Parameters
    ----------
    at
        Clock times, or a cron expression such as ``"*/15 22-23 * * *"``.
    days, holidays
        The days of the week, and a place without whose public holidays; see `NightlyBatch`.
    limit
        Gives up after this many checks; None never gives up.
    """

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        more = ", …" if len(self.at) > 3 else ""
        days = f", {self.days}" if self.days != "every day" else ""
        limit = f", {self.limit} at most" if self.limit else ""
        return f"polling at {', '.join(self.at[:3])}{more}{days}{limit}"


@frozen(field_transformer=name_errors)
class Backoff(Intervals, CheckingStrategy):
    """Checks at growing intervals, each counted from the end of the check before.

    >>> [sim.Backoff("1s", cap="10s").interval(k) for k in range(5)]
    [1.0, 2.0, 4.0, 8.0, 10.0]

    Parameters
    ----------
    first
        The first interval.
    factor
        Each interval is this many times the one before, from 1 to 1,000,000.
    cap
        No interval is longer; None lets them grow without end.
    jitter
        ``"none"``; ``"full"``: uniform from 0 to the interval; ``"equal"``: the second half of
        it; ``"decorrelated"``: uniform from `first` to three times the last interval slept.
    limit
        Gives up after this many checks; None never gives up.
    """

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        kind = "" if self.jitter == "none" else f", {self.jitter} jitter"
        cap = "uncapped" if self.cap is None else f"up to {text_of(self.cap)}"
        limit = f", {self.limit} at most" if self.limit else ""
        return f"backoff {text_of(self.first)} x {self.factor:g} {cap}{kind}{limit}"


@frozen(field_transformer=name_errors)
class LongPolling(Hold, Strategy):
    """Checks once and holds the connection until the work is complete or the hold time is over.

    A held connection costs no worker (asynchronous input and output), only the connection; a worker
    handles the answer, and then the next request is sent. The answer is of the moment at which the
    external system releases the connection: work that gets complete while "not yet" waits for a
    worker is found by the next request only. A request that a time-out would cut at the instant of
    its beginning (within a microsecond) is not made.

    >>> sim.LongPolling("30s").label
    'long polling 30 s'

    Parameters
    ----------
    hold
        The longest time for which one request is held, 1 ms or more.
    """

    def wait(self, step: WaitingStep) -> SimProcess:
        """Hold one request after the other until one brings the completion."""
        while True:
            if (yield from step.hold(self.hold)):
                return

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return f"long polling {text_of(self.hold)}"


@frozen(field_transformer=name_errors)
class ServerDirected(Directed, Strategy):
    """Checks after the pause that each answer names, as `Retry-After` and `pollInterval` do.

    This is the time that is left until completion, if the external system has planned it as the
    check ends. An online service, people and a log plan an item as soon as they have it, their
    queue included. A batch plans its items as a run begins; until then the answer is the time to
    the run. Of a chain, only the last part plans the completion.

    >>> sim.ServerDirected("20s", error=0.3).label
    'server directed 20 s, error 0.3'

    Parameters
    ----------
    default
        The pause before the first check, and while the external system has no plan.
    at_least, at_most
        The shortest and the longest pause of an answer.
    error
        Each time that is left has a lognormal factor with median 1, of whose logarithm this is the
        standard deviation, 0 to 5: about the relative error of an estimate.
    """

    def wait(self, step: WaitingStep) -> SimProcess:
        """Check after the default, then after the pause in each answer."""
        while True:
            yield step.until(self.next_check(step))
            if (yield from step.check()):
                return

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        error = f", error {self.error:g}" if self.error else ""
        return f"server directed {text_of(self.default)}{error}"


@frozen(field_transformer=name_errors)
class SharedPoll(Shared, Strategy):
    """Checks once for all open waits of an external system, as sensors and "changes since" do.

    A check is made at each point of the grid at which a wait is open and no earlier check of the
    same system is under way. It takes one worker, once, and resumes all waits that it sees when it
    ends. Tables count it at the wait that had been open for longest.

    >>> sim.SharedPoll("5min", most=100).label
    'shared poll 5 min, 100 at most'

    Parameters
    ----------
    interval
        Distance of the grid points.
    most
        Sees this many completed waits at most, the oldest completion first; the others are left
        for the next check. None sees all.
    anchor
        Where the grid starts: the wall ``"clock"`` (see `Polling`), or a ``"random"`` phase of each
        external system.
    """

    def watch(self, waits: OpenWaits) -> SimProcess:
        """Check for all at each grid point, as long as any is open."""
        while True:
            yield waits.any()
            yield waits.until(self.next_check(waits))
            yield from waits.check(self.most)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        most = f", {self.most:,} at most" if self.most else ""
        return f"shared poll {text_of(self.interval)}{', random' * (self.anchor == 'random')}{most}"


@frozen(field_transformer=name_errors)
class Callback(Deliveries, Strategy):
    """The external system finishes the step by its serial number; the server does not check.

    >>> sim.Callback("50ms", loss=0.1, retries=["5s", "5min"]).label
    'callback, 10 % lost, 2 retries'

    Parameters
    ----------
    delay
        Time of a delivery on the network.
    loss
        Probability that a delivery is lost.
    retries
        The sender's pauses before its second, third, … attempt (1,000 at most), each counted from
        the moment the attempt before was lost or refused. After the last one the callback is a
        dead letter.
    retry_jitter
        ``"none"``, or ``"full"``: each pause is uniform from 0 to that of the schedule.
    duplicates
        Probability that a delivery arrives twice.
    duplicate_delay
        How much later the second copy arrives.
    queue
        Of the callbacks of an external system: ``"independent"``, or ``"blocking"``: one at a time,
        in the order of completion; one that fails blocks those behind it until it is settled.
    answer_within
        The receiver must have handled a delivery this long after its arrival, waiting for a worker
        included. If not, the sender counts it as failed and tries again, though it is handled.
    retry_after
        Whether the sender waits as long as a refusal says, by a rate limit or at an endpoint that
        is down (HTTP ``Retry-After``, in whole seconds), in place of the pause of its schedule.
    switched_off_after
        After this many dead letters in a row the external system sends nothing any more.
    switched_off_by_410
        Whether it sends nothing any more after an answer 410 (a late finish that is rejected).
    sender
        A known sender such as ``"svix"``, or a `Sender`: sets `retries` and the five parameters
        above it where they are left out; see `senders`.
    """

    sender: Sender | None = field(default=None, converter=sender_named, kw_only=True)

    @property
    def sent(self) -> Deliveries:
        """How it delivers, with what its sender is known for."""
        return self if self.sender is None else Deliveries.of(self)

    def notify(self, step: WaitingStep) -> SimProcess:
        """Deliver, and retry by the schedule until the server has given an answer."""
        sent = self.sent
        if sent.queue == "blocking":
            yield step.turn()
        for attempt, pause in enumerate((0.0, *sent.retries)):
            if pause and sent.retry_jitter == "full":
                pause *= step.chance("retry", attempt)
            if sent.retry_after and step.asked_to_wait:
                pause = step.asked_to_wait
            if pause or step.is_down:
                yield step.after(pause)
            if step.is_switched_off:
                return step.not_sent()
            if sent.loss and step.chance("loss", attempt) < sent.loss:
                step.lose(attempt)
                continue
            delay = step.duration("delay", sent.delay, attempt)
            if sent.duplicates and step.chance("duplicate", attempt) < sent.duplicates:
                step.deliver_copy(delay + sent.duplicate_delay, attempt)
            if (yield from step.deliver(delay, attempt, sent.answer_within)):
                return step.settled(sent.switched_off_by_410)
        step.dead_letter(sent.switched_off_after)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        parts = [f"callback by {self.sender.name}" if self.sender else "callback"]
        if self.loss:
            parts.append(f"{self.loss * 100:.3g} % lost")
        if self.duplicates:
            parts.append(f"{self.duplicates * 100:.3g} % doubled")
        if self.retries:
            parts.append("1 retry" if len(self.retries) == 1 else f"{len(self.retries)} retries")
        parts += ["one queue"] if self.queue == "blocking" else []
        return ", ".join(parts)


@frozen(field_transformer=name_errors)
class CallbackWithSafetyPoll(Callback):
    """A callback, and a slow poll beside it in case the callback never comes.

    >>> sim.CallbackWithSafetyPoll("2s", loss=0.02, every="5min").safety_poll.label
    'polling 5 min'

    Parameters
    ----------
    every, anchor
        Interval of the safety poll and where its grid starts; see `Polling`.
    """

    every: float = field(default=300.0, converter=poll_interval, kw_only=True)
    anchor: str = field(default="arming", validator=ANCHORS, kw_only=True)

    @property
    def safety_poll(self) -> Polling:
        """The poll that runs beside the callback."""
        return Polling(self.every, self.anchor)

    def wait(self, step: WaitingStep) -> SimProcess:
        """Poll slowly."""
        return self.safety_poll.wait(step)

    @cached_property
    def specification(self) -> StrategySpecification:
        """Checks on the slow grid, and deliveries."""
        return StrategySpecification(Grid(self.every, self.anchor), Deliveries.of(self))

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return f"{super().label}, safety poll {text_of(self.every)}"


STRATEGIES: dict[str, type[Strategy]] = {
    "callback": Callback,
    "polling": Polling,
    "polling after": PollingAfter,
    "polling at": PollingAt,
    "backoff": Backoff,
    "long polling": LongPolling,
    "server directed": ServerDirected,
    "shared poll": SharedPoll,
    "callback with safety poll": CallbackWithSafetyPoll,
}
