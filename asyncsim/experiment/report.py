"""One self-contained HTML file: tables, pictures and the checklist, readable in ten years."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from asyncsim.errors import ScenarioError
from asyncsim.experiment.file_output import check_writable, named_file, write_csv_table, writing
from asyncsim.experiment.notebook_html import table_html
from asyncsim.experiment.stress_checklist import Item, Study, checklist
from asyncsim.model import scenario_files
from asyncsim.model.scenario import Scenario
from asyncsim.model.validation import scenario_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 300
"""A table has this many rows on the page at the most; the file to download has all."""
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
    """Write studies as one HTML file that needs nothing else, not even the internet.

    It has each study's table and picture, everything found as CSV to download (a name that begins
    with ``=``, ``+``, ``-`` or ``@`` has a quote before it, for spreadsheets), the scenarios as
    files, and the checklist STRESS-DES (Monks et al. 2019) for reporting discrete-event
    simulations, filled in with versions, seeds, replications and the scenarios themselves.

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
        What only you know: what the model is for, where its figures come from and what was done to
        them, what was assumed, and how others get at the model. What is left out is marked in the
        checklist as still to be said.

    Returns
    -------
    pathlib.Path
        The file.

    Examples
    --------
    >>> import asyncsim as sim, tempfile
    >>> scenario = sim.Scenario(
    ...     name="a day of orders",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
    ...     arrivals=sim.Poisson("100/day", between=("08:00", "20:00")),
    ... )
    >>> found = sim.compare(scenario, [sim.Callback()], replications=2, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sim.report(found, folder + "/report.html", purpose="an example").name
    'report.html'
    """
    shown, path = _checked(studies), report_file(path)
    check_writable(path)
    said = {"purpose": purpose, "sources": sources, "preprocessing": preprocessing,
            "assumptions": assumptions, "sharing": sharing}  # fmt: skip
    for name, text in (said | {"title": title}).items():
        if not isinstance(text, str):
            raise scenario_error(name, "must be a text", text)
    names = dict.fromkeys(study.scenario.name for study in shown)
    page = _page(title or ", ".join(names), shown, checklist(shown, said))
    with writing(path):
        path.write_text(page, encoding="utf-8")
    return path


def report_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a report to write, checked; errors call it `called`."""
    place = named_file(path, called)
    if place.suffix.lower() not in (".html", ".htm"):
        raise scenario_error(called, "must end in .html", str(path))
    return place


def _checked(studies: object) -> list[Study]:
    right = "must be a study such as compare(…) returns, or a list of them"
    found: list[Study] = []
    for study in studies if isinstance(studies, (list, tuple)) else [studies]:
        if not isinstance(study, Study) or isinstance(study, type):
            raise scenario_error("studies", right, study)
        found.append(study)
    if not found:
        raise scenario_error("studies", right, studies)
    return found


def _page(title: str, studies: Sequence[Study], items: Sequence[Item]) -> str:
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
    kind = getattr(study, "question", type(study).__name__)
    heading = f"{number}. {kind}: {study.scenario.name}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layout, said when it was played
        picture = _picture(study.plot(), f"Picture of study {number}: {kind}")
    return (
        f"<section><h2>{escape(heading)}</h2><div class=wide>{study._repr_html_()}</div>"
        f"{picture}{_table(study.table, number)}</section>"
    )


def _picture(figure: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="{escape(alt)}" src="data:image/png;base64,{data}"></p>'


def _table(table: pd.DataFrame, number: int) -> str:
    text = (write_csv_table(table) or "").encode(errors="backslashreplace")
    data = base64.b64encode(text).decode()
    rows = table_html(table.head(MOST_ROWS))
    more = f" (the first {MOST_ROWS} of {len(table)} rows)" if len(table) > MOST_ROWS else ""
    return (
        f"<details><summary>everything that was found{more}</summary>"
        f'<p><a download="study_{number}.csv" href="data:text/csv;base64,{data}">as CSV</a></p>'
        f"<div class=wide>{rows}</div></details>"
    )


def _checklist(items: Sequence[Item]) -> str:
    rows, last = [], ""
    for item in items:
        if item.section != last:
            rows.append(f'<tr><th colspan="3">{escape(item.section)}</th></tr>')
            last = item.section
        answer = escape(item.answer) or '<span class="open">still to be said by the authors</span>'
        rows.append(f"<tr><td>{item.number}</td><td>{escape(item.asks)}</td><td>{answer}</td></tr>")
    return (
        "<section><h2>Reporting checklist (STRESS-DES)</h2><p>After Monks et al. (2019), "
        "doi:10.1080/17477778.2018.1442155.</p>"
        f"<div class=wide><table class=list>{''.join(rows)}</table></div></section>"
    )


def _scenario(scenario: Scenario) -> str:
    try:
        text = scenario_files.dumps(scenario)
    except ScenarioError as problem:  # a class of one's own: no file holds it
        text = f"{problem}\n\n{scenario!r}"
    return f"<section><h2>Scenario: {escape(scenario.name)}</h2><pre>{escape(text)}</pre></section>"
