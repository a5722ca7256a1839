"""A volume in three dimensions: as much of it as a graphics card and a person's patience hold.

    volume, its levels ── Budget ──▶ the finest level that fits │ every n-th voxel
                                        └── read_steps ──▶ a coarse picture at once, then this

Every n-th voxel and no means of blocks: of an uncompressed stack the slices between
are not touched at all, so it costs an n-th of the volume and is there within seconds.
Which of them stands for its part of the volume is told by the middle of that part, so
it lies where the volume does, to within half of a voxel of the volume itself.

Pure: neither napari nor a window is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.lazy.cost import refuse_beyond_memory
from brainxr.lazy.laidout import LaidOut, Places, on_places
from brainxr.lazy.lazyarray import StackArray

# Bytes of a volume that is shown in three dimensions, at most: it goes to the graphics
# card as a whole. `view(..., preview=...)` says otherwise.
VOLUME_BYTES = 512_000_000

# Voxels along each axis, at most, where the graphics card doesn't tell: every one of the
# last ten years holds that.
LARGEST_SIDE = 2048

# Bytes of the coarse picture that is there at once, and what is not worth one.
QUICK_BYTES = 8_000_000

# Pieces in which a volume is read: after each of them it may be called off.
PIECES = 32

Lazy: TypeAlias = StackArray | LaidOut


@dataclass(frozen=True)
class Budget:
    """What a volume in three dimensions may be, at most.

    Attributes
    ----------
    nbytes : int
        Bytes of memory, and of the graphics card's.
    side : int
        Voxels along each axis.
    """

    nbytes: int = VOLUME_BYTES
    side: int = LARGEST_SIDE

    @classmethod
    def of(cls, size: int | str | None, side: int | None = None) -> Self:
        """A budget as a person says it: ``"1 GB"``, a number of bytes, None for the default.

        Raises
        ------
        ValueError
            For what is no number of bytes, or none of which anything could be shown.
        """
        nbytes = VOLUME_BYTES if size is None else _parsed(size)
        return cls(nbytes, LARGEST_SIDE if side is None else side)

    def fits(self, shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
        """Whether a volume of this shape and type may be shown."""
        return max(shape) <= self.side and math.prod(shape) * bytes_drawn(dtype) <= self.nbytes


def _parsed(size: int | str) -> int:
    from dask.utils import parse_bytes

    try:
        nbytes = int(parse_bytes(size))
    except (ValueError, TypeError, AttributeError):
        nbytes = -1
    if nbytes < LEAST_BYTES:
        raise ValueError(
            f"preview={size!r} is no size of a volume to look at: give a number of bytes, "
            f'{LEAST_BYTES} or more, for example "512 MB".'
        )
    return nbytes


# Of fewer bytes than these nothing could be seen.
LEAST_BYTES = 1000


def drawn_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of a card's three, uint8, uint16 and float32, in which napari draws a volume.

    It would turn one of another type into that while the window stands still, each time
    that it is drawn anew.
    """
    if dtype.kind not in "biuf":
        return dtype
    small = dtype.kind in "ub" and dtype.itemsize <= 2
    return np.dtype(f"u{dtype.itemsize}" if small else "f4")


def bytes_drawn(dtype: np.dtype[Any]) -> int:
    """Bytes of a voxel in memory or on the card, whichever are more."""
    return max(dtype.itemsize, drawn_as(dtype).itemsize)


def strides(
    shape: Sequence[int], voxel: Sequence[float], dtype: np.dtype[Any], budget: Budget
) -> tuple[int, ...]:
    """Of which number of voxels along each axis one is shown, so that a volume fits.

    Voxels that are shown are as much alike in all directions as those of the volume let them.

    Parameters
    ----------
    shape : sequence of int
    voxel : sequence of float
        Spacing along each axis, in one unit.
    dtype : numpy.dtype
    budget : Budget
    """
    every = [-(-n // budget.side) for n in shape]
    while not budget.fits(_thinned(shape, every), dtype):
        long = [axis for axis, n in enumerate(shape) if every[axis] < n]
        axis = min(long, key=lambda axis: every[axis] * voxel[axis])
        every[axis] += 1
    return tuple(every)


def _thinned(shape: Sequence[int], every: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-n // step) for n, step in zip(shape, every, strict=True))


def middles(size: int, parts: int) -> Places:
    """The voxel in the middle of each of so many equal parts of an axis."""
    return np.asarray(np.rint((np.arange(parts) + 0.5) * (size / parts) - 0.5), np.intp)


def thin_out(
    array: Any, voxel: Sequence[float], budget: Budget, axes: Sequence[int] | None = None
) -> Lazy:
    """Every n-th voxel of an array, as many as may be shown; nothing is read.

    Parameters
    ----------
    array : array_like
    voxel : sequence of float
        Spacing along each of its axes, in one unit.
    budget : Budget
    axes : sequence of int, optional
        Along which it is thinned out. Default: all.
    """
    axes = range(array.ndim) if axes is None else axes
    sizes = [array.shape[axis] for axis in axes]
    every = strides(sizes, [voxel[axis] for axis in axes], array.dtype, budget)
    places = [np.arange(n) for n in array.shape]
    for axis, parts in zip(axes, _thinned(sizes, every), strict=True):
        places[axis] = middles(array.shape[axis], parts)
    return on_places(array, places)


@dataclass(frozen=True)
class Preview:
    """What is shown of a volume in three dimensions.

    Attributes
    ----------
    coarse : StackArray or LaidOut
        What is there at once.
    fine : StackArray or LaidOut
        What is shown in the end.
    dtype : numpy.dtype or None
        In which it is drawn; None for `drawn_as`.
    """

    coarse: Lazy
    fine: Lazy
    dtype: np.dtype[Any] | None = None

    @classmethod
    def of(
        cls, levels: Sequence[Any], voxel: Sequence[float], budget: Budget,
        dtype: np.dtype[Any] | None = None,
    ) -> Preview | None:  # fmt: skip
        """Of a volume and its coarser levels; None where it can be shown as it is.

        Parameters
        ----------
        levels : sequence of array_like
            Finest first, all of one extent.
        voxel : sequence of float
            Spacing of the finest along each axis, in one unit.
        budget : Budget
        dtype : numpy.dtype, optional
            In which it is drawn. Default: `drawn_as`; labels keep their own.
        """
        fitting = [level for level in levels if budget.fits(level.shape, level.dtype)]
        last = levels[-1]
        if fitting and fitting[0] is levels[0] and _is_at_hand(levels[0], dtype):
            return None
        factors = [n / m for n, m in zip(levels[0].shape, last.shape, strict=True)]
        coarse = [size * factor for size, factor in zip(voxel, factors, strict=True)]
        fine = fitting[0] if fitting else thin_out(last, coarse, budget)
        quick = Budget(min(QUICK_BYTES, budget.nbytes // 8), budget.side)
        return cls(thin_out(last, coarse, quick), on_places(fine, _all(fine.shape)), dtype)

    @property
    def steps(self) -> int:
        """How often `read_steps` gives something."""
        return 2 + len(_pieces(self.fine))

    def read_steps(self) -> Iterator[npt.NDArray[Any] | None]:
        """Read it piece by piece: the coarse picture, nothing after each piece, the fine one.

        It may be stopped after any of them.

        Raises
        ------
        TooBigError
            When the fine one would not fit in memory.
        """
        dtype = self.dtype or drawn_as(self.fine.dtype)
        shape = " x ".join(map(str, self.fine.shape))
        refuse_beyond_memory(
            math.prod(self.fine.shape) * dtype.itemsize,
            f"The volume in three dimensions, {shape} {dtype},",
            "Look at a part of it, or at a coarser one: brainxr.view(data, preview='100 MB').",
        )
        yield np.ascontiguousarray(self.coarse.read(), dtype)
        filled = np.empty(self.fine.shape, dtype)
        for part in _pieces(self.fine):
            filled[part] = self.fine[part]
            yield None
        yield filled


def _all(shape: Sequence[int]) -> list[Places]:
    return [np.arange(n) for n in shape]


def _is_at_hand(array: Any, dtype: np.dtype[Any] | None) -> bool:
    """Whether it is there as soon as it is asked for: in memory as it is drawn, or little of it."""
    if array.size * array.dtype.itemsize <= QUICK_BYTES:
        return True
    drawn = dtype or drawn_as(array.dtype)
    return isinstance(array, np.ndarray) and array.dtype == drawn


def _pieces(array: Lazy) -> list[tuple[slice, ...]]:
    """Parts of an array that can be read one after another without reading anything twice."""
    axis = _stored_axis(array)
    stored = _stored_in(array, axis)
    borders = [0, *(np.flatnonzero(np.diff(stored)) + 1).tolist()]
    borders = borders[:: max(1, -(-len(borders) // PIECES))]
    ends = [*borders[1:], len(stored)]
    return [(slice(None),) * axis + (slice(*pair),) for pair in zip(borders, ends, strict=True)]


def _stored_axis(array: Any) -> int:
    """Axis along which a volume is stored in pieces; the first where it isn't."""
    if isinstance(array, LaidOut):
        return _stored_axis(array.array)
    return array.order.index(0) if isinstance(array, StackArray) and 0 in array.order else 0


def _stored_in(array: Any, axis: int) -> Places:
    """Number of the piece (slice, chunk) in which each place along an axis is stored."""
    if isinstance(array, LaidOut):
        return _stored_in(array.array, axis)[array.places[axis]]
    if isinstance(array, StackArray):
        stored = array.order[axis]
        return np.asarray(array.choices[stored], np.intp) // array.source.grain[stored]
    chunks = getattr(array, "chunks", None)
    if isinstance(chunks, tuple) and isinstance(chunks[axis], tuple):  # dask's
        return np.repeat(np.arange(len(chunks[axis])), chunks[axis])
    return np.arange(array.shape[axis])
