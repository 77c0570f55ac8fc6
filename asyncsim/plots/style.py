"""The style of every figure: safe for colour-blind readers, and readable on a slide."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# A text with a dollar sign, except powers of ten on a logarithmic axis
NAMED = re.compile(r"(?!.*\\mathdefault).*\$.*", re.DOTALL)
# Okabe and Ito's palette (2008), with Tol's wine and grey: safe for colour-blind readers
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#999999"),
)
BLUE, ORANGE, GREEN, PINK = COLOURS[:4]
PALE = COLOURS[-1]
GREY = "#666666"  # of marks and lines that belong to no strategy
MARKERS = "osD^vP*<X"
LINES = ("-", "--", "-.", ":")
WIDE = 50  # ratio of largest to smallest value above which a scale is logarithmic
TIME_TICKS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400)
TIME_STEPS = (
    *(0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(3600.0 * k for k in (2, 6, 12, 24, 48, 168)),
)


class PlainFigure(Figure):
    """A figure that shows dollar signs in names as they are, not as formulas."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw everything; only ticks of logarithmic axes are formulas."""
        for text in self.findobj(Text):
            if isinstance(text, Text) and NAMED.fullmatch(text.get_text()):
                text.set_parse_math(False)
        super().draw(renderer)


def figure(columns: int, width: float = 5.2, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with a row of axes."""
    return grid(1, columns, width, height)


def grid(
    rows: int, columns: int, width: float = 6.0, height: float = 3.8, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with rows of axes, and the axes row by row."""
    from matplotlib import pyplot as plt  # slow to import

    drawn, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), sharex=sharex,
        layout="constrained", squeeze=False, FigureClass=PlainFigure,
    )  # fmt: skip
    plt.close(drawn)  # otherwise a notebook shows it twice
    return drawn, list(axes.flat)


def look(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a colour, a marker and a line style for each label, in order."""
    return {
        label: {
            "color": COLOURS[k % len(COLOURS)],
            "marker": MARKERS[k % len(MARKERS)],
            "linestyle": LINES[(k // len(COLOURS) + k) % len(LINES)],
        }
        for k, label in enumerate(labels)
    }


def shared_legend(
    drawn: Figure, labels: Iterable[str], texts: Mapping[str, str] | None = None
) -> None:
    """Add a legend below the figure; `labels` are in order of the colours, `texts` replace some."""
    texts = texts or {}
    handles = [
        Line2D([], [], label=texts.get(label, label), lw=2, ms=8, **one)
        for label, one in look(labels).items()
    ]
    rows = 1 if len(handles) <= 5 else math.ceil(len(handles) / 4)
    columns = math.ceil(len(handles) / rows)
    drawn.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)


def heading(name: str, unit: str, lossy: bool = False) -> str:
    """Return the name of a metric in words, with its unit if it has one.

    If some waits never resumed (`lossy`), the name includes what the metric averages.

    >>> heading("mean_latency", "s"), heading("checks_per_wait", "1")
    ('mean latency [s]', 'checks per wait')
    >>> heading("mean_latency", "s", lossy=True)
    'mean latency of resumed waits [s]'
    """
    of = f" of {counted(name)}" if lossy and counted(name) else ""
    return name.replace("_", " ") + of + ("" if unit == "1" else f" [{unit}]")


def counted(name: str) -> str:
    """Return what a metric averages, if it excludes unresumed waits, or an empty text.

    >>> counted("p95_latency"), counted("mean_cycle_time"), counted("requests")
    ('resumed waits', 'instances that are done', '')
    """
    if name == "mean_cycle_time":
        return "instances that are done"
    return "resumed waits" if name.endswith("latency") else ""


def percent(share: float) -> str:
    """Return a share in per cent.

    >>> percent(0.194), percent(0.0002), percent(1.0)
    ('19.4 %', '0.02 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def with_unresumed(label: str, share: float, most: bool = False) -> str:
    """Return the label of a strategy with its unresumed share, if any (or the largest, `most`).

    >>> with_unresumed("callback", 0.2), with_unresumed("polling", 0.0)
    ('callback (20 % never resumed)', 'polling')
    """
    return f"{label} ({'up to ' * most}{percent(share)} never resumed)" if share > 0 else label


def tidy(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Set title and labels of an Axes, and remove unneeded lines."""
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, alpha=0.25)


def readable(seconds: float) -> str:
    """Return a time in a readable unit: 0.5 ms, 70 ms, 30 s, 15 min, 2 h."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms" if seconds else "0"


def time_axis(ax: Axes, low: float, high: float) -> None:
    """Make the x axis a logarithmic time axis with ticks at usual times."""
    ax.set_xscale("log")
    ticks = [t for t in TIME_TICKS if low / 2 <= t <= high * 2]
    ax.set_xticks(ticks, [readable(t) for t in ticks])
    ax.minorticks_off()


def plain_time_axis(ax: Axes, low: float, high: float) -> None:
    """Set ticks at usual times on a linear x axis of seconds."""
    weeks = TIME_STEPS[-1] * math.ceil((high - low) / (7 * TIME_STEPS[-1]))
    step = next((s for s in TIME_STEPS if (high - low) / s <= 7), weeks)
    ticks = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    ax.set_xticks(ticks, [readable(t) for t in ticks])
