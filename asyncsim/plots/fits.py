"""A log beside what was fitted to it: arrivals, completions, distributions, and checks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import number_text, text_of
from asyncsim.plots.labels import beside, note
from asyncsim.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    LINES,
    ORANGE,
    PALE,
    SHARE,
    Floats,
    Picture,
    Scale,
    human,
    picture,
    thin,
)

MOST_POINTS = 1000
MOST_ROWS = 14  # on a slide
FARTHEST = 3.0  # distance drawn, in half-widths of an interval
DAY = 86400.0
CLOCK = Scale("time of day", "clock")


class SystemFitted(NamedTuple):
    """What the picture of one external system is drawn from.

    Attributes
    ----------
    times
        Times of the log in seconds, sorted, and what they are in words.
    what, law
        What the times are, and the name of the fitted distribution.
    grid, share
        The fitted share below each of a grid of times, None without a fit.
    quantiles
        Those of the fit, one per time, or None.
    clocks
        Completions, as times of day in seconds.
    window, words
        Start and length (seconds) of a batch or of working hours; what it is, and its length.
    """

    times: Floats
    what: str
    law: str
    grid: Floats
    share: Floats | None
    quantiles: Floats | None
    clocks: Floats
    window: tuple[float, float] | None
    words: tuple[str, str]


@picture
def fitted(drawn: Picture, title: str, rates: pd.DataFrame, system: SystemFitted | None) -> str:
    """Draw fitted rates of arrival; and of a system its completions and distribution.

    `rates` has ``days`` (text), ``hour`` (0 to 23, or missing for all), and ``rate, low, high`` per
    hour.
    """
    axes = drawn.grid(2, 2, 7.6) if system else drawn.grid()
    drawn.head(title)
    texts = [_arrival_rates(axes[0], rates)]
    if system:
        texts.append(_completions_by_clock(axes[1], system))
        texts.append(_times_and_distribution(axes[2], system))
        texts.append(_quantiles_against(axes[3], system))
    return f"{title}. {' '.join(texts)}"


def _by_clock(ax: Axes) -> None:
    ax.set_xlim(0, DAY)
    human(ax.xaxis, CLOCK)


def _arrival_rates(ax: Axes, table: pd.DataFrame) -> str:
    """Draw fitted rates by hour as steps, with intervals as bands, one line per kind of day."""
    courses: dict[str, Any] = {}
    for k, (days, rows) in enumerate(table.groupby("days", sort=False)):
        rows = rows.sort_values("hour")
        if rows["hour"].isna().all():
            rows = pd.concat([rows] * 24).assign(hour=range(24))
        hours = rows["hour"].to_numpy(dtype=float)
        at = 3600 * np.append(hours, hours[-1] + 1)
        rate, low, high = (np.append(rows[c], rows[c].iloc[-1]) for c in ("rate", "low", "high"))
        colour, line = COLOURS[k % len(COLOURS)], LINES[k // len(COLOURS) % len(LINES)]
        label = str(days)
        if label.count(",") > 1 and label in "Mon, Tue, Wed, Thu, Fri, Sat, Sun":  # in a row
            label = f"{label[:3]}–{label[-3:]}"
        ax.plot(at, rate, drawstyle="steps-post", color=colour, ls=line, label=label)
        ax.fill_between(at, low, high, step="post", color=colour, alpha=0.2, lw=0)
        courses[label] = np.column_stack([at[:-1] + 1800, rate[:-1]]), colour
    ax.set_ylim(0, ax.get_ylim()[1] * 1.15)
    ax.set_title("Arrivals: fitted rate and its interval")
    _by_clock(ax)
    human(ax.yaxis, Scale("arrivals per hour"))
    beside(ax, courses)
    most = number_text(float(table["rate"].max()), 3)
    return f"Arrivals per hour by time of day on {', '.join(courses)}: {most} at most."


def _completions_by_clock(ax: Axes, system: SystemFitted) -> str:
    """Draw completions by time of day, and the window of a batch or of working hours."""
    counts, edges = np.histogram(system.clocks, bins=np.arange(0, DAY + 1, 900))
    ax.bar(edges[:-1], counts, width=900, align="edge", color=BLUE)
    if system.window is not None:
        start, length = system.window[0], max(system.window[1], 200.0)
        for begin in (start, start - DAY):
            ax.axvspan(begin, begin + length, color=ORANGE, alpha=0.25, lw=0, zorder=0)
        ax.axvline(start, color=ORANGE)
        left = start > DAY / 3
        top = {"xycoords": ax.get_xaxis_transform(), "va": "top", "ha": "right" if left else "left"}
        at = (-0.4 if left else 0.4, 0)
        note(
            ax,
            system.words[1].replace("night ", "night\n"),
            (start, 0.97),
            ORANGE,
            xytext=at,
            **top,
        )
    ax.set_title(f"Completions: {system.words[0]}")
    _by_clock(ax)
    human(ax.yaxis, Scale("completions in a quarter of an hour", "whole number"))
    peak = f"{CLOCK.text(edges[int(counts.argmax())])}"
    return f"Completions by time of day, {system.words[0]}: most from {peak} on."


def _times_and_distribution(ax: Axes, system: SystemFitted) -> str:
    """Draw the cumulative distributions of a log and of the best fit."""
    times = system.times
    keep = np.unique(np.linspace(0, len(times) - 1, MOST_POINTS).astype(int))
    share = (keep + 1) / len(times)
    ax.plot(times[keep], share, drawstyle="steps-post", color=BLUE, label="log")
    courses: dict[str, Any] = {"log": (np.column_stack([times[keep], share]), BLUE)}
    if system.share is not None:
        ax.plot(system.grid, system.share, color=ORANGE, ls="--", label=system.law)
        courses[system.law] = np.column_stack([system.grid, system.share]), ORANGE
    ax.set(xlim=(0, float(system.grid[-1])), ylim=(0, 1.02), title=f"{system.what}: distribution")
    human(ax.xaxis, Scale("time", "duration"))
    human(ax.yaxis, SHARE._replace(words="share below"))
    beside(ax, courses)
    beyond = f" beside the fitted {system.law} distribution" if system.share is not None else ""
    middle = text_of(float(np.median(times)), 3)
    return f"Cumulative share of {system.what}{beyond}; half of the log is below {middle}."


def _quantiles_against(ax: Axes, system: SystemFitted) -> str:
    """Draw quantiles of the log over those of the best fit; they agree on the diagonal."""
    times, quantiles = system.times, system.quantiles
    ax.set_title(f"{system.what}: quantiles")
    if quantiles is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no parametric distribution", ha="center", va="center", color=GREY)
        return "No parametric distribution fits."
    ends = np.linspace(0, len(times) - 1, MOST_POINTS).astype(int)
    tails = np.r_[:20, len(times) - 20 : len(times)]  # where distributions differ most
    keep = np.unique(np.clip(np.concatenate([ends, tails]), 0, len(times) - 1))
    ax.plot(quantiles[keep], times[keep], "o", markersize=2 * thin() + 1.5, color=BLUE, alpha=0.6)
    high = float(max(quantiles[keep].max(), times[-1])) or 1.0
    ax.plot([0, high], [0, high], color=PALE, lw=thin(), zorder=0)
    ax.set(xlim=(0, high * 1.03), ylim=(0, high * 1.03))
    human(ax.xaxis, Scale(f"{system.law} distribution", "duration"))
    human(ax.yaxis, Scale("log", "duration"))
    return "Quantiles of the log over those of the distribution, which agree on the diagonal."


@picture
def metrics_checked(drawn: Picture, title: str, table: pd.DataFrame) -> str:
    """Draw the position of each metric of a log in its interval, one row per metric.

    `table` has ``figure, log, low, high, within``.
    """
    (ax,) = drawn.grid(height=1.4 + 0.24 * len(table))
    middle = (table["low"] + table["high"]) / 2
    half = (table["high"] - table["low"]) / 2
    away = ((table["log"] - middle) / half.where(half > 0)).fillna(0.0)
    away = away.mask(~table["within"] & (away == 0), FARTHEST)  # no width, or no interval
    at = away.clip(-FARTHEST, FARTHEST).to_numpy()
    names = ", ".join(table.loc[~table["within"], "figure"])
    if drawn.wide and len(table) > MOST_ROWS:
        title += f" (the {MOST_ROWS} of {len(table)} that lie farthest from the mean)"
        far = np.sort(np.argsort(-away.abs().to_numpy(), kind="stable")[:MOST_ROWS])
        table, at = table.iloc[far], at[far]
    drawn.head(title)
    rows = np.arange(len(table))
    ax.axvspan(-1, 1, color=BLUE, alpha=0.15, lw=0)
    counts = []
    for inside, marker, colour in ((True, "o", BLUE), (False, "X", ORANGE)):
        some = (table["within"] == inside).to_numpy()
        counts.append(f"{some.sum()} {'within' if inside else 'outside of'} the interval")
        ax.plot(at[some], rows[some], marker, color=colour, label=counts[-1])
    ax.set(xlim=(-FARTHEST - 0.2, FARTHEST + 0.2), ylim=(len(table) - 0.4, -0.6))
    ax.set_xticks([-1, 0, 1], ["low", "mean", "high"])
    ax.set_yticks(rows, table["figure"].tolist())
    ax.set_xlabel("interval in which a further run would lie")
    drawn.later.append(lambda: False)  # a legend: the rows are full
    return f"{title}. {', '.join(counts)}.{f' Outside: {names}.' if names else ''}"
