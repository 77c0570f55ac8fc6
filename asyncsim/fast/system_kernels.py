"""External systems and their callbacks in the kernels.

Systems are those of `asyncsim.model.systems`, with the office hours of `asyncsim.model.calendar`;
callbacks may be lost, refused by the rate limit, duplicated and retried
(`asyncsim.model.strategies.Callback`, `asyncsim.engine.environment`).
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.engine import environment
from asyncsim.engine.environment import ROUNDING
from asyncsim.fast import schedule_kernels as schedules
from asyncsim.fast import state
from asyncsim.fast import wait_kernels as waits
from asyncsim.fast.event_queue import book_job, book_lane, group, push, up_at, work_done
from asyncsim.fast.jit import inner_kernel, kernel
from asyncsim.fast.state import ROW_SHIFT, RunState
from asyncsim.model import outages

retry_after = kernel(outages.retry_after)
until_out = kernel(environment.until_out)
refilled = kernel(environment.refilled)
until_token = kernel(environment.until_token)


@kernel
def admitted_after(s: RunState) -> float:
    """Admit a delivery that arrives now and return 0, or return the pause until it could be."""
    if s.finish_limit == state.WINDOW_LIMIT:
        oldest = s.admitted[s.admitted_at]  # of a ring
        pause = until_out(oldest, s.window_length, s.now)
        if pause >= ROUNDING:
            return float(pause)
        s.admitted[s.admitted_at] = s.now
        s.admitted_at = s.admitted_at + 1 if s.admitted_at + 1 < s.window_most else 0
        return 0.0
    s.tokens = refilled(s.tokens, s.tokens_since, s.now, s.bucket_rate, s.bucket_size)
    s.tokens_since = s.now
    pause = until_token(s.tokens, s.bucket_rate)
    if pause >= ROUNDING:
        return float(pause)
    s.tokens -= 1.0
    return 0.0


@kernel
def notify(s: RunState, w: int) -> None:
    """Send the callback of a completed item, or queue it behind those that block it."""
    if s.blocks[group(s, w)]:
        q = s.first_system[s.call_of[w]]
        if s.is_sending[q]:
            s.sending[s.queue_at[q] + s.sending_tail[q]] = w
            s.sending_tail[q] += 1
            return
        s.is_sending[q] = 1
    send_when_up(s, w, 0)


@kernel
def send_when_up(s: RunState, w: int, attempt: int) -> None:
    """Send a callback now, or when its system is up again."""
    up = up_at(s, s.last_system[s.call_of[w]], s.now)
    if up > s.now:
        push(s, up, state.SYSTEM, s.key_of[w] + (1 << ROW_SHIFT), -1 - (attempt * s.waits + w))
    else:
        send(s, w, attempt)


@kernel
def end_deliveries(s: RunState, w: int, answer: int) -> None:
    """Count a callback that is settled or given up, and send the next one of its queue."""
    q, g = s.first_system[s.call_of[w]], group(s, w)
    if answer == state.A_DEAD:
        s.exhausted_n[q] += 1
        if s.exhausted_n[q] >= s.off_after[g]:
            s.is_off[q] = 1
    elif answer != state.A_OFF:
        s.exhausted_n[q] = 0
        if answer == state.A_LATE and s.off_by_410[g]:
            s.is_off[q] = 1
    if s.blocks[g]:
        if s.sending_head[q] < s.sending_tail[q]:
            following = s.sending[s.queue_at[q] + s.sending_head[q]]
            s.sending_head[q] += 1
            waits.act_soon(s, s.waits + s.systems + following)
        else:
            s.is_sending[q] = 0


@kernel
def send(s: RunState, w: int, attempt: int) -> None:
    """Send a callback, attempt by attempt, until one is not lost or all are."""
    g, q = group(s, w), s.first_system[s.call_of[w]]
    while s.is_off[q] or (s.loss[g] and schedules.chance(s, state.K_LOSS, w, attempt) < s.loss[g]):
        if s.is_off[q]:
            record_outcome(s, note(s, w, -1, math.nan, 0), state.A_OFF)
            end_deliveries(s, w, state.A_OFF)
            return
        s.deliveries[w] += 1
        record_outcome(s, note(s, w, attempt, math.nan, 0), state.A_LOST)
        attempt += 1
        if pauses_before(s, w, attempt, 0.0):
            return
    delay = s.delay[attempt * s.waits + w] if s.delays_vary else s.delay[g]
    deliver(s, w, attempt, delay, 0)
    twice = s.duplicates[g]
    if twice and schedules.chance(s, state.K_DUPLICATE, w, attempt) < twice:
        deliver(s, w, attempt, delay + s.duplicate_delay[g], 1)


@kernel
def pauses_before(s: RunState, w: int, attempt: int, asked: float) -> bool:
    """Pause before an attempt, or give up after the last; return false if it comes at once.

    `asked` is the pause that a refusal has named, or 0.
    """
    g = group(s, w)
    if attempt == s.attempts[g]:
        record_outcome(s, note(s, w, -1, math.nan, 0), state.A_DEAD)
        end_deliveries(s, w, state.A_DEAD)
        return True
    pause = s.pause[s.pause_at[g] + attempt]
    if pause and s.retries_vary[g]:
        pause *= schedules.chance(s, state.K_RETRY, w, attempt)
    if asked and s.honours[g]:
        pause = asked
    at = up_at(s, s.last_system[s.call_of[w]], s.now + pause)
    if not pause and at <= s.now:
        return False
    key = s.key_of[w] + (1 << ROW_SHIFT)
    push(s, at, state.SYSTEM, key, -1 - (attempt * s.waits + w))
    return True


@inner_kernel
def deliver(s: RunState, w: int, attempt: int, delay: float, copy: int) -> None:
    """Schedule the arrival of a delivery."""
    s.deliveries[w] += 1
    push(s, s.now + delay, state.DELIVERY, s.key_of[w], note(s, w, attempt, s.now + delay, copy))


@inner_kernel
def note(s: RunState, w: int, attempt: int, arrives: float, copy: int) -> int:
    """Record a delivery; return its index."""
    d = s.deliveries_n
    s.deliveries_n = d + 1
    s.delivered[d], s.attempt[d], s.is_copy[d] = w, attempt, copy
    s.sent[d], s.arrived[d], s.handled[d] = s.now, arrives, math.nan
    return int(d)


@inner_kernel
def record_outcome(s: RunState, d: int, answer: int) -> None:
    """Record the outcome of a delivery."""
    s.answer[d] = answer
    s.settled[s.settled_n] = d
    s.settled_n += 1


@inner_kernel
def delivery_arrives(s: RunState, d: int) -> None:
    """Book a worker for a callback that has arrived, if the endpoint is up and admits it."""
    if s.down_n[state.ENDPOINT]:
        pause = up_at(s, state.ENDPOINT, s.now) - s.now
        if pause > 0.0:
            record_outcome(s, d, state.A_DOWN)
            try_again(s, d, retry_after(pause))
            return
    if s.finish_limit:
        pause = admitted_after(s)
        if pause:
            record_outcome(s, d, state.A_LIMITED)
            try_again(s, d, retry_after(pause))
            return
    if not s.callback_seconds:
        delivery_handled(s, d)
        return
    w = s.delivered[d]
    _, handled = book_job(s, state.J_CALLBACK, s.now, s.callback_work)
    push(s, handled, state.CALLBACK_HANDLED, s.key_of[w], d)
    deadline = s.now + s.answer_within[group(s, w)]
    if handled > deadline and not s.is_copy[d]:
        s.is_copy[d] = 1  # the sender does not see the answer
        key, attempt = s.key_of[w] + (1 << ROW_SHIFT), s.attempt[d] + state.DEADLINE
        push(s, deadline, state.SYSTEM, key, -1 - (attempt * s.waits + w))


@kernel
def delivery_handled(s: RunState, d: int) -> None:
    """Finish the wait by its callback; try again if it came too early."""
    s.handled[d] = s.now
    answer = waits.finish(s, s.delivered[d])
    record_outcome(s, d, answer)
    if answer == state.A_EARLY:
        try_again(s, d, 0.0)
    elif not s.is_copy[d]:
        end_deliveries(s, s.delivered[d], answer)


@kernel
def try_again(s: RunState, d: int, asked: float) -> None:
    """Send a callback once more; the outcome of a copy is ignored."""
    if not s.is_copy[d]:
        send_after(s, s.delivered[d], s.attempt[d] + 1, asked)


@kernel
def send_after(s: RunState, w: int, attempt: int, asked: float) -> None:
    """Send a callback after the pause before an attempt."""
    if not pauses_before(s, w, attempt, asked):
        send(s, w, attempt)


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
def when_worked(s: RunState, system: int, duration: float) -> float:
    """Return when the team member who is free first completes a task submitted now."""
    base, number = s.nights_at[system], s.nights_n[system]
    last = base + number - 1
    ready, ended = 0.0, math.inf
    if s.closes[last] >= s.now:
        k = base + last_before(s.opens, base, number, s.now, True)
        if k >= base:
            ready = s.open_before[k] + min(s.now, s.closes[k]) - s.opens[k]
        if s.withdraws[system]:
            ended = ready + duration
        else:
            ended = max(s.free_at[s.lanes_at[system]], ready) + duration
            book_lane(s.free_at, s.lanes_at[system], s.lanes_n[system], ended)
    if s.open_before[last] + s.closes[last] - s.opens[last] < ended:
        s.status, s.where = state.MORE_HOURS, system
        return float(s.now)
    k = base + max(last_before(s.open_before, base, number, ended, False), 0)
    return max(float(s.opens[k] + (ended - s.open_before[k])), float(s.now))


@kernel
def submit(s: RunState, w: int, system: int) -> None:
    """Put an item into the queue of a system, and wake it if it was idle."""
    place = s.queue_at[system] + s.queue_tail[system]
    s.queue_tail[system] += 1
    s.queue[place] = w
    s.submitted[place] = s.now
    if s.withdrawals:
        s.desk[w] = 2 * system
    if s.system_kind[system] == state.BATCH:
        s.in_batch[w] = system
    if s.idle[system]:
        s.idle[system] = 0
        waits.act_soon(s, s.waits + system)


@kernel
def wake_up(s: RunState, system: int) -> None:
    """Start work on the items in the queue of a system, and schedule their completion."""
    if s.system_kind[system] == state.BATCH:
        await_night(s, system)
        return
    kind, lanes, withdraws = s.system_kind[system], s.lanes_n[system], s.withdraws[system]
    while s.queue_head[system] < s.queue_tail[system]:
        if withdraws and lanes and s.at_work[system] == lanes:
            return  # until a lane is free
        w = s.queue[s.queue_at[system] + s.queue_head[system]]
        s.queue_head[system] += 1
        if s.withdrawals:
            s.desk[w] += 1
            s.at_work[system] += 1
        if kind == state.RECORDED:
            at = max(s.completion[s.nights_at[system] + s.row_of[w]], s.now)
        elif kind == state.PEOPLE:
            at = when_worked(s, system, item_time(s, w, system))
        elif lanes and not withdraws:
            at = lane_end(s, w, system, s.free_at[s.lanes_at[system]])
            book_lane(s.free_at, s.lanes_at[system], lanes, at)
        else:
            at = lane_end(s, w, system, s.now)
        complete_at(s, w, system, at)
    s.idle[system] = 1


@kernel
def lane_end(s: RunState, w: int, system: int, free: float) -> float:
    """Return when an item is done by a lane that is free from an instant on."""
    start, work, what = max(free, s.now), item_time(s, w, system), state.SYSTEMS + system
    if s.down_n[what]:
        return work_done(s, what, start, work)[1]
    return float(start + work)


@kernel
def complete_at(s: RunState, w: int, system: int, at: float) -> None:
    """Schedule the completion of an item; ties go by instance, then step."""
    s.not_before[w] = at
    if s.successor[system] < 0:
        s.foreseen[w] = at
    push(s, at, state.SYSTEM, s.key_of[w] + (1 << ROW_SHIFT), system * s.waits + w)


@kernel
def item_time(s: RunState, w: int, system: int) -> float:
    """Return how long a system works on an item."""
    return float(s.external[s.times_at[s.call_of[w]] + s.link[system] * s.n + s.row_of[w]])


@kernel
def await_night(s: RunState, system: int) -> None:
    """Schedule the first night whose cut-off is not before the oldest item of a batch."""
    oldest = s.submitted[s.queue_at[system] + s.queue_head[system]]
    night, nights, base = s.next_night[system], s.nights_n[system], s.nights_at[system]
    while night < nights and s.cut_off[base + night] < oldest:
        night += 1
    if night == nights:
        s.status = state.NO_NIGHT if s.exhausted[system] else state.MORE_NIGHTS
        s.where = system
        return
    s.next_night[system] = night + 1
    s.tonight[system] = base + night
    s.collected_at[system] = s.collects_at[system]
    start = max(s.night_start[base + night], s.now)
    s.collects_at[system] = up_at(s, state.SYSTEMS + system, start)
    push(s, s.collects_at[system], state.COLLECTION, system + 1, system)


@kernel
def first_left_over(s: RunState, system: int) -> int:
    """Return the first queued item of a batch that tonight's run leaves for another night."""
    night, head, queue = s.tonight[system], s.queue_head[system], s.queue_at[system]
    if s.skipped[night]:
        return int(head)
    after = min(s.queue_tail[system], head + s.most_items[system])
    while after > head and s.submitted[queue + after - 1] > s.cut_off[night]:
        after -= 1
    if s.breaks[night] < 0.0:
        return int(after)
    return int(head if s.at_end[system] else head + int(s.breaks[night] * (after - head)))


@kernel
def collect(s: RunState, system: int) -> None:
    """Process the items of a batch that were submitted by the cut-off."""
    night, head, queue = s.tonight[system], s.queue_head[system], s.queue_at[system]
    lanes_at, lanes = s.lanes_at[system], s.lanes_n[system]
    for k in range(lanes_at, lanes_at + lanes):
        s.free_at[k] = s.now
    until, taken, last = first_left_over(s, system), head, s.now
    while taken < until and s.free_at[lanes_at] < s.night_end[night]:
        w = s.queue[queue + taken]
        ended = lane_end(s, w, system, s.free_at[lanes_at])
        book_lane(s.free_at, lanes_at, lanes, ended)
        last = max(last, ended)
        s.in_batch[w] = -1
        if s.withdrawals:
            s.desk[w] += 1
        if not s.at_end[system]:
            complete_at(s, w, system, ended)
        taken += 1
    if s.at_end[system]:
        for k in range(head, taken):
            complete_at(s, s.queue[queue + k], system, last)
    s.queue_head[system] = taken
    s.remaining[system] = taken - head
    if taken == head:
        look_again(s, system)


@kernel
def look_again(s: RunState, system: int) -> None:
    """Schedule the next run of a batch, or mark it idle."""
    if s.queue_head[system] < s.queue_tail[system]:
        waits.act_soon(s, s.waits + system)
    else:
        s.idle[system] = 1


@inner_kernel
def system_event(s: RunState, payload: int) -> None:
    """Complete an item, or pass it on to the next link; or send a callback again."""
    if payload < 0:
        w, attempt = (-1 - payload) % s.waits, (-1 - payload) // s.waits
        if attempt >= state.DEADLINE:
            send_after(s, w, attempt - state.DEADLINE + 1, 0.0)
        else:
            send(s, w, attempt)
        return
    system = 0 if payload < s.waits else payload // s.waits
    w = payload - system * s.waits
    if not s.withdrawals or s.desk[w] != state.WITHDRAWN:
        item_done(s, w, system)
    if s.system_kind[system] == state.BATCH:
        s.remaining[system] -= 1
        if not s.remaining[system]:
            look_again(s, system)


@inner_kernel
def item_done(s: RunState, w: int, system: int) -> None:
    """Pass an item on to the next link, or complete it."""
    if s.withdrawals:
        s.desk[w] = state.NOWHERE
        waits.free_lane(s, system)
    if s.successor[system] >= 0:
        submit(s, w, s.successor[system])
    else:
        s.completed[w] = s.visible_from[w] = s.now
        g = group(s, w)
        if s.notify[g]:
            notify(s, w)
        if s.state[w] == state.ARMED:
            if s.checks_are_free[g]:
                waits.see_completion(s, w)
            elif s.watch[g] == state.SHARED:
                waits.add_complete(s, w)
            waits.release(s, w)
