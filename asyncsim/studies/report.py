"""One self-contained HTML file that can be sent to readers who were not there.

Its first page has the title, the purpose, the findings, one picture and what is not covered; then
come method, results with their tables, the checklist STRESS-DES and the scenarios. It makes no
request to any other place, and prints on paper as it stands.
"""

from __future__ import annotations

import base64
import difflib
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
from asyncsim.experiment import output
from asyncsim.model import scenario_files
from asyncsim.model.html import bullets_html, process_html
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import percent
from asyncsim.model.validation import scenario_error
from asyncsim.model.words import length_in_words
from asyncsim.studies.checklist import (
    ChecklistItem,
    Study,
    checklist,
    in_words,
    runs_in_words,
    scenarios_of,
)

MOST_ROWS = 300  # of a table on the page; the file to download has all
SHARPNESS = 1.6  # pixels of a picture for each pixel of the page
UNITS = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|d|%)(?!\w))")  # no line ends before them
NOTHING_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
Texts = dict[str, str]  # what only the authors know, by the argument of `report`
DOI = "https://doi.org/10.1080/17477778.2018.1442155"


def report(
    studies: Study | Sequence[Study],
    path: str | Path,
    *,
    title: str = "",
    author: str = "",
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
        `SteadyState`, a `Fit` or its `Check`; or a list of them, the most important one first. An
        `Explanation` among them is shown with the method.
    path
        The file to write; an existing one is replaced.
    title
        Heading of the page; by default the names of the scenarios.
    author, purpose, sources, preprocessing, assumptions, sharing
        What only you know: who wrote it, what the model is for, where its data come from and how
        they were prepared, what was assumed, and how others get the model. The report marks gaps.

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
    output.check_writable(path)
    authors = {"purpose": purpose, "sources": sources, "preprocessing": preprocessing,
               "assumptions": assumptions, "sharing": sharing}  # fmt: skip
    for name, text in (authors | {"title": title, "author": author}).items():
        if not isinstance(text, str):
            raise scenario_error(name, "must be a text", text)
    title = title or ", ".join(dict.fromkeys(study.scenario.name for study in shown))
    texts = authors | {"title": title, "author": author}
    page = _page(texts, shown, checklist(shown, authors))
    with output.writing(path):
        path.write_text(page, encoding="utf-8")
    return path


def report_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a report to write, checked; errors call it `called`."""
    place = output.named_file(path, called)
    if place.suffix.lower() not in (".html", ".htm"):
        raise scenario_error(called, "must end in .html", str(path))
    return place


def _page(texts: Texts, studies: Sequence[Study], items: Sequence[ChecklistItem]) -> str:
    style = files("asyncsim.studies").joinpath("report.css").read_text(encoding="utf-8")
    explained = [study for study in studies if not hasattr(study, "plot")]
    shown = [study for study in studies if hasattr(study, "plot")]
    pictures = [list(_pictures(study)) for study in shown]
    scenarios = scenarios_of(studies)
    of = [name for study in shown for name, one in scenarios.items() if one == study.scenario]
    parts = [
        _first_page(texts, shown or explained, items, pictures[0][0] if shown else ""),
        _method(studies, texts, explained),
        *(
            _study(number, study, own[1:] if number == 1 else own, name * (len(scenarios) > 1))
            for number, (study, own, name) in enumerate(zip(shown, pictures, of, strict=True), 1)
        ),
        _checklist(items),
        *_scenarios(scenarios),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_OUTSIDE}">'
        f"<title>{escape(texts['title'])}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


# --- the first page -------------------------------------------------------------------------------


def _first_page(
    texts: Texts, studies: Sequence[Study], items: Sequence[ChecklistItem], picture: str
) -> str:
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    by = ", ".join(filter(None, [texts["author"], "made with asyncsim", now]))
    purpose = texts["purpose"]
    aim = f'<p class="purpose"><b>Purpose:</b> {escape(purpose)}</p>' if purpose else ""
    return (
        f'<header><h1>{escape(texts["title"])}</h1>{aim}<p class="byline">{escape(by)}</p></header>'
        f'<section class="first"><h2>Findings</h2>{_findings(studies)}{picture}'
        f"<h2>What is not covered</h2>{_bullets(_limits(studies, items))}</section>"
    )


def _bullets(sentences: Sequence[str], css: str = "") -> str:
    return bullets_html([UNITS.sub("\N{NO-BREAK SPACE}", one) for one in sentences], css)


def _sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '…', '!', '?')) else '.'}"


def _findings(studies: Sequence[Study]) -> str:
    """Return the findings of all studies as HTML, by scenario where there are several."""
    scenarios, parts = scenarios_of(studies), ""
    several = len({tuple(study.strategies) for study in studies}) > 1
    for name, scenario in scenarios.items():
        found: list[str] = []
        for study in (one for one in studies if one.scenario == scenario):
            sentences = [_sentence(one) for one in getattr(study, "findings", list)()]
            if several and len(study.strategies) == 1:  # its sentences need not name it
                label = f"'{study.strategies[0]}'"
                sentences = [
                    one if label in one else f"Under {label}, {one[0].lower()}{one[1:]}"
                    for one in sentences
                ]
            found += sentences
        parts += f"<h3>{escape(name)}</h3>" if len(scenarios) > 1 and found else ""
        parts += _bullets(found, "findings")
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
    if all(study.scenario.costs is None for study in studies):
        found.append("Costs: the scenario has no prices.")
    certain = [one for study in studies for one in getattr(study, "loses_none", ())]
    if certain:
        names = " and ".join(f"'{label}'" for label in dict.fromkeys(certain))
        found.append(f"Lost callbacks: under {names} none is lost here, by assumption.")
    found.append("Other volumes, systems and servers than those described below.")
    unknown = [item.asks[0].lower() + item.asks[1:] for item in items if not item.answer]
    if unknown:
        found.append(f"Not stated by the authors: {', '.join(unknown)}.")
    return list(dict.fromkeys(found))


def _losses(study: Study) -> dict[str, float]:
    """Return the largest share of waits that never resume, of every strategy that has any."""
    table = study.table
    if "unresumed_share" not in table and {"metric", "mean"} <= set(table):
        lost = table[table["metric"] == "unresumed_share"]
        table = lost.rename(columns={"mean": "unresumed_share"})
    if not {"strategy", "unresumed_share"} <= set(table):
        return {}
    shares = table.groupby("strategy", sort=False)["unresumed_share"].max()
    return {str(label): share for label, share in shares.items() if share > 0}


# --- method and results ---------------------------------------------------------------------------


def _method(studies: Sequence[Study], texts: Texts, explained: Sequence[Study]) -> str:
    parts, heading = [], "<h2>Method</h2>"
    scenarios = scenarios_of(studies)
    first = studies[0].scenario
    for called, scenario in scenarios.items():
        about = f": {_sentence(scenario.description)}" if scenario.description else "."
        name = f"Scenario: <b>{escape(called)}</b>"
        words, known = in_words(scenario), in_words(first)
        if scenario is not first and scenario.name == first.name:
            about = ", as above except for:"
            words = {part: text for part, text in words.items() if text != known.get(part)}
        drawn = _wide(process_html(scenario.process)) if "Process" in words else ""
        parts.append(f'<div class="keep">{heading}<p>{name}{escape(about)}</p>{drawn}</div>')
        parts.append(_rows(words))
        heading = ""
    strategies = {label: "" for study in studies for label in study.strategies}
    for study in studies:
        strategies |= getattr(study, "strategies_in_words", {})
    runs = dict.fromkeys(text for study in studies if (text := runs_in_words(study)))
    played = [study for study in studies if study.replications and "metric" in study.table]
    lengths = dict.fromkeys(length_in_words(study.scenario.length) for study in played)
    sums = "requests, worker time, costs and other sums in tables are per run of "
    sums += " or ".join(lengths)
    words = {
        "Strategies": "\n".join(f"{one}: {text}".rstrip(": ") for one, text in strategies.items()),
        "Load": next((text for study in studies if (text := _loads(study))), ""),
        "Runs": "; ".join(runs),
        "Sums": sums if lengths else "",
        "Data sources": texts["sources"],
        "Preprocessing": texts["preprocessing"],
        "Assumptions": texts["assumptions"],
    }
    if len(strategies) > 1 and runs:
        words["Runs"] += "; all strategies meet the same random numbers"
    rows = _rows({part: text for part, text in words.items() if text})
    more = "<h3>Strategies and runs</h3>" if len(scenarios) > 1 else ""
    alone = len(explained) == len(studies)  # then its sentences stand on the first page
    shown = "".join(
        f"<h3>Before any run</h3>{_wide(_without_findings(one) if alone else one._repr_html_())}"
        for one in explained
    )
    return f"<section>{''.join(parts)}{more}{rows}{shown}</section>"


def _loads(study: Study) -> str:
    """Return the load of each part, of a comparison that under the strategy with the largest."""
    loads, most = getattr(study, "loads", None), ""
    if isinstance(loads, pd.DataFrame):
        most = ", the largest of the strategies" * (len(study.strategies) > 1)
        loads = loads.groupby("part", sort=False)["mean"].max().to_dict()
    found = [f"{part} {percent(load)}" for part, load in (loads or {}).items() if load >= 0]
    return f"{', '.join(found)} of what they can do in a week{most}" if found else ""


def _rows(words: dict[str, str]) -> str:
    """Return a table of names and texts."""
    rows = (
        f'<tr><th scope="row">{escape(part)}</th><td>{escape(text)}</td></tr>'
        for part, text in words.items()
    )
    return f'<table class="list">{"".join(rows)}</table>'


def _study(number: int, study: Study, pictures: Sequence[str], name: str) -> str:
    """Return a study as a section: its own HTML, its pictures, and its table with a CSV file."""
    kind = getattr(study, "question", type(study).__name__)
    of = f" ({name})" if name else ""
    heading = escape(f"{number}. {_sentence(kind).rstrip('.')}{of}")
    own = _without_findings(study)
    table, shown = study.table, ""
    if {"metric", "unit"} <= set(table) and "value" not in table:  # others show theirs in words
        shown = _wide(output.table_html(output.table_in_words(table.head(MOST_ROWS))))
    more = f" (the first {MOST_ROWS} of {len(table)} rows)" if len(table) > MOST_ROWS else ""
    more = more if shown else f" ({len(table):,} rows)"
    steps = getattr(study, "by_step", table[:0])
    files = _csv(f"study_{number}", table)
    files += _csv(f"study_{number}_by_step", steps) if len(steps) else ""
    return (
        f"<section><h2>{heading}</h2>{_wide(own)}{''.join(pictures)}"
        f'{_meanings([table, steps])}<details class="all"><summary>All results{more}</summary>'
        f"{files}{shown}</details>"
        f'<p class="paper small">All results ({len(table):,} rows) are in the HTML file of this '
        "report.</p></section>"
    )


def _without_findings(study: Study) -> str:
    """Return the HTML of a study without its findings, which stand on the first page."""
    own: str = getattr(study, "report_html", study._repr_html_)()
    return re.sub('<(ul|p) class="findings">.*?</\\1>', "", own)


def _csv(name: str, table: pd.DataFrame) -> str:
    """Return a link that downloads a table."""
    words = f"{name.replace('_', ' ').capitalize()}, as a CSV file"
    text = (output.write_csv_table(table) or "").encode(errors="backslashreplace")
    data = base64.b64encode(text).decode()
    return f'<p><a download="{name}.csv" href="data:text/csv;base64,{data}">{words}</a></p>'


def _wide(html: str) -> str:
    """Return HTML that scrolls sideways where it is wider than the screen, also by keyboard."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="table">{html}</div>'


def _meanings(tables: Sequence[pd.DataFrame]) -> str:
    """Return what the metrics of tables mean: folded on a screen, open on paper."""
    known = [table for table in tables if len(table) and {"metric", "meaning"} <= set(table)]
    if not known:
        return ""
    of = pd.concat(known).drop_duplicates("metric")
    words = dict(zip(map(metric_in_words, of["metric"]), of["meaning"], strict=True))
    title, rows = "What the metrics mean", _rows(words)
    return (
        f'<details class="all"><summary>{title}</summary>{rows}</details>'
        f'<div class="paper small"><p><b>{title}</b></p>{rows}</div>'
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


def _scenarios(scenarios: dict[str, Scenario]) -> Iterator[str]:
    """Yield the file of each scenario; of one with the name of the first, the lines that differ."""
    first = ""
    for name, scenario in scenarios.items():
        try:
            text = scenario_files.dumps(scenario)
        except ScenarioError as problem:  # no file holds a custom class
            text = f"{problem}\n\n{scenario!r}"
        what, shown, first = "Scenario file", text, first or text
        if text is not first and scenario.name == next(iter(scenarios.values())).name:
            lines = difflib.ndiff(first.splitlines(), text.splitlines())
            what = "Changes to the scenario file"
            shown = "\n".join(line for line in lines if line[:2] in ("+ ", "- "))
        heading = escape(f"{what}: {name}")
        yield f"<section><h2>{heading}</h2><pre>{escape(shown)}</pre></section>"


# --- pictures -------------------------------------------------------------------------------------


def _pictures(study: Any) -> Iterator[str]:
    """Yield the picture of a study, or each of its parts, which scroll on a narrow screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layout, issued when it was played
        draw: Any = study.plot
        for part in getattr(study, "parts", [None]):
            picture = draw(part) if part else draw()
            label = 'class="wide" tabindex="0" role="region" aria-label="picture"'
            yield f"<figure><div {label}>{picture.image(SHARPNESS)}</div></figure>"
