"""An external system that is no batch: a service that answers when it can, or people at work."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy

from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Floats
from asyncsim.model.systems import ExternalSystem, OnlineService, People
from asyncsim.study.calibration.account import Described, Finding, Gap, p_text
from asyncsim.study.calibration.batches import SHORTER, Verdict
from asyncsim.study.calibration.durations import fit_law
from asyncsim.study.calibration.explaining import lanes_finding, law_finding, law_gaps
from asyncsim.study.calibration.lanes import Queue, queue_of
from asyncsim.study.calibration.rhythms import break_gaps, rhythm_gaps
from asyncsim.study.calibration.settings import LEVEL, SHOWN, Settings
from asyncsim.study.calibration.working import Working, working_hours

DEPENDENT = 0.1
"""External times depend on each other if their rank correlation is above this, not by chance."""
CEASED = 0.02
"""Answers have ceased if so few of them come in the second half of the time that is waited."""
GIVEN_UP = 0.01
"""If more waits than this were given up, nobody knows how long they kept a lane."""


def fit_service(
    name: str,
    waits: pd.DataFrame,
    done: Floats,
    verdict: Verdict,
    calendar: Calendar,
    settings: Settings,
) -> Described:
    """Fit a service, or people if completions keep to working hours.

    Parameters
    ----------
    name
        Of the system, for the account.
    waits
        ``armed, ended`` in seconds and ``aborted``, by instant of arming.
    done
        When each was over; NaN for those that are open.
    verdict
        That it is no batch, and why.
    calendar
        Whose clock people go by.
    settings
        Of the fit.
    """
    armed, ended = waits["armed"].to_numpy(), waits["ended"].to_numpy()
    is_open = np.isnan(done)
    given_up = is_open & waits["aborted"].to_numpy()
    over = np.where(is_open, np.where(given_up, ended, settings.until), done)
    # What is open for longer than any wait took that ended says nothing of how long they take
    never = is_open & ~given_up & (over - armed > np.nanmax(done - armed))
    never |= given_up & _are_lost(done - armed, (over - armed)[given_up])
    hours = working_hours(armed[~is_open], done[~is_open], calendar)
    seen = rhythm_gaps(name, armed[~is_open], done[~is_open], calendar)
    telling = not seen and np.mean(given_up) <= GIVEN_UP  # of lanes
    if hours is not None:
        seen += break_gaps(name, done[~is_open], hours.between, calendar)
    armed, over, is_open = armed[~never], over[~never], is_open[~never]
    if hours is not None:
        armed, over = hours.seconds(armed), hours.seconds(over)
    queue = queue_of(armed, np.where(is_open, math.inf, over), settings.resolution)
    begun = queue.begun if telling else armed
    lanes = queue.lanes if telling else None
    times, cut = (over - begun)[~is_open], (over - begun)[is_open & (over > begun)]
    times = times[times > 0] if lanes else np.maximum(times, 0.0)
    law = fit_law(times, settings.rng, settings.confidence, cut)
    n, what = int((~is_open).sum()), "item time" if hours or lanes else "external time"
    findings = [
        Finding(name, "nightly batch", "no", n, "", verdict.why),
        *_hours_finding(name, hours),
        *lanes_finding(name, lanes, n),
        law_finding(name, what, law),
    ]
    left = _left(name, verdict, hours, times)
    gaps = (*seen, *_unknown(name, hours, queue, lanes), *left, *law_gaps(name, what, law))
    system: ExternalSystem = OnlineService(law.law, lanes=lanes)
    if hours is not None:
        system = People(lanes or queue.peak, law.law, between=hours.between, days=hours.days)
    return Described(system, law, tuple(findings), gaps, int(never.sum()))


def _are_lost(times: Floats, after: Floats) -> bool:
    """Tell whether waits were given up because no answer would have come, and not a late one.

    Then answers have long ceased to come when they are given up.
    """
    if not len(after):
        return False
    late = float(np.median(after)) / 2
    early, rest = int(np.sum(times <= late)), int(np.sum(times > late))
    return rest < CEASED * early and len(after) > rest


def _hours_finding(name: str, hours: Working | None) -> list[Finding]:
    if hours is None:
        return []
    found = f"{hours.between[0]} to {hours.between[1]}, {hours.days}"
    how = "requests waited while nobody was there; the roundest clock times that agree"
    return [Finding(name, "working hours", found, hours.over_night, "", how)]


def _unknown(name: str, hours: Working | None, queue: Queue, lanes: int | None) -> list[Gap]:
    """Say what is assumed of lanes, and which working days were none."""
    found = []
    if lanes is None:
        many = f"{queue.peak} people are" if hours else "any number is"
        meaning = (
            f"{many} assumed, so that no request waits for another; if they do, times hold that "
            "waiting, and a larger volume would lengthen them"
        )
        found.append(Gap(name, "lanes", "cannot be told", meaning))
    if hours is not None and hours.idle:
        some = ", ".join(str(day) for day in hours.idle[:SHOWN])
        more = f" and {len(hours.idle) - SHOWN} more" if len(hours.idle) > SHOWN else ""
        meaning = f"{some}{more}: public holidays, perhaps (see holidays= of People)"
        found.append(Gap(name, "working days without work done", str(len(hours.idle)), meaning))
    return found


def _left(name: str, verdict: Verdict, hours: Working | None, times: Floats) -> list[Gap]:
    """Say what the times leave unexplained."""
    found = []
    if len(times) >= 20 and float(np.ptp(times)) > 0:
        correlation = scipy.stats.spearmanr(times[:-1], times[1:])
        if float(correlation.pvalue) < LEVEL and abs(float(correlation.statistic)) > DEPENDENT:
            found.append(
                Gap(
                    name, "dependence of external times",
                    f"rank correlation {correlation.statistic:.2f} with the next",
                    "as in a queue that is not first come, first served, or where hours of the day "
                    "matter; the scenario draws them independently",
                )
            )  # fmt: skip
    if hours is None and verdict.p < LEVEL and verdict.arc < SHORTER * verdict.expected_arc:
        found.append(
            Gap(
                name, "completions by time of day", p_text(verdict.p),
                "they keep to a part of the day, yet neither as a batch nor as people at work do; "
                "the scenario lets them happen at any time",
            )
        )  # fmt: skip
    return found
