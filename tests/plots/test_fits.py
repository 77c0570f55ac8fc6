"""Pictures of a fit show the values of their tables."""

import numpy as np
import pandas as pd
import pytest
from plots.looks import labels, ticks

from asyncsim import plots


def rates(days, hours):
    n = len(hours)
    return pd.DataFrame(
        {"days": days, "hour": hours, "rate": np.arange(n) + 1.0, "low": 0.5, "high": n + 2.0}
    )


TIMES = np.sort(np.random.default_rng(1).exponential(60, 5000))
TIMES_BELOW = np.linspace(0, 300, 50)
QUANTILES = -60 * np.log1p(-(np.arange(5000) + 0.5) / 5000)
CLOCKS = np.array([0.0, 79201.0, 79300.0, 86399.0])


def drawn(table, **changes):
    """Return the axes of a fit of exponential times."""
    system = plots.SystemFitted(
        TIMES, "wait", "exponential", TIMES_BELOW, 1 - np.exp(-TIMES_BELOW / 60), QUANTILES, CLOCKS,
        (79200.0, 1800.0), ("a batch", "long"),
    )._replace(**changes)  # fmt: skip
    return plots.fitted("page", "a fit", table, system).axes


def test_rates_are_steps_by_hour_one_line_per_kind_of_day():
    """Consecutive weekdays are abbreviated; a single rate is a flat line."""
    table = pd.concat([rates("Mon, Tue, Wed, Thu, Fri", range(24)), rates("Sat, Sun", range(24))])
    (ax,) = plots.fitted("page", "a fit", table, None).axes
    assert [line.get_label() for line in ax.lines] == ["Mon–Fri", "Sat, Sun"]
    assert ax.lines[0].get_ydata().tolist() == [*range(1, 25), 24]
    (flat,) = plots.fitted("page", "a fit", rates("Mon", [None]), None).axes
    assert set(flat.lines[0].get_ydata()) == {1.0}
    assert flat.lines[0].get_xdata().tolist() == [3600 * hour for hour in range(25)]
    assert ticks(flat.xaxis)[0] == "00:00"
    assert ticks(flat.xaxis)[-1] == "24:00"


@pytest.mark.parametrize(("window", "title"), [(None, "no batch"), ((79200.0, 1800.0), "a batch")])
def test_completions_are_counted_by_quarters_of_an_hour(window, title):
    """Bars contain all of them; the title has the label of the window."""
    ax = drawn(rates("Mon", [None]), window=window, words=(title, "long"))[1]
    assert sum(bar.get_height() for bar in ax.patches if bar.get_width() == 900) == 4
    assert title in ax.get_title(loc="left")
    assert labels(ax) == (["long"] if window else [])


def test_times_and_their_distribution_are_drawn_together():
    """The log as steps, the fit as a line with its name; the quantiles around the diagonal."""
    axes = drawn(rates("Mon", [None]))
    assert [line.get_label() for line in axes[2].lines] == ["log", "exponential"]
    assert set(labels(axes[2])) == {"log", "exponential"}
    assert axes[2].lines[0].get_ydata()[-1] == 1
    x, y = axes[3].lines[0].get_data()
    assert np.abs(x - y)[: len(x) // 2].max() < 10
    without = drawn(rates("Mon", [None]), share=None, quantiles=None)
    assert [len(ax.lines) for ax in without[2:]] == [1, 0]


def test_metrics_of_a_check_are_drawn_by_their_place_in_the_interval():
    """In half-widths from the middle; those far away or without width are at the edge."""
    table = pd.DataFrame(
        {
            "metric": ["middle", "low end", "far above", "no width", "no run has it"],
            "log": [5.0, 0.0, 900.0, 1.0, 2.0],
            "low": [0.0, 0.0, 0.0, 0.0, np.nan],
            "high": [10.0, 10.0, 10.0, 0.0, np.nan],
            "within": [True, True, False, False, False],
        }
    )
    (ax,) = plots.metrics_checked("page", "a check", table).axes
    within, outside = ax.lines
    assert within.get_label() == "2 within the interval"
    assert within.get_xdata().tolist() == [0.0, -1.0]
    assert (outside.get_xdata() > 1.0).all()
    assert outside.get_ydata().tolist() == [2, 3, 4]
    assert [label.get_text() for label in ax.get_yticklabels()] == table["metric"].tolist()
