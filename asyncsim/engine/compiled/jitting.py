"""One decorator: Numba compiles the kernels where it is installed, else they run as they stand.

Importing this module imports Numba, so nothing outside this package does it before a kernel is
wanted. Machine code is cached on disk, beside the source or in the user's cache directory.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

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

COMPILES = numba is not None
"""Whether kernels are compiled in this session."""


def kernel(function: F) -> F:
    """Compile a function over a structure, if Numba is there, as a part of those that call it.

    It makes no arrays, so it needs no reference counts (which would cost it half its speed), and
    it is compiled once, not anew for every constant that it is called with.
    """
    if numba is None:
        return function
    compiled: Any = numba.njit(
        error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
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
    contents of all of them.
    """
    if numba is None:
        return function
    usual = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())
    try:
        compiled: F = numba.njit(cache=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = usual
    return compiled


def cache_directory() -> Path:
    """Return where machine code is kept: beside the source, or else where temporary files go."""
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(here.glob("*.py"))))
    name = f"kernels-{digest.hexdigest()[:16]}"
    beside = here / "__pycache__"
    try:
        beside.mkdir(exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside / name
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / f"asyncsim-{getpass.getuser()}" / name


def wide(value: int) -> Any:
    """Return a whole number as the compiled kernels count bits in, 64 without a sign."""
    return np.uint64(value) if COMPILES else value


unsigned = kernel(lambda value: np.uint64(value)) if COMPILES else int
"""The same inside a kernel."""
