"""Tables in, Axes out: what is drawn is what the table says."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from asyncsim import plots
from asyncsim.capacity.tradeoffs import USUAL
from asyncsim.plots import style
from asyncsim.plots.comparisons import drain_span
from asyncsim.plots.style import COLOURS, look, readable


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


def test_a_latency_of_nothing_can_be_drawn():
    """A logarithmic axis has no zero; nor does an empty strategy break the plot."""
    ax = plots.latency_distribution({"at once": np.zeros(3), "never": np.array([])})
    assert (ax.lines[0].get_xdata() > 0).all()


def test_overhead_against_latency_has_a_point_per_strategy():
    """Each strategy stands at its latency and its requests."""
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


def test_the_load_is_shown_around_the_drain():
    """The span begins before the batch and ends after the last wait has closed."""
    counts = [0] * 100 + list(range(0, 500, 5)) + list(range(500, 0, -100)) + [0] * 50
    first, last = drain_span({"callback": open_waits(counts)})
    assert first <= 200 * 60 <= last
    assert last >= 205 * 60
    assert last - first < 60 * 60


def test_a_run_that_is_over_keeps_its_last_number():
    """The line of the quicker strategy goes on to the end of the picture, at zero."""
    quick, slow = [9] * 5 + [0], [9] * 5 + [5, 4, 3, 2, 1, 0, 0]
    ax = plots.load_around_batch({"quick": open_waits(quick), "slow": open_waits(slow)})
    assert ax.lines[0].get_ydata()[-1] == 0


def test_nothing_open_can_be_drawn():
    """A run without waits gives an empty picture, not an error."""
    assert isinstance(plots.load_around_batch({"none": open_waits([0, 0])}), Axes)


def test_the_timeline_has_a_lane_per_strategy_and_tells_the_latency():
    """Completion is the origin; the late part is as long as the latency."""
    columns = ["event", "start", "end", "text"]
    lane = pd.DataFrame(
        [
            ("armed", 0.0, 0.0, ""),
            ("check", 900.0, 900.01, "not yet"),
            ("completed", 901.0, 901.0, ""),
            ("check", 1800.0, 1800.01, "done"),
            ("resumed", 1800.01, 1800.01, ""),
        ],
        columns=columns,
    )
    axes = plots.timeline({"polling": lane, "never": lane.iloc[:0]}, "The life of 5_31").axes
    assert [ax.get_title(loc="left") for ax in axes] == ["polling", "never"]
    texts = [text.get_text() for text in axes[0].texts]
    assert "15 min late" in texts
    assert "check: not yet" in texts
    assert "check: done" in texts


def test_strategies_differ_by_more_than_colour():
    """All that a frontier compares by itself have a colour and a marker of their own."""
    looks = look([strategy.label for strategy in USUAL])
    for part in ("color", "marker"):
        assert len({style[part] for style in looks.values()}) == len(USUAL)
    assert len(set(COLOURS)) == len(COLOURS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.07, "70 ms"), (1, "1 s"), (90, "1.5 min"), (7200, "2 h"), (86400, "1 d")],
)
def test_times_read_as_a_person_says_them(seconds, text):
    """Milliseconds to days."""
    assert readable(seconds) == text


def test_each_lane_is_drawn_from_its_own_completion():
    """A later step completes at another instant under each strategy; lateness is its own."""
    columns = ["event", "start", "end", "text"]

    def lane(done, resumed):
        rows = [("armed", 0.0, 0.0, ""), ("completed", done, done, "")]
        rows.append(("resumed", resumed, resumed, ""))
        return pd.DataFrame(rows, columns=columns)

    axes = plots.timeline({"a": lane(100.0, 101.0), "b": lane(400.0, 580.0)}, "1_2").axes
    said = [[t.get_text() for t in ax.texts if "late" in t.get_text()] for ax in axes]
    assert said == [["1 s late"], ["3 min late"]]


def test_waits_that_never_resumed_keep_the_line_below_one():
    """Seven of ten resumed: the curve ends at 70 %, and the legend has the rest."""
    latencies = {
        "lossy": np.arange(1.0, 8.0),
        "all lost": np.array([]),
        "safe": np.arange(1.0, 8.0),
    }
    out_of = {"lossy": 10, "all lost": 3, "safe": 7}
    ax = plots.latency_distribution(latencies, out_of=out_of)
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(0.7)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["lossy (30 % never resumed)", "all lost (100 % never resumed)", "safe"]


def test_overhead_against_latency_shows_whose_latency_it_is():
    """A strategy that loses waits stands at the latency of the others, and the legend shows it."""
    table = pd.DataFrame(
        {"latency": [0.07, 450.0], "latency_half_width": 0.0, "requests": 1.0,
         "requests_half_width": 0.0, "unresumed": [0.2, 0.0]},
        index=["callback", "polling"],
    )  # fmt: skip
    ax = plots.overhead_against_latency(table)
    assert ax.get_xlabel() == "mean resume latency of resumed waits"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["callback (20 % never resumed)", "polling"]
    sound = plots.overhead_against_latency(table.drop(columns="unresumed"))
    assert sound.get_xlabel() == "mean resume latency"


def test_a_map_has_the_share_never_resumed_below_its_number():
    """In each field; where there are too many for numbers, the title has the largest."""
    lost = np.array([[0.0, 0.2]])
    labels, span = ("callback", "loss", "workers"), (1.0, 2.0)
    ax = plots.figure_over_two_fields(
        [[1.0, 2.0]], ["0", "0.2"], ["1"], labels, span, unresumed=lost
    ).axes
    assert [text.get_text() for text in ax.texts] == ["1", "2\n20 % never"]
    many = np.ones((1, 99))
    ax = plots.figure_over_two_fields(
        many, ["x"] * 99, ["1"], labels, span, unresumed=many * 0.2
    ).axes
    assert ax.get_title(loc="left") == "callback (up to 20 % never resumed)"


def test_the_herd_is_drawn_inside_the_frame():
    """Equal points far from zero, the closed form among them, and room above for the legend."""
    herds = pd.DataFrame(
        {"herd": [600, 602], "drained": [150.0, 150.5], "theory": [150.0, 150.5], "never": [0, 0]}
    )
    low, high = plots.herd_drained(herds).get_ylim()
    assert low == 0
    assert high > 1.1 * 150.5
    nothing = herds.assign(drained=0.0, theory=np.nan)
    assert plots.herd_drained(nothing).get_ylim()[1] > 0


def test_what_was_tried_far_from_an_answer_is_not_drawn():
    """Near is what is within three times its interval; without an answer everything."""
    table = pd.DataFrame({"x": [1.0, 40.0, 100.0, 290.0, 1000.0]})
    assert plots.near(table, (100.0, 90.0, 110.0))["x"].tolist() == [40.0, 100.0, 290.0]
    assert len(plots.near(table, (None, None, None))) == 5
    assert len(plots.near(table - 1.0, (99.0, 90.0, 110.0))) == 5  # from zero there are no ratios


@pytest.mark.parametrize("name", ["cost $^$ x", r"$\frac b$", "5 $ and 6 $", "a_b^c", "%s {}"])
def test_a_name_is_no_formula(name):
    """Dollar signs in names of scenarios, steps and strategies are drawn as they are."""
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
    """Eight thousand years are not ticked week by week."""
    _, (ax,) = style.figure(1)
    style.plain_time_axis(ax, 0.0, high)
    assert 2 <= len(ax.get_xticks()) <= 8


def test_every_drawing_function_is_reached_by_its_name():
    """The room is imported when it is wanted; no module may have the name of a function."""
    assert all(callable(getattr(plots, name)) for name in plots.__all__)
    assert not set(plots.MODULES) & set(plots.__all__)
    with pytest.raises(AttributeError, match="no attribute 'timelin'"):
        plots.timelin  # noqa: B018
