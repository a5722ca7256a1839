"""Reductions of a stack that hold no more of it than fits the processor's cache.

    slices, 16 open at a time ──▶ bands of rows ──▶ block of 512 kB ──▶ state of the result

numpy reduces an array that is in memory; a stack has to be brought there first, and
a chunk of 128 MB leaves every cache before it is looked at. Here each block is read
into the same small buffer and added to the state of the result while it is hot, so a
maximum costs little more than reading, in the memory of its result.

Sums of integers are integers until the very end, so they are exact in any order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.cluster import told_by_worker
from brainxr.lazy.lazyarray import StackArray, ascending

# What is known of the values so far, shape (k, *stored axes), axes that are reduced of
# length one.
State: TypeAlias = npt.NDArray[Any]


class Reduction(Protocol):
    """How blocks of values become a state, states one state, and that the result."""

    def takes(self, dtype: np.dtype[Any]) -> bool:
        """Whether values of this type can be reduced so."""

    def start(self, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> State:
        """State of no values; each of its elements will stand for up to `count` of them."""

    def add(self, state: State, block: npt.NDArray[Any], axes: tuple[int, ...]) -> None:
        """Add a block of the stored axes, reduced along some of them."""

    def merge(self, states: State) -> State:
        """One state of several, along a new first axis."""

    def finish(self, state: State, count: int) -> npt.NDArray[Any]:
        """The result, of which each element stands for `count` values."""

    def result_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Type of the result."""


@dataclass(frozen=True)
class Extreme:
    """The largest or smallest value: ``np.maximum``, ``np.fmin``, ..."""

    ufunc: np.ufunc
    largest: bool
    skips_nan: bool = False

    def takes(self, dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "biuf"

    def start(self, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> State:
        return np.full((1, *shape), self._identity(dtype), dtype)

    def _identity(self, dtype: np.dtype[Any]) -> Any:
        if dtype.kind == "f":
            return np.nan if self.skips_nan else -np.inf if self.largest else np.inf
        if dtype.kind == "b":
            return not self.largest
        return np.iinfo(dtype).min if self.largest else np.iinfo(dtype).max

    def add(self, state: State, block: npt.NDArray[Any], axes: tuple[int, ...]) -> None:
        part = self.ufunc.reduce(block, axis=axes, keepdims=True) if axes else block
        self.ufunc(state, part, out=state)

    def merge(self, states: State) -> State:
        return np.asarray(self.ufunc.reduce(states, axis=0))

    def finish(self, state: State, count: int) -> npt.NDArray[Any]:
        return np.asarray(state[0])

    def result_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return dtype


@dataclass(frozen=True)
class Moments:
    """What sums of values and of their squares tell: sum, mean, var, std.

    Of integers only: there the sums are exact, and so is the difference of the two
    that a variance is.
    """

    name: str
    ddof: float = 0

    @property
    def _squares(self) -> bool:
        return self.name in ("var", "std")

    def takes(self, dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "biu" and dtype.itemsize <= (2 if self._squares else 4)

    def start(self, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> State:
        kinds = 2 if self._squares else 1
        return np.zeros((kinds, *shape), _sum_type(dtype, count, power=kinds))

    def add(self, state: State, block: npt.NDArray[Any], axes: tuple[int, ...]) -> None:
        _add(state[0], block, axes)
        if self._squares:
            # twice the bits hold a square, and no more: half as many are twice as fast
            wide = block.astype(f"{'i' if block.dtype.kind == 'i' else 'u'}{2 * block.itemsize}")
            _add(state[1], np.multiply(wide, wide, out=wide), axes)

    def merge(self, states: State) -> State:
        if states[0].size < 1 << 16:
            # Python's own integers where there are few: squares of a whole volume need 65 bits
            return np.asarray(np.add.reduce(states.astype(object), axis=0))
        return np.asarray(np.add.reduce(states, axis=0, dtype=states.dtype))

    def finish(self, state: State, count: int) -> npt.NDArray[Any]:
        if self.name == "sum":
            return np.asarray(state[0])
        if self.name == "mean":
            return np.asarray(state[0], np.float64) / count
        fits = count * int(np.max(state[1])) <= np.iinfo(np.int64).max
        state = state.astype(np.int64 if fits else object)
        spread = np.asarray(count * state[1] - state[0] * state[0], np.float64) / count
        with np.errstate(divide="ignore", invalid="ignore"):  # as numpy where count == ddof
            variance = np.true_divide(spread, max(count - self.ddof, 0))
        return np.asarray(np.sqrt(variance) if self.name == "std" else variance)

    def result_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return np.sum(np.zeros(1, dtype)).dtype if self.name == "sum" else np.dtype(np.float64)


@dataclass(frozen=True)
class Counts:
    """How often each value occurs; of integers of one or two bytes."""

    def takes(self, dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "iu" and dtype.itemsize <= 2

    def values(self, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """All values that there are, increasing."""
        bounds = np.iinfo(dtype)
        return np.arange(bounds.min, bounds.max + 1)

    def start(self, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> State:
        return np.zeros((1 << 8 * dtype.itemsize, *shape), np.int64)

    def add(self, state: State, block: npt.NDArray[Any], axes: tuple[int, ...]) -> None:
        least = np.iinfo(block.dtype).min
        flat = np.ascontiguousarray(block).ravel().view(f"u{block.itemsize}")
        # as bits, negative values come after the others
        counts = np.roll(_occurrences(flat), len(state) // 2 if least else 0)
        state += counts.reshape(state.shape)

    def merge(self, states: State) -> State:
        return np.asarray(np.add.reduce(states, axis=0))

    def finish(self, state: State, count: int) -> npt.NDArray[Any]:
        return np.asarray(state)

    def result_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(np.int64)


def _occurrences(flat: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if flat.dtype == np.uint8 and flat.size % 2 == 0 and flat.size > 1 << 17:
        # two at a time are half as many to count, and there are 65,536 pairs
        pairs = np.bincount(flat.view(np.uint16), minlength=1 << 16).reshape(1 << 8, 1 << 8)
        return np.asarray(pairs.sum(0) + pairs.sum(1))
    return np.bincount(flat, minlength=1 << 8 * flat.itemsize)


def _add(total: npt.NDArray[Any], block: npt.NDArray[Any], axes: tuple[int, ...]) -> None:
    if axes:
        kind = _sum_type(block.dtype, block.size, power=1)
        block = np.add.reduce(block, axis=axes, keepdims=True, dtype=kind)
    np.add(total, block, out=total, casting="unsafe")


def _sum_type(dtype: np.dtype[Any], count: int, power: int) -> np.dtype[Any]:
    """The smallest type that holds the sum of so many values, or of their squares."""
    largest = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    fits = dtype.kind in "bu" and count * largest**power < 2**32
    return np.dtype(np.uint32 if fits else np.int64)


def reduction(name: str, ddof: float = 0) -> Reduction:
    """A reduction by numpy's name of it; KeyError for one that is not known here."""
    return Moments(name, ddof) if name in ("sum", "mean", "var", "std") else EXTREMES[name]


EXTREMES = {
    "max": Extreme(np.maximum, largest=True),
    "min": Extreme(np.minimum, largest=False),
    "nanmax": Extreme(np.fmax, largest=True, skips_nan=True),
    "nanmin": Extreme(np.fmin, largest=False, skips_nan=True),
}


def fold(stack: StackArray, how: Reduction, reduced: Collection[int], count: int) -> State:
    """Reduce a selection from a stack.

    Parameters
    ----------
    stack : StackArray
        Without places chosen twice along a reduced axis.
    how : Reduction
    reduced : collection of int
        Axes of the source.
    count : int
        Values that become one, with those of other states that it may be merged with.

    Returns
    -------
    numpy.ndarray, shape (k, *stored axes)
        The state; kept axes as the selection has them, reduced ones of length one.
    """
    needed, arranged = zip(*map(ascending, stack.choices), strict=True)
    shape = tuple(1 if axis in reduced else len(part) for axis, part in enumerate(needed))
    state = how.start(shape, stack.dtype, count)
    every = slice(None)
    with told_by_worker(stack.source.place):
        for where, block in stack.source.blocks(needed):
            here = (every if axis in reduced else part for axis, part in enumerate(where))
            axes = tuple(axis for axis in reduced if block.shape[axis] > 1)
            how.add(state[(every, *here)], block, axes)
    for axis in set(range(len(needed))) - set(reduced):
        state = state[(every,) * (axis + 1) + (arranged[axis],)]
    return state
