"""What happened in a run, as arrays: the one thing every engine hands over.

A run without its warm-up: what instances did that arrived after it.
"""

from __future__ import annotations

import enum
import math
from typing import Any, TypeVar

import attrs
import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.waits import Answer
from asyncsim.engine.workers import Job, JobLoad
from asyncsim.model.distributions import Floats
from asyncsim.model.server import WorkflowServer


class Outcome(enum.IntEnum):
    """How an instance stands."""

    RUNNING = 0
    DONE = 1
    FAILED = 2


class StepOutcome(enum.IntEnum):
    """How an asynchronous step ended."""

    OPEN = 0
    RESUMED = 1
    DONE = 2
    REJECTED = 3
    TIMED_OUT = 4
    GAVE_UP = 5
    CANCELLED = 6


class WaitOutcome(enum.IntEnum):
    """What became of a wait."""

    WAITING = 0
    RESUMED = 1
    TIMED_OUT = 2
    GAVE_UP = 3
    CANCELLED = 4


def _words(outcomes: type[enum.IntEnum]) -> tuple[str, ...]:
    return tuple(outcome.name.lower().replace("_", " ") for outcome in outcomes)


STEP_OUTCOMES = _words(StepOutcome)
WAIT_OUTCOMES = _words(WaitOutcome)
RATE_LIMITED = "rate limited"
DELIVERY_OUTCOMES = (*(answer.text for answer in Answer), "lost", "dead letter", RATE_LIMITED)
"""What a delivery was answered, or what else became of it."""

Codes = NDArray[np.int64]
"""Outcomes: places in one of the tuples above."""


@define
class StepColumns:
    """One node's times, one entry per instance; NaN where it was not reached (yet)."""

    queued: Floats
    started: Floats
    ended: Floats
    outcome: Codes | None = None
    """How calls ended, of `StepOutcome`; plain work has none."""


@define
class WaitColumns:
    """All armed waits, ordered by instance and activation number."""

    row: NDArray[np.int64]
    node: NDArray[np.int64]
    called: Floats
    armed: Floats
    completed: Floats
    closed: Floats
    checks: NDArray[np.int64]
    wasted_checks: NDArray[np.int64]
    deliveries: NDArray[np.int64]
    outcome: Codes
    """Of `WaitOutcome`."""
    serial_numbers: list[str] | None = None
    """Left out where they follow from instance and node."""

    @property
    def resumed(self) -> NDArray[np.bool_]:
        """Which waits resumed their step."""
        resumed: NDArray[np.bool_] = self.outcome == WaitOutcome.RESUMED
        return resumed


@define
class DeliveryColumns:
    """All deliveries, in the order in which it was known what became of them."""

    row: NDArray[np.int64]
    node: NDArray[np.int64]
    attempt: NDArray[np.int64]
    sent: Floats
    arrived: Floats
    handled: Floats
    outcome: Codes
    """Of `DELIVERY_OUTCOMES`."""
    serial_numbers: list[str] | None = None


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
    deliveries: DeliveryColumns
    loads: dict[Job, JobLoad]
    resolution: float
    longest_queue: float
    open_seconds: float
    """Time integral of the open waits, as counted while they opened and closed."""
    open_count: int
    connection_seconds: float
    begin: float | None = None
    """The end of a warm-up that was cut off (`asyncsim.engine.result`)."""
    stopped: bool = False
    """Whether it was stopped at `end`, or came to its own end."""

    @property
    def last_end(self) -> float:
        """When the last wait and the last instance ended; a late copy of a callback is neither.

        It is the end of the run if that was stopped, or if something is still open.
        """
        is_open = self.open_count or np.any(self.outcomes == Outcome.RUNNING)
        if self.stopped or is_open or not len(self.arrived):
            return self.end
        both = np.concatenate([self.ended, self.waits.closed])
        return float(np.fmax.reduce(both, initial=self.arrived[0]))

    @property
    def span(self) -> float:
        """Seconds from the first arrival, or the end of the warm-up, to the last end."""
        if self.begin is not None:
            return max(self.last_end - self.begin, 0.0)
        return self.last_end - float(self.arrived[0]) if len(self.arrived) else 0.0

    def busy_seconds(self, server: WorkflowServer) -> float:
        """Return the time that workers were busy by the last end.

        What callbacks take after it is left out exactly, other jobs to within one bin of the load.
        """
        last, width = self.last_end, self.resolution
        if last >= self.end:
            return sum(load.busy_seconds for load in self.loads.values())
        busy = np.sum([load.busy for load in self.loads.values()], axis=0) * width
        first = self.begin or 0.0
        k = int((last - first) // width)
        edge = first + k * width
        handled = self.deliveries.handled
        begun = np.maximum(handled - server.callback_work, last)
        later = np.nansum(np.maximum(np.minimum(handled, edge + width) - begun, 0.0))
        most = server.workers * (last - edge)
        return float(busy[:k].sum() + min(max(busy[k] - later, 0.0), most))


WHOLE_RUN = ("longest_queue", "connection_time")
"""Figures that are known of whole runs only."""
C = TypeVar("C", WaitColumns, DeliveryColumns)


def on_bins(instant: float, resolution: float) -> bool:
    """Tell whether an instant lies between two bins of the load."""
    return abs(instant / resolution - round(instant / resolution)) < 1e-9


def cut(record: Record, begin: float) -> Record:
    """Return what is left of a run without its warm-up; the run itself at 0.

    Instances that arrived before are left out with their steps, waits and deliveries. What the
    workers did and how many waits were open is that of the time from then on, whoever caused it.
    Of the longest queue and of held connections only whole runs are known: they are NaN.

    Parameters
    ----------
    record
        What happened.
    begin
        End of the warm-up, in seconds from the scenario's start, between two bins of the load.
    """
    if not begin:
        return record
    assert on_bins(begin, record.resolution), "load is kept per bin"
    first = int(np.searchsorted(record.arrived, begin))
    waits = _of_rows(record.waits, first)
    stood = np.where(np.isnan(record.waits.closed), record.end, record.waits.closed)
    since = np.maximum(record.waits.armed, begin)
    k = round(begin / record.resolution)
    return attrs.evolve(
        record,
        begin=begin,
        arrived=record.arrived[first:],
        ended=record.ended[first:],
        outcomes=record.outcomes[first:],
        steps=[_steps(columns, first) for columns in record.steps],
        waits=waits,
        deliveries=_of_rows(record.deliveries, first),
        loads={job: _load(load, k, record.resolution) for job, load in record.loads.items()},
        longest_queue=math.nan,
        open_seconds=float(np.maximum(stood - since, 0.0).sum()),
        open_count=int(np.sum(waits.outcome == WaitOutcome.WAITING)),
        connection_seconds=math.nan,
    )


def _steps(columns: StepColumns, first: int) -> StepColumns:
    return StepColumns(
        columns.queued[first:],
        columns.started[first:],
        columns.ended[first:],
        None if columns.outcome is None else columns.outcome[first:],
    )


def _of_rows(columns: C, first: int) -> C:
    """Return what belongs to instances from a row on; they are numbered from 0 again."""
    keep = columns.row >= first
    changes: dict[str, Any] = {
        name: _kept(values, keep)
        for name, values in attrs.asdict(columns, recurse=False).items()
        if values is not None
    }
    return attrs.evolve(columns, **(changes | {"row": columns.row[keep] - first}))


def _kept(values: NDArray[np.generic] | list[str], keep: NDArray[np.bool_]) -> Any:
    if isinstance(values, list):
        return [value for value, kept in zip(values, keep.tolist(), strict=True) if kept]
    return values[keep]


def _load(load: JobLoad, k: int, resolution: float) -> JobLoad:
    started, busy, queue = load.started[k:], load.busy[k:], load.queue[k:]
    return JobLoad(
        round(float(started.sum())),
        float(busy.sum()) * resolution,
        float(queue.sum()) * resolution,
        started,
        busy,
        queue,
    )
