"""Timeline of one waiting step under several strategies, one above the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import text_of
from asyncsim.plots.labels import note, without_overlaps
from asyncsim.plots.scales import Scale, human
from asyncsim.plots.style import BLUE, GREEN, GREY, ORANGE, PALE, PINK, Picture, picture, thin

CHECKS_SHOWN = 3
BOXED: dict[str, Any] = {
    "ha": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}
}  # fmt: skip
ENDINGS = ("resumed", "timed out", "gave up", "cancelled")
LOST = ("lost", "dead letter", "rate limited", "endpoint down", "switched off")


@picture
def timeline(drawn: Picture, tables: Mapping[str, pd.DataFrame]) -> str:
    """Draw events of one wait around its completion, one row per strategy.

    `tables` has ``event``, ``start``, ``end`` (seconds) and ``text`` by strategy.
    """
    axes = drawn.grid(len(tables), row=1.7, sharex=True)
    fallback = _completion(pd.concat(tables.values()))
    shown = {}
    for name, table in tables.items():  # completion of a later step differs between rows
        at = _completion(table, fallback)
        shown[name] = table.assign(start=table["start"] - at, end=table["end"] - at)
    low, high = _span(shown)
    texts = []
    for ax, (name, table) in zip(axes, shown.items(), strict=True):
        texts.append(f"{name}: {_draw_row(ax, table, low, high)}")
        ax.set_title(name)
        drawn.later.append(partial(without_overlaps, ax))
    human(axes[-1].xaxis, Scale("time from completion of the outside work", "duration", _signed))
    drawn.title += ", by time from completion of the outside work"
    return f"{'; '.join(texts)}."


def _signed(seconds: float) -> str:
    if abs(seconds) < 1e-9:
        return "0"
    return ("+" if seconds > 0 else "−") + text_of(abs(seconds))


def _completion(table: pd.DataFrame, fallback: float | None = None) -> float:
    """Return the instant of completion; if it never came, the fallback or the last instant."""
    known = table[table["start"] < math.inf]
    done = known.loc[known["event"] == "completed", "start"]
    if len(done):
        return float(done.iloc[0])
    return float(known["start"].max()) if fallback is None else fallback


def _span(tables: Mapping[str, pd.DataFrame]) -> tuple[float, float]:
    """Return the time range: from the last checks before completion to the end of every row."""
    low, high = 0.0, 0.0
    for table in tables.values():
        checks = table.loc[(table["event"] == "check") & (table["start"] <= 0), "start"]
        low = min([low, *checks.tail(CHECKS_SHOWN)])
        ends = table.loc[~table["event"].isin(["arrived", "called"]), "end"]
        high = max([high, *ends[ends < math.inf]])
    width = max(high - low, 1e-3)
    return low - width * 0.14, high + width * 0.14


def _draw_row(ax: Axes, table: pd.DataFrame, low: float, high: float) -> str:
    """Draw a row: waiting as a bar, checks and deliveries as marks; return how it ends."""
    at = dict(zip(table["event"], table["start"], strict=True))
    endings = {name: at[name] for name in ENDINGS if math.isfinite(at.get(name, math.inf))}
    end = min([*endings.values(), high])
    how = min(endings, key=endings.__getitem__) if endings else "still waiting"
    if "armed" in at:
        start = max(at["armed"], low)
        ax.barh(0, end - start, left=start, height=0.34, color=PALE, alpha=0.35)
    if "resumed" in at and end > 0:
        how = f"{text_of(end, 3)} late"
        ax.barh(0, end, left=0.0, height=0.34, color=ORANGE, alpha=0.7)
        note(ax, how, (0.0, 0.45), ORANGE, xytext=(0.4, 0))
    elif "armed" in at:
        at_edge = max(end, low)
        note(ax, how, (at_edge, 0.45), GREY, ha="right" if at_edge > (low + high) / 2 else "left")
    events = table[table["start"].between(low, high)]
    for event in sorted(events.itertuples(), key=lambda one: one.text in ("not yet", "")):
        _mark(ax, event, high)
    ax.axvline(0.0, color=BLUE, zorder=0)
    note(ax, "work complete", (0.0, 0.75), BLUE, ha="right", xytext=(-0.4, 0))
    ax.set(xlim=(low, high), ylim=(-0.8, 0.95), yticks=[])
    ax.spines["left"].set_visible(False)
    return how


def _mark(ax: Axes, event: Any, high: float) -> None:
    """Mark one check, delivery or ending."""
    if event.event == "check":
        colour = GREEN if event.text == "done" else PINK
        ax.plot(event.start, 0, marker="v", color=colour)
        note(ax, f"check: {event.text}", (event.start, -0.5), GREY, **BOXED)
    elif event.event == "delivery":
        arrived = event.end if event.end <= high else event.start
        marker, colour = ("X", PINK) if event.text in LOST else ("D", GREEN)
        ax.plot(arrived, 0, marker=marker, color=colour)
        note(ax, f"callback: {event.text}", (arrived, -0.5), GREY, **BOXED)
    elif event.event in ENDINGS:
        ax.plot(event.start, 0, marker="|", color=GREEN, markersize=30 * thin())
