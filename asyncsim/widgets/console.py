"""The console: people finish steps by their serial numbers."""

from __future__ import annotations

from typing import Any

from asyncsim.live.session import Session
from asyncsim.widgets.console_state import ConsoleState
from asyncsim.widgets.watching import Watching, pieces


class Console(Watching):
    """Waiting records, a form that finishes one, the answers, and the clock; `Session.console`.

    Parameters
    ----------
    session
        The session that is looked at. Several consoles may look at the same one.
    """

    _esm = pieces("elements.js", "console.js")

    def __init__(self, session: Session) -> None:
        self.console = ConsoleState(session)
        super().__init__()
        session.listen(self._news.ask)

    def _picture(self) -> dict[str, Any]:
        return self.console.picture()

    def _act(self, message: dict[str, Any]) -> None:
        self.console.act(message)
        self._refresh()
