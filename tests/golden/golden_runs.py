"""Runs in few numbers: rows, and for each column of each table a weighted sum or a hash.

A sum has weights that differ from row to row, so rows that change places change it, too. A callback
label or a note is a text that may be written better some day, so no hash has the strategy's column.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from golden_scenarios import ALL_KINDS, GENERATED, generated, of_data

import asyncsim as sim

RUNS = Path(__file__).parent / "runs.json.gz"
ENGINES = ("simpy", "compiled")
TABLES = ("waits", "instances", "steps", "server", "deliveries")
WITHOUT = {"strategy", "scenario", "engine"}
EXACT = 1e-9
"""Engines agree within this many seconds, and so do sums for each of their rows."""
STAMP = 1e-6
"""Timestamps are rounded to microseconds."""

LAST_BITS, SUMMED = 1e-14, 1e-9
"""Relative errors of a weighted sum, and of a metric: thousands of checks are added up in it."""

Digest = dict[str, Any]
Played = tuple[str, sim.Scenario, sim.Strategy, int, str | None]


def plays() -> Iterator[Played]:
    """Yield a name, what is played, the seed, and when it stops."""
    for name, scenario in of_data().items():
        for number, strategy in enumerate(ALL_KINDS):
            yield f"{name} {number}", scenario, strategy, 1, None
    for key in range(GENERATED):
        scenario, strategies, until = generated(key)
        for number, strategy in enumerate(strategies):
            yield f"{key} {number}", scenario, strategy, key, until


def digest(play: Played, engine: str) -> Digest:
    """Play and return the tables in few numbers."""
    name, scenario, strategy, seed, until = play
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        run = sim.simulate(scenario, strategy, seed=seed, until=until, engine=engine)
    found = {table: _columns(getattr(run, table)) for table in TABLES}
    if name.endswith(" 0"):  # metrics and costs follow from the tables: once a scenario will do
        found["summary"] = _columns(run.summary())
    return found


def _columns(table: pd.DataFrame) -> Digest:
    kept = [column for column in table if column not in WITHOUT]
    return {"rows": len(table)} | {str(column): _column(table[column]) for column in kept}


def _column(values: pd.Series) -> Any:
    """Return a weighted sum, with the number of absent values if there are any, or a hash."""
    if values.name is not None and str(values.name).endswith("_at"):
        values = _seconds_on_the_wall(values)
        digits = 6
    elif pd.api.types.is_numeric_dtype(values):
        digits = 9
    else:
        text = "\n".join("" if pd.isna(value) else str(value) for value in values)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
    numbers = values.to_numpy(dtype=float)
    weights = 1 + np.cos(1 + np.arange(len(numbers))) / 2
    known = ~np.isnan(numbers)
    total = round(math.fsum(numbers[known] * weights[known]), digits)
    absent = int((~known).sum())
    return [total, absent] if absent else total


def _seconds_on_the_wall(stamps: pd.Series) -> pd.Series:
    """Return what a clock on the wall shows, in seconds since the beginning of 2026."""
    stamps = pd.to_datetime(stamps)
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_localize(None)
    return (stamps - pd.Timestamp("2026-01-01")).dt.total_seconds()


def differences(golden: Digest, now: Digest) -> list[str]:
    """Return what is not the same, one line for each column."""
    if set(golden) != set(now):
        return [f"tables {sorted(golden)} were {sorted(now)}"]
    lines = []
    for table, columns in golden.items():
        rows, found = columns["rows"], now[table]
        relative = SUMMED if table == "summary" else LAST_BITS
        for column in columns.keys() | found.keys():
            old, new = columns.get(column), found.get(column)
            exact = STAMP if column.endswith("_at") else EXACT
            if not _agree(old, new, rows, exact, relative):
                lines.append(f"{table}.{column}: {old} is now {new}")
    return sorted(lines)


def _agree(old: Any, new: Any, rows: int, tolerance: float, relative: float) -> bool:
    if type(old) is not type(new) or isinstance(old, str) or old is None:
        return bool(old == new)
    (one, *absent), (other, *more) = (x if isinstance(x, list) else [x] for x in (old, new))
    scale = tolerance * (1 + rows) + relative * abs(one)
    return absent == more and (one == other or abs(one - other) <= scale)


def write_runs() -> None:
    """Write the golden file with the reference engine's values, one run a line."""
    lines = [f'"{play[0]}": {json.dumps(digest(play, "simpy"))}' for play in plays()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    RUNS.write_bytes(gzip.compress(text.encode(), mtime=0))


def golden_runs() -> dict[str, Digest]:
    """Return the golden file's runs by name."""
    found: dict[str, Digest] = json.loads(gzip.decompress(RUNS.read_bytes()))
    return found
