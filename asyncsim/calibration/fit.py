"""Fit a scenario to an event log or a request log, with an account of what it does not explain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
import numpy as np
import pandas as pd
from attrs import define

from asyncsim import plots
from asyncsim.calibration import arrival_rates
from asyncsim.calibration.batch_detection import clock_of
from asyncsim.calibration.cases import Paths, path_rows, paths_of, problem_gaps
from asyncsim.calibration.check import Check, checked
from asyncsim.calibration.distribution_fit import DistributionFit, frozen_distribution
from asyncsim.calibration.external_systems import GivenUp, SystemFit, fit_system, given_up
from asyncsim.calibration.findings import Finding, Gap, Rows, Settings, table_of
from asyncsim.calibration.log_reader import (
    EVENTS,
    TIMES,
    Log,
    begun_before,
    day_of,
    read_log,
    resolution_of,
    without_strays,
)
from asyncsim.calibration.work_times import ServerFit, fit_server
from asyncsim.errors import LogWarning, ScenarioError, warn
from asyncsim.experiment.statistics import check_confidence
from asyncsim.model import units
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.process import AsyncStep, Element, Process, Step
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Service, Staff
from asyncsim.model.strategies import Callback, Strategy
from asyncsim.model.systems import single_link
from asyncsim.model.validation import argument, choice, scenario_error, with_own_tables

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

POINTS = 200


@with_own_tables
@define(eq=False)
class Fit:
    """A scenario fitted to a log, and an account of it; made by `asyncsim.fit`.

    Attributes
    ----------
    scenario
        Complete, to be simulated, changed and saved like any other.
    account
        What was found: ``part, what, found, rows`` (of the log, or nights, hours …),
        ``interval, how``.
    unexplained
        What the scenario does not explain, or a log cannot show: ``part, what, amount, meaning``.
    problems
        What is wrong with rows of the log: ``problem, rows, used, first`` (their places).
    arrivals
        The fitted arrivals: ``chosen``, and the tables ``candidates``, ``table`` (rates with
        intervals) and ``days``.
    systems
        The fitted external systems by name: ``system, law, verdict``.
    work
        The fitted distributions of work by step.
    seed, confidence
        What its tests and intervals rest on.
    """

    question: ClassVar[str] = "what is in the log, and what does it not explain?"
    strategies: ClassVar[tuple[str, ...]] = ()
    replications: ClassVar[int] = 0  # nothing is played
    scenario: Scenario
    account: pd.DataFrame
    unexplained: pd.DataFrame
    problems: pd.DataFrame
    arrivals: arrival_rates.ArrivalFit
    systems: dict[str, SystemFit]
    work: dict[str, DistributionFit]
    seed: int
    confidence: float
    _steps: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The account, as a report shows it."""
        return self.account

    def findings(self) -> list[str]:
        """Return what was found in the log of each part of the scenario, in one sentence each."""
        found = []
        for part, rows in self.account.groupby("part", sort=False):
            words = []
            for row in rows.to_dict("records"):
                text = f"{row['what']} {row['found']}".removesuffix(" yes")
                words.append(text + (f" ({row['interval']})" if row["interval"] else ""))
            found.append(f"{part}: {'; '.join(words)}")
        return found

    @property
    def laws(self) -> pd.DataFrame:
        """All distributions that were tried, by AIC: ``of, law, parameters, aic, statistic, p``."""
        fits = {name: fitted.law for name, fitted in self.systems.items()} | self.work
        tables = {name: one.candidates for name, one in fits.items() if len(one.candidates)}
        columns = ["of", "law", "parameters", "aic", "statistic", "p"]
        if not tables:
            return pd.DataFrame(columns=columns)
        named = [table.assign(of=name) for name, table in tables.items()]
        return pd.concat(named, ignore_index=True)[columns]

    def check(
        self,
        strategy: Strategy | None = None,
        *,
        replications: int = 20,
        seed: int = 1,
        confidence: float = 0.95,
        progress: bool = True,
    ) -> Check:
        """Play the scenario and hold metrics of the log against those of the simulation.

        Metrics are arrivals by day, weekday and hour; work, external time, latency and completions
        by hour of each step; the nights of a batch; waiting for a worker, and the cycle time, as
        far as the log shows them. A metric of the log is one draw, so its interval is where the
        next replication would lie, not that of the mean.

        The check cannot see what leaves all of these as they are, such as lanes of a batch or
        dependence of requests. The scenario was fitted to the same log: agreement supports the
        shape of the model, not a forecast, and fewer metrics lie outside than by chance.

        Parameters
        ----------
        strategy
            How completions were noticed when the log was written; by default a callback.
        replications
            How often it is played, 2 or more.
        seed
            Key of the random numbers.
        confidence
            Of the intervals: at 0.95, 5 of 100 metrics of a true scenario that was not fitted to
            this log lie outside.
        progress
            Show a progress bar.

        Raises
        ------
        ScenarioError
            If an argument is wrong.
        """
        return checked(
            self.scenario, self._steps, strategy or Callback(),
            replications=replications, seed=seed, confidence=confidence, progress=progress,
        )  # fmt: skip

    def plot(self, system: str | None = None, size: str = "page") -> Picture:
        """Draw rates of arrival, one external system's times, and its completions by clock.

        Parameters
        ----------
        system
            Which one, by name; by default the first.
        size
            ``"page"`` or ``"slide"``.
        """
        if system is None and self.systems:
            system = next(iter(self.systems))
        shown = None
        if system is not None:
            fitted = self.systems[choice("system", system, self.systems)]
            link, best = single_link(fitted.system), fitted.law.best
            whole = isinstance(link, Service) and link.lanes is None
            clocks = clock_of(fitted.done, self.scenario.calendar) % units.DAY
            shown = plots.SystemFitted(
                fitted.law.times, f"{system}: {'external' if whole else 'item'} time",
                best.kind if best else "", *_against(fitted.law), clocks, *_window(fitted),
            )  # fmt: skip
        return plots.fitted(size, self.scenario.name, self.arrivals.table, shown)

    def __repr__(self) -> str:
        systems = "; ".join(
            f"{name}: {type(fitted.system).__name__}" for name, fitted in self.systems.items()
        )
        return (
            f"Fit({self.scenario.name!r}; arrivals {self.arrivals.chosen}; "
            f"{systems or 'no waits'}; "
            f"{len(self.unexplained)} things unexplained, {len(self.problems)} kinds of problems)"
        )

    @property
    def _parts(self) -> dict[str, pd.DataFrame]:
        return {
            "what was found": self.account,
            "what is not explained": self.unexplained,
            "problems of the log": self.problems,
        }

    def __str__(self) -> str:
        found = [self.scenario.name]
        for title, table in self._parts.items():
            lines = (_line(row) for row in table.to_dict("records"))
            found += ["", title.capitalize(), *lines]
        return "\n".join(found)

    def _repr_html_(self) -> str:
        tables = "".join(
            f'<div style="margin-top:8px">{escape(title)}</div>{Rows(table)._repr_html_()}'
            for title, table in self._parts.items()
            if len(table)
        )
        return f"<div><b>{escape(self.scenario.name)}</b>{tables}</div>"


def _line(row: dict[object, object]) -> str:
    values = [str(value) for value in row.values()]
    if "part" in row:
        part, what, found, *rest = values
        if "rows" in row:
            rest = [f"{rest[0]} rows", *rest[1:]]
        tail = "; ".join(text for text in rest if text)
        return f"  {part}: {what}: {found} ({tail})"
    problem, rows, used, first = values
    return f"  {problem}: {rows} ({first}; used: {used})"


def _against(law: DistributionFit) -> tuple[Floats, Floats | None, Floats | None]:
    """Return a grid of times, the share that the best fit has below them, and its quantiles."""
    times = law.times
    grid = np.linspace(0.0, float(np.quantile(times, 0.995)) * 1.1 or 1.0, POINTS)
    best = frozen_distribution(law.best) if law.best is not None else None
    if best is None:
        return grid, None, None
    shares = (np.arange(len(times)) + 0.5) / len(times)
    return grid, np.asarray(best.cdf(grid)), np.asarray(best.ppf(shares))


def _window(fitted: SystemFit) -> tuple[tuple[float, float] | None, tuple[str, str]]:
    """Return start and length in seconds of a batch or of working hours, and what they are."""
    system = single_link(fitted.system)
    if isinstance(system, Staff):
        opens, closes = system.between
        start = float(units.seconds_of_day(opens))
        words = f"working hours from {opens}, {system.days}", f"until {closes}"
        return (start, units.seconds_of_day(closes) - start), words
    if isinstance(system, Batch):
        longest = max(night.last - night.first for night in fitted.verdict.nights)
        words = f"batch from {system.start}", f"longest night {units.text_of(longest)}"
        return (float(units.seconds_of_day(system.start)), longest), words
    return None, ("no batch", "")


AGREED = 0.9  # share of serial numbers that must agree to show the number of a step


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
        A DataFrame, a CSV file (separated by commas, semicolons or tabs) or a Parquet file, in one
        of two forms. Either events in the columns of process mining, as `Run.event_log` has them:
        ``case:concept:name``, ``concept:name``, ``time:timestamp``, optionally
        ``lifecycle:transition`` (schedule, start, suspend, resume, complete; by default complete),
        ``org:resource`` and ``serial_number``. Or the table of an external system:
        ``SN, submitted, completed``, and ``resumed`` if it is known.
    zone
        Time zone such as ``"Europe/Berlin"``, of timestamps without an offset and of the clock that
        batches and arrivals go by. By default that of a DataFrame's timestamps, or none: then
        timestamps with an offset are converted to UTC, and the account reports that.
    system
        Name of the external system. For an event log whose waits are not written as suspend and
        resume, a mapping of the steps that wait to the systems they wait for.
    requests
        Beside an event log: the table of requests, which has the completions of its serial numbers.
    period
        First and last day of recorded arrivals, such as ``("2026-03-02", "2026-03-15")``; by
        default the days of the first and the last arrival.
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
    workers = argument("workers", workers, units.optional_count)
    seed = key_part("seed", seed)
    found = read_log(log, zone, system, requests)
    known = without_strays(found.steps, found.calendar, found.problems)
    before = begun_before(known, found.problems)
    if damage := found.problems.sentence(found.name, found.rows):
        warn(damage, LogWarning)
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
    arrivals = arrival_rates.fit_arrivals(arrived, calendar, length, confidence)
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
    early = arrival_rates.arrival_gaps(arrivals)
    if outside:
        meaning = "in no rate; their steps are used"
        early.append(Gap("arrivals", "arrivals outside the period", str(outside), meaning))
    if settings.resolution >= units.MINUTE:
        meaning = (
            "shorter times than that cannot be determined, and the order of events within it is "
            "lost"
        )
        amount = f"{settings.resolution / 60:g} min"
        gaps.append(Gap("log", "resolution of its timestamps", amount, meaning))
    account = table_of([*arrival_rates.arrival_findings(arrivals), *findings], Finding)
    return Fit(
        scenario, account, table_of([*early, *gaps], Gap), found.problems.table, arrivals, systems,
        server.laws, seed, confidence, steps,
    )  # fmt: skip


def _period(
    came: pd.Series[float], calendar: Calendar, period: tuple[str | date, str | date] | None
) -> tuple[Calendar, float, float, int]:
    """Return the calendar of the days, how far it is shifted, its length, and who is outside."""
    first, last = shown = [day_of(float(end), calendar) for end in (came.min(), came.max())]
    if period is not None:
        try:
            first, last = (units.calendar_date(day) for day in period)
        except (units.InvalidValue, TypeError, ValueError):
            problem = "must be two days such as ('2026-03-02', '2026-03-15')"
            raise scenario_error("period", problem, period) from None
        if last < first:
            raise scenario_error("period", "must have the earlier day first", period)
    if (last - first).days >= units.LONGEST // units.DAY or last == date.max:
        if period is not None:
            raise scenario_error("period", "must be 40 years at most, in years up to 9999", period)
        raise ScenarioError(
            f"the log's arrivals are from {first} to {last}: mend dates that are wrong, or give "
            "period= with the days that it covers"
        )
    shift = calendar.instant(first, "00:00")
    moved = attrs.evolve(calendar, start=first)
    length = moved.instant(last + timedelta(days=1), "00:00")
    outside = int(((came < shift) | (came >= shift + length)).sum())
    if outside == len(came):
        raise scenario_error(
            "period", f"must hold arrivals of the log ({shown[0]} to {shown[1]})", period
        )
    return moved, shift, length, outside


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
    log: Log, before: set[str], paths: Paths, server: ServerFit, systems: Mapping[str, SystemFit],
    settings: Settings,
) -> tuple[list[Finding], list[Gap]]:  # fmt: skip
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
