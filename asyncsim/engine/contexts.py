"""What strategies and external systems get to see of the SimPy engine.

`WaitContext` is the `asyncsim.model.strategy_base.WaitingStep`, `ExternalSystemContext` the
`asyncsim.model.systems.SystemContext` that the engine hands out.

What strategies, systems and skipped checks need of the simulation they take part in.

The lines that long polling holds open.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import simpy

from asyncsim.engine.environment import NO_LENGTH, Environment, EventKind, order
from asyncsim.engine.graph import Graph
from asyncsim.engine.rate_limiter import Admission
from asyncsim.engine.result import RATE_LIMITED
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.engine.workers import Job, Workers
from asyncsim.model.distributions import Duration, Fixed
from asyncsim.model.random_streams import Draws, counter_based_uniform
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Answered, Strategy
from asyncsim.model.systems import ExternalSystem, Item


class Delivery(NamedTuple):
    """A finish on its way, and what became of it; times are seconds, NaN for what never was."""

    serial_number: str
    row: int
    node: int
    attempt: int
    sent: float
    arrived: float
    handled: float
    outcome: str


class Deliveries:
    """All deliveries of a run, in order, in columns: a live session keeps them for days."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places, self._times = array("q"), array("d")

    def append(self, delivery: Delivery) -> None:
        """Add a delivery."""
        self._texts += delivery.serial_number, delivery.outcome
        self._places.extend(delivery[1:4])
        self._times.extend(delivery[4:7])

    def __len__(self) -> int:
        return len(self._texts) // 2

    def __iter__(self) -> Iterator[Delivery]:
        return self.since(0)

    def since(self, first: int) -> Iterator[Delivery]:
        """Yield the deliveries from an index on."""
        for k in range(first, len(self)):
            number, outcome = self._texts[2 * k : 2 * k + 2]
            row, node, attempt = self._places[3 * k : 3 * k + 3]
            sent, arrived, handled = self._times[3 * k : 3 * k + 3]
            yield Delivery(number, row, node, attempt, sent, arrived, handled, outcome)


class SimulationContext(Protocol):
    """The simulation as those see it who act in it; `asyncsim.engine.simulation.Simulation`."""

    scenario: Scenario
    strategy: Strategy
    draws: Draws
    graph: Graph
    clock: Environment
    waits: Waits
    workers: Workers
    lines: HeldConnections
    poll_work: float
    callback_work: float
    admission: Admission | None
    """Admits callbacks, or refuses them, if the server has a limit."""
    deliveries: Deliveries
    collections: set[float]
    """Instants at which a batch collects what has been submitted."""

    def completed(self, wait: Wait) -> None:
        """Note that the external system has done the work, and let the strategy act on it."""

    def finish(self, wait: Wait) -> Answer:
        """Finish a step by its serial number; the first one resumes it."""

    def expire(self, wait: Wait, state: State) -> None:
        """Let a wait time out or be given up, if it is still open."""

    def key_of(self, what: str, index: int) -> int:
        """Return the key of a strategy's endless table of uniform numbers, for one step."""


class HeldConnections:
    """Lines held open for waits, one each at the most, and the time they were held."""

    def __init__(self, clock: Environment) -> None:
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

    def release(self, wait: Wait) -> None:
        """Let the line of a wait go, if there is one: there is something to be told."""
        held = self._open.get(wait.serial_number)
        if held is not None:
            _release(held[0])

    def close_connection(self, wait: Wait) -> None:
        """Count the time that the line of a wait has been held, now that it is closed."""
        _, since = self._open.pop(wait.serial_number)
        self._seconds += self._clock.now - since

    def seconds_by(self, end: float) -> float:
        """Return the time that lines have been held by an instant, open ones among them."""
        return self._seconds + sum(end - since for _, since in self._open.values())


def _release(line: simpy.Event, _: object = None) -> None:
    if not line.triggered:
        line.succeed()


class WaitContext:
    """A waiting step in the hands of its strategy."""

    __slots__ = ("_key", "_simulation", "_wait", "armed", "checks", "last_check", "notes", "saw")

    def __init__(self, simulation: SimulationContext, wait: Wait, kind: EventKind) -> None:
        self._simulation = simulation
        self._wait = wait
        # What the outside does of a wait comes after what its systems do, which have row 0
        row = wait.row + 1 if kind is EventKind.SYSTEM else wait.row
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
        return counter_based_uniform(key, self._wait.row, k)

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
            yield simulation.clock.at(end, order(EventKind.CHECK_ENDED, wait.row, wait.number))
        elif wait.completed > start and start in simulation.collections:
            yield simulation.clock.at(start, order(EventKind.LAST_LOOK, wait.row, wait.number))
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
            simulation.lines.close_connection(wait)
        start = end = simulation.clock.now
        if not self._is_open():  # the line was cut; it was a request if it had any length
            if start - asked <= NO_LENGTH:
                return True
            return self._answered(wait.completed <= start, start)
        if simulation.poll_work:
            _, end = simulation.workers.book(Job.CHECK, start, simulation.poll_work)
            yield simulation.clock.at(end, order(EventKind.CHECK_ENDED, wait.row, wait.number))
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
        yield clock.at(arrived, order(EventKind.DELIVERY, wait.row, wait.number))
        if simulation.admission and simulation.admission.admit(clock.now):
            self._note_delivery(attempt, sent, arrived, math.nan, RATE_LIMITED)
            return False
        if simulation.callback_work:
            _, handled = simulation.workers.book(Job.CALLBACK, arrived, simulation.callback_work)
            yield clock.at(handled, order(EventKind.CALLBACK_HANDLED, wait.row, wait.number))
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


class ExternalSystemContext:
    """Where one system (or link of a chain) works: its queue, and the simulation around it."""

    def __init__(
        self,
        simulation: SimulationContext,
        system: ExternalSystem,
        name: str,
        index: int,
        successor: ExternalSystemContext | None,
    ) -> None:
        self.calendar = simulation.scenario.calendar
        self.system = system
        self.taken = 0
        """Items that the system has taken from the queue and not completed."""
        self._queue: deque[WorkItem] = deque()
        self._simulation = simulation
        self._name = name
        self._key = order(EventKind.SYSTEM, 0, index)  # before the completions of this instant
        self._last_key = order(EventKind.COLLECTION, 0, index)
        self._successor = successor
        self._idle: simpy.Event | None = None
        simulation.clock.process(system.run(self))

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    @property
    def queue(self) -> Sequence[Item]:
        """What has been submitted and not been taken, the oldest first."""
        return self._queue

    def links(self) -> Iterator[ExternalSystemContext]:
        """Yield this desk and those that follow it in a chain."""
        desk: ExternalSystemContext | None = self
        while desk is not None:
            yield desk
            desk = desk._successor

    def submit(self, item: WorkItem) -> None:
        """Add an item to the queue, and wake the system if it was idle."""
        item.submitted = self.now
        item.time = item.times[item.link]
        self._queue.append(item)
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

    def wait_for_work(self) -> simpy.Event:
        """Wait until something lies in the queue."""
        if self._queue:
            return self._simulation.clock.soon()
        self._idle = self._simulation.clock.event()
        return self._idle

    def take(self, submitted_by: float = math.inf, at_most: int | None = None) -> list[Item]:
        """Take items from the queue, the oldest first."""
        queue, taken = self._queue, list[Item]()
        limit = len(queue) if at_most is None else at_most
        while queue and len(taken) < limit and queue[0].submitted <= submitted_by:
            taken.append(queue.popleft())
        self.taken += len(taken)
        return taken

    def put_back(self, items: Sequence[Item]) -> None:
        """Put items back at the front of the queue."""
        self._queue.extendleft(cast(Sequence[WorkItem], items[::-1]))
        self.taken -= len(items)

    def complete(self, item: Item, at: float | None = None) -> None:
        """Mark an item complete, now or at an instant; ties go by instance, then step."""
        work = cast(WorkItem, item)
        if at is None or at < self.now:
            self._done(work)
        else:
            key = order(EventKind.SYSTEM, work.number, work.activation)
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
        return counter_based_uniform(key, 0, k)
