"""A log beside what was fitted to it: arrivals, completions, distributions, and checks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import DAY, number_text, text_of
from asyncsim.plots.labels import label_all, note
from asyncsim.plots.scales import Scale
from asyncsim.plots.style import BLUE, GREY, ORANGE, PALE, Floats, Picture, look, picture, thin

MOST_POINTS = 1000
MOST_ROWS = 14  # on a slide
FARTHEST = 3.0  # distance drawn, in half-widths of an interval
CLOCK = Scale("time of day", "clock")


class SystemFitted(NamedTuple):
    """What the picture of one external system is drawn from."""

    times: Floats  # of the log in seconds, sorted
    what: str  # what the times are
    law: str  # name of the fitted distribution
    grid: Floats  # of times
    share: Floats | None  # the fitted share below each of the grid, None without a fit
    quantiles: Floats | None  # of the fit, one per time
    clocks: Floats  # completions, as times of day in seconds
    window: tuple[float, float] | None  # start and length (seconds) of a batch or working hours
    words: tuple[str, str]  # what the window is, and its length


@picture
def fitted(drawn: Picture, rates: pd.DataFrame, system: SystemFitted | None) -> str:
    """Draw fitted rates of arrival; and of a system its completions and distribution.

    `rates` has ``days`` (text), ``hour`` (0 to 23, or missing for all), and ``rate, low, high`` per
    hour.
    """
    first, *others = drawn.grid(4, 2, 3.2) if system else drawn.grid()
    texts = [_arrival_rates(first, rates)]
    if system:
        parts = (_completions_by_clock, _times_and_distribution, _quantiles_against)
        texts += [part(ax, system) for part, ax in zip(parts, others, strict=True)]
    return " ".join(texts)


def _arrival_rates(ax: Axes, table: pd.DataFrame) -> str:
    """Draw fitted rates by hour as steps, with intervals as bands, one line per kind of day."""
    kinds = {}
    for days, rows in table.groupby("days", sort=False):
        days = str(days)
        if days.count(",") > 1 and days in "Mon, Tue, Wed, Thu, Fri, Sat, Sun":  # in a row
            days = f"{days[:3]}–{days[-3:]}"
        if rows["hour"].isna().all():
            rows = pd.concat([rows] * 24).assign(hour=range(24))
        kinds[days] = rows.sort_values("hour")
    for days, style in look(kinds).items():
        rows = kinds[days]
        rows = pd.concat([rows, rows.tail(1).assign(hour=rows["hour"].max() + 1)])
        at = 3600 * rows["hour"].astype(float)
        ax.plot(at, rows["rate"], drawstyle="steps-post", label=days, **(style | {"marker": None}))
        ax.fill_between(
            at, rows["low"], rows["high"], step="post", color=style["color"], alpha=0.2, lw=0
        )
    ax.set(xlim=(0, DAY), ylim=(0, ax.get_ylim()[1] * 1.15))
    ax.set_title("Arrivals: fitted rate and its interval")
    label_all(ax, CLOCK, Scale("arrivals per hour"))
    most = number_text(float(table["rate"].max()), 3)
    return f"Arrivals per hour by time of day on {', '.join(kinds)}: {most} at most."


def _completions_by_clock(ax: Axes, system: SystemFitted) -> str:
    """Draw completions by time of day, and the window of a batch or of working hours."""
    counts, edges = np.histogram(system.clocks, bins=np.arange(0, DAY + 1, 900))
    ax.bar(edges[:-1], counts, width=900, align="edge", color=BLUE)
    if system.window is not None:
        start, length = system.window[0], max(system.window[1], 200.0)
        for begin in (start, start - DAY):
            ax.axvspan(begin, begin + length, color=ORANGE, alpha=0.25, lw=0, zorder=0)
        ax.axvline(start, color=ORANGE)
        side, shift = ("right", -0.4) if start > DAY / 3 else ("left", 0.4)
        top = {"xycoords": ax.get_xaxis_transform(), "va": "top", "ha": side}
        words = system.words[1].replace("night ", "night\n")
        note(ax, words, (start, 0.97), ORANGE, xytext=(shift, 0), **top)
    ax.set(xlim=(0, DAY), title=f"Completions: {system.words[0]}")
    label_all(ax, CLOCK, Scale("completions in a quarter of an hour", "whole number"))
    peak = CLOCK.text(edges[int(counts.argmax())])
    return f"Completions by time of day, {system.words[0]}: most from {peak} on."


def _times_and_distribution(ax: Axes, system: SystemFitted) -> str:
    """Draw the cumulative distributions of a log and of the best fit."""
    times = system.times
    keep = np.unique(np.linspace(0, len(times) - 1, MOST_POINTS).astype(int))
    share = (keep + 1) / len(times)
    ax.plot(times[keep], share, drawstyle="steps-post", color=BLUE, label="log")
    if system.share is not None:
        ax.plot(system.grid, system.share, color=ORANGE, ls="--", label=system.law)
    ax.set(xlim=(0, float(system.grid[-1])), ylim=(0, 1.02), title=f"{system.what}: distribution")
    label_all(ax, Scale("time", "duration"), Scale("share below", "share"))
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
    label_all(ax, Scale(f"{system.law} distribution", "duration"), Scale("log", "duration"))
    return "Quantiles of the log over those of the distribution, which agree on the diagonal."


@picture
def metrics_checked(drawn: Picture, table: pd.DataFrame) -> str:
    """Draw the position of each metric of a log in its interval, one row per metric.

    `table` has ``metric, log, low, high, within``.
    """
    (ax,) = drawn.grid(row=0.2 + 0.24 * len(table))
    middle = (table["low"] + table["high"]) / 2
    half = (table["high"] - table["low"]) / 2
    away = ((table["log"] - middle) / half.where(half > 0)).fillna(0.0)
    away = away.mask(~table["within"] & (away == 0), FARTHEST)  # no width, or no interval
    at = away.clip(-FARTHEST, FARTHEST).to_numpy()
    names = ", ".join(table.loc[~table["within"], "metric"])
    if drawn.wide and len(table) > MOST_ROWS:
        some = f"the {MOST_ROWS} of {len(table)} that lie farthest from the mean"
        drawn.head(f"{drawn.title} ({some})")
        far = np.sort(np.argsort(-away.abs().to_numpy(), kind="stable")[:MOST_ROWS])
        table, at = table.iloc[far], at[far]
    rows = np.arange(len(table))
    ax.axvspan(-1, 1, color=BLUE, alpha=0.15, lw=0)
    counts = []
    for inside, marker, colour in ((True, "o", BLUE), (False, "X", ORANGE)):
        shown = (table["within"] == inside).to_numpy()
        counts.append(f"{shown.sum()} {'within' if inside else 'outside of'} the interval")
        ax.plot(at[shown], rows[shown], marker, color=colour, label=counts[-1])
    ax.set(xlim=(-FARTHEST - 0.2, FARTHEST + 0.2), ylim=(len(table) - 0.4, -0.6))
    ax.set_xticks([-1, 0, 1], ["low", "mean", "high"])
    ax.set_yticks(rows, table["metric"].tolist())
    ax.set_xlabel("interval in which a further run would lie")
    drawn.later.append(lambda: False)  # a legend: the rows are full
    return f"{', '.join(counts)}.{f' Outside: {names}.' if names else ''}"
