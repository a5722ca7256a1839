"""A volume on disk that looks like an array: an index becomes the fewest reads.

``StackArray`` knows where its voxels are stored (its `Source`: a stack of files, or a
level of a store) and which part of them it stands for. Selecting from it gives another
``StackArray`` and reads nothing; asking for its values reads that part and no more:
only the slices and rows, or only the chunks, that the selection needs. It is
immutable, picklable, holds no open file, and may be read from several threads and
processes at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.cluster import told_by_worker
from brainxr.files.rows import Rows

# What is chosen along one axis: one place (the axis is dropped), a regular
# progression in either direction, or any places in any order.
Choice: TypeAlias = int | range | npt.NDArray[np.intp]

# Gives an array of a shape and a dtype.
Memory: TypeAlias = Callable[[Sequence[int], np.dtype[Any]], npt.NDArray[Any]]


class Source(Protocol):
    """Where voxels are stored: the files of a stack, or a level of a store.

    Places along an axis are chosen in increasing order and without repeats. Safe in
    several threads at a time, and picklable without what it holds open.

    Attributes
    ----------
    axes : tuple of str
        Dimensions, in the order in which they are stored.
    identity : str
        Different for every one that is opened: what dask and xarray remember under it
        can't outlive a change of the files.
    shape : tuple of int
    dtype : numpy.dtype
        In the machine's byte order.
    grain : tuple of int
        Voxels along each axis that are read together, however few of them are asked for.
    speed : float
        Roughly how many bytes a second can be read and decoded, rather too few than too many.
    piece : str
        What is read as a whole, for people: ``"slice"``, ``"chunk"``.
    place : str
        Folder, file or URL.
    """

    @property
    def axes(self) -> tuple[str, ...]: ...
    @property
    def identity(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def grain(self) -> tuple[int, ...]: ...
    @property
    def speed(self) -> float: ...
    @property
    def piece(self) -> str: ...
    @property
    def place(self) -> str: ...

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read these places along each axis into an array of their shape, C-contiguous."""

    def read_points(self, places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        """Read scattered voxels, places of shape (n,) along each axis; repeats are allowed."""

    def blocks(
        self, needed: Sequence[Rows]
    ) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read piece by piece: where each is among the places, and its values until the next."""

    def bytes_to_read(self, needed: Sequence[Rows]) -> int:
        """Uncompressed bytes of what these places touch."""

    def pieces(self, needed: Sequence[Rows]) -> npt.NDArray[np.intp]:
        """Numbers of the slices or chunks that these places touch, shape (n,)."""

    def auto_chunks(self, choices: Sequence[Choice], budget: int) -> Mapping[int, Any]:
        """Sizes of dask's chunks, by axis, each of which reads so many bytes at most."""

    def levels(self) -> Sequence[PlacedArray]:
        """Levels of the same image, finest first; none where there is no pyramid."""

    def fingerprint(self, needed: Sequence[Rows]) -> str:
        """Of the files that these places are in: other names, sizes or times give another."""


@dataclass(frozen=True, eq=False)
class StackArray:
    """A selection from what is stored, not yet read.

    Attributes
    ----------
    source : Source
    choices : tuple of int, range or array
        What is chosen along each stored axis.
    order : tuple of int
        Which of those axes each axis of this array is; axes at which one place
        was chosen are dropped.
    """

    source: Source
    choices: tuple[Choice, ...]
    order: tuple[int, ...] = (0, 1, 2)

    @classmethod
    def whole(cls, source: Source, order: tuple[int, ...] = (0, 1, 2)) -> Self:
        """All of a source, missing slices included, with its axes in the order given."""
        return cls(source, tuple(range(size) for size in source.shape), order)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.choices[axis]) for axis in self.order)  # type: ignore[arg-type]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def ndim(self) -> int:
        return len(self.order)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def needed(self) -> tuple[Rows, ...]:
        """Places along each stored axis that are read, in increasing order."""
        return tuple(ascending(choice)[0] for choice in self.choices)

    @property
    def bytes_to_read(self) -> int:
        """Uncompressed bytes of the rows or chunks that the selection touches."""
        return self.source.bytes_to_read(self.needed)

    def __len__(self) -> int:
        return self.shape[0]

    # --- selecting, which reads nothing ---

    def select(self, key: Any) -> StackArray:
        """Choose a part along each axis by itself ("outer" indexing), lazily.

        Parameters
        ----------
        key : int, slice, array of int or bool, Ellipsis, or a tuple of these

        Raises
        ------
        IndexError
            For a place outside the array, or an index of another kind.
        """
        choices: list[Choice] = list(self.choices)
        for axis, part in zip(self.order, expand_key(key, self.ndim), strict=True):
            dim = self.source.axes[axis]
            choices[axis] = _choose(choices[axis], part, dim)  # type: ignore[arg-type]
        order = tuple(axis for axis in self.order if not isinstance(choices[axis], int))
        return replace(self, choices=tuple(choices), order=order)

    def reads(self, key: Any) -> StackArray:
        """What a task of dask's that asks for this part has to read."""
        return self.select(key)

    def transpose(self, *axes: int) -> StackArray:
        """Reorder the axes, lazily; without arguments, reverse them."""
        order = axes or tuple(reversed(range(self.ndim)))
        if sorted(order) != list(range(self.ndim)):
            raise ValueError(f"{order} is no order of {self.ndim} axes.")
        return replace(self, order=tuple(self.order[axis] for axis in order))

    def arrange(self, *dims: str) -> StackArray:
        """Axes in the order given by name; dropped ones among them come back with length one."""
        order = tuple(self.source.axes.index(dim) for dim in dims)
        choices = list(self.choices)
        for axis in order:
            place = choices[axis]
            choices[axis] = range(place, place + 1) if isinstance(place, int) else place
        return replace(self, choices=tuple(choices), order=order)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self.source.axes[axis] for axis in self.order)

    # --- reading ---

    def read(self, memory: Memory = np.empty) -> npt.NDArray[Any]:
        """Read the selection.

        Parameters
        ----------
        memory : callable
            Gives an array of a shape and a dtype, of any content, into which it is read.

        Returns
        -------
        numpy.ndarray, of this array's shape and dtype

        Raises
        ------
        SliceReadError, InconsistentStackError, StoreReadError
            When a slice or chunk can't be read, or a slice isn't like the first one. The
            message names it.
        """
        needed, arranged = zip(*(ascending(choice) for choice in self.choices), strict=True)
        block = memory([len(n) for n in needed], self.dtype)
        if block.size:
            with told_by_worker(self.source.place):
                self.source.read(needed, block)
        for axis, how in enumerate(arranged):
            block = block[(slice(None),) * axis + (how,)]
        kept = sorted(self.order)
        taken = tuple(slice(None) if axis in kept else 0 for axis in range(block.ndim))
        return np.asarray(block[taken]).transpose([kept.index(axis) for axis in self.order])

    def read_vectorised(self, *index: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Read the voxels at which the broadcast indices point.

        Where they fill the box that they span (a transpose is such an index),
        the box is read at once; scattered points are read one row each.

        Parameters
        ----------
        *index : numpy.ndarray of int
            One for each axis of this array.

        Returns
        -------
        numpy.ndarray, of the broadcast shape
        """
        shape = np.broadcast_shapes(*(part.shape for part in index))
        uniques, inverses = zip(*(np.unique(p, return_inverse=True) for p in index), strict=True)
        if np.prod([len(u) for u in uniques]) <= np.prod(shape):
            box = self.select(uniques).read()
            places = (i.reshape(p.shape) for i, p in zip(inverses, index, strict=True))
            return np.asarray(box[tuple(places)])
        flat = [part.ravel() for part in np.broadcast_arrays(*index)]
        return self._read_points(flat).reshape(shape)

    def _read_points(self, index: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
        places: list[Any] = [
            np.full(index[0].size, choice) if isinstance(choice, int) else choice
            for choice in self.choices
        ]
        for axis, part in zip(self.order, index, strict=True):
            places[axis] = np.asarray(self.choices[axis])[part]
        with told_by_worker(self.source.place):
            return self.source.read_points(places)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read a part, chosen along each axis by itself."""
        return self.select(key).read()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("A volume on disk can't become an array without a copy.")
        return self.read().astype(dtype or self.dtype, copy=False)

    def __dask_tokenize__(self) -> Any:
        choices = [c.tobytes() if isinstance(c, np.ndarray) else c for c in self.choices]
        return type(self).__name__, self.source.identity, str(choices), self.order

    def __repr__(self) -> str:
        return f"<StackArray {self.shape} {self.dtype} from {self.source}>"


class PlacedArray(NamedTuple):
    """A level of a pyramid, and where its voxels are.

    Attributes
    ----------
    array : StackArray
    origin, spacing : mapping of str to float
        Of its dimensions, in µm; the spacing below zero where the coordinate falls.
    """

    array: StackArray
    origin: Mapping[str, float]
    spacing: Mapping[str, float]


def vectorised_index(key: Any, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], ...]:
    """Index arrays that broadcast, one an axis; sliced axes come after the vectorised ones."""
    arrays = [None if isinstance(part, slice) else np.asarray(part) for part in key]
    slices = [axis for axis, array in enumerate(arrays) if array is None]
    index = []
    for axis, (part, array, size) in enumerate(zip(key, arrays, shape, strict=True)):
        if array is None:
            behind = len(slices) - slices.index(axis) - 1
            index.append(np.arange(size)[part].reshape((-1,) + (1,) * behind))
        else:
            _check_bounds(array, size)
            index.append((array % size).reshape(array.shape + (1,) * len(slices)))
    return tuple(index)


def _check_bounds(index: npt.NDArray[Any], size: int) -> None:
    if index.size and (index.min() < -size or index.max() >= size):
        raise IndexError(f"An index is out of bounds for an axis of {size}.")


def expand_key(key: Any, ndim: int) -> list[Any]:
    """One index for each axis, where the key leaves some out or to an Ellipsis."""
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1 or len(parts) - len(dots) > ndim:
        raise IndexError(f"Too many indices: {len(parts)} for {ndim} axes.")
    fill = [slice(None)] * (ndim - len(parts) + len(dots))
    at = dots[0] if dots else len(parts)
    return parts[:at] + fill + parts[at + len(dots) :]


def _choose(choice: range | npt.NDArray[np.intp], part: Any, dim: str) -> Choice:
    """Compose what was chosen along an axis with an index into it."""
    if isinstance(part, slice):
        return choice[part]
    array = np.asarray(part)
    if array.ndim > 1 or (array.size and array.dtype.kind not in "iub"):
        raise IndexError(f"{part!r} is no index along one axis: give an int, a slice, or a list.")
    if array.dtype.kind != "b":
        _refuse_outside(array, len(choice), dim)
    if array.ndim == 0:
        return int(choice[int(array)])
    if array.dtype.kind == "b":
        if array.size != len(choice):
            raise IndexError(f"A mask of {array.size} can't index an axis of {len(choice)}.")
        array = np.flatnonzero(array)
    return np.asarray(choice, np.intp)[array.astype(np.intp)]


def _refuse_outside(index: npt.NDArray[Any], size: int, dim: str) -> None:
    outside = index[(index < -size) | (index >= size)] if index.size else index
    if outside.size:
        raise IndexError(
            f"Index {outside.flat[0]} is out of range along {dim!r}, which has {size} voxels: "
            f"0 to {size - 1}."
            if size
            else f"Index {outside.flat[0]} is out of range along {dim!r}, which is empty."
        )


def ascending(choice: Choice) -> tuple[range | npt.NDArray[np.intp], Any]:
    """Places in increasing order without repeats, and how to arrange what is read there."""
    if isinstance(choice, int):
        return range(choice, choice + 1), slice(None)
    if isinstance(choice, range):
        return (choice, slice(None)) if choice.step > 0 else (choice[::-1], slice(None, None, -1))
    unique, inverse = np.unique(choice, return_inverse=True)
    if unique.size == choice.size and (unique == choice).all():
        return unique, slice(None)
    return unique, inverse
