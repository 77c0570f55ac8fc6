"""Stability: the weekly load of external systems and workers against their weekly capacity.

A run continues until its last item is complete, so the items of one day may take two days. If each
day is like that, demand above capacity accumulates: there is no steady state (`shares`).

Runs measure random work. A lower bound needs no run (`least_work`): steps and calls that are
certain to be reached, by the mean of their distribution, and one callback or check for each wait.
After a time-out the workers may be spared what comes next, so what follows a wait counts only as
far as the wait is certain to resume: because the time-out takes the same path, because noticing in
time needs no worker, or because a target is missed otherwise.

All of this is read from specifications. Where there is none, or a kind that is not known here, the
bounds cannot tell, and `unbounded` names the part.
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
from asyncsim.experiment.statistics import Interval, mean_interval
from asyncsim.model.arrivals import Poisson, WeeklyPoisson
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Fixed
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Link,
    Service,
    Staff,
    StrategySpecification,
)
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.systems import ExternalSystem, links_of, single_link
from asyncsim.model.units import DAY, WEEK, day_numbers, text_of

CHECKS = (type(None), Grid, Intervals, Hold)
LINKS = (Batch, Service, Staff, Completions)
WORKERS = "the workers"
NEAR = 0.5  # below this load a queue settles soon
ENOUGH = 100  # a run of this many relaxation times shows what a steady state is like


def unbounded(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return why bounds cannot tell of a strategy or systems, one sentence each."""
    name = type(strategy).__name__
    checks = f"{WORKERS}: the checks of {name} have no specification, so bounds leave them out"
    return [checks] * (known_specification(strategy) is None) + [
        f"{name}: {type(system).__name__} has no specification, so its capacity is unknown"
        for name, system in scenario.systems.items()
        if not _all_known(system)
    ]


def _all_known(system: ExternalSystem) -> bool:
    return all(type(link) in LINKS for link in links_of(system))


def known_specification(strategy: Strategy) -> StrategySpecification | None:
    """Return the specification of a strategy if all of it is known here."""
    found = specification_of(strategy)
    if found is None or type(found.checks) not in CHECKS:
        return None
    return found if isinstance(found.deliveries, Deliveries | None) else None


def least_work(scenario: Scenario, strategy: Strategy, lost: float = 1.0) -> float:
    """Return a lower bound of the mean worker time of an instance, in seconds."""
    steps, known = scenario.process.steps, known_specification(strategy)
    work = _Walk(scenario, known).through(steps)[0]
    if lost >= 1:
        return work
    walk = _Walk(scenario, known, all_resume=True)
    waits = len(scenario.process.of_type(AsyncStep))
    return max(work, walk.through(steps)[0] - lost * waits * walk.everything)


@frozen
class _Walk:
    """Gives, for parts of a process, the least work in them and the least chance to continue."""

    scenario: Scenario
    known: StrategySpecification | None
    all_resume: bool = False

    def through(self, path: Path) -> tuple[float, float]:
        if isinstance(path, str):
            return 0.0, 0.0 if path == "fail" else 1.0
        work, chance = 0.0, 1.0
        for element in path:
            more, on = self._element(element)
            work, chance = work + chance * more, chance * on
        return work, chance

    @property
    def everything(self) -> float:
        """The work of all that is described: no path through the process has more."""
        parts = list(self.scenario.process.parts())
        steps = sum(part.work.mean for part in parts if isinstance(part, Step))
        calls = [part.call_work.mean for part in parts if isinstance(part, AsyncStep)]
        return steps + sum(calls) + len(calls) * self._notice

    def _element(self, element: Element) -> tuple[float, float]:
        if isinstance(element, Step):
            return element.work.mean, 1.0
        if isinstance(element, AsyncStep):
            return self._call(element)
        if isinstance(element, Choice):
            ways = [(one.probability, *self.through(one.steps)) for one in element.branches]
            return sum(p * work for p, work, _ in ways), sum(p * on for p, _, on in ways)
        assert isinstance(element, Parallel), element
        branches = [self.through(branch) for branch in element.branches]
        if any(on < 1 for _, on in branches):  # what fails in one may break off the others
            return 0.0, 0.0
        return sum(work for work, _ in branches), 1.0

    def _call(self, step: AsyncStep) -> tuple[float, float]:
        response = step.response
        ways = [
            (response.accepted, *self._wait(step)),
            (response.done, *self.through(step.on_done)),
            (response.rejected, *self.through(step.on_rejected)),
        ]
        if step.timeout is not None and step.arm == "before call" and not self.all_resume:
            work, on = self.through(step.on_timeout)  # it may be over before there is a response
            ways = [(p, min(w, work), min(c, on)) for p, w, c in ways]
        work = step.call_work.mean + sum(p * w for p, w, _ in ways)
        return work, sum(p * c for p, _, c in ways)

    def _wait(self, step: AsyncStep) -> tuple[float, float]:
        work, on = self.through(step.on_accepted)
        chance = 1.0 if self.all_resume else self._chance(step)
        late, goes_on = (0.0, 0.0) if step.timeout is None else self.through(step.on_timeout)
        least = min(self._notice, chance * self._notice + (1 - chance) * late)
        return work + on * least, on * (chance + (1 - chance) * goes_on)

    def _chance(self, step: AsyncStep) -> float:
        """Return a lower bound of the chance that the wait ends with its completion."""
        known = self.known
        if known is None or not _all_known(self.scenario.systems[step.system]):
            return 0.0
        match known:
            case StrategySpecification(Grid(limit=None) | Intervals(limit=None) | Hold()):
                pass
            case StrategySpecification(_, Deliveries(loss=0.0)):
                # A callback that comes before the wait is armed may be lost
                limited = self.scenario.server.finish_limit is not None
                if limited or step.on_accepted or step.arm_delay:
                    return 0.0
            case _:
                return 0.0
        if step.timeout is None:
            return 1.0
        # In time for sure only without what may be busy: a worker to notice, a lane outside
        service = single_link(self.scenario.systems[step.system])
        if not isinstance(service, Service) or service.lanes is not None:
            return 0.0
        if self._notice or step.arm == "before call":
            return 0.0
        match known:
            case StrategySpecification(None, Deliveries(Fixed(later))):
                pass
            case StrategySpecification(Grid() as grid, None):
                later = grid.interval + grid.jitter
            case _:
                return 0.0
        left = (step.timeout - later) * (1 - 1e-9)  # at the same instant it may be too late
        return 1.0 - float(service.item_time.survival(left)) if left > 0 else 0.0

    @property
    def _notice(self) -> float:
        """The least work of a callback or check that ends a wait; 0 if that is not known."""
        if (known := self.known) is None:
            return 0.0
        server = self.scenario.server
        parts = (known.deliveries, server.callback_work), (known.checks, server.poll_work)
        return min((work for part, work in parts if part is not None), default=0.0)


@frozen
class Asked:
    """The demand of one run: waits of each system, and seconds of the workers' time."""

    instances: int
    waits: Mapping[str, int]
    worker_seconds: float

    @classmethod
    def of(cls, run: Run) -> Asked:
        """Return the demand of a run."""
        waits = dict.fromkeys(run.scenario.systems, 0)
        nodes = Graph.of(run.scenario.process).nodes
        for index, number in enumerate(np.bincount(run.record.waits.node).tolist()):
            node = nodes[index]
            if isinstance(node, Call):
                waits[node.step.system] += number
        busy = sum(load.busy_seconds for load in run.record.loads.values())
        return cls(len(run.record.arrived), waits, busy)


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


def goes_on(scenario: Scenario) -> bool:
    """Return whether arrivals have a rate, and so continue after the scenario's length."""
    return isinstance(scenario.arrivals, (Poisson, WeeklyPoisson))


def least_busy(scenario: Scenario, strategy: Strategy, lost: float = 1.0) -> float:
    """Return a lower bound of the workers' load, see `least_work`; 0 if arrivals have no rate."""
    if not goes_on(scenario):
        return 0.0
    work = least_work(scenario, strategy, lost) * instances_of_a_week(scenario, 0.0)
    return work / (scenario.server.workers * WEEK)


def outside_shares(
    scenario: Scenario, asked: Sequence[Asked], confidence: float
) -> dict[str, Interval]:
    """Return the weekly load of each external system, as `shares`, with an interval over runs."""
    each = [shares(scenario, [one]) for one in asked if one.instances]
    return {
        name: mean_interval([one[name] for one in each], confidence)
        for name in scenario.systems
        if each
    }


def near_full_load(scenario: Scenario, strategy: Strategy, asked: Sequence[Asked]) -> list[str]:
    """Return what has no steady state, or so nearly none that a run ends before it settles.

    A queue before c servers with service time s relaxes within about s/(c (1 - √ρ)²): the
    slowest term of the transient M/M/1 queue decays at the rate (√μ - √λ)². What bounds cannot tell
    is named as well.
    """
    if not goes_on(scenario):
        return []
    found = shares(scenario, asked) | {WORKERS: least_busy(scenario, strategy)}
    instances = sum(one.instances for one in asked)
    busy = sum(one.worker_seconds for one in asked) / max(instances, 1)
    servers = {WORKERS: (busy, scenario.server.workers)} | {
        name: (service.item_time.mean, service.lanes)
        for name, system in scenario.systems.items()
        if isinstance(service := single_link(system), Service) and service.lanes is not None
    }
    notes = unbounded(scenario, strategy)
    for name, share in found.items():
        if share > 1 + 1e-9:
            notes.append(
                f"{name} would need {share:.1%} of the time there is: there is no steady state"
            )
        elif name in servers and share > NEAR:
            seconds, number = servers[name]
            relaxation = seconds / (number * max(1 - math.sqrt(share), 1e-9) ** 2)
            if scenario.length < ENOUGH * relaxation:
                notes.append(
                    f"{name}: busy for {share:.1%} of the time, a queue takes some "
                    f"{text_of(float(f'{relaxation:.2g}'))} to forget what it was: the length "
                    f"should be {ENOUGH} times that, or the interval is too narrow"
                )
    return notes


def checks_never_end(scenario: Scenario, strategy: Strategy, systems: Collection[str]) -> bool:
    """Return whether workers check ever more waits, if the demand on systems accumulates."""
    found = known_specification(strategy)
    match found.checks if found else None:
        case None | Intervals(cap=None):  # without a cap checks are ever less frequent
            return False
        case (Grid() | Intervals()) as schedule if schedule.limit is not None:
            return False
    if not scenario.server.poll_work:
        return False
    calls = scenario.process.of_type(AsyncStep)
    return any(step.timeout is None for step in calls if step.system in systems)


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
