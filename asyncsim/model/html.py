"""HTML for notebooks: titles, facts, tables, and a process as a row of boxes.

Everything is escaped, asks for nothing from outside, takes its colours from the page (light or
dark), and scrolls within a narrow cell. Where a page removes styles, as for a notebook that is not
trusted, the boxes are a line of text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape
from itertools import islice

from asyncsim.model import loops
from asyncsim.model.process import AsyncStep, Branch, Choice, Element, Parallel, Path, Process
from asyncsim.model.units import percent

TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
CELL = "padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)"
WARNING = "border-left:4px solid #d55e00;padding-left:8px;margin:4px 0"
WRAPPED = "text-align:left;vertical-align:top;overflow-wrap:anywhere;white-space:normal"
SCROLLED = "overflow-x:auto;max-width:100%;padding:6px 0"
ROW = "display:inline-flex;align-items:center;gap:6px"
BOX = (
    "display:inline-block;flex:none;box-sizing:border-box;max-width:18em;padding:3px 10px;"
    "border:1px solid currentColor;border-radius:6px;text-align:center;overflow-wrap:anywhere"
)
BRANCHES = (
    "display:inline-flex;flex:none;flex-direction:column;gap:5px;padding:3px 10px;"
    "border:solid currentColor;border-width:0 2px;border-radius:10px"
)
ARROW = ' <span style="opacity:.7">&rarr;</span> '
MORE = "&hellip;"
MOST_SHOWN = 60  # elements of a process that are drawn


# --- results, facts and tables --------------------------------------------------------------------


def result_html(
    title: str, body: str, note: str = "", warnings: Iterable[str] = (), of_title: str = ""
) -> str:
    """Return a result as HTML; `of_title` (behind the title), `body` and `note` are HTML."""
    marked = "".join(f'<div style="{WARNING}">{escape(one)}</div>' for one in warnings)
    below = note_html(note) if note else ""
    return f"<div><b>{escape(title)}</b>{of_title}{marked}{body}{below}</div>"


def findings_html(sentences: Sequence[str]) -> str:
    """Return what was found: one sentence is a paragraph, several are a list."""
    if len(sentences) == 1:
        return f'<p class="findings">{escape(sentences[0])}</p>'
    return bullets_html(sentences, "findings")


def note_html(html: str) -> str:
    """Return a small grey note to stand below a result."""
    return f'<div style="opacity:.7;font-size:90%">{html}</div>'


def bullets_html(sentences: Iterable[str], css: str = "") -> str:
    """Return sentences as a list, of a class of a style sheet; nothing if there is none."""
    lines = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f'<ul class="{css}">{lines}</ul>' if lines else ""


def facts_html(facts: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a name and a text, one below the other."""
    rows = "".join(
        f'<tr><th style="{WRAPPED};padding:2px 14px 2px 0;min-width:7em;font-weight:normal;'
        f'opacity:.7">{escape(name)} </th>'
        f'<td style="{WRAPPED};padding:2px 0">{escape(text)}</td></tr>'
        for name, text in facts
    )
    return f'<table style="{TABLE};margin:4px 0"><tbody>{rows}</tbody></table>'


def cells_html(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts with a head; one that is too wide scrolls."""
    head = "".join(f'<th style="{CELL};text-align:left">{escape(one)}</th>' for one in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL};text-align:left">{escape(c)}</td>' for c in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    table = f'<table style="{TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="{SCROLLED}">{table}</div>'


# --- a process ------------------------------------------------------------------------------------


def process_html(process: Process) -> str:
    """Return a process as a row of boxes, which scrolls; of a large one, its first elements."""
    shown = {one.name for one in islice(process.parts(), MOST_SHOWN)}
    label = escape(f"process {process.name}")
    row = _sequence(process.steps, shown)
    return f'<div role="group" aria-label="{label}" style="{SCROLLED}">{row}</div>'


def _sequence(elements: Sequence[Element], shown: Collection[str]) -> str:
    boxes = [_element(one, shown) for one in elements if one.name in shown]
    boxes += [MORE] * (len(boxes) < len(elements))
    return f'<span style="{ROW}">{ARROW.join(boxes) or "nothing"}</span>'


def _element(element: Element, shown: Collection[str]) -> str:
    name, style = escape(element.name), BOX
    match element:
        case AsyncStep():
            lines = [_small(escape(f"waits for {element.system}")), *_ways(element, shown)]
            name = f"<b>{name}</b>" + "".join(f" <br>{line}" for line in lines)
            style += f";border-left-width:5px{';max-width:none' * (len(lines) > 1)}"
        case Choice():
            rows = [f"{_condition(one)}: {_sequence(one.steps, shown)}" for one in element.branches]
            return _branches(f"{name}: one of", rows, BRANCHES)
        case Parallel():
            rows = [_sequence(steps, shown) for steps in element.branches]
            return _branches(f"{name}: all at once", rows, f"{BRANCHES};border-style:double;"
                             "border-width:0 5px")  # fmt: skip
        case loops.Race():
            rows = [_sequence(steps, shown) for steps in element.branches]
            return _branches(f"{name}: {element.in_words}", rows, f"{BRANCHES};"
                             "border-style:double;border-width:0 5px")  # fmt: skip
        case loops.Retry() | loops.Repeat() | loops.ForEach():
            row = _sequence(element.within(), shown)
            return _branches(f"{name}: {escape(element.in_words)}", [row], BRANCHES)
    return f'<span style="{style}">{name}</span>'


def _small(html: str) -> str:
    return f'<span style="font-size:90%;opacity:.8">{html}</span>'


def _ways(step: AsyncStep, shown: Collection[str]) -> list[str]:
    """Return what happens besides waiting, one line each: before it, and in place of it."""
    response, found = step.response, []
    if step.on_accepted:
        found.append(f"{_small('before it waits:')} {_sequence(step.on_accepted, shown)}")
    if response.done:
        found.append(_way(f"done at once ({percent(response.done)})", step.on_done, shown))
    if response.rejected:
        found.append(_way(f"rejected ({percent(response.rejected)})", step.on_rejected, shown))
    if step.limits:
        found.append(_way(step.deadlines_in_words, step.on_timeout, shown))
    elif step.on_timeout != "fail":
        found.append(_way("if the strategy gives up", step.on_timeout, shown))
    return found


def _way(when: str, path: Path, shown: Collection[str]) -> str:
    if isinstance(path, str):
        return _small(f"{when}: {'fails' if path == 'fail' else 'continues'}")
    return f"{_small(f'{when}:')} {_sequence(path, shown)}"


def _branches(head: str, rows: list[str], style: str) -> str:
    inner = "".join(f" <span>{row}</span>" for row in rows)
    return f'<span style="{style}">{_small(head)}{inner}</span>'


def _condition(branch: Branch) -> str:
    """Return the probability of a branch, and the data fields that decide in a live session."""
    fields = [f"{name} = {' or '.join(map(str, v))}" for name, v in branch.when.items()]
    of_fields = f" (if {' and '.join(fields)})" if fields else ""
    return _small(escape(f"{percent(branch.probability)}{of_fields}"))
