"""A scenario is whole: every part is checked, and the parts fit together."""

import copy
import math
import pickle
from datetime import date

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from scenarios import scenarios
from thorough import times

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Poisson, Regular
from asyncsim.model.process import AsyncStep, Choice, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
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
            "AsyncStep.system must name one of the scenario's systems ('legder'), got 'ledger'; "
            "did you mean 'legder'?",
        ),
        (
            {"systems": {}},
            "AsyncStep.system must name one of the scenario's systems (none), got 'ledger'",
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
    with pytest.raises(ScenarioError, match=r"AsyncStep\.system must name one of"):
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
