"""What a nightly batch is like: start, item time, days, cut-off, and failed or full nights."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import scipy
from attrs import frozen

from asyncsim.calibration.batch_detection import BatchVerdict, ObservedNight, clock_of
from asyncsim.calibration.distribution_fit import (
    DistributionFit,
    distribution_finding,
    distribution_gaps,
    fit_distribution,
    six_digits,
)
from asyncsim.calibration.findings import LEVEL, SHOWN, Finding, Gap, Settings, share_text
from asyncsim.calibration.lane_count import lanes_finding, lanes_of_nights
from asyncsim.calibration.log_reader import NO_ZONE
from asyncsim.calibration.working_hours import clock_text, days_text, roundest
from asyncsim.experiment.statistics import student_t
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Fixed, Floats
from asyncsim.model.systems import ExternalSystem, NightlyBatch
from asyncsim.model.units import DAY, DAY_NAMES, HOUR, text_of

SLACK = 60.0  # how late a scheduler may be, in seconds
SOON = 1.0  # a batch that is at its first item this soon, in seconds, is not late
FINE = 3.0  # a clock with fewer steps than this between completions is coarse
MANY = 0.1  # a larger share of completions outside the batch is hardly single strays
# Standard errors before, or around, the estimated start within which it is searched: with fewer, a
# round clock time that is right is missed; with more, a rounder one is taken instead
BEFORE, AROUND = 3, 2
UNKNOWN = 900.0  # … and seconds before the earliest end where the error is unknown
LATE_ERRORS = 4  # standard errors from which a batch is late; fewer would question good logs
AT_END = 0.9  # results come at the end if this share of the gaps within nights is zero
AT_ONCE = 1e-6  # completions within a microsecond, the last digit of a timestamp, are at one time


@frozen(eq=False)
class FittedSystem:
    """An external system as it was found."""

    system: ExternalSystem  # what a scenario plays
    law: DistributionFit  # of its item time
    findings: tuple[Finding, ...]  # for the account
    gaps: tuple[Gap, ...]
    never: int  # waits that did not end and are in no distribution, beside those that `gaps` has


@frozen(eq=False)
class _Pace:
    start: float
    guess: float
    error: float
    item: DistributionFit
    how: str
    at_end: bool = False
    coarse: bool = False
    together: str = ""
    lanes: int | None = None


def _pace_of(
    first: Floats, last: Floats, came: Floats, done: Floats, nights: tuple[ObservedNight, ...],
    settings: Settings,
) -> _Pace:  # fmt: skip
    """Return the pace of nights, of clocks of first and last completions and of all instants."""
    gaps = np.concatenate([np.diff(done[night.items]) for night in nights])
    counts = np.array([len(night.items) for night in nights])
    coarse = bool(len(gaps)) and gaps.mean() < FINE * settings.resolution
    # By a clock without seconds completions look simultaneous: whole nights must, not just pairs
    together = (last - first)[counts > 1] <= AT_ONCE if coarse else gaps <= AT_ONCE
    zero = float(np.mean(together)) if len(together) else 0.0
    at_end = zero >= AT_END
    lanes, times = None, gaps  # if nothing shows the number of lanes, gaps are what one lane took
    if not (at_end or coarse):
        came_at, done_at = ([at[night.items] for night in nights] for at in (came, done))
        lanes, took = lanes_of_nights(came_at, done_at, settings.resolution)
        times = took if lanes else gaps
    if at_end:
        pace = _from_ends(last, counts, settings)
    else:
        pace = _from_gaps(first, times, lanes or 1, coarse, settings)
    shown = f"{zero:.0%} of {'nights show one instant' if coarse else 'the gaps are zero'}"
    return attrs.evolve(pace, at_end=at_end, coarse=coarse, together=shown, lanes=lanes)


def fit_batch(
    name: str, submitted: Floats, completed: Floats, verdict: BatchVerdict, calendar: Calendar,
    settings: Settings,
) -> FittedSystem:  # fmt: skip
    """Fit a nightly batch to requests that come from one; `completed` is NaN for open ones."""
    closed = np.flatnonzero(np.isfinite(completed))
    nights = tuple(night.at(closed) for night in verdict.nights)
    clocks = clock_of(np.where(np.isfinite(completed), completed, 0.0), calendar)
    first = np.array([clocks[night.items[0]] - night.date * DAY for night in nights])
    last = np.array([clocks[night.items[-1]] - night.date * DAY for night in nights])
    pace = _pace_of(first, last, submitted, completed, nights, settings)
    schedule = Schedule.of(submitted, completed, nights, pace.start, calendar)
    cut_off, cut_finding = cut_off_of(name, schedule)
    lead = 0.0 if cut_off is None else (pace.start - cut_off) % DAY
    days, skip, day_findings = days_of(name, schedule, lead, calendar, settings.confidence)
    limits, limit_findings, gaps_left = limits_of(
        name, schedule, lead, last, pace.item.mean / (pace.lanes or 1), settings.confidence
    )
    described: dict[str, Any] = {"days": days, "skip": skip, "lanes": pace.lanes or 1, **limits}
    system = NightlyBatch(
        clock_text(pace.start), pace.item.law, results="at end" if pace.at_end else "per item",
        cut_off=None if cut_off is None else clock_text(cut_off), **described,
    )  # fmt: skip
    items = sum(len(night.items) for night in nights)
    spread = f"first completions {clock_text(first.min())} to {clock_text(first.max())}, start near"
    wide = student_t(settings.confidence, max(len(nights) - 1, 1))
    error = f" ± {wide * pace.error:.1f} s" if math.isfinite(pace.error) else ""
    findings = (
        Finding(name, "nightly batch", "yes", items, "", verdict.why),
        Finding(
            name, "start", clock_text(pace.start), len(nights),
            f"{spread} {clock_text(pace.guess)}{error}",
            f"{pace.how}; the roundest clock time that agrees",
        ),
        *day_findings,
        distribution_finding(name, "item time", pace.item),
        Finding(name, "results", system.results, items, "", pace.together),
        *lanes_finding(name, pace.lanes, items),
        cut_finding,
        *limit_findings,
    )  # fmt: skip
    unexplained = (
        *_unknown(name, verdict, pace), *_late(name, pace, settings.resolution),
        *_jump(name, first, nights, calendar), *_lost(name, schedule), *gaps_left,
        *distribution_gaps(name, "item time", pace.item),
    )  # fmt: skip
    waiting = int(schedule.waiting.sum() - schedule.lost.sum())
    return FittedSystem(system, pace.item, findings, unexplained, waiting)


def _from_gaps(first: Floats, times: Floats, lanes: int, coarse: bool, settings: Settings) -> _Pace:
    """Return the pace of results that come one by one, the first an item time after the start."""
    item = fit_distribution(times if len(times) else np.zeros(1), settings.rng, settings.confidence)
    if coarse:
        item = _only_mean(item, float(times.mean()), (item.low, item.high))
    # Of several lanes the first is the shortest of as many item times: its median
    shortest = float(np.quantile(item.times, 1 - 0.5 ** (1 / lanes)))
    guess = float(np.median(first)) - shortest
    spread = float(np.std(first, ddof=1)) if len(first) > 1 else float(np.std(item.times))
    error = 1.25 * spread / math.sqrt(len(first))  # of a median, were they normal
    start = roundest(guess - max(SLACK, BEFORE * error), float(first.min()), guess)
    return _Pace(start, guess, error, item, "first completion less an item time, in the median")


def _from_ends(last: Floats, counts: np.ndarray[Any, Any], settings: Settings) -> _Pace:
    """Return the pace of results that come at the end, by a line of ends of nights over items."""
    n, how = len(last), "the earliest end of a night; too few nights for more"
    guess, error, slope, slope_error = float(last.min()), math.nan, 0.0, math.nan
    if n >= 3 and len(np.unique(counts)) > 1:
        line = scipy.stats.linregress(counts, last)
        if line.slope > 0:
            guess, error = float(line.intercept), float(line.intercept_stderr)
            slope, slope_error = float(line.slope), float(line.stderr)
            how = "ends of nights over their items, a line"
    wide = max(SLACK, AROUND * error) if slope else UNKNOWN
    start = roundest(guess - wide, min(guess + (wide if slope else 0), float(last.min())), guess)
    mean = max(float(np.mean((last - start) / counts)), 0.0)
    half = student_t(settings.confidence, max(n - 2, 1)) * slope_error
    ends = (mean - half, mean + half)
    times = np.maximum((last - start) / counts, 0.0)
    item = fit_distribution(times, settings.rng, settings.confidence)
    return _Pace(start, guess, error, _only_mean(item, mean, ends), how)


def _only_mean(item: DistributionFit, mean: float, ends: tuple[float, float]) -> DistributionFit:
    low, high = ends
    return attrs.evolve(
        item, law=Fixed(six_digits(mean)), rejected=False, candidates=item.candidates[:0],
        best=None, mean=mean, low=low, high=high, rounded=False,
    )  # fmt: skip


def _late(name: str, pace: _Pace, resolution: float) -> list[Gap]:
    late = pace.guess - pace.start
    if not late > max(LATE_ERRORS * pace.error, SOON, resolution):  # nor if the error is not known
        return []
    meaning = "the scenario's batch is at its first item on the stroke of its start"
    return [Gap(name, "time from its start to its first item", text_of(late, 3), meaning)]


def _jump(
    name: str, first: Floats, nights: tuple[ObservedNight, ...], calendar: Calendar
) -> list[Gap]:
    """Report whether nights begin an hour earlier or later from one of them on."""
    for k in range(2, len(first) - 1 if calendar.zone in NO_ZONE else 0):
        before, after = float(np.median(first[:k])), float(np.median(first[k:]))
        step = abs(after - before)
        steady = max(np.ptp(first[:k]), np.ptp(first[k:])) < HOUR / 4
        if steady and abs(step - HOUR) < 2 * SLACK:
            amount = f"{'+' if after > before else '-'}1 h from {calendar.day(nights[k].date)} on"
            meaning = (
                "as if clocks were changed: a log in UTC of a batch that goes by a local clock "
                "looks so; give timestamps with their offset, or +00:00, and zone="
            )
            return [Gap(name, "jump of the start", amount, meaning)]
    return []


def _unknown(name: str, verdict: BatchVerdict, pace: _Pace) -> list[Gap]:
    found = []
    if pace.lanes is None:
        meaning = "one is assumed; several lanes with longer items complete at the same pace"
        found.append(Gap(name, "lanes of the batch", "cannot be determined", meaning))
    if pace.at_end or pace.coarse:
        why = "results come at the end" if pace.at_end else "the log's clock is too coarse"
        meaning = f"{why}, so that only the mean can be determined"
        found.append(Gap(name, "law of the item time", "cannot be determined", meaning))
    if verdict.strays:
        items = sum(len(night.items) for night in verdict.nights)
        share = verdict.strays / (verdict.strays + items)
        meaning = "completed far from the hours of the batch; nothing in the scenario does that"
        if share > MANY:
            meaning += ": is there a second batch a day, or another way to be done?"
        amount = f"{verdict.strays} ({share:.2%})"
        found.append(Gap(name, "completions outside the batch", amount, meaning))
    if len(verdict.nights) < 3:
        meaning = "its days, failed nights and cut-off need more of them"
        found.append(Gap(name, "nights of the batch", str(len(verdict.nights)), meaning))
    return found


FEWEST = 5  # fewer requests that waited for another night do not make a cut-off
WRONG = 0.1  # wrongly classified requests a cut-off may have for each one that it explains
BROKEN = 0.1  # least median share left by nights that break down anywhere (half, on average)
# Otherwise a night broke down if it left this many times what every night leaves: with less, nights
# that only trickle would be failures; with more, a breakdown near the end is missed
STANDS_OUT = 3
LEFT, LEFT_SHARE = 2, 0.01  # fewer requests, or a smaller share, need no explanation
# Ends within this many seconds, or usual gaps between completions, may be one clock time: with
# less, an end whose last item takes long is missed; with more, breakdowns in a row look like one
NEAR, NEAR_GAPS = 60.0, 10
MOST = 0.99  # a scenario's batch cannot break down every night
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@frozen(eq=False)
class Schedule:
    """Requests and the runs of a batch."""

    came: Floats  # submissions, in seconds since the start of the calendar
    clock: Floats  # what the clock showed then, since the first midnight: cut-offs go by it
    done: Ints  # position of the night that completed a request; -1 if none did, or not yet
    waiting: Flags  # which requests are open
    nights: tuple[ObservedNight, ...]  # the runs
    start: float  # when they start, in seconds of the day
    calendar: Calendar  # whose clock they go by

    @classmethod
    def of(
        cls, came: Floats, completed: Floats, nights: tuple[ObservedNight, ...], start: float,
        calendar: Calendar,
    ) -> Schedule:  # fmt: skip
        """Return the schedule of requests; `completed` has NaN for those that are open."""
        done = np.full(len(came), -1)
        for k, night in enumerate(nights):
            done[night.items] = k
        clock = clock_of(came, calendar)
        return cls(came, clock, done, np.isnan(completed), nights, start, calendar)

    @property
    def dates(self) -> Ints:
        """Days of the runs."""
        return np.array([night.date for night in self.nights])

    def begin(self, date: int) -> float:
        """Return the instant at which a run on a day starts."""
        shift, clock = divmod(self.start, DAY)
        return self.calendar.instant(self.calendar.day(date + int(shift)), clock_text(clock))

    @cached_property
    def due(self) -> Ints:
        """Position of the first run after each request; the number of runs if there is none."""
        return np.searchsorted([self.begin(int(date)) for date in self.dates], self.came)

    @property
    def lead(self) -> Floats:
        """How long before that run a request came, by the clock; NaN if there was none."""
        begins = np.append(self.dates * DAY + self.start, np.nan)
        lead: Floats = np.maximum(begins[self.due] - self.clock, 0.0)
        return lead

    @property
    def left(self) -> Flags:
        """Which requests had come before a run and were done by a later one."""
        return self.done > self.due

    @property
    def lost(self) -> Flags:
        """Which are open although a later run has completed requests that came after them."""
        latest = [float(self.came[night.items].max()) for night in self.nights]
        later = np.maximum.accumulate([-np.inf, -np.inf, *latest[::-1]])[::-1]
        return self.waiting & (later[np.minimum(self.due + 1, len(latest))] > self.came)


def cut_off_of(name: str, schedule: Schedule) -> tuple[float | None, Finding]:
    """Find the clock time that divides requests left for the next night; None for the start."""
    known = (schedule.done == schedule.due) | schedule.left
    known &= np.isfinite(schedule.lead)
    lead, left = schedule.lead[known], schedule.left[known]
    order = np.lexsort((~left, lead))
    lead, left = lead[order], left[order]
    none = "none beside the start"
    if not left.any():
        return None, Finding(name, "cut-off", none, len(lead), "", "no request was left by a night")
    k = int(np.argmax(np.cumsum(np.where(left, 1, -1))))
    caught, wrong = int(left[: k + 1].sum()), int((~left[: k + 1]).sum())
    nights = len(np.unique(schedule.due[known][order][: k + 1][left[: k + 1]]))
    before = ~left[k + 1 :]  # of those that came before it, most must have been done
    divides = before.sum() >= FEWEST and before.mean() > 0.5
    if caught < FEWEST or wrong > WRONG * caught or nights < 2 or not divides:
        how = f"{left.sum()} requests were left by a night, but not those after one time of the day"
        return None, Finding(name, "cut-off", none, len(lead), "", how)
    high, low = schedule.start - float(lead[k]), schedule.start - float(lead[k + 1])
    clock = roundest(low, high, (low + high) / 2)
    how = f"{caught} requests after it were left on {nights} nights, {wrong} were not"
    between = f"between {clock_text(low)} and {clock_text(high)}"
    return clock % DAY, Finding(name, "cut-off", clock_text(clock), caught, between, how)


def days_of(
    name: str, schedule: Schedule, lead: float, calendar: Calendar, confidence: float
) -> tuple[str, float, list[Finding]]:
    """Return the days it runs on and the share of nights that failed although work waited."""
    ran = schedule.dates.tolist()
    known = schedule.done >= 0  # what is never done waits on any day, and tells nothing
    came, clock = schedule.came[known], schedule.clock[known]
    night_of = schedule.dates[schedule.done[known]]

    def waited(date: int) -> bool:
        in_time = clock <= date * DAY + schedule.start - lead
        return bool(np.any(in_time & (came <= schedule.begin(date)) & (night_of > date)))

    first = int(schedule.clock.min() // DAY)
    idle = [date for date in range(first, ran[-1]) if date not in ran and waited(date)]
    weekday = {k: calendar.day(k).weekday() for k in (*ran, *idle)}
    on = {weekday[k] for k in ran}
    never = {weekday[k] for k in idle} - on
    chances = {k: sum(weekday[date] == k for date in idle) for k in sorted(never)}
    others = len(idle) - sum(chances.values())
    by_chance = ((others + 0.5) / (others + len(ran) + 1)) ** sum(chances.values())
    off = never if by_chance < LEVEL else set()  # failed nights would hardly do that
    unseen = set(range(7)) - on - never
    days = (on | never | (set() if off else unseen)) - off
    text = days_text(days)
    how = [f"no run on {DAY_NAMES[k]}, though work waited {n} times" for k, n in chances.items()]
    if never and not off:
        how.append("which failed nights may explain")
    if unseen:
        how.append(f"no work waited on {', '.join(DAY_NAMES[k][:3] for k in sorted(unseen))}")
    findings = [Finding(name, "days", text, len(ran), "", "; ".join(how))]
    failed = [k for k in idle if weekday[k] not in off]
    total = len(failed) + len(ran)
    if failed:
        more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        dates = ", ".join(str(calendar.day(k)) for k in failed[:SHOWN]) + more
        findings.append(
            Finding(
                name, "nights without a run", f"{len(failed)} of {total}", total,
                share_text(len(failed), total, confidence), f"work waited on {dates}",
            )
        )  # fmt: skip
    return text, len(failed) / total, findings


def limits_of(
    name: str, schedule: Schedule, lead: float, last: Floats, gap: float, confidence: float
) -> tuple[dict[str, object], list[Finding], list[Gap]]:
    """Report why nights left requests that were in time: a limit, an end, or a breakdown."""
    counts = np.array([len(night.items) for night in schedule.nights])
    came, due, done = _in_time(schedule, lead)
    n = len(counts)
    left = np.cumsum(np.bincount(due, minlength=n) - np.bincount(done, minlength=n))
    share = left / (left + counts)
    is_full = left >= np.maximum(LEFT, LEFT_SHARE * counts)
    full = np.flatnonzero(is_full)
    if not len(full):
        return {}, [], []
    of = f"{len(full)} of {len(counts)} nights"
    if len(full) >= 2 and len(set(counts[full].tolist())) == 1 and counts.max() == counts[full[0]]:
        most = int(counts[full[0]])
        how = f"{of} left requests, each after {most} items"
        found = Finding(name, "items a night", f"at most {most}", len(full), "", how)
        return {"max_items": most}, [found], []
    near = max(NEAR, NEAR_GAPS * gap)
    sharp = all(came[(due <= k) & (done > k)].min() >= came[done == k].max() for k in full)
    if len(full) >= 2 and np.ptp(last[full]) <= near and _ends(last, left, is_full, sharp):
        low, high = float(last[full].min()) - near, float(last[full].max())
        end = clock_text(roundest(low, high, float(last[full].min())))
        between = f"last completions from {clock_text(low)} to {clock_text(high)}"
        how = f"{of} left requests, and stopped at the same time"
        return {"end": end}, [Finding(name, "end", end, len(full), between, how)], []
    broken = is_full & _broken(share, is_full, left)
    gaps = [_trickle(name, schedule, lead, is_full & ~broken)] if (is_full & ~broken).any() else []
    k = int(broken.sum())
    if not k:
        return {}, [], gaps
    how = f"{int(left[broken].sum())} requests that were in time waited for another night"
    of, interval = f"{k} of {len(counts)} nights", share_text(k, len(counts), confidence)
    found = Finding(name, "nights that broke down", of, len(counts), interval, how)
    return {"failure": min(k / len(counts), MOST)}, [found], gaps


def _in_time(schedule: Schedule, lead: float) -> tuple[Floats, Ints, Ints]:
    """Return when requests came, the first night they were in time for, and that which did them."""
    known = schedule.done >= 0
    done, late = schedule.done[known], schedule.lead[known] < lead
    due = np.minimum(schedule.due[known] + late, done)  # a run that begins late may take more
    return schedule.came[known], due, done


def _ends(last: Floats, left: Ints, full: Flags, sharp: bool) -> bool:
    """Distinguish an end from noise: nights that left nothing ended earlier."""
    others, at = last[left == 0], last[full]
    if not len(others):
        return sharp
    earlier = np.mean(others < at.min()) >= 1 - WRONG
    clear = scipy.stats.mannwhitneyu(at, others, alternative="greater").pvalue < LEVEL
    return bool(earlier and (sharp or clear))


def _broken(share: Floats, full: Flags, left: Ints) -> Flags:
    """Return which nights broke down: at a uniformly distributed item (a KS test)."""
    uniform = scipy.stats.kstest(share[full], "uniform").pvalue >= LEVEL
    if uniform and np.median(share[full]) >= BROKEN:
        return full
    return (share >= max(BROKEN, STANDS_OUT * float(np.median(share)))) & (left >= FEWEST)


def _trickle(name: str, schedule: Schedule, lead: float, nights: Flags) -> Gap:
    left = np.flatnonzero(schedule.left & (schedule.lead >= lead))
    left = left[nights[schedule.due[left]]]
    before = float(np.median(schedule.lead[left])) / 3600 if len(left) else 0.0
    return Gap(
        name, "requests shortly before the start are left",
        f"{len(left)} on {int(nights.sum())} of {len(nights)} nights",
        f"half of them came less than {before:.2g} h before it, others as late were done: a "
        "blurred cut-off, or another system before the batch; the scenario's batch takes them",
    )  # fmt: skip


def _lost(name: str, schedule: Schedule) -> list[Gap]:
    lost = int(schedule.lost.sum())
    if not lost:
        return []
    n = len(schedule.came)
    meaning = (
        "open although later nights completed requests that came after them (or their completion "
        "was not logged); the scenario's batch completes every request"
    )
    return [Gap(name, "lost or rejected", f"{lost} of {n} ({lost / n:.2%})", meaning)]
