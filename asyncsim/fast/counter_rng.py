"""Uniform numbers by place in an endless table, as `counter_based_uniform`."""

from __future__ import annotations

from typing import Any

from asyncsim.fast.jit import kernel, unsigned
from asyncsim.fast.state import State

MASK = (1 << 64) - 1
BY_ROW, BY_PLACE = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@kernel
def mixed(z: Any) -> Any:
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014)."""
    z = ((z ^ (z >> unsigned(30))) * FIRST) & MASK
    z = ((z ^ (z >> unsigned(27))) * SECOND) & MASK
    return z ^ (z >> unsigned(31))


@kernel
def chance(s: State, purpose: int, call: int, row: int, k: int) -> float:
    """Return the k-th uniform number in [0, 1) of a wait, for one purpose."""
    key = unsigned(s.chance_key[purpose * s.calls + call]) & MASK
    place = mixed((key + unsigned(row + 1) * BY_ROW) & MASK)
    return float((mixed((place + unsigned(k + 1) * BY_PLACE) & MASK) >> unsigned(11)) * 2.0**-53)
