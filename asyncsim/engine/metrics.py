"""The metrics of a run, costs among them: each has a name, a unit and a meaning, in one table."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.result import DELIVERY_OUTCOMES, REFUSED, Outcome, Record, WaitOutcome
from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Floats
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.units import HOUR, MINUTE, nearest, number_text, text_of


class MetricInfo(NamedTuple):
    """Unit and meaning of a metric."""

    unit: str
    meaning: str


class Total(MetricInfo):
    """A metric that adds up over runs."""


OF_RESUMED = "of the resumed waits, interpolated between the two nearest"
METRICS: dict[str, MetricInfo] = {
    "unresumed_share": MetricInfo(
        "1", "share of the armed waits that never resumed: open, timed out, given up or cancelled"
    ),
    "mean_latency": MetricInfo("s", "mean time from completion to resumption, over resumed waits"),
    "median_latency": MetricInfo("s", f"median latency {OF_RESUMED}"),
    "p95_latency": MetricInfo("s", f"95 % quantile of the latency {OF_RESUMED}"),
    "p99_latency": MetricInfo("s", f"99 % quantile of the latency {OF_RESUMED}"),
    "max_latency": MetricInfo("s", "the longest resume latency"),
    "checks_per_wait": MetricInfo("1", "checks made, per armed wait"),
    "wasted_share": MetricInfo(
        "1", "share of the checks that found the work not complete; none without checks"
    ),
    "deliveries_per_wait": MetricInfo("1", "callback attempts, per armed wait"),
    "overhead_worker_time": Total("worker s", "worker time spent on checks and callbacks"),
    "requests": Total("1", "requests sent to notice completion, checks and deliveries"),
    "database_operations": Total("1", "reads and writes of wait records to notice completion"),
    "connection_time": Total("s", "time that connections were held open, added up"),
    "utilisation": MetricInfo("1", "share of the workers' time that was busy, arrival to last end"),
    "longest_queue": MetricInfo("jobs", "most jobs waiting for a worker at any moment"),
    "mean_cycle_time": MetricInfo(
        "s", "mean time from arrival to end, over instances that are done"
    ),
    "mean_open_waits": MetricInfo(
        "1", "open waits, averaged from the first arrival to the last end"
    ),
    "armed": Total("1", "waits that were armed"),
    "timed_out": Total("1", "waits that timed out or were given up"),
    "still_waiting": Total("1", "waits still open when the run stopped"),
    "failed": Total("1", "instances that failed, or timed out as a whole"),
    "cost": Total("money", "what noticing, late resumption and workers came to, at your prices"),
    "cost_per_wait": MetricInfo("money", "the cost, per armed wait"),
    "cost_of_checks": Total("money", "checks, at the price of a check"),
    "cost_of_requests": Total("money", "checks and deliveries, at the price of a request"),
    "cost_of_transitions": Total("money", "state transitions of calls and checks"),
    "cost_of_workers": Total("money", "worker hours, those that the prices count"),
    "cost_of_lateness": Total("money", "minutes of resume latency beyond the service level"),
}
BY_STEP: dict[str, MetricInfo] = {
    "waits": MetricInfo("1", "armed waits of the step"),
    "mean_outside": MetricInfo("s", "mean time outside: from the call to completion"),
    "p95_outside": MetricInfo("s", "95 % quantile of the time outside"),
    "mean_latency": MetricInfo("s", "mean time from completion to resumption, of resumed waits"),
    "p95_latency": MetricInfo("s", "95 % quantile of the latency of resumed waits"),
    "unresumed_share": MetricInfo("1", "share of the armed waits that never resumed"),
}
TOTALS = frozenset(name for name, metric in METRICS.items() if isinstance(metric, Total))
METRIC_ORDER = {name: place for place, name in enumerate(METRICS)}


SECONDS = ("s", "worker s")  # units that are shown as durations
QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)_latency")
ENDINGS = {"1": "st", "2": "nd", "3": "rd"}
COUNTED = {"requests", "database_operations", "mean_open_waits", "armed", "timed_out", "failed"}
COUNTED |= {"still_waiting", "open_waits", "busy_workers"}
WORDS = {
    "max_latency": "longest latency",
    "mean_outside": "mean time outside",
    "p95_outside": "95th percentile outside",
    "overhead_worker_time": "worker time for noticing",
    "mean_open_waits": "open waits on average",
    "armed": "armed waits",
    "timed_out": "waits timed out",
    "still_waiting": "waits still open",
    "failed": "failed instances",
}


def is_share(name: str) -> bool:
    """Return whether a metric is a share, shown in per cent."""
    return name.endswith("_share") or name == "utilisation"


def metric_in_words(name: str, lossy: bool = False) -> str:
    """Return the name of a metric in words, if waits are lost (`lossy`) with what it averages.

    >>> metric_in_words("p95_latency"), metric_in_words("mean_latency", lossy=True)
    ('95th percentile of the latency', 'mean latency of resumed waits')
    """
    words = WORDS.get(name, name.replace("_", " "))
    if found := QUANTILE.fullmatch(name):
        number = found[1]
        teen = number[-2:-1] == "1" and "." not in number
        ending = "th" if teen or "." in number else ENDINGS.get(number[-1], "th")
        words = f"{number}{ending} percentile of the latency"
    of = averaged(name) if lossy else ""
    return f"{words} of {of}" if of else words


def averaged(name: str) -> str:
    """Return what a metric averages, if it excludes unresumed waits, or an empty text.

    >>> averaged("p95_latency"), averaged("mean_cycle_time"), averaged("requests")
    ('resumed waits', 'instances that are done', '')
    """
    if name == "mean_cycle_time":
        return "instances that are done"
    return "resumed waits" if name.endswith("latency") else ""


def metric_scale(name: str, unit: str, lossy: bool = False) -> plots.Scale:
    """Return the words of a metric and the kind of its values, for an axis of a picture."""
    kind = "duration" if unit in SECONDS else "share" if is_share(name) else unit
    return plots.Scale(metric_in_words(name, lossy), "number" if kind == "1" else kind)


def measured(name: str, shown: str) -> str:
    """Return a clause with the value of a metric, as it is `shown`.

    >>> measured("cost", "12 EUR"), measured("requests", "450")
    ('the cost is 12 EUR', 'there are 450 requests')
    """
    words = metric_in_words(name)
    return f"there are {shown} {words}" if is_number(name) else f"the {words} is {shown}"


def is_number(name: str) -> bool:
    """Return whether a metric is a number of things, which are several."""
    return name in COUNTED or (name.endswith("_per_wait") and name != "cost_per_wait")


def metric_text(name: str, value: float, unit: str, digits: int = 4) -> str:
    """Return the value of a metric in human units; NaN is a dash.

    >>> metric_text("mean_latency", 450.0, "s"), metric_text("wasted_share", 0.971, "1")
    ('7.5 min', '97.1 %')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "infinite"
    if unit in SECONDS:
        return f"{'-' if value < 0 else ''}{text_of(abs(value), digits)}" if value else "0 s"
    if is_share(name):
        return f"{number_text(100 * value, digits)} %"
    unit = "job" if unit == "jobs" and value == 1 else unit
    text = number_text(value, digits)
    return text if unit == "1" else f"{text} {unit}"


def metrics_of(scenario: Scenario) -> dict[str, MetricInfo]:
    """Return the metrics of a scenario: costs only with prices, in their currency."""
    prices = scenario.costs
    return {
        name: metric._replace(unit=prices.currency) if prices and metric.unit == "money" else metric
        for name, metric in METRICS.items()
        if prices or metric.unit != "money"
    }


def check_metric(name: str, scenario: Scenario) -> str:
    """Return the name of a metric, or raise a ScenarioError if the scenario has no such metric."""
    known = metrics_of(scenario)
    if name in known:
        return name
    if name in METRICS:
        raise ScenarioError(
            f"metric {name!r} needs prices: a [costs] table in the file, or CostModel(…)"
        )
    mean = f"mean_{name}"
    hint = nearest(mean if mean in known else str(name), known)
    words = "a known name" if hint else f"one of {', '.join(map(repr, known))}"
    raise ScenarioError(f"metric must be {words}, got {name!r}{hint}")


def latencies(record: Record) -> Floats:
    """Return the resume latency of every resumed wait, in seconds."""
    waits = record.waits
    result: Floats = (waits.closed - waits.completed)[waits.resumed]
    return result


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
    outcomes = record.deliveries.outcome
    lost, limited, down = (
        int(np.sum(outcomes == DELIVERY_OUTCOMES.index(text))) for text in ("lost", *REFUSED)
    )
    taken = int(np.sum(~np.isnan(record.deliveries.arrived))) - limited - down
    asking, handling = record.loads[Job.CHECK], record.loads[Job.CALLBACK]
    reads, writes = checks * server.check_operations, taken * server.callback_operations
    held = record.connection_seconds
    return [
        Spent("check", checks, wasted, asking.busy_seconds, checks, reads, held),
        Spent("callback", taken, 0, handling.busy_seconds, taken, writes),
        Spent("lost callback", lost, lost, 0.0, lost, 0),
        Spent("rate limited callback", limited, limited, 0.0, limited, 0),
        *[Spent("callback while the endpoint was down", down, down, 0.0, down, 0)] * (down > 0),
    ]


def compute_metrics(record: Record, scenario: Scenario) -> dict[str, float]:
    """Return every metric of `METRICS`; NaN where there is nothing to average, or no price."""
    late = latencies(record)
    waits, armed = record.waits, len(record.waits.row)
    checks = int(waits.checks.sum())
    overhead = spent(record, scenario.server)
    requests = float(sum(one.requests for one in overhead))
    unsuccessful = np.isin(waits.outcome, (WaitOutcome.TIMED_OUT, WaitOutcome.GAVE_UP))
    cycle = (record.ended - record.arrived)[record.outcomes == Outcome.DONE]
    quantiles = np.quantile(late, [0.5, 0.95, 0.99, 1.0]) if len(late) else [np.nan] * 4
    return {
        "unresumed_share": _ratio(armed - len(late), armed),
        "mean_latency": _mean(late),
        "median_latency": float(quantiles[0]),
        "p95_latency": float(quantiles[1]),
        "p99_latency": float(quantiles[2]),
        "max_latency": float(quantiles[3]),
        "checks_per_wait": _ratio(checks, armed),
        "wasted_share": _ratio(int(waits.wasted_checks.sum()), checks),
        "deliveries_per_wait": _ratio(int(waits.deliveries.sum()), armed),
        "overhead_worker_time": float(sum(one.worker_seconds for one in overhead)),
        "requests": requests,
        "database_operations": float(sum(one.database_operations for one in overhead)),
        "connection_time": record.connection_seconds,
        "utilisation": _ratio(
            record.busy_seconds(scenario.server), scenario.server.workers * record.span
        ),
        "longest_queue": float(record.longest_queue),
        "mean_cycle_time": _mean(cycle),
        "mean_open_waits": _ratio(record.open_seconds, record.span),
        "armed": float(armed),
        "timed_out": float(unsuccessful.sum()),
        "still_waiting": float(record.open_count),
        "failed": float(np.sum(record.outcomes > Outcome.DONE)),
        **costs(record, scenario, requests),
    }


def metrics_by_step(record: Record, scenario: Scenario) -> pd.DataFrame:
    """Return the metrics of `BY_STEP`, one row per step that waits; NaN where there is none."""
    waits, found = record.waits, {}
    calls = [node for node in Graph.of(scenario.process).nodes if isinstance(node, Call)]
    names = [call.name for call in scenario.process.of_type(AsyncStep)]
    for name in names:
        own = np.isin(waits.node, [call.index for call in calls if call.name == name])
        outside = (waits.completed - waits.called)[own]
        late = (waits.closed - waits.completed)[own & waits.resumed]
        number = int(own.sum())
        found[name] = [
            float(number),
            *_mean_and_p95(outside[np.isfinite(outside)]),
            *_mean_and_p95(late),
            _ratio(number - len(late), number),
        ]
    return pd.DataFrame.from_dict(found, orient="index", columns=list(BY_STEP)).loc[names]


def _mean_and_p95(values: Floats) -> tuple[float, float]:
    return _mean(values), float(np.quantile(values, 0.95)) if len(values) else float("nan")


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def costs(record: Record, scenario: Scenario, requests: float) -> dict[str, float]:
    """Return each part of the cost of a run, and their sum; NaN if the scenario has no prices."""
    prices = scenario.costs
    if prices is None:
        return {name: float("nan") for name in METRICS if name.startswith("cost")}
    checks, armed = int(record.waits.checks.sum()), len(record.waits.armed)
    called = [columns for columns in record.steps if columns.outcome is not None]
    calls = sum(int(np.sum(~np.isnan(columns.started))) for columns in called)
    transitions = prices.transitions_per_check * checks + prices.transitions_per_call * calls
    over = np.where(np.isnan(record.waits.closed), record.end, record.waits.closed)
    late = over - record.waits.completed - prices.service_level  # not completed: NaN or -inf
    kinds = (Job.CHECK, Job.CALLBACK) if prices.worker_time == "overhead" else tuple(Job)
    paid_for = sum(record.loads[job].busy_seconds for job in kinds)
    if prices.worker_time == "provided":  # the same under every strategy
        paid_for = scenario.server.workers * max(scenario.length - (record.begin or 0.0), 0.0)
    parts = {
        "cost_of_checks": prices.check * checks,
        "cost_of_requests": prices.request * requests,
        "cost_of_transitions": prices.transition * transitions,
        "cost_of_workers": prices.worker_hour * paid_for / HOUR,
        "cost_of_lateness": prices.late_minute * float(late[late > 0].sum()) / MINUTE,
    }
    cost = sum(parts.values())
    return {"cost": cost, "cost_per_wait": _ratio(cost, armed)} | parts
