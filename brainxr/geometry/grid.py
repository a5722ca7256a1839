"""Where voxels are: grids become coordinates, coordinates become grids.

Coordinates are the only truth about geometry. ``VoxelGrid.coordinates`` writes
that truth down once, when a stack is opened; from then on every module that
needs a spacing or an origin asks ``Lattice.of`` a coordinate, so a selection, a
reversal or a stride can't leave a stale second copy behind.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from brainxr.errors import GeometryError, shortlist
from brainxr.geometry import units as u
from brainxr.geometry.index import UnitIndex

DIMS = ("z", "y", "x")

SpacingLike: TypeAlias = "u.Length | Mapping[str, u.Length]"

# What messages show as lengths to pass.
_EXAMPLE = {"z": "'50 µm'", "y": "25", "x": "25"}

# Positions further than this from the grid, in voxels, are not on it.
OFF_GRID_IN_VOXELS = 1e-3


@dataclass(frozen=True)
class VoxelGrid:
    """A regular grid of voxels; every field is keyed by dimension.

    Attributes
    ----------
    shape : mapping of str to int
        Number of voxels.
    spacing : mapping of str to float
        Distance between neighbouring voxel centres, in µm; negative where the
        coordinate falls.
    origin : mapping of str to float
        Coordinate of the centre of voxel (0, 0, 0), in µm.

    Examples
    --------
    >>> grid = VoxelGrid({"z": 3}, {"z": 100.0}, {"z": 50.0})
    >>> grid.coordinates()["z"].values.tolist()
    [50.0, 150.0, 250.0]
    """

    shape: Mapping[str, int]
    spacing: Mapping[str, float]
    origin: Mapping[str, float]

    def coordinates(self, **others: xr.Variable) -> xr.Coordinates:
        """Coordinates of the voxel centres, in µm, with unit-aware indexes; and others, without."""
        indexes = {dim: self._index(dim) for dim in self.shape}
        variables: dict[Any, xr.Variable] = {**others}
        for dim, index in indexes.items():
            # one slice, or none, can't tell its spacing: the attribute does
            spacing = GridSpacing(abs(self.spacing[dim]), self.origin[dim])
            attrs = {"units": u.MICROMETER, "spacing": spacing}
            variables |= index.create_variables({dim: xr.Variable(dim, index.index, attrs)})
        return xr.Coordinates(variables, indexes=indexes)

    def _index(self, dim: str) -> UnitIndex:
        centres = pd.Index(self._centres(dim), name=dim)
        return UnitIndex(centres, dim, centres.dtype, fastpath=True)  # which copies nothing

    def _centres(self, dim: str) -> npt.NDArray[Any]:
        return self.origin[dim] + self.spacing[dim] * np.arange(self.shape[dim])

    @classmethod
    def of(cls, data: xr.DataArray) -> Self:
        """Grid of a volume's spatial axes, from its coordinates.

        Raises
        ------
        GeometryError
            When an axis has no coordinate in a unit of length, or is irregular.
        """
        lattices = {dim: Lattice.of(data[dim]) for dim in DIMS if dim in data.dims}
        for dim, lattice in lattices.items():
            lattice.check_complete(dim)
        return cls(
            {dim: data.sizes[dim] for dim in lattices},
            {dim: lattice.step for dim, lattice in lattices.items()},
            {dim: lattice.start for dim, lattice in lattices.items()},
        )

    @property
    def extent(self) -> dict[str, tuple[float, float]]:
        """Outer edges of the first and last voxel along each axis, in µm."""
        edges = {}
        for dim, size in self.shape.items():
            first, step = self.origin[dim], self.spacing[dim]
            edges[dim] = (first - step / 2, first + (size - 0.5) * step)
        return edges


@dataclass(frozen=True)
class Lattice:
    """Positions along one axis as whole steps from a start: ``start + step * k``.

    Attributes
    ----------
    start, step : float
        In µm; the step is negative where the coordinate falls.
    k : numpy.ndarray of int, shape (n,)
        Step number of each position; 0, 1, 2, ... unless there are gaps.
    """

    start: float
    step: float
    k: npt.NDArray[np.int64]

    @classmethod
    def of(cls, coordinate: xr.DataArray) -> Self:
        """Lattice of a coordinate of one dimension, or of a scalar.

        The step comes from the coordinate where there are two positions or
        more, otherwise from its ``spacing`` attribute, and is never guessed.

        Raises
        ------
        GeometryError
            When the coordinate has no unit of length, there is no way to know
            the step, or the positions don't lie on a lattice.
        """
        name = coordinate.name
        values = _in_micrometers(coordinate, name)
        if values.size == 0:
            raise GeometryError(
                f"There is nothing along {name!r}: the selection is empty, and it takes one plane "
                "at least. Select a range within the volume, its ends in the coordinate's order: "
                f"vol[{name!r}] tells both."
            )
        if not np.isfinite(values).all():
            raise GeometryError(
                f"Positions along {name!r} are not all finite numbers. Give it a coordinate in µm."
            )
        hint = _spacing_attribute(coordinate)
        if values.size == 1:
            if hint is None:
                raise GeometryError(
                    f"One position along {name!r} doesn't tell how thick it is. Say it, in the "
                    f"coordinate's unit: data[{name!r}].attrs['spacing'] = 100."
                )
            _check_thickness(coordinate, float(values[0]))
            return cls(float(values[0]), hint, np.zeros(1, np.int64))
        return cls._fit(values, hint, name)

    @classmethod
    def _fit(cls, values: npt.NDArray[np.float64], hint: float | None, name: Hashable) -> Self:
        start, span = float(values[0]), float(values[-1] - values[0])
        even = span / (values.size - 1)
        smallest = float(np.abs(np.diff(values)).min())
        # evenly spaced; or with gaps, in multiples of the smallest step; or of the spacing
        for size in dict.fromkeys([abs(even), smallest, hint or smallest]):
            step = float(np.copysign(size, span))
            if step == 0:
                continue
            exact = (values - start) / step
            k = np.rint(exact).astype(np.int64)
            if (np.diff(k) > 0).all() and np.abs(exact - k).max() < OFF_GRID_IN_VOXELS * max(
                1.0, float(k[-1]) / 1000
            ):
                return cls(start, span / int(k[-1]), k)
        raise GeometryError(
            f"Positions along {name!r} are not evenly spaced: {shortlist(values.tolist())} µm. "
            f"Bring them onto a regular grid first, for example with .interp({name}=...)."
        )

    @property
    def has_gaps(self) -> bool:
        return bool(self.k[-1] + 1 != self.k.size)

    def check_complete(self, name: Hashable) -> None:
        """Refuse a lattice with gaps."""
        if self.has_gaps:
            raise GeometryError(
                f"{int(self.k[-1]) + 1 - self.k.size} positions are missing along {name!r}. Open "
                "the stack with missing='fill', or select a part without gaps."
            )


def per_axis(
    argument: SpacingLike | None, what: str, *, positive: bool = False,
    dims: Sequence[str] = DIMS,
) -> dict[str, float]:  # fmt: skip
    """Lengths keyed by axis, in µm; a single length is for all axes.

    Parameters
    ----------
    argument : length or mapping of str to length, optional
    what : str
        Name of the argument, for the message of an error.
    positive : bool
        Refuse zero and less.
    dims : sequence of str
        The axes that there are.

    Raises
    ------
    GeometryError
        For an axis that is none of these, or a length that is no length.
    """
    if argument is None:
        return {}
    mapping = argument if isinstance(argument, Mapping) else dict.fromkeys(dims, argument)
    unknown = [dim for dim in mapping if dim not in dims]
    if unknown:
        *others, last = dims
        axes = f"{', '.join(others)} and {last}" if others else last
        example = ", ".join(f"{dim!r}: {_EXAMPLE[dim]}" for dim in dims)
        raise GeometryError(
            f"{what} has the axis {unknown[0]!r}; the axes are {axes}, for example "
            f"{what}={{{example}}}. Use these names."
        )
    if isinstance(argument, list | tuple):
        values = ", ".join(f"{dim!r}: ..." for dim in dims)
        raise GeometryError(
            f"{what}={argument!r} doesn't say which value is for which axis. Write "
            f"{what}={{{values}}}."
        )
    lengths = {dim: u.to_micrometers(value, f"{what}[{dim!r}]") for dim, value in mapping.items()}
    for dim, value in lengths.items():
        if positive and value <= 0:
            raise GeometryError(f"{what}[{dim!r}] is {value:g} µm; a distance is more than zero.")
    return lengths


def spatial_dims(data: xr.DataArray) -> list[str]:
    """Those of z, y, x that the array has, as dimension or as scalar, in this order."""
    scalars = [dim for dim in DIMS if dim in data.coords and data[dim].ndim == 0]
    return [dim for dim in DIMS if dim in data.dims or dim in scalars]


def _in_micrometers(coordinate: xr.DataArray, name: Hashable) -> npt.NDArray[np.float64]:
    unit = u.length_unit(coordinate, name)
    values = np.atleast_1d(np.asarray(coordinate.values, dtype=np.float64))
    scale = u.factor(unit, to=u.MICROMETER)
    return values if scale == 1 else values * scale


class GridSpacing(float):
    """A spacing that remembers the first position of its grid.

    Attributes of a coordinate outlive ``coarsen`` and ``interp``: a plane that does not lie on
    the grid of its attribute has another thickness.
    """

    start: float

    def __new__(cls, spacing: float, start: float) -> Self:
        self = super().__new__(cls, spacing)
        self.start = start
        return self

    def __deepcopy__(self, memo: Any) -> GridSpacing:
        return self

    def __reduce__(self) -> Any:
        return GridSpacing, (float(self), self.start)


def _check_thickness(coordinate: xr.DataArray, micrometers: float) -> None:
    """Refuse the spacing of another grid than that on which the one position lies."""
    spacing: Any = coordinate.attrs["spacing"]
    if not isinstance(spacing, GridSpacing) or coordinate.attrs["units"] != u.MICROMETER:
        return
    steps = (micrometers - spacing.start) / float(spacing)
    if abs(steps - round(steps)) > OFF_GRID_IN_VOXELS * max(1.0, abs(steps) / 1000):
        name = coordinate.name
        raise GeometryError(
            f"The position {micrometers:.10g} µm along {name!r} is not on the grid of its "
            f"attribute spacing={float(spacing):.6g}, which so is not its thickness. Use "
            ".brain.coarsen or .brain.interp, which keep it, or say it: "
            f"data[{name!r}].attrs['spacing'] = 100."
        )


def _spacing_attribute(coordinate: xr.DataArray) -> float | None:
    spacing: Any = coordinate.attrs.get("spacing")
    if spacing is None:
        return None
    try:
        micrometers = float(spacing) * u.factor(coordinate.attrs["units"], to=u.MICROMETER)
    except (TypeError, ValueError):
        micrometers = np.nan
    if not 0 < micrometers < np.inf:
        raise GeometryError(
            f"The attribute 'spacing' of {coordinate.name!r} is {spacing!r}; it has to be a number "
            "above zero, in the coordinate's unit."
        )
    return micrometers
