"""What a comparison shows, in up to five sentences, each with numbers and their intervals.

A sentence claims a difference only where its interval excludes zero. Losses come first, so that no
latency stands without the share of waits that never resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from asyncsim.engine.metrics import METRICS, metric_text
from asyncsim.experiment.statistics import Interval

Of = Callable[[str, str], Interval]  # the interval of a metric under a strategy
Paired = Callable[[str, str, str], Interval]
"""The interval of a metric under a strategy, less that under another one."""
ROUNDING = 1e-9  # of a difference between equal numbers
PRICES = ("cost", "overhead_worker_time", "requests")  # the first that differs is reported
WORDS = {
    "mean_latency": "{one} resumes {number} earlier than {other} on average",
    "mean_cycle_time": "instances take {number} less under {one} than under {other}",
    "cost": "{one} costs {number} less per run than {other}",
    "overhead_worker_time": "{one} takes {number} less worker time per run than {other} to notice "
    "completions",
    "requests": "{one} sends {number} fewer requests per run than {other}",
}
NAMES = {
    "mean_latency": "mean latency",
    "mean_cycle_time": "mean cycle time",
    "cost": "cost per run",
    "overhead_worker_time": "worker time for noticing",
    "requests": "number of requests",
}


@frozen
class Claim:
    """A sentence, and the interval of a metric, or of its difference to `other`, behind it."""

    kind: str
    metric: str
    strategy: str
    other: str
    interval: Interval
    text: str


def claims(
    strategies: Sequence[str], metrics: Sequence[str], of: Of, paired: Paired, unit: str
) -> list[Claim]:
    """Return what matters: losses, who resumes earlier, who is cheaper, what does not differ."""
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
            low, high = 100 * max(share.low, 0.0), 100 * min(share.high, 1.0)
            between = f"{low:.3g} to {high:.3g} %"
            if math.isnan(share.half_width):
                between = "in one replication, the only one with waits"
            part = f"{100 * share.mean:.3g} % ({between})"
            text = f"{part} of the waits under '{label}' never resume"
            yield Claim("never resumed", "unresumed_share", label, "", share, text)


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

    between = f"{words(gap.low)} to {words(gap.high)}"
    if gap.low > ROUNDING * abs(gap.mean) > 0:
        names = {"one": f"'{one}'", "other": f"'{other}'"}
        text = WORDS[metric].format(**names, number=words(gap.mean))
        return Claim("less", metric, one, other, gap, f"{text} ({between})")
    text = f"the {NAMES[metric]} of '{one}' and '{other}' does not differ beyond "
    text += f"chance: {between}"
    return Claim("no difference", metric, one, other, gap, text)
