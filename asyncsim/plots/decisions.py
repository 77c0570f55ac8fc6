"""Answers of a capacity planner: a value on a field, a frontier, how long a herd takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from asyncsim.plots.style import (
    BLUE,
    GREY,
    WIDE,
    figure,
    heading,
    look,
    plain_time_axis,
    tidy,
    time_axis,
    with_unresumed,
)

NEAR = 3.0
"""Values within this factor of an answer and its interval are near it."""


def mark_answer(
    ax: Axes, found: tuple[float | None, float | None, float | None], bound: float | None = None
) -> Axes:
    """Mark an answer and its interval on the x axis, and the bound that was to be kept.

    Parameters
    ----------
    ax
        A figure over a field.
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
    """Return what was tried near an answer: up to a few times as far as its interval goes.

    Parameters
    ----------
    table
        What was tried: ``x``, above zero.
    found
        As in `mark_answer`; without an answer everything is near.
    """
    value, *ends = found
    if value is None or not (table["x"] > 0).all():
        return table
    known = [value, *(end for end in ends if end is not None)]
    return table[table["x"].between(min(known) / NEAR, max(known) * NEAR)]


def spread_out(ax: Axes, table: pd.DataFrame, scale: str) -> Axes:
    """Choose scales on which far and near values can be told apart.

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


def frontier(
    table: pd.DataFrame, figures: tuple[str, str], units: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """Draw strategies by two figures: near the lower left is good; what is beaten is pale.

    Parameters
    ----------
    table
        One row per strategy: ``strategy``, both figures with ``_low`` and ``_high``, and
        ``on_frontier`` (yes, perhaps, no).
    figures, units
        Names of the figures across and upwards, and their units.
    """
    ax = ax or figure(1)[1][0]
    across, upwards = figures
    looks = look(table["strategy"])
    known = table[np.isfinite(table[across]) & np.isfinite(table[upwards])]
    for row in known.to_dict("records"):
        style = looks[row["strategy"]]
        errors = [
            [[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]]
            for name in figures
        ]
        ax.errorbar(
            row[across], row[upwards], xerr=np.maximum(errors[0], 0), yerr=np.maximum(errors[1], 0),
            fmt=style["marker"], color=style["color"], ms=10, capsize=4, label=row["strategy"],
            alpha=0.35 if row["on_frontier"] == "no" else 1.0,
        )  # fmt: skip
    best = known[known["on_frontier"] != "no"].sort_values(across)
    ax.step(best[across], best[upwards], where="post", color=GREY, lw=1, zorder=0)
    for axis, name in ((ax.xaxis, across), (ax.yaxis, upwards)):
        positive = known.loc[known[name] > 0, name]
        if len(positive) and positive.max() > WIDE * positive.min():
            scale = ax.set_xscale if axis is ax.xaxis else ax.set_yscale
            scale("symlog", linthresh=float(positive.min()))
    tidy(ax, "", *map(heading, figures, units))
    return ax


def herd_drained(herds: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw how long herds took to drain against their size, with the closed form as a line.

    Parameters
    ----------
    herds
        One row per herd: ``herd`` (its size), ``drained`` and ``theory`` in seconds, ``never`` (how
        many of it never resumed).
    """
    ax = ax or figure(1)[1][0]
    ordered = herds.sort_values("herd")
    if ordered["theory"].notna().any():
        ax.plot(ordered["herd"], ordered["theory"], color=GREY, lw=1.5, label="closed form")
    ax.plot(
        ordered["herd"], ordered["drained"], "o", color=BLUE, ms=5, alpha=0.6,
        label=with_unresumed("simulated", herds["never"].sum() / max(herds["herd"].sum(), 1)),
    )  # fmt: skip
    highest = np.nanmax([*ordered["theory"], *ordered["drained"], 0.0])
    ax.set_ylim(0, 1.15 * highest if highest > 0 else 1.0)  # the legend is above the points
    ax.legend(frameon=False)
    tidy(ax, "", "waits in the herd", "last completion to last resumption [s]")
    return ax
