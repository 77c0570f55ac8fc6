"""The compiled engine plays what its table of specifications has; SimPy plays the rest."""

import logging

import pytest
from attrs import frozen
from plays import scenario_of

import asyncsim as sim
from asyncsim.experiment import simulate as module
from asyncsim.fast.compiled import play_compiled
from asyncsim.fast.layout import PLAYED, unplayed
from asyncsim.model.loops import Race
from asyncsim.model.process import Element
from asyncsim.model.specifications import Kind, StrategySpecification

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
    """The table has every kind of specification and of process element; races are SimPy's."""
    kinds = {kind for kinds in PLAYED.values() for kind in kinds}
    own = {kind for kind in Kind.__subclasses__() if kind.__module__.startswith("asyncsim.")}
    assert kinds >= own - {StrategySpecification}
    assert {*PLAYED["process elements"], Element, *every_part(Race)} == {*every_part(Element)}


def test_links_of_a_chain_and_steps_in_a_branch_are_looked_at():
    """A custom part is found wherever it is, and named once."""
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
        "Patient: unknown to the compiled engine, so SimPy plays it (slower, the same answer)"
    ]


@frozen
class Dice:
    """A kind of specification that the engine does not know."""


class Gambler(sim.Polling):
    """A strategy with a kind of checks of its own."""

    specification = StrategySpecification(Dice())

    def next_check(self, step):
        return step.last_check + 60.0


class Casino(sim.OnlineService):
    """A system with a kind of its own."""

    specification = (Dice(),)


class Relay(sim.Chain):
    """A chain that may do something between its links."""


@pytest.mark.parametrize(
    ("strategy", "system", "name"),
    [
        (Patient(60), sim.OnlineService(1.0), "Patient"),
        (Gambler(60), sim.OnlineService(1.0), r"Gambler \(Dice\)"),
        (sim.Polling(60), Elsewhere(1.0), "Elsewhere"),
        (sim.Polling(60), Casino(1.0), r"Casino \(Dice\)"),
        (sim.Polling(60), Relay([sim.OnlineService(1.0), sim.OnlineService(2.0)]), "Relay"),
    ],
)
def test_compiled_refuses_by_name_what_it_cannot_play(strategy, system, name):
    """The error names the part and the engines that play it; "auto" takes SimPy."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], {"out": system})
    right = f"plays parts with a specification that it knows, got {name}; take 'simpy' or 'auto'"
    with pytest.raises(sim.EngineError, match=right):
        sim.simulate(scenario, strategy, engine="compiled")
    with pytest.raises(sim.EngineError, match=right):
        play_compiled(scenario, strategy, scenario.draw(1), None, 60.0)
    assert sim.simulate(scenario, strategy).engine == "simpy"
