"""Metrics over fields, near an answer, over replications and over cycles."""

import numpy as np
import pandas as pd
import pytest

from asyncsim import plots

LATENCY = plots.Scale("latency", "duration")


def test_a_map_shows_the_unresumed_share_below_its_value():
    """In each cell; if there are too many cells, the title has the largest."""
    words = "loss", "workers"
    values = pd.DataFrame([[1.0, 90.0]], ["1"], ["0", "0.2"])
    maps = {"callback": (values, values.replace({1.0: 0.0, 90.0: 0.2}))}
    ax, _ = plots.metric_over_two_fields("page", "a sweep", maps, words, LATENCY).axes
    assert [text.get_text() for text in ax.texts] == ["1 s", "1.5 min\n20 % never"]
    values = pd.DataFrame(np.ones((1, 99)), ["1"], ["x"] * 99)
    many = {"callback": (values, 0.2 * values)}
    picture = plots.metric_over_two_fields("page", "a sweep", many, words, LATENCY)
    assert picture.axes[0].get_title(loc="left") == "callback (up to 20 % never resumed)"
    assert len(picture.axes[0].get_xticks()) < 15


def test_only_evaluations_near_an_answer_are_drawn():
    """Within three times its interval; without an answer all of them."""
    table = pd.DataFrame({"x": [1.0, 40.0, 100.0, 290.0, 1000.0]})
    assert plots.near(table, (100.0, 90.0, 110.0))["x"].tolist() == [40.0, 100.0, 290.0]
    assert len(plots.near(table, (None, None, None))) == 5
    assert len(plots.near(table - 1.0, (99.0, 90.0, 110.0))) == 5  # with zero there are no ratios


def cumulative(values):
    n = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / n
    half = np.where(n > 1, 3.0 / n, np.nan)
    return pd.DataFrame(
        {"n": n, "value": values, "mean": mean, "low": mean - half, "high": mean + half}
    )


def mean_of(table, reached=None):
    """Return the axes of a mean over replications."""
    tables = {"polling": (table, reached)}
    return plots.cumulative_means("page", "a number", tables, LATENCY).axes[0]


def test_the_cumulative_mean_is_drawn_with_the_number_that_was_enough():
    """A line of means, dots of single values, and a vertical line at the number."""
    values = [4.0, 6.0, 5.0, 7.0, 3.0, 5.0, 5.0]
    ax = mean_of(cumulative(values), 6)
    dots, line, mark = ax.lines
    assert dots.get_ydata().tolist() == values
    np.testing.assert_allclose(line.get_ydata()[-1], 5.0)
    assert list(mark.get_xdata()) == [6, 6]
    low, high = ax.get_ylim()
    assert low < min(values)
    assert max(values) < high < 10  # the first wide intervals do not set the scale


def test_without_that_number_there_is_no_mark():
    """The interval was never narrow enough."""
    assert len(mean_of(cumulative([1.0, 2.0])).lines) == 2


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_is_drawn_as_a_flat_line(value):
    """Rounding errors do not set the scale."""
    table = cumulative(value * (1 + 1e-10 * np.arange(8))).assign(low=value, high=value)
    low, high = mean_of(table).get_ylim()
    assert high - low > 0.5


def test_a_warm_up_is_shaded_and_the_estimate_is_drawn_over_the_rest():
    """Cycles count from 1; the average may be shorter than the series; NaN leaves a gap."""
    series = np.array([0.0, 4.0, np.nan, 5.0, 5.0, 5.0])
    scales = plots.Scale("cycles of 1 d", "whole number"), plots.Scale("open waits")
    (ax,) = plots.warm_up("page", "x", series, series[:4], 2, scales, (5.0, 4.5, 5.5)).axes
    raw, smooth, estimate = ax.lines
    assert raw.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert len(smooth.get_xdata()) == 4
    assert estimate.get_xdata().tolist() == [3, 4, 5, 6]
    names = ax.get_legend_handles_labels()[1]
    assert names == ["mean per cycle", "moving average", "estimate: 5", "warm-up"]
    picture = plots.warm_up("page", "x", series, series, 0, scales, (np.nan,) * 3)
    assert picture.axes[0].get_legend_handles_labels()[1] == names[:2]
    assert "no estimate" in picture.alt


def test_a_curve_is_flat_where_it_is_near_its_least_value():
    """A parabola: within 5 % of its least value between two known ends."""
    x = np.linspace(10, 200, 191)
    table = pd.DataFrame({"x": x, "mean": 1 + ((x - 100) / 100) ** 2}).assign(low=1.0, high=2.0)
    asked = plots.Question((100.0, 90.0, 110.0), "100 s", "It is.", None, True)
    scales = plots.Scale("interval", "duration"), plots.Scale("cost", "EUR")
    picture = plots.answer("page", "an answer", {"polling": table}, scales, asked)
    end = 100 * 0.05**0.5
    ends = f"{(100 - end) / 60:.2g} min to {(100 + end) / 60:.2g} min"
    assert f"Within 5 % of the best: {ends}." in picture.alt
