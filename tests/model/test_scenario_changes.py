"""Fields are changed by dotted names, as if the scenario had been written that way."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import scenarios

import asyncsim as sim
from asyncsim.model.process import AsyncStep, Element
from asyncsim.model.scenario import changed
from asyncsim.model.server import FinishPolicy


def orders(workers=4, timeout=None, deep=None, start="22:00", second="5min", **shares):
    """A scenario with everything that a name can lead into."""
    ask = sim.AsyncStep("ask", system="sap.fi", timeout=deep)
    return sim.Scenario(
        name="orders",
        process=sim.Process(
            "order",
            [
                sim.AsyncStep(
                    "post", system="ledger", timeout=timeout, response=shares or {"accepted": 1.0}
                ),
                sim.Choice("big?", [(0.3, [ask]), (0.7, [])]),
            ],
        ),
        systems={
            "ledger": sim.NightlyBatch(start=start, item_time="150ms"),
            "sap": sim.OnlineService("1s"),
            "sap.fi": sim.Chain([sim.OnlineService("1min"), sim.OnlineService(second)]),
        },
        arrivals=sim.Poisson("300/h"),
        server=sim.WorkflowServer(workers=workers),
    )


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({"server.workers": 8}, orders(workers=8)),
        ({"process.steps.post.timeout": "15min"}, orders(timeout="15min")),
        ({"process.steps.ask.timeout": "15min"}, orders(deep="15min")),
        ({"systems.ledger.start": "23:30"}, orders(start="23:30")),
        ({"systems.sap.fi.systems.2.item_time": "9min"}, orders(second="9min")),
        ({"server.workers": 2, "systems.ledger.start": "21:00"}, orders(2, start="21:00")),
        (
            {
                "process.steps.post.response.accepted": 0.9,
                "process.steps.post.response.done": 0.1,
            },
            orders(accepted=0.9, done=0.1),
        ),
        ({}, orders()),
    ],
)
def test_a_change_is_as_if_it_had_been_written_so(changes, written):
    """At any depth, under names with dots, and together where fields must agree."""
    base = orders()
    assert changed(base, changes) == written
    assert base == orders()


def test_whole_parts_are_changed_as_well():
    """A field may take an object, and so may the name of a system."""
    base = orders()
    found = changed(
        base, {"server": sim.WorkflowServer(workers=9), "systems.sap": sim.OnlineService("7s")}
    )
    assert found.server.workers == 9
    assert found.systems["sap"] == sim.OnlineService("7s")
    assert list(found.systems) == list(base.systems)


def test_an_inner_field_of_a_distribution_and_of_a_policy():
    """Laws and policies are objects with fields, too."""
    base = changed(orders(), {"systems.sap.item_time": sim.lognormal("10s", "3s")})
    found = changed(base, {"systems.sap.item_time.mean": "20s", "server.policy.buffer_for": "1h"})
    assert found.systems["sap"].item_time == sim.lognormal("20s", "3s")
    assert found.server.policy == attrs.evolve(FinishPolicy(), buffer_for="1h")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("server.worker", r"'server\.worker' names no field: WorkflowServer has .* 'workers'"),
        ("sever.workers", r"did you mean 'server'"),
        ("systems.legder.start", r"did you mean 'ledger'"),
        ("process.steps.pst.timeout", r"did you mean 'post'"),
        ("process.steps.post.timout", r"AsyncStep has .* did you mean 'timeout'"),
        ("systems.sap.fi.systems.3.item_time", r"has '1', '2', got '3'"),
        ("server.workers.most", r"'server\.workers' holds 4, which has no fields to change"),
        ("server.", r"names no field"),
        ("", r"names no field"),
        ("name.", r"names no field"),
    ],
)
def test_a_name_that_leads_nowhere_gets_the_nearest_that_does(name, message):
    """The message has the whole name, and what there is."""
    with pytest.raises(sim.ScenarioError, match=message):
        changed(orders(), {name: 1})


def test_a_wrong_value_is_named_by_its_class():
    """The classes' own converters read the values."""
    with pytest.raises(sim.ScenarioError, match=r"WorkflowServer\.workers must be .* got 0"):
        changed(orders(), {"server.workers": 0})
    with pytest.raises(sim.ScenarioError, match="must name one of the scenario's systems"):
        changed(orders(), {"process.steps.post.system": "unknown"})


def test_a_part_is_not_changed_together_with_the_whole():
    """Which of them would come last?"""
    with pytest.raises(sim.ScenarioError, match="'server' cannot be changed together with"):
        changed(orders(), {"server": sim.WorkflowServer(), "server.workers": 2})


@pytest.mark.parametrize("wrong", [None, "server.workers", {1: 2}])
def test_changes_are_a_mapping_of_names(wrong):
    """Anything else is refused."""
    with pytest.raises(sim.ScenarioError, match="changes must map dotted names to values"):
        changed(orders(), wrong)


def names_in(described, where=""):
    """Yield every dotted name that leads to a field, and its present value."""
    for field in attrs.fields(type(described)):
        value, name = getattr(described, field.name), f"{where}{field.alias}"
        yield name, value
        if attrs.has(type(value)):
            yield from names_in(value, f"{name}.")
        elif name == "systems":
            for key, system in value.items():
                yield from names_in(system, f"{name}.{key}.")
        elif name == "process.steps":
            for step in described.parts():
                yield from names_in(step, f"{name}.{step.name}.")
        elif isinstance(value, tuple) and value and not any(isinstance(v, Element) for v in value):
            for k, part in enumerate(value, 1):
                if attrs.has(type(part)):
                    yield from names_in(part, f"{name}.{k}.")


@given(scenario=scenarios(), data=st.data())
def test_writing_the_same_again_changes_nothing(scenario, data):
    """Every name leads somewhere, and its own value is good there."""
    names = dict(names_in(scenario))
    name = data.draw(st.sampled_from(sorted(names)))
    assert changed(scenario, {name: names[name]}) == scenario


@given(scenario=scenarios(), data=st.data())
def test_a_change_changes_one_step_and_no_other(scenario, data):
    """Wherever in the process the step stands; and back again gives the scenario back."""
    calls = scenario.process.of_type(AsyncStep)
    if not calls:
        return
    call = data.draw(st.sampled_from(calls))
    name = f"process.steps.{call.name}.timeout"
    other = changed(scenario, {name: 123456.0})
    assert [c.timeout for c in other.process.of_type(AsyncStep)] == [
        123456.0 if c.name == call.name else c.timeout for c in calls
    ]
    assert changed(other, {name: call.timeout}) == scenario
