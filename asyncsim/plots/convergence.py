"""Precision of a metric: cumulative means, and warm-up periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from asyncsim.plots.style import BLUE, GREEN, GREY, ORANGE, Floats, figure, tidy

ROUNDING = 1e-6


def cumulative_mean(
    table: pd.DataFrame,
    ylabel: str,
    reached: int | None = None,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the mean of the first n replications with its interval, over n.

    Parameters
    ----------
    table
        ``n, value, mean, low, high``.
    ylabel
        Name of the value.
    reached
        Number of replications at which the interval was narrow enough.
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
    if legend:
        _legend_below(ax)
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

    Parameters
    ----------
    series
        Means per cycle, averaged over replications; shape ``(n,)``.
    smooth
        Moving average of the first m of them; shape ``(m,)``, m ≤ n.
    truncated
        Number of warm-up cycles.
    interval
        Estimate and ends of its interval, drawn over the rest.
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
    _legend_below(ax)
    tidy(ax, "", xlabel, ylabel)
    return ax


def _legend_below(ax: Axes) -> None:
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=9)


def _limits(ax: Axes, shown: Floats) -> None:
    """Set limits of the y axis; a constant gets a wide range, so that rounding is invisible."""
    shown = shown[np.isfinite(shown)]
    if len(shown):
        low, high = float(shown.min()), float(shown.max())
        room = 0.05 * (high - low)
        if high - low <= ROUNDING * abs(high):
            room = abs(high) / 2 or 1.0
        ax.set_ylim(low - room, high + room)
