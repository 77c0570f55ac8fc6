"""Closed forms agree with an independent simulation of the same words, and with known figures."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from asyncsim.model import closed_forms
from asyncsim.model.distributions import (
    Fixed,
    empirical,
    exponential,
    fixed,
    gamma,
    lognormal,
    uniform,
)
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)

N = 200_000
DISTRIBUTIONS = {
    "exponential": exponential(600),
    "lognormal": lognormal(600, 900),
    "clipped": lognormal(600, 900, low=30, high=2000),
    "uniform": uniform(100, 1500),
    "gamma": gamma(600, 200),
    "empirical": empirical([10.0, 250.0, 250.0, 1800.5]),
    "fixed": fixed(700.1),
}
distributions = pytest.mark.parametrize(
    "external", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys()
)


def agree(sample, expected, rounding=1e-9):
    """Compare a sample mean with an expectation, within five of its own standard errors."""
    error = np.std(sample) / math.sqrt(len(sample))
    assert abs(np.mean(sample) - expected) <= 5 * error + rounding * (1 + abs(expected))


def compare(found, latency, checks, wasted):
    """Compare an expectation with the latencies, checks and wasted checks of many waits."""
    agree(latency, found.latency)
    agree(checks, found.checks)
    agree(wasted, found.checks * found.wasted_share)


@distributions
@pytest.mark.parametrize("interval", [60.0, 600.0, 4000.0])
def test_polling_from_arming(external, interval):
    """The first grid point not before completion sees it."""
    done = external.sample(np.random.default_rng(1), N)
    checks = np.maximum(np.ceil(done / interval), 1)
    found = closed_forms.polling_from_arming(external, interval)
    compare(found, checks * interval - done, checks, checks - 1)
    assert Polling(interval).expected(external) == found


@distributions
@pytest.mark.parametrize("interval", [60.0, 600.0, 4000.0])
def test_polling_at_a_random_phase(external, interval):
    """With a random phase the latency is uniform over the interval, whatever the distribution."""
    rng = np.random.default_rng(2)
    done = external.sample(rng, N)
    phase = rng.random(N) * interval
    checks = np.maximum(np.ceil((done + phase) / interval), 1)
    latency = checks * interval - phase - done
    found = closed_forms.polling_at_random_phase(external, interval)
    compare(found, latency, checks, checks - 1)
    agree((latency - interval / 2) ** 2, interval**2 / 12)
    for anchor in ("random", "clock"):
        assert Polling(interval, anchor).expected(external) == found


@distributions
@pytest.mark.parametrize(
    "backoff", [Backoff(1, 2, "1d"), Backoff(5, 1.5, 120), Backoff(60, 1, 60)], ids=str
)
def test_backoff(external, backoff):
    """Checks come at the sums of the intervals; the first one not before completion sees it."""
    done = external.sample(np.random.default_rng(3), N)
    due = np.cumsum([backoff.schedule.interval(k) for k in range(20_000)])
    due = due[: np.searchsorted(due, done.max()) + 1]
    index = np.searchsorted(due, done, side="left")
    compare(backoff.expected(external), due[index] - done, index + 1, index)


@distributions
@pytest.mark.parametrize("hold", [30.0, 600.0])
def test_long_polling(external, hold):
    """Requests follow one another until one of them is held when the work gets done."""
    done = external.sample(np.random.default_rng(4), N)
    requests = np.maximum(np.ceil(done / hold), 1)
    compare(LongPolling(hold).expected(external), np.zeros(N), requests, requests - 1)


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.5, 0.9])
@pytest.mark.parametrize("pauses", [(), (5.0,), (5.0, 300.0, 1800.0), (0.0, 10.0)])
def test_callback_with_retries(loss, pauses):
    """The first attempt that is not lost delivers; after the last one the callback is dead."""
    rng = np.random.default_rng(5)
    lost = rng.random((N, len(pauses) + 1)) < loss
    offsets = np.cumsum((0.0, *pauses))
    attempt = np.argmin(lost, axis=1)
    dead = lost.all(axis=1)
    found = Callback(delay=2, loss=loss, retries=pauses).expected(600)
    agree(2 + offsets[attempt][~dead], found.latency)
    agree(np.where(dead, len(offsets), attempt + 1), found.deliveries)
    agree(dead, found.unresolved, rounding=5 / N)  # the sample may hold none of what is rare


def test_a_callback_that_always_gets_lost():
    """What never comes has no latency."""
    found = Callback(loss=1, retries=[1, 2]).expected(600)
    assert math.isnan(found.latency)
    assert (found.deliveries, found.unresolved) == (3.0, 1.0)


DELAYS = {
    "fixed": fixed(2),
    "late": fixed(500),
    "exponential": exponential(100),
    "uniform": uniform(0, 400),
    "lognormal": lognormal(50, 100, high=280),
    "empirical": empirical([1.0, 20.0, 20.0, 250.0, 900.0]),
}


@pytest.mark.parametrize("delay", DELAYS.values(), ids=DELAYS.keys())
@pytest.mark.parametrize("loss", [0.0, 0.02, 0.5, 1.0])
def test_callback_with_a_safety_poll(delay, loss):
    """Whichever comes first resumes the step: the callback, or the next check of the grid."""
    external, every = lognormal(600, 900), 300.0
    rng = np.random.default_rng(6)
    done = external.sample(rng, N)
    phase = rng.random(N) * every
    next_check = np.maximum(np.ceil((done + phase) / every), 1)
    until_check = next_check * every - phase - done
    called = np.where(rng.random(N) < loss, np.inf, delay.sample(rng, N))
    latency = np.minimum(until_check, called)
    checks = next_check - 1 + (until_check < called)
    found = closed_forms.callback_with_safety_poll(external, delay, loss, every)
    compare(found, latency, checks, next_check - 1)
    strategy = CallbackWithSafetyPoll(delay, loss=loss, every=every, anchor="random")
    assert strategy.expected(external) == found


# --- figures known from outside -----------------------------------------------------------------


@pytest.mark.parametrize("mean", [1.0, 600.0, 86400.0])
def test_an_interval_of_the_mean_is_not_half_an_interval_late(mean):
    """Anchored at arming with T = m: 0.582 m, where the folk rule T/2 says 0.5 m."""
    found = Polling(mean).expected(exponential(mean))
    assert found.latency / mean == pytest.approx(0.582, abs=5e-4)
    assert found.checks == pytest.approx(1 / (1 - math.exp(-1)))
    assert found.wasted_share == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0, 5.0])
def test_polling_an_exponential_time(ratio):
    """Checks 1/(1 - e^(-T/m)), wasted share e^(-T/m), latency T/(1 - e^(-T/m)) - m."""
    mean, interval = 600.0, 600.0 * ratio
    found = Polling(interval).expected(exponential(mean))
    assert found.checks == pytest.approx(1 / (1 - math.exp(-ratio)))
    assert found.wasted_share == pytest.approx(math.exp(-ratio))
    assert found.latency == pytest.approx(interval / (1 - math.exp(-ratio)) - mean)


@pytest.mark.parametrize(("done", "late"), [(100, 200), (300, 0), (301, 299), (0, 300)])
def test_a_fixed_time_is_aliased(done, late):
    """T ceil(D/T) - D: anything from nothing to a whole interval; work of no time waits for one."""
    assert Polling(300).expected(fixed(done)).latency == pytest.approx(late)


@pytest.mark.parametrize(
    ("strategy", "latency", "checks", "digits"),
    [
        (Backoff(1, 2, 1e11), 266, 8.9, 0),
        (Backoff(1, 2, 60), 28.5, 15.4, 1),
        (Polling(60), 30.5, 10.5, 1),
    ],
    ids=str,
)
def test_backoff_against_an_exponential_of_ten_minutes(strategy, latency, checks, digits):
    """Doubling is cheap and late, a cap brings it near fixed polling."""
    found = strategy.expected(exponential(600))
    assert round(found.latency, digits) == latency
    assert round(found.checks, 1) == checks


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_uncapped_backoff_overshoots_by_a_share(factor):
    """Over long times the overshoot averages (g-1)/ln g - 1 of the elapsed time: 44.3 % for 2."""
    wide = Fixed  # times spread evenly on a log scale over whole powers of the factor
    powers = factor ** np.linspace(14, 16, 400, endpoint=False)
    shares = [Backoff(1e-3, factor, None).expected(wide(t)).latency / t for t in powers]
    assert np.mean(shares) == pytest.approx((factor - 1) / math.log(factor) - 1, rel=0.01)


def test_a_safety_poll_of_five_minutes():
    """2 % lost, 2 s delay, every 300 s: (1-p) d + p R/2 = 4.96 s, less what the poll saves."""
    strategy = CallbackWithSafetyPoll(2, loss=0.02, every=300, anchor="random")
    found = strategy.expected(exponential(3600))
    saved = 0.98 * 2**2 / (2 * 300)
    assert found.latency == pytest.approx(4.96 - saved)
    assert found.latency == pytest.approx(4.96, abs=0.01)


def test_retries_against_the_textbook_sum():
    """E[delay | delivered] is the sum of a_k s (1-s)^k over 1 - (1-s)^n; dead letters (1-s)^n."""
    offsets, s = [0, 5, 305], 0.7
    found = Callback(loss=1 - s, retries=[5, 300]).expected(1)
    textbook = sum(a * s * (1 - s) ** k for k, a in enumerate(offsets)) / (1 - (1 - s) ** 3)
    assert found.latency == pytest.approx(textbook)
    assert found.unresolved == pytest.approx(0.027)


@pytest.mark.parametrize(("ratio", "x"), [(0.01, 0.13817), (1.0, 1.14619)])
def test_the_best_interval(ratio, x):
    """The interval that costs least solves e^x - 1 - x = c_p/(c_w m), x = T/m."""

    def cost(interval):
        found = Polling(interval).expected(exponential(1.0))
        return ratio * found.checks + found.latency

    best = minimize_scalar(cost, bounds=(0.01, 10), method="bounded", options={"xatol": 1e-9})
    assert best.x == pytest.approx(x, abs=2e-5)


def test_there_is_no_closed_form_for_everything():
    """Jitter, limits, retries beside a safety poll: None rather than a wrong metric."""
    assert Polling(60, jitter=5).expected(600) is None
    assert Polling(60, limit=5).expected(600) is None
    assert Backoff(jitter="full").expected(600) is None
    assert Backoff(limit=3).expected(600) is None
    assert CallbackWithSafetyPoll(every=60).expected(600) is None
    assert CallbackWithSafetyPoll(every=60, anchor="random", retries=[5]).expected(600) is None


def test_a_tail_too_long_to_add_up_has_no_figure():
    """Better none than a sum cut off: the latency would come out below zero."""
    assert Polling("1s").expected(lognormal("1d", "10d")) is None
    assert Backoff("1ms", 1, "1ms").expected(exponential("300d")) is None


def test_doubled_deliveries_are_counted():
    """Each attempt that arrives is doubled with probability 0.5: loss 0.2 makes 1 + 0.8 x 0.5."""
    assert Callback(loss=0.2, duplicates=0.5).expected(1.0).deliveries == pytest.approx(1.4)
