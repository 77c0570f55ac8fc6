"""The view without its looks: where each instance is, and how busy the workers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from asyncsim.engine.graph import Await, Call, Choose, Fork, Graph, Join, Work
from asyncsim.engine.record import Outcome
from asyncsim.live.lane import Lane
from asyncsim.live.session import Session
from asyncsim.model.process import Process

MOST_TOKENS = 1000
"""Instances drawn as dots; the numbers beside the picture count all of them."""
WAITS, DONE, FAILED = 1, 2, 3
"""What an instance does that is not at work."""


@frozen
class Place:
    """A node of the process in the picture: a column, and a row for ways side by side."""

    node: int
    name: str
    kind: str
    column: float
    row: float


def layout(process: Process) -> list[Place]:
    """Return where the steps of a process are drawn, from left to right."""
    nodes = Graph.of(process)
    columns: dict[int, int] = {}

    def visit(index: int, column: int) -> None:
        if index < 0 or columns.get(index, -1) >= column:
            return
        columns[index] = column
        node = nodes.nodes[index]
        drawn = isinstance(node, (Work, Call))
        follow = [node.next]
        if isinstance(node, (Choose, Fork)):
            follow = list(node.heads)
        if isinstance(node, Call):
            follow += [node.on_accepted, node.on_done, node.on_rejected, node.on_timeout]
        for following in follow:
            visit(following, column + drawn)

    visit(nodes.start, 0)
    places = []
    for column in sorted(set(columns.values())):
        here = [k for k, c in columns.items() if c == column and drawn_kind(nodes, k)]
        for row, index in enumerate(sorted(here, reverse=True)):
            node = nodes.nodes[index]
            offset = row - (len(here) - 1) / 2
            places.append(Place(index, node.name, drawn_kind(nodes, index), column, offset))
    return places


def drawn_kind(graph: Graph, index: int) -> str:
    """Return what a node is drawn as, or nothing."""
    node = graph.nodes[index]
    if isinstance(node, Call):
        return "wait"
    if isinstance(node, Work):
        return "work"
    assert isinstance(node, (Choose, Fork, Join, Await))
    return ""


class LaneView:
    """What one strategy's side of the picture shows.

    Parameters
    ----------
    lane
        The simulation that is looked at.
    places
        Where its steps are drawn.
    """

    def __init__(self, lane: Lane, places: Sequence[Place]) -> None:
        self._lane = lane
        self._places = places

    def picture(self, now: float) -> dict[str, Any]:
        """Return counts by step, worker load, and a dot for each of the latest instances."""
        place, state = self._positions()
        first = max(len(place) - MOST_TOKENS, 0)
        counts = {
            str(spot.node): [
                int(np.sum((place == spot.node) & (state == 0))),
                int(np.sum((place == spot.node) & (state == WAITS))),
            ]
            for spot in self._places
        }
        busy, queue = self._lane.workers.load_now(now)
        return {
            "name": self._lane.strategy.label,
            "counts": counts,
            "done": int(np.sum(state == DONE)),
            "failed": int(np.sum(state == FAILED)),
            "busy": busy,
            "queue": queue,
            "workers": self._lane.scenario.server.workers,
            "waiting": self._lane.waiting,
            "first": first,
            "tokens": np.stack([place[first:], state[first:]], axis=1).ravel().tolist(),
        }

    def _positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the step each instance is at (the last it came to) and what it does there."""
        lane, n = self._lane, self._lane.arrived
        place = np.full(n, -1)
        state = np.zeros(n, dtype=np.int64)
        latest = np.full(n, -math.inf)
        for spot in self._places:
            columns = lane.columns[spot.node]
            queued = np.array(columns.queued[:n])
            ended = np.array(columns.ended[:n])
            here = queued >= latest  # NaN, not reached, is not
            latest[here], place[here] = queued[here], spot.node
            # The call is made when its work has ended; from then on it waits
            at_work = np.isnan(ended)
            if spot.kind == "wait":
                numbers = lane.numbers.work[spot.node][:n]
                called = np.array(columns.started[:n]) + np.array(numbers)
                waits = at_work & (called <= lane.clock.now)
                state[here] = np.where(waits[here], WAITS, 0)
            else:
                state[here] = 0
        outcomes = np.array([int(outcome) for outcome in lane.outcomes[:n]], dtype=np.int64)
        state[outcomes == Outcome.DONE] = DONE
        state[outcomes == Outcome.FAILED] = FAILED
        return place, state


class ViewState:
    """All sides of the picture of a session.

    Parameters
    ----------
    session
        The session that is looked at; its first two strategies are shown.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.places = layout(session.scenario.process)

    def picture(self) -> dict[str, Any]:
        """Return all that the page draws."""
        session = self.session
        with session.store.lock:
            lanes = [session.lane(label) for label in session.strategies[:2]]
            return {
                "scenario": session.scenario.name,
                "now": f"{session.at:%a %Y-%m-%d %H:%M:%S}",
                "playing": session.playing,
                "places": [
                    {
                        "node": p.node,
                        "name": p.name,
                        "kind": p.kind,
                        "column": p.column,
                        "row": p.row,
                    }
                    for p in self.places
                ],
                "lanes": [LaneView(lane, self.places).picture(session.now) for lane in lanes],
            }
