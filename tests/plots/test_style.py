"""Style: colours, names, time axes, and the functions of the package."""

import io

import pytest
from matplotlib.text import Text

from asyncsim import plots
from asyncsim.capacity.tradeoffs import USUAL
from asyncsim.plots import style
from asyncsim.plots.style import COLOURS, look, readable


def test_strategies_differ_by_more_than_colour():
    """All strategies that a frontier compares by default have their own colour and marker."""
    looks = look([strategy.label for strategy in USUAL])
    for part in ("color", "marker"):
        assert len({style[part] for style in looks.values()}) == len(USUAL)
    assert len(set(COLOURS)) == len(COLOURS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.07, "70 ms"), (1, "1 s"), (90, "1.5 min"), (7200, "2 h"), (86400, "1 d")],
)
def test_times_have_readable_units(seconds, text):
    """From milliseconds to days."""
    assert readable(seconds) == text


@pytest.mark.parametrize("name", ["cost $^$ x", r"$\frac b$", "5 $ and 6 $", "a_b^c", "%s {}"])
def test_a_name_is_not_a_formula(name):
    """Dollar signs in names are drawn as they are."""
    figure, (ax,) = style.figure(1)
    ax.plot([1, 2], [1, 1000], label=name)
    ax.set_yscale("log")
    ax.set_xticks([1, 2], [name, "b"])
    ax.legend()
    style.tidy(ax, name, name, name)
    figure.suptitle(name)
    figure.savefig(io.BytesIO())
    shown = [text for text in figure.findobj(Text) if text.get_text() == name]
    assert len(shown) >= 6
    assert not any(text.get_parse_math() for text in shown if "$" in name)
    powers = [text for text in ax.get_yticklabels() if "mathdefault" in text.get_text()]
    assert powers
    assert all(text.get_parse_math() for text in powers)


@pytest.mark.parametrize("high", [1.0, 3600.0, 86400.0, 3e6, 1e9, 2.5e11])
def test_a_time_axis_has_a_few_ticks_however_long_it_is(high):
    """Even for eight thousand years."""
    _, (ax,) = style.figure(1)
    style.plain_time_axis(ax, 0.0, high)
    assert 2 <= len(ax.get_xticks()) <= 8


def test_every_function_is_available_by_its_name():
    """Modules are imported on demand; none of them may have the name of a function."""
    assert all(hasattr(plots, name) for name in plots.__all__)
    assert not set(plots.MODULES) & set(plots.__all__)
    with pytest.raises(AttributeError, match="no attribute 'timelin'"):
        plots.timelin  # noqa: B018
