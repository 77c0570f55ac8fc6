"""Finished points of a sweep in a SQLite file: a sweep that was stopped can be resumed.

Each point is a row with a checksum; if it is damaged, the point is played again.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import pickle
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.engine.metrics import METRICS
from asyncsim.errors import ScenarioError, warn
from asyncsim.experiment.output import named_file
from asyncsim.model import scenario_files
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.validation import scenario_error
from asyncsim.platform import database_hint
from asyncsim.studies.parameters import Point, Values

TABLES = """
create table sweep (what text primary key, is_ text not null);
create table points (point text primary key, metrics blob, checksum text);
"""
VERSION = "version of asyncsim"
OTHER = dict.fromkeys(("swept fields", "replications", "figures", "strategies"), "other")


def identity(
    scenario: Scenario,
    grid: Mapping[str, Any],
    sample: int | None,
    strategies: Mapping[str, Strategy],
    replications: int,
    seed: int,
    engine: str,
) -> dict[str, str]:
    """Return what two sweeps must share for one to resume the other."""
    return {
        VERSION: version("asyncsim"),
        "swept fields": ", ".join(grid),
        # The points of a sample belong together; a grid may be made larger
        "sample": "none" if sample is None else f"{sample} of {dict(grid)}",
        "replications": str(replications),
        "seed": str(seed),
        "engine": engine,
        "figures": ", ".join(METRICS),
        "strategies": "\n".join(f"{label}: {_text(one)}" for label, one in strategies.items()),
        "scenario": _text(scenario),
    }


def _text(described: Scenario | Strategy) -> str:
    try:
        if isinstance(described, Scenario):
            return scenario_files.dumps(described)
        return json.dumps(scenario_files.strategy_table(described))
    except ScenarioError:  # no file holds a custom class
        return _digest(described)


def _digest(described: object) -> str:
    try:
        return hashlib.sha256(pickle.dumps(described)).hexdigest()
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise ScenarioError(
            f"resume needs classes defined at the level of a module, got {described!r} ({problem})"
        ) from None


class Checkpoint:
    """The file of one sweep, created if there is none; errors name how another file differs."""

    def __init__(self, path: str | Path, sweep: dict[str, str], shape: tuple[int, int]) -> None:
        if not isinstance(path, (str, Path)) or not str(path):
            right = "must be the path of a file such as 'sweep.sqlite'"
            raise scenario_error("resume", right, path)
        self.path = named_file(path, "resume")
        self.shape = shape
        with self._sqlite_errors(), ExitStack() as stack:
            self._db = stack.enter_context(closing(sqlite3.connect(self.path)))
            self._open(sweep)
            stack.pop_all()  # open until it is closed, unless something was wrong

    @contextmanager
    def _sqlite_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as problem:
            raise scenario_error(
                "resume",
                f"must be a new file or one of a sweep, to be read and written ({problem}); "
                f"delete a damaged one, and its points are played again{database_hint()}",
                str(self.path),
            ) from None

    def _open(self, sweep: dict[str, str]) -> None:
        (state,) = self._db.execute("pragma quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        if not self._db.execute("select count(*) from sqlite_master").fetchone()[0]:
            self._db.executescript(f"begin; {TABLES} commit;")
            with self._db:
                self._db.executemany("insert into sweep values (?, ?)", sweep.items())
            return
        found = {str(k): str(v) for k, v in self._db.execute("select what, is_ from sweep")}
        if found.get(VERSION) != sweep[VERSION]:
            raise ScenarioError(
                f"resume must be a file of asyncsim {sweep[VERSION]}, got {str(self.path)!r} of "
                f"{found.get(VERSION, 'an unknown version')!r}: take a new file, or continue with "
                "that version"
            )
        for what, here in sweep.items():
            if found.get(what) != here:
                raise ScenarioError(
                    f"resume must be a file of this same sweep, got {str(self.path)!r}, which has "
                    f"{OTHER.get(what, 'another')} {what}: {_difference(found.get(what, ''), here)}"
                )

    def of(self, points: Sequence[Point]) -> dict[int, Floats]:
        """Return the metrics of the finished points, by their numbers; warn of damaged rows."""
        with self._sqlite_errors():
            rows = self._db.execute("select point, metrics, checksum from points").fetchall()
        stored = {
            key: metrics if checksum == _checksum(key, metrics) else None
            for key, metrics, checksum in rows
        }
        keys = {point.number: _key(point.values) for point in points if point.scenario}
        found = {number: stored[key] for number, key in keys.items() if key in stored}
        damaged = sum(metrics is None for metrics in found.values())
        if damaged:
            warn(
                f"resume: {damaged} {'rows' if damaged > 1 else 'row'} of {str(self.path)!r} "
                f"damaged; {'their points are' if damaged > 1 else 'its point is'} played again"
            )
        return {
            number: np.frombuffer(metrics).reshape(*self.shape, len(METRICS))
            for number, metrics in found.items()
            if metrics is not None
        }

    def put(self, values: Values, metrics: Floats) -> None:
        """Store the metrics of a finished point."""
        key, content = _key(values), metrics.tobytes()
        with self._sqlite_errors(), self._db:
            row = (key, content, _checksum(key, content))
            self._db.execute("insert or replace into points values (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _checksum(key: str | None, metrics: object) -> str:
    return hashlib.sha256(repr((key, metrics)).encode()).hexdigest()


def _key(values: Values) -> str:
    """Return the key of a point: its values as text, objects by a digest of their content."""
    plain = (str, int, float, bool, date, timedelta, type(None))
    return repr([one if isinstance(one, plain) else _digest(one) for one in values])


def _difference(there: str, here: str) -> str:
    """Return how two texts differ; of long ones the lines that do."""
    if "\n" not in there + here:
        return f"{there!r} there, {here!r} here"
    lines = list(difflib.unified_diff(there.splitlines(), here.splitlines(), "", "", "", "", 0))
    old = [line[1:] for line in lines[2:] if line.startswith("-")]
    new = [line[1:] for line in lines[2:] if line.startswith("+")]
    if sorted(old) == sorted(new):
        return "the same ones in another order"
    return f"{'; '.join(old) or 'nothing'!r} there, {'; '.join(new) or 'nothing'!r} here"
