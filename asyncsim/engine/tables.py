"""Tidy tables of a run, made from its record.

Times are float seconds from the scenario's start; the main ones have a timestamp column beside
them, whose name ends in ``_at``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from attrs import asdict, frozen

from asyncsim.engine.graph import Call, Graph, Work
from asyncsim.engine.result import (
    DELIVERY_OUTCOMES,
    RATE_LIMITED,
    STEP_OUTCOMES,
    WAIT_OUTCOMES,
    DeliveryColumns,
    Outcome,
    Record,
    StepColumns,
    WaitColumns,
)
from asyncsim.engine.workers import Job
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer

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
