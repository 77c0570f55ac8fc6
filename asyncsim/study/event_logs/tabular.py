"""The event log of a run as a table in a file: CSV or Parquet.

The columns are those of `asyncsim.engine.run.Run.event_log`. An instance without a single event,
of a process that has an empty way through it, leaves no row.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.errors import EngineError
from asyncsim.study.event_logs.stamps import clock_of, in_zone
from asyncsim.study.event_logs.streams import text_file
from asyncsim.study.saving import write_csv_table

AT = "time:timestamp"


def write_csv(run: Run, path: Path) -> None:
    """Write CSV in UTF-8, with times in ISO 8601 such as ``2026-01-05T22:00:00.000000+01:00``.

    Names that a spreadsheet would run have a quote before them; see `asyncsim.study.saving`.
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
