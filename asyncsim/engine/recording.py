"""Taking down what a SimPy simulation has done so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asyncsim.engine.graph import Call, Node
from asyncsim.engine.record import (
    DELIVERY_OUTCOMES,
    DeliveryColumns,
    Record,
    StepColumns,
    WaitColumns,
    WaitOutcome,
)
from asyncsim.engine.simpy_engine import Simulation, StepLists
from asyncsim.engine.waits import State, Wait

WAIT_CODES = {
    State.ARMED: WaitOutcome.WAITING,
    State.FINISHED: WaitOutcome.RESUMED,
    State.TIMED_OUT: WaitOutcome.TIMED_OUT,
    State.GAVE_UP: WaitOutcome.GAVE_UP,
    State.CANCELLED: WaitOutcome.CANCELLED,
}


def record_of(simulation: Simulation) -> Record:
    """Return all that has happened in a simulation so far; it can go on afterwards."""
    waits = list(simulation.waits.records.values())  # once: they may lie in a database
    end, n = _end_of(simulation, waits), simulation.arrived
    simulation.waits.settle(end)
    if simulation.skipped:
        for wait in waits:
            if wait.state is State.ARMED:
                simulation.skipped.count(wait)
    pairs = zip(simulation.graph.nodes, simulation.columns, strict=True)
    return Record(
        engine="simpy",
        end=end,
        arrived=simulation.draws.arrivals[:n],
        ended=np.array(simulation.ended[:n], dtype=float),
        outcomes=np.array(simulation.outcomes[:n], dtype=np.int64),
        steps=[_steps(node, lists, n) for node, lists in pairs],
        waits=_waits(waits),
        deliveries=_deliveries(simulation),
        loads=simulation.workers.load_until(end),
        resolution=simulation.workers.loads[0].resolution,
        longest_queue=simulation.workers.longest_queue,
        open_seconds=simulation.waits.open_seconds,
        open_count=simulation.waits.open_count,
        connection_seconds=simulation.lines.seconds_by(end),
        stopped=simulation.stopped,
    )


def _end_of(simulation: Simulation, waits: Sequence[Wait]) -> float:
    """Return the instant of the stop, or else of the last thing that happened.

    The clock itself may go on after that, to timers of waits that are long over.
    """
    if simulation.stopped:
        return simulation.now
    instants = [simulation.workers.last_end, *simulation.draws.arrivals[: simulation.arrived]]
    instants += [t for w in waits for t in (w.called, w.armed, w.completed, w.closed)]
    instants += [t for d in simulation.deliveries for t in (d.sent, d.arrived, d.handled)]
    return float(max((t for t in instants if t < math.inf), default=0.0))  # NaN is not below


def _waits(waits: Sequence[Wait]) -> WaitColumns:
    armed = [w for w in waits if not math.isnan(w.armed)]
    armed.sort(key=lambda w: (w.row, w.number))
    completed = np.array([w.completed for w in armed], dtype=float)
    completed[np.isinf(completed)] = np.nan
    return WaitColumns(
        row=np.array([w.row for w in armed], dtype=np.int64),
        node=np.array([w.step for w in armed], dtype=np.int64),
        called=np.array([w.called for w in armed], dtype=float),
        armed=np.array([w.armed for w in armed], dtype=float),
        completed=completed,
        closed=np.array([w.closed for w in armed], dtype=float),
        checks=np.array([w.checks for w in armed], dtype=np.int64),
        wasted_checks=np.array([w.wasted_checks for w in armed], dtype=np.int64),
        deliveries=np.array([w.deliveries for w in armed], dtype=np.int64),
        outcome=np.array([WAIT_CODES[w.state] for w in armed], dtype=np.int64),
        serial_numbers=[w.serial_number for w in armed],
    )


def _steps(node: Node, lists: StepLists, n: int) -> StepColumns:
    outcome = None
    if isinstance(node, Call):
        outcome = np.array(lists.outcomes[:n], dtype=np.int64)
    queued, started, ended = (
        np.array(part[:n], dtype=float) for part in (lists.queued, lists.started, lists.ended)
    )
    return StepColumns(queued, started, ended, outcome)


def _deliveries(simulation: Simulation) -> DeliveryColumns:
    rows = list(simulation.deliveries)
    codes = {text: code for code, text in enumerate(DELIVERY_OUTCOMES)}
    whole = np.array(
        [(d.row, d.node, d.attempt, codes[d.outcome]) for d in rows],
        dtype=np.int64,
    ).reshape(-1, 4)
    times = np.array([(d.sent, d.arrived, d.handled) for d in rows], dtype=float).reshape(-1, 3)
    row, node, attempt, outcome = whole.T
    sent, arrived, handled = times.T
    serial_numbers = [d.serial_number for d in rows]
    return DeliveryColumns(row, node, attempt, sent, arrived, handled, outcome, serial_numbers)
