"""Strategies side by side in a live session, on the same random numbers and the same clock.

The *main* lane is what people see and finish; the *twins* show what the same instances would have
gone through under other strategies. Between two calls every lane has played everything up to and
including `now`; so an input needs no more than its instant to be played again in its place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asyncsim.engine.waits import Answer, Waits
from asyncsim.live.journal import WITHOUT_ANSWER, Input
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.records import StoredWaits
from asyncsim.live.responses import Replayed, Responses, StoredFields
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store
from asyncsim.model.random_streams import Draws, draw_for

BLOCK = 256
"""Random numbers for instances started by hand are drawn for so many at a time."""


class StrategyTwins:
    """All lanes of a session, one by each strategy: the main one and its twins.

    Parameters
    ----------
    setup
        What is played; the first strategy is the main lane's.
    store
        Where the main lane's records, and the answers of users' functions, are kept.
    replayed
        What users' functions have answered to calls that are played again, by serial number.
    """

    def __init__(self, setup: Setup, store: Store, replayed: Replayed | None = None) -> None:
        self.now = 0.0
        self._scenario = scenario = setup.scenario
        self._draws = draws = scenario.draw(setup.seed)
        self._started = 0
        self._spares: Draws | None = None
        first, *others = setup.strategies
        stored = StoredWaits(scenario, store)
        self.records = stored.records
        self.responses = Responses(setup.handlers, store, replayed)
        common: dict[str, Any] = {
            "responses": self.responses,
            "held": setup.held,
        }
        self.main = LiveSimulation(
            scenario,
            first,
            draws,
            waits=stored,
            fields=StoredFields(store),
            heartbeats=setup.heartbeats,
            store=store,
            **common,
        )
        self.twins = [
            LiveSimulation(
                scenario, other, draws, waits=Waits(scenario.server.policy), fields={}, **common
            )
            for other in others
        ]

    @property
    def all(self) -> list[LiveSimulation]:
        """The main lane and its twins."""
        return [self.main, *self.twins]

    # --- time -------------------------------------------------------------------------------------

    def advance(self, target: float, budget: float = math.inf) -> bool:
        """Play up to an instant and at it; false if `budget` seconds of real time were too few."""
        stop = time.perf_counter() + budget
        lanes = self.all
        while (instant := min(lane.next_instant for lane in lanes)) <= target:
            for lane in lanes:
                lane.play_through(instant)
            self.now = instant
            if time.perf_counter() > stop:
                return False
        self.now = target
        for lane in lanes:
            lane.clock.move_to(target)
        return True

    def _settle(self) -> None:
        """Play what follows at this very instant from an input."""
        for lane in self.all:
            lane.play_through(self.now)
            lane.clock.move_to(self.now)

    # --- inputs -----------------------------------------------------------------------------------

    def play(self, given: Input) -> tuple[str, bool]:
        """Play an input now; return the answer, and whether anything has changed by it.

        The answer is a name of `Answer`, the number of an instance that was started, the new serial
        number of a step that was retried, or "done".
        """
        number, data = given.serial_number or "", given.data or {}
        for lane in self.all:
            lane.clock.move_to(self.now)
        answer, effective = WITHOUT_ANSWER, True
        if given.kind == "start":
            answer = self._start(data)
        elif given.kind == "finish":
            found, effective = self.main.finish_from_outside(number, given.data)
            answer = found.name
            if found not in (Answer.UNKNOWN, Answer.IGNORED_UNKNOWN):
                effective |= self._complete_in(self.twins, number, given.data)
        elif given.kind == "complete":
            self._complete_in(self.all, number, given.data)
        elif given.kind == "heartbeat":
            effective = self.main.heartbeat(number)
        elif given.kind == "retry":
            answer = self._retry(number, data.get("call", True))
            effective = bool(answer)
        self._settle()
        return answer, effective

    def _complete_in(
        self, lanes: Sequence[LiveSimulation], number: str, data: Mapping[str, Any] | None
    ) -> bool:
        changed = [lane.complete_from_outside(number, data) for lane in lanes]
        return any(changed)

    def _retry(self, number: str, call: bool) -> str:
        """Enter a step once more in every lane; return its new number, or nothing if it is late."""
        wait = self.main.waits.records[number]
        if self.main.why_not_again(wait):
            return ""
        place, activation = (wait.step, wait.row), self.main.next_activation(wait.row)
        for lane in self.all:
            lane.retry(place, number, call, activation)
        return f"{wait.row + 1}_{activation}"

    def _start(self, fields: Mapping[str, Any]) -> str:
        """Start an instance in every lane; return its number."""
        row = self.main.arrived
        k = self._started % BLOCK
        if k == 0 or self._spares is None:
            # A seed of their own, so that these numbers are not those of the instances drawn ahead
            keys = self._draws.key(f"started by hand/{self._started // BLOCK}"), 0
            self._spares = draw_for(self._scenario, *keys, np.zeros(BLOCK))
        self._started += 1
        self._draws = with_one_more(self._draws, row, self.now, self._spares, k)
        for lane in self.all:
            lane.start_instance(self._draws, fields)
        return str(row + 1)


def with_one_more(draws: Draws, row: int, instant: float, spares: Draws, k: int) -> Draws:
    """Return draws with an instance put in at a row, with the numbers of the k-th spare one."""

    def grown(mine: Mapping[str, Any], spare: Mapping[str, Any]) -> dict[str, Any]:
        return {name: np.insert(mine[name], row, spare[name][k], axis=0) for name in mine}

    return Draws(
        np.insert(draws.arrivals, row, instant),
        work=grown(draws.work, spares.work),
        external=grown(draws.external, spares.external),
        choices=grown(draws.choices, spares.choices),
        responses=grown(draws.responses, spares.responses),
        seed=draws.seed,
        replication=draws.replication,
    )
