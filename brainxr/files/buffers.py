"""Memory that each thread uses again: new memory costs as much as reading into it."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt


class Buffers(threading.local):
    """Bytes by name, of each thread its own; what was in them is lost when they are asked for."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[np.uint8]] = {}

    def get(self, name: str, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes, of no certain content."""
        held = self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = np.empty(size, np.uint8)
        return held[:size]
