"""Closed forms against published tables, each other, and brute force."""

import math

import numpy as np
import pytest

from asyncsim.errors import ScenarioError
from asyncsim.experiment import theory

# Published: Erlang C and mean wait (service mean 1) at utilisation 0.9
TABLE = {
    1: (0.9, 9.0),
    2: (0.852632, 4.263158),
    5: (0.762493, 1.524986),
    10: (0.668732, 0.668732),
    20: (0.550769, 0.275385),
}


@pytest.mark.parametrize("servers", TABLE)
def test_erlang_c_and_wait_equal_the_published_table(servers):
    """All five rows of the table at utilisation 0.9."""
    must_wait, wait = TABLE[servers]
    assert theory.erlang_c(servers, 0.9 * servers) == pytest.approx(must_wait, abs=1e-6)
    assert theory.mmc_wait(servers, 0.9 * servers) == pytest.approx(wait, abs=1e-6)


def test_erlang_c_equals_the_figure_of_an_independent_package():
    """The README of pyworkforce gives C(14, 10) = 0.1741319335950498."""
    assert theory.erlang_c(14, 10) == pytest.approx(0.1741319335950498, rel=1e-12)


def test_mm2_equals_the_textbook_example():
    """λ = 10, μ = 12, two servers: Pw = 0.245, mean queue length 0.175."""
    load = 10 / 12
    assert theory.erlang_c(2, load) == pytest.approx(0.245, abs=5e-4)
    assert load * theory.mmc_wait(2, load) == pytest.approx(0.175, abs=5e-4)


def test_erlang_c_equals_its_defining_sum():
    """The recursion gives the sum of Erlang's formula."""
    c, a = 7, 5.5
    last = a**c / math.factorial(c) * c / (c - a)
    total = sum(a**k / math.factorial(k) for k in range(c)) + last
    assert theory.erlang_c(c, a) == pytest.approx(last / total)


def test_overload_is_refused():
    """A load the servers cannot carry has no stationary wait."""
    with pytest.raises(ScenarioError, match=r"load must be above 0 and below servers \(2\), got 2"):
        theory.erlang_c(2, 2)


def test_single_server_queues_equal_the_published_table():
    """At utilisation 0.8: M/M/1 4, M/D/1 2, D/M/1 1.69273, M^10/M/1 26.5, M^10/D/1 24.5."""
    assert theory.mg1_wait(0.8, 1.0) == pytest.approx(4.0)
    assert theory.mg1_wait(0.8, 0.0) == pytest.approx(2.0)
    assert theory.dm1_wait(0.8) == pytest.approx(1.69273, abs=1e-5)
    assert theory.batch_wait(0.8, 10, 1.0) == pytest.approx(26.5)
    assert theory.batch_wait(0.8, 10, 0.0) == pytest.approx(24.5)


def test_herd_equals_the_published_figure_and_brute_force():
    """1,000 on 20: 24.03 service times; and the mean of the starts, one by one."""
    assert theory.herd_mean_wait(1000, 20) == pytest.approx(24.03, abs=0.01)
    one_by_one = [max(k - 7, 0) / 7 for k in range(1, 101)]
    assert theory.herd_mean_wait(100, 7) == pytest.approx(np.mean(one_by_one))
    assert theory.herd_mean_wait(5, 10) == 0.0


def test_the_last_of_a_herd_leaves_after_whole_rounds():
    """1001 callbacks of 20 ms on 20 workers are 51 rounds."""
    assert theory.herd_drained(1001, 20, 0.02) == pytest.approx(1.02)


@pytest.mark.parametrize(("jobs", "servers"), [(1, 3), (3, 3), (7, 3), (1001, 20)])
def test_the_mean_end_of_a_herd_is_that_of_its_rounds_one_by_one(jobs, servers):
    """Job k ends with round ⌈k/c⌉."""
    ends = [2.0 * math.ceil(k / servers) for k in range(1, jobs + 1)]
    assert theory.herd_mean_end(jobs, servers, 2.0) == pytest.approx(np.mean(ends))


@pytest.mark.parametrize("external", [60.0, 61.0, 1000.0, 1001.0])
def test_checks_that_keep_a_worker_busy_are_those_counted_one_by_one(external):
    """Check after check from 60 s on; those that begin at completion or later resume one each."""
    waits, work, first = 50, 5.0, 60.0
    begins = [first + work * k for k in range(1000)]
    wasted = [at for at in begins if at < external]
    resumed = [at + work for at in begins if at >= external][:waits]
    latency, checks = theory.saturated_checks(waits, work, first, external)
    assert latency == pytest.approx(np.mean(resumed) - external)
    assert checks == len(wasted) + waits


@pytest.mark.parametrize("arguments", [(12, 5.0, 60.0, 1000.0), (50, 5.0, 60.0, 59.0)])
def test_a_worker_that_is_not_always_busy_is_refused(arguments):
    """With twelve waits it has a pause before the first asks again."""
    with pytest.raises(ScenarioError, match="the worker must be busy"):
        theory.saturated_checks(*arguments)


@pytest.mark.parametrize("level", [0.0, 100.0, 300.0, 400.0])
def test_the_mean_beyond_a_level_is_the_integral(level):
    """Of what is above it, for a latency that is uniform on an interval of 300 s."""
    late = (np.arange(300_000) + 0.5) / 1000
    assert theory.mean_beyond(300.0, level) == pytest.approx(
        np.maximum(late - level, 0.0).mean(), abs=1e-6
    )


def test_best_interval_is_the_cheapest():
    """No interval nearby costs less: checks at c_p each, latency at c_w per second."""
    check_cost, waiting_cost, mean = 0.01, 0.002, 600.0

    def cost(interval: float) -> float:
        checks = 1 / -math.expm1(-interval / mean)
        return check_cost * checks + waiting_cost * (interval * checks - mean)

    best = theory.best_interval(check_cost, waiting_cost, mean)
    assert all(cost(best) < cost(best * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_best_interval_equals_the_published_roots():
    """Cost ratio 0.01: x = 0.13817; ratio 1: x = 1.14619; small ratios: the square root rule."""
    assert theory.best_interval(0.01, 1.0, 1.0) == pytest.approx(0.13817, abs=1e-5)
    assert theory.best_interval(1.0, 1.0, 1.0) == pytest.approx(1.14619, abs=1e-5)
    assert theory.best_interval(1e-8, 1.0, 1.0) == pytest.approx(math.sqrt(2e-8), rel=1e-3)


def test_renewal_latency_of_the_common_jitters():
    """In mean intervals: fixed 1/2, full jitter 2/3, Poisson 1."""
    assert theory.renewal_latency(1.0, 1.0) == 0.5
    assert theory.renewal_latency(0.5, 1 / 3) / 0.5 == pytest.approx(2 / 3)
    assert theory.renewal_latency(1.0, 2.0) == 1.0


def test_open_waits_are_rate_times_mean():
    """M/G/inf: 200 starts an hour waiting half an hour each are 100 open waits."""
    assert theory.open_waits(200 / 3600, 1800) == pytest.approx(100)


@pytest.mark.parametrize(
    ("requests", "size", "rate", "seconds"),
    [
        (10_000, 3000, 500, 14.0),
        (10_000, 1500, 300, 85 / 3),
        (1500, 1500, 300, 0.0),
        (1, 2, 1, 0.0),
    ],
)
def test_a_bucket_drains_as_the_facts_say(requests, size, rate, seconds):
    """10,000 at once into the buckets of Step Functions: 14 s and 28.3 s."""
    assert theory.bucket_drained(requests, size, rate) == pytest.approx(seconds)


@pytest.mark.parametrize("requests", [0, 1, 99, 100, 101, 200, 201, 350])
def test_a_window_lets_in_as_many_as_it_has_in_every_length_of_it(requests):
    """Counted one by one: request k of those that came at once is let in k // 100 windows later."""
    last = max((60.0 * (k // 100) for k in range(requests)), default=0.0)
    assert theory.window_drained(requests, 100, 60.0) == last
