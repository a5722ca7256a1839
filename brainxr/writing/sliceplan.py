"""How a volume becomes a stack of slices: which planes, in what order, called what, lying where.

volume, axis ── SlicePlan.of ──▶ axes along the stack, down and across, all rising
                                 names by places, gaps included; blocks that fit in memory
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from brainxr.errors import GeometryError, StackError, TooBigError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.lazy.cost import show_bytes
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.unloaded import stack_of
from brainxr.stacks.calibration import SlicePlace
from brainxr.stacks.stack import PLANES
from brainxr.writing.blocking import BOXES_AT_ONCE
from brainxr.writing.sources import token_of

# Planes of a block, where reading a few costs no more than reading many.
BLOCK_BYTES = 64_000_000

# Memory of a task, in blocks: as it is read, plane by plane, and slices that are encoded.
BLOCKS_OF_A_TASK = 2.5

# Of a slice's file: its header, and what rounds up to a block of the disk.
BYTES_BESIDE_PIXELS = 4096


@dataclass(frozen=True)
class Slices:
    """The slices that are written: how they are called, and where each lies.

    Attributes
    ----------
    stem : str
        Of their names.
    numbers : numpy.ndarray of int, shape (n,)
        From 1 on, in steps of the spacing.
    positions : sequence of (float or None)
        Of each along the stack, in µm; None where that isn't known.
    first : SlicePlace
        Of the first one.
    """

    stem: str
    numbers: npt.NDArray[np.int64]
    positions: Sequence[float | None]
    first: SlicePlace

    def name(self, i: int) -> str:
        digits = max(4, len(str(int(self.numbers[-1]))))
        return f"{self.stem}_{self.numbers[i]:0{digits}d}.tif"

    def place(self, i: int) -> SlicePlace:
        return replace(self.first, origin=(self.positions[i], *self.first.origin[1:]))


@dataclass(frozen=True)
class Blocks:
    """Slices in blocks, each of which is read together.

    Attributes
    ----------
    shape : tuple of int
        Slices, rows and columns.
    box : tuple of int
        Of a block.
    """

    shape: tuple[int, ...]
    box: tuple[int, ...]

    @property
    def boxes(self) -> list[tuple[int, ...]]:
        return [(i, 0, 0) for i in range(-(-self.shape[0] // self.box[0]))]

    def place(self, box: Sequence[int]) -> tuple[slice, ...]:
        start = box[0] * self.box[0]
        stop = min(start + self.box[0], self.shape[0])
        return slice(start, stop), slice(0, self.shape[1]), slice(0, self.shape[2])


@dataclass(frozen=True)
class SlicePlan:
    """A volume and how it becomes slices; nothing is read for it.

    Attributes
    ----------
    data : xarray.DataArray
        Axes along the stack, down the rows, across the columns, all rising.
    source : StackArray or None
        What of a stack or store the data are; None for what is computed or in memory.
    slices : Slices
    blocking : Blocks
    memory : int
    """

    data: xr.DataArray
    source: StackArray | None
    slices: Slices
    blocking: Blocks
    memory: int

    @classmethod
    def of(cls, volume: xr.DataArray, along: str | None, name: str, memory: int) -> Self:
        """Plan a stack; `name` is that of its folder."""
        _refuse_values(volume)
        plane, axes = _plane_along(volume, along)
        lattices = {dim: _lattice(volume, dim) for dim in axes}
        for dim in axes[1:]:
            lattices[dim].check_complete(dim)  # type: ignore[union-attr]
        data = _arranged(volume, axes, lattices)
        source = stack_of(data) if axes[0] in volume.dims else None
        blocking = Blocks(data.shape, (_at_a_time(data, source, memory), *data.shape[1:]))
        if source is None and data.chunks is not None:
            data = _apart(data, axes[0], blocking.box[0])
        stem = name.lstrip(".")  # or its slices would be hidden
        stem = stem if plane in stem.lower() else f"{stem}_{plane}"
        return cls(data, source, _slices(volume, plane, lattices, stem), blocking, memory)

    def recipe(self, compression: str | None) -> dict[str, Any]:
        """All that makes the folder what it will be; another one is another folder."""
        slices = self.slices
        return {
            "source": token_of(self.data, self.source),
            "dtype": str(self.data.dtype),
            "plane": slices.first.plane,
            "compression": compression,
            "cut": self.blocking.box,
            "places": tokenize(slices.stem, slices.numbers, slices.positions, slices.first),
        }

    @property
    def at_once(self) -> int | None:
        """Blocks that are computed together: parts of all of dask's chunks wait for each."""
        computed = self.source is None and self.data.chunks is not None
        return BOXES_AT_ONCE if computed else None

    def bytes_without(self, finished: Collection[tuple[int, ...]]) -> int:
        """Bytes on the disk of all slices, uncompressed, but those of finished blocks."""
        plane = math.prod(self.data.shape[1:]) * self.data.dtype.itemsize
        missing = [self.blocking.place(b)[0] for b in self.blocking.boxes if b not in finished]
        slices = sum(part.stop - part.start for part in missing)
        return int(slices * (plane + BYTES_BESIDE_PIXELS))


def _refuse_values(volume: xr.DataArray) -> None:
    if not isinstance(volume, xr.DataArray):
        raise TypeError(
            f"Slices are written of a DataArray, such as brainxr.open gives, not of a "
            f"{type(volume).__name__}. Of a Dataset choose a variable: ds['intensity']."
        )
    if volume.dtype.kind not in "biuf" or volume.dtype.itemsize > 8:
        raise StackError(
            f"Values of type {volume.dtype} can't be written as TIFF slices: bool, int and float "
            "of up to 64 bits can. Convert them by data.astype(...)."
        )


def _plane_along(volume: xr.DataArray, along: str | None) -> tuple[str, tuple[str, str, str]]:
    """Name of the slices' plane, and the axes along the stack, down, and across."""
    others = [str(dim) for dim in volume.dims if dim not in DIMS]
    if others:
        raise GeometryError(
            f"The volume has the axis {others[0]!r}, and slices have z, y and x. Select one place "
            f"along it, for example data.isel({others[0]}=0)."
        )
    absent = [dim for dim in DIMS if dim not in volume.dims]
    if len(absent) > 1:
        raise GeometryError(
            f"A slice has two axes, and this has {volume.ndim}. Select slabs instead of places, "
            "for example z=slice(0, 1)."
        )
    chosen = along or (absent or ["z"])[0]
    if chosen not in DIMS or (absent and chosen != absent[0]):
        only = f"; of a plane without {absent[0]} it is {absent[0]!r}" if absent else ""
        raise GeometryError(f"along={along!r} is none of 'z', 'y' and 'x'{only}.")
    return next((name, axes) for name, axes in PLANES.items() if axes[0] == chosen)


def _lattice(volume: xr.DataArray, dim: str) -> Lattice | None:
    """Where slices, rows or columns are, rising; None for a projection that lies nowhere."""
    if dim not in volume.coords and dim not in volume.dims:
        return None
    lattice = Lattice.of(volume[dim])
    if lattice.step > 0:
        return lattice
    last = float(lattice.start + lattice.step * lattice.k[-1])
    return Lattice(last, -lattice.step, lattice.k[-1] - lattice.k[::-1])


def _arranged(
    volume: xr.DataArray, axes: Sequence[str], lattices: dict[str, Lattice | None]
) -> xr.DataArray:
    if axes[0] not in volume.dims:
        volume = volume.expand_dims(axes[0])
    falling = [d for d in axes if volume.sizes[d] > 1 and not _rises(volume[d])]
    return volume.isel(dict.fromkeys(falling, slice(None, None, -1))).transpose(*axes)


def _rises(coordinate: xr.DataArray) -> bool:
    return bool(coordinate[-1] > coordinate[0])


def _apart(data: xr.DataArray, along: str, n: int) -> xr.DataArray:
    """Computed data, whose chunks are not kept for the sake of a few planes of each."""
    data = data.chunk({along: n})
    return data.copy(data=data.data.map_blocks(np.copy, dtype=data.dtype, meta=data.data._meta))


def _at_a_time(data: xr.DataArray, source: StackArray | None, memory: int) -> int:
    """Slices of a block."""
    plane = max(1, math.prod(data.shape[1:]) * data.dtype.itemsize)
    if plane * BLOCKS_OF_A_TASK > memory:
        raise TooBigError(
            f"One slice takes {show_bytes(plane)}, and writing it {BLOCKS_OF_A_TASK:g} times as "
            f"much; memory= allows {show_bytes(memory)}. Allow more, or select a part."
        )
    most = max(1, int(memory / BOXES_AT_ONCE / BLOCKS_OF_A_TASK) // plane)
    grain = _grain(data, source)
    if grain == 1:
        most = min(most, max(1, BLOCK_BYTES // plane))
    # in whole chunks or strips, or they would be read twice
    return min(data.shape[0], most // grain * grain or most)


def _grain(data: xr.DataArray, source: StackArray | None) -> int:
    """Slices that are read or computed together, however few are asked for."""
    if source is not None:
        return source.source.grain[source.order[0]]
    return 1 if data.chunks is None else max(data.chunks[0])


def _slices(
    volume: xr.DataArray, plane: str, lattices: dict[str, Lattice | None], stem: str
) -> Slices:
    axes = list(lattices)
    stacked, down, across = (_as_told(volume, dim, lattices[dim]) for dim in axes)
    positions: list[float | None] = [None]
    numbers = np.ones(1, np.int64)
    if stacked is not None:
        # numbers as near as can be: the step of a numbering is what all have in common
        common = max(1, int(np.gcd.reduce(stacked.k)))
        numbers = stacked.k // common + 1
        positions = (stacked.start + stacked.step * stacked.k).tolist()
        stacked = Lattice(stacked.start, stacked.step * common, numbers - 1)
    first = SlicePlace(
        plane,
        (len(down.k), len(across.k)),  # type: ignore[union-attr]
        tuple(None if axis is None else axis.step for axis in (stacked, down, across)),  # type: ignore[arg-type]
        tuple(None if axis is None else axis.start for axis in (stacked, down, across)),  # type: ignore[arg-type]
    )
    return Slices(stem, numbers, positions, first)


def _as_told(volume: xr.DataArray, dim: str, lattice: Lattice | None) -> Lattice | None:
    """The lattice with the step that gives the coordinate's own numbers, if one does."""
    if lattice is None:
        return None
    attribute: Any = volume[dim].attrs.get("spacing")
    values = np.sort(np.atleast_1d(np.asarray(volume[dim].values, np.float64)))
    exact = isinstance(attribute, int | float) and volume[dim].attrs["units"] == u.MICROMETER
    if exact and np.array_equal(lattice.start + float(attribute) * lattice.k, values):
        return Lattice(lattice.start, float(attribute), lattice.k)
    return lattice
