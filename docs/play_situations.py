"""Play the scenarios of ``situations.md``; its cells import this.

``play`` finds the TOML block with a given name on the page, plays it in several ways and shows a
table; ``holds`` prints a sentence and fails if its fact is false.
"""

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from IPython.display import display

import asyncsim as sim
from asyncsim.engine.metrics import METRICS
from asyncsim.model.units import number_text, percent, text_of

warnings.simplefilter("ignore", sim.CensoredWarning)  # the share that never resumed is shown
PAGE = Path(__file__).with_name("situations.md")
BLOCKS = re.findall(r"^`{3}toml\n(.*?)^`{3}", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
FILES = {re.search(r'^name = "(.*)"', block, re.MULTILINE)[1]: block for block in BLOCKS}


def scenario(name: str, changes: Mapping[str, Any] | None = None) -> sim.Scenario:
    """Return the scenario of a TOML block of the page, with some fields changed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "situation.toml")
        file.write_text(FILES[name], "utf-8")
        return sim.Scenario.load(file).replace(**changes or {})


def words(metric: str, value: float) -> str:
    """Return a metric as text."""
    if pd.isna(value):
        return "–"
    if METRICS[metric].unit == "s" and metric != "connection_time":
        return text_of(value, 3)
    return percent(value) if metric.endswith("_share") else number_text(value, 3)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the log while a run is played: which engine plays does not matter here."""
    log = logging.getLogger("asyncsim")
    level = log.level
    log.setLevel(logging.ERROR)
    yield
    log.setLevel(level)


def play(name: str, shown: list[str], *rows: tuple[Any, ...]) -> list[Any]:
    """Play a scenario in several ways, show some metrics, and return the run and all of each.

    A row is a label, a strategy and, if the scenario differs, the fields to change.
    """
    found, table = [], {}
    for label, strategy, *changes in rows:
        with quiet():
            run = sim.simulate(scenario(name, *changes), strategy, seed=1)
        metrics = dict(run.summary().iloc[0])
        table[label] = {one.replace("_", " "): words(one, metrics[one]) for one in shown}
        found.append(SimpleNamespace(run=run, **metrics))
    display(pd.DataFrame(table).T)
    return found


def holds(sentence: str, fact: object) -> None:
    """Print a sentence whose fact is true; otherwise the page is not built."""
    assert fact, f"false: {sentence}"
    print(f"✓ {sentence}")
