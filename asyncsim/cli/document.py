"""What a command reports: text as soon as it is found, or with ``--json`` one document at the end.

The document has the results as tidy rows and nothing else stands on standard output, so that a
program can read it. Names of its keys are in `KEYS`, from which the manual has its table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from attrs import Factory, define

T = TypeVar("T")
Parts = dict[str, Any]
PLAYED = "compare, run, capacity, sweep"
INTERVAL = "`mean`, `low`, `high`, `n`"
OPTION = {"--json": "print one JSON document on standard output instead of the text"}
KEYS = (
    ("asyncsim", "all", "Version of asyncsim."),
    ("command", "all", "Name of the command."),
    ("scenario", "all but verify", "Name of the scenario."),
    ("replications", f"{PLAYED}, verify", "Number of runs of each strategy, value or point."),
    ("seed", f"{PLAYED}, verify", "Seed of the random numbers."),
    ("confidence", "compare, capacity, sweep", "Level of the intervals, such as 0.95."),
    ("engine", "run", "The engine that made the run: `simpy` or `compiled`."),
    ("instances", "run", "Number of instances that arrived."),
    (
        "rows",
        "compare",
        f"One per metric and strategy: `metric`, `unit`, `strategy`, {INTERVAL} (replications that "
        "had the metric), `meaning`; `difference`, `difference_low`, `difference_high` to the "
        "first strategy, paired by replication.",
    ),
    (
        "rows",
        "run",
        f"One per metric: `metric`, `unit`, `strategy`, {INTERVAL}, `meaning`; a single run has no "
        "interval.",
    ),
    (
        "rows",
        "explain",
        "One per number: `part`, `what`, `strategy`, `value`, `unit`, `at_least` (a lower bound), "
        "`formula`, `why` (its condition, or why there is none).",
    ),
    (
        "rows",
        "capacity",
        "One per question and value tried: `question`, `value` (as a scenario takes it), "
        f"`verdict`, {INTERVAL}, "
        "`unresumed_share`, `metric`, `unit`, `strategy`.",
    ),
    (
        "rows",
        "sweep",
        "One per point, strategy and metric: `point`, a key per swept field with its dotted name, "
        f"`strategy`, `metric`, `unit`, {INTERVAL}, `error` (empty where the point could be "
        "played).",
    ),
    (
        "rows",
        "fit",
        "One per finding: `part`, `what`, `found`, `rows` (of the log), `interval`, `how`.",
    ),
    (
        "rows",
        "verify",
        "One per metric: `experiment`, `engine`, `metric`, `theory`, `bound`, `simulated`, `low`, "
        "`high`, `n`, `verdict`.",
    ),
    ("findings", "compare, run, explain, sweep", "List of sentences: what matters most."),
    (
        "by_step",
        "compare",
        "Where several steps wait, one per step, strategy and metric: `step`, `system`, "
        "`strategy`, `metric`, `unit`, `mean`, `low`, `high`, `n`, `meaning`.",
    ),
    (
        "answers",
        "capacity, compare with --target",
        "One per question: `question` and `text` (the answer as a sentence), `field`, `value`, "
        "`low`, `high` (null where the range has none).",
    ),
    ("bottleneck", "explain", "The part that overloads first, or null."),
    ("overloaded", "explain", "List of the parts that are asked for more than they can do."),
    (
        "unexplained",
        "fit",
        "What the scenario does not explain: `part`, `what`, `amount`, `meaning`.",
    ),
    ("problems", "fit", "Problems of the log: `problem`, `rows`, `used`, `first`."),
    (
        "check",
        "fit with --check",
        "One per metric of the log: `metric`, `unit`, `log`, `simulated`, `low`, `high`, `within`.",
    ),
    ("passed", "verify", "Whether every verdict is ok."),
    ("notes", "all", "List of sentences: open waits, bad rows of a log, limits of an answer."),
    ("files", "all", "Paths of the files that were written, by kind, such as `picture`."),
)
"""Key, the commands whose document has it, and its meaning."""


@define
class Document:
    """The results of one command."""

    command: str
    as_json: bool = False
    parts: Parts = Factory(dict)

    def show(self, found: T, parts: Callable[[T], Parts], text: str | None = None) -> None:
        """Print a result as text, by default its own, or keep its parts; lists grow."""
        if not self.as_json:
            print(found if text is None else text, flush=True)
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

    >>> rows_of(pd.DataFrame({"figure": ["cost"], "mean": [math.nan]}), strategy="callback")
    [{'strategy': 'callback', 'metric': 'cost', 'mean': nan}]
    """
    records = table.rename(columns={"figure": "metric"}).to_dict("records")
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
