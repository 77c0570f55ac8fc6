"""The number of lanes is inferred exactly from completion times, or not at all."""

import functools
import heapq

import numpy as np
import pytest
from known_logs import scenario

import asyncsim as sim
from asyncsim.calibration.lane_count import lanes_of_nights, queue_of

pytestmark = pytest.mark.slow

DISTRIBUTIONS = {
    "exponential": sim.exponential,
    "even": lambda mean: sim.gamma(mean, mean / 4),
    "uneven": lambda mean: sim.lognormal(mean, 2 * mean),
    "fixed": sim.fixed,
}


def waits_of(system, seed=1, **more):
    run = sim.simulate(scenario(system, **more), sim.Callback(), seed=seed)
    waits = run.waits.sort_values("armed", kind="stable")
    return waits["armed"].to_numpy(), waits["completed"].to_numpy()


@pytest.mark.parametrize("lanes", [1, 2, 5, 12])
@pytest.mark.parametrize("law", DISTRIBUTIONS)
def test_lanes_and_times_are_found_again(law, lanes):
    """At nine tenths of what the lanes can do; the times are those that were drawn."""
    mean = 0.9 * lanes * 12 * 3600 / 250
    known = scenario(sim.OnlineService(DISTRIBUTIONS[law](mean), lanes=lanes))
    run = sim.simulate(known, sim.Callback(), seed=lanes)
    waits = run.waits.sort_values("armed", kind="stable")
    came, done = waits["armed"].to_numpy(), waits["completed"].to_numpy()
    queue = queue_of(came, done)
    assert queue.lanes == lanes
    drawn = run.draws.external["post"][waits["instance"].to_numpy() - 1]
    assert done - queue.begun == pytest.approx(drawn, abs=1e-6)
    assert queue.queued == (queue.begun > came).sum() > 20


@pytest.mark.parametrize(
    "law", [sim.exponential("20min"), sim.fixed("20min"), sim.lognormal("5h", "2h")], ids=str
)
def test_where_nobody_waits_no_number_is_told(law):
    """Any number of lanes: the times are those from coming to being done."""
    for seed in range(5):
        came, done = waits_of(sim.OnlineService(law, lanes=None), seed)
        queue = queue_of(came, done)
        assert queue.lanes is None
        assert (queue.begun == came).all()


def test_a_queue_in_another_order_tells_no_number():
    """Three lanes, last come, first served: no number of lanes explains that."""
    came, done = waits_of(sim.OnlineService(sim.exponential("8min"), lanes=3))
    order = np.random.default_rng(1).permutation(len(done))
    assert queue_of(came, np.maximum(done[order], came + 1.0)).lanes is None


def test_requests_that_are_open_take_lanes_until_the_end():
    """The last ones of a log were begun, or wait behind those that were."""
    came, done = waits_of(sim.OnlineService(sim.exponential("8min"), lanes=3))
    until = float(np.quantile(came, 0.7))
    seen = came <= until
    queue = queue_of(came[seen], np.where(done[seen] <= until, done[seen], np.inf))
    assert queue.lanes == 3


def test_most_that_are_open_at_one_time_are_counted():
    """By hand: three between 2 and 3; who leaves at 4 is gone when another comes at 4."""
    queue = queue_of(np.array([0.0, 1.0, 2.0, 4.0]), np.array([4.0, 3.0, 5.0, 6.0]))
    assert queue.peak == 3


def poisson(rng, rate, days=14):
    """Return instants of arrival, this many an hour round the clock."""
    return np.sort(rng.uniform(0, days * 86400.0, rng.poisson(rate * 24 * days)))


def played(came, work, lanes, key):
    """Return when requests are done if the free lane takes the one with the least key."""
    done, free, waiting, k = np.empty(len(came)), [0.0] * lanes, [], 0
    while k < len(came) or waiting:
        at = min(free)
        if not waiting:
            at = max(at, came[k])
        while k < len(came) and came[k] <= at:
            heapq.heappush(waiting, (key(k), k))
            k += 1
        _, one = heapq.heappop(waiting)
        lane = free.index(min(free))
        free[lane] = done[one] = at + work[one]
    return done


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("delay", [60.0, 3600.0])
def test_a_delay_is_no_queue(delay, jitter):
    """Everything takes an hour, and the gaps between completions are those between requests."""
    rng = np.random.default_rng(8)
    came = poisson(rng, 100)
    assert queue_of(came, came + delay + jitter * rng.random(len(came))).lanes is None


TIMES = {
    "gamma": lambda rng, n: rng.gamma(2.0, 100.0, n),
    "lognormal": lambda rng, n: rng.lognormal(np.log(200.0) - 0.5, 1.0, n),
    "exponential": lambda rng, n: rng.exponential(200.0, n),
}


@pytest.mark.parametrize("law", TIMES)
@pytest.mark.parametrize("rate", [300, 600])
def test_many_at_a_time_are_no_lanes(law, rate):
    """At the busiest moments all are there at once, and take no longer for that."""
    reported = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        came = poisson(rng, rate, days=1)
        reported += queue_of(came, came + TIMES[law](rng, len(came))).lanes is not None
    assert reported <= 2


DISCIPLINES = {
    "shortest first": lambda rng, work: lambda k: work[k],
    "last first": lambda rng, work: lambda k: -k,
    "by chance": lambda rng, work: lambda k: rng.random(),
    "one in five first": lambda rng, work: lambda k: (k % 5 > 0, k),
}


@pytest.mark.parametrize("discipline", DISCIPLINES)
@pytest.mark.parametrize(("lanes", "load"), [(2, 0.3), (2, 0.6), (5, 0.6), (3, 0.9)])
def test_queues_of_another_order_are_told_right_or_not_at_all(discipline, lanes, load):
    """A wrong number would be worse than none."""
    wrong = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        came = poisson(rng, 60 * lanes * load, days=3)
        work = rng.exponential(60.0, len(came))
        done = played(came, work, lanes, DISCIPLINES[discipline](rng, work))
        wrong += queue_of(came, done).lanes not in (None, lanes)
    assert wrong <= 1


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_clock_of_seconds_tells_no_lane_more(lanes):
    """Rounding makes times of nothing where there are none."""
    wrong = reported = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        came = poisson(rng, 60 * lanes * 0.8, days=4)
        done = played(came, rng.exponential(60.0, len(came)), lanes, lambda k: k)
        found = queue_of(np.floor(came), np.floor(done), 1.0).lanes
        reported += found == lanes
        wrong += found not in (None, lanes)
    assert wrong == 0
    assert reported >= 4


def nights(rng, lanes, draw, key=None):
    """Return 20 nights of a batch: when items came and were done, lanes shared or by a key."""
    came, done = [], []
    for night in range(20):
        start = night * 86400.0 + 79200.0
        free, over = np.full(lanes, start), np.empty(200)
        for k, work in enumerate(draw(200)):
            lane = int(np.argmin(free)) if key is None else key(k)
            free[lane] += work
            over[k] = free[lane]
        came.append(np.sort(rng.uniform(start - 40000.0, start, 200)))
        done.append(over)
    return came, done


def told_of_nights(rng, lanes, clock, draw):
    """Return the lanes found, never a wrong number, and the times, of nights by some clock."""
    came, done = nights(rng, lanes, draw)
    found, times = lanes_of_nights(came, [np.floor(one) if clock else one for one in done], clock)
    assert found in (None, lanes)
    return found, times


@pytest.mark.parametrize("clock", [0.0, 1.0])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_lanes_of_a_batch_are_told(lanes, clock):
    """Also by a clock of seconds; the mean of an item's time is the true one."""
    reported = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        draw = functools.partial(rng.exponential, 60.0)
        found, times = told_of_nights(rng, lanes, clock, draw)
        reported += found == lanes
        if found:
            assert times.mean() == pytest.approx(60.0, rel=0.1)
    assert reported >= 6


@pytest.mark.parametrize("clock", [0.0, 1.0])
@pytest.mark.parametrize("lanes", [3, 8, 16])
def test_items_that_never_take_next_to_nothing_do_not_hide_a_lane(lanes, clock):
    """With a lane too few each seems to take a little less, and hardly any nothing at all."""
    reported = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        draw = functools.partial(rng.uniform, 30.0, 90.0)
        found, times = told_of_nights(rng, lanes, clock, draw)
        reported += found == lanes
        assert not found or times.mean() == pytest.approx(60.0, rel=0.05)
        arrived = poisson(rng, 60 * lanes * 0.9, days=1 + 4 / lanes)
        over = played(arrived, rng.uniform(30.0, 90.0, len(arrived)), lanes, lambda k: k)
        if clock:
            arrived, over = np.floor(arrived), np.floor(over)
        assert queue_of(arrived, over, clock).lanes in (None, lanes)
    assert reported >= (4 if lanes < 8 or not clock else 0)


def test_a_clock_too_coarse_to_rule_one_lane_out_rules_no_other_in():
    """Items of 5 s on one lane, logged in whole seconds, were once those of three lanes."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        came, done = nights(rng, 1, lambda n, rng=rng: rng.exponential(5.0, n))
        assert lanes_of_nights(came, [np.floor(one) for one in done], 1.0)[0] in (None, 1)
        arrived = poisson(rng, 576.0, days=0.5)
        over = played(arrived, rng.exponential(5.0, len(arrived)), 1, lambda k: k)
        assert queue_of(np.floor(arrived), np.floor(over), 1.0).lanes in (None, 1)


def test_batches_that_are_not_one_queue_tell_no_lanes():
    """Requests dealt out by a key; lanes that begin one after the other with even items."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        parted = nights(rng, 2, lambda n, rng=rng: rng.exponential(60.0, n), lambda k: k % 7 % 2)
        assert lanes_of_nights(*parted)[0] is None
        came, done = nights(rng, 4, lambda n: np.full(n, 60.0))
        staggered = [one + 15.0 * (np.arange(len(one)) % 4) for one in done]
        assert lanes_of_nights(came, staggered)[0] is None
