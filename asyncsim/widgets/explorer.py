"""The explorer: sliders, and what they do to latency and overhead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from asyncsim.model.scenario import Scenario
from asyncsim.widgets.base import Watching, pieces
from asyncsim.widgets.explorer_state import SHARES, Exploration


class Explorer(Watching):
    """Sliders and a picture of callback and polling; made by `explore`.

    Parameters
    ----------
    scenario
        Where to begin.
    """

    _esm = pieces("elements.js", "explorer.js")

    state = traitlets.Dict().tag(sync=True)
    """Sliders and picture; see `Exploration.picture`."""

    def __init__(self, scenario: Scenario) -> None:
        self.exploration = Exploration(scenario)
        self._stamp = 0.0
        super().__init__()
        self.refresh()

    def refresh(self) -> None:
        """Show what the settings lead to."""
        exploration = self.exploration
        self.state = {
            "scenario": exploration.scenario.name,
            "controls": [
                {"name": control.name, "label": control.label, "texts": list(control.texts)}
                for control in exploration.controls
            ],
            "places": dict(exploration.places),
            "shares": [float(share) for share in SHARES],
            "stamp": self._stamp,
            **exploration.picture(),
        }

    def hear(self, message: Mapping[str, Any]) -> None:
        """Move sliders; the page sends nothing more until it has the picture of them."""
        for name, place in message["moves"].items():
            self.exploration.set(name, place)
        self._stamp = message["stamp"]
        self.refresh()
