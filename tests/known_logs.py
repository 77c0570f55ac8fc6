"""Logs whose truth is known, made by simulation."""

import asyncsim as sim

DAYTIME = sim.Poisson("250/day", between=("08:00", "20:00"))


def scenario(system, days=14, arrivals=DAYTIME, steps=None, **more):
    """Return one step that waits for a system, or the given steps."""
    return sim.Scenario(
        name="known",
        process=sim.Process("p", steps or [sim.AsyncStep("post", system="ledger")]),
        systems={"ledger": system},
        arrivals=arrivals,
        length=f"{days} days",
        **more,
    )


def table_of(run):
    """Return the waits of a run as the table of an external system, in order of submission."""
    columns = {
        "serial_number": "SN",
        "armed_at": "submitted",
        "completed_at": "completed",
        "resumed_at": "resumed",
    }
    return run.waits.sort_values("armed")[list(columns)].rename(columns=columns)


def requests(system, seed=1, strategy=None, **more):
    """Return the table of requests of a simulated scenario."""
    run = sim.simulate(scenario(system, **more), strategy or sim.Callback("50ms"), seed=seed)
    return table_of(run)
