"""A volume as xarray's own lazy array, without dask; and what is still a selection of one.

The only user of xarray's indexing internals, as every xarray backend is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from brainxr.lazy.lazyarray import StackArray, vectorised_index
from brainxr.lazy.volume import Volume


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
    from brainxr.lazy.daskarray import StackDaskArray

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


def places_along(data: xr.DataArray, dim: str) -> npt.NDArray[np.int64] | None:
    """Places in its source along an axis, where a DataArray is a selection; None where not."""
    stack = stack_of(data)
    if stack is None or dim not in data.dims or dim not in stack.source.axes:
        return None
    return np.asarray(stack.choices[stack.source.axes.index(dim)])


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
