"""How completions are noticed: closed forms of external times, checks and callbacks of one wait.

Both are those of an idle server. Where there is no closed form the reason stands in its place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from functools import cached_property

from attrs import evolve, frozen

from asyncsim.experiment import theory
from asyncsim.experiment.stability import known_specification
from asyncsim.experiment.theory import RARE
from asyncsim.model import closed_forms
from asyncsim.model.arrivals import Poisson, Regular, UniformArrivals, WeeklyPoisson
from asyncsim.model.calendar import Days, Hours, is_cron, starting_pattern
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import Duration, Empirical, Exponential, Fixed
from asyncsim.model.loops import ForEach, Race
from asyncsim.model.mixed_strategies import strategies_of
from asyncsim.model.process import AsyncStep, Element, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Pauses,
    Service,
    Staff,
    StrategySpecification,
)
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import links_of, single_link
from asyncsim.model.units import DAY, HOUR, WEEK, seconds_of_day, text_of

EVERY_DAY, ALL_DAY = ("every day", None), ("00:00", "24:00")
EARLY = "the work may be complete before the wait is armed"
OUTAGES = "outages have no closed form"
SENDER = "the sender blocks, stops or does not wait for slow answers"
REFUSED = "the rate limit may refuse callbacks"
CLOCK = "the batch starts by the clock"
ANY = "for any external time"
HELD = "requests held one after the other"
POLLACZEK, ERLANG = "M/G/1 (Pollaczek-Khinchine)", "M/M/c (Erlang C)"
QUEUEING = 0.01  # share of an external time that queueing before its call may have
SELDOM = 0.001  # share of instances whose work may miss the batch of their day
SETTLED = 50  # a queue is in steady state over a length of this many relaxation times
ROUNDING = 1e-9
MOST_TERMS = 20_000  # of the sums of all waits, for which there is time before a run
MOST_BOUNDS = 100  # of queues, for which there is time
MANY = 40  # external times evenly spread over this many intervals have any phase
NEGLIGIBLE = 0.005  # queueing below this share of a latency is left out; numbers hold within 3 %
QUEUED = 1 / 8  # share of a time-out for the queue of the workers, and for that of a callback


@frozen
class External:
    """The time from arming to completion: its distribution and mean, or why they are not known."""

    why: str
    mean: float = math.nan
    formula: str = ""
    distribution: Duration | None = None
    poisson: bool = False  # whether completions of Poisson calls are Poisson
    even: float = 0.0  # seconds over which external times are evenly spread; 0 if they are not
    longest: float = math.inf  # until a batch starts, if no call queues for longer than `spare`
    spare: float = 0.0


@frozen
class Notice:
    """How a completion is noticed: NaN where there is no closed form, and `why` there is none."""

    why: str
    formula: str = ""
    latency: float = math.nan
    checks: float = math.nan
    wasted: float = math.nan  # number of checks before completion
    handled: float = 0.0  # number of callbacks that are handled
    interval: float = math.inf  # shortest time between two checks, in seconds


class Noticing:
    """External times and notices of the steps of a scenario, whose runs have some `instances`."""

    def __init__(self, scenario: Scenario, strategy: Strategy, instances: float) -> None:
        self.scenario, self.strategy, self.instances = scenario, strategy, instances
        self.server = scenario.server
        self.slower = self.server.grows_slower
        self.calls = scenario.process.of_type(AsyncStep)
        parts = scenario.process.parts()
        self.parts = [part for part in parts if isinstance(part, Step | AsyncStep)]
        self.links = {name: single_link(system) for name, system in scenario.systems.items()}
        self.asked_by: dict[str, list[AsyncStep]] = {name: [] for name in self.links}
        for call in self.calls:
            self.asked_by[call.system].append(call)
        own = strategies_of(strategy, scenario)
        known = {id(one): known_specification(one) for one in own.values()}
        self.found = {name: known[id(one)] for name, one in own.items()}  # of each step
        self.terms = MOST_TERMS // max(len(self.calls), 1)
        self._sums: dict[tuple[int, int], Notice] = {}
        self._beside: dict[int, Expected] = {}
        self._bounds = MOST_BOUNDS
        self._certain: dict[tuple[str | int, float], bool] = {}
        shares = {call.name: self._resumed_share(call) for call in self.calls}
        self.resumed = {name: share for name, (share, _) in shares.items()}
        self.doubts = {name: doubt for name, (_, doubt) in shares.items()}
        self.doubt = next(filter(None, self.doubts.values()), "")
        self.external = {call.name: self._external(call) for call in self.calls}
        self.of = {call.name: self._notice(call) for call in self.calls}
        self.late = {call.name for call in self.calls if not self._in_time(call)}
        forks = [one for one in scenario.process.parts() if isinstance(one, Parallel | ForEach)]
        failing = [one for one in forks if may_fail(one, self.late)]
        races = [one for one in scenario.process.parts() if isinstance(one, Race)]
        raced = {part.name for race in races for part in race.parts()}
        cancelled = {part.name for one in failing for part in one.parts()}
        for call in (one for one in self.calls if self.found[one.name]):
            notice, after = self.of[call.name], text_of(call.timeout or 0.0)
            if self.late_anyhow(call):
                notice = Notice("the step, or its instance, may time out")
            elif call.timeout is not None and call.name in self.late:
                notice = Notice(f"the wait may time out after {after}")
            elif call.name in cancelled and not self._armed_early(call):
                notice = Notice("another branch may fail and cancel the wait")
            elif call.name in raced:
                notice = Notice("another branch may win the race and cancel the wait")
            elif notice.formula and (delay := self.server.engine_delay.mean):
                formula, latency = f"{notice.formula}; engine delay", notice.latency + delay
                notice = evolve(notice, formula=formula, latency=latency)
            if call.timeout is not None and notice.formula:
                why = f"{notice.why}; no wait reaches its time-out of {after}"
                notice = evolve(notice, why=why)
            self.of[call.name] = notice

    def unforeseen(self, call: AsyncStep) -> str:
        """Return what closed forms of a step's waits do not know, if anything."""
        found = self.found[call.name]
        plain = found is None or found.sends_plainly
        return OUTAGES if self.scenario.has_outages else "" if plain else SENDER

    def _resumed_share(self, call: AsyncStep) -> tuple[float, str]:
        """Return the share of a step's waits that resume, and why it is not known."""
        found, policy = self.found[call.name], self.server.policy
        if found is None:
            kind = type(self.strategy.for_step(call)).__name__
            return 1.0, f"{kind} has no specification"
        if unforeseen := self.unforeseen(call):
            return 1.0, unforeseen
        if found.schedule is not None and found.schedule.limit is not None:
            return 1.0, "waits may be given up after the last check"
        if found.checks or not (sent := found.deliveries):
            return float(found.checks is not None), ""
        kept = policy.early == "buffer" and policy.buffer_for is None
        early = (call.on_accepted or call.arm_delay) and not kept
        lost = f"a callback may come before the wait of {call.name!r} is armed" if early else ""
        refused = REFUSED if self.server.finish_limit is not None else ""
        return 1.0 - sent.loss ** (len(sent.retries) + 1), refused or lost

    def each(self, call: AsyncStep) -> float:
        """Return the worker seconds of a check, or of a callback where nothing is checked."""
        found = self.found[call.name]
        checked = found is not None and found.checks is not None
        return self.server.check_seconds if checked else self.server.callback_seconds

    def jobs(self, call: AsyncStep) -> float:
        """Return the number of checks and callbacks of a wait that take worker time."""
        notice = self.of[call.name]
        server = self.server
        pairs = (notice.checks, server.check_seconds), (notice.handled, server.callback_seconds)
        return sum(n for n, time in pairs if time) if notice.formula else math.nan

    def work(self, call: AsyncStep) -> float:
        """Return the worker seconds of checks and callbacks of a wait."""
        return self.jobs(call) * self.each(call)

    # --- external times ---------------------------------------------------------------------------

    def _external(self, call: AsyncStep) -> External:
        """Return the time from the arming of a wait to its completion."""
        link, system = self.links[call.system], self.scenario.systems[call.system]
        if call.arm_delay or call.on_accepted:
            return External(EARLY)
        if self.scenario.has_outages:
            return External(OUTAGES)
        if call.arm == "before call" and call.call_work != Fixed(0.0):
            return External("the wait is armed before the call, whose queue it includes")
        match link:
            case Batch():
                return self._of_batch(call, link)
            case Staff():
                return External("the team has working hours")
            case Completions():
                return External("the log has the completions")
            case Service(item_time=times, lanes=None):
                return External("served at once", times.mean, "item time", times, poisson=True)
            case Service():
                return self._queued(call, link)
        several = len(links_of(system)) > 1
        kind = type(system).__name__
        return External("a chain hands items on" if several else f"{kind} has no specification")

    def _queued(self, call: AsyncStep, link: Service) -> External:
        """Return the time in a queue before a service with a number of lanes."""
        rate, times, lanes = rate_day_and_night(self.scenario), link.item_time, link.lanes or 1
        alone = len(self.asked_by[call.system]) == 1 and self.busiest[2] == 1
        if rate is None or not alone or works_before(self.scenario, call) != []:
            return External("requests queue for lanes, and do not come as a Poisson process")
        load = rate * call.response.accepted * times.mean
        if load >= lanes:
            return External(f"{call.system!r} is overloaded: its queue grows without end")
        if not load:
            return External("no queue", times.mean, "item time", times)
        found = queueing(self.scenario, times, lanes, load)
        if isinstance(found, str):
            return External(found)
        mean, why = times.mean + found[0], "Poisson calls, in steady state"
        if lanes == 1 and isinstance(times, Exponential):
            return External(why, mean, "M/M/1", Exponential(mean))
        return External(why, mean, found[1])

    def _of_batch(self, call: AsyncStep, batch: Batch) -> External:
        """Return the time to completion by a batch that takes all of a day's items.

        To its start: that less the middle of the arrivals and the work before the call. Then, with
        N items of mean s in a run, (E[N²]/E[N] + 1) s / 2 to the own one, or E[N²] s / E[N] to the
        last; E[N²]/E[N] is n (m + 1) for a Poisson number m of n arrivals each.
        """
        arrivals, works = self.scenario.arrivals, works_before(self.scenario, call)
        alone = len(self.asked_by[call.system]) == 1 and all(self.found.values())
        if not isinstance(arrivals, Poisson) or works is None or not alone:
            return External(CLOCK)
        daily = (arrivals.days, arrivals.holidays) == (batch.days, batch.holidays) == EVERY_DAY
        whole = not self.scenario.length % DAY and not self.scenario.calendar.zone
        start_at, *others = batch.starts
        plain = batch.lanes == 1 and not (is_cron(start_at) or others or batch.cut_off)
        if not (daily and whole and plain and takes_all(batch)):
            return External(CLOCK)
        opens, closes = map(seconds_of_day, arrivals.between)
        start, window = seconds_of_day(start_at), arrivals.window_seconds
        number = arrivals.per_open_second * window * call.response.accepted
        last = batch.item_time.mean * number * arrivals.size
        left = (start - closes) / max(2 * len(works), 1)
        missing = sum(float(work.survival(left)) for work in works)
        before = sum(work.mean for work in works)
        squared = arrivals.size * (number + 1)
        place = squared if batch.results == "at end" else (squared + 1) / 2
        mean = start - (opens + closes) / 2 - before + place * batch.item_time.mean
        in_time = start >= closes and missing <= SELDOM and last <= DAY / 2
        # Mean time in queues before the call, at half load at most
        second = sum(work.mean**2 + work.sd**2 for work in works) * self.busiest[0]
        queued = ((arrivals.size - 1) * before + second) * len(works) / self.server.workers
        night = DAY - start + opens - last
        if not in_time or queued > QUEUEING * mean or not self._done_by_morning(number, night):
            return External(CLOCK)
        # The times of results per item are as much earlier as they are later in the run
        even = abs(window - last) if batch.results == "per item" else window
        longest, spare = start - opens if missing <= RARE else math.inf, (start - closes) / 2
        how = "time to the start, place in the run"
        return External("if all days are alike", mean, how, even=even, longest=longest, spare=spare)

    def _done_by_morning(self, number: float, night: float) -> bool:
        """Return whether a day's work takes at most half of its window, and half of the night."""
        rate, day, size = self.busiest
        if self.slower or not self.scenario.process.is_plain:
            return False
        workers, poll = self.server.workers, self.server.poll_work
        known = [found for found in self.found.values() if found is not None]
        copies = 2 * self.server.callback_work * sum(one.deliveries is not None for one in known)
        each = sum(work_of(part).mean for part in self.parts) + copies
        checks = [one.checks for one in known if one.checks is not None and poll]
        busy = number * size * poll / workers
        rare = all(isinstance(one, Grid) and busy <= one.interval / 2 for one in checks)
        return rare and day * each / workers <= min(day / rate, night) / 2

    # --- noticing ---------------------------------------------------------------------------------

    def _armed_early(self, call: AsyncStep) -> str:
        """Return why a wait may be complete or cancelled before it is armed."""
        if call.arm_delay or call.on_accepted:
            return EARLY
        if call.arm == "before call" and call.response.accepted < 1:
            return "the wait is armed before the call, whose response may cancel it"
        return ""

    def _notice(self, call: AsyncStep) -> Notice:
        """Return how the completion of a wait is noticed on an idle server, without a time-out."""
        external, poll = self.external[call.name], self.server.poll_work
        found, doubt = self.found[call.name], self.doubts[call.name]
        refused = found and found.deliveries and self.server.finish_limit is not None
        early = self._armed_early(call)
        reason = self.unforeseen(call) or early or (REFUSED if refused else "") or self.slower
        if found is None or reason:
            return Notice(doubt if found is None else reason)
        match found.checks, found.deliveries:
            case None, None:
                never = "nothing notices the completion"
                return Notice(never, "no checks, no callbacks", math.nan, 0.0, 0.0)
            case None, Deliveries() as sent:
                return self._called_back(sent)
            case _ if found.schedule and found.schedule.limit is not None:
                return Notice(doubt)
            case (Intervals(jitter="none") | Pauses()) as gaps, None:
                return self._summed(external, found, lambda times: self._at_times(times, gaps))
            case Grid(jitter=0.0, first=None, window=None) as grid, None:
                return self._on_grid(call, grid, external, found)
            case Hold(), None if external.distribution is None and not poll:
                return Notice(ANY, HELD, 0.0)
            case Hold(seconds), None:
                return self._summed(external, found, lambda times: self._held(times, seconds))
            case (
                Grid(jitter=0.0, first=None, window=None) as grid,
                Deliveries(retries=(), duplicates=0.0) as sent,
            ):
                return self._either(call, grid, sent, external)
        return Notice(f"no closed form for {self.strategy.for_step(call).label}")

    def _called_back(self, sent: Deliveries) -> Notice:
        found = closed_forms.callback(sent.delay.mean, sent.loss, sent.mean_pauses, sent.duplicates)
        handled = (1.0 - found.unresolved) * (1.0 + sent.duplicates)
        why = "whatever the external time" if handled else "all are lost"
        latency = found.latency + self.server.callback_work
        return Notice(why, "delivery attempts", latency, 0.0, 0.0, handled)

    def _summed(
        self, external: External, found: StrategySpecification, make: Callable[[Duration], Notice]
    ) -> Notice:
        """Return what is summed over a distribution, once for all waits that have it."""
        times = external.distribution
        if times is None:
            return Notice(external.why if math.isnan(external.mean) else "only the mean is known")
        key = id(times), id(found)
        if key not in self._sums:
            self._sums[key] = make(times)
        return self._sums[key]

    def _of_checks(self, found: Expected | None, formula: str, interval: float) -> Notice:
        """Return checks whose sum is known, each handled for its own time."""
        if found is None:
            return Notice("the tail of the item time is too long for the sum")
        latency, checks = found.latency + self.server.poll_work, found.checks
        return Notice(ANY, formula, latency, checks, checks - 1, interval=interval)

    def _at_times(self, times: Duration, gaps: Intervals | Pauses) -> Notice:
        near = (1.0, 1 - ROUNDING, 1 + ROUNDING) if isinstance(times, Fixed | Empirical) else (1.0,)
        of, poll = closed_forms.checks_at_given_times, self.server.poll_work
        all_ = [of(times, gaps, poll, self.terms, scale) for scale in near]
        checks = [found.checks for found in all_ if found]
        if checks and max(checks) - min(checks) > ROUNDING:
            return Notice("work ends at the instant of a check: rounding decides")
        shortest = float(gaps.intervals(0, MANY).min())
        return self._of_checks(all_[0], "checks at given times", shortest)

    def _on_grid(
        self, call: AsyncStep, grid: Grid, external: External, found: StrategySpecification
    ) -> Notice:
        every, poll = grid.interval, self.server.poll_work
        if poll >= every:
            return Notice("a check takes longer than the interval")
        if grid.anchor == "arming" and external.even < MANY * every:
            return self._summed(external, found, lambda times: self._from_arming(times, every))
        if reason := self._not_uniform(call, grid, external):
            return Notice(reason)
        wasted, formula, why = external.mean / every, "checks at a random phase", ANY
        return Notice(why, formula, every / 2 + poll, 1 + wasted, wasted, interval=every)

    def _from_arming(self, times: Duration, interval: float) -> Notice:
        at_once = interval * (1 + 1e-12)  # a check at the instant of completion
        found = closed_forms.polling_from_arming(times, at_once, most=self.terms)
        return self._of_checks(found, "checks from arming", interval)

    def _not_uniform(self, call: AsyncStep, grid: Grid, external: External) -> str:
        """Return why completions do not fall evenly between the points of a grid."""
        if grid.anchor != "clock":
            return ""
        if external.distribution is None:
            return "completions may depend on the clock, as the checks do"
        if self.server.poll_work:
            return "the checks of all waits come at once"
        if call is not self.calls[0]:
            return "its waits begin at points of the same grid"
        length = _even_length(self.scenario)
        parts = length / grid.interval
        if not length or (parts < MANY and abs(parts - round(parts)) > ROUNDING):
            return "arrivals are not spread evenly over the interval of the clock"
        return ""

    def _held(self, times: Duration, seconds: float) -> Notice:
        """Return requests held one after the other.

        Request k is held from k (H + s) to k (H + s) + H: there are 1 + S(H) + S(H + s + H) + … of
        them, since the work is not complete when the others are answered.
        """
        cycle, most = seconds + self.server.poll_work, self.terms // 2
        wasted = closed_forms.sum_of_survival(times, cycle, seconds, most)
        later = closed_forms.sum_of_survival(times, cycle, cycle, most)
        if wasted is None or later is None:
            return self._of_checks(None, HELD, seconds)
        if wasted - later > NEGLIGIBLE:
            return Notice("completions often come while an answer is handled")
        return self._of_checks(Expected(0.0, 1.0 + wasted), HELD, seconds)

    def _either(self, call: AsyncStep, grid: Grid, sent: Deliveries, external: External) -> Notice:
        """Return a callback beside checks, both of which take the same time of a worker."""
        poll = self.server.poll_work
        if poll != self.server.callback_work:
            return Notice("a check and a callback take different worker time")
        if grid.anchor == "arming":
            return Notice("no closed form beside a grid from arming")
        if reason := self._not_uniform(call, grid, external):
            return Notice(reason)
        if poll > NEGLIGIBLE * grid.interval:
            return Notice("a check may come while the callback is handled")
        if poll and sent.delay.mean >= grid.interval:
            return Notice("callbacks take longer than the interval")
        if id(sent) not in self._beside:  # of work that is complete at once
            self._beside[id(sent)] = closed_forms.callback_with_safety_poll(
                Fixed(0.0), sent.delay, sent.loss, grid.interval
            )
        beside = self._beside[id(sent)]
        wasted, arrived = external.mean / grid.interval, 1.0 - sent.loss
        checks, latency = wasted + beside.checks, beside.latency + poll
        formula = "callback beside checks"
        return Notice(ANY, formula, latency, checks, wasted, arrived, grid.interval)

    # --- time-outs --------------------------------------------------------------------------------

    def late_anyhow(self, call: AsyncStep) -> bool:
        """Return whether a step has a deadline, or its instance, of which bounds cannot tell."""
        return self.scenario.process.timeout is not None or not {*call.limits} <= {"timeout"}

    def _in_time(self, call: AsyncStep) -> bool:
        """Return whether a wait certainly resumes before its time-out (all but 1e-9 of them)."""
        found = self.found[call.name]
        schedule = found.schedule if found else None
        limited = schedule is not None and schedule.limit is not None
        if found is None or limited or self.late_anyhow(call):
            return False
        if call.timeout is None:
            return True
        left = self._time_left(call, call.timeout)
        return self._complete_within(call, left) and self._worked_off(QUEUED * call.timeout)

    def _time_left(self, call: AsyncStep, timeout: float) -> float:
        """Return the share of a time-out left for the work; minus infinity if it may come."""
        queued = call.arm == "before call" and call.call_work != Fixed(0.0)
        found = self.found[call.name]
        if found is None or self.unforeseen(call):
            return -math.inf
        if call.arm_delay or call.on_accepted or queued:
            return -math.inf
        share = QUEUED * timeout
        left = timeout - 2 * share - self.server.poll_work
        match found.checks, found.deliveries:
            case None, Deliveries(delay=delay, loss=loss, retries=retries):
                lost = loss ** (len(retries) + 1) > RARE or self.server.finish_limit is not None
                late = lost or float(delay.survival(share - sum(retries))) > RARE
                return -math.inf if late else left
            case Grid(interval=interval, jitter=jitter, first=None, window=None), _:
                return left - interval - jitter
            case Intervals(first=first, factor=factor, jitter="none") as gaps, _:
                return max((left - first) / factor, left - gaps.longest)
            case Hold(), _:
                return left
        return -math.inf

    def _complete_within(self, call: AsyncStep, left: float) -> bool:
        """Return whether work is certainly complete within some time from arming."""
        external = self.external[call.name]
        if (times := external.distribution) is not None:
            key: tuple[str | int, float] = id(times), left
            if key not in self._certain:
                self._certain[key] = float(times.survival(left)) <= RARE
            return self._certain[key]
        key = call.system, left
        if key not in self._certain and left > 0 and self._bounds:
            self._bounds -= 1
            self._certain[key] = self._served_within(call.system, external, left)
        return self._certain.get(key, False)

    def _served_within(self, system: str, external: External, left: float) -> bool:
        """Return whether a system with a queue certainly completes an item within some time."""
        link, (rate, day, size) = self.links[system], self.busiest
        if not self.scenario.process.is_plain:
            return False
        if not isinstance(link, Service | Batch) or not (lanes := link.lanes):
            return False
        items = sum(one.response.accepted for one in self.asked_by[system])
        smooth = all(isinstance(one, Service) for one in self.links.values())
        peak = rate * items if smooth else math.inf
        if theory.sojourn_is_below(left, peak, link.item_time, lanes, size):
            return True
        gap = 0.0
        if isinstance(link, Batch):
            gap = self._longest_gap(link)
            if external.longest < gap and self._worked_off(external.spare):
                gap = external.longest
        run = (left - gap) / 2  # the rest is for the own item
        if run <= 0 or float(link.item_time.survival(run)) > RARE:
            return False
        number = day * (math.ceil(gap / DAY) + 1.0)  # all that may be in the queue
        return theory.work_is_below(lanes * min(run, DAY), number, [(items, link.item_time)], size)

    @cached_property
    def busiest(self) -> tuple[float, float, int]:
        """Most instances per second, and of a day, on average; and how many come together."""
        arrivals = self.scenario.arrivals
        match arrivals:
            case Poisson(size=size):
                rate = arrivals.per_open_second * size
                return rate, rate * arrivals.window_seconds, size
            case WeeklyPoisson(rates=rates, volume=volume, size=size):
                each = volume * size
                return max(map(max, rates)) * each / HOUR, max(map(sum, rates)) * each, size
            case UniformArrivals(count=count):
                rate = count / max(open_seconds(self.scenario, arrivals), 1.0)
                return rate, min(self.instances, rate * DAY), 1
            case Regular(every=every):
                return math.inf, min(self.instances, DAY / every + 1), 1
        return math.inf, self.instances, 1

    @property
    def peak_rate(self) -> float | None:
        """The largest rate of arrivals per second; None if they may come together."""
        rate, _, size = self.busiest
        return rate if size == 1 and rate < math.inf else None

    def _worked_off(self, seconds: float) -> bool:
        """Return whether no job certainly waits longer for a worker."""
        if not self.scenario.process.is_plain:
            return False  # steps that are repeated are more jobs, and delays keep instances
        key = "", 2.0 ** math.floor(math.log2(seconds)) if seconds > 0 else 0.0
        if key not in self._certain:
            self._certain[key] = False  # where the answer depends on itself
            # Before it: at most each step and notice of each instance that has not ended
            jobs = [(1.0, work_of(part)) for part in self.parts]
            notices = Counter(map(self.each, self.calls))  # some callbacks come twice
            jobs += [(2.0 * calls, Fixed(work)) for work, calls in notices.items()]
            jobs = [(number, time) for number, time in jobs if number * time.mean]
            (rate, day, size), level = self.busiest, key[1] * self.server.workers
            stay = self._stays if jobs else 0.0
            number = min(day * (1 + stay / DAY), rate * (HOUR + stay))
            few = len(jobs) <= MOST_BOUNDS and number < math.inf
            found = few and not self.slower and theory.work_is_below(level, number, jobs, size)
            self._certain[key] = not jobs or found
        return self._certain[key]

    @cached_property
    def _stays(self) -> float:
        """How long an instance may wait outside, in seconds."""
        delay = self.server.engine_delay
        after = delay.value if isinstance(delay, Fixed) else math.inf
        return sum(self._stay(call) + after for call in self.calls)

    def _stay(self, call: AsyncStep) -> float:
        """Return how long a wait is open at most, as far as it takes worker time."""
        times = (DAY * 2.0**k for k in range(-6, 6, 2))
        within = next((one for one in times if self._complete_within(call, one)), math.inf)
        if call.timeout is None:
            return 2 * within
        return min(call.timeout, within + call.timeout - self._time_left(call, call.timeout))

    def _longest_gap(self, batch: Batch) -> float:
        """Return the longest time until a batch starts; infinite if it may leave items out."""
        if not takes_all(batch):
            return math.inf
        gap = starting_pattern(batch.starts, batch.days).longest_gap
        return gap + DAY * bool(batch.cut_off) + HOUR * bool(self.scenario.zone)


def may_fail(element: Element, late: Collection[str]) -> bool:
    """Return whether an element, or one within it, may end its instance as failed."""
    if any(may_fail(part, late) for part in element.within()):
        return True
    if not isinstance(element, AsyncStep):
        return False
    response = element.response
    ways = [(response.done, element.on_done), (response.rejected, element.on_rejected)]
    ways.append((element.name in late, element.on_timeout))
    return any(chance and path == "fail" for chance, path in ways)


def takes_all(batch: Batch) -> bool:
    """Return whether each run takes all that has been submitted before it starts."""
    return not (batch.max_items or batch.end or batch.skip or batch.failure or batch.holidays)


def queueing(
    scenario: Scenario, service: Duration, servers: int, load: float, size: int = 1
) -> tuple[float, str] | str:
    """Return the mean wait for a server, with its formula, or why there is none; load is below 1.

    A queue that begins empty relaxes within about s (1 + c²)/2 / (servers (1 - √ρ)²), as in
    `stability.near_full_load`.
    """
    variation, root = (service.sd / service.mean) ** 2, 1 - math.sqrt(load / servers)
    relaxation = service.mean * (1 + variation) / (2 * servers * root**2)
    if scenario.length < SETTLED * relaxation * load / servers:
        return "the length is too short for a steady state"
    if servers == 1:
        return service.mean * theory.batch_wait(load, size, variation), POLLACZEK
    if isinstance(service, Exponential) and size == 1:
        return service.mean * theory.mmc_wait(servers, load), ERLANG
    return "several servers, and times that are not exponential"


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


def rate_day_and_night(scenario: Scenario) -> float | None:
    """Return the instants of arrival per second of a Poisson process that never changes."""
    arrivals = scenario.arrivals
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


def open_seconds(scenario: Scenario, arrivals: Regular | UniformArrivals) -> float:
    """Return for how long arrivals are possible, by the first year."""
    hours = Hours(arrivals.between, Days(arrivals.days, arrivals.holidays))
    first = min(scenario.length, 52 * WEEK)
    return hours.opened(scenario.calendar).open_seconds(first) * scenario.length / first
