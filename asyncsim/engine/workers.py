"""The workflow server's workers: one FIFO queue, booked ahead, and its load over time."""

from __future__ import annotations

import enum
import math
from array import array
from collections import deque
from heapq import heapreplace

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.errors import EngineError
from asyncsim.model.distributions import Floats

FLUSH_AT = 65_536
MOST_BINS = 6_000_000
"""Eleven years by the minute; more would exhaust the memory."""
QUEUED, STARTED, ENDED = range(3)


class Job(enum.IntEnum):
    """Kinds of jobs of a worker."""

    WORK = 0
    CALL = 1
    CHECK = 2
    CALLBACK = 3


@define
class JobLoad:
    """The load of one kind of job up to an instant: totals, and per time bin."""

    jobs: int
    busy_seconds: float
    queue_seconds: float
    started: Floats
    busy: Floats
    queue: Floats

    @classmethod
    def of(
        cls,
        jobs: int,
        busy_seconds: float,
        queue_seconds: float,
        counts: NDArray[np.float64],
        rests: NDArray[np.float64],
        resolution: float,
    ) -> JobLoad:
        """Return the load of totals and sums per bin (see `Load`)."""
        if not jobs:
            return cls(0, 0.0, 0.0, *np.zeros((3, counts.shape[1])))
        before = np.cumsum(counts, axis=1) - counts
        integral = rests + before * resolution  # of the number of events until now
        busy = (integral[STARTED] - integral[ENDED]) / resolution
        queue = (integral[QUEUED] - integral[STARTED]) / resolution
        per_bin = counts[STARTED].copy(), np.maximum(busy, 0.0), np.maximum(queue, 0.0)
        return cls(jobs, busy_seconds, queue_seconds, *per_bin)


def too_many_bins(size: int, resolution: float) -> EngineError:
    """Return the error of a run with too many bins, with a resolution that is coarse enough."""
    return EngineError(
        f"the run needs {size:,.12g} bins of {resolution:g} s to keep its load; "
        f"give a coarser resolution, such as {60 * math.ceil(size / 1e5):.12g} s or more"
    )


class Workers:
    """`count` identical workers over one FIFO queue.

    The time of a job is known when it is queued, so it is booked at once, as in
    `asyncsim.model.systems.LanePool`. Jobs that take no time need no worker and are not booked.

    Parameters
    ----------
    count
        Number of workers.
    resolution
        Width of the time bins of the load, in seconds.
    """

    def __init__(self, count: int, resolution: float) -> None:
        self._free_at = [0.0] * count
        self._starts: deque[float] = deque()
        self.longest_queue = 0
        self.loads = [Load(resolution) for _ in Job]

    def book(self, job: Job, now: float, work: float) -> tuple[float, float]:
        """Queue a job; return when a worker picks it up and when it ends."""
        start = self._free_at[0]
        if start > now:
            self._join_queue(now, start)
        else:
            start = now
        end = start + work
        heapreplace(self._free_at, end)
        load = self.loads[job]
        load.queued.append(now)
        load.started.append(start)
        load.ended.append(end)
        if len(load.queued) >= load.flush_at:
            load.flush(now)
        return start, end

    def _join_queue(self, now: float, start: float) -> None:
        starts = self._starts
        while starts and starts[0] <= now:
            starts.popleft()
        starts.append(start)
        self.longest_queue = max(self.longest_queue, len(starts))

    def load_now(self, now: float) -> tuple[int, int]:
        """Return the number of busy workers and of queued jobs at an instant."""
        busy = sum(1 for free_at in self._free_at if free_at > now)
        queue = sum(1 for start in self._starts if start > now)
        return busy, queue

    @property
    def last_end(self) -> float:
        """End of the last booked job."""
        return max(self._free_at)

    def load_until(self, end: float) -> dict[Job, JobLoad]:
        """Return the load of each kind of job up to an instant."""
        bins = int(end // self.loads[0].resolution) + 1
        return {job: load.until(end, bins) for job, load in zip(Job, self.loads, strict=True)}


class Load:
    """Jobs of one kind over time, summed in bins, exactly.

    A bin holds the number of jobs that were queued, started and ended in it, and the sum of the
    rest of the bin at those moments. These give the time integrals of queue length and busy workers
    without the jobs. Only unfinished jobs are kept one by one, so that a run can be inspected in
    the middle of a job.
    """

    def __init__(self, resolution: float) -> None:
        self.resolution = resolution
        self.queued, self.started, self.ended = array("d"), array("d"), array("d")
        self.flush_at = FLUSH_AT
        self.jobs = 0
        self.busy_seconds = 0.0
        self.queue_seconds = 0.0
        self._counts = np.zeros((3, 0))
        self._rests = np.zeros((3, 0))

    def flush(self, now: float) -> None:
        """Add the jobs that have ended to the bins."""
        moments = self._kept()
        over = moments[ENDED] <= now
        self._add_to_bins(moments[:, over])
        kept = moments[:, ~over]
        self.queued, self.started, self.ended = (array("d", row.tolist()) for row in kept)
        self.flush_at = FLUSH_AT + 2 * kept.shape[1]

    def until(self, end: float, bins: int) -> JobLoad:
        """Return the load up to an instant, not before the last flush."""
        self.flush(end)
        going = self._kept()
        seen = Load(self.resolution)
        seen.jobs, seen.busy_seconds = self.jobs, self.busy_seconds
        seen.queue_seconds = self.queue_seconds
        seen._counts, seen._rests = self._counts.copy(), self._rests.copy()
        seen._add_to_bins(np.minimum(going, end))
        seen._grow(bins)
        counts, rests = seen._counts[:, :bins], seen._rests[:, :bins]
        totals = seen.jobs, seen.busy_seconds, seen.queue_seconds
        load = JobLoad.of(*totals, counts, rests, self.resolution)
        load.started[int(end // self.resolution)] -= np.sum(going[STARTED] > end)
        return load

    def _kept(self) -> NDArray[np.float64]:
        return np.array([self.queued, self.started, self.ended])

    def _add_to_bins(self, moments: NDArray[np.float64]) -> None:
        if not moments.size:
            return
        self.jobs += moments.shape[1]
        self.queue_seconds += float(np.sum(moments[STARTED] - moments[QUEUED]))
        self.busy_seconds += float(np.sum(moments[ENDED] - moments[STARTED]))
        bins = (moments // self.resolution).astype(np.int64)
        self._grow(int(bins.max()) + 1)
        size = self._counts.shape[1]
        for k in range(3):
            rest = (bins[k] + 1) * self.resolution - moments[k]
            self._counts[k] += np.bincount(bins[k], minlength=size)
            self._rests[k] += np.bincount(bins[k], weights=rest, minlength=size)

    def _grow(self, size: int) -> None:
        if size > MOST_BINS:
            raise too_many_bins(size, self.resolution)
        missing = size - self._counts.shape[1]
        if missing > 0:
            self._counts = np.pad(self._counts, ((0, 0), (0, missing)))
            self._rests = np.pad(self._rests, ((0, 0), (0, missing)))
