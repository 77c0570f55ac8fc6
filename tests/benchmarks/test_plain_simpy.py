"""The yardstick plays the same scenario as the engine it is held against."""

import numpy as np
import plain_simpy
import pytest
import speed

import asyncsim as sim


@pytest.mark.parametrize("strategy", ["callback", "polling"])
def test_the_hand_written_model_and_the_engine_agree_on_every_instance(strategy):
    """Same numbers, same scenario: completion and resumption of all instances are the same."""
    numbers = plain_simpy.Numbers.draw(400, seed=7)
    plain = plain_simpy.Model(numbers, strategy).run()
    run = sim.simulate(speed.scenario_r(), speed.STRATEGIES[strategy], draws=speed.draws(numbers))
    # SimPy's timeouts add delays, the engine takes exact instants: equal but for rounding
    np.testing.assert_allclose(np.sort(run.waits["resumed"]), np.sort(plain.resumed), atol=1e-6)
    np.testing.assert_allclose(np.sort(run.instances["ended"]), np.sort(plain.ended), atol=1e-6)
    assert run.waits["checks"].sum() == plain.checks
