"""A volume becomes a folder of TIFF slices, along any axis.

DataArray ── SlicePlan.of ──▶ planes one behind the other, rising; number and place of each
blocks of planes ── SliceWriter, a task each: read, encode, write ──▶ unfinished folder
all written ── one rename ──▶ folder
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

import xarray as xr
from dask.utils import parse_bytes

from brainxr.cluster import active_client
from brainxr.errors import StackError, StoreError
from brainxr.progress import Callback
from brainxr.stacks.calibration import SlicePlace
from brainxr.stacks.slices import PathLike, find_slices, is_slice_name
from brainxr.stacks.tiff import read_header
from brainxr.stores.zarrstore import Location, is_store
from brainxr.writing.budget import refuse_budget
from brainxr.writing.sliceplan import SlicePlan
from brainxr.writing.slicewriter import SliceWriter
from brainxr.writing.sources import places_read, refuse_inside
from brainxr.writing.tasks import write_missing
from brainxr.writing.unfinished import Unfinished
from brainxr.writing.wholefile import refuse_full_disk

Compression: TypeAlias = Literal["deflate", "lzw"]
COMPRESSIONS = ("deflate", "lzw")

MEMORY = "1 GiB"


def to_tiff(
    data: xr.DataArray, folder: PathLike, *, along: str | None = None,
    compression: Compression | None = None, memory: str | int = MEMORY, overwrite: bool = False,
    progress: bool = True, callback: Callback | None = None,
) -> Path:  # fmt: skip
    """Write a volume as a folder of TIFF slices, which opens as it was.

    The volume is read in blocks of slices, each once. Where a slice is a column of each
    source slice (``along="x"`` of an axial stack), every block reads all of the source, so
    blocks are as large as `memory` allows. The folder is written beside its place and put
    there by one rename when it is whole. What was interrupted goes on where it was when the
    same is asked for again.

    Parameters
    ----------
    data : xarray.DataArray
        Of the axes z, y and x, or two of them, in a unit of length: an opened stack or
        store, a selection, a projection, a mask. Falling axes are written rising.
    folder : path-like
        A folder that is not there yet. Its slices are ``NAME_PLANE_0001.tif``, ...,
        numbered by their places: where slices are missing, so are their numbers.
    along : {"z", "y", "x"}, optional
        The axis along which the slices lie: axial, coronal or sagittal ones. Default: z; of
        a plane the axis that it lacks.
    compression : {"deflate", "lzw"}, optional
        Default: none, so that any row is read without the others.
    memory : str or int
        What the blocks that are worked on may take at a time, ``"1 GiB"`` or bytes.
    overwrite : bool
        Replace a folder that this function wrote, once the new one is complete.
    progress : bool
        Show a bar.
    callback : callable, optional
        Is given a `brainxr.progress.Progress` after each block that is written.

    Returns
    -------
    pathlib.Path
        Of the folder, for `brainxr.open`, which finds the same values, coordinates and
        plane. Spacing and origin are in ImageJ's metadata, in µm. A projection that has
        lost its place along an axis is written without one.

    Raises
    ------
    GeometryError
        When there is no spacing or unit, an axis other than z, y and x, positions that are
        on no regular grid, or gaps within the slices.
    StackError
        When the values are of a type that TIFF doesn't have.
    StoreExistsError
        When there is something at the path, or what was begun of something else.
    StoreWriteError, OSError
        When the disk is full or the place forbidden.
    TooBigError
        When `memory` doesn't allow a single slice.
    SliceReadError, InconsistentStackError
        When a slice can't be read; the message names it. Once it is mended, the same call
        goes on.

    Examples
    --------
    >>> vol = brainxr.open(brainxr.sample("phantom"))
    >>> slab = vol.sel(y=slice("8 cm", "8.4 cm"))
    >>> folder = to_tiff(slab, "slab", along="y", progress=False)
    >>> sorted(path.name for path in folder.iterdir())[0]
    'slab_coronal_0001.tif'
    >>> same = brainxr.open(folder)
    >>> same.equals(slab), same.attrs["plane"]
    (True, 'coronal')
    """
    if compression not in (None, *COMPRESSIONS):
        raise StackError(f"compression={compression!r} is none of None, 'deflate' and 'lzw'.")
    there = Location.of(folder)
    if not there.is_local:
        raise StoreError(
            f"{there.path!r} is a URL, and TIFF slices are written to a folder. Give a path, or "
            "write an OME-Zarr store there by .brain.to_ome_zarr(...)."
        )
    if is_store(there.path):
        raise StoreError(
            f"{there.path!r} is a Zarr store, or would be taken for one by its name. Name a "
            "folder for TIFF slices that doesn't end with .zarr."
        )
    if is_slice_name(os.path.basename(there.path)) and not os.path.isdir(there.path):
        raise StoreError(
            f"{there.path!r} is the name of one file, and TIFF slices are written to a folder. "
            "Name a folder: its slices are NAME_axial_0001.tif and so on."
        )
    plan = SlicePlan.of(data, along, os.path.basename(there.path), parse_bytes(memory))
    refuse_inside(there, places_read(plan.data, plan.source))
    if active_client() is None:  # else it is what each worker may take
        refuse_budget(plan.memory, plan.data)
    store = Unfinished(there.path, is_our_stack, "stack that brainxr wrote")
    if compression is None:  # what it comes to when it is compressed nobody knows
        refuse_full_disk(plan.bytes_without(store.finished()), Path(there.path).parent)
    store.begin(plan.recipe(compression), overwrite)
    writer = SliceWriter(store, plan.blocking, plan.slices, plan.source, compression)
    write_missing(writer, plan.data, plan.memory, overwrite, progress, callback, plan.at_once)
    store.publish()
    return Path(there.path)


def is_our_stack(folder: str) -> bool:
    """Whether a folder has slices that `to_tiff` wrote, and nothing else; or nothing at all."""
    names = os.listdir(folder)
    if not names:
        return True
    try:
        files = find_slices(folder)
        ours = SlicePlace.told_by(read_header(files.path(0)).facts.imagej) is not None
    except (StackError, OSError):
        return False
    return ours and sorted(files.names) == sorted(names)
