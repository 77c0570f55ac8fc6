"""A straight process that is called back: server and batches as recursions, no queue of events.

Where steps and calls follow each other without branch or time-out, nightly batches do the outside
work, and no callback gets lost or refused, what happens next is never in doubt. Every kind of job
(the work of a step, an outgoing call, a callback) has a line of those who will want it, in order of
time; the job that is wanted first is booked on the worker that is free first (Kiefer & Wolfowitz
1955, doi:10.2307/1992945), and its end puts the instance in the line of the next one. Lines are
kept by insertion: where they are far out of order, the run is left to the loop over events
(`loop`).
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import (
    A_FINISHED,
    FINE,
    FINISHED,
    IS_DONE,
    J_CALL,
    J_CALLBACK,
    MORE_NIGHTS,
    NO_NIGHT,
    NOT_FINITE,
    NOT_STRAIGHT,
    RESUMED,
    World,
)
from asyncsim.fast.system_kernels import first_left_over
from asyncsim.fast.worker_kernels import book_lane, book_worker

FAR = 512
"""How many places somebody may move forward in a line."""


@kernel
def run_straight(m: World) -> None:
    """Serve one job after the other until nobody is left in a line or a tray."""
    for row in range(m.n):
        enter(m, 0, m.arrival[row], row)
    m.arrivals_n = m.n
    while m.status == FINE:
        stage = next_stage(m)
        desk = collected_before(m, m.line_head[stage])
        if desk >= 0:
            collect_straight(m, desk)
        elif m.line_head[stage] < math.inf:
            serve(m, stage)
        else:
            break


@inner_kernel
def next_stage(m: World) -> int:
    """Return the stage that is wanted first; at one instant, by the rule for ties."""
    best = 0
    for stage in range(1, m.stages):
        if m.line_head[stage] < m.line_head[best] or (
            m.line_head[stage] == m.line_head[best] < math.inf and is_first(m, stage, best)
        ):
            best = stage
    return best


@kernel
def is_first(m: World, stage: int, other: int) -> bool:
    """Tell whose event comes first of two at one instant: by kind, by row, by step."""
    if m.stage_kind[stage] != m.stage_kind[other]:
        return bool(m.stage_kind[stage] < m.stage_kind[other])
    row, other_row = m.line_row[m.line_first[stage]], m.line_row[m.line_first[other]]
    return bool(row < other_row or (row == other_row and stage < other))


@inner_kernel
def serve(m: World, stage: int) -> None:
    """Book the job that the first in a line wants, and let the instance go on."""
    first = m.line_first[stage]
    at, row = m.line_t[first], m.line_row[first]
    m.line_first[stage] = first + 1
    m.line_head[stage] = m.line_t[first + 1] if first + 1 < m.line_after[stage] else math.inf
    job, work = m.stage_job[stage], m.callback_work
    if job != J_CALLBACK:
        work = m.work[m.stage_slot[stage] * m.n + row]
    start = book_worker(m, job, at, work) if work else at
    if take_down(m, stage, row, at, start, start + work):
        enter(m, stage + 1, start + work, row)


@kernel
def enter(m: World, stage: int, at: float, row: int) -> None:
    """Have an instance want the job of a stage; what takes no time needs no worker."""
    while stage < m.stages and m.stage_is_free[stage]:
        if not take_down(m, stage, row, at, at, at):
            return
        stage += 1
    if stage == m.stages:
        m.ended[row], m.instance_outcome[row] = at, IS_DONE
        return
    if not at < math.inf:
        m.status = NOT_FINITE
        return
    first, after = m.line_first[stage], m.line_after[stage]
    insert(m, m.line_t, m.line_row, first, after, at, row)
    m.line_after[stage] = after + 1
    m.line_head[stage] = m.line_t[first]


@inner_kernel
def take_down(m: World, stage: int, row: int, at: float, start: float, end: float) -> bool:
    """Take down a job; false if the instance waits for a batch after it."""
    job, call = m.stage_job[stage], m.stage_call[stage]
    if job == J_CALLBACK:
        resume_straight(m, call * m.n + row, at, end)
        return True
    place = m.stage_slot[stage] * m.n + row
    m.queued[place], m.started[place] = at, start
    if job != J_CALL:
        m.step_ended[place] = end
        return True
    w, desk = call * m.n + row, m.first_desk[call]
    m.called[w], m.armed[w] = at, end
    first, after = m.tray_at[desk] + m.tray_head[desk], m.tray_at[desk] + m.tray_tail[desk]
    insert(m, m.submitted, m.tray, first, after, end, w)
    m.tray_tail[desk] += 1
    return False


@inner_kernel
def insert(m: World, t: Any, who: Any, first: int, after: int, at: float, whom: int) -> None:
    """Put somebody in a line that is in order of time, and at one instant of number."""
    place = after
    while place > first and (t[place - 1] > at or (t[place - 1] == at and who[place - 1] > whom)):
        t[place], who[place] = t[place - 1], who[place - 1]
        place -= 1
    t[place], who[place] = at, whom
    if after - place > FAR:
        m.status = NOT_STRAIGHT


@inner_kernel
def resume_straight(m: World, w: int, arrived: float, handled: float) -> None:
    """Take down a callback and the wait that it finishes."""
    m.state[w], m.outcome[w], m.deliveries[w] = FINISHED, RESUMED, 1
    m.closed[w] = m.left[w] = handled
    m.open_seconds += handled - m.armed[w]
    d, place = m.deliveries_n, m.told_n
    m.deliveries_n, m.told_n = d + 1, place + 1
    m.delivered[d], m.attempt[d], m.is_copy[d], m.answer[d] = w, 0, 0, A_FINISHED
    m.sent[d], m.arrived[d], m.handled[d] = m.completed[w], arrived, handled
    # What ends at one instant is told in the order of rows; what takes no time, as it comes
    while m.callback_work and place > 0 and m.handled[m.told[place - 1]] == handled:
        if m.key_of[m.delivered[m.told[place - 1]]] < m.key_of[w]:
            break
        m.told[place] = m.told[place - 1]
        place -= 1
    m.told[place] = d


@inner_kernel
def collected_before(m: World, at: float) -> int:
    """Return the batch that collects next if that is before an instant, or -1."""
    best, earliest = -1, at
    for desk in range(m.desks):
        if m.tray_head[desk] < m.tray_tail[desk]:
            if math.isnan(m.collects_at[desk]):
                choose_night(m, desk, at)
            if m.collects_at[desk] < earliest:
                best, earliest = desk, m.collects_at[desk]
    return best


@kernel
def choose_night(m: World, desk: int, at: float) -> None:
    """Choose the first night whose cut-off is not before the oldest item in the tray.

    Nobody can be submitted any more before `at`, so an item older than that is the oldest.
    """
    oldest = m.submitted[m.tray_at[desk] + m.tray_head[desk]]
    if oldest >= at:
        return
    night, nights, base = m.next_night[desk], m.nights_n[desk], m.nights_at[desk]
    while night < nights and m.cut_off[base + night] < oldest:
        night += 1
    if night == nights:
        m.status, m.where = NO_NIGHT if m.exhausted[desk] else MORE_NIGHTS, desk
        return
    m.next_night[desk], m.tonight[desk] = night + 1, base + night
    m.collects_at[desk] = max(m.night_start[base + night], oldest, m.collected_at[desk])


@kernel
def collect_straight(m: World, desk: int) -> None:
    """Have a batch work through what was submitted by the cut-off, and call back."""
    now, night, head = m.collects_at[desk], m.tonight[desk], m.tray_head[desk]
    tray, lanes_at, lanes = m.tray_at[desk], m.lanes_at[desk], m.lanes_n[desk]
    for k in range(lanes_at, lanes_at + lanes):
        m.free_at[k] = now
    until, ready, taken = first_left_over(m, desk), now, head
    while taken < until and m.free_at[lanes_at] < m.night_end[night]:
        w = m.tray[tray + taken]
        time = m.external[m.times_at[m.call_of[w]] + m.row_of[w]]
        m.completed[w] = book_lane(m.free_at, lanes_at, lanes, now, time)
        ready = max(ready, m.completed[w])
        taken += 1
    for k in range(head, taken):
        w = m.tray[tray + k]
        if m.at_end[desk]:
            m.completed[w] = ready
        enter(m, m.callback_stage[m.call_of[w]], m.completed[w] + m.delay[0], m.row_of[w])
    m.tray_head[desk] = taken
    m.collects_at[desk], m.collected_at[desk] = math.nan, ready
