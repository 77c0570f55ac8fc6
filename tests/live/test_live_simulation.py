"""A session without inputs is the simulation, instance by instance."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scenarios
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plays import DISTRIBUTIONS
from thorough import times

import asyncsim as sim
from asyncsim.live.live_simulation import insert_instance

TABLES = ("waits", "steps", "instances", "deliveries")


def assert_same_run(expected, found):
    """Compare two runs, column by column, exactly."""
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), obj=name)


def simulated(scenario, strategy, instant, draws=None):
    """Play what a session has played at an instant: everything up to it and at it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        until = math.nextafter(instant, math.inf)
        return sim.simulate(scenario, strategy, draws=draws, until=until, engine="simpy")


@pytest.mark.slow
@settings(max_examples=times(40), suppress_health_check=list(HealthCheck))
@given(
    scenarios.scenarios() | scenarios.scenarios(deadlines=True),
    scenarios.strategies(),
    st.lists(st.floats(60, 90_000), max_size=4),
)
def test_a_session_left_alone_is_the_simulation(scenario, strategy, stops):
    """Stopped anywhere and continued, under any strategy, with every kind of system."""
    session = sim.live(scenario, strategy)
    for stop in [*sorted(stops), 90_000.0]:
        session.run_until(stop)
    expected = simulated(scenario, strategy, 90_000.0, scenario.draw())
    assert_same_run(expected, session.so_far())


@pytest.mark.slow
def test_twins_play_the_same_instances():
    """Each lane of a session is what simulate() gives for its strategy on the same numbers."""
    scenario = sim.Scenario.load("data/lines_of_business.toml")
    twins = [sim.Polling("1h"), sim.LongPolling("20min")]
    session = sim.live(scenario, against=twins, seed=3)
    session.run_until("2026-03-25 12:00")
    for strategy in [sim.Callback(), *twins]:
        expected = simulated(scenario, strategy, session.now, scenario.draw(3))
        assert_same_run(expected, session.so_far(strategy.label))


@pytest.mark.parametrize("law", DISTRIBUTIONS, ids=lambda law: type(law).__name__)
def test_one_instance_more_does_not_change_the_numbers_of_the_others(law):
    """A longer sample of a law begins with the shorter one; started instances rely on it."""
    for seed in range(20):
        short = law.sample(np.random.default_rng(seed), 50)
        long = law.sample(np.random.default_rng(seed), 51)
        np.testing.assert_array_equal(long[:50], short)


def test_an_instance_put_in_takes_the_numbers_of_the_spare_one():
    """Everybody after it keeps what was drawn for them."""
    scenario = sim.Scenario.load("data/lines_of_business.toml")
    draws, spares = scenario.draw(1), scenario.draw(2)
    grown = insert_instance(draws, 3, draws.arrivals[3], spares, 7)
    assert len(grown) == len(draws) + 1
    for what in ("work", "external", "responses"):
        for name, values in getattr(draws, what).items():
            found = getattr(grown, what)[name]
            np.testing.assert_array_equal(np.delete(found, 3, axis=0), values)
            np.testing.assert_array_equal(found[3], getattr(spares, what)[name][7])


def test_heartbeats_do_not_postpone_the_deadline_of_a_step():
    """It counts from the moment at which the step is reached, before the wait is armed."""
    wait = sim.AsyncStep("w", "s", call_work="6min", step_timeout="16min")
    scenario = sim.Scenario(
        name="heartbeats",
        process=sim.Process("p", [wait]),
        systems={"s": sim.OnlineService("30d", lanes=None)},
        arrivals=sim.ArrivalTimes([0.0, 0.0, 0.0]),
        server=sim.WorkflowServer(1),
    )
    session = sim.live(scenario, heartbeat="5min")
    for minute in (7, 10, 13):
        session.run_until(f"{minute}min")
        session.heartbeat("1_1")
    session.run_until("1h")
    steps = session.so_far().steps  # the second wait was armed at 12 min, the third never
    assert steps["ended"].tolist() == [16 * 60.0] * 3
    assert session.so_far().waits["armed"].tolist() == [6 * 60.0, 12 * 60.0]
