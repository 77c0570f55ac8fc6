"""The style of every picture: its two sizes, and colours safe for colour-blind readers.

A function decorated with `picture` draws into an empty figure and returns its alt text.
"""

from __future__ import annotations

import base64
import io
import re
import textwrap
from collections.abc import Callable, Iterable
from functools import wraps
from html import escape
from importlib import import_module
from typing import Any, Concatenate, ParamSpec

import numpy as np
from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

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
NO_BREAK = "\N{NO-BREAK SPACE}"
LEGEND_WIDTH = 27  # characters of a line of a legend
TITLE_WIDTH = 82  # characters of a line of the title
HEAD, ROW = 1.2, 3.4  # inches of a page: title with labels, and each row of axes
# Width and height in inches, pixels per inch, and points of the type
SIZES = {"page": (8.5, 4.6, 100, 10.5), "slide": (40 / 3, 7.5, 144, 18.0)}


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

    def head(self, title: str) -> None:
        """Set the title, above all axes and at the beginning of the text."""
        self.title = title
        lines = (wrapped(line, TITLE_WIDTH) for line in title.splitlines())
        self.suptitle("\n".join(lines), x=0.01, ha="left")

    def grid(self, n: int = 1, columns: int = 1, row: float = ROW, **options: Any) -> list[Axes]:
        """Return a number of axes row by row; `row` is the height of each on a page."""
        columns = min(n, columns)
        rows = -(-n // columns)
        self.room(rows, row)
        axes: list[Axes] = list(self.subplots(rows, columns, squeeze=False, **options).flat)
        for ax in axes[n:]:
            ax.remove()
        return axes[:n]

    def room(self, rows: int, row: float) -> None:
        """Set the height of a page with that many rows."""
        if not self.wide:
            self.set_figheight(HEAD + row * rows)

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
        pairs = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in self.axes]
        found = {wrapped(text, LEGEND_WIDTH): one for pair in pairs for one, text in pair}
        for columns in range(min(len(found), 4), 0, -1):
            place: Any = {"loc": "outside lower center", "ncols": columns}
            legend = self.legend(found.values(), found, **place)
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
) -> Callable[Concatenate[str, str, P], Picture]:
    """Make a function that draws one that takes a size and a title and returns the picture."""

    @wraps(draw)
    def sized(size: str, title: str, /, *args: P.args, **kwargs: P.kwargs) -> Picture:
        drawn = Picture(choice("size", size, SIZES))
        with rc_context(drawn.style):
            drawn.head(title)
            text = draw(drawn, *args, **kwargs)
            drawn.finish()
        drawn.alt = f"{drawn.title}. {text}"
        return drawn

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
