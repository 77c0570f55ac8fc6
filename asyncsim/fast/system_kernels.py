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
from asyncsim.fast.event_queue import ROW_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    A_DEAD,
    A_EARLY,
    A_LIMITED,
    A_LOST,
    BATCH,
    CALLBACK_HANDLED,
    COLLECTION,
    DELIVERY,
    J_CALLBACK,
    K_DUPLICATE,
    K_LOSS,
    MORE_HOURS,
    MORE_NIGHTS,
    NO_NIGHT,
    PEOPLE,
    RECORDED,
    SYSTEM,
    WINDOW_LIMIT,
    RunState,
)
from asyncsim.fast.wait_kernels import act_soon, chance, finish, is_open, release, see_completion
from asyncsim.fast.worker_kernels import book_lane, book_worker

until_out = kernel(environment.until_out)
refilled = kernel(environment.refilled)
until_token = kernel(environment.until_token)


@kernel
def is_admitted(s: RunState) -> bool:
    """Admit a delivery that arrives now, or refuse it."""
    if s.finish_limit == WINDOW_LIMIT:
        oldest = s.admitted[s.admitted_at]  # of a ring
        if until_out(oldest, s.window_length, s.now) >= ROUNDING:
            return False
        s.admitted[s.admitted_at] = s.now
        s.admitted_at = s.admitted_at + 1 if s.admitted_at + 1 < s.window_most else 0
        return True
    s.tokens = refilled(s.tokens, s.tokens_since, s.now, s.bucket_rate, s.bucket_size)
    s.tokens_since = s.now
    if until_token(s.tokens, s.bucket_rate) >= ROUNDING:
        return False
    s.tokens -= 1.0
    return True


@kernel
def send(s: RunState, w: int, attempt: int) -> None:
    """Send a callback, attempt by attempt, until one is not lost or all are."""
    call, row = s.call_of[w], s.row_of[w]
    while s.loss and chance(s, K_LOSS, call, row, attempt) < s.loss:
        s.deliveries[w] += 1
        record_outcome(s, note(s, w, attempt, math.nan, 0), A_LOST)
        attempt += 1
        if pauses_before(s, w, attempt):
            return
    delay = s.delay[attempt * s.waits + w] if s.delays_vary else s.delay[0]
    dispatch(s, w, attempt, delay, 0)
    if s.duplicates and chance(s, K_DUPLICATE, call, row, attempt) < s.duplicates:
        dispatch(s, w, attempt, delay + s.duplicate_delay, 1)


@kernel
def pauses_before(s: RunState, w: int, attempt: int) -> bool:
    """Pause before an attempt, or give up after the last; return false if it comes at once."""
    if attempt == s.attempts:
        record_outcome(s, note(s, w, -1, math.nan, 0), A_DEAD)
        return True
    pause = s.pause[attempt]
    if not pause:
        return False
    key = s.key_of[w] + (1 << ROW_SHIFT)
    push(s, s.now + pause, SYSTEM, key, -1 - (attempt * s.waits + w))
    return True


@kernel
def dispatch(s: RunState, w: int, attempt: int, delay: float, copy: int) -> None:
    """Schedule the arrival of a delivery."""
    s.deliveries[w] += 1
    push(s, s.now + delay, DELIVERY, s.key_of[w], note(s, w, attempt, s.now + delay, copy))


@kernel
def note(s: RunState, w: int, attempt: int, arrives: float, copy: int) -> int:
    """Record a delivery; return its index."""
    d = s.deliveries_n
    s.deliveries_n = d + 1
    s.delivered[d], s.attempt[d], s.is_copy[d] = w, attempt, copy
    s.sent[d], s.arrived[d], s.handled[d] = s.now, arrives, math.nan
    return int(d)


@kernel
def record_outcome(s: RunState, d: int, answer: int) -> None:
    """Record the outcome of a delivery."""
    s.answer[d] = answer
    s.settled[s.settled_n] = d
    s.settled_n += 1


@kernel
def delivery_arrives(s: RunState, d: int) -> None:
    """Book a worker for a callback that has arrived, if the rate limit admits it."""
    if s.finish_limit and not is_admitted(s):
        record_outcome(s, d, A_LIMITED)
        try_again(s, d)
        return
    if not s.callback_work:
        delivery_handled(s, d)
        return
    handled = book_worker(s, J_CALLBACK, s.now, s.callback_work) + s.callback_work
    push(s, handled, CALLBACK_HANDLED, s.key_of[s.delivered[d]], d)


@kernel
def delivery_handled(s: RunState, d: int) -> None:
    """Finish the wait by its callback; try again if it came too early."""
    s.handled[d] = s.now
    answer = finish(s, s.delivered[d])
    record_outcome(s, d, answer)
    if answer == A_EARLY:
        try_again(s, d)


@kernel
def try_again(s: RunState, d: int) -> None:
    """Send a callback once more; the outcome of a copy is ignored."""
    w, attempt = s.delivered[d], s.attempt[d] + 1
    if not s.is_copy[d] and not pauses_before(s, w, attempt):
        send(s, w, attempt)


@kernel
def when_worked(s: RunState, desk: int, duration: float) -> float:
    """Return when the team member who is free first completes a task submitted now."""
    ready = open_seconds(s, desk)
    ended = book_lane(s.free_at, s.lanes_at[desk], s.lanes_n[desk], ready, duration)
    return max(instant_of(s, desk, ended), s.now)


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
def open_seconds(s: RunState, desk: int) -> float:
    """Return how long the office has been open until now."""
    base, number = s.nights_at[desk], s.nights_n[desk]
    if s.closes[base + number - 1] < s.now:
        s.status, s.where = MORE_HOURS, desk
        return 0.0
    k = last_before(s.opens, base, number, s.now, True)
    if k < 0:
        return 0.0
    k += base
    return float(s.open_before[k] + min(s.now, s.closes[k]) - s.opens[k])


@kernel
def instant_of(s: RunState, desk: int, seconds: float) -> float:
    """Return the first instant by which the office has been open that long."""
    base, number = s.nights_at[desk], s.nights_n[desk]
    last = base + number - 1
    if s.open_before[last] + s.closes[last] - s.opens[last] < seconds:
        s.status, s.where = MORE_HOURS, desk
        return 0.0
    k = base + max(last_before(s.open_before, base, number, seconds, False), 0)
    return float(s.opens[k] + (seconds - s.open_before[k]))


@kernel
def submit(s: RunState, w: int, desk: int) -> None:
    """Put an item into the queue of a system, and wake it if it was idle."""
    place = s.tray_at[desk] + s.tray_tail[desk]
    s.tray_tail[desk] += 1
    s.tray[place] = w
    s.submitted[place] = s.now
    if s.desk_kind[desk] == BATCH:
        s.at_desk[w] = desk
    if s.idle[desk]:
        s.idle[desk] = 0
        act_soon(s, s.waits + desk)


@kernel
def wake_up(s: RunState, desk: int) -> None:
    """Serve the items in the queue of a system."""
    if s.desk_kind[desk] == BATCH:
        await_night(s, desk)
        return
    while s.tray_head[desk] < s.tray_tail[desk]:
        w = s.tray[s.tray_at[desk] + s.tray_head[desk]]
        s.tray_head[desk] += 1
        take_on(s, w, desk)
    s.idle[desk] = 1


@kernel
def take_on(s: RunState, w: int, desk: int) -> None:
    """Start work on an item, and schedule its completion."""
    kind, lanes = s.desk_kind[desk], s.lanes_n[desk]
    if kind == RECORDED:
        at = max(s.completion[s.nights_at[desk] + s.row_of[w]], s.now)
    elif kind == PEOPLE:
        at = when_worked(s, desk, item_time(s, w, desk))
    elif lanes:
        at = book_lane(s.free_at, s.lanes_at[desk], lanes, s.now, item_time(s, w, desk))
    else:
        at = s.now + item_time(s, w, desk)
    complete_at(s, w, desk, at)


@kernel
def complete_at(s: RunState, w: int, desk: int, at: float) -> None:
    """Schedule the completion of an item; ties go by instance, then step."""
    s.not_before[w] = at
    push(s, at, SYSTEM, s.key_of[w] + (1 << ROW_SHIFT), desk * s.waits + w)


@kernel
def item_time(s: RunState, w: int, desk: int) -> float:
    """Return how long a system works on an item."""
    return float(s.external[s.times_at[s.call_of[w]] + s.link[desk] * s.n + s.row_of[w]])


@kernel
def item_done(s: RunState, w: int, desk: int) -> None:
    """Pass an item on to the next link, or complete it."""
    if s.successor[desk] >= 0:
        submit(s, w, s.successor[desk])
        return
    s.completed[w] = s.visible_from[w] = s.now
    if s.notify:
        send(s, w, 0)
    if is_open(s, w):
        if s.checks_are_free:
            see_completion(s, w)
        release(s, w)


@kernel
def await_night(s: RunState, desk: int) -> None:
    """Schedule the first night whose cut-off is not before the oldest item of a batch."""
    oldest = s.submitted[s.tray_at[desk] + s.tray_head[desk]]
    night, nights, base = s.next_night[desk], s.nights_n[desk], s.nights_at[desk]
    while night < nights and s.cut_off[base + night] < oldest:
        night += 1
    if night == nights:
        s.status = NO_NIGHT if s.exhausted[desk] else MORE_NIGHTS
        s.where = desk
        return
    s.next_night[desk] = night + 1
    s.tonight[desk] = base + night
    s.collected_at[desk] = s.collects_at[desk]
    s.collects_at[desk] = max(s.night_start[base + night], s.now)
    push(s, s.collects_at[desk], COLLECTION, desk + 1, desk)


@kernel
def first_left_over(s: RunState, desk: int) -> int:
    """Return the first queued item of a batch that tonight's run leaves for another night."""
    night, head, tray = s.tonight[desk], s.tray_head[desk], s.tray_at[desk]
    if s.skipped[night]:
        return int(head)
    after = min(s.tray_tail[desk], head + s.most_items[desk])
    while after > head and s.submitted[tray + after - 1] > s.cut_off[night]:
        after -= 1
    if s.breaks[night] < 0.0:
        return int(after)
    return int(head if s.at_end[desk] else head + int(s.breaks[night] * (after - head)))


@kernel
def collect(s: RunState, desk: int) -> None:
    """Process the items of a batch that were submitted by the cut-off."""
    night, head, tray = s.tonight[desk], s.tray_head[desk], s.tray_at[desk]
    lanes_at, lanes = s.lanes_at[desk], s.lanes_n[desk]
    for k in range(lanes_at, lanes_at + lanes):
        s.free_at[k] = s.now
    until, taken, last = first_left_over(s, desk), head, s.now
    while taken < until and s.free_at[lanes_at] < s.night_end[night]:
        w = s.tray[tray + taken]
        ended = book_lane(s.free_at, lanes_at, lanes, s.now, item_time(s, w, desk))
        last = max(last, ended)
        s.at_desk[w] = -1
        if not s.at_end[desk]:
            complete_at(s, w, desk, ended)
        taken += 1
    if s.at_end[desk]:
        for k in range(head, taken):
            complete_at(s, s.tray[tray + k], desk, last)
    s.tray_head[desk] = taken
    s.remaining[desk] = taken - head
    if taken == head:
        look_again(s, desk)


@kernel
def look_again(s: RunState, desk: int) -> None:
    """Schedule the next run of a batch, or mark it idle."""
    if s.tray_head[desk] < s.tray_tail[desk]:
        act_soon(s, s.waits + desk)
    else:
        s.idle[desk] = 1


@kernel
def system_event(s: RunState, payload: int) -> None:
    """Complete an item, or send a callback again."""
    if payload < 0:
        again = -1 - payload
        send(s, again % s.waits, again // s.waits)
        return
    desk = 0 if payload < s.waits else payload // s.waits
    w = payload - desk * s.waits
    item_done(s, w, desk)
    if s.desk_kind[desk] == BATCH:
        s.remaining[desk] -= 1
        if not s.remaining[desk]:
            look_again(s, desk)
