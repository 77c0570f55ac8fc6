"""From the table of a sweep to its figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from asyncsim import plots
from asyncsim.study.points import reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(
    table: pd.DataFrame, names: Sequence[str], strategies: Sequence[str], title: str, sampled: bool
) -> Figure:
    """Draw one figure of a sweep: lines, heat maps, or points over each field.

    Parameters
    ----------
    table
        Rows of one figure, as in `Sweep.table`; ``unresumed``, the share of waits that
        never resumed.
    names, strategies
        The swept fields, and labels.
    sampled
        Whether the points are those of a sample rather than of a grid.
    """
    if len(names) == 2 and not sampled:
        figure = _maps(table, names, strategies)
    else:
        joined = len(names) == 1
        figure, axes = plots.figure(len(names))
        for ax, name in zip(axes, names, strict=True):
            places = _places(table[name].tolist())
            shown = table.assign(x=[places[repr(value)][0] for value in table[name]])
            lines = {label: shown[shown["strategy"] == label] for label in strategies}
            ticks = _ticks(places, sampled)
            plots.figure_over_field(lines, name, _ylabel(table), ax, ticks, joined)
        most = table.groupby("strategy")["unresumed"].max()
        varies = table.groupby("strategy")["unresumed"].nunique() > 1
        texts = {s: plots.with_unresumed(s, most[s], bool(varies[s])) for s in strategies}
        plots.shared_legend(figure, strategies, texts)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _maps(table: pd.DataFrame, names: Sequence[str], strategies: Sequence[str]) -> Figure:
    across, upwards = names
    figure, axes = plots.figure(len(strategies))
    means = table["mean"].to_numpy()
    known = means[np.isfinite(means)]
    span = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    places = [_places(table[name].tolist()) for name in names]
    order = [sorted(found, key=found.__getitem__) for found in places]
    for ax, label in zip(axes, strategies, strict=True):
        values = np.full((len(order[1]), len(order[0])), np.nan)
        unresumed = values.copy()
        part = table[table["strategy"] == label]
        columns = [part[name] for name in (across, upwards, "mean", "unresumed")]
        for x, y, mean, share in zip(*columns, strict=True):
            place = order[1].index(repr(y)), order[0].index(repr(x))
            values[place], unresumed[place] = mean, share
        texts = [
            [found[value][1] for value in row] for found, row in zip(places, order, strict=True)
        ]
        image = plots.figure_over_two_fields(
            values, texts[0], texts[1], (label, across, upwards), span, ax, unresumed
        )
    figure.colorbar(image, ax=axes, label=_ylabel(table))
    return figure


def _places(values: Sequence[Any]) -> dict[str, tuple[float, str]]:
    """Return place on the axis and text of every value: numbers to scale, others one by one."""
    different = {repr(value): value for value in values}
    readings = [reading(value) for value in different.values()]
    scales = {found.scale if found else "" for found in readings}
    to_scale = "" not in scales and (len(scales) == 1 or scales <= {"number", "whole number"})
    return {
        key: (found.figure if found and to_scale else float(k), _brief(str(value)))
        for k, ((key, value), found) in enumerate(zip(different.items(), readings, strict=True))
    }


def _brief(text: str) -> str:
    """Return a value as an axis has room for it: whole objects may be swept, too."""
    return textwrap.fill(textwrap.shorten(text, 60, placeholder=" …"), 22) if " " in text else text


def _ticks(places: dict[str, tuple[float, str]], sampled: bool) -> dict[float, str] | None:
    """Return what is written at the x axis: the values of a grid, some clock times of a sample."""
    written = dict(places.values())
    if not sampled:
        return written
    first = reading(next(iter(written.values())))
    if first is None or first.scale != "clock time":
        return None
    return {x: first.back(x)[:5] for x in np.linspace(min(written), max(written), 4).tolist()}


def _ylabel(table: pd.DataFrame) -> str:
    lossy = bool((table["unresumed"] > 0).any())
    return plots.heading(str(table["figure"].iloc[0]), str(table["unit"].iloc[0]), lossy)
