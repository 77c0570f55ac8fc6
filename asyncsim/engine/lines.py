"""The lines that long polling holds open."""

from __future__ import annotations

from functools import partial

import simpy

from asyncsim.engine.clock import Clock
from asyncsim.engine.waits import Wait


class HeldLines:
    """Lines held open for waits, one each at the most, and the time they were held."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, tuple[simpy.Event, float]] = {}
        self._seconds = 0.0

    def hold(self, wait: Wait, until: float, key: int) -> simpy.Event:
        """Return an event that happens at completion, at an instant, or when the line is cut."""
        line = self._clock.event()
        self._open[wait.serial_number] = line, self._clock.now
        expiry = self._clock.at(until, key)
        assert expiry.callbacks is not None
        expiry.callbacks.append(partial(_release, line))
        return line

    def let_go(self, wait: Wait) -> None:
        """Let the line of a wait go, if there is one: there is something to be told."""
        held = self._open.get(wait.serial_number)
        if held is not None:
            _release(held[0])

    def hang_up(self, wait: Wait) -> None:
        """Count the time that the line of a wait has been held, now that it is closed."""
        _, since = self._open.pop(wait.serial_number)
        self._seconds += self._clock.now - since

    def seconds_by(self, end: float) -> float:
        """Return the time that lines have been held by an instant, open ones among them."""
        return self._seconds + sum(end - since for _, since in self._open.values())


def _release(line: simpy.Event, _: object = None) -> None:
    if not line.triggered:
        line.succeed()
