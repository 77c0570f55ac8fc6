"""A progress bar for a search: it tells which value is tried, and the runs of that value."""

from __future__ import annotations

from typing import Any


class ValuesTried:
    """A progress bar over the runs of one value after the other: how many come nobody knows.

    Parameters
    ----------
    bar
        What shows it.
    desc
        What is looked for, in words.
    """

    def __init__(self, bar: Any, desc: str) -> None:
        self._bar = bar
        self._desc = desc
        self._values = 0

    def next_value(self, shown: str, runs: int) -> None:
        """Begin with the next value, which needs so many runs."""
        self._values += 1
        self._bar.reset(total=runs)
        self._bar.set_description(f"{self._desc}: value no. {self._values}, {shown}")

    def update(self) -> None:
        """Count a run."""
        self._bar.update()
