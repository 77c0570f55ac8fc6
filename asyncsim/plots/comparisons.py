"""Comparisons of strategies: latencies, overhead, open waits, frontier and herds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from asyncsim.plots.style import (
    BLUE,
    GREY,
    WIDE,
    Floats,
    figure,
    heading,
    look,
    readable,
    tidy,
    time_axis,
    with_unresumed,
)

SHORTEST = 1e-3  # latencies below it are drawn at it, because a logarithmic axis has no zero
MOST_POINTS = 2000


def latency_distribution(
    latencies: Mapping[str, Floats], ax: Axes | None = None, out_of: Mapping[str, int] | None = None
) -> Axes:
    """Draw the share of waits that resumed within a time, one line per strategy.

    `latencies` are in seconds, by strategy. `out_of` is the number of all waits: with unresumed
    ones a line ends below 1, and its label shows their share.
    """
    ax = ax or figure(1)[1][0]
    looks = look(latencies)
    low, high = SHORTEST * 10, SHORTEST * 100
    for label, values in latencies.items():
        waits = out_of[label] if out_of else len(values)
        text = with_unresumed(label, 1 - len(values) / waits if waits else 0.0)
        style = looks[label] | {"marker": None}
        if not len(values):
            ax.plot([], [], label=text, lw=2, **style)
            continue
        ordered = np.maximum(np.sort(values), SHORTEST)
        share = np.arange(1, len(ordered) + 1) / waits
        keep = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).astype(int))
        ax.step(ordered[keep], share[keep], where="post", label=text, lw=2, **style)
        if waits > len(ordered):  # the others never resume
            ax.axhline(share[-1], color=style["color"], lw=1, ls=":")
        low, high = min(low, ordered[0]), max(high, ordered[-1])
    time_axis(ax, low, high)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter("{x:.0%}")
    tidy(ax, "How late are steps resumed?", "resume latency", "share of waits resumed by then")
    return ax


def overhead_against_latency(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw requests against latency, one point per strategy: lower left is better.

    `table` has one row per strategy (the index): ``latency`` in seconds and ``requests`` per wait,
    each with its ``_half_width``; optionally ``unresumed``, the share of waits without latency.
    """
    ax = ax or figure(1)[1][0]
    looks = look(table.index)
    latency = table["latency"].clip(lower=SHORTEST)
    unresumed = table["unresumed"] if "unresumed" in table else latency * 0.0
    for label in table.index:
        row, style = table.loc[label], looks[label]
        ax.errorbar(
            latency[label], row["requests"], yerr=row["requests_half_width"],
            xerr=min(row["latency_half_width"], latency[label] * 0.99), fmt=style["marker"],
            color=style["color"], ms=10, capsize=4,
            label=with_unresumed(label, unresumed[label]),
        )  # fmt: skip
    if latency.notna().any():
        low, high = float(latency.min()) / 3, float(latency.max()) * 3
        time_axis(ax, low, high)
        ax.set_xlim(low, high)
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set_ylim(0, max(2.0, float(table["requests"].max(skipna=True)) * 2))
    ax.yaxis.set_major_formatter("{x:g}")
    late = "mean resume latency" + " of resumed waits" * bool((unresumed > 0).any())
    tidy(ax, "Overhead and latency", late, "requests per wait")
    return ax


def load_around_batch(open_waits: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Draw the open waits while those of the first busy night drain.

    `open_waits` has ``time`` (seconds), ``time_at`` (timestamps) and ``open`` per time bin, by
    strategy.
    """
    ax = ax or figure(1)[1][0]
    looks = look(open_waits)
    first, last = drain_span(open_waits)
    for label, table in open_waits.items():
        shown = table[(table["time"] >= first) & (table["time"] <= last)]
        at, count = shown["time_at"].tolist(), shown["open"].tolist()
        if at and table["time"].iloc[-1] < last:  # this run has ended; extend its last value
            at.append(table["time_at"].iloc[0] + pd.Timedelta(seconds=last))
            count.append(count[-1])
        ax.plot(at, count, label=label, lw=2, **(looks[label] | {"marker": None}))
    ax.set_ylim(bottom=0)
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    tidy(ax, "Open waits over time", f"clock ({readable(last - first)} shown)", "open waits")
    return ax


def drain_span(open_waits: Mapping[str, pd.DataFrame]) -> tuple[float, float]:
    """Return the span in which the waits of the first busy night drain, with a margin."""
    first, last = np.inf, -np.inf
    for table in open_waits.values():
        count, time = table["open"].to_numpy(), table["time"].to_numpy()
        if not count.any():
            continue
        peak = int(count.argmax())
        fallen = np.flatnonzero(count[peak:] < 0.99 * count[peak])  # where draining begins
        below = np.flatnonzero(count[peak:] <= 0.02 * count[peak])
        first = min(first, float(time[peak + fallen[0] if len(fallen) else peak]))
        last = max(last, float(time[peak + below[0] if len(below) else -1]))
    if not np.isfinite(first):
        return 0.0, 1.0
    room = max(last - first, 60.0)
    return max(first - room / 3, 0.0), last + room / 5


def frontier(
    table: pd.DataFrame, metrics: tuple[str, str], units: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """Draw strategies by two metrics: lower left is better; dominated strategies are pale.

    `table` has one row per strategy: ``strategy``, both metrics with ``_low`` and ``_high``, and
    ``on_frontier`` (yes, perhaps, no).
    """
    ax = ax or figure(1)[1][0]
    across, upwards = metrics
    looks = look(table["strategy"])
    known = table[np.isfinite(table[across]) & np.isfinite(table[upwards])]
    for row in known.to_dict("records"):
        style = looks[row["strategy"]]
        errors = [
            [[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]]
            for name in metrics
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
    tidy(ax, "", *map(heading, metrics, units))
    return ax


def herd_drained(herds: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the drain time of herds over their size, with the closed form as a line.

    `herds` has ``herd`` (its size), ``drained`` and ``theory`` in seconds, and ``never`` (number of
    unresumed waits) per herd.
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
    ax.set_ylim(0, 1.15 * highest if highest > 0 else 1.0)  # room for the legend
    ax.legend(frameon=False)
    tidy(ax, "", "waits in the herd", "last completion to last resumption [s]")
    return ax
