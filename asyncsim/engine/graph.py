"""The process as a flat list of nodes, each with its successor.

A waiting instance is only a record, so the place where it continues must be a value that can be
stored: the index of a node. Both engines walk these nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from attrs import define

from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Process, Step

# In place of a next node
DONE = -1  # the instance has ended successfully
FAILED = -2  # the instance fails
STANDS = -3  # the walk ends here; a record, or another branch, continues


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
    """A call to an external system, and its wait; `on_accepted` may be `STANDS`: armed at once."""

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

    nodes: list[Node]
    start: int

    @classmethod
    def of(cls, process: Process) -> Graph:
        """Return the graph of a process."""
        layout = _Layout(process)
        start = layout.path(process.steps, DONE)
        return cls(layout.nodes, start)


class _Layout:
    """Adds the nodes of elements from the last to the first, so that each knows its successor."""

    def __init__(self, process: Process) -> None:
        self.nodes: list[Node] = []
        self.numbers = process.activations

    def path(self, path: Path, after: int) -> int:
        """Add the elements of a path; return the index of its first node, or `after`."""
        if isinstance(path, str):
            return FAILED if path == "fail" else after
        for element in reversed(path):
            after = self._element(element, after)
        return after

    def _element(self, element: Element, after: int) -> int:
        name = element.name
        if isinstance(element, Step):
            return self._add(Work(len(self.nodes), name, after, self.numbers[name]))
        if isinstance(element, AsyncStep):
            return self._call(element, after)
        if isinstance(element, Choice):
            heads = [self.path(branch.steps, after) for branch in element.branches]
            bounds = list(accumulate(branch.probability for branch in element.branches))
            return self._add(Choose(len(self.nodes), name, after, heads, bounds, element))
        assert isinstance(element, Parallel), element
        join = self._add(Join(len(self.nodes), name, after, len(element.branches)))
        heads = [self.path(branch, join) for branch in element.branches]
        return self._add(Fork(len(self.nodes), name, join, heads))

    def _call(self, step: AsyncStep, after: int) -> int:
        done, rejected, timeout = (
            self.path(path, after) for path in (step.on_done, step.on_rejected, step.on_timeout)
        )
        accepted, arming = STANDS, Await(len(self.nodes), step.name, after, call=-1)
        if step.on_accepted:
            accepted = self.path(step.on_accepted, self._add(arming))
        arming.call = index = len(self.nodes)
        number = self.numbers[step.name]
        return self._add(
            Call(index, step.name, after, number, step, accepted, done, rejected, timeout)
        )

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return node.index
