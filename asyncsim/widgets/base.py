"""When a widget shows what has changed: soon, but never more often than an eye can follow.

A session tells of a change from any thread, thousands of times a second if it must. What is shown
is shown in the thread of the kernel's event loop, where alone a kernel may talk to its widgets.

What every widget is: a view of something that changes, in the thread of the event loop.

A session's clock in a widget: what it shows, and what the buttons do.

What the widgets of a live session have in common: they watch it, and hear what people do.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from asyncsim.errors import AsyncsimError, ScenarioError, SerialNumberError
from asyncsim.live.real_time_clock import batches
from asyncsim.live.session import Session

HERE = Path(__file__).parent


def pieces(*names: str) -> str:
    """Return the text of files beside this one, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Watching(anywidget.AnyWidget):
    """A view of something that changes; its page's messages are heard in the loop's thread."""

    _css = pieces("widgets.css")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._pace = Throttle(self.refresh, running_loop())
        self.on_msg(lambda _, message, __: self._pace.call(lambda: self.hear(message)))

    def refresh(self) -> None:
        """Show how things stand."""
        raise NotImplementedError

    def hear(self, message: Mapping[str, Any]) -> None:
        """Do what a page asks for, then show what has come of it."""
        raise NotImplementedError


INTERVAL = 0.1
"""Shortest time between two pictures, in seconds."""
UNSEEN = 20
"""Pictures that are sent on trust; then nothing more is shown until somebody has seen one."""


class Throttle:
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


SPEEDS = (1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0)
"""Simulated seconds per real second that can be chosen from."""
MOMENT = "%a %Y-%m-%d %H:%M:%S"
SHORT = "%a %d %b %H:%M:%S"
"""Where there are many below each other."""


def clock_of(session: Session) -> dict[str, Any]:
    """Return how the clock stands."""
    return {"at": f"{session.at:{MOMENT}}", "playing": session.playing, "speed": session.speed}


def choices_of(session: Session) -> dict[str, Any]:
    """Return what does not change while a session goes on."""
    return {
        "scenario": session.scenario.name,
        "speeds": sorted({*SPEEDS, session.speed}),
        "batch": bool(batches(session.scenario)),
        "why_no_reset": session.why_no_reset,
    }


def _step(session: Session, _: Mapping[str, Any]) -> None:
    if not session.step():
        raise ScenarioError("nothing happens any more by itself")


def _until(session: Session, message: Mapping[str, Any]) -> None:
    moment = str(message.get("moment", "")).strip()
    if not moment:
        raise ScenarioError("a moment is needed, such as 12:00 or 2026-01-06 07:00")
    session.run_until(moment)


def _speed(session: Session, message: Mapping[str, Any]) -> None:
    session.speed = message.get("speed", session.speed)


ACTIONS: dict[str, Callable[[Session, Mapping[str, Any]], object]] = {
    "play": lambda session, _: session.play(),
    "pause": lambda session, _: session.pause(),
    "speed": _speed,
    "step": _step,
    "until": _until,
    "batch": lambda session, _: session.run_to_next_batch(),
    "reset": lambda session, _: session.reset(),
}
"""What a page may ask of the clock, by the name it has in the message."""


LOOKING = ("hello", "choose", "turn")
"""What a page asks for only to look: what was told before still stands."""


FIELDS = {"until": "moment", "speed": "speed"}
"""The field that a request of the clock takes what it needs from."""


class FieldError(ScenarioError):
    """Reports that what was entered in a field of a page cannot be used.

    Parameters
    ----------
    field
        Name of the field, as the page knows it.
    text
        The message.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class SessionWidget(Watching):
    """A widget over a live session.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.
    """

    choices = traitlets.Dict().tag(sync=True)
    """What does not change: name of the scenario, speeds, whether there is a batch."""
    clock = traitlets.Dict().tag(sync=True)
    """The present moment, whether the clock runs, and its speed."""
    notice = traitlets.Unicode("").tag(sync=True)
    """Result of the last request, and errors that concern no field."""
    problems = traitlets.Dict().tag(sync=True)
    """What is wrong with what was entered, by the name of the field."""

    def __init__(self, session: Session) -> None:
        super().__init__(choices=choices_of(session), clock=clock_of(session))
        self._live = session
        self._end_listening = session.listen(self._pace.changed)

    def refresh(self) -> None:
        """Show how things stand."""
        self.clock = clock_of(self._live)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Do what a page asks for, then show what has come of it.

        Parameters
        ----------
        message
            ``{"do": "finish", …}``; see `do`.
        """
        deed = str(message.get("do"))
        if deed == "seen":
            self._pace.seen()
            return
        if deed not in LOOKING:
            self.tell("")
            self.problems = {}
        try:
            self.do(deed, message)
        except AsyncsimError as problem:
            field = field_of(deed, problem)
            if field:
                self.problems = {field: str(problem)}
            else:
                self.tell(str(problem))
        self._pace.show()

    def do(self, deed: str, message: Mapping[str, Any]) -> None:
        """Do one thing that a page asks for; ``hello`` is said by a page that has just opened."""
        if deed in ACTIONS:
            ACTIONS[deed](self._live, message)
        elif deed == "hello":
            self._pace.seen()

    def tell(self, text: str) -> None:
        """Tell the person at the page something; it stands until the next deed."""
        self.notice = text

    def close(self) -> None:
        """Take the widget off every page."""
        self._end_listening()
        super().close()


def field_of(deed: str, problem: AsyncsimError) -> str | None:
    """Return the field that an error concerns, or None."""
    if isinstance(problem, FieldError):
        return problem.field
    if isinstance(problem, SerialNumberError):
        return "number"
    return FIELDS.get(deed) if isinstance(problem, ScenarioError) else None
