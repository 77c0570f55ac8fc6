"""What SimPy lacks: exact instants with a defined order of ties, booked workers, rate limits.

SimPy's `Timeout` takes a delay and computes ``now + delay``, which may differ from a grid point by
rounding; and events of one instant happen in the order in which they were scheduled, which a second
engine could not repeat. Here an event is scheduled *at* an instant, and events of one instant
happen in the order of their kind, then of their instance, then of their step.

Workers are booked ahead, in FIFO order; a request is admitted or refused at the instant it arrives.
Both engines use these functions, since they must agree to the last bit.
"""

from __future__ import annotations

import copy
import enum
import gc
import math
from array import array
from collections import deque
from collections.abc import Callable
from heapq import heappush, heapreplace

import numpy as np
import simpy
from attrs import define
from numpy.typing import NDArray
from simpy.events import NORMAL, URGENT

from asyncsim.errors import EngineError
from asyncsim.model.distributions import Floats
from asyncsim.model.outages import Downtime
from asyncsim.model.process import LAST_ACTIVATION
from asyncsim.model.server import RateLimit, SharedStore, SlidingWindow, TokenBucket


class EventKind(enum.IntEnum):
    """Kinds of events, in the order in which they happen at one instant."""

    WORK_ENDED = 1
    ARMING = 2
    SYSTEM = 3  # systems that wake up have row 0, completions and retries row + 1
    CALLBACK_HANDLED = 4
    CHECK_ENDED = 5
    ARRIVAL = 6
    DELIVERY = 7
    CHECK_DUE = 8
    TIMEOUT = 9
    COLLECTION = 10  # by a batch, of all that has been submitted up to and including the instant
    LAST_LOOK = 11  # of a free check, at what was complete as soon as it was collected
    SHARED_CHECK = 12  # for all waits of a system, due or ended: with the system's row, step 0 or 1


NO_LENGTH = 1e-6  # seconds: a request cut by then is not counted, since sums differ by rounding
INSTANCE_BITS = 32
STEP_BITS = LAST_ACTIVATION.bit_length()


def order(kind: EventKind, row: int = 0, step: int = 0) -> int:
    """Return the key that orders events of one instant: kind, then instance, then step.

    All keys are larger than SimPy's own priorities, so its own events (starting a process, waking
    one up) happen at once, as part of the event that caused them.
    """
    return (((kind << INSTANCE_BITS) | row) << STEP_BITS) | step


class Environment(simpy.Environment):
    """A SimPy environment whose events can be scheduled at exact instants."""

    def at(self, instant: float, key: int) -> simpy.Event:
        """Return an event that happens at an instant, or now if that is past."""
        if not -math.inf < instant < math.inf:  # NaN is neither
            raise EngineError(f"an event must happen at a finite instant, got {instant!r}")
        event = simpy.Event(self)
        event._ok = True
        event._value = None
        # The same entry that Environment.schedule() makes of a delay
        when = instant if instant > self._now else self._now
        heappush(self._queue, (when, key, next(self._eid), event))  # type: ignore[misc]
        return event

    def call_at(self, instant: float, key: int, action: Callable[[], None]) -> None:
        """Call a function at an instant, or now if that is past."""
        self.at(instant, key).callbacks.append(lambda _: action())

    def soon(self) -> simpy.Event:
        """Return an event that happens at once, before anything else at this instant."""
        return self.at(self._now, NORMAL)

    def move_to(self, instant: float) -> None:
        """Advance the clock over time without events; do nothing if the instant is past."""
        if instant > self._now:
            if self.peek() < instant:
                raise EngineError(f"something happens before {instant} s, at {self.peek()} s")
            self._now = instant

    def play(self, until: float | None = None) -> None:
        """Run until no event is left, or until an instant, before the events at it."""
        # SimPy's run() would turn a number into a delay, and miss the instant by rounding
        stop = None if until is None else self.at(until, URGENT)
        enabled = gc.isenabled()
        gc.disable()  # it would visit a million live events again and again
        try:
            self.run(stop)
        finally:
            if enabled:
                gc.enable()


class TrackingEnvironment(Environment):
    """Tracks which events of the present instant have happened, at a tenth of the speed."""

    reached = 0  # the largest key at the present instant: events with smaller ones have happened

    def move_to(self, instant: float) -> None:
        """Advance the clock over time without events; those due at the instant have happened."""
        super().move_to(instant)
        self.reached = order(EventKind.LAST_LOOK) << 1

    def step(self) -> None:
        """Process the next event."""
        if self._queue:
            when, key, _, _ = self._queue[0]
            self.reached = key if when > self._now else max(key, self.reached)
        super().step()


# --- workers and their load -----------------------------------------------------------------------

FLUSH_AT = 65_536  # jobs
MOST_BINS = 6_000_000  # eleven years by the minute; more would exhaust the memory
QUEUED, STARTED, ENDED = range(3)


Job = enum.IntEnum("Job", "WORK CALL CHECK CALLBACK", start=0)  # kinds of jobs of a worker


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
        cls, totals: tuple[int, float, float], counts: Floats, rests: Floats, resolution: float
    ) -> JobLoad:
        """Return the load of totals and sums per bin (see `Load`)."""
        before = np.cumsum(counts, axis=1) - counts
        integral = rests + before * resolution  # of the number of events until now
        busy = (integral[STARTED] - integral[ENDED]) / resolution
        queue = (integral[QUEUED] - integral[STARTED]) / resolution
        started = counts[STARTED].copy()
        return cls(*totals, started, np.maximum(busy, 0.0), np.maximum(queue, 0.0))


def too_many_bins(size: int, resolution: float) -> EngineError:
    """Return the error of a run with too many bins, with a resolution that is coarse enough."""
    return EngineError(
        f"the run needs {size:,.12g} bins of {resolution:g} s to keep its load; "
        f"give a coarser resolution, such as {60 * math.ceil(size / 1e5):.12g} s or more"
    )


class BookedServers:
    """Identical servers over one FIFO queue, booked ahead as in `LanePool`."""

    def __init__(self, count: int) -> None:
        self._free_at = [0.0] * count
        self._starts: deque[float] = deque()
        self.longest_queue = 0

    def join(self, now: float, start: float) -> None:
        """Add a job to the queue, and update the longest queue."""
        starts = self._starts
        while starts and starts[0] <= now:
            starts.popleft()
        starts.append(start)
        self.longest_queue = max(self.longest_queue, len(starts))

    def load_now(self, now: float) -> tuple[int, int]:
        """Return the number of busy servers and of queued jobs at an instant."""
        starts = self._starts
        while starts and starts[0] <= now:
            starts.popleft()
        return sum(t > now for t in self._free_at), len(starts)

    def slowed(self, now: float, work: float, slows_down: float) -> float:
        """Return the time of a job that joins now: the longer, the more jobs are there already."""
        return work * (1.0 + slows_down * sum(self.load_now(now)))


class BookedStore(BookedServers):
    """The store beside the workers, which they ask in the order in which they begin their jobs."""

    def __init__(self, store: SharedStore) -> None:
        super().__init__(store.writers)
        self._works = {Job.CHECK: store.check_work, Job.CALLBACK: store.callback_work}
        self._slows_down = store.slows_down
        self.busy_seconds = 0.0

    def book(self, job: Job, now: float) -> float:
        """Ask for the store; return when the part of a job there ends."""
        if not (work := self._works.get(job)):
            return now
        if self._slows_down:
            work = self.slowed(now, work, self._slows_down)
        start = max(self._free_at[0], now)
        if start > now:
            self.join(now, start)
        end = start + work
        heapreplace(self._free_at, end)
        self.busy_seconds += work
        return end


class Workers(BookedServers):
    """The workers of a server; only jobs that take time are booked."""

    def __init__(
        self,
        count: int,
        resolution: float,
        store: SharedStore | None = None,
        slows_down: float = 0,
        down: Downtime | None = None,
    ) -> None:
        super().__init__(count)
        self._down = down  # all at a time
        self.store = BookedStore(store) if store else None
        self._slows_down = slows_down
        self.loads = [Load(resolution) for _ in Job]

    def book(self, job: Job, now: float, work: float) -> tuple[float, float]:
        """Queue a job; return when a worker picks it up and when it ends."""
        if self._slows_down:
            work = self.slowed(now, work, self._slows_down)
        start = max(self._free_at[0], now)
        if self._down:
            start = self._down.up_from(start)
        end = start + work
        if self.store:
            begins = self.store.book(job, start)
            work, end = begins - start + work, begins + work
        if self._down:
            start, end = self._down.worked(start, work)
        if start > now:
            self.join(now, start)
        heapreplace(self._free_at, end)
        load = self.loads[job]
        load.queued.append(now)
        load.started.append(start)
        load.ended.append(end)
        if len(load.queued) >= load.flush_at:
            load.flush(now)
        return start, end

    @property
    def last_end(self) -> float:
        """End of the last booked job."""
        return max(self._free_at)

    def load_until(self, end: float) -> dict[Job, JobLoad]:
        """Return the load of each kind of job up to an instant."""
        return {job: load.until(end) for job, load in zip(Job, self.loads, strict=True)}


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
        self.jobs, self.busy_seconds, self.queue_seconds = 0, 0.0, 0.0
        self._counts, self._rests = np.zeros((2, 3, 0))

    def flush(self, now: float) -> None:
        """Add the jobs that have ended to the bins."""
        moments = self._kept()
        over = moments[ENDED] <= now
        self._add_to_bins(moments[:, over])
        kept = moments[:, ~over]
        self.queued, self.started, self.ended = (array("d", row.tolist()) for row in kept)
        self.flush_at = FLUSH_AT + 2 * kept.shape[1]

    def until(self, end: float) -> JobLoad:
        """Return the load up to an instant, not before the last flush."""
        self.flush(end)
        unfinished, seen = self._kept(), copy.deepcopy(self)
        seen._add_to_bins(np.minimum(unfinished, end))
        bins = int(end // self.resolution) + 1
        seen._grow(bins)
        totals = seen.jobs, seen.busy_seconds, seen.queue_seconds
        counts, rests = seen._counts[:, :bins], seen._rests[:, :bins]
        load = JobLoad.of(totals, counts, rests, self.resolution)
        load.started[-1] -= np.sum(unfinished[STARTED] > end)
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


# --- rate limits ----------------------------------------------------------------------------------

ROUNDING = 1e-9  # seconds: a request after the returned pause is admitted, whatever the rounding


def until_out(admitted: float, length: float, now: float) -> float:
    """Return the seconds until a request admitted at an instant leaves a sliding window."""
    return admitted + length - now


def refilled(tokens: float, since: float, now: float, rate: float, size: float) -> float:
    """Return the tokens in a bucket now, from those at an earlier instant."""
    return min(tokens + max(now - since, 0.0) * rate, size)


def until_token(tokens: float, rate: float) -> float:
    """Return the seconds until a bucket holds a whole token; zero or less if it does."""
    return (1.0 - tokens) / rate


class WindowAdmission:
    """Admits requests under the limit of a sliding window."""

    def __init__(self, limit: SlidingWindow) -> None:
        self._length = limit.seconds
        self._admitted: deque[float] = deque(maxlen=limit.most)  # the last ones

    def admit(self, now: float) -> float:
        """Admit a request and return 0, or return the seconds until one can be admitted."""
        admitted = self._admitted
        if len(admitted) == admitted.maxlen:
            pause = until_out(admitted[0], self._length, now)
            if pause >= ROUNDING:
                return pause
        admitted.append(now)
        return 0.0


class BucketAdmission:
    """Admits a request for every token in a bucket."""

    def __init__(self, limit: TokenBucket) -> None:
        self._tokens = self._size = float(limit.size)
        self._rate = limit.rate.per_second
        self._since = -math.inf

    def admit(self, now: float) -> float:
        """Admit a request and return 0, or return the seconds until one can be admitted."""
        self._tokens = refilled(self._tokens, self._since, now, self._rate, self._size)
        self._since = now
        pause = until_token(self._tokens, self._rate)
        if pause >= ROUNDING:
            return pause
        self._tokens -= 1.0
        return 0.0


Admission = WindowAdmission | BucketAdmission


def admission(limit: RateLimit | None) -> Admission | None:
    """Return the admission of a limit before its first request; None for no limit."""
    match limit:
        case SlidingWindow():
            return WindowAdmission(limit)
        case TokenBucket():
            return BucketAdmission(limit)
    return None
