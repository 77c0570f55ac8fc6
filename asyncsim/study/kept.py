"""Finished points of a sweep, kept in a file of SQLite: a sweep that was stopped can be resumed."""

from __future__ import annotations

import difflib
import hashlib
import json
import pickle
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.engine.figures import FIGURES
from asyncsim.engine.host import database_hint
from asyncsim.errors import ScenarioError
from asyncsim.model import files
from asyncsim.model.described import refuse
from asyncsim.model.durations import Floats
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.points import Point, Values

TABLES = """
create table sweep (what text primary key, is_ text not null);
create table runs (point text, replication integer, strategy integer, {columns},
    primary key (point, replication, strategy));
"""

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
    """Return what two sweeps must agree in for one to go on where the other stopped."""
    told = {label: _strategy_text(strategy) for label, strategy in strategies.items()}
    return {
        "swept fields": ", ".join(grid),
        # The points of a sample belong together; a grid may be made larger
        "sample": "none" if sample is None else f"{sample} of {dict(grid)}",
        "replications": str(replications),
        "seed": str(seed),
        "engine": engine,
        "figures": ", ".join(FIGURES),
        "strategies": "\n".join(f"{label}: {text}" for label, text in told.items()),
        "scenario": _scenario_text(scenario),
    }


def _scenario_text(scenario: Scenario) -> str:
    try:
        return files.dumps(scenario)
    except ScenarioError:  # holds a class of one's own, which no file can hold
        return _digest(scenario)


def _strategy_text(strategy: Strategy) -> str:
    try:
        return json.dumps(files.strategy_table(strategy))
    except ScenarioError:
        return _digest(strategy)


def _digest(described: object) -> str:
    try:
        return hashlib.sha256(pickle.dumps(described)).hexdigest()
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise ScenarioError(
            f"resume needs classes defined at the level of a module, got {described!r} ({problem})"
        ) from None


class KeptPoints:
    """The file; made if there is none yet.

    Parameters
    ----------
    path
        A file of its own for each sweep.
    sweep
        What `identity` says of the sweep.
    shape
        Replications and strategies of each point.

    Raises
    ------
    ScenarioError
        If the file is no such file, or of another sweep, naming the difference.
    """

    def __init__(self, path: str | Path, sweep: dict[str, str], shape: tuple[int, int]) -> None:
        if not isinstance(path, (str, Path)) or not str(path):
            raise refuse("resume", "must be the path of a file such as 'sweep.sqlite'", path)
        self.path = Path(path)
        self.shape = shape
        try:
            self._db = sqlite3.connect(self.path)
        except sqlite3.Error as problem:
            raise refuse("resume", f"must be a file that can be opened ({problem})", path) from None
        try:
            self._open(sweep)
        except BaseException:
            self._db.close()
            raise

    def _open(self, sweep: dict[str, str]) -> None:
        try:
            tables = {name for (name,) in self._db.execute("select name from sqlite_master")}
            if not tables:
                columns = ", ".join(f"{name} real" for name in FIGURES)
                self._db.executescript(f"begin; {TABLES.format(columns=columns)} commit;")
                with self._db:
                    self._db.executemany("insert into sweep values (?, ?)", sweep.items())
                return
            found = dict(self._db.execute("select what, is_ from sweep"))
        except sqlite3.Error as problem:
            raise refuse(
                "resume",
                f"must be a new file or one of a sweep ({problem}){database_hint()}",
                str(self.path),
            ) from None
        for what, here in sweep.items():
            if found.get(what) != here:
                raise ScenarioError(
                    f"resume must be a file of this same sweep, got {str(self.path)!r}, which has "
                    f"{OTHER.get(what, 'another')} {what}: {_difference(found.get(what, ''), here)}"
                )

    def of(self, points: Sequence[Point]) -> dict[int, Floats]:
        """Return the figures of the points that are finished, by their numbers."""
        found = {point.number: self._of(point) for point in points if point.scenario is not None}
        return {number: figures for number, figures in found.items() if figures is not None}

    def _of(self, point: Point) -> Floats | None:
        rows = self._db.execute(
            f"select {', '.join(FIGURES)} from runs where point = ? order by replication, strategy",
            (_key(point.values),),
        ).fetchall()
        if len(rows) != self.shape[0] * self.shape[1]:
            return None
        return np.array(rows, dtype=float).reshape(*self.shape, len(FIGURES))  # None becomes NaN

    def put(self, values: Values, figures: Floats) -> None:
        """Keep the figures of a finished point: all of them, or none if the machine stops now."""
        key, marks = _key(values), ", ".join("?" * (3 + len(FIGURES)))
        rows: list[tuple[Any, ...]] = [
            (key, k, s, *figures[k, s].tolist())
            for k in range(len(figures))
            for s in range(len(figures[k]))
        ]
        with self._db:
            self._db.executemany(f"insert or replace into runs values ({marks})", rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _key(values: Values) -> str:
    """Tell points apart: by what is written, or by all that an object holds."""
    plain = (str, int, float, bool, date, timedelta, type(None))
    return repr([one if isinstance(one, plain) else _digest(one) for one in values])


def _difference(there: str, here: str) -> str:
    """Say in what two texts differ: the lines of long ones."""
    if "\n" not in there + here:
        return f"{there!r} there, {here!r} here"
    lines = list(difflib.unified_diff(there.splitlines(), here.splitlines(), "", "", "", "", 0))
    old = [line[1:] for line in lines[2:] if line.startswith("-")]
    new = [line[1:] for line in lines[2:] if line.startswith("+")]
    if sorted(old) == sorted(new):
        return "the same ones in another order"
    return f"{'; '.join(old) or 'nothing'!r} there, {'; '.join(new) or 'nothing'!r} here"
