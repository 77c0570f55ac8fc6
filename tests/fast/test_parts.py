"""What the compiled engine plays stands in one table; for anything else SimPy takes over."""

import logging

import pytest
from plays import scenario_of

import asyncsim as sim
from asyncsim.experiment import simulate as module
from asyncsim.fast.supported import PLAYED, unplayed
from asyncsim.model.process import Element
from asyncsim.model.strategies import STRATEGIES
from asyncsim.model.systems import SYSTEMS

SCENARIO = scenario_of([sim.AsyncStep("w", "out")])


class Patient(sim.Polling):
    """A strategy of a user's own, although it changes nothing."""


class Elsewhere(sim.OnlineService):
    """An external system of a user's own."""


def every_part(cls):
    """Return all classes of the package below a class that is not abstract."""
    below = [part for sub in cls.__subclasses__() for part in every_part(sub)]
    return [part for part in [cls, *below] if part.__module__.startswith("asyncsim")]


def test_all_built_in_parts_are_played():
    """Whoever adds a strategy, a system or an element adds it to the table and the kernels."""
    assert set(PLAYED["strategies"]) == set(STRATEGIES.values())
    assert {*PLAYED["external systems"], sim.Chain} == set(SYSTEMS.values())
    assert {*PLAYED["process elements"], Element} >= set(every_part(Element))


def test_links_of_a_chain_and_steps_in_a_branch_are_looked_at():
    """A part of one's own is found wherever it is, and named once."""
    chain = sim.Chain([sim.OnlineService(1.0), Elsewhere(1.0)])
    scenario = scenario_of([sim.AsyncStep("w", "out")], {"out": chain, "more": Elsewhere(2.0)})
    assert unplayed(scenario, Patient(60)) == ["Patient", "Elsewhere"]
    assert unplayed(scenario, sim.Polling(60)) == ["Elsewhere"]
    assert unplayed(SCENARIO, sim.Polling(60)) == []


def test_auto_takes_the_compiled_engine_where_it_can():
    """Built-in parts only: compiled. The answer is the one of SimPy."""
    runs = [sim.simulate(SCENARIO, sim.Polling(60), engine=e) for e in ("auto", "simpy")]
    assert [run.engine for run in runs] == ["compiled", "simpy"]
    assert runs[0].waits.equals(runs[1].waits)


def test_auto_falls_back_to_simpy_and_says_so_once(caplog, monkeypatch):
    """A user's own parts are played all the same; one line, not one a run, says at what price."""
    monkeypatch.setattr(module, "_logged", set())
    with caplog.at_level(logging.WARNING, "asyncsim"):
        runs = [sim.simulate(SCENARIO, Patient(60)) for _ in range(3)]
    assert {run.engine for run in runs} == {"simpy"}
    assert [record.getMessage() for record in caplog.records] == [
        "Patient: not built in, so SimPy plays it (slower, the same answer)"
    ]


def test_compiled_is_refused_what_it_cannot_play():
    """Whoever insists is told which part stands in the way, and what to take instead."""
    with pytest.raises(sim.ScenarioError, match=r"built-in parts only, got Patient; take 'simpy'"):
        sim.simulate(SCENARIO, Patient(60), engine="compiled")
