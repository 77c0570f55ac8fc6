"""What the workflow server does: work times of steps, and how many workers there are at least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.distribution_fit import (
    DistributionFit,
    distribution_finding,
    distribution_gaps,
    fit_distribution,
)
from asyncsim.calibration.findings import Finding, Gap, Settings
from asyncsim.model.distributions import Duration, Fixed
from asyncsim.model.server import WorkflowServer

AT_ONCE = 1e-3  # a step that began within a millisecond did not wait for a worker


@frozen(eq=False)
class ServerFit:
    """The server's part of a scenario."""

    work: dict[str, Duration]  # by step (of an asynchronous step: of its call)
    laws: dict[str, DistributionFit]  # the fits, of steps whose work the log shows
    server: WorkflowServer
    findings: tuple[Finding, ...]  # for the account
    gaps: tuple[Gap, ...]


def fit_server(
    steps: pd.DataFrame, main: Sequence[str], workers: int | None, settings: Settings
) -> ServerFit:
    """Fit the work of the steps in `main`, and count workers unless their number is known.

    From queued to started a step waits for a worker: this is not work and is not fitted; the
    simulation makes it anew.
    """
    work: dict[str, Duration] = {}
    laws: dict[str, DistributionFit] = {}
    findings: list[Finding] = []
    gaps: list[Gap] = []
    ends = steps[["ended", "resumed"]].max(axis=1)
    before = ends.where(steps["first"].notna()).groupby(steps["case"]).shift()
    for name in main:
        rows = steps[steps["step"] == name]
        waits = rows["system"].notna().any()
        times = (rows["armed"] if waits else rows["ended"]) - rows["started"]
        what = "work of the call" if waits else "work"
        if not waits and times.notna().sum() == 0:
            times = rows["ended"] - before[rows.index]
            meaning = (
                "the log has no starts: the time since the step before it ended is taken for work, "
                "and holds the waiting for a worker as well"
                if times.notna().any()
                else "neither a start nor a step before it is in the log: no time is assumed"
            )
            gaps.append(Gap(name, "work", "cannot be determined", meaning))
        known = times[times >= 0].to_numpy()
        if not len(known) or not known.any():
            work[name] = Fixed(0.0)
            continue
        law = fit_distribution(known, settings.rng, settings.confidence)
        work[name], laws[name] = law.law, law
        findings.append(distribution_finding(name, what, law))
        gaps += distribution_gaps(name, what, law)
    server, more, less = _workers(steps, workers)
    return ServerFit(work, laws, server, (*findings, *more), (*gaps, *less))


def busiest(start: pd.Series[float], end: pd.Series[float]) -> int:
    """Return the largest number of spans ``[start, end)`` that hold one instant."""
    known = start.notna() & end.notna() & (end > start)
    at = np.concatenate([start[known], end[known]])
    change = np.concatenate([np.ones(known.sum()), -np.ones(known.sum())]).astype(int)
    order = np.lexsort((change, at))  # who ends makes room for who begins at the same instant
    return int(np.cumsum(change[order]).max(initial=0))


def _workers(
    steps: pd.DataFrame, given: int | None
) -> tuple[WorkflowServer, list[Finding], list[Gap]]:
    findings, gaps = [], []
    usual = WorkflowServer().workers
    # A wait holds no worker: of an asynchronous step only the call counts
    end = steps["ended"].where(steps["system"].isna(), steps["armed"])
    least = busiest(steps["started"], end)
    waiting = (steps["started"] - steps["queued"]).dropna()
    waited = int((waiting > AT_ONCE).sum())
    if len(waiting):
        share = f"{waited} of {len(waiting)} steps waited, {waiting.mean():.3g} s on average"
        how = "queued to started; not taken as work"
        findings.append(Finding("server", "waiting for a worker", share, len(waiting), "", how))
    if least:
        how = "most steps worked on at one time"
        findings.append(Finding("server", "workers", f"{least} or more", len(steps), "", how))
    if given is not None:
        return WorkflowServer(given), findings, _unknown_costs()
    workers = least if waited and least else max(usual, least)
    if not least:
        meaning = f"{workers} are assumed; the log has no work from start to end, so it cannot tell"
    elif waited:
        meaning = (
            f"{workers} are assumed, since steps waited though no more were ever at work; checks "
            "and callbacks, which are not in the log, may have kept others busy"
        )
    elif len(waiting):
        meaning = f"{workers} are assumed; no step ever waited, so any larger number would do"
    else:
        meaning = f"{workers} are assumed; the log does not say how long steps were queued before"
    gaps.append(Gap("server", "workers", "cannot be determined with certainty", meaning))
    if not len(waiting):
        meaning = "instances arrive when their first step starts or, without a start, ends"
        gaps.append(Gap("arrivals", "waiting before the first step", "not in the log", meaning))
    return WorkflowServer(workers), findings, [*gaps, *_unknown_costs()]


def _unknown_costs() -> list[Gap]:
    meaning = (
        "they are not in a log: set `server.poll_work` and `server.callback_work` if they matter"
    )
    return [Gap("server", "work of checks and callbacks", "taken as zero", meaning)]
