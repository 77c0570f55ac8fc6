"""From a scenario, a strategy and its random numbers to the world that the kernels work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import define, field

from asyncsim.engine.graph import Await, Call, Choose, Fork, Graph, Join, Node, Work
from asyncsim.engine.workers import Job
from asyncsim.fast import state as at
from asyncsim.fast.buffer_pool import Memory
from asyncsim.fast.callback_kernels import limit_fields
from asyncsim.fast.check_heap import ROUNDS
from asyncsim.fast.event_queue import LANE_KINDS, ROW_SHIFT
from asyncsim.fast.jit import are_compiled
from asyncsim.fast.straight_stages import stages
from asyncsim.fast.supported import played_specification
from asyncsim.fast.systems_layout import OutsideWorld
from asyncsim.model.distributions import Fixed
from asyncsim.model.process import AsyncStep
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Deliveries,
    Grid,
    Hold,
    Intervals,
    StrategySpecification,
)
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DAY

NEVER = -1.0
FIRST_BINS = 20_000
"""Bins of time laid out at first, at the most."""
WORDS = {"reject": at.REJECT, "buffer": at.BUFFER, "ignore": at.IGNORE, "accept": at.ACCEPT}
ANCHORS = {"arming": at.FROM_ARMING, "clock": at.FROM_CLOCK, "random": at.FROM_RANDOM}
JITTERS = {
    "none": at.NO_JITTER,
    "full": at.FULL,
    "equal": at.EQUAL,
    "decorrelated": at.DECORRELATED,
}
PURPOSES = {
    at.K_LOSS: "loss",
    at.K_DUPLICATE: "duplicate",
    at.K_JITTER: "jitter",
    at.K_PHASE: "phase",
}
NODES = {
    Work: at.IS_WORK,
    Call: at.IS_CALL,
    Await: at.IS_AWAIT,
    Choose: at.IS_CHOOSE,
    Fork: at.IS_FORK,
    Join: at.IS_JOIN,
}


@define
class Sizes:
    """How much room a run is given; what was too little is multiplied, and the run begun again."""

    bins: int
    """Of time, in which the load of the server is kept."""
    lane: int
    """Events of one kind, a power of two."""
    heap: int
    """Events that do not fit into their lane, and jobs in a queue; a power of two."""
    days: int
    """Runs of a batch, or days on which people work."""
    intervals: int = 4096
    misfits: int = 4
    """Checks of a wait that may not fit into their lane before all are taken to be scattered."""
    straight: bool = True
    """Whether a straight run may be played as one."""


@define
class Builder:
    """Fills the fields of the world of one run."""

    scenario: Scenario
    strategy: Strategy
    draws: Draws
    until: float
    resolution: float
    sizes: Sizes
    memory: Memory = field(factory=Memory)
    """What lies in here is handed over with the record."""
    scratch: Memory = field(factory=Memory)
    specification: StrategySpecification = field(init=False)
    graph: Graph = field(init=False)
    calls: list[Call] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.specification = played_specification(self.scenario, self.strategy)
        self.graph = Graph.of(self.scenario.process)
        self.calls = [node for node in self.graph.nodes if isinstance(node, Call)]

    def world(self) -> dict[str, Any]:
        """Return the fields of a `asyncsim.fast.state.World` by name, in its order."""
        outside = OutsideWorld.of(self.scenario, self.draws, self.calls, self.sizes.days)
        found = self._server() | self._strategy() | self._nodes() | self._calls(outside)
        straight = {}
        if self.sizes.straight and self.until == math.inf:
            straight = stages(self.scenario, self.strategy, self.draws, self.graph, self.scratch)
        found |= straight or (self._open_ended() | self._queue(outside))
        found |= outside.fields(self.scratch) | self._waits() | self._rest()
        found["free_at"] = self.memory.floats(self.scenario.server.workers + outside.lanes, 0.0)
        self.memory.close()
        self.scratch.close()
        kinds = at.World.__annotations__
        assert found.keys() <= kinds.keys(), found.keys() - kinds.keys()
        # What a run has no use for stays 0, or empty
        return {name: CASTS[kind](found.get(name, NOTHING[kind])) for name, kind in kinds.items()}

    def _server(self) -> dict[str, Any]:
        server = self.scenario.server
        policy, keep = server.policy, server.policy.buffer_for
        return {
            "n": len(self.draws),
            "calls": len(self.calls),
            "waits": self._wait_count,
            "joins": sum(isinstance(node, Join) for node in self.graph.nodes),
            "workers": server.workers,
            "bins": self.sizes.bins,
            "capacity": self.sizes.lane,
            "room": self.sizes.heap,
            "misfits_borne": self.sizes.misfits * self._wait_count,
            "start_node": self.graph.start,
            "until": self.until,
            "resolution": self.resolution,
            "poll_work": server.poll_work,
            "callback_work": server.callback_work,
            "early": WORDS[policy.early],
            "buffer_for": math.inf if keep is None else keep,
            "duplicate": WORDS[policy.duplicate],
            "late": WORDS[policy.late],
            "arrival": self.draws.arrivals,
        }

    @property
    def _wait_count(self) -> int:
        return max(len(self.draws) * len(self.calls), 1)

    def _strategy(self) -> dict[str, Any]:
        draws = self.draws
        keys = [
            draws.key(f"strategy/{PURPOSES[purpose]}/{call.name}")
            for purpose in sorted(PURPOSES)
            for call in self.calls
        ]
        found: dict[str, Any] = {
            "chance_key": np.array(keys, dtype=np.uint64).view(np.int64),
            "limit": -1,
        }
        checks = self.specification.checks
        if isinstance(checks, Grid):
            found |= {"watch": at.POLLS, "anchor": ANCHORS[checks.anchor]}
            found |= {"interval": checks.interval, "jitter": checks.jitter}
        elif isinstance(checks, Intervals):
            found |= {"watch": at.BACKS_OFF, "backoff_kind": JITTERS[checks.jitter]}
            found["cap"] = checks.longest
            found["intervals"], found["intervals_go_on"] = self._intervals(checks)
            found["intervals_n"] = len(found["intervals"])
        elif isinstance(checks, Hold):
            found |= {"watch": at.HOLDS_LINE, "interval": checks.seconds}
        if isinstance(checks, Grid | Intervals):
            found["limit"] = -1 if checks.limit is None else checks.limit
            found["checks_are_free"] = checks.limit is None and not self.scenario.server.poll_work
            found["scatters"] = checks.jitter not in (0.0, "none")
            found["has_rounds"] = not found["scatters"]
        if self.specification.deliveries is not None:
            found |= self._deliveries(self.specification.deliveries)
        return found

    def _deliveries(self, callback: Deliveries) -> dict[str, Any]:
        varies = not isinstance(callback.delay, Fixed) and len(self.draws) > 0
        delays = [np.array([callback.delay.mean])]
        if varies:
            delays = [
                self.draws.column(f"strategy/delay/{call.name}", callback.delay, attempt)
                for attempt in range(1 + len(callback.retries))
                for call in self.calls
            ]
        return {
            "notify": 1,
            "attempts": 1 + len(callback.retries),
            "pause": [0.0, *callback.retries],
            "loss": callback.loss,
            "duplicates": callback.duplicates,
            "duplicate_delay": callback.duplicate_delay,
            "delays_vary": varies,
            "delay": _joined(delays),
        }

    def _intervals(self, checks: Intervals) -> tuple[list[float], bool]:
        """Return the intervals until they grow no more, and whether there would be others."""
        if checks.jitter == "decorrelated":
            return [checks.first], False
        found = [checks.interval(0)]
        while len(found) < self.sizes.intervals:
            following = checks.interval(len(found))
            if following == found[-1] and checks.interval(len(found) + 1) == following:
                return found, False
            found.append(following)
        return found, True

    def _nodes(self) -> dict[str, Any]:
        """Lay the nodes out; steps, choices (with responses) and joins are numbered in order."""
        nodes, draws = self.graph.nodes, self.draws
        steps = [node for node in nodes if isinstance(node, (Work, Call))]
        choices = [node for node in nodes if isinstance(node, (Choose, Call))]
        joins = [node for node in nodes if isinstance(node, Join)]
        step_of, choice_of, join_of, call_of = (
            {node.index: k for k, node in enumerate(part)}
            for part in (steps, choices, joins, self.calls)
        )
        heads, bounds, heads_at = [0], [0.0], []
        for node in nodes:
            heads_at.append(len(heads))
            heads += getattr(node, "heads", [])
            bounds += node.bounds if isinstance(node, Choose) else [0.0] * len(_heads(node))
        slots = join_of | choice_of | step_of
        call_index = [node.call if isinstance(node, Await) else node.index for node in nodes]
        return {
            "what": [NODES[type(node)] for node in nodes],
            "next_node": [node.next for node in nodes],
            "number": [getattr(node, "number", 0) for node in nodes],
            "slot": [slots.get(node.index, 0) for node in nodes],
            "response": [choice_of.get(node.index, 0) for node in nodes],
            "node_call": [call_of.get(index, 0) for index in call_index],
            "heads_at": heads_at,
            "heads_n": [len(_heads(node)) for node in nodes],
            "heads": heads,
            "bounds": bounds,
            "work": _joined([draws.work[node.name] for node in steps]),
            "uniform": _joined(
                [
                    (draws.choices if isinstance(node, Choose) else draws.responses)[node.name]
                    for node in choices
                ]
            ),
        }

    def _calls(self, outside: OutsideWorld) -> dict[str, Any]:
        calls = self.calls
        steps = [call.step for call in calls]
        return {
            "arm_delay": [step.arm_delay for step in steps],
            "timeout": [NEVER if step.timeout is None else step.timeout for step in steps],
            "accepted_below": [step.response.accepted for step in steps],
            "done_below": [
                step.response.accepted + step.response.done if step.response.done else NEVER
                for step in steps
            ],
            "call_node": [call.index for call in calls],
            "arms_before": [step.arm == "before call" for step in steps],
            "can_reject": [step.response.rejected > 0 for step in steps],
            "on_accepted": [call.on_accepted for call in calls],
            "on_done": [call.on_done for call in calls],
            "on_rejected": [call.on_rejected for call in calls],
            "on_timeout": [call.on_timeout for call in calls],
            "on_resumed": [call.next for call in calls],
            "first_desk": [outside.first_desk[step.system] for step in steps],
        }

    def _waits(self) -> dict[str, Any]:
        """Return the fields of waits that every run fills."""
        n, waits, memory = len(self.draws), self._wait_count, self.memory
        rows = np.arange(n, dtype=np.int64)  # as a browser counts, a key has no room in 32 bits
        keys = [(rows << ROW_SHIFT) | call.number for call in self.calls]
        return {
            "call_of": np.repeat(np.arange(len(self.calls), dtype=np.int64), n),
            "row_of": np.tile(rows, len(self.calls)),
            "key_of": _joined(keys),
            "completed": memory.floats(waits, math.inf),
            **{
                name: memory.floats(waits, math.nan)
                for name in ("called", "armed", "closed", "left")
            },
            **{
                name: memory.wholes(waits, 0)
                for name in ("state", "outcome", "checks", "seen", "deliveries")
            },
        }

    def _open_ended(self) -> dict[str, Any]:
        """Return the fields of waits and instances that a straight run has no use for."""
        waits, memory = self._wait_count, self.scratch
        joins = sum(isinstance(node, Join) for node in self.graph.nodes)
        return {
            "attention": memory.floats(waits, math.inf),
            "at_desk": memory.wholes(waits, -1),
            "buffered": memory.floats(waits, math.nan),
            **{
                name: memory.floats(waits, 0.0)
                for name in ("last_check", "picked_up", "grid_start", "slept")
            },
            **{name: memory.floats(waits, 0.0) for name in ("held_since", "not_before")},
            **{name: memory.wholes(waits, 0) for name in ("passed", "slept_k", "line", "holds")},
            "join_count": memory.wholes(len(self.draws) * joins, 0),
        }

    def _rest(self) -> dict[str, Any]:
        """Return the fields of steps, instances, deliveries, and the load of the server."""
        n, callback, memory = len(self.draws), self.specification.deliveries, self.memory
        steps = n * sum(isinstance(node, (Work, Call)) for node in self.graph.nodes)
        room = 0
        if callback is not None:
            attempts = (1 + len(callback.retries)) * (2 if callback.duplicates else 1)
            room = self._wait_count * (attempts + 1)  # and a dead letter
        moments = len(Job) * 3 * self.sizes.bins
        return {
            **{
                name: memory.floats(steps, math.nan) for name in ("queued", "started", "step_ended")
            },
            "ended": memory.floats(n, math.nan),
            "instance_outcome": memory.wholes(n, 0),
            **{name: memory.wholes(room) for name in ("delivered", "attempt", "is_copy", "answer")},
            "told": memory.wholes(room),
            **limit_fields(self.scenario.server.finish_limit, room, self.scratch),
            **{name: memory.floats(room) for name in ("sent", "arrived", "handled")},
            "starts": self.scratch.floats(self.sizes.heap),
            "bin_count": self.scratch.floats(moments, 0.0),
            "bin_rest": self.scratch.floats(moments, 0.0),
            "bin_place": [0] * len(Job) * 3,
            **{name: [0.0] * len(Job) * 3 for name in ("bin_begins", "bin_ends")},
            **{name: memory.wholes(len(Job), 0) for name in ("jobs", "not_started")},
            **{name: memory.floats(len(Job), 0.0) for name in ("busy", "queueing")},
        }

    def _queue(self, outside: OutsideWorld) -> dict[str, Any]:
        lane, heap, memory = self.sizes.lane, self.sizes.heap, self.scratch
        return {
            "lane_head": [math.inf] * LANE_KINDS,
            **{name: [0] * LANE_KINDS for name in ("lane_first", "lane_after")},
            "lane_t": memory.floats(lane * LANE_KINDS),
            **{name: memory.wholes(lane * LANE_KINDS) for name in ("lane_key", "lane_about")},
            "check_t": memory.floats(heap),
            "check_w": memory.wholes(heap),
            "first_round": -1,
            "round_t": memory.floats(lane * ROUNDS),
            "round_w": memory.wholes(lane * ROUNDS),
            **{name: [0] * ROUNDS for name in ("round_first", "round_after")},
            "round_head": [math.inf] * ROUNDS,
            "round_tail": [-math.inf] * ROUNDS,
            "heap_t": memory.floats(heap),
            **{name: memory.wholes(heap) for name in ("heap_key", "heap_sequence", "heap_about")},
            "soon": memory.wholes(heap),
            "stack": [0] * (4 * len(self.graph.nodes) + 16),
            "urgent": [0] * (len(self.calls) + 16),
        }


def first_sizes(scenario: Scenario, draws: Draws, resolution: float) -> Sizes:
    """Return how much room a run is given at first."""
    horizon = max(scenario.length, float(draws.arrivals[-1]) if len(draws) else 0.0)
    days = int(horizon // DAY) + 3
    bins = int(min(days * DAY / resolution + 2, FIRST_BINS))
    elements = sum(1 for _ in scenario.process.parts())
    links = sum(len(system.links) for system in scenario.systems.values())
    waits = len(draws) * max(1, len(scenario.process.of_type(AsyncStep)))
    heap = _power_of_two(len(draws) * elements + links + 64)
    return Sizes(bins, _power_of_two(waits + 64), heap, days)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _heads(node: Node) -> list[int]:
    return node.heads if isinstance(node, (Choose, Fork)) else []


def _joined(arrays: Sequence[Any]) -> Any:
    """Return arrays one after the other."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([*arrays, np.zeros(0, np.int64)])


def _floats(values: Any) -> Any:
    return _array(values, np.float64)


def _wholes(values: Any) -> Any:
    return _array(values, np.int64)


def _array(values: Any, kind: type) -> Any:
    """Return an array as kernels want it, or a list, which has a number to read in it."""
    if isinstance(values, np.ndarray) and values.size and are_compiled():
        return np.ascontiguousarray(values, kind)
    if not (are_compiled() and isinstance(values, list)):
        values = np.asarray(values, kind).tolist()
    return values or [0]


NOTHING: dict[str, Any] = {"int": 0, "float": 0.0, "Floats": [], "Wholes": []}
CASTS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "Floats": _floats,
    "Wholes": _wholes,
}
"""How a field gets the type that its annotation names."""
