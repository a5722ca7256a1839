"""One box of a volume is read once, and written on every level: a task by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy.typing as npt

from brainxr.files.buffers import PAGE_BYTES, Buffers
from brainxr.files.pool import at_work, run_all, workers
from brainxr.lazy.lazyarray import StackArray
from brainxr.writing.arraymeta import chunk_key
from brainxr.writing.blocking import BOXES_OF_A_TASK, CHUNKS_OF_A_THREAD, Blocking, packed_bytes
from brainxr.writing.pieces import Piece, Pieces
from brainxr.writing.pyramid import Method, halve
from brainxr.writing.shards import Packing, pack_chunk, pack_shard, room_beyond
from brainxr.writing.sources import fingerprint_at, part_at
from brainxr.writing.target import Note, Target, WriteFile

# Values that are noted of a volume, for the limits of contrast.
SAMPLED = 1 << 18

# Bytes of a shard that are written at a time: as fast as a disk is, measured; and how many
# of them are being written at least, or wait for it, beside those that are being filled.
PIECE_BYTES, WAITING = 2 << 20, 2


@dataclass(frozen=True)
class BoxWriter:
    """Writes boxes; the same one in every thread and process.

    Attributes
    ----------
    store : Target
    blocking : Blocking
    packing : Packing
    method : {"mean", "mode", "nearest"}
    version : {"0.5", "0.4"}
    pieces : Pieces
        In which what is packed waits to be written, of all threads; see `pieces_for`.
    source : StackArray or None
        What is read; None where the values come with the call.
    first : int
        The first level that is written.
    memory : Buffers
        Into which each thread reads its boxes, one after the other.
    """

    store: Target
    blocking: Blocking
    packing: Packing
    method: Method
    version: str
    pieces: Pieces
    source: StackArray | None = None
    first: int = 0
    memory: Buffers = field(default_factory=Buffers, compare=False, repr=False)

    def __call__(
        self, box: tuple[int, ...], values: npt.NDArray[Any] | None = None
    ) -> tuple[int, ...]:
        """Read a box, unless its values are given, and write it on every level."""
        source = self.fingerprint(box)
        with self.store.writing() as write:
            # what waits for the disk at the end leaves its processor to another box
            with at_work(wait=True):
                if values is None:
                    memory = partial(self.memory.array, "box")
                    values = part_at(self.source, self.blocking.place(box)).read(memory)
                sample = self._sample(values)
                self._write_levels(box, values, write)
            del values
        self.store.finish(box, Note(sample, source))
        return box

    def _write_levels(self, box: Sequence[int], values: npt.NDArray[Any], write: WriteFile) -> None:
        """Write a box on every level."""
        for number in range(len(self.blocking.levels)):
            if number:
                values = halve(values, self._halved(number), self.method)
            if number >= self.first:
                self._write(number, box, values, write)

    def fingerprint(self, box: tuple[int, ...]) -> str:
        """Of the files that a box is read from; empty where it isn't read from files."""
        return fingerprint_at(self.source, self.blocking.place(box))

    def that_fit(self, memory: int, shape: tuple[int, ...], itemsize: int) -> int:
        """How many boxes of a volume can be worked on in so many bytes."""
        box = itemsize * math.prod(map(min, self.blocking.box, shape))
        chunk = itemsize * math.prod(self.blocking.levels[0].chunks)
        # of those at work on a box, and those that help with one
        left = memory - packed_bytes(box, memory) - (workers() + 1) * CHUNKS_OF_A_THREAD * chunk
        return int(left / ((BOXES_OF_A_TASK + self.store.holds) * box))

    def _halved(self, number: int) -> list[bool]:
        finer, coarser = self.blocking.levels[number - 1 : number + 1]
        return [a != b for a, b in zip(finer.factors, coarser.factors, strict=True)]

    def _sample(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A few of the values, evenly spaced."""
        wanted = max(1, SAMPLED // math.prod(self.blocking.counts))
        step = math.ceil((values.size / wanted) ** (1 / values.ndim))
        return values[(slice(None, None, max(1, step)),) * values.ndim].copy()

    def _write(
        self, number: int, box: Sequence[int], values: npt.NDArray[Any], write: WriteFile
    ) -> None:
        """Pack a box's shards of a level on all free processors, and have them written."""
        shards = [
            (f"{number}/{chunk_key(self.version, place)}", window)
            for place, window in self.blocking.shards(self.blocking.levels[number], box)
        ]

        def pack(shard: tuple[str, tuple[slice, ...]]) -> None:
            key, window = shard
            write(key, self._packed(number, values[window]))

        run_all(pack, shards)

    def _packed(self, number: int, values: npt.NDArray[Any]) -> Iterator[Piece]:
        level = self.blocking.levels[number]
        if self.version == "0.4":
            return pack_chunk(values, level.chunks, self.packing, self.pieces)
        return pack_shard(values, level.chunks, level.per_shard, self.packing, self.pieces)


def pieces_for(blocking: Blocking, packing: Packing, memory: int) -> Pieces:
    """Pieces of which the shards of a pyramid are made: many, since a small file has one, too.

    Parameters
    ----------
    blocking : Blocking
    packing : Packing
    memory : int
        Bytes, of everything.
    """
    finest = blocking.levels[0]
    box = packing.dtype.itemsize * math.prod(map(min, blocking.box, finest.shape))
    packed = packed_bytes(box, memory)
    full = max(PAGE_BYTES, min(PIECE_BYTES, packed))
    beyond = max(room_beyond(each.chunks, each.per_shard, packing) for each in blocking.levels)
    return Pieces(max(workers() + WAITING, packed // (full + beyond)), full, beyond)
