"""The clock of a live session in a person's hands: play, pause, speed up, step.

Moments a person names: a clock time, a date, the start of the next batch.

The clock of a live session: real time drives simulated time, in slices.

It is a task in the event loop that is running already, a notebook's for instance. Each slice takes
a few milliseconds at most, so the loop stays free for widgets and requests.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from asyncsim.errors import EngineError, ScenarioError, StoreError
from asyncsim.live.journaled_simulation import InputListener, JournaledSimulation
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store
from asyncsim.model.calendar import LAST_DAY, Days
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.specifications import Batch
from asyncsim.model.systems import links_of
from asyncsim.model.units import DAY, DurationLike, InvalidValue, clock_time, duration, number
from asyncsim.model.validation import argument, scenario_error

LAST_INSTANT = LAST_DAY * DAY
"""Where the calendar ends, and with it every session: some 40 years after the start."""
DATED = re.compile(r"\d{4}-\d\d-\d\d")


def instant_of(moment: DurationLike | datetime, scenario: Scenario, now: float) -> float:
    """Return the instant of a moment, in seconds from the scenario's start.

    Parameters
    ----------
    moment
        A clock time (``"22:00"``: the next one), a date and time (``"2026-01-06 07:00"``), or, as
        everywhere, a duration from the start: a number of seconds, ``"2 days"``, a timedelta.
    scenario
        Whose calendar is meant.
    now
        The present instant.
    """
    try:
        if isinstance(moment, str) and ":" in moment:
            if not DATED.match(moment.strip()):
                return _next(clock_time(moment.strip()), scenario, now)
            moment = pd.Timestamp(moment).to_pydatetime()
        if isinstance(moment, datetime):
            return _of_date(moment, scenario)
        return float(duration(moment))
    except (InvalidValue, ValueError, OverflowError):  # of dates before year 1, say
        raise scenario_error(
            "until",
            "must be a clock time such as '22:00', a moment such as '2026-01-06 07:00', or a "
            "duration from the scenario's start",
            moment,
        ) from None


def _of_date(moment: datetime, scenario: Scenario) -> float:
    if pd.isna(moment) or (moment.tzinfo is not None and scenario.zone is None):
        raise InvalidValue("")  # a zone that the scenario does not have cannot be gone by
    return float(scenario.calendar.seconds(moment))


def _next(clock: str, scenario: Scenario, now: float) -> float:
    times = scenario.calendar.times_of(clock, Days())
    found = next((moment.instant for moment in times if moment.instant > now), None)
    if found is None:
        raise InvalidValue("")  # the calendar has no more days
    return found


def next_batch(scenario: Scenario, now: float) -> tuple[float, str] | None:
    """Return when the next batch starts, and the name of its system; None if there is none."""
    starts = []
    for name, batch in batches(scenario):
        nights = batch.nights(scenario.calendar)
        start = next((night.start for night in nights if night.start > now), None)
        if start is not None:
            starts.append((start, name))
    return min(starts, default=None)


def batches(scenario: Scenario) -> list[tuple[str, Batch]]:
    """Return all batches, links of chains among them, with the names of their systems."""
    return [
        (name, link)
        for name, system in scenario.systems.items()
        for link in links_of(system)
        if isinstance(link, Batch)
    ]


logger = logging.getLogger("asyncsim")

PATIENCE = 0.5
"""Real seconds that somebody may wait until the session has come to the present instant."""
SLICE = 0.008
"""Longest time that is played without giving way to others, in seconds."""
PAUSE = 0.02
"""Time between two slices when nothing is behind, in seconds."""


class RealTimeClock:
    """Moves a session's time on while real time passes.

    Parameters
    ----------
    advance
        Plays up to an instant within a budget of real seconds; false if that was too little.
    now
        Tells the present instant.
    speed
        Simulated seconds per real second.
    """

    def __init__(
        self,
        advance: Callable[[float, float], bool],
        now: Callable[[], float],
        speed: float,
    ) -> None:
        self._advance = advance
        self._now = now
        self._speed = speed
        self._task: asyncio.Task[None] | None = None
        self._anchor()

    def _anchor(self) -> None:
        self._since = time.monotonic(), self._now()

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        self._speed = value
        self._anchor()

    @property
    def on(self) -> bool:
        """Whether the clock is running."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Let time pass, in the event loop that is running.

        Raises
        ------
        EngineError
            If no event loop is running here.
        """
        if self.on:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise EngineError(
                "play() needs a running event loop, as a notebook has one; in a script take "
                "run_until('22:00'), step(), or play() inside a coroutine"
            ) from None
        self._anchor()
        self._task = loop.create_task(self._run())

    def stop(self) -> None:
        """Let time stand still."""
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        self._task = None

    def catch_up(self, budget: float = PATIENCE) -> bool:
        """Play up to where real time has come; false if it is still behind.

        Whoever acts waits for that, or the answer would be that of an earlier instant.
        """
        real, simulated = self._since
        target = simulated + (time.monotonic() - real) * self._speed
        if self._advance(target, budget):
            return True
        self._anchor()  # what could not be played in time is not made up for by a leap
        return False

    async def _run(self) -> None:
        while self._task is asyncio.current_task():  # stopped and started again, it is another
            try:
                in_time = self.catch_up(SLICE)
            except StoreError as error:
                logger.error("the clock has stopped: %s; play() starts it again", error)
                self._task = None
                return
            except Exception:
                logger.exception("the clock has stopped; play() starts it again")
                self._task = None
                return
            await asyncio.sleep(PAUSE if in_time else 0)


AT_ONCE = 0.25
"""Real seconds after which a long run makes what it has done durable and lets others in."""
BEFORE_BATCH = 1.0
FASTEST = 1e6
"""Simulated seconds per real second: a year in half a minute."""


class Controls:
    """Moves a session's time on, and tells those who watch; see `asyncsim.live.session.Session`."""

    def __init__(self, setup: Setup, store: Store, speed: float, heard: InputListener) -> None:
        self.setup = setup
        self.store = store
        self._listeners: list[Callable[[], None]] = []
        self._sides = JournaledSimulation(setup, store, heard)
        self._ticking = RealTimeClock(self._tick, lambda: self._sides.now, speed)

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
            raise scenario_error(
                "until", f"must not be past (it is {self.at:%Y-%m-%d %H:%M:%S})", until
            )
        self._run_to(self._within("until", until, instant))

    def run_for(self, length: DurationLike) -> None:
        """Play for so long."""
        self._run_to(self._within("length", length, self.now + as_duration("length", length)))

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
        end = min(self.now + as_duration("at_most", at_most), LAST_INSTANT)
        while self._sides.main.next_instant <= end and self.now < end:
            self._run_to(min(self._sides.main.next_instant + 60.0, end))

    def _within(self, name: str, value: object, instant: float) -> float:
        if instant > LAST_INSTANT:
            day = self.scenario.calendar.day(int(LAST_INSTANT // DAY))
            raise scenario_error(
                name, f"must not lead beyond {day}, where the calendar ends", value
            )
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


def as_duration(name: str, value: DurationLike) -> float:
    """Return a duration in seconds, checked."""
    return argument(name, value, duration)


def positive_speed(value: Any) -> float:
    """Return simulated seconds per real second, checked."""
    try:
        speed = number(value)
    except InvalidValue:
        speed = math.nan
    if not 0 < speed <= FASTEST:
        right = f"must be simulated seconds per real second, above 0 and {FASTEST:,.0f} at most"
        raise scenario_error("speed", right, value)
    return speed
