"""How the compiled engine works.

It is a discrete-event simulation like the reference engine (`asyncsim.engine.simulation`), event
by event and with the same rule for ties, but nothing in it is an object: waits, steps and desks are
places in flat arrays (`world`), and the functions that change them (the *kernels*) are compiled by
Numba (Lam, Pitrou & Seibert 2015, doi:10.1145/2833157.2833162) where it is installed. What makes it
fast is what it does not do:

* **No queue for the server.** A FIFO server whose service times are known when a job is queued is
  booked ahead: start and end follow from the worker that is free first (`booking`; Kiefer &
  Wolfowitz 1955, doi:10.2307/1992945). The same for the lanes of external systems.
* **Hardly a heap for the events.** Events of one kind are scheduled almost in the order in which
  they happen: a check every minute comes round in the same order every minute. Each kind has a ring
  (`events`), the next event is the earliest of their heads, and only what does not fit in goes to a
  heap: jitter, backoff, mixes. Checks that only a long queue scatters keep to a few rounds, each in
  order of time (`scattered`).
* **No end of blind checks.** A check picked up before the work can be complete sees nothing, so it
  is over as soon as it is booked, and the next one of its wait takes its place: checks of a fixed
  interval turn in their ring at nearly the speed of memory (`blind`).
* **No free checks.** Where a check costs no worker, only the one that sees completion is played;
  how many came before follows from ``⌈(completed − anchor) / interval⌉`` (`skipping`).
* **No events at all** where nothing is in doubt: a process without branches that is called back by
  nightly batches is a recursion over lines of jobs (`stages`, `straight`).
* **Hardly any fresh memory.** Runs of a session use the same memory one after the other (`memory`),
  and a kernel is handed one row of addresses, however many arrays there are (`structure`).
* **No tables.** A run hands over its arrays; tables are built when somebody asks for them.

The way through the code: `building` and `outside_world` lay a scenario out as a `world`; `loop`
plays it, calling `walking` (the process), `closing` (waits), `asking` and `blind` (checks),
`delivering` (callbacks), `outside` and `office` (external systems); this module takes the record
down. What can be played is the table in `parts`; how a kernel is compiled stands in `jitting` and
`structure`, and how that happens beside the first runs in `ahead`.

Room is guessed (bins of time, nights of a batch, events); if a run needs more it is begun again
with several times as much, which is allowed because a run is a function of its draws.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.graph import Call, Work
from asyncsim.engine.result import DeliveryColumns, Record, StepColumns, WaitColumns
from asyncsim.engine.workers import MOST_BINS, Job, JobLoad, too_many_bins
from asyncsim.errors import EngineError, ScenarioError
from asyncsim.fast import background_compilation, jit
from asyncsim.fast import state as at
from asyncsim.fast.event_loop import play
from asyncsim.fast.layout import Builder, Sizes, first_sizes
from asyncsim.fast.struct import laid_out
from asyncsim.fast.worker_kernels import MOMENTS
from asyncsim.model.calendar import LAST_DAY
from asyncsim.model.distributions import Floats
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import NightlyBatch
from asyncsim.model.validation import scenario_error
from asyncsim.platform import in_browser, numba_installed

logger = logging.getLogger("asyncsim")

LARGE = 1_000_000
"""Steps of a run from which it waits for compiled kernels: as plain Python it needs much memory."""
SLOW = 5.0
"""Seconds of a run from which a hint is logged, once, that Numba is not installed."""


class _Hint:
    """What has been logged in this session."""

    given = False


def play_compiled(
    scenario: Scenario,
    strategy: Strategy,
    draws: Draws,
    until: float | None,
    resolution: float,
) -> Record:
    """Play a scenario and return what happened.

    Parameters
    ----------
    scenario, strategy, draws
        What is played; every part must be in `asyncsim.fast.supported.PLAYED`, and the draws
        complete.
    until
        Stop at this instant (seconds), or when all is over.
    resolution
        Width of the bins of the server's load, in seconds.

    Raises
    ------
    ScenarioError
        If the calendar of a system runs out of days.
    EngineError
        If the load needs too many bins, or a check would be due at no finite instant.
    """
    background_compilation.begin(
        large=len(draws) * (len(draws.work) + len(draws.external)) >= LARGE
    )
    begun = time.monotonic()
    sizes = first_sizes(scenario, draws, resolution)
    stop = math.inf if until is None else until
    status = at.INTERRUPTED
    while status != at.OK:
        with jit.steady_kernels():
            builder = Builder(scenario, strategy, draws, stop, resolution, sizes)
            fields = builder.world()
            whole, floats = play(laid_out(at.State, fields))
        status, where = whole[:2]
        if status not in (at.OK, at.INTERRUPTED):
            sizes = _more(sizes, status, where, builder)
    _hint(time.monotonic() - begun)
    return _Answer(builder, fields, whole[2:], floats).record(stop)


def _hint(seconds: float) -> None:
    """Log once that Numba would help, after a run that was slow without it."""
    if seconds < SLOW or _Hint.given or numba_installed() or in_browser():
        return
    _Hint.given = True
    logger.warning(
        "this run took %.0f s as plain Python; pip install 'asyncsim[fast]' makes the next ones "
        "faster",
        seconds,
    )


def _more(sizes: Sizes, status: int, where: int, builder: Builder) -> Sizes:
    """Return larger sizes for what was too small, or say why there is no more."""
    if status == at.MORE_BINS:
        if where >= MOST_BINS or sizes.bins == MOST_BINS:
            raise too_many_bins(max(where, MOST_BINS) + 1, builder.resolution)
        sizes.bins = min(max(4 * sizes.bins, where + 1), MOST_BINS)
    elif status == at.MORE_ROOM:
        sizes.lane, sizes.heap = 2 * sizes.lane, 2 * sizes.heap
    elif status == at.MORE_INTERVALS:
        sizes.intervals *= 2
    elif status == at.NOT_FINITE:
        raise EngineError("an event must happen at a finite instant, got inf")
    elif status == at.NO_NIGHT or (status == at.MORE_HOURS and sizes.days > LAST_DAY):
        _out_of_days(builder, where)
    else:
        sizes.days *= 4
    return sizes


def _out_of_days(builder: Builder, desk: int) -> None:
    systems = builder.scenario.systems.values()
    link = [link for system in systems for link in reversed(system.links)][desk]
    if isinstance(link, NightlyBatch):
        raise scenario_error("NightlyBatch.start", "must come round again on some day", link.start)
    raise ScenarioError("Hours.days: the calendar ran out of open days; check days and holidays")


@define
class _Answer:
    """What the kernels leave behind, taken down as a record."""

    builder: Builder
    fields: dict[str, Any]
    whole: tuple[int, ...]
    floats: tuple[float, ...]

    def __getattr__(self, name: str) -> Any:
        """Return a field of the world as an array."""
        return np.asarray(self.fields[name])

    def record(self, stop: float) -> Record:
        """Take down the record of a run stopped at an instant, or ended by itself."""
        builder = self.builder
        n, told, open_count, longest = self.whole
        open_seconds, last_change, line_seconds = self.floats
        arrived = builder.draws.arrivals[:n]
        deliveries = self._deliveries(told)
        end = stop if stop < math.inf else self._latest(arrived, deliveries)
        held = self.held_since[self.line != at.NO_LINE]
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
            stopped=stop < math.inf,
        )

    def _latest(self, arrived: Floats, deliveries: DeliveryColumns) -> float:
        """Return the instant of the last thing that happened."""
        workers = self.free_at[: self.builder.scenario.server.workers]
        parts = [workers, arrived, deliveries.sent, deliveries.arrived, deliveries.handled]
        parts += [self.called, self.armed, self.closed]
        completed = self.completed
        parts.append(completed[completed < math.inf])
        return max(float(np.fmax.reduce(part, initial=0.0)) for part in parts)

    def _steps(self, n: int) -> list[StepColumns]:
        nowhere, rows = np.full(n, np.nan), len(self.builder.draws)
        found, slot, call = [], 0, 0
        for node in self.builder.graph.nodes:
            if not isinstance(node, (Work, Call)):
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
        row, call = self.row_of[armed], self.call_of[armed]
        if len(calls) > 1:
            order = np.lexsort((self.key_of[armed],))
            armed, row, call = armed[order], row[order], call[order]
        armed = _picked(armed)
        completed = self.completed[armed]
        if (unknown := np.isinf(completed)).any():
            completed = np.where(unknown, np.nan, completed)
        return WaitColumns(
            row=row,
            node=self.call_node[call],
            called=self.called[armed],
            armed=self.armed[armed],
            completed=completed,
            closed=self.closed[armed],
            checks=self.checks[armed],
            wasted_checks=self.checks[armed] - self.seen[armed],
            deliveries=self.deliveries[armed],
            outcome=self.state[armed] - at.ARMED,
        )

    def _deliveries(self, number: int) -> DeliveryColumns:
        """Return the deliveries whose outcome is known."""
        told = _picked(self.settled[:number])
        waits = self.delivered[told]
        return DeliveryColumns(
            row=self.row_of[waits],
            node=self.call_node[self.call_of[waits]],
            attempt=self.attempt[told],
            sent=self.sent[told],
            arrived=self.arrived[told],
            handled=self.handled[told],
            outcome=self.answer[told],
        )

    def _loads(self, end: float) -> dict[Job, JobLoad]:
        width, size = self.builder.resolution, self.builder.sizes.bins
        bins = int(end // width) + 1
        if bins > MOST_BINS:
            raise too_many_bins(bins, width)
        shape = (len(Job), MOMENTS, size)
        counts, rests = (
            part.reshape(shape)[:, :, :bins] for part in (self.bin_count, self.bin_rest)
        )
        if bins > size:  # nothing was served then
            missing = ((0, 0), (0, 0), (0, bins - size))
            counts, rests = np.pad(counts, missing), np.pad(rests, missing)
        loads = {}
        for job in Job:
            totals = int(self.jobs[job]), float(self.busy[job]), float(self.queueing[job])
            loads[job] = JobLoad.of(*totals, counts[job], rests[job], width)
            loads[job].started[-1] -= self.not_started[job]
        return loads


def _picked(places: NDArray[np.int64]) -> Any:
    """Return places to index with; all from the first on as a slice, which copies nothing."""
    size = len(places)
    return slice(size) if np.array_equal(places, np.arange(size)) else places
