"""The external system behind a waiting step: a nightly batch, an online service, or people.

Time-outs are estimated from the waits that were given up.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy
from attrs import frozen

from asyncsim.calibration.batch import FittedSystem, fit_batch
from asyncsim.calibration.batch_detection import SHORTER, BatchVerdict, find_batch
from asyncsim.calibration.distribution_fit import (
    DistributionFit,
    distribution_finding,
    distribution_gaps,
    fit_distribution,
    six_digits,
)
from asyncsim.calibration.findings import LEVEL, SHOWN, Finding, Gap, Settings, p_text
from asyncsim.calibration.lane_count import Queue, lanes_finding, queue_of
from asyncsim.calibration.log_reader import done_column
from asyncsim.calibration.working_hours import Working, break_gaps, rhythm_gaps, working_hours
from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.systems import ExternalSystem, OnlineService, People

FEWEST = 5
SAME = 0.01  # waits were given up after the same time if nearly all differ by no more
MOST = 0.9


@frozen
class GivenUp:
    """Waits of a step that were given up."""

    timeout: float | None  # seconds; None if after different times, or too few were given up
    goes_on: bool  # whether their instances continued with another step, and did not fail
    findings: tuple[Finding, ...] = ()  # for the account
    gaps: tuple[Gap, ...] = ()


def given_up(steps: pd.DataFrame, name: str) -> GivenUp:
    """Return after how long a step gives up waiting, and what follows."""
    waits = steps[(steps["step"] == name) & steps["armed"].notna()]
    gone = waits[waits["aborted"]]
    if gone.empty:
        return GivenUp(None, False)
    after = (gone["ended"] - gone["armed"]).to_numpy()
    usual = float(np.median(after))
    last = steps.groupby("case")["first"].max()
    goes = waits["case"].map(last) > waits["first"]
    on = float(goes[waits["aborted"]].mean())
    amount = f"{len(gone)} of {len(waits)}"
    if len(gone) < FEWEST or np.mean(np.abs(after - usual) <= SAME * usual) < MOST:
        meaning = "after different times, or too few to tell: the scenario's waits never give up"
        return GivenUp(None, False, (), (Gap(name, "waits that were given up", amount, meaning),))
    goes_on = on > 0.5
    at_the_end = not goes.any()  # nor do instances whose wait was answered go on
    then = "" if at_the_end else f"; their instances {'went on' if goes_on else 'failed'}"
    how = f"{amount} waits were given up{then}"
    interval = f"{after.min():.4g} to {after.max():.4g} s"
    found = Finding(name, "time-out", f"{usual:.6g} s", len(gone), interval, how)
    gaps = []
    if at_the_end:
        meaning = "no step comes after it, so the log does not tell; the scenario's instances fail"
        gaps.append(Gap(name, "what follows a time-out", "not known", meaning))
    if (others := round(min(on, 1 - on) * len(gone))) >= FEWEST:
        meaning = "some instances went on and some failed; the scenario does what most did"
        gaps.append(Gap(name, "what follows a time-out", f"{others} of {len(gone)}", meaning))
    return GivenUp(six_digits(usual), goes_on, (found,), tuple(gaps))


DEPENDENT = 0.1  # external times with a higher rank correlation, not by chance, are dependent
CEASED = 0.02  # answers have ceased if no larger share comes in the second half of the wait
GIVEN_UP = 0.01  # if more were given up, the time they occupied a lane is unknown


def fit_service(
    name: str, waits: pd.DataFrame, done: Floats, verdict: BatchVerdict, calendar: Calendar,
    settings: Settings,
) -> FittedSystem:  # fmt: skip
    """Fit a service, or people if completions keep to working hours; open waits are NaN."""
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
    law = fit_distribution(times, settings.rng, settings.confidence, cut)
    n, what = int((~is_open).sum()), "item time" if hours or lanes else "external time"
    findings = [
        Finding(name, "nightly batch", "no", n, "", verdict.why),
        *lanes_finding(name, lanes, n),
        distribution_finding(name, what, law),
    ]
    if hours is not None:
        found = f"{hours.between[0]} to {hours.between[1]}, {hours.days}"
        how = "requests waited outside of working hours; the roundest clock times that agree"
        findings.insert(1, Finding(name, "working hours", found, hours.over_night, "", how))
    left = _left(name, verdict, hours, times)
    gaps = (*seen, *_unknown(name, hours, queue, lanes), *left, *distribution_gaps(name, what, law))
    system: ExternalSystem = OnlineService(law.law, lanes=lanes)
    if hours is not None:
        system = People(lanes or queue.peak, law.law, between=hours.between, days=hours.days)
    return FittedSystem(system, law, tuple(findings), gaps, int(never.sum()))


def _are_lost(times: Floats, after: Floats) -> bool:
    """Return whether waits were given up when answers had long ceased to come."""
    if not len(after):
        return False
    late = float(np.median(after)) / 2
    early, rest = int(np.sum(times <= late)), int(np.sum(times > late))
    return rest < CEASED * early and len(after) > rest


def _unknown(name: str, hours: Working | None, queue: Queue, lanes: int | None) -> list[Gap]:
    found = []
    if lanes is None:
        many = f"{queue.peak} people are" if hours else "any number is"
        meaning = (
            f"{many} assumed, so that no request waits for another; if they do, times hold that "
            "waiting, and a larger volume would lengthen them"
        )
        found.append(Gap(name, "lanes", "cannot be determined", meaning))
    if hours is not None and hours.idle:
        some = ", ".join(str(day) for day in hours.idle[:SHOWN])
        more = f" and {len(hours.idle) - SHOWN} more" if len(hours.idle) > SHOWN else ""
        meaning = f"{some}{more}: public holidays, perhaps (see holidays= of People)"
        found.append(Gap(name, "working days without work done", str(len(hours.idle)), meaning))
    return found


def _left(name: str, verdict: BatchVerdict, hours: Working | None, times: Floats) -> list[Gap]:
    found = []
    if len(times) >= 20 and float(np.ptp(times)) > 0:
        correlation = scipy.stats.spearmanr(times[:-1], times[1:])
        if float(correlation.pvalue) < LEVEL and abs(float(correlation.statistic)) > DEPENDENT:
            amount = f"rank correlation {correlation.statistic:.2f} with the next"
            meaning = (
                "as in a queue that is not first come, first served, or where hours of the day "
                "matter; the scenario draws them independently"
            )
            found.append(Gap(name, "dependence of external times", amount, meaning))
    if hours is None and verdict.p < LEVEL and verdict.arc < SHORTER * verdict.expected_arc:
        meaning = (
            "they keep to a part of the day, yet neither as a batch nor as people at work do; "
            "the scenario lets them happen at any time"
        )
        found.append(Gap(name, "completions by time of day", p_text(verdict.p), meaning))
    return found


@frozen(eq=False)
class SystemFit:
    """A fitted external system, the fit of its item time, and whether it is a batch.

    `armed` and `done` are instants of the waits that have ended; `what` is when they were done:
    ``"completed"``, or ``"resumed"`` where the log does not say.
    """

    system: ExternalSystem
    law: DistributionFit
    verdict: BatchVerdict
    armed: Floats
    done: Floats
    what: str
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]


def fit_system(name: str, waits: pd.DataFrame, calendar: Calendar, settings: Settings) -> SystemFit:
    """Fit an external system to the waits for it, at least one of which must have ended."""
    waits = waits[waits["armed"].notna()].sort_values(["armed"], kind="stable")
    what = done_column(waits)
    armed, done = waits["armed"].to_numpy(), waits[what].to_numpy()
    ended = np.isfinite(done)
    if not ended.any():
        raise ScenarioError(f"system {name!r}: the log has no wait for it that has ended")
    verdict = find_batch(armed[ended], done[ended], calendar, settings.rng)
    if verdict.batch:
        found = fit_batch(name, armed, done, verdict, calendar, settings)
    else:
        found = fit_service(name, waits, done, verdict, calendar, settings)
    gaps = [*found.gaps]
    if what == "resumed":
        meaning = (
            "external times end when the step resumed, and hold the delay of noticing as "
            "well; give requests= with the completions by serial number"
        )
        gaps.append(Gap(name, "completions", "not in the log", meaning))
    if found.never:
        amount = f"{found.never} of {len(ended)}"
        meaning = (
            "given up or open at the end of the log, longer than others took or until a next "
            "night: in no law"
        )
        gaps.append(Gap(name, "waits that have not ended", amount, meaning))
    return SystemFit(
        found.system, found.law, verdict, armed[ended], done[ended], what, found.findings,
        tuple(gaps),
    )  # fmt: skip
