"""A metric over one field or two, with an answer marked; over replications, and over cycles."""

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
    BLUE,
    GREEN,
    GREY,
    ORANGE,
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
MOST_NUMBERS = 60  # cells of a map whose values are written in
NEAR = 3.0  # values within this factor of an answer and its interval are near it
ROUNDING = 1e-6
Answer = tuple[float | None, float | None, float | None]  # with its ends; None where there is none


def metric_over_field(
    lines: Mapping[str, pd.DataFrame],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    ticks: Mapping[float, str] | None = None,
    joined: bool = True,
) -> Axes:
    """Draw a metric over a field: per strategy a line, and its interval as a band.

    `lines` has ``x, mean, low, high`` by strategy, `ticks` the labels of the x axis by value.
    Points that are not `joined`, as where other fields differ, have error bars.
    """
    ax = ax or figure(1)[1][0]
    looks = look(lines)
    for label, table in lines.items():
        known = table.dropna(subset="mean").sort_values("x")
        x, mean = known["x"].to_numpy(), known["mean"].to_numpy()
        low, high = (known[end].fillna(known["mean"]).to_numpy() for end in ("low", "high"))
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

    `values` are rows × columns, NaN where missing; `labels` are the title and the names of the
    fields across and upwards, `span` the ends of the colour scale, `unresumed` the unresumed share
    of the waits, rows × columns, written below the value.
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


def mark_answer(ax: Axes, found: Answer, bound: float | None = None) -> Axes:
    """Mark an answer and its interval on the x axis, and a bound as a horizontal line."""
    value, low, high = found
    if low is not None and high is not None:
        ax.axvspan(low, high, color=GREY, alpha=0.15, lw=0)
    if value is not None:
        ax.axvline(value, color=GREY, lw=1.5)
    if bound is not None:
        ax.axhline(bound, color=GREY, lw=1.5, ls="--")
    return ax


def near(table: pd.DataFrame, found: Answer) -> pd.DataFrame:
    """Return the evaluations (``x``) near an answer and its interval; all without an answer."""
    value, *ends = found
    if value is None or not (table["x"] > 0).all():
        return table
    known = [value, *(end for end in ends if end is not None)]
    return table[table["x"].between(min(known) / NEAR, max(known) * NEAR)]


def spread_out(ax: Axes, table: pd.DataFrame, scale: str) -> Axes:
    """Choose scales that separate small and large values of a table, ``x`` and ``mean``.

    `scale` is that of the x axis: ``"duration"`` (seconds), ``"whole number"`` or any other.
    """
    x, y = table["x"], table["mean"]
    wide = x.min() > 0 and x.max() > WIDE * x.min()
    if scale == "duration" and len(table):
        (time_axis if wide else plain_time_axis)(ax, float(x.min()), float(x.max()))
    elif wide:
        ax.set_xscale("log")
    elif scale == "whole number":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if y.min() > 0 and y.max() > WIDE * y.min():
        ax.set_yscale("log")
    return ax


# --- over replications, and over cycles -----------------------------------------------------------


def cumulative_mean(
    table: pd.DataFrame, ylabel: str, reached: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the mean of the first n replications with its interval, over n.

    `table` has ``n, value, mean, low, high``; `reached` is the number of replications at which the
    interval was narrow enough.
    """
    ax = ax or figure(1, width=7.0)[1][0]
    n, seen = table["n"], table[table["low"].notna()]
    ax.plot(n, table["value"], ".", color=GREY, alpha=0.5, ms=5, label="single replications")
    ax.plot(n, table["mean"], color=BLUE, lw=2, label="mean so far")
    ax.fill_between(seen["n"], seen["low"], seen["high"], color=BLUE, alpha=0.2, lw=0)
    if reached is not None:
        ax.axvline(reached, color=ORANGE, lw=1.5, ls="--", label="narrow enough from here")
    # The interval of two or three values is too wide for the scale
    late = seen.loc[seen["n"] >= 5, ["low", "high"]].to_numpy(dtype=float)
    _limits(ax, np.concatenate([late.ravel(), table["value"].to_numpy(dtype=float)]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(ax, "", "replications", ylabel)
    return ax


def warm_up(
    series: Floats,
    smooth: Floats,
    truncated: int,
    ylabel: str,
    xlabel: str,
    interval: tuple[float, float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a series, its moving average, the warm-up, and the estimate over the rest (Welch).

    `series` has the means per cycle, averaged over replications, `smooth` the moving average of its
    beginning; the first `truncated` cycles are the warm-up, `interval` is the estimate with its
    ends, drawn over the rest.
    """
    ax = ax or figure(1, width=7.0)[1][0]
    cycles = np.arange(1, len(series) + 1)
    ax.plot(cycles, series, ".-", color=GREY, alpha=0.5, lw=1, ms=5, label="mean per cycle")
    ax.plot(cycles[: len(smooth)], smooth, color=BLUE, lw=2, label="moving average")
    if truncated:
        ax.axvspan(0.5, truncated + 0.5, color=ORANGE, alpha=0.15, lw=0, label="warm-up")
    if interval is not None and np.isfinite(interval[0]):
        mean, low, high = interval
        rest = cycles[truncated:]
        ax.plot(rest, np.full(len(rest), mean), color=GREEN, lw=2, ls="--", label="estimate")
        if np.isfinite([low, high]).all():
            ax.fill_between(rest, low, high, color=GREEN, alpha=0.2, lw=0)
    ax.set_xlim(0.5, len(series) + 0.5)
    _limits(ax, np.concatenate([series, interval or ()]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=9)
    tidy(ax, "", xlabel, ylabel)
    return ax


def _limits(ax: Axes, shown: Floats) -> None:
    """Set limits of the y axis; a constant gets a wide range, so that rounding is invisible."""
    shown = shown[np.isfinite(shown)]
    if len(shown):
        low, high = float(shown.min()), float(shown.max())
        alike = high - low <= ROUNDING * abs(high)
        room = (abs(high) / 2 or 1.0) if alike else 0.05 * (high - low)
        ax.set_ylim(low - room, high + room)
