"""The reference engine: what it keeps alive, what it skips, and what a user can plug in."""

import gc
import inspect
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import simpy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plays import only, scenario_of, wait_for
from scenarios import scenarios, strategies
from thorough import times

import asyncsim as sim
from asyncsim.engine.columns import DrawLists
from asyncsim.engine.graph import Call, Choose, Graph, Work
from asyncsim.engine.result import WaitOutcome
from asyncsim.engine.simulation import WAIT_CODES, record_of
from asyncsim.engine.waits import Waits
from asyncsim.model.strategies import schedule_of, specification_of

DAY, HOUR = 86400.0, 3600.0
slow_input = settings(
    max_examples=times(30), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def quietly(scenario, strategy, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return sim.simulate(scenario, strategy, engine="simpy", **more)


def exactly(one, other):
    """Check that two tables are equal to the last bit."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)


# --- what is alive while instances wait ---------------------------------------------------------


def in_the_batch(n, **server):
    """Return a scenario in which n instances wait for the batch of the evening from 08:01 on."""
    return scenario_of(
        [sim.Step("first", 0.1), sim.AsyncStep("post", "out", timeout="3d"), sim.Step("last", 0.1)],
        sim.NightlyBatch("22:00", "150ms"),
        arrivals=[8 * HOUR + k * 0.01 for k in range(n)],
        **server,
    )


def waiting_at_noon(strategy, n, **server):
    simulation = sim.Simulation(in_the_batch(n, **server), strategy)
    simulation.run(until=12 * HOUR)
    assert simulation.waiting == n
    return simulation


def processes_in_memory():
    """Count live SimPy processes of all environments, without the engine."""
    gc.collect()
    return sum(isinstance(thing, simpy.Process) and thing.is_alive for thing in gc.get_objects())


def generators_in_memory():
    """Count generators that are not at their end, by the name of their function."""
    generators = [thing for thing in gc.get_objects() if inspect.isgenerator(thing)]
    return Counter(g.gi_code.co_name for g in generators if g.gi_frame is not None)


@pytest.mark.parametrize("n", [10, 10_000])
def test_under_callback_a_waiting_instance_is_a_record_and_no_process(n):
    """10 or 10,000 instances wait: one process is alive, the batch itself; no walk, no strategy."""
    before, others = processes_in_memory(), generators_in_memory()
    simulation = waiting_at_noon(sim.Callback(), n)
    assert simulation.live_processes == 1
    assert processes_in_memory() - before == 1
    names = generators_in_memory() - others  # other tests may have left some
    assert "_walk" not in names
    assert "notify" not in names


def test_under_polling_every_waiting_instance_keeps_a_process():
    """1,000 instances wait and are asked for: more than 1,000 processes are alive."""
    before = processes_in_memory()
    simulation = waiting_at_noon(sim.Polling("1h"), 1000, poll_work=0.001)
    assert simulation.live_processes == 1001
    assert processes_in_memory() - before == 1001


def test_a_simulation_can_be_stopped_looked_at_and_gone_on_with():
    """Played in three goes, with a look at each stop, the tables are those of one go."""
    scenario, strategy = in_the_batch(50, poll_work=0.5), sim.Polling("1h")
    in_one_go = sim.Simulation(scenario, strategy)
    in_one_go.run()
    stopped = sim.Simulation(scenario, strategy)
    for until in (8 * HOUR + 0.2, "22h", 22 * HOUR + 2.0):
        stopped.run(until=until)
        early = record_of(stopped)
    kept = [list(columns.ended) for columns in early.steps], early.waits.outcome
    stopped.run()
    assert stopped.waiting == 0
    tables = [sim.Run(scenario, strategy, s.draws, record_of(s)) for s in (in_one_go, stopped)]
    for table in ("waits", "instances", "steps", "server", "open_waits", "overhead"):
        exactly(*(getattr(run, table) for run in tables))
    exactly(*(run.summary() for run in tables))
    now = [list(columns.ended) for columns in early.steps], early.waits.outcome
    assert repr(now) == repr(kept), "a record taken earlier changed when the simulation went on"


@pytest.mark.parametrize("until", [0.0, -1.0, float("nan"), 5.0, "soon", True])
def test_a_stop_that_is_not_in_the_future_is_refused(until):
    """A simulation that stands at 5 s cannot be run until 5 s, nor until NaN, nor a word."""
    simulation = sim.Simulation(scenario_of([sim.AsyncStep("w", "out")]), sim.Callback())
    simulation.run(until=5.0)
    with pytest.raises(sim.ScenarioError, match="until must"):
        simulation.run(until=until)


def test_a_stop_is_exclusive():
    """Run until 10 s: what happens at 10 s sharp has not happened, the instance has not come."""
    run = wait_for(sim.Callback(), 10.0, arrivals=(0.0, 10.0), until=10.0)
    assert run.waits.outcome.tolist() == ["waiting"]
    assert run.instances.instance.tolist() == [1]
    assert only(run.summary()).instances == 1
    assert run.record.end == 10.0


# --- free checks are not played -----------------------------------------------------------------


class PlayedPolling(sim.Polling):
    """Polling written out by a user: the engine cannot know that it follows a schedule."""

    def wait(self, step):
        while step.checks != self.limit:
            yield step.until(self.next_check(step))
            if (yield from step.check()):
                return
        step.give_up()


class PlayedBackoff(sim.Backoff):
    wait = PlayedPolling.wait


class PlayedSafetyPoll(sim.CallbackWithSafetyPoll):
    def wait(self, step):
        return PlayedPolling(self.every, self.anchor).wait(step)


class PlayedPollingAfter(sim.PollingAfter):
    wait = PlayedPolling.wait


class PlayedPollingAt(sim.PollingAt):
    wait = PlayedPolling.wait


PLAYED = {
    sim.Polling: PlayedPolling,
    sim.PollingAfter: PlayedPollingAfter,
    sim.PollingAt: PlayedPollingAt,
    sim.Backoff: PlayedBackoff,
    sim.CallbackWithSafetyPoll: PlayedSafetyPoll,
}


def played(strategy):
    """Return the same strategy in a form that the engine has to play check by check."""
    fields = {name: getattr(strategy, name) for name in strategy.__match_args__}
    fields |= {a.name: getattr(strategy, a.name) for a in type(strategy).__attrs_attrs__}
    twin = PLAYED[type(strategy)](**fields)
    assert specification_of(twin) is None
    return twin


checking = strategies().filter(lambda s: type(s) in PLAYED and schedule_of(s) is not None)


@pytest.mark.slow
@slow_input
@given(scenarios(), checking, st.integers(0, 5))
def test_checks_that_are_skipped_give_the_same_tables_as_checks_that_are_played(
    scenario, strategy, seed
):
    """With checks free of charge, random scenarios end bit for bit the same either way."""
    server = scenario.server
    free = sim.WorkflowServer(server.workers, 0.0, server.callback_work, server.policy)
    scenario = scenario.replace(server=free)
    twin = played(strategy)
    runs = [quietly(scenario, each, seed=seed) for each in (strategy, twin)]
    for table in ("waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead"):
        exactly(*(getattr(run, table) for run in runs))
    exactly(*(run.summary() for run in runs))


@pytest.mark.slow
@slow_input
@given(scenarios(), checking, st.sampled_from([5 * HOUR, 22 * HOUR, DAY]))
def test_skipped_checks_are_counted_also_when_the_run_is_stopped(scenario, strategy, until):
    """Stopped before the end, open waits show the checks made so far, skipped or played."""
    server = scenario.server
    free = sim.WorkflowServer(server.workers, 0.0, server.callback_work, server.policy)
    scenario = scenario.replace(server=free)
    runs = [quietly(scenario, each, until=until) for each in (strategy, played(strategy))]
    exactly(*(run.waits for run in runs))


@pytest.mark.parametrize("make", [sim.Polling, PlayedPolling])
@pytest.mark.parametrize("poll_work", [0.0, 1.0])
def test_a_check_sees_work_of_no_duration_that_a_batch_does_at_that_very_instant(make, poll_work):
    """Submitted at 21:30, done at 22:00 in no time, asked at 22:00: seen, skipped or played.

    The batch collects last of all, and the check has had its first look before.
    """
    run = wait_for(
        make(HOUR, "clock"),
        0.0,
        arrivals=(21.5 * HOUR,),
        system=sim.NightlyBatch("22:00", 0.0),
        server={"poll_work": poll_work},
    )
    wait = only(run.waits)
    assert (wait.completed, wait.latency) == (22 * HOUR, poll_work)
    assert (wait.checks, wait.wasted_checks) == (1, 0)


@pytest.mark.parametrize("make", [sim.CallbackWithSafetyPoll, PlayedSafetyPoll])
def test_a_callback_of_such_work_overtakes_the_last_look(make):
    """The callback arrives between the two looks of the check: that one was wasted."""
    run = wait_for(
        make(every=HOUR, anchor="clock"),
        0.0,
        arrivals=(21.5 * HOUR,),
        system=sim.NightlyBatch("22:00", 0.0),
    )
    wait = only(run.waits)
    assert only(run.deliveries).outcome == "finished"
    assert (wait.latency, wait.checks, wait.wasted_checks) == (0.0, 1, 1)


# --- random scenarios ---------------------------------------------------------------------------


@slow_input
@given(scenarios(), strategies(), st.integers(0, 3))
def test_random_scenarios_end_keep_the_invariants_and_resume_each_step_at_most_once(
    scenario, strategy, seed
):
    """simulate() checks the invariants; no serial number occurs twice among resumptions."""
    run = quietly(scenario, strategy, seed=seed)
    finished = run.deliveries[run.deliveries.outcome == "finished"].serial_number
    assert finished.is_unique
    assert run.waits.serial_number.is_unique
    resumed = run.steps[run.steps.outcome == "resumed"]
    assert len(resumed) == (run.waits.outcome == "resumed").sum()
    assert not resumed.duplicated(["instance", "activation"]).any()
    running = run.instances[run.instances.outcome == "running"]
    if len(running):
        assert set(running.instance) <= set(run.waits[run.waits.outcome == "waiting"].instance)


@settings(slow_input, max_examples=times(12))
@given(scenarios(), strategies(), st.integers(0, 3))
def test_the_same_seed_gives_the_same_tables(scenario, strategy, seed):
    """Two runs of one seed are equal to the last bit, timestamps and all."""
    one, other = (quietly(scenario, strategy, seed=seed) for _ in range(2))
    for table in ("waits", "instances", "steps", "deliveries", "server"):
        exactly(getattr(one, table), getattr(other, table))


@settings(slow_input, max_examples=times(20))
@given(scenarios(), strategies())
def test_the_order_of_the_systems_and_the_resolution_do_not_matter(scenario, strategy):
    """Naming the systems in another order, or counting load in other bins, changes no wait."""
    turned = scenario.replace(systems=dict(reversed(list(scenario.systems.items()))))
    one = quietly(scenario, strategy)
    exactly(one.waits, quietly(scenario, strategy, resolution=977.0).waits)
    assume(len(scenario.systems) < 2 or not one.waits.completed.duplicated().any())
    exactly(one.waits, quietly(turned, strategy).waits)


@settings(slow_input, max_examples=times(20))
@given(scenarios())
def test_a_callback_without_delay_and_handling_has_no_latency(scenario):
    """Delivered at once and handled at once, every step resumes in the instant of completion.

    Early callbacks are buffered, and resume at the arming.
    """
    server = sim.WorkflowServer(scenario.server.workers, 0.0, 0.0, sim.FinishPolicy(early="buffer"))
    waits = quietly(scenario.replace(server=server), sim.Callback()).waits
    resumed = waits[waits.outcome == "resumed"]
    assert (resumed.resumed == resumed[["completed", "armed"]].max(axis=1)).all()
    assert set(waits.outcome) <= {"resumed", "timed out", "cancelled"}


@slow_input
@given(scenarios(), strategies())
def test_every_finish_goes_through_the_one_registry(scenario, strategy):
    """Counted at the registry itself, steps finish as often as the tables say."""
    finished = []

    class Counting(Waits):
        def _close(self, wait, state, now):
            finished.append(((wait.row, wait.step), WAIT_CODES[state]))
            super()._close(wait, state, now)

    simulation = sim.Simulation(scenario, strategy)
    simulation.waits = Counting(scenario.server.policy)
    simulation.run()
    closed = [number for number, _ in finished]
    assert len(set(closed)) == len(closed)
    w = record_of(simulation).waits
    keys = zip(w.row.tolist(), w.node.tolist(), strict=True)
    outcomes = dict(zip(keys, w.outcome.tolist(), strict=True))
    over = {key: code for key, code in outcomes.items() if code != WaitOutcome.WAITING}
    assert over == dict(finished)


def test_every_node_has_the_numbers_of_its_name():
    """Work, choices, responses and external times, link by link, stand at their node."""
    process = sim.Process(
        "p",
        [
            sim.Step("a", work=sim.exponential(1)),
            sim.Choice("c", [(0.5, [sim.AsyncStep("b", "chain")]), (0.5, [])]),
        ],
    )
    links = [sim.OnlineService(sim.exponential(k)) for k in (1, 2, 3)]
    scenario = sim.Scenario(
        name="s",
        process=process,
        systems={"chain": sim.Chain(links)},
        arrivals=sim.UniformArrivals(7),
    )
    draws, graph = scenario.draw(3), Graph.of(process)
    numbers = DrawLists.of(draws, graph)
    assert numbers.arrivals == draws.arrivals.tolist()
    for k, node in enumerate(graph.nodes):
        if isinstance(node, Work):
            assert numbers.work[k] == draws.work["a"].tolist()
        elif isinstance(node, Choose):
            assert numbers.uniforms[k] == draws.choices["c"].tolist()
        elif isinstance(node, Call):
            assert numbers.uniforms[k] == draws.responses["b"].tolist()
            np.testing.assert_array_equal(numbers.times[k], draws.external["b"])
