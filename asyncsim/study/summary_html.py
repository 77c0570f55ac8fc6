"""Results as HTML for a notebook."""

from __future__ import annotations

from html import escape

import pandas as pd

from asyncsim.engine.figures import FIGURES
from asyncsim.model.quantities import number_text

STYLE = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums",
    "text-align:right;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
    "text-align:left;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
)


def summary_html(title: str, summary: pd.DataFrame, note: str) -> str:
    """Return figures by strategy as a table whose row heads tell on hover what they mean.

    Parameters
    ----------
    title, note
        Above and below the table.
    summary
        Texts; figures down (``name [unit], what``), strategies across.
    """
    table_style, cell, head = STYLE
    meanings = {name.replace("_", " "): figure.meaning for name, figure in FIGURES.items()}
    columns = "".join(f'<th style="{cell}">{escape(s)}</th>' for s in summary.columns)
    rows = []
    for what, values in summary.iterrows():
        name, _, rest = str(what).partition(" [")
        unit, _, paired = rest.partition("]")
        meaning = escape(meanings.get(name, ""))
        shown = escape(name + paired)
        unit_text = f' <span style="opacity:.6">{escape(unit)}</span>' if unit else ""
        cells = "".join(f'<td style="{cell}">{escape(str(value))}</td>' for value in values)
        rows.append(
            f'<tr><th style="{head};font-weight:normal" title="{meaning}">'
            f"{shown}{unit_text}</th>{cells}</tr>"
        )
    return (
        f'<div><b>{escape(title)}</b><table style="{table_style}">'
        f'<thead><tr><th style="{head}"></th>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
        f'<div style="opacity:.7;font-size:90%">{escape(note)}</div></div>'
    )


def table_html(table: pd.DataFrame) -> str:
    """Return a table of results, its numbers as people write them."""
    html: str = table.to_html(index=False, border=0, float_format=number_text)
    return html
