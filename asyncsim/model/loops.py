"""Steps that happen again or race: delays, retries, rounds, one branch per item, the first of many.

A loop is *unrolled* when a run begins: each round, attempt or item is a copy of the steps, with an
activation number and random numbers of its own. The first copy of a step keeps the step's name for
its random numbers, the k-th is ``name#k``; a copy within a copy is ``name#2.3``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from attrs import field, frozen

from asyncsim.model import process, units
from asyncsim.model.distributions import Duration, as_distribution
from asyncsim.model.process import AsyncStep, Copies, Element, add_up, label_of
from asyncsim.model.units import require
from asyncsim.model.validation import name_errors, scenario_error, word_of

MOST_COPIES = 1_000  # of the steps of one loop
LOSERS = ("cancel", "go on")


def optional_name(value: str | None) -> str:
    """Return a name; an empty one where it is left out and follows from the steps."""
    return "" if value is None else units.text(value)


def copies(value: int) -> int:
    """Return how many copies of some steps there are: 1 to `MOST_COPIES`."""
    require(units.count(value) <= MOST_COPIES, f"must be at most {MOST_COPIES:,}")
    return units.count(value)


def factor(value: float) -> float:
    """Return a finite factor of at least 1."""
    require(units.not_negative(value) >= 1, "must be at least 1")
    return float(value)


def chances_of_counts(value: Any) -> int | dict[str, float]:
    """Return a whole number from 0, or whole numbers with their probabilities."""
    right = "must be a whole number from 0, or map whole numbers to probabilities"
    if not isinstance(value, Mapping):
        require(isinstance(value, Integral) and not isinstance(value, bool), right)
        return _number(value)
    require(bool(value), right)
    found = {str(_number(_from_key(key))): units.probability(p) for key, p in value.items()}
    require(len(found) == len(value), "must hold each number once")
    return found


def _from_key(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdecimal() else key


def _number(value: Any) -> int:
    found = units.from_zero(value)
    require(found <= MOST_COPIES, f"must be at most {MOST_COPIES:,}")
    return found


def _call(value: Element) -> AsyncStep:
    require(isinstance(value, AsyncStep), "must be an AsyncStep, whose call or wait may fail")
    return value  # type: ignore[return-value]


def _name(element: Any, derived: str) -> None:
    """Give an element without a name one that follows from its steps."""
    if not element.name:
        object.__setattr__(element, "name", derived[: units.LONGEST_WORDS])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _listed(elements: Sequence[Element]) -> str:
    return ", ".join(element.name for element in elements)


@frozen(field_transformer=name_errors)
class Delay(Element):
    """Waits for a time, without a worker.

    >>> sim.Delay("1h").name
    'delay 1h'

    Parameters
    ----------
    time
        How long the instance waits; a duration or a distribution.
    name
        Name of the step; it follows from the time by default.
    """

    numbered = True

    time: Duration = field(converter=as_distribution)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"delay {units.format_duration(self.time.mean)}")


@frozen(field_transformer=name_errors)
class Retry(Element):
    """Makes a call again when it was rejected, timed out, or its strategy gave up.

    Each attempt is a new call and a new wait, with a new serial number. The outside work of an
    earlier attempt goes on; its callback is answered as late.

    >>> post = sim.AsyncStep("post", "bank", timeout="1min")
    >>> [sim.Retry(post, attempts=4, pause="10s", backoff=2).pause_before(k) for k in (2, 3, 4)]
    [10.0, 20.0, 40.0]

    Parameters
    ----------
    step
        The asynchronous step. Its `on_rejected` and `on_timeout` follow the last attempt.
    attempts
        Most attempts, the first one included; 1,000 at most.
    pause, backoff
        Time between the failure of an attempt and the next; it is multiplied by `backoff` (at
        least 1) each time.
    name
        Name of the element; it follows from the step by default.
    """

    step: AsyncStep = field(converter=_call)
    attempts: int = field(default=3, converter=copies, kw_only=True)
    pause: float = field(default=0.0, converter=units.duration, kw_only=True)
    backoff: float = field(default=1.0, converter=factor, kw_only=True)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"retry {self.step.name}")
        if not self.pause_before(self.attempts) <= units.LONGEST_TIME:
            problem = "must leave the last pause shorter than 1,000 years"
            raise scenario_error("Retry.backoff", problem, self.backoff)

    @property
    def in_words(self) -> str:
        """How often the step is tried, such as ``"up to 3 attempts, pauses of 10 s"``."""
        text = f"up to {_counted(self.attempts, 'attempt')}"
        text += f", pauses of {units.text_of(self.pause)}" if self.pause else ""
        grows = f", each {self.backoff:g} times as long as the one before"
        return text + grows * (self.pause > 0 and self.backoff > 1)

    def within(self) -> Sequence[Element]:
        """Return the step."""
        return (self.step,)

    def played(self, at: Copies = ()) -> Iterator[tuple[Element, str]]:
        """Yield the copies of the step."""
        for k in range(1, self.attempts + 1):
            if k > 1 and self.pause:
                yield self, label_of(self.name, (*at, k))
            yield from self.step.played((*at, k))

    def pause_before(self, attempt: int) -> float:
        """Return the pause before an attempt, from the second one on, in seconds."""
        try:
            return self.pause * self.backoff ** (attempt - 2) if attempt > 1 else 0.0
        except OverflowError:
            return math.inf


@frozen(field_transformer=name_errors)
class Repeat(Element):
    """Executes steps again and again: until a round is the last one, or a number of times.

    >>> sim.Repeat([sim.Step("check")], until_probability=0.25, most=2).mean_rounds
    1.75

    Parameters
    ----------
    steps
        The elements of one round.
    until_probability
        Probability that a round is the last one; without it there are `most` rounds.
    most
        Most rounds, 1,000 at most. After them the instance continues as if the last one had been
        successful; `unfinished` is the share of these instances.
    name
        Name of the element; it follows from the steps by default.
    """

    steps: tuple[Element, ...] = field(converter=process.some_steps)
    until_probability: float = field(default=0.0, converter=units.probability, kw_only=True)
    most: int = field(default=20, converter=copies, kw_only=True)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"repeat {_listed(self.steps)}")

    @property
    def in_words(self) -> str:
        """How often the steps are executed, such as ``"3 rounds"``."""
        rounds, chance = _counted(self.most, "round"), units.percent(self.until_probability)
        return f"{rounds} at most, {chance} are the last" if self.until_probability else rounds

    def within(self) -> Sequence[Element]:
        """Return the elements of a round."""
        return self.steps

    def played(self, at: Copies = ()) -> Iterator[tuple[Element, str]]:
        """Yield the copies of the elements, and the choice after each round but the last."""
        for k in range(1, self.most + 1):
            for element in self.steps:
                yield from element.played((*at, k))
            if k < self.most:
                yield self, label_of(self.name, (*at, k))

    @property
    def mean_rounds(self) -> float:
        """The mean number of rounds: that of a geometric number, cut at `most`."""
        p = self.until_probability
        return (1 - (1 - p) ** self.most) / p if p else float(self.most)

    @property
    def unfinished(self) -> float:
        """The share of instances whose `most` rounds were all unsuccessful."""
        return (1 - self.until_probability) ** self.most if self.until_probability else 0.0


@frozen(field_transformer=name_errors)
class ForEach(Element):
    """Executes steps once for each of a number of items, all at once, and waits for the last.

    >>> sim.ForEach({1: 0.5, 2: 0.25, 4: 0.25}, [sim.AsyncStep("check", "bank")]).mean_count
    2.0

    Parameters
    ----------
    count
        The number of items; or numbers, 1,000 at most, with their probabilities. With 0 the steps
        are left out.
    steps
        The elements of one item.
    name
        Name of the element; it follows from the steps by default.
    """

    count: int | Mapping[str, float] = field(converter=chances_of_counts, hash=False)
    steps: tuple[Element, ...] = field(converter=process.some_steps)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"each {_listed(self.steps)}")
        add_up("ForEach.count", [chance for _, chance in self.chances])

    @property
    def in_words(self) -> str:
        """How often the steps are executed, such as ``"for each of 3 items, at once"``."""
        numbers = [_counted(number, "item") for number, _ in self.chances]
        if len(numbers) > 1:
            numbers = [f"up to {numbers[-1]} ({self.mean_count:g} on average)"]
        return f"for each of {numbers[0]}, at once"

    @property
    def chances(self) -> list[tuple[int, float]]:
        """The numbers of items, ascending, each with its probability."""
        if isinstance(self.count, int):
            return [(self.count, 1.0)]
        return sorted((int(number), chance) for number, chance in self.count.items())

    @property
    def mean_count(self) -> float:
        """The mean number of items."""
        return math.fsum(number * chance for number, chance in self.chances)

    def within(self) -> Sequence[Element]:
        """Return the elements of an item."""
        return self.steps

    def played(self, at: Copies = ()) -> Iterator[tuple[Element, str]]:
        """Yield the element, which draws the number, and the copies of the steps."""
        yield self, label_of(self.name, at)
        for k in range(1, self.chances[-1][0] + 1):
            for element in self.steps:
                yield from element.played((*at, k))


class Race(Element):
    """Executes branches at once, and continues when some of them have ended."""

    branches: tuple[tuple[Element, ...], ...]
    losers: str

    @property
    def enough(self) -> int:
        """How many branches must end."""
        raise NotImplementedError

    def within(self) -> Sequence[Element]:
        """Return the elements of its branches."""
        return [element for branch in self.branches for element in branch]

    @property
    def in_words(self) -> str:
        """When the race is decided, and what the losers do."""
        losers = "are cancelled" if self.losers == "cancel" else "go on"
        return f"the first {self.enough} of {len(self.branches)} branches, the others {losers}"

    def names_of_branches(self) -> str:
        """Return the names of the first steps of the branches."""
        return _listed([branch[0] for branch in self.branches])


@frozen(field_transformer=name_errors)
class FirstOf(Race):
    """Executes all branches at once, and continues when the first of them has ended.

    A branch that fails drops out; the race fails when no branch is left.

    >>> race = sim.FirstOf([[sim.AsyncStep("mail", "clerk")], [sim.Delay("2h")]])
    >>> race.name
    'first of mail, delay 2h'

    Parameters
    ----------
    branches
        Two or more lists of steps, none of them empty; all are started together.
    losers
        What the other branches do then: ``"cancel"`` ends their waits, whose callbacks are late,
        and starts no further step; with ``"go on"`` they are played to their end, even if the
        instance ends before, and their end has no effect.
    name
        Name of the element; it follows from the branches by default.
    """

    branches: tuple[tuple[Element, ...], ...] = field(converter=process.parallel_branches)
    losers: str = field(default="cancel", validator=word_of(*LOSERS), kw_only=True)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"first of {self.names_of_branches()}")

    @property
    def enough(self) -> int:
        """One branch is enough."""
        return 1


@frozen(field_transformer=name_errors)
class Quorum(Race):
    """Executes all branches at once, and continues when `needed` of them have ended.

    A branch that fails drops out; the quorum fails when fewer than `needed` branches are left.

    >>> votes = [[sim.AsyncStep(name, "board")] for name in ("ann", "bob", "eve")]
    >>> sim.Quorum(2, votes).name
    '2 of ann, bob, eve'

    Parameters
    ----------
    needed
        How many branches must end, from 1 to all of them.
    branches
        Two or more lists of steps, none of them empty; all are started together.
    losers
        What the other branches do then: ``"cancel"`` or ``"go on"``, as for `FirstOf`.
    name
        Name of the element; it follows from the branches by default.
    """

    needed: int = field(converter=units.count)
    branches: tuple[tuple[Element, ...], ...] = field(converter=process.parallel_branches)
    losers: str = field(default="cancel", validator=word_of(*LOSERS), kw_only=True)
    name: str = field(default=None, converter=optional_name, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _name(self, f"{self.needed} of {self.names_of_branches()}")
        if self.needed > len(self.branches):
            problem = f"must be at most the number of branches ({len(self.branches)})"
            raise scenario_error("Quorum.needed", problem, self.needed)

    @property
    def enough(self) -> int:
        """The number of branches that must end."""
        return self.needed


ELEMENTS = process.ELEMENTS | {
    "delay": Delay,
    "retry": Retry,
    "repeat": Repeat,
    "for each": ForEach,
    "first of": FirstOf,
    "quorum": Quorum,
}
