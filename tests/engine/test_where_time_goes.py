"""Where the time goes beside the workers: the engine's delay, the store, slower jobs under load."""

import pytest
from attrs import evolve
from both_engines import play_both

import asyncsim as sim
from asyncsim.engine.loads import STORE
from asyncsim.experiment.statistics import mean_interval

REPLICATIONS, CERTAIN = 20, 0.999


def one_wait(external="0s", arrivals=None, length="1 day", timeout=None, **server):
    """Return a scenario of one step that waits for a service without a queue."""
    return sim.Scenario(
        name="one wait",
        process=sim.Process("p", [sim.AsyncStep("ask", "s", timeout=timeout)]),
        systems={"s": sim.OnlineService(external, lanes=None)},
        arrivals=arrivals or sim.ArrivalTimes([0.0]),
        length=length,
        server=sim.WorkflowServer(**server),
    )


def together(number, **server):
    """Return a scenario of callbacks that come at once."""
    return one_wait(arrivals=sim.ArrivalTimes([0.0] * number), **server)


def mean_latency(scenario, strategy, after):
    """Return the mean latency of callbacks sent later than an instant, over replications."""
    found = []
    for k in range(REPLICATIONS):
        waits = sim.simulate(scenario, strategy, seed=1, replication=k).waits
        found.append(waits.loc[waits["completed"] > after, "latency"].mean())
    return mean_interval(found, CERTAIN)


def test_two_engines_delay_a_step_after_its_finish():
    """A callback at 10 s, or the check of 12 s that sees it, and 1.3 s more, without a worker."""
    for strategy, noticed in ((sim.Callback(), 10.5), (sim.Polling("12s"), 12.25)):
        delayed = one_wait("10s", engine_delay="1.3s", callback_work="0.5s", poll_work="0.25s")
        for run in play_both(delayed, strategy):
            assert run.waits["resumed"].tolist() == pytest.approx([noticed + 1.3])
            assert run.record.ended.tolist() == pytest.approx([noticed + 1.3])
            overhead = run.overhead.set_index("kind")["worker_seconds"]
            assert overhead.sum() == pytest.approx(noticed - 10 if noticed < 12 else 0.25)


def test_a_delayed_step_is_finished_but_its_wait_is_open():
    """No time-out comes any more, a second finish is a duplicate, and a stop shows it waiting."""
    scenario = one_wait("10s", timeout="11s", engine_delay="5s")
    twice = sim.Callback(duplicates=1.0, duplicate_delay="2s")
    for run in play_both(scenario, twice):
        assert run.waits["outcome"].tolist() == ["resumed"]
        assert run.waits["resumed"].tolist() == [15.0]
        assert run.deliveries["outcome"].tolist() == ["finished", "duplicate, rejected"]
    for run in play_both(scenario, twice, until=12.0):
        assert (run.record.open_count, run.record.open_seconds) == (1, 12.0)
        assert run.waits["outcome"].tolist() == ["waiting"]
        assert run.waits["resumed"].isna().all()


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_workers_do_not_help_a_store_with_one_writer(workers):
    """A herd of N drains in N times its time at the store, however many workers there are."""
    scenario = together(100, workers=workers, store=sim.SharedStore(callback_work="6ms"))
    for run in play_both(scenario, sim.Callback()):
        assert run.waits["resumed"].max() == pytest.approx(0.6)
        assert run.record.store_seconds == pytest.approx(0.6)


def test_the_herd_of_a_batch_drains_as_the_store_allows():
    """N callbacks of 6 ms, two at a time, then the delay of the engine: exact."""
    scenario = one_wait(workers=8, engine_delay="2s").replace(
        systems={"s": sim.NightlyBatch("22:00", "1ms", results="at end")},
        arrivals=sim.UniformArrivals(601, between=("08:00", "20:00")),
    )
    store = sim.SharedStore(callback_work="6ms", writers=2)
    for callback_work, exact in ((0, True), ("1ms", False)):
        server = evolve(scenario.server, store=store, callback_work=callback_work)
        herd = sim.herd_drain(scenario.replace(server=server), replications=2, progress=False)
        assert herd.exact is exact
        assert herd.drained.mean >= herd.theory.mean - 1e-6
        assert not exact or herd.drained.mean == pytest.approx(301 * 0.006 + 2, abs=1e-6)


def test_clients_that_slow_each_other_make_more_workers_slower():
    """The first c of N see 0 … c - 1 others at the store, and each after them sees c - 1."""
    for c in (1, 2, 8):
        store = sim.SharedStore(callback_work="1s", slows_down=0.25)
        seen = [*range(c), *[c - 1] * (100 - c)]
        for run in play_both(together(100, workers=c, store=store), sim.Callback()):
            assert run.waits["resumed"].max() == pytest.approx(sum(1 + 0.25 * n for n in seen))


def test_two_writers_and_own_work_follow_a_queue_by_hand():
    """Three workers with 1 s of their own: the store takes two at a time, 2 s each."""
    store = sim.SharedStore(callback_work="2s", writers=2)
    for run in play_both(together(5, workers=3, callback_work="1s", store=store), sim.Callback()):
        # Begun 0, 0, 0, 3, 3; at the store 0-2, 0-2, 2-4, 3-5, 4-6; and 1 s more
        assert run.waits["resumed"].tolist() == [3.0, 3.0, 5.0, 6.0, 7.0]


def test_a_check_needs_the_store_even_without_work_of_its_own():
    """Checks of two waits at 10 s come one after the other; the second sees its work, too."""
    scenario = together(2, store=sim.SharedStore(check_work="3s"))
    for run in play_both(scenario, sim.Polling("10s")):
        assert run.waits["resumed"].tolist() == [13.0, 16.0]


def test_poisson_callbacks_wait_for_the_store_as_in_m_d_1():
    """With workers to spare a callback waits ρ s / (2 (1 - ρ)) for the store, then s."""
    s, rho = 0.6, 0.6
    arrivals, store = sim.Poisson("1/s"), sim.SharedStore(callback_work=s)
    scenario = one_wait(arrivals=arrivals, length="50min", workers=60, store=store)
    expected = s + rho * s / (2 * (1 - rho))
    found = mean_latency(scenario, sim.Callback(), after=200.0)
    assert found.low <= expected <= found.high
    assert found.half_width < 0.05 * expected
    run = sim.simulate(scenario, sim.Callback(), seed=1)
    assert run.loads[STORE] == pytest.approx(rho, rel=0.1)


def test_jobs_that_slow_each_other_take_as_long_as_littles_law_says():
    """With workers to spare a job takes s (1 + a N), of which N = λ s (1 + a N) are present."""
    s, slows_down = 2.0, 0.1
    scenario = one_wait(
        arrivals=sim.Poisson("1/s"),
        length="50min",
        workers=60,
        callback_work=s,
        slows_down=slows_down,
    )
    found = mean_latency(scenario, sim.Callback(), after=200.0)
    expected = s / (1 - slows_down * s)
    assert found.low <= expected <= found.high
    assert found.half_width < 0.05 * expected


def test_a_herd_is_slower_by_all_that_come_before():
    """Job k of a herd at one worker finds k others there."""
    scenario = together(50, workers=1, callback_work="1s", slows_down=0.5)
    for run in play_both(scenario, sim.Callback()):
        assert run.waits["resumed"].max() == pytest.approx(sum(1 + 0.5 * k for k in range(50)))


def test_an_overloaded_store_is_named():
    """Eight callbacks of 6 s a minute: 80 % of one writer, 160 % of it at twice the rate."""
    store = sim.SharedStore(callback_work="6s")
    for rate, load in (("8/min", 0.8), ("16/min", 1.6)):
        scenario = one_wait(arrivals=sim.Poisson(rate), length="3h", workers=50, store=store)
        run = sim.simulate(scenario, sim.Callback(), seed=1)
        assert run.loads[STORE] == pytest.approx(load, rel=0.1)
        comparison = sim.compare(scenario, [sim.Callback()], replications=2, progress=False)
        text = " ".join(comparison.findings())
        assert ("The store is overloaded" in text, "workers are over" in text) == (load > 1, False)
    target, effort = "mean_latency <= 20s", {"replications": 2, "progress": False}
    answer = sim.fewest_workers(scenario, sim.Callback(), target, between=(1, 64), **effort)
    assert answer.value is None
    assert "The store is overloaded" in " ".join(answer.findings())
    assert "The store needs at least 160 % of the time" in sim.explain(scenario).sentences[0]


def test_closed_forms_add_the_delay_and_cannot_tell_of_the_store():
    """The latency of a callback is exact with a delay; with a store there is a reason for none."""
    arrivals, delay = sim.Poisson("1/min"), sim.exponential("30s")
    delayed = one_wait("1min", arrivals, length="20h", engine_delay=delay)
    expected = sim.explain(delayed, sim.Callback("5s")).value("ask", "resume latency")
    assert expected == pytest.approx(35.0)
    found = mean_latency(delayed, sim.Callback("5s"), after=0.0)
    assert found.low <= expected <= found.high
    for more in ({"store": sim.SharedStore(callback_work=1)}, {"slows_down": 1}):
        explained = sim.explain(one_wait("1min", arrivals, callback_work="1s", **more))
        assert "no closed form for its latency" in " ".join(explained.sentences)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sim.WorkflowServer(engine_delay="-1s"), "WorkflowServer.engine_delay"),
        (lambda: sim.WorkflowServer(slows_down=-0.1), "WorkflowServer.slows_down must not be neg"),
        (lambda: sim.WorkflowServer(slows_down=True), "WorkflowServer.slows_down must be a finite"),
        (lambda: sim.WorkflowServer(store="1ms"), r"WorkflowServer.store must be a SharedStore\("),
        (lambda: sim.SharedStore(writers=0), "SharedStore.writers must be"),
        (lambda: sim.SharedStore(check_work="-1s"), "SharedStore.check_work must not be negative"),
        (lambda: sim.SharedStore(callback_work=float("nan")), "SharedStore.callback_work must be"),
        (lambda: sim.SharedStore(slows_down=2000), "SharedStore.slows_down must be 1,000 at most"),
    ],
)
def test_bad_input_is_named(make, message):
    """Each new field names itself, the value, and what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        make()
