"""A metric over one field or two, with an answer marked; over replications, and over cycles."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from asyncsim.model.units import percent, scale_of
from asyncsim.model.words import with_unresumed
from asyncsim.plots.labels import label_all, note
from asyncsim.plots.scales import WIDE, Scale, human, stretch
from asyncsim.plots.style import BLUE, GREEN, GREY, ORANGE, Floats, Picture, look, picture, thin

MOST_TICKS = 8
MOST_NUMBERS = 60  # cells of a map whose values are written in
NEAR = 3.0  # values within this factor of an answer and its interval are near it
ROUNDING = 1e-6
FLAT = 0.05  # around the best value: costs this share above it
STEEP = 2.5  # the highest cost that is drawn, in multiples of the least
Answer = tuple[float | None, float | None, float | None]  # with its ends; None where there is none


# --- over one field or two ------------------------------------------------------------------------


class Panel(NamedTuple):
    """A metric over one field: ``x, mean, low, high`` by strategy, and the values of a grid."""

    scale: Scale
    lines: Mapping[str, pd.DataFrame]
    ticks: Mapping[float, str]


@picture
def metric_over_fields(drawn: Picture, panels: Sequence[Panel], scale: Scale, joined: bool) -> str:
    """Draw a metric over fields, one beside the other; `joined` by lines where no other differs."""
    for ax, panel in zip(drawn.grid(len(panels), 2), panels, strict=True):
        _metric_over_field(ax, panel.lines, joined)
        places = list(panel.ticks)
        stretch(ax, places, [])
        label_all(ax, panel.scale, scale, legend=not joined)  # points are everywhere
        if 0 < len(places) <= MOST_TICKS:
            ax.set_xticks(places, list(panel.ticks.values()))
    fields = " and ".join(panel.scale.words for panel in panels)
    return f"{scale.capital} over {fields}. {_spans(panels[0].lines, scale)}."


def _spans(lines: Mapping[str, pd.DataFrame], scale: Scale) -> str:
    """Return the least and the largest mean of each strategy."""
    texts = []
    for label, table in lines.items():
        mean = table["mean"].dropna()
        ends = f"{scale.text(mean.min())} to {scale.text(mean.max())}" if len(mean) else "no value"
        texts.append(f"{label}: {ends}")
    return "; ".join(texts)


def _metric_over_field(ax: Axes, lines: Mapping[str, pd.DataFrame], joined: bool = True) -> None:
    """Draw a line with a band for each strategy, or points with error bars."""
    looks = look(lines)
    for label, table in lines.items():
        known = table.dropna(subset="mean").sort_values("x")
        x, mean = known["x"], known["mean"]
        low, high = known["low"].fillna(mean), known["high"].fillna(mean)
        if joined:
            ax.plot(x, mean, label=label, **looks[label])
            ax.fill_between(x, low, high, color=looks[label]["color"], alpha=0.2, lw=0)
        else:
            style = looks[label] | {"linestyle": ""}
            errors = np.array([mean - low, high - mean])
            ax.errorbar(x, mean, errors, label=label, **style)


@picture
def metric_over_two_fields(
    drawn: Picture, maps: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], words: tuple[str, str],
    scale: Scale,
) -> str:  # fmt: skip
    """Draw a metric as a heat map for each strategy, with its values written in.

    `maps` has the metric (rows upwards × columns across, NaN where missing) and the shares that
    never resumed; `words` are the names of the fields across and upwards.
    """
    example = next(iter(maps.values()))[0]
    columns = 3 if drawn.wide else 1 if example.shape[1] > 5 else 2
    axes = drawn.grid(len(maps), columns, max(2.4, 1.2 + 0.45 * len(example)))
    every = np.concatenate([np.ravel(values) for values, _ in maps.values()])
    known = every[np.isfinite(every)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    norm = LogNorm(low, high) if low > 0 and high / low > WIDE else Normalize(low, high)
    for ax, (label, (values, lost)) in zip(axes, maps.items(), strict=True):
        image = ax.imshow(values, origin="lower", aspect="auto", cmap="cividis", norm=norm)
        for axis, texts in ((ax.xaxis, values.columns), (ax.yaxis, values.index)):
            step = -(-len(texts) // MOST_TICKS)
            axis.set_ticks(range(0, len(texts), step), list(texts[::step]))
        ax.set(title=label, xlabel=words[0], ylabel=words[1])
        ax.grid(False)
        most = with_unresumed(label, np.nanmax([*np.ravel(lost), 0.0]), most=True)
        drawn.later.append(partial(_without_numbers, ax, most))
        shares = lost.to_numpy(dtype=float)
        for (row, column), value in np.ndenumerate(values if values.size <= MOST_NUMBERS else []):
            share = float(shares[row, column])
            text = scale.text(value) + f"\n{percent(share)} never" * (share > 0)
            colour = "w" if np.isfinite(value) and norm(value) < 0.5 else "k"
            ax.text(column, row, text, ha="center", va="center", color=colour)
    bar = drawn.colorbar(image, ax=axes, fraction=0.04, aspect=30)
    human(bar.ax.yaxis, scale)
    lines = {label: values.melt(value_name="mean") for label, (values, _) in maps.items()}
    return f"{scale.capital} by {words[0]} and {words[1]}. {_spans(lines, scale)}."


def _without_numbers(ax: Axes, title: str) -> bool:
    """Remove numbers that do not fit into their cells; the title then has the largest loss."""
    boxes = [text.get_window_extent() for text in ax.texts]
    if not boxes or any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)):
        for text in list(ax.texts):
            text.remove()
        ax.set_title(title)
    return True


# --- an answer ------------------------------------------------------------------------------------


class Question(NamedTuple):
    """What is marked in the picture of an answer."""

    found: Answer
    answer: str  # in words
    sentence: str  # for those who do not see the picture
    bound: float | None  # of the target, None without one
    least: bool  # whether the least value of the metric is sought


@picture
def answer(
    drawn: Picture, lines: Mapping[str, pd.DataFrame], scales: tuple[Scale, Scale], asked: Question
) -> str:
    """Draw a metric over a field, the target, and the answer with its interval.

    `lines` has ``x, mean, low, high`` by strategy, `scales` are those of the field and the metric.
    """
    (ax,) = drawn.grid(row=4)
    across, upwards = scales
    every = pd.concat(lines.values())
    _metric_over_field(ax, lines)
    stretch(ax, every["x"], every["mean"])
    value, *ends = asked.found
    marks = []
    if value is not None:
        ax.axvline(value, color=GREY, lw=thin())
        top = {"xycoords": ax.get_xaxis_transform(), "xytext": (0, 0.3), "ha": "center"}
        note(ax, f"answer: {asked.answer}", (value, 1.0), GREY, va="bottom", **top)
    if asked.bound is not None:
        marks = [f"target: {upwards.text(asked.bound)}"]
        ax.axhline(asked.bound, color=ORANGE, lw=thin(), ls="--", label=marks[0])
    if asked.least:
        marks += _flat(ax, every, across)
    elif ends[0] is not None and ends[1] is not None:
        ax.axvspan(ends[0], ends[1], color=GREY, alpha=0.15, lw=0)
    label_all(ax, across, upwards)
    said = "".join(f" {mark[0].upper()}{mark[1:]}." for mark in marks)
    return (
        f"{asked.sentence} {upwards.capital} over {across.words}. {_spans(lines, upwards)}.{said}"
    )


def _flat(ax: Axes, table: pd.DataFrame, scale: Scale) -> list[str]:
    """Show how flat a curve is at its least value; return it in words, if there is such a value."""
    known = table[np.isfinite(table["mean"])].sort_values("x")
    x, mean = known["x"].to_numpy(), known["mean"].to_numpy()
    if not len(x) or mean.min() <= 0:
        return []
    if x[0] > 0:
        ax.set_xscale("log")
    low, high = _below(x, mean, (1 + FLAT) * mean.min())
    ends = _below(x, mean, STEEP * mean.min())
    ax.set(xlim=ends, ylim=(0, min(STEEP * mean.min(), 1.1 * mean.max())))
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
    return [words]


def _below(x: Floats, mean: Floats, level: float) -> tuple[float, float]:
    """Return the ends of the range around the least mean in which a curve is below a level."""
    at, best = np.log(x) if x[0] > 0 else x, int(mean.argmin())
    ends = []
    for side in (slice(best, None, -1), slice(best, None)):
        along, height = at[side], mean[side]
        above = np.flatnonzero(height > level)[:1]
        last = above[0] if len(above) else len(along)
        both = slice(last - 1, last + 1)  # the last point below the level, and the first above it
        end = np.interp(level, height[both], along[both])
        ends.append(float(np.exp(end) if x[0] > 0 else end))
    return ends[0], ends[1]


def near(table: pd.DataFrame, found: Answer) -> pd.DataFrame:
    """Return the evaluations (``x``) near an answer and its interval; all without an answer."""
    if found[0] is None or not (table["x"] > 0).all():
        return table
    known = [value for value in found if value is not None]
    return table[table["x"].between(min(known) / NEAR, max(known) * NEAR)]


# --- over replications, and over cycles -----------------------------------------------------------


@picture
def cumulative_means(
    drawn: Picture, tables: Mapping[str, tuple[pd.DataFrame, int | None]], scale: Scale
) -> str:
    """Draw the mean of the first n replications with its interval, over n, for each strategy.

    Each table has ``n, value, mean, low, high``; beside it stands the number of replications at
    which the interval was narrow enough, if it was.
    """
    texts = []
    for ax, (label, (table, reached)) in zip(
        drawn.grid(len(tables), 2), tables.items(), strict=True
    ):
        _cumulative_mean(ax, table, reached, scale)
        enough = "not reached" if reached is None else f"{reached} replications"
        ax.set_title(f"{label}: {enough}")
        last = table.iloc[-1]
        low, high = scale.text(last["low"]), scale.text(last["high"])
        texts.append(f"{label}: {enough}, then {low} to {high} after {last['n']:.0f}")
    return f"{scale.capital} over the number of replications. {'; '.join(texts)}."


def _cumulative_mean(ax: Axes, table: pd.DataFrame, reached: int | None, scale: Scale) -> None:
    n, seen = table["n"], table[table["low"].notna()]
    ax.plot(n, table["value"], ".", color=GREY, alpha=0.5, label="single replications")
    ax.plot(n, table["mean"], color=BLUE, label="mean")
    ax.fill_between(seen["n"], seen["low"], seen["high"], color=BLUE, alpha=0.2, lw=0)
    # The interval of two or three values is too wide for the scale
    late = seen[seen["n"] >= 5]
    _limits(ax, [*late["low"], *late["high"], *table["value"]])
    if reached is not None:
        enough = "narrow enough from here"
        ax.axvline(reached, color=ORANGE, lw=thin(), ls="--", label=enough)
    label_all(ax, Scale("replications", "whole number"), scale)


@picture
def warm_up(
    drawn: Picture, series: Floats, smooth: Floats, truncated: int, scales: tuple[Scale, Scale],
    interval: tuple[float, float, float],
) -> str:  # fmt: skip
    """Draw a series, its moving average, the warm-up, and the estimate over the rest (Welch).

    `series` has the means per cycle, averaged over replications, `smooth` the moving average of its
    beginning; the first `truncated` cycles are the warm-up, `interval` is the estimate with its
    ends, drawn over the rest.
    """
    (ax,) = drawn.grid()
    cycles, scale = np.arange(1, len(series) + 1), scales[1]
    mean, low, high = interval
    ax.plot(cycles, series, ".-", color=GREY, alpha=0.5, lw=thin(), label="mean per cycle")
    ax.plot(cycles[: len(smooth)], smooth, color=BLUE, label="moving average")
    ax.set_xlim(0.5, len(series) + 0.5)
    _limits(ax, [*series, *interval])
    end = "no estimate"
    if np.isfinite(mean):
        rest = cycles[truncated:]
        end = f"estimate: {scale.text(mean)}"
        ax.plot(rest, np.full(len(rest), mean), color=GREEN, ls="--", label=end)
        if np.isfinite([low, high]).all():
            ax.fill_between(rest, low, high, color=GREEN, alpha=0.2, lw=0)
            end += f" ({scale.text(low)} to {scale.text(high)})"
    if truncated:
        ax.axvspan(0.5, truncated + 0.5, color=ORANGE, alpha=0.15, lw=0, label="warm-up")
    label_all(ax, *scales)
    first = f"the first {truncated} are the warm-up" if truncated else "without a warm-up"
    return f"{scale.capital} over {len(series)} cycles, {first}; {end}."


def _limits(ax: Axes, values: Sequence[float]) -> None:
    """Set limits of the y axis; a constant gets a wide range, so that rounding is invisible."""
    shown = np.array(values)[np.isfinite(values)]
    if len(shown):
        low, high = float(shown.min()), float(shown.max())
        alike = high - low <= ROUNDING * abs(high)
        room = (abs(high) / 2 or 1.0) if alike else 0.12 * (high - low)
        ax.set_ylim(low - room, high + room)
