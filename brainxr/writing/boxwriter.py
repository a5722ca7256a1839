"""One box of a volume is read once, and written on every level: a task by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy.typing as npt

from brainxr.files.buffers import Buffers
from brainxr.files.pool import at_work, run_all, workers
from brainxr.lazy.lazyarray import StackArray
from brainxr.writing.arraymeta import chunk_key
from brainxr.writing.blocking import BOXES_OF_A_TASK, Blocking, packing_bytes
from brainxr.writing.pyramid import Method, halve
from brainxr.writing.shards import Packing, pack_chunk, pack_shard
from brainxr.writing.sources import fingerprint_at, part_at
from brainxr.writing.target import Note, Target

# Values that are noted of a volume, for the limits of contrast.
SAMPLED = 1 << 18


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
    source: StackArray | None = None
    first: int = 0
    memory: Buffers = field(default_factory=Buffers, compare=False, repr=False)

    def __call__(
        self, box: tuple[int, ...], values: npt.NDArray[Any] | None = None
    ) -> tuple[int, ...]:
        """Read a box, unless its values are given, and write it on every level."""
        source = self.fingerprint(box)
        with at_work():
            if values is None:
                memory = partial(self.memory.array, "box")
                values = part_at(self.source, self.blocking.place(box)).read(memory)
            sample = self._sample(values)
            keys = self._write_levels(box, values)
        del values
        self.store.finish(box, Note(sample, source), keys)
        return box

    def _write_levels(self, box: Sequence[int], values: npt.NDArray[Any]) -> list[str]:
        """Write a box on every level; names of its shards."""
        keys: list[str] = []
        for number in range(len(self.blocking.levels)):
            if number:
                values = halve(values, self._halved(number), self.method)
            if number >= self.first:
                keys += self._write(number, box, values)
        return keys

    def fingerprint(self, box: tuple[int, ...]) -> str:
        """Of the files that a box is read from; empty where it isn't read from files."""
        return fingerprint_at(self.source, self.blocking.place(box))

    def that_fit(self, memory: int, shape: tuple[int, ...], itemsize: int) -> int:
        """How many boxes of a volume can be worked on in so many bytes."""
        box = itemsize * math.prod(map(min, self.blocking.box, shape))
        chunk = itemsize * math.prod(self.blocking.levels[0].chunks)
        packing = packing_bytes(chunk, box)
        left = memory - (workers() - 1) * packing  # of those that help with a box
        return int(left / ((BOXES_OF_A_TASK + self.store.holds) * box + packing))

    def _halved(self, number: int) -> list[bool]:
        finer, coarser = self.blocking.levels[number - 1 : number + 1]
        return [a != b for a, b in zip(finer.factors, coarser.factors, strict=True)]

    def _sample(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A few of the values, evenly spaced."""
        wanted = max(1, SAMPLED // len(self.blocking.boxes))
        step = math.ceil((values.size / wanted) ** (1 / values.ndim))
        return values[(slice(None, None, max(1, step)),) * values.ndim].copy()

    def _write(self, number: int, box: Sequence[int], values: npt.NDArray[Any]) -> list[str]:
        """Pack and write a box's shards of a level, on all processors; their names."""
        shards = [
            (f"{number}/{chunk_key(self.version, place)}", window)
            for place, window in self.blocking.shards(self.blocking.levels[number], box)
        ]

        def write(shard: tuple[str, tuple[slice, ...]]) -> None:
            key, window = shard
            self.store.write(key, self._packed(number, values[window]))

        run_all(write, shards)
        return [key for key, _ in shards]

    def _packed(self, number: int, values: npt.NDArray[Any]) -> Iterator[memoryview]:
        level = self.blocking.levels[number]
        if self.version == "0.4":
            return pack_chunk(values, level.chunks, self.packing)
        return pack_shard(values, level.chunks, level.per_shard, self.packing)
