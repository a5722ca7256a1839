"""A stack on disk that looks like an array: an index becomes the fewest reads.

``StackArray`` knows its files and which part of them it stands for. Selecting
from it gives another ``StackArray`` and reads nothing; asking for its values
reads that part and no more: only the slices, and of each only the rows, that the
selection needs. It is immutable, picklable, holds no open file, and may be read
from several threads and processes at a time.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.reader import SliceReader
from brainxr.rows import Rows
from brainxr.slices import SliceFiles
from brainxr.tiff import Header

# What is chosen along one axis: one place (the axis is dropped), a regular
# progression in either direction, or any places in any order.
Choice: TypeAlias = int | range | npt.NDArray[np.intp]


@dataclass(frozen=True)
class StackSource:
    """The voxels of a stack where they are stored, on their regular grid.

    Attributes
    ----------
    files : SliceFiles
    header : Header
        Of the first file, with which every other one has to agree.
    axes : tuple of str
        Dimensions along the stack, down the rows and across the columns.
    opened_at : int
        Nanoseconds since the epoch; a file changed later is refused.
    identity : str
        Different for every stack that is opened: what dask and xarray remember
        under it can't outlive a change of the files.
    """

    files: SliceFiles
    header: Header
    axes: tuple[str, str, str] = ("z", "y", "x")
    opened_at: int = field(default_factory=time.time_ns)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid positions along the stack (missing slices count), rows, columns."""
        pages = self.header.pages
        depth = pages if pages > 1 else int(self.files.positions[-1]) + 1
        return (depth, *self.header.shape)

    @property
    def present(self) -> npt.NDArray[np.int64]:
        """Grid positions for which there is a slice, shape (n,), increasing."""
        return np.arange(self.header.pages) if self.header.pages > 1 else self.files.positions

    @cached_property
    def reader(self) -> SliceReader:
        return SliceReader(self.files, self.header, self.opened_at)

    def __reduce__(self) -> Any:  # a reader remembers what only its own process has seen
        return StackSource, (
            self.files, self.header, self.axes, self.opened_at, self.identity,
        )  # fmt: skip

    def read(
        self, slices: npt.NDArray[np.intp], rows: Rows, columns: Rows,
        out: npt.NDArray[Any],
    ) -> None:  # fmt: skip
        """Read a block, shape (slices, rows, columns); what is missing is zero.

        The choices are increasing and without repeats.
        """
        self.reader.read(self.places(slices), rows, columns, out)

    def places(self, slices: npt.NDArray[np.intp]) -> list[int]:
        """File, or page of the one file, of each grid position; -1 where it is missing."""
        places = slices
        if self.header.pages == 1:
            places = np.searchsorted(self.files.positions, slices)
            places = np.where(self.files.positions[places] == slices, places, -1)
        listed: list[int] = places.tolist()
        return listed


@dataclass(frozen=True, eq=False)
class StackArray:
    """A selection from a stack, not yet read.

    Attributes
    ----------
    source : StackSource
    choices : tuple of int, range or array
        What is chosen along the stack, the rows and the columns.
    order : tuple of int
        Which of those axes each axis of this array is; axes at which one place
        was chosen are dropped.
    """

    source: StackSource
    choices: tuple[Choice, Choice, Choice]
    order: tuple[int, ...] = (0, 1, 2)

    @classmethod
    def whole(cls, source: StackSource, order: tuple[int, ...] = (0, 1, 2)) -> Self:
        """All of a stack, missing slices included, with its axes in the order given."""
        depth, height, width = source.shape
        return cls(source, (range(depth), range(height), range(width)), order)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.choices[axis]) for axis in self.order)  # type: ignore[arg-type]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.header.dtype

    @property
    def ndim(self) -> int:
        return len(self.order)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def bytes_to_read(self) -> int:
        """Uncompressed bytes of the rows that the selection touches."""
        slices, rows, _ = (len(ascending(choice)[0]) for choice in self.choices)
        return slices * rows * self.source.header.shape[1] * self.dtype.itemsize

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
            choices[axis] = _choose(choices[axis], part)  # type: ignore[arg-type]
        order = tuple(axis for axis in self.order if not isinstance(choices[axis], int))
        return replace(self, choices=(choices[0], choices[1], choices[2]), order=order)

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
        """All three axes in the order given by name; dropped ones come back with length one."""
        choices = [range(c, c + 1) if isinstance(c, int) else c for c in self.choices]
        order = tuple(self.source.axes.index(dim) for dim in dims)
        return replace(self, choices=(choices[0], choices[1], choices[2]), order=order)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self.source.axes[axis] for axis in self.order)

    # --- reading ---

    def read(self) -> npt.NDArray[Any]:
        """Read the selection.

        Returns
        -------
        numpy.ndarray, of this array's shape and dtype

        Raises
        ------
        SliceReadError, InconsistentStackError
            When a slice can't be read, or isn't like the first one. The message
            names the file.
        """
        needed, arranged = zip(*(ascending(choice) for choice in self.choices), strict=True)
        block = np.empty([len(n) for n in needed], self.dtype)
        if block.size:
            self.source.read(np.asarray(needed[0]), needed[1], needed[2], block)
        block = block[arranged[0]][:, arranged[1]][:, :, arranged[2]]
        kept = [axis for axis in range(3) if axis in self.order]
        taken = tuple(slice(None) if axis in kept else 0 for axis in range(3))
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
        places: list[Any] = [None, None, None]
        for axis, choice in enumerate(self.choices):
            places[axis] = np.full(index[0].size, choice) if isinstance(choice, int) else None
        for axis, part in zip(self.order, index, strict=True):
            places[axis] = np.asarray(self.choices[axis])[part]
        values = np.empty(index[0].size, self.dtype)
        by_slice = np.argsort(places[0], kind="stable")
        borders = np.flatnonzero(np.diff(places[0][by_slice])) + 1
        for here in np.split(by_slice, borders):
            position = int(places[0][here[0]])
            values[here] = self._read_points_of(position, places[1][here], places[2][here])
        return values

    def _read_points_of(
        self, position: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any]:
        needed, row_of = np.unique(rows, return_inverse=True)
        low, high = int(columns.min()), int(columns.max())
        block = np.empty((1, len(needed), high + 1 - low), self.dtype)
        self.source.read(np.array([position]), needed, range(low, high + 1), block)
        return np.asarray(block[0, row_of, columns - low])

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read a part, chosen along each axis by itself."""
        return self.select(key).read()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("A stack on disk can't become an array without a copy.")
        return self.read().astype(dtype or self.dtype, copy=False)

    def __dask_tokenize__(self) -> Any:
        choices = [c.tobytes() if isinstance(c, np.ndarray) else c for c in self.choices]
        return type(self).__name__, self.source.identity, str(choices), self.order

    def __repr__(self) -> str:
        return (
            f"<StackArray {self.shape} {self.dtype} from {len(self.source.files)} files in "
            f"{self.source.files.folder!r}>"
        )


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


def _choose(choice: range | npt.NDArray[np.intp], part: Any) -> Choice:
    """Compose what was chosen along an axis with an index into it."""
    if isinstance(part, slice):
        return choice[part]
    array = np.asarray(part)
    if array.ndim > 1 or (array.size and array.dtype.kind not in "iub"):
        raise IndexError(f"{part!r} is no index along one axis: give an int, a slice, or a list.")
    if array.ndim == 0:
        return int(choice[int(array)])
    if array.dtype.kind == "b":
        if array.size != len(choice):
            raise IndexError(f"A mask of {array.size} can't index an axis of {len(choice)}.")
        array = np.flatnonzero(array)
    return np.asarray(choice, np.intp)[array.astype(np.intp)]


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
