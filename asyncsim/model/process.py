"""The process: steps one after the other, choices, parallel branches, and steps that wait."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Duration, Fixed, law
from asyncsim.model.units import (
    InvalidValue,
    any_text,
    count,
    duration,
    one_of,
    optional_duration,
    probability,
    text,
)
from asyncsim.model.validation import name_errors, scenario_error

T = TypeVar("T")
MOST_NESTED = 50
"""Every engine and every file goes down into choices, branches and paths by recursion."""
LAST_ACTIVATION = 65_535
"""The order of events at one instant has room for no larger number (`environment`)."""


class Element:
    """Anything a process is made of. It has a name, unique within its process."""

    name: str

    def within(self) -> Sequence[Element]:
        """Return the elements right inside it, in the order they are written."""
        return ()

    def parts(self) -> Iterator[Element]:
        """Yield this element and everything inside it, in the order it is written."""
        yield self
        yield from _parts_of(self.within())


def sequence(value: Sequence[Element]) -> tuple[Element, ...]:
    """Return a sequence of process elements as a tuple, checked."""
    if isinstance(value, (list, tuple)) and all(isinstance(part, Element) for part in value):
        return tuple(value)
    raise InvalidValue("must be a list of steps (Step, AsyncStep, Choice, Parallel)")


def steps(value: Sequence[Element]) -> tuple[Element, ...]:
    """Return a sequence of at least one process element."""
    found = sequence(value)
    if not found:
        raise InvalidValue("must hold at least one step")
    return found


Path = str | tuple[Element, ...]


def path(value: str | Sequence[Element]) -> Path:
    """Return 'fail', 'continue' or a sequence of elements to go through before going on."""
    if isinstance(value, str):
        return one_of(value, ("fail", "continue"))
    try:
        return sequence(value)
    except InvalidValue:
        raise InvalidValue("must be 'fail', 'continue' or a list of steps") from None


@frozen(field_transformer=name_errors)
class Step(Element):
    """Work done by the workflow server: occupies one worker for a time drawn from `work`.

    >>> sim.Step("validate", work=sim.exponential("200ms")).work.mean
    0.2

    Parameters
    ----------
    name
        Name of the step.
    work
        Worker time of one execution.
    """

    name: str = field(converter=text)
    work: Duration = field(default=Fixed(0.0), converter=law)


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

    accepted: float = field(default=1.0, converter=probability)
    done: float = field(default=0.0, converter=probability)
    rejected: float = field(default=0.0, converter=probability)

    def __attrs_post_init__(self) -> None:
        total = self.accepted + self.done + self.rejected
        if abs(total - 1.0) > 1e-9:
            raise scenario_error("Response", "probabilities must add up to 1", total)


def response(value: Response | dict[str, float]) -> Response:
    """Return a `Response`, also from a mapping such as ``{"accepted": 0.9, "done": 0.1}``."""
    if isinstance(value, Response):
        return value
    if isinstance(value, dict) and set(value) <= {"accepted", "done", "rejected"}:
        return Response(**({"accepted": 0.0} | value))
    raise InvalidValue("must be a Response(accepted=…, done=…, rejected=…)")


def arm_moment(value: str) -> str:
    """Return when the wait is armed, checked."""
    return one_of(value, ("after call", "before call"))


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
        The wait is armed ``arm_delay`` seconds ``"after call"``, or just ``"before call"``.
    response
        Probabilities of the immediate response: ``accepted`` (wait), ``done`` (do not wait),
        ``rejected`` (the step fails).
    timeout
        How long the wait may last, counted from arming; None means for ever.
    on_accepted
        Steps gone through after the call was accepted and before the wait is armed: the process
        reacts to the response first. Meanwhile the external system is at work already.
    on_done, on_rejected, on_timeout
        What follows each of these: ``"fail"`` ends the instance as failed, ``"continue"`` goes on
        with the next step, a list of steps is gone through first. `on_timeout` also follows a
        strategy that gave up.
    """

    name: str = field(converter=text)
    system: str = field(converter=text)
    call_work: Duration = field(default=Fixed(0.0), converter=law, kw_only=True)
    arm: str = field(default="after call", converter=arm_moment, kw_only=True)
    arm_delay: float = field(default=0.0, converter=duration, kw_only=True)
    response: Response = field(factory=Response, converter=response, kw_only=True)
    timeout: float | None = field(default=None, converter=optional_duration, kw_only=True)
    on_accepted: tuple[Element, ...] = field(default=(), converter=sequence, kw_only=True)
    on_done: Path = field(default="continue", converter=path, kw_only=True)
    on_rejected: Path = field(default="fail", converter=path, kw_only=True)
    on_timeout: Path = field(default="fail", converter=path, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.arm == "before call" and self.arm_delay:
            raise scenario_error(
                "AsyncStep.arm_delay", "must be 0 with arm='before call'", self.arm_delay
            )
        if self.arm == "before call" and self.on_accepted:
            problem = "must be empty with arm='before call'"
            raise scenario_error("AsyncStep.on_accepted", problem, self.on_accepted)

    def within(self) -> Sequence[Element]:
        """Return what its paths hold."""
        ways = (self.on_accepted, self.on_done, self.on_rejected, self.on_timeout)
        return [element for way in ways if not isinstance(way, str) for element in way]


def conditions(value: Mapping[str, Any] | None) -> Mapping[str, tuple[Any, ...]]:
    """Return the values that data fields must have, each as a tuple of those that will do."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidValue("must map names of data fields to values, such as {'approved': True}")
    several = {k: v if isinstance(v, (list, tuple)) else (v,) for k, v in value.items()}
    return {any_text(name): tuple(map(_condition, several[name])) for name in several}


def _condition(value: Any) -> Any:
    """Return a value that a file can hold and a comparison can find."""
    if isinstance(value, str):
        return any_text(value)
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
        How often it is taken where nothing is known of the instance's data.
    steps
        What is gone through.
    when
        Values that data fields must have for this way, such as ``{"approved": True}`` or
        ``{"status": ["new", "open"]}``. In a live session, where steps are finished with data, the
        first branch whose fields agree is taken; a simulation has no data and goes by chance.
    """

    probability: float = field(converter=probability)
    steps: tuple[Element, ...] = field(default=(), converter=sequence)
    when: Mapping[str, tuple[Any, ...]] = field(
        default=None, converter=conditions, kw_only=True, hash=False
    )

    def agrees_with(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether there are conditions and data fields meet all of them."""
        return bool(self.when) and all(
            name in fields and fields[name] in values for name, values in self.when.items()
        )


def branches(value: Sequence[Branch | tuple[float, Sequence[Element]]]) -> tuple[Branch, ...]:
    """Return branches, also from pairs such as ``(0.8, [Step(...)])``."""
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise InvalidValue("must be a list of two or more branches such as (0.8, [Step('ship')])")
    found = tuple(part if isinstance(part, Branch) else _branch(part) for part in value)
    total = sum(branch.probability for branch in found)
    if abs(total - 1.0) > 1e-9:
        raise InvalidValue(f"must have probabilities that add up to 1 (they add up to {total:g})")
    return found


def _branch(value: object) -> Branch:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return Branch(value[0], value[1])
    raise InvalidValue("must be pairs of a probability and a list of steps")


@frozen(field_transformer=name_errors)
class Choice(Element):
    """Goes one of several ways, by probability.

    >>> len(sim.Choice("in stock?", [(0.8, [sim.Step("ship")]), (0.2, [])]).branches)
    2

    Parameters
    ----------
    name
        Name of the choice.
    branches
        Two or more branches; their probabilities add up to 1.
    """

    name: str = field(converter=text)
    branches: tuple[Branch, ...] = field(converter=branches)

    def within(self) -> Sequence[Element]:
        """Return what its branches hold."""
        return [element for branch in self.branches for element in branch.steps]


def parallel_branches(value: Sequence[Sequence[Element]]) -> tuple[tuple[Element, ...], ...]:
    """Return two or more sequences of elements, none of them empty."""
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise InvalidValue("must be a list of two or more lists of steps")
    return tuple(steps(branch) for branch in value)


@frozen(field_transformer=name_errors)
class Parallel(Element):
    """Goes all ways at once, and on when the last of them is through.

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

    name: str = field(converter=text)
    branches: tuple[tuple[Element, ...], ...] = field(converter=parallel_branches)

    def within(self) -> Sequence[Element]:
        """Return what its branches hold."""
        return [element for branch in self.branches for element in branch]


def _parts_of(elements: Sequence[Element]) -> Iterator[Element]:
    for element in elements:
        yield from element.parts()


def _too_much(elements: Sequence[Element], depth: int) -> bool:
    """Tell whether elements are too many or nested too deep, without going any deeper."""
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
        Steps are numbered from here in the order they are written; the number is the second half
        of a serial number. With ``first_activation=30`` the second step of instance 5 waits as
        ``5_31``.
    """

    name: str = field(converter=text)
    steps: tuple[Element, ...] = field(converter=steps)
    first_activation: int = field(default=1, converter=count, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if _too_much(self.steps, MOST_NESTED):
            raise ScenarioError(
                f"Process.steps must hold {LAST_ACTIVATION:,} elements at most, nested no deeper "
                f"than {MOST_NESTED}"
            )
        seen: set[str] = set()
        for element in self.parts():
            if element.name in seen:
                raise ScenarioError(
                    f"Process.steps must have unique names, got {element.name!r} twice"
                )
            seen.add(element.name)
        last = max(self.activations.values(), default=0)
        if last > LAST_ACTIVATION:
            raise scenario_error(
                "Process.first_activation",
                f"must leave every step a number of {LAST_ACTIVATION} at most",
                self.first_activation,
            )

    def parts(self) -> Iterator[Element]:
        """Yield every element, also inside choices, branches and paths, in written order."""
        yield from _parts_of(self.steps)

    def of_type(self, kind: type[T]) -> list[T]:
        """Return the elements of one kind, in written order."""
        return [element for element in self.parts() if isinstance(element, kind)]

    @property
    def activations(self) -> dict[str, int]:
        """The activation number of every step, by name."""
        numbered = [e for e in self.parts() if isinstance(e, (Step, AsyncStep))]
        return {e.name: self.first_activation + k for k, e in enumerate(numbered)}
