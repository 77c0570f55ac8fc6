"""From a scenario, a strategy and its random numbers to the state that the kernels work on.

`PLAYED` lists what has kernels; a scenario with other parts is refused by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen

from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Await, Call, Choose, Fork, Graph, Join, Node, Work
from asyncsim.errors import EngineError
from asyncsim.fast import state as at
from asyncsim.fast.event_queue import LANE_KINDS, ROW_SHIFT
from asyncsim.fast.jit import are_compiled
from asyncsim.fast.worker_kernels import MOMENTS
from asyncsim.model.distributions import Fixed
from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.random_streams import Draws, counter_based_uniform
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import RateLimit, SlidingWindow
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Link,
    Service,
    Staff,
    StrategySpecification,
)
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.systems import ExternalSystem, links_of
from asyncsim.model.units import DAY
from asyncsim.platform import checks_bounds

PLAYED: dict[str, tuple[type, ...]] = {
    "checks": (type(None), Grid, Intervals, Hold),
    "deliveries": (type(None), Deliveries),
    "links": (Batch, Service, Staff, Completions),
    "process elements": (Step, AsyncStep, Choice, Parallel),
}
"""The kinds of specifications, and of process elements, that have kernels."""


def played_specification(scenario: Scenario, strategy: Strategy) -> StrategySpecification:
    """Return the specification of a strategy.

    Raises
    ------
    EngineError
        If the compiled engine does not play the strategy, or a part of the scenario.
    """
    found, others = specification_of(strategy), unplayed(scenario, strategy)
    if found is None or others:
        names = " and ".join(others)
        raise EngineError(
            f"engine 'compiled' plays parts with a specification that it knows, got {names}; "
            "take 'simpy' or 'auto'"
        )
    return found


def unplayed(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return the names of the parts that the compiled engine does not play, each once."""
    names = _of_strategy(strategy)
    for system in scenario.systems.values():
        names += _of_system(system)
    for element in scenario.process.parts():
        if type(element) not in PLAYED["process elements"]:
            names.append(type(element).__name__)
    return list(dict.fromkeys(names))


def _of_strategy(strategy: Strategy) -> list[str]:
    found = specification_of(strategy)
    if found is None:
        return [type(strategy).__name__]
    pairs = {"checks": found.checks, "deliveries": found.deliveries}
    return [
        f"{type(strategy).__name__} ({type(kind).__name__})"
        for what, kind in pairs.items()
        if type(kind) not in PLAYED[what]
    ]


def _of_system(system: ExternalSystem) -> list[str]:
    links = links_of(system)
    unknown = {type(kind) for kind in links if kind is not None} - {*PLAYED["links"]}
    names = [f"{type(system).__name__} ({kind.__name__})" for kind in unknown]
    if None in links:
        own = [type(link).__name__ for link in system.links if None in links_of(link)]
        names += own or [type(system).__name__]
    return names


ANY_NUMBER = 1 << 60


@define
class OutsideWorld:
    """All desks, in the order in which the reference engine opens them."""

    scenario: Scenario
    draws: Draws
    days: int
    """Calendars are compiled for this number of days."""
    first_desk: dict[str, int] = field(factory=dict)
    lanes: int = 0
    """Of all desks; they stand behind the workers of the server."""
    rows: list[dict[str, int]] = field(factory=list)
    nights: list[tuple[float, ...]] = field(factory=list)
    hours: list[Any] = field(factory=list)
    completions: list[float] = field(factory=list)
    times: list[Any] = field(factory=list)
    times_at: list[int] = field(factory=list)
    tray_room: int = 0

    @classmethod
    def of(cls, scenario: Scenario, draws: Draws, calls: Sequence[Call], days: int) -> OutsideWorld:
        """Lay the systems of a scenario out."""
        world = cls(scenario, draws, days)
        place = 0
        for call in calls:
            world.times_at.append(place)
            world.times.append(draws.external[call.name].T.ravel())  # link by link
            place += world.times[-1].size
        for name, system in scenario.systems.items():
            room = len(draws) * sum(call.step.system == name for call in calls)
            successor = -1
            for k, link in reversed(list(enumerate(links_of(system)))):
                world._open(link, f"{name}/{k}", k, successor, room)
                successor = len(world.rows) - 1
            world.first_desk[name] = successor
        return world

    def _open(self, link: Link | None, name: str, k: int, successor: int, tray_room: int) -> None:
        row = {"successor": successor, "link": k, "idle": 1, "tray_at": self.tray_room}
        row["lanes_at"] = self.scenario.server.workers + self.lanes
        if isinstance(link, Batch):
            found = self._nights(link, name)
            row |= {"desk_kind": at.BATCH, "lanes_n": link.lanes}
            row |= {"nights_at": len(self.nights), "nights_n": len(found)}
            row |= {"exhausted": len(found) < self.days, "at_end": link.results == "at end"}
            row["most_items"] = link.max_items or ANY_NUMBER
            self.nights += found
        elif isinstance(link, Service):
            row |= {"desk_kind": at.SERVICE, "lanes_n": link.lanes or 0}
        elif isinstance(link, Staff):
            opened = link.hours(self.scenario.calendar).first(self.days)
            row |= {"desk_kind": at.PEOPLE, "lanes_n": link.team}
            row |= {"nights_at": sum(map(len, self.hours)), "nights_n": len(opened)}
            self.hours.append(opened)
        elif isinstance(link, Completions):
            row |= {"desk_kind": at.RECORDED, "nights_at": len(self.completions)}
            self.completions += link.completions
        self.tray_room += tray_room
        self.lanes += row.get("lanes_n", 0)
        self.rows.append(row)

    def _nights(self, batch: Batch, name: str) -> list[tuple[float, ...]]:
        """Return start, cut-off and end of each night, whether it is skipped, where it breaks."""
        keys = {
            what: self.draws.key(f"system/{what}/{name}")
            for what in ("skip", "failure", "breakdown")
        }

        def chance(what: str, night: int) -> float:
            return counter_based_uniform(keys[what], 0, night)

        found: list[tuple[float, ...]] = []
        for night in itertools.islice(batch.nights(self.scenario.calendar), self.days):
            k = night.index
            skipped = bool(batch.skip) and chance("skip", k) < batch.skip
            fails = bool(batch.failure) and chance("failure", k) < batch.failure
            breaks = chance("breakdown", k) if fails else -1.0
            found.append((night.start, night.cut_off, night.end, float(skipped), breaks))
        return found

    def fields(self) -> dict[str, Any]:
        """Return the fields of the world that have to do with desks."""
        names = [
            "desk_kind",
            "successor",
            "link",
            "idle",
            "tray_at",
            "lanes_at",
            "lanes_n",
            "nights_at",
            "nights_n",
            "exhausted",
            "most_items",
            "at_end",
            "tray_head",
            "tray_tail",
            "next_night",
            "remaining",
            "tonight",
        ]
        night_names = ("night_start", "cut_off", "night_end", "skipped", "breaks")
        hour_names = ("opens", "closes", "open_before")
        hours = np.concatenate([*self.hours, np.zeros((1, 3))])
        nights = np.array([*self.nights, (0.0,) * 5])
        return {
            "desks": len(self.rows),
            **{name: [row.get(name, 0) for row in self.rows] for name in names},
            **dict(zip(night_names, nights.T, strict=True)),
            **dict(zip(hour_names, hours.T, strict=True)),
            **{name: [math.nan] * len(self.rows) for name in ("collects_at", "collected_at")},
            "completion": self.completions,
            "external": self.times[0]
            if len(self.times) == 1
            else np.concatenate([[], *self.times]),
            "times_at": self.times_at,
            "tray": np.empty(self.tray_room, np.int64),
            "submitted": np.empty(self.tray_room),
        }


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
    """Array sizes of a run; it restarts with larger ones on overflow."""

    bins: int
    """Of time, in which the load of the server is kept."""
    lane: int
    """Events of one kind, a power of two."""
    heap: int
    """Events that do not fit into their lane, and jobs in a queue; a power of two."""
    days: int
    """Runs of a batch, or days on which people work."""
    intervals: int = 4096


@define
class Builder:
    """Fills the fields of the state of one run."""

    scenario: Scenario
    strategy: Strategy
    draws: Draws
    until: float
    resolution: float
    sizes: Sizes
    specification: StrategySpecification = field(init=False)
    graph: Graph = field(init=False)
    calls: list[Call] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.specification = played_specification(self.scenario, self.strategy)
        self.graph = Graph.of(self.scenario.process)
        self.calls = [node for node in self.graph.nodes if isinstance(node, Call)]

    def state(self) -> dict[str, Any]:
        """Return the fields of an `asyncsim.fast.state.RunState` by name, in its order."""
        outside = OutsideWorld.of(self.scenario, self.draws, self.calls, self.sizes.days)
        found = self._server() | self._strategy() | self._nodes() | self._calls(outside)
        found |= outside.fields() | _allocated(self._waits() | self._rest())
        found |= _allocated(self._queue())
        found["free_at"] = np.zeros(self.scenario.server.workers + outside.lanes)
        kinds = at.RunState.__annotations__
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
            found |= {"watch": at.HOLDS_LINE, "interval": checks.hold}
        if isinstance(checks, Grid | Intervals):
            found["limit"] = -1 if checks.limit is None else checks.limit
            found["checks_are_free"] = checks.limit is None and not self.scenario.server.poll_work
            found["scatters"] = checks.jitter not in (0.0, "none")
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
        n, waits = len(self.draws), self._wait_count
        rows = np.arange(n, dtype=np.int64)  # as a browser counts, a key has no room in 32 bits
        keys = [(rows << ROW_SHIFT) | call.number for call in self.calls]
        joins = sum(isinstance(node, Join) for node in self.graph.nodes)
        set_first = ("last_check", "picked_up", "grid_start", "slept", "held_since")
        counts = ("state", "outcome", "checks", "seen", "deliveries", "line", "holds")
        return {
            "call_of": np.repeat(np.arange(len(self.calls), dtype=np.int64), n),
            "row_of": _joined([rows] * len(self.calls)),
            "key_of": _joined(keys),
            **_filled(("completed", "visible_from"), waits, math.inf),
            **_filled(("called", "armed", "closed", "left", "buffered"), waits, math.nan),
            **_filled(("not_before",), waits, 0.0),
            **_filled(counts, waits, 0),
            **_unset(set_first, waits, np.float64),
            **_unset(("passed", "slept_k"), waits, np.int64),
            **_filled(("at_desk",), waits, -1),
            **_filled(("join_count",), n * joins, 0),
        }

    def _rest(self) -> dict[str, Any]:
        """Return the fields of steps, instances, deliveries, and the load of the server."""
        n, callback = len(self.draws), self.specification.deliveries
        steps = n * sum(isinstance(node, (Work, Call)) for node in self.graph.nodes)
        room = 0
        if callback is not None:
            attempts = (1 + len(callback.retries)) * (2 if callback.duplicates else 1)
            room = self._wait_count * (attempts + 1)  # and a dead letter
        moments = len(Job) * MOMENTS
        return {
            **_filled(("queued", "started", "step_ended"), steps, math.nan),
            **_filled(("ended",), n, math.nan),
            **_filled(("instance_outcome",), n, 0),
            **_unset(("delivered", "attempt", "is_copy", "answer", "settled"), room, np.int64),
            **_unset(("sent", "arrived", "handled"), room, np.float64),
            **limit_fields(self.scenario.server.finish_limit, room),
            "bin_place": [0] * moments,
            **{name: [0.0] * moments for name in ("bin_begins", "bin_ends")},
            **_filled(("jobs", "not_started"), len(Job), 0),
            **_filled(("busy", "queueing"), len(Job), 0.0),
        }

    def _queue(self) -> dict[str, Any]:
        """Return the fields of the queues of events and of the server, and of its load."""
        lanes, heap = self.sizes.lane * LANE_KINDS, self.sizes.heap
        moments = len(Job) * MOMENTS
        return {
            "lane_head": [math.inf] * LANE_KINDS,
            **{name: [0] * LANE_KINDS for name in ("lane_first", "lane_after")},
            **_unset(("lane_t",), lanes, np.float64),
            **_unset(("lane_key", "lane_payload"), lanes, np.int64),
            **_unset(("heap_t", "starts"), heap, np.float64),
            **_filled(("bin_count", "bin_rest"), moments * self.sizes.bins, 0.0),
            **_unset(("heap_key", "heap_sequence", "heap_payload", "soon"), heap, np.int64),
            "stack": [0] * (4 * len(self.graph.nodes) + 16),
            "urgent": [0] * (len(self.calls) + 16),
        }


@frozen
class _Room:
    """An array to be laid out."""

    size: int
    kind: type
    value: float | None = None
    """Of every element; None if a run writes an element before it reads it."""


def _filled(names: Sequence[str], size: int, value: float) -> dict[str, Any]:
    """Return room for arrays of one value, of 64-bit integers if the value is one."""
    kind = np.int64 if isinstance(value, int) else np.float64
    return dict.fromkeys(names, _Room(size, kind, value))


def _unset(names: Sequence[str], size: int, kind: type) -> dict[str, Any]:
    """Return room for arrays whose elements a run writes before it reads them."""
    return dict.fromkeys(names, _Room(size, kind))


def _allocated(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields whose arrays lie in one block of memory.

    Allocators keep a block of a few megabytes for the next run; they return many arrays of that
    size to the operating system, which takes longer to provide them again than a short run lasts.
    """
    rooms = {name: room for name, room in fields.items() if isinstance(room, _Room)}
    block, place = np.empty(sum(room.size for room in rooms.values())), 0
    for name, room in rooms.items():
        array: Any = block[place : place + room.size].view(room.kind)
        if room.value is not None:
            array.fill(room.value)
        fields[name] = array
        place += room.size
    return fields


def limit_fields(limit: RateLimit | None, deliveries: int) -> dict[str, Any]:
    """Return the fields of a rate limit; none if it can never refuse that many deliveries."""
    if limit is None:
        return {}
    if isinstance(limit, SlidingWindow):
        if limit.most >= deliveries:
            return {}
        return {
            "finish_limit": at.WINDOW_LIMIT,
            "window_most": limit.most,
            "window_length": limit.seconds,
            "admitted": np.full(limit.most, -math.inf),
        }
    return {
        "finish_limit": at.BUCKET_LIMIT,
        "bucket_size": float(limit.size),
        "bucket_rate": limit.rate.per_second,
        "tokens": float(limit.size),
        "tokens_since": -math.inf,
    }


def first_sizes(scenario: Scenario, draws: Draws, resolution: float) -> Sizes:
    """Return the array sizes with which a run starts."""
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


def _ints(values: Any) -> Any:
    return _array(values, np.int64)


def _array(values: Any, kind: type) -> Any:
    """Return an array as kernels want it, or a list, which has a number to read in it."""
    if isinstance(values, np.ndarray) and values.size and are_compiled():
        return np.ascontiguousarray(values, kind)
    if not (are_compiled() and isinstance(values, list)):
        values = np.asarray(values, kind).tolist()
    values = values or [0]
    return CheckedList(values) if checks_bounds() else values


class CheckedList(list[Any]):
    """A list that accepts no index counted from its end, which would hide a mistake of a kernel."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(self._checked(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(self._checked(index), value)

    def _checked(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of bounds of an array of {len(self)}")
        return index


NOTHING: dict[str, Any] = {"int": 0, "float": 0.0, "Floats": [], "Ints": []}
CASTS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "Floats": _floats,
    "Ints": _ints,
}
"""How a field gets the type that its annotation names."""
