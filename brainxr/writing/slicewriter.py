"""One block of a volume is read once, and its slices are written: a task by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.pool import run_all
from brainxr.lazy.lazyarray import StackArray
from brainxr.stacks.tiff import encode_slice
from brainxr.writing.sliceplan import BLOCKS_OF_A_TASK, Blocks, Slices
from brainxr.writing.sources import fingerprint_at, part_at
from brainxr.writing.target import Note
from brainxr.writing.unfinished import Unfinished


@dataclass(frozen=True)
class SliceWriter:
    """Writes blocks of slices; the same one in every thread and process.

    Attributes
    ----------
    store : Unfinished
    blocking : Blocks
    slices : Slices
    source : StackArray or None
        What is read; None where the values come with the call.
    compression : str or None
    """

    store: Unfinished
    blocking: Blocks
    slices: Slices
    source: StackArray | None
    compression: str | None

    def __call__(
        self, box: tuple[int, ...], values: npt.NDArray[Any] | None = None
    ) -> tuple[int, ...]:
        """Read a block, unless its values are given, and write its slices."""
        fingerprint = self.fingerprint(box)
        planes = _one_by_one(
            part_at(self.source, self.blocking.place(box)).read() if values is None else values
        )
        start = self.blocking.place(box)[0].start
        del values
        run_all(partial(self._write, planes, start), range(len(planes)))
        keys = [self.slices.name(start + i) for i in range(len(planes))]
        self.store.finish(box, Note(np.empty(0), fingerprint), keys)
        return box

    def _write(self, planes: npt.NDArray[Any], start: int, i: int) -> None:
        place = self.slices.place(start + i)
        content = encode_slice(planes[i], place.description, place.spacing[1:], self.compression)
        self.store.write(self.slices.name(start + i), content)

    def fingerprint(self, box: tuple[int, ...]) -> str:
        """Of the files that a block is read from; empty where it isn't read from files."""
        return fingerprint_at(self.source, self.blocking.place(box))

    def that_fit(self, memory: int, shape: tuple[int, ...], itemsize: int) -> int:
        """How many blocks of a volume can be worked on in so many bytes."""
        block = itemsize * math.prod(map(min, self.blocking.box, shape))
        return int(memory / (BLOCKS_OF_A_TASK * block))


def _one_by_one(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values, each plane in a piece: one that lies across the others is slow to write."""
    if values.flags.c_contiguous or values.strides[0] == max(values.strides):
        return values
    planes = np.empty(values.shape, values.dtype)
    for row in range(values.shape[1]):  # a part that fits in the cache
        planes[:, row] = values[:, row]
    return planes
