"""Open a widget; the widgets themselves are imported only when one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncsim.errors import ScenarioError
from asyncsim.live.session import Session
from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import exponential, lognormal
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.systems import NightlyBatch

if TYPE_CHECKING:
    from asyncsim.widgets.console import Console
    from asyncsim.widgets.explorer import Explorer
    from asyncsim.widgets.view import View


def console(session: Session) -> Console:
    """Return the widget in which people finish steps."""
    from asyncsim.widgets.console import Console

    return Console(session)


def view(session: Session) -> View:
    """Return the widget in which instances move through the process."""
    from asyncsim.widgets.view import View

    return View(session)


def explore(scenario: Scenario | None = None) -> Explorer:
    """Return a widget of sliders: interval, batch, workers, volume, loss, and what comes of them.

    Parameters
    ----------
    scenario
        Where to begin; by default orders that wait for a nightly ledger.

    Examples
    --------
    >>> import asyncsim as sim
    >>> type(sim.explore()).__name__
    'Explorer'
    """
    if scenario is None:
        scenario = Scenario(
            name="nightly ledger",
            process=Process(
                "order to cash",
                [
                    Step("validate", work=exponential("200ms")),
                    AsyncStep("post to ledger", system="ledger"),
                    Step("notify", work=exponential("200ms")),
                ],
            ),
            systems={"ledger": NightlyBatch("22:00", lognormal(mean="150ms", sd="100ms"))},
            server=WorkflowServer(workers=4, poll_work="10ms", callback_work="20ms"),
            arrivals=Poisson("2000/day", between=("08:00", "20:00")),
        )
    if not isinstance(scenario, Scenario):
        raise ScenarioError(f"scenario must be a Scenario, got {scenario!r}")
    from asyncsim.widgets.explorer import Explorer  # half the time of importing asyncsim

    return Explorer(scenario)
