"""The clock of a live session: real time drives simulated time, in slices.

It is a task in the event loop that is running already, a notebook's for instance. Each slice takes
a few milliseconds at most, so the loop stays free for widgets and requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from asyncsim.errors import EngineError, StoreError

logger = logging.getLogger("asyncsim")

PATIENCE = 0.5
"""Real seconds that somebody may wait until the session has come to the present instant."""
SLICE = 0.008
"""Longest time that is played without giving way to others, in seconds."""
PAUSE = 0.02
"""Time between two slices when nothing is behind, in seconds."""


class Ticking:
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
