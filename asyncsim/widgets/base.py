"""What all widgets share: messages from pages, throttled updates, and the controls of a clock.

`BaseWidget` is the base of the explorer, `SessionWidget` that of the console and the view, which
show a live session. A session reports changes from any thread and at any rate; `Throttle` turns
them into updates in the thread of the kernel's event loop, the only one that may talk to widgets.
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

SPEEDS = (1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0)  # simulated seconds per real second
LONG_TIME = "%a %Y-%m-%d %H:%M:%S"
SHORT_TIME = "%a %d %b %H:%M:%S"
INTERVAL = 0.1  # shortest time between two updates, in seconds
UNACKNOWLEDGED = 20  # updates that are sent although no page has acknowledged one


def read_assets(*names: str) -> str:
    """Return the concatenated text of files in this folder."""
    folder = Path(__file__).parent
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


class BaseWidget(anywidget.AnyWidget):
    """A widget whose updates and messages run in the thread of the event loop."""

    _css = read_assets("widgets.css")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # as in a script
            loop = None
        self._throttle = Throttle(self.refresh, loop)
        self.on_msg(lambda _, message, __: self._throttle.call(lambda: self.on_message(message)))

    def refresh(self) -> None:
        """Send the current state to the page."""
        raise NotImplementedError

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Handle a message from a page, and show the result."""
        raise NotImplementedError


class SessionWidget(BaseWidget):
    """A widget over a live session."""

    choices = traitlets.Dict().tag(sync=True)
    """What stays the same during a session: scenario, speeds, whether there is a batch."""
    clock = traitlets.Dict().tag(sync=True)
    """The present moment, whether the clock runs, and its speed."""
    notice = traitlets.Unicode("").tag(sync=True)
    """Result of the last request, and errors that belong to no field."""
    problems = traitlets.Dict().tag(sync=True)
    """Errors in what was entered, by the name of the field."""

    def __init__(self, session: Session) -> None:
        choices = {
            "scenario": session.scenario.name,
            "speeds": sorted({*SPEEDS, session.speed}),
            "batch": bool(batches(session.scenario)),
            "why_no_reset": session.why_no_reset,
        }
        super().__init__(choices=choices)
        self.session = session
        SessionWidget.refresh(self)
        self._end_listening = session.listen(self._throttle.changed)

    def refresh(self) -> None:
        """Send the current state to the page."""
        session = self.session
        at = f"{session.at:{LONG_TIME}}"
        self.clock = {"at": at, "playing": session.playing, "speed": session.speed}

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Handle a message such as ``{"do": "finish", …}``, and show the result."""
        action = str(message.get("do"))
        if action == "seen":
            self._throttle.acknowledged()
            return
        if action not in READING:
            self.notify("")
            self.problems = {}
        try:
            self.act(action, message)
        except AsyncsimError as problem:
            field = FIELDS.get(action) if isinstance(problem, ScenarioError) else None
            if isinstance(problem, FieldError):
                field = problem.field
            elif isinstance(problem, SerialNumberError):
                field = "number"
            if field:
                self.problems = {field: str(problem)}
            else:
                self.notify(str(problem))
        self._throttle.update()

    def act(self, action: str, message: Mapping[str, Any]) -> None:
        """Perform an action; a page that has just opened sends ``hello``."""
        session = self.session
        match action:
            case "hello":
                self._throttle.acknowledged()
            case "play":
                session.play()
            case "pause":
                session.pause()
            case "speed":
                session.speed = message.get("speed", session.speed)
            case "step":
                if not session.step():
                    raise ScenarioError("no event is left: nothing more happens by itself")
            case "until":
                moment = str(message.get("moment", "")).strip()
                if not moment:
                    raise ScenarioError("a moment is needed, such as 12:00 or 2026-01-06 07:00")
                session.run_until(moment)
            case "batch":
                session.run_to_next_batch()
            case "reset":
                session.reset()

    def notify(self, text: str) -> None:
        """Show a text on the page until the next action."""
        self.notice = text

    def close(self) -> None:
        """Remove the widget from every page."""
        self._end_listening()
        super().close()


READING = ("hello", "choose", "turn")  # change nothing: notices and problems stay on the page
FIELDS = {"until": "moment", "speed": "speed"}  # of the page, by the action that reads them


class FieldError(ScenarioError):
    """Reports invalid input in a field of a page, by the name that the page knows it by."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class Throttle:
    """Limits updates to ten a second, and stops them when no page shows the widget.

    A page acknowledges each update. A widget that has left every page, because its cell was
    run again, therefore costs nothing, and a slow browser is never flooded. `show` sends an update
    in the thread of the loop, the current one; without a loop, every update is sent at once.
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
        self._credit = UNACKNOWLEDGED
        self._dirty = False
        self._scheduled = False

    def changed(self) -> None:
        """Schedule an update; may be called from any thread."""
        self._dirty = True
        if self._in_loop_thread():
            self._update_when_due()
        elif not self._scheduled:  # a flood of changes calls the loop once
            self._scheduled = True
            self.call(self._update_when_due)

    def call(self, action: Callable[[], None]) -> None:
        """Run a function in the loop's thread: now in that thread, otherwise soon."""
        if self._in_loop_thread():
            action()
        else:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(action)

    def update(self) -> None:
        """Send an update at once, as after an action of the user."""
        self._dirty = self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = self._now()
        self._show()

    def acknowledged(self) -> None:
        """Record that a page has shown an update."""
        self._credit = UNACKNOWLEDGED
        if self._dirty:
            self._update_when_due()

    def _in_loop_thread(self) -> bool:
        no_loop = self._loop is None or self._loop.is_closed()
        return no_loop or threading.get_ident() == self._thread

    def _update_when_due(self) -> None:
        self._scheduled = False
        if not self._dirty or not self._credit:
            return
        wait = self._last + INTERVAL - self._now()
        # The loop may be busy with the run that is shown, so a timer alone is not enough
        if wait <= 0 or self._loop is None or self._loop.is_closed():
            self._credit -= 1
            self.update()
        elif self._timer is None:
            self._timer = self._loop.call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._update_when_due()
