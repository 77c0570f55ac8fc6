"""The Python that plays: what it lacks in a browser, and what to do there instead."""

from __future__ import annotations

import sys


def in_browser() -> bool:
    """Tell whether this is Pyodide, Python in a browser: no processes, threads or sockets."""
    return sys.platform in ("emscripten", "wasi")


def database_hint() -> str:
    """Return what to add to a message about a database that cannot be used; mostly nothing.

    JupyterLite's drive answers, but what SQLite reads there is not what it has written.
    """
    if not in_browser():
        return ""
    return (
        "; SQLite does not work on a browser's drive: take a file outside it, such as "
        "'/tmp/kept.db', which lasts as long as the kernel (closed, it can be copied to the drive)"
    )
