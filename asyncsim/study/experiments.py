"""The experiments of `asyncsim verify`: scenarios so simple that theory knows the answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from attrs import frozen

from asyncsim.engine.record import DELIVERY_OUTCOMES, Record
from asyncsim.engine.simulate import simulate
from asyncsim.engine.waits import Answer
from asyncsim.errors import CensoredWarning
from asyncsim.model.arrivals import Arrivals, At, Poisson, Regular, Scattered
from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Duration, Floats, exponential, fixed, gamma, lognormal
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.systems import NightlyBatch, OnlineService
from asyncsim.model.waiting import Strategy
from asyncsim.study import theory

MEAN = 600.0
"""Mean external time of the experiments with strategies, in seconds."""
SVIX_RETRIES = ("5s", "5min", "30min", "2h", "5h", "10h", "10h")
"""Pauses of a sender of the Svix type."""


@frozen
class Experiment:
    """A scenario played again and again, and what theory says of it.

    Attributes
    ----------
    name
        What it is.
    theory
        The expected figures, by name.
    play
        Plays one replication, given seed and replication; returns the same figures.
    """

    name: str
    theory: dict[str, float]
    play: Callable[[int, int], dict[str, float]]


def all_experiments(quick: bool = False) -> Iterator[Experiment]:
    """Yield all experiments; quick ones are shorter and their intervals wider."""
    waits = 500 if quick else 2000
    yield from waiting_experiments(waits)
    yield from delivery_experiments(waits)
    yield from herd_experiments()
    yield from rate_limit_experiments()
    yield from queue_experiments(24_000 if quick else 40_000)
    yield from open_wait_experiments(2000 if quick else 6000)


# --- strategies ---------------------------------------------------------------------------------


def waiting_experiments(waits: int) -> Iterator[Experiment]:
    """Yield polling of each anchor, backoff, long polling and the safety poll."""
    laws = {
        "exponential": exponential(MEAN),
        "lognormal": lognormal(MEAN, MEAN / 2),
        "gamma": gamma(MEAN, 2 * MEAN),
    }
    for share in (0.1, 1.0, 3.0):
        yield _strategy(Polling(share * MEAN), "exponential", laws["exponential"], waits)
    yield _strategy(Polling(400.0), "fixed", fixed(MEAN), waits)
    for name in ("lognormal", "gamma"):
        yield _strategy(Polling(300.0), name, laws[name], waits)
        yield _strategy(Polling(300.0, anchor="random"), name, laws[name], waits)
        yield _strategy(Polling(300.0, anchor="clock"), name, laws[name], waits)
    for backoff in (Backoff(1.0, 2.0, None), Backoff(1.0, 2.0, 60.0), Backoff(60.0, 1.0, 60.0)):
        yield _strategy(backoff, "exponential", laws["exponential"], waits)
    yield _strategy(LongPolling(200.0), "exponential", laws["exponential"], waits, latency=False)
    safety = CallbackWithSafetyPoll("2s", loss=0.02, every=300.0, anchor="random")
    # Rare losses carry most of the latency, so this one needs many waits
    yield _strategy(safety, "exponential", laws["exponential"], 10 * waits)
    yield _jittered(waits)


def _strategy(
    strategy: Strategy, law_name: str, law: Duration, waits: int, latency: bool = True
) -> Experiment:
    expected = strategy.expected(law)
    assert expected is not None, f"{strategy} has no closed form for {law}"
    theory = {"checks": expected.checks, "wasted share": expected.wasted_share}
    if latency:
        theory = {"latency": expected.latency} | theory
    scenario = _one_wait(law, waits)

    def play(seed: int, replication: int) -> dict[str, float]:
        record = _play(scenario, strategy, seed, replication)
        w = record.waits
        return {
            "latency": float(np.mean(w.closed - w.completed)),
            "checks": float(np.mean(w.checks)),
            "wasted share": float(w.wasted_checks.sum() / w.checks.sum()),
        }

    return Experiment(f"{strategy.label}; external {law_name}", theory, play)


def _jittered(waits: int) -> Experiment:
    """Full jitter on a fixed interval, seen after so long that the start is forgotten."""
    strategy = Backoff(60.0, 1.0, 60.0, jitter="full")
    scenario = _one_wait(lognormal(3600.0, 1800.0, low=1200.0), waits)

    def play(seed: int, replication: int) -> dict[str, float]:
        w = _play(scenario, strategy, seed, replication).waits
        return {"latency": float(np.mean(w.closed - w.completed))}

    expected = theory.renewal_latency(30.0, 60.0**2 / 3)
    return Experiment("fixed interval, full jitter; long external", {"latency": expected}, play)


def _one_wait(law: Duration, waits: int) -> Scenario:
    """Return a scenario of nothing but waits, on a server that is never busy."""
    return Scenario(
        name="one wait",
        process=Process("wait", [AsyncStep("wait", system="outside")]),
        systems={"outside": OnlineService(law, lanes=None)},
        arrivals=Scattered(waits),
    )


def _play(scenario: Scenario, strategy: Strategy, seed: int, replication: int) -> Record:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CensoredWarning)  # dead letters are counted, not unseen
        return simulate(scenario, strategy, seed=seed, replication=replication).record


def delivery_experiments(waits: int) -> Iterator[Experiment]:
    """Yield retries of lost callbacks, and callbacks that come before the wait is armed."""
    strategy = Callback("2s", loss=0.5, retries=SVIX_RETRIES[:4])
    expected = strategy.expected(0.0)
    assert expected is not None
    scenario = _one_wait(exponential(MEAN), 10 * waits)

    def play(seed: int, replication: int) -> dict[str, float]:
        w = _play(scenario, strategy, seed, replication).waits
        late = w.closed - w.completed
        return {
            "latency": float(np.nanmean(late)),
            "deliveries": float(np.mean(w.deliveries)),
            "dead letters": float(np.mean(np.isnan(w.closed))),
        }

    figures = {
        "latency": expected.latency,
        "deliveries": expected.deliveries,
        "dead letters": expected.unresolved,
    }
    yield Experiment("callback, half lost, retries after 5 s … 2 h", figures, play)
    yield _early(waits)


def _early(waits: int) -> Experiment:
    """Callbacks after exponential C against a wait armed A after the call: early 1 - e^(-A/m)."""
    step = AsyncStep("wait", system="outside", arm_delay="200ms")
    scenario = _one_wait(exponential("300ms"), waits).replace(process=Process("wait", [step]))

    def play(seed: int, replication: int) -> dict[str, float]:
        record = _play(scenario, Callback(), seed, replication)
        early = record.deliveries.outcome == DELIVERY_OUTCOMES.index(Answer.EARLY.text)
        return {"early": float(np.sum(early)) / waits}

    return Experiment("callback before the wait is armed", {"early": 1 - np.exp(-2 / 3)}, play)


# --- the server ---------------------------------------------------------------------------------


def herd_experiments() -> Iterator[Experiment]:
    """Yield a herd of exponential jobs, and a herd of callbacks at the end of a batch."""
    jobs, workers = 1000, 20
    scenario = _server_only(At([0.0] * jobs), exponential(1.0), workers)
    yield Experiment(
        f"herd of {jobs} on {workers} exponential workers",
        {"mean wait": theory.herd_mean_wait(jobs, workers)},
        _mean_queueing(scenario, skip=0),
    )
    batch = NightlyBatch("22:00", "1ms", results="at end")
    callbacks = _one_wait(fixed(1.0), 1001).replace(
        systems={"outside": batch}, server=WorkflowServer(workers, callback_work="20ms"),
        arrivals=Scattered(1001, between=("08:00", "20:00")),
    )  # fmt: skip

    def play(seed: int, replication: int) -> dict[str, float]:
        w = _play(callbacks, Callback(), seed, replication).waits
        return {"drained": float(w.closed.max() - w.completed.max())}

    yield Experiment(
        f"herd of 1001 callbacks on {workers} workers, 20 ms each",
        {"drained": theory.herd_drained(1001, workers, 0.02)},
        play,
    )


def rate_limit_experiments() -> Iterator[Experiment]:
    """Yield herds of callbacks that run into a token bucket, tried again often, or never."""
    callbacks = 10_000
    herd = _one_wait(fixed(1.0), callbacks).replace(
        systems={"outside": NightlyBatch("22:00", "1ms", results="at end")},
        arrivals=Scattered(callbacks, between=("08:00", "20:00")),
    )
    often = Callback(retries=["500ms"] * 60)
    for size, rate in ((3000, 500), (1500, 300)):
        limited = herd.replace(server=WorkflowServer(finish_limit=f"{size} refilled {rate}/s"))
        name = f"herd of {callbacks} callbacks into a bucket of {size} refilled {rate}/s"
        drained = theory.bucket_drained(callbacks, size, rate)
        yield Experiment(
            f"{name}, tried again every 500 ms",
            {"drained": drained, "dead letters": 0.0},
            partial(_drained, limited, often),
        )
        yield Experiment(
            f"{name}, never tried again",
            {"dead letters": float(callbacks - size)},
            partial(_drained, limited, Callback()),
        )


def _drained(
    scenario: Scenario, strategy: Strategy, seed: int, replication: int
) -> dict[str, float]:
    """Measure how long a herd took, and how many callbacks never got through."""
    record = _play(scenario, strategy, seed, replication)
    dead = record.deliveries.outcome == DELIVERY_OUTCOMES.index("dead letter")
    return {
        "drained": float(np.nanmax(record.waits.closed) - record.waits.completed.max()),
        "dead letters": float(np.sum(dead)),
    }


def queue_experiments(jobs: int) -> Iterator[Experiment]:
    """Yield the table of M/M/c at utilisation 0.9, and M/D/1, D/M/1, M^10/M/1, M^10/D/1 at 0.8."""
    skip = jobs // 8  # warm-up: started empty, the queue needs a while to forget it
    for workers in (1, 2, 5, 10, 20):
        load = 0.9 * workers
        scenario = _server_only(_poisson(load, jobs), exponential(1.0), workers)
        yield Experiment(
            f"M/M/{workers}, utilisation 0.9",
            {
                "must wait": theory.erlang_c(workers, load),
                "mean wait": theory.mmc_wait(workers, load),
            },
            _mean_queueing(scenario, skip),
        )
    services = {"M": exponential(1.0), "D": fixed(1.0)}
    for letter, service in services.items():
        variation = 1.0 if letter == "M" else 0.0
        single = _server_only(_poisson(0.8, jobs), service, 1)
        yield Experiment(
            f"M/{letter}/1, utilisation 0.8",
            {"mean wait": theory.mg1_wait(0.8, variation)},
            _mean_queueing(single, skip),
        )
        # Ten jobs of a batch tell little more than one, so these need more of them
        batches = _server_only(_poisson(0.08, 4 * jobs, size=10), service, 1)
        yield Experiment(
            f"M^10/{letter}/1, utilisation 0.8",
            {"mean wait": theory.batch_wait(0.8, 10, variation)},
            _mean_queueing(batches, 4 * skip),
        )
    regular = _server_only(Regular(1 / 0.8), exponential(1.0), 1).replace(length=jobs / 0.8)
    yield Experiment(
        "D/M/1, utilisation 0.8",
        {"mean wait": theory.dm1_wait(0.8)},
        _mean_queueing(regular, skip),
    )


def _poisson(rate: float, jobs: int, size: int = 1) -> Arrivals:
    seconds = jobs / (rate * size)
    return _ForSoLong(rate, size=size, seconds=seconds)


@frozen
class _ForSoLong(Arrivals):
    """Poisson arrivals for a number of seconds that need not be whole days."""

    rate: float
    size: int
    seconds: float

    def draw(self, rng: np.random.Generator, calendar: Calendar, length: float) -> Floats:
        """Return the instants of arrival."""
        return Poisson(self.rate, size=self.size).draw_open_seconds(rng, self.seconds)


def _server_only(arrivals: Arrivals, work: Duration, workers: int) -> Scenario:
    return Scenario(
        name="server only",
        process=Process("work", [Step("work", work=work)]),
        systems={},
        arrivals=arrivals,
        server=WorkflowServer(workers),
    )


def _mean_queueing(scenario: Scenario, skip: int) -> Callable[[int, int], dict[str, float]]:
    """Return a player that measures queueing times, less those of the first jobs."""

    def play(seed: int, replication: int) -> dict[str, float]:
        record = _play(scenario, Callback(), seed, replication)
        columns = record.steps[0]
        waited = np.subtract(columns.started, columns.queued)[skip:]
        return {"mean wait": float(waited.mean()), "must wait": float(np.mean(waited > 0))}

    return play


def open_wait_experiments(starts: int) -> Iterator[Experiment]:
    """Yield the mean number of open waits for laws that differ in all but their mean."""
    length, rate = 10 * MEAN, starts / (10 * MEAN)
    for name, law in (("fixed", fixed(MEAN)), ("lognormal", lognormal(MEAN, 2 * MEAN))):
        scenario = _one_wait(law, starts).replace(
            arrivals=_ForSoLong(rate, size=1, seconds=length), length=length
        )

        def play(seed: int, replication: int, scenario: Scenario = scenario) -> dict[str, float]:
            # Open waits summed over all time, as if each fell within the length
            record = _play(scenario, Callback(), seed, replication)
            return {"open waits": record.open_seconds / length}

        expected = theory.open_waits(rate, MEAN)
        yield Experiment(f"M/G/inf open waits; external {name}", {"open waits": expected}, play)
