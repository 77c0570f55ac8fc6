"""Figures of a fit show the values of their tables."""

import numpy as np
import pandas as pd
import pytest

from asyncsim import plots


def rates(days, hours):
    n = len(hours)
    return pd.DataFrame(
        {"days": days, "hour": hours, "rate": np.arange(n) + 1.0, "low": 0.5, "high": n + 2.0}
    )


def test_rates_are_steps_by_hour_one_line_per_kind_of_day():
    """Consecutive weekdays are abbreviated; a single rate is a flat line."""
    table = pd.concat([rates("Mon, Tue, Wed, Thu, Fri", range(24)), rates("Sat, Sun", range(24))])
    ax = plots.arrival_rates(table)
    assert [line.get_label() for line in ax.lines] == ["Mon–Fri", "Sat, Sun"]
    assert ax.lines[0].get_ydata().tolist() == [*range(1, 25), 24]
    flat = plots.arrival_rates(rates("Mon", [None]))
    assert set(flat.lines[0].get_ydata()) == {1.0}
    assert flat.lines[0].get_xdata().tolist() == list(range(25))


@pytest.mark.parametrize(("window", "title"), [(None, "no batch"), ((79200.0, 1800.0), "a batch")])
def test_completions_are_counted_by_quarters_of_an_hour(window, title):
    """Bars contain all of them; the title has the label of the window."""
    ax = plots.completions_by_clock(
        np.array([0.0, 79201.0, 79300.0, 86399.0]), window, (title, "long")
    )
    assert sum(bar.get_height() for bar in ax.patches if bar.get_width() == 0.25) == 4
    assert title in ax.get_title(loc="left")
    assert [text.get_text() for text in ax.texts] == (["long "] if window else [])


def test_times_and_their_distribution_are_drawn_together():
    """The log as steps, the fit as a line with its name; the quantiles around the diagonal."""
    times = np.sort(np.random.default_rng(1).exponential(60, 5000))
    grid = np.linspace(0, 300, 50)
    ax = plots.times_and_distribution(times, grid, 1 - np.exp(-grid / 60), ("wait", "exponential"))
    assert [line.get_label() for line in ax.lines] == ["log", "exponential"]
    assert ax.lines[0].get_ydata()[-1] == 1
    assert len(plots.times_and_distribution(times, grid, None, ("wait", "")).lines) == 1
    quantiles = -60 * np.log1p(-(np.arange(5000) + 0.5) / 5000)
    against = plots.quantiles_against(times, quantiles, ("wait", "exponential"))
    x, y = against.lines[0].get_data()
    assert np.abs(x - y)[: len(x) // 2].max() < 10
    assert len(plots.quantiles_against(times, None, ("wait", "")).lines) == 0


def test_metrics_of_a_check_are_drawn_by_their_place_in_the_interval():
    """In half-widths from the middle; those far away or without width are at the edge."""
    table = pd.DataFrame(
        {
            "figure": ["middle", "low end", "far above", "no width", "no run has it"],
            "log": [5.0, 0.0, 900.0, 1.0, 2.0],
            "low": [0.0, 0.0, 0.0, 0.0, np.nan],
            "high": [10.0, 10.0, 10.0, 0.0, np.nan],
            "within": [True, True, False, False, False],
        }
    )
    _, (ax,) = plots.figure(1)
    plots.metrics_checked(table, ax)
    within, outside = ax.lines
    assert within.get_label() == "within: 2"
    assert within.get_xdata().tolist() == [0.0, -1.0]
    assert (outside.get_xdata() > 1.0).all()
    assert outside.get_ydata().tolist() == [2, 3, 4]
    assert [label.get_text() for label in ax.get_yticklabels()] == table["figure"].tolist()
