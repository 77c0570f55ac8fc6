"""What the widgets of a live session have in common: they watch it, and hear what people do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from asyncsim.errors import AsyncsimError, ScenarioError, SerialNumberError
from asyncsim.live.session import Session
from asyncsim.widgets.clock import DEEDS, choices_of, clock_of
from asyncsim.widgets.watching import Watching

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
        if deed in DEEDS:
            DEEDS[deed](self._live, message)
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
