"""The view of a live session: instances move through the process, under each strategy.

`View` is the widget. `Snapshot` holds where the instances of one simulation are, as arrays that a
page draws at once; `Movements` counts its checks and callbacks; `DiagramLayout` places the nodes of
the process: columns to the right, branches below each other.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import traitlets
from attrs import asdict, define, field
from numpy.typing import NDArray

from asyncsim.engine.contexts import ExternalSystemContext, WaitContext
from asyncsim.engine.environment import EventKind
from asyncsim.engine.graph import (
    DONE,
    Await,
    Call,
    Choose,
    Fork,
    Graph,
    Join,
    Pause,
    RaceEnd,
    RaceStart,
    Work,
)
from asyncsim.engine.result import Outcome
from asyncsim.engine.waits import State, Wait
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.session import Session
from asyncsim.model.loops import ForEach, Race, Repeat, Retry
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Process
from asyncsim.model.specifications import Batch, Night, Service, Staff
from asyncsim.model.strategies import schedule_of
from asyncsim.model.systems import ExternalSystem, single_link
from asyncsim.widgets.base import SessionWidget, read_assets


class View(SessionWidget):
    """The process with its instances, once for each strategy, on the same random numbers."""

    _esm = read_assets("elements.js", "clock.js", "diagram.js", "view.js")

    plan = traitlets.Dict().tag(sync=True)
    """The layout: places of the process, and the lines between them."""
    process = traitlets.Unicode().tag(sync=True)  # the name of the process

    def __init__(self, session: Session) -> None:
        self._layout = DiagramLayout.of(session.scenario.process)
        self._systems_of = {
            k: place.system
            for k, place in enumerate(self._layout.places)
            if place and place.kind == "async step"
        }
        self._activities = {
            name: [_activity_of(link, session) for link in system.links]
            for name, system in session.scenario.systems.items()
        }
        self._movements: dict[str, Movements] = {}
        super().__init__(session)
        self.plan = self._layout.as_json()
        self.process = session.scenario.process.name

    def refresh(self) -> None:
        """Send a picture of this moment."""
        super().refresh()
        message, buffers = self.picture()
        self.send(message, buffers)

    def picture(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the state of every simulation, and the places of its instances as bytes."""
        session = self.session
        with session.store.lock:  # all of it at the same moment
            snapshots = self.snapshots()
            simulations = [
                one.as_json() | self._outside(session.lane(one.label), one) for one in snapshots
            ]
            message = {"now": session.now, "simulations": simulations}
        return message, [one.places.astype("<u2").tobytes() for one in snapshots]

    def snapshots(self) -> list[Snapshot]:
        """Return the state of the simulation under each strategy."""
        session = self.session
        with session.store.lock:
            return [
                snapshot_of(session.lane(label), label, self._layout)
                for label in session.strategies
            ]

    def _outside(self, simulation: LiveSimulation, snapshot: Snapshot) -> dict[str, Any]:
        """Return systems by name, and the new checks and callbacks by place."""
        movements = self._movements.get(snapshot.label)
        if not movements or movements.simulation is not simulation:  # at first, or after a reset
            movements = self._movements[snapshot.label] = Movements(simulation, self._layout.first)
        open_rows = {
            k: np.flatnonzero(snapshot.places[place.track] == k)
            for k, place in enumerate(self._layout.places)
            if place and k in self._systems_of
        }
        return {
            "outside": {
                name: self._system(name, simulation, snapshot)
                for name in dict.fromkeys(self._systems_of.values())
            },
            "checks": [] if self.session.store.closed else movements.checks(open_rows),
            "callbacks": movements.callbacks(),
        }

    def _system(self, name: str, simulation: LiveSimulation, snapshot: Snapshot) -> dict[str, Any]:
        """Return how many items of a system wait and are being processed, and its text."""
        steps = [k for k, system in self._systems_of.items() if system == name]
        first = self._layout.first
        unnoticed = sum(n for k, n in simulation.unnoticed.items() if first[k] in steps)
        desks = simulation.desks(name)
        if desks:
            taken = [max(desk.taken, 0) for desk in desks]
            servers = [_servers(desk.system) for desk in desks]
            working = int(sum(map(min, taken, servers)))
            waiting = sum(len(desk.queue) for desk in desks) + sum(taken) - working
            pairs = zip(self._activities[name], desks, strict=True)
            words = [activity(desk, simulation.now) for activity, desk in pairs]
        else:
            there = sum(snapshot.counts[k] - snapshot.calling[k] for k in steps)
            working, waiting, words = there - unnoticed, 0, ["finished from outside"]
        batches = [desk for desk in desks if isinstance(single_link(desk.system), Batch)]
        return {
            "waiting": waiting,
            "working": working,
            "runs": any(desk.taken > 0 for desk in batches),
            "lines": [
                " · ".join(filter(None, words)),
                f"{working:,} in progress, {waiting:,} in the queue",
                f"{unnoticed:,} complete, not noticed yet" if unnoticed else "",
            ],
        }


NOWHERE = 0xFFFF  # in place of a place: no token on this track
CALLING = 0x8000  # added to the place of an asynchronous step that is still making its call


@define
class Snapshot:
    """Where the instances of one simulation are, and the load of its server."""

    label: str
    places: NDArray[np.uint16]
    """By track and instance: index of the place, with `CALLING` added, or `NOWHERE`."""
    counts: list[int]  # of instances at each place
    calling: list[int]  # how many of them are `CALLING`
    waiting: int  # open waits
    workers: int
    busy: int
    queue: int

    def as_json(self) -> dict[str, Any]:
        """Return everything but the places, which are sent as bytes."""
        return asdict(self, filter=lambda attribute, _: attribute.name != "places")


def snapshot_of(simulation: LiveSimulation, label: str, layout: DiagramLayout) -> Snapshot:
    """Return the present state of a simulation; the caller holds the lock of the store."""
    places = places_of(simulation, layout)
    size = len(layout.places)
    there = places[places != NOWHERE]
    calling = there[there >= CALLING] - CALLING
    busy, queue = simulation.workers.load_now(simulation.now)
    return Snapshot(
        label=label,
        places=places,
        counts=np.bincount(there % CALLING, minlength=size).tolist(),
        calling=np.bincount(calling, minlength=size).tolist(),
        waiting=simulation.waits.open_count,
        workers=simulation.scenario.server.workers,
        busy=busy,
        queue=queue,
    )


def places_of(simulation: LiveSimulation, layout: DiagramLayout) -> NDArray[np.uint16]:
    """Return the place of every instance that has arrived, by track."""
    n = simulation.arrived
    places = np.full((layout.tracks, n), NOWHERE, dtype=np.uint16)
    since = np.full((layout.tracks, n), -np.inf)
    last, last_since = np.full(n, NOWHERE, dtype=np.uint16), np.full(n, -np.inf)
    for node in reversed(simulation.graph.nodes):  # nodes are numbered from the last one on
        at = layout.first[node.index]
        place = layout.places[at]
        if place is None or not isinstance(node, (Work, Call, Pause)):
            continue
        columns = simulation.columns[node.index]
        queued = np.array(columns.queued[:n])
        ended = np.array(columns.ended[:n])
        came = queued >= last_since  # false for NaN: not been here
        last[came], last_since[came] = at, queued[came]
        # An instance that returned here has ended here before
        here = (queued >= since[place.track]) & ~(ended >= queued)
        places[place.track, here], since[place.track, here] = at, queued[here]
        if isinstance(node, Call):
            work = np.array(simulation.numbers.work[node.index][:n])
            at_work = here & (np.array(columns.started[:n]) + work > simulation.now)
            places[place.track, at_work] += CALLING
    ended = np.array(simulation.ended[:n])
    running = np.isnan(ended)
    lost = running & (places == NOWHERE).all(axis=0)
    places[0, lost] = last[lost]  # in transit, or waiting again under a new number
    places[:, ~running] = NOWHERE
    places[0, ~running] = layout.done
    outcomes = np.fromiter(simulation.outcomes[:n], dtype=np.int8, count=n)
    places[0, outcomes > Outcome.DONE] = layout.failed
    return places


KINDS = {Work: "step", Call: "async step", Choose: "choice", Fork: "fork", Join: "join"}
KINDS |= {Pause: "step", RaceStart: "fork", RaceEnd: "join"}
WIDTHS = {"async step": 2.0, "step": 1.2, "end": 1.4}  # of a column, by its widest element
NARROW = 0.5  # of a column of gateways alone


@define
class Place:
    """Where instances can be: a node, or an end."""

    kind: str
    name: str
    column: int
    row: int
    track: int  # parallel branches have their own: an instance has one token on each of its tracks
    system: str = ""


@define
class DiagramLayout:
    """Layout of a process: places by index of their node, followed by the two ends."""

    places: list[Place | None]  # None for a node without a place of its own
    lines: list[tuple[int, int]]  # pairs of places that are connected
    rows: int
    tracks: int
    done: int
    failed: int
    first: list[int]  # by index of a node: the first copy of its step, which has the place

    @classmethod
    def of(cls, process: Process) -> DiagramLayout:
        """Lay out a process."""
        graph = Graph.of(process)
        builder = _LayoutBuilder(graph)
        columns, rows, tracks = builder.sequence(process.steps, 0, 0, 0)
        n = len(graph.nodes)
        ends = [Place("end", name, columns, 0, 0) for name in ("done", "failed")]
        places = [*map(builder.found.get, range(n)), *ends]
        first = builder.first
        lines = {(first[a], first[b]) for a, b in _lines(graph)}
        shown = sorted((a, b) for a, b in lines if a != b and places[a] and places[b])
        return cls(places, shown, rows, tracks, n, n + 1, first)

    def as_json(self) -> dict[str, Any]:
        """Return the layout as the page draws it."""
        places = [place for place in self.places if place]
        widths = [NARROW] * (max(place.column for place in places) + 1)
        for place in places:
            widths[place.column] = max(widths[place.column], WIDTHS.get(place.kind, NARROW))
        shown = [
            place and [place.kind, place.name, place.system, place.column, place.row]
            for place in self.places
        ]
        sizes = {"rows": self.rows, "tracks": self.tracks}
        return {"places": shown, "lines": self.lines, "widths": widths} | sizes


class _LayoutBuilder:
    """Visits the elements of a process in order, and places the node of each."""

    def __init__(self, graph: Graph) -> None:
        self.found: dict[int, Place] = {}
        self._keys = [(KINDS.get(type(node)), node.name) for node in graph.nodes]
        firsts = [k for k, node in enumerate(graph.nodes) if node.stream == node.name]
        self._index = {self._keys[k]: k for k in firsts}

    @property
    def first(self) -> list[int]:
        """Of each node, and the two ends, the one that has the place."""
        n = len(self._keys)
        return [self._index.get(key, k) for k, key in enumerate(self._keys)] + [n, n + 1]

    def sequence(
        self, elements: Sequence[Element], column: int, row: int, track: int
    ) -> tuple[int, int, int]:
        """Place elements; return the next free column, and the numbers of rows and tracks."""
        rows = tracks = 1
        for element in elements:
            column, high, wide = self._element(element, column, row, track)
            rows, tracks = max(rows, high), max(tracks, wide)
        return column, rows, tracks

    def _element(self, element: Element, column: int, row: int, track: int) -> tuple[int, int, int]:
        if isinstance(element, AsyncStep):
            self._put("async step", element, column, row, track)
            paths = (element.on_accepted, element.on_done, element.on_rejected, element.on_timeout)
            below = [path for path in paths if path and not isinstance(path, str)]
            end, rows, tracks = self._branches(below, column, row + 1, track)
            return max(end, column + 1), 1 + rows, tracks
        if isinstance(element, Choice):
            self._put("choice", element, column, row, track)
            heads = [branch.steps for branch in element.branches]
            return self._branches(heads, column + 1, row, track)
        if isinstance(element, Retry):
            self._index["step", element.name] = self._index["async step", element.step.name]
            return self._element(element.step, column, row, track)
        if isinstance(element, Repeat):
            end, rows, tracks = self.sequence(element.steps, column, row, track)
            if ("choice", element.name) in self._index:
                self._put("choice", element, end, row, track)
            return end + 1, rows, tracks
        if isinstance(element, ForEach):
            self._put("fork", element, column, row, track)
            self._index["choice", element.name] = self._index["fork", element.name]
            end, rows, tracks = self.sequence(element.steps, column + 1, row, track)
            self._put("join", element, end, row, track)
            return end + 1, rows, tracks
        if isinstance(element, Parallel | Race):
            self._put("fork", element, column, row, track)
            heads = list(element.branches)
            end, rows, tracks = self._branches(heads, column + 1, row, track, parallel=True)
            self._put("join", element, end, row, track)
            return end + 1, rows, tracks
        self._put("step", element, column, row, track)
        return column + 1, 1, 1

    def _branches(
        self,
        branches: Sequence[Sequence[Element]],
        column: int,
        row: int,
        track: int,
        *,
        parallel: bool = False,
    ) -> tuple[int, int, int]:
        """Place branches below each other; parallel ones have tracks of their own."""
        end, rows, tracks = column, 0, 0 if parallel else 1
        for branch in branches:
            start = track + tracks if parallel else track
            last, high, wide = self.sequence(branch, column, row + rows, start)
            end, rows = max(end, last), rows + high
            tracks = tracks + wide if parallel else max(tracks, wide)
        return end, rows, tracks

    def _put(self, kind: str, element: Element, column: int, row: int, track: int) -> None:
        place = Place(kind, element.name, column, row, track, getattr(element, "system", ""))
        self.found[self._index[kind, element.name]] = place


def _lines(graph: Graph) -> list[tuple[int, int]]:
    """Return the connected places; paths to failure are omitted for clarity."""
    lines: set[tuple[int, int]] = set()
    awaits = {node.index: node.call for node in graph.nodes if isinstance(node, Await)}
    for node in graph.nodes:
        ends = [node.next]
        if isinstance(node, Call):
            ends += [node.on_accepted, node.on_done, node.on_rejected, node.on_timeout]
        elif isinstance(node, (Choose, Fork)):
            ends = node.heads
        elif isinstance(node, Await):
            continue
        lines |= {(node.index, end) for end in ends if end >= DONE}
    done = {DONE: len(graph.nodes)}
    return sorted((a, (done | awaits).get(b, b)) for a, b in lines)


SAMPLE = 12  # most waits of a step whose checks are drawn, and most of its callbacks that are
MOST_DELIVERIES = 1000  # counted for one picture
SHORT_DAY = "%a %d %b %H:%M"


def _servers(system: ExternalSystem) -> float:
    """Return how many items a system works on at the same time."""
    match single_link(system):
        case Staff(team=servers) | Batch(lanes=servers) | Service(lanes=int(servers)):
            return servers
    return math.inf


def _activity_of(
    link: ExternalSystem, session: Session
) -> Callable[[ExternalSystemContext, float], str]:
    """Return a function that describes what a system does at a time of day."""
    calendar, found = session.scenario.calendar, single_link(link)
    if isinstance(found, Batch):
        starts = NightStarts(found.nights(calendar))

        def batch(desk: ExternalSystemContext, now: float) -> str:
            start = starts.after(now)
            when = "" if start is None else f"{session.timestamp(start):{SHORT_DAY}}"
            if desk.taken > 0:
                return f"batch running{when and f', next one starts {when}'}"
            return f"next batch starts {when}" if when else "no further batch"

        return batch
    if isinstance(found, Staff):
        office = found.hours(calendar)

        def people(_: ExternalSystemContext, now: float) -> str:
            at_work = office.open_seconds(now + 1.0) > office.open_seconds(now)
            return "people at work" if at_work else "outside working hours"

        return people
    return lambda *_: ""


@define
class NightStarts:
    """The starts of a batch, listed as far as needed."""

    _nights: Iterator[Night]
    _starts: list[float] = field(init=False, factory=list)

    def after(self, now: float) -> float | None:
        """Return the first start after an instant, or None if there is none."""
        while not self._starts or self._starts[-1] <= now:
            night = next(self._nights, None)
            if night is None:
                return None
            self._starts.append(night.start)
        return self._starts[bisect_right(self._starts, now)]


class Movements:
    """Counts what moves in a simulation from now on: deliveries, and checks of a few waits."""

    def __init__(self, simulation: LiveSimulation, first: Sequence[int]) -> None:
        self.simulation, self._first = simulation, first
        self._deliveries = len(simulation.deliveries)
        self._sample: dict[int, list[WatchedWait]] = {}

    def callbacks(self) -> list[list[int]]:
        """Return place, arrived and lost callbacks since the previous call."""
        arrived, lost = Counter[int](), Counter[int]()
        total = len(self.simulation.deliveries)
        for one in self.simulation.deliveries.since(max(self._deliveries, total - MOST_DELIVERIES)):
            if one.attempt >= 0:  # a dead letter was never sent
                (lost if math.isnan(one.arrived) else arrived)[self._first[one.node]] += 1
        self._deliveries = total
        places = sorted(arrived.keys() | lost.keys())
        return [[k, min(arrived[k], SAMPLE), min(lost[k], SAMPLE)] for k in places]

    def checks(self, open_rows: dict[int, Any]) -> list[list[int]]:
        """Return place, and number of sampled waits checked since the previous call."""
        if not self.simulation.strategy.polls:
            return []
        found = []
        for k, rows in open_rows.items():
            sample = self._sample.setdefault(k, [])
            checked = sum(watched.checked() for watched in sample)
            if checked:
                found.append([k, checked])
            still_open = [one for one in sample if one.wait.state is State.ARMED]
            self._sample[k] = still_open + self._more(k, rows, still_open)
        return found

    def _more(self, k: int, rows: Any, watched: list[WatchedWait]) -> list[WatchedWait]:
        """Return further open waits, spread evenly over all of them."""
        if len(watched) >= SAMPLE:
            return []
        node, simulation = self.simulation.graph.nodes[k], self.simulation
        assert isinstance(node, Call)
        others = np.setdiff1d(rows, [one.wait.row for one in watched])
        number = min(SAMPLE - len(watched), len(others))
        chosen = others[np.linspace(0, len(others) - 1, number).astype(int)].tolist()
        numbers = [simulation.serial_number(node, row) for row in chosen]
        waits = map(simulation.waits.records.get, numbers)
        return [WatchedWait(simulation, one) for one in waits if one and one.state is State.ARMED]


class WatchedWait:
    """A wait whose checks are drawn."""

    def __init__(self, simulation: LiveSimulation, wait: Wait) -> None:
        self.wait = wait
        self._simulation = simulation
        self._step = WaitContext(simulation, wait, EventKind.CHECK_DUE)
        self._made = self._step.checks = 0
        self._made = self._count()

    def checked(self) -> bool:
        """Return whether there was a check since the previous call."""
        before, self._made = self._made, self._count()
        return self._made > before

    def _count(self) -> int:
        simulation, call = self._simulation, self.wait.step
        schedule = schedule_of(simulation.strategies[call])
        open_wait = self.wait.state is State.ARMED
        if not simulation.skips(self.wait) or schedule is None or not open_wait:
            return self.wait.checks
        # Checks without worker time are not simulated: count them from the schedule
        schedule.skip(self._step, math.nextafter(simulation.now, math.inf))
        return self._step.checks
