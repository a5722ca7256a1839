"""A volume as it is found on disk: a lazy array, and where its voxels are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from brainxr.lazy.lazyarray import StackArray

NAME = "intensity"


@dataclass(frozen=True)
class Volume:
    """A lazy array, its coordinates and attributes, ready to become a DataArray.

    Attributes
    ----------
    array : StackArray, axes (z, y, x)
        Of a picture, (y, x).
    coordinates : xarray.Coordinates
        Of the voxel centres in µm.
    attrs : dict
    name : str or None
    """

    array: StackArray
    coordinates: xr.Coordinates
    attrs: dict[str, Any]
    name: str | None

    def dask(self, chunks: Any = "auto") -> xr.DataArray:
        """The volume as a dask-backed DataArray."""
        # dask.array costs as much as the rest of the imports: `brainxr info` does without
        from brainxr.lazy.daskarray import StackDaskArray, refuse_query_planning

        refuse_query_planning()
        data = StackDaskArray(self.array, _stored_chunks(chunks, self.array))
        return self.around(data)

    def around(self, values: Any) -> xr.DataArray:
        """The volume with its values in this array, which stands for `array`."""
        # by the fast path, which copies and compares no coordinates: they were made for it
        return xr.DataArray(
            xr.Variable(self.array.dims, values, self.attrs),
            dict(self.coordinates.variables), name=self.name,
            indexes=dict(self.coordinates.xindexes), fastpath=True,
        )  # fmt: skip


def _stored_chunks(chunks: Any, array: StackArray) -> Any:
    """Chunks by dimension as chunks by axis of the source."""
    dims = array.dims
    if isinstance(chunks, Mapping):
        unknown = [dim for dim in chunks if dim not in dims]
        if unknown:
            named = " and ".join([", ".join(dims[:-1]), dims[-1]])
            raise ValueError(f"chunks has {unknown[0]!r}; the dimensions are {named}.")
        if not chunks:
            return "auto"
        return {array.order[dims.index(dim)]: _chunk(size) for dim, size in chunks.items()}
    if isinstance(chunks, tuple):
        return _stored_chunks(dict(itertools.zip_longest(dims, chunks)), array)
    return chunks


def _chunk(size: Any) -> Any:
    if isinstance(size, int) and (size == 0 or size < -1):
        raise ValueError(f"A chunk of {size} voxels can't be: give 1 or more, or -1 for all.")
    return -1 if size is None else size
