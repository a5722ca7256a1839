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
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.indexes import PandasIndex

from brainxr.errors import (
    AlignmentWarning,
    EmptySelectionWarning,
    GeometryError,
    LengthError,
    PositionError,
    shortlist,
    warn,
)
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
                "Make a volume of the array: data = brainxr.volume(data, spacing={'z': '100 µm', "
                f"'y': 25, 'x': 25}}), or say it: data[{name!r}].attrs['units'] = 'micrometer'."
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
        first = next((one for one in indexes if isinstance(one, UnitIndex)), None)
        if first is None:
            return super().concat(indexes, dim, positions)
        alike = [first._alike(one) for one in indexes]
        new = super().concat(alike, dim, positions)
        new.units = first.units
        if not new.index.is_unique:
            parts = " and ".join(dict.fromkeys(map(_extent_in_words, alike)))
            raise GeometryError(
                f"The parts share positions along {dim!r} ({parts}), so they would lie on top of "
                "each other. Open the files of one acquisition together, brainxr.open([part_1, "
                "part_2]), or give each part its place before: part.assign_coords(...)."
            )
        return new

    def join(self, other: Self, how: str = "inner") -> Self:
        same = self._alike(other)
        new = super().join(same, how)
        new.units = self.units
        if how == "inner":
            self._check_shared(new, same)
        else:
            self._check_lattice(new, same)
        return new

    def reindex_like(
        self, other: Self, method: Any = None, tolerance: Any = None
    ) -> dict[Hashable, Any]:
        same = self._alike(other)
        if tolerance is not None:
            tolerance = u.to_unit(tolerance, self.units)
        found = super().reindex_like(same, method, tolerance)
        places = np.asarray(found[self.dim])
        if places.size and self.index.size and (places < 0).all():
            raise GeometryError(
                f"The two share no position along {self.dim!r}: {_extent_in_words(self)} against "
                f"{_extent_in_words(same)}. Move or resample one of them first, for example with "
                f".brain.interp({self.dim}=...)."
            )
        return found

    def equals(self, other: Any, *, exclude: frozenset[Hashable] | None = None) -> bool:
        if not isinstance(other, PandasIndex) or other.dim != self.dim:
            return False
        if self.index.size != other.index.size or self.index.dtype.kind not in "iuf":
            return (
                bool(super().equals(other, exclude=exclude)) and self._unit_of(other) == self.units
            )
        return bool(self._alike(other).index.equals(self.index))

    def sel(self, labels: dict[Any, Any], method: Any = None, tolerance: Any = None) -> Any:
        name, label = next(iter(labels.items()))
        if tolerance is not None:
            # the distance itself is a difference of two noisy numbers
            tolerance = np.asarray(u.to_unit(tolerance, self.units), float) + self._noise()
        plain = self._label(label)
        if method is not None:
            self._check_inside(name, plain)
        try:
            found = super().sel({name: plain}, method=method, tolerance=tolerance)
        except KeyError as error:
            raise PositionError(self._not_found(name, plain, tolerance)) from error
        if isinstance(plain, slice):
            self._warn_of_nothing(name, plain, found.dim_indexers[self.dim])
        return found

    # --- two coordinates on one grid ------------------------------------------------

    def _unit_of(self, other: PandasIndex) -> str:
        # beside an index without a unit, its numbers are taken as they are
        return other.units if isinstance(other, UnitIndex) else self.units

    def _alike(self, other: PandasIndex) -> Self:
        """The other index in this unit, its positions snapped to those of this one."""
        index = other.index
        unit = self._unit_of(other)
        if index.dtype.kind in "OUST" or isinstance(index.dtype, pd.StringDtype):
            raise LengthError(
                f"Labels along {self.dim!r} are texts ({shortlist(index.tolist(), 3)}), and xarray "
                f"would keep them as coordinates. Use .brain.reindex({self.dim}=...) or "
                ".brain.interp(...), which take texts and quantities."
            )
        if unit != self.units:
            if not (u.is_length(unit) and u.is_length(self.units)):
                raise GeometryError(
                    f"Coordinates {self.dim!r} are in {str(self.units)!r} and {str(unit)!r}, which "
                    "measure different things. Rename one of them."
                )
            index = pd.Index(index.to_numpy() * u.factor(unit, to=self.units), name=index.name)
        snapped = self.snap(index.to_numpy())
        if snapped is not index.to_numpy() and np.any(snapped != index.to_numpy()):
            index = pd.Index(snapped, name=index.name)
        if index is other.index and isinstance(other, UnitIndex):
            return other  # type: ignore[return-value]
        dtype = index.to_numpy().dtype if index.dtype.kind in "iuf" else None
        return type(self)(index, other.dim, dtype, units=self.units, fastpath=True)

    def _check_shared(self, shared: Self, other: Self) -> None:
        """Refuse to combine what shares nothing, and warn where some positions are lost."""
        sizes = self.index.size, other.index.size
        if min(sizes) == 0 or shared.index.size == max(sizes):
            return
        grids = f"{_extent_in_words(self)} and {_extent_in_words(other)}"
        mine, others = (_step(index.index.to_numpy()) for index in (self, other))
        other_steps = mine and others and abs(abs(mine) - abs(others)) > 1e-3 * abs(mine)
        # a stride of the same grid shares more than its first position
        if shared.index.size == 0 or (other_steps and shared.index.size == 1):
            found = "no position" if shared.index.size == 0 else "one position only"
            raise GeometryError(
                f"The two share {found} along {self.dim!r}: {grids}. Move or resample one of "
                f"them first, for example with .brain.interp({self.dim}=...)."
            )
        warn(
            f"The two share {shared.index.size} positions along {self.dim!r} of {sizes[0]} and "
            f"{sizes[1]} ({grids}); the others are left out. Select the common part before to say "
            "that this is meant.",
            AlignmentWarning,
        )

    def _check_lattice(self, union: Self, other: Self) -> None:
        """Refuse a union of two regular grids of which neither continues the other."""
        step = _step(self.index.to_numpy())
        values = union.index.to_numpy()
        if step is None or _step(other.index.to_numpy()) is None or values.dtype.kind not in "iuf":
            return
        steps = (values - values[0]) / abs(step)
        if np.abs(steps - np.rint(steps)).max() > 1e-3 or np.diff(np.sort(steps)).min() < 0.5:
            raise GeometryError(
                f"The two lie on different grids along {self.dim!r}: {_extent_in_words(self)} and "
                f"{_extent_in_words(other)}. Bring one onto the other's first, for example with "
                f".brain.interp({self.dim}=...)."
            )

    # --- what a label meant -----------------------------------------------------------

    def _check_inside(self, name: Hashable, label: Any) -> None:
        """Refuse a label beyond the outer edges, to which some end would be the nearest."""
        values = self.index.to_numpy()
        wanted = _array_of(label)
        if isinstance(label, slice) or values.size < 2 or not _are_numbers(values, wanted):
            return
        half = float(np.abs(np.diff(values)).max()) / 2 + self._noise()
        outside = wanted[(wanted < values.min() - half) | (wanted > values.max() + half)]
        if outside.size:
            raise PositionError(self._not_found(name, float(outside.flat[0]), None))

    def _not_found(self, name: Hashable, label: Any, tolerance: Any) -> str:
        values = self.index.to_numpy()
        wanted = _array_of(label)
        if values.size == 0 or not _are_numbers(values, wanted) or wanted.size == 0:
            return f"There is no {label!r} along {name!r}, which has {values.size} positions."
        nearest = self._nearest(wanted)
        first = int(np.abs(np.atleast_1d(wanted - nearest)).argmax())
        number, near = float(np.ravel(wanted)[first]), float(np.ravel(nearest)[first])
        unit = format(u.Unit(self.units))
        what = f"{number:.10g} {unit}"
        within = "" if tolerance is None else f" within {float(np.max(tolerance)):.6g} {unit}"
        hint = f"; for {number:.10g} mm write '{number:.10g} mm'" if self._fits(number) else ""
        return (
            f"There is no {what} along {name!r}{within}: it has {_extent_in_words(self)}, and the "
            f"nearest is {near:.10g} {unit}. Plain numbers are in {unit}{hint}. The nearest is "
            "found by method='nearest', within the volume."
        )

    def _fits(self, *millimetres: float) -> bool:
        """True if numbers that lie outside would lie inside if they were millimetres."""
        if not u.is_length(self.units) or str(self.units) == "millimeter":
            return False
        low, high = self.index.min(), self.index.max()
        in_unit = [number * u.factor("millimeter", to=self.units) for number in millimetres]
        return any(low <= number <= high for number in in_unit)

    def _nearest(self, wanted: Any) -> Any:
        values = np.sort(self.index.to_numpy())
        right = np.searchsorted(values, wanted).clip(0, values.size - 1)
        left = (right - 1).clip(0)
        is_left = np.abs(wanted - values[left]) < np.abs(wanted - values[right])
        return np.where(is_left, values[left], values[right])

    def _warn_of_nothing(self, name: Hashable, label: slice, found: Any) -> None:
        values = self.index.to_numpy()
        size = values.size
        if size == 0 or not isinstance(found, slice) or len(range(*found.indices(size))):
            return
        unit = format(u.Unit(self.units))
        ends = [end for end in (label.start, label.stop) if end is not None]
        start, stop = ("" if end is None else f"{end:.10g}" for end in (label.start, label.stop))
        hint = ""
        if len(ends) == 2 and (values[-1] - values[0]) * (ends[1] - ends[0]) < 0:
            falls = "falls" if values[0] > values[-1] else "rises"
            hint = f" It {falls}, so write slice({stop}, {start})."
        elif self._fits(*ends):
            texts = (repr(f"{end} mm") if end else None for end in (start, stop))
            hint = " For millimetres write slice({}, {}).".format(*texts)
        warn(
            f"Nothing lies between {start or 'the first'} and {stop or 'the last'} {unit} along "
            f"{name!r}: it has {_extent_in_words(self)}. Plain numbers are in {unit}.{hint}",
            EmptySelectionWarning,
        )

    def _label(self, label: Any) -> Any:
        """A label as plain numbers in the coordinate's unit, without noise."""
        if isinstance(label, slice):
            start, stop = self._label(label.start), self._label(label.stop)
            return slice(start, stop, label.step)
        if isinstance(label, xr.DataArray | xr.Variable):
            values = self._label(_in_unit(label, self.units))
            return label.copy(data=values)
        converted = u.to_unit(label, self.units)
        return None if converted is None else self.snap(converted)

    def snap(self, label: Any) -> Any:
        """Replace numbers that are a coordinate but for noise by that coordinate."""
        values = self.index.to_numpy()
        wanted = np.asarray(label)
        if values.size == 0 or not _are_numbers(values, wanted):
            return label
        nearest = self._nearest(wanted)
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


def _array_of(label: Any) -> npt.NDArray[Any]:
    return np.asarray(label.values if isinstance(label, xr.DataArray | xr.Variable) else label)


def _are_numbers(*arrays: npt.NDArray[Any]) -> bool:
    return all(array.dtype.kind in "iuf" for array in arrays)


def _step(values: npt.NDArray[Any]) -> float | None:
    """Distance of positions that are evenly spaced, else None."""
    if values.size < 2 or values.dtype.kind not in "iuf":
        return None
    steps = np.diff(values)
    even = (values[-1] - values[0]) / (values.size - 1)
    return float(even) if np.abs(steps - even).max() <= 1e-3 * abs(even) else None


def _extent_in_words(index: PandasIndex) -> str:
    """First and last position, and the step: ``"20 positions, 0 to 1900 µm in steps of 100"``."""
    values = index.index.to_numpy()
    unit = format(u.Unit(index.units)) if isinstance(index, UnitIndex) else ""
    if values.size == 0 or values.dtype.kind not in "iuf":
        return f"{values.size} positions"
    if values.size == 1:
        return f"1 position at {values[0]:.10g} {unit}"
    step = _step(values)
    steps = "unevenly spaced" if step is None else f"in steps of {abs(step):.6g}"
    return f"{values.size} positions, {values[0]:.10g} to {values[-1]:.10g} {unit} {steps}"
