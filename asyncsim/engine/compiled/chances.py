"""Uniform numbers by place in an endless table, as `asyncsim.model.draws.counted_uniform`."""

from __future__ import annotations

from typing import Any

from asyncsim.engine.compiled.jitting import kernel, unsigned, wide
from asyncsim.engine.compiled.world import World

MASK = wide((1 << 64) - 1)
BY_ROW, BY_PLACE = wide(0x9E3779B97F4A7C15), wide(0xD1B54A32D192ED03)
FIRST, SECOND = wide(0xBF58476D1CE4E5B9), wide(0x94D049BB133111EB)
S30, S27, S31, S11 = wide(30), wide(27), wide(31), wide(11)


@kernel
def mixed(z: Any) -> Any:
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014)."""
    z = ((z ^ (z >> S30)) * FIRST) & MASK
    z = ((z ^ (z >> S27)) * SECOND) & MASK
    return z ^ (z >> S31)


@kernel
def chance(m: World, purpose: int, call: int, row: int, k: int) -> float:
    """Return the k-th uniform number in [0, 1) of a wait, for one purpose."""
    key = unsigned(m.chance_key[purpose * m.calls + call]) & MASK
    place = mixed((key + unsigned(row + 1) * BY_ROW) & MASK)
    return float((mixed((place + unsigned(k + 1) * BY_PLACE) & MASK) >> S11) * 2.0**-53)
