"""The external system behind a waiting step: a nightly batch, or a service that answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.durations import Floats
from asyncsim.model.systems import ExternalSystem
from asyncsim.study.calibration.account import Finding, Gap
from asyncsim.study.calibration.batches import Verdict, find_batch
from asyncsim.study.calibration.durations import LawFit
from asyncsim.study.calibration.nights import fit_batch
from asyncsim.study.calibration.reading import done_column
from asyncsim.study.calibration.services import fit_service
from asyncsim.study.calibration.settings import Settings


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
    gaps = (*found.gaps, *_log_gaps(name, what, found.never, len(ended)))
    return SystemFit(
        found.system, found.law, verdict, armed[ended], done[ended], what, found.findings, gaps
    )


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
                "given up or open at the end of the log, longer than others took or until a next "
                "night: in no law",
            )
        )  # fmt: skip
    return found
