"""Random numbers and times of a simulation by node and instance, as lists that are read fast."""

from __future__ import annotations

import math
from array import array

import numpy as np
from attrs import frozen

from asyncsim.engine import result
from asyncsim.engine.graph import Call, Choose, Graph, Pause, Work
from asyncsim.model.random_streams import Draws


@frozen
class DrawLists:
    """The draws of a run by node and instance, as lists, from which single reads are fast."""

    arrivals: list[float]
    work: list[list[float]]
    uniforms: list[list[float]]  # decide choices and responses
    times: list[list[list[float]]]  # of external systems: for each instance one per link

    @classmethod
    def of(cls, draws: Draws, graph: Graph) -> DrawLists:
        """Return draws by node."""
        nodes = graph.nodes
        numbers = cls(
            draws.arrivals.tolist(), [[] for _ in nodes], [[] for _ in nodes], [[] for _ in nodes]
        )
        for k, node in enumerate(nodes):
            if isinstance(node, (Work, Call, Pause)):
                numbers.work[k] = draws.work[node.stream].tolist()
            if isinstance(node, Choose):
                numbers.uniforms[k] = draws.choices[node.stream].tolist()
            if isinstance(node, Call):
                numbers.uniforms[k] = draws.responses[node.stream].tolist()
                numbers.times[k] = np.column_stack([draws.external[node.stream]]).tolist()
        return numbers


class StepLists:
    """Times of one node, and outcomes of its calls, by instance."""

    def __init__(self, n: int) -> None:
        self._times = tuple(array("d", [math.nan]) * n for _ in range(3))
        self.queued, self.started, self.ended = self._times
        self.outcomes = array("b", [result.StepOutcome.OPEN]) * n

    def until(self, n: int, call: bool) -> result.StepColumns:
        """Return the first n instances as they stand in a record."""
        queued, started, ended = (np.array(part[:n]) for part in self._times)
        outcomes = np.array(self.outcomes[:n], dtype=np.int64) if call else None
        return result.StepColumns(queued, started, ended, outcomes)

    def add_row(self) -> None:
        """Add an instance."""
        for times in self._times:
            times.append(math.nan)
        self.outcomes.append(result.StepOutcome.OPEN)
