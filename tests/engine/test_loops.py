"""Delays, retries, rounds, items and races: closed forms, serial numbers, and who loses."""

import math

import numpy as np
import pytest

import asyncsim as sim

MEAN = 60.0


def harmonic(number, least=1):
    """Return 1/least + … + 1/number."""
    return sum(1 / k for k in range(least, number + 1))


def call(name="post", **more):
    return sim.AsyncStep(name, "bank", **more)


def scenario_of(*steps, arrivals=None, item_time=None, **more):
    """Return instances that have nothing to wait for but the outside."""
    bank = sim.OnlineService(item_time or sim.exponential(MEAN), lanes=None)
    arrivals = sim.Regular("60s") if arrivals is None else sim.ArrivalTimes(arrivals)
    return sim.Scenario("s", sim.Process("p", list(steps)), {"bank": bank}, arrivals, **more)


def played(*steps, engine="simpy", **more):
    return sim.simulate(scenario_of(*steps, **more), sim.Callback(), seed=1, engine=engine)


def assert_mean(values, expected):
    """Compare a mean with theory: within four standard errors."""
    error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(expected, abs=4 * error + 1e-9)


# --- closed forms -------------------------------------------------------------------------------


def test_the_number_of_rounds_is_geometric_and_cut():
    """Each round is the last with p: (1 - (1 - p)^k)/p rounds, each with the mean time."""
    loop = sim.Repeat([call()], until_probability=0.25, most=5)
    run = played(loop, engine="auto")
    rounds = run.waits.groupby("instance").size()
    expected = (1 - 0.75**5) / 0.25
    assert loop.mean_rounds == pytest.approx(expected)
    assert_mean(rounds, expected)
    assert_mean(rounds == 5, 0.75**4)
    assert_mean(run.instances["cycle_time"], expected * MEAN)


def test_retries_succeed_as_often_as_one_of_their_attempts():
    """An attempt ends in time with s = 1 - e^(-T/m); the pauses grow by the factor."""
    timeout, pause, attempts = 40.0, 10.0, 3
    step = call(timeout=timeout)
    run = played(sim.Retry(step, attempts=attempts, pause=pause, backoff=2), engine="auto")
    miss = math.exp(-timeout / MEAN)
    done = run.instances["outcome"] == "done"
    assert_mean(done, 1 - miss**attempts)
    # The mean of min(D, T), and a pause before each attempt that is made
    each = MEAN * (1 - miss)
    expected = sum(miss**k * each for k in range(attempts))
    expected += sum(miss**k * pause * 2 ** (k - 1) for k in range(1, attempts))
    assert_mean(run.instances["cycle_time"], expected)


def test_a_rejected_call_is_made_again():
    """Calls until one is accepted: geometric, cut; the last rejection takes the step's own path."""
    step = call(response={"accepted": 0.5, "rejected": 0.5}, on_rejected=[sim.Step("give up")])
    run = played(sim.Retry(step, attempts=4), engine="auto")
    assert_mean(run.steps.query("step == 'post'").groupby("instance").size(), 2 * (1 - 0.5**4))
    given_up = run.instances["instance"].isin(run.steps.query("step == 'give up'")["instance"])
    assert_mean(given_up, 0.5**4)
    assert (run.instances["outcome"] == "done").all()


def test_the_first_of_exponentials_is_the_minimum():
    """The minimum has the sum of the rates; each branch wins by its share of them."""
    means = {"a": 30.0, "b": 60.0, "c": 120.0}
    banks = {k: sim.OnlineService(sim.exponential(mean), lanes=None) for k, mean in means.items()}
    race = sim.FirstOf([[sim.AsyncStep(name, name)] for name in means])
    scenario = sim.Scenario("s", sim.Process("p", [race]), banks, sim.Regular("60s"))
    run = sim.simulate(scenario, sim.Callback(), seed=1, engine="simpy")
    rate = sum(1 / mean for mean in means.values())
    assert_mean(run.instances["cycle_time"], 1 / rate)
    won = run.waits.query("outcome == 'resumed'")
    assert len(won) == len(run.instances)
    for name, mean in means.items():
        assert_mean(won["step"] == name, 1 / mean / rate)


@pytest.mark.parametrize("losers", ["cancel", "go on"])
def test_a_quorum_takes_as_long_as_its_last_vote(losers):
    """The n-th of m exponentials: m (1/m + … + 1/(m - n + 1)), whatever the losers do."""
    race = sim.Quorum(2, [[call(name)] for name in "abcd"], losers=losers)
    run = played(race)
    assert_mean(run.instances["cycle_time"], MEAN * harmonic(4, 3))
    lost = run.deliveries["outcome"] == "late, rejected"
    n = len(run.instances)
    assert lost.sum() == (2 * n if losers == "cancel" else 0)
    assert run.waits["outcome"].value_counts().to_dict() == (
        {"resumed": 2 * n, "cancelled": 2 * n} if losers == "cancel" else {"resumed": 4 * n}
    )


def test_items_take_as_long_as_the_slowest():
    """The maximum of N exponentials: m H_N, over the distribution of N."""
    counts = {0: 0.2, 1: 0.3, 5: 0.5}
    run = played(sim.ForEach(counts, [call()]), engine="auto")
    cycle = run.instances["cycle_time"]
    assert_mean(cycle, MEAN * sum(p * harmonic(n) for n, p in counts.items()))
    items = run.waits.groupby("instance").size().reindex(run.instances["instance"], fill_value=0)
    for number, share in counts.items():
        assert_mean(items == number, share)


# --- what exactly happens -----------------------------------------------------------------------


def test_an_attempt_has_a_new_serial_number_and_the_old_one_is_late():
    """The work of the first attempt goes on; its callback comes when the second one waits."""
    scenario = scenario_of(
        sim.Step("first"), sim.Retry(call(timeout="1min"), attempts=2, pause="5s"), arrivals=[0.0]
    )
    draws = sim.Draws([0.0], external={"post": [70.0], "post#2": [30.0]})
    for engine in ("simpy", "compiled"):
        run = sim.simulate(scenario, sim.Callback(), draws=draws, engine=engine)
        assert list(run.waits["serial_number"]) == ["1_2", "1_3"]
        assert list(run.waits["visit"]) == [1, 2]
        assert list(run.waits["outcome"]) == ["timed out", "resumed"]
        assert list(run.deliveries["outcome"]) == ["late, rejected", "finished"]
        assert list(run.instances["ended"]) == [95.0]


def test_a_delay_takes_no_worker():
    """Ten instances at once on one worker are delayed together; the run lasts until then."""
    for engine in ("simpy", "compiled"):
        run = played(sim.Delay("1h"), arrivals=[0.0] * 10, engine=engine)
        assert (run.instances["ended"] == 3600.0).all()
        assert run.record.end == 3600.0
        assert (run.steps["kind"] == "delay").all()
        assert (run.steps["ended"] == 3600.0).all()
        assert run.server["busy"].sum() == 0


def test_a_branch_that_fails_drops_out_of_its_race():
    """The other branch wins; if none is left the instance fails."""
    rejected = {"accepted": 0.0, "rejected": 1.0}
    wins = played(sim.FirstOf([[call("a", response=rejected)], [call("b")]]), arrivals=[0.0])
    assert list(wins.instances["outcome"]) == ["done"]
    both = [[call("a", response=rejected)], [sim.Delay("1s"), call("b", response=rejected)]]
    lost = played(sim.FirstOf(both), arrivals=[0.0])
    assert list(lost.instances["outcome"]) == ["failed"]
    assert list(lost.instances["ended"]) == [1.0]


def test_losers_are_cancelled_with_all_that_would_follow():
    """A fast delay wins; the step after the loser's wait is never executed."""
    slow = [call("a"), sim.Step("after")]
    run = played(
        sim.FirstOf([slow, [sim.Delay("1s")]]), sim.Step("next"),
        arrivals=[0.0], item_time=sim.fixed(50.0),
    )  # fmt: skip
    assert list(run.instances["ended"]) == [1.0]
    assert "after" not in set(run.steps["step"])
    assert list(run.deliveries["outcome"]) == ["late, rejected"]
    on = played(
        sim.FirstOf([slow, [sim.Delay("1s")]], losers="go on"),
        arrivals=[0.0], item_time=sim.fixed(50.0),
    )  # fmt: skip
    assert list(on.instances["ended"]) == [1.0]
    assert "after" in set(on.steps["step"])


def test_a_race_is_refused_by_name_by_the_compiled_engine():
    """'auto' takes SimPy for it; 'compiled' names it."""
    with pytest.raises(sim.EngineError, match="FirstOf"):
        played(sim.FirstOf([[call("a")], [call("b")]]), engine="compiled")


# --- the description ----------------------------------------------------------------------------


def test_a_loop_around_steps_does_not_move_the_numbers_of_its_first_copy():
    """Nor those of other steps."""
    plain = scenario_of(sim.Step("a", sim.exponential("1s")), call()).draw(seed=3)
    loop = sim.Repeat([sim.Step("a", sim.exponential("1s")), call()], most=3)
    more = scenario_of(loop).draw(seed=3)
    assert np.array_equal(plain.work["a"], more.work["a"])
    assert np.array_equal(plain.external["post"], more.external["post"])
    assert not np.array_equal(more.external["post"], more.external["post#2"])


def test_a_file_holds_loops(tmp_path):
    """What is saved is loaded again."""
    scenario = scenario_of(
        sim.Retry(call(timeout="1min"), attempts=4, pause="10s", backoff=2),
        sim.Repeat([sim.Delay(sim.exponential("1h"))], until_probability=0.5, most=3),
        sim.ForEach({1: 0.5, 3: 0.5}, [call("item")]),
        sim.Quorum(1, [[call("a")], [call("b")]], losers="go on"),
        sim.FirstOf([[call("c")], [sim.Delay("1min", name="patience")]]),
    )
    scenario.save(tmp_path / "s.toml")
    assert sim.Scenario.load(tmp_path / "s.toml") == scenario


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: sim.Retry(sim.Step("a")), "Retry.step must be an AsyncStep"),
        (lambda: sim.Retry(call(), attempts=0), "Retry.attempts must be a whole number, 1 or more"),
        (lambda: sim.Retry(call(), pause="-1s"), "Retry.pause must"),
        (lambda: sim.Retry(call(), backoff=0.5), "Retry.backoff must be at least 1, got 0.5"),
        (lambda: sim.Retry(call(), pause="1d", backoff=9, attempts=99), "Retry.backoff must leave"),
        (lambda: sim.Repeat([]), "Repeat.steps must hold at least one step"),
        (lambda: sim.Repeat([call()], most=2000), "Repeat.most must be at most 1,000, got 2000"),
        (lambda: sim.Repeat([call()], until_probability=2), "Repeat.until_probability must"),
        (lambda: sim.Delay("soon"), "Delay.time must"),
        (lambda: sim.ForEach({1: 0.5}, [call()]), "ForEach.count must have probabilities"),
        (lambda: sim.ForEach({-1: 1.0}, [call()]), "ForEach.count must be a whole number"),
        (lambda: sim.ForEach(1.5, [call()]), "ForEach.count must be a whole number"),
        (lambda: sim.FirstOf([[call()]]), "FirstOf.branches must be a list of two or more"),
        (lambda: sim.Quorum(3, [[call("a")], [call("b")]]), "Quorum.needed must be at most"),
        (lambda: sim.FirstOf([[call("a")], [call("b")]], losers="kill"), "FirstOf.losers must"),
    ],
)  # fmt: skip
def test_bad_input_is_named(made, message):
    """The field, the value, and what would be right."""
    with pytest.raises(sim.ScenarioError, match=f"^{message}"):
        made()


def test_a_name_that_a_copy_would_have_is_refused():
    """The random numbers of a copy are called by its number."""
    with pytest.raises(sim.ScenarioError, match="unique names, got 'a#2' twice"):
        sim.Process("p", [sim.Repeat([sim.Step("a")], most=2), sim.Step("a#2")])


def test_explain_counts_rounds_and_items():
    """Loads follow from the expected visits; of a race no load is claimed."""
    week = 7 * 86400 / 10.0  # instances
    loop = sim.Repeat([sim.Step("a", "1s"), call("b")], until_probability=0.5, most=3)
    items = sim.ForEach({0: 0.5, 4: 0.5}, [sim.Step("c", "1s")])
    scenario = scenario_of(loop, items, arrivals=None).replace(
        arrivals=sim.Poisson("360/h"), server=sim.WorkflowServer(workers=10)
    )
    table = sim.explain(scenario, sim.Callback()).table.query("what == 'load'").set_index("part")
    load = week * (1.75 + 2.0) / (10 * 7 * 86400)
    assert table.loc["the workers", "value"] == pytest.approx(load)
    assert not table.loc["the workers", "at_least"]
    raced = scenario.replace(process=sim.Process("p", [sim.FirstOf([[call("b")], [call("d")]])]))
    assert sim.explain(raced, sim.Callback()).table["at_least"].any()


def test_a_session_enters_a_copy_again_by_the_rule_of_the_simulation():
    """A new number beyond those of all copies; the old one is stale, and the loop goes on."""
    scenario = scenario_of(sim.Repeat([call()], most=2), arrivals=[0.0])
    with sim.live(scenario, hold=["bank"]) as session:
        session.run_until("1min")
        session.finish("1_1")
        again = session.retry("1_2")
        assert again == "1_3"
        with pytest.raises(sim.WaitExpired):
            session.finish("1_2")
        session.finish(again)
        assert session.instance(1)["outcome"] == "done"
