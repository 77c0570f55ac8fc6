"""Checks that many waits share, and checks directed by the external system, against theory."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.errors import ScenarioError
from asyncsim.fast.layout import unplayed

HOUR, DAY = 3600.0, 86400.0
ENGINES = ["simpy", "compiled"]
either = pytest.mark.parametrize("engine", ENGINES)


def scenario(system, arrivals, length="1 day", poll_work=0.0, **step):
    """Return a scenario of one step that waits."""
    return sim.Scenario(
        name="one step",
        start="2026-01-05",
        length=length,
        process=sim.Process("p", [sim.AsyncStep("wait", "system", **step)]),
        systems={"system": system},
        server=sim.WorkflowServer(2, poll_work),
        arrivals=arrivals,
    )


def together(n, instant=0.0):
    """Return arrivals at one instant."""
    return sim.ArrivalTimes([instant] * n)


# --- shared polls ---------------------------------------------------------------------------------


@either
def test_a_herd_leaves_in_order_and_the_last_at_check_n_by_m(engine):
    """25 waits complete at once, ten at a check: 10, 10, 5 of them, by instance."""
    played = scenario(sim.OnlineService(90.0, lanes=None), together(25))
    run = sim.simulate(played, sim.SharedPoll("1min", most=10), engine=engine)
    assert run.waits["closed"].tolist() == [120.0] * 10 + [180.0] * 10 + [240.0] * 5
    assert math.ceil(25 / 10) == len(set(run.waits["closed"]))
    assert run.waits["checks"].sum() == 4
    assert run.waits["wasted_checks"].sum() == 1


@either
def test_a_check_takes_one_worker_once_and_counts_once(engine):
    """Whatever the number of waits; they resume as the check ends."""
    played = scenario(sim.OnlineService(90.0, lanes=None), together(25), poll_work=0.5)
    run = sim.simulate(played, sim.SharedPoll("1min"), engine=engine)
    assert set(run.waits["closed"]) == {120.5}
    overhead = run.overhead.set_index("kind").loc["check"]
    assert (overhead["requests"], overhead["worker_seconds"]) == (2, 1.0)
    assert run.waits["checks"].tolist() == [2] + [0] * 24


@either
def test_the_oldest_completion_is_seen_first(engine):
    """The log completes instances in the reverse order; a tie goes by instance."""
    log = sim.LoggedCompletions([50.0, 40.0, 30.0, 30.0])
    run = sim.simulate(scenario(log, together(4)), sim.SharedPoll(60.0, most=1), engine=engine)
    assert run.waits["closed"].tolist() == [240.0, 180.0, 60.0, 120.0]


@either
def test_no_check_without_an_open_wait(engine):
    """Two waits, hours apart: the checks between them are not made."""
    arrivals = sim.ArrivalTimes([30.0, 10 * HOUR + 30.0])
    played = scenario(sim.OnlineService("3min", lanes=None), arrivals)
    run = sim.simulate(played, sim.SharedPoll("1min"), engine=engine)
    assert run.waits["checks"].tolist() == [4, 4]


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=25),
    st.lists(st.integers(0, 60), min_size=25, max_size=25),
    st.none() | st.integers(1, 3),
    st.none() | st.integers(1, 30),
)
def test_shared_checks_are_those_found_by_going_through_the_grid(arrivals, times, most, timeout):
    """Brute force: at each point of the grid, those open and complete, the oldest ones first."""
    arrivals, interval = sorted(map(float, arrivals)), 5.0
    completed = [at + times[k] for k, at in enumerate(arrivals)]
    played = scenario(
        sim.LoggedCompletions(completed),
        sim.ArrivalTimes(arrivals),
        timeout=timeout and timeout + 0.5,
        on_timeout="continue",
    )
    deadline = [at + timeout + 0.5 if timeout else math.inf for at in arrivals]
    closed, checks, wasted = {}, 0, 0
    for now in np.arange(1, 200) * interval:
        closed |= {k: d for k, d in enumerate(deadline) if k not in closed and d < now}
        waiting = [k for k, at in enumerate(arrivals) if at <= now and k not in closed]
        seen = sorted((k for k in waiting if completed[k] <= now), key=lambda k: (completed[k], k))
        closed |= dict.fromkeys(seen[:most], now)
        checks, wasted = checks + bool(waiting), wasted + (bool(waiting) and not seen)
    run = sim.simulate(played, sim.SharedPoll(interval, most=most), engine="simpy")
    assert run.waits["closed"].tolist() == [closed[k] for k in range(len(arrivals))]
    assert (run.waits["checks"].sum(), run.waits["wasted_checks"].sum()) == (checks, wasted)


def mean_interval(values, width=4.0):
    """Return a wide interval of the mean of independent numbers."""
    values = np.asarray(values)
    half = width * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


@pytest.mark.parametrize("anchor", ["clock", "random"])
@pytest.mark.parametrize(("most", "load"), [(None, 0.0), (1, 0.5), (1, 0.8)])
def test_the_latency_of_spread_completions(anchor, most, load):
    """T/2 if a check sees all; T/(2 (1 - ρ)) if it sees one, ρ being completions per interval.

    What one check leaves is the queue of M/D/1 at its departures, of ρ²/(2 (1 - ρ)) on average;
    with Little, each completion waits T/2 for a check and T ρ/(2 (1 - ρ)) for its turn.
    """
    interval = 300.0
    rate = f"{12 * (load or 2.0)}/h"  # one per interval is 12/h
    played = scenario(sim.OnlineService(7.0, lanes=None), sim.Poisson(rate), length="10 days")
    strategy = sim.SharedPoll(interval, most=most, anchor=anchor)
    runs = [
        sim.simulate(played, strategy, seed=5, replication=k, engine="compiled") for k in range(30)
    ]
    low, high = mean_interval([run.waits["latency"].mean() for run in runs])
    assert low < interval / (2 * (1 - load)) < high


@either
def test_checks_are_length_by_interval_while_waits_are_open(engine):
    """Open without a gap for ten days: a check at every point of the grid."""
    played = scenario(
        sim.OnlineService("1h", lanes=None), sim.Poisson("20/h"), length="2 days", poll_work=0.01
    )
    run = sim.simulate(played, sim.SharedPoll("10min"), engine=engine)
    span = run.waits["closed"].max() - run.waits["armed"].min()
    assert run.waits["checks"].sum() == pytest.approx(span / 600.0, abs=1.5)


# --- directed by the external system --------------------------------------------------------------


@either
@pytest.mark.parametrize("poll_work", [0.0, 2.0])
def test_a_plan_without_error_needs_two_checks_and_is_on_time(engine, poll_work):
    """The first check learns the instant, though a queue comes before it."""
    played = scenario(sim.OnlineService("7min"), together(10), poll_work=poll_work)
    run = sim.simulate(played, sim.ServerDirected("20s", at_most="1 day"), engine=engine)
    assert run.waits["completed"].tolist() == [420.0 * k for k in range(1, 11)]
    assert run.waits["latency"].tolist() == [poll_work] * 10
    assert run.waits["checks"].tolist() == [2] * 10


@either
def test_a_batch_knows_its_start_and_then_its_plan(engine):
    """Asked at 12:00:20, at 22:00, and when each item is done."""
    batch = sim.NightlyBatch("22:00", "10s")
    played = scenario(batch, together(5, 12 * HOUR))
    run = sim.simulate(played, sim.ServerDirected("20s", at_most="1 day"), engine=engine)
    assert run.waits["closed"].tolist() == [22 * HOUR + 10.0 * k for k in range(1, 6)]
    assert run.waits["checks"].tolist() == [3] * 5


@either
def test_a_chain_has_a_plan_in_its_last_part_only(engine):
    """Before it, each pause is the default."""
    chain = sim.Chain([sim.OnlineService(100.0), sim.OnlineService("1h")])
    run = sim.simulate(scenario(chain, together(1)), sim.ServerDirected("30s"), engine=engine)
    assert run.waits["closed"].item() == 3700.0
    assert run.waits["checks"].item() == 5  # at 30, 60, 90, 120 and 3700 s


@pytest.mark.parametrize("poll_work", [0.0, 3.0])
def test_answers_that_are_all_the_same_are_a_fixed_pause(poll_work):
    """The tables are those of `PollingAfter`."""
    played = scenario(
        sim.OnlineService(sim.exponential("5min")), sim.Poisson("9/h"), poll_work=poll_work
    )
    same = sim.ServerDirected("1min", at_least="1min", at_most="1min", error=0.5)
    runs = [sim.simulate(played, one, seed=2) for one in (same, sim.PollingAfter(["1min"]))]
    for table in ("waits", "server", "overhead"):
        first, second = (
            getattr(run, table).drop(columns="strategy", errors="ignore") for run in runs
        )
        assert first.equals(second)


@pytest.mark.parametrize("error", [0.1, 0.5])
def test_the_closed_form_of_an_error(error):
    """Work of 10 h; the mean latency is a share of what is left after the first check.

    With a factor F, what is left shrinks by 1 - F or is overshot by F - 1, whatever its length, so
    the share is E(F - 1)⁺ / (1 - E(1 - F)⁺), by the formula of Black & Scholes. Each answer
    overshoots with probability 1/2, so there are two checks after the first.
    """
    played = scenario(sim.OnlineService("10h", lanes=None), together(4000))
    strategy = sim.ServerDirected("1h", at_least=0.001, at_most="1000 days", error=error)
    waits = sim.simulate(played, strategy, seed=3, engine="compiled").waits
    below = 0.5 * math.erfc(error / math.sqrt(2))  # of a normal number, that is below -error
    grown = math.exp(error**2 / 2)
    over, under = grown * (1 - below) - 0.5, 0.5 - grown * below
    low, high = mean_interval(waits["latency"])
    assert low < 9 * HOUR * over / (1 - under) < high
    low, high = mean_interval(waits["checks"])
    assert low < 3.0 < high


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sim.SharedPoll("0s"), r"SharedPoll.interval must be positive"),
        (lambda: sim.SharedPoll("1min", most=0), r"SharedPoll.most must be .*1"),
        (lambda: sim.SharedPoll("1min", anchor="arming"), r"SharedPoll.anchor must be"),
        (lambda: sim.ServerDirected("-1s"), r"ServerDirected.default must be positive"),
        (lambda: sim.ServerDirected(at_least="1min"), r"ServerDirected.default must be from"),
        (lambda: sim.ServerDirected("2h"), r"must be from at_least \(1.0 s\) to at_most"),
        (lambda: sim.ServerDirected(error=-0.1), r"ServerDirected.error must be from 0 to 5"),
        (lambda: sim.ServerDirected(error="x"), r"ServerDirected.error must be a finite number"),
    ],
)
def test_wrong_values_are_named(make, message):
    """With the argument and what would be right."""
    with pytest.raises(ScenarioError, match=message):
        make()


def test_a_watch_of_your_own_is_played_by_simpy():
    """It has no specification; here it checks once an hour, in words of a course."""

    class Hourly(sim.Strategy):
        def watch(self, waits):
            while True:
                yield waits.any()
                yield waits.until(waits.now + HOUR)
                yield from waits.check()

    played = scenario(sim.OnlineService("90min", lanes=None), together(3))
    assert unplayed(played, Hourly()) == ["Hourly"]
    assert set(sim.simulate(played, Hourly(), engine="simpy").waits["closed"]) == {2 * HOUR}
