"""Holds a fitted scenario against the log it was fitted to: the same figures of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.engine.arguments import check_played
from asyncsim.errors import ScenarioError
from asyncsim.model.calendar import Calendar
from asyncsim.model.described import refuse
from asyncsim.model.draws import key_part
from asyncsim.model.durations import Floats
from asyncsim.model.quantities import Refused, count
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.study.calibration.batches import DAY, clock_of
from asyncsim.study.progress import progress_bar
from asyncsim.study.replications import Replications
from asyncsim.study.statistics import student_t

QUANTILES = {"median": 0.5, "95 %": 0.95}


@frozen(eq=False)
class Check:
    """Figures of a log beside those of the scenario fitted to it; made by `Fit.check`.

    Attributes
    ----------
    scenario, strategy
        What was played.
    table
        ``figure, unit, log, simulated`` (mean), ``low, high`` (where the next replication would
        lie) and ``within``.
    replications, confidence
        What the intervals rest on.
    """

    scenario: str
    strategy: str
    table: pd.DataFrame
    replications: int
    confidence: float

    @property
    def outside(self) -> pd.DataFrame:
        """The rows whose figure of the log is outside its interval."""
        return self.table[~self.table["within"]]

    def __repr__(self) -> str:
        within = int(self.table["within"].sum())
        return (
            f"{self.scenario} under {self.strategy}: {within} of {len(self.table)} figures of the "
            f"log lie within the {self.confidence:.0%} intervals of {self.replications} runs"
        )

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, border=0, float_format=lambda x: f"{x:.4g}")
        return f"<div>{escape(repr(self))}{table}</div>"


def checked(
    scenario: Scenario,
    steps: pd.DataFrame,
    arrived: Floats,
    strategy: Strategy,
    *,
    replications: int,
    seed: int,
    confidence: float,
    progress: bool,
) -> Check:
    """Play a scenario and compare it with its log; see `Fit.check`."""
    check_played(scenario, strategy, None)
    try:
        if count(replications) < 2:
            raise Refused("must be 2 or more")
    except Refused as problem:
        raise refuse("replications", problem, replications) from None
    if not 0 < confidence < 1:
        raise ScenarioError(f"confidence must be between 0 and 1, got {confidence!r}")
    known = _known(steps)
    waits = steps[steps["system"].notna()]
    log = figures_of(waits, arrived, scenario.calendar, scenario.length, known)
    played = Replications(scenario, (strategy,), key_part("seed", seed), "auto")
    found = []
    for k in progress_bar(progress, iterable=range(replications), desc="check", unit="run"):
        run = played.runs(k)[0]
        found.append(
            figures_of(run.waits, run.draws.arrivals, scenario.calendar, scenario.length, known)
        )
    simulated = pd.DataFrame([log, *found]).iloc[1:]  # with every column that the log has
    names = [name for name in simulated.columns if not _empty(name, log, simulated)]
    mean, sd = simulated[names].mean(), simulated[names].std(ddof=1)
    # One more draw lies within these limits with the wanted probability, were they normal
    half = student_t(confidence, replications - 1) * sd * math.sqrt(1 + 1 / replications)
    own = pd.Series({name: log.get(name, math.nan) for name in names})
    table = pd.DataFrame(
        {
            "figure": names,
            "unit": ["s" if "time" in name or "latency" in name else "1/day" for name in names],
            "log": own.to_numpy(),
            "simulated": mean.to_numpy(),
            "low": (mean - half).to_numpy(),
            "high": (mean + half).to_numpy(),
        }
    )
    room = 1e-9 * table["simulated"].abs()  # what is always the same has no width
    table["within"] = table["log"].between(table["low"] - room, table["high"] + room)
    return Check(scenario.name, strategy.label, table, replications, confidence)


def _empty(name: str, log: Mapping[str, float], simulated: pd.DataFrame) -> bool:
    """Tell whether a figure by the hour is zero in the log and in every run."""
    return not log.get(name, 0.0) and not simulated[name].any(skipna=True)


def _known(steps: pd.DataFrame) -> dict[str, tuple[bool, bool]]:
    """Return for each step that waits whether the log has its completions and its resumptions."""
    return {
        str(step): (bool(rows["completed"].notna().any()), bool(rows["resumed"].notna().any()))
        for step, rows in steps[steps["system"].notna()].groupby("step")
    }


def figures_of(
    waits: pd.DataFrame,
    arrived: Floats,
    calendar: Calendar,
    length: float,
    known: Mapping[str, tuple[bool, bool]],
) -> dict[str, float]:
    """Return the figures that are compared, of a log or of a run.

    Parameters
    ----------
    waits
        ``step, armed, completed, resumed`` in seconds.
    arrived
        Instants of arrival.
    calendar, length
        Of the scenario.
    known
        By step, whether the log has completions and resumptions.
    """
    days = length / DAY
    found = {"arrivals": len(arrived) / days}
    for step, (completed, resumed) in known.items():
        rows = waits[waits["step"] == step]
        done = rows["completed" if completed else "resumed"]
        time = (done - rows["armed"]).dropna()
        latency = (rows["resumed"] - rows["completed"]).dropna() if completed and resumed else ()
        for what, values in (("external time", time), ("latency", latency)):
            if len(values):
                found |= {
                    f"{step}: {what}, {word}": float(np.quantile(values, share))
                    for word, share in QUANTILES.items()
                }
        found |= _by_hour(f"{step}: done", done.dropna().to_numpy(), calendar, days)
    return found | _by_hour("arrivals", arrived, calendar, days)


def _by_hour(what: str, instants: Floats, calendar: Calendar, days: float) -> dict[str, float]:
    hours = (clock_of(instants, calendar) % DAY // 3600).astype(int)
    counts = np.bincount(np.minimum(hours, 23), minlength=24) / days
    return {f"{what} from {hour:02d} h": float(n) for hour, n in enumerate(counts)}
