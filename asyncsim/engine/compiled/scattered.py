"""Checks that are due in no order: a heap of waits, one check each.

Four children to a node (Johnson 1975, doi:10.1016/0020-0190(75)90001-0): half as deep as a binary
heap, and the four lie side by side in memory. A check that sees nothing is replaced by the next one
of its wait in one go.
"""

from __future__ import annotations

from typing import Any

from asyncsim.engine.compiled.jitting import kernel
from asyncsim.engine.compiled.world import MORE_ROOM, World


@kernel
def push_scattered(m: World, at: float, w: int) -> None:
    """Schedule the check of a wait."""
    k = m.check_n
    if k >= len(m.check_t):
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
def drop_scattered(m: World) -> None:
    """Take the first check off the heap."""
    size = m.check_n - 1
    m.check_n = size
    if size:
        replace_first(m, m.check_t[size], m.check_w[size])


@kernel
def replace_first(m: World, at: float, w: int) -> None:
    """Replace the first check by another one."""
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
