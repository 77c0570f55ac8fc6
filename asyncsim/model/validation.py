"""What a person describes becomes a frozen attrs object whose errors name the argument.

Use it as ``@frozen(field_transformer=named)``: a converter then only says what would be right
(`asyncsim.model.units.InvalidValue`), and the sentence gets its subject and its value here::

    Polling.interval must be positive, got '-5min'
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import attrs

from asyncsim.errors import ScenarioError
from asyncsim.model.units import InvalidValue, one_of

T = TypeVar("T")


def scenario_error(where: str, problem: object, value: object) -> ScenarioError:
    """Make the one kind of sentence every input error has."""
    hint = problem.hint if isinstance(problem, InvalidValue) else ""
    return ScenarioError(f"{where} {problem}, got {shown(value)}{hint}")


def shown(value: object) -> str:
    """Return a value as a message shows it: in 80 characters at most."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits, a list within a list within …
        text = f"a value of type {type(value).__name__}"
    if len(text) > 80:  # the end stays: a file's name and ending stand there
        text = f"{text[:37]}...{text[-40:]}"
    return text


def argument(name: str, value: Any, read: Callable[[Any], T]) -> T:
    """Return what a reader makes of an argument, whose name any error has."""
    try:
        return read(value)
    except InvalidValue as problem:
        raise scenario_error(name, problem, value) from None


def choice(name: str, value: Any, valid: Iterable[str]) -> str:
    """Return an argument that must be one of some words."""
    return argument(name, value, lambda word: one_of(word, valid))


def file_read_error(path: str | Path, error: OSError, example: str = "") -> ScenarioError:
    """Say that a file cannot be read: where it was looked for, or which one may be meant.

    Parameters
    ----------
    path, error
        The file, and what the system says.
    example
        What to write for the example of this name, if there is one.
    """
    said, place = error.strerror, Path(path)
    hint = ""
    if isinstance(error, FileNotFoundError) and not place.is_absolute():
        others = (Path("..") / place, Path("data") / place.name, Path("../data") / place.name)
        found = [other.as_posix() for other in others if other.is_file()]
        found += [example] if example else []
        said = f"{said} in {Path.cwd()}"
        hint = f"; did you mean {found[0]!r}?" if found else ""
    return ScenarioError(f"{path}: cannot be read ({said}){hint}")


def name_errors(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Give every converter of a class the words to name its argument (an attrs transformer)."""
    return [_with_name(field) if field.converter else field for field in fields]


def _with_name(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
    if isinstance(field.converter, attrs.Converter):  # inherited, hence named already
        return field
    read: Callable[[Any], Any] = field.converter  # type: ignore[assignment]

    @functools.wraps(read)
    def convert(value: Any, owner: object, field: attrs.Attribute[Any]) -> Any:
        name = f"{type(owner).__name__}.{field.alias}"  # the alias of _mean is mean
        return argument(name, value, read)

    return field.evolve(converter=attrs.Converter(convert, takes_self=True, takes_field=True))
