"""Workers serve one FIFO queue, and their load over time adds up."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsim.engine.environment import FLUSH_AT, Job, Load, Workers

round_jobs = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=40)
rough_jobs = st.lists(st.tuples(st.floats(0, 500), st.floats(0.01, 90)), max_size=30)


def by_arrival(jobs):
    return sorted(jobs, key=lambda job: job[0])


def in_a_queue(jobs, workers):
    """Return start and end of every job: worker by worker, the longest waiting first."""
    free = [0.0] * workers
    spans = []
    for joined, work in jobs:
        start = max(joined, heapq.heappop(free))
        heapq.heappush(free, start + work)
        spans.append((start, start + work))
    return spans


def longest(jobs, spans):
    """Return the most jobs that had joined and not been picked up, just after some job joined."""
    most = 0
    for k, (now, _) in enumerate(jobs):
        most = max(most, sum(start > now for start, _ in spans[: k + 1]))
    return most


@given(round_jobs.map(by_arrival), st.integers(1, 4))
def test_booking_is_fifo_whatever_the_kinds_of_jobs(jobs, count):
    """Jobs of all kinds share one queue, whose longest length is counted."""
    workers = Workers(count, 10.0)
    found = [workers.book(Job(k % len(Job)), now, work) for k, (now, work) in enumerate(jobs)]
    assert found == in_a_queue(jobs, count)
    assert workers.longest_queue == longest(jobs, found)


def integral(moments, low, high):
    """Return the time that pairs of moments overlap a bin."""
    return sum(max(min(b, high) - max(a, low), 0.0) for a, b in moments)


@settings(deadline=None)
@given(
    st.one_of(round_jobs, rough_jobs).map(by_arrival),
    st.integers(1, 3),
    st.sampled_from([0.1, 1.0, 7.0, 60.0]),
    st.sampled_from([0.0, 3.0, 25.0, 1e4]),
)
def test_load_per_bin_is_the_integral_over_the_bin(jobs, count, width, end):
    """Busy workers and queue in each bin, up to an instant, equal the overlap of all jobs."""
    jobs = [job for job in jobs if job[0] <= end]
    workers = Workers(count, width)
    spans = [workers.book(Job.WORK, *job) for job in jobs]
    load = workers.load_until(end)[Job.WORK]
    bins = len(load.busy)
    edges = np.arange(bins + 1) * width
    assert edges[-1] >= min(end, max((e for _, e in spans), default=0.0))
    clipped = [(min(s, end), min(e, end)) for s, e in spans]
    waits = [(q, min(s, end)) for (q, _), (s, _) in zip(jobs, spans, strict=True)]
    for k in range(min(bins, 300)):
        low, high = edges[k], edges[k + 1]
        assert load.busy[k] * width == pytest.approx(integral(clipped, low, high), abs=1e-6)
        assert load.queue[k] * width == pytest.approx(integral(waits, low, high), abs=1e-6)
    assert load.started.sum() == sum(s <= end for s, _ in spans)
    assert load.jobs == len(jobs)
    assert load.busy_seconds == pytest.approx(sum(e - s for s, e in clipped))
    assert load.queue_seconds == pytest.approx(sum(s - q for q, s in waits))


def test_looking_at_the_load_does_not_change_what_comes_later():
    """Asking in the middle of a job counts its first half then, and all of it later."""
    workers = Workers(1, 10.0)
    workers.book(Job.CHECK, 0.0, 8.0)
    workers.book(Job.CHECK, 0.0, 8.0)
    for _ in range(2):
        load = workers.load_until(4.0)[Job.CHECK]
        assert (load.busy_seconds, load.queue_seconds, load.started.sum()) == (4.0, 4.0, 1.0)
    load = workers.load_until(100.0)[Job.CHECK]
    assert (load.busy_seconds, load.queue_seconds, load.started.sum()) == (16.0, 8.0, 2.0)
    assert load.busy[:2].tolist() == [1.0, 0.6]


def test_jobs_beyond_what_is_kept_in_memory_are_counted():
    """More jobs than are kept one by one lose nothing: 1 s each, one after the other."""
    workers, n = Workers(1, 1000.0), FLUSH_AT + 1000
    for k in range(n):
        workers.book(Job.WORK, float(k), 1.0)
    load = workers.load_until(float(n))[Job.WORK]
    assert load.jobs == n
    assert load.busy_seconds == n
    assert load.busy[: n // 1000].tolist() == [1.0] * (n // 1000)
    assert workers.longest_queue == 0


def test_a_backlog_longer_than_what_is_kept_is_counted_only_up_to_now():
    """All jobs at once: at 10 s ten of them are over, however many wait behind."""
    workers, n = Workers(1, 10.0), FLUSH_AT + 10
    for _ in range(n):
        workers.book(Job.WORK, 0.0, 1.0)
    load = workers.load_until(10.0)[Job.WORK]
    assert load.busy_seconds == 10.0
    assert load.queue[0] == pytest.approx((n - 1) - 4.5)
    assert workers.loads[Job.WORK].flush_at > 2 * n, "or every further job would go through all"
    assert workers.longest_queue == n - 1


def test_a_load_of_nothing_is_nothing():
    """Without jobs every metric is zero."""
    load = Load(60.0).until(120.0)
    assert (load.jobs, load.busy_seconds, load.queue_seconds) == (0, 0.0, 0.0)
    assert load.busy.tolist() == load.queue.tolist() == load.started.tolist() == [0.0] * 3
