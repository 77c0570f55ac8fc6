"""What a comparison or a sweep shows, in a few sentences with numbers and their intervals.

A sentence claims a difference only where its interval excludes zero. Overloads and losses come
first, so that no latency stands without the share of waits that never resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from attrs import evolve, frozen

from asyncsim.engine.loads import NEARLY_FULL, overload_in_words
from asyncsim.engine.metrics import METRIC_ORDER, METRICS, metric_in_words, metric_text
from asyncsim.experiment.statistics import Interval, mean_interval, paired_interval, span_text
from asyncsim.model.distributions import Floats
from asyncsim.model.units import percent

ROUNDING = 1e-9  # of a difference between equal numbers
MOST = 5  # sentences of a sweep beside those on losses
PRICES = ("cost", "overhead_worker_time", "requests")  # the first that differs is reported
DIGITS = 3  # of the numbers in sentences on a comparison
SAME, ALMOST = 0.001, 0.01  # of the larger mean; a difference of less is shown as none
INSTANT = 0.001  # up to `ALMOST`, if it is also shorter than this
WORDS = {
    "mean_latency": "{one} resumes {number} earlier than {other} on average",
    "mean_cycle_time": "instances take {number} less under {one} than under {other}",
    "cost": "{one} costs {number} less {per} than {other}",
    "overhead_worker_time": "{one} takes {number} less worker time {per} than {other} to notice "
    "completions",
    "requests": "{one} sends {number} fewer requests {per} than {other}",
}
latency_text = partial(metric_text, "mean_latency", unit="s", digits=DIGITS)  # seconds as a text


@frozen
class Claim:
    """A sentence, and the interval of a metric, or of its difference to `other`, behind it."""

    kind: str
    metric: str
    strategy: str
    other: str
    interval: Interval
    text: str


@frozen
class Facts:
    """What the claims on a comparison rest on."""

    strategies: Sequence[str]  # their labels
    metrics: Sequence[str]  # those that are known
    of: Callable[[str, str], Interval]  # of a metric under a strategy
    paired: Callable[[str, str, str], Interval]  # the same, less that under another strategy
    unit: str = ""  # the currency
    days: float = 0.0  # of a run, by which its sums are divided; 0 if it is shorter than a day
    loads: Mapping[str, Mapping[str, Interval]] = {}  # by part and strategy
    steps: Mapping[str, Callable[[str, str], Interval]] = {}  # `paired`, of latency, if several
    certain: Collection[str] = ()  # strategies that send callbacks of which none is lost


def claims(facts: Facts) -> list[Claim]:
    """Return what matters: overloads, losses, who resumes earlier and where, who is cheaper."""
    shares = {label: facts.of("unresumed_share", label) for label in facts.strategies}
    losses = [_loss(label, share) for label, share in shares.items() if share.mean > 0]
    found: list[Claim | None] = []
    resumed = [label for label in shares if not shares[label].mean > 0]  # comparable latencies
    ordered = _ordered("mean_latency", resumed, facts)
    if len(ordered) > 1:
        found += _earliest(ordered, facts)
        taking = _difference("mean_cycle_time", ordered[0], ordered[-1], facts)
        found.append(taking if taking and taking.kind != "same" else None)
    for metric in (name for name in PRICES if name in facts.metrics):
        prices = _ordered(metric, resumed if len(resumed) > 1 else facts.strategies, facts)
        means = [facts.of(metric, label).mean for label in prices]
        if len(prices) > 1 and means[-1] > means[0]:
            found.append(_difference(metric, prices[0], prices[-1], facts))
            break
    return [*overloads(facts), *losses, *(one for one in found if one is not None)]


def overloads(facts: Facts) -> Iterator[Claim]:
    """Yield the parts that are asked for more than they can do, or may be."""
    for part, loads in facts.loads.items():
        states = {label: overload(one) for label, one in loads.items()}
        label = max(loads, key=lambda one: loads[one].mean)
        if not states[label]:
            continue
        text = overload_in_words(part, loads[label].in_words(percent), states[label] == "certain")
        alike = [one for one in loads if states[one] == states[label]]
        if len(alike) < len(loads):
            text = f"under {_all(alike)} {text}"
        yield Claim("overload", "load", label, part, loads[label], text)


def overload(load: Interval) -> str:
    """Return whether a load is above 1: ``"certain"``, ``"likely"`` (by chance), or nothing.

    >>> overload(Interval(2.0, 0.1, 10)), overload(Interval(0.99, 0.1, 10))
    ('certain', 'likely')
    """
    half = 0.0 if math.isnan(load.half_width) else load.half_width
    if load.mean - half > 1 + ROUNDING:
        return "certain"
    return "likely" if load.mean > NEARLY_FULL and load.mean + half > 1 - ROUNDING else ""


def _loss(label: str, share: Interval, worst: str = "") -> Claim:
    """Return the share of waits that never resume, of several points that of the worst one."""
    low, high = 100 * max(share.low, 0.0), 100 * min(share.high, 1.0)
    between = f"{low:.3g} to {high:.3g} %"
    if math.isnan(share.half_width):
        between = "in one replication, the only one with waits"
    text = f"{100 * share.mean:.3g} % ({between}) of the waits under '{label}' never resume"
    text = f"up to {text}, with {worst}" if worst else text
    return Claim("never resumed", "unresumed_share", label, worst, share, text)


def _earliest(ordered: Sequence[str], facts: Facts) -> Iterator[Claim | None]:
    """Yield who resumes earliest, the simplest of several; who is second; and at which steps."""
    best = ordered[0]
    equal = [best]
    for other in ordered[1:]:
        found = _difference("mean_latency", best, other, facts)
        if found is None or found.kind == "less":
            break
        equal.append(other)
    if len(equal) > 1 and "requests" in facts.metrics:
        best = min(equal, key=lambda label: facts.of("requests", label).mean)
        equal.sort(key=lambda label: label != best)
    last = _difference("mean_latency", best, ordered[-1], facts)
    if last is not None and last.kind == "less":
        one, other = (
            latency_text(facts.of("mean_latency", x).mean) for x in (last.strategy, last.other)
        )
        text = f"{last.text}: {one} after completion in place of {other}"
        waits = facts.of("armed", best).mean / (facts.days or 1.0) if facts.days else math.nan
        text += f", at each of {waits:,.0f} waits a day" if waits >= 1 else ""
        text += "; no callback is lost here" if last.strategy in facts.certain else ""
        yield evolve(last, text=text)
        yield _by_step(last, facts)
    if len(equal) > 1:
        gaps = [_difference("mean_latency", best, other, facts) for other in equal[1:]]
        unlike = [one for one in gaps if one and one.kind != "same"]
        claim = max(unlike or filter(None, gaps), key=lambda one: abs(one.interval.mean))
        yield claim if unlike else _equals(equal, claim, facts)
    elif ordered[1] != ordered[-1]:
        yield _difference("mean_latency", best, ordered[1], facts)


def _equals(equal: Sequence[str], claim: Claim, facts: Facts) -> Claim:
    """Return that strategies resume equally early, and which of them sends fewest requests."""
    after = latency_text(facts.of("mean_latency", equal[0]).mean)
    words = f"{_all(equal)} resume equally early, {after} after completion on average"
    if "requests" in facts.metrics:
        sent = [facts.of("requests", label).mean for label in equal]
        if sent[0] < min(sent[1:]):
            words += f"; '{equal[0]}' is the simplest, with the fewest requests"
    return evolve(claim, text=f"{words} (differences are below 1 %)")


def _by_step(claim: Claim, facts: Facts) -> Claim | None:
    """Return at which steps a difference of latencies arises, the largest first."""
    gaps = {step: paired(claim.other, claim.strategy) for step, paired in facts.steps.items()}
    known = {step: gap for step, gap in gaps.items() if math.isfinite(gap.half_width)}
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda step: -abs(known[step].mean))
    first, *_, last = [f"{known[step].in_words(latency_text)} at '{step}'" for step in ordered]
    words = f"by step '{claim.strategy}' is earlier than '{claim.other}' by "
    words += f"{first} and {last}" if len(known) == 2 else f"{first} at most, {last} at least"
    metric, gap = f"mean_latency at {ordered[0]}", known[ordered[0]]
    return Claim("by step", metric, claim.strategy, claim.other, gap, words)


def _all(labels: Sequence[str]) -> str:
    """Return labels in quotes, as a list."""
    *most, last = [f"'{label}'" for label in labels]
    return f"{', '.join(most)} and {last}" if most else last


def _ordered(metric: str, strategies: Sequence[str], facts: Facts) -> list[str]:
    """Return the strategies that have a metric, the one with the least mean first."""
    means = {label: facts.of(metric, label).mean for label in strategies}
    return sorted((x for x in means if math.isfinite(means[x])), key=means.__getitem__)


def _difference(metric: str, one: str, other: str, facts: Facts) -> Claim | None:
    """Return which of two strategies has less of a metric, and by how much, or that none has."""
    gap = facts.paired(metric, other, one)  # positive if `one` has less
    if math.isnan(gap.half_width):
        return None  # too few replications have both
    if gap.high < -ROUNDING * abs(gap.mean):  # who resumes earlier may take longer in all
        return _difference(metric, other, one, facts)
    daily = facts.days if facts.days and metric in PRICES else 1.0

    def words(value: float) -> str:
        unit = facts.unit if metric == "cost" else METRICS[metric].unit
        return metric_text(metric, value / daily, unit, DIGITS)

    both = f"the {metric_in_words(metric)} of '{one}' and '{other}'"
    most = max(abs(facts.of(metric, label).mean) for label in (one, other))
    end = max(abs(gap.low), abs(gap.high))
    instant = METRICS[metric].unit == "s" and end <= min(INSTANT, ALMOST * most)
    if bound := "0.1 %" if end <= SAME * most else "1 %" * instant:
        text = f"{both} is the same ({words(most)}, differences are below {bound})"
        return Claim("same", metric, one, other, gap, text)
    between = span_text(words(gap.low), words(gap.high))
    if gap.low > ROUNDING * abs(gap.mean) > 0:
        per = "a day" if facts.days else "per run"
        number = words(gap.mean)
        text = WORDS[metric].format(one=f"'{one}'", other=f"'{other}'", number=number, per=per)
        return Claim("less", metric, one, other, gap, f"{text} ({between})")
    text = f"{both} does not differ beyond chance: {between}"
    return Claim("no difference", metric, one, other, gap, text)


# --- sweeps ---------------------------------------------------------------------------------------

Points = Mapping[str, Floats]  # replications × strategies × metrics, by point in words


def sweep_claims(
    points: Points, strategies: Sequence[str], unit: str, confidence: float
) -> list[Claim]:
    """Return what a sweep shows: losses, extreme points, who is earlier where, and costs.

    Extremes are chosen among all pairs of points, and points among all points, so that their
    intervals have Bonferroni's level. Latencies are compared at points where no wait is lost.
    """
    found, sound = [], list[Points]()
    for s, label in enumerate(strategies):
        shares = _values(points, s, "unresumed_share")
        lossy = {name: one for name, one in shares.items() if np.any(one > 0)}
        sound.append({name: points[name] for name in points if name not in lossy})
        if lossy:
            worst = max(lossy, key=lambda name: float(np.nanmean(lossy[name])))
            found.append(_loss(label, mean_interval(lossy[worst], confidence), worst))

    def extremes(metric: str, unit: str) -> list[Claim | None]:
        values = (_known(_values(sound[s], s, metric)) for s in range(len(strategies)))
        pairs = zip(strategies, values, strict=True)
        return [_extremes(metric, unit, label, one, confidence) for label, one in pairs]

    more = extremes("mean_latency", "s")
    for s, label in enumerate(strategies[1:], 1):
        both = {name: one for name, one in sound[s].items() if name in sound[0]}
        values = [_values(both, k, "mean_latency") for k in (0, s)]
        more.append(_earlier((strategies[0], label), values[0], values[1], confidence))
    more += extremes("cost", unit) if unit else []
    return found + [one for one in more if one is not None][:MOST]


def _values(points: Points, strategy: int, metric: str) -> dict[str, Floats]:
    """Return a metric of a strategy by point and replication."""
    return {name: one[:, strategy, METRIC_ORDER[metric]] for name, one in points.items()}


def _known(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the points where all replications have a metric."""
    return {name: one for name, one in values.items() if np.isfinite(one).all()}


def _extremes(
    metric: str, unit: str, label: str, values: Mapping[str, Floats], level: float
) -> Claim | None:
    """Return the points with the least and the largest mean, or that none differs."""
    if len(values) < 2:
        return None
    ordered = sorted(values, key=lambda name: float(values[name].mean()))
    low, high, pairs = ordered[0], ordered[-1], math.comb(len(ordered), 2)
    gap = paired_interval(values[low], values[high], 1 - (1 - level) / pairs)
    text = partial(metric_text, metric, unit=unit)
    words = f"under '{label}' the {metric_in_words(metric)}"
    least = mean_interval(values[low], level)
    if 0 < gap.high < SAME * least.mean:
        words += f" is nearly the same at all {len(values)} points, {least.in_words(text)}: they "
        words += f"differ by less than {percent(SAME)} of it"
        return Claim("less", metric, label, f"{low}; {high}", gap, words)
    if gap.low > ROUNDING * abs(gap.mean) > 0:
        words += f" is least with {low}: {least.in_words(text)}; "
        words += f"with {high} it is largest, {gap.in_words(text)} more"
        return Claim("less", metric, label, f"{low}; {high}", gap, words)
    words += f" does not differ beyond chance between {len(values)} points: "
    words += f"from the least to the largest mean by {gap.in_words(text)}"
    return Claim("no difference", metric, label, f"{low}; {high}", gap, words)


def _earlier(
    pair: tuple[str, str], first: Mapping[str, Floats], second: Mapping[str, Floats], level: float
) -> Claim | None:
    """Return at how many points a strategy resumes earlier than another one, and how much."""
    level = 1 - (1 - level) / max(len(first), 1)
    both = _known(first).keys() & _known(second).keys()
    gaps = {x: paired_interval(first[x], second[x], level) for x in first if x in both}
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
