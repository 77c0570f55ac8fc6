"""The event loop, and the way of an instance through the nodes of its process."""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine.graph import DONE, FAILED, STANDS
from asyncsim.fast import schedule_kernels as schedules
from asyncsim.fast import state
from asyncsim.fast import system_kernels as systems
from asyncsim.fast import wait_kernels as waits
from asyncsim.fast.event_queue import (
    book_job,
    drop_from_heap,
    drop_head,
    group,
    head_key,
    next_lane,
    push,
)
from asyncsim.fast.jit import cached_kernel, inner_kernel, kernel
from asyncsim.fast.state import ARMED, ARRIVAL, KIND_SHIFT, ROW_SHIFT, RunState, state_of

ROW_MASK = (1 << (KIND_SHIFT - ROW_SHIFT)) - 1


@cached_kernel
def play(numbers: Any) -> Any:
    """Play all events of a run in order; return numbers of it, beside what its arrays hold."""
    s = state_of(numbers)
    run(s)
    whole = (s.status, s.where, s.arrivals_n, s.settled_n, s.open_count, s.longest)
    return whole, (s.open_seconds, s.last_change, s.line_seconds, s.store_seconds)


@kernel
def run(s: RunState) -> None:
    """Play all events, and count the free checks of waits that stay open."""
    s.lane_head[ARRIVAL] = s.arrival[0] if s.n else math.inf
    while s.status == state.OK:
        lane = next_lane(s)
        if lane < 0 or s.lane_head[lane] >= s.until:
            break
        may_be_check = lane == state.CHECK_DUE or lane == 0
        if not (s.looks_ahead and may_be_check and waits.look_ahead(s, lane)):
            step(s, lane)
    if s.status == state.OK and not s.poll_work:
        if s.until < math.inf:
            s.now, s.reached = s.until, 0
        for w in range(s.waits):
            is_open = s.state[w] == ARMED and s.completed[w] == math.inf
            if is_open and s.checks_are_free[group(s, w)]:
                waits.skip_checks(s, w, waits.is_over(s, w))


@inner_kernel
def step(s: RunState, lane: int) -> None:
    """Play the next event, and all that follows from it at once."""
    at, key, payload = s.lane_head[lane], 0, 0
    if lane == 0:
        key, payload = s.heap_key[0], s.heap_payload[0]
        drop_from_heap(s)
    else:
        key = head_key(s, lane)
        if lane == ARRIVAL:
            s.arrivals_n += 1
            s.lane_head[ARRIVAL] = s.arrival[s.arrivals_n] if s.arrivals_n < s.n else math.inf
        else:
            payload = drop_head(s, lane)
    s.reached = max(key, s.reached) if at == s.now else key
    s.now = at
    row = (key >> ROW_SHIFT) & ROW_MASK
    dispatch(s, key >> KIND_SHIFT, row, payload)
    walk(s, row)
    while s.urgent_n or s.soon_head < s.soon_tail:
        act_next(s)


@kernel
def act_next(s: RunState) -> None:
    """Open pending long-poll connections in FIFO order; or run a released line or a system."""
    k = 0
    while k < s.urgent_n:  # the list may grow meanwhile
        w = s.urgent[k]
        waits.hold_line(s, w)
        walk(s, s.row_of[w])
        k += 1
    s.urgent_n = 0
    if k == 0:
        what = s.soon[s.soon_head & (s.room - 1)]
        s.soon_head += 1
        if what >= s.waits + s.systems:
            systems.send_when_up(s, what - s.waits - s.systems, 0)
        elif what >= s.waits:
            systems.wake_up(s, what - s.waits)
        else:
            waits.line_released(s, what)
            walk(s, s.row_of[what])


@inner_kernel
def dispatch(s: RunState, kind: int, row: int, payload: int) -> None:
    """Call the handler of an event."""
    if kind == state.WORK_ENDED:
        work_ended(s, row, payload)
    elif kind == ARRIVAL:
        arrive(s, row)
    elif kind == state.SYSTEM:
        systems.system_event(s, payload)
    elif kind == state.DELIVERY:
        systems.delivery_arrives(s, payload)
    elif kind == state.CALLBACK_HANDLED:
        systems.delivery_handled(s, payload)
    elif kind == state.CHECK_DUE:
        waits.check_due(s, payload)
    elif kind == state.CHECK_ENDED:
        waits.answered(s, payload, waits.is_seen(s, payload, s.picked_up[payload]))
    elif kind == state.ARMING:
        arm(s, payload)
    elif kind == state.TIMEOUT:
        timed_out(s, payload)
    elif kind == state.COLLECTION:
        systems.collect(s, payload)
    elif kind == state.LAST_LOOK:
        seen = s.state[payload] == ARMED and waits.is_seen(s, payload, s.now)
        waits.answered(s, payload, seen)
    else:
        shared_check(s, payload >> 1, payload & 1)


@kernel
def shared_check(s: RunState, p: int, ended: int) -> None:
    """Begin a check for all open waits of a system, or resume what it has seen at its end."""
    if not ended:
        s.counts_at[p], s.asked_at[p] = waits.oldest_open(s, p), s.now
        if s.counts_at[p] < 0:
            s.is_asking[p] = 0
            return
        if s.check_seconds:
            s.asked_at[p], end = book_job(s, state.J_CHECK, s.now, s.poll_work)
            key = (p << ROW_SHIFT) | 1
            push(s, end, state.SHARED_CHECK, key, 2 * p + 1)
            return
    counts_at, seen = s.counts_at[p], 0
    s.shared_last[p] = s.now
    while seen < s.limit[group(s, counts_at)]:
        w = waits.take_complete(s, p)
        if w < 0:
            break
        waits.finish(s, w)
        walk(s, s.row_of[w])
        seen += 1
    s.checks[counts_at] += 1
    if seen:
        s.seen[counts_at] += 1
    waits.ask_next(s, p)


@kernel
def arrive(s: RunState, row: int) -> None:
    """Start an instance, and set its own deadline."""
    if s.instance_timeout >= 0.0:
        due = waits.noticed(s, s.now + s.instance_timeout)
        push(s, due, state.TIMEOUT, row << ROW_SHIFT, s.waits + row)
    waits.go_on(s, s.start_node)


@kernel
def timed_out(s: RunState, payload: int) -> None:
    """End a wait, or an instance, at its deadline."""
    if payload < s.waits:
        waits.expire(s, payload, state.TIMED_OUT)
    else:
        end_instance(s, payload - s.waits, state.IS_LATE)


@inner_kernel
def walk(s: RunState, row: int) -> None:
    """Visit all nodes on the stack, the last one first."""
    while s.stack_n:
        s.stack_n -= 1
        node = s.stack[s.stack_n]
        while node >= 0 and s.instance_outcome[row] == state.RUNNING:  # may have failed in a branch
            node = visit(s, row, node)
        if node == DONE:
            end_instance(s, row, state.IS_DONE)
        elif node == FAILED:
            end_instance(s, row, state.HAS_FAILED)


@kernel
def end_instance(s: RunState, row: int, outcome: int) -> None:
    """End an instance; what else one waited for that has failed or timed out ends, too."""
    if s.instance_outcome[row] != state.RUNNING:
        return
    s.instance_outcome[row] = outcome
    s.ended[row] = s.now
    for call in range(s.calls if outcome != state.IS_DONE else 0):
        w = call * s.n + row
        if outcome == state.IS_LATE and waits.time_out(s, w, True):
            s.left[w], s.outcome[w] = s.now, state.STEP_TIMED_OUT
        elif outcome == state.HAS_FAILED and waits.cancel(s, w):
            s.left[w], s.outcome[w] = s.now, state.STEP_CANCELLED


@inner_kernel
def visit(s: RunState, row: int, node: int) -> int:
    """Visit a node; return the node that follows at once."""
    what = s.what[node]
    if what == state.IS_WORK:
        return STANDS if work_at(s, row, node, state.J_WORK) else int(s.next_node[node])
    if what == state.IS_CALL:
        call = s.node_call[node]
        w = call * s.n + row
        s.called[w], s.state[w] = s.now, state.CALLED
        if s.deadlines:
            set_step_deadline(s, w)
        if s.arms_before[call]:
            arm(s, w)
        return STANDS if work_at(s, row, node, state.J_CALL) else after_call(s, row, call)
    if what == state.IS_AWAIT:
        arm_after(s, s.node_call[node] * s.n + row)
        return STANDS
    if what == state.IS_CHOOSE:
        uniform, head = s.uniform[s.slot[node] * s.n + row], s.heads_at[node]
        last = head + s.heads_n[node] - 1
        while head < last and uniform >= s.bounds[head]:
            head += 1
        return int(s.heads[head])
    if what == state.IS_FORK:
        join, ways = s.next_node[node], s.heads_n[node]
        s.join_count[row * s.joins + s.slot[join]] = ways
        for k in range(ways - 1, -1, -1):
            waits.go_on(s, s.heads[s.heads_at[node] + k])
        return STANDS
    if what == state.IS_PAUSE:
        return pause_at(s, row, node)
    place = row * s.joins + s.slot[node]
    s.join_count[place] -= 1
    return STANDS if s.join_count[place] else int(s.next_node[node])


@inner_kernel
def work_at(s: RunState, row: int, node: int, job: int) -> bool:
    """Book a worker for a step or a call; return false if it has none."""
    place = s.slot[node] * s.n + row
    work = s.work[place]
    s.queued[place] = s.started[place] = s.now
    if not work:
        if job == state.J_WORK:
            s.step_ended[place] = s.now
        return False
    start, end = book_job(s, job, s.now, work)
    s.started[place] = start
    push(s, end, state.WORK_ENDED, (row << ROW_SHIFT) | s.number[node], node)
    return True


@kernel
def pause_at(s: RunState, row: int, node: int) -> int:
    """Let a time pass that takes no worker; return the node that follows at once."""
    place = s.slot[node] * s.n + row
    s.queued[place] = s.started[place] = s.now
    if s.work[place]:
        key = (row << ROW_SHIFT) | s.number[node]
        push(s, s.now + s.work[place], state.WORK_ENDED, key, node)
        return STANDS
    s.step_ended[place] = s.now
    return int(s.next_node[node])


@inner_kernel
def work_ended(s: RunState, row: int, node: int) -> None:
    """Continue after the work of a step or a call, or after the delay of a finished step."""
    if node < 0:
        waits.resume_later(s, -1 - node)
        return
    if s.what[node] == state.IS_CALL:
        waits.go_on(s, after_call(s, row, s.node_call[node]))
        return
    if s.what[node] == state.IS_WORK or s.instance_outcome[row] == state.RUNNING:
        s.step_ended[s.slot[node] * s.n + row] = s.now  # a delay may have been cut short
    waits.go_on(s, s.next_node[node])


@kernel
def after_call(s: RunState, row: int, call: int) -> int:
    """React to the immediate response of a call; return the node that follows at once."""
    w = call * s.n + row
    uniform = s.uniform[s.response[s.call_node[call]] * s.n + row]
    if uniform < s.accepted_below[call]:
        is_open = s.state[w] == state.CALLED or s.state[w] == ARMED  # not timed out meanwhile
        if is_open and s.on_accepted[call] == STANDS:
            arm_soon(s, w)
        elif is_open and s.deadlines:
            s.between[w] = 1
        if is_open or not s.withdraw[call]:
            systems.submit(s, w, s.first_system[call])
        return int(s.on_accepted[call]) if is_open else STANDS
    if not waits.cancel(s, w):
        return STANDS  # timed out, or the instance has failed, while the call was being made
    s.left[w] = s.now
    if uniform < s.done_below[call] or not s.can_reject[call]:
        s.outcome[w] = state.AT_ONCE
        return int(s.on_done[call])
    s.outcome[w] = state.REJECTED
    return int(s.on_rejected[call])


@kernel
def set_step_deadline(s: RunState, w: int) -> None:
    """Let a step time out at its deadline, if it has one."""
    due = waits.step_deadline(s, w)
    if due < math.inf:
        push(s, due, state.TIMEOUT, s.key_of[w], w)


@kernel
def arm_after(s: RunState, w: int) -> None:
    """Arm a wait after the steps in between, or time it out if its deadline was noticed."""
    if s.deadlines:
        s.between[w] = 0
        if waits.step_deadline(s, w) <= s.now:
            waits.expire(s, w, state.TIMED_OUT)
            return
    arm_soon(s, w)


@kernel
def arm_soon(s: RunState, w: int) -> None:
    """Arm a wait, now or after the delay of its step."""
    delay = s.arm_delay[s.call_of[w]]
    if delay:
        push(s, s.now + delay, state.ARMING, s.key_of[w], w)
    else:
        arm(s, w)


@kernel
def arm(s: RunState, w: int) -> None:
    """Arm a wait: from now on it can be finished."""
    if s.state[w] != state.CALLED:
        return  # armed before the call, or the instance has failed
    s.state[w] = ARMED
    s.armed[w] = s.now
    waits.count_open(s, 1)
    if s.now <= s.buffered[w] + s.buffer_for:  # not if none is buffered (NaN)
        waits.resume(s, w)
        return
    timeout = s.timeout[s.call_of[w]]
    if timeout >= 0.0:
        push(s, waits.noticed(s, s.now + timeout), state.TIMEOUT, s.key_of[w], w)
    g = group(s, w)
    if s.checks_are_free[g]:
        if s.completed[w] <= s.now:
            waits.see_completion(s, w)
    elif s.watch[g] == state.HOLDS_LINE:
        s.urgent[s.urgent_n] = w
        s.urgent_n += 1
    elif s.watch[g] == state.SHARED:
        waits.add_opened(s, w)
    elif s.watch[g]:
        schedules.begin_schedule(s, w)
        push(s, schedules.next_check(s, w), state.CHECK_DUE, s.key_of[w], w)
