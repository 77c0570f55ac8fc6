"""What a command reports: text as soon as it is found, or with ``--json`` one document at the end.

The document has the results as tidy rows and nothing else stands on standard output, so that a
program can read it. The manual lists its keys (docs/command_line.md).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from attrs import Factory, define

T = TypeVar("T")
Parts = dict[str, Any]
OPTION = {"--json": "print one JSON document on standard output instead of the text"}


@define
class Document:
    """The results of one command."""

    command: str
    as_json: bool = False
    parts: Parts = Factory(dict)

    def show(self, found: T, parts: Callable[[T], Parts], text: str | None = None) -> None:
        """Print a result as text, by default its own, or keep its parts; lists grow."""
        if not self.as_json:
            try:
                print(found if text is None else text, flush=True)
            except BrokenPipeError:  # as in `asyncsim … | head`: files are still to be written
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        for key, value in parts(found).items():
            old = self.parts.get(key)
            self.parts[key] = [*old, *value] if isinstance(old, list) else value

    def wrote(self, kind: str, path: Path, *, shown: bool = True, before: str = "") -> None:
        """Report a file that was written."""
        if self.as_json:
            self.parts.setdefault("files", {})[kind] = str(path)
        elif shown:
            print(f"{before}{kind}: {path}")

    def close(self, notes: Iterable[str]) -> None:
        """Print the JSON document, with the warnings of the work as further notes."""
        if self.as_json:
            every = {
                "asyncsim": version("asyncsim"),
                "command": self.command,
                **self.parts,
                "notes": list(dict.fromkeys([*self.parts.get("notes", []), *notes])),
                "files": self.parts.get("files", {}),
            }
            print(json.dumps(plain(every), indent=2, allow_nan=False))


def rows_of(table: pd.DataFrame, **first: Any) -> list[Parts]:
    """Return the rows of a table as objects, with the same further keys before those of each.

    >>> rows_of(pd.DataFrame({"metric": ["cost"], "mean": [math.nan]}), strategy="callback")
    [{'strategy': 'callback', 'metric': 'cost', 'mean': nan}]
    """
    records = table.to_dict("records")
    return [first | {str(key): value for key, value in one.items()} for one in records]


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: NaN is null, infinity a text, and so is any object.

    >>> plain({"mean": np.float64("nan"), "high": math.inf, "n": np.int64(2)})
    {'mean': None, 'high': 'Infinity', 'n': 2}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if value is pd.NaT:
        return None
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
