"""Timeline of one waiting step under several strategies, one above the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from asyncsim.plots.style import BLUE, GREEN, ORANGE, PALE, PINK, grid, readable

CHECKS_SHOWN = 3
ENDINGS = ("resumed", "timed out", "gave up", "cancelled")
TICK_STEPS = (0.001, 0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)


class _Event(NamedTuple):
    event: str
    start: float
    end: float
    text: str


def timeline(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw events of one wait around its completion, one row per strategy.

    `tables` has ``event``, ``start``, ``end`` (seconds) and ``text`` by strategy.
    """
    n = len(tables)
    drawn, axes = grid(n, 1, width=10.0, height=1.9 + 0.6 / n, sharex=True)
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
    for ax, (label, row) in zip(axes, shown.items(), strict=True):
        _draw_row(ax, row, low, high)
        ax.set_title(label, loc="left", fontsize=11)
    last = axes[-1]
    last.set_xlabel("time from completion of the outside work")
    step = next((s for s in TICK_STEPS if (high - low) / s <= 9), (high - low) / 5)
    last.xaxis.set_major_locator(MultipleLocator(step))
    last.xaxis.set_major_formatter(lambda x, _: _signed(x))
    drawn.suptitle(title, x=0.01, ha="left", fontsize=13)
    return drawn


def _signed(seconds: float) -> str:
    if abs(seconds) < 1e-9:
        return "0"
    return ("+" if seconds > 0 else "−") + readable(abs(seconds))


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


def _draw_row(ax: Axes, row: list[_Event], low: float, high: float) -> None:
    """Draw one row: waiting as a bar, checks and deliveries as marks, completion as a line."""
    at = {event.event: event.start for event in row}
    end = min([at[name] for name in ENDINGS if math.isfinite(at.get(name, math.inf))] + [high])
    if "armed" in at:
        start = max(at["armed"], low)
        ax.barh(0, end - start, left=start, height=0.34, color=PALE, alpha=0.35)
    if "resumed" in at and end > 0:
        ax.barh(0, end, left=0.0, height=0.34, color=ORANGE, alpha=0.7)
        ax.annotate(f"{readable(end)} late", (end, 0.27), color="#A04300", fontsize=10)
    for event in row:
        if low <= event.start <= high:
            _mark(ax, event, high)
    ax.axvline(0.0, color=BLUE, lw=2, zorder=0)
    ax.annotate(
        "work complete ", (0.0, 0.62), color=BLUE, fontsize=9, ha="right", annotation_clip=False
    )
    ax.set(xlim=(low, high), ylim=(-0.7, 0.8), yticks=[])
    ax.spines[["top", "right", "left"]].set_visible(False)


def _mark(ax: Axes, event: _Event, high: float) -> None:
    """Mark one check, delivery or ending."""
    if event.event == "check":
        colour = GREEN if event.text == "done" else PINK
        ax.plot(event.start, 0, marker="v", ms=11, color=colour)
        _annotate(ax, f"check: {event.text}", event.start)
    elif event.event == "delivery":
        arrived = event.end if event.end <= high else event.start
        lost = event.text in ("lost", "dead letter", "rate limited")
        ax.plot(arrived, 0, marker="X" if lost else "D", ms=9, color=PINK if lost else GREEN)
        _annotate(ax, f"callback: {event.text}", arrived)
    elif event.event in ENDINGS:
        ax.plot(event.start, 0, marker="|", ms=30, mew=3, color=GREEN)


def _annotate(ax: Axes, text: str, at: float) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.annotate(text, (at, -0.45), ha="center", fontsize=9, color="#444444", bbox=box)
