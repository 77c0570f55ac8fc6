"""Files that asyncsim writes for people: refused by name if they cannot be, and safe to open.

A spreadsheet takes a cell of a text file that begins with ``=``, ``+``, ``-`` or ``@`` for a
formula and runs it, also if it is the name of a step that comes from a stranger's file. Such texts
get a single quote before them, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection); numbers stay as they are. `unquoted` takes
the quote away again.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from asyncsim.errors import ScenarioError
from asyncsim.model.units import file_name
from asyncsim.model.validation import argument, scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMULA = re.compile("['\\s]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
"""What a cell of a formula begins with, full-width characters and a quote of its own included."""


def quoted(text: Any) -> Any:
    """Return a text that no spreadsheet runs; what is no text is returned as it is.

    >>> [quoted(one) for one in ("=1+1", "'=1+1", "post", -5)]
    ["'=1+1", "''=1+1", 'post', -5]
    """
    return f"'{text}" if isinstance(text, str) and FORMULA.match(text) else text


def unquoted(text: str) -> str:
    """Return the text of which `quoted` made this one.

    >>> [unquoted(one) for one in ("'=1+1", "''=1+1", "post")]
    ['=1+1', "'=1+1", 'post']
    """
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text


def write_csv_table(table: pd.DataFrame, file: TextIO | None = None) -> str | None:
    """Write a table as CSV whose texts no spreadsheet runs; without a file, return the text."""
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
    """Save a picture in the format that the file's name says."""
    picture = io.BytesIO()  # what is drawn cannot fail on a full disk, in words of its own
    figure.savefig(picture, dpi=120, format=path.suffix.lstrip(".").lower())
    with writing(path, called):
        path.write_bytes(picture.getvalue())


@contextmanager
def writing(path: Path, called: str = "path", kind: str = "file") -> Iterator[None]:
    """Raise what goes wrong with a file that is written as an error that names it.

    Raises
    ------
    ScenarioError
        With the argument, the file, and what the system says.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        wrong = error.object[error.start : error.end]
        raise _unwritten(path, called, kind, f"UTF-8 has no character {wrong!r}") from None
    except BrokenPipeError:  # whoever reads what is written has gone
        raise
    except OSError as error:
        raise _unwritten(path, called, kind, error.strerror or str(error)) from None


def _unwritten(path: Path, called: str, kind: str, why: str) -> ScenarioError:
    return scenario_error(called, f"must be a {kind} that can be written ({why})", str(path))


def named_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a file, if the system can have one of this name."""
    return argument(called, path, file_name)


def check_writable(path: Path, called: str = "path") -> None:
    """Refuse a file that cannot be written: before the work, not after it. Nothing is left there.

    Raises
    ------
    ScenarioError
        With the argument, the file, and what the system says.
    """
    with writing(named_file(path, called), called):
        try:
            path.open("xb").close()
        except FileExistsError:
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        else:
            path.unlink()


def check_folder(path: Path, called: str) -> None:
    """Make a folder for files, if it is not there."""
    with writing(named_file(path, called), called, "folder"):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
