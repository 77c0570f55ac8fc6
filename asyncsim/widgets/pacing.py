"""When a widget shows what has changed: soon, but never more often than an eye can follow.

A session tells of a change from any thread, thousands of times a second if it must. What is shown
is shown in the thread of the kernel's event loop, where alone a kernel may talk to its widgets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

INTERVAL = 0.1
"""Shortest time between two pictures, in seconds."""
UNSEEN = 20
"""Pictures that are sent on trust; then nothing more is shown until somebody has seen one."""


class Pace:
    """Shows what has changed, at most ten times a second.

    A page that shows a widget says so after each picture. Widgets that nobody sees any more, as
    their cell has been run again, cost nothing for that reason, and a slow browser is never
    flooded.

    Parameters
    ----------
    show
        Sends a picture; called in the loop's thread.
    loop
        The event loop that is running in the thread that makes this object; None, as in a script,
        shows each change at once.
    now
        The clock, in seconds.
    """

    def __init__(
        self,
        show: Callable[[], None],
        loop: asyncio.AbstractEventLoop | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._loop = loop
        self._thread = threading.get_ident()
        self._now = now
        self._last = -INTERVAL
        self._timer: asyncio.TimerHandle | None = None
        self._credit = UNSEEN
        self._dirty = False
        self._called = False

    def changed(self) -> None:
        """Hear that something has changed, in any thread."""
        self._dirty = True
        if self._is_here():
            self._soon()
        elif not self._called:  # a flood of changes calls the loop once
            self._called = True
            self.call(self._soon)

    def call(self, deed: Callable[[], None]) -> None:
        """Do something in the loop's thread: now if this is it, else as soon as it is free."""
        if self._is_here():
            deed()
        else:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(deed)

    def show(self) -> None:
        """Show how things stand, whether or not it is time: a person has done something."""
        self._dirty = self._called = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = self._now()
        self._show()

    def seen(self) -> None:
        """Hear that a page has shown a picture."""
        self._credit = UNSEEN
        if self._dirty:
            self._soon()

    def _is_here(self) -> bool:
        no_loop = self._loop is None or self._loop.is_closed()
        return no_loop or threading.get_ident() == self._thread

    def _soon(self) -> None:
        self._called = False
        if not self._dirty or not self._credit:
            return
        wait = self._last + INTERVAL - self._now()
        # The loop may be busy with the very thing that is to be watched, so no timer is relied on
        if wait <= 0 or self._loop is None or self._loop.is_closed():
            self._credit -= 1
            self.show()
        elif self._timer is None:
            self._timer = self._loop.call_later(wait, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._soon()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that is running in this thread, as one does in a notebook."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
