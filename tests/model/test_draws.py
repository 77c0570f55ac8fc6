"""Every source of randomness has a stream of its own, and nothing else moves it."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import scenarios
from thorough import times

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import ArrivalTimes, Poisson
from asyncsim.model.distributions import exponential, lognormal
from asyncsim.model.process import AsyncStep, Choice, Parallel, Process, Response, Step
from asyncsim.model.random_streams import Draws, counter_based_uniform, mix
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.systems import Chain, LoggedCompletions, NightlyBatch, OnlineService, People

STEPS = (
    Step("validate", work=exponential("200ms")),
    AsyncStep("post", "ledger", call_work=exponential(1), response=Response(0.5, 0.5)),
    Choice("which", [(0.5, [Step("pack", work=exponential(30))]), (0.5, [])]),
    AsyncStep("approve", "team", call_work=exponential(2)),
)
BASE = Scenario(
    name="base",
    process=Process("order", STEPS),
    systems={
        "ledger": NightlyBatch("22:00", lognormal(0.15, 0.1)),
        "team": Chain([OnlineService(exponential(1)), People(2, exponential(600))]),
    },
    arrivals=Poisson("200/day"),
)
STREAMS = {
    ("arrivals", None),
    ("work", "validate"),
    ("work", "post"),
    ("work", "pack"),
    ("work", "approve"),
    ("external", "post"),
    ("external", "approve"),
    ("choices", "which"),
    ("responses", "post"),
    ("responses", "approve"),
}


def arrays(draws):
    """Return every array of some draws by kind and name."""
    found = {("arrivals", None): draws.arrivals}
    for kind in ("work", "external", "choices", "responses"):
        found |= {(kind, name): array for name, array in getattr(draws, kind).items()}
    return found


def moved(scenario, seed=3, replication=0):
    """Return which streams of the base scenario differ in another one, or are lost."""
    base, other = arrays(BASE.draw(3)), arrays(scenario.draw(seed, replication))
    return {key for key in base if key not in other or not np.array_equal(base[key], other[key])}


def with_steps(*steps):
    return BASE.replace(process=Process("order", steps))


def test_a_scenario_has_its_streams():
    """Arrivals, and by name: work, external times, choices, responses; each of n numbers."""
    draws = BASE.draw(3)
    found = arrays(draws)
    assert set(found) == STREAMS
    n = len(draws)
    assert n == len(draws.arrivals) > 100
    assert {array.shape for key, array in found.items() if key != ("external", "approve")} == {(n,)}
    assert found["external", "approve"].shape == (n, 2)


def test_the_same_seed_gives_the_same_numbers():
    """Draws are a function of scenario, seed and replication."""
    assert moved(BASE) == set()


def test_seeds_and_replications_differ():
    """Another seed or another replication changes every stream."""
    assert moved(BASE, seed=4) == STREAMS
    assert moved(BASE, replication=1) == STREAMS
    firsts = {
        (seed, replication): BASE.draw(seed, replication).responses["post"][0]
        for seed in range(10)
        for replication in range(10)
    }
    assert len(set(firsts.values())) == 100


first, second, *rest = STEPS
slow_post = AsyncStep("post", "ledger", call_work=exponential(99), response=Response(0.5, 0.5))
CHANGES = {
    "a step before": (with_steps(Step("new", work=exponential(1)), *STEPS), set()),
    "an asynchronous step between": (with_steps(first, AsyncStep("x", "team"), *STEPS[1:]), set()),
    "another order": (with_steps(*reversed(STEPS)), set()),
    "steps moved into branches": (with_steps(Parallel("p", [STEPS[:2], STEPS[2:]])), set()),
    "a step left out": (
        with_steps(second, *rest),
        {("work", "validate")},
    ),
    "another law of work": (
        with_steps(Step("validate", work=exponential(7)), second, *rest),
        {("work", "validate")},
    ),
    "another law of calls": (with_steps(first, slow_post, *rest), {("work", "post")}),
    "another law of a system": (
        BASE.replace(systems=dict(BASE.systems) | {"ledger": OnlineService(exponential(9))}),
        {("external", "post")},
    ),
    "the same law at another system": (
        BASE.replace(systems=dict(BASE.systems) | {"ledger": People(1, lognormal(0.15, 0.1))}),
        set(),
    ),
    "a system nobody calls": (
        BASE.replace(systems=dict(BASE.systems) | {"unused": OnlineService(1)}),
        set(),
    ),
    "another server": (
        BASE.replace(server=WorkflowServer(workers=9, poll_work=1, callback_work=2)),
        set(),
    ),
    "another name and description": (BASE.replace(name="x", description="y"), set()),
    "other probabilities": (
        with_steps(first, evolve(second, response=Response(0.9, 0.1)), *rest),
        set(),
    ),
}


@pytest.mark.parametrize(("changed", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_moves_only_its_own_stream(changed, expected):
    """All other streams stay the same to the last bit."""
    assert moved(changed) == expected


def test_links_of_a_chain_have_streams_of_their_own():
    """Changing the second link leaves the times of the first as they were."""
    chain = Chain([OnlineService(exponential(1)), People(2, exponential(60))])
    other = BASE.replace(systems=dict(BASE.systems) | {"team": chain})
    before, after = BASE.draw(3).external["approve"], other.draw(3).external["approve"]
    assert np.array_equal(before[:, 0], after[:, 0])
    assert not np.array_equal(before[:, 1], after[:, 1])


def test_steps_that_call_the_same_system_have_times_of_their_own():
    """The external times of two steps do not come from one stream."""
    scenario = BASE.replace(
        process=Process("p", [AsyncStep("a", "ledger"), AsyncStep("b", "ledger")])
    )
    draws = scenario.draw(3)
    assert not np.any(draws.external["a"] == draws.external["b"])


def test_streams_are_independent():
    """Streams of different names are uncorrelated, within five standard errors."""
    draws = BASE.replace(arrivals=Poisson("20000/day")).draw(5)
    columns = [draws.work["validate"], draws.work["post"], draws.work["pack"]]
    columns += [draws.external["post"], *draws.external["approve"].T]
    columns += [draws.choices["which"], draws.responses["post"], draws.responses["approve"]]
    correlation = np.corrcoef(columns)
    off_diagonal = correlation[~np.eye(len(columns), dtype=bool)]
    assert np.all(np.abs(off_diagonal) < 5 / math.sqrt(len(draws)))


# --- endless tables -----------------------------------------------------------------------------


def table(key, rows=200, columns=200):
    return np.array(
        [[counter_based_uniform(key, i, k) for k in range(columns)] for i in range(rows)]
    )


@pytest.fixture(scope="module")
def uniforms():
    return table(BASE.draw(1).key("phase"))


def test_counted_numbers_are_uniform(uniforms):
    """40,000 places: mean, variance, extremes and 100 equally filled classes."""
    n = uniforms.size
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert abs(uniforms.mean() - 0.5) < 5 / math.sqrt(12 * n)
    assert abs(uniforms.var() - 1 / 12) < 5 / math.sqrt(180 * n)
    share = np.histogram(uniforms, bins=100, range=(0, 1))[0]
    assert np.sum((share - n / 100) ** 2 / (n / 100)) < 99 + 5 * math.sqrt(2 * 99)
    assert len(np.unique(uniforms)) == n


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lag", [1, 2, 7])
def test_counted_numbers_do_not_depend_on_their_neighbours(uniforms, axis, lag):
    """Neither along the waits nor along the checks is there any correlation."""
    shifted = np.roll(uniforms, -lag, axis)
    kept = uniforms.shape[axis] - lag
    a, b = (np.take(x, range(kept), axis).ravel() for x in (uniforms, shifted))
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(len(a))
    pairs = np.histogram2d(a, b, bins=8, range=[(0, 1), (0, 1)])[0]
    expected = len(a) / 64
    assert np.sum((pairs - expected) ** 2 / expected) < 63 + 5 * math.sqrt(2 * 63)


def test_tables_of_different_keys_are_unrelated(uniforms):
    """Other names, seeds and replications have other tables."""
    others = [BASE.draw(1).key("loss"), BASE.draw(2).key("phase"), BASE.draw(1, 1).key("phase")]
    for key in others:
        other = table(key, 50)
        bound = 5 / math.sqrt(other.size)
        assert abs(np.corrcoef(uniforms[:50].ravel(), other.ravel())[0, 1]) < bound
    assert len({BASE.draw(s, r).key("x") for s in range(30) for r in range(30)}) == 900


def test_a_place_in_the_table_is_found_in_any_order(uniforms):
    """The number at (i, k) does not depend on what was asked before."""
    key = BASE.draw(1).key("phase")
    assert counter_based_uniform(key, 150, 3) == uniforms[150, 3]
    assert counter_based_uniform(key, 0, 199) == uniforms[0, 199]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_scrambling_keeps_numbers_apart(a, b):
    """The finaliser maps 64 bits to 64 bits one to one."""
    assert 0 <= mix(a) < 2**64
    assert (mix(a) == mix(b)) == (a == b)


def test_columns_are_drawn_once_and_apart():
    """Column k of a purpose is the same each time, and unrelated to column k + 1."""
    draws = Draws(np.arange(5000.0), seed=4)
    law = exponential(2)
    zero, one = draws.column("delay", law, 0), draws.column("delay", law, 1)
    assert zero is draws.column("delay", law, 0)
    assert np.array_equal(zero, Draws(np.arange(5000.0), seed=4).column("delay", law, 0))
    assert abs(np.corrcoef(zero, one)[0, 1]) < 5 / math.sqrt(5000)
    assert abs(zero.mean() - 2) < 5 * 2 / math.sqrt(5000)
    assert not np.array_equal(zero, draws.column("other", law, 0))


# --- bring your own -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Draws([1, 0]), "Draws.arrivals must be sorted, the earliest first"),
        (lambda: Draws([[1], [2]]), "Draws.arrivals must have one number per instance, got (2, 1)"),
        (lambda: Draws(5), "Draws.arrivals must have one number per instance, got ()"),
        (lambda: Draws(["a"]), "Draws.arrivals must be an array of numbers, got ['a']"),
        (lambda: Draws([True]), "Draws.arrivals must be an array of numbers"),
        (lambda: Draws([None]), "Draws.arrivals must be finite and not negative, got nan"),
        (lambda: Draws([-1.0, 2.0]), "Draws.arrivals must be finite and not negative, got -1.0"),
        (
            lambda: Draws(pd.to_datetime(["2026-01-05"])),
            "Draws.arrivals must be an array of numbers",
        ),
        (
            lambda: Draws([1, 2], work={"a": [1.0]}),
            "Draws.work['a'] must have one number per instance (2), got 1",
        ),
        (
            lambda: Draws([1, 2], external={"a": [1.0, math.inf]}),
            "Draws.external['a'] must be finite and not negative, got inf",
        ),
        (
            lambda: Draws([1, 2], external={"a": [[1.0, 2.0], [1.0, -4.0]]}),
            "Draws.external['a'] must be finite and not negative, got -4.0",
        ),
        (lambda: Draws([1], choices={"c": [1.0]}), "Draws.choices['c'] must be below 1, got 1.0"),
        (lambda: Draws([1], responses={"c": [7]}), "Draws.responses['c'] must be below 1, got 7.0"),
        (lambda: Draws([1], seed=-1), "Draws.seed must be a whole number, 0 or more, got -1"),
        (lambda: Draws([1], seed=1.5), "Draws.seed must be a whole number, 0 or more, got 1.5"),
        (lambda: Draws([1], replication=True), "Draws.replication must be a whole number"),
    ],
)
def test_wrong_draws_are_refused_by_name(make, message):
    """The refusal names the array, what is wrong and the first wrong value."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_own_draws_may_be_anything_like_an_array():
    """Lists, arrays, columns and whole numbers will do; nobody may arrive at all."""
    draws = Draws(pd.Series([1, 2]), work={"a": (1, 2)}, external={"b": np.ones((2, 3))})
    assert draws.arrivals.dtype == float
    assert len(draws) == 2
    assert len(Draws([])) == 0
    assert repr(draws) == "Draws(2 instances, seed=0, replication=0)"


def test_what_own_draws_lack_is_drawn():
    """Own arrays stay; everything else comes from the seed, as many as there are arrivals."""
    own = Draws([1.0, 2.0, 3.0], external={"post": [7.0, 8.0, 9.0]}, seed=3)
    full = own.completed_for(BASE)
    assert set(arrays(full)) == STREAMS
    assert full.arrivals.tolist() == [1, 2, 3]
    assert full.external["post"].tolist() == [7, 8, 9]
    reference = BASE.draw(3)
    for key, array in arrays(full).items():
        assert len(array) == 3
        if key not in {("arrivals", None), ("external", "post")}:
            assert np.array_equal(array, arrays(reference)[key][:3])


@settings(max_examples=times(20))
@given(scenarios(), st.integers(0, 5))
def test_complete_draws_stay_as_they_are(scenario, seed):
    """Completing what is complete changes nothing."""
    draws = scenario.draw(seed, 2)
    full = draws.completed_for(scenario)
    assert (full.seed, full.replication) == (seed, 2)
    for key, array in arrays(full).items():
        assert np.array_equal(array, arrays(draws)[key])


def test_draws_for_another_scenario_are_refused():
    """A name the scenario does not know is named with the nearest one it knows."""
    with pytest.raises(ScenarioError, match=r"work has 'validat', .*; did you mean 'validate'"):
        Draws([1.0], work={"validat": [1.0]}).completed_for(BASE)
    with pytest.raises(ScenarioError, match="choices has 'x', which the scenario does not know"):
        Draws([1.0], choices={"x": [0.5]}).completed_for(BASE)
    message = r"Draws.external\['approve'\] must have shape \(1, 2\), got \(1,\)"
    with pytest.raises(ScenarioError, match=message):
        Draws([1.0], external={"approve": [1.0]}).completed_for(BASE)


def test_a_named_stream_begins_at_its_beginning():
    """Asking for a stream again gives the same numbers again."""
    draws = BASE.draw(3)
    assert draws.rng("x").random() == draws.rng("x").random()
    assert draws.rng("x").random() != draws.rng("y").random()


def test_a_log_must_reach_for_all_instances():
    """A log of two completions cannot say when a third instance is done."""
    log = LoggedCompletions([10.0, 20.0])
    for system in (log, Chain([OnlineService(1), log])):
        scenario = BASE.replace(
            systems=dict(BASE.systems) | {"ledger": system}, arrivals=ArrivalTimes([1, 2])
        )
        assert len(scenario.draw()) == 2
        with pytest.raises(ScenarioError, match="an instant for each of 3 instances, got 2"):
            scenario.replace(arrivals=ArrivalTimes([1, 2, 3])).draw()


@pytest.mark.parametrize("what", ["work", "external", "choices", "responses"])
@pytest.mark.parametrize("wrong", ["at", [1.0], {1: [1.0]}, 5])
def test_draws_by_name_are_a_mapping(what, wrong):
    """A text or a list has no names of steps."""
    with pytest.raises(ScenarioError, match=rf"Draws\.{what} must map names of steps to arrays"):
        Draws([0.0], **{what: wrong})


def test_a_number_too_large_for_a_float_is_no_time():
    """Whole numbers and fractions have no end."""
    for wrong in (10**400, Fraction(10**400)):
        with pytest.raises(ScenarioError, match=r"Draws\.arrivals must be an array of numbers"):
            Draws([wrong])
