"""One self-contained HTML file that can be sent to readers who were not there.

Its first page has the title, the purpose, the findings, one picture and what is not covered; then
come method, results with their tables, the checklist STRESS-DES and the scenarios. It makes no
request to any other place, and prints on paper as it stands.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from asyncsim.engine.metrics import metric_in_words
from asyncsim.errors import ScenarioError
from asyncsim.experiment.checklist import (
    ChecklistItem,
    Study,
    checklist,
    in_words,
    runs_in_words,
    scenarios_of,
)
from asyncsim.experiment.output import (
    check_writable,
    named_file,
    table_html,
    table_in_words,
    write_csv_table,
    writing,
)
from asyncsim.model import scenario_files
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import percent
from asyncsim.model.validation import scenario_error

MOST_ROWS = 300  # of a table on the page; the file to download has all
SHARPNESS = 1.6  # pixels of a picture for each pixel of the page
UNITS = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|d|%)(?!\w))")  # no line ends before them
NO_BREAK = "&nbsp;"
NOTHING_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
DOI = "https://doi.org/10.1080/17477778.2018.1442155"


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

    It begins with the findings, a picture and what is not covered. Then come the method, each
    study's table and pictures, all results as CSV to download (names that a spreadsheet would take
    for formulas have a quote before them), the checklist STRESS-DES (Monks et al. 2019) for
    reporting discrete-event simulations, and the scenarios as files. A browser prints it as PDF.

    Parameters
    ----------
    studies
        A `Comparison`, `Sweep`, `Capacity`, `Frontier`, `HerdDrain`, `NeededReplications`,
        `SteadyState`, a `Fit` or its `Check`; or a list of them, the most important one first.
    path
        The file to write; an existing one is replaced.
    title
        Heading of the page; by default the names of the scenarios.
    purpose, sources, preprocessing, assumptions, sharing
        What only you know: what the model is for, where its data come from and how they were
        prepared, what was assumed, and how others get the model. The report marks gaps.

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
    page = _page(title, shown, checklist(shown, authors), authors)
    with writing(path):
        path.write_text(page, encoding="utf-8")
    return path


def report_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a report to write, checked; errors call it `called`."""
    place = named_file(path, called)
    if place.suffix.lower() not in (".html", ".htm"):
        raise scenario_error(called, "must end in .html", str(path))
    return place


def _page(
    title: str, studies: Sequence[Study], items: Sequence[ChecklistItem], authors: dict[str, str]
) -> str:
    style = files("asyncsim.experiment").joinpath("report.css").read_text(encoding="utf-8")
    pictures = [list(_pictures(study)) for study in studies]
    several = len({study.scenario.name for study in studies}) > 1
    parts = [
        _first_page(title, authors["purpose"], studies, items, pictures[0][0]),
        _method(studies, authors["sources"]),
        *(
            _study(number, study, own[1:] if number == 1 else own, several)
            for number, (study, own) in enumerate(zip(studies, pictures, strict=True), 1)
        ),
        _checklist(items),
        *map(_scenario, scenarios_of(studies)),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_OUTSIDE}">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


# --- the first page -------------------------------------------------------------------------------


def _first_page(
    title: str, purpose: str, studies: Sequence[Study], items: Sequence[ChecklistItem], picture: str
) -> str:
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    aim = f'<p class="purpose">{escape(purpose)}</p>' if purpose else ""
    return (
        f'<header><h1>{escape(title)}</h1>{aim}<p class="byline">asyncsim, {now}</p></header>'
        f'<section class="first"><h2>Findings</h2>{_findings(studies)}{picture}'
        f"<h2>What is not covered</h2>{_bullets(_limits(studies, items))}</section>"
    )


def _bullets(sentences: Sequence[str]) -> str:
    lines = "".join(f"<li>{UNITS.sub(NO_BREAK, escape(one))}</li>" for one in sentences)
    return f"<ul>{lines}</ul>" if lines else ""


def _sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '…', '!', '?')) else '.'}"


def _findings(studies: Sequence[Study]) -> str:
    """Return the findings of all studies as HTML, by scenario where there are several."""
    found: dict[str, list[str]] = {}
    for study in studies:
        sentences = [_sentence(one) for one in getattr(study, "findings", list)()]
        found.setdefault(study.scenario.name, []).extend(sentences)
    parts = ""
    for name, sentences in found.items():
        parts += f"<h3>{escape(name)}</h3>" if len(found) > 1 and sentences else ""
        parts += _bullets(sentences).replace("<ul>", '<ul class="findings">', 1)
    return parts or "<p>See the picture and the tables.</p>"


def _limits(studies: Sequence[Study], items: Sequence[ChecklistItem]) -> list[str]:
    """Return what the studies cannot say: their notes, losses, gaps, and open questions."""
    losses: dict[str, float] = {}
    for study in studies:
        for label, share in _losses(study).items():
            losses[label] = max(share, losses.get(label, 0.0))
    found = [
        f"Latencies under '{label}' are those of the waits that resume; "
        f"up to {percent(share)} of its waits never do."
        for label, share in losses.items()
    ]
    for study in studies:
        found += map(_sentence, [*getattr(study, "doubts", ()), *getattr(study, "notes", ())])
        gaps = getattr(study, "unexplained", None)
        for row in gaps.to_dict("records") if gaps is not None else ():
            found.append(_sentence("{part}: {what}: {amount} ({meaning})".format(**row)))
        unplayed = getattr(study, "errors", ())
        if len(unplayed):
            found.append(f"{len(unplayed)} points of the sweep could not be played.")
        if study.replications == 1 and not getattr(study, "findings", list)():
            found.append("One replication has no interval, so nothing is known of chance.")
    if all(scenario.costs is None for scenario in scenarios_of(studies)):
        found.append("Costs: the scenario has no prices.")
    found.append("Other volumes, systems and servers than those described below.")
    unknown = [item.asks[0].lower() + item.asks[1:] for item in items if not item.answer]
    if unknown:
        found.append(f"Not stated by the authors: {', '.join(unknown)}.")
    return list(dict.fromkeys(found))


def _losses(study: Study) -> dict[str, float]:
    """Return the largest share of waits that never resume, of every strategy that has any."""
    table = study.table
    if "strategy" not in table:
        return {}
    if "unresumed_share" in table:
        shares = table.groupby("strategy", sort=False)["unresumed_share"].max()
    elif {"figure", "mean"} <= set(table):
        lost = table[table["figure"] == "unresumed_share"]
        shares = lost.groupby("strategy", sort=False)["mean"].max()
    else:
        return {}
    return {str(label): share for label, share in shares.items() if share > 0}


# --- method and results ---------------------------------------------------------------------------


def _method(studies: Sequence[Study], sources: str) -> str:
    parts = ["<section><h2>Method</h2>"]
    for scenario in scenarios_of(studies):
        about = f": {_sentence(scenario.description)}" if scenario.description else "."
        name = f"Scenario: <b>{escape(scenario.name)}</b>"
        parts.append(f'<p class="about">{name}{escape(about)}</p>')
        parts.append(_rows(in_words(scenario)))
    strategies = dict.fromkeys(label for study in studies for label in study.strategies)
    runs = dict.fromkeys(text for study in studies if (text := runs_in_words(study)))
    words = {"Strategies": "; ".join(strategies), "Runs": "; ".join(runs), "Data sources": sources}
    if len(strategies) > 1:
        words["Runs"] += "; all strategies meet the same random numbers"
    rows = _rows({part: text for part, text in words.items() if text})
    return f"{''.join(parts)}{rows}</section>"


def _rows(words: dict[str, str]) -> str:
    """Return a table of names and texts."""
    rows = (
        f'<tr><th scope="row">{escape(part)}</th><td>{escape(text)}</td></tr>'
        for part, text in words.items()
    )
    return f'<table class="list">{"".join(rows)}</table>'


def _study(number: int, study: Study, pictures: Sequence[str], several: bool) -> str:
    """Return a study as a section: its own HTML, its pictures, and its table with a CSV file."""
    kind = getattr(study, "question", type(study).__name__)
    of = f" ({study.scenario.name})" if several else ""
    heading = escape(f"{number}. {_sentence(kind).rstrip('.')}{of}")
    own = study._repr_html_().replace("<details>", "<details open>")  # paper shows it, too
    own = own.replace(" Hover over a row for its meaning.", "")  # a list of meanings follows
    own = re.sub('<(ul|p) class="findings">.*?</\\1>', "", own)  # they stand on the first page
    table, shown = study.table, ""
    if {"figure", "unit"} <= set(table) and "value" not in table:  # others show theirs in words
        shown = _wide(table_html(table_in_words(table.head(MOST_ROWS))))
    text = (write_csv_table(table) or "").encode(errors="backslashreplace")
    csv = base64.b64encode(text).decode()
    more = f" (the first {MOST_ROWS} of {len(table)} rows)" if len(table) > MOST_ROWS else ""
    more = more if shown else f" ({len(table):,} rows)"
    return (
        f"<section><h2>{heading}</h2>{_wide(own)}{''.join(pictures)}"
        f'{_meanings(table)}<details class="all"><summary>All results{more}</summary>'
        f'<p><a download="study_{number}.csv" href="data:text/csv;base64,{csv}">as CSV</a></p>'
        f"{shown}</details>"
        f'<p class="paper small">All results ({len(table):,} rows) are in the HTML file of this '
        "report.</p></section>"
    )


def _wide(html: str) -> str:
    """Return HTML that scrolls sideways where it is wider than the screen, also by keyboard."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="table">{html}</div>'


def _meanings(table: pd.DataFrame) -> str:
    """Return what the metrics of a table mean."""
    if not {"figure", "meaning"} <= set(table):
        return ""
    known = table.drop_duplicates("figure")
    words = zip(map(metric_in_words, known["figure"]), known["meaning"], strict=True)
    return (
        '<details class="all"><summary>What the metrics mean</summary>'
        f"{_rows(dict(words))}</details>"
    )


def _checklist(items: Sequence[ChecklistItem]) -> str:
    rows = []
    for section, some in groupby(items, key=lambda item: item.section):
        rows.append(f'<tr><th colspan="3">{escape(section)}</th></tr>')
        for _, number, asks, found in some:
            answer = escape(found) or '<span class="open">to be answered by the authors</span>'
            rows.append(f"<tr><td>{number}</td><td>{escape(asks)}</td><td>{answer}</td></tr>")
    return (
        '<section class="new-page"><h2>Reporting checklist (STRESS-DES)</h2>'
        f'<p>After <a href="{DOI}">Monks et al. (2019)</a>.</p>'
        f'<table class="list items">{"".join(rows)}</table></section>'
    )


def _scenario(scenario: Scenario) -> str:
    try:
        text = scenario_files.dumps(scenario)
    except ScenarioError as problem:  # no file holds a custom class
        text = f"{problem}\n\n{scenario!r}"
    heading = escape(f"Scenario file: {scenario.name}")
    return f"<section><h2>{heading}</h2><pre>{escape(text)}</pre></section>"


# --- pictures -------------------------------------------------------------------------------------


def _pictures(study: Study) -> Iterator[str]:
    """Yield the picture of a study, or each of its parts, which scroll on a narrow screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layout, issued when it was played
        draw: Any = study.plot
        for part in getattr(study, "parts", [None]):
            picture = draw(part) if part else draw()
            label = 'class="wide" tabindex="0" role="region" aria-label="picture"'
            yield f"<figure><div {label}>{picture.image(SHARPNESS)}</div></figure>"
