"""What a comparison or a sweep shows, in a few sentences with numbers and their intervals.

A sentence claims a difference only where its interval excludes zero. Losses come first, so that no
latency stands without the share of waits that never resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from attrs import frozen

from asyncsim.engine.metrics import METRIC_ORDER, METRICS, metric_in_words, metric_text
from asyncsim.experiment.statistics import Interval, mean_interval, paired_interval, span_text
from asyncsim.model.distributions import Floats

Of = Callable[[str, str], Interval]
"""The interval of a metric under a strategy."""
Paired = Callable[[str, str, str], Interval]
"""The interval of a metric under a strategy, less that under another one."""
ROUNDING = 1e-9  # of a difference between equal numbers
MOST = 5  # sentences of a sweep beside those on losses
PRICES = ("cost", "overhead_worker_time", "requests")  # the first that differs is reported
WORDS = {
    "mean_latency": "{one} resumes {number} earlier than {other} on average",
    "mean_cycle_time": "instances take {number} less under {one} than under {other}",
    "cost": "{one} costs {number} less per run than {other}",
    "overhead_worker_time": "{one} takes {number} less worker time per run than {other} to notice "
    "completions",
    "requests": "{one} sends {number} fewer requests per run than {other}",
}


@frozen
class Claim:
    """A sentence, and the interval that it rests on.

    Attributes
    ----------
    kind
        ``"never resumed"``, ``"less"`` or ``"no difference"``.
    metric, strategy, other
        What is claimed of which strategy, less the other one if it is a difference. Of a sweep,
        `other` may be a point, or two.
    interval
        Of the metric, or of the difference.
    text
        The sentence.
    """

    kind: str
    metric: str
    strategy: str
    other: str
    interval: Interval
    text: str


def claims(
    strategies: Sequence[str], metrics: Sequence[str], of: Of, paired: Paired, unit: str
) -> list[Claim]:
    """Return what matters: losses, who resumes earlier, who is cheaper, what does not differ.

    Parameters
    ----------
    strategies, metrics
        Labels, and the names of the metrics that there are.
    of, paired
        Return intervals.
    unit
        Of costs.
    """
    losses = list(_losses(strategies, of))
    lossy = {one.strategy for one in losses}
    found: list[Claim | None] = []
    resumed = [label for label in strategies if label not in lossy]  # comparable latencies
    ends = _least_and_most("mean_latency", resumed, of)
    if ends:
        least, second, most = ends
        for other in dict.fromkeys((most, second)):
            found.append(_difference("mean_latency", least, other, paired, unit))
        found.append(_difference("mean_cycle_time", least, most, paired, unit))
    for metric in (name for name in PRICES if name in metrics):
        prices = _least_and_most(metric, resumed if len(resumed) > 1 else strategies, of)
        if prices and of(metric, prices[2]).mean > of(metric, prices[0]).mean:
            found.append(_difference(metric, prices[0], prices[2], paired, unit))
            break
    return losses + [one for one in found if one is not None]


def _losses(strategies: Sequence[str], of: Of) -> Iterator[Claim]:
    """Yield the share of waits that never resume, of every strategy that has any."""
    for label in strategies:
        share = of("unresumed_share", label)
        if share.mean > 0:
            text = f"{_share(share)} of the waits under '{label}' never resume"
            yield Claim("never resumed", "unresumed_share", label, "", share, text)


def _share(share: Interval) -> str:
    """Return a share with its interval."""
    low, high = 100 * max(share.low, 0.0), 100 * min(share.high, 1.0)
    between = f"{low:.3g} to {high:.3g} %"
    if math.isnan(share.half_width):
        between = "in one replication, the only one with waits"
    return f"{100 * share.mean:.3g} % ({between})"


def _least_and_most(metric: str, strategies: Sequence[str], of: Of) -> tuple[str, str, str] | None:
    """Return the strategies with the least, the second least and the largest mean."""
    known = [label for label in strategies if math.isfinite(of(metric, label).mean)]
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda label: of(metric, label).mean)
    return ordered[0], ordered[1], ordered[-1]


def _difference(metric: str, one: str, other: str, paired: Paired, unit: str) -> Claim | None:
    """Return which of two strategies has less of a metric, and by how much, or that none has."""
    gap = paired(metric, other, one)  # positive if `one` has less
    if math.isnan(gap.half_width):
        return None  # too few replications have both
    if gap.high < -ROUNDING * abs(gap.mean):  # who resumes earlier may take longer in all
        return _difference(metric, other, one, paired, unit)

    def words(value: float) -> str:
        return metric_text(metric, value, unit if metric == "cost" else METRICS[metric].unit)

    between = span_text(words(gap.low), words(gap.high))
    if gap.low > ROUNDING * abs(gap.mean) > 0:
        names = {"one": f"'{one}'", "other": f"'{other}'"}
        text = WORDS[metric].format(**names, number=words(gap.mean))
        return Claim("less", metric, one, other, gap, f"{text} ({between})")
    text = f"the {metric_in_words(metric)} of '{one}' and '{other}' does not differ beyond "
    text += f"chance: {between}"
    return Claim("no difference", metric, one, other, gap, text)


# --- sweeps ---------------------------------------------------------------------------------------

Points = Mapping[str, Floats]
"""Metrics by point in words; arrays of replications × strategies × metrics."""


def sweep_claims(
    points: Points, strategies: Sequence[str], unit: str, confidence: float
) -> list[Claim]:
    """Return what a sweep shows: losses, extreme points, who is earlier where, and costs.

    Extremes are chosen among all pairs of points, and points among all points, so that their
    intervals have Bonferroni's level. Latencies are compared at points where no wait is lost.
    """
    found, sound = [], dict[str, list[str]]()
    for s, label in enumerate(strategies):
        shares = {name: _column(one, s, "unresumed_share") for name, one in points.items()}
        lossy = {name: one for name, one in shares.items() if np.any(one > 0)}
        sound[label] = [name for name in points if name not in lossy]
        if lossy:
            worst = max(lossy, key=lambda name: float(np.nanmean(lossy[name])))
            share = mean_interval(lossy[worst], confidence)
            text = f"up to {_share(share)} of the waits under '{label}' never resume, with {worst}"
            found.append(Claim("never resumed", "unresumed_share", label, worst, share, text))
    more = [
        _extremes("mean_latency", "", label, points, (s, sound[label]), confidence)
        for s, label in enumerate(strategies)
    ]
    for s, label in enumerate(strategies[1:], 1):
        both = [name for name in sound[label] if name in sound[strategies[0]]]
        more.append(_earlier((strategies[0], label), points, (s, both), confidence))
    if unit:
        more += [
            _extremes("cost", unit, label, points, (s, sound[label]), confidence)
            for s, label in enumerate(strategies)
        ]
    return found + [one for one in more if one is not None][:MOST]


def _column(metrics: Floats, strategy: int, metric: str) -> Floats:
    found: Floats = metrics[:, strategy, METRIC_ORDER[metric]]
    return found


def _extremes(
    metric: str, unit: str, label: str, points: Points, of: tuple[int, list[str]], level: float
) -> Claim | None:
    """Return the points with the least and the largest mean, or that none differs."""
    s, names = of
    values = {name: _column(points[name], s, metric) for name in names}
    values = {name: one for name, one in values.items() if np.isfinite(one).all()}
    if len(values) < 2:
        return None
    ordered = sorted(values, key=lambda name: float(values[name].mean()))
    low, high, pairs = ordered[0], ordered[-1], math.comb(len(ordered), 2)
    gap = paired_interval(values[low], values[high], 1 - (1 - level) / pairs)
    text = partial(metric_text, metric, unit=unit or METRICS[metric].unit)
    words = f"under '{label}' the {metric_in_words(metric)}"
    if gap.low > ROUNDING * abs(gap.mean) > 0:
        words += f" is least with {low}: {mean_interval(values[low], level).in_words(text)}; "
        words += f"with {high} it is largest, {gap.in_words(text)} more"
        return Claim("less", metric, label, f"{low}; {high}", gap, words)
    words += f" does not differ beyond chance between {len(values)} points: "
    words += f"from the least to the largest mean by {gap.in_words(text)}"
    return Claim("no difference", metric, label, f"{low}; {high}", gap, words)


def _earlier(
    pair: tuple[str, str], points: Points, of: tuple[int, list[str]], confidence: float
) -> Claim | None:
    """Return at how many points a strategy resumes earlier than another one, and how much."""
    s, names = of
    level = 1 - (1 - confidence) / max(len(names), 1)
    gaps = {}
    for name in names:
        values = [_column(points[name], k, "mean_latency") for k in (0, s)]
        if all(np.isfinite(one).all() for one in values):
            gaps[name] = paired_interval(values[0], values[1], level)
    if not gaps:
        return None
    text = partial(metric_text, "mean_latency", unit="s")
    one, other = pair
    sure = {name: gap for name, gap in gaps.items() if gap.low > ROUNDING * abs(gap.mean)}
    late = {name: gap for name, gap in gaps.items() if gap.high < -ROUNDING * abs(gap.mean)}
    if len(late) > len(sure):
        one, other, sure, late = other, one, late, sure
    if not sure:
        name, gap = max(gaps.items(), key=lambda item: abs(item[1].mean))
        words = f"the mean latency of '{one}' and '{other}' does not differ beyond chance at any "
        words += f"of {len(gaps)} points: at most by {gap.in_words(text)}, with {name}"
        return Claim("no difference", "mean_latency", one, f"{other}; {name}", gap, words)
    name, gap = min(sure.items(), key=lambda item: abs(item[1].mean))
    if one != pair[0]:
        gap = Interval(-gap.mean, gap.half_width, gap.n)
    words = f"'{one}' resumes earlier than '{other}' at {len(sure)} of {len(gaps)} points; the "
    words += f"least, with {name}, by {gap.in_words(text)}"
    if late:
        words += f"; at {len(late)} it resumes later"
    return Claim("less", "mean_latency", one, f"{other}; {name}", gap, words)
