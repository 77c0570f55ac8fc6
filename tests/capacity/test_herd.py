"""How long a herd takes to drain, against the closed form."""

import math
import re

import pytest

import asyncsim as sim

QUIET = {"progress": False}


def nights(results="at end", after=(), **changes):
    """Three nights of some 300 callbacks of 0.5 s on three workers."""
    scenario = sim.Scenario(
        name="nights",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger"), *after]),
        systems={"ledger": sim.NightlyBatch("22:00", "100ms", results=results)},
        server=sim.WorkflowServer(3, callback_work="500ms"),
        arrivals=sim.Poisson("300/day", between=("08:00", "20:00")),
        length="3d",
    )
    return scenario.replace(**changes)


def test_herds_of_a_batch_that_answers_at_its_end_drain_as_the_closed_form_predicts():
    """s * ceil(N / c) plus the network delay, for every herd."""
    found = sim.herd_drain(nights(), sim.Callback("2s"), replications=4, **QUIET)
    assert found.exact
    assert len(found.herds) == 12
    for row in found.herds.itertuples():
        assert row.drained == pytest.approx(2 + 0.5 * math.ceil(row.herd / 3), abs=1e-6)
        assert row.theory == pytest.approx(row.drained, abs=1e-6)
    assert found.drained.mean == pytest.approx(found.theory.mean)
    found.plot()


def test_steps_after_the_wait_queue_behind_the_herd():
    """First come, first served: the callbacks were there first, so the closed form stays exact."""
    found = sim.herd_drain(nights(after=[sim.Step("notify", "1s")]), replications=3, **QUIET)
    assert found.exact
    assert found.herds["drained"].to_numpy() == pytest.approx(found.herds["theory"].to_numpy())


def test_copies_compete_with_the_herd():
    """Every callback comes twice: twice the work, and the closed form is a bound."""
    twice = sim.Callback(duplicates=1.0, duplicate_delay=0)
    found = sim.herd_drain(nights(), twice, replications=3, **QUIET)
    assert not found.exact
    assert (found.herds["drained"] > 1.5 * found.herds["theory"]).all()
    assert "theory gives at least" in repr(found)


@pytest.mark.parametrize("words", ["50 refilled 2/s", "30 per 20 s"])
def test_a_limit_on_callbacks_makes_it_longer_and_its_own_bound_holds(words):
    """300 callbacks need (300 - 50)/2 = 125 s, or 180 s, where the workers alone need 50 s."""
    limited = sim.WorkflowServer(3, callback_work="500ms", finish_limit=words)
    often = sim.Callback(retries=["500ms"] * 500)
    found = sim.herd_drain(nights(server=limited), often, replications=2, **QUIET)
    assert not found.exact
    assert (found.herds["theory"] > 2 * 0.5 * (found.herds["herd"] / 3)).all()
    above = found.herds["drained"] - found.herds["theory"]
    # One pause of the senders at the most, and the work of those who are let in together
    assert above.between(-1e-6, 0.5 + 0.5 * 30 / 3).all()


def test_callbacks_that_are_rejected_for_good_are_not_part_of_the_bound():
    """30 of some 300 get through: ten rounds of three workers, 5 s."""
    limited = sim.WorkflowServer(3, callback_work="500ms", finish_limit="30 per 1h")
    found = sim.herd_drain(nights(server=limited), replications=2, **QUIET)
    assert (found.herds["never"] == found.herds["herd"] - 30).all()
    assert found.herds["drained"].to_numpy() == pytest.approx(5.0)
    assert found.herds["theory"].to_numpy() == pytest.approx(5.0)


@pytest.mark.parametrize("item", ["100ms", "200ms"])
def test_results_that_come_one_by_one_are_hardly_a_herd(item):
    """The bound is what the workers have not yet done when the batch ends, or one callback."""
    batch = sim.NightlyBatch("22:00", item)
    found = sim.herd_drain(nights(systems={"ledger": batch}), replications=3, **QUIET)
    assert (found.herds["drained"] >= found.herds["theory"] - 1e-6).all()
    assert found.drained.mean == pytest.approx(found.theory.mean, rel=0.05, abs=0.5)


def test_lost_callbacks_are_counted_not_drained():
    """The time leaves them out, and the sentence counts them."""
    scenario = nights(process=sim.Process("p", [sim.AsyncStep("post", "ledger", timeout="2d")]))
    found = sim.herd_drain(scenario, sim.Callback(loss=0.1), replications=3, **QUIET)
    lost = int(found.herds["never"].sum())
    assert 0 < lost < found.herds["herd"].sum() / 4
    (sentence,) = found.findings()
    share = (found.herds["never"] / found.herds["herd"]).mean()  # of one herd each
    assert f"but {100 * share:.3g} % (" in sentence
    assert "of its waits never resume; theory gives at least" in sentence
    assert " drains in " in sentence


def test_callbacks_that_a_limit_turns_away_for_good_never_resume():
    """Handled at once, 30 of each herd are let in, and the others are not sent again."""
    limited = sim.WorkflowServer(3, callback_work=0, finish_limit="30 per 1h")
    found = sim.herd_drain(nights(server=limited), replications=2, **QUIET)
    (sentence,) = found.findings()
    assert re.match(
        r"A herd of [\d.]+ \(.*\) waits drains in 0 s \(in every replication\), but ", sentence
    )
    assert repr(found).startswith(sentence)
    assert f'<p class="findings">{sentence}</p>' in found._repr_html_()
    assert (found.per_size["never"] == found.per_size["herd"] - 30).all()
    labels = found.plot().axes[0].get_legend_handles_labels()[1]
    share = found.herds["never"].sum() / found.herds["herd"].sum()
    assert f"({100 * share:.3g} % never resumed)" in labels[-1]


def test_a_herd_of_which_nothing_resumes_has_no_time_to_drain():
    """Every callback is lost."""
    scenario = nights(process=sim.Process("p", [sim.AsyncStep("post", "ledger", timeout="2d")]))
    found = sim.herd_drain(scenario, sim.Callback(loss=1.0), replications=2, **QUIET)
    (sentence,) = found.findings()
    assert sentence.endswith(
        "does not drain: 100 % (in every replication) of its waits never resume."
    )


def test_polling_drains_by_its_interval():
    """With free checks every ten minutes, the last of a herd resumes within one cycle."""
    found = sim.herd_drain(nights(), sim.Polling("10min"), replications=2, **QUIET)
    assert found.herds["drained"].between(500, 600).all()
    assert found.herds["theory"].isna().all()
    assert "theory" not in repr(found)
    found.plot()


def test_work_that_is_there_before_the_herd_makes_the_closed_form_a_bound():
    """Orders come in at night too, and take a minute each: the herd queues behind them."""
    scenario = nights(
        process=sim.Process("p", [sim.Step("validate", "30s"), sim.AsyncStep("post", "ledger")]),
        arrivals=sim.Poisson("300/h"),
        length="1d",
    )
    found = sim.herd_drain(scenario, replications=4, **QUIET)
    assert found.herds["others"].max() > 0
    assert not found.exact
    assert (found.herds["drained"] >= found.herds["theory"] - 1e-6).all()


def two_waits(**systems):
    """Each instance waits twice, for "stock" and then for "ledger"."""
    steps = [sim.AsyncStep("check", "stock"), sim.AsyncStep("post", "ledger")]
    return nights(process=sim.Process("p", steps), systems=systems, length="1d")


def test_completions_of_a_service_are_not_a_herd():
    """Of a service and a batch, the batch alone is measured: 300 of 0.5 s on three workers."""
    batch = sim.NightlyBatch("22:00", "100ms", results="at end")
    scenario = two_waits(stock=sim.OnlineService("1min", lanes=None), ledger=batch)
    found = sim.herd_drain(scenario, replications=3, **QUIET)
    assert found.system == "ledger"
    assert set(found.herds["system"]) == {"ledger"}
    expected = [0.5 * math.ceil(herd / 3) for herd in found.herds["herd"]]
    assert found.herds["drained"].to_numpy() == pytest.approx(expected)
    assert "ledger" in repr(found)
    other = sim.herd_drain(scenario, system="stock", replications=3, **QUIET)
    assert set(other.herds["system"]) == {"stock"}
    assert other.drained.mean < 5 < found.drained.mean


def test_herds_of_two_batches_are_not_averaged():
    """They have no common mean, so one must be named; an unknown name raises with the nearest."""
    first = sim.NightlyBatch("21:00", "100ms", results="at end")
    scenario = two_waits(stock=first, ledger=sim.NightlyBatch("23:00", "100ms", results="at end"))
    with pytest.raises(sim.ScenarioError, match="system must be one of 'stock', 'ledger'"):
        sim.herd_drain(scenario, **QUIET)
    with pytest.raises(sim.ScenarioError, match="did you mean 'ledger'"):
        sim.herd_drain(scenario, system="leger", **QUIET)
    found = sim.herd_drain(scenario, system="ledger", replications=2, **QUIET)
    assert set(found.herds["system"]) == {"ledger"}


def test_apart_is_a_duration():
    """Named in the message."""
    with pytest.raises(sim.ScenarioError, match="apart must be positive, got '-1min'"):
        sim.herd_drain(nights(), apart="-1min", **QUIET)


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_late_callbacks_take_workers_too_and_the_closed_form_is_a_bound_only():
    """Half of the waits have timed out before the batch ends; their callbacks come all the same."""
    scenario = nights()
    step = sim.AsyncStep("post", "ledger", timeout="8h")
    late = scenario.replace(process=sim.Process("p", [step]))
    assert sim.herd_drain(scenario, replications=2, **QUIET).exact
    found = sim.herd_drain(late, replications=2, **QUIET)
    assert found.herds["never"].gt(0).all()
    assert not found.exact
    assert found.drained.mean > found.theory.mean
