"""The yardstick plays the same scenario as the engines that are held against it."""

import numpy as np
import plain_simpy
import pytest
from scenario_r import CALLBACK, FREE, JITTER, POLLING, draws

import asyncsim as sim


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("case", [CALLBACK, POLLING, FREE], ids=lambda case: case.name)
def test_the_hand_written_model_and_the_engines_agree_on_every_instance(case, engine):
    """Same numbers, same scenario: completion and resumption of all instances are the same."""
    numbers = plain_simpy.Numbers.draw(400, seed=7)
    plain = case.plain(numbers)
    run = sim.simulate(case.scenario, case.strategy, draws=draws(numbers), engine=engine)
    # SimPy's timeouts add delays, the engine takes exact instants: equal but for rounding
    np.testing.assert_allclose(np.sort(run.waits["resumed"]), np.sort(plain.resumed), atol=1e-6)
    np.testing.assert_allclose(np.sort(run.instances["ended"]), np.sort(plain.ended), atol=1e-6)
    assert run.waits["checks"].sum() == plain.checks


def test_with_jitter_they_agree_on_average():
    """Their random numbers differ, their mean latency and number of checks do not."""
    numbers = plain_simpy.Numbers.draw(400, seed=7)
    plain = JITTER.plain(numbers)
    run = sim.simulate(JITTER.scenario, JITTER.strategy, draws=draws(numbers))
    late = run.waits["latency"]
    error = 3 * late.std() / np.sqrt(len(late)) * np.sqrt(2)
    assert abs(late.mean() - plain.mean_latency) < error
    assert run.waits["checks"].sum() == pytest.approx(plain.checks, rel=0.001)
