"""The reference engine: a scenario played with SimPy.

It is written to be read. An instance *walks* through the nodes of its process, from event to event
(`Simulation._walk`), until it comes to a call. Having made the call it leaves a record, a
`asyncsim.engine.waits.Wait`, and the walk ends: a waiting instance is only that record. Whoever
finishes the record (a callback, a check) starts a new walk from where the record stands.
Strategies and external systems are SimPy processes.
"""

from __future__ import annotations

import gc
import math
from array import array
from collections.abc import Generator
from functools import partial
from typing import Any

import simpy

from asyncsim.engine.admission import admission
from asyncsim.engine.arguments import check_played, seconds
from asyncsim.engine.clock import Clock, Kind, order
from asyncsim.engine.graph import (
    DONE,
    FAILED,
    STANDS,
    Await,
    Call,
    Choose,
    Fork,
    Graph,
    Join,
    Node,
    Work,
)
from asyncsim.engine.handles import StepHandle, SystemDesk, WorkItem
from asyncsim.engine.lines import HeldLines
from asyncsim.engine.numbers import Numbers
from asyncsim.engine.record import Outcome, StepOutcome
from asyncsim.engine.skipping import SkippedChecks
from asyncsim.engine.stage import Deliveries
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.engine.workers import Job, Workers
from asyncsim.errors import EngineError
from asyncsim.model.draws import Draws
from asyncsim.model.quantities import DurationLike
from asyncsim.model.scenario import Scenario
from asyncsim.model.systems import Recorded
from asyncsim.model.waiting import SimProcess, Strategy


class StepLists:
    """One node's times while a run is played, and how calls ended, by instance."""

    def __init__(self, n: int) -> None:
        self.queued, self.started, self.ended = (array("d", [math.nan]) * n for _ in range(3))
        self.outcomes = array("b", [StepOutcome.OPEN]) * n

    def add_row(self) -> None:
        """Make room for one more instance."""
        for times in (self.queued, self.started, self.ended):
            times.append(math.nan)
        self.outcomes.append(StepOutcome.OPEN)


class Simulation:
    """A scenario being played; it can be stopped at any instant, looked at, and gone on with.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its waiting steps learn of completion.
    draws
        The random numbers; drawn from `seed` and `replication` if left out.
    seed, replication
        Keys of the random numbers.
    resolution
        Width of the time bins in which the load of the server is kept.
    waits
        Where the records of waits are kept; by default in memory.

    Examples
    --------
    >>> simulation = sim.Simulation(sim.Scenario.load("example:nightly_ledger"), sim.Callback())
    >>> simulation.run(until="21h")
    >>> simulation.live_processes  # the ledger; the orders that wait for it are records
    1
    """

    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        draws: Draws | None = None,
        *,
        seed: int = 0,
        replication: int = 0,
        resolution: DurationLike = 60.0,
        waits: Waits | None = None,
    ) -> None:
        check_played(scenario, strategy, draws)
        self.scenario = scenario
        self.strategy = strategy
        if draws is None:
            draws = scenario.draw(seed, replication)
        self.draws = draws.completed_for(scenario)
        self.skipped = SkippedChecks.of(self)
        self.clock = self.skipped.clock if self.skipped else Clock()
        self.graph = Graph.of(scenario.process)
        self.waits = waits or Waits(scenario.server.policy)
        self.workers = Workers(scenario.server.workers, seconds("resolution", resolution))
        self.poll_work = scenario.server.poll_work
        self.callback_work = scenario.server.callback_work
        self.admission = admission(scenario.server.finish_limit)
        self.lines = HeldLines(self.clock)
        self.arrived = 0
        self.deliveries = Deliveries()
        self.collections: set[float] = set()
        self.stopped = False
        """Whether the last run was stopped at an instant, or went on to its own end."""
        self._joins: dict[tuple[int, int], int] = {}
        self._keys: dict[tuple[str, int], int] = {}
        self._watched = type(strategy).wait is not Strategy.wait
        self._notified = type(strategy).notify is not Strategy.notify
        self.numbers = Numbers.of(self.draws, self.graph)
        self.columns = [StepLists(len(self.draws)) for _ in self.graph.nodes]
        self.ended = array("d", [math.nan]) * len(self.draws)
        self.outcomes = [Outcome.RUNNING] * len(self.draws)
        self._open_desks()
        self.clock.process(self._arrive())

    def _open_desks(self) -> None:
        self._desks: dict[str, SystemDesk] = {}
        index = 0
        for name, system in self.scenario.systems.items():
            desk: SystemDesk | None = None
            for k, link in reversed(list(enumerate(system.links))):
                index += 1
                desk = SystemDesk(self, link, f"{name}/{k}", index, desk)
            assert desk is not None
            self._desks[name] = desk

    # --- playing --------------------------------------------------------------------------------

    def run(self, until: DurationLike | None = None) -> None:
        """Play until every instance has ended and nothing is left to do, or until an instant.

        Raises
        ------
        ScenarioError
            If `until` is not a duration, or not later than the present instant.
        """
        self.stopped = until is not None
        self.clock.play(None if until is None else seconds("until", until, after=self.now))

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return float(self.clock.now)

    @property
    def waiting(self) -> int:
        """How many waits are open now."""
        return self.waits.open_count

    @property
    def live_processes(self) -> int:
        """How many SimPy processes of this simulation are alive now, counted in memory."""
        return sum(
            1
            for thing in gc.get_objects()
            if type(thing) is simpy.Process and thing.env is self.clock and thing.is_alive
        )

    # --- the way of an instance -----------------------------------------------------------------

    def _arrive(self) -> SimProcess:
        for row, instant in enumerate(self.numbers.arrivals):
            yield self.clock.at(instant, order(Kind.ARRIVAL, row))
            self.arrived = row + 1
            self._start_walk(row, self.graph.start)

    def _start_walk(self, row: int, index: int) -> None:
        self._go_on(self._walk(row, index))

    def _go_on(self, walk: SimProcess, _: simpy.Event | None = None) -> None:
        """Let a walk go on to its next event.

        This is all of a SimPy process that a walk needs, without the events of its own that one
        has for its beginning and its end.
        """
        event = next(walk, None)
        if event is not None:
            assert event.callbacks is not None
            event.callbacks.append(partial(self._go_on, walk))

    def _walk(self, row: int, index: int) -> SimProcess:
        """Walk from a node until the instance ends, waits, or has to wait for its branches."""
        while index >= 0 and not self.outcomes[row]:  # it may have failed in another branch
            node = self.graph.nodes[index]
            if isinstance(node, Work):
                yield from self._work_at(node, row)
                index = node.next
            elif isinstance(node, Call):
                index = yield from self._call(node, row)
            elif isinstance(node, Await):
                self._arm_soon(self._wait_of(node.call, row))
                index = STANDS
            elif isinstance(node, Choose):
                index = self._choice_at(node, row)
            elif isinstance(node, Fork):
                self._joins[row, node.next] = len(node.heads)
                for head in node.heads:
                    self._start_walk(row, head)
                return
            elif isinstance(node, Join):
                self._joins[row, index] -= 1
                index = STANDS if self._joins[row, index] else node.next
        if index == DONE:
            self._end(row, Outcome.DONE)
        elif index == FAILED:
            self._end(row, Outcome.FAILED)

    def _work_at(self, node: Work | Call, row: int, job: Job = Job.WORK) -> SimProcess:
        """Have a worker do the work of a step or of a call."""
        columns, now = self.columns[node.index], self.clock.now
        columns.queued[row] = columns.started[row] = now
        work = self.numbers.work[node.index][row]
        end = now
        if work:
            columns.started[row], end = self.workers.book(job, now, work)
            yield self.clock.at(end, order(Kind.WORK_ENDED, row, node.number))
        if job is Job.WORK:
            columns.ended[row] = end

    def _call(self, node: Call, row: int) -> Generator[simpy.Event, Any, int]:
        """Make the call and leave the record of a wait; return where to go on at once."""
        step = node.step
        number, now = self.activation(node, row), self.clock.now
        wait = Wait(self.serial_number(node, row), row, node.index, number, now)
        self.waits.register(wait)
        if step.arm == "before call":
            self._arm(wait)
        yield from self._work_at(node, row, Job.CALL)
        response = self._response_to(wait, node)
        if response != "accepted":
            return self._go_on_at_once(wait, node, response)
        if node.on_accepted == STANDS:
            self._arm_soon(wait)
        self._desks[step.system].submit(WorkItem(wait, self.numbers.times[node.index][row]))
        return node.on_accepted

    def _arm_soon(self, wait: Wait) -> None:
        """Arm a wait, now or after the delay of its step."""
        delay = self._node(wait).step.arm_delay
        if delay:
            armed_at = self.clock.now + delay
            arming = self.clock.at(armed_at, order(Kind.ARMING, wait.row, wait.number))
            arming.callbacks.append(lambda _: self._arm(wait))
        else:
            self._arm(wait)

    def _wait_of(self, call: int, row: int) -> Wait:
        node = self.graph.nodes[call]
        assert isinstance(node, Call)
        return self.waits.records[self.serial_number(node, row)]

    def serial_number(self, node: Call, row: int) -> str:
        """Return the serial number of a wait: a log's own, or instance and activation."""
        system = self.scenario.systems[node.step.system]
        if isinstance(system, Recorded) and system.serial_numbers:
            return system.serial_numbers[row]
        return f"{row + 1}_{self.activation(node, row)}"

    def activation(self, node: Call, row: int) -> int:
        """Return the activation number under which an instance waits at a call now."""
        return node.number

    def _choice_at(self, node: Choose, row: int) -> int:
        """Return the first node of the way that an instance takes."""
        return node.head_for(self.numbers.uniforms[node.index][row])

    def _response_to(self, wait: Wait, node: Call) -> str:
        """Return the immediate response to a call."""
        return node.response_to(self.numbers.uniforms[node.index][wait.row])

    def _go_on_at_once(self, wait: Wait, node: Call, response: str) -> int:
        """Skip the wait: the immediate response has said it all."""
        if wait.state not in (State.CALLED, State.ARMED):
            return STANDS  # timed out, or the instance has failed, while the call was being made
        self.waits.cancel(wait, self.clock.now)
        self._closed(wait)
        done = response == "done"
        self._leave(wait, StepOutcome.DONE if done else StepOutcome.REJECTED)
        return node.on_done if done else node.on_rejected

    def _leave(self, wait: Wait, outcome: StepOutcome) -> None:
        columns = self.columns[wait.step]
        columns.ended[wait.row] = self.clock.now
        columns.outcomes[wait.row] = outcome

    def _end(self, row: int, outcome: Outcome) -> None:
        """End an instance; if it failed, what else it was waiting for is cancelled."""
        if self.outcomes[row]:
            return
        self.outcomes[row] = outcome
        self.ended[row] = self.clock.now
        if outcome is Outcome.FAILED:
            for node in self.graph.nodes:
                if isinstance(node, Call):
                    wait = self.waits.records.get(self.serial_number(node, row))
                    if wait is not None and self.waits.cancel(wait, self.clock.now):
                        self._closed(wait)
                        self._leave(wait, StepOutcome.CANCELLED)

    # --- the life of a wait ---------------------------------------------------------------------

    def _arm(self, wait: Wait) -> None:
        if wait.state is not State.CALLED:
            return  # armed before the call, or the instance has failed
        now = self.clock.now
        if self.waits.arm(wait, now):
            self._resume(wait)
            return
        timeout = self._node(wait).step.timeout
        if timeout is not None:
            self._set_deadline(wait, now + timeout)
        if self.skipped:
            if wait.completed <= now:
                self.skipped.completed(wait)
        elif self._watched:
            self._start(self.strategy.wait(StepHandle(self, wait, Kind.CHECK_DUE)))

    def _set_deadline(self, wait: Wait, instant: float) -> None:
        deadline = self.clock.at(instant, order(Kind.TIMEOUT, wait.row, wait.number))
        deadline.callbacks.append(lambda _: self.expire(wait, State.TIMED_OUT))

    def _start(self, process: SimProcess | None) -> None:
        if process is not None:
            self.clock.process(process)

    def _node(self, wait: Wait) -> Call:
        node: Node = self.graph.nodes[wait.step]
        assert isinstance(node, Call)
        return node

    def completed(self, wait: Wait) -> None:
        """Note that the external system has done the work, and let the strategy act on it."""
        if wait.completed < math.inf:
            raise EngineError(f"the work of {wait.serial_number!r} was completed twice")
        wait.completed = self.clock.now
        self.waits.changed(wait)
        self._tell_strategy(wait)
        self._let_see(wait)

    def _let_see(self, wait: Wait) -> None:
        """Let those who ask for a wait see that its work is complete."""
        if wait.state is State.ARMED:
            if self.skipped:
                self.skipped.completed(wait)
            self.lines.let_go(wait)

    def _tell_strategy(self, wait: Wait) -> None:
        if self._notified:
            self._start(self.strategy.notify(StepHandle(self, wait, Kind.SYSTEM)))

    def finish(self, wait: Wait) -> Answer:
        """Finish a step by its serial number; the first one resumes it."""
        answer = self.waits.finish(wait.serial_number, self.clock.now)
        if answer is Answer.FINISHED:
            self._closed(wait)
            self._resume(wait)
        return answer

    def _resume(self, wait: Wait) -> None:
        self._leave(wait, StepOutcome.RESUMED)
        self._start_walk(wait.row, self._node(wait).next)

    def expire(self, wait: Wait, state: State) -> None:
        """Let a wait time out or be given up, if it is still open; the step goes that way."""
        if self.waits.expire(wait, self.clock.now, state):
            self._closed(wait)
            self._leave(wait, StepOutcome[state.name])
            self._start_walk(wait.row, self._node(wait).on_timeout)

    def _closed(self, wait: Wait) -> None:
        """Tidy up after a wait: count checks that were skipped, let go of a held line."""
        if self.skipped:
            self.skipped.count(wait)
        self.lines.let_go(wait)

    def key_of(self, what: str, index: int) -> int:
        """Return the key of a strategy's endless table of uniform numbers, for one step."""
        key = self._keys.get((what, index))
        if key is None:
            key = self.draws.key(f"strategy/{what}/{self.graph.nodes[index].name}")
            self._keys[what, index] = key
        return key
