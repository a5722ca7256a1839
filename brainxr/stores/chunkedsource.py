"""Voxels that are stored in chunks, each of which is read as a whole: what is so for all."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.files.rows import Rows
from brainxr.lazy.lazyarray import Choice, ascending
from brainxr.stores.chunks import spans
from brainxr.stores.zarrstore import Location

# Bytes that `blocks` reads at a time: many chunks, so that all processors have work.
BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class ChunkedSource:
    """Chunks at a place, and what reading them costs; a kind of them says how they are read.

    Attributes
    ----------
    location : Location
    axes : tuple of str
    shape, chunks : tuple of int
    dtype : numpy.dtype
        In the machine's byte order.
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    identity : str
        Different for each opening.
    """

    location: Location
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    opened_at: int = field(default_factory=time.time_ns, kw_only=True)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex, kw_only=True)

    @property
    def grain(self) -> tuple[int, ...]:
        return self.chunks

    @property
    def piece(self) -> str:
        return "chunk"

    @property
    def place(self) -> str:
        return self.location.path

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a part."""
        raise NotImplementedError

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read boxes of whole chunks."""
        sizes = self._box(needed, BLOCK_BYTES)
        cuts = [spans(rows, size) for rows, size in zip(needed, sizes, strict=True)]
        for cut in product(*cuts):
            where = tuple(span.outside for span in cut)
            part = [rows[w] for rows, w in zip(needed, where, strict=True)]
            block = np.empty([len(p) for p in part], self.dtype)
            self.read(part, block)
            yield where, block

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        """Bytes of the chunks, decoded."""
        counts = [
            len(np.unique(np.asarray(r) // c)) for r, c in zip(needed, self.chunks, strict=True)
        ]
        return math.prod(counts) * math.prod(self.chunks) * self.dtype.itemsize

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        """Numbers of the chunks, counted in C order."""
        counts = [-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True)]
        along = [
            np.unique(np.asarray(rows) // size)
            for rows, size in zip(needed, self.chunks, strict=True)
        ]
        grid = np.ix_(*along)
        return np.ravel_multi_index(np.broadcast_arrays(*grid), counts).ravel()

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        """Boxes of whole chunks, cut where the chunks are, so that none is read twice."""
        needed = [ascending(choice)[0] for choice in choices]
        sizes = self._box(needed, budget)
        return {
            axis: _cuts(choice, rows, size)
            for axis, (choice, rows, size) in enumerate(zip(choices, needed, sizes, strict=True))
        }

    def _box(self, needed: Sequence[Rows], budget: int) -> list[int]:
        """Shape of a box of whole chunks of so many bytes, longest along the last axes."""
        sizes = list(self.chunks)
        voxels = budget // max(1, self.dtype.itemsize)
        counts = [len(np.unique(np.asarray(r) // c)) for r, c in zip(needed, sizes, strict=True)]
        for axis in reversed(range(len(sizes))):
            room = voxels // max(1, math.prod(sizes))
            sizes[axis] *= max(1, min(counts[axis], room))
        return sizes


def _cuts(choice: Choice, rows: Rows, size: int) -> Any:
    """Lengths of the pieces of a choice that lie in boxes of this size; its size elsewhere."""
    if isinstance(choice, int):
        return -1
    lengths = [span.outside.stop - span.outside.start for span in spans(rows, size)]
    if isinstance(choice, range) and len(lengths) > 0:
        return tuple(lengths if choice.step > 0 else reversed(lengths))
    return max(1, min(size, len(choice)))
