"""Kernels: plain Python until their machine code is on disk, compiled by Numba from then on.

The decorators only register functions; importing the kernels imports no Numba. `use_compiled` puts
the compiled kernels in the place of the plain ones, in every module of this package, once and for
the rest of the session. Both give the same answer to the last bit. Machine code is kept on disk,
where `background_compilation` compiles it in a process of its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from asyncsim.engine import environment, graph, result, waits
from asyncsim.model import outages, process, specifications
from asyncsim.platform import SWITCH as SWITCH
from asyncsim.platform import can_compile

F = TypeVar("F", bound=Callable[..., Any])

SHARED = (environment, graph, specifications, outages, process, result, waits)
"""Modules outside of this package whose functions, or numbers, are part of the machine code."""
PACKAGE = __name__.rpartition(".")[0]


class _State:
    compiled = False  # whether compiled kernels are in use
    lock = threading.RLock()  # held by a plain run: its kernels must not be replaced in the middle


if hasattr(os, "register_at_fork"):  # a thread that held the lock is not in the new process
    os.register_at_fork(after_in_child=lambda: setattr(_State, "lock", threading.RLock()))

_makers: list[tuple[Any, Callable[[], Any]]] = []
"""Each plain function with what makes its compiled form."""


def are_compiled() -> bool:
    """Return whether compiled kernels are in use."""
    return _State.compiled


def replaceable(plain: F, maker: Callable[[], Any]) -> F:
    """Register what makes the compiled form of a function, and return the function."""
    _makers.append((plain, maker))
    return plain


def kernel(function: F) -> F:
    """Register a function over a structure, which other kernels call.

    It makes no arrays, so it needs no reference counts (which would cost it half its speed), and
    it is compiled once, not anew for every constant that it is called with.
    """
    return replaceable(function, partial(_compiled, function, forceinline=False))


def inner_kernel(function: F) -> F:
    """Register a kernel that is compiled into each caller, which keeps its values in registers."""
    return replaceable(function, partial(_compiled, function, forceinline=True))


def cached_kernel(function: F) -> F:
    """Register a function that is compiled with all that it calls, and kept on disk."""
    return replaceable(function, partial(_cached, function))


def _compiled(function: Any, forceinline: bool) -> Any:
    import numba

    compiled: Any = numba.njit(
        error_model="numpy",
        forceinline=forceinline,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_linked_pipeline(),
    )(function)
    template = compiled.get_call_template

    def template_for_any_value(args: Any, kws: Any) -> Any:
        return template(tuple(map(numba.types.unliteral, args)), kws)

    compiled.get_call_template = template_for_any_value
    return compiled


@cache
def _linked_pipeline() -> Any:
    """Return a compiler for functions that run only as part of another compiled function.

    Numba optimizes each function with all that it calls, and makes machine code of it, although
    the machine code of the caller contains it again. Without that, compiling takes half the time.
    """
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import CompilerBase, DefaultPassBuilder

    # Intermediate code that waits to be linked into a caller; no kernel needs Python's objects
    linked = {
        "_optimize_final_module": lambda library: None,
        "_finalize_final_module": lambda library: setattr(library, "_finalized", True),
        "get_pointer_to_function": lambda library, name: 0,
        "codegen": property(lambda library: library),
        "set_env": lambda library, name, env: None,
    }
    library_class: Any = type("Linked", (JITCodeLibrary,), linked)

    class Compiler(CompilerBase):  # type: ignore[misc]
        def define_pipelines(self) -> Any:
            state = self.state
            state.library = library_class(state.targetctx.codegen(), state.func_id.func_qualname)
            return [DefaultPassBuilder.define_nopython_pipeline(state)]

    return Compiler


def _cached(function: Any) -> Any:
    """Return a function compiled to `cache_directory`, or anew in every session without one."""
    import numba

    place = cache_directory()  # whose name is of all source files; Numba looks at the age of one
    usual = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(place or "")
    try:
        return numba.njit(cache=place is not None, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = usual


def compiled_structure(name: str, fields: dict[str, str]) -> Any:
    """Return what makes a structure of an array of words, for kernels only.

    Its values are addresses (see "Low-level extension API" in Numba's documentation): of a number
    (``"int"``, ``"float"``), or of the first of several (``"ints"``, ``"floats"``). The functions
    below are not run by kernels; they generate the machine code that is.
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

    numbers = {"int": types.int64, "float": types.float64}
    kinds = numbers | {f"{kind}s": types.CPointer(number) for kind, number in numbers.items()}
    types_of = {field: kinds[kind] for field, kind in fields.items()}
    places = {field: place for place, field in enumerate(fields)}

    class Address(types.Type):  # type: ignore[misc]
        pass

    address = Address(name)

    def pointer(manager: Any) -> Any:
        words = [manager.lookup(kind).get_value_type() for kind in types_of.values()]
        return ir.LiteralStructType(words).as_pointer()

    @register_model(Address)
    class _Model(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Address) -> None:
            super().__init__(manager, kind, pointer(manager))

    @infer_getattr
    class _Fields(AttributeTemplate):  # type: ignore[misc]
        key = Address

        def generic_resolve(self, kind: Address, field: str) -> Any:
            return types_of.get(field)

    @lower_getattr_generic(Address)  # type: ignore[untyped-decorator]
    def _read(context: Any, builder: Any, kind: Address, value: Any, field: str) -> Any:
        found = builder.load(cgutils.gep_inbounds(builder, value, 0, places[field]))
        if fields[field] not in numbers:  # where an array begins never changes
            found.set_metadata("invariant.load", builder.module.add_metadata([]))
        return found

    @lower_setattr_generic(Address)  # type: ignore[untyped-decorator]
    def _write(context: Any, builder: Any, signature: Any, values: Any, field: str) -> None:
        place = cgutils.gep_inbounds(builder, values[0], 0, places[field])
        builder.store(values[1], place)

    @intrinsic  # type: ignore[untyped-decorator]
    def make(typing_context: Any, words: Any) -> Any:
        def begin(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            row = context.make_array(signature.args[0])(context, builder, given[0])
            return builder.bitcast(row.data, pointer(context.data_model_manager))

        return address(words), begin

    return make


def unsigned(value: int) -> int:
    """Return a whole number as kernels count bits in: compiled, 64 of them without a sign."""
    return int(value)


def _compiled_unsigned() -> Any:
    import numpy as np

    return _compiled(lambda value: np.uint64(value), forceinline=False)


replaceable(unsigned, _compiled_unsigned)


def use_compiled() -> None:
    """Put compiled kernels in the place of the plain ones; repeated calls do nothing."""
    with _State.lock:
        if _State.compiled:
            return
        compiled = {id(plain): make() for plain, make in _makers}
        for name, module in list(sys.modules.items()):
            if name.startswith(PACKAGE):
                names = vars(module)
                names.update(
                    {key: compiled[id(one)] for key, one in names.items() if id(one) in compiled}
                )
        _State.compiled = True


@contextmanager
def steady_kernels() -> Iterator[None]:
    """Hold the kernels for one run, compiled ones as soon as their machine code is on disk."""
    if _State.compiled:
        yield
        return
    with _State.lock:
        if can_compile() and on_disk():
            use_compiled()
        plain = not _State.compiled
        if plain:
            yield
    if not plain:  # compiled kernels never change, so they may run beside each other
        yield


def on_disk() -> bool:
    """Return whether the machine code of this installation is there, for this processor."""
    place = cache_directory()
    return place is not None and any(place.rglob("*.nbc"))


@cache
def code_name() -> str:
    """Return a name that changes with the kernels, Numba, Python and the processor."""
    from llvmlite import binding

    here = Path(__file__).parent
    shared = [Path(str(module.__file__)) for module in SHARED]
    age = (here / "event_loop.py").stat().st_mtime_ns  # Numba compiles anew if this one has changed
    digest = hashlib.sha256()
    for path in [*sorted(here.glob("*.py")), *shared]:
        digest.update(path.read_bytes())
    numba = importlib.metadata.version("numba")
    target = (numba, sys.implementation.cache_tag, binding.get_host_cpu_name(), age)
    digest.update(repr(target).encode())
    return f"kernels-{digest.hexdigest()[:16]}"


def cache_directory() -> Path | None:
    """Return ``NUMBA_CACHE_DIR``, or a folder beside the source or of the user; None if none."""
    here, name = Path(__file__).parent, code_name()
    users = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    places = [here / "__pycache__", Path(users) / "asyncsim"]
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        places = [Path(chosen)]
    for parent in places:
        try:
            parent = parent.expanduser()
            (parent / name).mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # not to be written to, or no home directory
            continue
        if os.access(parent / name, os.W_OK):
            return parent / name
    return None
