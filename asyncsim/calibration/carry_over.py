"""What a nightly batch leaves for another night: days, cut-off, failed and full nights."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy
from attrs import frozen

from asyncsim.calibration.batch_detection import ObservedNight, clock_of
from asyncsim.calibration.findings import Finding, Gap, share_text
from asyncsim.calibration.settings import LEVEL, SHOWN
from asyncsim.calibration.working_hours import clock_text, days_text, roundest
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY, DAY_NAMES

FEWEST = 5
"""Fewer requests that had to wait for another night do not make a cut-off."""
WRONG = 0.1
"""A cut-off may be wrong about this many requests for one that it explains."""
BROKEN = 0.1
"""Nights that break down anywhere leave half of their work, not less than this in the median."""
STANDS_OUT = 3
"""Otherwise a night broke down if it left this many times what every night leaves.

With less nights that only trickle would be failures; with more a breakdown near the end is missed.
"""
LEFT, LEFT_SHARE = 2, 0.01
"""A night that left fewer requests, or a smaller share of its items, left none worth explaining."""
NEAR, NEAR_GAPS = 60.0, 10
"""Ends within this many seconds, or usual gaps between completions, may be one clock time.

With less an end whose last item takes long is missed; with more breakdowns in a row look like one.
"""
MOST = 0.99
"""A scenario's batch cannot break down every night."""
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@frozen(eq=False)
class Schedule:
    """Requests and the runs of a batch.

    Attributes
    ----------
    came
        Submissions, in seconds since the start of the calendar.
    clock
        What the clock showed then, in seconds since the first midnight: cut-offs go by it.
    done
        Position of the night that completed a request; -1 if none did, or not yet.
    waiting
        Which requests are open.
    nights
        The runs.
    start
        When they start, in seconds of the day.
    calendar
        Whose clock they go by.
    """

    came: Floats
    clock: Floats
    done: Ints
    waiting: Flags
    nights: tuple[ObservedNight, ...]
    start: float
    calendar: Calendar

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
        """Position of the first run after each request; the number of runs if there is none.

        By instants: in autumn the clock shows an hour twice, and a run may start between the two.
        """
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
        """Which are open although a later run has completed requests that came after them.

        What waits its turn behind a limit is not: nothing that came after it is done.
        """
        latest = [float(self.came[night.items].max()) for night in self.nights]
        later = np.maximum.accumulate([-np.inf, -np.inf, *latest[::-1]])[::-1]
        return self.waiting & (later[np.minimum(self.due + 1, len(latest))] > self.came)


def cut_off_of(name: str, schedule: Schedule) -> tuple[float | None, Finding]:
    """Find a clock time after which requests wait for the next night: None for the start itself.

    Of all times before the start, the one that divides requests that were left from those that
    were done with the fewest errors.
    """
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
    """Return the days it runs on and the share of nights that failed although work waited.

    Parameters
    ----------
    lead
        How long before the start the cut-off is, in seconds.
    confidence
        Of the interval of a share.
    """
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
    """Report why nights left requests that were in time: a limit, an end, or a breakdown.

    Parameters
    ----------
    lead
        How long before the start the cut-off is, in seconds.
    last
        Clock of the last completion of each night, in seconds of the day it began on.
    gap
        A typical time between completions, in seconds.
    confidence
        Of the interval of a share.
    """
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
    """Distinguish an end from noise: nights that left nothing ended earlier.

    And what was left came after all that was done, or they ended earlier more often than by chance.
    """
    others, at = last[left == 0], last[full]
    if not len(others):
        return sharp
    earlier = np.mean(others < at.min()) >= 1 - WRONG
    clear = scipy.stats.mannwhitneyu(at, others, alternative="greater").pvalue < LEVEL
    return bool(earlier and (sharp or clear))


def _broken(share: Floats, full: Flags, left: Ints) -> Flags:
    """Return which nights broke down: at a uniformly distributed item (a KS test).

    If it is not, only those that stand out from what every night leaves.
    """
    uniform = scipy.stats.kstest(share[full], "uniform").pvalue >= LEVEL
    if uniform and np.median(share[full]) >= BROKEN:
        return full
    return (share >= max(BROKEN, STANDS_OUT * float(np.median(share)))) & (left >= FEWEST)


def _trickle(name: str, schedule: Schedule, lead: float, nights: Flags) -> Gap:
    """Report that nights left a few requests without having broken down."""
    left = np.flatnonzero(schedule.left & (schedule.lead >= lead))
    left = left[nights[schedule.due[left]]]
    before = float(np.median(schedule.lead[left])) / 3600 if len(left) else 0.0
    return Gap(
        name, "requests shortly before the start are left",
        f"{len(left)} on {int(nights.sum())} of {len(nights)} nights",
        f"half of them came less than {before:.2g} h before it, others as late were done: a "
        "blurred cut-off, or another system before the batch; the scenario's batch takes them",
    )  # fmt: skip


def lost_gaps(name: str, schedule: Schedule) -> list[Gap]:
    """Report how many requests no night will complete any more."""
    lost = int(schedule.lost.sum())
    if not lost:
        return []
    n = len(schedule.came)
    meaning = (
        "open although later nights completed requests that came after them (or their completion "
        "was not logged); the scenario's batch completes every request"
    )
    return [Gap(name, "lost or rejected", f"{lost} of {n} ({lost / n:.2%})", meaning)]
