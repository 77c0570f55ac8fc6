"""Which runs are straight, and the stages that an instance goes through in one (see `straight`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from asyncsim.engine.graph import STANDS, Call, Graph, Node, Work
from asyncsim.fast import state as at
from asyncsim.fast.buffer_pool import Memory
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch
from asyncsim.model.strategy_base import Strategy, specification_of
from asyncsim.model.systems import single_link


def stages(
    scenario: Scenario, strategy: Strategy, draws: Draws, graph: Graph, memory: Memory
) -> dict[str, Any]:
    """Return the fields of the world for a straight run, or none if the run is not straight."""
    line, specification = _line(graph), specification_of(strategy)
    if line is None or not len(draws):
        return {}
    if specification is None or not specification.only_certain_callbacks:
        return {}
    if scenario.server.finish_limit:
        return {}  # who is refused comes again
    calls = [node for node in line if isinstance(node, Call)]
    if not all(_is_plain(call, scenario) for call in calls):
        return {}
    if len({call.step.system for call in calls}) < len(calls):
        return {}  # a batch with two kinds of items
    if any(draws.work[node.name].any() and not draws.work[node.name].all() for node in line):
        return {}  # only some take no time: what comes first at one instant is not settled
    return _laid_out(line, scenario, draws, graph, memory)


def _line(graph: Graph) -> list[Work | Call] | None:
    """Return the nodes in order if each has one successor."""
    found: list[Work | Call] = []
    index = graph.start
    while index >= 0:
        node: Node = graph.nodes[index]
        if not isinstance(node, (Work, Call)):
            return None
        found.append(node)
        index = node.next
    return found or None


def _is_plain(call: Call, scenario: Scenario) -> bool:
    """Return whether a call is always accepted, armed at once, and answered by one batch."""
    step = call.step
    return (
        step.response.accepted == 1.0
        and step.arm == "after call"
        and not step.arm_delay
        and step.timeout is None
        and call.on_accepted == STANDS
        and isinstance(single_link(scenario.systems[step.system]), Batch)
    )


def _laid_out(
    line: Sequence[Work | Call], scenario: Scenario, draws: Draws, graph: Graph, memory: Memory
) -> dict[str, Any]:
    """Return a stage for the work of each step, for each call, and for each callback."""
    steps = [node for node in graph.nodes if isinstance(node, (Work, Call))]
    calls = [node for node in steps if isinstance(node, Call)]
    jobs: list[int] = []
    kinds: list[int] = []
    slots: list[int] = []
    call_of: list[int] = []
    is_free: list[bool] = []
    kind = at.ARRIVAL
    callback_stage = [0] * len(calls)

    def add(job: int, node: Work | Call, free: bool) -> None:
        jobs.append(job)
        kinds.append(kind)
        slots.append(steps.index(node))
        call_of.append(calls.index(node) if isinstance(node, Call) else 0)
        is_free.append(free)

    for node in line:
        free = not draws.work[node.name].any()
        add(at.J_CALL if isinstance(node, Call) else at.J_WORK, node, free)
        kind = kind if free else at.WORK_ENDED
        if isinstance(node, Call):
            kind = at.DELIVERY
            callback_stage[calls.index(node)] = len(jobs)
            add(at.J_CALLBACK, node, False)
            kind = at.CALLBACK_HANDLED if scenario.server.callback_work else at.DELIVERY
    first = [k * len(draws) for k in range(len(jobs))]
    return {
        "stages": len(jobs),
        "stage_job": jobs,
        "stage_kind": kinds,
        "stage_slot": slots,
        "stage_call": call_of,
        "stage_is_free": is_free,
        "callback_stage": callback_stage,
        "line_first": first,
        "line_after": first.copy(),
        "line_head": [math.inf] * len(jobs),
        "line_t": memory.floats(len(jobs) * len(draws)),
        "line_row": memory.wholes(len(jobs) * len(draws)),
    }
