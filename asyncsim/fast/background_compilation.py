"""Compile the kernels in a process of its own, while this one runs them as plain Python.

Compiling takes about ten seconds, once for each installation. A run need not wait for it: both
forms of the kernels give the same answer. A plain run that is still going when the machine code is
ready is interrupted, and restarted with it. Only a large run waits, as it would need too much
memory.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asyncsim.fast import jit
from asyncsim.fast.state import INTERRUPTED, RunState
from asyncsim.platform import can_compile

LOCKS = importlib.util.find_spec("fcntl") is not None
"""False on Windows: there several processes may compile at the same time, to the same end."""
if LOCKS:
    import fcntl

logger = logging.getLogger("asyncsim")

CHILD = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from asyncsim.fast.background_compilation import compile_now
compile_now()
"""

NOWHERE = "no folder for machine code can be written to (set NUMBA_CACHE_DIR to one that can)"
"""Where to keep machine code: what is missing."""

shown: weakref.WeakSet[Any] = weakref.WeakSet()
"""Progress bars, which show `note`; a run that waits for compiling calls their ``update(0)``."""


class _Compilation:
    """What this session knows of compiling."""

    child: subprocess.Popen[bytes] | None = None
    elsewhere = False  # whether another process compiles
    since = 0.0
    failed = False


def begin(large: bool = False) -> None:
    """Start compiling in another process if that is due and possible; wait if `large`."""
    if jit.are_compiled() or _Compilation.failed or not can_compile() or jit.on_disk():
        return
    place = jit.cache_directory()
    if place is None or not _started(place):
        why = "" if place else f", in every session: {NOWHERE}"
        logger.warning("compiling asyncsim's kernels takes about ten seconds%s", why)
        compile_now()
    elif large:
        while _under_way():
            for bar in list(shown):
                bar.update(0)
            time.sleep(0.1)


def note() -> str:
    """Return what a progress bar shows about compiling; mostly nothing."""
    if jit.are_compiled() or not (_Compilation.child or _Compilation.elsewhere) or not _under_way():
        return ""
    seconds = time.monotonic() - _Compilation.since
    return f"compiling the kernels ({seconds:.0f} s), slower until then"


def compile_now() -> None:
    """Compile the kernels in this process, or load their machine code if it is on disk."""
    import numba

    from asyncsim.fast import event_loop

    jit.use_compiled()
    event_loop.play.compile((numba.types.Array(numba.types.int64, 1, "C"),))  # type: ignore[attr-defined]


def warm_up() -> str:
    """Compile the kernels now, and return what was done in a sentence."""
    if not can_compile():
        return (
            "nothing to compile: Numba is switched off or not installed "
            "(pip install 'asyncsim[fast]')"
        )
    place = jit.cache_directory()
    if place is None:
        return NOWHERE
    with _lock(place, wait=True):
        if jit.on_disk():
            return f"the kernels are compiled already, in {place}"
        begun = time.monotonic()
        compile_now()
    return f"compiled the kernels in {time.monotonic() - begun:.0f} s, into {place}"


def _started(place: Path) -> bool:
    """Return whether some process compiles into a folder, after starting one if there was none."""
    if _Compilation.child or (_Compilation.elsewhere and _under_way()):
        return True
    with _lock(place, wait=False) as lock:
        _Compilation.since, _Compilation.elsewhere = time.monotonic(), lock is None
        if lock is None:
            return True
        command = [sys.executable, "-c", CHILD, json.dumps(sys.path)]
        files: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        try:
            child = subprocess.Popen(command, pass_fds=lock, start_new_session=True, **files)
            threading.Thread(target=_wait_for, args=(child,), daemon=True).start()
        except (OSError, RuntimeError):  # no processes, no threads
            return False
        _Compilation.child = child
    return True


def _wait_for(child: subprocess.Popen[bytes]) -> None:
    """Interrupt a plain run, from a daemon thread, once the kernels are there."""
    if child.wait() == 0:
        if (plain := RunState.latest()) is not None:
            plain.status = INTERRUPTED
    elif not _Compilation.failed:
        _Compilation.failed = True
        logger.warning(
            "the kernels could not be compiled, so they run as plain Python (slower, the same "
            "answer); `asyncsim warm-up` shows why"
        )


def _under_way() -> bool:
    """Return whether another process still compiles."""
    place = jit.cache_directory()
    if place is None or jit.on_disk():
        return False
    if not LOCKS:
        return _Compilation.child is not None and _Compilation.child.poll() is None
    with _lock(place, wait=False) as lock:
        return lock is None


@contextmanager
def _lock(place: Path, wait: bool) -> Iterator[tuple[int, ...] | None]:
    """Hold the right to compile into a folder; yield the descriptor to pass on, None if taken.

    A process that inherits the descriptor holds the right as long as it lives.
    """
    if not LOCKS:
        yield ()
        return
    descriptor = os.open(place / "compiling", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        free = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks: compiling twice does no harm
            pass
        yield (descriptor,) if free else None
    finally:
        os.close(descriptor)
