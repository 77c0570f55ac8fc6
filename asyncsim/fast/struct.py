"""Structures of numbers and arrays that kernels read and write where they lie in memory.

Numba has structures of its own (`numba.experimental.structref`), but counts references to every
array read from one, which costs the kernels half their speed. A structure here is a row of words:
a field is a number, or the address at which an array begins. A kernel gets the address of the row,
and nothing is converted or counted, however many fields there are. Whoever lays a structure out
keeps its arrays alive as long as a kernel is at work.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asyncsim.fast.jit import are_compiled, replaceable


class _Latest:
    """The structure that plain kernels work on, as they need it for an interrupt."""

    made: Callable[[], Any] = staticmethod(lambda: None)


def set_in_plain(field: str, value: int) -> None:
    """Set a field of the structure that plain kernels work on, if any; from another thread."""
    if (made := _Latest.made()) is not None:
        setattr(made, field, value)


def laid_out(described: type, fields: Mapping[str, Any]) -> Any:
    """Return the fields of a structure as its maker takes them.

    Parameters
    ----------
    described
        The class that annotates the fields.
    fields
        Their values, in order: arrays are contiguous, of 64-bit numbers, or (those whose answer is
        of no interest) lists, which are copied to the end of the row. Where kernels are not
        compiled, all are lists.
    """
    if not are_compiled():
        return tuple(fields.values())
    row: list[int] = []
    lists: list[int] = []
    places: dict[int, int] = {}
    kinds = described.__annotations__.values()
    for k, (kind, value) in enumerate(zip(kinds, fields.values(), strict=True)):
        if isinstance(value, list):
            places[k] = len(fields) + len(lists)
            lists += _bits(value) if kind == "Floats" else value
            row.append(0)
        elif isinstance(value, np.ndarray):
            row.append(value.ctypes.data)
        else:
            row += _bits([value]) if kind == "float" else [value]
    words = np.array(row + lists, np.int64)
    words[list(places)] = words.ctypes.data + 8 * np.array(list(places.values()))
    return words


def _bits(values: list[float]) -> tuple[int, ...]:
    """Return floats as whole numbers of the same 64 bits."""
    size = len(values)
    return struct.unpack(f"{size}q", struct.pack(f"{size}d", *values))


def maker_of(described: type) -> Callable[[Any], Any]:
    """Return a function that makes a structure with the annotated fields of a class.

    It takes what `laid_out` returns, and returns an object of the class; its compiled form can be
    called in a kernel only.
    """
    names = list(described.__annotations__)

    def make(values: Any) -> Any:
        made = described()
        vars(made).update(zip(names, values, strict=True))
        _Latest.made = weakref.ref(made)
        return made

    return replaceable(make, lambda: _compiled_maker(described))


def _types_of(described: type) -> dict[str, Any]:
    """Return the fields of a structure with their types in kernels."""
    from numba import types

    kinds = {
        "int": types.int64,
        "float": types.float64,
        "Floats": types.CPointer(types.float64),
        "Ints": types.CPointer(types.int64),
    }
    return {name: kinds[kind] for name, kind in described.__annotations__.items()}


def _compiled_maker(described: type) -> Callable[[Any], Any]:
    """Tell Numba of a type whose values are addresses (Numba's manual, "Low-level extension API").

    Nothing in here is run by a kernel: these functions write the machine code that is.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.core.typing.templates import AttributeTemplate
    from numba.extending import (
        infer_getattr,
        intrinsic,
        lower_getattr_generic,
        lower_setattr_generic,
        models,
        register_model,
    )

    fields = _types_of(described)
    names = list(fields)

    class Address(types.Type):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name=described.__name__)

    address = Address()

    def layout(manager: Any) -> Any:
        return ir.LiteralStructType(
            [manager.lookup(kind).get_value_type() for kind in fields.values()]
        )

    @register_model(Address)
    class _Model(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Address) -> None:
            super().__init__(manager, kind, layout(manager).as_pointer())

    @infer_getattr
    class _Fields(AttributeTemplate):  # type: ignore[misc]
        key = Address

        def generic_resolve(self, kind: Address, name: str) -> Any:
            return fields.get(name)

    @lower_getattr_generic(Address)  # type: ignore[untyped-decorator]
    def _read(context: Any, builder: Any, kind: Address, value: Any, name: str) -> Any:
        return builder.load(cgutils.gep_inbounds(builder, value, 0, names.index(name)))

    @lower_setattr_generic(Address)  # type: ignore[untyped-decorator]
    def _write(context: Any, builder: Any, signature: Any, values: Any, name: str) -> None:
        place = cgutils.gep_inbounds(builder, values[0], 0, names.index(name))
        builder.store(values[1], place)

    @intrinsic  # type: ignore[untyped-decorator]
    def make(typing_context: Any, words: Any) -> Any:
        def begin(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            row = context.make_array(signature.args[0])(context, builder, given[0])
            return builder.bitcast(row.data, layout(context.data_model_manager).as_pointer())

        return address(words), begin

    maker: Callable[[Any], Any] = make
    return maker
