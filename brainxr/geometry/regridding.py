"""Volumes on other coordinates, with index, unit, spacing and dtype kept.

xarray's own ``coarsen``, ``interp`` and ``reindex`` make a plain index of their results, whose
``.sel`` compares texts letter by letter and takes quantities for plain numbers. These
functions do the same work and give the result the index that `brainxr.open` gives.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from brainxr.errors import GeometryError, PositionError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice, SpacingLike, VoxelGrid, per_axis
from brainxr.geometry.index import UnitIndex

Boundary: TypeAlias = Literal["exact", "trim", "pad"]

# Reductions whose result is a value of the same kind as what is reduced.
_SAME_KIND = {"mean", "median", "min", "max"}


def coarsen(
    data: xr.DataArray, windows: Mapping[Any, int], method: str = "mean",
    boundary: Boundary = "exact",
) -> xr.DataArray:  # fmt: skip
    """Reduce blocks of voxels to one voxel each.

    Parameters
    ----------
    data : xarray.DataArray
    windows : mapping of dim to int
        Voxels of a block along each axis.
    method : str
        A reduction of xarray's ``coarsen``: ``"mean"``, ``"max"``, ``"sum"``, ...
    boundary : {"exact", "trim", "pad"}
        What to do where an axis is not a multiple of its window, as in xarray.

    Returns
    -------
    xarray.DataArray
        Positions are the centres of the blocks. Means, medians and extremes keep the dtype;
        integers are rounded to the nearest, halves to the even one.
    """
    blocks: Any = data.coarsen(dict(windows), boundary=boundary)
    if not hasattr(blocks, method):
        raise ValueError(
            f"method={method!r} is not a reduction of xarray's coarsen, such as 'mean'."
        )
    result = getattr(blocks, method)()
    if method in _SAME_KIND:
        result = _as_type(result, data.dtype)
    for dim, window in windows.items():
        if dim in data.coords:
            thickness = _thickness(data[dim])
            result = _restore(result, data[dim], thickness and thickness * window)
    return _restore_others(result, data)


def interp(data: xr.DataArray, places: Mapping[Any, Any], method: Any = "linear") -> xr.DataArray:
    """Interpolate at other positions, which may be texts and quantities.

    Raises
    ------
    PositionError
        When a position lies outside of the voxels' centres, where nothing is known.
    """
    wanted = {dim: _in_unit(data, dim, labels) for dim, labels in places.items()}
    for dim, values in wanted.items():
        _refuse_outside(data[dim], np.asarray(values))
    result = _as_type(data.interp(wanted, method=method), data.dtype)
    for dim in places:
        result = _restore(result, data[dim], _thickness(data[dim]))
    return _restore_others(result, data)


def reindex(
    data: xr.DataArray, places: Mapping[Any, Any], method: Any = None,
    tolerance: Any = None, fill_value: Any = None,
) -> xr.DataArray:  # fmt: skip
    """Select positions, which may be texts and quantities; others are filled.

    Parameters
    ----------
    data : xarray.DataArray
    places : mapping of dim to positions
    method, tolerance
        As in ``xarray.DataArray.reindex``.
    fill_value : scalar, optional
        Value of positions that are not there. Default: NaN, for which integers become floats.
    """
    wanted = {dim: np.atleast_1d(_in_unit(data, dim, labels)) for dim, labels in places.items()}
    indexed = with_unit_index(data, list(wanted))
    for dim in wanted:
        index: Any = indexed.xindexes[dim]
        wanted[dim] = np.atleast_1d(index.snap(wanted[dim]))
    options = {} if fill_value is None else {"fill_value": fill_value}
    result = indexed.reindex(wanted, method=method, tolerance=tolerance, **options)
    for dim in wanted:
        result = _restore(result, data[dim], _thickness(data[dim]))
    return _restore_others(result, data)


def to_unit(data: xr.DataArray, unit: str) -> xr.DataArray:
    """Convert the spatial coordinates to another unit of length.

    >>> volume(np.zeros((2, 3, 4)), spacing="0.1 mm").pipe(to_unit, "mm").z.values.tolist()
    [0.0, 0.1]
    """
    if not u.is_length(unit):
        raise GeometryError(
            f"{unit!r} is not a unit of length. Write one, for example 'mm' or 'micrometer'."
        )
    name = u.full_name(unit)
    for dim in [dim for dim in DIMS if dim in data.coords]:
        old = data[dim]
        factor = u.factor(u.length_unit(old, dim), to=name)
        attrs = {**old.attrs, "units": u.Unit(name)}
        if "spacing" in attrs:
            attrs["spacing"] = _times(float(attrs["spacing"]), factor)
        values = _times(old.values, factor)
        data = data.assign_coords({dim: old.variable.to_base_variable().copy(data=values)})
        data[dim].attrs = attrs
    return with_unit_index(data, [dim for dim in DIMS if dim in data.dims])


def _times(lengths: Any, factor: float) -> Any:
    """Multiply by division where that is exact: 100 µm are 0.1 mm, and not 0.1000...01."""
    return lengths * factor if factor >= 1 else lengths / (1 / factor)


def volume(
    array: Any, *, spacing: SpacingLike | None = None, origin: SpacingLike = 0,
    like: xr.DataArray | None = None, dims: tuple[str, ...] | None = None, name: str | None = None,
) -> xr.DataArray:  # fmt: skip
    """Make a volume of any array: axes z, y and x with positions in µm.

    Costs no copy; lazy arrays stay lazy.

    Parameters
    ----------
    array : array_like, shape (z, y, x) or (y, x)
        numpy, dask, or a DataArray whose dims are kept.
    spacing : float, str, pint.Quantity or mapping of these
        Distance of neighbouring voxel centres, in µm where no unit is given; for all axes, or
        by axis: ``{"z": "50 µm", "y": 25, "x": 25}``.
    origin : float, str, pint.Quantity or mapping of these
        Position of the centre of voxel (0, 0, 0).
    like : xarray.DataArray, optional
        Volume of the same shape whose coordinates are taken, instead of `spacing`.
    dims : tuple of str, optional
        Names of the axes. Default: those of `array`, else the last of z, y, x.
    name : str, optional

    Returns
    -------
    xarray.DataArray
        With the index that understands ``.sel(z="5 mm")``.

    Raises
    ------
    GeometryError
        When neither `spacing` nor `like` is given, or they do not fit the array.

    Examples
    --------
    >>> vol = brainxr.volume(np.zeros((3, 4, 5)), spacing={"z": "0.1 mm", "y": 25, "x": 25})
    >>> vol.sel(z="0.2 mm").shape
    (4, 5)
    """
    data = (
        array if isinstance(array, xr.DataArray) else xr.DataArray(array, dims=_dims(array, dims))
    )
    if name is not None:
        data = data.rename(name)
    spatial = [str(dim) for dim in data.dims if dim in DIMS]
    if like is not None:
        return _like(data, like, spatial)
    steps = per_axis(spacing, "spacing", positive=True, dims=spatial or DIMS)
    first = per_axis(origin, "origin", dims=spatial or DIMS)
    lacking = [dim for dim in spatial if dim not in steps]
    if lacking or not spatial:
        raise GeometryError(
            f"The spacing along {', '.join(lacking) or 'z, y or x'} is not known. Pass it, for "
            "example brainxr.volume(array, spacing={'z': '100 µm', 'y': 25, 'x': 25})."
        )
    grid = VoxelGrid(
        {dim: data.sizes[dim] for dim in spatial}, steps,
        {dim: first.get(dim, 0.0) for dim in spatial},
    )  # fmt: skip
    return data.drop_vars(spatial, errors="ignore").assign_coords(grid.coordinates())


def _dims(array: Any, dims: tuple[str, ...] | None) -> tuple[str, ...]:
    ndim = np.ndim(array)
    if dims is None and not 1 <= ndim <= len(DIMS):
        raise GeometryError(
            f"An array of {ndim} dimensions has axes besides z, y and x. Name them, for example "
            "brainxr.volume(array, dims=('c', 'z', 'y', 'x'), spacing=...)."
        )
    return DIMS[len(DIMS) - ndim :] if dims is None else dims


def _like(data: xr.DataArray, like: xr.DataArray, spatial: list[str]) -> xr.DataArray:
    for dim in spatial:
        if like.sizes.get(dim) != data.sizes[dim]:
            raise GeometryError(
                f"The array has {data.sizes[dim]} voxels along {dim!r}, and like= has "
                f"{like.sizes.get(dim, 'no such axis')}. Pass a volume of this shape, or spacing=."
            )
    scalars = [dim for dim in DIMS if dim in like.coords and like[dim].ndim == 0]
    kept = like.coords.to_dataset()[[*spatial, *scalars]].coords
    return data.drop_vars([*spatial, *scalars], errors="ignore").assign_coords(kept)


# --- what xarray drops -------------------------------------------------------------------


def with_unit_index(data: xr.DataArray, names: Iterable[Any]) -> xr.DataArray:
    """Give coordinates the index that understands units, where they have another one."""
    plain = [n for n in names if n in data.coords and type(data.xindexes.get(n)) is not UnitIndex]
    for name in plain:
        data = data.drop_indexes(name) if name in data.xindexes else data
        data = data.set_xindex(name, UnitIndex)
    return data


def _restore(result: xr.DataArray, old: xr.DataArray, thickness: float | None) -> xr.DataArray:
    """Give a coordinate its attributes back, with the thickness of its voxels now."""
    name = old.name
    attrs = {key: value for key, value in old.attrs.items() if key != "spacing"}
    if thickness is not None and math.isfinite(thickness):
        attrs["spacing"] = thickness
    result[name].attrs = attrs
    return result


def _restore_others(result: xr.DataArray, data: xr.DataArray) -> xr.DataArray:
    names = [n for n in result.dims if n in data.coords and "units" in data[n].attrs]
    return with_unit_index(result, names)


def _thickness(coordinate: xr.DataArray) -> float | None:
    """Spacing of a coordinate in its own unit; None where nothing tells it."""
    try:
        step = abs(Lattice.of(coordinate).step)
    except GeometryError:
        return None
    return step * u.factor(u.MICROMETER, to=str(coordinate.attrs["units"]))


def _as_type(result: xr.DataArray, dtype: np.dtype[Any]) -> xr.DataArray:
    if result.dtype == dtype:
        return result
    return (result.round() if dtype.kind in "iu" else result).astype(dtype)


def _in_unit(data: xr.DataArray, dim: Hashable, labels: Any) -> Any:
    """Labels as plain numbers in the unit of a coordinate."""
    if dim not in data.coords or "units" not in data[dim].attrs:
        raise GeometryError(
            f"Coordinate {dim!r} has no unit. Make a volume first, for example "
            "brainxr.volume(data, spacing='100 µm')."
        )
    unit = str(data[dim].attrs["units"])
    if isinstance(labels, xr.DataArray | xr.Variable):
        own = labels.attrs.get("units", unit)
        values = labels.values if own == unit else labels.values * u.factor(own, to=unit)
        return labels.copy(data=u.to_unit(values, unit)) if dim not in labels.dims else values
    converted = u.to_unit(labels, unit)
    return np.asarray(converted, float) if not np.isscalar(converted) else converted


def _refuse_outside(coordinate: xr.DataArray, wanted: Any) -> None:
    low, high = float(coordinate.min()), float(coordinate.max())
    noise = 1e-6 * (high - low)
    outside = wanted[(wanted < low - noise) | (wanted > high + noise)] if wanted.size else wanted
    if outside.size:
        unit = format(u.Unit(coordinate.attrs["units"]))
        raise PositionError(
            f"{float(np.ravel(outside)[0]):.10g} {unit} lies outside of {coordinate.name!r}, whose "
            f"voxel centres go from {low:.10g} to {high:.10g} {unit}. Choose a position in "
            f"between; plain numbers are in {unit}."
        )
