"""What the widgets of a session share: news of it, at most ten times a second."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

HERE = Path(__file__).parent
AT_MOST_EVERY = 0.1
"""Seconds between two pictures while the clock runs."""


def pieces(*names: str) -> str:
    """Return the text of files beside this one, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Coalesced:
    """Calls a function some time after it was asked to, once for however many times it was asked.

    It may be asked from any thread. Where no event loop runs, as in a test, it is called at once.

    Parameters
    ----------
    action
        What is called, in the event loop.
    pause
        Seconds to wait for further requests.
    """

    def __init__(self, action: Callable[[], None], pause: float = AT_MOST_EVERY) -> None:
        self._action = action
        self._pause = pause
        self._lock = threading.Lock()
        self._due = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def ask(self) -> None:
        """Have the action done soon."""
        if self._loop is None or not self._loop.is_running():
            self._action()
            return
        with self._lock:
            if self._due:
                return
            self._due = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._pause, self._act)

    def _act(self) -> None:
        with self._lock:
            self._due = False
        self._action()

    def soon(self, act: Callable[[], None]) -> None:
        """Do something in the event loop: handlers of messages may run in other threads."""
        if self._loop is None or not self._loop.is_running():
            act()
        else:
            self._loop.call_soon_threadsafe(act)


class Watching(anywidget.AnyWidget):
    """A view of something that changes: `state` goes to the page, messages come from it."""

    _css = pieces("widgets.css")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, pause: float = AT_MOST_EVERY) -> None:
        super().__init__()
        self._news = Coalesced(self._refresh, pause)
        self.on_msg(self._hear)
        self._refresh()

    def _refresh(self) -> None:
        self.state = self._picture()

    def _picture(self) -> dict[str, Any]:
        """Return what the page needs to know."""
        raise NotImplementedError

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        self._news.soon(lambda: self._act(message))

    def _act(self, message: dict[str, Any]) -> None:
        """Do what a person has asked for on the page."""
        raise NotImplementedError
