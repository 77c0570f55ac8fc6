"""The outside of a lane for the view: its systems, and what passes between them and the server.

Where every instance of a lane stands at this moment, as arrays a page can draw at once.

Where the nodes of a process stand in a picture of it: columns to the right, branches below.

The view of a live session: instances move through the process, under each strategy.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import traitlets
from attrs import define, evolve, field
from numpy.typing import NDArray

from asyncsim.engine.contexts import ExternalSystemContext, WaitContext
from asyncsim.engine.environment import EventKind
from asyncsim.engine.graph import Await, Call, Choose, Fork, Graph, Join, Node, Work
from asyncsim.engine.result import Outcome
from asyncsim.engine.waits import State, Wait
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.session import Session
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Process
from asyncsim.model.specifications import (
    Batch,
    Night,
    Service,
    Staff,
)
from asyncsim.model.strategy_base import schedule_of
from asyncsim.model.systems import ExternalSystem, single_link
from asyncsim.widgets.base import SessionWidget, pieces

NOWHERE = 0xFFFF
"""In place of a place: no token on this way."""
CALLING = 0x8000
"""Added to the place of an asynchronous step whose call is being made: it does not wait yet."""


@define
class Snapshot:
    """How one lane stands."""

    label: str
    places: NDArray[np.uint16]
    """By way and instance: index of the place, perhaps with `CALLING`, or `NOWHERE`."""
    counts: list[int]
    """How many instances are at each place."""
    calling: list[int]
    """How many of them are `CALLING`."""
    waiting: int
    """Records of waits that are open."""
    workers: int
    busy: int
    queue: int

    def as_json(self) -> dict[str, Any]:
        """Return all but the places, which are sent as bytes."""
        return {
            "label": self.label,
            "counts": self.counts,
            "calling": self.calling,
            "waiting": self.waiting,
            "workers": self.workers,
            "busy": self.busy,
            "queue": self.queue,
        }


def standing_of(lane: LiveSimulation, plan: DiagramLayout) -> Snapshot:
    """Return how a lane stands now; hold the store's lock, so that it stands still."""
    places = places_of(lane, plan)
    size = len(plan.places)
    there = places[places != NOWHERE]
    calling = there[there >= CALLING] - CALLING
    busy, queue = lane.workers.load_now(lane.now)
    return Snapshot(
        label=lane.strategy.label,
        places=places,
        counts=np.bincount(there % CALLING, minlength=size).tolist(),
        calling=np.bincount(calling, minlength=size).tolist(),
        waiting=lane.waits.open_count,
        workers=lane.scenario.server.workers,
        busy=busy,
        queue=queue,
    )


def places_of(lane: LiveSimulation, plan: DiagramLayout) -> NDArray[np.uint16]:
    """Return the place of every instance that has arrived, by way."""
    n = lane.arrived
    places = np.full((plan.ways, n), NOWHERE, dtype=np.uint16)
    since = np.full((plan.ways, n), -np.inf)
    last, last_since = np.full(n, NOWHERE, dtype=np.uint16), np.full(n, -np.inf)
    for node in reversed(lane.graph.nodes):  # laid out from the last, so this is their order
        place = plan.places[node.index]
        if place is None or not isinstance(node, (Work, Call)):
            continue
        columns = lane.columns[node.index]
        queued = np.array(columns.queued[:n])
        ended = np.array(columns.ended[:n])
        came = queued >= last_since  # NaN, where it has not come here, is not
        last[came], last_since[came] = node.index, queued[came]
        # An instance that came here once more has ended here before
        here = (queued >= since[place.way]) & ~(ended >= queued)
        places[place.way, here], since[place.way, here] = node.index, queued[here]
        if isinstance(node, Call):
            work = np.array(lane.numbers.work[node.index][:n])
            at_work = here & (np.array(columns.started[:n]) + work > lane.now)
            places[place.way, at_work] += CALLING
    ended = np.array(lane.ended[:n])
    running = np.isnan(ended)
    lost = running & (places == NOWHERE).all(axis=0)
    places[0, lost] = last[lost]  # on its way, or waiting again under a new number
    places[:, ~running] = NOWHERE
    places[0, ~running] = plan.done
    outcomes = np.fromiter(lane.outcomes[:n], dtype=np.int8, count=n)
    places[0, outcomes == Outcome.FAILED] = plan.failed
    return places


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
class DiagramLayout:
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
    def of(cls, process: Process) -> DiagramLayout:
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


SAMPLE = 12
"""Waits of a step whose checks are drawn, and the most of its callbacks that are."""
MOST = 1000
"""Deliveries that are looked at for one picture."""
SHORT_DAY = "%a %d %b %H:%M"


class Outside:
    """Returns how the systems of a lane stand, and what has moved since it was last asked.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.
    plan
        The places of its process.
    """

    def __init__(self, session: Session, plan: DiagramLayout) -> None:
        self._session = session
        self._rooms = {
            k: place.system for k, place in enumerate(plan.places) if place and place.kind == "room"
        }
        self._plan = plan
        self._clocks = {
            name: [_words_of(link, session) for link in system.links]
            for name, system in session.scenario.systems.items()
        }
        self._seen: dict[str, Seen] = {}

    def picture(self, lane: LiveSimulation, standing: Snapshot) -> dict[str, Any]:
        """Return systems by name, and checks and callbacks that have moved, by place."""
        names = dict.fromkeys(self._rooms.values())
        seen = self._seen.get(standing.label)
        if seen is None or seen.lane is not lane:  # at first, or after a reset
            seen = self._seen[standing.label] = Seen(lane)
        open_rows = {k: self._open_rows(k, standing) for k in self._rooms}
        return {
            "outside": {name: self._system(name, lane, standing) for name in names},
            "checks": [] if self._session.store.closed else seen.checks(open_rows),
            "callbacks": seen.callbacks(),
        }

    def _open_rows(self, k: int, standing: Snapshot) -> Any:
        place = self._plan.places[k]
        assert place is not None
        return np.flatnonzero(standing.places[place.way] == k)

    def _system(self, name: str, lane: LiveSimulation, standing: Snapshot) -> dict[str, Any]:
        """Return how many items a system has, how many of them are worked on, and words."""
        rooms = [k for k, system in self._rooms.items() if system == name]
        unnoticed = sum(lane.unnoticed[k] for k in rooms)
        desks = lane.desks(name)
        if desks:
            taken = [min(max(desk.taken, 0), _servers(desk.system)) for desk in desks]
            working = int(sum(taken))
            waiting = sum(len(desk.queue) + max(desk.taken, 0) for desk in desks) - working
            words = [
                text
                for words, desk in zip(self._clocks[name], desks, strict=True)
                if (text := words(desk, lane.now))
            ]
        else:
            there = sum(standing.counts[k] - standing.calling[k] for k in rooms)
            working, waiting, words = there - unnoticed, 0, ["finished from outside"]
        batches = [desk for desk in desks if isinstance(single_link(desk.system), Batch)]
        return {
            "waiting": waiting,
            "working": working,
            "runs": any(desk.taken > 0 for desk in batches),
            "lines": [
                " · ".join(words),
                f"{working:,} being worked on, {waiting:,} in line",
                f"{unnoticed:,} done, not noticed yet" if unnoticed else "",
            ],
        }


def _servers(system: ExternalSystem) -> float:
    """Return how many items a system works on at the same time."""
    match single_link(system):
        case Staff(team=servers) | Batch(lanes=servers) | Service(lanes=int(servers)):
            return servers
    return math.inf


def _words_of(
    link: ExternalSystem, session: Session
) -> Callable[[ExternalSystemContext, float], str]:
    """Return what says what a system does by the clock."""
    calendar, found = session.scenario.calendar, single_link(link)
    if isinstance(found, Batch):
        nights = Nights(partial(found.nights, calendar))

        def batch(desk: ExternalSystemContext, now: float) -> str:
            start = nights.next_start(now)
            when = "" if start is None else f"{session.timestamp(start):{SHORT_DAY}}"
            if desk.taken > 0:
                return f"the batch runs{when and f', the next one starts {when}'}"
            return f"next batch starts {when}" if when else "no further batch"

        return batch
    if isinstance(found, Staff):
        office = found.hours(calendar)

        def people(_: ExternalSystemContext, now: float) -> str:
            at_work = office.open_seconds(now + 1.0) > office.open_seconds(now)
            return "people at work" if at_work else "people at home"

        return people
    return lambda *_: ""


@define
class Nights:
    """The nights of a batch, gone through as time passes."""

    source: Callable[[], Iterator[Night]]
    asked: float = math.inf
    start: float | None = None
    _nights: Iterator[Night] = field(init=False, factory=lambda: iter(()))

    def next_start(self, now: float) -> float | None:
        """Return when the next night begins, or None if there is none."""
        if now < self.asked:  # at first, or after a reset
            self._nights, self.start = self.source(), -math.inf
        self.asked = now
        while self.start is not None and self.start <= now:
            night = next(self._nights, None)
            self.start = None if night is None else night.start
        return self.start


class Seen:
    """What was last seen of a lane: how many deliveries, and the checks of some of its waits.

    Parameters
    ----------
    lane
        The lane; what has happened in it before is passed over.
    """

    def __init__(self, lane: LiveSimulation) -> None:
        self.lane = lane
        self._deliveries = len(lane.deliveries)
        self._asks = lane.strategy.polls
        self._sample: dict[int, list[Watched]] = {}

    def callbacks(self) -> list[list[int]]:
        """Return place, callbacks that have arrived, and lost ones, since the last call."""
        arrived, lost = Counter[int](), Counter[int]()
        total = len(self.lane.deliveries)
        for one in self.lane.deliveries.since(max(self._deliveries, total - MOST)):
            if one.attempt >= 0:  # a dead letter is none that was sent
                (lost if math.isnan(one.arrived) else arrived)[one.node] += 1
        self._deliveries = total
        places = sorted(arrived.keys() | lost.keys())
        return [[k, min(arrived[k], SAMPLE), min(lost[k], SAMPLE)] for k in places]

    def checks(self, open_rows: dict[int, Any]) -> list[list[int]]:
        """Return place, and how many waits of a sample were checked since the last call."""
        if not self._asks:
            return []
        found = []
        for k, rows in open_rows.items():
            sample = self._sample.setdefault(k, [])
            checked = sum(watched.checked() for watched in sample)
            if checked:
                found.append([k, checked])
            still = [one for one in sample if one.wait.state is State.ARMED]
            self._sample[k] = still + self._more(k, rows, still)
        return found

    def _more(self, k: int, rows: Any, watched: list[Watched]) -> list[Watched]:
        """Return further open waits, some of all that there are."""
        if len(watched) >= SAMPLE:
            return []
        node, lane = self.lane.graph.nodes[k], self.lane
        assert isinstance(node, Call)
        others = np.setdiff1d(rows, [one.wait.row for one in watched])
        number = min(SAMPLE - len(watched), len(others))
        chosen = others[np.linspace(0, len(others) - 1, number).astype(int)]
        waits = [lane.waits.records.get(lane.serial_number(node, int(row))) for row in chosen]
        return [Watched(lane, wait) for wait in waits if wait and wait.state is State.ARMED]


class Watched:
    """A wait whose checks are drawn."""

    def __init__(self, lane: LiveSimulation, wait: Wait) -> None:
        self.wait = wait
        self._lane = lane
        self._step = WaitContext(lane, wait, EventKind.CHECK_DUE)
        self._made = self._step.checks = 0
        self._made = self._count()

    def checked(self) -> bool:
        """Return whether there was a check since the last call."""
        before, self._made = self._made, self._count()
        return self._made > before

    def _count(self) -> int:
        schedule = schedule_of(self._lane.strategy)
        if self._lane.skipped is None or schedule is None or self.wait.state is not State.ARMED:
            return self.wait.checks
        # Checks free of charge are not played: they are counted by their schedule, from the last on
        schedule.skip(self._step, math.nextafter(self._lane.now, math.inf))
        return self._step.checks


class View(SessionWidget):
    """The process with its instances in it, once for each strategy, on the same random numbers.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.

    Examples
    --------
    >>> session = sim.live(scenario, against=sim.Polling("15min"))  # doctest: +SKIP
    >>> session.view()                                              # doctest: +SKIP
    """

    _esm = pieces("elements.js", "clock.js", "diagram.js", "view.js")

    plan = traitlets.Dict().tag(sync=True)
    """The places of the process and the lines between them."""
    process = traitlets.Unicode().tag(sync=True)
    """The name of the process."""

    def __init__(self, session: Session) -> None:
        self._places = DiagramLayout.of(session.scenario.process)
        self._outside = Outside(session, self._places)
        super().__init__(session)
        self.plan = self._places.as_json()
        self.process = session.scenario.process.name

    def refresh(self) -> None:
        """Send a picture of this moment."""
        super().refresh()
        message, buffers = self.picture()
        self.send(message, buffers)

    def picture(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return how every lane stands: figures, and the places of its instances as bytes.

        Checks and callbacks are those since the picture before.
        """
        with self._live.store.lock:  # one moment for all of it
            now, lanes = self._live.now, self.lanes()
            pictures = [
                lane.as_json() | self._outside.picture(self._live.lane(lane.label), lane)
                for lane in lanes
            ]
        message = {"now": now, "lanes": pictures}
        return message, [lane.places.astype("<u2").tobytes() for lane in lanes]

    def lanes(self) -> list[Snapshot]:
        """Return how every lane stands at this moment."""
        session = self._live
        with session.store.lock:
            return [
                evolve(standing_of(session.lane(label), self._places), label=label)
                for label in session.strategies
            ]
