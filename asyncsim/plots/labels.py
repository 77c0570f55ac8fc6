"""Labels beside what they name: at the ends of lines, along them, or at points.

A label gets the free place that is nearest; where labels do not fit, a legend below the picture has
them all (`Picture.finish`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from numpy.typing import ArrayLike, NDArray

from asyncsim.plots.style import Floats, Picture, font_size, wrapped

MOST = 10  # labels of a picture; more make a legend
WIDTH = 26  # characters of a line of a label
GAP, POINT_GAP = 0.5, 0.7  # between a label and a line or point that it names, in font sizes
STEP = 0.2  # font sizes between the points of a line that labels avoid
MOST_COVERED = 14  # of these points, about two lines: a label that covers more makes a legend
DARKEST = 0.16  # luminance of the text of a label: contrast 5 on white
SIDES = ((1, 0), (1, -1), (1, 1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1))
TAKEN = 1e6  # the cost of a place on another label, or outside of the axes

Flags = NDArray[np.bool_]
Ends = Mapping[str, tuple[float, str]]
"""Height and colour of the end of a line, by label."""
Courses = Mapping[str, tuple[ArrayLike, str]]
"""Points (n, 2) beside which a label may stand, and its colour, by label."""


def dark(colour: str) -> str | tuple[float, ...]:
    """Return a colour that can be read as text on white."""
    rgb = np.array(to_rgb(colour))
    luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ rgb**2.2)
    return tuple(map(float, rgb * min(1.0, (DARKEST / max(luminance, 1e-9)) ** (1 / 2.2))))


def note(
    ax: Axes, text: str, xy: tuple[float, float], colour: str, **options: object
) -> Annotation:
    """Write a text at a point, with a white rim so that lines do not disturb it."""
    rim = [withStroke(linewidth=3, foreground="white")]
    place: dict[str, Any] = {"xytext": (0, 0), "textcoords": "offset fontsize", "va": "center"}
    return ax.annotate(
        text, xy, color=dark(colour), path_effects=rim, annotation_clip=False, **(place | options)
    )


def _label(ax: Axes, text: str, xy: tuple[float, float], colour: str, **options: Any) -> Annotation:
    """Write a label that a legend may replace."""
    label = note(ax, wrapped(text, WIDTH), xy, colour, **options)
    cast(Picture, ax.figure).labels.append(label)
    return label


def _later(ax: Axes, place: partial[bool]) -> None:
    cast(Picture, ax.figure).later.append(place)


def at_ends(ax: Axes, ends: Ends) -> None:
    """Label lines at their right ends, outside of the axes."""
    if len(ends) > MOST:
        _later(ax, partial(bool, False))
        return
    texts = [
        _label(ax, text, (1.0, y), colour, xycoords=ax.get_yaxis_transform(), xytext=(GAP, 0))
        for text, (y, colour) in ends.items()
    ]
    _later(ax, partial(_spread, ax, texts))


def _spread(ax: Axes, texts: list[Annotation]) -> bool:
    """Move texts up and down until none overlaps another; return whether there is room."""
    room = ax.bbox
    heights = np.array([text.get_window_extent().height + 2 for text in texts])
    at = np.array([ax.transData.transform((1.0, text.xy[1]))[1] for text in texts])
    at = np.clip(np.nan_to_num(at, nan=room.y0), room.y0, room.y1)
    order = np.argsort(at, kind="stable")
    gaps = (heights[order][1:] + heights[order][:-1]) / 2
    above = np.concatenate([[0.0], np.cumsum(gaps)])
    if above[-1] > room.height:
        return False
    moved = scipy.optimize.isotonic_regression(at[order] - above).x
    moved = np.clip(moved, room.y0, room.y1 - above[-1]) + above
    for k, y in zip(order, moved, strict=True):
        texts[k].set_y((y - ax.transData.transform((1.0, texts[k].xy[1]))[1]) / font_size(ax))
    return True


def beside(ax: Axes, courses: Courses) -> None:
    """Label points, or lines somewhere along their course, within the axes."""
    _later(ax, partial(_place, ax, courses) if len(courses) <= MOST else partial(bool, False))


def _place(ax: Axes, courses: Courses) -> bool:
    """Write each label where it covers the least; return whether all have found a place."""
    lines = _pixels(ax, STEP * font_size(ax))
    taken = [np.array(text.get_window_extent().extents) for text in ax.texts]
    for text, (points, colour) in courses.items():
        at = np.asarray(points, dtype=float).reshape(-1, 2)
        shown = ax.transData.transform(at)
        inside = np.isfinite(shown).all(axis=1)
        inside &= ~_outside(np.hstack([shown, shown]), np.array(ax.bbox.padded(1).extents))
        if not inside.any():
            return False
        at, shown = at[inside], shown[inside]
        found = _label(ax, text, at[0], colour, ha="center")
        box, size = found.get_window_extent(), font_size(ax)
        half = np.array([box.width, box.height]) / 2
        steps = np.array(SIDES) * (half + (GAP if len(at) > 1 else POINT_GAP) * size)
        middles = (shown[:, None] + steps[None]).reshape(-1, 2)
        boxes = np.concatenate([middles - half, middles + half], axis=1)
        cost = _covered(boxes, lines) + np.tile(np.arange(len(SIDES)) / 10, len(shown))
        cost += TAKEN * (_overlaps(boxes, taken) | _outside(boxes, np.array(ax.bbox.extents)))
        best = int(cost.argmin())
        if cost[best] >= MOST_COVERED:
            return False
        found.xy = tuple(at[best // len(SIDES)])
        found.set_position(tuple(steps[best % len(SIDES)] / size))
        found.set_multialignment(("center", "left", "right")[SIDES[best % len(SIDES)][0]])
        taken.append(boxes[best])
    return True


def without_overlaps(ax: Axes) -> bool:
    """Remove texts that overlap an earlier one; always True, because no legend has them."""
    kept: list[Floats] = []
    for text in list(ax.texts):
        box = np.array(text.get_window_extent().extents)
        if _overlaps(box[None], kept).any():
            text.remove()
        else:
            kept.append(box)
    return True


def _pixels(ax: Axes, step: float) -> Floats:
    """Return points of all lines and marks of some axes, in pixels, `step` apart."""
    found = [np.empty((0, 2))]
    for line in ax.get_lines():
        x, y = STEP_LOOKUP_MAP[line.get_drawstyle()](*line.get_data())
        shown = line.get_transform().transform(np.column_stack([x, y]).astype(float))
        shown = shown[np.isfinite(shown).all(axis=1)]
        found.append(shown)
        if line.get_marker() not in ("None", "", None):
            half = line.get_markersize() * ax.figure.dpi / 72 / 2
            found += [shown + half * np.array(side) for side in SIDES]
        if line.get_linestyle() == "None":
            continue
        for a, b in itertools.pairwise(shown):
            n = min(int(np.abs(b - a).max() / step), 1000)
            if n > 1:
                found.append(a + (b - a) * np.linspace(0, 1, n, endpoint=False)[:, None])
    return np.unique(np.round(np.concatenate(found) / step), axis=0) * step


def _covered(boxes: Floats, points: Floats) -> Floats:
    """Return how many points each box covers."""
    x, y = points.T
    low, high = boxes[:, :2, None], boxes[:, 2:, None]
    inside = (low[:, 0] <= x) & (x <= high[:, 0]) & (low[:, 1] <= y) & (y <= high[:, 1])
    return np.asarray(inside.sum(axis=1), dtype=float)


def _overlaps(boxes: Floats, others: list[Floats]) -> Flags:
    result = np.zeros(len(boxes), dtype=bool)
    for x0, y0, x1, y1 in others:
        apart = (boxes[:, 2] < x0) | (boxes[:, 0] > x1) | (boxes[:, 3] < y0) | (boxes[:, 1] > y1)
        result |= ~apart
    return result


def _outside(boxes: Floats, room: Floats) -> Flags:
    out = np.concatenate([boxes[:, :2] < room[:2], boxes[:, 2:] > room[2:]], axis=1)
    return np.asarray(out.any(axis=1), dtype=bool)
