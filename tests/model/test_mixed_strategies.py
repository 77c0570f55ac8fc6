"""A strategy for each step: names, words, files, and what theory and other runs say of it."""

import pickle

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.model.mixed_strategies import as_strategy
from asyncsim.model.scenario_files import strategy_from, strategy_table

STEPS = {
    "post": (sim.Callback("2s", loss=0.2, retries=["30s"] * 12), sim.Callback("2s")),
    "ask": (sim.Backoff("1min", jitter="full"), sim.Backoff("1min", cap="10min")),
    "approve": (sim.Polling("5min", jitter="1min"), sim.Polling("5min", anchor="random")),
    "sign": (
        sim.LongPolling("1min"),
        sim.CallbackWithSafetyPoll("2s", loss=0.5, every="4min", anchor="random"),
    ),
}


def scenario(workers=1000, steps=tuple(STEPS), **server):
    """Four steps wait side by side, so that no wait begins after that of another."""
    service = sim.OnlineService(sim.exponential("20min"), lanes=None)
    branches = [[sim.AsyncStep(name, system=f"system of {name}")] for name in steps]
    return sim.Scenario(
        name="four",
        process=sim.Process("p", [sim.Parallel("all", branches)]),
        systems={f"system of {name}": service for name in steps},
        arrivals=sim.Poisson("30/h"),
        server=sim.WorkflowServer(workers, **server),
        length="6h",
    )


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("work", ["0s", "10ms"])
def test_waits_of_a_step_are_those_of_a_run_under_its_strategy_alone(engine, work):
    """With plenty of workers the strategies of other steps change nothing, to the last bit."""
    played = scenario(poll_work=work, callback_work=work)
    mixed = {name: one for name, (one, _) in STEPS.items()}
    waits = sim.simulate(played, mixed, seed=1, engine=engine).waits
    for name, one in mixed.items():
        alone = sim.simulate(played, one, seed=1, engine=engine).waits
        ours, theirs = (table[table["step"] == name] for table in (waits, alone))
        assert len(ours) > 100
        assert set(ours["strategy"]) == {one.label}
        for column in ("armed", "completed", "resumed", "checks", "wasted_checks", "deliveries"):
            np.testing.assert_array_equal(ours[column], theirs[column], column)


def test_each_step_has_its_own_closed_form():
    """The form of each step is that of its strategy for all, and holds in a simulation."""
    played, mixed = scenario(), {name: one for name, (_, one) in STEPS.items()}
    found = sim.explain(played, mixed)
    for name, one in mixed.items():
        what = "resume latency"
        assert found.value(name, what) == sim.explain(played, one).value(name, what)
    comparison = sim.compare(played, [mixed], replications=40, confidence=0.999, progress=False)
    table = comparison.by_step
    for row in table[table["metric"] == "mean_latency"].itertuples():
        expected = found.value(row.step, "resume latency")
        assert row.low <= expected <= row.high or row.mean == pytest.approx(expected)
    for one in found.table.itertuples():
        assert one.what != "checks per wait" or one.part != "post"  # it is not checked


def test_what_a_reader_cannot_tell_of_one_step_it_can_tell_of_another():
    """A step with a strategy of the user's own has no closed form, by name; SimPy plays both."""

    class Own(sim.Strategy):
        def wait(self, step):
            yield step.after(1800.0)
            while not (yield from step.check()):
                yield step.after(1800.0)

    mixed = {"post": sim.Callback("2s"), "others": Own()}
    played = scenario(steps=("post", "ask"), poll_work=0, callback_work=0).replace(length="1h")
    steps = played.process.of_type(sim.AsyncStep)  # one after the other: a branch might be given up
    found = sim.explain(played.replace(process=sim.Process("p", steps)), mixed)
    assert found.value("post", "resume latency") == 2.0
    assert any("Own has no specification" in one for one in found.sentences)
    assert sim.simulate(played, mixed).engine == "simpy"
    with pytest.raises(sim.EngineError, match="got Own"):
        sim.simulate(played, mixed, engine="compiled")


def test_a_step_wins_over_its_system_and_both_over_all_others():
    """Names are looked up in this order."""
    a, b, c = sim.Callback("1s"), sim.Callback("2s"), sim.Callback("3s")
    mixed = sim.Strategies({"post": a, "system of post": b, "system of ask": b}, others=c)
    steps = scenario().process.of_type(sim.AsyncStep)
    assert [mixed.for_step(one) for one in steps] == [a, b, c, c]
    assert a.for_step(steps[0]) is a


def test_a_mixture_shows_files_and_words_of_its_parts():
    """Label, words, table, pickle and command line all give it back."""
    words = "ledger: callback delay=50ms; clerk: polling 5min; others: backoff 1s cap=1min"
    mixed = parse_strategy(words)
    assert mixed.label == (
        "ledger: callback; clerk: polling 5 min; others: backoff 1 s x 2 up to 1 min"
    )
    assert "'clerk': checks every 5 min" in mixed.in_words
    assert mixed.label in mixed._repr_html_()
    assert (
        strategy_from(strategy_table(mixed), "file") == mixed == pickle.loads(pickle.dumps(mixed))
    )
    assert (mixed.polls, mixed.notifies, mixed.expected(60.0)) == (True, True, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"pots": sim.Callback()},
            r"strategy must name steps that wait, .* got 'pots'; did you mean 'post'",
        ),
        (
            {"post": sim.Callback()},
            "must have one for the step 'ask': name it, its system 'system o",
        ),
        ({"post": 3}, r"Strategies.of\['post'\] must be a strategy such as Callback\(\), got 3"),
        ({"post": sim.Callback}, "such as Callback\\(\\), not a class"),
        ({"others": 3}, r"Strategies.others must be a strategy"),
        ({3: sim.Callback()}, r"Strategies.of must map names .*, got \{3: "),
        ({"others": {"post": sim.Callback()}}, "Strategies.others must be a strategy"),
        (
            "callback",
            r"x must be a strategy such as Callback\(\), got 'callback'",
        ),
    ],
)
def test_mistakes_are_named(value, words):
    """A wrong name, a step without a strategy, and what is no strategy."""
    with pytest.raises(sim.ScenarioError, match=words):
        as_strategy("x", value, scenario())


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("post=callback; ask=polling 5min", "did you mean 'post: callback; ask: polling 5min'"),
        ("post: calback", "post: strategy must begin with .* did you mean 'callback'"),
        ("post: callback; post: callback", "has 'post' twice"),
        ("post: callback; callback", "must be such as 'ledger: callback; clerk: polling 5min'"),
    ],
)
def test_words_with_mistakes_are_named(words, error):
    """On the command line."""
    with pytest.raises(sim.ScenarioError, match=error):
        parse_strategy(words)
    assert parse_strategy("polling at 22:15").label == "polling at 22:15"


def test_a_part_can_be_swept_and_searched():
    """Its field is named after it; labels leave out the value that is swept."""
    played = scenario(steps=("post", "ask")).replace(length="1h")
    mixed = {"post": sim.Callback(), "ask": sim.Polling("1min")}
    grid = {"strategy.ask.interval": ["1min", "4min"]}
    found = sim.sweep(played, grid, [mixed, sim.Callback()], replications=2, progress=False)
    assert found.strategies == ("post: callback; ask: polling", "callback")
    means = found.of("mean_latency").query("strategy != 'callback'")["mean"].tolist()
    assert means[0] < means[1]
    with pytest.raises(sim.ScenarioError, match=r"name field='strategy\.ask\.interval'"):
        sim.longest_interval(played, "mean_latency <= 60s", mixed, progress=False)


def test_a_session_opened_again_has_the_same_strategies(tmp_path):
    """The store keeps the strategy of each step; its replay is the session."""
    mixed, other = {"post": sim.Callback("1min"), "others": sim.Polling("5min")}, sim.Callback()
    path = tmp_path / "session.db"
    with sim.live(scenario(), mixed, store=path, against=[other], seed=1) as session:
        session.run_until("2h")
        before, label = session.so_far().waits, session.strategies[0]
        assert label == "post: callback; others: polling 5 min"
        row = session.waiting.query("step == 'ask'").iloc[0]
        assert "next_check" in session.beside(row["serial_number"])
    with sim.live(store=path) as session:
        assert session.strategies[0] == label
        assert session.so_far().waits.equals(before)
