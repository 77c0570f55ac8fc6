"""Finished points of a sweep in a SQLite file: a sweep that was stopped can be resumed.

Each row has a checksum. A point with a damaged, missing or additional row is played again.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import pickle
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.engine.metrics import METRICS
from asyncsim.errors import ScenarioError, warn
from asyncsim.experiment.output import named_file
from asyncsim.experiment.parameters import Point, Values
from asyncsim.model import scenario_files
from asyncsim.model.distributions import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.validation import scenario_error
from asyncsim.platform import database_hint

TABLES = """
create table sweep (what text primary key, is_ text not null);
create table runs (point text, replication integer, strategy integer, {columns}, checksum text,
    primary key (point, replication, strategy));
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
    texts = {label: _strategy_text(strategy) for label, strategy in strategies.items()}
    return {
        VERSION: version("asyncsim"),
        "swept fields": ", ".join(grid),
        # The points of a sample belong together; a grid may be made larger
        "sample": "none" if sample is None else f"{sample} of {dict(grid)}",
        "replications": str(replications),
        "seed": str(seed),
        "engine": engine,
        "figures": ", ".join(METRICS),
        "strategies": "\n".join(f"{label}: {text}" for label, text in texts.items()),
        "scenario": _scenario_text(scenario),
    }


def _scenario_text(scenario: Scenario) -> str:
    try:
        return scenario_files.dumps(scenario)
    except ScenarioError:  # no file holds a custom class
        return _digest(scenario)


def _strategy_text(strategy: Strategy) -> str:
    try:
        return json.dumps(scenario_files.strategy_table(strategy))
    except ScenarioError:
        return _digest(strategy)


def _digest(described: object) -> str:
    try:
        return hashlib.sha256(pickle.dumps(described)).hexdigest()
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise ScenarioError(
            f"resume needs classes defined at the level of a module, got {described!r} ({problem})"
        ) from None


class Checkpoint:
    """The file of one sweep; created if there is none.

    `sweep` is its `identity`, `shape` the number of replications and strategies of each point.

    Raises
    ------
    ScenarioError
        If the file is not a checkpoint, cannot be read or written, or is of another version of
        asyncsim or of another sweep, naming the difference.
    """

    def __init__(self, path: str | Path, sweep: dict[str, str], shape: tuple[int, int]) -> None:
        if not isinstance(path, (str, Path)) or not str(path):
            raise scenario_error(
                "resume", "must be the path of a file such as 'sweep.sqlite'", path
            )
        self.path = named_file(path, "resume")
        self.shape = shape
        with self._reading():
            self._db = sqlite3.connect(self.path)
        try:
            with self._reading():
                self._open(sweep)
        except BaseException:
            self._db.close()
            raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise errors of SQLite as a `ScenarioError` with the file and what to do."""
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
            columns = ", ".join(f"{name} real" for name in METRICS)
            self._db.executescript(f"begin; {TABLES.format(columns=columns)} commit;")
            with self._db:
                self._db.executemany("insert into sweep values (?, ?)", sweep.items())
            return
        found = {str(k): str(is_) for k, is_ in self._db.execute("select what, is_ from sweep")}
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
        """Return the metrics of the finished points, by their numbers.

        Warns
        -----
        UserWarning
            If rows are damaged; their points are played again.
        """
        found, damaged, again = {}, 0, 0
        for point in points:
            if point.scenario is None:
                continue
            key = _key(point.values)
            with self._reading():
                rows = self._db.execute(
                    "select replication, strategy, checksum, "
                    f"{', '.join(METRICS)} from runs where point = ? order by 1, 2",
                    (key,),
                ).fetchall()
            good = [row for row in rows if row[2] == _checksum(key, row[0], row[1], row[3:])]
            if [row[:2] for row in good] == list(np.ndindex(self.shape)) and len(good) == len(rows):
                metrics = np.array([row[3:] for row in good], dtype=float)  # None becomes NaN
                found[point.number] = metrics.reshape(*self.shape, len(METRICS))
            elif rows:
                again += 1
                damaged += max(len(rows), self.shape[0] * self.shape[1]) - len(good)
        if again:
            warn(
                f"resume: {damaged} {'rows' if damaged > 1 else 'row'} of {str(self.path)!r} "
                f"damaged or missing; {again} {'points are' if again > 1 else 'point is'} played "
                "again"
            )
        return found

    def put(self, values: Values, metrics: Floats) -> None:
        """Store the metrics of a finished point in one transaction."""
        key, marks = _key(values), ", ".join("?" * (4 + len(METRICS)))
        rows: list[tuple[Any, ...]] = []
        for k, s in np.ndindex(self.shape):
            numbers = metrics[k, s].tolist()
            rows.append((key, k, s, *numbers, _checksum(key, k, s, numbers)))
        with self._reading(), self._db:
            self._db.execute("delete from runs where point = ?", (key,))
            self._db.executemany(f"insert into runs values ({marks})", rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _checksum(key: str, replication: object, strategy: object, metrics: Iterable[object]) -> str:
    """Return the checksum of a row as SQLite gives it back."""
    text = repr((key, replication, strategy, [_as_stored(metric) for metric in metrics]))
    return hashlib.sha256(text.encode()).hexdigest()


def _as_stored(value: object) -> object:
    """Return a value as SQLite gives it back: it has no NaN, and no zero with a sign."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else value + 0.0


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
