"""Reads a log, in either form, into one row per executed step, without impossible instants.

Two forms are known: the columns of process mining (XES as pm4py names them), one row per event; and
the table of an external system, one row per request (`asyncsim.model.request_log`).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.cases import KEPT, SORTED, Problems, executions_of
from asyncsim.errors import EngineError, ScenarioError
from asyncsim.experiment.output import unquoted
from asyncsim.model.calendar import Calendar, zone_name
from asyncsim.model.distributions import Floats
from asyncsim.model.examples import LOG, readable_file
from asyncsim.model.request_log import COLUMNS, RIGHT, RequestLog, header_of, read_rows, timestamps
from asyncsim.model.units import DAY, HOUR, MINUTE, InvalidValue, nearest
from asyncsim.model.validation import argument, scenario_error

EVENT_COLUMNS = ("case:concept:name", "concept:name", "time:timestamp")
OPTIONAL = ("lifecycle:transition", "org:resource", "serial_number")
Source = pd.DataFrame | str | Path
TIMES = ("queued", "started", "armed", "completed", "resumed", "ended")
OFFSET = re.compile(r"(?:Z|[+-]\d{2}(?::?\d{2})?)\s*$")
REQUESTS, EVENTS = "requests", "events"
OUTSIDE = "outside system"
# Further from its start than some 290 years a calendar has no timestamps
CENTURIES = timedelta(days=200 * 365)
NO_ZONE = (None, "UTC")  # zones of logs that show nothing of local clocks


@frozen(eq=False)
class Log:
    """A log that has been read."""

    name: str  # what messages call it
    form: str  # ``"requests"`` or ``"events"``
    calendar: Calendar  # of its first day and its zone; instants count from that midnight
    # One row per executed step: ``case, step, system`` (None: worked on by the server),
    # ``serial_number``, the instants of `TIMES` in seconds (NaN: not in the log), whether it was
    # ``aborted``, and ``place``, its first row
    steps: pd.DataFrame
    problems: Problems
    rows: int
    as_utc: bool  # whether timestamps have offsets and no zone was given: clock times are of UTC


def done_column(waits: pd.DataFrame) -> str:
    """Return the column that tells when waits were over, as far as the log tells."""
    return "completed" if waits["completed"].notna().any() else "resumed"


def read_log(
    log: Source,
    zone: str | None = None,
    system: str | Mapping[str, str] | None = None,
    requests: Source | None = None,
) -> Log:
    """Read a log in either form; see `asyncsim.fit`."""
    if isinstance(log, (str, Path)) and Path(log).suffix.lower() == ".parquet":
        table = read_log(_parquet(log), zone, system, requests)
        return attrs.evolve(table, name=str(log))
    argument("zone", zone, zone_name)
    names = _columns(log, "log")
    if "SN" in names and EVENT_COLUMNS[0] not in names:
        if requests is not None:
            raise ScenarioError("requests go with an event log; this log is one of requests itself")
        if not (system is None or isinstance(system, str)):
            raise scenario_error("system", "must be one name for a log of requests", system)
        return _read_requests(log, zone, system or OUTSIDE)
    if EVENT_COLUMNS[0] in names:
        return _read_events(log, zone, system, requests)
    raise ScenarioError(
        f"{_name(log)}: must have the columns {', '.join(COLUMNS)}, or those of process mining "
        f"({', '.join(EVENT_COLUMNS)}), so rename yours; it has {', '.join(names) or 'none'}"
        + nearest(str(names[0]) if names else "", [COLUMNS[0], *EVENT_COLUMNS])
    )


def _columns(log: object, argument: str) -> list[str]:
    if isinstance(log, pd.DataFrame):
        names = [str(name) for name in log.columns]
        doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if doubled:
            raise ScenarioError(f"the {argument} has the column {doubled[0]!r} more than once")
        return names
    if isinstance(log, (str, Path)):
        return [name for name in header_of(readable_file(log, LOG, argument)) if name]
    raise scenario_error(argument, "must be a DataFrame or the path of a CSV or Parquet file", log)


def _parquet(path: str | Path) -> pd.DataFrame:
    if importlib.util.find_spec("pyarrow") is None:
        raise EngineError(
            "reading Parquet needs pyarrow; install the extra: pip install 'asyncsim[logs]'"
        )
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are one of the two
        raise ScenarioError(f"{path}: cannot be read as Parquet ({error})") from None


def _name(log: Source) -> str:
    return "the log" if isinstance(log, pd.DataFrame) else str(log)


def _texts(log: Source, columns: Sequence[str], optional: Sequence[str]) -> pd.DataFrame:
    """Return columns as texts beside ``line``: of the file, or the position in a DataFrame."""
    if not isinstance(log, pd.DataFrame):
        rows = read_rows(log, columns, optional)
        texts = [name for name in rows.columns if name != "line"]
        rows[texts] = rows[texts].map(unquoted)
        return rows
    for column in columns:
        if column not in log.columns:
            hint = nearest(column, log.columns)
            raise ScenarioError(f"the log lacks the column {column!r}{hint}")
    found = pd.DataFrame({"line": range(len(log))})
    for column in (*columns, *(name for name in optional if name in log.columns)):
        values = log[column].reset_index(drop=True)
        found[column] = values.astype("str").where(values.notna(), "").astype("str")
    return found


def _zone_of(log: Source, column: str, zone: str | None) -> str | None:
    if zone is None and isinstance(log, pd.DataFrame):
        tz = getattr(log[column].dtype, "tz", None)
        try:
            return zone_name(str(tz)) if tz is not None else None
        except InvalidValue:  # a fixed offset has no calendar of its own
            return None
    return zone


def _as_utc(
    texts: pd.Series[str],
    line: pd.Series[int],
    asked: str | None,
    zone: str | None,
    problems: Problems,
) -> bool:
    """Return whether clock times are of UTC only; note rows without an offset among others."""
    written = texts.str.strip() != ""
    aware = texts.str.contains(OFFSET) & texts.str.contains(":") & written
    if aware.any() and (~aware & written).any():
        problem = f"no time zone, though others have one: read as {zone or 'UTC'}"
        problems.add(problem, line[~aware & written].drop_duplicates(), KEPT)
    return bool(aware.any()) and asked is None and zone in NO_ZONE


def _calendar(moments: pd.Series[pd.Timestamp], zone: str | None) -> Calendar:
    """Return the calendar of the first day, or of a usual one if that is centuries before."""
    first, usual = moments.sort_values().iloc[[0, len(moments) // 2]].dt.date
    return Calendar(first if usual - first < CENTURIES else usual, zone)


def _seconds(moments: pd.Series[pd.Timestamp], calendar: Calendar) -> pd.Series[float]:
    midnight = calendar.midnight
    if calendar.zone:  # differences within a zone would be right in pandas, too; UTC shows it
        return (moments.dt.tz_convert("UTC") - midnight.tz_convert("UTC")).dt.total_seconds()
    return (moments - midnight).dt.total_seconds()


def _place(log: object) -> str:
    return "row" if isinstance(log, pd.DataFrame) else "line"


def _read_requests(log: Source, zone: str | None, system: str) -> Log:
    """Read a table of requests: each is a case with one step, which only waits."""
    name, asked, zone = _name(log), zone, _zone_of(log, "submitted", zone)
    raw = _texts(log, COLUMNS, ("resumed",))
    problems = Problems(_place(log))
    columns = [name for name in ("submitted", "completed", "resumed") if name in raw]
    texts = pd.concat([raw[name] for name in columns], ignore_index=True)
    lines = pd.concat([raw["line"]] * len(columns), ignore_index=True)
    as_utc = _as_utc(texts, lines, asked, zone, problems)
    checked = RequestLog.checked(raw, name, zone, problems.place)
    open_lines = set(checked.unfinished["line"])
    for kind, rejected in checked.rejected.groupby("kind", sort=False):
        kept = rejected["line"].isin(open_lines)
        problems.add(str(kind), rejected["line"][~kept])
        problems.add(f"{kind} (used as an arrival)", rejected["line"][kept], KEPT)
    used = raw[~raw["line"].isin(checked.rejected["line"])].assign(SN=lambda t: t["SN"].str.strip())
    rows = pd.concat([checked.rows, checked.unfinished.drop(columns="line")], ignore_index=True)
    places = pd.concat([used.set_index("SN")["line"], checked.unfinished.set_index("SN")["line"]])
    rows["place"] = rows["SN"].map(places)
    calendar = _calendar(rows["submitted"], zone)
    submitted = _seconds(rows["submitted"], calendar)
    in_file = submitted.iloc[rows["place"].argsort()]
    late = in_file < in_file.cummax()
    late_rows = rows["place"][late.index[late]]
    problems.add("out of order: submitted before an earlier row", late_rows, SORTED)
    steps = pd.DataFrame(
        {
            "case": rows["SN"],
            "step": f"wait for {system}",
            "system": system,
            "serial_number": rows["SN"],
            "queued": submitted,
            "started": submitted,
            "armed": submitted,
            "completed": _seconds(rows["completed"], calendar),
            "resumed": _resumptions(used, rows, zone, calendar, problems),
            "ended": float("nan"),
            "aborted": False,
            "place": rows["place"],
        }
    )
    steps = steps.sort_values(["queued", "place"], kind="stable", ignore_index=True)
    steps["resumed"] = steps["resumed"].where(~(steps["resumed"] < steps["completed"]))
    return Log(name, REQUESTS, calendar, steps, problems, len(raw), as_utc)


def _resumptions(
    used: pd.DataFrame, rows: pd.DataFrame, zone: str | None, calendar: Calendar, problems: Problems
) -> pd.Series[float]:
    if "resumed" not in used:
        return pd.Series(float("nan"), index=rows.index)
    moments = timestamps(used["resumed"], zone)
    bad = moments.isna() & (used["resumed"].str.strip() != "")
    what = "resumed is not a timestamp (the rest of the row is used)"
    problems.add(what, used["line"][bad], KEPT)
    found = rows["SN"].map(_seconds(moments, calendar).set_axis(used["SN"]))
    early = found < _seconds(rows["completed"], calendar)
    problems.add("resumed before it was completed (resumed not used)", rows["place"][early], KEPT)
    return found


def _read_events(
    log: Source, zone: str | None, system: str | Mapping[str, str] | None, requests: Source | None
) -> Log:
    name, asked, zone = _name(log), zone, _zone_of(log, EVENT_COLUMNS[2], zone)
    raw = _texts(log, EVENT_COLUMNS, OPTIONAL)
    problems = Problems(_place(log))
    column = raw["time:timestamp"]
    as_utc = _as_utc(column, raw["line"], asked, zone, problems)
    moments = _moments(log, column, zone)
    events = pd.DataFrame(
        {
            "case": raw["case:concept:name"].str.strip(),
            "step": raw["concept:name"].str.strip(),
            "transition": _optional(raw, "lifecycle:transition", "complete").str.lower(),
            "resource": _optional(raw, "org:resource", ""),
            "serial_number": _optional(raw, "serial_number", ""),
            "place": raw["line"],
        }
    )
    bad = pd.Series("", index=raw.index)
    bad = bad.mask(moments.isna(), "time:timestamp is not a timestamp")
    bad = bad.mask(column.str.strip() == "", "no timestamp")
    bad = bad.mask(events["step"] == "", "no step (concept:name)")
    bad = bad.mask(events["case"] == "", "no case (case:concept:name)")
    for kind in dict.fromkeys(bad[bad != ""]):
        problems.add(kind, raw["line"][bad == kind])
    good = bad == ""
    if not good.any():
        first = "{problem}: {first}".format(**problems.table.iloc[0])
        raise ScenarioError(f"{name}: has no usable row ({first}); {RIGHT}")
    calendar = _calendar(moments[good], zone)
    events = events.assign(at=_seconds(moments, calendar))[good]
    steps = executions_of(events, system, problems)
    if requests is not None:
        steps = _with_requests(steps, requests, calendar, problems)
    return Log(name, EVENTS, calendar, steps, problems, len(raw), as_utc)


def _moments(log: Source, texts: pd.Series[str], zone: str | None) -> pd.Series[pd.Timestamp]:
    """Return timestamps of the log's zone; a column that holds them already is not read again."""
    if isinstance(log, pd.DataFrame):
        column = log["time:timestamp"].reset_index(drop=True)
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            if column.dt.tz is None:
                return column if zone is None else timestamps(texts, zone)
            local: pd.Series[pd.Timestamp] = column.dt.tz_convert(zone or "UTC")
            return local if zone else local.dt.tz_localize(None)
    return timestamps(texts, zone)


def _optional(raw: pd.DataFrame, column: str, default: str) -> pd.Series[str]:
    if column not in raw:
        return pd.Series(default, index=raw.index, dtype="str")
    found = raw[column].str.strip()
    return found.where(found != "", default)


def _with_requests(
    steps: pd.DataFrame, requests: Source, calendar: Calendar, problems: Problems
) -> pd.DataFrame:
    """Add the completions that a table of requests has for the serial numbers of an event log."""
    _columns(requests, "requests")
    zone = calendar.zone
    raw = _texts(requests, COLUMNS, ())
    table = RequestLog.checked(raw, f"requests {_name(requests)}", zone)
    done = _seconds(table.rows["completed"], calendar).set_axis(table.rows["SN"])
    numbers = set(steps["serial_number"]) - {""}
    if not numbers & set(done.index):
        raise ScenarioError("requests: no serial number of theirs is in the log's serial_number")
    reported = Problems(_place(requests), of="requests")
    reported.add("requests: rows that cannot be used", table.rejected["line"])
    known = raw["SN"].str.strip().isin(numbers) | raw["line"].isin(table.rejected["line"])
    reported.add("requests: serial number is not in the event log", raw["line"][~known])
    problems.take(reported)
    return steps.assign(completed=steps["serial_number"].map(done))


GRIDS = (DAY, HOUR, MINUTE, 1.0)
FEWEST = 8  # this many different instants on full hours, for example, are not a coincidence
FAR = 90 * DAY  # instants with no other within this time are far from all others, …
BEGINNINGS, USUAL = ("queued", "started", "armed"), 0.9  # least share for a usual beginning
RARE = 0.01  # … if at most this share of all instants is among them


def resolution_of(steps: pd.DataFrame) -> float:
    """Return the step of the coarsest clock: an hour, a minute, a second; 0 if finer."""
    coarsest = 0.0
    for column in TIMES:
        known = steps[column].dropna().unique()
        if len(known) < FEWEST:
            continue
        coarse = next((grid for grid in GRIDS if not np.any(known % grid)), 0.0)
        if coarse == DAY:
            what = "submitted" if column in ("queued", "started", "armed") else column
            raise ScenarioError(
                f"the log has dates without a time of day ({what}), which say nothing of waits: "
                "it needs timestamps such as 2026-03-02 09:13:22"
            )
        coarsest = max(coarsest, coarse)
    return coarsest


def without_strays(steps: pd.DataFrame, calendar: Calendar, problems: Problems) -> pd.DataFrame:
    """Return a log without what is years away from it, such as 1970-01-01 and 9999-12-31."""
    known = np.sort(_instants(steps))
    parts = np.split(known, np.flatnonzero(np.diff(known) > FAR) + 1)
    strays = [part for part in parts if len(part) <= RARE * len(known)]
    if not strays:
        return steps
    far = steps[[*TIMES]].isin(np.concatenate(strays))
    first = steps[[*TIMES]].min(axis=1)
    begins = far[[*TIMES]].where(steps[[*TIMES]].eq(first, axis=0), other=False).any(axis=1)
    later = far.any(axis=1) & ~begins
    for rows, what, used in (
        (begins, "dated far from all others", "no"),
        (later, "goes on far from all other dates (taken as open)", KEPT),
    ):
        if rows.any():
            day = day_of(_instants(steps[rows].where(far[rows]))[0], calendar)
            problems.add(f"{what}, such as {day}", steps.loc[rows, "place"], used)
    kept = steps[~begins].copy()
    kept[[*TIMES]] = kept[[*TIMES]].where(~far[~begins])
    return kept.reset_index(drop=True)


def day_of(instant: float, calendar: Calendar) -> date:
    """Return the day of an instant, also where a calendar has no timestamps any more."""
    if abs(instant) < CENTURIES.total_seconds():
        shown: date = calendar.timestamps(np.array([instant]))[0].date()
        return shown
    day = calendar.start.toordinal() + int(instant // DAY)
    return date.fromordinal(min(max(day, date.min.toordinal()), date.max.toordinal()))


def begun_before(steps: pd.DataFrame, problems: Problems) -> set[str]:
    """Return the cases that began before the log does, and note them: they are no arrivals."""
    begun = steps[[*BEGINNINGS]].notna().any(axis=1)
    usual = begun.groupby(steps["step"]).transform("mean") >= USUAL
    first = steps[[*TIMES]].min(axis=1)
    is_first = first.eq(first.groupby(steps["case"]).transform("min"))
    cut = is_first & ~begun & usual
    if cut.any():
        what = "begun before the log: goes on without a beginning (no arrival)"
        problems.add(what, steps.loc[cut, "place"], KEPT)
    return set(steps.loc[cut, "case"])


def _instants(steps: pd.DataFrame) -> Floats:
    values: Floats = steps[[*TIMES]].to_numpy(dtype=float).ravel()
    return values[~np.isnan(values)]
