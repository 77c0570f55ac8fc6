"""Closed forms for queues, herds, checks that queue, and open waits.

Strategies have closed forms of their own, on an idle server (`expected`). Service times have mean 1
unless a parameter gives them, so waits are in service times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Duration, Floats


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a job waits in M/M/c (Erlang 1917).

    The offered load a = arrival rate x mean service time must be below the number of servers c.
    """
    if not 0 < load < servers:
        raise ScenarioError(f"load must be above 0 and below servers ({servers}), got {load!r}")
    # Erlang B: the Poisson probability of c jobs, of those of at most c
    of_c = scipy.special.xlogy(servers, load) - load - scipy.special.gammaln(servers + 1)
    blocked = math.exp(of_c) / float(scipy.special.pdtr(servers, load))
    return blocked / (1 - load / servers * (1 - blocked))


def mmc_wait(servers: int, load: float) -> float:
    """Return the mean queueing time in M/M/c: C / (c - a)."""
    return erlang_c(servers, load) / (servers - load)


def mg1_wait(utilisation: float, squared_variation: float) -> float:
    """Return the mean queueing time in M/G/1 (Pollaczek-Khinchine): ρ(1 + c²) / (2(1 - ρ)).

    c² is the squared coefficient of variation of the service time: 1 exponential, 0 fixed.
    """
    return utilisation * (1 + squared_variation) / (2 * (1 - utilisation))


def dm1_wait(utilisation: float) -> float:
    """Return the mean queueing time in D/M/1, arrivals at fixed distances: σ / (1 - σ).

    σ is the root of σ = A*(1 - σ) with the Laplace-Stieltjes transform A*(s) = e^(-s/ρ) of the time
    between arrivals (G/M/1).
    """
    end = 1 - (1 - utilisation) / 1e3
    sigma = scipy.optimize.brentq(lambda x: x - math.exp(-(1 - x) / utilisation), 1e-12, end)
    return float(sigma / (1 - sigma))


def batch_wait(utilisation: float, size: int, squared_variation: float) -> float:
    """Return the mean queueing time in M^X/G/1 with batches of a fixed size.

    The first of a batch waits as in M/G/1 with whole batches as jobs; a member also waits for
    those before it in the batch, (size - 1)/2 services on average.
    """
    return size * mg1_wait(utilisation, squared_variation / size) + (size - 1) / 2


def open_waits(start_rate: float, mean_wait: float) -> float:
    """Return the mean number of open waits, M/G/∞: rate x mean, for any distribution."""
    return start_rate * mean_wait


RARE = 1e-9  # what is less probable is left out
Jobs = Sequence[tuple[float, Duration]]  # mean number of each kind per arrival, and their time


def _growth(jobs: Jobs, size: int, longest: float) -> tuple[Floats, Floats]:
    """Return some θ, and E[e^(θ work)] - 1 of an arrival's jobs, none of which is longer."""
    theta = np.geomspace(0.1, 500, 40) / longest
    x = np.linspace(0.0, longest, 501)
    more = np.diff(np.exp(np.outer(theta, x)), axis=1)  # of e^(θx); E is its sum by P(D > x)
    with np.errstate(over="ignore"):
        each = [n * ((1 + more @ time.survival(x[:-1])) ** size - 1) / size for n, time in jobs]
    return theta, np.sum(each, axis=0)


def _longest(jobs: Jobs, arrivals: float, longest: float) -> float:
    """Return a time that no job exceeds, at most the one that is given, halved while it is rare."""
    for _ in range(60):
        if any(arrivals * n * float(time.survival(longest / 2)) > RARE / 2 for n, time in jobs):
            break
        longest /= 2
    return longest


def work_is_below(level: float, arrivals: float, jobs: Jobs, size: int = 1) -> bool:
    """Return whether the work of a Poisson number of arrivals is certainly below a level.

    Certain is a probability of 1 - 1e-9: E[e^(θ work)] e^(-θ level) is below 1e-9 for some θ
    (Chernoff). `arrivals` is their mean number, in groups of `size`; if the number is given, the
    work spreads less.
    """
    if level <= 0 or any(arrivals * n * time.survival(level) > RARE / 2 for n, time in jobs):
        return False
    theta, grown = _growth(jobs, size, _longest(jobs, arrivals, level))
    return bool(np.any(arrivals * grown - theta * level < math.log(RARE / 2)))


def sojourn_is_below(
    level: float, rate: float, time: Duration, servers: int, size: int = 1
) -> bool:
    """Return whether all M/G/c sojourn times are certainly below a level (Lundberg).

    The work before an arrival exceeds x with a probability of at most e^(-θ x), if the work of
    arrivals at `rate` has E[e^(θ work)] - 1 <= θ c per second. While a server is idle each of the
    others has one job at most.
    """
    jobs = [(1.0, time)]
    if not 0 < rate < math.inf or rate * level * time.survival(level) > RARE / 2:
        return False
    longest = _longest(jobs, rate * level + 1, level)
    theta, grown = _growth(jobs, size, longest)
    left = theta * servers * (level - 2 * longest - (size - 1) * longest / servers)
    return bool(np.any((rate * grown <= theta * servers) & (left > -math.log(RARE / 2))))


def herd_mean_wait(jobs: int, servers: int) -> float:
    """Return the mean queueing time of a herd on c exponential servers.

    Job k > c starts when k - c services have ended, and they end at rate c:
    (N - c)(N - c + 1) / (2 N c).
    """
    waiting = max(jobs - servers, 0)
    return waiting * (waiting + 1) / (2 * jobs * servers)


def herd_drained(jobs: int, servers: int, service: float) -> float:
    """Return when the last job of a herd has left c servers with fixed times."""
    return service * math.ceil(jobs / servers)


def herd_mean_end(jobs: int, servers: int, service: float) -> float:
    """Return the mean time to the end of the jobs of a herd on c servers with fixed times.

    Job k ends with round ⌈k/c⌉. With q full rounds and r jobs in the last one the mean is
    s (c q (q + 1)/2 + r (q + 1)) / N.
    """
    full, rest = divmod(jobs, servers)
    return service * (servers * full * (full + 1) / 2 + rest * (full + 1)) / jobs


def saturated_checks(waits: int, work: float, first: float, external: float) -> tuple[float, int]:
    """Return mean latency and number of checks of N `waits` that keep one worker busy.

    All are armed at once, check `first` seconds (T) after that, and T after the end of each check
    of s seconds (`work`). They are complete D seconds after arming (`external`), at least T. If
    (N - 1) s ≥ T the worker always finds the next check in the queue, so that checks begin at T,
    T + s, T + 2s, … The first ⌈(D - T)/s⌉ of them come before completion; the N next ones resume a
    wait each.
    """
    if (waits - 1) * work < first or external < first:
        raise ScenarioError(
            f"the worker must be busy from the first check to completion: waits ({waits}) x work "
            f"({work}) must exceed first ({first}), and external ({external}) must not be below it"
        )
    wasted = math.ceil((external - first) / work)
    return first + (wasted + (waits + 1) / 2) * work - external, wasted + waits


def bucket_drained(requests: int, size: int, rate: float) -> float:
    """Return when a token bucket has admitted N requests that came at once: (N - B) / r.

    `size` tokens (B) fill the bucket, refilled at `rate` per second (r); each request is repeated
    as soon as there is a token for it.
    """
    return max(requests - size, 0) / rate


def window_drained(requests: int, most: int, length: float) -> float:
    """Return when a sliding window has admitted N requests that came at once: l ⌊(N - 1) / n⌋.

    As `bucket_drained`, where n requests are admitted in any time of length l.
    """
    return length * (max(requests - 1, 0) // most)


def renewal_latency(mean: float, second_moment: float) -> float:
    """Return the mean time to the next check at a random moment: E[I²] / (2 E[I])."""
    return second_moment / (2 * mean)


def mean_beyond(longest: float, level: float) -> float:
    """Return E[max(U - s, 0)] for U uniform on (0, T): (T - s)² / (2T)."""
    return max(longest - level, 0.0) ** 2 / (2 * longest)


def best_interval(check_cost: float, waiting_cost: float, mean: float) -> float:
    """Return the cheapest polling interval, anchored at arming, for exponential external times.

    With x = T/m it solves e^x - 1 - x = c_p / (c_w m); for small x that is √(2 c_p m / c_w). The
    costs are those of one check (c_p) and of a second of resume latency (c_w).
    """
    ratio = check_cost / (waiting_cost * mean)
    high = 1.0
    while math.expm1(high) - high < ratio:
        high *= 2
    return mean * float(
        scipy.optimize.brentq(lambda x: math.expm1(x) - x - ratio, 0.0, high, xtol=1e-14)
    )
