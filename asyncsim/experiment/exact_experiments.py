"""The experiments of `asyncsim verify` in which nothing is left to chance.

Two replications show that there is none; they agree with theory but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from asyncsim.experiment import theory
from asyncsim.experiment.verify_experiments import (
    CALLBACK_OPERATIONS,
    CHECK_OPERATIONS,
    MEAN,
    ROOMY,
    SERVER,
    WORK,
    Experiment,
    waits_of,
)
from asyncsim.model.arrivals import ArrivalTimes, UniformArrivals
from asyncsim.model.distributions import fixed
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.model.strategies import Backoff, Callback, LongPolling, Polling
from asyncsim.model.systems import NightlyBatch
from asyncsim.model.units import DAY, HOUR, MINUTE


def exact_experiments(engine: str) -> Iterator[Experiment]:
    """Yield herds of checks and of callbacks, a saturated worker, limits, costs and cut-offs."""
    for experiment in (
        _herd_of_checks(),
        _saturated(),
        _held_in_turn(),
        *_backed_off(),
        _herd_of_callbacks(),
        *_limited(),
        _costs_of_checks(),
        _costs_of_callbacks(),
        _cut_off(),
    ):
        yield evolve(experiment, engine=engine, exact=True)


def _herd_of_checks() -> Experiment:
    """N waits armed at once ask at T and at 2T; each time the checks queue for c workers."""
    waits, workers, work, interval, external = 1001, 20, 0.02, 60.0, 90.0
    server = evolve(SERVER, workers=workers, poll_work=work)
    figures = {
        "mean_latency": 2 * interval - external + theory.herd_mean_end(waits, workers, work),
        "drained": 2 * interval - external + theory.herd_drained(waits, workers, work),
        "checks_per_wait": 2.0,
        "wasted_share": 0.5,
        "overhead_worker_time": 2 * waits * work,
        "database_operations": float(2 * waits * CHECK_OPERATIONS),
    }
    scenario = waits_of(fixed(external), ArrivalTimes([0.0] * waits), server)
    name = f"herd of {waits} checks on {workers} workers, twice"
    return Experiment(name, scenario, Polling(interval), figures)


def _saturated() -> Experiment:
    """N waits keep the only worker busy with their checks until the work is complete."""
    waits, work, interval, external = 50, 5.0, 60.0, 1002.0
    latency, checks = theory.saturated_checks(waits, work, interval, external)
    figures = {
        "mean_latency": latency,
        "checks_per_wait": checks / waits,
        "overhead_worker_time": checks * work,
        "database_operations": float(checks * CHECK_OPERATIONS),
    }
    server = evolve(SERVER, workers=1, poll_work=work)
    scenario = waits_of(fixed(external), ArrivalTimes([0.0] * waits), server)
    name = f"{waits} waits whose checks keep the only worker busy"
    return Experiment(name, scenario, Backoff(interval, 1.0, interval), figures)


def _held_in_turn() -> Experiment:
    """Ten requests are held 100 s and handled 10 s each; the work is complete as the tenth is.

    The eleventh, 1,100 s after arming, is answered at once.
    """
    waits, work, hold, external = 20, 10.0, 100.0, 1095.0
    figures = {
        "mean_latency": 1100.0 + work - external,
        "checks_per_wait": 11.0,
        "wasted_share": 10 / 11,
        "connection_time": 10.0 * hold * waits,
    }
    scenario = waits_of(fixed(external), waits, evolve(ROOMY, poll_work=work))
    name = "requests of 100 s in turn; external fixed"
    return Experiment(name, scenario, LongPolling(hold), figures)


def _backed_off() -> Iterator[Experiment]:
    """Yield intervals that double, without end or up to 60 s, each from the end of a check.

    With checks of 2 s, check k = 0, 1, … is due 2^(k + 1) - 1 + 2 k seconds after arming; from the
    sixth on, if capped, 63 + 62 (k - 5) + 10 seconds after it. The work is complete after 1,000 s.
    """
    external = 1000.0
    for cap, checks, due in ((None, 10, 1041.0), (60.0, 21, 1003.0)):
        strategy = Backoff(1.0, 2.0, cap)
        figures = {"mean_latency": due + WORK - external, "checks_per_wait": float(checks)}
        name = f"{strategy.label}; external fixed"
        yield Experiment(name, waits_of(fixed(external), 20), strategy, figures)


def _at_end(waits: int, server: WorkflowServer) -> Scenario:
    """Return a batch at whose end all callbacks come at once."""
    arrivals = UniformArrivals(waits, between=("08:00", "20:00"))
    batch = NightlyBatch("22:00", "1ms", results="at end")
    return waits_of(fixed(1.0), arrivals, server).replace(systems={"outside": batch})


def _herd_of_callbacks() -> Experiment:
    waits, workers, work = 1001, 20, 0.02
    figures = {
        "drained": theory.herd_drained(waits, workers, work),
        "mean_latency": theory.herd_mean_end(waits, workers, work),
        "overhead_worker_time": waits * work,
        "database_operations": float(waits * CALLBACK_OPERATIONS),
    }
    scenario = _at_end(waits, evolve(SERVER, workers=workers, callback_work=work))
    name = f"herd of {waits} callbacks on {workers} workers, 20 ms each"
    return Experiment(name, scenario, Callback(), figures)


def _limited() -> Iterator[Experiment]:
    """Herds of callbacks that run into a limit, tried again often, or never."""
    for waits, limit, first, drained in (
        (1000, "300 refilled 50/s", 300, theory.bucket_drained(1000, 300, 50)),
        (1000, "200 refilled 100/s", 200, theory.bucket_drained(1000, 200, 100)),
        (250, "100 per 10 s", 100, theory.window_drained(250, 100, 10.0)),
    ):
        scenario = _at_end(waits, WorkflowServer(finish_limit=limit))
        name = f"herd of {waits} callbacks into a limit of {limit}"
        yield Experiment(
            f"{name}, tried again every 500 ms",
            scenario,
            Callback(retries=["500ms"] * 40),
            {"drained": drained, "dead_letters": 0.0},
        )
        lost = {"dead_letters": 1 - first / waits}
        yield Experiment(f"{name}, never tried again", scenario, Callback(), lost)


def _costs_of_checks() -> Experiment:
    """Two checks each, 400 s and 800 s after arming, of work that takes 600 s."""
    waits, interval, external = 500, 400.0, 600.0
    prices = CostModel(
        check=0.003, request=0.002, transition=0.001, worker_hour=50.0, late_minute=0.2,
        service_level="90s",
    )  # fmt: skip
    scenario = waits_of(fixed(external), waits).replace(costs=prices)
    checks, late = 2 * waits, 2 * interval - external + WORK
    parts = {
        "cost_of_checks": 0.003 * checks,
        "cost_of_requests": 0.002 * checks,
        "cost_of_transitions": 0.001 * (3 * checks + waits),
        "cost_of_workers": 50.0 * checks * WORK / HOUR,
        "cost_of_lateness": 0.2 * waits * (late - 90.0) / MINUTE,
    }
    figures = {"mean_latency": late, "cost": sum(parts.values()), **parts}
    return Experiment(
        "costs of polling 6.667 min; external fixed", scenario, Polling(interval), figures
    )


def _costs_of_callbacks() -> Experiment:
    """One callback each, a minute on its way; the workers are paid for the whole day."""
    waits, workers = 500, 200
    prices = CostModel(
        request=0.002, transition=0.001, worker_hour=0.5, worker_time="provided", late_minute=0.2
    )
    server = evolve(ROOMY, workers=workers)
    scenario = waits_of(fixed(MEAN), waits, server).replace(costs=prices)
    parts = {
        "cost_of_requests": 0.002 * waits,
        "cost_of_transitions": 0.001 * waits,
        "cost_of_workers": 0.5 * workers * DAY / HOUR,
        "cost_of_lateness": 0.2 * waits * (60.0 + WORK) / MINUTE,
    }
    figures = {"cost": sum(parts.values()), "cost_per_wait": sum(parts.values()) / waits, **parts}
    return Experiment("costs of a callback; external fixed", scenario, Callback("1min"), figures)


def _cut_off() -> Experiment:
    """Of four items, one comes just after the cut-off at 18:00, and one long after."""
    submitted = [8 * HOUR, 18 * HOUR, 18 * HOUR + 1, 20 * HOUR]
    batch = NightlyBatch("22:00", "1s", cut_off="18:00")
    completed = [22 * HOUR + 1, 22 * HOUR + 2, 46 * HOUR + 1, 46 * HOUR + 2]
    scenario = waits_of(fixed(1.0), ArrivalTimes(submitted)).replace(systems={"outside": batch})
    outside = (sum(completed) - sum(submitted)) / 4
    figures = {"missed_tonight": 0.5, "outside_time": outside}
    return Experiment("cut-off four hours before the batch, by hand", scenario, Callback(), figures)
