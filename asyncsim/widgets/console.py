"""The console of a live session: people finish waiting steps by their serial number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from asyncsim.live.session import Session
from asyncsim.widgets.console_state import ConsoleState
from asyncsim.widgets.session_widget import SessionWidget
from asyncsim.widgets.watching import pieces


class Console(SessionWidget):
    """A page of waiting records, a form that finishes them, and the answers.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.

    Examples
    --------
    >>> session = sim.live(scenario, against=sim.Polling("15min"), hold=True)  # doctest: +SKIP
    >>> session.console()                                                      # doctest: +SKIP
    """

    _esm = pieces("elements.js", "clock.js", "console.js")

    records = traitlets.Dict().tag(sync=True)
    """One page of the waiting records, and how many there are."""
    fates = traitlets.Dict().tag(sync=True)
    """How the chosen number stands under each strategy."""
    answers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    """What came from outside lately and what it was answered, the latest first."""

    def __init__(self, session: Session) -> None:
        self.state = ConsoleState(session)
        super().__init__(session)
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand; only what has changed is sent."""
        with self.hold_sync():
            super().refresh()
            for name, value in self.state.shown().items():
                setattr(self, name, value)

    def do(self, deed: str, message: Mapping[str, Any]) -> None:
        """Do one thing that a page asks for."""
        number, fields = str(message.get("number", "")), message.get("fields", [])
        if deed == "finish":
            self.state.finish(number, fields)
        elif deed == "choose":
            self.state.choose(number)
        elif deed == "turn":
            self.state.turn_to(str(message.get("like", "")), int(message.get("first", 0)))
        elif deed == "retry":
            self.tell(self.state.retry(number))
        elif deed == "start":
            self.tell(self.state.start(fields))
        else:
            super().do(deed, message)
