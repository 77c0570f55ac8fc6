"""The reference engine: a scenario played with SimPy, written to be read.

An instance *walks* through the nodes of its process, from event to event (`Simulation._walk`),
until it comes to a call. After the call it leaves a record, a `asyncsim.engine.waits.Wait`, and the
walk ends: a waiting instance is only that record. The finish of the record, by a callback or a
check, starts a new walk from where the record stands. Strategies and external systems are SimPy
processes.
"""

from __future__ import annotations

import gc
import math
from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import simpy

from asyncsim.engine import contexts, messages, result
from asyncsim.engine.columns import DrawLists, StepLists
from asyncsim.engine.environment import Environment, EventKind, Job, Workers, admission, order
from asyncsim.engine.graph import (
    DONE,
    FAILED,
    STANDS,
    Await,
    Call,
    Choose,
    DropOut,
    Fork,
    Graph,
    Join,
    Node,
    Pause,
    RaceEnd,
    RaceStart,
    Work,
)
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.errors import EngineError
from asyncsim.model.distributions import Fixed
from asyncsim.model.mixed_strategies import StrategyLike, as_strategy
from asyncsim.model.outages import PARTS, Downtime, downtime
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import clock_deadlines, noticed_at
from asyncsim.model.strategies import SimProcess, Strategy
from asyncsim.model.units import DurationLike, positive_duration
from asyncsim.model.validation import argument, scenario_error


class Simulation:
    """A scenario being played; it can be stopped at any instant, inspected, and continued.

    Parameters
    ----------
    scenario, strategy
        What is played, and how its waiting steps notice completion.
    draws
        The random numbers; by default drawn from `seed` and `replication`.
    seed, replication
        Keys of the random numbers.
    resolution
        Width of the time bins of the server's load.
    waits
        The records of waits; by default in memory.

    Examples
    --------
    >>> simulation = sim.Simulation(sim.Scenario.load("example:nightly_ledger"), sim.Callback())
    >>> simulation.run(until="21h")
    >>> simulation.live_processes  # the ledger; the orders that wait for it are records
    1
    """

    skips_checks = True  # that take no worker: they are counted in the end

    def __init__(
        self,
        scenario: Scenario,
        strategy: StrategyLike,
        draws: Draws | None = None,
        *,
        seed: int = 0,
        replication: int = 0,
        resolution: DurationLike = 60.0,
        waits: Waits | None = None,
    ) -> None:
        strategy = check_played(scenario, strategy, draws)
        self.scenario, self.strategy = scenario, strategy
        self.graph = Graph.of(scenario.process)
        self.strategies = {
            node.index: strategy.for_step(node.step)
            for node in self.graph.nodes
            if isinstance(node, Call)
        }
        draws = scenario.draw(seed, replication) if draws is None else draws
        self.draws = draws.completed_for(scenario)
        skips = self.skips_checks and not scenario.hides_completions
        self.skipped = contexts.CheckFastForward.of(self) if skips else None
        self.clock = self.skipped.clock if self.skipped else Environment()
        self.waits = waits or Waits(scenario.server.policy)
        server = scenario.server
        self.endpoint, workers, self.poller = (self._downtime(part) for part in PARTS)
        store, width = server.store if server.has_store else None, seconds("resolution", resolution)
        self.workers = Workers(server.workers, width, store, server.slows_down, workers)
        self.poll_work, self.callback_work = server.poll_work, server.callback_work
        self.check_seconds, self.callback_seconds = server.check_seconds, server.callback_seconds
        delay = server.engine_delay
        self._engine_delay = None if delay == Fixed(0.0) else delay
        self.admission = admission(server.finish_limit)
        self.connections = messages.HeldConnections(self.clock)
        self.arrived = 0
        self.deliveries = messages.DeliveryLog()
        self.collections: set[float] = set()
        self.plans: dict[str, float | contexts.ExternalSystemContext] = {}
        self.stopped = False  # whether the last run was stopped at an instant
        self._assumed_complete: set[str] = set()
        self._withdrawable: dict[str, contexts.WorkItem] = {}  # of open waits
        self._between: set[str] = set()  # called and accepted, but not armed before other steps
        self._joins: dict[tuple[int, int], int] = {}
        self._over: dict[int, list[range]] = {}  # nodes of lost or failed branches, by row
        self._failed_branches: Counter[tuple[int, int]] = Counter()  # of a race, by row and finish
        self._keys: dict[tuple[str, int], int] = {}
        self.numbers = DrawLists.of(self.draws, self.graph)
        self.columns = [StepLists(len(self.draws)) for _ in self.graph.nodes]
        self.ended = array("d", [math.nan]) * len(self.draws)
        self.outcomes = [result.Outcome.RUNNING] * len(self.draws)
        self._open_systems()
        self._watched = dict(self._watch())
        self.clock.process(self._arrive())

    def _open_systems(self) -> None:
        self._systems: dict[str, contexts.ExternalSystemContext] = {}
        self.senders: dict[str, messages.SenderState] = {}
        index = 0
        for name, system in self.scenario.systems.items():
            context: contexts.ExternalSystemContext | None = None
            for k, link in reversed(list(enumerate(system.links))):
                index += 1
                context = contexts.ExternalSystemContext(self, link, f"{name}/{k}", index, context)
                if name not in self.senders:  # the last link calls back
                    self.senders[name] = messages.SenderState(context.down)
            assert context is not None
            self._systems[name] = context

    def _watch(self) -> Iterator[tuple[int, contexts.SystemWaits]]:
        """Yield, by call, the waits of one strategy at one system, watched together."""
        made: dict[int, contexts.SystemWaits] = {}
        strategies, systems = [*self.strategies.values()], [*self.scenario.systems]
        for call, strategy in self.strategies.items():
            if strategy.watches:
                name = self._node(call).step.system
                index = strategies.index(strategy) * len(systems) + systems.index(name)
                if index not in made:
                    made[index] = contexts.SystemWaits(self, name, index)
                    self._start(strategy.watch(made[index]))
                yield call, made[index]

    def _downtime(self, part: str) -> Downtime | None:
        """Return when a part of the server is down."""
        scenario = self.scenario
        outages, calendar = scenario.server.outages, scenario.calendar
        return downtime(outages, calendar, self.draws.rng, "server", part)

    # --- playing --------------------------------------------------------------------------------

    def run(self, until: DurationLike | None = None) -> None:
        """Play until every instance has ended and no event is left, or until an instant.

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
        """Number of open waits."""
        return self.waits.open_count

    @property
    def live_processes(self) -> int:
        """Number of live SimPy processes of this simulation, counted in memory."""
        return sum(
            1
            for thing in gc.get_objects()
            if type(thing) is simpy.Process and thing.env is self.clock and thing.is_alive
        )

    # --- the path of an instance ----------------------------------------------------------------

    def _arrive(self) -> SimProcess:
        for row, instant in enumerate(self.numbers.arrivals):
            yield self.clock.at(instant, order(EventKind.ARRIVAL, row))
            self.arrived = row + 1
            self._enter(row)

    def _enter(self, row: int) -> None:
        """Start an instance, and set its own deadline before those of its steps."""
        if (timeout := self.scenario.process.timeout) is not None:
            key = order(EventKind.TIMEOUT, row)
            due = self.noticed(self.clock.now + timeout)
            self.clock.call_at(due, key, lambda: self._end(row, result.Outcome.TIMED_OUT))
        self._start_walk(row, self.graph.start)

    def _start_walk(self, row: int, index: int) -> None:
        self._advance(self._walk(row, index))

    def _advance(self, walk: SimProcess, _: simpy.Event | None = None) -> None:
        """Advance a walk to its next event; a SimPy process would need two events more."""
        event = next(walk, None)
        if event is not None:
            assert event.callbacks is not None
            event.callbacks.append(partial(self._advance, walk))

    def _walk(self, row: int, index: int) -> SimProcess:
        """Walk from a node until the instance ends, waits, or must wait for its branches."""
        while index >= 0 and self._plays(row, index):
            node = self.graph.nodes[index]
            if isinstance(node, Work):
                yield from self._work_at(node, row)
                index = node.next
            elif isinstance(node, Call):
                index = yield from self._call(node, row)
            elif isinstance(node, Pause):
                yield from self._pause_at(node, row)
                index = node.next
            else:
                index = self._pass(node, row)
        if index in (DONE, FAILED):
            self._end(row, result.Outcome.DONE if index == DONE else result.Outcome.FAILED)

    def _pass(self, node: Node, row: int) -> int:
        """Pass a node that takes no time; return the node to continue at."""
        if isinstance(node, Await):
            self._arm_after(self.waits.records[self.serial_number(self._node(node.call), row)])
        elif isinstance(node, Choose):
            return self._choice_at(node, row)
        elif isinstance(node, Fork):
            ways = node.enough if isinstance(node, RaceStart) else len(node.heads)
            self._joins[row, node.next] = ways
            for head in node.heads:
                self._start_walk(row, head)
        elif isinstance(node, Join):
            self._joins[row, node.index] -= 1
            if not self._joins[row, node.index]:
                if isinstance(node, RaceEnd) and node.losers == "cancel":
                    self._stop(node.nodes, row)
                return node.next
        elif isinstance(node, DropOut):
            return self._drop_out(node, row)
        return STANDS

    def _plays(self, row: int, index: int) -> bool:
        """Return whether an instance plays a node: it may have failed, or lost a race, meanwhile.

        The losers of a race may go on after the instance is done.
        """
        if self.outcomes[row] in (result.Outcome.FAILED, result.Outcome.TIMED_OUT):
            return False
        return not any(index in part for part in self._over.get(row, ())) if self._over else True

    def _pause_at(self, node: Pause, row: int) -> SimProcess:
        """Let a time pass that takes no worker."""
        columns, now = self.columns[node.index], self.clock.now
        columns.queued[row] = columns.started[row] = now
        if time := self.numbers.work[node.index][row]:
            yield self.clock.at(now + time, order(EventKind.WORK_ENDED, row, node.number))
        if self._plays(row, node.index):  # else the delay was cut short
            columns.ended[row] = self.clock.now

    def _drop_out(self, node: DropOut, row: int) -> int:
        """End a failed branch of a race; if too few are left to decide it, the race has failed."""
        finish = self.graph.nodes[node.next]
        assert isinstance(finish, RaceEnd)
        self._stop(finish.branches[node.branch], row)
        self._failed_branches[row, finish.index] += 1
        if self._failed_branches[row, finish.index] <= len(finish.branches) - finish.ways:
            return STANDS
        self._stop(finish.nodes, row)
        return finish.on_failed

    def _stop(self, nodes: range, row: int) -> None:
        """Start no further step at some nodes, and cancel the waits there."""
        self._over.setdefault(row, []).append(nodes)
        self._cancel(self.graph.nodes[nodes.start : nodes.stop], row)

    def _cancel(self, nodes: Sequence[Node], row: int, late: bool = False) -> None:
        """Cancel the waits of an instance at some nodes, or let them time out."""
        ends, now = self.waits.expire if late else self.waits.cancel, self.clock.now
        for node in nodes:
            if isinstance(node, Call):
                wait = self.waits.records.get(self.serial_number(node, row))
                if wait is not None and ends(wait, now):
                    self._closed(wait)
                    self._leave(wait, result.StepOutcome[wait.state.name])

    def _work_at(self, node: Work | Call, row: int, job: Job = Job.WORK) -> SimProcess:
        """Occupy a worker with the work of a step or of a call."""
        columns, now = self.columns[node.index], self.clock.now
        columns.queued[row] = columns.started[row] = now
        work = self.numbers.work[node.index][row]
        end = now
        if work:
            columns.started[row], end = self.workers.book(job, now, work)
            yield self.clock.at(end, order(EventKind.WORK_ENDED, row, node.number))
        if job is Job.WORK:
            columns.ended[row] = end

    def _call(self, node: Call, row: int) -> Generator[simpy.Event, Any, int]:
        """Make the call and leave the record of a wait; return the node to continue at."""
        step = node.step
        place = row, node.index, self.activation(node, row)
        wait = Wait(self.serial_number(node, row), *place, self.clock.now)
        self.waits.register(wait)
        if step.step_timeout is not None or step.until is not None:
            self._set_deadline(wait)
        if step.arm == "before call":
            self._arm(wait)
        yield from self._work_at(node, row, Job.CALL)
        response = self._response_to(wait, node)
        if response != "accepted":
            return self._skip_wait(wait, node, response)
        is_open = wait.state in (State.CALLED, State.ARMED)  # not timed out during the call
        if is_open and node.on_accepted == STANDS:
            self._arm_soon(wait)
        elif is_open:
            self._between.add(wait.serial_number)
        if is_open or not step.withdraw:
            times = self.numbers.times[node.index][row]
            item = contexts.WorkItem(wait.serial_number, row + 1, wait.number, times)
            if step.withdraw:
                self._withdrawable[wait.serial_number] = item
            self._systems[step.system].submit(item)
        return node.on_accepted if is_open else STANDS

    def _arm_after(self, wait: Wait) -> None:
        """Arm a wait after `on_accepted`, or time it out if its deadline was noticed meanwhile."""
        self._between.discard(wait.serial_number)
        if self.noticed(self.deadline(wait)) <= self.clock.now:
            self.expire(wait, State.TIMED_OUT)
        else:
            self._arm_soon(wait)

    def _arm_soon(self, wait: Wait) -> None:
        """Arm a wait, now or after the delay of its step."""
        if delay := self._node(wait.step).step.arm_delay:
            key = order(EventKind.ARMING, wait.row, wait.number)
            self.clock.call_at(self.clock.now + delay, key, lambda: self._arm(wait))
        else:
            self._arm(wait)

    def serial_number(self, node: Call, row: int) -> str:
        """Return the serial number of a wait: a log's own, or instance and activation."""
        logged = self.scenario.systems[node.step.system].serial_numbers
        return logged[row] if logged else f"{row + 1}_{self.activation(node, row)}"

    def activation(self, node: Call, row: int) -> int:
        """Return the activation number under which an instance waits at a call now."""
        return node.number

    def _choice_at(self, node: Choose, row: int) -> int:
        """Return the first node of the branch that an instance takes."""
        return node.head_for(self.numbers.uniforms[node.index][row])

    def _response_to(self, wait: Wait, node: Call) -> str:
        """Return the immediate response to a call."""
        return node.response_to(self.numbers.uniforms[node.index][wait.row])

    def _skip_wait(self, wait: Wait, node: Call, response: str) -> int:
        """Skip the wait of a call that was done or rejected; return the node to continue at."""
        if wait.state not in (State.CALLED, State.ARMED):
            return STANDS  # timed out, or the instance has failed, during the call
        self.waits.cancel(wait, self.clock.now)
        self._closed(wait)
        self._leave(wait, result.StepOutcome[response.upper()])
        return node.on_done if response == "done" else node.on_rejected

    def _leave(self, wait: Wait, outcome: result.StepOutcome) -> None:
        columns = self.columns[wait.step]
        columns.ended[wait.row] = self.clock.now
        columns.outcomes[wait.row] = outcome

    def _end(self, row: int, outcome: result.Outcome) -> None:
        """End an instance; if it failed or timed out, its other waits end."""
        if self.outcomes[row]:
            return
        self.outcomes[row], self.ended[row] = outcome, self.clock.now
        if outcome is not result.Outcome.DONE:
            self._cancel(self.graph.nodes, row, late=outcome is result.Outcome.TIMED_OUT)

    def sender_of(self, wait: Wait) -> messages.SenderState:
        """Return the state of the system that completes a wait, as a sender of callbacks."""
        return self.senders[self._node(wait.step).step.system]

    # --- the life of a wait ---------------------------------------------------------------------

    def _arm(self, wait: Wait) -> None:
        if wait.state is not State.CALLED:
            return  # armed before the call, or the instance has failed
        now = self.clock.now
        if self.waits.arm(wait, now):
            self._resume_early(wait)
            return
        if self._node(wait.step).step.timeout is not None:
            self._set_deadline(wait)
        strategy = self.strategies[wait.step]
        if self.skips(wait):
            self._see_completion(wait)
            return
        if wait.step in self._watched:
            self._watched[wait.step].opened(wait)
        if strategy.polls:
            self._start(strategy.wait(contexts.WaitContext(self, wait, EventKind.CHECK_DUE)))

    def skips(self, wait: Wait) -> bool:
        """Return whether the checks of a wait are counted, not played."""
        return self.skipped is not None and wait.step in self.skipped.schedules

    def _see_completion(self, wait: Wait) -> None:
        """Schedule the only check of a wait that is played, if its work is complete."""
        if self.skipped and self.skips(wait) and wait.completed <= self.clock.now:
            self.skipped.completed(wait)

    def deadline(self, wait: Wait) -> float:
        """Return when a wait times out at the latest; infinite if it has no deadline now."""
        step, found = self._node(wait.step).step, [math.inf]
        if step.timeout is not None and wait.state is State.ARMED:
            found.append(wait.armed + step.timeout)
        if step.step_timeout is not None:
            found.append(wait.called + step.step_timeout)
        if step.until is not None:
            times = clock_deadlines(step.until, self.scenario.calendar)
            found.append(times.later_than(wait.called))
        return min(found)

    def noticed(self, due: float) -> float:
        """Return when the server notices a deadline."""
        return noticed_at(due, self.scenario.server.timeout_sweep)

    def _set_deadline(self, wait: Wait) -> None:
        """Let a wait time out at its deadline; one that was set before is not later."""
        key = order(EventKind.TIMEOUT, wait.row, wait.number)
        due = self.noticed(self.deadline(wait))
        self.clock.call_at(due, key, lambda: self.expire(wait, State.TIMED_OUT))

    def _start(self, process: SimProcess | None) -> None:
        if process is not None:
            self.clock.process(process)

    def _node(self, index: int) -> Call:
        node = self.graph.nodes[index]
        assert isinstance(node, Call)
        return node

    def completed(self, wait: Wait) -> None:
        """Record the completion of the outside work, and notify the strategy."""
        if wait.serial_number in self._assumed_complete:
            self._notify_strategy(wait)
            return
        if wait.completed < math.inf:
            raise EngineError(f"the work of {wait.serial_number!r} was completed twice")
        wait.completed = self.clock.now
        self.waits.changed(wait)
        self._notify_strategy(wait)
        self._show_completion(wait)

    def _show_completion(self, wait: Wait) -> None:
        """Show the completion to the checks of a wait."""
        if wait.state is State.ARMED:
            self._see_completion(wait)
            if wait.step in self._watched:
                self._watched[wait.step].completed(wait)
            self.connections.release(wait)

    def _notify_strategy(self, wait: Wait) -> None:
        strategy = self.strategies[wait.step]
        if strategy.notifies:
            self._start(strategy.notify(contexts.WaitContext(self, wait, EventKind.SYSTEM)))

    def checked(self, wait: Wait, asked: float, seen: bool) -> None:
        """Handle a check that ends now, begun at `asked`, which saw the completion or not."""
        self.waits.changed(wait)  # its number of checks

    def finish(self, wait: Wait) -> Answer:
        """Finish a step by its serial number; the first one resumes it."""
        answer = self.waits.finish(wait.serial_number, self.clock.now)
        if answer is Answer.FINISHED:
            self._closed(wait)
            self._resume(wait)
        elif answer.kept:
            self._finish_next(wait)
        return answer

    def _finish_next(self, over: Wait) -> None:
        """Finish the open wait of the same step and instance, if there is one, by a kept value."""
        wait = self.waits.take_kept(over, self.clock.now)
        if wait is not None:
            self._closed(wait)
            self._resume_early(wait)

    def _resume_early(self, wait: Wait) -> None:
        """Resume a step by a value that came before; its outside work counts as complete."""
        if wait.completed == math.inf:
            wait.completed = self.clock.now
            self._assumed_complete.add(wait.serial_number)
        self._resume(wait)

    def _resume(self, wait: Wait) -> None:
        """Resume a finished step, after the delay of the engine, for which its wait stays open."""
        delay, now = self._engine_delay, self.clock.now
        if delay is None:
            self._go_on(wait)
            return
        context = contexts.WaitContext(self, wait, EventKind.WORK_ENDED)
        if after := context.duration("engine delay", delay):
            self.waits.keep_open(wait, now)
            key = order(EventKind.WORK_ENDED, wait.row, wait.number)
            self.clock.call_at(now + after, key, lambda: self._go_on(wait))
        else:
            self._go_on(wait)

    def _go_on(self, wait: Wait) -> None:
        if math.isnan(wait.closed):
            self.waits.close(wait, self.clock.now)
        self._leave(wait, result.StepOutcome.RESUMED)
        self._start_walk(wait.row, self._node(wait.step).next)

    def expire(self, wait: Wait, state: State) -> None:
        """Time an open wait out, or give it up; the step follows its `on_timeout`."""
        if wait.serial_number in self._between:
            return  # its deadline counts when the steps in between have ended
        if self.waits.expire(wait, self.clock.now, state):
            self._closed(wait)
            self._leave(wait, result.StepOutcome[state.name])
            self._start_walk(wait.row, self._node(wait.step).on_timeout)

    def _closed(self, wait: Wait) -> None:
        """Count the skipped checks of a wait that is over, and let go of what it holds."""
        if self.skipped:
            self.skipped.count(wait)
        self.connections.release(wait)
        item = self._withdrawable.pop(wait.serial_number, None)
        if item is not None and wait.state is not State.FINISHED:
            item.withdraw()

    def key_of(self, what: str, index: int) -> int:
        """Return the key of a strategy's endless table of uniform numbers, for one step."""
        if (what, index) not in self._keys:
            name = self.graph.nodes[index].stream
            self._keys[what, index] = self.draws.key(f"strategy/{what}/{name}")
        return self._keys[what, index]


# --- the record of a simulation -------------------------------------------------------------------


WAIT_CODES = dict(zip(list(State)[1:], result.WaitOutcome, strict=True))  # in the same order


def record_of(simulation: Simulation) -> result.Record:
    """Return the record of a simulation until now; it can continue afterwards."""
    waits = list(simulation.waits.records.values())  # once: they may lie in a database
    end, n = _end_of(simulation, waits), simulation.arrived
    simulation.waits.count_open(end)
    if simulation.skipped:
        for wait in waits:
            if wait.state is State.ARMED:
                simulation.skipped.count(wait)
    return result.Record(
        engine="simpy",
        end=end,
        arrived=simulation.draws.arrivals[:n],
        ended=np.array(simulation.ended[:n], dtype=float),
        outcomes=np.array(simulation.outcomes[:n], dtype=np.int64),
        steps=[
            lists.until(n, isinstance(node, Call))
            for node, lists in zip(simulation.graph.nodes, simulation.columns, strict=True)
        ],
        waits=_wait_columns(waits),
        deliveries=simulation.deliveries.columns(),
        loads=simulation.workers.load_until(end),
        resolution=simulation.workers.loads[0].resolution,
        longest_queue=simulation.workers.longest_queue,
        open_seconds=simulation.waits.open_seconds,
        open_count=simulation.waits.open_count,
        connection_seconds=simulation.connections.seconds_by(end),
        store_seconds=store.busy_seconds if (store := simulation.workers.store) else 0.0,
        stopped=simulation.stopped,
    )


def _end_of(simulation: Simulation, waits: Sequence[Wait]) -> float:
    """Return the instant of the stop, otherwise of the last event that counts."""
    if simulation.stopped:
        return simulation.now
    instants = [simulation.workers.last_end, *simulation.draws.arrivals[: simulation.arrived]]
    if any(isinstance(node, Pause) for node in simulation.graph.nodes):  # which may come last
        instants += [
            t for part in [simulation.ended, *(c.ended for c in simulation.columns)] for t in part
        ]
    instants += [t for w in waits for t in (w.called, w.armed, w.completed, w.closed)]
    instants += [t for d in simulation.deliveries for t in (d.sent, d.arrived, d.handled)]
    return float(max((t for t in instants if t < math.inf), default=0.0))  # NaN is not below


def _wait_columns(waits: Sequence[Wait]) -> result.WaitColumns:
    armed = [w for w in waits if not math.isnan(w.armed)]
    armed.sort(key=lambda w: (w.row, w.number))
    columns: dict[str, Any] = {}
    for name in ("called", "armed", "completed", "closed"):
        columns[name] = np.array([getattr(w, name) for w in armed], dtype=float)
    outcome = np.array([WAIT_CODES[w.state] for w in armed], dtype=np.int64)
    outcome[np.isnan(columns["closed"])] = result.WaitOutcome.WAITING  # finished, not yet resumed
    for name in ("row", "step", "checks", "wasted_checks", "deliveries"):
        columns[name] = np.array([getattr(w, name) for w in armed], dtype=np.int64)
    columns["completed"][np.isinf(columns["completed"])] = np.nan
    return result.WaitColumns(
        node=columns.pop("step"),
        outcome=outcome,
        serial_numbers=[w.serial_number for w in armed],
        **columns,
    )


# --- arguments ------------------------------------------------------------------------------------


def check_played(scenario: Scenario, strategy: StrategyLike, draws: Draws | None) -> Strategy:
    """Return the strategy of arguments that are a scenario, a strategy, and draws or None."""
    check_scenario(scenario)
    found = as_strategy("strategy", strategy, scenario)
    if not isinstance(draws, Draws | None):
        raise scenario_error("draws", "must be Draws, or left out", draws)
    return found


def check_scenario(scenario: Scenario) -> None:
    """Raise a ScenarioError unless the value is a scenario."""
    if not isinstance(scenario, Scenario):
        raise scenario_error("scenario", "must be a Scenario", scenario)


def seconds(name: str, value: DurationLike, after: float = 0.0) -> float:
    """Return a positive duration in seconds; as an instant it must be later than the present."""
    found = argument(name, value, positive_duration)
    if found <= after:
        raise scenario_error(name, f"must be later than the present ({after} s)", value)
    return found
