"""The external system behind a waiting step: a nightly batch, or a service that answers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from attrs import frozen
from scipy import stats

from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Floats
from asyncsim.model.systems import ExternalSystem, OnlineService
from asyncsim.study.calibration.account import Finding, Gap, p_text
from asyncsim.study.calibration.batches import LEVEL, Verdict, find_batch
from asyncsim.study.calibration.durations import LawFit, fit_law
from asyncsim.study.calibration.nights import fit_batch, law_finding
from asyncsim.study.calibration.settings import Settings

DEPENDENT = 0.1
"""External times depend on each other if their rank correlation is above this, not by chance."""


@frozen(eq=False)
class SystemFit:
    """A fitted external system.

    Attributes
    ----------
    system
        What a scenario plays.
    law
        The law of its item time.
    verdict
        Whether it is a batch.
    armed, done
        Instants of the waits that have ended, in seconds.
    what
        What `done` is: ``"completed"``, or ``"resumed"`` where the log does not say.
    findings, gaps
        For the account.
    """

    system: ExternalSystem
    law: LawFit
    verdict: Verdict
    armed: Floats
    done: Floats
    what: str
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]


def fit_system(
    name: str,
    waits: pd.DataFrame,
    calendar: Calendar,
    settings: Settings,
) -> SystemFit:
    """Fit an external system to the waits for it.

    Parameters
    ----------
    name
        Of the system.
    waits
        ``step, armed, completed, resumed`` in seconds, one row per wait.
    calendar
        Whose clock a batch goes by.
    settings
        Of the fit.

    Raises
    ------
    ScenarioError
        If no wait for it has ended.
    """
    waits = waits[waits["armed"].notna()].sort_values(["armed"], kind="stable")
    what = "completed" if waits["completed"].notna().any() else "resumed"
    armed, done = waits["armed"].to_numpy(), waits[what].to_numpy()
    ended = np.isfinite(done)
    if not ended.any():
        raise ScenarioError(f"system {name!r}: the log has no wait for it that has ended")
    verdict = find_batch(armed[ended], done[ended], calendar, settings.rng)
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    never = int((~ended).sum())
    if verdict.batch:
        batch = fit_batch(name, armed, done, verdict, calendar, settings)
        system: ExternalSystem = batch.system
        law, findings, gaps = batch.item, batch.findings, batch.gaps
    else:
        cut, never = _cut_off(armed, done, waits["ended"].to_numpy(), settings.until)
        law = fit_law(np.maximum(done - armed, 0.0)[ended], settings.rng, settings.confidence, cut)
        system = OnlineService(law.law, lanes=None)
        why = Finding(name, "nightly batch", "no", int(ended.sum()), "", verdict.why)
        findings = (why, law_finding(name, "external time", law))
        gaps = tuple(_service_gaps(name, armed[ended], done[ended], verdict))
    gaps += tuple(law_gaps(name, "item time" if verdict.batch else "external time", law))
    gaps += tuple(_log_gaps(name, what, never, len(ended)))
    return SystemFit(system, law, verdict, armed[ended], done[ended], what, findings, gaps)


def _cut_off(armed: Floats, done: Floats, ended: Floats, until: float) -> tuple[Floats, int]:
    """Return how long waits lasted that were given up or open at the end, and how many are lost.

    What has been open for longer than any wait took that ended says nothing of how long they take.
    """
    is_open = np.isnan(done)
    given_up = is_open & np.isfinite(ended)
    age = np.where(given_up, ended, until) - armed
    cut = given_up | (is_open & (age <= np.nanmax(done - armed)))
    return np.maximum(age[cut], 0.0), int((is_open & ~cut).sum())


def law_gaps(part: str, what: str, law: LawFit) -> list[Gap]:
    """Say what a fitted law leaves open."""
    found = []
    if law.rejected:
        best = law.candidates["law"].iloc[0]
        meaning = (
            "the times themselves are drawn again; nothing above the longest of them can happen"
        )
        found.append(
            Gap(part, f"law of the {what}", f"{best} rejected ({p_text(law.p)})", meaning)
        )  # fmt: skip
    if law.rounded and law.rejected:
        meaning = (
            "many times are equal, so they were rounded: tests of a law reject it for that alone"
        )
        found.append(Gap(part, f"rounding of the {what}", "yes", meaning))
    return found


def _service_gaps(name: str, armed: Floats, done: Floats, verdict: Verdict) -> list[Gap]:
    found = []
    times = done - armed
    if len(times) >= 20 and float(np.ptp(times)) > 0:
        correlation = stats.spearmanr(times[:-1], times[1:])
        if float(correlation.pvalue) < LEVEL and abs(float(correlation.statistic)) > DEPENDENT:
            found.append(
                Gap(
                    name, "dependence of external times",
                    f"rank correlation {correlation.statistic:.2f} with the next",
                    "as in a queue with few lanes, or where hours of the day matter; the scenario "
                    "draws them independently",
                )
            )  # fmt: skip
    if not math.isnan(verdict.p) and verdict.p < LEVEL:
        found.append(
            Gap(
                name, "completions by time of day", p_text(verdict.p),
                "they keep to a part of the day, yet not as a batch does (working hours, say); the "
                "scenario lets them happen at any time",
            )
        )  # fmt: skip
    return found


def _log_gaps(name: str, what: str, never: int, waits: int) -> list[Gap]:
    found = []
    if what == "resumed":
        found.append(
            Gap(
                name, "completions", "not in the log",
                "external times end when the step resumed, and hold the delay of noticing as "
                "well; give requests= with the completions by serial number",
            )
        )  # fmt: skip
    if never:
        found.append(
            Gap(
                name, "waits that have not ended", f"{never} of {waits}",
                "open at the end of the log, longer than others took or until a next night: in no "
                "law",
            )
        )  # fmt: skip
    return found
