"""The record of a run as arrays, which every engine returns, and the tidy tables made from it.

Times are float seconds from the scenario's start; in tables the main ones have a timestamp column
beside them, whose name ends in ``_at``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import attrs
import numpy as np
import pandas as pd
from attrs import asdict, define, frozen
from numpy.typing import NDArray

from asyncsim.engine.environment import Job, JobLoad
from asyncsim.engine.graph import Call, Graph, Work
from asyncsim.engine.waits import Answer
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.units import DurationLike, positive_duration
from asyncsim.model.validation import argument, scenario_error


class Outcome(enum.IntEnum):
    """Status of an instance."""

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
    """Status of a wait."""

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
"""The answer to a delivery, or its other outcome."""

Codes = NDArray[np.int64]
"""Outcomes: indices of one of the tuples above."""


@define
class StepColumns:
    """Times of one node, one entry per instance; NaN where it was not reached (yet)."""

    queued: Floats
    started: Floats
    ended: Floats
    outcome: Codes | None = None
    """Outcomes of calls, of `StepOutcome`; None for plain work."""


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
    """None where they follow from instance and node."""

    @property
    def resumed(self) -> NDArray[np.bool_]:
        """Which waits resumed their step."""
        resumed: NDArray[np.bool_] = self.outcome == WaitOutcome.RESUMED
        return resumed


@define
class DeliveryColumns:
    """All deliveries, in the order in which their outcomes were known."""

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
    """Everything that happened in a run."""

    engine: str
    end: float
    """The instant up to which it was played; no metric includes anything later."""
    arrived: Floats
    """Arrivals until `end`; `ended` and `outcomes` have the same order."""
    ended: Floats
    outcomes: NDArray[np.int64]
    steps: list[StepColumns]
    waits: WaitColumns
    deliveries: DeliveryColumns
    loads: dict[Job, JobLoad]
    resolution: float
    longest_queue: float
    open_seconds: float
    """Time integral of the open waits, counted during the run."""
    open_count: int
    connection_seconds: float
    begin: float | None = None
    """The end of a warm-up that was removed (`without_warm_up`)."""
    stopped: bool = False
    """Whether it was stopped at `end`, or came to its own end."""

    @property
    def last_end(self) -> float:
        """The end of the last wait or instance, not of a late copy of a callback.

        The end of the run if that was stopped, or if a wait or an instance is still open.
        """
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
        """Return the busy worker-seconds until `last_end`.

        Callbacks after it are excluded exactly, other jobs to within one bin of the load.
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


# --- warm-up ------------------------------------------------------------------------------------

WHOLE_RUN = ("longest_queue", "connection_time")
"""Metrics that are known of whole runs only."""
C = TypeVar("C", WaitColumns, DeliveryColumns)


def warm_up_of(name: str, value: DurationLike, scenario: Scenario, resolution: float) -> float:
    """Return a warm-up in seconds, shorter than the scenario, and a multiple of the resolution."""
    found = argument(name, value, positive_duration)
    if found >= scenario.length:
        raise scenario_error(
            name, f"must be shorter than the scenario ({scenario.length:g} s)", value
        )
    if not is_bin_edge(found, resolution):
        raise scenario_error(
            name, f"must be a multiple of {resolution:g} s, the bins of the load", value
        )
    return found


def is_bin_edge(instant: float, resolution: float) -> bool:
    """Return whether an instant lies between two bins of the load."""
    return abs(instant / resolution - round(instant / resolution)) < 1e-9


def without_warm_up(record: Record, begin: float) -> Record:
    """Return the record without a warm-up; the record itself at 0.

    Instances that arrived before `begin` are removed with their steps, waits and deliveries. The
    load and the open waits are those of the time from then on, whichever instance caused them. The
    metrics of `WHOLE_RUN` become NaN.

    Parameters
    ----------
    record
        The record of a whole run.
    begin
        End of the warm-up, in seconds from the scenario's start, between two bins of the load.
    """
    if not begin:
        return record
    assert is_bin_edge(begin, record.resolution), "load is kept per bin"
    first = int(np.searchsorted(record.arrived, begin))
    waits = _of_rows(record.waits, first)
    until = np.where(np.isnan(record.waits.closed), record.end, record.waits.closed)
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
        open_seconds=float(np.maximum(until - since, 0.0).sum()),
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
    """Return the entries of instances from a row on, numbered from 0 again."""
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


INSTANCE_OUTCOMES = {Outcome.RUNNING: "running", Outcome.DONE: "done", Outcome.FAILED: "failed"}
STEP_COLUMNS = ["instance", "activation", "step", "kind", "queued", "started", "ended", "outcome"]
LOG_COLUMNS = [
    "case:concept:name",
    "concept:name",
    "lifecycle:transition",
    "org:resource",
    "serial_number",
    "outcome",
    "time:timestamp",
]
ENDS = {
    "rejected": "ate_abort",
    "timed out": "ate_abort",
    "gave up": "ate_abort",
    "cancelled": "pi_abort",
}
"""Transitions of steps that failed or were cancelled; all others are ``complete``."""


def waits(record: Record, scenario: Scenario, strategy: str) -> pd.DataFrame:
    """Return one row per wait."""
    w = record.waits
    nodes = Graph.of(scenario.process).nodes
    names = np.array([node.name for node in nodes], dtype=object)
    systems = np.array(
        [node.step.system if isinstance(node, Call) else "" for node in nodes], dtype=object
    )
    resumed = np.where(w.resumed, w.closed, np.nan)
    table = pd.DataFrame(
        {
            "serial_number": pd.Series(serial_numbers(w, scenario), dtype="str"),
            "instance": w.row + 1,
            "step": names[w.node] if len(w.node) else [],
            "system": systems[w.node] if len(w.node) else [],
            "strategy": strategy,
            "called": w.called,
            "armed": w.armed,
            "completed": w.completed,
            "resumed": resumed,
            "closed": w.closed,
            "latency": resumed - w.completed,
            "checks": w.checks,
            "wasted_checks": w.wasted_checks,
            "deliveries": w.deliveries,
            "outcome": np.array(WAIT_OUTCOMES, dtype=object)[w.outcome],
        }
    )
    return with_timestamps(table, scenario.calendar, ("armed", "completed", "resumed"))


def serial_numbers(columns: WaitColumns | DeliveryColumns, scenario: Scenario) -> list[str]:
    """Return the serial numbers of waits: those of a log, or instance and activation."""
    if columns.serial_numbers is not None:
        return columns.serial_numbers
    laid_out = Graph.of(scenario.process).nodes
    own: dict[int, Sequence[str]] = {}
    numbers: dict[int, int] = {}
    for index in np.unique(columns.node).tolist():
        node = laid_out[index]
        assert isinstance(node, Call)
        numbers[index] = node.number
        if logged := scenario.systems[node.step.system].serial_numbers:
            own[index] = logged
    pairs = zip(columns.row.tolist(), columns.node.tolist(), strict=True)
    return [own[k][i] if k in own else f"{i + 1}_{numbers[k]}" for i, k in pairs]


def instances(record: Record, calendar: Calendar) -> pd.DataFrame:
    """Return one row per instance that has arrived."""
    names = np.array([INSTANCE_OUTCOMES[o] for o in Outcome], dtype=object)
    table = pd.DataFrame(
        {
            "instance": np.arange(len(record.arrived)) + 1,
            "arrived": record.arrived,
            "ended": record.ended,
            "cycle_time": record.ended - record.arrived,
            "outcome": names[record.outcomes],
        }
    )
    return with_timestamps(table, calendar, ("arrived", "ended"))


def steps(record: Record, graph: Graph, calendar: Calendar) -> pd.DataFrame:
    """Return one row per executed step: queued, started by a worker, ended."""
    parts = [
        _steps_of(node, columns, record.end)
        for node, columns in zip(graph.nodes, record.steps, strict=True)
        if isinstance(node, (Work, Call))
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=STEP_COLUMNS)
    table.loc[table["ended"].isna(), "outcome"] = "open"
    table = table.sort_values(["instance", "activation"], kind="stable", ignore_index=True)
    return with_timestamps(table, calendar, ("queued", "started", "ended"))


def _steps_of(node: Work | Call, columns: StepColumns, end: float) -> pd.DataFrame:
    rows = np.flatnonzero(~np.isnan(columns.queued))
    started = columns.started[rows]
    outcome: Any = "done"
    if columns.outcome is not None:
        outcome = np.array(STEP_OUTCOMES, dtype=object)[columns.outcome[rows]]
    values = (
        rows + 1,
        node.number,
        node.name,
        "async step" if isinstance(node, Call) else "step",
        columns.queued[rows],
        np.where(started <= end, started, np.nan),
        columns.ended[rows],
        outcome,
    )
    return pd.DataFrame(dict(zip(STEP_COLUMNS, values, strict=True)))


def deliveries(record: Record, scenario: Scenario) -> pd.DataFrame:
    """Return one row per delivery: sent, arrived, handled, and the answer."""
    d = record.deliveries
    table = pd.DataFrame(
        {
            "serial_number": pd.Series(serial_numbers(d, scenario), dtype="str"),
            "attempt": d.attempt + 1,  # from 1; a dead letter has 0
            "sent": d.sent,
            "arrived": d.arrived,
            "handled": d.handled,
            "outcome": np.array(DELIVERY_OUTCOMES, dtype=object)[d.outcome],
        }
    )
    return with_timestamps(table, scenario.calendar, ("sent", "arrived", "handled"))


def server(record: Record, calendar: Calendar) -> pd.DataFrame:
    """Return the load per time bin: mean busy workers and mean queue length, by kind of job."""
    size = len(record.loads[Job.WORK].busy)
    columns: dict[str, Any] = {"time": np.arange(size) * record.resolution}
    for what in ("busy", "queue", "started"):
        by_kind = {job.name.lower(): getattr(load, what) for job, load in record.loads.items()}
        columns[what] = np.sum(list(by_kind.values()), axis=0)
        columns |= {f"{what}_{kind}": values for kind, values in by_kind.items()}
    return with_timestamps(pd.DataFrame(columns), calendar, ("time",))


def open_waits(record: Record, calendar: Calendar) -> pd.DataFrame:
    """Return the open waits per time bin: number at its start, mean over it, age of the oldest."""
    size = len(record.loads[Job.WORK].busy) + 1  # includes the end of the run
    time = np.arange(size, dtype=np.float64) * record.resolution
    armed = np.sort(record.waits.armed)
    closed = record.waits.closed.copy()
    closed[np.isnan(closed)] = np.inf
    ordered = np.sort(closed)
    count = np.searchsorted(armed, time, side="right") - np.searchsorted(ordered, time, "right")
    edges = np.minimum(np.append(time, time[-1] + record.resolution), record.end)
    integral = time_since(armed, edges) - time_since(ordered[np.isfinite(ordered)], edges)
    table = pd.DataFrame(
        {
            "time": time,
            "open": count,
            "mean_open": np.diff(integral) / record.resolution,
            "oldest_age": _oldest_age(record.waits.armed, closed, time),
        }
    )
    return with_timestamps(table, calendar, ("time",))


def time_since(moments: Floats, edges: Floats) -> Floats:
    """Return, at each edge, the sum of the times since all earlier moments."""
    sums = np.concatenate([[0.0], np.cumsum(moments)])
    before = np.searchsorted(moments, edges)
    result: Floats = before * edges - sums[before]
    return result


def _oldest_age(armed: Floats, closed: Floats, time: Floats) -> Floats:
    """Return the age of the oldest open wait at each time, 0 where none is open."""
    by_age = np.argsort(armed, kind="stable")
    starts, ends = armed[by_age].tolist(), closed[by_age].tolist()
    ages, k = np.zeros(len(time)), 0
    for i, t in enumerate(time.tolist()):
        # A closed wait never opens again, so the oldest open one only moves on
        while k < len(starts) and ends[k] <= t and starts[k] <= t:
            k += 1
        if k < len(starts) and starts[k] <= t:
            ages[i] = t - starts[k]
    return ages


@frozen
class Spent:
    """Overhead of one kind: a row of `overhead`."""

    kind: str
    count: int
    wasted: int
    worker_seconds: float
    requests: int
    database_operations: float
    connection_seconds: float = 0.0


def spent(record: Record, server: WorkflowServer) -> list[Spent]:
    """Return the overhead by kind, as plain numbers.

    A check and a delivery are one request each, also a delivery that is lost or refused by the rate
    limit. Database operations are those of the server, per check and per delivery that arrives.
    Writing and closing the record of the wait is the same under every strategy and not counted.
    """
    checks = int(record.waits.checks.sum())
    wasted = int(record.waits.wasted_checks.sum())
    lost, refused = (
        int(np.sum(record.deliveries.outcome == DELIVERY_OUTCOMES.index(text)))
        for text in ("lost", RATE_LIMITED)
    )
    taken = int(np.sum(~np.isnan(record.deliveries.arrived))) - refused
    busy = {job: record.loads[job].busy_seconds for job in (Job.CHECK, Job.CALLBACK)}
    return [
        Spent(
            *("check", checks, wasted, busy[Job.CHECK]),
            *(checks, checks * server.check_operations, record.connection_seconds),
        ),
        Spent(
            *("callback", taken, 0, busy[Job.CALLBACK]),
            *(taken, taken * server.callback_operations),
        ),
        Spent("lost callback", lost, lost, 0.0, lost, 0),
        Spent("rate limited callback", refused, refused, 0.0, refused, 0),
    ]


def overhead(record: Record, server: WorkflowServer) -> pd.DataFrame:
    """Return the overhead by kind: worker-seconds, requests, database operations."""
    return pd.DataFrame([asdict(one) for one in spent(record, server)])


def event_log(record: Record, graph: Graph, scenario: Scenario) -> pd.DataFrame:
    """Return the run as an event log, ordered in time; see `asyncsim.engine.run.Run.event_log`."""
    done = steps(record, graph, scenario.calendar)
    end = done["outcome"].map(ENDS).fillna("complete")
    done = done.assign(resource="workflow server", serial_number=None)
    waiting = waits(record, scenario, "").rename(columns={"system": "resource"})
    waiting["activation"] = waiting["step"].map(scenario.process.activations).astype(int)
    # The order of the events of a step at one instant; the next step comes after them
    parts = [
        _events(done, "queued", "schedule", 0),
        _events(done, "started", "start", 1),
        _events(waiting, "armed", "suspend", 2),
        _events(waiting, "resumed", "resume", 3),
        _events(done, "ended", end, 4).assign(outcome=done["outcome"]),
    ]
    log = pd.concat(parts, ignore_index=True).dropna(subset="seconds")
    log = log.sort_values(["seconds", "instance", "activation", "rank"], ignore_index=True)
    log["case:concept:name"] = log["instance"].astype(str)
    log["time:timestamp"] = scenario.calendar.timestamps(log["seconds"].to_numpy())
    return log[LOG_COLUMNS]


def _events(
    table: pd.DataFrame, at: str, transition: str | pd.Series[str], rank: int
) -> pd.DataFrame:
    events = table[["instance", "activation"]].assign(seconds=table[at], rank=rank)
    events["concept:name"] = table["step"]
    events["lifecycle:transition"] = transition
    events["org:resource"] = table["resource"]
    events["serial_number"] = table["serial_number"]
    events["outcome"] = None
    return events


def with_timestamps(
    table: pd.DataFrame, calendar: Calendar, columns: tuple[str, ...]
) -> pd.DataFrame:
    """Return the table with a timestamp column beside each of the columns of seconds."""
    stamps = {f"{name}_at": calendar.timestamps(table[name].to_numpy()) for name in columns}
    return table.assign(**stamps)
