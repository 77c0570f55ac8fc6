"""Workers and lanes booked ahead, and the load of the server over time.

A FIFO server whose service times are known when a job is queued needs no queue: the job gets the
worker that is free first, and its start and end are known at once (the recursion of Kiefer and
Wolfowitz 1955, doi:10.2307/1992945).
"""

from __future__ import annotations

from typing import Any

from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import MORE_BINS, MORE_ROOM, World

MOMENTS = 3
"""Of each job the moments are counted at which it was queued, started and ended."""


@kernel
def replace_first(free_at: Any, base: int, size: int, value: float) -> None:
    """Replace the smallest of a heap of instants by a larger one."""
    k = 0
    while True:
        down = 2 * k + 1
        if down >= size:
            break
        if down + 1 < size and free_at[base + down + 1] < free_at[base + down]:
            down += 1
        if free_at[base + down] >= value:
            break
        free_at[base + k] = free_at[base + down]
        k = down
    free_at[base + k] = value


@kernel
def book_lane(free_at: Any, base: int, size: int, ready: float, duration: float) -> float:
    """Book the lane that is free first; return when the job ends."""
    start = free_at[base]
    if start < ready:
        start = ready
    end = start + duration
    replace_first(free_at, base, size, end)
    return float(end)


@inner_kernel
def book_worker(m: World, job: int, now: float, work: float) -> float:
    """Queue a job; return when a worker picks it up. It ends `work` later."""
    start = m.free_at[m.free_first]
    if start > now:
        join_queue(m, now, start)
    else:
        start = now
    m.free_first = take_first(m.free_at, m.free_first, m.workers - 1, start + work)
    count_job(m, job, now, start, start + work)
    return float(start)


@inner_kernel
def take_first(free_at: Any, first: int, last: int, end: float) -> int:
    """Take the worker who is free first until an instant; return who is first then.

    Workers stand in a ring, places 0 to `last`, in the order in which they are free.
    """
    place, then = first, first + 1 if first < last else 0
    before = place - 1 if place else last
    while free_at[before] > end and place != then:
        free_at[place] = free_at[before]
        place = before
        before = place - 1 if place else last
    free_at[place] = end
    return then


@kernel
def join_queue(m: World, now: float, start: float) -> None:
    """Note how many jobs wait for a worker, this one among them."""
    mask = m.room - 1
    first, after = m.starts_head, m.starts_tail
    while first < after and m.starts[first & mask] <= now:
        first += 1
    if after - first > mask:
        m.status = MORE_ROOM
        return
    m.starts[after & mask] = start
    after += 1
    m.starts_head, m.starts_tail = first, after
    if after - first > m.longest:
        m.longest = after - first


@inner_kernel
def count_job(m: World, job: int, queued: float, start: float, end: float) -> None:
    """Sum a job up in the bins of its moments (see `asyncsim.engine.workers.Load`)."""
    if start > m.until:
        m.not_started[job] += 1
        start = m.until
    if end > m.until:
        end = m.until
    row = job * MOMENTS
    ends_elsewhere = end >= m.bin_ends[row + 2] or end < m.bin_begins[row + 2]
    if queued >= m.bin_ends[row] or start >= m.bin_ends[row + 1] or ends_elsewhere:
        turn_bins(m, row, queued, start, end)
    count_moments(
        m,
        job,
        1,
        m.bin_ends[row] - queued,
        m.bin_ends[row + 1] - start,
        m.bin_ends[row + 2] - end,
    )
    m.busy[job] += end - start
    m.queueing[job] += start - queued


@inner_kernel
def count_moments(
    m: World, job: int, number: int, queued: float, started: float, ended: float
) -> None:
    """Add jobs to the present bins of their three moments, with what was left of the bins."""
    m.jobs[job] += number
    row = job * MOMENTS
    place = m.bin_place[row]
    m.bin_count[place] += number
    m.bin_rest[place] += queued
    place = m.bin_place[row + 1]
    m.bin_count[place] += number
    m.bin_rest[place] += started
    place = m.bin_place[row + 2]
    m.bin_count[place] += number
    m.bin_rest[place] += ended


@kernel
def turn_bins(m: World, row: int, queued: float, start: float, end: float) -> None:
    """Turn to the bins of three moments of a job."""
    turn_to_bin(m, row, int(queued // m.resolution))
    turn_to_bin(m, row + 1, int(start // m.resolution))
    turn_to_bin(m, row + 2, int(end // m.resolution))


@kernel
def turn_to_bin(m: World, row: int, k: int) -> None:
    """Turn to another bin of one moment."""
    if k >= m.bins:
        m.status, m.where = MORE_BINS, k
        k = m.bins - 1
    m.bin_place[row] = row * m.bins + k
    m.bin_begins[row], m.bin_ends[row] = k * m.resolution, (k + 1) * m.resolution
