"""What is asked of outside systems and workers in a week, against what they can do in it.

A run goes on until its last item is done, so one day's items may take two days. If days go on like
that nobody has that time: what is more than can be done is never worked off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

import attrs
import numpy as np
from attrs import frozen

from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.run import Run
from asyncsim.model.arrivals import Poisson, WeeklyPoisson
from asyncsim.model.calendar import Calendar, Days, Hours
from asyncsim.model.process import AsyncStep
from asyncsim.model.quantities import DAY, WEEK, day_numbers, text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.systems import ExternalSystem, NightlyBatch, OnlineService, People
from asyncsim.model.waiting import Strategy
from asyncsim.study.capacity.least_work import least_work
from asyncsim.study.statistics import Interval, mean_interval

WORKERS = "the workers"
NEAR = 0.5
"""With less to do than this share nobody takes long to settle."""
ENOUGH = 100
"""A run of so many relaxation times shows what a steady state is like."""


@frozen
class Asked:
    """What one run asked for: waits of each system, and seconds of the workers' time."""

    instances: int
    waits: Mapping[str, int]
    worker_seconds: float

    @classmethod
    def of(cls, run: Run) -> Asked:
        """Return what a run asked for."""
        waits = dict.fromkeys(run.scenario.systems, 0)
        nodes = Graph.of(run.scenario.process).nodes
        for index, number in enumerate(np.bincount(run.record.waits.node).tolist()):
            node = nodes[index]
            if isinstance(node, Call):
                waits[node.step.system] += number
        busy = sum(load.busy_seconds for load in run.record.loads.values())
        return cls(len(run.record.arrived), waits, busy)


def shares(scenario: Scenario, asked: Sequence[Asked]) -> dict[str, float]:
    """Return what a week asks of each system and of the workers, as a share of what they can do.

    The week is one without public holidays; of a batch that skips nights or breaks down it is the
    average one, with as much in its tray as it can do at most. Arrivals with a rate tell how many
    come in it; else every day is as those of the run.

    Parameters
    ----------
    scenario
        What was played.
    asked
        What each replication asked for; only what an instance asks for on average is taken from it.

    Examples
    --------
    A day has 86,400 seconds, and each of the 9,600 items takes fifteen.

    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a batch",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "15s")},
    ...     arrivals=sim.Poisson("9600/day"),
    ... )
    >>> round(shares(scenario, [Asked(90, {"ledger": 90}, 0.0)])["ledger"], 3)
    1.667
    """
    instances = sum(one.instances for one in asked)
    if not instances:
        return {}
    times = _instances_of_a_week(scenario, instances / len(asked)) / instances
    found = {}
    for name, system in scenario.systems.items():
        items = times * sum(one.waits[name] for one in asked)
        most = min(_items_of_a_week(link, scenario.calendar) for link in system.links)
        found[name] = items / most
    busy = times * sum(one.worker_seconds for one in asked)
    found[WORKERS] = busy / (scenario.server.workers * WEEK)
    return found


def goes_on(scenario: Scenario) -> bool:
    """Tell whether arrivals have a rate, and so go on after the scenario's length."""
    return isinstance(scenario.arrivals, (Poisson, WeeklyPoisson))


def least_busy(scenario: Scenario, strategy: Strategy, lost: float = 1.0) -> float:
    """Return the share of the workers' time that is surely asked for, by the least work.

    None of it is sure where arrivals have no rate. With `lost`, no larger share of the waits is
    taken never to resume.
    """
    if not goes_on(scenario):
        return 0.0
    work = least_work(scenario, strategy, lost) * _instances_of_a_week(scenario, 0.0)
    return work / (scenario.server.workers * WEEK)


def outside_shares(
    scenario: Scenario, asked: Sequence[Asked], confidence: float
) -> dict[str, Interval]:
    """Return what a week asks of each outside system, as `shares`, with an interval.

    How often an instance asks may be chance, which differs from run to run.
    """
    each = [shares(scenario, [one]) for one in asked if one.instances]
    return {
        name: mean_interval([one[name] for one in each], confidence)
        for name in scenario.systems
        if each
    }


def near_full_load(scenario: Scenario, strategy: Strategy, asked: Sequence[Asked]) -> list[str]:
    """Say who has too much to do, or so nearly that a run settles no sooner than it ends.

    A queue before c servers who take s forgets what it was within about s/(c (1 - √ρ)²): the
    slowest term of the transient M/M/1 queue decays at the rate (√μ - √λ)².

    Parameters
    ----------
    scenario, strategy
        What was played.
    asked
        What each replication asked for.
    """
    if not goes_on(scenario):
        return []
    found = shares(scenario, asked) | {WORKERS: least_busy(scenario, strategy)}
    instances = sum(one.instances for one in asked)
    busy = sum(one.worker_seconds for one in asked) / max(instances, 1)
    servers = {WORKERS: (busy, scenario.server.workers)} | {
        name: (system.item_time.mean, system.lanes)
        for name, system in scenario.systems.items()
        if isinstance(system, OnlineService) and system.lanes is not None
    }
    told = []
    for name, share in found.items():
        if share > 1 + 1e-9:
            told.append(
                f"{name} would need {share:.1%} of the time there is: there is no steady state"
            )
        elif name in servers and share > NEAR:
            seconds, number = servers[name]
            relaxation = seconds / (number * max(1 - math.sqrt(share), 1e-9) ** 2)
            if scenario.length < ENOUGH * relaxation:
                told.append(
                    f"{name}: busy for {share:.1%} of the time, a queue takes some "
                    f"{text_of(float(f'{relaxation:.2g}'))} to forget what it was: the length "
                    f"should be {ENOUGH} times that, or the interval is too narrow"
                )
    return told


def checks_never_end(scenario: Scenario, strategy: Strategy, systems: Collection[str]) -> bool:
    """Tell whether workers check ever more waits, if systems never work off what they are asked."""
    if type(strategy) not in (Polling, Backoff, LongPolling, CallbackWithSafetyPoll):
        return False
    seldom = isinstance(strategy, Backoff) and strategy.cap is None  # and ever less often
    if not scenario.server.poll_work or seldom or getattr(strategy, "limit", None) is not None:
        return False
    calls = scenario.process.of_type(AsyncStep)
    return any(step.timeout is None for step in calls if step.system in systems)


def _instances_of_a_week(scenario: Scenario, of_run: float) -> float:
    arrivals = scenario.arrivals
    if isinstance(arrivals, WeeklyPoisson):
        return arrivals.per_week
    if isinstance(arrivals, Poisson):
        seconds = len(day_numbers(arrivals.days)) * arrivals.window_seconds
        return arrivals.per_open_second * seconds * arrivals.size
    return of_run * 7 / math.ceil(scenario.length / DAY)


def _items_of_a_week(system: ExternalSystem, calendar: Calendar) -> float:
    """Return how many items a system can do in a week at most, however many it is asked for."""
    each = system.item_time.mean
    most = seconds = math.inf
    if isinstance(system, NightlyBatch):
        nights = attrs.evolve(system, holidays=None).nights(calendar)
        week = list(itertools.takewhile(lambda night: night.start < WEEK, nights))
        seconds = WEEK  # without an end, what a night leaves is begun late, but at once
        if system.end is not None:  # the last item of a lane may run over
            begun = 1 - system.skip
            if system.results == "at end":
                begun *= 1 - system.failure
            seconds = min(WEEK, begun * sum(night.end - night.start + each for night in week))
        if system.max_items is not None:
            most = len(week) * _items_of_a_night(system, system.max_items)
        seconds *= system.lanes
    elif isinstance(system, People):
        office = Hours(system.between, Days(system.days)).opened(calendar)
        seconds = system.team * office.open_seconds(WEEK)
    elif isinstance(system, OnlineService) and system.lanes is not None:
        seconds = system.lanes * WEEK
    return min(most, seconds / each) if each else most


def _items_of_a_night(system: NightlyBatch, taken: int) -> float:
    """Return how many of the items taken a night does on average.

    It may not run, or break down at any of them, each as likely: if each is the first left undone
    once, (n - 1)/2 of n are done. What is taken may be more than the night has time for: then a
    backlog makes it ever less likely that the breakdown comes before the end.
    """
    of_failed = 0.0 if system.results == "at end" else (taken - 1) / 2
    return (1 - system.skip) * (taken + system.failure * (of_failed - taken))
