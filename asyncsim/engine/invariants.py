"""Invariants that every run must satisfy, checked on every run.

They compare numbers counted in different ways: during the run, and afterwards from its record. A
violation means that an engine, or a custom strategy or system, is wrong, and raises an error.
"""

from __future__ import annotations

import numpy as np

from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Call, Graph, Work
from asyncsim.engine.result import Outcome, Record, StepOutcome, WaitOutcome
from asyncsim.errors import EngineError
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario

RELATIVE = 1e-6
"""Relative difference allowed between sums of floats in different orders."""


def check(record: Record, scenario: Scenario) -> None:
    """Check all invariants; raise an EngineError with the first violated one and its numbers."""
    check_times(record)
    check_flow(record)
    check_workers(record, scenario.server.workers)
    check_little(record, Graph.of(scenario.process))


def check_times(record: Record) -> None:
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
        raise EngineError("times invariant broken: a step resumed whose work was never completed")
    _ordered("an instance arrived", record.arrived, "ended", record.ended)


def _ordered(first: str, earlier: Floats, then: str, later: Floats) -> None:
    wrong = earlier > later  # NaN, not reached, is never wrong
    if wrong.any():
        k = int(np.argmax(wrong))
        raise EngineError(
            f"times invariant broken: {first} at {earlier[k]} s and {then} at {later[k]} s"
        )


def check_flow(record: Record) -> None:
    """Check that every wait and instance that began has ended or is still open."""
    still = int(np.sum(record.waits.outcome == WaitOutcome.WAITING))
    if still != record.open_count:
        raise EngineError(
            f"flow invariant broken: {still} waits are open in the table, "
            f"{record.open_count} counted"
        )
    resumed = int(record.waits.resumed.sum())
    calls = [columns.outcome for columns in record.steps if columns.outcome is not None]
    left = sum(int(np.sum(outcome == StepOutcome.RESUMED)) for outcome in calls)
    if resumed != left:
        raise EngineError(
            f"flow invariant broken: {resumed} waits resumed, but {left} steps continued"
        )
    ended = int(np.sum(~np.isnan(record.ended)))
    if ended != int(np.sum(record.outcomes != Outcome.RUNNING)):
        raise EngineError("flow invariant broken: an instance ended without an outcome")


def check_workers(record: Record, workers: int) -> None:
    """Check that no time bin has more busy workers than there are."""
    busy = np.sum([load.busy for load in record.loads.values()], axis=0)
    if len(busy) and busy.max() > workers * (1 + RELATIVE):
        raise EngineError(
            f"utilisation invariant broken: {busy.max():.6f} of {workers} workers were busy"
        )


def check_little(record: Record, graph: Graph) -> None:
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
        load = record.loads[job]
        by_bins = float(load.queue.sum()) * record.resolution
        scale = max(record.end * RELATIVE, queued)
        _same(f"queue of {job.name.lower()} jobs", by_bins, queued, scale)


def _same(what: str, integral: float, spent: float, scale: float) -> None:
    if abs(integral - spent) > RELATIVE * max(scale, 1.0):
        raise EngineError(
            f"Little's law broken for the {what}: {integral} s counted over time, {spent} s spent"
        )
