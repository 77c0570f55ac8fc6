"""The experiments of `asyncsim verify`: scenarios so simple that theory knows the answer.

Checks and callbacks take worker time in nearly all of them. The SimPy engine plays fewer of them,
and shorter ones: it takes some thirty times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from attrs import evolve, frozen

from asyncsim.engine.metrics import compute_metrics
from asyncsim.engine.result import DELIVERY_OUTCOMES, Record
from asyncsim.engine.waits import Answer
from asyncsim.engine.workers import Job
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
)
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import NightlyBatch, OnlineService
from asyncsim.model.units import DAY, HOUR, MINUTE

MEAN = 600.0
"""Mean external time of the experiments with strategies, in seconds."""
WORK = 2.0
"""Worker time of a check and of a callback in them, in seconds."""
CHECK_OPERATIONS, CALLBACK_OPERATIONS = 3, 5
"""Database operations of a check and of a callback in the experiments."""
SVIX_RETRIES = ("5s", "5min", "30min")
"""The first pauses of a sender of the Svix type; later tries are too rare to be measured well."""
MARGIN = 0.02
"""Equivalence: the simulated mean lies within this share of the theory."""
EXACT = 1e-9
"""The same where nothing is left to chance, and there also in absolute terms."""
SERVER = WorkflowServer(
    poll_work=WORK,
    callback_work=WORK,
    check_operations=CHECK_OPERATIONS,
    callback_operations=CALLBACK_OPERATIONS,
)
ROOMY = evolve(SERVER, workers=20_000)
"""A server on which no check ever queues."""


@frozen
class Experiment:
    """A scenario played again and again, and what theory says of it.

    Attributes
    ----------
    name
        What it is.
    scenario, strategy
        What is played.
    theory
        The expected figures: names of `asyncsim.engine.metrics.METRICS` or of `MEASURES`.
    engine
        Which engine plays.
    margin
        The simulated mean is to lie within this share of the theory.
    exact
        Whether nothing is left to chance; two replications then show it, and the margin is
        `EXACT`.
    """

    name: str
    scenario: Scenario
    strategy: Strategy
    theory: dict[str, float]
    engine: str = "compiled"
    margin: float = MARGIN
    exact: bool = False

    def play(self, seed: int, replication: int) -> dict[str, float]:
        """Play one replication; return the simulated figures."""
        draws = self.scenario.draw(seed, replication)
        record = played(self.scenario, self.strategy, draws, engine=self.engine).record
        known = (
            compute_metrics(record, self.scenario) if self.theory.keys() - MEASURES.keys() else {}
        )
        return {
            name: MEASURES[name](record) if name in MEASURES else known[name]
            for name in self.theory
        }

    def bound(self, figure: str) -> float:
        """Return by how much the simulated mean of a figure may differ from theory."""
        value = abs(self.theory[figure])
        return EXACT * max(value, 1.0) if self.exact else self.margin * value

    def on(self, engine: str, scenario: Scenario | None = None) -> Experiment:
        """Return it for another engine, with another scenario if one is given."""
        return evolve(self, engine=engine, scenario=scenario or self.scenario)


# --- what is measured -----------------------------------------------------------------------------


def _queueing(record: Record, skip: float) -> np.ndarray:
    """Return the queueing times of the first step, less those of a first share of the jobs."""
    columns = record.steps[0]
    waited: np.ndarray = columns.started - columns.queued
    return waited[int(skip * len(waited)) :]


def _noticing_queueing(record: Record) -> float:
    """Return the mean queueing time of checks and callbacks."""
    loads = [record.loads[job] for job in (Job.CHECK, Job.CALLBACK)]
    return sum(load.queue_seconds for load in loads) / sum(load.jobs for load in loads)


def _share_of(outcome: str) -> Callable[[Record], float]:
    def of(record: Record) -> float:
        found = record.deliveries.outcome == DELIVERY_OUTCOMES.index(outcome)
        return float(np.sum(found)) / len(record.waits.row)

    return of


WARM_UP = 1 / 8
"""Share of the jobs that a queue, started empty, needs to forget it."""
MEASURES: dict[str, Callable[[Record], float]] = {
    "queueing_time": lambda record: float(_queueing(record, WARM_UP).mean()),
    "share_queueing": lambda record: float(np.mean(_queueing(record, WARM_UP) > 0)),
    "herd_queueing_time": lambda record: float(_queueing(record, 0).mean()),
    "noticing_queueing_time": _noticing_queueing,
    "drained": lambda record: float(
        np.nanmax(record.waits.closed) - np.nanmax(record.waits.completed)
    ),
    "dead_letters": _share_of("dead letter"),
    "copies": _share_of(Answer.DUPLICATE.text),
    "early_callbacks": _share_of(Answer.EARLY.text),
    "open_wait_seconds": lambda record: record.open_seconds,
    "outside_time": lambda record: float(np.mean(record.waits.completed - record.waits.called)),
    "missed_tonight": lambda record: float(np.mean(record.waits.completed > DAY)),
}
"""What experiments measure besides the figures of a run."""


# --- scenarios ------------------------------------------------------------------------------------


def waits_of(law: Duration, arrivals: int | Arrivals, server: WorkflowServer = ROOMY) -> Scenario:
    """Return a scenario of nothing but waits: a number of them spread over a day, or arrivals."""
    spread = UniformArrivals(arrivals) if isinstance(arrivals, int) else arrivals
    return Scenario(
        name="waits",
        process=Process("wait", [AsyncStep("wait", system="outside")]),
        systems={"outside": OnlineService(law, lanes=None)},
        arrivals=spread,
        server=server,
    )


def _jobs(arrivals: Arrivals, work: Duration, workers: int, length: float) -> Scenario:
    """Return a scenario of one step of work."""
    return Scenario(
        name="jobs",
        process=Process("work", [Step("work", work=work)]),
        systems={},
        arrivals=arrivals,
        server=WorkflowServer(workers),
        length=length,
    )


def _poisson(rate: float, number: int, size: int = 1) -> tuple[Arrivals, float]:
    """Return Poisson arrivals and the length of time in which that number is expected."""
    return Poisson(rate / size, size=size), number / rate


# --- strategies on a server with workers to spare -------------------------------------------------


def waiting_experiments(engine: str, quick: bool) -> Iterator[Experiment]:
    """Yield polling of each anchor, backoff, long polling and the safety poll."""
    number = 6000 if engine == "compiled" else 1700
    laws = {
        "exponential": exponential(MEAN),
        "lognormal": lognormal(MEAN, MEAN / 2),
        "gamma": gamma(MEAN, 2 * MEAN),
    }

    def polling(interval: float, law: str, anchor: str = "arming", times: float = 1) -> Experiment:
        strategy = Polling(interval, anchor=anchor)
        expected = strategy.expected(laws[law])
        assert expected is not None
        expected = evolve(expected, latency=expected.latency + WORK)
        return _checking(strategy, law, laws[law], round(number * times), expected, engine)

    yield polling(MEAN, "exponential", times=2)
    yield polling(300.0, "lognormal", "random")
    yield from islice(_first_checks(engine), 1 if engine == "simpy" and quick else None)
    if engine == "simpy" and quick:
        return
    yield polling(0.1 * MEAN, "exponential", times=2)
    if engine == "compiled":
        yield polling(3 * MEAN, "exponential", times=10)
    yield polling(300.0, "lognormal")
    yield polling(300.0, "lognormal", "clock")
    yield from (polling(300.0, "gamma", anchor, 3) for anchor in ("arming", "random", "clock"))
    law = laws["exponential"]
    for backoff in (Backoff(1.0, 2.0, None), Backoff(1.0, 2.0, 60.0), Backoff(60.0, 1.0, 60.0)):
        yield _checking(backoff, "exponential", law, 2 * number, _spaced(backoff, law), engine)
    yield _held(2 * number, engine)
    yield _safety(5 * number, engine)
    yield _jittered(number, engine)


def _checking(
    strategy: Strategy, law_name: str, law: Duration, waits: int, expected: Expected, engine: str
) -> Experiment:
    """Return an experiment with checks that take a worker's time, none of which queues."""
    checks = waits * expected.checks
    figures = {
        "mean_latency": expected.latency,
        "checks_per_wait": expected.checks,
        "wasted_share": expected.wasted_share,
        "overhead_worker_time": checks * WORK,
        "database_operations": checks * CHECK_OPERATIONS,
    }
    name = f"{strategy.label}; external {law_name}"
    return Experiment(name, waits_of(law, waits), strategy, figures, engine)


def _spaced(strategy: Backoff, law: Duration) -> Expected:
    """Expect checks whose intervals are counted from the end of the check before."""
    intervals = Intervals.of(strategy)

    def gap(k: int) -> float:
        return intervals.interval(k) + (WORK if k else 0.0)

    expected = closed_forms.checks_at_given_times(law, gap)
    assert expected is not None
    return evolve(expected, latency=expected.latency + WORK)


def _held(waits: int, engine: str) -> Experiment:
    """Long polling (hold H) of exponential work (mean m), each answer handled for s seconds.

    Request k = 0, 1, … is made k (H + s) after arming. It is held for E[min(D, H)] if D is later
    than that, and finds nothing with probability P(D > k (H + s) + H). Completion while an answer
    is handled waits for the next request, on average s - m (1 - e^(-s/m)).
    """
    hold, work = 200.0, 10.0
    cycle = 1 / -math.expm1(-(hold + work) / MEAN)  # sum of P(D > k (H + s))
    empty = math.exp(-hold / MEAN) * cycle
    figures = {
        "mean_latency": work + empty * (work + MEAN * math.expm1(-work / MEAN)),
        "checks_per_wait": 1 + empty,
        "wasted_share": empty / (1 + empty),
        "connection_time": waits * -MEAN * math.expm1(-hold / MEAN) * cycle,
        "overhead_worker_time": waits * (1 + empty) * work,
    }
    scenario = waits_of(exponential(MEAN), waits, evolve(ROOMY, poll_work=work))
    strategy = LongPolling(hold)
    return Experiment(
        f"{strategy.label}; external exponential", scenario, strategy, figures, engine
    )


def _safety(waits: int, engine: str) -> Experiment:
    """Return a callback that may be lost beside a slow poll; each takes a worker for s seconds.

    Whichever comes first resumes the step s later. A check that comes while the callback is
    handled is made as well, so that there are as many checks as if the callback took s longer.
    """
    delay, loss, every = 20.0, 0.2, 300.0
    law = exponential(MEAN)
    strategy = CallbackWithSafetyPoll(delay, loss=loss, every=every, anchor="random")
    expected = strategy.expected(law)
    counted = evolve(strategy, delay=delay + WORK).expected(law)
    assert expected is not None
    assert counted is not None
    noticed = counted.checks + 1 - loss  # checks and callbacks
    figures = {
        "mean_latency": expected.latency + WORK,
        "checks_per_wait": counted.checks,
        "wasted_share": counted.wasted_share,
        "overhead_worker_time": waits * noticed * WORK,
        "database_operations": waits
        * (counted.checks * CHECK_OPERATIONS + (1 - loss) * CALLBACK_OPERATIONS),
        "requests": waits * (counted.checks + 1),
    }
    name = f"{strategy.label}; external exponential"
    return Experiment(name, waits_of(law, waits), strategy, figures, engine)


def _jittered(waits: int, engine: str) -> Experiment:
    """Full jitter on a fixed interval, seen after so long that the start is forgotten."""
    strategy = Backoff(60.0, 1.0, 60.0, jitter="full")
    scenario = waits_of(lognormal(3600.0, 1800.0, low=1200.0), waits, WorkflowServer())
    expected = theory.renewal_latency(30.0, 60.0**2 / 3)
    return Experiment(
        "fixed interval, full jitter; long external",
        scenario,
        strategy,
        {"mean_latency": expected},
        engine,
    )


def _first_checks(engine: str) -> Iterator[Experiment]:
    """Yield each kind of jitter where the first check, uniform on a range, sees completion.

    The work is complete where the range begins, so the mean latency is half of its width.
    """
    for strategy, begin, width in (
        (Polling(300.0, jitter=300.0), 300.0, 300.0),
        (Backoff(300.0, 1.0, 300.0, jitter="full"), 0.0, 300.0),
        (Backoff(300.0, 1.0, 300.0, jitter="equal"), 150.0, 150.0),
        (Backoff(300.0, 1.0, 900.0, jitter="decorrelated"), 300.0, 600.0),
    ):
        latency = {"mean_latency": width / 2 + WORK, "checks_per_wait": 1.0}
        name = f"first check; {strategy.label}"
        yield Experiment(name, waits_of(fixed(begin), 1200), strategy, latency, engine)


# --- callbacks ------------------------------------------------------------------------------------


def delivery_experiments(engine: str, quick: bool) -> Iterator[Experiment]:
    """Yield retries of lost callbacks, copies, and callbacks that come before the wait is armed."""
    compiled = engine == "compiled"
    yield _retried(Callback("1min", loss=0.2, retries=["1min"] * 2), 1000, engine)
    yield _chanced(Callback("1min", loss=0.8), {"dead_letters": 0.8}, engine)
    yield _chanced(Callback("1min", duplicates=0.8), {"copies": 0.8}, engine)
    if compiled:
        strategy = Callback("2s", loss=0.5, retries=SVIX_RETRIES)
        yield _retried(strategy, 70_000, engine, dead=True)
    if compiled or not quick:
        yield _doubled(4000, engine)
        yield _early(6000 if compiled else 4000, engine)


def _retried(strategy: Callback, waits: int, engine: str, dead: bool = False) -> Experiment:
    expected = strategy.expected(0.0)
    assert expected is not None
    arrived = waits * (1 - expected.unresolved)
    figures = {
        "mean_latency": expected.latency + WORK,
        "deliveries_per_wait": expected.deliveries,
        "overhead_worker_time": arrived * WORK,
        "database_operations": arrived * CALLBACK_OPERATIONS,
    }
    if dead:
        figures["dead_letters"] = expected.unresolved
    name = f"{strategy.label}; {strategy.loss:.0%} of attempts lost"
    return Experiment(name, waits_of(exponential(MEAN), waits), strategy, figures, engine)


def _chanced(strategy: Callback, figures: dict[str, float], engine: str) -> Experiment:
    """Return callbacks whose figure is the probability of one thing alone."""
    return Experiment(strategy.label, waits_of(fixed(0.0), 1000), strategy, figures, engine)


def _doubled(waits: int, engine: str) -> Experiment:
    """Return copies of callbacks: each is a delivery and takes a worker."""
    strategy = Callback("1min", duplicates=0.3)
    figures = {
        "deliveries_per_wait": 1.3,
        "overhead_worker_time": waits * 1.3 * WORK,
        "database_operations": waits * 1.3 * CALLBACK_OPERATIONS,
    }
    scenario = waits_of(exponential(MEAN), waits)
    return Experiment(strategy.label, scenario, strategy, figures, engine)


def _early(waits: int, engine: str) -> Experiment:
    """Callbacks after exponential C against a wait armed A after the call: early 1 - e^(-A/m)."""
    step = AsyncStep("wait", system="outside", arm_delay="400ms")
    scenario = waits_of(exponential("300ms"), waits, WorkflowServer())
    return Experiment(
        "callback before the wait is armed",
        scenario.replace(process=Process("wait", [step])),
        Callback(),
        {"early_callbacks": -math.expm1(-4 / 3)},
        engine,
    )


# --- checks, callbacks and steps that queue for workers -------------------------------------------


def queued_experiments(engine: str, quick: bool) -> Iterator[Experiment]:
    """Yield a check longer than its interval, and checks and callbacks as arrivals at M/D/1."""
    compiled = engine == "compiled"
    yield _overlong(8000 if compiled else 2000, engine)
    if not compiled and quick:
        return
    number = 40_000
    interval, work, load = 60.0, 3.0, 0.5
    arrivals, length = _poisson(load / work, number)
    server = WorkflowServer(1, poll_work=work, callback_work=work)
    scenario = waits_of(fixed(interval), arrivals, server).replace(length=length)
    # Each wait is complete when its first check comes; each answer or callback is handled alike
    queueing = work * theory.mg1_wait(load, 0.0)
    latency = work + queueing
    yield Experiment(
        "checks as arrivals at M/D/1, utilisation 0.5",
        scenario,
        Polling(interval),
        {"mean_latency": latency, "noticing_queueing_time": queueing, "checks_per_wait": 1.0},
        engine,
    )
    yield Experiment(
        "answers of long polls as arrivals at M/D/1, utilisation 0.5",
        scenario,
        LongPolling(2 * interval),
        {"mean_latency": latency, "noticing_queueing_time": queueing},
        engine,
    )
    yield Experiment(
        "callbacks as arrivals at M/D/1, utilisation 0.5",
        scenario,
        Callback("5s"),
        {"mean_latency": 5.0 + latency, "noticing_queueing_time": queueing},
        engine,
    )


def _overlong(waits: int, engine: str) -> Experiment:
    """Return checks of 15 s every 10 s: the next one is due at every second grid point."""
    work, interval, law = 15.0, 10.0, exponential(60.0)
    expected = closed_forms.checks_at_given_times(law, lambda k: 2 * interval if k else interval)
    assert expected is not None
    figures = {
        "mean_latency": expected.latency + work,
        "checks_per_wait": expected.checks,
        "overhead_worker_time": waits * expected.checks * work,
    }
    scenario = waits_of(law, waits, evolve(ROOMY, poll_work=work))
    name = "checks of 15 s every 10 s; external exponential"
    return Experiment(name, scenario, Polling(interval), figures, engine)


def queue_experiments(engine: str, quick: bool) -> Iterator[Experiment]:
    """Yield M/M/c, M/D/1, D/M/1, M^10/M/1, M^10/D/1 and a herd of exponential jobs."""
    compiled = engine == "compiled"
    yield _herd_of_jobs(8000, engine)
    if not compiled:
        if not quick:
            yield _mmc(1, 0.5, 120_000, engine)
        return
    yield _mmc(1, 0.8, 500_000, engine)
    yield _mmc(2, 0.8, 600_000, engine)
    yield _mmc(5, 0.8, 800_000, engine)
    yield _single("M/D/1", *_poisson(0.8, 250_000), 0.8, fixed(1.0), theory.mg1_wait(0.8, 0.0))
    if quick:
        return
    for workers, jobs in ((1, 2_000_000), (2, 2_000_000), (5, 2_500_000), (10, 3_000_000)):
        yield _mmc(workers, 0.9, jobs, engine)
    yield _mmc(20, 0.9, 5_000_000, engine)
    services = {"M": (exponential(1.0), 1.0), "D": (fixed(1.0), 0.0)}
    for letter, (service, variation) in services.items():
        # Ten jobs of a batch tell little more than one, so these need more of them
        yield _single(
            f"M^10/{letter}/1",
            *_poisson(0.8, 2_000_000, size=10),
            0.8,
            service,
            theory.batch_wait(0.8, 10, variation),
        )
    regular = Regular(1 / 0.8), 250_000 / 0.8
    yield _single("D/M/1", *regular, 0.8, exponential(1.0), theory.dm1_wait(0.8))


def _herd_of_jobs(jobs: int, engine: str) -> Experiment:
    workers = 20
    return Experiment(
        f"herd of {jobs} on {workers} exponential workers",
        _jobs(ArrivalTimes([0.0] * jobs), exponential(1.0), workers, 1.0),
        Callback(),
        {"herd_queueing_time": theory.herd_mean_wait(jobs, workers)},
        engine,
    )


def _mmc(workers: int, utilisation: float, jobs: int, engine: str) -> Experiment:
    load = utilisation * workers
    arrivals, length = _poisson(load, jobs)
    figures = {
        "share_queueing": theory.erlang_c(workers, load),
        "queueing_time": theory.mmc_wait(workers, load),
    }
    return Experiment(
        f"M/M/{workers}, utilisation {utilisation}",
        _jobs(arrivals, exponential(1.0), workers, length),
        Callback(),
        figures,
        engine,
    )


def _single(
    name: str, arrivals: Arrivals, length: float, load: float, service: Duration, expected: float
) -> Experiment:
    """Return an experiment with one worker."""
    scenario = _jobs(arrivals, service, 1, length)
    figures = {"queueing_time": expected}
    return Experiment(f"{name}, utilisation {load}", scenario, Callback(), figures)


# --- costs, cut-offs, open waits ------------------------------------------------------------------


def cost_experiments(engine: str, quick: bool) -> Iterator[Experiment]:
    """Yield the costs of polling at a random phase: latency is uniform on an interval."""
    if engine == "simpy" and quick:
        return
    waits, interval, level = 6000, 300.0, 100.0
    prices = CostModel(check=0.003, late_minute=0.2, service_level=level, worker_hour=50.0)
    strategy, law = Polling(interval, anchor="random"), lognormal(MEAN, MEAN / 2)
    expected = strategy.expected(law)
    assert expected is not None
    beyond = theory.mean_beyond(interval, level - WORK)
    parts = {
        "cost_of_checks": 0.003 * waits * expected.checks,
        "cost_of_workers": 50.0 * waits * expected.checks * WORK / HOUR,
        "cost_of_lateness": 0.2 * waits * beyond / MINUTE,
    }
    figures = parts | {"cost": sum(parts.values())}
    name = f"costs of {strategy.label}; external lognormal"
    scenario = waits_of(law, waits).replace(costs=prices)
    yield Experiment(name, scenario, strategy, figures, engine)


def cut_off_experiments() -> Iterator[Experiment]:
    """Yield the share of a day's items that come after the cut-off, and how long all take.

    Submitted evenly from 08:00 to 20:00: those up to 18:00, five in six, are done at 22:00, nine
    hours later on average; the others a day later, 27 hours on average.
    """
    waits = 22_000
    batch = NightlyBatch("22:00", 1e-6, cut_off="18:00")
    arrivals = UniformArrivals(waits, between=("08:00", "20:00"))
    scenario = waits_of(fixed(1e-6), arrivals).replace(systems={"outside": batch})
    figures = {"missed_tonight": 1 / 6, "outside_time": (9 * 5 / 6 + 27 / 6) * HOUR}
    yield Experiment("cut-off four hours before the batch", scenario, Callback(), figures)


def open_wait_experiments() -> Iterator[Experiment]:
    """Yield the mean number of open waits for laws that differ in all but their mean."""
    for name, law, waits in (
        ("fixed", fixed(MEAN), 5000),
        ("lognormal", lognormal(MEAN, 2 * MEAN), 25_000),
    ):
        length = 10 * MEAN
        scenario = waits_of(law, Poisson(waits / length)).replace(length=length)
        # Summed over all time, as if all of it fell within the length
        open_waits = theory.open_waits(waits / length, MEAN + WORK)
        yield Experiment(
            f"M/G/inf open waits; external {name}",
            scenario,
            Callback(),
            {"open_wait_seconds": open_waits * length},
        )
