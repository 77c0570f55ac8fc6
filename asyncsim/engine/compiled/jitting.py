"""One decorator: Numba compiles the kernels where it is installed, else they run as they stand.

Importing this module imports Numba, so nothing outside this package does it before a kernel is
wanted. Machine code is cached on disk, beside the source or in the user's cache directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asyncsim.engine import admission, clock, graph, record, waits, workers
from asyncsim.model import grid, process

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

SWITCH = "ASYNCSIM_NUMBA"
"""Environment variable; ``0`` runs the kernels as plain Python although Numba is installed."""

try:
    if os.environ.get(SWITCH) == "0":
        raise ImportError
    import numba
except ImportError:
    numba = None

SHARED = (admission, clock, graph, grid, process, record, waits, workers)
"""Modules outside of this package whose functions, or numbers, are part of the machine code."""
COMPILES = numba is not None
"""Whether kernels are compiled in this session."""


def kernel(function: F) -> F:
    """Compile a function over a structure, if Numba is there, as a part of those that call it.

    It makes no arrays, so it needs no reference counts (which would cost it half its speed), and
    it is compiled once, not anew for every constant that it is called with.
    """
    if numba is None:
        return function
    return _compiled(function, forceinline=False)


def inner_kernel(function: F) -> F:
    """Compile a kernel into each of those that call it: for what is small, or called in one place.

    The compiler keeps to itself what it would have to write down for a call.
    """
    return function if numba is None else _compiled(function, forceinline=True)


def _compiled(function: F, forceinline: bool) -> F:
    compiled: Any = numba.njit(
        error_model="numpy",
        forceinline=forceinline,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    template = compiled.get_call_template

    def template_for_any_value(args: Any, kws: Any) -> Any:
        return template(tuple(map(numba.types.unliteral, args)), kws)

    compiled.get_call_template = template_for_any_value
    result: F = compiled
    return result


def cached_kernel(function: F) -> F:
    """Compile a function with all that it calls, and keep the machine code on disk.

    Numba looks at the age of one source file only, so the place on disk is named after the
    contents of all of them. Where nothing can be written, it is compiled in every session.
    """
    if numba is None:
        return function
    place = cache_directory()
    usual = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(place or "")
    try:
        compiled: F = numba.njit(cache=place is not None, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = usual
    return compiled


def is_ready(function: Any) -> bool:
    """Tell whether a cached kernel can be called without being compiled first."""
    if not COMPILES or function.signatures:
        return True
    place = cache_directory()
    return place is not None and any(place.rglob("*.nbi"))


def cache_directory() -> Path | None:
    """Return where machine code is kept: beside the source, else with the user's other caches.

    None if neither can be written to.
    """
    here = Path(__file__).parent
    shared = [Path(str(module.__file__)) for module in SHARED]
    sources = [*sorted(here.glob("*.py")), *shared]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    name = f"kernels-{digest.hexdigest()[:16]}"
    users = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    for parent in (here / "__pycache__", Path(users) / "asyncsim"):
        try:
            parent = parent.expanduser()
            (parent / name).mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # not to be written to, or nobody's home
            continue
        if os.access(parent / name, os.W_OK):
            return parent / name
    return None


def wide(value: int) -> Any:
    """Return a whole number as the compiled kernels count bits in, 64 without a sign."""
    return np.uint64(value) if COMPILES else value


unsigned = kernel(lambda value: np.uint64(value)) if COMPILES else int
"""The same inside a kernel."""
