"""Memory in which files are made piece by piece: each is filled, given away, and used again."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.buffers import PAGE_BYTES, page_aligned


class Piece:
    """Memory for a stretch of a file, from its start on filled.

    Attributes
    ----------
    size : int
        Bytes that are filled.
    """

    def __init__(self, memory: npt.NDArray[np.uint8], full: int, home: SimpleQueue[Any]) -> None:
        self._memory = memory
        self._full = full
        self._home = home
        self.size = 0

    @property
    def room(self) -> npt.NDArray[np.uint8]:
        """For what comes next."""
        return self._memory[self.size :]

    @property
    def is_full(self) -> bool:
        return self.size >= self._full

    @property
    def data(self) -> memoryview:
        """What it is filled with."""
        return self._memory[: self.size].data

    def fill(self, make: Callable[[npt.NDArray[np.uint8]], int]) -> int:
        """Have the room filled by what says how many bytes it took; freed when that fails."""
        try:
            size = make(self.room)
        except BaseException:
            self.free()
            raise
        self.size += size
        return size

    def add(self, data: npt.NDArray[np.uint8]) -> None:
        """Fill in more bytes, for which there has to be room."""
        self.room[: data.size] = data
        self.size += data.size

    def cut(self) -> npt.NDArray[np.uint8]:
        """Keep whole pages only, and give what was beyond them, with which the next one begins."""
        kept = self.size - self.size % PAGE_BYTES
        rest = self._memory[kept : self.size].copy()
        self.size = kept
        return rest

    def free(self) -> None:
        """Have its memory used again."""
        self.size = 0
        self._home.put(self)


class Pieces:
    """So many pieces at the most; who asks for one more waits until one is free.

    Safe in several threads at a time. Who waits must hold none: then each that is given away
    comes back. Another process has its own.

    Parameters
    ----------
    count : int
    full : int
        Bytes with which a piece is full.
    beyond : int
        Bytes that a last part may go beyond that.
    """

    def __init__(self, count: int, full: int, beyond: int) -> None:
        self._sizes = count, full, beyond
        self._free: SimpleQueue[Piece | None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)  # memory is taken when it is asked for

    def take(self) -> Piece:
        """An empty one."""
        piece = self._free.get()
        if piece is None:
            _, full, beyond = self._sizes
            piece = Piece(page_aligned(full + beyond), full, self._free)
        return piece

    def __reduce__(self) -> Any:
        return Pieces, self._sizes
