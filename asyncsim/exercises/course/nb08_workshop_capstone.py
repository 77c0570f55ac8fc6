"""A design, checked against the conditions of the company."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from attrs import evolve

import asyncsim as sim
from asyncsim.capacity.target import Measure
from asyncsim.exercises.checkers import PropertyChecker
from asyncsim.exercises.feedback import Remark, condition
from asyncsim.exercises.gradebook import Exercise
from asyncsim.exercises.mistakes import kind
from asyncsim.experiment.replications import RunSummary
from asyncsim.model.units import text_of

SHOWN: dict[str, object] = {}
LOSS, MOST_LATE, LATEST, MOST_COST = 0.02, 60.0, 20 * 60.0, 215.0
HOUSE = sim.Scenario.load("example:capstone")
BUSY = sim.Poisson("10000/day", between=("08:00", "20:00"))
DAYS = 3
PARTS = {
    "cost_of_requests": "requests: ask less often",
    "cost_of_workers": "workers: fewer may be enough",
    "cost_of_lateness": "lateness: notice completion sooner, or find lost callbacks sooner",
}


def a_design(answer: Any) -> bool:
    """Return whether an answer is a scenario and a strategy."""
    match answer:
        case tuple((sim.Scenario(), sim.Strategy())):
            return True
    return False


def no_pair(answer: Any) -> str:
    """Return what is not right about an answer that is not a design."""
    match answer:
        case sim.Scenario():
            return "The strategy is missing."
        case sim.Strategy():
            return "The design is missing: the scenario with your server."
        case (sim.Strategy(), sim.Scenario()):
            return "The two are swapped: the design comes first."
        case tuple((design, strategy)):
            return kind(strategy if isinstance(design, sim.Scenario) else design)
        case tuple() | list():
            return "A pair has two parts, in round brackets."
    return kind(answer)


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
    other = (
        "The server differs from the company's, which has poll_work='20ms', callback_work='30ms' "
        "(a new WorkflowServer has zero), and no limit or policy of its own."
    )
    yield Remark(same, "A check takes 20 ms and a callback 30 ms of a worker." if same else other)
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
        lost = f"{strategy.loss:.0%} of the callbacks are lost"
        yield condition(strategy.loss >= LOSS, lost, "; in this company it is 2 %, loss=0.02.")


def holds(answer: tuple[sim.Scenario, sim.Strategy]) -> Iterator[Remark]:
    """Simulate ordinary and busy days; compare lateness and costs with the conditions."""
    design, strategy = answer
    if changes := list(forbidden_changes(design)):
        yield from changes
        return
    yield from prescribed(design, strategy)
    ordinary, busy = (days(case, strategy) for case in (design, design.replace(arrivals=BUSY)))
    late = mean(busy, "p95_latency", design)
    if isfinite(late):
        fact = f"95 of 100 steps of a busy day resume within {text_of(late, 3)}"
        yield condition(late <= MOST_LATE, fact, f", not a minute: {_why_late(strategy, late)}.")
    else:
        yield Remark(False, f"More than 5 of 100 steps never resume: {_why_never(strategy)}.")
    if lost := sum(one.unresumed for one in (*ordinary, *busy)) / (2 * DAYS):
        yield Remark(False, f"{lost:.0f} steps a day never resume: {_why_never(strategy)}.")
    else:
        latest = max(float(one.latencies.max()) for one in (*ordinary, *busy))
        fact = f"The latest step resumes {text_of(latest, 3)} after its work is done"
        yield condition(latest <= LATEST, fact, f", not 20 minutes: {_why_latest(strategy)}.")
    cost, parts = mean(ordinary, "cost", design), {n: mean(ordinary, n, design) for n in PARTS}
    largest = max(parts, key=parts.__getitem__)
    most = f"most of it, {parts[largest]:.0f}, is for {PARTS[largest]}"
    why = f", not under {MOST_COST:.0f}: {most}."
    yield condition(cost < MOST_COST, f"An ordinary day costs {cost:.0f} euros", why)


def days(scenario: sim.Scenario, strategy: sim.Strategy) -> list[RunSummary]:
    """Simulate some days."""
    return [RunSummary.of(sim.simulate(scenario, strategy, replication=day)) for day in range(DAYS)]


def mean(runs: list[RunSummary], metric: str, design: sim.Scenario) -> float:
    """Return the mean of a metric; a step that never resumes is infinitely late."""
    measure = Measure.of(metric, design)
    return sum(map(measure.of_run, runs)) / len(runs)


def _why_late(strategy: sim.Strategy, late: float) -> str:
    if isinstance(strategy, sim.Callback):
        return "the callbacks of a night arrive together and queue for too few workers"
    if isinstance(strategy, sim.Polling) and late > 1.1 * strategy.interval:
        return "checks are later than their interval, because they queue for too few workers"
    return "a poller is late by up to its interval, and a shorter interval costs more requests"


def _why_latest(strategy: sim.Strategy) -> str:
    if isinstance(strategy, sim.CallbackWithSafetyPoll):
        return "a lost callback is found by the next check, and that comes too seldom"
    return "a completion is found by the next check, and that comes too seldom"


def _why_never(strategy: sim.Strategy) -> str:
    if isinstance(strategy, sim.Callback):
        return "no check finds lost callbacks"
    return "a poller that stops checking notices nothing"


DESIGN = Exercise(
    "08 your design",
    "Give (design, strategy): does it meet the conditions of the company?",
    PropertyChecker(
        "a pair (design, strategy): a scenario and a strategy",
        a_design,
        holds,
        "You can defend it. How much room is left to each limit, and what would a colleague with "
        "another design ask?",
        no_pair,
    ),
    (
        "Which of the first four strategies loses nothing and is prompt? What makes it expensive?",
        "A callback for most steps, a slow poll for the few lost ones. How slow may it be, by the "
        "promise and by the price?",
        "The cheapest interval of section 5 knows the price, but no promise; the number of workers "
        "in section 4 knows the promise, but no busy day. Correct both, and count the costs.",
    ),
)

EXERCISES = (DESIGN,)
