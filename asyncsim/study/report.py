"""Results as HTML for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from asyncsim.engine.figures import FIGURES

if TYPE_CHECKING:
    from asyncsim.study.compare import Comparison

STYLE = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums",
    "text-align:right;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
    "text-align:left;padding:4px 12px;border-bottom:1px solid rgba(127,127,127,.35)",
)


def comparison_html(comparison: Comparison) -> str:
    """Return a comparison as a table whose row heads tell on hover what they mean."""
    table_style, cell, head = STYLE
    meanings = {name.replace("_", " "): figure.meaning for name, figure in FIGURES.items()}
    columns = "".join(f'<th style="{cell}">{escape(s)}</th>' for s in comparison.strategies)
    rows = []
    for what, values in comparison.summary.iterrows():
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
    note = (
        f"Replications: {comparison.replications}, seed {comparison.seed}; mean ± half-width of "
        f"the {comparison.confidence:.0%} interval. Hover over a row for its meaning."
    )
    return (
        f'<div><b>{escape(comparison.scenario.name)}</b><table style="{table_style}">'
        f'<thead><tr><th style="{head}"></th>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
        f'<div style="opacity:.7;font-size:90%">{note}</div></div>'
    )
