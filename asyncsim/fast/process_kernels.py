"""The way of an instance through the nodes of its process, from event to event."""

from __future__ import annotations

import math

from asyncsim.engine.graph import DONE, FAILED, STANDS
from asyncsim.fast.check_kernels import hold_line, hold_next, schedule_check
from asyncsim.fast.check_schedule import begin_schedule, see_completion
from asyncsim.fast.event_queue import ROW_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    ARMED,
    ARMING,
    AT_ONCE,
    CALLED,
    FINISHED,
    HAS_FAILED,
    HOLDS_LINE,
    IS_AWAIT,
    IS_CALL,
    IS_CHOOSE,
    IS_DONE,
    IS_FORK,
    IS_WORK,
    J_CALL,
    J_WORK,
    REJECTED,
    RUNNING,
    TIMEOUT,
    WORK_ENDED,
    World,
)
from asyncsim.fast.system_kernels import submit
from asyncsim.fast.wait_kernels import (
    cancel,
    cancel_all,
    close,
    count_open,
    go_on,
    is_stale,
    leave,
    resume,
)
from asyncsim.fast.worker_kernels import book_worker


@kernel
def walk(m: World, row: int) -> None:
    """Go on at all nodes on the stack, the last one first."""
    while m.stack_n:
        m.stack_n -= 1
        node = m.stack[m.stack_n]
        while node >= 0 and m.instance_outcome[row] == RUNNING:  # may have failed in a branch
            node = visit(m, row, node)
        if node == DONE:
            end_instance(m, row, IS_DONE)
        elif node == FAILED:
            end_instance(m, row, HAS_FAILED)


@kernel
def end_instance(m: World, row: int, outcome: int) -> None:
    """End an instance; if it failed, what else it was waiting for is cancelled."""
    if m.instance_outcome[row] == RUNNING:
        m.instance_outcome[row] = outcome
        m.ended[row] = m.now
        if outcome == HAS_FAILED:
            cancel_all(m, row)


@kernel
def visit(m: World, row: int, node: int) -> int:
    """Do what is to be done at a node; return where to go on at once."""
    what = m.what[node]
    if what == IS_WORK:
        return STANDS if work_at(m, row, node, J_WORK) else int(m.next_node[node])
    if what == IS_CALL:
        return begin_call(m, row, node)
    if what == IS_AWAIT:
        arm_soon(m, m.node_call[node] * m.n + row)
        return STANDS
    if what == IS_CHOOSE:
        return choose(m, node, m.uniform[m.slot[node] * m.n + row])
    if what == IS_FORK:
        join, ways = m.next_node[node], m.heads_n[node]
        m.join_count[row * m.joins + m.slot[join]] = ways
        for k in range(ways - 1, -1, -1):
            go_on(m, m.heads[m.heads_at[node] + k])
        return STANDS
    place = row * m.joins + m.slot[node]
    m.join_count[place] -= 1
    return STANDS if m.join_count[place] else int(m.next_node[node])


@kernel
def choose(m: World, node: int, uniform: float) -> int:
    """Return the first node of the branch that a uniform number chooses."""
    heads, last = m.heads_at[node], m.heads_at[node] + m.heads_n[node] - 1
    while heads < last and uniform >= m.bounds[heads]:
        heads += 1
    return int(m.heads[heads])


@kernel
def work_at(m: World, row: int, node: int, job: int) -> bool:
    """Have a worker do the work of a step or a call; false if there is none to do."""
    place = m.slot[node] * m.n + row
    work = m.work[place]
    m.queued[place] = m.started[place] = m.now
    if not work:
        if job == J_WORK:
            m.step_ended[place] = m.now
        return False
    start = book_worker(m, job, m.now, work)
    m.started[place] = start
    push(m, start + work, WORK_ENDED, (row << ROW_SHIFT) | m.number[node], node)
    return True


@kernel
def work_ended(m: World, row: int, node: int) -> None:
    """Go on after the work of a step or a call."""
    if m.what[node] == IS_CALL:
        go_on(m, after_call(m, row, m.node_call[node]))
        return
    m.step_ended[m.slot[node] * m.n + row] = m.now
    go_on(m, m.next_node[node])


@kernel
def begin_call(m: World, row: int, node: int) -> int:
    """Leave the record of a wait and make the call."""
    call = m.node_call[node]
    w = call * m.n + row
    m.called[w] = m.now
    m.state[w] = CALLED
    if m.arms_before[call]:
        arm(m, w)
    if work_at(m, row, node, J_CALL):
        return STANDS
    return after_call(m, row, call)


@kernel
def after_call(m: World, row: int, call: int) -> int:
    """React to the immediate response of a call; return where to go on at once."""
    w = call * m.n + row
    uniform = m.uniform[m.response[m.call_node[call]] * m.n + row]
    if uniform < m.accepted_below[call]:
        if m.on_accepted[call] == STANDS:
            arm_soon(m, w)
        submit(m, w, m.first_desk[call])
        return int(m.on_accepted[call])
    if m.state[w] != CALLED and m.state[w] != ARMED:
        return STANDS  # timed out, or the instance has failed, while the call was being made
    cancel(m, w)
    if uniform < m.done_below[call] or not m.can_reject[call]:
        leave(m, w, AT_ONCE)
        return int(m.on_done[call])
    leave(m, w, REJECTED)
    return int(m.on_rejected[call])


@kernel
def arm_soon(m: World, w: int) -> None:
    """Arm a wait, now or after the delay of its step."""
    delay = m.arm_delay[m.call_of[w]]
    if delay:
        push(m, m.now + delay, ARMING, m.key_of[w], w)
    else:
        arm(m, w)


@kernel
def arm(m: World, w: int) -> None:
    """Arm a wait: from now on it can be finished."""
    if m.state[w] != CALLED:
        return  # armed before the call, or the instance has failed
    m.state[w] = ARMED
    m.armed[w] = m.now
    count_open(m, 1)
    if not math.isnan(m.buffered[w]) and not is_stale(m, m.buffered[w]):
        close(m, w, FINISHED)
        resume(m, w)
        return
    timeout = m.timeout[m.call_of[w]]
    if timeout >= 0.0:
        push(m, m.now + timeout, TIMEOUT, m.key_of[w], w)
    if m.checks_are_free:
        if m.completed[w] <= m.now:
            see_completion(m, w)
    elif m.watch == HOLDS_LINE:
        hold_next(m, w)
    elif m.watch:
        begin_schedule(m, w)
        schedule_check(m, w)


@kernel
def hold_lines(m: World) -> None:
    """Let waits hold a line that were told to hold one at once, the first one first."""
    k = 0
    while k < m.urgent_n:  # more may join meanwhile
        w = m.urgent[k]
        hold_line(m, w)
        walk(m, m.row_of[w])
        k += 1
    m.urgent_n = 0
