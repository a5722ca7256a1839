"""Volumes become pyramids: whole ones in OME-Zarr stores, or coarser levels beside a stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from brainxr.errors import GeometryError
from brainxr.geometry.grid import VoxelGrid
from brainxr.labelling import KIND, LABELS
from brainxr.lazy.lazyarray import StackArray
from brainxr.lazy.unloaded import stack_of
from brainxr.progress import Callback
from brainxr.stacks.slices import PathLike
from brainxr.stores.extras import Extra
from brainxr.stores.levels import find_levels, mark, sidecar
from brainxr.stores.ngff import Version
from brainxr.stores.zarrstore import Location
from brainxr.writing.pyramid import Method
from brainxr.writing.remote import RemoteStore
from brainxr.writing.shards import CodecName
from brainxr.writing.sources import refuse_inside
from brainxr.writing.storing import MEMORY, Options, Pyramid, chosen_method, provenance
from brainxr.writing.unfinished import Unfinished


def to_ome_zarr(
    data: xr.DataArray, path: PathLike, *, version: Version = "0.5", levels: int | None = None,
    method: Method | None = None, chunks: Any = None, shards: Any = None, codec: CodecName = "lz4",
    memory: str | int = MEMORY, overwrite: bool = False, progress: bool = True,
    callback: Callback | None = None, storage_options: Mapping[str, Any] | None = None,
) -> Path | str:  # fmt: skip
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
        Of the store, or a URL that fsspec opens; by custom ``NAME.ome.zarr``. At a URL
        there is no rename: the metadata come last, and before them it is no image.
    version : {"0.5", "0.4"}
        Of OME-Zarr. 0.5 is Zarr 3, in shards, with checksums. 0.4 is Zarr 2, for programs
        that read nothing newer: a file for each chunk, and no checksums.
    levels : int, optional
        How many, with level 0. Default: until the longest axis has at most 128 voxels.
        Each halves the axes whose voxels are not much longer than the shortest.
    method : {"mean", "mode", "nearest"}, optional
        How a level is made of the one before. Default: ``"mode"`` for booleans and what is
        known to be labels (`brainxr.labelling`), else ``"mean"``. ``"mean"``: integers
        rounded to the nearest, halves to the even one; NaN left out; of a mask, whether more
        than half
        are true. ``"mode"`` and ``"nearest"`` for labels; see `brainxr.writing.pyramid.halve`.
    chunks, shards : int or mapping of str to int, optional
        Voxels of level 0 along each axis that are compressed together, and that are in
        one file. Default: 64 along each axis, and as much of a file as `memory` allows.
        A shard of a coarser level covers the same part of the volume or more.
    codec : {"lz4", "zstd", "none"}
        How chunks are compressed, by Blosc. ``"zstd"`` is a tenth to a fifth smaller and
        several times slower to read.
    memory : str or int
        What the parts that are worked on may take at a time, ``"1 GiB"`` or bytes; on a
        cluster, those of each worker. Python itself, its libraries, and what the
        allocator keeps of memory that was given back come on top.
    overwrite : bool
        Replace a store that is there, once the new one is complete. Not at a URL.
    progress : bool
        Show a bar.
    callback : callable, optional
        Is given a `brainxr.progress.Progress` after each slab that is written.
    storage_options : mapping, optional
        Of a URL: what fsspec is told, for example ``{"profile": "lab"}``.

    Returns
    -------
    pathlib.Path or str
        Of the store: absolute, or the URL.

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
    options = Options(
        version, levels, chosen_method(data, method), method is None, chunks, shards, codec, memory
    )
    there = Location.of(path, storage_options)
    store = Unfinished(there.path) if there.is_local else RemoteStore(there.path, there.options)
    pyramid = Pyramid.of(data, options, held=store.holds)
    refuse_inside(there, pyramid.places)
    pyramid.write(store, overwrite, progress, callback)
    return Path(there.path) if there.is_local else there.path


def build_levels(
    data: xr.DataArray, *, beside: bool = False, levels: int | None = None,
    method: Method | None = None, codec: CodecName = "lz4", memory: str | int = MEMORY,
    progress: bool = True, callback: Callback | None = None,
) -> Path:  # fmt: skip
    """Make the coarser levels of a stack, and leave its slices as they are.

    For looking: `brainxr.view` finds them and zooms by them, in an eighth of the room and
    under half the time of a whole store. They carry a fingerprint of the names, sizes and
    times of all slices, so a changed stack never shows old ones. Made already, they are
    returned at once; what was interrupted goes on.

    Parameters
    ----------
    data : xarray.DataArray
        A whole stack as `brainxr.open` gives it.
    beside : bool
        Next to the stack (``FOLDER.levels.ome.zarr``), for all who see it; else in the
        user's cache folder, or where the environment variable ``BRAINXR_CACHE`` says.
    levels, method, codec, memory, progress, callback
        As in `to_ome_zarr`.

    Returns
    -------
    pathlib.Path
        Of a store of the levels from 1 on.

    Raises
    ------
    GeometryError
        When the data are no whole stack, or so small that there is no coarser level.
    StoreWriteError, SliceReadError, InconsistentStackError, TooBigError
        As `to_ome_zarr`.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> store = build_levels(vol, progress=False)
    >>> brainxr.open(store).sizes["z"]
    64
    """
    stack = _whole_stack(data)
    target = sidecar(stack.source, beside)
    if find_levels(stack.source, of_labels=data.attrs.get(KIND) == LABELS) == target:
        Unfinished(str(target)).tidy_up()  # what a kill after the last rename left
        return target
    chosen = chosen_method(data, method)
    options = Options("0.5", levels, chosen, method is None, None, None, codec, memory, first=1)
    marks = mark(stack.source, VoxelGrid.of(data).spacing)
    extra = Extra(provenance=marks | provenance(data, chosen), every_shard=True)
    pyramid = Pyramid.of(data, options, extra)
    if not pyramid.image.levels:
        raise GeometryError(
            "The volume is so small that it has no coarser level. Ask for some by levels=2, or "
            "look at it as it is."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    pyramid.write(Unfinished(str(target)), True, progress, callback)
    return target


def _whole_stack(data: xr.DataArray) -> StackArray:
    stack = stack_of(data)
    whole = stack is not None and not stack.source.levels() and all(
        isinstance(choice, range) and choice == range(size)
        for choice, size in zip(stack.choices, stack.source.shape, strict=True)
    )  # fmt: skip
    if stack is None or not whole:
        raise GeometryError(
            "Levels are made beside a whole stack without gaps, and this is a part of one, or "
            "something computed. Open the stack by itself (missing='fill' where it has gaps), or "
            "write this by .brain.to_ome_zarr(...)."
        )
    return stack
