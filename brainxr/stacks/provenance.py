"""Which file each slice came from: an attribute that a person can read and `.brain.files` asks.

A coordinate of names along the stacked axis gets in the way of whatever computes on
coordinates (``coarsen``, ``interp``, ``groupby``, a Dataset of two stacks). An attribute
survives selections and arithmetic, and the coordinate says which of its names are meant.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import OFF_GRID_IN_VOXELS
from brainxr.stacks.slices import SliceFiles

FILES = "files"


class FileTable(str):
    """Names of slices and their positions, shown as a short text.

    It is equal to its text and written to files as such: what reads them back knows the
    text only.

    Attributes
    ----------
    dim : str
        Axis along which the slices are stacked.
    files : SliceFiles
    names : tuple of str
        ``"file"``, or ``"file#page"``.
    positions : numpy.ndarray, shape (n,)
        In µm, increasing.
    grid : numpy.ndarray of int, shape (n,)
        Place of each on the grid of the stack, missing slices counted.
    """

    dim: str
    files: SliceFiles
    names: tuple[str, ...]
    positions: npt.NDArray[np.float64]
    grid: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, dim: str, files: SliceFiles, pages: tuple[str, ...], positions: npt.NDArray[Any],
        grid: npt.NDArray[Any],
    ) -> Self:  # fmt: skip
        """Make the table of a stack; costs no copy of the names.

        Parameters
        ----------
        dim : str
        files : SliceFiles
        pages : tuple of str
            Names of the slices, where these are pages; empty where each is a file.
        positions, grid
            As the attributes.
        """
        names = pages or files.names
        self = cls(_summary(names))
        self.dim, self.files, self.names = dim, files, names
        self.positions, self.grid = np.asarray(positions, float), np.asarray(grid)
        return self

    def at_grid(self, places: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
        """Names at places of the grid; empty where there is no slice."""
        return self._named(np.searchsorted(self.grid, places), lambda i: self.grid[i] == places)

    def at(self, micrometers: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
        """Names at positions in µm; empty where there is no slice, or between two."""
        steps = np.diff(self.positions)
        near = OFF_GRID_IN_VOXELS * (float(steps.min()) if steps.size else 1.0)
        places = np.searchsorted(self.positions, micrometers - near)
        return self._named(places, lambda i: np.abs(self.positions[i] - micrometers) <= near)

    def _named(self, places: npt.NDArray[Any], is_there: Any) -> npt.NDArray[np.str_]:
        inside = np.minimum(places, len(self.names) - 1)
        return np.where(is_there(inside), np.array(self.names)[inside], "")

    def __deepcopy__(self, memo: Any) -> FileTable:
        return self  # xarray copies attributes a lot, and this never changes

    def __reduce__(self) -> Any:
        # the files are pickled once, with the source of the volume
        pages = () if self.names is self.files.names else self.names
        packed = [zlib.compress(_steps(a).tobytes(), 1) for a in (self.positions, self.grid)]
        return _unpack, (self.dim, self.files, pages, *packed)


def _steps(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Differences as bits, which are alike where the values rise evenly."""
    return np.diff(values.view(np.int64), prepend=np.int64(0))


def _unpack(
    dim: str, files: SliceFiles, pages: tuple[str, ...], positions: bytes, grid: bytes
) -> FileTable:
    bits = [np.cumsum(np.frombuffer(zlib.decompress(a), np.int64)) for a in (positions, grid)]
    return FileTable.of(dim, files, pages, bits[0].view(np.float64), bits[1])


def _summary(names: Sequence[str]) -> str:
    # names that are not UTF-8 have their bytes in surrogates, which no file format takes
    first, last = (names[i].encode("utf-8", "replace").decode() for i in (0, -1))
    return first if len(names) == 1 else f"{first} ... {last} ({len(names)} slices)"


def files_of(data: xr.DataArray, table: Any, grid: npt.NDArray[Any] | None) -> xr.DataArray:
    """Give the file of each slice of a volume.

    Parameters
    ----------
    data : xarray.DataArray
    table : FileTable
    grid : numpy.ndarray, optional
        Places on the grid of the stack, where the data still are a selection of it.

    Raises
    ------
    GeometryError
        When the data have no coordinate along the stacked axis.
    """
    dim = table.dim
    if grid is not None and dim in data.dims:
        coords = data[dim].reset_coords(drop=True).coords if dim in data.coords else None
        return xr.DataArray(table.at_grid(grid), coords, [dim], "file")
    if dim not in data.coords or data[dim].ndim > 1:
        raise GeometryError(
            f"The slices of this volume are stacked along {dim!r}, which the array has no "
            "coordinate of any more. Ask before it is dropped: vol.brain.files."
        )
    coordinate = data[dim].reset_coords(drop=True)
    values = np.asarray(coordinate.values, float)
    values = values * u.factor(coordinate.attrs.get("units", u.MICROMETER), to=u.MICROMETER)
    return xr.DataArray(table.at(values), coordinate.coords, coordinate.dims, "file")
