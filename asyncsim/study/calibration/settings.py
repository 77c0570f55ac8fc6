"""What every part of a fit needs to know beside its data."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen


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
