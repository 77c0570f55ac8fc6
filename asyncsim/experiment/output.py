"""Results as files and as HTML.

A spreadsheet takes a cell of a CSV file that begins with ``=``, ``+``, ``-`` or ``@`` for a formula
and runs it, even if it is the name of a step from a stranger's file. `quoted` therefore puts a
single quote before such texts, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection), and `unquoted` removes it.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from asyncsim.engine.metrics import metric_in_words, metric_text
from asyncsim.model.html import CELL, TABLE
from asyncsim.model.units import file_name, number_text
from asyncsim.model.validation import argument, scenario_error
from asyncsim.model.words import field_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The beginning of a formula, full-width characters and a quote of its own included
FORMULA = re.compile("['\\s]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")

DIFFERENCES = ("difference", "difference_low", "difference_high")
COLUMNS = {"n": "replications"} | {name: name.replace("_", ", ") for name in DIFFERENCES}
# --- files ----------------------------------------------------------------------------------------


def quoted(text: Any) -> Any:
    """Return a text that no spreadsheet runs; values other than texts are returned unchanged.

    >>> [quoted(one) for one in ("=1+1", "'=1+1", "post", -5)]
    ["'=1+1", "''=1+1", 'post', -5]
    """
    return f"'{text}" if isinstance(text, str) and FORMULA.match(text) else text


def unquoted(text: str) -> str:
    """Undo `quoted`."""
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text


def write_csv_table(table: pd.DataFrame, file: TextIO | None = None) -> str | None:
    """Write a table as CSV with `quoted` texts; return the text if no file is given."""
    safe = table.set_axis([quoted(name) for name in table.columns], axis="columns")
    style: Any = csv.QUOTE_MINIMAL
    for k, dtype in enumerate(table.dtypes):
        if dtype.kind in "OU":  # of texts, of categories, or mixed
            cells = [quoted(cell) for cell in table.iloc[:, k].tolist()]
            safe.isetitem(k, np.fromiter(cells, dtype=object, count=len(cells)))
            if any("\r" in cell for cell in cells if isinstance(cell, str)):
                style = csv.QUOTE_NONNUMERIC  # Python 3.11 leaves it bare, and it would end the row
    text: str | None = safe.to_csv(file, index=False, lineterminator="\n", quoting=style)
    return text


def save_table(table: pd.DataFrame, path: Path, called: str = "path") -> None:
    """Save a table as a CSV file, see `write_csv_table`."""
    with writing(path, called), path.open("w", encoding="utf-8", newline="") as file:
        write_csv_table(table, file)


def save_picture(figure: Figure, path: Path, called: str = "path") -> None:
    """Save a picture in the format of the file's ending."""
    picture = io.BytesIO()  # drawn first, so that errors of the disk are those of `writing`
    figure.savefig(picture, dpi=120, format=path.suffix.lstrip(".").lower())
    with writing(path, called):
        path.write_bytes(picture.getvalue())


@contextmanager
def writing(path: Path, called: str = "path", kind: str = "file") -> Iterator[None]:
    """Raise errors of writing a file as a `ScenarioError` with the argument, file and reason."""
    try:
        yield
    except BrokenPipeError:  # the reader at the other end has gone
        raise
    except (OSError, UnicodeEncodeError) as error:
        if isinstance(error, OSError):
            why = error.strerror or str(error)
        else:
            why = f"UTF-8 has no character {error.object[error.start : error.end]!r}"
        right = f"must be a {kind} that can be written ({why})"
        raise scenario_error(called, right, str(path)) from None


def named_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a file, checked for names that the system cannot have."""
    return argument(called, path, file_name)


def check_writable(path: Path, called: str = "path") -> None:
    """Raise a `ScenarioError` if a file cannot be written, before the work; leave no file."""
    with writing(named_file(path, called), called):
        try:
            path.open("xb").close()
        except FileExistsError:
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        else:
            path.unlink()


def check_folder(path: Path, called: str) -> None:
    """Create a folder for files unless it exists."""
    with writing(named_file(path, called), called, "folder"):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


# --- HTML for notebooks and reports ---------------------------------------------------------------


def metrics_html(strategies: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """Return a table of metrics: head, meaning (shown by hovering), and a text per strategy."""
    left, right = f"text-align:left;{CELL}", f"text-align:right;white-space:nowrap;{CELL}"
    columns = "".join(f'<th style="{right}">{escape(one)}</th>' for one in strategies)
    body = ""
    for head, meaning, texts in rows:
        cells = "".join(f'<td style="{right}">{escape(text)}</td>' for text in texts)
        body += (
            f'<tr><th style="{left};font-weight:normal" title="{escape(meaning)}">'
            f"{escape(head)}</th>{cells}</tr>"
        )
    return (
        f'<table style="{TABLE}"><thead><tr><th style="{left}"></th>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def table_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of metrics with their names in words and their values in human units."""
    shown = table.drop(columns=["unit", "meaning"], errors="ignore")
    names = table["metric"].tolist()
    shown["metric"] = [metric_in_words(name) for name in names]
    for column in set(shown) & {"mean", "low", "high", "log", "simulated", *DIFFERENCES}:
        values = zip(names, shown[column], table["unit"], strict=True)
        shown[column] = [metric_text(*one) for one in values]
    return shown.rename(columns=lambda name: COLUMNS.get(name) or field_in_words(str(name)))


def table_html(table: pd.DataFrame) -> str:
    """Return a table as HTML with rounded numbers."""
    html: str = table.to_html(index=False, border=0, float_format=number_text, na_rep="–")
    return html
