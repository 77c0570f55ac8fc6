"""The findings of a comparison: true, complete where waits are lost, and no more than is shown."""

import math
import re

import numpy as np
import pytest
import scenarios
import scipy
import thorough
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.engine.metrics import METRIC_ORDER, METRICS
from asyncsim.experiment.claims import MOST, Facts, claims, sweep_claims
from asyncsim.experiment.replications import labelled
from asyncsim.experiment.statistics import Interval

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")


def values(comparison, metric, strategy):
    """Return a metric of each replication."""
    return np.array([one.metrics[metric] for one in comparison._summaries[strategy]])


def interval(found):
    """Return mean and Student's interval of some values."""
    found = found[~np.isnan(found)]
    if len(found) < 2:
        return float(found.mean()), math.nan, math.nan
    half = scipy.stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found))
    return found.mean(), found.mean() - half, found.mean() + half


def loads_of(comparison):
    """Return the loads of each replication, by part and strategy, from the demand of its runs."""
    found = {}
    for label, runs in comparison._summaries.items():
        for part in runs[0].loads:
            each = np.array([one.loads.get(part, math.nan) for one in runs])
            found.setdefault(part, {})[label] = each
    return found


def overloaded(loads):
    """Return whether the load of the strategy with the largest mean is above 1 beyond chance."""
    known = [one for one in loads.values() if not np.all(np.isnan(one))]
    if not known:
        return False
    mean, low, _ = interval(max(known, key=np.nanmean))
    return mean > 1 + 1e-9 if math.isnan(low) else low > 1 + 1e-9


def of_part(comparison, claim):
    """Return the loads of each replication behind a claim, or its differences at a step."""
    if claim.kind == "overload":
        return loads_of(comparison)[claim.other][claim.strategy]
    step = claim.metric.removeprefix("mean_latency at ")
    late = [
        np.array([one.by_step["mean_latency"][step] for one in comparison._summaries[label]])
        for label in (claim.other, claim.strategy)
    ]
    return late[0] - late[1]


def check(comparison):
    """Hold every claim of a comparison against the values of its replications."""
    labels = comparison.strategies
    shares = {label: values(comparison, "unresumed_share", label) for label in labels}
    lossy = {label for label, found in shares.items() if np.any(found > 0)}
    claims = comparison._claims
    assert {one.strategy for one in claims if one.kind == "never resumed"} == lossy
    full = {part for part, loads in loads_of(comparison).items() if overloaded(loads)}
    assert {one.other for one in claims if "is overloaded" in one.text} | {
        one.other for one in claims if "are overloaded" in one.text
    } == full
    assert all(any(repr(part).strip("'") in note for note in comparison.notes) for part in full)
    overloads = [one for one in claims if one.kind == "overload"]
    assert claims[: len(overloads)] == overloads  # they come first
    assert len(claims) - len(lossy) - len(overloads) <= 5
    for one in claims:
        if one.kind in ("overload", "by step"):
            found = of_part(comparison, one)
        else:
            found = values(comparison, one.metric, one.strategy)
        if one.kind not in ("never resumed", "overload", "by step"):
            found = values(comparison, one.metric, one.other) - found
        if np.count_nonzero(~np.isnan(found)) == 1:
            assert "in one replication" in one.text
            continue
        mean, low, high = interval(found)
        assert (one.interval.mean, one.interval.low) == pytest.approx(
            (mean, low), nan_ok=True, abs=1e-12
        )
        fixed = one.interval.low == one.interval.high  # in every replication
        assert len(re.findall(r"\d", one.text)) >= (1 if fixed else 3), one.text
        assert f"'{one.strategy}'" in one.text or one.kind == "overload"
        if one.kind == "less":
            assert low > 0
            assert f"'{one.other}'" in one.text
        elif one.kind == "no difference":
            assert low <= 1e-9 * abs(mean), one
            assert high >= -1e-9 * abs(mean), one
        elif one.kind == "same":
            both = [
                np.nanmean(values(comparison, one.metric, s)) for s in (one.strategy, one.other)
            ]
            bound = 0.01 if "below 1 %" in one.text else 0.001
            assert max(abs(low), abs(high)) <= bound * max(both) + 1e-15, one
        if "no callback is lost" in one.text:
            assert one.strategy not in lossy
        if one.metric == "mean_latency":
            assert not {one.strategy, one.other} & lossy, one.text
    assert len(comparison.findings()) == len(claims)


@settings(max_examples=thorough.times(50))
@given(
    scenarios.scenarios(),
    st.lists(scenarios.strategies(), min_size=2, max_size=4),
    st.integers(2, 6),
)
def test_claims_are_those_of_the_replications(scenario, strategies, replications):
    """On random comparisons."""
    distinct = list(labelled(strategies, scenario).values())
    found = sim.compare(scenario, distinct, replications=replications, seed=1, progress=False)
    check(found)


def test_a_difference_in_the_other_direction_is_claimed():
    """Who resumes earlier may take longer in all: an interval below zero is a difference, too."""
    means = {"mean_latency": {"a": 1.0, "b": 60.0}, "mean_cycle_time": {"a": 90.0, "b": 30.0}}

    def of(metric, label):
        return Interval(means.get(metric, {}).get(label, 0.0), 0.1, 5)

    def paired(metric, one, other):
        return Interval(means[metric][one] - means[metric][other], 0.1, 5)

    earlier, longer = claims(Facts(["a", "b"], list(means), of, paired))
    assert (earlier.strategy, earlier.other) == ("a", "b")
    assert (longer.kind, longer.strategy, longer.other) == ("less", "b", "a")
    assert longer.text.startswith("instances take 1 min less under 'b' than under 'a'")


def test_one_replication_claims_nothing():
    """It has no interval."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    found = sim.compare(scenario, [sim.Callback(), sim.Polling("1h")], replications=1)
    assert found.findings() == []


def test_the_sentences_of_the_example():
    """Who is earlier, by how much, at what cost; a loss comes first."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    strategies = [sim.Callback("50ms"), sim.Callback("50ms", loss=0.1), sim.Polling("15min")]
    found = sim.compare(scenario, strategies, replications=4, seed=1, progress=False)
    first, second, *_ = found.findings()
    assert re.match(r"1\d(\.\d)? % \([\d.]+ to [\d.]+ %\) of the waits under 'callback, 10", first)
    assert re.match(r"'callback' resumes 7\.\d+ min earlier than 'polling 15 min'", second)
    table = found["mean_latency"]
    assert list(table.index) == found.strategies
    long = found.table[found.table["metric"] == "mean_latency"]
    assert table["mean"].tolist() == long["mean"].tolist()
    with pytest.raises(sim.ScenarioError, match="did you mean 'mean_latency'"):
        found["latency"]


def office(team, **changes):
    """Return 600 claims a day: 30 % go to a clerk (160 s each), all to a nightly batch."""
    check = sim.Choice(
        "check", [sim.Branch(0.3, [sim.AsyncStep("decide", "clerk")]), sim.Branch(0.7, [])]
    )
    return sim.Scenario(
        name="claims",
        length="5 days",
        start="2026-01-05",
        process=sim.Process("claim", [check, sim.AsyncStep("book", "mainframe")]),
        systems={
            "clerk": sim.People(team, "320s", between=("08:00", "16:00")),
            "mainframe": sim.NightlyBatch("21:30", "1s"),
        },
        arrivals=sim.Poisson("600/day", between=("07:00", "18:00"), days="Mon-Fri"),
    ).replace(**changes)


QUIET = {"replications": 3, "progress": False}


def test_an_overload_is_the_first_finding():
    """180 decisions a day of 320 s each are 16 h of work, and one clerk has 8."""
    found = sim.compare(office(1), [sim.Callback("50ms"), sim.Polling("15min")], **QUIET)
    first, *others = found.findings()
    number = re.search(r"'clerk' is overloaded: a week of arrivals asks for ([\d.]+) %", first)
    assert float(number[1]) == pytest.approx(200, rel=0.1)
    assert not any("overloaded" in one for one in others)
    assert any("'clerk'" in note for note in found.notes)
    assert first in repr(found)
    assert "is overloaded: a week" in found._repr_html_()
    loads = found.loads.set_index(["part", "strategy"])
    assert loads.loc[("clerk", "callback"), "low"] > 1
    once = sim.compare(office(1), [sim.Callback("50ms")], replications=1, progress=False)
    assert "is overloaded" in once.findings()[0]
    ample = sim.compare(office(4), [sim.Callback("50ms")], **QUIET)
    assert "overload" not in repr(ample)


def test_a_run_and_a_sweep_show_an_overload():
    """The run by what it asked for; each point of a sweep by a bound, here exact: 2, 1 and 2/3."""
    run = sim.simulate(office(1), sim.Callback(), seed=1)
    assert run.overloaded.keys() == {"clerk"}
    assert "'clerk' is overloaded" in run.findings()[0]
    assert "'clerk'" in run.notes[0]
    found = sim.sweep(office(1), {"systems.clerk.team": [1, 2, 3]}, [sim.Callback()], **QUIET)
    assert "At 2 of 3 points" in found.findings()[0]
    assert (
        "team of clerk = 1: 'clerk' is overloaded: a week of arrivals asks for at least 200 %"
        in (found.findings()[0])
    )
    table = found._short()[0]["overload"].tolist()
    assert table == ["clerk 200 %", "clerk 100 %", ""]
    assert found.notes


def test_a_system_for_which_no_step_waits_is_noted():
    """It is probably a mistake."""
    systems = office(4).systems | {"spare": sim.OnlineService("1s")}
    scenario = office(4, systems=systems)
    assert scenario.notes == ["no step waits for 'spare'"]
    found = sim.compare(scenario, [sim.Callback()], replications=2, progress=False)
    assert found.notes == scenario.notes
    assert sim.simulate(scenario, sim.Callback()).notes == scenario.notes


def test_each_step_that_waits_has_its_own_numbers():
    """As the tables of the runs have them; the sentence names both steps."""
    strategies = [sim.Callback("50ms"), sim.Polling("15min")]
    found = sim.compare(office(4), strategies, **QUIET)
    table = found.by_step.set_index(["step", "strategy", "metric"])
    for strategy in strategies:
        runs = [sim.simulate(office(4), strategy, seed=0, replication=k).waits for k in range(3)]
        for step in ("decide", "book"):
            of = [run[run["step"] == step] for run in runs]
            outside = [one["completed"] - one["called"] for one in of]
            for metric, values in {
                "waits": [len(one) for one in of],
                "mean_outside": [one.mean() for one in outside],
                "p95_outside": [one.quantile(0.95) for one in outside],
                "mean_latency": [one["latency"].mean() for one in of],
                "p95_latency": [one["latency"].quantile(0.95) for one in of],
                "unresumed_share": [one["resumed"].isna().mean() for one in of],
            }.items():
                row = table.loc[(step, strategy.label, metric)]
                assert (row["mean"], row["low"]) == pytest.approx(interval(np.array(values))[:2])
    assert list(dict.fromkeys(found.by_step["system"])) == ["clerk", "mainframe"]
    (sentence,) = [one for one in found.findings() if "'decide'" in one]
    assert "'book'" in sentence
    assert "mean time outside" in repr(found)
    assert "mean time outside" in found._repr_html_()


def test_one_step_needs_no_table_by_step():
    """Its numbers are those of the comparison."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    found = sim.compare(scenario, [sim.Callback()], replications=2, progress=False)
    assert found.by_step.empty
    assert "outside" not in repr(found)


def test_equals_are_named_together_with_the_simplest():
    """A safety poll that is never needed changes nothing, and no such difference is shown."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    safe = sim.CallbackWithSafetyPoll("50ms", every="1h")
    found = sim.compare(scenario, [safe, sim.Callback("50ms"), sim.Polling("15min")], **QUIET)
    (sentence,) = [one for one in found.findings() if "equally early" in one]
    assert sentence.startswith("'callback' and 'callback, safety poll 1 h' resume equally early")
    assert "'callback' is the simplest" in sentence
    first = found.findings()[0]
    assert first.startswith("'callback' resumes")
    assert "in place of" in first
    assert "no callback is lost here" in first
    assert not any(re.search(r"e-\d", one) for one in found.findings())


def test_sums_are_per_day():
    """A run of five days costs five times what it costs a day."""
    found = sim.compare(office(4), [sim.Callback(), sim.Polling("15min")], **QUIET)
    (claim,) = [one for one in found._claims if one.metric == "requests"]
    shown = float(re.search(r"sends ([\d,]+) fewer requests a day", claim.text)[1].replace(",", ""))
    assert shown == pytest.approx(claim.interval.mean / 5, rel=5e-3)


# --- sweeps ---------------------------------------------------------------------------------------

PAIR = ("a", "b")
POINTS = ("workers = 1", "workers = 2", "workers = 4")


def metrics_of(late, shares, replications, rng):
    """Metrics of a point, replications × strategies × metrics, around given means."""
    found = np.zeros((replications, 2, len(METRICS)))
    noise = rng.normal(0.0, 1.0, (replications, 1))  # common to both strategies
    own = rng.normal(0.0, 0.3, (replications, 2))
    found[:, :, METRIC_ORDER["mean_latency"]] = np.asarray(late) + noise + own
    lost = np.clip(np.asarray(shares) + rng.normal(0.0, 0.01, (replications, 2)), 0.0, 1.0)
    found[:, :, METRIC_ORDER["unresumed_share"]] = np.where(np.asarray(shares) > 0, lost, 0.0)
    found[:, :, METRIC_ORDER["cost"]] = 5.0
    return found


def student(values, level):
    """The ends of Student's interval of a mean."""
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1)
    half *= values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


latencies = st.tuples(*[st.sampled_from([20.0, 20.2, 22.0, 60.0])] * 2)
some_shares = st.tuples(*[st.sampled_from([0.0, 0.0, 0.2])] * 2)


@settings(max_examples=thorough.times(100))
@given(
    st.tuples(*[st.tuples(latencies, some_shares)] * len(POINTS)),
    st.integers(2, 8),
    st.integers(0, 1000),
)
def test_claims_of_a_sweep_are_those_of_its_replications(described, replications, seed):
    """Losses are complete; extremes and differences are significant among all that were chosen."""
    rng = np.random.default_rng(seed)
    points = {
        name: metrics_of(late, shares, replications, rng)
        for name, (late, shares) in zip(POINTS, described, strict=True)
    }
    found = sweep_claims(points, PAIR, "EUR", 0.95)
    late, lost = (
        {(name, k): one[:, k, METRIC_ORDER[metric]] for name, one in points.items() for k in (0, 1)}
        for metric in ("mean_latency", "unresumed_share")
    )
    lossy = {PAIR[k] for (_, k), shares in lost.items() if shares.any()}
    losses = [one for one in found if one.kind == "never resumed"]
    assert found[: len(losses)] == losses
    assert {one.strategy for one in losses} == lossy
    assert len(found) - len(losses) <= MOST
    for one in losses:
        shares = lost[one.other, PAIR.index(one.strategy)]
        assert shares.mean() == max(
            x.mean() for (_, k), x in lost.items() if PAIR[k] == one.strategy
        )
        assert f"{100 * shares.mean():.3g} % (" in one.text
    for one in found[len(losses) :]:
        assert re.search(r"\(.*\)", one.text), one.text
        names = [name for name in POINTS if name in one.text]
        if one.metric == "cost":
            assert "does not differ beyond chance" in one.text
            continue
        k = PAIR.index(one.strategy)
        sound = [name for name in POINTS if not lost[name, k].any()]
        assert set(names) <= set(sound)
        if one.other.startswith(("a; ", "b; ")):
            both = [name for name in sound if not lost[name, 1 - k].any()]
            gaps = {name: late[name, 1 - k] - late[name, k] for name in both}
            level = 1 - 0.05 / len(both)
            sure = [name for name in both if student(gaps[name], level)[0] > 0]
            if one.kind == "less":
                assert f"at {len(sure)} of {len(both)} points" in one.text
                assert names[0] in sure
            else:
                assert not sure
            continue
        low, high = (name for name in one.other.split("; "))
        pairs = math.comb(len(sound), 2)
        ends = student(late[high, k] - late[low, k], 1 - 0.05 / pairs)
        assert (one.kind == "less") == (ends[0] > 0)
        means = [late[name, k].mean() for name in sound]
        assert (late[low, k].mean(), late[high, k].mean()) == (min(means), max(means))


def test_the_sentences_of_a_sweep():
    """Least and largest, who is earlier at how many points; no sentence of one replication."""
    scenario = sim.Scenario.load("example:nightly_ledger")
    grid = {"strategy.interval": ["1min", "1h"]}
    pair = [sim.Callback("50ms"), sim.Polling("1min")]
    found = sim.sweep(scenario, grid, pair, 3, 1, progress=False)
    equal, polling, earlier = found.findings()
    assert equal.startswith("Under 'callback' the mean latency does not differ beyond chance")
    least = r"Under 'polling' the mean latency is least with interval of the strategy = 1 min: \d+"
    assert re.match(least, polling)
    assert "; with interval of the strategy = 1 h it is largest, " in polling
    assert earlier.startswith(
        "'callback' resumes earlier than 'polling' at 2 of 2 points; the least"
    )
    assert repr(found).startswith(equal)
    assert sim.sweep(scenario, grid, pair, 1, progress=False).findings() == []
