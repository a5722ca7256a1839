"""Plan the dask chunks of a selection: few to schedule, and small once they are computed with.

Selections and reductions of what was opened don't go through chunks (`daskarray`,
`daskfold`). Whatever computes voxel by voxel does, makes ``float64`` of the integers, and
holds three or four such arrays at a time in each thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.utils import parse_bytes

from brainxr.lazy.lazyarray import StackArray

ChunksLike = Any

# Voxels of a chunk: 32 MiB as float64, beyond which glibc asks the system for new memory for
# every temporary array. And how many chunks a graph of dask's should have at most, where
# larger ones are allowed.
CHUNK_VOXELS = 1 << 22
MOST_CHUNKS = 1 << 16


def plan_chunks(stack: StackArray, rule: ChunksLike = "auto") -> tuple[tuple[int, ...], ...]:
    """Plan the chunks of a selection; the same on every machine.

    Parameters
    ----------
    stack : StackArray
    rule : "auto", int, -1 or mapping of int to int, str
        By axis of the stored stack where it is a mapping. By ``"auto"``, whole planes across
        the stored stack or whole chunks of a store, at most 4 Mi voxels (8 MiB of uint16); of
        a selection that reads more than it keeps, as a sagittal plane does, as much as reads
        128 MiB. Beyond 2**16 chunks they are larger, up to 128 MiB read. Where dask's
        ``array.chunk-size`` differs from dask's own default, that many bytes are read.
    """
    if rule == "auto":
        rule = dict(stack.source.auto_chunks(stack.choices, chunk_bytes(stack)))
    elif not isinstance(rule, dict):
        rule = dict.fromkeys(stack.order, rule)
    wanted = tuple(rule.get(axis, -1) for axis in stack.order)
    sizes = [_clip(w, n) for w, n in zip(wanted, stack.shape, strict=True)]
    chunks = da.core.normalize_chunks(
        tuple(sizes), stack.shape, limit=chunk_bytes(stack), dtype=stack.dtype
    )
    return tuple(tuple(axis) for axis in chunks)


def chunk_bytes(stack: StackArray) -> int:
    """Bytes that the task of one chunk may read."""
    limit: int = parse_bytes(dask.config.get("array.chunk-size"))
    if limit != _default_limit() or stack.size == 0:
        return limit
    voxels = max(CHUNK_VOXELS, stack.size // MOST_CHUNKS)
    whole = max(stack.nbytes, stack.bytes_to_read)
    return max(1, min(limit, voxels * whole // stack.size))


@cache
def _default_limit() -> int:
    """``array.chunk-size`` where nobody set it."""
    defaults = dask.config.merge(*dask.config.defaults)
    size: int = parse_bytes(dask.config.get("array.chunk-size", config=defaults))
    return size


def fill_auto(stack: StackArray, sizes: Mapping[int, Any]) -> dict[int, Any]:
    """Replace sizes that are ``"auto"``: long ones along the last stored axes, for whole rows.

    dask would make them alike along each axis, for which every row is read in pieces.

    Parameters
    ----------
    stack : StackArray
    sizes : mapping of int to "auto", int or tuple of int
        For each stored axis of the selection.
    """
    lengths = dict(zip(stack.order, stack.shape, strict=True))
    filled = {axis: lengths[axis] if size == -1 else size for axis, size in sizes.items()}
    fixed = [max(np.atleast_1d(size)) for size in filled.values() if size != "auto"]
    room = chunk_bytes(stack) // (stack.dtype.itemsize * max(1, math.prod(fixed)))
    for axis in sorted(lengths, reverse=True):
        if filled[axis] == "auto":
            grain = stack.source.grain[axis]
            filled[axis] = max(1, min(lengths[axis], max(1, room // grain) * grain))
            room //= filled[axis]
    return filled


def _clip(size: Any, length: int) -> Any:
    if isinstance(size, str):
        return size
    if isinstance(size, int):
        return length if size < 0 else min(size, length)
    return size if sum(size) == length else min(max(size), length)
