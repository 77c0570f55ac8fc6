"""What strategies and external systems see of a simulation, and what they do in it.

`WaitContext` is the `asyncsim.model.strategies.WaitingStep` of a strategy,
`SystemWaits` the `OpenWaits` of a strategy that watches a system, and `ExternalSystemContext` the
`asyncsim.model.systems.SystemContext` of a system. `CheckFastForward` counts checks that need not
be played.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Protocol, cast

import simpy
from attrs import define

from asyncsim.engine.environment import (
    NO_LENGTH,
    Admission,
    Environment,
    EventKind,
    Job,
    TrackingEnvironment,
    Workers,
    order,
)
from asyncsim.engine.graph import Graph
from asyncsim.engine.messages import Delivery, DeliveryLog, HeldConnections, SenderState
from asyncsim.engine.result import ENDPOINT_DOWN, RATE_LIMITED
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Duration, Fixed
from asyncsim.model.outages import Downtime, downtime, retry_after
from asyncsim.model.process import AsyncStep
from asyncsim.model.random_streams import Draws, counter_based_uniform
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Schedule
from asyncsim.model.strategies import Answered, SimProcess, Strategy, schedule_of
from asyncsim.model.systems import ExternalSystem, Item


class _Simulation(Protocol):
    """The part of a simulation that its strategies and systems act on."""

    scenario: Scenario
    strategies: dict[int, Strategy]  # of each call
    draws: Draws
    graph: Graph
    clock: Environment
    waits: Waits
    workers: Workers
    connections: HeldConnections
    poll_work: float
    callback_work: float
    check_seconds: float  # with the part at the store
    callback_seconds: float
    admission: Admission | None  # of callbacks, if the server has a limit
    endpoint: Downtime | None  # when deliveries are refused, and checks are not begun
    poller: Downtime | None
    deliveries: DeliveryLog
    collections: set[float]  # instants at which a batch collects what has been submitted
    plans: dict[str, float | ExternalSystemContext]  # when work will be complete, or who has it

    senders: dict[str, SenderState]

    def sender_of(self, wait: Wait) -> SenderState: ...
    def completed(self, wait: Wait) -> None: ...
    def checked(self, wait: Wait, asked: float, seen: bool) -> None: ...
    def finish(self, wait: Wait) -> Answer: ...
    def expire(self, wait: Wait, state: State) -> None: ...
    def key_of(self, what: str, index: int) -> int: ...


class WaitContext:
    """A waiting step, as its strategy sees and controls it."""

    __slots__ = (
        *("_answer", "_has_turn", "_is_outside", "_key", "_sender", "_simulation", "_wait"),
        *("armed", "asked_to_wait", "checks", "last_check", "notes"),
    )

    def __init__(self, simulation: _Simulation, wait: Wait, kind: EventKind) -> None:
        self._simulation = simulation
        self._wait = wait
        # A strategy's events at the external system come after the systems', which have row 0
        self._is_outside = kind is EventKind.SYSTEM
        row = wait.row + 1 if self._is_outside else wait.row
        self._key = order(kind, row, wait.number)
        self.armed = wait.armed
        self.last_check = wait.armed
        self.checks = wait.checks
        self.notes: dict[str, Any] = {}
        self.asked_to_wait = 0.0
        self._answer: Answer | None = None
        self._has_turn = False
        self._sender = simulation.sender_of(wait)

    @property
    def serial_number(self) -> str:
        """The serial number of the wait."""
        return self._wait.serial_number

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    @property
    def calendar(self) -> Calendar:
        """The clock of the scenario."""
        return self._simulation.scenario.calendar

    @property
    def foreseen(self) -> float:
        """When the external system will be done by its plan, or a batch begins; else infinite."""
        plan = self._simulation.plans.get(self.serial_number, self._wait.completed)
        if isinstance(plan, ExternalSystemContext):
            return plan.starts if plan.starts > self.now else math.inf
        return plan

    def until(self, instant: float) -> simpy.Event:
        """Wait until an instant."""
        return self._simulation.clock.at(instant, self._key)

    def after(self, seconds: float) -> simpy.Event:
        """Wait for that many seconds; an external system that is down, until it is up again."""
        instant, down = self.now + seconds, self._sender.down
        return self.until(down.up_from(instant) if down and self._is_outside else instant)

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this wait, for one purpose."""
        key = self._simulation.key_of(what, self._wait.step)
        return counter_based_uniform(key, self._wait.row, k)

    def duration(self, what: str, distribution: Duration, k: int = 0) -> float:
        """Return the k-th duration of this wait drawn from a distribution, for one purpose."""
        if isinstance(distribution, Fixed):
            return distribution.value
        name = self._simulation.graph.nodes[self._wait.step].stream
        column = self._simulation.draws.column(f"strategy/{what}/{name}", distribution, k)
        return float(column[self._wait.row])

    def check(self) -> Answered:
        """Check once, which takes a worker; true once the step has resumed."""
        wait, simulation = self._wait, self._simulation
        yield from self._until_polling()
        if not self._is_open():
            return True
        asked = start = end = self.now
        if simulation.check_seconds:
            start, end = simulation.workers.book(Job.CHECK, start, simulation.poll_work)
            yield self._event(EventKind.CHECK_ENDED, end)
        elif wait.completed > start and start in simulation.collections:
            yield self._event(EventKind.LAST_LOOK, start)
            if not self._is_open():
                return self._answered(asked, False, end)
        return self._answered(asked, self._is_seen(start), end)

    def _until_polling(self) -> Generator[simpy.Event, Any, None]:
        """Wait until the poller of the server is up."""
        poller = self._simulation.poller
        if poller and poller.is_down(self.now):
            yield self._event(EventKind.CHECK_DUE, poller.up_from(self.now))

    def _is_seen(self, instant: float) -> bool:
        """Return whether the external system answers then that the work is complete."""
        # Compare times: the order of the events of this instant does not matter
        down = self._sender.down
        return self._wait.completed <= instant and not (down and down.is_down(instant))

    def _event(self, kind: EventKind, instant: float) -> simpy.Event:
        key = order(kind, self._wait.row, self._wait.number)
        return self._simulation.clock.at(instant, key)

    def _answered(self, asked: float, seen: bool, ended: float) -> bool:
        """Count a check that saw completion or not; return whether the wait is over."""
        wait = self._wait
        self.last_check = ended
        self.checks += 1
        wait.checks += 1
        if not seen:
            wait.wasted_checks += 1
        elif self._is_open():
            self._simulation.finish(wait)
        self._simulation.checked(wait, asked, seen)
        return not self._is_open()

    def _is_open(self) -> bool:
        return self._wait.state is State.ARMED

    def hold(self, seconds: float) -> Answered:
        """Check once, holding the connection until completion, `seconds` at the longest."""
        wait, simulation = self._wait, self._simulation
        yield from self._until_polling()
        if not self._is_open():
            return True
        asked = self.now
        if not self._is_seen(asked):
            yield simulation.connections.hold(wait, asked + seconds, self._key)
            simulation.connections.close(wait)
        start = end = self.now
        is_open = self._is_open()
        if not is_open and start - asked <= NO_LENGTH:
            return True  # cut before it had any length: such a request does not count
        if is_open and simulation.check_seconds:
            _, end = simulation.workers.book(Job.CHECK, start, simulation.poll_work)
            yield self._event(EventKind.CHECK_ENDED, end)
        return self._answered(asked, self._is_seen(start), end)

    def give_up(self) -> None:
        """Stop waiting; the step follows its `on_timeout`."""
        self._simulation.expire(self._wait, State.GAVE_UP)

    @property
    def is_down(self) -> bool:
        """Whether the external system is down."""
        return self._sender.down is not None and self._sender.down.is_down(self.now)

    @property
    def is_switched_off(self) -> bool:
        """Whether the external system sends nothing any more."""
        return self._sender.is_off

    def turn(self) -> simpy.Event:
        """Wait until all callbacks of the external system before this one are settled."""
        self._has_turn = True
        return self._sender.turn(self._simulation.clock)

    def _give_turn(self) -> None:
        if self._has_turn:
            self._sender.go_on()

    def deliver(self, delay: float, attempt: int = 0, within: float | None = None) -> Answered:
        """Send the callback; true if the answer of the server settles it, in time."""
        wait, simulation = self._wait, self._simulation
        wait.deliveries += 1
        simulation.waits.changed(wait)  # a session may be closed while the callback is on its way
        sent = self.now
        arrived = handled = sent + delay
        yield self._event(EventKind.DELIVERY, arrived)
        refused, self.asked_to_wait = self._refusal()
        if refused:
            self._add_delivery(refused, attempt, sent, arrived)
            return False
        if simulation.callback_seconds:
            _, handled = simulation.workers.book(Job.CALLBACK, arrived, simulation.callback_work)
        handling = self._handle(attempt, sent, arrived, handled)
        if within is not None and handled > arrived + within:  # the answer comes too late
            simulation.clock.process(handling)
            yield self.until(arrived + within)
            return False
        self._answer = yield from handling
        return self._answer.settled

    def _refusal(self) -> tuple[str, float]:
        """Return why a delivery is refused that arrives now, if it is, and the pause it is told."""
        endpoint, admission, now = self._simulation.endpoint, self._simulation.admission, self.now
        if endpoint and (up := endpoint.up_from(now)) > now:
            return ENDPOINT_DOWN, retry_after(up - now)
        if admission and (pause := admission.admit(now)):
            return RATE_LIMITED, retry_after(pause)
        return "", 0.0

    def _handle(
        self, attempt: int, sent: float, arrived: float, handled: float
    ) -> Generator[simpy.Event, Any, Answer]:
        """Finish the step by a delivery when it has been handled; return the answer."""
        if self._simulation.callback_seconds:
            yield self._event(EventKind.CALLBACK_HANDLED, handled)
        answer = self._simulation.finish(self._wait)
        self._add_delivery(answer.text, attempt, sent, arrived, handled)
        return answer

    def settled(self, off_by_410: bool = False) -> None:
        """End the deliveries after an answer, which may switch the endpoint off."""
        self._sender.exhausted = 0
        self._sender.is_off |= off_by_410 and self._answer is Answer.LATE
        self._give_turn()

    def deliver_copy(self, delay: float, attempt: int = 0) -> None:
        """Send a second copy of the callback, whose answer has no effect."""
        other = WaitContext(self._simulation, self._wait, EventKind.SYSTEM)  # has its own refusals
        self._simulation.clock.process(other.deliver(delay, attempt))

    def lose(self, attempt: int = 0) -> None:
        """Record a delivery that was lost on the way."""
        self._wait.deliveries += 1
        self.asked_to_wait = 0.0
        self._add_delivery("lost", attempt, self.now)

    def dead_letter(self, off_after: int | None = None) -> None:
        """Record that the sender has given up; after several in a row it is switched off."""
        self._add_delivery("dead letter", -1, self.now)
        self._sender.exhausted += 1
        self._sender.is_off |= off_after is not None and self._sender.exhausted >= off_after
        self._give_turn()

    def not_sent(self) -> None:
        """Record that the sender is switched off."""
        self._add_delivery("switched off", -1, self.now)
        self._give_turn()

    def _add_delivery(self, outcome: str, attempt: int, *times: float) -> None:
        wait, (sent, arrived, handled) = self._wait, (*times, math.nan, math.nan)[:3]
        place = wait.serial_number, wait.row, wait.step, attempt
        self._simulation.deliveries.append(Delivery(*place, sent, arrived, handled, outcome))
        self._simulation.waits.changed(wait)  # its number of deliveries


class SystemWaits:
    """The open waits of one external system, for a strategy that watches them together."""

    def __init__(self, simulation: _Simulation, name: str, index: int) -> None:
        self._simulation, self._name, self._index = simulation, name, index
        self._opened: deque[Wait] = deque()  # in the order of arming
        self._complete: list[tuple[float, int, int, Wait]] = []  # a heap; some may be over
        self._idle: simpy.Event | None = None
        self.last_check = -math.inf

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""
        key = self._simulation.draws.key(f"strategy/shared {what}/{self._name}")
        return counter_based_uniform(key, 0, k)

    def opened(self, wait: Wait) -> None:
        """Add a wait that is armed."""
        self._opened.append(wait)
        if wait.completed <= self.now:
            self.completed(wait)
        if self._idle is not None:
            self._idle.succeed()
            self._idle = None

    def completed(self, wait: Wait) -> None:
        """Add an open wait whose work is complete."""
        heappush(self._complete, (wait.completed, wait.row, wait.number, wait))

    def any(self) -> simpy.Event:
        """Wait until a wait is open."""
        if self._oldest() is not None:
            return self._simulation.clock.soon()
        self._idle = self._simulation.clock.event()
        return self._idle

    def _oldest(self) -> Wait | None:
        while self._opened and self._opened[0].state is not State.ARMED:
            self._opened.popleft()
        return self._opened[0] if self._opened else None

    def until(self, instant: float) -> simpy.Event:
        """Wait until everything else of an instant has happened."""
        key = order(EventKind.SHARED_CHECK, self._index)
        return self._simulation.clock.at(instant, key)

    def check(self, most: int | None = None) -> SimProcess:
        """Check once for all open waits, if any, and resume those complete when it was begun."""
        simulation, poller = self._simulation, self._simulation.poller
        if poller and poller.is_down(self.now):
            yield self.until(poller.up_from(self.now))
        oldest, asked = self._oldest(), self.now
        if oldest is None:
            return
        start, down = asked, simulation.senders[self._name].down
        if simulation.check_seconds:
            start, end = simulation.workers.book(Job.CHECK, asked, simulation.poll_work)
            yield simulation.clock.at(end, order(EventKind.SHARED_CHECK, self._index, 1))
        self.last_check, seen = self.now, 0
        if down and down.is_down(start):
            most = 0
        while self._complete and self._complete[0][0] <= start and seen != most:
            *_, wait = heappop(self._complete)
            if wait.state is State.ARMED:
                seen += 1
                simulation.finish(wait)
        oldest.checks += 1
        oldest.wasted_checks += not seen
        simulation.checked(oldest, asked, seen > 0)


class ExternalSystemContext:
    """The view of one system, or link of a chain: its queue of items and its clock."""

    def __init__(
        self,
        simulation: _Simulation,
        system: ExternalSystem,
        name: str,
        index: int,
        successor: ExternalSystemContext | None,
    ) -> None:
        self.calendar = simulation.scenario.calendar
        self.system = system
        self.taken = 0  # and not completed
        self.starts = math.nan  # when a batch begins its latest or next run
        calls = simulation.scenario.process.of_type(AsyncStep)
        self.withdraws = any(
            step.withdraw and step.system == name.rpartition("/")[0] for step in calls
        )
        self._queue: deque[WorkItem] = deque()
        self._simulation = simulation
        self._name = name
        self._key = order(EventKind.SYSTEM, 0, index)  # before the completions of this instant
        self._last_key = order(EventKind.COLLECTION, 0, index)
        self._successor = successor
        self._idle: simpy.Event | None = None
        self._full: simpy.Event | None = None
        self.down = downtime(system.outages, self.calendar, simulation.draws.rng, f"system/{name}")
        simulation.clock.process(system.run(self))

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._simulation.clock.now

    @property
    def queue(self) -> Sequence[Item]:
        """The items submitted and not taken, the oldest first."""
        return self._queue

    def links(self) -> Iterator[ExternalSystemContext]:
        """Yield this context and those that follow it in a chain."""
        context: ExternalSystemContext | None = self
        while context is not None:
            yield context
            context = context._successor

    def submit(self, item: WorkItem) -> None:
        """Queue an item, and wake the system if it was idle."""
        item.submitted, item.desk = self.now, self
        item.time = item.times[item.link]
        self._simulation.plans[item.serial_number] = self
        self._queue.append(item)
        if self._idle is not None:
            self._idle.succeed()
            self._idle = None

    def until(self, instant: float) -> simpy.Event:
        """Wait until an instant (not at all if it is past)."""
        return self._simulation.clock.at(instant, self._key)

    def until_after(self, instant: float) -> simpy.Event:
        """Wait until everything else at an instant has happened, submissions included."""
        self.starts = max(instant, self.now)
        self._simulation.collections.add(self.starts)
        return self._simulation.clock.at(instant, self._last_key)

    def wait_for_work(self) -> simpy.Event:
        """Wait until an item is queued."""
        if self._queue:
            return self._simulation.clock.soon()
        self._idle = self._simulation.clock.event()
        return self._idle

    def wait_for_lane(self) -> simpy.Event:
        """Wait until an item that was taken is complete or withdrawn."""
        self._full = self._simulation.clock.event()
        return self._full

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
        plan = math.inf if at is None or self._successor is not None else at
        self._simulation.plans[item.serial_number] = plan
        if at is None or at < self.now:
            self._done(work)
        else:
            key = order(EventKind.SYSTEM, work.number, work.activation)
            self._simulation.clock.call_at(at, key, lambda: self._done(work))

    def withdraw(self, item: WorkItem) -> None:
        """Remove an item from the queue, or drop it if it has been taken."""
        item.withdrawn = True
        if item in self._queue:
            self._queue.remove(item)
        else:
            self._free_lane()
        self._simulation.plans.pop(item.serial_number, None)

    def _free_lane(self) -> None:
        self.taken -= 1
        if self._full is not None:
            self._full.succeed()
            self._full = None

    def _done(self, item: WorkItem) -> None:
        if item.withdrawn:
            return
        item.desk = None
        self._free_lane()
        self._simulation.plans.pop(item.serial_number, None)
        if self._successor is None:
            self._simulation.completed(self._simulation.waits.records[item.serial_number])
        else:
            item.link += 1
            self._successor.submit(item)

    def chance(self, what: str, k: int = 0) -> float:
        """Return the k-th uniform random number in [0, 1) of this system, for one purpose."""
        key = self._simulation.draws.key(f"system/{what}/{self._name}")
        return counter_based_uniform(key, 0, k)


@define(eq=False)
class WorkItem:
    """The outside work of one wait, on its way through the links of a system."""

    serial_number: str  # all that the outside sees of the wait
    number: int
    activation: int
    times: Sequence[float]
    link: int = 0
    time: float = math.nan
    submitted: float = math.nan
    desk: ExternalSystemContext | None = None  # where it is; None once it is complete
    withdrawn: bool = False

    def withdraw(self) -> None:
        """Withdraw the work, if it is not complete."""
        if self.desk is not None:
            self.desk.withdraw(self)


class CheckFastForward:
    """Counts checks that need no worker, and plays only the one that sees completion.

    A wait of a day polled every ten seconds has 8,640 checks, of which one sees something. Where a
    check takes no worker and the specification of the strategy has a schedule, the number of the
    others follows from the completion. The tables are bit for bit those of a run with all checks.
    """

    def __init__(self, simulation: _Simulation, schedules: dict[int, Schedule]) -> None:
        self.clock = TrackingEnvironment()  # the count depends on the order of events
        self.schedules = schedules  # of the calls whose checks are counted
        self._simulation = simulation

    @classmethod
    def of(cls, simulation: _Simulation) -> CheckFastForward | None:
        """Return the fast-forward of a simulation, or None if its checks have to be played."""
        if simulation.scenario.server.check_seconds:
            return None
        found = {call: schedule_of(one) for call, one in simulation.strategies.items()}
        schedules = {call: one for call, one in found.items() if one and one.limit is None}
        return cls(simulation, schedules) if schedules else None

    def completed(self, wait: Wait) -> None:
        """Count the checks before now, and schedule the one that sees completion."""
        clock = self.clock
        step = self._skip(wait, clock.now)
        at = self.schedules[wait.step].next_check(step)
        again = at == clock.now and self._was_due(wait)
        kind = EventKind.LAST_LOOK if again else EventKind.CHECK_DUE
        key = order(kind, wait.row, wait.number)
        clock.call_at(at, key, lambda: self._check(wait, again))

    def _check(self, wait: Wait, again: bool) -> None:
        if wait.state is State.ARMED:
            wait.checks += 1
            self._simulation.finish(wait)
        elif again:  # its first look was made before the wait was over
            wait.checks += 1
            wait.wasted_checks += 1
            self._simulation.waits.changed(wait)

    def count(self, wait: Wait) -> None:
        """Count the checks of a wait until now, if its work is not complete."""
        known = wait.step in self.schedules and wait.completed == math.inf
        if known and not math.isnan(wait.armed):
            now = self.clock.now
            self._skip(wait, math.nextafter(now, math.inf) if self._was_due(wait) else now)

    def _skip(self, wait: Wait, before: float) -> WaitContext:
        step = WaitContext(self._simulation, wait, EventKind.CHECK_DUE)
        step.checks = 0
        self.schedules[wait.step].skip(step, before)
        wait.checks = wait.wasted_checks = step.checks
        return step

    def _was_due(self, wait: Wait) -> bool:
        """Return whether a check due at this very instant comes before the present event."""
        return order(EventKind.CHECK_DUE, wait.row, wait.number) < self.clock.reached
