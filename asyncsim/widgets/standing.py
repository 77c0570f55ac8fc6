"""Where every instance of a lane stands at this moment, as arrays a page can draw at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from asyncsim.engine.graph import Call, Work
from asyncsim.engine.record import Outcome
from asyncsim.live.lane import Lane
from asyncsim.widgets.places import Places

NOWHERE = 0xFFFF
"""In place of a place: no token on this way."""
CALLING = 0x8000
"""Added to the place of an asynchronous step whose call is being made: it does not wait yet."""


@define
class Standing:
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


def standing_of(lane: Lane, plan: Places) -> Standing:
    """Return how a lane stands now; hold the store's lock, so that it stands still."""
    places = places_of(lane, plan)
    size = len(plan.places)
    there = places[places != NOWHERE]
    calling = there[there >= CALLING] - CALLING
    busy, queue = lane.workers.load_now(lane.now)
    return Standing(
        label=lane.strategy.label,
        places=places,
        counts=np.bincount(there % CALLING, minlength=size).tolist(),
        calling=np.bincount(calling, minlength=size).tolist(),
        waiting=lane.waits.open_count,
        workers=lane.scenario.server.workers,
        busy=busy,
        queue=queue,
    )


def places_of(lane: Lane, plan: Places) -> NDArray[np.uint16]:
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
