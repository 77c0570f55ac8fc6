"""A design, checked against the conditions of the company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from attrs import evolve

import asyncsim as sim
from asyncsim.capacity.target import Measure
from asyncsim.exercises.checkers import PropertyChecker
from asyncsim.exercises.feedback import Remark
from asyncsim.exercises.gradebook import Exercise
from asyncsim.experiment.replications import RunSummary

SHOWN: dict[str, object] = {}
LOSS, MOST_LATE, MOST_COST = 0.02, 120.0, 130.0


def waiting(name: str, system: str, timeout: str) -> sim.AsyncStep:
    """Return an asynchronous step of the company."""
    return sim.AsyncStep(name, system, call_work="20ms", timeout=timeout, on_timeout="continue")


HOUSE = sim.Scenario(  # as in data/capstone.toml; a test compares them
    name="mail order",
    process=sim.Process(
        "order to cash",
        [
            sim.Step("validate", sim.exponential("200ms")),
            waiting("check stock", "warehouse", timeout="1d"),
            waiting("post to ledger", "ledger", timeout="2d"),
            sim.Step("notify", sim.exponential("200ms")),
        ],
    ),
    systems={
        "warehouse": sim.OnlineService(sim.lognormal("4min", "3min"), lanes=None),
        "ledger": sim.NightlyBatch("22:00", sim.lognormal("100ms", "60ms"), results="at end"),
    },
    arrivals=sim.Poisson("8000/day", between=("08:00", "20:00")),
    server=sim.WorkflowServer(2, poll_work="20ms", callback_work="30ms"),
    costs=sim.CostModel(
        request=0.0002,
        worker_hour=1.0,
        worker_time="provided",
        late_minute=0.004,
        service_level="30s",
        currency="EUR",
    ),
    start="2026-01-05",
)
DAYS = 3
PARTS = {
    "cost_of_requests": "requests: ask less often",
    "cost_of_workers": "workers: fewer may be enough",
    "cost_of_lateness": "lateness: notice completion sooner, or find lost callbacks sooner",
}


def a_design(answer: Any) -> bool:
    """Return whether an answer is a scenario and a strategy."""
    kinds = (sim.Scenario, sim.Strategy)
    return (
        isinstance(answer, tuple)
        and len(answer) == 2
        and all(isinstance(part, kind) for part, kind in zip(answer, kinds, strict=True))
    )


def forbidden_changes(design: sim.Scenario) -> Iterator[Remark]:
    """Report changes to parts that a design must not change."""
    parts = ("process", "systems", "arrivals", "costs", "length")
    other = [part for part in parts if getattr(design, part) != getattr(HOUSE, part)]
    if other:
        yield Remark(
            False,
            f"That is another company: its {', '.join(other)} differ. Load data/capstone.toml "
            "again, and change only the server.",
        )


def prescribed(design: sim.Scenario, strategy: sim.Strategy) -> Iterator[Remark]:
    """Check the work times, losses and retries that the company prescribes."""
    same = evolve(design.server, workers=HOUSE.server.workers) == HOUSE.server
    yield Remark(
        same,
        "A check takes 20 ms and a callback 30 ms of a worker."
        if same
        else "The server differs from the company's, which has poll_work='20ms', "
        "callback_work='30ms' (a new WorkflowServer has zero), and no limit or policy of its own.",
    )
    if isinstance(strategy, sim.LongPolling):
        yield Remark(
            False,
            "The ledger and the warehouse hold no connections open for eight thousand orders: they "
            "answer at once, or send a callback.",
        )
    if isinstance(strategy, sim.Callback):
        retries = bool(strategy.retries)
        reason = "Retries need a sender that notices losses." if retries else "No retries."
        yield Remark(not retries, reason)
        yield Remark(
            strategy.loss >= LOSS,
            f"{strategy.loss:.0%} of the callbacks are lost"
            + ("." if strategy.loss >= LOSS else "; in this company it is 2 %, loss=0.02."),
        )


def holds(answer: tuple[sim.Scenario, sim.Strategy]) -> Iterator[Remark]:
    """Simulate three days; compare lateness, losses and costs with the conditions."""
    design, strategy = answer
    if changes := list(forbidden_changes(design)):
        yield from changes
        return
    yield from prescribed(design, strategy)
    runs = [sim.simulate(design, strategy, replication=day) for day in range(DAYS)]
    summaries = [RunSummary.of(run) for run in runs]

    def mean(metric: str) -> float:
        measure = Measure.of(metric, design)
        return sum(measure.of_run(one) for one in summaries) / DAYS

    late = mean("p95_latency")
    prompt = late <= MOST_LATE
    yield Remark(
        prompt,
        f"95 of 100 steps resume within {late:.0f} s"
        + ("." if prompt else f", not within two minutes: {_why_late(strategy, late)}.")
        if isfinite(late)
        else f"More than 5 of 100 steps never resume: {_why_lost(strategy)}.",
    )
    lost = sum(int((run.waits["outcome"] != "resumed").sum()) for run in runs) / DAYS
    yield Remark(
        lost == 0,
        "No step times out."
        if lost == 0
        else f"{lost:.0f} steps a day never resume: {_why_lost(strategy)}.",
    )
    cost = mean("cost")
    parts = {name: mean(name) for name in PARTS}
    cheap = cost < MOST_COST
    yield Remark(
        cheap,
        f"A day costs {cost:.0f} euros"
        + ("." if cheap else f", not under {MOST_COST:.0f}: {_largest(parts)}."),
    )


def _why_late(strategy: sim.Strategy, late: float) -> str:
    if isinstance(strategy, sim.Callback):
        return "the callbacks of a night arrive together and queue for too few workers"
    if isinstance(strategy, sim.Polling) and late > strategy.interval:
        return "checks are later than their interval, because they queue for too few workers"
    return "a poller is late by up to its interval, and a shorter interval costs more requests"


def _why_lost(strategy: sim.Strategy) -> str:
    if isinstance(strategy, sim.Callback):
        return "no check finds lost callbacks; a safety poll would"
    return "a poller that stops checking notices nothing"


def _largest(parts: Mapping[str, float]) -> str:
    name = max(parts, key=parts.__getitem__)
    return f"most of it, {parts[name]:.0f}, is for {PARTS[name]}"


DESIGN = Exercise(
    "08 your design",
    "Give (design, strategy): does it meet the five conditions of the company?",
    PropertyChecker(
        "a pair (design, strategy): a scenario and a strategy",
        a_design,
        holds,
        "You can defend it. How much room is left to each limit, and what would a colleague with "
        "another design ask?",
    ),
    (
        "Which of the first four strategies loses nothing and is prompt? What makes it expensive?",
        "A callback for most steps, a slow poll for the few lost ones. How slow may it be?",
        "The curve of section 4 has its minimum between too many requests and too much lateness. "
        "Then try the fewest workers that still keep two minutes.",
    ),
)

EXERCISES = (DESIGN,)
