"""The load of a run: what a week asks of external systems and workers, against what they can do.

A run continues until its last item is complete, so the items of one day may take two days. If each
day is like that, demand above capacity accumulates: there is no steady state (`shares`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.result import Record
from asyncsim.model.arrivals import Poisson, WeeklyPoisson
from asyncsim.model.calendar import starting_pattern
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Completions, Link, Service, Staff
from asyncsim.model.systems import links_of
from asyncsim.model.units import DAY, WEEK, day_numbers, seconds_of_day
from asyncsim.model.words import length_in_words

WORKERS, STORE = "the workers", "the store"
ROUNDING = 1e-9  # of a load
NEARLY_FULL = 0.95  # a load above it may be an overload, if chance allows it


@frozen
class Asked:
    """The demand of one run: waits of each system, seconds of the workers and of the store."""

    instances: int
    waits: Mapping[str, int]
    worker_seconds: float
    store_seconds: float = 0.0

    @classmethod
    def of(cls, record: Record, scenario: Scenario) -> Asked:
        """Return the demand of a run."""
        waits = dict.fromkeys(scenario.systems, 0)
        nodes = Graph.of(scenario.process).nodes
        for index, number in enumerate(np.bincount(record.waits.node).tolist()):
            node = nodes[index]
            if isinstance(node, Call):
                waits[node.step.system] += number
        busy, server = sum(load.busy_seconds for load in record.loads.values()), scenario.server
        if server.has_store:  # workers that wait for it are not what is short
            own = {Job.CHECK: server.check_seconds, Job.CALLBACK: server.callback_seconds}
            loads = {job: record.loads[job] for job in own}
            busy -= sum(
                max(one.busy_seconds - one.jobs * own[job], 0) for job, one in loads.items()
            )
        return cls(len(record.arrived), waits, busy, record.store_seconds)


def shares(scenario: Scenario, asked: Sequence[Asked]) -> dict[str, float]:
    """Return the weekly load of each system, the workers and a store, as shares of their capacity.

    The week is one without public holidays; for a batch that skips nights or breaks down it is the
    average one, with as much in its queue as it can do at most. Arrivals with a rate give its
    number of instances; otherwise every day is like those of the run. Of the demand of each
    replication only the mean of an instance counts. NaN: the bounds cannot tell of a system.
    """
    instances = sum(one.instances for one in asked)
    if not instances:
        return {}
    times = instances_of_a_week(scenario, instances / len(asked)) / instances
    found, calls = {}, scenario.process.of_type(AsyncStep)
    for name, system in scenario.systems.items():
        items = times * sum(one.waits[name] for one in asked)
        found[name] = load_of(items, *capacity_of(links_of(system)))
        if any(call.withdraw and call.system == name for call in calls):
            found[name] = math.nan  # how much is withdrawn before it takes time is not known
    busy = times * sum(one.worker_seconds for one in asked)
    found[WORKERS] = busy / (scenario.server.workers * WEEK)
    if scenario.server.has_store:
        busy = times * sum(one.store_seconds for one in asked)
        found[STORE] = busy / (scenario.server.store.writers * WEEK)
    return found


def loads(record: Record, scenario: Scenario) -> dict[str, float]:
    """Return the loads of a run, see `shares`; nothing where arrivals have no rate."""
    return shares(scenario, [Asked.of(record, scenario)]) if goes_on(scenario) else {}


def overload_in_words(part: str, share: str, certain: bool = True) -> str:
    """Return that a part is overloaded, or may be, with its load.

    >>> overload_in_words("clerk", "200 %")
    "'clerk' is overloaded: a week of arrivals asks for 200 % of its capacity, so a backlog grows"
    """
    workers, name = part == WORKERS, named(part)
    of = "their" if workers else "its"
    state = f"{'are' if workers else 'is'} overloaded" if certain else "may be overloaded"
    end = "" if not certain else ", so a backlog grows"
    if certain and workers:
        end = ", so jobs wait ever longer or checks become fewer"
    return f"{name} {state}: a week of arrivals asks for {share} of {of} capacity{end}"


def named(part: str) -> str:
    """Return a part in a sentence: the name of a system in quotes."""
    return part if part in (WORKERS, STORE) else repr(part)


def length_matters(part: str, length: float) -> str:
    """Return what an overload means for the results of runs of a length."""
    return (
        f"times that depend on {named(part)} hold for {length_in_words(length)} of arrivals only: "
        "because of the overload a longer run has longer ones"
    )


def goes_on(scenario: Scenario) -> bool:
    """Return whether arrivals have a rate, and so continue after the scenario's length."""
    return isinstance(scenario.arrivals, (Poisson, WeeklyPoisson))


def instances_of_a_week(scenario: Scenario, of_run: float) -> float:
    """Return the instances of a week; those of a run, by day, where arrivals have no rate."""
    arrivals = scenario.arrivals
    if isinstance(arrivals, WeeklyPoisson):
        return arrivals.per_week
    if isinstance(arrivals, Poisson):
        seconds = len(day_numbers(arrivals.days)) * arrivals.window_seconds
        return arrivals.per_open_second * seconds * arrivals.size
    return of_run * 7 / math.ceil(scenario.length / DAY)


def items_of_a_week(system: Link | None) -> float:
    """Return the capacity of a link of a system, in items of an average week; NaN if unknown."""
    most = seconds = math.inf
    if isinstance(system, Completions):
        return math.inf
    if not isinstance(system, Batch | Staff | Service):
        return math.nan
    each = system.item_time.mean
    if isinstance(system, Batch):
        pattern = starting_pattern(system.starts, system.days)
        runs = pattern.per_week * (1 - system.skip)
        seconds = WEEK if runs else 0.0  # without an end, a late night starts at once
        if system.end is not None and runs:  # the last item of a lane may run over
            end = seconds_of_day(system.end)
            nights = [end - clock + DAY * (end <= clock) for clock in pattern.clocks]
            whole = 1 - system.failure if system.results == "at end" else 1.0
            seconds = min(WEEK, whole * runs * (sum(nights) / len(nights) + each))
        if system.max_items is not None:
            # A breakdown comes at any item, each as likely: if each is the first left undone once,
            # (n - 1)/2 of n are done. What is taken may be more than the night has time for: then
            # a backlog makes it ever less likely that the breakdown comes before the end.
            taken = system.max_items
            of_failed = 0.0 if system.results == "at end" else (taken - 1) / 2
            most = runs * (taken + system.failure * (of_failed - taken))
        seconds *= system.lanes
    elif isinstance(system, Staff):
        opens, closes = map(seconds_of_day, system.between)
        seconds = system.team * (closes - opens) * float(len(day_numbers(system.days)))
    elif system.lanes is not None:
        seconds = system.lanes * WEEK
    return min(most, seconds / each) if each else most if seconds else 0.0


def capacity_of(links: Sequence[Link | None]) -> tuple[float, bool]:
    """Return the weekly capacity of a system in items, and whether that of each link is known."""
    capacities = [items_of_a_week(link) for link in links]
    known = [one for one in capacities if not math.isnan(one)]
    return min(known, default=math.inf), len(known) == len(links)


def load_of(items: float, most: float, known: bool = True) -> float:
    """Return items to the most there can be; NaN if that is not known and the load not above 1."""
    load = items / most if most else math.inf if items else 0.0
    return load if known or load > 1 else math.nan
