"""What happened in a run, as arrays: the one thing every engine hands over."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.waits import State
from asyncsim.engine.workers import Job, JobLoad
from asyncsim.model.durations import Floats

if TYPE_CHECKING:
    from asyncsim.engine.simpy_engine import Simulation


class Outcome(enum.IntEnum):
    """How an instance stands."""

    RUNNING = 0
    DONE = 1
    FAILED = 2


@define
class StepColumns:
    """One node's times, one entry per instance; NaN where it was not reached (yet)."""

    queued: list[float]
    started: list[float]
    ended: list[float]
    outcomes: dict[int, str]
    """How calls ended, by instance; plain work has no entry."""

    def first(self, n: int) -> StepColumns:
        """Return a copy of the columns of the first n instances."""
        return StepColumns(self.queued[:n], self.started[:n], self.ended[:n], dict(self.outcomes))

    @classmethod
    def empty(cls, n: int) -> StepColumns:
        """Return columns for n instances that have not come here yet."""
        return cls([math.nan] * n, [math.nan] * n, [math.nan] * n, {})


@define
class WaitColumns:
    """All armed waits, ordered by instance and activation number."""

    row: NDArray[np.int64]
    node: NDArray[np.int64]
    serial_number: list[str]
    called: Floats
    armed: Floats
    completed: Floats
    closed: Floats
    checks: NDArray[np.int64]
    wasted_checks: NDArray[np.int64]
    deliveries: NDArray[np.int64]
    outcome: list[str]


@define
class Record:
    """Everything a run leaves behind."""

    engine: str
    end: float
    """The instant up to which it was played; none of the figures looks beyond."""
    arrived: Floats
    """Instances that have arrived; `ended` and `outcomes` are theirs."""
    ended: Floats
    outcomes: NDArray[np.int64]
    steps: list[StepColumns]
    waits: WaitColumns
    deliveries: list[tuple[str, int, float, float, float, str]]
    loads: dict[Job, JobLoad]
    resolution: float
    longest_queue: int
    open_seconds: float
    """Time integral of the open waits, as counted while they opened and closed."""
    open_count: int
    connection_seconds: float

    @classmethod
    def of(cls, simulation: Simulation) -> Record:
        """Take down what a SimPy simulation has done so far."""
        end, n = _end_of(simulation), simulation.arrived
        simulation.waits.settle(end)
        if simulation.skipped:
            for wait in simulation.waits.records.values():
                if wait.state is State.ARMED:
                    simulation.skipped.count(wait)
        return cls(
            engine="simpy",
            end=end,
            arrived=simulation.draws.arrivals[:n],
            ended=np.array(simulation.ended[:n], dtype=float),
            outcomes=np.array(simulation.outcomes[:n], dtype=np.int64),
            steps=[columns.first(n) for columns in simulation.columns],
            waits=_waits(simulation),
            deliveries=[
                (wait.serial_number, attempt, sent, arrived, handled, outcome)
                for wait, attempt, sent, arrived, handled, outcome in simulation.deliveries
            ],
            loads=simulation.workers.load_until(end),
            resolution=simulation.workers.loads[0].resolution,
            longest_queue=simulation.workers.longest_queue,
            open_seconds=simulation.waits.open_seconds,
            open_count=simulation.waits.open_count,
            connection_seconds=simulation.lines.seconds_by(end),
        )


def _end_of(simulation: Simulation) -> float:
    """Return the instant of the stop, or else of the last thing that happened.

    The clock itself may go on after that, to timers of waits that are long over.
    """
    if simulation.stopped:
        return simulation.now
    waits = simulation.waits.records.values()
    instants = [simulation.workers.last_end, *simulation.draws.arrivals[: simulation.arrived]]
    instants += [t for w in waits for t in (w.called, w.armed, w.completed, w.closed)]
    instants += [t for _, _, *times, _ in simulation.deliveries for t in times]
    return float(max((t for t in instants if t < math.inf), default=0.0))  # NaN is not below


def _waits(simulation: Simulation) -> WaitColumns:
    armed = [w for w in simulation.waits.records.values() if not math.isnan(w.armed)]
    armed.sort(key=lambda w: (w.row, w.number))
    completed = np.array([w.completed for w in armed], dtype=float)
    completed[np.isinf(completed)] = np.nan
    return WaitColumns(
        row=np.array([w.row for w in armed], dtype=np.int64),
        node=np.array([w.step for w in armed], dtype=np.int64),
        serial_number=[w.serial_number for w in armed],
        called=np.array([w.called for w in armed], dtype=float),
        armed=np.array([w.armed for w in armed], dtype=float),
        completed=completed,
        closed=np.array([w.closed for w in armed], dtype=float),
        checks=np.array([w.checks for w in armed], dtype=np.int64),
        wasted_checks=np.array([w.wasted_checks for w in armed], dtype=np.int64),
        deliveries=np.array([w.deliveries for w in armed], dtype=np.int64),
        outcome=["resumed" if w.state is State.FINISHED else w.state.value for w in armed],
    )
