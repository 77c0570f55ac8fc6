"""One function plays a scenario: it checks its arguments and warns of what is cut off."""

import warnings
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from plays import only, scenario_of

import asyncsim as sim

SCENARIO = scenario_of([sim.AsyncStep("w", "out")], sim.OnlineService("10min", lanes=None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": "nightly"}, "scenario must be a Scenario, got 'nightly'"),
        ({"strategy": 5}, r"strategy must be a strategy such as Callback\(\).*, got 5"),
        ({"strategy": "callback"}, r"strategy must be .* Callback\(\), got 'callback'"),
        ({"strategy": sim.Callback}, r"strategy must be .* Callback\(\), not a class, got <class"),
        (
            {"engine": "simpie"},
            "engine must be one of 'auto', .*, got 'simpie'; did you mean 'simpy'",
        ),
        ({"engine": None}, "engine must be one of .*, got None"),
        ({"draws": [1.0, 2.0]}, r"draws must be Draws, or left out, got \[1.0, 2.0\]"),
        ({"until": "-1h"}, "until must be positive, got '-1h'"),
        ({"until": 0}, "until must be positive, got 0"),
        ({"until": float("nan")}, "until must be .*, got nan"),
        ({"until": True}, "until must be .*, got True"),
        ({"until": "noon"}, "until must be a duration such as '15min'.*, got 'noon'"),
        ({"resolution": 0.0}, "resolution must be positive, got 0.0"),
        ({"resolution": "1 fortnight"}, "resolution must .*unknown unit 'fortnight'"),
        ({"seed": -1}, "seed must .*, got -1"),
        ({"seed": 1.5}, "seed must .*, got 1.5"),
        ({"seed": True}, "seed must .*, got True"),
        ({"replication": -3}, "replication must .*, got -3"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value_and_what_would_be_right(arguments, message):
    """Every argument of simulate() is checked where it enters."""
    given = {"scenario": SCENARIO, "strategy": sim.Callback()} | arguments
    with pytest.raises(sim.ScenarioError, match=message):
        sim.simulate(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": None}, "scenario must be a Scenario, got None"),
        ({"strategy": sim.Polling}, "strategy must be a strategy"),
        ({"resolution": -1.0}, "resolution must be positive, got -1.0"),
        ({"draws": 3}, "draws must be Draws"),
    ],
)
def test_a_simulation_checks_its_arguments_as_well(arguments, message):
    """The class that simulate() uses is public and says the same."""
    given = {"scenario": SCENARIO, "strategy": sim.Callback()} | arguments
    with pytest.raises(sim.ScenarioError, match=message):
        sim.Simulation(**given)


@pytest.mark.parametrize(
    "until", [300, 300.0, np.float64(300), "5min", timedelta(minutes=5), pd.Timedelta("5min")]
)
def test_until_is_read_as_every_duration(until):
    """Numbers, texts and time deltas mean the same stop."""
    with pytest.warns(sim.CensoredWarning):
        run = sim.simulate(SCENARIO, sim.Callback(), until=until)
    assert run.record.end == 300.0


def test_a_run_that_is_cut_off_says_how_many_were_still_waiting():
    """Stopped at 00:05 with the wait open: the warning counts it, with strategy and time."""
    with pytest.warns(
        sim.CensoredWarning,
        match="^1 of 1 waits were still open at 2026-01-05 00:05:00 under polling 1 min;",
    ) as caught:
        sim.simulate(SCENARIO, sim.Polling("1min"), until="5min")
    assert caught[0].filename == __file__, "the warning points at the caller"


def test_a_run_that_ends_by_itself_does_not_warn():
    """Nothing is open at the end, so it does not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = sim.simulate(SCENARIO, sim.Callback())
    assert only(run.waits).outcome == "resumed"


def test_draws_of_ones_own_are_completed_from_their_seed():
    """Given arrivals, drawn external times: the run keeps what it was played on."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], sim.OnlineService(sim.exponential(60)))
    draws = sim.Draws([5.0, 7.0], seed=3, replication=2)
    run = sim.simulate(scenario, sim.Callback(), draws=draws)
    assert run.draws.arrivals.tolist() == [5.0, 7.0]
    assert (run.draws.seed, run.draws.replication) == (3, 2)
    again = sim.simulate(scenario, sim.Polling(7), draws=run.draws)
    assert again.waits.completed.tolist() == run.waits.completed.tolist()


def test_strategies_meet_the_same_numbers():
    """Under every strategy the same instances arrive and are complete at the same instants."""
    scenario = scenario_of(
        [sim.AsyncStep("w", "out")],
        sim.OnlineService(sim.lognormal("10min", "5min"), lanes=None),
        arrivals=range(50),
    )
    runs = [
        sim.simulate(scenario, strategy, seed=4)
        for strategy in (sim.Callback("1s"), sim.Polling(60, "random"), sim.Backoff(jitter="full"))
    ]
    for run in runs[1:]:
        assert run.waits.completed.tolist() == runs[0].waits.completed.tolist()


def test_seed_and_replication_change_the_numbers():
    """Another seed or replication gives other times, the same gives the same."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], sim.OnlineService(sim.exponential(60)))

    def completed(**keys):
        return only(sim.simulate(scenario, sim.Callback(), **keys).waits).completed

    assert completed(seed=1) == completed(seed=1, replication=0)
    assert len({completed(), completed(seed=1), completed(seed=1, replication=1)}) == 3
