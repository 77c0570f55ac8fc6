"""What one picture of each widget costs in the kernel.

Run it with ``python tests/benchmarks/widgets.py``. What the browser adds is measured by
``pytest tests/browser/test_explorer.py -s``: from the move of a slider to the picture on the page.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import asyncsim as sim


def milliseconds(act: Callable[[int], object], turns: int = 20) -> tuple[float, float]:
    """Return how long a call takes, the median and the worst of some turns."""
    times = []
    for k in range(turns):
        began = time.perf_counter()
        act(k)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times), max(times)


def main() -> None:
    """Print the table."""
    ledger = sim.Scenario.load("data/nightly_ledger.toml")
    explorer = sim.explore(ledger.replace(arrivals=sim.UniformArrivals(10_000)))
    rows = []
    for name, first in (("interval", 3), ("loss", 0), ("workers", 3), ("start", 40)):
        moves = [{"moves": {name: first + k}, "stamp": 1.0} for k in range(2)]
        explorer.on_message(moves[1])
        found = milliseconds(lambda k, moves=moves: explorer.on_message(moves[k % 2]))
        rows.append((f"explorer, 10,000 instances, {name} moved", *found))
    thousand = ledger.replace(arrivals=sim.UniformArrivals(1000, between=("08:00", "20:00")))
    session = sim.live(thousand, against=sim.Polling("15min"), seed=1)
    session.run_until("22:01")
    view = session.view()
    rows.append(("view, 1,000 instances, two strategies", *milliseconds(lambda _: view.refresh())))
    many = ledger.replace(arrivals=sim.UniformArrivals(10_000, between=("08:00", "20:00")))
    session = sim.live(many, against=sim.Polling("15min"), hold=True, seed=1)
    session.run_until("21:00")
    view = session.view()
    rows.append(("view, 10,000 instances, two strategies", *milliseconds(lambda _: view.refresh())))
    view.close()
    console = session.console()
    rows.append(("console, 10,000 waiting", *milliseconds(lambda _: console.refresh())))
    console.on_message({"do": "turn", "like": "99"})
    rows.append(("console, 10,000 waiting, a search", *milliseconds(lambda _: console.refresh())))
    console.on_message({"do": "turn", "like": ""})
    console.on_message({"do": "choose", "number": "5_31"})
    finish = milliseconds(lambda k: console.on_message({"do": "finish", "number": f"{k + 1}_31"}))
    rows.append(("console, a finish among 10,000", *finish))
    print(f"{'one picture':45} {'median':>9} {'worst':>9}")
    for what, median, worst in rows:
        print(f"{what:45} {median:>6.1f} ms {worst:>6.1f} ms")


if __name__ == "__main__":
    main()
