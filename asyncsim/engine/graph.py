"""The process as a flat list of nodes, each with its successor.

A waiting instance is only a record, so the place where it continues must be a value that can be
stored: the index of a node. Both engines walk these nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from attrs import define, field

from asyncsim.model.loops import Delay, ForEach, Race, Repeat, Retry
from asyncsim.model.process import (
    AsyncStep,
    Choice,
    Copies,
    Element,
    Parallel,
    Path,
    Process,
    Step,
    label_of,
)

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
    stream: str = field(default="", kw_only=True)  # name of the random numbers, of a copy its own


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
    choice: Choice | None  # None where only the number decides

    def head_for(self, uniform: float) -> int:
        """Return the first node of the branch that a uniform number chooses."""
        for head, bound in zip(self.heads, self.bounds, strict=True):
            if uniform < bound:
                return head
        return self.heads[-1]

    def head_with(self, fields: Mapping[str, Any]) -> int | None:
        """Return the first node of the branch whose conditions are met, or None."""
        pairs = zip(self.heads, self.choice.branches if self.choice else (), strict=False)
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
class Pause(Node):
    """A delay, which takes no worker; that between two attempts is not listed among the steps."""

    number: int
    listed: bool


@define
class RaceStart(Fork):
    """The start of a race; `next` is its finish, at which `enough` branches decide it."""

    enough: int


@define
class RaceEnd(Join):
    """Continues when `ways` of the branches of a race have arrived; the others have lost.

    If too many branches have failed, the instance goes on at `on_failed`.
    """

    losers: str
    branches: list[range]  # of each, the nodes
    on_failed: int

    @property
    def nodes(self) -> range:
        """The nodes of all branches: they have been added one after the other."""
        return range(self.branches[0].start, self.branches[-1].stop)


@define
class DropOut(Node):
    """A branch of a race fails; `next` is the finish."""

    branch: int


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

    @property
    def visits(self) -> list[int]:
        """Which copy of its step each node is, from 1, in the order of the activation numbers."""
        found, seen = [1] * len(self.nodes), Counter[str]()
        numbered = [node for node in self.nodes if isinstance(node, (Work, Call, Pause))]
        for node in sorted(numbered, key=lambda node: node.number):
            seen[node.name] += 1
            found[node.index] = seen[node.name]
        return found


class _Layout:
    """Adds the nodes of elements from the last to the first, so that each knows its successor."""

    def __init__(self, process: Process) -> None:
        self.nodes: list[Node] = []
        self.numbers = process.activations
        self.at: Copies = ()  # the copies of the loops around
        self.failed = FAILED  # where a path to failure leads: in a race, to the end of its branch

    def path(self, path: Path, after: int) -> int:
        """Add the elements of a path; return the index of its first node, or `after`."""
        if isinstance(path, str):
            return self.failed if path == "fail" else after
        for element in reversed(path):
            after = self._element(element, after)
        return after

    def _element(self, element: Element, after: int) -> int:
        name, label = element.name, label_of(element.name, self.at)
        match element:
            case Step():
                return self._add(Work(len(self.nodes), name, after, self.numbers[label]))
            case AsyncStep():
                return self._call(element, after)
            case Choice():
                heads = [self.path(branch.steps, after) for branch in element.branches]
                chances = [branch.probability for branch in element.branches]
                return self._choose(name, after, heads, chances, element)
            case Delay():
                return self._add(Pause(len(self.nodes), name, after, self.numbers[label], True))
            case Retry():
                return self._retry(element, after)
            case Repeat():
                return self._repeat(element, after)
            case ForEach():
                return self._for_each(element, after)
            case Race():
                return self._race(element, after)
        assert isinstance(element, Parallel), element
        join = self._add(Join(len(self.nodes), name, after, len(element.branches)))
        heads = [self.path(branch, join) for branch in element.branches]
        return self._add(Fork(len(self.nodes), name, join, heads))

    def _choose(
        self,
        name: str,
        after: int,
        heads: list[int],
        chances: Sequence[float],
        choice: Choice | None = None,
    ) -> int:
        bounds = list(accumulate(chances))
        return self._add(Choose(len(self.nodes), name, after, heads, bounds, choice))

    def _copy(self, k: int, path: Path, after: int) -> int:
        """Add the k-th copy of a path, the steps of a loop."""
        around, self.at = self.at, (*self.at, k)
        head = self.path(path, after)
        self.at = around
        return head

    def _retry(self, loop: Retry, after: int) -> int:
        """Add the attempts; where one fails, the next follows, perhaps after a pause."""
        around, again = self.at, None
        for k in range(loop.attempts, 0, -1):
            self.at = (*around, k)
            number = self.numbers[label_of(loop.step.name, self.at)]
            again = self._call(loop.step, after, again)
            if k > 1 and loop.pause:
                again = self._add(Pause(len(self.nodes), loop.name, again, number, False))
        self.at = around
        assert again is not None
        return again

    def _repeat(self, loop: Repeat, after: int) -> int:
        """Add the rounds, with a choice after each but the last."""
        head, chance, around = after, loop.until_probability, self.at
        for k in range(loop.most, 0, -1):
            if k < loop.most and chance:
                self.at = (*around, k)
                head = self._choose(loop.name, after, [after, head], [chance, 1 - chance])
                self.at = around
            head = self._copy(k, loop.steps, head)
        return head

    def _for_each(self, loop: ForEach, after: int) -> int:
        """Add a branch for each item, and a fork to the first n of them for each number n."""
        numbers = [number for number, _ in loop.chances]
        join = self._add(Join(len(self.nodes), loop.name, after, numbers[-1]))
        branches = [self._copy(k, loop.steps, join) for k in range(1, numbers[-1] + 1)]
        heads = [
            self._add(Fork(len(self.nodes), loop.name, join, branches[:number]))
            if number
            else after
            for number in numbers
        ]
        chances = [chance for _, chance in loop.chances]
        return heads[0] if len(heads) == 1 else self._choose(loop.name, after, heads, chances)

    def _race(self, race: Race, after: int) -> int:
        """Add the branches; a failure in one of them leads to the end of that branch."""
        around = self.failed
        place = len(self.nodes), race.name, after, race.enough
        finish = RaceEnd(*place, race.losers, branches=[], on_failed=around)
        join, heads = self._add(finish), []
        for k, branch in enumerate(race.branches):
            first = len(self.nodes)
            self.failed = self._add(DropOut(first, race.name, join, k))
            heads.append(self.path(branch, join))
            finish.branches.append(range(first, len(self.nodes)))
        self.failed = around
        return self._add(RaceStart(len(self.nodes), race.name, join, heads, race.enough))

    def _call(self, step: AsyncStep, after: int, again: int | None = None) -> int:
        """Add a call; where it is rejected or times out it leads to `again`, if there is that."""
        done = self.path(step.on_done, after)
        rejected, timeout = (
            self.path(way, after) if again is None else again
            for way in (step.on_rejected, step.on_timeout)
        )
        accepted, arming = STANDS, Await(len(self.nodes), step.name, after, call=-1)
        if step.on_accepted:
            accepted = self.path(step.on_accepted, self._add(arming))
        arming.call = index = len(self.nodes)
        number = self.numbers[label_of(step.name, self.at)]
        return self._add(
            Call(index, step.name, after, number, step, accepted, done, rejected, timeout)
        )

    def _add(self, node: Node) -> int:
        node.stream = label_of(node.name, self.at)
        self.nodes.append(node)
        return node.index
