"""A strategy for each step: `Strategies`, and the one place where a plain mapping becomes one.

Whatever plays or explains a scenario asks a strategy for that of a step (`Strategy.for_step`). Only
this module knows that it may differ from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.strategies import Strategy, specification_of
from asyncsim.model.units import InvalidValue, nearest
from asyncsim.model.validation import name_errors, scenario_error, shown

OTHERS = "others"  # in a plain mapping, the strategy of all other steps


class Scene(Protocol):
    """What is read of a scenario: its steps, and the systems that they call."""

    @property
    def process(self) -> Process:
        """The process."""

    @property
    def systems(self) -> Mapping[str, Any]:
        """External systems by name."""


def _of_one_step(value: Any) -> Strategy:
    if not isinstance(value, Strategy) or isinstance(value, Strategies):
        but = ", not a class" if isinstance(value, type) else ""
        raise InvalidValue(f"must be a strategy such as Callback(){but}")
    return value


def _by_name(value: Mapping[str, Strategy]) -> Mapping[str, Strategy]:
    """Return a read-only mapping of names to strategies, checked."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidValue(
            'must map names of steps or systems to strategies, such as {"ledger": Callback()}'
        )
    found = {}
    for name, one in value.items():
        try:
            found[units.text(name)] = _of_one_step(one)
        except InvalidValue as problem:
            raise scenario_error(f"Strategies.of[{name!r}]", problem, one) from None
    return MappingProxyType(found)


def _optional(value: Strategy | None) -> Strategy | None:
    return None if value is None else _of_one_step(value)


@frozen(field_transformer=name_errors, unsafe_hash=False)
class Strategies(Strategy):
    """A strategy for each step, by the name of the step or of the system that it calls.

    A plain mapping is accepted wherever a strategy is; its key ``"others"`` is that of all others.

    >>> mixed = sim.Strategies({"ledger": sim.Callback(), "clerk": sim.Polling("5min")})
    >>> mixed.label
    'ledger: callback; clerk: polling 5 min'

    Parameters
    ----------
    of
        Strategies by name. The name of a step wins over that of its system.
    others
        The strategy of all other steps; without it, each step needs one.
    """

    of: Mapping[str, Strategy] = field(converter=_by_name)
    others: Strategy | None = field(default=None, converter=_optional, kw_only=True)

    def __reduce__(self) -> Any:
        return _made, (dict(self.of), self.others)

    def __hash__(self) -> int:
        return hash(frozenset(self.of))

    def for_step(self, step: AsyncStep) -> Strategy:
        """Return the strategy of one step."""
        found = self.of.get(step.name, self.of.get(step.system, self.others))
        if found is None:
            names = ", ".join(map(repr, self.of)) or "no names"
            raise ScenarioError(
                f"strategy must have one for the step {step.name!r}: name it, its system "
                f"{step.system!r}, or 'others', got {names}"
            )
        return found

    @property
    def by_name(self) -> dict[str, Strategy]:
        """All strategies by name, that of all other steps under ``"others"``."""
        return {**self.of, **({OTHERS: self.others} if self.others else {})}

    @property
    def polls(self) -> bool:
        """Whether the server does anything while a step waits."""
        return any(one.polls for one in self.by_name.values())

    @property
    def notifies(self) -> bool:
        """Whether the external system of a step does anything at completion."""
        return any(one.notifies for one in self.by_name.values())

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return "; ".join(f"{name}: {one.label}" for name, one in self.by_name.items())

    @property
    def in_words(self) -> str:
        """What each does, in one sentence without its full stop."""
        return "; ".join(f"{name!r}: {one.in_words}" for name, one in self.of.items()) + (
            f"; all others: {self.others.in_words}" if self.others else ""
        )


StrategyLike = Strategy | Mapping[str, Strategy]  # what is accepted wherever a strategy is


def _made(of: dict[str, Strategy], others: Strategy | None) -> Strategies:
    return Strategies(of, others=others)


def as_strategy(name: str, value: object, scenario: Scene) -> Strategy:
    """Return a strategy, or that of a mapping, checked against the steps of a scenario.

    Raises
    ------
    ScenarioError
        If the value is neither (messages call it `name`), if a name is neither that of a step nor
        of a system, or if a step is left without a strategy.
    """
    if isinstance(value, Mapping):
        parts = dict(value)
        calls = {step.name for step in scenario.process.of_type(AsyncStep)}
        named = OTHERS in calls | set(scenario.systems)
        others = None if named else parts.pop(OTHERS, None)
        value = Strategies(parts, others=others)
    if not isinstance(value, Strategy):
        but = ", not a class" if isinstance(value, type) else ""
        raise scenario_error(name, f"must be a strategy such as Callback(){but}", value)
    if isinstance(value, Strategies):
        _check_names(value, scenario)
    return value


def _check_names(value: Strategies, scenario: Scene) -> None:
    steps = scenario.process.of_type(AsyncStep)
    known = list(dict.fromkeys([*(step.name for step in steps), *scenario.systems]))
    for one in value.of:
        if one not in known:
            words = ", ".join(map(repr, known))
            raise ScenarioError(
                f"strategy must name steps that wait, or systems ({words}), got {shown(one)}"
                f"{nearest(one, known)}"
            )
    for step in steps:
        value.for_step(step)


def parts_by_name(strategy: Strategy) -> dict[str, Strategy]:
    """Return the strategies of a mixture by name; none of another strategy."""
    return strategy.by_name if isinstance(strategy, Strategies) else {}


def field_name(strategy: Strategy, name: str) -> str:
    """Return the dotted name of a field, ``"of.clerk.interval"`` for ``"clerk.interval"``."""
    mixed = isinstance(strategy, Strategies) and name.partition(".")[0] in strategy.of
    return f"of.{name}" if mixed else name


def strategies_of(strategy: Strategy, scenario: Scene) -> dict[str, Strategy]:
    """Return the strategies of the steps that wait, by name."""
    return {step.name: strategy.for_step(step) for step in scenario.process.of_type(AsyncStep)}


def parts_of(strategy: Strategy, scenario: Scene) -> list[Strategy]:
    """Return the different strategies of a scenario's steps; itself if no step waits."""
    return list(_distinct(strategies_of(strategy, scenario).values())) or [strategy]


def _distinct(strategies: Any) -> Iterator[Strategy]:
    found: list[Strategy] = []
    for one in strategies:
        if not any(one is other for other in found):
            found.append(one)
            yield one


def deliveries_of(strategy: Strategy, scenario: Scene) -> list[Any]:
    """Return how the systems of the steps deliver callbacks, where that is known."""
    found = map(specification_of, parts_of(strategy, scenario))
    return [one.deliveries for one in found if one is not None and one.deliveries is not None]
