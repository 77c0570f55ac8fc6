"""The clock of a live session in a person's hands: play, pause, speed up, step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from asyncsim.errors import ScenarioError
from asyncsim.live.durable import DurableSides, Heard
from asyncsim.live.moments import LAST_INSTANT, instant_of, next_batch
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store
from asyncsim.live.ticking import Ticking
from asyncsim.model.described import argument, refuse
from asyncsim.model.files import told_apart
from asyncsim.model.quantities import DAY, DurationLike, Refused, duration, number
from asyncsim.model.scenario import Scenario

AT_ONCE = 0.25
"""Real seconds after which a long run makes what it has done durable and lets others in."""
logger = logging.getLogger("asyncsim")
BEFORE_BATCH = 1.0
FASTEST = 1e6
"""Simulated seconds per real second: a year in half a minute."""


class Controls:
    """Moves a session's time on, and tells those who watch; see `asyncsim.live.session.Session`."""

    def __init__(self, setup: Setup, store: Store, speed: float, heard: Heard) -> None:
        self.setup = setup
        self.store = store
        self._listeners: list[Callable[[], None]] = []
        self._sides = DurableSides(setup, store, heard)
        self._ticking = Ticking(self._tick, lambda: self._sides.now, speed)

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self.setup.scenario

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, the main one first."""
        return list(told_apart(self.setup.strategies))

    @property
    def now(self) -> float:
        """The present instant, in seconds from the scenario's start."""
        return self._sides.now

    @property
    def at(self) -> pd.Timestamp:
        """The present moment as the scenario's clock shows it."""
        return self.timestamp(self.now)

    def timestamp(self, instant: float) -> pd.Timestamp:
        """Return an instant, in seconds, as the scenario's clock shows it."""
        moment: pd.Timestamp = self.scenario.calendar.timestamps(np.array([instant]))[0]
        return moment

    @property
    def playing(self) -> bool:
        """Whether the clock is running."""
        return self._ticking.on

    @property
    def speed(self) -> float:
        """Simulated seconds per real second, a million at most; may be set at any time."""
        return self._ticking.speed

    @speed.setter
    def speed(self, value: float) -> None:
        with self.store.lock:
            self._ticking.speed = positive_speed(value)

    def play(self) -> None:
        """Let the clock run, without blocking the event loop (a notebook's kernel).

        It stops, and logs that, at the last moment of a session: 40 years after the start.

        Raises
        ------
        EngineError
            If no event loop is running here, as in a plain script.
        """
        self._ticking.start()
        self._tell_listeners()

    def pause(self) -> None:
        """Let the clock stand still."""
        self._ticking.stop()
        self._tell_listeners()

    def step(self) -> bool:
        """Play the next instant at which anything happens; false if nothing will.

        After the last moment of a session, 40 years after the start, nothing does.
        """
        instant = self._sides.main.next_instant
        if instant > LAST_INSTANT:
            return False
        self._run_to(instant)
        return True

    def run_until(self, until: DurationLike | datetime) -> None:
        """Play up to a moment: a clock time (the next one), a date and time, or a duration."""
        instant = instant_of(until, self.scenario, self.now)
        if instant < self.now:
            raise refuse("until", f"must not be past (it is {self.at:%Y-%m-%d %H:%M:%S})", until)
        self._run_to(self._within("until", until, instant))

    def run_for(self, length: DurationLike) -> None:
        """Play for so long."""
        self._run_to(self._within("length", length, self.now + lasting("length", length)))

    def run_to_next_batch(self) -> pd.Timestamp:
        """Play up to a second before the next nightly batch begins; return that moment.

        Raises
        ------
        ScenarioError
            If no system of the scenario is a nightly batch.
        """
        found = next_batch(self.scenario, self.now + BEFORE_BATCH)
        if found is None:
            raise ScenarioError("run_to_next_batch() needs a NightlyBatch among the systems")
        self._run_to(min(found[0] - BEFORE_BATCH, LAST_INSTANT))
        return self.at

    def run_to_end(self, at_most: DurationLike = "30 days") -> None:
        """Play until nothing happens any more by itself, or for so long: polling has no end."""
        end = min(self.now + lasting("at_most", at_most), LAST_INSTANT)
        while self._sides.main.next_instant <= end and self.now < end:
            self._run_to(min(self._sides.main.next_instant + 60.0, end))

    def _within(self, name: str, value: object, instant: float) -> float:
        if instant > LAST_INSTANT:
            day = self.scenario.calendar.day(int(LAST_INSTANT // DAY))
            raise refuse(name, f"must not lead beyond {day}, where the calendar ends", value)
        return instant

    def _run_to(self, instant: float) -> None:
        while not self._advance(instant, AT_ONCE):
            pass
        self._sides.commit()
        self._ticking.speed = self.speed  # the clock goes on from here

    def _tick(self, target: float, budget: float) -> bool:
        """Play on by the clock, unless it was stopped after the target was computed."""
        with self.store.lock:
            return not self.playing or self._advance(target, budget)

    def _advance(self, target: float, budget: float) -> bool:
        done = self._sides.advance(min(target, LAST_INSTANT), budget)
        if self.playing and self.now >= LAST_INSTANT:
            logger.warning("the clock has stopped at %s: the calendar ends here", self.at)
            self._ticking.stop()
        self._tell_listeners()
        return done

    # --- being watched ----------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function whenever something has changed; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell_listeners(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:  # what was done is done, whatever those who watch make of it
                logger.exception("a listener of the session has failed")


def lasting(name: str, value: DurationLike) -> float:
    """Return a duration in seconds, checked."""
    return argument(name, value, duration)


def positive_speed(value: Any) -> float:
    """Return simulated seconds per real second, checked."""
    try:
        speed = number(value)
    except Refused:
        speed = math.nan
    if not 0 < speed <= FASTEST:
        right = f"must be simulated seconds per real second, above 0 and {FASTEST:,.0f} at most"
        raise refuse("speed", right, value)
    return speed
