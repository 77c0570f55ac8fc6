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
    World,
)
from asyncsim.fast.wait_kernels import act_soon, is_open, release
from asyncsim.fast.worker_kernels import book_lane


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


@kernel
def submit(m: World, w: int, desk: int) -> None:
    """Lay an item into the tray of a desk, and wake it if it was idle."""
    place = m.tray_at[desk] + m.tray_tail[desk]
    m.tray_tail[desk] += 1
    m.tray[place] = w
    m.submitted[place] = m.now
    if m.desk_kind[desk] == BATCH:
        m.at_desk[w] = desk
    if m.idle[desk]:
        m.idle[desk] = 0
        act_soon(m, m.waits + desk)


@kernel
def wake_up(m: World, desk: int) -> None:
    """Let a desk look into its tray."""
    if m.desk_kind[desk] == BATCH:
        await_night(m, desk)
        return
    while m.tray_head[desk] < m.tray_tail[desk]:
        w = m.tray[m.tray_at[desk] + m.tray_head[desk]]
        m.tray_head[desk] += 1
        take_on(m, w, desk)
    m.idle[desk] = 1


@kernel
def take_on(m: World, w: int, desk: int) -> None:
    """Have a service, a team or a log work on an item, and schedule its completion."""
    kind, lanes = m.desk_kind[desk], m.lanes_n[desk]
    if kind == RECORDED:
        at = max(m.completion[m.nights_at[desk] + m.row_of[w]], m.now)
    elif kind == PEOPLE:
        at = when_worked(m, desk, item_time(m, w, desk))
    elif lanes:
        at = book_lane(m.free_at, m.lanes_at[desk], lanes, m.now, item_time(m, w, desk))
    else:
        at = m.now + item_time(m, w, desk)
    complete_at(m, w, desk, at)


@kernel
def complete_at(m: World, w: int, desk: int, at: float) -> None:
    """Schedule the completion of an item; ties go by instance, then step."""
    m.not_before[w] = at
    push(m, at, SYSTEM, m.key_of[w] + (1 << ROW_SHIFT), desk * m.waits + w)


@kernel
def item_time(m: World, w: int, desk: int) -> float:
    """Return how long a desk works on an item."""
    return float(m.external[m.times_at[m.call_of[w]] + m.link[desk] * m.n + m.row_of[w]])


@kernel
def item_done(m: World, w: int, desk: int) -> None:
    """Pass an item on to the next link, or complete it."""
    if m.successor[desk] >= 0:
        submit(m, w, m.successor[desk])
        return
    m.completed[w] = m.attention[w] = m.now
    if m.notify:
        send(m, w, 0)
    if is_open(m, w):
        if m.checks_are_free:
            see_completion(m, w)
        release(m, w)


@kernel
def await_night(m: World, desk: int) -> None:
    """Have a batch wait for the first night whose cut-off is not before its oldest item."""
    oldest = m.submitted[m.tray_at[desk] + m.tray_head[desk]]
    night, nights, base = m.next_night[desk], m.nights_n[desk], m.nights_at[desk]
    while night < nights and m.cut_off[base + night] < oldest:
        night += 1
    if night == nights:
        m.status = NO_NIGHT if m.exhausted[desk] else MORE_NIGHTS
        m.where = desk
        return
    m.next_night[desk] = night + 1
    m.tonight[desk] = base + night
    m.collected_at[desk] = m.collects_at[desk]
    m.collects_at[desk] = max(m.night_start[base + night], m.now)
    push(m, m.collects_at[desk], COLLECTION, desk + 1, desk)


@kernel
def first_left_over(m: World, desk: int) -> int:
    """Return the first item in the tray of a batch that tonight's run leaves for another night."""
    night, head, tray = m.tonight[desk], m.tray_head[desk], m.tray_at[desk]
    if m.skipped[night]:
        return int(head)
    after = min(m.tray_tail[desk], head + m.most_items[desk])
    while after > head and m.submitted[tray + after - 1] > m.cut_off[night]:
        after -= 1
    if m.breaks[night] < 0.0:
        return int(after)
    return int(head if m.at_end[desk] else head + int(m.breaks[night] * (after - head)))


@kernel
def collect(m: World, desk: int) -> None:
    """Have a batch take what was submitted by the cut-off, and work through it."""
    night, head, tray = m.tonight[desk], m.tray_head[desk], m.tray_at[desk]
    lanes_at, lanes = m.lanes_at[desk], m.lanes_n[desk]
    for k in range(lanes_at, lanes_at + lanes):
        m.free_at[k] = m.now
    until, taken, last = first_left_over(m, desk), head, m.now
    while taken < until and m.free_at[lanes_at] < m.night_end[night]:
        w = m.tray[tray + taken]
        ended = book_lane(m.free_at, lanes_at, lanes, m.now, item_time(m, w, desk))
        last = max(last, ended)
        m.at_desk[w] = -1
        if not m.at_end[desk]:
            complete_at(m, w, desk, ended)
        taken += 1
    if m.at_end[desk]:
        for k in range(head, taken):
            complete_at(m, m.tray[tray + k], desk, last)
    m.tray_head[desk] = taken
    m.remaining[desk] = taken - head
    if taken == head:
        look_again(m, desk)


@kernel
def look_again(m: World, desk: int) -> None:
    """Let a batch that is through with a night go back to its tray."""
    if m.tray_head[desk] < m.tray_tail[desk]:
        act_soon(m, m.waits + desk)
    else:
        m.idle[desk] = 1


@kernel
def system_event(m: World, about: int) -> None:
    """Let a system be done with an item, or a callback be tried again."""
    if about < 0:
        again = -1 - about
        send(m, again % m.waits, again // m.waits)
        return
    desk = 0 if about < m.waits else about // m.waits
    w = about - desk * m.waits
    item_done(m, w, desk)
    if m.desk_kind[desk] == BATCH:
        m.remaining[desk] -= 1
        if not m.remaining[desk]:
            look_again(m, desk)
