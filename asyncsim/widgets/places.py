"""Where the nodes of a process stand in a picture of it: columns to the right, branches below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define

from asyncsim.engine.graph import Await, Call, Choose, Fork, Graph, Join, Node, Work
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Process

KINDS: dict[type[Node], str] = {
    Work: "step",
    Call: "room",
    Choose: "choice",
    Fork: "fork",
    Join: "join",
}
WIDTHS = {"room": 2.0, "step": 1.2, "end": 1.4}
"""Of a column, by the widest thing in it; what only parts or joins ways is narrow."""
NARROW = 0.5


@define
class Place:
    """Where instances can be: a node, or the end.

    `way` tells parallel branches apart: an instance has one token on each way that it goes.
    """

    kind: str
    name: str
    column: int
    row: int
    way: int
    system: str = ""


@define
class Places:
    """The picture's plan: places by index of their node, and behind them the two ends."""

    places: list[Place | None]
    """None for a node that is no place of its own."""
    lines: list[tuple[int, int]]
    """From which place to which one can come."""
    rows: int
    ways: int
    done: int
    failed: int

    @classmethod
    def of(cls, process: Process) -> Places:
        """Lay out a process."""
        graph = Graph.of(process)
        plan = _Plan(graph)
        columns, rows, ways = plan.sequence(process.steps, 0, 0, 0)
        n = len(graph.nodes)
        places = [plan.found.get(node.index) for node in graph.nodes]
        ends = [
            Place("end", "done", columns, 0, 0),
            Place("end", "failed", columns, 0, 0),  # they share a column
        ]
        return cls([*places, *ends], _lines(graph, n), rows, ways, n, n + 1)

    def as_json(self) -> dict[str, Any]:
        """Return what a page needs to draw it."""
        shown = [
            None if p is None else [p.kind, p.name, p.system, p.column, p.row] for p in self.places
        ]
        columns = max(p.column for p in self.places if p) + 1
        widths = [
            max(
                (WIDTHS.get(p.kind, NARROW) for p in self.places if p and p.column == column),
                default=NARROW,
            )
            for column in range(columns)
        ]
        return {
            "places": shown,
            "lines": self.lines,
            "widths": widths,
            "rows": self.rows,
            "ways": self.ways,
        }


class _Plan:
    """Goes through the elements as they are written, and finds the node of each."""

    def __init__(self, graph: Graph) -> None:
        self.found: dict[int, Place] = {}
        self._index = {(type(node), node.name): node.index for node in graph.nodes}

    def sequence(
        self, elements: Sequence[Element], column: int, row: int, way: int
    ) -> tuple[int, int, int]:
        """Lay out elements; return the next free column, and how many rows and ways they take."""
        rows = ways = 1
        for element in elements:
            column, high, wide = self._element(element, column, row, way)
            rows, ways = max(rows, high), max(ways, wide)
        return column, rows, ways

    def _element(self, element: Element, column: int, row: int, way: int) -> tuple[int, int, int]:
        if isinstance(element, AsyncStep):
            self._put(Call, element.name, column, row, way, element.system)
            paths = (element.on_accepted, element.on_done, element.on_rejected, element.on_timeout)
            below = [path for path in paths if path and not isinstance(path, str)]
            end, rows, ways = self._branches(below, column, row + 1, way, parallel=False)
            return max(end, column + 1), 1 + rows, ways
        if isinstance(element, Choice):
            self._put(Choose, element.name, column, row, way)
            heads = [branch.steps for branch in element.branches]
            end, rows, ways = self._branches(heads, column + 1, row, way, parallel=False)
            return end, rows, ways
        if isinstance(element, Parallel):
            self._put(Fork, element.name, column, row, way)
            heads = list(element.branches)
            end, rows, ways = self._branches(heads, column + 1, row, way, parallel=True)
            self._put(Join, element.name, end, row, way)
            return end + 1, rows, ways
        self._put(Work, element.name, column, row, way)
        return column + 1, 1, 1

    def _branches(
        self,
        branches: Sequence[Sequence[Element]],
        column: int,
        row: int,
        way: int,
        *,
        parallel: bool,
    ) -> tuple[int, int, int]:
        """Lay out branches one below the other; in parallel ones each has ways of its own."""
        end, rows, ways = column, 0, 0 if parallel else 1
        for branch in branches:
            start = way + ways if parallel else way
            last, high, wide = self.sequence(branch, column, row + rows, start)
            end, rows = max(end, last), rows + high
            ways = ways + wide if parallel else max(ways, wide)
        return end, rows, ways

    def _put(
        self, kind: type[Node], name: str, column: int, row: int, way: int, system: str = ""
    ) -> None:
        self.found[self._index[kind, name]] = Place(KINDS[kind], name, column, row, way, system)


def _lines(graph: Graph, done: int) -> list[tuple[int, int]]:
    """Return from where to where one can come; the ways of failure are left out, for clarity."""
    lines = set()
    for node in graph.nodes:
        start, ends = node.index, [node.next]
        if isinstance(node, Call):
            ends += [node.on_accepted, node.on_done, node.on_rejected, node.on_timeout]
        elif isinstance(node, (Choose, Fork)):
            ends = node.heads
        elif isinstance(node, Await):
            start = node.call
            ends = []
        for end in ends:
            if end >= 0 or end == -1:
                lines.add((start, done if end == -1 else end))
    awaits = {node.index: node.call for node in graph.nodes if isinstance(node, Await)}
    return sorted((a, awaits.get(b, b)) for a, b in lines)
