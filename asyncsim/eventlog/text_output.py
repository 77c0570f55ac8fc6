"""What all writers of event logs need: timestamps as text, text files, the description of a run.

Timestamps are ISO 8601 with an offset from UTC, to the microsecond, converted column by column. A
scenario without a zone has local times only; they are written as UTC, and the file reports that.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.model.calendar import Calendar

AT = "time:timestamp"  # the column of the instants in `Run.event_log`
COMPRESSION = 6  # of gzip; 9 takes three times as long for a file that is hardly smaller


def clock_of(calendar: Calendar) -> str:
    """Return the description of a clock for a file."""
    if calendar.zone is None:
        return "no time zone in the scenario; its local times are written as UTC"
    return f"time zone of the scenario: {calendar.zone}"


def in_zone(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps in local time with its offset; none may be NaT."""
    local = stamps.tz_localize(None)
    minutes = ((local - _utc(stamps)) // pd.Timedelta("1min")).tolist()
    offsets = {
        m: f"{'-' if m < 0 else '+'}{abs(m) // 60:02}:{abs(m) % 60:02}" for m in set(minutes)
    }
    return [text + offsets[m] for text, m in zip(_texts(local), minutes, strict=True)]


def in_utc(stamps: pd.DatetimeIndex) -> list[str]:
    """Return timestamps in UTC, with a Z at the end; none may be NaT."""
    return [text + "Z" for text in _texts(_utc(stamps))]


def _utc(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return stamps if stamps.tz is None else stamps.tz_convert(None)


def _texts(naive: pd.DatetimeIndex) -> list[str]:
    texts: list[str] = np.datetime_as_string(naive.to_numpy(), unit="us").tolist()
    return texts


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8; one that ends in ``.gz`` is compressed, without a date."""
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


def run_description(run: Run) -> dict[str, str]:
    """Return the description of a run for its file."""
    return {
        "scenario": run.scenario.name,
        "process": run.scenario.process.name,
        "strategy": run.strategy.label,
        "engine": run.engine,
        "seed": str(run.draws.seed),
        "replication": str(run.draws.replication),
        "clock": clock_of(run.scenario.calendar),
    }
