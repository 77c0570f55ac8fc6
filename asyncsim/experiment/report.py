"""One self-contained HTML file: tables, pictures and the checklist STRESS-DES.

Monks, Currie, Onggo, Robinson, Kunc and Taylor: Strengthening the reporting of empirical simulation
studies. Journal of Simulation 13 (2019) 55-67, doi:10.1080/17477778.2018.1442155. The items are in
``stress_des.toml``, filled in from what a study knows; those that only its authors can answer are
left open.
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import platform
import tomllib
import warnings
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from asyncsim.errors import ScenarioError
from asyncsim.experiment.output import (
    check_writable,
    named_file,
    table_html,
    write_csv_table,
    writing,
)
from asyncsim.experiment.steady_state import SteadyState
from asyncsim.model import scenario_files
from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import text_of
from asyncsim.model.validation import scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 300  # of a table on the page; the file to download has all
MOST_METRICS = 30
MOST_LETTERS = 160  # of the description of a part; the scenario file has all of it
PACKAGES = ("asyncsim", "simpy", "numpy", "scipy", "pandas", "matplotlib", "numba")
STYLE = """
:root{color-scheme:light dark;--line:rgba(127,127,127,.35)}
body{font:16px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td:first-child,.list td:nth-child(2){white-space:nowrap}td{overflow-wrap:anywhere}
.wide{overflow-x:auto}img{max-width:100%;background:#fff;border-radius:4px}
pre{overflow-x:auto;border:1px solid var(--line);padding:1rem;font-size:13px}
.open{color:#b45309;font-weight:600}@media (prefers-color-scheme:dark){.open{color:#fbbf24}}
"""


@runtime_checkable
class Study(Protocol):
    """What a report can show: a comparison, a sweep, or the answer to a question of capacity."""

    @property
    def scenario(self) -> Scenario:
        """What was played."""

    @property
    def replications(self) -> int:
        """Number of replications."""

    @property
    def seed(self) -> int:
        """Key of the random numbers."""

    @property
    def confidence(self) -> float:
        """Of every interval."""

    @property
    def strategies(self) -> Sequence[str]:
        """Labels of the strategies."""

    @property
    def table(self) -> pd.DataFrame:
        """All results."""

    def plot(self) -> Figure:
        """Draw it."""

    def _repr_html_(self) -> str: ...


def report(
    studies: Study | Sequence[Study],
    path: str | Path,
    *,
    title: str = "",
    purpose: str = "",
    sources: str = "",
    preprocessing: str = "",
    assumptions: str = "",
    sharing: str = "",
) -> Path:
    """Write studies as one HTML file that needs nothing else, and return its path.

    It has each study's table and picture, all results as CSV to download (names that a spreadsheet
    would take for formulas have a quote before them), the scenarios as files, and the checklist
    STRESS-DES (Monks et al. 2019) for reporting discrete-event simulations.

    Parameters
    ----------
    studies
        A `Comparison`, `Sweep`, `Capacity`, `Frontier`, `HerdDrain`, `NeededReplications`,
        `SteadyState`, a `Fit` or its `Check`; or a list of them.
    path
        The file to write; an existing one is replaced.
    title
        Heading of the page; by default the names of the scenarios.
    purpose, sources, preprocessing, assumptions, sharing
        What only you know: what the model is for, where its data come from and how they were
        prepared, what was assumed, and how others get the model. The checklist marks gaps.

    Examples
    --------
    >>> import asyncsim as sim, tempfile
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> found = sim.compare(scenario, [sim.Callback()], replications=2, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sim.report(found, folder + "/report.html", purpose="an example").name
    'report.html'
    """
    shown: list[Any] = list(studies) if isinstance(studies, (list, tuple)) else [studies]
    for study in shown or [studies]:  # an empty list is no study either
        if not isinstance(study, Study) or isinstance(study, type):
            right = "must be a study such as compare(…) returns, or a list of them"
            raise scenario_error("studies", right, study)
    path = report_file(path)
    check_writable(path)
    authors = {"purpose": purpose, "sources": sources, "preprocessing": preprocessing,
               "assumptions": assumptions, "sharing": sharing}  # fmt: skip
    for name, text in (authors | {"title": title}).items():
        if not isinstance(text, str):
            raise scenario_error(name, "must be a text", text)
    title = title or ", ".join(dict.fromkeys(study.scenario.name for study in shown))
    page = _page(title, shown, checklist(shown, authors))
    with writing(path):
        path.write_text(page, encoding="utf-8")
    return path


def report_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a report to write, checked; errors call it `called`."""
    place = named_file(path, called)
    if place.suffix.lower() not in (".html", ".htm"):
        raise scenario_error(called, "must end in .html", str(path))
    return place


def _page(title: str, studies: Sequence[Study], items: Sequence[ChecklistItem]) -> str:
    scenarios = {id(study.scenario): study.scenario for study in studies}
    parts = [
        f"<h1>{escape(title)}</h1><p>asyncsim, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}</p>",
        *(_study(number, study) for number, study in enumerate(studies, 1)),
        _checklist(items),
        *(_scenario(scenario) for scenario in scenarios.values()),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _study(number: int, study: Study) -> str:
    """Return a study as a section: its own HTML, its picture, and its table with a CSV file."""
    kind = getattr(study, "question", type(study).__name__)
    heading = escape(f"{number}. {kind}: {study.scenario.name}")
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layout, issued when it was played
        study.plot().savefig(picture, format="png", dpi=110)
    png = base64.b64encode(picture.getvalue()).decode()
    table = study.table
    text = (write_csv_table(table) or "").encode(errors="backslashreplace")
    csv = base64.b64encode(text).decode()
    more = f" (the first {MOST_ROWS} of {len(table)} rows)" if len(table) > MOST_ROWS else ""
    return (
        f"<section><h2>{heading}</h2><div class=wide>{study._repr_html_()}</div>"
        f'<p><img alt="{escape(f"Picture of study {number}: {kind}")}" '
        f'src="data:image/png;base64,{png}"></p><details><summary>all results{more}</summary>'
        f'<p><a download="study_{number}.csv" href="data:text/csv;base64,{csv}">as CSV</a></p>'
        f"<div class=wide>{table_html(table.head(MOST_ROWS))}</div></details></section>"
    )


def _checklist(items: Sequence[ChecklistItem]) -> str:
    rows = []
    for section, some in groupby(items, key=lambda item: item.section):
        rows.append(f'<tr><th colspan="3">{escape(section)}</th></tr>')
        for _, number, asks, found in some:
            answer = escape(found) or '<span class="open">to be answered by the authors</span>'
            rows.append(f"<tr><td>{number}</td><td>{escape(asks)}</td><td>{answer}</td></tr>")
    return (
        "<section><h2>Reporting checklist (STRESS-DES)</h2><p>After Monks et al. (2019), "
        "doi:10.1080/17477778.2018.1442155.</p>"
        f"<div class=wide><table class=list>{''.join(rows)}</table></div></section>"
    )


def _scenario(scenario: Scenario) -> str:
    try:
        text = scenario_files.dumps(scenario)
    except ScenarioError as problem:  # no file holds a custom class
        text = f"{problem}\n\n{scenario!r}"
    return f"<section><h2>Scenario: {escape(scenario.name)}</h2><pre>{escape(text)}</pre></section>"


# --- the checklist --------------------------------------------------------------------------------


class ChecklistItem(NamedTuple):
    """One item of STRESS-DES: where it stands, what it asks for, and the answer, if known."""

    section: str
    number: str
    asks: str
    answer: str


STUDENT = "Student's t"
FROM_EMPTY = "terminating runs from an empty system, unless a warm-up is stated with a study"
FOUND_WARM_UP = "of steady states the warm-up from an empty system is found by MSER-5 and left out"


def checklist(studies: Sequence[Study], authors: dict[str, str]) -> list[ChecklistItem]:
    """Return the checklist for studies; `authors` holds what only they know."""
    scenarios = list({id(s.scenario): s.scenario for s in studies}.values())
    described = [_of_scenario(scenario) for scenario in scenarios]
    answers = _of_studies(studies)
    for number in described[0]:
        texts = [one[number] for one in described]
        named = (f"{s.name}: {text}" for s, text in zip(scenarios, texts, strict=True))
        answers[number] = texts[0] if len(set(texts)) == 1 else "; ".join(named)
    known = files("asyncsim.experiment").joinpath("stress_des.toml").read_text(encoding="utf-8")
    found = []
    for section, items in tomllib.loads(known).items():
        for number, item in items.items():
            theirs = authors.get(item.get("author"), "")
            answer = answers.get(number, item.get("answer", theirs))
            found.append(ChecklistItem(section, number, item["asks"], answer))
    return found


def _of_scenario(scenario: Scenario) -> dict[str, str]:
    """Return answers about a scenario."""
    process, server = scenario.process, scenario.server
    about = (scenario.description or scenario.name).rstrip(".")
    parts = " → ".join(f"{element.name} ({_kind(element)})" for element in process.steps)
    activities = [
        *(f"{s.name}: {_brief(s.work)}" for s in process.of_type(Step)),
        *(f"call of {s.name}: {_brief(s.call_work)}" for s in process.of_type(AsyncStep)),
        f"check: {text_of(server.poll_work)}, {server.check_operations:g} database operations",
        f"callback: {text_of(server.callback_work)}, {server.callback_operations:g} of them",
    ]
    systems = ", ".join(f"{name} ({type(s).__name__})" for name, s in scenario.systems.items())
    return {
        "2.1": f"{about}. Process: {parts}",
        "2.5.1": f"instances of {process.name!r}",
        "2.5.2": "; ".join(activities),
        "2.5.3": f"{server.workers} workers; external systems: {systems or 'none'}",
        "2.5.5": f"{_brief(scenario.arrivals)}; an instance leaves when it has ended",
        "4.2": f"arrivals for {text_of(scenario.length)} from {scenario.start}, midnight "
        f"({scenario.zone or 'no daylight saving'}); each run goes on until all has ended",
    }


def _kind(element: object) -> str:
    if isinstance(element, AsyncStep):
        return f"waits for {element.system}"
    if isinstance(element, Choice):
        return "choice"
    return "parallel" if isinstance(element, Parallel) else "work"


def _brief(described: object) -> str:
    text = repr(described).replace("(_", "(").replace(", _", ", ")  # such as _mean
    return text if len(text) < MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _of_studies(studies: Sequence[Study]) -> dict[str, str]:
    """Return answers about the experiments and the software."""
    metrics: dict[str, None] = {}
    for study in studies:
        if "figure" in study.table:
            metrics |= dict.fromkeys(study.table["figure"].unique())
    more = f" and {len(metrics) - MOST_METRICS} more" if len(metrics) > MOST_METRICS else ""
    aims = [f"{type(one).__name__} of {'; '.join(one.strategies)}" for one in studies]
    labels = dict.fromkeys(label for study in studies for label in study.strategies)
    steady = [isinstance(study, SteadyState) for study in studies]
    estimation = [
        f"{one.replications} replication{'s' if one.replications != 1 else ''}, "
        f"{one.confidence:.0%} intervals by {getattr(one, 'method', STUDENT)}"
        for one in studies
        if one.replications  # a fit plays nothing
    ]
    if any(len(study.strategies) > 1 for study in studies):
        estimation.append("differences paired on common random numbers")
    seeds = ", ".join(str(seed) for seed in sorted({study.seed for study in studies}))
    return {
        "1.2": ", ".join(list(metrics)[:MOST_METRICS]) + more or "see the tables",
        "1.3": " / ".join(
            str(getattr(one, "question", aim)) for one, aim in zip(studies, aims, strict=True)
        ),
        "2.3": "waiting strategies: " + "; ".join(labels),
        "4.1": "; ".join([FROM_EMPTY] * (not all(steady)) + [FOUND_WARM_UP] * any(steady)),
        "4.3": "; ".join(dict.fromkeys(estimation)),
        "5.1": f"Python {platform.python_version()}; {', '.join(map(_version, PACKAGES))}",
        "5.2": f"seed {seeds}; NumPy's PCG64 with one stream per source and replication, keyed by "
        "name, all drawn before a run",
        "5.4": f"{platform.system()} {platform.machine()}",
    }


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
