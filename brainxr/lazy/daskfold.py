"""Reductions of a stack as dask arrays: which of them fold, and in how many tasks.

    vol.max("z") ── np.max(StackDaskArray) ── reduce_stack ──▶ parts of the stack ──▶ merged
    vol.mean(["y", "x"]) ─────────────────────────────────────▶ slice by slice
    np.histogram(vol.data, ...) ──────────────────────────────▶ counts of each value, then bins
    vol.quantile(...), vol.median() ──────────────────────────▶ counts of each value, then ranks

dask would bring chunks into memory, reduce them, and merge the results; with a fold
the first two are one, and a task may be as big as is good for the number of tasks.
Whatever is asked for beyond this (another type, ``keepdims``, ...) is left to dask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from brainxr.files.pool import workers
from brainxr.lazy.fold import Counts, Reduction, State, fold, reduction
from brainxr.lazy.lazyarray import StackArray, expand_key

# Bytes that a task reads, where that makes enough tasks for all processors; and how many tasks
# a scheduler keeps at ease. Of a volume of 100 TB each reads more for it.
PART_BYTES = 256 << 20
MOST_PARTS = 1 << 14

# Bytes of a task's state at most: of larger planes each task reduces a band of rows. And how
# many slices it reads at least, so that merging states is little beside reading.
STATE_BYTES = 64 << 20
FEWEST_SLICES = 16

_NAMES: Mapping[Callable[..., Any], str] = {
    np.max: "max", np.min: "min", np.nanmax: "nanmax", np.nanmin: "nanmin",
    np.sum: "sum", np.mean: "mean", np.var: "var", np.std: "std",
}  # fmt: skip

# What a quantile's argument is divided by; of integers, which are never NaN.
_QUANTILES: Mapping[Callable[..., Any], float] = {
    np.quantile: 1, np.nanquantile: 1, np.percentile: 100, np.nanpercentile: 100,
}  # fmt: skip


def reduce_stack(
    stack: StackArray, function: Callable[..., Any], arguments: Sequence[Any],
    options: Mapping[str, Any],
) -> da.Array | tuple[da.Array, npt.NDArray[Any]] | None:  # fmt: skip
    """What numpy's function makes of a stack, lazily; None where dask has to do it.

    Parameters
    ----------
    stack : StackArray
    function : callable
        ``np.max``, ``np.mean``, ...
    arguments, options
        Those of the call, without the array.
    """
    if function is np.histogram:
        return _histogram(stack, *arguments, **options)
    if function in (np.median, np.nanmedian):
        return _quantile(stack, 0.5, *arguments, **options)
    if function in _QUANTILES:
        given = dict(options)
        q, *rest = arguments or (given.pop("q"),)
        return _quantile(stack, np.true_divide(q, _QUANTILES[function]), *rest, **given)
    given = dict(zip(("axis",), arguments, strict=False)) | {
        name: value for name, value in options.items() if value is not None
    }
    if function not in _NAMES or len(arguments) > 1 or set(given) - {"axis", "ddof"}:
        return None
    how = reduction(_NAMES[function], given.get("ddof", 0))
    axes = _axes(given.get("axis"), stack.ndim)
    if axes is None or stack.size == 0 or not how.takes(stack.dtype):
        return None
    reduced = tuple(sorted(stack.order[axis] for axis in axes))
    if any(_repeats(stack.choices[axis]) for axis in reduced):
        return None
    return _merged(stack, how, reduced) if 0 in reduced else _slice_by_slice(stack, how, reduced)


def _axes(axis: Any, ndim: int) -> tuple[int, ...] | None:
    """Axes as they are counted from the first one; None for what numpy would refuse."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(isinstance(a, int | np.integer) and -ndim <= a < ndim for a in axes):
        return None
    found = tuple(int(a) % ndim for a in axes)
    return found if found and len(set(found)) == len(found) else None


def _repeats(choice: Any) -> bool:
    return isinstance(choice, np.ndarray) and np.unique(choice).size < choice.size


class _Folded:
    """A stack reduced within its slices, as dask wants it: shape, dtype, and parts on request."""

    def __init__(self, stack: StackArray, how: Reduction, reduced: tuple[int, ...]) -> None:
        self.stack = stack
        self.how = how
        self.reduced = reduced
        self.kept = [a for a, axis in enumerate(stack.order) if axis not in reduced]
        self.shape = tuple(stack.shape[a] for a in self.kept)
        self.ndim = len(self.shape)
        self.dtype = how.result_type(stack.dtype)

    def reads(self, key: Any) -> StackArray:
        """The part of the stack that becomes this part of the result."""
        full: list[Any] = [slice(None)] * self.stack.ndim
        for axis, part in zip(self.kept, expand_key(key, self.ndim), strict=True):
            full[axis] = part
        return self.stack.select(tuple(full))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        stack = self.reads(key)
        count = _count(stack, self.reduced)
        state = fold(stack, self.how, self.reduced, count)
        result = self.how.finish(state, count).astype(self.dtype)
        arranged: npt.NDArray[Any] = _arranged(result[None], stack, self.reduced)[0]
        return arranged

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self.stack.__dask_tokenize__(), self.how, self.reduced


class _Parts:
    """States of consecutive parts of a stack, shape (parts, k, kept axes).

    Each part is cut into bands of rows, where rows are kept and a state would be large.
    """

    def __init__(self, stack: StackArray, how: Reduction, reduced: tuple[int, ...]) -> None:
        self.stack = stack
        self.how = how
        self.reduced = reduced
        self.kept = [a for a, axis in enumerate(stack.order) if axis not in reduced]
        self.count = _count(stack, reduced)
        empty = how.start((1,), stack.dtype, self.count)
        kept = [stack.shape[a] for a in self.kept]
        band = self._band(math.prod(kept) * empty.nbytes)
        self.size = _part_size(stack, -(-_count_of(stack, 1) // band))
        self.shape = (math.ceil(_count(stack, (0,)) / self.size), len(empty), *kept)
        self.ndim = len(self.shape)
        self.dtype = empty.dtype
        sizes = [band if stack.order[a] == 1 else stack.shape[a] for a in self.kept]
        self.chunks = (1, len(empty), *sizes)

    def _band(self, state_bytes: int) -> int:
        """Rows that one task reduces: all, where they are reduced or the state is small."""
        stack = self.stack
        rows = _count_of(stack, 1)
        if state_bytes <= STATE_BYTES or 1 not in {stack.order[a] for a in self.kept}:
            return rows
        grain = stack.source.grain[1]  # a band that ends within a strip would decode it twice
        return min(rows, max(1, rows * STATE_BYTES // state_bytes // grain) * grain)

    def reads(self, key: Any) -> StackArray:
        """The slices and rows of one part: dask asks for one whole chunk at a time."""
        number = key[0].start
        full: list[Any] = [slice(None)] * self.stack.ndim
        for axis, part in zip(self.kept, key[2:], strict=True):
            full[axis] = part
        full[self.stack.order.index(0)] = slice(number * self.size, (number + 1) * self.size)
        return self.stack.select(tuple(full))

    def __getitem__(self, key: Any) -> State:
        part = self.reads(key)
        state = fold(part, self.how, self.reduced, self.count)
        return _arranged(state, part, self.reduced)[None]

    def __dask_tokenize__(self) -> Any:
        token = self.stack.__dask_tokenize__(), self.how, self.reduced, self.size
        return type(self).__name__, *token


def _slice_by_slice(stack: StackArray, how: Reduction, reduced: tuple[int, ...]) -> da.Array:
    folded = _Folded(stack, how, reduced)
    sizes = list(folded.shape)
    if 0 in stack.order:
        sizes[folded.kept.index(stack.order.index(0))] = _part_size(stack)
    meta = np.empty((0,) * folded.ndim, folded.dtype)
    lazy: da.Array = da.from_array(folded, chunks=tuple(sizes), meta=meta, asarray=False)
    return lazy


def _merged(stack: StackArray, how: Reduction, reduced: tuple[int, ...]) -> da.Array:
    parts = _Parts(stack, how, reduced)
    lazy = da.from_array(
        parts, chunks=parts.chunks, meta=np.empty((0,) * parts.ndim, parts.dtype),
        asarray=False,
    )  # fmt: skip
    dtype = how.result_type(stack.dtype)
    merged: da.Array = da.reduction(
        lazy, chunk=_as_it_is, combine=partial(_combine, how),
        aggregate=partial(_finish, how, parts.count, dtype),
        axis=(0, 1), split_every=2, dtype=dtype,
        meta=np.empty((0,) * (parts.ndim - 2), dtype),
    )  # fmt: skip
    return merged


def _histogram(
    stack: StackArray, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[da.Array, npt.NDArray[Any]] | None:
    """As `numpy.histogram`, of counts of each value; None where the bins depend on the values."""
    unknown = isinstance(bins, str) or (np.ndim(bins) == 0 and range is None)
    if unknown or density or weights is not None or not _is_counted(stack):
        return None
    values = Counts().values(stack.dtype)
    edges = np.histogram_bin_edges(values, bins, range)
    binned: da.Array = _counts(stack).map_blocks(
        _in_bins, values, bins, range, dtype=np.int64, chunks=((len(edges) - 1,),)
    )
    return binned, edges


def _quantile(
    stack: StackArray, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: Any = False, **others: Any,
) -> da.Array | None:  # fmt: skip
    """As `numpy.quantile` of all values, exactly; None where some axes are kept, or by a method."""
    q = np.asarray(q, np.float64)
    is_whole = (axes := _axes(axis, stack.ndim)) is not None and len(axes) == stack.ndim
    unusual = method != "linear" or out is not None or keepdims is True or any(others.values())
    if unusual or q.ndim > 1 or not is_whole or not _is_counted(stack):
        return None
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError(
            f"Quantiles must lie between 0 and 1 (percentiles: 0 and 100); got {q.tolist()}."
        )
    values = Counts().values(stack.dtype)
    ranked: da.Array = _counts(stack).map_blocks(
        _at_ranks, values, q.ravel(), dtype=np.float64, chunks=((q.size,),)
    )
    return ranked if q.ndim else ranked[0]


def _at_ranks(
    counts: npt.NDArray[np.int64], values: npt.NDArray[Any], q: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Quantiles of values that occur so often, rounded as numpy rounds them."""
    until = np.cumsum(counts)
    places = (until[-1] - 1) * q
    below = np.floor(places)
    # the next one of the last is itself
    low, high = (
        values[np.searchsorted(until, np.minimum(rank, until[-1] - 1), side="right")]
        for rank in (below, below + 1)
    )
    step, part = (high - low).astype(np.float64), places - below
    return np.asarray(np.where(part < 0.5, low + step * part, high - step * (1 - part)))


def _is_counted(stack: StackArray) -> bool:
    """Whether how often each value occurs can be counted by slices."""
    kind = Counts().takes(stack.dtype)
    return kind and 0 in stack.order and stack.size > 0 and not any(map(_repeats, stack.choices))


def _counts(stack: StackArray) -> Any:
    """How often each value occurs, in one chunk."""
    parts = _Parts(stack, Counts(), tuple(sorted(stack.order)))
    lazy = da.from_array(parts, chunks=parts.chunks, meta=np.empty((0, 0), np.int64), asarray=False)
    return lazy.sum(axis=0)


def _in_bins(
    counts: npt.NDArray[np.int64], values: npt.NDArray[Any], bins: Any, range: Any
) -> npt.NDArray[np.int64]:
    # sums of up to 2**53 voxels are exact
    return np.histogram(values, bins, range, weights=counts.astype(np.float64))[0].astype(np.int64)


def _as_it_is(states: State, axis: Any, keepdims: bool) -> State:
    return states


def _combine(how: Reduction, states: State, axis: Any, keepdims: bool) -> State:
    return how.merge(states)[None]


def _finish(
    how: Reduction, count: int, kind: np.dtype[Any], states: State, axis: Any, keepdims: bool
) -> npt.NDArray[Any]:
    return how.finish(how.merge(states), count).astype(kind)


def _part_size(stack: StackArray, bands: int = 1) -> int:
    """Slices of a task: so many bytes, but a few tasks for each processor."""
    slices, total = _count(stack, (0,)), stack.bytes_to_read
    by_bytes = math.ceil(total / max(PART_BYTES, total / MOST_PARTS) / bands)
    fewest = min(by_bytes, slices // FEWEST_SLICES) if bands > 1 else by_bytes
    parts = max(1, fewest, min(4 * workers(), slices // FEWEST_SLICES))
    grain = stack.source.grain[0]  # a part that ends within a chunk would decode it twice
    return math.ceil(slices / parts / grain) * grain


def _count_of(stack: StackArray, axis: int) -> int:
    """How many places are chosen along a stored axis."""
    choice = stack.choices[axis]
    return 1 if isinstance(choice, int) else len(choice)


def _count(stack: StackArray, reduced: Sequence[int]) -> int:
    """How many values become one along these axes of the stored stack."""
    return math.prod(stack.shape[stack.order.index(axis)] for axis in reduced)


def _arranged(state: State, stack: StackArray, reduced: Sequence[int]) -> State:
    """The kept axes in the selection's own order, after the first one; others are dropped."""
    axes = range(len(stack.choices))
    kept = [axis for axis in axes if axis in stack.order and axis not in reduced]
    index = tuple(slice(None) if axis in kept else 0 for axis in axes)
    order = [kept.index(axis) for axis in stack.order if axis in kept]
    return state[(slice(None), *index)].transpose(0, *(1 + axis for axis in order))
