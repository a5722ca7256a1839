"""A volume as a NIfTI file, slab by slab.

DataArray ── as_volume ──▶ axes z, y, x, each with a place ── Lattice.of ──▶ affine, header
slabs along z, one read ahead ── GzipWriter | file ──▶ a hidden file ── whole_file ──▶ the file
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.utils import parse_bytes

from brainxr.cluster import active_client, in_order
from brainxr.errors import GeometryError, TooBigError, VolumeError
from brainxr.geometry.grid import DIMS, Lattice
from brainxr.geometry.orientation import GROWS, ROTATION, turned_round
from brainxr.lazy.ahead import one_ahead
from brainxr.lazy.cost import show_bytes
from brainxr.lazy.unloaded import stack_of
from brainxr.nifti.affine import WORLD, to_affine
from brainxr.nifti.header import can_hold, new_header
from brainxr.progress import Callback, Progress, with_callback, with_progress
from brainxr.stacks.slices import PathLike
from brainxr.writing.budget import refuse_budget
from brainxr.writing.gzipwriter import GzipWriter
from brainxr.writing.scratch import computed_once
from brainxr.writing.slabtask import SlabTask
from brainxr.writing.storing import VERSION
from brainxr.writing.wholefile import checked_target, refuse_full_disk, whole_file

MEMORY = "1 GiB"

# Bytes of a slab of what is read: more are no faster.
SLAB_BYTES = 64 << 20

# Slabs that are in memory at a time: one written, one that waits, one being read, which
# takes as much again where it is computed.
SLABS_AT_ONCE = 4


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, content: Any, /) -> Any: ...


def to_nifti(
    data: xr.DataArray, path: PathLike, *, version: int | None = None, memory: str | int = MEMORY,
    overwrite: bool = False, progress: bool | None = None, callback: Callback | None = None,
) -> Path:  # fmt: skip
    """Write a volume as a NIfTI file, every voxel at the place that its coordinates say.

    Reads or computes every voxel once, in slabs along z, and holds a few of these in memory.
    Where dask's chunks are deeper along z than slabs can be, what is computed lies on the disk
    until it is written, which takes room there. The file is written beside its place and put
    there when it is whole; what stood there before stays until then, and for good where
    there was an error, or Ctrl-C.

    Parameters
    ----------
    data : xarray.DataArray
        Of the axes z, y and x in any order, on a regular grid in a unit of length: an opened
        volume, a selection, something computed. A plane keeps the place at which it was cut,
        and is as thick as its coordinate's ``spacing`` says.
    path : path-like
        ``.nii``, or ``.nii.gz`` to pack it.
    version : {1, 2}, optional
        Of NIfTI. Default: 1, which all programs read, unless an axis has more than 32767
        voxels or the places need more than 7 digits.
    memory : str or int
        What the slabs may take, ``"1 GiB"`` or bytes.
    overwrite : bool
        Replace a file that is there.
    progress : bool, optional
        Whether to show a bar. Default: in a terminal, after two seconds.
    callback : callable, optional
        Is given a `brainxr.progress.Progress` at the beginning and after each slab that is
        written. What it raises ends the writing, and leaves nothing.

    Returns
    -------
    pathlib.Path
        Of the file, absolute.

    Raises
    ------
    GeometryError
        When the volume has gaps, no spacing or unit, no place along an axis, or other axes
        than z, y and x.
    VolumeError
        When NIfTI has no such type of values, or version 1 no room.
    TooBigError
        When `memory` has no room for the thinnest slabs.
    FileExistsError
        When there is a file, and `overwrite` is False.
    OSError
        When the folder is not there, or the disk has no room for it.
    MissingExtraError
        When nibabel is not installed.

    Notes
    -----
    The affine (sform, and qform as far as that goes) is in millimetres, and xyzt_units says
    so. NIfTI's x, y and z grow to the right, to the front and to the top. A volume that
    NIfTI or MGH was opened from keeps its space and its rotation. Where a coordinate has the
    attribute ``orientation`` (``"left-to-right"``, or the reverse), it is followed; where it
    has none, as of a stack of TIFF, positions are written as they are and nothing is known of
    left and right: the field ``descrip`` says so.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> to_nifti(vol[::2, ::2, ::2], "small.nii.gz").name
    'small.nii.gz'
    """
    target = checked_target(path, (".nii.gz", ".nii"), "NIfTI", overwrite)
    volume = as_volume(data)
    header = _header(data, volume, version)
    budget = parse_bytes(memory)
    most = _planes_that_fit(volume, budget)
    refuse_budget(budget, volume)
    packs = target.name.lower().endswith(".gz")
    through_disk = max(_depths(volume), default=0) > most
    copies = (not packs) + through_disk
    refuse_full_disk(copies * (len(header) + volume.nbytes), target.parent)
    with ExitStack() as until_written:
        read: Callable[[slice], npt.NDArray[Any]] = partial(_values, volume)
        if through_disk:  # planes of a chunk that doesn't fit would each compute all of it
            once = computed_once(volume, target, budget, progress, partial(_tell, volume, callback))
            read = until_written.enter_context(once).planes
        hidden = until_written.enter_context(whole_file(target, overwrite))
        sink = until_written.enter_context(_sink(hidden, packs))
        sink.write(header)
        slabs = _slabs(volume, most)
        place = None if packs or through_disk else (hidden, len(header))
        written = _all_written(volume, slabs, read, sink, place)
        sizes = [(slab.stop - slab.start) * _bytes_of_plane(volume) for slab in slabs]
        each = with_callback(written, sizes, callback)
        for _ in with_progress(each, target.name, "slab", progress, len(slabs)):
            pass
    return target


def as_volume(data: xr.DataArray) -> xr.DataArray:
    """The volume as it is stored: z, y and x in this order, a cut one with length one.

    Raises
    ------
    GeometryError
        When it has other axes, or no place along one of these.
    VolumeError
        When its values are of a type that NIfTI hasn't.
    """
    others = [str(dim) for dim in data.dims if dim not in DIMS]
    if others:
        raise GeometryError(
            f"The volume has the axis {others[0]!r}; z, y and x are written. Select one place "
            f"along it, for example data.isel({others[0]}=0)."
        )
    lost = [dim for dim in DIMS if dim not in data.coords]
    if lost:
        raise GeometryError(
            f"The volume has no coordinate {lost[0]!r}, so it has no place there. Of a projection, "
            f"say where it should lie and how thick it is, for example data.assign_coords("
            f"{lost[0]}=xarray.Variable((), 0.0, {{'units': 'micrometer', 'spacing': 100.0}}))."
        )
    if data.dtype == bool:  # a mask, for which every program takes 0 and 1
        data = data.astype("uint8")
    if not can_hold(data.dtype):
        wider = {"b": "uint8", "f": "float32"}.get(data.dtype.kind, "float64")
        raise VolumeError(
            f"NIfTI has no values of type {data.dtype}. Convert them, for example by "
            f"data.astype({wider!r})."
        )
    return data.expand_dims([dim for dim in DIMS if dim not in data.dims]).transpose(*DIMS)


# --- the header -------------------------------------------------------------------


def _header(data: xr.DataArray, volume: xr.DataArray, version: int | None) -> bytes:
    if version not in (None, 1, 2):
        raise VolumeError(f"version={version!r} is none of 1, 2.")
    lattices = {dim: Lattice.of(data[dim]) for dim in DIMS}
    for dim, lattice in lattices.items():
        lattice.check_complete(dim)
    signs = {dim: _sign(data[dim]) for dim in DIMS}
    known = None not in signs.values()
    affine = to_affine(
        {dim: lattice.start * (signs[dim] or 1) for dim, lattice in lattices.items()},
        {dim: lattice.step * (signs[dim] or 1) for dim, lattice in lattices.items()},
        data.attrs.get(ROTATION),
    )
    oriented = known or ROTATION in data.attrs
    description = "" if oriented else "; left and right are not known"
    return new_header(
        [volume.sizes[dim] for dim in WORLD], volume.dtype, affine,
        space=str(data.attrs.get("space", "")), version=version,
        description=f"brainxr {VERSION}: placed by its coordinates{description}",
        note=json.dumps(_provenance(data), ensure_ascii=False),
    )  # fmt: skip


def _sign(coordinate: xr.DataArray) -> int | None:
    """Whether a coordinate grows as NIfTI's does; None where nobody says so."""
    words = coordinate.attrs.get("orientation")
    if words is None:
        return None
    grows = GROWS[str(coordinate.name)]
    if words == grows:
        return 1
    if words == turned_round(grows):
        return -1
    raise GeometryError(
        f"The attribute 'orientation' of {coordinate.name!r} is {words!r}; expected {grows!r} or "
        "the reverse. Correct it, or remove it where it isn't known."
    )


def _provenance(data: xr.DataArray) -> Mapping[str, str]:
    """What it was made of, for people to read."""
    told = ("source", "spacing_source", "citation", "license")
    kept = {key: str(data.attrs[key]) for key in told if key in data.attrs}
    return {"brainxr": VERSION, **kept}


# --- the values -------------------------------------------------------------------


def _depths(volume: xr.DataArray) -> tuple[int, ...]:
    """Planes of the chunks in which dask computes it; none of what is read, or in memory."""
    return volume.chunks[0] if stack_of(volume) is None and volume.chunks else ()


def _planes_that_fit(volume: xr.DataArray, memory: int) -> int:
    a_plane = _bytes_of_plane(volume)
    most = memory // SLABS_AT_ONCE // max(1, a_plane)
    if most < 1 and a_plane:
        raise TooBigError(
            f"A plane across z takes {show_bytes(a_plane)}, and memory={show_bytes(memory)} has to "
            f"hold {SLABS_AT_ONCE}. Allow more, or write a part: data.sel(...)."
        )
    return most


def _slabs(volume: xr.DataArray, most: int) -> list[slice]:
    """Planes that are read together: of what is computed, whole chunks where they fit."""
    depths = _depths(volume)
    if max(depths, default=most + 1) <= most:
        return _along_chunks(depths, most)
    depth, step = volume.shape[0], max(1, min(most, SLAB_BYTES // max(1, _bytes_of_plane(volume))))
    return [slice(i, min(i + step, depth)) for i in range(0, depth, step)]


def _along_chunks(chunks: tuple[int, ...], most: int) -> list[slice]:
    """Whole chunks, as many as fit in memory."""
    slabs: list[slice] = []
    first = 0
    for size in chunks:
        last = slabs[-1] if slabs else None
        if last is not None and first + size - last.start <= min(most, size):
            slabs[-1] = slice(last.start, first + size)
        else:
            slabs.append(slice(first, first + size))
        first += size
    return slabs


def _tell(volume: xr.DataArray, callback: Callback | None) -> None:
    """Nothing is written yet, and whoever wants to may end it."""
    if callback is not None:
        callback(Progress(0, volume.shape[0], 0, volume.nbytes))


def _bytes_of_plane(volume: xr.DataArray) -> int:
    return math.prod(volume.shape[1:]) * volume.dtype.itemsize


def _all_written(
    volume: xr.DataArray, slabs: list[slice], read: Callable[[slice], npt.NDArray[Any]],
    sink: Sink, place: tuple[Path, int] | None,
) -> Iterator[object]:  # fmt: skip
    """Write the slabs, and give something for each.

    On a cluster each worker writes what it reads into the file, at a place that is known
    where nothing is packed. Packed by gzip they are one stream, which has one writer.
    """
    client = None if place is None else active_client()
    source = stack_of(volume)
    if client is None or place is None or (source is None and volume.chunks is None):
        return (sink.write(values.data) for values in one_ahead(read, slabs))
    path, offset = place
    dtype = volume.dtype.newbyteorder("<")
    task = SlabTask(str(path), offset, _bytes_of_plane(volume), dtype, source)
    computed = [volume.isel(z=slab).data if source is None else None for slab in slabs]
    return in_order(client, task, slabs, computed)


def _values(volume: xr.DataArray, slab: slice) -> npt.NDArray[Any]:
    values = volume.isel(z=slab).values
    return np.ascontiguousarray(values, volume.dtype.newbyteorder("<"))


# --- the file ---------------------------------------------------------------------


@contextmanager
def _sink(hidden: Path, packs: bool) -> Iterator[Sink]:
    """What to write to; on the disk when the block is left."""
    with open(hidden, "wb") as file:
        packer = GzipWriter(file) if packs else None
        yield packer or file
        if packer is not None:
            packer.finish()
        _flush(file)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
