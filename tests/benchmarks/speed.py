"""Speed and memory of both engines against a plain hand-written SimPy model of scenario R.

Run it with ``make bench``, or ``python tests/benchmarks/speed.py --quick`` for a tenth of the
instances. All models get the same random numbers and take turns in one process, so that the ratios
hold on any machine. Of asyncsim two things are timed: the *engine*, from random numbers to the
record of what happened, as the hand-written model does it; and all of `asyncsim.simulate`, which
checks the laws of the run as well.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import plain_simpy
from scenario_r import CALLBACK, CASES, POLLING, Case, draws, scenario_r

import asyncsim as sim
from asyncsim.engine.result import Record
from asyncsim.fast import background_compilation
from asyncsim.fast.compiled import play_compiled
from asyncsim.fast.jit import can_compile

SIMPY_MOST = 1.3
"""The SimPy engine may take this many times as long as the hand-written model."""
SIZES = [1_000, 10_000, 100_000, 1_000_000]
PATIENCE = 60.0
"""The hand-written model is not played at sizes at which it would take more seconds than this."""
COLD = """
import time; began = time.perf_counter()
import asyncsim as sim
sim.simulate(sim.Scenario.load("data/nightly_ledger.toml"), sim.Polling("15min"))
print(time.perf_counter() - began)
"""
IMPORT = """
import time
{imported}
print(time.process_time())
"""
BARE = "import asyncsim"
EAGER = "import asyncsim, scipy.stats, matplotlib.pyplot"
LARGE = """
import resource, sys, time; sys.path.insert(0, "tests/benchmarks")
import asyncsim as sim, plain_simpy, scenario_r
numbers = scenario_r.draws(plain_simpy.Numbers.draw(1_000_000))
began = time.perf_counter()
run = sim.simulate(scenario_r.scenario_r(), scenario_r.{case}.strategy, draws=numbers)
took = time.perf_counter() - began
print(took, int(run.record.waits.checks.sum()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)
"""


def seconds(play: Callable[[], object], turns: int = 1) -> float:
    """Return how long a call takes (median of some turns), the collector having been run before."""
    found = []
    for _ in range(turns):
        gc.collect()
        start = time.perf_counter()
        play()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def ratios(case: Case, sizes: list[int]) -> Iterator[dict[str, object]]:
    """Time all models in turns, as long as the hand-written one is not too slow."""
    scenario, strategy, plain, last = case.scenario, case.strategy, 0.0, 1
    for n in sizes:
        if plain * n / last > PATIENCE:  # its time grows at least in proportion
            return
        numbers = plain_simpy.Numbers.draw(n)
        ours, rows = draws(numbers), []
        for _ in range(5 if plain * n / last < 1.0 else 1):
            plain = seconds(lambda: case.plain(numbers))  # noqa: B023
            engine = seconds(lambda: play_compiled(scenario, strategy, ours, None, 60.0), 5)  # noqa: B023
            whole = seconds(lambda: sim.simulate(scenario, strategy, draws=ours), 5)  # noqa: B023
            rows.append((plain, engine, whole, plain / engine, plain / whole))
        found = [statistics.median(column) for column in zip(*rows, strict=True)]
        names = ["hand-written [s]", "engine [s]", "simulate [s]", "ratio engine", "ratio simulate"]
        plain, last = found[0], n
        yield {"compiled engine": case.name, "N": n, **dict(zip(names, found, strict=True))}


def simpy_ratio(case: Case, n: int, turns: int) -> dict[str, object]:
    """Time the SimPy engine and the hand-written model in turns."""
    numbers = plain_simpy.Numbers.draw(n)
    ours, pairs = draws(numbers), []
    for _ in range(turns):
        plain = seconds(lambda: case.plain(numbers))
        engine = seconds(
            lambda: sim.simulate(case.scenario, case.strategy, draws=ours, engine="simpy")
        )
        pairs.append((plain, engine))
    return {
        "SimPy engine": case.name,
        "N": n,
        "hand-written [s]": statistics.median(plain for plain, _ in pairs),
        "simulate [s]": statistics.median(engine for _, engine in pairs),
        "times as long": statistics.median(engine / plain for plain, engine in pairs),
        "at most": SIMPY_MOST,
    }


def growth(case: Case, n: int) -> dict[str, object]:
    """Time the compiled engine at one size, with workers and lanes that keep the load the same."""
    scenario = scenario_r(case.poll_work, max(4 * n // 10_000, 1), max(n // 10_000, 1))
    ours = draws(plain_simpy.Numbers.draw(n))
    records: list[Record] = []
    took = seconds(
        lambda: records.append(play_compiled(scenario, case.strategy, ours, None, 60.0)),
        turns=1 if n > 100_000 else 5,
    )
    checks = int(records[-1].waits.checks.sum())
    return {
        "growth": case.name,
        "N": n,
        "checks": checks,
        "engine [s]": took,
        "per instance [µs]": took / n * 1e6,
        "per check [ns]": took / checks * 1e9 if checks else math.nan,
    }


def bytes_per_wait(strategy: sim.Strategy, n: int) -> float:
    """Return the memory that an instance takes in the SimPy engine which waits at 21:00."""
    numbers = draws(plain_simpy.Numbers.draw(n))
    tracemalloc.start()
    simulation = sim.Simulation(scenario_r(), strategy, numbers)
    before = tracemalloc.get_traced_memory()[0]
    simulation.run(until=21 * 3600)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert simulation.waiting == n, simulation.waiting
    return (after - before) / n


def alone(code: str) -> list[float]:
    """Run code in a Python of its own; return the numbers it prints."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in found.stdout.split()]


def show(rows: list[dict[str, object]]) -> None:
    """Print rows as a table."""
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format), "\n")


def main() -> int:
    """Print the tables; return 1 if the SimPy engine is too slow or a waiting record too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the instances")
    n = 1_000 if parser.parse_args().quick else 10_000
    sizes = [size for size in SIZES if size <= 100 * n]
    print("kernels are", "compiled by Numba" if can_compile() else "plain Python", "\n")
    background_compilation.warm_up()
    show([row for case in CASES for row in ratios(case, sizes if n > 1_000 else [n])])
    show([growth(case, size) for case in (CALLBACK, POLLING) for size in sizes])
    slow = [simpy_ratio(CALLBACK, n, turns=5), simpy_ratio(POLLING, n // 10, turns=3)]
    show(slow)
    for name in ("CALLBACK", "POLLING") if n > 1_000 else ():
        took, checks, memory = alone(LARGE.format(case=name))
        print(
            f"1,000,000 instances, {name.lower()}, {checks:,.0f} checks, 4 workers: "
            f"{took:.2f} s, {memory:.2f} GiB at the most"
        )
    print(f"first result of a new Python, kernels on disk: {alone(COLD)[0]:.2f} s")
    turns = [[alone(IMPORT.format(imported=one))[0] for one in (BARE, EAGER)] for _ in range(5)]
    bare, eager = map(statistics.median, zip(*turns, strict=True))
    print(f"import asyncsim: {bare:.2f} s of CPU, {bare / eager:.2f} of {eager:.2f} s with what it")
    print("imports when wanted\n")
    memory = {case: bytes_per_wait(case.strategy, n // 10) for case in (CALLBACK, POLLING)}
    print("bytes per waiting instance at 21:00, SimPy engine")
    for case, found in memory.items():
        print(f"  {case.name:20} {found:8,.0f}")
    well = memory[CALLBACK] < memory[POLLING]
    return 0 if well and all(row["times as long"] <= SIMPY_MOST for row in slow) else 1


if __name__ == "__main__":
    sys.exit(main())
