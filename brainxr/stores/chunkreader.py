"""Chunks of a Zarr array on this machine, read and decoded where they lie in their files.

    places ── spans ──▶ shards ── index, remembered ──▶ chunks ── all processors ──▶ result

For arrays of the usual manner (`ChunkLayout`); zarr-python reads the others. A chunk
whose checksum was found right once is read in part from then on, as long as its file
does not change: an axial plane of a chunk is a small part of it.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from brainxr.files.buffers import PAGE_BYTES, Buffers, copy_rows
from brainxr.files.checksum import crc32c
from brainxr.files.decoders import unpack, unpack_part
from brainxr.files.forks import lock_that_survives_a_fork
from brainxr.files.openfile import read_into
from brainxr.files.pool import run_all, workers
from brainxr.files.rows import Rows
from brainxr.stores.chunks import ChunkLayout, Span, spans

# Indexes of shards that are remembered, at most; those of 1280 x 1760 x 1760 voxels in
# chunks of 64 have 300 kB.
INDEX_BYTES = 64 << 20

# Of all readers, for they hold it no longer than it takes to note an index.
_INDEXES = lock_that_survives_a_fork()

# What the index says of a chunk that was never written: offset and size of all ones.
_EMPTY = np.iinfo(np.uint64).max

_CHECKSUM_BYTES = 4
_FOR_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0)

# A chunk of a file: its place in the index, and of which part of it which part of the
# result is made.
ChunkJob: TypeAlias = tuple[int, tuple[Span, ...]]


RESTORE = "Restore that file, or make the store again."


class DamagedChunk(Exception):
    """A chunk, by its numbers, that can't be read; its file, why, and what to do."""

    def __init__(self, chunk: tuple[int, ...], path: str, why: str, advice: str = RESTORE) -> None:
        super().__init__(chunk, path, why, advice)
        self.chunk = chunk
        self.path = path
        self.why = why
        self.advice = advice


class Damage(Exception):
    """Why bytes can't be those of a chunk."""

    advice = RESTORE


class Changed(Damage):
    """A file is not the one that was there."""

    advice = "Open the store again."


class FileJob(NamedTuple):
    """Some chunks of one file."""

    shard: tuple[int, ...]
    chunks: list[ChunkJob]


@dataclass
class Shard:
    """What is known of a file.

    Attributes
    ----------
    stamp : tuple of int
        Its size, times and number, by which a change is noticed.
    entries : numpy.ndarray of uint64, shape (chunks, 2)
        Offset and size of each chunk.
    verified : numpy.ndarray of bool, shape (chunks,)
        Whose checksum was found right.
    """

    stamp: tuple[int, ...]
    entries: npt.NDArray[np.uint64]
    verified: npt.NDArray[np.bool_]


class ChunkReader:
    """Reads parts of an array; safe in several threads at a time.

    Parameters
    ----------
    folder : str
        Of the array.
    layout : ChunkLayout
    opened_at : int
        Nanoseconds since the epoch; a file that was changed later is refused.
    every_shard : bool
        Whether a file that is missing is a loss and no empty space.
    """

    def __init__(self, folder: str, layout: ChunkLayout, opened_at: int, every_shard: bool) -> None:
        self.folder = folder
        self.layout = layout
        self.opened_at = opened_at
        self.every_shard = every_shard
        self._shards: OrderedDict[tuple[int, ...], Shard] = OrderedDict()
        self._index_bytes = 0
        self._buffers = Buffers()
        self._per_shard = counts = layout.per_shard
        self._strides = [math.prod(counts[axis + 1 :]) for axis in range(len(counts))]

    def read(self, needed: Sequence[Rows], out: npt.NDArray[Any]) -> None:
        """Read these places along each axis.

        Parameters
        ----------
        needed : sequence of range or numpy.ndarray
            Increasing, without repeats.
        out : numpy.ndarray
            Receives the values, in the machine's byte order.

        Raises
        ------
        DamagedChunk
        """
        jobs = list(self._jobs(needed))
        run_all(lambda job: self._read_file(job, out), jobs)

    def _jobs(self, needed: Sequence[Rows]) -> Iterator[FileJob]:
        """Work for each thread: a file, or a part of one where there are few."""
        # for each axis: the shards that it touches, and the chunks of each
        along = [self._by_shard(rows, axis) for axis, rows in enumerate(needed)]
        files = math.prod(map(len, along))
        parts = max(1, -(-2 * workers() // files))
        for file in product(*along):
            shard = tuple(number for number, _ in file)
            chunks = [self._chunk_job(cut) for cut in product(*(cuts for _, cuts in file))]
            size = -(-len(chunks) // parts)
            for first in range(0, len(chunks), size):
                yield FileJob(shard, chunks[first : first + size])

    def _by_shard(self, rows: Rows, axis: int) -> list[tuple[int, list[Span]]]:
        per_shard = self._per_shard[axis]
        found: dict[int, list[Span]] = {}
        for span in spans(rows, self.layout.chunks[axis]):
            found.setdefault(span.number // per_shard, []).append(span)
        return list(found.items())

    def _chunk_job(self, cut: tuple[Span, ...]) -> ChunkJob:
        places = zip(cut, self._per_shard, self._strides, strict=True)
        return sum((span.number % n) * stride for span, n, stride in places), cut

    # --- one file ---

    def _read_file(self, job: FileJob, out: npt.NDArray[Any]) -> None:
        path = os.path.join(self.folder, self.layout.key(job.shard))
        place, cut = job.chunks[0]
        try:
            descriptor = os.open(path, _FOR_READING)
        except FileNotFoundError:
            if self.every_shard or not os.path.isdir(self.folder):
                raise DamagedChunk(_numbers(cut), path, "the file is missing") from None
            for _, cut in job.chunks:
                out[tuple(span.outside for span in cut)] = self.layout.fill
            return
        except OSError as error:
            raise DamagedChunk(_numbers(cut), path, str(error)) from error
        try:
            shard = self._shard(descriptor, job.shard)
            for place, cut in job.chunks:
                self._read_chunk(descriptor, shard, place, cut, out)
        except (Damage, OSError) as error:
            advice = getattr(error, "advice", RESTORE)
            raise DamagedChunk(_numbers(cut), path, str(error), advice) from error
        finally:
            os.close(descriptor)

    def _shard(self, descriptor: int, number: tuple[int, ...]) -> Shard:
        """What is known of an open file; what was known before it changed is forgotten."""
        status = os.fstat(descriptor)
        if max(status.st_mtime_ns, status.st_ctime_ns) > self.opened_at:
            raise Changed("the file was changed after the store was opened")
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._shards.get(number)
        if known is None or known.stamp != stamp:
            entries = self._entries(descriptor, status.st_size)
            known = Shard(stamp, entries, np.zeros(len(entries), np.bool_))
            self._remember(number, known)
        return known

    def _remember(self, number: tuple[int, ...], shard: Shard) -> None:
        with _INDEXES:
            self._shards[number] = shard
            self._index_bytes += shard.entries.nbytes
            while self._index_bytes > INDEX_BYTES and len(self._shards) > 1:
                self._index_bytes -= self._shards.popitem(last=False)[1].entries.nbytes

    def _entries(self, descriptor: int, size: int) -> npt.NDArray[np.uint64]:
        """The index of a file: offset and size of each of its chunks."""
        layout = self.layout
        if not layout.has_index:
            return np.array([[0, size]], np.uint64)
        count = 16 * math.prod(layout.per_shard)
        length = count + _CHECKSUM_BYTES * layout.index_has_checksum
        if size < length:
            raise Damage(f"the file is truncated: {size} bytes, its index alone has {length}")
        packed = np.empty(length, np.uint8)
        fill(descriptor, packed, size - length if layout.index_is_last else 0)
        if layout.index_has_checksum:
            compare_checksum(packed, "the index of the file")
        return packed[:count].view("<u8").reshape(-1, 2).astype(np.uint64)

    # --- one chunk ---

    def _read_chunk(
        self, descriptor: int, shard: Shard, place: int, cut: tuple[Span, ...],
        out: npt.NDArray[Any],
    ) -> None:  # fmt: skip
        target = tuple(span.outside for span in cut)
        offset, size = shard.entries[place].tolist()
        if offset == _EMPTY and size == _EMPTY:
            out[target] = self.layout.fill
            return
        if offset + size > shard.stamp[0]:
            raise Damage(f"the file is truncated: {shard.stamp[0]} bytes, {offset + size} expected")
        chunk = _Chunk(descriptor, offset, size)
        if self.layout.codec.has_checksum:
            chunk = chunk.without_checksum()
            if not shard.verified[place]:
                chunk.check(self._buffers)
                shard.verified[place] = True
        first, values = self._values(chunk, cut[0].first, cut[0].last + 1)
        values = values[_moved(cut[0].inside, first)]
        # one axis after the other: places of several at once would be points to numpy
        for axis, span in enumerate(cut[1:], 1):
            values = values[(slice(None),) * axis + (span.inside,)]
        copy_rows(values, out[target])

    def _values(self, chunk: _Chunk, start: int, stop: int) -> tuple[int, npt.NDArray[Any]]:
        """The first plane that is there, and the planes: those from start to stop, or all."""
        layout = self.layout
        plane = layout.chunk_bytes // layout.chunks[0]
        if stop - start < layout.chunks[0]:
            part = self._part(chunk, start * plane, stop * plane)
            if part is not None:
                shape = (stop - start, *layout.chunks[1:])
                return start, part.view(layout.stored).reshape(shape)
        unpacked = self._buffers.get("chunk", layout.chunk_bytes)
        with _decoding():
            whole = unpack(layout.codec.compressor, chunk.all(self._buffers), unpacked)
        return 0, whole.view(layout.stored).reshape(layout.chunks)

    def _part(self, chunk: _Chunk, start: int, stop: int) -> npt.NDArray[np.uint8] | None:
        """Some bytes of a decoded chunk without the rest; None where all has to be decoded."""
        compressor, size = self.layout.codec.compressor, self.layout.chunk_bytes
        if compressor is None and chunk.size == size:
            return np.frombuffer(chunk.fetch(start, stop - start), np.uint8)
        if compressor != "blosc":
            return None
        with _decoding():
            return unpack_part(chunk.fetch, size, start, stop)


class _Chunk:
    """The bytes of a chunk in an open file, read as far as they are asked for."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size = size
        self._start = memoryview(b"")
        self._all: npt.NDArray[np.uint8] | None = None

    def without_checksum(self) -> _Chunk:
        if self.size < _CHECKSUM_BYTES:
            raise Damage(f"it has {self.size} bytes, which is less than its checksum")
        return _Chunk(self.descriptor, self.offset, self.size - _CHECKSUM_BYTES)

    def check(self, buffers: Buffers) -> None:
        """Read all of it with the checksum that follows, and compare."""
        packed = buffers.get("packed", self.size + _CHECKSUM_BYTES)
        fill(self.descriptor, packed, self.offset)
        compare_checksum(packed, "the chunk")
        self._all = packed[:-_CHECKSUM_BYTES]
        self._start = memoryview(self._all.data)

    def all(self, buffers: Buffers) -> npt.NDArray[np.uint8]:
        if self._all is None:
            self._all = buffers.get("packed", self.size)
            fill(self.descriptor, self._all, self.offset)
        return self._all

    def fetch(self, start: int, count: int) -> memoryview:
        """Some of its bytes; the first page of them, where the tables are, is read once."""
        stop = start + count
        if start < 0 or count < 0 or stop > self.size:
            raise Damage(f"it ends at byte {self.size}, and has to have {stop}")
        if stop > len(self._start) and not start:
            self._start = self._read(0, min(self.size, max(PAGE_BYTES, stop)))
        if stop <= len(self._start):
            return self._start[start:stop]
        return self._read(start, count)

    def _read(self, start: int, count: int) -> memoryview:
        buffer = np.empty(count, np.uint8)
        fill(self.descriptor, buffer, self.offset + start)
        return memoryview(buffer.data)


def fill(descriptor: int, buffer: npt.NDArray[np.uint8], offset: int) -> None:
    """Read bytes of a file until the buffer is full."""
    view = memoryview(buffer.data)
    while view:
        count = read_into(descriptor, view, offset)
        if count == 0:
            raise Damage(f"the file is truncated: {offset} bytes, {offset + len(view)} expected")
        view, offset = view[count:], offset + count


def compare_checksum(packed: npt.NDArray[np.uint8], what: str) -> None:
    """Compare bytes with the crc32c that follows them."""
    found = crc32c(packed[:-_CHECKSUM_BYTES])
    expected = int(packed[-_CHECKSUM_BYTES:].view("<u4")[0])
    if found != expected:
        raise Damage(
            f"the checksum of {what} is {found:08x}, expected {expected:08x}: bytes of it changed"
        )


@contextmanager
def _decoding() -> Iterator[None]:
    """What a codec makes of damaged data, in one form."""
    try:
        yield
    except Damage:
        raise
    except Exception as error:
        raise Damage(f"it can't be decoded ({error})") from error


def _moved(inside: slice | npt.NDArray[np.intp], by: int) -> slice | npt.NDArray[np.intp]:
    """Places along an axis, counted from one of them."""
    if isinstance(inside, slice):
        return slice(inside.start - by, inside.stop - by, inside.step)
    return inside - by


def _numbers(cut: tuple[Span, ...]) -> tuple[int, ...]:
    return tuple(span.number for span in cut)
