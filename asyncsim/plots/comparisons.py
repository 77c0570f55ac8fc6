"""Comparisons of strategies: latencies, overhead, open waits, frontier and herds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import number_text, percent, text_of
from asyncsim.model.words import with_unresumed
from asyncsim.plots.labels import beside
from asyncsim.plots.style import (
    BLUE,
    GREY,
    Floats,
    Picture,
    Scale,
    font_size,
    human,
    look,
    picture,
    stretch,
    thin,
)

SHORTEST = 1e-3  # latencies below it are drawn at it, because a logarithmic axis has no zero
MOST_POINTS = 2000
MOST_ABOVE = 4  # strategies of a slide on which latency is above the others, not left of them
MOST_BINS = 400  # of open waits over time; of more, means are drawn
APART = 5  # ratio of metrics of strategies above which their scale is logarithmic
LATENCY = Scale("time from completion to resumption", "duration")
HEIGHTS = {1: 4.6, 2: 8.4, 3: 8.8}  # inches of a page, by the number of parts


class Compared(NamedTuple):
    """What a picture of a comparison is drawn from.

    Attributes
    ----------
    latencies, armed
        Resume latencies in seconds, and the number of all armed waits, by strategy.
    points
        One row per strategy: ``latency`` and ``requests`` (per wait), each with its
        ``_half_width``, and ``unresumed``, the share of waits without latency.
    theory
        Lines of closed forms by their names: ``latency`` and ``requests``.
    open_waits
        ``time`` (seconds), ``time_at`` (timestamps) and ``open`` per time bin, by strategy.
    """

    latencies: Mapping[str, Floats]
    armed: Mapping[str, int]
    points: pd.DataFrame
    theory: Mapping[str, pd.DataFrame]
    open_waits: Mapping[str, pd.DataFrame]


@picture
def comparison(drawn: Picture, title: str, found: Compared, parts: list[str]) -> str:
    """Draw parts of a comparison; all three: latency large, the others below or beside it."""
    height = HEIGHTS[len(parts)]
    if len(parts) == 3:
        drawn.grid(height=height)[0].remove()
        places = drawn.add_gridspec(2, 2)
        left = drawn.wide and len(found.armed) > MOST_ABOVE
        first, second = (places[:, 0], places[0, 1]) if left else (places[0, :], places[1, 0])
        axes = [drawn.add_subplot(place) for place in (first, second, places[1, 1])]
    else:
        axes = drawn.grid(len(parts), height=height)
    drawn.head(title)
    texts = [PARTS[part](ax, found) for part, ax in zip(parts, axes, strict=True)]
    return f"{title}. {' '.join(texts)}"


def latency_distribution(ax: Axes, found: Compared) -> str:
    """Draw the share of waits that resumed within a time, one line per strategy.

    With unresumed waits a line ends below 1, and its label shows their share.
    """
    looks, texts = look(found.latencies), []
    courses: dict[str, Any] = {}
    low, high = SHORTEST * 10, SHORTEST * 100
    for label, values in found.latencies.items():
        waits = found.armed[label]
        text = with_unresumed(label, 1 - len(values) / waits if waits else 0.0)
        style = looks[label] | {"marker": None}
        if not len(values):
            ax.plot([], [], label=text, **style)
            courses[text] = [[np.nan, np.nan]], style["color"]  # nowhere, so a legend names it
            texts.append(f"{text}: no wait resumed")
            continue
        ordered = np.maximum(np.sort(values), SHORTEST)
        share = np.arange(1, len(ordered) + 1) / waits
        keep = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).astype(int))
        x = np.concatenate([ordered[keep][:1], ordered[keep]])
        y = np.concatenate([[0.0], share[keep]])
        ax.plot(x, y, label=text, drawstyle="steps-post", **style)
        if waits > len(ordered):  # the others never resume
            ax.axhline(share[-1], color=style["color"], lw=thin(), ls=":")
        at = np.linspace(0.15, 0.9, 16)
        courses[text] = np.column_stack([np.quantile(ordered, at), at * share[-1]]), style["color"]
        low, high = min(low, ordered[0]), max(high, ordered[-1])
        half, most = (text_of(float(t), 3) for t in (np.median(values), np.max(values)))
        texts.append(f"{text}: half within {half}, the last after {most}")
    part = min(0.55 * max(map(len, courses), default=0) * font_size(ax) / ax.bbox.width, 0.2)
    room = part / (1 - part)  # for a label right of the last line
    ax.set(xscale="log", xlim=(low / 1.5, high * (high / low) ** room), ylim=(0, 1.04))
    ax.set_title("How late are steps resumed?")
    human(ax.xaxis, LATENCY)
    human(ax.yaxis, Scale("share of waits resumed by then", "share"))
    beside(ax, courses)
    return f"Share of waits resumed within a time. {'; '.join(texts)}."


def overhead_against_latency(ax: Axes, found: Compared) -> str:
    """Draw requests against latency, one point per strategy: lower left is better."""
    table, looks = found.points, look(found.points.index)
    courses: dict[str, Any] = {}
    texts = []
    for label in table.index:
        row, style = table.loc[label], looks[label]
        text, late = with_unresumed(label, row["unresumed"]), max(row["latency"], SHORTEST)
        ax.errorbar(
            late, row["requests"], yerr=row["requests_half_width"],
            xerr=min(row["latency_half_width"], late * 0.99), fmt=style["marker"],
            color=style["color"], label=text,
        )  # fmt: skip
        courses[text] = [[late, row["requests"]]], style["color"]
        some = number_text(row["requests"], 3), text_of(row["latency"], 3)
        texts.append("{}: {} at {}".format(text, *some))
    for name, line in found.theory.items():
        ax.plot(line["latency"], line["requests"], color=GREY, lw=thin(), label=name, zorder=1)
        inner = line.iloc[len(line) // 5 : -len(line) // 5 or None]
        courses[name] = inner[["latency", "requests"]].to_numpy(), GREY
    stretch(ax, table["latency"].clip(lower=SHORTEST), table["requests"], APART)
    _margins(ax, table["latency"].clip(lower=SHORTEST), table["requests"])
    ax.set_title("Overhead and latency")
    lossy = " of resumed waits" * bool((table["unresumed"] > 0).any())
    human(ax.xaxis, Scale(f"mean latency{lossy}", "duration"))
    human(ax.yaxis, Scale("requests per wait"))
    beside(ax, courses)
    return f"Requests per wait against the mean latency{lossy}. {'; '.join(texts)}."


def _margins(ax: Axes, x: pd.Series[float], y: pd.Series[float]) -> None:
    """Leave room for labels around points, from zero on along a linear axis."""
    for values, axis in ((x, ax.xaxis), (y, ax.yaxis)):
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high):
            continue
        if axis.get_scale() == "log":
            room = (high / low) ** 0.3
            axis.axes.set(**{f"{axis.axis_name}lim": (low / room, high * room)})
        else:
            axis.axes.set(**{f"{axis.axis_name}lim": (0, (high or 1.0) * 1.3)})


def load_around_batch(ax: Axes, found: Compared) -> str:
    """Draw the open waits while those of the first busy night drain."""
    looks = look(found.open_waits)
    first, last = drain_span(found.open_waits)
    courses, texts, midnight = {}, [], None
    for label, table in found.open_waits.items():
        shown = table[(table["time"] >= first) & (table["time"] <= last)]
        clock = pd.DatetimeIndex(shown["time_at"]).tz_localize(None)
        if not len(clock):
            continue
        midnight = midnight or clock[0].normalize()
        at = (clock - midnight).total_seconds().to_numpy()
        count = shown["open"].to_numpy()
        end = at[0] + last - shown["time"].iloc[0]
        if len(at) > MOST_BINS:
            together = -(-len(at) // (MOST_BINS // 4))
            bins = np.arange(0, len(at), together)
            means = np.add.reduceat(count, bins) / np.diff(np.append(bins, len(at)))
            at, count = at[bins] + together * (at[1] - at[0]) / 2, means
        if table["time"].iloc[-1] < last:  # this run has ended; extend its last value
            last_one, at_last = shown["open"].iloc[-1], end - last + shown["time"].iloc[-1]
            at, count = np.append(at, [at_last, end]), np.append(count, [last_one, last_one])
        above = count > 0.05 * count.max()
        text = with_unresumed(label, found.points["unresumed"][label])
        ax.plot(at, count, label=text, **(looks[label] | {"marker": None}))
        spaced = np.linspace(0, len(at) - 1, 400).astype(int)
        thick = [k for k in np.unique(spaced) if above[k]] or [0]
        courses[text] = np.column_stack([at[thick], count[thick]]), looks[label]["color"]
        peak = shown["time_at"].iloc[int(shown["open"].argmax())]
        texts.append(f"{text}: {shown['open'].max():,} at most, at {peak:%H:%M}")
    low, high = ax.get_xlim()
    ax.set_xlim(max(low, 0.0), high)
    _, top = ax.get_ylim()
    ax.set_ylim(0, top * 1.05)
    ax.set_title("Open waits over time")
    clock_axis(ax, midnight or pd.Timestamp(0), f"clock time ({text_of(last - first, 2)} shown)")
    human(ax.yaxis, Scale("open waits", "whole number"))
    beside(ax, courses)
    return f"Open waits by the clock. {'; '.join(texts)}."


def clock_axis(ax: Axes, midnight: pd.Timestamp, words: str) -> None:
    """Set clock times as ticks on an x axis of seconds from a midnight."""
    low, high = ax.get_xlim()
    form = "%a %H:%M" if high - low > 1.5 * 86400 else "%H:%M:%S" if high - low < 300 else "%H:%M"

    def clock(seconds: float) -> str:
        return f"{midnight + pd.Timedelta(seconds=round(seconds)):{form}}"

    human(ax.xaxis, Scale(words, "clock", clock))


PARTS = {
    "latency": latency_distribution,
    "overhead": overhead_against_latency,
    "open waits": load_around_batch,
}


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


@picture
def frontier(
    drawn: Picture, title: str, table: pd.DataFrame, metrics: tuple[str, str],
    scales: tuple[Scale, Scale],
) -> str:  # fmt: skip
    """Draw strategies by two metrics: lower left is better; dominated strategies are pale.

    `table` has one row per strategy: ``strategy``, both metrics with ``_low`` and ``_high``,
    ``unresumed_share`` and ``on_frontier`` (yes, perhaps, no).
    """
    (ax,) = drawn.grid(height=5.4)
    drawn.head(title)
    looks, courses = look(table["strategy"]), {}
    known = table[np.isfinite(table[metrics[0]]) & np.isfinite(table[metrics[1]])]
    for row in known.to_dict("records"):
        label, style = row["strategy"], looks[row["strategy"]]
        text = with_unresumed(label, row["unresumed_share"])
        across, upwards = (
            [[max(row[name] - row[f"{name}_low"], 0)], [max(row[f"{name}_high"] - row[name], 0)]]
            for name in metrics
        )
        x, y = (row[name] for name in metrics)
        ax.errorbar(
            x, y, xerr=across, yerr=upwards, fmt=style["marker"], color=style["color"],
            label=text, alpha=0.35 if row["on_frontier"] == "no" else 1.0,
        )  # fmt: skip
        courses[text] = [[x, y]], style["color"]
    best = known[known["on_frontier"] != "no"].sort_values(metrics[0])
    ax.step(best[metrics[0]], best[metrics[1]], where="post", color=GREY, lw=thin(), zorder=0)
    stretch(ax, known[metrics[0]], known[metrics[1]], APART)
    ax.margins(0.12)
    for axis, scale in zip((ax.xaxis, ax.yaxis), scales, strict=True):
        human(axis, scale)
    beside(ax, courses)
    beaten = ", ".join(table.loc[table["on_frontier"] == "no", "strategy"])
    missing = ", ".join(table.loc[~table.index.isin(known.index), "strategy"])
    return (
        f"{title}. {scales[1].capital} against {scales[0].words}, one point per strategy; the line "
        f"joins those that no other beats in both: {', '.join(best['strategy'])}."
        + f" Beaten: {beaten}." * bool(beaten)
        + f" Not drawn, because infinite: {missing}." * bool(missing)
    )


@picture
def herd_drained(drawn: Picture, title: str, herds: pd.DataFrame, exact: bool) -> str:
    """Draw the drain time of herds over their size, with the closed form as a line.

    `herds` has ``herd`` (its size), ``drained`` and ``theory`` in seconds, and ``never`` (number of
    unresumed waits) per herd; the closed form is `exact` or a lower bound.
    """
    (ax,) = drawn.grid()
    drawn.head(title)
    courses: dict[str, Any] = {}
    ordered = herds.sort_values("herd")
    if ordered["theory"].notna().any():
        name = "closed form" if exact else "closed form (a lower bound)"
        ax.plot(ordered["herd"], ordered["theory"], color=GREY, lw=thin(), label=name)
        courses[name] = ordered[["herd", "theory"]].to_numpy(), GREY
    never = herds["never"].sum() / max(herds["herd"].sum(), 1)
    text = with_unresumed("simulated nights", never)
    ax.plot(ordered["herd"], ordered["drained"], "o", color=BLUE, alpha=0.6, label=text)
    courses[text] = ordered[["herd", "drained"]].to_numpy(), BLUE
    highest = np.nanmax([*ordered["theory"], *ordered["drained"], 0.0])
    ax.set_ylim(0, 1.15 * highest if highest > 0 else 1.0)
    ax.margins(x=0.1)
    human(ax.xaxis, Scale("waits in the herd", "whole number"))
    human(ax.yaxis, Scale("last completion to last resumption", "duration"))
    beside(ax, courses)
    sizes = f"{herds['herd'].min():,} to {herds['herd'].max():,} waits"
    times = (text_of(float(end), 3) for end in (herds["drained"].min(), herds["drained"].max()))
    lost = f"; {percent(never)} of the waits never resumed" if never else ""
    return f"{title}. {len(herds)} herds of {sizes}: {' to '.join(times)} to drain{lost}."
