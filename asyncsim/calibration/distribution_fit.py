"""Which distribution times follow: those of a scenario by AIC, tested, or the times themselves.

Parameters are those of greatest likelihood. The test is Anderson and Darling's (1952) with a
parametric bootstrap (Stute, González Manteiga & Presedo Quindimil 1993), by
`scipy.stats.goodness_of_fit`: the tables of Kolmogorov and Smirnov hold for a distribution known
beforehand; with parameters estimated from the same times their p-values are far too large. Uniform
distributions, and those with times of zero, are tested with Cramér and von Mises' statistic, since
Anderson and Darling's is infinite at the ends.

Of times that were cut off only a lower bound is known: they count in the likelihood by the
probability to last longer, and for the test each is drawn to its end from the fitted distribution,
which favours that a little. The times themselves are then Kaplan and Meier's (1958) estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy
from attrs import frozen

from asyncsim.calibration.findings import LEVEL, Finding, Gap, p_text
from asyncsim.experiment.statistics import student_t
from asyncsim.model.distributions import (
    Duration,
    Empirical,
    Exponential,
    Fixed,
    Floats,
    Gamma,
    Lognormal,
    Uniform,
)
from asyncsim.model.validation import with_own_tables

BOOTSTRAPS = 199
MOST_TESTED = 1000  # times sampled for a test: more is slow and rejects negligible differences
MOST_VALUES = 500  # empirical quantiles at most, or a scenario file would hold a whole log
FEWEST = 8  # fewer times are taken as they are: they do not distinguish distributions
ROUNDING = 3e-6  # times that differ by less are equal: timestamps are whole microseconds
CLOSE = 2.0  # the simpler one wins unless another has a lower AIC by this (Burnham & Anderson)
NONE: Floats = np.empty(0)


@with_own_tables
@frozen(eq=False)
class DistributionFit:
    """A distribution fitted to times.

    `law` is what a scenario plays: the `best` parametric one, or the times themselves if that was
    `rejected`. `candidates` has ``law, parameters, aic, statistic, p`` (NaN if not tested), the
    best first. `times` (seconds, sorted) leaves out those that were `cut` off; `rounded` is whether
    enough of them are equal to show that they were rounded.
    """

    law: Duration
    rejected: bool
    candidates: pd.DataFrame
    best: Duration | None
    times: Floats
    mean: float
    low: float
    high: float
    rounded: bool
    cut: Floats

    @property
    def p(self) -> float:
        """P-value of the best parametric distribution; NaN if none was tested."""
        return float(self.candidates["p"].iloc[0]) if len(self.candidates) else math.nan


def six_digits(value: float) -> float:
    """Return a number as a file should hold it: no log tells more than six digits."""
    return float(f"{value:.6g}")


def _gamma(times: Floats, cut: Floats) -> Duration:
    shape, _, scale = scipy.stats.gamma.fit(_data(times, cut), floc=0)
    return Gamma(six_digits(shape * scale), six_digits(math.sqrt(shape) * scale))


def _lognormal(times: Floats, cut: Floats) -> Duration:
    sigma, _, median = scipy.stats.lognorm.fit(_data(times, cut), floc=0)
    mean = float(median * math.exp(sigma**2 / 2))
    return Lognormal(six_digits(mean), six_digits(mean * math.sqrt(math.expm1(sigma**2))))


def _data(times: Floats, cut: Floats) -> Any:
    """Return times as SciPy fits them; those it knows a closed form for stay an array."""
    return scipy.stats.CensoredData(times, right=cut) if len(cut) else times


@frozen
class _Family:
    """How a distribution is fitted and tested, its name in SciPy, parameters that are known."""

    fit: Callable[[Floats, Floats], Duration]
    scipy: str
    known: dict[str, float]
    parameters: int
    statistic: Literal["ad", "cvm"] = "ad"


FAMILIES = {
    "exponential": _Family(
        lambda times, cut: Exponential(six_digits((times.sum() + cut.sum()) / len(times))),
        "expon", {"loc": 0.0}, 1,
    ),
    "gamma": _Family(_gamma, "gamma", {"loc": 0.0}, 2),
    "lognormal": _Family(_lognormal, "lognorm", {"loc": 0.0}, 2),
    "uniform": _Family(
        lambda times, _: Uniform(float(times.min()), float(times.max())), "uniform", {}, 2, "cvm"
    ),
}  # fmt: skip


def frozen_distribution(law: Duration) -> Any:
    """Return a parametric distribution as one of SciPy."""
    if isinstance(law, Exponential):
        return scipy.stats.expon(scale=law.mean)
    if isinstance(law, Gamma):
        return scipy.stats.gamma(law.shape, scale=law.mean / law.shape)
    if isinstance(law, Lognormal):
        return scipy.stats.lognorm(law.sigma, scale=math.exp(law.mu))
    if isinstance(law, Uniform):
        return scipy.stats.uniform(law.low, law.high - law.low)
    return None


def fit_distribution(
    times: Floats, rng: np.random.Generator, confidence: float = 0.95, cut: Floats = NONE
) -> DistributionFit:
    """Fit a distribution to times in seconds, none negative; `cut` are those that were cut off."""
    ordered, cut = np.sort(np.asarray(times, dtype=float)), np.sort(cut)
    n = len(ordered)
    many = ordered if n >= FEWEST else ordered[:0]
    rejected, best = False, None
    if ordered[-1] - ordered[0] <= max(1e-6 * ordered[-1], ROUNDING):  # equal but for rounding
        table = _ranked(ordered[:0], cut, rng)
        law: Duration = Fixed(six_digits(float(ordered.mean())))
    elif (table := _ranked(many, cut, rng)).empty:
        law = shortened(_with_cut(ordered, cut))
    else:
        best = table["fitted"].iloc[0]
        rejected = not table["p"].iloc[0] >= LEVEL  # also where it could not be tested
        law = shortened(_with_cut(ordered, cut)) if rejected else best
    mean, sd = float(ordered.mean()), float(ordered.std(ddof=1)) if n > 1 else math.nan
    if len(cut):
        mean, sd = law.mean, law.sd
    half = student_t(confidence, max(n - 1, 1)) * sd / math.sqrt(n)
    return DistributionFit(
        law, rejected, table.drop(columns="fitted"), best, ordered, mean, mean - half, mean + half,
        rounded=n >= FEWEST and len(np.unique(ordered)) < n / 2, cut=cut,
    )  # fmt: skip


def _with_cut(times: Floats, cut: Floats) -> Floats:
    """Return Kaplan and Meier's quantiles; what lies beyond the longest time is put there."""
    if not len(cut):
        return times
    found = scipy.stats.ecdf(_data(times, cut)).cdf
    n = len(times) + len(cut)
    at = np.searchsorted(found.probabilities, (np.arange(n) + 0.5) / n)
    quantiles: Floats = np.minimum(np.append(found.quantiles, times[-1])[at], times[-1])
    return quantiles


def shortened(ordered: Floats) -> Empirical:
    """Return sorted times as an empirical distribution; many of them as evenly spaced quantiles."""
    if len(ordered) > MOST_VALUES:
        shares = (np.arange(MOST_VALUES) + 0.5) / MOST_VALUES
        ordered = np.quantile(ordered, shares)
    return Empirical([six_digits(time) for time in ordered.tolist()])


def _ranked(times: Floats, cut: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """Return parametric distributions by AIC; only the best, which may be chosen, is tested."""
    rows: list[dict[str, Any]] = []
    for name, family in FAMILIES.items():
        if not len(times) or (times[0] <= 0 and name in ("gamma", "lognormal")):
            continue  # these have no place for a time of zero
        if len(cut) and name == "uniform" and cut[-1] >= times[-1]:
            continue  # nothing tells where it ends
        law = family.fit(times, cut)
        fitted = frozen_distribution(law)
        likelihood = float(np.sum(fitted.logpdf(times)) + np.sum(fitted.logsf(cut)))
        aic = 2 * family.parameters - 2 * likelihood
        rows.append({"law": name, "parameters": _parameters(law), "aic": aic, "fitted": law})
    rows.sort(key=lambda row: row["aic"] - CLOSE * (FAMILIES[row["law"]].parameters == 1))
    for k, row in enumerate(rows):
        tested = (math.nan, math.nan)
        if k == 0:
            fitted = frozen_distribution(row["fitted"])
            drawn = fitted.isf(fitted.sf(cut) * rng.random(len(cut)))  # given that it is longer
            tested = _tested(FAMILIES[row["law"]], np.append(times, drawn), rng)
        row["statistic"], row["p"] = tested
    return pd.DataFrame(rows, columns=["law", "parameters", "aic", "statistic", "p", "fitted"])


def _tested(family: _Family, times: Floats, rng: np.random.Generator) -> tuple[float, float]:
    some = rng.choice(times, MOST_TESTED, replace=False) if len(times) > MOST_TESTED else times
    statistic = "cvm" if some.min() <= 0 else family.statistic  # the other is infinite at zero
    try:
        result = scipy.stats.goodness_of_fit(
            getattr(scipy.stats, family.scipy), some, known_params=family.known,
            statistic=statistic, n_mc_samples=BOOTSTRAPS, rng=rng,
        )  # fmt: skip
    except (ValueError, scipy.stats.FitError):  # times of next to no spread defeat the search
        return math.nan, math.nan
    return float(result.statistic), float(result.pvalue)


def _parameters(law: Duration) -> str:
    if isinstance(law, Exponential):
        return f"mean {law.mean:.4g} s"
    if isinstance(law, Uniform):
        return f"from {law.low:.4g} to {law.high:.4g} s"
    return f"mean {law.mean:.4g} s, sd {law.sd:.4g} s"


def distribution_finding(part: str, what: str, fit: DistributionFit) -> Finding:
    """Return a fitted distribution as a row of the account."""
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


def distribution_gaps(part: str, what: str, law: DistributionFit) -> list[Gap]:
    """Report what a fitted distribution leaves open."""
    found = []
    if law.rejected:
        best = law.candidates["law"].iloc[0]
        meaning = (
            "the times themselves are drawn again; nothing above the longest of them can happen"
        )
        amount = f"{best} rejected ({p_text(law.p)})"
        found.append(Gap(part, f"law of the {what}", amount, meaning))
    if law.rounded and law.rejected:
        meaning = (
            "many times are equal, so they were rounded: tests of a law reject it for that alone"
        )
        found.append(Gap(part, f"rounding of the {what}", "yes", meaning))
    return found
