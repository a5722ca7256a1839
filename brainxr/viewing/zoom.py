"""Coarser levels of what is shown, laid out so that a viewer shows the right plane.

napari knows levels by their shapes alone. It takes the ratio of two shapes as the
factor, and draws a level as blocks of that size: right within the plane. Across it,
it divides the number of the plane by the factor and *rounds*, as if the levels were
strided: of a factor of 4, planes 6 and 7 of level 0 show the block of 8 to 11.

So a level is given as many positions across the plane as level 0 has, each the voxel
in which the plane lies, and is coarse only along the axes that are displayed. Which
those are changes as the viewer is turned; `Zoom.shown` makes the levels for each case.
All of it is one selection by coordinates, and reads nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainxr.lazy.laidout import NOTHING, LaidOut
from brainxr.lazy.lazyarray import PlacedArray, StackArray
from brainxr.viewing.preview import Budget, Lazy, middles

# A level that is hardly coarser than the selection is none of its levels.
LEAST_FACTOR = 1.01


@dataclass(frozen=True)
class Line:
    """Positions along one axis of what is shown: ``start + step * i``, in µm.

    Attributes
    ----------
    start, step : float
    size : int
    """

    start: float
    step: float
    size: int


class LazyLevel:
    """A level that is read when it is made an array, and not when it is sliced.

    napari slices a level twice: first the tile, then the plane.

    Parameters
    ----------
    array : array_like
    guard : callable, optional
        Is given what is about to be read, and raises if that should not be.
    """

    def __init__(self, array: Any, guard: Callable[[LazyLevel], object] | None = None) -> None:
        self.array = array
        self.guard = guard
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim: int = array.ndim
        self.size: int = array.size

    def __getitem__(self, key: Any) -> LazyLevel:
        is_ours = isinstance(self.array, StackArray | LaidOut)
        part = LazyLevel(self.array.select(key) if is_ours else self.array[key], self.guard)
        return part if part.dtype == self.dtype else part.view(self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def view(self, dtype: Any) -> LazyLevel:
        """The same with values of another type of the same size, as napari wants masks."""
        other = LazyLevel(self.array, self.guard)
        other.dtype = np.dtype(dtype)
        return other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if self.guard is not None:
            self.guard(self)
        values = np.array(self.array, copy=copy)
        values = values if values.dtype == self.dtype else values.view(self.dtype)
        return values if dtype is None else values.astype(dtype, copy=False)


@dataclass(frozen=True)
class Coarser:
    """A coarser level, and where its voxels are on the grid of what is shown.

    Attributes
    ----------
    array : StackArray
        The whole level, with the axes of what is shown.
    first : tuple of float
        Place of its first voxel along each axis, counted in voxels of what is shown.
    factors : tuple of float
        Its spacing, counted likewise; below zero where its coordinate falls.
    """

    array: StackArray
    first: tuple[float, ...]
    factors: tuple[float, ...]

    @classmethod
    def of(cls, level: PlacedArray, lines: Mapping[str, Line]) -> Coarser:
        """A level of a pyramid on the grid of what is shown."""
        first = tuple((level.origin[dim] - line.start) / line.step for dim, line in lines.items())
        factors = tuple(level.spacing[dim] / line.step for dim, line in lines.items())
        return cls(level.array.arrange(*lines), first, factors)

    def size(self, axis: int, finest: int) -> int:
        """Voxels of this level that cover so many of what is shown."""
        return max(1, math.ceil(finest / max(1.0, abs(self.factors[axis])) - 1e-6))

    def nearest(self, axis: int, finest: int, size: int) -> npt.NDArray[np.intp]:
        """Voxel of this level in the middle of each of so many equal parts of an axis."""
        centres = (np.arange(size) + 0.5) * (finest / size) - 0.5
        places = np.rint((centres - self.first[axis]) / self.factors[axis])
        return np.asarray(places.clip(0, self.array.shape[axis] - 1), np.intp)


@dataclass(frozen=True)
class Zoom:
    """What is shown, and what there is of it at coarser levels.

    Attributes
    ----------
    finest : StackArray or LaidOut
        Laid out where planes are missing in between.
    coarser : tuple of Coarser
        In the order of the pyramid.
    """

    finest: Lazy
    coarser: tuple[Coarser, ...]

    @classmethod
    def of(
        cls, finest: Lazy, lines: Mapping[str, Line], levels: Sequence[PlacedArray]
    ) -> Zoom | None:
        """The levels that are coarser than what is shown; None where there is none."""
        placed = (Coarser.of(level, lines) for level in levels)
        coarser = tuple(level for level in placed if max(map(abs, level.factors)) > LEAST_FACTOR)
        return cls(finest, coarser) if coarser else None

    def shown(self, displayed: Collection[int], budget: Budget | None = None) -> list[LazyLevel]:
        """Levels for a viewer that displays these axes, finest first.

        In a plane each is as fine across it as level 0. In three dimensions they end
        with the first that may be shown as a whole.
        """
        budget = budget or Budget()
        levels = [LazyLevel(self.finest)]
        for level in self.coarser:
            if len(displayed) > 2 and budget.fits(levels[-1].shape, levels[-1].dtype):
                break
            array = self._on_grid(level, displayed)
            if array.size < levels[-1].size:
                levels.append(LazyLevel(array))
        return levels

    def _on_grid(self, level: Coarser, displayed: Collection[int]) -> Lazy:
        places = []
        for axis, finest in enumerate(self.finest.shape):
            size = level.size(axis, finest) if axis in displayed else finest
            places.append(self._without_gaps(axis, level.nearest(axis, finest, size)))
        if any((part == NOTHING).any() for part in places):
            return LaidOut(level.array, places)
        return level.array.select(tuple(places))

    def _without_gaps(self, axis: int, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Nothing of a level where nothing is shown of the volume, though there may be some."""
        if not isinstance(self.finest, LaidOut):
            return places
        shown = self.finest.places[axis]
        assert not isinstance(shown, int)  # a layer has all its axes
        return np.where(shown[middles(len(shown), len(places))] == NOTHING, NOTHING, places)
