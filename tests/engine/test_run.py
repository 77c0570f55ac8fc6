"""A run tells what happened, in tables, in a row, in a drawing and in a word."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from handed_out import assert_handed_out
from matplotlib.axes import Axes
from plays import play, scenario_of, wait_for

import asyncsim as sim
from asyncsim.model.units import text_of

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")


@pytest.fixture
def run():
    return wait_for(sim.Polling("1min"), 100.0, arrivals=(0.0, 30.0))


def test_a_run_knows_what_was_played(run):
    """Scenario, strategy, draws and engine are there; a word says the main things."""
    assert run.scenario.name == "by hand"
    assert run.strategy == sim.Polling("1min")
    assert run.draws.arrivals.tolist() == [0.0, 30.0]
    assert run.engine == "simpy"
    assert repr(run) == "Run('by hand', polling 1 min, 2 instances, simpy)"


def test_the_summary_is_one_tidy_row(run):
    """One row, headed by what was played; the notebook shows the same figures."""
    summary = run.summary()
    assert len(summary) == 1
    row = summary.iloc[0]
    assert (row.scenario, row.strategy, row.engine) == ("by hand", "polling 1 min", "simpy")
    assert (row.seed, row.replication, row.instances) == (0, 0, 2)
    html = run._repr_html_()
    assert "<b>by hand</b>" in html
    assert "polling 1 min" in html
    assert "mean latency" in html
    assert "worker time for noticing" in html
    assert f"<td>{text_of(row.p95_latency)}</td>" in html


def test_a_name_is_text_and_no_markup(run):
    """A scenario may be called anything; a notebook shows it as it is."""
    scenario = run.scenario.replace(name="<script>a & b")
    html = sim.Run(scenario, run.strategy, run.draws, run.record)._repr_html_()
    assert "<b>&lt;script&gt;a &amp; b</b>" in html


def test_tables_are_built_once(run, monkeypatch):
    """Asking again copies the table, so a big one is not built again."""
    for name in ("waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead"):
        built = getattr(run, name)
        with monkeypatch.context() as without:
            without.delattr(run, "record")
            pd.testing.assert_frame_equal(getattr(run, name), built)


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def test_the_timeline_sets_two_strategies_one_above_the_other(run):
    """Two lanes, this run's strategy and a callback, with the checks before and after."""
    axes = run.plot_timeline("1_1").axes
    assert all(isinstance(ax, Axes) for ax in axes)
    assert [ax.get_title(loc="left") for ax in axes] == ["callback", "polling 1 min"]
    labels = texts_of(axes[1])
    assert "check: not yet" in labels
    assert "check: done" in labels
    assert any("20" in text and "late" in text for text in labels), "100 s are seen at 120 s"
    assert "callback: finished" in texts_of(axes[0])
    plt.close("all")


def test_the_timeline_takes_another_strategy_to_set_against(run):
    """Any strategy can stand beside it; a callback is set against polling by default."""
    titles = [ax.get_title(loc="left") for ax in run.plot_timeline("2_1", sim.LongPolling(30)).axes]
    assert titles == ["long polling 30 s", "polling 1 min"]
    called_back = wait_for(sim.Callback(), 100.0)
    titles = [ax.get_title(loc="left") for ax in called_back.plot_timeline("1_1").axes]
    assert titles == ["polling 15 min", "callback"]


@pytest.mark.parametrize(
    ("strategy", "step"),
    [
        (sim.Callback(loss=1.0), {}),
        (sim.Callback(), {"timeout": 50.0}),
        (sim.Polling(10, limit=2), {}),
        (sim.Callback(), {"arm": "before call", "response": {"done": 1.0}}),
        (sim.Callback(), {"response": {"rejected": 1.0}}),
        (sim.Backoff(jitter="decorrelated"), {}),
    ],
)
def test_every_ending_can_be_drawn(strategy, step):
    """Lost, timed out, given up, never waited: a drawing comes out, not an error."""
    axes = wait_for(strategy, 100.0, **step).plot_timeline("1_1").axes
    assert len(axes) == 2


def test_an_unknown_serial_number_is_answered_with_one_that_exists(run):
    """A mistyped number is named, with the nearest number and one that exists."""
    with pytest.raises(sim.UnknownSerialNumber) as caught:
        run.plot_timeline("1_2")
    text = str(caught.value)
    assert "'1_2' is not known" in text
    assert "did you mean" in text
    assert "one that exists is '1_1'" in text


def test_an_unknown_serial_number_where_empty_waited():
    """Without any wait the message has no example."""
    empty = play(sim.Callback(), scenario_of([sim.Step("s", 1.0)]))
    with pytest.raises(sim.UnknownSerialNumber, match=r"^serial number '1_1' is not known$"):
        empty.plot_timeline("1_1")


def test_something_else_than_a_strategy_to_set_against_is_refused(run):
    """The argument is named with its value."""
    with pytest.raises(
        sim.ScenarioError, match=r"against must be a strategy such as .* 'callback'"
    ):
        run.plot_timeline("1_1", against="callback")


def test_the_numbers_of_a_log_can_be_asked_for():
    """A replayed log keeps its serial numbers, also in the drawing."""
    log = sim.LoggedCompletions((50.0,), ("5_31",))
    replayed = wait_for(sim.Callback(), 0.0, system=log)
    assert len(replayed.plot_timeline("5_31").axes) == 2
    assert replayed.waits.serial_number.tolist() == ["5_31"]


def test_a_notebook_shows_what_never_resumed():
    """Whose latency it is, the share of the others, and the sentence of the warning."""
    lossy = wait_for(sim.Callback(loss=1.0), 100.0)
    (note,) = lossy.notes
    html = lossy._repr_html_()
    assert note in html
    assert "1 of 1 waits were still open" in note
    assert "<th>unresumed share</th>" in html
    assert "<th>mean latency of resumed waits</th>" in html
    assert not wait_for(sim.Callback(), 100.0).notes


@pytest.mark.parametrize(
    "name", ["waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead"]
)
def test_tables_are_the_callers_own(name):
    """Changing a table of a run changes neither the run nor its figures."""
    run = sim.simulate(sim.Scenario.load("data/person.toml"), sim.Callback("1s"), seed=1)
    before = run.summary()
    assert_handed_out(run, name)
    pd.testing.assert_frame_equal(run.summary(), before)
    with pytest.raises(AttributeError, match=f"'{name}' of Run cannot be set"):
        setattr(run, name, None)
