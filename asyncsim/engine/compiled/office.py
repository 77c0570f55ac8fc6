"""Working hours of people: time counted while the office is open (`asyncsim.model.calendar`)."""

from __future__ import annotations

from typing import Any

from asyncsim.engine.compiled.booking import book_lane
from asyncsim.engine.compiled.jitting import kernel
from asyncsim.engine.compiled.world import MORE_HOURS, World


@kernel
def when_worked(m: World, desk: int, duration: float) -> float:
    """Return when the person who is free first is done with a task submitted now."""
    ready = open_seconds(m, desk)
    ended = book_lane(m.free_at, m.lanes_at[desk], m.lanes_n[desk], ready, duration)
    return max(instant_of(m, desk, ended), m.now)


@kernel
def last_before(field: Any, base: int, number: int, value: float, inclusive: bool) -> int:
    """Return the last opening whose field is below a value (or equals it), or -1: bisection."""
    low, high = 0, number
    while low < high:
        middle = (low + high) >> 1
        found = field[base + middle]
        if found < value or (inclusive and found == value):
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel
def open_seconds(m: World, desk: int) -> float:
    """Return how long the office has been open until now."""
    base, number = m.nights_at[desk], m.nights_n[desk]
    if m.closes[base + number - 1] < m.now:
        m.status, m.where = MORE_HOURS, desk
        return 0.0
    k = last_before(m.opens, base, number, m.now, True)
    if k < 0:
        return 0.0
    k += base
    return float(m.open_before[k] + min(m.now, m.closes[k]) - m.opens[k])


@kernel
def instant_of(m: World, desk: int, seconds: float) -> float:
    """Return the first instant by which the office has been open that long."""
    base, number = m.nights_at[desk], m.nights_n[desk]
    last = base + number - 1
    if m.open_before[last] + m.closes[last] - m.opens[last] < seconds:
        m.status, m.where = MORE_HOURS, desk
        return 0.0
    k = base + max(last_before(m.open_before, base, number, seconds, False), 0)
    return float(m.opens[k] + (seconds - m.open_before[k]))
