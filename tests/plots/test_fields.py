"""Metrics over fields, near an answer, over replications and over cycles."""

import numpy as np
import pandas as pd
import pytest

from asyncsim import plots


def test_a_map_shows_the_unresumed_share_below_its_value():
    """In each cell; if there are too many cells, the title has the largest."""
    lost = np.array([[0.0, 0.2]])
    labels, span = ("callback", "loss", "workers"), (1.0, 2.0)
    ax = plots.metric_over_two_fields(
        [[1.0, 2.0]], ["0", "0.2"], ["1"], labels, span, unresumed=lost
    ).axes
    assert [text.get_text() for text in ax.texts] == ["1", "2\n20 % never"]
    many = np.ones((1, 99))
    ax = plots.metric_over_two_fields(
        many, ["x"] * 99, ["1"], labels, span, unresumed=many * 0.2
    ).axes
    assert ax.get_title(loc="left") == "callback (up to 20 % never resumed)"


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


def test_the_cumulative_mean_is_drawn_with_the_number_that_was_enough():
    """A line of means, dots of single values, and a vertical line at the number."""
    values = [4.0, 6.0, 5.0, 7.0, 3.0, 5.0, 5.0]
    ax = plots.cumulative_mean(cumulative(values), "latency [s]", 6)
    dots, line, mark = ax.lines
    assert dots.get_ydata().tolist() == values
    np.testing.assert_allclose(line.get_ydata()[-1], 5.0)
    assert list(mark.get_xdata()) == [6, 6]
    low, high = ax.get_ylim()
    assert low < min(values)
    assert max(values) < high < 10  # the first wide intervals do not set the scale


def test_without_that_number_there_is_no_mark():
    """The interval was never narrow enough."""
    assert len(plots.cumulative_mean(cumulative([1.0, 2.0]), "x").lines) == 2


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_is_drawn_as_a_flat_line(value):
    """Rounding errors do not set the scale."""
    table = cumulative(value * (1 + 1e-10 * np.arange(8))).assign(low=value, high=value)
    low, high = plots.cumulative_mean(table, "x").get_ylim()
    assert high - low > 0.5


def test_a_warm_up_is_shaded_and_the_estimate_is_drawn_over_the_rest():
    """Cycles count from 1; the average may be shorter than the series; NaN leaves a gap."""
    series = np.array([0.0, 4.0, np.nan, 5.0, 5.0, 5.0])
    ax = plots.warm_up(series, series[:4], 2, "open waits", "cycle of 1 d", (5.0, 4.5, 5.5))
    raw, smooth, estimate = ax.lines
    assert raw.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert len(smooth.get_xdata()) == 4
    assert estimate.get_xdata().tolist() == [3, 4, 5, 6]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "warm-up" in labels
    none = plots.warm_up(series, series, 0, "y", "x", (np.nan, np.nan, np.nan))
    assert [t.get_text() for t in none.get_legend().get_texts()] == [
        "mean per cycle",
        "moving average",
    ]
