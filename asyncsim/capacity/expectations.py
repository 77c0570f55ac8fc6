"""What theory expects of a scenario, without a run: loads, waiting, herds, and each waiting step.

Each estimate is exact under a condition, which stands beside it, or gives the reason for none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from attrs import evolve, frozen
from scipy import special

from asyncsim.capacity.flow import flow_of
from asyncsim.capacity.noticing import (
    NEGLIGIBLE,
    TOO_SHORT,
    Noticing,
    rate_day_and_night,
    settles,
    work_of,
)
from asyncsim.engine.loads import WORKERS, goes_on, instances_of_a_week, items_of_a_week
from asyncsim.experiment import theory
from asyncsim.experiment.stability import least_work
from asyncsim.model.arrivals import (
    ARRIVALS,
    ArrivalTimes,
    Poisson,
    UniformArrivals,
    WeeklyPoisson,
)
from asyncsim.model.calendar import Calendar, Days, Hours
from asyncsim.model.distributions import Duration, Exponential, Fixed
from asyncsim.model.process import AsyncStep, Element, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Service
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import links_of, single_link
from asyncsim.model.units import HOUR, WEEK

LOAD = "load"
MOST_NUMBERS = 10_000
"""Of items of a run, in a sum over them."""
MOST_RUNS = 1000
RARE = 1e-9
"""Rounding of a load."""


@frozen
class Estimate:
    """A number that theory expects, or why there is none.

    Attributes
    ----------
    part, what
        What it is about (the workers, a system, a step), and which number.
    value, unit
        NaN where there is none; seconds (``"s"``), ``"worker s"``, or ``"1"``.
    formula
        Name of the closed form.
    why
        The condition under which the value holds; the reason where there is none.
    at_least
        Whether the value is a lower bound.
    """

    part: str
    what: str
    value: float
    unit: str
    formula: str
    why: str
    at_least: bool = False

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)


def unknown(part: str, what: str, unit: str, reason: str) -> Estimate:
    """Return the reason why there is no value."""
    return Estimate(part, what, math.nan, unit, "", reason)


class Expectations:
    """The estimates of a scenario under a strategy."""

    def __init__(self, scenario: Scenario, strategy: Strategy) -> None:
        if type(scenario.arrivals) not in ARRIVALS.values():  # of a custom class: as drawn once
            rng = np.random.default_rng(0)
            times = scenario.arrivals.draw(rng, scenario.calendar, scenario.length)
            scenario = evolve(scenario, arrivals=ArrivalTimes([*times.tolist(), scenario.length]))
        self.scenario, self.strategy, self.server = scenario, strategy, scenario.server
        self.calls = scenario.process.of_type(AsyncStep)
        self.steps = scenario.process.of_type(Step)
        self.calendar = Calendar(scenario.calendar.start)  # of a week of 168 hours
        self.per_week = instances_of_a_week(scenario, _of_run(scenario))
        self.noticing = Noticing(scenario, strategy)
        links = {name: links_of(system) for name, system in scenario.systems.items()}
        self.most = {
            name: [items_of_a_week(link, self.calendar) for link in links[name]] for name in links
        }
        full: dict[str, float] = {}
        for _ in range(len(links) + 1):  # each time one system more is right, in order of calls
            self.flow = flow_of(scenario, strategy, full)
            loads = {name: self._system_load(name) for name in links}
            before, full = full, {n: self._served(one) for n, one in loads.items() if one.value > 1}
            if str(full) == str(before):
                break
        self.loads = {WORKERS: self._worker_load(bool(full)), **loads}

    # --- loads ------------------------------------------------------------------------------------

    def _served(self, load: Estimate) -> float:
        """Return the share that an overloaded system completes, its capacity; NaN if unknown."""
        several = sum(call.system == load.part for call in self.calls) > 1
        return math.nan if several or load.at_least else 1 / load.value

    def _system_load(self, name: str) -> Estimate:
        asking = [call for call in self.calls if call.system == name]
        sure = [call for call in asking if call.name in self.flow.sure]
        items = sum(self.flow.visits[call.name] * call.response.accepted for call in sure)
        each = self.most[name]
        known = [one for one in each if not math.isnan(one)]
        value = self.per_week * items / min(known, default=math.inf)
        if len(known) < len(each) and value <= 1:
            kind = type(self.scenario.systems[name]).__name__
            return unknown(name, LOAD, "1", f"{kind} has no specification")
        at_least = len(sure) < len(asking)
        why = self.flow.doubt if at_least else "items of a week to the most it can do"
        return Estimate(name, LOAD, value, "1", "offered load", why, at_least)

    def _worker_load(self, overloaded_systems: bool) -> Estimate:
        flow, doubt = self.flow, self.flow.doubt
        work = sum(flow.visits[s.name] * s.work.mean for s in self.steps if s.name in flow.sure)
        for call in self.calls:
            notice, armed = self.noticing.of[call.name], flow.armed[call.name]
            if call.name not in flow.sure:
                continue
            work += flow.visits[call.name] * call.call_work.mean
            if overloaded_systems and armed:
                doubt = doubt or "an overloaded system leaves waits open"
            elif armed and (reason := self._disturbed(call)):
                doubt = doubt or f"checks of {call.name!r} are left out: {reason}"
            elif armed:
                work += armed * notice.work
        if doubt and not overloaded_systems:
            work = max(work, least_work(self.scenario, self.strategy))
        value = work * self.per_week / (self.server.workers * WEEK)
        why = doubt or "work of a week to that of the workers"
        return Estimate(WORKERS, LOAD, value, "1", "offered load", why, bool(doubt))

    @property
    def overloaded(self) -> list[str]:
        """Parts that are asked for more than they can do.

        Where the workers are, systems receive less than is asked for, and count by that.
        """
        busy = max(self.loads[WORKERS].value, 1.0)
        share = {name: one.value / busy for name, one in self.loads.items()}
        share[WORKERS] = self.loads[WORKERS].value
        return [name for name, value in share.items() if value > 1 + RARE]

    # --- waiting for workers ----------------------------------------------------------------------

    @property
    def _jobs(self) -> list[tuple[float, Duration]]:
        """The jobs of an instance that take worker time: how many of each, and their time."""
        return self._jobs_in(self.scenario.process.parts())

    def _jobs_in(self, elements: Iterable[Element]) -> list[tuple[float, Duration]]:
        flow, found = self.flow, []
        checked = self.noticing.found is not None and self.noticing.found.checks is not None
        notice_work = Fixed(self.server.poll_work if checked else self.server.callback_work)
        for element in elements:
            if isinstance(element, Step | AsyncStep):
                found.append((flow.visits[element.name], work_of(element)))
            if isinstance(element, AsyncStep):
                notices = self.noticing.of[element.name].jobs
                found.append((flow.armed[element.name] * notices, notice_work))
        return [(number, time) for number, time in found if number and time.mean]

    def _jobs_after(self, call: AsyncStep) -> list[tuple[float, Duration]]:
        """Return the jobs of an instance after a wait that all instances come to."""
        steps = self.scenario.process.steps
        later = steps[steps.index(call) + 1 :] if call in steps else steps
        return self._jobs_in(part for element in later for part in element.parts())

    def waiting(self) -> Estimate:
        """Return the mean time that a job waits for a worker, where one formula has it."""
        what, own = "waiting for a worker", self._first_job()
        notices = self.noticing.of.values()
        if self.flow.doubt:
            return unknown(WORKERS, what, "s", self.flow.doubt)
        if not self._jobs:
            return Estimate(WORKERS, what, 0.0, "s", "no work", "no job takes worker time")
        if own is None or len(self._jobs) > 1 or any(n.needs_worker for n in notices):
            return unknown(WORKERS, what, "s", "jobs of several kinds share the workers")
        rate, arrivals = rate_day_and_night(self.scenario.arrivals), self.scenario.arrivals
        if rate is None or not isinstance(arrivals, Poisson):
            return unknown(WORKERS, what, "s", "arrivals are not Poisson day and night")
        workers, size = self.server.workers, arrivals.size
        load = rate * size * own.mean
        if load >= workers:
            return unknown(WORKERS, what, "s", "the workers are overloaded")
        if not settles(self.scenario, own, workers, load):
            return unknown(WORKERS, what, "s", TOO_SHORT)
        if workers == 1:
            wait = theory.batch_wait(load, size, (own.sd / own.mean) ** 2)
            formula = "M/G/1 (Pollaczek-Khinchine)"
        elif isinstance(own, Exponential) and size == 1:
            wait, formula = theory.mmc_wait(workers, load), "M/M/c (Erlang C)"
        else:
            return unknown(WORKERS, what, "s", "several workers, and work that is not exponential")
        why = "Poisson arrivals with one job each, in steady state"
        return Estimate(WORKERS, what, own.mean * wait, "s", formula, why)

    def _first_job(self) -> Duration | None:
        """Return the time of the first job, if every instance comes to it straight away."""
        for element in self.scenario.process.steps:
            if not isinstance(element, Step | AsyncStep):
                return None
            if work_of(element).mean:
                return work_of(element)
            if isinstance(element, AsyncStep):
                return None
        return None

    def _wait(self) -> tuple[float, str]:
        """Return about how long a job waits for a worker, or why it is not known."""
        rate, workers = _peak_rate(self.scenario), self.server.workers
        if rate is None:
            return math.nan, "instances may arrive together"
        if self.scenario.process.of_type(Parallel):
            return math.nan, "branches ask for workers at the same time"
        if self.flow.doubt or any(math.isnan(number) for number, _ in self._jobs):
            return math.nan, "the load of the workers is not known"
        jobs = [(rate * number, time) for number, time in self._jobs]
        for call in self.calls:
            link = single_link(self.scenario.systems[call.system])
            if isinstance(link, Service) or not self.flow.armed[call.name]:
                continue
            even, notice = self.noticing.external[call.name].even, self.noticing.of[call.name]
            if not even or not notice.checks > 0:
                return math.nan, f"completions of {call.system} may come together"
            # All waits of a day may be open, each with a check in every interval, and resume within
            # one interval
            assert isinstance(self.scenario.arrivals, Poisson), "or completions are not known"
            often = rate * self.scenario.arrivals.window_seconds / notice.interval
            jobs.append((often * self.flow.armed[call.name], Fixed(self.server.poll_work)))
            jobs += [(often * number, time) for number, time in self._jobs_after(call)]
        first = sum(n * time.mean for n, time in jobs)
        second = sum(n * (time.mean**2 + time.sd**2) for n, time in jobs)
        if first >= workers:
            return math.nan, "the workers are overloaded at the peak"
        return theory.mmc_wait(workers, first) * second / (2 * first) if first else 0.0, ""

    def _disturbed(self, call: AsyncStep) -> str:
        """Return why the number of checks is not known, such as a queue that delays them."""
        notice = self.noticing.of[call.name]
        if math.isnan(notice.work):
            return self._missing(call)
        if not notice.needs_worker or not notice.checks:
            return ""
        wait, reason = self._wait()
        late = not wait <= NEGLIGIBLE * notice.interval
        return (reason or "checks wait for a worker, and become fewer") if late else ""

    def _missing(self, call: AsyncStep) -> str:
        """Return why numbers of a notice are missing: its own reason, or the external time's."""
        notice = self.noticing.of[call.name]
        return self.noticing.external[call.name].why if notice.formula else notice.why

    # --- batches ----------------------------------------------------------------------------------

    def herd(self, name: str) -> Estimate:
        """Return how many items a run of a batch has on average."""
        batch, what = single_link(self.scenario.systems[name]), "items of a run"
        assert isinstance(batch, Batch)
        load, reason = self.loads[name], ""
        if load.at_least or not load.known:
            reason = load.why
        elif load.value > 1:
            reason = "it is overloaded"
        elif batch.max_items or batch.end or batch.skip or batch.failure or batch.holidays:
            reason = "a run may leave items for the next one"
        elif not isinstance(self.scenario.arrivals, Poisson) or self.scenario.arrivals.holidays:
            reason = "arrivals differ from week to week"
        if reason:
            return unknown(name, what, "1", reason)
        nights = evolve(batch, holidays=None).nights(self.calendar)
        week = itertools.takewhile(lambda night: night.start < WEEK, nights)
        runs = sum(1 for _ in itertools.islice(week, MOST_RUNS + 1))
        if runs > MOST_RUNS:
            return unknown(name, what, "1", f"it runs more than {MOST_RUNS:,} times a week")
        value = load.value * self.most[name][0] / runs
        return Estimate(name, what, value, "1", "arrivals between two runs", "on average")

    def _drained(self, call: AsyncStep) -> tuple[float, str] | None:
        """Return the mean wait of the callbacks that come at once when a batch ends."""
        batch, found = single_link(self.scenario.systems[call.system]), self.noticing.found
        arrivals, work = self.scenario.arrivals, self.server.callback_work
        if not isinstance(batch, Batch) or batch.results != "at end" or batch.days != "every day":
            return None
        if found is None or not found.only_certain_callbacks or len(self.calls) > 1:
            return None
        each_day = isinstance(arrivals, Poisson) and arrivals.days == "every day"
        size, rate = self.herd(call.system), _peak_rate(self.scenario)
        known = not math.isnan(self.noticing.external[call.name].mean)
        if not each_day or not size.known or rate is None or not known:
            return None
        other = sum(n * time.mean for n, time in self._jobs) - self.flow.armed[call.name] * work
        if rate * other > NEGLIGIBLE * self.server.workers:
            return None
        spread = 12 * math.sqrt(size.value) + 12
        least, most = max(size.value - spread, 1.0), size.value + spread
        numbers = np.unique(np.linspace(least, most, MOST_NUMBERS).astype(int))
        likely = special.xlogy(numbers, size.value) - special.gammaln(numbers + 1) - size.value
        weight = np.exp(likely) * numbers
        ends = [theory.herd_mean_end(n, self.server.workers, work) for n in numbers.tolist()]
        return float(weight @ ends / weight.sum()) - work, "herd of fixed times"

    # --- steps ------------------------------------------------------------------------------------

    def latency(self, call: AsyncStep) -> Estimate:
        """Return the mean resume latency of a step, queueing for workers included."""
        what, notice = "resume latency", self.noticing.of[call.name]
        if not self.flow.armed[call.name]:
            return unknown(call.name, what, "s", "no instance comes to this wait")
        if math.isnan(notice.latency):
            return unknown(call.name, what, "s", notice.why)
        value, formula, why = notice.latency, notice.formula, notice.why
        if notice.needs_worker:
            exact = self._drained(call) or self._one_queue(call)
            if exact is not None:
                return Estimate(
                    call.name, what, value + exact[0], "s", f"{formula}; {exact[1]}", why
                )
            wait, reason = self._wait()
            if not wait <= NEGLIGIBLE * value:
                reason = reason or "what notices the completion waits for a worker"
                return unknown(call.name, what, "s", reason)
            why = f"{why}; waiting for a worker is negligible"
        return Estimate(call.name, what, value, "s", formula, why)

    def _one_queue(self, call: AsyncStep) -> tuple[float, str] | None:
        """Return the mean wait of callbacks that are the only jobs of one worker."""
        rate, found = rate_day_and_night(self.scenario.arrivals), self.noticing.found
        external = self.noticing.external[call.name]
        if rate is None or self.server.workers > 1 or len(self._jobs) > 1 or self.flow.doubt:
            return None
        if found is None or found.checks is not None or len(self.calls) > 1:
            return None
        sent, alone = found.deliveries, getattr(self.scenario.arrivals, "size", 0) == 1
        if sent is None or sent.retries or sent.duplicates or not alone or not external.poisson:
            return None
        number, time = self._jobs[0]
        load = rate * number * time.mean
        if load >= 1 or not settles(self.scenario, time, 1, load):
            return None
        return time.mean * theory.mg1_wait(load, 0.0), "M/D/1 (Pollaczek-Khinchine)"

    def of_step(self, call: AsyncStep) -> Iterator[Estimate]:
        """Yield the estimates of a step that waits."""
        name, external = call.name, self.noticing.external[call.name]
        notice, latency = self.noticing.of[call.name], self.latency(call)
        if math.isnan(external.mean):
            yield unknown(name, "external time", "s", external.why)
        else:
            yield Estimate(
                name, "external time", external.mean, "s", external.formula, external.why
            )
        yield latency
        numbers = [("overhead per wait", notice.work, "worker s")]
        if self.noticing.found is None or self.noticing.found.checks is not None:
            numbers += [("checks per wait", notice.checks, "1")]
            numbers += [("wasted share", notice.wasted_share, "1")]
        disturbed = self._disturbed(call)
        for what, value, unit in numbers:
            if disturbed or math.isnan(value):
                yield unknown(name, what, unit, disturbed or self._missing(call))
            else:
                yield Estimate(name, what, value, unit, notice.formula, notice.why)
        yield self._open_waits(call, external.mean + latency.value, external.why, latency.why)

    def _open_waits(self, call: AsyncStep, whole: float, *reasons: str) -> Estimate:
        what, external = "open waits", self.noticing.external[call.name]
        if not goes_on(self.scenario):
            return unknown(call.name, what, "1", "arrivals have no rate")
        if self.flow.doubt or self.flow.resumed[call.name] < 1:
            return unknown(call.name, what, "1", self.flow.doubt or "some waits never end")
        if math.isnan(whole):
            return unknown(call.name, what, "1", reasons[not math.isnan(external.mean)])
        rate = self.flow.armed[call.name] * self.per_week / WEEK
        return Estimate(call.name, what, rate * whole, "1", "Little's law", "mean of a whole week")

    def all(self) -> Iterator[Estimate]:
        """Yield every estimate: loads, waiting, batches, and each step that waits."""
        yield self.loads[WORKERS]
        yield self.waiting()
        for name, system in self.scenario.systems.items():
            yield self.loads[name]
            if isinstance(single_link(system), Batch):
                yield self.herd(name)
        for call in self.calls:
            yield from self.of_step(call)


def _of_run(scenario: Scenario) -> float:
    """Return the number of instances of a run whose arrivals have no rate."""
    arrivals, length = scenario.arrivals, scenario.length
    if goes_on(scenario):
        return 0.0
    if isinstance(arrivals, UniformArrivals):
        return float(arrivals.count)
    if isinstance(arrivals, ArrivalTimes):
        return float(np.count_nonzero(np.array(arrivals.times) < length))
    return float(len(arrivals.draw(np.random.default_rng(0), scenario.calendar, length)))


def _peak_rate(scenario: Scenario) -> float | None:
    """Return the largest rate of arrivals per second; None if they may come together."""
    match scenario.arrivals:
        case Poisson(size=1) as arrivals:
            return arrivals.per_open_second
        case WeeklyPoisson(size=1) as arrivals:
            return float(np.max(arrivals.rates)) * arrivals.volume / HOUR
        case UniformArrivals() as arrivals:
            hours = Hours(arrivals.between, Days(arrivals.days, arrivals.holidays))
            seconds = hours.opened(scenario.calendar).open_seconds(scenario.length)
            return arrivals.count / seconds if seconds else None
    return None
