"""Checks that are due in no order: a heap of waits, one check each, and rounds in front of it.

Four children to a node (Johnson 1975, doi:10.1016/0020-0190(75)90001-0): half as deep as a binary
heap, and the four lie side by side in memory. A check that sees nothing is replaced by the next one
of its wait in one go.

A queue that is longer than the interval scatters checks without jitter as well, over several
intervals, but each comes round at its own phase: what the workers take in the order of phases is
due again in that order, some an interval later than others. Such checks stand in a few *rounds*,
each in order of time, and only what fits behind none of them goes to the heap.
"""

from __future__ import annotations

import math
from typing import Any

from asyncsim.fast.jit import kernel
from asyncsim.fast.state import CHECK_DUE, MORE_ROOM, World

ROUNDS = 4


@kernel
def push_scattered(m: World, at: float, w: int) -> None:
    """Schedule the check of a wait."""
    if not (m.has_rounds and join_round(m, at, w)):
        push_on_heap(m, at, w)
    find_first(m)


@kernel
def drop_scattered(m: World) -> None:
    """Take the first check away."""
    if m.first_round < 0:
        drop_from_heap(m)
    else:
        leave_round(m, m.first_round)
    find_first(m)


@kernel
def replace_scattered(m: World, at: float, w: int) -> None:
    """Replace the first check by a later one."""
    if m.first_round >= 0:
        leave_round(m, m.first_round)
        if not join_round(m, at, w):
            push_on_heap(m, at, w)
    elif m.has_rounds and join_round(m, at, w):
        drop_from_heap(m)
    else:
        replace_first(m, at, w)
    find_first(m)


@kernel
def first_scattered(m: World) -> int:
    """Return the wait whose check comes first."""
    if m.first_round < 0:
        return int(m.check_w[0])
    return first_of_round(m, m.first_round)


@kernel
def find_first(m: World) -> None:
    """Find the round, or the heap (-1), whose check comes first."""
    best, at = -1, m.check_t[0] if m.check_n else math.inf
    if m.has_rounds:
        for k in range(ROUNDS):
            if m.round_head[k] < at or (m.round_head[k] == at < math.inf and wins_tie(m, k, best)):
                best, at = k, m.round_head[k]
    m.first_round, m.lane_head[CHECK_DUE] = best, at


@kernel
def wins_tie(m: World, k: int, other: int) -> bool:
    """Tell whether the first check of a round comes before that of another one, or of the heap."""
    w = m.check_w[0] if other < 0 else first_of_round(m, other)
    return bool(m.key_of[first_of_round(m, k)] < m.key_of[w])


@kernel
def first_of_round(m: World, k: int) -> int:
    """Return the wait whose check comes first in a round."""
    return int(m.round_w[k * m.capacity + (m.round_first[k] & (m.capacity - 1))])


@kernel
def join_round(m: World, at: float, w: int) -> bool:
    """Put a check at the end of the round that it follows most closely; false if there is none."""
    best, latest = -1, -math.inf
    for k in range(ROUNDS):
        if latest <= m.round_tail[k] < at:
            best, latest = k, m.round_tail[k]
    if best < 0:
        return False
    first, after, mask = m.round_first[best], m.round_after[best], m.capacity - 1
    if after - first > mask:
        return False
    to = best * m.capacity + (after & mask)
    m.round_t[to], m.round_w[to] = at, w
    m.round_after[best], m.round_tail[best] = after + 1, at
    if after == first:
        m.round_head[best] = at
    return True


@kernel
def leave_round(m: World, k: int) -> None:
    """Take the first check out of a round."""
    first = m.round_first[k] + 1
    m.round_first[k] = first
    if first < m.round_after[k]:
        m.round_head[k] = m.round_t[k * m.capacity + (first & (m.capacity - 1))]
    else:
        m.round_head[k], m.round_tail[k] = math.inf, -math.inf


@kernel
def push_on_heap(m: World, at: float, w: int) -> None:
    """Put the check of a wait on the heap."""
    k = m.check_n
    if k >= m.room:
        m.status = MORE_ROOM
        return
    m.check_n = k + 1
    while k > 0:
        up = (k - 1) >> 2
        if not is_before(m, at, w, up):
            break
        m.check_t[k], m.check_w[k] = m.check_t[up], m.check_w[up]
        k = up
    m.check_t[k], m.check_w[k] = at, w


@kernel
def drop_from_heap(m: World) -> None:
    """Take the first check off the heap."""
    size = m.check_n - 1
    m.check_n = size
    if size:
        replace_first(m, m.check_t[size], m.check_w[size])


@kernel
def replace_first(m: World, at: float, w: int) -> None:
    """Replace the first check on the heap by another one."""
    k, size = 0, m.check_n
    t, about, key_of = m.check_t, m.check_w, m.key_of
    while 4 * k + 1 < size:
        child = 4 * k + 1
        if child + 3 < size:
            left = lesser(t, about, key_of, child, child + 1)
            right = lesser(t, about, key_of, child + 2, child + 3)
            least = lesser(t, about, key_of, left, right)
        else:
            least = child
            for other in range(child + 1, size):
                least = lesser(t, about, key_of, least, other)
        if is_before(m, at, w, least):
            break
        t[k], about[k] = t[least], about[least]
        k = least
    t[k], about[k] = at, w


@kernel
def lesser(t: Any, about: Any, key_of: Any, i: int, j: int) -> int:
    """Return which of two places has the earlier check, without a branch a processor must guess."""
    if t[i] == t[j]:
        return j if key_of[about[j]] < key_of[about[i]] else i
    return int(i + (t[j] < t[i]) * (j - i))


@kernel
def is_before(m: World, at: float, w: int, place: int) -> bool:
    """Tell whether a check comes before the one at a place of the heap."""
    if at != m.check_t[place]:
        return bool(at < m.check_t[place])
    return bool(m.key_of[w] < m.key_of[m.check_w[place]])
