"""The style of every picture: its two sizes, colours safe for colour-blind readers, ticks in words.

A function decorated with `picture` draws into an empty figure and returns its alt text.
"""

from __future__ import annotations

import base64
import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable
from functools import update_wrapper
from html import escape
from importlib import import_module
from typing import Any, Concatenate, NamedTuple, ParamSpec

import numpy as np
from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from asyncsim.model.units import number_text, percent, scale_of, text_of
from asyncsim.model.validation import choice

P = ParamSpec("P")
Floats = NDArray[np.float64]
# Okabe and Ito's palette (2008), with Tol's wine and grey: safe for colour-blind readers
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#999999"),
)
BLUE, ORANGE, GREEN, PINK = COLOURS[:4]
PALE = COLOURS[-1]
GREY = "#555555"  # of marks and lines that belong to no strategy
MARKERS = "osD^vP*<X"
LINES = ("-", "--", "-.", ":")
WIDE = 50  # ratio of largest to smallest value above which a scale is logarithmic
NO_BREAK = "\N{NO-BREAK SPACE}"
LEGEND_WIDTH = 27  # characters of a line of a legend
TITLE_WIDTH = 82  # characters of a line of the title
TIMES = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400)
TIME_STEPS = (
    *(0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(3600.0 * k for k in (2, 6, 12, 24, 48, 168)),
)


class Size(NamedTuple):
    """Inches, pixels per inch, and points of the type."""

    width: float
    height: float
    dpi: int
    points: float


SIZES = {"page": Size(8.5, 4.6, 100, 10.5), "slide": Size(40 / 3, 7.5, 144, 18.0)}


def style(points: float) -> Any:
    """Return the style of a size of type, as Matplotlib's parameters."""
    k = points / 10.5
    return {
        "font.size": points, "figure.titlesize": "large", "axes.titlesize": "medium",
        "axes.titlelocation": "left", "axes.titlepad": 6 * k, "axes.labelpad": 4 * k,
        "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.25, "grid.linewidth": 0.8 * k,
        "axes.linewidth": 0.8 * k, "axes.spines.top": False, "axes.spines.right": False,
        "lines.linewidth": 2 * k, "lines.markersize": 7 * k, "errorbar.capsize": 4 * k,
        "legend.frameon": False, "legend.fontsize": "medium", "text.parse_math": False,
        **{f"{x}tick.{name}": size * k for x in "xy" for name, size in
           (("major.size", 3.5), ("major.width", 0.8), ("major.pad", 3.5))},
        "figure.constrained_layout.w_pad": 0.06 * k, "figure.constrained_layout.h_pad": 0.06 * k,
    }  # fmt: skip


class Picture(Figure):
    """A figure of a size, with a text for readers who do not see it.

    Attributes
    ----------
    alt
        The text.
    """

    alt = ""

    def __init__(self, size: str) -> None:
        width, height, dpi, points = SIZES[size]
        self.wide = size == "slide"
        self.style = style(points)
        self.later: list[Callable[[], bool]] = []  # what places labels once the layout is known
        self.labels: list[Text] = []  # which a legend replaces
        super().__init__(figsize=(width, height), dpi=dpi, layout="constrained")
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw everything; ticks that are made now have the style, too."""
        with rc_context(self.style):
            super().draw(renderer)

    def get_tightbbox(self, *_: Any, **__: Any) -> Any:
        """Return the whole figure less the margin that a tight box adds: no size changes."""
        return self.bbox_inches.padded(-rcParams["savefig.pad_inches"])

    def grid(
        self, rows: int = 1, columns: int = 1, height: float = SIZES["page"].height, **options: Any
    ) -> list[Axes]:
        """Return axes row by row; `height` is that of the whole picture on a page."""
        if not self.wide:
            self.set_figheight(height)
        return list(self.subplots(rows, columns, squeeze=False, **options).flat)

    def head(self, text: str) -> None:
        """Set the title above all axes."""
        lines = (wrapped(line, TITLE_WIDTH) for line in text.splitlines())
        self.suptitle("\n".join(lines), x=0.01, ha="left")

    def finish(self) -> None:
        """Place the labels; where some do not fit, add a legend below."""
        self.draw_without_rendering()
        for ax in self.axes:
            _fit(ax.xaxis.label, ax.bbox.width)
            _fit(ax.yaxis.label, ax.bbox.height)
            for text in ax.get_children():
                if type(text) is Text:  # a title
                    _fit(text, ax.bbox.width)
        self.draw_without_rendering()
        fits = [place() for place in self.later]
        if not all(fits):
            for label in self.labels:
                label.set_visible(False)
            self._legend()
            self.draw_without_rendering()
        self.later.clear()
        self.set_layout_engine("none")  # or the labels would move axes, and no longer fit

    def _legend(self) -> None:
        found = {
            text: handle
            for ax in self.axes
            for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        if not found:
            return
        texts = [wrapped(text, LEGEND_WIDTH) for text in found]
        for columns in range(min(len(found), 4), 0, -1):
            legend = self.legend(found.values(), texts, loc="outside lower center", ncols=columns)
            if columns == 1 or legend.get_window_extent().width < self.bbox.width:
                break
            legend.remove()

    def image(self, sharpness: float = 1.0) -> str:
        """Return the picture as HTML, with its text; `sharpness` is pixels for each of the page."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi * sharpness)
        width, data = round(self.bbox.width), base64.b64encode(file.getvalue()).decode()
        return f'<img alt="{escape(self.alt)}" width="{width}" src="data:image/png;base64,{data}">'

    def _ipython_display_(self) -> None:
        """Show it in a notebook: as HTML, because JupyterLab shows no text of a PNG output."""
        display: Any = import_module("IPython.display").display
        display({"text/html": self.image(), "text/plain": self.alt}, raw=True)


def picture(
    draw: Callable[Concatenate[Picture, P], str],
) -> Callable[Concatenate[str, P], Picture]:
    """Make a function that draws one that takes a size and returns the picture."""

    def sized(size: str, /, *args: P.args, **kwargs: P.kwargs) -> Picture:
        drawn = Picture(choice("size", size, SIZES))
        with rc_context(drawn.style):
            drawn.alt = draw(drawn, *args, **kwargs)
            drawn.finish()
        return drawn

    update_wrapper(sized, draw)
    return sized


def wrapped(text: str, width: int) -> str:
    r"""Return a text in lines, with numbers beside their units, and short brackets whole.

    >>> wrapped("callback, 10 % lost (9.9 % never resumed)", 26)
    'callback, 10 % lost\n(9.9 % never resumed)'
    """
    glued = re.sub(r"(?<=\d) (?=(ms|s|min|h|d|x)\b|%)", NO_BREAK, text)
    inner = rf"\([^()]{{1,{max(width - 2, 1)}}}\)"
    glued = re.sub(inner, lambda found: found[0].replace(" ", NO_BREAK), glued)
    return textwrap.fill(glued, width, break_long_words=False).replace(NO_BREAK, " ")


def _fit(text: Text, room: float) -> None:
    """Wrap a text that is longer than its room, in pixels."""
    box = text.get_window_extent()
    long, written = max(box.width, box.height), " ".join(text.get_text().split())
    if written and long > room > 0:
        text.set_text(wrapped(written, max(int(len(written) * room / long), 8)))


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


def thin() -> float:
    """Return the width of lines that explain, half of that of lines of data."""
    return float(rcParams["lines.linewidth"]) / 2


# --- axes -----------------------------------------------------------------------------------------


class Scale(NamedTuple):
    """What an axis shows: its words, and the kind of its values.

    The kind is ``"duration"`` (seconds), ``"share"``, ``"number"``, ``"whole number"``,
    ``"clock"`` (seconds of a day) or a unit such as ``"EUR"``; `written` replaces its text.

    >>> Scale("interval", "duration").text(450), Scale("cost", "EUR").text(0.5)
    ('7.5 min', '0.5 EUR')
    """

    words: str
    kind: str = "number"
    written: Callable[[float], str] | None = None

    @property
    def capital(self) -> str:
        """The words at the beginning of a sentence."""
        return self.words[:1].upper() + self.words[1:]

    def text(self, value: float) -> str:
        """Return a value in human units."""
        if self.written:
            return self.written(value)
        if not math.isfinite(value):
            return "–" if math.isnan(value) else "infinite"
        match self.kind:
            case "duration":
                return text_of(value) if value else "0 s"
            case "share":
                return percent(value)
            case "number" | "whole number":
                return number_text(value)
            case "clock":
                return f"{int(value) // 3600:02}:{int(value) // 60 % 60:02}"
        return f"{number_text(value)}{'' if self.kind[0] == '/' else ' '}{self.kind}"


SHARE = Scale("share", "share")


def human(axis: Axis, scale: Scale) -> None:
    """Label an axis, and set ticks in human units within the range that it shows."""
    axis.set_label_text(scale.words)
    most = _most_ticks(axis)
    low, high = sorted(axis.get_view_interval())
    spread = axis.get_scale() != "linear"
    ticks = _wide_ticks(low, high, scale.kind, most) if spread else []
    if len(ticks) < 2:
        ticks = _even_ticks(low, high, scale.kind, most)
    axis.set_ticks(ticks, [scale.text(tick) for tick in ticks])
    axis.set_ticks([], minor=True)


def _most_ticks(axis: Axis) -> int:
    """Return how many ticks have room, from the size of their texts."""
    size = font_size(axis.axes)
    if axis is axis.axes.xaxis:
        return int(np.clip(axis.axes.bbox.width / (4.5 * size), 3, 8))
    return int(np.clip(axis.axes.bbox.height / (2.5 * size), 3, 7))


def font_size(ax: Axes) -> float:
    """Return the size of the type of some axes, in pixels."""
    return float(ax.xaxis.label.get_fontsize()) * ax.figure.dpi / 72


def _within(ticks: Iterable[float], low: float, high: float) -> list[float]:
    room = 1e-9 * (high - low)
    return [tick for tick in ticks if low - room <= tick <= high + room]


def _even_ticks(low: float, high: float, kind: str, most: int) -> list[float]:
    """Return round values at equal distances."""
    size = scale_of(max(abs(low), abs(high)))[1] if kind == "duration" else 1.0
    if kind in ("duration", "clock") and high - low >= size:
        weeks = TIME_STEPS[-1] * math.ceil((high - low) / (most * TIME_STEPS[-1]))
        step = next((s for s in TIME_STEPS if (high - low) / s <= most), weeks)
        ticks = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(ticks) > 2:
            return ticks
    locator = MaxNLocator(most, integer=kind == "whole number", steps=[1, 2, 2.5, 5, 10])
    found: Floats = np.asarray(locator.tick_values(low / size, high / size)) * size
    return _within(found.tolist(), low, high)


def _wide_ticks(low: float, high: float, kind: str, most: int) -> list[float]:
    """Return round values at about equal ratios, and zero where a scale begins with it."""
    first = [0.0] if low <= 0 else []
    decades = range(-9, 15)
    tens, fine = [10.0**k for k in decades], [m * 10.0**k for k in decades for m in (1, 2, 5)]
    least = 1.0 if kind == "whole number" else 0.0
    for tier in (TIME_STEPS, TIMES) if kind == "duration" else (fine, tens):
        ticks = [tick for tick in _within(tier, low, high) if tick > 0 and tick >= least]
        if len(ticks) <= most:
            break
    return first + ticks[:: -(-len(ticks) // most) or 1]


def stretch(ax: Axes, x: ArrayLike, y: ArrayLike, wide: float = WIDE) -> None:
    """Make axes logarithmic where their values are wide apart: by more than this factor."""
    for values, set_scale in ((x, ax.set_xscale), (y, ax.set_yscale)):
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        positive = known[known > 0]
        if len(positive) and positive.max() > wide * positive.min():
            least = float(positive.min())
            if (known < least).any():
                set_scale("symlog", linthresh=least)
            else:
                set_scale("log")
