"""The order in which cases go through steps: the commonest one, and who does not keep to it."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from attrs import frozen

LOOP, OTHER_ORDER, LEFT_OUT, ADDED, MIXED = (
    "a step comes again",
    "another order",
    "steps left out",
    "more steps",
    "other steps",
)


@frozen
class Paths:
    """Which way cases went.

    Attributes
    ----------
    main
        Steps of the commonest path of those that have ended.
    on_it
        Cases that went it to its end.
    open
        Cases that have gone part of it, and whose last step has not ended.
    others
        Number of cases by path, the commonest first, for all others.
    """

    main: tuple[str, ...]
    on_it: int
    open: int
    others: tuple[tuple[tuple[str, ...], int], ...]

    @property
    def unexplained(self) -> int:
        """Cases that went another way."""
        return sum(count for _, count in self.others)

    @property
    def cases(self) -> int:
        """All cases."""
        return self.on_it + self.open + self.unexplained

    def difference(self, path: tuple[str, ...]) -> str:
        """Say in two or three words how a path differs from the main one."""
        if len(set(path)) < len(path):
            return LOOP
        kept = [step for step in path if step in self.main]
        in_order = kept == [step for step in self.main if step in kept]
        if len(kept) == len(path):
            return LEFT_OUT if in_order else OTHER_ORDER
        return ADDED if in_order and len(kept) == len(self.main) else MIXED


def paths_of(steps: pd.DataFrame) -> Paths:
    """Return the paths of the cases of a log (`asyncsim.study.calibration.reading.Log.steps`)."""
    times = steps[["queued", "started", "armed", "resumed", "ended"]]
    ordered = steps.assign(first=times.min(axis=1)).sort_values(
        ["case", "first", "ended", "place"]  # what begins as another ends comes after it
    )
    gone: dict[object, list[str]] = {}
    for case, step in zip(ordered["case"], ordered["step"], strict=True):
        gone.setdefault(case, []).append(step)
    paths = pd.Series([tuple(path) for path in gone.values()], index=list(gone))
    ended = ordered["ended"].fillna(ordered["resumed"]).fillna(ordered["completed"]).notna()
    is_open = ~ended.groupby(ordered["case"], sort=False).last()
    closed = Counter(paths[~is_open])
    main = (closed or Counter(paths)).most_common(1)[0][0]
    part = is_open & (paths.map(lambda path: main[: len(path)] == path))
    others = Counter(paths[~part & (paths != main)])
    return Paths(
        main=main,
        on_it=int((~part & (paths == main)).sum()),
        open=int(part.sum()),
        others=tuple(others.most_common()),
    )
