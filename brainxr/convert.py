"""A volume becomes a pyramid in an OME-Zarr store.

DataArray ── _stored ──▶ rising axes in the order z, y, x ── Pyramid.of ──▶ levels, boxes
boxes ── one dask graph, a task each: read, halve, pack, write ──▶ unfinished store
all boxes finished ── metadata, limits of contrast ── one rename ──▶ store
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.utils import parse_bytes

from brainxr.arraymeta import STORABLE, array_files, group_files, to_json
from brainxr.backend import stack_of
from brainxr.blocking import SHARD, Axis, Blocking, per_axis, plan, transposed, unsharded
from brainxr.boxwriter import BoxWriter
from brainxr.contrast import contrast_limits
from brainxr.errors import GeometryError, StoreError, StoreExistsError
from brainxr.extras import Extra
from brainxr.grid import DIMS, VoxelGrid
from brainxr.lazyarray import StackArray
from brainxr.ngff import VERSIONS, Channel, Image, Level, Version, coarser, to_attributes
from brainxr.progress import Callback, Reporter
from brainxr.pyramid import METHODS, Method, scale_factors
from brainxr.shards import CODECS, CodecName, Packing
from brainxr.slices import PathLike
from brainxr.tasks import run_boxes
from brainxr.unfinished import Unfinished

MEMORY = "1 GiB"


def to_ome_zarr(
    data: xr.DataArray, path: PathLike, *, version: Version = "0.5", levels: int | None = None,
    method: Method = "mean", chunks: Any = None, shards: Any = None, codec: CodecName = "lz4",
    memory: str | int = MEMORY, overwrite: bool = False, progress: bool = True,
    callback: Callback | None = None,
) -> Path:  # fmt: skip
    """Write a volume as a pyramid into an OME-Zarr store, from which it opens as it was.

    Every slice is read once, whatever the number of levels. The store is written beside
    its place and put there by one rename when it is whole. What was interrupted (by
    Ctrl-C, a kill, a power cut, a full disk) goes on where it was when the same is asked
    for again.

    Parameters
    ----------
    data : xarray.DataArray
        Of the axes z, y and x, or two of them, on a regular grid in a unit of length: an
        opened stack or store, a selection, a computed volume, a mask. Falling axes are
        stored rising, and fall again when they are opened; axes in another order are
        stored as z, y, x.
    path : path-like
        Of the store; by custom ``NAME.ome.zarr``.
    version : {"0.5", "0.4"}
        Of OME-Zarr. 0.5 is Zarr 3, in shards, with checksums. 0.4 is Zarr 2, for programs
        that read nothing newer: a file for each chunk, and no checksums.
    levels : int, optional
        How many, with level 0. Default: until the longest axis has at most 128 voxels.
        Each halves the axes whose voxels are not much longer than the shortest.
    method : {"mean", "mode", "nearest"}
        How a level is made of the one before. ``"mean"``: integers rounded to the
        nearest, halves to the even one; NaN left out; of a mask, whether more than half
        are true. ``"mode"`` and ``"nearest"`` for labels; see `brainxr.pyramid.halve`.
    chunks, shards : int or mapping of str to int, optional
        Voxels of level 0 along each axis that are compressed together, and that are in
        one file. Default: 64 along each axis, and as much of a file as `memory` allows.
        A shard of a coarser level covers the same part of the volume or more.
    codec : {"lz4", "zstd", "none"}
        How chunks are compressed, by Blosc. ``"zstd"`` is a tenth to a fifth smaller and
        several times slower to read.
    memory : str or int
        What the conversion may take at a time, ``"1 GiB"`` or bytes; on a cluster, each of
        its workers.
    overwrite : bool
        Replace a store that is there, once the new one is complete.
    progress : bool
        Show a bar.
    callback : callable, optional
        Is given a `brainxr.progress.Progress` after each slab that is written.

    Returns
    -------
    pathlib.Path
        Absolute, of the store.

    Raises
    ------
    GeometryError
        When the volume has gaps, no spacing or unit, or axes other than z, y and x; or
        chunks, shards and levels don't fit each other.
    TooBigError
        When `memory` doesn't allow the smallest part that can be written by itself.
    StoreExistsError
        When there is something at the path, or the unfinished store of something else.
    StoreWriteError
        When the disk is full or the place forbidden.
    SliceReadError, InconsistentStackError
        When a slice can't be read; the message names it. Once it is mended, the same call
        goes on.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> store = to_ome_zarr(vol, "phantom.ome.zarr", progress=False)
    >>> brainxr.open(store).equals(vol)
    True
    """
    _check_choices(version=version, method=method, codec=codec)
    store = Unfinished(os.path.abspath(os.path.expanduser(os.fspath(path))).rstrip("/\\"))
    pyramid = Pyramid.of(
        data, version=version, levels=levels, method=method, codec=codec, memory=memory,
        chunks=chunks, shards=shards,
    )  # fmt: skip
    _refuse_inside(store.target, pyramid.places)
    pyramid.write(store, memory, overwrite, progress, callback)
    return Path(store.target)


def _check_choices(**choices: object) -> None:
    known: Mapping[str, tuple[object, ...]] = {
        "version": VERSIONS, "method": METHODS, "codec": CODECS,
    }  # fmt: skip
    for name, value in choices.items():
        if value not in known[name]:
            raise StoreError(f"{name}={value!r} is none of {', '.join(map(repr, known[name]))}.")


def _refuse_inside(target: str, places: list[str]) -> None:
    """Refuse a target in the source, which the next opening would find there, or the reverse."""
    there = os.path.realpath(target)
    for place in places:
        source = os.path.realpath(place)
        if os.path.commonpath([there, source]) in (there, source):
            raise StoreError(
                f"{target!r} is inside the source {place!r}, or the source inside it. Name a place "
                "beside it."
            )


@dataclass(frozen=True)
class Pyramid:
    """A volume and how it will be stored.

    Attributes
    ----------
    data : xarray.DataArray
        As stored: axes in the order z, y, x, rising.
    source : StackArray or None
        What of a stack or store the data are; None for what is computed or in memory.
    image : Image
    blocking : Blocking
    packing : Packing
    method : str
    first : int
        The first level that is stored.
    """

    data: xr.DataArray
    source: StackArray | None
    image: Image
    blocking: Blocking
    packing: Packing
    method: Method
    first: int = 0

    @classmethod
    def of(
        cls, volume: xr.DataArray, *, version: Version, levels: int | None, method: Method,
        codec: CodecName, memory: str | int, chunks: Any, shards: Any, first: int = 0,
    ) -> Pyramid:  # fmt: skip
        """Plan a pyramid; reads nothing."""
        data = _stored(volume)
        grid = VoxelGrid.of(data)
        dims = tuple(map(str, data.dims))
        source = stack_of(data)
        factors = scale_factors(grid.shape, grid.spacing, levels)
        order = _slowest_first(data, source)
        chunk, shard = per_axis(chunks, dims, "chunks"), per_axis(shards, dims, "shards")
        grain = _grain(data, source)
        axes = [
            Axis(
                dims[i], data.shape[i], grain[i], tuple(f[dims[i]] for f in factors), usual,
                chunk.get(dims[i]), shard.get(dims[i]),
            )
            for i, usual in zip(order, SHARD[-len(order) :], strict=True)
        ]  # fmt: skip
        blocking = transposed(plan(axes, data.dtype.itemsize, memory), np.argsort(order).tolist())
        if version == "0.4":
            blocking = unsharded(blocking)
        stored = data.dtype.newbyteorder("<")
        packing = Packing(stored, codec, checksum=version == "0.5")
        finest = Level("0", {d: abs(s) for d, s in grid.spacing.items()}, grid.origin)
        placed = [coarser(finest, str(k), f) for k, f in enumerate(factors)]
        image = Image(
            dims, tuple(placed[first:]), None if data.name is None else str(data.name), method,
            extra=Extra.of(volume, provenance=_provenance(volume, method), every_shard=True),
            version=version,
        )  # fmt: skip
        return cls(data, source, image, blocking, packing, method, first)

    @property
    def places(self) -> list[str]:
        """Folders that it is read from."""
        return sorted({part.source.place for part in _parts(self.data, self.source)})

    @property
    def recipe(self) -> dict[str, Any]:
        """All that makes the store what it will be; another one is another store."""
        levels = [(level.shape, level.chunks, level.shards) for level in self.blocking.levels]
        attributes = to_json(to_attributes(self.image, self.packing.dtype))
        return {
            "source": self._what(),
            "codec": self.packing.codec,
            "cut": tokenize(levels, self.blocking.box, self.first),
            "method": self.method,
            "version": self.image.version,
            "metadata": tokenize(attributes),
        }

    def _what(self) -> str:
        """Of files which part of them; of what was computed how; of values themselves."""
        if self.source is None:
            return tokenize(self.data.variable._data)
        choices = [list(map(int, np.atleast_1d(choice))) for choice in self.source.choices]
        return tokenize(
            self.source.source.shape, str(self.source.dtype), choices, self.source.order
        )

    # --- writing ---

    def write(
        self, store: Unfinished, memory: str | int, overwrite: bool, progress: bool,
        callback: Callback | None,
    ) -> None:  # fmt: skip
        """Write what is not there yet, and put the store in its place."""
        store.begin(self.recipe, overwrite)
        writer = BoxWriter(
            store, self.blocking, self.packing, self.method, self.image.version, self.source,
            self.first,
        )  # fmt: skip
        finished = self._finished(writer, overwrite)
        missing = [box for box in self.blocking.boxes if box not in set(finished)]
        label = os.path.basename(store.target)
        try:
            with Reporter(label, self._sizes(), finished, progress, callback) as reporter:
                run_boxes(writer, self.data, missing, parse_bytes(memory), reporter.finished)
        except BaseException as error:
            error.add_note(store.how_to_go_on)
            raise
        self._write_metadata(store)
        store.publish()

    def _finished(self, writer: BoxWriter, overwrite: bool) -> list[tuple[int, ...]]:
        """Boxes that need not be written again; those whose slices changed are refused."""
        store, noted = writer.store, writer.store.finished()
        stale = [box for box, note in noted.items() if note.source != writer.fingerprint(box)]
        if stale and not overwrite:
            raise StoreExistsError(
                f"The unfinished store in {str(store.folder)!r} was made of files that were "
                f"changed since: {len(stale)} of {len(noted)} finished slabs. Put the files back, "
                "or have those slabs made again by overwrite=True."
            )
        store.forget(stale)
        return [box for box in noted if box not in set(stale)]

    def _sizes(self) -> dict[tuple[int, ...], int]:
        """Bytes of each box."""
        itemsize = self.data.dtype.itemsize
        return {
            box: itemsize * int(np.prod([p.stop - p.start for p in self.blocking.place(box)]))
            for box in self.blocking.boxes
        }

    def _write_metadata(self, store: Unfinished) -> None:
        files: dict[str, bytes] = {}
        for number, level in list(enumerate(self.blocking.levels))[self.first :]:
            described = array_files(
                self.image.version, level.shape, level.chunks, level.shards, self.packing,
                self.image.dims,
            )  # fmt: skip
            files |= {f"{number}/{name}": content for name, content in described.items()}
        samples = [note.sample.ravel() for note in store.finished().values()]
        limits = contrast_limits(np.concatenate(samples))
        image = replace(self.image, channels=(Channel(self.image.name or "0", limits),))
        attributes = to_attributes(image, self.packing.dtype)
        for name, content in (files | group_files(image.version, attributes)).items():
            store.write(name, [content])


def _stored(volume: xr.DataArray) -> xr.DataArray:
    """The volume as it is stored: z, y and x in this order, all rising."""
    dims = [dim for dim in DIMS if dim in volume.dims]
    others = [str(dim) for dim in volume.dims if dim not in DIMS]
    if others:
        raise GeometryError(
            f"The volume has the axis {others[0]!r}; z, y and x are stored. Select one place along "
            f"it, for example data.isel({others[0]}=0)."
        )
    if len(dims) < 2:
        raise GeometryError(
            f"OME-Zarr stores planes and volumes, and this has {len(dims)} axes. Select slabs "
            "instead of places, for example z=slice(0, 1)."
        )
    if volume.dtype.name not in STORABLE:
        raise StoreError(
            f"Values of type {volume.dtype} can't be stored in OME-Zarr: bool, int and float can. "
            "Convert them by data.astype(...)."
        )
    grid = VoxelGrid.of(volume)
    falling = [dim for dim in dims if grid.spacing[dim] < 0]
    return volume.isel(dict.fromkeys(falling, slice(None, None, -1))).transpose(*dims)


def _parts(data: xr.DataArray, source: StackArray | None) -> list[StackArray]:
    """The parts of stacks and stores that are read for it."""
    if source is not None:
        return [source]
    if data.chunks is None:
        return []
    from brainxr.daskarray import stacks_read

    return stacks_read(data.data)


def _slowest_first(data: xr.DataArray, source: StackArray | None) -> list[int]:
    """Axes of the data, that along which the source's slices lie first."""
    if source is None:
        return list(range(data.ndim))
    return [int(i) for i in np.argsort(source.order)]


def _grain(data: xr.DataArray, source: StackArray | None) -> tuple[int, ...]:
    """Voxels that are read together along each axis; what is computed has whole planes."""
    if source is None:
        return (1, *data.shape[1:])
    return tuple(source.source.grain[axis] for axis in source.order)


def _provenance(volume: xr.DataArray, method: Method) -> dict[str, str]:
    told = {
        key: str(volume.attrs[key]) for key in ("source", "spacing_source") if key in volume.attrs
    }
    return {**told, "method": method, "brainxr": installed("brainxr")}
