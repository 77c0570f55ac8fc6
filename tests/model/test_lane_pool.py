"""Lanes booked ahead do what people standing in a queue would do."""

import math
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.model.systems import LanePool


def stand_in_line(jobs, servers):
    """Play a FIFO queue event by event: jobs join, wait, are served, leave."""
    events = deque(enumerate(jobs))
    queue, busy, times = deque(), [], {}
    now = 0
    while events or queue:
        while queue and len(busy) < servers:
            k, work = queue.popleft()
            times[k] = (now, now + work)
            busy.append(now + work)
        if not events and not queue:
            break
        joins = events[0][1][0] if events else math.inf
        leaves = min(busy, default=math.inf)
        now = min(joins, leaves)
        if leaves <= joins:
            busy.remove(leaves)
        else:
            k, (_, work) = events.popleft()
            queue.append((k, work))
    return [times[k] for k in range(len(jobs))]


round_jobs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=40).map(sorted)


@given(round_jobs, st.integers(1, 4))
def test_booking_gives_the_times_of_a_fifo_queue(jobs, servers):
    """Starts and ends are those of c servers that serve the longest waiting first."""
    jobs = sorted(jobs, key=lambda job: job[0])
    lanes = LanePool(servers)
    assert [lanes.book(*job) for job in jobs] == stand_in_line(jobs, servers)


@given(round_jobs, st.integers(1, 4))
def test_no_more_jobs_than_lanes_are_served_at_once(jobs, servers):
    """At every instant at most c jobs are in service, and none starts before it joins."""
    lanes = LanePool(servers)
    spans = [lanes.book(*job) for job in jobs]
    for (joined, work), (start, end) in zip(jobs, spans, strict=True):
        assert start >= joined
        assert end == start + work
    for instant in {start for start, _ in spans}:
        assert sum(start <= instant < end for start, end in spans) <= servers


def test_next_free_is_the_first_lane_that_is_free():
    """Two lanes taken until 5 and 3: the next one is free at 3."""
    lanes = LanePool(2, free_at=1.0)
    assert lanes.next_free == 1.0
    lanes.book(0.0, 4.0)
    lanes.book(0.0, 2.0)
    assert lanes.next_free == 3.0
    assert lanes.book(2.0, 10.0) == (3.0, 13.0)


@pytest.mark.parametrize(("jobs", "lanes"), [(1000, 20), (1001, 20), (7, 3)])
def test_a_herd_of_equal_jobs_leaves_in_rounds(jobs, lanes):
    """N equal jobs at once on c lanes: the last leaves after s times N/c, rounded up."""
    found = LanePool(lanes)
    ends = [found.book(0.0, 2.0)[1] for _ in range(jobs)]
    assert ends[-1] == 2.0 * math.ceil(jobs / lanes)
