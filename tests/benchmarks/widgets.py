"""What a picture of the console and of the view costs the kernel.

Run it with ``python tests/benchmarks/widgets.py``; it prints a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import asyncsim as sim


def session_of(instances: int) -> sim.Session:
    """Return a session in which so many instances wait at noon, under two strategies."""
    steps = [sim.Step("validate"), sim.AsyncStep("post", system="ledger"), sim.Step("notify")]
    scenario = sim.Scenario(
        name="benchmark",
        process=sim.Process("order to cash", steps, first_activation=30),
        systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
        arrivals=sim.Regular("1s"),
        length=float(instances),
    )
    session = sim.live(scenario, against=sim.Polling("15min"), hold=True)
    session.run_until("12:00")
    return session


def cost(deed: Callable[[], object], times: int = 50) -> str:
    """Return the median and the longest time of a deed."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        deed()
        spent.append((time.perf_counter() - start) * 1000)
    spent.sort()
    return f"{spent[times // 2]:6.2f} ms, at most {spent[-1]:6.2f} ms"


def costs(instances: int) -> None:
    """Print what pictures of a session cost."""
    session = session_of(instances)
    console, view = session.console(), session.view()
    numbers = iter(range(6, 100))

    def finish() -> None:
        console.hear({"do": "finish", "number": f"{next(numbers)}_31"})

    def tell(what: str, deed: Callable[[], object]) -> None:
        print(f"{instances:6,} waiting, {what:45} {cost(deed)}")

    console.hear({"do": "choose", "number": "5_31"})
    tell("console", console.refresh)
    console.hear({"do": "turn", "like": "99"})
    tell("console, a search for '99'", console.refresh)
    console.hear({"do": "turn", "like": ""})
    size = sum(len(buffer) for buffer in view.picture()[1])
    tell(f"view of two strategies, {size:,} bytes", view.refresh)
    view.close()
    tell("a finish, and the console after it", finish)
    session.close()


if __name__ == "__main__":
    for many in (1_000, 10_000):
        costs(many)
