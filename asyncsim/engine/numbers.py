"""The draws of a run as plain lists, one per node of the process.

An engine that plays one instance after the other reads one number at a time, and reading one from
a list takes a third of the time it takes from an array.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from asyncsim.engine.graph import Call, Choose, Graph, Work
from asyncsim.model.draws import Draws
from asyncsim.model.durations import Floats


@frozen
class Numbers:
    """Random numbers by node and instance; a node that needs none has an empty list.

    Attributes
    ----------
    arrivals
        Instant of arrival of each instance, in seconds.
    work
        Worker time of steps and calls, in seconds.
    uniforms
        Uniform numbers that decide choices and responses.
    times
        Times of external systems, a list with one per link for each instance, in seconds.
    """

    arrivals: list[float]
    work: list[list[float]]
    uniforms: list[list[float]]
    times: list[list[list[float]]]

    @classmethod
    def of(cls, draws: Draws, graph: Graph) -> Numbers:
        """Lay draws out by node."""
        nodes = graph.nodes
        numbers = cls(
            arrivals=draws.arrivals.tolist(),
            work=[[] for _ in nodes],
            uniforms=[[] for _ in nodes],
            times=[[] for _ in nodes],
        )
        for k, node in enumerate(nodes):
            if isinstance(node, (Work, Call)):
                numbers.work[k] = draws.work[node.name].tolist()
            if isinstance(node, Choose):
                numbers.uniforms[k] = draws.choices[node.name].tolist()
            if isinstance(node, Call):
                numbers.uniforms[k] = draws.responses[node.name].tolist()
                numbers.times[k] = _rows(draws.external[node.name])
        return numbers


def _rows(times: Floats) -> list[list[float]]:
    """Return one list per instance, with a time for each link."""
    rows: list[list[float]] = np.column_stack([times]).tolist()
    return rows
