"""The view: instances moving through the process, under two strategies side by side."""

from __future__ import annotations

from typing import Any

from asyncsim.live.session import Session
from asyncsim.widgets.view_state import ViewState
from asyncsim.widgets.watching import Watching, pieces


class View(Watching):
    """Instances as dots, waiting records piling up and draining, and the load of the workers.

    Parameters
    ----------
    session
        The session that is looked at; see `Session.view`.
    """

    _esm = pieces("elements.js", "view.js")

    def __init__(self, session: Session) -> None:
        self.view = ViewState(session)
        super().__init__()
        session.listen(self._news.ask)

    def _picture(self) -> dict[str, Any]:
        return self.view.picture()

    def _act(self, message: dict[str, Any]) -> None:
        session = self.view.session
        if message["do"] == "play":
            session.play()
        elif message["do"] == "pause":
            session.pause()
        elif message["do"] == "next batch":
            session.run_to_next_batch()
        self._refresh()
