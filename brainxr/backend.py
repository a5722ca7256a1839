"""``xr.open_dataset(path, engine="brainxr")``: the stack through xarray's own door.

The only user of xarray's indexing internals, as every xarray backend is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from brainxr.find import find_volume
from brainxr.lazyarray import StackArray, vectorised_index
from brainxr.nifti import is_nifti
from brainxr.otheraxes import At
from brainxr.slices import PathLike, is_slice_name
from brainxr.spacing import SpacingLike
from brainxr.stack import Missing, Plane
from brainxr.volume import NAME, Volume


class StackBackendArray(BackendArray):  # type: ignore[no-untyped-call, misc, unused-ignore]
    """A stack as xarray's lazy indexing wants it."""

    def __init__(self, stack: StackArray) -> None:
        self.stack = stack
        self.shape = stack.shape
        self.dtype = stack.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        if isinstance(key, indexing.VectorizedIndexer):
            return self.stack.read_vectorised(*vectorised_index(key.tuple, self.shape))
        return self.stack[key.tuple]

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self.stack.__dask_tokenize__()


class BrainxrBackend(BackendEntrypoint):
    """xarray's entry point for folders and zips of image slices, stores of OME-Zarr, and NIfTI."""

    description = "Open a stack of TIFF slices, OME-Zarr or NIfTI as one lazy volume in micrometres"
    open_dataset_parameters = (
        "filename_or_obj", "drop_variables", "spacing", "origin", "plane", "missing", "inside",
        "level", "at", "storage_options",
    )  # fmt: skip

    def open_dataset(  # type: ignore[override]
        self, filename_or_obj: PathLike | Sequence[PathLike], *,
        drop_variables: str | Iterable[str] | None = None,
        spacing: SpacingLike | None = None, origin: SpacingLike | None = None,
        plane: Plane | None = None, missing: Missing = "keep", inside: str | None = None,
        level: int | None = None, at: At | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:  # fmt: skip
        volume = find_volume(
            filename_or_obj, spacing=spacing, origin=origin, plane=plane, missing=missing,
            level=level, at=at, inside=inside, storage_options=storage_options,
        )  # fmt: skip
        data = lazy(volume).to_dataset(name=volume.name or NAME)
        return data.drop_vars(drop_variables or [], errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether it is a folder of TIFF slices, or NIfTI; stores are for xarray's own engine."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        if is_nifti(filename_or_obj):
            return True
        try:
            return any(is_slice_name(name) for name in os.listdir(filename_or_obj))
        except OSError:
            return False


def lazy(volume: Volume) -> xr.DataArray:
    """The volume as a DataArray that reads on demand, without dask."""
    # as xr.open_dataset wraps it: what was assigned to is copied, and nothing on disk changes
    lazily = indexing.LazilyIndexedArray(StackBackendArray(volume.array))
    return volume.around(indexing.CopyOnWriteArray(lazily))  # type: ignore[arg-type]


def stack_of(data: xr.DataArray) -> StackArray | None:
    """The selection from a stack that a DataArray provably is, or None.

    Proof is that nothing but selections lie between the stack and the data: the
    data still are a `StackDaskArray`, or xarray's lazy wrappers of a stack.
    """
    from brainxr.daskarray import StackDaskArray

    wrapped: Any = data.variable._data
    if isinstance(wrapped, StackDaskArray):
        return wrapped.stack
    while isinstance(wrapped, indexing.CopyOnWriteArray | indexing.MemoryCachedArray):
        wrapped = wrapped.array
    if not isinstance(getattr(wrapped, "array", None), StackBackendArray):
        return None
    stack: StackArray = wrapped.array.stack
    if isinstance(wrapped, indexing.LazilyIndexedArray):
        return stack.select(wrapped.key.tuple)
    if isinstance(wrapped, indexing.LazilyVectorizedIndexedArray):
        return _transposed(stack, wrapped.key.tuple, data.dims)
    return None


def _transposed(
    stack: StackArray, key: tuple[Any, ...], dims: tuple[Any, ...]
) -> StackArray | None:
    """The selection that a vectorised index is, where it only reorders the axes.

    xarray turns a lazy transpose into index arrays of shape (n, 1, 1), (1, m, 1), ...
    """
    parts: list[Any] = []
    for dim, array in zip(stack.dims, key, strict=True):
        own = tuple(array.size if d == dim else 1 for d in dims)
        if np.shape(array) != own:
            return None
        parts.append(array.ravel() if dim in dims else int(array.ravel()[0]))
    selected = stack.select(tuple(parts))
    return selected.transpose(*(selected.dims.index(dim) for dim in dims))
