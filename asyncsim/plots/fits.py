"""A log beside what was fitted to it: arrivals, completions, distributions, and checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asyncsim.plots.style import (
    BLUE,
    COLOURS,
    LINES,
    ORANGE,
    PALE,
    Floats,
    figure,
    plain_time_axis,
    tidy,
)

MOST_POINTS = 1000
FARTHEST = 3.0  # distance drawn, in half-widths of an interval


def arrival_rates(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw fitted rates by hour as steps, with intervals as bands, one line per kind of day.

    `table` has ``days`` (text), ``hour`` (0 to 23, or missing for all), and ``rate, low, high`` per
    hour.
    """
    ax = ax or figure(1, width=8.0)[1][0]
    for k, (days, rows) in enumerate(table.groupby("days", sort=False)):
        rows = rows.sort_values("hour")
        if rows["hour"].isna().all():
            rows = pd.concat([rows] * 24).assign(hour=range(24))
        at = np.append(rows["hour"].to_numpy(dtype=float), float(rows["hour"].iloc[-1]) + 1)
        rate, low, high = (np.append(rows[c], rows[c].iloc[-1]) for c in ("rate", "low", "high"))
        colour, line = COLOURS[k % len(COLOURS)], LINES[k // len(COLOURS) % len(LINES)]
        label = str(days)
        if label.count(",") > 1 and label in "Mon, Tue, Wed, Thu, Fri, Sat, Sun":  # in a row
            label = f"{label[:3]}–{label[-3:]}"
        ax.step(at, rate, where="post", color=colour, ls=line, lw=2, label=label)
        ax.fill_between(at, low, high, step="post", color=colour, alpha=0.2, lw=0)
    ax.set(xlim=(0, 24), xticks=range(0, 25, 4))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter("{x:.0f}:00")
    ax.legend(frameon=False, fontsize=9)
    tidy(ax, "Arrivals: fitted rate and its interval", "time of day", "arrivals per hour")
    return ax


def completions_by_clock(
    clocks: Floats,
    window: tuple[float, float] | None,
    labels: tuple[str, str],
    ax: Axes | None = None,
) -> Axes:
    """Draw completions by time of day, and the window of a batch or of working hours.

    `clocks` are times of day in seconds; `window` is its start and length in seconds, `labels` its
    meaning, for the title, and its length in words.
    """
    ax = ax or figure(1, width=8.0)[1][0]
    counts, edges = np.histogram(clocks / 3600, bins=np.arange(0, 24.01, 0.25))
    ax.bar(edges[:-1], counts, width=0.25, align="edge", color=BLUE)
    if window is not None:
        start, length = window[0] / 3600, max(window[1] / 3600, 0.05)
        for begin in (start, start - 24):
            ax.axvspan(begin, begin + length, color=ORANGE, alpha=0.25, lw=0, zorder=0)
        ax.axvline(start, color=ORANGE, lw=2)
        ax.annotate(
            f"{labels[1]} ", (start, 0.97), xycoords=("data", "axes fraction"), color="#A04300",
            ha="right" if start > 8 else "left", va="top", fontsize=9,
        )  # fmt: skip
    ax.set(xlim=(0, 24), xticks=range(0, 25, 4))
    ax.xaxis.set_major_formatter("{x:.0f}:00")
    title = f"Completions by time of day: {labels[0]}"
    tidy(ax, title, "time of day", "completions in a quarter of an hour")
    return ax


def times_and_distribution(
    times: Floats,
    grid: Floats,
    share: Floats | None,
    names: tuple[str, str],
    ax: Axes | None = None,
) -> Axes:
    """Draw the cumulative distributions of a log and of the best fit.

    `times` are in seconds, sorted; `share` is the fitted share below each of `grid`, None without a
    fit; `names` are those of the time and of the fitted distribution.
    """
    ax = ax or figure(1)[1][0]
    keep = np.unique(np.linspace(0, len(times) - 1, MOST_POINTS).astype(int))
    ax.step(times[keep], (keep + 1) / len(times), where="post", color=BLUE, lw=2, label="log")
    if share is not None:
        ax.plot(grid, share, color=ORANGE, lw=2, ls="--", label=names[1])
    ax.set(xlim=(0, float(grid[-1])), ylim=(0, 1.02))
    plain_time_axis(ax, 0.0, float(grid[-1]))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(ax, f"{names[0]}: cumulative share", "time", "share")
    return ax


def quantiles_against(
    times: Floats, quantiles: Floats | None, names: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """Draw quantiles of the log over those of the best fit; they agree on the diagonal.

    `times` and `quantiles` (None without a fit) are in seconds and sorted; `names` are those of the
    time and of the fitted distribution.
    """
    ax = ax or figure(1)[1][0]
    tidy(ax, f"{names[0]}: quantiles", f"{names[1]} distribution", "log")
    if quantiles is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no parametric distribution", ha="center", va="center", color=PALE)
        return ax
    ends = np.linspace(0, len(times) - 1, MOST_POINTS).astype(int)
    tails = np.r_[:20, len(times) - 20 : len(times)]  # where distributions differ most
    keep = np.unique(np.clip(np.concatenate([ends, tails]), 0, len(times) - 1))
    ax.plot(quantiles[keep], times[keep], "o", ms=3.5, color=BLUE, alpha=0.6)
    high = float(max(quantiles[keep].max(), times[-1])) or 1.0
    ax.plot([0, high], [0, high], color=PALE, lw=1.5, zorder=0)
    ax.set(xlim=(0, high * 1.03), ylim=(0, high * 1.03))
    plain_time_axis(ax, 0.0, high)
    ax.set_yticks(ax.get_xticks(), [label.get_text() for label in ax.get_xticklabels()])
    return ax


def metrics_checked(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the position of each metric of a log in its interval, one row per metric.

    `table` has ``figure, log, low, high, within``.
    """
    middle = (table["low"] + table["high"]) / 2
    half = (table["high"] - table["low"]) / 2
    away = ((table["log"] - middle) / half.where(half > 0)).fillna(0.0)
    away = away.mask(~table["within"] & (away == 0), FARTHEST)  # no width, or no interval
    at = away.clip(-FARTHEST, FARTHEST).to_numpy()
    rows = np.arange(len(table))
    ax.axvspan(-1, 1, color=BLUE, alpha=0.15, lw=0)
    for inside, marker, colour, label in (
        (True, "o", BLUE, "within"), (False, "X", ORANGE, "outside"),
    ):  # fmt: skip
        some = (table["within"] == inside).to_numpy()
        ax.plot(at[some], rows[some], marker, color=colour, ms=6, label=f"{label}: {some.sum()}")
    ax.set(xlim=(-FARTHEST - 0.2, FARTHEST + 0.2), ylim=(len(table) - 0.4, -0.6))
    ax.set_xticks([-1, 0, 1], ["low", "mean", "high"])
    ax.set_yticks(rows, table["figure"].tolist(), fontsize=8)
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    tidy(ax, "Metrics of the log in the intervals of the simulation", "interval of a run", "")
    return ax
