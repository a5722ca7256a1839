"""Any array, laid out on another grid: places that it has, in any number, and places it lacks.

    array ── places along each axis ──▶ LaidOut ── an index ──▶ LaidOut, still lazy
                                           └── asked for its values ──▶ reads those places

Gaps are places at which nothing is, and are zero; every n-th voxel is a grid of fewer
places. Of a stack, a dask array or a numpy array no more is read than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from dask.tokenize import tokenize

from brainxr.lazy.lazyarray import StackArray, expand_key

# Where nothing is.
NOTHING = -1

Places = npt.NDArray[np.intp]


class LaidOut:
    """An array on another grid, not yet read.

    Parameters
    ----------
    array : array_like
    places : sequence of int or of numpy.ndarray of int
        Which position of the array is at each place, for each of its axes; -1 where none
        is, and the value is zero. An axis with one int is dropped.
    """

    def __init__(self, array: Any, places: Sequence[int | Places]) -> None:
        self.array = array
        self.places = tuple(places)
        self.dtype: np.dtype[Any] = array.dtype
        self.shape = tuple(len(part) for part in self.places if not isinstance(part, int))
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)

    @classmethod
    def with_gaps(cls, array: Any, numbers: Sequence[npt.NDArray[np.int64] | None]) -> Self:
        """An array whose positions along some axes leave gaps.

        Parameters
        ----------
        array : array_like
        numbers : sequence of array of int or None
            Place of each position, increasing from 0; None where there is no gap.
        """
        pairs = zip(numbers, array.shape, strict=True)
        return cls(array, [np.arange(n) if k is None else _inverse(k) for k, n in pairs])

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def select(self, key: Any) -> LaidOut:
        """Choose a part along each axis by itself, lazily."""
        parts = iter(expand_key(key, self.ndim))
        chosen = [p if isinstance(p, int) else _choose(p, next(parts)) for p in self.places]
        return LaidOut(self.array, chosen)

    @property
    def inside(self) -> Any:
        """The part of the array that is read, of a stack as lazily as it is."""
        keys = [as_slice(part[part >= 0]) for part in map(np.atleast_1d, self.places)]
        if isinstance(self.array, StackArray | LaidOut):
            return self.array.select(tuple(keys))
        part = self.array
        for axis, key in enumerate(keys):  # dask and numpy mean other things by several lists
            part = part[(slice(None),) * axis + (key,)]
        return part

    def read(self) -> npt.NDArray[Any]:
        """The values, those of places that the array lacks zero."""
        there = [part >= 0 for part in map(np.atleast_1d, self.places)]
        gaps = [axis for axis, present in enumerate(there) if not present.all()]
        values = np.asarray(self.inside)
        if gaps:
            filled = np.zeros([len(present) for present in there], self.dtype)
            filled[_index(there, gaps)] = values
            values = filled
        return values[tuple(0 if isinstance(part, int) else slice(None) for part in self.places)]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        return self.select(key).read()

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, tokenize(self.array), tokenize(self.places)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.read().astype(dtype or self.dtype, copy=bool(copy))


def on_places(array: Any, places: Sequence[Places]) -> StackArray | LaidOut:
    """These places along each axis of any array, lazily."""
    if isinstance(array, StackArray | LaidOut):
        return array.select(tuple(as_slice(part) for part in places))
    return LaidOut(array, places)


def as_slice(places: Places) -> slice | Places:
    """Places as a slice where they are as far apart as each other, for every kind of array."""
    if places.size < 2:
        return slice(int(places[0]), int(places[0]) + 1) if places.size else slice(0, 0)
    step = int(places[1] - places[0])
    if step < 1 or (np.diff(places) != step).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1, step)


def _choose(places: Places, part: Any) -> int | Places:
    chosen = places[part]
    return int(chosen) if np.ndim(chosen) == 0 else np.asarray(chosen, np.intp)


def _inverse(numbers: npt.NDArray[np.int64]) -> Places:
    places = np.full(int(numbers[-1]) + 1, NOTHING, np.intp)
    places[numbers] = np.arange(len(numbers))
    return places


def _index(there: Sequence[npt.NDArray[np.bool_]], gaps: Sequence[int]) -> tuple[Any, ...]:
    if len(gaps) > 1:
        return np.ix_(*there)
    return tuple(present if axis in gaps else slice(None) for axis, present in enumerate(there))
