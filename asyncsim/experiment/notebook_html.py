"""Results as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from asyncsim.engine.metrics import MetricInfo
from asyncsim.model.units import number_text

STYLE = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums",
    "text-align:right;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
    "text-align:left;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
)

WARNING = "border-left:4px solid #d55e00;padding-left:8px;margin:4px 0"


def summary_html(
    title: str,
    strategies: Sequence[str],
    summary: Iterable[tuple[str, MetricInfo, Sequence[str]]],
    note: str,
    warnings: Sequence[str] = (),
) -> str:
    """Return figures by strategy as a table whose row heads tell on hover what they mean.

    Parameters
    ----------
    title, note
        Above and below the table.
    strategies
        Heads of the columns.
    summary
        Rows: a head without its unit, the figure, and a text per strategy.
    warnings
        Sentences to read first, above the table.
    """
    table_style, cell, head = STYLE
    columns = "".join(f'<th style="{cell}">{escape(s)}</th>' for s in strategies)
    rows = []
    for shown, (unit, meaning), texts in summary:
        in_unit = "" if unit == "1" else f' <span style="opacity:.6">{escape(unit)}</span>'
        cells = "".join(f'<td style="{cell}">{escape(text)}</td>' for text in texts)
        rows.append(
            f'<tr><th style="{head};font-weight:normal" title="{escape(meaning)}">'
            f"{escape(shown)}{in_unit}</th>{cells}</tr>"
        )
    return (
        f'<div><b>{escape(title)}</b>{warnings_html(warnings)}<table style="{table_style}">'
        f'<thead><tr><th style="{head}"></th>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{note_html(escape(note))}</div>"
    )


def warnings_html(sentences: Iterable[str]) -> str:
    """Return sentences to read first, each in a paragraph of its own, marked by a line."""
    return "".join(f'<div style="{WARNING}">{escape(one)}</div>' for one in sentences)


def note_html(html: str) -> str:
    """Return a small grey note to stand below a result."""
    return f'<div style="opacity:.7;font-size:90%">{html}</div>'


def table_html(table: pd.DataFrame) -> str:
    """Return a table of results, its numbers as people write them."""
    html: str = table.to_html(index=False, border=0, float_format=number_text, na_rep="–")
    return html
