"""What every widget is: a view of something that changes, in the thread of the event loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from asyncsim.widgets.pacing import Pace, running_loop

HERE = Path(__file__).parent


def pieces(*names: str) -> str:
    """Return the text of files beside this one, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Watching(anywidget.AnyWidget):
    """A view of something that changes: `state` goes to the page, messages come from it."""

    _css = pieces("widgets.css")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._news = Pace(self._refresh, running_loop())
        self.on_msg(self._hear)
        self._refresh()

    def _refresh(self) -> None:
        self.state = self._picture()

    def _picture(self) -> dict[str, Any]:
        """Return what the page needs to know."""
        raise NotImplementedError

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        self._news.call(lambda: self._act(message))

    def _act(self, message: dict[str, Any]) -> None:
        """Do what a person has asked for on the page."""
        raise NotImplementedError
