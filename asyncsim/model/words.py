"""Parts of a scenario and strategies in words, read from what they declare of themselves.

Every parameter that is set has its words, for readers who never saw a scenario file. A class that
these functions do not know is named, never taken for another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from asyncsim.model import distributions, loops, specifications
from asyncsim.model.calendar import is_cron
from asyncsim.model.outages import PARTS, Outage
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path
from asyncsim.model.server import (
    FinishPolicy,
    SharedStore,
    SlidingWindow,
    TokenBucket,
    WorkflowServer,
)
from asyncsim.model.units import DAY, percent, text_of

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
ANSWERED = {
    "reject": "rejected", "ignore": "ignored", "accept": "acknowledged", "buffer": "kept",
    "keep": "kept for the next wait", "start": "starting another run",
}  # fmt: skip


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


def time_in_words(time: distributions.Duration) -> str:
    """Return a distribution with its parameters; of one that is not known, the mean."""
    details, mean = [type(time).__name__], time.mean
    if type(time) in distributions.DISTRIBUTIONS.values():  # a subclass may behave in another way
        details = [time.kind]
        match time:
            case distributions.Fixed():
                return text_of(time.value) if time.value else "no time"
            case distributions.Uniform():
                return f"{text_of(time.low)} to {text_of(time.high)} (uniform)"
            case distributions.Lognormal():
                mean = time._mean
                details.append(f"standard deviation {text_of(time._sd)}")
                details += [f"raised to {text_of(time.low)} at least"] if time.low else []
                details += [f"cut at {text_of(time.high)}"] if time.high is not None else []
            case distributions.Gamma() | distributions.Empirical():
                details.append(f"standard deviation {text_of(time.sd)}")
        if isinstance(time, distributions.Empirical):
            details[0] = f"of {counted(len(time.values), 'observed time', 'observed times')}"
    return f"{text_of(mean)} on average ({', '.join(details)})"


def days_in_words(days: str, holidays: str | None) -> str:
    """Return the days that count, such as ``"Mon-Fri, not on public holidays (DE-BY)"``."""
    return f"{days}, not on public holidays ({holidays})" if holidays else days


# --- strategies -----------------------------------------------------------------------------------


def strategy_in_words(specification: specifications.StrategySpecification) -> str:
    """Return what a strategy does, in one sentence without its full stop."""
    checks, deliveries = specification.checks, specification.deliveries
    if deliveries is None:
        return _checks(checks) if checks else "never notices completion"
    also = f"; beside it the server {_checks(checks)}" if checks else ""
    return _deliveries(deliveries) + also


def _checks(checks: object) -> str:
    limit = ""
    if isinstance(checks, specifications.SCHEDULES) and checks.limit is not None:
        limit = f"; gives up after {counted(checks.limit, 'check', 'checks')}"
    match checks:
        case specifications.Grid():
            late = f", late by up to {text_of(checks.jitter)}" if checks.jitter else ""
            opens, closes = checks.window or ("", "")
            within = f", between {opens} and {closes} only" if opens else ""
            every = f"checks every {text_of(checks.interval)}, {ANCHORED[checks.anchor]}"
            if checks.first and checks.anchor == "arming":
                first = text_of(checks.first)
                every = f"checks {first} after the arming of the wait, then every "
                every += text_of(checks.interval)
            elif checks.first:
                every += f", not before {text_of(checks.first)} after the arming"
            return f"{every}{within}{late}{limit}"
        case specifications.Pauses():
            return f"checks {_pauses(checks)}, counted from the end of the check before{limit}"
        case specifications.ClockTimes():
            days = days_in_words(checks.days, checks.holidays)
            return f"checks all waits at {listed(checks.at)}, {days}{limit}"
        case specifications.Intervals():
            return f"checks {_intervals(checks)}{limit}"
        case specifications.Hold():
            return (
                "sends a request that the external system answers at completion, or after "
                f"{text_of(checks.hold)} without it; then sends the next"
            )
        case specifications.Directed():
            default, least, most = map(text_of, (checks.default, checks.at_least, checks.at_most))
            error = f", with an error of about {percent(checks.error)}" if checks.error else ""
            return (
                f"checks after {default}, then after the pause that the external system names: the "
                f"time that is left by its plan{error}, from {least} to {most}, or {default} while "
                "it has none"
            )
        case specifications.Shared():
            start = "midnight" if checks.anchor == "clock" else "a random moment on"
            most = f"; sees {checks.most:,} completed ones at most" if checks.most else ""
            return (
                f"checks once for all waits of an external system, every {text_of(checks.interval)}"
                f", counted from {start}{most}"
            )
    return f"checks in a way of its own ({type(checks).__name__})"


def _intervals(checks: specifications.Intervals) -> str:
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


def _pauses(checks: specifications.Pauses) -> str:
    *earlier, last = map(checks.interval, range(len(checks.pauses)))
    if not earlier:
        return f"every {text_of(last)}"
    shown = listed([text_of(pause) for pause in earlier], joint=", then ")
    return f"after {shown}, then every {text_of(last)}"


def _deliveries(sent: object) -> str:
    if not isinstance(sent, specifications.Deliveries):
        return f"the external system notifies in a way of its own ({type(sent).__name__})"
    text = "the external system calls back with the serial number at completion"
    if sent.delay != distributions.Fixed(0.0):
        text += f", which takes {time_in_words(sent.delay)}"
    pauses = listed([text_of(pause) for pause in sent.retries], joint=", then ")
    pauses += ", each drawn between 0 and that" * (bool(pauses) and sent.retry_jitter == "full")
    if sent.loss:
        text += f"; {percent(sent.loss)} of the deliveries are lost"
        text += f", and sent again after {pauses}" if pauses else ", and not sent again"
    elif pauses:
        text += f"; it calls again after {pauses} if the server refuses"
    text += _sender(sent)
    if sent.duplicates:
        later = text_of(sent.duplicate_delay)
        text += f"; {percent(sent.duplicates)} arrive twice, {later} apart"
    return text


def _sender(sent: specifications.Deliveries) -> str:
    """Return what a sender does about other events, slow answers and refusals."""
    parts = []
    if sent.queue == "blocking":
        parts.append("one callback at a time, in order: one that fails blocks those behind it")
    if sent.answer_within is not None:
        parts.append(f"an answer later than {text_of(sent.answer_within)} counts as none")
    if sent.retry_after:
        parts.append("a pause that the refusal names (Retry-After) is kept")
    if sent.switched_off_after:
        lost = counted(sent.switched_off_after, "dead letter", "dead letters in a row")
        parts.append(f"nothing is sent any more after {lost}")
    if sent.switched_off_by_410:
        parts.append("nothing is sent any more after an answer 410")
    return "".join(f"; {part}" for part in parts)


# --- external systems and the server --------------------------------------------------------------


def links_in_words(links: Iterable[tuple[specifications.Link | None, object]]) -> str:
    """Return what external systems do, one after the other, by their specifications."""
    words = [_link(*link) + outages_in_words(getattr(link[0], "outages", ())) for link in links]
    return words[0] if len(words) == 1 else listed([f"({one})" for one in words], 20, "; then ")


def _link(link: specifications.Link | None, system: object) -> str:
    match link:
        case specifications.Batch():
            return _batch(link)
        case specifications.Service():
            lanes = "any number" if link.lanes is None else f"{link.lanes:,}"
            each = time_in_words(link.item_time)
            return f"online service: each request takes {each}, {lanes} at a time"
        case specifications.Staff():
            opens, closes = link.between
            hours = f"{opens} to {closes}, {days_in_words(link.days, link.holidays)}"
            team = counted(link.team, "person", "people")
            return f"{team}: each task takes {time_in_words(link.item_time)}, {hours}"
        case specifications.Completions():
            return f"completes {len(link.completions):,} items at the instants of a log"
    return f"a system of your own ({type(system or link).__name__})"


def _batch(batch: specifications.Batch) -> str:
    first, *_ = batch.starts
    start = f"by cron ({first})" if is_cron(first) else f"at {listed(batch.starts, 20)}"
    parts = [
        f"batch {start}, {days_in_words(batch.days, batch.holidays)}: "
        f"each item takes {time_in_words(batch.item_time)}, {batch.lanes:,} at a time"
    ]
    if batch.cut_off is not None:
        parts.append(f"of items submitted by {listed([by for by in batch.cut_offs if by], 20)}")
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


def outages_in_words(outages: Iterable[Outage]) -> str:
    """Return outages as further clauses, such as ``"; down at 01:00 (every day) for 2 h"``."""
    return "".join(f"; {_outage(outage)}" for outage in outages)


def _outage(outage: Outage) -> str:
    what = "" if outage.parts == PARTS else f"{' and '.join(outage.parts)} "
    if outage.every is not None:
        when = f"at random, {text_of(outage.every)} apart on average,"
    elif isinstance(outage.start, float):
        when = f"{text_of(outage.start)} after the start"
    elif is_cron(outage.start or "") and not outage.is_once:
        when = f"by cron ({outage.start})"
    else:
        days = "" if outage.is_once else f" ({days_in_words(outage.days, outage.holidays)})"
        when = f"at {outage.start}{days}"
    lost = ", which loses work under way" if outage.work == "is lost" else ""
    return f"{what}down {when} for {time_in_words(outage.length)}{lost}"


def server_in_words(server: WorkflowServer) -> str:
    """Return the workers of a server, what noticing costs them, and its limit."""
    check, callback = (
        time_in_words(distributions.Fixed(t)) for t in (server.poll_work, server.callback_work)
    )
    text = f"{counted(server.workers, 'worker', 'workers')}; a check takes {check} and a "
    text += f"callback {callback} of a worker"
    match server.finish_limit:
        case SlidingWindow(most, seconds):
            text += f"; {most:,} callbacks at most in {text_of(seconds)}"
        case TokenBucket(size, rate):
            text += f"; callbacks in bursts of {size:,} at most, then {rate}"
    if server.has_store:
        text += f"; {_store(server.store)}"
    if server.slows_down:
        text += f"; each other job makes a job {percent(server.slows_down)} longer"
    if server.engine_delay != distributions.Fixed(0.0):
        text += f"; a finished step goes on after {time_in_words(server.engine_delay)}"
    if server.timeout_sweep is not None:
        text += f"; deadlines are noticed every {text_of(server.timeout_sweep)}"
    return text + outages_in_words(server.outages)


def _store(store: SharedStore) -> str:
    check, callback = (
        time_in_words(distributions.Fixed(t)) for t in (store.check_work, store.callback_work)
    )
    slower = f", each other job there adds {percent(store.slows_down)}" if store.slows_down else ""
    return (
        f"a check takes {check} and a callback {callback} of a store with "
        f"{counted(store.writers, 'writer', 'writers')}{slower}"
    )


def policy_in_words(policy: FinishPolicy) -> str:
    """Return how finishes are answered that are not the first one in time."""
    kept = policy.early == "buffer" and policy.buffer_for is not None
    span = f" for {text_of(policy.buffer_for)}" if kept and policy.buffer_for else ""
    kinds = ("early", "duplicate", "late", "unknown")
    answers = {kind: ANSWERED[getattr(policy, kind)] for kind in kinds}
    answers["early"] += span
    return ", ".join(f"{kind} {answer}" for kind, answer in answers.items())


def length_in_words(length: float) -> str:
    """Return a length, of whole days as their number.

    >>> length_in_words(432_000.0), length_in_words(5_400.0)
    ('5 days', '1.5 h')
    """
    whole = length >= DAY and not length % DAY
    return counted(int(length / DAY), "day", "days") if whole else text_of(length)


def period_in_words(start: date, length: float, zone: str | None) -> str:
    """Return when instances arrive, by the calendar."""
    clock = f"by the clock of {zone}" if zone else "without daylight saving"
    return f"arrivals for {length_in_words(length)} from midnight of {start:%A}, {start}, {clock}"


# --- process --------------------------------------------------------------------------------------


def elements_in_words(elements: Sequence[Element]) -> str:
    """Return the elements of a process in order, with their choices and parallel branches."""
    return " → ".join(map(_element, elements)) or "nothing"


def _element(element: Element) -> str:
    match element:
        case AsyncStep():
            return f"{element.name} ({'; '.join(_waiting(element))})"
        case Choice():
            ways = (
                f"{percent(b.probability)}: {elements_in_words(b.steps)}" for b in element.branches
            )
            return f"{element.name} [either {'; or '.join(ways)}]"
        case Parallel():
            branches = "; and ".join(map(elements_in_words, element.branches))
            return f"{element.name} [at the same time: {branches}]"
        case loops.Race():
            branches = "; or ".join(map(elements_in_words, element.branches))
            return f"{element.name} [{element.in_words}: {branches}]"
        case loops.Delay():
            return f"{element.name} ({time_in_words(element.time)})"
        case loops.Retry() | loops.Repeat() | loops.ForEach():
            inner = elements_in_words(element.within())
            return f"{element.name} [{element.in_words}: {inner}]"
    return element.name


def _waiting(step: AsyncStep) -> list[str]:
    response = step.response
    words = [f"waits for {step.system}"]
    words += [f"meanwhile {elements_in_words(step.on_accepted)}"] if step.on_accepted else []
    for share, what, path in (
        (response.done, "are done at once", step.on_done),
        (response.rejected, "are rejected", step.on_rejected),
    ):
        words += [f"{percent(share)} of the calls {what}: {_path(path)}"] if share else []
    if step.limits:
        end = ", and the work is withdrawn" if step.withdraw else ""
        words.append(f"{step.deadlines_in_words}: {_path(step.on_timeout)}{end}")
    return words


def _path(path: Path) -> str:
    if isinstance(path, str):
        return {"fail": "the instance fails", "continue": "it continues"}[path]
    return elements_in_words(path)
