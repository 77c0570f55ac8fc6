"""Small scenarios for tests whose instants are worked out by hand."""

from __future__ import annotations

import warnings

import asyncsim as sim

FREE = sim.OnlineService(0.0, lanes=None)
"""A system that works on each item for the time the test gives it, on all of them at once."""

EARLY = sim.Scenario(
    name="early",
    process=sim.Process("p", [sim.AsyncStep("w", "out", arm_delay="200ms")]),
    systems={"out": sim.OnlineService("50ms", lanes=None)},
    arrivals=sim.Regular("1min"),
    length="1h",
)
"""The work is done 150 ms before its wait is armed."""
DISTRIBUTIONS = [
    sim.exponential(3.0),
    sim.lognormal(mean=2.0, sd=1.0),
    sim.gamma(mean=2.0, sd=3.0),
    sim.gamma(mean=2.0, sd=1.0),
    sim.uniform(1.0, 2.0),
    sim.empirical([1.0, 2.0, 5.0]),
    sim.fixed(4.0),
]
"""Laws of every kind."""


def scenario_of(steps, system=FREE, arrivals=(0.0,), *, workers=1000, policy=None, **more):
    """Return a scenario whose asynchronous steps all call the system named ``"out"``."""
    server = sim.WorkflowServer(
        workers=workers,
        poll_work=more.pop("poll_work", 0.0),
        callback_work=more.pop("callback_work", 0.0),
        policy=policy or sim.FinishPolicy(),
    )
    systems = system if isinstance(system, dict) else {"out": system}
    return sim.Scenario(
        name=more.pop("name", "by hand"),
        process=sim.Process("p", list(steps), first_activation=more.pop("first_activation", 1)),
        systems=systems,
        server=server,
        arrivals=sim.ArrivalTimes(list(arrivals)),
        length=more.pop("length", max(arrivals) + 1.0),
        **more,
    )


def play(strategy, scenario, *, until=None, draws=None, seed=0, **numbers):
    """Play a scenario; `external`, `work`, `choices`, `responses` are numbers by step name."""
    if draws is None:
        arrivals = scenario.draw(seed).arrivals
        named = {
            what: {name: spread(values, len(arrivals)) for name, values in by_name.items()}
            for what, by_name in numbers.items()
        }
        draws = sim.Draws(arrivals, seed=seed, **named)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return sim.simulate(scenario, strategy, draws=draws, until=until, engine="simpy")


def spread(values, n):
    """Return the values, or one number n times."""
    return values if isinstance(values, (list, tuple)) else [values] * n


def wait_for(
    strategy,
    external=0.0,
    *,
    arrivals=(0.0,),
    system=FREE,
    policy=None,
    until=None,
    server=None,
    **step,
):
    """Play one asynchronous step named ``"w"`` for each arrival; return the run."""
    scenario = scenario_of(
        [sim.AsyncStep("w", "out", **step)], system, arrivals, policy=policy, **(server or {})
    )
    return play(strategy, scenario, external={"w": external}, until=until)


def only(table):
    """Return the one row a table has."""
    assert len(table) == 1, table
    return table.iloc[0]
