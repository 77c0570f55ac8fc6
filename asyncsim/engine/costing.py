"""What a run came to, at the prices of its scenario."""

from __future__ import annotations

import numpy as np

from asyncsim.engine.record import Record
from asyncsim.engine.workers import Job
from asyncsim.model.costs import CostModel
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import HOUR, MINUTE
from asyncsim.model.scenario import Scenario

PARTS = (
    "cost_of_checks",
    "cost_of_requests",
    "cost_of_transitions",
    "cost_of_workers",
    "cost_of_lateness",
)


def costs(record: Record, scenario: Scenario, requests: float) -> dict[str, float]:
    """Return what each part came to, and all of them; NaN if the scenario has no prices.

    Parameters
    ----------
    record
        What happened.
    scenario
        With the prices.
    requests
        How many requests noticing took.
    """
    prices = scenario.costs
    if prices is None:
        return dict.fromkeys(("cost", "cost_per_wait", *PARTS), float("nan"))
    checks, armed = int(record.waits.checks.sum()), len(record.waits.armed)
    parts = {
        "cost_of_checks": prices.check * checks,
        "cost_of_requests": prices.request * requests,
        "cost_of_transitions": prices.transition * _transitions(record, prices, checks),
        "cost_of_workers": prices.worker_hour * _worker_seconds(record, scenario, prices) / HOUR,
        "cost_of_lateness": prices.late_minute * _late_seconds(record, prices) / MINUTE,
    }
    total = sum(parts.values())
    return {"cost": total, "cost_per_wait": total / armed if armed else float("nan")} | parts


def _transitions(record: Record, prices: CostModel, checks: int) -> int:
    calls = sum(
        int(np.sum(~np.isnan(columns.started)))
        for columns in record.steps
        if columns.outcome is not None  # only calls have one
    )
    return prices.transitions_per_check * checks + prices.transitions_per_call * calls


def _worker_seconds(record: Record, scenario: Scenario, prices: CostModel) -> float:
    if prices.worker_time == "provided":
        paid_for = scenario.length - (record.begin or 0.0)  # the same under every strategy
        return scenario.server.workers * max(paid_for, 0.0)
    kinds = (Job.CHECK, Job.CALLBACK) if prices.worker_time == "overhead" else tuple(Job)
    return sum(record.loads[job].busy_seconds for job in kinds)


def _late_seconds(record: Record, prices: CostModel) -> float:
    """Return the time beyond the service level, added up over all armed waits."""
    waits = record.waits
    over = np.where(np.isnan(waits.closed), record.end, waits.closed)
    late: Floats = over - waits.completed - prices.service_level
    return float(late[late > 0].sum())  # not yet completed: NaN or -inf, never late
