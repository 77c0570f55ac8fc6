"""Strategies, external systems and servers in words, read from what they declare of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from asyncsim.model.calendar import is_cron
from asyncsim.model.distributions import Duration, Empirical, Fixed
from asyncsim.model.server import FinishPolicy, SlidingWindow, TokenBucket, WorkflowServer
from asyncsim.model.specifications import (
    Batch,
    Completions,
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Link,
    Service,
    Staff,
    StrategySpecification,
)
from asyncsim.model.units import percent, text_of

MOST_LISTED = 5
ANCHORED = {
    "arming": "counted from the arming of the wait",
    "clock": "counted from midnight, at the same times for all waits",
    "random": "each wait from a random moment on",
}
JITTERED = {
    "none": "",
    "full": ", each drawn between 0 and that time",
    "equal": ", each drawn between half of that time and all of it",
    "decorrelated": "",
}
OWNERS = {name: f"the {name}" for name in ("server", "strategy", "process")}
FIELDS = {
    "arrivals.count": "number of arrivals",
    "server.poll_work": "worker time of a check",
    "server.callback_work": "worker time of a callback",
    "strategy.loss": "loss of callbacks",
    "strategy.every": "interval of the safety poll",
    "costs.service_level": "service level",
    "costs.currency": "currency",
}  # whose words do not follow from their names
ANSWERED = {"reject": "rejected", "ignore": "ignored", "accept": "acknowledged", "buffer": "kept"}


def listed(words: Sequence[str], most: int = MOST_LISTED, joint: str = ", ") -> str:
    """Return words as a list, of many of them the first.

    >>> listed(["5 s", "5 min"]), listed(["a", "b", "c"], most=2)
    ('5 s, 5 min', 'a, b and 1 more')
    """
    rest = len(words) - most
    return joint.join(words[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def counted(number: int, one: str, several: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "worker", "workers"), counted(2500, "worker", "workers")
    ('1 worker', '2,500 workers')
    """
    return f"{number:,} {one if number == 1 else several}"


def field_in_words(name: str) -> str:
    """Return a field of a scenario or strategy in words, by its dotted name.

    >>> field_in_words("server.workers"), field_in_words("systems.saga.systems.2.item_time")
    ('workers of the server', 'item time of part 2 of saga')
    """
    first, *parts = name.split(".")
    if name in FIELDS or not parts:
        return FIELDS.get(name, name.replace("_", " "))
    if first == "costs":
        return f"price of a {' of '.join(reversed(parts))}".replace("_", " ")
    if first == "systems" or (first == "process" and len(parts) > 1):
        first, *parts = parts[first == "process" :]  # the name of a system or step, as it is
    words = [OWNERS.get(first, first)]
    for part in parts:
        if part not in ("systems", "branches"):
            words.append(f"part {part}" if part.isdigit() else part.replace("_", " "))
    return " of ".join(reversed(words))


def is_probability(name: str) -> bool:
    """Return whether a field is shown in per cent, by its dotted name."""
    return name.rpartition(".")[2] in ("loss", "duplicates", "skip", "failure")


def with_unresumed(label: str, share: float, most: bool = False) -> str:
    """Return the label of a strategy with its unresumed share, if any (or the largest, `most`).

    >>> with_unresumed("callback", 0.2), with_unresumed("polling", 0.0)
    ('callback (20 % never resumed)', 'polling')
    """
    return f"{label} ({'up to ' * most}{percent(share)} never resumed)" if share > 0 else label


def time_in_words(time: Duration) -> str:
    """Return the mean of a distribution and its kind.

    >>> import asyncsim as sim
    >>> time_in_words(sim.fixed("150ms")), time_in_words(sim.exponential("10min"))
    ('150 ms', '10 min on average (exponential)')
    """
    kind = getattr(time, "kind", type(time).__name__)
    match time:
        case Fixed():
            return text_of(time.value)
        case Empirical():
            kind = f"{len(time.values):,} observed"
    return f"{text_of(time.mean)} on average ({kind})"


def days_in_words(days: str, holidays: str | None) -> str:
    """Return the days that count.

    >>> days_in_words("Mon-Fri", "DE-BY")
    'Mon-Fri, not on public holidays (DE-BY)'
    """
    return f"{days}, not on public holidays ({holidays})" if holidays else days


# --- strategies -----------------------------------------------------------------------------------


def strategy_in_words(specification: StrategySpecification) -> str:
    """Return what a strategy does, in one sentence without its full stop.

    >>> strategy_in_words(StrategySpecification(Grid("15min")))
    'checks every 15 min, counted from the arming of the wait'
    """
    checks, deliveries = specification.checks, specification.deliveries
    if deliveries is None:
        return _checks(checks) if checks else "never notices completion"
    also = f"; beside it the server {_checks(checks)}" if checks else ""
    return _deliveries(deliveries) + also


def _checks(checks: object) -> str:
    limit = ""
    if isinstance(checks, Grid | Intervals) and checks.limit is not None:
        limit = f"; gives up after {counted(checks.limit, 'check', 'checks')}"
    match checks:
        case Grid():
            late = f", late by up to {text_of(checks.jitter)}" if checks.jitter else ""
            anchor = ANCHORED[checks.anchor]
            return f"checks every {text_of(checks.interval)}, {anchor}{late}{limit}"
        case Intervals():
            return f"checks {_intervals(checks)}{limit}"
        case Hold():
            return (
                "sends a request that the external system answers at completion, or after "
                f"{text_of(checks.hold)} without it; then sends the next"
            )
    return f"checks in a way of its own ({type(checks).__name__})"


def _intervals(checks: Intervals) -> str:
    first, grows = text_of(checks.first), checks.factor > 1
    if checks.jitter == "decorrelated":
        text = f"at random intervals, each between {first} and three times the one before"
    elif grows:
        text = f"after {first}, then at intervals {checks.factor:g} times as long each time"
    else:
        text = f"every {first}"
    if checks.cap is not None and (grows or checks.jitter == "decorrelated"):
        text += f", {text_of(checks.cap)} at most"
    return f"{text}{JITTERED[checks.jitter]}, counted from the end of the check before"


def _deliveries(sent: object) -> str:
    if not isinstance(sent, Deliveries):
        return f"the external system notifies in a way of its own ({type(sent).__name__})"
    text = "the external system calls back with the serial number at completion"
    if sent.delay != Fixed(0.0):
        text += f", which takes {time_in_words(sent.delay)}"
    pauses = listed([text_of(pause) for pause in sent.retries], joint=", then ")
    if sent.loss:
        text += f"; {percent(sent.loss)} of the deliveries are lost"
        text += f", and sent again after {pauses}" if pauses else ", and not sent again"
    elif pauses:
        text += f"; it calls again after {pauses} if the server refuses"
    if sent.duplicates:
        later = text_of(sent.duplicate_delay)
        text += f"; {percent(sent.duplicates)} arrive twice, {later} apart"
    return text


# --- external systems and the server --------------------------------------------------------------


def link_in_words(link: Link | None, system: object = None) -> str:
    """Return what an external system does; a `system` without a specification is named only.

    >>> link_in_words(Service("2s", lanes=None))
    'online service: 2 s a request, any number at a time'
    """
    match link:
        case Batch():
            return _batch(link)
        case Service():
            lanes = "any number" if link.lanes is None else f"{link.lanes:,}"
            return f"online service: {time_in_words(link.item_time)} a request, {lanes} at a time"
        case Staff():
            opens, closes = link.between
            hours = f"{opens} to {closes}, {days_in_words(link.days, link.holidays)}"
            team = counted(link.team, "person", "people")
            return f"{team}: {time_in_words(link.item_time)} a task, {hours}"
        case Completions():
            return f"completes {len(link.completions):,} items at the instants of a log"
    return f"a system of your own ({type(system or link).__name__})"


def _batch(batch: Batch) -> str:
    start = f"by cron ({batch.start})" if is_cron(batch.start) else f"at {batch.start}"
    parts = [
        f"batch {start}, {days_in_words(batch.days, batch.holidays)}: "
        f"{time_in_words(batch.item_time)} an item, {batch.lanes:,} at a time"
    ]
    if batch.cut_off is not None:
        parts.append(f"of items submitted by {batch.cut_off}")
    if batch.max_items is not None:
        parts.append(f"{counted(batch.max_items, 'item', 'items')} a night at most")
    if batch.end is not None:
        parts.append(f"no new item from {batch.end} on")
    if batch.skip:
        parts.append(f"{percent(batch.skip)} of the nights are skipped")
    if batch.failure:
        parts.append(f"{percent(batch.failure)} of the nights break down")
    if batch.results == "at end":
        parts.append("results at its end")
    return "; ".join(parts)


def server_in_words(server: WorkflowServer) -> str:
    """Return the workers of a server, what noticing costs them, and its limit.

    >>> server_in_words(WorkflowServer(2, poll_work="10ms"))
    '2 workers; a check takes 10 ms and a callback no time of a worker'
    """
    times = [
        text_of(time) if time else "no time" for time in (server.poll_work, server.callback_work)
    ]
    text = f"{counted(server.workers, 'worker', 'workers')}; a check takes {times[0]} and a "
    text += f"callback {times[1]} of a worker"
    match server.finish_limit:
        case SlidingWindow(most, seconds):
            text += f"; {most:,} callbacks at most in {text_of(seconds)}"
        case TokenBucket(size, rate):
            text += f"; callbacks in bursts of {size:,} at most, then {rate}"
    return text


def policy_in_words(policy: FinishPolicy) -> str:
    """Return how finishes are answered that are not the first one in time.

    >>> policy_in_words(FinishPolicy(early="buffer", buffer_for="1min"))
    'early kept for 1 min, duplicate rejected, late rejected, unknown rejected'
    """
    kept = policy.early == "buffer" and policy.buffer_for is not None
    span = f" for {text_of(policy.buffer_for)}" if kept and policy.buffer_for else ""
    kinds = ("early", "duplicate", "late", "unknown")
    answers = {kind: ANSWERED[getattr(policy, kind)] for kind in kinds}
    answers["early"] += span
    return ", ".join(f"{kind} {answer}" for kind, answer in answers.items())
