"""What a worker of a cluster is made to do: small, since it has to be imported there."""

from __future__ import annotations

import time
from typing import Any


def read_slowly(seconds: float) -> None:
    """Have this worker take its time for each file; the one that replaces it won't."""
    from brainxr.stacks.slices import SliceFiles

    original = SliceFiles.open

    def opened(self: Any, place: int) -> Any:
        time.sleep(seconds)
        return original(self, place)

    SliceFiles.open = opened  # type: ignore[method-assign]
