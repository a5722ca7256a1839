"""A variable of a netCDF file or Zarr group that xarray reads, as a source of voxels."""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import VolumeReadError
from brainxr.files.fingerprint import fingerprint_of
from brainxr.files.rows import Rows, as_index
from brainxr.files.unpacked import refuse_changed
from brainxr.lazy.lazyarray import Choice, PlacedArray
from brainxr.stores.chunks import spans
from brainxr.stores.zarrstore import Location

# The libraries of netCDF and HDF5 end the process where two threads are in them. xarray locks them
# while voxels are read, and not while a file is opened or closed, which is done for each read here.
_ONE_AT_A_TIME = threading.RLock()

# Bytes that are read in one go, and a second, roughly: HDF5 unpacks in one thread.
BLOCK_BYTES, READ_BYTES = 16 << 20, 3e8


@dataclass(frozen=True)
class DatasetSource:
    """The voxels of one variable, decoded as xarray decodes them.

    The file is opened for each read (some milliseconds), and none stays open.

    Attributes
    ----------
    location : Location
    variable : str
    axes : tuple of str
    shape, chunks : tuple of int
    dtype : numpy.dtype
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    identity : str
    """

    location: Location
    variable: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    opened_at: int = field(default_factory=time.time_ns)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def grain(self) -> tuple[int, ...]:
        return self.chunks

    @property
    def speed(self) -> float:
        return READ_BYTES

    @property
    def piece(self) -> str:
        return "chunk"

    @property
    def place(self) -> str:
        return self.location.path

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        if not os.path.isfile(self.place):
            return self.identity
        return fingerprint_of([os.path.basename(self.place)], [self.place])

    def __str__(self) -> str:
        return f"{self.variable!r} in {self.place!r}"

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read a part, decoded."""
        if not out.size:
            return
        if os.path.isfile(self.place):
            refuse_changed(self.place, os.stat(self.place), self.opened_at)
        with self._named(), opened(self.location) as dataset:
            part = {dim: as_index(rows) for dim, rows in zip(self.axes, needed, strict=True)}
            out[...] = dataset[self.variable].variable.isel(part).values

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels: the box around them."""
        needed = [range(int(p.min()), int(p.max()) + 1) for p in places]
        box = np.empty([len(rows) for rows in needed], self.dtype)
        self.read(needed, box)
        return np.asarray(box[tuple(p - r.start for p, r in zip(places, needed, strict=True))])

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read boxes of whole chunks along the first axis that has more than one."""
        sizes = self._box(BLOCK_BYTES)
        cuts = [spans(rows, size) for rows, size in zip(needed, sizes, strict=True)]
        for cut in product(*cuts):
            where = tuple(span.outside for span in cut)
            part = [rows[w] for rows, w in zip(needed, where, strict=True)]
            block = np.empty([len(p) for p in part], self.dtype)
            self.read(part, block)
            yield where, block

    def _box(self, budget: int) -> list[int]:
        """Shape of a box of whole chunks of so many bytes, longest along the last axes."""
        sizes = list(self.chunks)
        for axis in reversed(range(len(sizes))):
            room = budget // max(1, math.prod(sizes) * self.dtype.itemsize)
            sizes[axis] *= max(1, min(-(-self.shape[axis] // sizes[axis]), room))
        return sizes

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        """Bytes of the chunks, decoded."""
        return len(self.pieces(needed)) * math.prod(self.chunks) * self.dtype.itemsize

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        """Numbers of the chunks, counted in C order."""
        numbers = np.zeros(1, np.intp)
        for rows, size, length in zip(needed, self.chunks, self.shape, strict=True):
            along = np.unique(np.asarray(rows, np.intp) // size)
            numbers = np.add.outer(numbers * -(-length // size), along).ravel()
        return numbers

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        return dict(enumerate(self._box(budget)))

    def levels(self) -> Sequence[PlacedArray]:
        return ()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # whatever HDF5 or a codec makes of damaged data
            raise VolumeReadError(
                f"{self} can't be read ({type(error).__name__}: {error}). Restore it from its "
                "source."
            ) from error


@contextmanager
def opened(location: Location) -> Iterator[xr.Dataset]:
    """The dataset, lazy, for as long as the block lasts."""
    options: dict[str, Any] = {} if location.is_local else {"storage_options": location.options}
    is_zarr = not os.path.isfile(location.path)
    if is_zarr:
        options |= {"engine": "zarr", "consolidated": False}
    with (
        nullcontext() if is_zarr else _ONE_AT_A_TIME,
        xr.open_dataset(
            location.url or location.path, chunks=None, cache=False, **options
        ) as dataset,
    ):
        yield dataset
