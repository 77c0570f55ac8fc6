"""Tables and arrays that are handed out are the caller's: to change one changes no result.

Each is kept inside and copied when it is asked for. Code that asks for one again and again within a
loop takes it into a variable first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

import attrs
import pandas as pd

T = TypeVar("T")


class cached_table(functools.cached_property[pd.DataFrame]):
    """A table that is made once, and handed out as a copy."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> pd.DataFrame: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | pd.DataFrame:
        """Return a copy."""
        return self if instance is None else super().__get__(instance, owner).copy()

    def __set__(self, instance: object, value: object) -> None:
        """Refuse: without this the table itself would be found in place of a copy."""
        raise AttributeError(f"{self.attrname!r} of {type(instance).__name__} cannot be set")


def with_own_tables(cls: type[T]) -> type[T]:
    """Return an attrs class whose tables and arrays are handed out as copies.

    Examples
    --------
    >>> @with_own_tables
    ... @attrs.frozen
    ... class Found:
    ...     table: pd.DataFrame
    >>> found = Found(pd.DataFrame({"n": [1]}))
    >>> table = found.table
    >>> table.loc[0, "n"] = 2
    >>> found.table["n"].tolist()
    [1]
    """
    found: Any = cls
    for field in attrs.fields(found):
        if str(field.type) in ("pd.DataFrame", "Floats", str(pd.DataFrame)):
            slot = cls.__dict__[field.name]
            setattr(cls, field.name, property(_copied(slot.__get__), slot.__set__))
    return cls


def _copied(kept: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda owner: kept(owner).copy()
