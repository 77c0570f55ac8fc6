"""What every widget is: a view of something that changes, in the thread of the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget

from asyncsim.widgets.pacing import Pace, running_loop

HERE = Path(__file__).parent


def pieces(*names: str) -> str:
    """Return the text of files beside this one, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Watching(anywidget.AnyWidget):
    """A view of something that changes; its page's messages are heard in the loop's thread."""

    _css = pieces("widgets.css")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._pace = Pace(self.refresh, running_loop())
        self.on_msg(lambda _, message, __: self._pace.call(lambda: self.hear(message)))

    def refresh(self) -> None:
        """Show how things stand."""
        raise NotImplementedError

    def hear(self, message: Mapping[str, Any]) -> None:
        """Do what a page asks for, then show what has come of it."""
        raise NotImplementedError
