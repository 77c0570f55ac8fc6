"""A fitted scenario compared with its log: the same metrics of both.

A log shows part of what happens: some instants of some steps, until it ends. A run is reduced to
the same part before its metrics are computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import scipy
from attrs import frozen

from asyncsim import plots
from asyncsim.calibration.batch_detection import clock_of
from asyncsim.calibration.log_reader import TIMES, done_column
from asyncsim.engine.metrics import metric_text
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_played
from asyncsim.experiment.output import table_html
from asyncsim.experiment.replications import Replications, runner
from asyncsim.experiment.statistics import Uneven, check_confidence, check_replications, student_t
from asyncsim.model.calendar import Calendar, is_cron
from asyncsim.model.distributions import Floats
from asyncsim.model.html import findings_html
from asyncsim.model.process import AsyncStep, Step
from asyncsim.model.random_streams import key_part
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch
from asyncsim.model.strategies import Strategy
from asyncsim.model.systems import single_link
from asyncsim.model.units import DAY, DAY_NAMES, percent, seconds_of_day
from asyncsim.model.validation import with_own_tables

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

QUANTILES = {"median": 0.5, "95 %": 0.95}
BEFORE = 6 * 3600.0  # completions this long before the start of a batch count to that night
WEEK = 7
PER_DAY, SECONDS, ITEMS = "1/day", "s", "items"
UNITS = {PER_DAY: "a day"}  # in words

Named = Iterator[tuple[tuple[str, str], float]]  # metrics: their name and unit, and the value


@frozen(eq=False)
class Shown:
    """What a log shows: of each step the kinds of instants that it has, until it was cut off."""

    instants: dict[str, list[str]]
    until: float

    @classmethod
    def by(cls, steps: pd.DataFrame, scenario: Scenario) -> Shown:
        """Return what a log shows of the steps of a scenario."""
        found = {}
        for name in _names(scenario):
            rows = steps.loc[steps["step"] == name, [*TIMES]]
            has = [column for column in TIMES if rows[column].notna().any()]
            at_once = rows["queued"].equals(rows["started"]) & rows["started"].equals(rows["armed"])
            if at_once and "armed" in has:  # a table of requests has one instant, and no work
                has = [column for column in has if column not in ("queued", "started")]
            if has:
                found[name] = has
        return cls(found, math.inf if _all_over(steps, found) else steps[[*TIMES]].max().max())

    def of(self, steps: pd.DataFrame, length: float) -> pd.DataFrame:
        """Return what a log would show of executed steps, and when their cases arrived."""
        steps = steps[steps["step"].isin(self.instants)].copy()
        for name, has in self.instants.items():
            hidden = [column for column in TIMES if column not in has]
            steps.loc[steps["step"] == name, hidden] = np.nan
        steps[[*TIMES]] = steps[[*TIMES]].where(steps[[*TIMES]] <= self.until)
        first = steps[[*TIMES]].min(axis=1)
        arrived = first.groupby(steps["case"]).transform("min")
        return steps.assign(arrived=arrived)[(arrived >= 0) & (arrived < length)]


def _all_over(steps: pd.DataFrame, instants: dict[str, list[str]]) -> bool:
    if not instants:
        return True
    last, has = list(instants.items())[-1]
    over = steps["case"][(steps["step"] == last) & steps[has[-1]].notna()]
    return bool(steps["case"].isin(over).all())


def steps_of(run: Run) -> pd.DataFrame:
    """Return one row per executed step of a run, in the columns of a log that has been read."""
    keys = ["instance", "step", "time"]  # the first time through the step, the second …
    steps, waits = (
        table.assign(
            time=table.groupby(["instance", "step"]).cumcount(), step=table["step"].astype("str")
        )
        for table in (run.steps, run.waits)
    )
    both = steps[[*keys, "queued", "started", "ended"]].merge(
        waits[[*keys, "armed", "completed", "resumed"]], how="left", on=keys
    )
    return both.rename(columns={"instance": "case"})


def metrics_of(steps: pd.DataFrame, scenario: Scenario) -> dict[tuple[str, str], float]:
    """Return the metrics that are compared, of what `Shown.of` has left of a log or a run."""
    days, calendar = scenario.length / DAY, scenario.calendar
    arrived = np.sort(steps.groupby("case")["arrived"].first().to_numpy())
    found = dict(_arrivals(arrived, calendar, days))
    waiting = steps["started"] - steps["queued"]
    found |= _spread("waiting for a worker", waiting, mean=True)
    for name, system in _names(scenario).items():
        rows = steps[steps["step"] == name]
        end = rows["ended"] if system is None else rows["armed"]
        found |= _spread(f"{name}: work", end - rows["started"], mean=True)
        if system is None:
            continue
        done = rows[done_column(rows)]
        found |= _spread(f"{name}: external time", done - rows["armed"])
        found |= _spread(f"{name}: latency", rows["resumed"] - rows["completed"])
        found |= _by_hour(f"{name}: done", np.asarray(done.dropna()), calendar, days)
    for name, described in scenario.systems.items():
        batch = single_link(described)
        if isinstance(batch, Batch):
            own = [step for step, system in _names(scenario).items() if system == name]
            rows = steps[steps["step"].isin(own)]
            done = rows[done_column(rows)].dropna()
            found |= _nights(name, np.asarray(done), batch, calendar)
    return found | _cycle_time(steps, scenario) | _by_hour("arrivals", arrived, calendar, days)


def _names(scenario: Scenario) -> dict[str, str | None]:
    steps = (e for e in scenario.process.parts() if isinstance(e, (Step, AsyncStep)))
    return {e.name: e.system if isinstance(e, AsyncStep) else None for e in steps}


def _arrivals(arrived: Floats, calendar: Calendar, days: float) -> Named:
    yield ("arrivals", PER_DAY), len(arrived) / days
    if days < 2:
        return
    date = (clock_of(arrived, calendar) // DAY).astype(int)
    counts = np.bincount(np.maximum(date, 0), minlength=round(days))
    yield ("arrivals of a day, standard deviation", PER_DAY), float(counts.std(ddof=1))
    if days < WEEK:
        return
    weekday = (np.arange(len(counts)) + calendar.start.weekday()) % WEEK
    for k, day in enumerate(DAY_NAMES):
        yield (f"arrivals on {day}", PER_DAY), float(counts[weekday == k].sum()) / days


def _spread(what: str, times: pd.Series[float], mean: bool = False) -> dict[Any, float]:
    known = times.dropna().to_numpy()
    if not len(known):
        return {}
    found = {word: float(np.quantile(known, share)) for word, share in QUANTILES.items()}
    if mean:
        found = {"mean": float(known.mean()), "95 %": found["95 %"]}
    return {(f"{what}, {word}", SECONDS): value for word, value in found.items()}


def _nights(what: str, done: Floats, batch: Batch, calendar: Calendar) -> dict[Any, float]:
    """Return when the nights of a batch begin and end, how fast they go, and how many they do."""
    if is_cron(batch.start) or not len(done):  # cron has several clock times
        return {}
    start, done = seconds_of_day(batch.start), np.sort(done)
    clock = clock_of(done, calendar) - start
    night = np.floor((clock + BEFORE) / DAY)
    by_night = pd.Series(clock - night * DAY).groupby(night)
    gaps = pd.Series(np.diff(done)[np.diff(night) == 0])
    items, begun = by_night.size(), f"{what}: start of a night to its"
    return {
        (f"{begun} first completion, median", SECONDS): float(by_night.min().median()),
        (f"{begun} last completion, median", SECONDS): float(by_night.max().median()),
        **_spread(f"{what}: between completions of a night", gaps),
        (f"{what}: completions of a night, median", ITEMS): float(items.median()),
        (f"{what}: completions of a night, most", ITEMS): float(items.max()),
    }


def _cycle_time(steps: pd.DataFrame, scenario: Scenario) -> dict[Any, float]:
    names = [name for name in _names(scenario) if (steps["step"] == name).any()]
    if len(names) < 2:
        return {}
    last = steps[steps["step"] == names[-1]]
    return _spread("cycle time", last["ended"].fillna(last["resumed"]) - last["arrived"])


def _by_hour(what: str, instants: Floats, calendar: Calendar, days: float) -> dict[Any, float]:
    hours = (clock_of(instants, calendar) % DAY // 3600).astype(int)
    counts = np.bincount(np.minimum(hours, 23), minlength=24) / days
    return {(f"{what} from {hour:02d} h", PER_DAY): float(n) for hour, n in enumerate(counts)}


FEW = 5.0  # fewer counts in a run, on average, are not nearly normal


@with_own_tables
@frozen(eq=False)
class Check:
    """Metrics of a log beside those of the scenario fitted to it; made by `Fit.check`.

    Attributes
    ----------
    scenario, strategies
        What was played: the scenario, and the label of its only strategy.
    table
        ``metric, unit, log, simulated`` (mean), ``low, high`` (where the next replication would
        lie) and ``within``.
    replications, seed, confidence
        What the intervals rest on.
    """

    question: ClassVar[str] = "does the fitted scenario explain its log?"
    scenario: Scenario
    strategies: tuple[str]
    table: pd.DataFrame
    replications: int
    seed: int
    confidence: float

    @property
    def outside(self) -> pd.DataFrame:
        """The rows whose metric of the log is outside its interval."""
        return self.table[~self.table["within"]]

    def plot(self, size: str = "page") -> Picture:
        """Draw where each metric of the log lies in its interval.

        `size` is ``"page"`` or ``"slide"``.
        """
        title = f"{self.scenario.name}: metrics of the log in the intervals of the simulation"
        return plots.metrics_checked(size, title, self.table)

    def findings(self) -> list[str]:
        """Return how many metrics of the log the scenario explains, in one sentence."""
        return [f"{self!r}."]

    def __repr__(self) -> str:
        n, within = len(self.table), int(self.table["within"].sum())
        return (
            f"{within} of {n} metrics of the log lie within the {percent(self.confidence)} "
            f"intervals of {self.replications} replications of {self.scenario.name} under "
            f"{self.strategies[0]}; of a perfect scenario about {n * (1 - self.confidence):.0f} "
            "would not"
        )

    def __str__(self) -> str:
        """Return how many metrics the scenario explains, and those that it does not."""
        outside = self._shown_table(self.outside)
        return f"{self!r}\n{outside.to_string(index=False)}" if len(outside) else repr(self)

    def _shown_table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return rows in words and human units."""
        rows = []
        for row in table.to_dict("records"):
            unit = UNITS.get(row["unit"], row["unit"])
            text = partial(metric_text, "", unit=unit)
            found = Uneven.between(row["simulated"], row["low"], row["high"], self.replications)
            within = "yes" if row["within"] else "no"
            rows.append((row["metric"], text(row["log"]), found.in_words(text), within))
        columns = ["metric", "in the log", "simulated (next replication)", "within"]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        table = table_html(self._shown_table(self.table))
        return f"<div>{findings_html(self.findings())}{table}</div>"


def checked(
    scenario: Scenario, steps: pd.DataFrame, strategy: Strategy, *,
    replications: int, seed: int, confidence: float, progress: bool,
) -> Check:  # fmt: skip
    """Play a scenario and compare it with its log; see `Fit.check`."""
    check_played(scenario, strategy, None)
    check_replications(replications)
    check_confidence(confidence)
    shown = Shown.by(steps, scenario)
    log = metrics_of(shown.of(steps, scenario.length), scenario)
    plan = Replications(scenario, (strategy,), key_part("seed", seed), "auto")

    def keep(run: Run) -> dict[tuple[str, str], float]:
        return metrics_of(shown.of(steps_of(run), scenario.length), scenario)

    with runner(1, progress, "check", replications) as play:
        found = [metrics for (metrics,) in play.collect(plan, keep, range(replications))]
    rows = []
    for name, unit in dict.fromkeys(key for metrics in (log, *found) for key in metrics):
        own = log.get((name, unit), math.nan)
        values = np.array([metrics.get((name, unit), math.nan) for metrics in found])
        if unit == PER_DAY and not own and not values.any():
            continue  # an hour at which nothing ever happens
        mean, low, high = _next(values, unit, scenario.length / DAY, confidence)
        rows.append((name, unit, own, mean, low, high))
    columns = ["metric", "unit", "log", "simulated", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    room = 1e-9 * table["simulated"].abs()  # what is always the same has no width
    table["within"] = table["log"].between(table["low"] - room, table["high"] + room)
    return Check(scenario, (strategy.label,), table, replications, seed, confidence)


def _next(values: Floats, unit: str, days: float, confidence: float) -> tuple[float, float, float]:
    """Return the mean of a metric over replications, and where the next one would lie."""
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if unit == PER_DAY and mean * days < FEW:  # Poisson counts with Jeffreys' prior
        total = float(values.sum()) * days
        counts = scipy.stats.nbinom(total + 0.5, n / (n + 1))
        low, high = counts.ppf([(1 - confidence) / 2, (1 + confidence) / 2]) / days
        return mean, float(low), float(high)
    if n < 2:
        return mean, math.nan, math.nan
    half = student_t(confidence, n - 1) * float(values.std(ddof=1)) * math.sqrt(1 + 1 / n)
    return mean, mean - half, mean + half
