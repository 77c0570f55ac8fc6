"""Sweeps: what compare says, at every point, wherever it is played."""

import io
import itertools
import logging
import os
import re
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from handed_out import assert_handed_out

import asyncsim as sim
from asyncsim.engine.metrics import metrics_of
from asyncsim.model.scenario import changed
from asyncsim.model.units import seconds_of_day
from asyncsim.studies import sweep as tasks
from asyncsim.studies.checkpoint import Checkpoint

PAIR = [sim.Callback("1s"), sim.Polling("5min")]
GRID = {"server.workers": [1, 2], "systems.ledger.start": ["20:00", "22:00"]}


def orders(system=None):
    """A small day: the batch is short, and few workers make jobs queue."""
    return sim.Scenario(
        name="orders",
        process=sim.Process("p", [sim.Step("check", work="5min"), sim.AsyncStep("post", "ledger")]),
        systems={"ledger": system or sim.NightlyBatch("22:00", sim.exponential("20s"))},
        arrivals=sim.Poisson("60/day", between=("08:00", "20:00")),
        server=sim.WorkflowServer(poll_work="1s"),
    )


def swept(grid=GRID, strategies=PAIR, **options):
    """The sweep of these tests, with changes."""
    return sim.sweep(
        orders(), grid, strategies, **({"replications": 4, "progress": False} | options)
    )


class Fragile(sim.OnlineService):
    """A custom system that fails with three lanes."""

    def run(self, context):
        if self.lanes == 3:
            raise RuntimeError("three is too many")
        return super().run(context)


class Counting(Executor):
    """Plays in this process, and records the points."""

    def __init__(self):
        self.points, self.tasks, self.shut = [], 0, False

    def submit(self, fn, /, task):
        self.points += dict.fromkeys(point for point, _, _ in task)
        self.tasks += 1
        future = Future()
        future.set_result(fn(task))
        return future

    def shutdown(self, *_, **__):
        self.shut = True


def test_every_point_has_the_figures_of_compare_to_the_last_bit():
    """The same random numbers, the same intervals, for each strategy and metric."""
    found = swept(seed=7)
    for number, values in enumerate(itertools.product(*GRID.values())):
        scenario = changed(orders(), dict(zip(GRID, values, strict=True)))
        compared = sim.compare(scenario, PAIR, replications=4, seed=7, progress=False).table
        point = found.table[found.table["point"] == number]
        assert (point[list(GRID)] == list(values)).all(axis=None)
        both = point.merge(compared, on=["metric", "strategy"], suffixes=("", "_compared"))
        assert len(both) == len(point) == len(compared) == 2 * len(metrics_of(orders()))
        for name in ("mean", "low", "high", "n", "unit"):
            pd.testing.assert_series_equal(
                both[name], both[f"{name}_compared"], check_exact=True, check_names=False
            )


def test_the_runs_are_those_of_simulate():
    """One row per run, with all its figures."""
    found = swept(replications=2, seed=3)
    assert len(found.runs) == 4 * 2 * 2
    for row in found.runs.sample(4, random_state=1).to_dict("records"):
        scenario = changed(orders(), {name: row[name] for name in GRID})
        strategy = next(one for one in PAIR if one.label == row["strategy"])
        run = sim.simulate(scenario, strategy, seed=3, replication=row["replication"])
        assert row["armed"] == len(run.waits)
        assert row["max_latency"] == run.waits.latency.max()


@pytest.fixture(scope="module")
def serial():
    """The sweep on one process, in tasks of one or several points."""
    return swept(GRID | {"server.workers": [1, 2, 3]}, replications=6)


def same(one, two):
    """Assert that two sweeps have the same frames to the last bit."""
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)
    pd.testing.assert_frame_equal(one.runs, two.runs, check_exact=True)


@pytest.mark.parametrize("pool", [ProcessPoolExecutor, ThreadPoolExecutor])
def test_pools_give_the_same_frames(serial, pool):
    """Processes and threads; the pool stays open."""
    with pool(2) as executor:
        same(serial, swept(GRID | {"server.workers": [1, 2, 3]}, replications=6, executor=executor))
        assert executor.submit(os.getpid).result()


def test_several_processes_give_the_same_frames(serial):
    """As in compare."""
    same(serial, swept(GRID | {"server.workers": [1, 2, 3]}, replications=6, n_jobs=2))


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_frames(serial, tmp_path):
    """A real one, with processes of its own."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(tmp_path),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2
        assert os.getpid() not in pids
        executor = client.get_executor()
        same(serial, swept(GRID | {"server.workers": [1, 2, 3]}, replications=6, executor=executor))


def test_threads_do_not_warn_of_open_waits_one_by_one():
    """A warning is an error in these tests: one within a thread would be the error of a point."""
    lost = [sim.Callback(loss=1.0)]
    with ThreadPoolExecutor(4) as executor, pytest.warns(sim.CensoredWarning) as caught:
        found = swept({"server.workers": [1, 2, 3]}, lost, replications=40, executor=executor)
    assert found.errors.empty
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("runs", [1, 3, 10**6])
def test_the_size_of_tasks_changes_nothing(monkeypatch, serial, runs):
    """One replication at a time, or everything at once."""
    monkeypatch.setattr(tasks, "RUNS", runs)
    executor = Counting()
    same(serial, swept(GRID | {"server.workers": [1, 2, 3]}, replications=6, executor=executor))
    assert not executor.shut


def test_tasks_are_large_enough_to_be_worth_it():
    """Small points travel together."""
    executor = Counting()
    found = swept(GRID | {"server.workers": list(range(1, 41))}, replications=2, executor=executor)
    assert len(found.runs) == 80 * 2 * 2
    assert executor.tasks == 80 * 2 * 2 / tasks.RUNS


def test_a_point_that_fails_is_a_row_with_its_error():
    """The others are played; whether its values or its run were at fault."""
    scenario = orders(Fragile("10s"))
    grid = {"systems.ledger.lanes": [1, 3, 4]}
    found = sim.sweep(scenario, grid, PAIR, replications=2, progress=False)
    assert found.errors.to_dict("records") == [
        {"point": 1, "systems.ledger.lanes": 3, "error": "RuntimeError: three is too many"}
    ]
    latency = found.of("mean_latency")
    assert latency["error"].tolist() == ["", "", *["RuntimeError: three is too many"] * 2, "", ""]
    assert latency["mean"].isna().tolist() == [False, False, True, True, False, False]
    assert set(found.runs["point"]) == {0, 2}
    assert "three is too many" in found._repr_html_()
    assert "1 with an error" in repr(found)
    plt.close(found.plot())


def test_values_that_do_not_go_together_are_a_row_with_their_error():
    """A batch cannot end when it starts."""
    found = swept(
        {"systems.ledger.start": ["20:00", "22:00"], "systems.ledger.end": ["22:00", "23:00"]}
    )
    assert found.errors["point"].tolist() == [2]
    assert "NightlyBatch.end must differ from the start" in found.errors["error"][0]
    assert len(found.runs) == 3 * 2 * 4


def test_resuming_plays_nothing_twice(tmp_path, serial, monkeypatch):
    """A sweep that was stopped goes on where it stopped, to the same frames."""
    grid, file = GRID | {"server.workers": [1, 2, 3]}, tmp_path / "sweep.sqlite"
    play, begun = tasks.play, []

    def interrupted(task):
        begun.append(task[0][0])
        if len(begun) == 5:
            raise KeyboardInterrupt
        return play(task)

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "play", interrupted)
        with pytest.raises(KeyboardInterrupt):
            swept(grid, replications=6, resume=file)
    rest = Counting()
    found = swept(grid, replications=6, resume=file, executor=rest)
    assert found.resumed == 4
    assert begun == [0, 1, 2, 3, 4]
    assert rest.points == [4, 5]
    same(found, serial)
    nothing = Counting()
    same(swept(grid, replications=6, resume=str(file), executor=nothing), serial)
    assert nothing.points == []


def test_an_interrupted_sweep_calls_off_what_has_not_begun(tmp_path, monkeypatch):
    """Ctrl-C does not wait for a thousand tasks."""

    class Slow(Counting):
        def __init__(self):
            super().__init__()
            self.futures = []

        def submit(self, fn, /, task):
            self.futures.append(Future() if self.futures else super().submit(fn, task))
            return self.futures[-1]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "put", interrupted)
    monkeypatch.setattr(tasks, "RUNS", 8)
    executor = Slow()
    with pytest.raises(KeyboardInterrupt):
        swept(resume=tmp_path / "s.sqlite", executor=executor)
    assert [future.cancelled() for future in executor.futures] == [False, True, True, True]


def test_values_may_be_added_to_the_grid_of_a_file(tmp_path):
    """Only the new points are played; failed ones are tried again."""
    file, scenario = tmp_path / "s.sqlite", orders(Fragile("10s"))
    for values, played in (([1, 3], [0, 1]), ([1, 2, 3], [1, 2])):
        executor = Counting()
        grid = {"systems.ledger.lanes": values}
        sim.sweep(scenario, grid, PAIR, 2, resume=file, executor=executor, progress=False)
        assert executor.points == played


def test_missing_figures_come_back_from_a_file(tmp_path):
    """NaN stays NaN: without a resumed wait latency is missing."""
    grid, lost = {"server.workers": [1]}, [sim.Callback(loss=1.0)]
    file = tmp_path / "s.sqlite"
    for _ in range(2):
        with pytest.warns(sim.CensoredWarning, match="at 1 of 1 points"):
            found = swept(grid, lost, resume=file)
        assert found.of("mean_latency")["mean"].isna().all()
        assert (found.runs["still_waiting"] > 0).all()
    assert found.resumed == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replications": 5}, "other replications: '4' there, '5' here"),
        ({"seed": 2}, "another seed: '0' there, '2' here"),
        ({"engine": "simpy"}, "another engine: 'auto' there, 'simpy' here"),
        ({"grid": {"server.workers": [1, 2]}}, "other swept fields"),
        (
            {"grid": {name: tuple(GRID[name]) for name in GRID}, "sample": 3},
            "another sample: 'none'",
        ),
        ({"strategies": PAIR[:1]}, "other strategies"),
        ({"strategies": [PAIR[0], sim.Polling("5min", jitter="1s")]}, "other strategies"),
    ],
)
def test_a_file_of_another_sweep_is_refused_naming_the_difference(tmp_path, options, message):
    """It is not played into."""
    file = tmp_path / "s.sqlite"
    swept(resume=file)
    before = file.read_bytes()
    with pytest.raises(
        sim.ScenarioError, match="resume must be a file of this same sweep"
    ) as caught:
        swept(**({"resume": file} | options))
    assert message in str(caught.value)
    assert file.read_bytes() == before


def test_a_file_of_another_scenario_is_refused_with_the_line_that_differs(tmp_path):
    """So one sees at once what was changed in between."""
    file = tmp_path / "s.sqlite"
    swept(resume=file)
    other = changed(orders(), {"arrivals.rate": "61/day"})
    with pytest.raises(sim.ScenarioError, match=r"another scenario: .*60/day.* there, .*61/day"):
        sim.sweep(other, GRID, PAIR, 4, resume=file, progress=False)


def test_a_file_that_is_none_of_a_sweep_is_refused(tmp_path):
    """It is left as it is."""
    text = tmp_path / "notes.csv"
    text.write_text("not a database, only words, many of them\n" * 40)
    with pytest.raises(sim.ScenarioError, match=r"resume must be a new file or one of a sweep"):
        swept(resume=text)
    assert text.read_text().startswith("not a database")
    with pytest.raises(sim.ScenarioError, match=r"resume must be .* \(unable to open"):
        swept(resume=tmp_path / "nowhere" / "s.sqlite")


def test_a_latin_hypercube_has_one_point_in_each_stratum():
    """Of every range: numbers, durations, rates, clock times and whole numbers."""
    ranges = {
        "server.poll_work": ("1s", "5s"),
        "arrivals.rate": ("20/day", "60/day"),
        "systems.ledger.start": ("20:00", "22:00"),
        "systems.ledger.skip": (0.0, 0.5),
        "server.workers": (1, 8),
    }
    found = swept(ranges, PAIR[:1], sample=8, replications=1, seed=5)
    points = found.of("armed")
    assert len(points) == 8
    assert found.errors.empty
    rates = [float(text.removesuffix("/day")) for text in points["arrivals.rate"]]
    clocks = [seconds_of_day(text) / 3600 for text in points["systems.ledger.start"]]
    for figures, low, high in (
        (points["server.poll_work"], 1, 5),
        (rates, 20, 60),
        (clocks, 20, 22),
        (points["systems.ledger.skip"], 0, 0.5),
        (points["server.workers"], 1, 9),
    ):
        strata = np.floor((np.array(figures, float) - low) / (high - low) * 8 + 1e-9)
        assert sorted(strata) == list(range(8))


def test_a_sample_is_chosen_by_the_seed():
    """The same seed, the same points; another seed, others."""
    ranges = {"server.poll_work": ("1s", "5s"), "systems.ledger.skip": (0.0, 0.5)}
    one, again, other = (
        swept(ranges, PAIR[:1], sample=3, replications=2, seed=seed) for seed in (1, 1, 2)
    )
    same(one, again)
    assert set(one.runs["server.poll_work"]).isdisjoint(other.runs["server.poll_work"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"server.worker": [1]}}, "did you mean 'workers'"),
        ({"grid": {"systems.legder.start": ["22:00"]}}, "did you mean 'ledger'"),
        ({"grid": {"process.steps.pots.timeout": ["1h"]}}, "did you mean 'post'"),
        ({"grid": {}}, "grid must map dotted names of fields to values"),
        ({"grid": [1, 2]}, "grid must map dotted names of fields to values"),
        ({"grid": {"server.workers": 4}}, "grid['server.workers'] must be a list of values, got 4"),
        ({"grid": {"server.workers": []}}, "must be a list of values, got []"),
        ({"grid": {"server.workers": "4"}}, "must be a list of values, got '4'"),
        ({"grid": {"server.workers": [2, 4, 2]}}, "must hold each value once, got 2"),
        ({"grid": {"server.workers": [2, 0]}}, "WorkflowServer.workers must be a whole number"),
        ({"grid": {"server.poll_work": ["1s", "1 sce"]}}, "did you mean 'sec'"),
        ({"sample": 0}, "sample must be a whole number, 1 or more, got 0"),
        ({"sample": 3, "grid": {"server.workers": [1, 2, 3]}}, "must be a range (low, high)"),
        ({"sample": 3, "grid": {"server.workers": (4, 2)}}, "must be a range (low, high)"),
        ({"sample": 3, "grid": {"arrivals.rate": ("1/h", "9/day")}}, "rates of one unit"),
        ({"sample": 3, "grid": {"server.workers": (0, 2)}}, "WorkflowServer.workers must be"),
        ({"strategies": []}, "strategies must be a list such as"),
        ({"replications": 0}, "replications must be a whole number, 1 or more, got 0"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, got -1"),
        ({"engine": "simpi"}, "did you mean 'simpy'"),
        ({"n_jobs": 0}, "n_jobs must be a whole number"),
        ({"executor": 2}, "executor must be a concurrent.futures.Executor"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1"),
        ({"confidence": "x"}, "confidence must be between 0 and 1, got 'x'"),
        ({"resume": 5}, "resume must be the path of a file"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    """The message has the argument, the value and what would be right; nothing is played."""
    executor = Counting()
    with pytest.raises(sim.ScenarioError, match=re.escape(message)):
        swept(**({"executor": executor} | options))
    assert executor.points == []


def test_an_unknown_figure_gets_the_nearest():
    """Of the table."""
    with pytest.raises(sim.ScenarioError, match="did you mean 'mean_latency'"):
        swept(replications=1).of("mean_latencies")


def test_one_field_is_drawn_as_lines_with_bands():
    """A line per strategy, at the places of the values."""
    figure = swept({"server.poll_work": ["1s", "1min", "2s"]}).plot("overhead_worker_time")
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.lines] == ["callback", "polling 5 min"]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 60]
    assert len(ax.collections) == 2
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1 s", "1 min", "2 s"]
    assert ax.get_ylabel() == "worker time for noticing"


def test_two_fields_are_drawn_as_a_map_per_strategy():
    """Values of the fields in their order along the axes."""
    found = swept({"server.workers": [4, 1], "systems.ledger.start": ["22:00", "20:00"]})
    figure = found.plot("mean_cycle_time")
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["callback", "polling 5 min"]
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "4"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["20:00", "22:00"]
    table = found.of("mean_cycle_time").set_index(["strategy", *found.names])["mean"]
    shown = ax.images[0].get_array()
    assert shown[1, 0] == table["callback", 1, "22:00"]
    assert shown[0, 1] == table["callback", 4, "20:00"]


@pytest.mark.parametrize("fields", [["server.workers"], list(GRID), [*GRID, "server.poll_work"]])
def test_a_single_point_and_points_without_figures_can_be_drawn(fields):
    """There is little to see, but no error and no warning."""
    values = {name: (GRID | {"server.poll_work": ["1s"]})[name][:1] for name in fields}
    broken = orders(Fragile("10s", lanes=3))
    values_of_broken = {"server.workers": [1, 2], "server.poll_work": ["1s"]}
    for scenario, grid in ((orders(), values), (broken, values_of_broken)):
        found = sim.sweep(scenario, grid, PAIR, replications=1, progress=False)
        found.plot().savefig(io.BytesIO())


def test_a_sample_is_drawn_as_points_over_each_field():
    """Side by side."""
    ranges = {"server.workers": (1, 4), "systems.ledger.start": ("20:00", "22:00")}
    figure = swept(ranges, sample=3, replications=2).plot()
    assert [ax.get_xlabel() for ax in figure.axes] == ["workers of the server", "start of ledger"]
    assert all(re.fullmatch(r"2\d:\d\d", t.get_text()) for t in figure.axes[1].get_xticklabels())


def test_it_is_shown_as_text_and_as_html():
    """Points down, strategies across; names are escaped."""
    found = sim.sweep(
        changed(orders(), {"name": "a<b"}), GRID, PAIR, replications=2, seed=9, progress=False
    )
    assert "a&lt;b" in found._repr_html_()
    for shown in (repr(found), found._repr_html_()):
        for part in ("workers of the server", "20:00", "polling 5 min", "4 points", "seed 9"):
            assert part in shown


def test_the_progress_bar_counts_points(capsys):
    """On standard error, as everywhere."""
    swept(progress=True)
    assert "sweeping" in capsys.readouterr().err


def test_fields_of_strategies_are_swept_in_those_that_have_them():
    """An interval for polling; the callback has none and is played as it is."""
    grid = {"strategy.interval": ["1min", "5min"], "server.workers": [1, 2]}
    found = swept(grid)
    assert found.strategies == ("callback", "polling")
    for interval in ("1min", "5min"):
        alone = swept({"server.workers": [1, 2]}, [PAIR[0], sim.Polling(interval)])
        here = found.table[found.table["strategy.interval"] == interval]
        np.testing.assert_array_equal(here["mean"], alone.table["mean"])
    found.plot()


def test_a_field_of_two_strategies_is_swept_in_both():
    """Labels leave out what is swept, and say what else differs."""
    pair = [sim.Polling("5min"), sim.Polling("5min", "clock")]
    assert swept({"strategy.interval": ["1min", "2min"]}, pair).strategies == (
        "polling",
        "polling anchor=clock",
    )
    safe = [sim.CallbackWithSafetyPoll("2s", loss=loss) for loss in (0.1, 0.2)]
    assert swept({"strategy.every": ["1h"]}, safe, replications=1).strategies == (
        "callback with safety poll loss=0.1",
        "callback with safety poll loss=0.2",
    )
    same = [sim.Polling("1min"), sim.Polling("5min")]
    assert swept({"strategy.interval": ["1min"]}, same, replications=1).strategies == (
        "polling",
        "polling (2)",
    )


def test_a_field_that_no_strategy_has_is_named():
    """With the nearest one."""
    match = "'strategy.intervall' names no field.*did you mean 'interval'"
    with pytest.raises(sim.ScenarioError, match=match):
        swept({"strategy.intervall": ["1min"]})
    with pytest.raises(sim.ScenarioError, match=r"Polling.interval must be positive, got '-1min'"):
        swept({"strategy.interval": ["-1min"]})


def test_strategies_are_swept_over_a_sample_and_on_processes():
    """The same frames on any executor, with a field of a strategy among those sampled."""
    ranges = {"strategy.interval": ("1min", "20min"), "server.workers": (1, 3)}
    one, two = (swept(ranges, sample=5, replications=2, n_jobs=n) for n in (1, 2))
    same(one, two)


def test_a_cost_needs_prices():
    """The metric exists, but not for this scenario."""
    with pytest.raises(sim.ScenarioError, match=r"metric .cost. needs prices: a .costs. table"):
        swept().of("cost")
    priced = orders().replace(costs=sim.CostModel(check=1.0))
    found = sim.sweep(priced, {"costs.check": [1.0, 3.0]}, PAIR, replications=2, progress=False)
    polled = found.of("cost").query("strategy == 'polling 5 min'")["mean"].tolist()
    assert polled[1] == pytest.approx(3 * polled[0])


def test_prices_may_be_swept_as_a_whole():
    """A scenario without prices has costs where a point brings some, in their currency."""
    prices = [
        None,
        sim.CostModel(check=1.0, currency="EUR"),
        sim.CostModel(check=2, currency="CHF"),
    ]
    found = swept({"costs": prices}, PAIR, replications=2)
    polled = found.of("cost").query("strategy == 'polling 5 min'")
    assert polled["unit"].tolist()[1:] == ["EUR", "CHF"]
    assert np.isnan(polled["mean"].iloc[0])
    assert polled["mean"].iloc[2] == pytest.approx(2 * polled["mean"].iloc[1])
    runs = found.runs.query("strategy == 'polling 5 min' and point == 1")
    np.testing.assert_allclose(runs["cost"], runs["requests"])  # a check is a request
    found.plot("cost")


def test_a_sampled_rate_is_shown_in_a_few_digits():
    """The value in the table keeps them all, so that it can be played again."""
    ranges = {"arrivals.rate": ("100/h", "500/h")}
    found = swept(ranges, sample=2, replications=2)
    shown = repr(found).splitlines()[-1 - len(found.notes)].split()[0]
    assert len(shown) <= len("123.456/h")
    whole = found.table["arrivals.rate"].iloc[-1]
    assert float(shown.removesuffix("/h")) == pytest.approx(float(whole.removesuffix("/h")))


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_a_sampled_share_from_zero_to_one_is_no_count():
    """Whole numbers at the ends do not make 0 and 1 the only values."""
    found = swept(
        {"strategy.loss": (0, 1)}, [sim.Callback(loss=0.1, retries=["1min"])], sample=6,
        replications=1,
    )  # fmt: skip
    losses = found.runs["strategy.loss"]
    assert ((losses > 0) & (losses < 1)).all()
    assert losses.nunique() == 6


def test_the_same_strategies_in_another_order_are_said_to_be_that(tmp_path):
    """They are kept by their place."""
    file = tmp_path / "sweep.db"
    swept(resume=file, replications=1)
    with pytest.raises(sim.ScenarioError, match="other strategies: the same ones in another order"):
        swept(strategies=PAIR[::-1], resume=file, replications=1)


def test_the_share_never_resumed_stands_beside_a_mean():
    """In text, HTML, and the pictures over one field and over two, at the points that lose any."""
    pair = [sim.Callback("1s", loss=0.1), sim.Polling("5min")]
    grid = {"strategy.loss": [0.0, 0.3]}
    with pytest.warns(sim.CensoredWarning):
        found = swept(grid, pair, replications=2)
    share = found.runs.query("strategy == 'callback'").groupby("point")["unresumed_share"].mean()
    assert share[0] == 0
    beside = f"({100 * share[1]:.3g} % never resumed)"
    (note,) = found.notes
    for shown in (repr(found), found._repr_html_()):
        assert shown.count("never resumed") == 1
        assert beside in shown
        assert "mean latency of resumed waits ± half-width" in shown
        assert f"p to {100 * share[1]:.3g} % (" in shown
        assert note in shown
    figure = found.plot()
    texts = figure.axes[0].get_legend_handles_labels()[1]
    assert texts == [f"callback (up to {beside[1:]}", "polling 5 min"]
    assert figure.axes[0].get_ylabel() == "mean latency of resumed waits"
    with pytest.warns(sim.CensoredWarning):
        maps = swept(grid | {"server.workers": [4]}, pair, replications=2).plot()
    numbers = [text.get_text() for text in maps.axes[0].texts]
    assert ["never" in number for number in numbers] == [False, True]


@pytest.mark.parametrize("name", ["table", "runs"])
def test_tables_are_the_callers_own(name):
    """Changing a table of a sweep changes nothing in it."""
    scenario = sim.Scenario.load("data/person.toml")
    grid = {"server.workers": [1, 2]}
    found = sim.sweep(scenario, grid, [sim.Callback()], replications=2, progress=False)
    assert_handed_out(found, name)
