"""A SimPy environment with events at exact instants and a defined order of ties.

SimPy's `Timeout` takes a delay and computes ``now + delay``, which may differ from a grid point by
rounding; and events of one instant happen in the order in which they were scheduled, which a second
engine could not repeat. Here an event is scheduled *at* an instant, and events of one instant
happen in the order of their kind, then of their instance, then of their step.
"""

from __future__ import annotations

import enum
import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappush

import simpy
from simpy.events import NORMAL, URGENT

from asyncsim.errors import EngineError
from asyncsim.model.process import LAST_ACTIVATION


class EventKind(enum.IntEnum):
    """Kinds of events, in the order in which they happen at one instant."""

    WORK_ENDED = 1
    ARMING = 2
    SYSTEM = 3  # systems that wake up have row 0, completions and retries row + 1
    CALLBACK_HANDLED = 4
    CHECK_ENDED = 5
    ARRIVAL = 6
    DELIVERY = 7
    CHECK_DUE = 8
    TIMEOUT = 9
    COLLECTION = 10  # by a batch, of all that has been submitted up to and including the instant
    LAST_LOOK = 11  # of a free check, at what was complete as soon as it was collected


NO_LENGTH = 1e-6
"""Seconds: a request cut by then is not counted, because sums of times differ by rounding."""
INSTANCE_BITS = 32
STEP_BITS = LAST_ACTIVATION.bit_length()


def order(kind: EventKind, row: int = 0, step: int = 0) -> int:
    """Return the key that orders events of one instant: kind, then instance, then step.

    All keys are larger than SimPy's own priorities, so its own events (starting a process, waking
    one up) happen at once, as part of the event that caused them.
    """
    return (((kind << INSTANCE_BITS) | row) << STEP_BITS) | step


class Environment(simpy.Environment):
    """A SimPy environment whose events can be scheduled at exact instants."""

    def at(self, instant: float, key: int) -> simpy.Event:
        """Return an event that happens at an instant, or now if that is past."""
        if not -math.inf < instant < math.inf:  # NaN is neither
            raise EngineError(f"an event must happen at a finite instant, got {instant!r}")
        event = simpy.Event(self)
        event._ok = True
        event._value = None
        # The same entry that Environment.schedule() makes of a delay
        when = instant if instant > self._now else self._now
        heappush(self._queue, (when, key, next(self._eid), event))  # type: ignore[misc]
        return event

    def soon(self) -> simpy.Event:
        """Return an event that happens at once, before anything else at this instant."""
        event = simpy.Event(self)
        event._ok = True
        event._value = None
        self.schedule(event, NORMAL)
        return event

    def move_to(self, instant: float) -> None:
        """Advance the clock over time without events; do nothing if the instant is past."""
        if instant > self._now:
            if self.peek() < instant:
                raise EngineError(f"something happens before {instant} s, at {self.peek()} s")
            self._now = instant

    def play(self, until: float | None = None) -> None:
        """Run until no event is left, or until an instant, before the events at it."""
        # SimPy's run() would turn a number into a delay, and miss the instant by rounding
        stop = None if until is None else self.at(until, URGENT)
        with _no_garbage_collection():
            self.run(stop)


class TrackingEnvironment(Environment):
    """Tracks which events of the present instant have happened, at a tenth of the speed."""

    reached = 0
    """The largest key at the present instant: events with smaller ones have happened."""

    def move_to(self, instant: float) -> None:
        """Advance the clock over time without events; those due at the instant have happened."""
        super().move_to(instant)
        self.reached = order(EventKind.LAST_LOOK) << 1

    def step(self) -> None:
        """Process the next event."""
        if self._queue:
            when, key, _, _ = self._queue[0]
            self.reached = key if when > self._now else max(key, self.reached)
        super().step()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which would visit a million live events again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
