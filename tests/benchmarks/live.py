"""Live sessions: memory of a hundred thousand waiting steps, and the time of a finish among them.

Run it with ``python tests/benchmarks/live.py``; it prints a table, and then how many finishes a
second a session takes over REST, beside a plain app (`plain_rest.py`), in turns.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncsim as sim

FINISHES = 200
TURNS, REQUESTS, CONNECTIONS = 5, 2000, 16
SPEED = 36_000.0


def scenario(instances: int) -> sim.Scenario:
    """Everybody arrives in the first hour, and waits for people for ever."""
    return sim.Scenario(
        name="waiting",
        process=sim.Process("wait", [sim.AsyncStep("approve", "people", timeout="30 days")]),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.UniformArrivals(instances),
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


# --- over REST ------------------------------------------------------------------------------------


async def serve(file: str, speed: float) -> None:
    """Serve a session in which an instance arrives each minute, and REQUESTS of them wait."""
    session = sim.live(
        sim.Scenario(
            name="arriving",
            process=sim.Process("p", [sim.Step("read", "20s"), sim.AsyncStep("approve", "people")]),
            systems={"people": sim.People(2, "10min")},
            arrivals=sim.Regular("1min"),
            length="20 days",
        ),
        store=file,
        hold=True,
        speed=speed or 1.0,
    )
    session.run_for(60.0 * (REQUESTS + 1))
    endpoint = session.serve()
    if speed:
        session.play()
    print(endpoint.url.rpartition(":")[2], endpoint.token, flush=True)
    await endpoint.stopped()


async def finish_all(port: int, token: str) -> tuple[float, float]:
    """Finish every step once, over keep-alive connections; return the rate, and p99 in ms."""
    numbers, times = itertools.count(1), []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (number := next(numbers)) <= REQUESTS:
            started = time.perf_counter()
            writer.write(
                f"POST /api/workflow/v1/serverEvents/{number}_2/finish HTTP/1.1\r\n"
                f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
                "Content-Type: application/json\r\n"
                f'Content-Length: 17\r\n\r\n{{"InvoiceNo": 42}}'.encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            times.append(time.perf_counter() - started)
            assert head.startswith(b"HTTP/1.1 204"), head
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    rate = REQUESTS / (time.perf_counter() - started)
    return rate, statistics.quantiles(times, n=100)[98] * 1e3


def turn(command: list[str]) -> tuple[float, float]:
    """Measure a server in a process of its own."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port, token = server.stdout.readline().split()
            return asyncio.run(finish_all(int(port), token))
        finally:
            server.kill()


def spread(values: list[float]) -> str:
    """Return the median, and the least and the greatest."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def over_rest(folder: Path) -> None:
    """Print finishes a second, here and in a plain app, A, B, A, B, …"""
    plain_app = str(Path(__file__).with_name("plain_rest.py"))
    for speed in (0.0, SPEED):
        ours, plain = [], []
        for k in range(TURNS):
            ours.append(turn([__file__, "--serve", str(folder / f"{speed}-{k}.db"), str(speed)]))
            plain.append(turn([plain_app, str(folder / f"p{speed}-{k}.db"), str(REQUESTS)]))
        ratios = [mine[0] / other[0] for mine, other in zip(ours, plain, strict=True)]
        print(f"over REST, {f'clock at speed {speed:,.0f}' if speed else 'clock at rest'}:")
        for name, found in (("asyncsim", ours), ("plain", plain)):
            rates, p99 = zip(*found, strict=True)
            print(f"  {name:9} {spread([*rates])} finishes/s, p99 {spread([*p99])} ms")
        print(f"  asyncsim/plain, of the rates: {spread(ratios)}")


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
        over_rest(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2], float(sys.argv[3])))
    else:
        main()
