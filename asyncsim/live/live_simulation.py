"""One strategy's side of a live session: the simulation, with people and programs taking part.

A `LiveSimulation` is the SimPy engine with four doors in it: a step may be finished from outside,
its work may be declared complete, a response may be handled by a user's function, and an instance
may be started by hand. Everything else is the simulation as it is.

When waits time out: in the store, of which only the next one is on the clock.

A timer for each of a hundred thousand waits would keep each of them in memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from asyncsim.engine.contexts import Delivery, ExternalSystemContext, WorkItem
from asyncsim.engine.environment import Environment, EventKind, order
from asyncsim.engine.graph import Call, Choose, Fork, Work
from asyncsim.engine.result import Outcome
from asyncsim.engine.simulation import Simulation
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.engine.workers import Job
from asyncsim.live.responses import Responses
from asyncsim.live.store import Store
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import SimProcess, Strategy

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

    def __init__(self, store: Store, clock: Environment, expire: Callable[[str], None]) -> None:
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
            event = self._clock.at(due, order(EventKind.TIMEOUT, row, number))
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


Fields = MutableMapping[int, Mapping[str, Any]]
"""Data fields of instances, by row."""


class LiveSimulation(Simulation):
    """A scenario under one strategy, played as far as the session's clock has come.

    Parameters
    ----------
    scenario, strategy, draws
        As in `Simulation`.
    waits, fields
        Where the records of waits and the data fields of instances are kept.
    responses
        What decides how the immediate responses to calls are handled.
    held
        Names of the systems that complete nothing by themselves.
    heartbeats
        How long a wait may last without a sign of life, in seconds, by the name of its step.
    store
        Where deadlines are kept; left out, each is a timer in memory.
    """

    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        draws: Draws,
        *,
        waits: Waits,
        fields: Fields,
        responses: Responses,
        held: frozenset[str] = frozenset(),
        heartbeats: Mapping[str, float] | None = None,
        store: Store | None = None,
    ) -> None:
        self._asks = store is not None
        self.held = held
        super().__init__(scenario, strategy, draws, waits=waits)
        self.fields = fields
        self.retried = False
        self.unnoticed = Counter[int]()
        """Open waits whose work is complete, by node."""
        self.stopped = True  # a lane has no end of its own
        self._responses = responses
        self._heartbeats = heartbeats or {}
        self._handed: dict[str, Mapping[str, Any]] = {}
        self._ahead: set[str] = set()
        self._activations: dict[tuple[int, int], int] = {}
        self._instead: dict[str, str] = {}
        self._waits_again: dict[str, str] = {}
        self._deadlines = None
        if store is not None:
            self._deadlines = Deadlines(store, self.clock, self._run_out_of_time)

    def _open_systems(self) -> None:
        super()._open_systems()
        for name in self.held:
            self._systems[name] = HeldSystemContext()

    def desks(self, system: str) -> list[ExternalSystemContext]:
        """Return where a system works, link by link; none if its steps are finished from outside.

        They are for looking.
        """
        return [] if system in self.held else list(self._systems[system].links())

    # --- the clock --------------------------------------------------------------------------------

    @property
    def next_instant(self) -> float:
        """When something happens next; infinite if nothing will."""
        return self.clock.peek()

    def play_through(self, instant: float) -> None:
        """Play everything up to an instant, and at it."""
        while self.clock.peek() <= instant:
            self.clock.step()

    # --- instances --------------------------------------------------------------------------------

    def _arrive(self) -> SimProcess:
        for instant in list(self.numbers.arrivals):  # those started by hand come in between
            yield self.clock.at(instant, order(EventKind.ARRIVAL, self.arrived))
            self._begin()

    def _begin(self) -> None:
        self.arrived += 1
        self._start_walk(self.arrived - 1, self.graph.start)

    def start_instance(self, draws: Draws, fields: Mapping[str, Any]) -> None:
        """Start an instance now; `draws` have its random numbers in the place of the next row."""
        row = self.arrived
        self.draws = draws
        for node, columns in zip(self.graph.nodes, self.columns, strict=True):
            k = node.index
            if isinstance(node, (Work, Call)):
                self.numbers.work[k].insert(row, float(draws.work[node.name][row]))
            if isinstance(node, Choose):
                self.numbers.uniforms[k].insert(row, float(draws.choices[node.name][row]))
            if isinstance(node, Call):
                self.numbers.uniforms[k].insert(row, float(draws.responses[node.name][row]))
                times = draws.external[node.name][row]
                self.numbers.times[k].insert(row, [float(t) for t in times.reshape(-1)])
            columns.add_row()
        self.numbers.arrivals.insert(row, self.clock.now)
        self.ended.append(math.nan)
        self.outcomes.append(Outcome.RUNNING)
        if fields:
            self.fields[row] = fields
        self._begin()

    def _add_fields(self, row: int, data: Mapping[str, Any] | None) -> None:
        if data:
            self.fields[row] = {**self.fields.get(row, {}), **data}

    def _choice_at(self, node: Choose, row: int) -> int:
        head = node.head_with(self.fields.get(row, {}))
        return super()._choice_at(node, row) if head is None else head

    def _response_to(self, wait: Wait, node: Call) -> str:
        drawn = super()._response_to(wait, node)
        fields = self.fields.get(wait.row, {})
        response, data = self._responses.to_call(wait, node, drawn, fields, self._asks)
        self._add_fields(wait.row, data)
        return response

    # --- what comes from outside ------------------------------------------------------------------

    def finish_from_outside(
        self, serial_number: str, data: Mapping[str, Any] | None
    ) -> tuple[Answer, bool]:
        """Finish a step by its number, at once; this is also the completion of its work.

        Return the answer, and whether anything has changed. A finish that changes nothing occupies
        no worker. The server's limit is for the callbacks that are simulated.
        """
        wait = self.waits.records.get(serial_number)
        if wait is None:
            return self.waits.finish(serial_number, self.clock.now, data), False
        still_open = wait.state in (State.CALLED, State.ARMED)
        kept = wait.buffered
        answer = self.waits.finish(serial_number, self.clock.now, data)
        completes = still_open and wait.completed == math.inf
        if not (completes or answer is Answer.FINISHED or wait.buffered is not kept):
            return answer, False
        self._count_delivery(wait, answer)
        if answer is Answer.FINISHED:
            self._closed(wait)
        if completes:
            wait.completed = self.clock.now
        if answer is Answer.FINISHED:
            self._resume(wait)
        return answer, True

    def _count_delivery(self, wait: Wait, answer: Answer) -> None:
        now = handled = self.clock.now
        if self.callback_work:
            _, handled = self.workers.book(Job.CALLBACK, now, self.callback_work)
        wait.deliveries += 1
        self.waits.changed(wait)
        place = wait.serial_number, wait.row, wait.step
        self.deliveries.append(
            Delivery(*place, wait.deliveries - 1, now, now, handled, answer.text)
        )

    def complete_from_outside(self, serial_number: str, data: Mapping[str, Any] | None) -> bool:
        """Declare the work of a wait complete; false if it is so already.

        This simulation may not have made the call yet; then the work is complete once it has.
        """
        wait = self.waits.records.get(serial_number)
        if serial_number in self._ahead or (wait is not None and wait.completed < math.inf):
            return False
        if data:
            self._handed[serial_number] = data
        if wait is None:
            self._ahead.add(serial_number)
        else:
            self.completed(wait)
        return True

    def completed(self, wait: Wait) -> None:
        """Note that the work is done; somebody may have said so before the system does."""
        if wait.completed < math.inf:
            self._notify_strategy(wait)
        else:
            self.unnoticed[wait.step] += wait.state is State.ARMED
            super().completed(wait)
        new = self.waits.records.get(self._waits_again.get(wait.serial_number, ""))
        if new is not None and new.completed == math.inf:
            new.completed = self.clock.now  # the outside knows of the old number only
            self.unnoticed[new.step] += new.state is State.ARMED
            self.waits.changed(new)
            self._show_completion(new)

    def _resume(self, wait: Wait) -> None:
        self._add_fields(wait.row, wait.data or self._handed.pop(wait.serial_number, None))
        super()._resume(wait)

    # --- deadlines and heartbeats -----------------------------------------------------------------

    def _arm(self, wait: Wait) -> None:
        if wait.serial_number in self._ahead:
            self._ahead.remove(wait.serial_number)
            self.completed(wait)
        called = wait.state is State.CALLED
        super()._arm(wait)
        if called and wait.state is State.ARMED and wait.completed < math.inf:
            self.unnoticed[wait.step] += 1
        step = self._node(wait).step
        if self._deadlines and wait.state is State.ARMED and step.name in self._heartbeats:
            timeout = None if step.timeout is None else wait.armed + step.timeout
            self._expect_heartbeat(wait, timeout)

    def _expect_heartbeat(self, wait: Wait, timeout: float | None) -> None:
        assert self._deadlines is not None
        due = self.clock.now + self._heartbeats[self._node(wait).name]
        self._deadlines.set(wait, due if timeout is None else min(due, timeout), timeout)

    def _set_deadline(self, wait: Wait, instant: float) -> None:
        if self._deadlines is None:
            super()._set_deadline(wait, instant)
        elif self._node(wait).name not in self._heartbeats:
            self._deadlines.set(wait, instant, instant)

    def _run_out_of_time(self, serial_number: str) -> None:
        self.expire(self.waits.records[serial_number], State.TIMED_OUT)

    def _closed(self, wait: Wait) -> None:
        if wait.completed < math.inf and not math.isnan(wait.armed):
            self.unnoticed[wait.step] -= 1
        if self._deadlines is not None:
            self._deadlines.drop(wait.serial_number)
        super()._closed(wait)

    def heartbeat(self, serial_number: str) -> bool:
        """Put a wait's deadline off; false if it has none that heartbeats put off."""
        wait = self.waits.records[serial_number]
        if (
            wait.state is not State.ARMED
            or not self._deadlines
            or self._node(wait).name not in self._heartbeats
        ):
            return False
        self._expect_heartbeat(wait, self._deadlines.timeout_of(serial_number))
        return True

    # --- an operator tries again ------------------------------------------------------------------

    def why_not_again(self, wait: Wait) -> str:
        """Return why a step cannot be entered once more, or nothing if it can."""
        failed = self.outcomes[wait.row] is Outcome.FAILED
        if wait.serial_number in self._instead or not (wait.state is State.ARMED or failed):
            now = self._instead.get(wait.serial_number)
            hint = f"; it was tried again as {now!r}" if now else ""
            return f"its instance has gone on from there ({wait.state.value}){hint}"
        if failed and any(isinstance(node, Fork) for node in self.graph.nodes):
            return "its instance has failed, and other branches of it with it"
        return ""

    def next_activation(self, row: int) -> int:
        """Return the number under which a step of an instance is entered once more."""
        given = [number for (_, of), number in self._activations.items() if of == row]
        return max([*self.scenario.process.activations.values(), *given]) + 1

    def retry(self, place: tuple[int, int], serial_number: str, call: bool, number: int) -> None:
        """Enter a step once more, under a new number; the old one is stale then.

        `place` is the node and the row of the instance: a twin may have to come to it yet.
        """
        wait = self.waits.records.get(serial_number)
        if wait is None:
            self._activations[place] = number
        if wait is None or self.why_not_again(wait):
            return  # a twin may be further on
        node, row, now = self._node(wait), wait.row, self.clock.now
        if self.waits.cancel(wait, now):
            self._closed(wait)
        self.outcomes[row], self.ended[row] = Outcome.RUNNING, math.nan
        self._activations[node.index, row] = number
        self.retried = True
        self._instead[serial_number] = f"{row + 1}_{number}"
        if call:
            self._start_walk(row, node.index)
            return
        new = Wait(self.serial_number(node, row), row, node.index, number, now)
        self._waits_again[serial_number] = new.serial_number
        new.completed = wait.completed
        self.waits.register(new)
        self._arm(new)

    def serial_number(self, node: Call, row: int) -> str:
        """Return the serial number under which an instance waits at a call now."""
        if (node.index, row) in self._activations:  # even where a log has numbers of its own
            return f"{row + 1}_{self._activations[node.index, row]}"
        return super().serial_number(node, row)

    def waits_now_as(self, serial_number: str) -> str | None:
        """Return the number that an operator's retry has put in the place of another."""
        return self._instead.get(serial_number)

    def activation(self, node: Call, row: int) -> int:
        """Return the activation number under which an instance waits at a call now."""
        return self._activations.get((node.index, row), node.number)


class HeldSystemContext(ExternalSystemContext):
    """Where nothing is worked on: the record of the wait is all there is of the request."""

    def __init__(self) -> None:
        """Take no part in the simulation."""

    def submit(self, item: WorkItem) -> None:
        """Leave the work to people and programs."""
