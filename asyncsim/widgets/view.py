"""The view of a live session: instances move through the process, under each strategy."""

from __future__ import annotations

from typing import Any

import traitlets
from attrs import evolve

from asyncsim.live.session import Session
from asyncsim.widgets.outside import Outside
from asyncsim.widgets.places import Places
from asyncsim.widgets.session_widget import SessionWidget
from asyncsim.widgets.standing import Standing, standing_of
from asyncsim.widgets.watching import pieces


class View(SessionWidget):
    """The process with its instances in it, once for each strategy, on the same random numbers.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.

    Examples
    --------
    >>> session = sim.live(scenario, against=sim.Polling("15min"))  # doctest: +SKIP
    >>> session.view()                                              # doctest: +SKIP
    """

    _esm = pieces("elements.js", "clock.js", "diagram.js", "view.js")

    plan = traitlets.Dict().tag(sync=True)
    """The places of the process and the lines between them."""
    process = traitlets.Unicode().tag(sync=True)
    """The name of the process."""

    def __init__(self, session: Session) -> None:
        self._places = Places.of(session.scenario.process)
        self._outside = Outside(session, self._places)
        super().__init__(session)
        self.plan = self._places.as_json()
        self.process = session.scenario.process.name

    def refresh(self) -> None:
        """Send a picture of this moment."""
        super().refresh()
        message, buffers = self.picture()
        self.send(message, buffers)

    def picture(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return how every lane stands: figures, and the places of its instances as bytes.

        Checks and callbacks are those since the picture before.
        """
        with self._live.store.lock:  # one moment for all of it
            now, lanes = self._live.now, self.lanes()
            pictures = [
                lane.as_json() | self._outside.picture(self._live.lane(lane.label), lane)
                for lane in lanes
            ]
        message = {"now": now, "lanes": pictures}
        return message, [lane.places.astype("<u2").tobytes() for lane in lanes]

    def lanes(self) -> list[Standing]:
        """Return how every lane stands at this moment."""
        session = self._live
        with session.store.lock:
            return [
                evolve(standing_of(session.lane(label), self._places), label=label)
                for label in session.strategies
            ]
