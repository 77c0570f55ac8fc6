"""What the attrs classes of the package share: errors that name the argument, tables as copies.

Use ``@frozen(field_transformer=name_errors)``: a converter then only states what would be right
(`asyncsim.model.units.InvalidValue`), and the message gets its subject and its value here::

    Polling.interval must be positive, got '-5min'
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar, overload

import attrs
import pandas as pd

from asyncsim.errors import ArgumentError, ScenarioError
from asyncsim.model.units import InvalidValue, nearest, one_of, require

T = TypeVar("T")


# --- errors -------------------------------------------------------------------------------------


def scenario_error(where: str, problem: object, value: object) -> ScenarioError:
    """Return the error of an input: argument, what would be right, value, hint."""
    hint = problem.hint if isinstance(problem, InvalidValue) else ""
    return ScenarioError(f"{where} {problem}, got {shown(value)}{hint}")


def shown(value: object) -> str:
    """Return a value as a message shows it: in 80 characters at most."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits, a list within a list within …
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:37]}...{text[-40:]}"  # a file's ending stays


def argument(name: str, value: Any, read: Callable[[Any], T]) -> T:
    """Return an argument as a reader converts it; errors begin with the name."""
    try:
        return read(value)
    except InvalidValue as problem:
        raise scenario_error(name, problem, value) from None


def choice(name: str, value: Any, valid: Iterable[str]) -> str:
    """Return an argument that must be one of some words."""
    return argument(name, value, lambda word: one_of(word, valid))


# --- fields of attrs classes --------------------------------------------------------------------


def name_errors(cls: Any, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Make the errors of a class name the field or the argument (an attrs transformer)."""
    cls.arguments = _Arguments()
    return [_with_name(field) for field in fields]


class _Arguments:
    """Replaces the ``__init__`` of attrs, once Python has made the class: errors are ours."""

    def __set_name__(self, owner: Any, name: str) -> None:
        made = owner.__init__

        @functools.wraps(made)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                made(self, *args, **kwargs)
            except TypeError:
                try:
                    inspect.signature(made).bind(self, *args, **kwargs)
                except TypeError as problem:
                    raise _argument_error(type(self), kwargs, str(problem)) from None
                raise

        owner.__init__ = init
        delattr(owner, name)


def _argument_error(cls: type, given: Iterable[str], problem: str) -> ArgumentError:
    """Return the error of arguments that do not fit, from the words of `inspect`."""
    unknown = next((name for name in given if name not in arguments_of(cls)), None)
    if unknown:
        return ArgumentError(no_argument(cls, unknown))
    words = problem.replace("missing a required argument:", "lacks the argument")
    words = words if words.startswith("lacks") else f"was given {words}"
    return ArgumentError(f"{cls.__name__} {words} {_listed(cls)}")


def _listed(cls: type) -> str:
    """Return the arguments of an attrs class: those without a name first."""
    found = [f"{name}=…" if known else name for name, known in arguments_of(cls).items()]
    return f"(it has {', '.join(found)})"


def arguments_of(cls: type) -> dict[str, bool]:
    """Return the names of the arguments of an attrs class, and whether each needs its name."""
    fields = sorted((field for field in attrs.fields(cls) if field.init), key=lambda f: f.kw_only)
    return {str(field.alias): field.kw_only for field in fields}


def no_argument(cls: type, name: str) -> str:
    """Return the message that a class has no argument of a name."""
    hint = nearest(name, arguments_of(cls))
    return f"{cls.__name__} has no argument {shown(name)} {_listed(cls)}{hint}"


def _with_name(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
    read: Any = field.converter
    if read is None or isinstance(read, attrs.Converter):  # which is inherited, hence named already
        return field

    @functools.wraps(read)
    def convert(value: Any, owner: object, field: attrs.Attribute[Any]) -> Any:
        return Validator(read)(owner, field, value)

    return field.evolve(converter=attrs.Converter(convert, takes_self=True, takes_field=True))


@attrs.frozen
class Validator:
    """A reader whose errors name the field."""

    read: Callable[[Any], Any]

    def __call__(self, owner: object, field: attrs.Attribute[Any], value: object) -> Any:
        """Return what the reader makes of a value; attrs validators do not use it."""
        return argument(f"{type(owner).__name__}.{field.alias}", value, self.read)


def instance_of(kind: type[Any], example: str, *, optional: bool = False) -> Validator:
    """Return a validator: the value must be of a class, such as `example`, or None if optional."""

    def read(value: T) -> T:
        require(isinstance(value, kind) or (optional and value is None), f"must be {example}")
        return value

    return Validator(read)


def word_of(*valid: str) -> Validator:
    """Return a validator: the value must be one of some words."""
    return Validator(lambda word: one_of(word, valid))


def reader_of(field: attrs.Attribute[Any]) -> Any:
    """Return the reader of a field, without the name that `name_errors` adds; None without one."""
    if isinstance(field.validator, Validator):
        return field.validator.read
    return getattr(getattr(field.converter, "converter", None), "__wrapped__", None)


# --- tables that belong to the caller -----------------------------------------------------------


class cached_table(functools.cached_property[pd.DataFrame]):
    """A table that is made once and returned as a copy, so that changing it changes no result."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> pd.DataFrame: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | pd.DataFrame:
        """Return a copy."""
        return self if instance is None else super().__get__(instance, owner).copy()

    def __set__(self, instance: object, value: object) -> None:
        """Refuse: without this the cached table itself would be returned in place of a copy."""
        raise AttributeError(f"{self.attrname!r} of {type(instance).__name__} cannot be set")


def with_own_tables(cls: type[T]) -> type[T]:
    """Return an attrs class (with slots) whose tables and arrays are read as copies."""
    found: Any = cls
    for field in attrs.fields(found):
        if str(field.type) in ("pd.DataFrame", "Floats", str(pd.DataFrame)):
            slot = cls.__dict__[field.name]
            setattr(cls, field.name, property(_copied(slot.__get__), slot.__set__))
    return cls


def _copied(kept: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda owner: kept(owner).copy()
