"""Scenario R of `plain_simpy`, described for asyncsim, and what is played of it."""

from __future__ import annotations

import plain_simpy
from attrs import frozen

import asyncsim as sim


def scenario_r(
    poll_work: str = "10ms", workers: int = plain_simpy.WORKERS, lanes: int = 1
) -> sim.Scenario:
    """Return scenario R; its random numbers come from `plain_simpy.Numbers`."""
    return sim.Scenario(
        name="scenario R",
        process=sim.Process(
            "R",
            [
                sim.Step("first", work=sim.exponential("200ms")),
                sim.AsyncStep("post", system="ledger"),
                sim.Step("last", work=sim.exponential("200ms")),
            ],
        ),
        systems={"ledger": sim.NightlyBatch("22:00", "150ms", lanes=lanes)},
        arrivals=sim.UniformArrivals(1),
        server=sim.WorkflowServer(workers, poll_work, "20ms"),
    )


def draws(numbers: plain_simpy.Numbers) -> sim.Draws:
    """Return the numbers of the hand-written model as draws, complete."""
    found = sim.Draws(
        numbers.arrivals,
        work={"first": numbers.first_work, "last": numbers.last_work},
        external={"post": numbers.item_times},
    )
    return found.completed_for(scenario_r())


@frozen
class Case:
    """One way to wait, for asyncsim and for the hand-written model."""

    name: str
    strategy: sim.Strategy
    poll_work: str = "10ms"
    jitter: float = 0.0

    @property
    def scenario(self) -> sim.Scenario:
        """Scenario R with this case's checks."""
        return scenario_r(self.poll_work)

    def plain(self, numbers: plain_simpy.Numbers) -> plain_simpy.Result:
        """Play the hand-written model."""
        kind = "callback" if isinstance(self.strategy, sim.Callback) else "polling"
        poll_work = 0.0 if self.poll_work == "0s" else plain_simpy.POLL_WORK
        return plain_simpy.Model(numbers, kind, poll_work, self.jitter).run()


CALLBACK = Case("callback", sim.Callback("50ms"))
POLLING = Case("polling every 60 s", sim.Polling("60s"))
JITTER = Case("the same, up to 30 s late", sim.Polling("60s", jitter="30s"), jitter=30.0)
FREE = Case("polling, checks free of charge", sim.Polling("60s"), poll_work="0s")
CASES = [CALLBACK, POLLING, JITTER, FREE]
