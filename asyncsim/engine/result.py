"""The record of a run as arrays, which every engine returns; with or without its warm-up.

Times are float seconds from the scenario's start. `asyncsim.engine.run.Run` makes tables of them.
"""

from __future__ import annotations

import enum
import math
from typing import Any, TypeVar

import attrs
import numpy as np
import pandas as pd
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.environment import Job, JobLoad
from asyncsim.engine.graph import Call, Graph, Work
from asyncsim.engine.waits import Answer
from asyncsim.errors import EngineError
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.units import DurationLike, positive_duration
from asyncsim.model.validation import argument, scenario_error

# How an instance, an asynchronous step and a wait stand, or have ended
Outcome = enum.IntEnum("Outcome", "RUNNING DONE FAILED TIMED_OUT", start=0)
StepOutcome = enum.IntEnum(
    "StepOutcome", "OPEN RESUMED DONE REJECTED TIMED_OUT GAVE_UP CANCELLED", start=0
)
WaitOutcome = enum.IntEnum("WaitOutcome", "WAITING RESUMED TIMED_OUT GAVE_UP CANCELLED", start=0)

INSTANCE_OUTCOMES, STEP_OUTCOMES, WAIT_OUTCOMES = (
    tuple(outcome.name.lower().replace("_", " ") for outcome in outcomes)
    for outcomes in (Outcome, StepOutcome, WaitOutcome)
)
RATE_LIMITED, ENDPOINT_DOWN = "rate limited", "endpoint down"
REFUSED = (RATE_LIMITED, ENDPOINT_DOWN)  # on arrival
DELIVERY_OUTCOMES = (*(answer.text for answer in Answer), "lost", "dead letter", *REFUSED)
DELIVERY_OUTCOMES += ("switched off",)  # and not sent
"""The answer to a delivery, or its other outcome."""

Codes = NDArray[np.int64]  # indices of one of the tuples above


@define
class StepColumns:
    """Times of one node, one entry per instance; NaN where it was not reached (yet)."""

    queued: Floats
    started: Floats
    ended: Floats
    outcome: Codes | None = None  # of calls, in `StepOutcome`; None for plain work


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
    outcome: Codes  # in `WaitOutcome`
    serial_numbers: list[str] | None = None  # None where they follow from instance and node

    @property
    def resumed(self) -> NDArray[np.bool_]:
        """Which waits resumed their step."""
        return np.asarray(self.outcome == WaitOutcome.RESUMED)


@define
class DeliveryColumns:
    """All deliveries, in the order in which their outcomes were known."""

    row: NDArray[np.int64]
    node: NDArray[np.int64]
    attempt: NDArray[np.int64]
    sent: Floats
    arrived: Floats
    handled: Floats
    outcome: Codes  # in `DELIVERY_OUTCOMES`
    serial_numbers: list[str] | None = None


@define
class Record:
    """Everything that happened in a run."""

    engine: str
    end: float  # the instant up to which it was played; no metric includes anything later
    arrived: Floats  # until `end`; `ended` and `outcomes` have the same order
    ended: Floats
    outcomes: Codes
    steps: list[StepColumns]
    waits: WaitColumns
    deliveries: DeliveryColumns
    loads: dict[Job, JobLoad]
    resolution: float
    longest_queue: float
    open_seconds: float  # time integral of the open waits, counted during the run
    open_count: int
    connection_seconds: float
    begin: float | None = None  # the end of a warm-up that was removed (`without_warm_up`)
    store_seconds: float = 0.0  # busy seconds of the store's writers
    stopped: bool = False  # whether it was stopped at `end`, or came to its own end

    @property
    def last_end(self) -> float:
        """The end of the last wait or instance, or of a run that was stopped or left any open."""
        is_open = self.open_count or np.any(self.outcomes == Outcome.RUNNING)
        if self.stopped or is_open or not len(self.arrived):
            return self.end
        both = np.concatenate([self.ended, self.waits.closed])
        return float(np.fmax.reduce(both, initial=self.arrived[0]))

    @property
    def span(self) -> float:
        """Seconds from the first arrival, or the end of the warm-up, to `last_end`."""
        if self.begin is not None:
            return max(self.last_end - self.begin, 0.0)
        return self.last_end - float(self.arrived[0]) if len(self.arrived) else 0.0

    def busy_seconds(self, server: WorkflowServer) -> float:
        """Return the busy worker-seconds until `last_end`, to within one bin of the load."""
        last, width = self.last_end, self.resolution
        if last >= self.end:
            return sum(load.busy_seconds for load in self.loads.values())
        busy = np.sum([load.busy for load in self.loads.values()], axis=0) * width
        first = self.begin or 0.0
        k = int((last - first) // width)
        edge = first + k * width
        handled = self.deliveries.handled
        begun = np.maximum(handled - server.callback_seconds, last)
        later = np.nansum(np.maximum(np.minimum(handled, edge + width) - begun, 0.0))
        most = server.workers * (last - edge)
        return float(busy[:k].sum() + min(max(busy[k] - later, 0.0), most))


# --- warm-up ------------------------------------------------------------------------------------

WHOLE_RUN = ("longest_queue", "connection_time")  # metrics that are known of whole runs only
C = TypeVar("C", StepColumns, WaitColumns, DeliveryColumns)


def warm_up_of(name: str, value: DurationLike, scenario: Scenario, resolution: float) -> float:
    """Return a warm-up in seconds, shorter than the scenario, and a multiple of the resolution."""
    found = argument(name, value, positive_duration)
    if found >= scenario.length:
        right = f"must be shorter than the scenario ({scenario.length:g} s)"
        raise scenario_error(name, right, value)
    if not is_bin_edge(found, resolution):
        right = f"must be a multiple of {resolution:g} s, the bins of the load"
        raise scenario_error(name, right, value)
    return found


def is_bin_edge(instant: float, resolution: float) -> bool:
    """Return whether an instant lies between two bins of the load."""
    return abs(instant / resolution - round(instant / resolution)) < 1e-9


def without_warm_up(record: Record, begin: float) -> Record:
    """Return the record of a whole run without its warm-up; the record itself at 0.

    Instances that arrived before `begin` (in seconds, between two bins of the load) are removed
    with their steps, waits and deliveries. The load and the open waits are those of the time from
    then on, whichever instance caused them. The metrics of `WHOLE_RUN` become NaN.
    """
    if not begin:
        return record
    assert is_bin_edge(begin, record.resolution), "load is kept per bin"
    first = int(np.searchsorted(record.arrived, begin))
    rows = np.arange(len(record.arrived))
    waits = _kept(record.waits, record.waits.row, first)
    until = np.where(np.isnan(record.waits.closed), record.end, record.waits.closed)
    since = np.maximum(record.waits.armed, begin)
    k = round(begin / record.resolution)
    loads = {job: _load(load, k, record.resolution) for job, load in record.loads.items()}
    noticed, kept_jobs = (
        sum(found[job].jobs for job in (Job.CHECK, Job.CALLBACK)) for found in (record.loads, loads)
    )
    return attrs.evolve(
        record,
        store_seconds=record.store_seconds * kept_jobs / max(noticed, 1),
        begin=begin,
        arrived=record.arrived[first:],
        ended=record.ended[first:],
        outcomes=record.outcomes[first:],
        steps=[_kept(columns, rows, first) for columns in record.steps],
        waits=waits,
        deliveries=_kept(record.deliveries, record.deliveries.row, first),
        loads=loads,
        longest_queue=math.nan,
        open_seconds=float(np.maximum(until - since, 0.0).sum()),
        open_count=int(np.sum(waits.outcome == WaitOutcome.WAITING)),
        connection_seconds=math.nan,
    )


def _kept(columns: C, row: NDArray[np.int64], first: int) -> C:
    """Return the entries of instances from a row on, numbered from 0 again."""
    keep = row >= first
    found: dict[str, Any] = attrs.asdict(columns, recurse=False)
    for name, values in found.items():
        if isinstance(values, list):
            found[name] = [value for value, kept in zip(values, keep.tolist(), strict=True) if kept]
        elif values is not None:
            found[name] = values[keep]
    if "row" in found:
        found["row"] -= first
    return type(columns)(**found)


def _load(load: JobLoad, k: int, resolution: float) -> JobLoad:
    started, busy, queue = load.started[k:], load.busy[k:], load.queue[k:]
    totals = float(busy.sum()) * resolution, float(queue.sum()) * resolution
    return JobLoad(round(float(started.sum())), *totals, started, busy, queue)


# --- for tables -----------------------------------------------------------------------------------


def time_since(moments: Floats, edges: Floats) -> Floats:
    """Return, at each edge, the sum of the times since all earlier moments."""
    sums = np.concatenate([[0.0], np.cumsum(moments)])
    before = np.searchsorted(moments, edges)
    return np.asarray(before * edges - sums[before])


def with_timestamps(
    table: pd.DataFrame, calendar: Calendar, columns: tuple[str, ...]
) -> pd.DataFrame:
    """Return the table with a timestamp column beside each of the columns of seconds."""
    stamps = {f"{name}_at": calendar.timestamps(table[name].to_numpy()) for name in columns}
    return table.assign(**stamps)


# --- invariants -----------------------------------------------------------------------------------

RELATIVE = 1e-6  # difference allowed between sums of floats in different orders


def check_invariants(record: Record, scenario: Scenario) -> None:
    """Raise an `EngineError` with the first invariant that a run violates, and its numbers."""
    _check_times(record)
    _check_flow(record)
    workers = scenario.server.workers
    busy = np.sum([load.busy for load in record.loads.values()], axis=0)
    if busy.max(initial=0.0) > workers * (1 + RELATIVE):
        raise _broken("utilisation", f"{busy.max():.6f} of {workers} workers were busy")
    _check_little(record, Graph.of(scenario.process))


def _broken(invariant: str, how: str) -> EngineError:
    return EngineError(f"{invariant} invariant broken: {how}")


def _check_times(record: Record) -> None:
    """Check that time only moves forward in every step, wait and instance."""
    for columns in record.steps:
        _ordered("a step was queued", columns.queued, "picked up", columns.started)
        _ordered("a step was queued", columns.queued, "ended", columns.ended)
    w = record.waits
    _ordered("a step was called", w.called, "its wait armed", w.armed)
    _ordered("a wait was armed", w.armed, "closed", w.closed)
    resumed = w.resumed
    _ordered("work was completed", w.completed[resumed], "its step resumed", w.closed[resumed])
    if np.isnan(w.completed[resumed]).any():
        raise _broken("times", "a step resumed whose work was never completed")
    _ordered("an instance arrived", record.arrived, "ended", record.ended)


def _ordered(first: str, earlier: Floats, then: str, later: Floats) -> None:
    wrong = earlier > later  # NaN, not reached, is never wrong
    if wrong.any():
        k = int(np.argmax(wrong))
        raise _broken("times", f"{first} at {earlier[k]} s and {then} at {later[k]} s")


def _check_flow(record: Record) -> None:
    """Check that every wait and instance that began has ended or is still open."""
    still = int(np.sum(record.waits.outcome == WaitOutcome.WAITING))
    if still != record.open_count:
        how = f"{still} waits are open in the table, {record.open_count} counted"
        raise _broken("flow", how)
    resumed = int(record.waits.resumed.sum())
    calls = [columns.outcome for columns in record.steps if columns.outcome is not None]
    left = sum(int(np.sum(outcome == StepOutcome.RESUMED)) for outcome in calls)
    if resumed != left:
        raise _broken("flow", f"{resumed} waits resumed, but {left} steps continued")
    ended = int(np.sum(~np.isnan(record.ended)))
    if ended != int(np.sum(record.outcomes != Outcome.RUNNING)):
        raise _broken("flow", "an instance ended without an outcome")


def _check_little(record: Record, graph: Graph) -> None:
    """Check Little's law for the open waits and for the queue of the server.

    Little (1961): the time integral of the number present equals the sum of the times spent.
    """
    w = record.waits
    spent = float(np.sum(np.where(np.isnan(w.closed), record.end, w.closed) - w.armed))
    _same("open waits", record.open_seconds, spent, scale=spent)
    for job, kind in ((Job.WORK, Work), (Job.CALL, Call)):
        queued = 0.0
        for node, columns in zip(graph.nodes, record.steps, strict=True):
            if isinstance(node, kind):
                started = np.minimum(columns.started, record.end)
                queued += float(np.nansum(started - columns.queued))
        by_bins = float(record.loads[job].queue.sum()) * record.resolution
        scale = max(record.end * RELATIVE, queued)
        _same(f"queue of {job.name.lower()} jobs", by_bins, queued, scale)


def _same(what: str, integral: float, spent: float, scale: float) -> None:
    if abs(integral - spent) > RELATIVE * max(scale, 1.0):
        raise EngineError(
            f"Little's law broken for the {what}: {integral} s counted over time, {spent} s spent"
        )
