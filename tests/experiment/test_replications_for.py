"""How many replications strategies need, each for itself."""

import re

import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.experiment.statistics import mean_interval

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(50),
)
STRATEGIES = [sim.Callback("1s"), sim.Polling("5min")]


def needed(strategies=STRATEGIES, **options):
    options = {"precision": 0.03, "progress": False} | options
    return sim.replications_for(SCENARIO, strategies, **options)


def test_the_interval_is_narrow_enough_from_the_number_on():
    """The table is that of the runs; from the number on the share stays below the target."""
    found = needed()
    n = found.numbers["polling 5 min"]
    table = found.table.query("strategy == 'polling 5 min'").set_index("n")
    values = [
        sim.simulate(SCENARIO, sim.Polling("5min"), replication=k).waits["latency"].mean()
        for k in range(n)
    ]
    interval = mean_interval(values)
    assert table.loc[n, "mean"] == pytest.approx(interval.mean)
    assert table.loc[n, "high"] == pytest.approx(interval.high)
    assert (table.loc[n:, "share"] <= 0.03).all()
    assert table.loc[n - 1, "share"] > 0.03
    assert table.index.max() == n + 5
    assert found.number == n


def test_a_strategy_s_number_does_not_depend_on_the_others():
    """Alone or together, on one process or two."""
    alone = needed([sim.Polling("5min")]).numbers
    together = needed(n_jobs=2).numbers
    assert together == alone | {"callback": 5}
    pd.testing.assert_frame_equal(needed().table, needed(n_jobs=2).table, check_exact=True)


def test_a_target_can_be_absolute_and_of_any_figure():
    """Half-widths in jobs, seconds or whatever it is."""
    found = needed(precision=None, within="20s", metric="max_latency")
    last = found.table.groupby("strategy").tail(1)
    assert (last["high"] - last["mean"] <= 20).all()
    assert found.unit == "s"


def test_a_target_that_is_not_reached_is_reported():
    """The number is None then, of the strategy and of all."""
    with pytest.warns(sim.PrecisionWarning, match=r"not reached in 12 .*polling 5 min: ± \d"):
        found = needed(precision=0.001, most_replications=12)
    assert found.numbers == {"callback": 5, "polling 5 min": None}
    assert found.number is None
    assert "'polling 5 min' does not reach the precision of ± 0.1 % in 12 replications" in repr(
        found
    )
    assert len(found.plot().axes) == 2


def test_it_prints_shows_and_draws():
    """Number, target, confidence; the plot marks where it was reached."""
    found = needed()
    n = found.numbers["polling 5 min"]
    for shown in (repr(found), found._repr_html_()):
        for part in ("outside", "polling 5 min", str(n), "precision of ± 3 %", "95 %"):
            assert part in shown
        assert "callback: all values were equal" in shown
    ax = found.plot().axes[1]
    assert f"polling 5 min: {n} replications" in ax.get_title(loc="left")
    assert n in {line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": 0}, "precision must be a share between 0 and 1, got 0"),
        ({"within": "1s"}, "give precision (a share of the mean"),
        (
            {"metric": "latency"},
            "metric must be a known name, got 'latency'; did you mean 'mean_latency'?",
        ),
        ({"most_replications": 4}, "most_replications must be 5 or more, got 4"),
        ({"strategies": []}, "strategies must be a list"),
        ({"engine": "fast"}, "engine must be one of"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"confidence": 2}, "confidence must be between 0 and 1, got 2"),
        ({"confidence": "x"}, "confidence must be between 0 and 1, got 'x'"),
        ({"n_jobs": 0}, "n_jobs must be"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    """With the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        needed(**options)


def test_waits_that_stay_open_stand_beside_the_mean_they_are_not_in():
    """Half of the callbacks are lost: a mean of one second is not the whole story."""
    with pytest.warns(sim.CensoredWarning):
        lossy = needed([sim.Callback("1s", loss=0.5)], precision=0.5)
    (note,) = lossy.notes
    for shown in (repr(lossy), lossy._repr_html_()):
        assert "of its waits never resume" in shown
        assert "mean latency of resumed waits" in shown
        assert note in shown
    (ax,) = lossy.plot().axes
    assert " % never resumed): 5 replications" in ax.get_title(loc="left")
    assert "resume" not in repr(needed([sim.Callback("1s")], precision=0.5))


def test_waits_that_timed_out_never_resumed_either():
    """They leave no wait open, so nothing warns; their share is shown all the same."""
    step = sim.AsyncStep("ask", system="office", timeout="5min")
    found = sim.replications_for(
        SCENARIO.replace(process=sim.Process("p", [step])), [sim.Callback("1s")], precision=0.5,
        progress=False,
    )  # fmt: skip
    assert "of its waits never resume" in repr(found)
    assert not found.notes
