"""From what xarray wrote (netCDF, or a Zarr group) to a lazy volume in micrometres.

path ── opened ──▶ Dataset ── the one variable along z, y and x ──▶ source ──▶ StackArray
its coordinates, in µm, with indexes that understand quantities ──▶ Volume
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import xarray as xr

from brainxr.errors import EmptyStackError, GeometryError, VolumeError, VolumeReadError, shortlist
from brainxr.geometry import units as u
from brainxr.geometry.extra_dims import At, places
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.geometry.index import UnitIndex
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.volume import Volume
from brainxr.stacks.slices import PathLike
from brainxr.stores.chunks import ChunkLayout
from brainxr.stores.datasetsource import DatasetSource, opened
from brainxr.stores.storesource import StoreSource
from brainxr.stores.zarrstore import Location

ENDINGS = (".nc", ".nc4", ".netcdf", ".h5netcdf")


def is_netcdf(path: object) -> bool:
    """Whether it is a netCDF file, by its name.

    >>> is_netcdf("brain.nc"), is_netcdf("brain.zarr")
    (True, False)
    """
    return isinstance(path, str | os.PathLike) and os.fspath(path).lower().endswith(ENDINGS)


def find_dataset(
    path: PathLike, *, at: At | None = None, storage_options: Mapping[str, Any] | None = None
) -> Volume:
    """Find the volume in what xarray wrote.

    Costs the metadata, and the coordinates.

    Raises
    ------
    EmptyStackError
        When there is no such file.
    VolumeError, VolumeReadError
        When no variable, or more than one, lies along z, y and x; or it is damaged.
    GeometryError
        When a coordinate is missing, or in no unit of length.
    """
    location = Location.of(path, storage_options)
    if location.is_local and not os.path.exists(location.path):
        raise EmptyStackError(f"There is no file {location.path!r}. Check its path.")
    try:
        with opened(location) as dataset:
            variable = _the_variable(dataset, location.path)
            known = variable.coords.to_dataset().load()
            source = _source(location, variable)
    except (VolumeError, GeometryError):
        raise
    except (
        Exception
    ) as error:  # whatever an engine makes of damaged metadata, or that there is none
        raise VolumeReadError(
            f"{location.path!r} can't be opened by xarray ({type(error).__name__}: {error}). "
            'Restore it, or install what reads it: pip install "brainxr[netcdf]".'
        ) from error
    return _volume(source, variable, known, at or {})


def has_volume(location: Location) -> bool:
    """Whether a Zarr group has a variable along z, y and x, and a coordinate of one of them.

    Without any, it may as well be an image of OME-Zarr that lost its metadata.
    """
    try:
        with opened(location) as dataset:
            placed = any(dim in dataset.coords for dim in DIMS)
            return placed and any(set(DIMS) <= set(v.dims) for v in dataset.data_vars.values())
    except Exception:  # no group of xarray's: no volume
        return False


def _the_variable(dataset: xr.Dataset, where: str) -> xr.DataArray:
    found = sorted(str(n) for n, v in dataset.data_vars.items() if set(DIMS) <= set(v.dims))
    if len(found) == 1:
        return dataset[found[0]]
    if not found:
        there = [f"{n} ({', '.join(map(str, v.dims))})" for n, v in dataset.data_vars.items()]
        raise VolumeError(
            f"{where!r} has no variable along z, y and x; it has {shortlist(there) or 'none'}. "
            "Open it by xarray.open_dataset, and rename its axes."
        )
    raise VolumeError(
        f"{where!r} has {len(found)} volumes: {shortlist(found)}. Choose one by xarray, for "
        f"example xarray.open_dataset(path)[{found[0]!r}].brain.with_unit_index()."
    )


def _source(location: Location, variable: xr.DataArray) -> StoreSource | DatasetSource:
    """By our own reader of chunks, where nothing but unpacking is to be done."""
    axes, shape, encoding = tuple(map(str, variable.dims)), variable.shape, variable.encoding
    fill = encoding.get("_FillValue")
    as_stored = not {"scale_factor", "add_offset"} & set(encoding) and (
        fill is None or (variable.dtype.kind == "f" and fill != fill)
    )
    if not os.path.isfile(location.path) and as_stored:
        inside = location.inside(str(variable.name))
        array: Any = inside.open()
        native = array.dtype.newbyteorder("=")
        if native == variable.dtype:
            layout = ChunkLayout.of(array.metadata.to_dict())
            return StoreSource(inside, axes, shape, array.chunks, native, layout)
    chunks = encoding.get("chunksizes") or encoding.get("chunks") or (1, *shape[1:])
    return DatasetSource(
        location, axes, shape, tuple(map(int, chunks)), variable.dtype, str(variable.name)
    )


def _volume(
    source: StoreSource | DatasetSource, variable: xr.DataArray, known: xr.Dataset, at: At
) -> Volume:
    where = source.place if isinstance(source, DatasetSource) else os.path.dirname(source.place)
    sizes = {d: n for d, n in zip(source.axes, source.shape, strict=True) if d not in DIMS}
    taken = places(at, sizes, where, VolumeError)
    known = known.isel(taken, missing_dims="ignore")
    unnamed = {d: n for d, n in taken.items() if sizes[d] > 1 and d not in known.coords}
    known = known.assign_coords(unnamed)
    for dim in DIMS:
        known = _in_micrometers(known, dim, where)
    order = tuple(i for i, dim in enumerate(source.axes) if dim in DIMS)
    choices = (taken.get(d, range(n)) for d, n in zip(source.axes, source.shape, strict=True))
    array = StackArray(source, tuple(choices), order).arrange(*DIMS)
    return Volume(array, known.coords, {"source": where, **variable.attrs}, str(variable.name))


def _in_micrometers(known: xr.Dataset, dim: str, where: str) -> xr.Dataset:
    attrs = dict(known[dim].attrs) if dim in known.coords else {}
    if not u.is_length(attrs.get("units")):
        found = "no coordinate" if dim not in known.coords else f"the unit {attrs.get('units')!r}"
        raise GeometryError(
            f"The axis {dim!r} of {where!r} has {found}, expected positions in a unit of length. "
            f"Open it by xarray, and say them: data.assign_coords({dim}=('{dim}', positions, "
            "{'units': 'micrometer'}))."
        )
    factor = u.factor(attrs["units"], to=u.MICROMETER)
    values = known[dim].values * factor
    attrs |= {"units": u.MICROMETER}
    if "spacing" in attrs:
        attrs["spacing"] = float(attrs["spacing"]) * factor
    step = _even_step(values)
    if step is not None:
        attrs.setdefault("spacing", step)
    index = UnitIndex(values, dim)
    variables = index.create_variables({dim: xr.Variable(dim, values, attrs)})
    return known.drop_vars(dim).assign_coords(xr.Coordinates(variables, indexes={dim: index}))


def _even_step(values: npt.NDArray[Any]) -> float | None:
    """Distance of neighbours, where it is one."""
    try:
        lattice = Lattice.of(xr.DataArray(values, dims="p", attrs={"units": u.MICROMETER}))
    except GeometryError:
        return None
    return None if lattice.has_gaps else abs(lattice.step)
