"""A capacity planner brings a log and leaves with a scenario, and with what it does not explain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import attrs
import numpy as np
import pandas as pd

from asyncsim.errors import LogWarning, ScenarioError, warn
from asyncsim.model.calendar import Calendar
from asyncsim.model.described import argument, refuse
from asyncsim.model.draws import key_part
from asyncsim.model.process import AsyncStep, Element, Process, Step
from asyncsim.model.quantities import DAY, LONGEST, MINUTE, Refused, calendar_date, optional_count
from asyncsim.model.scenario import Scenario
from asyncsim.study.calibration.account import Finding, Gap
from asyncsim.study.calibration.arrivals import fit_arrivals
from asyncsim.study.calibration.explaining import (
    arrival_findings,
    arrival_gaps,
    path_rows,
    problem_gaps,
)
from asyncsim.study.calibration.outside import SystemFit, fit_system
from asyncsim.study.calibration.paths import Paths, paths_of
from asyncsim.study.calibration.plausible import begun_before, day_of, resolution_of, without_strays
from asyncsim.study.calibration.reading import EVENTS, TIMES, Log, read_log
from asyncsim.study.calibration.result import Fit
from asyncsim.study.calibration.server import ServerFit, fit_server
from asyncsim.study.calibration.settings import Settings
from asyncsim.study.calibration.timeouts import GivenUp, given_up
from asyncsim.study.statistics import check_confidence

AGREED = 0.9
"""Serial numbers tell the number of a step if this share of them agrees."""


def fit(
    log: pd.DataFrame | str | Path,
    *,
    zone: str | None = None,
    system: str | Mapping[str, str] | None = None,
    requests: pd.DataFrame | str | Path | None = None,
    period: tuple[str | date, str | date] | None = None,
    workers: int | None = None,
    name: str | None = None,
    seed: int = 1,
    confidence: float = 0.95,
) -> Fit:
    """Fit a scenario to a log, and give an account of what was found and what is not explained.

    Parameters
    ----------
    log
        A DataFrame, a CSV file (parted by commas, semicolons or tabs) or a Parquet file, in one of
        two forms. Either events in the columns
        of process mining: ``case:concept:name``, ``concept:name``, ``time:timestamp``, and if there
        are any ``lifecycle:transition`` (schedule, start, suspend, resume, complete; all complete
        if left out), ``org:resource`` and ``serial_number``: what `Run.event_log` gives. Or
        requests: ``SN, submitted, completed`` as an external system's table has them, and
        ``resumed`` if it is known.
    zone
        Time zone such as ``"Europe/Berlin"`` in which timestamps without an offset are understood,
        and whose clock batches and arrivals go by. By default that of a DataFrame's timestamps, or
        none: then timestamps with an offset are converted to UTC, which the account says.
    system
        Name of the external system. For an event log whose waits are not written as suspend and
        resume, a mapping of the steps that wait to the systems they wait for.
    requests
        Beside an event log: the table of requests, which has the completions of its serial numbers.
    period
        First and last day on which arrivals were recorded, such as
        ``("2026-03-02", "2026-03-15")``; by default the days of the first and the last arrival.
    workers
        Number of the server's workers; a log tells little about it.
    name
        Name of the scenario.
    seed
        Key of the random numbers of permutation tests and bootstraps.
    confidence
        Of every interval in the account and the tables.

    Returns
    -------
    Fit
        ``scenario``, ``account``, ``unexplained``, ``problems``; ``plot()`` and ``check()``.

    Raises
    ------
    ScenarioError
        If the log cannot be read, has no usable row, or an argument is wrong.

    Warns
    -----
    LogWarning
        If rows are damaged, with the count of each kind and the first of them.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="orders",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", sim.exponential("1s"))},
    ...     arrivals=sim.Poisson("20/h", between=("08:00", "20:00")),
    ...     length="7 days",
    ... )
    >>> found = sim.fit(sim.simulate(scenario, sim.Callback(), seed=1).event_log())
    >>> found.scenario.systems["ledger"].start
    '22:00'
    """
    check_confidence(confidence)
    workers = argument("workers", workers, optional_count)
    seed = key_part("seed", seed)
    found = read_log(log, zone, system, requests)
    known = without_strays(found.steps, found.calendar, found.problems)
    before = begun_before(known, found.problems)
    if found.problems.worth_a_warning:
        warn(found.problems.sentence(found.name, found.rows), LogWarning)
    steps = known.assign(first=known[[*TIMES]].min(axis=1))
    came = steps.groupby("case", sort=False)["first"].min()
    came = came[~came.index.isin(before)]
    calendar, shift, length, outside = _period(came, found.calendar, period)
    for column in (*TIMES, "first"):
        steps[column] -= shift
    rng, until = np.random.default_rng(seed), float(steps[[*TIMES]].max().max())
    settings = Settings(rng, confidence, resolution_of(known), until)
    order = ["case", "first", "ended", "place"]
    steps = steps.sort_values(order, kind="stable", ignore_index=True)
    arrived = np.sort((came - shift).to_numpy())
    arrived = arrived[(arrived >= 0) & (arrived < length)]
    arrivals = fit_arrivals(arrived, calendar, length, confidence)
    paths = paths_of(steps)
    server = fit_server(steps, paths.main, workers, settings)
    used = steps[steps["step"].isin(paths.main) & steps["system"].notna()]
    systems = {
        str(one): fit_system(str(one), waits, calendar, settings)
        for one, waits in used.groupby("system", sort=False)
    }
    gone = {name: given_up(steps, name) for name in dict.fromkeys(used["step"])}
    scenario = Scenario(
        name=name or f"fitted to {Path(found.name).name}",
        process=_process(steps, paths.main, server, gone),
        systems={one: fitted.system for one, fitted in systems.items()},
        arrivals=arrivals.law,
        server=server.server,
        start=calendar.start,
        length=length,
        zone=calendar.zone,
        description=f"fitted to {found.rows} rows of {Path(found.name).name}",
    )
    findings, gaps = _accounts(found, before, paths, server, systems, settings)
    for one in gone.values():
        findings += one.findings
        gaps += one.gaps
    gaps = [*arrival_gaps(arrivals), *_outside(outside), *gaps, *_coarse(settings.resolution)]
    return Fit(
        scenario, [*arrival_findings(arrivals), *findings], gaps, found.problems.table,
        arrivals=arrivals, systems=systems, work=server.laws, steps=steps,
        seed=seed, confidence=confidence,
    )  # fmt: skip


def _period(
    came: pd.Series[float],
    calendar: Calendar,
    period: tuple[str | date, str | date] | None,
) -> tuple[Calendar, float, float, int]:
    """Return the calendar of the days, how far it is shifted, its length, and who is outside."""
    first, last = shown = [day_of(float(end), calendar) for end in (came.min(), came.max())]
    if period is not None:
        try:
            first, last = (calendar_date(day) for day in period)
        except (Refused, TypeError, ValueError):
            problem = "must be two days such as ('2026-03-02', '2026-03-15')"
            raise refuse("period", problem, period) from None
        if last < first:
            raise refuse("period", "must have the earlier day first", period)
    if (last - first).days >= LONGEST // DAY or last == date.max:
        if period is not None:
            raise refuse("period", "must be 40 years at most, in years up to 9999", period)
        raise ScenarioError(
            f"the log's arrivals are from {first} to {last}: mend dates that are wrong, or give "
            "period= with the days that it covers"
        )
    shift = calendar.instant(first, "00:00")
    moved = attrs.evolve(calendar, start=first)
    length = moved.instant(last + timedelta(days=1), "00:00")
    outside = int(((came < shift) | (came >= shift + length)).sum())
    if outside == len(came):
        raise refuse("period", f"must hold arrivals of the log ({shown[0]} to {shown[1]})", period)
    return moved, shift, length, outside


def _outside(count: int) -> list[Gap]:
    meaning = "in no rate; their steps are used"
    return [Gap("arrivals", "arrivals outside the period", str(count), meaning)] if count else []


def _coarse(resolution: float) -> list[Gap]:
    """Say that a log's clock has no seconds."""
    if resolution < MINUTE:
        return []
    meaning = "shorter times than that cannot be told, and the order of events within it is lost"
    return [Gap("log", "resolution of its timestamps", f"{resolution / 60:g} min", meaning)]


def _process(
    steps: pd.DataFrame, main: tuple[str, ...], server: ServerFit, gone: Mapping[str, GivenUp]
) -> Process:
    """Return a linear process, numbered as the log's serial numbers say if they agree."""
    elements: list[Element] = []
    first = 1
    seen: set[str] = set()
    for k, name in enumerate(main):
        if name in seen:
            raise ScenarioError(
                f"the commonest path of the log goes through step {name!r} twice "
                f"({' → '.join(main)}); a linear process cannot: give steps of the log names "
                "that tell the first time from the second"
            )
        seen.add(name)
        rows = steps[steps["step"] == name]
        if rows["system"].notna().any():
            system = str(rows["system"].dropna().iloc[0])
            follows = "continue" if gone[name].goes_on else "fail"
            elements.append(
                AsyncStep(
                    name, system, call_work=server.work[name],
                    timeout=gone[name].timeout, on_timeout=follows,
                )
            )  # fmt: skip
            numbers = rows["serial_number"].astype("str").str.extract(r"_(\d{1,5})$")[0].dropna()
            if len(numbers) and (numbers == numbers.iloc[0]).mean() >= AGREED:
                first = max(int(numbers.iloc[0]) - k, 1)
        else:
            elements.append(Step(name, work=server.work[name]))
    return Process("process", elements, first_activation=first)


def _accounts(
    log: Log,
    before: set[str],
    paths: Paths,
    server: ServerFit,
    systems: Mapping[str, SystemFit],
    settings: Settings,
) -> tuple[list[Finding], list[Gap]]:
    """Return what was found beside the arrivals, and what is not explained."""
    findings, gaps = path_rows(paths, settings)
    if log.form != EVENTS:
        findings, gaps = [], []
    for fitted in systems.values():
        findings += fitted.findings
        gaps += fitted.gaps
    if log.form == EVENTS:
        findings += server.findings
        waits = log.steps[log.steps["system"].notna() & ~log.steps["case"].isin(before)]
        at_once = int((waits["armed"].isna() & waits["ended"].notna()).sum())
        if at_once:
            meaning = "they ended without a wait (answered at once, or failed); the scenario waits"
            amount = f"{at_once} of {len(waits)}"
            gaps.append(Gap("process", "asynchronous steps without a wait", amount, meaning))
    gaps += server.gaps
    if not systems:
        meaning = "no step of the log suspends; name those that wait with system={step: system}"
        gaps.append(Gap("process", "waiting steps", "none found", meaning))
    if log.as_utc:
        meaning = (
            "timestamps have offsets, and all were converted: clock times of the scenario are of "
            'UTC, such as 20:00 for 22:00+02:00; give zone="Europe/Berlin" or the like for local '
            "ones, with its daylight saving"
        )
        gaps.append(Gap("log", "time zone", "UTC", meaning))
    elif log.calendar.zone is None:
        meaning = (
            "clock times are taken as written, without daylight saving; give zone= if it has one"
        )
        gaps.append(Gap("log", "time zone", "none", meaning))
    return findings, [*gaps, *problem_gaps(log.problems.table, log.rows)]
