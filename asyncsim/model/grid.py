"""Points of a grid, found by comparing them; both engines use this very function."""

from __future__ import annotations


def grid_index(anchor: float, interval: float, after: float) -> int:
    """Return the smallest k >= 1 whose grid point ``anchor + k * interval`` is later than `after`.

    The division only gives a first guess; comparing grid points decides, so that a clock standing
    exactly on a grid point never sees that point again.
    """
    k = max(int((after - anchor) / interval), 1)
    while anchor + k * interval <= after:
        k += 1
    while k > 1 and anchor + (k - 1) * interval > after:
        k -= 1
    return k
