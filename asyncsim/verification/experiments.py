"""The experiments of `asyncsim verify`: scenarios so simple that theory knows the answer.

Checks and callbacks take worker time in nearly all of them. SimPy plays fewer of them, and shorter
ones: it takes some thirty times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from attrs import evolve, frozen

from asyncsim.engine.environment import Job
from asyncsim.engine.metrics import compute_metrics
from asyncsim.engine.result import DELIVERY_OUTCOMES, Record
from asyncsim.engine.waits import Answer
from asyncsim.experiment import theory
from asyncsim.experiment.simulate import played
from asyncsim.model import closed_forms
from asyncsim.model.arrivals import Arrivals, ArrivalTimes, Poisson, Regular, UniformArrivals
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration, exponential, fixed, gamma, lognormal
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.model.specifications import Intervals
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
    Strategy,
    schedule_of,
)
from asyncsim.model.systems import NightlyBatch, OnlineService
from asyncsim.model.units import DAY, HOUR, MINUTE

MEAN = 600.0  # mean external time of the experiments with strategies, in seconds
WORK = 2.0  # worker time of a check and of a callback in them, in seconds
CHECK_OPERATIONS, CALLBACK_OPERATIONS = 3, 5  # database operations of each
SVIX_RETRIES = ("5s", "5min", "30min")  # pauses of a Svix sender; later attempts are too rare
MARGIN = 0.02  # the simulated mean is to lie within this share of the theory
EXACT = 1e-9  # the same where nothing is left to chance, and there also in absolute terms
WARM_UP = 1 / 8  # share of the jobs left out of the means of a queue, which starts empty
SERVER = WorkflowServer(
    poll_work=WORK,
    callback_work=WORK,
    check_operations=CHECK_OPERATIONS,
    callback_operations=CALLBACK_OPERATIONS,
)
ROOMY = evolve(SERVER, workers=20_000)  # no check ever queues on it
WAIT = Process("wait", [AsyncStep("wait", system="outside")])
BY_DAY = ("08:00", "20:00")

# Engine and `quick` with which an experiment is played
LONG = {("compiled", False)}
COMPILED = LONG | {("compiled", True)}
NOT_QUICK_SIMPY = COMPILED | {("simpy", False)}
BOTH = NOT_QUICK_SIMPY | {("simpy", True)}


@frozen
class Experiment:
    """A scenario and what theory expects of it."""

    name: str
    scenario: Scenario
    strategy: Strategy
    theory: dict[str, float]  # expected metrics, named as in `METRICS` or `MEASURES`
    playable: set[tuple[str, bool]] = BOTH
    exact: bool = False  # nothing is left to chance; two replications show it, within `EXACT`
    engine: str = "compiled"
    margin: float = MARGIN

    def play(self, seed: int, replication: int) -> dict[str, float]:
        """Play one replication; return the simulated metrics."""
        draws = self.scenario.draw(seed, replication)
        record = played(self.scenario, self.strategy, draws, engine=self.engine).record
        of_run = self.theory.keys() - MEASURES.keys()
        known = compute_metrics(record, self.scenario) if of_run else {}
        return {
            name: MEASURES[name](record) if name in MEASURES else known[name]
            for name in self.theory
        }

    def bound(self, metric: str) -> float:
        """Return by how much the simulated mean of a metric may differ from theory."""
        value = abs(self.theory[metric])
        return EXACT * max(value, 1.0) if self.exact else self.margin * value


def all_experiments(quick: bool = False) -> Iterator[Experiment]:
    """Yield all experiments of both engines; quick ones leave out those that take longest."""
    for engine in ("compiled", "simpy"):
        fast = engine == "compiled"
        for experiment in chain(
            _checks(6000 if fast else 1700),
            _first_checks(),
            _callbacks(6000 if fast else 4000),
            (evolve(one, exact=True) for one in _without_chance()),
            _queueing_for_workers(8000 if fast else 2000),
            _costs(),
            _queues(),
        ):
            if (engine, quick) in experiment.playable:
                yield evolve(experiment, engine=engine)
    yield from _over_a_day()


def _queueing(record: Record, skip: float) -> np.ndarray:
    """Return the queueing times of the first step, without the first share of the jobs."""
    columns = record.steps[0]
    waited: np.ndarray = columns.started - columns.queued
    return waited[int(skip * len(waited)) :]


def _noticing_queueing(record: Record) -> float:
    """Return the mean queueing time of checks and callbacks."""
    loads = [record.loads[job] for job in (Job.CHECK, Job.CALLBACK)]
    return sum(load.queue_seconds for load in loads) / sum(load.jobs for load in loads)


def _share_of(outcome: str) -> Callable[[Record], float]:
    code = DELIVERY_OUTCOMES.index(outcome)
    return lambda run: float(np.sum(run.deliveries.outcome == code)) / len(run.waits.row)


MEASURES: dict[str, Callable[[Record], float]] = {
    "queueing_time": lambda run: float(_queueing(run, WARM_UP).mean()),
    "share_queueing": lambda run: float(np.mean(_queueing(run, WARM_UP) > 0)),
    "herd_queueing_time": lambda run: float(_queueing(run, 0).mean()),
    "noticing_queueing_time": _noticing_queueing,
    "drained": lambda run: float(np.nanmax(run.waits.closed) - np.nanmax(run.waits.completed)),
    "dead_letters": _share_of("dead letter"),
    "copies": _share_of(Answer.DUPLICATE.text),
    "early_callbacks": _share_of(Answer.EARLY.text),
    "open_wait_seconds": lambda run: run.open_seconds,
    "outside_time": lambda run: float(np.mean(run.waits.completed - run.waits.called)),
    "missed_tonight": lambda run: float(np.mean(run.waits.completed > DAY)),
}


def _waits(
    name: str,
    strategy: Strategy,
    outside: Duration | NightlyBatch,
    arrivals: int | Arrivals,
    metrics: dict[str, float],
    playable: set[tuple[str, bool]] = BOTH,
    server: WorkflowServer = ROOMY,
    process: Process = WAIT,
    **more: Any,
) -> Experiment:
    """Return an experiment of nothing but waits: a number of them over a day, or arrivals."""
    system = OnlineService(outside, lanes=None) if isinstance(outside, Duration) else outside
    if isinstance(arrivals, int):
        arrivals = UniformArrivals(arrivals)
    scenario = Scenario("waits", process, {"outside": system}, arrivals, server, **more)
    return Experiment(name, scenario, strategy, metrics, playable)


def _jobs(
    name: str,
    arrivals: Arrivals,
    work: Duration,
    length: float,
    metrics: dict[str, float],
    playable: set[tuple[str, bool]] = BOTH,
    workers: int = 1,
) -> Experiment:
    """Return an experiment of one step of work, in which no step waits."""
    process, server = Process("work", [Step("work", work=work)]), WorkflowServer(workers)
    scenario = Scenario("jobs", process, {}, arrivals, server, length=length)
    return Experiment(name, scenario, Callback(), metrics, playable)


def _overhead(checks: float = 0.0, callbacks: float = 0.0, work: float = WORK) -> dict[str, float]:
    """Return worker time and database operations of this many checks and callbacks."""
    return {
        "overhead_worker_time": (checks + callbacks) * work,
        "database_operations": checks * CHECK_OPERATIONS + callbacks * CALLBACK_OPERATIONS,
    }


def _checked(latency: float, checks: float, wasted_share: float) -> dict[str, float]:
    return {"mean_latency": latency, "checks_per_wait": checks, "wasted_share": wasted_share}


def _known(expected: Expected | None) -> Expected:
    assert expected is not None
    return expected


# --- the experiments ------------------------------------------------------------------------------


def _checks(number: int) -> Iterator[Experiment]:
    """Yield polling of each anchor, backoff, long polling and the safety poll."""
    distributions = {
        "exponential": exponential(MEAN),
        "lognormal": lognormal(MEAN, MEAN / 2),
        "gamma": gamma(MEAN, 2 * MEAN),
    }
    strategy: Polling | Backoff
    for strategy, name, times, playable in (
        (Polling(MEAN), "exponential", 2, BOTH),
        (Polling(300.0, anchor="random"), "lognormal", 1, BOTH),
        (Polling(0.1 * MEAN), "exponential", 2, NOT_QUICK_SIMPY),
        (Polling(3 * MEAN), "exponential", 10, COMPILED),
        (Polling(300.0), "lognormal", 1, NOT_QUICK_SIMPY),
        (Polling(300.0, anchor="clock"), "lognormal", 1, NOT_QUICK_SIMPY),
        (Polling(300.0), "gamma", 3, NOT_QUICK_SIMPY),
        (Polling(300.0, anchor="random"), "gamma", 3, NOT_QUICK_SIMPY),
        (Polling(300.0, anchor="clock"), "gamma", 3, NOT_QUICK_SIMPY),
        (Backoff(1.0, 2.0, None), "exponential", 2, NOT_QUICK_SIMPY),
        (Backoff(1.0, 2.0, 60.0), "exponential", 2, NOT_QUICK_SIMPY),
        (Backoff(60.0, 1.0, 60.0), "exponential", 2, NOT_QUICK_SIMPY),
    ):
        external, waits = distributions[name], times * number
        checks = schedule_of(strategy)
        if isinstance(checks, Intervals):
            gaps = partial(_gap_after_check, checks)
            expected = _known(closed_forms.checks_at_given_times(external, gaps))
        else:
            expected = _known(strategy.expected(external))
        metrics = _checked(expected.latency + WORK, expected.checks, expected.wasted_share)
        metrics |= _overhead(waits * expected.checks)
        name = f"{strategy.label}; external {name}"
        yield _waits(name, strategy, external, waits, metrics, playable)
    yield _long_polling(2 * number)
    yield _safety_poll(5 * number)
    # Full jitter on a fixed interval, after so long that the start is forgotten
    yield _waits(
        "fixed interval, full jitter; long external",
        Backoff(60.0, 1.0, 60.0, jitter="full"),
        lognormal(3600.0, 1800.0, low=1200.0),
        number,
        {"mean_latency": theory.renewal_latency(30.0, 60.0**2 / 3)},
        NOT_QUICK_SIMPY,
        server=WorkflowServer(),
    )


def _gap_after_check(checks: Intervals, k: int) -> float:
    """Return the time between checks whose intervals count from the end of the one before."""
    return checks.interval(k) + (WORK if k else 0.0)


def _long_polling(waits: int) -> Experiment:
    """Return long polling (hold H) of exponential work (mean m), each answer handled for s seconds.

    Request k = 0, 1, … is made k (H + s) after arming. It is held for E[min(D, H)] if D is later
    than that, and is unsuccessful with probability P(D > k (H + s) + H). Completion while an answer
    is handled waits for the next request, on average s - m (1 - e^(-s/m)).
    """
    hold, work = 200.0, 10.0
    cycle = 1 / -math.expm1(-(hold + work) / MEAN)  # sum of P(D > k (H + s))
    empty = math.exp(-hold / MEAN) * cycle
    strategy, late = LongPolling(hold), work + MEAN * math.expm1(-work / MEAN)
    metrics = _checked(work + empty * late, 1 + empty, empty / (1 + empty))
    metrics["connection_time"] = waits * -MEAN * math.expm1(-hold / MEAN) * cycle
    metrics["overhead_worker_time"] = waits * (1 + empty) * work
    name, server = f"{strategy.label}; external exponential", evolve(ROOMY, poll_work=work)
    external = exponential(MEAN)
    return _waits(name, strategy, external, waits, metrics, NOT_QUICK_SIMPY, server=server)


def _safety_poll(waits: int) -> Experiment:
    """Return a callback that may be lost beside a slow poll; each takes a worker s seconds.

    Whichever comes first resumes the step s later. A check that comes while the callback is
    handled is made as well, so there are as many checks as if the callback took s longer.
    """
    delay, loss, external = 20.0, 0.2, exponential(MEAN)
    strategy = CallbackWithSafetyPoll(delay, loss=loss, every=300.0, anchor="random")
    latency = _known(strategy.expected(external)).latency + WORK
    counted = _known(evolve(strategy, delay=delay + WORK).expected(external))
    metrics = _checked(latency, counted.checks, counted.wasted_share)
    metrics["requests"] = waits * (counted.checks + 1)
    metrics |= _overhead(waits * counted.checks, waits * (1 - loss))
    name = f"{strategy.label}; external exponential"
    return _waits(name, strategy, external, waits, metrics, NOT_QUICK_SIMPY)


def _first_checks() -> Iterator[Experiment]:
    """Yield each kind of jitter where the first check, uniform on a range, sees completion.

    The work is complete where the range begins, so the mean latency is half of its width.
    """
    strategy: Strategy
    for strategy, begin, width, playable in (
        (Polling(300.0, jitter=300.0), 300.0, 300.0, BOTH),
        (Backoff(300.0, 1.0, 300.0, jitter="full"), 0.0, 300.0, NOT_QUICK_SIMPY),
        (Backoff(300.0, 1.0, 300.0, jitter="equal"), 150.0, 150.0, NOT_QUICK_SIMPY),
        (Backoff(300.0, 1.0, 900.0, jitter="decorrelated"), 300.0, 600.0, NOT_QUICK_SIMPY),
    ):
        metrics = {"mean_latency": width / 2 + WORK, "checks_per_wait": 1.0}
        name = f"first check; {strategy.label}"
        yield _waits(name, strategy, fixed(begin), 1200, metrics, playable)


def _callbacks(early: int) -> Iterator[Experiment]:
    """Yield retries of lost callbacks, copies, and callbacks that come before the wait is armed."""
    for strategy, waits, playable in (
        (Callback("1min", loss=0.2, retries=["1min"] * 2), 1000, BOTH),
        (Callback("2s", loss=0.5, retries=SVIX_RETRIES), 70_000, COMPILED),
    ):
        found = _known(strategy.expected(0.0))
        metrics = {"mean_latency": found.latency + WORK, "deliveries_per_wait": found.deliveries}
        metrics |= _overhead(callbacks=waits * (1 - found.unresolved))
        if playable == COMPILED:
            metrics["dead_letters"] = found.unresolved
        name = f"{strategy.label}; {strategy.loss:.0%} of attempts lost"
        yield _waits(name, strategy, exponential(MEAN), waits, metrics, playable)
    for strategy, metric in (
        (Callback("1min", loss=0.8), "dead_letters"),
        (Callback("1min", duplicates=0.8), "copies"),
    ):
        yield _waits(strategy.label, strategy, fixed(0.0), 1000, {metric: 0.8})
    copied = Callback("1min", duplicates=0.3)  # each copy is a delivery and takes a worker
    metrics = {"deliveries_per_wait": 1.3} | _overhead(callbacks=4000 * 1.3)
    yield _waits(copied.label, copied, exponential(MEAN), 4000, metrics, NOT_QUICK_SIMPY)
    # A callback after exponential C against a wait armed A after the call: early 1 - e^(-A/m)
    yield _waits(
        "callback before the wait is armed",
        Callback(),
        exponential("300ms"),
        early,
        {"early_callbacks": -math.expm1(-4 / 3)},
        NOT_QUICK_SIMPY,
        process=Process("wait", [AsyncStep("wait", system="outside", arm_delay="400ms")]),
        server=WorkflowServer(),
    )


def _queueing_for_workers(overlong: int) -> Iterator[Experiment]:
    """Yield checks longer than their interval, and checks and callbacks as arrivals at M/D/1."""
    # Checks of 15 s every 10 s: the next one is due at every second grid point
    work, interval, external = 15.0, 10.0, exponential(60.0)
    found = _known(
        closed_forms.checks_at_given_times(external, lambda k: 2 * interval if k else interval)
    )
    metrics = {
        "mean_latency": found.latency + work,
        "checks_per_wait": found.checks,
        "overhead_worker_time": overlong * found.checks * work,
    }
    name, server = "checks of 15 s every 10 s; external exponential", evolve(ROOMY, poll_work=work)
    yield _waits(name, Polling(interval), external, overlong, metrics, server=server)
    # Each wait is complete when its first check comes; each answer or callback is handled alike
    interval, work, load, waits = 60.0, 3.0, 0.5, 40_000
    arrivals, length = Poisson(load / work), waits * work / load
    server = WorkflowServer(1, poll_work=work, callback_work=work)
    queueing = work * theory.mg1_wait(load, 0.0)
    for name, strategy, delay, more in (
        ("checks", Polling(interval), 0.0, {"checks_per_wait": 1.0}),
        ("answers of long polls", LongPolling(2 * interval), 0.0, {}),
        ("callbacks", Callback("5s"), 5.0, {}),
    ):
        metrics = {"mean_latency": delay + work + queueing, "noticing_queueing_time": queueing}
        yield _waits(
            f"{name} as arrivals at M/D/1, utilisation 0.5", strategy, fixed(interval), arrivals,
            metrics | more, NOT_QUICK_SIMPY, server=server, length=length,
        )  # fmt: skip


def _queues() -> Iterator[Experiment]:
    """Yield M/M/c, M/D/1, D/M/1, M^10/M/1, M^10/D/1 and a herd of exponential jobs."""
    jobs, workers, one = 8000, 20, exponential(1.0)
    metrics = {"herd_queueing_time": theory.herd_mean_wait(jobs, workers)}
    name, herd = f"herd of {jobs} on {workers} exponential workers", ArrivalTimes([0.0] * jobs)
    yield _jobs(name, herd, one, 1.0, metrics, workers=workers)
    for workers, utilisation, jobs, playable in (
        (1, 0.5, 120_000, {("simpy", False)}),
        (1, 0.8, 500_000, COMPILED),
        (2, 0.8, 600_000, COMPILED),
        (5, 0.8, 800_000, COMPILED),
        (1, 0.9, 2_000_000, LONG),
        (2, 0.9, 2_000_000, LONG),
        (5, 0.9, 2_500_000, LONG),
        (10, 0.9, 3_000_000, LONG),
        (20, 0.9, 5_000_000, LONG),
    ):
        load = utilisation * workers
        metrics = {
            "share_queueing": theory.erlang_c(workers, load),
            "queueing_time": theory.mmc_wait(workers, load),
        }
        name = f"M/M/{workers}, utilisation {utilisation}"
        yield _jobs(name, Poisson(load), one, jobs / load, metrics, playable, workers)
    load = 0.8  # ten jobs of a batch tell little more than one, so these need more of them
    in_tens = Poisson(load / 10, size=10)
    for name, arrivals, jobs, service, expected, playable in (
        ("M/D/1", Poisson(load), 250_000, fixed(1.0), theory.mg1_wait(load, 0.0), COMPILED),
        ("M^10/M/1", in_tens, 2_000_000, one, theory.batch_wait(load, 10, 1.0), LONG),
        ("M^10/D/1", in_tens, 2_000_000, fixed(1.0), theory.batch_wait(load, 10, 0.0), LONG),
        ("D/M/1", Regular(1 / load), 250_000, one, theory.dm1_wait(load), LONG),
    ):
        metrics, name = {"queueing_time": expected}, f"{name}, utilisation {load}"
        yield _jobs(name, arrivals, service, jobs / load, metrics, playable)


def _costs() -> Iterator[Experiment]:
    """Yield the costs of polling at a random phase: latency is uniform on an interval."""
    waits, interval, level = 6000, 300.0, 100.0
    strategy, external = Polling(interval, anchor="random"), lognormal(MEAN, MEAN / 2)
    prices = CostModel(check=0.003, late_minute=0.2, service_level=level, worker_hour=50.0)
    checks = waits * _known(strategy.expected(external)).checks
    parts = {
        "cost_of_checks": 0.003 * checks,
        "cost_of_workers": 50.0 * checks * WORK / HOUR,
        "cost_of_lateness": 0.2 * waits * theory.mean_beyond(interval, level - WORK) / MINUTE,
    }
    name = f"costs of {strategy.label}; external lognormal"
    metrics = parts | {"cost": sum(parts.values())}
    yield _waits(name, strategy, external, waits, metrics, NOT_QUICK_SIMPY, costs=prices)


def _over_a_day() -> Iterator[Experiment]:
    """Yield items that come after the cut-off, and open waits."""
    # Submitted evenly from 08:00 to 20:00: those up to 18:00, five in six, are done at 22:00, nine
    # hours later on average; the others a day later, 27 hours on average
    batch = NightlyBatch("22:00", 1e-6, cut_off="18:00")
    metrics = {"missed_tonight": 1 / 6, "outside_time": (9 * 5 / 6 + 27 / 6) * HOUR}
    name, evenly = "cut-off four hours before the batch", UniformArrivals(22_000, between=BY_DAY)
    yield _waits(name, Callback(), batch, evenly, metrics)
    length = 10 * MEAN
    for name, external, waits in (  # distributions that differ in all but their mean
        ("fixed", fixed(MEAN), 5000),
        ("lognormal", lognormal(MEAN, 2 * MEAN), 25_000),
    ):
        # Summed over all time, as if all of it fell within the length
        metrics = {"open_wait_seconds": theory.open_waits(waits / length, MEAN + WORK) * length}
        name, arrivals = f"M/G/inf open waits; external {name}", Poisson(waits / length)
        yield _waits(name, Callback(), external, arrivals, metrics, length=length)


def _without_chance() -> Iterator[Experiment]:
    """Yield herds of checks and of callbacks, a saturated worker, limits, costs and a cut-off."""
    yield from _herds_of_checks()
    # Ten requests are held 100 s and handled 10 s each; the work is complete as the tenth is.
    # The eleventh, 1,100 s after arming, is answered at once.
    metrics = _checked(1100.0 + 10.0 - 1095.0, 11.0, 10 / 11)
    metrics["connection_time"] = 10.0 * 100.0 * 20
    name, server = "requests of 100 s in turn; external fixed", evolve(ROOMY, poll_work=10.0)
    yield _waits(name, LongPolling(100.0), fixed(1095.0), 20, metrics, server=server)
    # Intervals that double, without end or up to 60 s, each from the end of a check of 2 s: check
    # k = 0, 1, … is due 2^(k + 1) - 1 + 2 k seconds after arming; from the sixth on, if capped,
    # 63 + 62 (k - 5) + 10 seconds after it. The work is complete after 1,000 s.
    for cap, checks, due in ((None, 10, 1041.0), (60.0, 21, 1003.0)):
        strategy = Backoff(1.0, 2.0, cap)
        metrics = {"mean_latency": due + WORK - 1000.0, "checks_per_wait": float(checks)}
        name = f"{strategy.label}; external fixed"
        yield _waits(name, strategy, fixed(1000.0), 20, metrics)
    yield from _herds_of_callbacks()
    yield from _costs_without_chance()
    # Of four items, one comes just after the cut-off at 18:00, and one long after
    submitted = [8 * HOUR, 18 * HOUR, 18 * HOUR + 1, 20 * HOUR]
    completed = [22 * HOUR + 1, 22 * HOUR + 2, 46 * HOUR + 1, 46 * HOUR + 2]
    metrics = {"missed_tonight": 0.5, "outside_time": (sum(completed) - sum(submitted)) / 4}
    name = "cut-off four hours before the batch, by hand"
    batch = NightlyBatch("22:00", "1s", cut_off="18:00")
    yield _waits(name, Callback(), batch, ArrivalTimes(submitted), metrics)


def _herds_of_checks() -> Iterator[Experiment]:
    # N waits armed at once ask at T and at 2T; each time the checks queue for c workers
    waits, workers, work, interval, external = 1001, 20, 0.02, 60.0, 90.0
    begun = 2 * interval - external
    metrics = {
        "mean_latency": begun + theory.herd_mean_end(waits, workers, work),
        "drained": begun + theory.herd_drained(waits, workers, work),
        "checks_per_wait": 2.0,
        "wasted_share": 0.5,
    } | _overhead(2 * waits, work=work)
    name = f"herd of {waits} checks on {workers} workers, twice"
    at_once = ArrivalTimes([0.0] * waits)
    server = evolve(SERVER, workers=workers, poll_work=work)
    yield _waits(name, Polling(interval), fixed(external), at_once, metrics, server=server)
    # N waits keep the only worker busy with their checks until the work is complete
    waits, work, external = 50, 5.0, 1002.0
    latency, checks = theory.saturated_checks(waits, work, interval, external)
    metrics = {"mean_latency": latency, "checks_per_wait": checks / waits}
    metrics |= _overhead(checks, work=work)
    name = f"{waits} waits whose checks keep the only worker busy"
    at_once = ArrivalTimes([0.0] * waits)
    strategy, server = Backoff(interval, 1.0, interval), evolve(SERVER, workers=1, poll_work=work)
    yield _waits(name, strategy, fixed(external), at_once, metrics, server=server)


def _herds_of_callbacks() -> Iterator[Experiment]:
    """Yield herds at the end of a batch: on busy workers, and into a limit, retried or not."""
    batch = NightlyBatch("22:00", "1ms", results="at end")
    waits, workers, work = 1001, 20, 0.02
    metrics = {
        "drained": theory.herd_drained(waits, workers, work),
        "mean_latency": theory.herd_mean_end(waits, workers, work),
    } | _overhead(callbacks=waits, work=work)
    server = evolve(SERVER, workers=workers, callback_work=work)
    name = f"herd of {waits} callbacks on {workers} workers, 20 ms each"
    arrivals = UniformArrivals(waits, between=BY_DAY)
    yield _waits(name, Callback(), batch, arrivals, metrics, server=server)
    retried = Callback(retries=["500ms"] * 40)
    for waits, limit, first, drained in (
        (1000, "300 refilled 50/s", 300, theory.bucket_drained(1000, 300, 50)),
        (1000, "200 refilled 100/s", 200, theory.bucket_drained(1000, 200, 100)),
        (250, "100 per 10 s", 100, theory.window_drained(250, 100, 10.0)),
    ):
        server = WorkflowServer(finish_limit=limit)
        arrivals = UniformArrivals(waits, between=BY_DAY)
        for name, strategy, metrics in (
            ("tried again every 500 ms", retried, {"drained": drained, "dead_letters": 0.0}),
            ("never tried again", Callback(), {"dead_letters": 1 - first / waits}),
        ):
            name = f"herd of {waits} callbacks into a limit of {limit}, {name}"
            yield _waits(name, strategy, batch, arrivals, metrics, server=server)


def _costs_without_chance() -> Iterator[Experiment]:
    # Two checks each, 400 s and 800 s after arming, of work that takes 600 s
    waits, interval, external = 500, 400.0, 600.0
    prices = CostModel(
        check=0.003, request=0.002, transition=0.001, worker_hour=50.0, late_minute=0.2,
        service_level="90s",
    )  # fmt: skip
    checks, late = 2 * waits, 2 * interval - external + WORK
    parts = {
        "cost_of_checks": 0.003 * checks,
        "cost_of_requests": 0.002 * checks,
        "cost_of_transitions": 0.001 * (3 * checks + waits),
        "cost_of_workers": 50.0 * checks * WORK / HOUR,
        "cost_of_lateness": 0.2 * waits * (late - 90.0) / MINUTE,
    }
    metrics = {"mean_latency": late, "cost": sum(parts.values()), **parts}
    name = "costs of polling 6.667 min; external fixed"
    yield _waits(name, Polling(interval), fixed(external), waits, metrics, costs=prices)
    # One callback each, a minute on its way; the workers are paid for the whole day
    prices = CostModel(
        request=0.002, transition=0.001, worker_hour=0.5, worker_time="provided", late_minute=0.2
    )
    parts = {
        "cost_of_requests": 0.002 * waits,
        "cost_of_transitions": 0.001 * waits,
        "cost_of_workers": 0.5 * 200 * DAY / HOUR,
        "cost_of_lateness": 0.2 * waits * (60.0 + WORK) / MINUTE,
    }
    cost = sum(parts.values())
    metrics = {"cost": cost, "cost_per_wait": cost / waits, **parts}
    name, server = "costs of a callback; external fixed", evolve(ROOMY, workers=200)
    callback = Callback("1min")
    yield _waits(name, callback, fixed(MEAN), waits, metrics, server=server, costs=prices)
