"""Text files to write to, compressed if their name says so."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

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
