"""The outside of a lane for the view: its systems, and what passes between them and the server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from attrs import define, field

from asyncsim.engine.clock import Kind
from asyncsim.engine.graph import Call
from asyncsim.engine.handles import StepHandle, SystemDesk
from asyncsim.engine.waits import State, Wait
from asyncsim.live.lane import Lane
from asyncsim.live.session import Session
from asyncsim.model.calendar import Days, Hours
from asyncsim.model.systems import ExternalSystem, Night, NightlyBatch, People
from asyncsim.model.waiting import Strategy
from asyncsim.widgets.places import Places
from asyncsim.widgets.standing import Standing

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

    def __init__(self, session: Session, plan: Places) -> None:
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

    def picture(self, lane: Lane, standing: Standing) -> dict[str, Any]:
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

    def _open_rows(self, k: int, standing: Standing) -> Any:
        place = self._plan.places[k]
        assert place is not None
        return np.flatnonzero(standing.places[place.way] == k)

    def _system(self, name: str, lane: Lane, standing: Standing) -> dict[str, Any]:
        """Return how many items a system has, how many of them are worked on, and words."""
        rooms = [k for k, system in self._rooms.items() if system == name]
        unnoticed = sum(lane.unnoticed[k] for k in rooms)
        desks = lane.desks(name)
        if desks:
            taken = [min(max(desk.taken, 0), _servers(desk.system)) for desk in desks]
            working = int(sum(taken))
            waiting = sum(len(desk.tray) + max(desk.taken, 0) for desk in desks) - working
            words = [
                text
                for words, desk in zip(self._clocks[name], desks, strict=True)
                if (text := words(desk, lane.now))
            ]
        else:
            there = sum(standing.counts[k] - standing.calling[k] for k in rooms)
            working, waiting, words = there - unnoticed, 0, ["finished from outside"]
        batches = [desk for desk in desks if isinstance(desk.system, NightlyBatch)]
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
    servers = getattr(system, "team", getattr(system, "lanes", None))
    return servers if isinstance(servers, int) else math.inf


def _words_of(link: ExternalSystem, session: Session) -> Callable[[SystemDesk, float], str]:
    """Return what says what a system does by the clock."""
    calendar = session.scenario.calendar
    if isinstance(link, NightlyBatch):
        nights = Nights(lambda: link.nights(calendar))

        def batch(desk: SystemDesk, now: float) -> str:
            start = nights.next_start(now)
            when = "" if start is None else f"{session.timestamp(start):{SHORT_DAY}}"
            if desk.taken > 0:
                return f"the batch runs{when and f', the next one starts {when}'}"
            return f"next batch starts {when}" if when else "no further batch"

        return batch
    if isinstance(link, People):
        office = Hours(link.between, Days(link.days, link.holidays)).opened(calendar)

        def people(_: SystemDesk, now: float) -> str:
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

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._deliveries = len(lane.deliveries)
        self._asks = type(lane.strategy).wait is not Strategy.wait
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

    def __init__(self, lane: Lane, wait: Wait) -> None:
        self.wait = wait
        self._lane = lane
        self._step = StepHandle(lane, wait, Kind.CHECK_DUE)
        self._made = self._step.checks = 0
        self._made = self._count()

    def checked(self) -> bool:
        """Return whether there was a check since the last call."""
        before, self._made = self._made, self._count()
        return self._made > before

    def _count(self) -> int:
        schedule = self._lane.strategy.schedule
        if self._lane.skipped is None or schedule is None or self.wait.state is not State.ARMED:
            return self.wait.checks
        # Checks free of charge are not played: they are counted by their schedule, from the last on
        schedule.skip_checks(self._step, math.nextafter(self._lane.now, math.inf))
        return self._step.checks
