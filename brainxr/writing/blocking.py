"""How a pyramid is cut: chunks and shards of each level, and the boxes it is written in.

A box is a part of the volume that is read once and written whole: its shards on every
level, and no shard of any other box. So boxes need not know of each other: each is one
task, in any order, in any process, and what was finished stays finished.

    box of level 0 ── its shards │ halve ──▶ its shards on level 1 │ halve ──▶ ...

The price: a shard of a coarser level covers as much of the specimen as one of level 0,
unless the box reaches from end to end, and so has fewer voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dask.utils import parse_bytes

from brainxr.errors import GeometryError, TooBigError

# Voxels of a chunk along each axis, and of a shard along the slowest to the fastest one
# of the source; measured, see docs/design.md.
CHUNK = 64
SHARD = (64, 512, 512)

# Memory of a task, in boxes: the box and its next level (an eighth of it to a half), of
# which the allocator keeps some.
BOXES_OF_A_TASK = 1.5

# Memory of a thread that packs, in chunks: one as it is, and one packed beyond a piece.
CHUNKS_OF_A_THREAD = 2

# Memory of what is packed and not written yet, for all boxes together: as much as a disk
# writes while a box is packed, or less where memory is short.
PACKED_BYTES, LEAST_PACKED = 64 << 20, 8 << 20

# Boxes are cut so that two fit at a time, on any machine: a conversion that was begun
# on one can go on on another.
BOXES_AT_ONCE = 2


@dataclass(frozen=True)
class Level:
    """How a level is cut.

    Attributes
    ----------
    shape, chunks, shards : tuple of int
        In voxels of the level.
    factors : tuple of int
        Voxels of level 0 that one of this level has, along each axis.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    factors: tuple[int, ...]

    @property
    def per_shard(self) -> tuple[int, ...]:
        """Chunks along each axis of a shard."""
        return tuple(s // c for s, c in zip(self.shards, self.chunks, strict=True))


@dataclass(frozen=True)
class Blocking:
    """How a pyramid is cut.

    Attributes
    ----------
    levels : tuple of Level
        Finest first.
    box : tuple of int
        Voxels of level 0 that a task reads and writes.
    """

    levels: tuple[Level, ...]
    box: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes along each axis."""
        shape = self.levels[0].shape
        return tuple(-(-n // b) for n, b in zip(shape, self.box, strict=True))

    @property
    def boxes(self) -> list[tuple[int, ...]]:
        """Number of every box along each axis."""
        return list(itertools.product(*map(range, self.counts)))

    def place(self, box: Sequence[int]) -> tuple[slice, ...]:
        """Where a box is in level 0."""
        sizes = zip(box, self.box, self.levels[0].shape, strict=True)
        return tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in sizes)

    def shards(
        self, level: Level, box: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Number of each shard of a box, and where it is in the box's part of the level."""
        along = []
        for place, factor, shard in zip(self.place(box), level.factors, level.shards, strict=True):
            first, stop = place.start // factor, -(-place.stop // factor)
            starts = range(0, stop - first, shard)
            along.append([((first + s) // shard, slice(s, s + shard)) for s in starts])
        for parts in itertools.product(*along):
            yield tuple(number for number, _ in parts), tuple(window for _, window in parts)


@dataclass(frozen=True)
class Axis:
    """What has to be known of an axis in order to cut it.

    Attributes
    ----------
    dim : str
    size : int
        Voxels of level 0.
    grain : int
        Voxels that are read together, however few are asked for.
    factors : tuple of int
        Voxels of level 0 that one of each level has; powers of two.
    usual : int
        Voxels of a shard where the caller says nothing.
    chunk, shard : int or None
        What the caller said.
    """

    dim: str
    size: int
    grain: int
    factors: tuple[int, ...]
    usual: int
    chunk: int | None = None
    shard: int | None = None

    @property
    def unit(self) -> int:
        """Of how many voxels a box is a multiple, unless it has the whole axis."""
        return math.lcm(self.factors[-1], self.chunk or 1)

    @property
    def whole_shard(self) -> int:
        return self.shard or max(self.unit, self.usual // self.unit * self.unit)

    @property
    def box(self) -> int:
        """A shard; the whole axis where a part of it would read something twice."""
        shard = self.whole_shard
        return self.size if shard >= self.size or shard % self.grain else shard

    def smaller(self, box: int) -> int:
        """Half of a box, or the same where it can't be halved."""
        half = box // 2
        fixed = self.shard is not None or box >= self.size > self.whole_shard
        return box if fixed or half % math.lcm(self.unit, self.grain) or not half else half

    def cut(self, box: int, level: int) -> tuple[int, int]:
        """Voxels of a level's chunk and of its shard."""
        size = -(-self.size // self.factors[level])
        if box < self.size:
            shard = (self.shard or box) // self.factors[level]
            return _divisor(shard, self.chunk or CHUNK), shard
        chunk = _divisor(self.whole_shard, self.chunk or CHUNK)
        if self.chunk is None:
            chunk = min(chunk, size)
        return chunk, chunk * min(self.whole_shard // chunk, -(-size // chunk))

    def check(self) -> None:
        """Refuse what the caller said where it doesn't fit together."""
        chunk, shard = self.chunk or 1, self.shard
        if shard is not None and shard % chunk:
            raise GeometryError(
                f"A shard of {shard} voxels along {self.dim!r} doesn't hold whole chunks of "
                f"{chunk}. Give shards that are multiples of the chunks."
            )
        if shard is not None and shard < self.size and shard % self.factors[-1]:
            raise GeometryError(
                f"A shard of {shard} voxels along {self.dim!r} can't be halved to that of the "
                f"coarsest level, of which a voxel has {self.factors[-1]}. Give a multiple of "
                "that, or fewer levels."
            )


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is no larger than this."""
    return next(n for n in range(min(most, number), 0, -1) if number % n == 0)


def per_axis(given: Any, dims: Sequence[str], name: str) -> dict[str, int]:
    """Voxels along each axis as the caller says them: a number for all, or a mapping.

    Raises
    ------
    GeometryError
        When there is no such axis, or it is no number of voxels.
    """
    if given is None:
        return {}
    sizes = given if isinstance(given, Mapping) else dict.fromkeys(dims, given)
    for dim, size in sizes.items():
        if dim not in dims:
            raise GeometryError(f"{name} has {dim!r}; the axes are {', '.join(dims)}. Use these.")
        if not hasattr(size, "__index__") or isinstance(size, bool) or int(size) < 1:
            raise GeometryError(f"{name} along {dim!r} is {size!r}: give a number of voxels.")
    return {dim: int(size) for dim, size in sizes.items()}


def plan(
    axes: Sequence[Axis], itemsize: int, memory: str | int = "1 GiB", held: float = 0.0
) -> Blocking:
    """Cut a pyramid so that what is at work at a time fits in memory.

    A box has whole columns of the source, and as many rows and slices as a shard: fewer
    rows where two boxes would not fit, and then fewer slices where not even one would.

    Parameters
    ----------
    axes : sequence of Axis
        The one along which the source's slices lie first, that of its columns last.
    itemsize : int
        Bytes of a voxel.
    memory : str or int
        ``"1 GiB"``, or bytes.
    held : float
        What the target holds of a box while it is sent, in boxes.

    Returns
    -------
    Blocking
        Of axes in the order given.

    Raises
    ------
    GeometryError
        When chunks, shards and levels don't fit each other.
    TooBigError
        When not even one box fits in memory.
    """
    budget = parse_bytes(memory)
    for axis in axes:
        axis.check()
    box = [*(axis.box for axis in axes[:-1]), axes[-1].size]
    for i in reversed(range(len(box) - 1)):
        wanted = BOXES_AT_ONCE if i else 1
        while _bytes_needed(axes, box, itemsize, held, wanted) > budget:
            if axes[i].smaller(box[i]) == box[i]:
                break
            box[i] = axes[i].smaller(box[i])
    needed = _bytes_needed(axes, box, itemsize, held, 1)
    if needed > budget:
        raise TooBigError(_too_big(axes, box, needed, budget))
    levels = [_level(axes, box, k) for k in range(len(axes[0].factors))]
    return Blocking(tuple(levels), tuple(box))


def _bytes_needed(
    axes: Sequence[Axis], box: Sequence[int], itemsize: int, held: float, boxes: int
) -> int:
    """Memory of so many boxes at a time."""
    voxels = math.prod(min(b, axis.size) for b, axis in zip(box, axes, strict=True))
    chunk = math.prod(axis.cut(b, 0)[0] for b, axis in zip(box, axes, strict=True))
    a_box = (BOXES_OF_A_TASK + held) * voxels + CHUNKS_OF_A_THREAD * chunk
    return int(boxes * a_box * itemsize) + packed_bytes(voxels * itemsize)


def packed_bytes(box: int, memory: int = 0) -> int:
    """Memory of what is packed and not written yet, of boxes of so many bytes.

    The least that has to be there, or what there is of `memory` beside the boxes.
    """
    left = int(memory - BOXES_AT_ONCE * BOXES_OF_A_TASK * box)
    return min(box, max(LEAST_PACKED, min(PACKED_BYTES, left)))


def _too_big(axes: Sequence[Axis], box: Sequence[int], needed: int, budget: int) -> str:
    sizes = zip(axes, box, strict=True)
    shape = " x ".join(f"{axis.dim} {min(b, axis.size)}" for axis, b in sizes)
    return (
        f"A part of {shape} voxels has to be in memory at a time, which takes "
        f"{needed / 2**20:.0f} MiB; memory allows {budget / 2**20:.0f} MiB. Allow more, for "
        f"example memory='{needed / 2**20 + 1:.0f} MiB', or ask for smaller shards or fewer levels."
    )


def _level(axes: Sequence[Axis], box: Sequence[int], level: int) -> Level:
    cuts = [axis.cut(b, level) for axis, b in zip(axes, box, strict=True)]
    factors = tuple(axis.factors[level] for axis in axes)
    shape = tuple(-(-axis.size // f) for axis, f in zip(axes, factors, strict=True))
    chunks, shards = zip(*cuts, strict=True)
    return Level(shape, chunks, shards, factors)


def unsharded(blocking: Blocking) -> Blocking:
    """The same with a file for each chunk."""
    levels = tuple(replace(level, shards=level.chunks) for level in blocking.levels)
    return replace(blocking, levels=levels)


def transposed(blocking: Blocking, order: Sequence[int]) -> Blocking:
    """The same with its axes in another order."""

    def sort(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[i] for i in order)

    levels = tuple(
        Level(sort(each.shape), sort(each.chunks), sort(each.shards), sort(each.factors))
        for each in blocking.levels
    )
    return Blocking(levels, sort(blocking.box))
