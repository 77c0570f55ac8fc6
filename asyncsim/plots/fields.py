"""A metric over one field or two, with an answer marked; over replications, and over cycles."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import ArrayLike

from asyncsim.model.units import percent, scale_of
from asyncsim.model.words import with_unresumed
from asyncsim.plots.labels import at_ends, beside, note
from asyncsim.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    WIDE,
    Floats,
    Picture,
    Scale,
    human,
    look,
    picture,
    stretch,
    thin,
)

MOST_TICKS = 8
MOST_NUMBERS = 60  # cells of a map whose values are written in
NEAR = 3.0  # values within this factor of an answer and its interval are near it
ROUNDING = 1e-6
FLAT = 0.05  # around the best value: costs this share above it
STEEP = 2.5  # the highest cost that is drawn, in multiples of the least
Answer = tuple[float | None, float | None, float | None]  # with its ends; None where there is none
REPLICATIONS = Scale("replications", "whole number")


# --- over one field or two ------------------------------------------------------------------------


class Panel(NamedTuple):
    """A metric over one field: ``x, mean, low, high`` by strategy, and the values of a grid."""

    scale: Scale
    lines: Mapping[str, pd.DataFrame]
    ticks: Mapping[float, str]


@picture
def metric_over_fields(
    drawn: Picture, title: str, panels: Sequence[Panel], scale: Scale, joined: bool
) -> str:
    """Draw a metric over fields, one beside the other; `joined` by lines where no other differs."""
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    axes = drawn.grid(rows, columns, 1.2 + 3.6 * rows)
    drawn.head(title)
    for ax, panel in zip(axes, panels, strict=False):
        _metric_over_field(ax, panel, joined)
        human(ax.yaxis, scale)
    for ax in axes[len(panels) :]:
        ax.remove()
    if not joined:  # points are everywhere
        drawn.later.append(lambda: False)
    fields = " and ".join(panel.scale.words for panel in panels)
    return f"{title}. {scale.capital} over {fields}. {_spans(panels[0].lines, scale)}."


def _spans(lines: Mapping[str, pd.DataFrame], scale: Scale) -> str:
    """Return the least and the largest mean of each strategy."""
    texts = []
    for label, table in lines.items():
        mean = table["mean"].dropna()
        ends = f"{scale.text(mean.min())} to {scale.text(mean.max())}" if len(mean) else "no value"
        texts.append(f"{label}: {ends}")
    return "; ".join(texts)


def _metric_over_field(ax: Axes, panel: Panel, joined: bool) -> None:
    """Draw a line with a band for each strategy, or points with error bars."""
    looks, ends, ticks = look(panel.lines), {}, panel.ticks
    for label, table in panel.lines.items():
        known = table.dropna(subset="mean").sort_values("x")
        x, mean = known["x"].to_numpy(), known["mean"].to_numpy()
        low, high = (known[end].fillna(known["mean"]).to_numpy() for end in ("low", "high"))
        style = looks[label]
        if joined:
            ax.plot(x, mean, label=label, **style)
            ax.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
            if len(x):
                ends[label] = mean[-1], style["color"]
        else:
            bars = [mean - low, high - mean]
            ax.errorbar(x, mean, bars, label=label, **(style | {"linestyle": ""}))
    if ticks and min(ticks) > 0 and max(ticks) / min(ticks) > WIDE:
        ax.set_xscale("log")
    human(ax.xaxis, panel.scale)
    if 0 < len(ticks) <= MOST_TICKS:
        ax.set_xticks(list(ticks), list(ticks.values()))
    if joined:
        at_ends(ax, ends)


class Map(NamedTuple):
    """A metric by two fields: rows × columns, NaN where missing, and shares never resumed."""

    values: ArrayLike
    unresumed: ArrayLike


@picture
def metric_over_two_fields(
    drawn: Picture, title: str, maps: Mapping[str, Map],
    ticks: tuple[Sequence[str], Sequence[str]], words: tuple[str, str], scale: Scale,
) -> str:  # fmt: skip
    """Draw a metric as a heat map for each strategy, with its values written in.

    `ticks` and `words` are values and names of the fields across and upwards.
    """
    columns = min(len(maps), 3 if drawn.wide else 1 if len(ticks[0]) > 5 else 2)
    rows = -(-len(maps) // columns)
    axes = drawn.grid(rows, columns, 1.2 + rows * max(2.4, 1.2 + 0.45 * len(ticks[1])))
    drawn.head(title)
    every = np.concatenate([np.asarray(one.values, dtype=float).ravel() for one in maps.values()])
    known = every[np.isfinite(every)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    norm = LogNorm(low, high) if low > 0 and high / low > WIDE else Normalize(low, high)
    for ax, (label, one) in zip(axes, maps.items(), strict=False):
        shown: Floats = np.asarray(one.values, dtype=float)
        lost: Floats = np.asarray(one.unresumed, dtype=float)
        image = ax.imshow(shown, origin="lower", aspect="auto", cmap="cividis", norm=norm)
        for axis, texts in zip((ax.xaxis, ax.yaxis), ticks, strict=True):
            step = -(-len(texts) // MOST_TICKS)
            axis.set_ticks(range(0, len(texts), step), list(texts)[::step])
        ax.set(title=label, xlabel=words[0], ylabel=words[1])
        ax.grid(False)
        most = with_unresumed(label, float(np.nanmax([*lost.flat, 0.0])), most=True)
        drawn.later.append(partial(_without_numbers, ax, most, shown.size > MOST_NUMBERS))
        for (row, column), value in np.ndenumerate(shown if shown.size <= MOST_NUMBERS else []):
            text, share = scale.text(value), float(lost[row, column])
            text += f"\n{percent(share)} never" * (share > 0)
            dark = np.isfinite(value) and norm(value) < 0.5
            ax.text(column, row, text, ha="center", va="center", color="w" if dark else "k")
    for ax in axes[len(maps) :]:
        ax.remove()
    bar = drawn.colorbar(image, ax=axes[: len(maps)], fraction=0.04, aspect=30)
    human(bar.ax.yaxis, scale)
    lines = {label: pd.DataFrame({"mean": np.ravel(one.values)}) for label, one in maps.items()}
    return f"{title}. {scale.capital} by {words[0]} and {words[1]}. {_spans(lines, scale)}."


def _without_numbers(ax: Axes, title: str, many: bool) -> bool:
    """Remove numbers that do not fit into their cells; the title then has the largest loss."""
    boxes = [text.get_window_extent() for text in ax.texts]
    if many or any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)):
        for text in list(ax.texts):
            text.remove()
        ax.set_title(title)
    return True


# --- an answer ------------------------------------------------------------------------------------


class Question(NamedTuple):
    """What is marked in the picture of an answer.

    Attributes
    ----------
    found
        The answer with the ends of its interval.
    answer, sentence
        The answer in words, and in a sentence for the alt text.
    bound
        The bound of the target, None without one.
    least
        Whether the least value of the metric is sought.
    """

    found: Answer
    answer: str
    sentence: str
    bound: float | None
    least: bool


@picture
def answer(
    drawn: Picture, title: str, lines: Mapping[str, pd.DataFrame], scales: tuple[Scale, Scale],
    asked: Question,
) -> str:  # fmt: skip
    """Draw a metric over a field, the target, and the answer with its interval.

    `lines` has ``x, mean, low, high`` by strategy, `scales` are those of the field and the metric.
    """
    (ax,) = drawn.grid(height=5.2)
    drawn.head(title)
    across, upwards = scales
    looks, every = look(lines), pd.concat(lines.values())
    ends: dict[str, tuple[float, str]] = {}
    for label, table in lines.items():
        known = table.dropna(subset="mean").sort_values("x")
        low, high = (known[end].fillna(known["mean"]) for end in ("low", "high"))
        ax.plot(known["x"], known["mean"], label=label, **looks[label])
        ax.fill_between(known["x"], low, high, color=looks[label]["color"], alpha=0.2, lw=0)
        if len(known):
            ends[label] = float(known["mean"].iloc[-1]), looks[label]["color"]
    stretch(ax, every["x"], every["mean"])
    goal, flat = "", _flat(ax, every, across) if asked.least else ""
    if not asked.least and None not in asked.found[1:]:
        ax.axvspan(*asked.found[1:], color=GREY, alpha=0.15, lw=0)  # type: ignore[arg-type]
    if (value := asked.found[0]) is not None:
        ax.axvline(value, color=GREY, lw=thin())
        top = {"xycoords": ax.get_xaxis_transform(), "xytext": (0, 0.3), "ha": "center"}
        note(ax, f"answer: {asked.answer}", (value, 1.0), GREY, va="bottom", **top)
    if asked.bound is not None:
        goal = f"target: {upwards.text(asked.bound)}"
        ax.axhline(asked.bound, color=ORANGE, lw=thin(), ls="--", label=goal)
        ends[goal] = asked.bound, ORANGE
    human(ax.xaxis, across)
    human(ax.yaxis, upwards)
    if asked.least:  # the ends of the curve are out of sight
        beside(
            ax, {label: (points_of(lines[label]), colour) for label, (_, colour) in ends.items()}
        )
    else:
        at_ends(ax, ends)
    marks = "".join(f" {mark[0].upper()}{mark[1:]}." for mark in (goal, flat) if mark)
    spans = _spans(lines, upwards)
    return f"{title}. {asked.sentence} {upwards.capital} over {across.words}. {spans}.{marks}"


def points_of(table: pd.DataFrame) -> Floats:
    """Return the points of a line."""
    return table[["x", "mean"]].to_numpy(dtype=float)


def _flat(ax: Axes, table: pd.DataFrame, scale: Scale) -> str:
    """Show how flat a curve is at its least value; return it in words."""
    known = table[np.isfinite(table["mean"])].sort_values("x")
    x, mean = known["x"].to_numpy(), known["mean"].to_numpy()
    if not len(x) or mean.min() <= 0:
        return ""
    if x[0] > 0:
        ax.set_xscale("log")
    low, high = _below(x, mean, (1 + FLAT) * mean.min())
    ends = _below(x, mean, STEEP * mean.min())
    ax.set(xlim=ends, ylim=(0, min(STEEP, 1.1 * mean.max() / mean.min()) * mean.min()))
    ax.axvspan(low, high, color=GREEN, alpha=0.18, lw=0)
    unit, size = scale_of(low)
    texts = [
        f"{end / size:.2g} {unit}" if scale.kind == "duration" else scale.text(float(f"{end:.2g}"))
        for end in (low, high)
    ]
    words = f"within {percent(FLAT)} of the best: {' to '.join(texts)}"
    middle = float(np.sqrt(low * high) if x[0] > 0 else (low + high) / 2)
    foot = {"xycoords": ax.get_xaxis_transform(), "ha": "center"}
    note(ax, words.replace(": ", ":\n"), (middle, 0.1), GREEN, **foot)
    return words


def _below(x: Floats, mean: Floats, level: float) -> tuple[float, float]:
    """Return the ends of the range around the least mean in which a curve is below a level."""
    at = np.log(x) if x[0] > 0 else x
    best, ends = int(mean.argmin()), []
    for step in (-1, 1):
        k = best
        while 0 <= k + step < len(x) and mean[k + step] <= level:
            k += step
        end = at[k]
        if 0 <= k + step < len(x):
            part = (level - mean[k]) / (mean[k + step] - mean[k])
            end += part * (at[k + step] - at[k])
        ends.append(float(np.exp(end) if x[0] > 0 else end))
    return ends[0], ends[1]


def near(table: pd.DataFrame, found: Answer) -> pd.DataFrame:
    """Return the evaluations (``x``) near an answer and its interval; all without an answer."""
    value, *ends = found
    if value is None or not (table["x"] > 0).all():
        return table
    known = [value, *(end for end in ends if end is not None)]
    return table[table["x"].between(min(known) / NEAR, max(known) * NEAR)]


# --- over replications, and over cycles -----------------------------------------------------------


@picture
def cumulative_means(
    drawn: Picture, title: str, tables: Mapping[str, tuple[pd.DataFrame, int | None]], scale: Scale
) -> str:
    """Draw the mean of the first n replications with its interval, over n, for each strategy.

    Each table has ``n, value, mean, low, high``; beside it stands the number of replications at
    which the interval was narrow enough, if it was.
    """
    rows = -(-len(tables) // 2)
    axes = drawn.grid(rows, min(len(tables), 2), 1.0 + 3.4 * rows)
    drawn.head(title)
    texts = []
    for ax, (label, (table, reached)) in zip(axes, tables.items(), strict=False):
        _cumulative_mean(ax, table, reached, scale)
        enough = "not reached" if reached is None else f"{reached} replications"
        ax.set_title(f"{label}: {enough}")
        last = table.iloc[-1]
        low, high = scale.text(last["low"]), scale.text(last["high"])
        texts.append(f"{label}: {enough}, then {low} to {high} after {last['n']:.0f}")
    for ax in axes[len(tables) :]:
        ax.remove()
    return f"{title}. {scale.capital} over the number of replications. {'; '.join(texts)}."


def _cumulative_mean(ax: Axes, table: pd.DataFrame, reached: int | None, scale: Scale) -> None:
    n, seen = table["n"], table[table["low"].notna()]
    ax.plot(n, table["value"], ".", color=GREY, alpha=0.5, label="single replications")
    ax.plot(n, table["mean"], color=BLUE, label="mean")
    ax.fill_between(seen["n"], seen["low"], seen["high"], color=BLUE, alpha=0.2, lw=0)
    # The interval of two or three values is too wide for the scale
    late = seen.loc[seen["n"] >= 5, ["low", "high"]].to_numpy(dtype=float)
    _limits(ax, np.concatenate([late.ravel(), table["value"].to_numpy(dtype=float)]))
    courses: dict[str, Any] = {
        "mean": (table[["n", "mean"]].to_numpy(), BLUE),
        "single replications": (table[["n", "value"]].to_numpy(), GREY),
    }
    if reached is not None:
        enough = "narrow enough from here"
        ax.axvline(reached, color=ORANGE, lw=thin(), ls="--", label=enough)
        heights = np.linspace(*ax.get_ylim(), 30)
        courses[enough] = np.column_stack([np.full(30, float(reached)), heights]), ORANGE
    human(ax.xaxis, REPLICATIONS)
    human(ax.yaxis, scale)
    beside(ax, courses)


@picture
def warm_up(
    drawn: Picture,
    title: str,
    series: Floats,
    smooth: Floats,
    truncated: int,
    scales: tuple[Scale, Scale],
    interval: tuple[float, float, float],
) -> str:
    """Draw a series, its moving average, the warm-up, and the estimate over the rest (Welch).

    `series` has the means per cycle, averaged over replications, `smooth` the moving average of its
    beginning; the first `truncated` cycles are the warm-up, `interval` is the estimate with its
    ends, drawn over the rest.
    """
    (ax,) = drawn.grid()
    drawn.head(title)
    cycles, scale = np.arange(1, len(series) + 1), scales[1]
    mean, low, high = interval
    ax.plot(cycles, series, ".-", color=GREY, alpha=0.5, lw=thin(), label="mean per cycle")
    ax.plot(cycles[: len(smooth)], smooth, color=BLUE, label="moving average")
    ax.set_xlim(0.5, len(series) + 0.5)
    _limits(ax, np.concatenate([series, interval]))
    courses: dict[str, Any] = {
        "mean per cycle": (np.column_stack([cycles, series]), GREY),
        "moving average": (np.column_stack([cycles[: len(smooth)], smooth]), BLUE),
    }
    end = "no estimate"
    if np.isfinite(mean):
        rest = cycles[truncated:]
        end = f"estimate: {scale.text(mean)}"
        ax.plot(rest, np.full(len(rest), mean), color=GREEN, ls="--", label=end)
        courses[end] = np.column_stack([rest, np.full(len(rest), mean)]), GREEN
        if np.isfinite([low, high]).all():
            ax.fill_between(rest, low, high, color=GREEN, alpha=0.2, lw=0)
            end += f" ({scale.text(low)} to {scale.text(high)})"
    if truncated:
        ax.axvspan(0.5, truncated + 0.5, color=ORANGE, alpha=0.15, lw=0, label="warm-up")
        heights = np.linspace(*ax.get_ylim(), 20)
        courses["warm-up"] = np.column_stack([np.full(20, truncated / 2 + 0.5), heights]), ORANGE
    human(ax.xaxis, scales[0])
    human(ax.yaxis, scale)
    beside(ax, courses)
    first = f"the first {truncated} are the warm-up" if truncated else "without a warm-up"
    return f"{title}. {scale.capital} over {len(series)} cycles, {first}; {end}."


def _limits(ax: Axes, shown: Floats) -> None:
    """Set limits of the y axis; a constant gets a wide range, so that rounding is invisible."""
    shown = shown[np.isfinite(shown)]
    if len(shown):
        low, high = float(shown.min()), float(shown.max())
        alike = high - low <= ROUNDING * abs(high)
        room = (abs(high) / 2 or 1.0) if alike else 0.12 * (high - low)
        ax.set_ylim(low - room, high + room)
