"""What passes between the server and external systems: held connections, callbacks, their log.

`HeldConnections` are those of long polling, `SenderState` is what a system knows of its callbacks,
and a `DeliveryLog` keeps them.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simpy

from asyncsim.engine.environment import Environment
from asyncsim.engine.result import DELIVERY_OUTCOMES, DeliveryColumns
from asyncsim.engine.waits import Wait
from asyncsim.model.outages import Downtime


class SenderState:
    """The callbacks of an external system: whose turn it is, and whether any are sent."""

    def __init__(self, down: Downtime | None) -> None:
        self.down = down
        self.exhausted = 0  # dead letters in a row
        self.is_off = False
        self._is_busy = False
        self._queue: deque[simpy.Event] = deque()

    def turn(self, clock: Environment) -> simpy.Event:
        """Return the event at which it is the turn of the next callback in the queue."""
        if not self._is_busy:
            self._is_busy = True
            return clock.soon()
        self._queue.append(clock.event())
        return self._queue[-1]

    def go_on(self) -> None:
        """Give the turn to the next callback in the queue, if there is one."""
        if self._queue:
            self._queue.popleft().succeed()
        else:
            self._is_busy = False


class HeldConnections:
    """Connections held open for waits, at most one each, and the time they were held."""

    def __init__(self, clock: Environment) -> None:
        self._clock = clock
        self._open: dict[str, tuple[simpy.Event, float]] = {}
        self._seconds = 0.0

    def hold(self, wait: Wait, until: float, key: int) -> simpy.Event:
        """Open a connection; return its event: completion, the instant, or `release`."""
        connection = self._clock.event()
        self._open[wait.serial_number] = connection, self._clock.now
        self._clock.call_at(until, key, lambda: _release(connection))
        return connection

    def release(self, wait: Wait) -> None:
        """Answer the connection of a wait, if it has one."""
        held = self._open.get(wait.serial_number)
        if held is not None:
            _release(held[0])

    def close(self, wait: Wait) -> None:
        """Close the connection of a wait, and count the time it was held."""
        _, since = self._open.pop(wait.serial_number)
        self._seconds += self._clock.now - since

    def seconds_by(self, end: float) -> float:
        """Return the seconds that connections were held until an instant, open ones included."""
        return self._seconds + sum(end - since for _, since in self._open.values())


def _release(connection: simpy.Event) -> None:
    if not connection.triggered:
        connection.succeed()


class Delivery(NamedTuple):
    """A callback and its outcome; times are seconds, NaN for what did not happen."""

    serial_number: str
    row: int
    node: int
    attempt: int
    sent: float
    arrived: float
    handled: float
    outcome: str


class DeliveryLog:
    """All deliveries of a run, in order, as columns: a live session keeps them for days."""

    def __init__(self) -> None:
        self._serial_numbers: list[str] = []
        self._codes, self._times = array("q"), array("d")

    def append(self, delivery: Delivery) -> None:
        """Add a delivery."""
        self._serial_numbers.append(delivery.serial_number)
        self._codes.extend((*delivery[1:4], DELIVERY_OUTCOMES.index(delivery.outcome)))
        self._times.extend(delivery[4:7])

    def __len__(self) -> int:
        return len(self._serial_numbers)

    def __iter__(self) -> Iterator[Delivery]:
        return self.since(0)

    def since(self, first: int) -> Iterator[Delivery]:
        """Yield the deliveries from an index on."""
        for k in range(first, len(self)):
            row, node, attempt, code = self._codes[4 * k : 4 * k + 4]
            sent, arrived, handled = self._times[3 * k : 3 * k + 3]
            number, outcome = self._serial_numbers[k], DELIVERY_OUTCOMES[code]
            yield Delivery(number, row, node, attempt, sent, arrived, handled, outcome)

    def columns(self) -> DeliveryColumns:
        """Return all deliveries as they stand in a record."""
        row, node, attempt, outcome = np.array(self._codes, dtype=np.int64).reshape(-1, 4).T
        sent, arrived, handled = np.array(self._times).reshape(-1, 3).T
        serial_numbers = list(self._serial_numbers)
        return DeliveryColumns(row, node, attempt, sent, arrived, handled, outcome, serial_numbers)
