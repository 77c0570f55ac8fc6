"""The load of a run: what a week asks of external systems and workers, against what they can do.

A run continues until its last item is complete, so the items of one day may take two days. If each
day is like that, demand above capacity accumulates: there is no steady state (`shares`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from attrs import frozen

from asyncsim.engine.graph import Call, Graph
from asyncsim.engine.result import Record
from asyncsim.model.arrivals import Poisson, WeeklyPoisson
from asyncsim.model.calendar import Calendar
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Completions, Link, Service, Staff
from asyncsim.model.systems import links_of
from asyncsim.model.units import DAY, WEEK, day_numbers, text_of

WORKERS = "the workers"
ROUNDING = 1e-9  # of a load
NEARLY_FULL = 0.95  # a load above it may be an overload, if chance allows it


@frozen
class Asked:
    """The demand of one run: waits of each system, and seconds of the workers' time."""

    instances: int
    waits: Mapping[str, int]
    worker_seconds: float

    @classmethod
    def of(cls, record: Record, scenario: Scenario) -> Asked:
        """Return the demand of a run."""
        waits = dict.fromkeys(scenario.systems, 0)
        nodes = Graph.of(scenario.process).nodes
        for index, number in enumerate(np.bincount(record.waits.node).tolist()):
            node = nodes[index]
            if isinstance(node, Call):
                waits[node.step.system] += number
        busy = sum(load.busy_seconds for load in record.loads.values())
        return cls(len(record.arrived), waits, busy)


def shares(scenario: Scenario, asked: Sequence[Asked]) -> dict[str, float]:
    """Return the weekly load of each system and of the workers, as a share of their capacity.

    The week is one without public holidays; for a batch that skips nights or breaks down it is the
    average one, with as much in its queue as it can do at most. Arrivals with a rate give its
    number of instances; otherwise every day is like those of the run. Of the demand of each
    replication only the mean of an instance counts. NaN: the bounds cannot tell of a system.
    """
    instances = sum(one.instances for one in asked)
    if not instances:
        return {}
    times = instances_of_a_week(scenario, instances / len(asked)) / instances
    found = {}
    for name, system in scenario.systems.items():
        items = times * sum(one.waits[name] for one in asked)
        capacities = [items_of_a_week(link, scenario.calendar) for link in links_of(system)]
        known = [capacity for capacity in capacities if not math.isnan(capacity)]
        share = items / min(known, default=math.inf)
        found[name] = share if len(known) == len(capacities) or share > 1 else math.nan
    busy = times * sum(one.worker_seconds for one in asked)
    found[WORKERS] = busy / (scenario.server.workers * WEEK)
    return found


def loads(record: Record, scenario: Scenario) -> dict[str, float]:
    """Return the loads of a run, see `shares`; nothing where arrivals have no rate."""
    return shares(scenario, [Asked.of(record, scenario)]) if goes_on(scenario) else {}


def overload_in_words(part: str, share: str, certain: bool = True) -> str:
    """Return that a part is overloaded, or may be, with its load.

    >>> overload_in_words("clerk", "200 %")
    "'clerk' is overloaded: a week of arrivals asks for 200 % of its capacity, so a backlog grows"
    """
    workers = part == WORKERS
    name, of = (part, "their") if workers else (f"{part!r}", "its")
    state = f"{'are' if workers else 'is'} overloaded" if certain else "may be overloaded"
    end = "" if not certain else ", so a backlog grows"
    if certain and workers:
        end = ", so jobs wait ever longer or checks become fewer"
    return f"{name} {state}: a week of arrivals asks for {share} of {of} capacity{end}"


def length_matters(part: str, length: float) -> str:
    """Return what an overload means for the results of runs of a length."""
    name = part if part == WORKERS else f"{part!r}"
    return (
        f"times that depend on {name} hold for {text_of(length)} of arrivals only: because of the "
        "overload a longer run has longer ones"
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


def items_of_a_week(system: Link | None, calendar: Calendar) -> float:
    """Return the weekly capacity of a link of a system in items; NaN if it is unknown."""
    most = seconds = math.inf
    if isinstance(system, Completions):
        return math.inf
    if not isinstance(system, Batch | Staff | Service):
        return math.nan
    each = system.item_time.mean
    if isinstance(system, Batch):
        week = []
        if system.end is not None or system.max_items is not None:
            nights = attrs.evolve(system, holidays=None).nights(calendar)
            week = list(itertools.takewhile(lambda night: night.start < WEEK, nights))
        seconds = WEEK  # without an end, the rest of a night starts late, but at once
        if system.end is not None:  # the last item of a lane may run over
            begun = 1 - system.skip
            if system.results == "at end":
                begun *= 1 - system.failure
            seconds = min(WEEK, begun * sum(night.end - night.start + each for night in week))
        if system.max_items is not None:
            # A breakdown comes at any item, each as likely: if each is the first left undone once,
            # (n - 1)/2 of n are done. What is taken may be more than the night has time for: then
            # a backlog makes it ever less likely that the breakdown comes before the end.
            taken = system.max_items
            of_failed = 0.0 if system.results == "at end" else (taken - 1) / 2
            each_night = (1 - system.skip) * (taken + system.failure * (of_failed - taken))
            most = len(week) * each_night
        seconds *= system.lanes
    elif isinstance(system, Staff):
        hours = attrs.evolve(system, holidays=None).hours(calendar)
        seconds = system.team * hours.open_seconds(WEEK)
    elif system.lanes is not None:
        seconds = system.lanes * WEEK
    return min(most, seconds / each) if each else most
