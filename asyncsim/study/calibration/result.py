"""What a fit gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from asyncsim import plots
from asyncsim.model.described import choice
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import DAY, seconds_of_day, text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback
from asyncsim.model.systems import NightlyBatch, OnlineService, People
from asyncsim.model.waiting import Strategy
from asyncsim.study.calibration.account import Finding, Gap, Rows, table_of
from asyncsim.study.calibration.arrivals import ArrivalFit
from asyncsim.study.calibration.batches import clock_of
from asyncsim.study.calibration.checking import Check, checked
from asyncsim.study.calibration.durations import LawFit, frozen_law
from asyncsim.study.calibration.outside import SystemFit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 200


class Fit:
    """A scenario fitted to a log, and an account of it; made by `asyncsim.fit`.

    Attributes
    ----------
    scenario
        Complete, to be simulated, changed and saved like any other.
    arrivals
        The fitted arrivals: ``chosen``, and the tables ``candidates``, ``table`` (rates with
        intervals) and ``days``.
    systems
        The fitted external systems by name: ``system, law, verdict``.
    work
        The fitted laws of work by step.
    seed, confidence
        What its tests and intervals rest on.
    """

    question = "what is in the log, and what does it not explain?"
    strategies: tuple[str, ...] = ()
    replications = 0  # nothing is played

    def __init__(
        self,
        scenario: Scenario,
        findings: Sequence[Finding],
        gaps: Sequence[Gap],
        problems: pd.DataFrame,
        *,
        arrivals: ArrivalFit,
        systems: Mapping[str, SystemFit],
        work: Mapping[str, LawFit],
        steps: pd.DataFrame,
        seed: int,
        confidence: float,
    ) -> None:
        self.scenario = scenario
        self._account = table_of(findings, Finding)
        self._unexplained = table_of(gaps, Gap)
        self._problems = problems
        self.arrivals = arrivals
        self.systems = dict(systems)
        self.work = dict(work)
        self.seed, self.confidence = seed, confidence
        self._steps = steps

    @property
    def account(self) -> pd.DataFrame:
        """What was found.

        ``part, what, found, rows`` (of the log, or nights, hours …), ``interval, how``.
        """
        return self._account.copy()

    @property
    def unexplained(self) -> pd.DataFrame:
        """What the scenario does not explain, or a log cannot show.

        ``part, what, amount, meaning``.
        """
        return self._unexplained.copy()

    @property
    def problems(self) -> pd.DataFrame:
        """What is wrong with rows of the log: ``problem, rows, used, first`` (their places)."""
        return self._problems.copy()

    @property
    def table(self) -> pd.DataFrame:
        """The account, as a report shows it."""
        return self.account

    @property
    def laws(self) -> pd.DataFrame:
        """All laws that were tried, by AIC: ``of, law, parameters, aic, statistic, p``."""
        fits = {name: fitted.law for name, fitted in self.systems.items()} | self.work
        tables = [
            one.candidates.assign(of=name) for name, one in fits.items() if len(one.candidates)
        ]
        columns = ["of", "law", "parameters", "aic", "statistic", "p"]
        if not tables:
            return pd.DataFrame(columns=columns)
        return pd.concat(tables, ignore_index=True)[columns]

    def check(
        self,
        strategy: Strategy | None = None,
        *,
        replications: int = 20,
        seed: int = 1,
        confidence: float = 0.95,
        progress: bool = True,
    ) -> Check:
        """Play the scenario and hold figures of the log against those of the simulation.

        Arrivals by day, weekday and hour; per step its work and, if it waits, external time,
        latency and completions by hour; the nights of a batch; waiting for a worker, and the cycle
        time: what the log shows of them. A figure of the log is one draw, so it is held against the
        interval in which the next replication would lie, not against that of the mean.

        It cannot see what leaves all of these as they are, such as lanes of a batch or dependence
        from one request to the next. The scenario was fitted to the same log, so agreement speaks
        for the shape of the model, not for next month; a good fit has fewer figures outside than
        chance would have.

        Parameters
        ----------
        strategy
            How completions were noticed when the log was written; by default a callback.
        replications
            How often it is played, 2 or more.
        seed
            Key of the random numbers.
        confidence
            Of the intervals: of a hundred figures of a scenario that is true, and was not fitted to
            this log, five lie outside at 0.95.
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

    def plot(self, system: str | None = None) -> Figure:
        """Draw rates of arrival, one external system's times, and its completions by clock.

        Parameters
        ----------
        system
            Which one, by name; by default the first.
        """
        if system is None and self.systems:
            system = next(iter(self.systems))
        if system is None:
            figure, (ax,) = plots.figure(1, width=8.0)
            plots.arrival_rates(self.arrivals.table, ax)
            return figure
        fitted = self.systems[choice("system", system, self.systems)]
        figure, axes = plots.grid(2, 2)
        plots.arrival_rates(self.arrivals.table, axes[0])
        whole = isinstance(fitted.system, OnlineService) and fitted.system.lanes is None
        what = "external time" if whole else "item time"
        times, (grid, share), quantiles = _against(fitted.law)
        law = fitted.law.best.kind if fitted.law.best is not None else ""
        plots.times_and_law(times, grid, share, (f"{system}: {what}", law), axes[2])
        plots.quantiles_against(times, quantiles, (f"{system}: {what}", law), axes[3])
        clocks = clock_of(fitted.done, self.scenario.calendar) % DAY
        plots.completions_by_clock(clocks, *_window(fitted), axes[1])
        figure.suptitle(self.scenario.name, x=0.01, ha="left", fontsize=13)
        return figure

    def __repr__(self) -> str:
        systems = "; ".join(
            f"{name}: {type(fitted.system).__name__}" for name, fitted in self.systems.items()
        )
        return (
            f"Fit({self.scenario.name!r}; arrivals {self.arrivals.chosen}; "
            f"{systems or 'no waits'}; "
            f"{len(self.unexplained)} things unexplained, {len(self.problems)} kinds of problems)"
        )

    def __str__(self) -> str:
        parts = (
            ("What was found", self.account),
            ("What is not explained", self.unexplained),
            ("Problems of the log", self.problems),
        )
        found = [self.scenario.name]
        for title, table in parts:
            found += ["", title, *(_line(row) for row in table.to_dict("records"))]
        return "\n".join(found)

    def _repr_html_(self) -> str:
        parts = (
            ("what was found", self.account),
            ("what is not explained", self.unexplained),
            ("problems of the log", self.problems),
        )
        tables = "".join(
            f'<div style="margin-top:8px">{escape(title)}</div>{Rows(table)._repr_html_()}'
            for title, table in parts
            if len(table)
        )
        return f"<div><b>{escape(self.scenario.name)}</b>{tables}</div>"


def _line(row: dict[object, object]) -> str:
    """Return a row of a table as a line that can be read without the others."""
    values = [str(value) for value in row.values()]
    if "part" in row:
        part, what, found, *rest = values
        if "rows" in row:
            rest = [f"{rest[0]} rows", *rest[1:]]
        tail = "; ".join(text for text in rest if text)
        return f"  {part}: {what}: {found} ({tail})"
    problem, rows, used, first = values
    return f"  {problem}: {rows} ({first}; used: {used})"


def _against(law: LawFit) -> tuple[Floats, tuple[Floats, Floats | None], Floats | None]:
    """Return times, the share that the best law has below a grid of them, and its quantiles."""
    times = law.times
    grid = np.linspace(0.0, float(np.quantile(times, 0.995)) * 1.1 or 1.0, POINTS)
    best = frozen_law(law.best) if law.best is not None else None
    if best is None:
        return times, (grid, None), None
    shares = (np.arange(len(times)) + 0.5) / len(times)
    return times, (grid, np.asarray(best.cdf(grid))), np.asarray(best.ppf(shares))


def _window(fitted: SystemFit) -> tuple[tuple[float, float] | None, tuple[str, str]]:
    """Return start and length in seconds of a batch or of working hours, and what they are."""
    system = fitted.system
    if isinstance(system, People):
        opens, closes = system.between
        start = float(seconds_of_day(opens))
        words = f"working hours from {opens}, {system.days}", f"until {closes}"
        return (start, seconds_of_day(closes) - start), words
    if isinstance(system, NightlyBatch):
        longest = max(night.last - night.first for night in fitted.verdict.nights)
        words = f"batch from {system.start}", f"longest night {text_of(longest)}"
        return (float(seconds_of_day(system.start)), longest), words
    return None, ("no batch", "")
