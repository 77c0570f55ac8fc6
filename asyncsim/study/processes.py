"""Other processes to play on, where there are any.

In a browser (Pyodide) there are neither processes nor threads, and a container may forbid them.
Results do not depend on the number of processes, so where none can be started everything is played
in this one, and a warning says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing import active_children

from asyncsim.errors import warn

NO_THREAD = "can't start new thread"
"""What CPython says where there is none; any other `RuntimeError` is about something else."""


def threads_start() -> bool:
    """Tell whether a thread can be started here."""
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except RuntimeError as error:
        if NO_THREAD not in str(error):
            raise
        return False
    thread.join()
    return True


@contextmanager
def processes(n_jobs: int) -> Iterator[Executor | None]:
    """Give an executor on so many processes; None for one, or where none can be started.

    Warns
    -----
    UserWarning
        If no process can be started, with the reason.
    """
    pool = None if n_jobs == 1 else _pool(n_jobs)
    if pool is None:
        yield None
        return
    with pool:
        yield pool


def _pool(n_jobs: int) -> Executor | None:
    """Return a pool whose first process has been started, or None."""
    before = active_children()
    try:
        if not threads_start():  # a pool keeps one to talk to its processes
            raise OSError(NO_THREAD)
        from concurrent.futures import ProcessPoolExecutor  # some Pythons have none

        pool = ProcessPoolExecutor(n_jobs)
        pool.submit(int)  # a pool starts nothing before it has something to do
    except (ImportError, NotImplementedError, OSError) as error:  # no semaphores, no fork …
        for half_a_pool in set(active_children()) - set(before):
            half_a_pool.terminate()  # else this process would wait for them at its end
        warn(
            f"n_jobs={n_jobs} needs processes, and none can be started here ({error}), as in a "
            "browser: everything is played in this one. The result is the same; n_jobs=1 "
            "avoids this warning",
        )
        return None
    return pool
