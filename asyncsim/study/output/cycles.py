"""A run cut into cycles, such as days: one mean per cycle of whatever is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from asyncsim.engine import tables
from asyncsim.engine.figures import Meaning
from asyncsim.engine.record import Outcome, Record
from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import DAY

WIDEST_BIN = 60.0


class Cycles(NamedTuple):
    """What one run says, cycle by cycle; all of shape ``(cycles,)``."""

    values: Floats
    """The mean of each; NaN where there is nothing to average."""
    weights: Floats
    """What it rests on: a number of waits or instances, or seconds."""
    missing: Floats
    """Waits or instances of the cycle that have no value because they never ended."""


class Series(NamedTuple):
    """Something that can be looked at cycle by cycle."""

    figure: Meaning
    observed: str
    """What is counted in weights."""
    of: Callable[[Record, Floats], Cycles]


def edges(cycle: float, length: float, calendar: Calendar) -> Floats:
    """Return the instants where whole cycles begin, and where the last of them ends.

    Cycles of whole days begin at local midnight, also across a change of daylight saving time.
    """
    number = int(length / cycle * (1 + 1e-12))
    if cycle % DAY or calendar.zone is None:
        return np.arange(number + 1, dtype=float) * cycle
    days = round(cycle / DAY)
    found = [calendar.instant(calendar.day(k * days), "00:00") for k in range(number + 2)]
    return np.array([at for at in found if at <= length + 1e-6])


def resolution(cycle: float) -> float:
    """Return a bin width for the load of a run that divides the cycle."""
    return cycle / math.ceil(cycle / WIDEST_BIN)


def _per_item(at: Floats, values: Floats, edges: Floats) -> Cycles:
    """Return means over items by the cycle in which they began; NaN is a missing value."""
    number = len(edges) - 1
    place = np.searchsorted(edges, at, side="right") - 1
    inside = (place >= 0) & (place < number)
    place, values = place[inside], values[inside]
    known = ~np.isnan(values)
    count = np.bincount(place[known], minlength=number).astype(float)
    total = np.bincount(place[known], values[known], minlength=number)
    missing = np.bincount(place[~known], minlength=number).astype(float)
    means = np.divide(total, count, out=np.full(number, np.nan), where=count > 0)
    return Cycles(means, count, missing)


def _over_time(integral: Floats, edges: Floats) -> Cycles:
    """Return means over time from a time integral at the edges."""
    seconds = np.diff(edges)
    return Cycles(np.diff(integral) / seconds, seconds, np.zeros(len(seconds)))


def _latency(record: Record, edges: Floats) -> Cycles:
    waits = record.waits
    late = np.where(waits.resumed, waits.closed - waits.completed, np.nan)
    return _per_item(waits.armed, late, edges)


def _checks(record: Record, edges: Floats) -> Cycles:
    return _per_item(record.waits.armed, record.waits.checks.astype(float), edges)


def _cycle_time(record: Record, edges: Floats) -> Cycles:
    done = record.outcomes == Outcome.DONE
    return _per_item(record.arrived, np.where(done, record.ended - record.arrived, np.nan), edges)


def _standing(began: Floats, ended: Floats, edges: Floats) -> Cycles:
    """Return how many stood between their beginning and their end, on average."""
    known = np.sort(ended[~np.isnan(ended)])
    integral = tables.time_since(np.sort(began), edges) - tables.time_since(known, edges)
    return _over_time(integral, edges)


def _open_waits(record: Record, edges: Floats) -> Cycles:
    return _standing(record.waits.armed, record.waits.closed, edges)


def _loads(what: str) -> Callable[[Record, Floats], Cycles]:
    def of(record: Record, edges: Floats) -> Cycles:
        bins = np.sum([getattr(load, what) for load in record.loads.values()], axis=0)
        sums = np.concatenate([[0.0], np.cumsum(bins)]) * record.resolution
        at = np.arange(len(sums)) * record.resolution
        return _over_time(np.interp(edges, at, sums), edges)  # exact: edges fall on bins

    return of


def unended(record: Record, edges: Floats) -> Cycles:
    """Return how many instances were under way, less those that never end at all.

    Whatever is overloaded, the server or an outside system, here it shows as a rise.
    """
    ends = ~np.isnan(record.ended)
    return _standing(record.arrived[ends], record.ended[ends], edges)


SERIES: dict[str, Series] = {
    "latency": Series(
        Meaning("s", "time from completion to resumption, of waits armed in the cycle"),
        "waits",
        _latency,
    ),
    "checks_per_wait": Series(
        Meaning("1", "checks made for waits armed in the cycle"), "waits", _checks
    ),
    "cycle_time": Series(
        Meaning("s", "time from arrival to end, of instances that arrived in the cycle"),
        "instances",
        _cycle_time,
    ),
    "open_waits": Series(Meaning("1", "open waits, averaged over time"), "seconds", _open_waits),
    "queue_length": Series(
        Meaning("jobs", "jobs waiting for a worker, averaged over time"), "seconds", _loads("queue")
    ),
    "busy_workers": Series(
        Meaning("workers", "busy workers, averaged over time"), "seconds", _loads("busy")
    ),
}
