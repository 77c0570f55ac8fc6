"""Live sessions: memory of a hundred thousand waiting steps, and the time of a finish among them.

Run it with ``python tests/benchmarks/live.py``; it prints a table.
"""

from __future__ import annotations

import gc
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncsim as sim

FINISHES = 200


def scenario(instances: int) -> sim.Scenario:
    """Everybody arrives in the first hour, and waits for people for ever."""
    return sim.Scenario(
        name="waiting",
        process=sim.Process("wait", [sim.AsyncStep("approve", "people", timeout="30 days")]),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.Scattered(instances),
        length="1h",
    )


def resident() -> float:
    """Return the memory of this process in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the most it ever had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def measure(instances: int, folder: Path) -> tuple[float, ...]:
    """Return memory before anything waits and when all do, playing time, and a finish's time."""
    session = sim.live(scenario(instances), store=folder / f"{instances}.db", hold=True)
    session.run_until(1.0)
    gc.collect()
    before, started = resident(), time.perf_counter()
    session.run_until("01:00")
    played = time.perf_counter() - started
    gc.collect()
    after = resident()
    assert session.waiting_count == instances
    chosen = random.Random(1).sample(range(1, instances + 1), min(FINISHES, instances))
    times = []
    for number in chosen:
        started = time.perf_counter()
        session.finish(f"{number}_1", {"InvoiceNo": number})
        times.append(time.perf_counter() - started)
    session.close()
    started = time.perf_counter()
    sim.live(store=folder / f"{instances}.db").close()
    opened = time.perf_counter() - started
    return before, after, played, statistics.median(times) * 1e3, opened


def main() -> None:
    """Print the table."""
    print("waiting    MiB before  MiB after  kB each  played   a finish  opened again")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for instances in (100, 1_000, 10_000, 100_000):
            before, after, played, finish, opened = measure(instances, Path(folder))
            each = (after - before) * 1024 / instances
            print(
                f"{instances:>7,} {before:>12.1f} {after:>10.1f} {each:>8.2f} {played:>6.2f} s "
                f"{finish:>7.2f} ms {opened:>9.2f} s"
            )


if __name__ == "__main__":
    main()
