"""A sweep against the bare kernels of the compiled engine, on the same random numbers.

Run it with ``python tests/benchmarks/sweep.py``: 200 points of scenario R, 30 replications each, at
10,000 instances under callback; ``--quick`` for a tenth of the points, replications and instances.
The bare kernels get draws that are ready, and hand over arrays. A sweep draws the numbers itself,
checks the laws of every run, and works out its figures. Parts and whole take turns point by point,
so that the ratios hold on a machine that has other things to do as well.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from scenario_r import CALLBACK, scenario_r

import asyncsim as sim
from asyncsim.engine.metrics import compute_metrics
from asyncsim.engine.result import check_invariants
from asyncsim.fast.compiled import play_compiled
from asyncsim.fast.jit import can_compile
from asyncsim.model.scenario import changed

T = TypeVar("T")
ALONE, SWEEP = "bare kernels", "sweep, one process"


class Stopwatch:
    """Adds up the time of named parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, play: Callable[[], T]) -> T:
        """Run a part and return its result."""
        began = time.perf_counter()
        result = play()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        return result


def in_parts(scenario: sim.Scenario, replications: int, watch: Stopwatch) -> None:
    """Play a point as a sweep does, part by part."""
    for replication in range(replications):
        draws = watch("random numbers", lambda: scenario.draw(0, replication))  # noqa: B023
        draws = watch("random numbers", lambda: draws.completed_for(scenario))  # noqa: B023
        record = watch(ALONE, lambda: play_compiled(scenario, CALLBACK.strategy, draws, None, 60.0))  # noqa: B023
        watch("laws", lambda: check_invariants(record, scenario))  # noqa: B023
        watch("figures", lambda: compute_metrics(record, scenario))  # noqa: B023


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    quick = parser.parse_args().quick
    n, replications, works = (1_000, 3, 2) if quick else (10_000, 30, 20)
    scenario = scenario_r().replace(arrivals=sim.UniformArrivals(n, between=("08:00", "20:00")))
    grid = {
        "server.callback_work": [f"{10 * k}ms" for k in range(1, works + 1)],
        "server.workers": list(range(1, 11)),
    }

    def swept(grid: dict[str, list[object]], n_jobs: int = 1) -> sim.Sweep:
        options = {"n_jobs": n_jobs, "progress": False}
        return sim.sweep(scenario, grid, [CALLBACK.strategy], replications, **options)

    print("kernels are", "compiled by Numba" if can_compile() else "plain Python", "\n")
    sim.simulate(scenario, CALLBACK.strategy)  # compiles them, if need be
    watch = Stopwatch()
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        in_parts(changed(scenario, point), replications, watch)
        watch(SWEEP, lambda: swept({name: [value] for name, value in point.items()}))  # noqa: B023
    whole = watch("sweep of all points, 2 processes", lambda: swept(grid, 2))
    watch("table of that sweep", lambda: whole.table)
    runs = works * 10 * replications
    table = pd.DataFrame({"seconds": watch.seconds})
    table["per run [ms]"] = table["seconds"] / runs * 1e3
    table["times the kernels"] = table["seconds"] / watch.seconds[ALONE]
    print(f"{works * 10} points x {replications} replications, N = {n:,}, callback: {runs:,} runs")
    print(table.to_string(float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
