"""The explorer: sliders, and their effect on latency and overhead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from asyncsim.model.scenario import Scenario
from asyncsim.widgets.base import BaseWidget, read_assets
from asyncsim.widgets.explorer_state import SHARES, Exploration


class Explorer(BaseWidget):
    """Sliders, and a chart of callback and polling; made by `asyncsim.explore`.

    Parameters
    ----------
    scenario
        Where to begin.
    """

    _esm = read_assets("elements.js", "explorer.js")

    state = traitlets.Dict().tag(sync=True)
    """Sliders and results; see `Exploration.picture`."""

    def __init__(self, scenario: Scenario) -> None:
        self.exploration = Exploration(scenario)
        self._stamp = 0.0
        super().__init__()
        self.refresh()

    def refresh(self) -> None:
        """Send the results of the present settings to the page."""
        exploration = self.exploration
        self.state = {
            "scenario": exploration.scenario.name,
            "controls": [
                {"name": control.name, "label": control.label, "texts": control.texts}
                for control in exploration.controls
            ],
            "places": dict(exploration.places),
            "shares": [float(share) for share in SHARES],
            "stamp": self._stamp,
            **exploration.picture(),
        }

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Move sliders; the page sends no further moves before it has the results."""
        for name, place in message["moves"].items():
            self.exploration.set(name, place)
        self._stamp = message["stamp"]
        self.refresh()
