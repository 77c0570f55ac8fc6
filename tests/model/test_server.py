"""The workflow server, its policy, its rate limits and the prices are checked where they enter."""

import pickle

import numpy as np
import pytest
from plays import scenario_of

import asyncsim as sim
from asyncsim.errors import ScenarioError
from asyncsim.model.scenario import Scenario, changed
from asyncsim.model.server import (
    FinishPolicy,
    SlidingWindow,
    TokenBucket,
    WorkflowServer,
    rate_limit,
)
from asyncsim.model.units import InvalidValue


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WorkflowServer(workers=0), "WorkflowServer.workers must be a whole number"),
        (lambda: WorkflowServer(workers=10**30), "WorkflowServer.workers must be 1,000,000 at"),
        (lambda: WorkflowServer(workers=2.0), "WorkflowServer.workers must be a whole number"),
        (lambda: WorkflowServer(poll_work=-1), "WorkflowServer.poll_work must not be negative"),
        (
            lambda: WorkflowServer(check_operations=-1),
            "WorkflowServer.check_operations must not be negative, got -1",
        ),
        (
            lambda: WorkflowServer(callback_operations="12"),
            "WorkflowServer.callback_operations must be a finite number, got '12'",
        ),
        (
            lambda: WorkflowServer(callback_operations=1e10),
            "WorkflowServer.callback_operations must be 1e+09 at most",
        ),
        (lambda: WorkflowServer(callback_work=True), "WorkflowServer.callback_work must be a"),
        (
            lambda: FinishPolicy(early="bufer"),
            "FinishPolicy.early must be one of 'reject', 'buffer', 'ignore', got 'bufer'; "
            "did you mean 'buffer'?",
        ),
        (lambda: FinishPolicy(duplicate="ignore"), "FinishPolicy.duplicate must be one of"),
        (lambda: FinishPolicy(late="ignore"), "FinishPolicy.late must be one of"),
        (lambda: FinishPolicy(unknown="accept"), "FinishPolicy.unknown must be one of"),
        (lambda: FinishPolicy(buffer_for=0), "FinishPolicy.buffer_for must be positive, got 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_server_is_strict_unless_told_otherwise():
    """By default every finish that is not the first one in time is rejected."""
    policy = WorkflowServer().policy
    assert {policy.early, policy.duplicate, policy.late, policy.unknown} == {"reject"}
    assert policy.buffer_for is None


def test_database_operations_are_numbers_and_may_be_means(tmp_path):
    """By default two each; a file keeps what is not, and whole numbers stay whole."""
    assert (WorkflowServer().check_operations, WorkflowServer().callback_operations) == (2, 2)
    server = WorkflowServer(check_operations=np.int64(0), callback_operations=np.float32(1.5))
    scenario = Scenario.load("data/person.toml").replace(server=server)
    scenario.save(tmp_path / "scenario.toml")
    found = Scenario.load(tmp_path / "scenario.toml").server
    assert found == server
    assert repr((found.check_operations, found.callback_operations)) == "(0, 1.5)"


def test_times_are_read_as_durations():
    """Worker times may be written as people write them."""
    server = WorkflowServer(poll_work="10ms", callback_work="20ms")
    assert (server.poll_work, server.callback_work) == (0.01, 0.02)


# --- rate limits ----------------------------------------------------------------------------------


def of(words):
    """Return the limit of a server described with these words."""
    return sim.WorkflowServer(finish_limit=words).finish_limit


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("100 per 60 s", SlidingWindow(100, 60.0)),
        ("100/60s", SlidingWindow(100, "1min")),
        (" 5 per 1h 30min ", SlidingWindow(5, 5400)),
        ("3 per 0.123456789 s", SlidingWindow(3, 0.123456789)),
        ("3000 refilled 500/s", TokenBucket(3000, "500/s")),
        ("3 refilled 0.5/s", TokenBucket(3, 0.5)),
        ("10  refilled 90 / min", TokenBucket(10, "90/min")),
        (TokenBucket(1, 1), TokenBucket(1, "1/s")),
        (None, None),
    ],
)
def test_words_say_a_window_or_a_bucket(words, limit):
    """And str() gives words that say the same, to the last bit."""
    assert of(words) == limit
    assert limit is None or rate_limit(str(limit)) == limit
    assert pickle.loads(pickle.dumps(of(words))) == limit


def test_a_rate_keeps_its_unit():
    """90 a minute are 1.5 a second."""
    bucket = of("10 refilled 90/min")
    assert (str(bucket), bucket.rate.per_second) == ("10 refilled 90/min", 1.5)


WRONG = ["", "fast", "0 per 60 s", "100", "100 per", "-1/60s", "100 per 0s", "0 refilled 5/s", 7]
WRONG += ["5 refilled 0/s", "5 refilled 1/fortnight", "5 refilled", "9" * 500 + " per 1s", "1.5/s"]


@pytest.mark.parametrize("words", [*WRONG, True, 100 / 60])
def test_other_words_are_refused(words):
    """With examples of what would be right."""
    with pytest.raises(
        InvalidValue, match="must be words such as '100 per 60 s' or '3000 refilled 500"
    ):
        rate_limit(words)
    with pytest.raises(sim.ScenarioError, match=r"WorkflowServer\.finish_limit must be words such"):
        of(words)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlidingWindow(0, 1), "SlidingWindow.most must be a whole number"),
        (lambda: SlidingWindow(10**10, 1), "SlidingWindow.most must be 1,000,000,000 at most"),
        (lambda: SlidingWindow(1, 0), "SlidingWindow.seconds must be positive"),
        (lambda: TokenBucket(1.5, 1), "TokenBucket.size must be a whole number"),
        (lambda: TokenBucket(1, "fast"), "TokenBucket.rate must be a rate such as"),
    ],
)
def test_limits_that_cannot_be_are_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(sim.ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("words", ["100 per 60 s", "3000 refilled 500/s", "7 per 0.1 s"])
def test_a_scenario_file_holds_the_words(words, tmp_path):
    """And gives an equal scenario back."""
    scenario = scenario_of([sim.AsyncStep("w", "out")])
    limited = changed(scenario, {"server.finish_limit": words})
    limited.save(tmp_path / "limited.toml")
    text = (tmp_path / "limited.toml").read_text("utf-8")
    assert f'finish_limit = "{limited.server.finish_limit}"' in text
    assert sim.Scenario.load(tmp_path / "limited.toml") == limited != scenario


def test_a_wrong_limit_in_a_file_is_named_with_its_place(tmp_path):
    """By file, table and field."""
    path = tmp_path / "wrong.toml"
    limited = {"server.finish_limit": "3000 refilled 500/s"}
    changed(scenario_of([sim.AsyncStep("w", "out")]), limited).save(path)
    path.write_text(path.read_text("utf-8").replace("refilled", "refiled"), "utf-8")
    with pytest.raises(sim.ScenarioError, match=r"server: WorkflowServer\.finish_limit must be wo"):
        sim.Scenario.load(path)


def test_a_limit_is_changed_by_its_name():
    """As a whole, taken away, and one metric of it (for a sweep)."""
    server = sim.WorkflowServer(finish_limit="1500 refilled 300/s")
    assert changed(server, {"finish_limit": "2 per 1 s"}).finish_limit == SlidingWindow(2, 1.0)
    assert changed(server, {"finish_limit": None}) == sim.WorkflowServer()
    found = changed(server, {"finish_limit.rate": "500/s", "finish_limit.size": 3000})
    assert str(found.finish_limit) == "3000 refilled 500/s"


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"check": -1}, r"CostModel.check must not be negative, got -1"),
        ({"late_minute": "2 EUR"}, r"CostModel.late_minute must be a finite number, got '2 EUR'"),
        ({"request": True}, r"CostModel.request must be a finite number, got True"),
        ({"service_level": "-5min"}, r"CostModel.service_level must not be negative, got '-5min'"),
        ({"worker_time": "bussy"}, r"CostModel.worker_time must be one of .*did you mean 'busy'"),
        ({"transitions_per_check": 0.5}, r"must be a whole number, 0 or more, got 0.5"),
        ({"currency": ""}, r"CostModel.currency must be a non-empty text"),
    ],
)
def test_wrong_prices_are_named(values, match):
    """The message has the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=match):
        sim.CostModel(**values)


def test_a_scenario_takes_prices_only():
    """A number is not a cost model."""
    with pytest.raises(sim.ScenarioError, match=r"Scenario.costs must be a CostModel\(.*got 0.1"):
        sim.Scenario.load("data/person.toml").replace(costs=0.1)


def test_published_prices_carry_source_date_and_mark():
    """Every preset has a source, and the table shows the prices that are used."""
    table = sim.cost_presets()
    assert list(table.index) == ["aws step functions"]
    for name, row in table.iterrows():
        prices = sim.CostModel.preset(name)
        assert prices.transition == row.transition
        assert "20" in row.source
        assert "[V]" in row.source
    assert 1000 * table.loc["aws step functions", "transition"] == pytest.approx(0.025)


def test_a_preset_that_is_not_there_is_answered_with_those_that_are():
    """With the nearest name."""
    with pytest.raises(sim.ScenarioError, match="did you mean 'aws step functions'"):
        sim.CostModel.preset("aws step function")


def test_prices_go_to_a_file_and_back(tmp_path):
    """Also with nothing but defaults; a wrong key is named with its place."""
    scenario = sim.Scenario.load("data/person.toml")
    for costs in (sim.CostModel(), sim.CostModel(check=0.1, service_level="5min", currency="EUR")):
        scenario.replace(costs=costs).save(tmp_path / "s.toml")
        assert sim.Scenario.load(tmp_path / "s.toml").costs == costs
    text = (tmp_path / "s.toml").read_text().replace("check", "chek")
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(sim.ScenarioError, match=r"costs: CostModel has no key 'chek'.*'check'"):
        sim.Scenario.load(tmp_path / "s.toml")


def test_prices_can_be_multiplied():
    """By any number of instances, and still be numbers."""
    with pytest.raises(sim.ScenarioError, match=r"CostModel.check must be 1e\+12 at most"):
        sim.CostModel(check=1e300)
    with pytest.raises(sim.ScenarioError, match=r"CostModel.transitions_per_check must be"):
        sim.CostModel(transitions_per_check=10**400)
