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
    State,
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
def walk(s: State, row: int) -> None:
    """Go on at all nodes on the stack, the last one first."""
    while s.stack_n:
        s.stack_n -= 1
        node = s.stack[s.stack_n]
        while node >= 0 and s.instance_outcome[row] == RUNNING:  # may have failed in a branch
            node = visit(s, row, node)
        if node == DONE:
            end_instance(s, row, IS_DONE)
        elif node == FAILED:
            end_instance(s, row, HAS_FAILED)


@kernel
def end_instance(s: State, row: int, outcome: int) -> None:
    """End an instance; if it failed, what else it was waiting for is cancelled."""
    if s.instance_outcome[row] == RUNNING:
        s.instance_outcome[row] = outcome
        s.ended[row] = s.now
        if outcome == HAS_FAILED:
            cancel_all(s, row)


@kernel
def visit(s: State, row: int, node: int) -> int:
    """Do what is to be done at a node; return where to go on at once."""
    what = s.what[node]
    if what == IS_WORK:
        return STANDS if work_at(s, row, node, J_WORK) else int(s.next_node[node])
    if what == IS_CALL:
        return begin_call(s, row, node)
    if what == IS_AWAIT:
        arm_soon(s, s.node_call[node] * s.n + row)
        return STANDS
    if what == IS_CHOOSE:
        return choose(s, node, s.uniform[s.slot[node] * s.n + row])
    if what == IS_FORK:
        join, ways = s.next_node[node], s.heads_n[node]
        s.join_count[row * s.joins + s.slot[join]] = ways
        for k in range(ways - 1, -1, -1):
            go_on(s, s.heads[s.heads_at[node] + k])
        return STANDS
    place = row * s.joins + s.slot[node]
    s.join_count[place] -= 1
    return STANDS if s.join_count[place] else int(s.next_node[node])


@kernel
def choose(s: State, node: int, uniform: float) -> int:
    """Return the first node of the branch that a uniform number chooses."""
    heads, last = s.heads_at[node], s.heads_at[node] + s.heads_n[node] - 1
    while heads < last and uniform >= s.bounds[heads]:
        heads += 1
    return int(s.heads[heads])


@kernel
def work_at(s: State, row: int, node: int, job: int) -> bool:
    """Have a worker do the work of a step or a call; false if there is none to do."""
    place = s.slot[node] * s.n + row
    work = s.work[place]
    s.queued[place] = s.started[place] = s.now
    if not work:
        if job == J_WORK:
            s.step_ended[place] = s.now
        return False
    start = book_worker(s, job, s.now, work)
    s.started[place] = start
    push(s, start + work, WORK_ENDED, (row << ROW_SHIFT) | s.number[node], node)
    return True


@kernel
def work_ended(s: State, row: int, node: int) -> None:
    """Go on after the work of a step or a call."""
    if s.what[node] == IS_CALL:
        go_on(s, after_call(s, row, s.node_call[node]))
        return
    s.step_ended[s.slot[node] * s.n + row] = s.now
    go_on(s, s.next_node[node])


@kernel
def begin_call(s: State, row: int, node: int) -> int:
    """Leave the record of a wait and make the call."""
    call = s.node_call[node]
    w = call * s.n + row
    s.called[w] = s.now
    s.state[w] = CALLED
    if s.arms_before[call]:
        arm(s, w)
    if work_at(s, row, node, J_CALL):
        return STANDS
    return after_call(s, row, call)


@kernel
def after_call(s: State, row: int, call: int) -> int:
    """React to the immediate response of a call; return where to go on at once."""
    w = call * s.n + row
    uniform = s.uniform[s.response[s.call_node[call]] * s.n + row]
    if uniform < s.accepted_below[call]:
        if s.on_accepted[call] == STANDS:
            arm_soon(s, w)
        submit(s, w, s.first_desk[call])
        return int(s.on_accepted[call])
    if s.state[w] != CALLED and s.state[w] != ARMED:
        return STANDS  # timed out, or the instance has failed, while the call was being made
    cancel(s, w)
    if uniform < s.done_below[call] or not s.can_reject[call]:
        leave(s, w, AT_ONCE)
        return int(s.on_done[call])
    leave(s, w, REJECTED)
    return int(s.on_rejected[call])


@kernel
def arm_soon(s: State, w: int) -> None:
    """Arm a wait, now or after the delay of its step."""
    delay = s.arm_delay[s.call_of[w]]
    if delay:
        push(s, s.now + delay, ARMING, s.key_of[w], w)
    else:
        arm(s, w)


@kernel
def arm(s: State, w: int) -> None:
    """Arm a wait: from now on it can be finished."""
    if s.state[w] != CALLED:
        return  # armed before the call, or the instance has failed
    s.state[w] = ARMED
    s.armed[w] = s.now
    count_open(s, 1)
    if not math.isnan(s.buffered[w]) and not is_stale(s, s.buffered[w]):
        close(s, w, FINISHED)
        resume(s, w)
        return
    timeout = s.timeout[s.call_of[w]]
    if timeout >= 0.0:
        push(s, s.now + timeout, TIMEOUT, s.key_of[w], w)
    if s.checks_are_free:
        if s.completed[w] <= s.now:
            see_completion(s, w)
    elif s.watch == HOLDS_LINE:
        hold_next(s, w)
    elif s.watch:
        begin_schedule(s, w)
        schedule_check(s, w)


@kernel
def hold_lines(s: State) -> None:
    """Let waits hold a line that were told to hold one at once, the first one first."""
    k = 0
    while k < s.urgent_n:  # more may join meanwhile
        w = s.urgent[k]
        hold_line(s, w)
        walk(s, s.row_of[w])
        k += 1
    s.urgent_n = 0
