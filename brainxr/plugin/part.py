"""A part of a volume, chosen by ranges in millimetres: what it is, what it costs, how to write it.

Pure: knows neither napari nor Qt. Ranges hold the voxels whose centres lie in them, as
``.sel`` with a slice does, and the text of `Part.code` evaluates to the very selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.lazy.cost import cost, show_bytes

# A range may end at a centre that was rounded to a nanometre, as it is shown.
NOISE_IN_MM = 1e-6


@dataclass(frozen=True)
class Part:
    """A part of a volume.

    Attributes
    ----------
    volume : xarray.DataArray
    ranges : mapping of str to tuple of float
        First and last place in mm along z, y and x, as far as the volume has them.
    """

    volume: xr.DataArray
    ranges: Mapping[str, tuple[float, float]]

    @classmethod
    def whole(cls, volume: xr.DataArray) -> Self:
        """All of a volume.

        Raises
        ------
        GeometryError
            When an axis has no coordinate in a unit of length.
        """
        dims = [dim for dim in DIMS if dim in volume.dims]
        if not dims:
            raise GeometryError(
                f"There is nothing to choose from: the axes are {list(volume.dims)}, and none is "
                "z, y or x."
            )
        centres = {dim: centres_in_mm(volume, dim) for dim in dims}
        return cls(volume, {d: (float(c.min()), float(c.max())) for d, c in centres.items()})

    def within(self, dim: str, low: float, high: float) -> Part:
        """The part with another range along one axis, in mm."""
        return replace(self, ranges={**self.ranges, dim: (min(low, high), max(low, high))})

    def like(self, seen: xr.DataArray) -> Part:
        """The part that another selection of the volume covers; a place is one plane."""
        ranges = {}
        for dim in self.ranges:
            centres = centres_in_mm(seen, dim)
            ranges[dim] = (float(centres.min()), float(centres.max()))
        return replace(self, ranges=ranges)

    @property
    def data(self) -> xr.DataArray:
        """The selection, as lazy as its volume.

        Raises
        ------
        GeometryError
            When no voxel's centre lies in a range.
        """
        return self.volume.sel(self._slices())

    @property
    def code(self) -> str:
        """Python that makes the selection of a volume named ``vol``."""
        slices = (f"{dim}=slice({_show(s.start)}, {_show(s.stop)})" for dim, s in self._cut())
        inside = ", ".join(slices)
        return f"vol.sel({inside})" if inside else "vol"

    @property
    def size(self) -> str:
        """``"21 x 96 x 80 voxels, 161 kB"``."""
        data = self.data
        return f"{' x '.join(map(str, data.shape))} voxels, {show_bytes(data.nbytes)}"

    @property
    def cost(self) -> str:
        """What reading it takes; no pixel is read."""
        return str(cost(self.data))

    def _cut(self) -> list[tuple[str, slice]]:
        """Slices along the axes of which something is left out."""
        data = self.data
        return [(d, s) for d, s in self._slices().items() if data.sizes[d] < self.volume.sizes[d]]

    def _slices(self) -> dict[str, slice]:
        """Labels of the first and last voxel along each axis, in the coordinate's own unit."""
        return {dim: self._slice(dim) for dim in self.ranges}

    def _slice(self, dim: str) -> slice:
        low, high = self.ranges[dim]
        centres = centres_in_mm(self.volume, dim)
        inside = np.flatnonzero((centres >= low - NOISE_IN_MM) & (centres <= high + NOISE_IN_MM))
        if inside.size == 0:
            raise GeometryError(
                f"No voxel's centre lies between {low:.10g} and {high:.10g} mm along {dim!r}: they "
                f"are {spacing_in_mm(self.volume, dim):.6g} mm apart, from {centres.min():.10g} to "
                f"{centres.max():.10g} mm. Choose a wider range."
            )
        labels = self.volume[dim].values
        return slice(labels[inside[0]].item(), labels[inside[-1]].item())


def centres_in_mm(volume: xr.DataArray, dim: str) -> npt.NDArray[np.float64]:
    """Places of the voxels' centres along an axis, rounded to a nanometre."""
    lattice = Lattice.of(volume[dim])
    micrometers = np.asarray(lattice.start + lattice.step * lattice.k, np.float64)
    return np.round(micrometers / 1000, 6) + 0.0


def spacing_in_mm(volume: xr.DataArray, dim: str) -> float:
    """Distance between neighbouring centres; of one position what its coordinate says."""
    return abs(Lattice.of(volume[dim]).step) / 1000


def facts(volume: xr.DataArray) -> dict[str, str]:
    """What was found in a volume and by which rule, in words."""
    rule = volume.attrs.get("spacing_source")
    told: dict[str, Any] = {
        "source": volume.attrs.get("source"),
        "shape": ", ".join(f"{dim} {size}" for dim, size in volume.sizes.items()),
        "values": f"{volume.dtype}, {show_bytes(volume.nbytes)}",
        "spacing": _spacing(volume) + (f" (from {rule})" if rule else ""),
        "plane": volume.attrs.get("plane"),
        "missing": volume.attrs.get("missing_slices"),
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _spacing(volume: xr.DataArray) -> str:
    steps = {dim: spacing_in_mm(volume, dim) * 1000 for dim in DIMS if dim in volume.dims}
    if len(set(steps.values())) == 1:
        return f"{next(iter(steps.values())):.6g} {u.MICROMETER:s} along each axis"
    return ", ".join(f"{dim} {step:.6g}" for dim, step in steps.items()) + f" {u.MICROMETER:s}"


def _show(label: Any) -> str:
    """A label that evaluates to itself, whole numbers without a point."""
    is_whole = isinstance(label, float) and label.is_integer() and abs(label) < 2**53
    return repr(int(label)) if is_whole else repr(label)
