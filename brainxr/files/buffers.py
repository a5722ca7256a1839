"""Memory that each thread uses again: new memory costs as much as reading into it."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Of memory, and of disks.
PAGE_BYTES = 4096


def copy_rows(values: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Copy an array into one of its shape.

    Rows without gaps count as one element each: numpy moves rows of a few elements half
    as fast.
    """
    if values.dtype == out.dtype and values.size and _has_rows(values) and _has_rows(out):
        row = np.dtype((np.void, values.shape[-1] * values.itemsize))
        values, out = values.view(row), out.view(row)
    out[...] = values


def _has_rows(values: npt.NDArray[Any]) -> bool:
    return values.ndim > 1 and values.strides[-1] == values.itemsize


def page_aligned(size: int) -> npt.NDArray[np.uint8]:
    """New memory of so many bytes, of no certain content; it begins with a page."""
    room = np.empty(size + PAGE_BYTES, np.uint8)
    return room[-room.ctypes.data % PAGE_BYTES :][:size]


class Buffers(threading.local):
    """Bytes by name, of each thread its own; what was in them is lost when they are asked for."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[np.uint8]] = {}

    def get(self, name: str, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes, of no certain content; they begin with a page."""
        held = self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = page_aligned(size)
        return held[:size]

    def array(self, name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """The same as an array."""
        size = math.prod(shape) * dtype.itemsize
        return self.get(name, size).view(dtype).reshape(tuple(shape))

    def __reduce__(self) -> Any:  # another process has its own
        return Buffers, ()
