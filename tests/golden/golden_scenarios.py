"""300 small scenarios, as the tables of scenario files, and the strategies they are played under.

Scenario k comes from ``random.Random(k)`` and is read as a file is, so that it depends on the keys
of scenario files and on nothing else in the package. Times are round numbers, so that arrivals,
checks, completions and time-outs often fall together.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import tomli_w

import asyncsim as sim

GENERATED = 300
HERE = Path(__file__).parent
DATA = HERE.parents[1] / "data"
Table = dict[str, Any]

# A Monday, the days before the two nights on which Berlin's clocks jump, the day before Christmas
STARTS = ("2026-01-05", "2026-03-28", "2026-10-24", "2026-12-24")
CHANGES = ("2026-03-28", "2026-10-24")
PLACES = (None, None, "DE", "DE-BY")
WINDOWS = (("00:00", "24:00"), ("08:00", "20:00"), ("02:30", "12:00"))
DAYS = ("every day", "Mon-Fri", "Fri-Mon", "Mon, Wed, Sat")
SHARES = (0.0, 0.0, 0.1, 0.25, 0.5)
LIMITS = ("2 refilled 1/s", "1 refilled 3/min", "3 refilled 0.1/s", "3 per 10 s", "1 per 60 s")
TIMES = ("0s", "1s", "10s", "1min", "5min", "30min")


class Writer:
    """Writes the tables of one scenario file."""

    def __init__(self, key: int) -> None:
        self.random = random.Random(key)
        self.key = key
        self.numbers = itertools.count(1)
        self.systems: list[str] = []
        self.start = self.one(*STARTS)
        self.changes = self.start in CHANGES

    def one(self, *values: Any) -> Any:
        """Return one of the values."""
        return self.random.choice(values)

    def some(self, **options: Any) -> Table:
        """Return the options that have a value, each with a chance of one half."""
        chosen = {key: value for key, value in options.items() if self.random.random() < 0.5}
        return {key: value for key, value in chosen.items() if value is not None}

    def time(self) -> Any:
        """Return a distribution of a time; half of them are fixed."""
        fixed = self.one(*TIMES)
        mean = self.one("1s", "10s", "1min", "10min")
        choices = {
            "exponential": {"mean": mean},
            "lognormal": {"mean": mean, "sd": self.one("5s", "1min")}
            | self.some(low="1s", high="1h"),
            "uniform": {"low": self.one("0s", "1s"), "high": mean if mean != "1s" else "2s"},
            "gamma": {"mean": mean, "sd": self.one("5s", "1min")},
            "empirical": {"values": [self.one(0.0, 1.0, 60.0, 90.0, 600.0) for _ in range(3)]},
        }
        name = self.one(*choices)
        return fixed if self.random.random() < 0.5 else {"law": name} | choices[name]

    def arrivals(self) -> Table:
        """Return arrivals of one kind: kind k % 5, so that each has its share."""
        hours = self.some(
            between=self.one(*WINDOWS),
            days=self.one("every day", "Fri-Mon" if self.changes else "Mon-Fri"),
            holidays=self.one(*PLACES),
        )
        kind = ("poisson", "weekly poisson", "scattered", "regular", "at")[self.key % 5]
        if kind == "poisson":
            rate = self.one("8/day", "1/h", "60/week")
            return {"kind": kind, "rate": rate} | hours | self.some(size=2)
        if kind == "weekly poisson":
            rates = [0.0] * 24
            for hour in (0, 2, 8, 22):
                rates[hour] = float(self.one(0, 2, 5))
            rates[9] = 3.0
            more = self.some(volume=0.5, size=2, holidays=self.one(*PLACES))
            return {"kind": kind, "rates": rates} | more
        if kind == "scattered":
            window = self.some(between=self.one(*WINDOWS))
            return {"kind": kind, "count": self.random.randint(1, 40)} | window
        if kind == "regular":
            every = self.one("1h", "2h", "4h")
            return {"kind": kind, "every": every} | hours | self.some(offset=self.one(*TIMES))
        instants = [0.0, 1.0, 3600.0, 28800.0, 28860.0, 79200.0]
        return {"kind": kind, "times": sorted(self.one(*instants) for _ in range(20))}

    def system(self, depth: int = 1) -> Table:
        """Return an external system; a chain holds no further chain."""
        kinds = ["nightly batch", "nightly batch", "online service", "people", "recorded"]
        kind = self.one(*kinds, "chain") if depth else self.one(*kinds[:4])
        if kind == "chain":
            return {"kind": kind, "systems": [self.system(0) for _ in range(self.one(2, 3))]}
        if kind == "recorded":
            times = [self.one(0.0, 60.0, 28900.0, 40000.0, 90000.0) for _ in range(500)]
            return {"kind": kind, "completions": times}
        if kind == "online service":
            return {"kind": kind, "item_time": self.time()} | self.some(
                lanes=self.one(2, 3, "unlimited")
            )
        if kind == "people":
            hours = self.some(
                between=self.one(*WINDOWS), days=self.one(*DAYS), holidays=self.one(*PLACES)
            )
            return {"kind": kind, "team": self.random.randint(1, 3), "item_time": self.time()} | (
                hours
            )
        start = self.one("22:00", "02:30", "03:30", "24:00", "00:00", "0 22 * * 1-5")
        days = self.one(*DAYS)
        if self.changes:  # most batches run while the clocks change
            start, days = self.one("22:00", "02:30", "02:30", "01:59", "30 2 * * *"), "every day"
        return {"kind": kind, "start": start, "item_time": self.time()} | self.some(
            days=days,
            holidays=self.one(*PLACES),
            cut_off=self.one("20:00", "23:00", "02:30"),
            lanes=self.one(2, 3),
            max_items=self.one(10, 20),
            end=self.one("05:00", "03:15", "03:00"),
            skip=self.one(0.1, 0.5),
            failure=self.one(0.1, 0.5),
            results="at end",
        )

    def name(self, word: str) -> str:
        """Return a name that the process has once."""
        return f"{word} {next(self.numbers)}"

    def elements(self, depth: int, least: int = 0) -> list[Table]:
        """Return elements of a process."""
        kinds = ["step", "async step", "async step", "choice", "parallel"]
        names = [
            self.one(*(kinds if depth else kinds[:3])) for _ in range(self.random.randint(least, 2))
        ]
        return [self.element(name, depth) for name in names]

    def element(self, kind: str, depth: int) -> Table:
        """Return one element of a process."""
        table: Table = {"kind": kind, "name": self.name(kind)}
        if kind == "step":
            return table | {"work": self.time()}
        if kind == "parallel":
            ways = [{"steps": self.elements(depth - 1, least=1)} for _ in range(self.one(2, 3))]
            return table | {"branches": ways}
        if kind == "choice":
            share = self.one(*SHARES)
            ways = [
                {"probability": part, "steps": self.elements(depth - 1)}
                for part in (share, 1 - share)
            ]
            return table | {"branches": ways}
        return table | self.waiting(depth)

    def waiting(self, depth: int) -> Table:
        """Return what an asynchronous step has beside its name."""
        arm = self.some(arm="before call")
        if not arm:
            arm = self.some(arm_delay=self.one("1s", "1min", "30min"))
            if depth and self.random.random() < 0.2:
                arm["on_accepted"] = self.elements(depth - 1)
        done, rejected = self.one(*SHARES), self.one(*SHARES)
        response = {"accepted": 1 - done - rejected, "done": done, "rejected": rejected}
        paths = {}
        for key in ("on_done", "on_rejected", "on_timeout"):
            way = self.one("fail", "continue", "continue", "steps")
            paths[key] = (self.elements(depth - 1) if depth else "continue", way)[way != "steps"]
        return (
            {"system": self.one(*self.systems)}
            | arm
            | paths
            | self.some(
                call_work=self.time(),
                response=response,
                timeout=self.one("10min", "15min", "1h", "12h", "2d"),
            )
        )

    def server(self) -> Table:
        """Return a workflow server."""
        policy = self.some(
            early=self.one("buffer", "ignore"),
            buffer_for=self.one("10s", "1h"),
            duplicate="accept",
            late="accept",
            unknown="ignore",
        )
        return {"workers": self.random.randint(1, 3), "policy": policy} | self.some(
            poll_work=self.one("10ms", "1s", "10s"),
            callback_work=self.one("20ms", "1s", "10s"),
            finish_limit=self.one(*LIMITS),
            check_operations=1,
            callback_operations=5,
        )

    def costs(self) -> Table:
        """Return prices."""
        return self.some(
            check=0.01,
            request=0.002,
            transition=0.0001,
            transitions_per_check=2,
            transitions_per_call=2,
            late_minute=0.5,
            service_level=self.one("30s", "5min"),
            currency="EUR",
        ) | {"worker_hour": 2.5, "worker_time": self.one("overhead", "busy", "provided")}

    def scenario(self) -> Table:
        """Return a whole scenario; it waits at least once."""
        names = [f"system {k}" for k in range(self.one(1, 2))]
        self.systems = names
        steps = [*self.elements(depth=1), self.element("async step", depth=1)]
        return {
            "name": f"generated {self.key}",
            "start": self.start,
            "length": "2d" if self.changes else self.one("1d", "2d"),
            "process": {"name": "process", "steps": steps} | self.some(first_activation=30),
            "systems": {name: self.system() for name in names},
            "arrivals": self.arrivals(),
            "server": self.server(),
            **({"zone": "Europe/Berlin"} if self.changes or self.random.random() < 0.3 else {}),
        } | self.some(costs=self.costs(), description="made by chance")

    def strategies(self) -> list[sim.Strategy]:
        """Return two or three strategies of different kinds."""
        late = ("10min", "15min", "1h")
        anchor = self.one("arming", "clock", "random")
        callback: Table = {"delay": self.one("0s", "50ms", "10s", sim.exponential("10s"))}
        callback |= self.some(
            loss=self.one(0.1, 0.5), retries=["5s", "5min", "30min"][: self.one(1, 2, 3)],
            duplicates=self.one(0.1, 0.5), duplicate_delay=self.one("0s", "1s", "10min"),
        )  # fmt: skip
        limit = self.some(limit=self.one(1, 5, 20))
        jitter = self.one("none", "full", "equal", "decorrelated")
        kinds = [
            sim.Callback(self.one("0s", "50ms", "1min")),
            sim.Callback(**callback),
            sim.Polling(self.one(*late), anchor, **limit, **self.some(jitter="1min")),
            sim.Backoff(self.one("10s", "1min"), self.one(1.5, 2, 3), "1h", jitter, **limit),
            sim.LongPolling(self.one("10min", "30min", "1h")),
            sim.CallbackWithSafetyPoll(**callback, every=self.one(*late), anchor=anchor),
        ]
        return self.random.sample(kinds, self.one(2, 2, 3))


def read(table: Table) -> sim.Scenario:
    """Return the scenario whose file has this table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        path.write_text(tomli_w.dumps(table), encoding="utf-8")
        return sim.Scenario.load(path)


def generated(key: int) -> tuple[sim.Scenario, list[sim.Strategy], str | None]:
    """Return scenario number `key`, its strategies, and when it stops; one in five stops early."""
    writer = Writer(key)
    table = writer.scenario()
    strategies = writer.strategies()
    return read(table), strategies, writer.one(None, None, None, None, "20h")


ALL_KINDS = (
    sim.Callback("50ms"),
    sim.Callback(
        sim.exponential("1s"), loss=0.1, retries=["5s", "5min"], duplicates=0.1,
        duplicate_delay="2s",
    ),
    sim.Polling("15min"),
    sim.Polling("10min", "clock", jitter="1min"),
    sim.Polling("10min", "random", limit=40),
    sim.Backoff("30s", 2, "1h"),
    sim.Backoff("1min", 1.5, "30min", "decorrelated"),
    sim.LongPolling("10min"),
    sim.CallbackWithSafetyPoll("1s", loss=0.2, every="1h"),
)  # fmt: skip
"""Every scenario of ``data/`` is played under these."""

SHORTER: dict[str, dict[str, Any]] = {
    "capstone": {"arrivals": sim.Poisson("400/day", between=("08:00", "20:00"))},
    "nightly_ledger": {"arrivals": sim.Poisson("400/day", between=("08:00", "20:00"))},
    "lines_of_business": {"arrivals": sim.Poisson("60/day", between=("08:00", "18:00"))},
    "person": {"arrivals": sim.Poisson("30/day", between=("07:00", "19:00"), days="Mon-Fri")},
    "workshop": {"length": "3d"},
}
"""What is changed in scenarios of ``data/``, so that playing them takes little time."""


OF_DATA = ("herd_rate_limit", *SHORTER)
"""Scenarios of ``data/`` that are pinned; all of them have tests of their own."""


def of_data() -> dict[str, sim.Scenario]:
    """Return the scenarios of ``data/`` by name, with fewer arrivals."""
    found = {}
    for name in OF_DATA:
        path = DATA / f"{name}.toml"
        scenario = sim.Scenario.load(path)
        if path.stem == "herd_rate_limit":
            table = path.read_text(encoding="utf-8").replace("count = 10000", "count = 400")
            table = table.replace("1500 refilled 300/s", "60 refilled 12/s")
            with tempfile.TemporaryDirectory() as folder:
                short = Path(folder) / path.name
                short.write_text(table, encoding="utf-8")
                scenario = sim.Scenario.load(short)
        found[path.stem] = scenario.replace(**SHORTER.get(path.stem, {}))
    return found
