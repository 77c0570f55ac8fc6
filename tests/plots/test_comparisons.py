"""Comparisons: the pictures show the values of their tables."""

import numpy as np
import pandas as pd
import pytest
from plots.looks import assert_readable, labels

from asyncsim import plots
from asyncsim.plots.comparisons import drain_span


def open_waits(counts, resolution=60.0):
    time = np.arange(len(counts)) * resolution
    stamps = pd.Timestamp("2026-01-05") + pd.to_timedelta(time, unit="s")
    return pd.DataFrame({"time": time, "time_at": stamps, "open": counts})


def drawn(part, latencies, armed=None, points=None, theory=None, waits=None):
    """Return the axes of one part of a comparison."""
    late = pd.DataFrame(
        {"latency": 1.0, "latency_low": 1.0, "latency_high": 1.0, "requests": 1.0,
         "requests_low": 1.0, "requests_high": 1.0, "unresumed_share": 0.0}, index=list(latencies),
    )  # fmt: skip
    found = plots.Compared(
        latencies,
        armed or {label: len(values) for label, values in latencies.items()},
        late if points is None else points,
        theory or {},
        waits or {},
    )
    picture = plots.comparison("page", "a comparison", found, [part])
    assert_readable(picture)
    (ax,) = picture.axes
    return ax


def test_latency_distribution_is_the_share_resumed_by_then():
    """The line rises to 1 and passes one half at the median."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    ax = drawn("latency", {"polling": values})
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [1.0, *values])
    np.testing.assert_allclose(y, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_zero_latencies_and_empty_strategies_can_be_drawn():
    """Although a logarithmic axis has no zero."""
    ax = drawn("latency", {"at once": np.zeros(3), "never": np.array([])})
    assert (ax.lines[0].get_xdata() > 0).all()


def test_unresumed_waits_keep_the_line_below_one():
    """Seven of ten resumed: the curve ends at 70 %, and its label shows the rest."""
    latencies = {
        "lossy": np.arange(1.0, 8.0),
        "all lost": np.array([]),
        "safe": np.arange(100.0, 800.0),
    }
    ax = drawn("latency", latencies, {"lossy": 10, "all lost": 3, "safe": 700})
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(0.7)
    texts = ax.get_legend_handles_labels()[1]
    assert texts == ["lossy (30 % never resumed)", "all lost (100 % never resumed)", "safe"]


def test_a_strategy_under_which_no_wait_resumes_is_named():
    """Its line is nowhere, so a legend names it."""
    found = plots.Compared(
        {"a": np.arange(1.0, 5.0), "lost": np.array([])}, {"a": 4, "lost": 3}, pd.DataFrame(), {},
        {},
    )  # fmt: skip
    picture = plots.comparison("page", "a comparison", found, ["latency"])
    names = [text.get_text() for text in picture.legends[0].get_texts()]
    assert names == ["a", "lost (100 % never resumed)"]


def test_overhead_has_a_point_per_strategy_and_a_line_of_theory():
    """At its latency and its requests; a label shows the share that never resumed."""
    table = pd.DataFrame(
        {
            "latency": [0.07, 450.0, np.nan],
            "latency_low": [0.06, 445.0, np.nan],
            "latency_high": [0.08, 455.0, np.nan],
            "requests": [1.0, 30.0, 1.0],
            "requests_low": [1.0, 28.0, 1.0],
            "requests_high": [1.0, 32.0, 1.0],
            "unresumed_share": [0.2, 0.0, 1.0],
        },
        index=["callback", "polling", "lost"],
    )
    line = pd.DataFrame({"latency": [30.0, 60.0, 450.0], "requests": [300.0, 100.0, 30.0]})
    nothing = {label: np.array([]) for label in table.index}
    ax = drawn("overhead", nothing, points=table, theory={"closed form": line})
    marks = [tuple(np.ravel(one.get_data())) for one in ax.lines if one.get_marker() in ("o", "s")]
    assert set(marks) == {(0.07, 1.0), (450.0, 30.0)}
    assert ax.get_xlabel() == "mean latency of resumed waits"
    (form,) = [one for one in ax.lines if one.get_label() == "closed form"]
    assert form.get_ydata().tolist() == [300.0, 100.0, 30.0]
    names = ax.get_legend_handles_labels()[1]
    assert "callback (20 % never resumed)" in names
    sound = drawn("overhead", nothing, points=table.iloc[1:2])
    assert sound.get_xlabel() == "mean latency"


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
    waits = {"quick": open_waits(quick), "slow": open_waits(slow)}
    ax = drawn("open waits", dict.fromkeys(waits, np.zeros(1)), waits=waits)
    assert ax.lines[0].get_ydata()[-1] == 0
    assert ax.lines[0].get_xdata()[-1] >= ax.lines[1].get_xdata()[-1]


def test_open_waits_of_a_long_run_are_means():
    """Over 60 days a line per minute would be a black bar."""
    counts = np.random.default_rng(1).integers(100, 200, 86400)
    counts[0] = 1000
    waits = {"long": open_waits(counts)}
    ax = drawn("open waits", {"long": np.zeros(1)}, waits=waits)
    assert len(ax.lines[0].get_xdata()) < 500
    assert np.mean(ax.lines[0].get_ydata()) == pytest.approx(counts.mean(), rel=0.02)


def test_a_run_without_open_waits_can_be_drawn():
    """As an empty picture."""
    waits = {"none": open_waits([0, 0])}
    drawn("open waits", {"none": np.zeros(1)}, waits=waits)


def test_herds_are_drawn_inside_the_axes():
    """Points far from zero and the closed form, with room above for labels."""
    herds = pd.DataFrame(
        {"herd": [600, 602], "drained": [150.0, 150.5], "theory": [150.0, 150.5], "never": [0, 0]}
    )
    (ax,) = plots.herd_drained("page", "a herd", herds, False).axes
    low, high = ax.get_ylim()
    assert low == 0
    assert high > 1.1 * 150.5
    assert set(labels(ax)) == {"closed form (a lower bound)", "simulated nights"}
    nothing = herds.assign(drained=0.0, theory=np.nan)
    assert plots.herd_drained("page", "a herd", nothing, True).axes[0].get_ylim()[1] > 0
