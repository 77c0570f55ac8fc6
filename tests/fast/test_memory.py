"""Runs use memory one after the other, and never while a record still lies in it."""

import numpy as np
from plays import FREE, scenario_of

import asyncsim as sim
from asyncsim.fast import buffer_pool
from asyncsim.fast.buffer_pool import Memory


def test_a_block_is_used_again_when_the_last_array_in_it_is_gone(monkeypatch):
    """A slice of a slice keeps it as well."""
    monkeypatch.setattr(buffer_pool, "_spare", [])
    Memory().close()
    small = Memory()
    assert small.floats(100, 1.5).tolist() == [1.5] * 100
    small.close()
    del small
    first = Memory()
    array = first.wholes(100, -1)[10:][:5]
    place = array.ctypes.data - 80
    del first
    other = Memory().floats(100, 0.0)
    assert other.ctypes.data != place
    assert array.tolist() == [-1] * 5
    del array
    assert Memory().floats(100).ctypes.data == place


def test_the_record_of_a_run_outlives_other_runs():
    """Nothing that a run hands over changes while others are played."""
    steps = [sim.Step("s", "1s"), sim.AsyncStep("w", "out")]
    scenario = scenario_of(steps, FREE, arrivals=range(200), callback_work=0.5)
    first = sim.simulate(scenario, sim.Callback(), engine="compiled")
    for strategy in (sim.Callback(), sim.Polling("7s"), sim.Callback(), sim.Callback("3s")):
        sim.simulate(scenario, strategy, engine="compiled")
    again = sim.simulate(scenario, sim.Callback(), engine="simpy")
    np.testing.assert_allclose(first.record.waits.closed, again.record.waits.closed)
    np.testing.assert_allclose(first.record.ended, again.record.ended)
    np.testing.assert_allclose(first.record.deliveries.handled, again.record.deliveries.handled)
