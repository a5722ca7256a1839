"""A volume cut into pieces that are read one by one, several at a time, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from brainxr.cluster import active_client, in_order
from brainxr.files.pool import workers
from brainxr.lazy.cost import refuse_beyond_memory

# Bytes of what a thread reads at a time: many rows of a slice, or a few chunks of a store.
SLAB_BYTES = 32 << 20

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Slab:
    """Planes along the first axis, and the bands of rows in which they are read.

    Attributes
    ----------
    planes : range
    bands : tuple of range
        All rows, in order.
    """

    planes: range
    bands: tuple[range, ...]


def cut(shape: Sequence[int], grain: Sequence[int], itemsize: int) -> list[Slab]:
    """Cut an array of three axes into slabs that can be read at the same time.

    Parameters
    ----------
    shape : sequence of int
        Planes, rows, columns.
    grain : sequence of int
        Planes and rows that are decoded together; slabs and bands are multiples of these.
    itemsize : int
        Bytes of a voxel.

    Examples
    --------
    >>> cut((5, 1000, 8000), (2, 100), 4)[0]
    Slab(planes=range(0, 2), bands=(range(0, 500), range(500, 1000)))
    """
    depth, height, width = shape
    a_row = max(1, width * itemsize)
    share = -(-depth // (2 * workers()))  # something to do for each thread, twice
    planes = _multiple(min(share, SLAB_BYTES // max(1, height * a_row)), grain[0])
    rows = _multiple(SLAB_BYTES // (planes * a_row), grain[1])
    bands = tuple(range(r, min(r + rows, height)) for r in range(0, height, rows))
    return [Slab(range(z, min(z + planes, depth)), bands) for z in range(0, depth, planes)]


def refuse_big_parts(shape: Sequence[int], itemsize: int, parts: int) -> None:
    """Refuse parts of which not even one a thread fits in memory.

    Parameters
    ----------
    shape : sequence of int
        Planes, rows and columns that are decoded together.
    itemsize : int
        Bytes of a voxel, with all that is made of it.
    parts : int
        How many there are.

    Raises
    ------
    TooBigError
    """
    threads = min(workers(), parts)
    refuse_beyond_memory(
        threads * math.prod(shape) * itemsize,
        f"{' x '.join(map(str, shape))} voxels at a time in each of {threads} threads",
        "Select a part, or convert the volume to OME-Zarr, which is read in small chunks.",
    )


def _multiple(count: int, grain: int) -> int:
    """The largest multiple of the grain up to a number, but one grain at least."""
    return max(grain, count // grain * grain)


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """What becomes of each item, in order, by as many threads as there are processors.

    At most two results a thread wait to be taken, and none is worked on any more when the
    iteration ends, by an error or otherwise.
    """
    with ThreadPoolExecutor(workers(), f"brainxr-slabs-{os.getpid()}") as pool:
        ahead = 2 * workers()
        waiting = [pool.submit(work, item) for item in items[:ahead]]
        try:
            for i in range(len(items)):
                yield waiting.pop(0).result()
                if i + ahead < len(items):
                    waiting.append(pool.submit(work, items[i + ahead]))
        finally:
            for future in waiting:
                future.cancel()


def anywhere(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """As `in_parallel`, on the workers of a cluster where somebody made one.

    For work on files, which travel by name; and results that are small.
    """
    client = active_client()
    return in_parallel(work, items) if client is None else in_order(client, work, items)
