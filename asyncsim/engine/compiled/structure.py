"""Structures of numbers and arrays that kernels hand over by their address.

Numba has structures of its own (`numba.experimental.structref`), but counts references to every
array read from one, which costs the kernels half their speed. The structures here live as long as
the call of the kernel that made them, and count nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from asyncsim.engine.compiled.jitting import COMPILES


def maker_of(described: type) -> Callable[[Any], Any]:
    """Return a function that makes a structure with the annotated fields of a class.

    It takes the values of all fields in order, as a tuple. Where kernels are compiled it can be
    called in a kernel only; elsewhere it returns an object of the class.
    """
    names = list(described.__annotations__)
    if COMPILES:
        return _compiled_maker(described.__name__, names)

    def make(values: Any) -> Any:
        made = described()
        vars(made).update(zip(names, values, strict=True))
        return made

    return make


def _compiled_maker(title: str, names: list[str]) -> Callable[[Any], Any]:
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

    class Address(types.Type):  # type: ignore[misc]
        def __init__(self, kinds: tuple[Any, ...]) -> None:
            # A short name: it becomes part of the name of every function that takes one
            super().__init__(name=f"{title}{zlib.crc32(repr(kinds).encode()):x}")
            self.kinds = dict(zip(names, kinds, strict=True))

    def layout(manager: Any, address: Address) -> Any:
        kinds = address.kinds.values()
        return ir.LiteralStructType([manager.lookup(kind).get_value_type() for kind in kinds])

    @register_model(Address)
    class _Model(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, address: Address) -> None:
            super().__init__(manager, address, layout(manager, address).as_pointer())

    @infer_getattr
    class _Fields(AttributeTemplate):  # type: ignore[misc]
        key = Address

        def generic_resolve(self, address: Address, name: str) -> Any:
            return address.kinds.get(name)

    @lower_getattr_generic(Address)  # type: ignore[untyped-decorator]
    def _read(context: Any, builder: Any, address: Address, value: Any, name: str) -> Any:
        return builder.load(cgutils.gep_inbounds(builder, value, 0, names.index(name)))

    @lower_setattr_generic(Address)  # type: ignore[untyped-decorator]
    def _write(context: Any, builder: Any, signature: Any, values: Any, name: str) -> None:
        place = cgutils.gep_inbounds(builder, values[0], 0, names.index(name))
        builder.store(values[1], place)

    @intrinsic  # type: ignore[untyped-decorator]
    def make(typing_context: Any, values: Any) -> Any:
        address = Address(tuple(types.unliteral(kind) for kind in values.types))

        def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            memory = cgutils.alloca_once(builder, layout(context.data_model_manager, address))
            for k in range(len(names)):
                place = cgutils.gep_inbounds(builder, memory, 0, k)
                builder.store(builder.extract_value(given[0], k), place)
            return memory

        return address(values), write

    maker: Callable[[Any], Any] = make
    return maker
