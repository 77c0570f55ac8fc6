"""Labels beside the lines, points and spans that they name.

A label gets the free place that is nearest; where labels do not fit, a legend below the picture has
them all (`Picture.finish`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.colors import to_rgb
from matplotlib.container import Container
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from asyncsim.plots.scales import Scale, font_size, human
from asyncsim.plots.style import Floats, Picture, wrapped

MOST = 10  # labels of axes; more make a legend
WIDTH = 26  # characters of a line of a label
PLACES = 40  # points of a line at which its label may stand
GAP = 0.6  # between a label and what it names, in font sizes
STEP = 0.2  # font sizes between the points of a line that labels avoid
FINEST = 10_000  # such points of a line at most
MOST_COVERED = 14  # of these points, about two lines: a label that covers more makes a legend
NEAR = 1.5  # font sizes to another line, within which a label might be of either
DOUBT = 30.0  # the cost of a place on another line; it falls to zero at this distance
DARKEST = 0.16  # luminance of the text of a label: contrast 5 on white
SIDES = ((1, 0), (1, -1), (1, 1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1))


def dark(colour: Any) -> tuple[float, ...]:
    """Return a colour that can be read as text on white."""
    rgb = np.array(to_rgb(colour))
    luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ rgb**2.2)
    return tuple(map(float, rgb * min(1.0, (DARKEST / max(luminance, 1e-9)) ** (1 / 2.2))))


def note(
    ax: Axes, text: str, xy: tuple[float, float], colour: Any, **options: object
) -> Annotation:
    """Write a text at a point, with a white rim so that lines do not disturb it."""
    rim = [withStroke(linewidth=3, foreground="white")]
    place: dict[str, Any] = {"xytext": (0, 0), "textcoords": "offset fontsize", "va": "center"}
    return ax.annotate(
        text, xy, color=dark(colour), path_effects=rim, annotation_clip=False, **(place | options)
    )


def label_all(ax: Axes, across: Scale, upwards: Scale, legend: bool = False) -> None:
    """Label the axes and their ticks, and what is drawn: beside it, or in a `legend`."""
    human(ax.xaxis, across)
    human(ax.yaxis, upwards)
    cast(Picture, ax.figure).later.append(partial(bool, False) if legend else partial(_beside, ax))


def _beside(ax: Axes) -> bool:
    """Write all labels of some axes beside what they name; return whether there is room."""
    handles, texts = ax.get_legend_handles_labels()
    if len(texts) > MOST:
        return False
    artists: list[Any] = [one[0] if isinstance(one, Container) else one for one in handles]
    courses = [_course(one) for one in artists]
    step = STEP * font_size(ax)
    marks = _joined([part(line) for line in ax.get_lines() for part in (_course, _corners)])
    marks = np.unique(np.round(marks / step), axis=0) * step
    taken = [text.get_window_extent() for text in ax.texts]
    for k, (artist, text) in enumerate(zip(artists, texts, strict=True)):
        colour = artist.get_facecolor() if isinstance(artist, Patch) else artist.get_color()
        found = note(ax, wrapped(text, WIDTH), (0, 0), colour, ha="center")
        cast(Picture, ax.figure).labels.append(found)
        others = _joined(courses[:k] + courses[k + 1 :])
        box = _place(found, courses[k], others, marks, taken)
        if box is None:
            return False
        taken.append(box)
    return True


def _place(
    found: Annotation, course: Floats, others: Floats, marks: Floats, taken: list[Bbox]
) -> Bbox | None:
    """Move a label to where it covers the fewest marks; return its box, or None without a place."""
    ax, box = cast(Axes, found.axes), found.get_window_extent()
    size, half = font_size(ax), np.array([box.width, box.height]) / 2
    course = course[[ax.bbox.contains(x, y) for x, y in course]]
    course = course[:: len(course) // PLACES + 1]
    apart = np.abs(course[:, None] - others).max(axis=2).min(axis=1, initial=np.inf)
    doubts = DOUBT * np.clip(1 - apart / (NEAR * size), 0, 1)
    chosen, least = None, np.inf
    for point, doubt in zip(course, doubts, strict=True):
        for rank, side in enumerate(SIDES):
            middle = point + np.array(side) * (half + GAP * size)
            place = Bbox([middle - half, middle + half])
            free = ax.bbox.contains(*place.min) and ax.bbox.contains(*place.max)
            if not free or any(place.overlaps(other) for other in taken):
                continue
            covered = place.count_contains(marks)
            cost = doubt + covered + rank / 10
            if covered < MOST_COVERED and cost < least:
                chosen, least = place, cost
                found.xy = tuple(ax.transData.inverted().transform(point))
                found.set_position(tuple((middle - point) / size))
                found.set_multialignment(("center", "left", "right")[side[0]])
    return chosen


def without_overlaps(ax: Axes) -> bool:
    """Remove texts that overlap an earlier one; always True, because no legend has them."""
    kept: list[Bbox] = []
    for text in list(ax.texts):
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            text.remove()
        else:
            kept.append(box)
    return True


def _course(artist: Line2D | Patch) -> Floats:
    """Return points along a line, single marks, or the middle of a span, in pixels."""
    if isinstance(artist, Patch):
        box = artist.get_window_extent()
        middle = (box.x0 + box.x1) / 2
        return np.linspace((middle, box.y0), (middle, box.y1), PLACES)
    corners = _points(artist)
    if artist.get_linestyle() == "None" or len(corners) < 2:
        return corners
    x, y = corners.T
    length = np.append(0.0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    step = STEP * font_size(cast(Axes, artist.axes))
    at = np.linspace(0, length[-1], min(int(length[-1] / step), FINEST) + 1)
    return np.column_stack([np.interp(at, length, x), np.interp(at, length, y)])


def _points(line: Line2D) -> Floats:
    """Return the corners of a line that are known, in pixels."""
    x, y = STEP_LOOKUP_MAP[line.get_drawstyle()](*line.get_data(orig=False))
    shown: Floats = line.get_transform().transform(np.column_stack([x, y]).astype(float))
    return shown[np.isfinite(shown).all(axis=1)]


def _corners(line: Line2D) -> Floats:
    """Return the corners of the marks of a line, in pixels."""
    if line.get_marker() in ("None", "", None):
        return np.empty((0, 2))
    half = line.get_markersize() * cast(Picture, line.figure).dpi / 72 / 2
    return _joined([_points(line) + half * np.array(side) for side in SIDES])


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate([np.empty((0, 2)), *parts])
