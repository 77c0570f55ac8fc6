"""Timeline of one waiting step under several strategies, one above the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import text_of
from asyncsim.plots.labels import note, without_overlaps
from asyncsim.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PINK,
    Picture,
    Scale,
    human,
    picture,
    thin,
)

CHECKS_SHOWN = 3
BOXED: dict[str, Any] = {
    "ha": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}
}  # fmt: skip
ENDINGS = ("resumed", "timed out", "gave up", "cancelled")


class _Event(NamedTuple):
    event: str
    start: float
    end: float
    text: str


@picture
def timeline(drawn: Picture, title: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """Draw events of one wait around its completion, one row per strategy.

    `tables` has ``event``, ``start``, ``end`` (seconds) and ``text`` by strategy.
    """
    axes = drawn.grid(len(tables), 1, 1.2 + 1.7 * len(tables), sharex=True)
    drawn.head(title)
    events = {
        label: [_Event(*row) for row in table[list(_Event._fields)].itertuples(index=False)]
        for label, table in tables.items()
    }
    fallback = _completion([one for row in events.values() for one in row])
    shown = {}
    for label, row in events.items():  # completion of a later step differs between rows
        at = _completion(row, fallback)
        shown[label] = [one._replace(start=one.start - at, end=one.end - at) for one in row]
    low, high = _span(shown)
    texts = []
    for ax, (label, row) in zip(axes, shown.items(), strict=True):
        texts.append(f"{label}: {_draw_row(ax, row, low, high)}")
        ax.set_title(label)
        drawn.later.append(partial(without_overlaps, ax))
    human(axes[-1].xaxis, Scale("time from completion of the outside work", "duration", _signed))
    return f"{title}, by time from completion of the outside work. {'; '.join(texts)}."


def _signed(seconds: float) -> str:
    if abs(seconds) < 1e-9:
        return "0"
    return ("+" if seconds > 0 else "−") + text_of(abs(seconds))


def _completion(events: list[_Event], fallback: float | None = None) -> float:
    """Return the instant of completion; if it never came, the fallback or the last instant."""
    done = [e.start for e in events if e.event == "completed" and math.isfinite(e.start)]
    if done:
        return done[0]
    return max(e.start for e in events if e.start < math.inf) if fallback is None else fallback


def _span(events: Mapping[str, list[_Event]]) -> tuple[float, float]:
    """Return the time range: from the last checks before completion to the end of every row."""
    low, high = 0.0, 0.0
    for row in events.values():
        checks = [e.start for e in row if e.event == "check" and e.start <= 0]
        low = min([low, *checks[-CHECKS_SHOWN:]])
        ends = [e.end for e in row if e.event not in ("arrived", "called")]
        high = max([high, *(end for end in ends if math.isfinite(end))])
    width = max(high - low, 1e-3)
    return low - width * 0.14, high + width * 0.14


def _draw_row(ax: Axes, row: list[_Event], low: float, high: float) -> str:
    """Draw a row: waiting as a bar, checks and deliveries as marks; return how it ends."""
    at = {event.event: event.start for event in row}
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
    for event in sorted(row, key=lambda one: one.text in ("not yet", "")):
        if low <= event.start <= high:
            _mark(ax, event, high)
    ax.axvline(0.0, color=BLUE, zorder=0)
    note(ax, "work complete", (0.0, 0.75), BLUE, ha="right", xytext=(-0.4, 0))
    ax.set(xlim=(low, high), ylim=(-0.8, 0.95), yticks=[])
    ax.spines["left"].set_visible(False)
    return how


def _mark(ax: Axes, event: _Event, high: float) -> None:
    """Mark one check, delivery or ending."""
    if event.event == "check":
        colour = GREEN if event.text == "done" else PINK
        ax.plot(event.start, 0, marker="v", color=colour)
        note(ax, f"check: {event.text}", (event.start, -0.5), GREY, **BOXED)
    elif event.event == "delivery":
        arrived = event.end if event.end <= high else event.start
        lost = event.text in ("lost", "dead letter", "rate limited")
        ax.plot(arrived, 0, marker="X" if lost else "D", color=PINK if lost else GREEN)
        note(ax, f"callback: {event.text}", (arrived, -0.5), GREY, **BOXED)
    elif event.event in ENDINGS:
        ax.plot(event.start, 0, marker="|", color=GREEN, markersize=30 * thin())
