"""One self-contained HTML file that can be sent to readers who were not there.

Its first page has the title, the purpose, the findings, one picture and what is not covered; then
come method, results with their tables, a checklist and the scenarios. It makes no request to any
other place, and prints on paper as it stands.

The checklist is STRESS-DES for reporting discrete-event simulations (Monks, Currie, Onggo,
Robinson, Kunc and Taylor: Strengthening the reporting of empirical simulation studies. Journal of
Simulation 13 (2019) 55-67, doi:10.1080/17477778.2018.1442155). Its items are in
``stress_des.toml``; those that only the authors of a study can answer are left open.
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import platform
import re
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from asyncsim.engine.metrics import metric_in_words
from asyncsim.errors import ScenarioError
from asyncsim.experiment import output
from asyncsim.experiment.steady_state import SteadyState
from asyncsim.model import scenario_files
from asyncsim.model.html import bullets_html, findings_html
from asyncsim.model.process import AsyncStep, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import number_text, percent
from asyncsim.model.validation import scenario_error
from asyncsim.model.words import elements_in_words, period_in_words, server_in_words, time_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

MOST_ROWS = 300  # of a table on the page; the file to download has all
DPI = 160
WIDER = 1.2  # a picture on the page, against its size in inches
MARGIN = 0.08  # inches around a panel
DASHES = {"-": "none", "--": "6 3", "-.": "6 2 1 2", ":": "1 3"}
MARKS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "*": "★", "<": "◀", "X": "✖"}
UNITS = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|d|%)(?!\w))")  # no line ends before them
NOTHING_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
DOI = "https://doi.org/10.1080/17477778.2018.1442155"
MOST_METRICS = 30
MOST_LETTERS = 1000  # of the description of a part; the scenario file has all of it
PACKAGES = ("asyncsim", "simpy", "numpy", "scipy", "pandas", "matplotlib", "numba")
STUDENT = "Student's t"
FROM_EMPTY = "terminating runs from an empty system, unless a warm-up is stated with a study"
FOUND_WARM_UP = "of steady states the warm-up from an empty system is found by MSER-5 and left out"


@runtime_checkable
class Study(Protocol):
    """What a report can show: a comparison, a sweep, or the answer to a question of capacity.

    It may also have ``findings()``, sentences for the first page, and ``notes``, its limits.
    """

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
    output.check_writable(path)
    authors = {"purpose": purpose, "sources": sources, "preprocessing": preprocessing,
               "assumptions": assumptions, "sharing": sharing}  # fmt: skip
    for name, text in (authors | {"title": title}).items():
        if not isinstance(text, str):
            raise scenario_error(name, "must be a text", text)
    title = title or ", ".join(dict.fromkeys(study.scenario.name for study in shown))
    page = _page(title, shown, checklist(shown, authors), authors)
    with output.writing(path):
        path.write_text(page, encoding="utf-8")
    return path


def report_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a report to write, checked; errors call it `called`."""
    place = output.named_file(path, called)
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


def _bullets(sentences: Sequence[str], css: str = "") -> str:
    return bullets_html([UNITS.sub("\N{NO-BREAK SPACE}", one) for one in sentences], css)


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
        parts += _bullets(sentences, "findings")
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
    own = getattr(study, "report_html", study._repr_html_)()
    own = own.replace("<details>", "<details open>")  # paper shows it, too
    findings: list[str] = getattr(study, "findings", list)()  # they stand on the first page
    own = own.replace(findings_html(findings), "")
    table, shown = study.table, ""
    if {"figure", "unit"} <= set(table) and "value" not in table:  # others show theirs in words
        shown = _wide(output.table_html(output.table_in_words(table.head(MOST_ROWS))))
    text = (output.write_csv_table(table) or "").encode(errors="backslashreplace")
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
    """Yield the panels of a study's picture, each readable by itself on a narrow screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layout, issued when it was played
        figure = study.plot()
        canvas = FigureCanvasAgg(figure)
        panels = [ax for ax in figure.axes if ax.get_visible()]
        if any(_depends(ax) for ax in panels):
            titles = [_axes_in_words(ax) for ax in panels if ax.get_label() != "<colorbar>"]
            yield _picture(figure, "tight", f"{aim_of(study)}. {' '.join(titles)}", "")
            return
        keys = "".join(map(_keys, figure.legends))
        labels = [text.get_text() for one in figure.legends for text in one.get_texts()]
        for one in figure.legends:
            one.set_visible(False)  # it stands below each panel
        canvas.draw()  # type: ignore[no-untyped-call]
        for ax in panels:
            box: Any = ax.get_tightbbox()
            inches = box.transformed(figure.dpi_scale_trans.inverted()).padded(MARGIN)
            shown = f" For {'; '.join(labels)}." if labels else ""
            yield _picture(figure, inches, f"{_axes_in_words(ax)}{shown}", keys)


def _depends(ax: Axes) -> bool:
    """Return whether a panel needs others beside it: a colour bar, or the labels of a column."""
    return ax.get_label() == "<colorbar>" or len(ax.get_shared_x_axes().get_siblings(ax)) > 1


def _axes_in_words(ax: Axes) -> str:
    title = ax.get_title(loc="left") or ax.get_title()
    axes = f"{ax.get_ylabel()} over {ax.get_xlabel()}".strip()
    return " ".join(_sentence(" ".join(text.split())) for text in (title, axes) if text)


def _picture(figure: Figure, box: Any, alt: str, keys: str) -> str:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, bbox_inches=box)
    data = png.getvalue()
    pixels = int.from_bytes(data[16:20], "big")  # the width in the header of a PNG file
    width = round(pixels / DPI * 96 * WIDER)
    caption = f"<figcaption>{keys}</figcaption>" if keys else ""
    return (
        f'<figure><img alt="{escape(alt)}" width="{width}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}">{caption}</figure>'
    )


def _keys(legend: Legend) -> str:
    """Return a legend as HTML, which wraps on narrow screens."""
    found = ""
    for line, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        one: Any = line
        dashes = DASHES.get(str(one.get_linestyle()), "none")
        colour = escape(str(one.get_color()))
        found += (
            '<span class="key"><svg viewBox="0 0 26 9" aria-hidden="true">'
            f'<line x1="0" y1="4.5" x2="26" y2="4.5" stroke="{colour}" stroke-width="1.8" '
            f'stroke-dasharray="{dashes}"/><text x="13" y="7.7" font-size="9" '
            f'text-anchor="middle" fill="{colour}">{MARKS.get(str(one.get_marker()), "")}</text>'
            f"</svg>{escape(text.get_text())}</span>"
        )
    return found


# --- the checklist --------------------------------------------------------------------------------


class ChecklistItem(NamedTuple):
    """One item of STRESS-DES: where it stands, what it asks for, and the answer, if known."""

    section: str
    number: str
    asks: str
    answer: str


def scenarios_of(studies: Sequence[Study]) -> list[Scenario]:
    """Return the scenarios of studies, each once."""
    return list({id(study.scenario): study.scenario for study in studies}.values())


def checklist(studies: Sequence[Study], authors: dict[str, str]) -> list[ChecklistItem]:
    """Return the checklist for studies; `authors` holds what only they know."""
    scenarios = scenarios_of(studies)
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


def in_words(scenario: Scenario) -> dict[str, str]:
    """Return the parts of a scenario in words, by what they are."""
    process = scenario.process
    works = [(one.name, one.work) for one in process.of_type(Step)]
    works += [(f"call of {one.name}", one.call_work) for one in process.of_type(AsyncStep)]
    words = {
        "Process": elements_in_words(process.steps),
        "Arrivals": scenario.arrivals.in_words,
        "Period": period_in_words(scenario.start, scenario.length, scenario.zone),
        "External systems": "\n".join(f"{n}: {s.in_words}" for n, s in scenario.systems.items()),
        "Workflow server": server_in_words(scenario.server),
        "Worker time": "; ".join(f"{name}: {time_in_words(work)}" for name, work in works),
    }
    return {
        part: text if len(text) < MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"
        for part, text in ((part, text or "none") for part, text in words.items())
    }


def _of_scenario(scenario: Scenario) -> dict[str, str]:
    """Return answers about a scenario."""
    words, server = in_words(scenario), scenario.server
    about = (scenario.description or scenario.name).rstrip(".")
    operations = (
        f"{number_text(server.check_operations)} database operations a check, "
        f"{number_text(server.callback_operations)} a callback"
    )
    return {
        "2.1": f"{about}. Process: {words['Process']}",
        "2.5.1": f"instances of {scenario.process.name!r}",
        "2.5.2": f"{words['Worker time']}; {operations}",
        "2.5.3": f"{words['Workflow server']}. External systems: {words['External systems']}",
        "2.5.5": f"{words['Arrivals']}; an instance leaves when it has ended",
        "4.2": f"{words['Period']}; each run goes on until all instances have ended",
    }


def runs_in_words(study: Study) -> str:
    """Return number of replications, intervals and seed of a study; nothing if none was played."""
    n = study.replications
    if not n:  # a fit plays nothing
        return ""
    method = getattr(study, "method", STUDENT)
    runs = f"{n} replication{'s' if n != 1 else ''}"
    return f"{runs}, {100 * study.confidence:.3g} % intervals by {method}"


def _of_studies(studies: Sequence[Study]) -> dict[str, str]:
    """Return answers about the experiments and the software."""
    metrics: dict[str, None] = {}
    for study in studies:
        if "figure" in study.table:
            metrics |= dict.fromkeys(study.table["figure"].unique())
    outputs = [metric_in_words(name) for name in list(metrics)[:MOST_METRICS]]
    more = f" and {len(metrics) - MOST_METRICS} more" if len(metrics) > MOST_METRICS else ""
    labels = dict.fromkeys(label for study in studies for label in study.strategies)
    steady = [isinstance(study, SteadyState) for study in studies]
    estimation = [text for study in studies if (text := runs_in_words(study))]
    if any(len(study.strategies) > 1 for study in studies):
        estimation.append("differences paired on common random numbers")
    seeds = ", ".join(str(seed) for seed in sorted({study.seed for study in studies}))
    return {
        "1.2": ", ".join(outputs) + more or "see the tables",
        "1.3": " / ".join(map(aim_of, studies)),
        "2.3": "waiting strategies: " + ("; ".join(labels) or "none are played"),
        "4.1": "; ".join([FROM_EMPTY] * (not all(steady)) + [FOUND_WARM_UP] * any(steady)),
        "4.3": "; ".join(dict.fromkeys(estimation)),
        "5.1": f"Python {platform.python_version()}; {', '.join(map(_version, PACKAGES))}",
        "5.2": f"seed {seeds}; NumPy's PCG64 with one stream per source and replication, keyed by "
        "name, all drawn before a run",
        "5.4": f"{platform.system()} {platform.machine()}",
    }


def aim_of(study: Study) -> str:
    """Return the question of a study, or its kind and its strategies."""
    aim = f"{type(study).__name__.lower()} of {'; '.join(study.strategies)}"
    return str(getattr(study, "question", aim))


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
