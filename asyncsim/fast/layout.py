"""From a scenario, a strategy and its random numbers to the state that the kernels work on.

`PLAYED` lists what has kernels; a scenario with other parts is refused by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field

from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Await, Call, Choose, Graph, Join, Pause, Work
from asyncsim.engine.result import DELIVERY_OUTCOMES
from asyncsim.engine.waits import answer_under
from asyncsim.errors import EngineError
from asyncsim.fast import state
from asyncsim.fast.state import ANCHORS, JITTERS, LANES, MOMENTS, NODES, PURPOSES, Room
from asyncsim.model.distributions import Fixed
from asyncsim.model.loops import Delay, ForEach, Repeat, Retry
from asyncsim.model.mixed_strategies import parts_of
from asyncsim.model.outages import PARTS, Downtime, downtime
from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.random_streams import Draws, counter_based_uniform
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import RateLimit, SlidingWindow, WorkflowServer
from asyncsim.model.specifications import (
    SCHEDULES,
    Batch,
    ClockTimes,
    Completions,
    Deliveries,
    Directed,
    Grid,
    Hold,
    Intervals,
    Link,
    Pauses,
    Schedule,
    Service,
    Shared,
    Staff,
    StrategySpecification,
    check_times,
    clock_deadlines,
    opening_hours,
)
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.systems import ExternalSystem, links_of
from asyncsim.model.units import DAY

PLAYED: dict[str, tuple[type, ...]] = {
    "checks": (type(None), *SCHEDULES, Hold, Directed, Shared),
    "deliveries": (type(None), Deliveries),
    "links": (Batch, Service, Staff, Completions),
    "process elements": (Step, AsyncStep, Choice, Parallel, Delay, Retry, Repeat, ForEach),
}  # the kinds of specifications, and of process elements, that have kernels


def check_plays(scenario: Scenario, strategy: Strategy) -> None:
    """Raise an `EngineError` if the engine does not play all of a scenario."""
    if others := unplayed(scenario, strategy):
        names = " and ".join(others)
        raise EngineError(
            f"engine 'compiled' plays parts with a specification that it knows, got {names}; "
            "take 'simpy' or 'auto'"
        )


def unplayed(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return the names of the parts that the compiled engine does not play, each once."""
    names: list[str] = []
    for one in parts_of(strategy, scenario):
        found = specification_of(one)
        names += [] if found else [type(one).__name__]
        for what in ("checks", "deliveries") if found else ():
            kind = type(getattr(found, what))
            if kind not in PLAYED[what]:
                names.append(f"{type(one).__name__} ({kind.__name__})")
    for system in scenario.systems.values():
        names += _unplayed_links(system)
    for element in scenario.process.parts():
        if type(element) not in PLAYED["process elements"]:
            names.append(type(element).__name__)
    return list(dict.fromkeys(names))


def _unplayed_links(system: ExternalSystem) -> list[str]:
    links = links_of(system)
    unknown = {type(kind) for kind in links if kind is not None} - {*PLAYED["links"]}
    names = [f"{type(system).__name__} ({kind.__name__})" for kind in unknown]
    if None in links:
        own = [type(link).__name__ for link in system.links if None in links_of(link)]
        names += own or [type(system).__name__]
    return names


ANY_NUMBER = 1 << 60
NEVER = -1.0
FIRST_BINS = 20_000  # bins of time laid out at first, at the most
GROUP_FIELDS = (
    "watch checks_are_free limit anchor backoff_kind intervals_at intervals_n intervals_go_on "
    "instants_at instants_n windows_at windows_n interval jitter cap first_wait",
    "notify attempts retries_vary pause_at loss duplicates duplicate_delay blocks honours "
    "off_after off_by_410 answer_within",
)
GROUP_ARRAYS = "intervals instants window_opens window_closes pause"
SERVER_FIELDS = "poll_work callback_work check_seconds callback_seconds slows_down"
LINK_FIELDS = (
    "system_kind successor link idle lanes_at lanes_n queue_at queue_head queue_tail nights_at "
    "nights_n next_night tonight exhausted most_items at_end remaining withdraws at_work"
)
NIGHT_FIELDS = "night_start cut_off night_end skipped breaks"
DOWN_FIELDS = "down_from down_to down_lost"
SENDER_FIELDS = "exhausted_n is_off is_sending sending_head sending_tail"
HOUR_FIELDS = "opens closes open_before"


@define
class Sizes:
    """Array sizes of a run; it restarts with larger ones on overflow."""

    bins: int  # of time, in which the load of the server is kept
    lane: int  # events of one kind, a power of two
    heap: int  # events that do not fit into their lane, and jobs in a queue; a power of two
    days: int  # runs of a batch, or days on which people work
    intervals: int = 4096


def first_sizes(scenario: Scenario, draws: Draws, resolution: float) -> Sizes:
    """Return the array sizes with which a run starts."""
    horizon = max(scenario.length, float(draws.arrivals[-1]) if len(draws) else 0.0)
    days = int(horizon // DAY) + 3
    bins = int(min(days * DAY / resolution + 2, FIRST_BINS))
    played = [element for element, _ in scenario.process.played()]
    links = sum(len(system.links) for system in scenario.systems.values())
    waits = len(draws) * max(1, sum(isinstance(one, AsyncStep) for one in played))
    heap = _power_of_two(len(draws) * len(played) + links + 64)
    return Sizes(bins, _power_of_two(waits + 64), heap, days)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


@define
class Builder:
    """Fills the fields of the state of one run."""

    scenario: Scenario
    strategy: Strategy
    draws: Draws
    until: float
    resolution: float
    sizes: Sizes
    graph: Graph = field(init=False)
    calls: list[Call] = field(init=False)
    groups: list[StrategySpecification] = field(init=False)  # the different ones
    group_of: list[int] = field(init=False)  # of each call

    def __attrs_post_init__(self) -> None:
        check_plays(self.scenario, self.strategy)
        self.graph = Graph.of(self.scenario.process)
        self.calls = [node for node in self.graph.nodes if isinstance(node, Call)]
        own = (specification_of(self.strategy.for_step(call.step)) for call in self.calls)
        found = [one for one in own if one is not None]
        self.groups = [one for k, one in enumerate(found) if found.index(one) == k]
        self.group_of = [self.groups.index(one) for one in found]

    def state(self) -> dict[str, Any]:
        """Return the fields of an `asyncsim.fast.state.RunState` by name."""
        found = self._server() | self._groups() | self._nodes() | self._calls() | self._deadlines()
        systems = self._systems()
        lanes = self.scenario.server.workers + sum(systems["lanes_n"])
        return found | systems | self._waits() | self._rooms(lanes)

    def _server(self) -> dict[str, Any]:
        server = self.scenario.server
        policy, keep = server.policy, server.policy.buffer_for
        answers = {
            kind: DELIVERY_OUTCOMES.index(answer_under(policy, kind).text)
            for kind in ("early", "duplicate", "late")
        }
        return (
            answers
            | {
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
                **{name: float(getattr(server, name)) for name in SERVER_FIELDS.split()},
                "contended": is_shared(server),
                "delays_steps": server.engine_delay != Fixed(0.0),
                "buffer_for": math.inf if keep is None else keep,
                "arrival": self.draws.arrivals,
                "sweep": server.timeout_sweep or 0.0,
            }
            | limit_fields(server.finish_limit, self._most_deliveries)
            | _store(server)
        )

    @property
    def _wait_count(self) -> int:
        return max(len(self.draws) * len(self.calls), 1)

    @property
    def _most_deliveries(self) -> int:
        callbacks = [self.groups[group].deliveries for group in self.group_of]
        attempts = [
            (1 + len(one.retries)) * (2 if one.duplicates else 1) + 1  # and a dead letter
            for one in callbacks
            if one is not None
        ]
        return len(self.draws) * sum(attempts)

    def _groups(self) -> dict[str, Any]:
        """Lay the strategies out, with one row for each group of calls that have the same."""
        arrays: dict[str, list[float]] = {name: [] for name in GROUP_ARRAYS.split()}
        rows = [
            self._checks(group.checks, arrays) | _deliveries(group.deliveries, arrays)
            for group in self.groups
        ]
        names = [name for words in GROUP_FIELDS for name in words.split()]
        found: dict[str, Any] = {name: [row.get(name, 0) for row in rows] for name in names}
        found |= arrays | self._strategy_draws() | self._shared_checks()
        server = self.scenario.server
        schedules = [group.schedule for group in self.groups]
        jitters = [getattr(schedule, "jitter", "none") for schedule in schedules]
        down = [any(part in one.parts for one in self.scenario.server.outages) for part in PARTS]
        match schedules:
            case [Grid(window=None)] if not (down[1] or down[2]):
                found["turns_ring"] = True
        return found | {
            "groups": len(rows),
            "group_of": self.group_of,
            "looks_ahead": server.poll_work > 0
            and not (is_shared(server) or down[1])
            and any(schedules),
            "scatters": any(jitter not in (0.0, "none") for jitter in jitters),
        }

    def _checks(
        self, checks: Schedule | Hold | Directed | Shared | None, arrays: dict[str, list[float]]
    ) -> dict[str, Any]:
        """Return how a group checks, after adding its intervals, instants or hours to arrays."""
        if checks is None:
            return {}
        if isinstance(checks, Hold):
            return {"watch": state.HOLDS_LINE, "interval": checks.hold}
        if isinstance(checks, Directed):  # the pause without an answer, its bounds and error
            bounds = {"first_wait": checks.at_least, "cap": checks.at_most, "limit": -1}
            pause = {"interval": checks.default, "jitter": checks.error}
            return {"watch": state.DIRECTED} | bounds | pause
        if isinstance(checks, Shared):
            most = checks.most or ANY_NUMBER
            return {"watch": state.SHARED, "interval": checks.interval, "limit": most}
        found: dict[str, Any] = {
            "limit": -1 if checks.limit is None else checks.limit,
            "checks_are_free": checks.limit is None
            and not self.scenario.server.check_seconds
            and not self.scenario.hides_completions,
        }
        match checks:
            case Grid():
                return found | self._grid(checks, arrays)
            case ClockTimes():
                instants = check_times(checks, self.scenario.calendar).first(self.sizes.days)
                also = {"instants_at": len(arrays["instants"]), "instants_n": len(instants)}
                arrays["instants"] += instants.tolist()
                return found | {"watch": state.BY_CLOCK} | also
            case Pauses():
                intervals = checks.intervals(0, len(checks.pauses)).tolist()
                go_on, kind, cap = False, "none", 0.0
            case Intervals():
                (intervals, go_on), kind, cap = (
                    self._intervals(checks),
                    checks.jitter,
                    checks.longest,
                )
        found["intervals_at"] = len(arrays["intervals"])
        arrays["intervals"] += intervals
        return found | {
            "watch": state.BACKS_OFF,
            "backoff_kind": JITTERS.index(kind),
            "cap": cap,
            "intervals_n": len(intervals),
            "intervals_go_on": go_on,
        }

    def _grid(self, checks: Grid, arrays: dict[str, list[float]]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "watch": state.POLLS,
            "anchor": ANCHORS.index(checks.anchor),
            "interval": checks.interval,
            "jitter": checks.jitter,
            "first_wait": NEVER if checks.first is None else checks.first,
        }
        if checks.window is None:
            return found
        hours = opening_hours(checks.window, self.scenario.calendar).first(self.sizes.days)
        found |= {"windows_at": len(arrays["window_opens"]), "windows_n": len(hours)}
        arrays["window_opens"] += hours[:, 0].tolist()
        arrays["window_closes"] += hours[:, 1].tolist()
        return found

    def _shared_checks(self) -> dict[str, Any]:
        """Lay out the shared checks, those of all systems for each group."""
        n, names = len(self.draws), [*self.scenario.systems]
        keys = [self.draws.key(f"strategy/shared phase/{name}") for name in names]
        phases = [counter_based_uniform(key, 0, 0) for key in keys]
        kinds = [group.checks for group in self.groups]
        starts = [k.start(at) if isinstance(k, Shared) else 0.0 for k in kinds for at in phases]
        places = [
            group * len(names) + names.index(call.step.system)
            for call, group in zip(self.calls, self.group_of, strict=True)
        ]
        sizes = [n * places.count(place) for place in range(len(starts))]
        at = [0, *itertools.accumulate(sizes)]
        return {"shared": places, "shared_start": starts, "shared_at": at}

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

    def _strategy_draws(self) -> dict[str, Any]:
        """Return the keys of chances, and the delays of callbacks."""
        draws = self.draws
        keys = [
            draws.key(f"strategy/{purpose}/{call.stream}")
            for purpose in PURPOSES
            for call in self.calls
        ]
        callbacks = [group.deliveries or Deliveries() for group in self.groups]
        varies = len(draws) > 0 and not all(isinstance(one.delay, Fixed) for one in callbacks)
        most = max((1 + len(one.retries) for one in callbacks), default=0)
        delays = [
            draws.column(f"strategy/delay/{call.stream}", callbacks[group].delay, attempt)
            for attempt in range(most if varies else 0)
            for call, group in zip(self.calls, self.group_of, strict=True)
        ]
        after = self.scenario.server.engine_delay
        one_delay = isinstance(after, Fixed) or not self.calls or not len(draws)
        names = [f"strategy/engine delay/{call.stream}" for call in self.calls]
        return {
            "step_delays_vary": not one_delay,
            "step_delay": [after.mean]
            if one_delay
            else _joined([draws.column(name, after, 0) for name in names]),
            "chance_key": np.array(keys, dtype=np.uint64).view(np.int64),
            "delays_vary": varies,
            "delay": _joined(delays) if varies else [one.delay.mean for one in callbacks],
        }

    def _nodes(self) -> dict[str, Any]:
        """Lay the nodes out; steps, choices (with responses) and joins are numbered in order."""
        nodes, draws = self.graph.nodes, self.draws
        steps = [node for node in nodes if isinstance(node, (Work, Call, Pause))]
        choices = [node for node in nodes if isinstance(node, (Choose, Call))]
        joins = [node for node in nodes if isinstance(node, Join)]
        step_of, choice_of, join_of, call_of = (
            {node.index: k for k, node in enumerate(part)}
            for part in (steps, choices, joins, self.calls)
        )
        heads_of = [getattr(node, "heads", []) for node in nodes]
        bounds_of = [getattr(node, "bounds", [0.0] * len(heads_of[node.index])) for node in nodes]
        slots = join_of | choice_of | step_of
        call_index = [node.call if isinstance(node, Await) else node.index for node in nodes]
        uniforms = [
            (draws.choices if isinstance(node, Choose) else draws.responses)[node.stream]
            for node in choices
        ]
        return {
            "what": [NODES.index(type(node)) for node in nodes],
            "next_node": [node.next for node in nodes],
            "number": [getattr(node, "number", 0) for node in nodes],
            "slot": [slots.get(node.index, 0) for node in nodes],
            "response": [choice_of.get(node.index, 0) for node in nodes],
            "node_call": [call_of.get(index, 0) for index in call_index],
            "heads_at": [0, *itertools.accumulate(map(len, heads_of))],
            "heads_n": [len(heads) for heads in heads_of],
            "heads": list(itertools.chain.from_iterable(heads_of)),
            "bounds": list(itertools.chain.from_iterable(bounds_of)),
            "work": _joined([draws.work[node.stream] for node in steps]),
            "uniform": _joined(uniforms),
        }

    def _calls(self) -> dict[str, Any]:
        calls, external = self.calls, self.draws.external
        steps = [call.step for call in calls]
        times = [external[call.stream].T.ravel() for call in calls]  # link by link
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
            "step_timeout": [NEVER if s.step_timeout is None else s.step_timeout for s in steps],
            "withdraw": [step.withdraw for step in steps],
            "on_accepted": [call.on_accepted for call in calls],
            "on_done": [call.on_done for call in calls],
            "on_rejected": [call.on_rejected for call in calls],
            "on_timeout": [call.on_timeout for call in calls],
            "on_resumed": [call.next for call in calls],
            "external": _joined(times),
            "times_at": [0, *itertools.accumulate(part.size for part in times)],
        }

    def _deadlines(self) -> dict[str, Any]:
        """Lay out the deadlines that are not those of open waits, and what they withdraw."""
        steps, whole = [call.step for call in self.calls], self.scenario.process.timeout
        untils: list[float] = []
        at, numbers = [], []
        for step in steps:
            at.append(-1 if step.until is None else len(untils))
            if step.until is not None:
                times = clock_deadlines(step.until, self.scenario.calendar)
                untils += times.first(self.sizes.days).tolist()
            numbers.append(len(untils) - at[-1])
        deadlines = whole is not None or any({*step.limits} - {"timeout"} for step in steps)
        withdrawals = any(step.withdraw for step in steps)
        return {
            "instance_timeout": NEVER if whole is None else whole,
            "deadlines": deadlines,
            "withdrawals": withdrawals,
            "until_at": at,
            "until_n": numbers,
            "untils": untils,
            "between": Room(self._wait_count if deadlines else 1, 0),
            "desk": Room(self._wait_count if withdrawals else 1, state.NOWHERE),
        }

    def _systems(self) -> dict[str, Any]:
        """Lay the links of all systems out, in the order in which the SimPy engine opens them."""
        rows: list[dict[str, int]] = []
        arrays: dict[str, list[Any]] = {"nights": [], "hours": [], "completion": []}
        first_of, last_of, room, lanes = {}, dict[str, int](), 0, self.scenario.server.workers
        calendar, rng = self.scenario.calendar, self.draws.rng
        outages = self.scenario.server.outages
        down = [downtime(outages, calendar, rng, "server", part) for part in PARTS]
        for name, system in self.scenario.systems.items():
            successor = -1
            items = len(self.draws) * sum(call.step.system == name for call in self.calls)
            for k, link in reversed(list(enumerate(links_of(system)))):
                row = {"successor": successor, "link": k, "idle": 1}
                row |= {"queue_at": room, "lanes_at": lanes, "lanes_n": 0}
                row["withdraws"] = any(
                    call.step.withdraw for call in self.calls if call.step.system == name
                )
                owner = f"system/{name}/{k}"
                down.append(downtime(system.links[k].outages, calendar, rng, owner))
                row |= self._link(link, f"{name}/{k}", arrays, down[-1])
                successor = len(rows)
                last_of.setdefault(name, state.SYSTEMS + successor)
                rows.append(row)
                room, lanes = room + items, lanes + row["lanes_n"]
            first_of[name] = successor
        found: dict[str, Any] = {
            name: [row.get(name, 0) for row in rows] for name in LINK_FIELDS.split()
        }
        for words, kept in ((NIGHT_FIELDS, arrays["nights"]), (HOUR_FIELDS, arrays["hours"])):
            found |= {name: column for name, *column in zip(words.split(), *kept, strict=True)}
        return found | {
            "systems": len(rows),
            "first_system": [first_of[call.step.system] for call in self.calls],
            "last_system": [last_of[call.step.system] for call in self.calls],
            "systems_down": any(down[state.SYSTEMS :]),
            "sending": Room(room, None),
            **{name: Room(len(rows), 0) for name in SENDER_FIELDS.split()},
            **self._spans(down),
            "completion": arrays["completion"],
            "collects_at": Room(len(rows), math.nan),
            "collected_at": Room(len(rows), math.nan),
            "queue": Room(room, None),
            "submitted": Room(room, None),
        }

    def _spans(self, down: Sequence[Downtime | None]) -> dict[str, Any]:
        """Return the spans in which each part of the server and each system is down."""
        found, known = [(0.0, 0.0, 0.0)][:0], math.inf
        places, numbers = list[int](), list[int]()
        for one in down:
            spans, until = one.first(self.sizes.days) if one else (np.zeros((0, 3)), math.inf)
            places.append(len(found))
            numbers.append(len(spans))
            found += map(tuple, spans.tolist())
            known = min(known, until)
        columns = dict(zip(DOWN_FIELDS.split(), map(list, zip(*found, strict=True)), strict=False))
        return columns | {"down_at": places, "down_n": numbers, "down_known": known}

    def _link(
        self, link: Link | None, name: str, arrays: dict[str, list[Any]], down: Downtime | None
    ) -> dict[str, int]:
        """Return the fields of a link, after adding its nights, hours or completions to arrays."""
        if isinstance(link, Service):
            return {"system_kind": state.SERVICE, "lanes_n": link.lanes or 0}
        if isinstance(link, Completions):
            at = len(arrays["completion"])
            arrays["completion"] += link.completions
            return {"system_kind": state.RECORDED, "nights_at": at}
        if isinstance(link, Staff):
            at = len(arrays["hours"])
            arrays["hours"] += (
                link.hours(self.scenario.calendar, down).first(self.sizes.days).tolist()
            )
            number = len(arrays["hours"]) - at
            row = {"system_kind": state.PEOPLE, "lanes_n": link.team}
            return row | {"nights_at": at, "nights_n": number}
        assert isinstance(link, Batch), link
        found, at = self._nights(link, name), len(arrays["nights"])
        arrays["nights"] += found
        return {
            "system_kind": state.BATCH,
            "lanes_n": link.lanes,
            "nights_at": at,
            "nights_n": len(found),
            "exhausted": len(found) < self.sizes.days,
            "at_end": link.results == "at end",
            "most_items": link.max_items or ANY_NUMBER,
        }

    def _nights(self, batch: Batch, name: str) -> list[tuple[float, ...]]:
        """Return start, cut-off and end of each night, whether it is skipped, where it breaks."""
        skip, failure, breakdown = (
            self.draws.key(f"system/{what}/{name}") for what in ("skip", "failure", "breakdown")
        )
        found: list[tuple[float, ...]] = []
        for night in itertools.islice(batch.nights(self.scenario.calendar), self.sizes.days):
            k = night.index
            skipped = bool(batch.skip) and counter_based_uniform(skip, 0, k) < batch.skip
            fails = bool(batch.failure) and counter_based_uniform(failure, 0, k) < batch.failure
            breaks = counter_based_uniform(breakdown, 0, k) if fails else -1.0
            found.append((night.start, night.cut_off, night.end, float(skipped), breaks))
        return found

    def _waits(self) -> dict[str, Any]:
        n = len(self.draws)
        rows = np.arange(n, dtype=np.int64)  # as a browser counts, a key has no room in 32 bits
        return {
            "call_of": np.repeat(np.arange(len(self.calls), dtype=np.int64), n),
            "row_of": _joined([rows] * len(self.calls)),
            "key_of": _joined([(rows << state.ROW_SHIFT) | call.number for call in self.calls]),
        }

    def _rooms(self, lanes: int) -> dict[str, Any]:
        """Return what a run fills: size of the arrays, value at the beginning, names."""
        n, waits, deliveries = len(self.draws), self._wait_count, self._most_deliveries
        nodes, jobs, sizes = self.graph.nodes, len(Job), self.sizes
        steps = n * sum(isinstance(node, (Work, Call, Pause)) for node in nodes)
        joins = n * sum(isinstance(node, Join) for node in nodes)
        together = waits if any(isinstance(one.checks, Shared) for one in self.groups) else 1
        shared = len(self.groups) * len(self.scenario.systems)
        kept: list[tuple[int, float | None, str]] = [
            (waits, math.inf, "completed visible_from foreseen"),
            (waits, math.nan, "called armed closed left buffered"),
            (waits, 0, "not_before state outcome checks seen deliveries line holds"),
            (waits, -1, "in_batch"),
            (waits, None, "last_check picked_up grid_start passed slept slept_k held_since"),
            (steps, math.nan, "queued started step_ended"),
            (n, math.nan, "ended"),
            (n, 0, "instance_outcome"),
            (deliveries, None, "delivered attempt is_copy answer settled sent arrived handled"),
        ]
        rooms: list[tuple[int, float | None, str]] = [
            (joins, 0, "join_count"),
            (lanes, 0, "free_at"),
            (jobs, 0, "jobs busy queueing not_started"),
            (jobs * MOMENTS, 0, "bin_place bin_begins bin_ends"),
            (jobs * MOMENTS * sizes.bins, 0, "bin_count bin_rest"),
            (LANES, math.inf, "lane_head"),
            (LANES, 0, "lane_first lane_after"),
            (LANES * sizes.lane, None, "lane_t lane_key lane_payload"),
            (sizes.heap, None, "heap_t heap_key heap_sequence heap_payload starts soon"),
            (4 * len(nodes) + 16, None, "stack"),
            (len(self.calls) + together + 16, None, "urgent"),
            (together, None, "opened complete"),
            (shared, 0, "opened_head opened_n complete_head complete_n is_asking"),
            (shared, None, "counts_at asked_at"),
            (shared, -math.inf, "shared_last"),
        ]
        return {
            name: Room(size, value, part is kept)
            for part in (kept, rooms)
            for size, value, names in part
            for name in names.split()
        }


def _deliveries(callback: Deliveries | None, arrays: dict[str, list[float]]) -> dict[str, Any]:
    """Return how the systems of a group deliver, after adding the pauses to arrays."""
    if callback is None:
        return {}
    place = len(arrays["pause"])
    arrays["pause"] += [0.0, *callback.retries]
    return {
        "notify": 1,
        "attempts": 1 + len(callback.retries),
        "pause_at": place,
        "loss": callback.loss,
        "duplicates": callback.duplicates,
        "duplicate_delay": callback.duplicate_delay,
        "retries_vary": callback.retry_jitter == "full",
        "blocks": callback.queue == "blocking",
        "honours": callback.retry_after,
        "off_after": callback.switched_off_after or ANY_NUMBER,
        "off_by_410": callback.switched_off_by_410,
        "answer_within": math.inf if callback.answer_within is None else callback.answer_within,
    }


def is_shared(server: WorkflowServer) -> bool:
    """Return whether jobs depend on others, so that none is made ahead of its turn."""
    return server.has_store or server.slows_down > 0


def _store(server: WorkflowServer) -> dict[str, Any]:
    """Return the fields of the store beside the workers; at most one job of each waits there."""
    store, room = server.store, _power_of_two(server.workers + 1)
    return {
        "store_check": store.check_work,
        "store_callback": store.callback_work,
        "store_slows": store.slows_down,
        "writers": store.writers,
        "store_room": room,
        "store_free": Room(store.writers, 0),
        "store_starts": Room(room, 0),
    }


def limit_fields(limit: RateLimit | None, deliveries: int) -> dict[str, Any]:
    """Return the fields of a rate limit; none if it can never refuse that many deliveries."""
    if limit is None:
        return {}
    if isinstance(limit, SlidingWindow):
        if limit.most >= deliveries:
            return {}
        return {
            "finish_limit": state.WINDOW_LIMIT,
            "window_most": limit.most,
            "window_length": limit.seconds,
            "admitted": Room(limit.most, -math.inf),
        }
    return {
        "finish_limit": state.BUCKET_LIMIT,
        "bucket_size": float(limit.size),
        "bucket_rate": limit.rate.per_second,
        "tokens": float(limit.size),
        "tokens_since": -math.inf,
    }


def _joined(arrays: Sequence[Any]) -> Any:
    """Return arrays one after the other."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([*arrays, np.zeros(0, np.int64)])
