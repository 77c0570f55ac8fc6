"""What happened in a run, as arrays: the one thing every engine hands over."""

from __future__ import annotations

import enum
import math

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.workers import Job, JobLoad
from asyncsim.model.durations import Floats


class Outcome(enum.IntEnum):
    """How an instance stands."""

    RUNNING = 0
    DONE = 1
    FAILED = 2


@define
class StepColumns:
    """One node's times, one entry per instance; NaN where it was not reached (yet)."""

    queued: list[float]
    started: list[float]
    ended: list[float]
    outcomes: dict[int, str]
    """How calls ended, by instance; plain work has no entry."""

    def first(self, n: int) -> StepColumns:
        """Return a copy of the columns of the first n instances."""
        return StepColumns(self.queued[:n], self.started[:n], self.ended[:n], dict(self.outcomes))

    @classmethod
    def empty(cls, n: int) -> StepColumns:
        """Return columns for n instances that have not come here yet."""
        return cls([math.nan] * n, [math.nan] * n, [math.nan] * n, {})


@define
class WaitColumns:
    """All armed waits, ordered by instance and activation number."""

    row: NDArray[np.int64]
    node: NDArray[np.int64]
    serial_number: list[str]
    called: Floats
    armed: Floats
    completed: Floats
    closed: Floats
    checks: NDArray[np.int64]
    wasted_checks: NDArray[np.int64]
    deliveries: NDArray[np.int64]
    outcome: list[str]

    @property
    def resumed(self) -> NDArray[np.bool_]:
        """Which waits resumed their step."""
        return np.array([outcome == "resumed" for outcome in self.outcome], dtype=bool)


@define
class Record:
    """Everything a run leaves behind."""

    engine: str
    end: float
    """The instant up to which it was played; none of the figures looks beyond."""
    arrived: Floats
    """Instances that have arrived; `ended` and `outcomes` are theirs."""
    ended: Floats
    outcomes: NDArray[np.int64]
    steps: list[StepColumns]
    waits: WaitColumns
    deliveries: list[tuple[str, int, float, float, float, str]]
    loads: dict[Job, JobLoad]
    resolution: float
    longest_queue: int
    open_seconds: float
    """Time integral of the open waits, as counted while they opened and closed."""
    open_count: int
    connection_seconds: float
