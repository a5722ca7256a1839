"""The xarray index that understands quantities in ``.sel``.

A subclass of xarray's own ``PandasIndex``, so that everything else (``isel``,
``concat``, alignment, plotting, pickling, ...) stays xarray's. Two things are
added: labels may be strings or quantities, and a label that differs from a
coordinate only by floating-point noise *is* that coordinate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import xarray as xr
from xarray.indexes import PandasIndex

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.lookalike import Lookalike

# A label this close to a coordinate, in voxels, is meant to be that coordinate.
NOISE_IN_VOXELS = 1e-6


class UnitIndex(PandasIndex, metaclass=Lookalike):
    """Index of a coordinate that has a unit.

    Parameters
    ----------
    array : array_like, shape (n,)
        Coordinate values, in `units`.
    dim : hashable
        Name of the dimension.
    coord_dtype : dtype, optional
    units : str
        Unit of the coordinate.

    Notes
    -----
    Made by ``set_xindex(name, UnitIndex)``, which takes the unit from the
    coordinate's ``units`` attribute.
    """

    __slots__ = ("units",)

    def __init__(
        self, array: Any, dim: Hashable, coord_dtype: Any = None, *,
        units: str = u.MICROMETER, fastpath: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(array, dim, coord_dtype, fastpath=fastpath)
        self.units = units

    @classmethod
    def from_variables(
        cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]
    ) -> Self:
        plain = PandasIndex.from_variables(variables, options={})
        name, variable = next(iter(variables.items()))
        units = variable.attrs.get("units")
        if units is None:
            raise GeometryError(
                f"Coordinate {name!r} has no 'units' attribute, so no quantity can be found on it. "
                f"Say it, for example: data[{name!r}].attrs['units'] = 'micrometer'."
            )
        return cls(plain.index, plain.dim, plain.coord_dtype, units=units, fastpath=True)

    def _replace(self, index: Any, dim: Any = None, coord_dtype: Any = None) -> Self:
        new = super()._replace(index, dim, coord_dtype)
        new.units = self.units
        return new

    @classmethod
    def concat(
        cls, indexes: Sequence[Self], dim: Hashable,
        positions: Iterable[Iterable[int]] | None = None,
    ) -> Self:  # fmt: skip
        new = super().concat(indexes, dim, positions)
        new.units = _common_unit(indexes, dim)
        return new

    def join(self, other: Self, how: str = "inner") -> Self:
        new = super().join(other, how)
        new.units = _common_unit([self, other], self.dim)
        return new

    def reindex_like(
        self, other: Self, method: Any = None, tolerance: Any = None
    ) -> dict[Hashable, Any]:
        _common_unit([self, other], self.dim)
        return super().reindex_like(other, method, tolerance)

    def equals(self, other: Any, *, exclude: frozenset[Hashable] | None = None) -> bool:
        units = getattr(other, "units", self.units)
        return bool(super().equals(other, exclude=exclude)) and units == self.units

    def sel(self, labels: dict[Any, Any], method: Any = None, tolerance: Any = None) -> Any:
        name, label = next(iter(labels.items()))
        if tolerance is not None:
            # the distance itself is a difference of two noisy numbers
            tolerance = np.asarray(u.to_unit(tolerance, self.units), float) + self._noise()
        return super().sel({name: self._label(label)}, method=method, tolerance=tolerance)

    def _label(self, label: Any) -> Any:
        """A label as plain numbers in the coordinate's unit, without noise."""
        if isinstance(label, slice):
            start, stop = self._label(label.start), self._label(label.stop)
            return slice(start, stop, label.step)
        if isinstance(label, xr.DataArray | xr.Variable):
            values = self._label(_in_unit(label, self.units))
            return label.copy(data=values)
        converted = u.to_unit(label, self.units)
        return None if converted is None else self._snap(converted)

    def _snap(self, label: Any) -> Any:
        """Replace numbers that are a coordinate but for noise by that coordinate."""
        values = self.index.to_numpy()
        wanted = np.asarray(label)
        if wanted.dtype.kind not in "iuf" or values.dtype.kind not in "iuf" or values.size == 0:
            return label
        ordered = np.sort(values)
        right = np.searchsorted(ordered, wanted).clip(0, values.size - 1)
        left = (right - 1).clip(0)
        is_left = np.abs(wanted - ordered[left]) < np.abs(wanted - ordered[right])
        nearest = np.where(is_left, ordered[left], ordered[right])
        snapped = np.where(np.abs(wanted - nearest) <= self._noise(), nearest, wanted)
        return snapped if snapped.ndim else snapped.item()

    def _noise(self) -> float:
        """Distance below which two positions are one: a millionth of a voxel."""
        values = self.index.to_numpy()
        if values.dtype.kind not in "iuf" or values.size == 0:
            return 0.0
        largest = float(np.abs(values).max())
        steps = np.abs(np.diff(values))
        voxel = float(np.median(steps)) if steps.size else 0.0
        return max(NOISE_IN_VOXELS * voxel, 8 * float(np.finfo(float).eps) * largest)

    def __repr__(self) -> str:
        return f"UnitIndex({self.index!r}, units={str(self.units)!r})"


def _in_unit(label: xr.DataArray | xr.Variable, units: str) -> Any:
    """Values of a labelled label; its own ``units`` attribute is believed."""
    own = label.attrs.get("units")
    if own is None or label.dtype.kind not in "iuf" or own == units:
        return label.data
    return label.data * u.factor(own, to=units)


def _common_unit(indexes: Sequence[PandasIndex], dim: Hashable) -> str:
    # beside an index without a unit, its numbers are taken as they are
    found = dict.fromkeys(index.units for index in indexes if isinstance(index, UnitIndex))
    if len(found) > 1:
        named = " and ".join(repr(str(unit)) for unit in found)
        raise GeometryError(
            f"Coordinates {dim!r} are in {named}: convert one to the other's unit before they "
            "are aligned or concatenated."
        )
    return next(iter(found), u.MICROMETER)
