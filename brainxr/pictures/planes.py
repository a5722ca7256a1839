"""Planes of a volume to make pictures of: where they cut, how large they are, their voxels.

Pure: needs no matplotlib. Lengths are in mm, as they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import GeometryError, UnitWarning, warn
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, OFF_GRID_IN_VOXELS, Lattice
from brainxr.geometry.orientation import Way, edge_letters, way_of
from brainxr.stacks.stack import PLANES

Image: TypeAlias = npt.NDArray[Any]

# Of a big plane, no more voxels are read than these for a pixel, along each axis.
VOXELS_A_PIXEL = 2


@dataclass(frozen=True)
class PlaneAxis:
    """An axis of a volume, in mm, and which of its voxels are read.

    Where `stride` is more than 1, the axis is cut into parts of that many voxels,
    missing ones included, and of each part the first voxel is read. `way` is where it
    grows to in a body, if that is known.
    """

    name: str
    lattice: Lattice
    stride: int = 1
    way: Way | None = None

    def position(self, place: int) -> float:
        """Centre of a voxel, in mm."""
        return float(self.lattice.start + self.lattice.step * self.lattice.k[place]) / 1000

    @property
    def voxels(self) -> int:
        """Number of voxels, missing ones included."""
        return int(self.lattice.k[-1]) + 1

    @property
    def edges(self) -> tuple[float, float]:
        """Outer edges of the first and the last voxel, in mm."""
        return self._edge(0), self._edge(self.voxels)

    @property
    def length(self) -> float:
        return abs(self.edges[1] - self.edges[0])

    @property
    def parts(self) -> tuple[Any, int]:
        """In which part each voxel that is read lies, and how many parts there are."""
        return np.unique(self.lattice.k // self.stride), -(-self.voxels // self.stride)

    @property
    def part_edges(self) -> tuple[float, float]:
        """Outer edges of the first and the last part, in mm."""
        return self._edge(0), self._edge(self.parts[1] * self.stride)

    @property
    def part_length(self) -> float:
        return abs(self.lattice.step) * self.stride / 1000

    @property
    def indexer(self) -> Any:
        """Index of the voxels that are read."""
        if self.stride == 1 or not self.lattice.has_gaps:
            return slice(None, None, self.stride)
        return np.unique(self.lattice.k // self.stride, return_index=True)[1]

    @property
    def missing(self) -> list[tuple[float, float]]:
        """Edges of each run of parts of which nothing is there, in mm."""
        present, _ = self.parts
        before = np.flatnonzero(np.diff(present) > 1)
        return [
            (self._edge((present[i] + 1) * self.stride), self._edge(present[i + 1] * self.stride))
            for i in before
        ]

    def thin(self, pixels_per_mm: float) -> Self:
        """The same axis, read no finer than can be seen."""
        pixels_a_voxel = abs(self.lattice.step) / 1000 * pixels_per_mm
        return replace(self, stride=max(1, int(1 / (VOXELS_A_PIXEL * pixels_a_voxel))))

    def _edge(self, voxels: int) -> float:
        """Edge after a number of voxels, missing ones included, in mm."""
        return float(self.lattice.start + (voxels - 0.5) * self.lattice.step) / 1000


@dataclass(frozen=True)
class CutPlane:
    """A plane to be drawn: its name and place in words, where it cuts, its axes."""

    name: str
    label: str
    cut: Mapping[str, int]
    down: PlaneAxis
    across: PlaneAxis

    @property
    def axes(self) -> tuple[PlaneAxis, PlaneAxis]:
        return self.down, self.across

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, in mm."""
        return self.across.length, self.down.length

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Places at the left, right, top and bottom edge, in mm.

        Where it is known, right, front and top are on the right and at the top; else
        places grow to the right and downwards.
        """
        left, right = sorted(self.across.edges, reverse=not self._grows[1])
        top, bottom = sorted(self.down.edges, reverse=not self._grows[0])
        return left, right, top, bottom

    @property
    def letters(self) -> dict[str, str]:
        """What of a body lies at the edges, as far as it is known: ``{"left": "L", ...}``."""
        return edge_letters(self.down.way, self.across.way, self._grows)

    @property
    def forward(self) -> tuple[bool, bool]:
        """Whether the first row is at the top, and the first column on the left."""
        rising = (axis.lattice.step > 0 for axis in self.axes)
        down, across = (r == g for r, g in zip(rising, self._grows, strict=True))
        return down, across

    @property
    def _grows(self) -> tuple[bool, bool]:
        """Whether places grow downwards, and to the right."""
        down, across = self.down.way, self.across.way
        return down is None or down.sign < 0, across is None or across.sign > 0

    def thin(self, pixels_per_mm: float) -> Self:
        """The same plane, read no finer than can be seen."""
        down, across = (axis.thin(pixels_per_mm) for axis in self.axes)
        return replace(self, down=down, across=across)


def axes_of(volume: xr.DataArray) -> dict[str, PlaneAxis]:
    """Where the voxels are along each axis of what is to be drawn."""
    if not isinstance(volume, xr.DataArray):
        raise TypeError(
            f"A picture is made of a DataArray, such as brainxr.open gives, not of a "
            f"{type(volume).__name__}. Of a Dataset choose a variable: ds['intensity']."
        )
    if volume.dtype.kind not in "biuf":
        raise TypeError(
            f"Values of type {volume.dtype} can't be drawn: it takes bool, int or float."
        )
    others = [dim for dim in volume.dims if dim not in DIMS]
    if others:
        choice = ", ".join(f"{dim}=0" for dim in others)
        raise GeometryError(
            f"Axes of a picture are z, y and x; this array has {quoted(others)}, too. Choose one "
            f"place along it, for example data.isel({choice}), or rename it."
        )
    if volume.ndim < 2:
        raise GeometryError(
            f"A picture needs two of the axes z, y and x; this array has {quoted(volume.dims)}. "
            "A line is drawn by its own .plot()."
        )
    return {
        dim: PlaneAxis(dim, Lattice.of(volume[dim]), way=way_of(volume, dim))
        for dim in DIMS
        if dim in volume.dims
    }


def nearest_voxel(
    volume: xr.DataArray, axes: Mapping[str, PlaneAxis], at: Mapping[str, u.Length]
) -> dict[str, int]:
    """Index of the voxel along each axis: the nearest to `at`, or the middle one."""
    if not isinstance(at, Mapping):
        raise GeometryError(f"at={at!r} doesn't say along which axis: write at={{'z': {at!r}}}.")
    others = [name for name in at if name not in axes]
    if others:
        raise GeometryError(
            f"at names {quoted(others)}; the axes of this array are {quoted(axes)}."
        )
    return {
        name: _nearest(axis, at[name], volume[name].attrs["units"])
        if name in at
        else axis.lattice.k.size // 2
        for name, axis in axes.items()
    }


def _nearest(axis: PlaneAxis, wanted: u.Length, unit: str) -> int:
    what = f"at[{axis.name!r}]"
    unit = getattr(wanted, "attrs", {}).get("units", unit)  # a DataArray's own, as in .sel
    micrometers = u.to_micrometers(wanted, what)
    is_plain = not isinstance(wanted, str) and not u.is_quantity(wanted)
    if is_plain:
        micrometers *= u.factor(unit, to=u.MICROMETER)
    voxels = (micrometers - axis.lattice.start) / axis.lattice.step
    if not -0.5 - OFF_GRID_IN_VOXELS <= voxels <= axis.voxels - 0.5 + OFF_GRID_IN_VOXELS:
        low, high = sorted(axis.edges)
        raise GeometryError(
            f"{what} = {_mm(micrometers / 1000)} is outside: the array extends from {_mm(low)} to "
            f"{_mm(high)} along {axis.name!r}. Choose a place in between."
        )
    if is_plain and unit == u.MICROMETER and not hasattr(wanted, "attrs"):
        _warn_of_millimetres(axis, what, micrometers)
    return int(np.abs(axis.lattice.k - voxels).argmin())


def _warn_of_millimetres(axis: PlaneAxis, what: str, number: float) -> None:
    """Warn of a plain number, in µm, on an axis in mm, where as mm it would lie inside, too."""
    low, high = sorted(axis.edges)
    first = abs(axis.lattice.step) * axis.lattice.k.size / 100
    if low <= number <= high and 0 < abs(number) < first:
        warn(
            f"{what} = {number:g} is taken as {number:g} µm, as plain numbers are, and the axes "
            f"are drawn in mm. For {number:g} mm write '{number:g} mm', else '{number:g} µm'.",
            UnitWarning,
        )


def without_thin_axes(data: xr.DataArray) -> xr.DataArray:
    """The data without axes of one voxel, as long as two others remain."""
    if not isinstance(data, xr.DataArray):
        return data
    for dim in [dim for dim in data.dims if data.sizes[dim] == 1]:
        if data.ndim > 2:
            data = data.isel({dim: 0})
    return data


def planes_through(
    volume: xr.DataArray, axes: Mapping[str, PlaneAxis], point: Mapping[str, int]
) -> list[CutPlane]:
    """The planes that the axes span, without those that are lines if there are others."""
    planes = [
        _plane(volume, axes, cut, {cut: point[cut]} if cut in axes else {})
        for cut, down, across in PLANES.values()
        if down in axes and across in axes
    ]
    return [p for p in planes if p.down.voxels > 1 and p.across.voxels > 1] or planes


def planes_along(
    volume: xr.DataArray, axes: Mapping[str, PlaneAxis], cut: str, n: int
) -> list[CutPlane]:
    """Planes in the middles of n equal parts of an axis."""
    k, voxels = axes[cut].lattice.k, axes[cut].voxels
    middles = (2 * np.arange(n) + 1) * voxels // (2 * n)
    places = np.unique(np.abs(k[:, np.newaxis] - middles).argmin(axis=0))
    return [_plane(volume, axes, cut, {cut: int(place)}) for place in places]


def every_plane(volume: xr.DataArray, axes: Mapping[str, PlaneAxis], cut: str) -> list[CutPlane]:
    """All planes across an axis, in the order in which they are stored.

    Their labels have as many decimals as it takes to tell all of them, so that a
    label doesn't jump about when one follows the other.
    """
    axis = axes[cut]
    places = range(axis.lattice.k.size)
    decimals = _decimals([axis.position(place) for place in places])
    planes = [_plane(volume, axes, cut, {cut: place}) for place in places]
    return [
        replace(plane, label=f"{cut} = {axis.position(place) + 0.0:.{decimals}f} mm")
        for place, plane in zip(places, planes, strict=True)
    ]


def _decimals(positions: Sequence[float]) -> int:
    """Digits behind the point that tell positions in mm, down to a nanometre."""
    exact = np.asarray(positions)
    return next(n for n in range(7) if n == 6 or np.abs(exact.round(n) - exact).max() < 1e-6)


def refuse_no_volume(axes: Mapping[str, PlaneAxis], axis: str, what: str) -> None:
    """Refuse a plane, or an axis that a volume doesn't have.

    Raises
    ------
    GeometryError
    """
    if axis not in axes or len(axes) < 3:
        raise GeometryError(
            f"{what} needs a volume with axes z, y and x, and one of them as axis=; found "
            f"{quoted(axes)} and axis={axis!r}. A plane is drawn by plot_planes."
        )


def _plane(
    volume: xr.DataArray, axes: Mapping[str, PlaneAxis], cut: str, at: Mapping[str, int]
) -> CutPlane:
    name, (_, down, across) = next(item for item in PLANES.items() if item[1][0] == cut)
    where = axes[cut].position(at[cut]) if at else _selected(volume, cut)
    label = "" if where is None else f"{cut} = {_mm(where)}"
    return CutPlane(name, label, at, axes[down], axes[across])


def _selected(volume: xr.DataArray, dim: str) -> float | None:
    """Where an axis was cut before, in mm, if the array still knows."""
    scalar = volume.coords.get(dim)
    if scalar is None or scalar.ndim > 0 or not u.is_length(scalar.attrs.get("units")):
        return None
    return float(scalar) * u.factor(scalar.attrs["units"], to="millimeter")


def _mm(number: float) -> str:
    # a nanometre is noise; and no "-0"
    return f"{round(number, 6) + 0.0:.10g} mm"


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... that is not longer."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(digit * power for digit in (5, 2, 1) if digit * power <= most * (1 + 1e-9))


def quoted(names: Iterable[Hashable]) -> str:
    """Names for a message: ``'z', 'y'``."""
    return ", ".join(map(repr, names)) or "none"


def read_planes(variable: xr.Variable, planes: Sequence[CutPlane]) -> list[Image]:
    """Images of the planes, rows down, all read in one go."""
    groups: dict[str, list[CutPlane]] = {}
    for plane in planes:
        groups.setdefault(plane.name, []).append(plane)
    chosen = {name: variable.isel(_indexers(group)) for name, group in groups.items()}
    # a Dataset computes its variables together, so that planes share what they read
    read = xr.Dataset(chosen).compute()
    return [image for name, group in groups.items() for image in _split(read[name].variable, group)]


def _indexers(parallel: Sequence[CutPlane]) -> dict[str, Any]:
    """Index of parallel planes, together: a slice on disk that they all cut is read once."""
    first = parallel[0]
    indexers = {axis.name: axis.indexer for axis in first.axes}
    for dim in first.cut:
        places = [plane.cut[dim] for plane in parallel]
        indexers[dim] = places if len(places) > 1 else places[0]
    return indexers


def _split(block: xr.Variable, parallel: Sequence[CutPlane]) -> list[Image]:
    values = block.transpose(..., *(axis.name for axis in parallel[0].axes)).values
    return list(values) if len(parallel) > 1 else [values]


def on_grid(image: Image, plane: CutPlane) -> Image:
    """The image with every row and column on the regular grid; what is missing is masked."""
    rows, height = plane.down.parts
    columns, width = plane.across.parts
    if image.shape == (height, width):
        return image
    grid, missing = np.zeros((height, width), image.dtype), np.ones((height, width), bool)
    grid[np.ix_(rows, columns)] = image
    missing[np.ix_(rows, columns)] = False
    return np.ma.MaskedArray(grid, missing)
