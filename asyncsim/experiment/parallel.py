"""Other processes to play on, where there are any.

In a browser (Pyodide) there are neither processes nor threads, and a container may forbid them.
Results do not depend on the number of processes, so where none can be started everything is played
in this one, and a warning says so.

Progress bars, also where no thread can be started.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing import active_children
from typing import Any

from tqdm.auto import tqdm

from asyncsim.errors import warn
from asyncsim.fast import background_compilation

IN_NOTEBOOK = any(one.__name__ == "tqdm_notebook" for one in tqdm.__mro__)


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that also shows that kernels are being compiled, and leaves nothing in a notebook."""

    container: Any  # of a bar in a notebook
    displayed: bool

    def __init__(self, **options: Any) -> None:
        if IN_NOTEBOOK:
            options["display"] = False
        super().__init__(**options)
        self._place: Any = None
        if IN_NOTEBOOK and not self.disable:
            from IPython.display import display

            self._place = display(self.container, display_id=True)  # type: ignore[no-untyped-call]
            self.displayed = True
        background_compilation.shown.add(self)

    def update(self, n: float | None = 1) -> bool | None:
        """Count, and renew the note."""
        self.set_postfix_str(background_compilation.note(), refresh=False)
        moved: bool | None = super().update(n)
        return moved

    def close(self) -> None:
        """Take the bar away, also where not everything was done; else a file would keep it."""
        place = None if self.disable else self._place
        super().close()
        if place is not None:
            self.container.close()
            place.update({}, raw=True)


def progress_bar(shown: bool, **options: Any) -> Any:
    """Return tqdm's bar for this place, a notebook or a terminal, which goes when it is done.

    It has a thread look after bars that stand still. Without threads, as in a browser, it would
    say so in red each time; a bar is as good without.
    """
    if shown and not threads_start():
        tqdm.monitor_interval = 0
    return _Bar(disable=not shown, leave=False, **options)


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
