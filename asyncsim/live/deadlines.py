"""When waits time out: in the store, of which only the next one is on the clock.

A timer for each of a hundred thousand waits would keep each of them in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncsim.engine.clock import Clock, Kind, order
from asyncsim.engine.waits import Wait
from asyncsim.live.store import Store

NEVER = (float("inf"), 0, 0)


class Deadlines:
    """The deadlines of all waits.

    Parameters
    ----------
    store
        Where they are.
    clock
        What tells that the next one has come.
    expire
        What is done with the serial number of a wait that has run out of time.
    """

    def __init__(self, store: Store, clock: Clock, expire: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._expire = expire
        self._next = NEVER

    def set(self, wait: Wait, due: float, timeout: float | None) -> None:
        """Set when a wait times out; `timeout` is the latest, whatever heartbeats there are."""
        self._store.do(
            "insert or replace into deadlines values (?, ?, ?, ?, ?)",
            (wait.serial_number, due, timeout, wait.row + 1, wait.number),
        )
        self._put_on_clock((due, wait.row, wait.number))

    def timeout_of(self, serial_number: str) -> float | None:
        """Return the latest instant at which a wait times out, if it has one."""
        query = "select timeout from deadlines where serial_number = ?"
        found = self._store.one(query, (serial_number,))
        return found[0] if found else None

    def drop(self, serial_number: str) -> None:
        """Forget the deadline of a wait that is over."""
        self._store.do("delete from deadlines where serial_number = ?", (serial_number,))

    def _put_on_clock(self, deadline: tuple[float, int, int]) -> None:
        if deadline < self._next:
            self._next = deadline
            due, row, number = deadline
            event = self._clock.at(due, order(Kind.TIMEOUT, row, number))
            assert event.callbacks is not None
            event.callbacks.append(lambda _: self._come(deadline))

    def _come(self, deadline: tuple[float, int, int]) -> None:
        if deadline != self._next:
            return  # an earlier one was set after this, and has put the next one on
        due, row, number = deadline
        found = self._store.one(
            "select serial_number from deadlines where due = ? and instance = ? and number = ?",
            (due, row + 1, number),
        )
        self._next = NEVER
        if found is not None:  # it may have been dropped, or moved by a heartbeat
            self.drop(found[0])
            self._expire(found[0])
        self._put_next_on_clock()

    def _put_next_on_clock(self) -> None:
        query = "select due, instance, number from deadlines order by due, instance, number limit 1"
        found = self._store.one(query)
        if found is not None:
            due, instance, number = found
            self._put_on_clock((due, instance - 1, number))
