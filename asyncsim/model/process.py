"""The process: steps one after the other, choices, parallel branches, and steps that wait."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from textwrap import shorten
from typing import Any, ClassVar, TypeVar

from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.calendar import clock_or_cron
from asyncsim.model.distributions import Duration, Fixed, as_distribution
from asyncsim.model.units import InvalidValue
from asyncsim.model.validation import name_errors, scenario_error, word_of

T = TypeVar("T")
Copies = tuple[int, ...]  # which copy of the steps of each loop around a step, from 1
MOST_NESTED = 50  # engines and files walk choices, branches and paths by recursion
WAYS = ("fail", "continue")
MOST_PLAYED = 131_072  # elements, each copy counted
LAST_ACTIVATION = 65_535  # fits the order of events (`asyncsim.engine.environment`)


class Element:
    """Part of a process; its name is unique within the process."""

    name: str
    numbered: ClassVar[bool] = False  # whether it has an activation number

    def within(self) -> Sequence[Element]:
        """Return the elements directly inside it, in written order."""
        return ()

    def played(self, at: Copies = ()) -> Iterator[tuple[Element, str]]:
        """Yield what is played of it, with the name of its random numbers; loops yield copies."""
        yield self, label_of(self.name, at)
        for element in self.within():
            yield from element.played(at)

    def parts(self) -> Iterator[Element]:
        """Yield this element and everything inside it, in written order."""
        yield self
        for element in self.within():
            yield from element.parts()


Path = str | tuple[Element, ...]


def label_of(name: str, at: Copies) -> str:
    """Return the name of a copy, as ``check#2``; the first is called as the element.

    >>> label_of("check", ()), label_of("check", (1, 1)), label_of("check", (1, 3))
    ('check', 'check', 'check#1.3')
    """
    return name if set(at) <= {1} else f"{name}#{'.'.join(map(str, at))}"


def _sequence(value: Sequence[Element]) -> tuple[Element, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(part, Element) for part in value):
        return tuple(value)
    raise InvalidValue("must be a list of steps (Step, AsyncStep, Choice, Parallel, Retry, …)")


def some_steps(value: Sequence[Element]) -> tuple[Element, ...]:
    """Return a list of one or more elements."""
    if found := _sequence(value):
        return found
    raise InvalidValue("must hold at least one step")


def _path(value: str | Sequence[Element]) -> Path:
    try:
        return units.one_of(value, WAYS) if isinstance(value, str) else _sequence(value)
    except InvalidValue as problem:
        right = "must be 'fail', 'continue' or a list of steps"
        raise InvalidValue(right, problem.hint) from None


@frozen(field_transformer=name_errors)
class Step(Element):
    """Work of the workflow server: occupies one worker for a time drawn from `work`.

    >>> sim.Step("validate", work=sim.exponential("200ms")).work.mean
    0.2

    Parameters
    ----------
    name
        Name of the step.
    work
        Worker time of one execution.
    """

    numbered = True

    name: str = field(converter=units.text)
    work: Duration = field(default=Fixed(0.0), converter=as_distribution)


@frozen(field_transformer=name_errors)
class Response:
    """Probabilities of the immediate response to the outgoing call; they add up to one.

    >>> sim.Response(accepted=0.9, rejected=0.1).done
    0.0

    Parameters
    ----------
    accepted
        Probability that the call is accepted: the step waits.
    done
        Probability that the work is done at once: the step does not wait.
    rejected
        Probability that the call is rejected: the step fails, unless `on_rejected` says otherwise.
    """

    accepted: float = field(default=1.0, converter=units.probability)
    done: float = field(default=0.0, converter=units.probability)
    rejected: float = field(default=0.0, converter=units.probability)

    def __attrs_post_init__(self) -> None:
        add_up("Response", (self.accepted, self.done, self.rejected))


def add_up(where: str, probabilities: Sequence[float]) -> None:
    """Check that probabilities add up to 1; the error shows the sum."""
    if abs((total := sum(probabilities)) - 1.0) > 1e-9:
        terms = shorten(" + ".join(f"{one:g}" for one in probabilities), 80, placeholder=" …")
        raise ScenarioError(
            f"{where} must have probabilities that add up to 1: {terms} = {total:g}"
        )


def _until(value: units.ClockTimeLike | None) -> str | None:
    return None if value is None else clock_or_cron(value)


def _response(value: Response | dict[str, float]) -> Response:
    if isinstance(value, Response):
        return value
    if isinstance(value, dict) and set(value) <= {"accepted", "done", "rejected"}:
        return Response(**({"accepted": 0.0} | value))
    raise InvalidValue("must be a Response(accepted=…, done=…, rejected=…)")


@frozen(field_transformer=name_errors)
class AsyncStep(Element):
    """A step that calls an external system and waits for it.

    >>> sim.AsyncStep("approve", "clerk", timeout="2h", on_timeout=[sim.Step("escalate")]).timeout
    7200.0

    Parameters
    ----------
    name, system
        The step's name and the name of the external system it calls.
    call_work
        Worker time of the outgoing call; the call reaches the system when it ends.
    arm, arm_delay
        The wait is armed ``arm_delay`` seconds ``"after call"``, or when the call joins the queue
        (``"before call"``).
    response
        Probabilities of the immediate response: ``accepted`` (wait), ``done`` (do not wait),
        ``rejected`` (the step fails).
    timeout
        Longest wait, counted from arming; by default there is no limit.
    step_timeout
        Longest time in the step, counted from when the instance reaches it: the call may still be
        in the queue for a worker.
    until
        The step times out at the next such clock time after the instance has reached it
        (``"17:00"``, or a cron expression such as ``"0 17 * * 1-5"``).
    withdraw
        Whether a wait that times out, is given up or cancelled withdraws the outside work: the
        item leaves the queue, or the lane (the person) at work on it is free at once; a batch
        drops what it has collected. By default the work goes on, and its callback is late.
    on_accepted
        Steps executed after the call was accepted and before the wait is armed: the process reacts
        to the response while the external system already works.
    on_done, on_rejected, on_timeout
        What follows: ``"fail"`` ends the instance as failed, ``"continue"`` goes to the next step,
        a list of steps is executed first. `on_timeout` also follows a strategy that gave up.
    """

    numbered = True

    name: str = field(converter=units.text)
    system: str = field(converter=units.text)
    call_work: Duration = field(default=Fixed(0.0), converter=as_distribution, kw_only=True)
    arm: str = field(
        default="after call", validator=word_of("after call", "before call"), kw_only=True
    )
    arm_delay: float = field(default=0.0, converter=units.duration, kw_only=True)
    response: Response = field(factory=Response, converter=_response, kw_only=True)
    timeout: float | None = field(default=None, converter=units.optional_duration, kw_only=True)
    step_timeout: float | None = field(
        default=None, converter=units.optional_duration, kw_only=True
    )
    until: str | None = field(default=None, converter=_until, kw_only=True)
    withdraw: bool = field(default=False, converter=units.switch, kw_only=True)
    on_accepted: tuple[Element, ...] = field(default=(), converter=_sequence, kw_only=True)
    on_done: Path = field(default="continue", converter=_path, kw_only=True)
    on_rejected: Path = field(default="fail", converter=_path, kw_only=True)
    on_timeout: Path = field(default="fail", converter=_path, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name, right in (("arm_delay", "0"), ("on_accepted", "empty")):
            if self.arm == "before call" and (value := getattr(self, name)):
                problem = f"must be {right} with arm='before call'"
                raise scenario_error(f"AsyncStep.{name}", problem, value)

    @property
    def limits(self) -> list[str]:
        """The names of its deadlines, by which it may time out."""
        names = ("timeout", "step_timeout", "until")
        return [name for name in names if getattr(self, name) is not None]

    @property
    def deadlines_in_words(self) -> str:
        """When it times out; empty if it has no deadline.

        >>> sim.AsyncStep("approve", "clerk", timeout="2h", until="17:00").deadlines_in_words
        'after waiting for 2 h, or at 17:00'
        """
        waiting = "" if self.limits == ["timeout"] else "waiting for "
        words = {
            "timeout": f"after {waiting}{units.text_of(self.timeout or 0.0)}",
            "step_timeout": f"{units.text_of(self.step_timeout or 0.0)} after the step is reached",
            "until": f"at {self.until}",
        }
        return ", or ".join(words[name] for name in self.limits)

    def within(self) -> Sequence[Element]:
        """Return the elements of its paths."""
        ways = (self.on_accepted, self.on_done, self.on_rejected, self.on_timeout)
        return [element for way in ways if not isinstance(way, str) for element in way]


def _conditions(value: Mapping[str, Any] | None) -> Mapping[str, tuple[Any, ...]]:
    given = {} if value is None else value
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidValue("must map names of data fields to values, such as {'approved': True}")
    several = {k: v if isinstance(v, (list, tuple)) else (v,) for k, v in given.items()}
    return {units.any_text(k): tuple(map(_condition, values)) for k, values in several.items()}


def _condition(value: Any) -> Any:
    """Return a value that a file can hold and that can be compared."""
    if isinstance(value, str):
        return units.any_text(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:  # truth values among them
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise InvalidValue("must hold texts, numbers of 64 bits or truth values, one or a list of them")


@frozen(field_transformer=name_errors)
class Branch:
    """One way out of a `Choice`; it may be empty.

    >>> sim.Branch(0.8, [sim.Step("ship")], when={"approved": True}).agrees_with({"approved": True})
    True

    Parameters
    ----------
    probability
        Probability of this branch, unless data fields decide.
    steps
        The elements on this way.
    when
        Values that data fields must have, such as ``{"approved": True}`` or
        ``{"status": ["new", "open"]}``. A live session, where steps are finished with data, takes
        the first branch whose fields agree; a simulation has no data and uses the probabilities.
    """

    probability: float = field(converter=units.probability)
    steps: tuple[Element, ...] = field(default=(), converter=_sequence)
    when: Mapping[str, tuple[Any, ...]] = field(
        default=None, converter=_conditions, kw_only=True, hash=False
    )

    def agrees_with(self, fields: Mapping[str, Any]) -> bool:
        """Return whether there are conditions and data fields meet all of them."""
        return bool(self.when) and all(
            name in fields and fields[name] in values for name, values in self.when.items()
        )


def _branches(value: Sequence[Branch | tuple[float, Sequence[Element]]]) -> tuple[Branch, ...]:
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise InvalidValue("must be a list of two or more branches such as (0.8, [Step('ship')])")
    pairs = [part for part in value if not isinstance(part, Branch)]
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise InvalidValue("must be pairs of a probability and a list of steps")
    return tuple(part if isinstance(part, Branch) else Branch(*part) for part in value)


@frozen(field_transformer=name_errors)
class Choice(Element):
    """Takes one of several branches, by probability.

    >>> len(sim.Choice("in stock?", [(0.8, [sim.Step("ship")]), (0.2, [])]).branches)
    2

    Parameters
    ----------
    name
        Name of the choice.
    branches
        Two or more branches; their probabilities add up to 1.
    """

    name: str = field(converter=units.text)
    branches: tuple[Branch, ...] = field(converter=_branches)

    def __attrs_post_init__(self) -> None:
        add_up(f"Choice {self.name!r}", [branch.probability for branch in self.branches])

    def within(self) -> Sequence[Element]:
        """Return the elements of its branches."""
        return [element for branch in self.branches for element in branch.steps]


def parallel_branches(value: Sequence[Sequence[Element]]) -> tuple[tuple[Element, ...], ...]:
    """Return two or more lists of elements, none of them empty."""
    are_lists = isinstance(value, (list, tuple)) and all(
        isinstance(steps, (list, tuple)) for steps in value
    )
    if not are_lists or len(value) < 2:
        raise InvalidValue("must be a list of two or more lists of steps")
    return tuple(map(some_steps, value))


@frozen(field_transformer=name_errors)
class Parallel(Element):
    """Executes all branches at once, and continues when the last of them has ended.

    >>> both = sim.Parallel("both", [[sim.Step("ship")], [sim.AsyncStep("bill", "ledger")]])
    >>> [part.name for part in both.parts()]
    ['both', 'ship', 'bill']

    Parameters
    ----------
    name
        Name of the element.
    branches
        Two or more lists of steps, none of them empty; all are started together.
    """

    name: str = field(converter=units.text)
    branches: tuple[tuple[Element, ...], ...] = field(converter=parallel_branches)

    def within(self) -> Sequence[Element]:
        """Return the elements of its branches."""
        return [element for branch in self.branches for element in branch]


def _too_much(elements: Sequence[Element], depth: int) -> bool:
    """Return whether elements are too many or nested too deep, descending no deeper than that."""
    if not elements or depth < 0 or len(elements) > LAST_ACTIVATION:
        return bool(elements)
    return _too_much([each for element in elements for each in element.within()], depth - 1)


@frozen(field_transformer=name_errors)
class Process:
    """A named sequence of elements.

    >>> sim.Process("order", [sim.Step("validate"), sim.AsyncStep("post", "ledger")]).activations
    {'validate': 1, 'post': 2}

    Parameters
    ----------
    name
        Name of the process.
    steps
        Its elements, in order.
    first_activation
        Number of the first step; the others follow in written order. It is the second half of a
        serial number: with ``first_activation=30`` the second step of instance 5 waits as ``5_31``.
    timeout
        Longest time of an instance from its arrival. An instance that has not ended by then times
        out: its open waits end, and nothing follows.
    """

    name: str = field(converter=units.text)
    steps: tuple[Element, ...] = field(converter=some_steps)
    first_activation: int = field(default=1, converter=units.count, kw_only=True)
    timeout: float | None = field(default=None, converter=units.optional_duration, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if _too_much(self.steps, MOST_NESTED):
            most = f"{LAST_ACTIVATION:,} elements at most, nested no deeper than {MOST_NESTED}"
            raise ScenarioError(f"Process.steps must hold {most}")
        names = [element.name for element in self.parts()]
        played = list(islice(self.played(), MOST_PLAYED + 1))
        if len(played) > MOST_PLAYED:
            most = f"{MOST_PLAYED:,} steps at most, the copies of repeated steps included"
            raise ScenarioError(f"Process.steps must hold {most}")
        seen: set[str] = set()
        for name in chain(names, {label for one, label in played if label != one.name}):
            if name in seen:
                raise ScenarioError(f"Process.steps must have unique names, got {name!r} twice")
            seen.add(name)
        if max(self.activations.values(), default=0) > LAST_ACTIVATION:
            problem = f"must leave every step a number of {LAST_ACTIVATION} at most"
            raise scenario_error("Process.first_activation", problem, self.first_activation)

    def parts(self) -> Iterator[Element]:
        """Yield every element, also inside choices, branches and paths, in written order."""
        for element in self.steps:
            yield from element.parts()

    def played(self) -> Iterator[tuple[Element, str]]:
        """Yield every element as often as it is played, with the name of its random numbers."""
        for element in self.steps:
            yield from element.played()

    @property
    def is_plain(self) -> bool:
        """Whether it consists of steps, choices and parallel branches alone."""
        return all(type(element) in ELEMENTS.values() for element in self.parts())

    def of_type(self, kind: type[T]) -> list[T]:
        """Return the elements of one kind, in written order."""
        return [element for element in self.parts() if isinstance(element, kind)]

    @property
    def activations(self) -> dict[str, int]:
        """The activation number of every step, by name; the copies in loops have their own."""
        numbered = (label for element, label in self.played() if element.numbered)
        return {label: self.first_activation + k for k, label in enumerate(numbered)}


ELEMENTS = {"step": Step, "async step": AsyncStep, "choice": Choice, "parallel": Parallel}
