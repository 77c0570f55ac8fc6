"""Speed and memory of the SimPy engine against a plain hand-written SimPy model of scenario R.

Run it with ``make bench`` or ``python tests/benchmarks/speed.py [N]``. Both models get the same
random numbers and take turns in one process, so that the ratio holds on any machine. What is timed
of asyncsim is `asyncsim.simulate`: building, playing, recording, and checking all laws.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import plain_simpy

import asyncsim as sim

MOST = 1.3
"""The engine may take so many times as long as the hand-written model."""


def scenario_r(poll_work: str = "10ms") -> sim.Scenario:
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
        systems={"ledger": sim.NightlyBatch("22:00", "150ms")},
        arrivals=sim.Scattered(1),
        server=sim.WorkflowServer(4, poll_work, "20ms"),
    )


def draws(numbers: plain_simpy.Numbers) -> sim.Draws:
    """Return the numbers of the hand-written model as draws."""
    return sim.Draws(
        numbers.arrivals,
        work={"first": numbers.first_work, "last": numbers.last_work},
        external={"post": numbers.item_times},
    )


STRATEGIES = {"callback": sim.Callback("50ms"), "polling": sim.Polling("60s")}


def seconds(play: Callable[[], object]) -> float:
    """Return how long a call takes, the collector having been run before."""
    gc.collect()
    start = time.perf_counter()
    play()
    return time.perf_counter() - start


def ratio(strategy: str, n: int, turns: int, poll_work: str = "10ms") -> dict[str, object]:
    """Time both models in turns; return medians and the median of the paired ratios."""
    numbers = plain_simpy.Numbers.draw(n)
    scenario, ours = scenario_r(poll_work), draws(numbers)
    pairs = []
    for _ in range(turns):
        plain = seconds(lambda: plain_simpy.Model(numbers, strategy).run())
        engine = seconds(lambda: sim.simulate(scenario, STRATEGIES[strategy], draws=ours))
        pairs.append((plain, engine))
    found = statistics.median(engine / plain for plain, engine in pairs)
    free = poll_work == "0s"
    return {
        "strategy": f"{strategy}, checks free of charge" if free else strategy,
        "N": n,
        "hand-written [s]": statistics.median(plain for plain, _ in pairs),
        "asyncsim [s]": statistics.median(engine for _, engine in pairs),
        "ratio": found,
        "at most": MOST,
        "met": found <= MOST,
    }


def bytes_per_wait(strategy: sim.Strategy, n: int) -> float:
    """Return the memory that an instance takes which waits at 21:00."""
    numbers = draws(plain_simpy.Numbers.draw(n))
    tracemalloc.start()
    simulation = sim.Simulation(scenario_r(), strategy, numbers)
    before = tracemalloc.get_traced_memory()[0]
    simulation.run(until=21 * 3600)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert simulation.waiting == n, simulation.waiting
    return (after - before) / n


def main() -> int:
    """Print the tables; return 1 if a ratio or the memory rule is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=10_000)
    n = parser.parse_args().n
    rows = [
        ratio("callback", n, turns=7),
        ratio("polling", n, turns=1),
        ratio("polling", n // 10, turns=3),
        ratio("polling", n // 10, turns=3, poll_work="0s"),
    ]
    speed = pd.DataFrame(rows)
    print(speed.to_string(index=False, float_format="{:.3g}".format))
    memory = {label: bytes_per_wait(strategy, n // 10) for label, strategy in STRATEGIES.items()}
    below = memory["callback"] < memory["polling"]
    print("\nbytes per waiting instance at 21:00")
    for label, found in memory.items():
        print(f"  {label:10} {found:8,.0f}")
    print(f"  below under callback: {'yes' if below else 'NO'}")
    return 0 if speed["met"].all() and below else 1


if __name__ == "__main__":
    sys.exit(main())
