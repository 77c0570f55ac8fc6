"""A scenario is whole: every part is checked, and the parts fit together."""

import copy
import math
import pickle
from datetime import date

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import scenarios
from thorough import times

import asyncsim as sim
from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Poisson, Regular
from asyncsim.model.process import AsyncStep, Choice, Element, Process, Step
from asyncsim.model.scenario import Scenario, changed
from asyncsim.model.server import FinishPolicy, WorkflowServer
from asyncsim.model.systems import NightlyBatch, OnlineService


def parts(**changes):
    """Return the parts of a small scenario, some of them changed."""
    return {
        "name": "a day of orders",
        "process": Process("order", [Step("check"), AsyncStep("post", "ledger")]),
        "systems": {"ledger": NightlyBatch("22:00", "150ms")},
        "arrivals": Regular("1h"),
    } | changes


def test_what_is_left_out_has_its_default():
    """One day from Monday, 5 January 2026, on a plain server, on a clock that never jumps."""
    scenario = Scenario(**parts())
    assert scenario.start == date(2026, 1, 5)
    assert scenario.length == 86400.0
    assert scenario.server == WorkflowServer()
    assert (scenario.zone, scenario.description) == (None, "")
    assert Scenario(**parts(start="2026-01-05", length="1 day")) == scenario


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "Scenario.name must be a non-empty text, got ''"),
        ({"process": [Step("a")]}, "Scenario.process must be a Process(name, [steps])"),
        ({"systems": [OnlineService(1)]}, "Scenario.systems must map names to external systems"),
        ({"systems": {"ledger": 5}}, "Scenario.systems must map names to external systems"),
        ({"systems": {5: OnlineService(1)}}, "Scenario.systems must map names to external"),
        ({"arrivals": "300/h"}, "Scenario.arrivals must be arrivals such as Poisson('300/h')"),
        ({"server": 4}, "Scenario.server must be a WorkflowServer(workers=…), got 4"),
        ({"start": "5 January"}, "Scenario.start must be a date such as '2026-01-05'"),
        ({"length": 10**30}, "Scenario.length must be 40 years at most"),
        ({"start": "9999-12-31"}, "Scenario.start must be a date from 1700-01-01 to 2200-12-31"),
        ({"name": "a\ud800"}, "Scenario.name must be a text that UTF-8 can hold"),
        ({"length": 0}, "Scenario.length must be positive, got 0"),
        ({"length": math.inf}, "Scenario.length must be a duration such as"),
        ({"zone": "Berlin"}, "Scenario.zone must be a time zone such as 'Europe/Berlin'"),
        ({"description": None}, "Scenario.description must be a text, got None"),
        (
            {"systems": {"legder": OnlineService(1)}},
            "AsyncStep.system of 'post' must name one of the scenario's systems ('legder'), "
            "got 'ledger'; did you mean 'legder'?",
        ),
        (
            {"systems": {}},
            "AsyncStep.system of 'post' must name one of the scenario's systems (none), "
            "got 'ledger'",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        Scenario(**parts(**changes))
    assert str(caught.value).startswith(message)


def test_systems_are_looked_for_everywhere():
    """A step hidden in a branch must call a known system too."""
    hidden = Choice("c", [(0.5, [AsyncStep("post", "unknown")]), (0.5, [])])
    with pytest.raises(ScenarioError, match="got 'unknown'"):
        Scenario(**parts(process=Process("p", [hidden])))


def test_a_scenario_does_not_change():
    """Neither its fields nor its systems can be changed, not even through the mapping given."""
    systems = {"ledger": OnlineService(1)}
    scenario = Scenario(**parts(systems=systems))
    systems["other"] = OnlineService(2)
    assert list(scenario.systems) == ["ledger"]
    with pytest.raises(TypeError):
        scenario.systems["other"] = OnlineService(2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        scenario.length = 5


def test_a_changed_copy_is_checked_again():
    """Replace leaves the original alone, and refuses what the original would have refused."""
    scenario = Scenario(**parts())
    assert scenario.replace(length="2 days").length == 2 * 86400
    assert scenario.length == 86400
    with pytest.raises(ScenarioError, match=r"Scenario\.length must be positive"):
        scenario.replace(length=-1)
    with pytest.raises(ScenarioError, match=r"AsyncStep\.system of 'post' must name one of"):
        scenario.replace(systems={})


@settings(max_examples=times(20))
@given(scenarios())
def test_scenarios_travel_to_other_processes(scenario):
    """A pickled or copied scenario is equal to the original and draws the same numbers."""
    for twin in (pickle.loads(pickle.dumps(scenario)), copy.deepcopy(scenario)):
        assert twin == scenario
        assert np.array_equal(twin.draw(1).arrivals, scenario.draw(1).arrivals)


def test_the_calendar_is_that_of_start_and_zone():
    """Instant 0 is local midnight of the first day."""
    scenario = Scenario(**parts(start="2026-03-29", zone="Europe/Berlin"))
    assert str(scenario.calendar.midnight) == "2026-03-29 00:00:00+01:00"
    assert scenario.calendar.instant(date(2026, 3, 29), "24:00") == 23 * 3600


@pytest.mark.parametrize("value", [-1, 1.5, "1", None, True, np.bool_(True), math.nan, math.inf])
@pytest.mark.parametrize("name", ["seed", "replication"])
def test_seeds_are_whole_numbers_from_zero(name, value):
    """A seed that says nothing definite is refused."""
    with pytest.raises(ScenarioError, match=f"^{name} must be a whole number, 0 or more, got "):
        Scenario(**parts()).draw(**{name: value})


def test_numpy_seeds_are_seeds():
    """A seed may come out of an array."""
    scenario = Scenario(**parts(arrivals=Poisson("100/h")))
    one, other = scenario.draw(np.int64(3), np.uint8(2)), scenario.draw(3, 2)
    assert np.array_equal(one.arrivals, other.arrivals)


# --- changes by dotted names ----------------------------------------------------------------------


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
