"""Comparisons of strategies: latencies, overhead, open waits, frontier and herds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asyncsim.model.units import DAY, number_text, percent, text_of
from asyncsim.model.words import with_unresumed
from asyncsim.plots.labels import label_all
from asyncsim.plots.scales import Scale, font_size, stretch
from asyncsim.plots.style import BLUE, GREY, Floats, Picture, look, picture, thin

SHORTEST = 1e-3  # latencies below it are drawn at it, because a logarithmic axis has no zero
MOST_POINTS = 2000
MOST_ABOVE = 4  # strategies of a slide on which latency is above the others, not left of them
MOST_BINS = 400  # of open waits over time; of more, means are drawn
APART = 5  # ratio of metrics of strategies above which their scale is logarithmic
MARGIN = 0.3  # around points, as a share of their range: room for labels


class Compared(NamedTuple):
    """What a picture of a comparison is drawn from, by strategy."""

    latencies: Mapping[str, Floats]  # in seconds, of resumed waits
    armed: Mapping[str, int]  # number of all armed waits
    points: pd.DataFrame  # latency and requests per wait with their ends, and unresumed_share
    theory: Mapping[str, pd.DataFrame]  # latency and requests by the name of a closed form
    open_waits: Mapping[str, pd.DataFrame]  # time (seconds), time_at (timestamps) and open


@picture
def comparison(drawn: Picture, found: Compared, parts: list[str]) -> str:
    """Draw parts of a comparison; all three: latency large, the others below or beside it."""
    if len(parts) == 3:
        drawn.room(2, 3.8)
        left = drawn.wide and len(found.armed) > MOST_ABOVE
        axes = [*drawn.subplot_mosaic("AB;AC" if left else "AA;BC").values()]
    else:
        axes = drawn.grid(len(parts), row=3.6)
    return " ".join(PARTS[part](ax, found) for part, ax in zip(parts, axes, strict=True))


def latency_distribution(ax: Axes, found: Compared) -> str:
    """Draw the share of waits that resumed within a time, one line per strategy.

    With unresumed waits a line ends below 1, and its label shows their share.
    """
    looks, texts = look(found.latencies), []
    low, high = SHORTEST * 10, SHORTEST * 100
    for label, values in found.latencies.items():
        waits = found.armed[label]
        text = with_unresumed(label, 1 - len(values) / waits if waits else 0.0)
        style = looks[label] | {"marker": None, "label": text}
        if not len(values):
            ax.plot([], [], **style)  # nowhere, so a legend names it
            texts.append(f"{text}: no wait resumed")
            continue
        ordered = np.maximum(np.sort(values), SHORTEST)
        share = np.arange(1, len(ordered) + 1) / waits
        keep = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).astype(int))
        x, y = np.append(ordered[0], ordered[keep]), np.append(0.0, share[keep])
        ax.plot(x, y, drawstyle="steps-post", **style)
        if waits > len(ordered):  # the others never resume
            ax.axhline(share[-1], color=style["color"], lw=thin(), ls=":")
        low, high = min(low, ordered[0]), max(high, ordered[-1])
        half, most = (text_of(float(t), 3) for t in (np.median(values), np.max(values)))
        texts.append(f"{text}: half within {half}, the last after {most}")
    part = min(0.55 * max(map(len, looks), default=0) * font_size(ax) / ax.bbox.width, 0.2)
    room = part / (1 - part)  # for a label right of the last line
    ax.set(xscale="log", xlim=(low / 1.5, high * (high / low) ** room), ylim=(0, 1.04))
    ax.set_title("How late are steps resumed?")
    across = Scale("time from completion to resumption", "duration")
    label_all(ax, across, Scale("share of waits resumed by then", "share"))
    return f"Share of waits resumed within a time. {'; '.join(texts)}."


def overhead_against_latency(ax: Axes, found: Compared) -> str:
    """Draw requests against latency, one point per strategy: lower left is better."""
    table = found.points.assign(latency=found.points["latency"].clip(lower=SHORTEST))
    names = _crosses(ax, table, "latency", "requests")
    for name, line in found.theory.items():
        ax.plot(line["latency"], line["requests"], color=GREY, lw=thin(), label=name, zorder=1)
    ax.set_title("Overhead and latency")
    lossy = " of resumed waits" * bool((table["unresumed_share"] > 0).any())
    label_all(ax, Scale(f"mean latency{lossy}", "duration"), Scale("requests per wait"))
    some = zip(names, found.points["requests"], found.points["latency"], strict=True)
    texts = [f"{name}: {number_text(n, 3)} at {text_of(late, 3)}" for name, n, late in some]
    return f"Requests per wait against the mean latency{lossy}. {'; '.join(texts)}."


def _crosses(ax: Axes, table: pd.DataFrame, x: str, y: str, pale: Iterable[str] = ()) -> list[str]:
    """Draw a point with its intervals for each strategy; return their labels."""
    looks, names = look(table.index), []
    for label, row in zip(looks, table.to_dict("records"), strict=True):
        names.append(with_unresumed(label, row["unresumed_share"]))
        across, upwards = (
            [[max(row[c] - row[f"{c}_low"], 0)], [max(row[f"{c}_high"] - row[c], 0)]]
            for c in (x, y)
        )
        ax.errorbar(
            row[x], row[y], upwards, across, fmt=looks[label]["marker"], label=names[-1],
            color=looks[label]["color"], alpha=0.35 if label in pale else 1.0,
        )  # fmt: skip
    stretch(ax, table[x], table[y], APART)
    for name, axis, values in (("xlim", ax.xaxis, table[x]), ("ylim", ax.yaxis, table[y])):
        low, high = float(values.min()), float(values.max())
        if axis.get_scale() == "log":
            room = (high / low) ** MARGIN
            ax.set(**{name: (low / room, high * room)})
        elif np.isfinite(high):  # from zero on, or a small difference would look large
            ax.set(**{name: (0, (high or 1.0) * (1 + MARGIN))})
    return names


def load_around_batch(ax: Axes, found: Compared) -> str:
    """Draw the open waits while those of the first busy night drain."""
    looks = look(found.open_waits)
    first, last = drain_span(found.open_waits)
    texts, midnight = [], None
    for label, table in found.open_waits.items():
        shown = table[table["time"].between(first, last)]
        clock = pd.DatetimeIndex(shown["time_at"]).tz_localize(None)
        if not len(clock):
            continue
        midnight = midnight or clock[0].normalize()
        at, count = (clock - midnight).total_seconds(), shown["open"].to_numpy()
        together = 1 if len(at) <= MOST_BINS else len(at) // (MOST_BINS // 4) + 1
        course = pd.DataFrame({"at": at, "open": count})
        course = course.groupby(course.index // together).mean()
        if table["time"].iloc[-1] < last:  # this run has ended; extend its last value
            for moment in (at[-1], at[0] + last - shown["time"].iloc[0]):
                course.loc[len(course)] = moment, count[-1]
        text = with_unresumed(label, found.points["unresumed_share"][label])
        ax.plot(course["at"], course["open"], label=text, **(looks[label] | {"marker": None}))
        peak = shown["time_at"].iloc[int(count.argmax())]
        texts.append(f"{text}: {count.max():,} at most, at {peak:%H:%M}")
    ax.set_xlim(left=max(ax.get_xlim()[0], 0.0))
    ax.set_ylim(0, ax.get_ylim()[1] * 1.05)
    ax.set_title("Open waits when there are most")
    whole = max(table["time"].iloc[-1] for table in found.open_waits.values())
    words = f"clock time ({text_of(last - first, 2)} of {text_of(whole, 2)}: around the most)"
    upwards = Scale("open waits", "whole number")
    label_all(ax, clock_scale(ax, midnight or pd.Timestamp(0), words), upwards)
    return f"Open waits by the clock. {'; '.join(texts)}."


def clock_scale(ax: Axes, midnight: pd.Timestamp, words: str) -> Scale:
    """Return the scale of an x axis of seconds from a midnight, in clock times."""
    low, high = ax.get_xlim()
    form = "%a %H:%M" if high - low > 1.5 * 86400 else "%H:%M:%S" if high - low < 300 else "%H:%M"

    def clock(seconds: float) -> str:
        return f"{midnight + pd.Timedelta(seconds=round(seconds)):{form}}"

    return Scale(words, "clock", clock)


PARTS = {
    "latency": latency_distribution,
    "overhead": overhead_against_latency,
    "open waits": load_around_batch,
}


def drain_span(open_waits: Mapping[str, pd.DataFrame]) -> tuple[float, float]:
    """Return the span in which the waits of the busiest night drain, with a margin.

    Where some waits stay open for days, it is a day before the largest number and a day after it.
    """
    first, last, fullest = np.inf, -np.inf, np.inf
    for table in open_waits.values():
        count, time = table["open"].to_numpy(), table["time"].to_numpy()
        if not count.any():
            continue
        peak = int(count.argmax())
        fallen = np.flatnonzero(count[peak:] < 0.99 * count[peak])  # where draining begins
        below = np.flatnonzero(count[peak:] <= 0.02 * count[peak])
        fullest = min(fullest, float(time[peak]))
        first = min(first, float(time[peak + fallen[0] if len(fallen) else peak]))
        last = max(last, float(time[peak + below[0] if len(below) else -1]))
    if not np.isfinite(first):
        return 0.0, 1.0
    if last - first > 2 * DAY:
        return max(fullest - DAY, 0.0), fullest + DAY
    room = max(last - first, 60.0)
    return max(first - room / 3, 0.0), last + room / 5


@picture
def frontier(
    drawn: Picture, table: pd.DataFrame, metrics: tuple[str, str], scales: tuple[Scale, Scale]
) -> str:
    """Draw strategies by two metrics: lower left is better; dominated strategies are pale.

    `table` has one row per strategy: ``strategy``, both metrics with ``_low`` and ``_high``,
    ``unresumed_share`` and ``on_frontier`` (yes, perhaps, no).
    """
    (ax,) = drawn.grid(row=4.2)
    table = table.set_index("strategy")
    known = table[np.isfinite(table[list(metrics)].to_numpy()).all(axis=1)]
    beaten = table.index[table["on_frontier"] == "no"]
    _crosses(ax, known, *metrics, beaten)
    best = known.drop(beaten, errors="ignore").sort_values(metrics[0])
    ax.step(best[metrics[0]], best[metrics[1]], where="post", color=GREY, lw=thin(), zorder=0)
    label_all(ax, *scales)
    missing = table.index.difference(known.index, sort=False)
    return (
        f"{scales[1].capital} against {scales[0].words}, one point per strategy; the line "
        f"joins those that no other beats in both: {', '.join(best.index)}."
        + f" Beaten: {', '.join(beaten)}." * bool(len(beaten))
        + f" Not drawn, because infinite: {', '.join(missing)}." * bool(len(missing))
    )


@picture
def herd_drained(drawn: Picture, herds: pd.DataFrame, exact: bool) -> str:
    """Draw the drain time of herds over their size, with the closed form as a line.

    `herds` has ``herd`` (its size), ``drained`` and ``theory`` in seconds, and ``never`` (number of
    unresumed waits) per herd; the closed form is `exact` or a lower bound.
    """
    (ax,) = drawn.grid()
    ordered = herds.sort_values("herd")
    if ordered["theory"].notna().any():
        name = "closed form" if exact else "closed form (a lower bound)"
        ax.plot(ordered["herd"], ordered["theory"], color=GREY, lw=thin(), label=name)
    never = herds["never"].sum() / max(herds["herd"].sum(), 1)
    text = with_unresumed("simulated nights", never)
    ax.plot(ordered["herd"], ordered["drained"], "o", color=BLUE, alpha=0.6, label=text)
    highest = np.nanmax([*ordered["theory"], *ordered["drained"], 0.0])
    ax.set_ylim(0, 1.15 * highest or 1.0)
    ax.margins(x=0.1)
    across = Scale("waits in the herd", "whole number")
    label_all(ax, across, Scale("last completion to last resumption", "duration"))
    sizes = f"{herds['herd'].min():,} to {herds['herd'].max():,} waits"
    times = (text_of(float(end), 3) for end in (herds["drained"].min(), herds["drained"].max()))
    lost = f"; {percent(never)} of the waits never resumed" if never else ""
    return f"{len(herds)} herds of {sizes}: {' to '.join(times)} to drain{lost}."
