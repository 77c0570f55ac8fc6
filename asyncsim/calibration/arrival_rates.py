"""When instances arrive: one rate, one for each hour, or one for each hour and weekday.

A Poisson process whose rate is constant within an hour of the week. How finely the rate may change
is chosen by Akaike's criterion (AIC; Akaike 1974), with the log-likelihood divided by the
dispersion where arrivals come in bunches or days differ (QAIC; Burnham & Anderson 2002, section
2.5): what the data cannot tell apart is pooled.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import scipy
from attrs import frozen

from asyncsim.calibration.distribution_fit import six_digits
from asyncsim.calibration.findings import LEVEL, SHOWN, Finding, Gap, p_text
from asyncsim.model.arrivals import WeeklyPoisson
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Floats
from asyncsim.model.units import DAY_NAMES, HOUR
from asyncsim.model.validation import with_own_tables

PARTS = 12  # parts of an hour, of five minutes, between which bunches are looked for
POOLED = {
    "one rate": ("every day", "all"),
    "by hour": ("every day", "hour"),
    "by hour, weekend apart": ("weekend apart", "hour"),
    "by hour and weekday": ("weekday", "hour"),
}
Cells = np.ndarray[tuple[int], np.dtype[np.int64]]


@with_own_tables
@frozen(eq=False)
class ArrivalFit:
    """Fitted arrivals.

    `candidates` has ``pooling, rates`` (fitted), ``qaic, p_coarser`` (likelihood-ratio test against
    the row above); `table` ``days, hour, arrivals, hours`` and ``rate, low, high`` per hour;
    `days` ``date, arrivals, expected, score`` (standard deviations away). Dispersions are 1 for
    Poisson arrivals: `bunching` within hours, `between_days` of each day's counts around the fitted
    rates, given that within hours. Nothing arrives on weekdays that are `unseen` in the log.
    """

    law: WeeklyPoisson
    chosen: str
    candidates: pd.DataFrame
    table: pd.DataFrame
    days: pd.DataFrame
    bunching: float
    bunching_p: float
    between_days: float
    between_days_p: float
    unseen: tuple[str, ...]
    n: int


def fit_arrivals(
    instants: Floats, calendar: Calendar, length: float, confidence: float = 0.95
) -> ArrivalFit:
    """Fit arrivals to sorted instants, at least one, in ``[0, length)``: whole days, in seconds."""
    hours = calendar.hours(length)
    edges = np.append(hours["start"].to_numpy(), hours["end"].iloc[-1])
    hours = hours.assign(
        count=np.histogram(instants, edges)[0], time=(hours["end"] - hours["start"]) / HOUR
    )
    bunching, bunching_p = bunched(instants, hours)
    excess = max(bunching, 1.0) if bunching_p < LEVEL else 1.0
    candidates = _candidates(hours, _finest(hours, excess))
    chosen = str(candidates["pooling"].iloc[int(candidates["qaic"].argmin())])
    cells = _cells(hours, chosen)
    rate, between, between_p = _between(hours, cells, excess)
    table = _rates(hours, cells, _wider(excess, between, between_p), confidence)
    hours = hours.assign(expected=rate * hours["time"])
    weekdays = sorted(set(hours["weekday"]))
    sizes, week = set(np.unique(instants, return_counts=True)[1].tolist()), np.zeros((7, 24))
    size = sizes.pop() if len(sizes) == 1 and len(instants) >= 10 else 1  # always as many at once
    week[hours["weekday"], hours["hour"]] = [six_digits(one / size) for one in rate.tolist()]
    return ArrivalFit(
        WeeklyPoisson(week, size=size), chosen, candidates, table, _days(hours, calendar, excess),
        bunching, bunching_p, between, between_p,
        unseen=tuple(DAY_NAMES[k] for k in range(7) if k not in weekdays), n=len(instants),
    )  # fmt: skip


def bunched(instants: Floats, hours: pd.DataFrame) -> tuple[float, float]:
    """Return the dispersion of arrivals within hours, and its p-value.

    Given its count n, a Poisson hour spreads its arrivals evenly over its parts whatever its rate:
    the chi-square statistic of k parts has mean k - 1 and variance 2 (k - 1) (1 - 1/n) exactly. The
    ratio of the sum over all hours to its mean is near m where m arrive at a time.
    """
    k = np.searchsorted(hours["start"].to_numpy(), instants, side="right") - 1
    start, end = hours["start"].to_numpy()[k], hours["end"].to_numpy()[k]
    part = np.minimum((PARTS * (instants - start) / (end - start)).astype(int), PARTS - 1)
    counts = np.bincount(k * PARTS + part, minlength=len(hours) * PARTS).reshape(-1, PARTS)
    n = counts.sum(axis=1)
    counts, n = counts[n >= 2], n[n >= 2]
    if not len(n):
        return math.nan, math.nan
    sums = PARTS * (counts**2).sum(axis=1) / n - n
    mean = len(n) * (PARTS - 1)
    sd = math.sqrt(float(np.sum(2 * (PARTS - 1) * (1 - 1 / n))))
    # A gamma distribution with this mean and variance; for large n it is chi-square
    shape = (mean / sd) ** 2
    above = float(scipy.stats.gamma.sf(sums.sum(), shape, scale=mean / shape))
    return float(sums.sum()) / mean, 2 * min(above, 1 - above)


def _cells(hours: pd.DataFrame, pooling: str) -> Cells:
    """Return for each hour of the log the number of the rate that it shares."""
    days, clock = POOLED[pooling]
    group = {"every day": 0, "weekend apart": hours["weekday"] >= 5, "weekday": hours["weekday"]}
    cell = np.asarray(group[days], dtype=int) * 24 + (hours["hour"] if clock == "hour" else 0)
    return np.unique(np.broadcast_to(cell, len(hours)), return_inverse=True)[1]


def _sums(hours: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    return hours[["count", "time"]].groupby(cells).sum()


def _candidates(hours: pd.DataFrame, excess: float) -> pd.DataFrame:
    rows: list[tuple[str, int, float, float]] = []
    before: tuple[float, int] | None = None
    for pooling in POOLED:
        sums = _sums(hours, _cells(hours, pooling))
        rates = len(sums)
        if before is not None and rates == before[1]:
            continue  # a log of one weekday has no weekend to set apart
        likelihood = float((scipy.special.xlogy(sums["count"], sums["count"] / sums["time"])).sum())
        p = math.nan
        if before is not None:
            ratio = 2 * (likelihood - before[0]) / excess
            p = float(scipy.stats.chi2.sf(ratio, rates - before[1]))
        rows.append((pooling, rates, 2 * rates - 2 * likelihood / excess, p))
        before = (likelihood, rates)
    return pd.DataFrame(rows, columns=["pooling", "rates", "qaic", "p_coarser"])


def _rates(hours: pd.DataFrame, cells: Cells, excess: float, confidence: float) -> pd.DataFrame:
    """Return the fitted rates with exact Poisson intervals (Garwood 1936), wider by `excess`."""
    sums = _sums(hours, cells)
    n, time = sums["count"].to_numpy() / excess, sums["time"].to_numpy()  # quasi-likelihood
    tail = (1 - confidence) / 2
    first = hours.assign(cell=cells).groupby("cell")
    named = first.agg(
        weekdays=("weekday", lambda w: tuple(sorted(set(w)))),
        hour=("hour", lambda h: tuple(set(h))),
    )
    with np.errstate(invalid="ignore"):
        low = np.where(n > 0, scipy.stats.chi2.ppf(tail, 2 * n) / 2, 0.0)
    high = scipy.stats.chi2.ppf(1 - tail, 2 * n + 2) / 2
    return pd.DataFrame(
        {
            "days": [", ".join(DAY_NAMES[k][:3] for k in days) for days in named["weekdays"]],
            "hour": [found[0] if len(found) == 1 else None for found in named["hour"]],
            "arrivals": sums["count"].to_numpy(),
            "hours": time,
            "rate": sums["count"].to_numpy() / time,
            "low": low * excess / time,
            "high": high * excess / time,
        }
    )


def _between(hours: pd.DataFrame, cells: Cells, excess: float) -> tuple[Floats, float, float]:
    """Return the rate of each hour, and Pearson's dispersion of counts around it with its p-value.

    One count for each day and rate: hours of a day that share a rate are good or bad together. Each
    count's term has mean 1 and variance 2 + 1/expected for Poisson counts; the p-value rests on a
    gamma distribution with the mean and the variance of their sum.
    """
    sums = _sums(hours, cells)
    rate = (sums["count"] / sums["time"]).to_numpy()[cells]
    by_day = hours.assign(expected=rate * hours["time"], cell=cells).groupby(["day", "cell"])
    counts, expected = by_day[["count", "expected"]].sum().to_numpy().T
    counts, expected = counts[expected > 0], expected[expected > 0]
    free = len(expected) - int((sums["count"] > 0).sum())
    if free < 1 or hours["day"].nunique() < 2:
        return rate, math.nan, math.nan
    total = float(((counts - expected) ** 2 / expected).sum())
    variance = 2 * free + float((1 / expected).sum()) * free / len(expected)
    shape = free**2 / variance
    p = float(scipy.stats.gamma.sf(total / excess, shape, scale=free / shape))
    return rate, total / free, p


def _finest(hours: pd.DataFrame, excess: float) -> float:
    """Return the dispersion of days' counts around the finest pooling that leaves any to see."""
    for pooling in reversed(POOLED):
        _, between, p = _between(hours, _cells(hours, pooling), excess)
        if not math.isnan(between):
            return _wider(excess, between, p)
    return excess


def _wider(excess: float, between: float, p: float) -> float:
    """Return by how much counts vary more than Poisson ones: bunches, or good and bad days."""
    return max(excess, between) if p < LEVEL else excess


def _days(hours: pd.DataFrame, calendar: Calendar, excess: float) -> pd.DataFrame:
    sums = hours.groupby("day")[["count", "expected"]].sum()
    spread = np.sqrt(np.maximum(sums["expected"] * excess, 1e-9))
    return pd.DataFrame(
        {
            "date": [calendar.day(int(k)) for k in sums.index],
            "arrivals": sums["count"].to_numpy(),
            "expected": sums["expected"].to_numpy(),
            "score": ((sums["count"] - sums["expected"]) / spread).to_numpy(),
        }
    )


FAR = 4.0  # standard deviations from the expected arrivals at which a day is far off


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
        meaning = "they come more evenly than by chance; the scenario's queues are longer"
        if fit.bunching > 1:
            meaning = (
                "they come in bunches, or begin or end within an hour; in the scenario they come "
                "one by one, as often in all of an hour, and queues are shorter"
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
