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

RELATIVE = 1e-6  # difference allowed between sums of floats in different orders


def check(record: Record, scenario: Scenario) -> None:
    """Check all invariants; raise an EngineError with the first violated one and its numbers."""
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
