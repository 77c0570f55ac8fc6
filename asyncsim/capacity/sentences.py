"""The sentences that answers begin with: a value, its interval, and what was measured there.

A sentence claims no more than the intervals bear, and includes the share of waits that never
resume, if any.
"""

from __future__ import annotations

import math
import re

from asyncsim.capacity.search import WORKERS_FIELD, Evaluations, Found, SearchSpace
from asyncsim.engine.loads import overload_in_words
from asyncsim.engine.metrics import TOTALS, is_number, metric_in_words
from asyncsim.experiment.stability import outside_overloads
from asyncsim.experiment.statistics import paired_interval, share_interval, span_text
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import SECONDS_PER_UNIT, number_text, percent, text_of
from asyncsim.model.words import counted, field_in_words
from asyncsim.studies.parameters import OF_STRATEGY

INTERVAL, RATE = "strategy.interval", "arrivals.rate"
OVERLOADED = "more work comes than can be done"
EVERY = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day", 604800.0: "a week"}


# --- parts of sentences ---------------------------------------------------------------------------


def subject(space: SearchSpace) -> str:
    """Return what is searched: ``"number of workers"``, ``"volume"`` and so on."""
    known = {WORKERS_FIELD: "number of workers", RATE: "volume", "arrivals.count": "volume"}
    known |= {INTERVAL: "interval", "arrivals.volume": "volume"}
    return known.get(space.field, field_in_words(space.field))


def value_in_words(space: SearchSpace, x: float) -> str:
    """Return a value with its noun: ``"9 workers"``, ``"638 instances a day"``."""
    if space.field == WORKERS_FIELD:
        return counted(int(x), "worker", "workers")
    if space.field == "arrivals.count":
        return counted(int(x), "instance", "instances")
    if space.field == RATE:
        unit = space.unit.removeprefix("/")
        every = EVERY.get(SECONDS_PER_UNIT.get(unit, 0.0), f"a {unit}")
        return f"{number_text(x)} instances {every}"
    return space.text(x)


def begin(space: SearchSpace, x: float, up_to: bool) -> str:
    """Return the beginning of an answer: ``"Up to 638 instances a day"``."""
    value = value_in_words(space, x)
    if space.field == INTERVAL:
        return f"Checking every {value}"
    if space.field == WORKERS_FIELD or space.field.startswith("arrivals."):
        return f"Up to {value}" if up_to else value
    return named(space, x, up_to)


def named(space: SearchSpace, x: float, up_to: bool = False) -> str:
    """Return a value after the name of its field: ``"A loss of callbacks of 2 %"``."""
    words = field_in_words(space.field)
    several = re.match(r"\w*[^s]s\b", words)  # workers, not loss
    article = "" if several else f"{'an' if words[0] in 'aeiou' else 'a'} "
    text = f"{article}{words} of {'up to ' * up_to}{space.text(x)}"
    return text[0].upper() + text[1:]


def _range(space: SearchSpace) -> str:
    return f"{space.text(space.low)} to {space.text(space.high)}"


def at(space: SearchSpace, x: float) -> str:
    """Return a further value: ``"with 8"``, ``"at 645/day"``."""
    return f"{'with' if space.field == WORKERS_FIELD else 'at'} {space.text(x)}"


def which(tried: Evaluations) -> str:
    """Return a target as a relative clause: ``"at which the mean latency is at most 1 min"``."""
    clause = tried.target.in_words(tried.measure.unit(tried.scenario))
    return f"{'with' if tried.space.field == WORKERS_FIELD else 'at'} which {clause}"


def certainty(tried: Evaluations, found: Found, one_way: bool) -> str:
    """Return the interval of an answer, as far as it is known."""
    space, value = tried.space, found[0]
    low, high = (None if x is None else space.text(x, like=value) for x in found[1:])
    level = f"{percent(tried.effort.confidence)} interval"
    if low is None and high is None:
        return f"no {level}: its ends are not in the range looked at"
    span = span_text(str(low), str(high))
    if low is None:
        span = f"up to {high}, its lower end is not in the range looked at"
    elif high is None:
        span = f"from {low}, its upper end is not in the range looked at"
    elif low == high:
        return f"{level}: {low} alone"
    return f"{level} {span}" if one_way else f"no confidence interval; undecided: {span}"


def measured_at(tried: Evaluations, x: float, again: bool = False, strategy: int = 0) -> str:
    """Return what was measured at a value, with its interval; shorter if `again`."""
    values, measure = tried.at(x)[strategy], tried.measure
    infinite = sum(value == math.inf for value in values)
    if infinite:
        words = "it" if again else f"the {metric_in_words(measure.metric)}"
        return f"{words} is infinite in {infinite} of {len(values)} replications"
    shown = tried.interval(x, strategy).in_words(tried.number)
    return measure.again(shown) if again else measure.measured(shown)


def losses(tried: Evaluations, values: list[float]) -> str:
    """Return the largest share of waits that never resumed at some values, by strategy."""
    found = []
    for k, label in enumerate(tried.labels):
        runs = [tried.runs(x)[k] for x in values]
        shares = [(one.unresumed, one.armed) for one in runs]
        lost, armed = max(shares, key=lambda one: sum(one[0]) / max(sum(one[1]), 1))
        if not any(lost):
            continue
        low, high = share_interval(lost, armed, tried.effort.confidence)
        ends = span_text(percent(max(low, 0.0)), percent(min(high, 1.0)))
        share = f"{percent(sum(lost) / sum(armed))} ({ends})"
        under = f" under '{label}'" if len(tried.labels) > 1 else ""
        found.append(f"{'up to ' * (len(values) > 1)}{share} of the waits{under} never resume")
    return f"; {', '.join(found)}" if found else ""


def overloads(scenario: Scenario, strategy: Strategy, field: str = "") -> list[str]:
    """Return a sentence for the store and each system that is overloaded, whatever a field is."""
    never = "; no number of workers changes this" if field == WORKERS_FIELD else ""
    if field.startswith(OF_STRATEGY):
        never = "; no strategy changes this"
    texts = [
        f"{overload_in_words(name, f'at least {percent(load)}')}{never}."
        for name, load in outside_overloads(scenario, strategy).items()
    ]
    return [text[:1].upper() + text[1:] for text in texts]


# --- answers --------------------------------------------------------------------------------------


def just_met(
    tried: Evaluations, found: Found, beyond: float | None, *, up_to: bool, one_way: bool,
    open_end: str = "",
) -> str:  # fmt: skip
    """Return the answer to a question for the last value that meets a target.

    `beyond` is the next value that does not, `open_end` is ``"or more"`` where the range ends.
    """
    space, value = tried.space, found[0]
    assert value is not None
    sure = f"{open_end}: the range ends there" if open_end else certainty(tried, found, one_way)
    text = f"{begin(space, value, up_to)} ({sure}): {measured_at(tried, value)}"
    if beyond is not None:
        text += f"; {_further(tried, beyond)}"
    return f"{text}{losses(tried, [value])}."


def _further(tried: Evaluations, x: float) -> str:
    """Return what was measured at a value that does not meet a target."""
    overloaded = tried.overload(x).likely
    level = OVERLOADED if overloaded else measured_at(tried, x, again=True)
    return f"{at(tried.space, x)} {level}"


def none_met(tried: Evaluations, best: float, why: str) -> str:
    """Return that no value meets a target, and what was measured at the best end of the range."""
    text = f"No {subject(tried.space)} from {_range(tried.space)} is found {which(tried)}: "
    return f"{text}{why or _further(tried, best)}{losses(tried, tried.values)}."


def least(tried: Evaluations, found: Found, one_way: bool) -> str:
    """Return the answer to the question for the least value of a metric."""
    space, (value, low, high), metric = tried.space, found, tried.measure.metric
    if value is None:
        return (
            f"No {subject(space)} from {_range(space)} has the {lowest(metric)}: overloaded: "
            f"{OVERLOADED} at all {len(tried.values)} that were tried{losses(tried, tried.values)}."
        )
    verb = "is cheapest" if metric.startswith("cost") else f"has the {lowest(metric)}"
    sure = certainty(tried, found, one_way)
    if low is None and high is None:
        sure, verb = "no value of the range is worse beyond chance", f"{verb} by its mean"
    text = f"{begin(space, value, False)} ({sure}) {verb}: {measured_at(tried, value)}"
    if metric in TOTALS:
        text += f" in a run of {text_of(tried.scenario.length)}"
    if one_way and low is not None and high is not None:
        text += _flat(tried, value, (low, high))
    return f"{text}{losses(tried, [value])}."


def lowest(metric: str) -> str:
    """Return the least of a metric in words: ``"least mean latency"``, ``"fewest requests"``."""
    return f"{'fewest' if is_number(metric) else 'least'} {metric_in_words(metric)}"


def _flat(tried: Evaluations, best: float, ends: tuple[float, float]) -> str:
    """Return how much more than at the best value it is at both ends of one valley, at most."""
    near = [x for x in ends if x != best]
    own = tried.at(best)[0]
    mean = sum(own) / len(own)
    if not near or not 0 < mean < math.inf or any(math.inf in tried.at(x)[0] for x in near):
        return ""
    confidence = 1 - (1 - tried.effort.confidence) / len(near)  # Bonferroni
    most = max(paired_interval(own, tried.at(x)[0], confidence).high for x in near)
    return f"; within that interval it is at most {percent(max(most, 0.0) / mean)} more"


def break_even(tried: Evaluations, found: Found, labels: tuple[str, str], one_way: bool) -> str:
    """Return where two strategies are equal; `labels` are the better one below and above."""
    space, (value, low, high) = tried.space, found
    assert value is not None
    text = named(space, value) if space.field == INTERVAL else begin(space, value, False)
    text += f" is the break-even ({certainty(tried, found, one_way)}): "
    ends = [("below", low, labels[0]), ("above", high, labels[1])] if one_way else []
    known = [(where, x, label) for where, x, label in ends if x is not None]
    sides = [f"{where} {space.text(x, like=value)} '{label}'" for where, x, label in known]
    if sides:
        text += f"{', '.join(sides)} has {_less(tried)}; "
    text += f"there {measured_at(tried, value)} under '{tried.labels[0]}'"
    return f"{text}{losses(tried, [value])}."


def no_break_even(tried: Evaluations, better: str | None, sure: int, grid: list[float]) -> str:
    """Return that one strategy is better over the whole range, or that none is significantly."""
    space = tried.space
    text = f"No break-even in the {field_in_words(space.field)} from {_range(space)}: "
    if better is None:
        text += f"neither has significantly {_less(tried)} at any of {len(grid)} values; "
        text += "they differ"
    else:
        significantly = "significantly at each" if sure == len(grid) else f"significantly at {sure}"
        text += f"'{better}' has {_less(tried)}, {significantly} of {len(grid)} values"
    order = (0, 1) if better in (None, tried.labels[0]) else (1, 0)
    gaps = []
    for x in (grid[0], grid[-1]):
        one, other = (tried.at(x)[k] for k in order)
        if math.inf not in one + other:
            gap = paired_interval(one, other, tried.effort.confidence)
            gaps.append(f"{at(space, x)} by {gap.in_words(tried.number)}")
    by = f"{':' * (better is not None)} {', '.join(gaps)}" if gaps else ""
    return f"{text}{by}{losses(tried, tried.values)}."


def _less(tried: Evaluations) -> str:
    words = metric_in_words(tried.measure.metric)
    return f"fewer {words}" if is_number(tried.measure.metric) else f"the smaller {words}"
