"""Every picture of the toolkit, from real results, in both sizes."""

import base64
import io
import re
import struct
import warnings

import numpy as np
import pytest
from plots.looks import assert_readable, labels, ticks, words

import asyncsim as sim

QUIET = {"progress": False}
PRICES = sim.CostModel(check=0.001, late_minute=0.02, currency="EUR")
LEDGER = sim.Scenario.load("example:nightly_ledger")
ASK = sim.AsyncStep("ask", "service")
SERVICE = sim.Scenario(
    name="orders",
    process=sim.Process("order", [ASK]),
    systems={"service": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    server=sim.WorkflowServer(4, poll_work="50ms", callback_work="2s"),
    arrivals=sim.Poisson("60/h", between=("08:00", "20:00")),
    costs=PRICES,
)
LOSSY = SERVICE.replace(
    process=sim.Process("order", [sim.AsyncStep("ask", "service", timeout="1h")])
)
MANY = [
    *(sim.Callback("1s", loss=0.1), sim.Polling("15min"), sim.LongPolling("10min")),
    *(sim.Backoff("1min"), sim.Polling("1min", anchor="clock")),
    sim.CallbackWithSafetyPoll(every="1h"),
]
PAIR = [sim.Callback("1s", loss=0.1), sim.Polling("15min")]
FEW = {"replications": 3, "progress": False}
POLLS = [sim.Polling(interval) for interval in ("1min", "2min", "5min", "10min", "30min")]


def busy(rate):
    """Return the scenario with more orders, and one worker."""
    arrivals = sim.Poisson(rate, between=("08:00", "20:00"))
    return SERVICE.replace(arrivals=arrivals, server=sim.WorkflowServer(2, callback_work="2s"))


MADE = {
    "comparison": lambda: sim.compare(LOSSY, PAIR, **FEW),
    "comparison of many": lambda: sim.compare(LOSSY, MANY, **FEW),
    "comparison of a batch": lambda: sim.compare(LEDGER, [sim.Callback("50ms"), *POLLS], **FEW),
    "sweep": lambda: sim.sweep(
        SERVICE, {"strategy.interval": ["1min", "5min", "1h"]}, [sim.Polling("1min")], **FEW
    ),
    "map": lambda: sim.sweep(
        LOSSY, {"server.workers": [2, 3], "server.poll_work": ["0s", "1s"]}, PAIR, **FEW
    ),
    "sample": lambda: sim.sweep(
        SERVICE, {"strategy.loss": (0.0, 0.1), "server.workers": (2, 9)}, PAIR[:1], sample=5, **FEW
    ),
    "target": lambda: sim.fewest_workers(
        busy("2000/h"), sim.Callback(), "p95_latency <= 5s", between=(1, 9), **FEW
    ),
    "volume": lambda: sim.largest_volume(
        busy("1000/h"), sim.Callback(), "p95_latency <= 10s", **FEW
    ),
    "least": lambda: sim.cheapest_interval(SERVICE, between=("5s", "1h"), **FEW),
    "break-even": lambda: sim.break_even(
        LOSSY, *(sim.Callback(), POLLS[0]), "strategy.loss", (0.0, 0.2), metric="cost", **FEW
    ),
    "frontier": lambda: sim.frontier(SERVICE, **FEW),
    "frontier with losses": lambda: sim.frontier(LOSSY, MANY, ("p95_latency", "cost"), **FEW),
    "herd": lambda: sim.herd_drain(LEDGER, sim.Callback(loss=0.2), **FEW),
    "precision": lambda: sim.replications_for(LOSSY, PAIR, precision=0.05, **QUIET),
    "steady state": lambda: sim.steady_state(
        SERVICE.replace(arrivals=sim.Poisson("60/h"), length="10 days"), POLLS[2], **FEW
    ),
    "fit": lambda: sim.fit("example:request_log"),
    "check": lambda: sim.fit("example:request_log").check(**FEW),
}


@pytest.fixture(scope="module")
def made():
    """Return a function that returns a study, made once."""
    known = {}

    def study(name):
        if name not in known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of losses, which are wanted
                known[name] = MADE[name]()
        return known[name]

    return study


@pytest.mark.parametrize("name", MADE)
def test_every_picture_is_readable(made, name):
    """On a page of 850 pixels and on a slide: nothing small, cut or overlapping; a text.

    Only real results have labels as long, and points as close, as they are in use.
    """
    page, slide = (made(name).plot(size=size) for size in ("page", "slide"))
    for picture in (page, slide):
        assert_readable(picture)
    sizes = [struct.unpack(">II", png(one)[16:24]) for one in (page, slide)]  # of a PNG's header
    assert sizes[0][0] == 850
    assert sizes[1][0] * 9 == sizes[1][1] * 16
    for small, large in zip(page.axes, slide.axes, strict=True):
        assert large.xaxis.label.get_fontsize() > 1.5 * small.xaxis.label.get_fontsize()
        for thin, thick in zip(small.lines, large.lines, strict=True):
            assert thick.get_linewidth() > 1.5 * thin.get_linewidth()
    with pytest.raises(sim.ScenarioError, match=r"^size must be one of 'page', 'slide', got 'A4'"):
        made(name).plot(size="A4")


@pytest.mark.parametrize(
    ("strategy", "against"),
    [
        (POLLS[1], None),
        (POLLS[4], sim.Polling("10s")),
        (sim.Callback(loss=1.0), None),
        (sim.Callback(loss=1.0, retries=["1s", "2s"]), sim.LongPolling("1min")),
    ],
)
def test_every_timeline_is_readable(strategy, against):
    """Also where checks are close together, and where no step resumes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        run = sim.simulate(LOSSY, strategy, seed=1)
    for size in ("page", "slide"):
        assert_readable(run.plot_timeline("1_1", against, size=size))


def png(picture):
    """Return the bytes of its file."""
    file = io.BytesIO()
    picture.savefig(file)
    return file.getvalue()


# --- what is drawn, against the data --------------------------------------------------------------


def test_the_lines_of_latencies_end_at_the_share_that_resumes(made):
    """The share that never does is in the label, and in the text for those who see nothing."""
    found = made("comparison")
    picture = found.plot("latency")
    (ax,) = picture.axes
    assert ax.get_xscale() == "log"
    for label in found.strategies:
        (line,) = [one for one in ax.lines if one.get_label().startswith(label)]
        lost = 1 - line.get_ydata()[-1]
        assert lost == pytest.approx(found["unresumed_share"].loc[label, "mean"], abs=1e-3)
        assert line.get_xdata()[-1] == pytest.approx(found.latencies(label).max())
        assert (f"({100 * lost:.3g} % never resumed)" in line.get_label()) == (lost > 0)
        assert line.get_label() in labels(ax)
        assert line.get_label() in picture.alt
    assert all(re.fullmatch(r"\d+ %", tick) for tick in ticks(ax.yaxis))
    assert all(re.fullmatch(r"\d+ (ms|s|min|h)", tick) for tick in ticks(ax.xaxis))


def test_points_lie_on_the_closed_form_of_polling():
    """A line over all intervals from the shortest to the longest, for one step at a service."""
    free = SERVICE.replace(server=sim.WorkflowServer(4))
    found = sim.compare(free, [sim.Callback("50ms"), *POLLS], replications=10, progress=False)
    (ax,) = found.plot("overhead").axes
    (line,) = [one for one in ax.lines if one.get_label() == "closed form of polling"]
    forms = [poll.expected(sim.exponential("10min")) for poll in POLLS]
    x, y = line.get_data()
    assert [x[0], y[0]] == pytest.approx([forms[0].latency, forms[0].checks])
    assert [x[-1], y[-1]] == pytest.approx([forms[-1].latency, forms[-1].checks])
    for form in forms:
        near = np.exp(np.interp(np.log(form.latency), np.log(x), np.log(y)))
        assert near == pytest.approx(form.checks, rel=0.01)
    assert set(labels(ax)) == {*found.strategies, "closed form of polling"}
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert words(ax.get_xlabel()) == "mean latency"
    assert not [one for one in sim.compare(LEDGER, POLLS[:2], **FEW).plot("overhead").axes[0].lines
                if "closed" in str(one.get_label())]  # fmt: skip


def test_open_waits_are_drawn_by_the_clock(made):
    """Where the first busy night drains."""
    (ax,) = made("comparison of a batch").plot("open waits").axes
    assert all(re.fullmatch(r"\d\d:\d\d", tick) for tick in ticks(ax.xaxis))
    assert "22:00" in ticks(ax.xaxis)
    assert ax.get_ylabel() == "open waits"


def test_target_and_answer_are_named(made):
    """In words, beside their lines."""
    answer = made("target")
    picture = answer.plot()
    (ax,) = picture.axes
    assert f"answer: {answer.value} workers" in labels(ax)
    assert "target: 5 s" in labels(ax)
    assert words(ax.get_ylabel()) == "95th percentile of the latency"
    assert ax.get_xlabel() == "workers of the server"
    assert set(ticks(ax.xaxis)) <= {str(k) for k in range(1, 10)}
    assert "Target: 5 s." in picture.alt


def test_the_flat_minimum_is_a_band_with_its_ends(made):
    """Within it costs are at most 5 % above the least, and beyond it more."""
    answer = made("least")
    picture = answer.plot()
    (ax,) = picture.axes
    (text,) = [one for one in labels(ax) if one.startswith("within 5 % of the best: ")]
    assert text[1:] in picture.alt
    low, high, unit = re.fullmatch(r".*: ([\d.]+) \w+ to ([\d.]+) (\w+)", text).groups()
    size = {"s": 1, "min": 60}[unit]
    costs = answer.table.set_index("value")["mean"]
    within = costs[(costs.index > float(low) * size) & (costs.index < float(high) * size)]
    beyond = costs[(costs.index < float(low) * size * 0.95)]
    assert len(within)
    assert (within <= 1.06 * costs.min()).all()
    assert (beyond > 1.04 * costs.min()).all()
    assert ax.get_ylim()[0] == 0  # or a small difference would look large
    assert all(tick.endswith(" EUR") for tick in ticks(ax.yaxis))
    assert float(low) * size < answer.value < float(high) * size


def test_a_map_shows_each_value_in_human_units(made):
    """With the share that never resumed below it."""
    found = made("map")
    picture = found.plot()
    table = found.of("mean_latency")
    for ax, label in zip(picture.axes, found.strategies, strict=False):
        numbers = [words(text.get_text()) for text in ax.texts]
        assert len(numbers) == 4
        assert all(re.match(r"[\d.]+ (ms|s|min)", number) for number in numbers)
        lossy = (table["strategy"] == label) & (found.of("unresumed_share")["mean"] > 0)
        assert sum("never" in number for number in numbers) == lossy.sum()
        assert ticks(ax.yaxis) == ["0 s", "1 s"]


def test_a_notebook_shows_the_picture_once_with_its_text(made, monkeypatch):
    """As HTML, which is all that JupyterLab shows a text of; no second copy of the pixels."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    picture = made("comparison").plot()
    picture._ipython_display_()
    (data,) = shown
    assert set(data) == {"text/html", "text/plain"}
    html = data["text/html"]
    assert data["text/plain"] == picture.alt
    assert 'width="850"' in html
    data = base64.b64decode(re.search(r"base64,([^\"]*)", html)[1])
    assert data == png(picture)
    assert html.count("base64") == 1
    assert "alt=" in html
