"""Widgets of a notebook: console and view of a live session, and the explorer of strategies.

The console and the view are opened by methods of a session, the explorer by `explore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Poisson
from asyncsim.model.scenario import Scenario

if TYPE_CHECKING:
    from asyncsim.widgets.explorer import Explorer


def explore(scenario: Scenario | None = None) -> Explorer:
    """Return a widget with sliders for interval, batch, workers, volume and lost callbacks.

    It shows the latency and the overhead of callback and polling for these settings.

    Parameters
    ----------
    scenario
        Where to begin; by default 2,000 orders a day that wait for a nightly ledger.

    Examples
    --------
    >>> import asyncsim as sim
    >>> type(sim.explore()).__name__
    'Explorer'
    """
    if scenario is None:
        orders = Poisson("2000/day", between=("08:00", "20:00"))
        scenario = Scenario.load("example:nightly_ledger").replace(arrivals=orders)
    if not isinstance(scenario, Scenario):
        raise ScenarioError(f"scenario must be a Scenario, got {scenario!r}")
    from asyncsim.widgets.explorer import Explorer  # half the time of importing asyncsim

    return Explorer(scenario)
