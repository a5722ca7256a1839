"""What a worker of a cluster is made to do: small, since it has to be imported there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def hold_the_first_reader(marker: Path) -> None:
    """Have the first process that opens a slice write its number here, and wait to be killed.

    The others, and the one that replaces it, read on: so that a kill meets it while it reads,
    however fast or slow the machine is.
    """
    from brainxr.stacks.slices import SliceFiles

    original = SliceFiles.open

    def opened(self: Any, place: int) -> Any:
        if _is_first(marker):
            time.sleep(300)
        return original(self, place)

    SliceFiles.open = opened  # type: ignore[method-assign]


def _is_first(marker: Path) -> bool:
    try:
        with marker.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
