"""Writing a run as an event log: the choice of a format, and the formats that are tables.

CSV and Parquet have the columns of `asyncsim.engine.run.Run.event_log`. An instance without an
event, in a process with an empty path, has no row.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.errors import EngineError
from asyncsim.eventlog.ocel import write_ocel
from asyncsim.eventlog.text_output import AT, in_zone, run_description, text_file
from asyncsim.eventlog.xes import write_xes
from asyncsim.experiment.output import named_file, write_csv_table, writing
from asyncsim.model.units import InvalidValue, nearest
from asyncsim.model.validation import choice, scenario_error

EXTENSIONS = {
    ".csv": "csv", ".parquet": "parquet", ".xes": "xes", ".xes.gz": "xes",
    ".json": "ocel", ".jsonocel": "ocel",
}  # fmt: skip


def write_event_log(run: Run, path: str | Path, *, format: str | None = None) -> None:
    """Write the events of a run as a log for process-mining tools.

    ============================= ================================================================
    name of the file              what is written
    ============================= ================================================================
    ``.csv``                      the table of `Run.event_log`, one row per event
    ``.parquet``                  the same, typed and small; needs the extra ``logs`` (pyarrow)
    ``.xes``, ``.xes.gz``         XES of IEEE 1849-2016: one trace per instance, standard lifecycle
    ``.json``, ``.jsonocel``      OCEL 2.0: instances, steps, serial numbers and external systems
                                  as objects, and every callback
                                  (`asyncsim.eventlog.ocel`)
    ============================= ================================================================

    A wait that is still open is suspended and not resumed; XES counts it in ``open_waits`` of its
    trace, and its ``outcome`` in OCEL is *waiting*.

    Times have microseconds and an offset from UTC. If the scenario has no zone, local times are
    written as UTC; ``clock`` in XES, OCEL and Parquet reports that.

    In CSV a single quote precedes a name that begins with ``=``, ``+``, ``-`` or ``@``, so that
    spreadsheets do not evaluate it; `asyncsim.fit` removes the quote.

    Parameters
    ----------
    run
        From `asyncsim.simulate` or `Session.so_far`.
    path
        An existing file is overwritten.
    format
        ``"csv"``, ``"parquet"``, ``"xes"`` or ``"ocel"``; by default that of the extension.

    Raises
    ------
    ScenarioError
        If the extension or the format is unknown, the file cannot be written, or the format has no
        way to write a name.
    EngineError
        If pyarrow is not installed, and the format is Parquet.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="one wait",
    ...     process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    ...     systems={"office": sim.OnlineService("10min")},
    ...     arrivals=sim.ArrivalTimes([8 * 3600.0]),
    ... )
    >>> run = sim.simulate(scenario, sim.Callback(), engine="simpy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sim.write_event_log(run, Path(folder, "log.csv"))
    ...     print(Path(folder, "log.csv").read_text(encoding="utf-8"), end="")
    case:concept:name,concept:name,lifecycle:transition,org:resource,serial_number,outcome,time:timestamp
    1,ask,schedule,workflow server,,,2026-01-05T08:00:00.000000+00:00
    1,ask,start,workflow server,,,2026-01-05T08:00:00.000000+00:00
    1,ask,suspend,office,1_1,,2026-01-05T08:00:00.000000+00:00
    1,ask,resume,office,1_1,,2026-01-05T08:10:00.000000+00:00
    1,ask,complete,workflow server,,resumed,2026-01-05T08:10:00.000000+00:00
    """
    if not isinstance(run, Run):
        raise scenario_error("run", "must be a run, such as simulate() returns", run)
    write = WRITERS[event_log_format(path, format)]
    place = Path(path)
    with writing(place):
        if place.is_dir():
            raise scenario_error("path", "must be a file, not a folder", str(path))
        if not place.parent.is_dir():
            folder = str(place.parent)
            raise scenario_error("path", f"must lie in a folder that exists, not {folder!r}", path)
        write(run, place)


def event_log_format(path: str | Path, format: str | None = None, called: str = "path") -> str:
    """Return the format of a file, checked, by its extension unless it is given."""
    place = named_file(path, called)
    name = place.name.lower()
    if format is not None:
        choice("format", format, WRITERS)
    elif (format := next((EXTENSIONS[e] for e in EXTENSIONS if name.endswith(e)), None)) is None:
        hint = nearest(place.suffix.lower(), EXTENSIONS)
        problem = InvalidValue(f"must end in one of {', '.join(EXTENSIONS)}", hint)
        raise scenario_error(called, problem, str(place))
    if format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise EngineError(
            "writing Parquet needs pyarrow; install the extra: pip install 'asyncsim[logs]'"
        )
    return format


def write_csv(run: Run, path: Path) -> None:
    """Write CSV in UTF-8, with times in ISO 8601 such as ``2026-01-05T22:00:00.000000+01:00``."""
    log = run.event_log()
    log[AT] = in_zone(pd.DatetimeIndex(log[AT]))
    with text_file(path) as file:
        write_csv_table(log, file)


def write_parquet(run: Run, path: Path) -> None:
    """Write Parquet, with timestamps in microseconds and the run's description in `attrs`."""
    log = run.event_log()
    if log[AT].dt.tz is None:
        log[AT] = log[AT].dt.tz_localize("UTC")
    log[AT] = log[AT].dt.as_unit("us")
    # A column without a value would have no type
    texts = {name: pd.StringDtype(na_value=float("nan")) for name in log.columns if name != AT}
    log = log.astype(texts)
    log.attrs.update(run_description(run))
    log.to_parquet(path, engine="pyarrow", index=False)


WRITERS: dict[str, Callable[[Run, Path], None]] = {
    "csv": write_csv, "parquet": write_parquet, "xes": write_xes, "ocel": write_ocel,
}  # fmt: skip
