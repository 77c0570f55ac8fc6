"""A run without its warm-up: what instances did that arrived after it."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from asyncsim.engine.record import DeliveryColumns, Record, StepColumns, WaitColumns, WaitOutcome
from asyncsim.engine.workers import JobLoad

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
