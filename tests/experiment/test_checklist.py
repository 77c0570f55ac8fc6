"""The checklist says what was played, and asks for what only the authors know."""

import numpy

import asyncsim as sim
from asyncsim.experiment.report import checklist

NUMBERS = [
    *("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5.1", "2.5.2", "2.5.3", "2.5.4", "2.5.5"),
    *("3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.3", "5.1", "5.2", "5.3", "5.4", "6.1"),
]
"""The items of STRESS-DES."""


def found(seed=5, replications=3, **authors):
    """The checklist of a comparison, by number."""
    scenario = sim.Scenario.load("data/person.toml")
    study = sim.compare(
        scenario, [sim.Callback(), sim.Polling("1h")], seed=seed, replications=replications,
        progress=False,
    )  # fmt: skip
    return {item.number: item for item in checklist([study], authors)}


def test_every_item_is_there_once():
    """In order; each asks for something."""
    items = found()
    assert list(items) == NUMBERS
    assert all(item.asks and item.section for item in items.values())


def test_it_is_filled_from_what_was_played():
    """Seed, replications, versions, workers, strategies, length."""
    items = found(seed=41, replications=4)
    assert "seed 41" in items["5.2"].answer
    assert "4 replications, 95% intervals" in items["4.3"].answer
    assert f"numpy {numpy.__version__}" in items["5.1"].answer
    scenario = sim.Scenario.load("data/person.toml")
    assert f"{scenario.server.workers} workers" in items["2.5.3"].answer
    assert str(scenario.start) in items["4.2"].answer
    assert "callback; polling 1 h" in items["2.3"].answer
    assert "mean_latency" in items["1.2"].answer


def test_what_only_the_authors_know_is_never_made_up():
    """Empty until it is said."""
    asked = {"1.1", "3.1", "3.2", "3.4", "6.1"}
    assert {number for number, item in found().items() if not item.answer} == asked
    assert found(purpose="to learn")["1.1"].answer == "to learn"


def test_scenarios_that_differ_are_told_apart():
    """Each by its name; what they share is said once."""
    one = sim.Scenario.load("data/person.toml")
    other = one.replace(name="more clerks", server=sim.WorkflowServer(workers=9))
    both = [sim.compare(s, [sim.Callback()], replications=2, progress=False) for s in (one, other)]
    items = {item.number: item.answer for item in checklist(both, {})}
    assert "more clerks: 9 workers" in items["2.5.3"]
    assert "more clerks" not in items["4.2"]
