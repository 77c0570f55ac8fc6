"""Room that was guessed too small grows; what has no end is an error, the same in both engines."""

import numpy as np
import pandas as pd
import pytest
from both_engines import play_both
from plays import FREE, scenario_of
from test_same_answer import assert_same

import asyncsim as sim
from asyncsim.fast import compiled, layout
from asyncsim.fast.layout import Builder, first_sizes
from asyncsim.model.scenario import changed

ENGINES = ["simpy", "compiled"]


def scenario(system=FREE, steps=None, **more):
    """Return a scenario of ten instances that wait once."""
    steps = steps or [sim.AsyncStep("w", "out")]
    return scenario_of(steps, system, arrivals=range(10), **more)


@pytest.fixture
def growths(monkeypatch):
    """Count how often a run was begun again with more room."""
    found = []
    more = compiled._more

    def counted(*arguments):
        found.append(arguments[1])
        return more(*arguments)

    monkeypatch.setattr(compiled, "_more", counted)
    return found


def test_more_bins_than_guessed(growths):
    """Polled for two weeks although instances arrive for ten seconds."""
    wait = [sim.AsyncStep("w", "out", timeout=14 * 86400.0, on_timeout="continue")]
    waiting = scenario(sim.OnlineService("60d", lanes=None), wait, poll_work=1.0)
    assert_same(*play_both(waiting, sim.Polling("1h")))
    assert set(growths) == {compiled.state.MORE_BINS}


@pytest.mark.slow
def test_more_nights_than_guessed(growths):
    """A batch that runs on the first of the year only, three years in a row."""
    yearly = sim.NightlyBatch("0 0 1 1 *", 1.0, max_items=4)
    assert_same(*play_both(scenario(yearly), sim.Callback()))
    daily = sim.NightlyBatch("22:00", 1.0, max_items=1)
    assert_same(*play_both(scenario(daily), sim.Callback()))
    assert set(growths) == {compiled.state.MORE_NIGHTS}


def test_a_batch_that_runs_every_minute_has_nights_for_years(growths):
    """Submitted after twelve days, an item is done within a minute."""
    every_minute = sim.NightlyBatch("* * * * *", 1.0)
    later = [sim.Step("s", "12d"), sim.AsyncStep("w", "out")]
    assert_same(*play_both(scenario(every_minute, later), sim.Callback()))
    assert compiled.state.MORE_NIGHTS in growths


def test_more_working_hours_than_guessed(growths):
    """Each task is 100 hours of work for one person."""
    assert_same(*play_both(scenario(sim.People(1, "100h")), sim.Polling("1h")))
    assert set(growths) == {compiled.state.MORE_HOURS}


def test_more_intervals_than_guessed(growths):
    """A backoff that grows by a millionth each time makes more checks than were laid out."""
    slow = sim.Backoff(10.0, 1.000001, None)
    assert_same(*play_both(scenario(sim.OnlineService("1d", lanes=None), poll_work=0.001), slow))
    assert set(growths) == {compiled.state.MORE_INTERVALS}


def test_more_events_than_guessed(growths, monkeypatch):
    """However small the lanes are at first, the answer is the same."""
    sizes = first_sizes

    def small(*arguments):
        found = sizes(*arguments)
        found.lane = found.heap = 2
        return found

    monkeypatch.setattr(compiled, "first_sizes", small)
    for strategy in (sim.Polling(60, jitter=30), sim.Polling(60, "random"), sim.LongPolling(30)):
        busy = scenario(sim.OnlineService(sim.exponential("10min"), lanes=None), poll_work=2.0)
        assert_same(*play_both(busy, strategy))
    assert set(growths) == {compiled.state.MORE_ROOM}


def test_the_load_is_kept_to_the_end_although_nobody_worked_after_the_first_days():
    """Found by comparing engines: the table of the load ended with the room for its bins."""
    later = scenario(sim.NightlyBatch("22:00", 0.0, days="Sun"))
    assert_same(*play_both(later, sim.LongPolling(300)))


def beyond():
    """Return a law that no description can have: its sums are not finite."""
    law = sim.fixed(1.0)
    object.__setattr__(law, "value", 1.7e308)
    return law


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("system", "strategy", "error", "message"),
    [
        (
            sim.Chain([sim.OnlineService(1.3e9, lanes=None), sim.NightlyBatch("22:00", 1.0)]),
            sim.Callback(),
            sim.ScenarioError,
            r"NightlyBatch.start must come round again on some day, got '22:00'",
        ),
        (sim.People(1, 1e10), sim.Callback(), sim.ScenarioError, "ran out of open days"),
        (
            sim.OnlineService(beyond(), lanes=None),
            sim.Backoff(1.0, 10.0, None),
            sim.EngineError,
            "finite instant, got inf",
        ),
        pytest.param(
            sim.OnlineService("40000d", lanes=None),
            sim.Polling("1d"),
            sim.EngineError,
            "give a coarser resolution, such as",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_has_no_end_is_the_same_error(engine, system, strategy, error, message):
    """Out of nights, out of working hours, out of numbers, out of bins."""
    poll_work = 0.0 if isinstance(strategy, sim.Backoff) else 1.0
    with pytest.raises(error, match=message):
        sim.simulate(scenario(system, poll_work=poll_work), strategy, engine=engine)


def test_every_field_is_laid_out_under_its_own_name(monkeypatch):
    """A field that the state does not have is a mistake, not a guess."""
    monkeypatch.setattr(Builder, "_waits", lambda builder: {"no_such_field": 1})
    with pytest.raises(AssertionError, match="no_such_field"):
        sim.simulate(scenario(), sim.Callback(), engine="compiled")


def test_draws_are_read_and_never_written_to():
    """The kernels work on the very arrays a person has brought."""
    draws = scenario(sim.OnlineService(sim.exponential(60))).draw(1)
    kept = {name: values.copy() for name, values in draws.external.items()}
    arrivals = draws.arrivals.copy()
    for strategy in (sim.Polling(60), sim.Callback(sim.exponential(1.0), retries=[1.0], loss=0.5)):
        play_both(scenario(sim.OnlineService(sim.exponential(60))), strategy, draws=draws)
    np.testing.assert_array_equal(draws.arrivals, arrivals)
    np.testing.assert_array_equal(draws.external["w"], kept["w"])


def test_nobody_arrives():
    """No instance, no event, empty tables."""
    empty = sim.Draws([])
    for strategy in (sim.Callback(), sim.Polling(60), sim.LongPolling(30)):
        assert_same(*play_both(scenario(poll_work=1.0), strategy, draws=empty))


def test_a_retry_at_the_instant_at_which_a_batch_completes_another_item():
    """Both are events of the outside world, and so go by instance.

    Completions at 22:05, 22:10, 22:15; the first callback is lost and tried again at 22:15. The
    sender of the first tries again, then the batch completes the third item.
    """
    late = scenario_of(
        [sim.AsyncStep("w", "out")], sim.NightlyBatch("22:00", 300.0), (0.0, 1.0, 2.0)
    )
    runs = play_both(late, sim.Callback(loss=1.0, retries=[600.0]))
    assert_same(*runs)
    together = runs[0].deliveries.query("sent == 80100.0")
    assert together.serial_number.tolist() == ["1_1", "1_1", "3_1"]


def test_callbacks_that_take_no_time_are_recorded_as_they_come():
    """Found by comparing engines: two batches at one instant, the second begins with the first.

    Both instances are called back by the first batch before the second one collects, although the
    second callback of the first instance has the smaller row.
    """
    steps = [sim.AsyncStep("a", "early"), sim.AsyncStep("b", "late")]
    batches = {name: sim.NightlyBatch("22:00", 0.0) for name in ("early", "late")}
    runs = play_both(scenario_of(steps, batches, (1.0, 2.0)), sim.Callback())
    assert_same(*runs)
    assert runs[1].deliveries.serial_number.tolist() == ["1_1", "2_1", "1_2", "2_2"]


def test_a_cut_off_that_is_later_than_the_start_takes_nothing_from_the_future():
    """On the night on which 02:30 is skipped, the cut-off is the start, 03:00.

    Items submitted later must not be in the batch.
    """
    batch = sim.NightlyBatch("03:00", 600.0, cut_off="02:30")
    late = scenario_of(
        [sim.AsyncStep("w", "out", call_work=60.0)],
        batch,
        [7100.0 + 60.0 * k for k in range(8)],
        start="2026-03-29",
        zone="Europe/Berlin",
    )
    assert_same(*play_both(late, sim.Callback()))


@pytest.mark.parametrize("resolution", [0.1, 0.3, 7.0, 977.0])
def test_the_load_is_kept_in_the_same_bins_at_any_resolution(resolution):
    """Found by a reviewer: 1.0 // 0.1 is 9, whatever the quotient is rounded to."""
    busy = scenario(sim.OnlineService(20.0), poll_work=1.0)
    runs = [
        sim.simulate(busy, sim.Polling(5), engine=engine, resolution=resolution, seed=1)
        for engine in ENGINES
    ]
    pd.testing.assert_frame_equal(runs[0].server, runs[1].server, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("strategy", [sim.Callback(beyond()), sim.Callback(beyond(), loss=0.1)])
def test_a_delivery_at_no_finite_instant_is_an_error(engine, strategy):
    """An event that never comes must not be taken for the end of the run."""
    far = scenario(sim.NightlyBatch("22:00", beyond()))
    with pytest.raises(sim.EngineError, match="finite instant, got inf"):
        sim.simulate(far, strategy, engine=engine)


class Narrow:
    """NumPy where whole numbers have 32 bits by default, as in a browser."""

    def __getattr__(self, name):
        return getattr(np, name)

    def arange(self, *arguments, dtype=np.int32):
        return np.arange(*arguments, dtype=dtype)


def test_keys_have_64_bits_where_whole_numbers_have_32(monkeypatch):
    """A row's number is shifted by 16 bits: from row 32,768 on a short one would run over."""
    many = scenario_of([sim.AsyncStep("w", "out")], FREE, arrivals=range(40_000))
    wide = sim.simulate(many, sim.Callback(), engine="compiled")
    monkeypatch.setattr(layout, "np", Narrow())
    narrow = sim.simulate(many, sim.Callback(), engine="compiled")
    assert narrow.waits.equals(wide.waits)
    assert narrow.instances["outcome"].eq("done").all()


@pytest.mark.parametrize(
    ("strategy", "outcome", "resumed", "checks"),
    [(sim.Polling(60), "resumed", 200.0, 2), (sim.Polling(60, limit=1), "gave up", 150.0, 1)],
    ids=str,
)
def test_the_answer_of_a_check_is_of_the_moment_a_worker_picks_it_up(
    strategy, outcome, resumed, checks
):
    """Due at 60 s, picked up at 130 s, ended at 150 s: it does not see what is done at 135 s.

    A batch at 00:02 takes 15 s; the only worker is busy from 55 s to 130 s.
    """
    scenario = scenario_of(
        [sim.Step("first", 1.0), sim.AsyncStep("w", "out", on_timeout="continue")],
        sim.NightlyBatch("00:02", 1.0),
        [0.0, 55.0],
        workers=1,
        poll_work=20.0,
    )
    draws = sim.Draws(
        arrivals=[0.0, 55.0], work={"first": [0.0, 75.0]}, external={"w": [15.0, 15.0]}
    )
    for run in play_both(scenario, strategy, 300.0, draws=draws):
        wait = run.waits.set_index("instance").loc[1]
        assert (wait.completed, wait.closed, wait.outcome) == (135.0, resumed, outcome)
        assert wait.checks == checks


@pytest.mark.parametrize("strategy", [sim.Callback(), sim.Polling("1h"), sim.Callback(loss=1e-9)])
@pytest.mark.parametrize("before", [[], [20 * 3600.0 - 1]])
def test_a_cut_off_is_inclusive(strategy, before):
    """An item submitted at 20:00:00 is in time, alone or behind another; a second later, not."""
    arrivals = [*before, 20 * 3600.0, 20 * 3600.0 + 1]
    batch = sim.NightlyBatch("22:00", 10.0, cut_off="20:00")
    scenario = scenario_of([sim.AsyncStep("w", "out")], batch, arrivals)
    tonight = [22 * 3600.0 + 10.0 * (k + 1) for k in range(len(before) + 1)]
    for run in play_both(scenario, strategy):
        assert run.waits.completed.tolist() == [*tonight, (24 + 22) * 3600.0 + 10.0]


@pytest.mark.parametrize("limit", [None, "1 per 10 min"])
def test_a_copy_of_a_callback_is_not_tried_again(limit):
    """Refused because it is early, or one too many: its sender tries the original only."""
    scenario = scenario_of([sim.AsyncStep("w", "out", arm_delay="5min")], FREE, [0.0])
    scenario = changed(scenario, {"server.finish_limit": limit})
    strategy = sim.Callback(duplicates=1.0, duplicate_delay="1s", retries=["1h"])
    for run in play_both(scenario, strategy):
        assert run.waits.resumed.tolist() == [3600.0]
        second = "duplicate, rejected" if limit is None else "rate limited"
        early = "early, rejected" if limit is None else "rate limited"
        assert run.deliveries.outcome.tolist() == ["early, rejected", early, "finished", second]
        assert run.deliveries.attempt.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("results", ["per item", "at end"])
def test_callbacks_that_take_no_time_keep_the_order_of_their_instants(results):
    """Two lanes, three items submitted as 3, 2, 1, callbacks without work.

    By item they are done after 90, 90 and 60 s; at the end all are done together.
    """
    steps = [sim.Step("first", 1.0), sim.AsyncStep("w", "out"), sim.Step("last", 1.0)]
    batch = sim.NightlyBatch("22:00", 1.0, lanes=2, results=results)
    scenario = scenario_of(steps, batch, [0.0] * 3, workers=3)
    draws = sim.Draws(
        arrivals=[0.0] * 3,
        work={"first": [3e3, 2e3, 1e3], "w": [0.0] * 3, "last": [7.0] * 3},
        external={"w": [30.0, 90.0, 60.0]},
    )
    runs = play_both(scenario, sim.Callback(), draws=draws)
    assert_same(*runs)
    order = ["1_2", "2_2", "3_2"] if results == "at end" else ["3_2", "1_2", "2_2"]
    for run in runs:
        assert run.deliveries.serial_number.tolist() == order


def test_an_arrival_comes_before_a_step_behind_a_callback_that_takes_no_time():
    """At 22:00:10 an instance arrives, and a callback resumes another one: deliveries come last."""
    ten = 22 * 3600.0 + 10.0
    steps = [sim.Step("first", 1.0), sim.AsyncStep("w", "out"), sim.Step("last", 1.0)]
    scenario = scenario_of(steps, sim.NightlyBatch("22:00", 10.0), [0.0, ten], workers=1)
    draws = scenario.draw()
    for run in play_both(scenario, sim.Callback(), draws=draws):
        started = run.steps.set_index(["instance", "step"]).started
        assert (started[2, "first"], started[1, "last"]) == (ten, ten + 1.0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("poll_work", [0.0, 0.001])
@pytest.mark.parametrize(
    "strategy",
    [sim.Polling(60, jitter=30)]
    + [sim.Backoff(60, 1.0, jitter=kind) for kind in ("full", "equal", "decorrelated")],
    ids=str,
)
def test_every_check_has_a_jitter_of_its_own(engine, poll_work, strategy):
    """The interval from one check to the next is not the same twice, but for its smallest part."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], FREE, [0.0] * 30, poll_work=poll_work)
    ends = []
    for external in np.arange(1.0, 400.0, 20.0):
        draws = sim.Draws(arrivals=[0.0] * 30, external={"w": [external] * 30}, seed=1)
        run = sim.simulate(scenario, strategy, draws=draws, engine=engine)
        ends.append(run.waits[["checks", "resumed"]].to_numpy())
    for instance in range(30):
        seen = dict(found[instance] for found in ends)  # when each check ended
        late = [seen[k] - 60 * k for k in seen if k > 1]
        if isinstance(strategy, sim.Backoff):
            late = [seen[k] - seen[k - 1] for k in seen if k - 1 in seen]
        assert len(np.unique(np.round(late, 6))) == len(late)
