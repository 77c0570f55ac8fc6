"""Identical servers behind one FIFO queue, booked ahead.

When the service time of a job is known as it joins the queue, nobody has to stand in the queue:
the job gets the lane that is free first, and its start and end are known at once. This is the
recursion of Kiefer and Wolfowitz (1955, doi:10.2307/1992945) for FIFO queues with c servers.
Jobs must be booked in the order in which they join.
"""

from __future__ import annotations

from heapq import heapreplace


class Lanes:
    """`count` identical servers; `book` tells when a job starts and ends."""

    __slots__ = ("_free_at",)

    def __init__(self, count: int, free_at: float = 0.0) -> None:
        self._free_at = [free_at] * count  # equal entries are a valid heap

    @property
    def next_free(self) -> float:
        """The instant at which the first lane is (or was) free."""
        return self._free_at[0]

    def book(self, ready: float, duration: float) -> tuple[float, float]:
        """Book a job that joins at `ready`; return its start and its end."""
        free = self._free_at[0]
        start = free if free > ready else ready
        end = start + duration
        heapreplace(self._free_at, end)
        return start, end
