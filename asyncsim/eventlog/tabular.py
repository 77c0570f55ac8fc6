"""The event log of a run as a table in a file: CSV or Parquet.

The columns are those of `asyncsim.engine.run.Run.event_log`. An instance without a single event,
of a process that has an empty way through it, leaves no row.

Instants as ISO 8601 text with an offset from UTC, to the microsecond, many at a time.

A scenario without a zone has a clock that belongs to no place. Files of event logs need an offset,
so its times are written as if they were UTC, and the file says so.

Text files to write to, compressed if their name says so.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.errors import EngineError
from asyncsim.experiment.output import write_csv_table
from asyncsim.model.calendar import Calendar


def clock_of(calendar: Calendar) -> str:
    """Return what a file says about its clock.

    >>> from datetime import date
    >>> clock_of(Calendar(date(2026, 1, 5)))
    'no time zone in the scenario; its local times are written as UTC'
    """
    if calendar.zone is None:
        return "no time zone in the scenario; its local times are written as UTC"
    return f"time zone of the scenario: {calendar.zone}"


def in_zone(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps as the clock shows them, with its offset; none may be NaT.

    >>> noon = pd.DatetimeIndex(["2026-07-01 12:00:00.5"])
    >>> in_zone(noon), in_zone(noon.tz_localize("Europe/Berlin"))
    (['2026-07-01T12:00:00.500000+00:00'], ['2026-07-01T12:00:00.500000+02:00'])
    """
    local = stamps.tz_localize(None)
    minutes = ((local - _utc(stamps)) // pd.Timedelta("1min")).tolist()
    offsets = {
        m: f"{'-' if m < 0 else '+'}{abs(m) // 60:02}:{abs(m) % 60:02}" for m in set(minutes)
    }
    return [text + offsets[m] for text, m in zip(_texts(local), minutes, strict=True)]


def in_utc(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps in UTC, with a Z at the end; none may be NaT.

    >>> in_utc(pd.DatetimeIndex(["2026-07-01 12:00"]).tz_localize("Europe/Berlin"))
    ['2026-07-01T10:00:00.000000Z']
    """
    return [text + "Z" for text in _texts(_utc(stamps))]


def _utc(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return stamps if stamps.tz is None else stamps.tz_convert(None)


def _texts(naive: pd.DatetimeIndex) -> list[str]:
    texts: list[str] = np.datetime_as_string(naive.to_numpy(), unit="us").tolist()
    return texts


COMPRESSION = 6
"""Level of gzip; 9 takes three times as long for a file that is hardly smaller."""


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """Open a file for text in UTF-8; a name that ends in ``.gz`` is compressed.

    The same text makes the same bytes: a compressed file carries no date.
    """
    with path.open("wb") as raw:
        if path.suffix.lower() == ".gz":
            with (
                gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
                io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
            ):
                yield text
        else:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
                yield text


AT = "time:timestamp"


def write_csv(run: Run, path: Path) -> None:
    """Write CSV in UTF-8, with times in ISO 8601 such as ``2026-01-05T22:00:00.000000+01:00``.

    Names that a spreadsheet would run have a quote before them; see
    `asyncsim.experiment.output`.
    """
    log = run.event_log()
    log[AT] = in_zone(pd.DatetimeIndex(log[AT]))
    with text_file(path) as file:
        write_csv_table(log, file)


def write_parquet(run: Run, path: Path) -> None:
    """Write Parquet, with times as timestamps in microseconds.

    What is played, and the note on the clock, are in the file's pandas metadata
    (``pandas.read_parquet(path).attrs``).
    """
    log = run.event_log()
    if log[AT].dt.tz is None:
        log[AT] = log[AT].dt.tz_localize("UTC")
    log[AT] = log[AT].dt.as_unit("us")
    # A column without a value would have no type
    texts = {name: pd.StringDtype(na_value=float("nan")) for name in log.columns if name != AT}
    log = log.astype(texts)
    log.attrs.update(facts(run))
    log.to_parquet(path, engine="pyarrow", index=False)


def check_pyarrow() -> None:
    """Check that Parquet can be written here."""
    if importlib.util.find_spec("pyarrow") is None:
        raise EngineError(
            "writing Parquet needs pyarrow; install the extra: pip install 'asyncsim[logs]'"
        )


def facts(run: Run) -> dict[str, str]:
    """Return what a file says about the run it holds."""
    return {
        "scenario": run.scenario.name,
        "process": run.scenario.process.name,
        "strategy": run.strategy.label,
        "engine": run.engine,
        "seed": str(run.draws.seed),
        "replication": str(run.draws.replication),
        "clock": clock_of(run.scenario.calendar),
    }
