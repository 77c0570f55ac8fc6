"""What every part of a fit needs to know beside its data."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen

LEVEL = 0.01
"""A test speaks below this p-value: once in a hundred logs by chance, which does little harm.

A higher one would tell of more that is not there; a lower one needs longer logs to tell anything.
"""
SHOWN = 5
"""This many dates, paths or places of a kind are named; all are counted."""


@frozen(eq=False)
class Settings:
    """How a log is fitted.

    Attributes
    ----------
    rng
        For permutation tests and bootstraps.
    confidence
        Of every interval.
    resolution
        Of the log's clock in seconds; 0 if it is fine.
    until
        The log's last instant, in seconds: what is open then has been cut off.
    """

    rng: np.random.Generator
    confidence: float = 0.95
    resolution: float = 0.0
    until: float = math.inf
