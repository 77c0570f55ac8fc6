"""The process as a flat list of nodes, each with its successor.

A waiting instance is only a record, so the place where it continues must be a value that can be
stored: the index of a node. Both engines walk these nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from attrs import define, field

from asyncsim.model.process import (
    AsyncStep,
    Choice,
    Element,
    Parallel,
    Path,
    Process,
    Step,
)

DONE = -1
"""In place of a next node: the instance has ended successfully."""
FAILED = -2
"""In place of a next node: the instance fails."""
STANDS = -3
"""In place of a next node: the walk ends here; a record, or another branch, continues."""


@define
class Node:
    """A node of the process; `next` is the index of the node after it, `DONE` or `FAILED`."""

    index: int
    name: str
    next: int


@define
class Work(Node):
    """Work done by the server."""

    number: int


@define
class Call(Node):
    """A call to an external system, and the wait for it.

    `on_accepted` is the node before the wait is armed, or `STANDS` to arm it at once.
    """

    number: int
    step: AsyncStep
    on_accepted: int
    on_done: int
    on_rejected: int
    on_timeout: int

    def response_to(self, uniform: float) -> str:
        """Return the immediate response that a uniform number chooses."""
        response = self.step.response
        if uniform < response.accepted:
            return "accepted"
        done = response.done and uniform < response.accepted + response.done
        # The last share takes the rest that rounding leaves
        return "done" if done or not response.rejected else "rejected"


@define
class Await(Node):
    """Arms the wait of a call that was accepted some steps ago."""

    call: int


@define
class Choose(Node):
    """A choice: takes the first `heads[k]` whose `bounds[k]` is above the uniform number."""

    heads: list[int]
    bounds: list[float]
    choice: Choice

    def head_for(self, uniform: float) -> int:
        """Return the first node of the branch that a uniform number chooses."""
        for head, bound in zip(self.heads, self.bounds, strict=True):
            if uniform < bound:
                return head
        return self.heads[-1]

    def head_with(self, fields: Mapping[str, Any]) -> int | None:
        """Return the first node of the branch whose conditions are met, or None."""
        pairs = zip(self.heads, self.choice.branches, strict=True)
        return next((head for head, branch in pairs if branch.agrees_with(fields)), None)


@define
class Fork(Node):
    """All branches at once; `next` is the join."""

    heads: list[int]


@define
class Join(Node):
    """Continues when `ways` branches have arrived."""

    ways: int


@define
class Graph:
    """The nodes of a process and where it starts."""

    nodes: list[Node] = field(factory=list)
    start: int = DONE

    @classmethod
    def of(cls, process: Process) -> Graph:
        """Return the graph of a process."""
        graph = cls()
        graph.start = _Layout(graph, process.activations).sequence(process.steps, DONE)
        return graph


class _Layout:
    """Adds the nodes of elements from the last to the first, so that each knows its successor."""

    def __init__(self, graph: Graph, numbers: dict[str, int]) -> None:
        self.nodes = graph.nodes
        self.numbers = numbers

    def sequence(self, elements: Sequence[Element], after: int) -> int:
        """Add elements; return the index of the first, or `after` if there are none."""
        for element in reversed(elements):
            after = self.element(element, after)
        return after

    def path(self, path: Path, after: int) -> int:
        """Add the elements of a path; return the index of its first node."""
        if isinstance(path, str):
            return FAILED if path == "fail" else after
        return self.sequence(path, after)

    def element(self, element: Element, after: int) -> int:
        """Add one element; return its index."""
        name = element.name
        if isinstance(element, Step):
            return self._add(Work(len(self.nodes), name, after, self.numbers[name]))
        if isinstance(element, AsyncStep):
            return self._call(element, after)
        if isinstance(element, Choice):
            heads = [self.sequence(branch.steps, after) for branch in element.branches]
            bounds = list(accumulate(branch.probability for branch in element.branches))
            return self._add(Choose(len(self.nodes), name, after, heads, bounds, element))
        assert isinstance(element, Parallel), element
        join = self._add(Join(len(self.nodes), name, after, len(element.branches)))
        heads = [self.sequence(branch, join) for branch in element.branches]
        return self._add(Fork(len(self.nodes), name, join, heads))

    def _call(self, step: AsyncStep, after: int) -> int:
        done = self.path(step.on_done, after)
        rejected = self.path(step.on_rejected, after)
        timeout = self.path(step.on_timeout, after)
        accepted = STANDS
        if step.on_accepted:
            arming = Await(len(self.nodes), step.name, after, call=-1)
            accepted = self.sequence(step.on_accepted, self._add(arming))
        index = len(self.nodes)
        if step.on_accepted:
            arming.call = index
        number = self.numbers[step.name]
        return self._add(
            Call(index, step.name, after, number, step, accepted, done, rejected, timeout)
        )

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return node.index
