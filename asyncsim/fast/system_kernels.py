"""External systems in the kernels: what each does when it wakes up (`asyncsim.model.systems`).

Working hours of people: time counted while the office is open (`asyncsim.model.calendar`).
"""

from __future__ import annotations

from typing import Any

from asyncsim.fast.callback_kernels import send
from asyncsim.fast.check_schedule import see_completion
from asyncsim.fast.event_queue import ROW_SHIFT, push
from asyncsim.fast.jit import kernel
from asyncsim.fast.state import (
    BATCH,
    COLLECTION,
    MORE_HOURS,
    MORE_NIGHTS,
    NO_NIGHT,
    PEOPLE,
    RECORDED,
    SYSTEM,
    State,
)
from asyncsim.fast.wait_kernels import act_soon, is_open, release
from asyncsim.fast.worker_kernels import book_lane


@kernel
def when_worked(s: State, desk: int, duration: float) -> float:
    """Return when the person who is free first is done with a task submitted now."""
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
def open_seconds(s: State, desk: int) -> float:
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
def instant_of(s: State, desk: int, seconds: float) -> float:
    """Return the first instant by which the office has been open that long."""
    base, number = s.nights_at[desk], s.nights_n[desk]
    last = base + number - 1
    if s.open_before[last] + s.closes[last] - s.opens[last] < seconds:
        s.status, s.where = MORE_HOURS, desk
        return 0.0
    k = base + max(last_before(s.open_before, base, number, seconds, False), 0)
    return float(s.opens[k] + (seconds - s.open_before[k]))


@kernel
def submit(s: State, w: int, desk: int) -> None:
    """Lay an item into the tray of a desk, and wake it if it was idle."""
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
def wake_up(s: State, desk: int) -> None:
    """Let a desk look into its tray."""
    if s.desk_kind[desk] == BATCH:
        await_night(s, desk)
        return
    while s.tray_head[desk] < s.tray_tail[desk]:
        w = s.tray[s.tray_at[desk] + s.tray_head[desk]]
        s.tray_head[desk] += 1
        take_on(s, w, desk)
    s.idle[desk] = 1


@kernel
def take_on(s: State, w: int, desk: int) -> None:
    """Have a service, a team or a log work on an item, and schedule its completion."""
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
def complete_at(s: State, w: int, desk: int, at: float) -> None:
    """Schedule the completion of an item; ties go by instance, then step."""
    s.not_before[w] = at
    push(s, at, SYSTEM, s.key_of[w] + (1 << ROW_SHIFT), desk * s.waits + w)


@kernel
def item_time(s: State, w: int, desk: int) -> float:
    """Return how long a desk works on an item."""
    return float(s.external[s.times_at[s.call_of[w]] + s.link[desk] * s.n + s.row_of[w]])


@kernel
def item_done(s: State, w: int, desk: int) -> None:
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
def await_night(s: State, desk: int) -> None:
    """Have a batch wait for the first night whose cut-off is not before its oldest item."""
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
def first_left_over(s: State, desk: int) -> int:
    """Return the first item in the tray of a batch that tonight's run leaves for another night."""
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
def collect(s: State, desk: int) -> None:
    """Have a batch take what was submitted by the cut-off, and work through it."""
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
def look_again(s: State, desk: int) -> None:
    """Let a batch that is through with a night go back to its tray."""
    if s.tray_head[desk] < s.tray_tail[desk]:
        act_soon(s, s.waits + desk)
    else:
        s.idle[desk] = 1


@kernel
def system_event(s: State, payload: int) -> None:
    """Let a system be done with an item, or a callback be tried again."""
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
