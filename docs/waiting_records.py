"""Measure memory and disk space of steps that wait in a live session; ``claims.md`` runs this.

``python docs/waiting_records.py 10000`` prints as JSON: the number of waiting steps, the memory of
the process in bytes at the start of the session and while they wait, and the size of the closed
store.
"""

import gc
import json
import resource
import sys
import tempfile
from pathlib import Path

import asyncsim as sim


def occupied() -> int:
    """Return the memory of this process in bytes."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: peak memory, in KiB, or in bytes on macOS
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def main(waiting: int, seed: int) -> None:
    """Start a session in which this many steps wait for people, and measure it."""
    scenario = sim.Scenario(
        name="waiting",
        process=sim.Process("wait", [sim.AsyncStep("approve", system="people")]),
        systems={"people": sim.People(1, "10min")},
        arrivals=sim.UniformArrivals(waiting),
        length="1h",
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "session.db")
        session = sim.live(scenario, store=store, hold=True, seed=seed)
        session.run_until(1.0)
        gc.collect()
        found = {"at the start": occupied()}
        session.run_until("01:00")
        gc.collect()
        found |= {"when they wait": occupied(), "waiting": session.waiting_count}
        session.close()  # merges the write-ahead log into the file
        print(json.dumps(found | {"store": store.stat().st_size}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
