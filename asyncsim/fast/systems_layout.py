"""The external systems of a scenario as arrays: desks, nights, working hours, times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field

from asyncsim.engine.graph import Call
from asyncsim.fast import state as at
from asyncsim.model.random_streams import Draws, counter_based_uniform
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Link,
    Service,
    Staff,
)
from asyncsim.model.systems import links_of

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
