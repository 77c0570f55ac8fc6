"""Platform detection: Pyodide in a browser, Numba, bounds checks."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache


def in_browser() -> bool:
    """Return whether this is Pyodide, Python in a browser: no processes, threads or sockets."""
    return sys.platform in ("emscripten", "wasi")


def database_hint() -> str:
    """Return what to add to a message about a database, which JupyterLite's drive damages."""
    if not in_browser():
        return ""
    return (
        "; SQLite does not work on a browser's drive: take a file outside it, such as "
        "'/tmp/kept.db', which lasts as long as the kernel (closed, it can be copied to the drive)"
    )


SWITCH = "ASYNCSIM_NUMBA"
"""Environment variable; ``0`` runs the kernels as plain Python although Numba is installed."""

BOUNDSCHECK = "ASYNCSIM_BOUNDSCHECK"
"""Environment variable; ``1`` runs the kernels as plain Python that checks every index."""


def checks_bounds() -> bool:
    """Return whether kernels check that every index lies within its array."""
    return os.environ.get(BOUNDSCHECK) == "1"


@cache
def can_compile() -> bool:
    """Return whether Numba is installed and not switched off by one of three variables."""
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") or checks_bounds()
    return not disabled and os.environ.get(SWITCH) != "0" and numba_installed()


@cache
def numba_installed() -> bool:
    """Return whether Numba is installed."""
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # an import that is blocked counts as not installed
        return False
