"""A variable of a netCDF file or Zarr group that xarray reads, as a source of voxels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import VolumeReadError
from brainxr.files.fingerprint import fingerprint_of
from brainxr.files.forks import lock_that_survives_a_fork
from brainxr.files.rows import Rows, as_index
from brainxr.files.unpacked import refuse_changed
from brainxr.lazy.lazyarray import PlacedArray
from brainxr.stores.chunkedsource import ChunkedSource
from brainxr.stores.zarrstore import Location

# The libraries of netCDF and HDF5 end the process where two threads are in them. xarray locks them
# while voxels are read, and not while a file is opened or closed, which is done for each read here.
_ONE_AT_A_TIME = lock_that_survives_a_fork()

# Bytes that are read in a second, roughly: HDF5 unpacks in one thread.
READ_BYTES = 3e8


@dataclass(frozen=True)
class DatasetSource(ChunkedSource):
    """The voxels of one variable, decoded as xarray decodes them.

    The file is opened for each read (some milliseconds), and none stays open.

    Attributes
    ----------
    location, axes, shape, chunks, dtype, opened_at, identity
        As in `ChunkedSource`.
    variable : str
    """

    variable: str

    @property
    def speed(self) -> float:
        return READ_BYTES

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
