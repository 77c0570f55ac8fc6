"""Memory that runs use one after the other.

To get fresh memory from the operating system, page by page, takes a short run longer than all of
its events. So a run lays its arrays out in a block, and when the last array of a run is gone,
with its record, the block is there for another run.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 26
"""Bytes; larger runs take longer than their memory does."""
MOST_SPARE = 4
LINE = 64
"""Bytes that the processor fetches at once."""
_spare: list[NDArray[np.uint8]] = []


class Memory:
    """The memory of one run."""

    def __init__(self) -> None:
        try:
            block = _spare.pop()
        except IndexError:
            block = np.empty(LINE, np.uint8)
        # Arrays laid out in it refer to this view, not to the block: NumPy looks through views of
        # arrays, but not through one of a memoryview
        self._whole = np.frombuffer(block.data, np.uint8)
        self._used = -block.ctypes.data % LINE
        weakref.finalize(self._whole, _keep, block).atexit = False

    def floats(self, size: int, value: float | None = None) -> Any:
        """Return an array of floats, all of one value, or not set."""
        return self._laid_out(size, np.float64, value)

    def wholes(self, size: int, value: int | None = None) -> Any:
        """Return an array of whole numbers, all of one value, or not set."""
        return self._laid_out(size, np.int64, value)

    def _laid_out(self, size: int, kind: type, value: float | None) -> Any:
        first = self._used
        self._used += (8 * size + LINE - 1) // LINE * LINE
        if self._used > len(self._whole):
            array: Any = np.empty(size, kind)
        else:
            array = self._whole[first : first + 8 * size].view(kind)
        if value is not None:
            array.fill(value)
        return array

    def close(self) -> None:
        """Have a block made for the next run that is large enough, if this one was too small."""
        if len(self._whole) < self._used <= LARGEST:
            _keep(np.empty(self._used + LINE, np.uint8))


def _keep(block: NDArray[np.uint8]) -> None:
    """Keep a block for another run; the largest are kept, and used first."""
    _spare.append(block)
    _spare.sort(key=len)
    del _spare[:-MOST_SPARE]
