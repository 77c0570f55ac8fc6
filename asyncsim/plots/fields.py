"""A metric over one field as lines, over two as a map, and an answer marked among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from asyncsim.plots.style import (
    GREY,
    WIDE,
    Floats,
    figure,
    look,
    percent,
    plain_time_axis,
    tidy,
    time_axis,
    with_unresumed,
)

MOST_TICKS = 8
MOST_NUMBERS = 60
"""Most cells of a map whose values are written in."""
NEAR = 3.0
"""Values within this factor of an answer and its interval are near it."""


def metric_over_field(
    lines: Mapping[str, pd.DataFrame],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    ticks: Mapping[float, str] | None = None,
    joined: bool = True,
) -> Axes:
    """Draw a metric over a field: per strategy a line, and its interval as a band.

    Parameters
    ----------
    lines
        By strategy: ``x, mean, low, high``.
    ticks
        Labels of the x axis, by value.
    joined
        Whether points are joined; otherwise, as where other fields differ, they have error bars.
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


def metric_over_two_fields(
    values: ArrayLike,
    columns: Sequence[str],
    rows: Sequence[str],
    labels: tuple[str, str, str],
    span: tuple[float, float],
    ax: Axes | None = None,
    unresumed: ArrayLike | None = None,
) -> AxesImage:
    """Draw a metric as a heat map with its values written in; return the image for a colour bar.

    Parameters
    ----------
    values
        Rows × columns; NaN for missing values.
    columns, rows
        The values of the two fields.
    labels
        Title, and names of the fields across and upwards.
    span
        Smallest and largest value of the colour scale.
    unresumed
        Rows × columns: unresumed share of the waits, written below the value.
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


def mark_answer(
    ax: Axes, found: tuple[float | None, float | None, float | None], bound: float | None = None
) -> Axes:
    """Mark an answer and its interval on the x axis, and the bound of the target.

    Parameters
    ----------
    ax
        Axes of a metric over a field.
    found
        The answer and the ends of its interval; None where there is none.
    bound
        A horizontal line, if there is one.
    """
    value, low, high = found
    if low is not None and high is not None:
        ax.axvspan(low, high, color=GREY, alpha=0.15, lw=0)
    if value is not None:
        ax.axvline(value, color=GREY, lw=1.5)
    if bound is not None:
        ax.axhline(bound, color=GREY, lw=1.5, ls="--")
    return ax


def near(
    table: pd.DataFrame, found: tuple[float | None, float | None, float | None]
) -> pd.DataFrame:
    """Return the evaluations near an answer and its interval, within a factor of `NEAR`.

    Parameters
    ----------
    table
        Evaluations with ``x``, above zero.
    found
        As in `mark_answer`; without an answer all are near.
    """
    value, *ends = found
    if value is None or not (table["x"] > 0).all():
        return table
    known = [value, *(end for end in ends if end is not None)]
    return table[table["x"].between(min(known) / NEAR, max(known) * NEAR)]


def spread_out(ax: Axes, table: pd.DataFrame, scale: str) -> Axes:
    """Choose scales that separate small and large values.

    Parameters
    ----------
    table
        What is drawn: ``x`` and ``mean``.
    scale
        What the x axis is: ``"duration"`` (seconds), ``"whole number"`` or any other.
    """
    times = scale == "duration"
    x, y = table["x"], table["mean"]
    if len(table) and x.min() > 0 and x.max() > WIDE * x.min():
        if times:
            time_axis(ax, float(x.min()), float(x.max()))
        else:
            ax.set_xscale("log")
    elif times and len(table):
        plain_time_axis(ax, float(x.min()), float(x.max()))
    elif scale == "whole number":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(table) and y.min() > 0 and y.max() > WIDE * y.min():
        ax.set_yscale("log")
    return ax
