"""Stability: whether the weekly load of systems and workers stays below their weekly capacity.

Runs measure random work. A lower bound needs no run (`least_work`): steps and calls that are
certain to be reached, by the mean of their distribution, and one callback or check for each wait.
After a time-out the workers may be spared what comes next, so what follows a wait counts only as
far as the wait is certain to resume: because the time-out takes the same path, because noticing in
time needs no worker, or because a target is missed otherwise.

All of this is read from specifications. Where there is none, or a kind that is not known here, the
bounds cannot tell, and `unbounded` names the part.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from attrs import evolve, frozen

from asyncsim.engine import loads
from asyncsim.experiment.statistics import Interval, mean_interval
from asyncsim.model.distributions import Fixed
from asyncsim.model.loops import Delay, ForEach, Race, Repeat, Retry
from asyncsim.model.mixed_strategies import parts_of
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    SCHEDULES,
    Batch,
    ClockTimes,
    Completions,
    Deliveries,
    Directed,
    Grid,
    Hold,
    Intervals,
    Pauses,
    Service,
    Shared,
    Staff,
    StrategySpecification,
)
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.systems import ExternalSystem, links_of, single_link
from asyncsim.model.units import WEEK, text_of

CHECKS = (type(None), *SCHEDULES, Hold, Directed, Shared)
LINKS = (Batch, Service, Staff, Completions)
NEAR = 0.5  # below this load a queue settles soon
ENOUGH = 100  # a run of this many relaxation times shows what a steady state is like


def unbounded(scenario: Scenario, strategy: Strategy) -> list[str]:
    """Return why bounds cannot tell of a strategy or systems, one sentence each."""
    unknown = [one for one in parts_of(strategy, scenario) if known_specification(one) is None]
    return [
        f"{loads.WORKERS}: the checks of {name} have no specification, so bounds leave them out"
        for name in dict.fromkeys(type(one).__name__ for one in unknown)
    ] + [
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
    steps = scenario.process.steps
    work = _Walk(scenario, strategy).through(steps)[0]
    if lost >= 1:
        return work
    walk = _Walk(scenario, strategy, all_resume=True)
    waits = sum(isinstance(element, AsyncStep) for element, _ in scenario.process.played())
    return max(work, walk.through(steps)[0] - lost * waits * walk.everything)


@frozen
class _Walk:
    """Gives, for parts of a process, the least work in them and the least chance to continue."""

    scenario: Scenario
    strategy: Strategy
    all_resume: bool = False
    system: str | None = None  # counts its items, or the store's seconds, not those of workers

    def through(self, path: Path) -> tuple[float, float]:
        if self.scenario.process.timeout is not None:  # an instance may end anywhere
            return 0.0, 0.0
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
        parts = [element for element, _ in self.scenario.process.played()]
        steps = sum(part.work.mean for part in parts if isinstance(part, Step))
        calls = [part for part in parts if isinstance(part, AsyncStep)]
        return steps + sum(call.call_work.mean + self._notice(call) for call in calls)

    def _element(self, element: Element) -> tuple[float, float]:
        if isinstance(element, Step):
            return element.work.mean if self.system is None else 0.0, 1.0
        if isinstance(element, AsyncStep):
            return self._call(element)
        if isinstance(element, Choice):
            ways = [(one.probability, *self.through(one.steps)) for one in element.branches]
            return sum(p * work for p, work, _ in ways), sum(p * on for p, _, on in ways)
        if isinstance(element, Delay | Retry | Repeat | ForEach | Race):
            return self._loop(element)
        assert isinstance(element, Parallel), element
        branches = [self.through(branch) for branch in element.branches]
        if any(on < 1 for _, on in branches):  # what fails in one may break off the others
            return 0.0, 0.0
        return sum(work for work, _ in branches), 1.0

    def _loop(self, element: Element) -> tuple[float, float]:
        match element:
            case Retry():  # at least the first attempt
                way = "fail" if element.attempts > 1 else None
                once = element.step
                return self._call(evolve(once, on_rejected=way, on_timeout=way) if way else once)
            case Repeat():
                work, on = self.through(element.steps)
                again = on * (1 - element.until_probability)
                rounds = sum(again**k for k in range(element.most))
                last = on * again ** (element.most - 1) * (1 - element.until_probability)
                return work * rounds, rounds * on * element.until_probability + last
            case ForEach():
                work, on = self.through(element.steps)
                return (work * element.mean_count, 1.0) if on >= 1 else (0.0, 0.0)
            case Race():  # what the losers still do is not known
                sure = all(self.through(branch)[1] >= 1 for branch in element.branches)
                return 0.0, float(sure)
        return 0.0, 1.0

    def _call(self, step: AsyncStep) -> tuple[float, float]:
        response = step.response
        ways = [
            (response.accepted, *self._wait(step)),
            (response.done, *self.through(step.on_done)),
            (response.rejected, *self.through(step.on_rejected)),
        ]
        in_call = bool(step.limits) and (step.arm == "before call" or step.limits != ["timeout"])
        if in_call and not self.all_resume:
            work, on = self.through(step.on_timeout)  # it may be over before there is a response
            ways = [(p, min(w, work), min(c, on)) for p, w, c in ways]
        own = step.call_work.mean
        if self.system is not None:
            sure = not in_call and not step.withdraw
            own = response.accepted if sure and self.system == step.system else 0.0
        work = own + sum(p * w for p, w, _ in ways)
        return work, sum(p * c for p, _, c in ways)

    def _wait(self, step: AsyncStep) -> tuple[float, float]:
        work, on = self.through(step.on_accepted)
        chance = 1.0 if self.all_resume else self._chance(step)
        late, after = self.through(step.on_timeout) if step.limits else (0.0, 0.0)
        notice = self._notice(step)
        least = min(notice, chance * notice + (1 - chance) * late)
        return work + on * least, on * (chance + (1 - chance) * after)

    def _chance(self, step: AsyncStep) -> float:
        """Return a lower bound of the chance that the wait ends with its completion."""
        known = known_specification(self.strategy.for_step(step))
        if known is None or not _all_known(self.scenario.systems[step.system]):
            return 0.0
        match known:
            case StrategySpecification(
                (Hold() | Directed() | Shared())
                | Grid(limit=None)
                | Intervals(limit=None)
                | Pauses(limit=None)
                | ClockTimes(limit=None)
            ):
                pass
            case StrategySpecification(_, Deliveries(loss=0.0)):
                # A callback that comes before the wait is armed may be lost
                limited = self.scenario.server.finish_limit is not None
                if limited or step.on_accepted or step.arm_delay:
                    return 0.0
            case _:
                return 0.0
        if not step.limits:
            return 1.0
        if step.timeout is None or step.limits != ["timeout"]:
            return 0.0
        # In time for sure only without what may be busy: a worker to notice, a lane outside
        service = single_link(self.scenario.systems[step.system])
        if not isinstance(service, Service) or service.lanes is not None:
            return 0.0
        if self._notice(step) or step.arm == "before call" or self.system is not None:
            return 0.0
        match known:
            case StrategySpecification(None, Deliveries(Fixed(later))):
                pass
            case StrategySpecification(Grid(first=None, window=None) as grid, None):
                later = grid.interval + grid.jitter
            case _:
                return 0.0
        left = (step.timeout - later) * (1 - 1e-9)  # at the same instant it may be too late
        return 1.0 - float(service.item_time.survival(left)) if left > 0 else 0.0

    def _notice(self, step: AsyncStep) -> float:
        """Return the least work of a callback or check that ends a wait; 0 if not known."""
        known = known_specification(self.strategy.for_step(step))
        counted = self.system in (None, loads.STORE)
        # A shared check may be that of any number of waits
        if known is None or isinstance(known.checks, Shared) or not counted:
            return 0.0
        server, store = self.scenario.server, self.scenario.server.store
        callback, check = server.callback_seconds, server.check_seconds
        if self.system is not None:
            callback, check = store.callback_work, store.check_work
        parts = (known.deliveries, callback), (known.checks, check)
        return min((work for part, work in parts if part is not None), default=0.0)


def least_loads(scenario: Scenario, strategy: Strategy) -> dict[str, float]:
    """Return lower bounds of the loads that need no run; nothing where arrivals have no rate."""
    if not loads.goes_on(scenario):
        return {}
    week = loads.instances_of_a_week(scenario, 0.0)
    found = {loads.WORKERS: least_busy(scenario, strategy)}
    for name, system in scenario.systems.items():
        items = _Walk(scenario, strategy, system=name).through(scenario.process.steps)[0] * week
        found[name] = loads.load_of(items, loads.capacity_of(links_of(system))[0])
    if (server := scenario.server).has_store:
        least = _Walk(scenario, strategy, system=loads.STORE).through(scenario.process.steps)[0]
        found[loads.STORE] = least * week / (server.store.writers * WEEK)
    return found


def outside_overloads(scenario: Scenario, strategy: Strategy) -> dict[str, float]:
    """Return the systems, and the store, that are certainly overloaded, with least loads."""
    found = least_loads(scenario, strategy)
    return {name: load for name, load in found.items() if name != loads.WORKERS and load > 1 + 1e-9}


def least_busy(scenario: Scenario, strategy: Strategy, lost: float = 1.0) -> float:
    """Return a lower bound of the workers' load, see `least_work`; 0 if arrivals have no rate."""
    if not loads.goes_on(scenario):
        return 0.0
    work = least_work(scenario, strategy, lost) * loads.instances_of_a_week(scenario, 0.0)
    return work / (scenario.server.workers * WEEK)


def outside_shares(
    scenario: Scenario, asked: Sequence[loads.Asked], confidence: float
) -> dict[str, Interval]:
    """Return the weekly load of each external system, as `shares`, with an interval over runs."""
    each = [loads.shares(scenario, [one]) for one in asked if one.instances]
    return {
        name: mean_interval([one[name] for one in each], confidence)
        for name in scenario.systems
        if each
    }


def near_full_load(
    scenario: Scenario, strategy: Strategy, asked: Sequence[loads.Asked]
) -> list[str]:
    """Return what has no steady state, or so nearly none that a run ends before it settles.

    A queue before c servers with service time s relaxes within about s/(c (1 - √ρ)²): the
    slowest term of the transient M/M/1 queue decays at the rate (√μ - √λ)². What bounds cannot tell
    is named as well.
    """
    if not loads.goes_on(scenario):
        return []
    found = loads.shares(scenario, asked) | {loads.WORKERS: least_busy(scenario, strategy)}
    instances = sum(one.instances for one in asked)
    busy = sum(one.worker_seconds for one in asked) / max(instances, 1)
    servers = {loads.WORKERS: (busy, scenario.server.workers)} | {
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
    if not scenario.server.check_seconds or scenario.process.timeout is not None:
        return False
    calls = [one for one in scenario.process.of_type(AsyncStep) if one.system in systems]
    return any(not one.limits and _goes_on(strategy.for_step(one)) for one in calls)


def _goes_on(strategy: Strategy) -> bool:
    """Return whether a wait that does not end is checked again and again."""
    found = known_specification(strategy)
    match found.checks if found else None:
        case None | Shared() | Intervals(cap=None):  # without a cap checks are ever less frequent
            return False
        case Grid() | Intervals() | Pauses() | ClockTimes() as schedule if schedule.limit:
            return False
    return True
