"""How completions are noticed: closed forms of external times, checks and callbacks of one wait.

Both are those of an idle server. Where there is no closed form the reason stands in its place.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import evolve, frozen

from asyncsim.capacity.flow import gives_up, interrupted
from asyncsim.experiment import theory
from asyncsim.experiment.stability import known_specification
from asyncsim.model import closed_forms
from asyncsim.model.arrivals import Arrivals, Poisson, UniformArrivals, WeeklyPoisson
from asyncsim.model.calendar import is_cron
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration, Empirical, Exponential, Fixed
from asyncsim.model.process import AsyncStep, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Service,
    Staff,
)
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import links_of, single_link
from asyncsim.model.units import DAY, HOUR, seconds_of_day

EVERY_DAY, ALL_DAY = ("every day", None), ("00:00", "24:00")
EARLY = "the work may be complete before the wait is armed"
TOO_SHORT = "the length is too short for a steady state"
QUEUEING = 0.01
"""Share of an external time that queueing before its call may have."""
SELDOM = 0.001
"""Share of instances whose work may miss the batch of their day."""
SETTLED = 50
"""A queue is in steady state on average over a length of this many relaxation times."""
ROUNDING = 1e-9
MOST_TERMS = 20_000
"""Terms of the sums of all waits, for which there is time before a run."""
LONGEST_GAP = 1e100
MANY = 40
"""External times that are evenly spread over this many intervals have any phase."""
NEGLIGIBLE = 0.005
"""Queueing below this share of a latency is left out; numbers hold within 3 %."""


@frozen
class Notice:
    """How the completion of a step's wait is noticed, for one wait.

    `latency`, `checks`, `wasted_share` and `work` (worker seconds) are NaN where there is no closed
    form; `why` is then the reason. `needs_worker` is whether checks or callbacks take worker time.
    """

    formula: str = ""
    why: str = ""
    latency: float = math.nan
    checks: float = math.nan
    wasted_share: float = math.nan
    work: float = math.nan
    jobs: float = math.nan
    """Number of checks and callbacks that take worker time."""
    needs_worker: bool = False
    interval: float = math.inf
    """Shortest time between two checks, in seconds."""


@frozen
class External:
    """The time from arming to completion: distribution and mean, or why they are not known."""

    distribution: Duration | None
    mean: float
    formula: str
    why: str
    poisson: bool = False
    """Whether completions of Poisson calls are Poisson."""
    even: float = 0.0
    """Seconds over which external times are evenly spread; 0 if they are not."""


class Noticing:
    """External times and notices of the steps of a scenario."""

    def __init__(self, scenario: Scenario, strategy: Strategy) -> None:
        self.scenario, self.strategy = scenario, strategy
        self.server, self.found = scenario.server, known_specification(strategy)
        self.calls = scenario.process.of_type(AsyncStep)
        self.terms = MOST_TERMS // max(len(self.calls), 1)
        self.interrupted = interrupted(scenario, gives_up(strategy))
        self.external = {call.name: self._external(call) for call in self.calls}
        self.of = {call.name: self._notice(call) for call in self.calls}

    def _external(self, call: AsyncStep) -> External:
        """Return the time from the arming of a wait to its completion."""
        system = self.scenario.systems[call.system]
        link = single_link(system)
        none = External(None, math.nan, "", "")
        if call.arm_delay or call.on_accepted:
            return evolve(none, why=EARLY)
        if call.arm == "before call" and call.call_work != Fixed(0.0):
            return evolve(none, why="the wait is armed before the call, whose queue it includes")
        if isinstance(link, Batch):
            return self._of_batch(call, link) or evolve(none, why="the batch starts by the clock")
        reasons = {
            Staff: "the team has working hours",
            Completions: "the log has the completions",
        }
        if type(link) in reasons:
            return evolve(none, why=reasons[type(link)])
        if not isinstance(link, Service):
            several = len(links_of(system)) > 1
            kind = type(system).__name__
            why = "a chain hands items on" if several else f"{kind} has no specification"
            return evolve(none, why=why)
        if link.lanes is None:
            times = link.item_time
            return External(times, times.mean, "item time", "any number at once", poisson=True)
        return self._queued(call, link, none)

    def _queued(self, call: AsyncStep, link: Service, none: External) -> External:
        """Return the time in a queue before a service with a number of lanes."""
        rate = self._poisson_rate(call)
        if rate is None:
            return evolve(
                none, why="requests queue for lanes, and do not come as a Poisson process"
            )
        mean, lanes = link.item_time.mean, link.lanes or 1
        load = rate * call.response.accepted * mean
        if load >= lanes:
            return evolve(none, why=f"{call.system} is overloaded: its queue grows without end")
        exponential = isinstance(link.item_time, Exponential)
        if not load:
            return External(link.item_time, mean, "item time", "no queue")
        if not settles(self.scenario, link.item_time, lanes, load):
            return evolve(none, why=TOO_SHORT)
        if lanes == 1 and exponential:
            time = mean / (1 - load)
            return External(Exponential(time), time, "M/M/1", "Poisson calls, in steady state")
        if lanes == 1:
            wait = theory.mg1_wait(load, (link.item_time.sd / mean) ** 2)
            formula = "M/G/1 (Pollaczek-Khinchine)"
        elif exponential:
            wait, formula = theory.mmc_wait(lanes, load), "M/M/c (Erlang C)"
        else:
            return evolve(none, why="several lanes, and item times that are not exponential")
        time = mean * (1 + wait)
        return External(None, time, formula, "Poisson calls, in steady state")

    def _of_batch(self, call: AsyncStep, batch: Batch) -> External | None:
        """Return the time to completion by a batch that takes all of a day's items.

        To its start: that less the middle of the arrivals and the work before the call. Then, with
        N items of mean s in a run, (E[N²]/E[N] + 1) s / 2 to the own one, or E[N²] s / E[N] to the
        last; E[N²]/E[N] is n (m + 1) for a Poisson number m of n arrivals each.
        """
        arrivals, works = self.scenario.arrivals, works_before(self.scenario, call)
        alone = sum(one.system == call.system for one in self.calls) == 1
        if not isinstance(arrivals, Poisson) or works is None or not alone or self.found is None:
            return None
        daily = (arrivals.days, arrivals.holidays) == (batch.days, batch.holidays) == EVERY_DAY
        plain = not (batch.cut_off or batch.max_items or batch.end or batch.skip or batch.failure)
        whole = not self.scenario.length % DAY and not self.scenario.calendar.zone
        if not (daily and plain and whole) or batch.lanes > 1 or is_cron(batch.start):
            return None
        opens, closes = map(seconds_of_day, arrivals.between)
        start, window = seconds_of_day(batch.start), arrivals.window_seconds
        number = arrivals.per_open_second * window * call.response.accepted
        last = batch.item_time.mean * number * arrivals.size
        if last > DAY / 2 or not self._in_time(works, start, closes):
            return None
        if not self._done_by_morning(arrivals, number, DAY - start + opens - last):
            return None
        squared = arrivals.size * (number + 1)
        place = squared if batch.results == "at end" else (squared + 1) / 2
        before = sum(work.mean for work in works)
        mean = start - (opens + closes) / 2 - before + place * batch.item_time.mean
        if self._queueing(works, arrivals) > QUEUEING * mean:
            return None
        how, even = "time to the start, place in the run", window
        if batch.results == "per item":  # as much earlier as later in the run
            even = abs(window - last)
        return External(None, mean, how, "each day alike", even=even)

    def _in_time(self, works: list[Duration], start: float, closes: float) -> bool:
        """Return whether the work before a call is done before a batch starts."""
        left = (start - closes) / max(2 * len(works), 1)
        return start >= closes and sum(float(work.survival(left)) for work in works) <= SELDOM

    def _done_by_morning(self, arrivals: Poisson, number: float, night: float) -> bool:
        """Return whether a day's work takes at most half of its window, and half of the night."""
        handle = self.server.callback_work if self.found and self.found.deliveries else 0.0
        parts = self.scenario.process.parts()
        each = sum(work_of(part).mean for part in parts if isinstance(part, Step | AsyncStep))
        each += 2 * handle * len(self.calls)  # a copy of each may come, too
        window = arrivals.window_seconds
        instances = arrivals.per_open_second * window * arrivals.size
        if instances * each / self.server.workers > min(window, night) / 2:
            return False
        checks = self.found.checks if self.found else None
        if not self.server.poll_work or checks is None:
            return True
        busy = number * arrivals.size * self.server.poll_work / self.server.workers
        return isinstance(checks, Grid) and busy <= checks.interval / 2

    def _queueing(self, works: list[Duration], arrivals: Poisson) -> float:
        """Return an upper bound of the mean time in queues before a call, at half load at most."""
        second = sum(work.mean**2 + work.sd**2 for work in works)
        together = (arrivals.size - 1) * sum(work.mean for work in works)
        one = together + arrivals.per_open_second * arrivals.size * second
        return float(len(works) * one / self.server.workers)

    def _poisson_rate(self, call: AsyncStep) -> float | None:
        """Return the rate of calls per second if they are a Poisson process, day and night."""
        rate = rate_day_and_night(self.scenario.arrivals)
        if rate is None or getattr(self.scenario.arrivals, "size", 0) > 1:
            return None
        if sum(one.system == call.system for one in self.calls) > 1:
            return None
        for element in self.scenario.process.steps:
            if not isinstance(element, Step | AsyncStep) or work_of(element) != Fixed(0.0):
                return None
            if isinstance(element, AsyncStep):
                return rate if element is call else None
        return None

    # --- noticing ---------------------------------------------------------------------------------

    def _notice(self, call: AsyncStep) -> Notice:
        """Return how the completion of a wait is noticed on an idle server."""
        external, name = self.external[call.name], type(self.strategy).__name__
        if self.found is None:
            return Notice(why=f"{name} has no specification")
        if reason := self._cut_short(call):
            return Notice(why=reason)
        poll, handle = self.server.poll_work, self.server.callback_work
        match self.found.checks, self.found.deliveries:
            case None, None:
                return Notice("", "nothing notices the completion", math.nan, 0.0, 0.0, 0.0, 0.0)
            case None, Deliveries() as sent:
                return self._called_back(sent, handle)
            case (Grid() | Intervals()) as schedule, _ if schedule.limit is not None:
                return Notice(why="waits may be given up after the last check")
            case (Grid(jitter=0.0) | Intervals(jitter="none")) as schedule, None:
                return self._checked(call, schedule, external, poll)
            case Hold(seconds), None:
                return self._held(seconds, external, poll)
            case Grid(jitter=0.0) as grid, Deliveries(retries=(), duplicates=0.0) as sent:
                if self.server.finish_limit is not None:
                    return Notice(why="the rate limit may refuse callbacks")
                if poll != handle:
                    return Notice(why="a check and a callback take different worker time")
                return self._either(call, grid, sent, external, poll)
        return Notice(why=f"no closed form for {self.strategy.label}")

    def _cut_short(self, call: AsyncStep) -> str:
        """Return why a wait may end, or be complete, by other means than a notice."""
        if call.timeout is not None:
            return "the wait may time out"
        if call.arm_delay or call.on_accepted:
            return EARLY
        if call.arm == "before call" and call.response.accepted < 1:
            return "the wait is armed before the call, whose response may cancel it"
        if call.name in self.interrupted:
            return "another branch may fail and cancel the wait"
        return ""

    def _called_back(self, sent: Deliveries, handle: float) -> Notice:
        if self.server.finish_limit is not None:
            return Notice(why="the rate limit may refuse callbacks")
        found = closed_forms.callback(sent.delay.mean, sent.loss, sent.retries, sent.duplicates)
        if sent.loss == 1:
            return Notice("delivery attempts", "all are lost", math.nan, 0.0, 0.0, 0.0, 0.0)
        handled = (1.0 - found.unresolved) * (1.0 + sent.duplicates)
        return Notice(
            "delivery attempts",
            "whatever the external time",
            found.latency + handle,
            0.0,
            0.0,
            handled * handle,
            handled if handle else 0.0,
            needs_worker=handle > 0,
        )

    def _checked(
        self, call: AsyncStep, schedule: Grid | Intervals, external: External, poll: float
    ) -> Notice:
        """Return checks by a schedule; each takes `poll` seconds of a worker."""
        if isinstance(schedule, Intervals):
            if external.distribution is None:
                return self._without_distribution(external)

            found = _checks_of(external.distribution, schedule, poll, self.terms)
            if isinstance(external.distribution, Fixed | Empirical):
                for near in (1 - ROUNDING, 1 + ROUNDING):
                    moved = _checks_of(external.distribution, schedule, poll, self.terms, near)
                    if found and moved and abs(moved.checks - found.checks) > ROUNDING:
                        return Notice(why="work ends at the instant of a check: rounding decides")
            one = self._of_checks(found, poll, "checks at given times", "for any item time")
            return evolve(one, interval=schedule.first)
        if poll >= schedule.interval:
            return Notice(why="a check takes longer than the interval")
        if schedule.anchor == "arming" and external.even < MANY * schedule.interval:
            if external.distribution is None:
                return self._without_distribution(external)
            at_once = schedule.interval * (1 + 1e-12)  # a check at the instant of completion
            found = closed_forms.polling_from_arming(
                external.distribution, at_once, most=self.terms
            )
            one = self._of_checks(found, poll, "grid from arming", "for any item time")
            return evolve(one, interval=schedule.interval)
        if reason := self._not_uniform(call, schedule, external, poll):
            return Notice(why=reason)
        found = closed_forms.polling_at_random_phase(_of_mean(external.mean), schedule.interval)
        return self._at_random_phase(found, schedule, external, poll)

    def _at_random_phase(
        self, found: Expected, grid: Grid, external: External, poll: float
    ) -> Notice:
        one = self._of_checks(found, poll, "grid at a random phase", "for any external time")
        one = evolve(one, interval=grid.interval)
        if math.isnan(external.mean):
            nan = math.nan
            return evolve(one, checks=nan, wasted_share=nan, work=nan, jobs=nan)
        return one

    def _of_checks(self, found: Expected | None, poll: float, formula: str, why: str) -> Notice:
        if found is None:
            return Notice(why="the tail of the item time is too long for the sum")
        return Notice(
            formula,
            why,
            found.latency + poll,
            found.checks,
            found.wasted_share,
            found.checks * poll,
            found.checks if poll else 0.0,
            needs_worker=poll > 0,
        )

    def _without_distribution(self, external: External) -> Notice:
        return Notice(why=external.why if math.isnan(external.mean) else "only the mean is known")

    def _not_uniform(self, call: AsyncStep, grid: Grid, external: External, poll: float) -> str:
        """Return why completions do not fall evenly between the points of a grid."""
        if grid.anchor != "clock":
            return ""
        if external.distribution is None:
            return "completions may depend on the clock, as the checks do"
        if poll:
            return "the checks of all waits come at once"
        if call is not self.calls[0]:
            return "its waits begin at points of the same grid"
        length = _even_length(self.scenario)
        parts = length / grid.interval
        if not length or (parts < MANY and abs(parts - round(parts)) > ROUNDING):
            return "arrivals are not spread evenly over the interval of the clock"
        return ""

    def _held(self, seconds: float, external: External, poll: float) -> Notice:
        """Return requests held one after the other; each takes `poll` seconds of a worker."""
        found, busy = None, 0.0
        if external.distribution is not None:
            found, busy = _held_requests(external.distribution, seconds, poll, self.terms // 2)
            if found is None:
                return Notice(why="the tail of the item time is too long for the sum")
        if poll and external.distribution is None:
            return self._without_distribution(external)
        if busy > NEGLIGIBLE:
            return Notice(why="completions often come while an answer is handled")
        nan = math.nan
        found = found or Expected(0.0, nan, nan)
        one = self._of_checks(found, poll, "requests held one after the other", "for any item time")
        if math.isnan(found.checks):
            return evolve(one, work=0.0, jobs=0.0)
        return evolve(one, interval=seconds)

    def _either(
        self, call: AsyncStep, grid: Grid, sent: Deliveries, external: External, poll: float
    ) -> Notice:
        """Return a callback beside checks, both of which take `poll` seconds of a worker."""
        if grid.anchor == "arming":
            return Notice(why="no closed form beside a grid from arming")
        if reason := self._not_uniform(call, grid, external, poll):
            return Notice(why=reason)
        if poll > NEGLIGIBLE * grid.interval:
            return Notice(why="a check may come while the callback is handled")
        if poll and sent.delay.mean >= grid.interval:
            return Notice(why="callbacks take longer than the interval")
        found = closed_forms.callback_with_safety_poll(
            _of_mean(external.mean), sent.delay, sent.loss, grid.interval
        )
        one = self._at_random_phase(found, grid, external, poll)
        more = 1.0 - sent.loss
        one = evolve(one, formula="callback beside a grid", work=one.work + more * poll)
        return evolve(one, jobs=one.jobs + more) if poll else one


def _of_mean(mean: float) -> Duration:
    """Return a distribution for formulas of which only the mean counts."""
    return Fixed(0.0 if math.isnan(mean) else mean)


def work_of(step: Step | AsyncStep) -> Duration:
    """Return the worker time of a step, or of its call."""
    return step.work if isinstance(step, Step) else step.call_work


def works_before(scenario: Scenario, call: AsyncStep) -> list[Duration] | None:
    """Return the works before a wait is armed, if all instances come to it by steps alone."""
    works: list[Duration] = []
    for element in scenario.process.steps:
        if not isinstance(element, Step) and element is not call:
            return None
        assert isinstance(element, Step | AsyncStep)
        works += [work_of(element)] if work_of(element).mean else []
        if element is call:
            return works
    return None


def settles(scenario: Scenario, service: Duration, servers: int, load: float) -> bool:
    """Return whether a queue that begins empty is in steady state for most of the length.

    It relaxes within about s (1 + c²)/2 / (servers (1 - √ρ)²), as in `stability.near_full_load`.
    """
    root = 1 - math.sqrt(load / servers)
    relaxation = service.mean * (1 + (service.sd / service.mean) ** 2) / (2 * servers * root**2)
    return scenario.length >= SETTLED * relaxation * load / servers


def rate_day_and_night(arrivals: Arrivals) -> float | None:
    """Return the instants of arrival per second of a Poisson process that never changes."""
    if not isinstance(arrivals, Poisson) or arrivals.holidays:
        return None
    always = arrivals.between == ALL_DAY and arrivals.days == "every day"
    return arrivals.per_open_second if always else None


def _even_length(scenario: Scenario) -> float:
    """Return seconds over which single arrivals are evenly likely; 0 if they are not."""
    arrivals, length = scenario.arrivals, scenario.length
    if isinstance(arrivals, WeeklyPoisson):
        return 0.0 if length % HOUR else HOUR
    if not isinstance(arrivals, Poisson | UniformArrivals):
        return 0.0
    if (arrivals.between, arrivals.days, arrivals.holidays) == (ALL_DAY, *EVERY_DAY):
        return length
    if length % DAY:  # the last day ends within the window
        return 0.0
    return HOUR if scenario.calendar.zone else arrivals.window_seconds


def _held_requests(
    times: Duration, seconds: float, poll: float, most: int
) -> tuple[Expected | None, float]:
    """Return what is expected of held requests, and the share that complete while one is handled.

    Request k is held from k (H + s) to k (H + s) + H: there are 1 + S(H) + S(H + s + H) + … of
    them, since the work is not complete when the others are answered.
    """
    cycle, checks, busy, first, block = seconds + poll, 1.0, 0.0, 0, 4096
    while first < most:
        begin = np.arange(first, first + block) * cycle
        answered = times.survival(begin + seconds)
        checks += float(answered.sum())
        busy += float((answered - times.survival(begin + cycle)).sum())
        if answered[-1] < closed_forms.TAIL:
            wasted = checks - 1.0
            return Expected(0.0, checks, wasted / checks), busy
        first, block = first + block, block * 2
    return None, 0.0


def _checks_of(
    times: Duration, gaps: Intervals, poll: float, most: int, scale: float = 1.0
) -> Expected | None:
    """Return `closed_forms.checks_at_given_times` of a schedule, summed by arrays.

    Each gap but the first counts from the end of the check before, which takes `poll` seconds.
    """
    reached, wasted, due, first, block = 0.0, 0.0, 0.0, 0, 256
    alive, longest = 1.0, min(gaps.longest, LONGEST_GAP)
    while first < most:
        with np.errstate(over="ignore"):
            power = gaps.factor ** np.arange(first, first + block, dtype=float)
        gap = np.minimum(gaps.first * power, longest) * scale + poll
        gap[0] -= 0.0 if first else poll
        at = due + np.cumsum(gap)
        left = times.survival(at)
        reached += float(gap @ np.concatenate([[alive], left[:-1]]))
        wasted += float(left.sum())
        alive, due = float(left[-1]), float(at[-1])
        if alive < closed_forms.TAIL:
            return Expected(reached - times.mean, 1 + wasted, wasted / (1 + wasted))
        first, block = first + block, block * 2
    return None
