"""Request logs, as an external system keeps them, and their replay in a scenario.

The table has one row per request: ``SN`` (the serial number that was handed over), ``submitted``
and ``completed``. Rows that cannot be used are kept with their line number and their problem.
"""

from __future__ import annotations

import csv
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from attrs import frozen

from asyncsim.errors import LogWarning, ScenarioError, warn
from asyncsim.model.arrivals import ArrivalTimes
from asyncsim.model.calendar import Calendar, zone_name
from asyncsim.model.examples import LOG, file_read_error, readable_file
from asyncsim.model.systems import LoggedCompletions
from asyncsim.model.units import FIRST_DATE, LAST_DATE, LONGEST, nearest
from asyncsim.model.validation import argument, shown, with_own_tables

COLUMNS = ("SN", "submitted", "completed")
RIGHT = (
    "timestamps are ISO 8601, such as 2026-03-02 09:13:22; pandas.to_datetime makes them of others"
)
# Timestamps of the centuries for which pandas has nanoseconds
PLAIN = r"(?:1[7-9]|2[01])[0-9]{2}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?"
NO_TIME = "is not a timestamp"
YEARS = FIRST_DATE.year, LAST_DATE.year
BEYOND = f"is not of the years {YEARS[0]} to {YEARS[1]}"
A_DAY = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)|\d{8}(?!\d)")  # a timestamp's beginning
SEPARATORS = ",;\t"
NAMED_ROWS = 5  # rejected rows that a warning names; all of them are in the table


@frozen
class LogParts:
    """A log as parts of a scenario."""

    start: date
    length: float
    arrivals: ArrivalTimes
    system: LoggedCompletions


@with_own_tables
@frozen(eq=False)
class RequestLog:
    """A request log that has been read and checked.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", sim.LogWarning)
    ...     log = sim.RequestLog.read("example:request_log")
    >>> list(log.rows.columns), list(log.rejected.columns)
    (['SN', 'submitted', 'completed'], ['line', 'SN', 'problem', 'kind'])

    Attributes
    ----------
    path
        Its source.
    rows
        The usable requests in order of submission: SN, submitted, completed (timestamps).
    rejected
        The others: line, SN, problem, and the kind of problem.
    unfinished
        The rejected ones that only lack a completion: line, SN, submitted.
    """

    path: str
    rows: pd.DataFrame
    rejected: pd.DataFrame
    unfinished: pd.DataFrame

    @classmethod
    def read(cls, path: str | Path, zone: str | None = None) -> RequestLog:
        """Read a CSV file with the columns SN, submitted, completed.

        Parameters
        ----------
        path
            The file, or ``"example:request_log"``, with columns separated by commas, semicolons
            or tabs. Timestamps are ISO 8601 (``2026-03-02 09:13:22``).
        zone
            Zone of timestamps without an offset; those with one are converted to it, or to UTC if
            it is None.

        Raises
        ------
        ScenarioError
            If the file cannot be read, lacks a column, or has no usable row.

        Warns
        -----
        LogWarning
            If rows were rejected, with their number and the first ones by line.
        """
        argument("RequestLog.read: zone", zone, zone_name)
        log = cls.checked(read_rows(path, COLUMNS), str(path), zone)
        if n := len(log.rejected):
            named = [f"line {r.line}: {r.problem}" for r in log.rejected[:NAMED_ROWS].itertuples()]
            if n > NAMED_ROWS:
                named.append(f"and {n - NAMED_ROWS} more")
            unused = f"{n} of {n + len(log.rows)} rows are not used"
            warn(f"{path}: {unused}: {'; '.join(named)}", LogWarning)
        return log

    @classmethod
    def checked(
        cls, raw: pd.DataFrame, name: str, zone: str | None, place: str = "line"
    ) -> RequestLog:
        """Return the log of a table of texts; rejected rows raise no warning.

        The columns of `raw` are ``line, SN, submitted, completed``. Messages call the table `name`,
        and number its rows by `place`: ``"line"`` of a file, ``"row"`` of a DataFrame.
        """
        if raw.empty:
            raise ScenarioError(f"{name}: has no rows")
        submitted, completed = (timestamps(raw[c], zone) for c in ("submitted", "completed"))
        problems = _problems(raw, submitted, completed, place)
        usable = problems["kind"] == ""
        serial = raw["SN"].str.strip()
        rejected = raw[["line", "SN"]].join(problems)[~usable].reset_index(drop=True)
        if not usable.any():
            first = f"{place} {rejected.line[0]}: {rejected.problem[0]}"
            right = f"; {RIGHT}" if rejected.kind[0].endswith(NO_TIME) else ""
            raise ScenarioError(f"{name}: has no usable row ({first}){right}")
        rows = pd.DataFrame({"SN": serial, "submitted": submitted, "completed": completed})
        open_ones = completed.isna() & submitted.notna() & (serial != "")
        open_ones &= ~serial.isin(serial[usable]) & ~serial.where(open_ones).duplicated()
        ordered = rows[usable].sort_values(["submitted", "SN"], kind="stable", ignore_index=True)
        unfinished = rows.assign(line=raw["line"])[open_ones].reset_index(drop=True)
        return cls(name, ordered, rejected, unfinished[["line", "SN", "submitted"]])

    def replayed(self, zone: str | None) -> LogParts:
        """Return the log in instants of a calendar that begins on the day of the first request."""
        days = self.rows["submitted"]
        if zone and days.dt.tz is not None:  # the first day is a day of the calendar
            days = days.dt.tz_convert(zone)
        first, last = days.iloc[0].date(), days.iloc[-1].date()
        calendar = Calendar(first, zone)
        length = calendar.instant(last, "24:00")
        if length > LONGEST:
            raise ScenarioError(
                f"{self.path}: must span 40 years at most, got {first} to {last}; "
                "is the year of one of them wrong?"
            )
        submitted, completed = (
            [calendar.seconds(at.to_pydatetime()) for at in self.rows[column]]
            for column in ("submitted", "completed")
        )
        system = LoggedCompletions(completed, tuple(self.rows["SN"]))
        return LogParts(first, length, ArrivalTimes(submitted), system)


def read_rows(
    path: str | Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Return columns of a CSV file as texts, with the line of each row in ``line``."""
    with _opened(path) as reader:
        names = _names(reader)
        for column in columns:
            if column not in names:
                raise ScenarioError(
                    f"{path}: lacks the column {column!r}{nearest(column, names)}; "
                    f"it has {textwrap.shorten(', '.join(names), 200) or 'none'}"
                )
        reader.fieldnames = names
        wanted = [*columns, *(name for name in optional if name in names)]
        records = [(reader.line_num, *(row[c] or "" for c in wanted)) for row in reader]
    return pd.DataFrame(records, columns=["line", *wanted]).astype(dict.fromkeys(wanted, "str"))


def header_of(path: str | Path) -> list[str]:
    """Return the names of a CSV file's columns."""
    with _opened(path) as reader:
        return _names(reader)


def _names(reader: csv.DictReader[str]) -> list[str]:
    return [str(name).strip() for name in reader.fieldnames or []]


@contextmanager
def _opened(given: str | Path) -> Iterator[csv.DictReader[str]]:
    """Open a CSV file; spreadsheets of many countries separate its columns by semicolons."""
    path = readable_file(given, LOG)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            yield csv.DictReader(file, delimiter=max(SEPARATORS, key=header.count))
    except OSError as error:
        raise file_read_error(path, error, LOG) from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not text in UTF-8 ({error}); save it as such") from None
    except csv.Error as error:
        raise ScenarioError(f"{path}: is not a CSV text file ({error})") from None


def timestamps(texts: pd.Series[str], zone: str | None) -> pd.Series[pd.Timestamp]:
    """Return ISO timestamps read from texts; those that cannot be read become NaT.

    Those without an offset are of the zone, to which the others are converted; if it is None, those
    with an offset become clock times of UTC.
    """
    tz = ZoneInfo(zone) if zone else None

    def one(text: str) -> datetime | None:
        if not A_DAY.match(text):  # pandas would also read '1/2/2026' and '2026'
            return None
        try:  # databases write tenths of microseconds, which a datetime cannot hold
            at = pd.Timestamp(text).floor("us").to_pydatetime()
        except (ValueError, OverflowError):
            return None
        if not YEARS[0] <= at.year <= YEARS[1]:
            return None
        if at.tzinfo is None:
            return at.replace(tzinfo=tz)
        return at.astimezone(tz) if tz else at.astimezone(UTC).replace(tzinfo=None)

    texts = texts.str.strip()
    dtype = pd.DatetimeTZDtype("us", tz) if tz else "datetime64[us]"
    plain = texts.str.fullmatch(PLAIN) & (tz is None)  # many at once, for large logs
    rest = texts[~plain]
    found: pd.Series[Any] = pd.Series([one(text) for text in rest], index=rest.index, dtype=dtype)
    if plain.any():
        many = pd.to_datetime(texts[plain], format="ISO8601", errors="coerce").dt.floor("us")
        found = pd.concat([found, many.astype("datetime64[us]")]).reindex(texts.index)
    return found


def _problems(
    raw: pd.DataFrame,
    submitted: pd.Series[pd.Timestamp],
    completed: pd.Series[pd.Timestamp],
    place: str,
) -> pd.DataFrame:
    """Return the problem of each row and its kind, or empty texts."""
    serial = raw["SN"].str.strip()
    found = pd.DataFrame({"problem": "", "kind": ""}, index=raw.index)

    def mark(where: pd.Series[bool], kind: str, detail: pd.Series[str] | None = None) -> None:
        new = where & (found["kind"] == "")
        if new.any():
            found.loc[new, "problem"] = kind if detail is None else f"{kind}: " + detail[new]
            found.loc[new, "kind"] = kind

    mark(serial == "", "no serial number")
    for column, at in (("submitted", submitted), ("completed", completed)):
        if column == "completed":
            mark(raw[column].str.strip() == "", "not completed")
        texts = raw[column][at.isna()]
        years = texts.str.strip().where(lambda text: text.str.match(A_DAY)).str[:4]
        beyond = years.notna() & ~years.between(str(YEARS[0]), str(YEARS[1]))
        details = texts.map(shown).reindex(raw.index)
        mark(beyond.reindex(raw.index, fill_value=False), f"{column} {BEYOND}", details)
        mark(at.isna(), f"{column} {NO_TIME}", details)
    mark(completed < submitted, "completed before it was submitted")
    good = found["kind"] == ""  # the first good row of a number is the one that counts
    first_line = raw["line"].where(good).groupby(serial).transform("min")
    where_first = f"first in {place} " + first_line.map("{:.0f}".format)
    mark(good & (raw["line"] > first_line), "serial number comes again", where_first)
    return found
