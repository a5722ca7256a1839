"""A slab of a file is read and written at its place: a task by itself, on a worker of a cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.cluster import told_by_worker
from brainxr.lazy.lazyarray import StackArray
from brainxr.writing.sources import part_at
from brainxr.writing.wholefile import write_all


@dataclass(frozen=True)
class SlabTask:
    """Writes slabs into a file that is there already; the same one in every process.

    Written twice, because a worker was lost, a slab is what it was.

    Attributes
    ----------
    path : str
    offset, plane : int
        Bytes before the first plane, and of each plane.
    dtype : numpy.dtype
        As the voxels are written.
    source : StackArray or None
        What is read; None where the values come with the call.
    """

    path: str
    offset: int
    plane: int
    dtype: np.dtype[Any]
    source: StackArray | None

    def __call__(self, slab: slice, values: npt.NDArray[Any] | None = None) -> None:
        """Read a slab, unless its values are given, and write it; the disk has it then."""
        if values is None:
            values = part_at(self.source, (slab,)).read()
        with told_by_worker(self.path):
            self._write(slab, np.ascontiguousarray(values, self.dtype))

    def _write(self, slab: slice, values: npt.NDArray[Any]) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(self.offset + slab.start * self.plane)
            write_all(file, values)
            os.fsync(file.fileno())
