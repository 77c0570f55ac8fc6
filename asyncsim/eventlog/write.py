"""A run as a file that process-mining tools read, in the format that the file's name says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asyncsim.engine.run import Run
from asyncsim.eventlog.ocel import write_ocel
from asyncsim.eventlog.tabular import check_pyarrow, write_csv, write_parquet
from asyncsim.eventlog.xes import write_xes
from asyncsim.experiment.output import named_file, writing
from asyncsim.model.units import InvalidValue, nearest
from asyncsim.model.validation import choice, scenario_error

EXTENSIONS = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".xes": "xes",
    ".xes.gz": "xes",
    ".json": "ocel",
    ".jsonocel": "ocel",
}
WRITERS: dict[str, Callable[[Run, Path], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "xes": write_xes,
    "ocel": write_ocel,
}


def write_event_log(run: Run, path: str | Path, *, format: str | None = None) -> None:
    """Write what happened in a run as an event log for process-mining tools.

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

    What did not end is written as it stands: a wait that is still open has been suspended and not
    resumed; XES counts it as ``open_waits`` of its trace, OCEL has its ``outcome``, *waiting*.

    Times are exact to the microsecond and carry their offset from UTC. If the scenario has no
    zone, its local times are written as UTC; XES, OCEL and Parquet say so in their ``clock``.

    In CSV a name that begins with ``=``, ``+``, ``-`` or ``@`` has a single quote before it, so
    that no spreadsheet takes it for a formula; `asyncsim.fit` takes the quote away when it reads
    the file.

    Parameters
    ----------
    run
        What `asyncsim.simulate` or `Session.so_far` returned.
    path
        Where to write; a file that is there is overwritten.
    format
        ``"csv"``, ``"parquet"``, ``"xes"`` or ``"ocel"``, if the name of the file does not say it.

    Raises
    ------
    ScenarioError
        If the extension or the format is none of these, the file cannot be written, or a name
        cannot be written in the format.
    EngineError
        If Parquet is wanted and pyarrow is not installed.

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
    """Return the format of a file, by its name unless it is given; errors call it `called`.

    Raises
    ------
    ScenarioError
        If the extension or the format is not known.
    EngineError
        If it is Parquet and pyarrow is not installed.

    Examples
    --------
    >>> event_log_format("out/ledger.xes.gz")
    'xes'
    """
    place = named_file(path, called)
    if format is None:
        format = _format_named(place, called)
    else:
        choice("format", format, WRITERS)
    if format == "parquet":
        check_pyarrow()
    return format


def _format_named(place: Path, called: str) -> str:
    name = place.name.lower()
    for extension, found in EXTENSIONS.items():
        if name.endswith(extension):
            return found
    known = ", ".join(EXTENSIONS)
    hint = nearest(place.suffix.lower(), EXTENSIONS)
    raise scenario_error(called, InvalidValue(f"must end in one of {known}", hint), str(place))
