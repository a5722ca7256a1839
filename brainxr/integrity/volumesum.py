"""A fingerprint of a volume's voxels and their places, whatever they are stored in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry import units as u
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.slabs import Slab, anywhere, cut, in_parallel, refuse_big_parts
from brainxr.lazy.unloaded import stack_of
from brainxr.progress import with_progress

# What the fingerprint begins with: the version of the algorithm and the hash.
PREFIX = "brainxr-1-sha256:"

PICOMETRES_PER_MICROMETRE = 1_000_000

# From planes and rows to their values, shape (planes, rows, columns).
Read: TypeAlias = Callable[[range, range], npt.NDArray[Any]]


def checksum(volume: xr.DataArray, *, progress: bool | None = None) -> str:
    """A fingerprint of a volume's voxels and of where they are.

    Two volumes have the same one where their type, coordinates and every voxel are the same:
    a folder of slices, a zip of it and its copies in OME-Zarr and NIfTI, whatever the chunks,
    codecs and byte order, and the order of the axes. Name, attributes and coordinates
    beside z, y and x don't count. Reads all voxels once, on all processors, in memory for a
    few slices (32 MiB a thread).

    The algorithm, for others to compute it:

    1. Bring the axes into the order z, y, x; one that is a scalar coordinate has length one.
    2. The digest of a slice is the SHA-256 of its voxels along y, then x (C order),
       little-endian, bool as a byte. There is one for each z.
    3. The header is this JSON, keys sorted, without spaces, in ASCII:
       ``{"dtype":"<u2","picometres":{"x":[0,...],"y":[...],"z":[...]},"version":1}``, where
       ``dtype`` is numpy's ``dtype.str`` of the little-endian type, and each list has
       the coordinate of every voxel's centre along that axis in whole picometres: rounded,
       halves to even.
    4. The fingerprint is ``"brainxr-1-sha256:"`` and the SHA-256, in hexadecimal, of the header
       followed by the 32 bytes of each slice's digest.

    Parameters
    ----------
    volume : xarray.DataArray, dims z, y, x or some of them, in any order
        Coordinates in a unit of length.
    progress : bool, optional
        Whether to show a bar. Default: in a terminal, after two seconds.

    Returns
    -------
    str

    Raises
    ------
    GeometryError
        When there are other axes, or a coordinate has no unit of length.
    SliceReadError, InconsistentStackError, StoreReadError
        When a slice or chunk can't be read.
    TooBigError
        When what is decoded together would not fit in memory.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> whole = brainxr.checksum(vol)
    >>> whole == brainxr.checksum(vol.transpose("x", "y", "z").load())
    True
    >>> whole == brainxr.checksum(vol.isel(z=slice(1, None)))
    False
    """
    volume = _arranged(volume)
    dtype = volume.dtype.newbyteorder("<")
    found = hashlib.sha256(_header(volume, dtype).encode("ascii"))
    read, grain = _reader(volume)
    slabs = cut(volume.shape, grain, dtype.itemsize)
    part = len(slabs[0].planes), len(slabs[0].bands[0]), volume.shape[2]
    refuse_big_parts(part, dtype.itemsize, len(slabs))
    each = in_parallel if _stack_of_three(volume) is None else anywhere
    digests = each(partial(_digests, read, dtype), slabs)
    for digest in with_progress(digests, "checksum", "slab", progress, len(slabs)):
        found.update(digest)
    return PREFIX + found.hexdigest()


def _arranged(volume: xr.DataArray) -> xr.DataArray:
    """The same with the axes z, y and x, in this order."""
    if not isinstance(volume, xr.DataArray):
        raise TypeError(
            f"A checksum is one of a DataArray, such as brainxr.open gives, not of a "
            f"{type(volume).__name__}. Of a Dataset choose a variable: ds['intensity']."
        )
    others = [str(dim) for dim in volume.dims if dim not in DIMS]
    lacking = [dim for dim in DIMS if dim not in volume.dims and dim not in volume.coords]
    if others or lacking:
        raise GeometryError(
            f"A checksum is one of the axes z, y and x; this array has {volume.dims}. Choose one "
            "place along others, and give those that it lacks a coordinate: "
            "data.assign_coords(z=...)."
        )
    if volume.dtype.kind not in "biufc":
        raise TypeError(f"Values of type {volume.dtype} have no fixed bytes, so no checksum.")
    missing = [dim for dim in DIMS if dim not in volume.dims]
    return volume.expand_dims(missing).transpose(*DIMS)


def _header(volume: xr.DataArray, dtype: np.dtype[Any]) -> str:
    places = {dim: _picometres(volume[dim]) for dim in DIMS}
    header = {"version": 1, "dtype": dtype.str, "picometres": places}
    return json.dumps(header, sort_keys=True, separators=(",", ":"))


def _picometres(coordinate: xr.DataArray) -> list[int]:
    unit = coordinate.attrs.get("units")
    if not u.is_length(unit):
        Lattice.of(coordinate)  # which says what is wrong with it
    values = np.asarray(coordinate.values, np.float64) * u.factor(str(unit), to=u.MICROMETER)
    rounded: list[int] = np.rint(values * PICOMETRES_PER_MICROMETRE).astype(np.int64).tolist()
    return rounded


def _reader(volume: xr.DataArray) -> tuple[Read, tuple[int, int]]:
    """How its planes and rows are read, and how many are decoded together."""
    stack = _stack_of_three(volume)
    if stack is not None:
        planes, rows = (stack.source.grain[axis] for axis in stack.order[:2])
        return partial(_read_stack, stack), (planes, rows)
    chunks = volume.chunksizes
    planes, rows = (max(chunks[dim], default=1) if dim in chunks else 1 for dim in DIMS[:2])
    return partial(_read_any, volume), (planes, rows)


def _stack_of_three(volume: xr.DataArray) -> StackArray | None:
    """What is read from files as it is; None for what is computed, in memory, or one plane."""
    stack = stack_of(volume)
    return stack if stack is not None and stack.ndim == len(DIMS) else None


def _read_stack(stack: StackArray, planes: range, rows: range) -> npt.NDArray[Any]:
    return stack.select((_as_slice(planes), _as_slice(rows))).read()


def _read_any(volume: xr.DataArray, planes: range, rows: range) -> npt.NDArray[Any]:
    part: npt.NDArray[Any] = volume.isel(z=_as_slice(planes), y=_as_slice(rows)).values
    return part


def _as_slice(places: range) -> slice:
    return slice(places.start, places.stop)


def _digests(read: Read, dtype: np.dtype[Any], slab: Slab) -> bytes:
    """The digests of a slab's planes, which are read band by band."""
    hashes = [hashlib.sha256() for _ in slab.planes]
    for band in slab.bands:
        for one, plane in zip(hashes, read(slab.planes, band), strict=True):
            one.update(np.ascontiguousarray(plane, dtype).data)
    return b"".join(one.digest() for one in hashes)
