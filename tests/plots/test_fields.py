"""Metrics over fields, and the evaluations near an answer."""

import numpy as np
import pandas as pd

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
