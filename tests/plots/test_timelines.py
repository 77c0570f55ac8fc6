"""Timelines: one row per strategy, around its completion."""

import pandas as pd

from asyncsim import plots


def test_a_timeline_has_a_row_per_strategy_with_its_latency():
    """Completion is the origin; checks and latency are labelled."""
    columns = ["event", "start", "end", "text"]
    row = pd.DataFrame(
        [
            ("armed", 0.0, 0.0, ""),
            ("check", 900.0, 900.01, "not yet"),
            ("completed", 901.0, 901.0, ""),
            ("check", 1800.0, 1800.01, "done"),
            ("resumed", 1800.01, 1800.01, ""),
        ],
        columns=columns,
    )
    axes = plots.timeline("page", "The life of 5_31", {"polling": row, "never": row.iloc[:0]}).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["polling", "never"]
    texts = [text.get_text() for text in axes[0].texts]
    assert "15 min late" in texts
    assert "check: not yet" in texts
    assert "check: done" in texts


def test_each_row_is_drawn_from_its_own_completion():
    """A later step completes at another time under each strategy."""
    columns = ["event", "start", "end", "text"]

    def row(done, resumed):
        rows = [("armed", 0.0, 0.0, ""), ("completed", done, done, "")]
        rows.append(("resumed", resumed, resumed, ""))
        return pd.DataFrame(rows, columns=columns)

    rows = {"a": row(100.0, 101.0), "b": row(400.0, 580.0)}
    axes = plots.timeline("page", "1_2", rows).axes
    late = [[t.get_text() for t in ax.texts if "late" in t.get_text()] for ax in axes]
    assert late == [["1 s late"], ["3 min late"]]
