"""Style: colours, names, time axes, and the functions of the package."""

import io
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from plots.looks import assert_readable, labels, ticks

from asyncsim import plots
from asyncsim.capacity.tradeoffs import USUAL
from asyncsim.plots import scales, style
from asyncsim.plots.labels import dark
from asyncsim.plots.style import COLOURS, look


def test_strategies_differ_by_more_than_colour():
    """All strategies that a frontier compares by default have their own colour and marker."""
    looks = look([strategy.label for strategy in USUAL])
    for part in ("color", "marker"):
        assert len({style[part] for style in looks.values()}) == len(USUAL)
    assert len(set(COLOURS)) == len(COLOURS)


@pytest.mark.parametrize("name", ["cost $^$ x", r"$\frac b$", "5 $ and 6 $", "a_b^c", "%s {}"])
def test_a_name_is_not_a_formula(name):
    """Dollar signs in names are drawn as they are."""
    line = pd.DataFrame({"x": [1, 1000], "mean": [1.0, 2000.0], "low": 1.0, "high": 2000.0})
    panel = plots.Panel(plots.Scale(name), {name: line, "b": line / 2}, {1: name, 1000: "b"})
    picture = plots.metric_over_fields("page", name, [panel], plots.Scale(name, name), True)
    picture.savefig(io.BytesIO())
    shown = [text for text in picture.findobj(Text) if text.get_text() == name]
    assert len(shown) >= 5
    assert not any(text.get_parse_math() for text in shown)


KINDS = ("duration", "number", "whole number", "share", "EUR", "clock")


@pytest.mark.parametrize("low", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("high", [1.5, 97.0, 3600.0, 86400.0, 3e6, 1e9, 2.5e11])
def test_an_axis_has_a_few_ticks_however_long_it_is(low, high):
    """Within its range, each with a text of its own, even for eight thousand years."""
    ax = style.Picture("page").subplots()
    for kind, scale in itertools.product(KINDS, ("linear", "log") if low else ("linear",)):
        ax.set(xscale=scale, xlim=(low, high))
        scales.human(ax.xaxis, scales.Scale("x", kind))
        ticks = ax.get_xticks()
        assert 2 <= len(ticks) <= 12 or (kind == "whole number" and high < 2)
        assert (ticks >= low - 1e-6 * (high - low)).all()
        assert (ticks <= high + 1e-6 * (high - low)).all()
        texts = [label.get_text() for label in ax.get_xticklabels()]
        assert kind == "clock" or len(set(texts)) == len(ticks)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("duration", 0.0, "0 s"), ("duration", 450.0, "7.5 min"), ("duration", 0.07, "70 ms"),
        ("duration", math.inf, "infinite"), ("share", 0.95, "95 %"), ("EUR", 0.5, "0.5 EUR"),
        ("clock", 79200.0, "22:00"), ("number", 12000.0, "12,000"), ("/h", 300.0, "300/h"),
    ],
)  # fmt: skip
def test_values_have_human_units(kind, value, text):
    """Durations, shares, money and clock times."""
    assert scales.Scale("x", kind).text(value) == text


@pytest.mark.parametrize(
    ("low", "high", "least", "unit"), [(58.5, 61.5, 58.8, "s"), (0.0, 7200.0, 15.0, "min")]
)
def test_ticks_of_an_axis_do_not_mix_units(low, high, least, unit):
    """Near a change of unit, ticks of more than it would have decimals."""
    ax = style.Picture("page").subplots()
    ax.set(xlim=(low, high))
    scales.human(ax.xaxis, scales.Scale("x", "duration"))
    numbers, units = zip(*(text.split() for text in ticks(ax.xaxis)), strict=True)
    assert set(units) == {unit}
    assert min(float(number) for number in numbers if number != "0") == least
    whole = scales.Scale("x", "duration").texts([0.0, 1800.0, 3600.0, 7200.0])
    assert whole == ["0 s", "30 min", "1 h", "2 h"]


@pytest.mark.parametrize("colour", COLOURS)
def test_labels_can_be_read_on_white(colour):
    """Contrast of at least 4.5, as WCAG 2 asks of text."""
    rgb = np.array(to_rgb(dark(colour)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (0.05 + np.array([0.2126, 0.7152, 0.0722]) @ linear) >= 4.5


def test_labels_that_do_not_fit_make_a_legend():
    """Eleven lines are too many; two that end at one place are spread."""
    line = pd.DataFrame({"x": [1.0, 2.0], "mean": [1.0, 2.0], "low": 1.0, "high": 2.0})
    for n, legend in ((2, False), (11, True)):
        lines = {f"line {k}": line for k in range(n)}
        panel = plots.Panel(plots.Scale("x"), lines, {})
        picture = plots.metric_over_fields("page", "t", [panel], plots.Scale("y"), True)
        assert_readable(picture)
        assert bool(picture.legends) == legend
        assert labels(picture.axes[0]) == ([] if legend else list(lines))


def test_every_function_is_available_by_its_name():
    """Modules are imported on demand; none of them may have the name of a function."""
    assert all(hasattr(plots, name) for name in plots.__all__)
    assert not set(plots.MODULES) & set(plots.__all__)
    with pytest.raises(AttributeError, match="no attribute 'timelin'"):
        plots.timelin  # noqa: B018
