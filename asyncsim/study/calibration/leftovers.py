"""What a nightly batch leaves for another night: days, cut-off, failed and full nights."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import DAY_NAMES
from asyncsim.study.calibration.account import Finding, share_interval
from asyncsim.study.calibration.batches import DAY, Night
from asyncsim.study.calibration.rounding import clock_text, roundest

FEWEST = 5
"""Fewer requests that had to wait for another night do not make a cut-off."""
WRONG = 0.1
"""A cut-off may be wrong about so many requests for one that it explains."""
LEVEL = 0.01
"""A weekday without any run is no day of the batch if failed nights would do that so rarely."""
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


@frozen(eq=False)
class Schedule:
    """Requests and the runs of a batch on the clock of its days.

    Attributes
    ----------
    came
        Clock at submission, in seconds since the first midnight.
    done
        Position of the night that completed a request; the number of nights if none did, -1 if it
        was completed outside them.
    nights
        The runs.
    start
        When they start, in seconds of the day.
    """

    came: Floats
    done: Ints
    nights: tuple[Night, ...]
    start: float

    @classmethod
    def of(
        cls, came: Floats, completed: Floats, nights: tuple[Night, ...], start: float
    ) -> Schedule:
        """Return the schedule of requests; `completed` has NaN for those that are open."""
        done = np.where(np.isnan(completed), len(nights), -1)
        for k, night in enumerate(nights):
            done[night.items] = k
        return cls(came, done, nights, start)

    @property
    def dates(self) -> Ints:
        """Days of the runs."""
        return np.array([night.date for night in self.nights])

    @property
    def due(self) -> Ints:
        """Position of the first run after each request; the number of runs if there is none."""
        return np.searchsorted(self.dates * DAY + self.start, self.came)

    @property
    def lead(self) -> Floats:
        """How long before that run a request came, in seconds; NaN if there was none."""
        begins = np.append(self.dates * DAY + self.start, np.nan)
        lead: Floats = begins[self.due] - self.came
        return lead

    @property
    def left(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which requests had come before a run and were not done by it."""
        return (self.done > self.due) & (self.due < len(self.nights))


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
    name: str, schedule: Schedule, lead: float, calendar: Calendar
) -> tuple[str, float, list[Finding]]:
    """Return the days it runs on and the share of nights that failed although work waited.

    Parameters
    ----------
    lead
        How long before the start the cut-off is, in seconds.
    """
    ran = schedule.dates.tolist()
    night_of = np.append(schedule.dates, ran[-1] + 1)[schedule.done]
    known = schedule.done >= 0
    idle = [
        date
        for date in range(int(schedule.came.min() // DAY), ran[-1])
        if date not in ran
        and bool(
            np.any(
                known & (schedule.came <= date * DAY + schedule.start - lead) & (night_of > date)
            )
        )
    ]
    weekday = {k: calendar.day(k).weekday() for k in (*ran, *idle)}
    on = {weekday[k] for k in ran}
    never = {weekday[k] for k in idle} - on
    chances = {k: sum(weekday[date] == k for date in idle) for k in sorted(never)}
    others = len(idle) - sum(chances.values())
    by_chance = ((others + 0.5) / (others + len(ran) + 1)) ** sum(chances.values())
    off = never if by_chance < LEVEL else set()
    unseen = set(range(7)) - on - never
    days = (on | never | (set() if off else unseen)) - off
    text = ", ".join(DAY_NAMES[k][:3] for k in sorted(days))
    text = {7: "every day"}.get(len(days), "Mon-Fri" if days == {0, 1, 2, 3, 4} else text)
    how = [f"no run on {DAY_NAMES[k]}, though work waited {n} times" for k, n in chances.items()]
    if never and not off:
        how.append("which failed nights may explain")
    if unseen:
        how.append(f"no work waited on {', '.join(DAY_NAMES[k][:3] for k in sorted(unseen))}")
    findings = [Finding(name, "days", text, len(ran), "", "; ".join(how))]
    failed = [k for k in idle if weekday[k] not in off]
    total = len(failed) + len(ran)
    if failed:
        dates = ", ".join(str(calendar.day(k)) for k in failed)
        findings.append(
            Finding(
                name, "nights without a run", f"{len(failed)} of {total}", total,
                share_interval(len(failed), total), f"work waited on {dates}",
            )
        )  # fmt: skip
    return text, len(failed) / total, findings


def limits_of(
    name: str, schedule: Schedule, lead: float, last: Floats, gap: float
) -> tuple[dict[str, object], list[Finding]]:
    """Say why nights left requests that were in time: a limit, an end, or a breakdown.

    Parameters
    ----------
    lead
        How long before the start the cut-off is, in seconds.
    last
        Clock of the last completion of each night, in seconds of the day it began on.
    gap
        A typical time between completions, in seconds.
    """
    left = schedule.left & (schedule.lead >= lead)
    counts = np.array([len(night.items) for night in schedule.nights])
    by_night = np.bincount(schedule.due[left], minlength=len(counts))[: len(counts)]
    full = np.flatnonzero(by_night >= np.maximum(2, 0.01 * counts))
    if not len(full):
        return {}, []
    of = f"{len(full)} of {len(counts)} nights"
    if len(full) >= 2 and len(set(counts[full].tolist())) == 1 and counts.max() == counts[full[0]]:
        most = int(counts[full[0]])
        how = f"{of} left requests, each after {most} items"
        return {"max_items": most}, [
            Finding(name, "items a night", f"at most {most}", len(full), "", how)
        ]
    if len(full) >= 2 and np.ptp(last[full]) <= max(60.0, 10 * gap):
        low, high = float(last[full].min()) - max(60.0, 10 * gap), float(last[full].max())
        end = clock_text(roundest(low, high, float(last[full].min())))
        between = f"last completions from {clock_text(low)} to {clock_text(high)}"
        how = f"{of} left requests, and stopped at the same time"
        return {"end": end}, [Finding(name, "end", end, len(full), between, how)]
    interval = share_interval(len(full), len(counts))
    how = f"{int(left.sum())} requests that were in time waited for another night"
    share = min(len(full) / len(counts), 0.99)
    return {"failure": share}, [
        Finding(name, "nights that broke down", of, len(counts), interval, how)
    ]
