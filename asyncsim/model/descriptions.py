"""A scenario in the words of a report: every parameter, for readers who never saw its file.

`asyncsim.model.words` has the short ones, for a glance. Custom classes are named, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncsim.model.calendar import is_cron
from asyncsim.model.distributions import (
    Duration,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    Lognormal,
    Uniform,
)
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Completions, Link, Service, Staff
from asyncsim.model.systems import ExternalSystem, links_of
from asyncsim.model.units import DAY, number_text, percent, text_of


def _time(seconds: float) -> str:
    return text_of(seconds) if seconds else "no time"


def _several(number: float, one: str) -> str:
    return f"{number_text(number)} {one}{'' if number == 1 else 's'}"


def length_in_words(seconds: float) -> str:
    """Return a length of time, in days where they are whole.

    >>> length_in_words(12 * 86400.0), length_in_words(5400.0)
    ('12 days', '1.5 h')
    """
    return (
        _several(seconds // DAY, "day") if seconds >= DAY and not seconds % DAY else _time(seconds)
    )


# --- distributions --------------------------------------------------------------------------------


def distribution_in_words(described: Duration) -> str:
    """Return a distribution with its parameters; a custom one is named, with its mean.

    >>> distribution_in_words(Exponential("200ms")), distribution_in_words(Fixed("2s"))
    ('exponential, mean 200 ms', 'always 2 s')
    """
    words: dict[type, Callable[[Any], str]] = {
        Fixed: lambda d: f"always {text_of(d.value)}" if d.value else "no time",
        Exponential: lambda d: f"exponential, mean {text_of(d.mean)}",
        Lognormal: _lognormal,
        Uniform: lambda d: f"uniform from {text_of(d.low)} to {text_of(d.high)}",
        Gamma: lambda d: f"gamma, {_mean_and_sd(d.mean, d.sd)}",
        Empirical: lambda d: (
            f"drawn from {_several(len(d.values), 'observed time')}, {_mean_and_sd(d.mean, d.sd)}"
        ),
    }
    found = words.get(type(described))  # a subclass may behave in another way
    return found(described) if found else f"custom distribution {type(described).__name__}"


def _mean_and_sd(mean: float, sd: float) -> str:
    return f"mean {text_of(mean)}, standard deviation {text_of(sd)}"


def _lognormal(described: Lognormal) -> str:
    words = f"lognormal, {_mean_and_sd(described._mean, described._sd)}"
    bounds = [f"at least {text_of(described.low)}"] if described.low else []
    bounds += [f"at most {text_of(described.high)}"] if described.high is not None else []
    return f"{words}, clipped: {' and '.join(bounds)}" if bounds else words


# --- external systems -----------------------------------------------------------------------------


def _days(days: str) -> str:
    return "" if days == "every day" else f", {days}"


def _holidays(place: str | None) -> str:
    return f", not on public holidays ({place})" if place else ""


def system_in_words(described: ExternalSystem) -> str:
    """Return who does the outside work and how long it takes; a custom system is named.

    >>> from asyncsim.model.systems import OnlineService
    >>> system_in_words(OnlineService(Exponential("10min"), lanes=None))
    'online service, any number of requests at a time; each takes exponential, mean 10 min'
    """
    links = zip(described.links, links_of(described), strict=True)
    words = [_link(found) or f"custom system {type(link).__name__}" for link, found in links]
    return words[0] if len(words) == 1 else "; then ".join(f"({one})" for one in words)


def _link(found: Link | None) -> str:
    match found:
        case Batch():
            return _batch(found)
        case Service(lanes=None):
            head = "online service, any number of requests at a time"
        case Service():
            head = f"online service, {_several(found.lanes or 1, 'request')} at a time"
        case Staff():
            opens, closes = found.between
            team = "one person" if found.team == 1 else f"team of {found.team:,}"
            hours = f"{opens} to {closes}{_days(found.days)}{_holidays(found.holidays)}"
            head = f"{team}, working hours {hours}"
        case Completions():
            return f"completions at given times, as in a log ({len(found.completions):,})"
        case _:
            return ""
    return f"{head}; each takes {distribution_in_words(found.item_time)}"


def _batch(found: Batch) -> str:
    start = (
        f"by the cron expression {found.start!r}" if is_cron(found.start) else f"at {found.start}"
    )
    parts = [f"batch {start}{_days(found.days) or ' every day'}{_holidays(found.holidays)}"]
    parts += [f"items submitted by {found.cut_off}"] if found.cut_off else []
    parts += [f"{_several(found.lanes, 'item')} at a time" if found.lanes > 1 else ""]
    parts += [f"each item takes {distribution_in_words(found.item_time)}"]
    parts += [f"at most {_several(found.max_items, 'item')} a night"] if found.max_items else []
    parts += [f"no new item from {found.end}"] if found.end else []
    parts += [f"{percent(found.skip)} of the nights do not run"] if found.skip else []
    parts += [f"{percent(found.failure)} of the nights break down"] if found.failure else []
    parts += ["results at the end of the batch"] if found.results == "at end" else []
    return "; ".join(part for part in parts if part)


# --- process and server ---------------------------------------------------------------------------


def process_in_words(process: Process) -> str:
    """Return the steps of a process in order, with their choices and parallel branches.

    >>> process_in_words(Process("order", [Step("validate"), AsyncStep("post", "ledger")]))
    'validate → post (waits for ledger)'
    """
    return _sequence(process.steps)


def _sequence(elements: Sequence[Element]) -> str:
    return " → ".join(map(_element, elements)) or "nothing"


def _element(element: Element) -> str:
    match element:
        case AsyncStep():
            return f"{element.name} ({'; '.join(_waiting(element))})"
        case Choice():
            ways = (f"{percent(b.probability)}: {_sequence(b.steps)}" for b in element.branches)
            return f"{element.name} [either {'; or '.join(ways)}]"
        case Parallel():
            branches = "; and ".join(map(_sequence, element.branches))
            return f"{element.name} [at the same time: {branches}]"
    return element.name


def _waiting(step: AsyncStep) -> list[str]:
    response = step.response
    words = [f"waits for {step.system}"]
    words += [f"meanwhile {_sequence(step.on_accepted)}"] if step.on_accepted else []
    for share, what, path in (
        (response.done, "are done at once", step.on_done),
        (response.rejected, "are rejected", step.on_rejected),
    ):
        words += [f"{percent(share)} of the calls {what}: {_path(path)}"] if share else []
    if step.timeout is not None:
        words.append(f"after {length_in_words(step.timeout)}: {_path(step.on_timeout)}")
    return words


def _path(path: Path) -> str:
    if isinstance(path, str):
        return {"fail": "the instance fails", "continue": "it continues"}[path]
    return _sequence(path)


def work_in_words(process: Process) -> list[str]:
    """Return the worker time of each step and each outgoing call that takes any."""
    found = [(one.name, one.work) for one in process.of_type(Step)]
    found += [(f"call of {s.name}", s.call_work) for s in process.of_type(AsyncStep)]
    return [f"{name}: {distribution_in_words(time)}" for name, time in found]


def period_in_words(scenario: Scenario) -> str:
    """Return when instances arrive, by the calendar."""
    day = f"{scenario.start:%A}, {scenario.start}"
    zone = scenario.zone or "a clock without daylight saving"
    length = length_in_words(scenario.length)
    return f"arrivals for {length} from midnight of {day} ({zone})"
