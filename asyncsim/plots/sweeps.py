"""A figure over one swept field as lines, over two as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from asyncsim.plots.style import WIDE, Floats, figure, look, percent, tidy, with_unresumed

MOST_TICKS = 8
MOST_NUMBERS = 60
"""A map of more fields has no numbers in them."""


def figure_over_field(
    lines: Mapping[str, pd.DataFrame],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    ticks: Mapping[float, str] | None = None,
    joined: bool = True,
) -> Axes:
    """Draw a figure over a swept field: a line and a band of its interval per strategy.

    Parameters
    ----------
    lines
        By strategy: ``x, mean, low, high``.
    ticks
        What is written at places of the x axis.
    joined
        If not, points with error bars: where other fields differ from point to point.
    """
    ax = ax or figure(1)[1][0]
    looks = look(lines)
    for label, table in lines.items():
        known = table.dropna(subset="mean").sort_values("x")
        x, mean = known["x"].to_numpy(), known["mean"].to_numpy()
        low = known["low"].fillna(known["mean"]).to_numpy()
        high = known["high"].fillna(known["mean"]).to_numpy()
        style = looks[label]
        if joined:
            ax.plot(x, mean, label=label, lw=2, ms=5, **style)
            ax.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
        else:
            ends = [mean - low, high - mean]
            ax.errorbar(x, mean, ends, label=label, ms=5, **(style | {"linestyle": ""}))
    if ticks and len(ticks) <= MOST_TICKS:
        if min(ticks) > 0 and max(ticks) / min(ticks) > WIDE:
            ax.set_xscale("log")
            ax.minorticks_off()
        ax.set_xticks(list(ticks), list(ticks.values()))
    tidy(ax, "", xlabel, ylabel)
    return ax


def figure_over_two_fields(
    values: ArrayLike,
    columns: Sequence[str],
    rows: Sequence[str],
    labels: tuple[str, str, str],
    span: tuple[float, float],
    ax: Axes | None = None,
    unresumed: ArrayLike | None = None,
) -> AxesImage:
    """Draw a figure as a heat map with its numbers written in; return the image for a scale.

    Parameters
    ----------
    values
        Rows × columns; NaN where there is no figure.
    columns, rows
        The values of the two fields.
    labels
        Title, and names of the fields across and upwards.
    span
        The smallest and the largest value of the scale of colours.
    unresumed
        Rows × columns: the share of waits that never resumed, which stands below the number.
    """
    ax = ax or figure(1)[1][0]
    shown: Floats = np.asarray(values, dtype=float)
    lost: Floats = np.zeros(shown.shape) if unresumed is None else np.asarray(unresumed)
    title, *names = labels
    if shown.size > MOST_NUMBERS:
        title = with_unresumed(title, float(np.nanmax([*lost.flat, 0.0])), most=True)
    low, high = span
    norm = LogNorm(low, high) if low > 0 and high / low > WIDE else Normalize(low, high)
    image = ax.imshow(shown, origin="lower", aspect="auto", cmap="cividis", norm=norm)
    ax.set_xticks(range(len(columns)), list(columns))
    ax.set_yticks(range(len(rows)), list(rows))
    if shown.size <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(shown):
            dark = norm(value) < 0.5
            text = f"{value:.3g}" if np.isfinite(value) else "–"
            share = float(lost[row, column])
            text += f"\n{percent(share)} never" * (share > 0)
            ax.text(column, row, text, ha="center", va="center", color="w" if dark else "k")
    tidy(ax, title, *names)
    ax.grid(False)
    return image
