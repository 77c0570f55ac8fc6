"""Everything asyncsim raises on purpose, and the warnings it gives.

::

    AsyncsimError
    ├── ScenarioError           something described is wrong; names the argument, value and remedy
    ├── SerialNumberError       a finish that was refused
    │   ├── UnknownSerialNumber     no wait ever had this number
    │   ├── AlreadyFinished         somebody was first
    │   ├── NotArmedYet             the wait is not recorded yet; try again later
    │   └── WaitExpired             the wait timed out or was cancelled
    └── EngineError             a run broke one of its own laws, or was asked for the impossible

    CensoredWarning             waits were still open when the run stopped
    LogWarning                  rows of a log could not be used
    PrecisionWarning            the wanted precision was not reached
    SteadyStateWarning          a steady state that is in doubt
"""

from __future__ import annotations

__all__ = [
    "AlreadyFinished",
    "AsyncsimError",
    "CensoredWarning",
    "EngineError",
    "LogWarning",
    "NotArmedYet",
    "PrecisionWarning",
    "ScenarioError",
    "SerialNumberError",
    "SteadyStateWarning",
    "UnknownSerialNumber",
    "WaitExpired",
]


class AsyncsimError(Exception):
    """Base of every error asyncsim raises on purpose."""


class ScenarioError(AsyncsimError, ValueError):
    """Something a person described is wrong."""


class SerialNumberError(AsyncsimError, LookupError):
    """A finish by serial number was refused."""


class UnknownSerialNumber(SerialNumberError):
    """No wait ever had this serial number."""


class AlreadyFinished(SerialNumberError):
    """The wait was finished before; the step resumed once and will not resume again."""


class NotArmedYet(SerialNumberError):
    """The wait is not recorded yet, so nobody can finish it."""


class WaitExpired(SerialNumberError):
    """The wait timed out or was cancelled before this finish came."""


class EngineError(AsyncsimError, RuntimeError):
    """A run broke one of its own laws, or was asked for something it cannot do."""


class CensoredWarning(UserWarning):
    """Waits were still open when the run stopped: their latencies are not in the figures."""


class LogWarning(UserWarning):
    """Rows of a log could not be used; the text names the first of them by line."""


class PrecisionWarning(UserWarning):
    """As many replications were played as were allowed, and the intervals are still too wide."""


class SteadyStateWarning(UserWarning):
    """A figure is given as that of the steady state, and there are reasons to doubt it."""
