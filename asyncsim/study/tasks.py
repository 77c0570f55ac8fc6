"""The points of a sweep, played here or on any executor, in tasks large enough to be worth it.

A task is a handful of replications of one point, or several small points. Which replications make
a task depends on the sweep alone, and figures are put together by their numbers, so the result is
the same on any executor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager

import numpy as np
from attrs import define, frozen

from asyncsim.engine.figures import FIGURES, figures
from asyncsim.model.described import refuse
from asyncsim.model.durations import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.points import Point, told
from asyncsim.study.processes import processes
from asyncsim.study.replications import Replications

RUNS = 32
"""So many runs make a task: even short ones take longer than handing a task to Dask (2 ms)."""


@frozen
class Piece:
    """Some replications of one point."""

    point: int
    scenario: Scenario
    strategies: tuple[Strategy, ...]
    first: int
    stop: int


@frozen
class Task:
    """Pieces to be played in one go: all that travels to another process."""

    pieces: tuple[Piece, ...]
    seed: int
    engine: str


@frozen
class Played:
    """What comes back of a piece: figures, replications × strategies × `FIGURES`; or an error."""

    point: int
    first: int
    figures: Floats | None
    error: str = ""


def play(task: Task) -> list[Played]:
    """Play a task; the error of a piece takes the place of its figures."""
    return [_play(piece, task) for piece in task.pieces]


def _play(piece: Piece, task: Task) -> Played:
    plan = Replications(piece.scenario, piece.strategies, task.seed, task.engine)
    found = np.empty((piece.stop - piece.first, len(piece.strategies), len(FIGURES)))
    try:
        for replication in range(piece.first, piece.stop):
            for k, run in enumerate(plan.runs(replication)):
                row = figures(run.record, run.scenario)
                found[replication - piece.first, k] = [row[name] for name in FIGURES]
    except Exception as problem:  # whatever a system of one's own may raise is data of its point
        return Played(piece.point, piece.first, None, told(problem))
    return Played(piece.point, piece.first, found)


def tasks(
    points: Sequence[Point], replications: int, strategies: int, seed: int, engine: str
) -> list[Task]:
    """Return the tasks of the points that can be played; each has so many strategies."""
    at_once = max(RUNS // strategies, 1)
    pieces = [
        Piece(
            *(point.number, point.scenario, point.strategies),
            *(first, min(first + at_once, replications)),
        )
        for point in points
        if point.scenario is not None
        for first in range(0, replications, at_once)
    ]
    together = max(at_once // replications, 1)
    return [
        Task(tuple(pieces[k : k + together]), seed, engine) for k in range(0, len(pieces), together)
    ]


@define
class _Open:
    """A point some of whose replications are in."""

    pieces: list[Played]
    replications: int
    """How many are still to come."""

    def result(self) -> Floats | str | None:
        """Return figures or the first error when everything is in, and None before."""
        if self.replications:
            return None
        parts = sorted(self.pieces, key=lambda piece: piece.first)
        errors = [part.error for part in parts if part.figures is None]
        if errors:
            return errors[0]
        return np.concatenate([part.figures for part in parts if part.figures is not None])


def finished(
    todo: Sequence[Task], replications: int, results: Iterable[list[Played]]
) -> Iterator[tuple[int, Floats | str]]:
    """Yield points as they are finished: number, and figures or an error."""
    lengths = {(p.point, p.first): p.stop - p.first for task in todo for p in task.pieces}
    waiting: dict[int, _Open] = {}
    for pieces in results:
        for piece in pieces:
            point = waiting.setdefault(piece.point, _Open([], replications))
            point.pieces.append(piece)
            point.replications -= lengths[piece.point, piece.first]
            result = point.result()
            if result is not None:
                del waiting[piece.point]
                yield piece.point, result


Everywhere = Callable[[Sequence[Task]], Generator[list[Played], None, None]]


def check_executor(executor: object) -> None:
    """Check that an executor is one, or None."""
    if executor is not None and not isinstance(executor, Executor):
        right = "must be a concurrent.futures.Executor, such as Client().get_executor() of Dask"
        raise refuse("executor", right, executor)


@contextmanager
def players(executor: Executor | None, n_jobs: int) -> Iterator[Everywhere]:
    """Give a function that plays tasks on an executor, on so many processes, or right here.

    Closing what it returns calls off the tasks that have not begun.
    """
    if executor is not None:
        yield lambda todo: _on(executor, todo)
        return
    with processes(n_jobs) as own:
        if own is None:
            yield lambda todo: (play(task) for task in todo)
        else:
            yield lambda todo: _on(own, todo)


def _on(executor: Executor, todo: Sequence[Task]) -> Generator[list[Played], None, None]:
    """Yield results as they come; after an error or an interruption nothing new is begun."""
    futures: list[Future[list[Played]]] = [executor.submit(play, task) for task in todo]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
