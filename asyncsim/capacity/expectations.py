"""What theory expects of a scenario, without a run: loads, waiting, herds, and each waiting step.

Each estimate is exact under a condition, which stands beside it, or gives the reason for none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from attrs import evolve, frozen
from scipy import special

from asyncsim.capacity.flow import Flow, flow_of
from asyncsim.capacity.noticing import (
    NEGLIGIBLE,
    Noticing,
    open_seconds,
    queueing,
    rate_day_and_night,
    takes_all,
    work_of,
)
from asyncsim.engine.loads import (
    STORE,
    WORKERS,
    capacity_of,
    goes_on,
    instances_of_a_week,
    load_of,
)
from asyncsim.experiment import theory
from asyncsim.experiment.stability import least_loads, least_work
from asyncsim.model.arrivals import ARRIVALS, ArrivalTimes, Poisson, Regular, UniformArrivals
from asyncsim.model.calendar import starting_pattern
from asyncsim.model.distributions import Duration, Fixed
from asyncsim.model.loops import ForEach, Race
from asyncsim.model.process import AsyncStep, Element, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Service
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import links_of
from asyncsim.model.units import WEEK

LOAD = "load"
MOST_NUMBERS = 10_000  # of items of a run, in a sum over them

Found = tuple[float, str, str] | str  # a value, its formula and condition; or why there is none


@frozen
class Estimate:
    """A number that theory expects of the workers, a system or a step; or why there is none."""

    part: str
    what: str
    value: float  # NaN where there is none
    unit: str
    at_least: bool
    formula: str
    why: str

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)


def estimate(part: str, what: str, unit: str, found: Found, at_least: bool = False) -> Estimate:
    """Return an estimate of what was found, or why nothing was."""
    value, formula, why = (math.nan, "", found) if isinstance(found, str) else found
    return Estimate(part, what, value, unit, at_least, formula, why)


class Expectations:
    """The estimates of a scenario under a strategy."""

    def __init__(self, scenario: Scenario, strategy: Strategy) -> None:
        if type(scenario.arrivals) in ARRIVALS.values():
            of_run = _of_run(scenario)
        else:  # of a custom class: as drawn once
            rng = np.random.default_rng(0)
            of_run = len(scenario.arrivals.draw(rng, scenario.calendar, scenario.length))
            scenario = evolve(scenario, arrivals=ArrivalTimes([0.0]))
        self.scenario, self.strategy, self.server = scenario, strategy, scenario.server
        self.calls = scenario.process.of_type(AsyncStep)
        self.per_week = instances_of_a_week(scenario, of_run)
        self.noticing = Noticing(scenario, strategy, of_run)
        self.capacity = {n: capacity_of(links_of(one)) for n, one in scenario.systems.items()}
        self.flow = self._flow()
        self.loads = {name: self._system_load(name) for name in scenario.systems}
        self.loads = {WORKERS: self._worker_load(), **self.loads}
        if (least := least_loads(scenario, strategy).get(STORE)) is not None:
            found = least, "offered load", "at least one check or callback of each wait"
            self.loads[STORE] = estimate(STORE, LOAD, "1", found, at_least=True)

    # --- loads ------------------------------------------------------------------------------------

    def _flow(self) -> Flow:
        """Return the flow, in which overloaded systems pass on what they can."""
        asking = self.noticing.asked_by
        several = [name for name in asking if len(asking[name]) > 1]
        most = {
            name: one / self.per_week
            for name, (one, _) in self.capacity.items()
            if len(asking[name]) == 1 and self.per_week
        }
        stuck: list[str] = []
        while True:
            self.flow = flow_of(self.noticing, most, stuck)
            full = (n for n in several if n not in stuck and self._system_load(n).value > 1)
            if (name := next(full, None)) is None:
                return self.flow
            stuck.append(name)

    def _items(self, name: str) -> float:
        """Return the items of a week that a system is certainly asked for."""
        calls = self.noticing.asked_by[name]
        certain = [call for call in calls if call.name in self.flow.sure and not call.withdraw]
        visits = [self.flow.visits[call.name] * call.response.accepted for call in certain]
        return self.per_week * sum(visits)

    def _system_load(self, name: str) -> Estimate:
        calls, doubt = self.noticing.asked_by[name], self.flow.doubt
        at_least = any(call.name not in self.flow.sure or call.withdraw for call in calls)
        load = load_of(self._items(name), *self.capacity[name])
        if math.isnan(load):
            kind = type(self.scenario.systems[name]).__name__
            return estimate(name, LOAD, "1", f"{kind} has no specification")
        unlimited = "any number at once" if math.isinf(self.capacity[name][0]) else ""
        share = f"items per week, as a share of its capacity{self._condition}"
        why = doubt or "work may be withdrawn" if at_least else unlimited or share
        return estimate(name, LOAD, "1", (load, "offered load", why), at_least)

    @property
    def _condition(self) -> str:
        timed = {call.name for call in self.calls if call.timeout is not None}
        return "; no wait reaches its time-out" if timed - self.noticing.late else ""

    def _worker_load(self) -> Estimate:
        flow, doubt = self.flow, self.flow.doubt or self.noticing.slower
        full = any(one.value > 1 for one in self.loads.values())
        steps = [part for part in self.noticing.parts if part.name in flow.sure]
        work = sum(flow.visits[part.name] * work_of(part).mean for part in steps)
        for call in self.calls:
            armed = flow.armed[call.name]
            if call.name not in flow.sure or not armed:
                continue
            if full:
                doubt = doubt or "an overloaded system leaves waits open"
            elif reason := self._disturbed(call):
                doubt = doubt or f"checks of {call.name!r} are left out: {reason}"
            else:
                work += armed * self.noticing.work(call)
        if doubt and not full:
            work = max(work, least_work(self.scenario, self.strategy))
        value = work * self.per_week / (self.server.workers * WEEK)
        why = doubt or f"work per week, as a share of the workers' time{self._condition}"
        return estimate(WORKERS, LOAD, "1", (value, "offered load", why), bool(doubt))

    @property
    def overloaded(self) -> list[str]:
        """Parts that are asked for more than they can do.

        Where the workers are, systems receive less than is asked for, and count by that.
        """
        busy = max(self.loads[WORKERS].value, 1.0)
        least = {name: one.value / busy for name, one in self.loads.items()}
        least[WORKERS] = self.loads[WORKERS].value
        return [name for name, value in least.items() if value > 1 + 1e-9]

    # --- waiting for workers ----------------------------------------------------------------------

    @cached_property
    def _jobs(self) -> list[tuple[float, Duration]]:
        """The jobs of an instance that take worker time: how many of each, and their time."""
        return self._jobs_in(self.noticing.parts)

    def _jobs_in(self, elements: Iterable[Element]) -> list[tuple[float, Duration]]:
        flow, found = self.flow, []
        for part in elements:
            if isinstance(part, Step | AsyncStep):
                found.append((flow.visits[part.name], work_of(part)))
            if isinstance(part, AsyncStep):
                number = flow.armed[part.name] * self.noticing.jobs(part)
                found.append((number, Fixed(self.noticing.each(part))))
        return [(number, time) for number, time in found if number and time.mean]

    def _waiting(self) -> Found:
        """Return the mean time that a job waits for a worker, where one formula has it."""
        own, rate = self._first_job(), rate_day_and_night(self.scenario)
        if doubt := self.flow.doubt or self.noticing.slower:
            return doubt
        if not self._jobs:
            return 0.0, "no work", "no job takes worker time"
        notices = any(map(self._takes_work, self.calls))
        if own is None or len(self._jobs) > 1 or notices:
            return "jobs of several kinds share the workers"
        if rate is None:
            return "arrivals are not Poisson day and night"
        workers, size = self.server.workers, self.noticing.busiest[2]
        load = rate * size * own.mean
        if load >= workers:
            return "the workers are overloaded"
        found = queueing(self.scenario, own, workers, load, size)
        condition = "Poisson arrivals with one job each, in steady state"
        return found if isinstance(found, str) else (*found, condition)

    def _takes_work(self, call: AsyncStep) -> bool:
        """Return whether workers notice the completions of a step, as far as is known."""
        return bool(self.noticing.each(call) and self.noticing.jobs(call))

    def _first_job(self) -> Duration | None:
        """Return the time of the first job, if every instance comes to it straight away."""
        for element in self.scenario.process.steps:
            time = work_of(element) if isinstance(element, Step | AsyncStep) else Fixed(0.0)
            if time.mean or not isinstance(element, Step):
                return time if time.mean else None
        return None

    @cached_property
    def _wait(self) -> tuple[float, str]:
        """About how long a job waits for a worker, or why it is not known."""
        rate, workers = self.noticing.peak_rate, self.server.workers
        if rate is None:
            return math.nan, "instances may arrive together"
        forks = Parallel | ForEach | Race
        if any(isinstance(part, forks) for part in self.scenario.process.parts()):
            return math.nan, "branches ask for workers at the same time"
        unknown = [
            call.name
            for call in self.calls
            if math.isnan(self.noticing.jobs(call)) and self.noticing.each(call)
        ]
        if self.flow.doubt or unknown:
            return math.nan, self.flow.doubt or f"how often {unknown[0]!r} is checked is not known"
        jobs = [(rate * number, time) for number, time in self._jobs]
        for call in self.calls:
            armed, notice = self.flow.armed[call.name], self.noticing.of[call.name]
            if isinstance(self.noticing.links[call.system], Service) or not armed:
                continue
            if not self.noticing.external[call.name].even or not notice.checks > 0:
                why = f"completions of {call.system!r} may come together and queue for workers"
                return math.nan, why
            # All waits of a day may be open, each with a check in every interval, and resume within
            # one interval
            assert isinstance(self.scenario.arrivals, Poisson), "or completions are not known"
            often = rate * self.scenario.arrivals.window_seconds / notice.interval
            jobs.append((often * armed, Fixed(self.server.poll_work)))
            steps = self.scenario.process.steps  # those after the wait, if all instances come to it
            later = steps[steps.index(call) + 1 :] if call in steps else steps
            after = self._jobs_in(part for element in later for part in element.parts())
            jobs += [(often * number, time) for number, time in after]
        first = sum(n * time.mean for n, time in jobs)
        second = sum(n * (time.mean**2 + time.sd**2) for n, time in jobs)
        if first >= workers:
            return math.nan, "the workers are overloaded at the peak"
        return theory.mmc_wait(workers, first) * second / (2 * first) if first else 0.0, ""

    def _disturbed(self, call: AsyncStep) -> str:
        """Return why the number of checks is not known, such as a queue that delays them."""
        notice, work = self.noticing.of[call.name], self.noticing.work(call)
        if math.isnan(work):
            return self._missing(call)
        if not work or not notice.checks:
            return ""
        wait, reason = self._wait
        late = not wait <= NEGLIGIBLE * notice.interval
        return (reason or "checks wait for a worker, and become fewer") if late else ""

    def _missing(self, call: AsyncStep) -> str:
        """Return why numbers of a notice are missing: its own reason, or the external time's."""
        notice = self.noticing.of[call.name]
        return self.noticing.external[call.name].why if notice.formula else notice.why

    # --- batches ----------------------------------------------------------------------------------

    def _herd(self, name: str, batch: Batch) -> Found:
        """Return how many items a run of a batch has on average."""
        load = self.loads[name]
        if load.at_least or not load.known:
            return load.why
        if load.value > 1:
            return "it is overloaded"
        if not takes_all(batch):
            return "a run may leave items for the next one"
        if not isinstance(self.scenario.arrivals, Poisson) or self.scenario.arrivals.holidays:
            return "arrivals differ from week to week"
        runs = starting_pattern(batch.starts, batch.days).per_week
        return self._items(name) / runs, "arrivals between two runs", "on average"

    def _drained(self, call: AsyncStep) -> tuple[float, str] | None:
        """Return the mean wait of the callbacks that come at once when a batch ends."""
        batch, found = self.noticing.links[call.system], self.noticing.found[call.name]
        arrivals, rate = self.scenario.arrivals, self.noticing.peak_rate
        work = self.server.callback_work
        if not isinstance(batch, Batch) or batch.results != "at end" or batch.days != "every day":
            return None
        if found is None or not found.only_certain_callbacks or len(self.calls) > 1:
            return None
        if not isinstance(arrivals, Poisson) or arrivals.days != "every day" or rate is None:
            return None
        size = estimate(call.system, "", "", self._herd(call.system, batch)).value
        if math.isnan(size + self.noticing.external[call.name].mean):
            return None
        other = sum(n * time.mean for n, time in self._jobs) - self.flow.armed[call.name] * work
        if rate * other > NEGLIGIBLE * self.server.workers:
            return None
        spread = 12 * math.sqrt(size) + 12
        few = np.linspace(max(size - spread, 1.0), size + spread, MOST_NUMBERS)
        numbers = np.unique(few.astype(int))
        likely = special.xlogy(numbers, size) - special.gammaln(numbers + 1) - size
        weight = np.exp(likely) * numbers
        ends = [theory.herd_mean_end(n, self.server.workers, work) for n in numbers.tolist()]
        return float(weight @ ends / weight.sum()) - work, "herd of fixed times"

    # --- steps ------------------------------------------------------------------------------------

    def _latency(self, call: AsyncStep) -> Found:
        """Return the mean resume latency of a step, queueing for workers included."""
        notice = self.noticing.of[call.name]
        value, formula, why = notice.latency, notice.formula, notice.why
        if not self.flow.armed[call.name]:
            return self.flow.doubt or "no instance comes to this wait"
        if math.isnan(value):
            return why
        if not self._takes_work(call):
            return value, formula, why
        if exact := self._drained(call) or self._one_queue(call):
            return value + exact[0], f"{formula}; {exact[1]}", why
        wait, reason = self._wait
        if not wait <= NEGLIGIBLE * value:
            return reason or "what notices the completion waits for a worker"
        return value, formula, f"{why}; waiting for a worker is negligible"

    def _one_queue(self, call: AsyncStep) -> tuple[float, str] | None:
        """Return the mean wait of callbacks that are the only jobs of one worker."""
        rate, poisson = rate_day_and_night(self.scenario), False
        found = self.noticing.found[call.name]
        if found and found.checks is None and (sent := found.deliveries):
            poisson = self.noticing.external[call.name].poisson and self.noticing.busiest[2] == 1
            poisson = poisson and not (sent.retries or sent.duplicates or self.flow.doubt)
        if not poisson or rate is None or self.server.workers * len(self._jobs) > 1:
            return None
        number, time = self._jobs[0]
        load = rate * number * time.mean
        wait = "" if load >= 1 else queueing(self.scenario, time, 1, load)
        return None if isinstance(wait, str) else (wait[0], "M/D/1 (Pollaczek-Khinchine)")

    def _of_step(self, call: AsyncStep) -> Iterator[Estimate]:
        """Yield the estimates of a step that waits."""
        name, found = call.name, self.noticing.found[call.name]
        external, notice = self.noticing.external[name], self.noticing.of[name]
        outside: Found = external.why
        if not math.isnan(external.mean):
            outside = external.mean, external.formula, external.why
        latency = self._latency(call)
        yield estimate(name, "external time", "s", outside)
        yield estimate(name, "resume latency", "s", latency)
        numbers = [("overhead per wait", "worker s", self.noticing.work(call))]
        if found is None or found.checks is not None:
            share = notice.wasted / notice.checks if notice.checks else 0.0
            numbers += [("checks per wait", "1", notice.checks), ("wasted share", "1", share)]
        disturbed = self._disturbed(call)
        for what, unit, value in numbers:
            why = disturbed or ("" if not math.isnan(value) else self._missing(call))
            yield estimate(name, what, unit, why or (value, notice.formula, notice.why))
        yield estimate(name, "open waits", "1", self._open_waits(call, outside, latency))

    def _open_waits(self, call: AsyncStep, outside: Found, latency: Found) -> Found:
        if not goes_on(self.scenario):
            return "arrivals have no rate"
        if self.flow.doubt or call.name in self.flow.open:
            return self.flow.doubt or "some waits never end"
        if isinstance(outside, str):
            return outside
        if isinstance(latency, str):
            return latency
        rate = self.flow.armed[call.name] * self.per_week / WEEK
        whole = theory.open_waits(rate, outside[0] + latency[0])
        return whole, "Little's law", "mean of a whole week"

    def all(self) -> Iterator[Estimate]:
        """Yield every estimate: loads, waiting, batches, and each step that waits."""
        yield self.loads[WORKERS]
        yield estimate(WORKERS, "waiting for a worker", "s", self._waiting())
        if STORE in self.loads:
            yield self.loads[STORE]
        for name, link in self.noticing.links.items():
            yield self.loads[name]
            if isinstance(link, Batch):
                yield estimate(name, "items of a run", "1", self._herd(name, link))
        for call in self.calls:
            yield from self._of_step(call)


def _of_run(scenario: Scenario) -> float:
    """Return the number of instances of a run whose arrivals have no rate."""
    match scenario.arrivals:
        case UniformArrivals(count=count):
            return float(count)
        case ArrivalTimes(times=times):
            return float(np.count_nonzero(np.array(times) < scenario.length))
        case Regular(every=every, offset=offset) as arrivals:
            seconds = open_seconds(scenario, arrivals) - offset
            return float(max(math.ceil(seconds / every), 0))
    return 0.0
