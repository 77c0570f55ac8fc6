"""Workers and lanes booked ahead, and the load of the server over time.

A FIFO server whose service times are known when a job is queued needs no queue: the job gets the
worker that is free first, and its start and end are known at once (the recursion of Kiefer and
Wolfowitz 1955, doi:10.2307/1992945).
"""

from __future__ import annotations

from typing import Any

from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import MORE_BINS, MORE_ROOM, RunState

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
def book_worker(s: RunState, job: int, now: float, work: float) -> float:
    """Queue a job; return when a worker picks it up. It ends `work` later."""
    start = s.free_at[s.free_first]
    if start > now:
        join_queue(s, now, start)
    else:
        start = now
    s.free_first = take_first(s.free_at, s.free_first, s.workers - 1, start + work)
    count_job(s, job, now, start, start + work)
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
def join_queue(s: RunState, now: float, start: float) -> None:
    """Add a job to the queue for a worker, and update the longest queue."""
    mask = s.room - 1
    first, after = s.starts_head, s.starts_tail
    while first < after and s.starts[first & mask] <= now:
        first += 1
    if after - first > mask:
        s.status = MORE_ROOM
        return
    s.starts[after & mask] = start
    after += 1
    s.starts_head, s.starts_tail = first, after
    if after - first > s.longest:
        s.longest = after - first


@inner_kernel
def count_job(s: RunState, job: int, queued: float, start: float, end: float) -> None:
    """Add a job to the bins of its moments (see `asyncsim.engine.environment.Load`)."""
    if start > s.until:
        s.not_started[job] += 1
        start = s.until
    if end > s.until:
        end = s.until
    row = job * MOMENTS
    ends_elsewhere = end >= s.bin_ends[row + 2] or end < s.bin_begins[row + 2]
    if queued >= s.bin_ends[row] or start >= s.bin_ends[row + 1] or ends_elsewhere:
        turn_bins(s, row, queued, start, end)
    count_moments(
        s,
        job,
        1,
        s.bin_ends[row] - queued,
        s.bin_ends[row + 1] - start,
        s.bin_ends[row + 2] - end,
    )
    s.busy[job] += end - start
    s.queueing[job] += start - queued


@inner_kernel
def count_moments(
    s: RunState, job: int, number: int, queued: float, started: float, ended: float
) -> None:
    """Add jobs to the present bins of their three moments, with what was left of the bins."""
    s.jobs[job] += number
    row = job * MOMENTS
    place = s.bin_place[row]
    s.bin_count[place] += number
    s.bin_rest[place] += queued
    place = s.bin_place[row + 1]
    s.bin_count[place] += number
    s.bin_rest[place] += started
    place = s.bin_place[row + 2]
    s.bin_count[place] += number
    s.bin_rest[place] += ended


@kernel
def turn_bins(s: RunState, row: int, queued: float, start: float, end: float) -> None:
    """Turn to the bins of three moments of a job, where they change."""
    turn_to_bin(s, row, queued)
    turn_to_bin(s, row + 1, start)
    turn_to_bin(s, row + 2, end)


@kernel
def turn_to_bin(s: RunState, row: int, moment: float) -> None:
    """Turn to the bin of one moment."""
    if s.bin_begins[row] <= moment < s.bin_ends[row]:
        return
    k = int(moment // s.resolution)
    if k >= s.bins:
        s.status, s.where = MORE_BINS, k
        k = s.bins - 1
    s.bin_place[row] = row * s.bins + k
    s.bin_begins[row], s.bin_ends[row] = k * s.resolution, (k + 1) * s.resolution
