"""What strategies and external systems get to see of the SimPy engine.

`StepHandle` is the `asyncsim.model.waiting.WaitingStep`, `SystemDesk` the
`asyncsim.model.systems.Desk` that the engine hands out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

import simpy

from asyncsim.engine.clock import NO_LENGTH, Kind, order
from asyncsim.engine.record import RATE_LIMITED
from asyncsim.engine.stage import Delivery, Stage
from asyncsim.engine.waits import State, Wait
from asyncsim.engine.workers import Job
from asyncsim.model.draws import counted_uniform
from asyncsim.model.durations import Duration, Fixed
from asyncsim.model.systems import ExternalSystem, Item
from asyncsim.model.waiting import Answered


class StepHandle:
    """A waiting step in the hands of its strategy."""

    __slots__ = ("_key", "_simulation", "_wait", "armed", "checks", "last_check", "notes", "saw")

    def __init__(self, simulation: Stage, wait: Wait, kind: Kind) -> None:
        self._simulation = simulation
        self._wait = wait
        # What the outside does of a wait comes after what its systems do, which have row 0
        row = wait.row + 1 if kind is Kind.SYSTEM else wait.row
        self._key = order(kind, row, wait.number)
        self.armed = wait.armed
        self.last_check = wait.armed
        self.checks = wait.checks
        self.notes: dict[str, Any] = {}
        self.saw = False
        """Whether the last check saw the completion."""

    @property
    def serial_number(self) -> str:
        """The serial number of the wait."""
        return self._wait.serial_number

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    def until(self, instant: float) -> simpy.Event:
        """Wait until an instant."""
        return self._simulation.clock.at(instant, self._key)

    def after(self, seconds: float) -> simpy.Event:
        """Wait for so many seconds."""
        clock = self._simulation.clock
        return clock.at(clock.now + seconds, self._key)

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this wait, for one purpose."""
        key = self._simulation.key_of(what, self._wait.step)
        return counted_uniform(key, self._wait.row, k)

    def duration(self, what: str, law: Duration, k: int = 0) -> float:
        """Return the k-th duration of this wait drawn from a law, for one purpose."""
        if isinstance(law, Fixed):
            return law.value
        name = self._simulation.graph.nodes[self._wait.step].name
        column = self._simulation.draws.column(f"strategy/{what}/{name}", law, k)
        return float(column[self._wait.row])

    def check(self) -> Answered:
        """Ask once: costs a worker; true once the work is complete, and the step has resumed."""
        wait, simulation = self._wait, self._simulation
        if not self._is_open():
            return True
        start = end = simulation.clock.now
        if simulation.poll_work:
            start, end = simulation.workers.book(Job.CHECK, start, simulation.poll_work)
            yield simulation.clock.at(end, order(Kind.CHECK_ENDED, wait.row, wait.number))
        elif wait.completed > start and start in simulation.collections:
            yield simulation.clock.at(start, order(Kind.LAST_LOOK, wait.row, wait.number))
            if not self._is_open():
                return self._answered(False, end)
        # Times are compared, so that the order of the events of this instant does not matter
        return self._answered(wait.completed <= start, end)

    def _answered(self, seen: bool, ended: float) -> bool:
        """Count a check that saw completion or not; return whether the wait is over."""
        wait = self._wait
        self.last_check, self.saw = ended, seen
        self.checks += 1
        wait.checks += 1
        if not seen:
            wait.wasted_checks += 1
        elif self._is_open():
            self._simulation.finish(wait)
        self._simulation.waits.changed(wait)  # its number of checks
        return not self._is_open()

    def _is_open(self) -> bool:
        return self._wait.state is State.ARMED

    def hold(self, seconds: float) -> Answered:
        """Ask once and hold the line until the work is complete, `seconds` at the longest."""
        wait, simulation = self._wait, self._simulation
        if not self._is_open():
            return True
        asked = simulation.clock.now
        if wait.completed > asked:
            yield simulation.lines.hold(wait, asked + seconds, self._key)
            simulation.lines.hang_up(wait)
        start = end = simulation.clock.now
        if not self._is_open():  # the line was cut; it was a request if it had any length
            if start - asked <= NO_LENGTH:
                return True
            return self._answered(wait.completed <= start, start)
        if simulation.poll_work:
            _, end = simulation.workers.book(Job.CHECK, start, simulation.poll_work)
            yield simulation.clock.at(end, order(Kind.CHECK_ENDED, wait.row, wait.number))
        return self._answered(wait.completed <= start, end)

    def give_up(self) -> None:
        """Stop waiting; the step goes the way of a time-out."""
        self._simulation.expire(self._wait, State.GAVE_UP)

    def deliver(self, delay: float, attempt: int = 0) -> Answered:
        """Send the callback; true once the server gave an answer that settles it."""
        wait, simulation = self._wait, self._simulation
        clock = simulation.clock
        wait.deliveries += 1
        simulation.waits.changed(wait)  # a session may be closed while the callback is on its way
        sent = clock.now
        arrived = handled = sent + delay
        yield clock.at(arrived, order(Kind.DELIVERY, wait.row, wait.number))
        if simulation.admission and simulation.admission.admit(clock.now):
            self._note_delivery(attempt, sent, arrived, math.nan, RATE_LIMITED)
            return False
        if simulation.callback_work:
            _, handled = simulation.workers.book(Job.CALLBACK, arrived, simulation.callback_work)
            yield clock.at(handled, order(Kind.CALLBACK_HANDLED, wait.row, wait.number))
        answer = simulation.finish(wait)
        self._note_delivery(attempt, sent, arrived, handled, answer.text)
        return answer.settled

    def deliver_copy(self, delay: float, attempt: int = 0) -> None:
        """Send a second copy of the callback, about whose answer nobody cares."""
        clock = self._simulation.clock
        clock.process(self.deliver(delay, attempt))

    def lose(self, attempt: int = 0) -> None:
        """Note a delivery that got lost on the way."""
        self._wait.deliveries += 1
        self._note_delivery(attempt, self.now, math.nan, math.nan, "lost")

    def dead_letter(self) -> None:
        """Note that the sender has given up."""
        self._note_delivery(-1, self.now, math.nan, math.nan, "dead letter")

    def _note_delivery(
        self, attempt: int, sent: float, arrived: float, handled: float, outcome: str
    ) -> None:
        wait = self._wait
        self._simulation.deliveries.append(
            Delivery(
                wait.serial_number, wait.row, wait.step, attempt, sent, arrived, handled, outcome
            )
        )
        self._simulation.waits.changed(wait)  # its number of deliveries


class WorkItem:
    """One wait's piece of work on its way through the links of a system."""

    __slots__ = ("activation", "link", "number", "serial_number", "submitted", "time", "times")

    def __init__(self, wait: Wait, times: Sequence[float]) -> None:
        self.serial_number = wait.serial_number  # all that the outside knows of the wait
        self.number = wait.row + 1
        self.activation = wait.number
        self.times = times
        self.link = 0
        self.time = times[0]
        self.submitted = math.nan


class SystemDesk:
    """Where one system (or link of a chain) works: its tray, and the simulation around it."""

    def __init__(
        self,
        simulation: Stage,
        system: ExternalSystem,
        name: str,
        index: int,
        successor: SystemDesk | None,
    ) -> None:
        self.calendar = simulation.scenario.calendar
        self.system = system
        self.taken = 0
        """Items that the system has taken from the tray and not completed."""
        self._tray: deque[WorkItem] = deque()
        self._simulation = simulation
        self._name = name
        self._key = order(Kind.SYSTEM, 0, index)  # before the completions of this instant
        self._last_key = order(Kind.COLLECTION, 0, index)
        self._successor = successor
        self._idle: simpy.Event | None = None
        simulation.clock.process(system.run(self))

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    @property
    def tray(self) -> Sequence[Item]:
        """What has been submitted and not been taken, the oldest first."""
        return self._tray

    def links(self) -> Iterator[SystemDesk]:
        """Yield this desk and those that follow it in a chain."""
        desk: SystemDesk | None = self
        while desk is not None:
            yield desk
            desk = desk._successor

    def submit(self, item: WorkItem) -> None:
        """Lay an item into the tray, and wake the system if it was idle."""
        item.submitted = self.now
        item.time = item.times[item.link]
        self._tray.append(item)
        if self._idle is not None:
            self._idle.succeed()
            self._idle = None

    def until(self, instant: float) -> simpy.Event:
        """Wait until an instant (not at all if it is past)."""
        return self._simulation.clock.at(instant, self._key)

    def until_after(self, instant: float) -> simpy.Event:
        """Wait until everything else of an instant has happened, all submissions included."""
        self._simulation.collections.add(max(instant, self.now))
        return self._simulation.clock.at(instant, self._last_key)

    def some_work(self) -> simpy.Event:
        """Wait until something lies in the tray."""
        if self.tray:
            return self._simulation.clock.soon()
        self._idle = self._simulation.clock.event()
        return self._idle

    def take(self, submitted_by: float = math.inf, at_most: int | None = None) -> list[Item]:
        """Take items from the tray, the oldest first."""
        tray, taken = self._tray, list[Item]()
        limit = len(tray) if at_most is None else at_most
        while tray and len(taken) < limit and tray[0].submitted <= submitted_by:
            taken.append(tray.popleft())
        self.taken += len(taken)
        return taken

    def put_back(self, items: Sequence[Item]) -> None:
        """Put items back at the front of the tray."""
        self._tray.extendleft(cast(Sequence[WorkItem], items[::-1]))
        self.taken -= len(items)

    def complete(self, item: Item, at: float | None = None) -> None:
        """Mark an item complete, now or at an instant; ties go by instance, then step."""
        work = cast(WorkItem, item)
        if at is None or at < self.now:
            self._done(work)
        else:
            key = order(Kind.SYSTEM, work.number, work.activation)
            done = self._simulation.clock.at(at, key)
            done.callbacks.append(lambda _: self._done(work))

    def _done(self, item: WorkItem) -> None:
        self.taken -= 1
        if self._successor is None:
            self._simulation.completed(self._simulation.waits.records[item.serial_number])
        else:
            item.link += 1
            self._successor.submit(item)

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""
        key = self._simulation.draws.key(f"system/{what}/{self._name}")
        return counted_uniform(key, 0, k)
