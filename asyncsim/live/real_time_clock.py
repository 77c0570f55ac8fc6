"""The clock of a live session: real time drives simulated time, in slices.

It is a task in the event loop that is running already, a notebook's for instance. Each slice takes
a few milliseconds at most, so the loop stays free for widgets and requests.

Also the moments that a user names for a session: a clock time, a date, the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any

import pandas as pd

from asyncsim.errors import EngineError, StoreError
from asyncsim.model.calendar import LAST_DAY, Days
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch
from asyncsim.model.systems import links_of
from asyncsim.model.units import DAY, DurationLike, InvalidValue, clock_time, duration, number
from asyncsim.model.validation import scenario_error

logger = logging.getLogger("asyncsim")

PATIENCE = 0.5  # real seconds that an action may wait until the session has caught up
SLICE = 0.008  # real seconds that are played without giving way to other tasks
PAUSE = 0.02  # real seconds between two slices when nothing is behind
FASTEST = 1e6  # simulated seconds per real second: a year in half a minute
LAST_INSTANT = LAST_DAY * DAY  # the calendar ends, and every session: 40 years after the start
DATED = re.compile(r"\d{4}-\d\d-\d\d")


class RealTimeClock:
    """Advances a session while real time passes; `advance` has a budget of seconds."""

    def __init__(
        self, advance: Callable[[float, float], bool], now: Callable[[], float], speed: float
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
        self._speed = positive_speed(value)
        self._anchor()

    @property
    def on(self) -> bool:
        """Whether the clock is running."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start the clock, in the event loop that is running; raise an EngineError without one."""
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
        """Stop the clock."""
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        self._task = None

    def catch_up(self, budget: float = PATIENCE) -> bool:
        """Play up to the present real time, before an action; false if still behind."""
        real, simulated = self._since
        target = simulated + (time.monotonic() - real) * self._speed
        if self._advance(target, budget):
            return True
        self._anchor()  # the delay is not made up for by a leap
        return False

    async def _run(self) -> None:
        while self._task is asyncio.current_task():  # a clock that is restarted has another task
            try:
                in_time = self.catch_up(SLICE)
            except Exception as error:
                if isinstance(error, StoreError):
                    logger.error("the clock has stopped: %s; play() starts it again", error)
                else:
                    logger.exception("the clock has stopped; play() starts it again")
                self._task = None
                return
            await asyncio.sleep(PAUSE if in_time else 0)


def instant_of(moment: DurationLike | datetime, scenario: Scenario, now: float) -> float:
    """Return the instant of a moment, in seconds from the scenario's start.

    The moment is a clock time (``"22:00"``: the next one), a date and time
    (``"2026-01-06 07:00"``), or a duration from the start: seconds, ``"2 days"``, a timedelta.
    """
    calendar = scenario.calendar
    try:
        if isinstance(moment, str) and ":" in moment:
            if not DATED.match(moment.strip()):
                times = calendar.times_of(clock_time(moment.strip()), Days())
                return next(one.instant for one in times if one.instant > now)
            moment = pd.Timestamp(moment).to_pydatetime()
        if not isinstance(moment, datetime):
            return float(duration(moment))
        if pd.isna(moment) or (moment.tzinfo is not None and scenario.zone is None):
            raise InvalidValue("")  # the scenario has no zone to convert to
        return float(calendar.seconds(moment))
    except (InvalidValue, ValueError, OverflowError, StopIteration):
        # Dates before year 1, say, or a clock time after the calendar's last day
        right = (
            "must be a clock time such as '22:00', a moment such as '2026-01-06 07:00', or a "
            "duration from the scenario's start"
        )
        raise scenario_error("until", right, moment) from None


def next_batch(scenario: Scenario, now: float) -> tuple[float, str] | None:
    """Return when the next batch starts, and the name of its system; None if there is none."""
    starts = []
    for name, batch in batches(scenario):
        later = (one.start for one in batch.nights(scenario.calendar) if one.start > now)
        starts += [(start, name) for start in islice(later, 1)]
    return min(starts, default=None)


def batches(scenario: Scenario) -> list[tuple[str, Batch]]:
    """Return all nightly batches, links of chains among them, with the names of their systems."""
    links = [(name, link) for name, one in scenario.systems.items() for link in links_of(one)]
    return [(name, link) for name, link in links if isinstance(link, Batch)]


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
