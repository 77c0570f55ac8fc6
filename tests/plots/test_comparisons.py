"""Comparisons: the figures show the values of their tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from asyncsim import plots
from asyncsim.plots.comparisons import drain_span


def open_waits(counts, resolution=60.0):
    time = np.arange(len(counts)) * resolution
    stamps = pd.Timestamp("2026-01-05") + pd.to_timedelta(time, unit="s")
    return pd.DataFrame({"time": time, "time_at": stamps, "open": counts})


def test_latency_distribution_is_the_share_resumed_by_then():
    """The line rises to 1 and passes one half at the median."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    ax = plots.latency_distribution({"polling": values})
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, values)
    np.testing.assert_allclose(y, [0.2, 0.4, 0.6, 0.8, 1.0])


def test_zero_latencies_and_empty_strategies_can_be_drawn():
    """Although a logarithmic axis has no zero."""
    ax = plots.latency_distribution({"at once": np.zeros(3), "never": np.array([])})
    assert (ax.lines[0].get_xdata() > 0).all()


def test_unresumed_waits_keep_the_line_below_one():
    """Seven of ten resumed: the curve ends at 70 %, and its label shows the rest."""
    latencies = {
        "lossy": np.arange(1.0, 8.0),
        "all lost": np.array([]),
        "safe": np.arange(1.0, 8.0),
    }
    out_of = {"lossy": 10, "all lost": 3, "safe": 7}
    ax = plots.latency_distribution(latencies, out_of=out_of)
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(0.7)
    texts = ax.get_legend_handles_labels()[1]
    assert texts == ["lossy (30 % never resumed)", "all lost (100 % never resumed)", "safe"]


def test_overhead_against_latency_has_a_point_per_strategy():
    """At its latency and its requests."""
    table = pd.DataFrame(
        {
            "latency": [0.07, 450.0],
            "latency_half_width": [0.01, 5.0],
            "requests": [1.0, 30.0],
            "requests_half_width": [0.0, 2.0],
        },
        index=["callback", "polling"],
    )
    ax = plots.overhead_against_latency(table)
    points = {tuple(np.ravel(line.get_data())) for line in ax.lines if line.get_marker() in "os"}
    assert points == {(0.07, 1.0), (450.0, 30.0)}


def test_overhead_against_latency_shows_unresumed_waits():
    """The latency is that of resumed waits, and a label shows the unresumed share."""
    table = pd.DataFrame(
        {"latency": [0.07, 450.0], "latency_half_width": 0.0, "requests": 1.0,
         "requests_half_width": 0.0, "unresumed": [0.2, 0.0]},
        index=["callback", "polling"],
    )  # fmt: skip
    ax = plots.overhead_against_latency(table)
    assert ax.get_xlabel() == "mean resume latency of resumed waits"
    texts = ax.get_legend_handles_labels()[1]
    assert texts == ["callback (20 % never resumed)", "polling"]
    sound = plots.overhead_against_latency(table.drop(columns="unresumed"))
    assert sound.get_xlabel() == "mean resume latency"


def test_open_waits_are_shown_around_the_drain():
    """From before the batch to after the end of the last wait."""
    counts = [0] * 100 + list(range(0, 500, 5)) + list(range(500, 0, -100)) + [0] * 50
    first, last = drain_span({"callback": open_waits(counts)})
    assert first <= 200 * 60 <= last
    assert last >= 205 * 60
    assert last - first < 60 * 60


def test_a_run_that_has_ended_keeps_its_last_value():
    """The line of the faster strategy continues to the end at zero."""
    quick, slow = [9] * 5 + [0], [9] * 5 + [5, 4, 3, 2, 1, 0, 0]
    ax = plots.load_around_batch({"quick": open_waits(quick), "slow": open_waits(slow)})
    assert ax.lines[0].get_ydata()[-1] == 0


def test_a_run_without_open_waits_can_be_drawn():
    """As an empty figure."""
    assert isinstance(plots.load_around_batch({"none": open_waits([0, 0])}), Axes)


def test_herds_are_drawn_inside_the_axes():
    """Points far from zero and the closed form, with room above for the legend."""
    herds = pd.DataFrame(
        {"herd": [600, 602], "drained": [150.0, 150.5], "theory": [150.0, 150.5], "never": [0, 0]}
    )
    low, high = plots.herd_drained(herds).get_ylim()
    assert low == 0
    assert high > 1.1 * 150.5
    nothing = herds.assign(drained=0.0, theory=np.nan)
    assert plots.herd_drained(nothing).get_ylim()[1] > 0
