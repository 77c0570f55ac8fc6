"""The compiled engine: the reference engine's answer, orders of magnitude faster.

It is a discrete-event simulation like the reference engine (`asyncsim.engine.simulation`), event by
event and with the same rule for ties, but without objects: waits, steps and systems are indices
into flat arrays (`state`), and Numba compiles the functions that change them, the *kernels* (Lam,
Pitrou & Seibert 2015, doi:10.1145/2833157.2833162). It is fast by what it leaves out:

* **A queue for the server.** Service times are known when a job is queued, so its start and end
  follow at once from the worker that is free first (`event_queue`; Kiefer & Wolfowitz 1955,
  doi:10.2307/1992945). The same holds for the lanes of external systems.
* **A heap for most events.** Events of one kind are scheduled almost in the order in which they
  happen, so each kind has a ring; only what does not fit goes to a heap (`event_queue`).
* **The end of unsuccessful checks.** A check picked up before the work can be complete is over as
  soon as it is booked, and the next check of its wait takes its place (`wait_kernels`).
* **Free checks.** Where a check costs no work, only the one that sees completion is an event; the
  number of those before it follows from a formula (`wait_kernels`).

`layout` lays a scenario out as a state, `event_loop` plays it, and this module
returns the record. Array sizes are estimated; on overflow the run restarts with larger arrays,
which is allowed because a run is a function of its draws. `jit` compiles the kernels, and
`background_compilation` does so beside the first runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.environment import MOST_BINS, Job, JobLoad, too_many_bins
from asyncsim.engine.graph import Call, Pause, Work
from asyncsim.engine.result import DeliveryColumns, Record, StepColumns, WaitColumns, WaitOutcome
from asyncsim.errors import EngineError, ScenarioError
from asyncsim.fast import background_compilation, jit, state
from asyncsim.fast.event_loop import play
from asyncsim.fast.layout import Builder, Sizes, first_sizes
from asyncsim.fast.state import MOMENTS, Memory
from asyncsim.model.calendar import LAST_DAY, NO_MORE_CHECKS, NO_MORE_DEADLINES
from asyncsim.model.distributions import Floats
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import links_of
from asyncsim.model.validation import scenario_error
from asyncsim.platform import in_browser, numba_installed

logger = logging.getLogger("asyncsim")

LARGE = 1_000_000
"""Steps of a run from which it waits for compiled kernels: plain Python needs much memory."""
SLOW = 5.0  # seconds of a run from which a hint is logged, once, that Numba is not installed


_hinted = threading.Event()


def play_compiled(
    scenario: Scenario, strategy: Strategy, draws: Draws, until: float | None, resolution: float
) -> Record:
    """Play a scenario, with complete draws, until an instant or its end; return what happened."""
    steps = len(draws) * (len(draws.work) + len(draws.external))
    background_compilation.begin(large=steps >= LARGE)
    begun = time.monotonic()
    sizes = first_sizes(scenario, draws, resolution)
    stop = math.inf if until is None else until
    status = state.INTERRUPTED
    while status != state.OK:
        with jit.steady_kernels():
            builder = Builder(scenario, strategy, draws, stop, resolution, sizes)
            memory = Memory.of(builder.state())
            whole, floats = play(memory.argument)
        status, where = whole[:2]
        if status not in (state.OK, state.INTERRUPTED):
            sizes = _more(sizes, status, where, builder)
    _hint(time.monotonic() - begun)
    return _Answer(builder, memory, whole[2:], floats).record(stop)


def _hint(seconds: float) -> None:
    """Log once that Numba would help, after a run that was slow without it."""
    if seconds < SLOW or _hinted.is_set() or numba_installed() or in_browser():
        return
    _hinted.set()
    logger.warning(
        "this run took %.0f s as plain Python; pip install 'asyncsim[fast]' makes the next ones "
        "faster",
        seconds,
    )


def _more(sizes: Sizes, status: int, where: int, builder: Builder) -> Sizes:
    """Return larger sizes for what was too small, or raise if none are possible."""
    if status == state.MORE_BINS:
        if where >= MOST_BINS or sizes.bins == MOST_BINS:
            raise too_many_bins(max(where, MOST_BINS) + 1, builder.resolution)
        sizes.bins = min(max(4 * sizes.bins, where + 1), MOST_BINS)
    elif status == state.MORE_ROOM:
        sizes.lane, sizes.heap = 2 * sizes.lane, 2 * sizes.heap
    elif status == state.MORE_INTERVALS:
        sizes.intervals *= 2
    elif status == state.NOT_FINITE:
        raise EngineError("an event must happen at a finite instant, got inf")
    elif status == state.NO_NIGHT or (status == state.MORE_HOURS and sizes.days > LAST_DAY):
        _out_of_days(builder, where)
    else:
        sizes.days *= 4
    return sizes


def _out_of_days(builder: Builder, system: int) -> None:
    if system < 0:
        raise ScenarioError(NO_MORE_CHECKS if system == -1 else NO_MORE_DEADLINES)
    systems = builder.scenario.systems.values()
    link = [link for system in systems for link in reversed(links_of(system))][system]
    if isinstance(link, Batch):
        raise scenario_error("NightlyBatch.start", "must come round again on some day", link.start)
    raise ScenarioError("Hours.days: the calendar ran out of open days; check days and holidays")


@define
class _Answer:
    """The arrays that the kernels leave behind, from which it makes a record."""

    builder: Builder
    memory: Memory
    whole: tuple[int, ...]
    floats: tuple[float, ...]

    def __getattr__(self, name: str) -> Any:
        """Return an array of the state."""
        return self.memory[name]

    def record(self, stop: float) -> Record:
        """Return the record of a run stopped at an instant, or ended by itself."""
        builder = self.builder
        n, settled_n, open_count, longest = self.whole
        open_seconds, last_change, line_seconds, store_seconds = self.floats
        arrived = builder.draws.arrivals[:n]
        deliveries = self._deliveries(settled_n)
        end = stop if stop < math.inf else self._latest(arrived, deliveries)
        held = self.held_since[(self.line == state.HELD) | (self.line == state.RELEASED)]
        return Record(
            engine="compiled",
            end=end,
            arrived=arrived,
            ended=self.ended[:n],
            outcomes=self.instance_outcome[:n],
            steps=self._steps(n),
            waits=self._waits(),
            deliveries=deliveries,
            loads=self._loads(end),
            resolution=builder.resolution,
            longest_queue=longest,
            open_seconds=open_seconds + open_count * (end - last_change),
            open_count=open_count,
            connection_seconds=float(line_seconds + np.sum(end - held)),
            store_seconds=store_seconds,
            stopped=stop < math.inf,
        )

    def _latest(self, arrived: Floats, deliveries: DeliveryColumns) -> float:
        """Return the instant of the last thing that happened."""
        workers = self.free_at[: self.builder.scenario.server.workers]
        parts = [workers, arrived, deliveries.sent, deliveries.arrived, deliveries.handled]
        parts += [self.called, self.armed, self.closed]
        if any(isinstance(node, Pause) for node in self.builder.graph.nodes):
            parts += [self.step_ended, self.ended]  # a delay may come last
        completed = self.completed
        parts.append(completed[completed < math.inf])
        return max(float(np.fmax.reduce(part, initial=0.0)) for part in parts)

    def _steps(self, n: int) -> list[StepColumns]:
        nowhere, rows = np.full(n, np.nan), len(self.builder.draws)
        found, slot, call = [], 0, 0
        for node in self.builder.graph.nodes:
            if not isinstance(node, (Work, Call, Pause)):
                found.append(StepColumns(nowhere, nowhere, nowhere))
                continue
            place = slice(slot * rows, slot * rows + n)
            ended, outcome = self.step_ended[place], None
            if isinstance(node, Call):
                waits = slice(call * rows, call * rows + n)
                ended, outcome = self.left[waits], self.outcome[waits]
                call += 1
            found.append(StepColumns(self.queued[place], self.started[place], ended, outcome))
            slot += 1
        return found

    def _waits(self) -> WaitColumns:
        calls = self.builder.calls
        armed = np.flatnonzero(~np.isnan(self.armed)) if calls else np.zeros(0, np.int64)
        if len(calls) > 1:
            armed = armed[np.argsort(self.key_of[armed])]  # no key occurs twice
        armed = _picked(armed)
        row, call = self.row_of[armed], self.call_of[armed]
        completed = self.completed[armed]
        if (unknown := np.isinf(completed)).any():
            completed = np.where(unknown, np.nan, completed)
        outcome, closed = self.state[armed] - state.ARMED, self.closed[armed]
        outcome[np.isnan(closed)] = WaitOutcome.WAITING  # finished, but not yet resumed
        return WaitColumns(
            row=row,
            node=self.call_node[call],
            called=self.called[armed],
            armed=self.armed[armed],
            completed=completed,
            closed=closed,
            checks=self.checks[armed],
            wasted_checks=self.checks[armed] - self.seen[armed],
            deliveries=self.deliveries[armed],
            outcome=outcome,
        )

    def _deliveries(self, number: int) -> DeliveryColumns:
        """Return the deliveries whose outcome is known."""
        settled = _picked(self.settled[:number])
        waits = self.delivered[settled]
        return DeliveryColumns(
            row=self.row_of[waits],
            node=self.call_node[self.call_of[waits]],
            attempt=self.attempt[settled],
            sent=self.sent[settled],
            arrived=self.arrived[settled],
            handled=self.handled[settled],
            outcome=self.answer[settled],
        )

    def _loads(self, end: float) -> dict[Job, JobLoad]:
        width, size = self.builder.resolution, self.builder.sizes.bins
        bins = int(end // width) + 1
        if bins > MOST_BINS:
            raise too_many_bins(bins, width)
        shape = (len(Job), MOMENTS, size)
        counts = self.bin_count.reshape(shape)[:, :, :bins]
        rests = self.bin_rest.reshape(shape)[:, :, :bins]
        if bins > size:  # nothing was served after them
            missing = ((0, 0), (0, 0), (0, bins - size))
            counts, rests = np.pad(counts, missing), np.pad(rests, missing)
        loads = {}
        for job in Job:
            totals = int(self.jobs[job]), float(self.busy[job]), float(self.queueing[job])
            loads[job] = JobLoad.of(totals, counts[job], rests[job], width)
            loads[job].started[-1] -= self.not_started[job]
        return loads


def _picked(places: NDArray[np.int64]) -> Any:
    """Return places to index with; all from the first on as a slice, which copies nothing."""
    size = len(places)
    return slice(size) if np.array_equal(places, np.arange(size)) else places
