"""What is wrong with the rows of a log: counted by kind, the first of them by place."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from asyncsim.study.calibration.settings import SHOWN

DROPPED, KEPT, SORTED = "no", "yes", "yes, sorted"


class Problems:
    """Collects damaged rows.

    Parameters
    ----------
    place
        What a row's number is called: ``"line"`` of a file, ``"row"`` of a DataFrame.
    of
        Which table it is, if it is not the log itself.
    """

    def __init__(self, place: str, of: str = "") -> None:
        self.place = place
        self._of = f" of {of}" if of else ""
        self._rows: list[dict[str, object]] = []

    def add(self, problem: str, places: Iterable[int], used: str = DROPPED) -> None:
        """Note rows that have one kind of problem, and whether they are used all the same."""
        found = sorted(int(place) for place in places)
        if not found:
            return
        more = ", …" if len(found) > SHOWN else ""
        shown = ", ".join(str(place) for place in found[:SHOWN])
        word = self.place + "s" * (len(found) > 1) + self._of
        self._rows.append(
            {
                "problem": problem,
                "rows": len(found),
                "used": used,
                "first": f"{word} {shown}{more}",
            }
        )

    def take(self, other: Problems) -> None:
        """Add those of another table."""
        self._rows += other._rows

    @property
    def table(self) -> pd.DataFrame:
        """One row per kind: ``problem, rows, used, first``."""
        return pd.DataFrame(self._rows, columns=["problem", "rows", "used", "first"])

    def sentence(self, name: str, rows: int) -> str:
        """Return what a warning says: each kind with its count and first places."""
        damaged = [r for r in self._rows if r["used"] != SORTED]
        kinds = "; ".join(f"{r['problem']}: {r['rows']} ({r['first']})" for r in damaged)
        return f"{name}: some of its {rows} rows are damaged: {kinds}"

    @property
    def worth_a_warning(self) -> bool:
        """Whether there is more than rows that only had to be sorted."""
        return any(row["used"] != SORTED for row in self._rows)
