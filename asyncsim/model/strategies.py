"""How a waiting step learns that the outside work is done.

A strategy says two things, each as a short SimPy process in the words of the domain:

* `Strategy.wait`: what the *workflow server* does while the step waits (ask, again and again);
* `Strategy.notify`: what the *external system* does when the work is complete (call back).

Leaving one out means that nothing happens there: under `Callback` nobody waits, the step is a mere
record. Subclass `Strategy` to try a way of your own; it runs on the SimPy engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import field, frozen

from asyncsim.model import closed_forms
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import (
    DistributionLike,
    Duration,
    Fixed,
    as_distribution,
    external_distribution,
)
from asyncsim.model.strategy_base import (
    CheckingStrategy,
    SimProcess,
    Strategy,
    WaitingStep,
    grid_index,
)
from asyncsim.model.units import (
    HOUR,
    DurationLike,
    InvalidValue,
    duration,
    number,
    one_of,
    optional_count,
    optional_duration,
    poll_interval,
    probability,
    text_of,
)
from asyncsim.model.validation import name_errors, scenario_error


def anchor_kind(value: str) -> str:
    """Return where the grid of checks begins, checked."""
    return one_of(value, ("arming", "clock", "random"))


@frozen(field_transformer=name_errors)
class Polling(CheckingStrategy):
    """Asks at fixed intervals, on a grid that starts somewhere.

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
        Gives up after so many checks; None never gives up.
    """

    interval: float = field(converter=poll_interval)
    anchor: str = field(default="arming", converter=anchor_kind)
    jitter: float = field(default=0.0, converter=duration, kw_only=True)
    limit: int | None = field(default=None, converter=optional_count, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.jitter > self.interval:
            raise scenario_error(
                "Polling.jitter", f"must not exceed the interval ({self.interval} s)", self.jitter
            )

    def grid_start(self, step: WaitingStep) -> float:
        """Return the instant of grid point 0 for a wait."""
        if self.anchor == "arming":
            return step.armed
        if self.anchor == "clock":
            return 0.0
        return step.armed - step.chance("phase") * self.interval

    def next_check(self, step: WaitingStep) -> float:
        """Return the first grid point later than the end of the last check, plus its jitter."""
        anchor = self.grid_start(step)
        k = grid_index(anchor, self.interval, step.last_check)
        if self.jitter:
            return anchor + k * self.interval + step.chance("jitter", k) * self.jitter
        return anchor + k * self.interval

    def skip_checks(self, step: WaitingStep, before: float) -> None:
        """Count the grid points before an instant: no need to walk them one by one."""
        own = type(self)
        if self.jitter or (own.next_check, own.grid_start) != (
            Polling.next_check,
            Polling.grid_start,
        ):
            super().skip_checks(step, before)  # a subclass has a grid of its own
            return
        anchor = self.grid_start(step)
        first = grid_index(anchor, self.interval, step.last_check)
        last = grid_index(anchor, self.interval, before)
        while last > 0 and anchor + last * self.interval >= before:
            last -= 1
        if last >= first:
            step.checks += last - first + 1
            step.last_check = anchor + last * self.interval

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return mean latency, checks and wasted share; None with jitter or a limit.

        The wall clock is taken as a random phase: right where armings are spread evenly over the
        interval.
        """
        if self.limit is not None or self.jitter:
            return None
        if self.anchor == "arming":
            return closed_forms.polling_from_arming(external_distribution(external), self.interval)
        return closed_forms.polling_at_random_phase(external_distribution(external), self.interval)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        start = "" if self.anchor == "arming" else f", {self.anchor}"
        jitter = f", jitter {text_of(self.jitter)}" if self.jitter else ""
        limit = f", {self.limit} at most" if self.limit else ""
        return f"polling {text_of(self.interval)}{start}{jitter}{limit}"


MOST_FACTOR = 1_000_000


def backoff_factor(value: float) -> float:
    """Return a factor of at least 1."""
    factor = number(value)
    if factor < 1:
        raise InvalidValue("must be 1 or more")
    if factor > MOST_FACTOR:
        raise InvalidValue(f"must be {MOST_FACTOR:,} at most")
    return factor


def jitter_kind(value: str) -> str:
    """Return a kind of jitter, checked."""
    return one_of(value, ("none", "full", "equal", "decorrelated"))


@frozen(field_transformer=name_errors)
class Backoff(CheckingStrategy):
    """Asks at growing intervals, each counted from the end of the check before.

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
        Gives up after so many checks; None never gives up.
    """

    first: float = field(default=1.0, converter=poll_interval)
    factor: float = field(default=2.0, converter=backoff_factor)
    cap: float | None = field(default=HOUR, converter=optional_duration)
    jitter: str = field(default="none", converter=jitter_kind)
    limit: int | None = field(default=None, converter=optional_count, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.cap is not None and self.cap < self.first:
            raise scenario_error(
                "Backoff.cap", f"must be at least first ({self.first} s)", self.cap
            )

    def interval(self, k: int) -> float:
        """Return the k-th interval (k = 0, 1, …) before jitter."""
        try:
            return min(self.first * self.factor**k, self._longest)
        except OverflowError:
            return self._longest

    @property
    def _longest(self) -> float:
        return math.inf if self.cap is None else self.cap

    def next_check(self, step: WaitingStep) -> float:
        """Return the end of the last check plus the next interval."""
        k = step.checks
        if self.jitter == "none":
            return step.last_check + self.interval(k)
        if self.jitter == "full":
            return step.last_check + step.chance("jitter", k) * self.interval(k)
        if self.jitter == "equal":
            return step.last_check + (1 + step.chance("jitter", k)) / 2 * self.interval(k)
        return step.last_check + self._decorrelated(step, k)

    def _decorrelated(self, step: WaitingStep, k: int) -> float:
        done, slept = step.notes.get("slept", (-1, self.first))
        for j in range(done + 1, k + 1):
            reach = self.first + step.chance("jitter", j) * (3 * slept - self.first)
            slept = min(self._longest, reach)
        step.notes["slept"] = k, slept
        return float(slept)

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return mean latency, checks and wasted share; None with jitter or a limit."""
        if self.jitter != "none" or self.limit is not None:
            return None
        return closed_forms.checks_at_given_times(external_distribution(external), self.interval)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        kind = "" if self.jitter == "none" else f", {self.jitter} jitter"
        cap = "uncapped" if self.cap is None else f"up to {text_of(self.cap)}"
        limit = f", {self.limit} at most" if self.limit else ""
        return f"backoff {text_of(self.first)} x {self.factor:g} {cap}{kind}{limit}"


@frozen(field_transformer=name_errors)
class LongPolling(Strategy):
    """Asks once and holds the connection until the answer is there or the hold time is over.

    A held connection costs no worker (asynchronous input and output), only the connection; the
    worker time of a check is spent when its answer comes, and the next request follows at once.

    The external system answers when the connection is released, so the answer is of that moment,
    not of the moment at which a worker handles it. Say a check takes 10 s of the only worker, which
    is busy from 55 s to 115 s after the arming; held for 60 s, with the work complete at 70 s, the
    first request brings "not yet", which is handled until 125 s. The second is answered at once and
    handled until 135 s: a latency of 65 s, and 2 checks. A request that a time-out would cut at
    the instant of its beginning (within a microsecond) is not made.

    >>> sim.LongPolling("30s").label
    'long polling 30 s'

    Parameters
    ----------
    hold
        The longest time one request is held, 1 ms or more.
    """

    hold: float = field(default=30.0, converter=poll_interval)

    def wait(self, step: WaitingStep) -> SimProcess:
        """Hold one request after the other until one brings the completion."""
        while True:
            if (yield from step.hold(self.hold)):
                return

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return mean latency (none on an idle server), requests and wasted share."""
        return closed_forms.long_polling(external_distribution(external), self.hold)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return f"long polling {text_of(self.hold)}"


MOST_RETRIES = 1000


def retry_schedule(value: Sequence[DurationLike]) -> tuple[float, ...]:
    """Return the pauses before the second, third, … attempt, in seconds."""
    if isinstance(value, (list, tuple)):
        if len(value) > MOST_RETRIES:
            raise InvalidValue(f"must be {MOST_RETRIES:,} pauses at most")
        return tuple(duration(pause) for pause in value)
    raise InvalidValue("must be a list of pauses such as ['5s', '5min', '30min']")


@frozen(field_transformer=name_errors)
class Callback(Strategy):
    """The external system finishes the step by its serial number; nobody asks.

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
    duplicates
        Probability that a delivery arrives twice.
    duplicate_delay
        How much later the second copy arrives.
    """

    delay: Duration = field(default=Fixed(0.0), converter=as_distribution)
    loss: float = field(default=0.0, converter=probability, kw_only=True)
    retries: tuple[float, ...] = field(default=(), converter=retry_schedule, kw_only=True)
    duplicates: float = field(default=0.0, converter=probability, kw_only=True)
    duplicate_delay: float = field(default=1.0, converter=duration, kw_only=True)

    def notify(self, step: WaitingStep) -> SimProcess:
        """Deliver, and try again by the schedule until the server has given an answer."""
        for attempt, pause in enumerate((0.0, *self.retries)):
            if pause:
                yield step.after(pause)
            if self.loss and step.chance("loss", attempt) < self.loss:
                step.lose(attempt)
                continue
            delay = step.duration("delay", self.delay, attempt)
            if self.duplicates and step.chance("duplicate", attempt) < self.duplicates:
                step.deliver_copy(delay + self.duplicate_delay, attempt)
            if (yield from step.deliver(delay, attempt)):
                return
        step.dead_letter()

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return the mean latency of what is delivered, and the share that never is."""
        return closed_forms.callback(self.delay.mean, self.loss, self.retries, self.duplicates)

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        parts = ["callback"]
        if self.loss:
            parts.append(f"{self.loss * 100:.3g} % lost")
        if self.duplicates:
            parts.append(f"{self.duplicates * 100:.3g} % doubled")
        if self.retries:
            parts.append("1 retry" if len(self.retries) == 1 else f"{len(self.retries)} retries")
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
    anchor: str = field(default="arming", converter=anchor_kind, kw_only=True)

    @property
    def safety_poll(self) -> Polling:
        """The poll that runs beside the callback."""
        return Polling(self.every, self.anchor)

    @property
    def schedule(self) -> CheckingStrategy | None:
        """The safety poll, unless a subclass waits in a way of its own."""
        own = type(self).wait is CallbackWithSafetyPoll.wait
        return self.safety_poll if own else None

    def wait(self, step: WaitingStep) -> SimProcess:
        """Poll slowly."""
        return self.safety_poll.wait(step)

    def expected(self, external: DistributionLike) -> Expected | None:
        """Return mean latency and checks at random phase; None with retries or another anchor."""
        if self.anchor == "arming" or self.retries:
            return None
        return closed_forms.callback_with_safety_poll(
            external_distribution(external), self.delay, self.loss, self.every
        )

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return f"{super().label}, safety poll {text_of(self.every)}"


STRATEGIES: dict[str, type[Strategy]] = {
    "callback": Callback,
    "polling": Polling,
    "backoff": Backoff,
    "long polling": LongPolling,
    "callback with safety poll": CallbackWithSafetyPoll,
}
