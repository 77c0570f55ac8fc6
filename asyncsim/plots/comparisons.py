"""The three figures of a comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from asyncsim.plots.style import Floats, figure, look, readable, tidy, time_axis, with_unresumed

SHORTEST = 1e-3
"""Latencies below a millisecond are drawn at a millisecond: a logarithmic axis has no zero."""
MOST_POINTS = 2000


def with_legend(ax: Axes, legend: bool) -> Axes:
    """Return the Axes, with a legend if it is to have one of its own."""
    if legend and ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=9)
    return ax


def latency_distribution(
    latencies: Mapping[str, Floats],
    ax: Axes | None = None,
    out_of: Mapping[str, int] | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the share of waits that resumed within a time, one line per strategy.

    Parameters
    ----------
    latencies
        Resume latencies in seconds, by strategy.
    out_of
        Number of all waits by strategy: a line ends below 1 where some never resumed, and the
        legend shows their share.
    """
    ax = ax or figure(1)[1][0]
    looks = look(latencies)
    low, high = SHORTEST * 10, SHORTEST * 100
    for label, values in latencies.items():
        waits = out_of[label] if out_of else len(values)
        text = with_unresumed(label, 1 - len(values) / waits if waits else 0.0)
        if not len(values):
            ax.plot([], [], label=text, lw=2, **(looks[label] | {"marker": None}))
            continue
        ordered = np.maximum(np.sort(values), SHORTEST)
        share = np.arange(1, len(ordered) + 1) / waits
        keep = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).astype(int))
        style = looks[label] | {"marker": None}
        ax.step(ordered[keep], share[keep], where="post", label=text, lw=2, **style)
        if waits > len(ordered):  # it never gets any higher
            ax.axhline(share[-1], color=style["color"], lw=1, ls=":")
        low, high = min(low, ordered[0]), max(high, ordered[-1])
    time_axis(ax, low, high)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter("{x:.0%}")
    tidy(ax, "How late is the step resumed?", "resume latency", "share of waits resumed by then")
    return with_legend(ax, legend)


def overhead_against_latency(
    table: pd.DataFrame, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Draw what noticing costs against how late it is: near the lower left is good.

    Parameters
    ----------
    table
        One row per strategy (the index); ``latency`` in seconds and ``requests`` per wait, each
        with ``latency_half_width`` and ``requests_half_width``; ``unresumed``, the share of waits
        that have no latency, may be left out.
    """
    ax = ax or figure(1)[1][0]
    looks = look(table.index)
    latency = table["latency"].clip(lower=SHORTEST)
    unresumed = table["unresumed"] if "unresumed" in table else latency * 0.0
    for label in table.index:
        style = looks[label]
        ax.errorbar(
            latency[label],
            table.loc[label, "requests"],
            xerr=min(table.loc[label, "latency_half_width"], latency[label] * 0.99),
            yerr=table.loc[label, "requests_half_width"],
            fmt=style["marker"],
            color=style["color"],
            ms=10,
            capsize=4,
            label=with_unresumed(label, unresumed[label]),
        )
    if latency.notna().any():
        time_axis(ax, float(latency.min()) / 3, float(latency.max()) * 3)
        ax.set_xlim(float(latency.min()) / 3, float(latency.max()) * 3)
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set_ylim(0, max(2.0, float(table["requests"].max(skipna=True)) * 2))
    ax.yaxis.set_major_formatter("{x:g}")
    late = "mean resume latency" + " of resumed waits" * bool((unresumed > 0).any())
    tidy(ax, "What does noticing cost?", late, "requests per wait")
    return with_legend(ax, legend)


def load_around_batch(
    open_waits: Mapping[str, pd.DataFrame],
    span: tuple[float, float] | None = None,
    ax: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the waits that are open around the moment when most of them close.

    Parameters
    ----------
    open_waits
        ``time`` (seconds), ``time_at`` (timestamps) and ``open`` per time bin, by strategy.
    span
        First and last second to show; found from the data if left out.
    """
    ax = ax or figure(1)[1][0]
    looks = look(open_waits)
    first, last = span if span is not None else drain_span(open_waits)
    for label, table in open_waits.items():
        shown = table[(table["time"] >= first) & (table["time"] <= last)]
        at, count = shown["time_at"].tolist(), shown["open"].tolist()
        if at and table["time"].iloc[-1] < last:  # this run was over; its last number stands
            at.append(table["time_at"].iloc[0] + pd.Timedelta(seconds=last))
            count.append(count[-1])
        ax.plot(at, count, label=label, lw=2, **(looks[label] | {"marker": None}))
    ax.set_ylim(bottom=0)
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    tidy(ax, "Who still waits?", f"clock ({readable(last - first)} shown)", "open waits")
    return with_legend(ax, legend)


def drain_span(open_waits: Mapping[str, pd.DataFrame]) -> tuple[float, float]:
    """Return the span in which the waits of the first busy night drain, with room around it."""
    first, last = np.inf, -np.inf
    for table in open_waits.values():
        count = table["open"].to_numpy()
        if not count.any():
            continue
        peak = int(count.argmax())
        below = np.flatnonzero(count[peak:] <= 0.02 * count[peak])
        end = peak + int(below[0]) if len(below) else len(count) - 1
        # Where the number has fallen a little below its peak, draining has begun
        fallen = np.flatnonzero(count[peak:] < 0.99 * count[peak])
        begin = peak + int(fallen[0]) if len(fallen) else peak
        first = min(first, float(table["time"].iloc[begin]))
        last = max(last, float(table["time"].iloc[end]))
    if not np.isfinite(first):
        return 0.0, 1.0
    room = max(last - first, 60.0)
    return max(first - room / 3, 0.0), last + room / 5
