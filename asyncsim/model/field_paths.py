"""Changing fields of a description by dotted names, such as ``"systems.ledger.item_time"``.

All changes of one object are made at once, so that fields which must agree (the shares of a
response, say) can be changed together. The classes' own converters read and check the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from asyncsim.errors import ScenarioError
from asyncsim.model.process import Element
from asyncsim.model.units import nearest
from asyncsim.model.validation import shown

T = TypeVar("T")


def changed(described: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a scenario, or of anything else described, with some fields changed.

    Parameters
    ----------
    described
        A frozen description such as a `Scenario`; it is not touched.
    changes
        New values by dotted names. After a field come the fields of what it holds
        (``"server.policy.early"``); systems and steps go by their names, steps at any depth
        (``"systems.ledger.start"``, ``"process.steps.post.timeout"``); links of a chain and
        branches of a choice by their number from 1 (``"systems.saga.systems.2.item_time"``).

    Raises
    ------
    ScenarioError
        If a name leads nowhere, with the nearest one that does; or if a value is wrong.

    Examples
    --------
    >>> from asyncsim.model.server import WorkflowServer
    >>> changed(WorkflowServer(), {"workers": 8}).workers
    8
    """
    if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
        raise ScenarioError(
            f'changes must map dotted names to values, such as {{"server.workers": 8}}, '
            f"got {shown(changes)}"
        )
    result: T = _object(described, dict(changes), "")
    return result


def _object(owner: Any, changes: dict[str, Any], where: str) -> Any:
    """Change the fields of one object."""
    if not attrs.has(type(owner)):
        raise ScenarioError(
            f"{where!r} holds {shown(owner)}, which has no fields to change; name {where!r} "
            f"itself, got {shown(where + '.' + next(iter(changes)))}"
        )
    fields = {field.alias: field.name for field in attrs.fields(type(owner)) if field.init}
    values = {}
    for name, inner in _by_first(changes, fields, where, type(owner).__name__).items():
        values[name] = _new(getattr(owner, fields[name]), inner, _joined(where, name))
    return attrs.evolve(owner, **values)


def _new(old: Any, changes: dict[str, Any], where: str) -> Any:
    """Return what takes the place of a value; the change of the value itself has no name left."""
    if "" in changes:
        if len(changes) > 1:
            other = next(name for name in changes if name)
            raise ScenarioError(
                f"{where!r} cannot be changed together with {_joined(where, other)!r}, which is "
                "a part of it; name one of them"
            )
        return changes[""]
    if isinstance(old, Mapping):
        firsts = _by_first(changes, old, where, where)
        return dict(old) | {
            name: _new(old[name], inner, _joined(where, name)) for name, inner in firsts.items()
        }
    if isinstance(old, tuple) and old and all(isinstance(part, Element) for part in old):
        return _steps(old, changes, where)
    if isinstance(old, tuple) and old and all(attrs.has(type(part)) for part in old):
        numbers = {str(k): part for k, part in enumerate(old, 1)}
        firsts = _by_first(changes, numbers, where, where)
        new = {k: _new(numbers[k], inner, _joined(where, k)) for k, inner in firsts.items()}
        return [new.get(k, part) for k, part in numbers.items()]
    return _object(old, changes, where)


def _steps(elements: tuple[Element, ...], changes: dict[str, Any], where: str) -> Any:
    """Change steps by their names, wherever in the process they are."""
    inside = {part.name: part for element in elements for part in element.parts()}
    by_name = _by_first(changes, inside, where, where)

    def renewed(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(renewed(each) for each in part)
        if not attrs.has(type(part)):
            return part
        nested = {
            field.alias: value
            for field in attrs.fields(type(part))
            if isinstance(value := getattr(part, field.name), tuple)
        }
        deeper = {name: new for name, old in nested.items() if (new := renewed(old)) != old}
        part = attrs.evolve(part, **deeper) if deeper else part
        if isinstance(part, Element) and part.name in by_name:
            return _new(part, by_name[part.name], _joined(where, part.name))
        return part

    return renewed(elements)


def _by_first(
    changes: dict[str, Any], known: Iterable[str], where: str, owner: str
) -> dict[str, dict[str, Any]]:
    """Sort changes by the first part of their names, each with what is left of its name.

    A part may hold dots itself (a system called "sap.fi"), so the longest name that fits is taken.
    """
    found: dict[str, dict[str, Any]] = {}
    longest_first = sorted(known, key=len, reverse=True)
    for name, value in changes.items():
        first = next((each for each in longest_first if _leads_into(name, each)), None)
        if first is None:
            word = name.partition(".")[0]
            words = ", ".join(shown(each) for each in known)
            raise ScenarioError(
                f"{shown(_joined(where, name))} names no field: {owner} has {words}, "
                f"got {shown(word)}{nearest(word, known)}"
            )
        found.setdefault(first, {})[name[len(first) + 1 :]] = value
    return found


def _leads_into(name: str, first: str) -> bool:
    return name == first or (name.startswith(f"{first}.") and len(name) > len(first) + 1)


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
