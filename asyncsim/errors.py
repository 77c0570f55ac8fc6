"""Everything asyncsim raises on purpose, and the warnings it gives.

::

    AsyncsimError
    ├── ScenarioError           something described is wrong; names the argument, value and remedy
    ├── SerialNumberError       a finish that was refused
    │   ├── UnknownSerialNumber     no wait ever had this number
    │   ├── AlreadyFinished         finished before
    │   ├── NotArmedYet             the wait is not recorded yet; try again later
    │   └── WaitExpired             the wait timed out or was cancelled
    ├── EngineError             a run violated an invariant, or cannot play what was asked
    └── StoreError              the file of a live session cannot be read or written, or is damaged

    CensoredWarning             waits were still open when the run stopped
    LogWarning                  rows of a log could not be used
    PrecisionWarning            the wanted precision was not reached
    SteadyStateWarning          a steady state that is in doubt
"""

from __future__ import annotations

import linecache
import sys
import sysconfig
import traceback
import warnings
from pathlib import Path

OURS = ("asyncsim", "contextlib", "concurrent")  # packages whose lines are not the user's code
HERE = str(Path(__file__).parent)
MOST_LINES = 5  # of the user's code that a notebook shows
INSTALLED = tuple({HERE, *map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))})


class AsyncsimError(Exception):
    """Base of every error asyncsim raises on purpose.

    >>> try:
    ...     sim.Polling("-5min")
    ... except sim.AsyncsimError as error:
    ...     print(error)
    Polling.interval must be positive, got '-5min'
    """


class InputError(AsyncsimError):
    """Base of the errors of an input, of which a notebook shows the user's own line only."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: the last line of code outside of all packages, the message."""
        own: list[traceback.FrameSummary] = []
        error: BaseException | None = self
        while isinstance(error, type(self)):  # SimPy raises a copy, whose cause has the other lines
            frames = traceback.extract_tb(error.__traceback__)
            own += [one for one in frames if is_own_code(one.filename)]
            error = error.__cause__
        message = [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", ())]
        return [*(_code(own[-1]) if own else ()), *"\n".join(message).splitlines()]


class ScenarioError(InputError, ValueError):
    """A description is wrong.

    >>> sim.WorkflowServer(workers=0)
    Traceback (most recent call last):
        ...
    asyncsim.errors.ScenarioError: WorkflowServer.workers must be ...
    """


class ArgumentError(ScenarioError, TypeError):
    """A class was given an argument that it does not have, or lacks one.

    >>> sim.Polling(every="5min")
    Traceback (most recent call last):
        ...
    asyncsim.errors.ArgumentError: Polling has no argument 'every' (it has interval, ...)
    """


class SerialNumberError(InputError, LookupError):
    """A finish by serial number was refused.

    >>> [answer.text for answer in sim.Answer if answer.error]
    ['early, rejected', 'duplicate, rejected', 'late, rejected', 'unknown, rejected']
    """


class UnknownSerialNumber(SerialNumberError):
    """No wait ever had this serial number.

    >>> sim.Waits().error_for(sim.Answer.UNKNOWN, "5_31")
    UnknownSerialNumber("serial number '5_31' is not known")
    """


class AlreadyFinished(SerialNumberError):
    """The wait was finished before; the step resumed once and will not resume again.

    >>> sim.Waits().error_for(sim.Answer.DUPLICATE, "5_31")
    AlreadyFinished("serial number '5_31' was finished before; it will not resume twice")
    """


class NotArmedYet(SerialNumberError):
    """The wait is not armed yet, so it cannot be finished.

    >>> sim.Waits().error_for(sim.Answer.EARLY, "5_31")
    NotArmedYet("serial number '5_31' is not waiting yet; try again in a moment")
    """


class WaitExpired(SerialNumberError):
    """The wait timed out or was cancelled before this finish came.

    >>> sim.Waits().error_for(sim.Answer.LATE, "5_31")
    WaitExpired("serial number '5_31' is not waiting any more: it timed out or was cancelled")
    """


class EngineError(AsyncsimError, RuntimeError):
    """A run violated an invariant, or cannot play what was asked.

    >>> waits, wait = sim.Waits(), sim.Wait("5_31", row=4, step=0, number=31, called=0.0)
    >>> for _ in range(2):
    ...     waits.register(wait)
    Traceback (most recent call last):
        ...
    asyncsim.errors.EngineError: serial number '5_31' was given out twice
    """


class StoreError(AsyncsimError, RuntimeError):
    """The file of a live session cannot be read or written, is damaged, or is in use.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     notes = pathlib.Path(folder, "notes.txt")
    ...     size = notes.write_text("no database " * 99)
    ...     session = sim.live(sim.Scenario.load("example:nightly_ledger"), store=notes)
    Traceback (most recent call last):
        ...
    asyncsim.errors.StoreError: store ... cannot be used: file is not a database
    """


class CensoredWarning(UserWarning):
    """Waits were still open when the run stopped: the metrics leave out their latencies.

    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> with warnings.catch_warnings(action="error"):
    ...     sim.simulate(scenario, sim.Callback(loss=0.01), seed=1)
    Traceback (most recent call last):
        ...
    asyncsim.errors.CensoredWarning: 21 of 2020 waits were still open ...
    """


class LogWarning(UserWarning):
    """Rows of a log could not be used; the text names the first of them by line.

    >>> with warnings.catch_warnings(action="error"):
    ...     log = sim.RequestLog.read("example:request_log")
    Traceback (most recent call last):
        ...
    asyncsim.errors.LogWarning: example:request_log: 12 of 3920 rows are not used: line 230: ...
    """


class PrecisionWarning(UserWarning):
    """The most replications allowed were played, and the intervals are still too wide.

    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> with warnings.catch_warnings(action="error"):
    ...     sim.compare(
    ...         scenario, [sim.Callback()], precision=1e-9, most_replications=5, progress=False
    ...     )
    Traceback (most recent call last):
        ...
    asyncsim.errors.PrecisionWarning: the precision of ± 1e-07 % of the mean latency was not ...
    """


class SteadyStateWarning(UserWarning):
    """There are reasons to doubt that a metric is that of the steady state.

    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> with warnings.catch_warnings(action="error"):
    ...     sim.steady_state(scenario, sim.Callback(), length="12 days", progress=False)
    Traceback (most recent call last):
        ...
    asyncsim.errors.SteadyStateWarning: latency under callback: 11 observations are too few: ...
    """


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Give a warning that names the line of the caller's own code which led here."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


# --- what a notebook shows of an error of input ---------------------------------------------------


def is_own_code(filename: str) -> bool:
    """Return whether a file belongs to no package: a cell, a script or a module of the user."""
    packaged = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return not (filename.startswith(("<attrs", "<frozen", *INSTALLED)) or packaged)


def _code(frame: traceback.FrameSummary) -> list[str]:
    """Return the place and the lines of a call, with an arrow at the line that it begins with."""
    first = frame.lineno or 1
    last = min(frame.end_lineno or first, first + MOST_LINES - 1)
    lines = [(k, linecache.getline(frame.filename, k).rstrip()) for k in range(first, last + 1)]
    arrows = [f"{'---->' if k == first else '':5} {k:3} {line}" for k, line in lines]
    return [f"{_place(frame.filename)}, line {first}", *arrows, ""]


def _place(filename: str) -> str:
    """Return the name of a file, or of a cell as IPython calls it ("Cell In[2]")."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(filename)
    return " ".join(named) if named else f"File {filename}"
