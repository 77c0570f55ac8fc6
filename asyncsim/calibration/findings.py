"""Findings and gaps of a fit, in words: arrivals, paths, distributions and damaged rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.arrival_rates import ArrivalFit
from asyncsim.calibration.cases import Paths
from asyncsim.calibration.distribution_fit import LawFit
from asyncsim.calibration.settings import LEVEL, SHOWN, Settings
from asyncsim.experiment.statistics import share_interval
from asyncsim.model.distributions import Fixed
from asyncsim.model.systems import ExternalSystem


@frozen
class Finding:
    """One thing that was found.

    Attributes
    ----------
    part
        Which part of the scenario, such as ``"arrivals"``.
    what, found
        What it is, and its value in words.
    rows
        From how many rows of the log (or nights, hours …).
    interval
        Its uncertainty in words; empty if it has none.
    how
        By which method.
    """

    part: str
    what: str
    found: str
    rows: int
    interval: str = ""
    how: str = ""


@frozen
class Gap:
    """One thing that the scenario does not explain, or that a log cannot tell."""

    part: str
    what: str
    amount: str
    meaning: str


@frozen(eq=False)
class FittedSystem:
    """An external system as it was found: what is played, the law of its item time, the account.

    Attributes
    ----------
    system, law
        What a scenario plays, and the fit of its item time.
    findings, gaps
        For the account.
    never
        Waits that did not end and are in no law, beside those that `gaps` tells of.
    """

    system: ExternalSystem
    law: LawFit
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    never: int


class Rows(pd.DataFrame):
    """A table of sentences, which a notebook shows whole."""

    @property
    def _constructor(self) -> type[Rows]:
        return Rows

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            html: str = self.to_html(index=False, border=0, justify="left")
        return html


def table_of(rows: Sequence[Finding] | Sequence[Gap], kind: type[Finding] | type[Gap]) -> Rows:
    """Return a list as a table, one column per attribute."""
    names = list(kind.__annotations__)
    return Rows([[getattr(row, n) for n in names] for row in rows], columns=names)


def share_text(k: int, n: int, confidence: float) -> str:
    """Return the interval of a share in words."""
    low, high = share_interval([k], [n], confidence)
    return f"{low:.2g} to {high:.2g}"


def p_text(p: float) -> str:
    """Return a p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


FAR = 4.0
"""A day is far off if its arrivals are this many standard deviations from what is expected."""


def arrival_findings(fit: ArrivalFit) -> list[Finding]:
    """Report what was found of arrivals."""
    busiest = fit.table.iloc[int(fit.table["rate"].argmax())]
    when = f" ({busiest['days']} {busiest['hour']:.0f} h)" if pd.notna(busiest["hour"]) else ""
    tried = "; ".join(
        f"{row.pooling}: {row.rates} rates, QAIC {row.qaic:,.0f}"
        for row in fit.candidates.itertuples()
    )
    found = [
        Finding("arrivals", "rates", fit.chosen, fit.n, "", f"least QAIC of {tried}"),
        Finding(
            "arrivals", "busiest hour", f"{busiest['rate']:.3g}/h{when}", int(busiest["arrivals"]),
            f"{busiest['low']:.3g} to {busiest['high']:.3g}/h", "exact Poisson interval",
        ),
        Finding(
            "arrivals", "in an ordinary week", f"{fit.law.per_week:,.0f}", fit.n, "",
            f"{len(fit.days)} days were seen",
        ),
    ]  # fmt: skip
    if not math.isnan(fit.bunching):
        found.append(
            Finding(
                "arrivals", "dispersion within hours", f"{fit.bunching:.3g}", fit.n, "",
                f"1 for Poisson arrivals; {p_text(fit.bunching_p)}",
            )
        )  # fmt: skip
    if fit.law.size > 1:
        how = "the number of arrivals at each instant"
        found.append(Finding("arrivals", "instances at a time", str(fit.law.size), fit.n, "", how))
    return found


def arrival_gaps(fit: ArrivalFit) -> list[Gap]:
    """Report what the fitted rates do not explain."""
    found = []
    if fit.bunching_p < LEVEL and fit.law.size == 1:
        more = fit.bunching > 1
        meaning = (
            "they come in bunches, or begin or end within an hour; in the scenario they come one "
            "by one, as often in all of an hour, and queues are shorter"
            if more
            else "they come more evenly than by chance; the scenario's queues are longer"
        )
        amount = f"{fit.bunching:.3g} times that of Poisson arrivals ({p_text(fit.bunching_p)})"
        found.append(Gap("arrivals", "dispersion within hours", amount, meaning))
    if fit.between_days_p < LEVEL:
        amount = (
            f"{fit.between_days:.3g} times that of Poisson arrivals ({p_text(fit.between_days_p)})"
        )
        meaning = (
            "days of the same rate differ more than chance allows: trends, holidays, good days"
        )
        found.append(Gap("arrivals", "dispersion between days", amount, meaning))
    if math.isnan(fit.between_days):
        meaning = "each rate was seen once only, so nothing tells whether it holds for another week"
        found.append(Gap("arrivals", "dispersion between days", "cannot be determined", meaning))
    far = fit.days[fit.days["score"].abs() > FAR]
    if len(far):
        some = "; ".join(
            f"{row.date}: {row.arrivals}, expected {row.expected:.0f}"
            for row in far[:SHOWN].itertuples()
        )
        more_days = f"; and {len(far) - SHOWN} more" if len(far) > SHOWN else ""
        meaning = (
            f"{some}{more_days}; a log that begins or ends within a day looks so (see period=)"
        )
        found.append(Gap("arrivals", "unusual days", f"{len(far)} of {len(fit.days)}", meaning))
    if fit.unseen:
        names = ", ".join(name[:3] for name in fit.unseen)
        meaning = "the log has no such day; no arrivals are assumed there"
        found.append(Gap("arrivals", "weekdays never seen", names, meaning))
    return found


def path_rows(paths: Paths, settings: Settings) -> tuple[list[Finding], list[Gap]]:
    """Report which order of steps was found, and who does not keep to it."""
    cases = paths.cases
    share = share_text(cases - paths.unexplained, cases, settings.confidence)
    found = Finding(
        "process", "steps", " → ".join(paths.main), cases,
        f"share of cases on it {share}",
        f"commonest path: {paths.on_it} cases went all of it, {paths.open} a part so far",
    )  # fmt: skip
    if not paths.unexplained:
        return [found], []
    some = "; ".join(
        f"{count}: {paths.difference(path)} ({' → '.join(path)})"
        for path, count in paths.others[:SHOWN]
    )
    more = f"; and {len(paths.others) - SHOWN} other paths" if len(paths.others) > SHOWN else ""
    amount = f"{paths.unexplained} of {cases} cases ({paths.unexplained / cases:.2%})"
    meaning = f"the scenario has one path for all; {some}{more}"
    return [found], [Gap("process", "cases on other paths", amount, meaning)]


def problem_gaps(problems: pd.DataFrame, rows: int) -> list[Gap]:
    """Report how many rows are in no figure."""
    lost = int(problems.loc[problems["used"] == "no", "rows"].sum())
    if not lost:
        return []
    meaning = "see problems for their kinds and places"
    return [Gap("log", "rows not used", f"{lost} of {rows} ({lost / rows:.2%})", meaning)]


def law_finding(part: str, what: str, fit: LawFit) -> Finding:
    """Return a fitted law as a row of the account."""
    how = "the times themselves: too few for a law"
    if isinstance(fit.law, Fixed):
        how = "always the same" if np.ptp(fit.times) <= fit.mean / 100 else "only its mean is known"
    elif fit.rejected:
        best = fit.candidates.iloc[0]
        how = f"the times themselves: {best['law']}, the best law, is rejected (p = {fit.p:.2g})"
    elif fit.best is not None:
        best = fit.candidates.iloc[0]
        how = f"{best['parameters']}; best AIC, not rejected (p = {fit.p:.2g})"
    if len(fit.cut):
        how += f"; {len(fit.cut)} that were cut off count as longer"
    interval = f"mean {fit.low:.4g} to {fit.high:.4g} s" if math.isfinite(fit.low) else ""
    found = f"{fit.law.kind}, mean {fit.law.mean:.4g} s"
    return Finding(part, what, found, len(fit.times) + len(fit.cut), interval, how)


def lanes_finding(part: str, lanes: int | None, rows: int) -> list[Finding]:
    """Return how many requests are worked on at one time, if it is known."""
    how = "first come, first served: the fewest that explain who was done when"
    return [] if lanes is None else [Finding(part, "lanes", str(lanes), rows, "", how)]


def law_gaps(part: str, what: str, law: LawFit) -> list[Gap]:
    """Report what a fitted law leaves open."""
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
