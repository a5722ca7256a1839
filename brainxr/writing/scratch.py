"""Values that are computed once, and lie on the disk until they are written.

dask's chunks ── a few at a time ──▶ a file beside the target, chunk after chunk ──▶ planes
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import compute

from brainxr.files.pool import workers
from brainxr.progress import with_progress
from brainxr.writing.wholefile import beside, kept, write_all

# Where a chunk is in the volume.
Place: TypeAlias = tuple[slice, ...]

# Memory of a chunk that is computed: what it is made of, and the result.
CHUNKS_OF_A_TASK = 2


@dataclass(frozen=True)
class Computed:
    """Chunks in a file, one behind the other, of which planes are read.

    Attributes
    ----------
    file : binary file
    shape : tuple of int
    dtype : numpy.dtype
    places : list of Place
    """

    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    places: list[Place]

    def planes(self, slab: slice) -> npt.NDArray[Any]:
        """Planes along the first axis: of each chunk, a stretch of the file."""
        found = np.empty((slab.stop - slab.start, *self.shape[1:]), self.dtype)
        at = 0
        for place in self.places:
            depth, *across = _sizes(place)
            first = max(slab.start, place[0].start)
            stop = min(slab.stop, place[0].stop)
            a_plane = math.prod(across)
            if first < stop:
                self.file.seek((at + (first - place[0].start) * a_plane) * self.dtype.itemsize)
                part = np.fromfile(self.file, self.dtype, (stop - first) * a_plane)
                where = slice(first - slab.start, stop - slab.start), *place[1:]
                found[where] = part.reshape(stop - first, *across)
            at += depth * a_plane
        return found


@contextmanager
def computed_once(
    volume: xr.DataArray, target: Path, memory: int, progress: bool | None,
    told: Callable[[], object],
) -> Iterator[Computed]:  # fmt: skip
    """The values of a dask-backed volume, each chunk of which was computed once.

    In memory for as many chunks as fit, one at least; the disk has the values until the
    block is left.

    Parameters
    ----------
    volume : xarray.DataArray
    target : pathlib.Path
        Beside which they lie.
    memory : int
        Bytes.
    progress : bool, optional
        Whether to show a bar.
    told : callable
        Is called after each chunk; what it raises ends it.

    Raises
    ------
    OSError
        When the disk has no room for them.
    """
    scratch = beside(target)
    dtype = volume.dtype.newbyteorder("<")
    places = list(_places(volume.chunks or ()))
    try:
        with kept(scratch), open(scratch, "w+b", buffering=0) as file:
            label = f"{target.name}, computed"
            for block in _blocks(volume, places, memory, label, progress):
                _append(file, np.ascontiguousarray(block, dtype), target)
                told()
            yield Computed(file, volume.shape, dtype, places)
    finally:
        scratch.unlink(missing_ok=True)


def _append(file: IO[bytes], block: npt.NDArray[Any], target: Path) -> None:
    try:
        write_all(file, block)
    except OSError as error:
        raise OSError(
            f"{str(target)!r} can't be written: {error.strerror}, where what is computed lies "
            "until then. What was there before is as it was; make room beside it, or name another "
            "place."
        ) from error


def _blocks(
    volume: xr.DataArray, places: list[Place], memory: int, label: str, progress: bool | None
) -> Iterator[npt.NDArray[Any]]:
    """Each chunk, as many computed together as fit in memory."""
    biggest = volume.dtype.itemsize * max(math.prod(_sizes(place)) for place in places)
    at_once = max(1, min(workers(), memory // (CHUNKS_OF_A_TASK * biggest)))
    starts = range(0, len(places), at_once)
    for first in with_progress(starts, label, "batch", progress):
        yield from compute(*[volume.data[place] for place in places[first : first + at_once]])


def _places(chunks: tuple[tuple[int, ...], ...]) -> Iterator[Place]:
    along = []
    for sizes in chunks:
        ends = list(itertools.accumulate(sizes))
        along.append([slice(end - size, end) for size, end in zip(sizes, ends, strict=True)])
    return itertools.product(*along)


def _sizes(place: Place) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in place)
