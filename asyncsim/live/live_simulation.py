"""The simulations of a live session, one for each strategy, in which people and programs take part.

A `LiveSimulation` is the SimPy engine with inputs: a step may be finished from outside, its work
may be declared complete, its time-out postponed, a step entered again, an instance started by hand,
and a response handled by a user's function. `StrategyTwins` plays several of them on the same
random numbers and the same clock, and dispatches inputs to them: the *main* simulation is the one
that people see and finish; the *twins* show the same instances under other strategies.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from attrs import evolve

from asyncsim.engine.contexts import ExternalSystemContext, WaitContext, WorkItem
from asyncsim.engine.environment import Environment, EventKind, Job, order
from asyncsim.engine.graph import Call, Choose, Fork, Pause, Work
from asyncsim.engine.messages import Delivery
from asyncsim.engine.result import DELIVERY_OUTCOMES, Outcome, Record, with_timestamps
from asyncsim.engine.simulation import Simulation
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.live.journal import (
    WITHOUT_ANSWER,
    Complete,
    Finish,
    Heartbeat,
    Input,
    RetryInput,
    Start,
)
from asyncsim.live.records import ResponseRecords, Responses, StoredFields, StoredWaits
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store
from asyncsim.model.random_streams import Draws, draw_for
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import SimProcess, Strategy, schedule_of

NEVER = (float("inf"), 0, 0)
BLOCK = 256  # instances started by hand for which random numbers are drawn at a time


class Deadlines:
    """When waits time out: stored, with only the next deadline on the simulation's clock."""

    def __init__(self, store: Store, clock: Environment, expire: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._expire = expire
        self._next = NEVER

    def set(self, wait: Wait, due: float, timeout: float | None) -> None:
        """Set when a wait times out; `timeout` is the latest instant, in spite of heartbeats."""
        cells = wait.serial_number, due, timeout, wait.row + 1, wait.number
        self._store.do("insert or replace into deadlines values (?, ?, ?, ?, ?)", cells)
        self._schedule((due, wait.row, wait.number))

    def drop(self, serial_number: str) -> None:
        """Forget the deadline of a wait that is over."""
        self._store.do("delete from deadlines where serial_number = ?", (serial_number,))

    def _schedule(self, deadline: tuple[float, int, int]) -> None:
        if deadline < self._next:
            self._next = deadline
            due, row, number = deadline
            event = self._clock.at(due, order(EventKind.TIMEOUT, row, number))
            assert event.callbacks is not None
            event.callbacks.append(lambda _: self._expire_at(deadline))

    def _expire_at(self, deadline: tuple[float, int, int]) -> None:
        if deadline != self._next:
            return  # an earlier one was set after this, and has scheduled the next one
        due, row, number = deadline
        query = "select serial_number from deadlines where due = ? and instance = ? and number = ?"
        found = self._store.one(query, (due, row + 1, number))
        self._next = NEVER
        if found is not None:  # it may have been dropped, or moved by a heartbeat
            self.drop(found[0])
            self._expire(found[0])
        query = "select due, instance, number from deadlines order by due, instance, number limit 1"
        for due, instance, number in self._store.all(query):
            self._schedule((due, instance - 1, number))


class LiveSimulation(Simulation):
    """A scenario under one strategy up to now; a twin has no store but its memory."""

    def __init__(
        self,
        setup: Setup,
        strategy: Strategy,
        draws: Draws,
        responses: Responses,
        store: Store | None = None,
    ) -> None:
        scenario = setup.scenario
        self.held = setup.hold
        waits = Waits(scenario.server.policy) if store is None else StoredWaits(scenario, store)
        super().__init__(scenario, strategy, draws, waits=waits)
        self.fields: StoredFields | dict[int, Mapping[str, Any]]
        self.fields = {} if store is None else StoredFields(store)
        self._deadlines = None if store is None else Deadlines(store, self.clock, self._time_out)
        self._heartbeats = setup.heartbeat
        self._responses = responses
        self.stopped = True  # it ends with the session
        self.unnoticed = Counter[int]()  # open waits whose work is complete, by node
        self.retried = False  # whether a step was entered again: its times are of the last try
        self._ahead: set[str] = set()  # complete before this simulation has made their call
        self._handed: dict[str, Mapping[str, Any]] = {}  # data of completions, until the resume
        self._activations: dict[tuple[int, int], int] = {}  # numbers of retries, by node and row
        self.replaced_by: dict[str, str] = {}  # new serial numbers by old, of all retries
        self._waits_again: dict[str, str] = {}  # the same, of retries without a new call

    def _open_systems(self) -> None:
        super()._open_systems()
        for name in self.held:
            self._systems[name] = HeldSystemContext()

    def desks(self, system: str) -> list[ExternalSystemContext]:
        """Return the links of a system, to look at; none if its steps are finished from outside."""
        return [] if system in self.held else list(self._systems[system].links())

    @property
    def next_instant(self) -> float:
        """When something happens next; infinite if nothing will."""
        return self.clock.peek()

    def play_through(self, instant: float) -> None:
        """Play everything up to an instant, and at it."""
        while self.clock.peek() <= instant:
            self.clock.step()

    def _arrive(self) -> SimProcess:
        for instant in list(self.numbers.arrivals):  # those started by hand come in between
            yield self.clock.at(instant, order(EventKind.ARRIVAL, self.arrived))
            self._begin()

    def _begin(self) -> None:
        self.arrived += 1
        self._enter(self.arrived - 1)

    def start_instance(self, draws: Draws, fields: Mapping[str, Any]) -> None:
        """Start an instance now; `draws` have its random numbers in the place of the next row."""
        row = self.arrived
        self.draws = draws
        for node, columns in zip(self.graph.nodes, self.columns, strict=True):
            k = node.index
            if isinstance(node, (Work, Call, Pause)):
                self.numbers.work[k].insert(row, float(draws.work[node.stream][row]))
            if isinstance(node, Choose):
                self.numbers.uniforms[k].insert(row, float(draws.choices[node.stream][row]))
            if isinstance(node, Call):
                self.numbers.uniforms[k].insert(row, float(draws.responses[node.stream][row]))
                times = draws.external[node.stream][row]
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
        asks = self._deadlines is not None
        response, data = self._responses.to_call(wait, node, drawn, fields, asks)
        self._add_fields(wait.row, data)
        return response

    def finish_from_outside(
        self, serial_number: str, data: Mapping[str, Any] | None
    ) -> tuple[Answer, bool]:
        """Finish a step now; return the answer, and whether it changed anything."""
        wait = self.waits.records.get(serial_number)
        if wait is None:
            answer = self.waits.finish(serial_number, self.clock.now, data)
            return answer, answer.starts
        still_open = wait.state in (State.CALLED, State.ARMED)
        kept = wait.buffered
        answer = self.waits.finish(serial_number, self.clock.now, data)
        completes = still_open and wait.completed == math.inf
        changes = completes or answer is Answer.FINISHED or answer.kept or answer.starts
        if not (changes or wait.buffered is not kept):
            return answer, False
        now = handled = self.clock.now
        if self.callback_seconds:
            _, handled = self.workers.book(Job.CALLBACK, now, self.callback_work)
        wait.deliveries += 1
        self.waits.changed(wait)
        place = wait.serial_number, wait.row, wait.step, wait.deliveries - 1
        self.deliveries.append(Delivery(*place, now, now, handled, answer.text))
        if answer is Answer.FINISHED:
            self._closed(wait)
        if completes:
            wait.completed = now
        if answer is Answer.FINISHED:
            self._resume(wait)
        elif answer.kept:
            self._finish_next(wait)
        return answer, True

    def complete_from_outside(self, serial_number: str, data: Mapping[str, Any] | None) -> bool:
        """Complete the work of a wait, even before its call; false if it is complete already."""
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
        """Record that the work is complete, perhaps after it was completed from outside."""
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

    def _arm(self, wait: Wait) -> None:
        if wait.serial_number in self._ahead:
            self._ahead.remove(wait.serial_number)
            self.completed(wait)
        called = wait.state is State.CALLED
        super()._arm(wait)
        if called and wait.state is State.ARMED and wait.completed < math.inf:
            self.unnoticed[wait.step] += 1
        if wait.state is State.ARMED:
            self.heartbeat(wait)

    def heartbeat(self, wait: Wait) -> bool:
        """Postpone the deadline of a wait; false if it has none that heartbeats postpone."""
        step = self._node(wait.step).step
        expected = self._heartbeats.get(step.name)
        if wait.state is not State.ARMED or not self._deadlines or expected is None:
            return False
        latest = self.deadline(wait)
        due, timeout = min(self.clock.now + expected, latest), latest if latest < math.inf else None
        self._deadlines.set(wait, self.noticed(due), timeout)
        return True

    def _set_deadline(self, wait: Wait) -> None:
        if self._deadlines is None:
            super()._set_deadline(wait)
        elif wait.state is State.CALLED or self._node(wait.step).name not in self._heartbeats:
            latest = self.deadline(wait)
            self._deadlines.set(wait, self.noticed(latest), latest)

    def _time_out(self, serial_number: str) -> None:
        self.expire(self.waits.records[serial_number], State.TIMED_OUT)

    def _closed(self, wait: Wait) -> None:
        if wait.completed < math.inf and not math.isnan(wait.armed):
            self.unnoticed[wait.step] -= 1
        if self._deadlines is not None:
            self._deadlines.drop(wait.serial_number)
        super()._closed(wait)

    def why_no_retry(self, wait: Wait) -> str:
        """Return why a step cannot be entered again, or nothing if it can."""
        now = self.replaced_by.get(wait.serial_number)
        failed = self.outcomes[wait.row] is Outcome.FAILED
        if now or not (wait.state is State.ARMED or failed):
            hint = f"; it was tried again as {now!r}" if now else ""
            return f"its instance has gone on from there ({wait.state.value}){hint}"
        if failed and any(isinstance(node, Fork) for node in self.graph.nodes):
            return "its instance has failed, and other branches of it with it"
        return ""

    def next_activation(self, row: int) -> int:
        """Return the number under which a step of an instance is entered again."""
        given = [number for (_, of), number in self._activations.items() if of == row]
        return max([*self.scenario.process.activations.values(), *given]) + 1

    def retry(self, place: tuple[int, int], serial_number: str, call: bool, number: int) -> None:
        """Enter a step, by node and row, again under a new number; the old one is stale then."""
        wait = self.waits.records.get(serial_number)
        if wait is None:
            self._activations[place] = number
        if wait is None or self.why_no_retry(wait):
            return  # a twin may be further on
        node, row, now = self._node(wait.step), wait.row, self.clock.now
        if self.waits.cancel(wait, now):
            self._closed(wait)
        if self.outcomes[row] is Outcome.FAILED:  # else a loser of a race may outlive its instance
            self.outcomes[row], self.ended[row] = Outcome.RUNNING, math.nan
        self._activations[node.index, row] = number
        self.retried = True
        self.replaced_by[serial_number] = f"{row + 1}_{number}"
        if call:
            self._start_walk(row, node.index)
            return
        new = Wait(self.serial_number(node, row), row, node.index, number, now)
        self._waits_again[serial_number] = new.serial_number
        new.completed = wait.completed
        self.waits.register(new)
        if self.deadline(new) < math.inf:
            self._set_deadline(new)
        self._arm(new)

    def serial_number(self, node: Call, row: int) -> str:
        """Return the serial number under which an instance waits at a call now."""
        number = self._activations.get((node.index, row))  # even where a log has its own
        return super().serial_number(node, row) if number is None else f"{row + 1}_{number}"

    def activation(self, node: Call, row: int) -> int:
        """Return the activation number under which an instance waits at a call now."""
        return self._activations.get((node.index, row), node.number)

    def next_check(self, wait: Wait, now: float) -> tuple[float, int]:
        """Return when a wait is checked next, if by a schedule, and its checks until now."""
        schedule = schedule_of(self.strategies[wait.step])
        if schedule is None or wait.state is not State.ARMED:
            return math.nan, wait.checks
        step = WaitContext(self, wait, EventKind.CHECK_DUE)
        step.checks = 0
        schedule.skip(step, np.nextafter(now, math.inf))
        return float(schedule.next_check(step)), step.checks if self.skips(wait) else wait.checks


class HeldSystemContext(ExternalSystemContext):
    """A system that works on nothing: the record of the wait is all there is of the request."""

    def __init__(self) -> None:
        pass  # it takes no part in the simulation

    def submit(self, item: WorkItem) -> None:
        """Leave the work to people and programs."""


class StrategyTwins:
    """The main simulation of a session and its twins, all played up to `now`."""

    def __init__(self, setup: Setup, store: Store, replayed: ResponseRecords | None = None) -> None:
        self.now = 0.0
        self._scenario = scenario = setup.scenario
        self._draws = draws = scenario.draw(setup.seed)
        self._started = 0
        self._spares: Draws | None = None
        first, *others = setup.strategies
        self.responses = responses = Responses(setup.handlers, store, replayed)
        self.main = LiveSimulation(setup, first, draws, responses, store)
        self.twins = [LiveSimulation(setup, other, draws, responses) for other in others]
        self.all = [self.main, *self.twins]
        assert isinstance(self.main.waits, StoredWaits)
        self.records = self.main.waits.records

    def advance(self, target: float, budget: float = math.inf) -> bool:
        """Play up to an instant and at it; false if `budget` seconds of real time were too few."""
        stop = time.perf_counter() + budget
        while (instant := min(one.next_instant for one in self.all)) <= target:
            for one in self.all:
                one.play_through(instant)
            self.now = instant
            if time.perf_counter() > stop:
                return False
        self.now = target
        for one in self.all:
            one.clock.move_to(target)
        return True

    def play(self, given: Input) -> tuple[str, bool]:
        """Play an input now; return the answer, and whether it has changed anything."""
        for one in self.all:
            one.clock.move_to(self.now)
        answer, effective = self._dispatch(given)
        for one in self.all:  # what follows at this very instant
            one.play_through(self.now)
            one.clock.move_to(self.now)
        return answer, effective

    def _dispatch(self, given: Input) -> tuple[str, bool]:
        number, data = given.serial_number or "", given.data
        match given:
            case Finish():
                answer, effective = self.main.finish_from_outside(number, data)
                links = chain.from_iterable(one.links for one in self._scenario.systems.values())
                if answer.starts and all(link.instances is None for link in links):  # no log's
                    self._start(data or {})
                if number in self.records:
                    changed = [one.complete_from_outside(number, data) for one in self.twins]
                    effective = effective or any(changed)
                return answer.name, effective
            case Complete():
                for one in self.all:
                    one.complete_from_outside(number, data)
            case Heartbeat():
                return WITHOUT_ANSWER, self.main.heartbeat(self.main.waits.records[number])
            case RetryInput():
                new = self._retry(number, given.call)
                return new, bool(new)
            case Start():
                return self._start(data or {}), True
        return WITHOUT_ANSWER, True

    def _retry(self, number: str, call: bool) -> str:
        """Enter a step again in every simulation; return its new number, or nothing if too late."""
        wait = self.main.waits.records[number]
        if self.main.why_no_retry(wait):
            return ""
        place, activation = (wait.step, wait.row), self.main.next_activation(wait.row)
        for one in self.all:
            one.retry(place, number, call, activation)
        return f"{wait.row + 1}_{activation}"

    def _start(self, fields: Mapping[str, Any]) -> str:
        """Start an instance in every simulation; return its number."""
        row = self.main.arrived
        k = self._started % BLOCK
        if k == 0 or self._spares is None:
            # Their own seed, so that these numbers are not those of the instances drawn ahead
            keys = self._draws.key(f"started by hand/{self._started // BLOCK}"), 0
            self._spares = draw_for(self._scenario, *keys, np.zeros(BLOCK))
        self._started += 1
        self._draws = insert_instance(self._draws, row, self.now, self._spares, k)
        for one in self.all:
            one.start_instance(self._draws, fields)
        return str(row + 1)

    def beside(self, serial_number: str) -> pd.DataFrame:
        """Return the state of one step under each strategy: when it resumed, or is checked next."""
        rows = []
        labels = told_apart([one.strategy for one in self.all])
        for one, label in zip(self.all, labels, strict=True):
            wait = one.waits.records.get(serial_number)
            if wait is None:
                rows.append((label, "not called yet", *[math.nan] * 4, 0))
                continue
            finished = wait.state is State.FINISHED
            resumed = wait.closed if finished else math.nan
            completed = wait.completed if wait.completed < math.inf else math.nan
            latency = (resumed if finished else self.now) - completed
            state = "resumed" if finished else wait.state.value
            due, checks = one.next_check(wait, self.now)
            rows.append((label, state, completed, resumed, latency, due, checks))
        names = ["strategy", "state", "completed", "resumed", "latency", "next_check", "checks"]
        table = pd.DataFrame(rows, columns=names)
        instants = ("completed", "resumed", "next_check")
        return with_timestamps(table, self._scenario.calendar, instants)


def insert_instance(draws: Draws, row: int, instant: float, spares: Draws, k: int) -> Draws:
    """Return draws with one more instance at a row, with the numbers of the k-th spare one."""

    def grown(mine: Mapping[str, Any], spare: Mapping[str, Any]) -> dict[str, Any]:
        return {name: np.insert(mine[name], row, spare[name][k], axis=0) for name in mine}

    return Draws(
        np.insert(draws.arrivals, row, instant),
        work=grown(draws.work, spares.work),
        external=grown(draws.external, spares.external),
        choices=grown(draws.choices, spares.choices),
        responses=grown(draws.responses, spares.responses),
        seed=draws.seed,
        replication=draws.replication,
    )


def with_rejected_finishes(
    record: Record, finishes: Sequence[tuple[str, int, int, float, str]]
) -> Record:
    """Return a record with the finishes from outside that changed nothing, as deliveries."""
    if not finishes:
        return record
    numbers, instances, nodes, instants, answers = zip(*finishes, strict=True)
    known, waits = record.deliveries, record.waits
    late, more = pd.Series(numbers), Counter(numbers)
    attempts = late.map(Counter(known.serial_numbers or ())) + late.groupby(late).cumcount()
    added = [more[number] for number in waits.serial_numbers or ()]
    outcomes = [DELIVERY_OUTCOMES.index(Answer[answer].text) for answer in answers]
    cells: dict[str, Any] = dict.fromkeys(("sent", "arrived", "handled"), instants)
    cells |= {"row": np.array(instances) - 1, "node": nodes}
    cells |= {"attempt": attempts, "outcome": outcomes}
    longer = {name: np.append(getattr(known, name), cells[name]) for name in cells}
    all_numbers = [*(known.serial_numbers or ()), *numbers]
    return evolve(
        record,
        deliveries=evolve(known, serial_numbers=all_numbers, **longer),
        waits=evolve(waits, deliveries=waits.deliveries + np.array(added, dtype=np.int64)),
    )
