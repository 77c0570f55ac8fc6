"""Axes in words: values in human units, round ticks, logarithmic where values are wide apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from asyncsim.model.units import number_text, percent, scale_of, text_of

WIDE = 50  # ratio of largest to smallest value above which a scale is logarithmic
TIMES = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400)
TIME_STEPS = (
    *(0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(3600.0 * k for k in (2, 6, 12, 24, 48, 168)),
)


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

    def texts(self, ticks: list[float]) -> list[str]:
        """Return ticks in human units, durations in the least of their units if any has decimals.

        >>> Scale("interval", "duration").texts([58.8, 60, 61.2])
        ['58.8 s', '60 s', '61.2 s']
        """
        found = [self.text(tick) for tick in ticks]
        if self.kind != "duration" or self.written or "." not in "".join(found):
            return found
        unit, size = scale_of(min((abs(tick) for tick in ticks if tick), default=0.0))
        return [f"{number_text(tick / size)} {unit}" for tick in ticks]


def human(axis: Axis, scale: Scale) -> None:
    """Label an axis, and set ticks in human units within the range that it shows."""
    axis.set_label_text(scale.words)
    most = _most_ticks(axis)
    low, high = sorted(axis.get_view_interval())
    spread = axis.get_scale() != "linear"
    ticks = _wide_ticks(low, high, scale.kind, most) if spread else []
    if len(ticks) < 2:
        ticks = _even_ticks(low, high, scale.kind, most)
    axis.set_ticks(ticks, scale.texts(ticks))
    axis.set_ticks([], minor=True)


def _most_ticks(axis: Axis) -> int:
    """Return how many ticks have room, from the size of their texts."""
    size, box = font_size(axis.axes), axis.axes.bbox
    if axis is axis.axes.xaxis:
        return int(np.clip(box.width / (4.5 * size), 3, 8))
    return int(np.clip(box.height / (2.5 * size), 3, 7))


def font_size(ax: Axes) -> float:
    """Return the size of the type of some axes, in pixels."""
    return float(ax.xaxis.label.get_fontsize()) * ax.figure.dpi / 72


def _within(ticks: Iterable[float], low: float, high: float) -> list[float]:
    room = 1e-9 * (high - low)
    return [float(tick) for tick in ticks if low - room <= tick <= high + room]


def _even_ticks(low: float, high: float, kind: str, most: int) -> list[float]:
    """Return round values at equal distances."""
    size = scale_of(max(abs(low), abs(high)))[1] if kind == "duration" else 1.0
    if kind in ("duration", "clock") and high - low >= size:
        weeks = TIME_STEPS[-1] * math.ceil((high - low) / (most * TIME_STEPS[-1]))
        step = next((s for s in TIME_STEPS if (high - low) / s <= most), weeks)
        ticks = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(ticks) > (1 if kind == "clock" else 2):
            return ticks
    locator = MaxNLocator(most, integer=kind == "whole number", steps=[1, 2, 2.5, 5, 10])
    return _within(
        (tick * size for tick in locator.tick_values(low / size, high / size)), low, high
    )


def _wide_ticks(low: float, high: float, kind: str, most: int) -> list[float]:
    """Return round values at about equal ratios, and zero where a scale begins with it."""
    decades = [10.0**k for k in range(-9, 15)]
    fine = [m * ten for ten in decades for m in (1, 2, 5)]
    least = 1.0 if kind == "whole number" else 0.0
    ticks: list[float] = []
    for tier in (TIME_STEPS, TIMES) if kind == "duration" else (fine, decades):
        ticks = [tick for tick in _within(tier, low, high) if tick >= least]
        if len(ticks) <= most:
            break
    first = [0.0] if low <= 0 else []
    return first + ticks[:: -(-len(ticks) // most) or 1]


def stretch(ax: Axes, x: ArrayLike, y: ArrayLike, wide: float = WIDE) -> None:
    """Make axes logarithmic where their values are wide apart: by more than this factor."""
    for values, set_scale in ((x, ax.set_xscale), (y, ax.set_yscale)):
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        least = known[known > 0].min(initial=np.inf)
        if known.max(initial=0.0) > wide * least:
            if known.min() < least:
                set_scale("symlog", linthresh=least)
            else:
                set_scale("log")
