"""Rate limits are read from words, and written as words."""

import pickle

import pytest
from plays import scenario_of

import asyncsim as sim
from asyncsim.model.scenario import changed
from asyncsim.model.server import SlidingWindow, TokenBucket, rate_limit
from asyncsim.model.units import InvalidValue


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
def test_what_cannot_be_is_refused_by_name(make, message):
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
    """As a whole, taken away, and one figure of it (for a sweep)."""
    server = sim.WorkflowServer(finish_limit="1500 refilled 300/s")
    assert changed(server, {"finish_limit": "2 per 1 s"}).finish_limit == SlidingWindow(2, 1.0)
    assert changed(server, {"finish_limit": None}) == sim.WorkflowServer()
    found = changed(server, {"finish_limit.rate": "500/s", "finish_limit.size": 3000})
    assert str(found.finish_limit) == "3000 refilled 500/s"
